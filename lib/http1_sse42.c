/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The SSE4.2 path of the HTTP/1.1 scans; runs only where http1_init found SSE4.2. */
#include <immintrin.h>

#include "lib/http1_simd.h"

#define SSE42        __attribute__((target("sse4.2,popcnt")))
#define SSE42_INLINE SSE42 ALWAYS_INLINE

static SSE42_INLINE __m128i load_16(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static SSE42_INLINE uint64_t bits_of(__m128i v)
{
	return (uint32_t)_mm_movemask_epi8(v);
}

static SSE42_INLINE __m128i equal_to(__m128i v, char c)
{
	return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static SSE42_INLINE struct masks masks_16(__m128i v)
{
	const __m128i columns = _mm_setr_epi8(HTTP1_TOKEN_COLUMNS);
	const __m128i rows = _mm_setr_epi8(HTTP1_TOKEN_ROWS);
	__m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0f));
	__m128i token = _mm_and_si128(_mm_shuffle_epi8(columns, v), _mm_shuffle_epi8(rows, high));
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
	__m128i ctl = _mm_or_si128(_mm_andnot_si128(equal_to(v, '\t'), low), equal_to(v, 0x7f));

	return (struct masks){
	        .not_token = bits_of(_mm_cmpeq_epi8(token, _mm_setzero_si128())),
	        .ctl = bits_of(ctl),
	        .cr = bits_of(equal_to(v, '\r')),
	        .lf = bits_of(equal_to(v, '\n')),
	};
}

static SSE42_INLINE struct masks masks_64(const char *p)
{
	struct masks m = masks_16(load_16(p));

	masks_shift_or(&m, masks_16(load_16(p + 16)), 16);
	masks_shift_or(&m, masks_16(load_16(p + 32)), 32);
	masks_shift_or(&m, masks_16(load_16(p + 48)), 48);
	return m;
}

/* 1..63 bytes, no byte outside of them read, no bits behind them set. */
static SSE42_INLINE struct masks masks_few(const char *p, size_t n)
{
	struct masks m = {0};
	uint64_t words[2];
	uint64_t valid;

	if (n >= 16) {
		for (size_t i = 0; i + 16 <= n; i += 16)
			masks_shift_or(&m, masks_16(load_16(p + i)), i);
		masks_shift_or(&m, masks_16(load_16(p + n - 16)), n - 16);
		return m;
	}
	load_short(p, n, words);
	m = masks_16(_mm_set_epi64x((long long)words[1], (long long)words[0]));
	valid = (1ull << n) - 1;
	/* The zeros behind are control bytes, but not ours; CR and LF they are not. */
	m.ctl &= valid;
	m.not_token &= valid;
	return m;
}

static SSE42 void window_sse42(const char *p, size_t n, struct http1_window *w)
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

static SSE42_INLINE struct target_masks target_16(__m128i v)
{
	/* Bytes from 0x80 up are negative, so not above 0x20. */
	__m128i above = _mm_cmpgt_epi8(v, _mm_set1_epi8(0x20));
	__m128i not_these = _mm_or_si128(equal_to(v, '#'), equal_to(v, 0x7f));
	__m128i look = _mm_or_si128(equal_to(v, '%'), equal_to(v, '\\'));

	return (struct target_masks){
	        .stop = bits_of(_mm_andnot_si128(not_these, above)) ^ UINT16_MAX,
	        .query = bits_of(equal_to(v, '?')),
	        .look = bits_of(look),
	        .slash = bits_of(equal_to(v, '/')),
	        .dot = bits_of(equal_to(v, '.')),
	};
}

static SSE42 void target_sse42(const char *p, size_t n, struct http1_target *t)
{
	struct target_fill s = {.t = t};
	size_t rest = n % 16;
	bool ended = false;

	if (n < 16) {
		http1_scan_scalar.target(p, n, t);
		return;
	}
	t->query = SIZE_MAX;
	t->closer = false;
	while (!ended && n - s.base >= 16)
		ended = target_add(&s, target_16(load_16(p + s.base)), 16, 0);
	if (!ended && rest > 0)
		target_add(&s, target_16(load_16(p + n - 16)), rest, 16 - rest);
	target_done(&s);
}

const struct http1_scan_path http1_scan_sse42 = {
        .name = "sse42",
        .window = window_sse42,
        .target = target_sse42,
};
