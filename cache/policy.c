/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/policy.h"

#include "lib/clock.h"

#define AGE_MAX_S 2147483648ull /* what an overflow counts as (RFC 9111 1.2.2) */
#define ABSENT    UINT32_MAX

/* Request fields that this cache does not evaluate: such a request goes to the origin, and its
 * answer (a part, or the outcome of a condition) is not one for others. A body makes the answer
 * depend on more than the key. */
static bool request_bypasses(const struct http_fields *fs)
{
	const uint64_t ids = http_hdr_bit(HDR_RANGE) | http_hdr_bit(HDR_IF_MATCH) |
	                     http_hdr_bit(HDR_IF_UNMODIFIED_SINCE) | http_hdr_bit(HDR_IF_RANGE) |
	                     http_hdr_bit(HDR_TRANSFER_ENCODING);

	if ((fs->seen & ids) != 0)
		return true;
	if (!http_fields_have(fs, HDR_CONTENT_LENGTH))
		return false;
	int64_t len = -1;
	uint32_t count;
	struct span value = http_field_get(fs, HDR_CONTENT_LENGTH, &count);
	return count != 1 || !http_parse_length(value, &len) || len != 0;
}

void cache_request_policy(enum http_method method, const struct http_fields *fs,
                          const struct cache_rule *rule, struct cache_request *out)
{
	const uint64_t asked = http_hdr_bit(HDR_CACHE_CONTROL) | http_hdr_bit(HDR_PRAGMA);
	struct cache_control cc;

	*out = (struct cache_request){
	        .authorized = http_fields_have(fs, HDR_AUTHORIZATION),
	        .max_age_s = ABSENT,
	};
	if (rule->mode == CACHE_OFF)
		return;
	/* Most requests ask nothing of a cache. */
	if (likely((fs->seen & asked) == 0)) {
		out->lookup = (method == HTTP_GET || method == HTTP_HEAD) && !request_bypasses(fs);
		out->store = out->lookup && method == HTTP_GET;
		return;
	}
	cache_control_parse(fs, &cc);
	out->only_if_cached = cc.only_if_cached;
	if ((method != HTTP_GET && method != HTTP_HEAD) || request_bypasses(fs))
		return;
	out->lookup = !cc.no_cache && !cc.no_cache_fields;
	/* Pragma counts only where Cache-Control says nothing (RFC 9111 5.4). */
	if (!cc.present && http_field_has_token(fs, HDR_PRAGMA, SPAN_LIT("no-cache")))
		out->lookup = false;
	/* The answer to HEAD has no body to store. */
	out->store = method == HTTP_GET && !cc.no_store;
	out->max_age_s = cc.max_age_s;
	out->min_fresh_s = cc.min_fresh_s == ABSENT ? 0 : cc.min_fresh_s;
	out->max_stale_s = cc.max_stale_s == ABSENT ? 0 : cc.max_stale_s;
}

bool cache_may_serve(const struct object *o, const struct cache_request *req, uint64_t wall_ms)
{
	if (!req->lookup)
		return false;
	if (req->max_age_s != ABSENT && object_age_s(o, wall_ms) > req->max_age_s)
		return false;
	if (object_is_fresh(o, wall_ms))
		return o->expires_ms - wall_ms >= req->min_fresh_s * 1000ull;
	/* Stale: only where the client allows and the origin does not forbid (RFC 9111 4.2.4). */
	if ((o->flags & OBJECT_REVALIDATE) || req->min_fresh_s != 0 || req->max_stale_s == 0)
		return false;
	return req->max_stale_s == ABSENT - 1 ||
	       wall_ms - o->expires_ms <= req->max_stale_s * 1000ull;
}

/* Statuses that are cacheable by default (RFC 9110 15.1), without 206, which this cache does not
 * combine. Also those that must-understand may take as understood. */
