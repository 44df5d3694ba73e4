/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "hot_model.h"

#define MIB      (1u << 20)
#define NO_LIMIT UINT64_MAX

struct fixture {
	struct hot_table *t;
	struct counters ctr;
};

static struct fixture fx;

static void setup(size_t memory_bytes, uint32_t max_object_bytes)
{
	struct hot_config cfg = {.memory_bytes = memory_bytes,
	                         .max_object_bytes = max_object_bytes};

	memset(&fx, 0, sizeof(fx));
	assert_int_equal(hot_create(&fx.t, &cfg, &fx.ctr), ST_OK);
}

static void teardown(void)
{
	hot_table_check(fx.t);
	hot_destroy(fx.t);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_objects), 0);
}

static struct cache_key key_of(const char *text)
{
	struct cache_key key = {.text = span_cstr(text)};

	key.hash = hash128(text, key.text.len, 5);
	return key;
}

struct head {
	struct object o;
	char key[4096];
};

static void head_make(struct head *h, const struct cache_key *key, uint64_t body_len)
{
	memset(h, 0, sizeof(*h));
	h->o = (struct object){.hash = key->hash,
	                       .response_ms = 1000,
	                       .expires_ms = NO_LIMIT,
	                       .body_len = body_len,
	                       .key_len = (uint32_t)key->text.len,
	                       .status = 200,
	                       .flags = body_len == UINT64_MAX ? OBJECT_CHUNKED : 0};
	memcpy(h->key, key->text.ptr, min_size(key->text.len, sizeof(h->key)));
}

static enum status fill_begin(struct hot_fill *f, const struct cache_key *key, uint64_t capacity)
{
	struct head h;

	head_make(&h, key, capacity);
	f->purge_seq = hot_purge_seq(fx.t);
	return hot_fill_begin(fx.t, f, &h.o, capacity);
}

static const struct object *put_key(const struct cache_key *key, const char *body)
{
	struct hot_fill f = {0};

	assert_int_equal(fill_begin(&f, key, strlen(body)), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, span_cstr(body)), ST_OK);
	return hot_fill_commit(fx.t, &f);
}

static const struct object *put(const char *text, const char *body)
{
	struct cache_key key = key_of(text);

	return put_key(&key, body);
}

static const struct object *get(const char *text)
{
	struct cache_key key = key_of(text);

	return hot_get(fx.t, &key);
}

static bool holds(const struct object *o, const char *body)
{
	return o != NULL && span_eq(object_body(o), span_cstr(body));
}

/* n objects of about bytes each, whose keys begin with prefix. */
static void put_many(const char *prefix, uint32_t n, size_t bytes)
{
	char *body = malloc(bytes + 1);
	char text[64];

	memset(body, 'x', bytes);
	body[bytes] = 0;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%s/%u", prefix, i);
		assert_non_null(put(text, body));
	}
	free(body);
}

static void test_create(void **state)
{
	static const struct {
		size_t memory;
		uint32_t max_object;
		enum status st;
	} rows[] = {
	        {0, 4096, ST_INVALID},         {MIB - 1, 4096, ST_INVALID},
	        {MIB, 255, ST_INVALID},        {MIB, 256, ST_OK},
	        {MIB, 65536, ST_OK},           {MIB, MIB, ST_INVALID},
	        {MIB, UINT32_MAX, ST_INVALID}, {64 * MIB, 4 * MIB, ST_OK},
	        {64 * MIB, 65537, ST_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hot_config cfg = {.memory_bytes = rows[i].memory,
		                         .max_object_bytes = rows[i].max_object};
		struct hot_table *t;

		if (hot_create(&t, &cfg, &fx.ctr) != rows[i].st)
			fail_msg("row %zu", i);
		assert_true((t != NULL) == (rows[i].st == ST_OK));
		if (t == NULL)
			continue;
		/* All of it lies within the memory that was asked for. */
		const char *end = t->log + (size_t)t->seg_count * t->seg_units * HOT_UNIT_BYTES;
		assert_true(end <= (char *)t->shm.base + rows[i].memory);
		assert_true((size_t)t->seg_units * HOT_UNIT_BYTES >= rows[i].max_object);
		assert_true(t->seg_count >= HOT_SEGS_MIN);
		hot_destroy(t);
	}
	hot_destroy(NULL);
}

static void test_put_get(void **state)
{
	(void)state;
	setup(MIB, 4096);
	assert_null(get("a/1"));
	assert_non_null(put("a/1", "one"));
	assert_true(holds(get("a/1"), "one"));
	assert_null(get("a/2"));
	assert_non_null(put("a/2", ""));
	assert_true(holds(get("a/2"), ""));
	assert_true(holds(get("a/1"), "one"));
	assert_int_equal(hot_count(fx.t), 2);
	assert_non_null(put("a/1", "another"));
	assert_true(holds(get("a/1"), "another"));
	assert_int_equal(hot_count(fx.t), 2);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_objects), 2);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_evict), 0);
	teardown();
}

