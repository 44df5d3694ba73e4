/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The node store, case by case. */
#include "store_fixture.h"

/* --- single cases --- */

static void refuses_bad_configurations(void **state)
{
	static const struct store_config rows[] = {
	        {MIB - 1, MAX_OBJECT, 1},
	        {MIB, MAX_OBJECT, 0},
	};
	struct store *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(store_create(&s, &rows[i]), ST_INVALID);
}

static void keeps_and_replaces(void **state)
{
	(void)state;
	assert_false(has("a"));
	assert_true(put("a", SPAN_LIT("one")));
	assert_true(put("b", SPAN_LIT("")));
	assert_true(has_body("a", "one"));
	assert_true(has_body("b", ""));
	assert_true(put("a", SPAN_LIT("two")));
	assert_true(has_body("a", "two"));
	assert_int_equal(counts().entries, 2);
	assert_int_equal(counts().fills, 3);
	assert_int_equal(counts().hits, 3);
	assert_false(has_body("c", ""));
	assert_int_equal(counts().misses, 1);
}

static void a_held_entry_stays(void **state)
{
	bool stale;

	(void)state;
	put("a", SPAN_LIT("one"));
	struct store_entry *e = store_get(st, SPAN_LIT("a"), &stale);
	store_hold(e);
	put("a", SPAN_LIT("two"));
	purge(INVAL_KEY, "a", false);
	assert_false(has("a"));
	store_drop(e);
	assert_memory_equal(e->body, "one", 3);
	store_drop(e);
	assert_int_equal(counts().entries, 0);
	assert_int_equal(st->open, 0);
	assert_int_equal(st->bytes, 0);
}

/* Body bytes appended in pieces; the declared length; what comes of it. */
static void fills(void **state)
{
	static const struct {
		uint64_t declared;
		uint32_t bytes;
		uint32_t piece;
		enum status begin;
		enum status append;
		bool commits;
	} rows[] = {
	        {0, 0, 1, ST_OK, ST_OK, true},
	        {10, 10, 3, ST_OK, ST_OK, true},
	        {10, 9, 3, ST_OK, ST_OK, false},
	        {10, 11, 1, ST_OK, ST_INVALID, false},
	        {UINT64_MAX, 0, 1, ST_OK, ST_OK, true},
	        {UINT64_MAX, 5000, 7, ST_OK, ST_OK, true},
	        {UINT64_MAX, MAX_OBJECT / 2, 1000, ST_OK, ST_OK, true},
	        {MAX_OBJECT / 2, MAX_OBJECT / 2, 4096, ST_OK, ST_OK, true},
	        {UINT64_MAX, MAX_OBJECT, 1024, ST_OK, ST_TOOBIG, false},
	        {MAX_OBJECT, 0, 1, ST_TOOBIG, ST_OK, false},
	        {UINT64_MAX - 1, 0, 1, ST_TOOBIG, ST_OK, false},
	};
	unsigned char *data = malloc(MAX_OBJECT);

	(void)state;
	for (uint32_t i = 0; i < MAX_OBJECT; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct about a = {.key = "k", .born_seq = store_seq(st)};
		enum status append = ST_OK;
		struct store_fill *f;
		struct head h;

		assert_int_equal(store_fill_begin(st, head_of(&h, &a), rows[i].declared, &f),
		                 rows[i].begin);
		if (rows[i].begin != ST_OK)
			continue;
		for (uint32_t at = 0; at < rows[i].bytes && append == ST_OK; at += rows[i].piece)
			append = store_fill_append(
			        f, span_of(data + at, min_u32(rows[i].piece, rows[i].bytes - at)));
		assert_int_equal(append, rows[i].append);
		if (append != ST_OK) {
			store_fill_abort(f);
			continue;
		}
		struct store_entry *e = store_fill_commit(f);
		assert_int_equal(e != NULL, rows[i].commits);
		if (e == NULL)
			continue;
		assert_int_equal(e->body_len, rows[i].bytes);
		assert_int_equal(e->head->body_len, rows[i].bytes);
		assert_int_equal(e->head->flags & OBJECT_CHUNKED, 0);
		if (rows[i].bytes > 0)
			assert_memory_equal(e->body, data, rows[i].bytes);
		store_drop(e);
	}
	free(data);
	purge(INVAL_KEY, "k", false);
	assert_int_equal(st->open, 0);
	assert_int_equal(st->bytes, 0);
}
static void refreshes_the_head(void **state)
{
	struct about a = {.key = "a", .born_seq = store_seq(st)};
	struct about fresh = {.key = "a", .fields = "ETag: \"2\"\r\nX: longer\r\n"};
	struct head h;
	bool stale;

	(void)state;
	struct store_entry *e = put_about(&a, SPAN_LIT("body"));
	fresh.born_seq = store_seq(st);
	fresh.expires_ms = NOW_MS + 99000;
	struct store_entry *n = store_refresh(st, e, head_of(&h, &fresh));
	assert_ptr_equal(n->body, e->body);
	store_drop(e);
	assert_int_equal(n->head->body_len, 4);
	store_drop(n);
	e = store_get(st, SPAN_LIT("a"), &stale);
	assert_int_equal(e->head->expires_ms, NOW_MS + 99000);
	assert_memory_equal(e->body, "body", 4);
	/* Void meanwhile: good for who waited, not for the store. */
	purge(INVAL_KEY, "a", false);
	n = store_refresh(st, e, head_of(&h, &fresh));
	assert_non_null(n);
	assert_false(has("a"));
	store_drop(n);
	/* Another answer came meanwhile: it stays. */
	put("a", SPAN_LIT("newer"));
	fresh.born_seq = store_seq(st);
	n = store_refresh(st, e, head_of(&h, &fresh));
	store_drop(n);
	store_drop(e);
	assert_true(has_body("a", "newer"));
	assert_int_equal(counts().refreshed, 1);
	purge(INVAL_ALL, "", false);
	while (store_sweep(st, 100, NOW_MS))
		;
	assert_int_equal(st->open, 0);
	assert_int_equal(st->bytes, 0);
}

