/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/warm_key.h"

#include "cache/key_program.h"
#include "cache/rule.h"
#include "cache/vary.h"

#include <stdlib.h>

/* --- fields --- */

/* Proves who asks, whatever the configuration says. */
static bool field_secret(const struct snapshot *s, const struct http_field *f)
{
	const struct span proxy = SPAN_LIT("Proxy-Authorization");
	const struct rule_text *creds =
	        (const struct rule_text *)(const void *)((const char *)s + s->rules.creds_off);

	if (f->id == HDR_AUTHORIZATION || f->id == HDR_COOKIE || span_eq_nocase(f->name, proxy))
		return true;
	for (uint32_t i = 0; i < s->rules.cred_count; i++)
		if (span_eq_nocase(f->name, snapshot_text(s, creds[i].off, creds[i].len)))
			return true;
	return false;
}

/* Of a hop, or a claim of a proxy before us: a core takes them out, and an origin would believe
 * them. */
static bool field_hop(const struct http_field *f)
{
	return http_hdr_is_hop(f->id) || f->id == HDR_HOST || f->id == HDR_EXPECT ||
	       f->id == HDR_FORWARDED || f->id == HDR_X_FORWARDED_HOST ||
	       f->id == HDR_X_FORWARDED_PORT || f->id == HDR_X_FORWARDED_SERVER ||
	       f->id == HDR_X_FORWARDED_FOR || f->id == HDR_X_FORWARDED_PROTO;
}

static const char *fields_wrong(const struct snapshot *s, const struct http_fields *fs)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		if (field_secret(s, &fs->f[i]))
			return "it has a field that proves who asks, and such answers are not "
			       "warmed; take the field out";
		if (field_hop(&fs->f[i]))
			return "it has a field that says who is asked or by which way; take it out";
	}
	return NULL;
}

/* --- requests --- */

struct maker {
	struct route_match match;
	struct cache_key key;
	char key_text[CACHE_KEY_MAX];
};

static const char *route_find(const struct snapshot *s, const struct warm_line *l, struct maker *m)
{
	struct span host = request_route_host(l->host);

	switch (snapshot_route(s, host, l->path, HTTP_GET, &m->match)) {
	case ROUTE_FOUND:
		return NULL;
	case ROUTE_NO_HOST:
		return "no route has this host; see `routes` in the configuration";
	case ROUTE_NO_PATH:
		return "no route of this host has this path; see `routes` in the configuration";
	default:
		return "the route of this path does not take GET; take the line out";
	}
}

static const char *key_make(const struct snapshot *s, uint64_t seed, const struct warm_line *l,
                            struct maker *m)
{
	const struct snap_rule *rule = key_rule(s, m->match.route);
	enum key_status st = KEY_OK;

	if (rule != NULL) {
		struct key_input in = {
		        .route = m->match.route,
		        .fields = &l->fields,
		        .host = request_key_host(l->host),
		        .path = l->path,
		        .query = l->query,
		        .method = HTTP_GET,
		        .params = m->match.params,
		        .param_count = m->match.param_count,
		        .seed = seed,
		};

		st = key_program_run(s, &rule->key, &in, m->key_text, &m->key);
	} else if (!cache_key_default(m->key_text, request_key_host(l->host), l->path, l->query,
	                              seed, &m->key)) {
		st = KEY_TOO_LONG;
	}
	if (st == KEY_OK)
		return NULL;
	return st == KEY_TOO_LONG
	               ? "its cache key would be longer than 2048 bytes; take the line out"
	               : "the route's rule makes no key of it; `sluicectl cache explain` tells "
	                 "more";
}

/* What the route and the request's own Cache-Control allow. */
static const char *policy_check(const struct snap_route *route, const struct warm_line *l)
{
	struct cache_rule rule;
	struct cache_request asks;

	cache_rule_of(route, &rule);
	cache_request_policy(HTTP_GET, &l->fields, &rule, &asks);
	if (rule.mode == CACHE_OFF)
		return "its route is not cached (cache.mode: off); take the line out";
	if (!asks.store || !asks.lookup || asks.range)
		return "its fields forbid a stored answer; take Cache-Control, Range and the like "
		       "out";
	return NULL;
}

static struct request *wire_make(const struct snapshot *s, const struct warm_line *l,
                                 const struct maker *m)
{
	const struct span method = SPAN_LIT("GET");
	const struct span texts[] = {m->key.text, method, l->host, l->target,
	                             span_of(l->text, l->fields_len)};
	struct chan_request wire = {
	        .snapshot_id = s->id,
	        .key_lo = m->key.hash.lo,
	        .key_hi = m->key.hash.hi,
	        .route = (uint16_t)m->match.index,
	        .upstream = m->match.route->upstream,
	        .method = HTTP_GET,
	        .minor = 1,
	        .flags = CHAN_REQ_STORE | CHAN_REQ_COLLAPSE,
	        .key_len = (uint16_t)m->key.text.len,
	        .method_len = (uint16_t)method.len,
	        .host_len = (uint16_t)l->host.len,
	        .target_len = (uint32_t)l->target.len,
	        .fields_len = (uint32_t)l->fields_len,
	};
	struct request *r;
	size_t len = sizeof(wire);
	char *bytes;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		len += texts[i].len;
	bytes = malloc(len);
	if (bytes == NULL)
		return NULL;
	memcpy(bytes, &wire, sizeof(wire));
	len = sizeof(wire);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].len > 0)
			memcpy(bytes + len, texts[i].ptr, texts[i].len);
		len += texts[i].len;
	}
	r = request_read(bytes, (uint32_t)len, false);
	free(bytes);
	return r;
}

