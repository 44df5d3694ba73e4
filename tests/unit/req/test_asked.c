/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Conditions (RFC 9110 13) and ranges (RFC 9110 14) of a request: against the hot table, against
 * what control's stores send, and left to the origin. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define LEN 20000u
#define FIELDS                                                                           \
	"Content-Type: a/b\r\nETag: \"e1\"\r\nLast-Modified: Tue, 14 Nov 2023 22:00:00 " \
	"GMT\r\nX-Body: y\r\n"

static struct span body(void)
{
	return pattern(7, LEN);
}

static const char *get(const char *lines)
{
	static char text[1024];

	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
	return text;
}

/* Stores the object in the hot table, by way of control, so that its validators are known. */
static void store(void)
{
	struct web *w;

	attach();
	w = ask(get(""));
	next_request();
	struct rig_answer a = answer_to(200, FIELDS, body());
	a.lifetime_ms = 3600 * 1000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	run_ms(20);
	got_body(w, 200, body());
	web_abort(w);
	run_ms(3);
}

static void body_is(struct span want)
{
	assert_int_equal(fx.answer.body.len, want.len);
	assert_memory_equal(fx.answer.body.ptr, want.ptr, want.len);
}

struct row {
	const char *lines;
	unsigned status;
	uint32_t first; /* of a 206 */
	uint32_t len;
};

static const struct row rows[] = {
        {"Range: bytes=0-0\r\n", 206, 0, 1},
        {"Range: bytes=0-511\r\n", 206, 0, 512},
        {"Range: bytes=0-512\r\n", 206, 0, 513},
        {"Range: bytes=9-9999\r\n", 206, 9, 9991},
        {"Range: bytes=19999-\r\n", 206, 19999, 1},
        {"Range: bytes=-1\r\n", 206, 19999, 1},
        {"Range: bytes=-99999\r\n", 206, 0, 20000},
        {"Range: bytes=100-99999\r\n", 206, 100, 19900},
        {"Range: bytes=20000-\r\n", 416, 0, 0},
        {"Range: bytes=-0\r\n", 416, 0, 0},
        {"Range: lines=1-2\r\n", 200, 0, 0},
        {"Range: bytes=2-1\r\n", 200, 0, 0},
        {"Range: bytes=5-9\r\nIf-Range: \"e1\"\r\n", 206, 5, 5},
        {"Range: bytes=5-9\r\nIf-Range: \"e2\"\r\n", 200, 0, 0},
        {"Range: bytes=5-9\r\nIf-Range: W/\"e1\"\r\n", 200, 0, 0},
        {"Range: bytes=5-9\r\nIf-None-Match: \"e1\"\r\n", 304, 0, 0},
        {"Range: bytes=5-9\r\nIf-None-Match: \"e2\"\r\n", 206, 5, 5},
        {"If-None-Match: \"e1\"\r\n", 304, 0, 0},
        {"If-None-Match: \"e2\"\r\nIf-None-Match: \"e1\"\r\n", 304, 0, 0},
        {"If-None-Match: \"e2\"\r\n", 200, 0, 0},
        {"If-Modified-Since: Tue, 14 Nov 2023 22:00:00 GMT\r\n", 304, 0, 0},
        {"If-Modified-Since: Tue, 14 Nov 2023 21:59:59 GMT\r\n", 200, 0, 0},
};

static void row_check(const struct row *r)
{
	char line[128];

	if (fx.answer.status != r->status)
		fail_msg("%s: %u: %s", r->lines, fx.answer.status, fx.answer.head);
	switch (r->status) {
	case 200:
		body_is(body());
		assert_true(has_line("X-Body: y"));
		break;
	case 206:
		snprintf(line, sizeof(line), "Content-Range: bytes %u-%u/%u", r->first,
		         r->first + r->len - 1, LEN);
		if (!has_line(line))
			fail_msg("no %s in %s", line, fx.answer.head);
		assert_true(has_line("ETag: \"e1\"") && has_line("Content-Type: a/b"));
		body_is(span_of(body().ptr + r->first, r->len));
		break;
	case 304:
		assert_true(has_line("ETag: \"e1\""));
		assert_false(has_line("X-Body: y") || has_line("Content-Type: a/b"));
		assert_int_equal(fx.answer.body.len, 0);
		break;
	case 416:
		assert_true(has_line("Content-Range: bytes */20000"));
		break;
	}
	assert_false(fx.answer.closes);
}

