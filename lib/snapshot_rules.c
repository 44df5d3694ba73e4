/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cache rules of a configuration, compiled into a snapshot: their templates become programs,
 * with the scope of the key behind the operator's part. config_cache_rules.c has told what is wrong
 * with them before. */
#include "lib/key_template.h"
#include "lib/read_name.h"
#include "lib/snapshot_format.h"

#include <stdio.h>
#include <stdlib.h>

struct rules_builder {
	const struct config *cfg;
	struct snap_writer *w;
	struct config_error *err;
	struct template template;
	struct template_error wrong;
	struct template_rule shared;  /* of the rule at work */
	struct template_names *paths; /* of each rule */
};

static struct snapshot *head(const struct rules_builder *b)
{
	return (struct snapshot *)(void *)b->w->block;
}

static struct rule_text text_put(struct rules_builder *b, struct span text)
{
	return (struct rule_text){
	        .off = snap_put(b->w, text.ptr, text.len, 1),
	        .len = (uint32_t)text.len,
	};
}

static struct rule_text cstr_put(struct rules_builder *b, const char *text)
{
	return text_put(b, text ? span_cstr(text) : span_of(NULL, 0));
}

static uint32_t list_put(struct rules_builder *b, const struct span *list, uint32_t count)
{
	uint32_t off = snap_take(b->w, count * sizeof(struct rule_text), 8);

	for (uint32_t i = 0; i < count && !b->w->full; i++) {
		struct rule_text t = text_put(b, list[i]);

		memcpy(b->w->block + off + i * sizeof(t), &t, sizeof(t));
	}
	return off;
}

/* --- tables --- */

struct pair {
	struct span from, to;
};

static int pair_order(const void *x, const void *y)
{
	return snap_text_order(((const struct pair *)x)->from, ((const struct pair *)y)->from);
}

static enum status table_put(struct rules_builder *b, const struct config_table *t,
                             struct snap_table *out)
{
	struct pair *pairs = calloc(t->values_count, sizeof(*pairs));
	struct span *texts = calloc(2 * t->values_count, sizeof(*texts));

	for (unsigned i = 0; i < t->values_count && pairs && texts; i++) {
		const char *eq = strchr(t->values[i], '=');

		pairs[i].from = span_of(t->values[i], (size_t)(eq - t->values[i]));
		pairs[i].to = span_cstr(eq + 1);
	}
	if (pairs && texts) {
		qsort(pairs, t->values_count, sizeof(*pairs), pair_order);
		for (unsigned i = 0; i < t->values_count; i++) {
			texts[2 * i] = pairs[i].from;
			texts[2 * i + 1] = pairs[i].to;
		}
		out->pair_count = t->values_count;
		out->pairs_off = list_put(b, texts, 2 * t->values_count);
	}
	free(pairs);
	free(texts);
	return pairs && texts ? ST_OK : ST_NOMEM;
}

static enum status tables_put(struct rules_builder *b)
{
	struct snap_rules *rules = &head(b)->rules;
	enum status st = ST_OK;

	rules->table_count = b->cfg->tables_count;
	rules->tables_off = snap_take(b->w, rules->table_count * sizeof(struct snap_table), 8);
	for (uint32_t i = 0; i < rules->table_count && st == ST_OK && !b->w->full; i++)
		st = table_put(b, &b->cfg->tables[i],
		               (struct snap_table *)(void *)(b->w->block + rules->tables_off) + i);
	return st;
}

/* --- identity --- */

static void identity_put(struct rules_builder *b)
{
	const struct config_identity *id = &b->cfg->identity;
	uint32_t count = id->credentials_count;
	struct snap_rules *rules = &head(b)->rules;
	struct span names[RULE_CREDS_MAX];

	rules->tenant = cstr_put(b, id->tenant_header);
	rules->user = cstr_put(b, id->user_header);
	rules->policy = cstr_put(b, id->policy_header);
	for (uint32_t i = 0; i < count; i++) {
		enum http_hdr hdr;

		names[i] = span_cstr(id->credentials[i]);
		hdr = http_hdr_lookup(names[i]);
		if (hdr != HDR_OTHER)
			rules->cred_seen |= http_hdr_bit(hdr);
	}
	rules->cred_count = count;
	rules->creds_off = list_put(b, names, count);
	if (id->key_secret) {
		size_t len = strlen(id->key_secret);

		/* Two halves of a key for two keyed hashes; a zero would mean "none". */
		rules->secret[0] = hash64(id->key_secret, len, SNAP_ID_SEED) | 1;
		rules->secret[1] = hash64(id->key_secret, len, ~SNAP_ID_SEED);
	}
}

