/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cache rules: is each template sound, and does each route that names a rule fit it? What is
 * refused here would otherwise be two requests with one key. */
#include "lib/config_private.h"
#include "lib/http1.h"
#include "lib/key_template.h"
#include "lib/read_name.h"
#include "lib/snapshot_format.h"

#include <stdlib.h>

#define SECRET_MIN 16u

struct cache_rules {
	const struct doc *doc;
	const struct config *cfg;
	struct config_error *err;
	struct template_rule *shared; /* of each rule */
	struct template template;
	char path[DOC_MAX_PATH];
};

static const struct doc_node *node_at(const struct doc_node *item, const char *key)
{
	const struct doc_node *node = doc_key(item, key);

	return node ? node : item;
}

static enum status bad(struct cache_rules *r, const struct doc_node *node, const char *text,
                       const char *wrong)
{
	return doc_error(r->doc, node, r->err, "%s '%.60s' %s", doc_path(node, r->path), text,
	                 wrong);
}

static bool all_of(const char *text, const char *more)
{
	if (text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!(*text >= '0' && *text <= '9') && !(*text >= 'a' && *text <= 'z') &&
		    !(*text >= 'A' && *text <= 'Z') && !strchr(more, *text))
			return false;
	return true;
}

/* --- tables --- */

static int text_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two values with the same front, up to '='? Sorted copies stand side by side. */
static enum status check_twice(struct cache_rules *r, const struct config_table *t,
                               const struct doc_node *list)
{
	char **sorted = calloc(t->values_count, sizeof(*sorted));
	enum status st = ST_OK;

	if (!sorted) {
		(void)doc_error(r->doc, list, r->err, "out of memory");
		return ST_NOMEM;
	}
	memcpy(sorted, t->values, t->values_count * sizeof(*sorted));
	qsort(sorted, t->values_count, sizeof(*sorted), text_order);
	for (unsigned i = 1; i < t->values_count && st == ST_OK; i++) {
		size_t len = strcspn(sorted[i], "=") + 1;

		if (strncmp(sorted[i - 1], sorted[i], len) == 0)
			st = bad(r, list, sorted[i],
			         "says anew what another value has said; remove one");
	}
	free(sorted);
	return st;
}

static enum status check_table(struct cache_rules *r, unsigned i)
{
	const struct config_table *t = &r->cfg->tables[i];
	const struct doc_node *item = doc_item(doc_key(r->doc->root, "tables"), i);
	const struct doc_node *list = node_at(item, "values");

	if (!all_of(t->name, "-_") || strlen(t->name) > RULE_NAME_MAX)
		return bad(r, node_at(item, "name"), t->name,
		           "is no name; write up to 64 letters, digits, '-' and '_'");
	for (unsigned k = 0; k < i; k++)
		if (strcmp(r->cfg->tables[k].name, t->name) == 0)
			return bad(r, node_at(item, "name"), t->name,
			           "is the name of another table; name each differently");
	for (unsigned k = 0; k < t->values_count; k++)
		if (!strchr(t->values[k], '=') || t->values[k][0] == '=')
			return bad(r, doc_item(list, k), t->values[k],
			           "is no \"from=to\"; write for example \"crit=critical\"");
	return check_twice(r, t, list);
}

/* --- identity --- */

static enum status check_field(struct cache_rules *r, const struct doc_node *node, const char *name)
{
	/* RFC 9110 5.6.2 */
	if (name && (!all_of(name, "!#$%&'*+-.^_`|~") || strlen(name) > RULE_NAME_MAX))
		return bad(r, node, name, "is no field name; write for example X-Tenant-Id");
	return ST_OK;
}

static enum status check_identity(struct cache_rules *r)
{
	const struct config_identity *id = &r->cfg->identity;
	const struct doc_node *at = doc_key(r->doc->root, "identity");
	enum status st = check_field(r, node_at(at, "tenant_header"), id->tenant_header);

