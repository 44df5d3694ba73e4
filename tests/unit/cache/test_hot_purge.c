/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges of the hot table: what is found after one, what may be stored, what the sweep does. */
#include "hot_fixture.h"

#include <stdio.h>

#define WALL_MS 5000u

/* An object with flags and one tag (NULL: none); its body is "x". */
static const struct object *put_with(const char *text, uint16_t flags, const char *tag)
{
	struct cache_key key = key_of(text);
	struct hot_fill f = {0};
	struct head h;

	head_make(&h, &key, 1);
	h.o.flags = flags;
	h.o.born_seq = hot_purge_seq(fx.t);
	if (tag != NULL) {
		uint32_t hash = inval_tag_hash(span_cstr(tag));

		h.o.tag_count = 1;
		memcpy(h.key + h.o.key_len, &hash, sizeof(hash));
	}
	assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 1), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, SPAN_LIT("x")), ST_OK);
	return kept(hot_fill_commit(fx.t, &f));
}

static bool fresh(const char *text)
{
	const struct object *o = get(text);

	return o != NULL && object_is_fresh(o, WALL_MS);
}

static void test_kinds(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		const char *hit; /* which of the four */
		uint32_t at_once;
	} rows[] = {
	        {INVAL_KEY, "a/1", "1000", 1},     {INVAL_KEY, "a/9", "0000", 0},
	        {INVAL_KEY, "a/3", "0010", 1},     {INVAL_PATTERN, "", "0000", 0},
	        {INVAL_PATTERN, "c/*", "0000", 0}, {INVAL_PATTERN, "a/*", "1110", 0},
	        {INVAL_PATTERN, "b/1", "0001", 0}, {INVAL_PATTERN, "*", "1111", 0},
	        {INVAL_TAG, "tag:x", "0010", 0},   {INVAL_TAG, "tag:y", "0001", 0},
	        {INVAL_TAG, "tag:z", "0000", 0},   {INVAL_ALL, "", "1111", 0},
	};
	static const char *const keys[] = {"a/1", "a/2", "a/3", "b/1"};
	static const char *const tags[] = {NULL, NULL, "tag:x", "tag:y"};

	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows) * 4; row++) {
		size_t i = row / 4;
		bool soft = row & 1, count = row & 2;
		uint32_t hits = 0;

		setup(MIB, 4096);
		hot_set_wall(fx.t, WALL_MS);
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			assert_non_null(put_with(keys[k], 0, tags[k]));
			hits += rows[i].hit[k] == '1';
		}
		if (count)
			assert_int_equal(purge_and_count(rows[i].kind, soft, rows[i].text), hits);
		else
			assert_int_equal(purge(rows[i].kind, soft, rows[i].text), rows[i].at_once);
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			bool hit = rows[i].hit[k] == '1';

			if ((get(keys[k]) == NULL) != (hit && !soft) || fresh(keys[k]) != !hit)
				fail_msg("row %zu, %s, soft %d, count %d", i, keys[k], soft, count);
		}
		assert_int_equal(hot_count(fx.t), soft ? 4 : 4 - hits);
		assert_int_equal(counter_read(&fx.ctr, CTR_cache_purge), hits);
		/* What is stored from now on is not hit. */
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			assert_non_null(put_with(keys[k], 0, tags[k]));
			assert_true(fresh(keys[k]));
		}
		teardown();
	}
}

/* A soft purge leaves the time that it was stale before. */
static void test_soft_keeps_time(void **state)
{
	const struct object *o;

	(void)state;
	setup(MIB, 4096);
	hot_set_wall(fx.t, WALL_MS);
	put_with("a/1", 0, "t");
	purge(INVAL_TAG, true, "t");
	hot_set_wall(fx.t, WALL_MS + 100);
	o = get("a/1");
	assert_int_equal(o->expires_ms, WALL_MS + 100); /* found now */
	hot_set_wall(fx.t, WALL_MS + 200);
	purge(INVAL_KEY, true, "a/1");
	purge(INVAL_ALL, true, "");
	assert_int_equal(get("a/1")->expires_ms, WALL_MS + 100);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_purge), 1);
	purge(INVAL_TAG, false, "t");
	assert_null(get("a/1"));
	teardown();
}

