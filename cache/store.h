/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The node store (L2): whole answers in control's memory, shared by all cores; it holds what came
 * from origins and from the shared store, also what is too large for the hot tables. Bounded bytes,
 * eviction by S3-FIFO (Yang et al., SOSP 2023), object by object. One thread; no I/O, no clock.
 *
 * An entry is immutable once it is stored, and lives until it was replaced, evicted or purged and
 * nobody holds it. The bound counts every byte that is allocated: entries, those that are only held
 * any more, and fills under way. So a fill may find no room, when too much is held.
 *
 * A variant (cache/vary.h) hangs on the list under its first key: it goes with the list, and is not
 * stored without one. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "cache/inval.h"
#include "cache/key.h"

struct store;

struct store_config {
	uint64_t memory_bytes;     /* entries with all that they cost, tables too; at least 1 MiB */
	uint64_t max_object_bytes; /* head and body of one */
	uint32_t max_variants;     /* of one key, from 1; the oldest goes */
};

#define STORE_MARKS 4u

/* The head (struct object, key, field lines, tags) and the body lie behind it. */
struct store_entry {
	uint32_t refs; /* of those who hold it */
	uint32_t head_len;
	uint8_t mark; /* store_mark; 0: none */
	uint64_t body_len;
	const struct object *head;
	const unsigned char *body;
};

enum status store_create(struct store **out, const struct store_config *cfg);
/* Nothing may be held and no fill be open. */
void store_destroy(struct store *s);

/* The entry, fresh or stale, held for the caller (store_drop); NULL: none. Marks it as used. Soft
 * purged: *stale is set. */
struct store_entry *store_get(struct store *s, struct span key_text, bool *stale);
/* The same without a mark and uncounted: for reports. */
struct store_entry *store_peek(struct store *s, struct span key_text, bool *stale);
/* One more holder. */
void store_hold(struct store_entry *e);
void store_drop(struct store_entry *e);

/* A new entry in two steps: room for the head (copied) and body_len bytes (UINT64_MAX: not known),
 * then commit, which replaces an older one of the key. Memory is claimed as the bytes come.
 * ST_TOOBIG: above max_object_bytes; ST_FULL: too much is held; ST_NOMEM. */
struct store_fill;
enum status store_fill_begin(struct store *s, const struct object *head, uint64_t body_len,
                             struct store_fill **out);
/* After an error the fill can only be aborted. ST_INVALID: more than body_len. */
enum status store_fill_append(struct store_fill *f, struct span bytes);
/* The entry, held for the caller, with the length of what was appended; or NULL when it is void by
 * a purge after born_seq, is shorter than body_len, or is a variant without a list. f is gone. */
struct store_entry *store_fill_commit(struct store_fill *f);
void store_fill_abort(struct store_fill *f);
/* Its key, and the bytes of body so far. */
struct span store_fill_key(const struct store_fill *f);
uint64_t store_fill_len(const struct store_fill *f);
/* All of it at once: for lists, marks, and what comes from the shared store. */
struct store_entry *store_put(struct store *s, const struct object *head, struct span body);

/* A stored answer with another head of the same key and the same body (304 that freshens, RFC 9111
 * 4.3.4), in place of e. Held for the caller; NULL: no room. It is not stored when a purge after
 * its born_seq made it void, or when another entry took e's place meanwhile; it can then still
 * answer who waited for it. */
struct store_entry *store_refresh(struct store *s, const struct store_entry *e,
                                  const struct object *head);

/* A mark, from 1 to STORE_MARKS - 1, stays on a stored entry until it is taken (0: there was none),
 * or lost with the entry or its freshness: was what somebody stored ahead of need ever needed? */
void store_mark(struct store_entry *e, uint8_t mark);
uint8_t store_mark_take(struct store_entry *e);

/* Takes the purge down (its number orders it against fills); how many entries it removed at once:
 * those of a key. The rest goes when it is looked up or swept. */
uint32_t store_purge(struct store *s, const struct inval_purge *p);
uint64_t store_seq(const struct store *s);
/* The number up to which no purge has hit an entry that is stored, hard or soft; 0: one has, or it
 * is not stored any more. The entry may go to another tier as one that was born then: purges up to
 * this number do not match it, or it would be gone or stale, and later ones will void it there. Its
 * own born_seq says less: in a tier that has forgotten which old purges there were (the floors of
 * cache/inval.h) it is too low for every key that shares a bucket. */
uint64_t store_live_seq(const struct store *s, const struct store_entry *e);
/* Has no purge after its born_seq hit an object with this head, that is not stored? */
bool store_is_live(const struct store *s, const struct object *head);
/* Background work: looks at up to n entries and removes what is void, or has expired and is of no
 * use for validation; false when no walk is due (after a pattern, and once a minute). */
bool store_sweep(struct store *s, uint32_t n, uint64_t wall_ms);

/* Walks entries from *cursor (0 at first); NULL at the end. Not held: valid until the next call. */
const struct store_entry *store_next(struct store *s, uint64_t *cursor);

struct store_counts {
	uint64_t entries;
	uint64_t bytes;       /* of entries, fills and tables */
	uint64_t limit_bytes; /* memory_bytes */
	uint64_t hits;        /* entries found, stale ones too */
	uint64_t misses;
	uint64_t fills;
	uint64_t refreshed;  /* heads replaced */
	uint64_t fills_void; /* refused: purged since their request left */
	uint64_t fills_lost; /* aborted, without room, or a variant without its list */
	uint64_t evicted;
	uint64_t expired; /* removed by the sweep */
	uint64_t purged;  /* removed by a purge, at once or when it was met */
	uint64_t too_big;
	uint64_t variants_dropped; /* the oldest of more than max_variants */
	uint64_t marked[STORE_MARKS];     /* entries with the mark, now */
	uint64_t marks_lost[STORE_MARKS]; /* marks that nobody took */
};
void store_counts(const struct store *s, struct store_counts *out);

#endif
