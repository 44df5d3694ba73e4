/* SPDX-License-Identifier: BSD-2-Clause */
#include "hot_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void test_pins(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put("pinned", "stay here");
	const struct object *o = get("pinned");
	uint64_t a = hot_pin(fx.t, o);
	uint64_t b = hot_pin(fx.t, o);
	put_many("other", 10000, 500);
	assert_true(holds(o, "stay here"));
	hot_unpin(fx.t, a);
	put_many("other", 10000, 500);
	assert_true(holds(o, "stay here"));

	/* Purged and replaced, it still stays. */
	purge_and_count(INVAL_PATTERN, false, "*");
	put("pinned", "new");
	put_many("third", 10000, 500);
	assert_true(holds(o, "stay here"));
	hot_unpin(fx.t, b);
	put_many("fourth", 10000, 500);
	assert_false(holds(o, "stay here"));
	teardown();
}

/* A segment that was evicted between get and pin is not reused while pinned. */
static void test_pin_evicted(void **state)
{
	struct cache_key key = key_of("a/1");

	(void)state;
	setup(MIB, 4096);
	const struct object *o = put("a/1", "old");
	struct hot_seg *seg = &fx.t->segs[hot_seg_of(fx.t, unit_of(o))];
	for (uint32_t i = 0; seg->queue != HOT_FREE; i++)
		put_many("x", 1, 100 + i % 400);
	assert_null(hot_get(fx.t, &key));
	uint64_t pin = hot_pin(fx.t, o);
	put_many("y", 5000, 400);
	assert_true(holds(o, "old"));
	hot_unpin(fx.t, pin);
	teardown();
}

/* Open fills until no segment is left; then everything goes on. */
static void test_full(void **state)
{
	static struct hot_fill fills[4096];
	char text[32];
	uint32_t n = 0;
	enum status st = ST_OK;

	(void)state;
	setup(MIB, 4096);
	for (; n < ARRAY_LEN(fills); n++) {
		snprintf(text, sizeof(text), "f/%u", n);
		struct cache_key key = key_of(text);
		st = fill_begin(&fills[n], &key, 3800);
		if (st != ST_OK)
			break;
	}
	assert_int_equal(st, ST_FULL);
	assert_null(fills[n].obj);
	assert_in_range(n, 100, 256);
	hot_table_check(fx.t);
	for (uint32_t i = 0; i < n; i++) {
		char body[3800];

		memset(body, (int)i, sizeof(body));
		assert_int_equal(hot_fill_append(fx.t, &fills[i], span_of(body, sizeof(body))),
		                 ST_OK);
	}
	for (uint32_t i = 0; i < n; i++) {
		const char *body = (const char *)fills[i].obj + hot_entry_head_bytes(fills[i].obj);

		assert_int_equal(body[0], (char)i);
		assert_int_equal(body[3799], (char)i);
		if (i % 2 == 0)
			hot_fill_abort(fx.t, &fills[i]);
		else
			assert_non_null(hot_fill_commit(fx.t, &fills[i]));
	}
	assert_int_equal(hot_count(fx.t), n / 2);
	put_many("g", 2000, 1000);
	teardown();
}

/* Keys that are used survive any number of keys that are not. */
static void test_scan_resistance(void **state)
{
	char text[32];

	(void)state;
	setup(4 * MIB, 4096);
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "hot/%u", i);
		put(text, text);
	}
	for (uint32_t round = 0; round < 200; round++) {
		char prefix[32];

		for (uint32_t i = 0; i < 100; i++) {
			snprintf(text, sizeof(text), "hot/%u", i);
			if (!holds(get(text), text))
				fail_msg("round %u: %s", round, text);
		}
		snprintf(prefix, sizeof(prefix), "scan%u", round);
		put_many(prefix, 500, 900);
	}
	assert_true(counter_read(&fx.ctr, CTR_cache_evict) > 90000);
	assert_in_range(counter_read(&fx.ctr, CTR_cache_bytes), 3 * MIB, 4 * MIB);
	teardown();
}

static uint8_t queue_of(const struct object *o)
{
	return fx.t->segs[hot_seg_of(fx.t, unit_of(o))].queue;
}

/* What left the small queue lately comes back into the main queue. */
static void test_ghost(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put_many("fill", 3000, 500); /* main has entries only when some are used */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(queue_of(put("a/1", "x")), i == 0 ? HOT_SMALL : HOT_MAIN);
		for (uint32_t n = 0; get("a/1") != NULL && n < 100; n++) {
			struct hot_place at;
			struct cache_key key = key_of("a/1");
			assert_true(hot_index_find(fx.t, &key, &at));
			at.b->freq[at.slot] = 0;
			put_many("next", 100, 500);
		}
		if (i == 0)
			assert_null(get("a/1"));
	}
	teardown();
}

/* A new object of a key that is in main goes to main, with the key's use. */
static void test_refresh_keeps_queue(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put("a/1", "x");
	get("a/1");
	for (uint32_t n = 0; n < 5000 && queue_of(get("a/1")) != HOT_MAIN; n++)
		put_many("next", 1, 500 + n % 100);
	assert_int_equal(queue_of(get("a/1")), HOT_MAIN);
	assert_int_equal(queue_of(put("a/1", "y")), HOT_MAIN);
	assert_true(holds(get("a/1"), "y"));
	teardown();
}