	if (st == ST_OK)
		st = check_field(r, node_at(at, "user_header"), id->user_header);
	if (st == ST_OK)
		st = check_field(r, node_at(at, "policy_header"), id->policy_header);
	for (unsigned i = 0; i < id->credentials_count && st == ST_OK; i++)
		st = check_field(r, doc_item(doc_key(at, "credentials"), i), id->credentials[i]);
	if (st == ST_OK && id->key_secret && strlen(id->key_secret) < SECRET_MIN)
		return doc_error(r->doc, doc_key(at, "key_secret"), r->err,
		                 "identity.key_secret has fewer than 16 bytes; make one with: "
		                 "openssl rand -hex 16");
	return st;
}

/* --- rules --- */

static enum status template_bad(struct cache_rules *r, const struct doc_node *node,
                                const struct template_error *wrong)
{
	const uint32_t place[2] = {node->line, node->column + node->quoted + wrong->at};

	doc_place_error(r->err, r->doc->name, place, "%s %s", doc_path(node, r->path), wrong->text);
	return ST_INVALID;
}

static enum status check_template(struct cache_rules *r, const struct doc_node *node,
                                  enum template_kind kind, struct template_rule *shared)
{
	uint32_t bodies = shared->body.count;
	uint16_t flags = shared->flags;
	struct template_error wrong;

	if (!template_compile(node->text, kind, shared, &r->template, &wrong))
		return template_bad(r, node, &wrong);
	/* Control makes these, and does not keep what it passes on. */
	if (kind != TEMPLATE_KEY &&
	    (shared->body.count > bodies || (shared->flags & ~flags & RULE_NEEDS_BODY)))
		return bad(r, node, node->text.ptr,
		           "reads the body, which only a key can; use the path, the query or a "
		           "field");
	return ST_OK;
}

static enum status check_templates(struct cache_rules *r, const struct doc_node *list,
                                   enum template_kind kind, struct template_rule *shared)
{
	enum status st = ST_OK;

	for (const struct doc_node *n = list ? list->first : NULL; n && st == ST_OK; n = n->next)
		st = check_template(r, n, kind, shared);
	return st;
}

static enum status check_ignore(struct cache_rules *r, const struct doc_node *item,
                                const struct config_rule *rule, bool all)
{
	const struct doc_node *list = doc_key(item, "ignore_query");

	for (unsigned i = 0; i < rule->ignore_query_count; i++) {
		const char *name = rule->ignore_query[i];
		const char *star = strchr(name, '*');

		if (star && star[1] != '\0')
			return bad(r, doc_item(list, i), name,
			           "has a '*' before its end; write for example utm_*");
		if (star == name && all)
			return bad(r, doc_item(list, i), name,
			           "says that no other parameter matters, but the key has {query}; "
			           "remove one of them");
	}
	return ST_OK;
}

static enum status check_rule_name(struct cache_rules *r, const struct doc_node *item, unsigned i)
{
	const char *name = r->cfg->rules[i].name;

	if (!all_of(name, "-_.") || strlen(name) > RULE_NAME_MAX)
		return bad(r, node_at(item, "name"), name,
		           "is no name; write up to 64 letters, digits, '-', '_' and '.'");
	for (unsigned k = 0; k < i; k++)
		if (strcmp(r->cfg->rules[k].name, name) == 0)
			return bad(r, node_at(item, "name"), name,
			           "is the name of another rule; name each differently");
	return ST_OK;
}

static enum status check_adapts(struct cache_rules *r, const struct doc_node *item,
                                const struct config_rule *rule)
{
	const struct doc_node *node = node_at(item, rule->ttl_max_s ? "ttl_max_s" : "ttl_min_s");

	if (rule->ttl_min_s == 0 && rule->ttl_max_s == 0)
		return ST_OK;
	if (rule->ttl_s >= rule->ttl_min_s && rule->ttl_s > 0 && rule->ttl_s <= rule->ttl_max_s)
		return ST_OK;
	return doc_error(
	        r->doc, node, r->err,
	        "%s: lifetimes that adapt begin with ttl_s, which must be from ttl_min_s to "
	        "ttl_max_s, and at least 1",
	        doc_path(node, r->path));
}