/* The list of a key's variants: a hard purge takes it, so that none is found; a soft one makes the
 * variants stale and leaves the list. */
static void test_variants(void **state)
{
	static const enum inval_kind kinds[] = {INVAL_KEY, INVAL_PATTERN};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		setup(MIB, 4096);
		hot_set_wall(fx.t, WALL_MS);
		put_with("a/1", OBJECT_VARY, NULL);
		put_with("a/1\n7 gzip", 0, NULL);
		put_with("a/1\n7 br", 0, NULL);
		put_with("a/12\n8 br", 0, NULL);
		purge(kinds[i], true, "a/1");
		assert_true(fresh("a/1"));
		assert_false(fresh("a/1\n7 gzip"));
		assert_false(fresh("a/1\n7 br"));
		assert_non_null(get("a/1\n7 gzip"));
		assert_true(fresh("a/12\n8 br"));
		put_with("a/1\n7 gzip", 0, NULL);
		assert_true(fresh("a/1\n7 gzip"));
		purge(INVAL_KEY, false, "a/1\n7 br");
		assert_null(get("a/1\n7 br"));
		assert_true(fresh("a/1\n7 gzip"));
		purge(kinds[i], false, "a/1");
		assert_null(get("a/1"));
		teardown();
	}
}

/* The remark that answers are not for sharing ends with a soft purge too. */
static void test_pass(void **state)
{
	(void)state;
	setup(MIB, 4096);
	put_with("a/1", OBJECT_PASS, NULL);
	put_with("a/2", OBJECT_PASS, NULL);
	assert_int_equal(purge(INVAL_KEY, true, "a/1"), 1);
	assert_null(get("a/1"));
	purge(INVAL_PATTERN, true, "a/*");
	assert_null(get("a/2"));
	teardown();
}

/* Fills: what was born before a matching purge is refused, whichever came first. */
static void test_fills(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		bool refused;
	} rows[] = {
	        {INVAL_KEY, "a/1", true},    {INVAL_KEY, "a/2", false},
	        {INVAL_PATTERN, "a*", true}, {INVAL_PATTERN, "b*", false},
	        {INVAL_ALL, "", true},       {INVAL_TAG, "t", false},
	};
	struct cache_key key = key_of("a/1");

	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows) * 4; row++) {
		size_t i = row / 4;
		struct hot_fill f = {0};
		struct head h;

		setup(MIB, 4096);
		head_make(&h, &key, 0);
		h.o.born_seq = 0;
		if (row & 1)
			assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
		purge(rows[i].kind, row & 2, rows[i].text);
		if ((row & 1) == 0)
			assert_int_equal(hot_fill_begin(fx.t, &f, &h.o, 0), ST_OK);
		if ((hot_fill_commit(fx.t, &f) == NULL) != rows[i].refused)
			fail_msg("row %zu", row);
		assert_null(f.obj);
		/* A sweep forgets nothing of that. */
		while (hot_sweep(fx.t, 1 << 16))
			;
		hot_fill_begin(fx.t, &f, &h.o, 0);
		assert_true((hot_fill_commit(fx.t, &f) == NULL) == rows[i].refused);
		h.o.born_seq = hot_purge_seq(fx.t);
		hot_fill_begin(fx.t, &f, &h.o, 0);
		assert_non_null(hot_fill_commit(fx.t, &f));
		teardown();
	}
}

