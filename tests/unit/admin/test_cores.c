/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cores: what is between two readings of a core, and the readings that are kept. */
#include "control/admin/admin_priv.h"
#include "lib/clock.h"
#include "tests/unit/admin/admin_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void near(double value, double expected)
{
	if (value < expected * 0.9999 || value > expected * 1.0001)
		fail_msg("%g is not %g", value, expected);
}

static double real_at(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_real(value));
	return json_real_value(value);
}

/* Half of the calls were timed. */
static void stage_add(struct core_stats *s, enum stage_id id, uint64_t calls, uint64_t items,
                      uint64_t cycles)
{
	struct stage_stats *st = &s->stages.stage[id];

	st->calls += 2 * calls;
	st->items += 2 * items;
	st->timed_calls += calls;
	st->timed_items += items;
	st->timed_cycles += cycles;
}

static void work_add(struct core_stats *s)
{
	s->counters.v[CTR_loop_polls] += 1000;
	s->counters.v[CTR_loop_empty] += 250;
	s->counters.v[CTR_http_requests] += 600;
	s->counters.v[CTR_loop_busy_cycles] += 600 * 700;
	s->stages.rounds += 40;
	s->stages.timed_rounds += 20;
	s->stages.burst[0] += 15;
	s->stages.burst[5] += 5;
	stage_add(s, STAGE_rx, 10, 320, 3200);
	stage_add(s, STAGE_request, 10, 300, 6300);
	/* Only polled, in vain: the cycles of half of the rounds. */
	s->stages.stage[STAGE_completion].timed_cycles += 500;
}

/* The server has read the cores once. */
static struct core_stats *begin(struct fixture *f)
{
	struct core_stats *s = f->ctl->chan->stats;

	for (uint32_t i = 0; i < 2; i++) {
		s[i].stages.cpu = 4 + i;
		s[i].stages.mode = CONFIG_STAGES_SAMPLED;
		s[i].stages.started_cycles = clock_cycles();
		for (uint32_t n = 0; n < 3; n++)
			work_add(&s[i]);
	}
	s[0].stages.stage[STAGE_rx].max_cycles = 1000000;
	s[0].stages.stage[STAGE_rx].last_peak_cycles = 2600;
	/* Until that reading is old enough to count from. */
	for (uint64_t end = clock_mono_ns() + 120 * NS_PER_MS; clock_mono_ns() < end;)
		fixture_pump(f, 1);
	return s;
}

static json_t *stage_of(json_t *core, enum stage_id id)
{
	json_t *row = json_array_get(json_object_get(core, "stages"), id);

	assert_string_equal(text_at(row, "stage"), stage_infos[id].name);
	assert_string_equal(text_at(row, "item"), stage_infos[id].item);
	return row;
}

static void test_interval(void **state)
{
	struct fixture *f = *state;
	struct core_stats *s = begin(f);

	work_add(&s[0]);
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cores\"}");
	json_t *core = json_array_get(json_object_get(r, "cores"), 0);
	json_t *rx = stage_of(core, STAGE_rx), *idle = stage_of(core, STAGE_completion);
	json_t *burst = json_array_get(json_object_get(core, "bursts"), 5);

	assert_true(json_is_false(json_object_get(r, "total")));
	assert_int_equal(int_at(core, "cpu"), 4);
	assert_string_equal(text_at(core, "state"), "polling");
	assert_string_equal(text_at(core, "timed"), "sampled");
	near(real_at(core, "empty_ratio"), 0.25);
	near(real_at(core, "cycles_per_request"), 700);
	near(real_at(core, "packets_per_burst"), 32);
	near(real_at(core, "loops_per_s") * real_at(core, "seconds"), 1000);
	near(real_at(core, "requests_per_s") * real_at(core, "seconds"), 600);
	assert_int_equal(int_at(rx, "calls"), 20);
	assert_int_equal(int_at(rx, "items"), 640);
	assert_int_equal(int_at(rx, "timed_items"), 320);
	near(real_at(rx, "cycles_per_item"), 10);
	near(real_at(rx, "max_us"), 2.6 / clock_cycles_per_ns());
	near(real_at(rx, "share"), 6400. / 20000);
	near(real_at(stage_of(core, STAGE_request), "share"), 12600. / 20000);
	near(real_at(idle, "share"), 1000. / 20000);
	assert_true(json_is_null(json_object_get(idle, "cycles_per_item")));
	assert_int_equal(int_at(burst, "least"), 32);
	assert_true(json_is_null(json_object_get(burst, "most")));
	assert_int_equal(int_at(burst, "count"), 5);
	json_decref(r);
}

