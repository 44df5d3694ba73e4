/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What report*.c share with each other and with nobody else. Each writer takes the same result and
 * prints all of it in its own way. */
#ifndef PERF_LOAD_REPORT_PRIVATE_H
#define PERF_LOAD_REPORT_PRIVATE_H

#include "perf/load/result.h"
#include "perf/load/text.h"
#include "perf/load/threshold.h"

#include <stdio.h>

/* Format of the JSON report; compare refuses others. */
#define REPORT_VERSION 1

/* The figures that rows of stages and endpoints show. */
#define REPORT_QUANTILES 7u
extern const enum load_figure report_latencies[REPORT_QUANTILES];

struct report_part {
	const char *scope; /* "total", "stage", "endpoint" */
	const char *name;
	const struct load_part *part;
};

#define REPORT_PARTS (1u + SCENARIO_STAGES + SCENARIO_ENDPOINTS)

/* The whole, its stages and its endpoints; returns how many. */
uint32_t report_parts(const struct result *r, struct report_part out[REPORT_PARTS]);

/* Is there anything to say of hits? */
static inline bool report_knows_hits(const struct load_part *p)
{
	return p->counts.cache_known > 0;
}

/* Model and number of this machine's CPUs. */
void report_machine(char *cpu, size_t room, long *cores);
/* "sluice-bench run smoke ..."; to be freed; NULL: no memory. */
char *report_command(const struct report_options *o);

/* False: could not be written. */
bool report_table(const struct result *r, FILE *out);
bool report_json(const struct result *r, const struct report_options *o, FILE *out);
bool report_prometheus(const struct result *r, FILE *out);
bool report_markdown(const struct result *r, const struct report_options *o, FILE *out);

/* The histogram as rows: boundaries of a series that is even in the logarithm and round in
 * figures. */
#define HIST_ROWS 24u

struct hist_row {
	double from_ns;
	double to_ns;
	uint64_t count;
};

/* Returns how many rows; 0 when h is empty. */
uint32_t report_hist_rows(const struct load_hist *h, struct hist_row rows[HIST_ROWS]);

#endif