/* A new copy is announced with the number that it was born with: the older one goes, it stays. */
static void test_replace(void **state)
{
	struct cache_key key = key_of("a/1");
	struct inval_purge p = {.seq = 10, .kind = INVAL_TAG, .text = SPAN_LIT("other")};

	(void)state;
	setup(MIB, 4096);
	hot_purge(fx.t, &p, (struct hash128){0});
	struct hot_fill f = {0};
	struct head h;
	head_make(&h, &key, 0);
	h.o.born_seq = 5;
	hot_fill_begin(fx.t, &f, &h.o, 0);
	assert_non_null(hot_fill_commit(fx.t, &f));
	p = (struct inval_purge){.seq = 6, .kind = INVAL_KEY, .text = key.text};
	assert_int_equal(hot_purge(fx.t, &p, key.hash), 1);
	assert_int_equal(hot_purge_seq(fx.t), 10);
	hot_fill_begin(fx.t, &f, &h.o, 0);
	assert_null(hot_fill_commit(fx.t, &f));
	h.o.born_seq = 6;
	hot_fill_begin(fx.t, &f, &h.o, 0);
	assert_non_null(hot_fill_commit(fx.t, &f));
	assert_int_equal(hot_purge(fx.t, &p, key.hash), 0);
	teardown();
}

/* Work that is bounded by what was asked for, and ends. */
static void test_sweep(void **state)
{
	uint32_t steps = 0;

	(void)state;
	setup(MIB, 4096);
	assert_false(hot_sweep(fx.t, 64));
	put_many("a", 500, 10);
	put_many("b", 500, 10);
	purge(INVAL_KEY, false, "a/1");
	purge(INVAL_TAG, false, "t");
	assert_false(hot_sweep(fx.t, 64)); /* nobody waits for these */
	purge(INVAL_PATTERN, false, "a/*");
	uint32_t before = hot_count(fx.t);
	while (hot_sweep(fx.t, 64)) {
		assert_true(before - hot_count(fx.t) <= 64);
		before = hot_count(fx.t);
		if (steps++ == 3)
			purge(INVAL_PATTERN, false, "b/1*"); /* the next sweep's */
	}
	assert_int_equal(steps,
	                 2 * (fx.t->bucket_count * HOT_SLOTS / 64 + (fx.t->bucket_count % 8 != 0)));
	assert_int_equal(hot_count(fx.t), 500 - 111);
	teardown();
}

/* More patterns than are remembered, before a sweep: all that is older goes, nothing is served. */
static void test_forgotten(void **state)
{
	char text[32];

	(void)state;
	setup(MIB, 4096);
	put("a/1", "x");
	for (uint32_t i = 0; i <= INVAL_PATTERNS; i++) {
		snprintf(text, sizeof(text), "z%u*", i);
		purge(INVAL_PATTERN, false, text);
		assert_true((get("a/1") != NULL) == (i < INVAL_PATTERNS));
	}
	/* Swept between, they may be as many as they like. */
	put("a/1", "x");
	for (uint32_t i = 0; i < 3 * INVAL_PATTERNS; i++) {
		snprintf(text, sizeof(text), "y%u*", i);
		purge(INVAL_PATTERN, false, text);
		while (hot_sweep(fx.t, 1 << 16))
			;
	}
	assert_non_null(get("a/1"));
	teardown();
}

/* An entry that moves to a bucket that the sweep has passed is looked at all the same. */
static void test_moved(void **state)
{
	struct hot_place at, to;
	struct cache_key key = key_of("a/1");

	(void)state;
	setup(MIB, 4096);
	put("a/1", "x");
	purge(INVAL_PATTERN, false, "a/*");
	/* As make_room does: out of its bucket while the sweep passes, then in again. */
	assert_true(hot_index_find(fx.t, &key, &at));
	uint16_t tag = at.b->tag[at.slot];
	at.b->tag[at.slot] = 0;
	while (hot_sweep(fx.t, 64))
		;
	to = at;
	to.b->tag[to.slot] = tag;
	assert_null(get("a/1"));
	teardown();
}

