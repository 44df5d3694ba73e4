/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shared store's front over the backend in memory: gets, puts, batches, what purges make void,
 * refusals. What needs a server is in tests/e2e/test_l3.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "cache/inval.h"
#include "cache/l3.h"
#include "lib/http1.h"

#include "l3_fixture.h"

struct world {
	struct loop *loop;
	struct l3 *l3;
};

static const struct l3_config memory_config = {
        .backend = "memory",
        .prefix = "t:",
        .in_flight = 8,
        .compress_bytes = 1024,
        .max_object_bytes = 100000,
        .memory_bytes = 300000,
};

static struct world open_world(const struct l3_config *cfg)
{
	struct loop_config lc = {.entries = 64};
	struct world w;

	assert_int_equal(loop_create(&w.loop, &lc), ST_OK);
	assert_int_equal(l3_create(&w.l3, w.loop, cfg), ST_OK);
	return w;
}

static void close_world(struct world *w)
{
	l3_destroy(w->l3);
	loop_destroy(w->loop);
}

static void store(struct world *w, const char *key, size_t body_len, uint64_t keep_ms)
{
	struct object *o = fixture_object(key, FIXTURE_FIELDS, body_len);
	char *body = fixture_body(body_len, 1);
	struct l3_item item = fixture_item(o, body);

	item.keep_ms = keep_ms;
	l3_put(w->l3, &item, 1);
	free(body);
	free(o);
}

struct got {
	uint32_t calls;
	enum status st;
	size_t body_len;
};

static void on_get(void *arg, enum status st, const struct object *head, struct span body)
{
	struct got *g = arg;

	g->calls++;
	g->st = st;
	g->body_len = body.len;
	assert_true((st == ST_OK) == (head != NULL));
}

static void wait_for(struct world *w, const struct got *g)
{
	for (int i = 0; i < 1000 && g->calls == 0; i++)
		loop_once(w->loop, NS_PER_MS);
	assert_int_equal(g->calls, 1);
}

static enum status fetch(struct world *w, const char *key)
{
	struct got g = {0};
	struct l3_ask ask = {.key = span_cstr(key), .fn = on_get, .arg = &g};

	if (l3_get(w->l3, &ask, 1) == 0)
		return ask.st;
	assert_int_equal(g.calls, 0); /* never within the call */
	wait_for(w, &g);
	return g.st;
}

static void test_put_get_delete(void **state)
{
	struct world w = open_world(&memory_config);
	struct l3_counts c;

	(void)state;
	assert_true(l3_enabled(w.l3));
	assert_int_equal(fetch(&w, "a"), ST_NOTFOUND);
	store(&w, "a", 5000, 60000);
	assert_int_equal(fetch(&w, "a"), ST_OK);
	assert_int_equal(fetch(&w, "aa"), ST_NOTFOUND);
	l3_delete(w.l3, SPAN_LIT("a"));
	assert_int_equal(fetch(&w, "a"), ST_NOTFOUND);
	store(&w, "never", 10, 0);
	assert_int_equal(fetch(&w, "never"), ST_NOTFOUND);
	store(&w, "huge", 100000, 1000);
	assert_int_equal(fetch(&w, "huge"), ST_NOTFOUND);
	l3_counts(w.l3, &c);
	assert_true(c.gets == 6 && c.hits == 1 && c.misses == 5 && c.puts == 1 && c.too_big == 1);
	close_world(&w);
}

static void test_expiry_and_room(void **state)
{
	struct world w = open_world(&memory_config);
	char key[8] = "k0";

	(void)state;
	store(&w, "short", 10, 1);
	loop_once(w.loop, 5 * NS_PER_MS);
	loop_once(w.loop, 5 * NS_PER_MS);
	while (fetch(&w, "short") == ST_OK)
		; /* until its millisecond is over */
	for (int i = 0; i < 8; i++) {
		key[1] = (char)('0' + i);
		store(&w, key, 50000, 60000);
	}
	assert_int_equal(fetch(&w, "k7"), ST_OK);
	assert_int_equal(fetch(&w, "k4"), ST_OK);
	assert_int_equal(fetch(&w, "k0"), ST_NOTFOUND);
	close_world(&w);
}

static void test_batch_cancel_limit(void **state)
{
	struct world w = open_world(&memory_config);
	struct got g[10] = {0};
	struct l3_ask asks[10];

	(void)state;
	store(&w, "a", 10, 60000);
	for (uint32_t i = 0; i < 10; i++)
		asks[i] = (struct l3_ask){
		        .key = i % 2 ? SPAN_LIT("a") : SPAN_LIT("b"), .fn = on_get, .arg = &g[i]};
	assert_int_equal(l3_get(w.l3, asks, 10), 8);
	assert_true(asks[8].wait == NULL && asks[8].st == ST_FULL && asks[9].st == ST_FULL);
	l3_cancel(asks[3].wait);
	wait_for(&w, &g[7]);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(g[i].calls, i != 3);
		if (i != 3)
			assert_int_equal(g[i].st, i % 2 ? ST_OK : ST_NOTFOUND);
	}
	assert_true(g[8].calls == 0 && g[9].calls == 0);
	/* The store ends while one waits. */
	struct got last = {0};
	struct l3_ask ask = {.key = SPAN_LIT("a"), .fn = on_get, .arg = &last};
	assert_int_equal(l3_get(w.l3, &ask, 1), 1);
	close_world(&w);
	assert_true(last.calls == 1 && last.st == ST_CLOSED);
}

