/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shared store in the chain of tiers, played by its backend in memory. */
#include "rig.h"

#include "cache/l3.h"
#include "cache/vary.h"
#include "lib/hash.h"

static int setup(void **state)
{
	const struct l3_config cfg = {
	        .backend = "memory",
	        .prefix = "t:",
	        .timeout_ms = 1000,
	        .connect_ms = 1000,
	        .retry_ms = 100,
	        .failures = 5,
	        .in_flight = 1024,
	        .compress_bytes = 1024,
	        .pending_bytes = 64 << 20,
	        .max_object_bytes = 8 << 20,
	        .memory_bytes = 64 << 20,
	        .purges_kept = 100,
	};
	struct rig *r = rig_new("");

	assert_int_equal(l3_create(&r->ctl.l3, r->ctl.loop, &cfg), ST_OK);
	rig_attach(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	fetcher_detached(r->ctl.fetcher);
	l3_destroy(r->ctl.l3);
	r->ctl.l3 = NULL;
	rig_free(r);
	return 0;
}

static struct l3_counts l3_of(struct rig *r)
{
	struct l3_counts c;

	l3_counts(r->ctl.l3, &c);
	return c;
}

static struct ask *ask(struct rig *r, uint32_t core, const char *path, const char *lang)
{
	char fields[64];

	snprintf(fields, sizeof(fields), "Accept-Language: %s\r\n", lang);
	return rig_ask(
	        r, &(struct rig_req){.path = path, .key = path, .core = core, .fields = fields});
}

static struct ask *get(struct rig *r, uint32_t core, const char *path)
{
	struct ask *a = ask(r, core, path, "de");

	RIG_UNTIL(r, a->done);
	return a;
}

static void whole(const struct ask *a, uint64_t len)
{
	assert_int_equal(a->fail, 0);
	assert_int_equal(a->got, len);
	assert_false(a->bad);
}

/* What another node would have stored: an answer of len bytes, fresh for s seconds. */
static void give(struct rig *r, const char *key, uint64_t len, int64_t s)
{
	static const char fields[] = "ETag: \"e1\"\r\n";
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;
	size_t key_len = strlen(key);
	struct object *o = calloc(1, sizeof(*o) + key_len + sizeof(fields));
	unsigned char *body = malloc(len + 1);

	for (uint64_t i = 0; i < len; i++)
		body[i] = origin_byte(i);
	*o = (struct object){
	        .response_ms = now_ms - 10000,
	        .expires_ms = (uint64_t)((int64_t)now_ms + s * 1000),
	        .body_len = len,
	        .key_len = (uint32_t)key_len,
	        .fields_len = sizeof(fields) - 1,
	        .etag_off = 6,
	        .etag_len = 4,
	        .status = 200,
	        .flags = OBJECT_STORABLE,
	};
	memcpy((char *)(o + 1), key, key_len);
	memcpy((char *)(o + 1) + key_len, fields, sizeof(fields) - 1);
	struct l3_item item = {o, span_of(body, len), now_ms - 5000, 60000};
	l3_put(r->ctl.l3, &item, 1);
	free(body);
	free(o);
}

static void answers(void **state)
{
	static const uint64_t lens[] = {0, 100, 100000, 3000000};
	struct rig *r = *state;
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		snprintf(path, sizeof(path), "/store/%llu", (unsigned long long)lens[i]);
		give(r, path, lens[i], 60);
		struct ask *a = get(r, 0, path);
		whole(a, lens[i]);
		assert_int_equal(a->tier, CHAN_F_L3);
		assert_true(a->flags_fill);
		assert_true(hash128_eq(a->head.hash, hash128(path, strlen(path), RIG_SEED)));
		a = get(r, 1, path);
		whole(a, lens[i]);
		assert_int_equal(a->tier, CHAN_F_STORE);
	}
	assert_int_equal(rig_requests(r), 0);
}

