/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Timeouts: what they do (RFC 6298 5, RFC 5681 3.1), and how one that was needless is found out
 * (RFC 5682 F-RTO, RFC 3522 Eifel) and undone (RFC 4015). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static struct loss_rig rig;

/* Ten segments are out and nothing comes back until the timeout. Without SACK there is no probe;
 * with it, the probe is segment 10 when there is one, else segment 9 again. */
static struct loss_rig *timed_out(const struct loss_rig_opts *opts)
{
	struct loss_rig *r = &rig;
	struct loss_rig_opts o = *opts;

	o.segments = 10;
	lr_open(r, &o);
	if (!o.no_sack) {
		lr_silent(r, 2 * LR_TRIP_MS + 3);
		lr_sent_soon(r, o.queued > 0 ? 10 : 9);
	}
	lr_silent(r, 190);
	wire_advance(&r->w, 20);
	lr_sent(r, 0);
	lr_silent(r, 0);
	assert_int_equal(r->w.conn->loss, LOSS_RTO);
	assert_int_equal(r->w.conn->cwnd_bytes, r->mss);
	assert_int_equal(lr_counter(r, CTR_tcp_rto), 1);
	return r;
}

static void assert_undone(struct loss_rig *r)
{
	const struct conn *c = r->w.conn;

	assert_int_equal(c->loss, LOSS_NONE);
	assert_int_equal(c->ls.lost_bytes, 0);
	assert_int_equal(c->tries, 0);
	assert_int_equal(lr_counter(r, CTR_tcp_rto_spurious), 1);
	/* RFC 4015 3.2: pipe_prev, or the window itself. */
	assert_true(c->ssthresh_bytes >= 10 * r->mss);
	/* And a timeout that would have been long enough: SRTT + 4 * RTTVAR of a 200 ms sample. */
	assert_true(c->rto_us >= 600000);
}

static void assert_real(struct loss_rig *r)
{
	assert_int_equal(r->w.conn->loss, LOSS_RTO);
	assert_int_equal(r->w.conn->ls.frto, FRTO_NONE);
	assert_int_equal(lr_counter(r, CTR_tcp_rto_spurious), 0);
}