/* --- variants --- */

static void put_list(const char *key, uint64_t id, const char *names)
{
	struct store_entry *e = try_list(key, id, names);

	assert_non_null(e);
	store_drop(e);
}

static void variants_hang_on_their_list(void **state)
{
	(void)state;
	assert_false(put("p\n1a", SPAN_LIT("x"))); /* no list */
	put("p", SPAN_LIT("plain"));
	assert_false(put("p\n1a", SPAN_LIT("x")));
	put_list("p", 1, "accept");
	assert_true(put("p\n1a", SPAN_LIT("x")));
	assert_true(put("p\n1b", SPAN_LIT("y")));
	/* The same list again changes nothing, another one takes all of them. */
	put_list("p", 1, "accept");
	assert_true(has("p\n1a") && has("p\n1b"));
	put_list("p", 2, "accept");
	assert_false(has("p\n1a") || has("p\n1b"));
	assert_true(put("p\n2a", SPAN_LIT("x")));
	purge(INVAL_KEY, "p", false);
	assert_false(has("p") || has("p\n2a"));
	assert_int_equal(st->open, 0);
	assert_int_equal(counts().entries, 0);
}

static void variants_are_bounded(void **state)
{
	char key[16];

	(void)state;
	put_list("p", 1, "accept");
	for (uint32_t i = 0; i < 3 * MAX_VARIANTS; i++) {
		snprintf(key, sizeof(key), "p\n1%u", i);
		assert_true(put(key, SPAN_LIT("x")));
		assert_true(put(key, SPAN_LIT("again"))); /* replaces: nothing goes */
		assert_int_equal(counts().entries, 1 + min_u32(i + 1, MAX_VARIANTS));
		assert_true(has(key));
	}
	assert_false(has("p\n17"));
	assert_true(has("p\n18"));
	assert_int_equal(counts().variants_dropped, 2 * MAX_VARIANTS);
}

