/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define START (1234 * NS_PER_S)

static struct load_stage stage_of(double from, double to, double seconds)
{
	return (struct load_stage){
	        .mode = LOAD_OPEN,
	        .duration_ns = (uint64_t)(seconds * (double)NS_PER_S),
	        .from = from,
	        .to = to,
	};
}

static void begin(struct schedule *s, const struct load_stage *stage, uint32_t worker,
                  uint32_t workers)
{
	struct schedule_share share = {.worker = worker, .workers = workers, .seed = 1};

	schedule_begin(s, stage, START, &share);
}

static void constant_is_even(void **state)
{
	struct load_stage stage = stage_of(1000, 1000, 2);
	struct schedule s;
	uint64_t n = 0;

	(void)state;
	for (begin(&s, &stage, 0, 1); s.next_ns != UINT64_MAX; schedule_take(&s), n++) {
		uint64_t due_ns = START + n * NS_PER_MS;

		assert_in_range(s.next_ns, due_ns - 1, due_ns + 1);
	}
	assert_int_equal(n, 2000);
}

/* All workers' starts together are those of one. */
static void workers_share(void **state)
{
	struct load_stage stage = stage_of(300, 900, 2);
	struct schedule one;
	struct schedule of[3];

	(void)state;
	begin(&one, &stage, 0, 1);
	for (uint32_t i = 0; i < 3; i++)
		begin(&of[i], &stage, i, 3);
	for (uint32_t n = 0; one.next_ns != UINT64_MAX; n++) {
		assert_int_equal(of[n % 3].next_ns, one.next_ns);
		schedule_take(&of[n % 3]);
		schedule_take(&one);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(of[i].next_ns, UINT64_MAX);
}

static void ramps_have_their_area(void **state)
{
	static const struct {
		double from, to, seconds;
		uint64_t starts;
	} ramps[] = {
	        {0, 1000, 10, 5000}, {1000, 0, 10, 5000},    {100, 300, 5, 1000},
	        {300, 100, 5, 1000}, {0, 0, 5, 0},           {1, 1, 0.5, 1},
	        {0.5, 0.5, 10, 5},   {1e6, 1e6, 1, 1000000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ramps); i++) {
		struct load_stage stage = stage_of(ramps[i].from, ramps[i].to, ramps[i].seconds);
		struct schedule s;
		uint64_t n = 0;
		uint64_t before_ns = 0;

		for (begin(&s, &stage, 0, 1); s.next_ns != UINT64_MAX; schedule_take(&s), n++) {
			assert_true(s.next_ns >= before_ns);
			assert_true(s.next_ns < START + stage.duration_ns);
			before_ns = s.next_ns;
		}
		/* The last may fall on the end itself, which is no longer part of it. */
		assert_in_range(n, ramps[i].starts - (ramps[i].starts > 0), ramps[i].starts + 1);
	}
}

/* In each tenth of a ramp as many starts as its level there says. */
static void ramps_are_linear(void **state)
{
	struct load_stage stage = stage_of(1000, 5000, 10);
	uint32_t in_second[10] = {0};
	struct schedule s;

	(void)state;
	for (begin(&s, &stage, 0, 1); s.next_ns != UINT64_MAX; schedule_take(&s))
		in_second[(s.next_ns - START) / NS_PER_S]++;
	for (uint32_t i = 0; i < 10; i++)
		assert_in_range(in_second[i], 1200 + i * 400 - 1, 1200 + i * 400 + 1);
}

static void poisson_has_its_mean_and_spread(void **state)
{
	struct load_stage stage = stage_of(10000, 10000, 10);
	struct schedule_share share = {.workers = 2, .poisson = true, .seed = 7};
	double sum = 0;
	double squares = 0;
	uint64_t n = 0;

	(void)state;
	for (share.worker = 0; share.worker < 2; share.worker++) {
		struct schedule s;
		uint64_t before_ns = START;

		for (schedule_begin(&s, &stage, START, &share); s.next_ns != UINT64_MAX;
		     schedule_take(&s), n++) {
			double gap = (double)(s.next_ns - before_ns) / (double)NS_PER_S;

			before_ns = s.next_ns;
			sum += gap;
			squares += gap * gap;
		}
	}
	/* 100,000 expected, standard deviation 316: six of those. */
	assert_in_range(n, 98100, 101900);
	double mean = sum / (double)n;
	double deviation = sqrt(squares / (double)n - mean * mean);
	/* A worker's gaps: mean 1/5000, and as much deviation, as exponential ones have. */
	assert_true(fabs(mean * 5000 - 1) < 0.02);
	assert_true(fabs(deviation / mean - 1) < 0.03);
}

static void poisson_follows_a_ramp(void **state)
{
	struct load_stage stage = stage_of(0, 20000, 10);
	struct schedule_share share = {.workers = 1, .poisson = true, .seed = 3};
	uint32_t halves[2] = {0};
	struct schedule s;

	(void)state;
	for (schedule_begin(&s, &stage, START, &share); s.next_ns != UINT64_MAX; schedule_take(&s))
		halves[s.next_ns >= START + 5 * NS_PER_S]++;
	/* 25,000 and 75,000; six deviations */
	assert_in_range(halves[0], 25000 - 950, 25000 + 950);
	assert_in_range(halves[1], 75000 - 1650, 75000 + 1650);
}

static void the_same_seed_repeats(void **state)
{
	struct load_stage stage = stage_of(1000, 1000, 1);
	struct schedule_share share = {.workers = 1, .poisson = true, .seed = 3};
	struct schedule_share shifted = {.workers = 1, .poisson = true, .seed = 4};
	struct schedule a;
	struct schedule b;
	struct schedule c;
	uint32_t same = 0;

	(void)state;
	schedule_begin(&a, &stage, START, &share);
	schedule_begin(&b, &stage, START, &share);
	schedule_begin(&c, &stage, START, &shifted);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(a.next_ns, b.next_ns);
		same += a.next_ns == c.next_ns;
		schedule_take(&a);
		schedule_take(&b);
		schedule_take(&c);
	}
	assert_true(same < 3);
}

