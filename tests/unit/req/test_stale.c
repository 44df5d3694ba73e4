/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stale answers: to clients that take them (max-stale), while they are fetched anew (RFC 5861 3),
 * and while control is away (RFC 5861 4). */
#include "tests/unit/req/fixture.h"

#include <stdio.h>

#define GET(path)        "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_CC(path, cc) "GET " path " HTTP/1.1\r\nHost: h\r\nCache-Control: " cc "\r\n\r\n"
#define BODY             SPAN_LIT("body")
#define WHILE            "; detail=stale-while-revalidate"

/* Stores the answer to GET path: fresh for 10 s. */
static void store(const char *text, uint32_t while_s, uint32_t error_s, uint16_t flags)
{
	struct web *w = ask(text);

	next_request();
	struct rig_answer a = answer_to(200, "ETag: \"e1\"\r\n", BODY);
	a.lifetime_ms = 10000;
	a.flags = CHAN_F_FILL;
	a.stale_while_s = while_s;
	a.stale_error_s = error_s;
	a.object_flags = flags;
	reply_with(&a);
	got_body(w, 200, BODY);
	web_abort(w);
	run_ms(3);
}

static struct span status_of(void)
{
	return web_field(&fx.answer, "Cache-Status");
}

static bool status_ends(const char *end)
{
	struct span s = status_of();
	size_t n = strlen(end);

	return s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0;
}

static void status_begins(const char *begin)
{
	struct span s = status_of();

	if (s.len < strlen(begin) || memcmp(s.ptr, begin, strlen(begin)) != 0)
		fail_msg("\"%.*s\" does not begin with \"%s\"", (int)s.len, s.ptr, begin);
}

static void refresh_came(void)
{
	next_request();
	assert_int_equal(fx.req.msg.ticket.seq, 0);
	assert_int_equal(fx.req.msg.ticket.epoch, fx.epoch);
	assert_true(fx.req.msg.flags & CHAN_F_END);
	assert_true(fx.req.cr.flags & CHAN_REQ_REFRESH);
	assert_true(fx.req.cr.flags & CHAN_REQ_STORE);
	assert_true(span_eq(fx.req.method, SPAN_LIT("GET")));
	assert_int_equal(fx.req.cr.method, HTTP_GET);
}

static void test_client_takes_stale(void **state)
{
	static const struct {
		const char *text;
		bool hit;
	} rows[] = {
	        {GET("/x"), false},
	        {GET_CC("/x", "max-stale"), true},
	        {GET_CC("/x", "max-stale=4"), false},
	        {GET_CC("/x", "max-stale=6"), true},
	        {GET_CC("/x", "max-stale=6, max-age=14"), false},
	        {GET_CC("/x", "max-stale=6, no-cache"), false},
	};

	(void)state;
	up(NULL);
	attach();
	store(GET("/x"), 0, 0, 0);
	run_s(15);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct web *w = ask(rows[i].text);

		if (rows[i].hit) {
			got_body(w, 200, BODY);
			status_begins("rig; hit; ttl=-5");
			assert_true(status_ends("; detail=max-stale"));
			assert_true(has_line("Age: 15"));
			drain_control();
		} else {
			next_request();
			web_abort(w);
			run_ms(3);
		}
	}
	assert_int_equal(ctr(CTR_cache_stale_client), 2);
	assert_int_equal(ctr(CTR_cache_stale), 3);
	assert_int_equal(ctr(CTR_cache_refresh), 0);
	store(GET("/r"), 60, 60, OBJECT_REVALIDATE);
	run_s(11);
	ask(GET_CC("/r", "max-stale"));
	next_request();
	assert_int_equal(fx.req.cr.flags & CHAN_REQ_REFRESH, 0);
	down();
}

