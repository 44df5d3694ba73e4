/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the hot tables keep of an object: 36 bytes, then the object's text and body as they are
 * (cache/object.h). Used by cache/hot_*.c alone; whoever asks a table gets a struct object that is
 * made of the entry when it is found.
 *
 * It must never say more than the object said, so what does not fit errs to the safe side:
 *   times      milliseconds, exact, to the year 2109. Age and time of receipt are one number: when
 *              the origin made it, after RFC 9111 4.2.3
 *   lifetime   exact up to 24 days, then whole seconds, rounded down, at most 59 years;
 *              one without an end has none
 *   grace      stale-while-revalidate, stale-if-error: 8 significant bits, rounded down: exact up
 *              to 255 s, then less than 1 % short
 *   born_seq   up to 2^52 - 1 (control's numbers begin at the time in microseconds: to the year
 *              2112); a later one counts as that one: more purges take the object, not fewer
 *   hash       22 bits, which choose the buckets; the index has 16 more of it. Keys are compared by
 *              their text
 *   ETag, Last-Modified   whether there are; their places in the lines are looked for when asked
 *
 * An entry never changes once it is in the index, but for life and mark, which are written and read
 * by atomic accesses, since other cores read entries (cache/hot_remote.h).
 *
 * What lies between two entries of a segment begins with a word that is no lifetime and says how
 * long it is. */
#ifndef CACHE_HOT_ENTRY_H
#define CACHE_HOT_ENTRY_H

#include "cache/object.h"

struct hot_entry {
	uint32_t life; /* from made; the form of a word of a gap tells it from that */
	uint32_t mark; /* which purges it has outlived (struct hot_marks), over 10 bits of born_seq
	                */
	uint32_t body_len;
	uint32_t made_lo;
	uint32_t born_lo;
	uint32_t made_hi : 10, hash : 22;
	uint32_t flags : 14, fields_len : 14, has_etag : 1, has_last_modified : 1, spare : 2;
	uint32_t key_len : 12, tag_count : 8, stale_error : 12;
	uint32_t stale_while : 12, born_hi : 10, status : 10;
};
static_assert(sizeof(struct hot_entry) == 36, "docs/decisions/shared-hot-tables.md counts on it");
static_assert(OBJECT_TAGS_MAX < 1u << 8, "tag_count");

#define HOT_FIELDS_MAX ((1u << 14) - 1)
#define HOT_FLAGS_MAX  ((1u << 14) - 1)
#define HOT_HASH_BITS  22u
#define HOT_MARK_UNIT  (1u << 10) /* marks count in these; what is below is not theirs */

#define HOT_LIFE_SECONDS (1u << 31)  /* the rest is in seconds */
#define HOT_LIFE_ENDED   0xefffffffu /* no time is early enough */
#define HOT_LIFE_NEVER   0xeffffffeu /* UINT64_MAX: lists of variants have no time */
#define HOT_LIFE_S_MAX   0x6ffffffdu /* what lies above is a gap */
#define HOT_GAP          0xf0000000u /* the rest is its length in units */
#define HOT_GAP_MAX      (UINT32_MAX - HOT_GAP)
#define HOT_MADE_MAX     ((1ull << 42) - 1)
#define HOT_BORN_MAX     ((1ull << 52) - 1)

static inline uint32_t hot_life_pack(uint64_t made_ms, uint64_t expires_ms)
{
	uint64_t ms = expires_ms - made_ms;

	if (expires_ms < made_ms)
		return HOT_LIFE_ENDED;
	if (expires_ms == UINT64_MAX)
		return HOT_LIFE_NEVER;
	if (ms < HOT_LIFE_SECONDS)
		return (uint32_t)ms;
	return HOT_LIFE_SECONDS | (uint32_t)min_u64(ms / 1000, HOT_LIFE_S_MAX);
}

static inline uint64_t hot_life_expires_ms(uint64_t made_ms, uint32_t life)
{
	if (likely(life < HOT_LIFE_SECONDS))
		return made_ms + life;
	if (life == HOT_LIFE_NEVER)
		return UINT64_MAX;
	if (life == HOT_LIFE_ENDED)
		return 0;
	return made_ms + (life - HOT_LIFE_SECONDS) * 1000ull;
}

