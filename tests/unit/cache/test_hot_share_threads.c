/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cores as threads over one shared hot cache: each looks up, fetches, is purged and takes offers.
 * What is found is whole, of its key, and younger than every purge that this core has applied and
 * that matches, wherever it was found. tests/run.py runs this under ThreadSanitizer as well. */
#include "cache/hot_share.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "hot_fixture.h"

#define CORES       3u
#define KEYS        3000u
#define PINS        4u
#define PURGES      20000u
#define PURGES_TSAN 3000u
#define LARGE_WORDS 2500u /* beyond what L0 takes */
#define SMALL_WORDS 300u
#define WALL_MS     1000000u
#define TAG         "tag:five"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

/* What control would say: purges in one order, for all cores. */
struct purges {
	uint32_t count; /* published */
	uint32_t end;
	struct {
		enum inval_kind kind;
		bool soft;
		uint32_t key;
	} rows[PURGES];
};

struct pinned {
	bool taken;
	struct object o;
	uint64_t cookie, version;
	uint32_t key;
};

struct core {
	struct hot_view *v;
	struct purges *purges;
	pthread_t thread;
	uint32_t number;
	uint64_t random;
	struct counters ctr;
	uint32_t applied;
	uint64_t after[2][KEYS]; /* last purge that was applied and matches: hard, soft */
	struct pinned pins[PINS];
	uint64_t version; /* of the last fetch; unique by the core's number */
	uint64_t gets, hits[HOT_REMOTE + 1], fetches, pinned, void_fills;
};

void hot_remote_step(void);

/* Between the steps of a look-up in another's table: gives its owner time, now and then. */
void hot_remote_step(void)
{
	static _Thread_local uint32_t n;

	if (++n % 37 == 0)
		sched_yield();
}

static uint32_t below(struct core *c, uint32_t n)
{
	c->random = c->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((c->random >> 32) * n >> 32);
}

static uint64_t word_of(uint32_t key, uint64_t version, uint64_t i)
{
	uint64_t z = ((uint64_t)key << 40 ^ version << 12 ^ i) * 0x9e3779b97f4a7c15ull;

	return z ^ z >> 29;
}

static uint32_t words_of(uint32_t key, uint64_t version)
{
	return (uint32_t)(word_of(key, version, ~0u) % (key % 20 == 0 ? LARGE_WORDS : SMALL_WORDS));
}

static struct cache_key key_make(uint32_t n, char buf[32])
{
	int len = snprintf(buf, 32, "h/%u/%s", n, n % 2 ? "odd" : "even");
	uint32_t id = n / 2; /* two keys to one hash */

	return (struct cache_key){.text = span_of(buf, len), .hash = hash128(&id, sizeof(id), 7)};
}

static bool has_tag(uint32_t key)
{
	return key % 5 == 0;
}

static void object_check(const struct object *o, uint32_t key, uint64_t version)
{
	char buf[32];
	struct cache_key k = key_make(key, buf);
	uint32_t words = words_of(key, version);

	CHECK(span_eq(object_key(o), k.text) && o->response_ms == version);
	CHECK(o->body_len == words * sizeof(uint64_t) && o->tag_count == has_tag(key));
	for (uint32_t i = 0; i < words; i++) {
		uint64_t word;
		memcpy(&word, object_body(o).ptr + i * sizeof(word), sizeof(word));
		CHECK(word == word_of(key, version, i));
	}
}

static bool purge_matches(enum inval_kind kind, uint32_t purged, uint32_t key)
{
	switch (kind) {
	case INVAL_KEY:
		return key == purged;
	case INVAL_PATTERN:
		return key % 2 == 1;
	case INVAL_TAG:
		return has_tag(key);
	case INVAL_ALL:
	case INVAL_KINDS:
		break;
	}
	return true;
}

