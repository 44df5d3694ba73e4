/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Handshakes, resets, attacks, keep-alive and limits, with segments made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define OPT_MSS    2, 4, 0x05, 0xb4
#define OPT_WS(n)  1, 3, 3, (n)
#define OPT_SACKOK 1, 1, 4, 2
#define OPT_TS(v)  1, 1, 8, 10, 0, 0, 0, (v), 0, 0, 0, 0

static void expect_nothing(struct wire *w)
{
	struct wire_seg s;

	assert_false(wire_take(w, &s));
}

static void test_handshake_options(void **state)
{
	static const struct {
		uint8_t opts[24];
		uint8_t len;
		uint16_t mss; /* payload a segment */
		bool ts, sack, wscale;
		uint8_t snd_wscale;
	} cases[] = {
	        {{0}, 0, 536, false, false, false, 0},
	        {{OPT_MSS}, 4, 1460, false, false, false, 0},
	        {{2, 4, 0xff, 0xff}, 4, 1460, false, false, false, 0},
	        {{2, 4, 0x02, 0x18}, 4, 536, false, false, false, 0},
	        {{2, 4, 0, 64}, 4, 64, false, false, false, 0},
	        {{2, 4, 0, 1}, 4, 64, false, false, false, 0},
	        {{OPT_MSS, OPT_WS(0)}, 8, 1460, false, false, true, 0},
	        {{OPT_MSS, OPT_WS(7)}, 8, 1460, false, false, true, 7},
	        {{OPT_MSS, OPT_WS(14)}, 8, 1460, false, false, true, 14},
	        {{OPT_MSS, OPT_WS(255)}, 8, 1460, false, false, true, 14},
	        {{OPT_MSS, OPT_SACKOK}, 8, 1460, false, true, false, 0},
	        {{OPT_MSS, OPT_TS(5)}, 16, 1448, true, false, false, 0},
	        {{OPT_MSS, OPT_SACKOK, OPT_TS(5)}, 20, 1448, true, true, false, 0},
	        {{OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(9)}, 24, 1448, true, true, true, 9},
	        {{OPT_MSS, OPT_TS(5), OPT_WS(9)}, 20, 1448, true, false, true, 9},
	        {{OPT_MSS, OPT_SACKOK, OPT_WS(3)}, 12, 1460, false, true, true, 3},
	        {{OPT_MSS, 77, 4, 1, 2, 0, 9, 9, 9}, 12, 1460, false, false, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const size_t k = i / 2;
		struct wire_seg syn = {.seq = 1000, .wnd = 5000, .flags = TH_SYN};
		struct wire_seg got;
		uint32_t v6_less = 0;

		wire_open(&wire, NULL, i & 1);
		if (i & 1)
			v6_less = cases[k].mss > 1440 ? (cases[k].ts ? 20 : 20) : 0;
		memcpy(syn.opts, cases[k].opts, cases[k].len);
		syn.opts_len = cases[k].len;
		wire_send(&wire, &syn);
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.flags, TH_SYN | TH_ACK);
		assert_int_equal(got.ack, 1001);
		assert_int_equal(got.parsed.mss, i & 1 ? 1440 : 1460);
		/* Nothing is offered that was not asked for (RFC 7323 1.3, RFC 2018 2). */
		assert_int_equal(got.parsed.has_ts, cases[k].ts);
		assert_int_equal(got.parsed.sack_ok, cases[k].sack);
		assert_int_equal(got.parsed.has_wscale, cases[k].wscale);
		if (cases[k].ts)
			assert_int_equal(got.parsed.tsecr, 5);
		syn = (struct wire_seg){
		        .seq = 1001, .ack = got.seq + 1, .wnd = 10, .flags = TH_ACK};
		wire_send(&wire, &syn);
		assert_non_null(wire.conn);
		if (cases[k].len == 0 && i & 1)
			assert_int_equal(wire.conn->mss, 1220);
		else
			assert_int_equal(wire.conn->mss, cases[k].mss - v6_less);
		assert_int_equal(wire.conn->snd_wnd, 10u << cases[k].snd_wscale);
		wire_close(&wire);
	}
}

