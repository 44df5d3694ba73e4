/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tickets, and the life of a fetch. */
#include "control/fetch_internal.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>

/* --- life of a fetch --- */

struct fetch *fetch_new(struct fetcher *fr, const struct plan_choice *plan)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->f = fr;
	f->plan = *plan;
	upstream_ref(plan->upstream);
	f->holds = 1;
	f->waiters_end = &f->waiters;
	f->head_block = CHAN_NO_BLOCK;
	f->gather_block = CHAN_NO_BLOCK;
	f->all_next = fr->all;
	f->all_prev = &fr->all;
	if (fr->all != NULL)
		fr->all->all_prev = &f->all_next;
	fr->all = f;
	return f;
}

void fetch_hold(struct fetch *f)
{
	f->holds++;
}

void fetch_drop(struct fetch *f)
{
	if (--f->holds > 0 || f->waiter_count > 0 || f->parked != NULL)
		return;
	/* Nobody waits: an origin that still sends is not listened to. */
	fetch_unjoin(f);
	fetch_dry_remove(f);
	fetch_l3_cancel(f);
	exchange_cancel(&f->x);
	fetch_fill_abort(f);
	fetch_code_free(f);
	fetch_stream_free(f);
	if (f->entry != NULL)
		store_drop(f->entry);
	if (f->x.request != NULL)
		request_bytes_unref(f->x.request);
	upstream_unref(f->plan.upstream);
	*f->all_prev = f->all_next;
	if (f->all_next != NULL)
		f->all_next->all_prev = f->all_prev;
	free(f->variant);
	free(f->base_text);
	free(f->effects);
	free(f->req);
	free(f);
}

void fetch_background_end(struct fetch *f)
{
	if (!f->background)
		return;
	f->background = false;
	fetch_warm_end(f);
	fetch_drop(f);
}

void fetch_exchange_end(struct fetch *f)
{
	if (!f->holds_exchange)
		return;
	f->holds_exchange = false;
	fetch_drop(f);
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

static void waiter_unpark(struct waiter *w)
{
	*w->prev_next = w->next;
	if (w->next != NULL)
		w->next->prev_next = w->prev_next;
	w->next = NULL;
	w->prev_next = NULL;
	w->fetch = NULL;
	w->parked = false;
}

void waiter_leave(struct waiter *w)
{
	struct fetch *f = w->fetch;

	if (f == NULL)
		return;
	fetch_hold(f);
	if (w->parked) {
		waiter_unpark(w);
		fetch_drop(f);
		return;
	}
	for (uint32_t i = w->cursor; i != f->chunk_first + f->chunk_count; i++)
		fetch_chunk(f, i)->wanted--;
	waiter_unlink(w);
	fetch_trim(f);
	/* Out of the store nothing is coded for nobody. */
	if (f->sending && f->waiter_count == 0)
		fetch_unpark_soon(f);
	fetch_drop(f);
}

void waiter_end(struct waiter *w)
{
	struct fetcher *f = w->f;

	link_unwait(f->ctl->chan, w->ticket.core, &w->pending);
	*slot_of(f, &w->ticket) = NULL;
	f->active--;
	kept_upload_lost(w);
	waiter_leave(w);
	free(kept_detach(w));
	free(w->req);
	free(w);
}

void waiter_refuse(struct waiter *w, uint16_t code)
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
	while (f->parked != NULL)
		waiter_refuse(f->parked, code);
	fetch_background_end(f);
	fetch_drop(f);
}

void fetch_add(struct fetch *f, struct waiter *w)
{
	/* While every chunk is kept the first is number 0. */
	assert(f->chunk_first == 0);
	w->cursor = 0;
	waiter_link(f, w);
	for (uint32_t i = 0; i < f->chunk_count; i++)
		fetch_chunk(f, i)->wanted++;
}

void fetch_join(struct fetch *f, struct waiter *w)
{
	f->f->counts.joined++;
	w->joined = true;
	fetch_hold(f);
	fetch_add(f, w);
	waiter_pump(w);
	fetch_drop(f);
}

void fetch_split(struct fetch *f, bool (*stays)(struct fetch *f, const struct waiter *w))
{
	struct waiter *next;

	for (struct waiter *w = f->waiters; w != NULL; w = next) {
		next = w->next;
		if (w->leader || (stays != NULL && stays(f, w)))
			continue;
		f->f->counts.restarted++;
		waiter_leave(w);
		w->joined = false;
		/* Those that belong together find each other again by their variants' keys. */
		fetch_route(w, &f->plan, stays != NULL);
	}
}

