/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The core's stop watch, alone and in a whole core. */
#include "dataplane/stages.h"
#include "lib/stages.h"
#include "tests/unit/req/fixture.h"

#include <stdlib.h>

static struct stages out;
static struct stage_clock watch;

static void watch_new(enum config_stages mode)
{
	memset(&out, 0, sizeof(out));
	stages_init(&watch, &out, 3);
	stages_set_mode(&watch, mode);
}

/* A round of two stages; the second has its items behind an empty call. */
static void watch_round(uint32_t packets, uint32_t timers, uint64_t now_ns)
{
	stages_begin(&watch);
	stage_mark(&watch, STAGE_rx, packets);
	stage_mark(&watch, STAGE_timer, 0);
	stage_mark(&watch, STAGE_timer, timers);
	stages_end(&watch, now_ns);
}

static void test_names(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		assert_true(stage_infos[i].name[0] && stage_infos[i].item[0]);
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(stage_infos[i].name, stage_infos[j].name);
	}
}

static void test_burst_classes(void **state)
{
	static const struct {
		uint32_t packets, index;
	} cases[] = {{1, 0}, {2, 1},  {3, 1},  {4, 2},         {7, 2},
	             {8, 3}, {31, 4}, {32, 5}, {UINT32_MAX, 5}};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t index = stage_burst_index(cases[i].packets);

		assert_int_equal(index, cases[i].index);
		assert_in_range(cases[i].packets, stage_burst_least(index),
		                stage_burst_most(index));
	}
}

static void test_off(void **state)
{
	struct stages none = {.cpu = 3};

	(void)state;
	watch_new(CONFIG_STAGES_OFF);
	none.started_cycles = out.started_cycles;
	assert_true(none.started_cycles > 0);
	for (uint32_t i = 0; i < 100; i++) {
		stages_burst(&watch, 5);
		watch_round(5, 1, i);
	}
	assert_memory_equal(&out, &none, sizeof(out));
}

static void test_all(void **state)
{
	const struct stage_stats *rx = &out.stage[STAGE_rx], *timer = &out.stage[STAGE_timer];

	(void)state;
	watch_new(CONFIG_STAGES_ALL);
	for (uint32_t i = 0; i < 50; i++)
		watch_round(i % 2 ? 7 : 0, i % 5 ? 0 : 1, i);
	assert_int_equal(out.cpu, 3);
	assert_int_equal(out.mode, CONFIG_STAGES_ALL);
	assert_int_equal(out.rounds, 25 + 5); /* odd ones, and every fifth of the even ones */
	assert_int_equal(out.timed_rounds, out.rounds);
	assert_int_equal(rx->calls, 25);
	assert_int_equal(rx->items, 7 * 25);
	assert_int_equal(timer->calls, 10);
	assert_int_equal(timer->items, 10);
	assert_int_equal(rx->timed_calls, rx->calls);
	assert_int_equal(rx->timed_items, rx->items);
	assert_int_equal(timer->timed_items, timer->items);
	assert_true(rx->timed_cycles >= rx->max_cycles && rx->max_cycles > 0);
	assert_true(timer->timed_cycles > 0);
	assert_int_equal(out.stage[STAGE_tx].calls, 0);
}

static void test_empty_rounds_cost_nothing(void **state)
{
	struct stages none = {.cpu = 3, .mode = CONFIG_STAGES_ALL};

	(void)state;
	watch_new(CONFIG_STAGES_ALL);
	none.started_cycles = out.started_cycles;
	for (uint32_t i = 0; i < 100; i++)
		watch_round(0, 0, i);
	assert_memory_equal(&out, &none, sizeof(out));
}

/* Everything is counted; about one round in sixteen is timed, at no fixed distance. */
static void test_sampled(void **state)
{
	enum { ROUNDS = 16000 };
	const struct stage_stats *rx = &out.stage[STAGE_rx];
	uint64_t last_timed = 0, gaps[2 * STAGES_GAP_MEAN] = {0};
	uint32_t kinds = 0;

	(void)state;
	watch_new(CONFIG_STAGES_SAMPLED);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t before = out.timed_rounds;

		watch_round(32, 0, i);
		if (out.timed_rounds == before)
			continue;
		assert_in_range(i - last_timed, 0, 2 * STAGES_GAP_MEAN - 1);
		gaps[i - last_timed]++;
		last_timed = i;
	}
	assert_int_equal(rx->calls, ROUNDS);
	assert_int_equal(rx->items, ROUNDS * 32);
	assert_int_equal(rx->timed_calls, out.timed_rounds);
	assert_int_equal(rx->timed_items, 32 * out.timed_rounds);
	assert_in_range(out.timed_rounds, ROUNDS / STAGES_GAP_MEAN * 9 / 10,
	                ROUNDS / STAGES_GAP_MEAN * 11 / 10);
	for (uint32_t i = 0; i < ARRAY_LEN(gaps); i++)
		kinds += gaps[i] > 0;
	assert_in_range(kinds, STAGES_GAP_MEAN, 2 * STAGES_GAP_MEAN);
}

