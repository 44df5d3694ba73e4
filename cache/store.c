/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/store_internal.h"

#include <stdlib.h>

#define LEAST_BYTES (1u << 20)

/* --- table --- */

uint64_t store_hash(const struct store *s, struct span key_text)
{
	return hash64(key_text.ptr, key_text.len, s->seed);
}

static struct item **bucket_of(const struct store *s, uint64_t hash)
{
	return &s->buckets[hash & s->bucket_mask];
}

struct item *store_find(const struct store *s, struct span key_text, uint64_t hash)
{
	for (struct item *it = *bucket_of(s, hash); it != NULL; it = it->hash_next)
		if (it->hash == hash && span_eq(item_key(it), key_text))
			return it;
	return NULL;
}

static void table_remove(struct store *s, struct item *it)
{
	struct item **at = bucket_of(s, it->hash);

	while (*at != it)
		at = &(*at)->hash_next;
	*at = it->hash_next;
	it->hash_next = NULL;
}

static void variant_remove(struct item *it)
{
	struct item *list = it->list;

	if (list == NULL)
		return;
	if (it->var_older != NULL)
		it->var_older->var_newer = it->var_newer;
	else
		list->var_oldest = it->var_newer;
	if (it->var_newer != NULL)
		it->var_newer->var_older = it->var_older;
	else
		list->var_newest = it->var_older;
	it->list = NULL;
	list->var_count--;
}

/* The same list again (its lifetime is longer now): its variants stay. */
static void variants_move(struct item *from, struct item *to)
{
	if (((from->e.head->flags & to->e.head->flags) & OBJECT_VARY) == 0 ||
	    !span_eq(object_fields(from->e.head), object_fields(to->e.head)))
		return;
	for (struct item *it = from->var_oldest; it != NULL; it = it->var_newer)
		it->list = to;
	to->var_oldest = from->var_oldest;
	to->var_newest = from->var_newest;
	to->var_count = from->var_count;
	from->var_oldest = NULL;
	from->var_newest = NULL;
	from->var_count = 0;
}

static void mark_lose(struct item *it)
{
	uint8_t mark = store_mark_take(&it->e);

	it->s->counts.marks_lost[mark] += mark != 0;
}

void store_unlink(struct item *it)
{
	struct store *s = it->s;

	mark_lose(it);
	while (it->var_oldest != NULL)
		store_unlink(it->var_oldest);
	variant_remove(it);
	table_remove(s, it);
	queue_remove(s, it);
	it->linked = false;
	s->counts.entries--;
	if (it->e.refs == 0)
		store_item_free(it);
}

void store_link(struct store *s, struct item *it)
{
	struct item *old = store_find(s, item_key(it), it->hash);
	enum store_queue_id id = STORE_SMALL;

	if (old != NULL) {
		/* The use is the key's, not the answer's. */
		id = (enum store_queue_id)old->queue;
		it->freq = old->freq;
		variants_move(old, it);
		store_unlink(old);
	} else if (ghost_take(s, it->hash)) {
		id = STORE_MAIN;
	}
	it->hash_next = *bucket_of(s, it->hash);
	*bucket_of(s, it->hash) = it;
	queue_add(s, it, id);
	it->linked = true;
	s->counts.entries++;
}

/* --- look-up --- */

/* Held for the caller. Removes what a purge made void. */
static struct item *take(struct store *s, struct span key_text, bool *stale)
{
	struct item *it = store_find(s, key_text, store_hash(s, key_text));

	*stale = false;
	if (it == NULL)
		return NULL;
	switch (inval_check(s->inval, it->e.head)) {
	case INVAL_DEAD:
		s->counts.purged++;
		store_unlink(it);
		return NULL;
	case INVAL_STALE:
		it->stale = true;
		break;
	case INVAL_LIVE:
		break;
	}
	*stale = it->stale;
	it->e.refs++;
	return it;
}

