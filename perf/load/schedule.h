/* SPDX-License-Identifier: BSD-2-Clause
 *
 * When an open stage's requests are to begin, and how many users a closed one has: levels that go
 * from one value to another linearly. Workers share a stage: each takes every workers-th start
 * (constant), or draws its own (Poisson; together they are one again). Nothing is kept of what was
 * not taken yet: a late worker finds the starts that it owes in the past. No clock. */
#ifndef PERF_LOAD_SCHEDULE_H
#define PERF_LOAD_SCHEDULE_H

#include "lib/base.h"
#include "perf/load/rng.h"
#include "perf/load/scenario.h"

/* The level of a stage so long after its beginning. */
double stage_level(const struct load_stage *s, uint64_t since_ns);
/* Users of a closed stage then, rounded; of them those of a worker (0 <= worker < workers). */
uint32_t stage_users(const struct load_stage *s, uint64_t since_ns);
uint32_t stage_users_of(uint32_t users, uint32_t worker, uint32_t workers);

struct schedule {
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t next_ns; /* of the next start; UINT64_MAX: no more */
	double from;      /* starts a second, of all workers */
	double slope;     /* growth of that, a second each second */
	double at;        /* the next start's number among all workers', counted from 0 */
	double step;      /* constant: to the next number; Poisson: its mean */
	bool poisson;
	struct load_rng rng;
};

struct schedule_share {
	uint32_t worker; /* 0 to workers - 1 */
	uint32_t workers;
	bool poisson;
	uint64_t seed; /* the same one makes the same starts */
};

/* The starts of stage that are this worker's, from start_ns on. */
void schedule_begin(struct schedule *s, const struct load_stage *stage, uint64_t start_ns,
                    const struct schedule_share *share);
/* Steps to the following start. */
void schedule_take(struct schedule *s);
/* How many starts are due by now and not taken; an estimate for Poisson. */
uint64_t schedule_behind(const struct schedule *s, uint64_t now_ns);
/* No start at or behind end_ns is made any more. */
void schedule_cut(struct schedule *s, uint64_t end_ns);
/* Ends it; returns how many starts before until_ns were not taken, beyond a million about. */
uint64_t schedule_finish(struct schedule *s, uint64_t until_ns);

#endif
