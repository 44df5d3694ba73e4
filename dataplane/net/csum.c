/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Words of 64 bits are added with the carry fed back, which keeps the sum's value modulo 2^16 - 1
 * (RFC 1071 2: the order of bytes and the width of words do not matter). Long runs go through AVX2,
 * where 32-bit halves are added into 64-bit lanes that cannot overflow at lengths below 2^34. What
 * is left behind the last whole word or vector is read as the run's last word or vector, with the
 * bytes that were summed already taken off: no loop, and no byte outside of the run. */
#include "dataplane/net/csum.h"

#include <immintrin.h>

/* Below this the vector loop does not pay. */
#define VECTOR_MIN 64u

#define AVX2 __attribute__((target("avx2")))

/* The last 0 to 7 bytes of a run of fewer than 8 as one word; a lone last byte counts as the first
 * of a pair, padded with zero (RFC 1071 4.1), which a little-endian load into zeroed bytes gives.
 */
static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	size_t at = 0;

	if (len & 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		v = w;
		at = 4;
	}
	if (len & 2) {
		uint16_t h;

		memcpy(&h, p + at, 2);
		v |= (uint64_t)h << (8 * at);
		at += 2;
	}
	if (len & 1)
		v |= (uint64_t)p[at] << (8 * at);
	return v;
}

static inline uint64_t add_short(uint64_t sum, const uint8_t *p, size_t len)
{
	if (unlikely(len < 8))
		return csum_add64(sum, load_tail(p, len));
	for (; len >= 32; p += 32, len -= 32)
		sum = csum_words(sum, p, 4);
	if (len >= 16) {
		sum = csum_words(sum, p, 2);
		p += 16;
		len -= 16;
	}
	if (len >= 8) {
		sum = csum_words(sum, p, 1);
		p += 8;
		len -= 8;
	}
	if (len > 0)
		sum = csum_add64(sum, csum_load64(p + len - 8) >> (64 - 8 * len));
	return sum;
}

static inline uint64_t copy_short(uint64_t sum, uint8_t *d, const uint8_t *p, size_t len)
{
	if (unlikely(len < 8)) {
		for (size_t i = 0; i < len; i++)
			d[i] = p[i];
		return csum_add64(sum, load_tail(p, len));
	}
	for (; len >= 8; p += 8, d += 8, len -= 8) {
		uint64_t v = csum_load64(p);

		memcpy(d, &v, 8);
		sum = csum_add64(sum, v);
	}
	if (len > 0) {
		uint64_t v = csum_load64(p + len - 8);

		memcpy(d + len - 8, &v, 8);
		sum = csum_add64(sum, v >> (64 - 8 * len));
	}
	return sum;
}

/* Lanes that hold sums of 32-bit words. */
struct lanes {
	__m256i low;
	__m256i high;
};

static AVX2 inline void lanes_add(struct lanes *l, __m256i v)
{
	l->low = _mm256_add_epi64(l->low, _mm256_and_si256(v, _mm256_set1_epi64x(0xffffffff)));
	l->high = _mm256_add_epi64(l->high, _mm256_srli_epi64(v, 32));
}

static AVX2 inline uint64_t lanes_sum(const struct lanes *l)
{
	__m256i v = _mm256_add_epi64(l->low, l->high);
	__m128i w = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	w = _mm_add_epi64(w, _mm_unpackhi_epi64(w, w));
	return (uint64_t)_mm_cvtsi128_si64(w);
}

static AVX2 inline __m256i load_32(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static AVX2 inline void store_32(uint8_t *p, __m256i v)
{
	_mm256_storeu_si256((__m256i *)(void *)p, v);
}

/* A load at keep + n has the last n bytes set, n up to 31. */
static const uint8_t keep[64] = {[32 ... 63] = 0xff};

/* The sum of the last 1 to 31 bytes of a run of len, as the whole of it goes. */
static AVX2 inline uint64_t tail_sum(__m256i last, size_t tail, size_t len)
{
	struct lanes l = {_mm256_setzero_si256(), _mm256_setzero_si256()};

	lanes_add(&l, _mm256_and_si256(last, load_32(keep + tail)));
	/* The vector ends where the run does: after an odd length its bytes are the other of their
	 * pairs (RFC 1071 2). */
	return lanes_sum(&l) << (len & 1) * 8;
}

static AVX2 uint64_t add_avx2(const uint8_t *p, size_t len)
{
	struct lanes l = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	size_t tail = len & 31;
	uint64_t sum = 0;

	if (tail > 0)
		sum = tail_sum(load_32(p + len - 32), tail, len);
	for (const uint8_t *end = p + (len - tail); p < end; p += 32)
		lanes_add(&l, load_32(p));
	return csum_add64(sum, lanes_sum(&l));
}

static AVX2 uint64_t copy_avx2(uint8_t *d, const uint8_t *p, size_t len)
{
	struct lanes l = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	size_t tail = len & 31;
	uint64_t sum = 0;

	if (tail > 0) {
		__m256i last = load_32(p + len - 32);

		store_32(d + len - 32, last);
		sum = tail_sum(last, tail, len);
	}
	len -= tail;
	for (size_t at = 0; at < (len & ~(size_t)63); at += 64) {
		__m256i v = load_32(p + at);
		__m256i w = load_32(p + at + 32);

		store_32(d + at, v);
		store_32(d + at + 32, w);
		lanes_add(&l, v);
		lanes_add(&l, w);
	}
	if (len & 32) {
		__m256i v = load_32(p + len - 32);

		store_32(d + len - 32, v);
		lanes_add(&l, v);
	}
	return csum_add64(sum, lanes_sum(&l));
}

uint32_t csum_add(uint32_t sum, const void *data, size_t len)
{
	if (len >= VECTOR_MIN && __builtin_cpu_supports("avx2"))
		return csum_fold32(csum_add64(sum, add_avx2(data, len)));
	return csum_fold32(add_short(sum, data, len));
}

uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum)
{
	if (len >= VECTOR_MIN && __builtin_cpu_supports("avx2"))
		return csum_fold32(csum_add64(sum, copy_avx2(dst, src, len)));
	return csum_fold32(copy_short(sum, dst, src, len));
}
