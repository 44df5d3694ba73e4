/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What all congestion control has in common, and NewReno. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/cc_rig.h"

static struct cc_rig rig;
static struct conn *const c = &rig.c;

static struct tcp_config config_of(enum tcp_congestion congestion, enum tcp_pacing pacing)
{
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.congestion = congestion;
	cfg.pacing = pacing;
	return cfg;
}

static void open_as(enum tcp_congestion congestion)
{
	struct tcp_config cfg = config_of(congestion, TCP_PACING_OFF);

	cc_open(&rig, &cfg);
}

static void test_begin(void **state)
{
	(void)state;
	cc_open(&rig, NULL);
	assert_int_equal(c->cwnd_bytes, 10 * CC_MSS);
	assert_int_equal(c->ssthresh_bytes, CC_WINDOW_MAX_BYTES);
	assert_string_equal(cc_name(c), "cubic");
	open_as(TCP_CONGESTION_NEWRENO);
	assert_string_equal(cc_name(c), "newreno");
}

/* RFC 9406 4.2, RFC 3465 2.3. */
static const struct {
	enum tcp_pacing pacing;
	enum loss_state loss;
	uint32_t acked, grown;
} slow_starts[] = {
        {TCP_PACING_OFF, LOSS_NONE, 1, 1},
        {TCP_PACING_OFF, LOSS_NONE, CC_MSS, CC_MSS},
        {TCP_PACING_OFF, LOSS_NONE, 8 * CC_MSS, 8 * CC_MSS},
        {TCP_PACING_OFF, LOSS_NONE, 8 * CC_MSS + 1, 8 * CC_MSS},
        {TCP_PACING_INITIAL, LOSS_NONE, 10 * CC_MSS, 8 * CC_MSS},
        {TCP_PACING_ON, LOSS_NONE, 10 * CC_MSS, 10 * CC_MSS},
        {TCP_PACING_OFF, LOSS_RTO, 5 * CC_MSS, CC_MSS},
        {TCP_PACING_ON, LOSS_RTO, 5 * CC_MSS, CC_MSS},
        {TCP_PACING_OFF, LOSS_RTO, 100, 100},
};

static void test_slow_start(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slow_starts); i++) {
		struct tcp_config cfg = config_of(TCP_CONGESTION_CUBIC, slow_starts[i].pacing);
		uint32_t before;

		cc_open(&rig, &cfg);
		cc_fill(&rig);
		c->loss = (uint8_t)slow_starts[i].loss;
		before = c->cwnd_bytes;
		cc_acked(&rig, slow_starts[i].acked);
		assert_int_equal(c->cwnd_bytes - before, slow_starts[i].grown);
	}
	/* Not beyond what a sequence number can tell. */
	cc_open(&rig, NULL);
	c->cwnd_bytes = CC_WINDOW_MAX_BYTES - 5;
	cc_limited(&rig.tcp, c);
	cc_sent(&rig, 1000);
	cc_acked(&rig, 1000);
	assert_int_equal(c->cwnd_bytes, CC_WINDOW_MAX_BYTES);
}

/* RFC 9438 4.6, RFC 5681 3.1; in segments. */
static const struct {
	enum tcp_congestion congestion;
	uint32_t cwnd, flight;
	uint32_t loss_cwnd, loss_ssthresh; /* in tenths of a segment */
	uint32_t ecn_cwnd;
} reductions[] = {
        {TCP_CONGESTION_CUBIC, 100, 100, 700, 700, 700},
        {TCP_CONGESTION_CUBIC, 100, 120, 700, 700, 700}, /* limited transmit */
        {TCP_CONGESTION_CUBIC, 100, 50, 350, 350, 350},  /* not all of it was used */
        {TCP_CONGESTION_CUBIC, 100, 0, 20, 20, 14},
        {TCP_CONGESTION_CUBIC, 2, 2, 20, 20, 14},
        {TCP_CONGESTION_CUBIC, 1, 1, 20, 20, 10},
        {TCP_CONGESTION_NEWRENO, 100, 100, 500, 500, 500},
        {TCP_CONGESTION_NEWRENO, 100, 50, 250, 250, 250},
        {TCP_CONGESTION_NEWRENO, 3, 3, 20, 20, 15},
        {TCP_CONGESTION_NEWRENO, 1, 1, 20, 20, 10},
};

