/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bodies on their way through a coding, from the origin or out of the store. What comes out waits
 * for blocks in the coder's own memory: while it does, nothing more goes in. Bodies out of the
 * store are coded in slices, of which a round of the loop does a bounded number. */
#include "control/fetch_internal.h"

#include <stdlib.h>

/* A stream that stands still for that long is sent as far as it has come. */
#define FLUSH_NS (2 * NS_PER_MS)

/* --- begin and end --- */

static void fill_abort(struct fetch_coder *k)
{
	if (k->fill != NULL)
		store_fill_abort(k->fill);
	k->fill = NULL;
}

static void timer_stop(struct fetch *f)
{
	struct fetch_coder *k = f->coder;

	if (k->timed)
		loop_timer_cancel(f->f->ctl->loop, &k->timer);
	k->timed = false;
}

/* The library's memory goes as soon as it is not needed. */
static void coder_end(struct fetch *f)
{
	if (f->coder->coder == NULL)
		return;
	coder_free(f->coder->coder);
	f->coder->coder = NULL;
	f->f->coders--;
}

void fetch_code_free(struct fetch *f)
{
	struct fetch_coder *k = f->coder;

	if (k == NULL)
		return;
	timer_stop(f);
	fill_abort(k);
	coder_end(f);
	coder_out_free(&k->out);
	free(k);
	f->coder = NULL;
}

static bool run(struct fetch *f, struct span bytes, enum coder_op op);

static void flush(struct loop_timer *t)
{
	struct fetch_coder *k = t->arg;
	struct fetch *f = k->fetch;

	k->timed = false;
	fetch_hold(f);
	if (run(f, span_of(NULL, 0), CODER_FLUSH)) {
		(void)fetch_code_run(f);
	} else {
		exchange_cancel(&f->x);
		fetch_broken_off(f);
	}
	fetch_drop(f);
}