/* --- messages --- */

/* A ticket in its slot; NULL: no memory. */
static struct waiter *waiter_new(struct fetcher *f, const struct chan_ticket *t)
{
	struct waiter **slot = slot_of(f, t);
	struct waiter *w;

	if (*slot != NULL) { /* the core has given the former up; its CANCEL found no room */
		f->counts.cancelled++;
		waiter_end(*slot);
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->f = f;
	w->ticket = *t;
	w->pending.pump = waiter_pending;
	*slot = w;
	f->active++;
	f->counts.requests++;
	return w;
}

/* Nobody waits for it. */
static bool refresh_request(struct fetcher *f, struct request *r)
{
	struct plan_choice plan;

	if (r == NULL) {
		f->counts.malformed++;
		return false;
	}
	if (!plan_choose(f, &r->wire, &plan))
		free(r);
	else if (r->wire.flags & CHAN_REQ_CHECK)
		pattern_check(f, r, &plan);
	else
		fetch_refresh(f, r, &plan);
	return true;
}

bool fetcher_request(struct fetcher *f, const struct chan_msg *m, const void *bytes)
{
	struct http_fields fields;
	struct plan_choice plan;
	struct request *r;
	struct waiter *w;

	/* A control plane that goes takes nothing on: the core asks the next one again. */
	if (f->ctl->draining) {
		f->left_over |= m->ticket.seq != 0;
		return true;
	}
	r = request_read(bytes, m->len, (m->flags & CHAN_F_END) == 0);
	if (m->ticket.seq == 0)
		return refresh_request(f, r);
	w = waiter_new(f, &m->ticket);
	if (w == NULL) { /* the core's own time limit answers */
		free(r);
		return true;
	}
	w->req = r;
	if (r == NULL) {
		f->counts.malformed++;
		waiter_refuse(w, 502);
		return false;
	}
	if (r->wire.flags & CHAN_REQ_PURGE) {
		fetch_purge_method(w);
		return true;
	}
	if (!plan_choose(f, &r->wire, &plan)) {
		waiter_refuse(w, 503);
		return true;
	}
	r->keyed_body = plan.rule.keyed_body && r->method == HTTP_POST;
	request_fields(r, &fields);
	cache_request_policy(r->method, &fields, &plan.rule, &w->asks);
	w->method = r->method;
	fetch_route(w, &plan, true);
	return true;
}

static struct waiter *waiter_of(struct fetcher *f, const struct chan_ticket *t)
{
	struct waiter *w = *slot_of(f, t);