/* --- programs --- */

static uint16_t header_id(const char *name)
{
	return (uint16_t)(name ? http_hdr_lookup(span_cstr(name)) : HDR_OTHER);
}

/* Which request field says it, for the sources that are fields. */
static uint16_t source_id(const struct rules_builder *b, uint8_t source, uint16_t n)
{
	const struct config_identity *id = &b->cfg->identity;

	switch (source) {
	case RULE_TENANT:
		return header_id(id->tenant_header);
	case RULE_USER:
		return header_id(id->user_header);
	case RULE_POLICY:
		return header_id(id->policy_header);
	default:
		return n;
	}
}

static bool op_has_number(const struct template_op *op)
{
	return op->code == RULE_OP_FILTER;
}

static struct rule_program program_put(struct rules_builder *b)
{
	const struct template *t = &b->template;
	struct rule_program p = {.op_count = t->count};

	p.ops_off = snap_take(b->w, t->count * sizeof(struct rule_op), 8);
	for (uint32_t i = 0; i < t->count && !b->w->full; i++) {
		const struct template_op *from = &t->ops[i];
		struct rule_op op = {.code = from->code, .a = from->a, .n = from->n};

		op.len = (uint32_t)from->text.len;
		if (!op_has_number(from))
			op.off = snap_put(b->w, from->text.ptr, from->text.len, 1);
		if (op.code == RULE_OP_LOAD || op.code == RULE_OP_SCOPE)
			op.n = source_id(b, op.a, op.n);
		memcpy(b->w->block + p.ops_off + i * sizeof(op), &op, sizeof(op));
	}
	return p;
}

/* What the operator's template does not say itself; a pattern has none. */
static bool scope_add(struct rules_builder *b, const struct config_rule *rule, bool pattern)
{
	static const struct {
		enum rule_source source;
		bool secret; /* not for public rules */
	} parts[] = {
	        {RULE_HOST, false},
	        {RULE_METHOD, false},
	        {RULE_TENANT, true},
	        {RULE_POLICY, true},
	};
	uint32_t said = pattern ? 0 : b->shared.sources;
	uint8_t last = rule->credentials == CREDENTIALS_BYPASS ? RULE_OP_NO_CREDENTIAL
	                                                       : RULE_OP_CREDENTIAL;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if ((said & 1u << parts[i].source) || (parts[i].secret && rule->public))
			continue;
		if (parts[i].source == RULE_HOST && (rule->any_host || (!rule->key && !pattern)))
			continue;
		if (!template_add(&b->template, (struct template_op){
		                                        .code = RULE_OP_SCOPE,
		                                        .a = (uint8_t)parts[i].source,
		                                }))
			return false;
	}
	if (rule->public || rule->credentials == CREDENTIALS_SHARED)
		return true;
	return template_add(&b->template, (struct template_op){.code = last});
}

static enum status wrong(struct rules_builder *b, const struct config_rule *rule)
{
	(void)snprintf(b->err->text, sizeof(b->err->text), "rule '%s': byte %u of a template %s",
	               rule->name, b->wrong.at + 1, b->wrong.text);
	return ST_INVALID;
}

static enum status key_put(struct rules_builder *b, const struct config_rule *rule,
                           struct snap_rule *out)
{
	b->template.count = 0;
	if (!rule->key) {
		(void)template_add(&b->template, (struct template_op){.code = RULE_OP_TARGET});
		b->shared.flags |= RULE_ALL_QUERY;
	} else if (!template_compile(span_cstr(rule->key), TEMPLATE_KEY, &b->shared, &b->template,
	                             &b->wrong)) {
		return wrong(b, rule);
	}
	if (!scope_add(b, rule, false)) {
		b->wrong = (struct template_error){.text = "has too many parts with its scope"};
		return wrong(b, rule);
	}
	out->key = program_put(b);
	out->key_query_count = (uint16_t)b->shared.query.count;
	return ST_OK;
}

