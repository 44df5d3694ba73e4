/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Log-linear histogram of nanoseconds in shared memory: 16 linear steps an octave (error at most
 * 6.25 %), from 0 to 2^40 ns. One writer, any readers; a reader may see a sum that is a few events
 * ahead of the buckets. */
#ifndef LIB_HIST_H
#define LIB_HIST_H

#include "lib/base.h"

#define HIST_SUB_BITS 4u
#define HIST_MAX_BITS 40u
#define HIST_BUCKETS  ((HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t bucket[HIST_BUCKETS];
};

/* The arithmetic for any number of steps: 1 << sub_bits an octave up to 1 << max_bits, in
 * (max_bits - sub_bits + 1) << sub_bits buckets; above, the last one. */
static inline uint32_t hist_log_index(uint64_t ns, uint32_t sub_bits, uint32_t max_bits)
{
	if (ns < (1u << sub_bits))
		return (uint32_t)ns;
	if (ns >> max_bits)
		return ((max_bits - sub_bits + 1) << sub_bits) - 1;
	uint32_t top = 63u - (uint32_t)__builtin_clzll(ns);
	uint32_t shift = top - sub_bits;
	return ((shift + 1) << sub_bits) + (uint32_t)((ns >> shift) & ((1u << sub_bits) - 1));
}

/* Largest value of a bucket; index must be one of the buckets. */
static inline uint64_t hist_log_max(uint32_t index, uint32_t sub_bits)
{
	const uint32_t steps = 1u << sub_bits;

	if (index < steps)
		return index;
	uint32_t shift = (index >> sub_bits) - 1;
	uint64_t mantissa = steps + (index & (steps - 1));
	return ((mantissa + 1) << shift) - 1;
}

static inline uint32_t hist_index(uint64_t ns)
{
	return hist_log_index(ns, HIST_SUB_BITS, HIST_MAX_BITS);
}

static inline void hist_store(uint64_t *cell, uint64_t value)
{
	__atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

/* n events of the same duration. */
static inline void hist_add_n(struct hist *h, uint64_t ns, uint64_t n)
{
	uint64_t *b = &h->bucket[hist_index(ns)];

	hist_store(b, *b + n);
	hist_store(&h->count, h->count + n);
	hist_store(&h->sum_ns, h->sum_ns + ns * n);
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	hist_add_n(h, ns, 1);
}

/* Largest value of a bucket, ns. */
uint64_t hist_bucket_max_ns(uint32_t index);
/* Adds a relaxed read of src to dst, for a sum over cores. */
void hist_merge(struct hist *dst, const struct hist *src);
/* The value below which a fraction q in [0, 1] of the events lie; 0 when there are none. */
uint64_t hist_quantile_ns(const struct hist *h, double q);

#endif
