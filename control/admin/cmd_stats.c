/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats and drops: counters, straight from the shared memory. */
#include "control/admin/admin_cmd.h"
#include "control/chan_server.h"
#include "control/metrics/metrics_view.h"
#include "control/metrics/summary.h"

static json_t *counters_json(const struct counters *c)
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < CTR_COUNT; i++)
		json_object_set_new(out, counter_infos[i].id, json_integer((json_int_t)c->v[i]));
	return out;
}

/* Answers by the tier that gave them. */
static json_t *tiers_json(const struct control *ctl, const struct summary *s)
{
	struct metrics_tiers t;

	metrics_tiers_read(ctl, &t);
	return json_pack("{s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "l1_hits",
	                 (json_int_t)s->total.counters.v[CTR_cache_hit], "l2_hits",
	                 (json_int_t)t.fetch.store_hits, "l3_hits", (json_int_t)t.fetch.l3_hits,
	                 "origin", (json_int_t)t.fetch.origin, "store", "entries",
	                 (json_int_t)t.store.entries, "bytes", (json_int_t)t.store.bytes,
	                 "limit_bytes", (json_int_t)t.store.limit_bytes, "evicted",
	                 (json_int_t)t.store.evicted);
}

/* False when it answered. */
static bool collect(struct admin_req *req, struct summary *s)
{
	struct chan_server *chan = admin_req_control(req)->chan;
	enum status st = ST_CLOSED;

	memset(s, 0, sizeof(*s));
	if (chan_server_attached(chan))
		st = summary_collect(s, chan, chan_server_cores(chan));
	if (st == ST_OK)
		return true;
	summary_free(s);
	if (st == ST_CLOSED)
		admin_fail_detached(req);
	else
		admin_fail(req, NULL, "%s", status_text(st));
	return false;
}

void cmd_stats(struct admin_req *req, json_t *args)
{
	struct summary s;

	(void)args;
	if (!collect(req, &s))
		return;
	json_t *cores = json_array();
	double ratio = summary_hit_ratio(&s.total.counters);

	for (uint32_t i = 0; i < s.cores; i++)
		json_array_append_new(cores,
		                      json_pack("{s:i, s:f, s:o}", "core", (int)i, "requests_per_s",
		                                admin_req_rate(req, i), "counters",
		                                counters_json(&s.by_core[i].counters)));
	admin_ok(req, json_pack("{s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "cores", cores, "total",
	                        counters_json(&s.total.counters), "tiers",
	                        tiers_json(admin_req_control(req), &s), "hit_ratio",
	                        ratio < 0 ? json_null() : json_real(ratio), "latency", "hit",
	                        summary_latency_json(&s.total.hit), "miss",
	                        summary_latency_json(&s.total.miss)));
	summary_free(&s);
}

static json_t *drop_json(const struct summary *s, uint32_t id)
{
	const struct counter_info *info = &counter_infos[id];
	json_t *cores = json_array();

	for (uint32_t i = 0; i < s->cores; i++)
		json_array_append_new(cores,
		                      json_integer((json_int_t)s->by_core[i].counters.v[id]));
	return json_pack("{s:s, s:s, s:I, s:o, s:s}", "id", info->id, "kind",
	                 info->kind == COUNTER_DROP ? "drop" : "shed", "total",
	                 (json_int_t)s->total.counters.v[id], "by_core", cores, "help", info->help);
}

void cmd_drops(struct admin_req *req, json_t *args)
{
	bool all = admin_arg_flag(args, "all");
	struct summary s;

	if (!collect(req, &s))
		return;
	json_t *rows = json_array();

	for (uint32_t i = 0; i < CTR_COUNT; i++) {
		if (counter_infos[i].kind == COUNTER_EVENT)
			continue;
		if (all || s.total.counters.v[i] > 0)
			json_array_append_new(rows, drop_json(&s, i));
	}
	admin_ok(req, json_pack("{s:o}", "drops", rows));
	summary_free(&s);
}
