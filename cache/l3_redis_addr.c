/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/l3_redis.h"

#include "lib/log.h"
#include "lib/resolve.h"

#include <arpa/inet.h>
#include <stdio.h>

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
	struct sockaddr_storage sa;
	char error[128];
	socklen_t len;
	enum status st;

	*out = (struct raddr){0};
	snprintf(out->text, sizeof(out->text), "%s", text);
	if (strchr(text, '/') != NULL)
		return path_parse(out, text);
	st = resolve_address(text, &sa, &len, error);
	if (st != ST_OK) {
		log_error("l3", "%s%s", error, st == ST_INVALID ? " and no socket's path" : "");
		return st;
	}
	memcpy(&out->sa, &sa, len);
	out->len = len;
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
