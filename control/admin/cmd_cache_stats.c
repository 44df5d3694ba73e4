/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache stats: what the tiers of the cache answered, hold and refused. Each request stands in one
 * tier's row: that which answered it; the rows' sum is all requests that the cores read. The cores'
 * numbers begin with the dataplane, the others with sluice-control. */
#include "cache/l3.h"
#include "control/admin/admin_cmd.h"
#include "control/admin/warm_json.h"
#include "control/chan_server.h"
#include "control/metrics/metrics_view.h"
#include "control/metrics/summary.h"

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *ratio(uint64_t part, uint64_t whole)
{
	return whole == 0 ? json_null() : json_real((double)part / (double)whole);
}

static void tier_add(json_t *rows, const char *tier, uint64_t requests, uint64_t all)
{
	json_array_append_new(rows, json_pack("{s:s, s:o, s:o}", "tier", tier, "requests",
	                                      count(requests), "share", ratio(requests, all)));
}

/* Counters of cores are read one by one while they count on: never below zero. */
static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void requests_say(json_t *out, const struct counters *c)
{
	const uint64_t *v = c->v;
	uint64_t hot = v[CTR_cache_hit];
	uint64_t below = v[CTR_cache_node_hit] + v[CTR_cache_shared_hit];
	uint64_t looked = hot + v[CTR_cache_miss] + v[CTR_cache_stale];
	uint64_t all = looked + v[CTR_cache_bypass];
	json_t *tiers = json_array();

	tier_add(tiers, "own", less(hot, v[CTR_cache_hit_l0] + v[CTR_cache_hit_remote]), all);
	tier_add(tiers, "l0", v[CTR_cache_hit_l0], all);
	tier_add(tiers, "remote", v[CTR_cache_hit_remote], all);
	tier_add(tiers, "l2", v[CTR_cache_node_hit], all);
	tier_add(tiers, "l3", v[CTR_cache_shared_hit], all);
	tier_add(tiers, "origin", less(less(looked, hot), below), all);
	tier_add(tiers, "bypass", v[CTR_cache_bypass], all);
	json_object_set_new(out, "requests", count(all));
	json_object_set_new(out, "hit_ratio", ratio(hot + below, looked));
	json_object_set_new(out, "hot_hit_ratio", ratio(hot, looked));
	json_object_set_new(out, "tiers", tiers);
	json_object_set_new(out, "stale",
	                    json_pack("{s:o, s:o, s:o}", "while_revalidate",
	                              count(v[CTR_cache_stale_while]), "error",
	                              count(v[CTR_cache_stale_error]), "client",
	                              count(v[CTR_cache_stale_client])));
	json_object_set_new(out, "pass", count(v[CTR_cache_pass]));
	json_object_set_new(out, "not_modified", count(v[CTR_cache_not_modified]));
}

static json_t *hot_json(const struct summary *s, const struct config *cfg)
{
	const uint64_t *v = s->total.counters.v;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "entries",
	                 count(v[CTR_cache_objects]), "bytes", count(v[CTR_cache_bytes]),
	                 "limit_bytes", count(cfg->memory.hot_table_bytes * s->cores), "fills",
	                 count(v[CTR_cache_fill]), "evicted", count(v[CTR_cache_evict]), "purged",
	                 count(v[CTR_cache_purge]), "refused", "dropped",
	                 count(v[CTR_cache_fill_dropped]), "foreign", count(v[CTR_cache_fill_key]));
}

static json_t *store_json(const struct store_counts *c)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}}",
	                 "entries", count(c->entries), "bytes", count(c->bytes), "limit_bytes",
	                 count(c->limit_bytes), "fills", count(c->fills), "refreshed",
	                 count(c->refreshed), "evicted", count(c->evicted), "expired",
	                 count(c->expired), "purged", count(c->purged), "variants_dropped",
	                 count(c->variants_dropped), "refused", "purged", count(c->fills_void),
	                 "lost", count(c->fills_lost), "too_big", count(c->too_big));
}

static json_t *shared_json(const struct control *ctl, const struct l3_counts *c)
{
	if (ctl->l3 == NULL || !l3_enabled(ctl->l3))
		return json_null();
	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, "
	                 "s:o}}",
	                 "backend", l3_backend_name(ctl->l3), "open", c->open, "servers",
	                 count(c->servers), "servers_open", count(c->servers_open), "gets",
	                 count(c->gets), "hits", count(c->hits), "misses", count(c->misses), "puts",
	                 count(c->puts), "refused", "circuit_or_full", count(c->refused),
	                 "timeouts", count(c->timeouts), "errors", count(c->errors), "corrupt",
	                 count(c->corrupt), "purged", count(c->stale), "too_big",
	                 count(c->too_big));
}

