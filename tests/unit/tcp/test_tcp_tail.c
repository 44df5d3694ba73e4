/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Losses that no count of duplicate ACKs shows: tails, few segments, retransmissions lost again
 * (RFC 8985), with segments made by hand and a round trip of 20 ms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

enum {
	MSS = 1460,
	TRIP_MS = 20,
	REORDER_MS = TRIP_MS / 4,
	PROBE_MS = 2 * TRIP_MS + 4,
	RESENT_MS = TRIP_MS + 2 * REORDER_MS,
};

static struct wire wire;

static const uint8_t opts_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};

/* A connection that has sent so many segments. */
static struct wire *segments_sent(uint32_t count, bool sack)
{
	struct wire *w = &wire;

	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sack ? 8 : 4, 0u - 3 * MSS);
	w->conn->srtt_us = TRIP_MS * 1000;
	w->conn->ls.min_rtt_us = TRIP_MS * 1000;
	w->conn->rttvar_us = 1000;
	w->conn->rto_us = 200000;
	wire_write(w, rig_text, count * MSS);
	wire_drain(w);
	w->conn->flags &= ~CF_TIMING; /* the simulated wire takes no time */
	return w;
}

/* Acknowledges ack segments, and by SACK those of the runs, in segments. */
static void ack_with(struct wire *w, uint32_t ack, uint32_t count, const uint32_t (*runs)[2])
{
	struct wire_seg s = {
	        .seq = w->seq, .ack = w->ack + ack * MSS, .wnd = 65535, .flags = TH_ACK};

	if (count > 0) {
		s.opts[0] = s.opts[1] = 1;
		s.opts[2] = 5;
		s.opts[3] = (uint8_t)(2 + 8 * count);
		s.opts_len = 4 + 8 * count;
	}
	for (uint32_t i = 0; i < count; i++) {
		put_u32(s.opts + 4 + 8 * i, w->ack + runs[i][0] * MSS);
		put_u32(s.opts + 8 + 8 * i, w->ack + runs[i][1] * MSS);
	}
	wire_send(w, &s);
}

static void sack(struct wire *w, uint32_t ack, uint32_t lo, uint32_t hi)
{
	const uint32_t run[1][2] = {{lo, hi}};

	ack_with(w, ack, 1, run);
}

static void assert_sent(struct wire *w, uint32_t segment)
{
	struct wire_seg got;

	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, w->ack + segment * MSS);
	assert_int_equal(got.len, MSS);
	assert_memory_equal(got.payload, rig_text + segment * MSS, MSS);
}

static void assert_silent(struct wire *w, uint32_t ms)
{
	struct wire_seg got;

	for (uint32_t i = 0; i < ms; i++) {
		wire_advance(w, 1);
		assert_false(wire_take(w, &got));
	}
}

/* The next segment comes within the wheel's tick or two. */
static void assert_sent_now(struct wire *w, uint32_t segment)
{
	wire_advance(w, 3);
	assert_sent(w, segment);
}

static uint64_t timeouts(const struct wire *w)
{
	return counter_read(&w->ctr, CTR_tcp_rto);
}

static void test_tail_is_probed(void **state)
{
	struct wire *w = segments_sent(4, true);

	(void)state;
	assert_silent(w, PROBE_MS - 1);
	assert_sent_now(w, 3);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_tail_probe), 1);
	/* One probe only. */
	assert_silent(w, TRIP_MS);
	/* What lies below it is lost: it was sent so much earlier. */
	sack(w, 0, 3, 4);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	/* One arrived, so one may go (RFC 9937), then two while all goes well. */
	assert_sent(w, 0);
	assert_silent(w, 1);
	ack_with(w, 1, 0, NULL);
	assert_sent(w, 1);
	assert_sent(w, 2);
	ack_with(w, 4, 0, NULL);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(timeouts(w), 0);
	wire_close(w);
}

static void test_probe_is_new_data(void **state)
{
	struct wire *w = segments_sent(20, true);

	(void)state;
	assert_silent(w, PROBE_MS - 1);
	assert_sent_now(w, 10);
	assert_silent(w, TRIP_MS);
	assert_int_equal(w->conn->retransmits, 0);
	ack_with(w, 11, 0, NULL);
	assert_int_equal(w->conn->flags & (CF_PROBED | CF_PROBED_NEW), 0);
	wire_close(w);
}