static enum status check_reads(struct cache_rules *r, const struct doc_node *item,
                               const struct config_rule *rule)
{
	const struct doc_node *list = doc_key(item, "reads");
	struct read_names names = {.len = 0};

	if (rule->reads_count > 0 && strcmp(rule->reads[0], "origin") == 0)
		return rule->reads_count == 1
		               ? ST_OK
		               : bad(r, doc_item(list, 1), rule->reads[1],
		                     "stands beside 'origin', which says it alone; remove one");
	for (unsigned i = 0; i < rule->reads_count; i++)
		if (!read_names_add(&names, span_cstr(rule->reads[i])))
			return bad(r, doc_item(list, i), rule->reads[i],
			           "is nothing that an answer can be said to read, or is too "
			           "long with the others; write for example query.page, "
			           "header.accept-language, cookie.lang, path.id, tenant (but "
			           "nothing of a body), or [origin] alone");
	return ST_OK;
}

static enum status check_pattern(struct cache_rules *r, const struct doc_node *item,
                                 const struct config_rule *rule, const struct template_rule *shared)
{
	static const char *const only[] = {"reads", "check_one_in"};

	if (rule->key && strncmp(rule->key, RULE_PATTERN_PREFIX, strlen(RULE_PATTERN_PREFIX)) == 0)
		return bad(r, doc_key(item, "key"), rule->key,
		           "begins as the keys of patterns do; begin it with another word");
	for (size_t i = 0; i < ARRAY_LEN(only) && rule->match == RULE_MATCH_KEY; i++) {
		const struct doc_node *node = doc_key(item, only[i]);

		if (node)
			return doc_key_error(r->doc, node, r->err,
			                     "%s is for rules with match: pattern; remove it, or "
			                     "say so",
			                     doc_path(node, r->path));
	}
	if (rule->match == RULE_MATCH_KEY)
		return ST_OK;
	if (shared->flags & RULE_NEEDS_BODY)
		return bad(r, doc_key(item, "key"), rule->key,
		           "reads the body, which a rule with match: pattern cannot check; "
		           "remove one of them");
	return check_reads(r, item, rule);
}

static enum status check_rule(struct cache_rules *r, unsigned i)
{
	const struct doc_node *item = doc_item(doc_key(r->doc->root, "rules"), i);
	const struct config_rule *rule = &r->cfg->rules[i];
	struct template_rule *shared = &r->shared[i];
	const struct doc_node *key = doc_key(item, "key");
	enum status st = check_rule_name(r, item, i);
	bool all;

	*shared = (struct template_rule){
	        .tables = r->cfg->tables,
	        .table_count = r->cfg->tables_count,
	};
	if (st == ST_OK && key)
		st = check_template(r, key, TEMPLATE_KEY, shared);
	if (st == ST_OK)
		st = check_pattern(r, item, rule, shared);
	all = !key || (shared->flags & RULE_ALL_QUERY);
	if (st == ST_OK && rule->public && doc_key(item, "credentials"))
		st = doc_key_error(r->doc, doc_key(item, "credentials"), r->err,
		                   "rules[%u].credentials is for rules that are not public; remove "
		                   "it, or public",
		                   i);
	if (st == ST_OK)
		st = check_adapts(r, item, rule);
	if (st == ST_OK)
		st = check_ignore(r, item, rule, all);
	if (st == ST_OK)
		st = check_templates(r, doc_key(item, "tags"), TEMPLATE_TAG, shared);
	if (st == ST_OK)
		st = check_templates(r, doc_key(item, "purges"), TEMPLATE_PURGE, shared);
	return st;
}

/* --- routes --- */

static enum status check_rule_known(struct cache_rules *r, const struct doc_node *node,
                                    const char *name, unsigned *index)
{
	struct doc_guess g = {.distance = UINT32_MAX};

	for (*index = 0; *index < r->cfg->rules_count; (*index)++) {
		if (strcmp(r->cfg->rules[*index].name, name) == 0)
			return ST_OK;
		doc_guess_try(&g, span_cstr(name), r->cfg->rules[*index].name);
	}
	if (g.word)
		return doc_error(r->doc, node, r->err,
		                 "%s is '%.60s', which is no rule; did you mean '%s'?",
		                 doc_path(node, r->path), name, g.word);
	return bad(r, node, name, "is no rule; add it to rules, with that name");
}

