/* SPDX-License-Identifier: BSD-2-Clause */
#include "hot_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void test_create(void **state)
{
	static const struct {
		size_t memory;
		uint32_t max_object;
		enum status st;
	} rows[] = {
	        {0, 4096, ST_INVALID},    {MIB - 1, 4096, ST_INVALID},
	        {MIB, 255, ST_INVALID},   {MIB, 256, ST_OK},
	        {MIB, 65536, ST_OK},      {MIB, MIB, ST_OK},
	        {MIB, UINT32_MAX, ST_OK}, {64 * MIB, 4 * MIB, ST_OK},
	        {64 * MIB, 65537, ST_OK}, {64ull << 30, 65536, ST_TOOBIG},
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
		const char *end = t->log + hot_unit_bytes(t, (uint64_t)t->seg_count * t->seg_units);
		assert_true(end <= (char *)t->shm.base + rows[i].memory);
		assert_true(hot_unit_bytes(t, t->seg_units) >=
		            min_u64(rows[i].max_object, rows[i].memory / 20));
		assert_true(t->seg_count >= HOT_SEGS_MIN);
		hot_destroy(t);
	}
	hot_destroy(NULL);
}

/* Larger than the table takes: refused. Of unknown length: it gets what room there is. */
static void test_large(void **state)
{
	static char body[MIB];
	struct cache_key key = key_of("a/1");
	uint32_t room = 64 * MIB / 20;
	struct hot_fill f = {0};
	struct head h;

	(void)state;
	setup(64 * MIB, 16 * MIB);
	head_make(&h, &key, 8 * MIB);
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 8 * MIB), ST_TOOBIG);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(fill_begin(&f, &key, room), ST_OK);
		memset(body, (int)i, sizeof(body));
		for (uint32_t at = 0; at < room; at += MIB)
			assert_int_equal(
			        hot_fill_append(fx.t, &f, span_of(body, min_u32(MIB, room - at))),
			        ST_OK);
		const struct object *o = hot_fill_commit(fx.t, &f);
		assert_true(o != NULL && o->body_len == room &&
		            object_body(o).ptr[room - 1] == (char)i);
	}
	head_make(&h, &key, UINT64_MAX);
	h.o.born_seq = hot_purge_seq(fx.t);
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 16 * MIB), ST_OK);
	assert_true(f.capacity >= room && f.capacity < 8 * MIB);
	assert_int_equal(hot_fill_append(fx.t, &f, SPAN_LIT("short")), ST_OK);
	assert_true(holds(hot_fill_commit(fx.t, &f), "short"));
	teardown();
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
	struct inval_purge p = {.seq = 1, .kind = INVAL_KEY, .text = c.text};
	assert_int_equal(hot_purge(fx.t, &p, c.hash), 0);
	p.text = a.text;
	assert_int_equal(hot_purge(fx.t, &p, a.hash), 1);
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
	b.hash.lo ^= 1ull << 63;
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

static uint32_t found_of(const char *prefix, uint32_t n)
{
	uint32_t found = 0;
	char text[64];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%s/%u", prefix, i);
		found += get(text) != NULL;
	}
	return found;
}

/* The index grows with the entries, and takes segments for that: while there are free ones, and
 * when the log is full of larger objects. */
static void test_growth(void **state)
{
	uint32_t buckets, n = 3000;

	(void)state;
	for (uint32_t full = 0; full < 2; full++) {
		uint32_t found = 0;

		setup(MIB, 4096);
		buckets = fx.t->bucket_count;
		if (full)
			put_many("large", 2000, 2000);
		assert_int_equal(fx.t->seg_first, 0);
		assert_int_equal(fx.t->bucket_count, buckets);
		for (uint32_t i = 1; i <= 10; i++) {
			char prefix[8];

			snprintf(prefix, sizeof(prefix), "s%u", i);
			put_many(prefix, n / 10, 10);
			hot_table_check(fx.t);
			found += found_of(prefix, n / 10);
		}
		assert_true(fx.t->seg_first > 0);
		if (!full) {
			print_message("%u of %u have no slot\n", n - hot_count(fx.t), n);
			assert_int_equal(hot_count(fx.t) + counter_read(&fx.ctr, CTR_cache_evict),
			                 n);
			assert_in_range(hot_count(fx.t), n / 200 * 199, n);
			assert_in_range(found, n / 200 * 199, n);
		}
		teardown();
	}
}

