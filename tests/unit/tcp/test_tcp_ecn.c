/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ECN (RFC 3168). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/cc_rig.h"

enum {
	SETUP = TH_ECE | TH_CWR,
	ECT_1 = 1,
	ECT_0 = 2,
	CE = 3,
	MSS = 1460,
	TOTAL = 2 * 1000 * 1000,
};

static struct wire wire;
static struct wire *const w = &wire;
static struct wire_seg got;
static char text[60000];

static void open_as(enum tcp_ecn ecn, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.ecn = ecn;
	wire_open(w, &cfg, v6);
}

static uint8_t syn(uint8_t flags)
{
	static const uint8_t mss[] = {2, 4, MSS >> 8, MSS & 255};
	struct wire_seg s = {.seq = 5, .wnd = 65535, .flags = TH_SYN | flags, .opts_len = 4};

	memcpy(s.opts, mss, 4);
	wire_send(w, &s);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ecn, 0); /* 6.1.1 */
	return got.flags;
}

static void shake(uint8_t flags)
{
	syn(flags);
	w->seq = 6;
	w->ack = got.seq + 1;
	wire_flags(w, TH_ACK, w->seq, w->ack);
	assert_int_equal(w->conn->state, TCP_ESTABLISHED);
	wire_drain(w);
}

/* 6.1.1 */
static const struct {
	enum tcp_ecn ecn;
	uint8_t syn, syn_ack;
} passives[] = {
        {TCP_ECN_OFF, SETUP, 0}, {TCP_ECN_ACCEPT, SETUP, TH_ECE}, {TCP_ECN_REQUEST, SETUP, TH_ECE},
        {TCP_ECN_ACCEPT, 0, 0},  {TCP_ECN_ACCEPT, TH_ECE, 0},     {TCP_ECN_ACCEPT, TH_CWR, 0},
        {TCP_ECN_REQUEST, 0, 0}, {TCP_ECN_REQUEST, TH_ECE, 0},
};

static void test_passive(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(passives); i++) {
		bool on = passives[i / 2].syn_ack != 0;

		open_as(passives[i / 2].ecn, i % 2);
		shake(passives[i / 2].syn);
		assert_int_equal((w->conn->flags & CF_ECN) != 0, on);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_conns), on);
		wire_write(w, text, 100);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ecn, on ? ECT_0 : 0);
		assert_int_equal(got.flags, TH_ACK | TH_PSH);
		wire_close(w);
		open_as(passives[i / 2].ecn, i % 2);
		assert_int_equal(syn(passives[i / 2].syn),
		                 TH_SYN | TH_ACK | passives[i / 2].syn_ack);
		/* The SYN-ACK sent again says the same. */
		wire_advance(w, 1010);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_SYN | TH_ACK | passives[i / 2].syn_ack);
		assert_int_equal(got.ecn, 0);
		wire_close(w);
	}
}

/* The peer fell back to a SYN that does not ask: no ECN (6.1.1.1). */
static void test_syn_again(void **state)
{
	(void)state;
	open_as(TCP_ECN_ACCEPT, false);
	assert_int_equal(syn(SETUP), TH_SYN | TH_ACK | TH_ECE);
	assert_int_equal(syn(SETUP), TH_SYN | TH_ACK | TH_ECE);
	assert_int_equal(syn(0), TH_SYN | TH_ACK);
	w->ack = got.seq + 1;
	wire_flags(w, TH_ACK, 6, w->ack);
	assert_false(w->conn->flags & CF_ECN);
	wire_close(w);
}

