/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Inside of the hot table, shared by hot_table.c (fills, look-up), hot_index.c (buckets, ghosts),
 * hot_log.c (segments, eviction) and hot_purge.c. Nobody else includes it, except tests that look
 * at the inside.
 *
 *   memory:  struct hot_table | struct hot_seg[] | struct hot_bucket[] | log
 *   log:     segment 0 | segment 1 | ...          all of the same size
 *   segment: entry | entry | gap | entry | ... | unused tail
 *
 * An entry (cache/hot_entry.h) begins on a unit of 4 bytes, in tables beyond 16 GiB of 16, and its
 * lengths say where the next one begins. It is live exactly when a slot of its bucket holds its
 * unit number: replaced and purged entries need no mark of their own. What fills took and did not
 * use is a gap.
 *
 * The index grows with the entries that there are, bucket by bucket (W. Litwin, Linear Hashing,
 * VLDB 1980), and takes the segments next to it, the lowest ones, out of the log for that. */
#ifndef CACHE_HOT_INTERNAL_H
#define CACHE_HOT_INTERNAL_H

#include "cache/hot_entry.h"
#include "cache/hot_table.h"
#include "cache/inval.h"
#include "lib/shm.h"

#define HOT_UNIT_SHIFT     2u
#define HOT_UNIT_SHIFT_BIG 4u /* where units of 4 bytes are too many */
#define HOT_SLOTS          8u /* of a bucket */
#define HOT_FREQ_MAX       3u /* as in S3-FIFO: two bits of use */
#define HOT_GHOST_WAYS     3u /* of a bucket */
#define HOT_PREFETCH_LINES 5u /* of an object: head, key, and of a small one the rest */
#define HOT_NO_SEG         UINT32_MAX
#define HOT_GEN_MASK       0xffffffu /* of a segment's reuses, in cookies */
#define HOT_INVAL_SHARE    512u      /* bytes of memory to one slot of what remembers purges */
#define HOT_INVAL_MAX      65536u
#define HOT_TALLIES        8u
#define HOT_SLOT_BYTES     1792u /* of the log to one slot of the index as it begins */
#define HOT_LOG_LEAST      4u    /* the index takes at most one segment in so many */
#define HOT_BUCKETS_MAX    (1u << HOT_HASH_BITS)
#define HOT_SEGS_WANTED    64u
#define HOT_SEGS_LEAST     16u /* what large objects may bring it down to */
#define HOT_SEGS_MIN       8u
#define HOT_SEG_BYTES      (256u << 10) /* aimed at: bounds the stall of one eviction */
#define HOT_SCAN_MAX       64u          /* pinned segments looked at before ST_FULL */

/* Written by the owner alone, by atomic stores, since other cores read it (hot_remote.h); but for
 * freq, which a reader raises too. It is a hint: a count that got lost costs nothing. */
struct hot_bucket {
	uint16_t tag[HOT_SLOTS]; /* 0: empty */
	uint32_t unit[HOT_SLOTS];
	uint8_t freq[HOT_SLOTS];
	/* At least as many entries have this for their first bucket and lie in their second. */
	uint16_t over;
	uint16_t ghosts[HOT_GHOST_WAYS]; /* the owner's alone */
} ALIGNED(CACHE_LINE);
static_assert(sizeof(struct hot_bucket) == CACHE_LINE, "a bucket is one cache line");

struct hot_seg {
	uint32_t next; /* newer segment of the queue, or next free one */
	uint32_t used; /* units */
	uint32_t pins;
	uint32_t gen;  /* counts reuses: catches a stale cookie */
	uint8_t queue; /* enum hot_queue_id */
};

enum hot_queue_id { HOT_SMALL, HOT_MAIN, HOT_FREE, HOT_QUEUES, HOT_INDEX = HOT_QUEUES };

/* Segments in a chain from the oldest to the newest. */
struct hot_queue {
	uint32_t oldest;
	uint32_t newest;
	uint32_t open; /* takes new entries, or HOT_NO_SEG */
	uint32_t count;
};

/* Purges that a look at an entry must find are counted, and each entry bears the count at which it
 * was looked at last (object.mark): nearly always the present one, and then a look-up costs one
 * comparison. Tagged entries and variants have a count of their own, told by the top bit: a purge
 * of a tag is nothing to the others. Other cores read the counts. */
struct hot_marks {
	uint32_t now[2];
	uint64_t seq; /* purges that have taken effect here */
} ALIGNED(CACHE_LINE);
#define HOT_MARK_TAGGED (1u << 31)

