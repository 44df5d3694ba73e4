/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The scans of http1_scan.h over vectors of any width: what is the same for all instruction sets is
 * said here. Included by http1_avx2.c and http1_sse42.c only, once each, behind their own words for
 * it:
 *
 * SIMD, SIMD_INLINE     attributes of a function, and of one that goes into its callers
 * vec, VEC_BYTES        a vector
 * vec_load, vec_set, vec_each(list)  from memory; one byte everywhere; a list of 16, repeated
 * vec_and, vec_or, vec_andnot (not the first, and the second), vec_equal, vec_above (signed),
 * vec_min (unsigned), vec_pick (PSHUFB), vec_halve (16-bit words shifted by four bits)
 * vec_bits              a bit for each byte's highest
 * simd_window, simd_target           names of what is made here
 *
 * and followed by masks_64 and masks_few, which are best made another way for each width. */

/* Of 64 bytes, and of 1 to 63: no byte outside of them is read, no bits behind them are set. */
static SIMD_INLINE struct masks masks_64(const char *p);
static SIMD_INLINE struct masks masks_few(const char *p, size_t n);

static SIMD_INLINE vec is_byte(vec v, char c)
{
	return vec_equal(v, vec_set(c));
}

static SIMD_INLINE struct masks masks_of(vec v)
{
	const vec columns = vec_each(HTTP1_TOKEN_COLUMNS);
	const vec rows = vec_each(HTTP1_TOKEN_ROWS);
	vec high = vec_and(vec_halve(v), vec_set(0x0f));
	vec token = vec_and(vec_pick(columns, v), vec_pick(rows, high));
	vec low = vec_equal(vec_min(v, vec_set(0x1f)), v);
	vec ctl = vec_or(vec_andnot(is_byte(v, '\t'), low), is_byte(v, 0x7f));

	return (struct masks){
	        .not_token = vec_bits(is_byte(token, 0)),
	        .ctl = vec_bits(ctl),
	        .cr = vec_bits(is_byte(v, '\r')),
	        .lf = vec_bits(is_byte(v, '\n')),
	};
}

/* Of 1 to 15 bytes, which lie in v with zeros behind them. */
static SIMD_INLINE struct masks masks_short(vec v, size_t n)
{
	struct masks m = masks_of(v);
	uint64_t valid = (1ull << n) - 1;

	/* The zeros behind are control bytes, but not ours; CR and LF they are not. */
	m.ctl &= valid;
	m.not_token &= valid;
	return m;
}

static SIMD void simd_window(const char *p, size_t n, struct http1_window *w)
{
	struct window_fill s = {.w = w};
	size_t rest = n % 64;

	while (s.base + 64 <= n)
		if (!block_add(&s, masks_64(p + s.base), 64))
			return;
	if (rest > 0) {
		/* The last 64 bytes hold the rest at their end. */
		struct masks m =
		        n > 64 ? masks_drop(masks_64(p + n - 64), 64 - rest) : masks_few(p, n);

		if (!block_add(&s, m, rest))
			return;
	}
	window_done(&s, n);
}

static SIMD_INLINE struct target_masks target_of(vec v)
{
	/* Bytes from 0x80 up are negative, so not above 0x20. */
	vec above = vec_above(v, vec_set(0x20));
	vec not_these = vec_or(is_byte(v, '#'), is_byte(v, 0x7f));
	vec look = vec_or(is_byte(v, '%'), is_byte(v, '\\'));

	return (struct target_masks){
	        .stop = vec_bits(vec_andnot(not_these, above)) ^ ((1ull << VEC_BYTES) - 1),
	        .query = vec_bits(is_byte(v, '?')),
	        .look = vec_bits(look),
	        .slash = vec_bits(is_byte(v, '/')),
	        .dot = vec_bits(is_byte(v, '.')),
	};
}

static SIMD void simd_target(const char *p, size_t n, struct http1_target *t)
{
	struct target_fill s = {.t = t};
	size_t rest = n % VEC_BYTES;
	bool ended = false;

	if (n < VEC_BYTES) {
		http1_scan_scalar.target(p, n, t);
		return;
	}
	t->query = SIZE_MAX;
	t->closer = false;
	while (!ended && n - s.base >= VEC_BYTES)
		ended = target_add(&s, target_of(vec_load(p + s.base)), VEC_BYTES, 0);
	if (!ended && rest > 0)
		target_add(&s, target_of(vec_load(p + n - VEC_BYTES)), rest, VEC_BYTES - rest);
	target_done(&s);
}
