/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/timerwheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#define TICK_NS     NS_PER_MS
#define TIMER_COUNT 400u

/* A generator of our own: the same timers in every run and on every libc. */
static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* The naive model: which timers are set, and to when. */
struct model_timer {
	struct timer t;
	bool set;
	uint64_t deadline_ns;
};

struct model {
	struct timerwheel w;
	uint64_t now_ns;
	uint64_t last_tick; /* of the timer fired last in this advance */
	uint32_t set_count;
	uint32_t fired;
	uint32_t rearm; /* callbacks that still set timers again */
	struct model_timer timers[TIMER_COUNT];
};

static uint64_t fire_tick(uint64_t deadline_ns)
{
	return deadline_ns / TICK_NS + (deadline_ns % TICK_NS != 0);
}

static void model_set(struct model *m, uint32_t i, uint64_t deadline_ns)
{
	m->set_count += m->timers[i].set ? 0 : 1;
	m->timers[i].set = true;
	m->timers[i].deadline_ns = deadline_ns;
	timer_set(&m->w, &m->timers[i].t, deadline_ns);
}

static void model_cancel(struct model *m, uint32_t i)
{
	m->set_count -= m->timers[i].set ? 1 : 0;
	m->timers[i].set = false;
	timer_cancel(&m->w, &m->timers[i].t);
}

/* From less than a tick to far past the wheel's span, evenly over the orders of magnitude. */
static uint64_t random_delay_ns(void)
{
	return random_next() >> (9 + random_next() % 54);
}

static void on_fire(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct model *m = arg;
	struct model_timer *t = container_of(timer, struct model_timer, t);

	assert_true(t->set);
	assert_false(timer_is_set(timer));
	assert_int_equal(now_ns, m->now_ns);
	assert_true(t->deadline_ns <= now_ns);
	t->set = false;
	m->set_count--;
	m->fired++;
	if (m->rearm == 0)
		return;
	m->rearm--;
	uint32_t other = (uint32_t)(random_next() % TIMER_COUNT);
	switch (random_next() % 4) {
	case 0: /* itself, in the past: must not fire again for ever in this advance */
		model_set(m, (uint32_t)(t - m->timers), now_ns > 5 ? now_ns - 5 : 0);
		break;
	case 1:
		model_cancel(m, other);
		break;
	case 2:
		model_set(m, other, now_ns + random_delay_ns());
		break;
	default:
		model_set(m, (uint32_t)(t - m->timers), now_ns + random_delay_ns());
		break;
	}
}

/* After an advance without callbacks that set timers, nothing that was due may be left. */
static void check_nothing_due(const struct model *m)
{
	uint64_t first = UINT64_MAX;

	assert_int_equal(m->w.armed, m->set_count);
	for (uint32_t i = 0; i < TIMER_COUNT; i++) {
		const struct model_timer *t = &m->timers[i];
		assert_int_equal(t->set, timer_is_set(&t->t));
		if (!t->set)
			continue;
		assert_true(fire_tick(t->deadline_ns) > m->now_ns / TICK_NS);
		first = min_u64(first, fire_tick(t->deadline_ns));
	}
	/* The promise of next_ns: nothing before it, and it is in the future. */
	uint64_t next_ns = timerwheel_next_ns(&m->w);
	if (first == UINT64_MAX) {
		assert_int_equal(next_ns, UINT64_MAX);
		return;
	}
	assert_true(next_ns <= first * TICK_NS);
	assert_true(next_ns > m->now_ns);
}

static void step(struct model *m, uint32_t budget)
{
	m->fired = 0;
	uint32_t n = timerwheel_advance(&m->w, m->now_ns, budget, on_fire, m);
	assert_int_equal(n, m->fired);
	assert_true(budget == 0 || n <= budget);
}