/* RFC 5682 3.1 and 2.1, the usual case: the ACKs were only late. */
static void test_late_acks(void **state)
{
	static const struct loss_rig_opts cases[] = {
	        {.queued = 20},
	        {.queued = 20, .v6 = true},
	        {.queued = 20, .below = 15000},
	        {.queued = 20, .no_sack = true},
	        {.queued = 20, .no_sack = true, .below = 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loss_rig *r = timed_out(&cases[i]);
		uint32_t next = cases[i].no_sack ? 10 : 11;

		/* Step 2b: two segments not sent before, and nothing again. */
		lr_ack(r, 1, 0, NULL);
		lr_sent(r, next);
		lr_sent(r, next + 1);
		lr_silent(r, 0);
		assert_int_equal(r->w.conn->ls.frto, FRTO_NEW);
		/* Step 3b. */
		lr_ack(r, 2, 0, NULL);
		assert_undone(r);
		/* No more than what left the network, and the rest of what is allowed. */
		assert_true(lr_count(r) <= 10);
		lr_ack(r, next, 0, NULL);
		assert_int_equal(r->w.conn->loss, LOSS_NONE);
		assert_int_equal(r->w.conn->retransmits, 1);
		lr_close(r);
	}
}

/* Step 3b by SACK: segment 5, sent before the timeout and once, came late. */
static void test_late_sack(void **state)
{
	struct loss_rig *r = timed_out(&(struct loss_rig_opts){.queued = 20});

	(void)state;
	lr_ack(r, 1, 0, NULL);
	assert_int_equal(lr_count(r), 2);
	lr_sack(r, 1, 5, 6);
	assert_undone(r);
	lr_close(r);
}

/* RFC 3522: the echoed timestamp is older than the retransmission, so one ACK is enough. */
static void test_late_by_timestamps(void **state)
{
	static const struct loss_rig_opts cases[] = {
	        {.queued = 20, .ts = true},
	        {.queued = 20, .ts = true, .no_sack = true},
	        {.ts = true, .no_sack = true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loss_rig *r = &rig;
		struct loss_rig_opts o = cases[i];
		uint32_t early;

		o.segments = 10;
		lr_open(r, &o);
		early = r->tsecr;
		wire_advance(&r->w, 300);
		assert_true(lr_count(r) > 0);
		assert_int_equal(r->w.conn->loss, LOSS_RTO);
		r->tsecr = early;
		lr_ack(r, 1, 0, NULL);
		assert_undone(r);
		lr_close(r);
	}
}

/* The same timestamp as the retransmission's: it was needed. */
static void test_not_late_by_timestamps(void **state)
{
	struct loss_rig *r = timed_out(&(struct loss_rig_opts){.queued = 20, .ts = true});

	(void)state;
	lr_ack(r, 1, 0, NULL);
	assert_int_equal(r->w.conn->ls.frto, FRTO_NEW);
	assert_int_equal(lr_counter(r, CTR_tcp_rto_spurious), 0);
	lr_close(r);
}

/* RFC 5682: when it was a loss after all, what was not asked for is sent again. */
static void test_real_loss(void **state)
{
	static const struct lr_run both[2] = {{11, 12}, {5, 6}};
	struct loss_rig *r;

	(void)state;
	/* 3.1 step 3a: the new segments arrive, and nothing in front of them. */
	r = timed_out(&(struct loss_rig_opts){.queued = 20});
	lr_ack(r, 1, 0, NULL);
	lr_sent(r, 11);
	lr_sent(r, 12);
	lr_sack(r, 1, 11, 12);
	assert_real(r);
	assert_true(r->w.conn->cwnd_bytes <= 3 * r->mss);
	lr_sent(r, 1);
	lr_close(r);
	/* The same, with something late: RFC 5682 does not guess. */
	r = timed_out(&(struct loss_rig_opts){.queued = 20});
	lr_ack(r, 1, 0, NULL);
	assert_int_equal(lr_count(r), 2);
	lr_ack(r, 1, 2, both);
	assert_real(r);
	lr_close(r);
	/* 2.1 step 3a: a duplicate ACK. */
	r = timed_out(&(struct loss_rig_opts){.queued = 20, .no_sack = true});
	lr_ack(r, 1, 0, NULL);
	lr_sent(r, 10);
	lr_sent(r, 11);
	lr_ack(r, 1, 0, NULL);
	assert_real(r);
	lr_sent(r, 1);
	lr_close(r);
	/* 2.1 step 2a: a duplicate ACK at once. */
	r = timed_out(&(struct loss_rig_opts){.queued = 20, .no_sack = true});
	lr_ack(r, 0, 0, NULL);
	assert_real(r);
	lr_ack(r, 1, 0, NULL);
	lr_sent(r, 1);
	lr_sent(r, 2);
	lr_silent(r, 0);
	lr_close(r);
}

/* Step 2a: all is acknowledged, which says nothing; step 2b: there is nothing new to send. */
static void test_nothing_to_tell(void **state)
{
	struct loss_rig *r = timed_out(&(struct loss_rig_opts){.queued = 5});

	(void)state;
	lr_ack(r, 11, 0, NULL);
	assert_int_equal(r->w.conn->loss, LOSS_NONE);
	assert_true(r->w.conn->cwnd_bytes <= 2 * r->mss);
	assert_int_equal(lr_counter(r, CTR_tcp_rto_spurious), 0);
	lr_close(r);
	for (int no_sack = 0; no_sack < 2; no_sack++) {
		r = timed_out(&(struct loss_rig_opts){.no_sack = no_sack});
		lr_ack(r, 1, 0, NULL);
		assert_real(r);
		lr_sent(r, 1);
		lr_sent(r, 2);
		lr_silent(r, 0);
		lr_close(r);
	}
	/* The peer's window is in the way. */
	r = timed_out(&(struct loss_rig_opts){.queued = 5, .no_sack = true});
	r->wnd = 9 * r->mss >> LR_WSCALE;
	lr_ack(r, 1, 0, NULL);
	assert_real(r);
	lr_sent(r, 1);
	lr_close(r);
}

/* Step 1: not within a recovery, and not for a second timeout. */
static void test_not_in_recovery(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10, .queued = 20});
	lr_sack(r, 0, 1, 4);
	assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
	lr_count(r);
	wire_advance(&r->w, 220);
	assert_int_equal(r->w.conn->loss, LOSS_RTO);
	assert_int_equal(r->w.conn->ls.frto, FRTO_NONE);
	lr_close(r);
	r = timed_out(&(struct loss_rig_opts){.queued = 20});
	wire_advance(&r->w, 420);
	lr_sent(r, 0);
	assert_int_equal(r->w.conn->ls.frto, FRTO_NONE);
	lr_ack(r, 1, 0, NULL);
	lr_sent(r, 1);
	lr_close(r);
}

