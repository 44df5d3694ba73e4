/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a benchmark prints: a table for people, or with --json one object {name, figures, machine,
 * command}. Figures have their units in their names. */
#ifndef PERF_BENCH_REPORT_H
#define PERF_BENCH_REPORT_H

#include "lib/base.h"

#define BENCH_FIGURES 256u

struct bench_report {
	const char *name;
	uint32_t count;
	struct {
		char name[64];
		double value;
	} figures[BENCH_FIGURES];
};

void bench_figure(struct bench_report *r, double value, const char *name, ...) PRINTF(3, 4);
void bench_print(const struct bench_report *r, bool json, int argc, char **argv);

#endif
