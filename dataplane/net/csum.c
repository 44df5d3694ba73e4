/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Words of 64 bits are added with the carry fed back, which keeps the sum's value modulo 2^16 - 1
 * (RFC 1071 2: the order of bytes and the width of words do not matter). Long runs go through AVX2,
 * where 32-bit halves are added into 64-bit lanes that cannot overflow at lengths below 2^34. */
#include "dataplane/net/csum.h"

#include <immintrin.h>

/* Below this the vector loop does not pay. */
#define VECTOR_MIN 128u

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint64_t add64(uint64_t sum, uint64_t v)
{
	sum += v;
	return sum + (sum < v);
}

static inline uint32_t fold32(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

/* The last 0 to 7 bytes as one word; a lone last byte counts as the first of a pair, padded with
 * zero (RFC 1071 4.1), which a little-endian load into zeroed bytes gives. */
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

static uint64_t add_short(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t odd = 0;

	for (; len >= 16; p += 16, len -= 16) {
		sum = add64(sum, load64(p));
		odd = add64(odd, load64(p + 8));
	}
	if (len >= 8) {
		sum = add64(sum, load64(p));
		p += 8;
		len -= 8;
	}
	return add64(add64(sum, odd), load_tail(p, len));
}

__attribute__((target("avx2"))) static inline uint64_t lanes_sum(__m256i v)
{
	uint64_t lane[4];

	_mm256_storeu_si256((__m256i *)(void *)lane, v);
	return add64(add64(lane[0], lane[1]), add64(lane[2], lane[3]));
}

__attribute__((target("avx2"))) static uint64_t add_avx2(const uint8_t *p, size_t len)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i a = _mm256_setzero_si256();
	__m256i b = a;

	for (size_t at = 0; at < len; at += 64) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + at));
		__m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(p + at + 32));

		a = _mm256_add_epi64(a, _mm256_and_si256(x, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
		a = _mm256_add_epi64(a, _mm256_and_si256(y, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(y, 32));
	}
	return add64(lanes_sum(a), lanes_sum(b));
}

__attribute__((target("avx2"))) static uint64_t copy_avx2(uint8_t *d, const uint8_t *p, size_t len)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i a = _mm256_setzero_si256();
	__m256i b = a;

	for (size_t at = 0; at < len; at += 64) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + at));
		__m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(p + at + 32));

		_mm256_storeu_si256((__m256i *)(void *)(d + at), x);
		_mm256_storeu_si256((__m256i *)(void *)(d + at + 32), y);
		a = _mm256_add_epi64(a, _mm256_and_si256(x, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
		a = _mm256_add_epi64(a, _mm256_and_si256(y, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(y, 32));
	}
	return add64(lanes_sum(a), lanes_sum(b));
}

uint32_t csum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t acc = sum;

	if (len >= VECTOR_MIN && __builtin_cpu_supports("avx2")) {
		size_t bulk = len & ~(size_t)63;

		acc = add64(acc, add_avx2(p, bulk));
		p += bulk;
		len -= bulk;
	}
	return fold32(add_short(acc, p, len));
}

uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum)
{
	const uint8_t *p = src;
	uint8_t *d = dst;
	uint64_t acc = sum;

	if (len >= VECTOR_MIN && __builtin_cpu_supports("avx2")) {
		size_t bulk = len & ~(size_t)63;

		acc = add64(acc, copy_avx2(d, p, bulk));
		p += bulk;
		d += bulk;
		len -= bulk;
	}
	if (len == 0)
		return fold32(acc);
	memcpy(d, p, len);
	return fold32(add_short(acc, p, len));
}
