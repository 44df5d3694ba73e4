/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/hot_share.h"

#include <stdlib.h>

#include "cache/hot_offer.h"

#define L0_MEMORY_MIN (1u << 20)

/* Cookies: kind in bits 61 and 62; below them what hot_pin gave, or peer and hold. */
#define COOKIE_KIND_SHIFT 61u
#define COOKIE_PEER_SHIFT 32u
#define COOKIE_BITS       ((1ull << COOKIE_KIND_SHIFT) - 1)

struct peer {
	struct hot_remote own;
	struct hot_remote l0;
	const struct hot_marks *marks; /* of its own table */
};

/* An offer that is being copied. */
struct pull {
	bool open;
	struct object o;
	struct hot_remote *from;
	uint32_t hold;
	struct hot_fill fill;
};

struct hot_view {
	struct hot_table *own;
	struct hot_table *l0;
	struct hot_share *share;
	uint32_t core;
	uint32_t cores;
	uint64_t wall_ms;
	struct hot_view_counts counts;
	struct counters l0_counters;
	struct pull pull;
	struct peer peers[HOT_SHARE_CORES];
	uint16_t seen[HOT_SHARE_SEEN];
	struct hot_offers offers; /* to this core */
	struct hot_offer_cell cells[HOT_SHARE_OFFERS];
} ALIGNED(CACHE_LINE);

struct hot_share {
	uint32_t cores;
	struct hot_view *views;
};

enum status hot_share_create(struct hot_share **out, uint32_t cores)
{
	struct hot_share *s;

	*out = NULL;
	if (cores == 0 || cores > HOT_SHARE_CORES)
		return ST_INVALID;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ST_NOMEM;
	s->cores = cores;
	s->views = aligned_alloc(CACHE_LINE, cores * sizeof(*s->views));
	if (s->views == NULL) {
		free(s);
		return ST_NOMEM;
	}
	memset(s->views, 0, cores * sizeof(*s->views));
	for (uint32_t i = 0; i < cores; i++) {
		struct hot_view *v = &s->views[i];

		v->share = s;
		v->core = i;
		v->cores = cores;
		hot_offers_init(&v->offers, v->cells, HOT_SHARE_OFFERS);
	}
	*out = s;
	return ST_OK;
}

enum status hot_share_join(struct hot_share *s, uint32_t core, const struct hot_config *cfg,
                           struct counters *ctr)
{
	struct hot_view *v = &s->views[core];
	struct hot_config c = *cfg;
	size_t l0_bytes = max_u64(cfg->memory_bytes / HOT_L0_PART, L0_MEMORY_MIN);
	enum status st;

	if (s->cores == 1)
		return hot_create(&v->own, &c, ctr);
	c.readers = s->cores;
	if (cfg->memory_bytes < 2 * (size_t)L0_MEMORY_MIN)
		return hot_create(&v->own, &c, ctr);
	c.memory_bytes = cfg->memory_bytes - l0_bytes;
	st = hot_create(&v->own, &c, ctr);
	if (st != ST_OK)
		return st;
	c.memory_bytes = l0_bytes;
	c.max_object_bytes = min_u32(cfg->max_object_bytes, HOT_L0_OBJECT);
	return hot_create(&v->l0, &c, &v->l0_counters);
}

/* Every core is a reader of every table by its own number, and of none of its own. */
void hot_share_link(struct hot_share *s)
{
	for (uint32_t c = 0; c < s->cores; c++) {
		for (uint32_t p = 0; p < s->cores; p++) {
			if (p == c)
				continue;
			struct peer *peer = &s->views[c].peers[p];

			hot_remote_open(&peer->own, s->views[p].own, c);
			if (s->views[p].l0 != NULL)
				hot_remote_open(&peer->l0, s->views[p].l0, c);
			peer->marks = hot_marks_of(s->views[p].own);
		}
	}
}

void hot_share_leave(struct hot_share *s, uint32_t core)
{
	struct hot_view *v = &s->views[core];

	if (v->own != NULL)
		hot_set_counters(v->own, &v->l0_counters);
}

void hot_share_destroy(struct hot_share *s)
{
	if (s == NULL)
		return;
	for (uint32_t c = 0; c < s->cores; c++) {
		hot_destroy(s->views[c].own);
		hot_destroy(s->views[c].l0);
	}
	free(s->views);
	free(s);
}

struct hot_view *hot_share_view(struct hot_share *s, uint32_t core)
{
	return &s->views[core];
}

uint64_t hot_view_born(const struct hot_view *v)
{
	return max_u64(hot_born_max(v->own), v->l0 != NULL ? hot_born_max(v->l0) : 0);
}

struct hot_table *hot_view_own(struct hot_view *v)
{
	return v->own;
}

struct hot_table *hot_view_l0(struct hot_view *v)
{
	return v->l0;
}

