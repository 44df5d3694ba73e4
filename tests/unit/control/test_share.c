/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Coalescing: which requests share an origin request, and what each of them gets. */
#include "rig.h"

#include "control/purge.h"

#define MANY 1000

static struct ask *ask_key(struct rig *r, uint32_t core, const char *path)
{
	return rig_ask(r, &(struct rig_req){.path = path, .key = path, .core = core});
}

static void wait_requests(struct rig *r, uint32_t n)
{
	RIG_UNTIL(r, rig_requests(r) >= n);
}

static void wait_active(struct rig *r, uint32_t n)
{
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == n);
}

/* path asked for MANY times over both cores while the origin waits. */
static void ask_many(struct rig *r, struct ask **a, const char *path, uint32_t n)
{
	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < n; i++)
		a[i] = ask_key(r, i % RIG_CORES, path);
	wait_active(r, n);
	wait_requests(r, 1);
	origin_gate(r->origin, true);
	for (uint32_t i = 0; i < n; i++)
		RIG_UNTIL(r, a[i]->done);
}

static void many_share_one(void **state)
{
	struct rig *r = *state;
	static const char *paths[] = {"/store/1000", "/storechunk/200000"};
	struct ask **a = calloc(MANY, sizeof(struct ask *));

	for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
		uint32_t before = rig_requests(r);
		uint32_t fills = 0;
		uint32_t shared = 0;

		ask_many(r, a, paths[p], MANY);
		for (uint32_t i = 0; i < MANY; i++) {
			assert_int_equal(a[i]->fail, 0);
			assert_int_equal(a[i]->got, p == 0 ? 1000 : 200000);
			assert_false(a[i]->bad);
			fills += a[i]->flags_fill;
			shared += a[i]->flags_shared;
			a[i]->used = false;
		}
		assert_int_equal(rig_requests(r) - before, 1);
		assert_int_equal(fills, RIG_CORES);
		assert_int_equal(shared, MANY - 1);
	}
	free(a);
}

static void not_for_sharing(void **state)
{
	struct rig *r = *state;
	enum { N = 40 };
	struct ask *a[N];
	/* Forbidden by the origin; and too long to be kept for others. */
	static const struct {
		const char *path;
		uint64_t len;
	} cases[] = {{"/nostore/500", 500}, {"/fixed/500", 500}, {"/store/1100000", 1100000}};

	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		uint32_t before = rig_requests(r);

		ask_many(r, a, cases[c].path, N);
		for (uint32_t i = 0; i < N; i++) {
			assert_int_equal(a[i]->got, cases[c].len);
			assert_false(a[i]->bad);
			assert_false(a[i]->flags_shared);
			a[i]->used = false;
		}
		assert_int_equal(rig_requests(r) - before, N);
	}
}

static void joins_in_the_middle(void **state)
{
	struct rig *r = *state;

	origin_stall(r->origin, true);
	struct ask *a = ask_key(r, 0, "/storehalf/400000");
	RIG_UNTIL(r, a->got == 200000);
	struct ask *b = ask_key(r, 1, "/storehalf/400000");
	RIG_UNTIL(r, b->got == 200000);
	assert_true(b->flags_shared);
	origin_stall(r->origin, false);
	RIG_UNTIL(r, a->done && b->done);
	assert_int_equal(a->got, 400000);
	assert_int_equal(b->got, 400000);
	assert_false(a->bad || b->bad);
	assert_int_equal(rig_requests(r), 1);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void first_one_leaves(void **state)
{
	struct rig *r = *state;
	struct ask *a;
	struct ask *b;

	origin_gate(r->origin, false);
	a = ask_key(r, 0, "/store/50");
	b = ask_key(r, 1, "/store/50");
	wait_active(r, 2);
	rig_cancel(r, 0, a);
	wait_active(r, 1);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, b->done);
	assert_int_equal(b->got, 50);
	assert_int_equal(rig_requests(r), 1);
	/* An answer that was made for the one who left is nobody else's. */
	origin_gate(r->origin, false);
	a = ask_key(r, 0, "/nostore/50");
	b = ask_key(r, 1, "/nostore/50");
	wait_active(r, 2);
	rig_cancel(r, 0, a);
	wait_requests(r, 2);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, b->done);
	assert_int_equal(b->got, 50);
	assert_int_equal(rig_requests(r), 3);
}

