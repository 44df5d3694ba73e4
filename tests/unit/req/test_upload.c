/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Request bodies on their way to control: framings, credit, refusals. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define POST_CHUNKED "POST /u HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct web *post_start(size_t len, const char *more)
{
	char head[256];

	snprintf(head, sizeof(head), "POST /u HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n",
	         more, len);
	return ask(head);
}

static size_t chunked(struct span body, size_t piece, char *to)
{
	size_t n = 0;

	for (size_t at = 0; at < body.len; at += piece) {
		size_t len = min_size(piece, body.len - at);

		n += (size_t)sprintf(to + n, "%zx;x=y\r\n", len);
		memcpy(to + n, body.ptr + at, len);
		n += len;
		n += (size_t)sprintf(to + n, "\r\n");
	}
	return n + (size_t)sprintf(to + n, "0\r\nTrailer: t\r\n\r\n");
}

static void uploaded(struct span body)
{
	for (int i = 0; i < 200 && !fx.upload_end; i++) {
		drain_control();
		run_ms(5);
	}
	assert_true(fx.upload_end);
	assert_false(fx.upload_abort);
	assert_int_equal(fx.upload_len, body.len);
	assert_memory_equal(fx.upload, body.ptr, body.len);
}

static void test_framings(void **state)
{
	static char raw[1 << 20];
	static const size_t sizes[] = {0, 1, 1000, 16383, 16384, 16385, 32768, 200000};

	(void)state;
	up(NULL);
	attach();
	struct web *w = open_web();
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		struct span body = pattern((uint32_t)i, sizes[i / 2]);
		char head[128];

		if (i % 2) {
			say(w, POST_CHUNKED);
		} else {
			snprintf(head, sizeof(head),
			         "PUT /u HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
			         body.len);
			say(w, head);
		}
		next_request();
		assert_int_equal(fx.req.cr.body_len, i % 2 ? UINT64_MAX : body.len);
		assert_int_equal(fx.req.cr.flags & CHAN_REQ_CHUNKED, i % 2 ? CHAN_REQ_CHUNKED : 0);
		if (i % 2)
			assert_true(web_send(w, raw, chunked(body, 1 + sizes[i / 2] / 7, raw)));
		else if (body.len > 0)
			assert_true(web_send(w, body.ptr, body.len));
		/* The next request comes right behind the body. */
		uploaded(body);
		reply("", SPAN_LIT("done"));
		got_body(w, 200, SPAN_LIT("done"));
		assert_false(fx.answer.closes);
	}
	down();
}

