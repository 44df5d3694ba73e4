/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/chan_internal.h"

#include <stdlib.h>

static enum status link_create(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];

	chan_port_control(&s->ch, core, &l->port);
	l->port.ring_fd = s->ring_fds[core];
	l->port.wait_fd = s->wait_fd;
	l->up_held = calloc(s->ch.geo.up_blocks, sizeof(*l->up_held));
	l->release = calloc(s->ch.geo.up_blocks, sizeof(*l->release));
	l->queue = calloc(LINK_QUEUE, sizeof(*l->queue));
	l->pending_end = &l->pending;
	if (l->up_held == NULL || l->release == NULL || l->queue == NULL)
		return ST_NOMEM;
	return ST_OK;
}

enum status links_create(struct chan_server *s)
{
	enum status st = ST_OK;

	s->cores = s->ch.geo.cores;
	s->links = calloc(s->cores, sizeof(*s->links));
	if (s->links == NULL)
		return ST_NOMEM;
	for (uint32_t c = 0; c < s->cores && st == ST_OK; c++)
		st = link_create(s, c);
	if (st == ST_OK)
		st = down_init(&s->down, chan_down_base(&s->ch), &s->ch.geo);
	if (st != ST_OK)
		return st;
	uint32_t quarter = max_u32(1, s->ch.geo.down_blocks / 4);
	s->bufs_want = min_u32(RECV_BUFS_MAX, (uint32_t)pow2_ceil(quarter / 2 + 1));
	s->reserve = s->ch.geo.down_blocks / 8;
	s->buf_free_count = s->bufs_want;
	for (uint32_t i = 0; i < s->bufs_want; i++)
		s->buf_free[i] = (uint16_t)i;
	s->told_short = false;
	chan_down_tell(&s->links[0].port, false);
	return loop_bufs_create(s->loop, LINK_RECV_GROUP, s->bufs_want, &s->bufs);
}

void links_destroy(struct chan_server *s)
{
	if (s->bufs != NULL)
		loop_bufs_destroy(s->loop, s->bufs);
	s->bufs = NULL;
	down_destroy(&s->down);
	for (uint32_t c = 0; s->links != NULL && c < s->cores; c++) {
		free(s->links[c].up_held);
		free(s->links[c].release);
		free(s->links[c].queue);
	}
	free(s->links);
	s->links = NULL;
	s->cores = 0;
	s->purges.block = CHAN_NO_BLOCK;
}

struct down_slab *link_down(struct chan_server *s)
{
	return &s->down;
}

static uint32_t blocks_free(const struct chan_server *s)
{
	return s->down.slab.free_count + (s->bufs != NULL ? loop_bufs_ready(s->bufs) : 0);
}

uint32_t chan_server_down_blocks_free(const struct chan_server *s)
{
	return s->state == LINK_SERVING ? blocks_free(s) : 0;
}

uint32_t link_usable(const struct chan_server *s)
{
	uint32_t free_blocks = blocks_free(s);

	return free_blocks > s->reserve ? free_blocks - s->reserve : 0;
}

/* No stream gets a second block out of these. */
static uint32_t spare_blocks(const struct chan_server *s)
{
	return s->down.slab.count / 8;
}

void link_receiving(struct chan_server *s, bool before, bool now)
{
	s->receiving += (uint32_t)now - (uint32_t)before;
}

uint32_t link_threshold(const struct chan_server *s, uint32_t want)
{
	uint32_t usable = link_usable(s);
	uint32_t spare = spare_blocks(s) + s->receiving;
	uint32_t left = usable > spare ? usable - spare : 0;
	/* The whole window while half of the slab is free, then in proportion to what is left:
	 * early slow clients keep what they hold, so they must not be let to take nearly all. The
	 * spare is for those that have no block yet: many slow clients, each with one. */
	uint64_t share = 2ull * want * left / s->down.slab.count;

	return max_u32(1, (uint32_t)min_u64(want, share));
}

uint32_t link_recv_block(struct chan_server *s, uint32_t buf_id)
{
	assert(buf_id < s->bufs_want && s->buf_free_count < s->bufs_want);
	s->buf_free[s->buf_free_count++] = (uint16_t)buf_id;
	return s->buf_blocks[buf_id];
}

bool link_top_up(struct chan_server *s)
{
	if (s->state != LINK_SERVING)
		return false;
	while (s->buf_free_count > 0 && s->down.slab.free_count > s->reserve) {
		uint32_t block = down_get(&s->down);
		uint16_t id = s->buf_free[--s->buf_free_count];

		s->buf_blocks[id] = block;
		loop_bufs_add(s->bufs, down_at(&s->down, block), s->ch.geo.down_block_bytes, id);
	}
	return loop_bufs_ready(s->bufs) > 0;
}

