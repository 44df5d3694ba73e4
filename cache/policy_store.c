/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses: may they be stored, and how long are they fresh (RFC 9111 3, 4.2). */
#include "cache/policy.h"
#include "cache/vary.h"

#include "lib/clock.h"

#define AGE_MAX_S 2147483648ull /* what an overflow counts as (RFC 9111 1.2.2) */
#define ABSENT    UINT32_MAX

/* What is known of a response while it is judged. */
struct judged {
	const struct cache_response_in *in;
	struct cache_control cc;
	enum http_hdr source; /* the field that cc came from */
	bool explicit;        /* the origin states a lifetime */
	bool heuristic;
	bool understood;
	bool error; /* one that may have the negative TTL */
	enum vary_kind vary;
};

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

static bool status_negative(unsigned status)
{
	return status == 404 || status == 405 || status == 410 || status == 414 ||
	       (status >= 500 && status <= 599);
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
	const struct http_fields *aged = in->aged != NULL ? in->aged : in->fields;
	uint64_t response_s = in->response_wall_ms / 1000;
	uint64_t delay_s = 0;
	uint64_t date_s;
	uint64_t apparent_s = 0;

	if (in->response_wall_ms > in->request_wall_ms)
		delay_s = (in->response_wall_ms - in->request_wall_ms) / 1000;
	if (date_field(in->fields, HDR_DATE, &date_s) && response_s > date_s)
		apparent_s = response_s - date_s;
	uint64_t age_s = max_u64(apparent_s, age_value_s(aged) + delay_s);
	return (uint32_t)min_u64(age_s, AGE_MAX_S);
}

/* When it was made: on arrival, when it does not say (RFC 9111 4.2.1). */
static uint64_t made_s(const struct cache_response_in *in)
{
	uint64_t date_s;

	if (!date_field(in->fields, HDR_DATE, &date_s))
		return in->response_wall_ms / 1000;
	return date_s;
}

/* The lifetime that the origin states (RFC 9111 4.2.1); false when it states none. */
static bool explicit_lifetime_s(const struct judged *j, uint64_t *out)
{
	const struct cache_control *cc = &j->cc;
	uint64_t expires_s;

	*out = 0;
	if (cc->s_maxage_s != ABSENT || cc->max_age_s != ABSENT) {
		*out = cc->s_maxage_s != ABSENT ? cc->s_maxage_s : cc->max_age_s;
		return true;
	}
	/* A targeted field speaks instead of Expires too (RFC 9213 2.1). */
	if ((j->source != HDR_OTHER && j->source != HDR_CACHE_CONTROL) ||
	    !http_fields_have(j->in->fields, HDR_EXPIRES))
		return false;
	/* No date, or several: expired (5.3, 4.2.1). */
	if (date_field(j->in->fields, HDR_EXPIRES, &expires_s) && expires_s > made_s(j->in))
		*out = min_u64(expires_s - made_s(j->in), AGE_MAX_S);
	return true;
}

/* RFC 9111 4.2.2. */
static bool heuristic_lifetime_s(const struct judged *j, uint64_t *out)
{
	const struct cache_rule *rule = &j->in->rule;
	uint64_t modified_s;

	if (rule->heuristic_pct == 0 || (!j->understood && !j->cc.public_))
		return false;
	if (!date_field(j->in->fields, HDR_LAST_MODIFIED, &modified_s) ||
	    modified_s >= made_s(j->in))
		return false;
	*out = (made_s(j->in) - modified_s) * rule->heuristic_pct / 100;
	*out = min_u64(*out, rule->heuristic_max_s);
	return *out > 0;
}

static uint64_t jittered(const struct cache_response_in *in, uint64_t ms)
{
	uint64_t most = ms / 100 * in->rule.ttl_jitter_pct;

	return ms - (most * (in->random >> 16) >> 16);
}

/* The rule's TTL, or what became of it. */
static uint64_t rule_ttl_ms(const struct cache_response_in *in)
{
	const struct cache_rule *rule = &in->rule;
	uint64_t ms = in->unchanged ? in->former_ms * 2 : in->former_ms / 2;

	if (rule->mode != CACHE_TTL)
		return 0;
	if (rule->ttl_max_ms == 0 || in->former_ms == 0 || rule->ttl_ms == 0)
		return rule->ttl_ms;
	return min_u64(max_u64(ms, rule->ttl_min_ms), rule->ttl_max_ms);
}

/* Sets j->explicit and j->heuristic. The age counts against what the origin states; a TTL of the
 * rule begins on arrival, however old the response was by then. */
static uint64_t lifetime_ms(struct judged *j, uint32_t age_s)
{
	const struct cache_rule *rule = &j->in->rule;
	uint64_t own_ms = rule_ttl_ms(j->in);
	uint64_t s = 0;

	j->explicit = explicit_lifetime_s(j, &s);
	if (j->cc.no_cache)
		return 0;
	if (j->error && rule->negative_ttl_ms > 0 && (!j->explicit || own_ms > 0))
		own_ms = rule->negative_ttl_ms;
	if (own_ms > 0)
		return jittered(j->in, own_ms) + age_s * 1000ull;
	if (rule->mode == CACHE_TTL)
		return 0;
	if (!j->explicit)
		j->heuristic = heuristic_lifetime_s(j, &s);
	return jittered(j->in, s * 1000);
}

/* A cookie in a shared response goes to people that it is not for. RFC 9111 7.3 leaves it to the
 * origin to forbid that; here it must allow it in words, and an operator's TTL never does. A cookie
 * that is not stored does no harm. */
