/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges on their way to the cores (docs/CACHE-PURGES.md). Each gets a number and a place in a log;
 * each core has its own position there, so that a full ring, a slab without blocks or an attachment
 * that broke off delays a purge but does not lose it. A core that falls behind the whole log is
 * told to void everything.
 *
 * Copies that were replaced go the same way, in a log of their own, so that they push no purge out.
 * A core that falls behind that one is not told of all: its old copies are stale, and it will ask
 * for them again. */
#include "control/chan_internal.h"

#include "cache/l3.h"
#include "control/fetch.h"

#include "lib/clock.h"

#include <stdlib.h>

#define US_PER_MS 1000ull

struct purge_entry {
	struct inval_purge p; /* text: of this entry */
	uint64_t order;       /* p.seq, or where in the order one stands that has a lower number */
	uint8_t flags;
	uint16_t slot; /* of the query, with its seq; seq 0: nobody waits */
	uint64_t query_seq;
	char text[INVAL_TEXT_MAX];
};

static struct purge_entry *entry_at(const struct purge_log *log, uint64_t pos)
{
	return &log->entries[pos % PURGE_LOG];
}

/* Control's numbers go on above those of the process before it, unless the clock went back: then
 * SYNC raises them. Whenever a request leaves they catch up with the clock (microseconds), so that
 * a number says when an answer was asked for: also to the next process, which reads in the shared
 * store what was purged while nobody did (struct purge_order, before_us). */
enum status purges_create(struct chan_server *s)
{
	s->purges.entries = calloc(PURGE_LOG, sizeof(*s->purges.entries));
	s->purges.block = CHAN_NO_BLOCK;
	s->purges.seq = clock_wall_ns() / NS_PER_US;
	s->replaces.entries = calloc(PURGE_LOG, sizeof(*s->replaces.entries));
	return s->purges.entries != NULL && s->replaces.entries != NULL ? ST_OK : ST_NOMEM;
}

void purges_destroy(struct chan_server *s)
{
	free(s->purges.entries);
	free(s->replaces.entries);
}

void purges_round_end(struct chan_server *s)
{
	if (s->purges.block != CHAN_NO_BLOCK)
		down_unref(&s->down, s->purges.block);
	s->purges.block = CHAN_NO_BLOCK;
}

uint64_t link_purge_seq(const struct chan_server *s)
{
	return s->purges.seq;
}

uint64_t link_purge_now(struct chan_server *s)
{
	s->purges.seq = max_u64(s->purges.seq, clock_wall_ns() / NS_PER_US);
	return s->purges.seq;
}

uint64_t link_purge_next(struct chan_server *s)
{
	s->purges.seq++;
	return link_purge_now(s);
}

/* Texts of a round share a block: purges come by the hundred. */
static bool text_put(struct chan_server *s, struct span text, struct chan_msg *m)
{
	struct purge_log *log = &s->purges;
	uint32_t room = s->ch.geo.down_block_bytes;

	if (log->block == CHAN_NO_BLOCK || text.len > room - log->block_used) {
		uint32_t block = down_get(&s->down);

		if (block == CHAN_NO_BLOCK)
			return false;
		if (log->block != CHAN_NO_BLOCK)
			down_unref(&s->down, log->block);
		log->block = block;
		log->block_used = 0;
	}
	memcpy(down_at(&s->down, log->block) + log->block_used, text.ptr, text.len);
	m->block = log->block;
	m->off = log->block_used;
	m->len = (uint32_t)text.len;
	log->block_used += m->len;
	return true;
}

/* False: no room now. */
static bool purge_send(struct chan_server *s, uint32_t core, const struct purge_entry *e)
{
	struct chan_msg m = {
	        .type = CHAN_PURGE,
	        .code = (uint16_t)e->p.kind,
	        .flags = e->flags,
	        .ticket = {.epoch = s->epoch,
	                   .core = (uint16_t)core,
	                   .slot = e->slot,
	                   .seq = e->query_seq},
	        .block = CHAN_NO_BLOCK,
	        .n = max_u64(e->p.seq, s->links[core].purge_floor),
	};

	if (e->p.text.len > 0 && !text_put(s, e->p.text, &m))
		return false;
	if (!link_push(s, core, &m))
		return false;
	if (m.block != CHAN_NO_BLOCK)
		down_lend(&s->down, core, m.block);
	return true;
}

/* Some of what the core has not seen is not in the log any more. */
static bool send_all(struct chan_server *s, uint32_t core)
{
	struct purge_entry all = {.p = {.seq = s->purges.seq, .kind = INVAL_ALL}};

	if (!purge_send(s, core, &all))
		return false;
	s->counts.purges_overrun++;
	return true;
}

static bool replaces_flush(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];
	struct purge_log *log = &s->replaces;

	if (log->count - l->replace_pos > PURGE_LOG) {
		s->counts.replaces_lost += log->count - PURGE_LOG - l->replace_pos;
		l->replace_pos = log->count - PURGE_LOG;
	}
	for (; l->replace_pos < log->count; l->replace_pos++)
		if (!purge_send(s, core, entry_at(log, l->replace_pos)))
			return false;
	return true;
}

bool purges_flush(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];
	struct purge_log *log = &s->purges;

	if (l->purge_all || log->count - l->purge_pos > PURGE_LOG) {
		if (!send_all(s, core))
			return false;
		l->purge_all = false;
		l->purge_pos = log->count;
	}
	for (; l->purge_pos < log->count; l->purge_pos++)
		if (!purge_send(s, core, entry_at(log, l->purge_pos)))
			return false;
	return replaces_flush(s, core);
}

