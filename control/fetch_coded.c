/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Coded forms beside the answer that they are made of. One is used only while it is as old as that
 * answer: what makes the answer fresh makes them fresh, and with another answer they go. */
#include "control/fetch_internal.h"

#include "cache/vary.h"
#include "control/purge.h"

#include <stdlib.h>

/* --- may it be coded --- */

static void count_plain(struct fetcher_counts *c, enum response_code why)
{
	c->plain_status += why == RESPONSE_CODE_STATUS;
	c->plain_coded += why == RESPONSE_CODE_CODED;
	c->plain_type += why == RESPONSE_CODE_TYPE;
	c->plain_small += why == RESPONSE_CODE_SMALL;
	c->plain_large += why == RESPONSE_CODE_LARGE;
	c->plain_forbidden += why == RESPONSE_CODE_FORBIDDEN;
}

bool fetch_may_code(const struct fetch *f, const struct response_in *in)
{
	struct response_codes codes;
	enum response_code why;

	if (f->plan.offers.count == 0 || !plan_codes(f->f, &f->req->wire, &codes))
		return false;
	why = response_may_code(in, &codes);
	count_plain(&f->f->counts, why);
	return why == RESPONSE_CODE_MAY;
}

/* --- keys --- */

static bool coded_key(const struct fetcher *fr, struct span text, enum coding c, char *buf,
                      struct cache_key *out)
{
	return vary_key_coded(text, c, link_hash_seed(fr->ctl->chan), buf, out);
}

/* --- in the store --- */

struct store_entry *fetch_coded_find(struct fetcher *fr, const struct store_entry *e, enum coding c)
{
	char text[CACHE_KEY_MAX];
	struct store_entry *coded;
	struct cache_key key;
	bool stale;

	if (fr->store == NULL || !coded_key(fr, object_key(e->head), c, text, &key))
		return NULL;
	coded = store_get(fr->store, key.text, &stale);
	if (coded == NULL)
		return NULL;
	if ((coded->head->flags & OBJECT_CODED) != 0 &&
	    coded->head->response_ms == e->head->response_ms)
		return coded;
	store_drop(coded);
	return NULL;
}

uint32_t fetch_coded_head(struct fetch *f, bool head_only, void *buf, uint32_t cap)
{
	const struct store_entry *e = f->entry;
	bool plain = f->plain || (e->head->flags & (OBJECT_PLAIN | OBJECT_NO_BODY)) != 0 ||
	             e->body_len == 0;
	struct fetch_coding how;
	char text[CACHE_KEY_MAX];
	struct cache_key key;
	struct object *o = buf;
	uint32_t len;

	if (f->coding == CODING_IDENTITY || (e->head->flags & OBJECT_CODED) ||
	    !coded_key(f->f, object_key(e->head), f->coding, text, &key))
		return 0;
	len = response_code_head(e->head, plain ? CODING_IDENTITY : f->coding, &key, buf, cap);
	if (len == 0)
		return 0;
	o->born_seq = max_u64(o->born_seq, store_live_seq(f->f->store, e));
	if (plain || head_only)
		return len;
	how = (struct fetch_coding){
	        .head = o,
	        .store = true,
	        .held = e->body_len <= FETCH_HOLD_BYTES,
	};
	if (!fetch_code_begin(f, &how))
		return 0;
	/* Others who want the same wait for it. */
	f->retain = e->body_len <= FETCH_SHARE_BYTES && fetch_rekey(f, key.text);
	if (f->retain || fetch_rekey(f, key.text))
		fetch_offer(f);
	return len;
}

void fetch_coded_plain(struct fetch *f)
{
	struct fetcher *fr = f->f;
	struct store_entry *e = NULL;
	struct object *head;
	bool stale;

	fr->counts.plain_useless++;
	if (fr->store != NULL && f->base.len > 0)
		e = store_peek(fr->store, f->base, &stale);
	if (e == NULL)
		return;
	head = malloc(e->head_len);
	if (head != NULL) {
		memcpy(head, e->head, e->head_len);
		head->flags |= OBJECT_PLAIN;
		struct store_entry *marked = store_refresh(fr->store, e, head);
		if (marked != NULL)
			store_drop(marked);
	}
	free(head);
	store_drop(e);
}

/* --- with their answer --- */

static void freshen(struct fetcher *fr, const struct object *e, const struct store_entry *fresh,
                    enum coding c)
{
	char text[CACHE_KEY_MAX];
	struct store_entry *coded;
	struct store_entry *again;
	struct cache_key key;
	struct object *head;
	bool stale;

	if (!coded_key(fr, object_key(e), c, text, &key))
		return;
	coded = store_peek(fr->store, key.text, &stale);
	if (coded == NULL)
		return;
	head = malloc(FETCH_HEAD_MAX);
	if (head != NULL && (coded->head->flags & OBJECT_CODED) &&
	    coded->head->response_ms == e->response_ms &&
	    response_code_head(fresh->head, c, &key, head, FETCH_HEAD_MAX) > 0) {
		head->flags &= (uint16_t)~OBJECT_CHUNKED;
		again = store_refresh(fr->store, coded, head);
		if (again != NULL)
			store_drop(again);
	}
	free(head);
	store_drop(coded);
}

void fetch_coded_freshen(struct fetcher *fr, const struct object *e,
                         const struct store_entry *fresh)
{
	for (uint32_t c = CODING_IDENTITY + 1; c < CODING_COUNT; c++)
		freshen(fr, e, fresh, (enum coding)c);
}

void fetch_coded_void(struct fetcher *fr, struct span base, enum coding but)
{
	char text[CACHE_KEY_MAX];
	struct cache_key key;
	struct store_entry *e;
	bool stale;

	for (uint32_t c = CODING_IDENTITY + 1; c < CODING_COUNT && fr->store != NULL; c++) {
		if (c == (uint32_t)but || !coded_key(fr, base, (enum coding)c, text, &key))
			continue;
		e = store_peek(fr->store, key.text, &stale);
		if (e == NULL)
			continue;
		store_drop(e);
		/* Also from the cores. Other nodes make their own. */
		struct purge_order order = {.kind = INVAL_KEY, .text = key.text, .foreign = true};
		chan_server_purge(fr->ctl->chan, &order, NULL, NULL);
	}
}

void fetch_coded_replace(struct fetch *f, struct span base, uint64_t seq)
{
	char text[CACHE_KEY_MAX];
	struct cache_key key;

	for (uint32_t i = 0; i < f->plan.offers.count; i++)
		if (coded_key(f->f, base, (enum coding)f->plan.offers.at[i], text, &key))
			chan_server_replace(fetch_chan(f), key.text, seq);
}
