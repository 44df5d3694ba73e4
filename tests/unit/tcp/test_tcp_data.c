/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Data in and out, with segments made by hand: reassembly, windows, segments of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

static const uint8_t opts_all[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t opts_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};

/* Every order of five segments, each time across the wrap of the sequence numbers. */
static void test_ooo_permutations(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint32_t p = 0; p < 120; p++) {
		uint32_t order[5] = {0, 1, 2, 3, 4};
		uint32_t k = p;

		for (uint32_t i = 5; i > 1; i--) {
			uint32_t j = k % i;
			uint32_t tmp = order[i - 1];

			k /= i;
			order[i - 1] = order[j];
			order[j] = tmp;
		}
		wire_open(w, NULL, false);
		wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 250);
		for (uint32_t i = 0; i < 5; i++)
			wire_data(w, w->seq + 100 * order[i], rig_text + 100 * order[i], 100);
		assert_int_equal(w->rx_len, 500);
		assert_memory_equal(w->rx, rig_text, 500);
		assert_null(w->conn->rx);
		wire_close(w);
	}
}

/* The same in one burst, so that data is lent, kept and joined. */
static void test_burst(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint32_t p = 0; p < 256; p++) {
		struct wire_seg s[4];

		wire_open(w, NULL, false);
		wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 250);
		for (uint32_t i = 0; i < 4; i++) {
			uint32_t at = p >> (2 * i) & 3;

			s[i] = (struct wire_seg){.seq = w->seq + 100 * at,
			                         .ack = w->ack,
			                         .wnd = 65535,
			                         .flags = TH_ACK,
			                         .data = rig_text + 100 * at,
			                         .len = 100};
		}
		w->no_read = p % 3 == 0;
		wire_burst(w, s, 4);
		w->no_read = false;
		for (uint32_t i = 0; i < 4; i++)
			wire_data(w, w->seq + 100 * i, rig_text + 100 * i, 100);
		tcp_wake(w->tcp, w->conn, 0);
		wire_run(w);
		assert_int_equal(w->rx_len, 400);
		assert_memory_equal(w->rx, rig_text, 400);
		wire_close(w);
	}
}

/* The first copy of a byte wins, whatever comes later. */
static void test_overlap(void **state)
{
	struct wire *w = &wire;
	uint8_t other[64];

	(void)state;
	memset(other, 0xee, sizeof(other));
	for (uint32_t lo = 0; lo < 50; lo += 7)
		for (uint32_t len = 1; len < 40; len += 5) {
			wire_open(w, NULL, false);
			wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 30);
			wire_data(w, w->seq + 10, rig_text + 10, 10);
			wire_data(w, w->seq + 30, rig_text + 30, 10);
			/* Fakes over all of it, and what they may fill. */
			wire_data(w, w->seq + 5 + lo, other, len);
			wire_data(w, w->seq, rig_text, 64);
			assert_int_equal(w->rx_len, max_u32(64, 5 + lo + len));
			for (uint32_t i = 0; i < 64; i++) {
				bool held = (i >= 10 && i < 20) || (i >= 30 && i < 40);
				bool fake = i >= 5 + lo && i < 5 + lo + len && !held;

				assert_int_equal(w->rx[i], fake ? 0xee : rig_text[i]);
			}
			wire_close(w);
		}
}

static void test_sack_sent(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 1000);
	for (uint32_t i = 1; i <= 5; i++) {
		wire_data(w, w->seq + 200 * i, rig_text + 200 * i, 100);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack, w->seq);
		assert_int_equal(got.parsed.sack_count, min_u32(i, 4));
		/* RFC 2018 4: the newest first, then by age. */
		for (uint32_t b = 0; b < got.parsed.sack_count; b++) {
			assert_int_equal(get_u32(got.opts + 4 + 8 * b), w->seq + 200 * (i - b));
			assert_int_equal(get_u32(got.opts + 8 + 8 * b),
			                 w->seq + 200 * (i - b) + 100);
		}
	}
	/* Grows the second: it becomes the freshest. */
	wire_data(w, w->seq + 500, rig_text + 500, 50);
	assert_true(wire_take(w, &got));
	assert_int_equal(get_u32(got.opts + 4), w->seq + 400);
	assert_int_equal(get_u32(got.opts + 8), w->seq + 550);
	wire_close(w);
}