static bool cookie_allows(const struct judged *j)
{
	const struct http_fields *fs = j->in->fields;
	bool cookie = false;

	if (!http_fields_have(fs, HDR_SET_COOKIE))
		return true;
	for (uint32_t i = 0; i < fs->count; i++)
		if (fs->f[i].id == HDR_SET_COOKIE)
			cookie |= !cache_field_excluded(fs, &fs->f[i]);
	return !cookie ||
	       (j->in->rule.mode == CACHE_ORIGIN && (j->cc.public_ || j->cc.s_maxage_s != ABSENT));
}

/* Does anything say that it may be kept (RFC 9111 3, the last item)? */
static bool status_allows(const struct judged *j)
{
	if (j->in->status < 200 || j->in->status == 206 || j->in->status == 304)
		return false;
	if (j->cc.must_understand)
		return j->understood;
	return j->understood || j->explicit || j->cc.public_ ||
	       (j->error && j->in->rule.negative_ttl_ms > 0);
}

/* Is an answer to this method one to keep? */
static bool method_allows(const struct cache_response_in *in)
{
	return in->method == HTTP_GET || (in->method == HTTP_POST && in->rule.keyed_body);
}

/* RFC 9111 3, apart from the lifetime. */
static bool may_store(const struct judged *j)
{
	const struct cache_response_in *in = j->in;
	const struct cache_control *cc = &j->cc;

	if (in->rule.mode == CACHE_OFF || !method_allows(in) || !status_allows(j))
		return false;
	/* must-understand together with an understood status overrides no-store (5.2.2.3). */
	if (cc->no_store && !(cc->must_understand && j->understood))
		return false;
	if (cc->private_)
		return false;
	/* RFC 9111 3.5 */
	if (in->authorized && !cc->public_ && !cc->must_revalidate && cc->s_maxage_s == ABSENT)
		return false;
	/* Of 416: the length that a part was asked of. Elsewhere the field says nothing (RFC
	 * 9110 14.4). */
	if (in->status == 416 && http_fields_have(in->fields, HDR_CONTENT_RANGE))
		return false;
	if (j->vary == VARY_ANY || (j->vary == VARY_LIST && !in->variant))
		return false;
	return cookie_allows(j);
}

/* Stored although it is not fresh: to be validated. Where the origin says nothing of caching, an
 * ETag must name the very answer; a date may be one of many answers. */
static bool may_validate(const struct judged *j)
{
	const struct http_fields *fs = j->in->fields;

	if (http_fields_have(fs, HDR_ETAG))
		return true;
	return http_fields_have(fs, HDR_LAST_MODIFIED) &&
	       (j->explicit || j->cc.no_cache || j->cc.public_);
}

/* RFC 5861; RFC 9111 4.2.4 for what forbids it. The rule's own windows are not for errors. */
static void stale_windows(const struct judged *j, struct cache_response *out)
{
	const struct cache_rule *rule = &j->in->rule;
	const struct cache_control *cc = &j->cc;
	bool ours = j->in->status < 400;

	if (out->revalidate)
		return;
	out->stale_while_s = ours ? rule->stale_while_s : 0;
	out->stale_error_s = ours ? rule->stale_error_s : 0;
	if (cc->stale_while_revalidate_s != ABSENT)
		out->stale_while_s = cc->stale_while_revalidate_s;
	if (cc->stale_if_error_s != ABSENT)
		out->stale_error_s = cc->stale_if_error_s;
}

/* Would the next answer for this key not be shared either? Not said of one that only this request's
 * credentials or the present state of the origin kept out. */
static bool may_pass(const struct judged *j)
{
	const struct cache_response_in *in = j->in;

	return in->rule.mode != CACHE_OFF && in->rule.pass_ms > 0 && method_allows(in) &&
	       !in->authorized && in->status >= 200 && in->status < 500 && in->status != 206 &&
	       in->status != 304 && (j->vary != VARY_LIST || in->variant);
}

static uint16_t object_flags(const struct judged *j, const struct cache_response *r)
{
	uint16_t flags = 0;

	if (r->storable)
		flags |= OBJECT_STORABLE;
	if (r->revalidate)
		flags |= OBJECT_REVALIDATE;
	if (j->heuristic)
		flags |= OBJECT_HEURISTIC;
	if (j->cc.no_transform)
		flags |= OBJECT_NO_TRANSFORM;
	if (j->in->authorized)
		flags |= OBJECT_AUTHORIZED;
	if (j->source == HDR_SLUICE_CACHE_CONTROL)
		flags |= OBJECT_TARGETED;
	return flags;
}

void cache_response_policy(const struct cache_response_in *in, struct cache_response *out)
{
	char names_text[VARY_NAMES_MAX];
	struct span names;
	struct judged j = {
	        .in = in,
	        .understood = status_cacheable(in->status),
	        .error = status_negative(in->status),
	        .vary = vary_of(in->fields, names_text, &names),
	};

	j.source = cache_control_response(in->fields, &j.cc);
	*out = (struct cache_response){
	        /* s-maxage forbids stale answers as proxy-revalidate does (5.2.2.10). */
	        .revalidate = j.cc.must_revalidate || j.cc.proxy_revalidate ||
	                      j.cc.s_maxage_s != ABSENT || j.cc.no_cache,
	        .partial = j.cc.private_fields || j.cc.no_cache_fields,
	        .initial_age_s = initial_age_s(in),
	};
	out->lifetime_ms = lifetime_ms(&j, out->initial_age_s);
	stale_windows(&j, out);
	bool stored = may_store(&j);
	bool fresh = out->lifetime_ms > out->initial_age_s * 1000ull;
	out->shared = stored && (fresh || out->stale_while_s > 0);
	out->storable = stored && (out->shared || out->stale_error_s > 0 || may_validate(&j));
	out->pass = !out->storable && may_pass(&j);
	out->flags = object_flags(&j, out);
}