/* Two keys of one hash are two objects; a third is not found. */
static void test_collision(void **state)
{
	struct cache_key a = key_of("a/1"), b = key_of("a/2"), c = key_of("a/3");
	struct cache_key longer = key_of("a/11");

	(void)state;
	setup(MIB, 4096);
	b.hash = c.hash = longer.hash = a.hash;
	put_key(&a, "one");
	assert_null(hot_get(fx.t, &b));
	put_key(&b, "two");
	assert_true(holds(hot_get(fx.t, &a), "one"));
	assert_true(holds(hot_get(fx.t, &b), "two"));
	assert_null(hot_get(fx.t, &c));
	assert_null(hot_get(fx.t, &longer));
	assert_int_equal(hot_purge_key(fx.t, c.text, c.hash), 0);
	assert_int_equal(hot_purge_key(fx.t, a.text, a.hash), 1);
	assert_null(hot_get(fx.t, &a));
	assert_true(holds(hot_get(fx.t, &b), "two"));
	teardown();
}

/* The same tag and bucket, but another hash: the text is the same only by a forged hash. */
static void test_hash_compared(void **state)
{
	struct cache_key a = key_of("a/1"), b = a;

	(void)state;
	setup(MIB, 4096);
	b.hash.hi ^= 1ull << 40;
	put_key(&a, "one");
	assert_null(hot_get(fx.t, &b));
	teardown();
}

/* More entries of one bucket pair than it has slots: some go, none is wrong. */
static void test_bucket_overflow(void **state)
{
	char text[32];
	uint32_t found = 0;

	(void)state;
	setup(MIB, 4096);
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		struct cache_key key = key_of(text);
		key.hash = (struct hash128){.lo = 77, .hi = 99};
		assert_non_null(put_key(&key, text));
		assert_true(holds(hot_get(fx.t, &key), text));
		hot_table_check(fx.t);
	}
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		struct cache_key key = key_of(text);
		key.hash = (struct hash128){.lo = 77, .hi = 99};
		const struct object *o = hot_get(fx.t, &key);
		assert_true(o == NULL || holds(o, text));
		found += o != NULL;
	}
	assert_int_equal(found, 2 * HOT_SLOTS);
	assert_int_equal(hot_count(fx.t), 2 * HOT_SLOTS);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_evict), 100 - 2 * HOT_SLOTS);
	teardown();
}

static void test_limits(void **state)
{
	struct cache_key key = key_of("a/1");
	size_t head = sizeof(struct object) + key.text.len;
	struct hot_fill f = {0};
	char big[4096] = {0};

	(void)state;
	setup(MIB, 4096);
	assert_int_equal(fill_begin(&f, &key, 4096 - head + 1), ST_TOOBIG);
	assert_null(f.obj);
	assert_int_equal(fill_begin(&f, &key, UINT64_MAX), ST_TOOBIG);
	assert_int_equal(fill_begin(&f, &key, UINT64_MAX - head), ST_TOOBIG);
	assert_int_equal(fill_begin(&f, &key, 4096 - head), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, span_of(big, 4096 - head + 1)), ST_TOOBIG);
	assert_int_equal(hot_fill_append(fx.t, &f, span_of(big, 4096 - head)), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, span_of(big, 0)), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, span_of(big, 1)), ST_TOOBIG);
	assert_non_null(hot_fill_commit(fx.t, &f));
	assert_int_equal(get("a/1")->body_len, 4096 - head);

	key.text.len = 0;
	assert_int_equal(fill_begin(&f, &key, 0), ST_INVALID);
	memset(big, 'k', sizeof(big));
	key.text = span_of(big, CACHE_KEY_MAX + 1);
	assert_int_equal(fill_begin(&f, &key, 0), ST_INVALID);
	key.text.len--;
	assert_int_equal(fill_begin(&f, &key, 0), ST_OK);
	assert_non_null(hot_fill_commit(fx.t, &f));
	assert_non_null(hot_get(fx.t, &key));
	teardown();
}

