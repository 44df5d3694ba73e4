/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers out of the node's store, and fills into it. An entry's body is copied in runs into blocks
 * as the cores take them; when there is no block, the fetch waits in a list until some come back.
 */
#include "control/fetch_internal.h"

#include "cache/read_set.h"
#include "cache/vary.h"
#include "lib/clock.h"

#include <stdlib.h>

/* --- waiting for blocks --- */

void fetch_dry_add(struct fetch *f)
{
	struct fetcher *fr = f->f;

	if (f->dry_prev != NULL)
		return;
	f->dry_next = NULL;
	f->dry_prev = fr->dry_end;
	*fr->dry_end = f;
	fr->dry_end = &f->dry_next;
	fr->dry_count++;
}

void fetch_dry_remove(struct fetch *f)
{
	if (f->dry_prev == NULL)
		return;
	*f->dry_prev = f->dry_next;
	if (f->dry_next != NULL)
		f->dry_next->dry_prev = f->dry_prev;
	else
		f->f->dry_end = f->dry_prev;
	f->dry_next = NULL;
	f->dry_prev = NULL;
	f->f->dry_count--;
}

/* A block for bodies; those that are kept for heads are left. */
static uint32_t body_block(struct fetch *f)
{
	return link_usable(fetch_chan(f)) > 0 ? down_get(fetch_down(f)) : CHAN_NO_BLOCK;
}

/* --- the head --- */

static bool all_head_requests(const struct fetch *f)
{
	for (const struct waiter *w = f->waiters; w != NULL; w = w->next)
		if (w->method != HTTP_HEAD)
			return false;
	return true;
}

/* The list under the variant's first key goes ahead of it: the core may not have it any more. */
static void put_list(struct fetch *f, const struct object *o)
{
	struct span first = vary_primary(object_key(o));
	struct store_entry *list;
	struct object *put;
	bool stale;

	if (first.len == o->key_len)
		first = read_set_front_of(first);
	if (first.len == o->key_len)
		return;
	list = store_peek(f->f->store, first, &stale);
	if (list == NULL)
		return;
	put = fetch_put_set(f, list->head, list->head_len);
	if (put != NULL)
		put->born_seq = max_u64(put->born_seq, store_live_seq(f->f->store, list));
	store_drop(list);
}

/* The entry's head in a block of its own, its hash as the cores count it. */
static void write_head(struct fetch *f, uint32_t block)
{
	const struct store_entry *e = f->entry;
	struct object *o = (struct object *)(void *)down_at(fetch_down(f), block);
	bool head_only = all_head_requests(f);

	f->head_block = block;
	f->head_len = fetch_coded_head(f, head_only, o, fetch_head_cap(f));
	if (f->head_len == 0) {
		memcpy(o, e->head, e->head_len);
		f->head_len = e->head_len;
		o->hash = hash128(object_key(o).ptr, o->key_len, link_hash_seed(fetch_chan(f)));
	}
	f->f->counts.coded_hits += (e->head->flags & OBJECT_CODED) != 0;
	o->born_seq = max_u64(o->born_seq, store_live_seq(f->f->store, e));
	/* Used although it is stale: for this time only. */
	if (f->code >= 400)
		o->expires_ms = min_u64(o->expires_ms, clock_wall_ns() / NS_PER_MS);
	f->head_end = e->body_len == 0 || (o->flags & OBJECT_NO_BODY) || head_only;
	f->gather_off = (uint32_t)align_up(f->head_len, 8);
	f->shared = f->code < 400 && (o->flags & OBJECT_STORABLE) != 0;
	put_list(f, o);
}

/* --- the body --- */

/* Copies the next run behind what is in the block; false: no memory, the answer breaks off. */
static bool copy_run(struct fetch *f, uint32_t block, uint32_t off)
{
	const struct store_entry *e = f->entry;
	uint32_t room = fetch_down(f)->slab.block_bytes - off;
	uint32_t n = (uint32_t)min_u64(room, e->body_len - f->sent_off);

	memcpy(down_at(fetch_down(f), block) + off, e->body + f->sent_off, n);
	f->sent_off += n;
	if (fetch_chunk_add(f, block, off, n))
		return true;
	f->aborted = true;
	f->f->counts.aborted++;
	return false;
}

