/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Proportional rate reduction (RFC 9937) against its own arithmetic, an ACK at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static struct loss_rig rig;

/* One loss out of a full window: what is sent follows what arrives in the ratio of the threshold to
 * the flight, so that the pipe is the threshold at the end. */
static void test_proportional(void **state)
{
	static const struct loss_rig_opts cases[] = {
	        {.segments = 40, .queued = 100},
	        {.segments = 40, .queued = 100, .v6 = true, .below = 20000},
	        {.segments = 100, .queued = 200, .ts = true},
	        {.segments = 12, .queued = 100, .below = 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t n = cases[i].segments;
		struct loss_rig *r = &rig;
		struct conn *c;
		uint64_t sent = 1;
		uint64_t want;

		lr_open(r, &cases[i]);
		c = r->w.conn;
		/* RFC 3042: a new segment for each of the first two. */
		lr_sack(r, 0, 1, 2);
		lr_sent(r, n);
		lr_sack(r, 0, 1, 3);
		lr_sent(r, n + 1);
		lr_sack(r, 0, 1, 4);
		lr_sent(r, 0);
		lr_silent(r, 0);
		assert_int_equal(c->loss, LOSS_RECOVERY);
		/* RecoverFS: without what was SACKed before. */
		assert_int_equal(c->ls.prr_flight, (n + 2 - 2) * r->mss);
		assert_true(c->ssthresh_bytes < n * r->mss);
		for (uint32_t k = 2; k <= n - 3; k++) {
			lr_sack(r, 0, 1, k + 3);
			sent += lr_count(r);
			want = ((uint64_t)k * r->mss * c->ssthresh_bytes + c->ls.prr_flight - 1) /
			       c->ls.prr_flight / r->mss;
			/* At the threshold a segment may go for each that arrives. */
			if (loss_pipe(c) > c->ssthresh_bytes + r->mss)
				assert_int_equal(sent, max_u64(want, 1));
			else
				assert_true(sent + 1 >= want &&
				            loss_pipe(c) <= c->ssthresh_bytes + r->mss);
		}
		/* All but the first and the two new ones arrived. */
		assert_true(loss_pipe(c) <= c->ssthresh_bytes + r->mss);
		assert_true(loss_pipe(c) + 3 * r->mss >= c->ssthresh_bytes);
		/* Its end: the window is the threshold. */
		lr_ack(r, n + 2, 0, NULL);
		assert_int_equal(c->loss, LOSS_NONE);
		assert_int_equal(c->cwnd_bytes, c->ssthresh_bytes);
		assert_int_equal(lr_counter(r, CTR_tcp_rto), 0);
		lr_close(r);
	}
}

/* More is lost than the threshold takes away: a segment for a segment, and one more when an ACK
 * moves and nothing else is lost. */
static void test_reduction_bound(void **state)
{
	struct loss_rig *r = &rig;
	struct conn *c;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 40, .queued = 100});
	c = r->w.conn;
	/* 0 to 29 are lost, and 30 to 32 arrive in one ACK. */
	lr_sack(r, 0, 30, 33);
	assert_int_equal(c->loss, LOSS_RECOVERY);
	for (uint32_t i = 0; i < 3; i++)
		lr_sent(r, i);
	lr_silent(r, 0);
	/* Conservative: nothing moves. */
	lr_sack(r, 0, 30, 34);
	lr_sent(r, 3);
	lr_silent(r, 0);
	lr_sack(r, 0, 30, 36);
	lr_sent(r, 4);
	lr_sent(r, 5);
	lr_silent(r, 0);
	/* All goes well: one more. */
	lr_sack(r, 1, 30, 36);
	lr_sent(r, 6);
	lr_sent(r, 7);
	lr_silent(r, 0);
	lr_sack(r, 2, 30, 36);
	lr_sent(r, 8);
	lr_sent(r, 9);
	lr_silent(r, 0);
	/* It moves, but a retransmission was lost: no more than arrived (3, by this ACK). */
	wire_advance(&r->w, LR_TRIP_MS + 1);
	assert_int_equal(lr_count(r), 0);
	lr_ack(r, 3, 2, (struct lr_run[]){{8, 10}, {30, 36}});
	assert_true(c->ls.lost_bytes > 0);
	assert_int_equal(lr_count(r), 3);
	lr_close(r);
}

/* Every ACK is lost but one; the burst is no longer than what it says, and the pipe stays at or
 * below the threshold. */
static void test_stretch_ack(void **state)
{
	struct loss_rig *r = &rig;
	struct conn *c;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 40, .queued = 100});
	c = r->w.conn;
	lr_sack(r, 0, 1, 40);
	assert_true(lr_count(r) <= 39);
	assert_true(loss_pipe(c) <= c->ssthresh_bytes);
	assert_true(loss_pipe(c) + r->mss > c->ssthresh_bytes);
	lr_close(r);
}

/* Without SACK a duplicate ACK counts for a segment, and the ACK after it does not count twice. */
static void test_without_sack(void **state)
{
	struct loss_rig *r = &rig;
	struct conn *c;
	uint32_t sent = 0;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 20, .queued = 100, .no_sack = true});
	c = r->w.conn;
	for (uint32_t i = 0; i < 2; i++) {
		lr_ack(r, 0, 0, NULL);
		lr_sent(r, 20 + i);
	}
	lr_ack(r, 0, 0, NULL);
	lr_sent(r, 0);
	lr_silent(r, 0);
	for (uint32_t i = 0; i < 16; i++) {
		lr_ack(r, 0, 0, NULL);
		sent += lr_count(r);
	}
	assert_true(sent >= 11 && sent <= 13); /* 16 * 14 / 20 */
	assert_true(loss_pipe(c) <= c->ssthresh_bytes + r->mss);
	/* A partial ACK tells of one loss more, and of hardly anything that was not known. */
	lr_ack(r, 10, 0, NULL);
	lr_sent(r, 10);
	assert_true(lr_count(r) <= 2);
	assert_int_equal(c->loss, LOSS_RECOVERY);
	lr_ack(r, 22 + sent, 0, NULL);
	assert_int_equal(c->loss, LOSS_NONE);
	/* RFC 6582 3.2 step 3: little was in flight, so no burst follows. */
	assert_true(c->cwnd_bytes <= 2 * r->mss);
	assert_int_equal(lr_counter(r, CTR_tcp_rto), 0);
	lr_close(r);
}

/* A loss that the clock finds: the recovery begins with a retransmission all the same. */
static void test_by_the_clock(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 3});
	lr_sack(r, 0, 2, 3);
	lr_silent(r, LR_TRIP_MS / 4 - 1);
	lr_sent_soon(r, 0);
	assert_int_equal(r->w.conn->loss, LOSS_RECOVERY);
	lr_sack(r, 1, 2, 3);
	lr_sent(r, 1);
	lr_ack(r, 3, 0, NULL);
	assert_int_equal(r->w.conn->cwnd_bytes, r->w.conn->ssthresh_bytes);
	lr_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_proportional), cmocka_unit_test(test_reduction_bound),
	        cmocka_unit_test(test_stretch_ack),  cmocka_unit_test(test_without_sack),
	        cmocka_unit_test(test_by_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