/* What is shown for the last seconds forgets what was long ago. */
static void test_peaks(void **state)
{
	struct stage_stats *rx = &out.stage[STAGE_rx];
	uint64_t first;

	(void)state;
	watch_new(CONFIG_STAGES_ALL);
	watch_round(1, 0, NS_PER_S);
	first = rx->peak_cycles;
	assert_true(first > 0);
	assert_int_equal(rx->max_cycles, first);
	/* As if it had been slow. */
	rx->max_cycles = rx->peak_cycles = UINT64_MAX;
	watch_round(1, 0, 2 * NS_PER_S - 1);
	assert_int_equal(rx->peak_cycles, UINT64_MAX);
	watch_round(1, 0, 2 * NS_PER_S);
	assert_int_equal(rx->last_peak_cycles, UINT64_MAX);
	assert_in_range(rx->peak_cycles, 1, UINT64_MAX - 1);
	watch_round(0, 0, 3 * NS_PER_S);
	assert_in_range(rx->last_peak_cycles, 1, UINT64_MAX - 1);
	assert_int_equal(rx->max_cycles, UINT64_MAX);
}

/* A change in the middle of a round loses that round's times and nothing else. */
static void test_mode_changes(void **state)
{
	(void)state;
	watch_new(CONFIG_STAGES_ALL);
	stages_begin(&watch);
	stage_mark(&watch, STAGE_rx, 4);
	stages_set_mode(&watch, CONFIG_STAGES_OFF);
	stage_mark(&watch, STAGE_tx, 4);
	stages_end(&watch, 1);
	assert_int_equal(out.stage[STAGE_rx].items, 4);
	assert_int_equal(out.stage[STAGE_tx].items, 0);
	assert_int_equal(out.timed_rounds, 0);
	watch_round(4, 0, 2);
	assert_int_equal(out.stage[STAGE_rx].items, 4);
	stages_set_mode(&watch, CONFIG_STAGES_ALL);
	watch_round(4, 0, 3);
	assert_int_equal(out.stage[STAGE_rx].items, 8);
	assert_int_equal(out.timed_rounds, 1);
}

/* In a whole core every stage's items are what the counters say. */
static void test_core(void **state)
{
	const struct stages *s;
	uint64_t bursts = 0, synced;

	(void)state;
	up(NULL);
	s = &fx.rig.core->stats->stages;
	stages_set_mode(&fx.rig.core->stages, CONFIG_STAGES_ALL);
	assert_int_equal(ctr(CTR_rx_packets), 0);
	attach();
	synced = s->stage[STAGE_flush].items; /* which the counter leaves out */
	struct web *w = ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	reply("Cache-Control: max-age=60\r\n", pattern(7, 8000)); /* several packets at once */
	got(w, 200);
	run_ms(5);
	assert_int_equal(s->stage[STAGE_rx].items, ctr(CTR_rx_packets));
	assert_int_equal(s->stage[STAGE_net].items, ctr(CTR_rx_packets));
	assert_int_equal(s->stage[STAGE_tcp].items, ctr(CTR_rx_tcp));
	assert_int_equal(s->stage[STAGE_completion].items, ctr(CTR_chan_rx));
	assert_int_equal(s->stage[STAGE_flush].items - synced, ctr(CTR_chan_tx));
	assert_int_equal(s->stage[STAGE_tx].items, ctr(CTR_tx_packets));
	assert_true(s->stage[STAGE_request].items >= 2); /* its head, and its answer's way out */
	assert_true(s->stage[STAGE_housekeep].items >= 5);
	for (uint32_t i = 0; i < STAGE_BURSTS; i++)
		bursts += s->burst[i];
	assert_int_equal(bursts, s->stage[STAGE_rx].calls);
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		const struct stage_stats *st = &s->stage[i];

		assert_int_equal(st->items, st->timed_items);
		assert_true((st->items > 0) <= (st->timed_cycles > 0));
		assert_true(st->max_cycles <= st->timed_cycles);
	}
	down();
}

/* The configuration's mode, at the start and when it changes. */
static void test_configured(void **state)
{
	static struct snapshot *next;

	(void)state;
	up(NULL);
	assert_int_equal(fx.rig.core->stats->stages.mode, CONFIG_STAGES_SAMPLED);
	next = malloc(fx.rig.snapshot->total_bytes);
	assert_non_null(next);
	memcpy(next, fx.rig.snapshot, fx.rig.snapshot->total_bytes);
	next->stages = CONFIG_STAGES_OFF;
	fx.rig.shared->next_snapshot = next;
	run_ms(3);
	assert_ptr_equal(fx.rig.shared->used_snapshot, next);
	assert_int_equal(fx.rig.core->stats->stages.mode, CONFIG_STAGES_OFF);
	fx.rig.shared->next_snapshot = fx.rig.snapshot;
	run_ms(3);
	assert_int_equal(fx.rig.core->stats->stages.mode, CONFIG_STAGES_SAMPLED);
	free(next);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_burst_classes),
	        cmocka_unit_test(test_off),
	        cmocka_unit_test(test_all),
	        cmocka_unit_test(test_empty_rounds_cost_nothing),
	        cmocka_unit_test(test_sampled),
	        cmocka_unit_test(test_peaks),
	        cmocka_unit_test(test_mode_changes),
	        cmocka_unit_test(test_core),
	        cmocka_unit_test(test_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
