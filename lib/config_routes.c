/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules of routes. */
#include "lib/config_private.h"
#include "lib/http1.h"
#include "lib/snapshot_format.h"

#include <stdlib.h>
#include <strings.h>

struct routes {
	const struct doc *doc;
	const struct config *cfg;
	struct config_error *err;
	const struct doc_node *item; /* of the route being checked */
	uint32_t *methods;           /* of each route, as bits */
	uint64_t *shapes;            /* of each route: see route_shape */
	char path[DOC_MAX_PATH];
};

static const struct doc_node *route_at(const struct routes *r, const char *key)
{
	const struct doc_node *node = doc_key(r->item, key);

	return node ? node : r->item;
}

static enum status bad_text(struct routes *r, const struct doc_node *node, const char *text,
                            const char *wrong)
{
	return doc_error(r->doc, node, r->err, "%s '%.60s' %s", doc_path(node, r->path), text,
	                 wrong);
}

static enum status check_methods(struct routes *r, unsigned i)
{
	const struct config_route *route = &r->cfg->routes[i];
	const struct doc_node *list = route_at(r, "methods");

	for (unsigned k = 0; k < route->methods_count; k++) {
		uint32_t bits = http_method_bits(span_cstr(route->methods[k]));
		const char *wrong = NULL;

		if (bits == 1u << HTTP_TRACE)
			wrong = "is not served: it would echo credentials (RFC 9110 9.3.8); "
			        "remove it";
		else if (bits == 1u << HTTP_CONNECT)
			wrong = "is not served: Sluice is no tunnel (RFC 9110 9.3.6); remove it";
		else if (bits == 1u << HTTP_OTHER)
			wrong = "is not a method that routes take; write GET, HEAD, POST, PUT, "
			        "PATCH, DELETE, OPTIONS or one of RFC 4918, in capitals, or \"*\" "
			        "for every method";
		else if (r->methods[i] & bits)
			wrong = "is in the list twice; remove one";
		if (wrong)
			return bad_text(r, doc_item(list, k), route->methods[k], wrong);
		r->methods[i] |= bits;
	}
	return ST_OK;
}

static enum status check_upstream(struct routes *r, unsigned i)
{
	const char *name = r->cfg->routes[i].upstream;
	struct doc_guess g = {.distance = UINT32_MAX};

	for (unsigned k = 0; k < r->cfg->upstreams_count; k++) {
		if (strcmp(r->cfg->upstreams[k].name, name) == 0)
			return ST_OK;
		doc_guess_try(&g, span_cstr(name), r->cfg->upstreams[k].name);
	}
	if (g.word)
		return doc_error(
		        r->doc, route_at(r, "upstream"), r->err,
		        "routes[%u].upstream is '%.60s', which is no upstream; did you mean "
		        "'%s'?",
		        i, name, g.word);
	return doc_error(r->doc, route_at(r, "upstream"), r->err,
	                 "routes[%u].upstream is '%.60s', which is no upstream; the first one is "
	                 "named '%s'",
	                 i, name, r->cfg->upstreams[0].name);
}

/* Has the route a method whose answers write through, and a cache that they could go to? */
static enum status check_writes(struct routes *r, unsigned i)
{
	const uint32_t writes = 1u << HTTP_PUT | 1u << HTTP_PATCH | 1u << HTTP_POST;
	const struct config_route *route = &r->cfg->routes[i];
	const struct doc_node *node = doc_key(route_at(r, "cache"), "write_through");

	if (route->cache.write_through == WRITE_THROUGH_OFF)
		return ST_OK;
	if ((r->methods[i] & writes) == 0)
		return doc_key_error(r->doc, node, r->err,
		                     "routes[%u].cache.write_through is for PUT, PATCH and POST, "
		                     "which the route does not take; remove it or add one to "
		                     "methods",
		                     i);
	if (route->cache.mode == CONFIG_CACHE_OFF)
		return doc_key_error(r->doc, node, r->err,
		                     "routes[%u].cache.write_through stands beside mode 'off'; "
		                     "remove one of them",
		                     i);
	return ST_OK;
}

static enum status check_cache(struct routes *r, unsigned i)
{
	const struct config_cache *cache = &r->cfg->routes[i].cache;
	const struct doc_node *section = route_at(r, "cache");
	const struct doc_node *ttl = doc_key(section, "ttl_s");

