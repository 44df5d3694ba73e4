/* SPDX-License-Identifier: BSD-2-Clause
 *
 * CUBIC against the formulas of RFC 9438, in floating point. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/cc_rig.h"

static struct cc_rig rig;
static struct conn *const c = &rig.c;

static double segs(uint32_t bytes)
{
	return (double)bytes / CC_MSS;
}

static void assert_between(double got, double lo, double hi)
{
	if (got < lo * 0.99 || got > hi * 1.01)
		fail_msg("%f is not between %f and %f", got, lo, hi);
}

static void assert_near(double got, double want, double part)
{
	if (fabs(got - want) > want * part)
		fail_msg("%f instead of %f", got, want);
}

/* In congestion avoidance after a loss at this window. */
static void lose_at(uint32_t cwnd_segs)
{
	cc_open(&rig, NULL);
	cc_set(&rig, cwnd_segs * CC_MSS, 2 * CC_MSS);
	cc_fill(&rig);
	cc_loss(c);
	rig.c.snd_una = rig.c.snd_nxt; /* recovered */
}

/* 4.2 */
static const struct {
	uint32_t w_max, rtt_ms; /* segments */
} curves[] = {
        {1000, 100}, {1000, 20}, {5000, 100}, {20000, 50}, {200, 200},
};

static void test_curve(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		double w_max = curves[i].w_max;
		double k = cbrt(w_max * 0.3 / 0.4);
		uint64_t begin;
		double rtt = curves[i].rtt_ms / 1000.0;
		double reno;
		double t = 0;

		reno = 0.7 * w_max;
		lose_at(curves[i].w_max);
		c->srtt_us = curves[i].rtt_ms * 1000;
		assert_near(segs(c->cwnd_bytes), 0.7 * w_max, 0.001);
		begin = rig.tcp.now_ns;
		while (t < 2 * k) {
			cc_round(&rig, curves[i].rtt_ms);
			t = (double)(rig.tcp.now_ns - begin) / 1e9;
			reno += reno < w_max ? 9.0 / 17 : 1;
			/* It is on its way to where the curve is a round trip later. */
			assert_between(segs(c->cwnd_bytes), fmax(0.4 * pow(t - k, 3) + w_max, reno),
			               fmax(0.4 * pow(t + rtt - k, 3) + w_max, reno));
		}
		assert_near(c->cc.cubic.k_ms, k * 1000, 0.001);
		/* As far above as the loss was below. */
		assert_near(segs(c->cwnd_bytes), fmax(1.3 * w_max, reno), 0.03);
	}
}

/* 4.3: 9/17 of a segment a round trip until the window is what it was, then one. */
static void test_reno_friendly(void **state)
{
	(void)state;
	lose_at(200);
	c->srtt_us = 1000;
	for (uint32_t i = 1; i <= 100; i++) {
		cc_round(&rig, 1);
		assert_near(segs(c->cwnd_bytes), 140 + i * 9.0 / 17, 0.01);
	}
	for (uint32_t i = 101; c->cwnd_bytes < 200 * CC_MSS; i++) {
		assert_true(i < 118);
		cc_round(&rig, 1);
	}
	for (uint32_t i = 1; i <= 100; i++) {
		cc_round(&rig, 1);
		assert_near(segs(c->cwnd_bytes), 200 + i, 0.01);
	}
}

/* 4.7 */
static void test_fast_convergence(void **state)
{
	(void)state;
	lose_at(1000);
	assert_int_equal(c->cc.cubic.w_max_bytes, 1000 * CC_MSS);
	/* Another one before the window is as large again: others want a part. */
	cc_set(&rig, 900 * CC_MSS, 2 * CC_MSS);
	c->cc.cubic.w_max_bytes = 1000 * CC_MSS;
	cc_fill(&rig);
	cc_loss(c);
	assert_near(segs(c->cc.cubic.w_max_bytes), 765, 0.001);
	assert_int_equal(c->cc.cubic.prior_bytes, 900 * CC_MSS);
	/* At the old window it is not less. */
	cc_set(&rig, 1000 * CC_MSS, 2 * CC_MSS);
	c->cc.cubic.w_max_bytes = 1000 * CC_MSS;
	cc_loss(c);
	assert_int_equal(c->cc.cubic.w_max_bytes, 1000 * CC_MSS);
}