static void ignore_result(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	(void)bytes;
	(void)len;
	assert_int_equal(st, ST_OK);
	*(uint64_t *)arg = n;
}

static void not_across_a_purge(void **state)
{
	struct rig *r = *state;
	uint64_t purged = 0;

	origin_gate(r->origin, false);
	ask_key(r, 0, "/store/50");
	wait_active(r, 1);
	ask_key(r, 1, "/store/50");
	wait_active(r, 2);
	struct purge_order order = {.kind = INVAL_PATTERN, .text = SPAN_LIT("/sto*")};
	chan_server_purge(r->ctl.chan, &order, ignore_result, &purged);
	struct ask *c = ask_key(r, 1, "/store/50");
	wait_active(r, 3);
	wait_requests(r, 2);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, c->done && purged == 3 * RIG_CORES);
	assert_false(c->flags_shared);
	wait_active(r, 0);
	assert_int_equal(rig_requests(r), 2);
}

static void kept_apart(void **state)
{
	struct rig *r = *state;
	const struct rig_req reqs[] = {
	        {.path = "/store/9", .key = "k"},
	        {.path = "/store/9", .key = "k", .fields = "If-None-Match: \"x\"\r\n"},
	        {.path = "/store/9", .key = "k", .fields = "Range: bytes=0-1\r\n"},
	        {.path = "/store/9", .key = "k", .method = "HEAD"},
	        {.path = "/store/9", .key = "k2"},
	        {.path = "/store/9"},
	        {.path = "/store/9"},
	};

	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < ARRAY_LEN(reqs); i++)
		rig_ask(r, &reqs[i]);
	wait_requests(r, ARRAY_LEN(reqs));
	origin_gate(r->origin, true);
	wait_active(r, 0);
	assert_int_equal(rig_requests(r), ARRAY_LEN(reqs));
}

static void share_a_failure(void **state)
{
	struct rig *r = rig_new(", request_timeout_ms: 200");
	struct ask *a;
	struct ask *b;

	(void)state;
	rig_attach(r);
	a = ask_key(r, 0, "/slow");
	b = ask_key(r, 1, "/slow");
	RIG_UNTIL(r, a->done && b->done);
	assert_int_equal(a->fail, 504);
	assert_int_equal(b->fail, 504);
	assert_int_equal(rig_requests(r), 1);
	rig_free(r);
}

static uint64_t stored(struct rig *r)
{
	struct store_counts counts;

	store_counts(fetcher_store(r->ctl.fetcher), &counts);
	return counts.entries;
}

/* Everybody left in the middle: what may be stored and is nearly here comes to its end, the rest of
 * a longer one is not fetched. */
static void all_of_them_leave(void **state)
{
	const struct rig_options o = {"", ", cache: {range_fill_bytes: 5000}", 4u << 20};
	static const struct {
		const char *path;
		bool stored;
	} rows[] = {{"/storehalf/9000", true}, {"/storehalf/11000", false}};
	struct rig *r = rig_new_with(&o);
	struct fetcher_counts counts;

	(void)state;
	rig_attach(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t before = rig_requests(r);
		struct ask *a;

		origin_stall(r->origin, true);
		a = ask_key(r, 0, rows[i].path);
		RIG_UNTIL(r, a->got > 4000);
		rig_cancel(r, 0, a);
		wait_active(r, 0);
		origin_stall(r->origin, false);
		if (rows[i].stored)
			RIG_UNTIL(r, stored(r) == 1);
		a = ask_key(r, 1, rows[i].path);
		RIG_UNTIL(r, a->done);
		assert_int_equal(a->tier, rows[i].stored ? CHAN_F_STORE : 0);
		assert_int_equal(rig_requests(r), before + (rows[i].stored ? 1 : 2));
	}
	fetcher_counts(r->ctl.fetcher, &counts);
	assert_int_equal(counts.finished_alone, 1);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
	rig_free(r);
}

/* --- requests whose key is made of their body --- */

static struct ask *ask_body(struct rig *r, uint32_t core, uint64_t len)
{
	return rig_ask(r, &(struct rig_req){.method = "POST",
	                                    .path = "/echo",
	                                    .key = "k",
	                                    .core = core,
	                                    .body_len = len,
	                                    .raw_body = true});
}