static void test_pipelined_behind(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask("POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
	        "POST /v HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
	        "GET /w HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	uploaded(SPAN_LIT("abc"));
	reply("", SPAN_LIT("1"));
	next_request();
	uploaded(SPAN_LIT("x"));
	reply("", SPAN_LIT("2"));
	next_request();
	assert_true(span_eq(fx.req.target, SPAN_LIT("/w")));
	reply("", SPAN_LIT("3"));
	got_body(w, 200, SPAN_LIT("1"));
	got_body(w, 200, SPAN_LIT("2"));
	got_body(w, 200, SPAN_LIT("3"));
	down();
}

/* Control gives nothing back: what is outstanding is bounded, the rest stays with the client. */
static void test_credit(void **state)
{
	static const struct fx_config cfg = {
	        .limits = "    window_bytes: 65536\n    rx_buffer_bytes: 32768\n"};
	struct span body = pattern(9, 500000);
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	fx.hold_up = true;
	w = post_start(body.len, "");
	next_request();
	assert_true(web_send(w, body.ptr, body.len));
	for (int i = 0; i < 100; i++) {
		run_ms(5);
		drain_control();
	}
	assert_in_range(fx.held_count, 2, 1 + 65536 / 16384); /* with the head's */
	size_t before = fx.upload_len;
	assert_true(before <= 65536);
	release_held(1);
	run_ms(20);
	drain_control();
	assert_true(fx.upload_len <= before + 16384);
	for (int i = 0; i < 1000 && !fx.upload_end; i++) {
		release_held(1);
		run_ms(5);
		drain_control();
		assert_true(fx.held_count <= 5);
	}
	uploaded(body);
	reply("", SPAN_LIT("done"));
	got_body(w, 200, SPAN_LIT("done"));
	down();
}

/* Many uploads share few blocks: each gets on, and a new one finds one. */
static void test_credit_shared(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 64\n",
	                                     .limits = "    requests: 16\n"};
	enum { N = 10 };
	struct web *w[N];
	struct fx_request reqs[N];
	struct chan_msg m;
	size_t got_bytes[N] = {0};
	uint32_t ended = 0;

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < N; i++) {
		w[i] = post_start(60000, "");
		next_request();
		reqs[i] = fx.req;
	}
	for (int i = 0; i < N; i++)
		assert_true(web_send(w[i], pattern((uint32_t)i, 60000).ptr, 60000));
	run_ms(50);
	fx.hold_up = true;
	for (int turn = 0; turn < 2000 && ended < N; turn++) {
		while (rig_recv(&fx.rig, &m)) {
			assert_int_equal(m.type, CHAN_BODY);
			for (int i = 0; i < N; i++) {
				if (m.ticket.seq != reqs[i].msg.ticket.seq)
					continue;
				const char *bytes = chan_peer_bytes(&fx.rig.control, &m);
				assert_memory_equal(bytes,
				                    pattern((uint32_t)i, 60000).ptr + got_bytes[i],
				                    m.len);
				got_bytes[i] += m.len;
				ended += m.flags & CHAN_F_END ? 1 : 0;
			}
			if (m.block != CHAN_NO_BLOCK)
				fx.held[fx.held_count++] = m.block;
		}
		assert_true(fx.held_count <= 16);
		release_held(1);
		run_ms(1);
	}
	assert_int_equal(ended, N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(got_bytes[i], 60000);
		rig_fail(&fx.rig, reqs[i].msg.ticket, 502);
	}
	run_ms(5);
	for (int i = 0; i < N; i++)
		got(w[i], 502);
	down();
}

/* All slots are taken by uploads, and one has all the blocks: when they come back the others go on.
 */
static void test_starved_upload(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 17\n    down_blocks: 64\n",
	                                     .limits = "    requests: 16\n",
	                                     .timeouts = "    body_ms: 2000\n"};
	struct web *w[16];

	(void)state;
	up(&cfg);
	attach();
	fx.hold_up = true;
	for (int i = 0; i < 16; i++) {
		w[i] = post_start(40000, "");
		next_request();
	}
	assert_true(web_send(w[0], pattern(0, 40000).ptr, 40000));
	run_ms(20);
	assert_true(web_send(w[1], pattern(1, 40000).ptr, 40000));
	run_ms(20);
	uint32_t ends = 0;
	for (int i = 0; i < 200 && ends < 2; i++) {
		struct chan_msg m;

		while (rig_recv(&fx.rig, &m)) {
			assert_int_equal(m.type, CHAN_BODY);
			ends += m.flags & CHAN_F_END ? 1 : 0;
			fx.held[fx.held_count++] = m.block;
		}
		/* Heads first, as the oldest; bodies one at a time. */
		release_held(1);
		run_ms(5);
	}
	assert_int_equal(ends, 2);
	down();
}

