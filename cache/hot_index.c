/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Buckets of one cache line. A key has two: it lies in its first unless that is full, and `over` of
 * the first says whether a look-up must go on to the second, so that most look-ups touch one line.
 */
#include "cache/hot_internal.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static struct hot_bucket *first_bucket(const struct hot_table *t, uint32_t hash)
{
	uint32_t i = hash & t->bucket_mask;

	return &t->buckets[i < t->bucket_count ? i : i & t->bucket_mask >> 1];
}

static struct hot_bucket *second_bucket(const struct hot_table *t, uint32_t hash)
{
	return first_bucket(t, hot_hash_other(hash));
}

/* A bit for each slot that holds the tag. */
static uint32_t match_tag(const struct hot_bucket *b, uint16_t tag)
{
#if defined(__SSE2__)
	__m128i tags = _mm_load_si128((const __m128i *)(const void *)b->tag);
	__m128i eq = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(eq, _mm_setzero_si128()));
#else
	uint32_t mask = 0;

	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++)
		mask |= (uint32_t)(b->tag[slot] == tag) << slot;
	return mask;
#endif
}

void hot_prefetch(const struct hot_table *t, struct hash128 hash)
{
	__builtin_prefetch(first_bucket(t, hot_hash_bits(hash)), 1);
}

void hot_prefetch_object(const struct hot_table *t, struct hash128 hash)
{
	const struct hot_bucket *b = first_bucket(t, hot_hash_bits(hash));
	uint32_t m = match_tag(b, hot_hash_tag(hash));

	if (m == 0 && b->over != 0) {
		__builtin_prefetch(second_bucket(t, hot_hash_bits(hash)), 1);
		return;
	}
	for (; m != 0; m &= m - 1) {
		const char *o = (const char *)hot_at(t, b->unit[__builtin_ctz(m)]);

		/* The head, the key, and of a small object the fields and the body. What lies
		 * behind the object, or behind the log, costs nothing but the fetch. */
		for (uint32_t line = 0; line < HOT_PREFETCH_LINES; line++)
			__builtin_prefetch(o + line * CACHE_LINE);
	}
}

void hot_walk_prefetch(const struct hot_table *t, const struct hot_bucket *b)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		const char *o = (const char *)hot_at(t, b->unit[slot]);

		if (b->tag[slot] == 0)
			continue;
		__builtin_prefetch(o);
		__builtin_prefetch(o + CACHE_LINE);
	}
}

static bool find_key(const struct hot_table *t, struct hot_bucket *b, const struct cache_key *key,
                     struct hot_place *out)
{
	for (uint32_t m = match_tag(b, hot_hash_tag(key->hash)); m != 0; m &= m - 1) {
		uint32_t slot = (uint32_t)__builtin_ctz(m);

		if (likely(hot_is_key(hot_at(t, b->unit[slot]), key))) {
			*out = (struct hot_place){b, slot};
			return true;
		}
	}
	return false;
}

bool hot_index_find(const struct hot_table *t, const struct cache_key *key, struct hot_place *out)
{
	uint32_t hash = hot_hash_bits(key->hash);
	struct hot_bucket *first = first_bucket(t, hash);

	if (find_key(t, first, key, out))
		return true;
	return first->over != 0 && find_key(t, second_bucket(t, hash), key, out);
}

static bool find_unit(struct hot_bucket *b, uint32_t unit, struct hot_place *out)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		if (b->unit[slot] == unit && b->tag[slot] != 0) {
			*out = (struct hot_place){b, slot};
			return true;
		}
	}
	return false;
}

bool hot_index_find_unit(const struct hot_table *t, const struct hot_entry *e,
                         struct hot_place *out)
{
	struct hot_bucket *first = first_bucket(t, e->hash);
	uint32_t unit = hot_unit_of(t, e);

	if (find_unit(first, unit, out))
		return true;
	return first->over != 0 && find_unit(second_bucket(t, e->hash), unit, out);
}

static void count_change(struct hot_table *t, const struct hot_entry *e, int sign)
{
	uint64_t bytes = hot_unit_bytes(t, hot_entry_units(t, e));

	if (sign > 0) {
		t->count++;
		t->bytes += bytes;
	} else {
		t->count--;
		t->bytes -= bytes;
	}
	if (t->segs[hot_seg_of(t, hot_unit_of(t, e))].queue == HOT_MAIN)
		t->main_count += sign > 0 ? 1u : UINT32_MAX;
	counter_set(t->ctr, CTR_cache_objects, t->count);
	counter_set(t->ctr, CTR_cache_bytes, t->bytes);
}

