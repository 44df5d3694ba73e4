/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys with variants (RFC 9111 4.1): lists that control puts into the hot table, fills under a
 * variant's key, lookups through the list; and remarks that answers are not for sharing. */
#include "tests/unit/req/fixture.h"

#include "cache/vary.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_ID 0x1122334455667788ull

static union {
	struct object o;
	char bytes[8192];
} mem;

static struct cache_key key_of(const char *text)
{
	return (struct cache_key){.hash = hash128(text, strlen(text), 42), .text = span_cstr(text)};
}

static void put(const struct object *o)
{
	assert_true(rig_put(&fx.rig, o));
	run_ms(2);
}

static void put_list(const char *key, uint64_t id, const char *names)
{
	struct cache_key k = key_of(key);

	assert_in_range(vary_list_write(mem.bytes, sizeof(mem), &k, id, span_cstr(names)), 1,
	                sizeof(mem));
	put(&mem.o);
}

static void put_pass(const char *key, uint32_t for_ms)
{
	size_t len = strlen(key);

	mem.o = (struct object){
	        .response_ms = fx.rig.wall_ns / NS_PER_MS,
	        .expires_ms = fx.rig.wall_ns / NS_PER_MS + for_ms,
	        .key_len = (uint32_t)len,
	        .status = 200,
	        .flags = OBJECT_PASS,
	};
	memcpy(&mem.o + 1, key, len);
	put(&mem.o);
}

/* The key of the variant that a request with this field gets, by the list in mem. */
static struct cache_key variant_of(const char *key, const char *line)
{
	static char text[CACHE_KEY_MAX];
	struct cache_key primary = key_of(key);
	struct http_fields fields;
	struct cache_key out;
	size_t pos = 0;
	char lines[256];
	int n = snprintf(lines, sizeof(lines), "%s\r\n\r\n", line);

	assert_int_equal(http1_scan_fields(lines, (size_t)n, &pos, &fields), HTTP_SCAN_DONE);
	assert_true(vary_key(text, &primary, &mem.o, &fields, 42, &out));
	return out;
}

static void answer_variant(struct span key, struct span body)
{
	struct rig_answer a = answer_to(200, "Vary: X\r\n", body);

	a.lifetime_ms = 60000;
	a.flags = CHAN_F_FILL;
	a.key = key;
	reply_with(&a);
}

static struct web *ask_x(const char *value)
{
	char text[128];

	snprintf(text, sizeof(text), "GET /v HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", value);
	return ask(text);
}

static void test_variants(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	/* The first: control tells the list ahead of the head. */
	w = ask_x("1");
	next_request();
	assert_true(span_eq(fx.req.key, SPAN_LIT("h/v")));
	put_list("h/v", LIST_ID, "x");
	answer_variant(variant_of("h/v", "X: 1").text, SPAN_LIT("one"));
	got_body(w, 200, SPAN_LIT("one"));
	assert_true(has_line("Cache-Status: rig; fwd=uri-miss; stored; ttl=60") ||
	            has_line("Cache-Status: rig; fwd=uri-miss; stored; ttl=59"));
	assert_int_equal(ctr(CTR_cache_put), 1);
	assert_int_equal(ctr(CTR_cache_fill), 1);
	w = ask_x("1");
	got_body(w, 200, SPAN_LIT("one"));
	assert_int_equal(ctr(CTR_cache_hit), 1);
	/* Another variant is asked for with the first key. */
	w = ask_x("2");
	next_request();
	assert_true(span_eq(fx.req.key, SPAN_LIT("h/v")));
	answer_variant(variant_of("h/v", "X: 2").text, SPAN_LIT("two"));
	got_body(w, 200, SPAN_LIT("two"));
	assert_non_null(strstr(fx.answer.head, "; fwd=vary-miss; stored; ttl="));
	for (int i = 0; i < 2; i++) {
		w = ask_x("2");
		got_body(w, 200, SPAN_LIT("two"));
		w = ask_x("1");
		got_body(w, 200, SPAN_LIT("one"));
	}
	drain_control();
	assert_int_equal(ctr(CTR_cache_vary_miss), 1);
	assert_int_equal(ctr(CTR_cache_vary_hit), 5);
	assert_int_equal(ctr(CTR_cache_miss), 2);
	/* A new list: none of the old ones is found. */
	put_list("h/v", LIST_ID + 1, "x");
	w = ask_x("1");
	next_request();
	web_abort(w);
	run_ms(3);
	assert_int_equal(ctr(CTR_cache_vary_miss), 2);
	/* So it is without the list. */
	put_list("h/v", LIST_ID, "x");
	got_body(ask_x("1"), 200, SPAN_LIT("one"));
	purge_now(INVAL_KEY, "h/v");
	ask_x("1");
	next_request();
	down();
}