/* The length is not known: the room that was not used is given back. */
static void test_unknown_length(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0};
	struct head h;

	(void)state;
	setup(MIB, 16384);
	head_make(&h, &key, UINT64_MAX);
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 16000), ST_OK);
	assert_null(get("a/1")); /* not before it is complete */
	assert_int_equal(hot_fill_append(fx.t, &f, SPAN_LIT("hel")), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, SPAN_LIT("lo")), ST_OK);
	const struct object *o = hot_fill_commit(fx.t, &f);
	assert_true(holds(o, "hello"));
	assert_int_equal(o->flags & OBJECT_CHUNKED, 0);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_bytes), 128);
	/* The next entry follows at once. */
	assert_ptr_equal(put("a/2", "x"), (const char *)o + 128);

	/* Not the last of its segment: the room is lost until eviction, nothing else. */
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 4000), ST_OK);
	put("a/3", "y");
	hot_fill_append(fx.t, &f, SPAN_LIT("bye"));
	assert_non_null(hot_fill_commit(fx.t, &f));
	assert_true(holds(get("a/1"), "bye"));
	assert_true(holds(get("a/3"), "y"));
	teardown();
}

static void test_abort(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0};

	(void)state;
	setup(MIB, 4096);
	put("a/1", "old");
	assert_int_equal(fill_begin(&f, &key, 100), ST_OK);
	const struct object *where = f.obj;
	hot_fill_abort(fx.t, &f);
	assert_null(f.obj);
	hot_fill_abort(fx.t, &f);
	assert_true(holds(get("a/1"), "old"));
	assert_ptr_equal(put("a/2", "x"), where);
	teardown();
}

static void test_two_fills(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0}, g = {0};

	(void)state;
	setup(MIB, 4096);
	assert_int_equal(fill_begin(&f, &key, 3), ST_OK);
	assert_int_equal(fill_begin(&g, &key, 3), ST_OK);
	hot_fill_append(fx.t, &g, SPAN_LIT("two"));
	assert_true(holds(hot_fill_commit(fx.t, &g), "two"));
	hot_fill_append(fx.t, &f, SPAN_LIT("one"));
	assert_true(holds(get("a/1"), "two"));
	assert_true(holds(hot_fill_commit(fx.t, &f), "one"));
	assert_true(holds(get("a/1"), "one"));
	assert_int_equal(hot_count(fx.t), 1);
	teardown();
}

static void test_purge(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0};

	(void)state;
	setup(MIB, 4096);
	put("a/1", "one");
	put("a/2", "two");
	put("b/1", "three");
	assert_int_equal(hot_purge_pattern(fx.t, SPAN_LIT("")), 0);
	assert_int_equal(hot_purge_pattern(fx.t, SPAN_LIT("c/*")), 0);
	assert_int_equal(hot_purge_pattern(fx.t, SPAN_LIT("a/*")), 2);
	assert_null(get("a/1"));
	assert_true(holds(get("b/1"), "three"));
	assert_int_equal(hot_purge_key(fx.t, key.text, key.hash), 0);
	assert_int_equal(hot_purge_pattern(fx.t, SPAN_LIT("*")), 1);
	assert_int_equal(hot_count(fx.t), 0);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_purge), 3);

	/* Begun before the purge: refused. Begun after it: stored. */
	assert_int_equal(fill_begin(&f, &key, 0), ST_OK);
	hot_purge_key(fx.t, key.text, key.hash);
	assert_null(hot_fill_commit(fx.t, &f));
	assert_null(f.obj);
	assert_null(get("a/1"));
	assert_non_null(put("a/1", "new"));
	assert_int_equal(fill_begin(&f, &key, 0), ST_OK);
	hot_purge_pattern(fx.t, SPAN_LIT("a*"));
	assert_null(hot_fill_commit(fx.t, &f));

	/* A purge of other keys does not matter. */
	assert_int_equal(fill_begin(&f, &key, 0), ST_OK);
	hot_purge_pattern(fx.t, SPAN_LIT("b*"));
	hot_purge_key(fx.t, SPAN_LIT("a/2"), key_of("a/2").hash);
	assert_non_null(hot_fill_commit(fx.t, &f));
	teardown();
}

/* The sequence is taken before the request leaves, not when the answer comes. */
static void test_purge_seq(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0};
	struct head h;

	(void)state;
	setup(MIB, 4096);
	head_make(&h, &key, 0);
	uint64_t seq = hot_purge_seq(fx.t);
	hot_purge_key(fx.t, key.text, key.hash);
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
	f.purge_seq = seq;
	assert_null(hot_fill_commit(fx.t, &f));

	/* As many purges as are remembered, then one more. */
	for (uint32_t extra = 0; extra < 2; extra++) {
		seq = hot_purge_seq(fx.t);
		for (uint32_t i = 0; i < HOT_PURGES + extra; i++)
			hot_purge_pattern(fx.t, SPAN_LIT("zzz"));
		assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
		f.purge_seq = seq;
		assert_true((hot_fill_commit(fx.t, &f) != NULL) == (extra == 0));
	}
	/* A number that was never given out. */
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
	f.purge_seq = hot_purge_seq(fx.t) + 1;
	assert_null(hot_fill_commit(fx.t, &f));
	teardown();
}

