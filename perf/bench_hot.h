/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Inside of perf/bench_hot: keys and entries (bench_hot.c), reads from another core and what an
 * entry costs in memory (bench_hot_more.c). */
#ifndef PERF_BENCH_HOT_H
#define PERF_BENCH_HOT_H

#include "cache/hot_internal.h"
#include "perf/report.h"

#define BURST      32u
#define KEY_BYTES  40u
#define BODY_BYTES 64u

struct bench {
	struct hot_table *t;
	struct counters ctr;
	uint32_t entries;
	uint64_t random;
	char text[BURST][KEY_BYTES + 1];
	struct cache_key keys[BURST];
	uint64_t sum; /* of what was read, so that it is read */
};

uint32_t random_below(struct bench *b, uint32_t n);
/* Key number id, in one of the burst's places. */
void key_make(struct bench *b, uint32_t slot, uint32_t id);
/* A burst of keys from first on, below first + entries. */
void keys_make(struct bench *b, uint32_t first);
/* body_bytes: at most 4096. */
void put(struct bench *b, uint32_t id, uint32_t body_bytes);
/* Memory for so many small entries, index and all. */
size_t bench_bytes(uint32_t entries);

/* Another core's gets, while the owner rests and while it writes. */
void remote_run(struct report *r, uint32_t entries, uint32_t bursts);
/* Bytes of memory an entry takes besides key and body. */
void memory_run(struct report *r, size_t memory_bytes);

#endif
