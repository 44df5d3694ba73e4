/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that control answers: framings, fills, failures, and what the messages look like. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void answer_fill(struct span body)
{
	struct rig_answer a = answer_to(200, "X: y\r\n", body);

	a.lifetime_ms = 60000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
}

static void test_request_message(void **state)
{
	(void)state;
	up(NULL);
	attach();
	ask("GET /a/b?c=d HTTP/1.1\r\nHost: Ex.Test:8080\r\nAccept: x\r\nConnection: close, "
	    "X-Hop\r\n"
	    "X-Hop: 1\r\nTE: trailers\r\nIf-None-Match: \"e\"\r\nX-Two:  spaced\t\r\n\r\n");
	next_request();
	assert_true(span_eq(fx.req.method, SPAN_LIT("GET")));
	assert_true(span_eq(fx.req.host, SPAN_LIT("Ex.Test:8080")));
	assert_true(span_eq(fx.req.target, SPAN_LIT("/a/b?c=d")));
	assert_true(span_eq(fx.req.fields, SPAN_LIT("Accept: x\r\nX-Two: spaced\r\n")));
	assert_true(fx.req.key.len > 0);
	assert_int_equal(fx.req.cr.key_lo, hash128(fx.req.key.ptr, fx.req.key.len, 42).lo);
	assert_int_equal(fx.req.cr.flags, CHAN_REQ_STORE | CHAN_REQ_COLLAPSE);
	assert_int_equal(fx.req.cr.body_len, 0);
	assert_int_equal(fx.req.cr.client_port, fx.webs[0].port);
	assert_int_equal(fx.req.cr.snapshot_id, fx.rig.snapshot->id);
	assert_true(fx.req.msg.flags & CHAN_F_END);
	assert_int_equal(fx.req.msg.ticket.epoch, 1);
	reply("", SPAN_LIT("x"));
	got_body(&fx.webs[0], 200, SPAN_LIT("x"));
	/* Nothing of a request that may not be stored is shared; its conditions go to the origin.
	 */
	ask("HEAD /h HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e\"\r\n\r\n");
	next_request();
	assert_int_equal(fx.req.cr.flags, 0);
	assert_true(span_eq(fx.req.fields, SPAN_LIT("If-None-Match: \"e\"\r\n")));
	struct rig_answer a = answer_to(304, "ETag: \"e\"\r\n", SPAN_LIT(""));
	a.flags = CHAN_F_END;
	reply_with(&a);
	got_head(&fx.webs[1], 304);
	down();
}

static void test_framings(void **state)
{
	static const size_t sizes[] = {0, 1, 700, 5000, 16384, 16385, 100000};
	static const struct {
		const char *request;
		bool known;
		bool chunked;
		bool to_eof;
	} rows[] = {
	        {GET("/f"), true, false, false},
	        {GET("/f"), false, true, false},
	        {"GET /f HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true, false,
	         false},
	        {"GET /f HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", false, false,
	         true},
	};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(sizes); i++) {
		size_t row = i % ARRAY_LEN(rows), len = sizes[i / ARRAY_LEN(rows)];
		struct span body = pattern((uint32_t)i, len);
		struct web *w = ask(rows[row].request);

		next_request();
		struct rig_answer a = answer_to(200, "Type: t\r\n", body);
		if (!rows[row].known)
			a.body_len = UINT64_MAX;
		a.piece_bytes = i % 3 == 0 ? 1000 : 0;
		reply_with(&a);
		run_ms(50);
		got_body(w, 200, body);
		assert_int_equal(fx.answer.chunked, rows[row].chunked);
		assert_int_equal(fx.answer.to_eof, rows[row].to_eof);
		assert_int_equal(w->eof, rows[row].to_eof);
		assert_true(has_line("Type: t"));
		assert_true(has_line("Cache-Status: rig; fwd=uri-miss"));
		got_nothing(w);
		web_abort(w);
		run_ms(2);
		web_free(w);
		fx.web_count--;
	}
	assert_int_equal(ctr(CTR_miss_answered), ARRAY_LEN(rows) * ARRAY_LEN(sizes));
	down();
}

