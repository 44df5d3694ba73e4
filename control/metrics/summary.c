/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/metrics/summary.h"

#include <stdlib.h>

static void counters_merge(struct counters *dst, const struct counters *src)
{
	for (uint32_t i = 0; i < CTR_COUNT; i++)
		dst->v[i] += src->v[i];
}

enum status summary_collect(struct summary *s, struct chan_server *chan, uint32_t cores)
{
	void *mem = NULL;

	memset(s, 0, sizeof(*s));
	if (cores == 0)
		return ST_OK;
	if (posix_memalign(&mem, CACHE_LINE, cores * sizeof(*s->by_core)) != 0)
		return ST_NOMEM;
	s->by_core = mem;
	for (uint32_t i = 0; i < cores; i++) {
		struct core_stats *core = &s->by_core[i];

		/* The dataplane may go between two cores: then there is no whole picture. */
		if (!chan_server_stats(chan, i, core)) {
			s->cores = 0;
			memset(&s->total, 0, sizeof(s->total));
			return ST_CLOSED;
		}
		s->cores++;
		counters_merge(&s->total.counters, &core->counters);
		hist_merge(&s->total.hit, &core->hit);
		hist_merge(&s->total.miss, &core->miss);
	}
	return ST_OK;
}

void summary_free(struct summary *s)
{
	free(s->by_core);
	s->by_core = NULL;
}

double summary_hit_ratio(const struct counters *c)
{
	uint64_t hit = counter_read(c, CTR_cache_hit);
	uint64_t all = hit + counter_read(c, CTR_cache_miss) + counter_read(c, CTR_cache_stale);

	return all == 0 ? -1 : (double)hit / (double)all;
}

static json_t *ratio_json(double ratio)
{
	return ratio < 0 ? json_null() : json_real(ratio);
}

static json_t *quantile_json(const struct hist *h, double q)
{
	return h->count == 0 ? json_null() : json_integer((json_int_t)hist_quantile_ns(h, q));
}

json_t *summary_latency_json(const struct hist *h)
{
	json_t *mean =
	        h->count == 0 ? json_null() : json_integer((json_int_t)(h->sum_ns / h->count));

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "count", (json_int_t)h->count, "mean_ns",
	                 mean, "p50_ns", quantile_json(h, 0.5), "p90_ns", quantile_json(h, 0.9),
	                 "p99_ns", quantile_json(h, 0.99), "p999_ns", quantile_json(h, 0.999));
}

static json_int_t total_of(const struct summary *s, enum counter_id id)
{
	return (json_int_t)counter_read(&s->total.counters, id);
}

json_t *summary_json(const struct summary *s, bool up)
{
	struct hist all = s->total.hit;
	uint64_t requests = counter_read(&s->total.counters, CTR_http_requests);
	uint64_t errors = counter_read(&s->total.counters, CTR_http_errors);
	json_t *latency;
	json_t *cache;

	hist_merge(&all, &s->total.miss);
	latency = json_pack("{s:o, s:o, s:o}", "all", summary_latency_json(&all), "hit",
	                    summary_latency_json(&s->total.hit), "miss",
	                    summary_latency_json(&s->total.miss));
	cache = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "hit_ratio",
	                  ratio_json(summary_hit_ratio(&s->total.counters)), "hits",
	                  total_of(s, CTR_cache_hit), "misses", total_of(s, CTR_cache_miss),
	                  "stale", total_of(s, CTR_cache_stale), "bypass",
	                  total_of(s, CTR_cache_bypass), "objects", total_of(s, CTR_cache_objects),
	                  "bytes", total_of(s, CTR_cache_bytes));
	return json_pack(
	        "{s:b, s:I, s:I, s:I, s:o, s:I, s:o, s:o}", "up", up, "cores", (json_int_t)s->cores,
	        "requests_total", (json_int_t)requests, "errors_total", (json_int_t)errors,
	        "error_ratio", ratio_json(requests ? (double)errors / (double)requests : -1),
	        "connections", total_of(s, CTR_tcp_conns), "cache", cache, "latency", latency);
}
