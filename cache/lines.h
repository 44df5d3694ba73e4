/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Walks field lines as an object holds them ("Name: value\r\n" each, made by control/response.c).
 * Lines from elsewhere are not trusted: what is no such line ends the walk. */
#ifndef CACHE_LINES_H
#define CACHE_LINES_H

#include "lib/span.h"

static inline bool lines_next(struct span *rest, struct span *name, struct span *value)
{
	const char *end = rest->len > 0 ? memmem(rest->ptr, rest->len, "\r\n", 2) : NULL;
	const char *colon;

	if (end == NULL)
		return false;
	colon = memchr(rest->ptr, ':', (size_t)(end - rest->ptr));
	if (colon == NULL)
		return false;
	*name = span_of(rest->ptr, (size_t)(colon - rest->ptr));
	*value = span_trim(span_of(colon + 1, (size_t)(end - colon - 1)));
	*rest = span_of(end + 2, rest->len - (size_t)(end + 2 - rest->ptr));
	return true;
}

/* The first line of that name, no case; len 0 when there is none. */
static inline struct span lines_find(struct span lines, struct span name)
{
	struct span at;
	struct span value;

	while (lines_next(&lines, &at, &value))
		if (span_eq_nocase(at, name))
			return value;
	return span_of(NULL, 0);
}

#endif
