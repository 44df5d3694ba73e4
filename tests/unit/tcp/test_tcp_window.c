/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The receive window: its scale, how it grows with what is read and not otherwise, and that its
 * right edge never goes back, whatever the memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static struct rig rig;

/* MSS 1460, SACK, timestamps, window scale 7 */
static const uint8_t opts_all[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t opts_plain[] = {2, 4, 5, 0xb4, 1, 3, 3, 7};

/* RFC 7323 2.3: the scale of the largest window that there may be. */
static void test_scale(void **state)
{
	static const struct {
		uint32_t first;
		uint32_t most;
		uint8_t scale;
	} cases[] = {
	        {4096, 4096, 0},     {4096, 65535, 0},     {4096, 65536, 1},
	        {65536, 4096, 1},    {65536, 131070, 1},   {65536, 131071, 2},
	        {65536, 4 << 20, 7}, {65536, 16 << 20, 9}, {1 << 20, 1 << 20, 5},
	};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire *w = &wire;
		struct wire_seg syn = {.seq = 9, .wnd = 65535, .flags = TH_SYN, .opts_len = 8};
		struct tcp_config cfg;
		struct wire_seg got;

		tcp_config_small(&cfg);
		cfg.rx_buf_bytes = cases[i].first;
		cfg.rx_window_bytes = cases[i].most;
		wire_open(w, &cfg, i & 1);
		memcpy(syn.opts, opts_plain, 8);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		assert_true(got.parsed.has_wscale);
		assert_int_equal(got.parsed.wscale, cases[i].scale);
		/* That of the SYN itself is not scaled. */
		assert_int_equal(got.wnd, min_u32(cases[i].first, 65535));
		wire_close(w);
	}
}

static bool received(struct rig *r, void *arg)
{
	uint64_t want = *(uint64_t *)arg;

	for (uint32_t i = 0; i < RIG_APPS; i++)
		if (r->apps[i].used && r->apps[i].host == 0 && r->apps[i].rx_done >= want)
			return true;
	return false;
}

/* An upload over 20 ms, by a sender that has 150 KB in flight at most: the window is no limit any
 * more, and not far beyond. */
static void test_grows(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct rig_config cfg = {.seed = 5, .delay_ns = 10 * NS_PER_MS, .v6 = v6};
		struct app client = {.tx_total = 6000000, .tx_seed = 7, .rx_seed = 7};
		struct app server = {.tx_seed = 7, .rx_seed = 7};
		uint64_t half = 3000000;
		uint64_t begin;
		struct conn *c;

		rig_open(&rig, &cfg);
		rig.host[0].model = server;
		begin = rig.now_ns;
		struct app *app = rig_connect(&rig, 1, 1000, &client);
		assert_true(rig_run(&rig, received, &half, 60 * 1000));
		/* 64 KiB a round trip of 20 ms would be 0.9 s. */
		assert_true(rig.now_ns - begin < 700 * NS_PER_MS);
		c = rig_peer(&rig, app)->conn;
		assert_in_range(c->rx_wnd, 150000, 4 * 160000);
		/* All of it was read where it came. */
		assert_null(c->rx);
		assert_true(rig_run(&rig, received, &client.tx_total, 60 * 1000));
		rig_close(&rig);
	}
}

/* Many small requests over time are no reason to grow. */
static void test_stays(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_plain, sizeof(opts_plain), 0u - 5000);
	for (uint32_t i = 0; i < 2000; i++) {
		wire_data(w, w->seq, rig_text, 1000);
		w->seq += 1000;
		w->rx_len = 0;
		wire_drain(w);
		wire_advance(w, 1);
	}
	assert_int_equal(w->conn->rx_wnd, 65536);
	/* The same in a burst a round trip: then it is. */
	w->conn->srtt_us = 20000;
	for (uint32_t i = 0; i < 2000; i++) {
		wire_data(w, w->seq, rig_text, 1000);
		w->seq += 1000;
		w->rx_len = 0;
		wire_drain(w);
		if (i % 40 == 0)
			wire_advance(w, 20);
	}
	assert_in_range(w->conn->rx_wnd, 140000, 170000);
	/* Not beyond the limit. */
	w->conn->srtt_us = 1000000;
	for (uint32_t i = 0; i < 20000; i++) {
		wire_data(w, w->seq, rig_text, 1000);
		w->seq += 1000;
		w->rx_len = 0;
		wire_drain(w);
		if (i % 10 == 0)
			wire_advance(w, 1);
	}
	assert_int_equal(w->conn->rx_wnd, 4 << 20);
	wire_close(w);
}