/* What was received last has all become data in order; the older is still reported. */
static void test_sack_old(void **state)
{
	enum { RUNS = TCP_MAX_FRESH + 3 };
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 100);
	for (uint32_t i = RUNS; i > 0; i--)
		wire_data(w, w->seq + 20 * i, rig_text + 20 * i, 10);
	wire_data(w, w->seq, rig_text, 10);
	for (uint32_t i = 0; i < RUNS; i++) {
		wire_drain(w);
		wire_data(w, w->seq + 20 * i + 10, rig_text + 20 * i + 10, 10);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack, w->seq + 20 * i + 30);
		assert_int_equal(got.parsed.sack_count, min_u32(RUNS - 1 - i, 4));
		assert_int_equal(got.opts_len, i == RUNS - 1 ? 0 : 4 + 8 * got.parsed.sack_count);
	}
	assert_memory_equal(w->rx, rig_text, w->rx_len);
	wire_close(w);
}

static void test_ooo_bound(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 5);
	for (uint32_t i = 1; i <= TCP_MAX_OOO + 5; i++)
		wire_data(w, w->seq + 20 * i, rig_text + 20 * i, 10);
	assert_int_equal(w->conn->rx->ooo_count, TCP_MAX_OOO);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_ooo), 5);
	/* It reaches the run that begins where it ends. */
	wire_data(w, w->seq, rig_text, 1000);
	assert_int_equal(w->rx_len, 1010);
	assert_memory_equal(w->rx, rig_text, 1010);
	wire_close(w);
}

/* A FIN ahead of its data waits for it; data behind a FIN does not exist. */
static void test_fin_early(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 5);
	wire_flags(w, TH_FIN | TH_ACK, w->seq + 100, w->ack);
	assert_int_equal(w->conn->state, TCP_ESTABLISHED);
	wire_data(w, w->seq + 90, rig_text + 90, 50);
	wire_data(w, w->seq, rig_text, 50);
	assert_int_equal(w->conn->state, TCP_ESTABLISHED);
	wire_data(w, w->seq + 50, rig_text + 50, 40);
	assert_int_equal(w->conn->state, TCP_CLOSE_WAIT);
	assert_int_equal(w->rx_len, 100);
	assert_memory_equal(w->rx, rig_text, 100);
	assert_true(tcp_rx_eof(w->conn));
	wire_close(w);
}

/* RFC 9293 3.8.6.2.1: the right edge never goes back, in either direction of reading. */
static void test_window_receive(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;
	uint32_t edge = 0;
	uint32_t sent = 0;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_buf_bytes = 8192;
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 0u - 4000);
	w->no_read = true;
	edge = w->seq + 8192;
	while (sent < 8192) {
		uint32_t n = min_u32(1000, 8192 - sent);

		wire_data(w, w->seq + sent, rig_text + sent, n);
		sent += n;
		while (wire_take(w, &got)) {
			assert_false(seq_lt(got.ack + got.wnd, edge));
			edge = got.ack + got.wnd;
		}
	}
	wire_advance(w, 50);
	wire_drain(w);
	assert_int_equal(conn_rx_len(w->conn), 8192);
	/* Closed: a probe is answered and its byte not taken. */
	wire_data(w, w->seq + 8192, rig_text + 8192, 1);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 8192);
	assert_int_equal(got.wnd, 0);
	/* Small reads do not open it (silly window), large ones do. */
	tcp_wake(w->tcp, w->conn, 0);
	tcp_rx_consume(w->tcp, w->conn, 100);
	wire_run(w);
	assert_false(wire_take(w, &got));
	tcp_rx_consume(w->tcp, w->conn, 4000);
	wire_run(w);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.wnd, 4100);
	w->no_read = false;
	wire_data(w, w->seq + 8192, rig_text + 8192, 1460);
	assert_int_equal(w->rx_len, 8192 - 4100 + 1460);
	assert_memory_equal(w->rx, rig_text + 4100, w->rx_len);
	wire_close(w);
}

