/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fewer connections, fewer of them at a time, fewer faults, lies and other values that differ from
 * the default: each is tried, and kept when the run still fails in the same way. */
#include <ctype.h>

#include "tests/sim/soak.h"

#define SAME_LETTERS 48u

/* The same words, whatever numbers and names are between them. */
static bool same_failure(const struct run *a, const struct run *b)
{
	const char *p = strstr(a->why, "): ") ? strstr(a->why, "): ") : a->why;
	const char *q = strstr(b->why, "): ") ? strstr(b->why, "): ") : b->why;

	for (uint32_t n = 0; n < SAME_LETTERS; n++) {
		while (*p != 0 && !isalpha((unsigned char)*p))
			p++;
		while (*q != 0 && !isalpha((unsigned char)*q))
			q++;
		if (*p != *q)
			return false;
		if (*p == 0)
			return true;
		p++;
		q++;
	}
	return true;
}

static uint32_t tries;

/* True when sc fails like the run; then it is the run from now on. */
static bool still_fails(struct run *run, const struct scenario *sc)
{
	static struct run other;

	other = (struct run){.sc = *sc, .seed = run->seed, .broken = run->broken};
	tries++;
	run_apart(&other);
	if (!other.failed || !same_failure(run, &other))
		return false;
	*run = other;
	return true;
}

static bool smaller_number(struct run *run, size_t off)
{
	bool any = false;
	uint32_t v;

	/* By half, then by a quarter, and in the end one by one. */
	for (uint32_t by = 2; by <= 8; by *= 2) {
		for (;;) {
			struct scenario sc = run->sc;

			memcpy(&v, (char *)&sc + off, sizeof(v));
			if (v <= 1)
				return any;
			v -= v / by > 0 ? v / by : 1;
			memcpy((char *)&sc + off, &v, sizeof(v));
			if (!still_fails(run, &sc))
				break;
			any = true;
		}
	}
	return any;
}

static bool fewer_values(struct run *run)
{
	bool any = false;

	for (uint32_t i = 0;; i++) {
		struct scenario sc = run->sc;
		bool changed;

		if (!scenario_reset_value(&sc, i, &changed))
			return any;
		if (!changed || !still_fails(run, &sc))
			continue;
		any = true;
		if (i < SCENARIO_FAULTS)
			i--; /* the next fault has moved here */
	}
}

static void keep(const struct run *run, const char *folder)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s-%llu.sim", folder, run->sc.name,
	         (unsigned long long)run->seed);
	f = fopen(path, "we");
	if (f == NULL) {
		perror(path);
		return;
	}
	fprintf(f, "# Fails: %s\n# Again: build/tests/sim/sim --seed %llu --scenario %s\n",
	        run->why, (unsigned long long)run->seed, path);
	scenario_print(&run->sc, f);
	fclose(f);
	printf("kept as %s; again: build/tests/sim/sim --seed %llu --scenario %s\n", path,
	       (unsigned long long)run->seed, path);
}

void shrink(const struct run *failed, const char *folder)
{
	static struct run run;
	bool any = true;

	run = *failed;
	run.sc.seed = run.seed;
	tries = 0;
	printf("shrinking: %u connections, %u at a time\n", run.sc.conns, run.sc.at_once);
	fflush(stdout);
	if (!still_fails(&run, &run.sc)) {
		printf("it does not fail again: %s\n", failed->why);
		return;
	}
	for (uint32_t round = 0; any && round < 4; round++) {
		any = smaller_number(&run, offsetof(struct scenario, conns));
		any = smaller_number(&run, offsetof(struct scenario, at_once)) || any;
		any = fewer_values(&run) || any;
	}
	printf("after %u tries: %u connections, %u at a time; %s\n", tries, run.sc.conns,
	       run.sc.at_once, run.why);
	keep(&run, folder);
}
