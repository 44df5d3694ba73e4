/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache explain: what would happen to a request, and why. The route, the rule, the key and what the
 * request allows are worked out as a core does it, by the same functions; then every tier is asked
 * what it holds under the key. Nothing is changed by that but that it counts as a use. */
#include "cache/key.h"
#include "cache/key_program.h"
#include "cache/policy.h"
#include "cache/read_set.h"
#include "cache/rule.h"
#include "cache/vary.h"
#include "control/admin/admin_cmd.h"
#include "control/chan_link.h"
#include "control/fetch.h"
#include "control/pattern.h"
#include "lib/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX 8192u
#define HOST_MAX   256u

struct explain {
	json_t *out;
	json_t *tiers;
	struct http_fields fields;
	char fields_text[FIELDS_MAX];
	char url[CACHE_KEY_MAX + HOST_MAX];
	char key_text[CACHE_KEY_MAX];
	char variant_text[CACHE_KEY_MAX];
	char front_text[CACHE_KEY_MAX];
	char shared_text[CACHE_KEY_MAX];
	enum http_method method;
	struct span host, path, query;
	struct route_match match;
	struct cache_rule rule;
	struct cache_request asks;
	struct span body; /* ptr NULL: none */
	struct cache_key key;
	struct cache_key shared; /* of an answer that a pattern shares; no text: none */
	bool in_shared;          /* that is what the tiers are asked for now */
	bool answered;           /* some tier would answer */
};

static void explain_free(struct explain *x)
{
	json_decref(x->out);
	json_decref(x->tiers);
	free(x);
}

/* "http://host[:port]/path?query", or without the scheme. False: no such thing. */
static bool url_read(struct explain *x, const char *text)
{
	const char *slash, *mark;
	char *at = x->url;
	size_t len;

	if (strncmp(text, "http://", 7) == 0)
		text += 7;
	else if (strstr(text, "://") != NULL)
		return false;
	if (strlen(text) >= sizeof(x->url))
		return false;
	strcpy(at, text);
	slash = strchr(at, '/');
	len = slash != NULL ? (size_t)(slash - at) : strlen(at);
	if (len == 0 || len >= HOST_MAX)
		return false;
	x->host = span_of(at, len);
	/* The scheme's port is none in a key (RFC 9110 4.2.3). */
	if (len > 3 && memcmp(at + len - 3, ":80", 3) == 0)
		x->host.len -= 3;
	x->path = slash != NULL ? span_cstr(slash) : SPAN_LIT("/");
	mark = memchr(x->path.ptr, '?', x->path.len);
	if (mark != NULL) {
		x->query = span_of(mark + 1, x->path.len - (size_t)(mark + 1 - x->path.ptr));
		x->path.len = (size_t)(mark - x->path.ptr);
	}
	return true;
}

/* Field lines, divided by line ends. */
static bool fields_read(struct explain *x, const char *text)
{
	size_t at = 0, pos = 0;

	for (const char *line = text; line != NULL && *line != '\0';) {
		size_t len = strcspn(line, "\n");

		if (at + len + 4 >= sizeof(x->fields_text))
			return false;
		if (len > 0) {
			memcpy(x->fields_text + at, line, len);
			memcpy(x->fields_text + at + len, "\r\n", 2);
			at += len + 2;
		}
		line += len + (line[len] == '\n');
	}
	memcpy(x->fields_text + at, "\r\n", 2);
	at += 2;
	return http1_scan_fields(x->fields_text, at, &pos, &x->fields) == HTTP_SCAN_DONE &&
	       pos == at;
}

static void say(struct explain *x, const char *name, const char *text)
{
	json_object_set_new(x->out, name, json_string(text));
}

/* False: no route takes it, and that was said. */
static bool route_say(struct explain *x, const struct config *cfg, const struct snapshot *s)
{
	static const char *const results[] = {
	        [ROUTE_NO_HOST] = "404: no route has this host",
	        [ROUTE_NO_PATH] = "404: no route of this host has this path",
	        [ROUTE_NO_METHOD] = "405: no route of this path takes the method",
	};
	enum route_result result = snapshot_route(s, x->host, x->path, x->method, &x->match);

	if (result != ROUTE_FOUND) {
		say(x, "verdict", results[result]);
		return false;
	}
	if (x->match.index < cfg->routes_count) {
		const struct config_route *r = &cfg->routes[x->match.index];

		json_object_set_new(x->out, "route",
		                    json_pack("{s:i, s:s?, s:s?, s:s?}", "index",
		                              (int)x->match.index, "host", r->host, "path", r->path,
		                              "upstream", r->upstream));
		if (r->cache.rule != NULL)
			say(x, "rule", r->cache.rule);
	}
	return true;
}

