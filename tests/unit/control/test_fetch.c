/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests from a core to a real socket and back. */
#include "rig.h"

#include "control/pattern.h"

static struct ask *get(struct rig *r, const char *path)
{
	struct ask *a = rig_ask(r, &(struct rig_req){.path = path});

	RIG_UNTIL(r, a->done);
	return a;
}

static struct upstream_row row(struct rig *r)
{
	struct upstream_row out;

	assert_true(upstreams_row(r->ctl.upstreams, 0, &out));
	return out;
}

static void miss(void **state)
{
	struct rig *r = *state;
	struct ask *a = get(r, "/fixed/100");

	assert_int_equal(a->fail, 0);
	assert_int_equal(a->head.status, 200);
	assert_int_equal(a->head.body_len, 100);
	assert_int_equal(a->got, 100);
	assert_false(a->bad);
	assert_int_equal(a->bodies, 1);
	assert_int_equal(a->head.flags & (OBJECT_STORABLE | OBJECT_CHUNKED | OBJECT_NO_BODY), 0);
	assert_non_null(strstr(a->fields, "Content-Type: text/plain\r\n"));
	assert_non_null(strstr(a->fields, "Via: 1.1 testnode\r\n"));
	assert_non_null(strstr(a->fields, "Date: "));
	assert_null(strstr(a->fields, "Content-Length"));
	assert_false(a->flags_reused);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
}

static void connection_is_reused(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 200; i++) {
		struct ask *a = get(r, i % 2 ? "/fixed/10" : "/chunked/3000/700");

		assert_int_equal(a->head.status, 200);
		assert_false(a->bad);
		assert_int_equal(a->flags_reused, i > 0);
		a->used = false;
	}
	assert_int_equal(origin_connections(r->origin), 1);
	assert_int_equal(row(r).requests, 200);
	assert_int_equal(row(r).reused, 199);
	assert_int_equal(row(r).idle, 1);
}

struct body_case {
	const char *path;
	uint64_t len;
	uint64_t body_len;
	uint16_t flags;
};

static void bodies(void **state)
{
	struct rig *r = *state;
	static const struct body_case cases[] = {
	        {"/fixed/0", 0, 0, 0},
	        {"/fixed/1", 1, 1, 0},
	        {"/fixed/16384", 16384, 16384, 0},
	        {"/fixed/70000", 70000, 70000, 0},
	        {"/chunked/0/10", 0, UINT64_MAX, OBJECT_CHUNKED},
	        {"/chunked/1/1", 1, UINT64_MAX, OBJECT_CHUNKED},
	        {"/chunked/5000/1", 5000, UINT64_MAX, OBJECT_CHUNKED},
	        {"/chunked/100000/511", 100000, UINT64_MAX, OBJECT_CHUNKED},
	        {"/chunked/100000/512", 100000, UINT64_MAX, OBJECT_CHUNKED},
	        {"/chunked/300000/65536", 300000, UINT64_MAX, OBJECT_CHUNKED},
	        {"/closed/0", 0, UINT64_MAX, OBJECT_CHUNKED},
	        {"/closed/50000", 50000, UINT64_MAX, OBJECT_CHUNKED},
	        {"/bytewise/300", 300, 300, 0},
	        {"/interim", 10, 10, 0},
	        {"/surplus", 5, 5, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct body_case *c = &cases[i];
		struct ask *a = get(r, c->path);

		assert_int_equal(a->fail, 0);
		/* 103 is passed on, 100 is not. */
		assert_int_equal(a->interims, strcmp(c->path, "/interim") == 0);
		assert_int_equal(a->head.status, 200);
		assert_int_equal(a->got, c->len);
		assert_int_equal(a->head.body_len, c->body_len);
		assert_int_equal(a->head.flags, c->flags);
		assert_false(a->bad);
		assert_false(a->aborted);
		assert_null(strstr(a->fields, "X-Hop"));
		assert_null(strstr(a->fields, "Transfer-Encoding"));
	}
	/* Nothing is left lying in the slab. */
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void tiny_chunks_travel_together(void **state)
{
	struct rig *r = *state;
	struct ask *a = get(r, "/chunked/5000/1");

	assert_int_equal(a->got, 5000);
	assert_true(a->bodies < 1000);
}

static void no_body(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.method = "HEAD", .path = "/fixed/100"});

	RIG_UNTIL(r, a->done);
	assert_int_equal(a->head.body_len, 100);
	assert_int_equal(a->head.flags, OBJECT_NO_BODY);
	assert_int_equal(a->bodies, 0);
	static const unsigned statuses[] = {204, 304, 500};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/status/%u", statuses[i]);
		a = get(r, path);
		assert_int_equal(a->head.status, statuses[i]);
		assert_int_equal(a->got, 0);
		assert_int_equal((a->head.flags & OBJECT_NO_BODY) != 0, statuses[i] < 500);
		assert_memory_equal(a->fields + a->head.etag_off, "\"e1\"", 4);
		assert_int_equal(a->head.etag_len, 4);
	}
	assert_int_equal(origin_connections(r->origin), 1);
}