const struct hot_view_counts *hot_view_counts(const struct hot_view *v)
{
	return &v->counts;
}

void hot_view_wall(struct hot_view *v, uint64_t wall_ms)
{
	v->wall_ms = wall_ms;
	hot_set_wall(v->own, wall_ms);
	if (v->l0 != NULL)
		hot_set_wall(v->l0, wall_ms);
}

/* By bits that choose neither the bucket nor the tag, so that an owner's buckets fill evenly. */
static uint32_t owner_of(const struct hot_view *v, struct hash128 h)
{
	return (uint32_t)((h.hi >> 16 & UINT32_MAX) * v->cores >> 32);
}

/* --- look-up --- */

/* True the second time within a while. */
static bool seen_before(struct hot_view *v, struct hash128 h)
{
	uint16_t *slot = &v->seen[(h.lo >> 8) % HOT_SHARE_SEEN];
	uint16_t print = (uint16_t)(h.hi >> 48 | 1);
	bool was = *slot == print;

	*slot = was ? 0 : print;
	return was;
}

/* A copy in L0 of what another core has; NULL when there is no room, or a purge took it. */
static const struct object *copy_near(struct hot_view *v, const struct object *o)
{
	struct hot_fill f = {0};

	if (v->l0 == NULL || object_head_bytes(o) + o->body_len > HOT_L0_OBJECT ||
	    hot_fill_begin(v->l0, &f, o, o->body_len) != ST_OK)
		return NULL;
	(void)hot_fill_append(v->l0, &f, object_body(o));
	v->counts.copies++;
	/* By who found it; L0 knows the same purges. */
	f.judged = true;
	return hot_fill_commit(v->l0, &f);
}

static const struct object *get_remote(struct hot_view *v, const struct cache_key *key,
                                       struct hot_found *found)
{
	struct peer *peer = &v->peers[found->peer];
	bool ahead = hot_is_ahead(v->own, peer->marks);
	const struct object *o = hot_remote_get(&peer->own, key, &found->hold);
	const struct object *copy;

	if (o == NULL)
		return NULL;
	if (unlikely(!hot_is_alive(v->own, peer->marks, ahead, o))) {
		hot_remote_drop(&peer->own, found->hold);
		return NULL;
	}
	found->where = HOT_REMOTE;
	if (!object_is_fresh(o, v->wall_ms) || !seen_before(v, key->hash))
		return o;
	copy = copy_near(v, o);
	if (copy == NULL)
		return o;
	hot_remote_drop(&peer->own, found->hold);
	found->where = HOT_L0;
	return copy;
}

static NOINLINE const struct object *get_shared(struct hot_view *v, const struct cache_key *key,
                                                struct hot_found *found)
{
	const struct object *near = v->l0 != NULL ? hot_get(v->l0, key) : NULL;

	found->where = HOT_NOWHERE;
	if (near != NULL && object_is_fresh(near, v->wall_ms)) {
		found->where = HOT_L0;
		v->counts.l0_hits++;
		return near;
	}
	const struct object *far = get_remote(v, key, found);

	/* What was copied just now may lie where the near one lay. */
	if (near != NULL)
		near = found->where == HOT_L0 ? NULL : hot_get(v->l0, key);
	if (near != NULL && (far == NULL || far->expires_ms <= near->expires_ms)) {
		hot_view_done(v, found);
		found->where = HOT_L0;
		v->counts.l0_hits++;
		return near;
	}
	v->counts.remote_hits += far != NULL;
	return far;
}

const struct object *hot_view_get(struct hot_view *v, const struct cache_key *key,
                                  struct hot_found *found)
{
	if (v->cores > 1) {
		found->peer = owner_of(v, key->hash);
		if (found->peer != v->core)
			return get_shared(v, key, found);
	}
	const struct object *o = hot_get(v->own, key);

	found->where = o != NULL ? HOT_OWN : HOT_NOWHERE;
	return o;
}

void hot_view_done(struct hot_view *v, struct hot_found *found)
{
	if (found->where == HOT_REMOTE)
		hot_remote_drop(&v->peers[found->peer].own, found->hold);
	found->where = HOT_NOWHERE;
}

uint64_t hot_view_pin(struct hot_view *v, const struct object *o, struct hot_found *found)
{
	uint64_t cookie;

	if (found->where == HOT_REMOTE) {
		hot_remote_again(&v->peers[found->peer].own, found->hold);
		cookie = (uint64_t)found->peer << COOKIE_PEER_SHIFT | found->hold;
		return (uint64_t)HOT_REMOTE << COOKIE_KIND_SHIFT | cookie;
	}
	cookie = hot_pin(found->where == HOT_L0 ? v->l0 : v->own, o);
	return (uint64_t)found->where << COOKIE_KIND_SHIFT | cookie;
}

