/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tickets, and which of them share a fetch. */
#include "control/fetch_internal.h"

#include "cache/key.h"
#include "lib/clock.h"
#include "lib/hash.h"

#include <stdlib.h>

/* --- fetches that may be joined --- */

static struct fetch **bucket_of(struct fetcher *f, const struct request *r)
{
	return &f->buckets[r->wire.key_lo % FETCH_BUCKETS];
}

static void table_add(struct fetch *f)
{
	struct fetch **head = bucket_of(f->f, f->req);

	f->hash_next = *head;
	if (f->hash_next != NULL)
		f->hash_next->hash_prev = &f->hash_next;
	f->hash_prev = head;
	*head = f;
}

void fetch_unjoin(struct fetch *f)
{
	if (f->hash_prev == NULL)
		return;
	*f->hash_prev = f->hash_next;
	if (f->hash_next != NULL)
		f->hash_next->hash_prev = f->hash_prev;
	f->hash_prev = NULL;
	f->hash_next = NULL;
}

/* Equal in key text and in what chose the origin: a core with another configuration must not get an
 * answer that its own would not have asked for. */
static struct fetch *table_find(struct fetcher *f, const struct request *r,
                                const struct plan_choice *plan)
{
	for (struct fetch *it = *bucket_of(f, r); it != NULL; it = it->hash_next)
		if (it->upstream == plan->upstream && it->req->method == r->method &&
		    it->rule.mode == plan->rule.mode && it->rule.ttl_ms == plan->rule.ttl_ms &&
		    it->req->wire.key_lo == r->wire.key_lo &&
		    it->req->wire.key_hi == r->wire.key_hi && span_eq(it->req->key, r->key))
			return it;
	return NULL;
}

static bool purge_hits(const struct inval_purge *p, struct span key)
{
	switch (p->kind) {
	case INVAL_KEY:
		return span_eq(key, p->text);
	case INVAL_PATTERN:
		return cache_key_match(key, p->text);
	default:
		return true; /* its tags are not known yet */
	}
}

void fetcher_purge(struct fetcher *f, const struct inval_purge *p)
{
	struct fetch *next;

	for (uint32_t i = 0; i < FETCH_BUCKETS; i++) {
		for (struct fetch *it = f->buckets[i]; it != NULL; it = next) {
			next = it->hash_next;
			if (purge_hits(p, it->req->key))
				fetch_unjoin(it);
		}
	}
}

/* --- life of a fetch --- */

void fetch_hold(struct fetch *f)
{
	f->holds++;
}

void fetch_drop(struct fetch *f)
{
	if (--f->holds > 0 || f->waiter_count > 0)
		return;
	/* Nobody waits: an origin that still sends is not listened to. */
	fetch_unjoin(f);
	exchange_cancel(&f->x);
	fetch_stream_free(f);
	if (f->x.request != NULL)
		request_bytes_unref(f->x.request);
	upstream_unref(f->upstream);
	free(f->req);
	free(f);
}

static void waiter_link(struct fetch *f, struct waiter *w)
{
	w->fetch = f;
	w->next = NULL;
	w->prev_next = f->waiters_end;
	*f->waiters_end = w;
	f->waiters_end = &w->next;
	f->waiter_count++;
}

static void waiter_unlink(struct waiter *w)
{
	struct fetch *f = w->fetch;

	*w->prev_next = w->next;
	if (w->next != NULL)
		w->next->prev_next = w->prev_next;
	else
		f->waiters_end = w->prev_next;
	w->next = NULL;
	w->prev_next = NULL;
	w->fetch = NULL;
	f->waiter_count--;
}

static struct waiter **slot_of(struct fetcher *f, const struct chan_ticket *t)
{
	return &f->slots[t->core][t->slot];
}

/* Takes w off its fetch, which may end by that. */
static void waiter_leave(struct waiter *w)
{
	struct fetch *f = w->fetch;

	if (f == NULL)
		return;
	fetch_hold(f);
	for (uint32_t i = w->cursor; i != f->chunk_first + f->chunk_count; i++)
		fetch_chunk(f, i)->wanted--;
	waiter_unlink(w);
	fetch_trim(f);
	fetch_drop(f);
}

void waiter_end(struct waiter *w)
{
	struct fetcher *f = w->f;

	link_unwait(f->ctl->chan, w->ticket.core, &w->pending);
	*slot_of(f, &w->ticket) = NULL;
	f->active--;
	waiter_leave(w);
	free(w->req);
	free(w);
}