/* RFC 9293 3.8.6.1. */
static void test_persist(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	struct tcp_config cfg;
	uint64_t gap = 0;

	(void)state;
	tcp_config_small(&cfg);
	cfg.persist_limit_ms = 0; /* for ever, as RFC 9293 3.8.6.1 has it (MUST-37) */
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_ack(w, w->ack, 0);
	wire_write(w, rig_text, 3000);
	assert_false(wire_take(w, &got));
	for (uint32_t i = 0; i < 12; i++) {
		uint64_t before = w->now_ns;

		while (!wire_take(w, &got))
			wire_advance(w, 1);
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, 1);
		assert_true(w->now_ns - before <= 60 * NS_PER_S);
		assert_true(w->now_ns - before >= min_u64(gap, 59 * NS_PER_S));
		gap = 2 * (w->now_ns - before) - 10 * NS_PER_MS;
		wire_ack(w, w->ack, 0); /* still closed, but alive */
	}
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_persist), 12);
	wire_ack(w, w->ack, 65535);
	/* All of it from the first byte: what the probe carried was not kept. */
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack);
	wire_drain(w);
	wire_ack(w, w->ack + 3000, 65535);
	assert_int_equal(tcp_tx_queued(w->conn), 0);
	/* Closed and silent: given up in the end. */
	wire_ack(w, w->ack + 3000, 0);
	wire_write(w, rig_text, 10);
	for (uint32_t i = 0; i < 2000 && !w->closed; i++)
		wire_advance(w, 1000);
	assert_int_equal(w->closed, 1);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 1);
	wire_close(w);
}

static void test_window_scales(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint8_t scale = 0; scale <= 14; scale++) {
		uint8_t opts[] = {2, 4, 5, 0xb4, 1, 3, 3, scale};
		struct wire_seg got;
		uint32_t n = 0;

		wire_open(w, NULL, false);
		wire_handshake(w, opts, sizeof(opts), 5);
		w->conn->cwnd_bytes = 1 << 20;
		wire_ack(w, w->ack, 3);
		assert_int_equal(w->conn->snd_wnd, 3u << scale);
		wire_write(w, rig_text, 65536);
		while (wire_take(w, &got))
			n += got.len;
		assert_true(n <= 3u << scale);
		/* All of it, but for a last piece too small to be sent alone. */
		if (3u << scale >= 65536)
			assert_int_equal(n, 65536);
		wire_close(w);
	}
}

static void test_mss(void **state)
{
	static const uint16_t sizes[] = {64, 536, 1000, 1460};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t opts[] = {2, 4, (uint8_t)(sizes[i] >> 8), (uint8_t)sizes[i]};
		uint32_t at = 0;
		struct wire_seg got;

		wire_open(w, NULL, false);
		wire_handshake(w, opts, sizeof(opts), 5);
		w->conn->cwnd_bytes = 1 << 20;
		wire_write(w, rig_text, 20001);
		while (wire_take(w, &got)) {
			assert_int_equal(got.seq, w->ack + at);
			assert_int_equal(got.len, min_u32(sizes[i], 20001 - at));
			assert_memory_equal(got.payload, rig_text + at, got.len);
			at += got.len;
			assert_int_equal(!!(got.flags & TH_PSH), at == 20001);
		}
		assert_int_equal(at, 20001);
		wire_close(w);
	}
}

/* Copies, lent bytes and reserved bytes of odd lengths in one segment, checked by net_input's
 * checksum at the other end in test_tcp_pair; here the bytes. */
static void test_gather(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	size_t room;
	char *to;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, rig_text, 7), ST_OK);
	w->lent = 13 + 5;
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text + 7, 13, 13), ST_OK);
	to = tcp_tx_reserve(w->tcp, w->conn, 3, &room);
	assert_non_null(to);
	memcpy(to, rig_text + 20, 3);
	tcp_tx_commit(w->tcp, w->conn, 3);
	to = tcp_tx_reserve(w->tcp, w->conn, 100, &room);
	assert_int_equal(room, TCP_TX_CHUNK - 3);
	memcpy(to, rig_text + 23, 2);
	tcp_tx_commit(w->tcp, w->conn, 2);
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text + 25, 5, 5), ST_OK);
	assert_int_equal(tcp_tx_ref(w->tcp, w->conn, rig_text, 0, 5), ST_INVALID);
	assert_int_equal(w->tcp->refs.in_use, 4);
	wire_run(w);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.len, 30);
	assert_memory_equal(got.payload, rig_text, 30);
	wire_ack(w, w->ack + 19, 65535);
	assert_int_equal(w->released, 0);
	wire_ack(w, w->ack + 20, 65535);
	assert_int_equal(w->released, 13);
	wire_ack(w, w->ack + 30, 65535);
	assert_int_equal(w->released, 18);
	wire_close(w);
}