/* RFC 8985 7.4: a probe that filled a hole hides a loss, one that came twice does not. */
static void test_probe_that_repairs_is_a_loss(void **state)
{
	static const uint32_t twice[1][2] = {{3, 4}};

	(void)state;
	for (int dup = 0; dup < 2; dup++) {
		struct wire *w = segments_sent(4, true);
		uint32_t cwnd;

		ack_with(w, 2, 0, NULL);
		assert_silent(w, PROBE_MS - 1);
		assert_sent_now(w, 3);
		ack_with(w, 4, 0, NULL);
		if (dup)
			ack_with(w, 4, 1, twice);
		cwnd = w->conn->cwnd_bytes;
		wire_write(w, rig_text + 4 * MSS, 2 * MSS);
		wire_drain(w);
		ack_with(w, 6, 0, NULL);
		if (dup)
			assert_int_equal(w->conn->cwnd_bytes, cwnd);
		else
			assert_true(w->conn->cwnd_bytes < cwnd);
		assert_int_equal(w->conn->flags & CF_PROBED, 0);
		wire_close(w);
	}
}

/* A single segment may wait for a delayed ACK, and without SACK a probe's answer says nothing. */
static void test_no_probe(void **state)
{
	struct wire *w = segments_sent(1, true);

	(void)state;
	assert_silent(w, 190);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_tail_probe), 0);
	wire_close(w);
	w = segments_sent(4, false);
	assert_silent(w, 190);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_tail_probe), 0);
	wire_close(w);
}

/* Too few for three duplicates: time decides. */
static void test_hole_near_the_end(void **state)
{
	struct wire *w = segments_sent(3, true);

	(void)state;
	sack(w, 0, 1, 2);
	assert_silent(w, REORDER_MS - 1);
	assert_sent_now(w, 0);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	wire_close(w);
	/* It was only late. */
	w = segments_sent(3, true);
	sack(w, 0, 1, 2);
	assert_silent(w, REORDER_MS - 2);
	ack_with(w, 2, 0, NULL);
	assert_silent(w, TRIP_MS);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(w->conn->retransmits, 0);
	wire_close(w);
}

static void test_sack_on_an_ack_that_advances(void **state)
{
	struct wire *w = segments_sent(8, true);

	(void)state;
	sack(w, 2, 3, 6);
	assert_sent(w, 2);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	wire_close(w);
}

/* Sent again and lost again. */
static void test_retransmission_is_lost(void **state)
{
	struct wire *w = segments_sent(10, true);

	(void)state;
	sack(w, 0, 1, 4);
	assert_sent(w, 0);
	assert_silent(w, TRIP_MS);
	sack(w, 0, 1, 9);
	wire_drain(w);
	assert_silent(w, RESENT_MS - TRIP_MS - 1);
	assert_sent_now(w, 0);
	ack_with(w, 10, 0, NULL);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(timeouts(w), 0);
	assert_int_equal(w->conn->ls.run_count, 0);
	wire_close(w);
}

/* Of the holes 0, 2 and 4, sent again, the middle one arrives. */
static void test_only_what_was_lost_again(void **state)
{
	static const uint32_t holes[3][2] = {{5, 10}, {3, 4}, {1, 2}};
	static const uint32_t fewer[2][2] = {{1, 4}, {5, 10}};
	struct wire *w = segments_sent(10, true);

	(void)state;
	ack_with(w, 0, 3, holes);
	assert_sent(w, 0);
	assert_sent(w, 2);
	assert_sent(w, 4);
	assert_silent(w, RESENT_MS - 2);
	ack_with(w, 0, 2, fewer);
	/* 0 was sent before it. 4 was sent behind it and may come next. */
	assert_sent(w, 0);
	assert_silent(w, TRIP_MS / 2 - 1);
	wire_advance(w, 3);
	assert_sent(w, 4);
	assert_silent(w, TRIP_MS / 2);
	ack_with(w, 10, 0, NULL);
	assert_int_equal(timeouts(w), 0);
	wire_close(w);
}

