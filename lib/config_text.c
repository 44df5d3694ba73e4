/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The syntax of addresses, host names and path patterns. */
#include "lib/config_private.h"
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define HOST_MAX 253u /* RFC 1035 2.3.4, without the final dot */

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

const char *config_check_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1)
		return NULL;
	return "is no IP address; write for example 192.0.2.10 or 2001:db8::10";
}

/* Labels of letters, digits, '-' and '_' (RFC 1123 2.1; '_' as found in service names). */
static bool host_name_valid(struct span name)
{
	size_t label = 0;

	if (name.len == 0 || name.len > HOST_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '.' ? label == 0 || name.ptr[i - 1] == '-'
		             : !(is_alnum(c) || c == '_' || (c == '-' && label > 0)))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0 && name.ptr[name.len - 1] != '-';
}

/* A name whose last label is a number is meant as an IPv4 address (WHATWG URL, "ends in a number").
 */
static bool host_is_numeric(struct span name)
{
	for (size_t i = name.len; i > 0 && name.ptr[i - 1] != '.'; i--)
		if (name.ptr[i - 1] < '0' || name.ptr[i - 1] > '9')
			return false;
	return true;
}

static bool port_valid(const char *text)
{
	unsigned long port = 0;

	if (text[0] < '1' || text[0] > '9')
		return false;
	for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
		port = port * 10 + (unsigned long)(*text - '0');
	return *text == '\0' && port <= UINT16_MAX;
}

static const char *check_bracketed(const char *text)
{
	const char *end = strchr(text, ']');
	char inside[INET6_ADDRSTRLEN];
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t len = end ? (size_t)(end - text - 1) : 0;

	if (!end || len >= sizeof(inside))
		return "has no IPv6 address in its brackets; write for example [2001:db8::1]:8080";
	memcpy(inside, text + 1, len);
	inside[len] = '\0';
	if (inet_pton(AF_INET6, inside, bytes) != 1)
		return "has no IPv6 address in its brackets; write for example [2001:db8::1]:8080";
	if (end[1] != ':' || !port_valid(end + 2))
		return "has no port from 1 to 65535 behind it; write for example "
		       "[2001:db8::1]:8080";
	return NULL;
}

const char *config_check_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct span host;
	char buf[HOST_MAX + 1];

	if (text[0] == '[')
		return check_bracketed(text);
	if (!colon)
		return "has no port; write host:port, for example 127.0.0.1:8080";
	if (strchr(text, ':') != colon)
		return "has several ':'; an IPv6 address goes in brackets, as [2001:db8::1]:8080";
	if (!port_valid(colon + 1))
		return "has no port from 1 to 65535; write host:port, for example 127.0.0.1:8080";
	host = span_of(text, (size_t)(colon - text));
	if (!host_name_valid(host))
		return "has no valid host name or address; write host:port, for example "
		       "origin.example:8080";
	memcpy(buf, host.ptr, host.len);
	buf[host.len] = '\0';
	if (host_is_numeric(host) && config_check_address(buf) != NULL)
		return "has no valid IPv4 address; write host:port, for example 127.0.0.1:8080";
	return NULL;
}

const char *config_check_route_host(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t len = strlen(text);
	char inside[INET6_ADDRSTRLEN];

	if (strcmp(text, "*") == 0)
		return NULL;
	if (text[0] == '[' && text[len - 1] == ']' && len - 2 < sizeof(inside)) {
		memcpy(inside, text + 1, len - 2);
		inside[len - 2] = '\0';
		if (inet_pton(AF_INET6, inside, bytes) == 1)
			return NULL;
	}
	if (strchr(text, ':'))
		return "has a ':'; routes choose by the name alone, without a port";
	if (strncmp(text, "*.", 2) == 0)
		text += 2;
	if (strchr(text, '*'))
		return "has a '*' in the wrong place; write \"*.example.com\" or \"*\"";
	if (!host_name_valid(span_cstr(text)))
		return "is no host name; write for example www.example.com, without a final dot";
	return NULL;
}

/* RFC 3986 3.3 pchar, with '{', '}' and '*' looked at before. */
static bool literal_valid(struct span seg)
{
	for (size_t i = 0; i < seg.len; i++) {
		char c = seg.ptr[i];

		if (!is_alnum(c) && (c == '\0' || !strchr("-._~%!$&'()*+,;=:@", c)))
			return false;
	}
	return true;
}

static bool param_valid(struct span seg)
{
	if (seg.len < 3 || seg.ptr[seg.len - 1] != '}')
		return false;
	for (size_t i = 1; i + 1 < seg.len; i++)
		if (!is_alnum(seg.ptr[i]) && seg.ptr[i] != '_' && seg.ptr[i] != '-')
			return false;
	return true;
}

static const char *check_segment(struct span seg, bool last)
{
	if (seg.len > 0 && seg.ptr[0] == '{')
		return param_valid(seg) ? NULL
		                        : "has a parameter that is no {name}; a name has letters, "
		                          "digits, '_' and '-', and takes the whole segment";
	if (memchr(seg.ptr, '*', seg.len)) {
		if (seg.len > 1)
			return "has a '*' inside of a segment; only a whole last segment may be "
			       "one, as in /static/*";
		return last ? NULL
		            : "has a '*' before its end; only the last segment may be one; use "
		              "{name} for one segment";
	}
	if (memchr(seg.ptr, '{', seg.len) || memchr(seg.ptr, '}', seg.len))
		return "has a brace inside of a segment; {name} takes a whole segment";
	if (memchr(seg.ptr, '?', seg.len) || memchr(seg.ptr, '#', seg.len))
		return "has a query or a fragment; patterns are compared with the path alone";
	if (!literal_valid(seg))
		return "has a byte that no path has (RFC 3986 3.3); percent-encode it";
	if (span_eq(seg, SPAN_LIT(".")) || span_eq(seg, SPAN_LIT("..")))
		return "has a dot segment, which no request has when it is compared; remove it";
	return NULL;
}

const char *config_check_pattern(const char *text)
{
	struct span names[SNAPSHOT_MAX_PARAMS];
	struct span rest = span_cstr(text), seg;
	uint32_t params = 0, segments = 0;

	if (text[0] != '/')
		return "does not begin with '/'; write for example /v1/items/{id}";
	while (path_segment_next(&rest, &seg)) {
		const char *wrong = check_segment(seg, rest.len == 0);

		if (wrong)
			return wrong;
		if (++segments > SNAP_MAX_SEGMENTS)
			return "has more than 64 segments; end it with * before that";
		if (seg.len == 0 || seg.ptr[0] != '{')
			continue;
		for (uint32_t i = 0; i < params; i++)
			if (span_eq(names[i], seg))
				return "has one parameter name twice; name each differently";
		if (params == SNAPSHOT_MAX_PARAMS)
			return "has more than 16 parameters";
		names[params++] = seg;
	}
	return NULL;
}
