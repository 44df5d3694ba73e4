/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint64_t edges[] = {
        0,
        1,
        15,
        16,
        17,
        31,
        32,
        33,
        63,
        64,
        1000,
        4095,
        4096,
        1000000,
        (1ull << 39) - 1,
        1ull << 39,
        (1ull << 40) - 1,
};

static void a_bucket_holds_its_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		uint32_t index = hist_index(edges[i]);
		assert_true(index < HIST_BUCKETS);
		assert_true(hist_bucket_max_ns(index) >= edges[i]);
		if (index > 0)
			assert_true(hist_bucket_max_ns(index - 1) < edges[i]);
		/* 16 steps an octave */
		assert_true(hist_bucket_max_ns(index) - edges[i] <= edges[i] / 16);
	}
	assert_int_equal(hist_index(1ull << 40), HIST_BUCKETS - 1);
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
	assert_int_equal(hist_bucket_max_ns(HIST_BUCKETS - 1), (1ull << 40) - 1);
}

static void buckets_follow_without_a_gap(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		assert_int_equal(hist_index(hist_bucket_max_ns(i)), i);
	for (uint32_t i = 0; i + 1 < HIST_BUCKETS; i++)
		assert_int_equal(hist_index(hist_bucket_max_ns(i) + 1), i + 1);
}

static void quantiles(void **state)
{
	static struct hist h;
	static const double qs[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0};

	(void)state;
	assert_int_equal(hist_quantile_ns(&h, 0.5), 0);
	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(&h, v);
	assert_int_equal(h.count, 100000);
	assert_int_equal(h.sum_ns, 5000050000ull);
	for (size_t i = 0; i < ARRAY_LEN(qs); i++) {
		double want = qs[i] * 100000;
		double got = (double)hist_quantile_ns(&h, qs[i]);
		assert_true(got >= want && got <= want * 1.0625 + 1);
	}
	assert_int_equal(hist_quantile_ns(&h, 0), 1);
	assert_int_equal(hist_quantile_ns(&h, -3), hist_quantile_ns(&h, 0));
	assert_int_equal(hist_quantile_ns(&h, 7), hist_quantile_ns(&h, 1));
	assert_int_equal(hist_quantile_ns(&h, __builtin_nan("")), hist_quantile_ns(&h, 0));
}

static void one_event_is_every_quantile(void **state)
{
	static struct hist h;

	(void)state;
	hist_add(&h, 7);
	assert_int_equal(hist_quantile_ns(&h, 0), 7);
	assert_int_equal(hist_quantile_ns(&h, 0.5), 7);
	assert_int_equal(hist_quantile_ns(&h, 1), 7);
}

static void a_quantile_at_a_boundary_is_the_lower(void **state)
{
	static struct hist h;

	(void)state;
	hist_add(&h, 1);
	hist_add(&h, 12);
	assert_int_equal(hist_quantile_ns(&h, 0.5), 1);
	assert_int_equal(hist_quantile_ns(&h, 0.51), 12);
}

static void a_merge_adds(void **state)
{
	static struct hist a, b, sum;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		hist_add(&a, 10);
		hist_add(&b, 1000000);
	}
	hist_add(&b, 1000000);
	hist_merge(&sum, &a);
	hist_merge(&sum, &b);
	assert_int_equal(sum.count, 201);
	assert_int_equal(sum.sum_ns, a.sum_ns + b.sum_ns);
	assert_int_equal(hist_quantile_ns(&sum, 0.49), 10);
	assert_true(hist_quantile_ns(&sum, 0.51) >= 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_bucket_holds_its_values),
	        cmocka_unit_test(buckets_follow_without_a_gap),
	        cmocka_unit_test(quantiles),
	        cmocka_unit_test(one_event_is_every_quantile),
	        cmocka_unit_test(a_quantile_at_a_boundary_is_the_lower),
	        cmocka_unit_test(a_merge_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