/* A fill under a key that is not the request's. */
static void test_foreign_keys(void **state)
{
	static const struct span keys[] = {
	        SPAN_LIT("h/other"), SPAN_LIT("h/other\nx"), SPAN_LIT("h/vv\nx"),
	        SPAN_LIT("\nx"),     SPAN_LIT("h/\nv"),
	};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct web *w = ask_x("1");

		next_request();
		answer_variant(keys[i], SPAN_LIT("body"));
		got_body(w, 200, SPAN_LIT("body"));
		assert_int_equal(ctr(CTR_cache_fill_key), i + 1);
		assert_int_equal(hot_count(fx.rig.core->hot), 0);
	}
	/* The hash is another's. */
	struct web *w = ask_x("1");
	next_request();
	fx.req.cr.key_lo ^= 1;
	answer_variant(SPAN_LIT(""), SPAN_LIT("body"));
	got_body(w, 200, SPAN_LIT("body"));
	assert_int_equal(ctr(CTR_cache_fill_key), ARRAY_LEN(keys) + 1);
	assert_int_equal(hot_count(fx.rig.core->hot), 0);
	/* And a head may be no list and no remark. */
	for (int i = 0; i < 2; i++) {
		w = ask_x("1");
		next_request();
		struct rig_answer a = answer_to(200, "", SPAN_LIT("body"));
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		a.object_flags = i == 0 ? OBJECT_VARY : OBJECT_PASS;
		uint64_t bad = ctr(CTR_chan_bad);
		reply_with(&a);
		assert_true(ctr(CTR_chan_bad) > bad);
		web_abort(w);
		run_ms(3);
	}
	assert_int_equal(ctr(CTR_cache_fill), 0);
	down();
}

static void test_bad_puts(void **state)
{
	struct chan_msg m;

	(void)state;
	up(NULL);
	attach();
	put_list("h/v", LIST_ID, "x");
	assert_int_equal(ctr(CTR_cache_put), 1);
	const struct object good = mem.o;
	struct {
		uint16_t flags;
		uint32_t key_len;
		uint32_t fields_len;
		uint32_t etag_off;
		uint16_t tag_count;
		uint16_t status;
		bool wrong_hash;
		uint32_t cut;
	} rows[] = {
	        {0, 3, good.fields_len, 0, 0, good.status, false, 0},
	        {OBJECT_STORABLE, 3, good.fields_len, 0, 0, good.status, false, 0},
	        {OBJECT_VARY | OBJECT_PASS, 3, good.fields_len, 0, 0, good.status, false, 0},
	        {OBJECT_VARY, 0, good.fields_len, 0, 0, good.status, false, 0},
	        {OBJECT_VARY, 3, 0, 0, 0, good.status, false, 0},
	        {OBJECT_VARY, 3, 60000, 0, 0, good.status, false, 0},
	        {OBJECT_VARY, UINT32_MAX, good.fields_len, 0, 0, good.status, false, 0},
	        {OBJECT_VARY, 3, good.fields_len, 0, 65, good.status, false, 0},
	        {OBJECT_VARY, 3, good.fields_len, 0, 0, good.status, true, 0},
	        {OBJECT_VARY, 3, good.fields_len, 0, 0, good.status, false, 1},
	        {OBJECT_VARY, 3, good.fields_len, 0, 0, good.status, false, 70},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct object o = good;
		char bytes[1024];
		uint32_t len = (uint32_t)object_head_bytes(&good) - rows[i].cut;

		o.flags = rows[i].flags;
		o.key_len = rows[i].key_len;
		o.fields_len = rows[i].fields_len;
		o.etag_off = rows[i].etag_off;
		o.tag_count = rows[i].tag_count;
		o.hash = hash128("h/v", min_u32(o.key_len, 3), 42);
		if (rows[i].wrong_hash)
			o.hash.hi ^= 1;
		memcpy(bytes, mem.bytes, sizeof(bytes));
		memcpy(bytes, &o, sizeof(o));
		m = (struct chan_msg){
		        .type = CHAN_PUT, .len = len, .block = down_block(bytes, sizeof(bytes))};
		post(&m);
		if (ctr(CTR_chan_bad) != i + 1)
			fail_msg("row %zu was taken", i);
	}
	m = (struct chan_msg){.type = CHAN_PUT, .block = CHAN_NO_BLOCK};
	post(&m);
	m = (struct chan_msg){.type = CHAN_PUT, .block = 1u << 30, .len = 100};
	post(&m);
	m = (struct chan_msg){
	        .type = CHAN_PUT, .block = down_block("", 0), .len = CORE_OUT_BYTES / 2 + 1};
	post(&m);
	assert_int_equal(ctr(CTR_chan_bad), ARRAY_LEN(rows) + 3);
	assert_int_equal(ctr(CTR_cache_put), 1);
	assert_int_equal(hot_count(fx.rig.core->hot), 1);
	down();
}

