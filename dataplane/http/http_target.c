/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request-target, the authority and the path (RFC 9112 3.2, RFC 3986). */
#include <arpa/inet.h>

#include "dataplane/http/http_target.h"
#include "dataplane/http/http_parse.h"
#include "lib/http1_scan.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the percent-encoding at s.ptr[at] stands for, or -1 when it is malformed. */
static int pct_value(struct span s, size_t at)
{
	int high;
	int low;

	if (s.len - at < 3)
		return -1;
	high = hex_value(s.ptr[at + 1]);
	low = hex_value(s.ptr[at + 2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool http_pct_valid(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '%' && pct_value(s, i) <= 0)
			return false;
	return true;
}

bool http_path_has_dot_segment(struct span path)
{
	size_t dots = 0;
	bool only_dots = true; /* the segment so far */
	size_t i = 0;

	while (i < path.len) {
		int c = (unsigned char)path.ptr[i++];

		if (c == '%' && pct_value(path, i - 1) >= 0) {
			c = pct_value(path, i - 1);
			i += 2;
		}
		if (c == '/' || c == '\\' || c == ';') {
			if (only_dots && (dots == 1 || dots == 2))
				return true;
			/* Behind ';' the segment goes on, but as its parameters. */
			only_dots = c != ';';
			dots = 0;
		} else if (c == '.') {
			dots++;
		} else {
			only_dots = false;
		}
	}
	return only_dots && (dots == 1 || dots == 2);
}

static bool ip_literal_valid(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return strlen(text) == s.len && inet_pton(AF_INET6, text, &addr) == 1;
}

/* A registered name with percent-encodings in it: legal (RFC 3986 3.2.2), never seen. */
static NOINLINE size_t encoded_host_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && (http1_is_host(s.ptr[n]) || s.ptr[n] == '%'))
		n++;
	return http_pct_valid(span_of(s.ptr, n)) ? n : 0;
}

/* Length of the host at the start of an authority, 0 when there is no valid one. */
static size_t host_len(struct span s)
{
	size_t n = 0;

	if (s.len > 0 && s.ptr[0] == '[') {
		const char *close = memchr(s.ptr, ']', s.len);

		if (close == NULL)
			return 0;
		n = (size_t)(close - s.ptr) + 1;
		return ip_literal_valid(span_of(s.ptr + 1, n - 2)) ? n : 0;
	}
	while (n < s.len && http1_is_host(s.ptr[n]))
		n++;
	return likely(n == s.len || s.ptr[n] != '%') ? n : encoded_host_len(s);
}

bool http_authority_parse(struct span s, struct span *host, uint32_t *port)
{
	size_t n = host_len(s);
	uint32_t value = 0;

	if (n == 0)
		return false;
	*host = span_of(s.ptr, n);
	if (n < s.len && s.ptr[n++] != ':')
		return false;
	/* An empty port is allowed and means none (RFC 3986 3.2.3). */
	for (; n < s.len; n++) {
		unsigned digit = (unsigned)(unsigned char)s.ptr[n] - '0';

		value = value * 10 + digit;
		if (digit > 9 || value > UINT16_MAX)
			return false;
	}
	*port = value;
	return true;
}

/* Bytes of "http://" or "https://" that the target begins with, 0 for none. */
static size_t scheme_len(struct span target)
{
	const struct span schemes[] = {SPAN_LIT("http://"), SPAN_LIT("https://")};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = schemes[i].len;

		if (target.len > n && span_eq_nocase(span_of(target.ptr, n), schemes[i]))
			return n;
	}
	return 0;
}

/* Behind the authority: path and query. query_at counts from s. */
static void path_split(struct span s, size_t query_at, struct http_request *out)
{
	out->path = span_of(s.ptr, query_at);
	out->query = (struct span){0};
	if (query_at < s.len)
		out->query = span_of(s.ptr + query_at + 1, s.len - query_at - 1);
}

/* http://host:port/path?query: its authority wins over Host (RFC 9112 3.2.2). */
static bool absolute_form(struct http_request *out, size_t query_at)
{
	struct span target = out->target;
	size_t begin = scheme_len(target);
	size_t end = begin;

	if (begin == 0)
		return false;
	while (end < query_at && target.ptr[end] != '/')
		end++;
	if (!http_authority_parse(span_of(target.ptr + begin, end - begin), &out->host,
	                          &out->host_port))
		return false;
	path_split(span_of(target.ptr + end, target.len - end), query_at - end, out);
	if (out->path.len > 0)
		return true;
	/* RFC 9112 3.2.4: OPTIONS for the host as a whole asks for "*"; else the path is "/". */
	out->path = SPAN_LIT("/");
	if (out->method == HTTP_OPTIONS && query_at == target.len)
		out->path = SPAN_LIT("*");
	return true;
}

unsigned http_target_read(struct http_request *out, size_t query_at, bool closer)
{
	struct span target = out->target;
	struct span host;
	uint32_t port;

	out->host = (struct span){0};
	out->host_port = 0;
	if (out->method == HTTP_CONNECT)
		/* Authority-form, and no tunnel here (RFC 9110 9.3.6): both parts must be given. */
		return http_authority_parse(target, &host, &port) && port != 0 ? 501 : 400;
	if (target.ptr[0] == '/') {
		path_split(target, query_at, out);
	} else if (target.len == 1 && target.ptr[0] == '*') {
		out->path = target;
		out->query = (struct span){0};
		return out->method == HTTP_OPTIONS ? 0 : 400;
	} else if (!absolute_form(out, query_at)) {
		return 400;
	}
	/* Security: the route is chosen, and the cache key made, from the path as it was sent. An
	 * origin that normalises it could see another path than the one that was verified. */
	if (unlikely(closer) && (!http_pct_valid(target) || http_path_has_dot_segment(out->path)))
		return 400;
	return 0;
}
