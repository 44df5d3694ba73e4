/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control says wrong things: nothing crashes, nothing leaks, all is counted, other requests go on.
 */
#include "tests/unit/req/fixture.h"

#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static const struct fx_config quick = {.timeouts = "    miss_ms: 500\n"};

static struct object object_of(uint64_t body_len)
{
	return (struct object){.body_len = body_len, .status = 200};
}

static struct chan_msg body_msg(const char *text, uint8_t flags)
{
	return (struct chan_msg){
	        .type = CHAN_BODY,
	        .flags = flags,
	        .ticket = fx.req.msg.ticket,
	        .len = (uint32_t)strlen(text),
	        .block = down_block(text, strlen(text)),
	};
}

static void test_wrong_ticket(void **state)
{
	struct chan_ticket wrong[6];
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask(GET("/x"));
	next_request();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		wrong[i] = fx.req.msg.ticket;
	wrong[0].epoch++;
	wrong[1].epoch = 0;
	wrong[2].core++;
	wrong[3].slot++;
	wrong[4].slot = 65535;
	wrong[5].seq++;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct object o = object_of(5);
		struct chan_msg m = head_msg(&o, "", "Bad: y\r\n");

		m.ticket = wrong[i];
		post(&m);
		m = body_msg("wrong", CHAN_F_END);
		m.ticket = wrong[i];
		post(&m);
		rig_fail(&fx.rig, wrong[i], 502);
		run_ms(2);
		got_nothing(w);
		assert_int_equal(ctr(CTR_chan_late), 3 * (i + 1));
	}
	reply("", SPAN_LIT("right"));
	got_body(w, 200, SPAN_LIT("right"));
	/* The ticket is over: the same answer again is late. */
	reply("", SPAN_LIT("again"));
	got_nothing(w);
	assert_int_equal(ctr(CTR_chan_late), 20);
	assert_int_equal(ctr(CTR_chan_bad), 0);
	down();
}

/* Long: a table of cases and the few lines that run it. */
static void test_bad_heads(void **state)
{
	enum {
		BLOCK,
		LEN_0,
		LEN_SHORT,
		LEN_LONG,
		OFF_ODD,
		OFF_FAR,
		OFF_WRAP,
		KEY,
		FIELDS,
		SUM,
		ETAG,
		STATUS_0,
		STATUS_1XX,
		STATUS_BIG,
		HUGE,
		CASES
	};

	(void)state;
	up(&quick);
	attach();
	for (int i = 0; i < CASES; i++) {
		struct web *w = ask(GET("/x"));
		struct object o = object_of(5);
		struct chan_msg m;

		next_request();
		o.key_len = i == KEY ? UINT32_MAX : i == SUM ? UINT32_MAX - 100 : 0;
		o.fields_len = i == FIELDS ? 100000 : i == SUM ? UINT32_MAX - 100 : 0;
		if (i == ETAG) {
			o.etag_len = 10;
			o.etag_off = UINT32_MAX - 5;
		}
		o.status = i == STATUS_0 ? 0 : i == STATUS_1XX ? 101 : i == STATUS_BIG ? 1000 : 200;
		m = head_msg(&o, "", "");
		uint32_t lent = m.block;
		if (i == BLOCK)
			m.block = fx.rig.down.count;
		m.len = i == LEN_0 ? 0 : i == LEN_SHORT ? 79 : i == LEN_LONG ? UINT32_MAX : m.len;
		m.off = i == OFF_ODD    ? 4
		        : i == OFF_FAR  ? 16384
		        : i == OFF_WRAP ? UINT32_MAX - 7
		                        : 0;
		if (i == HUGE) {
			/* Larger than any head may be, but a sound object. */
			o.fields_len = 16384 - sizeof(o);
			memset(chan_block_at(&fx.rig.down, lent), 'a', 16384);
			memcpy(chan_block_at(&fx.rig.down, lent), &o, sizeof(o));
			m.len = 16384;
		}
		post(&m);
		if (i == BLOCK)
			chan_block_put(&fx.rig.down, lent);
		if (i == HUGE)
			break;
		if (ctr(CTR_chan_bad) != (uint64_t)i + 1)
			fail_msg("case %d is not counted", i);
		/* At once: nothing better comes. */
		got(w, 502);
		drain_control();
		assert_int_equal(fx.cancels, i + 1);
		assert_int_equal(fx.rig.core->chan.miss_live, 0);
		reply("", SPAN_LIT("late"));
		got_nothing(w);
		w = ask(GET("/x"));
		next_request();
		reply("", SPAN_LIT("right"));
		got_body(w, 200, SPAN_LIT("right"));
	}
	down();
}

