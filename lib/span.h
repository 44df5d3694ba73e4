/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A run of bytes that belongs to somebody else. Never NUL-terminated by promise. */
#ifndef LIB_SPAN_H
#define LIB_SPAN_H

#include "lib/base.h"

struct span {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;      /* bytes */
};

#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})

static inline struct span span_of(const void *ptr, size_t len)
{
	return (struct span){ptr, len};
}

static inline struct span span_cstr(const char *s)
{
	return (struct span){s, strlen(s)};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* ASCII only, as field names and host names are compared (RFC 9110 5.1). */
static inline bool span_eq_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

/* Without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3). */
static inline struct span span_trim(struct span s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

#endif