static void test_while(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	store(GET("/x"), 30, 0, 0);
	run_s(8);
	w = ask(GET("/x"));
	got_body(w, 200, BODY);
	drain_control();
	run_s(5);
	say(w, "GET /x HTTP/1.1\r\nHost: h\r\nX: y\r\nIf-None-Match: \"e0\"\r\n\r\n");
	got_body(w, 200, BODY);
	status_begins("rig; hit; ttl=-3");
	assert_true(status_ends(WHILE));
	refresh_came();
	assert_true(span_eq(fx.req.key, SPAN_LIT("h/x")));
	assert_true(memmem(fx.req.fields.ptr, fx.req.fields.len, "X: y\r\n", 6) != NULL);
	assert_true(memmem(fx.req.fields.ptr, fx.req.fields.len, "None-Match", 10) == NULL);
	/* Not again at once, also not for a HEAD; then again. */
	for (int i = 0; i < 3; i++) {
		say(w, GET("/x"));
		got_body(w, 200, BODY);
		assert_true(status_ends(WHILE));
	}
	say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
	got_head(w, 200);
	drain_control();
	assert_int_equal(ctr(CTR_cache_refresh_again), 4);
	run_s(2);
	say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
	got_head(w, 200);
	refresh_came();
	assert_int_equal(ctr(CTR_cache_refresh), 2);
	assert_int_equal(ctr(CTR_cache_stale_while), 6);
	/* A 304 of the stale answer is one too. */
	say(w, "GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e1\"\r\n\r\n");
	got(w, 304);
	assert_true(status_ends(WHILE));
	/* Beyond its time it is fetched as any other. */
	run_s(30);
	say(w, GET("/x"));
	next_request();
	assert_int_equal(fx.req.cr.flags & CHAN_REQ_REFRESH, 0);
	assert_int_not_equal(fx.req.msg.ticket.seq, 0);
	reply("", BODY);
	got_body(w, 200, BODY);
	assert_true(has_line("Cache-Status: rig; fwd=stale"));
	down();
}

/* Whose requests may start no fetch. */
static void test_while_asks_nobody(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	store(GET("/x"), 60, 0, 0);
	run_s(12);
	w = ask(GET_CC("/x", "only-if-cached"));
	got_body(w, 200, BODY);
	assert_true(status_ends(WHILE));
	say(w, GET_CC("/x", "no-store"));
	got_body(w, 200, BODY);
	drain_control();
	assert_int_equal(ctr(CTR_cache_refresh) + ctr(CTR_cache_refresh_again), 0);
	down();
}

static void test_while_no_room(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 16\n"};
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	store(GET("/x"), 60, 0, 0);
	run_s(12);
	/* The last block is for a request that somebody waits for. */
	fx.hold_up = true;
	for (int i = 0; i < 15; i++) {
		ask(GET_CC("/a", "no-store"));
		next_request();
	}
	w = ask(GET("/x"));
	got_body(w, 200, BODY);
	drain_control();
	assert_int_equal(ctr(CTR_cache_refresh_full), 1);
	/* It was not remembered as asked. */
	fx.hold_up = false;
	release_held(FX_HELD);
	for (uint32_t i = 0; i < fx.web_count; i++)
		if (&fx.webs[i] != w)
			web_abort(&fx.webs[i]);
	run_ms(5);
	drain_control();
	say(w, GET("/x"));
	got_body(w, 200, BODY);
	refresh_came();
	down();
}

/* More keys at once than there are places. */
static void test_while_many(void **state)
{
	enum { N = CORE_REFRESHES + 200 };
	char text[64];
	struct web *w;
	uint32_t sent = 0;

	(void)state;
	up(NULL);
	attach();
	w = open_web();
	for (uint32_t i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
		say(w, text);
		next_request();
		struct rig_answer a = answer_to(200, "", BODY);
		a.lifetime_ms = 10;
		a.stale_while_s = 1000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		got_body(w, 200, BODY);
	}
	run_ms(10);
	/* Within timeouts.refresh_ms. */
	for (uint32_t i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
		assert_true(web_text(w, text));
		run_ms(1);
		sent += try_request();
	}
	run_ms(10);
	while (try_request())
		sent++;
	for (uint32_t i = 0; i < N; i++)
		got_body(w, 200, BODY);
	assert_int_equal(sent, ctr(CTR_cache_refresh));
	assert_int_equal(sent + ctr(CTR_cache_refresh_full), N);
	assert_in_range(sent, CORE_REFRESHES / 2, CORE_REFRESHES);
	down();
}