static void storable(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {.path = "/store/100", .key = "example.org/store/100"};
	struct ask *a = rig_ask(r, &q);

	RIG_UNTIL(r, a->done);
	assert_true(a->head.flags & OBJECT_STORABLE);
	assert_true(a->flags_fill);
	assert_false(a->flags_shared);
	assert_int_equal(a->head.key_len, strlen(q.key));
	assert_int_equal(a->head.hash.lo, hash128(q.key, strlen(q.key), 1).lo);
	uint64_t life_ms = a->head.expires_ms - a->head.response_ms;
	assert_int_equal(life_ms, 60000);
	/* Without a key it may not be stored, whatever the origin says. */
	a = get(r, "/store/100");
	assert_false(a->head.flags & OBJECT_STORABLE);
	assert_false(a->flags_fill);
}

static void request_head(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {
	        .path = "/heads",
	        .raw_body = true,
	        .fields = "Accept: text/*\r\nX-Forwarded-For: 203.0.113.5\r\n"
	                  "X-Forwarded-Proto: https\r\nContent-Length: 5\r\nTE: trailers\r\n"
	                  "Host: evil\r\nExpect: 100-continue\r\n",
	};
	struct ask *a = rig_ask(r, &q);

	RIG_UNTIL(r, a->done);
	static const char want[] = "GET /heads HTTP/1.1\r\nHost: example.org\r\nAccept: text/*\r\n"
	                           "Via: 1.1 testnode\r\n"
	                           "X-Forwarded-For: 203.0.113.5, 192.0.2.9\r\n"
	                           "X-Forwarded-Proto: http\r\nX-Request-Id: ";
	assert_memory_equal(a->start, want, sizeof(want) - 1);
	assert_int_equal(strlen(a->start), sizeof(want) - 1 + 32 + 4);
	q.fields = "X-Request-Id: abc\r\n";
	q.method = "POST";
	a = rig_ask(r, &q);
	RIG_UNTIL(r, a->done);
	assert_non_null(strstr(a->start, "X-Request-Id: abc\r\n"));
	assert_non_null(strstr(a->start, "\r\nContent-Length: 0\r\n\r\n"));
}

struct fail_case {
	const char *path;
	uint16_t fail;
};

static void bad_answers(void **state)
{
	struct rig *r = *state;
	static const struct fail_case cases[] = {
	        {"/garbage", 502},
	        {"/bighead/9000", 502},
	        {"/upgrade", 502},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ask *a = get(r, cases[i].path);

		assert_int_equal(a->fail, cases[i].fail);
		assert_int_equal(a->heads, 0);
	}
	/* The next one works. */
	assert_int_equal(get(r, "/bighead/7000")->head.status, 200);
	assert_int_equal(get(r, "/fixed/7")->got, 7);
}

static void cut_short(void **state)
{
	struct rig *r = *state;
	struct ask *a = get(r, "/cut/100000");

	assert_int_equal(a->fail, 0);
	assert_int_equal(a->got, 50000);
	assert_true(a->aborted);
	assert_false(a->bad);
}

static void stale_connection_is_tried_once_more(void **state)
{
	struct rig *r = *state;

	get(r, "/fixed/1");
	struct ask *a = get(r, "/drop");
	assert_int_equal(a->fail, 0);
	assert_int_equal(a->got, 5);
	assert_int_equal(row(r).retries, 1);
	assert_int_equal(origin_connections(r->origin), 2);
	/* Not what a second time does twice. */
	get(r, "/fixed/1");
	a = rig_ask(r, &(struct rig_req){.method = "POST", .path = "/drop"});
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->fail, 502);
	assert_int_equal(row(r).retries, 1);
}