struct hot_sweep {
	bool active;
	uint32_t bucket;     /* the next one */
	uint32_t begun[2];   /* marks when it began */
	uint32_t covered[2]; /* and when the last whole one began */
	uint64_t seq;        /* purges that it covers */
	uint64_t done_seq;   /* purges that the last whole one covered */
};

/* How many entries a purge hit so far. */
struct hot_tally {
	bool used;
	uint64_t seq;
	uint32_t hits;
};

struct hot_table {
	struct hot_bucket *buckets;
	char *log;
	uint32_t bucket_count; /* other cores read it */
	uint32_t bucket_mask;  /* below the power of two that is not less than bucket_count */
	uint32_t bucket_room;  /* what it may rise to without another segment */
	uint32_t split_at;     /* entries from which on a bucket is split */
	uint32_t seg_first;    /* segments below are the index's */
	uint32_t seg_count;
	uint32_t seg_units;
	uint32_t unit_shift;
	uint32_t small_target; /* segments */
	struct hot_seg *segs;
	uint32_t *remote_pins; /* a row of hot_pin_row() counts for each reader */
	uint32_t readers;
	uint32_t ghost_clock ALIGNED(CACHE_LINE); /* ghosts put so far */
	uint32_t ghost_shift;                     /* ghost_clock to the 5 bits of an entry */
	bool giving;                              /* seg_first is for the index, when it is free */
	uint32_t main_count;                      /* live entries in the main queue */
	uint32_t count;                           /* live entries */
	uint32_t max_object_bytes;
	uint64_t bytes;   /* of live entries, in whole units */
	uint64_t wall_ms; /* for expiry at eviction */
	bool wall_given;  /* by hot_set_wall; else the newest response time is used */
	struct hot_queue queues[HOT_QUEUES];
	struct counters *ctr;
	struct shm shm;
	struct inval *inval;
	struct hot_marks marks;
	uint64_t born_max;
	struct hot_sweep sweep;
	struct hot_tally tallies[HOT_TALLIES];
	/* What the table gave last: by hot_get, hot_peek, hot_next, hot_fill_commit. */
	struct object found ALIGNED(CACHE_LINE);
	struct object peeked;
	struct object walked;
	struct object stored;
};

static inline struct hot_entry *hot_at(const struct hot_table *t, uint32_t unit)
{
	return (struct hot_entry *)(void *)(t->log + ((size_t)unit << t->unit_shift));
}

static inline uint32_t hot_unit_of(const struct hot_table *t, const struct hot_entry *e)
{
	return (uint32_t)((size_t)((const char *)e - t->log) >> t->unit_shift);
}

static inline uint32_t hot_units(const struct hot_table *t, uint64_t bytes)
{
	return (uint32_t)((bytes + (1u << t->unit_shift) - 1) >> t->unit_shift);
}

static inline uint64_t hot_unit_bytes(const struct hot_table *t, uint64_t units)
{
	return units << t->unit_shift;
}

static inline uint32_t hot_entry_units(const struct hot_table *t, const struct hot_entry *e)
{
	return hot_units(t, hot_entry_head_bytes(e) + (uint64_t)e->body_len);
}

static inline bool hot_is_gap(const struct hot_entry *e)
{
	return e->life >= HOT_GAP;
}

/* Counts from one reader's row to the next: rows share no cache line. */
static inline size_t hot_pin_row(uint32_t seg_count)
{
	return align_up(seg_count, CACHE_LINE / sizeof(uint32_t));
}

static inline uint32_t hot_seg_of(const struct hot_table *t, uint32_t unit)
{
	return unit / t->seg_units;
}

/* Where a live entry stands in the index. */
struct hot_place {
	struct hot_bucket *b;
	uint32_t slot;
};

/* What two cores share. Tag and unit: whoever reads one by acquire sees what was written before
 * it, above all the entry. */
static inline void hot_slot_set(struct hot_place at, uint16_t tag, uint32_t unit, uint8_t freq)
{
	__atomic_store_n(&at.b->unit[at.slot], unit, __ATOMIC_RELEASE);
	__atomic_store_n(&at.b->freq[at.slot], freq, __ATOMIC_RELAXED);
	__atomic_store_n(&at.b->tag[at.slot], tag, __ATOMIC_RELEASE);
}

static inline void hot_slot_clear(struct hot_place at)
{
	__atomic_store_n(&at.b->tag[at.slot], 0, __ATOMIC_RELEASE);
}

static inline void hot_over_add(struct hot_bucket *b, uint32_t n)
{
	__atomic_store_n(&b->over, (uint16_t)(b->over + n), __ATOMIC_RELAXED);
}

