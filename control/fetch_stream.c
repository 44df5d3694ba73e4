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

static struct chan_server *chan_of(const struct fetch *f)
{
	return f->f->ctl->chan;
}

static struct down_slab *down_of(const struct fetch *f)
{
	return link_down(chan_of(f));
}

/* --- how much may wait --- */

static void owner_freed(struct down_owner *o)
{
	struct fetch *f = o->arg;

	if (f == NULL) {
		if (o->live == 0)
			free(o);
	} else if (f->x.paused) {
		fetch_flow(f);
	}
}

static uint32_t window_blocks(const struct fetch *f)
{
	uint32_t block_bytes = down_of(f)->slab.block_bytes;
	uint32_t bytes = f->f->ctl->config->limits.window_bytes;

	return (f->retain ? max_u32(bytes, FETCH_SHARE_BYTES) : bytes) / block_bytes;
}

static bool over_threshold(const struct fetch *f)
{
	return f->owner != NULL && f->owner->live >= link_threshold(chan_of(f), window_blocks(f));
}

static void gather_close(struct fetch *f)
{
	if (f->gather_block == CHAN_NO_BLOCK)
		return;
	down_unref(down_of(f), f->gather_block);
	f->gather_block = CHAN_NO_BLOCK;
}

static void retain_end(struct fetch *f)
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
	if (f->retain && (over_threshold(f) || f->body_bytes > FETCH_SHARE_BYTES))
		retain_end(f);
	over = over_threshold(f);
	if (over)
		gather_close(f);
	over = over && over_threshold(f);
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
		down_unref(down_of(f), block);
	}
}

void fetch_stream_free(struct fetch *f)
{
	struct down_owner *o = f->owner;

	f->ended = true; /* what comes free below resumes nothing */
	for (; f->chunk_count > 0; f->chunk_count--, f->chunk_first++)
		down_unref(down_of(f), fetch_chunk(f, f->chunk_first)->block);
	gather_close(f);
	if (f->head_block != CHAN_NO_BLOCK)
		down_unref(down_of(f), f->head_block);
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

/* --- head --- */

/* The policy decides whether others may have this answer. */
static void head_share(struct fetch *f, const struct response_out *out)
{
	bool small = out->body_len == UINT64_MAX || out->body_len <= FETCH_SHARE_BYTES;

	f->storable = out->shared;
	if (out->shared && small) {
		f->retain = f->hash_prev != NULL;
		return;
	}
	fetch_unjoin(f);
	fetch_split(f);
}

/* RFC 9111 4.4: an unsafe request that was no error makes what is stored of its target void. The
 * key lies behind the object in the head's block. */
static void head_invalidate(struct fetch *f, unsigned status)
{
	if (http_method_safe(f->req->method) || f->req->key.len == 0 || status >= 400)
		return;
	fetcher_purged(f->f, f->req->key, false);
	link_invalidate(chan_of(f), f->head_block, (uint32_t)sizeof(struct object),
	                (uint32_t)f->req->key.len);
}

static void head_refuse(struct fetch *f, uint16_t code)
{
	exchange_cancel(&f->x);
	fetch_refuse(f, code);
}

static void on_head(struct exchange *x, const struct exchange_head *h)
{
	struct fetch *f = fetch_of(x);
	struct down_slab *down = down_of(f);
	uint32_t cap = min_u32(down->slab.block_bytes, FETCH_HEAD_MAX);
	uint32_t block = down_get(down);
	struct response_in in = {
	        .request = f->req,
	        .head = h->head,
	        .framing = h->framing,
	        .rule = f->rule,
	        .request_wall_ms = f->started_wall_ms,
	        .response_wall_ms = clock_wall_ns() / NS_PER_MS,
	        .node = f->f->ctl->config->node,
	};
	struct response_out out;

	fetch_hold(f);
	if (block == CHAN_NO_BLOCK) {
		f->f->counts.no_block++;
		head_refuse(f, 503);
	} else if (response_object(&in, down_at(down, block), cap, &out) != ST_OK) {
		down_unref(down, block);
		head_refuse(f, 502);
	} else {
		f->head_block = block;
		f->head_len = out.len;
		f->head_end = out.no_body || out.body_len == 0;
		f->reused = h->reused;
		/* Short bodies go behind the head, in the same block. */
		f->gather_block = block;
		f->gather_off = (uint32_t)align_up(out.len, 8);
		down_ref(down, block);
		head_invalidate(f, h->head->status);
		head_share(f, &out);
	}
	fetch_drop(f);
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
	down_own(down_of(f), block, f->owner);
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

static bool chunk_add(struct fetch *f, uint32_t block, uint32_t off, uint32_t len)
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
	down_ref(down_of(f), block);
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
static bool gather(struct fetch *f, struct span bytes)
{
	struct down_slab *down = down_of(f);
	uint32_t len = (uint32_t)bytes.len;
	struct chunk *last;

	if (f->gather_block != CHAN_NO_BLOCK && f->gather_off + len > down->slab.block_bytes)
		gather_close(f);
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
	else if (!chunk_add(f, f->gather_block, f->gather_off, len))
		return false;
	f->gather_off += len;
	return true;
}

static void on_body(struct exchange *x, uint32_t block, struct span bytes)
{
	struct fetch *f = fetch_of(x);
	uint32_t off = (uint32_t)((const unsigned char *)bytes.ptr - down_at(down_of(f), block));

	f->body_bytes += bytes.len;
	if (bytes.len < FETCH_GATHER_BYTES && gather(f, bytes))
		return;
	if (chunk_add(f, block, off, (uint32_t)bytes.len))
		return;
	fetch_hold(f);
	exchange_cancel(x);
	f->ended = true;
	f->aborted = true;
	f->f->counts.aborted++;
	fetch_pump(f);
	fetch_drop(f);
}

static void on_more(struct exchange *x)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	fetch_pump(f);
	fetch_flow(f);
	fetch_drop(f);
}

/* --- end --- */

static void on_end(struct exchange *x)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	f->ended = true;
	fetch_pump(f);
	fetch_drop(f);
}

static uint16_t fail_code(enum exchange_fail why)
{
	switch (why) {
	case EXCHANGE_FULL:
		return 503;
	case EXCHANGE_TIMEOUT:
		return 504;
	default:
		return 502;
	}
}

static void on_fail(struct exchange *x, enum exchange_fail why)
{
	struct fetch *f = fetch_of(x);

	fetch_hold(f);
	fetch_unjoin(f);
	if (f->head_block == CHAN_NO_BLOCK) {
		fetch_refuse(f, fail_code(why));
	} else {
		f->ended = true;
		f->aborted = true;
		f->f->counts.aborted++;
		fetch_pump(f);
	}
	fetch_drop(f);
}

const struct exchange_ops fetch_exchange_ops = {
        .head = on_head,
        .body = on_body,
        .more = on_more,
        .end = on_end,
        .fail = on_fail,
};