static void test_malformed_options(void **state)
{
	static const struct {
		uint8_t opts[8];
		uint8_t len;
		bool ok;
	} cases[] = {
	        {{2, 4, 5, 0xb4}, 4, true}, {{2, 0, 1, 1}, 4, false},
	        {{2, 1, 1, 1}, 4, false},   {{1, 1, 1, 2}, 4, false},
	        {{8, 10, 1, 1}, 4, false},  {{0, 2, 0, 9}, 4, true},
	        {{2, 3, 1, 0}, 4, true},    {{1, 1, 1, 1, 3, 3, 4, 5}, 8, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire_seg syn = {.seq = 1, .flags = TH_SYN, .opts_len = cases[i].len};
		struct wire_seg got;

		wire_open(&wire, NULL, false);
		memcpy(syn.opts, cases[i].opts, cases[i].len);
		wire_send(&wire, &syn);
		assert_int_equal(wire_take(&wire, &got), cases[i].ok);
		assert_int_equal(counter_read(&wire.ctr, CTR_drop_tcp_header), !cases[i].ok);
		wire_close(&wire);
	}
}

/* RFC 9293 3.10.7.1. */
static void test_no_connection(void **state)
{
	struct wire *w = &wire;
	struct wire_seg s = {.seq = 100, .ack = 7, .dport = 81, .flags = TH_SYN};

	(void)state;
	wire_open(w, NULL, false);
	wire_send(w, &s);
	wire_expect(w, TH_RST | TH_ACK, 0, 101);
	s.flags = TH_ACK;
	wire_send(w, &s);
	wire_expect(w, TH_RST, 7, 0);
	s.flags = TH_FIN; /* as is no ACK, in CLOSED */
	s.data = "abc";
	s.len = 3;
	wire_send(w, &s);
	wire_expect(w, TH_RST | TH_ACK, 0, 104);
	s.flags = TH_RST | TH_ACK;
	wire_send(w, &s);
	expect_nothing(w);
	/* The listener's port wants a SYN and nothing else. */
	wire_flags(w, TH_ACK, 5, 6);
	wire_expect(w, TH_RST, 6, 0);
	/* SYN with FIN is reset on purpose. */
	wire_flags(w, TH_SYN | TH_FIN, 5, 6);
	wire_expect(w, TH_RST | TH_ACK, 0, 7);
	/* 3.10.7.2, fourth: without an ACK the rest is dropped. */
	wire_flags(w, TH_FIN, 5, 6);
	wire_flags(w, 0, 5, 6);
	expect_nothing(w);
	wire_flags(w, TH_SYN | TH_ACK, 5, 6);
	wire_expect(w, TH_RST, 6, 0);
	tcp_stop_listening(w->tcp);
	wire_flags(w, TH_SYN, 5, 0);
	wire_expect(w, TH_RST | TH_ACK, 0, 6);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_syn_full), 1);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

static void test_syn_backlog(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg syn = {.seq = 1, .wnd = 100, .flags = TH_SYN};

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_syn_backlog = 4;
	cfg.syn_cookies = TCP_COOKIES_OFF;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 10; i++) {
		syn.sport = (uint16_t)(5000 + i);
		wire_send(w, &syn);
	}
	assert_int_equal(tcp_conn_count(w->tcp), 4);
	/* The newest are kept: those of a flood never end, an honest one is over soon. */
	assert_int_equal(counter_read(&w->ctr, CTR_shed_syn), 6);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_syn_full), 0);
	wire_drain(w);
	/* A SYN again: the SYN-ACK again, and no second connection. */
	syn.sport = 5009;
	wire_send(w, &syn);
	assert_int_equal(tcp_conn_count(w->tcp), 4);
	assert_true(wire_take(w, &syn));
	assert_int_equal(syn.flags, TH_SYN | TH_ACK);
	/* 1 + 2 + 4 + 8 + 16 + 32 seconds, and they are gone. */
	wire_advance(w, 62000);
	assert_int_equal(tcp_conn_count(w->tcp), 4);
	wire_drain(w);
	wire_advance(w, 2000);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	assert_int_equal(w->opened, 0);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 4);
	wire_close(w);
}

