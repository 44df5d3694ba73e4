/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sluice-bench: measures an HTTP/1.1 server. docs/LOAD.md is its guide. */
#include "lib/clock.h"
#include "lib/http1.h"
#include "perf/load/args.h"
#include "perf/load/transports.h"
#include "perf/load/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_SHARE 0.05 /* of the time, before it is worth a word */

enum exit_code { EXIT_OK, EXIT_MISSED, EXIT_USAGE, EXIT_NOT_RUN };

static void started_set(struct result *r)
{
	time_t now = (time_t)(clock_wall_ns() / NS_PER_S);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(r->started, sizeof(r->started), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void notes_print(const struct engine_notes *n)
{
	if (n->text[0] != '\0')
		fprintf(stderr, "sluice-bench: %s\n", n->text);
	if (n->no_room > 0)
		fprintf(stderr,
		        "sluice-bench: %llu times the client had no connection to give: what it "
		        "offered was less than asked for\n",
		        (unsigned long long)n->no_room);
	if (n->retransmits + n->drops > 0)
		fprintf(stderr,
		        "sluice-bench: %llu segments were sent again, %llu packets dropped\n",
		        (unsigned long long)n->retransmits, (unsigned long long)n->drops);
}

/* The machine's share in what was measured. */
static void wait_print(const struct engine_notes *n, const struct result *r)
{
	double share = (double)n->waited_ns / ((double)r->elapsed_ns * r->workers);

	if (r->elapsed_ns > 0 && share > WAIT_SHARE)
		fprintf(stderr,
		        "sluice-bench: the client waited %.0f %% of the time for a CPU that others "
		        "used; what it measured is not the server's alone\n",
		        share * 100);
}

static enum exit_code report(const struct args *a, const struct result *r)
{
	struct report_options o = a->report;

	o.table = !a->quiet;
	if (!result_report(r, &o))
		return EXIT_NOT_RUN;
	if (r->total.counts.answered == 0 && r->total.counts.connected == 0) {
		fprintf(stderr, "sluice-bench: no connection to %s could be made\n", a->target);
		return EXIT_NOT_RUN;
	}
	return result_passes(r) ? EXIT_OK : EXIT_MISSED;
}

static enum exit_code run(struct args *a)
{
	const char *name = a->transport != NULL ? a->transport : "socket";
	char err[TRANSPORT_ERR] = "";
	struct engine_notes notes;
	enum exit_code code = EXIT_NOT_RUN;

	a->engine.ops = transport_find(name);
	if (a->engine.ops == NULL) {
		fprintf(stderr, "sluice-bench: this build has no transport \"%s\"; it has: %s\n",
		        name, transport_names());
		return EXIT_USAGE;
	}
	struct result *r = result_create(&a->scenario);
	if (r == NULL) {
		fputs("sluice-bench: no memory for the figures\n", stderr);
		return EXIT_NOT_RUN;
	}
	r->transport = name;
	snprintf(r->target, sizeof(r->target), "%s", a->target);
	started_set(r);
	if (!a->quiet)
		a->engine.progress = progress_create(&a->scenario, a->progress);
	enum status st = engine_run(&a->engine, r, &notes, err);
	if (a->engine.progress != NULL)
		progress_destroy(a->engine.progress);
	if (st == ST_OK) {
		code = report(a, r);
		notes_print(&notes);
		if (!a->quiet)
			wait_print(&notes, r);
	} else {
		fprintf(stderr, "sluice-bench: %s\n", err[0] != '\0' ? err : status_text(st));
		code = st == ST_INVALID ? EXIT_USAGE : EXIT_NOT_RUN;
	}
	result_destroy(r);
	return code;
}

/* compare A.json B.json [TOLERANCE] */
static enum exit_code compare(int argc, char **argv)
{
	double tolerance = 10;

	if (argc == 4) {
		char *end;

		tolerance = strtod(argv[3], &end);
		if (end == argv[3] || (*end != '\0' && strcmp(end, "%") != 0) || tolerance < 0)
			argc = 0;
	}
	if (argc < 3 || argc > 4) {
		fputs("usage: sluice-bench compare BEFORE.json AFTER.json [TOLERANCE]\n"
		      "A figure that got worse by more than TOLERANCE percent (10) makes the exit "
		      "code 1.\n",
		      stderr);
		return EXIT_USAGE;
	}
	return (enum exit_code)result_compare(argv[1], argv[2], tolerance / 100);
}

static enum exit_code show(int argc, char **argv)
{
	struct span text = argc == 2 ? scenario_shipped(argv[1]) : (struct span){0};

	if (text.len == 0) {
		fputs("sluice-bench show: name one of those that `sluice-bench list` prints\n",
		      stderr);
		return EXIT_USAGE;
	}
	fwrite(text.ptr, 1, text.len, stdout);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	struct args a;

	http1_init(NULL);
	if (argc < 2) {
		usage_print();
		return EXIT_USAGE;
	}
	if (strcmp(word, "list") == 0) {
		scenario_list();
		return EXIT_OK;
	}
	if (strcmp(word, "compare") == 0)
		return (int)compare(argc - 1, argv + 1);
	if (strcmp(word, "show") == 0)
		return (int)show(argc - 1, argv + 1);
	if (strcmp(word, "help") == 0) {
		usage_print();
		return EXIT_OK;
	}
	bool named = strcmp(word, "run") == 0;
	switch (args_read(&a, argc - named, argv + named)) {
	case ARGS_DONE:
		return EXIT_OK;
	case ARGS_BAD:
		return EXIT_USAGE;
	case ARGS_RUN:
		break;
	}
	a.report.argc = argc;
	a.report.argv = argv;
	enum exit_code code = run(&a);
	args_free(&a);
	return (int)code;
}
