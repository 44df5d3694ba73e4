/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hashing of bytes that a client chose: XXH3 under a secret seed, so that nobody outside can aim at
 * one bucket. libxxhash is used in hash.c only. */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include "lib/base.h"

struct hash128 {
	uint64_t lo;
	uint64_t hi;
};

uint64_t hash64(const void *data, size_t len, uint64_t seed);
struct hash128 hash128(const void *data, size_t len, uint64_t seed);
/* SipHash-2-4 with a 128-bit key: initial sequence numbers and cookies (RFC 6528, RFC 4987). */
uint64_t siphash24(const void *data, size_t len, const uint64_t key[2]);
/* Fills from getrandom(2); aborts the start of the program when the kernel has none. */
void random_bytes(void *out, size_t len);

static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
	return ((a.lo ^ b.lo) | (a.hi ^ b.hi)) == 0;
}

#endif
