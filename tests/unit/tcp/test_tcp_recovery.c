/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The states of recovery: limited transmit (RFC 3042), what is sent next (RFC 6675 4), NewReno (RFC
 * 6582), and undoing (RFC 2883, RFC 3522). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static struct loss_rig rig;

/* RFC 3042: each of the first two duplicate ACKs sends a segment not sent before, if there is one
 * and the peer's window has room; the congestion window stays. */
static void test_limited_transmit(void **state)
{
	static const struct {
		struct loss_rig_opts o;
		bool closed; /* the peer's window is full */
		uint32_t want;
	} cases[] = {
	        {{.segments = 5, .queued = 10}, false, 2},
	        {{.segments = 5, .queued = 10, .no_sack = true}, false, 2},
	        {{.segments = 5, .queued = 10, .v6 = true, .below = 2000}, false, 2},
	        {{.segments = 5, .queued = 1}, false, 1},
	        {{.segments = 5, .queued = 1, .no_sack = true}, false, 1},
	        {{.segments = 5}, false, 0},
	        {{.segments = 5, .queued = 10}, true, 0},
	        {{.segments = 5, .queued = 10, .no_sack = true}, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loss_rig *r = &rig;
		uint32_t cwnd;
		uint32_t sent = 0;

		lr_open(r, &cases[i].o);
		if (cases[i].closed)
			r->w.conn->snd_wnd = 5 * r->mss;
		r->wnd = r->w.conn->snd_wnd >> LR_WSCALE;
		r->w.conn->snd_wnd = r->wnd << LR_WSCALE;
		cwnd = r->w.conn->cwnd_bytes;
		for (uint32_t k = 0; k < 2; k++) {
			if (cases[i].o.no_sack)
				lr_ack(r, 0, 0, NULL);
			else
				lr_sack(r, 0, 1, 2 + k);
			if (sent < cases[i].want)
				lr_sent(r, 5 + sent++);
			lr_silent(r, 0);
			assert_int_equal(r->w.conn->cwnd_bytes, cwnd);
			assert_int_equal(r->w.conn->loss, LOSS_NONE);
		}
		/* The third is the loss. */
		if (cases[i].o.no_sack)
			lr_ack(r, 0, 0, NULL);
		else
			lr_sack(r, 0, 1, 4);
		lr_sent(r, 0);
		assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
		lr_close(r);
	}
}

/* Without SACK, duplicates that are no loss (RFC 6582 3.2 step 2) send no more than two. */
static void test_limited_without_end(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10, .queued = 40, .no_sack = true});
	r->w.conn->recover = r->w.conn->snd_nxt; /* as after a timeout */
	for (uint32_t i = 0; i < 8; i++)
		lr_ack(r, 0, 0, NULL);
	assert_int_equal(r->w.conn->loss, LOSS_NONE);
	assert_int_equal(lr_count(r), 2);
	lr_close(r);
}

/* RFC 5681 2: these are not duplicates. */
static void test_no_duplicates(void **state)
{
	struct loss_rig *r = &rig;
	struct wire *w = &r->w;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10, .no_sack = true});
	for (uint32_t i = 0; i < 4; i++) {
		r->wnd--; /* a window update */
		lr_ack(r, 0, 0, NULL);
	}
	wire_data(w, w->seq, "abcd", 4);
	wire_data(w, w->seq + 4, "abcd", 4);
	wire_data(w, w->seq + 8, "abcd", 4);
	assert_int_equal(w->conn->dupacks, 0);
	lr_close(r);
	/* With SACK, those that say nothing new (RFC 6675 2). */
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	for (uint32_t i = 0; i < 5; i++)
		lr_ack(r, 0, 0, NULL);
	for (uint32_t i = 0; i < 5; i++)
		lr_sack(r, 0, 5, 6);
	assert_int_equal(w->conn->dupacks, 1);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	lr_close(r);
}

/* RFC 6582 3.2: one hole an ACK, the timer restarted, and no second reduction before all that was
 * in flight is acknowledged. */
static void test_newreno(void **state)
{
	static const uint32_t holes[] = {0, 3, 4, 9};
	struct loss_rig *r = &rig;
	uint32_t ssthresh;

	(void)state;
	for (int wrap = 0; wrap < 2; wrap++) {
		lr_open(r, &(struct loss_rig_opts){.segments = 12,
		                                   .no_sack = true,
		                                   .v6 = wrap,
		                                   .below = wrap ? 5000 : 0});
		for (uint32_t i = 0; i < 8; i++)
			lr_ack(r, 0, 0, NULL);
		lr_sent(r, 0);
		lr_silent(r, 0);
		ssthresh = r->w.conn->ssthresh_bytes;
		for (size_t i = 1; i < ARRAY_LEN(holes); i++) {
			lr_silent(r, 150); /* nearly a timeout, each time anew */
			lr_ack(r, holes[i], 0, NULL);
			lr_sent(r, holes[i]);
			lr_silent(r, 0);
			assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
			assert_int_equal(r->w.conn->ssthresh_bytes, ssthresh);
		}
		lr_ack(r, 12, 0, NULL);
		assert_int_equal(r->w.conn->loss, LOSS_NONE);
		assert_int_equal(lr_counter(r, CTR_tcp_rto), 0);
		lr_close(r);
	}
}

