/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cache-Status (RFC 9211) and Age of answers that come from control: which tier, why it was asked,
 * what the origin said. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>

#define GET "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

struct row {
	const char *status; /* behind the name */
	const char *age;    /* NULL: none */
	uint8_t flags;
	uint16_t code;
	uint32_t lifetime_ms;
	uint32_t age_ms;
	enum counter_id counter;
	const char *text;
};

#define NONE CTR_COUNT

static const struct row rows[] = {
        {"; fwd=uri-miss", NULL, 0, 0, 0, 0, NONE, GET},
        {"; fwd=uri-miss; stored; ttl=60", NULL, 0, 0, 60500, 0, NONE, GET},
        {"; fwd=uri-miss; stored; collapsed; ttl=60", NULL, CHAN_F_SHARED, 0, 60500, 0, NONE, GET},
        {"; fwd=uri-miss; collapsed", NULL, CHAN_F_SHARED, 0, 0, 0, NONE, GET},
        {"; hit; ttl=50; detail=L2", "10", CHAN_F_STORE, 0, 60500, 10000, CTR_cache_node_hit, GET},
        {"; hit; ttl=60; detail=L2", "0", CHAN_F_STORE, 0, 60500, 0, CTR_cache_node_hit, GET},
        {"; hit; ttl=50; detail=L3", "10", CHAN_F_L3, 0, 60500, 10000, CTR_cache_shared_hit, GET},
        {"; hit; ttl=-1; detail=L2", "10", CHAN_F_STORE, 0, 8500, 10000, CTR_cache_node_hit, GET},
        {"; fwd=stale; fwd-status=304; stored; ttl=60", NULL, 0, 304, 60500, 0, NONE, GET},
        {"; fwd=stale; fwd-status=304; stored; ttl=60", NULL, CHAN_F_STORE, 304, 60500, 0, NONE,
         GET},
        {"; fwd=stale; fwd-status=503; stored; ttl=-1; detail=stale-if-error", "10", CHAN_F_STORE,
         503, 8500, 10000, CTR_cache_stale_error, GET},
        {"; fwd=request; stored; ttl=60", NULL, 0, 0, 60500, 0, NONE,
         "GET /x HTTP/1.1\r\nHost: h\r\nCache-Control: no-cache\r\n\r\n"},
        {"; fwd=request", NULL, 0, 0, 60500, 0, NONE,
         "GET /x HTTP/1.1\r\nHost: h\r\nCache-Control: no-store, no-cache\r\n\r\n"},
        {"; fwd=method", NULL, 0, 0, 0, 0, NONE,
         "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
        {"; fwd=bypass", NULL, 0, 0, 0, 0, NONE, "GET /off HTTP/1.1\r\nHost: h\r\n\r\n"},
};

static void test_rows(void **state)
{
	static const struct fx_config cfg = {.routes = "    - path: /off\n      upstream: origin\n "
	                                               "     cache:\n        mode: 'off'\n"
	                                               "    - path: /*\n      upstream: origin\n"};

	(void)state;
	up(&cfg);
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/stored", "", SPAN_LIT("s")), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		uint64_t before = r->counter == NONE ? 0 : ctr(r->counter);
		bool stored = strstr(r->status, "fwd=request") != NULL;
		char want[128];
		struct web *w;

		/* "request" is for what is there and may not be used. */
		if (stored)
			assert_int_equal(rig_hot_put(&fx.rig, "h/x", "", SPAN_LIT("s")), ST_OK);
		w = ask(r->text);
		next_request();
		struct rig_answer a = answer_to(
		        200, "Cache-Status: inner; hit\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
		        SPAN_LIT("body"));
		a.flags = r->flags;
		a.code = r->code;
		a.lifetime_ms = r->lifetime_ms;
		a.age_ms = r->age_ms;
		reply_with(&a);
		got_body(w, 200, SPAN_LIT("body"));
		snprintf(want, sizeof(want), "Cache-Status: rig%s", r->status);
		if (!has_line(want))
			fail_msg("row %zu: no \"%s\" in %s", i, want, fx.answer.head);
		/* The cache nearest to the origin comes first (RFC 9211 2). */
		assert_true(strstr(fx.answer.head, "Cache-Status: inner; hit\r\n") <
		            strstr(fx.answer.head, want));
		assert_true(has_line("Date: Tue, 14 Nov 2023 22:13:20 GMT"));
		struct span age = web_field(&fx.answer, "Age");
		if (r->age == NULL ? age.ptr != NULL : !span_eq(age, span_cstr(r->age)))
			fail_msg("row %zu: age %.*s", i, (int)age.len, age.ptr);
		if (r->counter != NONE)
			assert_int_equal(ctr(r->counter), before + 1);
		purge_now(INVAL_KEY, "h/x");
	}
	down();
}

/* What a store sends and the core keeps goes on ageing here. */
static void test_age_goes_on(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask(GET);
	next_request();
	struct rig_answer a = answer_to(200, "", SPAN_LIT("body"));
	a.flags = CHAN_F_STORE | CHAN_F_FILL;
	a.lifetime_ms = 60500;
	a.age_ms = 20000;
	reply_with(&a);
	got_body(w, 200, SPAN_LIT("body"));
	assert_true(has_line("Age: 20"));
	run_s(5);
	say(w, GET);
	got_body(w, 200, SPAN_LIT("body"));
	assert_true(has_line("Age: 25"));
	assert_true(has_line("Cache-Status: rig; hit; ttl=35"));
	assert_int_equal(ctr(CTR_cache_hit), 1);
	assert_int_equal(ctr(CTR_cache_node_hit), 1);
	down();
}

/* RFC 9111 5.2.1.7: a store of control may have it; the origin is not asked. */
static void test_only_if_cached(void **state)
{
	static const char text[] =
	        "GET /x HTTP/1.1\r\nHost: h\r\nCache-Control: only-if-cached\r\n\r\n";
	struct web *w;

	(void)state;
	up(NULL);
	w = ask(text);
	got(w, 504); /* at once: control is away */
	attach();
	say(w, text);
	next_request();
	assert_true(span_eq(fx.req.key, SPAN_LIT("h/x")));
	assert_non_null(memmem(fx.req.fields.ptr, fx.req.fields.len, "only-if-cached", 14));
	assert_true(rig_fail(&fx.rig, fx.req.msg.ticket, 504));
	run_ms(3);
	got(w, 504);
	say(w, text);
	next_request();
	struct rig_answer a = answer_to(200, "", SPAN_LIT("body"));
	a.flags = CHAN_F_STORE;
	a.lifetime_ms = 60500;
	reply_with(&a);
	got_body(w, 200, SPAN_LIT("body"));
	assert_true(has_line("Cache-Status: rig; hit; ttl=60; detail=L2"));
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_age_goes_on),
	        cmocka_unit_test(test_only_if_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
