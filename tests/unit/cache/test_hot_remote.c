/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Look-ups from other cores: alone, and with the owner at work between their steps. Threads are in
 * test_hot_threads.c. */
#include "cache/hot_remote.h"

#include <stdio.h>
#include <stdlib.h>

#include "hot_fixture.h"

static struct hot_remote remote;

/* What happens between the steps of a look-up: cache/hot_remote.c calls it there. */
void hot_remote_step(void);
static void (*step_fn)(void);
static uint32_t step_at; /* steps until step_fn runs */

void hot_remote_step(void)
{
	void (*fn)(void) = step_fn;

	if (fn == NULL || step_at-- > 0)
		return;
	step_fn = NULL;
	fn();
}

static void setup_remote(uint32_t readers)
{
	struct hot_config cfg = {.memory_bytes = MIB, .max_object_bytes = 4096, .readers = readers};

	memset(&fx, 0, sizeof(fx));
	assert_int_equal(hot_create(&fx.t, &cfg, &fx.ctr), ST_OK);
	hot_remote_open(&remote, fx.t, readers - 1);
}

static uint32_t holds_of(uint32_t seg)
{
	uint32_t sum = 0;

	for (uint32_t r = 0; r < fx.t->readers; r++)
		sum += fx.t->remote_pins[r * hot_pin_row(fx.t->seg_count) + seg];
	return sum;
}

static uint32_t holds_all(void)
{
	uint32_t sum = 0;

	for (uint32_t s = 0; s < fx.t->seg_count; s++)
		sum += holds_of(s);
	return sum;
}

static const struct object *remote_get(const char *text, uint32_t *hold)
{
	struct cache_key key = key_of(text);

	return kept(hot_remote_get(&remote, &key, hold));
}

static void test_readers(void **state)
{
	static const struct {
		uint32_t readers;
		enum status st;
	} rows[] = {{0, ST_OK}, {1, ST_OK}, {63, ST_OK}, {255, ST_OK}, {256, ST_INVALID}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hot_config cfg = {.memory_bytes = 4 * MIB,
		                         .max_object_bytes = 4096,
		                         .readers = rows[i].readers};
		struct hot_table *t;

		assert_int_equal(hot_create(&t, &cfg, &fx.ctr), rows[i].st);
		if (t == NULL)
			continue;
		const char *end = t->log + hot_unit_bytes(t, (uint64_t)t->seg_count * t->seg_units);
		assert_true(end <= (char *)t->shm.base + cfg.memory_bytes);
		assert_true(
		        (char *)(t->remote_pins + rows[i].readers * hot_pin_row(t->seg_count)) <=
		        (char *)t->buckets);
		assert_true((uintptr_t)t->remote_pins % CACHE_LINE == 0);
		hot_destroy(t);
	}
}

static void test_find(void **state)
{
	struct cache_key a = key_of("a/1"), b = key_of("a/2"), longer = key_of("a/11");
	uint32_t hold, other;

	(void)state;
	setup_remote(3);
	assert_null(remote_get("a/1", &hold));
	const struct object *o = put("a/1", "one");
	assert_true(same_place(remote_get("a/1", &hold), o));
	assert_int_equal(holds_all(), 1);
	assert_int_equal(holds_of(hot_seg_of(fx.t, unit_of(o))), 1);
	assert_true(same_place(remote_get("a/1", &other), o));
	assert_int_equal(holds_all(), 2);
	hot_remote_drop(&remote, hold);
	hot_remote_drop(&remote, other);
	assert_int_equal(holds_all(), 0);

	/* Another key of the same hash; the same text under another hash: not found, not held. */
	b.hash = longer.hash = a.hash;
	assert_null(hot_remote_get(&remote, &b, &hold));
	assert_null(hot_remote_get(&remote, &longer, &hold));
	a.hash.lo ^= 1ull << 63;
	assert_null(hot_remote_get(&remote, &a, &hold));
	assert_int_equal(holds_all(), 0);
	put_key(&b, "two");
	assert_true(holds(hot_remote_get(&remote, &b, &hold), "two"));
	assert_true(holds(remote_get("a/1", &other), "one"));
	hot_remote_drop(&remote, hold);
	hot_remote_drop(&remote, other);

	purge(INVAL_KEY, false, "a/1");
	assert_null(remote_get("a/1", &hold));
	assert_int_equal(holds_all(), 0);
	teardown();
}