	return w != NULL && w->ticket.seq == t->seq ? w : NULL;
}

void fetch_ticket_code(struct fetcher *f, const struct chan_ticket *t, uint16_t code)
{
	struct waiter *w = waiter_of(f, t);

	if (w == NULL)
		return;
	w->fail_code = code;
	waiter_pump(w);
}

/* Its last client goes: what is to be stored, and is nearly here, is fetched to its end. */
static void finish_alone(struct fetch *f)
{
	const struct object *o;

	if (f->waiter_count > 1 || f->fill == NULL || f->background)
		return;
	o = (const struct object *)(const void *)down_at(fetch_down(f), f->head_block);
	if (o->body_len == UINT64_MAX || o->body_len <= f->body_bytes ||
	    o->body_len - f->body_bytes > f->plan.rule.range_fill_bytes)
		return;
	f->f->counts.finished_alone++;
	f->background = true;
	fetch_hold(f);
}

bool fetcher_cancel(struct fetcher *f, const struct chan_msg *m)
{
	struct waiter *w = waiter_of(f, &m->ticket);

	if (w == NULL)
		return false;
	f->counts.cancelled++;
	if (w->fetch != NULL && !w->parked)
		finish_alone(w->fetch);
	waiter_end(w);
	return true;
}

static enum fetcher_took upload_bad(struct fetch *f)
{
	fetch_hold(f);
	for (struct waiter *w = f->waiters; w != NULL; w = w->next) {
		if (!w->leader)
			continue;
		kept_upload_lost(w);
		break;
	}
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
	if (ft == NULL || (w->kept == NULL && ft->x.upstream == NULL))
		return FETCHER_DONE; /* answered already; what comes now is not needed */
	if ((m->flags & CHAN_F_ABORT) != 0) {
		waiter_end(w);
		return FETCHER_DONE;
	}
	if (w->kept != NULL) {
		if (kept_take(w, span_of(bytes, m->len), end))
			return FETCHER_DONE;
		waiter_refuse(w, 502);
		return FETCHER_BAD;
	}
	if (!w->leader || ft->req == NULL || !ft->req->has_body || ft->x.body_ended ||
	    m->len > ft->upload_left)
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

#define SWEEP_ENTRIES 512u
#define SWEEP_NS      (5 * NS_PER_MS) /* while there is something to sweep */
#define SWEEP_IDLE_NS (100 * NS_PER_MS)

static void sweep(struct loop_timer *t)
{
	struct fetcher *f = t->arg;
	bool more = store_sweep(f->store, SWEEP_ENTRIES, clock_wall_ns() / NS_PER_MS);

	loop_timer_set(f->ctl->loop, t,
	               loop_now_ns(f->ctl->loop) + (more ? SWEEP_NS : SWEEP_IDLE_NS));
}

/* What routes ask for that only a node with a store has. */
static void store_missed(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->routes_count; i++) {
		const struct config_route *r = &cfg->routes[i];
		bool compress = r->compress.encodings_count > 0;

		if (!compress && r->cache.write_through == WRITE_THROUGH_OFF)
			continue;
		log_warn("store",
		         "memory.store_bytes is 0: routes[%u].%s needs the node's store, and does "
		         "nothing for answers that may be kept; give it some bytes, or take it out",
		         i, compress ? "compress" : "cache.write_through");
		return;
	}
}

static enum status store_start(struct fetcher *f)
{
	const struct config *cfg = f->ctl->config;
	struct store_config sc = {
	        .memory_bytes = cfg->memory.store_bytes,
	        .max_object_bytes = cfg->limits.store_object_bytes,
	        .max_variants = cfg->limits.variants,
	};
	enum status st;

	if (cfg->memory.store_bytes == 0) {
		store_missed(cfg);
		return ST_OK;
	}
	st = store_create(&f->store, &sc);
	if (st != ST_OK)
		return st;
	f->sweep_timer = (struct loop_timer){.fn = sweep, .arg = f};
	loop_timer_set(f->ctl->loop, &f->sweep_timer, loop_now_ns(f->ctl->loop) + SWEEP_IDLE_NS);
	return ST_OK;
}

enum status fetcher_create(struct control *ctl, struct fetcher **out)
{
	struct fetcher *f = calloc(1, sizeof(*f));
	enum status st;

	if (f == NULL)
		return ST_NOMEM;
	f->ctl = ctl;
	f->dry_end = &f->dry;
	random_bytes(&f->id_prefix, sizeof(f->id_prefix));
	random_bytes(&f->key_seed, sizeof(f->key_seed));
	fetch_writes_create(f);
	st = patterns_create(f, &f->patterns);
	if (st == ST_OK)
		st = store_start(f);
	if (st != ST_OK) {
		patterns_destroy(f->patterns);
		free(f);
		return st;
	}
	*out = f;
	return ST_OK;
}

void fetcher_destroy(struct fetcher *f)
{
	if (f->store != NULL)
		loop_timer_cancel(f->ctl->loop, &f->sweep_timer);
	fetch_writes_destroy(f);
	patterns_destroy(f->patterns);
	store_destroy(f->store);
	plans_destroy(f);
	free(f);
}

struct store *fetcher_store(struct fetcher *f)
{
	return f->store;
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
	f->detaching = true;
	for (uint32_t c = 0; f->slots != NULL && c < f->cores; c++) {
		for (uint32_t i = 0; f->slots[c] != NULL && f->active > 0 && i < FETCH_SLOTS; i++)
			if (f->slots[c][i] != NULL)
				waiter_end(f->slots[c][i]);
		free(f->slots[c]);
	}
	free(f->slots);
	f->slots = NULL;
	f->cores = 0;
	/* What nobody waited for. */
	patterns_detached(f->patterns);
	while (f->all != NULL) {
		struct fetch *it = f->all;

		fetch_hold(it);
		exchange_cancel(&it->x);
		if (it->holds_exchange)
			fetch_exchange_end(it);
		fetch_background_end(it);
		assert(it->holds == 1 && it->waiter_count == 0);
		fetch_drop(it);
	}
	f->detaching = false;
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