bool fetch_code_begin(struct fetch *f, const struct fetch_coding *how)
{
	struct fetcher *fr = f->f;
	struct fetch_coder *k;

	if (fr->coders >= fr->ctl->config->limits.coders) {
		fr->counts.plain_busy++;
		return false;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return false;
	k->coder = coder_new(f->coding, f->plan.levels[f->coding]);
	if (k->coder == NULL) {
		free(k);
		return false;
	}
	k->fetch = f;
	k->timer = (struct loop_timer){.fn = flush, .arg = k};
	fr->coders++;
	if (how->store && fr->store != NULL &&
	    store_fill_begin(fr->store, how->head, UINT64_MAX, &k->fill) != ST_OK)
		k->fill = NULL;
	f->coder = k;
	f->held = how->held;
	return true;
}

/* --- bytes --- */

static bool run(struct fetch *f, struct span bytes, enum coder_op op)
{
	struct fetch_coder *k = f->coder;
	size_t before = k->out.len - k->out.taken;
	struct span out;

	k->in_bytes += bytes.len;
	k->kept_back = op == CODER_GO;
	if (!coder_run(k->coder, bytes, op, &k->out)) {
		f->f->counts.coded_failed++;
		return false;
	}
	/* What is new of it. */
	out = span_of((const char *)k->out.mem + k->out.taken + before,
	              k->out.len - k->out.taken - before);
	k->out_bytes += out.len;
	if (k->fill != NULL && out.len > 0 && store_fill_append(k->fill, out) != ST_OK)
		fill_abort(k);
	return true;
}

/* Into blocks, as far as there are some. */
static bool move(struct fetch *f)
{
	struct fetch_coder *k = f->coder;
	bool did = false;

	while (k->out.taken < k->out.len) {
		uint32_t block_bytes = fetch_down(f)->slab.block_bytes;
		size_t room = f->gather_block != CHAN_NO_BLOCK && f->gather_off < block_bytes
		                      ? block_bytes - f->gather_off
		                      : block_bytes;
		size_t n = min_size(room, k->out.len - k->out.taken);

		if (room == block_bytes && link_usable(fetch_chan(f)) == 0)
			return did;
		if (!fetch_gather(f, span_of((const char *)k->out.mem + k->out.taken, n)))
			return did;
		k->out.taken += n;
		did = true;
	}
	return did;
}

bool fetch_code_waits(const struct fetch *f)
{
	return f->coder != NULL && f->coder->out.taken < f->coder->out.len;
}

bool fetch_code_body(struct fetch *f, struct span bytes)
{
	if (!run(f, bytes, CODER_GO))
		return false;
	(void)move(f);
	if (fetch_code_waits(f))
		fetch_dry_add(f);
	return true;
}

void fetch_code_more(struct fetch *f)
{
	struct fetch_coder *k = f->coder;
	struct loop *loop = f->f->ctl->loop;

	if (f->held && fetch_over_threshold(f))
		f->held = false;
	/* What comes within that time moves the flush on. */
	if (!k->kept_back || f->held)
		return;
	timer_stop(f);
	k->timed = true;
	loop_timer_set(loop, &k->timer, loop_now_ns(loop) + FLUSH_NS);
}

/* --- the end --- */

static void count(struct fetch *f)
{
	struct fetcher_counts *c = &f->f->counts;

	c->coded_br += f->coding == CODING_BR;
	c->coded_zstd += f->coding == CODING_ZSTD;
	c->coded_gzip += f->coding == CODING_GZIP;
	c->coded_in_bytes += f->coder->in_bytes;
	c->coded_out_bytes += f->coder->out_bytes;
}

/* The head says how long the body is. */
static void head_patch(struct fetch *f)
{
	struct object *o = (struct object *)(void *)down_at(fetch_down(f), f->head_block);

	o->body_len = f->coder->out_bytes;
	o->flags &= (uint16_t)~OBJECT_CHUNKED;
	f->held = false;
}

static void store_coded(struct fetch *f)
{
	struct fetch_coder *k = f->coder;
	struct store_entry *e;

	if (k->fill == NULL)
		return;
	e = store_fill_commit(k->fill);
	k->fill = NULL;
	if (e != NULL)
		store_drop(e);
}

/* All is in blocks. */
static void complete(struct fetch *f)
{
	bool smaller = f->coder->out_bytes < f->coder->in_bytes;

	count(f);
	f->ended = true;
	fetch_unjoin(f);
	if (f->held)
		head_patch(f);
	if (smaller)
		store_coded(f);
	else if (f->coder->fill != NULL)
		fetch_coded_plain(f);
	fetch_code_free(f);
	fetch_pump(f);
	fetch_unpark(f, true);
	fetch_background_end(f);
}

void fetch_code_end(struct fetch *f)
{
	timer_stop(f);
	if (!run(f, span_of(NULL, 0), CODER_END)) {
		fetch_broken_off(f);
		return;
	}
	coder_end(f);
	(void)fetch_code_run(f);
}

/* --- out of the store --- */

/* It came out no smaller, and nobody has a byte of it: the answer goes out as it is. */
static void flat(struct fetch *f)
{
	for (; f->chunk_count > 0; f->chunk_count--)
		down_unref(fetch_down(f),
		           fetch_chunk(f, f->chunk_first + f->chunk_count - 1)->block);
	fetch_coded_plain(f);
	fetch_code_free(f);
	f->held = false;
	f->plain = true;
	f->sent_off = 0;
	f->retain = false;
	fetch_unjoin(f);
	fetch_source_restart(f);
}

/* One slice. False: the entry's body has ended. */
static bool slice(struct fetch *f)
{
	const struct store_entry *e = f->entry;
	uint64_t n =
	        min_u64(min_u64(FETCH_SLICE_BYTES, f->f->code_budget), e->body_len - f->sent_off);
	enum coder_op op = f->sent_off + n == e->body_len ? CODER_END : CODER_GO;

	if (!run(f, span_of((const char *)e->body + f->sent_off, n), op)) {
		fetch_broken_off(f);
		return false;
	}
	f->sent_off += n;
	f->f->code_budget -= (uint32_t)n;
	if (op == CODER_END)
		coder_end(f);
	return op != CODER_END;
}

/* Out of the store as far as blocks and this round's work allow. */
static bool source(struct fetch *f)
{
	bool did = false;

	while (f->coder != NULL && f->coder->coder != NULL && !fetch_code_waits(f)) {
		if (f->held && fetch_over_threshold(f))
			f->held = false;
		if (f->retain && fetch_over_threshold(f))
			fetch_retain_end(f);
		if (fetch_over_threshold(f)) {
			fetch_unpark_soon(f);
			return did; /* a block that comes back goes on with it */
		}
		if (f->f->code_budget == 0) {
			fetch_dry_add(f);
			return did;
		}
		did = true;
		(void)slice(f);
		if (f->coder != NULL)
			(void)move(f);
	}
	return did;
}

bool fetch_code_run(struct fetch *f)
{
	bool did = move(f);

	if (f->sending)
		did |= source(f);
	if (f->coder == NULL)
		return true;
	if (fetch_code_waits(f)) {
		fetch_dry_add(f);
		fetch_pump(f);
		return did;
	}
	if (f->coder->coder == NULL) {
		if (f->sending && f->held && f->coder->out_bytes >= f->coder->in_bytes)
			flat(f);
		else
			complete(f);
		return true;
	}
	fetch_pump(f);
	if (!f->sending)
		fetch_flow(f);
	return did;
}