/* In front of whatever an answer depends on stands whose it is. */
static enum status pattern_put(struct rules_builder *b, const struct config_rule *rule,
                               struct snap_rule *out)
{
	struct read_names names = {.len = 0};

	if (rule->match != RULE_MATCH_PATTERN)
		return ST_OK;
	b->template.count = 0;
	(void)template_add(&b->template,
	                   (struct template_op){.code = RULE_OP_LITERAL,
	                                        .text = SPAN_LIT(RULE_PATTERN_PREFIX)});
	(void)template_add(&b->template, (struct template_op){.code = RULE_OP_LITERAL,
	                                                      .text = span_cstr(rule->name)});
	(void)scope_add(b, rule, true); /* there is room for the few */
	out->pattern = program_put(b);
	for (unsigned i = 0; i < rule->reads_count; i++) {
		b->wrong = (struct template_error){.text = "is no name of a read value"};
		if (strcmp(rule->reads[i], "origin") != 0 &&
		    !read_names_add(&names, span_cstr(rule->reads[i])))
			return wrong(b, rule);
	}
	out->reads = text_put(b, span_of(names.text, names.len));
	out->check_one_in = rule->check_one_in;
	return ST_OK;
}

struct template_list {
	char *const *texts;
	uint32_t count;
	enum template_kind kind;
};

static enum status list_compile(struct rules_builder *b, const struct config_rule *rule,
                                const struct template_list *list, uint32_t *off)
{
	*off = snap_take(b->w, list->count * sizeof(struct rule_program), 8);
	for (uint32_t i = 0; i < list->count && !b->w->full; i++) {
		struct rule_program p;

		if (!template_compile(span_cstr(list->texts[i]), list->kind, &b->shared,
		                      &b->template, &b->wrong))
			return wrong(b, rule);
		p = program_put(b);
		if (!b->w->full)
			memcpy(b->w->block + *off + i * sizeof(p), &p, sizeof(p));
	}
	return ST_OK;
}

static uint16_t rule_flags(const struct rules_builder *b, const struct config_rule *rule)
{
	uint32_t flags = b->shared.flags;

	for (unsigned i = 0; i < rule->ignore_query_count; i++)
		if (strcmp(rule->ignore_query[i], "*") == 0)
			flags |= RULE_ALL_QUERY;
	if (rule->public)
		flags |= RULE_PUBLIC;
	else if (rule->credentials == CREDENTIALS_SHARED ||
	         (head(b)->rules.cred_seen & http_hdr_bit(HDR_AUTHORIZATION)))
		flags |= RULE_KEYED_AUTH;
	if (rule->match == RULE_MATCH_PATTERN)
		flags |= RULE_PATTERN;
	if (rule->purge_scope == PURGE_SCOPE_ALL)
		flags |= RULE_PURGE_ALL;
	return (uint16_t)flags;
}

static void names_put(struct rules_builder *b, const struct config_rule *rule,
                      struct snap_rule *out)
{
	struct span ignore[RULE_IGNORE_MAX];

	for (unsigned i = 0; i < rule->ignore_query_count; i++)
		ignore[i] = span_cstr(rule->ignore_query[i]);
	out->ignore_count = rule->ignore_query_count;
	out->ignore_off = list_put(b, ignore, out->ignore_count);
	out->query_count = b->shared.query.count;
	out->query_off = list_put(b, b->shared.query.names, out->query_count);
	out->body_count = b->shared.body.count;
	out->body_off = list_put(b, b->shared.body.names, out->body_count);
	out->path_count = (uint16_t)b->shared.path.count;
	out->name = cstr_put(b, rule->name);
}

