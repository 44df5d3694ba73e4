/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/report_private.h"

#include <math.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct load_hist *hist_new(void)
{
	struct load_hist *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	return h;
}

static void an_empty_histogram_says_nothing(void **state)
{
	struct load_hist *h = hist_new();
	struct hist_row rows[HIST_ROWS];

	(void)state;
	assert_int_equal(load_hist_quantile_ns(h, 0.5), 0);
	assert_int_equal(report_hist_rows(h, rows), 0);
	free(h);
}

static void quantiles_are_exact_to_a_hundredth(void **state)
{
	static const double qs[] = {0, 0.001, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	struct load_hist *h = hist_new();
	const uint64_t n = 100000;

	(void)state;
	/* 1 to n microseconds, in an order that is not theirs. */
	for (uint64_t i = 0; i < n; i++)
		load_hist_add(h, (i * 7919 % n + 1) * 1000);
	for (size_t i = 0; i < ARRAY_LEN(qs); i++) {
		double wants = ceil(qs[i] * (double)n) * 1000;
		double got = (double)load_hist_quantile_ns(h, qs[i]);

		if (wants < 1000)
			wants = 1000;
		if (got < wants || got > wants * 1.008)
			fail_msg("q %g: %g, wanted %g", qs[i], got, wants);
	}
	assert_int_equal(load_hist_quantile_ns(h, 1), n * 1000);
	assert_int_equal(h->min_ns, 1000);
	assert_int_equal(h->count, n);
	free(h);
}

static void edges_stay_within(void **state)
{
	static const uint64_t edges[] = {0, 1, 127, 128, (1ull << 40) - 1, 1ull << 40, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		struct load_hist *h = hist_new();

		load_hist_add(h, edges[i]);
		/* Never above what was seen, and no farther below than the last bucket. */
		assert_true(load_hist_quantile_ns(h, 0.5) <= edges[i]);
		assert_true(load_hist_quantile_ns(h, 0.5) >=
		            (edges[i] >> 40 ? 1ull << 39 : edges[i]));
		assert_int_equal(h->max_ns, edges[i]);
		assert_int_equal(h->min_ns, edges[i]);
		free(h);
	}
}

static void a_merged_one_is_that_of_both(void **state)
{
	struct load_hist *a = hist_new(), *b = hist_new(), *both = hist_new();

	(void)state;
	for (uint64_t i = 1; i < 5000; i++) {
		load_hist_add(i % 3 ? a : b, i * i);
		load_hist_add(both, i * i);
	}
	load_hist_merge(a, b);
	assert_memory_equal(a, both, sizeof(*a));
	/* An empty one changes nothing, and an empty one becomes the other. */
	(void)memset(b, 0, sizeof(*b));
	load_hist_merge(a, b);
	assert_memory_equal(a, both, sizeof(*a));
	load_hist_merge(b, a);
	assert_memory_equal(b, both, sizeof(*b));
	free(a);
	free(b);
	free(both);
}

/* Every value is in the row that says so, whatever the range. */
static void rows_hold_all_and_are_in_order(void **state)
{
	static const struct {
		uint64_t from;
		uint64_t to;
	} ranges[] = {{0, 0},          {1, 1},           {5, 9},
	              {1000, 1100},    {20000, 480000},  {1, 1000000000000},
	              {1, UINT64_MAX}, {999999, 1000001}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct load_hist *h = hist_new();
		struct hist_row rows[HIST_ROWS];
		uint64_t sum = 0;
		uint32_t n;

		for (int k = 0; k <= 100; k++)
			load_hist_add(h, ranges[i].from + (ranges[i].to - ranges[i].from) / 100 *
			                                          (uint64_t)k);
		n = report_hist_rows(h, rows);
		assert_in_range(n, 1, HIST_ROWS);
		for (uint32_t r = 0; r < n; r++) {
			assert_true(rows[r].from_ns < rows[r].to_ns);
			if (r > 0)
				assert_true(rows[r].from_ns == rows[r - 1].to_ns);
			sum += rows[r].count;
		}
		assert_int_equal(sum, h->count);
		if (ranges[i].from > 0) {
			assert_true(rows[0].from_ns <= (double)ranges[i].from);
			assert_true(rows[0].count > 0);
			assert_true(rows[n - 1].count > 0);
		}
		assert_true(rows[n - 1].to_ns >= (double)h->max_ns);
		free(h);
	}
}

static void texts_have_three_digits_and_a_unit(void **state)
{
	static const struct {
		double ns;
		const char *text;
	} times[] = {{0, "0 ns"},        {999, "999 ns"},     {999.6, "1.00 us"},
	             {1000, "1.00 us"},  {9996, "10.0 us"},   {99960, "100 us"},
	             {999400, "999 us"}, {999600, "1.00 ms"}, {12345678, "12.3 ms"},
	             {1e9, "1.00 s"},    {59.94e9, "59.9 s"}, {100e9, "100 s"}};
	static const struct {
		double ns;
		const char *text;
	} spans[] = {{0, "0 ns"},        {1.5e9, "1.50 s"}, {10e9, "10s"},
	             {59.6e9, "1m 00s"}, {61e9, "1m 01s"},  {7260e9, "2h 01m"}};
	static const struct {
		double share;
		const char *text;
	} shares[] = {{0, "0 %"},           {1, "100 %"},          {0.5, "50.0 %"},
	              {0.00001, "<0.01 %"}, {0.99999, ">99.99 %"}, {0.0004, "0.04 %"},
	              {0.925, "92.50 %"}};
	static const struct {
		uint64_t n;
		const char *text;
	} counts[] = {{0, "0"},
	              {999, "999"},
	              {1000, "1,000"},
	              {1234567, "1,234,567"},
	              {UINT64_MAX, "18,446,744,073,709,551,615"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		assert_string_equal(text_time(times[i].ns).s, times[i].text);
	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		assert_string_equal(text_span(spans[i].ns).s, spans[i].text);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		assert_string_equal(text_share(shares[i].share).s, shares[i].text);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		assert_string_equal(text_count(counts[i].n).s, counts[i].text);
	assert_string_equal(text_rate(1234.56).s, "1,234.6/s");
	assert_string_equal(text_rate(2500000).s, "2,500,000/s");
	assert_string_equal(text_bytes(1023).s, "1.00 KiB");
	assert_string_equal(text_bytes(512).s, "512 B");
	assert_string_equal(text_bytes(1048576 * 12.5).s, "12.5 MiB");
}

static void names_are_cut_between_characters(void **state)
{
	static const struct {
		const char *name;
		const char *wants; /* of four characters */
	} cases[] = {{"", "    "},
	             {"abc", "abc "},
	             {"abcd", "abcd"},
	             {"abcde", "abcd"},
	             {"\xc3\xa4\xc3\xb6", "\xc3\xa4\xc3\xb6  "},
	             {"abc\xe2\x82\xac\xc3\xa4", "abc\xe2\x82\xac"}};
	static const struct {
		const char *text;
		size_t whole;
	} cuts[] = {{"", 0},         {"ab", 2},           {"a\xc3\xa4", 3},   {"a\xc3", 1},
	            {"\xe2\x82", 0}, {"\xe2\x82\xac", 3}, {"\xf0\x9f\x98", 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text = NULL;
		size_t len = 0;
		FILE *mem = open_memstream(&text, &len);

		assert_non_null(mem);
		text_put_name(mem, cases[i].name, 4);
		(void)fclose(mem);
		assert_string_equal(text, cases[i].wants);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
		assert_int_equal(text_whole(cuts[i].text, strlen(cuts[i].text)), cuts[i].whole);
}

static void figures_are_of_what_was_asked(void **state)
{
	struct load_part *p = calloc(1, sizeof(*p));

	(void)state;
	assert_non_null(p);
	for (uint32_t f = 0; f < FIGURE_COUNT; f++)
		assert_true(result_figure(p, (enum load_figure)f) == 0);
	p->counts.sent = 90;
	p->counts.answered = 80;
	p->counts.cache_known = 40;
	p->counts.hits = 30;
	p->counts.errors[LOAD_ERR_TIMEOUT] = 5;
	p->counts.errors[LOAD_ERR_RESET] = 5;
	p->counts.errors[LOAD_ERR_UNSENT] = 10;
	p->duration_ns = 2 * NS_PER_S;
	load_hist_add(&p->latency, 100);
	load_hist_add(&p->latency, 300);
	assert_int_equal(load_errors(&p->counts), 20);
	/* What was never sent was asked for all the same. */
	assert_true(result_figure(p, FIGURE_ERRORS) == 0.2);
	assert_true(result_figure(p, FIGURE_TIMEOUTS) == 0.05);
	assert_true(result_figure(p, FIGURE_HIT_RATE) == 0.75);
	assert_true(result_figure(p, FIGURE_RATE) == 40);
	assert_true(result_figure(p, FIGURE_MEAN) == 200);
	assert_true(result_figure(p, FIGURE_MAX) == 300);
	/* Nobody could connect: all of nothing. */
	(void)memset(&p->counts, 0, sizeof(p->counts));
	p->counts.errors[LOAD_ERR_CONNECT] = 7;
	assert_true(result_figure(p, FIGURE_ERRORS) == 1);
	free(p);
}

static void the_client_is_the_limit_above_nine_tenths(void **state)
{
	struct result *r = result_create(NULL);

	(void)state;
	assert_true(result_client_share(r) == 0);
	r->workers = 2;
	r->elapsed_ns = 1000;
	r->cpu_busy_ns = 1800;
	assert_true(result_client_share(r) == 0.9);
	assert_false(result_client_bound(r));
	r->cpu_busy_ns = 1801;
	assert_true(result_client_bound(r));
	result_destroy(r);
}

static void verdicts_need_a_measurement(void **state)
{
	static const struct {
		const char *text;
		bool empty;
		bool full;
	} cases[] = {
	        {"p95 < 1s", false, true},         {"p95 > 1s", false, false},
	        {"errors < 5%", false, false},     {"errors < 6%", false, true},
	        {"timeouts < 1%", false, true},    {"hit_rate > 0.5", false, true},
	        {"hit_rate > 0.75", false, false}, {"rate > 99", false, true},
	        {"rate > 100", false, false},
	};
	struct config_error err;
	struct result *r;
	struct scenario s;

	(void)state;
	scenario_default(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(scenario_threshold_add(&s, cases[i].text, &err));
	r = result_create(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct verdict v = threshold_verdict(r, &s.thresholds[i]);

		assert_int_equal(v.holds, cases[i].empty);
		assert_false(v.measured);
	}
	assert_false(result_passes(r));
	r->total.counts.sent = r->total.counts.answered = 100;
	r->total.counts.errors[LOAD_ERR_STATUS] = 5;
	r->total.counts.cache_known = 4;
	r->total.counts.hits = 3;
	r->total.duration_ns = NS_PER_S;
	load_hist_add(&r->total.latency, NS_PER_MS);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct verdict v = threshold_verdict(r, &s.thresholds[i]);

		assert_true(v.measured);
		if (v.holds != cases[i].full)
			fail_msg("%s", cases[i].text);
	}
	assert_false(result_passes(r));
	s.threshold_count = 1;
	assert_true(result_passes(r));
	s.threshold_count = 0;
	assert_true(result_passes(r));
	result_destroy(r);
	scenario_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_empty_histogram_says_nothing),
	        cmocka_unit_test(quantiles_are_exact_to_a_hundredth),
	        cmocka_unit_test(edges_stay_within),
	        cmocka_unit_test(a_merged_one_is_that_of_both),
	        cmocka_unit_test(rows_hold_all_and_are_in_order),
	        cmocka_unit_test(texts_have_three_digits_and_a_unit),
	        cmocka_unit_test(names_are_cut_between_characters),
	        cmocka_unit_test(figures_are_of_what_was_asked),
	        cmocka_unit_test(the_client_is_the_limit_above_nine_tenths),
	        cmocka_unit_test(verdicts_need_a_measurement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