/* What the origin tells: the body's length and sum. */
static void echoes(const struct ask *a, const char *body)
{
	char want[64];
	unsigned long long sum = 0;

	for (const char *at = body; *at != '\0'; at++)
		sum = sum * 31 + (unsigned char)*at;
	snprintf(want, sizeof(want), "%zu %llu", strlen(body), sum);
	assert_int_equal(a->fail, 0);
	assert_memory_equal(a->start, want, strlen(want));
}

static struct rig *keyed_rig(void)
{
	const struct rig_options o = {"",
	                              ", path: /echo, cache: {rule: r}}]\nrules: [{name: r, key: "
	                              "\"k:{body.a}\", ttl_s: 60",
	                              16 << 20};
	struct rig *r = rig_new_with(&o);

	rig_attach(r);
	origin_gate(r->origin, false);
	return r;
}

/* Of three that mean the same the first one's body reaches the origin, however their pieces come.
 */
static void bodies_share(void **state)
{
	struct rig *r = keyed_rig();
	struct ask *a[3];

	(void)state;
	a[0] = ask_body(r, 0, 6);
	assert_true(rig_body(r, 0, a[0], "abc", 3, false));
	a[1] = ask_body(r, 1, 5);
	assert_true(rig_body(r, 1, a[1], "xx", 2, false));
	a[2] = ask_body(r, 1, 4);
	assert_true(rig_body(r, 1, a[2], "yyyy", 4, true));
	wait_active(r, 3);
	assert_true(rig_body(r, 0, a[0], "def", 3, true));
	origin_gate(r->origin, true);
	for (uint32_t i = 0; i < 3; i++) {
		RIG_UNTIL(r, a[i]->done);
		echoes(a[i], "abcdef");
		assert_int_equal(a[i]->flags_shared, i > 0);
	}
	assert_int_equal(rig_requests(r), 1);
	wait_active(r, 0);
	rig_free(r);
}

/* The first one leaves before its body is whole: the others go on without it, one for both. */
static void bodies_outlive_the_first(void **state)
{
	struct rig *r = keyed_rig();
	struct ask *a[3];

	(void)state;
	a[0] = ask_body(r, 0, 6);
	assert_true(rig_body(r, 0, a[0], "abc", 3, false));
	a[1] = ask_body(r, 1, 5);
	assert_true(rig_body(r, 1, a[1], "xx", 2, false));
	a[2] = ask_body(r, 1, 4);
	assert_true(rig_body(r, 1, a[2], "yyyy", 4, true));
	wait_active(r, 3);
	rig_cancel(r, 0, a[0]);
	wait_active(r, 2);
	assert_true(rig_body(r, 1, a[1], "xxx", 3, true));
	origin_gate(r->origin, true);
	RIG_UNTIL(r, a[1]->done && a[2]->done);
	echoes(a[1], "xxxxx");
	echoes(a[2], "xxxxx");
	wait_active(r, 0);
	rig_free(r);
}

/* So does the second: the third one's body is as whole as it was. */
static void bodies_outlive_the_second(void **state)
{
	struct rig *r = keyed_rig();
	struct ask *a[3];

	(void)state;
	a[0] = ask_body(r, 0, 6);
	assert_true(rig_body(r, 0, a[0], "abc", 3, false));
	a[1] = ask_body(r, 1, 5);
	assert_true(rig_body(r, 1, a[1], "xx", 2, false));
	a[2] = ask_body(r, 1, 4);
	assert_true(rig_body(r, 1, a[2], "yyyy", 4, true));
	wait_active(r, 3);
	rig_cancel(r, 0, a[0]);
	wait_active(r, 2);
	rig_cancel(r, 1, a[1]);
	wait_active(r, 1);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, a[2]->done);
	echoes(a[2], "yyyy");
	wait_active(r, 0);
	rig_free(r);
}

/* More than was said is refused, and harms nobody else. */
static void bodies_too_long(void **state)
{
	struct rig *r = keyed_rig();
	struct ask *a = ask_body(r, 0, 6), *b;

	(void)state;
	b = ask_body(r, 1, 2);
	wait_active(r, 2);
	assert_true(rig_body(r, 1, b, "xxxx", 4, true));
	RIG_UNTIL(r, b->done);
	assert_int_equal(b->fail, 502);
	assert_true(rig_body(r, 0, a, "abcdef", 6, true));
	origin_gate(r->origin, true);
	RIG_UNTIL(r, a->done);
	echoes(a, "abcdef");
	rig_free(r);
}