static void waiter_refuse(struct waiter *w, uint16_t code)
{
	w->f->counts.failed++;
	w->fail_code = code;
	waiter_leave(w);
	waiter_pump(w);
}

void fetch_refuse(struct fetch *f, uint16_t code)
{
	fetch_hold(f);
	fetch_unjoin(f);
	f->ended = true;
	while (f->waiters != NULL)
		waiter_refuse(f->waiters, code);
	fetch_drop(f);
}

/* A fetch with w as its only ticket; w's request becomes the fetch's. */
static void fetch_start(struct waiter *w, const struct plan_choice *plan, bool share)
{
	struct fetcher *fr = w->f;
	struct fetch *f = calloc(1, sizeof(*f));
	const struct config_upstream *cu = upstream_config(plan->upstream);
	struct request_style style = {
	        .node = fr->ctl->config->node,
	        .host_header = cu->host_header,
	        .address = cu->name,
	        .id_hi = fr->id_prefix,
	        .id_lo = ++fr->id_seq,
	};

	if (f == NULL) {
		waiter_refuse(w, 503);
		return;
	}
	f->f = fr;
	f->req = w->req;
	w->req = NULL;
	w->leader = true;
	w->joined = false;
	f->upstream = plan->upstream;
	upstream_ref(plan->upstream);
	f->rule = plan->rule;
	f->started_wall_ms = clock_wall_ns() / NS_PER_MS;
	f->born_seq = chan_server_purge_seq(fr->ctl->chan);
	f->waiters_end = &f->waiters;
	f->head_block = CHAN_NO_BLOCK;
	f->gather_block = CHAN_NO_BLOCK;
	f->upload_left = f->req->has_body ? f->req->wire.body_len : 0;
	fetch_hold(f);
	waiter_link(f, w);
	if (share)
		table_add(f);
	f->x.ops = &fetch_exchange_ops;
	f->x.method = f->req->method;
	f->x.idempotent = http_method_idempotent(f->req->method);
	f->x.has_body = f->req->has_body;
	f->x.chunked = f->req->chunked;
	f->x.request = request_serialise(f->req, &style);
	if (f->x.request == NULL)
		fetch_refuse(f, 503);
	else
		exchange_start(&f->x, plan->upstream);
	fetch_drop(f);
}

void fetch_split(struct fetch *f)
{
	struct plan_choice plan = {.upstream = f->upstream, .rule = f->rule};
	struct waiter *next;

	for (struct waiter *w = f->waiters; w != NULL; w = next) {
		next = w->next;
		if (w->leader)
			continue;
		f->f->counts.restarted++;
		waiter_leave(w);
		w->cursor = 0;
		fetch_start(w, &plan, false);
	}
}

static void fetch_join(struct fetch *f, struct waiter *w)
{
	/* Joined only while every chunk is kept: the first is number 0. */
	assert(f->chunk_first == 0);
	f->f->counts.joined++;
	w->joined = true;
	fetch_hold(f);
	waiter_link(f, w);
	for (uint32_t i = 0; i < f->chunk_count; i++)
		fetch_chunk(f, i)->wanted++;
	waiter_pump(w);
	fetch_drop(f);
}

/* --- messages --- */

static bool may_share(const struct request *r)
{
	return (r->wire.flags & CHAN_REQ_COLLAPSE) != 0 && r->key.len > 0 && !r->has_body &&
	       !r->conditional && r->method == HTTP_GET;
}

