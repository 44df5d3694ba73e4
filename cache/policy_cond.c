/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Conditions on a stored answer (RFC 9110 13), and what else compares validators (RFC 9111 4.3). */
#include "cache/policy.h"

#include "cache/lines.h"
#include "lib/clock.h"

static bool etag_weak(struct span tag)
{
	return tag.len >= 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/';
}

/* An entity-tag without the weakness mark (RFC 9110 8.8.3.2). */
static struct span etag_opaque(struct span tag)
{
	return etag_weak(tag) ? span_of(tag.ptr + 2, tag.len - 2) : tag;
}

/* Does the list name the tag? strong: by strong comparison (8.8.3.2). What is no entity-tag ends
 * the list: unread members do not match. */
static bool etag_list_has(struct span list, struct span tag, bool strong)
{
	struct span opaque = etag_opaque(tag);
	size_t i = 0;

	if (tag.len == 0 || (strong && etag_weak(tag)))
		return false;
	while (i < list.len) {
		if (list.ptr[i] == ',' || list.ptr[i] == ' ' || list.ptr[i] == '\t') {
			i++;
			continue;
		}
		struct span rest = span_of(list.ptr + i, list.len - i);
		bool weak = etag_weak(rest);
		rest = etag_opaque(rest);
		if (rest.len < 2 || rest.ptr[0] != '"')
			return false;
		const char *close = memchr(rest.ptr + 1, '"', rest.len - 1);
		if (close == NULL)
			return false;
		if (span_eq(span_of(rest.ptr, (size_t)(close + 1 - rest.ptr)), opaque) &&
		    !(strong && weak))
			return true;
		i = (size_t)(close + 1 - list.ptr);
	}
	return false;
}

/* Any line of the field: "*", or a list that has the stored ETag. */
static bool etag_field_matches(const struct object *o, const struct http_fields *fs,
                               enum http_hdr id, bool strong)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		if (fs->f[i].id != id)
			continue;
		if (span_eq(fs->f[i].value, SPAN_LIT("*")) ||
		    etag_list_has(fs->f[i].value, object_etag(o), strong))
			return true;
	}
	return false;
}

/* The date of a condition; false: it says nothing. */
static bool date_get(const struct http_fields *fs, enum http_hdr id, uint64_t *out)
{
	uint32_t count;
	struct span v = http_field_get(fs, id, &count);

	return count == 1 && clock_parse_http_date(v.ptr, v.len, out);
}

static bool modified_get(const struct object *o, uint64_t *out)
{
	struct span v = object_last_modified(o);

	return v.len > 0 && clock_parse_http_date(v.ptr, v.len, out);
}

/* If-Modified-Since of a stored answer: without Last-Modified its Date counts (RFC 9111 4.3.2). */
static bool unmodified_since(const struct object *o, uint64_t since_s)
{
	struct span date;
	uint64_t s;

	if (o->last_modified_len > 0)
		return modified_get(o, &s) && s <= since_s;
	date = lines_find(object_fields(o), SPAN_LIT("Date"));
	return date.len > 0 && clock_parse_http_date(date.ptr, date.len, &s) && s <= since_s;
}

/* Steps 1 and 2 of RFC 9110 13.2.2. */
static bool condition_fails(const struct object *o, const struct http_fields *fs)
{
	uint64_t modified_s;
	uint64_t asked_s;

	if (http_fields_have(fs, HDR_IF_MATCH))
		return !etag_field_matches(o, fs, HDR_IF_MATCH, true);
	return http_fields_have(fs, HDR_IF_UNMODIFIED_SINCE) &&
	       date_get(fs, HDR_IF_UNMODIFIED_SINCE, &asked_s) && modified_get(o, &modified_s) &&
	       modified_s > asked_s;
}

enum cache_cond cache_condition(const struct object *o, enum http_method method,
                                const struct http_fields *request)
{
	const uint64_t conditions = http_hdr_bit(HDR_IF_MATCH) | http_hdr_bit(HDR_IF_NONE_MATCH) |
	                            http_hdr_bit(HDR_IF_MODIFIED_SINCE) |
	                            http_hdr_bit(HDR_IF_UNMODIFIED_SINCE);
	bool reads = method == HTTP_GET || method == HTTP_HEAD;
	uint64_t since_s;

	if (likely((request->seen & conditions) == 0) || o->status < 200 || o->status > 299)
		return COND_NONE;
	if (condition_fails(o, request))
		return COND_FAILED;
	/* Steps 3 and 4. */
	if (http_fields_have(request, HDR_IF_NONE_MATCH)) {
		if (!etag_field_matches(o, request, HDR_IF_NONE_MATCH, false))
			return COND_NONE;
		return reads ? COND_NOT_MODIFIED : COND_FAILED;
	}
	if (reads && date_get(request, HDR_IF_MODIFIED_SINCE, &since_s) &&
	    unmodified_since(o, since_s))
		return COND_NOT_MODIFIED;
	return COND_NONE;
}

bool cache_selects(const struct object *stored, const struct http_fields *response)
{
	uint32_t count;
	struct span tag = http_field_get(response, HDR_ETAG, &count);
	struct span ours = object_etag(stored);

	if (count > 1)
		return false;
	if (count == 1) {
		if (etag_weak(tag) || etag_weak(ours))
			return ours.len > 0 && span_eq(etag_opaque(tag), etag_opaque(ours));
		return span_eq(tag, ours);
	}
	struct span modified = http_field_get(response, HDR_LAST_MODIFIED, &count);
	if (count == 1)
		return span_eq(modified, object_last_modified(stored));
	return count == 0;
}

enum cache_head cache_head_compare(const struct object *stored, unsigned status,
                                   const struct http_fields *response)
{
	uint32_t count;
	struct span v = http_field_get(response, HDR_CONTENT_LENGTH, &count);
	int64_t len;

	if (status != 200 || stored->status != 200 ||
	    (stored->flags & (OBJECT_VARY | OBJECT_PASS)) != 0)
		return CACHE_HEAD_NOTHING;
	if (count == 1 && http_parse_length(v, &len) && stored->body_len != (uint64_t)len)
		return CACHE_HEAD_INVALIDATES;
	v = http_field_get(response, HDR_ETAG, &count);
	if (count > 0 && !span_eq(v, object_etag(stored)))
		return CACHE_HEAD_INVALIDATES;
	v = http_field_get(response, HDR_LAST_MODIFIED, &count);
	if (count > 0 && !span_eq(v, object_last_modified(stored)))
		return CACHE_HEAD_INVALIDATES;
	return CACHE_HEAD_FRESHENS;
}

bool cache_invalidates(enum http_method method, unsigned status)
{
	return !http_method_safe(method) && status >= 200 && status <= 399;
}
