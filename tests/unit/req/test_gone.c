/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client goes away, control goes away, control comes back. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define PUT_HALF  "PUT /u HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n0123"

static struct chan_msg head_of(uint64_t body_len)
{
	struct object o = {.body_len = body_len, .status = 200};

	return head_msg(&o, "", "");
}

static struct chan_msg body_of(const char *text, uint8_t flags)
{
	return (struct chan_msg){.type = CHAN_BODY,
	                         .flags = flags,
	                         .ticket = fx.req.msg.ticket,
	                         .len = (uint32_t)strlen(text),
	                         .block = down_block(text, strlen(text))};
}

static void test_client_gone(void **state)
{
	enum { HEAD_PART, WAITS, UPLOADS, UPLOADED, BEGUN, HALF, UNREAD, FILLS, STAGES };

	(void)state;
	up(NULL);
	attach();
	for (int i = 0; i < 2 * STAGES; i++) {
		int stage = i % STAGES;
		bool before =
		        i >= STAGES; /* the blocks of control come back before the reset, or not */
		struct chan_msg m;
		struct web *w;
		uint32_t cancels = fx.cancels;

		fx.hold_up = !before;
		if (stage == HEAD_PART) {
			w = ask("GET /x HTTP/1.1\r\nHost:");
			web_abort(w);
			run_ms(3);
			assert_int_equal(fx.rig.core->reqs.in_use, 0);
			continue;
		}
		w = ask(stage == UPLOADS    ? PUT_HALF
		        : stage == UPLOADED ? "PUT /u HTTP/1.1\r\nHost: h\r\n"
		                              "Content-Length: 2\r\n\r\nok"
		                            : GET("/x"));
		next_request();
		drain_control();
		if (stage >= BEGUN) {
			m = head_of(100000);
			if (stage == FILLS) {
				chan_block_put(&fx.rig.down, m.block);
				struct object o = {
				        .hash = {fx.req.cr.key_lo, fx.req.cr.key_hi},
				        .expires_ms = UINT64_MAX,
				        .body_len = 1000,
				        .key_len = 3,
				        .status = 200,
				        .flags = OBJECT_STORABLE,
				};
				m = head_msg(&o, "h/x", "");
				m.flags = CHAN_F_FILL;
			}
			post(&m);
		}
		if (stage == UNREAD)
			w->hold = true;
		for (int n = 0; stage >= HALF && n < (stage == UNREAD ? 6 : 1); n++) {
			m = body_of("part", 0);
			if (stage == UNREAD)
				m.len = 16384;
			post(&m);
		}
		web_abort(w);
		run_ms(3);
		drain_control();
		assert_int_equal(fx.cancels, cancels + 1);
		assert_int_equal(fx.cancelled.seq, fx.req.msg.ticket.seq);
		assert_int_equal(fx.rig.core->reqs.in_use, 0);
		assert_int_equal(fx.rig.core->chan.miss_live, 0);
		assert_int_equal(fx.rig.down.free_count, fx.rig.down.count);
		/* What was on its way when the client went is late. */
		uint64_t late = ctr(CTR_chan_late);
		m = body_of("late", CHAN_F_END);
		post(&m);
		assert_int_equal(ctr(CTR_chan_late), late + 1);
		release_held(FX_HELD);
		run_ms(2);
		assert_int_equal(fx.rig.core->chan.up.free_count, 64);
		drain_control();
	}
	assert_int_equal(hot_count(fx.rig.core->hot), 0);
	down();
}