static const struct {
	const char *what;
	uint8_t kind;
	const char *text;
	int64_t purge_ms, asked_ms; /* from now */
	bool is_void;
} purge_rows[] = {
        {"key", INVAL_KEY, "h/a", 0, -100, true},
        {"another key", INVAL_KEY, "h/b", 0, -100, false},
        {"pattern", INVAL_PATTERN, "h/*", 0, -100, true},
        {"another pattern", INVAL_PATTERN, "g/*", 0, -100, false},
        {"tag", INVAL_TAG, FIXTURE_TAG, 0, -100, true},
        {"another tag", INVAL_TAG, "tag:other", 0, -100, false},
        {"all", INVAL_ALL, "", 0, -100, true},
        {"long before", INVAL_KEY, "h/a", -5000, -100, false},
        {"within the skew", INVAL_KEY, "h/a", -900, -100, true},
        {"at the skew", INVAL_KEY, "h/a", -1100, -100, true},
        {"beyond the skew", INVAL_KEY, "h/a", -1102, -100, false},
        {"a clock an hour ahead", INVAL_KEY, "h/a", 3600000, -100, true},
};

/* A purge that is seen makes void what was stored before, and what comes after from before. */
static void test_purges(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(purge_rows); i++) {
		struct object *o = fixture_object("h/a", FIXTURE_FIELDS, 3);
		struct l3_item item = fixture_item(o, "abc");
		uint64_t now_ms = fixture_wall_ms();
		struct l3_purge p = {
		        .kind = purge_rows[i].kind,
		        .text = span_cstr(purge_rows[i].text),
		        .wall_ms = now_ms + (uint64_t)purge_rows[i].purge_ms,
		};
		/* Two fronts over stores of their own: before and after the purge. */
		struct world before = open_world(&memory_config);
		struct world after = open_world(&memory_config);
		enum status got;

		item.asked_ms = now_ms + (uint64_t)purge_rows[i].asked_ms;
		l3_put(before.l3, &item, 1);
		l3_publish_purge(before.l3, &p);
		got = fetch(&before, "h/a");
		if ((got != ST_OK) != purge_rows[i].is_void &&
		    !(purge_rows[i].kind == INVAL_KEY && got == ST_NOTFOUND &&
		      strcmp(purge_rows[i].text, "h/a") == 0)) /* deleted, whenever it was asked */
			fail_msg("%s: stored before: %s", purge_rows[i].what, status_text(got));
		l3_publish_purge(after.l3, &p);
		l3_put(after.l3, &item, 1);
		got = fetch(&after, "h/a");
		if ((got != ST_OK) != purge_rows[i].is_void)
			fail_msg("%s: stored after: %s", purge_rows[i].what, status_text(got));
		close_world(&before);
		close_world(&after);
		free(o);
	}
}

/* A clock that was far ahead when it purged does not void what is asked later for an hour. */
static void test_purge_of_wrong_clock(void **state)
{
	struct world w = open_world(&memory_config);
	struct object *o = fixture_object("h/a", FIXTURE_FIELDS, 3);
	struct l3_item item = fixture_item(o, "abc");
	struct l3_purge p = {.kind = INVAL_KEY, .text = SPAN_LIT("h/a")};

	(void)state;
	p.wall_ms = fixture_wall_ms() + 3600000;
	l3_publish_purge(w.l3, &p);
	item.asked_ms = fixture_wall_ms() + 2 * L3_SKEW_MS + 2;
	l3_put(w.l3, &item, 1);
	struct l3_counts c;
	l3_counts(w.l3, &c);
	assert_true(c.puts == 1 && c.stale == 0);
	/* But a value from further ahead than the skew is not taken. */
	assert_int_equal(fetch(&w, "h/a"), ST_INVALID);
	l3_counts(w.l3, &c);
	assert_int_equal(c.stale, 1);
	free(o);
	close_world(&w);
}

static void test_none_and_unknown(void **state)
{
	struct l3_config cfg = memory_config;
	struct world w;
	struct l3 *l3;

	(void)state;
	cfg.backend = "none";
	w = open_world(&cfg);
	assert_false(l3_enabled(w.l3));
	store(&w, "a", 10, 60000);
	l3_delete(w.l3, SPAN_LIT("a"));
	l3_publish_purge(w.l3, &(struct l3_purge){.kind = INVAL_ALL});
	assert_int_equal(fetch(&w, "a"), ST_NOTFOUND);
	cfg.backend = "memcached";
	assert_int_equal(l3_create(&l3, w.loop, &cfg), ST_INVALID);
	cfg.backend = "redis";
	cfg.addresses_count = 0;
	assert_int_equal(l3_create(&l3, w.loop, &cfg), ST_INVALID);
	const char *const bad[] = {"nowhere", "a:1", "b:2"};
	cfg.addresses = bad;
	cfg.addresses_count = 1;
	assert_int_equal(l3_create(&l3, w.loop, &cfg), ST_INVALID);
	cfg.addresses_count = 2;
	assert_int_equal(l3_create(&l3, w.loop, &cfg), ST_INVALID);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_put_get_delete),
	        cmocka_unit_test(test_expiry_and_room),
	        cmocka_unit_test(test_batch_cancel_limit),
	        cmocka_unit_test(test_purges),
	        cmocka_unit_test(test_purge_of_wrong_clock),
	        cmocka_unit_test(test_none_and_unknown),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
