/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that are answered without control: hits, conditions, routes, malformed heads. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void put(const char *key, const char *fields, struct span body)
{
	assert_int_equal(rig_hot_put(&fx.rig, key, fields, body), ST_OK);
}

static void test_hit_sizes(void **state)
{
	/* Around what is copied, a chunk of the send queue, a segment, a window. */
	static const size_t sizes[] = {0,    1,    511,  512,  513,   700,
	                               1023, 1024, 1025, 1460, 14600, 65000};

	(void)state;
	up(NULL);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct span body = pattern((uint32_t)i, sizes[i]);
		struct web *w;

		put("h/x", "Content-Type: a/b\r\nETag: \"e\"\r\n", body);
		w = ask(GET("/x"));
		run_ms(20);
		got_body(w, 200, body);
		assert_true(has_line("Content-Type: a/b"));
		assert_true(has_line("Age: 0"));
		assert_true(has_line("Cache-Status: rig; hit; ttl=3599") ||
		            has_line("Cache-Status: rig; hit; ttl=3600"));
		assert_false(fx.answer.closes);
		/* The connection goes on. */
		say(w, GET("/x"));
		run_ms(20);
		got_body(w, 200, body);
		say(w, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
		got_head(w, 200);
		assert_int_equal(strtoul(web_field(&fx.answer, "Content-Length").ptr, NULL, 10),
		                 sizes[i]);
		got_nothing(w);
	}
	assert_int_equal(ctr(CTR_cache_hit), 3 * ARRAY_LEN(sizes));
	assert_int_equal(ctr(CTR_http_requests), 3 * ARRAY_LEN(sizes));
	assert_int_equal(ctr(CTR_http_2xx), 3 * ARRAY_LEN(sizes));
	down();
}

static void test_conditions(void **state)
{
	static const struct {
		const char *field;
		unsigned status;
	} rows[] = {
	        {"If-None-Match: \"e1\"", 304},
	        {"If-None-Match: W/\"e1\"", 304},
	        {"If-None-Match: \"other\", \"e1\"", 304},
	        {"If-None-Match: *", 304},
	        {"If-None-Match: \"other\"", 200},
	        {"If-None-Match: \"e1", 200},
	        {"X: y", 200},
	};

	(void)state;
	up(NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		struct web *w;

		snprintf(text, sizeof(text), "GET /c HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n",
		         rows[i].field);
		attach();
		w = ask(text);
		next_request();
		/* The stored form comes by way of control, so that its validators are known. */
		struct rig_answer a =
		        answer_to(200, "ETag: \"e1\"\r\nX-Body: y\r\n", SPAN_LIT("body"));
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		got(w, rows[i].status);
		assert_int_equal(fx.answer.body.len, rows[i].status == 200 ? 4 : 0);
		say(w, text);
		got(w, rows[i].status);
		if (rows[i].status == 304) {
			assert_true(has_line("ETag: \"e1\""));
			assert_false(has_line("X-Body: y"));
		}
		drain_control();
		assert_int_equal(ctr(CTR_cache_not_modified), rows[i].status == 304 ? i + 1 : 4);
		purge_now(INVAL_KEY, "h/c");
		detach();
	}
	down();
}