static uint32_t tenths(uint32_t bytes)
{
	return (bytes * 10 + CC_MSS / 2) / CC_MSS;
}

static void test_reduce(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reductions); i++) {
		for (uint32_t how = 0; how < 3; how++) {
			open_as(reductions[i].congestion);
			cc_set(&rig, reductions[i].cwnd * CC_MSS, CC_WINDOW_MAX_BYTES);
			cc_sent(&rig, reductions[i].flight * CC_MSS);
			if (how == 0)
				cc_loss(c);
			else if (how == 1)
				cc_timeout(c);
			else
				cc_ecn(c);
			assert_int_equal(tenths(c->ssthresh_bytes), reductions[i].loss_ssthresh);
			if (how == 0)
				assert_int_equal(tenths(c->cwnd_bytes), reductions[i].loss_cwnd);
			else if (how == 1)
				assert_int_equal(c->cwnd_bytes, CC_MSS);
			else
				assert_int_equal(tenths(c->cwnd_bytes), reductions[i].ecn_cwnd);
		}
	}
}

static void test_newreno(void **state)
{
	(void)state;
	open_as(TCP_CONGESTION_NEWRENO);
	cc_set(&rig, 20 * CC_MSS, 20 * CC_MSS);
	/* A segment a round trip, whatever the ACKs are like. */
	for (uint32_t i = 0; i < 50; i++)
		cc_round(&rig, 100);
	assert_in_range(c->cwnd_bytes, 69 * CC_MSS, 71 * CC_MSS);
	cc_loss(c);
	assert_in_range(c->cwnd_bytes, 34 * CC_MSS, 36 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, c->ssthresh_bytes);
	/* One ACK for a window is worth one segment, one for half of it half of one. */
	cc_set(&rig, 20 * CC_MSS, 20 * CC_MSS);
	c->cc.carry = 0;
	cc_fill(&rig);
	cc_acked(&rig, 10 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, 20 * CC_MSS);
	cc_acked(&rig, 10 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, 21 * CC_MSS);
}

/* RFC 7661: only a window that is used may grow. */
static void test_validation(void **state)
{
	uint32_t before;

	(void)state;
	open_as(TCP_CONGESTION_CUBIC);
	/* Short exchanges: never. */
	for (uint32_t i = 0; i < 100; i++) {
		cc_sent(&rig, 3 * CC_MSS);
		cc_acked(&rig, 3 * CC_MSS);
		cc_advance(&rig, 100);
	}
	assert_int_equal(c->cwnd_bytes, 10 * CC_MSS);
	/* The last round trip of what was limited counts. */
	cc_fill(&rig);
	cc_acked(&rig, 2 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, 12 * CC_MSS);
	cc_sent(&rig, 4 * CC_MSS);
	cc_advance(&rig, 100);
	cc_acked(&rig, 8 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, 20 * CC_MSS);
	cc_acked(&rig, 4 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, 24 * CC_MSS);
	/* Half of it in flight, again and again: it may stay as it is or grow to twice that. */
	for (uint32_t i = 0; i < 100; i++) {
		cc_sent(&rig, 12 * CC_MSS);
		cc_advance(&rig, 100);
		cc_acked(&rig, 12 * CC_MSS);
	}
	assert_in_range(c->cwnd_bytes, 24 * CC_MSS, 32 * CC_MSS);
	/* And no more until it is the limit again. */
	before = c->cwnd_bytes;
	assert_false(c->flags & CF_CWND_LIMITED);
	for (uint32_t i = 0; i < 100; i++) {
		cc_sent(&rig, 12 * CC_MSS);
		cc_advance(&rig, 100);
		cc_acked(&rig, 12 * CC_MSS);
	}
	assert_int_equal(c->cwnd_bytes, before);
	cc_fill(&rig);
	cc_acked(&rig, 2 * CC_MSS);
	assert_int_equal(c->cwnd_bytes, before + 2 * CC_MSS);
}