/* It never takes more than a part of the log, however small the entries. */
static void test_growth_ends(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put_many("s", 60000, 1);
	assert_in_range(fx.t->seg_first, 1, fx.t->seg_count / HOT_LOG_LEAST);
	assert_true(hot_count(fx.t) > 5000);
	teardown();
}

/* A head that another process wrote and that does not hold together. */
static void test_bad_head(void **state)
{
	struct cache_key key = key_of("a/1");
	struct hot_fill f = {0};
	struct head h;

	(void)state;
	setup(MIB, 4096);
	head_make(&h, &key, 0);
	h.o.etag_len = 1;
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_INVALID);
	assert_null(f.obj);
	assert_null(hot_fill_commit(fx.t, &f));
	head_make(&h, &key, 0);
	h.o.fields_len = UINT32_MAX;
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_TOOBIG);
	h.o.fields_len = 4096;
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_TOOBIG);
	h.o.fields_len = 0;
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
	assert_non_null(hot_fill_commit(fx.t, &f));
	teardown();
}

static void test_limits(void **state)
{
	struct cache_key key = key_of("a/1");
	size_t head = sizeof(struct hot_entry) + key.text.len;
	struct hot_fill f = {0};
	char big[4096] = {0};

	(void)state;
	setup(MIB, 4096);
	assert_int_equal(fill_begin(&f, &key, 4096 - head + 1), ST_TOOBIG);
	assert_null(f.obj);
	assert_int_equal(fill_begin(&f, &key, UINT64_MAX), ST_OK); /* of unknown length */
	assert_int_equal(f.capacity, 4096 - head);
	hot_fill_abort(fx.t, &f);
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
	const struct object *o = kept(hot_fill_commit(fx.t, &f));
	assert_true(holds(o, "hello"));
	assert_int_equal(o->flags & OBJECT_CHUNKED, 0);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_bytes), 44);
	/* The next entry follows at once. */
	assert_ptr_equal(object_key(put("a/2", "x")).ptr, object_key(o).ptr + 44);

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
	const char *where = hot_entry_text(f.obj);
	hot_fill_abort(fx.t, &f);
	assert_null(f.obj);
	hot_fill_abort(fx.t, &f);
	assert_true(holds(get("a/1"), "old"));
	assert_ptr_equal(object_key(put("a/2", "x")).ptr, where);
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
	assert_non_null(get("w/7"));
	for (uint32_t i = 0; i < 5; i++)
		assert_non_null(get("w/8"));
	cursor = 0;
	while ((o = hot_next(fx.t, &cursor)) != NULL) {
		char text[32] = {0};

		memcpy(text, object_key(o).ptr, o->key_len);
		uint32_t i = (uint32_t)strtoul(text + 2, NULL, 10);
		assert_int_equal(hot_uses(fx.t, cursor), i == 7 ? 1 : i == 8 ? HOT_FREQ_MAX : 0);
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
		              "%llu evicted, %llu purges, %llu refused early\n",
		              (unsigned long long)seed, (unsigned long long)stats.gets,
		              (unsigned long long)stats.hits, (unsigned long long)stats.commits,
		              (unsigned long long)stats.refused, (unsigned long long)stats.evicted,
		              (unsigned long long)stats.purges, (unsigned long long)stats.early);
		assert_true(stats.ops == ops && stats.hits > 10000 && stats.hits < stats.gets);
		assert_true(stats.refused > 100 && stats.evicted > 1000);
		assert_true(stats.purges > 1000 && stats.swept > 1000);
		assert_true(stats.early * 20 < stats.commits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_create),         cmocka_unit_test(test_large),
	        cmocka_unit_test(test_put_get),        cmocka_unit_test(test_collision),
	        cmocka_unit_test(test_hash_compared),  cmocka_unit_test(test_growth),
	        cmocka_unit_test(test_growth_ends),    cmocka_unit_test(test_bucket_overflow),
	        cmocka_unit_test(test_limits),         cmocka_unit_test(test_bad_head),
	        cmocka_unit_test(test_unknown_length), cmocka_unit_test(test_abort),
	        cmocka_unit_test(test_two_fills),      cmocka_unit_test(test_walk),
	        cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