static void test_room_event(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, rig_text, 5000);
	tcp_tx_want_room(w->conn, 2000);
	w->events = 0;
	wire_ack(w, w->ack + 2999, 65535);
	assert_int_equal(w->events & TCP_EV_ROOM, 0);
	wire_ack(w, w->ack + 3000, 65535);
	assert_int_equal(w->events & TCP_EV_ROOM, TCP_EV_ROOM);
	w->events = 0;
	wire_ack(w, w->ack + 5000, 65535);
	assert_int_equal(w->events & TCP_EV_ROOM, 0);
	wire_close(w);
}

static void test_delayed_ack(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	for (uint32_t i = 0; i < TCP_QUICK_ACKS; i++) {
		wire_data(w, w->seq + i, rig_text, 1);
		assert_true(wire_take(w, &got));
	}
	w->seq += TCP_QUICK_ACKS;
	wire_data(w, w->seq, rig_text, 1);
	wire_advance(w, 39);
	assert_false(wire_take(w, &got));
	wire_advance(w, 3);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 1);
	/* Every second one at once, and an answer carries it. */
	wire_data(w, w->seq + 1, rig_text, 1);
	assert_false(wire_take(w, &got));
	wire_data(w, w->seq + 2, rig_text, 1);
	assert_true(wire_take(w, &got));
	wire_data(w, w->seq + 3, rig_text, 1);
	wire_write(w, rig_text, 10);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.len, 10);
	assert_int_equal(got.ack, w->seq + 4);
	w->seq += 4;
	wire_ack(w, w->ack + 10, 65535);
	wire_advance(w, 100);
	assert_false(wire_take(w, &got));
	wire_close(w);
}

static void ts_data(struct wire *w, uint32_t seq, uint32_t tsval)
{
	struct wire_seg s = {.seq = seq, .ack = w->ack, .wnd = 500, .flags = TH_ACK};

	s.opts[0] = s.opts[1] = 1;
	s.opts[2] = 8;
	s.opts[3] = 10;
	put_u32(s.opts + 4, tsval);
	s.opts_len = 12;
	s.data = rig_text;
	s.len = 10;
	wire_send(w, &s);
}

/* RFC 7323 5. */
static void test_paws(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_all, sizeof(opts_all), 5);
	ts_data(w, w->seq, 100);
	assert_int_equal(w->rx_len, 10);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.parsed.tsecr, 100);
	ts_data(w, w->seq + 10, 99);
	assert_int_equal(w->rx_len, 10);
	assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_paws), 1);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 10);
	/* Out of order: not from this one is the echo taken. */
	ts_data(w, w->seq + 30, 200);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.parsed.tsecr, 100);
	/* Timestamps wrap. */
	ts_data(w, w->seq + 10, 0x70000000u);
	assert_int_equal(w->rx_len, 20);
	ts_data(w, w->seq + 20, 0xe0000000u);
	assert_int_equal(w->rx_len, 40);
	ts_data(w, w->seq + 40, 5);
	assert_int_equal(w->rx_len, 50);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ooo_permutations), cmocka_unit_test(test_burst),
	        cmocka_unit_test(test_overlap),          cmocka_unit_test(test_sack_sent),
	        cmocka_unit_test(test_ooo_bound),        cmocka_unit_test(test_fin_early),
	        cmocka_unit_test(test_window_receive),   cmocka_unit_test(test_persist),
	        cmocka_unit_test(test_window_scales),    cmocka_unit_test(test_mss),
	        cmocka_unit_test(test_gather),           cmocka_unit_test(test_room_event),
	        cmocka_unit_test(test_delayed_ack),      cmocka_unit_test(test_paws),
	        cmocka_unit_test(test_sack_old),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
