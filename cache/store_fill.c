/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How entries come into the store: items and bodies, fills, refreshed heads. */
#include "cache/store_internal.h"

#include "cache/vary.h"

#include <malloc.h>
#include <stdlib.h>

#define BODY_FIRST_BYTES 4096u /* of a body whose length is not known */

struct store_fill {
	struct item *it;
	uint64_t expected; /* body bytes, UINT64_MAX: not known */
};

/* --- memory --- */

static void body_unref(struct store *s, struct store_body *b)
{
	if (b == NULL || --b->refs > 0)
		return;
	s->bytes -= b->claimed;
	free(b);
}

void store_item_free(struct item *it)
{
	struct store *s = it->s;

	body_unref(s, it->body);
	s->bytes -= it->own_bytes;
	s->open--;
	free(it);
}

/* An item with a copy of the head; NULL: no room. */
static struct item *item_new(struct store *s, const struct object *head)
{
	size_t head_len = object_head_bytes(head);
	struct item *it = malloc(sizeof(*it) + align_up(head_len, 8));

	if (it == NULL)
		return NULL;
	uint64_t own = malloc_usable_size(it);
	if (!store_claim(s, own)) {
		free(it);
		return NULL;
	}
	memset(it, 0, sizeof(*it));
	memcpy(it->head, head, head_len);
	it->s = s;
	it->own_bytes = own;
	it->e.head_len = (uint32_t)head_len;
	it->e.head = item_head(it);
	it->hash = store_hash(s, object_key(head));
	s->open++;
	return it;
}

/* Room for cap bytes of body, of which claim are claimed. */
static enum status body_grow(struct item *it, uint64_t cap)
{
	struct store_body *b = it->body;
	uint64_t claimed = b != NULL ? b->claimed : 0;

	b = realloc(b, sizeof(*b) + cap);
	if (b == NULL)
		return ST_NOMEM;
	if (it->body == NULL)
		b->refs = 1;
	b->claimed = claimed;
	b->cap = cap;
	it->body = b;
	it->e.body = b->bytes;
	return ST_OK;
}

/* Claims memory for the first len bytes of the body, in steps. */
static enum status body_claim(struct item *it, uint64_t len)
{
	struct store_body *b = it->body;
	uint64_t all = malloc_usable_size(b);
	uint64_t want = min_u64(all, align_up(sizeof(*b) + len, STORE_STEP_BYTES));

	if (want <= b->claimed)
		return ST_OK;
	if (!store_claim(it->s, want - b->claimed))
		return ST_FULL;
	b->claimed = want;
	return ST_OK;
}

/* --- fills --- */

enum status store_fill_begin(struct store *s, const struct object *head, uint64_t body_len,
                             struct store_fill **out)
{
	uint64_t most = s->cfg.max_object_bytes;
	size_t head_len = object_head_bytes(head);
	struct store_fill *f;
	enum status st = ST_FULL;

	if (head_len > most || (body_len != UINT64_MAX && body_len > most - head_len)) {
		s->counts.too_big++;
		return ST_TOOBIG;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ST_NOMEM;
	f->expected = body_len;
	f->it = item_new(s, head);
	if (f->it == NULL)
		goto fail;
	if (body_len != UINT64_MAX && body_len > 0) {
		st = body_grow(f->it, body_len);
		if (st == ST_OK)
			st = body_claim(f->it, min_u64(body_len, STORE_STEP_BYTES));
		if (st != ST_OK)
			goto fail_item;
	}
	*out = f;
	return ST_OK;

fail_item:
	store_item_free(f->it);
fail:
	s->counts.fills_lost++;
	free(f);
	return st;
}

static enum status append_room(struct store_fill *f, uint64_t len)
{
	struct item *it = f->it;
	struct store *s = it->s;
	uint64_t most = s->cfg.max_object_bytes - it->e.head_len;
	uint64_t cap = it->body != NULL ? it->body->cap : 0;
	enum status st = ST_OK;

	if (f->expected != UINT64_MAX && len > f->expected)
		return ST_INVALID;
	if (len > most) {
		s->counts.too_big++;
		return ST_TOOBIG;
	}
	if (len > cap)
		st = body_grow(it, min_u64(most, max_u64(BODY_FIRST_BYTES, 2 * len)));
	return st == ST_OK ? body_claim(it, len) : st;
}

enum status store_fill_append(struct store_fill *f, struct span bytes)
{
	struct item *it = f->it;
	enum status st;

