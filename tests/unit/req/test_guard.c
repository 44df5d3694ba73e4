/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one client must not be able to do to the others: answers under a foreign key, stale answers
 * after a write, memory held by not reading. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void put(const char *key, struct span body)
{
	assert_int_equal(rig_hot_put(&fx.rig, key, "", body), ST_OK);
}

static void test_key_has_port(void **state)
{
	static const struct {
		const char *host;
		const char *key;
	} rows[] = {
	        {"h", "h/x"},
	        {"H:80", "h/x"},
	        {"h:", "h/x"},
	        {"h:81", "h:81/x"},
	        {"h:080", "h/x"},
	        {"[::1]:8080", "[::1]:8080/x"},
	        {"h:65535", "h:65535/x"},
	};
	char text[128];

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
		struct web *w = ask(text);

		next_request();
		assert_int_equal(fx.req.key.len, strlen(rows[i].key));
		assert_memory_equal(fx.req.key.ptr, rows[i].key, fx.req.key.len);
		reply("", SPAN_LIT("x"));
		got_body(w, 200, SPAN_LIT("x"));
	}
	/* What is stored for one port answers no request for another. */
	put("h:81/x", SPAN_LIT("other"));
	struct web *w = ask(GET("/x"));
	next_request();
	reply("", SPAN_LIT("mine"));
	got_body(w, 200, SPAN_LIT("mine"));
	down();
}

static void test_body_without_limit(void **state)
{
	struct web *w;

	(void)state;
	up(NULL); /* limits.body_bytes is 0 */
	attach();
	w = ask("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	next_request();
	drain_control();
	assert_int_equal(fx.upload_len, 5);
	assert_true(fx.upload_end);
	reply("", SPAN_LIT("ok"));
	got_body(w, 200, SPAN_LIT("ok"));
	w = ask("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	next_request();
	drain_control();
	assert_int_equal(fx.upload_len, 3);
	reply("", SPAN_LIT("ok"));
	got_body(w, 200, SPAN_LIT("ok"));
	down();
}

static void purge_unasked(const char *key)
{
	struct chan_msg m = purge_msg(INVAL_KEY, key, 0);

	post(&m);
	run_ms(2);
	drain_control(); /* its block is back */
}

static void test_invalidation(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
	char text[128];
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	put("h/other", SPAN_LIT("stays"));
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		put("h/x", SPAN_LIT("old"));
		snprintf(text, sizeof(text),
		         "%s /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", methods[i]);
		w = ask(text);
		next_request();
		assert_true(span_eq(fx.req.key, SPAN_LIT("h/x")));
		assert_int_equal(fx.req.cr.flags, 0);
		purge_unasked("h/x");
		reply("", SPAN_LIT("done"));
		got_body(w, 200, SPAN_LIT("done"));
		w = ask(GET("/x"));
		next_request();
		reply("", SPAN_LIT("new"));
		got_body(w, 200, SPAN_LIT("new"));
	}
	w = ask(GET("/other"));
	got_body(w, 200, SPAN_LIT("stays"));
	assert_false(try_request()); /* and no RESULT */
	down();
}

/* A fill that began before the write is refused; a write elsewhere costs no fill its place. */
static void test_invalidation_of_fills(void **state)
{
	char key[32];
	struct rig_answer a;
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	for (int touched = 0; touched < 2; touched++) {
		w = ask(GET("/x"));
		next_request();
		for (int i = 0; i < 500; i++) { /* more than the table remembers */
			snprintf(key, sizeof(key), "h/w%d", i);
			purge_unasked(key);
		}
		if (touched)
			purge_unasked("h/x");
		a = answer_to(200, "", SPAN_LIT("before"));
		a.lifetime_ms = 60000;
		a.flags = CHAN_F_FILL;
		reply_with(&a);
		got_body(w, 200, SPAN_LIT("before"));
		assert_int_equal(ctr(CTR_cache_fill), 1);
		if (!touched)
			purge_now(INVAL_ALL, "");
	}
	assert_int_equal(ctr(CTR_cache_fill_dropped), 1);
	down();
}

/* The client's TCP answers each window probe, but the client reads nothing. */
static void test_unread_hit(void **state)
{
	static const struct fx_config cfg = {
	        .timeouts = "    send_ms: 2000\n    idle_ms: 2000\n",
	};
	struct web *w, *slow;

	(void)state;
	up(&cfg);
	put("h/big", pattern(1, 60000));
	w = open_web();
	w->hold = true;
	assert_true(web_text(w, GET("/big") GET("/big") GET("/big")));
	slow = open_web();
	slow->hold = true;
	assert_true(web_text(slow, GET("/big") GET("/big") GET("/big")));
	for (int i = 0; i < 20; i++) {
		run_s(1);
		if (i < 3) { /* reads late, but reads */
			web_resume(slow);
			run_ms(1);
			slow->hold = i < 2;
		}
	}
	assert_true(w->gone);
	assert_false(w->eof);
	got_body(slow, 200, pattern(1, 60000));
	got_body(slow, 200, pattern(1, 60000));
	got_body(slow, 200, pattern(1, 60000));
	down();
}

static void test_unread_miss(void **state)
{
	static const struct fx_config cfg = {.timeouts = "    send_ms: 2000\n"};
	struct object o = {.status = 200, .body_len = 1000000};
	struct chan_msg m;
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	w = open_web();
	w->hold = true;
	assert_true(web_text(w, GET("/m")));
	run_ms(5);
	next_request();
	m = head_msg(&o, "h/m", "");
	post(&m);
	for (int i = 0; i < 20; i++) { /* the rest never comes */
		m = (struct chan_msg){
		        .type = CHAN_BODY,
		        .ticket = fx.req.msg.ticket,
		        .block = down_block(pattern(2, 8000).ptr, 8000),
		        .len = 8000,
		};
		post(&m);
		run_ms(500);
	}
	run_ms(10);
	assert_int_equal(tcp_conn_count(fx.rig.core->tcp), 0);
	assert_false(w->eof);
	down();
}

static void test_drain_ends(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	put("h/x", SPAN_LIT("x"));
	w = ask("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	got_body(w, 200, SPAN_LIT("x"));
	web_half_close(w);
	run_ms(20);
	w = ask(GET("/x")); /* stays open, idle */
	assert_int_equal(tcp_conn_count(fx.rig.core->tcp), 2);
	__atomic_store_n(&fx.rig.shared->drain_ms, 30000, __ATOMIC_RELEASE);
	run_ms(20);
	web_half_close(w);
	run_ms(200);
	assert_int_equal(fx.rig.shared->drained, 1);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_key_has_port), cmocka_unit_test(test_body_without_limit),
	        cmocka_unit_test(test_invalidation), cmocka_unit_test(test_invalidation_of_fills),
	        cmocka_unit_test(test_unread_hit),   cmocka_unit_test(test_unread_miss),
	        cmocka_unit_test(test_drain_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
