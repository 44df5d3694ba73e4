/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/resolve.h"

#include <netdb.h>
#include <stdio.h>

#define HOST_MAX 256u

/* Splits at the last colon; brackets around an IPv6 address go. */
static bool split(const char *text, char host[static HOST_MAX], const char **port)
{
	const char *colon = strrchr(text, ':');
	const char *begin = text;
	size_t len;

	if (colon == NULL || colon[1] == '\0')
		return false;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		begin++;
		len -= 2;
	}
	if (len == 0 || len >= HOST_MAX)
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

enum status resolve_address(const char *text, struct sockaddr_storage *sa, socklen_t *len,
                            char error[static 128])
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char host[HOST_MAX];
	const char *port;
	int rc;

	if (!split(text, host, &port)) {
		snprintf(error, 128, "'%.64s' is not HOST:PORT", text);
		return ST_INVALID;
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0) {
		snprintf(error, 128, "cannot resolve '%.64s': %s", text, gai_strerror(rc));
		return ST_NOTFOUND;
	}
	memcpy(sa, list->ai_addr, list->ai_addrlen);
	*len = list->ai_addrlen;
	freeaddrinfo(list);
	return ST_OK;
}
