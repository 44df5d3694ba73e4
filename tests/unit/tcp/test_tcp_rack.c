/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loss detection by time (RFC 8985) and the scoreboard under it: the reordering window, probes, and
 * a window full of holes against a receiver that is made here, over a link of 20 ms, for which the
 * time to recover is measured and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static struct loss_rig rig;

enum {
	LINK_SEGMENTS = 700,
	LINK_BLOCKS = 4,
	LINK_QUEUE = 4096,
};

/* The receiver: which segments it has, its newest blocks, and what is on its way to and from it. */
struct receiver {
	bool has[LINK_SEGMENTS];
	uint32_t next; /* first that it lacks */
	uint32_t newest[LINK_BLOCKS];
	bool (*drops)(uint32_t segment, uint32_t times);
	uint32_t times[LINK_SEGMENTS]; /* that it was sent */
	struct {
		uint64_t due_ns;
		uint32_t segment;
		uint32_t tsval;
	} queue[LINK_QUEUE];
	uint32_t queue_head;
	uint32_t queue_tail;
	uint64_t gap_ns;  /* between two segments, when they come */
	uint64_t last_ns; /* when the last of the queue comes */
};

static uint32_t drop_seed;

static struct receiver receiver;

static uint32_t block_of(const struct receiver *x, uint32_t segment, struct lr_run *run)
{
	run->lo = run->hi = segment;
	while (run->lo > x->next && x->has[run->lo - 1])
		run->lo--;
	while (run->hi < LINK_SEGMENTS && x->has[run->hi])
		run->hi++;
	return run->lo;
}

/* RFC 2018 4: the block of what came last in front, then those before it. */
static void receiver_take(struct loss_rig *r, struct receiver *x, uint32_t segment, uint32_t tsval)
{
	struct lr_run runs[LINK_BLOCKS];
	uint32_t n = 0;

	if (segment == x->next)
		r->tsecr = tsval; /* RFC 7323 4.3 (2) */
	x->has[segment] = true;
	while (x->next < LINK_SEGMENTS && x->has[x->next])
		x->next++;
	memmove(&x->newest[1], &x->newest[0], sizeof(x->newest) - sizeof(x->newest[0]));
	x->newest[0] = segment;
	for (uint32_t i = 0; i < LINK_BLOCKS; i++) {
		bool known = x->newest[i] < x->next;
		struct lr_run run;

		block_of(x, x->newest[i], &run);
		for (uint32_t k = 0; k < n; k++)
			known |= runs[k].lo == run.lo;
		if (!known)
			runs[n++] = run;
	}
	lr_ack(r, x->next, n, runs);
}

/* What was sent comes 20 ms later, unless it is dropped; answers take no time. */
static void link_step(struct loss_rig *r, struct receiver *x)
{
	struct wire_seg got;

	while (wire_take(&r->w, &got)) {
		uint32_t segment = (got.seq - r->w.ack) / r->mss;

		if (got.len == 0)
			continue;
		assert_true(segment < LINK_SEGMENTS);
		if (x->drops(segment, x->times[segment]++))
			continue;
		x->queue[x->queue_tail].segment = segment;
		x->queue[x->queue_tail].tsval = got.parsed.tsval;
		x->last_ns = max_u64(x->last_ns + x->gap_ns, r->w.now_ns + LR_TRIP_MS * NS_PER_MS);
		x->queue[x->queue_tail].due_ns = x->last_ns;
		x->queue_tail = (x->queue_tail + 1) % LINK_QUEUE;
	}
	while (x->queue_head != x->queue_tail && x->queue[x->queue_head].due_ns <= r->w.now_ns) {
		uint32_t at = x->queue_head;

		x->queue_head = (at + 1) % LINK_QUEUE;
		receiver_take(r, x, x->queue[at].segment, x->queue[at].tsval);
	}
}

/* Runs until all segments arrived; returns the milliseconds. */
static uint32_t link_run(struct loss_rig *r, struct receiver *x, uint32_t segments)
{
	uint32_t ms = 0;

	while (x->next < segments) {
		wire_advance(&r->w, 1);
		link_step(r, x);
		assert_true(++ms < 100000);
	}
	return ms;
}