void hot_index_remove(struct hot_table *t, struct hot_place at)
{
	const struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);
	struct hot_bucket *first = first_bucket(t, e->hash);

	if (first != at.b)
		hot_over_add(first, UINT32_MAX);
	hot_slot_clear(at);
	count_change(t, e, -1);
}

static bool free_slot(struct hot_bucket *b, struct hot_place *out)
{
	uint32_t m = match_tag(b, 0);

	if (m == 0)
		return false;
	*out = (struct hot_place){b, (uint32_t)__builtin_ctz(m)};
	return true;
}

void hot_index_home(struct hot_table *t, struct hot_place *at)
{
	const struct hot_entry *e = hot_at(t, at->b->unit[at->slot]);
	struct hot_bucket *first = first_bucket(t, e->hash);
	struct hot_place to;

	if (first == at->b || !free_slot(first, &to))
		return;
	hot_slot_set(to, at->b->tag[at->slot], at->b->unit[at->slot], hot_freq(*at));
	hot_over_add(first, UINT32_MAX);
	hot_slot_clear(*at);
	*at = to;
}

bool hot_index_get(struct hot_table *t, const struct cache_key *key, struct hot_place *out)
{
	uint32_t hash = hot_hash_bits(key->hash);
	struct hot_bucket *first = first_bucket(t, hash);

	if (likely(find_key(t, first, key, out)))
		return true;
	if (first->over == 0 || !find_key(t, second_bucket(t, hash), key, out))
		return false;
	hot_index_home(t, out);
	return true;
}

/* Moves one entry of a full bucket to its other bucket, as cuckoo hashing does, but never further.
 */
static bool make_room(struct hot_table *t, struct hot_bucket *b, struct hot_place *out)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		const struct hot_entry *e = hot_at(t, b->unit[slot]);
		struct hot_bucket *first = first_bucket(t, e->hash);
		struct hot_bucket *other = first == b ? second_bucket(t, e->hash) : first;
		struct hot_place to;

		if (!free_slot(other, &to))
			continue;
		*out = (struct hot_place){b, slot};
		hot_slot_set(to, b->tag[slot], b->unit[slot], hot_freq(*out));
		hot_over_add(first, first == b ? 1u : UINT32_MAX);
		hot_slot_clear(*out);
		return true;
	}
	return false;
}

/* The least used entry of the bucket makes room. */
static struct hot_place evict_slot(struct hot_table *t, struct hot_bucket *b)
{
	struct hot_place at = {b, 0};

	for (uint32_t slot = 1; slot < HOT_SLOTS; slot++)
		if (hot_freq((struct hot_place){b, slot}) < hot_freq(at))
			at.slot = slot;
	hot_index_remove(t, at);
	counter_inc(t->ctr, CTR_cache_evict);
	return at;
}

/* --- growth --- */

/* A ghost: 11 bits of the tag over 5 bits of the time it was put. 0 is empty. */
#define GHOST_TIME_BITS 5u
#define GHOST_TIME_MASK ((1u << GHOST_TIME_BITS) - 1)

/* Of 64: buckets are split while more slots are taken, as far as there is room for buckets; another
 * segment is asked for when it would be many more. */
#define LOAD_SPLIT 40u
#define LOAD_FULL  56u
#define SPLITS_MAX 4u /* in one insertion */

void hot_index_sized(struct hot_table *t)
{
	bool room = t->bucket_count < t->bucket_room;
	uint64_t slots = (uint64_t)t->bucket_count * HOT_SLOTS;

	t->bucket_mask = hot_bucket_mask(t->bucket_count);
	t->split_at = (uint32_t)(slots * (room ? LOAD_SPLIT : LOAD_FULL) / 64);
	/* The clock of ghosts must not wrap before every ghost has been overwritten. */
	while (((uint64_t)t->bucket_count * HOT_GHOST_WAYS * 4 >> t->ghost_shift) > GHOST_TIME_MASK)
		t->ghost_shift++;
}

/* To which of two buckets an entry of the first belongs once there are count of them. */
static bool stays(const struct hot_table *t, const struct hot_entry *e, const struct hot_bucket *b,
                  uint32_t count)
{
	return hot_first_bucket(t->buckets, count, e->hash) == b ||
	       hot_second_bucket(t->buckets, count, e->hash) == b;
}

