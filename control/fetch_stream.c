/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What comes from the origin: head, body, end or failure, and how much of the body may lie in
 * blocks at a time. */
#include "control/fetch_internal.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>

static struct fetch *fetch_of(struct exchange *x)
{
	return container_of(x, struct fetch, x);
}

/* --- how much may wait --- */

static void owner_freed(struct down_owner *o)
{
	struct fetch *f = o->arg;

	if (f == NULL) {
		if (o->live == 0)
			free(o);
	} else if (f->sending || fetch_code_waits(f)) {
		if (!f->ended)
			fetch_dry_add(f); /* goes on in the next round */
	} else if (f->x.paused) {
		fetch_flow(f);
	}
}

static uint32_t window_blocks(const struct fetch *f)
{
	uint32_t block_bytes = fetch_down(f)->slab.block_bytes;
	uint32_t bytes = f->f->ctl->config->limits.window_bytes;

	return (f->retain ? max_u32(bytes, FETCH_SHARE_BYTES) : bytes) / block_bytes;
}

bool fetch_over_threshold(const struct fetch *f)
{
	return f->owner != NULL &&
	       f->owner->live >= link_threshold(fetch_chan(f), window_blocks(f));
}

void fetch_gather_close(struct fetch *f)
{
	if (f->gather_block == CHAN_NO_BLOCK)
		return;
	down_unref(fetch_down(f), f->gather_block);
	f->gather_block = CHAN_NO_BLOCK;
}

void fetch_retain_end(struct fetch *f)
{
	f->retain = false;
	fetch_unjoin(f);
	fetch_trim(f);
}

/* At the threshold first what control itself keeps goes; then the receiving waits for the cores. */
void fetch_flow(struct fetch *f)
{
	bool over;

	if (f->ended)
		return;
	if (f->retain && (fetch_over_threshold(f) || f->body_bytes > FETCH_SHARE_BYTES))
		fetch_retain_end(f);
	over = fetch_over_threshold(f);
	if (over)
		fetch_gather_close(f);
	over = over && fetch_over_threshold(f);
	if (over)
		fetch_unpark_soon(f);
	over |= fetch_code_waits(f);
	if (over && !f->x.paused)
		f->f->counts.paused++;
	exchange_pause(&f->x, over);
}

/* Lets go of the chunks that everybody has. */
void fetch_trim(struct fetch *f)
{
	while (!f->retain && f->chunk_count > 0) {
		struct chunk *ch = fetch_chunk(f, f->chunk_first);
		uint32_t block = ch->block;

		if (ch->wanted > 0)
			return;
		f->chunk_first++;
		f->chunk_count--;
		down_unref(fetch_down(f), block);
	}
}

void fetch_stream_free(struct fetch *f)
{
	struct down_owner *o = f->owner;

	f->ended = true; /* what comes free below resumes nothing */
	for (; f->chunk_count > 0; f->chunk_count--, f->chunk_first++)
		down_unref(fetch_down(f), fetch_chunk(f, f->chunk_first)->block);
	fetch_gather_close(f);
	if (f->head_block != CHAN_NO_BLOCK)
		down_unref(fetch_down(f), f->head_block);
	f->head_block = CHAN_NO_BLOCK;
	free(f->chunks);
	f->owner = NULL;
	if (o == NULL)
		return;
	/* Blocks that cores still hold need an owner to count down on. */
	o->arg = NULL;
	if (o->live == 0)
		free(o);
}

static void on_head(struct exchange *x, const struct exchange_head *h)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	fetch_head(f, h);
	fetch_drop(f);
}

static void on_interim(struct exchange *x, const struct http_response_head *h)
{
	struct fetch *f = fetch_of(x);

	/* The core answers Expect itself, and the origin never gets it. */
	if (h->status != 100 && !f->holds_exchange)
		fetch_interim(f, h);
}

/* --- body --- */

static void own(struct fetch *f, uint32_t block)
{
	if (block == f->head_block)
		return; /* it is held anyway, and must not count against the body */
	if (f->owner == NULL) {
		f->owner = calloc(1, sizeof(*f->owner));
		if (f->owner == NULL)
			return; /* the stream goes on without a bound of its own */
		f->owner->freed = owner_freed;
		f->owner->arg = f;
	}
	down_own(fetch_down(f), block, f->owner);
}

static bool chunk_room(struct fetch *f)
{
	uint32_t cap = max_u32(8, f->chunk_cap * 2);
	struct chunk *bigger;

	if (f->chunk_count < f->chunk_cap)
		return true;
	bigger = calloc(cap, sizeof(*bigger));
	if (bigger == NULL)
		return false;
	for (uint32_t i = 0; i < f->chunk_count; i++)
		bigger[(f->chunk_first + i) % cap] = *fetch_chunk(f, f->chunk_first + i);
	free(f->chunks);
	f->chunks = bigger;
	f->chunk_cap = cap;
	return true;
}

