/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sums and ratios over the cores' counters, the same for the admin socket and for HTTP. Pure: reads
 * the channel's statistics through chan_server_stats only, from any thread. */
#ifndef CONTROL_METRICS_SUMMARY_H
#define CONTROL_METRICS_SUMMARY_H

#include "control/chan_server.h"
#include "lib/counters.h"

#include <jansson.h>

struct summary {
	uint32_t cores;             /* that could be read */
	struct core_stats total;    /* sums */
	struct core_stats *by_core; /* cores of them */
};

/* Reads cores 0 to cores - 1. summary_free gives the memory back, also after a failure. */
enum status summary_collect(struct summary *s, struct chan_server *chan, uint32_t cores);
void summary_free(struct summary *s);

/* Hits among the requests that a cache may answer (hit, miss, stale; not bypass); -1 when there
 * were none. */
double summary_hit_ratio(const struct counters *c);
/* {"count", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns"}; the quantiles are null when there
 * were no events. */
json_t *summary_latency_json(const struct hist *h);
/* The body of /metrics.json. up: is the dataplane attached? */
json_t *summary_json(const struct summary *s, bool up);

#endif
