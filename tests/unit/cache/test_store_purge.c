/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The node store: what purges do to it, and to what is younger. */
#include "store_fixture.h"

static void a_purge_voids_older_fills(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		bool hits;
	} rows[] = {
	        {INVAL_KEY, "a/1", true},     {INVAL_KEY, "a/2", false},
	        {INVAL_PATTERN, "a/*", true}, {INVAL_PATTERN, "b*", false},
	        {INVAL_TAG, "tag:t", true},   {INVAL_TAG, "tag:u", false},
	        {INVAL_ALL, "", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct about a = {.key = "a/1", .tag = "tag:t", .born_seq = store_seq(st)};
		struct store_entry *e = put_about(&a, SPAN_LIT("x"));

		assert_non_null(e);
		store_drop(e);
		purge(rows[i].kind, rows[i].text, false);
		assert_int_equal(has("a/1"), !rows[i].hits);
		/* Its request left before the purge. */
		e = put_about(&a, SPAN_LIT("y"));
		assert_int_equal(e == NULL, rows[i].hits);
		if (e != NULL)
			store_drop(e);
		a.born_seq = store_seq(st);
		e = put_about(&a, SPAN_LIT("z"));
		assert_non_null(e);
		store_drop(e);
		assert_true(has_body("a/1", "z"));
	}
	assert_int_equal(counts().fills_void, 4);
}

static void a_soft_purge_makes_stale(void **state)
{
	bool stale = false;

	(void)state;
	put("a", SPAN_LIT("x"));
	purge(INVAL_KEY, "a", true);
	struct store_entry *e = store_get(st, SPAN_LIT("a"), &stale);
	assert_non_null(e);
	assert_true(stale);
	store_drop(e);
	put("a", SPAN_LIT("x"));
	e = store_get(st, SPAN_LIT("a"), &stale);
	assert_false(stale);
	store_drop(e);
	/* A pattern is forgotten after the walk, what it did is not; nor of a fill from before. */
	struct about old = {.key = "b", .born_seq = store_seq(st)};
	purge(INVAL_PATTERN, "*", true);
	store_drop(put_about(&old, SPAN_LIT("")));
	while (store_sweep(st, 1000, NOW_MS))
		;
	for (uint32_t i = 0; i < 2; i++) {
		e = store_get(st, i == 0 ? SPAN_LIT("a") : SPAN_LIT("b"), &stale);
		assert_true(stale);
		store_drop(e);
	}
}

/* How young a held entry may go elsewhere, after each kind of purge that hits it, or does not. */
static void as_young_as_judged(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		bool soft;
		bool live;
	} rows[] = {
	        {INVAL_KEY, "b", false, true},     {INVAL_KEY, "b", true, true},
	        {INVAL_PATTERN, "b*", true, true}, {INVAL_KEY, "a", false, false},
	        {INVAL_KEY, "a", true, false},     {INVAL_PATTERN, "a*", false, false},
	        {INVAL_PATTERN, "*", true, false}, {INVAL_ALL, "", false, false},
	        {INVAL_ALL, "", true, false},
	};
	bool stale;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put("a", SPAN_LIT("x"));
		struct store_entry *e = store_get(st, SPAN_LIT("a"), &stale);

		assert_int_equal(store_live_seq(st, e), store_seq(st));
		purge(rows[i].kind, rows[i].text, rows[i].soft);
		assert_int_equal(store_live_seq(st, e), rows[i].live ? store_seq(st) : 0);
		/* Nor when another took its place. */
		put("a", SPAN_LIT("y"));
		assert_int_equal(store_live_seq(st, e), 0);
		store_drop(e);
	}
}

/* A purge that comes late, with the number of its own time, spares what is younger. */
static void a_late_purge(void **state)
{
	struct about young = {.key = "a", .born_seq = 90}, old = {.key = "b", .born_seq = 20};
	struct inval_purge p = {.seq = 50, .kind = INVAL_KEY};

	(void)state;
	store_drop(put_about(&young, SPAN_LIT("x")));
	store_drop(put_about(&old, SPAN_LIT("x")));
	p.text = SPAN_LIT("a");
	assert_int_equal(store_purge(st, &p), 0);
	p.text = SPAN_LIT("b");
	assert_int_equal(store_purge(st, &p), 1);
	assert_true(has("a") && !has("b"));
	p = (struct inval_purge){.seq = 60, .kind = INVAL_ALL};
	store_purge(st, &p);
	assert_true(has("a"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
	        T(a_purge_voids_older_fills),
	        T(a_soft_purge_makes_stale),
	        T(as_young_as_judged),
	        T(a_late_purge),
	};

	return cmocka_run_group_tests_name("store purges", tests, NULL, NULL);
}
