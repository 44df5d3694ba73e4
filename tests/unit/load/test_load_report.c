/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Usage: test_load_report GOLDEN_DIR PYTHON check_metrics.py. With GOLDEN_WRITE=1 in the
 * environment the golden files are written anew: look at the difference before a commit. */
#include "perf/load/report_private.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *golden_dir, *python, *check_metrics;
static char dir[] = "/tmp/load-report-XXXXXX";
static struct scenario s;
static struct result *r;

static const char scenario_text[] = "name: golden\n"
                                    "about: Of all kinds | \"quoted\"\n"
                                    "stages:\n"
                                    "  - {name: come, users: 1 to 10, for: 10s}\n"
                                    "  - {name: steady, rate: 1k, for: 20s}\n"
                                    "endpoints:\n"
                                    "  - {name: list, request: GET /a}\n"
                                    "  - {name: 'odd \"\\|<name>', request: GET /b}\n"
                                    "thresholds:\n"
                                    "  - p95 < 150ms\n"
                                    "  - errors < 0.1%\n"
                                    "  - list: hit_rate > 0.5\n";

static void part_fill(struct load_part *p, uint64_t n, uint64_t seconds)
{
	p->counts.sent = n;
	p->counts.answered = n - 2;
	p->counts.connected = 10;
	p->counts.bytes_in = n * 1000;
	p->counts.bytes_out = n * 100;
	p->counts.status[200] = n - 5;
	p->counts.status[503] = 3;
	p->counts.errors[LOAD_ERR_STATUS] = 3;
	p->counts.errors[LOAD_ERR_RESET] = 2;
	p->counts.cache_known = n / 2;
	p->counts.hits = n / 4;
	p->duration_ns = seconds * NS_PER_S;
	for (uint64_t i = 0; i < n - 2; i++) {
		uint64_t ns = 100000 + i * i % 900001;

		load_hist_add(&p->service, ns);
		load_hist_add(&p->latency, i % 100 ? ns : 40 * ns);
	}
}

static int set_up(void **state)
{
	struct config_error err;

	(void)state;
	if (!mkdtemp(dir) || scenario_parse(&s, SPAN_LIT(scenario_text), "f", &err) != ST_OK)
		return -1;
	r = result_create(&s);
	r->transport = "socket";
	(void)snprintf(r->target, sizeof(r->target), "http://192.0.2.1");
	(void)snprintf(r->started, sizeof(r->started), "2026-01-31T12:00:00Z");
	r->workers = 2;
	r->open_links = 10;
	r->elapsed_ns = 30 * NS_PER_S;
	r->cpu_busy_ns = 57 * NS_PER_S;
	r->offered = 1000;
	part_fill(&r->total, 20000, 30);
	part_fill(&r->stages[0], 5000, 10);
	part_fill(&r->stages[1], 15000, 20);
	part_fill(&r->endpoints[0], 8000, 30);
	part_fill(&r->endpoints[1], 12000, 30);
	r->endpoints[0].counts.cache_known = 0;
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	result_destroy(r);
	scenario_free(&s);
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static char *file_text(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	if (f) {
		(void)!fread(text, 1, (1 << 20) - 1, f);
		(void)fclose(f);
	}
	return text;
}

static void golden_is(const char *name, const char *text)
{
	char path[512], *wants;

	(void)snprintf(path, sizeof(path), "%s/%s", golden_dir, name);
	if (getenv("GOLDEN_WRITE")) {
		FILE *f = fopen(path, "we");

		assert_non_null(f);
		(void)fputs(text, f);
		(void)fclose(f);
	}
	wants = file_text(path);
	assert_string_equal(text, wants);
	free(wants);
}

static char *printed(bool (*print)(const struct result *, FILE *))
{
	char *text = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&text, &len);

	assert_non_null(mem);
	assert_true(print(r, mem));
	(void)fclose(mem);
	return text;
}

static void the_table_is_as_it_was(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(setenv("LC_ALL", "C.UTF-8", 1), 0);
	text = printed(report_table);
	golden_is("table.txt", text);
	free(text);
	assert_int_equal(setenv("LC_ALL", "C", 1), 0);
	text = printed(report_table);
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c < 0x80);
	free(text);
}

static void an_empty_run_has_a_table(void **state)
{
	struct result *full = r;
	char *text;

	(void)state;
	r = result_create(&s);
	text = printed(report_table);
	assert_non_null(strstr(text, "no answer"));
	assert_non_null(strstr(text, "not measured"));
	assert_null(strstr(text, "nan"));
	free(text);
	result_destroy(r);
	r = full;
}