static enum status rule_put(struct rules_builder *b, uint32_t i)
{
	const struct config_rule *rule = &b->cfg->rules[i];
	const struct template_list tags = {rule->tags, rule->tags_count, TEMPLATE_TAG};
	const struct template_list purges = {rule->purges, rule->purges_count, TEMPLATE_PURGE};
	struct snap_rule out = {.tag_count = tags.count, .purge_count = purges.count};
	enum status st;

	b->shared = (struct template_rule){
	        .tables = b->cfg->tables,
	        .table_count = b->cfg->tables_count,
	};
	st = key_put(b, rule, &out);
	if (st == ST_OK)
		st = pattern_put(b, rule, &out);
	if (st == ST_OK)
		st = list_compile(b, rule, &tags, &out.tags_off);
	if (st == ST_OK)
		st = list_compile(b, rule, &purges, &out.purges_off);
	if (st != ST_OK)
		return st;
	names_put(b, rule, &out);
	out.flags = rule_flags(b, rule);
	out.semantic = b->shared.semantic;
	b->paths[i] = b->shared.path;
	if (!b->w->full)
		memcpy(b->w->block + head(b)->rules.rules_off + i * sizeof(out), &out, sizeof(out));
	return ST_OK;
}

/* --- routes --- */

/* Which of the pattern's parameters has this name; it is there. */
static uint8_t param_index(const char *pattern, struct span name)
{
	struct span rest = span_cstr(pattern), seg;
	uint8_t index = 0;

	while (path_segment_next(&rest, &seg)) {
		if (seg.len < 3 || seg.ptr[0] != '{')
			continue;
		if (span_eq(span_of(seg.ptr + 1, seg.len - 2), name))
			break;
		index++;
	}
	return index;
}

static uint32_t ms_of(uint32_t s)
{
	return (uint32_t)min_u64(s * 1000ull, UINT32_MAX);
}

static const struct snap_rule *rules_at(const struct rules_builder *b)
{
	return (const struct snap_rule *)(const void *)(b->w->block + head(b)->rules.rules_off);
}

static void route_put(struct rules_builder *b, uint32_t i)
{
	struct snap_route *route =
	        (struct snap_route *)(void *)(b->w->block + head(b)->routes_off) + i;
	const struct config_route *from = &b->cfg->routes[i];
	const struct template_names *paths;
	uint8_t map[RULE_PATH_MAX];
	uint32_t rule = 0;

	if (!from->cache.rule)
		return;
	while (strcmp(b->cfg->rules[rule].name, from->cache.rule) != 0)
		rule++;
	paths = &b->paths[rule];
	for (uint32_t k = 0; k < paths->count; k++)
		map[k] = param_index(from->path, paths->names[k]);
	route->rule = rule + 1;
	route->keyed_body = (rules_at(b)[rule].flags & RULE_NEEDS_BODY) != 0;
	route->rule_map_off = snap_put(b->w, map, paths->count, 1);
	if (b->cfg->rules[rule].ttl_s > 0) {
		route->cache_mode = CONFIG_CACHE_TTL;
		route->ttl_ms = ms_of(b->cfg->rules[rule].ttl_s);
		route->ttl_min_ms = ms_of(max_u32(b->cfg->rules[rule].ttl_min_s, 1));
		route->ttl_max_ms = ms_of(b->cfg->rules[rule].ttl_max_s);
	}
}

enum status snapshot_rules_put(const struct config *cfg, struct snap_writer *w,
                               struct config_error *err)
{
	struct rules_builder b = {.cfg = cfg, .w = w, .err = err};
	enum status st;

	b.paths = calloc(cfg->rules_count + 1, sizeof(*b.paths));
	if (!b.paths)
		return ST_NOMEM;
	identity_put(&b);
	st = tables_put(&b);
	head(&b)->rules.rule_count = cfg->rules_count;
	head(&b)->rules.rules_off = snap_take(w, cfg->rules_count * sizeof(struct snap_rule), 8);
	for (uint32_t i = 0; i < cfg->rules_count && st == ST_OK && !w->full; i++)
		st = rule_put(&b, i);
	for (uint32_t i = 0; i < cfg->routes_count && st == ST_OK && !w->full; i++)
		route_put(&b, i);
	free(b.paths);
	return st;
}
