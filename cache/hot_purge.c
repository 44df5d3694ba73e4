/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges of the hot table. What has exactly the purged key is found at once; what a tag or a
 * pattern hits is found when it is looked up, or by the sweep (docs/CACHE-PURGES.md). */
#include "cache/hot_internal.h"

#include "cache/vary.h"

#define MARK_MASK (HOT_MARK_TAGGED - HOT_MARK_UNIT)
/* Marks are counts of 21 bits. A sweep renews them all long before one could come round. */
#define MARK_AGE_MAX (1u << 29)

uint64_t hot_purge_seq(const struct hot_table *t)
{
	return inval_seq(t->inval);
}

uint32_t hot_mark_now(const struct hot_table *t, const struct hot_entry *e)
{
	bool variant = memchr(hot_entry_text(e), VARY_SEP, e->key_len) != NULL;

	return t->marks.now[e->tag_count > 0 || variant];
}

static void mark_next(struct hot_table *t, bool tagged)
{
	uint32_t *now = &t->marks.now[tagged];
	uint32_t next = (*now & HOT_MARK_TAGGED) | ((*now + HOT_MARK_UNIT) & MARK_MASK);

	__atomic_store_n(now, next, __ATOMIC_RELEASE);
}

static void tally(struct hot_table *t, uint64_t seq)
{
	counter_inc(t->ctr, CTR_cache_purge);
	for (uint32_t i = 0; i < HOT_TALLIES; i++)
		if (t->tallies[i].used && t->tallies[i].seq == seq)
			t->tallies[i].hits++;
}

static void remove_entry(struct hot_table *t, struct hot_place at, uint64_t seq)
{
	hot_index_remove(t, at);
	tally(t, seq);
}

/* False when it is gone: the remark that answers are not for sharing does not become stale. The
 * list of a key's variants stays: a soft purge is about the variants, which are found one by one.
 * Other cores may read the entry. */
static bool make_stale(struct hot_table *t, struct hot_place at, uint64_t seq)
{
	struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);
	uint32_t life = hot_life_pack(hot_entry_made_ms(e), t->wall_ms);

	if (e->flags & OBJECT_VARY)
		return true;
	if (e->flags & OBJECT_PASS) {
		remove_entry(t, at, seq);
		return false;
	}
	if (hot_entry_expires_ms(e) <= t->wall_ms)
		return true;
	__atomic_store_n(&e->life, life, __ATOMIC_RELAXED);
	tally(t, seq);
	return true;
}

/* Was it looked at after the last sweep began? Entries move between buckets, so that a sweep may
 * pass one by: its mark tells. */
static bool was_swept(const struct hot_table *t, const struct hot_entry *e)
{
	uint32_t mark = hot_entry_mark(e);
	uint32_t now = t->marks.now[mark >> 31];
	uint32_t since = (now - t->sweep.covered[mark >> 31]) & MARK_MASK;

	return ((now - mark) & MARK_MASK) <= since;
}

bool hot_purge_look(struct hot_table *t, struct hot_place at)
{
	struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);
	struct object o = {0};
	uint64_t by;

	hot_entry_view(e, &o);
	enum inval_state state = inval_judge(t->inval, &o, was_swept(t, e), &by);

	if (state == INVAL_DEAD) {
		remove_entry(t, at, by);
		return false;
	}
	if (state == INVAL_STALE && !make_stale(t, at, by))
		return false;
	hot_entry_mark_set(e, t->marks.now[hot_entry_mark(e) >> 31]);
	return true;
}

static uint32_t purge_key(struct hot_table *t, const struct inval_purge *p, struct hash128 hash)
{
	struct cache_key key = {.hash = hash, .text = p->text};
	struct hot_place at;

	/* What an earlier purge took is not this one's. */
	if (!hot_index_find(t, &key, &at) || !hot_look(t, at))
		return 0;
	const struct hot_entry *e = hot_at(t, at.b->unit[at.slot]);
	uint32_t flags = e->flags;
	if (hot_entry_born_seq(e) >= p->seq)
		return 0;
	if (!p->soft) {
		remove_entry(t, at, p->seq);
		return 1;
	}
	if (flags & OBJECT_VARY)
		mark_next(t, true);
	bool counts = (flags & OBJECT_VARY) == 0 &&
	              ((flags & OBJECT_PASS) != 0 || t->wall_ms < hot_entry_expires_ms(e));
	make_stale(t, at, p->seq);
	return counts;
}

