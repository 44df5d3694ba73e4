/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/hot_internal.h"

#define MEMORY_MIN     (1u << 20)
#define MAX_OBJECT_MIN 256u
#define READERS_MAX    255u

/* Where the parts lie in the memory. */
struct layout {
	size_t inval_off;
	size_t segs_off;
	size_t pins_off;
	size_t buckets_off;
	size_t log_off;
	uint64_t buckets;
	uint64_t segs;
	uint64_t seg_bytes;
	uint32_t inval_slots;
	uint32_t unit_shift;
};

/* An object lies in one segment. Large objects make segments large, but never so few that eviction
 * would throw away much of the table at once: then the largest objects stay out. */
static uint64_t segment_bytes(uint64_t log_bytes, uint64_t max_object_bytes)
{
	uint64_t want = min_u64(log_bytes / HOT_SEGS_WANTED, HOT_SEG_BYTES);
	uint64_t most = max_u64(want, log_bytes / HOT_SEGS_LEAST);

	return align_up(max_u64(want, min_u64(max_object_bytes, most)), CACHE_LINE);
}

static uint32_t inval_slots(size_t memory_bytes)
{
	uint64_t slots = pow2_ceil(memory_bytes / HOT_INVAL_SHARE / 2 + 1);

	return (uint32_t)min_u64(max_u64(slots, INVAL_SLOTS_MIN), HOT_INVAL_MAX);
}

static enum status layout_plan(const struct hot_config *cfg, struct layout *l)
{
	if (cfg->memory_bytes < MEMORY_MIN || cfg->max_object_bytes < MAX_OBJECT_MIN ||
	    cfg->readers > READERS_MAX)
		return ST_INVALID;

	l->inval_slots = inval_slots(cfg->memory_bytes);
	l->inval_off = align_up(sizeof(struct hot_table), CACHE_LINE);
	l->segs_off = align_up(l->inval_off + inval_bytes(l->inval_slots), CACHE_LINE);

	uint64_t slot = sizeof(struct hot_bucket) / HOT_SLOTS;
	uint64_t log_bytes =
	        (cfg->memory_bytes - l->segs_off) / (HOT_SLOT_BYTES + slot) * HOT_SLOT_BYTES;

	l->seg_bytes = segment_bytes(log_bytes, cfg->max_object_bytes);
	l->buckets = log_bytes / HOT_SLOT_BYTES / HOT_SLOTS;
	l->pins_off = align_up(l->segs_off + (log_bytes / l->seg_bytes) * sizeof(struct hot_seg),
	                       CACHE_LINE);
	l->buckets_off = l->pins_off + hot_pin_row((uint32_t)(log_bytes / l->seg_bytes)) *
	                                       cfg->readers * sizeof(uint32_t);
	l->log_off = l->buckets_off + l->buckets * sizeof(struct hot_bucket);
	l->segs = (cfg->memory_bytes - l->log_off) / l->seg_bytes;
	l->segs = min_u64(l->segs, log_bytes / l->seg_bytes);
	if (l->segs < HOT_SEGS_MIN)
		return ST_INVALID;
	l->unit_shift = HOT_UNIT_SHIFT;
	if (l->segs * l->seg_bytes >> HOT_UNIT_SHIFT > UINT32_MAX)
		l->unit_shift = HOT_UNIT_SHIFT_BIG;
	if (l->segs * l->seg_bytes >> l->unit_shift > UINT32_MAX || l->buckets > HOT_BUCKETS_MAX ||
	    l->seg_bytes >> l->unit_shift > HOT_GAP_MAX)
		return ST_TOOBIG;
	return ST_OK;
}

enum status hot_create(struct hot_table **out, const struct hot_config *cfg, struct counters *ctr)
{
	struct layout l;
	struct shm shm;
	enum status st = layout_plan(cfg, &l);

	*out = NULL;
	if (st != ST_OK)
		return st;
	st = shm_anon(&shm, cfg->memory_bytes, cfg->huge_pages);
	if (st != ST_OK)
		return st;

