/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/rule.h"

static_assert((int)CACHE_OFF == CONFIG_CACHE_OFF && (int)CACHE_ORIGIN == CONFIG_CACHE_ORIGIN &&
                      (int)CACHE_TTL == CONFIG_CACHE_TTL,
              "the same order");
static_assert((int)CACHE_ETAG_OFF == CONFIG_ETAG_OFF && (int)CACHE_ETAG_WEAK == CONFIG_ETAG_WEAK &&
                      (int)CACHE_ETAG_STRONG == CONFIG_ETAG_STRONG,
              "the same order");

static_assert((int)CACHE_WRITE_OFF == WRITE_THROUGH_OFF &&
                      (int)CACHE_WRITE_ON == WRITE_THROUGH_ON &&
                      (int)CACHE_WRITE_ALWAYS == WRITE_THROUGH_ALWAYS,
              "the same order");

void cache_rule_of(const struct snap_route *route, struct cache_rule *out)
{
	*out = (struct cache_rule){
	        .mode = route->cache_mode <= CACHE_TTL ? (enum cache_mode)route->cache_mode
	                                               : CACHE_OFF,
	        .ttl_ms = route->ttl_ms,
	        .negative_ttl_ms = route->negative_ttl_ms,
	        .heuristic_max_s = route->heuristic_max_s,
	        .stale_while_s = route->stale_while_s,
	        .stale_error_s = route->stale_error_s,
	        .pass_ms = route->pass_ms,
	        .ttl_jitter_pct = route->ttl_jitter_pct,
	        .heuristic_pct = route->heuristic_pct,
	        .make_etag = route->etag,
	        .write_through = route->write_through,
	        .ttl_min_ms = route->ttl_min_ms,
	        .ttl_max_ms = route->ttl_max_ms,
	        .range_fill_bytes = route->range_fill_bytes,
	        .keyed_body = route->keyed_body != 0,
	};
}