static void test_syn_received(void **state)
{
	struct wire *w = &wire;
	struct wire_seg syn = {.seq = 9, .wnd = 100, .flags = TH_SYN};
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_send(w, &syn);
	assert_true(wire_take(w, &got));
	/* A wrong ACK is reset and the connection waits on. */
	wire_flags(w, TH_ACK, 10, got.seq + 2);
	wire_expect(w, TH_RST, got.seq + 2, 0);
	wire_flags(w, TH_ACK, 10, got.seq);
	wire_expect(w, TH_RST, got.seq, 0);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
	/* Data and FIN with the ACK that completes the handshake. */
	w->ack = got.seq + 1;
	syn = (struct wire_seg){.seq = 10, .ack = w->ack, .wnd = 100, .flags = TH_ACK | TH_FIN};
	syn.data = "hello";
	syn.len = 5;
	wire_send(w, &syn);
	assert_int_equal(w->opened, 1);
	assert_int_equal(w->rx_len, 5);
	assert_int_equal(w->events, TCP_EV_OPEN | TCP_EV_DATA | TCP_EV_EOF);
	assert_true(tcp_rx_eof(w->conn));
	assert_int_equal(w->conn->state, TCP_CLOSE_WAIT);
	wire_expect(w, TH_ACK, w->ack, 16);
	wire_close(w);

	/* A reset in SYN-RECEIVED: nobody is told. */
	wire_open(w, NULL, false);
	syn = (struct wire_seg){.seq = 9, .wnd = 100, .flags = TH_SYN};
	wire_send(w, &syn);
	wire_flags(w, TH_RST, 11, 0);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
	wire_flags(w, TH_RST, 10, 0);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	assert_int_equal(w->opened + w->closed, 0);
	wire_close(w);
}

/* RFC 5961 3.2, 4.2, 5.2. */
static void test_blind_attacks(void **state)
{
	static const struct {
		uint8_t flags;
		int32_t seq; /* from what is expected */
		int32_t ack;
		bool challenge, closed;
	} cases[] = {
	        {TH_RST, 0, 0, false, true},       {TH_RST, 1, 0, true, false},
	        {TH_RST, 60000, 0, true, false},   {TH_RST, -1, 0, false, false},
	        {TH_RST, 70000, 0, false, false},  {TH_RST | TH_ACK, 0, 0, false, true},
	        {TH_SYN, 0, 0, true, false},       {TH_SYN, 100, 0, true, false},
	        {TH_SYN, 100000, 0, true, false},  {TH_SYN | TH_ACK, 0, 0, true, false},
	        {TH_ACK, 0, 1, true, false},       {TH_ACK, 0, 100000, true, false},
	        {TH_ACK, 0, -65535, false, false}, {TH_ACK, 0, -65600, true, false},
	        {0, 0, 0, false, false},           {TH_ACK, 70000, 0, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire_seg got;

		wire_open(&wire, NULL, false);
		wire_handshake(&wire, NULL, 0, 0xffffff00);
		wire_flags(&wire, cases[i].flags, wire.seq + (uint32_t)cases[i].seq,
		           wire.ack + (uint32_t)cases[i].ack);
		assert_int_equal(wire.closed, cases[i].closed);
		assert_int_equal(wire_take(&wire, &got), cases[i].challenge);
		if (cases[i].challenge) {
			assert_int_equal(got.flags, TH_ACK);
			assert_int_equal(got.seq, wire.ack);
			assert_int_equal(got.ack, wire.seq);
		}
		wire_close(&wire);
	}
}

static void test_challenge_limit(void **state)
{
	struct wire *w = &wire;
	uint32_t n = 0;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 5);
	for (uint32_t i = 0; i < 100; i++)
		wire_flags(w, TH_SYN, w->seq, 0);
	while (wire_take(w, &got))
		n++;
	assert_int_equal(n, TCP_CHALLENGES_PER_S);
	wire_advance(w, 1100);
	wire_drain(w);
	wire_flags(w, TH_SYN, w->seq, 0);
	assert_true(wire_take(w, &got));
	wire_close(w);
}

static void test_keepalive(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 5);
	wire_advance(w, 59000);
	expect_nothing(w);
	wire_advance(w, 1100);
	wire_expect(w, TH_ACK, w->ack - 1, w->seq);
	/* An answer begins it anew. */
	wire_flags(w, TH_ACK, w->seq, w->ack);
	expect_nothing(w);
	wire_advance(w, 59000);
	expect_nothing(w);
	for (uint32_t i = 0; i < 6; i++) {
		wire_advance(w, i ? 10000 : 2000);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack - 1);
		assert_int_equal(w->closed, 0);
	}
	wire_advance(w, 11000);
	assert_int_equal(w->closed, 1);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 1);
	/* The peer's probe is answered. */
	wire_handshake(w, NULL, 0, 90000);
	wire_flags(w, TH_ACK, w->seq - 1, w->ack);
	wire_expect(w, TH_ACK, w->ack, w->seq);
	wire_close(w);
}

