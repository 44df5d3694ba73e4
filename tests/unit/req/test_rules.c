/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Routes with cache rules: what reaches control, what a core answers, POST with a body that a key
 * is made of, in every cut. */
#include "tests/unit/req/fixture.h"

#include "cache/read_set.h"

#include <stdio.h>

#define BODY  SPAN_LIT("allowed")
#define HEAD  "POST /dec HTTP/1.1\r\nHost: h\r\n"
#define JSON  "Content-Type: application/json\r\n"
#define ASK   "{\"r\":\"a\",\"n\":1}"
#define POST  HEAD JSON "Content-Length: 15\r\n\r\n" ASK
#define OTHER HEAD JSON "Content-Length: 15\r\n\r\n{\"r\":\"b\",\"n\":1}"

static const struct fx_config rules = {
        .routes = "    - {path: /dec, upstream: origin, cache: {rule: dec}}\n"
                  "    - {path: \"/i/{id}\", upstream: origin, cache: {rule: item}}\n"
                  "    - {path: \"/o/{id}\", upstream: origin, cache: {rule: open}}\n"
                  "    - {path: \"/p/{id}\", upstream: origin, cache: {rule: page}}\n"
                  "rules:\n"
                  "    - {name: dec, key: \"dec:{body.r}\", ttl_s: 60}\n"
                  "    - {name: item, key: \"item:{path.id|lower}:{query.q|1}\", ttl_s: 60}\n"
                  "    - {name: open, key: \"o:{path.id}\", public: true, ttl_s: 60}\n"
                  "    - {name: page, match: pattern, reads: [origin], ttl_s: 60}\n",
};

static uint64_t count(uint32_t rule, enum rule_result what)
{
	return fx.rig.core->stats->rules.v[rule][what];
}

/* The request is at control under this key; its answer is stored. */
static void fill(struct web *w, const char *key)
{
	next_request();
	if (!span_eq(fx.req.key, span_cstr(key)))
		fail_msg("%.*s", (int)fx.req.key.len, fx.req.key.ptr);
	struct rig_answer a = answer_to(200, "", BODY);
	a.lifetime_ms = 10000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	got_body(w, 200, BODY);
}

static void hit(struct web *w)
{
	run_ms(3);
	got_body(w, 200, BODY);
	assert_false(try_request());
}

static void test_keys(void **state)
{
	(void)state;
	up(&rules);
	attach();
	fill(ask("GET /i/A?q=1 HTTP/1.1\r\nHost: H\r\nX-Tenant-Id: t\r\n\r\n"), "item:a:1|h=h|t=t");
	hit(ask("GET /i/a HTTP/1.1\r\nHost: h\r\nX-Tenant-Id: t\r\n\r\n"));
	fill(ask("GET /i/a HTTP/1.1\r\nHost: h\r\nX-Tenant-Id: u\r\n\r\n"), "item:a:1|h=h|t=u");
	fill(ask("GET /o/a HTTP/1.1\r\nHost: h:81\r\nX-Tenant-Id: u\r\n\r\n"), "o:a|h=h%3A81");
	hit(ask("GET /o/a HTTP/1.1\r\nHost: h:81\r\nX-Tenant-Id: t\r\n\r\n"));
	assert_int_equal(count(1, RULE_HIT), 1);
	assert_int_equal(count(1, RULE_MISS), 2);
	assert_int_equal(count(2, RULE_HIT), 1);
	down();
}

/* Authorization keeps an answer out of a cache unless the key says whose it is. */
static void test_authorized(void **state)
{
	(void)state;
	up(&rules);
	attach();
	ask("GET /i/a HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n");
	next_request();
	assert_false(fx.req.cr.flags & CHAN_REQ_AUTHORIZED);
	assert_true(fx.req.cr.flags & CHAN_REQ_STORE);
	reply("", BODY);
	ask("GET /o/a HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n");
	next_request();
	assert_true(fx.req.cr.flags & CHAN_REQ_AUTHORIZED);
	reply("", BODY);
	down();
}

static void test_no_key(void **state)
{
	static const char *const asks[] = {
	        "GET /i/a?q=1&q=2 HTTP/1.1\r\nHost: h\r\n\r\n",
	        "GET /i/a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n",
	        "GET /i/a HTTP/1.1\r\nHost: h\r\nX-Tenant-Id: a\r\nX-Tenant-Id: b\r\n\r\n",
	        HEAD "Content-Length: 15\r\n\r\n" ASK,
	        HEAD JSON "Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" ASK,
	        HEAD JSON "Content-Length: 14\r\n\r\n{\"r\":\"a\",\"n\":}",
	        HEAD JSON "If-None-Match: *\r\nContent-Length: 15\r\n\r\n" ASK,
	        HEAD JSON "Cache-Control: no-store, no-cache\r\nContent-Length: 15\r\n\r\n" ASK,
	        HEAD JSON "Transfer-Encoding: chunked\r\n\r\nf\r\n" ASK "\r\n0\r\n\r\n",
	        HEAD JSON "Content-Length: 0\r\n\r\n",
	};

	(void)state;
	up(&rules);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		struct web *w = ask(asks[i]);

		next_request();
		if (fx.req.cr.flags & (CHAN_REQ_STORE | CHAN_REQ_COLLAPSE))
			fail_msg("row %zu may be stored", i);
		reply("", BODY);
		got_body(w, 200, BODY);
	}
	assert_int_equal(count(0, RULE_BYPASS) + count(1, RULE_BYPASS), ARRAY_LEN(asks));
	down();
}