/* RFC 6675 4, NextSeg: first what is lost, then new data, then the end of it all, once, when it
 * could have been SACKed by itself. */
static void test_next_segment(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 20, .queued = 1});
	lr_sack(r, 0, 2, 12); /* 0 and 1 are missing, 12 to 19 not heard of */
	lr_sent(r, 0);
	lr_sent(r, 1);
	lr_sent(r, 20);
	lr_silent(r, LR_TRIP_MS);
	lr_sack(r, 1, 2, 12);
	assert_true(r->w.conn->loss == LOSS_RECOVERY);
	/* The first arrived, and 12 to 19 were sent before it (RFC 8985). */
	for (uint32_t i = 12; i < 14; i++)
		lr_sent(r, i);
	lr_close(r);

	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_sack(r, 0, 1, 4);
	lr_sent(r, 0);
	lr_sack(r, 0, 1, 7);
	lr_silent(r, LR_TRIP_MS + 5); /* and the variance */
	lr_sack(r, 0, 1, 8);
	lr_sent(r, 9);
	lr_sack(r, 0, 1, 9);
	lr_silent(r, 5); /* once */
	lr_close(r);
}

/* A recovery after the recovery: what is lost behind its end is the next one, with a reduction of
 * its own. */
static void test_two_recoveries(void **state)
{
	struct loss_rig *r = &rig;
	uint32_t ssthresh;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 20, .queued = 40});
	lr_sack(r, 0, 1, 20);
	assert_int_equal(lr_count(r), 14); /* the first, and new ones up to the threshold */
	ssthresh = r->w.conn->ssthresh_bytes;
	wire_advance(&r->w, LR_TRIP_MS);
	lr_ack(r, 20, 1, (struct lr_run[]){{22, 33}}); /* 20 and 21 are missing */
	assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
	assert_true(r->w.conn->ssthresh_bytes < ssthresh);
	lr_sent(r, 20);
	assert_int_equal(lr_counter(r, CTR_tcp_rexmit_fast), 2);
	lr_close(r);
}

/* Reordering looked like a loss: by D-SACK or by the timestamp of the ACK that fills the hole, the
 * window is as it was. */
static void test_undone(void **state)
{
	static const struct lr_run first[1] = {{0, 1}};
	struct loss_rig *r = &rig;

	(void)state;
	for (int ts = 0; ts < 2; ts++) {
		uint32_t early;

		lr_open(r, &(struct loss_rig_opts){.segments = 20, .ts = ts});
		early = r->tsecr;
		lr_sack(r, 0, 1, 8);
		wire_advance(&r->w, 5);
		lr_sent(r, 0);
		assert_true(r->w.conn->cwnd_bytes < 20 * r->mss);
		if (ts) {
			r->tsecr = early - 3;
			lr_ack(r, 9, 0, NULL);
		} else {
			lr_ack(r, 9, 0, NULL);
			assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
			lr_ack(r, 9, 1, first);
		}
		assert_int_equal(r->w.conn->loss, LOSS_NONE);
		assert_true(r->w.conn->cwnd_bytes >= 20 * r->mss);
		assert_true(r->w.conn->flags & CF_REORDERED);
		assert_int_equal(r->w.conn->ls.lost_bytes, 0);
		lr_ack(r, 20, 0, NULL);
		lr_close(r);
	}
}

/* ACKs that say nothing new keep the connection alive and no timeout away (RFC 6298 5.3): a peer
 * that cannot SACK our FIN answers each copy of it, while the segment in front of it is lost twice.
 */
static void test_no_progress_is_a_timeout(void **state)
{
	struct loss_rig *r = &rig;
	struct wire *w = &r->w;
	uint32_t ms = 0;
	uint32_t sent = 0;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	tcp_shutdown(w->tcp, w->conn);
	wire_run(w);
	lr_count(r);
	lr_sack(r, 0, 1, 10);
	lr_sent(r, 0);
	while (lr_counter(r, CTR_tcp_rto) == 0 && ms < 1000) {
		struct wire_seg got;

		wire_advance(w, 1);
		ms++;
		while (wire_take(w, &got)) {
			sent++;
			lr_sack(r, 0, 1, 10);
		}
		if (ms % 7 == 0)
			lr_sack(r, 0, 1, 10);
	}
	assert_true(ms <= 205);
	assert_true(sent <= 3);
	lr_ack(r, 10, 0, NULL);
	wire_drain(w);
	lr_close(r);
}

/* A peer that goes away in the middle of a recovery: of two segments that were sent again at
 * different times, none is lost again without an ACK that tells so. The timeout comes, backs off,
 * and ends it (RFC 6298 5.5, RFC 8961 4). */
