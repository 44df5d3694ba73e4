/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/hot_remote.h"
#include "lib/clock.h"
#include "perf/bench_hot.h"

/* The owner, at work in a thread of its own. */
struct owner {
	struct bench b;
	uint32_t stop;
	uint64_t puts;
};

static void *owner_main(void *arg)
{
	struct owner *o = arg;

	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED)) {
		put(&o->b, random_below(&o->b, o->b.entries), BODY_BYTES);
		o->puts++;
	}
	return NULL;
}

static uint64_t remote_burst(struct hot_remote *r, struct bench *b)
{
	uint64_t start = clock_cycles();

	for (uint32_t i = 0; i < BURST; i++)
		hot_remote_prefetch(r, b->keys[i].hash);
	for (uint32_t i = 0; i < BURST; i++)
		hot_remote_prefetch_object(r, b->keys[i].hash);
	for (uint32_t i = 0; i < BURST; i++) {
		uint32_t hold;
		const struct object *o = hot_remote_get(r, &b->keys[i], &hold);

		if (o == NULL)
			continue;
		b->sum += o->status;
		hot_remote_drop(r, hold);
	}
	return clock_cycles() - start;
}

static uint64_t remote_single(struct hot_remote *r, struct bench *b)
{
	uint64_t start = clock_cycles();

	for (uint32_t i = 0; i < BURST; i++) {
		uint32_t hold;
		const struct object *o = hot_remote_get(r, &b->keys[i], &hold);

		if (o != NULL) {
			b->sum += o->status;
			hot_remote_drop(r, hold);
		}
#if defined(__x86_64__)
		__builtin_ia32_lfence();
#endif
	}
	return clock_cycles() - start;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

typedef uint64_t (*burst_fn)(struct hot_remote *r, struct bench *b);

static void reads_report(struct report *rep, struct hot_remote *r, struct bench *b, uint32_t bursts,
                         const char *name)
{
	static const struct {
		const char *name;
		burst_fn fn;
	} rows[] = {{"burst", remote_burst}, {"single", remote_single}};
	uint64_t *cycles = malloc(bursts * sizeof(*cycles));

	if (cycles == NULL)
		exit(1);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		for (uint32_t i = 0; i < bursts; i++) {
			keys_make(b, 0);
			cycles[i] = rows[k].fn(r, b);
		}
		qsort(cycles, bursts, sizeof(*cycles), compare_u64);
		report_add(rep, (double)cycles[bursts / 2] / BURST / clock_cycles_per_ns(), NULL,
		           "remote_%s_%s_get_median_ns", name, rows[k].name);
	}
	free(cycles);
}

void remote_run(struct report *rep, uint32_t entries, uint32_t bursts)
{
	struct hot_config cfg = {
	        .memory_bytes = bench_bytes(entries), .max_object_bytes = 4096, .readers = 1};
	struct owner *o = calloc(1, sizeof(*o));
	struct bench *b = calloc(1, sizeof(*b));
	struct hot_remote r;
	pthread_t thread;

	if (o == NULL || b == NULL || hot_create(&o->b.t, &cfg, &o->b.ctr) != ST_OK) {
		fprintf(stderr, "bench_hot: no memory for %u entries\n", entries);
		exit(1);
	}
	o->b.entries = b->entries = entries;
	for (uint32_t i = 0; i < entries; i++)
		put(&o->b, i, BODY_BYTES);
	hot_remote_open(&r, o->b.t, 0);
	report_add(rep, hot_count(o->b.t), NULL, "remote_entries");
	reads_report(rep, &r, b, bursts, "owner_rests");
	if (pthread_create(&thread, NULL, owner_main, o) != 0)
		exit(1);
	uint64_t start = clock_mono_ns();
	reads_report(rep, &r, b, bursts, "owner_writes");
	__atomic_store_n(&o->stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	report_add(rep, (double)o->puts * NS_PER_S / (double)(clock_mono_ns() - start), NULL,
	           "remote_owner_puts_per_s");
	hot_destroy(o->b.t);
	free(o);
	free(b);
}

/* Of all lengths around that one; more than fit. */
static void memory_fill(struct bench *b, size_t memory_bytes, uint32_t body)
{
	for (uint32_t id = 0; id < memory_bytes / body; id++)
		put(b, id, body / 2 + random_below(b, body));
}

/* What an entry takes besides key, lines, tags and body. */
static void memory_size(struct report *rep, size_t memory_bytes, uint32_t body)
{
	struct hot_config cfg = {.memory_bytes = memory_bytes, .max_object_bytes = 65536};
	struct bench *b = calloc(1, sizeof(*b));
	const struct object *o;
	uint64_t cursor = 0;
	double payload = 0;
	char tag[64];

	if (b == NULL || hot_create(&b->t, &cfg, &b->ctr) != ST_OK)
		exit(1);
	const struct hot_table *t = b->t;
	memory_fill(b, memory_bytes, body);
	while ((o = hot_next(b->t, &cursor)) != NULL)
		payload += (double)(object_text_bytes(o) + o->body_len);
	double count = hot_count(t);
	const char *log_at = t->log + hot_unit_bytes(t, (uint64_t)t->seg_first * t->seg_units);
	double log =
	        (double)hot_unit_bytes(t, (uint64_t)(t->seg_count - t->seg_first) * t->seg_units);
	double live = (double)counter_read(&b->ctr, CTR_cache_bytes);
	double index = (double)(log_at - (const char *)t->buckets);
	snprintf(tag, sizeof(tag), "memory_body%u", body);
	report_add(rep, count, NULL, "%s_entries", tag);
	report_add(rep, (live - payload) / count, NULL, "%s_head_bytes", tag);
	report_add(rep, index / count, NULL, "%s_index_bytes", tag);
	report_add(rep, (live - payload + index) / count, NULL, "%s_overhead_bytes", tag);
	report_add(rep, ((double)memory_bytes - log - index) / count, NULL, "%s_fixed_bytes", tag);
	report_add(rep, (log - live) / count, NULL, "%s_unused_bytes", tag);
	hot_destroy(b->t);
	free(b);
}

void memory_run(struct report *rep, size_t memory_bytes)
{
	static const uint32_t bodies[] = {64, 500, 2000};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		memory_size(rep, memory_bytes, bodies[i]);
}
