/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stored answers that are stale: what a 304 says of them (RFC 9111 4.3), when they stand in for an
 * origin that fails (RFC 5861 4), and what follows when one was fetched anew in the background. */
#include "control/fetch_internal.h"

#include "cache/vary.h"
#include "lib/clock.h"

#include <stdlib.h>

void fetch_refreshed(struct fetch *f, const struct store_entry *e)
{
	/* It was born with that number: older copies are void by it, this one is not. */
	if (f->purge_seq == 0)
		return;
	chan_server_replace(fetch_chan(f), object_key(e->head), f->purge_seq);
	fetch_coded_replace(f, object_key(e->head), f->purge_seq);
}

/* The answer is used up: the exchange ends by itself, and its connection can be used again. */
static void leave_exchange(struct fetch *f)
{
	f->holds_exchange = true;
	fetch_hold(f);
}

static void answer_fresh(struct fetch *f, struct store_entry *e)
{
	f->f->counts.validated++;
	fetch_coded_freshen(f->f, f->entry->head, e);
	fetch_warm_kept(f, e, WARM_confirmed);
	fetch_l3_put(f, e);
	fetch_refreshed(f, e);
	leave_exchange(f);
	fetch_unjoin(f);
	fetch_unpark(f, true);
	if (f->waiter_count > 0)
		fetch_answer_all(f, e, CHAN_F_STORE, 304);
	else
		store_drop(e);
	fetch_background_end(f);
}

/* It cannot be put together: the whole answer is asked for (RFC 9111 4.3.3). */
static void ask_again(struct fetch *f)
{
	f->f->counts.validations_bad++;
	exchange_cancel(&f->x);
	if (f->x.request != NULL)
		request_bytes_unref(f->x.request);
	f->x.request = NULL;
	store_drop(f->entry);
	f->entry = NULL;
	fetch_origin(f);
}

static void purge_all_forms(struct fetcher *fr, struct span key)
{
	fetch_purge_key(fr, key);
	fetch_coded_void(fr, key, CODING_IDENTITY);
}

static void head_304(struct fetch *f, const struct exchange_head *h)
{
	struct store_entry *fresh = NULL;
	struct response_in in;
	struct response_out out;
	void *buf = malloc(FETCH_HEAD_MAX);

	fetch_response_in(f, h, &in);
	in.coding_varies = f->base.len > 0;
	if (buf != NULL &&
	    response_freshen(f->entry->head, &in, buf, fetch_head_cap(f), &out) == ST_OK) {
		if (out.storable)
			fresh = store_refresh(f->f->store, f->entry, buf);
		else /* by what the 304 says it may not be kept: no-store, a cookie */
			purge_all_forms(f->f, object_key(f->entry->head));
	}
	free(buf);
	if (fresh != NULL)
		answer_fresh(f, fresh);
	else
		ask_again(f);
}

/* A coded form whose answer is not there stands in for nobody but those who want that coding. */
static bool form_fits(const struct store_entry *e, const struct waiter *w)
{
	char text[CACHE_KEY_MAX];
	struct cache_key key;

	return !(e->head->flags & OBJECT_CODED) ||
	       (vary_key_coded(object_key(e->head), (enum coding)w->coding, 0, text, &key) &&
	        span_eq(key.text, object_key(e->head)));
}

static void stale_answers(struct fetch *f, struct waiter *first, uint16_t code)
{
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;
	struct waiter *next;

	for (struct waiter *w = first; w != NULL; w = next) {
		next = w->next;
		if (!cache_use_on_error(f->entry->head, &w->asks, now_ms) ||
		    !form_fits(f->entry, w))
			continue;
		f->f->counts.stale_errors++;
		waiter_leave(w);
		store_hold(f->entry);
		fetch_answer(w, &f->plan, f->entry, CHAN_F_STORE, code);
	}
}

bool fetch_stale_answers(struct fetch *f, uint16_t code)
{
	struct store_entry *present;
	bool soft;

	if (f->entry == NULL || f->sending)
		return false;
	/* What was purged since is served to nobody. */
	present = store_peek(f->f->store, object_key(f->entry->head), &soft);
	if (present == NULL)
		return false;
	store_drop(present);
	stale_answers(f, f->waiters, code);
	stale_answers(f, f->parked, code);
	return f->waiter_count == 0 && f->parked == NULL;
}

bool fetch_head_validates(struct fetch *f, const struct exchange_head *h)
{
	unsigned status = h->head->status;

	if (f->entry == NULL)
		return false;
	if (status == 304 && f->validating) {
		head_304(f, h);
		return true;
	}
	if (!cache_status_fails(status))
		return false;
	if (f->background && f->waiter_count == 0 && f->parked == NULL) {
		/* What is stored stays, for as long as it may. */
		f->f->counts.refresh_failed++;
		exchange_cancel(&f->x);
		f->ended = true;
		fetch_background_end(f);
		return true;
	}
	if (!fetch_stale_answers(f, (uint16_t)status))
		return false;
	exchange_cancel(&f->x);
	f->ended = true;
	fetch_background_end(f);
	return true;
}

static void head_freshens(struct fetch *f, const struct exchange_head *h,
                          const struct store_entry *e)
{
	struct store_entry *fresh = NULL;
	struct response_in in;
	struct response_out out;
	void *buf = malloc(FETCH_HEAD_MAX);

	fetch_response_in(f, h, &in);
	in.coding_varies = f->base.len > 0;
	/* The cores may have it too, and fresh by what was said before. */
	in.born_seq = link_purge_next(fetch_chan(f));
	if (buf != NULL &&
	    response_freshen_head(e->head, &in, buf, fetch_head_cap(f), &out) == ST_OK &&
	    out.storable)
		fresh = store_refresh(f->f->store, e, buf);
	free(buf);
	if (fresh == NULL)
		return;
	f->f->counts.head_freshened++;
	fetch_coded_freshen(f->f, e->head, fresh);
	chan_server_replace(fetch_chan(f), object_key(fresh->head), in.born_seq);
	fetch_coded_replace(f, object_key(fresh->head), in.born_seq);
	store_drop(fresh);
}

void fetch_head_compare(struct fetch *f, const struct exchange_head *h)
{
	struct store_entry *e;
	bool soft;

	if (f->req->method != HTTP_HEAD || f->f->store == NULL || f->key.len == 0 ||
	    f->req->conditional || request_no_store(f->req))
		return;
	e = store_peek(f->f->store, f->base.len > 0 ? f->base : f->key, &soft);
	if (e == NULL)
		return;
	enum cache_head says = CACHE_HEAD_NOTHING;

	if ((e->head->flags & (OBJECT_VARY | OBJECT_PASS)) == 0)
		says = cache_head_compare(e->head, h->head->status, &h->head->fields);
	if (says == CACHE_HEAD_FRESHENS)
		head_freshens(f, h, e);
	else if (says == CACHE_HEAD_INVALIDATES)
		purge_all_forms(f->f, object_key(e->head));
	store_drop(e);
}
