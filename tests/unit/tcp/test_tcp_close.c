/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Closes, aborts and TIME-WAIT, with segments made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define OPT_TS(v) 1, 1, 8, 10, 0, 0, 0, (v), 0, 0, 0, 0

/* RFC 9293 3.6 figure 12: we close first. */
static void test_close_active(void **state)
{
	struct wire *w = &wire;
	struct conn *c;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 0xfffffff0);
	c = w->conn;
	tcp_shutdown(w->tcp, c);
	wire_run(w);
	wire_expect(w, TH_ACK | TH_PSH | TH_FIN, w->ack, w->seq);
	assert_int_equal(c->state, TCP_FIN_WAIT_1);
	assert_int_equal(tcp_tx_copy(w->tcp, c, "x", 1), ST_CLOSED);
	wire_flags(w, TH_ACK, w->seq, w->ack + 1);
	assert_int_equal(c->state, TCP_FIN_WAIT_2);
	/* Half-closed: data still comes. */
	w->ack++;
	wire_data(w, w->seq, "0123456789abcdefghij", 20);
	assert_int_equal(w->rx_len, 20);
	wire_drain(w);
	wire_flags(w, TH_FIN | TH_ACK, w->seq + 20, w->ack);
	wire_expect(w, TH_ACK, w->ack, w->seq + 21);
	assert_int_equal(c->state, TCP_TIME_WAIT);
	assert_int_equal(w->closed, 1);
	/* A FIN again is answered again; a reset changes nothing. */
	wire_flags(w, TH_FIN | TH_ACK, w->seq + 20, w->ack);
	wire_expect(w, TH_ACK, w->ack, w->seq + 21);
	wire_flags(w, TH_RST, w->seq + 21, 0);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
	wire_advance(w, 59000);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
	wire_advance(w, 2000);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

/* The peer closes first. */
static void test_close_passive(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, true);
	wire_handshake(w, NULL, 0, 77);
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack);
	wire_expect(w, TH_ACK, w->ack, w->seq + 1);
	assert_int_equal(w->conn->state, TCP_CLOSE_WAIT);
	assert_true(w->events & TCP_EV_EOF);
	wire_write(w, "bye", 3);
	wire_expect(w, TH_ACK | TH_PSH, w->ack, w->seq + 1);
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	wire_expect(w, TH_ACK | TH_PSH | TH_FIN, w->ack + 3, w->seq + 1);
	assert_int_equal(w->conn->state, TCP_LAST_ACK);
	assert_int_equal(w->closed, 0);
	wire_flags(w, TH_ACK, w->seq + 1, w->ack + 4);
	assert_int_equal(w->closed, 1);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

/* RFC 9293 figure 13: both at once. */
static void test_close_simultaneous(void **state)
{
	struct wire *w = &wire;
	struct conn *c;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 77);
	c = w->conn;
	tcp_shutdown(w->tcp, c);
	wire_run(w);
	wire_drain(w);
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack);
	assert_int_equal(c->state, TCP_CLOSING);
	wire_expect(w, TH_ACK, w->ack + 1, w->seq + 1);
	wire_flags(w, TH_ACK, w->seq + 1, w->ack + 1);
	assert_int_equal(c->state, TCP_TIME_WAIT);
	assert_int_equal(w->closed, 1);
	wire_advance(w, 61000);
	wire_close(w);

	/* FIN that acknowledges ours: straight to TIME-WAIT. */
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 77);
	c = w->conn;
	tcp_shutdown(w->tcp, c);
	wire_run(w);
	wire_drain(w);
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
	assert_int_equal(c->state, TCP_TIME_WAIT);
	wire_expect(w, TH_ACK, w->ack + 1, w->seq + 1);
	wire_advance(w, 61000);
	wire_close(w);
}

/* The owner lets go while the peer still sends (an error answer during an upload). */
static void test_close_lingers(void **state)
{
	struct wire *w = &wire;
	static char data[1000];

	(void)state;
	for (int fin = 0; fin < 2; fin++) {
		wire_open(w, NULL, false);
		wire_handshake(w, NULL, 0, 77);
		w->no_read = true;
		wire_data(w, w->seq, data, 1000);
		wire_drain(w);
		assert_int_equal(tcp_tx_copy(w->tcp, w->conn, "413", 3), ST_OK);
		tcp_set_owner(w->conn, NULL);
		tcp_close(w->tcp, w->conn, w->now_ns);
		w->conn = NULL;
		wire_run(w);
		wire_expect(w, TH_ACK | TH_PSH | TH_FIN, w->ack, w->seq + 1000);
		w->ack += 4;
		for (uint32_t i = 1; i < 30; i++) {
			wire_data(w, w->seq + 1000 * i, data, 1000);
			wire_advance(w, 50);
			wire_expect(w, TH_ACK, w->ack, w->seq + 1000 * (i + 1));
		}
		assert_int_equal(w->closed, 0);
		assert_int_equal(w->events & TCP_EV_CLOSED, 0);
		if (fin) {
			wire_flags(w, TH_FIN | TH_ACK, w->seq + 30000, w->ack);
			wire_expect(w, TH_ACK, w->ack, w->seq + 30001);
			wire_advance(w, 61000);
		} else {
			wire_advance(w, 58000);
			assert_int_equal(tcp_conn_count(w->tcp), 1);
			wire_advance(w, 2000);
			wire_expect(w, TH_RST | TH_ACK, w->ack, w->seq + 30000);
		}
		assert_int_equal(tcp_conn_count(w->tcp), 0);
		wire_close(w);
	}
}

