/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is taken and how it is acknowledged: delayed ACKs and silly windows (RFC 9293 3.8.6), PAWS
 * and timestamps (RFC 7323), options of every shape, the urgent pointer, SYNs with text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static const uint8_t text[65536];

#define OPT_MSS       2, 4, 5, 0xb4
#define OPT_TS(hi, v) 1, 1, 8, 10, (hi), 0, 0, (v), 0, 0, 0, 0

static const uint8_t opts_mss[] = {OPT_MSS};
static const uint8_t opts_ts[] = {OPT_TS(0, 100)};

static void no_quick_acks(struct wire *w)
{
	w->conn->quick = 0;
}

/* 3.8.6.3: less than half a second (MUST-40), every second full segment at once (SHLD-19). */
static void test_delayed(void **state)
{
	static const uint32_t delays_ms[] = {0, 1, 40, 499};
	struct tcp_config cfg;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays_ms); i++) {
		struct wire *w = &wire;
		uint32_t ms = 0;
		struct wire_seg got;

		tcp_config_small(&cfg);
		cfg.delayed_ack_ms = delays_ms[i];
		cfg.rx_window_bytes = cfg.rx_buf_bytes; /* no updates while it grows */
		wire_open(w, &cfg, false);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 0u - 3000);
		no_quick_acks(w);
		wire_data(w, w->seq, text, 1460);
		while (!wire_take(w, &got)) {
			wire_advance(w, 1);
			ms++;
		}
		assert_in_range(ms, delays_ms[i] ? delays_ms[i] - 1 : 0, delays_ms[i] + 2);
		assert_true(ms < 500);
		assert_int_equal(got.ack, w->seq + 1460);
		for (uint32_t n = 1; n < 9; n++) {
			wire_data(w, w->seq + 1460 * n, text, 1460);
			assert_int_equal(wire_drain(w), delays_ms[i] == 0 ? 1 : n % 2 == 0);
		}
		wire_close(w);
	}
}

/* MUST-58, MUST-59: a burst is processed before its ACK goes. */
static void test_aggregated(void **state)
{
	struct wire *w = &wire;
	struct wire_seg s[8];
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, true);
	wire_handshake(w, NULL, 0, 5);
	for (uint32_t i = 0; i < 8; i++)
		s[i] = (struct wire_seg){.seq = w->seq + 1000 * i,
		                         .ack = w->ack,
		                         .wnd = 9000,
		                         .flags = TH_ACK,
		                         .data = text,
		                         .len = 1000};
	wire_burst(w, s, 8);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 8000);
	assert_int_equal(wire_drain(w), 0);
	wire_close(w);
}

/* RFC 5681 4.2: out of order, and what fills the gap, at once. */
static void test_gap(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 0xffffff00);
	no_quick_acks(w);
	for (uint32_t i = 2; i < 5; i++) {
		wire_data(w, w->seq + 100 * i, text, 100);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack, w->seq);
	}
	wire_data(w, w->seq, text, 100); /* a part of the gap */
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 100);
	wire_data(w, w->seq + 100, text, 100);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 500);
	assert_int_equal(wire_drain(w), 0);
	wire_close(w);
}

/* RFC 7323 3.2: a segment without, once timestamps were agreed. */
static void test_timestamp_missing(void **state)
{
	struct tcp_config cfg;

	(void)state;
	for (uint32_t required = 0; required < 2; required++) {
		struct wire *w = &wire;
		struct wire_seg got;

		tcp_config_small(&cfg);
		wire_open(w, &cfg, false);
		wire_handshake(w, opts_ts, sizeof(opts_ts), 5);
		w->tcp->cfg.timestamps_required = required;
		wire_data(w, w->seq, "abc", 3);
		assert_int_equal(w->rx_len, required ? 0 : 3);
		assert_int_equal(wire_drain(w), !required);
		assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_no_ts), required);
		/* It MUST NOT be ended by that; a SYN is challenged, a reset resets. */
		assert_int_equal(w->closed, 0);
		w->seq += w->rx_len;
		wire_flags(w, TH_SYN, 77, 0);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_ACK);
		wire_flags(w, TH_RST, w->seq, 0);
		assert_int_equal(w->closed, 1);
		wire_close(w);
	}
}

