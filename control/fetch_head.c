/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The head of an origin's answer: written as the cores take it, under the key of its variant when
 * it has Vary (RFC 9111 4.1); what of it goes into the store, and who may share it. */
#include "control/fetch_internal.h"

#include "cache/vary.h"
#include "lib/clock.h"

#include <stdlib.h>

#define LIST_BYTES (sizeof(struct object) + CACHE_KEY_MAX + VARY_NAMES_MAX + 64)

/* What on_head makes on its way; too large for the stack together. */
struct work {
	struct response_in in;
	struct response_out out;
	struct cache_key key;
	uint32_t cap;
	char key_text[CACHE_KEY_MAX];   /* of the answer as it came */
	char coded_text[CACHE_KEY_MAX]; /* and in its coding */
	bool may_code;
	struct span names; /* of the list: out.vary_names, or with codings in names_buf */
	char names_buf[VARY_NAMES_MAX];
	uint64_t list[LIST_BYTES / 8 + 1];
	size_t list_len;
	bool pattern; /* key is that of shared */
	struct pattern_key shared;
	uint64_t head[FETCH_HEAD_MAX / 8];
};

void fetch_response_in(const struct fetch *f, const struct exchange_head *h,
                       struct response_in *out)
{
	*out = (struct response_in){
	        .request = f->req,
	        .head = h->head,
	        .framing = h->framing,
	        .rule = f->plan.rule,
	        .request_wall_ms = f->started_wall_ms,
	        .response_wall_ms = clock_wall_ns() / NS_PER_MS,
	        .node = f->f->ctl->config->node,
	        .born_seq = f->born_seq,
	};
	if (f->effects != NULL) {
		out->tags = f->effects->tags;
		out->tag_count = f->effects->tag_count;
	}
}

/* --- variants --- */

/* The list for these names: the one that is stored, when it says the same, else a new one. */
static bool list_make(struct fetch *f, struct work *k)
{
	const struct request *r = f->req;
	struct cache_key primary = {{r->wire.key_lo, r->wire.key_hi}, r->key};
	struct span names;
	bool stale;
	uint64_t id = 0;
	struct store_entry *e = store_peek(f->f->store, r->key, &stale);

	if (e != NULL && !stale && vary_list_read(e->head, &id, &names) &&
	    span_eq(names, k->names) && e->head_len <= sizeof(k->list)) {
		memcpy(k->list, e->head, e->head_len);
		k->list_len = e->head_len;
		store_drop(e);
		return true;
	}
	if (e != NULL)
		store_drop(e);
	while (id == 0)
		random_bytes(&id, sizeof(id));
	k->list_len = vary_list_write(k->list, sizeof(k->list), &primary, id, k->names);
	if (k->list_len == 0)
		return false;
	struct object *o = (struct object *)(void *)k->list;
	o->born_seq = f->born_seq;
	e = store_put(f->f->store, o, span_of(NULL, 0));
	if (e == NULL)
		return false; /* purged meanwhile: nothing of this answer may be stored */
	f->f->counts.lists++;
	store_drop(e);
	return true;
}

/* The key of this answer among the variants: of the answer itself, not of a coded form. */
static bool variant_key(struct fetch *f, struct work *k)
{
	const struct object *list = (const struct object *)(void *)k->list;
	char text[CACHE_KEY_MAX];
	struct cache_key asked;

	if (f->f->store == NULL || f->req->key.len == 0 || !list_make(f, k))
		return false;
	if (!k->may_code)
		return request_variant(f->f, f->req, list, k->key_text, &k->key);
	return request_variant(f->f, f->req, list, text, &asked) &&
	       vary_key_coded(asked.text, CODING_IDENTITY, link_hash_seed(fetch_chan(f)),
	                      k->key_text, &k->key);
}

/* What chooses among the answers to this key. What is not for a store needs no list. */
static bool list_names(struct fetch *f, struct work *k)
{
	k->names = k->out.vary_names;
	if (k->out.vary == VARY_ANY)
		return false;
	if (!k->may_code)
		return k->out.vary == VARY_LIST;
	if (k->out.vary == VARY_NONE && !k->out.storable && !k->out.partial)
		return false;
	return vary_offer(k->out.vary_names, &f->plan.offers, k->names_buf, &k->names);
}

bool fetch_same_variant(struct fetch *f, const struct waiter *w)
{
	char text[CACHE_KEY_MAX];
	struct store_entry *list;
	struct cache_key key;
	bool stale;
	bool same;

	if (w->req == NULL)
		return false;
	list = store_peek(f->f->store, w->req->key, &stale);
	if (list == NULL)
		return false;
	same = (list->head->flags & OBJECT_VARY) != 0 &&
	       request_variant(f->f, w->req, list->head, text, &key) && span_eq(key.text, f->key);
	store_drop(list);
	return same;
}

/* --- the head --- */

