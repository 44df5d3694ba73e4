/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The border, for rules: after it no program can read outside of the block, whatever it holds. */
#include "lib/counters.h"
#include "lib/http1.h"
#include "lib/snapshot_format.h"

static_assert(RULES_MAX == RULE_STATS_MAX, "each rule has its counters");

static bool text_ok(const struct snapshot *s, uint32_t off, uint32_t len)
{
	return snapshot_range_ok(s, off, len, 1);
}

static bool list_ok(const struct snapshot *s, uint32_t off, uint32_t count)
{
	const struct rule_text *list;

	if (!snapshot_range_ok(s, off, count, sizeof(struct rule_text)))
		return false;
	list = (const struct rule_text *)(const void *)((const char *)s + off);
	for (uint32_t i = 0; i < count; i++)
		if (!text_ok(s, list[i].off, list[i].len))
			return false;
	return true;
}

static bool source_ok(const struct snap_rule *rule, const struct rule_op *op)
{
	switch (op->a) {
	case RULE_PATH_PARAM:
		return op->n < rule->path_count;
	case RULE_QUERY_NAMED:
		return op->n < rule->query_count;
	case RULE_BODY_FIELD:
		return op->n < rule->body_count && (rule->flags & RULE_NEEDS_BODY);
	case RULE_HEADER:
	case RULE_TENANT:
	case RULE_USER:
	case RULE_POLICY:
		return op->n < HDR_COUNT;
	default:
		return op->a < RULE_SOURCE_COUNT;
	}
}

static bool filter_ok(const struct rule_op *op)
{
	if (op->a == RULE_BUCKET)
		return op->len >= 1 && op->len <= RULE_NUMBER_MAX;
	if (op->a == RULE_ROUND)
		return op->len <= RULE_ROUND_MAX;
	return op->a < RULE_FILTER_COUNT;
}

static bool op_ok(const struct snapshot *s, const struct snap_rule *rule, const struct rule_op *op)
{
	switch (op->code) {
	case RULE_OP_LITERAL:
	case RULE_OP_DEFAULT:
		return text_ok(s, op->off, op->len);
	case RULE_OP_LOAD:
	case RULE_OP_SCOPE:
		return text_ok(s, op->off, op->len) && source_ok(rule, op);
	case RULE_OP_FILTER:
		return filter_ok(op);
	case RULE_OP_TABLE:
	case RULE_OP_UNIT:
		return op->n < s->rules.table_count;
	case RULE_OP_EMIT:
		return op->a < RULE_FORM_COUNT;
	default:
		return op->code < RULE_OP_COUNT;
	}
}

static bool program_ok(const struct snapshot *s, const struct snap_rule *rule,
                       const struct rule_program *p)
{
	const struct rule_op *ops;

	if (p->op_count > RULE_OPS_MAX ||
	    !snapshot_range_ok(s, p->ops_off, p->op_count, sizeof(struct rule_op)) ||
	    p->ops_off % _Alignof(struct rule_op) != 0)
		return false;
	ops = (const struct rule_op *)(const void *)((const char *)s + p->ops_off);
	for (uint32_t i = 0; i < p->op_count; i++)
		if (!op_ok(s, rule, &ops[i]))
			return false;
	return true;
}

static bool programs_ok(const struct snapshot *s, const struct snap_rule *rule,
                        const uint32_t range[2])
{
	const struct rule_program *list;

	if (!snapshot_range_ok(s, range[0], range[1], sizeof(struct rule_program)))
		return false;
	list = (const struct rule_program *)(const void *)((const char *)s + range[0]);
	for (uint32_t i = 0; i < range[1]; i++)
		if (!program_ok(s, rule, &list[i]))
			return false;
	return true;
}