static void is_given_what_was_fetched(void **state)
{
	struct rig *r = *state;
	struct ask *a;

	whole(get(r, 0, "/store/5000"), 5000);
	assert_int_equal(l3_of(r).misses, 1);
	assert_int_equal(l3_of(r).puts, 1);
	whole(get(r, 0, "/nostore/5000"), 5000);
	whole(get(r, 0, "/cc/9/max-age=0"), 9);
	assert_int_equal(l3_of(r).puts, 1);
	/* The list goes with each variant. */
	whole(get(r, 0, "/vary/90"), 90);
	assert_int_equal(l3_of(r).puts, 3);
	/* Blanks in what chose it do not make it one that is shared by a pattern. */
	a = ask(r, 1, "/vary/91", "de; q=0.5");
	RIG_UNTIL(r, a->done);
	whole(a, 91);
	assert_int_equal(l3_of(r).puts, 5);
	/* A key that is not for sharing is not asked for again. */
	uint64_t gets = l3_of(r).gets;
	whole(get(r, 1, "/nostore/5000"), 5000);
	assert_int_equal(l3_of(r).gets, gets);
}

static void together(void **state)
{
	enum { N = 200 };
	struct rig *r = *state;
	struct ask *a[N];

	give(r, "/store/700", 700, 60);
	for (uint32_t i = 0; i < N; i++)
		a[i] = ask(r, i % RIG_CORES, "/store/700", "de");
	for (uint32_t i = 0; i < N; i++) {
		RIG_UNTIL(r, a[i]->done);
		whole(a[i], 700);
	}
	assert_int_equal(l3_of(r).gets, 1);
	assert_int_equal(rig_requests(r), 0);
}

static void what_is_stale_there_is_validated(void **state)
{
	struct rig *r = *state;

	give(r, "/cc/300/max-age=60", 300, -5);
	struct ask *a = get(r, 0, "/cc/300/max-age=60");
	whole(a, 300);
	assert_int_equal(a->code, 304);
	assert_int_equal(origin_validations(r->origin), 1);
	assert_int_equal(get(r, 1, "/cc/300/max-age=60")->tier, CHAN_F_STORE);
	assert_int_equal(rig_requests(r), 1);
}

static void variants(void **state)
{
	struct cache_key primary = {hash128("/vary/50", 8, RIG_SEED), SPAN_LIT("/vary/50")};
	static const char line[] = "Accept-Language: de\r\n\r\n";
	struct rig *r = *state;
	char text[CACHE_KEY_MAX + 1];
	struct http_fields fields;
	struct cache_key key;
	uint64_t list[256];
	size_t pos = 0;
	struct ask *a[6];

	memset(list, 0, sizeof(list));
	assert_true(vary_list_write(list, sizeof(list), &primary, 77, SPAN_LIT("accept-language")) >
	            0);
	struct object *o = (struct object *)(void *)list;
	o->body_len = 0;
	o->response_ms = clock_wall_ns() / NS_PER_MS;
	struct l3_item item = {o, span_of(NULL, 0), o->response_ms, 60000};
	l3_put(r->ctl.l3, &item, 1);
	http1_scan_fields(line, sizeof(line) - 1, &pos, &fields);
	assert_true(vary_key(text, &primary, o, &fields, RIG_SEED, &key));
	text[key.text.len] = '\0';
	give(r, text, 50, 60);
	for (uint32_t i = 0; i < ARRAY_LEN(a); i++)
		a[i] = ask(r, i % RIG_CORES, "/vary/50", i % 3 == 2 ? "nl" : "de");
	for (uint32_t i = 0; i < ARRAY_LEN(a); i++) {
		RIG_UNTIL(r, a[i]->done);
		whole(a[i], 50);
		assert_int_equal(a[i]->tier, i % 3 == 2 ? 0 : CHAN_F_L3);
		assert_true(a[i]->put_before > 0);
	}
	/* "nl" was not there: one request for all who wanted it. */
	assert_int_equal(rig_requests(r), 1);
}

static void given_up_while_it_waits(void **state)
{
	struct rig *r = *state;

	give(r, "/store/20", 20, 60);
	struct ask *a = ask(r, 0, "/store/20", "de");
	chan_flush(&r->core[0].port);
	rig_cancel(r, 0, a);
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0 && l3_of(r).in_flight == 0);
	whole(get(r, 0, "/store/20"), 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(answers),  T(is_given_what_was_fetched),
	        T(together), T(what_is_stale_there_is_validated),
	        T(variants), T(given_up_while_it_waits),
	};

	return cmocka_run_group_tests_name("tiers l3", tests, NULL, NULL);
}
