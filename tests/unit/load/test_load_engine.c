/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's engine over a transport that does whatever a transport may: refuses connections
 * and sends, ends links for any reason at any time, hands over answers in any pieces. It holds the
 * engine to the contract of transport.h, and in the end every request must be accounted for. */
#include "lib/clock.h"
#include "perf/load/engine.h"
#include "perf/load/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define LINKS 64u

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
#define OK_LEN (sizeof(ok) - 1)

/* How often a thing happens where it may: a share of 1000. */
struct habits {
	uint32_t no_link; /* connect returns NULL */
	uint32_t refuse;  /* the handshake fails */
	uint32_t no_room; /* send takes nothing */
	uint32_t end;     /* an open link ends */
	uint32_t split;   /* an answer comes in two pieces */
	uint32_t hold;    /* an answer waits for another round */
	uint32_t garbage;
	uint32_t extra;  /* an answer to nothing */
	uint32_t full;   /* it takes nothing until the next poll, else two requests */
	uint32_t per_ms; /* most answers a millisecond; 0: any */
	bool close;      /* the server ends each connection that says Connection: close */
};

enum place { PLACE_FREE, PLACE_CONNECTING, PLACE_OPEN };

struct link {
	enum place place;
	void *owner;
	uint64_t owed;   /* requests without an answer */
	size_t answered; /* bytes of the answer under way */
	bool no_room;
	bool last; /* a request said Connection: close */
};

struct liar {
	struct transport base;
	struct transport_config cfg;
	struct link links[LINKS];
	struct load_rng rng;
	bool polling;
	uint32_t takes; /* requests until the next poll */
	uint64_t now_ns;
	uint64_t began_ns; /* of the first request */
	uint64_t given;    /* whole answers */
};

/* What the transport does in this test, and what it saw. */
static struct habits habits;
static struct {
	uint64_t requests;
	uint64_t no_links;
	uint64_t shuts;
	uint64_t aborts;
} saw;

static const struct transport_ops liar_ops;

static struct liar *liar_of(struct transport *t)
{
	return container_of(t, struct liar, base);
}

static bool chance(struct liar *t, uint32_t share)
{
	return load_rng_below(&t->rng, 1000) < share;
}

static enum status liar_open(struct transport **out, const struct transport_config *cfg,
                             char err[TRANSPORT_ERR])
{
	struct liar *t = calloc(1, sizeof(*t));

	(void)err;
	assert_non_null(t);
	assert_in_range(cfg->links, 1, LINKS);
	t->base.ops = &liar_ops;
	t->cfg = *cfg;
	load_rng_seed(&t->rng, 1, 2);
	t->takes = 1;
	*out = &t->base;
	return ST_OK;
}

static void liar_close(struct transport *t)
{
	assert_false(liar_of(t)->polling);
	free(t);
}

static struct link *liar_connect(struct transport *base, void *owner)
{
	struct liar *t = liar_of(base);
	uint32_t used = 0;
	struct link *l = NULL;

	for (uint32_t i = 0; i < LINKS; i++) {
		used += t->links[i].place != PLACE_FREE;
		if (t->links[i].place == PLACE_FREE)
			l = &t->links[i];
	}
	assert_true(used < t->cfg.links);
	if (chance(t, habits.no_link)) {
		saw.no_links++;
		return NULL;
	}
	*l = (struct link){.place = PLACE_CONNECTING, .owner = owner};
	return l;
}

static bool liar_send(struct transport *base, struct link *l, const void *data, size_t len)
{
	struct liar *t = liar_of(base);

	assert_int_equal(l->place, PLACE_OPEN);
	assert_false(l->no_room);
	assert_false(l->last);
	assert_memory_equal((const char *)data + len - 4, "\r\n\r\n", 4);
	assert_true(t->takes > 0);
	t->takes--;
	if (chance(t, habits.no_room)) {
		l->no_room = true;
		return false;
	}
	l->owed++;
	l->last = memmem(data, len, "\r\nConnection: close\r\n", 21) != NULL;
	saw.requests++;
	return true;
}

static void liar_shut(struct transport *t, struct link *l)
{
	(void)t;
	assert_int_equal(l->place, PLACE_OPEN);
	l->place = PLACE_FREE;
	saw.shuts++;
}

static void liar_abort(struct transport *t, struct link *l)
{
	(void)t;
	assert_int_not_equal(l->place, PLACE_FREE);
	l->place = PLACE_FREE;
	saw.aborts++;
}

static void end(struct liar *t, struct link *l, enum link_end why)
{
	l->place = PLACE_FREE;
	t->cfg.sink.ended(l->owner, why, t->now_ns);
}