	char *base = shm.base;
	struct hot_table *t = shm.base;
	t->shm = shm;
	t->ctr = ctr;
	t->inval = inval_init(base + l.inval_off, l.inval_slots);
	t->marks.now[1] = t->sweep.covered[1] = HOT_MARK_TAGGED;
	t->segs = (void *)(base + l.segs_off);
	t->remote_pins = (void *)(base + l.pins_off);
	t->readers = cfg->readers;
	t->buckets = (void *)(base + l.buckets_off);
	t->log = base + l.log_off;
	t->bucket_count = t->bucket_room = (uint32_t)l.buckets;
	hot_index_sized(t);
	t->seg_count = (uint32_t)l.segs;
	t->unit_shift = l.unit_shift;
	t->seg_units = (uint32_t)(l.seg_bytes >> l.unit_shift);
	t->small_target = max_u32(t->seg_count / 10, 2);
	t->max_object_bytes = (uint32_t)min_u64(cfg->max_object_bytes, l.seg_bytes);
	hot_log_init(t);
	*out = t;
	return ST_OK;
}

void hot_set_counters(struct hot_table *t, struct counters *ctr)
{
	counter_set(t->ctr, CTR_cache_objects, 0);
	counter_set(t->ctr, CTR_cache_bytes, 0);
	t->ctr = ctr;
}

void hot_destroy(struct hot_table *t)
{
	if (t == NULL)
		return;
	/* The table lies in the memory that it gives back. */
	struct shm shm = t->shm;
	counter_set(t->ctr, CTR_cache_objects, 0);
	counter_set(t->ctr, CTR_cache_bytes, 0);
	shm_close(&shm);
}

void hot_set_wall(struct hot_table *t, uint64_t wall_ms)
{
	t->wall_ms = wall_ms;
	t->wall_given = true;
}

const struct object *hot_get(struct hot_table *t, const struct cache_key *key)
{
	struct hot_place at;

	if (!hot_index_get(t, key, &at))
		return NULL;
	if (unlikely(!hot_look(t, at)))
		return NULL;
	const struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);
	hot_use(at);
	hot_entry_view(e, &t->found);
	t->found.hash = key->hash;
	return &t->found;
}

const struct object *hot_peek(struct hot_table *t, const struct cache_key *key)
{
	struct hot_place at;

	if (!hot_index_find(t, key, &at) || !hot_look(t, at))
		return NULL;
	hot_entry_view(hot_at(t, at.b->unit[at.slot]), &t->peeked);
	t->peeked.hash = key->hash;
	return &t->peeked;
}

static uint64_t pin_entry(struct hot_table *t, const struct hot_entry *e)
{
	uint32_t seg = hot_seg_of(t, hot_unit_of(t, e));

	t->segs[seg].pins++;
	return (uint64_t)(t->segs[seg].gen & HOT_GEN_MASK) << 32 | seg;
}

uint64_t hot_pin(struct hot_table *t, const struct object *o)
{
	return pin_entry(t, hot_entry_of(o));
}

void hot_unpin(struct hot_table *t, uint64_t cookie)
{
	struct hot_seg *seg = &t->segs[(uint32_t)cookie];

	assert((uint32_t)cookie < t->seg_count && (seg->gen & HOT_GEN_MASK) == cookie >> 32 &&
	       seg->pins > 0);
	seg->pins--;
}

/* A key that is in main, or that left the small queue lately, has proved itself. */
static enum hot_queue_id choose_queue(struct hot_table *t, const struct cache_key *key)
{
	struct hot_place at;

	if (hot_index_find(t, key, &at))
		return t->segs[hot_seg_of(t, at.b->unit[at.slot])].queue;
	return hot_ghost_take(t, hot_hash_bits(key->hash), hot_hash_tag(key->hash)) ? HOT_MAIN
	                                                                            : HOT_SMALL;
}