static json_t *origin_json(const struct fetcher_counts *c)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "requests",
	                 count(c->origin), "collapsed", count(less(c->joined, c->restarted)),
	                 "validations", count(c->validations), "validated", count(c->validated),
	                 "refreshes", count(c->refreshes), "refreshes_joined",
	                 count(c->refresh_joined), "refreshes_failed", count(c->refresh_failed),
	                 "stale_if_error", count(c->stale_errors), "invalidations",
	                 count(c->invalidations));
}

/* What control counts of compression for clients: each row of the metrics that is of it. */
static json_t *compression_json(const struct metrics_tiers *t)
{
	static const char prefix[] = "sluice_compress_";
	static const struct {
		const char *name;
		size_t off;
	} rows[] = {
#define METRIC(id, name, type, labels, help)
#define TIER(part, field, name, type, help) {name, offsetof(struct metrics_tiers, part.field)},
#define UPSTREAM(field, name, type, help)
#include "control/metrics/metrics.def"
#undef METRIC
#undef TIER
#undef UPSTREAM
	};
	const size_t len = sizeof(prefix) - 1;
	json_t *out = json_object();
	uint64_t value;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strncmp(rows[i].name, prefix, len) != 0)
			continue;
		memcpy(&value, (const char *)t + rows[i].off, sizeof(value));
		json_object_set_new(out, rows[i].name + len, count(value));
	}
	return out;
}

/* Cores that have another snapshot yet count other rules. */
static void rule_sum(const struct metrics_view *view, const struct summary *s, uint32_t rule,
                     uint64_t v[RULE_RESULTS])
{
	for (uint32_t c = 0; c < s->cores * RULE_RESULTS; c++) {
		const struct rule_stats *rs = &s->by_core[c / RULE_RESULTS].rules;

		if (rs->snapshot_id == view->snapshot_id)
			v[c % RULE_RESULTS] += rs->v[rule][c % RULE_RESULTS];
	}
}

static json_t *rules_json(const struct metrics_view *view, const struct summary *s)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->rule_count; i++) {
		uint64_t v[RULE_RESULTS] = {0};
		uint64_t pattern = 0, hits;

		rule_sum(view, s, i, v);
		/* The results that stand behind are hits by pattern. */
		for (uint32_t k = RULE_BYPASS + 1; k < RULE_RESULTS; k++)
			pattern += v[k];
		hits = v[RULE_HIT] + v[RULE_STALE] + pattern;
		json_array_append_new(
		        rows, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "rule",
		                        view->rules[i].name, "match",
		                        view->rules[i].semantic ? "semantic" : "exact", "hit",
		                        count(v[RULE_HIT]), "stale", count(v[RULE_STALE]),
		                        "pattern", count(pattern), "miss", count(v[RULE_MISS]),
		                        "bypass", count(v[RULE_BYPASS]), "hit_ratio",
		                        ratio(hits, hits + v[RULE_MISS])));
	}
	return rows;
}

void cmd_cache_stats(struct admin_req *req, json_t *args)
{
	const struct control *ctl = admin_req_control(req);
	struct metrics_view view;
	struct summary s = {0};
	json_t *out;

	(void)args;
	if (metrics_view_read(ctl, &view) != ST_OK) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	/* Without a dataplane control's part is still of use. */
	if (view.attached && summary_collect(&s, ctl->chan, view.cores) == ST_NOMEM) {
		metrics_view_free(&view);
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	out = json_object();
	requests_say(out, &s.total.counters);
	json_object_set_new(out, "hot", hot_json(&s, ctl->config));
	json_object_set_new(out, "store", store_json(&view.tiers.store));
	json_object_set_new(out, "shared", shared_json(ctl, &view.tiers.l3));
	json_object_set_new(out, "origin", origin_json(&view.tiers.fetch));
	json_object_set_new(out, "compression", compression_json(&view.tiers));
	json_object_set_new(out, "rules", rules_json(&view, &s));
	json_object_set_new(out, "warm", warm_json(ctl->warm, &view.tiers));
	summary_free(&s);
	metrics_view_free(&view);
	admin_ok(req, out);
}
