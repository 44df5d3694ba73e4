/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/url.h"

#define HTTP_PORT 80u

/* Takes ":port" off the end of the authority. */
static bool port_read(struct span text, uint16_t *out)
{
	uint32_t n = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(text.ptr[i] - '0');
	}
	*out = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX;
}

/* Length of the host with its brackets, if it has some. */
static size_t host_len(struct span authority)
{
	const char *end;

	if (authority.len > 0 && authority.ptr[0] == '[') {
		end = memchr(authority.ptr, ']', authority.len);
		return end != NULL ? (size_t)(end - authority.ptr) + 1 : 0;
	}
	end = memchr(authority.ptr, ':', authority.len);
	return end != NULL ? (size_t)(end - authority.ptr) : authority.len;
}

const char *url_parse(const char *text, struct url *out)
{
	static const char scheme[] = "http://";

	if (strncmp(text, "https://", 8) == 0)
		return "https is not supported; measure the plain listener, or put a TLS proxy "
		       "in front of the client";
	if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
		return "a URL begins with http://, for example http://127.0.0.1:8080/path";
	text += sizeof(scheme) - 1;
	struct span authority = span_of(text, strcspn(text, "/?#"));
	size_t n = host_len(authority);
	struct span rest = span_of(authority.ptr + n, authority.len - n);

	if (memchr(authority.ptr, '@', authority.len) != NULL)
		return "a user name in a URL is not supported; send a header with -H "
		       "\"Authorization: ...\"";
	if (n == 0)
		return "it names no host";
	out->host = authority.ptr[0] == '[' ? span_of(authority.ptr + 1, n - 2)
	                                    : span_of(authority.ptr, n);
	if (out->host.len == 0)
		return "it names no host";
	out->port = HTTP_PORT;
	if (rest.len > 0 &&
	    (rest.ptr[0] != ':' || !port_read(span_of(rest.ptr + 1, rest.len - 1), &out->port)))
		return "its port is no number from 1 to 65535";
	out->authority = out->port == HTTP_PORT ? span_of(authority.ptr, n) : authority;
	const char *target = authority.ptr + authority.len;
	out->target = span_of(target, strcspn(target, "#"));
	if (out->target.len == 0)
		out->target = SPAN_LIT("/");
	if (out->target.ptr[0] != '/')
		return "a '/' is missing before the '?'";
	return NULL;
}