static void test_http10(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	put("h/x", "", SPAN_LIT("hello"));
	w = ask("GET /x HTTP/1.0\r\nHost: h\r\n\r\n");
	got_body(w, 200, SPAN_LIT("hello"));
	assert_true(w->eof);
	w = ask("GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
	got_body(w, 200, SPAN_LIT("hello"));
	assert_true(has_line("Connection: keep-alive"));
	assert_false(w->eof);
	say(w, "GET /x HTTP/1.0\r\nHost: h\r\n\r\n");
	got_body(w, 200, SPAN_LIT("hello"));
	assert_true(w->eof);
	down();
}

static void test_close(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	put("h/x", "", SPAN_LIT("hello"));
	/* What was pipelined behind a request that closes is not answered. */
	w = ask("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/x"));
	got_body(w, 200, SPAN_LIT("hello"));
	assert_true(fx.answer.closes);
	got_nothing(w);
	assert_true(w->eof);
	/* The client says that it is done: it still gets its answers. */
	w = open_web();
	assert_true(web_text(w, GET("/x") GET("/x")));
	web_half_close(w);
	run_ms(5);
	got_body(w, 200, SPAN_LIT("hello"));
	got_body(w, 200, SPAN_LIT("hello"));
	assert_true(w->eof && w->gone);
	/* FIN without a request, and within one. */
	w = open_web();
	web_half_close(w);
	run_ms(5);
	assert_true(w->eof);
	w = open_web();
	assert_true(web_text(w, "GET /x HT"));
	web_half_close(w);
	run_ms(5);
	got_nothing(w);
	assert_true(w->eof);
	down();
}

static void test_pipeline(void **state)
{
	enum { N = 200 }; /* more than one turn of a connection takes */
	static char text[N * 40];
	struct web *w;
	size_t len = 0;

	(void)state;
	up(NULL);
	for (int i = 0; i < N; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		                        "GET /p%d HTTP/1.1\r\nHost: h\r\n\r\n", i % 10);
	for (int i = 0; i < 10; i++) {
		char key[8];

		snprintf(key, sizeof(key), "h/p%d", i);
		put(key, "", pattern((uint32_t)i, 100 * (size_t)i));
	}
	w = ask(text);
	run_ms(50);
	for (uint32_t i = 0; i < N; i++)
		got_body(w, 200, pattern(i % 10, 100 * (i % 10)));
	got_nothing(w);
	assert_int_equal(ctr(CTR_http_requests), N);
	/* The same, byte by byte. */
	w = open_web();
	for (size_t i = 0; i < 35 * 10; i++) {
		assert_true(web_send(w, text + i, 1));
		run_ms(1);
	}
	run_ms(5);
	for (uint32_t i = 0; i < 10; i++)
		got_body(w, 200, pattern(i, 100 * i));
	down();
}