/* As much as may be in blocks now. True: there was something to do. */
static bool copy_body(struct fetch *f)
{
	uint64_t before = f->sent_off;

	while (!f->aborted && f->sent_off < f->entry->body_len) {
		uint32_t block;

		if (fetch_over_threshold(f))
			break; /* a block that comes back goes on with it */
		block = body_block(f);
		if (block == CHAN_NO_BLOCK) {
			fetch_dry_add(f);
			break;
		}
		copy_run(f, block, 0);
		down_unref(fetch_down(f), block);
	}
	f->ended = f->aborted || f->sent_off == f->entry->body_len;
	return f->ended || f->sent_off != before;
}

/* The rest of the head's block takes the beginning of the body, or all of it. */
static void source_first(struct fetch *f)
{
	bool room = f->gather_off < fetch_down(f)->slab.block_bytes;

	f->ended = f->head_end;
	if (f->coder != NULL && room) {
		f->gather_block = f->head_block;
		down_ref(fetch_down(f), f->head_block);
	} else if (f->coder == NULL && !f->head_end && room) {
		copy_run(f, f->head_block, f->gather_off);
	}
}

void fetch_source_restart(struct fetch *f)
{
	fetch_gather_close(f);
	write_head(f, f->head_block);
	source_first(f);
	if (!f->ended)
		copy_body(f);
	fetch_pump(f);
}

/* Goes on with an answer out of the store; the caller holds f. True: there was something to do. */
static bool source_run(struct fetch *f)
{
	bool did = false;

	if (f->unparks) {
		f->unparks = false;
		fetch_unjoin(f);
		fetch_unpark(f, true);
		did = true;
	}
	if (!f->sending)
		return (f->coder != NULL && fetch_code_run(f)) || did;
	if (f->waiter_count == 0 || f->ended)
		return did;
	if (f->head_block == CHAN_NO_BLOCK) {
		uint32_t block;

		/* Of another node, or made longer by a 304. */
		if (f->entry->head_len > fetch_head_cap(f)) {
			fetch_refuse(f, 502);
			return true;
		}
		block = down_get(fetch_down(f));
		if (block == CHAN_NO_BLOCK) {
			f->f->counts.store_waited++;
			fetch_dry_add(f);
			return did;
		}
		write_head(f, block);
		did = true;
		source_first(f);
	}
	if (f->coder != NULL)
		return fetch_code_run(f) || did;
	if (!f->ended)
		did |= copy_body(f);
	fetch_pump(f);
	return did;
}

uint32_t fetcher_poll(struct fetcher *fr)
{
	uint32_t did = 0;

	fr->code_budget = FETCH_CODE_BYTES;
	/* Once around: who still finds no block stands at the end again. */
	for (uint32_t n = fr->dry_count; n > 0 && fr->dry != NULL; n--) {
		struct fetch *f = fr->dry;

		fetch_dry_remove(f);
		fetch_hold(f);
		did += source_run(f);
		fetch_drop(f);
	}
	return did;
}

/* --- answers --- */

static void source_start(struct fetch *f, struct store_entry *e, uint8_t tier, uint16_t code)
{
	struct store_entry *coded = NULL;

	if (f->coding != CODING_IDENTITY && (e->head->flags & OBJECT_CODED) == 0)
		coded = fetch_coded_find(f->f, e, f->coding);
	if (coded != NULL)
		store_drop(e);
	if (f->entry != NULL)
		store_drop(f->entry);
	f->entry = coded != NULL ? coded : e;
	f->sending = true;
	f->retain = false;
	f->tier = tier;
	f->code = code;
	fetch_unjoin(f);
	source_run(f);
}

/* e is just being coded as w wants it, for somebody else: w gets the same, or what the store has of
 * it in the end. */
static bool join_coding(struct waiter *w, const struct store_entry *e, uint16_t code)
{
	char text[CACHE_KEY_MAX];
	struct cache_key key;
	struct fetch *f;

	if (w->coding == CODING_IDENTITY || (e->head->flags & OBJECT_CODED) ||
	    !vary_key_coded(object_key(e->head), (enum coding)w->coding, 0, text, &key))
		return false;
	f = fetch_find_coding(w->f, key.text, e);
	if (f == NULL || f->code != code)
		return false;
	if (f->retain)
		fetch_join(f, w);
	else if (w->req != NULL && f->coder != NULL && f->coder->fill != NULL)
		fetch_park(f, w);
	else
		return false;
	return true;
}

