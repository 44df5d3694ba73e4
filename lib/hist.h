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

static inline uint32_t hist_index(uint64_t ns)
{
	if (ns < (1u << HIST_SUB_BITS))
		return (uint32_t)ns;
	if (ns >> HIST_MAX_BITS)
		return HIST_BUCKETS - 1;
	uint32_t top = 63u - (uint32_t)__builtin_clzll(ns);
	uint32_t shift = top - HIST_SUB_BITS;
	return ((shift + 1) << HIST_SUB_BITS) +
	       (uint32_t)((ns >> shift) & ((1u << HIST_SUB_BITS) - 1));
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
