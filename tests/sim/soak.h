/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Many runs: each in a process of its own, so that a crash is one more way to fail. Called by the
 * program. */
#ifndef TESTS_SIM_SOAK_H
#define TESTS_SIM_SOAK_H

#include "tests/sim/run.h"

/* In this process. */
bool run_here(struct run *run);
/* In another; also fails when that crashes, or takes longer than RUN_MOST_S. */
bool run_apart(struct run *run);
/* One line about it. */
void run_print(const struct run *run);

/* Runs seed after seed until the minutes are over, or conns are done (0: no such end), or one
 * fails, which is shrunk into folder. sc NULL: a random scenario for each seed. */
struct soak {
	const struct scenario *sc;
	uint64_t seed;
	double minutes;
	uint64_t conns;
	const char *folder;
};
bool soak_run(const struct soak *s);

/* Makes the failed run smaller while it fails in the same way, and writes it as a scenario. */
void shrink(const struct run *failed, const char *folder);

#endif