void hot_view_unpin(struct hot_view *v, uint64_t cookie)
{
	uint64_t rest = cookie & COOKIE_BITS;

	switch ((enum hot_where)(cookie >> COOKIE_KIND_SHIFT & 3)) {
	case HOT_REMOTE:
		hot_remote_drop(&v->peers[rest >> COOKIE_PEER_SHIFT].own, (uint32_t)rest);
		break;
	case HOT_L0:
		hot_unpin(v->l0, rest);
		break;
	case HOT_OWN:
	case HOT_NOWHERE:
		hot_unpin(v->own, rest);
		break;
	}
}

void hot_view_prefetch(const struct hot_view *v, struct hash128 hash)
{
	uint32_t owner = v->cores > 1 ? owner_of(v, hash) : v->core;

	if (owner == v->core) {
		hot_prefetch(v->own, hash);
		return;
	}
	if (v->l0 != NULL)
		hot_prefetch(v->l0, hash);
	hot_remote_prefetch(&v->peers[owner].own, hash);
}

static void prefetch_shared(const struct hot_view *v, struct hash128 hash)
{
	if (v->l0 != NULL)
		hot_prefetch_object(v->l0, hash);
	hot_remote_prefetch_object(&v->peers[owner_of(v, hash)].own, hash);
}

void hot_view_prefetch_object(const struct hot_view *v, struct hash128 hash)
{
	if (v->cores == 1 || owner_of(v, hash) == v->core)
		hot_prefetch_object(v->own, hash);
	else
		prefetch_shared(v, hash);
}

/* --- fills --- */

struct hot_table *hot_view_table(struct hot_view *v, struct hash128 hash, uint64_t bytes)
{
	if (v->cores == 1 || owner_of(v, hash) == v->core || bytes > HOT_L0_OBJECT || v->l0 == NULL)
		return v->own;
	return v->l0;
}

static NOINLINE void offer_to(struct hot_view *v, uint32_t owner, struct hot_table *t,
                              const struct object *o)
{
	struct hot_offer offer = {.hash = o->hash,
	                          .place = hot_place_of(t, o),
	                          .core = (uint16_t)v->core,
	                          .l0 = t == v->l0};

	if (hot_offers_put(&v->share->views[owner].offers, &offer))
		v->counts.offers++;
	else
		v->counts.offers_full++;
}

void hot_view_stored(struct hot_view *v, struct hot_table *t, const struct object *o)
{
	if (v->cores > 1 && owner_of(v, o->hash) != v->core)
		offer_to(v, owner_of(v, o->hash), t, o);
}

static void pull_end(struct hot_view *v)
{
	hot_remote_drop(v->pull.from, v->pull.hold);
	v->pull.open = false;
}

/* An own object that is as new stays. */
static bool is_news(struct hot_view *v, const struct object *o)
{
	struct cache_key key = {.hash = o->hash, .text = object_key(o)};
	const struct object *have = hot_peek(v->own, &key);

	if (have == NULL || have->response_ms < o->response_ms || have->expires_ms < o->expires_ms)
		return true;
	/* Lists of variants have no time. */
	return (o->flags & OBJECT_VARY) != 0 && !span_eq(object_fields(have), object_fields(o));
}

static bool pull_begin(struct hot_view *v)
{
	struct pull *p = &v->pull;
	struct hot_offer offer;

	if (!hot_offers_take(&v->offers, &offer))
		return false;
	p->from = offer.l0 ? &v->peers[offer.core].l0 : &v->peers[offer.core].own;
	const struct object *o = hot_remote_at(p->from, offer.hash, offer.place, &p->hold);
	if (o == NULL) {
		v->counts.gone++;
		return true;
	}
	p->open = true;
	p->o = *o; /* look-ups in that table go on */
	if (!is_news(v, o) || hot_fill_begin(v->own, &p->fill, o, o->body_len) != ST_OK) {
		v->counts.gone++;
		pull_end(v);
	}
	return true;
}

static uint32_t pull_step(struct hot_view *v, uint32_t room)
{
	struct pull *p = &v->pull;
	struct span body = object_body(&p->o);
	uint32_t n = (uint32_t)min_u64(body.len - p->fill.written, room);

	(void)hot_fill_append(v->own, &p->fill, span_of(body.ptr + p->fill.written, n));
	if (p->fill.written < body.len)
		return n;
	if (hot_fill_commit(v->own, &p->fill) != NULL)
		v->counts.taken++;
	else
		v->counts.gone++;
	pull_end(v);
	return n;
}

uint32_t hot_view_poll(struct hot_view *v)
{
	uint32_t room = HOT_SHARE_STEP;
	uint32_t did = 0;

	if (v->cores == 1)
		return 0;
	/* Each object counts a little beyond its bytes, so that many small ones end a poll too. */
	while (room > 0 && (v->pull.open || pull_begin(v))) {
		uint32_t cost = v->pull.open ? pull_step(v, room) + 512 : 512;

		room -= min_u32(room, cost);
		did++;
	}
	return did;
}