static void test_head_and_bodiless(void **state)
{
	struct web *w;
	struct rig_answer a;

	(void)state;
	up(NULL);
	attach();
	w = ask("HEAD /f HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	a = answer_to(200, "", SPAN_LIT(""));
	a.body_len = 12345;
	a.flags = CHAN_F_END;
	reply_with(&a);
	got_head(w, 200);
	assert_true(has_line("Content-Length: 12345"));
	/* The connection is in step: the next answer is read as a whole. */
	say(w, "DELETE /f HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	a = answer_to(204, "", SPAN_LIT(""));
	a.body_len = 0;
	a.flags = CHAN_F_END;
	reply_with(&a);
	run_ms(3);
	got(w, 204);
	say(w, GET("/g"));
	next_request();
	reply("", SPAN_LIT("last"));
	got_body(w, 200, SPAN_LIT("last"));
	got_nothing(w);
	down();
}

static void test_order(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/hit", "", SPAN_LIT("hit")), ST_OK);
	w = ask(GET("/hit") GET("/m1") GET("/hit") GET("/m2") GET("/hit"));
	got_body(w, 200, SPAN_LIT("hit"));
	got_nothing(w);
	next_request();
	assert_true(span_eq(fx.req.target, SPAN_LIT("/m1")));
	drain_control(); /* one at a time */
	reply("", SPAN_LIT("m1"));
	got_body(w, 200, SPAN_LIT("m1"));
	got_body(w, 200, SPAN_LIT("hit"));
	got_nothing(w);
	next_request();
	rig_fail(&fx.rig, fx.req.msg.ticket, 502);
	run_ms(3);
	got(w, 502);
	got_body(w, 200, SPAN_LIT("hit"));
	got_nothing(w);
	down();
}

static void test_fill(void **state)
{
	struct web *w;
	struct rig_answer a;

	(void)state;
	up(NULL);
	attach();
	for (int known = 0; known < 2; known++) {
		struct span body = pattern(7, 40000);
		char text[64];

		snprintf(text, sizeof(text), "GET /f%d HTTP/1.1\r\nHost: h\r\n\r\n", known);
		w = ask(text);
		next_request();
		a = answer_to(200, "X: y\r\n", body);
		if (!known)
			a.body_len = UINT64_MAX;
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		run_ms(50);
		got_body(w, 200, body);
		assert_non_null(strstr(fx.answer.head,
		                       "\r\nCache-Status: rig; fwd=uri-miss; stored; ttl="));
		say(w, text);
		run_ms(50);
		got_body(w, 200, body);
		drain_control();
	}
	assert_int_equal(ctr(CTR_cache_fill), 2);
	assert_int_equal(ctr(CTR_cache_hit), 2);
	/* Larger than limits.object_bytes: passed on, not stored. */
	for (int known = 0; known < 2; known++) {
		struct span body = pattern(8, 70000);

		w = ask(GET("/big"));
		next_request();
		a = answer_to(200, "", body);
		if (!known)
			a.body_len = UINT64_MAX;
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		run_ms(50);
		got_body(w, 200, body);
	}
	assert_int_equal(ctr(CTR_cache_fill), 2);
	down();
}

static void purge(enum inval_kind kind, const char *text)
{
	struct chan_msg m = purge_msg(kind, text, 0);
	struct chan_msg r;

	m.ticket.seq = 77;
	post(&m);
	assert_true(rig_recv(&fx.rig, &r));
	assert_int_equal(r.type, CHAN_RESULT);
	assert_int_equal(r.ticket.seq, 77);
}

static void test_late_fill(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		bool stored;
	} rows[] = {
	        {INVAL_KEY, "h/f", false}, {INVAL_PATTERN, "h/*", false}, {INVAL_ALL, "", false},
	        {INVAL_KEY, "h/g", true},  {INVAL_PATTERN, "x/*", true},  {INVAL_TAG, "h/f", true},
	};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool within = i >= ARRAY_LEN(rows); /* the purge comes when the fill has begun */
		size_t row = i % ARRAY_LEN(rows);
		struct web *w = ask(GET("/f"));

		next_request();
		if (within) {
			struct object o = {
			        .hash = hash128("h/f", 3, 42),
			        .response_ms = fx.rig.wall_ns / NS_PER_MS,
			        .expires_ms = fx.rig.wall_ns / NS_PER_MS + 60000,
			        .body_len = 2,
			        .key_len = 3,
			        .status = 200,
			        .flags = OBJECT_STORABLE,
			};
			struct chan_msg m = head_msg(&o, "h/f", "");

			m.flags = CHAN_F_FILL;
			post(&m);
			purge(rows[row].kind, rows[row].text);
			m = (struct chan_msg){.type = CHAN_BODY,
			                      .flags = CHAN_F_END,
			                      .ticket = fx.req.msg.ticket,
			                      .len = 2,
			                      .block = down_block("ab", 2)};
			post(&m);
		} else {
			purge(rows[row].kind, rows[row].text);
			answer_fill(SPAN_LIT("ab"));
		}
		got_body(w, 200, SPAN_LIT("ab"));
		assert_int_equal(hot_count(fx.rig.core->hot), rows[row].stored);
		purge_now(INVAL_KEY, "h/f");
	}
	down();
}

static void test_fail(void **state)
{
	static const struct {
		uint16_t code;
		unsigned status;
	} rows[] = {{502, 502}, {503, 503}, {504, 504}, {400, 400},   {599, 599},
	            {200, 502}, {0, 502},   {600, 502}, {65535, 502}, {399, 502}};
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = open_web();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say(w, GET("/f"));
		next_request();
		rig_fail(&fx.rig, fx.req.msg.ticket, rows[i].code);
		run_ms(3);
		got(w, rows[i].status);
		assert_false(fx.answer.closes);
	}
	assert_int_equal(ctr(CTR_miss_failed), ARRAY_LEN(rows));
	down();
}

/* The client asked with a condition, the origin sends the whole object: 304, and it is stored. */
static void test_condition_fill(void **state)
{
	struct span body = pattern(3, 30000);
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask("GET /f HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e\"\r\n\r\n");
	next_request();
	struct rig_answer a = answer_to(200, "ETag: \"e\"\r\n", body);
	a.lifetime_ms = 60000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	run_ms(20);
	got(w, 304);
	got_nothing(w);
	say(w, GET("/f"));
	run_ms(50);
	got_body(w, 200, body);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_request_message),
	        cmocka_unit_test(test_framings),
	        cmocka_unit_test(test_head_and_bodiless),
	        cmocka_unit_test(test_order),
	        cmocka_unit_test(test_fill),
	        cmocka_unit_test(test_late_fill),
	        cmocka_unit_test(test_fail),
	        cmocka_unit_test(test_condition_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
