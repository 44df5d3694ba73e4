/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Several cores' tables as one cache, all in one thread: what lies where, who hears of it, what is
 * held. Threads are in test_hot_share_threads.c. */
#include "cache/hot_share.h"

#include <stdio.h>
#include <stdlib.h>

#include "hot_fixture.h"

#define CORES      3u
#define OBJECT_MAX (256u << 10)

static struct {
	struct hot_share *s;
	struct counters ctr[CORES];
	struct hot_view *v[CORES];
} sh;

static void share_setup_bytes(uint32_t cores, size_t memory_bytes)
{
	struct hot_config cfg = {.memory_bytes = memory_bytes, .max_object_bytes = OBJECT_MAX};

	memset(&sh, 0, sizeof(sh));
	assert_int_equal(hot_share_create(&sh.s, cores), ST_OK);
	for (uint32_t i = 0; i < cores; i++)
		assert_int_equal(hot_share_join(sh.s, i, &cfg, &sh.ctr[i]), ST_OK);
	hot_share_link(sh.s);
	for (uint32_t i = 0; i < cores; i++) {
		sh.v[i] = hot_share_view(sh.s, i);
		hot_view_wall(sh.v[i], 1000);
	}
}

static void share_setup(uint32_t cores)
{
	share_setup_bytes(cores, 8 * MIB);
}

static void check_no_holds(struct hot_table *t)
{
	if (t == NULL)
		return;
	hot_table_check(t);
	for (size_t i = 0; i < t->readers * hot_pin_row(t->seg_count); i++)
		assert_int_equal(t->remote_pins[i], 0);
	for (uint32_t i = 0; i < t->seg_count; i++)
		assert_int_equal(t->segs[i].pins, 0);
}

static void share_teardown(uint32_t cores)
{
	for (uint32_t i = 0; i < cores; i++) {
		check_no_holds(hot_view_own(sh.v[i]));
		check_no_holds(hot_view_l0(sh.v[i]));
	}
	hot_share_destroy(sh.s);
}

/* A key whose owner is that core: the n-th of them. */
static struct cache_key key_owned(uint32_t owner, uint32_t n, char buf[32])
{
	for (uint32_t i = 0;; i++) {
		snprintf(buf, 32, "key/%u", i);
		struct cache_key key = key_of(buf);
		if (hot_view_table(sh.v[owner], key.hash, 1) == hot_view_own(sh.v[owner]) &&
		    n-- == 0)
			return key;
	}
}

static const struct object *put_at(uint32_t core, const struct cache_key *key, size_t body_bytes,
                                   uint64_t expires_ms)
{
	struct hot_view *v = sh.v[core];
	struct hot_table *t = hot_view_table(v, key->hash, body_bytes);
	char *body = malloc(body_bytes + 1);
	struct hot_fill f = {0};
	struct head h;

	for (size_t i = 0; i < body_bytes; i++)
		body[i] = (char)(i * 7 + key->hash.lo);
	head_make(&h, key, body_bytes);
	h.o.expires_ms = expires_ms;
	h.o.born_seq = hot_purge_seq(t);
	assert_int_equal(hot_fill_begin(t, &f, &h.o, body_bytes), ST_OK);
	assert_int_equal(hot_fill_append(t, &f, span_of(body, body_bytes)), ST_OK);
	free(body);
	const struct object *o = hot_fill_commit(t, &f);
	assert_non_null(o);
	hot_view_stored(v, t, o);
	return o;
}

static bool whole(const struct object *o, const struct cache_key *key, size_t body_bytes)
{
	if (o == NULL || !span_eq(object_key(o), key->text) || o->body_len != body_bytes)
		return false;
	for (size_t i = 0; i < body_bytes; i++)
		if (object_body(o).ptr[i] != (char)(i * 7 + key->hash.lo))
			return false;
	return true;
}

static enum hot_where where(uint32_t core, const struct cache_key *key, size_t body_bytes)
{
	struct hot_found found;
	const struct object *o = hot_view_get(sh.v[core], key, &found);
	enum hot_where at = found.where;

	if ((o != NULL) != (at != HOT_NOWHERE) || (o != NULL && !whole(o, key, body_bytes)))
		fail_msg("%.*s", (int)key->text.len, key->text.ptr);
	hot_view_done(sh.v[core], &found);
	return at;
}

