/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Packets of several segments that the port cuts: when there is one, how long it is, and what a
 * peer sees of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

enum { MSS = 1440, LARGE = 64, IN_ONE = 10 /* segments */ };

static const uint8_t opts_mss[] = {2, 4, MSS >> 8, MSS & 255};
static struct wire wire;
static struct wire *const w = &wire;
static struct wire_seg got;
static char text[64 * MSS];

static uint64_t count(enum counter_id id)
{
	return counter_read(&w->ctr, id);
}

static void open_mss(uint32_t mss, bool v6, const struct tcp_config *cfg)
{
	uint8_t opts[4] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss};

	for (uint32_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 31 + i / 256);
	wire_open(w, cfg, v6);
	wire_handshake(w, opts, sizeof(opts), 5);
	assert_int_equal(w->conn->mss, mss);
}

/* Takes segments of this run of text, full ones and a rest; PSH and FIN on the last alone when it
 * is the end. Returns how many. */
static uint32_t take_run(uint32_t lo, uint32_t hi, uint8_t last_flags)
{
	uint32_t mss = w->conn->mss;
	uint32_t n = 0;

	for (; lo < hi; lo += got.len, n++) {
		uint32_t len = min_u32(mss, hi - lo);

		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq - w->ack, lo);
		assert_int_equal(got.len, len);
		assert_memory_equal(got.payload, text + lo, len);
		assert_int_equal(got.flags, TH_ACK | (lo + len == hi ? last_flags : 0));
	}
	return n;
}

/* What may leave, in what is one packet to the port. */
static const struct {
	const char *what;
	uint32_t mss;
	uint32_t write;  /* bytes */
	uint32_t cwnd;   /* bytes */
	uint32_t window; /* bytes */
	uint32_t sent;   /* bytes, at once */
	uint32_t supers;
	uint32_t segs; /* in them */
} lengths[] = {
        {"one segment is none", MSS, MSS, 65535, 65535, MSS, 0, 0},
        {"a byte more is two", MSS, MSS + 1, 65535, 65535, MSS + 1, 1, 2},
        {"with the rest", MSS, 5 * MSS + 7, 65535, 65535, 5 * MSS + 7, 1, 6},
        {"a buffer full", MSS, IN_ONE *MSS, 65535, 65535, IN_ONE *MSS, 1, IN_ONE},
        {"and the rest alone", MSS, IN_ONE *MSS + 1400, 65535, 65535, IN_ONE *MSS + 1400, 1,
         IN_ONE},
        {"and the rest together", MSS, 12 * MSS, 65535, 65535, 12 * MSS, 2, 12},
        {"the congestion window", MSS, 20 * MSS, 3 * MSS + 9, 65535, 3 * MSS, 1, 3},
        {"has room for one", MSS, 20 * MSS, 2 * MSS - 1, 65535, MSS, 0, 0},
        {"is less than that", MSS, 20 * MSS, MSS / 2, 65535, MSS, 0, 0},
        {"the peer's window", MSS, 20 * MSS, 65535, 4 * MSS + 9, 4 * MSS, 1, 4},
        {"has room for one", MSS, 20 * MSS, 65535, 2 * MSS - 1, MSS, 0, 0},
        {"ends with the data", MSS, 2 * MSS + 5, 65535, 2 * MSS + 5, 2 * MSS + 5, 1, 3},
        {"the least", 256, 256 * 40, 65535, 65535, 256 * 40, 1, 40},
        {"too small to be cut", 255, 255 * 40, 65535, 65535, 255 * 40, 0, 0},
};