static void purges_apply(struct core *c)
{
	uint32_t count = __atomic_load_n(&c->purges->count, __ATOMIC_ACQUIRE);

	for (; c->applied < count; c->applied++) {
		enum inval_kind kind = c->purges->rows[c->applied].kind;
		uint32_t purged = c->purges->rows[c->applied].key;
		char buf[32];
		struct cache_key k = key_make(purged, buf);
		bool soft = c->purges->rows[c->applied].soft;
		struct inval_purge p = {.seq = c->applied + 1, .kind = kind, .soft = soft};

		p.text = kind == INVAL_KEY       ? k.text
		         : kind == INVAL_PATTERN ? SPAN_LIT("*/odd")
		         : kind == INVAL_TAG     ? SPAN_LIT(TAG)
		                                 : span_of("", 0);
		(void)hot_purge(hot_view_own(c->v), &p, k.hash);
		(void)hot_purge(hot_view_l0(c->v), &p, k.hash);
		for (uint32_t key = 0; key < KEYS; key++)
			if (purge_matches(kind, purged, key))
				c->after[soft][key] = p.seq;
	}
}

/* The only one that publishes: core 0. */
static void purge_publish(struct core *c, uint32_t key)
{
	struct purges *p = c->purges;
	uint32_t at = p->count;
	uint32_t op = below(c, 1000);

	if (at == p->end)
		return;
	p->rows[at].key = key;
	p->rows[at].soft = below(c, 4) == 0;
	p->rows[at].kind = op < 970   ? INVAL_KEY
	                   : op < 990 ? INVAL_TAG
	                   : op < 998 ? INVAL_PATTERN
	                              : INVAL_ALL;
	__atomic_store_n(&p->count, at + 1, __ATOMIC_RELEASE);
}

static void unpin(struct core *c, struct pinned *p)
{
	if (!p->taken)
		return;
	object_check(&p->o, p->key, p->version);
	hot_view_unpin(c->v, p->cookie);
	p->taken = false;
}

static bool look_up(struct core *c, uint32_t key)
{
	struct pinned *p = &c->pins[below(c, PINS)];
	struct hot_found found;
	char buf[32];
	struct cache_key k = key_make(key, buf);

	hot_view_prefetch(c->v, k.hash);
	const struct object *o = hot_view_get(c->v, &k, &found);
	c->gets++;
	c->hits[found.where]++;
	if (o == NULL)
		return false;
	CHECK(o->born_seq >= c->after[0][key]);
	CHECK(o->born_seq >= c->after[1][key] || !object_is_fresh(o, WALL_MS));
	object_check(o, key, o->response_ms);
	if (below(c, 8) == 0) {
		unpin(c, p);
		*p = (struct pinned){true, *o, hot_view_pin(c->v, o, &found), o->response_ms, key};
		c->pinned++;
	}
	hot_view_done(c->v, &found);
	return true;
}

/* An answer that left for the origin when so many purges were ordered, and came back later. */
static void fetch(struct core *c, uint32_t key)
{
	struct {
		struct object o;
		char text[64];
	} head = {0};
	struct cache_key k = key_make(key, head.text);
	uint64_t version = ++c->version * CORES + c->number;
	uint32_t words = words_of(key, version);
	struct hot_fill f = {0};
	uint32_t tag = inval_tag_hash(SPAN_LIT(TAG));

	head.o = (struct object){.hash = k.hash,
	                         .response_ms = version,
	                         .expires_ms = UINT64_MAX,
	                         .body_len = words * sizeof(uint64_t),
	                         .born_seq = __atomic_load_n(&c->purges->count, __ATOMIC_ACQUIRE),
	                         .key_len = (uint32_t)k.text.len,
	                         .tag_count = has_tag(key),
	                         .status = 200};
	memcpy(head.text + k.text.len, &tag, sizeof(tag));
	if (c->number == 0 && below(c, 16) == 0)
		purge_publish(c, key);
	if (below(c, 4) == 0)
		purges_apply(c);
	struct hot_table *t =
	        hot_view_table(c->v, k.hash, object_head_bytes(&head.o) + head.o.body_len);
	if (hot_fill_begin(t, &f, &head.o, head.o.body_len) != ST_OK)
		return;
	for (uint32_t i = 0; i < words; i++) {
		uint64_t word = word_of(key, version, i);
		CHECK(hot_fill_append(t, &f, span_of(&word, sizeof(word))) == ST_OK);
	}
	if (below(c, 4) == 0)
		purges_apply(c);
	const struct object *o = hot_fill_commit(t, &f);
	c->fetches++;
	if (o != NULL)
		hot_view_stored(c->v, t, o);
	else
		c->void_fills++;
}