static void idle_close_is_seen(void **state)
{
	struct rig *r = *state;

	for (uint32_t i = 1; i <= 5; i++) {
		assert_int_equal(get(r, "/bye/10")->got, 10);
		RIG_UNTIL(r, row(r).open == 0);
		assert_int_equal(origin_connections(r->origin), i);
	}
	assert_int_equal(row(r).retries, 0);
}

static void idle_connections_end(void **state)
{
	static const char *keys[] = {", idle_timeout_ms: 1000", ", lifetime_ms: 1000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct rig *r = rig_new(keys[i]);

		rig_attach(r);
		assert_int_equal(get(r, "/fixed/10")->got, 10);
		assert_int_equal(row(r).idle, 1);
		RIG_UNTIL(r, row(r).open == 0);
		assert_int_equal(get(r, "/fixed/10")->got, 10);
		assert_int_equal(origin_connections(r->origin), 2);
		rig_free(r);
	}
}

static void reload_note(void *arg, enum status st, const char *text)
{
	(void)text;
	assert_int_equal(st, ST_OK);
	*(bool *)arg = true;
}

/* The first address refuses: the second is asked, and the first only now and then. */
static void next_address(void **state)
{
	struct rig *r = *state;
	FILE *f = fopen(r->conf, "w");
	bool done = false;
	struct upstream_row first;
	struct upstream_row second;

	assert_non_null(f);
	fprintf(f,
	        "listeners: [{address: 192.0.2.1}]\nports: [{type: tap, interface: t0}]\n"
	        "upstreams: [{name: o, addresses: [\"127.0.0.1:1\", \"127.0.0.1:%u\"]}]\n"
	        "routes: [{upstream: o}]\n",
	        origin_port(r->origin));
	fclose(f);
	control_reload(&r->ctl, reload_note, &done);
	RIG_UNTIL(r, done);
	for (int i = 0; i < 20; i++)
		assert_int_equal(get(r, "/fixed/10")->got, 10);
	assert_true(upstreams_row(r->ctl.upstreams, 0, &first));
	assert_true(upstreams_row(r->ctl.upstreams, 1, &second));
	assert_false(upstreams_row(r->ctl.upstreams, 2, &second));
	assert_true(first.connect_errors >= 1 && first.connect_errors <= 3);
	assert_int_equal(first.requests, 0);
	assert_int_equal(second.requests, 20);
}

static void cancel(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/slow"});

	RIG_UNTIL(r, rig_requests(r) == 1);
	rig_cancel(r, 0, a);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
	RIG_UNTIL(r, row(r).open == 0);
	assert_false(a->done);
	assert_int_equal(a->up_held, 0);
	assert_int_equal(get(r, "/fixed/3")->got, 3);
}

static void unknown_configuration(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {.path = "/fixed/3", .snapshot_id = 12345};
	struct ask *a = rig_ask(r, &q);
	struct fetcher_counts counts;

	/* Its indices may mean another origin; the dataplane is told of the tables in force. */
	RIG_UNTIL(r, a->done && r->snapshots == 1);
	assert_int_equal(a->fail, 503);
	a = rig_ask(r, &q);
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->fail, 503);
	assert_int_equal(origin_requests(r->origin), 0);
	assert_int_equal(r->snapshots, 1);
	fetcher_counts(r->ctl.fetcher, &counts);
	assert_int_equal(counts.plan_unknown, 2);
}

/* RFC 9111 4.4 */
static void writes_make_void(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		bool purges;
	} rows[] = {
	        {"DELETE", "/status/204", true}, {"PUT", "/fixed/3", true},
	        {"POST", "/status/302", true},   {"PATCH", "/chunked/30/10", true},
	        {"POST", "/status/404", false},  {"PUT", "/status/500", false},
	        {"GET", "/fixed/3", false},      {"OPTIONS", "/fixed/3", false},
	};
	struct rig *r = *state;
	uint32_t purges = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_req q = {.method = rows[i].method, .path = rows[i].path, .key = "h/k"};
		struct ask *a = rig_ask(r, &q);

		purges += rows[i].purges;
		RIG_UNTIL(r, a->done && r->core[0].purges == purges && r->core[1].purges == purges);
		assert_int_equal(a->fail, 0);
		if (!rows[i].purges)
			continue;
		for (int c = 0; c < 2; c++) {
			assert_int_equal(r->core[c].last_query.type, CHAN_PURGE);
			assert_int_equal(r->core[c].last_query.ticket.seq, 0);
			assert_int_equal(r->core[c].last_query.len, 3);
		}
	}
	assert_int_equal(r->foreign, 0);
}