static void test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(lengths); i++) {
		struct wire_seg ack = {.flags = TH_ACK, .wnd = lengths[i / 2].window};
		uint32_t n = (lengths[i / 2].sent + lengths[i / 2].mss - 1) / lengths[i / 2].mss;
		bool all = lengths[i / 2].sent == lengths[i / 2].write;

		open_mss(lengths[i / 2].mss, i % 2, NULL);
		w->vlan = i % 4 < 2 ? 0 : 0x123;
		/* Not first after silence, and half of the largest window is not reached. */
		ack.seq = w->seq;
		ack.ack = w->ack;
		wire_send(w, &ack);
		w->conn->snd_wnd_max = UINT32_MAX;
		w->conn->cwnd_bytes = lengths[i / 2].cwnd;
		w->conn->ssthresh_bytes = 1 << 20;
		w->conn->rtx_ns = w->now_ns + NS_PER_S;
		wire_write(w, text, lengths[i / 2].write);
		assert_int_equal(take_run(0, lengths[i / 2].sent, all ? TH_PSH : 0), n);
		assert_false(wire_take(w, &got));
		if (count(CTR_tcp_super) != lengths[i / 2].supers ||
		    count(CTR_tcp_super_segs) != lengths[i / 2].segs)
			fail_msg("%s: %lu packets of %lu segments", lengths[i / 2].what,
			         count(CTR_tcp_super), count(CTR_tcp_super_segs));
		assert_int_equal(nic_sim_large_used(w->nic), 0);
		wire_close(w);
	}
}

/* FIN, and the states that it brings about. */
static void test_fin(void **state)
{
	(void)state;
	open_mss(MSS, false, NULL);
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, text, 4 * MSS), ST_OK);
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	assert_int_equal(take_run(0, 4 * MSS, TH_PSH | TH_FIN), 4);
	assert_int_equal(count(CTR_tcp_super), 1);
	assert_int_equal(w->conn->state, TCP_FIN_WAIT_1);
	assert_int_equal(w->conn->snd_nxt, w->ack + 4 * MSS + 1);
	wire_flags(w, TH_ACK, w->seq, w->ack + 4 * MSS + 1);
	assert_int_equal(w->conn->state, TCP_FIN_WAIT_2);
	wire_close(w);
}

/* Each has the IP header's ECN field; CWR is on the first segment after the reduction, and that is
 * none of several (RFC 3168 6.1.2). */
static void test_ecn(void **state)
{
	uint32_t segs = 0;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct wire_seg syn = {.seq = 5, .wnd = 65535, .opts_len = sizeof(opts_mss)};

		wire_open(w, NULL, v6);
		syn.flags = TH_SYN | TH_ECN_SETUP;
		memcpy(syn.opts, opts_mss, sizeof(opts_mss));
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		w->seq = 6;
		w->ack = got.seq + 1;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		wire_write(w, text, 6 * MSS);
		for (segs = 0; wire_take(w, &got); segs++)
			assert_int_equal(got.ecn, 2);
		assert_int_equal(segs, 6);
		assert_int_equal(count(CTR_tcp_super_segs), 6);
		wire_flags(w, TH_ACK | TH_ECE, w->seq, w->ack + 2 * MSS);
		w->conn->cwnd_bytes = 20 * MSS;
		wire_write(w, text, 6 * MSS);
		for (segs = 0; wire_take(w, &got); segs++)
			assert_int_equal((got.flags & TH_CWR) != 0, segs == 0);
		assert_int_equal(segs, 6);
		assert_int_equal(count(CTR_tcp_super_segs), 6 + 5);
		wire_close(w);
	}
}

/* Without a large buffer the segments leave one by one, and the counter says so. */
static void test_no_buffer(void **state)
{
	struct pkt held[LARGE];

	(void)state;
	open_mss(MSS, false, NULL);
	for (uint32_t i = 0; i < LARGE; i++)
		assert_true(nic_pkt_alloc_large(w->nic, &held[i]));
	assert_false(nic_pkt_alloc_large(w->nic, &(struct pkt){0}));
	wire_write(w, text, 5 * MSS);
	assert_int_equal(take_run(0, 5 * MSS, TH_PSH), 5);
	assert_int_equal(count(CTR_tcp_super), 0);
	assert_int_equal(count(CTR_shed_large), 4); /* the last one was no candidate */
	nic_pkt_free(w->nic, held, LARGE);
	assert_int_equal(nic_sim_large_used(w->nic), 0);
	wire_close(w);
}