static const struct {
	enum tcp_ecn ecn;
	uint32_t wait_ms; /* before the answer */
	uint8_t asked, answer;
	bool on;
} actives[] = {
        {TCP_ECN_REQUEST, 0, SETUP, TH_ACK | TH_ECE, true},
        {TCP_ECN_REQUEST, 0, SETUP, TH_ACK, false},
        {TCP_ECN_REQUEST, 0, SETUP, TH_ACK | SETUP, false}, /* only reflects */
        {TCP_ECN_REQUEST, 0, SETUP, TH_ACK | TH_CWR, false},
        {TCP_ECN_REQUEST, 1010, 0, TH_ACK | TH_ECE, true}, /* 6.1.1.1; the first SYN's answer */
        {TCP_ECN_REQUEST, 1010, 0, TH_ACK, false},
        {TCP_ECN_ACCEPT, 1010, 0, TH_ACK | TH_ECE, false},
        {TCP_ECN_REQUEST, 0, SETUP, SETUP, true}, /* both open at once */
        {TCP_ECN_REQUEST, 0, SETUP, 0, false},
        {TCP_ECN_ACCEPT, 0, 0, TH_ACK | TH_ECE, false},
        {TCP_ECN_ACCEPT, 0, 0, TH_ACK, false},
        {TCP_ECN_OFF, 0, 0, TH_ACK | TH_ECE, false},
};

static void test_active(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(actives); i++) {
		struct wire_seg s = {.seq = 5, .wnd = 65535, .sport = 80, .dport = 4000};
		struct net_path path = {.remote_mac = {2, 0, 0, 0, 0, 9}};
		struct conn *c;

		open_as(actives[i / 2].ecn, i % 2);
		path.local = w->local;
		path.remote = w->remote;
		c = tcp_connect(w->tcp, &path, 4000, 80, w->now_ns);
		assert_non_null(c);
		wire_advance(w, actives[i / 2].wait_ms);
		while (wire_take(w, &got))
			assert_int_equal(got.ecn, 0);
		assert_int_equal(got.flags, TH_SYN | actives[i / 2].asked);
		s.ack = got.seq + 1;
		s.flags = TH_SYN | actives[i / 2].answer;
		wire_send(w, &s);
		assert_int_equal((c->flags & CF_ECN) != 0, actives[i / 2].on);
		assert_true(wire_take(w, &got));
		if (!(actives[i / 2].answer & TH_ACK))
			assert_int_equal(got.flags,
			                 TH_SYN | TH_ACK | (actives[i / 2].on ? TH_ECE : 0));
		wire_close(w);
	}
}

/* 6.1.4 to 6.1.6: no mark on anything but new data. */
static void test_what_is_capable(void **state)
{
	struct wire_seg shut = {.wnd = 0, .flags = TH_ACK};
	uint32_t mss;

	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		open_as(TCP_ECN_ACCEPT, v6);
		shake(SETUP);
		mss = w->conn->mss;
		wire_write(w, text, 3 * mss);
		for (uint32_t i = 0; i < 3; i++) {
			assert_true(wire_take(w, &got));
			assert_int_equal(got.ecn, ECT_0);
			assert_int_equal(got.flags & SETUP, 0);
		}
		/* Again after a timeout. */
		wire_advance(w, 1010);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.ecn, 0);
		assert_int_equal(got.flags & SETUP, 0);
		w->ack += 3 * mss;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		wire_drain(w);
		/* 6.1.2: the first new data after the reduction, for whatever reason it was. */
		wire_write(w, text, 10);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ecn, ECT_0);
		assert_int_equal(got.flags, TH_ACK | TH_PSH | TH_CWR);
		w->ack += 10;
		/* A pure ACK. */
		wire_data(w, w->seq, "x", 1);
		w->seq++;
		assert_true(wire_take(w, &got));
		assert_int_equal(got.len, 0);
		assert_int_equal(got.ecn, 0);
		/* A probe of a closed window. */
		shut.seq = w->seq;
		shut.ack = w->ack;
		wire_send(w, &shut);
		wire_write(w, text, 10);
		wire_advance(w, 1010);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.len, 1);
		assert_int_equal(got.ecn, 0);
		wire_close(w);
	}
}

static uint8_t ack_of(uint8_t flags, uint8_t ecn, uint32_t seq)
{
	struct wire_seg s = {.seq = seq, .ack = w->ack, .wnd = 65535, .flags = TH_ACK | flags};

	s.ecn = ecn;
	s.data = "x";
	s.len = 1;
	wire_send(w, &s);
	assert_true(wire_take(w, &got));
	assert_false(wire_take(w, &(struct wire_seg){0}));
	assert_int_equal(got.ecn, 0);
	return got.flags;
}