bool purges_wait(const struct chan_server *s, uint32_t core)
{
	const struct core_link *l = &s->links[core];

	return l->purge_all || l->purge_pos < s->purges.count || l->replace_pos < s->replaces.count;
}

void purges_first(struct chan_server *s)
{
	for (uint32_t c = 0; c < s->cores; c++)
		if (unlikely(purges_wait(s, c)))
			(void)purges_flush(s, c);
}

void purges_sync(struct chan_server *s, uint32_t core, uint64_t seen, uint64_t born)
{
	struct core_link *l = &s->links[core];
	struct purge_log *log = &s->purges;
	uint64_t first = log->count > PURGE_LOG ? log->count - PURGE_LOG : 0;

	l->purge_floor = 0;
	l->replace_pos = s->replaces.count;
	l->purge_all = log->lost_seq > seen;
	l->purge_pos = first;
	if (max_u64(seen, born) > log->seq) {
		/* Of a process before this one, whose clock was ahead: what was ordered here is
		 * new to the core, and younger than all that it holds. */
		log->seq = max_u64(seen, born) + 1;
		l->purge_floor = log->seq;
		l->purge_all = log->count > PURGE_LOG;
		return;
	}
	while (l->purge_pos < log->count && entry_at(log, l->purge_pos)->order <= seen)
		l->purge_pos++;
}

/* Into every ring, and out: who is answered after this purge finds it done. */
static void send_out(struct chan_server *s)
{
	for (uint32_t c = 0; s->state == LINK_SERVING && c < s->cores; c++)
		if (purges_flush(s, c))
			s->counts.doorbells += chan_flush(&s->links[c].port);
}

static struct purge_entry *append(struct purge_log *log, const struct inval_purge *p)
{
	struct purge_entry *e = entry_at(log, log->count);

	if (log->count >= PURGE_LOG)
		log->lost_seq = max_u64(log->lost_seq, e->order);
	e->p = *p;
	e->order = p->seq;
	e->p.text = span_of(e->text, min_size(p->text.len, sizeof(e->text)));
	if (e->p.text.len > 0)
		memcpy(e->text, p->text.ptr, e->p.text.len);
	e->flags = p->soft ? CHAN_F_SOFT : 0;
	e->slot = 0;
	e->query_seq = 0;
	log->count++;
	return e;
}

/* The other nodes hear of it, and no value of before is taken from the shared store. */
static void publish(struct chan_server *s, const struct inval_purge *p)
{
	struct l3_purge shared = {
	        .kind = (uint8_t)p->kind,
	        .soft = p->soft,
	        .text = p->text,
	        .wall_ms = clock_wall_ns() / NS_PER_MS,
	};

	if (s->ctl->l3 != NULL && l3_enabled(s->ctl->l3))
		l3_publish_purge(s->ctl->l3, &shared);
}

/* What another node ordered, or that there was too much of it. */
static void on_foreign(void *arg, const struct l3_purge *p, bool lost)
{
	struct purge_order o = {.kind = INVAL_ALL, .foreign = true};

	if (!lost) {
		if (p->kind >= INVAL_KINDS || p->text.len > INVAL_TEXT_MAX)
			return;
		o.kind = (enum inval_kind)p->kind;
		o.soft = p->soft;
		o.text = p->text;
		o.before_us = min_u64(p->before_ms, INVAL_SEQ_MAX / US_PER_MS) * US_PER_MS;
	}
	chan_server_purge(arg, &o, NULL, NULL);
}

void chan_server_watch_purges(struct chan_server *s)
{
	if (s->ctl->l3 != NULL && l3_enabled(s->ctl->l3))
		l3_watch_purges(s->ctl->l3, on_foreign, s);
}

uint64_t chan_server_purge(struct chan_server *s, const struct purge_order *o, chan_result_fn cb,
                           void *arg)
{
	struct inval_purge p = {.kind = o->kind, .soft = o->soft, .text = o->text};
	uint64_t number = ++s->purges.seq;
	struct purge_entry *e;

	assert(o->text.len <= INVAL_TEXT_MAX);
	p.seq = o->before_us > 0 ? min_u64(number, o->before_us) : number;
	fetcher_purge(s->ctl->fetcher, &p);
	if (!o->foreign)
		publish(s, &p);
	e = append(&s->purges, &p);
	e->order = number;
	s->counts.purges++;
	if (cb != NULL && s->state == LINK_SERVING) {
		struct query *q = query_new(s, cb, arg, o->count ? COUNT_WAIT_NS : QUERY_WAIT_NS);

		if (q == NULL) {
			send_out(s);
			cb(arg, ST_FULL, NULL, 0, 0);
			return number;
		}
		q->purge = true;
		q->waiting = s->cores == 64 ? UINT64_MAX : (1ull << s->cores) - 1;
		e->slot = q->slot;
		e->query_seq = q->seq;
		e->flags |= o->count ? CHAN_F_COUNT : 0;
		send_out(s);
	} else {
		send_out(s);
		if (cb != NULL)
			cb(arg, ST_CLOSED, NULL, 0, 0);
	}
	return number;
}

void chan_server_replace(struct chan_server *s, struct span key, uint64_t born_seq)
{
	struct inval_purge p = {.seq = born_seq, .kind = INVAL_KEY, .text = key};

	if (s->state != LINK_SERVING)
		return; /* the old copies are stale: they will be asked for again */
	append(&s->replaces, &p);
	send_out(s);
}
