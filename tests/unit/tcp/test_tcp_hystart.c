/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HyStart++ (RFC 9406): its thresholds, and what it is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/cc_rig.h"

enum {
	TOTAL = 2 * 1000 * 1000,
};

static struct cc_rig rig;
static struct conn *const c = &rig.c;

/* One round of slow start in which each ACK shows this round trip, in steps of 2^20 ns. */
static void round_of(uint32_t ticks, uint32_t acks)
{
	struct seg s = {.has_ts = true};

	cc_fill(&rig);
	for (uint32_t i = 0; i < acks; i++) {
		uint32_t bytes = i + 1 < acks ? CC_MSS : conn_flight(c);

		s.ack = c->snd_una + bytes;
		s.tsecr = ts_clock(&rig.tcp) + c->ts_offset - ticks;
		hystart_sample(&rig.tcp, c, &s);
		cc_acked(&rig, bytes);
	}
	cc_advance(&rig, 100);
}

static void open_with_ts(uint32_t ticks)
{
	cc_open(&rig, NULL);
	c->flags |= CF_TS;
	c->ts_offset = 0xfffffff0u;
	round_of(ticks, 10); /* makes the window the limit; rounds begin with the first ACK */
}

/* RFC 9406 4.2 and 4.3: an eighth of the round trip, 4 ms at least and 16 ms at most, and eight
 * samples. A tick is 1.049 ms. */
static const struct {
	uint32_t before, now, samples;
	bool css;
} thresholds[] = {
        {10, 13, 10, false}, {10, 14, 10, true},  {1, 4, 10, false},     {1, 5, 10, true},
        {80, 89, 10, false}, {80, 90, 10, true},  {400, 415, 10, false}, {400, 416, 10, true},
        {80, 120, 8, true},  {80, 120, 7, false}, {80, 79, 10, false},
};

static void test_thresholds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(thresholds); i++) {
		open_with_ts(thresholds[i].before);
		round_of(thresholds[i].before, 10);
		assert_int_equal(c->cc.phase, CC_SLOW_START);
		round_of(thresholds[i].now, thresholds[i].samples);
		assert_int_equal(c->cc.phase, thresholds[i].css ? CC_CSS : CC_SLOW_START);
		assert_int_equal(counter_read(&rig.ctr, CTR_tcp_hystart_css), thresholds[i].css);
	}
}

static void test_conservative(void **state)
{
	uint32_t before;
	uint32_t last;

	(void)state;
	open_with_ts(50);
	round_of(50, 10);
	round_of(50, 10);
	round_of(60, 10);
	assert_int_equal(c->cc.phase, CC_CSS);
	/* A quarter of slow start, for five rounds; the one it began in counts. */
	for (uint32_t i = 1; i < 5; i++) {
		assert_int_equal(c->cc.phase, CC_CSS);
		before = c->cwnd_bytes;
		last = before / CC_MSS * CC_MSS - 9 * CC_MSS;
		round_of(60, 10);
		/* The ACK that ends the fifth is no part of it. */
		last = i < 4 ? min_u32(last, 8 * CC_MSS) / 4 : 0;
		assert_int_equal(c->cwnd_bytes, before + 9 * (CC_MSS / 4) + last);
	}
	assert_int_equal(c->cc.phase, CC_AVOIDANCE);
	assert_int_equal(counter_read(&rig.ctr, CTR_tcp_hystart_exit), 1);
	assert_true(c->ssthresh_bytes <= c->cwnd_bytes);
	/* RFC 9438 4.10: from here on the convex part. */
	before = c->cwnd_bytes;
	cc_round(&rig, 60);
	assert_int_equal(c->cc.cubic.k_ms, 0);
	assert_int_equal(c->cc.cubic.prior_bytes, before);
	assert_int_equal(c->cc.cubic.w_max_bytes, before);
}

static void test_resumes(void **state)
{
	uint32_t before;

	(void)state;
	open_with_ts(50);
	round_of(50, 10);
	round_of(50, 10);
	round_of(60, 10);
	assert_int_equal(c->cc.phase, CC_CSS);
	round_of(60, 10);
	assert_int_equal(c->cc.phase, CC_CSS);
	round_of(59, 10);
	assert_int_equal(c->cc.phase, CC_SLOW_START);
	cc_fill(&rig);
	before = c->cwnd_bytes;
	cc_acked(&rig, 4 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, before + 4 * CC_MSS);
}

/* A loss ends it for good. */
static void test_initial_only(void **state)
{
	(void)state;
	open_with_ts(50);
	round_of(50, 10);
	cc_timeout(c);
	c->ssthresh_bytes = 1000 * CC_MSS;
	c->snd_una = c->snd_nxt;
	for (uint32_t i = 0; i < 3; i++)
		round_of(50 + 20 * i, 10);
	assert_true(c->cwnd_bytes < c->ssthresh_bytes);
	assert_int_equal(c->cc.phase, CC_AVOIDANCE);
	assert_int_equal(counter_read(&rig.ctr, CTR_tcp_hystart_css), 0);
}