struct store_entry *store_get(struct store *s, struct span key_text, bool *stale)
{
	struct item *it = take(s, key_text, stale);

	if (it == NULL) {
		s->counts.misses++;
		return NULL;
	}
	s->counts.hits++;
	it->freq = (uint8_t)min_u32(STORE_FREQ_MAX, it->freq + 1u);
	return &it->e;
}

struct store_entry *store_peek(struct store *s, struct span key_text, bool *stale)
{
	struct item *it = take(s, key_text, stale);

	return it != NULL ? &it->e : NULL;
}

void store_hold(struct store_entry *e)
{
	e->refs++;
}

void store_drop(struct store_entry *e)
{
	struct item *it = (struct item *)(void *)e;

	assert(e->refs > 0);
	if (--e->refs == 0 && !it->linked)
		store_item_free(it);
}

void store_mark(struct store_entry *e, uint8_t mark)
{
	struct item *it = (struct item *)(void *)e;

	assert(mark > 0 && mark < STORE_MARKS);
	if (!it->linked) { /* its place was taken already */
		it->s->counts.marks_lost[mark]++;
		return;
	}
	mark_lose(it);
	e->mark = mark;
	it->s->counts.marked[mark]++;
}

uint8_t store_mark_take(struct store_entry *e)
{
	struct item *it = (struct item *)(void *)e;
	uint8_t mark = e->mark;

	if (mark != 0)
		it->s->counts.marked[mark]--;
	e->mark = 0;
	return mark;
}

/* --- purges and walks --- */

uint32_t store_purge(struct store *s, const struct inval_purge *p)
{
	uint64_t before = s->counts.entries;
	struct item *it;

	inval_add(s->inval, p);
	if (p->soft)
		return 0;
	s->walk_wanted |= p->kind == INVAL_ALL;
	if (p->kind != INVAL_KEY)
		return 0;
	it = store_find(s, p->text, store_hash(s, p->text));
	if (it == NULL || it->e.head->born_seq >= p->seq) /* a purge of long ago */
		return 0;
	store_unlink(it);
	s->counts.purged += before - s->counts.entries;
	return (uint32_t)(before - s->counts.entries);
}

uint64_t store_seq(const struct store *s)
{
	return inval_seq(s->inval);
}

uint64_t store_live_seq(const struct store *s, const struct store_entry *e)
{
	const struct item *it = (const struct item *)(const void *)e;

	if (!it->linked || it->stale || inval_check(s->inval, e->head) != INVAL_LIVE)
		return 0;
	return inval_seq(s->inval);
}

bool store_is_live(const struct store *s, const struct object *head)
{
	return inval_check_fill(s->inval, head) == INVAL_LIVE;
}

/* Past every use: it may not be served, and cannot be validated. */
static bool expired(const struct object *o, uint64_t wall_ms)
{
	uint64_t stale_ms = max_u64(o->stale_while_s, o->stale_error_s) * 1000ull;

	if ((o->flags & OBJECT_VARY) || o->etag_len > 0 || o->last_modified_len > 0)
		return false;
	return wall_ms > o->expires_ms && wall_ms - o->expires_ms > stale_ms;
}

static bool walk_due(struct store *s, uint64_t wall_ms)
{
	uint64_t since = wall_ms > s->walk_ms ? wall_ms - s->walk_ms : s->walk_ms - wall_ms;

	if (!s->walking && !s->walk_wanted && !inval_sweep_due(s->inval) && since < STORE_WALK_MS)
		return false;
	if (!s->walking) {
		s->walking = true;
		s->walk_wanted = false;
		s->walk_ms = wall_ms;
		s->walk_bucket = 0;
		s->walk_seq = inval_seq(s->inval);
	}
	return true;
}

