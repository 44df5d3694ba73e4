/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests: what may answer them (RFC 9111 4, 5.2.1; RFC 5861). */
#include "cache/policy.h"

#include "cache/range.h"

#define ABSENT UINT32_MAX

/* Fields that this cache leaves to the origin: If-Match and If-Unmodified-Since are not for a cache
 * to evaluate (RFC 9111 4.3.2), and a body makes the answer depend on more than the key, unless
 * that is made of it. */
static bool request_bypasses(const struct http_fields *fs, bool keyed_body)
{
	const uint64_t ids = http_hdr_bit(HDR_IF_MATCH) | http_hdr_bit(HDR_IF_UNMODIFIED_SINCE) |
	                     http_hdr_bit(HDR_TRANSFER_ENCODING);

	if ((fs->seen & ids) != 0)
		return true;
	if (keyed_body || !http_fields_have(fs, HDR_CONTENT_LENGTH))
		return false;
	int64_t len = -1;
	uint32_t count;
	struct span value = http_field_get(fs, HDR_CONTENT_LENGTH, &count);
	return count != 1 || !http_parse_length(value, &len) || len != 0;
}

/* May the whole be asked for, to store it, where a part is wanted? Not where the answer will hardly
 * be for others. */
static NOINLINE bool range_fills(const struct http_fields *fs, const struct cache_rule *rule)
{
	uint64_t first;

	return rule->range_fill_bytes > 0 && !http_fields_have(fs, HDR_AUTHORIZATION) &&
	       range_begins(fs, &first) && first < rule->range_fill_bytes;
}

void cache_request_policy(enum http_method method, const struct http_fields *fs,
                          const struct cache_rule *rule, struct cache_request *out)
{
	const uint64_t asked = http_hdr_bit(HDR_CACHE_CONTROL) | http_hdr_bit(HDR_PRAGMA);
	bool keyed_body = rule->keyed_body && method == HTTP_POST;
	struct cache_control cc;

	if (keyed_body)
		method = HTTP_GET;
	*out = (struct cache_request){
	        .authorized = http_fields_have(fs, HDR_AUTHORIZATION),
	        .range = http_fields_have(fs, HDR_RANGE),
	        .max_age_s = ABSENT,
	};
	if (rule->mode == CACHE_OFF)
		return;
	/* Most requests ask nothing of a cache. */
	if (likely((fs->seen & asked) == 0)) {
		out->lookup = (method == HTTP_GET || method == HTTP_HEAD) &&
		              !request_bypasses(fs, keyed_body);
		/* The answer to HEAD has no body to store, that to Range is a part. */
		out->store = out->lookup && method == HTTP_GET;
		if (unlikely(out->range) && out->store)
			out->store = range_fills(fs, rule);
		return;
	}
	cache_control_parse(fs, &cc);
	out->only_if_cached = cc.only_if_cached;
	if ((method != HTTP_GET && method != HTTP_HEAD) || request_bypasses(fs, keyed_body))
		return;
	out->lookup = !cc.no_cache && !cc.no_cache_fields;
	/* Pragma counts only where Cache-Control says nothing (RFC 9111 5.4). */
	if (!cc.present && http_field_has_token(fs, HDR_PRAGMA, SPAN_LIT("no-cache")))
		out->lookup = false;
	out->store = method == HTTP_GET && !cc.no_store && (!out->range || range_fills(fs, rule));
	out->max_age_s = cc.max_age_s;
	out->min_fresh_s = cc.min_fresh_s == ABSENT ? 0 : cc.min_fresh_s;
	out->max_stale_s = cc.max_stale_s == ABSENT ? 0 : cc.max_stale_s;
	out->stale_error_s = cc.stale_if_error_s == ABSENT ? 0 : cc.stale_if_error_s;
}

static bool within_s(uint64_t expires_ms, uint64_t wall_ms, uint32_t s)
{
	return wall_ms < expires_ms || wall_ms - expires_ms < s * 1000ull;
}

enum cache_use cache_use(const struct object *o, const struct cache_request *req, uint64_t wall_ms)
{
	if (!req->lookup || unlikely((o->flags & (OBJECT_VARY | OBJECT_PASS)) != 0))
		return CACHE_USE_NOT;
	/* 0 is how clients ask for an answer that the origin has confirmed, although one that came
	 * within this second is no older (5.2.1.1). */
	if (unlikely(req->max_age_s != ABSENT) &&
	    (req->max_age_s == 0 || object_age_s(o, wall_ms) > req->max_age_s))
		return CACHE_USE_NOT;
	if (likely(object_is_fresh(o, wall_ms)))
		return o->expires_ms - wall_ms >= req->min_fresh_s * 1000ull ? CACHE_USE_FRESH
		                                                             : CACHE_USE_NOT;
	/* Stale: only where the origin or the client allows it and the origin does not forbid it
	 * (RFC 9111 4.2.4). */
	if ((o->flags & OBJECT_REVALIDATE) || req->min_fresh_s != 0)
		return CACHE_USE_NOT;
	/* With max-age and without max-stale the client wants no stale answer (5.2.1.1). */
	if (req->max_age_s == ABSENT && within_s(o->expires_ms, wall_ms, o->stale_while_s))
		return CACHE_USE_REFRESH;
	if (req->max_stale_s == 0)
		return CACHE_USE_NOT;
	if (req->max_stale_s == ABSENT - 1 || wall_ms - o->expires_ms <= req->max_stale_s * 1000ull)
		return CACHE_USE_STALE;
	return CACHE_USE_NOT;
}

bool cache_use_on_error(const struct object *o, const struct cache_request *req, uint64_t wall_ms)
{
	uint32_t s = max_u32(o->stale_error_s, req->stale_error_s);

	if (!req->lookup || (o->flags & (OBJECT_VARY | OBJECT_PASS | OBJECT_REVALIDATE)) != 0)
		return false;
	return s > 0 && within_s(o->expires_ms, wall_ms, s);
}

bool cache_status_fails(unsigned status)
{
	return status == 500 || status == 502 || status == 503 || status == 504;
}