/* 4.2: never more than half the window in a round trip, and never back. */
static void test_target_bounds(void **state)
{
	uint32_t before;

	(void)state;
	lose_at(1000);
	for (uint32_t i = 0; i < 10; i++)
		cc_round(&rig, 100);
	/* Time goes on while the window stays: more than a minute behind the curve. */
	rig.c.snd_una = rig.c.snd_nxt;
	cc_advance(&rig, 70 * 1000);
	for (uint32_t i = 0; i < 5; i++) {
		before = c->cwnd_bytes;
		cc_round(&rig, 100);
		assert_true(c->cwnd_bytes > before);
		assert_true(c->cwnd_bytes <= before / 2 * 3 + CC_MSS);
	}
	/* Far below the curve's begin. */
	c->cc.cubic.epoch_ms = (uint32_t)(rig.tcp.now_ns / NS_PER_MS);
	before = c->cwnd_bytes;
	cc_round(&rig, 100);
	assert_true(c->cwnd_bytes >= before);
	/* The age of an epoch is bounded, so that its cube is. */
	lose_at(1000);
	cc_round(&rig, 100);
	cc_advance(&rig, UINT64_C(40) * 24 * 3600 * 1000);
	before = c->cwnd_bytes;
	cc_round(&rig, 100);
	assert_true(c->cwnd_bytes > before);
}

/* 4.8 */
static void test_timeout(void **state)
{
	double w;
	uint64_t begin;

	(void)state;
	cc_open(&rig, NULL);
	cc_set(&rig, 1000 * CC_MSS, 2 * CC_MSS);
	cc_fill(&rig);
	cc_timeout(c);
	assert_int_equal(c->cwnd_bytes, CC_MSS);
	assert_int_equal(c->ssthresh_bytes, 1000 * CC_MSS / 10 * 7);
	rig.c.snd_una = rig.c.snd_nxt;
	for (uint32_t i = 0; c->cwnd_bytes < c->ssthresh_bytes; i++) {
		assert_true(i < 12);
		cc_round(&rig, 100);
	}
	cc_round(&rig, 100);
	/* The convex part from here, with no plateau before it; Reno's share still slow. */
	assert_int_equal(c->cc.cubic.k_ms, 0);
	assert_int_equal(c->cc.cubic.prior_bytes, 1000 * CC_MSS);
	w = segs(c->cc.cubic.w_max_bytes);
	assert_near(w, 700, 0.02);
	begin = (uint64_t)c->cc.cubic.epoch_ms;
	for (uint32_t i = 0; i < 100; i++) {
		double t;

		cc_round(&rig, 100);
		t = (double)(rig.tcp.now_ns / NS_PER_MS - begin) / 1000;
		assert_near(segs(c->cwnd_bytes), fmax(w + 0.4 * t * t * t, w + t * 10 * 9 / 17),
		            0.02);
	}
}

/* 4.9 */
static void test_undo(void **state)
{
	struct cubic before;
	uint32_t cwnd;

	(void)state;
	for (uint32_t how = 0; how < 2; how++) {
		lose_at(1000);
		for (uint32_t i = 0; i < 20; i++)
			cc_round(&rig, 100);
		before = c->cc.cubic;
		cwnd = c->cwnd_bytes;
		if (how == 0)
			cc_loss(c);
		else
			cc_timeout(c);
		assert_memory_not_equal(&before, &c->cc.cubic, sizeof(before));
		c->cwnd_bytes = cwnd;
		c->ssthresh_bytes = 700 * CC_MSS;
		cc_undo(c);
		assert_memory_equal(&before, &c->cc.cubic, sizeof(before));
	}
	/* What ended the first slow start was none: it goes on, with HyStart++. */
	cc_open(&rig, NULL);
	cc_round(&rig, 100);
	cc_loss(c);
	assert_int_equal(c->cc.phase, CC_AVOIDANCE);
	c->ssthresh_bytes = CC_WINDOW_MAX_BYTES;
	cc_undo(c);
	assert_int_equal(c->cc.phase, CC_SLOW_START);
	assert_int_equal(c->cc.hystart.rtt_us, UINT32_MAX);
}

/* 5.8: time in which the window was not the limit is not on the curve. */
static void test_app_limited(void **state)
{
	double k = cbrt(1000 * 0.3 / 0.4);
	double t = 0;

	(void)state;
	lose_at(1000);
	for (uint32_t i = 0; i < 40; i++, t += 0.1)
		cc_round(&rig, 100);
	/* Two rounds at half the window, then a minute of little. */
	rig.c.snd_una = rig.c.snd_nxt;
	for (uint32_t i = 0; i < 600; i++) {
		cc_sent(&rig, i < 2 ? 500 * CC_MSS : 20 * CC_MSS);
		cc_advance(&rig, 100);
		cc_acked(&rig, conn_flight(c));
	}
	assert_near(segs(c->cwnd_bytes), 0.4 * pow(t - k, 3) + 1000, 0.02);
	assert_false(c->flags & CF_CWND_LIMITED);
	for (uint32_t i = 0; i < 100; i++) {
		cc_round(&rig, 100);
		t += 0.1;
		assert_near(segs(c->cwnd_bytes), 0.4 * pow(t - k, 3) + 1000, 0.03);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_curve),
	        cmocka_unit_test(test_reno_friendly),
	        cmocka_unit_test(test_fast_convergence),
	        cmocka_unit_test(test_target_bounds),
	        cmocka_unit_test(test_timeout),
	        cmocka_unit_test(test_undo),
	        cmocka_unit_test(test_app_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