/* Without timestamps, one measurement a round has to do. */
static void test_no_timestamps(void **state)
{
	static const uint32_t rtts_ms[] = {50, 50, 50, 60};
	struct seg s = {0};

	(void)state;
	cc_open(&rig, NULL);
	for (uint32_t i = 0; i < ARRAY_LEN(rtts_ms); i++) {
		cc_fill(&rig);
		if (i == 0)
			cc_acked(&rig, CC_MSS); /* rounds begin */
		assert_int_equal(c->cc.phase, CC_SLOW_START);
		c->flags |= CF_TIMING;
		c->rtt_seq = c->snd_una + CC_MSS;
		c->rtt_start_ns = rig.tcp.now_ns;
		cc_advance(&rig, rtts_ms[i]);
		s.ack = c->snd_una + CC_MSS;
		hystart_sample(&rig.tcp, c, &s);
		cc_acked(&rig, CC_MSS);
		c->flags &= ~CF_TIMING;
		cc_acked(&rig, conn_flight(c));
	}
	assert_int_equal(c->cc.phase, CC_CSS);
}

/* Echoes that make no sense. */
static void test_nonsense(void **state)
{
	static const uint32_t ticks[] = {0x80000000u, 0xffffffffu, 1u << 16};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ticks); i++) {
		open_with_ts(50);
		round_of(50, 10);
		round_of(50, 10);
		round_of(ticks[i], 10);
		assert_int_equal(c->cc.phase, CC_SLOW_START);
		assert_in_range(c->cc.hystart.last_rtt_us, 50 * 1024, 51 * 1050);
	}
}

static struct rig net;

static bool opened(struct rig *r, void *arg)
{
	const struct app *app = arg;

	return rig_peer(r, app) != NULL;
}

static bool got_all(struct rig *r, void *arg)
{
	const struct app *app = arg;

	(void)r;
	return app->rx_done >= TOTAL;
}

/* In the mode "on" over IPv6. 4 Mbit/s, 40 ms, and a queue of 200,000 bytes: slow start alone fills
 * it and loses as much as it holds. */
static uint64_t transfer(enum tcp_pacing pacing, bool hystart, struct cc_link *link)
{
	struct rig_config cfg = {.delay_ns = 20 * NS_PER_MS, .v6 = pacing == TCP_PACING_ON};
	struct app model = {.keep_open = true};
	struct app *app;
	uint64_t begin;

	tcp_config_small(&cfg.tcp[0]);
	tcp_config_small(&cfg.tcp[1]);
	cfg.tcp[0].tx_chunks = 2048;
	cfg.tcp[0].pacing = pacing;
	cfg.tcp[1].rx_buf_bytes = 1 << 20;
	cfg.tcp[1].rx_bufs = 4;
	rig_open(&net, &cfg);
	*link = (struct cc_link){.rate_bps = 4000000, .queue_bytes = 200000};
	cc_link_put(&net, link);
	net.host[0].model =
	        (struct app){.tx_total = TOTAL, .keep_open = true, .tx_queue_max = 500000};
	app = rig_connect(&net, 1, 4000, &model);
	begin = net.now_ns;
	assert_true(rig_run(&net, opened, app, 1000));
	if (!hystart)
		rig_peer(&net, app)->conn->cc.phase = CC_AVOIDANCE;
	assert_true(rig_run(&net, got_all, app, 20000));
	return (net.now_ns - begin) / NS_PER_MS;
}

static void test_no_overflow(void **state)
{
	static const enum tcp_pacing modes[] = {TCP_PACING_OFF, TCP_PACING_INITIAL, TCP_PACING_ON};
	struct cc_link link;
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		ms = transfer(modes[i], true, &link);
		assert_int_equal(counter_read(&net.host[0].ctr, CTR_tcp_hystart_exit), 1);
		assert_int_equal(link.drops, 0);
		assert_int_equal(counter_read(&net.host[0].ctr, CTR_tcp_rexmit), 0);
		print_message("queue %u bytes, %u ms\n", link.peak_bytes, (unsigned)ms);
		/* And the link was full nearly all the time: with headers, 2 MB take 4.2 s. */
		assert_in_range(ms, 4100, 4500);
		rig_free(&net);
		ms = transfer(modes[i], false, &link);
		print_message("drops %u, %u ms\n", link.drops, (unsigned)ms);
		assert_true(link.drops > 50);
		rig_free(&net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_thresholds),    cmocka_unit_test(test_conservative),
	        cmocka_unit_test(test_resumes),       cmocka_unit_test(test_initial_only),
	        cmocka_unit_test(test_no_timestamps), cmocka_unit_test(test_nonsense),
	        cmocka_unit_test(test_no_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
