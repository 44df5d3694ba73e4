/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where answers come from: the node's store, a 304, a stale answer, the origin; and what the cores
 * are told besides. */
#include "rig.h"

#include "lib/hash.h"

static struct fetcher_counts counts_of(struct rig *r)
{
	struct fetcher_counts c;

	fetcher_counts(r->ctl.fetcher, &c);
	return c;
}

/* Asks under the path as the key, and waits for the answer. */
static struct ask *get(struct rig *r, uint32_t core, const char *path)
{
	struct ask *a = rig_ask(r, &(struct rig_req){.path = path, .key = path, .core = core});

	RIG_UNTIL(r, a->done);
	return a;
}

static struct ask *get_lang(struct rig *r, uint32_t core, const char *path, const char *lang)
{
	char fields[64];

	snprintf(fields, sizeof(fields), "Accept-Language: %s\r\n", lang);
	return rig_ask(
	        r, &(struct rig_req){.path = path, .key = path, .core = core, .fields = fields});
}

static void whole(const struct ask *a, uint64_t len)
{
	assert_int_equal(a->fail, 0);
	assert_int_equal(a->got, len);
	assert_false(a->bad);
	assert_false(a->aborted);
}

static void quiet(struct rig *r)
{
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void answers_from_the_store(void **state)
{
	static const struct {
		const char *path;
		uint64_t len;
	} rows[] = {
	        {"/store/0", 0},
	        {"/store/1", 1},
	        {"/store/16000", 16000},
	        {"/store/16384", 16384},
	        {"/storechunk/100000", 100000},
	        {"/store/3000000", 3000000},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hash128 h = hash128(rows[i].path, strlen(rows[i].path), RIG_SEED);
		uint32_t before = rig_requests(r);

		struct ask *a = get(r, 0, rows[i].path);
		whole(a, rows[i].len);
		assert_int_equal(a->tier, 0);
		assert_int_equal(rig_requests(r), before + 1);
		for (uint32_t core = 0; core < RIG_CORES; core++) {
			a = get(r, core, rows[i].path);
			whole(a, rows[i].len);
			assert_int_equal(a->tier, CHAN_F_STORE);
			assert_int_equal(a->code, 0);
			assert_true(a->flags_fill);
			assert_true(hash128_eq(a->head.hash, h));
			assert_int_equal(a->head.body_len, rows[i].len);
			assert_int_equal(a->head.flags & OBJECT_CHUNKED, 0);
		}
		/* HEAD is answered by the head of GET. */
		a = rig_ask(r, &(struct rig_req){.method = "HEAD",
		                                 .path = rows[i].path,
		                                 .key = rows[i].path,
		                                 .no_store = true});
		RIG_UNTIL(r, a->done);
		assert_int_equal(a->got, 0);
		assert_int_equal(a->head.body_len, rows[i].len);
		assert_int_equal(rig_requests(r), before + 1);
	}
	assert_int_equal(counts_of(r).store_hits, 3 * ARRAY_LEN(rows));
	quiet(r);
}

static void not_from_the_store(void **state)
{
	static const struct rig_req rows[] = {
	        {.path = "/store/10", .key = "k", .method = "POST", .no_store = true},
	        {.path = "/store/10", .key = "k2"},
	        {.path = "/store/10"},
	        {.path = "/store/10", .key = "k", .fields = "Cache-Control: no-cache\r\n"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ask *a = rig_ask(r, &(struct rig_req){.path = "/store/10", .key = "k"});

		RIG_UNTIL(r, a->done);
		uint32_t before = rig_requests(r);
		a = rig_ask(r, &rows[i]);
		RIG_UNTIL(r, a->done);
		assert_int_equal(rig_requests(r), before + 1);
	}
}

/* A body longer than the window goes in runs, as the core gives blocks back. */
static void long_bodies_wait_for_their_reader(void **state)
{
	struct rig *r = *state;
	uint32_t window = 262144 / r->geo.down_block_bytes;

	whole(get(r, 0, "/store/3000000"), 3000000);
	quiet(r);
	r->core[0].down_held_max = 0;
	struct ask *a = rig_ask(
	        r,
	        &(struct rig_req){.path = "/store/3000000", .key = "/store/3000000", .hold = true});
	RIG_UNTIL(r, a->heads == 1 && r->core[0].down_held >= window);
	for (uint32_t i = 0; i < 50; i++)
		rig_step(r);
	assert_in_range(r->core[0].down_held_max, window, window + 2);
	/* Another is not held up by it. */
	whole(get(r, 1, "/store/3000000"), 3000000);
	assert_false(a->done);
	uint64_t end_ns = clock_mono_ns() + RIG_DEADLINE;
	while (!a->done && clock_mono_ns() < end_ns) {
		rig_release_all(r, 0);
		rig_step(r);
	}
	assert_true(a->done);
	whole(a, 3000000);
	assert_in_range(r->core[0].down_held_max, window, window + 2);
	rig_release_all(r, 0);
	quiet(r);
}

static void waits_for_blocks(void **state)
{
	enum { N = 700 }; /* more than there are blocks */
	struct rig *r = *state;
	struct ask **a = calloc(N, sizeof(struct ask *));
	uint32_t heads = 0;

	whole(get(r, 0, "/store/20000"), 20000);
	quiet(r);
	for (uint32_t i = 0; i < N; i++)
		a[i] = rig_ask(r, &(struct rig_req){.path = "/store/20000",
		                                    .key = "/store/20000",
		                                    .hold = true});
	RIG_UNTIL(r, counts_of(r).store_waited > 0);
	for (uint64_t end_ns = clock_mono_ns() + RIG_DEADLINE;
	     heads < N && clock_mono_ns() < end_ns;) {
		rig_release_all(r, 0);
		rig_step(r);
		heads = 0;
		for (uint32_t i = 0; i < N; i++)
			heads += a[i]->done;
	}
	for (uint32_t i = 0; i < N; i++)
		whole(a[i], 20000);
	assert_int_equal(rig_requests(r), 1);
	rig_release_all(r, 0);
	free(a);
	quiet(r);
}

static void a_304_freshens(void **state)
{
	struct rig *r = *state;

	struct ask *a = get(r, 0, "/cc/5000/max-age=0");
	whole(a, 5000);
	assert_false(a->flags_fill);
	for (uint32_t i = 0; i < 3; i++) {
		a = get(r, i % RIG_CORES, "/cc/5000/max-age=0");
		whole(a, 5000);
		assert_int_equal(a->code, 304);
		assert_int_equal(a->head.status, 200);
		assert_int_equal(a->tier, CHAN_F_STORE);
		assert_int_equal(origin_validations(r->origin), i + 1);
		assert_int_equal(rig_requests(r), i + 2);
	}
	/* The client wants it validated, and it is. */
	get(r, 0, "/cc/7/max-age=60");
	a = rig_ask(r, &(struct rig_req){.path = "/cc/7/max-age=60",
	                                 .key = "/cc/7/max-age=60",
	                                 .alone = true,
	                                 .fields = "Cache-Control: no-cache\r\n"});
	RIG_UNTIL(r, a->done);
	whole(a, 7);
	assert_int_equal(a->code, 304);
	assert_true(a->flags_fill);
	/* The connection could be used again each time. */
	assert_int_equal(origin_connections(r->origin), 1);
	assert_int_equal(counts_of(r).validated, 4);
	quiet(r);
}

static void a_304_for_all_who_wait(void **state)
{
	enum { N = 60 };
	static const struct {
		const char *path;
		uint64_t len;
	} rows[] = {{"/cc/300/max-age=0+stale-if-error=9", 300},
	            {"/cc/2000000/max-age=0+stale-if-error=9", 2000000}};
	struct rig *r = *state;
	struct ask *a[N];

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		whole(get(r, 0, rows[k].path), rows[k].len);
		uint32_t before = rig_requests(r);
		origin_gate(r->origin, false);
		for (uint32_t i = 0; i < N; i++)
			a[i] = rig_ask(r, &(struct rig_req){.path = rows[k].path,
			                                    .key = rows[k].path,
			                                    .core = i % RIG_CORES});
		RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == N);
		origin_gate(r->origin, true);
		for (uint32_t i = 0; i < N; i++) {
			RIG_UNTIL(r, a[i]->done);
			whole(a[i], rows[k].len);
			assert_int_equal(a[i]->code, 304);
			a[i]->used = false;
		}
		assert_int_equal(rig_requests(r), before + 1);
	}
	quiet(r);
}