/* RFC 7661 4.4.3. */
static void test_age(void **state)
{
	(void)state;
	open_as(TCP_CONGESTION_CUBIC);
	cc_set(&rig, 100 * CC_MSS, 60 * CC_MSS);
	for (uint32_t i = 0; i < 299; i++) {
		cc_advance(&rig, 1000);
		cc_age(&rig.tcp, c);
	}
	assert_int_equal(c->cwnd_bytes, 100 * CC_MSS);
	cc_advance(&rig, 2000);
	cc_age(&rig.tcp, c);
	assert_int_equal(c->cwnd_bytes, 50 * CC_MSS);
	assert_int_equal(c->ssthresh_bytes, 75 * CC_MSS);
	for (uint32_t i = 0; i < 3000; i++) {
		cc_advance(&rig, 1000);
		cc_age(&rig.tcp, c);
	}
	assert_int_equal(c->cwnd_bytes, 10 * CC_MSS);
	/* A window in use does not age. */
	cc_set(&rig, 100 * CC_MSS, 60 * CC_MSS);
	cc_limited(&rig.tcp, c);
	cc_advance(&rig, 400 * 1000);
	cc_age(&rig.tcp, c);
	assert_int_equal(c->cwnd_bytes, 100 * CC_MSS);
}

/* The timeout is 300 ms, the round trip 100 ms. */
static const struct {
	uint64_t now_ns;
	uint32_t idle_ms, cwnd, ssthresh; /* segments before */
	uint32_t cwnd_after, ssthresh_after;
} idles[] = {
        {NS_PER_S, 0, 100, 40, 100, 40},
        {NS_PER_S, 198, 100, 40, 100, 40},
        {NS_PER_S, 205, 100, 40, 50, 75},
        {NS_PER_S, 205, 100, 90, 50, 90},
        {NS_PER_S, 505, 100, 40, 25, 75},
        {NS_PER_S, 805, 100, 40, 12, 75},
        {NS_PER_S, 1105, 100, 40, 10, 75},
        {NS_PER_S, 4000 * 1000, 100, 40, 10, 75},
        {NS_PER_S, 4300 * 1000, 100, 40, 10, 75},
        {NS_PER_S, 60 * 1000, 11, 40, 10, 40},
        {NS_PER_S, 60 * 1000, 10, 7, 10, 7},
        {NS_PER_S, 60 * 1000, 4, 7, 4, 7},
        /* ts_clock wraps */
        {(UINT64_C(1) << 52) - 100 * NS_PER_MS, 150, 100, 40, 100, 40},
        {(UINT64_C(1) << 52) - 100 * NS_PER_MS, 250, 100, 40, 50, 75},
};

static void test_idle(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(idles); i++) {
		open_as(TCP_CONGESTION_CUBIC);
		rig.tcp.now_ns = idles[i].now_ns;
		cc_set(&rig, idles[i].cwnd * CC_MSS, idles[i].ssthresh * CC_MSS);
		cc_fill(&rig);
		cc_acked(&rig, conn_flight(c));
		cc_set(&rig, idles[i].cwnd * CC_MSS, idles[i].ssthresh * CC_MSS);
		cc_advance(&rig, idles[i].idle_ms);
		cc_sent(&rig, CC_MSS);
		cc_restart(&rig.tcp, c);
		assert_in_range(c->cwnd_bytes, idles[i].cwnd_after * CC_MSS,
		                (idles[i].cwnd_after + 1) * CC_MSS - 1);
		assert_int_equal(c->ssthresh_bytes / CC_MSS, idles[i].ssthresh_after);
		assert_int_equal(counter_read(&rig.ctr, CTR_tcp_idle_restart),
		                 idles[i].cwnd_after < idles[i].cwnd);
	}
	/* No round trip is known: the timeout is a second (RFC 6298 2.1). */
	open_as(TCP_CONGESTION_CUBIC);
	c->srtt_us = 0;
	c->rto_us = 0;
	cc_set(&rig, 100 * CC_MSS, 40 * CC_MSS);
	cc_advance(&rig, 990);
	cc_restart(&rig.tcp, c);
	assert_int_equal(c->cwnd_bytes, 100 * CC_MSS);
	cc_advance(&rig, 20);
	cc_restart(&rig.tcp, c);
	assert_int_equal(c->cwnd_bytes, 50 * CC_MSS);
}

