/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an operator asks of a core through the channel. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

static struct chan_msg result;
static char records[65536];

static void query(uint16_t code, uint64_t cursor, uint32_t most)
{
	struct chan_msg m = {
	        .type = CHAN_QUERY,
	        .code = code,
	        .ticket = {.epoch = fx.epoch, .seq = 5},
	        .block = CHAN_NO_BLOCK,
	        .n = cursor,
	        .len = most,
	};

	post(&m);
}

static void query_key(const char *key)
{
	struct chan_msg m = {
	        .type = CHAN_QUERY,
	        .code = CHAN_QUERY_CACHE_GET,
	        .ticket = {.epoch = fx.epoch, .seq = 5},
	        .len = (uint32_t)strlen(key),
	};

	m.block = down_block(key, strlen(key));
	post(&m);
}

static void result_take(void)
{
	assert_true(rig_recv(&fx.rig, &result));
	assert_int_equal(result.type, CHAN_RESULT);
	assert_int_equal(result.ticket.seq, 5);
	assert_int_equal(result.ticket.epoch, fx.epoch);
	if (result.block == CHAN_NO_BLOCK)
		return;
	const void *bytes = chan_peer_bytes(&fx.rig.control, &result);
	assert_non_null(bytes);
	assert_true(result.len <= sizeof(records));
	memcpy(records, bytes, result.len);
	rig_release_up(&fx.rig, result.block);
	run_ms(2);
}

static void test_info(void **state)
{
	struct chan_core_info info;

	(void)state;
	up(NULL);
	run_ms(100);
	attach();
	ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	query(CHAN_QUERY_INFO, 0, 0);
	result_take();
	assert_int_equal(result.len, sizeof(info));
	memcpy(&info, records, sizeof(info));
	assert_int_equal(info.conns, 1);
	assert_int_equal(info.misses_waiting, 1);
	assert_int_equal(info.snapshot_id, fx.rig.snapshot->id);
	assert_true(info.uptime_ms >= 100);
	assert_int_equal(info.draining, 0);
	query(99, 0, 0);
	result_take();
	assert_int_equal(result.len, 0);
	assert_int_equal(ctr(CTR_chan_bad), 1);
	down();
}

static void test_conns(void **state)
{
	enum { N = 10 };
	bool seen[N] = {false};
	uint64_t cursor = 0;
	uint32_t n = 0;

	(void)state;
	up(NULL);
	attach();
	for (int i = 0; i < N; i++)
		open_web();
	do {
		query(CHAN_QUERY_CONNS, cursor, 3);
		result_take();
		assert_true(result.len <= 3 * sizeof(struct chan_conn_row));
		for (uint32_t at = 0; at < result.len; at += sizeof(struct chan_conn_row)) {
			struct chan_conn_row row;

			memcpy(&row, records + at, sizeof(row));
			assert_int_equal(row.state, TCP_ESTABLISHED);
			assert_in_range(row.remote_port, 20000, 20000 + N - 1);
			assert_false(seen[row.remote_port - 20000]);
			seen[row.remote_port - 20000] = true;
			n++;
		}
		cursor = result.n;
	} while (cursor != 0);
	assert_int_equal(n, N);
	/* A cursor from nowhere. */
	query(CHAN_QUERY_CONNS, UINT64_MAX, UINT32_MAX);
	result_take();
	assert_int_equal(result.len, 0);
	assert_int_equal(result.n, 0);
	down();
}

static void test_cache(void **state)
{
	enum { N = 300 };
	static bool seen[N];
	uint64_t cursor = 0;
	uint32_t n = 0, turns = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	up(NULL);
	attach();
	for (int i = 0; i < N; i++) {
		char key[256];

		snprintf(key, sizeof(key), "h/%d/%0*d", i, 1 + i % 100, 0);
		assert_int_equal(rig_hot_put(&fx.rig, key, "A: b\r\n", SPAN_LIT("x")), ST_OK);
	}
	do {
		query(CHAN_QUERY_CACHE, cursor, turns % 2 ? 7 : 0);
		result_take();
		for (uint32_t at = 0; at < result.len;) {
			struct object o;
			char key[256];

			memcpy(&o, records + at, sizeof(o));
			assert_true(o.key_len < sizeof(key));
			memcpy(key, records + at + sizeof(o), o.key_len);
			key[o.key_len] = '\0';
			int i = atoi(key + 2);
			assert_false(seen[i]);
			seen[i] = true;
			n++;
			assert_int_equal(o.fields_len, 0);
			at += (uint32_t)align_up(sizeof(o) + o.key_len, 8);
		}
		cursor = result.n;
		turns++;
	} while (cursor != 0 && turns < 2 * N);
	assert_int_equal(n, N);
	query_key("h/1/00");
	result_take();
	assert_int_equal(result.n, 1);
	assert_int_equal(result.len, sizeof(struct object) + 6 + 6);
	assert_memory_equal(records + sizeof(struct object), "h/1/00A: b\r\n", 12);
	query_key("h/none");
	result_take();
	assert_int_equal(result.n, 0);
	query_key("");
	result_take();
	assert_int_equal(result.n, 0);
	/* The key of a query must lie in the block. */
	query(CHAN_QUERY_CACHE_GET, 0, 100);
	result_take();
	assert_int_equal(result.n, 0);
	down();
}