/* RFC 9111 4.3.5. An answer to HEAD that says the same makes it fresh, another makes it void. */
static void head_requests_update(void **state)
{
	struct rig *r = *state;
	struct rig_req head = {.method = "HEAD",
	                       .path = "/cc/90/max-age=60",
	                       .key = "k",
	                       .no_store = true,
	                       .fields = "Cache-Control: no-cache\r\n"};
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/cc/90/max-age=0", .key = "k"});

	RIG_UNTIL(r, a->done);
	whole(a, 90);
	a = rig_ask(r, &head);
	RIG_UNTIL(r, a->done);
	assert_int_equal(counts_of(r).head_freshened, 1);
	RIG_UNTIL(r, r->core[0].purges == 1 && r->core[1].purges == 1);
	a = rig_ask(r, &(struct rig_req){.path = "/cc/90/max-age=0", .key = "k"});
	RIG_UNTIL(r, a->done);
	whole(a, 90);
	assert_int_equal(a->tier, CHAN_F_STORE);
	assert_int_equal(a->code, 0);
	assert_int_equal(rig_requests(r), 2);
	head.path = "/cc/91/max-age=60"; /* another length */
	a = rig_ask(r, &head);
	RIG_UNTIL(r, a->done && r->core[0].purges == 2);
	a = rig_ask(r, &(struct rig_req){.path = "/cc/90/max-age=60", .key = "k"});
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->tier, 0);
	quiet(r);
}

