/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests with a body whose answer is kept under a key made of that body (docs/RULES.md, POST)
 * wait for each other as GET does. Their bodies are kept meanwhile: when the answer turns out not
 * to be for sharing, or the first one's upload breaks off, each is sent on its own. Bounded in all;
 * who finds no room does not wait. */
#include "control/fetch_internal.h"

#include <stdlib.h>

bool kept_begin(struct waiter *w)
{
	struct fetcher *fr = w->f;
	uint64_t len = w->req->wire.body_len;

	/* What it has already, from a fetch that it was taken off, goes with it. */
	if (!w->req->has_body || w->kept != NULL)
		return true;
	if (w->req->chunked || len > fr->ctl->config->limits.key_body_bytes ||
	    len > FETCH_KEPT_BYTES - fr->kept_bytes)
		return false;
	w->kept = calloc(1, sizeof(*w->kept) + len);
	if (w->kept == NULL)
		return false;
	w->kept->room = (uint32_t)len;
	fr->kept_bytes += len;
	return true;
}

bool kept_take(struct waiter *w, struct span bytes, bool end)
{
	struct kept_body *k = w->kept;

	if (bytes.len > k->room - k->len || (end && bytes.len < k->room - k->len))
		return false;
	if (bytes.len > 0)
		memcpy(k->bytes + k->len, bytes.ptr, bytes.len);
	k->len += (uint32_t)bytes.len;
	k->ended = end;
	return true;
}

struct kept_body *kept_detach(struct waiter *w)
{
	struct kept_body *k = w->kept;

	if (k != NULL)
		w->f->kept_bytes -= k->room;
	w->kept = NULL;
	return k;
}

void kept_push(struct fetch *f, struct kept_body *k)
{
	struct body_piece *p = NULL;

	/* It may have failed already. */
	if (k == NULL || k->len == 0 || f->x.upstream == NULL) {
		free(k);
		return;
	}
	p = calloc(1, sizeof(*p) + k->len);
	if (p == NULL) {
		exchange_cancel(&f->x);
		fetch_refuse(f, 503);
		free(k);
		return;
	}
	memcpy(p + 1, k->bytes, k->len);
	p->ptr = p + 1;
	p->len = k->len;
	p->block = CHAN_NO_BLOCK;
	f->upload_left -= k->len;
	/* Set first: piece and end then leave in one send. */
	f->x.body_ended = k->ended;
	free(k);
	exchange_push(&f->x, p);
}

static bool nobody_stays(struct fetch *f, const struct waiter *w)
{
	(void)f;
	(void)w;
	return false;
}

/* The request that goes to the origin will not be whole: who waits for its answer goes on without.
 */
void kept_upload_lost(struct waiter *w)
{
	struct fetch *f = w->fetch;

	if (f == NULL || w->f->detaching || !w->leader || f->req == NULL || !f->req->has_body ||
	    f->x.body_ended || f->x.upstream == NULL || f->head_block != CHAN_NO_BLOCK)
		return;
	fetch_unjoin(f);
	fetch_split(f, nobody_stays);
	fetch_unpark(f, true);
}