/* 6.1.3 */
static void test_receiver(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		open_as(TCP_ECN_ACCEPT, v6);
		shake(SETUP);
		w->conn->quick = 0;
		w->conn->quick = 100;
		assert_int_equal(ack_of(0, ECT_0, w->seq++), TH_ACK);
		assert_int_equal(ack_of(0, ECT_1, w->seq++), TH_ACK);
		/* A mark, until the peer says that it heard of it. */
		assert_int_equal(ack_of(0, CE, w->seq++), TH_ACK | TH_ECE);
		assert_int_equal(ack_of(0, ECT_0, w->seq++), TH_ACK | TH_ECE);
		assert_int_equal(ack_of(0, 0, w->seq++), TH_ACK | TH_ECE);
		assert_int_equal(ack_of(TH_CWR, ECT_0, w->seq++), TH_ACK);
		assert_int_equal(ack_of(0, ECT_0, w->seq++), TH_ACK);
		/* A new mark on the segment that says so. */
		assert_int_equal(ack_of(0, CE, w->seq++), TH_ACK | TH_ECE);
		assert_int_equal(ack_of(TH_CWR, CE, w->seq++), TH_ACK | TH_ECE);
		assert_int_equal(ack_of(TH_CWR, 0, w->seq++), TH_ACK);
		/* Beyond the window, and long ago. */
		assert_int_equal(ack_of(0, CE, w->seq + (1 << 20)), TH_ACK);
		assert_int_equal(ack_of(0, CE, w->seq - 3), TH_ACK);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_marked_in), 3);
		/* A mark is told of at once. */
		w->conn->quick = 0;
		assert_int_equal(ack_of(0, CE, w->seq++), TH_ACK | TH_ECE);
		wire_close(w);
		/* Not agreed on. */
		open_as(TCP_ECN_ACCEPT, v6);
		shake(0);
		assert_int_equal(ack_of(0, CE, w->seq++), TH_ACK);
		assert_int_equal(ack_of(TH_ECE | TH_CWR, CE, w->seq++), TH_ACK);
		assert_int_equal(w->rx_len, 2);
		wire_close(w);
	}
}

static uint32_t take_all(uint32_t *cwr)
{
	uint32_t n = 0;

	*cwr = 0;
	while (wire_take(w, &got)) {
		n += got.len;
		*cwr += (got.flags & TH_CWR) != 0;
		assert_int_equal(got.flags & TH_ECE, 0);
	}
	return n;
}

/* 6.1.2: one reduction a window, CWR with the first new data after it. */
static void test_sender(void **state)
{
	uint32_t first;
	uint32_t cwr;

	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		open_as(TCP_ECN_ACCEPT, v6);
		shake(SETUP);
		wire_write(w, text, sizeof(text));
		first = take_all(&cwr);
		assert_int_equal(first, w->conn->cwnd_bytes);
		assert_int_equal(cwr, 0);
		for (uint32_t i = 0; i < 5; i++) {
			w->ack += first / 10;
			wire_flags(w, TH_ACK | TH_ECE, w->seq, w->ack);
		}
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_reduced), 1);
		assert_int_equal(w->conn->cwnd_bytes, first / 10 * 7);
		assert_int_equal(w->conn->ssthresh_bytes, first / 10 * 7);
		/* 5 left the network, 3 were too many. */
		assert_int_equal(take_all(&cwr), first / 10 * 2);
		assert_int_equal(cwr, 1);
		/* The end of that window; no growth before it. */
		w->ack += first / 10 * 5;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_in_range(w->conn->cwnd_bytes, first / 10 * 7, first / 10 * 8);
		take_all(&cwr);
		assert_int_equal(cwr, 0);
		wire_flags(w, TH_ACK | TH_ECE, w->seq, w->ack);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_reduced), 2);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_rexmit), 0);
		wire_close(w);
		/* Not agreed on, or nothing in flight. */
		for (uint32_t i = 0; i < 2; i++) {
			open_as(TCP_ECN_ACCEPT, v6);
			shake(i ? SETUP : 0);
			if (i == 0)
				wire_write(w, text, 5000);
			wire_flags(w, TH_ACK | TH_ECE, w->seq, w->ack);
			assert_int_equal(w->conn->cwnd_bytes, first);
			assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_reduced), 0);
			wire_close(w);
		}
	}
}

