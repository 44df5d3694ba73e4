/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/zipf.h"

#include <math.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define DRAWS 400000u
#define KEYS  1000u

/* Wilson and Hilferty, 1931: the value that chi-square of d degrees exceeds once in a thousand. */
static double chi2_limit(double d)
{
	double t = 1 - 2 / (9 * d) + 3.09 * sqrt(2 / (9 * d));

	return d * t * t * t;
}

static void keys_follow_the_law(void **state)
{
	static const double exponents[] = {0, 0.3, 0.9, 0.999999999, 1, 1.000000001, 1.1, 2, 5};
	static const uint64_t counts[] = {1, 2, 3, 10, KEYS};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exponents) * ARRAY_LEN(counts); i++) {
		double s = exponents[i % ARRAY_LEN(exponents)], sum = 0, chi2 = 0, rest = 0;
		uint64_t n = counts[i / ARRAY_LEN(exponents)], rest_seen = 0;
		uint32_t seen[KEYS + 1] = {0}, cells = 0;
		struct load_rng rng;
		struct zipf z;

		load_rng_seed(&rng, 7, i);
		zipf_init(&z, n, s);
		for (uint32_t d = 0; d < DRAWS; d++) {
			uint64_t k = zipf_next(&z, &rng);

			assert_in_range(k, 1, n);
			seen[k]++;
		}
		for (uint64_t k = 1; k <= n; k++)
			sum += pow((double)k, -s);
		/* Cells with few are taken together: chi-square asks for 5 and more in each. */
		for (uint64_t k = 1; k <= n; k++) {
			double wants = DRAWS * pow((double)k, -s) / sum;

			if (wants < 5) {
				rest += wants;
				rest_seen += seen[k];
				continue;
			}
			chi2 += (seen[k] - wants) * (seen[k] - wants) / wants;
			cells++;
		}
		if (rest > 5) {
			chi2 += ((double)rest_seen - rest) * ((double)rest_seen - rest) / rest;
			cells++;
		}
		if (cells > 1 && chi2 > chi2_limit(cells - 1))
			fail_msg("s %g, n %llu: chi-square %.1f with %u cells", s,
			         (unsigned long long)n, chi2, cells);
	}
}

static void large_counts_stay_in_range(void **state)
{
	static const uint64_t counts[] = {1000000, 1000000000000};
	static const double exponents[] = {0, 0.5, 1, 1.2, 10};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts) * ARRAY_LEN(exponents); i++) {
		uint64_t n = counts[i / ARRAY_LEN(exponents)], most = 0;
		struct load_rng rng;
		struct zipf z;

		load_rng_seed(&rng, 7, i);
		zipf_init(&z, n, exponents[i % ARRAY_LEN(exponents)]);
		for (uint32_t d = 0; d < 20000; d++) {
			uint64_t k = zipf_next(&z, &rng);

			assert_in_range(k, 1, n);
			most = max_u64(most, k);
		}
		if (exponents[i % ARRAY_LEN(exponents)] < 1)
			assert_true(most > n / 10 * 9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_follow_the_law),
	        cmocka_unit_test(large_counts_stay_in_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