/* The segments that lr_open sent are on their way, but for those that drop says. */
static void link_open(struct loss_rig *r, struct receiver *x, const struct loss_rig_opts *o,
                      bool (*drops)(uint32_t segment, uint32_t times))
{
	memset(x, 0, sizeof(*x));
	x->drops = drops;
	lr_open(r, o);
	for (uint32_t i = 0; i < o->segments; i++) {
		if (drops(i, x->times[i]++))
			continue;
		x->queue[x->queue_tail].segment = i;
		x->queue[x->queue_tail].tsval = r->tsecr;
		x->queue[x->queue_tail++].due_ns = r->w.now_ns + LR_TRIP_MS * NS_PER_MS;
	}
}

/* 200 of 500, in pairs and alone. */
static bool drop_200(uint32_t segment, uint32_t times)
{
	return times == 0 && segment < 500 && segment % 5 < 4 && segment % 5 % 2 == 0;
}

static bool drop_third(uint32_t segment, uint32_t times)
{
	return times < 2 && segment % 3 == 0 && (times == 0 || segment % 2 == 0);
}

static bool drop_half(uint32_t segment, uint32_t times)
{
	return times == 0 && segment < 500 && segment % 2 == 0;
}

static bool drop_tail(uint32_t segment, uint32_t times)
{
	return times == 0 && segment >= 300 && segment < 500;
}

static bool drop_head(uint32_t segment, uint32_t times)
{
	return times == 0 && segment < 300;
}