bool link_push(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	struct chan_msg *slot = chan_slot(&s->links[core].port);

	if (slot == NULL)
		return false;
	*slot = *m;
	chan_push(&s->links[core].port);
	s->counts.sent++;
	return true;
}

/* No answer overtakes a purge: who made it must not get what was stored before. */
bool link_send(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	return likely(!purges_wait(s, core)) && link_push(s, core, m);
}

void link_release(struct chan_server *s, uint32_t core, uint32_t block)
{
	struct core_link *l;
	uint32_t cap = s->ch.geo.up_blocks;

	if (block == CHAN_NO_BLOCK || s->links == NULL || core >= s->cores)
		return; /* the attachment is gone, and the block with it */
	l = &s->links[core];
	assert(block < cap && l->up_held[block] != 0);
	l->up_held[block] = 0;
	l->release[(l->release_first + l->release_count++) % cap] = block;
}

bool link_queue(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	struct core_link *l = &s->links[core];

	if (l->queue_count == LINK_QUEUE)
		return false;
	l->queue[(l->queue_first + l->queue_count++) % LINK_QUEUE] = *m;
	if (m->block != CHAN_NO_BLOCK)
		down_lend(&s->down, core, m->block);
	return true;
}

uint64_t link_hash_seed(const struct chan_server *s)
{
	return s->ch.hdr->hash_seed;
}

void link_wait(struct chan_server *s, uint32_t core, struct link_pending *p)
{
	struct core_link *l = &s->links[core];

	if (p->prev_next != NULL)
		return;
	p->next = NULL;
	p->prev_next = l->pending_end;
	*l->pending_end = p;
	l->pending_end = &p->next;
}

void link_unwait(struct chan_server *s, uint32_t core, struct link_pending *p)
{
	if (p->prev_next == NULL)
		return;
	*p->prev_next = p->next;
	if (p->next != NULL)
		p->next->prev_next = p->prev_next;
	else
		s->links[core].pending_end = p->prev_next;
	p->next = NULL;
	p->prev_next = NULL;
}

static bool flush_releases(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];
	uint32_t cap = s->ch.geo.up_blocks;

	while (l->release_count > 0) {
		struct chan_msg m = {
		        .type = CHAN_RELEASE,
		        .ticket = {.epoch = s->epoch, .core = (uint16_t)core},
		        .block = CHAN_NO_BLOCK,
		};
		uint32_t n = min_u32(CHAN_RELEASE_MAX, l->release_count);

		m.code = (uint16_t)n;
		for (uint32_t i = 0; i < n; i++)
			m.blocks[i] = l->release[(l->release_first + i) % cap];
		if (!link_push(s, core, &m))
			return false;
		l->release_first = (l->release_first + n) % cap;
		l->release_count -= n;
	}
	return true;
}

static bool flush_queue(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];

	while (l->queue_count > 0) {
		if (!link_send(s, core, &l->queue[l->queue_first]))
			return false;
		l->queue_first = (l->queue_first + 1) % LINK_QUEUE;
		l->queue_count--;
	}
	return true;
}

static void flush_core(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];

	if (!flush_releases(s, core) || !purges_flush(s, core) || !flush_queue(s, core))
		return;
	while (l->pending != NULL) {
		struct link_pending *p = l->pending;

		/* Taken out first: pump may free what it is embedded in. */
		link_unwait(s, core, p);
		if (p->pump(p))
			continue;
		/* Back to the front: the order of arrival stays. */
		p->next = l->pending;
		p->prev_next = &l->pending;
		if (l->pending != NULL)
			l->pending->prev_next = &p->next;
		else
			l->pending_end = &p->next;
		l->pending = p;
		break;
	}
}

/* Clients that read nothing pin blocks that others wait for: their cores can give them up. */
static void tell_short(struct chan_server *s)
{
	bool now = link_usable(s) < spare_blocks(s);

	if (now == s->told_short)
		return;
	s->told_short = now;
	chan_down_tell(&s->links[0].port, now);
}

void link_flush(struct chan_server *s)
{
	tell_short(s);
	for (uint32_t c = 0; c < s->cores; c++) {
		flush_core(s, c);
		s->counts.doorbells += chan_flush(&s->links[c].port);
	}
	purges_round_end(s);
}

bool link_has_waiting(const struct chan_server *s)
{
	for (uint32_t c = 0; c < s->cores; c++) {
		const struct core_link *l = &s->links[c];

		if (l->release_count > 0 || l->queue_count > 0 || l->pending != NULL ||
		    purges_wait(s, c))
			return true;
	}
	return false;
}