/* --- eviction --- */

static void put_many(const char *prefix, uint32_t n, size_t bytes)
{
	char *body = calloc(1, bytes);
	char key[64];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%s%u", prefix, i);
		assert_true(put(key, span_of(body, bytes)));
		assert_true(counts().bytes <= counts().limit_bytes);
	}
	free(body);
}

static void what_is_used_outlives_a_scan(void **state)
{
	char key[64];
	uint32_t kept = 0;

	(void)state;
	put_many("hot", 200, 1000);
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "hot%u", i);
		bool stale;
		store_drop(store_get(st, span_cstr(key), &stale));
	}
	put_many("scan", 20000, 1000);
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "hot%u", i);
		kept += has(key);
	}
	assert_int_equal(kept, 200);
	assert_true(counts().evicted > 15000);
	assert_true(counts().entries > 2000);
}

static void a_ghost_enters_the_main_queue(void **state)
{
	(void)state;
	put_many("a", 200, 1000);
	for (uint32_t i = 0; i < 200; i++) {
		char key[64];
		bool stale;

		snprintf(key, sizeof(key), "a%u", i);
		store_drop(store_get(st, span_cstr(key), &stale));
	}
	put("gone", SPAN_LIT("x"));
	for (uint32_t n = 0; has("gone") && n < 10000; n++) {
		static const char body[1000];
		char key[64];

		snprintf(key, sizeof(key), "b%u", n);
		assert_true(put(key, span_of(body, sizeof(body))));
	}
	assert_false(has("gone"));
	put("gone", SPAN_LIT("x"));
	struct item *it = store_find(st, SPAN_LIT("gone"), store_hash(st, SPAN_LIT("gone")));
	assert_int_equal(it->queue, STORE_MAIN);
}

static void full_of_held_entries(void **state)
{
	enum { N = 64 };
	struct store_entry *held[N] = {0};
	char *body = calloc(1, 100000);
	uint32_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		char key[16];
		struct about a = {.key = key};

		snprintf(key, sizeof(key), "k%u", i);
		held[i] = put_about(&a, span_of(body, 100000));
		n += held[i] != NULL;
	}
	/* About 40 fit into 4 MiB; the others were refused, and nothing was taken away. */
	assert_in_range(n, 36, 42);
	assert_true(counts().bytes <= counts().limit_bytes);
	assert_int_equal(counts().fills_lost, N - n);
	for (uint32_t i = 0; i < N; i++)
		if (held[i] != NULL)
			store_drop(held[i]);
	assert_true(put("again", span_of(body, 100000)));
	free(body);
}

/* --- walks --- */

static void walks_each_once(void **state)
{
	uint32_t seen[500] = {0};
	uint64_t cursor = 0;
	const struct store_entry *e;
	uint32_t n = 0;

	(void)state;
	put_many("w", 500, 10);
	while ((e = store_next(st, &cursor)) != NULL) {
		unsigned i = 0;

		assert_int_equal(sscanf(object_key(e->head).ptr, "w%3u", &i), 1);
		assert_true(i < 500);
		n++;
		seen[i]++;
	}
	assert_int_equal(n, 500);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[499], 1);
}

