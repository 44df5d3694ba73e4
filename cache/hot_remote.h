/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Look-ups in the hot table of another core, without a lock, while its owner fills, evicts and
 * purges. Called by any core but the owner; each has a number of its own below the table's readers
 * and keeps a struct hot_remote for it. The owner is never waited for, and never waits.
 *
 * What is found is held: its bytes stay where and what they are until hot_remote_drop, so it may be
 * sent by reference. Nothing is copied. A look-up may miss an entry that the owner moves or
 * replaces at that moment; it never finds a wrong one, nor one that was removed before it began.
 * The proof is in docs/decisions/shared-hot-tables.md.
 *
 * The reader writes nothing but its own counts of holds and the use counter of a slot. */
#ifndef CACHE_HOT_REMOTE_H
#define CACHE_HOT_REMOTE_H

#include "cache/hot_table.h"

struct hot_bucket;

/* What a reader must know of the table, and what it found there last. */
struct hot_remote {
	struct hot_bucket *buckets;
	char *log;
	uint32_t *pins;               /* this reader's row: holds of each segment */
	const uint32_t *bucket_count; /* the owner's: it grows */
	uint32_t seg_units;
	uint32_t unit_shift;
	struct object found;
};

/* reader: below the hot_config.readers that the table was made with, and nobody else's. Before the
 * threads start. */
void hot_remote_open(struct hot_remote *out, struct hot_table *t, uint32_t reader);
/* As hot_prefetch and hot_prefetch_object: for a burst of keys, one round after the other. */
void hot_remote_prefetch(const struct hot_remote *r, struct hash128 hash);
void hot_remote_prefetch_object(const struct hot_remote *r, struct hash128 hash);
/* The object whose key text equals, fresh or stale, held; or NULL. Marks it as used. *hold names
 * the hold, below 2^32. The struct object is r's, and holds until the next of these two calls. */
const struct object *hot_remote_get(struct hot_remote *r, const struct cache_key *key,
                                    uint32_t *hold);
/* The same for the entry at a place that its owner told (hot_place_of); NULL when it is gone. */
const struct object *hot_remote_at(struct hot_remote *r, struct hash128 hash, uint32_t place,
                                   uint32_t *hold);
/* Holds once more what is held: each is dropped by itself. */
void hot_remote_again(const struct hot_remote *r, uint32_t hold);
void hot_remote_drop(const struct hot_remote *r, uint32_t hold);

/* The owner's word for where an object of its table lies. */
uint32_t hot_place_of(const struct hot_table *t, const struct object *o);

#endif
