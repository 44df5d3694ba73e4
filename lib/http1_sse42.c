/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The SSE4.2 path of the HTTP/1.1 scans; runs only where http1_init found SSE4.2. */
#include <immintrin.h>

#include "lib/http1_simd.h"

#define SIMD        __attribute__((target("sse4.2,popcnt")))
#define SIMD_INLINE SIMD ALWAYS_INLINE
#define VEC_BYTES   16
#define simd_window window_sse42
#define simd_target target_sse42

#define vec_and       _mm_and_si128
#define vec_or        _mm_or_si128
#define vec_andnot    _mm_andnot_si128
#define vec_equal     _mm_cmpeq_epi8
#define vec_above     _mm_cmpgt_epi8
#define vec_min       _mm_min_epu8
#define vec_pick      _mm_shuffle_epi8
#define vec_set       _mm_set1_epi8
#define vec_halve(v)  _mm_srli_epi16(v, 4)
#define vec_each(...) _mm_setr_epi8(__VA_ARGS__)

typedef __m128i vec;

static SIMD_INLINE vec vec_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static SIMD_INLINE uint64_t vec_bits(vec v)
{
	return (uint32_t)_mm_movemask_epi8(v);
}

#include "lib/http1_simd_walk.h"

static SIMD_INLINE struct masks masks_64(const char *p)
{
	struct masks m = masks_of(vec_load(p));

	masks_shift_or(&m, masks_of(vec_load(p + 16)), 16);
	masks_shift_or(&m, masks_of(vec_load(p + 32)), 32);
	masks_shift_or(&m, masks_of(vec_load(p + 48)), 48);
	return m;
}

static SIMD_INLINE struct masks masks_few(const char *p, size_t n)
{
	struct masks m = {0};
	uint64_t words[2];

	if (n >= 16) {
		for (size_t i = 0; i + 16 <= n; i += 16)
			masks_shift_or(&m, masks_of(vec_load(p + i)), i);
		masks_shift_or(&m, masks_of(vec_load(p + n - 16)), n - 16);
		return m;
	}
	load_short(p, n, words);
	return masks_short(_mm_set_epi64x((long long)words[1], (long long)words[0]), n);
}

const struct http1_scan_path http1_scan_sse42 = {
        .name = "sse42",
        .window = window_sse42,
        .target = target_sse42,
};
