/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TIME-WAIT (RFC 9293 3.6.1, RFC 6191, RFC 1337), and connections whose owners are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

static void nothing_lent(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
	fail();
}

#define OPT_TS(v) 1, 1, 8, 10, 0, 0, 0, (v), 0, 0, 0, 0

/* Leaves the connection with peer ISN isn in TIME-WAIT; w->seq is what the peer would send next,
 * w->ack what it would acknowledge. */
static void into_time_wait(struct wire *w, const uint8_t *opts, uint32_t len, uint32_t isn)
{
	struct wire_seg fin = {.wnd = 100, .flags = TH_FIN | TH_ACK, .opts_len = len};

	wire_handshake(w, opts, len, isn);
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	if (len > 0)
		memcpy(fin.opts, opts, len);
	fin.seq = w->seq;
	fin.ack = w->ack + 1;
	wire_send(w, &fin);
	assert_int_equal(w->closed, 1);
	wire_drain(w);
	w->seq++;
	w->ack++;
}

static struct conn *only_conn(struct wire *w)
{
	uint32_t cursor = 0;

	return tcp_conn_walk(w->tcp, &cursor);
}

/* RFC 6191 2, with numbers around the wrap; old and new are timestamps, 0: none. */
static void test_syn(void **state)
{
	static const struct {
		int32_t seq; /* from what the peer would send next */
		uint8_t old_ts, new_ts;
		bool accepted;
	} cases[] = {
	        {-2, 0, 0, false},       {-1, 0, 0, false},       {0, 0, 0, true},
	        {1, 0, 0, true},         {INT32_MAX, 0, 0, true}, {INT32_MIN + 1, 0, 0, false},
	        {-1, 0, 7, true},        {-5000, 0, 7, true},     {-1, 7, 0, false},
	        {0, 7, 0, true},         {-1, 7, 8, true},        {0, 7, 8, true},
	        {1, 7, 6, false},        {0, 7, 7, true},         {-1, 7, 7, false},
	        {INT32_MIN, 7, 8, true},
	};
	static const uint32_t isns[] = {1000, 0xfffffffd, 0xfffffffe, 0xffffffff, 0x7ffffffe};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases) * ARRAY_LEN(isns); i++) {
		size_t k = i / 2 / ARRAY_LEN(isns);
		uint8_t opts[12] = {OPT_TS(cases[k].old_ts)};
		struct wire_seg syn = {.wnd = 9, .flags = TH_SYN};
		struct wire_seg got;

		wire_open(&wire, NULL, i & 1);
		into_time_wait(&wire, opts, cases[k].old_ts ? 12 : 0,
		               isns[i / 2 % ARRAY_LEN(isns)]);
		syn.seq = wire.seq + (uint32_t)cases[k].seq;
		opts[7] = cases[k].new_ts;
		syn.opts_len = cases[k].new_ts ? 12 : 0;
		memcpy(syn.opts, opts, 12);
		wire_send(&wire, &syn);
		/* An old timestamp is dropped silently, other old SYNs are challenged. */
		assert_int_equal(wire_take(&wire, &got), cases[k].accepted || !cases[k].new_ts);
		assert_int_equal(tcp_conn_count(wire.tcp), 1);
		if (cases[k].accepted) {
			assert_int_equal(got.flags, TH_SYN | TH_ACK);
			assert_int_equal(got.ack, syn.seq + 1);
			/* RFC 9293 3.6.1: beyond the largest number that the old one used. */
			assert_true(seq_lt(wire.ack, got.seq));
		} else if (!cases[k].new_ts) {
			assert_int_equal(got.flags, TH_ACK);
			assert_int_equal(got.ack, wire.seq);
			assert_int_equal(got.seq, wire.ack);
		}
		wire_close(&wire);
	}
}

/* Even when more was sent than the clock of RFC 6528 has counted. */
static void test_isn(void **state)
{
	static const uint32_t sent[] = {0, 1, 1u << 20, 1u << 30, (1u << 31) - 200000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
		struct wire_seg got;

		wire_open(&wire, NULL, false);
		wire_handshake(&wire, NULL, 0, 7);
		wire.conn->snd_una += sent[i];
		wire.conn->snd_nxt += sent[i];
		wire.ack += sent[i];
		tcp_shutdown(wire.tcp, wire.conn);
		wire_run(&wire);
		wire_drain(&wire);
		wire_flags(&wire, TH_FIN | TH_ACK, wire.seq, wire.ack + 1);
		wire_drain(&wire);
		wire_flags(&wire, TH_SYN, wire.seq + 9, 0);
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.flags, TH_SYN | TH_ACK);
		assert_true(seq_lt(wire.ack + 1, got.seq));
		wire_close(&wire);
	}
}

