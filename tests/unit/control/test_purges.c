/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges on their way to the cores: in order, before any answer, and none is lost, whatever happens
 * to rings, sockets and clocks. The fake cores remember what they were told as a tier does. */
#include "control/purge.h"
#include "rig.h"

struct confirmed {
	uint32_t calls;
	enum status st;
	uint64_t n;
};

static void note(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct confirmed *c = arg;

	(void)bytes;
	(void)len;
	c->calls++;
	c->st = st;
	c->n = n;
}

static uint64_t order(struct rig *r, enum inval_kind kind, const char *text, struct confirmed *c)
{
	struct purge_order o = {.kind = kind, .text = span_cstr(text)};

	return chan_server_purge(r->ctl.chan, &o, c != NULL ? note : NULL, c);
}

/* Would the core store an answer to this key that was born then? */
static enum inval_state judge(struct rig *r, uint32_t core, const char *key, uint64_t born)
{
	struct {
		struct object o;
		char key[64];
	} m = {.o = {.born_seq = born, .key_len = (uint32_t)strlen(key)}};

	strcpy(m.key, key);
	return inval_check_fill(r->core[core].inval, &m.o);
}

static bool both(struct rig *r, const char *key, uint64_t born, enum inval_state want)
{
	return judge(r, 0, key, born) == want && judge(r, 1, key, born) == want;
}