static void what_is_owed_is_counted(void **state)
{
	struct load_stage stage = stage_of(1000, 1000, 2);
	struct schedule s;

	(void)state;
	begin(&s, &stage, 0, 1);
	assert_int_equal(schedule_behind(&s, START - 1), 0);
	assert_int_equal(schedule_behind(&s, START), 1);
	assert_in_range(schedule_behind(&s, START + 500 * NS_PER_MS), 500, 501);
	for (uint32_t i = 0; i < 500; i++)
		schedule_take(&s);
	assert_in_range(schedule_behind(&s, START + 500 * NS_PER_MS), 0, 1);
	/* Past the end no more are due than there are. */
	assert_in_range(schedule_behind(&s, START + 10 * NS_PER_S), 1500, 1501);
	assert_int_equal(schedule_finish(&s, START + 10 * NS_PER_S), 1500);
	assert_int_equal(s.next_ns, UINT64_MAX);
	assert_int_equal(schedule_finish(&s, START + 10 * NS_PER_S), 0);
}

static void an_early_end_owes_only_what_was_due(void **state)
{
	struct load_stage stage = stage_of(1000, 1000, 2);
	struct schedule s;

	(void)state;
	begin(&s, &stage, 0, 1);
	assert_int_equal(schedule_finish(&s, START + 100 * NS_PER_MS), 100);
}

static void cut_short(void **state)
{
	struct load_stage stage = stage_of(1000, 1000, 2);
	struct schedule s;

	(void)state;
	begin(&s, &stage, 0, 1);
	schedule_cut(&s, START + 100 * NS_PER_MS);
	assert_int_equal(s.next_ns, START);
	assert_int_equal(schedule_finish(&s, UINT64_MAX), 100);
	begin(&s, &stage, 0, 1);
	schedule_cut(&s, START);
	assert_int_equal(s.next_ns, UINT64_MAX);
}

static void very_many_are_not_counted_one_by_one(void **state)
{
	struct load_stage stage = stage_of(1e9, 1e9, 1000);
	struct schedule s;

	(void)state;
	begin(&s, &stage, 0, 1);
	uint64_t n = schedule_finish(&s, UINT64_MAX);
	assert_in_range(n, 1000000000000ull - 1, 1000000000000ull + 1);
}

static void levels(void **state)
{
	struct load_stage up = stage_of(10, 50, 4);
	struct load_stage hold = stage_of(12.5, 12.5, 4);
	struct load_stage none = stage_of(3, 7, 0);

	(void)state;
	assert_true(stage_level(&up, 0) == 10);
	assert_true(stage_level(&up, 2 * NS_PER_S) == 30);
	assert_true(stage_level(&up, 4 * NS_PER_S) == 50);
	assert_true(stage_level(&up, 40 * NS_PER_S) == 50);
	assert_int_equal(stage_users(&up, 50 * NS_PER_MS), 11);
	assert_int_equal(stage_users(&up, 49 * NS_PER_MS), 10);
	assert_int_equal(stage_users(&hold, 0), 13);
	assert_int_equal(stage_users(&none, 0), 7);
}

static void users_are_shared(void **state)
{
	(void)state;
	for (uint32_t users = 0; users < 40; users++)
		for (uint32_t workers = 1; workers < 9; workers++) {
			uint32_t sum = 0;

			for (uint32_t i = 0; i < workers; i++) {
				uint32_t n = stage_users_of(users, i, workers);

				assert_in_range(n, users / workers, users / workers + 1);
				sum += n;
			}
			assert_int_equal(sum, users);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(constant_is_even),
	        cmocka_unit_test(workers_share),
	        cmocka_unit_test(ramps_have_their_area),
	        cmocka_unit_test(ramps_are_linear),
	        cmocka_unit_test(poisson_has_its_mean_and_spread),
	        cmocka_unit_test(poisson_follows_a_ramp),
	        cmocka_unit_test(the_same_seed_repeats),
	        cmocka_unit_test(what_is_owed_is_counted),
	        cmocka_unit_test(an_early_end_owes_only_what_was_due),
	        cmocka_unit_test(cut_short),
	        cmocka_unit_test(very_many_are_not_counted_one_by_one),
	        cmocka_unit_test(levels),
	        cmocka_unit_test(users_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