static bool status_cacheable(unsigned status)
{
	static const uint16_t list[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (list[i] == status)
			return true;
	return false;
}

static bool date_field(const struct http_fields *fs, enum http_hdr id, uint64_t *wall_s)
{
	uint32_t count;
	struct span v = http_field_get(fs, id, &count);

	return count == 1 && clock_parse_http_date(v.ptr, v.len, wall_s);
}

/* The first member of the first Age field; 0 when that is no number (RFC 9111 5.1). */
static uint64_t age_value_s(const struct http_fields *fs)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		uint64_t age = 0;

		if (fs->f[i].id != HDR_AGE)
			continue;
		struct span v = fs->f[i].value;
		const char *comma = v.len > 0 ? memchr(v.ptr, ',', v.len) : NULL;
		if (comma != NULL)
			v = span_trim(span_of(v.ptr, (size_t)(comma - v.ptr)));
		for (size_t k = 0; k < v.len; k++) {
			if (v.ptr[k] < '0' || v.ptr[k] > '9')
				return 0;
			age = min_u64(age * 10 + (uint64_t)(v.ptr[k] - '0'), AGE_MAX_S);
		}
		return age;
	}
	return 0;
}

/* RFC 9111 4.2.3. */
static uint32_t initial_age_s(const struct cache_response_in *in)
{
	uint64_t response_s = in->response_wall_ms / 1000;
	uint64_t delay_s = 0;
	uint64_t date_s;
	uint64_t apparent_s = 0;

	if (in->response_wall_ms > in->request_wall_ms)
		delay_s = (in->response_wall_ms - in->request_wall_ms) / 1000;
	if (date_field(in->fields, HDR_DATE, &date_s) && response_s > date_s)
		apparent_s = response_s - date_s;
	uint64_t age_s = max_u64(apparent_s, age_value_s(in->fields) + delay_s);
	return (uint32_t)min_u64(age_s, AGE_MAX_S);
}

/* The lifetime that the origin states (RFC 9111 4.2.1); false when it states none. */
static bool explicit_lifetime_s(const struct cache_response_in *in, const struct cache_control *cc,
                                uint64_t *out)
{
	uint64_t expires_s;
	uint64_t date_s;

	if (cc->s_maxage_s != ABSENT || cc->max_age_s != ABSENT) {
		*out = cc->s_maxage_s != ABSENT ? cc->s_maxage_s : cc->max_age_s;
		return true;
	}
	if (!http_fields_have(in->fields, HDR_EXPIRES))
		return false;
	/* No date, or several: expired (5.3, 4.2.1). Without Date, it was made on arrival. */
	*out = 0;
	if (!date_field(in->fields, HDR_EXPIRES, &expires_s))
		return true;
	if (!date_field(in->fields, HDR_DATE, &date_s))
		date_s = in->response_wall_ms / 1000;
	if (expires_s > date_s)
		*out = min_u64(expires_s - date_s, AGE_MAX_S);
	return true;
}

static bool vary_is_empty(const struct http_fields *fs)
{
	for (uint32_t i = 0; i < fs->count; i++)
		if (fs->f[i].id == HDR_VARY && span_trim(fs->f[i].value).len > 0)
			return false;
	return true;
}

/* A cookie in a shared response goes to people that it is not for. RFC 9111 7.3 leaves it to the
 * origin to forbid that; here it must allow it in words, and an operator's TTL never does. */
static bool cookie_allows(const struct cache_response_in *in, const struct cache_control *cc)
{
	if (!http_fields_have(in->fields, HDR_SET_COOKIE))
		return true;
	return in->rule.mode == CACHE_ORIGIN && (cc->public_ || cc->s_maxage_s != ABSENT);
}