static bool in_key(const struct template_rule *shared, struct span name)
{
	for (uint32_t i = 0; i < shared->key_paths; i++)
		if (span_eq(shared->path.names[i], name))
			return true;
	return false;
}

/* Has the pattern a parameter of this name? */
static bool pattern_has(const char *pattern, struct span name)
{
	struct span rest = span_cstr(pattern), seg;

	while (path_segment_next(&rest, &seg))
		if (seg.len > 2 && seg.ptr[0] == '{' &&
		    span_eq(span_of(seg.ptr + 1, seg.len - 2), name))
			return true;
	return false;
}

/* What of its path can differ between requests of this route, and is not in the key? */
static enum status check_path_used(struct cache_rules *r, const struct doc_node *node,
                                   const struct config_route *route,
                                   const struct template_rule *shared)
{
	struct span rest = span_cstr(route->path), seg;

	if (shared->sources & 1u << RULE_PATH)
		return ST_OK;
	while (path_segment_next(&rest, &seg)) {
		if (seg.len == 1 && seg.ptr[0] == '*')
			return bad(r, node, route->cache.rule,
			           "has a key without the path, but the route ends in '*'; put "
			           "{path} into the key");
		if (seg.len < 3 || seg.ptr[0] != '{')
			continue;
		seg = span_of(seg.ptr + 1, seg.len - 2);
		if (!in_key(shared, seg))
			return doc_error(r->doc, node, r->err,
			                 "%s '%.60s' has a key without {path.%.*s}, so that "
			                 "different paths would share an answer; put it into the "
			                 "key",
			                 doc_path(node, r->path), route->cache.rule,
			                 (int)min_size(seg.len, 32), seg.ptr);
	}
	return ST_OK;
}

static bool answers_kept(const struct config_route *route, const struct template_rule *shared)
{
	for (unsigned i = 0; i < route->methods_count; i++) {
		uint32_t bits = http_method_bits(span_cstr(route->methods[i]));

		if ((bits & (1u << HTTP_GET | 1u << HTTP_HEAD)) != 0 ||
		    ((bits & 1u << HTTP_POST) != 0 && (shared->flags & RULE_NEEDS_BODY)))
			return true;
	}
	return false;
}

/* A key says nothing of the path but what its template says. */
static enum status check_shared(struct cache_rules *r, const struct doc_node *node, unsigned i,
                                const struct template_rule *shared)
{
	const struct config_route *route = &r->cfg->routes[i];

	if (shared->sources & 1u << RULE_PATH)
		return ST_OK;
	for (unsigned k = 0; k < i; k++) {
		const struct config_route *other = &r->cfg->routes[k];

		if (other->cache.rule && strcmp(other->cache.rule, route->cache.rule) == 0 &&
		    strcmp(other->path, route->path) != 0 && answers_kept(other, shared))
			return doc_error(r->doc, node, r->err,
			                 "%s '%.60s' is the rule of routes[%u] too, whose path is "
			                 "another, so that they would share answers; put {path} "
			                 "into its key, or give each its own",
			                 doc_path(node, r->path), route->cache.rule, k);
	}
	return ST_OK;
}

/* An answer may be another resource's: it must be of the same origin. */
static enum status check_one_upstream(struct cache_rules *r, const struct doc_node *node,
                                      unsigned i, const struct config_rule *rule)
{
	const struct config_route *route = &r->cfg->routes[i];

	for (unsigned k = 0; k < i && rule->match == RULE_MATCH_PATTERN; k++) {
		const struct config_route *other = &r->cfg->routes[k];

		if (other->cache.rule && strcmp(other->cache.rule, rule->name) == 0 &&
		    strcmp(other->upstream, route->upstream) != 0)
			return doc_error(r->doc, node, r->err,
			                 "%s '%.60s' is a pattern, and the rule of routes[%u] too, "
			                 "whose upstream is another, so that they would share "
			                 "answers; give each its own",
			                 doc_path(node, r->path), rule->name, k);
	}
	return ST_OK;
}

