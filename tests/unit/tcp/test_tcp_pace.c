/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pacing: what waits, for how long, and what never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/cc_rig.h"

enum {
	MSS = 536,
	MAX_MS = 200,
	LINK_SEGS = 50,
};

static const uint8_t opts_mss[] = {2, 4, MSS >> 8, MSS & 255};
static struct wire wire;
static struct wire *const w = &wire;
static char text[64 * MSS];
static struct cc_rig rig;

/* A connection whose round trip is 100 ms and whose timeout is 300 ms. */
static void open_at(uint64_t now_ns, enum tcp_pacing pacing, uint32_t initial_window)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.pacing = pacing;
	cfg.initial_window = initial_window;
	wire_open(w, &cfg, false);
	w->now_ns = now_ns;
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	assert_int_equal(w->conn->mss, MSS);
	w->conn->srtt_us = 100000;
	w->conn->rto_us = 300000;
}

static uint32_t taken(uint32_t *segs)
{
	struct wire_seg got;
	uint32_t n = 0;

	while (wire_take(w, &got))
		n += got.len > 0;
	*segs += n;
	return n;
}

static void ack_all(void)
{
	uint32_t ack = w->conn->snd_nxt;

	wire_flags(w, TH_ACK, w->seq, ack);
	w->ack = ack;
	wire_drain(w);
}

/* Writes so many segments; returns how many left at once, *ms when the last did. */
static uint32_t spread(uint32_t segs, uint32_t most_a_ms, uint32_t *ms)
{
	uint32_t sum = 0;
	uint32_t at_once;

	wire_write(w, text, segs * MSS);
	at_once = taken(&sum);
	for (*ms = 0; sum < segs && *ms < MAX_MS; ++*ms) {
		wire_advance(w, 1);
		assert_true(taken(&sum) <= most_a_ms);
	}
	assert_int_equal(sum, segs);
	return at_once;
}

static const uint64_t starts[] = {
        NS_PER_S, (UINT64_C(1) << 42) - 20 * NS_PER_MS, /* fine_clock wraps on the way */
        (UINT64_C(1) << 41) - 20 * NS_PER_MS,           /* and its sign changes */
};

/* A first window above 10 segments: 54 of 64 at 2 x 64 in 100 ms. */
static void test_first_window(void **state)
{
	uint32_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		open_at(starts[i], TCP_PACING_INITIAL, 64);
		assert_int_equal(spread(64, 3, &ms), 10);
		assert_in_range(ms, 40, 46);
		wire_close(w);
	}
	open_at(NS_PER_S, TCP_PACING_OFF, 64);
	assert_int_equal(spread(64, 0, &ms), 64);
	wire_close(w);
	/* The window that everybody has is no burst. */
	open_at(NS_PER_S, TCP_PACING_INITIAL, 10);
	assert_int_equal(spread(10, 0, &ms), 10);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_paced), 0);
	wire_close(w);
	/* No round trip was measured: 100 ms are assumed. */
	open_at(NS_PER_S, TCP_PACING_INITIAL, 64);
	w->conn->srtt_us = 0;
	assert_int_equal(spread(64, 3, &ms), 10);
	assert_in_range(ms, 40, 46);
	wire_close(w);
}

/* A small answer never waits, and in the default mode none does on a connection in use. */
static void test_not_delayed(void **state)
{
	uint32_t ms;

	(void)state;
	open_at(NS_PER_S, TCP_PACING_INITIAL, 64);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(spread(1 + i % 10, 0, &ms), 1 + i % 10);
		ack_all();
		wire_advance(w, 60);
	}
	assert_int_equal(spread(50, 0, &ms), 50);
	wire_close(w);
	open_at(NS_PER_S, TCP_PACING_ON, 64);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(spread(1 + i % 10, 0, &ms), 1 + i % 10);
		ack_all();
		wire_advance(w, 60);
	}
	wire_close(w);
}

/* After idle time the window is 50 of 100 segments, and slow start takes it. */
static void test_restart(void **state)
{
	static const enum tcp_pacing modes[] = {TCP_PACING_INITIAL, TCP_PACING_ON, TCP_PACING_OFF};
	uint32_t sum = 0;
	uint32_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		open_at(NS_PER_S, modes[i], 10);
		spread(1, 0, &ms);
		w->conn->cwnd_bytes = 100 * MSS;
		w->conn->ssthresh_bytes = 90 * MSS;
		ack_all();
		wire_advance(w, 350);
		w->conn->srtt_us = 100000;
		w->conn->rto_us = 300000;
		if (modes[i] == TCP_PACING_OFF) {
			assert_int_equal(spread(50, 0, &ms), 50);
		} else {
			assert_int_equal(spread(50, 2, &ms), 10);
			assert_in_range(ms, 38, 43);
		}
		assert_int_equal(w->conn->cwnd_bytes, 50 * MSS);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_idle_restart), 1);
		/* It is full: no more before an ACK comes. */
		wire_write(w, text, 10 * MSS);
		wire_advance(w, 50);
		assert_int_equal(taken(&sum), 0);
		assert_int_equal((w->conn->flags & CF_PACED) != 0, modes[i] == TCP_PACING_ON);
		wire_close(w);
	}
}