static void a_304_that_fits_nothing(void **state)
{
	struct rig *r = *state;

	whole(get(r, 0, "/odd/600"), 600);
	struct ask *a = get(r, 0, "/odd/600");
	whole(a, 600);
	assert_int_equal(a->code, 0);
	assert_int_equal(a->tier, 0);
	assert_int_equal(rig_requests(r), 3);
	assert_int_equal(counts_of(r).validations_bad, 1);
	quiet(r);
}

static void stale_when_the_origin_fails(void **state)
{
	static const struct {
		unsigned fail; /* 1: connection closed */
		uint16_t code;
	} rows[] = {{500, 500}, {502, 502}, {503, 503}, {504, 504}, {1, 502}};
	const char *yes = "/cc/800/max-age=0+stale-if-error=60";
	const char *no = "/cc/800/max-age=0+must-revalidate+stale-if-error=60";
	struct rig *r = *state;

	whole(get(r, 0, yes), 800);
	whole(get(r, 0, no), 800);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		origin_fail(r->origin, rows[i].fail);
		struct ask *a = get(r, 1, yes);
		whole(a, 800);
		assert_int_equal(a->code, rows[i].code);
		assert_int_equal(a->head.status, 200);
		assert_false(a->flags_fill);
		a = get(r, 1, no);
		assert_int_equal(rows[i].fail == 1 ? a->fail : a->head.status,
		                 rows[i].fail == 1 ? 504 : rows[i].code);
		assert_int_equal(a->code, rows[i].fail == 1 ? a->code : 0);
	}
	/* No failure: the origin's word counts. */
	origin_fail(r->origin, 404);
	assert_int_equal(get(r, 1, yes)->head.status, 404);
	assert_int_equal(counts_of(r).stale_errors, ARRAY_LEN(rows));
	quiet(r);
}

static void refreshes_behind(void **state)
{
	const char *path = "/cc/400/max-age=0+stale-while-revalidate=60";
	const struct rig_req refresh = {.path = path, .key = path, .refresh = true};
	struct rig *r = *state;

	whole(get(r, 0, path), 400);
	uint32_t purges = r->core[1].purges;
	rig_ask(r, &refresh);
	RIG_UNTIL(r, r->core[0].purges > purges && r->core[1].purges > purges);
	assert_int_equal(rig_requests(r), 2);
	assert_int_equal(origin_validations(r->origin), 1);
	assert_string_equal(r->core[1].purge_text, path);
	assert_int_equal(r->core[1].last_purge.ticket.seq, 0);
	assert_int_equal(r->core[1].last_purge.code, INVAL_KEY);
	/* What the store has now is spared by that purge, and stale answers are used meanwhile. */
	uint64_t n = r->core[1].last_purge.n;
	struct ask *a = get(r, 1, path);
	whole(a, 400);
	assert_int_equal(a->tier, CHAN_F_STORE);
	assert_int_equal(a->code, 0);
	assert_true(a->head.born_seq >= n);
	/* That stale answer came from the store: it was fetched anew behind it. */
	RIG_UNTIL(r, counts_of(r).refreshes == 2 && counts_of(r).validated == 2);
	/* Fails: what there is stays. */
	origin_fail(r->origin, 500);
	rig_ask(r, &refresh);
	RIG_UNTIL(r, counts_of(r).refresh_failed == 1);
	origin_fail(r->origin, 0);
	whole(get(r, 0, path), 400);
	/* Fresh here: the cores' copies go, and the origin is not asked. */
	whole(get(r, 0, "/store/40"), 40);
	RIG_UNTIL(r, counts_of(r).validated == 3);
	uint32_t before = rig_requests(r);
	rig_ask(r, &(struct rig_req){.path = "/store/40", .key = "/store/40", .refresh = true});
	RIG_UNTIL(r, strcmp(r->core[0].purge_text, "/store/40") == 0);
	a = get(r, 0, "/store/40");
	assert_int_equal(a->head.born_seq, r->core[0].last_purge.n);
	assert_int_equal(rig_requests(r), before);
	quiet(r);
}