/* Bounds in round trips of 20 ms, with the scoreboard that it takes and with none. */
static void test_many_holes(void **state)
{
	static const struct {
		const char *name;
		bool (*drops)(uint32_t segment, uint32_t times);
		uint32_t trips;
		uint32_t trips_scarce;
		uint32_t extra; /* sent more often than was lost */
	} cases[] = {
	        {"200 of 500", drop_200, 3, 5, 1},
	        {"250 of 500", drop_half, 3, 5, 1},
	        {"third, every other twice", drop_third, 4, 20, 1},
	        {"the last 200", drop_tail, 4, 4, 1},
	        {"the first 300", drop_head, 3, 3, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int scarce = 0; scarce < 2; scarce++) {
			struct loss_rig_opts o = {.segments = 500,
			                          .queued = 100,
			                          .below = 300 * 1460,
			                          .boards = scarce ? UINT32_MAX : 0};
			struct loss_rig *r = &rig;
			uint32_t lost = 0;
			uint32_t ms;

			link_open(r, &receiver, &o, cases[i].drops);
			ms = link_run(r, &receiver, 600);
			for (uint32_t k = 0; k < 600; k++)
				for (uint32_t t = 0; t < receiver.times[k]; t++)
					lost += cases[i].drops(k, t);
			print_message("%-26s %s %3u ms, %u lost, %u sent again, %lu timeouts\n",
			              cases[i].name, scarce ? "few runs  " : "scoreboard", ms, lost,
			              r->w.conn->retransmits,
			              (unsigned long)lr_counter(r, CTR_tcp_rto));
			if (!scarce) {
				assert_true(r->w.conn->retransmits <= lost + cases[i].extra);
				assert_int_equal(lr_counter(r, CTR_tcp_rto), 0);
				assert_true(ms <= cases[i].trips * LR_TRIP_MS + 5);
			} else {
				assert_true(ms <= cases[i].trips_scarce * LR_TRIP_MS + 5);
			}
			lr_ack(r, 600, 0, NULL);
			assert_int_equal(r->w.conn->ls.run_count, 0);
			assert_null(r->w.conn->ls.block);
			lr_close(r);
		}
}

static bool drop_first_twice(uint32_t segment, uint32_t times)
{
	return times < (segment == 0 ? 2 : segment == 33 || segment == 36 || segment == 49 ? 1 : 0);
}

static bool drop_two_late(uint32_t segment, uint32_t times)
{
	return times == 0 && (segment == 0 || segment == 7 || segment == 8);
}

/* Holes that SACK shows after the recovery began, in what was sent before: each is lost as soon as
 * what was sent behind it has arrived (RFC 8985 6.2), though there is nothing else to be sent and
 * what was sent again is yet to arrive. Segments come four in a millisecond. */
static void test_holes_one_by_one(void **state)
{
	static const struct {
		const char *name;
		uint32_t segments;
		bool (*drops)(uint32_t segment, uint32_t times);
		uint32_t ms; /* the last of them arrives, a round trip, and that of what is lost
		                twice */
	} cases[] = {
	        {"two behind the first", 11, drop_two_late, 3 + 2 * LR_TRIP_MS},
	        {"the first twice", 68, drop_first_twice, 17 + 3 * LR_TRIP_MS},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct loss_rig_opts o = {.segments = cases[i / 2].segments, .ts = i % 2};
		struct receiver *x = &receiver;
		struct loss_rig *r = &rig;
		uint32_t ms;

		link_open(r, x, &o, cases[i / 2].drops);
		for (uint32_t k = 0; k < x->queue_tail; k++)
			x->queue[k].due_ns += x->queue[k].segment / 4 * NS_PER_MS;
		ms = link_run(r, x, o.segments);
		print_message("%-26s %3u ms\n", cases[i / 2].name, ms);
		assert_true(ms <= cases[i / 2].ms + 3);
		assert_int_equal(lr_counter(r, CTR_tcp_rto), 0);
		lr_ack(r, o.segments, 0, NULL);
		lr_close(r);
	}
}

/* One in twenty, whatever was drawn for the others. */
static bool drop_some(uint32_t segment, uint32_t times)
{
	uint64_t x = ((uint64_t)drop_seed << 40 | (uint64_t)segment << 8 | times) + 1;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (x ^ x >> 31) % 20 == 0;
}

/* A path that keeps the order of what it carries and loses no ACK, with a segment every 200 us:
 * what has arrived is never sent again, but by a probe or a timeout. */
static void test_nothing_in_vain(void **state)
{
	uint32_t vain = 0;
	uint32_t lost = 0;

	(void)state;
	for (drop_seed = 0; drop_seed < 100; drop_seed++) {
		struct loss_rig_opts o = {.segments = 16, .queued = 300, .ts = drop_seed % 2};
		struct receiver *x = &receiver;
		struct loss_rig *r = &rig;
		uint32_t drops = 0;
		uint32_t sent = 0;
		uint64_t excused;

		link_open(r, x, &o, drop_some);
		x->gap_ns = 200 * NS_PER_US;
		while (x->next < o.segments + o.queued) {
			r->w.now_ns += 50 * NS_PER_US;
			wire_run(&r->w);
			link_step(r, x);
		}
		for (uint32_t k = 0; k < LINK_SEGMENTS; k++) {
			sent += x->times[k];
			for (uint32_t t = 0; t < x->times[k]; t++)
				drops += drop_some(k, t);
		}
		excused = lr_counter(r, CTR_tcp_tail_probe) + lr_counter(r, CTR_tcp_rto);
		if (excused == 0)
			vain += sent - drops - o.segments - o.queued;
		lost += drops;
		lr_ack(r, o.segments + o.queued, 0, NULL);
		lr_close(r);
	}
	print_message("%u lost, %u sent again in vain\n", lost, vain);
	assert_true(lost > 1000);
	assert_int_equal(vain, 0);
}

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
	        cmocka_unit_test(test_many_holes),      cmocka_unit_test(test_holes_one_by_one),
	        cmocka_unit_test(test_nothing_in_vain), cmocka_unit_test(test_reordering_window),
	        cmocka_unit_test(test_dsack_rounds),    cmocka_unit_test(test_reordering_seen),
	        cmocka_unit_test(test_ambiguous),       cmocka_unit_test(test_probe_time),
	        cmocka_unit_test(test_probe_dupack),    cmocka_unit_test(test_lies),
	        cmocka_unit_test(test_noise),           cmocka_unit_test(test_lies_far_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
