/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP for Prometheus and for probes on admin.metrics_address:metrics_port: GET /metrics (text
 * format 0.0.4), /metrics.json (a summary), /healthz (200 while control runs), /readyz (503 while
 * no dataplane is attached).
 *
 * Called by main. A thread of its own serves it, so that a scrape never delays a miss, and costs
 * the cores nothing but reads of their counters. That thread reads the cores' statistics from the
 * shared memory, and everything else from a copy that a timer on the loop makes (metrics_view). */
#ifndef CONTROL_METRICS_PROMETHEUS_H
#define CONTROL_METRICS_PROMETHEUS_H

#include "control/control.h"

struct metrics;

/* metrics_port 0: ST_OK and *out NULL. Logs why it failed. */
enum status metrics_start(struct control *ctl, struct metrics **out);
/* Ends the thread; must come before the channel server stops. NULL is fine. */
void metrics_stop(struct metrics *m);
/* On the loop's thread: a drain of the dataplane with this generation was ordered (0: undone).
 * /readyz then says 503 until it is undone or another dataplane is attached. NULL is fine. */
void metrics_drained(struct metrics *m, uint64_t generation);

#endif
