/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which upstream and cache rule a request means. A core names route and upstream by index in the
 * snapshot that it used, so that snapshot's tables are kept: the present one, the one before (cores
 * change over one by one, and requests are on their way), and during a reload the next one.
 *
 * An id that is none of these comes from a dataplane that was started with another file. What its
 * indices mean cannot be known: in the present tables they may name another origin, whose answer
 * would be stored under the wrong host. So the answer is 503, and the dataplane is sent the present
 * configuration. */
#include "cache/rule.h"
#include "control/fetch_internal.h"

#include <stdlib.h>

static_assert((int)CODING_BR == CONFIG_CODING_BR && (int)CODING_ZSTD == CONFIG_CODING_ZSTD &&
                      (int)CODING_GZIP == CONFIG_CODING_GZIP &&
                      (int)CODING_COUNT == CONFIG_CODING_COUNT,
              "the same order");

static void plan_free(struct plan *p)
{
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->up_count; i++)
		upstream_unref(p->ups[i]);
	free(p->ups);
	free(p->snap);
	free(p);
}

static struct plan *plan_new(struct fetcher *f, const struct snapshot *snap,
                             const struct config *cfg)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->id = snap->id;
	p->snap = malloc(snap->total_bytes);
	p->ups = calloc(max_u32(1, cfg->upstreams_count), sizeof(struct upstream *));
	if (p->snap == NULL || p->ups == NULL)
		goto fail;
	memcpy(p->snap, snap, snap->total_bytes);
	for (uint32_t i = 0; i < cfg->upstreams_count; i++) {
		p->ups[i] = upstream_find(f->ctl->upstreams, cfg->upstreams[i].name);
		if (p->ups[i] == NULL)
			goto fail;
		p->up_count++;
	}
	return p;

fail:
	plan_free(p);
	return NULL;
}

enum status fetcher_plan_add(struct fetcher *f, const struct snapshot *snap,
                             const struct config *cfg)
{
	struct plan *p = plan_new(f, snap, cfg);

	if (p == NULL)
		return ST_NOMEM;
	plan_free(f->plan_next);
	f->plan_next = p;
	return ST_OK;
}

void fetcher_plan_commit(struct fetcher *f)
{
	if (f->plan_next == NULL)
		return;
	plan_free(f->plan_before);
	f->plan_before = f->plan_now;
	f->plan_now = f->plan_next;
	f->plan_next = NULL;
	patterns_reset(f->patterns);
}

void fetcher_plan_drop(struct fetcher *f)
{
	plan_free(f->plan_next);
	f->plan_next = NULL;
}

void plans_destroy(struct fetcher *f)
{
	plan_free(f->plan_next);
	plan_free(f->plan_now);
	plan_free(f->plan_before);
}

static bool plan_read(const struct plan *p, const struct chan_request *cr, struct plan_choice *out)
{
	const struct snap_route *routes =
	        (const struct snap_route *)(const void *)((const char *)p->snap +
	                                                  p->snap->routes_off);
	const struct snap_route *r;

	if (cr->route >= p->snap->route_count || cr->upstream >= p->up_count)
		return false;
	r = &routes[cr->route];
	if (r->upstream != cr->upstream)
		return false;
	out->upstream = p->ups[cr->upstream];
	cache_rule_of(r, &out->rule);
	out->offers = (struct codings){0};
	while (out->offers.count < CODINGS_MAX && r->codings[out->offers.count] != 0) {
		out->offers.at[out->offers.count] = r->codings[out->offers.count];
		out->offers.count++;
	}
	memcpy(out->levels, r->levels, sizeof(out->levels));
	return true;
}

bool plan_codes(const struct fetcher *f, const struct chan_request *cr, struct response_codes *out)
{
	const struct snapshot *s = plan_snapshot(f, cr->snapshot_id);
	const struct snap_route *r;

	if (s == NULL || cr->route >= s->route_count)
		return false;
	r = (const struct snap_route *)(const void *)((const char *)s + s->routes_off) + cr->route;
	*out = (struct response_codes){
	        .types = snapshot_text(s, r->types_off, r->types_len),
	        .min_bytes = r->code_min_bytes,
	        .max_bytes = r->code_max_bytes,
	};
	return r->codings[0] != CONFIG_CODING_NONE;
}

const struct snapshot *plan_snapshot(const struct fetcher *f, uint64_t id)
{
	const struct plan *plans[] = {f->plan_now, f->plan_next, f->plan_before};

	for (size_t i = 0; i < ARRAY_LEN(plans); i++)
		if (plans[i] != NULL && plans[i]->id == id)
			return plans[i]->snap;
	return NULL;
}

bool plan_choose(struct fetcher *f, const struct chan_request *cr, struct plan_choice *out)
{
	const struct plan *plans[] = {f->plan_now, f->plan_next, f->plan_before};

	for (size_t i = 0; i < ARRAY_LEN(plans); i++)
		if (plans[i] != NULL && plans[i]->id == cr->snapshot_id)
			return plan_read(plans[i], cr, out);
	f->counts.plan_unknown++;
	chan_server_push_config(f->ctl->chan);
	return false;
}