static void agrees_with_a_list(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t total = 0;

	(void)state;
	assert_non_null(m);
	random_state = 0x9e3779b97f4a7c15ull;
	m->now_ns = 123456789;
	timerwheel_init(&m->w, TICK_NS, m->now_ns);
	for (int round = 0; round < 60000; round++) {
		uint32_t i = (uint32_t)(random_next() % TIMER_COUNT);
		switch (random_next() % 8) {
		case 0:
			model_cancel(m, i);
			break;
		case 1: /* past or present */
			model_set(m, i, m->now_ns - min_u64(m->now_ns, random_delay_ns()));
			break;
		default:
			model_set(m, i, m->now_ns + random_delay_ns());
			break;
		}
		m->now_ns += random_next() >> (20 + random_next() % 43);
		m->rearm = (uint32_t)(random_next() % 4);
		step(m, (uint32_t)(random_next() % 3));
		total += m->fired;
		if (round % 4 != 0)
			continue;
		m->rearm = 0;
		step(m, 0);
		total += m->fired;
		check_nothing_due(m);
		if (m->set_count > 0 && random_next() % 2 == 0) {
			m->now_ns = min_u64(timerwheel_next_ns(&m->w), 1ull << 62);
			step(m, 0);
			check_nothing_due(m);
		}
		if (m->now_ns > 1ull << 61)
			break;
	}
	assert_true(total > 1000);
	free(m);
}

struct order {
	uint64_t last_ns;
	uint32_t fired;
};

static void on_order(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct order *o = arg;

	(void)now_ns;
	assert_true(timer->deadline_ns >= o->last_ns);
	o->last_ns = timer->deadline_ns;
	o->fired++;
}

/* One advance over everything, in pieces by budget: by tick, oldest first. */
static void oldest_first(void **state)
{
	static struct timer timers[1000];
	struct timerwheel w;
	struct order o = {0};

	(void)state;
	memset(timers, 0, sizeof(timers));
	timerwheel_init(&w, TICK_NS, 0);
	for (uint64_t i = 0; i < ARRAY_LEN(timers); i++)
		timer_set(&w, &timers[i], ((i * 7919) % 1000) * 97 * TICK_NS);
	uint64_t end_ns = 1000 * 97 * TICK_NS;
	for (uint32_t fired = 0; fired < 1000; fired += 10)
		assert_int_equal(timerwheel_advance(&w, end_ns, 10, on_order, &o), 10);
	assert_int_equal(timerwheel_advance(&w, end_ns, 10, on_order, &o), 0);
	assert_int_equal(o.fired, 1000);
	assert_int_equal(w.armed, 0);
	assert_int_equal(timerwheel_next_ns(&w), UINT64_MAX);
}

static const uint64_t deadline_ticks[] = {
        0,
        1,
        2,
        254,
        255,
        256,
        257,
        511,
        512,
        65534,
        65535,
        65536,
        65537,
        131072,
        (1u << 24) - 1,
        1u << 24,
        (1u << 24) + 1,
        UINT32_MAX - 1ull,
        UINT32_MAX,
        1ull << 32,
        (1ull << 32) + 1,
        (1ull << 33) + 12345,
        (3ull << 32) + 255,
};
static const uint64_t start_ticks[] = {0,          1,         255, 256, 65535, (1u << 24) - 1,
                                       UINT32_MAX, 1ull << 40};

/* Each alone: not one tick early, not one late, whatever the place in the wheel it starts from. */
static void to_the_tick(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(start_ticks); s++) {
		for (size_t d = 0; d < ARRAY_LEN(deadline_ticks); d++) {
			struct timerwheel w;
			struct timer t = {0};
			struct order o = {0};
			uint64_t at = start_ticks[s] + deadline_ticks[d];
			timerwheel_init(&w, TICK_NS, start_ticks[s] * TICK_NS);
			timer_set(&w, &t, at * TICK_NS);
			if (deadline_ticks[d] > 0) {
				timerwheel_advance(&w, at * TICK_NS - 1, 0, on_order, &o);
				assert_int_equal(o.fired, 0);
			}
			timerwheel_advance(&w, at * TICK_NS, 0, on_order, &o);
			assert_int_equal(o.fired, 1);
		}
	}
}

/* By the times that next_ns names, as a sleeper goes: few steps even to a far deadline. */
static void a_sleeper_gets_there(void **state)
{
	struct timerwheel w;
	struct timer t = {0};
	struct order o = {0};
	uint64_t deadline_ns = (5ull << 32) * TICK_NS + 17 * TICK_NS + 1;
	uint32_t steps = 0;

	(void)state;
	timerwheel_init(&w, TICK_NS, 0);
	timer_set(&w, &t, deadline_ns);
	while (o.fired == 0 && steps < 100) {
		uint64_t next_ns = timerwheel_next_ns(&w);
		assert_true(next_ns <= deadline_ns + TICK_NS);
		timerwheel_advance(&w, next_ns, 0, on_order, &o);
		steps++;
	}
	assert_int_equal(o.fired, 1);
	assert_true(steps < 20);
}

