/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The order that makes it right. A reader: raise the count of the segment; fence; read the slot
 * again; only then look at the entry. The owner, before it uses a segment anew: clear every slot
 * that names it; fence; read the counts. Both fences are sequentially consistent, so one of them is
 * first. If the reader's is, the owner sees the count and leaves the segment alone. If the owner's
 * is, the reader sees the cleared slot, or an entry that was put there later, and which the owner
 * cannot take away without seeing the count. */
#include "cache/hot_remote.h"

#include "cache/hot_internal.h"

/* Between any two steps of a look-up the owner may do anything: a test does. */
#ifdef HOT_REMOTE_STEP
void HOT_REMOTE_STEP(void);
#else
#define HOT_REMOTE_STEP() ((void)0)
#endif

void hot_remote_open(struct hot_remote *out, struct hot_table *t, uint32_t reader)
{
	assert(reader < t->readers);
	*out = (struct hot_remote){
	        .buckets = t->buckets,
	        .log = t->log,
	        .pins = t->remote_pins + reader * hot_pin_row(t->seg_count),
	        .bucket_count = &t->bucket_count,
	        .seg_units = t->seg_units,
	        .unit_shift = t->unit_shift,
	};
}

uint32_t hot_place_of(const struct hot_table *t, const struct object *o)
{
	return hot_unit_of(t, hot_entry_of(o));
}

/* By acquire: the buckets below are made. */
static uint32_t bucket_count(const struct hot_remote *r)
{
	return __atomic_load_n(r->bucket_count, __ATOMIC_ACQUIRE);
}

void hot_remote_prefetch(const struct hot_remote *r, struct hash128 hash)
{
	__builtin_prefetch(hot_first_bucket(r->buckets, bucket_count(r), hot_hash_bits(hash)));
}

static const struct hot_entry *entry_at(const struct hot_remote *r, uint32_t unit)
{
	return (const void *)(r->log + ((size_t)unit << r->unit_shift));
}

void hot_remote_prefetch_object(const struct hot_remote *r, struct hash128 hash)
{
	const struct hot_bucket *b =
	        hot_first_bucket(r->buckets, bucket_count(r), hot_hash_bits(hash));
	uint16_t tag = hot_hash_tag(hash);

	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		if (__atomic_load_n(&b->tag[slot], __ATOMIC_RELAXED) != tag)
			continue;
		const char *o = (const char *)entry_at(
		        r, __atomic_load_n(&b->unit[slot], __ATOMIC_RELAXED));

		for (uint32_t line = 0; line < HOT_PREFETCH_LINES; line++)
			__builtin_prefetch(o + line * CACHE_LINE);
	}
}

static void hold_take(const struct hot_remote *r, uint32_t seg)
{
	/* The reader alone writes its counts: no locked instruction but the fence. */
	__atomic_store_n(&r->pins[seg], r->pins[seg] + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void hot_remote_again(const struct hot_remote *r, uint32_t hold)
{
	/* It is held already: the owner has seen that, and cannot see less than one. */
	__atomic_store_n(&r->pins[hold], r->pins[hold] + 1, __ATOMIC_RELAXED);
}

void hot_remote_drop(const struct hot_remote *r, uint32_t hold)
{
	/* Release: the owner that sees the count gone may write where this core has read. */
	__atomic_store_n(&r->pins[hold], r->pins[hold] - 1, __ATOMIC_RELEASE);
}

static uint16_t slot_tag(const struct hot_bucket *b, uint32_t slot)
{
	return __atomic_load_n(&b->tag[slot], __ATOMIC_ACQUIRE);
}

static uint32_t slot_unit(const struct hot_bucket *b, uint32_t slot)
{
	return __atomic_load_n(&b->unit[slot], __ATOMIC_ACQUIRE);
}

/* Holds what the slot names, if it still does once it is held: see above. */
static const struct hot_entry *slot_hold(const struct hot_remote *r, struct hot_place at,
                                         uint16_t tag, uint32_t *hold)
{
	uint32_t unit = slot_unit(at.b, at.slot);

	*hold = unit / r->seg_units;
	HOT_REMOTE_STEP();
	hold_take(r, *hold);
	HOT_REMOTE_STEP();
	if (likely(slot_tag(at.b, at.slot) == tag && slot_unit(at.b, at.slot) == unit))
		return entry_at(r, unit);
	hot_remote_drop(r, *hold);
	return NULL;
}

static const struct hot_entry *bucket_get(const struct hot_remote *r, struct hot_bucket *b,
                                          const struct cache_key *key, uint32_t *hold)
{
	uint16_t tag = hot_hash_tag(key->hash);

	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		struct hot_place at = {b, slot};

		if (likely(slot_tag(b, slot) != tag))
			continue;
		HOT_REMOTE_STEP();
		const struct hot_entry *e = slot_hold(r, at, tag, hold);
		if (e == NULL)
			continue;
		if (likely(hot_is_key(e, key))) {
			hot_use(at);
			return e;
		}
		hot_remote_drop(r, *hold);
	}
	return NULL;
}

static const struct object *found(struct hot_remote *r, const struct hot_entry *e,
                                  struct hash128 hash)
{
	if (e == NULL)
		return NULL;
	hot_entry_view(e, &r->found);
	r->found.hash = hash;
	return &r->found;
}

const struct object *hot_remote_get(struct hot_remote *r, const struct cache_key *key,
                                    uint32_t *hold)
{
	uint32_t hash = hot_hash_bits(key->hash);
	struct hot_bucket *first = hot_first_bucket(r->buckets, bucket_count(r), hash);
	const struct hot_entry *e = bucket_get(r, first, key, hold);

	if (e == NULL && __atomic_load_n(&first->over, __ATOMIC_RELAXED) != 0)
		e = bucket_get(r, hot_second_bucket(r->buckets, bucket_count(r), hash), key, hold);
	return found(r, e, key->hash);
}

static const struct hot_entry *bucket_at(const struct hot_remote *r, struct hot_bucket *b,
                                         uint16_t tag, uint32_t unit, uint32_t *hold)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		struct hot_place at = {b, slot};

		if (slot_tag(b, slot) == tag && slot_unit(b, slot) == unit)
			return slot_hold(r, at, tag, hold);
	}
	return NULL;
}

const struct object *hot_remote_at(struct hot_remote *r, struct hash128 hash, uint32_t place,
                                   uint32_t *hold)
{
	uint32_t bits = hot_hash_bits(hash);
	uint16_t tag = hot_hash_tag(hash);
	const struct hot_entry *e;

	e = bucket_at(r, hot_first_bucket(r->buckets, bucket_count(r), bits), tag, place, hold);
	if (e == NULL)
		e = bucket_at(r, hot_second_bucket(r->buckets, bucket_count(r), bits), tag, place,
		              hold);
	if (e == NULL || e->hash == bits)
		return found(r, e, hash);
	hot_remote_drop(r, *hold);
	return NULL;
}