/* Both ends send a SYN before either has seen one (RFC 9293 3.5, figure 7). */
static void test_open_simultaneous(void **state)
{
	struct wire *w = &wire;
	struct net_path path = {.remote_mac = {2, 0, 0, 0, 0, 9}};
	struct wire_seg got;
	struct wire_seg syn = {.seq = 300, .wnd = 1000, .dport = 4000, .flags = TH_SYN};
	struct conn *c;

	(void)state;
	wire_open(w, NULL, false);
	path.local = w->local;
	path.remote = w->remote;
	c = tcp_connect(w->tcp, &path, 4000, w->port, w->now_ns);
	assert_non_null(c);
	tcp_set_owner(c, w);
	w->conn = c;
	assert_null(tcp_connect(w->tcp, &path, 4000, w->port, w->now_ns));
	wire_run(w);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN);
	wire_send(w, &syn);
	assert_int_equal(c->state, TCP_SYN_RECEIVED);
	wire_expect(w, TH_SYN | TH_ACK, got.seq, 301);
	syn.flags = TH_SYN | TH_ACK;
	syn.ack = got.seq + 1;
	wire_send(w, &syn);
	assert_int_equal(c->state, TCP_ESTABLISHED);
	assert_true(w->events & TCP_EV_OPEN);
	wire_expect(w, TH_ACK, got.seq + 1, 301);
	wire_close(w);

	/* Refused. */
	wire_open(w, NULL, false);
	c = tcp_connect(w->tcp, &path, 4000, w->port, w->now_ns);
	tcp_set_owner(c, w);
	w->conn = c;
	wire_run(w);
	assert_true(wire_take(w, &got));
	syn = (struct wire_seg){.ack = got.seq, .dport = 4000, .flags = TH_RST | TH_ACK};
	wire_send(w, &syn);
	assert_int_equal(w->closed, 0);
	syn.ack = got.seq + 1;
	wire_send(w, &syn);
	assert_int_equal(w->closed, 1);
	wire_close(w);
}

static void test_config_limits(void **state)
{
	static const struct {
		size_t field;
		uint32_t value;
	} bad[] = {
	        {offsetof(struct tcp_config, max_conns), 15},
	        {offsetof(struct tcp_config, max_conns), (1 << 20) + 1},
	        {offsetof(struct tcp_config, max_syn_backlog), 0},
	        {offsetof(struct tcp_config, max_syn_backlog), 65},
	        {offsetof(struct tcp_config, rx_bufs), 0},
	        {offsetof(struct tcp_config, rx_buf_bytes), 4095},
	        {offsetof(struct tcp_config, rx_buf_bytes), (1 << 20) + 1},
	        {offsetof(struct tcp_config, tx_chunks), 0},
	        {offsetof(struct tcp_config, tx_refs), 0},
	        {offsetof(struct tcp_config, mss), 63},
	        {offsetof(struct tcp_config, initial_window), 0},
	        {offsetof(struct tcp_config, min_rto_ms), 0},
	        {offsetof(struct tcp_config, max_rto_ms), 199},
	        {offsetof(struct tcp_config, syn_retries), 17},
	        {offsetof(struct tcp_config, retries), 0},
	        {offsetof(struct tcp_config, delayed_ack_ms), 501},
	        {offsetof(struct tcp_config, keepalive_interval_ms), 0},
	        {offsetof(struct tcp_config, keepalive_probes), 0},
	        {offsetof(struct tcp_config, time_wait_ms), 0},
	        {offsetof(struct tcp_config, fin_wait_2_ms), 0},
	        {offsetof(struct tcp_config, orphan_life_ms), 0},
	        {offsetof(struct tcp_config, persist_max_ms), 0},
	};
	struct tcp_config cfg;
	struct tcp_env env;
	struct tcp *tcp;

	(void)state;
	wire_open(&wire, NULL, false);
	env = wire.tcp->env;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		tcp_config_small(&cfg);
		assert_int_equal(tcp_create(&tcp, &cfg, &env, 0), ST_OK);
		tcp_destroy(tcp);
		memcpy((char *)&cfg + bad[i].field, &bad[i].value, sizeof(uint32_t));
		assert_int_equal(tcp_create(&tcp, &cfg, &env, 0), ST_INVALID);
	}
	assert_int_equal(tcp_listen(wire.tcp, &wire.local, 0), ST_INVALID);
	wire_close(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_handshake_options), cmocka_unit_test(test_malformed_options),
	        cmocka_unit_test(test_no_connection),     cmocka_unit_test(test_syn_backlog),
	        cmocka_unit_test(test_syn_received),      cmocka_unit_test(test_blind_attacks),
	        cmocka_unit_test(test_challenge_limit),   cmocka_unit_test(test_keepalive),
	        cmocka_unit_test(test_open_simultaneous), cmocka_unit_test(test_config_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