static enum status check_route_ttl(struct cache_rules *r, const struct doc_node *cache,
                                   const struct config_rule *rule)
{
	const struct doc_node *mode = doc_key(cache, "mode");

	if (rule->ttl_s == 0 || !mode)
		return ST_OK;
	return doc_key_error(r->doc, mode, r->err,
	                     "%s stands beside a rule that has a ttl_s; remove one of them",
	                     doc_path(mode, r->path));
}

static enum status path_missing(struct cache_rules *r, const struct doc_node *node,
                                const struct config_route *route, struct span name)
{
	return doc_error(r->doc, node, r->err,
	                 "%s '%.60s' reads {path.%.*s}, which this route's path does not have; add "
	                 "it to the path, or use another rule",
	                 doc_path(node, r->path), route->cache.rule, (int)min_size(name.len, 32),
	                 name.ptr);
}

/* What the rule's key and its reads name of the path. */
static enum status check_path_has(struct cache_rules *r, const struct doc_node *node,
                                  const struct config_route *route, unsigned i)
{
	const struct config_rule *rule = &r->cfg->rules[i];
	const struct template_rule *shared = &r->shared[i];
	struct read_name read;

	for (uint32_t k = 0; k < shared->path.count; k++)
		if (!pattern_has(route->path, shared->path.names[k]))
			return path_missing(r, node, route, shared->path.names[k]);
	for (unsigned k = 0; k < rule->reads_count; k++)
		if (read_name_parse(span_cstr(rule->reads[k]), &read) &&
		    read.source == RULE_PATH_PARAM && read.name.len > 0 &&
		    !pattern_has(route->path, read.name))
			return path_missing(r, node, route, read.name);
	return ST_OK;
}

static enum status check_route(struct cache_rules *r, unsigned i, const struct doc_node *item)
{
	const struct config_route *route = &r->cfg->routes[i];
	const struct doc_node *cache = doc_key(item, "cache"), *node = doc_key(cache, "rule");
	const struct template_rule *shared;
	enum status st;
	unsigned rule;

	if (!node)
		return ST_OK;
	st = check_rule_known(r, node, route->cache.rule, &rule);
	if (st != ST_OK)
		return st;
	shared = &r->shared[rule];
	st = check_path_has(r, node, route, rule);
	if (st == ST_OK)
		st = check_route_ttl(r, cache, &r->cfg->rules[rule]);
	if (st == ST_OK)
		st = check_one_upstream(r, node, i, &r->cfg->rules[rule]);
	if (st != ST_OK || !r->cfg->rules[rule].key || !answers_kept(route, shared))
		return st;
	st = check_path_used(r, node, route, shared);
	return st == ST_OK ? check_shared(r, node, i, shared) : st;
}

enum status config_check_cache_rules(const struct doc *doc, const struct config *cfg,
                                     struct config_error *err)
{
	struct cache_rules r = {.doc = doc, .cfg = cfg, .err = err};
	const struct doc_node *item = doc_item(doc_key(doc->root, "routes"), 0);
	enum status st = check_identity(&r);

	r.shared = calloc(cfg->rules_count + 1, sizeof(*r.shared));
	if (!r.shared) {
		(void)doc_error(doc, NULL, err, "out of memory");
		return ST_NOMEM;
	}
	for (unsigned i = 0; i < cfg->tables_count && st == ST_OK; i++)
		st = check_table(&r, i);
	for (unsigned i = 0; i < cfg->rules_count && st == ST_OK; i++)
		st = check_rule(&r, i);
	for (unsigned i = 0; i < cfg->routes_count && st == ST_OK; i++, item = item->next)
		st = check_route(&r, i, item);
	free(r.shared);
	return st;
}