static void sweeps_what_is_of_no_use(void **state)
{
	const struct about rows[] = {
	        {.key = "fresh"},
	        {.key = "expired", .expires_ms = NOW_MS - 1},
	        {.key = "with etag", .expires_ms = NOW_MS - 1, .etag = true},
	        {.key = "pass", .expires_ms = NOW_MS - 1, .flags = OBJECT_PASS},
	};
	uint32_t rounds = 0;

	(void)state;
	while (store_sweep(st, 10000, NOW_MS))
		;
	assert_false(store_sweep(st, 1, NOW_MS + STORE_WALK_MS - 1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		store_drop(put_about(&rows[i], SPAN_LIT("")));
	while (store_sweep(st, 16, NOW_MS + STORE_WALK_MS))
		rounds++;
	assert_true(rounds >= (st->bucket_mask + 1) / 64 - 1);
	assert_true(has("fresh")); /* in its last millisecond */
	assert_true(has("with etag"));
	assert_false(has("expired"));
	assert_false(has("pass"));
	assert_int_equal(counts().expired, 2);
	/* A pattern makes a walk due at once, and the walk frees what it matches. */
	put("x1", SPAN_LIT(""));
	purge(INVAL_PATTERN, "x*", false);
	uint64_t before = counts().entries;
	assert_true(store_sweep(st, 16, NOW_MS + STORE_WALK_MS));
	while (store_sweep(st, 1000, NOW_MS + STORE_WALK_MS))
		;
	assert_int_equal(counts().entries, before - 1);
	assert_false(store_sweep(st, 1000, NOW_MS + STORE_WALK_MS));
}

/* A mark is taken once, or lost once: with the entry, its freshness, or its place. */
static void marks_are_taken_or_lost(void **state)
{
	static const char *const keys[] = {"taken",   "purged", "replaced",
	                                   "expired", "soft",   "stays"};
	struct store_entry *e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct about a = {.key = keys[i],
		                        .expires_ms = NOW_MS + (i == 3 ? 1000 : 600000),
		                        .etag = true};

		e = put_about(&a, SPAN_LIT(""));
		assert_int_equal(store_mark_take(e), 0);
		store_mark(e, 2);
		store_drop(e);
	}
	assert_int_equal(counts().marked[2], 6);
	bool stale;

	e = store_peek(st, SPAN_LIT("taken"), &stale);
	assert_int_equal(store_mark_take(e), 2);
	assert_int_equal(store_mark_take(e), 0);
	store_drop(e);
	assert_int_equal(counts().marked[2], 5);
	purge(INVAL_KEY, "taken", false); /* without a mark: nothing is lost */
	assert_int_equal(counts().marks_lost[2], 0);
	purge(INVAL_KEY, "purged", false);
	put("replaced", SPAN_LIT("new"));
	assert_int_equal(counts().marks_lost[2], 2);
	purge(INVAL_KEY, "soft", true);
	while (store_sweep(st, 10000, NOW_MS + 2000))
		;
	assert_int_equal(counts().marks_lost[2], 4);
	assert_int_equal(counts().marked[2], 1);
	/* One whose place was taken meanwhile. */
	const struct about a = {.key = "held", .born_seq = store_seq(st)};

	e = put_about(&a, SPAN_LIT(""));
	put("held", SPAN_LIT("new"));
	store_mark(e, 3);
	store_drop(e);
	assert_int_equal(counts().marked[3], 0);
	assert_int_equal(counts().marks_lost[3], 1);
	/* A new mark in the place of an old one. */
	e = store_peek(st, SPAN_LIT("stays"), &stale);
	store_mark(e, 1);
	store_drop(e);
	assert_int_equal(counts().marked[1], 1);
	assert_int_equal(counts().marked[2], 0);
	assert_int_equal(counts().marks_lost[2], 5);
	assert_int_equal(counts().marks_lost[0], 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refuses_bad_configurations),
	        T(keeps_and_replaces),
	        T(a_held_entry_stays),
	        T(fills),
	        T(refreshes_the_head),
	        T(variants_hang_on_their_list),
	        T(variants_are_bounded),
	        T(what_is_used_outlives_a_scan),
	        T(a_ghost_enters_the_main_queue),
	        T(full_of_held_entries),
	        T(walks_each_once),
	        T(sweeps_what_is_of_no_use),
	        T(marks_are_taken_or_lost),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
