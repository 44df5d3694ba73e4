/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Most frames of a direction arrive in the order in which they were sent and lie in a ring; those
 * that come late lie in a heap. */
#include "tests/sim/cable.h"

#include <stdlib.h>

#include "lib/hash.h"
#include "tests/sim/rng.h"

#define SMALL_BYTES 192u
#define BURST_NS    (100 * NS_PER_MS)

struct frame {
	uint64_t due_ns;
	uint64_t order; /* equal times: first come, first served */
	struct frame *next_free;
	uint32_t len;
	uint8_t dir;
	bool corrupted;
	bool caught;
	bool small;
	uint8_t bytes[];
};

struct late {
	uint64_t due_ns;
	uint64_t order;
	struct frame *frame;
};

struct way {
	struct link_conf conf;
	struct rng rng;
	struct frame **ring; /* head and tail run freely */
	uint32_t head;
	uint32_t tail;
	uint32_t cap;
	uint32_t mtu; /* for a while, 0: of conf */
	uint64_t last_due_ns;
	uint64_t busy_ns; /* the queue is empty then */
	uint64_t sent_ns; /* the last frame */
	bool bad;         /* Gilbert-Elliott */
	bool blocked;
};

struct cable {
	struct way ways[2];
	struct late *heap;
	uint32_t heap_count;
	uint32_t heap_cap;
	struct frame *free[2];
	uint64_t order;
	uint64_t digest;
	uint64_t now_ns;
	cable_deliver_fn deliver;
	void *arg;
	struct cable_stats stats;
};