bool fetch_chunk_add(struct fetch *f, uint32_t block, uint32_t off, uint32_t len)
{
	if (!chunk_room(f))
		return false;
	*fetch_chunk(f, f->chunk_first + f->chunk_count) = (struct chunk){
	        .block = block,
	        .off = off,
	        .len = len,
	        .wanted = f->waiter_count,
	};
	f->chunk_count++;
	down_ref(fetch_down(f), block);
	own(f, block);
	return true;
}

/* The last chunk, when it ends where the next gathered byte goes and nobody got it yet. */
static struct chunk *gather_last(struct fetch *f)
{
	uint32_t end = f->chunk_first + f->chunk_count;
	struct chunk *ch;

	if (f->chunk_count == 0 || f->batch == end)
		return NULL;
	ch = fetch_chunk(f, end - 1);
	return ch->block == f->gather_block && ch->off + ch->len == f->gather_off ? ch : NULL;
}

/* Copies a short run behind the ones before it; false when there is no block for it. */
bool fetch_gather(struct fetch *f, struct span bytes)
{
	struct down_slab *down = fetch_down(f);
	uint32_t len = (uint32_t)bytes.len;
	struct chunk *last;

	if (f->gather_block != CHAN_NO_BLOCK && f->gather_off + len > down->slab.block_bytes)
		fetch_gather_close(f);
	if (f->gather_block == CHAN_NO_BLOCK) {
		f->gather_block = down_get(down);
		f->gather_off = 0;
		if (f->gather_block == CHAN_NO_BLOCK)
			return false;
	}
	memcpy(down_at(down, f->gather_block) + f->gather_off, bytes.ptr, len);
	last = gather_last(f);
	if (last != NULL)
		last->len += len;
	else if (!fetch_chunk_add(f, f->gather_block, f->gather_off, len))
		return false;
	f->gather_off += len;
	return true;
}

/* The rest does not come. */
void fetch_broken_off(struct fetch *f)
{
	f->ended = true;
	f->aborted = true;
	f->held = false;
	f->f->counts.aborted++;
	fetch_unjoin(f);
	fetch_fill_abort(f);
	fetch_code_free(f);
	fetch_pump(f);
	fetch_unpark(f, true);
	fetch_background_end(f);
}

static void on_body(struct exchange *x, uint32_t block, struct span bytes)
{
	struct fetch *f = fetch_of(x);
	uint32_t off = (uint32_t)((const unsigned char *)bytes.ptr - down_at(fetch_down(f), block));

	if (f->holds_exchange)
		return; /* not sent to anybody */
	f->body_bytes += bytes.len;
	fetch_fill_append(f, bytes);
	if (f->coder != NULL) {
		if (fetch_code_body(f, bytes))
			return;
	} else if ((bytes.len < FETCH_GATHER_BYTES && fetch_gather(f, bytes)) ||
	           fetch_chunk_add(f, block, off, (uint32_t)bytes.len)) {
		return;
	}
	fetch_hold(f);
	exchange_cancel(x);
	fetch_broken_off(f);
	fetch_drop(f);
}

static void on_more(struct exchange *x)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	if (f->coder != NULL)
		fetch_code_more(f);
	fetch_pump(f);
	fetch_flow(f);
	fetch_drop(f);
}

/* --- end --- */

static void on_end(struct exchange *x)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	if (f->holds_exchange) {
		fetch_exchange_end(f);
	} else if (f->coder != NULL) {
		fetch_fill_commit(f);
		fetch_code_end(f);
	} else {
		f->ended = true;
		fetch_unjoin(f);
		fetch_fill_commit(f);
		fetch_pump(f);
		fetch_unpark(f, true);
		fetch_background_end(f);
	}
	fetch_drop(f);
}

static uint16_t fail_code(const struct fetch *f, enum exchange_fail why)
{
	switch (why) {
	case EXCHANGE_FULL:
		return 503;
	case EXCHANGE_TIMEOUT:
		return 504;
	case EXCHANGE_CONNECT:
	case EXCHANGE_BROKEN:
		/* There is an answer, and it may not be used unasked (RFC 9111 5.2.2.2). */
		return f->entry != NULL && (f->entry->head->flags & OBJECT_REVALIDATE) ? 504 : 502;
	default:
		return 502;
	}
}

static void on_fail(struct exchange *x, enum exchange_fail why)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	if (f->holds_exchange) {
		fetch_exchange_end(f);
	} else if (f->head_block != CHAN_NO_BLOCK) {
		fetch_broken_off(f);
	} else {
		f->f->counts.refresh_failed += f->background;
		fetch_unjoin(f);
		if (!fetch_stale_answers(f, fail_code(f, why)))
			fetch_refuse(f, fail_code(f, why));
		f->ended = true;
		fetch_background_end(f);
	}
	fetch_drop(f);
}

const struct exchange_ops fetch_exchange_ops = {
        .interim = on_interim,
        .head = on_head,
        .body = on_body,
        .more = on_more,
        .end = on_end,
        .fail = on_fail,
};
