/* SPDX-License-Identifier: BSD-2-Clause
 *
 * RFC 9111 as pure functions: may this request be answered from a cache, may this response be
 * stored, how long is it fresh. No clock, no table, no I/O. */
#ifndef CACHE_POLICY_H
#define CACHE_POLICY_H

#include "cache/object.h"
#include "lib/http1.h"

/* Cache-Control directives (RFC 9111 5.2, RFC 5861). Seconds; UINT32_MAX: absent. */
struct cache_control {
	uint32_t max_age_s;
	uint32_t s_maxage_s;
	uint32_t max_stale_s; /* max-stale without a value: UINT32_MAX - 1 */
	uint32_t min_fresh_s;
	uint32_t stale_while_revalidate_s;
	uint32_t stale_if_error_s;
	bool no_store;
	bool no_cache;        /* without field names */
	bool no_cache_fields; /* with field names: treated as no_cache (allowed by 5.2.2.4) */
	bool private_;
	bool public_;
	bool must_revalidate;
	bool proxy_revalidate;
	bool must_understand;
	bool no_transform;
	bool only_if_cached;
	bool present;
};

/* Reads all Cache-Control fields of a message. Unknown directives are ignored; a repeated or
 * malformed number makes the directive 0 (stale; min-fresh: 2^31), which is the safe side (RFC 9111
 * 4.2.1). A directive that breaks the grammar counts as no-store as well. */
void cache_control_parse(const struct http_fields *fs, struct cache_control *out);

enum cache_mode {
	CACHE_OFF,    /* never */
	CACHE_ORIGIN, /* as the origin's fields say */
	CACHE_TTL     /* the route's TTL when the origin does not forbid it (no-store, private) */
};

struct cache_rule {
	enum cache_mode mode;
	uint32_t ttl_ms; /* CACHE_TTL */
};

/* What the request lets a shared cache do. */
struct cache_request {
	bool lookup;          /* a stored response may be used */
	bool store;           /* the response may be stored */
	bool only_if_cached;  /* 504 instead of going to the origin (RFC 9111 5.2.1.7) */
	bool authorized;      /* carries Authorization (RFC 9111 3.5) */
	uint32_t max_age_s;   /* the stored response must not be older; UINT32_MAX: no demand */
	uint32_t min_fresh_s; /* it must stay fresh that long; 0: no demand */
	uint32_t max_stale_s; /* and may be stale by that much; 0: not at all */
};

void cache_request_policy(enum http_method method, const struct http_fields *fs,
                          const struct cache_rule *rule, struct cache_request *out);
/* May this object answer that request without asking the origin? */
bool cache_may_serve(const struct object *o, const struct cache_request *req, uint64_t wall_ms);

struct cache_response {
	bool storable; /* a shared cache may keep it, and it has a lifetime above 0 */
	bool revalidate;
	uint64_t lifetime_ms;   /* freshness lifetime (RFC 9111 4.2.1) */
	uint32_t initial_age_s; /* corrected_initial_age (RFC 9111 4.2.3) */
};

/* request_wall_ms, response_wall_ms: when the request was sent and the response came. A response
 * with Vary other than what the key holds is not storable here. */
struct cache_response_in {
	enum http_method method;
	unsigned status;
	bool authorized;
	const struct http_fields *fields;
	struct cache_rule rule;
	uint64_t request_wall_ms;
	uint64_t response_wall_ms;
};
void cache_response_policy(const struct cache_response_in *in, struct cache_response *out);

/* object.expires_ms of a storable response. */
static inline uint64_t cache_expires_ms(const struct cache_response *r, uint64_t response_wall_ms)
{
	return response_wall_ms + r->lifetime_ms - r->initial_age_s * 1000ull;
}

/* If-None-Match by weak comparison (RFC 9110 13.1.2), else If-Modified-Since when there is no
 * If-None-Match (13.1.3): true when 304 is the answer. */
bool cache_not_modified(const struct object *o, const struct http_fields *request);

#endif
