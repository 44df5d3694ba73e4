/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The faults of a scenario, in time: what is on now, and making it so for a server. Both levels use
 * it. What is taken from the server is hidden, not used: the checks go on counting rightly. */
#ifndef TESTS_SIM_FAULT_H
#define TESTS_SIM_FAULT_H

#include "dataplane/tcp/conn.h"
#include "tests/sim/cable.h"
#include "tests/sim/nic_sim.h"
#include "tests/sim/rng.h"

/* What a fault took out of a pool. */
struct hidden {
	void *free;
	uint32_t fresh;
	uint32_t taken; /* how many */
	bool on;
};

struct faults {
	const struct scenario *sc;
	struct cable *cable;
	struct nic *nic;
	struct tcp *tcp;
	struct rng rng;           /* each pause is a half to one and a half of "every" */
	uint32_t on[FAULT_KINDS]; /* how many of it are on */
	uint64_t start_ns;
	uint64_t next_ns[SCENARIO_FAULTS];
	bool active[SCENARIO_FAULTS];
	uint64_t due_ns;    /* faults_run has something to do then */
	uint64_t mended_ns; /* they ended then, for good; 0: not yet */
	struct hidden conns, chunks, refs;
	uint32_t *blocks; /* of received data, hidden; NULL: none */
	uint32_t block_count;
	uint32_t block_fresh; /* how many were never used */
};

/* f with scenario, cable, nic, tcp and rng set. */
void faults_start(struct faults *f, uint64_t now_ns);
/* What begins and ends now. Returns by how much the clock jumps. */
uint64_t faults_run(struct faults *f, uint64_t now_ns);
/* All end, and the link is sound. */
void faults_stop(struct faults *f, uint64_t now_ns);

#endif
