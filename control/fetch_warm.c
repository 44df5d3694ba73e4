/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that are fetched ahead of clients: how each ended, and whether a client came to want it.
 * Such an answer lies in the node's store alone. So the first client that wants it is seen here,
 * and its core gets it then. */
#include "control/fetch_internal.h"
#include "control/warm.h"

#include <stdlib.h>

void fetcher_warm(struct fetcher *f, struct request *r, struct fetch_warm *w)
{
	struct plan_choice plan;

	w->fetch = NULL;
	w->status = 0;
	w->bytes = 0;
	w->result = WARM_failed;
	if (f->store != NULL && plan_choose(f, &r->wire, &plan)) {
		fetch_warm_route(f, r, &plan, w);
		return;
	}
	free(r);
	w->done(w);
}

bool fetcher_warm_may(struct fetcher *f, const struct request *r)
{
	const uint32_t blocks = 16; /* what one stream may want */
	struct plan_choice plan;

	return plan_choose(f, &r->wire, &plan) && upstream_at_ease(plan.upstream) &&
	       link_threshold(f->ctl->chan, blocks) == blocks;
}

void fetcher_warm_forget(struct fetch_warm *w)
{
	if (w->fetch != NULL)
		w->fetch->warm = NULL;
	w->fetch = NULL;
}

void fetch_warm_end(struct fetch *f)
{
	struct fetch_warm *w = f->warm;

	if (w == NULL)
		return;
	f->warm = NULL;
	w->fetch = NULL;
	w->bytes = max_u64(w->bytes, f->body_bytes);
	w->done(w);
}

/* Why an answer is not storable. */
static enum warm_result refusal(const struct exchange_head *h, const struct response_out *out)
{
	const struct http_fields *fs = &h->head->fields;

	if (cache_status_fails(h->head->status))
		return WARM_failed;
	if (out->vary == VARY_ANY)
		return WARM_vary;
	if (http_fields_have(fs, HDR_SET_COOKIE))
		return WARM_cookie;
	return h->head->status < 300 ? WARM_forbidden : WARM_status;
}

void fetch_warm_head(struct fetch *f, const struct exchange_head *h, const struct response_out *out)
{
	struct fetch_warm *w = f->warm;

	if (w == NULL)
		return;
	w->status = (uint16_t)h->head->status;
	if (!out->storable && !out->partial)
		w->result = refusal(h, out);
	else if (f->fill == NULL)
		w->result = WARM_size;
}

void fetch_warm_kept(struct fetch *f, struct store_entry *e, enum warm_result result)
{
	struct fetch_warm *w = f->warm;

	warm_note_stored(f->f->ctl->warm, f->req, e);
	if (w == NULL)
		return;
	w->result = result;
	if (result == WARM_shared)
		w->bytes = e->body_len;
	else
		w->status = result == WARM_confirmed ? 304 : e->head->status;
	if (f->waiter_count > 0) /* a client wants it already */
		f->f->counts.warm_used[w->source]++;
	else
		store_mark(e, w->source);
}

void fetch_warm_asked(struct fetcher *fr, struct store_entry *e)
{
	uint8_t source = store_mark_take(e);

	if (source != 0)
		fr->counts.warm_used[source]++;
}