static void test_hits(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	store();
	w = open_web();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say(w, get(rows[i].lines));
		run_ms(20);
		got(w, rows[i].status);
		row_check(&rows[i]);
		assert_non_null(strstr(fx.answer.head, "Cache-Status: rig; hit; ttl=3"));
	}
	got_nothing(w);
	drain_control();
	assert_int_equal(ctr(CTR_cache_hit), ARRAY_LEN(rows));
	assert_int_equal(ctr(CTR_cache_partial), 10);
	assert_int_equal(ctr(CTR_cache_range_none), 2);
	assert_int_equal(ctr(CTR_cache_not_modified), 4);
	down();
}

/* The same of an answer that one of control's stores sends, in pieces of several sizes. */
static void test_from_store(void **state)
{
	static const uint32_t pieces[] = {0, 512, 700, 1000, 9999};
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = open_web();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_answer a;

		say(w, get(rows[i].lines));
		next_request();
		assert_true(span_eq(fx.req.key, SPAN_LIT("h/x")));
		a = answer_to(200, FIELDS, body());
		a.lifetime_ms = 60000;
		a.age_ms = 5000;
		a.flags = i % 2 ? CHAN_F_STORE : CHAN_F_L3;
		a.piece_bytes = pieces[i % ARRAY_LEN(pieces)];
		reply_with(&a);
		run_ms(30);
		got(w, rows[i].status);
		row_check(&rows[i]);
		if (rows[i].status != 416)
			assert_true(has_line("Age: 5"));
		assert_non_null(strstr(fx.answer.head, i % 2 ? "; hit; ttl=54; detail=L2"
		                                             : "; hit; ttl=54; detail=L3"));
		while (try_request())
			fail_msg("a request came");
	}
	got_nothing(w);
	assert_int_equal(ctr(CTR_cache_hit), 0);
	assert_int_equal(ctr(CTR_cache_node_hit) + ctr(CTR_cache_shared_hit), ARRAY_LEN(rows));
	assert_int_equal(ctr(CTR_chan_bad), 0);
	down();
}

/* Once the client has its part, the rest of an answer that a store sends is called off. */
static void test_part_cancels(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask(get("Range: bytes=10-19\r\n"));
	next_request();
	struct rig_answer a = answer_to(200, FIELDS, span_of(body().ptr, 100));
	a.body_len = LEN;
	a.flags = CHAN_F_STORE;
	a.lifetime_ms = 60000;
	/* A part of the body: the end does not come with it. */
	a.flags |= CHAN_F_END;
	struct chan_msg m;
	struct object o = {
	        .response_ms = fx.rig.wall_ns / NS_PER_MS,
	        .expires_ms = fx.rig.wall_ns / NS_PER_MS + 60000,
	        .body_len = LEN,
	        .key_len = 3,
	        .fields_len = 7,
	        .status = 200,
	        .flags = OBJECT_STORABLE,
	};
	m = head_msg(&o, "h/x", "A: b\r\n\n");
	m.len = (uint32_t)object_head_bytes(&o);
	m.flags = CHAN_F_STORE;
	post(&m);
	m = (struct chan_msg){.type = CHAN_BODY,
	                      .ticket = fx.req.msg.ticket,
	                      .len = 100,
	                      .block = down_block(body().ptr, 100)};
	post(&m);
	got(w, 206);
	body_is(span_of(body().ptr + 10, 10));
	drain_control();
	assert_int_equal(fx.cancels, 1);
	assert_int_equal(fx.cancelled.seq, fx.req.msg.ticket.seq);
	/* What still comes is late, and its block returns. */
	m.block = down_block(body().ptr, 100);
	post(&m);
	assert_int_equal(ctr(CTR_chan_late), 1);
	store();
	say(w, get(""));
	run_ms(20);
	got_body(w, 200, body());
	down();
}