static void time_wait_by_hand(struct wire *w, const uint8_t *opts, uint32_t len)
{
	wire_open(w, NULL, false);
	wire_handshake(w, opts, len, 1000);
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
	assert_int_equal(w->closed, 1);
	wire_drain(w);
}

/* RFC 6191, RFC 9293 3.6.1. */
/* The peer takes a byte now and then, always in time for fin_wait_2_ms: all of it together has an
 * end, and so has what is left of it for the peer's FIN. Returns when the reset came, 0: not. */
static uint32_t orphan_lives_ms(struct wire *w, uint32_t step_bytes, uint32_t limit_ms)
{
	struct wire_seg got;

	for (uint32_t ms = 0; ms < limit_ms; ms += 10) {
		if (ms % 4000 == 0 && w->ack != w->conn->snd_nxt) {
			w->ack += min_u32(step_bytes, w->conn->snd_nxt - w->ack);
			wire_flags(w, TH_ACK, w->seq, w->ack);
		}
		wire_advance(w, 10);
		while (wire_take(w, &got)) {
			if (got.flags & TH_RST)
				return ms;
		}
	}
	return 0;
}

static void test_orphan_life(void **state)
{
	static const struct {
		uint32_t step_bytes, life_ms, ends_ms;
	} rows[] = {
	        {1, 20000, 20000},
	        {1, 60000, 60000}, /* data */
	        {300, 20000, 17000},
	        {300, 14000, 14000}, /* in FIN-WAIT-2 from 12 s on */
	};
	static const char text[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire *w = &wire;
		struct tcp_config cfg;
		uint32_t end_ms;

		tcp_config_small(&cfg);
		cfg.fin_wait_2_ms = 5000;
		cfg.orphan_life_ms = rows[i].life_ms;
		wire_open(w, &cfg, i & 1);
		wire_handshake(w, NULL, 0, 5);
		assert_int_equal(tcp_tx_copy(w->tcp, w->conn, text, sizeof(text)), ST_OK);
		tcp_close(w->tcp, w->conn, w->now_ns);
		wire_run(w);
		end_ms = orphan_lives_ms(w, rows[i].step_bytes, 100000);
		assert_in_range(end_ms, rows[i].ends_ms - 20, rows[i].ends_ms + 20);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_orphan_life),
		                 rows[i].ends_ms == rows[i].life_ms);
		wire_close(w);
	}
}

static void test_time_wait_reuse(void **state)
{
	static const struct {
		uint32_t seq;
		uint8_t old_ts, new_ts; /* 0: none */
		bool accepted;
	} cases[] = {
	        {1001, 0, 0, false}, {1002, 0, 0, true}, {500, 0, 0, false},  {1002, 9, 0, true},
	        {1001, 9, 0, false}, {500, 9, 10, true}, {5000, 9, 8, false}, {5000, 9, 9, true},
	        {500, 9, 9, false},  {500, 0, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t opts[12] = {OPT_TS(cases[i].old_ts)};
		struct wire_seg syn = {.seq = cases[i].seq, .wnd = 9, .flags = TH_SYN};
		struct wire_seg got;

		time_wait_by_hand(&wire, opts, cases[i].old_ts ? 12 : 0);
		opts[7] = cases[i].new_ts;
		syn.opts_len = cases[i].new_ts ? 12 : 0;
		memcpy(syn.opts, opts, 12);
		wire_send(&wire, &syn);
		/* Refused with a timestamp: RFC 6191 2 drops it silently. */
		assert_int_equal(wire_take(&wire, &got), cases[i].accepted || !cases[i].new_ts);
		if (cases[i].accepted)
			assert_int_equal(got.flags, TH_SYN | TH_ACK);
		else if (!cases[i].new_ts)
			assert_int_equal(got.flags, TH_ACK);
		assert_int_equal(tcp_conn_count(wire.tcp), 1);
		wire_close(&wire);
	}
}

/* A full table gives up TIME-WAIT, oldest first, and nothing else. */
static void test_table_full(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open_small_table(w, false);
	for (uint32_t i = 0; i < 20; i++) {
		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
		tcp_shutdown(w->tcp, w->conn);
		wire_run(w);
		wire_flags(w, TH_FIN | TH_ACK, w->seq, w->ack + 1);
		wire_drain(w);
	}
	assert_int_equal(w->closed, 20);
	assert_int_equal(tcp_conn_count(w->tcp), 16);
	for (uint32_t i = 0; i < 16; i++) {
		w->port = (uint16_t)(7000 + i);
		wire_handshake(w, NULL, 0, 1000);
	}
	w->port = 8000;
	wire_flags(w, TH_SYN, 5, 0);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_syn_full), 1);
	wire_close(w);
}

static void test_abort(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 5);
	w->lent = 10;
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, "0123456789", 10, 10), ST_OK);
	wire_run(w);
	wire_drain(w);
	tcp_abort(w->tcp, w->conn);
	wire_run(w);
	wire_expect(w, TH_RST | TH_ACK, w->ack + 10, w->seq);
	/* The owner is set, so it hears of it; lent bytes came back once. */
	assert_int_equal(w->closed, 1);
	assert_int_equal(w->released, 10);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_close_active),       cmocka_unit_test(test_close_passive),
	        cmocka_unit_test(test_close_simultaneous), cmocka_unit_test(test_close_lingers),
	        cmocka_unit_test(test_orphan_life),        cmocka_unit_test(test_time_wait_reuse),
	        cmocka_unit_test(test_table_full),         cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
