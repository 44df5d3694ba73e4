/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two JSON reports side by side. */
#include "perf/load/report_private.h"

#include <jansson.h>
#include <math.h>

#define NAME_WIDTH 22

/* A share that grew by less is noise, however many times it was: one error in two thousand. */
#define SHARE_NOISE 0.0005

static const struct {
	const char *key;
	enum load_figure figure;
	bool judged; /* the slowest few vary too much from run to run */
} rows[] = {
        {"rate_per_s", FIGURE_RATE, true},     {"mean_ns", FIGURE_MEAN, true},
        {"p50_ns", FIGURE_P50, true},          {"p90_ns", FIGURE_P90, true},
        {"p95_ns", FIGURE_P95, true},          {"p99_ns", FIGURE_P99, true},
        {"p99_9_ns", FIGURE_P999, false},      {"max_ns", FIGURE_MAX, false},
        {"errors_share", FIGURE_ERRORS, true}, {"hit_rate", FIGURE_HIT_RATE, true},
};

static json_t *load(const char *path)
{
	json_error_t e;
	json_t *o = json_load_file(path, 0, &e);

	if (!o) {
		(void)fprintf(stderr, "sluice-bench: %s:%d:%d: %s; it takes a report of --json\n",
		              path, e.line > 0 ? e.line : 1, e.column > 0 ? e.column : 1, e.text);
		return NULL;
	}
	if (json_integer_value(json_object_get(o, "version")) == REPORT_VERSION &&
	    json_is_object(json_object_get(json_object_get(o, "total"), "figures")))
		return o;
	(void)fprintf(stderr, "sluice-bench: %s: not a report of this version of --json\n", path);
	json_decref(o);
	return NULL;
}

static bool number(const json_t *part, const char *key, double *out)
{
	const json_t *n = json_object_get(json_object_get(part, "figures"), key);

	*out = json_number_value(n);
	return json_is_number(n);
}

static bool is_worse(enum load_figure figure, double a, double b, double tolerance)
{
	switch (figure) {
	case FIGURE_RATE:
		return b < a * (1 - tolerance);
	case FIGURE_HIT_RATE:
		return b < a * (1 - tolerance) && a - b > SHARE_NOISE;
	case FIGURE_ERRORS:
		return b > a * (1 + tolerance) && b - a > SHARE_NOISE;
	default:
		return b > a * (1 + tolerance);
	}
}

/* Is the change for the better, beyond the tolerance? */
static bool is_better(enum load_figure figure, double a, double b, double tolerance)
{
	return is_worse(figure, b, a, tolerance);
}

/* "1.23 x"; what grew from nothing has no ratio. */
static void put_ratio(double a, double b)
{
	if (a > 0 && b / a < 1000)
		(void)printf(" %9.3f x", b / a);
	else
		(void)printf(" %11s", "-");
}

/* Prints the rows of one part; returns how many got worse. */
static uint32_t compare_part(const char *name, const json_t *before, const json_t *after,
                             double tolerance)
{
	uint32_t worse = 0;

	(void)printf("%s\n", name);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const enum load_figure f = rows[i].figure;
		double a, b;
		bool has_a = number(before, rows[i].key, &a),
		     has_b = number(after, rows[i].key, &b);

		if (!has_a && !has_b)
			continue;
		(void)printf("  %-*s %12s %12s", NAME_WIDTH - 2, figure_infos[f].name,
		             has_a ? text_figure(f, a).s : "-", has_b ? text_figure(f, b).s : "-");
		if (!has_a || !has_b) {
			(void)printf("\n");
			continue;
		}
		put_ratio(a, b);
		if (rows[i].judged && is_worse(f, a, b, tolerance)) {
			(void)printf("  worse");
			worse++;
		} else if (rows[i].judged && is_better(f, a, b, tolerance)) {
			(void)printf("  better");
		}
		(void)printf("\n");
	}
	return worse;
}

/* Parts of the same name in both. */
static uint32_t compare_list(const json_t *before, const json_t *after, const char *key,
                             double tolerance)
{
	const json_t *olds = json_object_get(before, key), *news = json_object_get(after, key);
	uint32_t worse = 0;

	/* A single one is the whole. */
	if (json_array_size(olds) < 2 && json_array_size(news) < 2)
		return 0;
	for (size_t i = 0; i < json_array_size(olds); i++) {
		const json_t *a = json_array_get(olds, i);
		const char *name = json_string_value(json_object_get(a, "name"));

		for (size_t j = 0; name && j < json_array_size(news); j++) {
			const json_t *b = json_array_get(news, j);
			const char *other = json_string_value(json_object_get(b, "name"));

			if (other && strcmp(name, other) == 0)
				worse += compare_part(name, a, b, tolerance);
		}
	}
	return worse;
}

static void remark(const char *path, const json_t *report)
{
	const json_t *run = json_object_get(report, "run");

	if (json_is_true(json_object_get(run, "client_bound")))
		(void)printf("note: in %s the client was the limit\n", path);
	if (json_is_true(json_object_get(run, "interrupted")))
		(void)printf("note: %s is of a run that was interrupted\n", path);
}

static void scenarios_check(const json_t *before, const json_t *after)
{
	const char *a = json_string_value(json_object_get(before, "scenario"));
	const char *b = json_string_value(json_object_get(after, "scenario"));

	if (a && b && strcmp(a, b) != 0)
		(void)printf("note: the scenarios differ: %s and %s\n", a, b);
}

int result_compare(const char *before_path, const char *after_path, double tolerance)
{
	json_t *before = load(before_path);
	json_t *after = before ? load(after_path) : NULL;
	uint32_t worse;
	int code = 2;

	if (!after)
		goto out;
	(void)printf("%-*s %12s %12s %11s\n", NAME_WIDTH, "", "before", "after", "ratio");
	worse = compare_part("total", json_object_get(before, "total"),
	                     json_object_get(after, "total"), tolerance);
	worse += compare_list(before, after, "stages", tolerance);
	worse += compare_list(before, after, "endpoints", tolerance);
	scenarios_check(before, after);
	remark(before_path, before);
	remark(after_path, after);
	if (worse > 0)
		(void)printf("%u figure%s worse by more than %g %%\n", worse, worse == 1 ? "" : "s",
		             tolerance * 100);
	else
		(void)printf("nothing is worse by more than %g %%\n", tolerance * 100);
	code = worse > 0 ? 1 : 0;
out:
	json_decref(after);
	json_decref(before);
	return code;
}