static void test_post(void **state)
{
	struct web *w;

	(void)state;
	up(&rules);
	attach();
	fill(ask(POST), "dec:a|h=h|m=POST");
	drain_control();
	assert_true(fx.upload_end);
	assert_int_equal(fx.upload_len, strlen(ASK));
	hit(ask(POST));
	w = ask(OTHER);
	fill(w, "dec:b|h=h|m=POST");
	/* What follows the body is the next request. */
	say(w, POST OTHER POST);
	for (int i = 0; i < 3; i++)
		hit(w);
	got_nothing(w);
	down();
}

/* Cut anywhere, with the second part later: the same answer. */
static void test_post_in_two(void **state)
{
	static const char text[] = POST;

	(void)state;
	up(&rules);
	attach();
	fill(ask(POST), "dec:a|h=h|m=POST");
	for (size_t cut = 1; cut < sizeof(text) - 1; cut += 2) {
		struct web *w = open_web();

		say_bytes(w, text, cut);
		run_ms(3);
		got_nothing(w);
		assert_false(try_request());
		say_bytes(w, text + cut, sizeof(text) - 1 - cut);
		hit(w);
		web_abort(w);
		run_ms(3);
	}
	down();
}

static void test_post_continue(void **state)
{
	struct web *w;

	(void)state;
	up(&rules);
	attach();
	fill(ask(POST), "dec:a|h=h|m=POST");
	w = ask(HEAD JSON "Expect: 100-continue\r\nContent-Length: 15\r\n\r\n");
	assert_int_equal(w->rx_len, 25);
	say(w, ASK);
	hit(w);
	assert_int_equal(w->interim, 1);
	assert_int_equal(ctr(CTR_http_1xx), 1);
	down();
}

/* It never comes: 408; or the client is gone. */
static void test_post_cut_short(void **state)
{
	struct web *w;

	(void)state;
	up(&rules);
	attach();
	w = ask(HEAD JSON "Content-Length: 15\r\n\r\n{");
	run_s(31);
	got(w, 408);
	w = ask(HEAD JSON "Content-Length: 15\r\n\r\n{");
	web_abort(w);
	run_ms(10);
	assert_false(try_request());
	down();
}

#define PAGE  "GET /p/1?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"
#define FRONT "pattern:page|h=h|r=/p/{id}"

/* A list of what shared answers depend on is no answer, though it is the last that was found. */
static void test_list_is_no_answer(void **state)
{
	static union {
		struct object o;
		char bytes[1024];
	} list;
	struct cache_key front = {.text = SPAN_LIT(FRONT),
	                          .hash = hash128(FRONT, strlen(FRONT), 42)};
	struct web *w;

	(void)state;
	up(&rules);
	attach();
	w = ask(PAGE);
	next_request();
	struct rig_answer a = answer_to(200, "", BODY);
	a.lifetime_ms = 1000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	got_body(w, 200, BODY);
	assert_true(read_list_write(list.bytes, sizeof(list), &front, SPAN_LIT("query.q")) > 0);
	assert_true(rig_put(&fx.rig, &list.o));
	run_ms(3);
	assert_int_equal(ctr(CTR_cache_put), 1);
	hit(ask(PAGE));
	run_s(2);
	w = ask(PAGE);
	next_request();
	reply("", SPAN_LIT("anew"));
	got_body(w, 200, SPAN_LIT("anew"));
	/* What is stale may still be wanted, and is what it was. */
	w = ask("GET /p/1?q=1 HTTP/1.1\r\nHost: h\r\nCache-Control: max-stale\r\n\r\n");
	got_body(w, 200, BODY);
	assert_int_equal(ctr(CTR_cache_stale_client), 1);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_keys),           cmocka_unit_test(test_authorized),
	        cmocka_unit_test(test_no_key),         cmocka_unit_test(test_post),
	        cmocka_unit_test(test_post_in_two),    cmocka_unit_test(test_post_continue),
	        cmocka_unit_test(test_post_cut_short), cmocka_unit_test(test_list_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