/* More keys than one bucket takes: each that the owner finds is found in its second one too. */
static void test_second_bucket(void **state)
{
	char text[32];
	uint32_t hold, found = 0;

	(void)state;
	setup_remote(1);
	for (uint32_t i = 0; i < 14; i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		struct cache_key key = key_of(text);
		key.hash = (struct hash128){.lo = 77, .hi = 99 + ((uint64_t)i << 32)};
		assert_non_null(put_key(&key, text));
	}
	for (uint32_t i = 0; i < 14; i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		struct cache_key key = key_of(text);
		key.hash = (struct hash128){.lo = 77, .hi = 99 + ((uint64_t)i << 32)};
		const struct object *o = kept(hot_remote_get(&remote, &key, &hold));
		assert_true(same_place(o, hot_get(fx.t, &key)));
		if (o == NULL)
			continue;
		found++;
		hot_remote_drop(&remote, hold);
		assert_true(same_place(
		        hot_remote_at(&remote, key.hash, hot_place_of(fx.t, o), &hold), o));
		hot_remote_drop(&remote, hold);
	}
	assert_int_equal(found, 14);
	assert_int_equal(holds_all(), 0);
	teardown();
}

static void test_place(void **state)
{
	struct cache_key a = key_of("a/1"), other = a;
	uint32_t hold;

	(void)state;
	setup_remote(1);
	const struct object *o = put("a/1", "one");
	uint32_t place = hot_place_of(fx.t, o);
	assert_true(same_place(hot_remote_at(&remote, a.hash, place, &hold), o));
	hot_remote_drop(&remote, hold);
	assert_null(hot_remote_at(&remote, a.hash, place + 1, &hold));
	assert_null(hot_remote_at(&remote, key_of("a/2").hash, place, &hold));
	/* Tag, buckets and place are right, and the hash is not. */
	other.hash.lo ^= 1ull << 63;
	assert_null(hot_remote_at(&remote, other.hash, place, &hold));
	put("a/1", "two");
	assert_null(hot_remote_at(&remote, a.hash, place, &hold));
	assert_int_equal(holds_all(), 0);
	teardown();
}

/* A use by another core counts: the entry survives what is not used. */
static void test_use(void **state)
{
	uint32_t hold;

	(void)state;
	setup_remote(1);
	put("used", "x");
	put("unused", "x");
	assert_non_null(remote_get("used", &hold));
	hot_remote_drop(&remote, hold);
	for (uint32_t i = 0; i < 100000 && remote_get("unused", &hold) != NULL; i++) {
		struct cache_key key = key_of("unused");
		struct hot_place at;

		hot_remote_drop(&remote, hold);
		assert_true(hot_index_find(fx.t, &key, &at));
		at.b->freq[at.slot] = 0;
		put_many("other", 1, 400 + i % 100);
	}
	assert_null(get("unused"));
	assert_non_null(get("used"));
	teardown();
}

/* What is held stays, also purged and replaced, and is used anew once it is let go. */
static void test_hold(void **state)
{
	uint32_t a, b;

	(void)state;
	setup_remote(2);
	put("held", "stay here");
	const struct object *o = remote_get("held", &a);
	assert_true(same_place(remote_get("held", &b), o));
	put_many("other", 10000, 500);
	assert_true(holds(o, "stay here"));
	hot_remote_drop(&remote, a);
	purge(INVAL_KEY, false, "held");
	put("held", "new");
	put_many("third", 10000, 500);
	assert_true(holds(o, "stay here"));
	hot_table_check(fx.t);
	hot_remote_drop(&remote, b);
	put_many("fourth", 10000, 500);
	assert_false(holds(o, "stay here"));
	assert_int_equal(holds_all(), 0);
	teardown();
}

