/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loss, timeouts and empty pools, with segments made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

static const uint8_t opts_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};

static void sack_with(struct wire *w, uint32_t ack, uint32_t lo, uint32_t hi)
{
	struct wire_seg s = {.seq = w->seq, .ack = ack, .wnd = 65535, .flags = TH_ACK};

	s.opts[0] = s.opts[1] = 1;
	s.opts[2] = 5;
	s.opts[3] = 10;
	put_u32(s.opts + 4, lo);
	put_u32(s.opts + 8, hi);
	s.opts_len = 12;
	wire_send(w, &s);
}

/* RFC 6298 5.5: doubled each time, bounded, and given up at last. */
static void test_rto_backoff(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	uint64_t want = 200;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, rig_text, 100);
	assert_true(wire_take(w, &got));
	for (uint32_t i = 0; i < 12; i++) {
		uint64_t before = w->now_ns;
		uint64_t ms;

		while (!wire_take(w, &got))
			wire_advance(w, 1);
		ms = (w->now_ns - before) / NS_PER_MS;
		assert_true(ms + 2 >= want && ms <= want + 4);
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, 100);
		want = min_u64(2 * want, 60000);
	}
	while (!w->closed)
		wire_advance(w, 10);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_rto), 12);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 1);
	wire_close(w);
}

/* Ten segments are out and the first is lost. */
static void test_fast_retransmit(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	for (int sack = 0; sack < 2; sack++) {
		wire_open(w, NULL, false);
		wire_handshake(w, sack ? opts_sack : opts_mss, sack ? 8 : 4, 5);
		wire_write(w, rig_text, 14600);
		wire_drain(w);
		for (uint32_t i = 1; i <= 3; i++) {
			assert_false(wire_take(w, &got));
			if (sack)
				sack_with(w, w->ack, w->ack + 1460, w->ack + 1460 * (i + 1));
			else
				wire_ack(w, w->ack, 65535);
		}
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, 1460);
		assert_memory_equal(got.payload, rig_text, 1460);
		assert_false(wire_take(w, &got));
		assert_int_equal(w->conn->loss, LOSS_RECOVERY);
		assert_int_equal(w->conn->ssthresh_bytes, 14600 * 7 / 10);
		wire_ack(w, w->ack + 14600, 65535);
		assert_int_equal(w->conn->loss, LOSS_NONE);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_rto), 0);
		wire_close(w);
	}
}

/* Holes at 0 and 3 of ten: SACK repairs both without asking twice, NewReno one an ACK. */
static void test_two_holes(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, 8, 5);
	wire_write(w, rig_text, 14600);
	wire_drain(w);
	sack_with(w, w->ack, w->ack + 1460, w->ack + 3 * 1460);
	for (uint32_t i = 5; i <= 10; i++)
		sack_with(w, w->ack, w->ack + 4 * 1460, w->ack + i * 1460);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack + 3 * 1460);
	assert_false(wire_take(w, &got));
	wire_ack(w, w->ack + 14600, 65535);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(w->conn->sacked_bytes, 0);
	wire_close(w);

	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, 4, 5);
	wire_write(w, rig_text, 14600);
	wire_drain(w);
	for (uint32_t i = 0; i < 8; i++)
		wire_ack(w, w->ack, 65535);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack);
	assert_false(wire_take(w, &got));
	wire_ack(w, w->ack + 3 * 1460, 65535);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack + 3 * 1460);
	wire_ack(w, w->ack + 14600, 65535);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_rto), 0);
	wire_close(w);
}

static uint32_t sacked_runs(struct conn *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->ls.run_count; i++)
		n += board_runs(c)[i].state == RUN_SACKED;
	return n;
}

