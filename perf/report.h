/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What every benchmark prints: a table for people, or with --json one object {name, figures,
 * machine, command}. Figures carry their unit in their name (get_ns, rate_per_s). */
#ifndef PERF_REPORT_H
#define PERF_REPORT_H

#include "lib/base.h"

#define REPORT_FIGURES 256u

struct report {
	const char *name;
	const char *about; /* one paragraph for --help */
	bool json;
	bool short_run; /* --short: a smoke run */
	int argc;
	char **argv;
	uint32_t count;
	struct {
		char name[64];
		double value;
		char note[64]; /* for the table only */
	} figures[REPORT_FIGURES];
};

/* Reads --json, --short and --help (prints and exits); leaves the other arguments, from argv[1] on,
 * to the caller: returns how many of them there are, in order, in r->argv. */
int report_init(struct report *r, const char *about, int argc, char **argv);
void report_add(struct report *r, double value, const char *note, const char *name, ...)
        PRINTF(4, 5);
void report_print(const struct report *r);

#endif
