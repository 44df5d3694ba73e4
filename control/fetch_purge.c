/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges: what is ordered, and what unsafe requests make void. */
#include "control/fetch_internal.h"

#include "cache/tags.h"
#include "cache/vary.h"

#include <stdlib.h>

/* Tags of an answer are known when its head has come. */
static bool tag_hits(const struct fetch *f, struct span tag)
{
	const struct object *o;
	uint32_t hash = inval_tag_hash(tag);

	if (f->head_block == CHAN_NO_BLOCK)
		return true;
	o = (const struct object *)(const void *)down_at(fetch_down(f), f->head_block);
	for (uint32_t i = 0; i < o->tag_count; i++)
		if (memcmp(object_tags(o) + i * sizeof(hash), &hash, sizeof(hash)) == 0)
			return true;
	return false;
}

static bool purge_hits(const struct fetch *f, const struct inval_purge *p)
{
	struct span first = vary_primary(f->key);

	switch (p->kind) {
	case INVAL_KEY:
		return span_eq(first, p->text) || span_eq(f->key, p->text);
	case INVAL_PATTERN:
		return cache_key_match(first, p->text);
	case INVAL_TAG:
		return tag_hits(f, p->text);
	default:
		return true;
	}
}

uint32_t fetcher_purge(struct fetcher *f, const struct inval_purge *p)
{
	struct fetch *next;

	for (uint32_t i = 0; i < FETCH_BUCKETS; i++) {
		for (struct fetch *it = f->buckets[i]; it != NULL; it = next) {
			next = it->hash_next;
			if (purge_hits(it, p))
				fetch_unjoin(it);
		}
	}
	return f->store != NULL ? store_purge(f->store, p) : 0;
}

static void purge(struct fetcher *f, enum inval_kind kind, struct span text)
{
	struct purge_order order = {.kind = kind, .text = text};

	f->counts.invalidations++;
	chan_server_purge(f->ctl->chan, &order, NULL, NULL);
}

void fetch_purge_key(struct fetcher *f, struct span key)
{
	purge(f, INVAL_KEY, key);
}

static void purge_effects(struct fetch *f, const struct rule_effects *effects)
{
	for (uint32_t i = 0; effects != NULL && i < effects->purge_count; i++)
		purge(f->f, effects->purges[i].kind, effects->purges[i].text);
}

/* The key that a target of the same host has under the rule of its route. */
static void purge_ruled(struct fetch *f, struct span target)
{
	struct rule_target t = {
	        .s = plan_snapshot(f->f, f->req->wire.snapshot_id),
	        .r = f->req,
	        .target = target,
	        .seed = link_hash_seed(fetch_chan(f)),
	};
	struct rule_effects *effects = NULL;

	/* Its rules are not known any more (or there is no memory): rather too much. */
	if (t.s == NULL || !rule_effects_target(&t, &effects))
		purge(f->f, INVAL_ALL, span_of(NULL, 0));
	purge_effects(f, effects);
	free(effects);
}

/* The key under which a target of the same host would be stored by default. */
static void purge_target(struct fetch *f, struct span target)
{
	const char *mark = memchr(target.ptr, '?', target.len);
	struct span host = f->req->host;
	struct span path = target;
	struct span query = {0};
	char buf[CACHE_KEY_MAX];
	struct cache_key key;

	if (mark != NULL) {
		path.len = (size_t)(mark - target.ptr);
		query = span_of(mark + 1, target.len - path.len - 1);
	}
	/* The scheme's port is none in a key (RFC 9110 4.2.3). */
	if (host.len > 3 && memcmp(host.ptr + host.len - 3, ":80", 3) == 0)
		host.len -= 3;
	if (cache_key_default(buf, host, path, query, 0, &key))
		fetch_purge_key(f->f, key.text);
}

/* RFC 9875 3 */
static void on_group(void *arg, struct span tag)
{
	purge(arg, INVAL_TAG, tag);
}

void fetch_invalidate(struct fetch *f, const struct exchange_head *h)
{
	struct cache_target at = {
	        .host = f->req->host,
	        .target = f->req->target,
	        .tls = (f->req->wire.flags & CHAN_REQ_TLS) != 0,
	};
	struct cache_targets targets;

	/* Where a rule's key is made of the body, POST asks and changes nothing. */
	if (f->req->keyed_body || !cache_invalidates(f->req->method, h->head->status))
		return;
	tags_invalidated(&h->head->fields, &at, on_group, f->f);
	purge_effects(f, f->effects);
	if (f->req->key.len == 0)
		return;
	fetch_purge_key(f->f, f->req->key);
	cache_invalidated(&at, &h->head->fields, &targets);
	for (uint32_t i = 0; i < targets.count; i++) {
		purge_target(f, targets.target[i]);
		purge_ruled(f, targets.target[i]);
	}
}
