/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What args.c (reads options) and args_build.c (makes a run of them) share with each other only. */
#ifndef PERF_LOAD_ARGS_PRIVATE_H
#define PERF_LOAD_ARGS_PRIVATE_H

#include "perf/load/args.h"

/* What the options say, before it is put together: negative or zero: not given. */
struct wishes {
	double connections;
	double rate;
	double duration_ns;
	double warmup_ns;
	double timeout_ns;
	double think_ns;
	double pipeline;
	double max_connections;
	double per_connection;
	double threads;
	double keys;
	double zipf;
	double scale;
	double seed;
	int arrival; /* enum load_arrival, -1 */
	const char *method;
	const char *body;
	const char *body_file;
	const char *sign;
	const char *scenario;
	const char *url;
	const char *headers[SCENARIO_HEADERS];
	uint32_t header_count;
	const char *thresholds[SCENARIO_THRESHOLDS];
	uint32_t threshold_count;
};

/* Prints a line to standard error; returns false. */
bool args_complain(const char *fmt, ...) PRINTF(1, 2);
bool args_build(struct args *a, const struct wishes *w);

#endif
