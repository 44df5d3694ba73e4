/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What each stage of a core's round costs, as the core publishes it in the channel's shared memory:
 * the core alone writes (dataplane/stages.h), anybody reads with relaxed loads, and a reader costs
 * the core nothing. Calls and items are of every round; cycles are of the rounds that were timed.
 * The list of stages is stages.def. */
#ifndef LIB_STAGES_H
#define LIB_STAGES_H

#include "lib/base.h"

enum stage_id {
#define STAGE(id, item, help) STAGE_##id,
#include "lib/stages.def"
#undef STAGE
	STAGE_COUNT
};

struct stage_info {
	const char *name;
	const char *item; /* what it counts, in the singular */
	const char *help;
};

/* One row for each enum stage_id. */
extern const struct stage_info stage_infos[STAGE_COUNT];

/* Filled bursts by size: 1, 2 to 3, 4 to 7, ..., 32 and more. */
#define STAGE_BURSTS 6u

/* One cache line a stage. A call without items (an empty queue) counts as none, but in a round that
 * is timed its cycles belong to the stage. */
struct stage_stats {
	uint64_t calls; /* with at least one item */
	uint64_t items;
	uint64_t timed_calls; /* the same, of rounds that were timed */
	uint64_t timed_items;
	uint64_t timed_cycles; /* TSC, of timed rounds in which any stage had an item */
	uint64_t max_cycles;   /* of a timed call, since the start */
	/* The most of the second that runs and of the one before, so that who looks once a second
	 * misses none. */
	uint64_t peak_cycles;
	uint64_t last_peak_cycles;
};
static_assert(sizeof(struct stage_stats) == CACHE_LINE, "a stage touches one line");

struct stages {
	uint32_t cpu;
	uint32_t mode;           /* enum config_stages */
	uint64_t started_cycles; /* TSC when the core was made */
	uint64_t rounds;       /* in which any stage had an item */
	uint64_t timed_rounds; /* of these */
	uint64_t burst[STAGE_BURSTS];
	struct stage_stats stage[STAGE_COUNT] ALIGNED(CACHE_LINE);
} ALIGNED(CACHE_LINE);

static inline void stage_store(uint64_t *cell, uint64_t value)
{
	__atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

static inline uint32_t stage_burst_index(uint32_t packets)
{
	return min_u32(31u - (uint32_t)__builtin_clz(packets), STAGE_BURSTS - 1);
}

/* Fewest and most packets of a burst's class; the last has no end: UINT32_MAX. */
uint32_t stage_burst_least(uint32_t index);
uint32_t stage_burst_most(uint32_t index);

#endif
