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

/* A to Z of eight bytes at once; the others stay as they are. */
static inline uint64_t ascii_lower8(uint64_t v)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t low7 = v & 0x7f * ones;
	/* Bit 7 of a byte of the sums: above 'Z', and from 'A' on. */
	uint64_t above = low7 + (0x7f - 'Z') * ones;
	uint64_t from = low7 + (0x80 - 'A') * ones;
	uint64_t upper = (from & ~above & ~v) & 0x80 * ones;

	return v | upper >> 2;
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
