/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define PROBE_MS 2000

/* Can a connection be made to it, within a short time? */
static bool probe(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = -1;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return false;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
		error = 0;
	} else if (errno == EINPROGRESS) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (poll(&p, 1, PROBE_MS) == 1)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	close(fd);
	return error == 0;
}

enum status address_resolve(struct address *out, const char *host, uint16_t port,
                            char err[TRANSPORT_ERR])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list;
	struct addrinfo *best;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	int rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0) {
		snprintf(err, TRANSPORT_ERR, "%.100s: %s", host,
		         rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return ST_NOTFOUND;
	}
	best = list;
	/* One alone needs no look, and the server then sees no connection that is not load. */
	if (list->ai_next != NULL)
		for (best = list; best->ai_next != NULL && !probe(best);)
			best = best->ai_next;
	memcpy(&out->ss, best->ai_addr, best->ai_addrlen);
	out->len = best->ai_addrlen;
	freeaddrinfo(list);
	return ST_OK;
}

static bool text_parse(const char *text, size_t len, int family, struct address *out)
{
	char copy[INET6_ADDRSTRLEN + 1];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*out = (struct address){.ss.ss_family = (sa_family_t)family};
	if (family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->ss;

		out->len = sizeof(*in6);
		return inet_pton(AF_INET6, copy, &in6->sin6_addr) == 1;
	}
	struct sockaddr_in *in = (struct sockaddr_in *)&out->ss;
	out->len = sizeof(*in);
	return inet_pton(AF_INET, copy, &in->sin_addr) == 1;
}

/* The address's last 32 bits, in network order. */
static uint8_t *low_bits(struct address *a)
{
	if (a->ss.ss_family == AF_INET6)
		return &((struct sockaddr_in6 *)&a->ss)->sin6_addr.s6_addr[12];
	return (uint8_t *)&((struct sockaddr_in *)&a->ss)->sin_addr;
}

static uint32_t low_get(struct address *a)
{
	uint32_t n;

	memcpy(&n, low_bits(a), sizeof(n));
	return ntohl(n);
}

static void low_set(struct address *a, uint32_t n)
{
	n = htonl(n);
	memcpy(low_bits(a), &n, sizeof(n));
}

enum status address_range_parse(struct address_range *out, const char *text, int family,
                                char err[TRANSPORT_ERR])
{
	const char *dash = strchr(text, '-');
	size_t first_len = dash != NULL ? (size_t)(dash - text) : strlen(text);
	struct address last;
	const char *last_text = dash != NULL ? dash + 1 : text;
	struct address masked;

	if (!text_parse(text, first_len, family, &out->first) ||
	    !text_parse(last_text, strlen(last_text), family, &last)) {
		snprintf(err, TRANSPORT_ERR,
		         "--local %.80s: an %s address is needed, or a range FIRST-LAST", text,
		         family == AF_INET6 ? "IPv6" : "IPv4");
		return ST_INVALID;
	}
	uint32_t from = low_get(&out->first);
	uint32_t to = low_get(&last);

	masked = last;
	low_set(&masked, from);
	if (to < from || to - from >= ADDRESS_RANGE_MAX ||
	    memcmp(&masked, &out->first, sizeof(masked)) != 0) {
		snprintf(err, TRANSPORT_ERR,
		         "--local %.80s: the last address must follow the first, by %u at most",
		         text, ADDRESS_RANGE_MAX - 1);
		return ST_INVALID;
	}
	out->count = to - from + 1;
	return ST_OK;
}

void address_range_get(const struct address_range *r, uint32_t i, struct address *out)
{
	*out = r->first;
	low_set(out, low_get(out) + i);
}