/* A process that takes the place of one before it: the server closed, and has all of its
 * connections in TIME-WAIT. Returns how many of the new ones it lets in. */
enum { AGAIN = 16 };

static struct tcp *other_stack(struct host *host, const uint8_t *isn_seed, uint8_t n)
{
	uint8_t seed[TCP_SEED_BYTES] = {0xa9, n};
	struct tcp_env env = {.net = host->net,
	                      .ctr = &host->ctr,
	                      .release = nothing_lent,
	                      .seed = seed,
	                      .isn_seed = isn_seed};
	struct tcp *tcp;

	assert_int_equal(tcp_create(&tcp, &host->rig->cfg.tcp[1], &env, host->rig->now_ns), ST_OK);
	return tcp;
}

static uint32_t opened_by(struct rig *rig, struct tcp *tcp)
{
	static const struct app model = {.keep_open = true};
	struct app *apps[AGAIN];
	uint32_t opened = 0;

	tcp_destroy(rig->host[1].tcp);
	rig->host[1].tcp = tcp;
	for (uint16_t i = 0; i < AGAIN; i++)
		apps[i] = rig_connect(rig, 1, (uint16_t)(40000 + i), &model);
	rig_run_for(rig, 500); /* the SYN is not sent again so soon */
	for (uint32_t i = 0; i < AGAIN; i++) {
		opened += apps[i]->opened && apps[i]->eof;
		if (apps[i]->opened)
			tcp_shutdown(tcp, apps[i]->conn);
		else
			tcp_abort(tcp, apps[i]->conn);
	}
	rig_run_for(rig, 500);
	memset(rig->apps, 0, sizeof(rig->apps));
	return opened;
}

static void test_next_process(void **state)
{
	static const uint8_t isn_seed[TCP_SEED_BYTES] = {1, 2, 3};
	struct rig_config cfg = {.seed = 5};
	uint32_t apart;
	struct rig rig;

	(void)state;
	rig_open(&rig, &cfg);
	assert_int_equal(opened_by(&rig, other_stack(&rig.host[1], isn_seed, 1)), AGAIN);
	assert_int_equal(rig.host[0].tcp->time_wait_count, AGAIN);
	for (uint8_t n = 2; n < 6; n++)
		assert_int_equal(opened_by(&rig, other_stack(&rig.host[1], isn_seed, n)), AGAIN);
	assert_int_equal(rig.host[0].tcp->time_wait_count, AGAIN);
	/* With numbers of its own, half of its timestamps are old ones. */
	apart = opened_by(&rig, other_stack(&rig.host[1], NULL, 6));
	assert_in_range(apart, 1, AGAIN - 1);
	assert_int_equal(rig.host[0].ctr.v[CTR_drop_tcp_window], AGAIN - apart);
	rig_close(&rig);
}

/* A backlog full of forged SYNs does not keep out a peer whose last connection we remember, and it
 * needs no cookie: the oldest forged one makes room. */
static void test_syn_under_flood(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg syn = {.seq = 1, .wnd = 100, .flags = TH_SYN};

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_syn_backlog = 4;
	wire_open(w, &cfg, false);
	into_time_wait(w, NULL, 0, 1000);
	for (uint32_t i = 0; i < 10; i++) {
		syn.sport = (uint16_t)(5000 + i);
		wire_send(w, &syn);
	}
	assert_int_equal(wire_count(w, CTR_tcp_cookie_sent), 6);
	wire_drain(w);
	wire_handshake(w, NULL, 0, 5000);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_sent), 6);
	assert_int_equal(wire_count(w, CTR_shed_syn), 1);
	assert_int_equal(w->tcp->half_open, 3);
	wire_close(w);
}

/* A SYN that is turned away for a limit does not end the old connection. */
static void test_syn_limited(void **state)
{
	struct tcp_config cfg;
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_per_address = 1;
	wire_open(&wire, &cfg, false);
	into_time_wait(&wire, NULL, 0, 1000);
	wire.port++;
	wire_handshake(&wire, NULL, 0, 9000);
	wire.port--;
	wire_flags(&wire, TH_SYN, 2000, 0);
	assert_false(wire_take(&wire, &got));
	assert_int_equal(wire_count(&wire, CTR_drop_tcp_address), 1);
	assert_int_equal(tcp_conn_count(wire.tcp), 2);
	assert_int_equal(wire.tcp->time_wait_count, 1);
	wire_close(&wire);
}