/* One bucket; a list may take variants of the same bucket with it, so it is begun anew then. */
static uint32_t walk_bucket(struct store *s, uint64_t wall_ms)
{
	struct item *it = s->buckets[s->walk_bucket];
	uint32_t looked = 0;

	while (it != NULL) {
		struct item *next = it->hash_next;
		bool list = it->var_count > 0;
		enum inval_state state = inval_check(s->inval, it->e.head);
		bool dead = state == INVAL_DEAD;

		looked++;
		it->stale |= state == INVAL_STALE;
		if (it->stale || !object_is_fresh(it->e.head, wall_ms))
			mark_lose(it);
		if (!dead && !expired(it->e.head, wall_ms)) {
			it = next;
			continue;
		}
		s->counts.purged += dead;
		s->counts.expired += !dead;
		store_unlink(it);
		it = list ? s->buckets[s->walk_bucket] : next;
	}
	return looked;
}

bool store_sweep(struct store *s, uint32_t n, uint64_t wall_ms)
{
	if (!walk_due(s, wall_ms))
		return false;
	for (uint64_t left = 4ull * n; left > 0;) {
		/* An empty bucket costs a quarter of an entry's look. */
		left -= min_u64(left, 1 + 4ull * walk_bucket(s, wall_ms));
		if (s->walk_bucket++ < s->bucket_mask)
			continue;
		inval_swept(s->inval, s->walk_seq);
		s->walking = false;
		return walk_due(s, wall_ms);
	}
	return true;
}

const struct store_entry *store_next(struct store *s, uint64_t *cursor)
{
	uint64_t bucket = *cursor >> 16;
	uint64_t skip = *cursor & UINT16_MAX;

	for (; bucket <= s->bucket_mask; bucket++, skip = 0) {
		struct item *it = s->buckets[bucket];

		for (uint64_t i = 0; i < skip && it != NULL; i++)
			it = it->hash_next;
		if (it == NULL)
			continue;
		*cursor = skip == UINT16_MAX ? (bucket + 1) << 16 : bucket << 16 | (skip + 1);
		return &it->e;
	}
	*cursor = bucket << 16;
	return NULL;
}

void store_counts(const struct store *s, struct store_counts *out)
{
	*out = s->counts;
	out->bytes = s->bytes + s->fixed_bytes;
	out->limit_bytes = s->cfg.memory_bytes;
}

/* --- life --- */

enum status store_create(struct store **out, const struct store_config *cfg)
{
	uint64_t slots = pow2_ceil(max_u64(1024, cfg->memory_bytes / STORE_BYTES_SLOT / 2));
	uint32_t inval_slots = (uint32_t)min_u64(65536, max_u64(1024, slots / 8));
	struct store *s;

	if (cfg->memory_bytes < LEAST_BYTES || cfg->max_variants == 0)
		return ST_INVALID;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ST_NOMEM;
	s->cfg = *cfg;
	random_bytes(&s->seed, sizeof(s->seed));
	s->bucket_mask = slots - 1;
	s->ghost_mask = slots / STORE_GHOST_WAYS - 1;
	s->buckets = calloc(slots, sizeof(struct item *));
	s->ghosts = calloc(slots, sizeof(*s->ghosts));
	if (s->buckets == NULL || s->ghosts == NULL)
		goto fail;
	if (inval_create(&s->inval, inval_slots) != ST_OK)
		goto fail;
	s->fixed_bytes = slots * (sizeof(struct item *) + sizeof(*s->ghosts)) + inval_slots * 24ull;
	s->budget = cfg->memory_bytes - s->fixed_bytes;
	*out = s;
	return ST_OK;

fail:
	free(s->ghosts);
	free(s->buckets);
	free(s);
	return ST_NOMEM;
}

void store_destroy(struct store *s)
{
	if (s == NULL)
		return;
	for (enum store_queue_id id = 0; id < STORE_QUEUES; id++)
		while (s->queues[id].oldest != NULL)
			store_unlink(s->queues[id].oldest);
	assert(s->open == 0);
	inval_destroy(s->inval);
	free(s->ghosts);
	free(s->buckets);
	free(s);
}