static void a_refresh_is_joined(void **state)
{
	const char *path = "/cc/400/max-age=30";
	struct rig *r = *state;

	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < 3; i++)
		rig_ask(r,
		        &(struct rig_req){
		                .path = path, .key = path, .refresh = true, .core = i % RIG_CORES});
	RIG_UNTIL(r, counts_of(r).refresh_asked == 3);
	struct ask *a = rig_ask(r, &(struct rig_req){.path = path, .key = path});
	RIG_UNTIL(r, counts_of(r).joined == 1);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, a->done);
	whole(a, 400);
	assert_int_equal(rig_requests(r), 1);
	assert_int_equal(counts_of(r).refresh_joined, 2);
	quiet(r);
}

static void variants(void **state)
{
	static const char *langs[] = {"de", "fr", "de", "nl", "fr"};
	struct rig *r = *state;
	struct ask *a[ARRAY_LEN(langs)];
	char want[64];

	/* Together, before anybody knows of Vary: one origin request for each value. */
	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < ARRAY_LEN(langs); i++)
		a[i] = get_lang(r, i % RIG_CORES, "/vary/900", langs[i]);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == ARRAY_LEN(langs));
	origin_gate(r->origin, true);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < ARRAY_LEN(langs); i++) {
			if (round > 0)
				a[i] = get_lang(r, (i + round) % RIG_CORES, "/vary/900", langs[i]);
			RIG_UNTIL(r, a[i]->done);
			whole(a[i], 900);
			snprintf(want, sizeof(want), "Content-Language: %s\r\n", langs[i]);
			assert_non_null(strstr(a[i]->fields, want));
			/* Under a key of its own, hashed as the core does. */
			assert_memory_equal(a[i]->key, "/vary/900\n", 10);
			assert_true(hash128_eq(a[i]->head.hash,
			                       hash128(a[i]->key, strlen(a[i]->key), RIG_SEED)));
			assert_int_equal(a[i]->tier, round > 0 ? CHAN_F_STORE : 0);
			assert_true(a[i]->put_before > 0);
		}
		assert_int_equal(rig_requests(r), 3);
	}
	for (uint32_t core = 0; core < RIG_CORES; core++) {
		assert_string_equal(r->core[core].put_key, "/vary/900");
		assert_int_equal(r->core[core].last_put.flags & OBJECT_VARY, OBJECT_VARY);
		assert_true(
		        hash128_eq(r->core[core].last_put.hash, hash128("/vary/900", 9, RIG_SEED)));
	}
	assert_int_equal(counts_of(r).lists, 1);
	quiet(r);
}

static void hit_for_miss(void **state)
{
	enum { N = 20 };
	struct rig *r = *state;
	struct ask *a[N];

	whole(get(r, 0, "/nostore/70"), 70);
	assert_int_equal(r->core[0].puts, 1);
	assert_int_equal(r->core[0].last_put.flags & OBJECT_PASS, OBJECT_PASS);
	assert_string_equal(r->core[0].put_key, "/nostore/70");
	/* Nobody waits for another: all of them are at the origin at the same time. */
	origin_gate(r->origin, false);
	for (uint32_t i = 0; i < N; i++)
		a[i] = rig_ask(r, &(struct rig_req){.path = "/nostore/70",
		                                    .key = "/nostore/70",
		                                    .core = i % 2});
	RIG_UNTIL(r, rig_requests(r) == 1 + N);
	origin_gate(r->origin, true);
	for (uint32_t i = 0; i < N; i++) {
		RIG_UNTIL(r, a[i]->done);
		whole(a[i], 70);
		assert_false(a[i]->flags_shared);
	}
	assert_int_equal(counts_of(r).joined, 0);
	quiet(r);
}

static void ignore_result(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	(void)bytes, (void)len, (void)n;
	assert_int_equal(st, ST_OK);
	*(bool *)arg = true;
}

static void order(struct rig *r, enum inval_kind kind, const char *text, bool *done)
{
	struct purge_order o = {.kind = kind, .text = span_cstr(text)};

	chan_server_purge(r->ctl.chan, &o, ignore_result, done);
}

