/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A window full of holes against a receiver that is made here, over a link of 20 ms: the time to
 * repair it is measured and bounded, and so is what is sent for it. */
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

/* A path that keeps the order of what it carries and loses no ACK: what has arrived is never sent
 * again, but by a probe or a timeout. A segment takes 200 us, or more, so that a window is longer
 * than the round trip of 20 ms and a queue grows while something is missing. */
static void test_nothing_in_vain(void **state)
{
	static const uint32_t gaps_us[] = {200, 1000, 2000};
	uint32_t vain = 0;
	uint32_t lost = 0;

	(void)state;
	for (drop_seed = 0; drop_seed < 150; drop_seed++) {
		struct loss_rig_opts o = {.segments = 16, .queued = 300, .ts = drop_seed % 2};
		struct receiver *x = &receiver;
		struct loss_rig *r = &rig;
		uint32_t drops = 0;
		uint32_t sent = 0;
		uint64_t excused;

		link_open(r, x, &o, drop_some);
		x->gap_ns = gaps_us[drop_seed / 50] * NS_PER_US;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_many_holes),
	        cmocka_unit_test(test_holes_one_by_one),
	        cmocka_unit_test(test_nothing_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