struct walk {
	uint32_t sent; /* of the stream, by the peer, contiguous */
	uint32_t edge; /* last seen, relative to the stream's begin */
	uint32_t read; /* and compared */
	uint64_t random;
};

static uint32_t below(struct walk *k, uint32_t n)
{
	k->random = k->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((k->random >> 33) % n);
}

static void see(struct wire *w, struct walk *k, uint32_t begin)
{
	struct wire_seg got;

	while (wire_take(w, &got)) {
		uint32_t edge = got.ack + (got.wnd << w->conn->rcv_wscale) - begin;

		/* But for less than a unit of the scale, which the field cannot say (RFC 7323 2.4).
		 */
		assert_false(seq_lt(edge + (1u << w->conn->rcv_wscale) - 1, k->edge));
		k->edge = seq_max(edge, k->edge);
		k->sent = seq_max(k->sent, got.ack - begin);
	}
}

static void send_some(struct wire *w, struct walk *k, uint32_t begin)
{
	uint32_t at = k->sent + (below(k, 3) == 0 ? below(k, 20000) : 0);
	uint32_t len = 1 + below(k, 1400);
	uint8_t data[1400];

	if (at + len > k->edge)
		return;
	for (uint32_t i = 0; i < len; i++)
		data[i] = rig_pattern(3, at + i);
	wire_data(w, begin + at, data, len);
}

static void read_some(struct wire *w, struct walk *k)
{
	struct span rx = tcp_rx(w->conn);
	size_t n = min_size(rx.len, below(k, 3000));

	for (size_t i = 0; i < n; i++)
		assert_int_equal((uint8_t)rx.ptr[i], rig_pattern(3, k->read + i));
	k->read += (uint32_t)n;
	tcp_rx_consume(w->tcp, w->conn, n);
	wire_run(w);
}

/* Anything in any order, with memory for a little of it. */
static void test_edge_never_back(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 8; seed++) {
		struct wire *w = &wire;
		struct walk k = {.random = seed};
		struct rx_buf *hog = NULL;
		struct tcp_config cfg;
		uint32_t begin;

		tcp_config_small(&cfg);
		cfg.rx_bufs = 1 + seed % 3;
		wire_open(w, &cfg, seed & 1);
		wire_handshake(w, opts_plain, sizeof(opts_plain), 0u - 100000 * (seed % 2));
		w->no_read = true;
		begin = w->seq;
		k.edge = w->conn->rcv_adv - begin;
		for (uint32_t i = 0; i < 20000; i++) {
			if (below(&k, 3) > 0)
				send_some(w, &k, begin);
			else
				read_some(w, &k);
			see(w, &k, begin);
			if (below(&k, 500) != 0)
				continue;
			/* Somebody else takes the memory, or gives it back. */
			if (hog) {
				rx_buf_put(&w->tcp->rx_mem, hog);
				hog = NULL;
				continue;
			}
			hog = rx_buf_get(&w->tcp->rx_mem);
			if (hog)
				rx_buf_reserve(&w->tcp->rx_mem, hog, 0, 10000 + below(&k, 50000));
		}
		assert_true(k.read > 1000000);
		if (hog)
			rx_buf_put(&w->tcp->rx_mem, hog);
		wire_close(w);
	}
}

/* Everything is read at last, by an owner that takes one piece a turn, and no memory is left. */
static void test_pieces(void **state)
{
	struct wire *w = &wire;
	struct tcp_usage use;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		wire_open(w, NULL, v6);
		wire_handshake(w, opts_all, sizeof(opts_all), 0u - 700);
		w->no_read = true;
		for (uint32_t i = 0; i < 50; i++) {
			struct wire_seg s = {.seq = w->seq + 1300 * i,
			                     .ack = w->ack,
			                     .wnd = 65535,
			                     .flags = TH_ACK,
			                     .opts_len = TCP_TS_OPT_LEN,
			                     .data = rig_text + 1300 * i,
			                     .len = 1300};

			put_u32(s.opts, 0x0101080a);
			put_u32(s.opts + 4, 6);
			wire_send(w, &s);
		}
		wire_drain(w);
		assert_int_equal(tcp_rx_len(w->conn), 65000);
		tcp_usage(w->tcp, &use);
		assert_int_equal(use.rx_blocks, 16);
		/* A head across pieces in one. */
		tcp_rx_consume(w->tcp, w->conn, 4000);
		struct span head = tcp_rx_whole(w->tcp, w->conn, 8192);
		assert_int_equal(head.len, 8192);
		assert_memory_equal(head.ptr, rig_text + 4000, 8192);
		assert_int_equal(tcp_rx(w->conn).len, 96);
		/* No longer than there is. */
		assert_int_equal(tcp_rx_whole(w->tcp, w->conn, 1 << 20).len, 61000);
		w->no_read = false;
		wire_run(w);
		assert_int_equal(w->rx_len, 61000);
		assert_memory_equal(w->rx, rig_text + 4000, 61000);
		tcp_usage(w->tcp, &use);
		assert_int_equal(use.rx_blocks, 0);
		assert_int_equal(use.rx_bufs, 0);
		wire_close(w);
	}
}

