/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The simulator's command line. */
#include <dirent.h>
#include <getopt.h>
#include <stdlib.h>

#include "tests/sim/soak.h"

#define SCENARIOS_MAX 128u
#define SHORT_PARTS   25u /* SLUICE_SIM_SHORT: so many times fewer connections */

struct options {
	const char *scenario;
	const char *dir;
	const char *folder;
	uint64_t seed;
	bool seed_given;
	uint32_t seeds;
	uint64_t conns;
	double minutes;
	bool shrink;
	bool apart;
	uint32_t trace;
	enum sim_break broken;
};

static const char usage[] =
        "sim [--scenario NAME|FILE|all|random] [--seed N] [--seeds K] [--conns N] ...\n"
        "Runs Sluice's dataplane against bad links, bad clients and faults, on a simulated clock.\n"
        "One seed makes one run, byte for byte; the digest is of all frames and their times.\n"
        "\n"
        "  --scenario S   a name (see --list), a file, all of them, or random: drawn from the\n"
        "                 seed [all]\n"
        "  --seed N       the first seed [1, or the one in the file]\n"
        "  --seeds K      so many, one after the other [1]\n"
        "  --conns N      connections a run, instead of the scenario's\n"
        "  --minutes M    soak: seed after seed until the time is over or one fails; a failure\n"
        "                 is shrunk. Random scenarios unless --scenario is given. With --conns:\n"
        "                 until so many connections are done\n"
        "  --shrink       make a failing run smaller and write it as a scenario\n"
        "  --keep DIR     where to [.]\n"
        "  --trace PORT   print the segments of this client port (level tcp)\n"
        "  --apart        each run in a process of its own, as in a soak\n"
        "  --print        print the scenario that would be run, and stop\n"
        "  --list         names of the scenarios\n"
        "  --keys         what may stand in a scenario file\n"
        "  --dir DIR      where the scenarios are [" SIM_SCENARIOS "]\n"
        "\n"
        "SLUICE_SIM_SHORT=1 in the environment: a 25th of the connections (for sanitizers).\n"
        "Exit status: 0 all went well, 1 something failed, 2 wrong usage. docs/SIMULATOR.md\n";

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Names of the scenarios of the folder, sorted; returns how many. */
static uint32_t scenarios_find(const char *dir, char names[][SCENARIO_NAME])
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint32_t n = 0;

	while (d != NULL && (e = readdir(d)) != NULL && n < SCENARIOS_MAX) {
		const char *dot = strrchr(e->d_name, '.');

		if (dot == NULL || strcmp(dot, ".sim") != 0 || dot - e->d_name >= SCENARIO_NAME)
			continue;
		snprintf(names[n++], SCENARIO_NAME, "%.*s", (int)(dot - e->d_name), e->d_name);
	}
	if (d != NULL)
		closedir(d);
	qsort(names, n, SCENARIO_NAME, by_name);
	return n;
}

static void short_cut(struct scenario *sc)
{
	if (getenv("SLUICE_SIM_SHORT") != NULL)
		sc->conns = sc->conns / SHORT_PARTS > 40 ? sc->conns / SHORT_PARTS : 40;
}

static bool seeds_run(const struct options *o, const struct scenario *sc)
{
	uint64_t first = o->seed_given || sc->seed == 0 ? o->seed : sc->seed;
	static struct run run;
	bool ok = true;

	for (uint64_t seed = first; seed < first + o->seeds; seed++) {
		run = (struct run){
		        .sc = *sc, .seed = seed, .broken = o->broken, .trace_port = o->trace};
		if (strcmp(o->scenario, "random") == 0)
			scenario_random(&run.sc, seed);
		if (o->conns > 0)
			run.sc.conns = (uint32_t)o->conns;
		short_cut(&run.sc);
		if (o->apart || o->shrink)
			run_apart(&run);
		else
			run_here(&run);
		run_print(&run);
		ok = ok && !run.failed;
		if (run.failed && o->shrink)
			shrink(&run, o->folder);
	}
	return ok;
}

static int all_run(const struct options *o)
{
	static char names[SCENARIOS_MAX][SCENARIO_NAME];
	uint32_t n = scenarios_find(o->dir, names);
	char error[SCENARIO_ERROR];
	struct scenario sc;
	uint64_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!scenario_load(&sc, names[i], o->dir, error)) {
			fprintf(stderr, "sim: %s\n", error);
			return 2;
		}
		if (sc.off[0] != 0)
			printf("off  %-14s %s\n", sc.name, sc.off);
		else
			failed += !seeds_run(o, &sc);
	}
	if (n == 0) {
		fprintf(stderr, "sim: no scenarios in %s\n", o->dir);
		return 2;
	}
	printf("%s\n", failed == 0 ? "ok" : "FAILED");
	return failed == 0 ? 0 : 1;
}