struct stubborn {
	struct timerwheel w;
	uint32_t fired;
};

static void on_stubborn(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct stubborn *s = arg;

	(void)now_ns;
	s->fired++;
	if (s->fired > 100)
		fail_msg("fires for ever");
	timer_set(&s->w, timer, 0);
}

static void set_to_the_past_by_its_callback(void **state)
{
	static struct stubborn s;
	struct timer t = {0};

	(void)state;
	timerwheel_init(&s.w, TICK_NS, 0);
	timer_set(&s.w, &t, TICK_NS);
	uint32_t fired = timerwheel_advance(&s.w, 1000000 * TICK_NS, 0, on_stubborn, &s);
	/* At most again at each level on its way down to the last tick. */
	assert_true(fired >= 1 && fired <= 1 + TIMERWHEEL_LEVELS);
	assert_true(timerwheel_next_ns(&s.w) <= 1000000 * TICK_NS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(timerwheel_advance(&s.w, 1000000 * TICK_NS, 0, on_stubborn, &s),
		                 1);
}

static void time_that_stands_or_goes_back(void **state)
{
	struct timerwheel w;
	struct timer t = {0};
	struct order o = {0};

	(void)state;
	timerwheel_init(&w, TICK_NS, 1000 * TICK_NS);
	timer_set(&w, &t, 0);
	assert_int_equal(timerwheel_advance(&w, 1000 * TICK_NS, 0, on_order, &o), 1);
	timer_set(&w, &t, 1001 * TICK_NS);
	assert_int_equal(timerwheel_advance(&w, 5 * TICK_NS, 0, on_order, &o), 0);
	assert_int_equal(timerwheel_advance(&w, 1001 * TICK_NS, 0, on_order, &o), 1);
	timer_set(&w, &t, UINT64_MAX);
	assert_int_equal(timerwheel_advance(&w, 1ull << 60, 0, on_order, &o), 0);
	assert_true(timer_is_set(&t));
	timer_cancel(&w, &t);
	timer_cancel(&w, &t);
	assert_int_equal(w.armed, 0);
}

static void on_late(void *arg, struct timer *timer, uint64_t now_ns)
{
	uint64_t *latest_ns = arg;

	assert_true(timer->deadline_ns <= now_ns);
	*latest_ns = max_u64(*latest_ns, now_ns - timer->deadline_ns);
}

/* How many are linked elsewhere than the last time. */
static uint32_t moved(const struct timer *timers, struct timer ***before, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		count += timers[i].prev_next != before[i];
		before[i] = timers[i].prev_next;
	}
	return count;
}

/* So many in one slot that no call may move or fire them all: each does a little, and what is late
 * is late by no more than the calls take. */
static void a_crowd(void **state)
{
	enum { CROWD = 20000, A_CALL = 64 };
	struct timer *timers = calloc(CROWD, sizeof(struct timer));
	struct timer ***before = calloc(CROWD, sizeof(before[0]));
	struct timerwheel w;
	uint64_t latest_ns = 0;
	uint32_t fired = 0;
	uint64_t now_ns = 0;

	(void)state;
	assert_true(timers != NULL && before != NULL);
	timerwheel_init(&w, TICK_NS, 0);
	for (uint32_t i = 0; i < CROWD; i++)
		timer_set(&w, &timers[i], (70000 + i / 10) * TICK_NS);
	moved(timers, before, CROWD);
	while (w.armed > 0) {
		now_ns = max_u64(now_ns + TICK_NS / 20, timerwheel_next_ns(&w));
		uint32_t n = timerwheel_advance(&w, now_ns, A_CALL, on_late, &latest_ns);
		assert_true(n <= A_CALL);
		fired += n;
		/* Each one taken off moves its neighbours' links too. */
		assert_true(moved(timers, before, CROWD) <= 4 * (A_CALL + 400));
	}
	assert_int_equal(fired, CROWD);
	assert_true(latest_ns <= 5 * TICK_NS);
	free(before);
	free(timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_a_list),
	        cmocka_unit_test(oldest_first),
	        cmocka_unit_test(to_the_tick),
	        cmocka_unit_test(a_sleeper_gets_there),
	        cmocka_unit_test(set_to_the_past_by_its_callback),
	        cmocka_unit_test(time_that_stands_or_goes_back),
	        cmocka_unit_test(a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