/* Segments of 100 bytes in one burst, from the first of each character's distance to 'a'; returns
 * how many ACKs there were, and in last what the last one was for. */
static uint32_t burst_acks(struct wire *w, const char *places, uint32_t *last)
{
	struct wire_seg segs[8] = {0};
	struct wire_seg got;
	uint32_t acks = 0;
	uint32_t n = 0;

	for (const char *p = places; *p != '\0'; p++)
		segs[n++] = (struct wire_seg){.seq = w->seq + 100 * (uint32_t)(*p - 'a'),
		                              .ack = w->ack,
		                              .wnd = 65535,
		                              .flags = TH_ACK,
		                              .data = rig_text,
		                              .len = 100};
	wire_burst(w, segs, n);
	for (; wire_take(w, &got); acks++)
		*last = (got.ack - w->seq) / 100;
	return acks;
}

/* RFC 5681 4.2: a burst that fills a gap is not answered by one ACK alone, which may be lost; one
 * where nothing is missing is. */
static void test_acks_of_a_burst(void **state)
{
	static const struct {
		const char *places;
		uint32_t acks;
		uint32_t last;
	} steps[] = {
	        {"abcd", 1, 4},      /* nothing is missing */
	        {"f", 1, 4},         /* e is */
	        {"eghi", 4, 9},      /* filled, and what follows */
	        {"kl", 2, 9},        /* out of order */
	        {"jmnopqrs", 8, 19}, /* the fill and seven */
	        {"tuv", 1, 22},      /* nothing is missing any more */
	        {"wxyz", 1, 26},
	};
	struct wire *w = &wire;
	uint32_t last = 0;

	(void)state;
	for (int wrap = 0; wrap < 2; wrap++) {
		wire_open(w, NULL, wrap == 1);
		wire_handshake(w, opts_plain, sizeof(opts_plain), wrap ? 0u - 450 : 1);
		for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			assert_int_equal(burst_acks(w, steps[i].places, &last), steps[i].acks);
			assert_int_equal(last, steps[i].last);
		}
		wire_close(w);
	}
}

/* An ACK between two SYN-ACKs offers more than a SYN can; the second SYN-ACK does not take it back.
 */
static void test_syn_again(void **state)
{
	static const uint32_t isns[] = {9, 0xfffffffeu, 0xffffffffu - 70000};

	(void)state;
	for (uint32_t i = 0; i < 2 * ARRAY_LEN(isns); i++) {
		struct wire *w = &wire;
		struct wire_seg syn = {.seq = isns[i / 2], .wnd = 65535, .flags = TH_SYN};
		struct tcp_config cfg;
		struct wire_seg got;
		uint32_t edge;

		tcp_config_small(&cfg);
		cfg.rx_buf_bytes = 131072;
		cfg.rx_window_bytes = 131072;
		wire_open(w, &cfg, i & 1);
		memcpy(syn.opts, opts_plain, sizeof(opts_plain));
		syn.opts_len = sizeof(opts_plain);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		w->ack = got.seq + 1;
		w->seq = got.ack;
		/* The peer's keep-alive. */
		wire_flags(w, TH_ACK, w->seq - 1, w->ack);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_ACK);
		edge = got.ack + (got.wnd << w->tcp->rcv_wscale);
		assert_int_equal(edge - w->seq, 131072);
		wire_advance(w, 1500);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_SYN | TH_ACK);
		/* What lies at the end of the offer is taken. */
		wire_data(w, edge - 1000, rig_text, 1000);
		assert_int_equal(counter_read(&w->ctr, CTR_drop_tcp_window), 0);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack + (got.wnd << w->tcp->rcv_wscale), edge);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_scale),     cmocka_unit_test(test_grows),
	        cmocka_unit_test(test_stays),     cmocka_unit_test(test_edge_never_back),
	        cmocka_unit_test(test_pieces),    cmocka_unit_test(test_acks_of_a_burst),
	        cmocka_unit_test(test_syn_again),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