	if (cache->mode == CONFIG_CACHE_TTL && cache->ttl_s == 0)
		return doc_error(r->doc, ttl ? ttl : section, r->err,
		                 "routes[%u].cache has mode 'ttl' and no lifetime; add ttl_s of at "
		                 "least 1",
		                 i);
	if (cache->mode != CONFIG_CACHE_TTL && ttl)
		return doc_key_error(r->doc, ttl, r->err,
		                     "routes[%u].cache.ttl_s is for mode 'ttl' only; remove it or "
		                     "write mode: ttl",
		                     i);
	return check_writes(r, i);
}

static bool is_param(struct span seg)
{
	return seg.len > 0 && seg.ptr[0] == '{';
}

/* Do two patterns take the same paths? Names of parameters play no part. */
static bool patterns_equal(const char *a, const char *b)
{
	struct span rest_a = span_cstr(a), rest_b = span_cstr(b), seg_a, seg_b;

	while (path_segment_next(&rest_a, &seg_a)) {
		if (!path_segment_next(&rest_b, &seg_b) || is_param(seg_a) != is_param(seg_b))
			return false;
		if (!is_param(seg_a) && !span_eq(seg_a, seg_b))
			return false;
	}
	return rest_b.len == 0;
}

/* Equal for routes of equal host and pattern: with thousands of routes, comparing every pair in
 * full would hold control up. */
static uint64_t route_shape(const struct config_route *route)
{
	struct span rest = span_cstr(route->path), seg;
	uint64_t shape = 0;

	for (const char *c = route->host; *c != '\0'; c++)
		shape = (shape ^ (unsigned char)ascii_lower(*c)) * 0x100000001b3ull; /* FNV-1a */
	while (path_segment_next(&rest, &seg))
		shape = is_param(seg) ? hash64("{}", 2, ~shape) : hash64(seg.ptr, seg.len, shape);
	return shape;
}

/* Among equals the first one wins: is anything left for this route? */
static enum status check_reachable(struct routes *r, unsigned i)
{
	const struct config_route *route = &r->cfg->routes[i];
	uint32_t taken = 0;
	unsigned last = 0;

	r->shapes[i] = route_shape(route);
	for (unsigned k = 0; k < i; k++) {
		const struct config_route *other = &r->cfg->routes[k];

		if (r->shapes[k] != r->shapes[i] || strcasecmp(other->host, route->host) != 0 ||
		    !patterns_equal(other->path, route->path))
			continue;
		taken |= r->methods[k];
		last = k;
	}
	if (taken & (1u << HTTP_GET))
		taken |= 1u << HTTP_HEAD;
	if ((r->methods[i] & ~taken) != 0)
		return ST_OK;
	return doc_error(r->doc, r->item, r->err,
	                 "routes[%u] can never be used: routes[%u] takes the same host, path and "
	                 "methods; remove it, or change one of the two",
	                 i, last);
}

static enum status check_route(struct routes *r, unsigned i)
{
	const struct config_route *route = &r->cfg->routes[i];
	const char *wrong = config_check_route_host(route->host);
	enum status st;

	if (wrong)
		return bad_text(r, route_at(r, "host"), route->host, wrong);
	wrong = config_check_pattern(route->path);
	if (wrong)
		return bad_text(r, route_at(r, "path"), route->path, wrong);
	st = check_methods(r, i);
	if (st == ST_OK)
		st = check_upstream(r, i);
	if (st == ST_OK)
		st = check_cache(r, i);
	return st == ST_OK ? check_reachable(r, i) : st;
}

enum status config_check_routes(const struct doc *doc, const struct config *cfg,
                                struct config_error *err)
{
	struct routes r = {.doc = doc, .cfg = cfg, .err = err};
	enum status st = ST_OK;

	r.methods = calloc(cfg->routes_count, sizeof(*r.methods));
	r.shapes = calloc(cfg->routes_count, sizeof(*r.shapes));
	r.item = doc_item(doc_key(doc->root, "routes"), 0);
	if (!r.methods || !r.shapes) {
		(void)doc_error(doc, NULL, err, "out of memory");
		st = ST_NOMEM;
	}
	for (unsigned i = 0; i < cfg->routes_count && st == ST_OK; i++, r.item = r.item->next)
		st = check_route(&r, i);
	free(r.methods);
	free(r.shapes);
	return st;
}