/* What is sent again, and new data while something is lost, has times of its own: one by one. */
static void test_lost(void **state)
{
	(void)state;
	open_mss(MSS, false, NULL);
	wire_write(w, text, 8 * MSS);
	assert_int_equal(take_run(0, 8 * MSS, TH_PSH), 8);
	assert_int_equal(count(CTR_tcp_super), 1);
	for (uint32_t i = 0; i < 4; i++)
		wire_flags(w, TH_ACK, w->seq, w->ack);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	assert_int_equal(take_run(0, MSS, 0), 1);
	w->conn->cwnd_bytes = 30 * MSS;
	wire_write(w, text + 8 * MSS, 8 * MSS);
	assert_int_equal(take_run(8 * MSS, 16 * MSS, TH_PSH), 8);
	assert_int_equal(count(CTR_tcp_super), 1);
	wire_flags(w, TH_ACK, w->seq, w->ack + 16 * MSS);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	wire_close(w);
}

/* All of them lost: after the timeout they are ordinary segments. */
static void test_timeout(void **state)
{
	(void)state;
	open_mss(MSS, false, NULL);
	wire_write(w, text, 8 * MSS);
	wire_drain(w);
	wire_advance(w, 10000);
	assert_true(count(CTR_tcp_rto) >= 1);
	wire_drain(w);
	wire_flags(w, TH_ACK, w->seq, w->ack + 8 * MSS);
	assert_int_equal(count(CTR_tcp_super), 1);
	assert_true(count(CTR_tcp_rexmit) >= 1);
	wire_close(w);
}

/* The round trip is that of the first of the segments, without timestamps to tell. */
static void test_round_trip(void **state)
{
	(void)state;
	open_mss(MSS, false, NULL);
	w->conn->srtt_us = 0;
	wire_write(w, text, 8 * MSS);
	assert_int_equal(count(CTR_tcp_super), 1);
	wire_drain(w);
	wire_advance(w, 20);
	wire_flags(w, TH_ACK, w->seq, w->ack + MSS);
	assert_in_range(w->conn->srtt_us, 20000, 22000);
	wire_close(w);
}

/* A large window after silence: the first segment makes it smaller before any other leaves. */
static void test_restart(void **state)
{
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.pacing = TCP_PACING_INITIAL;
	open_mss(536, false, &cfg);
	w->conn->srtt_us = 100000;
	w->conn->rto_us = 300000;
	w->conn->cwnd_bytes = 40 * 536;
	w->conn->ssthresh_bytes = 36 * 536;
	wire_advance(w, 5000);
	wire_write(w, text, 40 * 536);
	assert_int_equal(count(CTR_tcp_idle_restart), 1);
	assert_int_equal(w->conn->cwnd_bytes, 10 * 536);
	assert_int_equal(take_run(0, 10 * 536, 0), 10);
	assert_false(wire_take(w, &got));
	assert_int_equal(count(CTR_tcp_super_segs), 9);
	wire_close(w);
}

/* A port that cuts IPv4 alone. */
static void test_v4_only(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct nic_caps *caps;

		open_mss(MSS, v6, NULL);
		caps = (struct nic_caps *)net_caps(w->net);
		assert_true(caps->tx_tso_v6);
		caps->tx_tso_v6 = false;
		wire_write(w, text, 5 * MSS);
		assert_int_equal(take_run(0, 5 * MSS, TH_PSH), 5);
		assert_int_equal(count(CTR_tcp_super), !v6);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_fin),
	        cmocka_unit_test(test_ecn),        cmocka_unit_test(test_no_buffer),
	        cmocka_unit_test(test_lost),       cmocka_unit_test(test_timeout),
	        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_restart),
	        cmocka_unit_test(test_v4_only),
	};

	setenv("SLUICE_TEST_LARGE_BUFFERS", "64", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