/* Requests to such a key do not wait for each other. */
static void test_pass(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	put_pass("h/v", 5000);
	w = ask_x("1");
	next_request();
	assert_int_equal(fx.req.cr.flags & (CHAN_REQ_COLLAPSE | CHAN_REQ_STORE), CHAN_REQ_STORE);
	reply("", SPAN_LIT("mine"));
	got_body(w, 200, SPAN_LIT("mine"));
	assert_true(has_line("Cache-Status: rig; fwd=miss; detail=pass"));
	assert_int_equal(ctr(CTR_cache_pass), 1);
	/* Not for ever. */
	run_s(6);
	w = ask_x("1");
	next_request();
	assert_true(fx.req.cr.flags & CHAN_REQ_COLLAPSE);
	/* And an answer that is shared ends it. */
	put_pass("h/v", 5000);
	answer_variant(SPAN_LIT(""), SPAN_LIT("all"));
	got_body(w, 200, SPAN_LIT("all"));
	got_body(ask_x("1"), 200, SPAN_LIT("all"));
	assert_int_equal(ctr(CTR_cache_pass), 1);
	/* Under a variant's key it counts for that variant. */
	put_list("h/v", LIST_ID, "x");
	struct cache_key k = variant_of("h/v", "X: 2");
	char text[CACHE_KEY_MAX];
	snprintf(text, sizeof(text), "%.*s", (int)k.text.len, k.text.ptr);
	put_pass(text, 5000);
	ask_x("2");
	next_request();
	assert_int_equal(fx.req.cr.flags & CHAN_REQ_COLLAPSE, 0);
	ask_x("3");
	next_request();
	assert_true(fx.req.cr.flags & CHAN_REQ_COLLAPSE);
	/* No client ever gets a list or a remark. */
	for (uint32_t i = 0; i < fx.web_count; i++)
		got_nothing(&fx.webs[i]);
	down();
}

/* A stale variant is refreshed by itself. */
static void test_stale_variant(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	for (int i = 1; i <= 2; i++) {
		w = ask_x(i == 1 ? "1" : "2");
		next_request();
		put_list("h/v", LIST_ID, "x");
		struct rig_answer a = answer_to(200, "Vary: X\r\n", SPAN_LIT("body"));
		a.lifetime_ms = 1000;
		a.stale_while_s = 60;
		a.flags = CHAN_F_FILL;
		a.key = variant_of("h/v", i == 1 ? "X: 1" : "X: 2").text;
		reply_with(&a);
		got_body(w, 200, SPAN_LIT("body"));
	}
	run_s(2);
	for (int i = 1; i <= 2; i++) {
		w = ask_x(i == 1 ? "1" : "2");
		got_body(w, 200, SPAN_LIT("body"));
		next_request();
		assert_true(fx.req.cr.flags & CHAN_REQ_REFRESH);
		assert_true(span_eq(fx.req.key, SPAN_LIT("h/v")));
	}
	assert_int_equal(ctr(CTR_cache_refresh), 2);
	down();
}

/* Control dies with the request: its variant is found by the field lines that it was sent. */
static void test_stale_variant_on_error(void **state)
{
	(void)state;
	up(NULL);
	attach();
	for (int i = 1; i <= 2; i++) {
		struct web *w = ask_x(i == 1 ? "1" : "2");

		next_request();
		put_list("h/v", LIST_ID, "x");
		struct rig_answer a = answer_to(200, "Vary: X\r\n", SPAN_LIT("?"));
		a.body = i == 1 ? SPAN_LIT("1") : SPAN_LIT("2");
		a.lifetime_ms = 1000;
		a.stale_error_s = 60;
		a.flags = CHAN_F_FILL;
		a.key = variant_of("h/v", i == 1 ? "X: 1" : "X: 2").text;
		reply_with(&a);
		got_body(w, 200, a.body);
	}
	run_s(2);
	struct web *one = ask_x("1"), *two = ask_x("2"), *three = ask_x("3");
	while (try_request())
		;
	detach();
	got_body(one, 200, SPAN_LIT("1"));
	got_body(two, 200, SPAN_LIT("2"));
	got_nothing(three);
	run_s(3);
	got(three, 503);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_variants),      cmocka_unit_test(test_foreign_keys),
	        cmocka_unit_test(test_bad_puts),      cmocka_unit_test(test_pass),
	        cmocka_unit_test(test_stale_variant), cmocka_unit_test(test_stale_variant_on_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
