/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Windows that are shut, small or shrink (RFC 9293 3.8.6), and peers that hold them so (RFC 6429).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static const uint8_t text[65536];
static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};

static void open_shut(struct wire *w, const struct tcp_config *cfg, bool v6)
{
	wire_open(w, cfg, v6);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 0xfffffff0);
	wire_ack(w, w->ack, 0);
	wire_write(w, text, 10000);
}

/* Answers each probe with this window; returns the time until the connection is gone, 0: it is not
 * after limit_ms. */
static uint64_t hold(struct wire *w, uint32_t wnd, uint64_t limit_ms)
{
	uint64_t begin = w->now_ns;
	struct wire_seg got = {0};

	while (w->now_ns - begin < limit_ms * NS_PER_MS) {
		wire_advance(w, 10);
		while (wire_take(w, &got))
			if (!(got.flags & TH_RST))
				wire_ack(w, w->ack, wnd);
		if (w->closed) {
			assert_int_equal(got.flags, TH_RST | TH_ACK);
			return (w->now_ns - begin) / NS_PER_MS;
		}
	}
	return 0;
}

/* RFC 6429 4: it may be ended. */
static void test_limit(void **state)
{
	struct tcp_config cfg;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct wire *w = &wire;
		uint64_t ms;

		tcp_config_small(&cfg);
		cfg.persist_limit_ms = 20000;
		cfg.persist_max_ms = 1000;
		open_shut(w, &cfg, v6);
		ms = hold(w, 0, 100000);
		assert_in_range(ms, 20000, 23000);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_persist_limit), 1);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 0);
		wire_close(w);
	}
}

/* RFC 9293 MUST-37: without a limit it lasts as long as it is answered. */
static void test_no_limit(void **state)
{
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.persist_limit_ms = 0;
	open_shut(&wire, &cfg, false);
	assert_int_equal(hold(&wire, 0, 3600 * 1000), 0);
	assert_int_equal(wire.closed, 0);
	wire_close(&wire);
}

/* Send memory is short: the time is a tenth. */
static void test_limit_under_pressure(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.persist_limit_ms = 100000;
	cfg.persist_max_ms = 1000;
	cfg.tx_chunks = 10; /* all of them */
	open_shut(w, &cfg, false);
	assert_in_range(hold(w, 0, 200000), 10000, 13000);
	wire_close(w);
}

/* A byte now and then is no progress; a segment is. */
static void test_limit_and_progress(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;

	(void)state;
	for (uint32_t step = 1; step <= 1460; step += 1459) {
		uint32_t taken = 0;

		tcp_config_small(&cfg);
		cfg.persist_limit_ms = 20000;
		cfg.persist_max_ms = 1000;
		open_shut(w, &cfg, false);
		for (uint32_t i = 0; i < 60 && !w->closed && taken < 8000; i++) {
			wire_advance(w, 1000);
			wire_ack(w, w->ack + taken, step);
			wire_advance(w, 10000);
			while (wire_take(w, &got))
				if (got.len == step && got.seq == w->ack + taken)
					taken += step;
			if (!w->closed)
				wire_ack(w, w->ack + taken, 0);
		}
		assert_int_equal(w->closed, step == 1);
		wire_close(w);
	}
}

/* RFC 9293 3.8.6.2.1 (4): a window that stays too small for the sender's algorithm gets what it
 * takes after the override timeout. */
static void test_override(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	uint64_t before;

	(void)state;
	open_shut(w, NULL, false);
	wire_ack(w, w->ack, 100);
	for (uint32_t i = 0; i < 20; i++) {
		assert_false(wire_take(w, &got)); /* not at once: silly */
		before = w->now_ns;
		while (!wire_take(w, &got))
			wire_advance(w, 1);
		assert_in_range((w->now_ns - before) / NS_PER_MS, 100, 1100);
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, 100);
		w->ack += got.len;
		wire_ack(w, w->ack, 100);
	}
	wire_close(w);
}

/* RFC 9293 3.8.6: SHLD-15, SHLD-16, MUST-34. */
static void test_shrink(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 77);
	wire_write(w, text, 20000);
	wire_drain(w);
	assert_int_equal(conn_flight(w->conn), 14600);
	/* Some was taken, and of the rest only 2000 bytes may come. */
	wire_ack(w, w->ack + 1460, 2000);
	w->ack += 1460;
	assert_false(wire_take(w, &got));
	wire_write(w, text, 100);
	assert_false(wire_take(w, &got)); /* nothing new */
	while (!wire_take(w, &got))
		wire_advance(w, 1);
	assert_int_equal(got.seq, w->ack);
	assert_int_equal(got.len, 1460);
	wire_ack(w, w->ack + 1460, 540);
	w->ack += 1460;
	while (!wire_take(w, &got))
		wire_advance(w, 1);
	assert_int_equal(got.seq, w->ack);
	assert_int_equal(got.len, 540);
	wire_close(w);
}

/* Both windows are shut and both probe: our ACKs stay within the peer's window (RFC 9293 A.2), so
 * that it reads them. */
static void test_both_shut(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_buf_bytes = 4096;
	open_shut(w, &cfg, false);
	w->no_read = true;
	for (uint32_t at = 0; at < 4096; at += 1024)
		wire_send(w, &(struct wire_seg){.seq = w->seq + at,
		                                .ack = w->ack,
		                                .flags = TH_ACK,
		                                .data = text,
		                                .len = 1024});
	wire_advance(w, 100);
	w->seq += 4096;
	do {
		wire_advance(w, 100);
		while (wire_take(w, &got))
			;
	} while (counter_read(&w->ctr, CTR_tcp_persist) == 0);
	assert_int_equal(w->conn->snd_nxt, w->ack + 1); /* the probe's byte */
	wire_send(w,
	          &(struct wire_seg){
	                  .seq = w->seq, .ack = w->ack, .flags = TH_ACK, .data = text, .len = 1});
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_ACK);
	assert_int_equal(got.len, 0);
	assert_int_equal(got.seq, w->ack); /* and not one more, which it would not accept */
	assert_int_equal(got.ack, w->seq);
	assert_int_equal(got.wnd, 0);
	w->no_read = false;
	wire_close(w);
}

/* The ACK that ends CLOSING also opens the window: TIME-WAIT still ends. */
static void test_opened_by_last_ack(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 77);
	wire_ack(w, w->ack, 0);
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	wire_send(w, &(struct wire_seg){.seq = w->seq, .ack = w->ack, .flags = TH_FIN | TH_ACK});
	assert_int_equal(w->conn->state, TCP_CLOSING);
	w->seq++;
	wire_ack(w, w->ack + 1, 1024);
	assert_int_equal(w->closed, 1);
	assert_int_equal(tcp_conn_count(w->tcp), 1);
	wire_advance(w, 61000);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_limit),     cmocka_unit_test(test_no_limit),
	        cmocka_unit_test(test_override),  cmocka_unit_test(test_limit_under_pressure),
	        cmocka_unit_test(test_shrink),    cmocka_unit_test(test_limit_and_progress),
	        cmocka_unit_test(test_both_shut), cmocka_unit_test(test_opened_by_last_ack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
