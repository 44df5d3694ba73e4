/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loss detection by time (RFC 8985) and the scoreboard under it: the reordering window, probes, and
 * peers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static struct loss_rig rig;

/* No time is given to a hole without signs of reordering when three segments lie behind it, a
 * quarter of the least round trip otherwise, and more for each round trip with a D-SACK. */
static void test_reordering_window(void **state)
{
	static const struct {
		bool reordered;
		uint8_t mult;
		uint32_t min_rtt_ms;
		uint32_t sacked; /* segments behind the hole */
		uint32_t want_ms;
	} cases[] = {
	        {false, 0, 20, 3, 0},  {false, 0, 20, 2, 5}, {false, 3, 20, 3, 0},
	        {true, 0, 20, 3, 5},   {true, 1, 20, 9, 5},  {true, 3, 20, 9, 15},
	        {true, 40, 20, 9, 20}, {true, 1, 8, 9, 2},   {true, 2, 12, 1, 6},
	        {true, 1, 0, 9, 5},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loss_rig *r = &rig;

		lr_open(r,
		        &(struct loss_rig_opts){.segments = 10, .below = 100 + 1460 * (uint32_t)i});
		r->w.conn->ls.reo_mult = cases[i].mult;
		r->w.conn->ls.min_rtt_us = cases[i].min_rtt_ms * 1000;
		if (cases[i].reordered)
			r->w.conn->flags |= CF_REORDERED;
		lr_sack(r, 0, 1, 1 + cases[i].sacked);
		if (cases[i].want_ms > 0) {
			lr_silent(r, cases[i].want_ms - 1);
			lr_sent_soon(r, 0);
		} else {
			lr_sent(r, 0);
		}
		lr_close(r);
	}
}

/* RFC 8985 6.2 step 4: one step a round trip, back after 16 recoveries. */
static void test_dsack_rounds(void **state)
{
	static const struct lr_run first[1] = {{0, 1}};
	struct loss_rig *r = &rig;
	struct conn *c;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10, .queued = 20});
	c = r->w.conn;
	lr_ack(r, 2, 0, NULL);
	lr_ack(r, 2, 1, first);
	assert_int_equal(c->ls.reo_mult, 2);
	lr_ack(r, 3, 1, first); /* the same round trip */
	lr_ack(r, 3, 1, first);
	assert_int_equal(c->ls.reo_mult, 2);
	lr_count(r);
	lr_ack(r, 14, 1, first);
	assert_int_equal(c->ls.reo_mult, 3);
	assert_int_equal(c->ls.reo_persist, LOSS_REO_PERSIST);
	for (uint32_t i = 1; i < LOSS_REO_PERSIST; i++)
		recovery_end(c);
	assert_int_equal(c->ls.reo_mult, 3);
	recovery_end(c);
	assert_int_equal(c->ls.reo_mult, 1);
	/* Older than any window: not ours. */
	c->snd_wnd_max = 1460;
	lr_ack(r, 30, 1, first);
	assert_int_equal(c->ls.reo_mult, 1);
	lr_close(r);
}

/* RFC 8985 6.2 step 3: only what was sent once tells of reordering. */
static void test_reordering_seen(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_sack(r, 0, 1, 2);
	lr_sack(r, 0, 3, 4);
	assert_int_equal(r->w.conn->flags & CF_REORDERED, 0);
	lr_ack(r, 0, 1, (struct lr_run[]){{2, 4}});
	assert_true(r->w.conn->flags & CF_REORDERED);
	lr_close(r);
	/* By the ACK. */
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_sack(r, 0, 1, 2);
	lr_ack(r, 2, 0, NULL);
	assert_true(r->w.conn->flags & CF_REORDERED);
	lr_close(r);
	/* One ACK with several blocks, none of them late; and what was sent again. */
	lr_open(r, &(struct loss_rig_opts){.segments = 10});
	lr_ack(r, 2, 2, (struct lr_run[]){{7, 8}, {3, 6}});
	lr_sent(r, 2);
	lr_ack(r, 6, 1, (struct lr_run[]){{7, 8}});
	lr_ack(r, 10, 0, NULL);
	assert_int_equal(r->w.conn->flags & CF_REORDERED, 0);
	lr_close(r);
}