	if (bytes.len == 0)
		return ST_OK;
	st = append_room(f, it->e.body_len + bytes.len);
	if (st != ST_OK)
		return st;
	memcpy(it->body->bytes + it->e.body_len, bytes.ptr, bytes.len);
	it->e.body_len += bytes.len;
	return ST_OK;
}

/* Gives back what a body of unknown length has too much, and claims what it really takes. */
static bool body_finish(struct item *it)
{
	struct store_body *b = it->body;

	if (b == NULL)
		return true;
	if (b->cap > it->e.body_len && body_grow(it, it->e.body_len) != ST_OK)
		return false;
	b = it->body;
	uint64_t all = malloc_usable_size(b);

	if (all > b->claimed)
		return body_claim(it, b->cap) == ST_OK;
	it->s->bytes -= b->claimed - all;
	b->claimed = all;
	return true;
}

/* --- variants --- */

static void variant_add(struct item *list, struct item *it)
{
	it->list = list;
	it->var_older = list->var_newest;
	it->var_newer = NULL;
	if (list->var_newest != NULL)
		list->var_newest->var_newer = it;
	else
		list->var_oldest = it;
	list->var_newest = it;
	list->var_count++;
}

/* Hangs a variant on its list; false when there is none. One that it replaces hangs there still. */
static bool variant_hang(struct store *s, struct item *it, bool replaces)
{
	struct span primary = vary_primary(item_key(it));
	struct item *list;

	if (primary.len == item_key(it).len)
		return true;
	list = store_find(s, primary, store_hash(s, primary));
	if (list == NULL || (list->e.head->flags & OBJECT_VARY) == 0)
		return false;
	if (!replaces && list->var_count >= s->cfg.max_variants) {
		s->counts.variants_dropped++;
		store_unlink(list->var_oldest);
	}
	variant_add(list, it);
	return true;
}

/* --- into the store --- */

/* Held for the caller. False: it has no list. */
static bool item_store(struct store *s, struct item *it)
{
	struct item *old = store_find(s, item_key(it), it->hash);

	it->bytes = it->own_bytes + (it->body != NULL ? it->body->claimed : 0);
	if (!variant_hang(s, it, old != NULL))
		return false;
	store_link(s, it);
	return true;
}

struct store_entry *store_fill_commit(struct store_fill *f)
{
	struct item *it = f->it;
	struct store *s = it->s;
	struct object *head = item_head(it);
	enum inval_state state;

	if ((f->expected != UINT64_MAX && it->e.body_len != f->expected) || !body_finish(it))
		goto lost;
	head->body_len = it->e.body_len;
	head->flags = (uint16_t)(head->flags & ~OBJECT_CHUNKED);
	state = inval_check_fill(s->inval, head);
	if (state == INVAL_DEAD) {
		s->counts.fills_void++;
		goto gone;
	}
	it->stale = state == INVAL_STALE;
	it->e.refs = 1;
	if (!item_store(s, it))
		goto lost;
	s->counts.fills++;
	free(f);
	return &it->e;

lost:
	s->counts.fills_lost++;
gone:
	store_item_free(it);
	free(f);
	return NULL;
}

void store_fill_abort(struct store_fill *f)
{
	f->it->s->counts.fills_lost++;
	store_item_free(f->it);
	free(f);
}

struct span store_fill_key(const struct store_fill *f)
{
	return item_key(f->it);
}

uint64_t store_fill_len(const struct store_fill *f)
{
	return f->it->e.body_len;
}

struct store_entry *store_put(struct store *s, const struct object *head, struct span body)
{
	struct store_fill *f;

	if (store_fill_begin(s, head, body.len, &f) != ST_OK)
		return NULL;
	if (store_fill_append(f, body) == ST_OK)
		return store_fill_commit(f);
	store_fill_abort(f);
	return NULL;
}

struct store_entry *store_refresh(struct store *s, const struct store_entry *e,
                                  const struct object *head)
{
	const struct item *from = (const struct item *)(const void *)e;
	struct item *it = item_new(s, head);
	enum inval_state state;
	struct item *now;

	if (it == NULL)
		return NULL;
	assert(span_eq(item_key(it), item_key(from)));
	it->e.refs = 1;
	it->e.body_len = e->body_len;
	it->e.body = e->body;
	item_head(it)->body_len = e->body_len;
	it->body = from->body;
	if (it->body != NULL)
		it->body->refs++;
	now = store_find(s, item_key(it), it->hash);
	state = inval_check_fill(s->inval, it->e.head);
	if ((now != NULL && now != from) || state == INVAL_DEAD)
		return &it->e;
	it->stale = state == INVAL_STALE;
	if (item_store(s, it))
		s->counts.refreshed++;
	return &it->e;
}
