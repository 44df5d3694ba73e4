/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AVX2 path of the HTTP/1.1 scans; runs only where http1_init found AVX2. */
#include <immintrin.h>

#include "lib/http1_simd.h"

#define SIMD        __attribute__((target("avx2,bmi,popcnt")))
#define SIMD_INLINE SIMD ALWAYS_INLINE
#define VEC_BYTES   32
#define simd_window window_avx2
#define simd_target target_avx2

#define vec_and       _mm256_and_si256
#define vec_or        _mm256_or_si256
#define vec_andnot    _mm256_andnot_si256
#define vec_equal     _mm256_cmpeq_epi8
#define vec_above     _mm256_cmpgt_epi8
#define vec_min       _mm256_min_epu8
#define vec_pick      _mm256_shuffle_epi8
#define vec_set       _mm256_set1_epi8
#define vec_halve(v)  _mm256_srli_epi16(v, 4)
#define vec_each(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

typedef __m256i vec;

static SIMD_INLINE vec vec_load(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static SIMD_INLINE uint64_t vec_bits(vec v)
{
	return (uint32_t)_mm256_movemask_epi8(v);
}

#include "lib/http1_simd_walk.h"

static SIMD_INLINE struct masks masks_64(const char *p)
{
	struct masks m = masks_of(vec_load(p));

	masks_shift_or(&m, masks_of(vec_load(p + 32)), 32);
	return m;
}

/* 16..31 bytes as two halves that overlap, pushed together. */
static SIMD_INLINE struct masks masks_halves(const char *p, size_t n)
{
	__m128i first = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i last = _mm_loadu_si128((const __m128i *)(const void *)(p + n - 16));
	struct masks both = masks_of(_mm256_set_m128i(last, first));
	struct masks m = {both.not_token & 0xffff, both.ctl & 0xffff, both.cr & 0xffff,
	                  both.lf & 0xffff};

	masks_shift_or(&m, masks_drop(both, 16), n - 16);
	return m;
}

static SIMD_INLINE struct masks masks_few(const char *p, size_t n)
{
	uint64_t words[2];
	struct masks m;

	if (n >= 32) {
		m = masks_of(vec_load(p));
		masks_shift_or(&m, masks_of(vec_load(p + n - 32)), n - 32);
		return m;
	}
	if (n >= 16)
		return masks_halves(p, n);
	load_short(p, n, words);
	return masks_short(_mm256_set_epi64x(0, 0, (long long)words[1], (long long)words[0]), n);
}

const struct http1_scan_path http1_scan_avx2 = {
        .name = "avx2",
        .window = window_avx2,
        .target = target_avx2,
};