void fetch_answer(struct waiter *w, const struct plan_choice *plan, struct store_entry *e,
                  uint8_t tier, uint16_t code)
{
	struct fetch *f;

	if (join_coding(w, e, code)) {
		store_drop(e);
		return;
	}
	f = fetch_new(w->f, plan);
	if (f == NULL) {
		store_drop(e);
		waiter_refuse(w, 503);
		return;
	}
	f->coding = (enum coding)w->coding;
	fetch_add(f, w);
	source_start(f, e, tier, code);
	fetch_drop(f);
}

void fetch_answer_all(struct fetch *f, struct store_entry *e, uint8_t tier, uint16_t code)
{
	/* Of a long body each gets its own copy: nobody waits for the slowest. */
	while (e->body_len > FETCH_SHARE_BYTES && f->waiter_count > 1) {
		struct waiter *w = f->waiters->next;

		waiter_leave(w);
		store_hold(e);
		fetch_answer(w, &f->plan, e, tier, code);
	}
	source_start(f, e, tier, code);
}

/* --- into the store --- */

struct object *fetch_put_set(struct fetch *f, const void *object, size_t len)
{
	uint32_t off = (uint32_t)align_up(f->gather_off, 8);
	unsigned char *at = down_at(fetch_down(f), f->head_block) + off;
	struct object *o = (struct object *)(void *)at;

	if (len == 0 || off + len > fetch_down(f)->slab.block_bytes)
		return NULL;
	memcpy(at, object, len);
	o->hash = hash128(object_key(o).ptr, o->key_len, link_hash_seed(fetch_chan(f)));
	f->put_off = off;
	f->put_len = (uint32_t)len;
	f->gather_off = (uint32_t)align_up(off + len, 8);
	return o;
}

void fetch_fill_begin(struct fetch *f, const struct object *head)
{
	if (f->f->store == NULL)
		return;
	if (store_fill_begin(f->f->store, head, head->flags & OBJECT_NO_BODY ? 0 : head->body_len,
	                     &f->fill) != ST_OK)
		f->fill = NULL;
}

void fetch_fill_append(struct fetch *f, struct span bytes)
{
	if (f->fill == NULL || store_fill_append(f->fill, bytes) == ST_OK)
		return;
	fetch_fill_abort(f);
	if (f->warm != NULL)
		f->warm->result = WARM_size;
}

void fetch_fill_abort(struct fetch *f)
{
	if (f->fill != NULL)
		store_fill_abort(f->fill);
	f->fill = NULL;
}

struct store_entry *fetch_tagged(struct fetch *f, struct store_entry *e, uint8_t kind)
{
	char text[RESPONSE_ETAG_MAX];
	struct store_entry *with = NULL;
	struct span etag;
	uint32_t len;
	void *head;

	if (kind != CACHE_ETAG_STRONG || e->head->etag_len > 0)
		return e;
	etag = response_etag_strong(e->head, span_of(e->body, e->body_len), text);
	head = malloc(FETCH_HEAD_MAX);
	if (head == NULL)
		return e;
	len = response_add_etag(e->head, etag, head, FETCH_HEAD_MAX);
	if (len > 0)
		with = store_refresh(f->f->store, e, head);
	free(head);
	if (with == NULL)
		return e;
	store_drop(e);
	return with;
}

void fetch_fill_commit(struct fetch *f)
{
	struct store_entry *e;

	if (f->fill == NULL)
		return;
	if (f->written) {
		fetch_write_commit(f);
		return;
	}
	e = store_fill_commit(f->fill);
	f->fill = NULL;
	if (e == NULL) {
		if (f->warm != NULL)
			f->warm->result = WARM_purged;
		return;
	}
	e = fetch_tagged(f, e, f->plan.rule.make_etag);
	fetch_coded_void(f->f, object_key(e->head), f->coding);
	fetch_warm_kept(f, e, WARM_origin);
	fetch_l3_put(f, e);
	fetch_refreshed(f, e);
	store_drop(e);
}