static void test_silence_backs_off(void **state)
{
	static const uint32_t vars_us[] = {1000, 5000, 10000, 20000};

	(void)state;
	for (uint32_t i = 0; i < 14 * ARRAY_LEN(vars_us); i++) {
		struct loss_rig *r = &rig;
		struct tcp_info info;
		uint32_t before;

		lr_open(r, &(struct loss_rig_opts){.segments = 20, .ts = i % 2});
		r->w.conn->rttvar_us = vars_us[i / 14];
		lr_sack(r, 0, 1, 4);
		lr_sent(r, 0);
		wire_advance(&r->w, 4 + i % 14 * 4);
		wire_drain(&r->w);
		lr_ack(r, 0, 2, (struct lr_run[]){{5, 9}, {1, 4}});
		tcp_conn_info(r->w.conn, &info);
		before = info.retransmits;
		wire_advance(&r->w, 3000);
		wire_drain(&r->w);
		assert_in_range(lr_counter(r, CTR_tcp_rto), 3, 4);
		tcp_conn_info(r->w.conn, &info);
		assert_in_range(info.retransmits - before, 3, 6);
		if (i % 14 == 5) {
			for (uint32_t s = 0; s < 1200 && r->w.conn != NULL; s++) {
				wire_advance(&r->w, 1000);
				wire_drain(&r->w);
			}
			assert_int_equal(lr_counter(r, CTR_tcp_timeout), 1);
		}
		lr_close(r);
	}
}

/* RFC 6298 5.7: the SYN-ACK was sent again: 3 seconds, whatever the timestamps say. */
static void test_rto_after_syn(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4};
	static const uint8_t mss_ts[] = {2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0};
	static struct wire wire;
	struct wire *w = &wire;

	(void)state;
	for (int ts = 0; ts < 2; ts++) {
		struct wire_seg syn = {.seq = 5, .wnd = 65535, .flags = TH_SYN};
		struct wire_seg ack = {.seq = 6, .wnd = 65535, .flags = TH_ACK};
		struct wire_seg got;

		wire_open(w, NULL, false);
		syn.opts_len = ts ? sizeof(mss_ts) : sizeof(mss);
		memcpy(syn.opts, ts ? mss_ts : mss, syn.opts_len);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		wire_advance(w, 1010);
		assert_true(wire_take(w, &got));
		ack.ack = got.seq + 1;
		if (ts) {
			memcpy(ack.opts, mss_ts + 4, 12);
			put_u32(ack.opts + 8, got.parsed.tsval);
			ack.opts_len = 12;
		}
		wire_send(w, &ack);
		assert_non_null(w->conn);
		assert_int_equal(w->conn->rto_us, 3000000);
		wire_close(w);
	}
}

/* Takes what was sent again now, of what is lost from next on; returns what comes then. */
static uint32_t resent_to(struct loss_rig *r, uint32_t next)
{
	uint32_t end = (r->w.conn->ls.lost_lo - r->w.ack) / r->mss;

	assert_true(next < end);
	while (next < end)
		lr_sent(r, next++);
	return next;
}

/* What is sent again is looked for from where the last one was, not from the head of the queue: a
 * head whose length is wrong does no harm meanwhile. For what lies in front of it the head is
 * asked. */
static void test_search_goes_on(void **state)
{
	static const struct loss_rig_opts opts[] = {{.segments = 60},
	                                            {.segments = 60, .v6 = true, .below = 20000}};
	struct loss_rig *r = &rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opts); i++) {
		struct tx_ref *head;
		struct conn *c;
		uint32_t next;

		lr_open(r, &opts[i]);
		c = r->w.conn;
		assert_int_equal(c->tx_again, TX_REF_NONE);
		lr_sack(r, 0, 30, 34);
		next = resent_to(r, 0);
		lr_sack(r, 0, 30, 36);
		next = resent_to(r, next);
		assert_int_not_equal(c->tx_again, c->tx_head);
		head = tx_ref_at(r->w.tcp, c->tx_head);
		head->len += 7;
		for (uint32_t k = 40; k < 48; k += 2) {
			lr_sack(r, 0, 30, k);
			next = resent_to(r, next);
		}
		head->len -= 7;
		/* The place is acknowledged, so that it is not there any more. */
		lr_sack(r, next, 30, 50);
		resent_to(r, next);
		/* All of that again, from the beginning. */
		wire_drain(&r->w);
		while (counter_read(&r->w.ctr, CTR_tcp_rto) == 0)
			wire_advance(&r->w, 10);
		lr_sent(r, next);
		assert_int_equal(c->tx_again, c->tx_head);
		/* With the scoreboard it goes too, whatever the reason. */
		board_release(r->w.tcp, c);
		assert_int_equal(c->tx_again, TX_REF_NONE);
		lr_ack(r, 60, 0, NULL);
		lr_close(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_limited_transmit),
	        cmocka_unit_test(test_limited_without_end),
	        cmocka_unit_test(test_no_duplicates),
	        cmocka_unit_test(test_newreno),
	        cmocka_unit_test(test_next_segment),
	        cmocka_unit_test(test_search_goes_on),
	        cmocka_unit_test(test_two_recoveries),
	        cmocka_unit_test(test_undone),
	        cmocka_unit_test(test_rto_after_syn),
	        cmocka_unit_test(test_no_progress_is_a_timeout),
	        cmocka_unit_test(test_silence_backs_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