/* A client that asks and does not read gets so much queued and no more; nobody else suffers. */
static void test_pipeline_unread(void **state)
{
	static const struct fx_config cfg = {.limits = "    connections: 64\n"
	                                               "    tx_queue_bytes: 65536\n"};
	enum { N = 500 };
	struct tcp_usage u;
	struct web *w, *other;

	(void)state;
	up(&cfg);
	put("h/big", "", pattern(1, 60000));
	put("h/small", "", pattern(2, 500));
	w = open_web();
	w->hold = true;
	for (int i = 0; i < N; i++) {
		assert_true(web_text(w, i % 2 ? GET("/small") : GET("/big")));
		run_ms(1);
	}
	run_ms(20);
	tcp_usage(fx.rig.core->tcp, &u);
	assert_true(u.tx_refs < 64);
	other = ask(GET("/small"));
	got_body(other, 200, pattern(2, 500));
	assert_false(w->gone);
	web_resume(w);
	for (uint32_t i = 0; i < N; i++) {
		run_ms(10);
		got_body(w, 200, i % 2 ? pattern(2, 500) : pattern(1, 60000));
	}
	assert_int_equal(ctr(CTR_shed_tx_queue), 0);
	down();
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
		bool closes;
	} rows[] = {
	        {"GET /x HTTP/1.1\r\n\r\n", 400, true},
	        {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400, true},
	        {"\0GET", 400, true},
	        {"GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505, true},
	        {"BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 501, false},
	        {"GET /none HTTP/1.1\r\nHost: nobody\r\n\r\n", 404, false},
	        {"DELETE /only HTTP/1.1\r\nHost: h\r\n\r\n", 405, false},
	        {"POST /none HTTP/1.1\r\nHost: nobody\r\nContent-Length: 3\r\n\r\nabc", 404, true},
	        {"POST /only HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 405, true},
	        {"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
	         "chunked\r\n\r\n",
	         400, true},
	        {"GET /x HTTP/1.1\r\nHost: h\r\nCache-Control: only-if-cached, no-cache\r\n\r\n",
	         504, false},
	        {"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n", 413, true},
	};
	static const struct fx_config cfg = {
	        .limits = "    body_bytes: 1000\n",
	        .routes = "    - host: h\n      path: /only\n      methods: [GET]\n      upstream: "
	                  "origin\n"
	                  "    - host: h\n      path: /x\n      upstream: origin\n",
	};

	(void)state;
	up(&cfg);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct web *w = open_web();

		say_bytes(w, rows[i].text, rows[i].text[0] == '\0' ? 4 : strlen(rows[i].text));
		got(w, rows[i].status);
		if (fx.answer.closes != rows[i].closes || w->eof != rows[i].closes)
			fail_msg("row %zu: closes %d", i, fx.answer.closes);
		assert_true(web_field(&fx.answer, "Date").len == 29);
	}
	drain_control();
	/* OPTIONS of the server itself needs no route. */
	struct web *w = ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
	got(w, 204);
	say(w, "HEAD /none HTTP/1.1\r\nHost: h\r\n\r\n");
	got_head(w, 404);
	got_nothing(w);
	down();
}

static void test_limits(void **state)
{
	static const struct fx_config cfg = {
	        .limits = "    head_bytes: 512\n    target_bytes: 64\n    fields: 8\n"};
	char text[2048];
	struct web *w;

	(void)state;
	up(&cfg);
	snprintf(text, sizeof(text), "GET /%0100d HTTP/1.1\r\nHost: h\r\n\r\n", 1);
	w = ask(text);
	got(w, 414);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nA: %0600d\r\n\r\n", 1);
	w = ask(text);
	got(w, 431);
	w = ask("GET / HTTP/1.1\r\nHost: h\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: "
	        "1\r\n"
	        "a: 1\r\n\r\n");
	got(w, 431);
	assert_int_equal(ctr(CTR_http_limit), 3);
	assert_int_equal(ctr(CTR_http_requests), 0);
	down();
}

static void test_requests_per_connection(void **state)
{
	static const struct fx_config cfg = {.limits = "    requests_per_connection: 3\n"};
	struct web *w;

	(void)state;
	up(&cfg);
	put("h/x", "", SPAN_LIT("hello"));
	w = ask(GET("/x") GET("/x") GET("/x") GET("/x"));
	for (int i = 0; i < 3; i++) {
		got_body(w, 200, SPAN_LIT("hello"));
		assert_int_equal(fx.answer.closes, i == 2);
	}
	got_nothing(w);
	assert_true(w->eof);
	w = ask(GET("/x"));
	say(w, GET("/x"));
	assert_false(w->eof);
	say(w, GET("/x"));
	assert_true(w->eof);
	down();
}

/* More connections than requests in progress: what waits for nothing holds nothing. */
static void test_requests_out(void **state)
{
	static const struct fx_config cfg = {
	        .limits = "    requests: 16\n    requests_per_connection: 100\n"};

	(void)state;
	up(&cfg);
	put("h/x", "", SPAN_LIT("hello"));
	for (int i = 0; i < 40; i++) {
		struct web *w = ask(GET("/x"));

		got_body(w, 200, SPAN_LIT("hello"));
	}
	assert_int_equal(ctr(CTR_shed_requests), 0);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hit_sizes),
	        cmocka_unit_test(test_conditions),
	        cmocka_unit_test(test_http10),
	        cmocka_unit_test(test_close),
	        cmocka_unit_test(test_pipeline),
	        cmocka_unit_test(test_pipeline_unread),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_requests_per_connection),
	        cmocka_unit_test(test_requests_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
