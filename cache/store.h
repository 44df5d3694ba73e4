/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The node store (L2): whole answers in control's memory, shared by all cores; it holds what came
 * from origins and from the shared store, also what is too large for the hot tables. Bounded bytes,
 * eviction as in the hot table (S3-FIFO, by object). One thread; no I/O, no clock.
 *
 * An entry is immutable once it is stored, and lives until it was replaced, evicted or purged and
 * nobody holds it. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "cache/inval.h"
#include "cache/key.h"

struct store;

struct store_config {
	uint64_t memory_bytes;     /* entries with all that they cost */
	uint64_t max_object_bytes; /* head and body of one */
	uint32_t max_variants;     /* of one key (cache/vary.h); the oldest goes */
};

/* The head (struct object, key, field lines, tags) and the body lie behind it. */
struct store_entry {
	uint32_t refs;
	uint32_t head_len;
	uint64_t body_len;
	const struct object *head;
	const unsigned char *body;
};

enum status store_create(struct store **out, const struct store_config *cfg);
void store_destroy(struct store *s);

/* The entry, fresh or stale, held for the caller (store_drop); NULL: none. Marks it as used. Soft
 * purged: *stale is set. */
struct store_entry *store_get(struct store *s, struct span key_text, bool *stale);
void store_drop(struct store_entry *e);

/* A new entry in two steps: room for all of it, then put, which replaces an older one of the key.
 * capacity of the body may be unknown: store_reserve grows. ST_TOOBIG, ST_NOMEM. */
struct store_fill;
enum status store_fill_begin(struct store *s, const struct object *head, uint64_t body_len,
                             struct store_fill **out);
enum status store_fill_append(struct store_fill *f, struct span bytes);
/* The entry, held for the caller, or NULL when it is void by a purge after born_seq or too large;
 * f is gone. */
struct store_entry *store_fill_commit(struct store_fill *f);
void store_fill_abort(struct store_fill *f);

/* A stored answer with another head and the same body (304 that freshens, RFC 9111 4.3.4). */
struct store_entry *store_refresh(struct store *s, const struct store_entry *e,
                                  const struct object *head);

/* Takes the purge down (its number orders it against fills); how many entries it removed at once:
 * those of a key. The rest goes when it is looked up or swept. */
uint32_t store_purge(struct store *s, const struct inval_purge *p);
uint64_t store_seq(const struct store *s);
/* Background work: looks at up to n entries for patterns and expiry; false when none is due. */
bool store_sweep(struct store *s, uint32_t n, uint64_t wall_ms);

/* Walks entries from *cursor (0 at first); NULL at the end. Not held: valid until the next call. */
const struct store_entry *store_next(struct store *s, uint64_t *cursor);

struct store_counts {
	uint64_t entries;
	uint64_t bytes;
	uint64_t hits;
	uint64_t misses;
	uint64_t fills;
	uint64_t fills_void; /* refused: purged since their request left */
	uint64_t evicted;
	uint64_t purged;
	uint64_t too_big;
};
void store_counts(const struct store *s, struct store_counts *out);

#endif