/* A store's answer breaks off: within the part, and behind it. */
static void test_part_breaks(void **state)
{
	(void)state;
	up(NULL);
	attach();
	for (int behind = 0; behind < 2; behind++) {
		struct web *w = ask(get("Range: bytes=10-99\r\n"));
		struct object o = {.body_len = LEN, .key_len = 3, .fields_len = 6, .status = 200};
		struct chan_msg m;

		next_request();
		m = head_msg(&o, "h/x", "A: b\r\n");
		m.flags = CHAN_F_STORE;
		post(&m);
		m = (struct chan_msg){.type = CHAN_BODY,
		                      .flags = CHAN_F_END | CHAN_F_ABORT,
		                      .ticket = fx.req.msg.ticket,
		                      .len = behind ? 100 : 50,
		                      .block = down_block(body().ptr, 100)};
		post(&m);
		if (behind) {
			got(w, 206);
			body_is(span_of(body().ptr + 10, 90));
			assert_false(w->eof);
		} else {
			assert_int_equal(web_take(w, false, &fx.answer), WEB_MORE);
			assert_true(w->eof || w->gone);
		}
	}
	down();
}

/* Nothing is stored: the origin sees what was asked, and what it says is passed on. */
static void test_origin(void **state)
{
	static const struct {
		const char *lines;
		const char *seen;
		unsigned status;
		const char *fields;
	} asked[] = {
	        {"Range: bytes=0-4\r\n", "Range: bytes=0-4\r\n", 206,
	         "Content-Range: bytes 0-4/10\r\n"},
	        {"Range: bytes=0-4\r\n", "Range: bytes=0-4\r\n", 200, "A: b\r\n"},
	        {"Range: bytes=0-4\r\nIf-Range: \"e\"\r\n", "If-Range: \"e\"\r\n", 200, "A: b\r\n"},
	        {"Range: bytes=99-\r\n", "Range: bytes=99-\r\n", 416, "A: b\r\n"},
	        {"If-Match: \"e2\"\r\n", "If-Match: \"e2\"\r\n", 412, "A: b\r\n"},
	        {"If-Unmodified-Since: Tue, 14 Nov 2023 21:00:00 GMT\r\n", "If-Unmodified-Since: T",
	         412, "A: b\r\n"},
	        {"Cache-Control: no-store\r\nIf-None-Match: \"e1\"\r\n",
	         "If-None-Match: \"e1\"\r\n", 200, "ETag: \"e1\"\r\n"},
	};

	static const struct fx_config cfg = {.routes = "    - path: /*\n      upstream: origin\n"
	                                               "      cache: {range_fill_bytes: 0}\n"};

	(void)state;
	up(&cfg);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		struct web *w = ask(get(asked[i].lines));

		next_request();
		if (memmem(fx.req.fields.ptr, fx.req.fields.len, asked[i].seen,
		           strlen(asked[i].seen)) == NULL)
			fail_msg("row %zu: the origin does not see it", i);
		assert_int_equal(fx.req.cr.flags & (CHAN_REQ_STORE | CHAN_REQ_COLLAPSE), 0);
		struct rig_answer a =
		        answer_to(asked[i].status, asked[i].fields, SPAN_LIT("01234"));
		reply_with(&a);
		got_body(w, asked[i].status, SPAN_LIT("01234"));
	}
	assert_int_equal(ctr(CTR_cache_partial), 0);
	down();
}