/* RFC 8985 6.2 step 2: an ACK that may be for the first copy says nothing of the second's time. */
static void test_ambiguous(void **state)
{
	struct loss_rig *r = &rig;
	uint32_t before;

	(void)state;
	lr_open(r, &(struct loss_rig_opts){.segments = 10, .queued = 5});
	lr_sack(r, 0, 1, 4);
	lr_sent(r, 0);
	before = r->w.conn->ls.rack_clock;
	wire_advance(&r->w, 3); /* a round trip that cannot be */
	lr_sack(r, 1, 1, 4);
	assert_int_equal(r->w.conn->ls.rack_clock, before);
	lr_close(r);
	for (int late = 0; late < 2; late++)
		for (int sacked = 0; sacked < 2; sacked++) {
			uint32_t early;

			lr_open(r,
			        &(struct loss_rig_opts){.segments = 10, .queued = 5, .ts = true});
			lr_sack(r, 0, 2, 5);
			lr_ack(r, 0, 2, (struct lr_run[]){{2, 6}, {8, 9}});
			early = r->tsecr;
			wire_advance(&r->w, 10);
			lr_sent(r, 0);
			before = r->w.conn->ls.rack_clock;
			wire_advance(&r->w, 30);
			if (late)
				r->tsecr = early - 5;
			else
				r->tsecr = r->w.conn->ts_offset + ts_clock(r->w.tcp) - 30;
			/* Segment 1, sent again. With a hole in front of it the timestamp is of
			 * what came before that. */
			if (sacked)
				lr_sack(r, 0, 1, 6);
			else
				lr_ack(r, 6, 0, NULL);
			if (late && !sacked)
				assert_int_equal(r->w.conn->ls.rack_clock, before);
			else
				assert_true(seq_lt(before, r->w.conn->ls.rack_clock));
			lr_close(r);
		}
}

/* RFC 8985 7.2: two round trips, with the peer's delay for a single segment, and never after the
 * timeout; none without SACK. */