/* RFC 7323 5.3, with stamps near the wrap, and 5.5: after 24 idle days ts_recent says nothing. */
static void test_paws(void **state)
{
	static const struct {
		uint32_t recent, stamp;
		uint8_t flags;
		uint64_t idle_days;
		bool taken;
	} cases[] = {
	        {100, 100, 0, 0, true},
	        {100, 101, 0, 0, true},
	        {100, 99, 0, 0, false},
	        {100, 100 + 0x7fffffffu, 0, 0, true},
	        {0, 0xffffffff, 0, 0, false},
	        {0xffffffff, 0, 0, 0, true},
	        {0xffffffff, 0xfffffffe, 0, 0, false},
	        {100, 99, 0, 23, false},
	        {100, 99, 0, 25, true},
	        {100, 100 - 0x7fffffffu, 0, 0, false},
	        {100, 99, TH_RST, 0, true}, /* exempt */
	};
	struct tcp_config cfg;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire *w = &wire;
		uint8_t opts[12] = {OPT_TS(0, 0)};
		struct wire_seg s = {.wnd = 900, .data = "abc", .len = 3};

		tcp_config_small(&cfg);
		cfg.keepalive_idle_ms = 0;
		wire_open(w, &cfg, i & 1);
		put_u32(opts + 4, cases[i].recent);
		wire_handshake(w, opts, sizeof(opts), 0xfffffffe);
		w->now_ns += cases[i].idle_days * 24 * 3600 * NS_PER_S;
		wire_run(w);
		put_u32(opts + 4, cases[i].stamp);
		memcpy(s.opts, opts, sizeof(opts));
		s.opts_len = sizeof(opts);
		s.seq = w->seq;
		s.ack = w->ack;
		s.flags = cases[i].flags | TH_ACK;
		wire_send(w, &s);
		if (cases[i].flags & TH_RST)
			assert_int_equal(w->closed, 1);
		else
			assert_int_equal(w->rx_len, cases[i].taken ? 3 : 0);
		assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_paws), !cases[i].taken);
		wire_close(w);
	}
}

/* RFC 9293 3.1, 3.2: lengths 0 and 1, beyond the header, unknown, repeated, after the end, and at
 * any alignment (MUST-5, MUST-6, MUST-7, MUST-64). */
static void test_options(void **state)
{
	static const struct {
		uint8_t opts[40];
		uint8_t len;
		uint16_t mss; /* 0: dropped */
		bool ts;
	} cases[] = {
	        {{OPT_MSS}, 4, 1460, false},
	        {{1, 2, 4, 5, 0xb4, 0, 0, 0}, 8, 1460, false},
	        {{1, 1, 1, 2, 4, 5, 0xb4, 0}, 8, 1460, false},
	        {{OPT_MSS, 2, 4, 2, 0}, 8, 512, false}, /* the last one counts */
	        {{0, 2, 4, 2}, 4, 536, false},          /* nothing counts after the end */
	        {{OPT_MSS, 0, 8, 10, 0}, 8, 1460, false},
	        {{254, 4, 1, 2, OPT_MSS}, 8, 1460, false},
	        {{254, 2, 253, 2, OPT_MSS}, 8, 1460, false},
	        {{30, 4, 1, 2, OPT_MSS}, 8, 1460, false}, /* MPTCP */
	        {{2, 3, 5, OPT_MSS, 0}, 8, 1460, false},  /* of a wrong length: as unknown */
	        {{2, 2, 1, 1}, 4, 536, false},
	        {{8, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 12, 536, false},
	        {{OPT_TS(0, 1)}, 12, 536, true},
	        {{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1}, 12, 536, true},
	        {{254, 0, 1, 1}, 4, 0, false},
	        {{254, 1, 1, 1}, 4, 0, false},
	        {{254, 5, 1, 1}, 4, 0, false},
	        {{1, 1, 1, 254}, 4, 0, false},
	        {{OPT_MSS, 3, 3, 4, 8}, 8, 0, false},
	        {{255, 40, 1, 1}, 40, 536, false},
	        {{255, 41, 1, 1}, 40, 0, false},
	        {{1, 1, 1, 1, 1, 1, 1, 1}, 40, 536, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire_seg syn = {.seq = 1, .wnd = 900, .flags = TH_SYN};
		struct wire_seg got;

		wire_open(&wire, NULL, false);
		memcpy(syn.opts, cases[i].opts, cases[i].len);
		syn.opts_len = cases[i].len;
		wire_send(&wire, &syn);
		assert_int_equal(wire_take(&wire, &got), cases[i].mss != 0);
		assert_int_equal(counter_read(&wire.ctr, CTR_drop_tcp_header), cases[i].mss == 0);
		if (cases[i].mss) {
			uint32_t cursor = 0;
			const struct conn *c = tcp_conn_walk(wire.tcp, &cursor);

			assert_int_equal(c->mss, cases[i].mss - (cases[i].ts ? 12 : 0));
			assert_int_equal(got.parsed.has_ts, cases[i].ts);
		}
		wire_close(&wire);
	}
}

/* RFC 6093: urgent data is data in line; no pointer changes what is delivered. */
static void test_urgent(void **state)
{
	struct wire *w = &wire;
	struct wire_seg s = {.flags = TH_ACK | TH_URG, .wnd = 900, .data = "abcdef", .len = 6};

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 0xfffffffd);
	s.seq = w->seq;
	s.ack = w->ack;
	wire_send(w, &s);
	assert_int_equal(w->rx_len, 6);
	assert_memory_equal(w->rx, "abcdef", 6);
	wire_close(w);
}

static struct conn *open_active(struct wire *w, struct wire_seg *syn)
{
	struct net_path path = {.remote_mac = {2, 0, 0, 0, 0, 9}};

	path.local = w->local;
	path.remote = w->remote;
	w->conn = tcp_connect(w->tcp, &path, 4000, w->port, w->now_ns);
	assert_non_null(w->conn);
	tcp_set_owner(w->conn, w);
	wire_run(w);
	assert_true(wire_take(w, syn));
	return w->conn;
}

/* RFC 9293 3.10.7.3: text and FIN of the SYN-ACK. */
static void test_syn_ack_text(void **state)
{
	static const uint8_t flags[] = {0, TH_FIN};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct wire *w = &wire;
		struct wire_seg s = {.seq = 0xfffffffe, .wnd = 900, .dport = 4000, .data = "hello"};
		struct wire_seg got;
		struct conn *c;

		wire_open(w, NULL, i & 1);
		c = open_active(w, &got);
		s.flags = TH_SYN | TH_ACK | flags[i / 2];
		s.ack = got.seq + 1;
		s.len = 5;
		wire_send(w, &s);
		assert_int_equal(c->state, flags[i / 2] ? TCP_CLOSE_WAIT : TCP_ESTABLISHED);
		assert_int_equal(w->rx_len, 5);
		assert_memory_equal(w->rx, "hello", 5);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack, 0xfffffffe + 6 + (flags[i / 2] ? 1 : 0));
		assert_int_equal(wire_drain(w), 0);
		wire_close(w);
	}
}