/* A part of what is not stored: the whole is asked for, and stored. */
static void test_fill(void **state)
{
	static const char *const passed[] = {"Range: bytes=1048576-\r\n", "Range: bytes=-4\r\n",
	                                     "Range: bytes=0-1,4-5\r\n",
	                                     "Range: bytes=0-4\r\nAuthorization: Basic eDp5\r\n"};
	struct rig_answer a;
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
		w = ask(get(passed[i]));
		next_request();
		assert_non_null(memmem(fx.req.fields.ptr, fx.req.fields.len, "Range: b", 8));
		a = answer_to(206, "Content-Range: bytes 0-4/10\r\n", SPAN_LIT("01234"));
		reply_with(&a);
		got_body(w, 206, SPAN_LIT("01234"));
	}
	w = ask(get("Range: bytes=5-9\r\nIf-Range: \"e1\"\r\n"));
	next_request();
	assert_null(memmem(fx.req.fields.ptr, fx.req.fields.len, "Range", 5));
	assert_int_equal(fx.req.cr.flags & (CHAN_REQ_STORE | CHAN_REQ_COLLAPSE),
	                 CHAN_REQ_STORE | CHAN_REQ_COLLAPSE);
	a = answer_to(200, FIELDS, body());
	a.lifetime_ms = 3600 * 1000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	run_ms(20);
	got(w, 206);
	body_is(span_of(body().ptr + 5, 5));
	assert_true(has_line("Content-Range: bytes 5-9/20000"));
	say(w, get(""));
	run_ms(20);
	got_body(w, 200, body());
	assert_int_equal(ctr(CTR_cache_hit), 1);
	down();
}

/* More than can be kept goes to the origin, whole. */
static void test_too_long(void **state)
{
	char lines[800];
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	for (uint32_t n = REQ_ASKED_BYTES - 10; n < REQ_ASKED_BYTES + 10; n++) {
		snprintf(lines, sizeof(lines), "If-None-Match: \"%0*d\"\r\n", (int)n, 0);
		bool kept = n + 2 + 3 <= REQ_ASKED_BYTES;

		w = ask(get(lines));
		next_request();
		assert_int_equal((fx.req.cr.flags & CHAN_REQ_STORE) != 0, kept);
		assert_int_equal(memmem(fx.req.fields.ptr, fx.req.fields.len, "None-Match", 10) ==
		                         NULL,
		                 kept);
		web_abort(w);
		run_ms(3);
	}
	down();
}

static struct span part_of(struct span *rest, const char *boundary)
{
	char mark[80];
	int n = snprintf(mark, sizeof(mark), "\r\n--%s", boundary);
	const char *at = memmem(rest->ptr, rest->len, mark, (size_t)n);

	assert_non_null(at);
	struct span part = span_of(rest->ptr, (size_t)(at - rest->ptr));
	at += n;
	*rest = span_of(at, rest->len - (size_t)(at - rest->ptr));
	return part;
}

/* RFC 9110 14.6: each part with its type and range, between boundaries that no body holds. */
static void parts_check(const struct byte_range *want, uint32_t count)
{
	static const char type[] = "multipart/byteranges; boundary=";
	struct span t = web_field(&fx.answer, "Content-Type");
	struct span rest = fx.answer.body;
	char boundary[64];

	assert_true(t.len > sizeof(type) && memcmp(t.ptr, type, sizeof(type) - 1) == 0);
	assert_false(has_line("Content-Type: a/b"));
	snprintf(boundary, sizeof(boundary), "%.*s", (int)(t.len - sizeof(type) + 1),
	         t.ptr + sizeof(type) - 1);
	assert_int_equal(strlen(boundary), 32);
	assert_int_equal(part_of(&rest, boundary).len, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct span part = part_of(&rest, boundary);
		char head[160];
		int n = snprintf(
		        head, sizeof(head),
		        "\r\nContent-Type: a/b\r\nContent-Range: bytes %llu-%llu/%u\r\n\r\n",
		        (unsigned long long)want[i].first,
		        (unsigned long long)(want[i].first + want[i].len - 1), LEN);

		assert_int_equal(part.len, (size_t)n + want[i].len);
		assert_memory_equal(part.ptr, head, n);
		assert_memory_equal(part.ptr + n, body().ptr + want[i].first, want[i].len);
	}
	assert_true(span_eq(rest, SPAN_LIT("--\r\n")));
}