/* 6.1.2: a loss has reduced the window of this round trip already. */
static void test_loss_and_mark(void **state)
{
	uint32_t cwr;
	uint32_t ssthresh;

	(void)state;
	open_as(TCP_ECN_ACCEPT, false);
	shake(SETUP);
	wire_write(w, text, sizeof(text));
	take_all(&cwr);
	wire_flags(w, TH_ACK, w->seq, w->ack + 2 * MSS);
	w->ack += 2 * MSS;
	for (uint32_t i = 0; i < 3; i++)
		wire_flags(w, TH_ACK, w->seq, w->ack);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	ssthresh = w->conn->ssthresh_bytes;
	for (uint32_t i = 0; i < 3; i++)
		wire_flags(w, TH_ACK | TH_ECE, w->seq, w->ack);
	assert_int_equal(w->conn->ssthresh_bytes, ssthresh);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_ecn_reduced), 0);
	wire_close(w);
}

static struct rig net;

static bool got_all(struct rig *r, void *arg)
{
	const struct app *app = arg;

	(void)r;
	return app->rx_done >= TOTAL;
}

/* A router that marks above 20,000 bytes: the queue stays short, nothing is lost. */
static void test_marking_queue(void **state)
{
	struct rig_config cfg = {.delay_ns = 20 * NS_PER_MS};
	struct app model = {.keep_open = true};
	struct cc_link link;
	struct app *app;
	uint64_t begin;

	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		cfg.v6 = v6;
		tcp_config_small(&cfg.tcp[0]);
		tcp_config_small(&cfg.tcp[1]);
		cfg.tcp[1].ecn = TCP_ECN_REQUEST;
		cfg.tcp[1].rx_buf_bytes = 1 << 20;
		cfg.tcp[1].rx_bufs = 4;
		rig_open(&net, &cfg);
		link = (struct cc_link){
		        .rate_bps = 8000000, .queue_bytes = 200000, .mark_bytes = 20000};
		cc_link_put(&net, &link);
		net.host[0].model = (struct app){.tx_total = TOTAL, .keep_open = true};
		app = rig_connect(&net, 1, 4000, &model);
		begin = net.now_ns;
		assert_true(rig_run(&net, got_all, app, 20000));
		print_message("marks %u, reductions %u, peak %u bytes, %u ms\n", link.marks,
		              (unsigned)counter_read(&net.host[0].ctr, CTR_tcp_ecn_reduced),
		              link.peak_bytes, (unsigned)((net.now_ns - begin) / NS_PER_MS));
		assert_int_equal(link.drops, 0);
		assert_int_equal(counter_read(&net.host[0].ctr, CTR_tcp_rexmit), 0);
		assert_true(link.marks > 0);
		assert_int_equal(counter_read(&net.host[1].ctr, CTR_tcp_ecn_marked_in), link.marks);
		assert_true(counter_read(&net.host[0].ctr, CTR_tcp_ecn_reduced) > 1);
		assert_true(link.peak_bytes < 90000);
		/* 2.1 s at the least */
		assert_true(net.now_ns - begin < 2500 * NS_PER_MS);
		rig_free(&net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_passive),       cmocka_unit_test(test_syn_again),
	        cmocka_unit_test(test_active),        cmocka_unit_test(test_what_is_capable),
	        cmocka_unit_test(test_receiver),      cmocka_unit_test(test_sender),
	        cmocka_unit_test(test_loss_and_mark), cmocka_unit_test(test_marking_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
