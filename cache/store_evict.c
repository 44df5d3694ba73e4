/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The store's bound: S3-FIFO over items, counted in bytes. New items enter the small queue (a tenth
 * of the bytes); what was used there moves on to the main queue, the rest goes and leaves a ghost.
 * A key that comes back while its ghost is remembered enters the main queue at once. */
#include "cache/store_internal.h"

void queue_add(struct store *s, struct item *it, enum store_queue_id id)
{
	struct store_queue *q = &s->queues[id];

	it->queue = (uint8_t)id;
	it->newer = NULL;
	it->older = q->newest;
	if (q->newest != NULL)
		q->newest->newer = it;
	else
		q->oldest = it;
	q->newest = it;
	q->bytes += it->bytes;
	q->count++;
}

void queue_remove(struct store *s, struct item *it)
{
	struct store_queue *q = &s->queues[it->queue];

	if (it->older != NULL)
		it->older->newer = it->newer;
	else
		q->oldest = it->newer;
	if (it->newer != NULL)
		it->newer->older = it->older;
	else
		q->newest = it->older;
	it->older = NULL;
	it->newer = NULL;
	q->bytes -= it->bytes;
	q->count--;
}

/* --- ghosts --- */

static struct store_ghost *ghost_set(struct store *s, uint64_t hash)
{
	return &s->ghosts[(hash >> 8 & s->ghost_mask) * STORE_GHOST_WAYS];
}

static uint32_t ghost_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;
}

static void ghost_put(struct store *s, uint64_t hash)
{
	struct store_ghost *set = ghost_set(s, hash);

	memmove(set + 1, set, (STORE_GHOST_WAYS - 1) * sizeof(*set));
	set[0] = (struct store_ghost){ghost_tag(hash), ++s->ghost_clock};
}

bool ghost_take(struct store *s, uint64_t hash)
{
	struct store_ghost *set = ghost_set(s, hash);
	/* As many are remembered as the main queue has items. */
	uint64_t life = max_u64(64, s->queues[STORE_MAIN].count);

	for (uint32_t i = 0; i < STORE_GHOST_WAYS; i++) {
		if (set[i].tag != ghost_tag(hash))
			continue;
		set[i].tag = 0;
		return s->ghost_clock - set[i].when < life;
	}
	return false;
}

/* --- eviction --- */

static void evict(struct store *s, struct item *it, bool ghost)
{
	if (ghost)
		ghost_put(s, it->hash);
	s->counts.evicted++;
	store_unlink(it);
}

/* Looks at the oldest of a queue; true when it went. forced: its use does not count. */
static bool evict_look(struct store *s, enum store_queue_id id, bool forced)
{
	struct item *it = s->queues[id].oldest;

	/* What is held would free nothing. */
	if (it->e.refs == 0 && (it->freq == 0 || forced)) {
		evict(s, it, id == STORE_SMALL);
		return true;
	}
	queue_remove(s, it);
	if (id == STORE_MAIN && it->freq > 0)
		it->freq--;
	else if (id == STORE_SMALL)
		it->freq = 0; /* S3-FIFO: the main queue asks anew */
	queue_add(s, it, STORE_MAIN);
	return false;
}

static bool evict_one(struct store *s)
{
	struct store_queue *small = &s->queues[STORE_SMALL];
	struct store_queue *main_q = &s->queues[STORE_MAIN];

	for (uint32_t i = 0; i < 2 * STORE_LOOKS; i++) {
		enum store_queue_id id = STORE_MAIN;

		if (small->count > 0 && (small->bytes > s->budget / 10 || main_q->count == 0))
			id = STORE_SMALL;
		if (s->queues[id].count == 0)
			return false;
		if (evict_look(s, id, i >= STORE_LOOKS))
			return true;
	}
	return false;
}

bool store_claim(struct store *s, uint64_t n)
{
	if (n > s->budget)
		return false;
	while (s->bytes > s->budget - n)
		if (!evict_one(s))
			return false;
	s->bytes += n;
	return true;
}