/* Nobody listens any more: the old connection stays what it is. */
static void test_syn_not_listening(void **state)
{
	struct wire_seg got;

	(void)state;
	wire_open(&wire, NULL, false);
	into_time_wait(&wire, NULL, 0, 1000);
	tcp_stop_listening(wire.tcp);
	wire_flags(&wire, TH_SYN, wire.seq + 100, 0);
	assert_true(wire_take(&wire, &got));
	assert_int_equal(got.flags, TH_ACK);
	assert_int_equal(only_conn(&wire)->state, TCP_TIME_WAIT);
	wire_close(&wire);
}

/* A SYN to a port that is closed counts as refused for want of room only while all are. */
static void test_listen_again(void **state)
{
	struct wire_seg syn = {.seq = 1, .sport = 5000, .dport = RIG_PORT + 1, .flags = TH_SYN};
	static const struct ip_addr any;

	(void)state;
	wire_open(&wire, NULL, false);
	tcp_stop_listening(wire.tcp);
	wire_send(&wire, &syn);
	assert_int_equal(wire_count(&wire, CTR_drop_tcp_syn_full), 1);
	assert_int_equal(tcp_listen(wire.tcp, &any, RIG_PORT), ST_OK);
	wire_send(&wire, &syn);
	assert_int_equal(wire_count(&wire, CTR_drop_tcp_syn_full), 1);
	assert_int_equal(wire_count(&wire, CTR_drop_tcp_closed), 1);
	wire_close(&wire);
}

/* RFC 1337: no segment but a newer SYN ends it or makes it longer, but for the FIN sent again. */
static void test_segments(void **state)
{
	static const struct {
		uint8_t flags;
		int32_t seq, ack;
		uint8_t len;
		bool answer, longer;
	} cases[] = {
	        {TH_RST, 0, 0, 0, false, false},
	        {TH_RST | TH_ACK, 0, 0, 0, false, false},
	        {TH_RST, -1, 0, 0, false, false},
	        {TH_RST, 100, 0, 0, false, false},
	        {TH_ACK, 0, 0, 0, false, false},
	        {TH_ACK, 0, -1, 0, false, false},
	        {TH_ACK, -1, 0, 0, true, false},
	        {TH_ACK, 1, 0, 0, false, false}, /* in the window, which is what it was */
	        {TH_ACK, 1 << 24, 0, 0, true, false},
	        {TH_ACK, INT32_MIN, 0, 0, true, false},
	        {TH_ACK | TH_PSH, 0, 0, 5, false, false}, /* 3.10.7.4, seventh: ignored */
	        {TH_ACK | TH_PSH, -6, 0, 5, true, false},
	        {TH_FIN | TH_ACK, -1, 0, 0, true, true},
	        {TH_FIN | TH_ACK | TH_PSH, -6, 0, 5, true, true},
	        {TH_FIN | TH_ACK, 0, 0, 0, true, false},
	        {TH_FIN | TH_ACK, -2, 0, 0, true, false},
	        {TH_FIN | TH_ACK, 5000, 0, 0, true, false},
	        {TH_SYN | TH_ACK, 1, 0, 0, true, false},
	        {TH_SYN | TH_FIN, 1, 0, 0, true, false},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct wire_seg s = {
		        .wnd = 9, .flags = cases[i / 2].flags, .data = "abcde", .len = 0};
		struct wire_seg got;

		wire_open(&wire, NULL, i & 1);
		into_time_wait(&wire, NULL, 0, 0xfffffffd);
		wire_advance(&wire, 30000);
		s.seq = wire.seq + (uint32_t)cases[i / 2].seq;
		s.ack = wire.ack + (uint32_t)cases[i / 2].ack;
		s.len = cases[i / 2].len;
		wire_send(&wire, &s);
		assert_int_equal(wire_take(&wire, &got), cases[i / 2].answer);
		if (cases[i / 2].answer) {
			assert_int_equal(got.flags, TH_ACK);
			assert_int_equal(got.seq, wire.ack);
			assert_int_equal(got.ack, wire.seq);
		}
		wire_advance(&wire, 29900);
		assert_int_equal(only_conn(&wire)->state, TCP_TIME_WAIT);
		wire_advance(&wire, 200);
		assert_int_equal(tcp_conn_count(wire.tcp), cases[i / 2].longer);
		wire_advance(&wire, 30000);
		assert_int_equal(tcp_conn_count(wire.tcp), 0);
		wire_close(&wire);
	}
}