/* Hands over n bytes; the link may be gone, or another's, when it returns. */
static void give(struct liar *t, struct link *l, const char *bytes, size_t n)
{
	char *copy = malloc(n);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	t->cfg.sink.data(l->owner, copy, n, t->now_ns);
	free(copy);
}

static void answer(struct liar *t, struct link *l)
{
	size_t left = OK_LEN - l->answered;
	size_t n = chance(t, habits.split) ? 1 + load_rng_below(&t->rng, left) : left;
	const char *at = ok + l->answered;

	if (chance(t, habits.garbage) && l->answered == 0) {
		give(t, l, "garbage", 7);
		return;
	}
	l->answered = n == left ? 0 : l->answered + n;
	l->owed -= n == left;
	t->given += n == left;
	give(t, l, at, n);
}

static bool has_time(struct liar *t)
{
	if (habits.per_ms == 0)
		return true;
	if (t->began_ns == 0)
		t->began_ns = t->now_ns;
	return t->given < (t->now_ns - t->began_ns) * habits.per_ms / NS_PER_MS;
}

/* One thing that happens on a link. */
static uint32_t happen(struct liar *t, struct link *l)
{
	if (l->place == PLACE_CONNECTING) {
		if (chance(t, habits.refuse)) {
			end(t, l, (enum link_end)(LINK_REFUSED + load_rng_below(&t->rng, 3)));
			return 1;
		}
		l->place = PLACE_OPEN;
		t->cfg.sink.connected(l->owner, t->now_ns);
		return 1;
	}
	if (chance(t, habits.end)) {
		end(t, l, (enum link_end)load_rng_below(&t->rng, LINK_UNREACHABLE + 1));
		return 1;
	}
	if (l->no_room) {
		l->no_room = false;
		t->cfg.sink.room(l->owner, t->now_ns);
		return 1;
	}
	if (l->owed > 0 && has_time(t) && !chance(t, habits.hold)) {
		answer(t, l);
		return 1;
	}
	if (l->owed == 0 && l->last && habits.close) {
		end(t, l, LINK_FINISHED);
		return 1;
	}
	if (l->owed == 0 && chance(t, habits.extra)) {
		give(t, l, ok, OK_LEN);
		return 1;
	}
	return 0;
}

static uint32_t liar_poll(struct transport *base, uint64_t wait_until_ns)
{
	struct liar *t = liar_of(base);
	uint32_t did = 0;

	assert_false(t->polling);
	t->polling = true;
	t->takes = habits.full == 0 ? UINT32_MAX : chance(t, habits.full) ? 0 : 2;
	t->now_ns = clock_mono_ns();
	for (uint32_t i = 0; i < LINKS; i++)
		if (t->links[i].place != PLACE_FREE)
			did += happen(t, &t->links[i]);
	/* Without anything to do it waits, but not longer than it may. */
	while (did == 0 && clock_mono_ns() < min_u64(wait_until_ns, t->now_ns + 100 * NS_PER_US))
		;
	t->polling = false;
	return did;
}

static bool liar_takes(struct transport *base)
{
	return liar_of(base)->takes > 0;
}

static void liar_stats(const struct transport *t, struct transport_stats *out)
{
	(void)t;
	*out = (struct transport_stats){.busy_ns = clock_mono_ns()};
}

static const struct transport_ops liar_ops = {
        .name = "liar",
        .open = liar_open,
        .close = liar_close,
        .connect = liar_connect,
        .send = liar_send,
        .takes = liar_takes,
        .shut = liar_shut,
        .abort = liar_abort,
        .poll = liar_poll,
        .stats = liar_stats,
};

/* --- runs --- */

static struct scenario scenario_of(enum load_mode mode, double level)
{
	struct scenario s;

	scenario_default(&s);
	s.stages[0].mode = mode;
	s.stages[0].from = s.stages[0].to = level;
	s.stages[0].duration_ns = 200 * NS_PER_MS;
	s.timeout_ns = 2 * NS_PER_S;
	s.max_connections = LINKS;
	return s;
}

static uint64_t failed(const struct load_counts *n)
{
	return n->errors[LOAD_ERR_RESET] + n->errors[LOAD_ERR_CLOSED] +
	       n->errors[LOAD_ERR_TIMEOUT] + n->errors[LOAD_ERR_PROTOCOL];
}

/* Runs it; every request must be answered or an error. The caller frees the result. */
static struct result *run(struct scenario *s, const struct habits *h, bool reset)
{
	struct engine_config cfg = {
	        .scenario = s,
	        .ops = &liar_ops,
	        .transport = {.host = "liar", .port = 1},
	        .workers = 1,
	        .reset = reset,
	};
	struct engine_notes notes;
	char err[TRANSPORT_ERR];
	struct result *r = result_create(s);
	const struct load_counts *n = &r->total.counts;
	uint64_t in_stages = 0;