uint32_t hot_purge(struct hot_table *t, const struct inval_purge *p, struct hash128 hash)
{
	uint32_t hits = p->kind == INVAL_KEY ? purge_key(t, p, hash) : 0;

	inval_add(t->inval, p);
	if (p->kind != INVAL_KEY) {
		mark_next(t, true);
		if (p->kind != INVAL_TAG)
			mark_next(t, false);
	}
	/* Last: whoever sees the number sees what the purge did. */
	__atomic_store_n(&t->marks.seq, inval_seq(t->inval), __ATOMIC_RELEASE);
	return hits;
}

/* --- sweep --- */

static bool tally_waits(const struct hot_table *t)
{
	for (uint32_t i = 0; i < HOT_TALLIES; i++)
		if (t->tallies[i].used && t->tallies[i].seq > t->sweep.done_seq)
			return true;
	return false;
}

static bool sweep_due(const struct hot_table *t)
{
	const struct hot_sweep *s = &t->sweep;

	return inval_sweep_due(t->inval) || tally_waits(t) ||
	       ((t->marks.now[0] - s->covered[0]) & MARK_MASK) > MARK_AGE_MAX ||
	       ((t->marks.now[1] - s->covered[1]) & MARK_MASK) > MARK_AGE_MAX;
}

static void sweep_begin(struct hot_table *t)
{
	t->sweep.active = true;
	t->sweep.bucket = 0;
	t->sweep.seq = inval_seq(t->inval);
	memcpy(t->sweep.begun, t->marks.now, sizeof(t->sweep.begun));
}

static void sweep_end(struct hot_table *t)
{
	t->sweep.active = false;
	t->sweep.done_seq = t->sweep.seq;
	memcpy(t->sweep.covered, t->sweep.begun, sizeof(t->sweep.covered));
	inval_swept(t->inval, t->sweep.seq);
}

static void sweep_bucket(struct hot_table *t, struct hot_bucket *b)
{
	for (uint32_t slot = 0; slot < HOT_SLOTS; slot++) {
		struct hot_place at = {b, slot};

		if (b->tag[slot] != 0)
			(void)hot_look(t, at);
	}
}

bool hot_sweep(struct hot_table *t, uint32_t slots)
{
	struct hot_sweep *s = &t->sweep;

	if (!s->active) {
		if (likely(!sweep_due(t)))
			return false;
		sweep_begin(t);
	}
	for (uint32_t n = 0; n < slots && s->bucket < t->bucket_count; n += HOT_SLOTS) {
		if (s->bucket + 2 < t->bucket_count)
			hot_walk_prefetch(t, &t->buckets[s->bucket + 2]);
		sweep_bucket(t, &t->buckets[s->bucket++]);
	}
	if (s->bucket == t->bucket_count)
		sweep_end(t);
	return true;
}

bool hot_tally_begin(struct hot_table *t, uint64_t seq)
{
	for (uint32_t i = 0; i < HOT_TALLIES; i++) {
		if (t->tallies[i].used)
			continue;
		t->tallies[i] = (struct hot_tally){.used = true, .seq = seq};
		return true;
	}
	return false;
}

bool hot_tally_end(struct hot_table *t, uint64_t seq, uint32_t *hits)
{
	for (uint32_t i = 0; i < HOT_TALLIES; i++) {
		struct hot_tally *y = &t->tallies[i];

		if (!y->used || y->seq != seq || seq > t->sweep.done_seq)
			continue;
		*hits = y->hits;
		y->used = false;
		return true;
	}
	return false;
}

/* --- other cores --- */

const struct hot_marks *hot_marks_of(const struct hot_table *owner)
{
	return &owner->marks;
}

bool hot_is_ahead(const struct hot_table *t, const struct hot_marks *owner)
{
	return __atomic_load_n(&owner->seq, __ATOMIC_ACQUIRE) >= inval_seq(t->inval);
}

/* The view may be older than the mark: then its lifetime is not that of the look that set it. */
bool hot_is_alive(const struct hot_table *t, const struct hot_marks *owner, bool ahead,
                  const struct object *o)
{
	const struct hot_entry *e = hot_entry_of(o);
	uint32_t mark = hot_entry_mark(e);

	if (likely(ahead && mark == __atomic_load_n(&owner->now[mark >> 31], __ATOMIC_ACQUIRE) &&
	           hot_entry_expires_ms(e) == o->expires_ms))
		return true;
	return inval_check_fill(t->inval, o) == INVAL_LIVE;
}
