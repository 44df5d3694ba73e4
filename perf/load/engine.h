/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs a scenario against a server: workers, each a thread with a transport, a request maker and a
 * result of its own, so that nothing is shared while they run. Called by sluice_bench.c and tests.
 * Prints nothing but the progress line. */
#ifndef PERF_LOAD_ENGINE_H
#define PERF_LOAD_ENGINE_H

#include "lib/base.h"
#include "lib/status.h"
#include "perf/load/result.h"
#include "perf/load/scenario.h"
#include "perf/load/transport.h"

#define ENGINE_WORKERS_MAX 256u

struct engine_config {
	const struct scenario *scenario;
	const struct transport_ops *ops;
	/* links, cpu and sink are the engine's to fill in. */
	struct transport_config transport;
	uint32_t workers;
	const int *cpus;           /* of the workers, in turn; the threads are bound to them */
	uint32_t cpu_count;        /* 0: wherever the kernel puts them */
	bool reset;                /* connections that are done with end by a reset, not in order */
	struct progress *progress; /* NULL: none */
};

/* Notes for people about how the run went, beside its result. */
struct engine_notes {
	char text[TRANSPORT_ERR]; /* empty: none */
	uint64_t no_room;         /* times that the client had no connection to give */
	uint64_t retransmits;
	uint64_t drops;
	uint64_t waited_ns; /* that workers waited for a CPU, all together */
};

/* Runs it all; SIGINT and SIGTERM end it early (out->interrupted). out: from result_create.
 * Errors leave the reason in err: a transport that cannot be opened, or no memory. */
enum status engine_run(const struct engine_config *cfg, struct result *out,
                       struct engine_notes *notes, char err[TRANSPORT_ERR]);

#endif
