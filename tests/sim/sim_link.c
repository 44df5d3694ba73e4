/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The wire: each frame gets a time of arrival, or none, or two. A heap holds what is under way. */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define FRAME_MAX 1600u

struct frame {
	uint64_t due_ns;
	uint64_t order; /* equal times: first come, first served */
	uint32_t len;
	bool to_server;
	bool corrupted;
	struct frame *next_free;
	unsigned char bytes[FRAME_MAX];
};

struct sim_link {
	struct frame **heap;
	uint32_t count;
	uint32_t cap;
	struct frame *free;
	uint64_t order;
	uint64_t last_due_ns[2]; /* of each direction, so that only jitter reorders */
	struct rng rng;
};

static bool before(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_put(struct sim_link *l, struct frame *f)
{
	uint32_t i = l->count++;

	if (l->count > l->cap) {
		l->cap = 2 * l->count + 64;
		l->heap = realloc(l->heap, l->cap * sizeof(l->heap[0]));
		if (l->heap == NULL)
			abort();
	}
	for (; i > 0 && before(f, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = f;
}

static struct frame *heap_get(struct sim_link *l)
{
	struct frame *top = l->heap[0];
	struct frame *last = l->heap[--l->count];
	uint32_t i = 0;

	for (uint32_t child; (child = 2 * i + 1) < l->count; i = child) {
		if (child + 1 < l->count && before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!before(l->heap[child], last))
			break;
		l->heap[i] = l->heap[child];
	}
	if (l->count > 0)
		l->heap[i] = last;
	return top;
}

static struct frame *frame_get(struct sim_link *l)
{
	struct frame *f = l->free;

	if (f != NULL)
		l->free = f->next_free;
	else if ((f = malloc(sizeof(*f))) == NULL)
		abort();
	return f;
}

static uint64_t arrival(struct sim *sim, bool to_server)
{
	struct sim_link *l = sim->link;
	const struct sim_mix *mix = sim->mix;
	uint64_t due = sim->rig.now_ns + mix->delay_us * NS_PER_US +
	               rng_below(&l->rng, mix->jitter_us * 1000 + 1);

	if (rng_chance(&l->rng, mix->reorder)) {
		sim->stats.reordered++;
		return due + (1 + rng_below(&l->rng, 5)) * mix->delay_us * NS_PER_US;
	}
	due = max_u64(due, l->last_due_ns[to_server]);
	l->last_due_ns[to_server] = due;
	return due;
}

static void frame_send(struct sim *sim, bool to_server, const void *bytes, uint32_t len)
{
	struct sim_link *l = sim->link;
	struct frame *f = frame_get(l);

	assert(len <= FRAME_MAX);
	memcpy(f->bytes, bytes, len);
	f->len = len;
	f->to_server = to_server;
	f->due_ns = arrival(sim, to_server);
	f->order = l->order++;
	f->corrupted = f->bytes[12] == 8 && f->bytes[13] == 0 && len > 14 &&
	               rng_chance(&l->rng, sim->mix->corrupt);
	if (f->corrupted) {
		/* One bit of the packet, where each is under a checksum. */
		uint32_t bit = 14 * 8 + rng_below(&l->rng, (len - 14) * 8);

		f->bytes[bit / 8] ^= (unsigned char)(1u << (bit & 7));
		sim->stats.corrupted++;
	}
	heap_put(l, f);
}

static void link_send(void *arg, struct rig *rig, bool to_server, const void *bytes, uint32_t len)
{
	struct sim *sim = arg;

	(void)rig;
	sim->stats.frames++;
	if (rng_chance(&sim->link->rng, sim->mix->loss)) {
		sim->stats.lost++;
		return;
	}
	frame_send(sim, to_server, bytes, len);
	if (rng_chance(&sim->link->rng, sim->mix->dup)) {
		sim->stats.duplicated++;
		frame_send(sim, to_server, bytes, len);
	}
}

uint64_t link_run(struct sim *sim)
{
	struct sim_link *l = sim->link;

	while (l->count > 0 && l->heap[0]->due_ns <= sim->rig.now_ns) {
		struct frame *f = heap_get(l);

		if (f->corrupted && f->to_server)
			sim->stats.corrupted_in++;
		rig_deliver(&sim->rig, f->to_server, f->bytes, f->len);
		f->next_free = l->free;
		l->free = f;
	}
	return l->count > 0 ? l->heap[0]->due_ns : UINT64_MAX;
}

bool link_create(struct sim *sim)
{
	sim->link = calloc(1, sizeof(*sim->link));
	if (sim->link == NULL)
		return false;
	sim->link->rng.s = mix64(sim->seed + 1);
	sim->rig.link = link_send;
	sim->rig.link_arg = sim;
	return true;
}

void link_destroy(struct sim *sim)
{
	struct sim_link *l = sim->link;

	if (l == NULL)
		return;
	while (l->count > 0)
		free(l->heap[--l->count]);
	while (l->free != NULL) {
		struct frame *f = l->free;

		l->free = f->next_free;
		free(f);
	}
	free(l->heap);
	free(l);
}