static void test_expired_dropped(void **state)
{
	struct cache_key key = key_of("short");
	struct hot_fill f = {0};
	struct head h;

	(void)state;
	for (uint32_t late = 0; late < 2; late++) {
		setup(MIB, 4096);
		head_make(&h, &key, 0);
		h.o.expires_ms = 5000;
		assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
		assert_non_null(hot_fill_commit(fx.t, &f));
		hot_set_wall(fx.t, late ? 5000 : 4999);
		for (uint32_t i = 0; i < 100; i++) {
			get("short");
			put_many("other", 100, 500);
		}
		assert_true((get("short") == NULL) == (late == 1));
		teardown();
	}
	/* Without a clock the newest answer tells the time. */
	setup(MIB, 4096);
	hot_fill_begin(fx.t, &f, &h.o, 0);
	assert_non_null(hot_fill_commit(fx.t, &f));
	h.o.response_ms = 5000;
	h.o.hash.lo++;
	hot_fill_begin(fx.t, &f, &h.o, 0);
	assert_non_null(hot_fill_commit(fx.t, &f));
	for (uint32_t i = 0; i < 100; i++) {
		get("short");
		put_many("other", 100, 500);
	}
	assert_null(get("short"));
	teardown();
}

static uint8_t *freq_of(const char *text)
{
	struct cache_key key = key_of(text);
	struct hot_place at;

	return hot_index_find(fx.t, &key, &at) ? &at.b->freq[at.slot] : NULL;
}

static uint64_t segments_opened(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < fx.t->seg_count; i++)
		n += fx.t->segs[i].gen;
	return n;
}

/* Every entry is used as much as can be: one put still copies four segments at most. */
static void test_all_used(void **state)
{
	uint64_t most = 0;
	char text[32];

	(void)state;
	setup(MIB, 4096);
	for (uint32_t i = 0; i < 20000; i++) {
		uint64_t before = segments_opened();

		snprintf(text, sizeof(text), "k/%u", i);
		assert_non_null(put(text, "some body of the entry"));
		if (segments_opened() - before > most)
			most = segments_opened() - before;
		for (uint32_t k = 0; k < HOT_FREQ_MAX; k++)
			assert_non_null(get(text));
	}
	assert_in_range(most, 2, HOT_FREQ_MAX + 2);
	assert_true(hot_count(fx.t) > 1000);

	/* Not even when all that is old was just used. */
	for (uint32_t i = 0; i < fx.t->bucket_count; i++)
		memset(fx.t->buckets[i].freq, HOT_FREQ_MAX, HOT_SLOTS);
	uint64_t before = segments_opened();
	uint32_t small = fx.t->queues[HOT_SMALL].open;
	for (uint32_t i = 0; fx.t->queues[HOT_SMALL].open == small; i++)
		put_many("one", 1, i % 200);
	assert_in_range(segments_opened() - before, 1, HOT_FREQ_MAX + 2);
	teardown();
}

/* One use is enough to go from small to main. */
static void test_one_use(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put("used", "x");
	put("unused", "x");
	get("used");
	for (uint32_t i = 0; freq_of("unused") != NULL; i++)
		put_many("other", 1, 400 + i % 100);
	assert_non_null(freq_of("used"));
	assert_int_equal(*freq_of("used"), 0);
	assert_int_equal(queue_of(get("used")), HOT_MAIN);
	teardown();
}

/* Each use beyond that is one more round in main. */
static void test_main_rounds(void **state)
{
	/* Entries of the size that the index is made for. */
	static const char long_body[] = "some body of the entry, and some more of it, and some "
	                                "more of it, so that there are slots for all";
	const struct hot_entry *was = NULL;
	uint32_t moves = 0;
	char text[32];

	(void)state;
	setup(MIB, 4096);
	put("a/1", "x");
	*freq_of("a/1") = 1;
	for (uint32_t i = 0; freq_of("a/1") != NULL && i < 1000000; i++) {
		struct cache_key key = key_of("a/1");
		struct hot_place at;

		snprintf(text, sizeof(text), "k/%u", i);
		put(text, long_body);
		get(text);
		if (!hot_index_find(fx.t, &key, &at))
			break;
		const struct hot_entry *o = hot_at(fx.t, at.b->unit[at.slot]);
		if (was != NULL && o != was && moves++ == 0)
			at.b->freq[at.slot] = HOT_FREQ_MAX;
		was = o;
	}
	assert_null(freq_of("a/1"));
	assert_in_range(moves, 3, HOT_FREQ_MAX + 1);
	teardown();
}

static void test_refresh_keeps_use(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put("a/1", "x");
	assert_int_equal(*freq_of("a/1"), 0);
	for (uint32_t i = 1; i <= 5; i++) {
		get("a/1");
		assert_int_equal(*freq_of("a/1"), min_u32(i, HOT_FREQ_MAX));
		put("a/1", "y");
		assert_int_equal(*freq_of("a/1"), min_u32(i, HOT_FREQ_MAX));
	}
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pins),
	        cmocka_unit_test(test_pin_evicted),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_scan_resistance),
	        cmocka_unit_test(test_ghost),
	        cmocka_unit_test(test_refresh_keeps_queue),
	        cmocka_unit_test(test_expired_dropped),
	        cmocka_unit_test(test_all_used),
	        cmocka_unit_test(test_one_use),
	        cmocka_unit_test(test_main_rounds),
	        cmocka_unit_test(test_refresh_keeps_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
