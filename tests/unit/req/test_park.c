/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that find no slot, no block or no ring entry wait in their order, and not for ever. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

static struct web *get(int i)
{
	char text[64];

	snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
	return ask(text);
}

static void expect_target(int i)
{
	char want[16];

	next_request();
	snprintf(want, sizeof(want), "/%d", i);
	assert_int_equal(fx.req.target.len, strlen(want));
	assert_memory_equal(fx.req.target.ptr, want, strlen(want));
}

/* Blocks are out: each request's head takes one of 16. */
static void test_blocks_out(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 64\n",
	                                     .timeouts = "    miss_grace_ms: 2000\n"};
	enum { N = 40 };
	struct web *w[N];

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < N; i++)
		w[i] = get(i);
	assert_int_equal(fx.rig.core->chan.miss_live, 16);
	for (int i = 0; i < N; i++) {
		expect_target(i);
		reply("", fx.req.target);
		got_body(w[i], 200, fx.req.target);
	}
	drain_control();
	assert_int_equal(ctr(CTR_cache_miss), N);
	assert_int_equal(ctr(CTR_http_requests), N);
	assert_int_equal(ctr(CTR_shed_channel_full), 0);
	down();
}

/* Who comes later does not go first, though there is room just then. */
static void test_order(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 64\n"};
	struct web *w[18];

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < 17; i++)
		w[i] = get(i);
	assert_true(fx.rig.core->chan.park_head != NULL);
	w[17] = open_web();
	for (int i = 0; i < 16; i++)
		expect_target(i);
	run_ms(3);
	/* In one round: a client's reset frees a block, and the packet behind it brings a request.
	 */
	web_abort(w[3]);
	assert_true(web_text(w[17], "GET /17 HTTP/1.1\r\nHost: h\r\n\r\n"));
	run_ms(3);
	expect_target(16);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	down();
}

static void test_shed(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 64\n",
	                                     .timeouts = "    miss_grace_ms: 500\n"};
	struct web *w[20];

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < 20; i++)
		w[i] = get(i);
	run_ms(600);
	for (int i = 16; i < 20; i++) {
		got(w[i], 503);
		assert_true(w[i]->eof);
	}
	assert_int_equal(ctr(CTR_shed_channel_full), 4);
	for (int i = 0; i < 16; i++)
		got_nothing(w[i]);
	down();
}

/* The ring to control is full: 64 entries, control does not look. */
static void test_ring_out(void **state)
{
	static const struct fx_config cfg = {
	        .memory = "    channel_ring_entries: 64\n    up_blocks: 256\n    down_blocks: 64\n",
	        .limits = "    window_bytes: 1048576\n    rx_buffer_bytes: 1048576\n",
	        .timeouts = "    miss_grace_ms: 30000\n"};
	struct web *put, *w;
	enum { LEN = 1000000 };

	(void)state;
	up(&cfg);
	attach();
	put = ask("PUT /u HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		/* Small pieces, so that each becomes a message. */
		assert_true(web_send(put, pattern(5, LEN).ptr + i * 100, 100));
		run_ms(1);
	}
	assert_true(fx.rig.core->chan.park_head != NULL);
	w = get(1);
	run_ms(50);
	next_request();
	struct chan_ticket up_ticket = fx.req.msg.ticket;
	assert_true(web_send(put, pattern(5, LEN).ptr + 10000, LEN - 10000));
	for (int i = 0; i < 2000 && !fx.upload_end; i++) {
		if (try_request()) {
			/* The GET: it was not forgotten; its place is taken note of. */
			assert_true(span_eq(fx.req.target, SPAN_LIT("/1")));
			reply("", SPAN_LIT("one"));
			got_body(w, 200, SPAN_LIT("one"));
			break;
		}
		run_ms(1);
	}
	(void)up_ticket;
	web_abort(put);
	run_ms(5);
	drain_control();
	down();
}

/* All slots are taken: requests and slots are as many, so a new one is refused at once. */
static void test_slots_out(void **state)
{
	static const struct fx_config cfg = {.limits = "    requests: 16\n"};
	struct web *w[16], *more;

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < 16; i++)
		w[i] = get(i);
	more = get(16);
	assert_true(more->gone);
	assert_int_equal(ctr(CTR_shed_requests), 1);
	next_request();
	reply("", SPAN_LIT("x"));
	got_body(w[0], 200, SPAN_LIT("x"));
	more = get(17);
	assert_false(more->gone);
	down();
}

/* A head that came in pieces, and then had to wait, is read again from its beginning. */
static void test_parked_in_pieces(void **state)
{
	struct web *w, *put;

	(void)state;
	up(NULL);
	w = ask("GET /1 HTTP/1.1\r\nHost: h\r\nA: ");
	say(w, "b\r\n\r\n");
	put = ask("PUT /2 HTTP/1.1\r\nHost: h\r\n");
	say(put, "Content-Length: 8\r\n\r\nX: y\r\n\r\n");
	attach();
	expect_target(1);
	reply("", SPAN_LIT("1"));
	got_body(w, 200, SPAN_LIT("1"));
	expect_target(2);
	drain_control();
	assert_int_equal(fx.upload_len, 8);
	assert_memory_equal(fx.upload, "X: y\r\n\r\n", 8);
	reply("", SPAN_LIT("2"));
	got_body(put, 200, SPAN_LIT("2"));
	down();
}

/* A request that waits: its client goes, or sends more, or what it wants is there meanwhile. */
static void test_parked_changes(void **state)
{
	static const struct fx_config cfg = {.timeouts = "    miss_grace_ms: 1000\n"};
	struct web *gone, *more, *hit, *half;

	(void)state;
	up(&cfg);
	gone = get(1);
	more = get(2);
	hit = get(3);
	half = get(4);
	web_abort(gone);
	web_half_close(half);
	say(more, "GET /5 HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(rig_hot_put(&fx.rig, "h/3", "", SPAN_LIT("hit")), ST_OK);
	attach();
	run_ms(5);
	got_body(hit, 200, SPAN_LIT("hit"));
	expect_target(2);
	reply("", SPAN_LIT("2"));
	got_body(more, 200, SPAN_LIT("2"));
	expect_target(4);
	reply("", SPAN_LIT("4"));
	got_body(half, 200, SPAN_LIT("4"));
	assert_true(half->eof);
	expect_target(5);
	reply("", SPAN_LIT("5"));
	got_body(more, 200, SPAN_LIT("5"));
	drain_control();
	assert_int_equal(fx.cancels, 0);
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_blocks_out),
	        cmocka_unit_test(test_order),
	        cmocka_unit_test(test_shed),
	        cmocka_unit_test(test_ring_out),
	        cmocka_unit_test(test_parked_in_pieces),
	        cmocka_unit_test(test_slots_out),
	        cmocka_unit_test(test_parked_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