static void test_probe_time(void **state)
{
	static const struct {
		uint32_t segments;
		uint32_t rto_ms;
		bool no_sack;
		uint32_t want_ms;
		bool probe;
	} cases[] = {
	        {4, 1000, false, 2 * LR_TRIP_MS + 4, true},
	        {2, 1000, false, 2 * LR_TRIP_MS + 4, true},
	        {1, 1000, false, 2 * LR_TRIP_MS + 204, true},
	        {1, 210, false, 210, false}, /* the timeout is sooner */
	        {2, 42, false, 42, true},    /* and here the probe takes its place */
	        {4, 210, true, 210, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loss_rig *r = &rig;

		lr_open(r, &(struct loss_rig_opts){.segments = cases[i].segments + 1,
		                                   .no_sack = cases[i].no_sack});
		r->w.conn->rto_us = cases[i].rto_ms * 1000;
		lr_ack(r, 1, 0, NULL); /* starts the timer anew */
		lr_silent(r, cases[i].want_ms - 1);
		lr_sent_soon(r, cases[i].probe ? cases[i].segments : 1);
		assert_int_equal(lr_counter(r, CTR_tcp_tail_probe), cases[i].probe);
		assert_int_equal(lr_counter(r, CTR_tcp_rto), !cases[i].probe);
		lr_close(r);
	}
}

/* RFC 8985 7.4.2, case 3: without D-SACK, an ACK that repeats the probe's end says that both copies
 * arrived; nothing was lost, and the window stays. */
static void test_probe_dupack(void **state)
{
	struct loss_rig *r = &rig;

	(void)state;
	for (int dup = 0; dup < 2; dup++) {
		uint32_t cwnd;

		lr_open(r, &(struct loss_rig_opts){.segments = 4});
		wire_advance(&r->w, 2 * LR_TRIP_MS + 6);
		lr_sent(r, 3);
		lr_ack(r, 4, 0, NULL);
		assert_true(r->w.conn->flags & CF_PROBED);
		wire_write(&r->w, "x", 1);
		lr_count(r);
		cwnd = r->w.conn->cwnd_bytes;
		if (dup)
			lr_ack(r, 4, 0, NULL);
		wire_flags(&r->w, TH_ACK, r->w.seq, r->w.ack + 4 * r->mss + 1);
		assert_int_equal(r->w.conn->flags & CF_PROBED, 0);
		if (dup)
			assert_true(r->w.conn->cwnd_bytes >= cwnd);
		else
			assert_true(r->w.conn->cwnd_bytes < cwnd);
		lr_close(r);
	}
}

/* Blocks that cannot be: each on a connection with a sound scoreboard, then all ACKed. Whatever
 * they say, the scoreboard stays sound (lr_check in lr_ack) and the work is bounded by its size. */
static void test_lies(void **state)
{
	static const struct lr_run lies[] = {
	        {0, 1},        {0, 20},         {4, 4},
	        {6, 5},        {19, 21},        {20, 30},
	        {1, 20},       {3, 200},        {0x80000, 0x80001},
	        {5, 0x100000}, {0xfffffff0, 3},
	};
	struct loss_rig *r = &rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		for (size_t k = 0; k < ARRAY_LEN(lies); k++) {
			lr_open(r, &(struct loss_rig_opts){.segments = 20, .below = 10 * 1460});
			lr_sack(r, 2, 5, 7);
			lr_ack(r, 2, 2, (struct lr_run[]){lies[i], lies[k]});
			lr_ack(r, 3, 4, (struct lr_run[]){lies[k], {9, 12}, lies[i], {7, 13}});
			lr_ack(r, 2, 1, &lies[i]);
			lr_ack(r, 20, 1, &lies[k]);
			assert_int_equal(r->w.conn->ls.run_count, 0);
			assert_int_equal(r->w.conn->sacked_bytes, 0);
			lr_close(r);
		}
}

/* In bytes from snd_una, near the edges of what compares as ahead and as behind; with data in
 * flight and without. Each end alone would pass. */
static void test_lies_far_away(void **state)
{
	static const uint32_t at[] = {
	        0,          1,          100,        14599,      14601,      0x40000000, 0x7fffffff,
	        0x80000000, 0x80000001, 0x80003908, 0xb0000000, 0xffff0000, 0xffffffff,
	};
	struct loss_rig *r = &rig;
	struct wire *w = &r->w;

	(void)state;
	for (int idle = 0; idle < 2; idle++) {
		lr_open(r, &(struct loss_rig_opts){.segments = 10, .below = 7000});
		if (idle)
			lr_ack(r, 10, 0, NULL);
		for (size_t i = 0; i < ARRAY_LEN(at); i++)
			for (size_t k = 0; k < ARRAY_LEN(at); k++) {
				struct wire_seg s = {.seq = w->seq,
				                     .ack = w->conn->snd_una,
				                     .wnd = 65535,
				                     .flags = TH_ACK,
				                     .opts = {1, 1, 5, 10},
				                     .opts_len = 12};

				if (!idle && at[i] > 0 && at[i] < at[k] && at[k] <= 14600)
					continue;
				put_u32(s.opts + 4, w->conn->snd_una + at[i]);
				put_u32(s.opts + 8, w->conn->snd_una + at[k]);
				wire_send(w, &s);
				assert_int_equal(w->conn->ls.run_count, 0);
				assert_int_equal(w->conn->has_runs, 0);
			}
		lr_close(r);
	}
}

/* Blocks, ACKs, and time at random; with a scoreboard and with few runs only. */
static void test_noise(void **state)
{
	struct loss_rig *r = &rig;
	struct rig dice = {.rng = 7};

	(void)state;
	for (uint32_t round = 0; round < 60; round++) {
		struct loss_rig_opts o = {.segments = 40,
		                          .queued = 400,
		                          .below = 200 * 1460,
		                          .ts = round & 1,
		                          .no_sack = round % 5 == 4,
		                          .boards = round & 2 ? UINT32_MAX : 0};
		uint32_t una = 0;

		lr_open(r, &o);
		for (uint32_t i = 0; i < 400 && r->w.conn; i++) {
			struct conn *c = r->w.conn;
			uint32_t end = (c->snd_nxt - r->w.ack) / r->mss;
			struct lr_run runs[3];
			uint32_t n = rig_random(&dice, 4);

			for (uint32_t k = 0; k < n; k++) {
				runs[k].lo = una + rig_random(&dice, end - una + 2);
				runs[k].hi = runs[k].lo + rig_random(&dice, 5);
			}
			if (rig_random(&dice, 4) == 0)
				una += rig_random(&dice, end - una + 1) / 2;
			lr_ack(r, una, n, runs);
			wire_advance(&r->w, rig_random(&dice, 12));
			lr_count(r);
			if (r->w.conn)
				lr_check(r->w.conn);
		}
		lr_close(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_reordering_window),
	        cmocka_unit_test(test_dsack_rounds),
	        cmocka_unit_test(test_reordering_seen),
	        cmocka_unit_test(test_ambiguous),
	        cmocka_unit_test(test_probe_time),
	        cmocka_unit_test(test_probe_dupack),
	        cmocka_unit_test(test_lies),
	        cmocka_unit_test(test_noise),
	        cmocka_unit_test(test_lies_far_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
