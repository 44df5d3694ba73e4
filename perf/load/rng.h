/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random numbers of a load run: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2021), seeded by SplitMix64, so that a run can be repeated from its seed.
 * For choosing requests, never for secrets. */
#ifndef PERF_LOAD_RNG_H
#define PERF_LOAD_RNG_H

#include "lib/base.h"

struct load_rng {
	uint64_t s[4];
};

/* stream: of a worker, so that the same seed gives each worker numbers of its own. */
static inline void load_rng_seed(struct load_rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t x = seed ^ (stream * 0xd1342543de82ef95ull);

	for (uint32_t i = 0; i < 4; i++) {
		uint64_t z = (x += 0x9e3779b97f4a7c15ull);
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		r->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t load_rng_rotl(uint64_t x, uint32_t n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t load_rng_next(struct load_rng *r)
{
	uint64_t *s = r->s;
	uint64_t out = load_rng_rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = load_rng_rotl(s[3], 45);
	return out;
}

/* Evenly in [0, 1). */
static inline double load_rng_unit(struct load_rng *r)
{
	return (double)(load_rng_next(r) >> 11) * 0x1p-53;
}

/* Evenly below n, 0 for n of 0; the bias, n / 2^64, is far below what a run could show. */
static inline uint64_t load_rng_below(struct load_rng *r, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)load_rng_next(r) * n) >> 64);
}

#endif