static void test_create(void **state)
{
	static const struct {
		uint32_t cores;
		size_t memory;
		enum status create, join;
	} rows[] = {
	        {0, 8 * MIB, ST_INVALID, ST_OK},   {1, MIB, ST_OK, ST_OK},
	        {1, MIB - 1, ST_OK, ST_INVALID},   {2, 2 * MIB - 1, ST_OK, ST_OK},
	        {2, 2 * MIB, ST_OK, ST_OK},        {64, 16 * MIB, ST_OK, ST_OK},
	        {65, 16 * MIB, ST_INVALID, ST_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hot_config cfg = {.memory_bytes = rows[i].memory, .max_object_bytes = 4096};

		assert_int_equal(hot_share_create(&sh.s, rows[i].cores), rows[i].create);
		if (sh.s == NULL)
			continue;
		assert_int_equal(hot_share_join(sh.s, 0, &cfg, &sh.ctr[0]), rows[i].join);
		hot_share_destroy(sh.s);
	}
	hot_share_destroy(NULL);
}

/* One core: its table, and no other. */
static void test_one_core(void **state)
{
	char buf[32];

	(void)state;
	share_setup(1);
	assert_null(hot_view_l0(sh.v[0]));
	for (uint32_t i = 0; i < 50; i++) {
		struct cache_key key = key_owned(0, i, buf);

		assert_int_equal(where(0, &key, 10), HOT_NOWHERE);
		put_at(0, &key, 10, NO_LIMIT);
		assert_int_equal(where(0, &key, 10), HOT_OWN);
	}
	assert_int_equal(hot_view_poll(sh.v[0]), 0);
	assert_int_equal(hot_count(hot_view_own(sh.v[0])), 50);
	assert_int_equal(hot_view_counts(sh.v[0])->offers, 0);
	share_teardown(1);
}

/* Too little memory for an L0: what is fetched waits in the own table. */
static void test_no_l0(void **state)
{
	char buf[32];

	(void)state;
	share_setup_bytes(CORES, MIB);
	assert_null(hot_view_l0(sh.v[0]));
	uint32_t elsewhere = 0;
	for (uint32_t i = 0; i < 60; i++) {
		snprintf(buf, sizeof(buf), "key/%u", i);
		struct cache_key key = key_of(buf);

		hot_view_prefetch(sh.v[0], key.hash);
		hot_view_prefetch_object(sh.v[0], key.hash);
		put_at(0, &key, 100, NO_LIMIT);
		if (where(0, &key, 100) == HOT_OWN)
			continue;
		elsewhere++;
		assert_int_equal(hot_view_poll(sh.v[1]) + hot_view_poll(sh.v[2]), 1);
		for (uint32_t n = 0; n < 5; n++)
			assert_int_equal(where(0, &key, 100), HOT_REMOTE);
	}
	assert_in_range(elsewhere, 20, 55);
	share_teardown(CORES);
}

/* What core 0 fetches of core 1's: near at once, at its owner and for all after its poll. */
static void test_offer(void **state)
{
	char buf[32];

	(void)state;
	share_setup(CORES);
	struct cache_key key = key_owned(1, 0, buf);
	put_at(0, &key, 100, NO_LIMIT);
	assert_int_equal(where(0, &key, 100), HOT_L0);
	assert_int_equal(where(1, &key, 100), HOT_NOWHERE);
	assert_int_equal(where(2, &key, 100), HOT_NOWHERE);
	assert_int_equal(hot_view_poll(sh.v[2]), 0);
	assert_int_equal(hot_view_poll(sh.v[1]), 1);
	assert_int_equal(hot_view_poll(sh.v[1]), 0);
	assert_int_equal(where(1, &key, 100), HOT_OWN);
	assert_int_equal(where(2, &key, 100), HOT_REMOTE);
	assert_int_equal(hot_count(hot_view_own(sh.v[0])), 0);
	assert_int_equal(hot_view_counts(sh.v[0])->offers, 1);
	assert_int_equal(hot_view_counts(sh.v[1])->taken, 1);
	assert_int_equal(hot_view_counts(sh.v[2])->remote_hits, 1);

	/* An own key is offered to nobody. */
	key = key_owned(0, 0, buf);
	put_at(0, &key, 100, NO_LIMIT);
	assert_int_equal(where(0, &key, 100), HOT_OWN);
	assert_int_equal(where(1, &key, 100), HOT_REMOTE);
	assert_int_equal(hot_view_counts(sh.v[0])->offers, 1);
	share_teardown(CORES);
}

/* Too large for L0: it waits in the own table, and its owner copies it piece by piece. */
static void test_large(void **state)
{
	size_t bytes = 200u << 10;
	uint32_t polls = 0;
	char buf[32];
	char other_buf[32];

	(void)state;
	share_setup(CORES);
	struct cache_key key = key_owned(2, 0, buf);
	const struct object *o = kept(put_at(0, &key, bytes, NO_LIMIT));
	assert_int_equal(hot_count(hot_view_own(sh.v[0])), 1);
	assert_int_equal(hot_count(hot_view_l0(sh.v[0])), 0);
	assert_int_equal(where(0, &key, bytes), HOT_NOWHERE);
	while (where(2, &key, bytes) == HOT_NOWHERE && polls < 100) {
		assert_true(whole(o, &key, bytes));
		assert_int_equal(hot_view_poll(sh.v[2]), 1);
		/* Evicted meanwhile, it stays in its place. */
		if (polls++ == 1)
			for (uint32_t i = 0; i < 3000; i++) {
				struct cache_key other = key_owned(0, i % 30, other_buf);
				put_at(0, &other, 3000 + i, NO_LIMIT);
			}
	}
	assert_int_equal(polls, bytes / HOT_SHARE_STEP + 1);
	assert_int_equal(where(2, &key, bytes), HOT_OWN);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(where(0, &key, bytes), HOT_REMOTE);
	assert_int_equal(hot_view_counts(sh.v[0])->copies, 0);
	share_teardown(CORES);
}

/* What is found elsewhere a second time is copied; L0 answers from then on. */
static void test_copy(void **state)
{
	char buf[32];

	(void)state;
	share_setup(CORES);
	struct cache_key key = key_owned(1, 0, buf);
	put_at(1, &key, 500, NO_LIMIT);
	assert_int_equal(where(0, &key, 500), HOT_REMOTE);
	assert_int_equal(hot_count(hot_view_l0(sh.v[0])), 0);
	assert_int_equal(where(0, &key, 500), HOT_L0);
	assert_int_equal(hot_view_counts(sh.v[0])->copies, 1);
	assert_int_equal(where(0, &key, 500), HOT_L0);
	assert_int_equal(hot_view_counts(sh.v[0])->l0_hits, 1);
	assert_int_equal(hot_view_counts(sh.v[0])->remote_hits, 2);
	share_teardown(CORES);
}

/* A copy that has expired does not hide what its owner has. */
static void test_expired_copy(void **state)
{
	char buf[32];

	(void)state;
	share_setup(CORES);
	struct cache_key key = key_owned(1, 0, buf);
	put_at(0, &key, 500, 2000);
	hot_view_poll(sh.v[1]);
	assert_int_equal(where(0, &key, 500), HOT_L0);
	hot_view_wall(sh.v[0], 2000);
	assert_int_equal(where(0, &key, 500), HOT_L0); /* nobody has a better one */
	put_at(1, &key, 300, 9000);
	assert_int_equal(where(0, &key, 300), HOT_REMOTE);
	assert_int_equal(where(0, &key, 300), HOT_L0); /* copied, in the place of the old one */
	assert_int_equal(where(0, &key, 300), HOT_L0);
	/* An expired one of another core is found, and not copied. */
	hot_view_wall(sh.v[2], 9000);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(where(2, &key, 300), HOT_REMOTE);
	assert_int_equal(hot_view_counts(sh.v[2])->copies, 0);
	share_teardown(CORES);
}

/* What the owner has already, as new, stays; what is newer takes its place. */
static void test_news(void **state)
{
	char buf[32];

	(void)state;
	share_setup(CORES);
	struct cache_key key = key_owned(1, 0, buf);
	put_at(0, &key, 100, 5000);
	put_at(2, &key, 200, 5000);
	hot_view_poll(sh.v[1]);
	assert_int_equal(where(1, &key, 100), HOT_OWN);
	assert_int_equal(hot_view_counts(sh.v[1])->gone, 1);
	put_at(2, &key, 300, 6000);
	hot_view_poll(sh.v[1]);
	assert_int_equal(where(1, &key, 300), HOT_OWN);
	assert_int_equal(hot_view_counts(sh.v[1])->taken, 2);
	/* Gone before it was looked at. */
	put_at(0, &key, 400, 7000);
	put_at(0, &key, 500, 8000);
	hot_view_poll(sh.v[1]);
	assert_int_equal(where(1, &key, 500), HOT_OWN);
	assert_int_equal(hot_view_counts(sh.v[1])->gone, 2);
	share_teardown(CORES);
}

static void test_offers_full(void **state)
{
	char buf[32];
	uint32_t n = HOT_SHARE_OFFERS + 10;

	(void)state;
	share_setup(2);
	struct cache_key key = key_owned(1, 0, buf);
	for (uint32_t i = 0; i < n; i++)
		put_at(0, &key, 10, 5000 + i);
	assert_int_equal(hot_view_counts(sh.v[0])->offers, HOT_SHARE_OFFERS);
	assert_int_equal(hot_view_counts(sh.v[0])->offers_full, 10);
	/* One poll is bounded, all of them take all. */
	uint32_t did = hot_view_poll(sh.v[1]);
	assert_in_range(did, 1, HOT_SHARE_OFFERS / 2);
	while (hot_view_poll(sh.v[1]) > 0)
		;
	const struct hot_view_counts *c = hot_view_counts(sh.v[1]);
	assert_int_equal(c->gone + c->taken, HOT_SHARE_OFFERS);
	put_at(0, &key, 10, 9000000);
	assert_int_equal(hot_view_poll(sh.v[1]), 1);
	assert_int_equal(where(1, &key, 10), HOT_OWN);
	share_teardown(2);
}

/* Pinned in any place, it stays when its table is filled anew; and is let go by the cookie alone.
 */
static void test_pin(void **state)
{
	static const struct {
		uint32_t reader, owner;
		size_t bytes;
		enum hot_where where;
	} rows[] = {
	        {0, 0, 9000, HOT_OWN},
	        {0, 1, 9000, HOT_REMOTE},
	        {2, 1, 300, HOT_REMOTE},
	        {0, 1, 400, HOT_L0},
	};
	char buf[32];
	char other_buf[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hot_found found;

		share_setup(CORES);
		struct cache_key key = key_owned(rows[i].owner, 0, buf);
		put_at(rows[i].where == HOT_L0 ? rows[i].reader : rows[i].owner, &key,
		       rows[i].bytes, NO_LIMIT);
		const struct object *o = kept(hot_view_get(sh.v[rows[i].reader], &key, &found));
		assert_int_equal(found.where, rows[i].where);
		uint64_t cookie = hot_view_pin(sh.v[rows[i].reader], o, &found);
		assert_int_equal(cookie >> 63, 0);
		/* Each part of an answer has a pin of its own. */
		uint64_t other = hot_view_pin(sh.v[rows[i].reader], o, &found);
		hot_view_done(sh.v[rows[i].reader], &found);
		hot_view_unpin(sh.v[rows[i].reader], other);
		for (uint32_t core = 0; core < CORES; core++)
			for (uint32_t n = 0; n < 6000; n++) {
				struct cache_key k =
				        key_owned((core + n) % CORES, 1 + n % 20, other_buf);
				put_at(core, &k, 3000 + n % 5000, NO_LIMIT);
			}
		if (!whole(o, &key, rows[i].bytes))
			fail_msg("row %zu: not in its place", i);
		hot_view_unpin(sh.v[rows[i].reader], cookie);
		for (uint32_t c = 0; c < CORES; c++)
			while (hot_view_poll(sh.v[c]) > 0)
				;
		share_teardown(CORES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_create),       cmocka_unit_test(test_one_core),
	        cmocka_unit_test(test_no_l0),        cmocka_unit_test(test_offer),
	        cmocka_unit_test(test_large),        cmocka_unit_test(test_copy),
	        cmocka_unit_test(test_expired_copy), cmocka_unit_test(test_news),
	        cmocka_unit_test(test_offers_full),  cmocka_unit_test(test_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