/* Made-up SACK blocks change nothing. */
static void test_sack_hostile(void **state)
{
	static const struct {
		int32_t lo, hi;
	} blocks[] = {
	        {0, 100},       {-100, 50},     {100, 100},     {200, 100},
	        {100, 14601},   {15000, 16000}, {-2000, -1000}, {INT32_MIN, INT32_MAX},
	        {1, INT32_MIN},
	};
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, 8, 0u - 3000);
	wire_write(w, rig_text, 14600);
	wire_drain(w);
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		sack_with(w, w->ack, w->ack + (uint32_t)blocks[i].lo,
		          w->ack + (uint32_t)blocks[i].hi);
	assert_int_equal(w->conn->ls.run_count, 0);
	assert_int_equal(w->conn->dupacks, 0);
	/* More runs than are remembered. */
	for (uint32_t i = 0; i < 100; i++)
		sack_with(w, w->ack, w->ack + 100 + 140 * i, w->ack + 100 + 140 * i + 10);
	assert_int_equal(sacked_runs(w->conn), 100);
	assert_int_equal(w->conn->sacked_bytes, 1000);
	wire_ack(w, w->ack + 14600, 65535);
	assert_int_equal(w->conn->ls.run_count, 0);
	assert_int_equal(w->conn->sacked_bytes, 0);
	wire_close(w);
}

static void test_slow_start(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	uint32_t n = 0;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	assert_int_equal(w->conn->cwnd_bytes, 14600);
	wire_write(w, rig_text, 60000);
	while (wire_take(w, &got))
		n += got.len;
	assert_int_equal(n, 14600);
	wire_ack(w, w->ack + 14600, 65535);
	/* RFC 9406 4.2: no more than 8 segments for one ACK. */
	assert_int_equal(w->conn->cwnd_bytes, 14600 + 8 * 1460);
	/* A timeout: one segment, and slow start up to the new threshold. */
	wire_drain(w);
	wire_advance(w, 250);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack + 14600);
	assert_false(wire_take(w, &got));
	assert_int_equal(w->conn->cwnd_bytes, 1460);
	assert_int_equal(w->conn->ssthresh_bytes, 18 * 1460 * 7 / 10);
	wire_close(w);
}

/* No receive buffer: what is not read at once is not acknowledged, and comes again. */
static void test_no_rx_buf(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;
	struct rx_buf *held;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_bufs = 1;
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 5);
	held = rx_buf_get(&w->tcp->rx_mem);
	assert_true(rx_buf_reserve(&w->tcp->rx_mem, held, 0, cfg.rx_buf_bytes));
	w->no_read = true;
	wire_data(w, w->seq, rig_text, 100);
	assert_int_equal(counter_read(&w->ctr, CTR_shed_rx_buf), 1);
	wire_data(w, w->seq + 100, rig_text + 100, 100);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_nobuf), 1);
	wire_advance(w, 100);
	while (wire_take(w, &got))
		assert_int_equal(got.ack, w->seq);
	w->no_read = false;
	wire_data(w, w->seq, rig_text, 100);
	assert_int_equal(w->rx_len, 100);
	rx_buf_put(&w->tcp->rx_mem, held);
	wire_data(w, w->seq + 200, rig_text + 200, 100);
	wire_data(w, w->seq + 100, rig_text + 100, 100);
	assert_int_equal(w->rx_len, 300);
	assert_memory_equal(w->rx, rig_text, 300);
	wire_close(w);
}

static void test_tx_pools(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	size_t room;

	(void)state;
	tcp_config_small(&cfg);
	cfg.tx_chunks = 4;
	cfg.tx_refs = 6;
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text, 4097), ST_FULL);
	assert_int_equal(tcp_tx_queued(w->conn), 0);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text, 4000), ST_OK);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text + 4000, 96), ST_OK);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text, 1), ST_FULL);
	assert_null(tcp_tx_reserve(w->tcp, w->conn, 1, &room));
	w->lent = 2;
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text + 4096, 1, 1), ST_OK);
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text + 4097, 1, 1), ST_OK);
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text, 1, 1), ST_FULL);
	wire_run(w);
	wire_ack(w, w->ack + 4098, 65535);
	assert_int_equal(w->released, 2);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text, 4096), ST_OK);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rto_backoff), cmocka_unit_test(test_fast_retransmit),
	        cmocka_unit_test(test_two_holes),   cmocka_unit_test(test_sack_hostile),
	        cmocka_unit_test(test_slow_start),  cmocka_unit_test(test_no_rx_buf),
	        cmocka_unit_test(test_tx_pools),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
