/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a warming may take: requests a second, requests at a time, bytes and time in all. Requests
 * are spread evenly; what a late look missed is made up for, up to WARM_LATE_NS. So any second
 * holds at most its rate, a hundredth of it, and one. Pure: the caller tells the time. */
#ifndef CONTROL_WARM_BUDGET_H
#define CONTROL_WARM_BUDGET_H

#include "lib/base.h"

#define WARM_LATE_NS (10 * NS_PER_MS)

struct warm_limits {
	uint32_t rate_per_s;  /* from 1 */
	uint32_t concurrency; /* from 1 */
	uint64_t bytes;       /* of bodies */
	uint64_t time_ms;
};

struct warm_budget {
	struct warm_limits limits;
	uint64_t end_ns;
	uint64_t next_ns; /* the next request may begin */
	uint64_t bytes;   /* used */
	uint32_t active;
};

static inline void warm_budget_start(struct warm_budget *b, const struct warm_limits *limits,
                                     uint64_t now_ns)
{
	*b = (struct warm_budget){
	        .limits = *limits,
	        .end_ns = now_ns + limits->time_ms * NS_PER_MS,
	        .next_ns = now_ns,
	};
}

/* Nothing more may begin, ever. */
static inline bool warm_budget_over(const struct warm_budget *b, uint64_t now_ns)
{
	return now_ns >= b->end_ns || b->bytes >= b->limits.bytes;
}

/* May one begin now? Then it has. */
static inline bool warm_budget_take(struct warm_budget *b, uint64_t now_ns)
{
	if (warm_budget_over(b, now_ns) || b->active >= b->limits.concurrency ||
	    now_ns < b->next_ns)
		return false;
	b->next_ns = max_u64(b->next_ns + WARM_LATE_NS, now_ns) - WARM_LATE_NS +
	             NS_PER_S / b->limits.rate_per_s;
	b->active++;
	return true;
}

/* One that began has ended. */
static inline void warm_budget_give(struct warm_budget *b, uint64_t bytes)
{
	b->active--;
	b->bytes += bytes;
}

#endif