static void test_several(void **state)
{
	static const struct {
		const char *line;
		uint32_t count;
		struct byte_range want[4];
	} several[] = {
	        {"Range: bytes=0-0,-1\r\n", 2, {{0, 1}, {19999, 1}}},
	        {"Range: bytes=0-99,200-9999,15000-15001\r\n",
	         3,
	         {{0, 100}, {200, 9800}, {15000, 2}}},
	        {"Range: bytes=0-511, 1000-1512, 30000-\r\n", 2, {{0, 512}, {1000, 513}}},
	};
	char first[64];
	struct web *w;

	(void)state;
	up(NULL);
	store();
	w = open_web();
	for (size_t i = 0; i < ARRAY_LEN(several); i++) {
		say(w, get(several[i].line));
		run_ms(20);
		got(w, 206);
		parts_check(several[i].want, several[i].count);
		assert_true(web_field(&fx.answer, "Content-Range").ptr == NULL);
	}
	snprintf(first, sizeof(first), "%.60s", web_field(&fx.answer, "Content-Type").ptr + 22);
	say(w, get(several[2].line));
	run_ms(20);
	got(w, 206);
	assert_memory_not_equal(first, web_field(&fx.answer, "Content-Type").ptr + 22, 41);
	assert_int_equal(ctr(CTR_cache_partial), ARRAY_LEN(several) + 1);
	/* HEAD has no ranges (RFC 9110 14.2). */
	say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\nRange: bytes=0-0\r\n\r\n");
	got_head(w, 200);
	assert_true(has_line("Content-Length: 20000"));
	say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e1\"\r\n\r\n");
	got_head(w, 304);
	got_nothing(w);
	/* HTTP/1.0 */
	w = ask("GET /x HTTP/1.0\r\nHost: h\r\nRange: bytes=1-2\r\n\r\n");
	got_body(w, 206, span_of(body().ptr + 1, 2));
	assert_true(w->eof);
	down();
}

/* HEAD that control's store answers, with conditions that went along. */
static void test_head_from_store(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask("HEAD /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e1\"\r\n\r\n");
	next_request();
	assert_true(span_eq(fx.req.key, SPAN_LIT("h/x")));
	assert_int_equal(fx.req.cr.flags & CHAN_REQ_STORE, 0);
	struct rig_answer a = answer_to(200, FIELDS, SPAN_LIT(""));
	a.body_len = LEN;
	a.lifetime_ms = 60000;
	a.flags = CHAN_F_STORE | CHAN_F_END;
	reply_with(&a);
	got_head(w, 304);
	say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e2\"\r\n\r\n");
	next_request();
	a.ticket = fx.req.msg.ticket;
	reply_with(&a);
	got_head(w, 200);
	assert_true(has_line("Content-Length: 20000"));
	assert_int_equal(ctr(CTR_cache_node_hit), 2);
	down();
}

/* Pins of parts are given back, also when the client goes in the middle of them. */
static void test_parts_and_gone(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	store();
	w = open_web();
	w->hold = true;
	for (int i = 0; i < 5; i++)
		assert_true(web_text(w, get("Range: bytes=0-9000,10000-19000\r\n")));
	run_ms(20);
	web_abort(w);
	run_ms(5);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hits),
	        cmocka_unit_test(test_from_store),
	        cmocka_unit_test(test_part_cancels),
	        cmocka_unit_test(test_part_breaks),
	        cmocka_unit_test(test_origin),
	        cmocka_unit_test(test_fill),
	        cmocka_unit_test(test_too_long),
	        cmocka_unit_test(test_several),
	        cmocka_unit_test(test_head_from_store),
	        cmocka_unit_test(test_parts_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