static void purges(void **state)
{
	struct rig *r = *state;
	bool done = false;

	get(r, 0, "/store/60");
	get(r, 0, "/store/61");
	order(r, INVAL_KEY, "/store/60", &done);
	RIG_UNTIL(r, done);
	assert_int_equal(get(r, 0, "/store/60")->tier, 0);
	assert_int_equal(get(r, 0, "/store/61")->tier, CHAN_F_STORE);
	done = false;
	order(r, INVAL_PATTERN, "/st*", &done);
	RIG_UNTIL(r, done);
	assert_int_equal(get(r, 0, "/store/60")->tier, 0);
	assert_int_equal(get(r, 0, "/store/61")->tier, 0);
	assert_int_equal(rig_requests(r), 5);
	/* A fill that was under way when the purge came is not stored. */
	origin_gate(r->origin, false);
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/store/62", .key = "/store/62"});
	RIG_UNTIL(r, rig_requests(r) == 6);
	done = false;
	order(r, INVAL_KEY, "/store/62", &done);
	RIG_UNTIL(r, done);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, a->done);
	whole(a, 62);
	assert_int_equal(get(r, 0, "/store/62")->tier, 0);
	quiet(r);
}

/* RFC 9111 4.4. The keys are those that a core makes: host and target. */
static void unsafe_requests_invalidate(void **state)
{
	static const struct {
		const char *method;
		const char *path; /* of the request */
		const char *key;
		uint32_t gone; /* bit: of the two keys below */
	} rows[] = {
	        {"POST", "/status/500", "example.org/store/76", 0},
	        {"DELETE", "/status/204", "example.org/store/76", 1},
	        {"POST", "/made", "example.org/made", 2},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_req q[] = {{.path = "/store/76", .key = "example.org/store/76"},
		                      {.path = "/store/77", .key = "example.org/store/77"}};

		for (uint32_t k = 0; k < 2; k++) {
			struct ask *a = rig_ask(r, &q[k]);
			RIG_UNTIL(r, a->done);
		}
		struct ask *a = rig_ask(r, &(struct rig_req){.method = rows[i].method,
		                                             .path = rows[i].path,
		                                             .key = rows[i].key,
		                                             .no_store = true});
		RIG_UNTIL(r, a->done);
		for (uint32_t k = 0; k < 2; k++) {
			a = rig_ask(r, &q[k]);
			RIG_UNTIL(r, a->done);
			assert_int_equal(a->tier, (rows[i].gone >> k & 1) ? 0 : CHAN_F_STORE);
		}
	}
	quiet(r);
}

static void without_a_store(void **state)
{
	const struct rig_options o = {"", "", 0};
	struct rig *r = rig_new_with(&o);

	(void)state;
	rig_attach(r);
	for (uint32_t i = 0; i < 3; i++) {
		struct ask *a = get(r, 0, "/store/50");
		whole(a, 50);
		assert_int_equal(a->tier, 0);
		assert_true(a->flags_fill);
		a = get_lang(r, 0, "/vary/50", "de");
		RIG_UNTIL(r, a->done);
		whole(a, 50);
		assert_false(a->flags_fill);
		whole(get(r, 0, "/nostore/50"), 50);
	}
	rig_ask(r, &(struct rig_req){.path = "/store/50", .key = "/store/50", .refresh = true});
	RIG_UNTIL(r, counts_of(r).refresh_asked == 1);
	quiet(r);
	rig_free(r);
}

static void a_detached_store_stays(void **state)
{
	struct rig *r = *state;

	get(r, 0, "/store/30");
	get(r, 0, "/cc/30/max-age=0");
	/* In the middle of a background fetch, too. */
	origin_gate(r->origin, false);
	rig_ask(r, &(struct rig_req){
	                   .path = "/cc/30/max-age=0", .key = "/cc/30/max-age=0", .refresh = true});
	RIG_UNTIL(r, rig_requests(r) == 3);
	rig_sock_break(r);
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
	origin_gate(r->origin, true);
	rig_attach(r);
	assert_int_equal(get(r, 0, "/store/30")->tier, CHAN_F_STORE);
	assert_int_equal(get(r, 0, "/cc/30/max-age=0")->code, 304);
	quiet(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	        T(answers_from_the_store),
	        T(not_from_the_store),
	        T(long_bodies_wait_for_their_reader),
	        T(waits_for_blocks),
	        T(a_304_freshens),
	        T(a_304_for_all_who_wait),
	        T(a_304_that_fits_nothing),
	        T(head_requests_update),
	        T(stale_when_the_origin_fails),
	        T(refreshes_behind),
	        T(a_refresh_is_joined),
	        T(variants),
	        T(hit_for_miss),
	        T(purges),
	        T(unsafe_requests_invalidate),
	        cmocka_unit_test(without_a_store),
	        T(a_detached_store_stays),
	};
	return cmocka_run_group_tests_name("tiers", tests, NULL, NULL);
}