bool fetcher_request(struct fetcher *f, const struct chan_msg *m, const void *bytes)
{
	struct waiter **slot = slot_of(f, &m->ticket);
	struct plan_choice plan;
	struct waiter *w;
	bool ok = true;

	/* A control plane that goes takes nothing on: the core asks the next one again. */
	if (f->ctl->draining) {
		f->left_over = true;
		return true;
	}
	if (*slot != NULL) { /* the core has given the former up; its CANCEL found no room */
		f->counts.cancelled++;
		waiter_end(*slot);
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return true; /* the core's own time limit answers */
	w->f = f;
	w->ticket = m->ticket;
	w->pending.pump = waiter_pending;
	*slot = w;
	f->active++;
	f->counts.requests++;
	w->req = request_read(bytes, m->len, (m->flags & CHAN_F_END) == 0);
	if (w->req == NULL) {
		f->counts.malformed++;
		ok = false;
		waiter_refuse(w, 502);
	} else if (!plan_choose(f, &w->req->wire, &plan)) {
		waiter_refuse(w, 503);
	} else {
		bool share = may_share(w->req);
		struct fetch *other = share ? table_find(f, w->req, &plan) : NULL;

		if (other != NULL)
			fetch_join(other, w);
		else
			fetch_start(w, &plan, share);
	}
	return ok;
}

static struct waiter *waiter_of(struct fetcher *f, const struct chan_ticket *t)
{
	struct waiter *w = *slot_of(f, t);

	return w != NULL && w->ticket.seq == t->seq ? w : NULL;
}

bool fetcher_cancel(struct fetcher *f, const struct chan_msg *m)
{
	struct waiter *w = waiter_of(f, &m->ticket);

	if (w == NULL)
		return false;
	f->counts.cancelled++;
	waiter_end(w);
	return true;
}

static enum fetcher_took upload_bad(struct fetch *f)
{
	fetch_hold(f);
	exchange_cancel(&f->x);
	if (f->head_block == CHAN_NO_BLOCK) {
		fetch_refuse(f, 502);
	} else {
		f->ended = true;
		f->aborted = true;
		fetch_pump(f);
	}
	fetch_drop(f);
	return FETCHER_BAD;
}

enum fetcher_took fetcher_body(struct fetcher *f, const struct chan_msg *m, const void *bytes)
{
	struct waiter *w = waiter_of(f, &m->ticket);
	bool end = (m->flags & CHAN_F_END) != 0;
	struct body_piece *p;
	struct fetch *ft;

	if (w == NULL)
		return FETCHER_LATE;
	ft = w->fetch;
	if (ft == NULL || ft->x.upstream == NULL)
		return FETCHER_DONE; /* answered already; what comes now is not needed */
	if ((m->flags & CHAN_F_ABORT) != 0) {
		waiter_end(w);
		return FETCHER_DONE;
	}
	if (!w->leader || !ft->req->has_body || ft->x.body_ended || m->len > ft->upload_left)
		return upload_bad(ft);
	if (!ft->req->chunked)
		ft->upload_left -= m->len;
	if (end && !ft->req->chunked && ft->upload_left > 0)
		return upload_bad(ft);
	if (m->len == 0) {
		if (end)
			exchange_push_end(&ft->x);
		return FETCHER_DONE;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return upload_bad(ft);
	p->ptr = bytes;
	p->len = m->len;
	p->block = m->block;
	p->core = m->ticket.core;
	/* Set first: piece and end then leave in one send. */
	ft->x.body_ended = end;
	exchange_push(&ft->x, p);
	return FETCHER_TOOK;
}

/* --- start and stop --- */

enum status fetcher_create(struct control *ctl, struct fetcher **out)
{
	struct fetcher *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return ST_NOMEM;
	f->ctl = ctl;
	random_bytes(&f->id_prefix, sizeof(f->id_prefix));
	*out = f;
	return ST_OK;
}

void fetcher_destroy(struct fetcher *f)
{
	plans_destroy(f);
	free(f);
}

enum status fetcher_attached(struct fetcher *f)
{
	uint32_t cores = chan_server_cores(f->ctl->chan);

	f->slots = calloc(max_u32(1, cores), sizeof(struct waiter **));
	if (f->slots == NULL)
		return ST_NOMEM;
	f->cores = cores;
	for (uint32_t c = 0; c < cores; c++) {
		f->slots[c] = calloc(FETCH_SLOTS, sizeof(struct waiter *));
		if (f->slots[c] == NULL)
			return ST_NOMEM;
	}
	return ST_OK;
}

void fetcher_detached(struct fetcher *f)
{
	for (uint32_t c = 0; f->slots != NULL && c < f->cores; c++) {
		for (uint32_t i = 0; f->slots[c] != NULL && f->active > 0 && i < FETCH_SLOTS; i++)
			if (f->slots[c][i] != NULL)
				waiter_end(f->slots[c][i]);
		free(f->slots[c]);
	}
	free(f->slots);
	f->slots = NULL;
	f->cores = 0;
}

uint32_t fetcher_active(const struct fetcher *f)
{
	return f->active;
}

bool fetcher_left_over(const struct fetcher *f)
{
	return f->left_over;
}

void fetcher_counts(const struct fetcher *f, struct fetcher_counts *out)
{
	*out = f->counts;
}