static void test_total(void **state)
{
	struct fixture *f = *state;
	struct core_stats *s = begin(f);

	work_add(&s[0]);
	s[0].counters.v[CTR_loop_sleeps] = 1;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cores\",\"args\":{\"total\":true}}");
	json_t *core = json_array_get(json_object_get(r, "cores"), 0);

	assert_true(json_is_true(json_object_get(r, "total")));
	assert_string_equal(text_at(core, "state"), "sleeping");
	assert_int_equal(int_at(stage_of(core, STAGE_rx), "calls"), 80);
	near(real_at(stage_of(core, STAGE_rx), "max_us"), 1000 / clock_cycles_per_ns());
	near(real_at(core, "requests_per_s") * real_at(core, "seconds"), 2400);
	json_decref(r);
}

/* A core that hangs shows as such, and nothing is divided by zero. */
static void test_silent(void **state)
{
	struct fixture *f = *state;

	begin(f);
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cores\",\"args\":{\"seconds\":60}}");
	json_t *core = json_array_get(json_object_get(r, "cores"), 1);

	assert_string_equal(text_at(core, "state"), "silent");
	assert_true(json_is_null(json_object_get(core, "empty_ratio")));
	assert_true(json_is_null(json_object_get(core, "cycles_per_request")));
	assert_true(json_is_null(json_object_get(core, "packets_per_burst")));
	assert_true(json_is_null(json_object_get(stage_of(core, STAGE_tx), "share")));
	assert_int_equal(json_array_size(json_object_get(core, "stages")), STAGE_COUNT);
	json_decref(r);
}

/* Another dataplane: what was read of the one before is no baseline. */
static void test_restarted(void **state)
{
	struct fixture *f = *state;
	struct core_stats *s = begin(f);

	f->ctl->chan->generation = 0xbeef;
	memset(s, 0, sizeof(*s));
	s[0].stages.started_cycles = clock_cycles();
	stage_add(&s[0], STAGE_rx, 1, 2, 3);
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cores\"}");
	json_t *core = json_array_get(json_object_get(r, "cores"), 0);

	assert_int_equal(int_at(stage_of(core, STAGE_rx), "items"), 4);
	json_decref(r);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	expect_error(f, "{\"cmd\":\"cores\",\"args\":{\"seconds\":0}}", "1 to 60");
	expect_error(f, "{\"cmd\":\"cores\",\"args\":{\"seconds\":61}}", "1 to 60");
	expect_error(f, "{\"cmd\":\"cores\",\"args\":{\"second\":1}}", "no argument");
	f->ctl->chan->attached = false;
	expect_error(f, "{\"cmd\":\"cores\"}", "No dataplane");
}

static void test_history(void **state)
{
	static const struct {
		uint32_t seconds, row; /* row: how many samples ago */
	} cases[] = {{1, 1}, {2, 2}, {30, 30}, {60, 60}, {100, 60}};
	struct fixture *f = *state;
	struct admin_history h = {0};
	uint64_t second = (uint64_t)((double)NS_PER_S * clock_cycles_per_ns());
	uint64_t generation = chan_server_generation(f->ctl->chan);

	assert_null(admin_history_find(&h, 0, 0, 1));
	assert_null(admin_history_find(&h, generation, 0, 1));
	/* More than fit; as if one had been taken each second, the last half a second ago. */
	for (uint32_t i = 0; i < 200; i++) {
		f->ctl->chan->stats[1].counters.v[CTR_http_requests] = i;
		admin_history_sample(&h, f->ctl->chan);
	}
	assert_int_equal(h.count, ADMIN_HISTORY_S + 1);
	for (uint32_t i = 0; i < h.count * h.cores; i++) {
		uint64_t ago = 199 - h.samples[i | 1].figures[CORE_REQUESTS];

		h.samples[i].cycles = clock_cycles() - second / 2 - ago * second;
	}
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct core_sample *s =
		        admin_history_find(&h, generation, 1, cases[i].seconds);

		assert_non_null(s);
		assert_int_equal(199 - s->figures[CORE_REQUESTS], cases[i].row);
	}
	assert_null(admin_history_find(&h, generation, 2, 1));
	assert_null(admin_history_find(&h, generation + 1, 0, 1));
	f->ctl->chan->attached = false;
	admin_history_sample(&h, f->ctl->chan);
	assert_null(h.samples);
	admin_history_free(&h);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TEST(test_interval),  TEST(test_total),   TEST(test_silent),
	        TEST(test_restarted), TEST(test_refused), TEST(test_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