static void numbered(void **state)
{
	struct rig *r = *state;
	struct confirmed c = {0};
	uint64_t a = order(r, INVAL_KEY, "h/a", &c);
	uint64_t b = order(r, INVAL_PATTERN, "h/*", NULL);
	uint64_t all = order(r, INVAL_ALL, "", &c);

	assert_true(a < b && b < all);
	assert_int_equal(link_purge_seq(r->ctl.chan), all);
	RIG_UNTIL(r, c.calls == 2);
	assert_int_equal(c.st, ST_OK);
	assert_int_equal(c.n, 3 * RIG_CORES);
	for (uint32_t i = 0; i < RIG_CORES; i++) {
		assert_int_equal(r->core[i].purges, 3);
		assert_int_equal(r->core[i].last_purge.n, all);
		assert_int_equal(r->core[i].last_purge.block, CHAN_NO_BLOCK);
	}
	assert_true(both(r, "h/a", all - 1, INVAL_DEAD) && both(r, "h/a", all, INVAL_LIVE));
	assert_true(link_purge_next(r->ctl.chan) > all);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

/* A copy that is younger than the number is spared, an older one is not. */
static void replaced(void **state)
{
	struct rig *r = *state;
	uint64_t born = link_purge_next(r->ctl.chan);

	order(r, INVAL_TAG, "t", NULL);
	chan_server_replace(r->ctl.chan, SPAN_LIT("h/a"), born);
	RIG_UNTIL(r, r->core[0].purges == 2 && r->core[1].purges == 2);
	assert_int_equal(r->core[0].last_purge.n, born);
	assert_int_equal(r->core[0].last_purge.ticket.seq, 0);
	assert_true(both(r, "h/a", born - 1, INVAL_DEAD) && both(r, "h/a", born, INVAL_LIVE));
	rig_sock_break(r);
	rig_attach(r);
	for (int i = 0; i < 50; i++)
		rig_step(r);
	assert_int_equal(r->core[0].purges, 2); /* seen: nothing comes again */
}

/* A core that takes nothing: what is ordered meanwhile is kept for it, and comes before the answer
 * to what it asked. */
static void before_answers(void **state)
{
	struct rig *r = *state;
	struct confirmed c = {0};
	uint64_t born = link_purge_seq(r->ctl.chan);
	char key[32];

	r->core[1].paused = true;
	for (uint32_t i = 0; i < r->geo.ring_entries + 50; i++) {
		snprintf(key, sizeof(key), "h/%u", i);
		order(r, INVAL_KEY, key, NULL);
	}
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/10", .core = 1});
	order(r, INVAL_KEY, "h/last", &c);
	for (int i = 0; i < 100; i++)
		rig_step(r);
	assert_false(a->done);
	assert_int_equal(r->core[0].purges, r->geo.ring_entries + 51);
	assert_int_equal(c.calls, 0);
	r->core[1].paused = false;
	RIG_UNTIL(r, a->done);
	/* The answer came last. */
	assert_int_equal(judge(r, 1, "h/last", born), INVAL_DEAD);
	RIG_UNTIL(r, c.calls == 1);
	assert_int_equal(c.st, ST_OK);
	for (uint32_t i = 0; i < r->geo.ring_entries + 50; i++) {
		snprintf(key, sizeof(key), "h/%u", i);
		assert_true(both(r, key, born, INVAL_DEAD));
	}
	assert_true(both(r, "h/other", born, INVAL_LIVE));
}

/* Further behind than the log: it voids everything that it has. */
static void behind_the_log(void **state)
{
	struct rig *r = *state;
	struct chan_server_counts counts;
	uint64_t born = link_purge_seq(r->ctl.chan);
	char key[32];

	r->core[1].paused = true;
	for (uint32_t i = 0; i < r->geo.ring_entries + PURGE_LOG + 10; i++) {
		snprintf(key, sizeof(key), "h/%u", i);
		order(r, INVAL_KEY, key, NULL);
		if (i % 32 == 0)
			rig_step(r);
	}
	uint64_t last = link_purge_seq(r->ctl.chan);
	r->core[1].paused = false;
	RIG_UNTIL(r, judge(r, 1, "h/other", born) == INVAL_DEAD);
	assert_int_equal(judge(r, 1, "h/other", last), INVAL_LIVE);
	assert_int_equal(judge(r, 0, "h/other", born), INVAL_LIVE);
	chan_server_counts(r->ctl.chan, &counts);
	assert_int_equal(counts.purges_overrun, 1);
	/* It is in step again. */
	order(r, INVAL_KEY, "h/new", NULL);
	RIG_UNTIL(r, both(r, "h/new", last, INVAL_DEAD));
	assert_int_equal(judge(r, 1, "h/else", last), INVAL_LIVE);
}

/* Copies that were replaced, more than any log keeps: no purge is lost by it, and nothing is voided
 * that none hit. */
static void behind_replacements(void **state)
{
	struct rig *r = *state;
	struct chan_server_counts counts;
	uint64_t born = link_purge_seq(r->ctl.chan);
	uint32_t n = r->geo.ring_entries + PURGE_LOG + 100;
	char key[32];

	r->core[1].paused = true;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "h/%u", i);
		chan_server_replace(r->ctl.chan, span_cstr(key), link_purge_next(r->ctl.chan));
		if (i == r->geo.ring_entries + 50) /* it is in no ring, but in the log */
			order(r, INVAL_KEY, "h/gone", NULL);
		if (i % 32 == 0)
			rig_step(r);
	}
	r->core[1].paused = false;
	RIG_UNTIL(r, judge(r, 1, key, born) == INVAL_DEAD);
	assert_true(both(r, "h/gone", born, INVAL_DEAD));
	/* As all were told to the core that kept up: it is about them alone. */
	assert_true(both(r, "h/0", born, INVAL_DEAD));
	chan_server_counts(r->ctl.chan, &counts);
	assert_int_equal(counts.purges_overrun, 0);
	assert_true(counts.replaces_lost > 50 && counts.replaces_lost < n);
	assert_int_equal(r->core[0].purges, n + 1);
	assert_int_equal(r->core[1].purges, n + 1 - counts.replaces_lost);
}

static bool would_fill(struct rig *r, uint32_t core, const struct ask *a)
{
	return judge(r, core, a->key, a->head.born_seq) == INVAL_LIVE;
}

/* So many keys are purged that a core's table knows only that there were some in each place. What
 * the store has still, it may give to the cores; what was softly purged is as old as it was. */
