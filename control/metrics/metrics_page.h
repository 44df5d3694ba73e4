/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of /metrics from one reading. Pure: no thread, no socket. */
#ifndef CONTROL_METRICS_METRICS_PAGE_H
#define CONTROL_METRICS_METRICS_PAGE_H

#include "control/metrics/metrics_view.h"
#include "control/metrics/summary.h"
#include "control/metrics/text_page.h"

struct metric_info {
	const char *name;
	const char *type;   /* "counter", "gauge", "histogram" */
	const char *labels; /* names, for the reference page */
	const char *help;
};

/* What metrics.def lists, in its order; a row with a NULL name ends it. */
extern const struct metric_info metric_infos[];

/* "gauge" for the few of counters.def that say what there is now, "counter" for those that count.
 */
const char *metrics_counter_type(const struct counter_info *info);
/* Is this the first row of counters.def with its metric's name? Then its family is written here. */
bool metrics_family_begins(uint32_t id);
/* The help of a family in counters.def: with several rows, of each row. */
void metrics_family_help(uint32_t id, char *out, size_t room);

void metrics_page(struct text_page *p, const struct metrics_view *view, const struct summary *s);

#endif