static void test_no_control(void **state)
{
	static const struct fx_config cfg = {.timeouts = "    miss_grace_ms: 300\n"};
	struct web *w, *put;

	(void)state;
	up(&cfg);
	assert_int_equal(rig_hot_put(&fx.rig, "h/hit", "", SPAN_LIT("hit")), ST_OK);
	w = ask(GET("/x"));
	put = ask("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	run_ms(200);
	got_nothing(w);
	run_ms(120);
	got(w, 503);
	got(put, 503);
	assert_true(web_field(&fx.answer, "Retry-After").len > 0);
	assert_int_equal(ctr(CTR_shed_no_control), 2);
	w = ask(GET("/hit"));
	got_body(w, 200, SPAN_LIT("hit"));
	/* It comes within the grace. */
	w = ask(GET("/y"));
	run_ms(100);
	attach();
	next_request();
	reply("", SPAN_LIT("y"));
	got_body(w, 200, SPAN_LIT("y"));
	assert_int_equal(ctr(CTR_cache_miss), 2);
	assert_int_equal(ctr(CTR_http_requests), 4);
	down();
}

static void test_replay(void **state)
{
	static const struct {
		const char *text;
		bool replayed;
	} rows[] = {
	        {GET("/x"), true},
	        {"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", true},
	        {"DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n", true},
	        {"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", true},
	        {"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na", false},
	        {"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", false},
	        {"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	        {"PATCH /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	};
	uint64_t resent = 0;

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		size_t row = i % ARRAY_LEN(rows);
		bool is_put = strncmp(rows[row].text, "PUT", 3) == 0;
		struct web *w = ask(rows[row].text);
		struct fx_request old;

		fx.hold_up = i >= ARRAY_LEN(rows);
		next_request();
		drain_control();
		old = fx.req;
		detach();
		if (!rows[row].replayed) {
			got(w, 503);
			attach();
			drain_control();
			continue;
		}
		got_nothing(w);
		run_ms(50);
		attach();
		next_request();
		resent++;
		assert_true(span_eq(fx.req.target, span_of("/x", 2)));
		assert_true(span_eq(fx.req.method, span_of(rows[row].text, fx.req.method.len)));
		assert_int_equal(fx.req.msg.flags, old.msg.flags);
		assert_int_not_equal(fx.req.msg.ticket.seq, old.msg.ticket.seq);
		/* The dead one's answer is nobody's. */
		struct fx_request now = fx.req;
		fx.req = old;
		reply("", SPAN_LIT("old"));
		fx.req = now;
		got_nothing(w);
		if (is_put)
			say(w, "abc");
		drain_control();
		assert_int_equal(fx.upload_len, is_put ? 3 : 0);
		fx.req.msg.ticket = now.msg.ticket;
		struct rig_answer a = answer_to(200, "", SPAN_LIT("new"));
		if (row == 1)
			a.flags = CHAN_F_END;
		reply_with(&a);
		if (row == 1) {
			got_head(w, 200);
		} else {
			got_body(w, 200, SPAN_LIT("new"));
		}
		got_nothing(w);
		release_held(FX_HELD);
		run_ms(2);
	}
	assert_int_equal(ctr(CTR_miss_resent), resent);
	down();
}

/* Control dies in the middle of an answer: the client must not take it for whole. */
static void test_detach_in_answer(void **state)
{
	struct web *w[3];

	(void)state;
	up(NULL);
	attach();
	for (int i = 0; i < 3; i++) {
		w[i] = ask(i == 2 ? "GET /x HTTP/1.0\r\nHost: h\r\n\r\n" : GET("/x"));
		next_request();
		struct chan_msg m = head_of(i == 0 ? 100 : UINT64_MAX);
		post(&m);
		m = body_of("part", 0);
		post(&m);
	}
	detach();
	run_ms(5);
	for (int i = 0; i < 3; i++) {
		assert_int_not_equal(web_take(w[i], false, &fx.answer), WEB_ANSWER);
		assert_true(w[i]->gone);
		if (i == 2)
			assert_false(w[i]->eof);
	}
	attach();
	drain_control();
	down();
}

/* Two lives of control: blocks that a slow client still pins are told to the second one. */
static void test_held_blocks(void **state)
{
	struct chan_msg m;
	uint32_t refs[128] = {0}, told[128] = {0};
	uint32_t blocks[20];
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = open_web();
	w->hold = true;
	say(w, GET("/x"));
	next_request();
	m = head_of(19 * 16384);
	post(&m);
	/* 19 pieces: more than a HELD message tells; two of them from one block. */
	for (int i = 0; i < 19; i++) {
		m = body_of("", i == 18 ? CHAN_F_END : 0);
		m.len = 16384;
		if (i == 5) {
			chan_block_put(&fx.rig.down, m.block);
			m.block = blocks[4];
		}
		blocks[i] = m.block;
		struct chan_msg *slot = chan_slot(&fx.rig.control);
		*slot = m;
		chan_push(&fx.rig.control);
	}
	chan_flush(&fx.rig.control);
	run_ms(50);
	drain_control();
	assert_int_equal(fx.rig.core->reqs.in_use, 0); /* answered, but not acknowledged */
	fx.rig.shared->attach_epoch = 0;
	run_ms(5);
	for (uint32_t i = 0; i < 128; i++)
		refs[i] = fx.rig.core->chan.down_refs[i];
	fx.rig.shared->attach_epoch = ++fx.epoch;
	run_ms(5);
	bool synced = false, ended = false;
	while (chan_recv(&fx.rig.control, &m)) {
		chan_rx_done(&fx.rig.control);
		if (m.type == CHAN_SYNC) {
			assert_int_equal(m.n, fx.epoch);
			synced = true;
		}
		/* What lies in the ring from before is void. */
		if (!synced || m.type != CHAN_HELD)
			continue;
		assert_false(ended);
		assert_true(m.code <= CHAN_RELEASE_MAX);
		for (uint32_t i = 0; i < m.code; i++)
			told[m.blocks[i]]++;
		ended = m.flags & CHAN_F_END;
	}
	assert_true(synced && ended);
	uint32_t sum = 0;
	for (uint32_t i = 0; i < 128; i++) {
		assert_int_equal(told[i], refs[i]);
		sum += told[i];
	}
	assert_true(sum > CHAN_RELEASE_MAX);
	/* Each reference comes back once. */
	web_resume(w);
	run_ms(100);
	while (chan_recv(&fx.rig.control, &m)) {
		chan_rx_done(&fx.rig.control);
		assert_int_equal(m.type, CHAN_RELEASE);
		for (uint32_t i = 0; i < m.code; i++) {
			assert_true(told[m.blocks[i]] > 0);
			if (--told[m.blocks[i]] == 0)
				sum--;
			else
				sum--;
		}
	}
	assert_int_equal(sum, 0);
	got(w, 200);
	assert_int_equal(fx.answer.body.len, 19 * 16384);
	/* The slab of the test's control did not follow these releases. */
	while (fx.rig.down.free_count < fx.rig.down.count)
		fx.rig.down.free_count++;
	down();
}

/* Control comes and goes without pause while requests are outstanding: each is answered exactly
 * once. */
static void test_flapping(void **state)
{
	enum { N = 8 };
	struct web *w[N];
	uint32_t answered = 0;

	(void)state;
	up(NULL);
	attach();
	for (int i = 0; i < N; i++) {
		char text[64];

		snprintf(text, sizeof(text), "GET /f%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
		w[i] = ask(text);
	}
	for (int turn = 0; turn < N; turn++) {
		char want[8];

		next_request();
		snprintf(want, sizeof(want), "%.*s", (int)fx.req.target.len, fx.req.target.ptr);
		reply("", span_of(want, strlen(want)));
		answered++;
		while (try_request())
			;
		detach();
		run_ms(5);
		attach();
	}
	while (try_request()) {
		reply("", fx.req.target);
		answered++;
	}
	assert_int_equal(answered, N);
	for (int i = 0; i < N; i++) {
		char want[8];

		snprintf(want, sizeof(want), "/f%d", i);
		got_body(w[i], 200, span_of(want, 3));
		got_nothing(w[i]);
	}
	down();
}

/* A new control attaches without the core having seen the old one go. */
static void test_epoch_jump(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	attach();
	w = ask(GET("/x"));
	next_request();
	fx.epoch += 3;
	attach();
	next_request();
	assert_int_equal(fx.req.msg.ticket.epoch, fx.epoch);
	reply("", SPAN_LIT("x"));
	got_body(w, 200, SPAN_LIT("x"));
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_client_gone), cmocka_unit_test(test_no_control),
	        cmocka_unit_test(test_replay),      cmocka_unit_test(test_detach_in_answer),
	        cmocka_unit_test(test_held_blocks), cmocka_unit_test(test_flapping),
	        cmocka_unit_test(test_epoch_jump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