static void after_many_purges(void **state)
{
	static const char *const paths[] = {"/store/10", "/vary/20", "/store/30"};
	struct rig *r = *state;
	struct ask *a[3];
	char key[32];

	for (uint32_t i = 0; i < 3; i++) {
		a[i] = rig_ask(r, &(struct rig_req){.path = paths[i], .key = paths[i]});
		RIG_UNTIL(r, a[i]->done);
	}
	struct purge_order soft = {.kind = INVAL_KEY, .soft = true, .text = span_cstr(paths[2])};
	uint64_t before = a[2]->head.born_seq;

	chan_server_purge(r->ctl.chan, &soft, NULL, NULL);
	for (uint32_t i = 0; i < 8 * INVAL_SLOTS_MIN; i++) {
		snprintf(key, sizeof(key), "h/%u", i);
		order(r, INVAL_KEY, key, NULL);
		if (i % 32 == 0)
			rig_step(r);
	}
	for (uint32_t i = 0; i < 2; i++) {
		assert_false(would_fill(r, 1, a[i])); /* as it was first sent */
		a[i] = rig_ask(r, &(struct rig_req){.path = paths[i], .key = paths[i], .core = 1});
		RIG_UNTIL(r, a[i]->done);
		assert_int_equal(a[i]->tier, CHAN_F_STORE);
		assert_true(would_fill(r, 1, a[i]));
	}
	/* The list before it as well. */
	assert_int_equal(judge(r, 1, r->core[1].put_key, r->core[1].last_put.born_seq), INVAL_LIVE);
	a[2] = rig_ask(r, &(struct rig_req){.path = paths[2],
	                                    .key = paths[2],
	                                    .core = 1,
	                                    .fields = "Cache-Control: max-stale\r\n"});
	RIG_UNTIL(r, a[2]->done);
	if (a[2]->tier == CHAN_F_STORE)
		assert_int_equal(a[2]->head.born_seq, before);
	/* A purge that comes later voids them as any. */
	order(r, INVAL_KEY, paths[0], NULL);
	RIG_UNTIL(r, !would_fill(r, 1, a[0]));
}

/* A purge of long ago, that was kept for us: what was asked for since then stays, in the store as
 * in the cores, and a core that was not there gets it with the next attachment. */
static void of_long_ago(void **state)
{
	struct rig *r = *state;
	uint64_t before_us = link_purge_now(r->ctl.chan);
	struct purge_order late = {.kind = INVAL_KEY, .foreign = true, .before_us = before_us};
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/store/10", .key = "/store/10"});

	RIG_UNTIL(r, a->done);
	assert_true(a->head.born_seq >= before_us);
	order(r, INVAL_KEY, "h/between", NULL);
	late.text = SPAN_LIT("/store/10");
	assert_true(chan_server_purge(r->ctl.chan, &late, NULL, NULL) > before_us);
	late.text = SPAN_LIT("");
	late.kind = INVAL_ALL;
	chan_server_purge(r->ctl.chan, &late, NULL, NULL);
	RIG_UNTIL(r, r->core[0].purges == 3 && r->core[1].purges == 3);
	assert_true(both(r, "/store/10", before_us, INVAL_LIVE));
	assert_true(both(r, "/store/10", before_us - 1, INVAL_DEAD));
	a = rig_ask(r, &(struct rig_req){.path = "/store/10", .key = "/store/10", .core = 1});
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->tier, CHAN_F_STORE);
	/* Its place in the order is that of its arrival. */
	rig_sock_break(r);
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
	late.kind = INVAL_TAG;
	late.text = SPAN_LIT("/tag");
	late.before_us = before_us - 5;
	chan_server_purge(r->ctl.chan, &late, NULL, NULL);
	rig_attach(r);
	RIG_UNTIL(r, r->core[0].last_purge.code == INVAL_TAG);
	assert_int_equal(r->core[0].last_purge.n, before_us - 5);
	/* None from the future. */
	late.before_us = UINT64_MAX >> 2;
	uint64_t last = chan_server_purge(r->ctl.chan, &late, NULL, NULL);
	RIG_UNTIL(r, r->core[0].last_purge.n == last);
}

