/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What belongs to the loop's thread, copied so that the metrics thread may read it: the attachment
 * the rows of the upstreams, and the shared store. The loop publishes, the metrics thread takes
 * copies; a mutex between. */
#ifndef CONTROL_METRICS_METRICS_VIEW_H
#define CONTROL_METRICS_METRICS_VIEW_H

#include "cache/l3.h"
#include "control/chan_server.h"
#include "control/clock_watch.h"
#include "control/control.h"
#include "control/fetch.h"
#include "control/pattern.h"
#include "control/upstream/upstream.h"
#include "control/warm.h"

/* What control counts of its tiers; all zero where there is none. */
struct metrics_tiers {
	struct fetcher_counts fetch;
	struct store_counts store;
	struct l3_counts l3;
	struct warm_counts warm;
	struct clock_counts clock;
	struct chan_server_counts chan;
};
/* Loop's thread only. */
void metrics_tiers_read(const struct control *ctl, struct metrics_tiers *out);

/* A cache rule, by its index in the snapshot that the counters of rules are of. */
struct metrics_rule {
	char name[65];
	bool semantic;
	bool pattern;
	struct pattern_state state; /* of a pattern */
};

/* The level at which a request of the rule was matched, or would have been: "exact", "semantic",
 * "pattern". */
static inline const char *metrics_rule_match(const struct metrics_rule *rule,
                                             enum rule_result result)
{
	bool own = result == RULE_HIT || result == RULE_STALE;

	if (rule->pattern && !own)
		return "pattern";
	return rule->semantic ? "semantic" : "exact";
}

/* One reading. The texts of rows belong to it. */
struct metrics_view {
	bool attached;
	bool draining; /* control stops */
	uint32_t cores;
	uint32_t down_blocks_free;
	uint64_t uptime_ms;
	struct metrics_tiers tiers;
	uint32_t row_count;
	struct upstream_row *rows;
	uint64_t snapshot_id;
	uint32_t rule_count;
	struct metrics_rule *rules;
};

/* Loop's thread only. ST_NOMEM leaves nothing to free. */
enum status metrics_view_read(const struct control *ctl, struct metrics_view *out);
/* Any thread; a deep copy. */
enum status metrics_view_copy(const struct metrics_view *from, struct metrics_view *out);
void metrics_view_free(struct metrics_view *v);

#endif