static void input_make(const struct explain *x, uint64_t seed, struct key_input *in)
{
	*in = (struct key_input){
	        .route = x->match.route,
	        .fields = &x->fields,
	        .host = x->host,
	        .path = x->path,
	        .query = x->query,
	        .body = x->body,
	        .method = x->method,
	        .params = x->match.params,
	        .param_count = x->match.param_count,
	        .seed = seed,
	};
}

/* What a core demands of a body before it makes a key of it. */
static bool body_fits(const struct explain *x, const struct config *cfg)
{
	return x->body.ptr != NULL && x->body.len > 0 &&
	       x->body.len <= cfg->limits.key_body_bytes &&
	       (!http_fields_have(&x->fields, HDR_CONTENT_TYPE) || key_body_is_json(&x->fields));
}

/* The key of the answer that the rule shares with other requests, by the list that the store has.
 */
static void shared_make(struct explain *x, struct control *ctl, uint64_t seed)
{
	const struct snapshot *s = ctl->snapshot;
	const struct snap_rule *rule = key_rule(s, x->match.route);
	struct store *store = fetcher_store(ctl->fetcher);
	struct pattern_state state;
	struct store_entry *e = NULL;
	struct cache_key front;
	struct key_input in;
	struct span names;
	char name[RULE_NAME_MAX + 1] = "";
	bool stale;

	if (rule == NULL || !(rule->flags & RULE_PATTERN) || store == NULL)
		return;
	memcpy(name, snapshot_text(s, rule->name.off, rule->name.len).ptr, rule->name.len);
	pattern_state(ctl->fetcher, name, &state);
	if (state.off) {
		json_object_set_new(x->out, "shared",
		                    json_sprintf("nothing: the rule is off (%s)", state.why));
		return;
	}
	input_make(x, seed, &in);
	if (read_set_front(s, &in, x->front_text, &front) == KEY_OK)
		e = store_peek(store, front.text, &stale);
	if (e != NULL && read_list_read(e->head, &names) &&
	    read_set_key(s, &in, front.text, names, x->shared_text, &x->shared) == KEY_OK)
		json_object_set_new(x->out, "shared", admin_json_bytes(x->shared.text));
	else
		say(x, "shared",
		    "nothing: no answer has said yet what it depends on, or the "
		    "request is not clear in that");
	if (e != NULL)
		store_drop(e);
}

static bool key_make(struct explain *x, const struct control *ctl, uint64_t seed)
{
	const struct snapshot *s = ctl->snapshot;
	const struct snap_rule *rule = key_rule(s, x->match.route);
	enum key_status st = KEY_OK;

	if (rule != NULL) {
		struct key_input in;

		input_make(x, seed, &in);
		st = x->method == HTTP_POST && !body_fits(x, ctl->config)
		             ? KEY_BYPASS
		             : key_program_run(s, &rule->key, &in, x->key_text, &x->key);
	} else if (!cache_key_default(x->key_text, x->host, x->path, x->query, seed, &x->key)) {
		st = KEY_TOO_LONG;
	}
	if (st == KEY_OK) {
		json_object_set_new(x->out, "key", admin_json_bytes(x->key.text));
		return true;
	}
	say(x, "verdict",
	    st == KEY_TOO_LONG
	            ? "past the cache: its key would be too long"
	            : "past the cache: the rule makes no key of it (a field, parameter or JSON "
	              "body that the key needs is missing, given twice, or not allowed)");
	return false;
}

/* What the request and the route's rule allow; false: it goes past the cache, and that was said. */
static bool policy_say(struct explain *x)
{
	static const char *const modes[] = {
	        [CACHE_OFF] = "off", [CACHE_ORIGIN] = "origin", [CACHE_TTL] = "ttl"};

	cache_rule_of(x->match.route, &x->rule);
	cache_request_policy(x->method, &x->fields, &x->rule, &x->asks);
	say(x, "mode", modes[x->rule.mode]);
	json_object_set_new(x->out, "may_use_stored", json_boolean(x->asks.lookup));
	json_object_set_new(x->out, "may_store", json_boolean(x->asks.store));
	if (x->rule.mode == CACHE_OFF)
		say(x, "verdict", "past the cache: the route's cache is off");
	else if (x->method != HTTP_GET && x->method != HTTP_HEAD &&
	         (x->method != HTTP_POST || !x->rule.keyed_body))
		say(x, "verdict",
		    "past the cache: the method; its success voids what is stored of the target");
	else if (!x->asks.lookup && !x->asks.store)
		say(x, "verdict", "past the cache: the request forbids it (Cache-Control)");
	else
		return true;
	return false;
}

static const char *use_name(enum cache_use use)
{
	switch (use) {
	case CACHE_USE_FRESH:
		return "answers: fresh";
	case CACHE_USE_STALE:
		return "answers: stale, as the client allows (max-stale)";
	case CACHE_USE_REFRESH:
		return "answers: stale, and it is fetched anew behind (stale-while-revalidate)";
	default:
		return "does not answer: stale, or the request demands a younger one";
	}
}