struct request *warm_request(const struct snapshot *s, uint64_t seed, const struct warm_line *line,
                             const char **wrong)
{
	struct request *r = NULL;
	struct maker m;

	*wrong = fields_wrong(s, &line->fields);
	if (*wrong == NULL)
		*wrong = route_find(s, line, &m);
	if (*wrong == NULL)
		*wrong = policy_check(m.match.route, line);
	if (*wrong == NULL)
		*wrong = key_make(s, seed, line, &m);
	if (*wrong == NULL) {
		r = wire_make(s, line, &m);
		if (r == NULL)
			*wrong = "it makes no request; look at its host and its path";
	}
	return r;
}

/* --- lines --- */

/* Does the rule's key read the field? */
static bool rule_reads(const struct snapshot *s, const struct snap_rule *rule,
                       const struct http_field *f)
{
	const struct rule_op *ops =
	        (const struct rule_op *)(const void *)((const char *)s + rule->key.ops_off);
	const struct rule_text none = {0, 0};

	for (uint32_t i = 0; i < rule->key.op_count; i++) {
		struct rule_text name = none;

		if (ops[i].code != RULE_OP_LOAD && ops[i].code != RULE_OP_SCOPE)
			continue;
		if (ops[i].a == RULE_HEADER)
			name = (struct rule_text){ops[i].off, ops[i].len};
		else if (ops[i].a == RULE_TENANT)
			name = s->rules.tenant;
		else if (ops[i].a == RULE_USER)
			name = s->rules.user;
		else if (ops[i].a == RULE_POLICY)
			name = s->rules.policy;
		if (name.len > 0 && span_eq_nocase(f->name, snapshot_text(s, name.off, name.len)))
			return true;
	}
	return false;
}

/* names: divided by ','; with codings that Sluice makes behind '=' (vary_offer). Then the answer
 * itself is what is asked for, in no coding. */
static bool list_names(struct span names, struct span name)
{
	const char *offers = names.len > 0 ? memchr(names.ptr, '=', names.len) : NULL;

	if (offers != NULL && span_eq_nocase(name, SPAN_LIT("Accept-Encoding")))
		return false;
	if (offers != NULL)
		names.len = (size_t)(offers - names.ptr);
	while (names.len > 0) {
		const char *comma = memchr(names.ptr, ',', names.len);
		size_t len = comma != NULL ? (size_t)(comma - names.ptr) : names.len;

		if (span_eq_nocase(span_of(names.ptr, len), name))
			return true;
		len += comma != NULL;
		names = span_of(names.ptr + len, names.len - len);
	}
	return false;
}

struct text {
	char *at;
	char *end;
	bool full;
};

static void text_put(struct text *t, struct span s)
{
	if (t->full || s.len > (size_t)(t->end - t->at)) {
		t->full = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->at, s.ptr, s.len);
	t->at += s.len;
}

static void line_write(const struct snapshot *s, const struct request *r, struct span names,
                       struct text *t)
{
	const struct snap_route *routes =
	        (const struct snap_route *)(const void *)((const char *)s + s->routes_off);
	const struct snap_rule *rule = NULL;
	struct http_fields fs;
	size_t pos = 0;

	if (r->wire.route < s->route_count)
		rule = key_rule(s, &routes[r->wire.route]);
	http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, &fs);
	text_put(t, SPAN_LIT("GET http://"));
	text_put(t, r->host);
	text_put(t, r->target);
	for (uint32_t i = 0; i < fs.count; i++) {
		const struct http_field *f = &fs.f[i];

		if (field_secret(s, f) || field_hop(f) ||
		    !(list_names(names, f->name) || (rule != NULL && rule_reads(s, rule, f))))
			continue;
		text_put(t, SPAN_LIT("\t"));
		text_put(t, f->name);
		text_put(t, SPAN_LIT(": "));
		text_put(t, f->value);
	}
}

/* Does the line lead to the key again? What was left out may have been part of it. */
static bool leads_to(const struct snapshot *s, uint64_t seed, struct span line, struct span key,
                     const struct object *list)
{
	struct warm_line *l = malloc(sizeof(*l));
	char text[CACHE_KEY_MAX];
	struct request *r = NULL;
	struct cache_key variant;
	const char *wrong;
	bool same = false;

	if (l != NULL && warm_line_read(line, l, &wrong) == WARM_LINE_REQUEST)
		r = warm_request(s, seed, l, &wrong);
	if (r != NULL && list == NULL) {
		same = span_eq(r->key, key);
	} else if (r != NULL) {
		struct cache_key first = {{r->wire.key_lo, r->wire.key_hi}, r->key};

		same = vary_key(text, &first, list, &l->fields, seed, &variant) &&
		       span_eq(variant.text, key);
	}
	free(r);
	free(l);
	return same;
}

bool warm_line_of(const struct snapshot *s, uint64_t seed, const struct request *r, struct span key,
                  const struct object *list, char out[WARM_LINE_MAX], size_t *len)
{
	struct text t = {.at = out, .end = out + WARM_LINE_MAX};
	struct span names = span_of(NULL, 0);
	uint64_t id;

	if (r->method != HTTP_GET || r->has_body || r->conditional ||
	    (r->wire.flags & CHAN_REQ_AUTHORIZED) != 0 || r->wire.snapshot_id != s->id ||
	    (list != NULL && !vary_list_read(list, &id, &names)))
		return false;
	line_write(s, r, names, &t);
	*len = (size_t)(t.at - out);
	return !t.full && leads_to(s, seed, span_of(out, *len), key, list);
}
