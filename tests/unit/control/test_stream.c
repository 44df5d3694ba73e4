/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Long bodies both ways: bytes in order, and a bounded number of blocks whoever is slow. */
#include "rig.h"

#define WINDOW_BLOCKS 16u /* limits.window_bytes / block */

static void all_blocks_home(struct rig *r)
{
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
	for (uint32_t c = 0; c < RIG_CORES; c++)
		RIG_UNTIL(r, r->core[c].up.free_count == r->geo.up_blocks);
}

static void long_download(void **state)
{
	struct rig *r = *state;
	static const char *paths[] = {"/fixed/67108864", "/chunked/67108864/100000",
	                              "/closed/67108864", "/storechunk/67108864"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct ask *a = rig_ask(r, &(struct rig_req){.path = paths[i], .key = paths[i]});

		RIG_UNTIL(r, a->done);
		assert_int_equal(a->fail, 0);
		assert_int_equal(a->got, 64 << 20);
		assert_false(a->bad);
		assert_false(a->aborted);
	}
	all_blocks_home(r);
}

/* A client that reads nothing pins its window, not more, and the origin is left waiting. */
static void slow_client(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/20000000", .hold = true});
	struct fetcher_counts counts;
	struct rig_core *c = &r->core[0];
	uint64_t before;

	do {
		rig_step(r);
		fetcher_counts(r->ctl.fetcher, &counts);
	} while (counts.paused == 0);
	RIG_UNTIL(r, c->down_held >= WINDOW_BLOCKS + 1); /* and the head */
	before = a->got;
	for (int i = 0; i < 50; i++)
		rig_step(r);
	assert_int_equal(a->got, before);
	assert_int_equal(c->down_held, WINDOW_BLOCKS + 1);
	/* Another request is not held up. */
	struct ask *b = rig_ask(r, &(struct rig_req){.path = "/fixed/100", .core = 1});
	RIG_UNTIL(r, b->done);
	/* It takes what it is given, a window at a time. */
	c->down_held_max = 0;
	while (!a->done) {
		rig_release_all(r, 0);
		before = a->got;
		RIG_UNTIL(r, a->got > before || a->done);
	}
	assert_true(c->down_held_max <= WINDOW_BLOCKS + 1);
	assert_int_equal(a->got, 20000000);
	assert_false(a->bad);
	rig_release_all(r, 0);
	all_blocks_home(r);
}

static void slow_clients_leave_room(void **state)
{
	struct rig *r = *state;
	enum { N = 60 };
	struct ask *a[N];

	for (uint32_t i = 0; i < N; i++)
		a[i] = rig_ask(r, &(struct rig_req){
		                          .path = "/fixed/2000000", .hold = true, .core = i % 2});
	for (uint32_t i = 0; i < N; i++)
		RIG_UNTIL(r, a[i]->got > 0);
	for (int i = 0; i < 100; i++)
		rig_step(r);
	/* Together they want twice the slab; what is free bounds each of them. */
	struct ask *b = rig_ask(r, &(struct rig_req){.path = "/fixed/100"});
	RIG_UNTIL(r, b->done);
	assert_int_equal(b->got, 100);
	/* Nor do they take all: an eighth is for heads alone, of another no stream has two. */
	assert_true(chan_server_down_blocks_free(r->ctl.chan) > r->geo.down_blocks / 8);
	assert_int_equal(chan_down_is_short(&r->core[1].port),
	                 chan_server_down_blocks_free(r->ctl.chan) < r->geo.down_blocks / 4);
	for (uint32_t i = 0; i < N; i++)
		rig_cancel(r, i % 2, a[i]);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
	rig_release_all(r, 0);
	rig_release_all(r, 1);
	all_blocks_home(r);
}

static void full_ring(void **state)
{
	struct rig *r = *state;
	enum { N = 300 };
	struct ask *a[N];

	r->core[0].paused = true;
	for (uint32_t i = 0; i < N; i++) {
		if (i % 32 == 0) { /* up blocks come back through the paused ring */
			r->core[0].paused = false;
			for (int k = 0; k < 20; k++)
				rig_step(r);
			r->core[0].paused = true;
		}
		a[i] = rig_ask(r, &(struct rig_req){.path = "/store/40000", .key = "x"});
	}
	for (int i = 0; i < 100; i++)
		rig_step(r);
	r->core[0].paused = false;
	for (uint32_t i = 0; i < N; i++) {
		RIG_UNTIL(r, a[i]->done);
		assert_int_equal(a[i]->got, 40000);
		assert_false(a[i]->bad);
	}
	all_blocks_home(r);
}

struct up_case {
	uint64_t len;
	uint32_t piece;
	bool chunked;
};