	habits = *h;
	memset(&saw, 0, sizeof(saw));
	assert_non_null(r);
	assert_int_equal(engine_run(&cfg, r, &notes, err), ST_OK);
	assert_int_equal(notes.no_room, saw.no_links);
	assert_int_equal(n->sent, saw.requests);
	/* An answer to nothing, and an end of another kind, are errors without a request. */
	if (h->extra == 0 && h->end == 0)
		assert_int_equal(n->sent, n->answered + failed(n));
	assert_true(n->sent <= n->answered + load_errors(n));
	assert_int_equal(r->total.latency.count, n->answered + n->errors[LOAD_ERR_TIMEOUT]);
	assert_int_equal(n->bytes_in, n->answered * OK_LEN);
	assert_int_equal(n->status[200], n->answered);
	for (uint32_t i = 0; i < s->stage_count; i++)
		in_stages += r->stages[i].counts.sent;
	assert_int_equal(in_stages, n->sent);
	return r;
}

static void finish(struct result *r, struct scenario *s)
{
	result_destroy(r);
	scenario_free(s);
}

/* Users wait in turn for a transport that takes a request now and then. Whoever waits when a stage
 * ends goes on in the next: else none would be left at the last. */
static void full_now_and_then(void **state)
{
	static const struct habits full = {.full = 900};
	enum { STAGES = 12, OPEN_STAGE = 9 };

	(void)state;
	for (uint32_t depth = 1; depth <= 8; depth += 7) {
		struct scenario s = scenario_of(LOAD_CLOSED, 16);

		s.pipeline = depth;
		s.connections = 16;
		s.stage_count = STAGES;
		for (uint32_t i = 0; i < STAGES; i++) {
			s.stages[i] = s.stages[0];
			s.stages[i].duration_ns = 20 * NS_PER_MS;
		}
		/* A slow machine may miss a short one. */
		s.stages[STAGES - 1].duration_ns = 400 * NS_PER_MS;
		s.stages[OPEN_STAGE].mode = LOAD_OPEN;
		s.stages[OPEN_STAGE].from = s.stages[OPEN_STAGE].to = 5000;
		struct result *r = run(&s, &full, false);

		assert_int_equal(
		        load_errors(&r->total.counts) - r->total.counts.errors[LOAD_ERR_UNSENT], 0);
		assert_true(r->stages[STAGES - 1].counts.answered > 0);
		finish(r, &s);
	}
}

static void nothing_goes_wrong(void **state)
{
	static const struct habits good = {.split = 300, .hold = 500, .no_room = 100};

	(void)state;
	for (uint32_t depth = 1; depth <= 8; depth += 7)
		for (uint32_t mode = 0; mode < 2; mode++) {
			struct scenario s =
			        scenario_of((enum load_mode)mode, mode == 0 ? 16 : 5000);

			s.pipeline = depth;
			s.connections = mode * 16;
			struct result *r = run(&s, &good, false);
			assert_int_equal(load_errors(&r->total.counts) -
			                         r->total.counts.errors[LOAD_ERR_UNSENT],
			                 0);
			assert_true(r->total.counts.answered > 20);
			finish(r, &s);
		}
}

/* Each mode of connections and load, with everything going wrong now and then. */
static void everything_goes_wrong(void **state)
{
	static const struct habits bad = {
	        .no_link = 100,
	        .refuse = 100,
	        .no_room = 100,
	        .end = 20,
	        .split = 300,
	        .hold = 300,
	        .garbage = 20,
	        .extra = 5,
	        .close = true,
	};
	uint64_t good = 0;
	uint64_t failures = 0;

	(void)state;
	for (uint32_t i = 0; i < 36; i++) {
		static const uint64_t most[] = {0, 1, 3};
		static const uint32_t pools[] = {0, 8};
		struct scenario s = scenario_of(i % 2 ? LOAD_OPEN : LOAD_CLOSED, i % 2 ? 3000 : 20);

		s.requests_per_connection = most[i / 2 % 3];
		s.connections = pools[i / 6 % 2];
		s.pipeline = i / 12 % 3 * 3 + 1;
		s.think_max_ns = i % 4 == 0 ? NS_PER_MS : 0;
		struct result *r = run(&s, &bad, i % 3 == 0);
		good += r->total.counts.answered;
		failures += load_errors(&r->total.counts);
		finish(r, &s);
	}
	assert_true(good > 300);
	assert_true(failures > 300);
}

/* A pool that grows on need has all of its places again when connections were lost. */
static void no_place_is_lost(void **state)
{
	static const struct habits bad = {.end = 300, .refuse = 100};
	struct scenario s = scenario_of(LOAD_OPEN, 2000);

	(void)state;
	s.max_connections = 4;
	struct result *r = run(&s, &bad, false);
	assert_true(r->total.counts.connected > 8);
	assert_true(r->total.counts.errors[LOAD_ERR_UNSENT] < 200);
	finish(r, &s);
}