static void *core_main(void *arg)
{
	struct core *c = arg;

	hot_view_wall(c->v, WALL_MS);
	while (c->applied < c->purges->end) {
		/* Half of the requests go to few keys. */
		uint32_t key = below(c, below(c, 2) ? KEYS : KEYS / 16);

		if (!look_up(c, key))
			fetch(c, key);
		hot_view_poll(c->v);
		if (c->number == 0 && below(c, 4) == 0)
			purge_publish(c, below(c, KEYS));
		if (below(c, 3) == 0)
			purges_apply(c);
		(void)hot_sweep(hot_view_own(c->v), 64);
		(void)hot_sweep(hot_view_l0(c->v), 64);
	}
	for (uint32_t i = 0; i < PINS; i++)
		unpin(c, &c->pins[i]);
	return NULL;
}

static void core_report(const struct core *c)
{
	const struct hot_view_counts *n = hot_view_counts(c->v);

	print_message(
	        "core %u: %llu gets, %llu own, %llu L0, %llu remote, %llu fetches (%llu void), "
	        "%llu pins, %llu copies, %llu offers, %llu taken, %llu gone\n",
	        c->number, (unsigned long long)c->gets, (unsigned long long)c->hits[HOT_OWN],
	        (unsigned long long)c->hits[HOT_L0], (unsigned long long)c->hits[HOT_REMOTE],
	        (unsigned long long)c->fetches, (unsigned long long)c->void_fills,
	        (unsigned long long)c->pinned, (unsigned long long)n->copies,
	        (unsigned long long)n->offers, (unsigned long long)n->taken,
	        (unsigned long long)n->gone);
}

static void table_check(struct hot_table *t)
{
	hot_table_check(t);
	for (size_t i = 0; i < t->readers * hot_pin_row(t->seg_count); i++)
		assert_int_equal(t->remote_pins[i], 0);
}

static void test_cores(void **state)
{
	struct hot_config cfg = {.memory_bytes = 2 * MIB, .max_object_bytes = 32768};
	struct purges *purges = calloc(1, sizeof(*purges));
	struct core *cores = calloc(CORES, sizeof(*cores));
	uint64_t remote = 0, copies = 0, taken = 0, voids = 0, evicted = 0;
	struct hot_share *s;

	(void)state;
	assert_true(purges != NULL && cores != NULL);
	purges->end = UNDER_TSAN ? PURGES_TSAN : PURGES;
	assert_int_equal(hot_share_create(&s, CORES), ST_OK);
	for (uint32_t i = 0; i < CORES; i++) {
		cores[i] = (struct core){.number = i, .random = i + 1, .purges = purges};
		cores[i].v = hot_share_view(s, i);
		assert_int_equal(hot_share_join(s, i, &cfg, &cores[i].ctr), ST_OK);
	}
	hot_share_link(s);
	for (uint32_t i = 0; i < CORES; i++)
		assert_int_equal(pthread_create(&cores[i].thread, NULL, core_main, &cores[i]), 0);
	for (uint32_t i = 0; i < CORES; i++)
		assert_int_equal(pthread_join(cores[i].thread, NULL), 0);
	/* What is half copied is finished: its hold is let go. */
	for (uint32_t i = 0; i < CORES; i++)
		while (hot_view_poll(cores[i].v) > 0)
			;
	for (uint32_t i = 0; i < CORES; i++) {
		core_report(&cores[i]);
		remote += cores[i].hits[HOT_REMOTE];
		copies += hot_view_counts(cores[i].v)->copies;
		taken += hot_view_counts(cores[i].v)->taken;
		voids += cores[i].void_fills;
		evicted += counter_read(&cores[i].ctr, CTR_cache_evict);
		assert_true(cores[i].hits[HOT_OWN] > 100 && cores[i].hits[HOT_L0] > 100);
		table_check(hot_view_own(cores[i].v));
		table_check(hot_view_l0(cores[i].v));
	}
	assert_true(remote > 1000 && copies > 100 && taken > 1000 && voids > 10);
	assert_true(evicted > 1000);
	hot_share_destroy(s);
	free(cores);
	free(purges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cores)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
