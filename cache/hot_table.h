/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hot tier (L1): objects of one core in memory that is taken at start. The core alone calls
 * these functions. Entries lie in log segments; a 64-byte bucket holds tags and offsets; eviction
 * is log-structured S3-FIFO (Yang et al., SOSP 2023), whole segments at a time. See docs/decisions.
 *
 * An entry is smaller than a struct object (cache/hot_entry.h), which is made of it when it is
 * found. That lies in the table and holds until the same function is called again; its text and
 * body stay where they are until the next hot_fill_begin, or as long as the object is pinned: a
 * pinned segment is not reused. */
#ifndef CACHE_HOT_TABLE_H
#define CACHE_HOT_TABLE_H

#include "cache/inval.h"
#include "cache/key.h"
#include "cache/object.h"
#include "lib/base.h"
#include "lib/counters.h"
#include "lib/status.h"

struct hot_config {
	/* Objects and index together, at least 1 MiB. Beyond 56 GiB ST_TOOBIG: entries have 22
	 * bits of the hash for the index (cache/hot_entry.h). */
	size_t memory_bytes;
	/* Head and body of one object; larger ones are refused, and so is what is larger than a
	 * sixteenth of the room for objects. */
	uint32_t max_object_bytes;
	bool huge_pages;
	uint32_t readers; /* other cores that may read it (cache/hot_remote.h), at most 255 */
};

struct hot_table;

enum status hot_create(struct hot_table **out, const struct hot_config *cfg, struct counters *ctr);
void hot_destroy(struct hot_table *t);
/* It counts there from now on; what it holds is no more of the former counters. */
void hot_set_counters(struct hot_table *t, struct counters *ctr);

/* Brings the key's bucket into the cache; call for a burst of keys, then hot_get for each. */
void hot_prefetch(const struct hot_table *t, struct hash128 hash);
/* Optional second round over the burst, when the buckets have come: brings the objects too. */
void hot_prefetch_object(const struct hot_table *t, struct hash128 hash);
/* The object whose key text equals, fresh or stale, or NULL. Marks it as used. */
const struct object *hot_get(struct hot_table *t, const struct cache_key *key);
/* The same, and it does not count as a use. */
const struct object *hot_peek(struct hot_table *t, const struct cache_key *key);

/* Keeps the object's bytes in place until hot_unpin with the cookie that this returns, below 2^56.
 */
uint64_t hot_pin(struct hot_table *t, const struct object *o);
void hot_unpin(struct hot_table *t, uint64_t cookie);

/* A fill: head first (it holds key and field lines), then the body in pieces, then commit, which
 * replaces an older object of the key. capacity: the body's length when known, else (with
 * OBJECT_CHUNKED) the most that may come, as far as there is room for it. ST_TOOBIG, ST_FULL (no
 * segment is free). Several fills may be open at a time. */
struct hot_entry;
struct hot_fill {
	struct hot_entry *obj;   /* NULL when no fill is open */
	struct hot_table *table; /* set by hot_fill_begin: the one to append and commit to */
	uint64_t pin;
	uint64_t written; /* body bytes so far */
	uint64_t capacity;
	struct hash128 hash;
	bool judged; /* it has outlived every purge that this table knows: it is not asked again */
};
enum status hot_fill_begin(struct hot_table *t, struct hot_fill *f, const struct object *head,
                           uint64_t capacity);
enum status hot_fill_append(struct hot_table *t, struct hot_fill *f, struct span bytes);
/* Publishes the object. The body must be complete: body_len is set to what was written. Returns the
 * object as hot_get would, or NULL when a purge since its born_seq, hard or soft, took it. */
const struct object *hot_fill_commit(struct hot_table *t, struct hot_fill *f);
void hot_fill_abort(struct hot_table *t, struct hot_fill *f);

/* The highest number of a purge that was seen (cache/inval.h). */
uint64_t hot_purge_seq(const struct hot_table *t);
/* The highest born_seq of an object that was ever stored. */
uint64_t hot_born_max(const struct hot_table *t);
/* Takes effect at once: from here on nothing is found, nor stored, that was born before p->seq and
 * matches. A soft one makes it stale from now (hot_set_wall). Returns how many entries it hit by
 * now: of a key 0 or 1; of others 0, because what they hit is found when it is looked up, or by the
 * sweep. hash: of p->text, for INVAL_KEY. */
uint32_t hot_purge(struct hot_table *t, const struct inval_purge *p, struct hash128 hash);
/* Background work, for patterns and for who counts: looks at up to `slots` places of entries. False
 * when none is due. */
bool hot_sweep(struct hot_table *t, uint32_t slots);
/* Counts what the purge hits, until the sweep that this asks for has passed. False: HOT_TALLIES are
 * counted already. Call it before hot_purge. */
bool hot_tally_begin(struct hot_table *t, uint64_t seq);
/* False: not yet. True once: *hits is the count, and it is forgotten. */
bool hot_tally_end(struct hot_table *t, uint64_t seq, uint32_t *hits);
/* An entry of another core's table (cache/hot_remote.h): is it alive by all that its owner and t
 * know? ahead: the owner had seen every purge that t has seen, asked before the entry was looked up
 * (hot_is_ahead); then it costs a comparison, unless a purge is younger than the owner's last look
 * at the entry. */
struct hot_marks;
const struct hot_marks *hot_marks_of(const struct hot_table *owner);
bool hot_is_ahead(const struct hot_table *t, const struct hot_marks *owner);
bool hot_is_alive(const struct hot_table *t, const struct hot_marks *owner, bool ahead,
                  const struct object *o);

/* Walks live entries from *cursor (0 at first); NULL at the end. The table may change in between.
 * The objects have no hash. */
const struct object *hot_next(struct hot_table *t, uint64_t *cursor);
/* How often the object was used that hot_next gave with this cursor, as far as eviction counts: at
 * most 3. */
uint32_t hot_uses(const struct hot_table *t, uint64_t cursor);
uint32_t hot_count(const struct hot_table *t);

/* The wall clock, for dropping expired objects at eviction. Optional: without it the newest
 * response_ms of a fill is taken for the time. */
void hot_set_wall(struct hot_table *t, uint64_t wall_ms);

#endif