static int one_run(const struct options *o, bool print_only)
{
	char error[SCENARIO_ERROR];
	struct scenario sc;
	struct soak soak = {.sc = &sc,
	                    .seed = o->seed,
	                    .minutes = o->minutes,
	                    .conns = o->minutes > 0 ? o->conns : 0,
	                    .folder = o->folder};

	if (strcmp(o->scenario, "random") == 0 || strcmp(o->scenario, "all") == 0) {
		scenario_random(&sc, o->seed);
		soak.sc = NULL;
	} else if (!scenario_load(&sc, o->scenario, o->dir, error)) {
		fprintf(stderr, "sim: %s\n", error);
		return 2;
	}
	if (print_only) {
		scenario_print(&sc, stdout);
		return 0;
	}
	if (o->minutes > 0)
		return soak_run(&soak) ? 0 : 1;
	return seeds_run(o, &sc) ? 0 : 1;
}

static bool break_find(const char *name, enum sim_break *out)
{
	static const char *const names[] = {
#define X(name, text) #name,
	        SIM_BREAKS(X)
#undef X
	};

	for (uint32_t i = 0; i < BREAK_KINDS; i++) {
		if (strcmp(name, "list") == 0 && i > 0)
			printf("%s\n", names[i]);
		if (strcmp(name, names[i]) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static void list(const char *dir)
{
	static char names[SCENARIOS_MAX][SCENARIO_NAME];
	uint32_t n = scenarios_find(dir, names);

	for (uint32_t i = 0; i < n; i++)
		printf("%s\n", names[i]);
}

/* What getopt gives for each option; returns the exit status, -1: go on. */
static int option_take(struct options *o, int opt, bool *print_only)
{
	if (opt == 's') {
		o->seed = strtoull(optarg, NULL, 10);
		o->seed_given = true;
	} else if (opt == 'k') {
		o->seeds = (uint32_t)strtoul(optarg, NULL, 10);
	} else if (opt == 'c') {
		o->conns = strtoull(optarg, NULL, 10);
	} else if (opt == 'm') {
		o->minutes = strtod(optarg, NULL);
	} else if (opt == 'n') {
		o->scenario = optarg;
	} else if (opt == 'S') {
		o->shrink = true;
	} else if (opt == 'K') {
		o->folder = optarg;
	} else if (opt == 't') {
		o->trace = (uint32_t)strtoul(optarg, NULL, 10);
	} else if (opt == 'a') {
		o->apart = true;
	} else if (opt == 'd') {
		o->dir = optarg;
	} else if (opt == 'p') {
		*print_only = true;
	} else if (opt == 'b') {
		return break_find(optarg, &o->broken) ? -1 : strcmp(optarg, "list") == 0 ? 0 : 2;
	} else if (opt == 'l') {
		list(o->dir);
		return 0;
	} else if (opt == 'y') {
		scenario_help(stdout);
		return 0;
	} else {
		fputs(usage, opt == 'h' ? stdout : stderr);
		return opt == 'h' ? 0 : 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"seed", required_argument, NULL, 's'},
	                                      {"seeds", required_argument, NULL, 'k'},
	                                      {"conns", required_argument, NULL, 'c'},
	                                      {"minutes", required_argument, NULL, 'm'},
	                                      {"scenario", required_argument, NULL, 'n'},
	                                      {"shrink", no_argument, NULL, 'S'},
	                                      {"keep", required_argument, NULL, 'K'},
	                                      {"trace", required_argument, NULL, 't'},
	                                      {"apart", no_argument, NULL, 'a'},
	                                      {"dir", required_argument, NULL, 'd'},
	                                      {"print", no_argument, NULL, 'p'},
	                                      {"break", required_argument, NULL, 'b'},
	                                      {"list", no_argument, NULL, 'l'},
	                                      {"keys", no_argument, NULL, 'y'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	struct options o = {
	        .scenario = "all", .dir = SIM_SCENARIOS, .folder = ".", .seed = 1, .seeds = 1};
	bool print_only = false;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		status = option_take(&o, opt, &print_only);
		if (status >= 0)
			return status;
	}
	if (optind < argc) {
		fprintf(stderr, "sim: what is \"%s\"? See --help\n", argv[optind]);
		return 2;
	}
	printf("seed %llu, scenario %s\n", (unsigned long long)o.seed, o.scenario);
	fflush(stdout);
	if (strcmp(o.scenario, "all") == 0 && o.minutes <= 0 && !print_only)
		return all_run(&o);
	return one_run(&o, print_only);
}