static const uint8_t opts_mss[] = {2, 4, 536 >> 8, 536 & 255};
static struct wire wire;
static struct wire *const w = &wire;
static char text[60000];

/* A connection with an old, large window. */
static void wire_open_large(bool v6)
{
	wire_open(w, NULL, v6);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 0xfffffff0u);
	w->conn->srtt_us = 100000;
	w->conn->rto_us = 300000;
	cc_init(w->tcp, w->conn);
	w->conn->cwnd_bytes = 100 * 536;
	w->conn->ssthresh_bytes = 80 * 536;
	w->conn->cc.phase = CC_AVOIDANCE;
}

static uint32_t taken(void)
{
	struct wire_seg got;
	uint32_t n = 0;

	while (wire_take(w, &got))
		n += got.len;
	return n;
}

/* Every answer begins with what the time since the last one left of the window. */
static void test_idle_answers(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		wire_open_large(v6);
		wire_write(w, text, 100);
		assert_int_equal(taken(), 100);
		wire_advance(w, 100);
		w->ack += 100;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		w->conn->srtt_us = 100000;
		w->conn->rto_us = 300000;
		/* 299 ms after it was sent, and 301 */
		wire_advance(w, 199);
		wire_write(w, text, 100);
		assert_int_equal(w->conn->cwnd_bytes, 100 * 536);
		w->ack += 100;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		w->conn->rto_us = 300000;
		wire_advance(w, 301);
		wire_write(w, text, 100);
		assert_int_equal(w->conn->cwnd_bytes, 50 * 536);
		wire_close(w);
	}
}

/* A window that was closed for long opens: no burst of what the path held once. */
static void test_window_opens(void **state)
{
	struct wire_seg shut = {.wnd = 0, .flags = TH_ACK};

	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		wire_open_large(v6);
		shut.seq = w->seq;
		shut.ack = w->ack;
		wire_send(w, &shut);
		wire_write(w, text, sizeof(text));
		for (uint32_t i = 0; i < 100; i++) {
			wire_advance(w, 100);
			wire_send(w, &shut);
		}
		wire_drain(w);
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_in_range(w->conn->cwnd_bytes, 1, 10 * 536);
		assert_in_range(taken(), 1, 10 * 536);
		wire_close(w);
	}
}

/* Segments became larger than the window. */
static void test_mss_raised(void **state)
{
	(void)state;
	wire_open_large(false);
	w->conn->cwnd_bytes = 100;
	wire_write(w, text, sizeof(text));
	assert_int_equal(taken(), 536);
	w->conn->ssthresh_bytes = 100;
	cc_mss_raised(w->conn);
	assert_int_equal(w->conn->cwnd_bytes, 536);
	assert_int_equal(w->conn->ssthresh_bytes, 2 * 536);
	wire_close(w);
}

/* RFC 7661 4.4.3, found by the timers of a connection that is otherwise busy. */
static void test_age_by_timer(void **state)
{
	(void)state;
	wire_open_large(false);
	for (uint32_t i = 0; i < 10 * 6; i++) {
		if (i == 29)
			assert_int_equal(w->conn->cwnd_bytes, 100 * 536);
		wire_data(w, w->seq++, "x", 1);
		wire_advance(w, 10 * 1000);
		wire_drain(w);
	}
	assert_int_equal(w->conn->cwnd_bytes, 50 * 536);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_begin),        cmocka_unit_test(test_slow_start),
	        cmocka_unit_test(test_reduce),       cmocka_unit_test(test_newreno),
	        cmocka_unit_test(test_validation),   cmocka_unit_test(test_age),
	        cmocka_unit_test(test_idle),         cmocka_unit_test(test_idle_answers),
	        cmocka_unit_test(test_window_opens), cmocka_unit_test(test_age_by_timer),
	        cmocka_unit_test(test_mss_raised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
