/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Active opens: the choice of a port (RFC 6056), SYN-SENT (RFC 9293 3.10.7.3), SYNs that are lost
 * (RFC 6298 5.7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define OPT_TS(v) 1, 1, 8, 10, 0, 0, 0, (v), 0, 0, 0, 0

static struct net_path path_of(const struct wire *w)
{
	struct net_path path = {
	        .local = w->local, .remote = w->remote, .remote_mac = {2, 0, 0, 0, 0, 9}};

	return path;
}

static void open_range(struct wire *w, uint16_t lo, uint16_t hi, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.port_lo = lo;
	cfg.port_hi = hi;
	wire_open(w, &cfg, v6);
}

static struct conn *connect_any(struct wire *w, uint16_t remote_port)
{
	struct net_path path = path_of(w);

	return tcp_connect(w->tcp, &path, 0, remote_port, w->now_ns);
}

/* Each port of the range once, but the one that somebody listens on; then none is left. */
static void test_all_ports(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		bool seen[40] = {false};

		open_range(&wire, RIG_PORT - 10, RIG_PORT + 20, v6);
		for (uint32_t i = 0; i < 30; i++) {
			struct conn *c = connect_any(&wire, 443);

			assert_non_null(c);
			assert_in_range(c->lport, RIG_PORT - 10, RIG_PORT + 20);
			assert_int_not_equal(c->lport, RIG_PORT);
			assert_false(seen[c->lport - (RIG_PORT - 10)]);
			seen[c->lport - (RIG_PORT - 10)] = true;
		}
		assert_null(connect_any(&wire, 443));
		/* To another port or host they are all free. */
		assert_non_null(connect_any(&wire, 444));
		wire.remote.b[15] ^= 1;
		assert_non_null(connect_any(&wire, 443));
		wire.remote.b[15] ^= 1;
		wire_close(&wire);
	}
}

/* To one peer ports follow each other, modulo the range; to others they begin elsewhere. */
static void test_order(void **state)
{
	uint32_t apart = 0;
	uint16_t first = 0;

	(void)state;
	open_range(&wire, 1024, 65535, false);
	for (uint32_t peer = 0; peer < 20; peer++) {
		uint16_t last = 0;

		for (uint32_t i = 0; i < 3; i++) {
			struct conn *c = connect_any(&wire, (uint16_t)(500 + peer));
			uint32_t step;

			assert_non_null(c);
			step = (c->lport + 64512u - last) % 64512u;
			assert_true(i == 0 || step == 1);
			last = c->lport;
		}
		apart += peer > 0 && abs(last - first) > 100;
		first = last;
	}
	assert_true(apart > 15);
	wire_close(&wire);
}

static void test_range_limits(void **state)
{
	(void)state;
	open_range(&wire, 65535, 65535, false);
	assert_int_equal(connect_any(&wire, 1)->lport, 65535);
	assert_null(connect_any(&wire, 1));
	wire_close(&wire);
	open_range(&wire, 1, 1, false);
	assert_int_equal(connect_any(&wire, 1)->lport, 1);
	wire_close(&wire);
}

/* Completes the handshake of an active open; w->conn is its connection. */
static void established(struct wire *w, struct conn *c, const uint8_t *opts, uint32_t len)
{
	struct wire_seg s = {.seq = 9000,
	                     .ack = c->snd_nxt,
	                     .wnd = 1000,
	                     .sport = c->rport,
	                     .dport = c->lport,
	                     .flags = TH_SYN | TH_ACK,
	                     .opts_len = len};

	if (len > 0)
		memcpy(s.opts, opts, len);
	w->conn = c;
	tcp_set_owner(c, w);
	wire_send(w, &s);
	assert_int_equal(c->state, TCP_ESTABLISHED);
	wire_drain(w);
}

/* We close first; the block stays in TIME-WAIT. */
static void to_time_wait(struct wire *w)
{
	struct conn *c = w->conn;
	struct wire_seg s = {.seq = 9001,
	                     .sport = c->rport,
	                     .dport = c->lport,
	                     .wnd = 1000,
	                     .flags = TH_FIN | TH_ACK};

	tcp_shutdown(w->tcp, c);
	wire_run(w);
	s.ack = c->snd_nxt;
	wire_send(w, &s);
	wire_drain(w);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
}

