/* SPDX-License-Identifier: BSD-2-Clause
 *
 * May a stored response answer this request (RFC 9111), and is there one? */
#include "cache/rule.h"
#include "dataplane/path.h"

static enum req_next serve(struct core *core, struct req *req, const struct object *o)
{
	counter_inc(core->ctr, CTR_cache_hit);
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_object(core, req, o);
}

/* RFC 9111 5.2.1.7: the client wants no answer that has to be fetched. */
static enum req_next only_cached(struct core *core, struct req *req)
{
	if (core->http->framing.kind != HTTP_BODY_NONE)
		req->keep_alive = false;
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_error(core, req, 504);
}

/* A request that waits for room is looked up anew each time it is tried. */
static void count_once(struct core *core, const struct req *req, enum counter_id id)
{
	if (!req->parked)
		counter_inc(core->ctr, id);
}

/* Nothing may be taken from or put into the cache. */
static enum req_next bypass(struct core *core, struct req *req, struct span why)
{
	if (req->cache.only_if_cached)
		return only_cached(core, req);
	count_once(core, req, CTR_cache_bypass);
	req->cache.lookup = false;
	req->cache.store = false;
	req->cond.etags_len = 0;
	req->cond.since_len = 0;
	req->fwd = why;
	req->stage = REQ_SUBMIT;
	return REQ_NEXT;
}

enum req_next req_prepare(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;
	struct cache_key *key = &core->turn->key;
	bool too_long;

	cache_rule_of(req->route, &req->rule);
	cache_request_policy(h->method, &h->fields, &req->rule, &req->cache);
	if (h->method != HTTP_GET && h->method != HTTP_HEAD)
		return bypass(core, req, SPAN_LIT("method"));
	if (h->framing.kind != HTTP_BODY_NONE || (!req->cache.lookup && !req->cache.store))
		return bypass(core, req, SPAN_LIT("bypass"));
	if (!req_key(core, key))
		return bypass(core, req, SPAN_LIT("bypass"));
	req_cond_keep(&req->cond, &h->fields, &too_long);
	if (too_long)
		return bypass(core, req, SPAN_LIT("bypass"));

	req->key_hash = key->hash;
	hot_prefetch(core->hot, key->hash);
	req->stage = REQ_LOOKUP;
	return REQ_NEXT;
}

enum req_next req_lookup(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;
	const struct object *o = hot_get(core->hot, &core->turn->key);

	req->fwd = SPAN_LIT("request");
	if (o != NULL && req->cache.lookup) {
		enum cache_use use = cache_use(o, &req->cache, core->wall_ms);

		/* REFRESH is left to control until this core can ask for a refresh. */
		if (use == CACHE_USE_FRESH || use == CACHE_USE_STALE)
			return serve(core, req, o);
		count_once(core, req, CTR_cache_stale);
		if (!object_is_fresh(o, core->wall_ms))
			req->fwd = SPAN_LIT("stale");
	} else {
		count_once(core, req, CTR_cache_miss);
		if (o == NULL)
			req->fwd = SPAN_LIT("uri-miss");
	}
	if (req->cache.only_if_cached)
		return only_cached(core, req);
	if (!req->cache.store || h->method == HTTP_HEAD) {
		/* The origin sees the conditions itself; what it answers is passed on. */
		req->cache.store = false;
		req->cond.etags_len = 0;
		req->cond.since_len = 0;
	}
	req->stage = REQ_SUBMIT;
	return REQ_NEXT;
}