/* The next bucket takes from the one that it is split from. What moves is in both before the new
 * count is told, and leaves the old one afterwards: other cores find it at any time. Whose first
 * bucket is which of the two and lies elsewhere is not known: both count all of them. */
static void split(struct hot_table *t)
{
	uint32_t count = t->bucket_count;
	struct hot_bucket *to = &t->buckets[count];
	struct hot_bucket *from = &t->buckets[count - (1u << (31 - __builtin_clz(count)))];
	uint32_t moved = 0;

	memset(to, 0, sizeof(*to));
	to->over = from->over;
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		const struct hot_entry *e = hot_at(t, from->unit[slot]);
		struct hot_place at = {from, slot};

		if (from->tag[slot] == 0)
			continue;
		if (!stays(t, e, from, count + 1)) {
			hot_slot_set((struct hot_place){to, slot}, from->tag[slot],
			             from->unit[slot], hot_freq(at));
			moved |= 1u << slot;
		} else if (hot_first_bucket(t->buckets, count + 1, e->hash) == to) {
			to->over++;
		}
	}
	__atomic_store_n(&t->bucket_count, count + 1, __ATOMIC_RELEASE);
	for (; moved != 0; moved &= moved - 1)
		hot_slot_clear((struct hot_place){from, (uint32_t)__builtin_ctz(moved)});
}

static NOINLINE void grow(struct hot_table *t)
{
	for (uint32_t n = 0; n < SPLITS_MAX && t->count >= t->split_at; n++) {
		if (t->bucket_count == t->bucket_room) {
			hot_log_give(t);
			break;
		}
		split(t);
		hot_index_sized(t);
	}
}

void hot_index_insert(struct hot_table *t, const struct hot_entry *e, uint16_t tag, uint8_t freq)
{
	if (unlikely(t->count >= t->split_at))
		grow(t);

	struct hot_bucket *first = first_bucket(t, e->hash);
	struct hot_bucket *second = second_bucket(t, e->hash);
	struct hot_place at;

	if (!free_slot(first, &at) && !free_slot(second, &at) && !make_room(t, first, &at) &&
	    !make_room(t, second, &at))
		at = evict_slot(t, first);
	if (at.b != first)
		hot_over_add(first, 1);
	hot_slot_set(at, tag, hot_unit_of(t, e), freq);
	count_change(t, e, 1);
}

/* --- ghosts --- */

static uint16_t ghost_print(uint16_t tag)
{
	uint16_t print = (uint16_t)(tag << GHOST_TIME_BITS);

	return print != 0 ? print : 1u << GHOST_TIME_BITS;
}

static uint32_t ghost_age(const struct hot_table *t, uint16_t ghost)
{
	return ((t->ghost_clock >> t->ghost_shift) - ghost) & GHOST_TIME_MASK;
}

void hot_evict_prefetch(const struct hot_table *t, const struct hot_entry *e)
{
	__builtin_prefetch(first_bucket(t, e->hash), 1);
}

void hot_ghost_put(struct hot_table *t, uint32_t hash, uint16_t tag)
{
	uint16_t *g = first_bucket(t, hash)->ghosts;
	uint32_t now = t->ghost_clock >> t->ghost_shift & GHOST_TIME_MASK;
	uint32_t victim = 0;

	for (uint32_t i = 0; i < HOT_GHOST_WAYS; i++) {
		if (g[i] == 0) {
			victim = i;
			break;
		}
		if (ghost_age(t, g[i]) > ghost_age(t, g[victim]))
			victim = i;
	}
	g[victim] = (uint16_t)(ghost_print(tag) | now);
	t->ghost_clock++;
}

bool hot_ghost_take(struct hot_table *t, uint32_t hash, uint16_t tag)
{
	uint16_t *g = first_bucket(t, hash)->ghosts;
	uint16_t print = ghost_print(tag);

	for (uint32_t i = 0; i < HOT_GHOST_WAYS; i++) {
		if ((g[i] & ~GHOST_TIME_MASK) != print)
			continue;
		/* As many ghosts as the main queue has entries (S3-FIFO, section 4). */
		bool young = ghost_age(t, g[i]) <= (t->main_count >> t->ghost_shift) + 1;
		g[i] = 0;
		return young;
	}
	return false;
}
