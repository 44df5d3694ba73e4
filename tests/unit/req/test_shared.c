/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A core that shares its hot table with another one. The other is a view that the test uses in its
 * place: it owns half of the keys, stores, purges, and fills its table anew. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "cache/hot_internal.h"

static struct hot_share *share;
static struct hot_view *other;
static struct counters other_ctr;

static void up_shared(void)
{
	struct hot_config cfg = {.memory_bytes = 4u << 20, .max_object_bytes = 65536};
	struct fx_config fc = {0};

	assert_int_equal(hot_share_create(&share, 2), ST_OK);
	fc.share = share;
	up(&fc);
	memset(&other_ctr, 0, sizeof(other_ctr));
	assert_int_equal(hot_share_join(share, 1, &cfg, &other_ctr), ST_OK);
	hot_share_link(share);
	other = hot_share_view(share, 1);
	hot_view_wall(other, fx.rig.wall_ns / NS_PER_MS);
	attach();
}

static void no_holds(const struct hot_table *t)
{
	for (size_t i = 0; i < t->readers * hot_pin_row(t->seg_count); i++)
		assert_int_equal(t->remote_pins[i], 0);
}

static void down_shared(void)
{
	while (hot_view_poll(other) > 0)
		;
	down();
	no_holds(hot_view_own(other));
	no_holds(hot_view_l0(other));
	hot_share_destroy(share);
}

static bool owned_by_other(struct hash128 h)
{
	return hot_view_table(other, h, HOT_L0_OBJECT + 1) == hot_view_own(other) &&
	       hot_view_table(fx.rig.core->view, h, 1) == fx.rig.core->l0;
}

/* "h/N" that the other core owns: the n-th. */
static struct cache_key key_of_other(uint32_t n, char buf[32])
{
	for (uint32_t i = 0;; i++) {
		int len = snprintf(buf, 32, "h/%u", i);
		struct cache_key key = {.text = span_of(buf, len),
		                        .hash = hash128(buf, (size_t)len, 42)};

		if (owned_by_other(key.hash) && n-- == 0)
			return key;
	}
}

static const struct object *put_other(const struct cache_key *key, struct span body)
{
	struct {
		struct object o;
		char text[64];
	} head = {.o = {.hash = key->hash,
	                .response_ms = fx.rig.wall_ns / NS_PER_MS,
	                .expires_ms = fx.rig.wall_ns / NS_PER_MS + 60000,
	                .body_len = body.len,
	                .born_seq = hot_purge_seq(hot_view_own(other)),
	                .key_len = (uint32_t)key->text.len,
	                .status = 200,
	                .flags = OBJECT_STORABLE}};
	struct hot_fill f;

	memcpy(head.text, key->text.ptr, key->text.len);
	assert_int_equal(hot_fill_begin(hot_view_own(other), &f, &head.o, body.len), ST_OK);
	assert_int_equal(hot_fill_append(hot_view_own(other), &f, body), ST_OK);
	return hot_fill_commit(hot_view_own(other), &f);
}

static void say_get(struct web *w, const struct cache_key *key)
{
	char text[96];

	snprintf(text, sizeof(text), "GET /%.*s HTTP/1.1\r\nHost: h\r\n\r\n",
	         (int)key->text.len - 2, key->text.ptr + 2);
	say(w, text);
}

static struct web *ask_key(const struct cache_key *key)
{
	struct web *w = open_web();

	say_get(w, key);
	return w;
}

/* From the other's table: the first time as it lies there, then from a copy. */
static void test_remote_hit(void **state)
{
	char buf[32];

	(void)state;
	up_shared();
	struct cache_key key = key_of_other(0, buf);
	put_other(&key, SPAN_LIT("from the other"));
	for (uint32_t i = 0; i < 4; i++) {
		got_body(ask_key(&key), 200, SPAN_LIT("from the other"));
		assert_int_equal(ctr(CTR_cache_hit), i + 1);
		assert_int_equal(ctr(CTR_cache_hit_remote), 1);
		assert_int_equal(ctr(CTR_cache_hit_l0), i);
	}
	drain_control();
	assert_int_equal(ctr(CTR_cache_copy), 1);
	down_shared();
}