/* Everything: in congestion avoidance, 1.2 windows in a round trip. */
static void test_on(void **state)
{
	uint32_t ms;

	(void)state;
	open_at(NS_PER_S, TCP_PACING_ON, 10);
	w->conn->cwnd_bytes = 60 * MSS;
	w->conn->ssthresh_bytes = 30 * MSS;
	assert_int_equal(spread(60, 2, &ms), 10);
	assert_in_range(ms, 68, 74);
	wire_close(w);
}

/* What comes in meanwhile, and the ACKs that go out for it, do not stop it. */
static void test_goes_on(void **state)
{
	uint32_t sum = 0;

	(void)state;
	open_at(NS_PER_S, TCP_PACING_INITIAL, 64);
	wire_write(w, text, 64 * MSS);
	assert_int_equal(taken(&sum), 10);
	for (uint32_t i = 0; i < 50; i++) {
		wire_data(w, w->seq + i, "x", 1);
		wire_advance(w, 1);
		if (i == 20)
			wire_flags(w, TH_ACK, w->seq + i + 1, w->ack + 10 * MSS);
		taken(&sum);
	}
	assert_int_equal(sum, 64);
	wire_close(w);
}

/* Where the next segment's time is, seen from now, in ticks of fine_clock. A segment takes 763 of
 * them, a round trip 97,656. */
static const struct {
	int64_t ahead;
	bool allowed;
	int32_t after; /* what is left of the bucket, in segments */
} clocks[] =
        {
                {1, false, 0},           {0, false, 0},         {-1, true, 1},
                {-7632, true, -9},       {-1000000, true, -9},  {97000, false, 0},
                {97700, true, -9},       {INT32_MAX, true, -9}, {INT32_MIN, true, -9},
                {-4294967295, false, 0}, /* an hour and more ago, and by chance just ahead */
};

static void test_clocks(void **state)
{
	struct tcp_config cfg;

	(void)state;
	tcp_config_default(&cfg);
	cfg.pacing = TCP_PACING_ON;
	cfg.initial_window = 64;
	for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
		int32_t left;

		cc_open(&rig, &cfg);
		rig.c.cc.pace_clock = fine_clock(&rig.tcp) + (uint32_t)clocks[i].ahead;
		assert_int_equal(pace_allows(&rig.tcp, &rig.c, CC_MSS), clocks[i].allowed);
		left = (int32_t)(rig.c.cc.pace_clock - fine_clock(&rig.tcp));
		if (clocks[i].allowed)
			assert_in_range((uint32_t)(left + 10000),
			                (uint32_t)(clocks[i].after * 763 + 10000 - 20),
			                (uint32_t)(clocks[i].after * 763 + 10000 + 20));
		else
			assert_true(timer_is_set(&rig.c.timer));
	}
}

static struct rig net;

static bool got_all(struct rig *r, void *arg)
{
	const struct app *app = arg;

	(void)r;
	return app->rx_done >= (uint64_t)LINK_SEGS * 1448;
}

/* 16 Mbit/s, 50 ms and a queue for 27 segments, after idle time that left a window of 50. */
static void restart_over_link(enum tcp_pacing pacing, struct cc_link *link, uint32_t *ms)
{
	struct rig_config cfg = {.delay_ns = 25 * NS_PER_MS};
	struct app model = {.keep_open = true};
	struct app *app;
	struct app *server;
	uint64_t begin;

	tcp_config_small(&cfg.tcp[0]);
	tcp_config_small(&cfg.tcp[1]);
	cfg.tcp[0].pacing = pacing;
	cfg.tcp[1].rx_buf_bytes = 1 << 20;
	cfg.tcp[1].rx_bufs = 4;
	rig_open(&net, &cfg);
	*link = (struct cc_link){.rate_bps = 16000000, .queue_bytes = 40000};
	cc_link_put(&net, link);
	net.host[0].model = (struct app){.tx_total = 1448, .keep_open = true};
	app = rig_connect(&net, 1, 4000, &model);
	rig_run_for(&net, 200);
	server = rig_peer(&net, app);
	assert_non_null(server);
	server->conn->cwnd_bytes = 100 * 1448;
	server->conn->ssthresh_bytes = 90 * 1448;
	rig_run_for(&net, 160);
	server->tx_total = LINK_SEGS * 1448;
	rig_wake(server);
	begin = net.now_ns;
	assert_true(rig_run(&net, got_all, app, 5000));
	*ms = (uint32_t)((net.now_ns - begin) / NS_PER_MS);
}

static void test_restart_over_link(void **state)
{
	static const enum tcp_pacing modes[] = {TCP_PACING_OFF, TCP_PACING_INITIAL, TCP_PACING_ON};
	struct cc_link link;
	uint32_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		restart_over_link(modes[i], &link, &ms);
		print_message("%u lost, queue %u bytes, %u ms\n", link.drops, link.peak_bytes, ms);
		assert_int_equal(counter_read(&net.host[0].ctr, CTR_tcp_idle_restart), 1);
		if (modes[i] == TCP_PACING_OFF)
			assert_true(link.drops >= 20);
		else
			assert_int_equal(link.drops, 0);
		rig_free(&net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_first_window),      cmocka_unit_test(test_not_delayed),
	        cmocka_unit_test(test_restart),           cmocka_unit_test(test_on),
	        cmocka_unit_test(test_goes_on),           cmocka_unit_test(test_clocks),
	        cmocka_unit_test(test_restart_over_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