static bool before(const struct late *a, const struct late *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_put(struct cable *c, struct frame *f)
{
	struct late e = {f->due_ns, f->order, f};
	uint32_t i = c->heap_count++;

	if (c->heap_count > c->heap_cap) {
		c->heap_cap = 2 * c->heap_count + 64;
		c->heap = realloc(c->heap, c->heap_cap * sizeof(c->heap[0]));
		if (c->heap == NULL)
			abort();
	}
	for (; i > 0 && before(&e, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
		c->heap[i] = c->heap[(i - 1) / 2];
	c->heap[i] = e;
}

static struct frame *heap_get(struct cable *c)
{
	struct frame *top = c->heap[0].frame;
	struct late last = c->heap[--c->heap_count];
	uint32_t i = 0;

	for (uint32_t child; (child = 2 * i + 1) < c->heap_count; i = child) {
		if (child + 1 < c->heap_count && before(&c->heap[child + 1], &c->heap[child]))
			child++;
		if (!before(&c->heap[child], &last))
			break;
		c->heap[i] = c->heap[child];
	}
	c->heap[i] = last;
	return top;
}

static void ring_put(struct way *w, struct frame *f)
{
	if (w->tail - w->head == w->cap) {
		uint32_t cap = max_u32(1024, 2 * w->cap);
		struct frame **ring = malloc(cap * sizeof(ring[0]));

		if (ring == NULL)
			abort();
		for (uint32_t i = 0; i < w->cap; i++)
			ring[i] = w->ring[(w->head + i) & (w->cap - 1)];
		free(w->ring);
		w->ring = ring;
		w->tail = w->cap;
		w->head = 0;
		w->cap = cap;
	}
	w->ring[w->tail++ & (w->cap - 1)] = f;
}

static struct frame *ring_first(const struct way *w)
{
	return w->head == w->tail ? NULL : w->ring[w->head & (w->cap - 1)];
}

static struct frame *frame_new(struct cable *c, const void *bytes, uint32_t len)
{
	bool small = len <= SMALL_BYTES;
	struct frame *f = c->free[small];

	assert(len <= CABLE_FRAME_MAX);
	if (f != NULL)
		c->free[small] = f->next_free;
	else
		f = malloc(sizeof(*f) + (small ? SMALL_BYTES : CABLE_FRAME_MAX));
	if (f == NULL)
		abort();
	*f = (struct frame){.len = len, .small = small, .order = c->order++};
	memcpy(f->bytes, bytes, len);
	return f;
}

static void frame_free(struct cable *c, struct frame *f)
{
	f->next_free = c->free[f->small];
	c->free[f->small] = f;
}

/* The states are of packets, but a burst does not wait for the next one for ever. */
static bool is_lost(struct way *w, uint64_t now_ns)
{
	const struct link_conf *conf = &w->conf;

	if (conf->burst_enter > 0) {
		if (now_ns - w->sent_ns > BURST_NS)
			w->bad = false;
		w->sent_ns = now_ns;
		if (rng_chance(&w->rng, w->bad ? conf->burst_leave : conf->burst_enter))
			w->bad = !w->bad;
		if (w->bad && rng_chance(&w->rng, conf->burst_loss))
			return true;
	}
	return rng_chance(&w->rng, conf->loss);
}

/* The chance grows evenly from half of the queue to its end. */
static uint32_t early_ppm(const struct link_conf *conf, uint64_t backlog, uint32_t most)
{
	uint64_t half = conf->queue_bytes / 2;

	if (backlog <= half || half == 0)
		return 0;
	return (uint32_t)((backlog - half) * most / half);
}

/* The queue in front of the bandwidth; false when the frame finds no room. */
static bool queue_pass(struct cable *c, struct way *w, struct frame *f)
{
	const struct link_conf *conf = &w->conf;
	uint64_t wait_ns, backlog;

	if (conf->rate_bps == 0)
		return true;
	wait_ns = w->busy_ns > c->now_ns ? w->busy_ns - c->now_ns : 0;
	backlog = (uint64_t)((unsigned __int128)wait_ns * conf->rate_bps / 8 / NS_PER_S);
	if (backlog + f->len > conf->queue_bytes ||
	    rng_chance(&w->rng, early_ppm(conf, backlog, conf->red))) {
		c->stats.queue_drops++;
		return false;
	}
	if (rng_chance(&w->rng, early_ppm(conf, backlog, conf->mark)) &&
	    packet_mark(f->bytes, f->len))
		c->stats.marked++;
	w->busy_ns = max_u64(w->busy_ns, c->now_ns) + f->len * 8ull * NS_PER_S / conf->rate_bps;
	return true;
}

static void corrupt(struct cable *c, struct way *w, struct frame *f)
{
	uint32_t bit;

	if (rng_chance(&w->rng, w->conf.corrupt) && f->len > 14)
		bit = 14 * 8 + rng_below(&w->rng, (f->len - 14) * 8);
	else if (rng_chance(&w->rng, w->conf.corrupt_eth))
		bit = rng_below(&w->rng, 14 * 8);
	else
		return;
	f->caught = packet_bit_matters(f->bytes, f->len, bit);
	f->bytes[bit / 8] ^= (uint8_t)(1u << (7 - bit % 8));
	f->corrupted = true;
	c->stats.corrupted++;
}

static void frame_launch(struct cable *c, struct way *w, struct frame *f)
{
	const struct link_conf *conf = &w->conf;

	if (!queue_pass(c, w, f)) {
		frame_free(c, f);
		return;
	}
	f->due_ns = max_u64(w->busy_ns, c->now_ns) + conf->delay_ns +
	            (conf->jitter_ns > 0 ? rng_below64(&w->rng, conf->jitter_ns) : 0);
	corrupt(c, w, f);
	if (rng_chance(&w->rng, conf->reorder)) {
		uint64_t by = conf->reorder_ns > 0 ? conf->reorder_ns : 4 * conf->delay_ns;

		f->due_ns += 1 + rng_below64(&w->rng, by);
		c->stats.reordered++;
		heap_put(c, f);
		return;
	}
	f->due_ns = max_u64(f->due_ns, w->last_due_ns);
	w->last_due_ns = f->due_ns;
	ring_put(w, f);
}

/* True when the frame is too big, and that was said. */
static bool too_big(struct cable *c, enum cable_dir dir, const uint8_t *bytes, uint32_t len)
{
	struct way *w = &c->ways[dir];
	uint32_t mtu = w->mtu > 0 ? w->mtu : w->conf.mtu;
	uint8_t error[CABLE_FRAME_MAX];
	uint32_t n;

	if (len <= mtu + 14)
		return false;
	c->stats.too_big++;
	n = w->conf.icmp ? packet_too_big(bytes, len, mtu, error) : 0;
	if (n > 0 && !c->ways[!dir].blocked) {
		struct frame *f = frame_new(c, error, n);

		f->dir = (uint8_t)!dir;
		c->stats.icmp++;
		c->digest = hash64(error, n, c->digest ^ c->now_ns);
		frame_launch(c, &c->ways[!dir], f);
	}
	return true;
}

void cable_send(struct cable *c, enum cable_dir dir, const void *bytes, uint32_t len,
                uint64_t now_ns)
{
	struct way *w = &c->ways[dir];
	struct frame *f;

	c->now_ns = now_ns;
	c->stats.frames++;
	c->digest = hash64(bytes, len, c->digest ^ now_ns ^ ((uint64_t)dir << 63));
	if (unlikely(w->blocked)) {
		c->stats.blocked++;
		return;
	}
	if (unlikely(len > 14 + 68) && too_big(c, dir, bytes, len))
		return;
	if (is_lost(w, now_ns)) {
		c->stats.lost++;
		return;
	}
	f = frame_new(c, bytes, len);
	f->dir = (uint8_t)dir;
	frame_launch(c, w, f);
	if (rng_chance(&w->rng, w->conf.duplicate)) {
		c->stats.duplicated++;
		f = frame_new(c, bytes, len);
		f->dir = (uint8_t)dir;
		frame_launch(c, w, f);
	}
}

/* The next one in time of rings and heap; NULL when there is none. */
static struct frame *frame_next(struct cable *c, uint64_t until_ns)
{
	struct frame *best = ring_first(&c->ways[0]);
	struct frame *other = ring_first(&c->ways[1]);
	struct way *from = &c->ways[0];

	if (other != NULL && (best == NULL || other->due_ns < best->due_ns ||
	                      (other->due_ns == best->due_ns && other->order < best->order))) {
		best = other;
		from = &c->ways[1];
	}
	if (c->heap_count > 0) {
		struct late *l = &c->heap[0];

		if (best == NULL || l->due_ns < best->due_ns ||
		    (l->due_ns == best->due_ns && l->order < best->order))
			return l->due_ns <= until_ns ? heap_get(c) : NULL;
	}
	if (best == NULL || best->due_ns > until_ns)
		return NULL;
	from->head++;
	return best;
}

uint64_t cable_next_ns(const struct cable *c)
{
	uint64_t due = c->heap_count > 0 ? c->heap[0].due_ns : UINT64_MAX;

	for (uint32_t i = 0; i < 2; i++) {
		const struct frame *f = ring_first(&c->ways[i]);

		if (f != NULL)
			due = min_u64(due, f->due_ns);
	}
	return due;
}

void cable_run(struct cable *c, uint64_t now_ns)
{
	struct frame *f;

	while ((f = frame_next(c, now_ns)) != NULL) {
		struct cable_frame out = {.bytes = f->bytes,
		                          .len = f->len,
		                          .dir = f->dir,
		                          .corrupted = f->corrupted,
		                          .caught = f->caught};

		c->deliver(c->arg, &out);
		frame_free(c, f);
	}
}

void cable_block(struct cable *c, enum cable_dir dir, bool blocked)
{
	c->ways[dir].blocked = blocked;
}

void cable_set_mtu(struct cable *c, uint32_t mtu)
{
	c->ways[0].mtu = mtu;
	c->ways[1].mtu = mtu;
}

void cable_mend(struct cable *c)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct link_conf *conf = &c->ways[i].conf;

		conf->loss = 0;
		conf->burst_enter = 0;
		conf->reorder = 0;
		conf->duplicate = 0;
		conf->corrupt = 0;
		conf->corrupt_eth = 0;
		conf->red = 0;
		c->ways[i].bad = false;
		c->ways[i].blocked = false;
	}
}

bool cable_is_empty(const struct cable *c)
{
	return c->heap_count == 0 && ring_first(&c->ways[0]) == NULL &&
	       ring_first(&c->ways[1]) == NULL;
}

const struct cable_stats *cable_stats(const struct cable *c)
{
	return &c->stats;
}

uint64_t cable_digest(const struct cable *c)
{
	return c->digest;
}

struct cable *cable_create(const struct scenario *sc, uint64_t seed, cable_deliver_fn deliver,
                           void *arg)
{
	struct cable *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ways[CABLE_UP].conf = sc->up;
	c->ways[CABLE_DOWN].conf = sc->down;
	c->ways[CABLE_UP].rng.s = mix64(seed + 1);
	c->ways[CABLE_DOWN].rng.s = mix64(seed + 2);
	c->deliver = deliver;
	c->arg = arg;
	return c;
}

void cable_destroy(struct cable *c)
{
	struct frame *f;

	if (c == NULL)
		return;
	while ((f = frame_next(c, UINT64_MAX)) != NULL)
		frame_free(c, f);
	for (uint32_t i = 0; i < 2; i++) {
		while ((f = c->free[i]) != NULL) {
			c->free[i] = f->next_free;
			free(f);
		}
		free(c->ways[i].ring);
	}
	free(c->heap);
	free(c);
}