static void answer_take(uint64_t n)
{
	result_take();
	assert_int_equal(result.n, n);
}

static void test_purge(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		uint8_t flags;
		uint64_t purged;
		uint32_t left;
	} rows[] = {
	        {INVAL_KEY, "h/a/9", 0, 0, 6},
	        {INVAL_KEY, "h/a/1", CHAN_F_SOFT, 1, 6},
	        {INVAL_KEY, "h/a/1", 0, 1, 5},
	        {INVAL_KEY, "h/a/1", CHAN_F_COUNT, 0, 5},
	        {INVAL_KEY, "h/a/*", 0, 0, 5}, /* a key, not a pattern */
	        {INVAL_PATTERN, "h/a/*", CHAN_F_COUNT, 2, 3},
	        {INVAL_PATTERN, "x*", CHAN_F_COUNT, 0, 3},
	        {INVAL_TAG, "t", CHAN_F_COUNT, 0, 3},
	        {INVAL_PATTERN, "h/b", 0, 0, 2}, /* not counted, done all the same */
	        {INVAL_ALL, "", CHAN_F_COUNT | CHAN_F_SOFT, 2, 2},
	        {INVAL_ALL, "", CHAN_F_COUNT, 2, 0},
	};
	static const char *const keys[] = {"h/a/1", "h/a/2", "h/a/3", "h/b/1", "h/b", "g/a/1"};

	(void)state;
	up(NULL);
	attach();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(rig_hot_put(&fx.rig, keys[i], "", SPAN_LIT("x")), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct chan_msg m = purge_msg(rows[i].kind, rows[i].text, rows[i].flags);

		m.ticket.seq = 5;
		post(&m);
		run_ms(400);
		answer_take(rows[i].purged);
		assert_int_equal(hot_count(fx.rig.core->hot), rows[i].left);
	}
	assert_int_equal(ctr(CTR_cache_purge), 9);
	assert_int_equal(ctr(CTR_cache_purge_orders), ARRAY_LEN(rows));
	down();
}

static void test_bad_purge(void **state)
{
	struct chan_msg rows[4];

	(void)state;
	up(NULL);
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/a", "", SPAN_LIT("x")), ST_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = purge_msg(INVAL_ALL, "", 0);
	rows[0].code = INVAL_KINDS;
	rows[1].code = INVAL_KEY; /* without a text */
	rows[1].len = 10;
	rows[2].n = 0;
	rows[3].n = UINT64_MAX; /* would void all that ever comes */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i].ticket.seq = 5;
		post(&rows[i]);
		answer_take(0);
		assert_int_equal(ctr(CTR_chan_bad), i + 1);
	}
	/* One of another life of control. */
	struct chan_msg m = purge_msg(INVAL_ALL, "", 0);
	m.ticket = (struct chan_ticket){.epoch = fx.epoch + 1, .seq = 5};
	post(&m);
	assert_false(rig_recv(&fx.rig, &result));
	assert_int_equal(ctr(CTR_chan_late), 1);
	assert_int_equal(hot_count(fx.rig.core->hot), 1);
	down();
}