/* A large body is sent from where it lies, while its owner purges it and needs the room. */
static void test_remote_body(void **state)
{
	char buf[32], more_buf[32];
	struct span body = pattern(7, 60000);

	(void)state;
	up_shared();
	struct cache_key key = key_of_other(0, buf);
	put_other(&key, body);
	struct web *w = open_web();
	char text[96];
	snprintf(text, sizeof(text), "GET /%.*s HTTP/1.1\r\nHost: h\r\n\r\n", (int)key.text.len - 2,
	         key.text.ptr + 2);
	assert_true(web_send(w, text, strlen(text)));
	for (uint32_t i = 0; i < 1000 && ctr(CTR_cache_hit) == 0; i++)
		rig_step(&fx.rig, NS_PER_US);
	struct inval_purge p = {.seq = 1, .kind = INVAL_KEY, .text = key.text};
	bool held = false;
	for (uint32_t n = 0; n < 400; n++) {
		const struct hot_table *t = hot_view_own(other);

		for (size_t i = 0; i < t->seg_count; i++)
			held |= t->remote_pins[i] != 0;
		struct cache_key more = key_of_other(1 + n % 40, more_buf);
		put_other(&more, pattern(n, 30000));
		if (n == 0)
			assert_int_equal(hot_purge(hot_view_own(other), &p, key.hash), 1);
		if (n % 20 == 0)
			rig_step(&fx.rig, NS_PER_MS);
	}
	assert_true(held);
	got_body(w, 200, pattern(7, 60000));
	assert_int_equal(ctr(CTR_cache_hit_remote), 1);
	run_ms(50);
	no_holds(hot_view_own(other));
	down_shared();
}

/* What this core fetches for the other's key is near at once, and with its owner after a look. */
static void test_offer(void **state)
{
	struct hot_found found;
	char buf[32];

	(void)state;
	up_shared();
	for (uint32_t n = 0; n < 2; n++) {
		struct cache_key key = key_of_other(n, buf);
		struct span body = pattern(n, n == 0 ? 100 : 40000);
		struct web *w = ask_key(&key);

		next_request();
		struct rig_answer a = answer_to(200, "", body);
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		got_body(w, 200, body);
		assert_int_equal(ctr(CTR_cache_fill), n + 1);
		assert_null(hot_view_get(other, &key, &found));
		assert_true(hot_view_poll(other) > 0);
		const struct object *o = hot_view_get(other, &key, &found);
		assert_true(o != NULL && found.where == HOT_OWN);
		assert_true(span_eq(object_body(o), body));
		got_body(ask_key(&key), 200, body);
		assert_int_equal(ctr(CTR_cache_hit), n + 1);
	}
	assert_int_equal(ctr(CTR_cache_hit_l0), 1);
	assert_int_equal(ctr(CTR_cache_hit_remote), 1);
	assert_int_equal(ctr(CTR_cache_offer), 2);
	assert_int_equal(ctr(CTR_cache_offer_full), 0);
	drain_control();
	down_shared();
}

/* A purge counts from when this core has it, also for what lies with the other, who has not yet;
 * for a copy; and for an offer that the other takes after it. */
static void test_purge(void **state)
{
	char buf[32];

	(void)state;
	for (uint32_t copied = 0; copied < 2; copied++) {
		up_shared();
		struct cache_key key = key_of_other(0, buf);
		put_other(&key, SPAN_LIT("old"));
		for (uint32_t i = 0; i < 1 + copied; i++)
			got_body(ask_key(&key), 200, SPAN_LIT("old"));
		struct chan_msg m = purge_msg(INVAL_KEY, buf, 0);
		post(&m);
		run_ms(2);
		struct web *w = ask_key(&key);
		next_request();
		struct rig_answer a = answer_to(200, "", SPAN_LIT("new"));
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		a.born_seq = fx.req.born_seq;
		reply_with(&a);
		got_body(w, 200, SPAN_LIT("new"));
		got_body(ask_key(&key), 200, SPAN_LIT("new"));
		hot_view_poll(other);
		got_body(ask_key(&key), 200, SPAN_LIT("new"));
		drain_control();
		down_shared();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_remote_hit),
	        cmocka_unit_test(test_remote_body),
	        cmocka_unit_test(test_offer),
	        cmocka_unit_test(test_purge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
