/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watches for steps of the wall clock, by which stored answers are dated (cache/object.h). Set
 * back, it would keep them fresh for longer than they may be, by as much as the step: so all that
 * is stored becomes stale then (a soft purge of this node), and is asked for anew. Set forward,
 * answers only end early. Both are counted. Slow corrections (adjtime) are no steps. Loop's thread
 * only. */
#ifndef CONTROL_CLOCK_WATCH_H
#define CONTROL_CLOCK_WATCH_H

#include "control/control.h"

/* What differs by less between two looks is no step. */
#define CLOCK_STEP_MS 500u

struct clock_counts {
	uint64_t back;
	uint64_t forward;
};

struct clock_watch;
/* ctl: its loop and its chan, which outlive the watch. */
enum status clock_watch_start(struct control *ctl, struct clock_watch **out);
void clock_watch_stop(struct clock_watch *w); /* NULL is fine */
struct clock_counts clock_watch_counts(const struct clock_watch *w);

#endif
