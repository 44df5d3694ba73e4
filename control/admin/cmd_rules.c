/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache rules: what each rule of the configuration says, which routes use it, what came of it, and
 * whether a check has switched it off; switching by hand. */
#include "control/admin/admin_cmd.h"
#include "control/chan_server.h"
#include "control/metrics/metrics_view.h"
#include "control/metrics/summary.h"

static json_t *texts_json(char *const *texts, unsigned count)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

/* Routes by their patterns. */
static json_t *routes_json(const struct config *cfg, const char *rule)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < cfg->routes_count; i++) {
		const struct config_route *r = &cfg->routes[i];

		if (r->cache.rule != NULL && strcmp(r->cache.rule, rule) == 0)
			json_array_append_new(list, json_sprintf("%s%s", r->host, r->path));
	}
	return list;
}

/* By which its entries can be purged. */
static json_t *tags_json(const struct config_rule *rule)
{
	json_t *list = texts_json(rule->tags, rule->tags_count);

	json_array_insert_new(list, 0, json_sprintf("rule:%s", rule->name));
	return list;
}

static json_t *ratio_json(uint64_t hits, uint64_t of)
{
	return of > 0 ? json_real((double)hits / (double)of) : json_null();
}

/* What the cores counted under this snapshot. */
static json_t *requests_json(const struct summary *s, const struct metrics_view *view,
                             uint32_t rule)
{
	uint64_t n[RULE_RESULTS] = {0}, own, shared, all;

	for (uint32_t core = 0; core < s->cores; core++) {
		const struct rule_stats *rs = &s->by_core[core].rules;

		for (uint32_t k = 0; k < RULE_RESULTS && rs->snapshot_id == view->snapshot_id; k++)
			n[k] += rs->v[rule][k];
	}
	own = n[RULE_HIT] + n[RULE_STALE];
	shared = n[RULE_PATTERN_HIT] + n[RULE_PATTERN_STALE];
	all = own + shared + n[RULE_MISS];
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "hits", (json_int_t)own,
	                 "pattern_hits", (json_int_t)shared, "misses", (json_int_t)n[RULE_MISS],
	                 "bypasses", (json_int_t)n[RULE_BYPASS], "hit_ratio",
	                 ratio_json(own + shared, all), "own_ratio", ratio_json(own, all),
	                 "pattern_ratio", ratio_json(shared, all));
}

static json_t *checks_json(const struct pattern_state *state)
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < PATTERN_RESULTS; i++)
		json_object_set_new(out, pattern_result_name(i),
		                    json_integer((json_int_t)state->checks[i]));
	return out;
}

static json_t *rule_json(const struct config *cfg, const struct summary *s,
                         const struct metrics_view *view, uint32_t i)
{
	const struct config_rule *rule = &cfg->rules[i];
	const struct metrics_rule *m = &view->rules[i];
	json_t *out = json_pack(
	        "{s:s, s:s?, s:s, s:s, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o}", "name", rule->name,
	        "key", rule->key, "match", metrics_rule_match(m, RULE_MISS), "own_match",
	        metrics_rule_match(m, RULE_HIT), "ttl_s", (json_int_t)rule->ttl_s, "ttl_min_s",
	        (json_int_t)rule->ttl_min_s, "ttl_max_s", (json_int_t)rule->ttl_max_s, "public",
	        rule->public == CONFIG_TRUE, "routes", routes_json(cfg, rule->name), "tags",
	        tags_json(rule), "purges", texts_json(rule->purges, rule->purges_count), "requests",
	        s != NULL ? requests_json(s, view, i) : json_null());

	json_object_set_new(out, "off", json_boolean(m->state.off));
	json_object_set_new(out, "why", json_string(m->pattern ? m->state.why : ""));
	if (!m->pattern)
		return out;
	json_object_set_new(out, "reads", texts_json(rule->reads, rule->reads_count));
	json_object_set_new(out, "check_one_in", json_integer(rule->check_one_in));
	json_object_set_new(out, "checks", checks_json(&m->state));
	json_object_set_new(out, "store_hits", json_integer((json_int_t)m->state.store_hits));
	return out;
}

static void list(struct admin_req *req)
{
	struct control *ctl = admin_req_control(req);
	struct metrics_view view;
	struct summary s = {.cores = 0};
	bool counted = chan_server_attached(ctl->chan) &&
	               summary_collect(&s, ctl->chan, chan_server_cores(ctl->chan)) == ST_OK;
	json_t *rows = json_array();

	if (metrics_view_read(ctl, &view) != ST_OK) {
		summary_free(&s);
		json_decref(rows);
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	for (uint32_t i = 0; i < view.rule_count && i < ctl->config->rules_count; i++)
		json_array_append_new(rows, rule_json(ctl->config, counted ? &s : NULL, &view, i));
	metrics_view_free(&view);
	summary_free(&s);
	admin_ok(req, json_pack("{s:o}", "rules", rows));
}

static const struct config_rule *rule_find(const struct config *cfg, const char *name)
{
	for (unsigned i = 0; i < cfg->rules_count; i++)
		if (strcmp(cfg->rules[i].name, name) == 0)
			return &cfg->rules[i];
	return NULL;
}

void cmd_cache_rules(struct admin_req *req, json_t *args)
{
	struct control *ctl = admin_req_control(req);
	const char *action = admin_arg_string(args, "action");
	const char *name = admin_arg_string(args, "rule");
	const struct config_rule *rule = name != NULL ? rule_find(ctl->config, name) : NULL;
	bool off = action != NULL && strcmp(action, "disable") == 0;

	if (action == NULL) {
		list(req);
	} else if ((!off && strcmp(action, "enable") != 0) || name == NULL) {
		admin_fail(req,
		           "Say enable or disable, and which: sluicectl cache rules enable NAME",
		           "What is to be done with which rule?");
	} else if (rule == NULL) {
		admin_fail(req, "sluicectl cache rules lists them", "There is no rule '%s'", name);
	} else if (rule->match != RULE_MATCH_PATTERN) {
		admin_fail(req, "Only a rule with match: pattern can be switched",
		           "Rule '%s' is no pattern", name);
	} else {
		pattern_switch(ctl->fetcher, name, off, "by hand");
		admin_ok(req, json_pack("{s:s, s:b}", "rule", name, "off", off));
	}
}
