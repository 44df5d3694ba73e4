/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AVX2 path of the HTTP/1.1 scans; runs only where http1_init found AVX2. */
#include <immintrin.h>

#include "lib/http1_simd.h"

#define AVX2        __attribute__((target("avx2,bmi,popcnt")))
#define AVX2_INLINE AVX2 ALWAYS_INLINE

static AVX2_INLINE __m256i load_32(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static AVX2_INLINE uint64_t bits_of(__m256i v)
{
	return (uint32_t)_mm256_movemask_epi8(v);
}

static AVX2_INLINE __m256i equal_to(__m256i v, char c)
{
	return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

static AVX2_INLINE struct masks masks_32(__m256i v)
{
	const __m256i columns = _mm256_setr_epi8(HTTP1_TOKEN_COLUMNS, HTTP1_TOKEN_COLUMNS);
	const __m256i rows = _mm256_setr_epi8(HTTP1_TOKEN_ROWS, HTTP1_TOKEN_ROWS);
	__m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
	__m256i token =
	        _mm256_and_si256(_mm256_shuffle_epi8(columns, v), _mm256_shuffle_epi8(rows, high));
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
	__m256i ctl =
	        _mm256_or_si256(_mm256_andnot_si256(equal_to(v, '\t'), low), equal_to(v, 0x7f));

	return (struct masks){
	        .not_token = bits_of(_mm256_cmpeq_epi8(token, _mm256_setzero_si256())),
	        .ctl = bits_of(ctl),
	        .cr = bits_of(equal_to(v, '\r')),
	        .lf = bits_of(equal_to(v, '\n')),
	};
}

static AVX2_INLINE struct masks masks_64(const char *p)
{
	struct masks m = masks_32(load_32(p));

	masks_shift_or(&m, masks_32(load_32(p + 32)), 32);
	return m;
}

/* 16..31 bytes as two halves that overlap, pushed together. */
static AVX2_INLINE struct masks masks_halves(const char *p, size_t n)
{
	__m128i first = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i last = _mm_loadu_si128((const __m128i *)(const void *)(p + n - 16));
	struct masks both = masks_32(_mm256_set_m128i(last, first));
	struct masks m = {both.not_token & 0xffff, both.ctl & 0xffff, both.cr & 0xffff,
	                  both.lf & 0xffff};

	masks_shift_or(&m, masks_drop(both, 16), n - 16);
	return m;
}

/* 1..63 bytes, no byte outside of them read, no bits behind them set. */
static AVX2_INLINE struct masks masks_few(const char *p, size_t n)
{
	uint64_t words[2];
	struct masks m;
	uint64_t valid;

	if (n >= 32) {
		m = masks_32(load_32(p));
		masks_shift_or(&m, masks_32(load_32(p + n - 32)), n - 32);
		return m;
	}
	if (n >= 16)
		return masks_halves(p, n);
	load_short(p, n, words);
	m = masks_32(_mm256_set_epi64x(0, 0, (long long)words[1], (long long)words[0]));
	valid = (1ull << n) - 1;
	/* The zeros behind are control bytes, but not ours; CR and LF they are not. */
	m.ctl &= valid;
	m.not_token &= valid;
	return m;
}

static AVX2 void window_avx2(const char *p, size_t n, struct http1_window *w)
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

static AVX2_INLINE struct target_masks target_32(__m256i v)
{
	/* Bytes from 0x80 up are negative, so not above 0x20. */
	__m256i above = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(0x20));
	__m256i not_these = _mm256_or_si256(equal_to(v, '#'), equal_to(v, 0x7f));
	__m256i look = _mm256_or_si256(equal_to(v, '%'), equal_to(v, '\\'));

	return (struct target_masks){
	        .stop = bits_of(_mm256_andnot_si256(not_these, above)) ^ UINT32_MAX,
	        .query = bits_of(equal_to(v, '?')),
	        .look = bits_of(look),
	        .slash = bits_of(equal_to(v, '/')),
	        .dot = bits_of(equal_to(v, '.')),
	};
}

static AVX2 void target_avx2(const char *p, size_t n, struct http1_target *t)
{
	struct target_fill s = {.t = t};
	size_t rest = n % 32;
	bool ended = false;

	if (n < 32) {
		http1_scan_scalar.target(p, n, t);
		return;
	}
	t->query = SIZE_MAX;
	t->closer = false;
	while (!ended && n - s.base >= 32)
		ended = target_add(&s, target_32(load_32(p + s.base)), 32, 0);
	if (!ended && rest > 0)
		target_add(&s, target_32(load_32(p + n - 32)), rest, 32 - rest);
	target_done(&s);
}

const struct http1_scan_path http1_scan_avx2 = {
        .name = "avx2",
        .window = window_avx2,
        .target = target_avx2,
};