/* The rule wants an ETag where the origin gives none. */
static void weak_etag(const struct fetch *f, struct work *k, void *buf)
{
	char text[RESPONSE_ETAG_MAX];
	struct span etag;
	uint32_t len;

	if (f->plan.rule.make_etag != CACHE_ETAG_WEAK)
		return;
	etag = response_etag_weak(&k->in, text);
	len = response_add_etag(buf, etag, k->head, min_u32(k->cap, sizeof(k->head)));
	if (len == 0)
		return;
	memcpy(buf, k->head, len);
	k->out.len = len;
}

/* Under the key of what it depends on, where it says so. */
static enum status write_shared(struct fetch *f, struct work *k, void *buf)
{
	struct span list = span_of(k->list, sizeof(k->list));
	enum status st;

	k->pattern = false;
	if (!pattern_place(f->f, f->req, &k->in.head->fields, &k->shared))
		return ST_NOTFOUND;
	k->in.key = &k->shared.key;
	st = response_object(&k->in, buf, k->cap, &k->out);
	k->pattern = st == ST_OK && k->out.storable && k->out.shared &&
	             pattern_put(f->f, f->req, &k->shared, f->born_seq, &list);
	k->list_len = list.len;
	if (k->pattern)
		return ST_OK;
	k->in.key = NULL;
	return ST_NOTFOUND;
}

static enum status write_head(struct fetch *f, struct work *k, void *buf)
{
	enum status st = write_shared(f, k, buf);

	k->may_code = false;
	if (st == ST_OK) {
		weak_etag(f, k, buf);
		return ST_OK;
	}
	st = response_object(&k->in, buf, k->cap, &k->out);
	k->may_code = st == ST_OK && fetch_may_code(f, &k->in);
	if (st == ST_OK && list_names(f, k) && variant_key(f, k))
		k->in.key = &k->key;
	else if (k->out.storable || k->out.partial) /* a store could not tell the forms apart */
		k->may_code = false;
	k->in.coding_varies = k->may_code;
	if (st == ST_OK && (k->in.key != NULL || k->may_code))
		st = response_object(&k->in, buf, k->cap, &k->out);
	if (st == ST_OK)
		weak_etag(f, k, buf);
	return st;
}

/* What goes into the store is not all that the client gets. */
static const struct object *stored_head(struct work *k, const void *buf)
{
	struct response_out out;

	if (!k->out.partial)
		return buf;
	k->in.stored = true;
	if (response_object(&k->in, k->head, sizeof(k->head), &out) != ST_OK || !out.storable)
		return NULL;
	return (const struct object *)(void *)k->head;
}

static void store_head(struct fetch *f, struct work *k, const void *buf)
{
	const struct object *o;

	if (!k->out.storable && !k->out.partial)
		return;
	o = stored_head(k, buf);
	if (o != NULL)
		fetch_fill_begin(f, o);
}

/* For every tier: each request for it goes to the origin, and better for the part that it wants. */
static bool too_large(const struct fetch *f, const struct response_out *out)
{
	const struct config_limits *lim = &f->f->ctl->config->limits;

	return out->storable && out->body_len != UINT64_MAX &&
	       out->body_len > lim->store_object_bytes && out->body_len > lim->object_bytes;
}

/* The remark that answers to this key are not for sharing: requests shall not wait for each other.
 * A core that has it already asked for an answer of its own. */
static void pass_set(struct fetch *f, struct work *k)
{
	const struct request *r = f->req;
	struct cache_key key = {{r->wire.key_lo, r->wire.key_hi}, f->key};
	struct store_entry *e;
	size_t len;

	if ((!k->out.pass && !too_large(f, &k->out)) || f->plan.rule.pass_ms == 0 ||
	    !(r->wire.flags & CHAN_REQ_COLLAPSE))
		return;
	len = cache_pass_write(k->list, sizeof(k->list), &key,
	                       k->in.response_wall_ms + f->plan.rule.pass_ms);
	if (len == 0)
		return;
	struct object *o = (struct object *)(void *)k->list;
	o->born_seq = f->born_seq;
	f->f->counts.passes++;
	if (f->f->store != NULL) {
		e = store_put(f->f->store, o, span_of(NULL, 0));
		if (e != NULL)
			store_drop(e);
	}
	fetch_put_set(f, k->list, len);
}

/* --- who may have it --- */

typedef bool stays_fn(struct fetch *f, const struct waiter *w);

static bool all_stay(struct fetch *f, const struct waiter *w)
{
	(void)f;
	(void)w;
	return true;
}

/* Does w ask for what is shared under f's key? */
static bool same_pattern(struct fetch *f, const struct waiter *w)
{
	struct pattern_key *k = malloc(sizeof(*k));
	bool same = k != NULL && w->req != NULL && pattern_find(f->f, w->req, k) &&
	            span_eq(k->key.text, f->key);

	free(k);
	return same;
}

/* f gets the answer's key. Returns who may stay of those that joined under the former one; NULL:
 * only the first. */