static void test_expect(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = post_start(5, "Expect: 100-continue\r\n");
	next_request();
	assert_int_equal(w->rx_len, 25);
	assert_int_equal(ctr(CTR_http_1xx), 1);
	assert_int_equal(fx.req.fields.len, 0);
	say(w, "hello");
	uploaded(SPAN_LIT("hello"));
	reply("", SPAN_LIT("done"));
	got_body(w, 200, SPAN_LIT("done"));
	assert_int_equal(w->interim, 1);
	/* Nothing to expect: an empty body, HTTP/1.0. */
	w = post_start(0, "Expect: 100-continue\r\n");
	next_request();
	got_nothing(w);
	reply("", SPAN_LIT("done"));
	w = ask("POST /u HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	next_request();
	got_nothing(w);
	say(w, "ab");
	uploaded(SPAN_LIT("ab"));
	reply("", SPAN_LIT("done"));
	got_body(w, 200, SPAN_LIT("done"));
	down();
}

static void test_too_large(void **state)
{
	static const struct fx_config cfg = {.limits = "    body_bytes: 100\n"};
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	w = post_start(100, "");
	say_bytes(w, pattern(1, 100).ptr, 100);
	next_request();
	uploaded(pattern(1, 100));
	reply("", SPAN_LIT("ok"));
	got_body(w, 200, SPAN_LIT("ok"));
	/* No 100 Continue for a body that is too large. */
	w = post_start(101, "Expect: 100-continue\r\n");
	got(w, 413);
	assert_int_equal(w->interim, 0);
	assert_true(w->eof);
	drain_control();
	/* Chunked: known only when it comes. */
	w = ask(POST_CHUNKED "64\r\n");
	next_request();
	say_bytes(w, pattern(1, 100).ptr, 100);
	got_nothing(w);
	say(w, "\r\n1\r\nx\r\n0\r\n\r\n");
	got(w, 413);
	assert_true(w->eof);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	assert_int_equal(ctr(CTR_http_limit), 2);
	down();
}

static void test_bad_chunks(void **state)
{
	static const char *const rows[] = {
	        "g\r\n", "5\r\nhelloX\r\n", "-1\r\n", "fffffffffffffffff\r\n", "5\r\nhello\r\n\r\n",
	        "\r\n",
	};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct web *w = ask(POST_CHUNKED "3\r\nabc\r\n");

		next_request();
		drain_control();
		assert_int_equal(fx.upload_len, 3);
		say(w, rows[i]);
		got(w, 400);
		assert_true(fx.answer.closes && w->eof);
		drain_control();
		assert_int_equal(fx.cancels, i + 1);
		assert_int_equal(ctr(CTR_http_bad), i + 1);
	}
	down();
}

static void test_cut_short(void **state)
{
	static const char *const rows[] = {
	        "POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
	        "POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
	        POST_CHUNKED "3\r\nabc\r\n",
	        POST_CHUNKED "3\r\nab",
	        POST_CHUNKED "3\r\nabc\r\n0\r\n",
	};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct web *w = ask(rows[i]);

		next_request();
		web_half_close(w);
		run_ms(5);
		got(w, 400);
		assert_true(w->eof);
		drain_control();
		assert_int_equal(fx.cancels, i + 1);
	}
	down();
}

/* Control answers before the body is whole: the client gets it, and the connection ends. */
static void test_early_answer(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = post_start(100000, "");
	next_request();
	say_bytes(w, pattern(1, 1000).ptr, 1000);
	drain_control();
	struct rig_answer a = answer_to(403, "", SPAN_LIT("no"));
	reply_with(&a);
	got_body(w, 403, SPAN_LIT("no"));
	assert_true(fx.answer.closes);
	assert_true(web_send(w, pattern(2, 50000).ptr, 50000)); /* thrown away, no reset */
	run_ms(20);
	assert_true(w->eof);
	w = post_start(100000, "");
	next_request();
	rig_fail(&fx.rig, fx.req.msg.ticket, 502);
	run_ms(5);
	got(w, 502);
	assert_true(fx.answer.closes && w->eof);
	/* The answer's head, then the rest of the upload, then the answer's body. */
	w = post_start(10, "");
	next_request();
	struct object o = {.body_len = 5, .status = 200};
	struct chan_msg m = head_msg(&o, "", "");
	post(&m);
	say(w, "0123456789");
	drain_control();
	m = (struct chan_msg){.type = CHAN_BODY,
	                      .flags = CHAN_F_END,
	                      .ticket = fx.req.msg.ticket,
	                      .len = 5,
	                      .block = down_block("hello", 5)};
	post(&m);
	got_body(w, 200, SPAN_LIT("hello"));
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_framings),       cmocka_unit_test(test_pipelined_behind),
	        cmocka_unit_test(test_credit),         cmocka_unit_test(test_credit_shared),
	        cmocka_unit_test(test_starved_upload), cmocka_unit_test(test_expect),
	        cmocka_unit_test(test_too_large),      cmocka_unit_test(test_bad_chunks),
	        cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_early_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