/* RFC 7323 2.2: the window of a SYN is not scaled, also not that of the SYN-ACK which completes a
 * simultaneous open. */
static void test_syn_window(void **state)
{
	static const uint8_t opts[] = {OPT_MSS, 1, 3, 3, 7};
	struct wire *w = &wire;
	struct wire_seg s = {.seq = 300, .wnd = 1000, .dport = 4000, .flags = TH_SYN};
	struct wire_seg got;
	struct conn *c;

	(void)state;
	for (uint32_t both = 0; both < 2; both++) {
		wire_open(w, NULL, false);
		c = open_active(w, &got);
		memcpy(s.opts, opts, sizeof(opts));
		s.opts_len = sizeof(opts);
		s.flags = TH_SYN;
		s.ack = 0;
		if (both)
			wire_send(w, &s);
		s.flags = TH_SYN | TH_ACK;
		s.ack = got.seq + 1;
		wire_send(w, &s);
		assert_int_equal(c->state, TCP_ESTABLISHED);
		assert_int_equal(c->snd_wnd, 1000);
		s.seq++;
		s.flags = TH_ACK;
		s.opts_len = 0;
		wire_send(w, &s);
		assert_int_equal(c->snd_wnd, 1000 << 7);
		wire_close(w);
	}
}

/* 3.8.6.2.2 (MUST-39): the window opens by a segment or half of the buffer, or not at all. */
static void test_silly_window(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_buf_bytes = 8192;
	wire_open(w, &cfg, false);
	wire_handshake(w, NULL, 0, 5);
	w->no_read = true;
	for (uint32_t at = 0; at < 8192; at += 1024)
		wire_data(w, w->seq + at, text, 1024);
	w->seq += 8192;
	wire_advance(w, 100);
	wire_drain(w);
	for (uint32_t read = 0; read < 8192; read += 64) {
		uint32_t wnd = 0;

		tcp_rx_consume(w->tcp, w->conn, 64);
		wire_run(w);
		wire_data(w, w->seq - 1, text, 1); /* asks for the window */
		while (wire_take(w, &got))
			wnd = got.wnd;
		assert_true(wnd == 0 || wnd >= 536);
		assert_true(wnd <= read + 64);
	}
	assert_true(got.wnd >= 4096);
	w->no_read = false;
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_delayed),    cmocka_unit_test(test_aggregated),
	        cmocka_unit_test(test_gap),        cmocka_unit_test(test_timestamp_missing),
	        cmocka_unit_test(test_paws),       cmocka_unit_test(test_options),
	        cmocka_unit_test(test_urgent),     cmocka_unit_test(test_syn_ack_text),
	        cmocka_unit_test(test_syn_window), cmocka_unit_test(test_silly_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
