/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Timeouts, draining, a new configuration between requests. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static const struct fx_config times = {
        .timeouts = "    head_ms: 1000\n    body_ms: 2000\n    idle_ms: 3000\n    send_ms: 4000\n"
                    "    miss_ms: 5000\n"};

static void test_head(void **state)
{
	struct web *w;

	(void)state;
	up(&times);
	w = ask("GET / HT");
	run_ms(500);
	say(w, "TP/1.1\r\nHost:"); /* more bytes do not give more time */
	run_ms(450);
	got_nothing(w);
	run_ms(100);
	got(w, 408);
	assert_true(w->eof);
	assert_int_equal(ctr(CTR_http_limit), 1);
	/* Not by what was idle time. */
	w = open_web();
	run_ms(2500);
	say(w, "GET / HT");
	run_ms(900);
	got_nothing(w);
	assert_false(w->eof);
	run_ms(200);
	got(w, 408);
	down();
}

static void test_body(void **state)
{
	struct web *w;

	(void)state;
	up(&times);
	attach();
	w = ask("PUT /u HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
	next_request();
	for (int i = 0; i < 4; i++) {
		run_ms(1500); /* each piece gets its own time */
		say(w, "x");
	}
	drain_control();
	assert_int_equal(fx.upload_len, 4);
	run_ms(1900);
	got_nothing(w);
	run_ms(200);
	got(w, 408);
	assert_true(w->eof);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	down();
}

/* The client has sent what it was allowed to; it is control that does not take it. */
static void test_body_not_taken(void **state)
{
	static const struct fx_config cfg = {.limits = "    window_bytes: 16384\n",
	                                     .timeouts = "    body_ms: 1000\n    miss_ms: 3000\n"};
	struct web *w;

	(void)state;
	up(&cfg);
	attach();
	fx.hold_up = true;
	w = ask("PUT /u HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
	next_request();
	assert_true(web_send(w, pattern(1, 60000).ptr, 60000));
	run_ms(1500);
	got_nothing(w);
	run_ms(2000);
	got(w, 504);
	drain_control();
	down();
}

static void test_miss(void **state)
{
	struct web *w;

	(void)state;
	up(&times);
	attach();
	w = ask(GET("/x"));
	next_request();
	run_ms(4900);
	got_nothing(w);
	run_ms(200);
	got(w, 504);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	/* The head came, the body does not: cut off. */
	w = ask(GET("/y"));
	next_request();
	struct object o = {.body_len = 10, .status = 200};
	struct chan_msg m = head_msg(&o, "", "");
	run_ms(4000);
	post(&m);
	run_ms(4000);
	assert_false(w->gone);
	run_ms(6000);
	assert_true(w->gone);
	drain_control();
	assert_int_equal(fx.cancels, 2);
	down();
}

static void test_idle(void **state)
{
	struct web *w;

	(void)state;
	up(&times);
	assert_int_equal(rig_hot_put(&fx.rig, "h/x", "", SPAN_LIT("x")), ST_OK);
	w = open_web();
	run_ms(2900);
	assert_false(w->eof);
	run_ms(200);
	assert_true(w->eof);
	got_nothing(w);
	w = open_web();
	for (int i = 0; i < 3; i++) {
		run_ms(2000);
		say(w, GET("/x"));
		got_body(w, 200, SPAN_LIT("x"));
	}
	run_ms(2800);
	assert_false(w->eof);
	run_ms(1200);
	assert_true(w->eof);
	down();
}

/* With the default times, in which probes are sent before the idle time is over: answering them
 * does not count as use. */
static void test_idle_probed(void **state)
{
	struct web *w;

	(void)state;
	up(NULL);
	w = open_web();
	run_s(160);
	assert_true(w->eof);
	down();
}

/* Instead of a probe's byte, which a full client may still find room for, an old segment arrives:
 * it is acknowledged, and is no progress. */
static void link_probes(void *arg, struct rig *rig, bool to_server, const void *frame, uint32_t len)
{
	static unsigned char old[65536][128];
	static uint32_t old_len[65536];
	const unsigned char *f = frame;
	uint32_t port = (uint32_t)(f[36] << 8 | f[37]);
	uint32_t data = len <= 54 ? 0 : (uint32_t)(f[16] << 8 | f[17]) - 20 - (f[46] >> 4) * 4u;

	(void)arg;
	if (to_server || len < 54 || f[23] != 6) {
		rig_deliver(rig, to_server, frame, len);
	} else if (data == 1 && port < 20002 && old_len[port] > 0) {
		rig_deliver(rig, false, old[port], old_len[port]);
	} else {
		if (data == 0 && len <= sizeof(old[0])) {
			memcpy(old[port], frame, len);
			old_len[port] = len;
		}
		rig_deliver(rig, false, frame, len);
	}
}

/* The client does not read its answer: its acknowledgments of probes are no progress. */
static void test_send(void **state)
{
	struct web *w, *slow, *hit;
	struct span body = pattern(1, 400000);

	(void)state;
	up(&times);
	fx.rig.link = link_probes;
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/x", "", pattern(2, 65000)), ST_OK);
	w = open_web();
	w->hold = true;
	say(w, GET("/w"));
	next_request();
	reply("", body);
	/* A hit, more than its window holds. */
	hit = open_web();
	hit->hold = true;
	say(hit, GET("/x") GET("/x") GET("/x"));
	/* This one reads now and then. */
	slow = open_web();
	slow->hold = true;
	say(slow, GET("/s"));
	next_request();
	reply("", body);
	for (int i = 0; i < 12; i++) {
		run_ms(999);
		web_resume(slow);
		run_ms(1);
		slow->hold = true;
	}
	assert_true(w->gone);
	assert_true(hit->gone);
	web_resume(slow);
	run_ms(1000);
	got_body(slow, 200, body);
	down();
}

static void test_drain(void **state)
{
	struct web *idle, *busy, *late;

	(void)state;
	up(&times);
	attach();
	idle = open_web();
	busy = ask(GET("/x"));
	next_request();
	assert_int_equal(fx.rig.shared->drained, 0);
	fx.rig.shared->drain_ms = 10000;
	run_ms(20);
	assert_true(idle->eof);
	assert_false(busy->eof);
	assert_int_equal(ctr(CTR_shed_draining), 1);
	late = &fx.webs[fx.web_count];
	assert_true(web_open(late, &fx.rig, 20099));
	fx.web_count++;
	run_ms(5);
	assert_true(late->gone && !late->open);
	run_ms(2000);
	assert_int_equal(fx.rig.shared->drained, 0);
	reply("", SPAN_LIT("x"));
	got_body(busy, 200, SPAN_LIT("x"));
	assert_true(fx.answer.closes && busy->eof);
	web_half_close(idle);
	web_half_close(busy);
	/* Nobody is left: what only waits for old packets does not hold the end up. */
	run_ms(100);
	assert_int_equal(fx.rig.shared->drained, 1);
	assert_int_equal(ctr(CTR_shed_draining), 2);
	down();
}

static void test_drain_deadline(void **state)
{
	struct web *busy;

	(void)state;
	up(&times);
	attach();
	busy = ask(GET("/x"));
	next_request();
	fx.rig.shared->drain_ms = 500;
	run_ms(400);
	assert_false(busy->gone);
	run_ms(150);
	assert_true(busy->gone);
	assert_int_equal(fx.rig.shared->drained, 1);
	drain_control();
	assert_int_equal(fx.cancels, 1);
	down();
}

static void test_drain_undo(void **state)
{
	struct chan_msg m = {.type = CHAN_DRAIN, .block = CHAN_NO_BLOCK, .n = 10000};
	struct web *w;

	(void)state;
	up(&times);
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/x", "", SPAN_LIT("x")), ST_OK);
	m.ticket.epoch = fx.epoch;
	post(&m);
	run_ms(5);
	assert_true(fx.rig.core->draining);
	w = &fx.webs[fx.web_count++];
	assert_true(web_open(w, &fx.rig, 20100));
	run_ms(5);
	assert_false(w->open);
	m.n = 0;
	post(&m);
	assert_false(fx.rig.core->draining);
	assert_int_equal(fx.rig.shared->drained, 0);
	w = ask(GET("/x"));
	got_body(w, 200, SPAN_LIT("x"));
	assert_false(fx.answer.closes);
	/* A drain twice, with another deadline, and an undo without one. */
	post(&m);
	m.n = 5000;
	post(&m);
	m.n = 50;
	post(&m);
	run_ms(100);
	assert_int_equal(fx.rig.shared->drained, 1);
	down();
}

/* The peer of a connection that a drain closes does not close its side: it has all that it was
 * sent, and holds nothing up. */
static void test_drain_half_open(void **state)
{
	struct web *w;

	(void)state;
	up(&times);
	w = open_web();
	fx.rig.shared->drain_ms = 120000;
	run_ms(20);
	assert_true(w->eof);
	assert_int_equal(ctr(CTR_shed_draining), 1);
	run_ms(100);
	assert_int_equal(fx.rig.shared->drained, 1);
	down();
}

static const char other_yaml[] =
        "node: two\n" RIG_YAML_WORLD "routes:\n    - path: /new/*\n      upstream: origin\n";

static void test_snapshot(void **state)
{
	struct config_error err = {0};
	struct config *cfg;
	struct snapshot *next;
	struct web *w, *parked;

	(void)state;
	up(NULL);
	assert_int_equal(config_parse(other_yaml, strlen(other_yaml), "two", &cfg, &err), ST_OK);
	assert_int_equal(snapshot_build(cfg, &next, &err), ST_OK);
	parked = ask(GET("/old/parked"));
	attach();
	next_request();
	reply("", SPAN_LIT("1"));
	got_body(parked, 200, SPAN_LIT("1"));
	w = ask(GET("/old/x"));
	next_request();
	assert_int_equal(fx.req.cr.snapshot_id, fx.rig.snapshot->id);
	detach();
	parked = ask(GET("/old/y"));
	__atomic_store_n(&fx.rig.shared->next_snapshot, next, __ATOMIC_RELEASE);
	run_ms(3);
	assert_ptr_equal(fx.rig.shared->used_snapshot, next);
	attach();
	/* What left under the old one ends under it; what had not left meets the new one. */
	next_request();
	assert_int_equal(fx.req.cr.snapshot_id, fx.rig.snapshot->id);
	reply("", SPAN_LIT("x"));
	got_body(w, 200, SPAN_LIT("x"));
	got(parked, 404);
	say(w, GET("/old/z"));
	got(w, 404);
	say(w, GET("/new/z"));
	next_request();
	assert_int_equal(fx.req.cr.snapshot_id, next->id);
	reply("", SPAN_LIT("z"));
	got_body(w, 200, SPAN_LIT("z"));
	assert_true(has_line("Cache-Status: two; fwd=uri-miss"));
	down();
	free(next);
	config_free(cfg);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_head),
	        cmocka_unit_test(test_body),
	        cmocka_unit_test(test_body_not_taken),
	        cmocka_unit_test(test_miss),
	        cmocka_unit_test(test_idle),
	        cmocka_unit_test(test_idle_probed),
	        cmocka_unit_test(test_send),
	        cmocka_unit_test(test_drain),
	        cmocka_unit_test(test_drain_deadline),
	        cmocka_unit_test(test_drain_undo),
	        cmocka_unit_test(test_drain_half_open),
	        cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