/* Marks are counted in 31 bits: one that comes round must not look new. */
static void test_marks_wrap(void **state)
{
	(void)state;
	setup(MIB, 4096);
	fx.t->marks.now[0] = fx.t->sweep.covered[0] = HOT_MARK_TAGGED - HOT_MARK_UNIT;
	fx.t->marks.now[1] = fx.t->sweep.covered[1] = UINT32_MAX - HOT_MARK_UNIT + 1;
	put_with("a/1", 0, NULL);
	put_with("a/2", 0, "t");
	purge(INVAL_TAG, false, "t");
	purge(INVAL_PATTERN, false, "a/1");
	assert_int_equal(fx.t->marks.now[0], 0);
	assert_int_equal(fx.t->marks.now[1], HOT_MARK_TAGGED | HOT_MARK_UNIT);
	assert_null(get("a/1"));
	assert_null(get("a/2"));
	assert_true(hot_sweep(fx.t, 1 << 20));
	assert_false(hot_sweep(fx.t, 1 << 20));
	/* Half a round without a sweep: one is due, whatever was purged. */
	fx.t->marks.now[1] += 1u << 30;
	assert_true(hot_sweep(fx.t, 1 << 20));
	assert_false(hot_sweep(fx.t, 1 << 20));
	teardown();
}

static void test_tallies(void **state)
{
	uint32_t hits;

	(void)state;
	setup(MIB, 4096);
	put_many("a", 100, 10);
	for (uint64_t seq = 1; seq <= HOT_TALLIES; seq++)
		assert_true(hot_tally_begin(fx.t, seq));
	assert_false(hot_tally_begin(fx.t, 100));
	purge(INVAL_PATTERN, false, "a/1*");
	purge(INVAL_PATTERN, false, "a/2*");
	assert_null(get("a/1")); /* counted though no sweep found it */
	assert_false(hot_tally_end(fx.t, 1, &hits));
	while (fx.t->sweep.done_seq < 2)
		hot_sweep(fx.t, 64);
	assert_true(hot_tally_end(fx.t, 1, &hits));
	assert_int_equal(hits, 11);
	assert_true(hot_tally_end(fx.t, 2, &hits));
	assert_int_equal(hits, 11);
	assert_false(hot_tally_end(fx.t, 2, &hits));
	assert_true(hot_tally_begin(fx.t, 100));
	teardown();
}

/* Another core's table: its owner's marks first, then what this core knows. */
static void test_alive(void **state)
{
	const struct object *o, *tagged;

	(void)state;
	setup(MIB, 4096);
	const struct hot_marks *marks = hot_marks_of(fx.t);
	o = put("a/1", "x");
	tagged = put_with("a/2", 0, "t");
	assert_true(hot_is_alive(fx.t, marks, true, o) && hot_is_alive(fx.t, marks, true, tagged));
	purge(INVAL_TAG, false, "u");
	assert_true(hot_is_alive(fx.t, marks, true, o) && hot_is_alive(fx.t, marks, true, tagged));
	purge(INVAL_TAG, true, "t");
	assert_true(hot_is_alive(fx.t, marks, true, o));
	assert_false(hot_is_alive(fx.t, marks, true, tagged));
	/* The owner looks at it after this core did: what that saw is fresh and has a new mark. */
	assert_non_null(get("a/2"));
	assert_false(hot_is_alive(fx.t, marks, true, tagged));
	assert_true(hot_is_alive(fx.t, marks, true, get("a/2")));
	purge(INVAL_PATTERN, false, "a/1");
	assert_false(hot_is_alive(fx.t, marks, true, o));
	teardown();
}

/* The list for the operator shows nothing that was purged. */
static void test_walk(void **state)
{
	const struct object *o;
	uint64_t cursor = 0;
	uint32_t n = 0;

	(void)state;
	setup(MIB, 4096);
	put_many("a", 100, 10);
	put_many("b", 100, 10);
	purge(INVAL_PATTERN, false, "a/*");
	while ((o = hot_next(fx.t, &cursor)) != NULL) {
		assert_true(object_key(o).ptr[0] == 'b');
		n++;
	}
	assert_int_equal(n, 100);
	assert_int_equal(hot_count(fx.t), 100);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_soft_keeps_time),
	        cmocka_unit_test(test_variants), cmocka_unit_test(test_pass),
	        cmocka_unit_test(test_fills),    cmocka_unit_test(test_replace),
	        cmocka_unit_test(test_sweep),    cmocka_unit_test(test_forgotten),
	        cmocka_unit_test(test_moved),    cmocka_unit_test(test_marks_wrap),
	        cmocka_unit_test(test_tallies),  cmocka_unit_test(test_alive),
	        cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
