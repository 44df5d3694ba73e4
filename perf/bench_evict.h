/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Inside of perf/bench_evict: traces of requests (bench_evict_trace.c), caches that know exact
 * object counts to compare with (bench_evict_ref.c), and many tables at once
 * (bench_evict_multi.c). */
#ifndef PERF_BENCH_EVICT_H
#define PERF_BENCH_EVICT_H

#include "cache/hot_internal.h"
#include "perf/report.h"

/* Requests for objects 0 to end - 1. What the first half of them hits does not count: it fills the
 * cache. */
struct trace {
	uint32_t ids; /* that come again and again */
	uint32_t end;
	uint32_t requests;
	uint32_t *id; /* of each request */
	/* With times to live: requests in a second of the trace; 0: nothing expires. */
	uint32_t rate;
};

enum trace_kind {
	TRACE_ZIPF,
	TRACE_SCAN,  /* a fifth of the time, ids in a row that never come again */
	TRACE_LOOP,  /* half of the requests go round a twentieth of the ids */
	TRACE_CHURN, /* what is popular drifts: by one rank in 200 requests */
	TRACE_TTL    /* objects live for 10, 60 or 300 s */
};

void *need(void *mem);
uint32_t random_below(uint64_t *state, uint32_t n);
/* room for ids + requests ids is taken by the caller: trace->id has `requests` entries. */
void trace_make(struct trace *tr, enum trace_kind kind, double skew);
/* Seconds that an object lives. */
uint32_t trace_ttl_s(const struct trace *tr, uint32_t id);
/* The request's time. */
uint64_t trace_ms(const struct trace *tr, uint32_t request);
double trace_ratio(const struct trace *tr, uint64_t hits);

/* Caches of `size` objects. */
double lru_run(const struct trace *tr, uint32_t size);
double sieve_run(const struct trace *tr, uint32_t size);
/* expire_at_once: objects leave when they expire, at no cost; else when they are evicted. */
double s3_run(const struct trace *tr, uint32_t size, bool expire_at_once);

/* A hot table in the bench's own words. body_bytes: at most TABLE_BODY_MAX. */
#define TABLE_BODY_MAX 1200u
struct hot_table *table_new(size_t memory_bytes, struct counters *ctr);
struct cache_key table_key(const uint32_t *id);
bool table_put(struct hot_table *t, const struct cache_key *key, uint64_t expires_ms,
               uint32_t body_bytes);

/* 4 and 16 tables: each for itself, and by owner with a small table for others' keys. */
void multi_run(struct report *r, const struct trace *tr, const char *name);

#endif
