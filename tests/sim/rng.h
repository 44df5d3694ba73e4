/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random numbers of the simulator (SplitMix64): the same on every machine, one stream for each part
 * of the world, so that what one part does with its numbers does not change another's. */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include "lib/base.h"

struct rng {
	uint64_t s;
};

static inline uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t rng_next(struct rng *r)
{
	r->s += 0x9e3779b97f4a7c15ull;
	return mix64(r->s);
}

/* Below n; 0 for n of 0. */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

/* Below n, for times. */
static inline uint64_t rng_below64(struct rng *r, uint64_t n)
{
	return n == 0 ? 0 : rng_next(r) % n;
}

/* In a million; costs no number when it cannot be. */
static inline bool rng_chance(struct rng *r, uint32_t ppm)
{
	return ppm != 0 && rng_below(r, 1000000) < ppm;
}

/* Most often small, at most max: each power of two is as likely as the next. */
static inline uint32_t rng_length(struct rng *r, uint32_t max)
{
	uint32_t bits = 32u - (uint32_t)__builtin_clz(max | 1);
	uint32_t top = bits >= 32 ? UINT32_MAX : (1u << rng_below(r, bits + 1)) - 1;

	return rng_below(r, min_u32(top, max) + 1);
}

#endif