/* Longer than the ring keeps: it refuses what its beginning matches, and removes exactly. */
static void test_purge_long_pattern(void **state)
{
	char text[HOT_PATTERN_MAX + 50];
	struct hot_fill f = {0};

	(void)state;
	setup(MIB, 4096);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	struct cache_key whole = key_of(text);
	text[sizeof(text) - 2] = 0;
	struct cache_key shorter = key_of(text);
	put_key(&shorter, "x");
	text[sizeof(text) - 2] = 'a';
	assert_int_equal(fill_begin(&f, &whole, 0), ST_OK);
	assert_int_equal(hot_purge_pattern(fx.t, whole.text), 0);
	assert_null(hot_fill_commit(fx.t, &f));
	assert_int_equal(hot_count(fx.t), 1);
	teardown();
}

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
	hot_purge_pattern(fx.t, SPAN_LIT("*"));
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
	struct hot_seg *seg = &fx.t->segs[hot_seg_of(fx.t, hot_unit_of(fx.t, o))];
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
		const char *body = object_body(fills[i].obj).ptr;

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
	return fx.t->segs[hot_seg_of(fx.t, hot_unit_of(fx.t, o))].queue;
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

/* Every entry is used: evictions still end, and copy at most EVICT_STEPS segments a time. */
static void test_all_used(void **state)
{
	char text[32];

	(void)state;
	setup(MIB, 4096);
	for (uint32_t i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "k/%u", i);
		assert_non_null(put(text, "some body of the entry"));
		for (uint32_t k = 0; k < 4; k++)
			assert_non_null(get(text));
	}
	assert_true(hot_count(fx.t) > 1000);
	teardown();
}

static void test_walk(void **state)
{
	uint64_t cursor = 0;
	uint32_t n = 0;
	bool seen[300] = {0};
	const struct object *o;

	(void)state;
	setup(MIB, 4096);
	assert_null(hot_next(fx.t, &cursor));
	put_many("w", 300, 10);
	cursor = 0;
	while ((o = hot_next(fx.t, &cursor)) != NULL) {
		char text[32] = {0};

		memcpy(text, object_key(o).ptr, o->key_len);
		uint32_t i = (uint32_t)strtoul(text + 2, NULL, 10);
		assert_false(seen[i]);
		seen[i] = true;
		n++;
	}
	assert_int_equal(n, 300);
	assert_null(hot_next(fx.t, &cursor));
	teardown();
}

/* Random operations against the model; the seed is in the message. */
static void test_model(void **state)
{
	const size_t ops = 1000000;
	struct hot_model_stats stats;

	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		uint8_t *data = malloc(ops * 4);
		uint64_t x = seed;

		for (size_t i = 0; i < ops * 4; i++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			data[i] = (uint8_t)(x >> 56);
		}
		hot_model_run(data, ops * 4, &stats);
		free(data);
		print_message("seed %llu: %llu gets, %llu hits, %llu commits, %llu refused, "
		              "%llu evicted\n",
		              (unsigned long long)seed, (unsigned long long)stats.gets,
		              (unsigned long long)stats.hits, (unsigned long long)stats.commits,
		              (unsigned long long)stats.refused, (unsigned long long)stats.evicted);
		assert_true(stats.ops == ops && stats.hits > 10000 && stats.hits < stats.gets);
		assert_true(stats.refused > 100 && stats.evicted > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_create),
	        cmocka_unit_test(test_put_get),
	        cmocka_unit_test(test_collision),
	        cmocka_unit_test(test_hash_compared),
	        cmocka_unit_test(test_bucket_overflow),
	        cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_unknown_length),
	        cmocka_unit_test(test_abort),
	        cmocka_unit_test(test_two_fills),
	        cmocka_unit_test(test_purge),
	        cmocka_unit_test(test_purge_seq),
	        cmocka_unit_test(test_purge_long_pattern),
	        cmocka_unit_test(test_pins),
	        cmocka_unit_test(test_pin_evicted),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_scan_resistance),
	        cmocka_unit_test(test_ghost),
	        cmocka_unit_test(test_refresh_keeps_queue),
	        cmocka_unit_test(test_expired_dropped),
	        cmocka_unit_test(test_all_used),
	        cmocka_unit_test(test_walk),
	        cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
