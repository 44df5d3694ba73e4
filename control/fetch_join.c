/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which tickets share a fetch: those that ask for its key join it; those that want the same answer
 * in another coding are parked until it has ended. */
#include "control/fetch_internal.h"

#include "cache/vary.h"
#include "lib/hash.h"

#include <stdlib.h>

/* --- fetches that may be joined --- */

static struct fetch **bucket_of(struct fetcher *fr, uint64_t hash)
{
	return &fr->buckets[hash % FETCH_BUCKETS];
}

static void base_offer(struct fetch *f)
{
	struct fetch **head;

	/* What comes out of the store is no news of it. */
	if (f->base.len == 0 || f->sending)
		return;
	f->base_hash = hash64(f->base.ptr, f->base.len, f->f->key_seed);
	head = &f->f->bases[f->base_hash % FETCH_BUCKETS];
	f->base_next = *head;
	if (f->base_next != NULL)
		f->base_next->base_prev = &f->base_next;
	f->base_prev = head;
	*head = f;
}

static void base_unjoin(struct fetch *f)
{
	if (f->base_prev == NULL)
		return;
	*f->base_prev = f->base_next;
	if (f->base_next != NULL)
		f->base_next->base_prev = f->base_prev;
	f->base_prev = NULL;
	f->base_next = NULL;
}

void fetch_offer(struct fetch *f)
{
	struct fetch **head;

	base_offer(f);
	f->key_hash = hash64(f->key.ptr, f->key.len, f->f->key_seed);
	head = bucket_of(f->f, f->key_hash);
	f->hash_next = *head;
	if (f->hash_next != NULL)
		f->hash_next->hash_prev = &f->hash_next;
	f->hash_prev = head;
	*head = f;
}

void fetch_unjoin(struct fetch *f)
{
	base_unjoin(f);
	if (f->hash_prev == NULL)
		return;
	*f->hash_prev = f->hash_next;
	if (f->hash_next != NULL)
		f->hash_next->hash_prev = f->hash_prev;
	f->hash_prev = NULL;
	f->hash_next = NULL;
}

bool fetch_rekey(struct fetch *f, struct span text)
{
	bool offered = f->hash_prev != NULL;
	char base[CACHE_KEY_MAX];
	struct cache_key base_key = {0};
	char *copy = malloc(text.len + 1);
	char *base_copy = NULL;

	if (vary_key_coded(text, CODING_IDENTITY, 0, base, &base_key))
		base_copy = malloc(base_key.text.len);
	if (copy == NULL || (base_copy == NULL && base_key.text.len > 0)) {
		free(copy);
		free(base_copy);
		return false;
	}
	memcpy(copy, text.ptr, text.len);
	if (base_copy != NULL)
		memcpy(base_copy, base, base_key.text.len);
	fetch_unjoin(f);
	free(f->variant);
	free(f->base_text);
	f->variant = copy;
	f->base_text = base_copy;
	f->key = span_of(copy, text.len);
	f->base = span_of(base_copy, base_key.text.len);
	if (offered)
		fetch_offer(f);
	return true;
}

static bool rule_eq(const struct cache_rule *a, const struct cache_rule *b)
{
	return a->mode == b->mode && a->ttl_ms == b->ttl_ms &&
	       a->negative_ttl_ms == b->negative_ttl_ms &&
	       a->heuristic_max_s == b->heuristic_max_s && a->stale_while_s == b->stale_while_s &&
	       a->stale_error_s == b->stale_error_s && a->pass_ms == b->pass_ms &&
	       a->ttl_jitter_pct == b->ttl_jitter_pct && a->heuristic_pct == b->heuristic_pct &&
	       a->make_etag == b->make_etag && a->range_fill_bytes == b->range_fill_bytes;
}

static bool plan_eq(const struct plan_choice *a, const struct plan_choice *b)
{
	return a->upstream == b->upstream && rule_eq(&a->rule, &b->rule) &&
	       memcmp(&a->offers, &b->offers, sizeof(a->offers)) == 0;
}

/* Equal in key text and in what chose the origin: a core with another configuration must not get an
 * answer that its own would not have asked for. */
struct fetch *fetch_find(struct fetcher *fr, struct span key, const struct plan_choice *plan)
{
	uint64_t hash = hash64(key.ptr, key.len, fr->key_seed);

	for (struct fetch *it = *bucket_of(fr, hash); it != NULL; it = it->hash_next)
		if (it->key_hash == hash && !it->sending && plan_eq(&it->plan, plan) &&
		    span_eq(it->key, key))
			return it;
	return NULL;
}

struct fetch *fetch_find_coding(struct fetcher *fr, struct span key, const struct store_entry *e)
{
	uint64_t hash = hash64(key.ptr, key.len, fr->key_seed);

	for (struct fetch *it = *bucket_of(fr, hash); it != NULL; it = it->hash_next)
		if (it->key_hash == hash && it->sending && it->entry == e && span_eq(it->key, key))
			return it;
	return NULL;
}

struct fetch *fetch_find_base(struct fetcher *fr, struct span base, const struct plan_choice *plan)
{
	uint64_t hash = hash64(base.ptr, base.len, fr->key_seed);

	for (struct fetch *it = fr->bases[hash % FETCH_BUCKETS]; it != NULL; it = it->base_next)
		if (it->base_hash == hash && plan_eq(&it->plan, plan) && span_eq(it->base, base))
			return it;
	return NULL;
}

/* --- the same answer in another coding --- */

void fetch_park(struct fetch *f, struct waiter *w)
{
	f->f->counts.coded_parked++;
	w->fetch = f;
	w->parked = true;
	w->next = f->parked;
	w->prev_next = &f->parked;
	if (w->next != NULL)
		w->next->prev_next = &w->next;
	f->parked = w;
}

void fetch_unpark_soon(struct fetch *f)
{
	if (f->parked == NULL || f->ended)
		return;
	f->unparks = true;
	fetch_dry_add(f);
}

void fetch_unpark(struct fetch *f, bool share)
{
	assert(f->base_prev == NULL);
	while (f->parked != NULL) {
		struct waiter *w = f->parked;

		waiter_leave(w);
		fetch_route(w, &f->plan, share);
	}
}