static char *argv_of[] = {"run", "golden", "it's", "-H", "A: b", NULL};
static const char command_line[] = "sluice-bench golden 'it'\\''s' -H 'A: b'";

static char *report_to(const char *name, struct report_options *o, const char **field)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	*field = path;
	o->argc = 5;
	o->argv = argv_of;
	assert_true(result_report(r, o));
	return path;
}

static void the_page_is_as_it_was(void **state)
{
	struct report_options o = {0};
	char *text = file_text(report_to("a.md", &o, &o.markdown));
	char *machine = strstr(text, "\nOn ");

	(void)state;
	assert_non_null(machine);
	assert_non_null(strstr(machine, command_line));
	*machine = '\0';
	golden_is("page.md", text);
	free(text);
}

static double real_at(const json_t *o, const char *a, const char *b)
{
	const json_t *n = json_object_get(json_object_get(o, a), b);

	assert_true(json_is_number(n));
	return json_number_value(n);
}

static void the_json_says_what_the_result_says(void **state)
{
	struct report_options o = {0};
	json_error_t e;
	json_t *root = json_load_file(report_to("a.json", &o, &o.json), 0, &e), *list;
	double sum = 0;

	(void)state;
	if (!root)
		fail_msg("%s", e.text);
	assert_string_equal(json_string_value(json_object_get(root, "command")), command_line);
	assert_int_equal(json_array_size(json_object_get(root, "stages")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "endpoints")), 2);
	assert_true(real_at(root, "machine", "cores") >= 1);
	assert_true(real_at(root, "figures", "p99_ns") == result_figure(&r->total, FIGURE_P99));
	assert_true(real_at(root, "figures", "service_p99_ns") ==
	            load_hist_figure(&r->total.service, FIGURE_P99));
	assert_true(fabs(real_at(root, "figures", "rate_per_s") - 19998 / 30.0) < 1e-3);
	assert_true(real_at(json_object_get(root, "total"), "counts", "bytes_in") == 20000000);
	list = json_object_get(json_object_get(root, "latency"), "buckets");
	for (size_t i = 0; i < json_array_size(list); i++)
		sum += json_number_value(json_array_get(json_array_get(list, i), 1));
	assert_true(sum == 19998);
	/* Nothing is known of its hits: no figure, not 0. */
	list = json_array_get(json_object_get(root, "endpoints"), 0);
	assert_null(json_object_get(json_object_get(list, "figures"), "hit_rate"));
	list = json_object_get(root, "thresholds");
	assert_true(json_is_true(json_object_get(json_array_get(list, 0), "holds")));
	assert_true(json_is_true(json_object_get(json_array_get(list, 1), "holds")));
	assert_true(json_is_false(json_object_get(json_array_get(list, 2), "holds")));
	assert_true(json_is_false(json_object_get(root, "passed")));
	assert_true(json_is_true(json_object_get(json_object_get(root, "run"), "client_bound")));
	json_decref(root);
}

static void the_metrics_are_valid(void **state)
{
	struct report_options o = {0};
	const char *path = report_to("a.prom", &o, &o.prometheus);
	char command[1024], *text;

	(void)state;
	(void)snprintf(command, sizeof(command), "%s %s %s >&2", python, check_metrics, path);
	assert_int_equal(system(command), 0);
	text = file_text(path);
	assert_non_null(strstr(text, "name=\"odd \\\"\\\\|<name>\""));
	assert_non_null(strstr(text, "sluice_bench_requests_total{scenario=\"golden\","
	                             "scope=\"total\",name=\"total\"} 20000\n"));
	assert_non_null(strstr(text, "scope=\"total\",name=\"total\",le=\"+Inf\"} 19998\n"));
	free(text);
}

static void a_file_that_cannot_be_written_is_said(void **state)
{
	struct report_options o = {.json = "/no/such/dir/a.json"};

	(void)state;
	assert_false(result_report(r, &o));
	o.json = "/dev/full";
	assert_false(result_report(r, &o));
}

/* What was printed to standard output while it ran. */
static int compare(const char *before, const char *after, double tolerance, char **out)
{
	char path[128];
	int saved, code;

	(void)snprintf(path, sizeof(path), "%s/compare", dir);
	(void)fflush(stdout);
	saved = dup(STDOUT_FILENO);
	assert_non_null(freopen(path, "we", stdout));
	code = result_compare(before, after, tolerance);
	(void)fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	(void)close(saved);
	*out = file_text(path);
	return code;
}