static stays_fn *key_take(struct fetch *f, struct work *k)
{
	struct span key = k->in.key != NULL ? k->in.key->text : f->req->key;
	bool same = span_eq(f->key, key), was = f->pattern;

	f->pattern = k->pattern;
	if (was && !k->pattern) {
		/* Their keys are others than that of the first, though they joined. */
		fetch_unjoin(f);
		f->key = f->req->key;
		same = k->in.key == NULL;
	}
	if (k->in.key != NULL && !same && !fetch_rekey(f, key)) {
		fetch_unjoin(f);
		k->out.shared = false;
	}
	if (was && !k->pattern)
		return NULL;
	if (k->pattern)
		return same ? all_stay : same_pattern;
	return k->in.key != NULL ? fetch_same_variant : all_stay;
}

/* The policy decides whether others may have this answer. */
static void share(struct fetch *f, const struct response_out *out, stays_fn *stays)
{
	bool small = out->body_len == UINT64_MAX || out->body_len <= FETCH_SHARE_BYTES;

	f->shared = out->shared && f->plan.rule.make_etag != CACHE_ETAG_STRONG;
	if (!out->shared || !small) {
		fetch_unjoin(f);
		fetch_split(f, NULL);
		if (!out->shared)
			fetch_unpark(f, false);
		return;
	}
	f->retain = f->hash_prev != NULL;
	if (stays == all_stay)
		return;
	if (stays == NULL)
		fetch_unjoin(f);
	fetch_split(f, stays);
}

/* What the waiters get is the answer in a coding, under that coding's key where there is a list;
 * the store gets both. False: they get it as it came. */
static bool code_head(struct fetch *f, struct work *k, void *buf)
{
	const struct request *r = f->req;
	struct cache_key key = {{r->wire.key_lo, r->wire.key_hi}, r->key};
	struct object *head = (struct object *)(void *)k->head;
	struct fetch_coding how = {.head = head};
	uint32_t len;

	if (!k->may_code || f->coding == CODING_IDENTITY ||
	    (k->in.key != NULL &&
	     !vary_key_coded(k->key.text, f->coding, link_hash_seed(fetch_chan(f)), k->coded_text,
	                     &key)))
		return false;
	len = response_code_head(buf, f->coding, &key, head, min_u32(k->cap, sizeof(k->head)));
	if (len == 0)
		return false;
	how.store = k->in.key != NULL && f->fill != NULL && !k->out.partial &&
	            f->plan.rule.make_etag != CACHE_ETAG_STRONG;
	how.held = k->out.body_len <= FETCH_HOLD_BYTES;
	if (!k->out.no_body && !fetch_code_begin(f, &how))
		return false;
	memcpy(buf, head, len);
	k->out.len = len;
	k->key = key;
	return true;
}

static void head_take(struct fetch *f, const struct exchange_head *h, struct work *k,
                      uint32_t block)
{
	void *buf = down_at(fetch_down(f), block);
	bool variant = k->in.key != NULL;
	struct object *written = fetch_write_head(f, h);
	stays_fn *stays;

	store_head(f, k, buf);
	if (!code_head(f, k, buf))
		f->coding = CODING_IDENTITY;
	f->head_block = block;
	f->head_len = k->out.len;
	f->head_end = k->out.no_body || k->out.body_len == 0;
	f->reused = h->reused;
	/* Short bodies go behind the head, in the same block. */
	f->gather_block = block;
	f->gather_off = (uint32_t)align_up(k->out.len, 8);
	down_ref(fetch_down(f), block);
	fetch_invalidate(f, h);
	fetch_write_begin(f, written);
	stays = key_take(f, k);
	if (variant)
		fetch_put_set(f, k->list, k->list_len);
	else
		pass_set(f, k);
	fetch_warm_head(f, h, &k->out);
	share(f, &k->out, stays);
}

static void head_refuse(struct fetch *f, uint16_t code)
{
	exchange_cancel(&f->x);
	fetch_refuse(f, code);
}

void fetch_head(struct fetch *f, const struct exchange_head *h)
{
	struct down_slab *down = fetch_down(f);
	uint64_t former_ms = 0;
	struct work *k;
	uint32_t block;

	if (fetch_head_validates(f, h))
		return;
	if (f->entry != NULL && f->validating)
		former_ms = f->entry->head->expires_ms - f->entry->head->response_ms;
	if (f->entry != NULL)
		store_drop(f->entry);
	f->entry = NULL;
	fetch_head_compare(f, h);
	k = malloc(sizeof(*k));
	block = down_get(down);
	if (block == CHAN_NO_BLOCK || k == NULL) {
		f->f->counts.no_block++;
		if (block != CHAN_NO_BLOCK)
			down_unref(down, block);
		head_refuse(f, 503);
		free(k);
		return;
	}
	fetch_response_in(f, h, &k->in);
	k->in.former_ms = former_ms;
	k->cap = min_u32(down->slab.block_bytes, FETCH_HEAD_MAX);
	if (write_head(f, k, down_at(down, block)) == ST_OK) {
		head_take(f, h, k, block);
	} else {
		down_unref(down, block);
		head_refuse(f, 502);
	}
	free(k);
}