/* --- the same answer in several codings --- */

static struct rig *coding_rig(void)
{
	const struct rig_options o = {"", ", compress: {encodings: [br, gzip]}", 16 << 20};
	struct rig *r = rig_new_with(&o);

	rig_attach(r);
	return r;
}

static struct ask *ask_coding(struct rig *r, uint32_t core, const char *path, const char *coding)
{
	char fields[64];

	snprintf(fields, sizeof(fields), "Accept-Encoding: %s\r\n", coding);
	return rig_ask(r, &(struct rig_req){.path = path,
	                                    .key = path,
	                                    .core = core,
	                                    .fields = fields,
	                                    .raw_body = true});
}

/* For whom something is compressed out of the store leaves; who waits for that goes on. */
static void parked_outlive_the_first(void **state)
{
	struct rig *r = coding_rig();
	struct fetcher_counts counts;
	struct ask *a;
	struct ask *b;

	(void)state;
	a = ask_coding(r, 0, "/store/4000000", "identity");
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->got, 4000000);
	a = ask_coding(r, 0, "/store/4000000", "gzip");
	wait_active(r, 1);
	b = ask_coding(r, 1, "/store/4000000", "gzip");
	wait_active(r, 2);
	fetcher_counts(r->ctl.fetcher, &counts);
	assert_int_equal(counts.coded_parked, 1);
	assert_false(a->done || b->done);
	rig_cancel(r, 0, a);
	RIG_UNTIL(r, b->done);
	assert_int_equal(b->fail, 0);
	assert_false(b->aborted);
	assert_non_null(strstr(b->fields, "Content-Encoding: gzip"));
	wait_active(r, 0);
	rig_free(r);
}

/* The origin fails, and of the answer only a stale form in one coding is left. */
static void stale_form_for_its_coding(void **state)
{
	static const char *path = "/cc/20000/max-age=0+stale-if-error=60";
	static const char *codings[] = {"gzip", "br", "identity"};
	struct rig *r = coding_rig();
	struct purge_order base = {.kind = INVAL_KEY};
	struct ask *a[3];

	(void)state;
	a[0] = ask_coding(r, 0, path, "gzip");
	RIG_UNTIL(r, a[0]->done);
	assert_non_null(strstr(a[0]->fields, "Content-Encoding: gzip"));
	a[1] = ask_coding(r, 0, path, "identity");
	RIG_UNTIL(r, a[1]->done);
	assert_null(strstr(a[1]->fields, "Content-Encoding"));
	base.text = span_cstr(a[1]->key);
	chan_server_purge(r->ctl.chan, &base, NULL, NULL);
	origin_fail(r->origin, 500);
	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < 3; i++)
		a[i] = ask_coding(r, 0, path, codings[i]);
	wait_active(r, 3);
	origin_gate(r->origin, true);
	for (uint32_t i = 0; i < 3; i++)
		RIG_UNTIL(r, a[i]->done);
	assert_int_equal(a[0]->tier, CHAN_F_STORE);
	assert_non_null(strstr(a[0]->fields, "Content-Encoding: gzip"));
	for (uint32_t i = 1; i < 3; i++) {
		assert_int_equal(a[i]->tier, 0);
		assert_null(strstr(a[i]->fields, "Content-Encoding"));
	}
	wait_active(r, 0);
	rig_free(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	        T(many_share_one),
	        T(not_for_sharing),
	        T(joins_in_the_middle),
	        T(first_one_leaves),
	        cmocka_unit_test(all_of_them_leave),
	        T(not_across_a_purge),
	        T(kept_apart),
	        cmocka_unit_test(share_a_failure),
	        cmocka_unit_test(bodies_share),
	        cmocka_unit_test(bodies_outlive_the_first),
	        cmocka_unit_test(bodies_outlive_the_second),
	        cmocka_unit_test(bodies_too_long),
	        cmocka_unit_test(parked_outlive_the_first),
	        cmocka_unit_test(stale_form_for_its_coding),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