static void test_control_away(void **state)
{
	static const struct fx_config cfg = {.timeouts = "    miss_grace_ms: 300\n"};
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	store(GET("/x"), 0, 60, 0);
	store(GET("/while"), 60, 0, 0);
	store(GET("/never"), 0, 60, OBJECT_REVALIDATE);
	run_s(12);
	/* As long as control can be asked, it is. */
	w = ask(GET("/x"));
	next_request();
	reply("", BODY);
	got_body(w, 200, BODY);
	detach();
	say(w, GET("/x"));
	got_body(w, 200, BODY);
	status_begins("rig; hit; ttl=-2");
	assert_true(status_ends("; detail=stale-if-error"));
	say(w, GET_CC("/x", "no-cache"));
	run_ms(400);
	got(w, 503);
	w = ask(GET("/while"));
	got_body(w, 200, BODY);
	assert_true(status_ends(WHILE));
	assert_int_equal(ctr(CTR_cache_refresh_full), 1);
	say(w, GET("/never"));
	run_ms(400);
	got(w, 503);
	run_s(62);
	w = ask(GET("/x"));
	run_ms(400);
	got(w, 503);
	assert_int_equal(ctr(CTR_cache_stale_error), 1);
	down();
}

/* Control has the request, and goes away, says that the origin failed, or keeps silent. */
static void test_control_fails(void **state)
{
	static const struct fx_config cfg = {.timeouts =
	                                             "    miss_grace_ms: 300\n    miss_ms: 1000\n"};
	enum { AWAY, FAILS, FAILS_404, SILENT, WAYS };
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	store(GET("/x"), 0, 600, 0);
	store(GET("/strict"), 0, 600, OBJECT_REVALIDATE);
	run_s(12);
	for (int way = 0; way < 2 * WAYS; way++) {
		bool strict = way >= WAYS;
		bool conditional = way == SILENT;
		unsigned error = way % WAYS == AWAY ? 503 : way % WAYS == FAILS ? 502 : 504;

		w = ask(strict ? GET("/strict")
		        : conditional
		                ? "GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e1\"\r\n\r\n"
		                : GET("/x"));
		next_request();
		switch (way % WAYS) {
		case AWAY:
			detach();
			run_ms(strict ? 500 : 2);
			break;
		case FAILS:
		case FAILS_404:
			error = way % WAYS == FAILS ? 502 : 404;
			assert_true(rig_fail(&fx.rig, fx.req.msg.ticket, (uint16_t)error));
			run_ms(3);
			break;
		default:
			run_ms(1100);
		}
		if (strict || way == FAILS_404) {
			got(w, error);
		} else {
			got(w, conditional ? 304 : 200);
			status_begins("rig; hit; ttl=-");
			assert_true(status_ends("; detail=stale-if-error"));
			assert_false(fx.answer.closes);
		}
		while (try_request())
			;
		if (way % WAYS == AWAY)
			attach();
		web_abort(w);
		run_ms(3);
	}
	assert_int_equal(ctr(CTR_cache_stale_error), 3);
	down();
}

/* Nothing but RELEASE is an answer to a refresh. */
static void test_answer_to_refresh(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	store(GET("/x"), 60, 0, 0);
	run_s(12);
	w = ask(GET("/x"));
	got_body(w, 200, BODY);
	refresh_came();
	reply("", BODY);
	assert_int_equal(ctr(CTR_chan_late), 2);
	run_ms(5);
	got_nothing(w);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_client_takes_stale), cmocka_unit_test(test_while),
	        cmocka_unit_test(test_while_asks_nobody),  cmocka_unit_test(test_while_no_room),
	        cmocka_unit_test(test_while_many),         cmocka_unit_test(test_control_away),
	        cmocka_unit_test(test_control_fails),      cmocka_unit_test(test_answer_to_refresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
