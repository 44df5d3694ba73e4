/* SPDX-License-Identifier: BSD-2-Clause
 *
 * May a stored response answer this request (RFC 9111), and is there one? */
#include "dataplane/path.h"

#include "cache/rule.h"

/* What is asked besides is looked at first: its fields lie where TCP has them. */
static NOINLINE enum req_next serve_asked(struct core *core, struct req *req,
                                          const struct object *o)
{
	struct asked_answer a;

	asked_of(o, req->method, &core->http->fields, &a);
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_asked(core, req, o, &a);
}

static NOINLINE void rule_served(struct core *core, struct req *req)
{
	if (unlikely(req->pattern))
		pattern_hit(core, req);
	else
		req_rule_count(core, req, req->stale ? RULE_STALE : RULE_HIT);
}

static enum req_next serve(struct core *core, struct req *req, const struct object *o)
{
	counter_inc(core->ctr, CTR_cache_hit);
	if (unlikely(core->found.where != HOT_OWN))
		counter_inc(core->ctr,
		            core->found.where == HOT_L0 ? CTR_cache_hit_l0 : CTR_cache_hit_remote);
	if (unlikely(req->route->rule != 0))
		rule_served(core, req);
	if (unlikely(req->asks))
		return serve_asked(core, req, o);
	tcp_rx_consume(core->tcp, req->conn, req_bytes(core, req));
	return reply_object(core, req, o);
}

static NOINLINE enum req_next serve_stale(struct core *core, struct req *req,
                                          const struct object *o, enum cache_use use)
{
	switch (use) {
	case CACHE_USE_REFRESH:
		req->stale = STALE_WHILE;
		counter_inc(core->ctr, CTR_cache_stale_while);
		refresh_ask(core, req, o);
		break;
	case CACHE_USE_STALE:
		req->stale = STALE_CLIENT;
		counter_inc(core->ctr, CTR_cache_stale_client);
		break;
	default:
		req->stale = STALE_ERROR;
		counter_inc(core->ctr, CTR_cache_stale_error);
	}
	return serve(core, req, o);
}

/* RFC 9111 5.2.1.7: the client wants no answer that has to be fetched, and there is no other. */
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

static void count_rule_once(struct core *core, const struct req *req, enum rule_result what)
{
	if (!req->parked)
		req_rule_count(core, req, what);
}

/* Nothing may be taken from or put into the cache. */
static enum req_next bypass(struct core *core, struct req *req, struct span why)
{
	if (req->cache.only_if_cached)
		return only_cached(core, req);
	count_once(core, req, CTR_cache_bypass);
	count_rule_once(core, req, RULE_BYPASS);
	req->cache.lookup = false;
	req->cache.store = false;
	req->asks = false; /* the origin sees it */
	req->fwd = why;
	req->stage = REQ_SUBMIT;
	return REQ_NEXT;
}

/* POST is for a cache where the rule's key is made of its body; conditions on it are not. */
static bool method_cached(const struct core *core, const struct req *req)
{
	const struct http_request *h = core->http;

	if (likely(h->method == HTTP_GET || h->method == HTTP_HEAD))
		return true;
	return h->method == HTTP_POST && req->rule.keyed_body && !(h->fields.seen & REQ_ASKS);
}

/* Its bytes stay unread; it is parsed again when there are more. */
static enum req_next body_wait(struct req *req)
{
	req->stage = REQ_READ;
	req->parser = (struct http_parser){0};
	return REQ_MORE;
}

enum req_next req_prepare(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;
	struct cache_key *key = &core->turn->key;
	bool body = h->framing.kind != HTTP_BODY_NONE;

	cache_rule_of(req->route, &req->rule);
	cache_request_policy(h->method, &h->fields, &req->rule, &req->cache);
	if (!method_cached(core, req) || unlikely(req->purge))
		return bypass(core, req, SPAN_LIT("method"));
	if ((body && h->method != HTTP_POST) || (!req->cache.lookup && !req->cache.store))
		return bypass(core, req,
		              req->rule.mode == CACHE_OFF ? SPAN_LIT("bypass")
		                                          : SPAN_LIT("request"));
	if (unlikely(body) && !req_key_ready(core, req))
		return body_wait(req);
	if (req_key(core, req, key) != KEY_OK)
		return bypass(core, req, SPAN_LIT("bypass"));

	if (unlikely(req->route->rule != 0) && req_key_says_who(core, req))
		req->cache.authorized = false;
	req->asks = (h->fields.seen & REQ_ASKS) != 0;
	req->key_hash = key->hash;
	hot_view_prefetch(core->view, key->hash);
	req->stage = REQ_LOOKUP;
	return REQ_NEXT;
}

