/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Buckets of one cache line. A key has two: it lies in its first unless that is full, and `over` of
 * the first says whether a look-up must go on to the second, so that most look-ups touch one line.
 */
#include "cache/hot_internal.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static struct hot_bucket *first_bucket(const struct hot_table *t, struct hash128 h)
{
	return hot_first_bucket(t->buckets, t->bucket_count, h);
}

static struct hot_bucket *second_bucket(const struct hot_table *t, struct hash128 h)
{
	return hot_second_bucket(t->buckets, t->bucket_count, h);
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
	__builtin_prefetch(first_bucket(t, hash), 1);
}

void hot_prefetch_object(const struct hot_table *t, struct hash128 hash)
{
	const struct hot_bucket *b = first_bucket(t, hash);
	uint32_t m = match_tag(b, hot_hash_tag(hash));

	if (m == 0 && b->over != 0) {
		__builtin_prefetch(second_bucket(t, hash), 1);
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
		const struct object *o = hot_at(t, b->unit[slot]);

		if (hash128_eq(o->hash, key->hash) && span_eq(object_key(o), key->text)) {
			*out = (struct hot_place){b, slot};
			return true;
		}
	}
	return false;
}

bool hot_index_find(const struct hot_table *t, const struct cache_key *key, struct hot_place *out)
{
	struct hot_bucket *first = first_bucket(t, key->hash);

	if (find_key(t, first, key, out))
		return true;
	return first->over != 0 && find_key(t, second_bucket(t, key->hash), key, out);
}

static bool find_unit(struct hot_bucket *b, uint16_t tag, uint32_t unit, struct hot_place *out)
{
	for (uint32_t m = match_tag(b, tag); m != 0; m &= m - 1) {
		uint32_t slot = (uint32_t)__builtin_ctz(m);

		if (b->unit[slot] == unit) {
			*out = (struct hot_place){b, slot};
			return true;
		}
	}
	return false;
}

bool hot_index_find_unit(const struct hot_table *t, const struct object *o, struct hot_place *out)
{
	struct hot_bucket *first = first_bucket(t, o->hash);
	uint16_t tag = hot_hash_tag(o->hash);
	uint32_t unit = hot_unit_of(t, o);

	if (find_unit(first, tag, unit, out))
		return true;
	return first->over != 0 && find_unit(second_bucket(t, o->hash), tag, unit, out);
}

static void count_change(struct hot_table *t, const struct object *o, int sign)
{
	uint64_t bytes = (uint64_t)o->pad * HOT_UNIT_BYTES;

	if (sign > 0) {
		t->count++;
		t->bytes += bytes;
	} else {
		t->count--;
		t->bytes -= bytes;
	}
	if (t->segs[hot_seg_of(t, hot_unit_of(t, o))].queue == HOT_MAIN)
		t->main_count += sign > 0 ? 1u : UINT32_MAX;
	counter_set(t->ctr, CTR_cache_objects, t->count);
	counter_set(t->ctr, CTR_cache_bytes, t->bytes);
}

void hot_index_remove(struct hot_table *t, struct hot_place at)
{
	const struct object *o = hot_at(t, at.b->unit[at.slot]);
	struct hot_bucket *first = first_bucket(t, o->hash);

	if (first != at.b)
		hot_over_add(first, UINT32_MAX);
	hot_slot_clear(at);
	count_change(t, o, -1);
}

static bool free_slot(struct hot_bucket *b, struct hot_place *out)
{
	uint32_t m = match_tag(b, 0);

	if (m == 0)
		return false;
	*out = (struct hot_place){b, (uint32_t)__builtin_ctz(m)};
	return true;
}

/* Moves one entry of a full bucket to its other bucket, as cuckoo hashing does, but never further.
 */
static bool make_room(struct hot_table *t, struct hot_bucket *b, struct hot_place *out)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		const struct object *o = hot_at(t, b->unit[slot]);
		struct hot_bucket *first = first_bucket(t, o->hash);
		struct hot_bucket *other = first == b ? second_bucket(t, o->hash) : first;
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

void hot_index_insert(struct hot_table *t, const struct object *o, uint8_t freq)
{
	struct hot_bucket *first = first_bucket(t, o->hash);
	struct hot_bucket *second = second_bucket(t, o->hash);
	struct hot_place at;

	if (!free_slot(first, &at) && !free_slot(second, &at) && !make_room(t, first, &at) &&
	    !make_room(t, second, &at))
		at = evict_slot(t, first);
	if (at.b != first)
		hot_over_add(first, 1);
	hot_slot_set(at, hot_hash_tag(o->hash), hot_unit_of(t, o), freq);
	count_change(t, o, 1);
}

/* A ghost: 20 bits of the hash over 12 bits of the time it was put. 0 is empty. */
#define GHOST_TIME_MASK 0xfffu

static uint32_t *ghost_bucket(const struct hot_table *t, struct hash128 h)
{
	return &t->ghosts[((h.hi >> 32) * t->ghost_buckets >> 32) * HOT_GHOST_WAYS];
}

static uint32_t ghost_print(struct hash128 h)
{
	uint32_t print = (uint32_t)(h.hi >> 16) << 12;

	return print != 0 ? print : 1u << 12;
}

static uint32_t ghost_age(const struct hot_table *t, uint32_t ghost)
{
	return ((t->ghost_clock >> t->ghost_shift) - ghost) & GHOST_TIME_MASK;
}

void hot_evict_prefetch(const struct hot_table *t, struct hash128 hash)
{
	hot_prefetch(t, hash);
	__builtin_prefetch(ghost_bucket(t, hash), 1);
}

void hot_ghost_put(struct hot_table *t, struct hash128 hash)
{
	uint32_t *g = ghost_bucket(t, hash);
	uint32_t victim = 0;

	for (uint32_t i = 0; i < HOT_GHOST_WAYS; i++) {
		if (g[i] == 0) {
			victim = i;
			break;
		}
		if (ghost_age(t, g[i]) > ghost_age(t, g[victim]))
			victim = i;
	}
	g[victim] = ghost_print(hash) | ((t->ghost_clock >> t->ghost_shift) & GHOST_TIME_MASK);
	t->ghost_clock++;
}

bool hot_ghost_take(struct hot_table *t, struct hash128 hash)
{
	uint32_t *g = ghost_bucket(t, hash);
	uint32_t print = ghost_print(hash);

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