static void reset_is_no_end(void **state)
{
	struct rig *r = *state;
	struct ask *a = get(r, "/closedcut/5000");

	assert_int_equal(a->head.status, 200);
	assert_true(a->aborted);
}

static void timeouts(void **state)
{
	struct rig *r = rig_new(", request_timeout_ms: 100");

	(void)state;
	rig_attach(r);
	struct ask *a = get(r, "/slow");
	assert_int_equal(a->fail, 504);
	assert_int_equal(row(r).timeouts, 1);
	assert_int_equal(get(r, "/fixed/3")->got, 3);
	rig_free(r);
}

static void refused(void **state)
{
	struct rig *r = rig_new("");

	(void)state;
	rig_attach(r);
	struct origin *o = r->origin;
	r->origin = origin_start();
	origin_stop(o);
	struct ask *a = get(r, "/fixed/3");
	assert_int_equal(a->fail, 502);
	assert_int_equal(row(r).connect_errors, 1);
	assert_int_equal(row(r).open, 0);
	rig_free(r);
}

static void queue_is_bounded(void **state)
{
	struct rig *r = rig_new(", max_connections: 2, max_idle: 2, queue: 3");
	struct ask *a[6];

	(void)state;
	rig_attach(r);
	origin_gate(r->origin, false);
	for (int i = 0; i < 6; i++)
		a[i] = rig_ask(r, &(struct rig_req){.path = "/fixed/9"});
	RIG_UNTIL(r, a[5]->done);
	assert_int_equal(a[5]->fail, 503);
	assert_int_equal(row(r).waiting, 3);
	origin_gate(r->origin, true);
	for (int i = 0; i < 5; i++) {
		RIG_UNTIL(r, a[i]->done);
		assert_int_equal(a[i]->got, 9);
	}
	assert_int_equal(origin_connections(r->origin), 2);
	rig_free(r);
}

/* What is shared by a pattern is compared with answers to GET alone. */
static void pattern_checks_get(void **state)
{
	const struct rig_options o = {"",
	                              ", path: \"/fixed/{n}\", methods: [GET, HEAD], "
	                              "cache: {rule: p}}]\nrules: [{name: p, match: pattern, "
	                              "reads: [query.page], check_one_in: 1, ttl_s: 60",
	                              16 << 20};
	static const struct {
		const char *method;
		const char *key;
		uint32_t requests; /* of the origin, with the checks */
		uint32_t same;     /* checks */
	} rows[] = {{"GET", "a", 1, 0}, {"HEAD", "b", 1, 0}, {"GET", "c", 2, 1}};
	struct rig *r = rig_new_with(&o);
	struct pattern_state p;

	(void)state;
	rig_attach(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ask *a = rig_ask(r, &(struct rig_req){.method = rows[i].method,
		                                             .path = "/fixed/500",
		                                             .key = rows[i].key});

		RIG_UNTIL(r, a->done);
		assert_int_equal(a->tier, i == 0 ? 0 : CHAN_F_STORE);
		RIG_UNTIL(r, (pattern_state(r->ctl.fetcher, "p", &p),
		              p.checks[PATTERN_SAME] == rows[i].same));
		assert_int_equal(p.store_hits, i);
		assert_int_equal(rig_requests(r), rows[i].requests);
	}
	rig_free(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	        T(miss),
	        T(connection_is_reused),
	        T(bodies),
	        T(tiny_chunks_travel_together),
	        T(no_body),
	        T(storable),
	        T(request_head),
	        T(bad_answers),
	        T(cut_short),
	        T(stale_connection_is_tried_once_more),
	        T(idle_close_is_seen),
	        T(next_address),
	        T(cancel),
	        T(unknown_configuration),
	        T(writes_make_void),
	        T(reset_is_no_end),
	        cmocka_unit_test(idle_connections_end),
	        cmocka_unit_test(timeouts),
	        cmocka_unit_test(refused),
	        cmocka_unit_test(queue_is_bounded),
	        cmocka_unit_test(pattern_checks_get),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
