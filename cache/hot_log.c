/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments and eviction: S3-FIFO in log-structured form. New entries go to the small queue. When
 * room is needed the oldest segment of a queue is evicted whole: its used entries are copied to the
 * head of the main queue, the others go, and those of the small queue leave a ghost.
 *
 * One free segment is always kept back, so that the copying has room: survivors are never more than
 * a segment. If a step frees nothing because all survived, the next step asks for more use, and the
 * fourth lets nothing survive: at most four segments are copied for one allocation. */
#include "cache/hot_internal.h"

#define EVICT_STEPS (HOT_FREQ_MAX + 1)
#define EVICT_AHEAD 8u

static void queue_push(struct hot_table *t, enum hot_queue_id id, uint32_t seg)
{
	struct hot_queue *q = &t->queues[id];

	t->segs[seg].next = HOT_NO_SEG;
	t->segs[seg].queue = (uint8_t)id;
	if (q->count == 0)
		q->oldest = seg;
	else
		t->segs[q->newest].next = seg;
	q->newest = seg;
	q->count++;
}

/* Does another core hold an entry of the segment? Its counts are read by acquire: what it read
 * before it let go, it has read. */
static bool remote_pinned(const struct hot_table *t, uint32_t seg)
{
	size_t row = hot_pin_row(t->seg_count);

	for (uint32_t r = 0; r < t->readers; r++)
		if (__atomic_load_n(&t->remote_pins[r * row + seg], __ATOMIC_ACQUIRE) != 0)
			return true;
	return false;
}

/* The oldest segment that is neither pinned nor open. Those that are go behind the newest, so that
 * a later call does not meet them again. */
static uint32_t queue_pop(struct hot_table *t, enum hot_queue_id id)
{
	struct hot_queue *q = &t->queues[id];
	uint32_t tries = min_u32(q->count, HOT_SCAN_MAX);

	for (; tries > 0; tries--) {
		uint32_t seg = q->oldest;

		q->oldest = t->segs[seg].next;
		q->count--;
		if (t->segs[seg].pins == 0 && seg != q->open &&
		    (id == HOT_FREE || !remote_pinned(t, seg)))
			return seg;
		queue_push(t, id, seg);
	}
	return HOT_NO_SEG;
}

void hot_log_init(struct hot_table *t)
{
	for (uint32_t id = 0; id < HOT_QUEUES; id++)
		t->queues[id].open = HOT_NO_SEG;
	for (uint32_t seg = 0; seg < t->seg_count; seg++)
		queue_push(t, HOT_FREE, seg);
}

static struct object *alloc_open(struct hot_table *t, enum hot_queue_id id, uint32_t units)
{
	uint32_t seg = t->queues[id].open;

	if (seg == HOT_NO_SEG || t->seg_units - t->segs[seg].used < units)
		return NULL;
	struct object *o = hot_at(t, seg * t->seg_units + t->segs[seg].used);
	t->segs[seg].used += units;
	return o;
}

static bool open_segment(struct hot_table *t, enum hot_queue_id id)
{
	uint32_t seg = queue_pop(t, HOT_FREE);

	if (seg == HOT_NO_SEG)
		return false;
	t->segs[seg].used = 0;
	t->segs[seg].gen++;
	queue_push(t, id, seg);
	t->queues[id].open = seg;
	return true;
}

/* Copies a live entry to the head of the main queue. */
static bool keep_entry(struct hot_table *t, const struct object *o, struct hot_place at,
                       uint8_t freq)
{
	uint32_t units = o->pad;
	struct object *to = alloc_open(t, HOT_MAIN, units);

	if (to == NULL) {
		if (!open_segment(t, HOT_MAIN))
			return false;
		to = alloc_open(t, HOT_MAIN, units);
	}
	memcpy(to, o, object_head_bytes(o) + o->body_len);
	hot_slot_set(at, at.b->tag[at.slot], hot_unit_of(t, to), freq);
	return true;
}

/* need: an entry with less use goes, 1 at first. */
static void evict_entry(struct hot_table *t, const struct object *o, uint8_t need, bool is_small)
{
	struct hot_place at;

	if (!hot_index_find_unit(t, o, &at))
		return;
	uint8_t freq = hot_freq(at);
	bool keep = freq >= need && object_is_fresh(o, t->wall_ms);

	if (keep && !hot_look(t, at))
		return;

	if (keep && keep_entry(t, o, at, is_small ? 0 : (uint8_t)(freq - 1))) {
		t->main_count += is_small ? 1 : 0;
		return;
	}
	/* An entry that was used but is stale is asked for again: it comes back to main. */
	if (is_small || freq > 0)
		hot_ghost_put(t, o->hash);
	hot_index_remove(t, at);
	counter_inc(t->ctr, CTR_cache_evict);
}

/* No slot names the segment any more. A reader that pinned it before that may still look at it:
 * then it goes, empty, behind the newest of its queue. One that pins it later finds the slot
 * changed and lets go without a look (hot_remote.c has the proof), so what is free stays free. */
static void segment_emptied(struct hot_table *t, enum hot_queue_id id, uint32_t seg)
{
	t->segs[seg].used = 0;
	if (t->readers > 0) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (remote_pinned(t, seg)) {
			queue_push(t, id, seg);
			return;
		}
	}
	queue_push(t, HOT_FREE, seg);
}

/* The bucket and the ghost of each entry would be a cache miss one after the other: they are asked
 * for some entries ahead. */
static bool evict_segment(struct hot_table *t, enum hot_queue_id id, uint8_t need)
{
	uint32_t seg = queue_pop(t, id);

	if (seg == HOT_NO_SEG)
		return false;
	uint32_t unit = seg * t->seg_units;
	uint32_t end = unit + t->segs[seg].used;
	uint32_t ahead = unit;

	for (uint32_t fetched = 0; unit < end; fetched--) {
		for (; fetched < EVICT_AHEAD && ahead < end; fetched++) {
			const struct object *next = hot_at(t, ahead);

			hot_evict_prefetch(t, next->hash);
			ahead += next->pad;
		}
		const struct object *o = hot_at(t, unit);
		unit += o->pad;
		evict_entry(t, o, need, id == HOT_SMALL);
	}
	segment_emptied(t, id, seg);
	return true;
}

/* Evicts until a segment is free besides the one kept back. */
static bool make_free(struct hot_table *t)
{
	for (uint8_t need = 1; t->queues[HOT_FREE].count < 2; need++) {
		bool small = t->queues[HOT_SMALL].count >= t->small_target;
		enum hot_queue_id id = small ? HOT_SMALL : HOT_MAIN;
		enum hot_queue_id other = small ? HOT_MAIN : HOT_SMALL;

		if (need > EVICT_STEPS)
			return false;
		if (!evict_segment(t, id, need) && !evict_segment(t, other, need))
			return false;
	}
	return true;
}

struct object *hot_log_alloc(struct hot_table *t, enum hot_queue_id queue, uint32_t units)
{
	struct object *o = alloc_open(t, queue, units);

	if (o != NULL)
		return o;
	if (!make_free(t))
		return NULL;
	/* The eviction may have opened a segment of the main queue with room in it. */
	o = alloc_open(t, queue, units);
	if (o == NULL && open_segment(t, queue))
		o = alloc_open(t, queue, units);
	return o;
}

void hot_log_shrink(struct hot_table *t, struct object *o, uint32_t units)
{
	uint32_t unit = hot_unit_of(t, o);
	uint32_t seg = hot_seg_of(t, unit);

	if (unit + o->pad != seg * t->seg_units + t->segs[seg].used)
		return;
	t->segs[seg].used -= o->pad - units;
	o->pad = units;
}