/* Five bits of exponent over seven of the digits behind the first. */
static inline uint32_t hot_grace_pack(uint32_t s)
{
	uint32_t top = 31u - (uint32_t)__builtin_clz(s | 1);

	if (top < 7)
		return s;
	return (top - 6) << 7 | (s >> (top - 7) & 127);
}

static inline uint32_t hot_grace_s(uint32_t packed)
{
	uint32_t exponent = packed >> 7;

	return exponent == 0 ? packed : (128 + (packed & 127)) << (exponent - 1);
}

static inline uint32_t hot_hash_bits(struct hash128 h)
{
	return (uint32_t)(h.lo >> (64 - HOT_HASH_BITS));
}

static inline const char *hot_entry_text(const struct hot_entry *e)
{
	return (const char *)(e + 1);
}

static inline size_t hot_entry_head_bytes(const struct hot_entry *e)
{
	return sizeof(*e) + e->key_len + e->fields_len + e->tag_count * sizeof(uint32_t);
}

static inline uint64_t hot_entry_made_ms(const struct hot_entry *e)
{
	return (uint64_t)e->made_hi << 32 | e->made_lo;
}

static inline uint64_t hot_entry_born_seq(const struct hot_entry *e)
{
	uint64_t high = __atomic_load_n(&e->mark, __ATOMIC_RELAXED) & (HOT_MARK_UNIT - 1);

	return high << 42 | (uint64_t)e->born_hi << 32 | e->born_lo;
}

/* By acquire and release: who sees a new mark sees what that look did to the lifetime. */
static inline uint32_t hot_entry_mark(const struct hot_entry *e)
{
	return __atomic_load_n(&e->mark, __ATOMIC_ACQUIRE) & ~(HOT_MARK_UNIT - 1);
}

static inline void hot_entry_mark_set(struct hot_entry *e, uint32_t mark)
{
	__atomic_store_n(&e->mark, mark | (e->mark & (HOT_MARK_UNIT - 1)), __ATOMIC_RELEASE);
}

static inline uint64_t hot_entry_expires_ms(const struct hot_entry *e)
{
	return hot_life_expires_ms(hot_entry_made_ms(e),
	                           __atomic_load_n(&e->life, __ATOMIC_RELAXED));
}

/* The object, without its hash: who found it knows that. Its bytes stay where they are. Into an o
 * that was all zero at first: what is always zero is not written again. */
static inline void hot_entry_view(const struct hot_entry *e, struct object *o)
{
	uint64_t made_ms = hot_entry_made_ms(e);

	o->response_ms = made_ms;
	o->expires_ms = hot_life_expires_ms(made_ms, __atomic_load_n(&e->life, __ATOMIC_RELAXED));
	o->body_len = e->body_len;
	o->born_seq = hot_entry_born_seq(e);
	o->stale_while_s = o->stale_error_s = 0;
	if ((e->stale_while | e->stale_error) != 0) {
		o->stale_while_s = hot_grace_s(e->stale_while);
		o->stale_error_s = hot_grace_s(e->stale_error);
	}
	o->key_len = e->key_len;
	o->fields_len = e->fields_len;
	o->etag_len = e->has_etag ? OBJECT_IN_LINES : 0;
	o->last_modified_len = e->has_last_modified ? OBJECT_IN_LINES : 0;
	o->status = e->status;
	o->flags = e->flags;
	o->tag_count = e->tag_count;
	o->text = hot_entry_text(e);
}

/* Of an object that a table gave. */
static inline struct hot_entry *hot_entry_of(const struct object *o)
{
	return (struct hot_entry *)(void *)(uintptr_t)(o->text - sizeof(struct hot_entry));
}

/* The head alone; body_len and mark are the table's to set. False: it does not fit. */
bool hot_entry_make(struct hot_entry *e, const struct object *o);

#endif