/* A 1xx that ends the ticket is none; sound ones come ahead of the answer, and not behind it. */
static void test_interim(void **state)
{
	const char *hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
	struct object o = {.status = 103, .fields_len = 12};
	struct chan_msg m;
	struct web *w;

	(void)state;
	up(&quick);
	attach();
	w = ask(GET("/x"));
	next_request();
	for (int i = 0; i < 2; i++) {
		m = head_msg(&o, "", "Link: </a>\r\n");
		post(&m);
	}
	run_ms(2);
	assert_int_equal(w->rx_len, 2 * strlen(hint));
	assert_memory_equal(w->rx, hint, strlen(hint));
	reply("", SPAN_LIT("right"));
	got_body(w, 200, SPAN_LIT("right"));
	assert_int_equal(ctr(CTR_http_1xx), 2);
	w = ask("GET /x HTTP/1.0\r\nHost: h\r\n\r\n");
	next_request();
	m = head_msg(&o, "", "Link: </a>\r\n");
	post(&m);
	reply("", SPAN_LIT("right"));
	got_body(w, 200, SPAN_LIT("right"));
	assert_int_equal(ctr(CTR_http_interim_dropped), 1);
	w = ask(GET("/x"));
	next_request();
	m = head_msg(&o, "", "Link: </a>\r\n");
	m.flags = CHAN_F_END;
	post(&m);
	got(w, 502);
	assert_int_equal(ctr(CTR_chan_bad), 1);
	down();
}

static void test_no_answer(void **state)
{
	struct web *w;

	(void)state;
	up(&quick);
	attach();
	w = ask(GET("/x"));
	next_request();
	struct chan_msg m = body_msg("hello", CHAN_F_END);
	post(&m);
	run_ms(600);
	got(w, 504);
	assert_true(w->eof);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	assert_int_equal(fx.cancelled.seq, fx.req.msg.ticket.seq);
	assert_int_equal(ctr(CTR_chan_bad), 1);
	down();
}

static void head_of(uint64_t body_len)
{
	struct object o = object_of(body_len);
	struct chan_msg m = head_msg(&o, "", "");

	post(&m);
}

/* The bytes do not become a whole answer, and the client can tell. */
static void broken(struct web *w)
{
	assert_int_not_equal(web_take(w, false, &fx.answer), WEB_ANSWER);
	assert_true(w->eof || w->gone);
}

static void test_bad_bodies(void **state)
{
	enum { LONGER, SHORT_END, ABORTED, FAILED, NO_BLOCK, BAD_BLOCK, BAD_LEN, BAD_OFF, CASES };

	(void)state;
	up(&quick);
	attach();
	for (int i = 0; i < 3 * CASES; i++) {
		int kind = i / CASES; /* a length, chunked, to the end of the connection */
		int c = i % CASES;
		struct web *w;
		struct chan_msg m;

		if (kind > 0 && (c == LONGER || c == SHORT_END))
			continue;
		w = ask(kind == 2 ? "GET /x HTTP/1.0\r\nHost: h\r\n\r\n" : GET("/x"));
		next_request();
		head_of(kind == 0 ? 10 : UINT64_MAX);
		m = body_msg("12345", 0);
		post(&m);
		if (c == FAILED) {
			rig_fail(&fx.rig, fx.req.msg.ticket, 502);
		} else {
			m = body_msg(c == LONGER ? "123456" : "1234", CHAN_F_END);
			if (c == ABORTED)
				m.flags |= CHAN_F_ABORT;
			if (c == NO_BLOCK || c == BAD_BLOCK) {
				chan_block_put(&fx.rig.down, m.block);
				m.block = c == NO_BLOCK ? CHAN_NO_BLOCK : 100000;
			}
			if (c == BAD_LEN)
				m.len = 16385;
			if (c == BAD_OFF)
				m.off = UINT32_MAX - 2;
			post(&m);
		}
		run_ms(5);
		if (c != SHORT_END && kind == 2)
			assert_false(w->eof); /* a reset, since FIN would say that it is whole */
		broken(w);
		drain_control();
		assert_int_equal(fx.rig.core->chan.miss_live, 0);
	}
	down();
}

/* A body shorter than its head said is not stored, although the client needed none of it. */
static void test_short_fill(void **state)
{
	struct web *w;

	(void)state;
	up(&quick);
	attach();
	w = ask("GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e\"\r\n\r\n");
	next_request();
	struct rig_answer a = answer_to(200, "ETag: \"e\"\r\n", SPAN_LIT("12345"));
	a.body_len = 10;
	a.lifetime_ms = 60000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	got(w, 304);
	assert_int_equal(hot_count(fx.rig.core->hot), 0);
	/* And one that is longer. */
	w = ask("GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e\"\r\n\r\n");
	next_request();
	a = answer_to(200, "ETag: \"e\"\r\n", SPAN_LIT("1234567890a"));
	a.body_len = 10;
	a.lifetime_ms = 60000;
	a.flags = CHAN_F_FILL;
	reply_with(&a);
	got(w, 304);
	assert_int_equal(hot_count(fx.rig.core->hot), 0);
	down();
}

static void test_head_twice(void **state)
{
	struct web *w;

	(void)state;
	up(&quick);
	attach();
	w = ask(GET("/x"));
	next_request();
	head_of(5);
	head_of(7);
	assert_int_equal(ctr(CTR_chan_bad), 1);
	struct chan_msg m = body_msg("hello", CHAN_F_END);
	post(&m);
	got_body(w, 200, SPAN_LIT("hello"));
	got_nothing(w);
	down();
}