/* Every segment is held: fills get ST_FULL, what is there stays whole; then all goes on. */
static void test_all_held(void **state)
{
	static uint32_t hold[4096];
	static const char body[500] = "body";
	struct hot_fill f = {0};
	char text[32];
	uint32_t n = 0;
	enum status st = ST_OK;

	(void)state;
	setup_remote(1);
	for (uint32_t i = 0; st == ST_OK && i < ARRAY_LEN(hold); i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		struct cache_key key = key_of(text);
		st = fill_begin(&f, &key, sizeof(body));
		if (st != ST_OK)
			break;
		assert_int_equal(hot_fill_append(fx.t, &f, span_of(body, sizeof(body))), ST_OK);
		assert_non_null(hot_fill_commit(fx.t, &f));
		if (remote_get(text, &hold[n]) != NULL)
			n++;
	}
	assert_int_equal(st, ST_FULL);
	assert_int_equal(holds_all(), n);
	hot_table_check(fx.t);
	while (n > 0)
		hot_remote_drop(&remote, hold[--n]);
	put_many("g", 2000, 1000);
	teardown();
}

/* --- what the owner does between two steps of a look-up --- */

static void step_nothing(void)
{
}

static void step_purge(void)
{
	purge(INVAL_KEY, false, "a/1");
}

static void step_replace(void)
{
	put("a/1", "two");
}

/* Purged, and its memory used for others. */
static void step_reuse(void)
{
	step_purge();
	put_many("other", 3000, 500);
}

static void step_evict(void)
{
	put_many("other", 3000, 500);
}

/* The same slot, tag and hash, another key. */
static void step_other(void)
{
	struct cache_key key = key_of("a/1");

	step_purge();
	key.text = SPAN_LIT("b/2");
	put_key(&key, "foreign");
}

/* Its entry moves to its second bucket. */
static void step_crowd(void)
{
	char text[32];

	for (uint32_t i = 0; i < 2 * HOT_SLOTS; i++) {
		snprintf(text, sizeof(text), "crowd/%u", i);
		struct cache_key key = key_of(text);
		key.hash = key_of("a/1").hash;
		key.hash.lo ^= 1ull << 63;
		key.hash.hi += i + 1;
		put_key(&key, "crowd");
	}
}

/* The index grows, and its bucket is split. */
static void step_grow(void)
{
	uint32_t buckets = fx.t->bucket_count;

	put_many("small", 1000, 1);
	assert_true(fx.t->bucket_count > buckets);
}

static void test_steps(void **state)
{
	static const struct {
		void (*fn)(void);
		bool must_find;
	} rows[] = {
	        {step_nothing, true}, {step_purge, false}, {step_replace, false},
	        {step_reuse, false},  {step_evict, false}, {step_other, false},
	        {step_crowd, false},  {step_grow, false},
	};
	uint32_t steps_of_a_find = 3;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows) * steps_of_a_find; i++) {
		uint32_t hold;

		setup_remote(1);
		put("a/1", "one");
		step_fn = rows[i / steps_of_a_find].fn;
		step_at = (uint32_t)(i % steps_of_a_find);
		const struct object *o = remote_get("a/1", &hold);
		if (step_fn != NULL)
			fail_msg("row %zu: the look-up has other steps", i);
		if (o == NULL && rows[i / steps_of_a_find].must_find)
			fail_msg("row %zu: not found", i);
		/* Held it stays what it was, whatever comes. */
		put_many("more", 3000, 500);
		if (o != NULL && (!span_eq(object_key(o), SPAN_LIT("a/1")) ||
		                  !(holds(o, "one") || holds(o, "two"))))
			fail_msg("row %zu: found something else", i);
		assert_int_equal(holds_all(), o != NULL);
		if (o != NULL)
			hot_remote_drop(&remote, hold);
		teardown();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_readers),       cmocka_unit_test(test_find),
	        cmocka_unit_test(test_second_bucket), cmocka_unit_test(test_place),
	        cmocka_unit_test(test_use),           cmocka_unit_test(test_hold),
	        cmocka_unit_test(test_all_held),      cmocka_unit_test(test_steps),

	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
