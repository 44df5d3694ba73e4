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
	/* The lowest come last: the index may want them. */
	for (uint32_t seg = t->seg_count; seg-- > 0;)
		queue_push(t, HOT_FREE, seg);
}

/* The lowest segment, free and in no queue, is the index's from now on. */
static void give(struct hot_table *t)
{
	uint64_t seg_bytes = hot_unit_bytes(t, t->seg_units);

	t->segs[t->seg_first++].queue = HOT_INDEX;
	t->giving = false;
	t->bucket_room =
	        (uint32_t)((size_t)(t->log + t->seg_first * seg_bytes - (const char *)t->buckets) /
	                   sizeof(struct hot_bucket));
	t->bucket_room = min_u32(t->bucket_room, HOT_BUCKETS_MAX);
	t->small_target = max_u32((t->seg_count - t->seg_first) / 10, 2);
	hot_index_sized(t);
}

static bool may_give(const struct hot_table *t)
{
	return t->seg_first + 1 < t->seg_count / HOT_LOG_LEAST &&
	       t->seg_count - t->seg_first > HOT_SEGS_MIN && t->bucket_room < HOT_BUCKETS_MAX;
}

void hot_log_give(struct hot_table *t)
{
	t->giving = may_give(t);
}

/* Out of the middle of its queue; the others keep their order. */
static void queue_take(struct hot_table *t, uint32_t seg)
{
	enum hot_queue_id id = t->segs[seg].queue;
	struct hot_queue *q = &t->queues[id];

	for (uint32_t n = q->count; n > 0; n--) {
		uint32_t oldest = q->oldest;

		q->oldest = t->segs[oldest].next;
		q->count--;
		if (oldest != seg)
			queue_push(t, id, oldest);
	}
}

static struct hot_entry *alloc_open(struct hot_table *t, enum hot_queue_id id, uint32_t units)
{
	uint32_t seg = t->queues[id].open;