/* The clock went back while no control was there: purges are younger than every answer that the
 * cores have, also where they saw none since. */
static void answers_from_the_future(void **state)
{
	struct rig *r = *state;
	uint64_t ahead = link_purge_seq(r->ctl.chan) + 100000000;

	rig_sock_break(r);
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
	r->core[1].born_max = ahead;
	rig_attach(r);
	RIG_UNTIL(r, chan_server_attached(r->ctl.chan));
	order(r, INVAL_KEY, "h/a", NULL);
	RIG_UNTIL(r, both(r, "h/a", ahead, INVAL_DEAD));
}

/* The attachment breaks with purges in a ring (this core throws them away) and others ordered while
 * it is down: all come with the next. */
static void again_after_a_break(void **state)
{
	struct rig *r = *state;
	struct confirmed c = {0};
	uint64_t born = link_purge_seq(r->ctl.chan);

	order(r, INVAL_KEY, "h/a", &c);
	RIG_UNTIL(r, c.calls == 1);
	r->core[0].paused = r->core[1].paused = true;
	order(r, INVAL_KEY, "h/b", &c);
	order(r, INVAL_TAG, "t", NULL);
	rig_step(r);
	rig_sock_break(r);
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
	assert_int_equal(c.calls, 2);
	assert_int_equal(c.st, ST_CLOSED);
	order(r, INVAL_PATTERN, "h/c*", &c);
	assert_int_equal(c.calls, 3);
	assert_int_equal(c.st, ST_CLOSED);
	r->core[0].paused = r->core[1].paused = false;
	assert_true(both(r, "h/b", born, INVAL_LIVE));
	rig_attach(r);
	RIG_UNTIL(r, both(r, "h/b", born, INVAL_DEAD) && both(r, "h/cc", born, INVAL_DEAD));
	assert_int_equal(r->core[0].purges, 4); /* and "h/a" did not come again */
	assert_int_equal(r->core[1].purges, 4);
}

/* A core that saw purges of a control whose clock was ahead: ours are younger all the same, also
 * one that was ordered before the core said so. */
static void clock_went_back(void **state)
{
	struct rig *r = *state;
	uint64_t ahead = link_purge_seq(r->ctl.chan) + 1000000;

	rig_sock_break(r);
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
	order(r, INVAL_KEY, "h/a", NULL);
	r->core[1].purges_seen = ahead;
	rig_attach(r);
	RIG_UNTIL(r, r->core[1].purges == 1);
	assert_int_equal(judge(r, 1, "h/a", ahead), INVAL_DEAD);
	assert_true(link_purge_seq(r->ctl.chan) > ahead);
	order(r, INVAL_KEY, "h/b", NULL);
	RIG_UNTIL(r, both(r, "h/b", ahead, INVAL_DEAD));
}

/* No block for its text: it waits, and the core's answers with it. */
static void without_blocks(void **state)
{
	struct rig *r = *state;
	uint64_t born = link_purge_seq(r->ctl.chan);
	struct ask *hold[64];
	uint32_t n = 0;

	while (chan_server_down_blocks_free(r->ctl.chan) > 0 && n < ARRAY_LEN(hold)) {
		struct ask *a =
		        rig_ask(r, &(struct rig_req){.path = "/fixed/8000000", .hold = true});

		hold[n++] = a;
		for (int i = 0; i < 200 && chan_server_down_blocks_free(r->ctl.chan) > 0; i++)
			rig_step(r);
	}
	order(r, INVAL_KEY, "h/a", NULL);
	for (uint32_t i = 0; i < n; i++)
		rig_cancel(r, 0, hold[i]);
	rig_release_all(r, 0);
	RIG_UNTIL(r, both(r, "h/a", born, INVAL_DEAD));
}

