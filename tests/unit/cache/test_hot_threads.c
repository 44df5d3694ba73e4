/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Threads that look up in a table while its owner fills, evicts and purges: what they find is whole
 * and of their key, and no older than what the owner had said before. tests/run.py runs this under
 * ThreadSanitizer as well. */
#include "cache/hot_remote.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "hot_fixture.h"

/* Between the steps of a look-up: cache/hot_remote.c calls it there. */
void hot_remote_step(void);
static _Thread_local void (*step_fn)(void);
static _Thread_local uint32_t step_at; /* steps until step_fn runs */

void hot_remote_step(void)
{
	if (step_fn != NULL && step_at-- == 0)
		step_fn();
}

#define READERS    2u
#define KEYS       1500u
#define HELD       6u
#define BODY_WORDS 250u    /* at most */
#define OPS        200000u /* at least */
#define RECHECKS   500u
#define OPS_TSAN   40000u

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

struct stress {
	struct hot_table *t;
	struct counters ctr;
	uint32_t floor[KEYS];   /* no older version may be found by a look-up that begins now */
	uint32_t version[KEYS]; /* owner's */
	uint32_t stop;
	uint64_t purged, full;
};

struct reader {
	struct stress *s;
	uint32_t number;
	pthread_t thread;
	uint64_t gets, hits, newer;
	uint64_t rechecks; /* read by the owner: it goes on until there are enough */
};

struct held {
	bool taken;
	struct object o;
	uint32_t hold, key, version, until;
};

static uint64_t next_random(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x >> 33;
}

static uint64_t word_of(uint32_t key, uint32_t version, uint32_t i)
{
	uint64_t z = ((uint64_t)key << 40 ^ (uint64_t)version << 12 ^ i) * 0x9e3779b97f4a7c15ull;

	return z ^ z >> 29;
}

static uint32_t words_of(uint32_t key, uint32_t version)
{
	return (uint32_t)(word_of(key, version, ~0u) % BODY_WORDS);
}

/* Four keys share a hash, so that most finds must tell them apart by text. */
static struct cache_key stress_key(uint32_t n, char buf[32])
{
	int len = snprintf(buf, 32, "h/%u/%s", n, n % 2 ? "odd" : "even");
	uint32_t id = n / 4;

	return (struct cache_key){.text = span_of(buf, len), .hash = hash128(&id, sizeof(id), 7)};
}

static void stress_check(const struct object *o, uint32_t key, uint32_t version)
{
	char buf[32];
	struct cache_key k = stress_key(key, buf);
	uint32_t words = words_of(key, version);

	CHECK(span_eq(object_key(o), k.text) && o->response_ms == version);
	CHECK(o->body_len == words * sizeof(uint64_t) && o->status == 200);
	for (uint32_t i = 0; i < words; i++) {
		uint64_t word;
		memcpy(&word, object_body(o).ptr + i * sizeof(word), sizeof(word));
		CHECK(word == word_of(key, version, i));
	}
}

/* Gives the owner time, now and then, where it matters. */
static void step_stress(void)
{
	static _Thread_local uint64_t x = 5;

	step_at = (uint32_t)(next_random(&x) % 40);
	sched_yield();
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct stress *s = r->s;
	struct held held[HELD] = {{0}};
	struct hot_remote view;
	uint64_t x = r->number + 1;

	hot_remote_open(&view, s->t, r->number);
	step_fn = step_stress;
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint32_t key = (uint32_t)(next_random(&x) % KEYS);
		struct held *h = &held[r->gets % HELD];
		char buf[32];

		if (h->taken && r->gets >= h->until) {
			stress_check(&h->o, h->key, h->version);
			hot_remote_drop(&view, h->hold);
			h->taken = false;
			__atomic_store_n(&r->rechecks, r->rechecks + 1, __ATOMIC_RELAXED);
		}
		struct cache_key k = stress_key(key, buf);
		uint32_t floor = __atomic_load_n(&s->floor[key], __ATOMIC_ACQUIRE);
		uint32_t hold;
		const struct object *o = hot_remote_get(&view, &k, &hold);
		r->gets++;
		if (o == NULL)
			continue;
		CHECK(o->response_ms >= floor);
		r->newer += o->response_ms > floor;
		stress_check(o, key, (uint32_t)o->response_ms);
		r->hits++;
		if (!h->taken)
			*h = (struct held){true,
			                   *o,
			                   hold,
			                   key,
			                   (uint32_t)o->response_ms,
			                   (uint32_t)(r->gets + next_random(&x) % 2000)};
		else
			hot_remote_drop(&view, hold);
	}
	for (uint32_t i = 0; i < HELD; i++) {
		if (!held[i].taken)
			continue;
		stress_check(&held[i].o, held[i].key, held[i].version);
		hot_remote_drop(&view, held[i].hold);
	}
	return NULL;
}

