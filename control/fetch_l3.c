/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The store that nodes share: asked before the origin, and given what was fetched. What it answers
 * goes into the node's store first, and is answered from there. A list of variants takes two
 * questions: for the list, then for the variant. */
#include "control/fetch_internal.h"

#include "cache/read_set.h"
#include "cache/vary.h"
#include "lib/clock.h"

#include <stdlib.h>

static void answer(void *arg, enum status st, const struct object *head, struct span body);

static bool may_ask(const struct fetch *f)
{
	const struct l3 *l3 = f->f->ctl->l3;

	return l3 != NULL && l3_enabled(l3) && f->f->store != NULL && f->asks.lookup &&
	       f->key.len > 0 && !f->req->has_body && !f->pattern &&
	       (f->req->method == HTTP_GET || f->req->method == HTTP_HEAD);
}

bool fetch_l3_ask(struct fetch *f)
{
	/* It has answers as their origin sent them, not their coded forms. */
	struct l3_ask ask = {
	        .key = f->base.len > 0 ? f->base : f->key,
	        .fn = answer,
	        .arg = f,
	};

	if (!may_ask(f))
		return false;
	f->l3_seq = f->purge_seq != 0 ? f->purge_seq : link_purge_now(fetch_chan(f));
	if (l3_get(f->f->ctl->l3, &ask, 1) == 0)
		return false;
	f->l3 = ask.wait;
	return true;
}

void fetch_l3_cancel(struct fetch *f)
{
	if (f->l3 != NULL)
		l3_cancel(f->l3);
	f->l3 = NULL;
}

/* Into the node's store; NULL when it is no better than what is there, or void. */
static struct store_entry *keep(struct fetch *f, const struct object *head, struct span body)
{
	size_t len = object_head_bytes(head);
	struct store_entry *e;
	struct object *o;

	if (head->flags & OBJECT_PASS || len > fetch_head_cap(f))
		return NULL;
	if (f->entry != NULL && head->response_ms <= f->entry->head->response_ms)
		return NULL;
	o = malloc(len);
	if (o == NULL)
		return NULL;
	memcpy(o, head, len);
	o->born_seq = f->l3_seq;
	e = store_put(f->f->store, o, body);
	free(o);
	return e;
}

/* The key has variants: onwards with the one that is asked for. */
static void on_list(struct fetch *f, struct store_entry *list)
{
	char text[CACHE_KEY_MAX];
	struct cache_key key;
	bool known = span_eq(object_key(list->head), f->req->key) &&
	             fetch_list_fits(list->head, &f->plan) &&
	             request_variant(f->f, f->req, list->head, text, &key) &&
	             fetch_rekey(f, key.text);

	store_drop(list);
	if (!known)
		fetch_unjoin(f);
	fetch_split(f, known ? fetch_same_variant : NULL);
	if (!known || !fetch_l3_ask(f))
		fetch_onwards(f);
}

static bool may_use(struct fetch *f, const struct waiter *w)
{
	return cache_use(f->entry->head, &w->asks, clock_wall_ns() / NS_PER_MS) != CACHE_USE_NOT;
}

static void on_entry(struct fetch *f, struct store_entry *e)
{
	if (cache_use(e->head, &f->asks, clock_wall_ns() / NS_PER_MS) == CACHE_USE_NOT) {
		if (f->entry != NULL)
			store_drop(f->entry);
		f->entry = e;
		fetch_onwards(f);
		return;
	}
	f->f->counts.l3_hits++;
	fetch_coded_void(f->f, object_key(e->head), CODING_IDENTITY);
	fetch_warm_kept(f, e, WARM_shared);
	fetch_refreshed(f, e);
	fetch_unjoin(f);
	/* Who joined may ask for a newer one than the first did. */
	if (f->entry != NULL)
		store_drop(f->entry);
	f->entry = e;
	fetch_split(f, may_use);
	f->entry = NULL;
	if (f->waiter_count > 0)
		fetch_answer_all(f, e, CHAN_F_L3, 0);
	else
		store_drop(e);
	fetch_unpark(f, true);
	fetch_background_end(f);
}

static void answer(void *arg, enum status st, const struct object *head, struct span body)
{
	struct fetch *f = arg;
	struct store_entry *e = NULL;

	f->l3 = NULL;
	fetch_hold(f);
	if (st == ST_OK)
		e = keep(f, head, body);
	if (e == NULL) {
		f->f->counts.l3_misses++;
		fetch_onwards(f);
	} else if (e->head->flags & OBJECT_VARY) {
		on_list(f, e);
	} else {
		on_entry(f, e);
	}
	fetch_drop(f);
}

/* For how long it is of use to any node. */
static uint64_t keep_ms(const struct object *o, uint64_t now_ms)
{
	uint64_t until_ms = o->expires_ms + max_u64(o->stale_while_s, o->stale_error_s) * 1000ull;

	return until_ms > now_ms ? until_ms - now_ms : 0;
}

void fetch_l3_give(struct fetcher *fr, const struct store_entry *e, uint64_t asked_ms)
{
	struct l3 *l3 = fr->ctl->l3;
	struct span first = vary_primary(object_key(e->head));
	struct l3_item items[2] = {{
	        .head = e->head,
	        .body = span_of(e->body, e->body_len),
	        .asked_ms = asked_ms,
	        .keep_ms = keep_ms(e->head, clock_wall_ns() / NS_PER_MS),
	}};
	struct store_entry *list = NULL;
	bool stale;

	/* Another node could not check what is shared by a pattern. */
	if (l3 == NULL || !l3_enabled(l3) || items[0].keep_ms == 0 ||
	    read_set_front_of(first).len < first.len)
		return;
	/* Nobody finds a variant without its list. */
	if (first.len < e->head->key_len)
		list = store_peek(fr->store, first, &stale);
	if (list != NULL)
		items[1] =
		        (struct l3_item){list->head, span_of(NULL, 0), asked_ms, items[0].keep_ms};
	l3_put(l3, items, list != NULL ? 2 : 1);
	if (list != NULL)
		store_drop(list);
}

void fetch_l3_put(struct fetch *f, const struct store_entry *e)
{
	fetch_l3_give(f->f, e, f->started_wall_ms);
}
