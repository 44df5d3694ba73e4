/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/bench_evict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SCAN_RUN   10000u /* requests of one scan */
#define SCAN_ONE   5u     /* runs to one scan */
#define LOOP_SHARE 20u    /* ids to one of the loop */
#define CHURN_STEP 200u
#define TTL_RATE   4000u

void *need(void *mem)
{
	if (mem == NULL) {
		fprintf(stderr, "bench_evict: out of memory\n");
		exit(1);
	}
	return mem;
}

uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((*state >> 32) * n >> 32);
}

static uint32_t zipf_rank(const double *cdf, uint32_t n, uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;

	double want = (double)(*state >> 11) / (double)(1ull << 53) * cdf[n - 1];
	uint32_t low = 0;

	for (uint32_t high = n - 1; low < high;) {
		uint32_t mid = low + (high - low) / 2;

		if (cdf[mid] < want)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t trace_next(struct trace *tr, enum trace_kind kind, uint32_t n, uint32_t rank)
{
	static uint32_t turn;

	switch (kind) {
	case TRACE_SCAN:
		return n / SCAN_RUN % SCAN_ONE == SCAN_ONE - 1 ? tr->end++ : rank;
	case TRACE_LOOP:
		/* Behind the popular ones, so that the two do not meet. */
		return n % 2 == 0 ? rank : tr->ids + turn++ % (tr->ids / LOOP_SHARE);
	case TRACE_CHURN:
		return (rank + tr->ids - n / CHURN_STEP % tr->ids) % tr->ids;
	case TRACE_ZIPF:
	case TRACE_TTL:
		break;
	}
	return rank;
}

void trace_make(struct trace *tr, enum trace_kind kind, double skew)
{
	double *cdf = need(malloc(tr->ids * sizeof(*cdf)));
	uint64_t state = 42;
	double sum = 0;

	for (uint32_t i = 0; i < tr->ids; i++)
		cdf[i] = sum += pow(i + 1, -skew);
	tr->end = tr->ids + (kind == TRACE_LOOP ? tr->ids / LOOP_SHARE : 0);
	tr->rate = kind == TRACE_TTL ? TTL_RATE : 0;
	for (uint32_t n = 0; n < tr->requests; n++)
		tr->id[n] = trace_next(tr, kind, n, zipf_rank(cdf, tr->ids, &state));
	free(cdf);
}

uint32_t trace_ttl_s(const struct trace *tr, uint32_t id)
{
	static const uint32_t ttl_s[] = {10, 10, 10, 60, 60, 60, 60, 300, 300, 300};

	if (tr->rate == 0)
		return UINT32_MAX;
	return ttl_s[hash64(&id, sizeof(id), 1) % ARRAY_LEN(ttl_s)];
}

uint64_t trace_ms(const struct trace *tr, uint32_t request)
{
	return tr->rate == 0 ? 0 : (uint64_t)request * 1000 / tr->rate;
}

double trace_ratio(const struct trace *tr, uint64_t hits)
{
	return (double)hits / (tr->requests - tr->requests / 2);
}
