/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line of sluice-bench: what to run, against whom, and where the reports go. Turns it
 * into a scenario and an engine_config; reads files it names, opens no sockets. */
#ifndef PERF_LOAD_ARGS_H
#define PERF_LOAD_ARGS_H

#include "perf/load/engine.h"

#define ARGS_CPUS 256u

struct args {
	struct scenario scenario;
	struct engine_config engine;
	struct report_options report;
	bool quiet;
	bool progress; /* also where standard error is no terminal */
	char host[256];
	char target[128]; /* "http://host:port", for reports */
	int cpus[ARGS_CPUS];
	const char *transport; /* as named; NULL: socket */
};

enum args_result {
	ARGS_RUN,  /* all is set; args_free it */
	ARGS_DONE, /* --help or --version was answered */
	ARGS_BAD   /* said on standard error */
};

/* argv[0] is the program's or "run". */
enum args_result args_read(struct args *a, int argc, char **argv);
void args_free(struct args *a);

#endif