/* No response, but a list of variants or a remark: the variant, or NULL. */
static NOINLINE const struct object *behind(struct core *core, struct req *req,
                                            const struct object *o)
{
	if (o->flags & OBJECT_VARY) {
		o = variant_get(core, o);
		count_once(core, req, o != NULL ? CTR_cache_vary_hit : CTR_cache_vary_miss);
		req->fwd = SPAN_LIT("vary-miss");
	}
	if (o == NULL || (o->flags & (OBJECT_VARY | OBJECT_PASS)) == 0)
		return o;
	req->fwd = SPAN_LIT("miss");
	if ((o->flags & OBJECT_PASS) && object_is_fresh(o, core->wall_ms)) {
		req->pass = true;
		count_once(core, req, CTR_cache_pass);
	}
	return NULL;
}

/* It goes to control. */
static enum req_next forward(struct core *core, struct req *req)
{
	count_rule_once(core, req, RULE_MISS);
	/* What is shared is not found by the request's key alone, when control fails. */
	if (unlikely(req->pattern))
		req->on_error = req->pattern = false;
	/* Control's stores may have it. */
	if (unlikely(req->cache.only_if_cached) && (core->chan.epoch == 0 || !req->cache.lookup))
		return only_cached(core, req);
	/* What is not for sharing, or too large, is not fetched whole for a part of it. */
	if (unlikely(req->cache.range) && req->pass)
		req->cache.store = false;
	if (unlikely(req->asks) && !asked_keep(&req->asked, &core->http->fields)) {
		/* Too much to keep: the origin answers it, and what it says is passed on. */
		req->cache.lookup = false;
		req->cache.store = false;
		req->asks = false;
	}
	req->stage = REQ_SUBMIT;
	return REQ_NEXT;
}

static bool may_share(const struct core *core, const struct req *req)
{
	const struct snap_rule *rule = key_rule(core->snap, req->route);

	return unlikely(rule != NULL) && unlikely(rule->flags & RULE_PATTERN) && !req->pass;
}

static enum req_next lookup(struct core *core, struct req *req)
{
	const struct object *o = hot_view_get(core->view, &core->turn->key, &core->found);
	enum cache_use use;

	req->fwd = SPAN_LIT("uri-miss");
	if (likely(o != NULL) && unlikely(o->flags & (OBJECT_VARY | OBJECT_PASS)))
		o = behind(core, req, o);
	if (unlikely(o == NULL || !object_is_fresh(o, core->wall_ms)) && may_share(core, req))
		o = pattern_instead(core, req, o);
	if (o == NULL) {
		count_once(core, req, CTR_cache_miss);
		return forward(core, req);
	}
	use = cache_use(o, &req->cache, core->wall_ms);
	/* The question for a refresh has no room for a body. */
	if (unlikely(use == CACHE_USE_REFRESH && req->method == HTTP_POST))
		use = CACHE_USE_NOT;
	if (likely(use == CACHE_USE_FRESH))
		return serve(core, req, o);
	req->on_error = cache_use_on_error(o, &req->cache, core->wall_ms);
	if (use != CACHE_USE_NOT || (core->chan.epoch == 0 && req->on_error))
		return serve_stale(core, req, o, use);
	req->fwd = SPAN_LIT("request");
	if (!req->cache.lookup) {
		count_once(core, req, CTR_cache_miss);
	} else {
		count_once(core, req, CTR_cache_stale);
		if (!object_is_fresh(o, core->wall_ms))
			req->fwd = SPAN_LIT("stale");
	}
	return forward(core, req);
}

enum req_next req_lookup(struct core *core, struct req *req)
{
	enum req_next next = lookup(core, req);

	/* What is still being sent of another core's object has a pin by now. */
	if (unlikely(core->found.where == HOT_REMOTE))
		hot_view_done(core->view, &core->found);
	return next;
}