/* All that was sent again came twice (RFC 2883), so nothing was lost. */
static void test_dsack_undoes(void **state)
{
	static const struct lr_run first[1] = {{0, 1}};
	struct loss_rig *r = timed_out(&(struct loss_rig_opts){.queued = 20});

	(void)state;
	lr_ack(r, 3, 1, first);
	assert_undone(r);
	lr_close(r);
}

/* RFC 2018 8: data that was SACKed may be gone; a second timeout takes all for lost, and the first
 * does when the peer has what it SACKed right behind what it acknowledges and does not say so. */
static void test_reneging(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_sack(r, 0, 1, 10);
	lr_sent(r, 0);
	wire_advance(&r->w, 220);
	lr_sent(r, 0);
	assert_string_equal(lr_board(r, 0, 10), "RSSSSSSSSS");
	wire_advance(&r->w, 420);
	lr_sent(r, 0);
	assert_string_equal(lr_board(r, 0, 10), "RLLLLLLLLL");
	lr_close(r);

	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_sack(r, 0, 1, 10);
	lr_sent(r, 0);
	lr_ack(r, 1, 0, NULL); /* it would be 10 */
	lr_silent(r, 180);
	wire_advance(&r->w, 50);
	lr_sent(r, 1);
	assert_string_equal(lr_board(r, 1, 10), "RLLLLLLLL");
	lr_ack(r, 10, 0, NULL);
	lr_close(r);
}

/* RFC 5681 3.1: the threshold falls at the first timeout only; RFC 6298 5.5: back-off, 5.3: the
 * timer starts anew with progress. */
static void test_second_timeout(void **state)
{
	struct loss_rig *r = timed_out(&(struct loss_rig_opts){.no_sack = true, .queued = 5});
	uint32_t ssthresh = r->w.conn->ssthresh_bytes;

	(void)state;
	assert_int_equal(ssthresh, 10 * r->mss * 7 / 10);
	lr_silent(r, 380);
	wire_advance(&r->w, 30);
	lr_sent(r, 0);
	assert_int_equal(r->w.conn->ssthresh_bytes, ssthresh);
	assert_int_equal(r->w.conn->cwnd_bytes, r->mss);
	lr_ack(r, 1, 0, NULL);
	lr_sent(r, 1);
	lr_sent(r, 2);
	lr_silent(r, 700); /* Karn: still backed off */
	wire_advance(&r->w, 120);
	lr_sent(r, 1);
	lr_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_late_acks),
	        cmocka_unit_test(test_late_sack),
	        cmocka_unit_test(test_late_by_timestamps),
	        cmocka_unit_test(test_not_late_by_timestamps),
	        cmocka_unit_test(test_real_loss),
	        cmocka_unit_test(test_nothing_to_tell),
	        cmocka_unit_test(test_not_in_recovery),
	        cmocka_unit_test(test_dsack_undoes),
	        cmocka_unit_test(test_reneging),
	        cmocka_unit_test(test_second_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
