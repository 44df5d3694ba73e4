/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters of one poll core, in the channel's shared memory: the core alone writes, anybody reads.
 * A scrape costs the core nothing. The list is counters.def. */
#ifndef LIB_COUNTERS_H
#define LIB_COUNTERS_H

#include "lib/base.h"
#include "lib/hist.h"
#include "lib/stages.h"

enum counter_id {
#define COUNTER(id, metric, labels, help) CTR_##id,
#define DROP(id, reason, help)            CTR_##id,
#define SHED(id, reason, help)            CTR_##id,
#include "lib/counters.def"
#undef COUNTER
#undef DROP
#undef SHED
	CTR_COUNT
};

enum counter_kind { COUNTER_EVENT, COUNTER_DROP, COUNTER_SHED };

struct counter_info {
	const char *id;
	const char *metric; /* Prometheus name */
	const char *labels; /* label pairs without braces, or "" */
	const char *help;
	enum counter_kind kind;
};

/* One row for each enum counter_id. */
extern const struct counter_info counter_infos[CTR_COUNT];

struct counters {
	uint64_t v[CTR_COUNT];
};

/* Requests of routes with a cache rule, by the rule's index in the snapshot. */
enum rule_result {
	RULE_HIT,
	RULE_MISS,
	RULE_STALE,
	RULE_BYPASS,
	RULE_PATTERN_HIT, /* by an answer that is shared by what it depends on */
	RULE_PATTERN_STALE,
	RULE_RESULTS
};

#define RULE_STATS_MAX 256u

struct rule_stats {
	uint64_t snapshot_id; /* whose indices these are; all is 0 again with a new one */
	uint64_t v[RULE_STATS_MAX][RULE_RESULTS];
};

/* What a core publishes. */
struct core_stats {
	struct counters counters;
	struct hist hit;  /* start of the round that read the request to its answer at the NIC */
	struct hist miss; /* head parsed to the answer's last byte queued in TCP */
	struct stages stages;
	struct rule_stats rules;
} ALIGNED(CACHE_LINE);

static inline void counter_set(struct counters *c, enum counter_id id, uint64_t value)
{
	__atomic_store_n(&c->v[id], value, __ATOMIC_RELAXED);
}

static inline void counter_add(struct counters *c, enum counter_id id, uint64_t n)
{
	counter_set(c, id, c->v[id] + n);
}

static inline void counter_inc(struct counters *c, enum counter_id id)
{
	counter_add(c, id, 1);
}

static inline uint64_t counter_read(const struct counters *c, enum counter_id id)
{
	return __atomic_load_n(&c->v[id], __ATOMIC_RELAXED);
}

#endif