static void test_bogus_releases(void **state)
{
	struct web *w;
	uint64_t bad;

	(void)state;
	up(&quick);
	attach();
	fx.hold_up = true;
	w = ask(GET("/x"));
	next_request();
	struct chan_msg m = {
	        .type = CHAN_RELEASE, .code = CHAN_RELEASE_MAX, .block = CHAN_NO_BLOCK};
	for (uint32_t i = 0; i < CHAN_RELEASE_MAX; i++)
		m.blocks[i] = i % 2 ? UINT32_MAX - i : i + 1000;
	post(&m);
	assert_int_equal(ctr(CTR_chan_bad), CHAN_RELEASE_MAX);
	m.code = CHAN_RELEASE_MAX + 1;
	post(&m);
	assert_int_equal(ctr(CTR_chan_bad), CHAN_RELEASE_MAX + 1);
	/* A block that was not lent, and one twice. */
	m.code = 1;
	m.blocks[0] = fx.held[0] == 0 ? 1 : 0;
	post(&m);
	assert_int_equal(ctr(CTR_chan_bad), CHAN_RELEASE_MAX + 2);
	m.code = 2;
	m.blocks[0] = m.blocks[1] = fx.held[0];
	fx.held_count = 0;
	post(&m);
	assert_int_equal(ctr(CTR_chan_bad), CHAN_RELEASE_MAX + 3);
	bad = ctr(CTR_chan_bad);
	reply("", SPAN_LIT("x"));
	got_body(w, 200, SPAN_LIT("x"));
	/* Types that a core does not take. */
	for (unsigned type = 0; type < 256; type++) {
		if (type == CHAN_HEAD || type == CHAN_FAIL || type == CHAN_PURGE ||
		    type == CHAN_QUERY || type == CHAN_DRAIN || type == CHAN_BODY ||
		    type == CHAN_RELEASE)
			continue;
		m = (struct chan_msg){.type = (uint8_t)type, .block = CHAN_NO_BLOCK};
		post(&m);
		bad++;
	}
	assert_int_equal(ctr(CTR_chan_bad), bad);
	down();
}

/* Random messages, many of them nearly right. */
static void test_random(void **state)
{
	(void)state;
	up(&quick);
	attach();
	srandom(1);
	for (int round = 0; round < 300; round++) {
		struct web w;

		assert_true(web_open(&w, &fx.rig, (uint16_t)(30000 + round)));
		run_ms(2);
		assert_true(web_text(&w, round % 2 ? GET("/x")
		                                   : "PUT /y HTTP/1.1\r\nHost: h\r\n"
		                                     "Content-Length: 9\r\n\r\n12"));
		run_ms(2);
		if (!try_request())
			continue;
		for (int i = 0; i < 6; i++) {
			struct object o = object_of((uint64_t)(random() % 20));
			struct chan_msg m = head_msg(&o, "", "A: b\r\n");
			uint32_t own = m.block;

			m.type = (uint8_t)(random() % (CHAN_TYPE_COUNT + 1));
			if (m.type == CHAN_DRAIN)
				m.type = CHAN_BODY;
			m.flags = (uint8_t)random();
			m.code = (uint16_t)(random() % 10);
			if (random() % 3 == 0)
				m.len = (uint32_t)(random() % 200);
			if (random() % 4 == 0)
				m.off = (uint32_t)(random() % 20000);
			if (random() % 4 == 0)
				m.ticket.seq++;
			if (random() % 4 == 0)
				m.block = random() % 2 ? CHAN_NO_BLOCK : (uint32_t)random();
			m.n = (uint64_t)random() << 32 | (uint64_t)random();
			struct chan_msg *slot = chan_slot(&fx.rig.control);
			*slot = m;
			chan_push(&fx.rig.control);
			chan_flush(&fx.rig.control);
			run_ms(2);
			/* What the message did not lend, or the core did not take for lent. */
			bool lends = m.type == CHAN_HEAD || m.type == CHAN_BODY ||
			             m.type == CHAN_PURGE || m.type == CHAN_QUERY ||
			             m.type == CHAN_FAIL || m.type == CHAN_PUT;
			if (m.block != own || !lends)
				chan_block_put(&fx.rig.down, own);
			struct chan_msg r;
			while (rig_recv(&fx.rig, &r))
				if (r.type == CHAN_RESULT || r.type == CHAN_BODY)
					rig_release_up(&fx.rig, r.block);
		}
		web_free(&w);
		run_ms(2);
		struct chan_msg r;
		while (rig_recv(&fx.rig, &r))
			if (r.type == CHAN_BODY)
				rig_release_up(&fx.rig, r.block);
	}
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_wrong_ticket), cmocka_unit_test(test_bad_heads),
	        cmocka_unit_test(test_interim),      cmocka_unit_test(test_no_answer),
	        cmocka_unit_test(test_bad_bodies),   cmocka_unit_test(test_short_fill),
	        cmocka_unit_test(test_head_twice),   cmocka_unit_test(test_bogus_releases),
	        cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