static void upload_run(struct rig *r, const struct up_case *c)
{
	struct rig_req q = {
	        .method = "POST",
	        .path = "/echo",
	        .body_len = c->chunked ? UINT64_MAX : c->len,
	        .raw_body = true,
	        .core = c->chunked,
	};
	struct ask *a = rig_ask(r, &q);
	unsigned char data[16384];
	uint64_t sum = 0;
	char want[64];

	for (uint64_t at = 0; at < c->len;) {
		uint32_t n = (uint32_t)min_u64(c->piece, c->len - at);

		for (uint32_t i = 0; i < n; i++)
			data[i] = origin_byte(at + i);
		while (!rig_body(r, q.core, a, data, n, !c->chunked && at + n == c->len))
			rig_step(r);
		for (uint32_t i = 0; i < n; i++)
			sum = sum * 31 + data[i];
		at += n;
	}
	while (c->chunked && !rig_body(r, q.core, a, NULL, 0, true))
		rig_step(r);
	RIG_UNTIL(r, a->done);
	snprintf(want, sizeof(want), "%llu %llu", (unsigned long long)c->len,
	         (unsigned long long)sum);
	assert_string_equal(a->start, want);
	RIG_UNTIL(r, a->up_held == 0);
	a->used = false;
}

static void uploads(void **state)
{
	struct rig *r = *state;
	static const struct up_case cases[] = {
	        {1, 1, false},           {16384, 16384, false}, {100000, 7, false},
	        {8 << 20, 16384, false}, {1, 1, true},          {50000, 13, true},
	        {8 << 20, 16384, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		upload_run(r, &cases[i]);
	/* All over one kept connection. */
	assert_int_equal(origin_connections(r->origin), 1);
	all_blocks_home(r);
}

static void slow_origin(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {
	        .method = "PUT", .path = "/echo", .body_len = 16 << 20, .raw_body = true};
	struct ask *a = rig_ask(r, &q);
	static unsigned char data[16384];
	uint64_t sent = 0;
	uint64_t stalled_at = 0;

	origin_stall(r->origin, true);
	for (int idle = 0; idle < 200; idle++) {
		if (sent < q.body_len && rig_body(r, 0, a, data, sizeof(data), false)) {
			sent += sizeof(data);
			idle = 0;
		}
		rig_step(r);
	}
	stalled_at = sent;
	assert_true(stalled_at < q.body_len);
	assert_int_equal(a->up_held, WINDOW_BLOCKS);
	origin_stall(r->origin, false);
	while (sent < q.body_len) {
		if (rig_body(r, 0, a, data, sizeof(data), sent + sizeof(data) == q.body_len))
			sent += sizeof(data);
		else
			rig_step(r);
	}
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->head.status, 200);
	RIG_UNTIL(r, a->up_held == 0);
}

static void body_and_length_disagree(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {.method = "POST", .path = "/echo", .body_len = 10};
	struct ask *a = rig_ask(r, &q);

	assert_true(rig_body(r, 0, a, "0123456789abc", 13, true));
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->fail, 502);
	a = rig_ask(r, &q);
	assert_true(rig_body(r, 0, a, "0123", 4, true));
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->fail, 502);
	/* A body where none was announced. */
	a = rig_ask(r, &(struct rig_req){.path = "/slow"});
	assert_true(rig_body(r, 0, a, "0123", 4, true));
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->fail, 502);
	all_blocks_home(r);
}

static void early_answer(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {
	        .method = "POST", .path = "/early", .body_len = 1 << 20, .raw_body = true};
	struct ask *a = rig_ask(r, &q);
	static unsigned char data[16384];

	for (uint64_t sent = 0; sent < q.body_len && !a->done;) {
		if (rig_body(r, 0, a, data, sizeof(data), false))
			sent += sizeof(data);
		else
			rig_step(r);
	}
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->head.status, 413);
	assert_string_equal(a->start, "big");
	all_blocks_home(r);
}

static void cancel_in_the_middle(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/50000000", .hold = true});
	struct rig_req q = {.method = "POST", .path = "/echo", .body_len = 1 << 20, .core = 1};
	struct ask *b = rig_ask(r, &q);
	static unsigned char data[16384];

	origin_stall(r->origin, true);
	RIG_UNTIL(r, a->got > 100000);
	for (uint32_t i = 0; i < 40 && rig_body(r, 1, b, data, sizeof(data), false); i++)
		rig_step(r);
	rig_cancel(r, 0, a);
	rig_cancel(r, 1, b);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
	origin_stall(r->origin, false);
	rig_release_all(r, 0);
	all_blocks_home(r);
	struct upstream_row row;
	RIG_UNTIL(r, upstreams_row(r->ctl.upstreams, 0, &row) && row.open == 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	        T(long_download),
	        T(slow_client),
	        T(slow_clients_leave_room),
	        T(full_ring),
	        T(uploads),
	        T(slow_origin),
	        T(body_and_length_disagree),
	        T(early_answer),
	        T(cancel_in_the_middle),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