/* Answers wait behind a purge, and the purge for a block: what comes back must be the purge's. */
static void before_waiting_answers(void **state)
{
	const struct rig_req q = {.path = "/store/10", .key = "/store/10", .core = 1};
	struct rig_req held = {.path = "/store/10", .key = "/store/10", .hold = true};
	struct ask *waiting[700];
	struct rig *r;

	(void)state;
	r = rig_new_with(
	        &(struct rig_options){.upstream = "", .route = "", .store_bytes = 64u << 20});
	rig_attach(r);
	struct ask *a = rig_ask(r, &q);
	RIG_UNTIL(r, a->done);
	rig_release_all(r, 1);
	for (int n = 0; n < 600 && r->ctl.chan->down.slab.free_count > 0; n++) {
		rig_ask(r, &held);
		for (int i = 0; i < 4; i++)
			rig_step(r);
	}
	assert_int_equal(r->ctl.chan->down.slab.free_count, 0);
	for (uint32_t i = 0; i < ARRAY_LEN(waiting); i++) {
		waiting[i] = rig_ask(r, &q);
		rig_step(r);
	}
	order(r, INVAL_KEY, "h/a", NULL);
	rig_release_all(r, 0);
	for (uint32_t i = 0; i < ARRAY_LEN(waiting); i++)
		RIG_UNTIL(r, waiting[i]->done);
	RIG_UNTIL(r, r->core[0].purges > 0 && r->core[1].purges > 0);
	rig_free(r);
}

static void words(void **state)
{
	static const struct {
		enum purge_by by;
		const char *name;
		enum inval_kind kind;
		const char *text; /* NULL: refused */
	} rows[] = {
	        {PURGE_BY_KEY, "h/a", INVAL_KEY, "h/a"},
	        {PURGE_BY_PATTERN, "h/*", INVAL_PATTERN, "h/*"},
	        {PURGE_BY_TAG, "t", INVAL_TAG, "tag:t"},
	        {PURGE_BY_GROUP, "http://h:80 g", INVAL_TAG, "group:http://h:80 g"},
	        {PURGE_BY_USER, "u", INVAL_TAG, "user:u"},
	        {PURGE_BY_TENANT, "t", INVAL_TAG, "tenant:t"},
	        {PURGE_BY_POLICY, "p", INVAL_TAG, "policy:p"},
	        {PURGE_BY_RULE, "r", INVAL_TAG, "rule:r"},
	        {PURGE_BY_ALL, "", INVAL_ALL, ""},
	        {PURGE_BY_ALL, "x", INVAL_ALL, ""},
	        {PURGE_BY_KEY, "", INVAL_KEY, NULL},
	        {PURGE_BY_TAG, "", INVAL_TAG, NULL},
	};
	static char big[INVAL_TEXT_MAX + 1];
	char buf[INVAL_TEXT_MAX];
	struct purge_order o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ok = purge_order_make(rows[i].by, span_cstr(rows[i].name), buf, &o);

		assert_true(ok == (rows[i].text != NULL));
		if (!ok)
			continue;
		assert_int_equal(o.kind, rows[i].kind);
		assert_true(span_eq(o.text, span_cstr(rows[i].text)));
	}
	memset(big, 'x', sizeof(big) - 1);
	assert_true(purge_order_make(PURGE_BY_KEY, span_of(big, INVAL_TEXT_MAX), buf, &o));
	assert_false(purge_order_make(PURGE_BY_KEY, span_of(big, INVAL_TEXT_MAX + 1), buf, &o));
	assert_true(purge_order_make(PURGE_BY_TAG, span_of(big, INVAL_TEXT_MAX - 4), buf, &o));
	assert_false(purge_order_make(PURGE_BY_TAG, span_of(big, INVAL_TEXT_MAX - 3), buf, &o));
	assert_null(purge_by_name(PURGE_BYS));
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(numbered),
	        T(replaced),
	        T(before_answers),
	        T(behind_the_log),
	        T(of_long_ago),
	        T(answers_from_the_future),
	        T(behind_replacements),
	        T(after_many_purges),
	        T(again_after_a_break),
	        T(clock_went_back),
	        T(without_blocks),
	        cmocka_unit_test(before_waiting_answers),
	        cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
