/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the SIMD paths of http1_scan.h share: from bit masks of up to 64 bytes to a window's lines
 * and a target's end. Included by http1_avx2.c and http1_sse42.c only; what they do alike with
 * vectors is in http1_simd_walk.h. Plain code, inlined into functions that are compiled for their
 * instruction set. */
#ifndef LIB_HTTP1_SIMD_H
#define LIB_HTTP1_SIMD_H

#include "lib/http1_scan.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* The tchar test by two table look-ups: the row of a byte is its high half. A row is one bit in
 * rows[high half]; columns[low half] holds the bits of the rows that have a tchar in that column.
 * Bytes above 0x7f find a zero: PSHUFB gives zero for an index with its highest bit set. */
#define HTTP1_TOKEN_COLUMNS 58, 63, 62, 63, 63, 63, 63, 63, 62, 62, 61, 21, 52, 21, 61, 28
#define HTTP1_TOKEN_ROWS    0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0

/* Bit i tells of byte i. */
struct masks {
	uint64_t not_token;
	uint64_t ctl; /* below 0x20 or 0x7f, but not HTAB */
	uint64_t cr;
	uint64_t lf;
};

static ALWAYS_INLINE void masks_shift_or(struct masks *to, struct masks m, size_t shift)
{
	to->not_token |= m.not_token << shift;
	to->ctl |= m.ctl << shift;
	to->cr |= m.cr << shift;
	to->lf |= m.lf << shift;
}

static ALWAYS_INLINE struct masks masks_drop(struct masks m, size_t bits)
{
	return (struct masks){m.not_token >> bits, m.ctl >> bits, m.cr >> bits, m.lf >> bits};
}

static ALWAYS_INLINE uint64_t load_8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static ALWAYS_INLINE uint32_t load_4(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* n bytes, 1..15, as two words filled up with zeros, by loads that overlap but stay within them. */
static ALWAYS_INLINE void load_short(const char *p, size_t n, uint64_t words[2])
{
	const unsigned char *u = (const unsigned char *)p;

	words[1] = 0;
	if (n > 8) {
		words[0] = load_8(p);
		words[1] = load_8(p + n - 8) >> (8 * (16 - n));
	} else if (n >= 4) {
		words[0] = load_4(p) | (uint64_t)load_4(p + n - 4) << (8 * (n - 4));
	} else {
		words[0] = u[0] | (uint64_t)u[n / 2] << (8 * (n / 2)) |
		           (uint64_t)u[n - 1] << (8 * (n - 1));
	}
}

struct window_fill {
	struct http1_window *w;
	size_t base;      /* of the next block within the window */
	uint32_t ends;    /* written so far */
	uint64_t last_cr; /* 1: the block before ended with CR */
};

static ALWAYS_INLINE void ends_add(struct window_fill *s, uint64_t ends)
{
	uint32_t count = (uint32_t)__builtin_popcountll(ends);
	uint16_t *to = s->w->ends + s->ends;

	/* Four at a time whether they are there or not: a branch for each would be mispredicted. */
	do {
		for (unsigned i = 0; i < 4; i++) {
			to[i] = (uint16_t)(s->base + __builtin_ctzll(ends | 1ull << 63));
			ends &= ends - 1;
		}
		to += 4;
	} while (unlikely(ends != 0));
	s->ends += count;
}

/* Adds a block of count bytes (64, or fewer at the end), whose masks have no bits behind it. False
 * when the window ends with it, because a byte in it is bad. */
static ALWAYS_INLINE bool block_add(struct window_fill *s, struct masks m, size_t count)
{
	uint64_t valid = ~0ull >> (64 - count);
	uint64_t after_cr = (m.cr << 1 | s->last_cr) & valid;
	uint64_t bad = (m.ctl & ~(m.cr | m.lf)) | (m.lf ^ after_cr);
	size_t block = s->base / 64;

	s->w->not_token[block] = m.not_token | ~valid;
	s->last_cr = m.cr >> 63;
	if (unlikely(bad != 0)) {
		ends_add(s, m.lf & ((bad & -bad) - 1));
		s->w->bad = (uint32_t)(s->base + (size_t)__builtin_ctzll(bad));
		s->w->not_token[block + 1] = ~0ull;
		s->w->end_count = s->ends;
		return false;
	}
	ends_add(s, m.lf);
	s->base += 64;
	return true;
}

static ALWAYS_INLINE void window_done(struct window_fill *s, size_t n)
{
	s->w->not_token[s->base / 64] = ~0ull;
	s->w->end_count = s->ends;
	s->w->bad = (uint32_t)n;
}

/* Bit i tells of byte i of a stretch of a target. */
struct target_masks {
	uint64_t stop;
	uint64_t query;
	uint64_t look; /* '%' and '\' */
	uint64_t slash;
	uint64_t dot;
};

struct target_fill {
	struct http1_target *t;
	size_t base;
	uint64_t last_slash;
};

/* Adds a stretch of count bytes at s->base, less than 64. True when the target ended in it. Masks
 * for fewer bytes than were loaded, at the end, have the others shifted out: skip says how many. */
static ALWAYS_INLINE bool target_add(struct target_fill *s, struct target_masks m, size_t count,
                                     size_t skip)
{
	uint64_t stop = m.stop >> skip | 1ull << count;
	uint64_t before = (stop & -stop) - 1;
	uint64_t query = (m.query >> skip) & before;
	uint64_t dots = (m.dot & (m.slash << 1 | s->last_slash)) | m.look;

	if (query != 0 && s->t->query == SIZE_MAX)
		s->t->query = s->base + (size_t)__builtin_ctzll(query);
	s->t->closer |= (dots >> skip & before) != 0;
	s->last_slash = (m.slash >> skip) >> (count - 1);
	s->base += (size_t)__builtin_ctzll(stop);
	return (m.stop >> skip) != 0;
}

static ALWAYS_INLINE void target_done(struct target_fill *s)
{
	s->t->end = s->base;
	s->t->query = min_size(s->t->query, s->base);
}

#endif