static void reports_are_compared(void **state)
{
	char a[128], b[128], *text;
	struct report_options o = {.json = a};
	uint64_t answered = r->total.counts.answered;

	(void)state;
	(void)snprintf(a, sizeof(a), "%s/before.json", dir);
	(void)snprintf(b, sizeof(b), "%s/after.json", dir);
	assert_true(result_report(r, &o));
	o.json = b;
	assert_true(result_report(r, &o));
	assert_int_equal(compare(a, b, 0.1, &text), 0);
	assert_non_null(strstr(text, "nothing is worse"));
	free(text);
	/* A tenth fewer is just within, more is not. */
	r->total.counts.answered = answered - answered / 10 + 10;
	assert_true(result_report(r, &o));
	assert_int_equal(compare(a, b, 0.1, &text), 0);
	free(text);
	r->total.counts.answered = answered - answered / 10 - 10;
	assert_true(result_report(r, &o));
	assert_int_equal(compare(a, b, 0.1, &text), 1);
	assert_non_null(strstr(text, "1 figure worse"));
	free(text);
	/* The other way round it is better. */
	assert_int_equal(compare(b, a, 0.1, &text), 0);
	assert_non_null(strstr(text, "better"));
	free(text);
	r->total.counts.answered = answered;
	r->stages[1].counts.errors[LOAD_ERR_TIMEOUT] = 100;
	assert_true(result_report(r, &o));
	assert_int_equal(compare(a, b, 0.1, &text), 1);
	assert_non_null(strstr(text, "steady"));
	free(text);
	r->stages[1].counts.errors[LOAD_ERR_TIMEOUT] = 0;
	assert_int_equal(compare(a, "/no/such", 0.1, &text), 2);
	free(text);
	assert_int_equal(compare("/dev/null", a, 0.1, &text), 2);
	free(text);
}

/* What a progress of three readings prints when it is no terminal. */
static void progress_shows_the_last_second(void **state)
{
	struct result *now = result_create(&s);
	struct progress *p;
	char path[128], *text;
	int saved = dup(STDERR_FILENO);

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/progress", dir);
	(void)fflush(stderr);
	assert_non_null(freopen(path, "we", stderr));
	p = progress_create(&s, true);
	assert_non_null(p);
	progress_show(p, now, 0, NS_PER_S);
	for (int i = 1; i <= 2; i++) {
		now->elapsed_ns += NS_PER_S;
		for (int k = 0; k < 300 / i; k++)
			load_hist_add(&now->total.latency, (uint64_t)i * NS_PER_MS);
		now->total.counts.answered += (uint64_t)(300 / i);
		now->total.counts.cache_known += 100;
		now->total.counts.hits += (uint64_t)(i == 1 ? 50 : 100);
		progress_show(p, now, 1, (uint64_t)(i + 1) * NS_PER_S);
	}
	progress_destroy(p);
	/* Not forced, it says nothing where there is no terminal. */
	p = progress_create(&s, false);
	progress_show(p, now, 1, NS_PER_S);
	progress_show(p, now, 1, 2 * NS_PER_S);
	progress_destroy(p);
	(void)fflush(stderr);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	text = file_text(path);
	assert_non_null(strstr(text, "steady"));
	assert_non_null(strstr(text, "300.0/s  p50 1.00 ms p99 1.00 ms  errors 0  hits 50.0 %"));
	assert_non_null(strstr(text, "150.0/s  p50 2.00 ms p99 2.00 ms  errors 0  hits 100 %"));
	/* Two lines. */
	assert_non_null(strchr(text, '\n'));
	assert_non_null(strchr(strchr(text, '\n') + 1, '\n'));
	assert_null(strchr(strchr(strchr(text, '\n') + 1, '\n') + 1, '\n'));
	free(text);
	result_destroy(now);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_table_is_as_it_was),
	        cmocka_unit_test(an_empty_run_has_a_table),
	        cmocka_unit_test(the_page_is_as_it_was),
	        cmocka_unit_test(the_json_says_what_the_result_says),
	        cmocka_unit_test(the_metrics_are_valid),
	        cmocka_unit_test(a_file_that_cannot_be_written_is_said),
	        cmocka_unit_test(reports_are_compared),
	        cmocka_unit_test(progress_shows_the_last_second),
	};

	if (argc != 4) {
		(void)fprintf(stderr,
		              "usage: test_load_report GOLDEN_DIR PYTHON check_metrics.py\n");
		return 1;
	}
	golden_dir = argv[1];
	python = argv[2];
	check_metrics = argv[3];
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