static inline uint8_t hot_freq(struct hot_place at)
{
	return __atomic_load_n(&at.b->freq[at.slot], __ATOMIC_RELAXED);
}

/* One more use. A store to a line that others read only when it changes something. */
static inline void hot_use(struct hot_place at)
{
	uint8_t freq = hot_freq(at);

	if (freq < HOT_FREQ_MAX)
		__atomic_store_n(&at.b->freq[at.slot], (uint8_t)(freq + 1), __ATOMIC_RELAXED);
}

static inline uint16_t hot_hash_tag(struct hash128 h)
{
	uint16_t tag = (uint16_t)h.hi;

	return tag != 0 ? tag : 1;
}

static inline uint32_t hot_bucket_mask(uint32_t count)
{
	return (2u << (31 - __builtin_clz(count))) - 1;
}

/* Of count buckets, all below the power of two, and those that were split already. hash:
 * hot_hash_bits. */
static inline struct hot_bucket *hot_first_bucket(struct hot_bucket *b, uint32_t count,
                                                  uint32_t hash)
{
	uint32_t mask = hot_bucket_mask(count);
	uint32_t i = hash & mask;

	return &b[i < count ? i : i & mask >> 1];
}

static inline bool hot_is_key(const struct hot_entry *e, const struct cache_key *key)
{
	return e->hash == hot_hash_bits(key->hash) &&
	       span_eq(span_of(hot_entry_text(e), e->key_len), key->text);
}

/* Chooses the second bucket: for keys of one first bucket it is any. */
static inline uint32_t hot_hash_other(uint32_t hash)
{
	uint32_t mixed = (hash + 1) * 0x9e3779b1u;

	return mixed ^ mixed >> 16;
}

static inline struct hot_bucket *hot_second_bucket(struct hot_bucket *b, uint32_t count,
                                                   uint32_t hash)
{
	return hot_first_bucket(b, count, hot_hash_other(hash));
}

/* index */
bool hot_index_find(const struct hot_table *t, const struct cache_key *key, struct hot_place *out);
/* The same for a get: brings an entry home that lies in its second bucket. */
bool hot_index_get(struct hot_table *t, const struct cache_key *key, struct hot_place *out);
/* Into its first bucket, if that has room: splitting makes it. */
void hot_index_home(struct hot_table *t, struct hot_place *at);
/* By position instead of by key. */
bool hot_index_find_unit(const struct hot_table *t, const struct hot_entry *e,
                         struct hot_place *out);
/* Always finds a slot: at worst an entry of little use goes (counted as evicted). */
void hot_index_insert(struct hot_table *t, const struct hot_entry *e, uint16_t tag, uint8_t freq);
/* Takes the entry out of the index and of the counts. */
void hot_index_remove(struct hot_table *t, struct hot_place at);
/* After bucket_count or bucket_room has changed. */
void hot_index_sized(struct hot_table *t);
/* Bucket and ghosts of an entry that is about to be evicted. */
void hot_evict_prefetch(const struct hot_table *t, const struct hot_entry *e);
/* The objects of a bucket that a walk comes to soon. */
void hot_walk_prefetch(const struct hot_table *t, const struct hot_bucket *b);
/* hash: hot_hash_bits. */
void hot_ghost_put(struct hot_table *t, uint32_t hash, uint16_t tag);
/* Was the key evicted from the small queue lately? Forgets it. */
bool hot_ghost_take(struct hot_table *t, uint32_t hash, uint16_t tag);

/* log */
void hot_log_init(struct hot_table *t);
/* The lowest segment is for the index: at once, or as soon as it is evicted. */
void hot_log_give(struct hot_table *t);
/* Room for an entry in the queue, evicting when there is no free segment; NULL when all are pinned.
 */
struct hot_entry *hot_log_alloc(struct hot_table *t, enum hot_queue_id queue, uint32_t units);
/* An entry that took so many units keeps that many of them, 0: none. */
void hot_log_shrink(struct hot_table *t, struct hot_entry *e, uint32_t units, uint32_t keep);

/* purge */
/* The mark of an entry that is stored now. */
uint32_t hot_mark_now(const struct hot_table *t, const struct hot_entry *e);
/* A look at an entry whose mark is old. */
bool hot_purge_look(struct hot_table *t, struct hot_place at);
/* False when a purge took the entry, and it is gone. */
static inline bool hot_look(struct hot_table *t, struct hot_place at)
{
	const struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);

	uint32_t mark = hot_entry_mark(e);

	return likely(mark == t->marks.now[mark >> 31]) || hot_purge_look(t, at);
}

#endif
