/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the figures of thresholds and reports are called and which unit they have, and whether a
 * threshold holds. For scenario*.c, report*.c and the reference page. */
#ifndef PERF_LOAD_THRESHOLD_H
#define PERF_LOAD_THRESHOLD_H

#include "perf/load/scenario.h"

#define FIGURE_COUNT (FIGURE_RATE + 1u)

enum figure_kind { FIGURE_IS_TIME, FIGURE_IS_SHARE, FIGURE_IS_RATE };

struct figure_info {
	const char *name;
	enum figure_kind kind;
	const char *text;
};

extern const struct figure_info figure_infos[FIGURE_COUNT];

struct result;

struct verdict {
	double value; /* in the threshold's unit */
	bool holds;   /* a figure that nothing was measured for does not hold */
	bool measured;
};

struct verdict threshold_verdict(const struct result *r, const struct load_threshold *t);

#endif