static void stress_put(struct stress *s, uint32_t key)
{
	struct {
		struct object o;
		char text[32];
	} head = {0};
	struct cache_key k = stress_key(key, head.text);
	uint32_t version = s->version[key] + 1;
	uint32_t words = words_of(key, version);
	struct hot_fill f = {0};

	head.o = (struct object){.hash = k.hash,
	                         .expires_ms = UINT64_MAX,
	                         .body_len = words * sizeof(uint64_t),
	                         .response_ms = version,
	                         .born_seq = hot_purge_seq(s->t),
	                         .key_len = (uint32_t)k.text.len,
	                         .status = 200};
	if (hot_fill_begin(s->t, &f, &head.o, head.o.body_len) != ST_OK) {
		s->full++;
		return;
	}
	for (uint32_t i = 0; i < words; i++) {
		uint64_t word = word_of(key, version, i);
		CHECK(hot_fill_append(s->t, &f, span_of(&word, sizeof(word))) == ST_OK);
	}
	CHECK(hot_fill_commit(s->t, &f) != NULL);
	s->version[key] = version;
	__atomic_store_n(&s->floor[key], version, __ATOMIC_RELEASE);
}

static void stress_purge(struct stress *s, uint32_t key)
{
	char buf[32];
	struct cache_key k = stress_key(key, buf);
	struct inval_purge p = {.seq = hot_purge_seq(s->t) + 1, .kind = INVAL_KEY, .text = k.text};

	s->purged += hot_purge(s->t, &p, k.hash);
	__atomic_store_n(&s->floor[key], s->version[key] + 1, __ATOMIC_RELEASE);
}

static void stress_owner(struct stress *s, uint32_t ops)
{
	static uint64_t x = 99;

	for (uint32_t i = 0; i < ops; i++) {
		uint32_t key = (uint32_t)(next_random(&x) % KEYS);
		uint32_t op = (uint32_t)(next_random(&x) % 1000);
		char buf[32];

		if (op < 600) {
			stress_put(s, key);
		} else if (op < 800) {
			struct cache_key k = stress_key(key, buf);
			const struct object *o = hot_get(s->t, &k);
			if (o != NULL)
				stress_check(o, key, s->version[key]);
		} else {
			stress_purge(s, key);
		}
	}
}

static void test_threads(void **state)
{
	struct hot_config cfg = {.memory_bytes = MIB, .max_object_bytes = 4096, .readers = READERS};
	struct stress *s = calloc(1, sizeof(*s));
	struct reader readers[READERS] = {{0}};
	uint32_t ops = UNDER_TSAN ? OPS_TSAN : OPS;

	(void)state;
	assert_non_null(s);
	assert_int_equal(hot_create(&s->t, &cfg, &s->ctr), ST_OK);
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.s = s, .number = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]),
		                 0);
	}
	for (uint32_t i = 0; i < READERS; i++)
		do
			stress_owner(s, ops / READERS);
		while (__atomic_load_n(&readers[i].rechecks, __ATOMIC_RELAXED) < RECHECKS);
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		print_message("reader %u: %llu gets, %llu hits, %llu newer, %llu held\n", i,
		              (unsigned long long)readers[i].gets,
		              (unsigned long long)readers[i].hits,
		              (unsigned long long)readers[i].newer,
		              (unsigned long long)readers[i].rechecks);
		assert_true(readers[i].hits >= RECHECKS && readers[i].rechecks >= RECHECKS);
		assert_true(readers[i].hits < readers[i].gets);
	}
	uint64_t evicted = counter_read(&s->ctr, CTR_cache_evict);
	print_message("owner: %llu evicted, %llu purged, %llu found it full\n",
	              (unsigned long long)evicted, (unsigned long long)s->purged,
	              (unsigned long long)s->full);
	assert_true(evicted > 1000 && s->purged > 1000 && s->full < evicted);
	print_message("%u buckets, %u segments for them\n", s->t->bucket_count, s->t->seg_first);
	assert_true(s->t->seg_first > 0); /* the index grew meanwhile */
	for (size_t i = 0; i < READERS * hot_pin_row(s->t->seg_count); i++)
		assert_int_equal(s->t->remote_pins[i], 0);
	hot_table_check(s->t);
	hot_destroy(s->t);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
