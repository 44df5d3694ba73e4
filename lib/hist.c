/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/hist.h"

uint64_t hist_bucket_max_ns(uint32_t index)
{
	return hist_log_max(min_u32(index, HIST_BUCKETS - 1), HIST_SUB_BITS);
}

static uint64_t load(const uint64_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

void hist_merge(struct hist *dst, const struct hist *src)
{
	dst->count += load(&src->count);
	dst->sum_ns += load(&src->sum_ns);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		dst->bucket[i] += load(&src->bucket[i]);
}

uint64_t hist_quantile_ns(const struct hist *h, double q)
{
	uint64_t total = 0, seen = 0;
	uint32_t last = 0;

	/* Not h->count: a writer may be between the bucket and the count. */
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		total += load(&h->bucket[i]);
	if (total == 0)
		return 0;
	if (!(q > 0))
		q = 0;
	double rank = (q > 1 ? 1 : q) * (double)total;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		uint64_t n = load(&h->bucket[i]);
		if (n == 0)
			continue;
		seen += n;
		last = i;
		if ((double)seen >= rank)
			break;
	}
	return hist_bucket_max_ns(last);
}
