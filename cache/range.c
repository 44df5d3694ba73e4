/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/range.h"

#include "cache/lines.h"
#include "lib/clock.h"

/* 1*DIGIT at *i; saturates. */
static bool number(struct span s, size_t *i, uint64_t *out)
{
	size_t begin = *i;
	uint64_t n = 0;

	for (; *i < s.len && s.ptr[*i] >= '0' && s.ptr[*i] <= '9'; (*i)++) {
		uint64_t digit = (uint64_t)(s.ptr[*i] - '0');
		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	*out = n;
	return *i > begin;
}

static size_t skip_ows(struct span s, size_t i)
{
	while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t'))
		i++;
	return i;
}

/* One range-spec (RFC 9110 14.1.2) at *i. out->len 0: it cannot be satisfied. False: no range. */
static bool spec_read(struct span s, size_t *i, uint64_t total, struct byte_range *out)
{
	uint64_t first = 0;
	uint64_t last = UINT64_MAX;
	bool has_first = number(s, i, &first);

	*out = (struct byte_range){0};
	if (*i >= s.len || s.ptr[*i] != '-')
		return false;
	(*i)++;
	bool has_last = number(s, i, &last);
	if (!has_first) {
		if (!has_last)
			return false;
		last = min_u64(last, total); /* a suffix: how many at the end */
		*out = (struct byte_range){total - last, last};
		return true;
	}
	if (!has_last)
		last = UINT64_MAX;
	if (last < first)
		return false;
	if (first < total)
		*out = (struct byte_range){first, min_u64(last, total - 1) - first + 1};
	return true;
}

static bool overlaps(const struct byte_range *list, uint32_t count, const struct byte_range *r)
{
	for (uint32_t i = 0; i < count; i++)
		if (r->first < list[i].first + list[i].len && list[i].first < r->first + r->len)
			return true;
	return false;
}

static enum range_result set_read(struct span s, uint64_t total, struct byte_range *out,
                                  uint32_t *count)
{
	uint32_t specs = 0;
	size_t i = 0;

	for (;;) {
		struct byte_range r;

		while (i < s.len && (s.ptr[i] == ',' || s.ptr[i] == ' ' || s.ptr[i] == '\t'))
			i++;
		if (i >= s.len)
			break;
		if (!spec_read(s, &i, total, &r) || ++specs > RANGES_MAX)
			return RANGE_WHOLE;
		i = skip_ows(s, i);
		if (i < s.len && s.ptr[i] != ',')
			return RANGE_WHOLE;
		if (r.len == 0)
			continue;
		if (overlaps(out, *count, &r))
			return RANGE_WHOLE;
		out[(*count)++] = r;
	}
	if (specs == 0)
		return RANGE_WHOLE;
	return *count == 0 ? RANGE_NONE : *count == 1 ? RANGE_PART : RANGE_PARTS;
}

/* Is Last-Modified a strong validator: a whole second before Date (RFC 9110 8.8.2.2)? */
static bool modified_strong(const struct object *o)
{
	struct span modified = object_last_modified(o);
	struct span date = lines_find(object_fields(o), SPAN_LIT("Date"));
	uint64_t modified_s;
	uint64_t date_s;

	return clock_parse_http_date(modified.ptr, modified.len, &modified_s) && date.len > 0 &&
	       clock_parse_http_date(date.ptr, date.len, &date_s) && modified_s < date_s;
}

/* RFC 9110 13.1.5 */
static bool if_range_holds(const struct object *o, const struct http_fields *request)
{
	uint32_t count;
	struct span v = http_field_get(request, HDR_IF_RANGE, &count);

	if (count == 0)
		return true;
	if (count > 1 || v.len == 0)
		return false;
	if (v.ptr[0] == '"')
		return span_eq(v, object_etag(o)); /* ours is strong, then, too */
	/* An ETag that is weak, or a date. */
	return o->last_modified_len > 0 && span_eq(v, object_last_modified(o)) &&
	       modified_strong(o);
}

/* The set of ranges behind "bytes="; empty: there is none. */
static struct span set_of(const struct http_fields *request)
{
	const struct span unit = SPAN_LIT("bytes=");
	uint32_t lines;
	struct span v = http_field_get(request, HDR_RANGE, &lines);

	if (lines != 1 || v.len < unit.len || !span_eq_nocase(span_of(v.ptr, unit.len), unit))
		return span_of(NULL, 0);
	return span_of(v.ptr + unit.len, v.len - unit.len);
}

bool range_begins(const struct http_fields *request, uint64_t *first)
{
	struct span set = set_of(request);
	struct byte_range r;
	size_t i = skip_ows(set, 0);
	size_t at = i;

	return number(set, &at, first) && spec_read(set, &i, UINT64_MAX, &r) &&
	       skip_ows(set, i) == set.len;
}

enum range_result range_resolve(const struct object *o, const struct http_fields *request,
                                struct byte_range *out, uint32_t *count)
{
	struct span set = set_of(request);

	*count = 0;
	if (set.len == 0 || o->status != 200 || o->body_len == UINT64_MAX ||
	    !if_range_holds(o, request))
		return RANGE_WHOLE;
	enum range_result r = set_read(set, o->body_len, out, count);
	if (r == RANGE_WHOLE)
		*count = 0;
	return r;
}
