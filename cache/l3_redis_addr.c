/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/l3_redis.h"

#include "lib/log.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

#define HOST_MAX 256u

static bool host_split(const char *text, char host[static HOST_MAX], const char **port)
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

static enum status path_parse(struct raddr *out, const char *path)
{
	if (strlen(path) >= sizeof(out->un.sun_path)) {
		log_error("l3", "the socket's path '%.64s...' is longer than %zu bytes", path,
		          sizeof(out->un.sun_path) - 1);
		return ST_INVALID;
	}
	out->un.sun_family = AF_UNIX;
	strcpy(out->un.sun_path, path);
	out->len = sizeof(out->un);
	return ST_OK;
}

enum status raddr_parse(struct raddr *out, const char *text)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char host[HOST_MAX];
	const char *port;
	int rc;

	*out = (struct raddr){0};
	snprintf(out->text, sizeof(out->text), "%s", text);
	if (strchr(text, '/') != NULL)
		return path_parse(out, text);
	if (!host_split(text, host, &port)) {
		log_error("l3", "'%.64s' is neither HOST:PORT nor a socket's path", text);
		return ST_INVALID;
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0) {
		log_error("l3", "cannot resolve '%.64s': %s", text, gai_strerror(rc));
		return ST_NOTFOUND;
	}
	memcpy(&out->sa, list->ai_addr, list->ai_addrlen);
	out->len = list->ai_addrlen;
	freeaddrinfo(list);
	return ST_OK;
}

enum status raddr_numeric(struct raddr *out, struct span host, int64_t port)
{
	char text[INET6_ADDRSTRLEN];

	*out = (struct raddr){0};
	if (host.len == 0 || host.len >= sizeof(text) || port < 1 || port > 65535)
		return ST_INVALID;
	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons((uint16_t)port);
		out->len = sizeof(out->in);
		snprintf(out->text, sizeof(out->text), "%s:%u", text, (unsigned)port);
	} else if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons((uint16_t)port);
		out->len = sizeof(out->in6);
		snprintf(out->text, sizeof(out->text), "[%s]:%u", text, (unsigned)port);
	} else {
		return ST_INVALID;
	}
	return ST_OK;
}

bool raddr_eq(const struct raddr *a, const struct raddr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
	default:
		return strcmp(a->un.sun_path, b->un.sun_path) == 0;
	}
}