static bool pattern_ok(const struct snapshot *s, const struct snap_rule *rule)
{
	if (!(rule->flags & RULE_PATTERN))
		return rule->pattern.op_count == 0 && rule->check_one_in == 0;
	return rule->pattern.op_count > 0 && program_ok(s, rule, &rule->pattern) &&
	       !(rule->flags & RULE_NEEDS_BODY) && rule->reads.len <= RULE_READS_MAX &&
	       text_ok(s, rule->reads.off, rule->reads.len) && rule->check_one_in > 0 &&
	       rule->check_one_in <= RULE_CHECK_MAX;
}

static bool rule_ok(const struct snapshot *s, const struct snap_rule *rule)
{
	const uint32_t tags[2] = {rule->tags_off, rule->tag_count};
	const uint32_t purges[2] = {rule->purges_off, rule->purge_count};

	return rule->name.len > 0 && rule->name.len <= RULE_NAME_MAX &&
	       text_ok(s, rule->name.off, rule->name.len) && rule->tag_count <= RULE_TAGS_MAX &&
	       rule->purge_count <= RULE_PURGES_MAX && rule->query_count <= RULE_QUERY_MAX &&
	       rule->ignore_count <= RULE_IGNORE_MAX && rule->body_count <= RULE_BODY_MAX &&
	       rule->key_query_count <= rule->query_count && rule->path_count <= RULE_PATH_MAX &&
	       (rule->flags & ~RULE_FLAGS_ALL) == 0 && pattern_ok(s, rule) &&
	       list_ok(s, rule->query_off, rule->query_count) &&
	       list_ok(s, rule->ignore_off, rule->ignore_count) &&
	       list_ok(s, rule->body_off, rule->body_count) && program_ok(s, rule, &rule->key) &&
	       programs_ok(s, rule, tags) && programs_ok(s, rule, purges);
}

static bool table_ok(const struct snapshot *s, const struct snap_table *t)
{
	return t->pair_count <= RULE_PAIRS_MAX && list_ok(s, t->pairs_off, 2 * t->pair_count);
}

static bool route_ok(const struct snapshot *s, const struct snap_route *route)
{
	const struct snap_rule *rules =
	        (const struct snap_rule *)(const void *)((const char *)s + s->rules.rules_off);
	const uint8_t *map = (const uint8_t *)s + route->rule_map_off;
	uint32_t count;

	if (route->rule == 0)
		return true;
	if (route->rule > s->rules.rule_count)
		return false;
	count = rules[route->rule - 1].path_count;
	if (!text_ok(s, route->rule_map_off, count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (map[i] >= SNAPSHOT_MAX_PARAMS)
			return false;
	return true;
}

static bool identity_ok(const struct snapshot *s)
{
	const struct snap_rules *r = &s->rules;

	return text_ok(s, r->tenant.off, r->tenant.len) && text_ok(s, r->user.off, r->user.len) &&
	       text_ok(s, r->policy.off, r->policy.len) && r->cred_count <= RULE_CREDS_MAX &&
	       list_ok(s, r->creds_off, r->cred_count);
}

bool snapshot_rules_ok(const struct snapshot *s)
{
	const struct snap_rules *r = &s->rules;
	const struct snap_rule *rules;
	const struct snap_table *tables;
	const struct snap_route *routes;

	if (r->rule_count > RULES_MAX || r->table_count > RULE_TABLES_MAX || !identity_ok(s) ||
	    !snapshot_range_ok(s, r->rules_off, r->rule_count, sizeof(*rules)) ||
	    !snapshot_range_ok(s, r->tables_off, r->table_count, sizeof(*tables)))
		return false;
	rules = (const struct snap_rule *)(const void *)((const char *)s + r->rules_off);
	tables = (const struct snap_table *)(const void *)((const char *)s + r->tables_off);
	routes = (const struct snap_route *)(const void *)((const char *)s + s->routes_off);
	for (uint32_t i = 0; i < r->table_count; i++)
		if (!table_ok(s, &tables[i]))
			return false;
	for (uint32_t i = 0; i < r->rule_count; i++)
		if (!rule_ok(s, &rules[i]))
			return false;
	for (uint32_t i = 0; i < s->route_count; i++)
		if (!route_ok(s, &routes[i]))
			return false;
	return true;
}