/* One whose owner has not read to the end is passed over, the next one makes room. */
static void test_full_table(void **state)
{
	struct wire *w = &wire;
	struct conn *first = NULL;

	(void)state;
	wire_open_small_table(w, false);
	w->no_read = true;
	for (uint32_t i = 0; i < 16; i++) {
		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
		tcp_shutdown(w->tcp, w->conn);
		wire_run(w);
		if (i == 0) {
			first = w->conn;
			wire_data(w, w->seq, "unread", 6);
		}
		wire_flags(w, TH_FIN | TH_ACK, w->seq + (i == 0 ? 6 : 0), w->ack + 1);
		wire_drain(w);
	}
	assert_int_equal(w->closed, 15);
	assert_int_equal(tcp_conn_count(w->tcp), 16);
	for (uint32_t i = 0; i < 15; i++) {
		w->port = (uint16_t)(7000 + i);
		wire_handshake(w, NULL, 0, 1000);
	}
	assert_int_equal(first->state, TCP_TIME_WAIT);
	assert_int_equal(tcp_rx(first).len, 6);
	w->port = 8000;
	wire_flags(w, TH_SYN, 5, 0);
	assert_int_equal(wire_count(w, CTR_drop_tcp_syn_full), 1);
	w->no_read = false;
	wire_close(w);
}

/* A bound of its own, so that they need not fill the table. */
static void test_bound(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_time_waits = 3;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 5; i++) {
		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
		tcp_shutdown(w->tcp, w->conn);
		wire_run(w);
		wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
		wire_drain(w);
	}
	assert_int_equal(tcp_conn_count(w->tcp), 3);
	assert_int_equal(w->tcp->time_wait_count, 3);
	assert_int_equal(wire_count(w, CTR_shed_time_wait), 2);
	/* The oldest are gone: a FIN sent again is reset. */
	w->port = 6001;
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_RST);
	w->port = 6002;
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_ACK);
	wire_advance(w, 61000);
	assert_int_equal(w->tcp->time_wait_count, 0);
	wire_close(w);
}

static void let_go(struct wire *w)
{
	struct conn *c = w->conn;

	tcp_set_owner(c, NULL);
	tcp_close(w->tcp, c, w->now_ns);
	w->conn = NULL;
	wire_run(w);
}

/* Peers that never acknowledge our FIN are bounded; the oldest is reset. */
static void test_orphans(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_orphans = 3;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 5; i++) {
		struct wire_seg got;

		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
		let_go(w);
		if (i >= 3) {
			assert_true(wire_take(w, &got));
			assert_int_equal(got.flags, TH_RST | TH_ACK);
			assert_int_equal(got.dport, 6000 + i - 3);
		}
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_FIN | TH_ACK | TH_PSH);
		assert_false(wire_take(w, &got));
	}
	assert_int_equal(w->tcp->orphan_count, 3);
	assert_int_equal(wire_count(w, CTR_shed_orphan), 2);
	/* In TIME-WAIT it is none any more, nor when it is reset, nor when it gives up. */
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
	assert_int_equal(w->tcp->orphan_count, 2);
	w->port--;
	wire_flags(w, TH_RST, w->seq, 0);
	assert_int_equal(w->tcp->orphan_count, 1);
	wire_advance(w, 61000);
	assert_int_equal(w->tcp->orphan_count, 0);
	assert_int_equal(w->tcp->orphans.oldest, TCP_NONE);
	wire_close(w);
}

/* A table full of them still lets new connections in. */
static void test_orphans_full_table(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open_small_table(w, true);
	for (uint32_t i = 0; i < 40; i++) {
		struct wire_seg got;

		w->port = (uint16_t)(6000 + i);
		wire_flags(w, TH_SYN, 1000, 0);
		do {
			assert_true(wire_take(w, &got)); /* the reset of the oldest */
		} while (got.flags & TH_RST);
		wire_flags(w, TH_ACK, 1001, got.seq + 1);
		let_go(w);
		wire_drain(w);
	}
	assert_int_equal(tcp_conn_count(w->tcp), 16);
	assert_int_equal(wire_count(w, CTR_shed_orphan), 24);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_syn),          cmocka_unit_test(test_isn),
	        cmocka_unit_test(test_next_process), cmocka_unit_test(test_syn_under_flood),
	        cmocka_unit_test(test_syn_limited),  cmocka_unit_test(test_syn_not_listening),
	        cmocka_unit_test(test_listen_again), cmocka_unit_test(test_segments),
	        cmocka_unit_test(test_full_table),   cmocka_unit_test(test_bound),
	        cmocka_unit_test(test_orphans),      cmocka_unit_test(test_orphans_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