static void tier_say(struct explain *x, const char *tier, uint32_t core, const struct object *o)
{
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;
	enum cache_use use = cache_use(o, &x->asks, now_ms);
	const char *what = use_name(use);

	if (o->flags & OBJECT_VARY)
		what = "holds the list of the variants";
	else if (o->flags & OBJECT_PASS)
		what = "holds the remark that answers are not for sharing";
	else if (use != CACHE_USE_NOT)
		x->answered = true;
	json_array_append_new(x->tiers,
	                      json_pack("{s:s, s:b, s:o, s:s, s:i, s:o, s:o}", "tier", tier,
	                                "shared", x->in_shared, "core",
	                                core == UINT32_MAX ? json_null() : json_integer(core),
	                                "what", what, "status", (int)o->status, "age_s",
	                                admin_json_age(o, now_ms), "fresh_ms",
	                                admin_json_left(o, now_ms)));
}

static void hot_take(void *arg, uint32_t core, enum status st, struct span bytes)
{
	if (st == ST_OK && bytes.len > 0 && object_head_valid(bytes.ptr, bytes.len))
		tier_say(arg, "hot", core, (const void *)bytes.ptr);
}

static void store_say(struct explain *x, struct control *ctl, const struct cache_key *key)
{
	struct store *store = fetcher_store(ctl->fetcher);
	char base_text[CACHE_KEY_MAX];
	struct cache_key base;
	struct store_entry *e;
	bool stale;

	if (store == NULL)
		return;
	e = store_peek(store, key->text, &stale);
	if (e != NULL && (e->head->flags & OBJECT_VARY)) {
		struct cache_key variant;

		tier_say(x, "store", UINT32_MAX, e->head);
		bool has = vary_key(x->variant_text, key, e->head, &x->fields, 0, &variant);
		store_drop(e);
		e = has ? store_peek(store, variant.text, &stale) : NULL;
		/* A coded form that is still to be made of the answer. */
		if (has && e == NULL &&
		    vary_key_coded(variant.text, CODING_IDENTITY, 0, base_text, &base))
			e = store_peek(store, base.text, &stale);
		if (has)
			json_object_set_new(x->out, "variant", admin_json_bytes(variant.text));
	}
	if (e == NULL)
		return;
	tier_say(x, "store", UINT32_MAX, e->head);
	store_drop(e);
}

static void finish(struct admin_req *req, void *arg);

static void tiers_ask(struct admin_req *req, struct explain *x, const struct cache_key *key)
{
	struct admin_gather gather = {
	        .kind = CHAN_QUERY_CACHE_GET,
	        .key = key->text,
	        .take = hot_take,
	        .finish = finish,
	        .arg = x,
	};

	admin_gather_start(req, &gather);
}

static void finish(struct admin_req *req, void *arg)
{
	struct explain *x = arg;
	const struct cache_key *key = x->in_shared ? &x->shared : &x->key;

	if (admin_req_control(req) != NULL && key->text.len > 0)
		store_say(x, admin_req_control(req), key);
	if (admin_req_control(req) != NULL && x->shared.text.len > 0 && !x->in_shared) {
		x->in_shared = true;
		tiers_ask(req, x, &x->shared);
		return;
	}
	if (json_object_get(x->out, "verdict") == NULL)
		say(x, "verdict",
		    x->answered ? "answered out of the cache"
		                : "goes to the origin, by the shared store if "
		                  "there is one");
	json_object_set(x->out, "tiers", x->tiers);
	admin_ok(req, json_incref(x->out));
	explain_free(x);
}

void cmd_cache_explain(struct admin_req *req, json_t *args)
{
	struct control *ctl = admin_req_control(req);
	const char *method = admin_arg_string(args, "method");
	const char *data = admin_arg_string(args, "data");
	struct explain *x = calloc(1, sizeof(*x));
	uint64_t seed;

	if (x == NULL) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	x->out = json_object();
	x->tiers = json_array();
	x->method = http_method_parse(span_cstr(method));
	if (x->method == HTTP_OTHER || !url_read(x, admin_arg_string(args, "url")) ||
	    !fields_read(x, admin_arg_string(args, "header"))) {
		admin_fail(
		        req,
		        "For example: sluicectl cache explain GET http://api.test/a -H 'Accept: x'",
		        "The method, the URL or a header field is no good");
		explain_free(x);
		return;
	}
	if (data != NULL)
		x->body = span_cstr(data);
	seed = chan_server_attached(ctl->chan) ? link_hash_seed(ctl->chan) : 0;
	if (!route_say(x, ctl->config, ctl->snapshot) || !policy_say(x) ||
	    !key_make(x, ctl, seed)) {
		finish(req, x);
		return;
	}
	shared_make(x, ctl, seed);
	tiers_ask(req, x, &x->key);
}