/* A server that makes half of what is offered has half of the rate, also when all is answered a
 * while after the stage. */
static void rate_of_an_overload(void **state)
{
	static const struct habits slow = {.per_ms = 4};
	struct scenario s = scenario_of(LOAD_OPEN, 8000);

	(void)state;
	s.max_connections = 8;
	struct result *r = run(&s, &slow, false);
	assert_int_equal(r->total.counts.errors[LOAD_ERR_UNSENT], 0);
	assert_in_range(r->total.counts.answered, 1500, 1700);
	assert_in_range((uint64_t)result_figure(&r->total, FIGURE_RATE), 2000, 4800);
	finish(r, &s);
}

static void ends_have_their_kinds(void **state)
{
	static const struct {
		struct habits habits;
		enum load_error error;
	} kinds[] = {
	        {{.refuse = 1000}, LOAD_ERR_CONNECT},
	        {{.garbage = 1000}, LOAD_ERR_PROTOCOL},
	        {{.hold = 1000}, LOAD_ERR_TIMEOUT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct scenario s = scenario_of(LOAD_CLOSED, 4);

		s.timeout_ns = 50 * NS_PER_MS;
		struct result *r = run(&s, &kinds[i].habits, false);
		assert_true(r->total.counts.errors[kinds[i].error] > 3);
		assert_int_equal(load_errors(&r->total.counts),
		                 r->total.counts.errors[kinds[i].error]);
		finish(r, &s);
	}
}

/* Orderly ends are no resets, unless asked for. */
static void connections_end_as_asked_for(void **state)
{
	static const struct habits good = {.close = false};

	(void)state;
	for (uint32_t reset = 0; reset < 2; reset++) {
		struct scenario s = scenario_of(LOAD_CLOSED, 4);

		s.requests_per_connection = 1;
		struct result *r = run(&s, &good, reset == 1);
		assert_int_equal(load_errors(&r->total.counts), 0);
		assert_int_equal(reset == 1 ? saw.aborts : saw.shuts, saw.requests);
		assert_int_equal(reset == 1 ? saw.shuts : saw.aborts, 0);
		assert_int_equal(r->total.counts.connected, r->total.counts.sent);
		finish(r, &s);
	}
}

/* A request belongs to the stage in which it was sent, and one mode follows another. */
static void stages_follow_each_other(void **state)
{
	static const struct habits good = {.hold = 500, .split = 100};
	static const struct {
		enum load_mode mode;
		double from, to;
	} stages[] = {
	        {LOAD_CLOSED, 1, 20},  {LOAD_CLOSED, 20, 3}, {LOAD_OPEN, 0, 4000},
	        {LOAD_OPEN, 4000, 10}, {LOAD_CLOSED, 5, 5},  {LOAD_OPEN, 1000, 1000},
	};
	struct scenario s = scenario_of(LOAD_CLOSED, 1);

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(stages); i++)
		s.stages[i] = (struct load_stage){.mode = stages[i].mode,
		                                  .from = stages[i].from,
		                                  .to = stages[i].to,
		                                  .duration_ns = 100 * NS_PER_MS};
	s.stage_count = ARRAY_LEN(stages);
	s.warmup_ns = 50 * NS_PER_MS;
	habits = good;
	struct engine_config cfg = {
	        .scenario = &s, .ops = &liar_ops, .workers = 1, .transport = {.host = "liar"}};
	struct engine_notes notes;
	char err[TRANSPORT_ERR];
	struct result *r = result_create(&s);

	assert_non_null(r);
	assert_int_equal(engine_run(&cfg, r, &notes, err), ST_OK);
	for (uint32_t i = 0; i < s.stage_count; i++) {
		const struct load_counts *n = &r->stages[i].counts;

		assert_int_equal(n->sent, n->answered);
		assert_true(n->answered > 0);
		if (stages[i].mode == LOAD_OPEN)
			assert_in_range(n->sent + n->errors[LOAD_ERR_UNSENT],
			                (uint64_t)((stages[i].from + stages[i].to) / 20) - 1,
			                (uint64_t)((stages[i].from + stages[i].to) / 20) + 1);
	}
	assert_true(r->offered > 1500 && r->offered < 1700);
	finish(r, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_goes_wrong),
	        cmocka_unit_test(full_now_and_then),
	        cmocka_unit_test(everything_goes_wrong),
	        cmocka_unit_test(no_place_is_lost),
	        cmocka_unit_test(rate_of_an_overload),
	        cmocka_unit_test(ends_have_their_kinds),
	        cmocka_unit_test(connections_end_as_asked_for),
	        cmocka_unit_test(stages_follow_each_other),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