/* RFC 9111 3, apart from the lifetime. */
static bool may_store(const struct cache_response_in *in, const struct cache_control *cc,
                      bool explicit)
{
	bool understood = status_cacheable(in->status);

	if (in->rule.mode == CACHE_OFF || in->method != HTTP_GET)
		return false;
	if (in->status < 200 || in->status == 206 || in->status == 304)
		return false;
	if (!understood && (!explicit || cc->must_understand))
		return false;
	/* must-understand together with an understood status overrides no-store (5.2.2.3). */
	if (cc->no_store && !(cc->must_understand && understood))
		return false;
	/* Nothing is revalidated here, so a response that always needs it is of no use. */
	if (cc->private_ || cc->no_cache || cc->no_cache_fields)
		return false;
	/* RFC 9111 3.5 */
	if (in->authorized && !cc->public_ && !cc->must_revalidate && cc->s_maxage_s == ABSENT)
		return false;
	if (http_fields_have(in->fields, HDR_CONTENT_RANGE) || !vary_is_empty(in->fields))
		return false;
	return cookie_allows(in, cc);
}

void cache_response_policy(const struct cache_response_in *in, struct cache_response *out)
{
	struct cache_control cc;
	uint64_t lifetime_s = 0;

	cache_control_parse(in->fields, &cc);
	bool explicit = explicit_lifetime_s(in, &cc, &lifetime_s);
	*out = (struct cache_response){
	        /* s-maxage forbids stale answers as proxy-revalidate does (5.2.2.10). */
	        .revalidate = cc.must_revalidate || cc.proxy_revalidate ||
	                      cc.s_maxage_s != ABSENT || cc.no_cache || cc.no_cache_fields,
	        .lifetime_ms = lifetime_s * 1000,
	        .initial_age_s = initial_age_s(in),
	};
	/* The route's TTL counts from arrival, however old the response was by then. */
	if (in->rule.mode == CACHE_TTL)
		out->lifetime_ms =
		        in->rule.ttl_ms == 0 ? 0 : in->rule.ttl_ms + out->initial_age_s * 1000ull;
	out->storable =
	        may_store(in, &cc, explicit) && out->lifetime_ms > out->initial_age_s * 1000ull;
}

/* An entity-tag without the weakness mark (RFC 9110 8.8.3.2). */
static struct span etag_opaque(struct span tag)
{
	if (tag.len >= 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/')
		return span_of(tag.ptr + 2, tag.len - 2);
	return tag;
}

/* Does the list name the tag? What is no entity-tag ends the list: unread members do not match. */
static bool etag_list_has(struct span list, struct span opaque)
{
	size_t i = 0;

	while (i < list.len) {
		if (list.ptr[i] == ',' || list.ptr[i] == ' ' || list.ptr[i] == '\t') {
			i++;
			continue;
		}
		struct span rest = etag_opaque(span_of(list.ptr + i, list.len - i));
		if (rest.len < 2 || rest.ptr[0] != '"')
			return false;
		const char *close = memchr(rest.ptr + 1, '"', rest.len - 1);
		if (close == NULL)
			return false;
		if (span_eq(span_of(rest.ptr, (size_t)(close + 1 - rest.ptr)), opaque))
			return true;
		i = (size_t)(close + 1 - list.ptr);
	}
	return false;
}

bool cache_not_modified(const struct object *o, const struct http_fields *request)
{
	struct span opaque = etag_opaque(object_etag(o));
	struct span modified = object_last_modified(o);
	bool has_none_match = false;
	uint64_t since_s;
	uint64_t modified_s;

	/* A precondition counts only where the answer would be 2xx (RFC 9110 13.2.1). */
	if (o->status < 200 || o->status > 299)
		return false;
	for (uint32_t i = 0; i < request->count; i++) {
		struct span v = request->f[i].value;

		if (request->f[i].id != HDR_IF_NONE_MATCH)
			continue;
		has_none_match = true;
		if (span_eq(v, SPAN_LIT("*")) || (opaque.len > 0 && etag_list_has(v, opaque)))
			return true;
	}
	if (has_none_match || modified.len == 0)
		return false;
	return date_field(request, HDR_IF_MODIFIED_SINCE, &since_s) &&
	       clock_parse_http_date(modified.ptr, modified.len, &modified_s) &&
	       modified_s <= since_s;
}
