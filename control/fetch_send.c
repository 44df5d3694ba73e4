/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages to the cores: each ticket gets head, body and end as far as its core's ring has room;
 * the rest is sent when the ring has room again. */
#include "control/fetch_internal.h"

static struct chan_server *chan_of(const struct waiter *w)
{
	return w->f->ctl->chan;
}

static struct chan_msg message(const struct waiter *w, enum chan_type type)
{
	return (struct chan_msg){
	        .type = (uint8_t)type,
	        .ticket = w->ticket,
	        .block = CHAN_NO_BLOCK,
	};
}

static bool send_fail(struct waiter *w)
{
	struct chan_msg m = message(w, CHAN_FAIL);

	m.code = w->fail_code;
	m.flags = CHAN_F_END;
	return link_send(chan_of(w), w->ticket.core, &m);
}

/* Into the core's hot table, ahead of the head: its next look-up may need it. */
static bool send_put(struct waiter *w)
{
	struct fetch *f = w->fetch;
	struct chan_msg m = message(w, CHAN_PUT);

	m.ticket.slot = 0;
	m.ticket.seq = 0;
	m.block = f->head_block;
	m.off = f->put_off;
	m.len = f->put_len;
	if (!link_send(chan_of(w), w->ticket.core, &m))
		return false;
	f->put_sent |= 1ull << w->ticket.core;
	down_lend(link_down(chan_of(w)), w->ticket.core, f->head_block);
	return true;
}

static bool send_head(struct waiter *w)
{
	struct fetch *f = w->fetch;
	uint64_t bit = 1ull << w->ticket.core;
	struct chan_msg m = message(w, CHAN_HEAD);
	bool fill = f->shared && (f->filled & bit) == 0;

	if (f->put_len > 0 && (f->put_sent & bit) == 0 && !send_put(w))
		return false;
	m.block = f->head_block;
	m.len = f->head_len;
	m.flags = f->tier;
	m.code = f->code;
	if (fill)
		m.flags |= CHAN_F_FILL;
	if (w->joined)
		m.flags |= CHAN_F_SHARED;
	if (f->reused)
		m.flags |= CHAN_F_REUSED;
	if (f->head_end || w->method == HTTP_HEAD)
		m.flags |= CHAN_F_END;
	if (!link_send(chan_of(w), w->ticket.core, &m))
		return false;
	/* One fill a core: the tickets of a core share its hot table. */
	if (fill)
		f->filled |= bit;
	w->head_sent = true;
	down_lend(link_down(chan_of(w)), w->ticket.core, f->head_block);
	return true;
}

static bool send_chunk(struct waiter *w, bool last)
{
	struct fetch *f = w->fetch;
	struct chunk *ch = fetch_chunk(f, w->cursor);
	struct chan_msg m = message(w, CHAN_BODY);

	m.block = ch->block;
	m.off = ch->off;
	m.len = ch->len;
	m.flags = last ? CHAN_F_END : 0;
	if (!link_send(chan_of(w), w->ticket.core, &m))
		return false;
	down_lend(link_down(chan_of(w)), w->ticket.core, ch->block);
	ch->wanted--;
	w->cursor++;
	return true;
}

static bool send_end(struct waiter *w)
{
	struct chan_msg m = message(w, CHAN_BODY);

	m.flags = CHAN_F_END;
	if (w->fetch->aborted)
		m.flags |= CHAN_F_ABORT;
	return link_send(chan_of(w), w->ticket.core, &m);
}

/* False when the ring is full. Frees w when its answer is complete. */
static bool waiter_push(struct waiter *w)
{
	struct fetch *f = w->fetch;
	bool last = false;

	if (f == NULL) {
		if (!send_fail(w))
			return false;
		waiter_end(w);
		return true;
	}
	if (f->head_block == CHAN_NO_BLOCK || f->held)
		return true;
	if (!w->head_sent && !send_head(w))
		return false;
	if (f->head_end || w->method == HTTP_HEAD) {
		waiter_end(w);
		return true;
	}
	while (w->cursor != f->chunk_first + f->chunk_count) {
		last = f->ended && !f->aborted && w->cursor + 1 == f->chunk_first + f->chunk_count;
		if (!send_chunk(w, last))
			return false;
	}
	if (!f->ended)
		return true;
	if (!last && !send_end(w))
		return false;
	waiter_end(w);
	return true;
}

bool waiter_pending(struct link_pending *p)
{
	struct waiter *w = container_of(p, struct waiter, pending);
	struct fetch *f = w->fetch;
	bool done;

	if (f == NULL)
		return waiter_push(w);
	fetch_hold(f);
	done = waiter_push(w);
	fetch_trim(f);
	fetch_drop(f);
	return done;
}

void waiter_pump(struct waiter *w)
{
	if (w->pending.prev_next != NULL)
		return; /* its turn comes */
	if (!waiter_push(w))
		link_wait(chan_of(w), w->ticket.core, &w->pending);
}

/* The caller holds f. */
void fetch_pump(struct fetch *f)
{
	struct waiter *next;

	for (struct waiter *w = f->waiters; w != NULL; w = next) {
		next = w->next;
		waiter_pump(w);
	}
	f->batch = f->chunk_first + f->chunk_count;
	fetch_trim(f);
}

/* Nobody who joined gets it: whether the answer is for them too, its own head will say. What there
 * is no room for is dropped; the answer itself does not depend on it. */
void fetch_interim(struct fetch *f, const struct http_response_head *h)
{
	struct down_slab *down = fetch_down(f);
	struct waiter *w = f->waiters;
	struct chan_msg m;
	bool sent = false;
	uint32_t block;

	while (w != NULL && !w->leader)
		w = w->next;
	if (w == NULL)
		return;
	m = message(w, CHAN_HEAD);
	block = link_usable(chan_of(w)) > 0 ? down_get(down) : CHAN_NO_BLOCK;
	if (block != CHAN_NO_BLOCK && w->pending.prev_next == NULL) {
		m.block = block;
		m.len = response_interim(h, down_at(down, block), fetch_head_cap(f));
		sent = m.len > 0 && link_send(chan_of(w), w->ticket.core, &m);
	}
	if (sent)
		down_lend(down, w->ticket.core, block);
	if (block != CHAN_NO_BLOCK)
		down_unref(down, block);
	f->f->counts.interims += sent;
	f->f->counts.interims_dropped += !sent;
}