/* More that wait for a count than there is room for: those are answered at once. */
static void test_count_full(void **state)
{
	uint32_t at_once = 0;

	(void)state;
	up(NULL);
	attach();
	for (int i = 0; i < 50; i++) {
		struct chan_msg m = purge_msg(INVAL_TAG, "t", CHAN_F_COUNT);
		struct chan_msg *slot = chan_slot(&fx.rig.control);

		m.ticket.seq = 5;
		*slot = m;
		chan_push(&fx.rig.control);
	}
	chan_flush(&fx.rig.control);
	rig_settle(&fx.rig, 20, 1000);
	while (rig_recv(&fx.rig, &result))
		at_once++;
	assert_int_equal(at_once, 50 - ARRAY_LEN(fx.rig.core->chan.counting));
	run_ms(800);
	for (size_t i = 0; i < ARRAY_LEN(fx.rig.core->chan.counting); i++)
		answer_take(0);
	assert_false(rig_recv(&fx.rig, &result));
	down();
}

/* Control orders a purge and dies: what it put into the ring is done. */
static void test_leftovers(void **state)
{
	struct chan_msg ms[3];

	(void)state;
	up(NULL);
	attach();
	assert_int_equal(rig_hot_put(&fx.rig, "h/a", "", SPAN_LIT("x")), ST_OK);
	assert_int_equal(rig_hot_put(&fx.rig, "h/b", "", SPAN_LIT("x")), ST_OK);
	assert_int_equal(rig_hot_put(&fx.rig, "h/c", "", SPAN_LIT("x")), ST_OK);
	ms[0] = purge_msg(INVAL_KEY, "h/a", 0);
	ms[1] = (struct chan_msg){.type = CHAN_DRAIN, .block = CHAN_NO_BLOCK, .n = 1000};
	ms[2] = purge_msg(INVAL_PATTERN, "*b", 0);
	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		*chan_slot(&fx.rig.control) = ms[i];
		chan_push(&fx.rig.control);
	}
	chan_flush(&fx.rig.control);
	rig_detach(&fx.rig);
	run_ms(400);
	assert_int_equal(hot_count(fx.rig.core->hot), 1);
	assert_int_equal(hot_purge_seq(fx.rig.core->hot), fx.purge_seq);
	assert_false(fx.rig.core->draining);
	down();
}

/* Puts so many orders into the ring before a request arrives; the last is the purge of its key. */
static void link_orders(void *arg, struct rig *rig, bool to_server, const void *frame, uint32_t len)
{
	uint32_t *orders = arg;

	for (; to_server && memmem(frame, len, "GET ", 4) != NULL && *orders > 0; --*orders) {
		struct chan_msg m = purge_msg(INVAL_ALL, "", 0);

		m.ticket.epoch++; /* of another life of control: void, and without a block */
		*chan_slot(&rig->control) = *orders > 1 ? m : purge_msg(INVAL_KEY, "h/a", 0);
		chan_push(&rig->control);
		chan_flush(&rig->control);
	}
	rig_deliver(rig, to_server, frame, len);
}

/* A core sees both in one round: the order came first, however many there are. */
static void test_before_requests(void **state)
{
	static const uint32_t rows[] = {1, 2, 300};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t orders = rows[i];
		struct web *w;

		up(NULL);
		attach();
		assert_int_equal(rig_hot_put(&fx.rig, "h/a", "", SPAN_LIT("old")), ST_OK);
		got_body(ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"), 200, SPAN_LIT("old"));
		w = open_web();
		fx.rig.link = link_orders;
		fx.rig.link_arg = &orders;
		say(w, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_int_equal(orders, 0);
		got_nothing(w);
		next_request();
		reply("", SPAN_LIT("new"));
		got_body(w, 200, SPAN_LIT("new"));
		fx.rig.link = NULL;
		down();
	}
}

/* The last block is left for requests: the question is refused, not the client. */
static void test_no_block(void **state)
{
	static const struct fx_config cfg = {.memory = "    up_blocks: 16\n    down_blocks: 64\n"};

	(void)state;
	up(&cfg);
	attach();
	for (int i = 0; i < 15; i++)
		ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; i < 15; i++)
		next_request();
	query(CHAN_QUERY_INFO, 0, 0);
	result_take();
	assert_int_equal(result.code, 503);
	assert_int_equal(result.block, CHAN_NO_BLOCK);
	ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request();
	down();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_info),
	        cmocka_unit_test(test_conns),
	        cmocka_unit_test(test_cache),
	        cmocka_unit_test(test_purge),
	        cmocka_unit_test(test_no_block),
	        cmocka_unit_test(test_bad_purge),
	        cmocka_unit_test(test_count_full),
	        cmocka_unit_test(test_leftovers),
	        cmocka_unit_test(test_before_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