/* A 4-tuple in TIME-WAIT is chosen only when the timestamps have moved on. */
static void test_time_wait(void **state)
{
	static const uint8_t ts[12] = {OPT_TS(5)};
	static const struct {
		bool ts;
		uint32_t after_ms;
		bool chosen;
	} cases[] = {{true, 900, false}, {true, 1100, true}, {false, 1100, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_path path;
		struct conn *c;
		uint32_t old;

		open_range(&wire, 5000, 5000, false);
		path = path_of(&wire);
		c = connect_any(&wire, 80);
		/* More was sent than the clock of RFC 6528 counts meanwhile. */
		established(&wire, c, ts, cases[i].ts ? 12 : 0);
		c->snd_una += 100 << 20;
		c->snd_nxt += 100 << 20;
		to_time_wait(&wire);
		old = c->snd_nxt;
		wire_advance(&wire, cases[i].after_ms);
		c = connect_any(&wire, 80);
		assert_int_equal(c != NULL, cases[i].chosen);
		/* By name it is used again in any case, beyond the old numbers (MAY-2). */
		if (!c)
			c = tcp_connect(wire.tcp, &path, 5000, 80, wire.now_ns);
		assert_non_null(c);
		assert_int_equal(c->state, TCP_SYN_SENT);
		assert_true(seq_lt(old, c->iss));
		assert_int_equal(tcp_conn_count(wire.tcp), 1);
		wire_close(&wire);
	}
}

/* RFC 9293 3.10.7.3, step by step. */
static void test_syn_sent(void **state)
{
	static const struct {
		uint8_t flags;
		int32_t ack;   /* from what acknowledges our SYN */
		uint8_t reply; /* flags of the answer, 0: none */
		enum tcp_state end;
	} cases[] = {
	        {TH_ACK, -1, TH_RST, TCP_SYN_SENT},
	        {TH_ACK, 1, TH_RST, TCP_SYN_SENT},
	        {TH_ACK, INT32_MIN, TH_RST, TCP_SYN_SENT},
	        {TH_ACK, 0, 0, TCP_SYN_SENT},
	        {TH_SYN | TH_ACK, -1, TH_RST, TCP_SYN_SENT},
	        {TH_SYN | TH_ACK, 1, TH_RST, TCP_SYN_SENT},
	        {TH_RST | TH_ACK, -1, 0, TCP_SYN_SENT},
	        {TH_RST | TH_ACK, 1, 0, TCP_SYN_SENT},
	        {TH_RST, 0, 0, TCP_SYN_SENT},
	        {TH_RST | TH_SYN, 0, 0, TCP_SYN_SENT},
	        {TH_FIN, 0, 0, TCP_SYN_SENT},
	        {TH_FIN | TH_ACK, 0, 0, TCP_SYN_SENT},
	        {0, 0, 0, TCP_SYN_SENT},
	        {TH_RST | TH_ACK, 0, 0, TCP_CLOSED},
	        {TH_RST | TH_ACK | TH_SYN, 0, 0, TCP_CLOSED},
	        {TH_SYN | TH_ACK, 0, TH_ACK, TCP_ESTABLISHED},
	        {TH_SYN | TH_ACK | TH_FIN, 0, TH_ACK, TCP_CLOSE_WAIT}, /* goes on with the sixth */
	        {TH_SYN, 0, TH_SYN | TH_ACK, TCP_SYN_RECEIVED},
	        {TH_SYN | TH_FIN, 0, TH_SYN | TH_ACK, TCP_SYN_RECEIVED},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct wire_seg s = {
		        .seq = 0xffffffff, .wnd = 10, .sport = 80, .flags = cases[i / 2].flags};
		struct wire_seg got;
		struct conn *c;

		wire_open(&wire, NULL, i & 1);
		c = connect_any(&wire, 80);
		wire.conn = c;
		tcp_set_owner(c, &wire);
		net_flush(wire.net);
		wire_drain(&wire);
		s.dport = c->lport;
		s.ack = c->snd_nxt + (uint32_t)cases[i / 2].ack;
		wire_send(&wire, &s);
		assert_int_equal(wire_take(&wire, &got), cases[i / 2].reply != 0);
		if (cases[i / 2].reply == TH_RST)
			assert_int_equal(got.seq, s.ack);
		if (cases[i / 2].reply)
			assert_int_equal(got.flags, cases[i / 2].reply);
		assert_int_equal(wire.closed, cases[i / 2].end == TCP_CLOSED);
		if (!wire.closed)
			assert_int_equal(c->state, cases[i / 2].end);
		wire_close(&wire);
	}
}

/* R2 of a SYN is three minutes at least (RFC 9293 3.8.3, MUST-23), with back-off. */
static void test_give_up(void **state)
{
	static const uint32_t at_ms[] = {0, 1000, 3000, 7000, 15000, 31000, 63000, 123000};
	uint64_t begin;
	uint32_t n = 0;

	(void)state;
	wire_open(&wire, NULL, false);
	begin = wire.now_ns;
	wire.conn = connect_any(&wire, 80);
	tcp_set_owner(wire.conn, &wire);
	net_flush(wire.net);
	while (wire.closed == 0) {
		struct wire_seg got;

		if (wire_take(&wire, &got)) {
			uint64_t ms = (wire.now_ns - begin) / NS_PER_MS;

			assert_true(n < ARRAY_LEN(at_ms));
			assert_int_equal(got.flags, TH_SYN);
			assert_in_range(ms, at_ms[n], at_ms[n] + 20);
			n++;
		}
		wire_advance(&wire, 1);
	}
	assert_int_equal(n, ARRAY_LEN(at_ms));
	assert_in_range(wire.now_ns - begin, 180 * NS_PER_S, 190 * NS_PER_S);
	wire_close(&wire);
}

/* RFC 6298 5.7: after a lost SYN, three seconds; RFC 5681 3.1: and one segment, after two. */
static void test_after_loss(void **state)
{
	(void)state;
	for (uint32_t lost = 0; lost < 3; lost++) {
		struct conn *c;

		wire_open(&wire, NULL, false);
		c = connect_any(&wire, 80);
		net_flush(wire.net);
		wire_advance(&wire, lost == 0 ? 10 : lost == 1 ? 1100 : 3100);
		wire_drain(&wire);
		established(&wire, c, NULL, 0);
		assert_int_equal(c->rto_us, lost > 0 ? 3000000 : 210000);
		assert_int_equal(c->cwnd_bytes, lost > 1 ? c->mss : 10u * c->mss);
		assert_int_equal(c->tries, 0);
		wire_close(&wire);

		/* The same for a SYN-ACK. */
		wire_open(&wire, NULL, true);
		wire_flags(&wire, TH_SYN, 5, 0);
		wire_advance(&wire, lost == 0 ? 10 : lost == 1 ? 1100 : 3100);
		c = pool_at(&wire.tcp->conns, 0);
		wire_flags(&wire, TH_ACK, 6, c->snd_nxt);
		assert_int_equal(c->state, TCP_ESTABLISHED);
		assert_int_equal(c->rto_us, lost > 0 ? 3000000 : 210000);
		assert_int_equal(c->cwnd_bytes, lost > 1 ? c->mss : 10u * c->mss);
		wire_close(&wire);
	}
}

/* RFC 6528 3: a clock of 4 microseconds and a hash of the 4-tuple; RFC 7323 5.4: timestamps the
 * same way. Keys of another seed give other numbers. */
static void test_isn(void **state)
{
	struct wire *w = &wire;
	struct conn_key key;
	uint32_t isn[2][4];
	uint32_t ts[4];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t differ = 0;

		wire_open(w, NULL, v6);
		key = (struct conn_key){w->local, w->remote, 80, 5000};
		for (uint32_t t = 0; t < 2; t++) {
			w->tcp->now_ns = t * 10 * NS_PER_S + (1ull << 40);
			for (uint16_t i = 0; i < 4; i++) {
				key.rport = (uint16_t)(5000 + i);
				isn[t][i] = conn_isn(w->tcp, &key);
				ts[i] = conn_ts_offset(w->tcp, &key);
			}
		}
		for (uint32_t i = 0; i < 4; i++) {
			/* 10 s of 4.096 us; all wrap within five hours. */
			assert_in_range(isn[1][i] - isn[0][i], 2441406, 2441407);
			differ += i > 0 && abs((int32_t)(isn[0][i] - isn[0][0])) > 1000;
			differ += i > 0 && ts[i] != ts[0];
		}
		assert_int_equal(differ, 6);
		w->tcp->isn_key[0] ^= 1;
		assert_int_not_equal(conn_isn(w->tcp, &key), isn[1][3]);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_all_ports),    cmocka_unit_test(test_order),
	        cmocka_unit_test(test_range_limits), cmocka_unit_test(test_time_wait),
	        cmocka_unit_test(test_syn_sent),     cmocka_unit_test(test_give_up),
	        cmocka_unit_test(test_after_loss),   cmocka_unit_test(test_isn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