enum status hot_fill_begin(struct hot_table *t, struct hot_fill *f, const struct object *head,
                           uint64_t capacity)
{
	/* Once: head may lie in memory that another process writes, and what is checked must be
	 * what is stored. */
	struct object h = *head;
	struct hot_entry made;

	f->obj = NULL;
	if (h.key_len == 0 || !object_lengths_valid(&h))
		return ST_INVALID;
	h.text = object_text(head);
	size_t head_bytes = sizeof(made) + object_text_bytes(&h);
	if (h.flags & OBJECT_CHUNKED)
		capacity = min_u64(capacity,
		                   t->max_object_bytes - min_u64(head_bytes, t->max_object_bytes));
	if (head_bytes > t->max_object_bytes || capacity > t->max_object_bytes - head_bytes ||
	    !hot_entry_make(&made, &h))
		return ST_TOOBIG;

	struct cache_key key = {.hash = h.hash, .text = object_key(&h)};
	struct hot_entry *e =
	        hot_log_alloc(t, choose_queue(t, &key), hot_units(t, head_bytes + capacity));
	if (e == NULL)
		return ST_FULL;
	*e = made;
	e->body_len = (uint32_t)capacity;
	memcpy(e + 1, h.text, head_bytes - sizeof(made));
	f->obj = e;
	f->table = t;
	f->pin = pin_entry(t, e);
	f->written = 0;
	f->judged = false;
	f->capacity = capacity;
	f->hash = h.hash;
	if (!t->wall_given)
		t->wall_ms = max_u64(t->wall_ms, h.response_ms);
	return ST_OK;
}

enum status hot_fill_append(struct hot_table *t, struct hot_fill *f, struct span bytes)
{
	(void)t;
	if (bytes.len > f->capacity - f->written)
		return ST_TOOBIG;
	if (bytes.len > 0)
		memcpy((char *)f->obj + hot_entry_head_bytes(f->obj) + f->written, bytes.ptr,
		       bytes.len);
	f->written += bytes.len;
	return ST_OK;
}

/* What it took at its begin. */
static uint32_t fill_units(const struct hot_table *t, const struct hot_fill *f)
{
	return hot_units(t, hot_entry_head_bytes(f->obj) + f->capacity);
}

void hot_fill_abort(struct hot_table *t, struct hot_fill *f)
{
	if (f->obj == NULL)
		return;
	hot_log_shrink(t, f->obj, fill_units(t, f), 0);
	hot_unpin(t, f->pin);
	f->obj = NULL;
}

const struct object *hot_fill_commit(struct hot_table *t, struct hot_fill *f)
{
	struct hot_entry *e = f->obj;
	struct object *o = &t->stored;
	uint8_t freq = 0;
	struct hot_place at;

	if (e == NULL)
		return NULL;
	e->body_len = (uint32_t)f->written;
	e->flags &= HOT_FLAGS_MAX & ~(uint32_t)OBJECT_CHUNKED;
	hot_entry_view(e, o);
	o->hash = f->hash;
	if (!f->judged && inval_check_fill(t->inval, o) != INVAL_LIVE) {
		hot_fill_abort(t, f);
		return NULL;
	}
	hot_entry_mark_set(e, hot_mark_now(t, e));
	hot_log_shrink(t, e, fill_units(t, f), hot_entry_units(t, e));
	t->born_max = max_u64(t->born_max, o->born_seq);

	struct cache_key key = {.hash = o->hash, .text = object_key(o)};
	if (hot_index_find(t, &key, &at)) {
		freq = hot_freq(at); /* the key's use, not the object's */
		hot_index_remove(t, at);
	}
	hot_index_insert(t, e, hot_hash_tag(o->hash), freq);
	hot_unpin(t, f->pin);
	f->obj = NULL;
	return o;
}

static const struct object *walked(struct hot_table *t, const struct hot_entry *e)
{
	hot_entry_view(e, &t->walked);
	return &t->walked;
}

uint64_t hot_born_max(const struct hot_table *t)
{
	return t->born_max;
}

const struct object *hot_next(struct hot_table *t, uint64_t *cursor)
{
	uint64_t end = (uint64_t)t->bucket_count * HOT_SLOTS;

	while (*cursor < end) {
		struct hot_bucket *b = &t->buckets[*cursor / HOT_SLOTS];
		uint32_t slot = (uint32_t)(*cursor % HOT_SLOTS);

		if (slot == 0 && *cursor + 2 * HOT_SLOTS < end)
			hot_walk_prefetch(t, b + 2);
		++*cursor;
		if (b->tag[slot] != 0 && hot_look(t, (struct hot_place){b, slot}))
			return walked(t, hot_at(t, b->unit[slot]));
	}
	return NULL;
}

uint32_t hot_uses(const struct hot_table *t, uint64_t cursor)
{
	struct hot_place at = {&t->buckets[(cursor - 1) / HOT_SLOTS],
	                       (uint32_t)((cursor - 1) % HOT_SLOTS)};

	return hot_freq(at);
}

uint32_t hot_count(const struct hot_table *t)
{
	return t->count;
}
