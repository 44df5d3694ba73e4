/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files of perf/scenarios, within the program: a scenario runs by its name from anywhere. The
 * table is made by embed.py. */
#ifndef PERF_LOAD_SCENARIO_SHIPPED_H
#define PERF_LOAD_SCENARIO_SHIPPED_H

#include "lib/span.h"

struct shipped_scenario {
	const char *name;
	struct span text;
};

/* Ends with a NULL name. */
extern const struct shipped_scenario shipped_scenarios[];

#endif
