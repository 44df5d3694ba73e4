/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Internet checksum (RFC 1071, RFC 1624). Sums are 32-bit ones-complement partial sums in
 * memory order; csum_fold makes the 16-bit value that goes into a header. */
#ifndef DATAPLANE_NET_CSUM_H
#define DATAPLANE_NET_CSUM_H

#include "lib/base.h"

/* Adds len bytes to sum. Runs may be joined only at even offsets. */
uint32_t csum_add(uint32_t sum, const void *data, size_t len);
/* Copies and sums in one pass. */
uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum);

static inline uint64_t csum_load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint64_t csum_add64(uint64_t sum, uint64_t v)
{
	sum += v;
	return sum + (sum < v);
}

/* Adds n words of 64 bits; for a number that is known where it is called. */
static inline uint64_t csum_words(uint64_t sum, const void *data, uint32_t n)
{
	const uint8_t *p = data;

	for (uint32_t i = 0; i < n; i++)
		sum = csum_add64(sum, csum_load64(p + 8 * i));
	return sum;
}

static inline uint32_t csum_fold32(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)(sum + (sum >> 32));
}

/* The sum of two runs, the first of an even length. */
static inline uint32_t csum_join(uint32_t a, uint32_t b)
{
	uint64_t sum = (uint64_t)a + b;

	return (uint32_t)(sum + (sum >> 32));
}

static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Folded but not inverted: what a port that finishes the checksum wants to find in the field. */
static inline uint16_t csum_fold_partial(uint32_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

#endif