/* Nothing at all comes back: that is for the timeout, not for the timers of single segments. */
static void test_silence_is_a_timeout(void **state)
{
	struct wire *w = segments_sent(10, true);

	(void)state;
	sack(w, 0, 1, 4);
	assert_sent(w, 0);
	assert_silent(w, 150);
	wire_advance(w, 100);
	assert_sent(w, 0);
	assert_int_equal(timeouts(w), 1);
	assert_int_equal(w->conn->loss, LOSS_RTO);
	wire_close(w);
}

/* A hole that fills by itself: from then on, counting says nothing, and time is waited. */
static void test_reordering_is_learned(void **state)
{
	struct wire *w = segments_sent(10, true);

	(void)state;
	sack(w, 0, 1, 2);
	ack_with(w, 2, 0, NULL);
	assert_true(w->conn->flags & CF_REORDERED);
	wire_drain(w);
	sack(w, 2, 3, 9);
	wire_drain(w); /* new data only */
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_int_equal(w->conn->retransmits, 0);
	wire_advance(w, REORDER_MS + 3);
	assert_int_equal(w->conn->loss, LOSS_RECOVERY);
	assert_sent(w, 2);
	wire_close(w);
}

/* RFC 2883: all that was sent again came twice, so the window is as it was. */
static void test_needless_recovery_is_undone(void **state)
{
	static const uint32_t first[1][2] = {{0, 1}};
	struct wire *w = segments_sent(4, true);
	uint32_t cwnd = w->conn->cwnd_bytes;
	uint32_t ssthresh = w->conn->ssthresh_bytes;

	(void)state;
	sack(w, 0, 1, 4);
	assert_sent(w, 0);
	assert_true(w->conn->cwnd_bytes < cwnd);
	ack_with(w, 4, 0, NULL);
	ack_with(w, 4, 1, first);
	assert_int_equal(w->conn->loss, LOSS_NONE);
	assert_true(w->conn->cwnd_bytes >= cwnd);
	assert_int_equal(w->conn->ssthresh_bytes, ssthresh);
	assert_int_equal(w->conn->cc.phase, CC_SLOW_START); /* RFC 9438 4.9 */
	assert_true(w->conn->flags & CF_REORDERED);
	/* Once only. */
	cwnd = w->conn->cwnd_bytes;
	ack_with(w, 4, 1, first);
	assert_int_equal(w->conn->cwnd_bytes, cwnd);
	wire_close(w);
}

/* RFC 2883: what came twice is in the first block of the ACK, below it or within the second. */
static void test_duplicates_are_reported(void **state)
{
	struct wire_seg got;
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, 8, 5);
	wire_data(w, w->seq, rig_text, 1000);
	wire_drain(w);
	wire_data(w, w->seq, rig_text, 500);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.ack, w->seq + 1000);
	assert_int_equal(got.parsed.sack_count, 1);
	assert_int_equal(get_u32(got.parsed.sack), w->seq);
	assert_int_equal(get_u32(got.parsed.sack + 4), w->seq + 500);
	wire_data(w, w->seq + 2000, rig_text, 1000);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.parsed.sack_count, 1);
	wire_data(w, w->seq + 2100, rig_text, 300);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.parsed.sack_count, 2);
	assert_int_equal(get_u32(got.parsed.sack), w->seq + 2100);
	assert_int_equal(get_u32(got.parsed.sack + 4), w->seq + 2400);
	assert_int_equal(get_u32(got.parsed.sack + 8), w->seq + 2000);
	/* And once only. */
	wire_data(w, w->seq + 4000, rig_text, 100);
	assert_true(wire_take(w, &got));
	assert_int_equal(get_u32(got.parsed.sack), w->seq + 4000);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tail_is_probed),
	        cmocka_unit_test(test_probe_is_new_data),
	        cmocka_unit_test(test_probe_that_repairs_is_a_loss),
	        cmocka_unit_test(test_no_probe),
	        cmocka_unit_test(test_hole_near_the_end),
	        cmocka_unit_test(test_sack_on_an_ack_that_advances),
	        cmocka_unit_test(test_retransmission_is_lost),
	        cmocka_unit_test(test_only_what_was_lost_again),
	        cmocka_unit_test(test_silence_is_a_timeout),
	        cmocka_unit_test(test_reordering_is_learned),
	        cmocka_unit_test(test_needless_recovery_is_undone),
	        cmocka_unit_test(test_duplicates_are_reported),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