	if (seg == HOT_NO_SEG || t->seg_units - t->segs[seg].used < units)
		return NULL;
	struct hot_entry *e = hot_at(t, seg * t->seg_units + t->segs[seg].used);
	t->segs[seg].used += units;
	return e;
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
static bool keep_entry(struct hot_table *t, const struct hot_entry *e, struct hot_place at,
                       uint8_t freq)
{
	uint32_t units = hot_entry_units(t, e);
	struct hot_entry *to = alloc_open(t, HOT_MAIN, units);

	if (to == NULL) {
		if (!open_segment(t, HOT_MAIN))
			return false;
		to = alloc_open(t, HOT_MAIN, units);
	}
	memcpy(to, e, hot_entry_head_bytes(e) + e->body_len);
	hot_slot_set(at, at.b->tag[at.slot], hot_unit_of(t, to), freq);
	hot_index_home(t, &at);
	return true;
}

/* need: an entry with less use goes, 1 at first. */
static void evict_entry(struct hot_table *t, const struct hot_entry *e, uint8_t need, bool is_small)
{
	struct hot_place at;

	if (!hot_index_find_unit(t, e, &at))
		return;
	uint8_t freq = hot_freq(at);
	bool keep = freq >= need && t->wall_ms < hot_entry_expires_ms(e);

	if (keep && !hot_look(t, at))
		return;

	if (keep && keep_entry(t, e, at, is_small ? 0 : (uint8_t)(freq - 1))) {
		t->main_count += is_small ? 1 : 0;
		return;
	}
	/* An entry that was used but is stale is asked for again: it comes back to main. */
	if (is_small || freq > 0)
		hot_ghost_put(t, e->hash, at.b->tag[at.slot]);
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
	if (unlikely(t->giving && seg == t->seg_first))
		give(t);
	else
		queue_push(t, HOT_FREE, seg);
}

static uint32_t step_units(const struct hot_table *t, const struct hot_entry *e)
{
	return hot_is_gap(e) ? e->life - HOT_GAP : hot_entry_units(t, e);
}

/* The bucket and the ghost of each entry would be a cache miss one after the other: they are asked
 * for some entries ahead. */
static void evict_taken(struct hot_table *t, uint32_t seg, enum hot_queue_id id, uint8_t need)
{
	uint32_t unit = seg * t->seg_units;
	uint32_t end = unit + t->segs[seg].used;
	uint32_t ahead = unit;

	for (uint32_t fetched = 0; unit < end; fetched--) {
		for (; fetched < EVICT_AHEAD && ahead < end; fetched++) {
			const struct hot_entry *next = hot_at(t, ahead);

			if (!hot_is_gap(next))
				hot_evict_prefetch(t, next);
			ahead += step_units(t, next);
		}
		const struct hot_entry *e = hot_at(t, unit);
		unit += step_units(t, e);
		if (!hot_is_gap(e))
			evict_entry(t, e, need, id == HOT_SMALL);
	}
	segment_emptied(t, id, seg);
}

static bool evict_segment(struct hot_table *t, enum hot_queue_id id, uint8_t need)
{
	uint32_t seg = queue_pop(t, id);

	if (seg == HOT_NO_SEG)
		return false;
	evict_taken(t, seg, id, need);
	return true;
}

/* Evicts until a segment is free besides the one kept back. */
static bool make_free(struct hot_table *t)
{
	for (uint8_t need = 1; t->queues[HOT_FREE].count < 2; need++) {
		uint32_t given = t->seg_first;
		bool small = t->queues[HOT_SMALL].count >= t->small_target;
		enum hot_queue_id id = small ? HOT_SMALL : HOT_MAIN;
		enum hot_queue_id other = small ? HOT_MAIN : HOT_SMALL;

		if (need > EVICT_STEPS)
			return false;
		if (!evict_segment(t, id, need) && !evict_segment(t, other, need))
			return false;
		if (unlikely(t->seg_first != given))
			need--; /* what was freed is the index's */
	}
	return true;
}

/* The segment that the index wants: free, or evicted out of its turn. Where that cannot be now, it
 * is tried again with the next entry. */
static NOINLINE void give_lowest(struct hot_table *t)
{
	uint32_t seg = t->seg_first;

	if (t->segs[seg].queue != HOT_FREE && !make_free(t))
		return;
	if (!t->giving)
		return; /* it was the oldest */
	enum hot_queue_id id = t->segs[seg].queue;
	/* Two that are free stay: one to open, and the one kept back. */
	if (t->segs[seg].pins != 0 || seg == t->queues[id].open || remote_pinned(t, seg) ||
	    (id == HOT_FREE && t->queues[id].count < 3))
		return;
	queue_take(t, seg);
	if (id == HOT_FREE)
		give(t);
	else
		evict_taken(t, seg, id, 1);
}

struct hot_entry *hot_log_alloc(struct hot_table *t, enum hot_queue_id queue, uint32_t units)
{
	struct hot_entry *e;

	if (unlikely(t->giving))
		give_lowest(t);
	e = alloc_open(t, queue, units);
	if (e != NULL)
		return e;
	if (!make_free(t))
		return NULL;
	/* The eviction may have opened a segment of the main queue with room in it. */
	e = alloc_open(t, queue, units);
	if (e == NULL && open_segment(t, queue))
		e = alloc_open(t, queue, units);
	return e;
}

void hot_log_shrink(struct hot_table *t, struct hot_entry *e, uint32_t units, uint32_t keep)
{
	uint32_t unit = hot_unit_of(t, e);
	uint32_t seg = hot_seg_of(t, unit);

	if (unit + units == seg * t->seg_units + t->segs[seg].used)
		t->segs[seg].used -= units - keep;
	else if (units > keep)
		hot_at(t, unit + keep)->life = HOT_GAP + (units - keep);
}
