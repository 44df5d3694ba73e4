/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/read_name.h"

#include "lib/http1.h"
#include "lib/key_template.h"

/* Not what divides names, or stands in keys behind them. */
static bool is_name_char(char c)
{
	return c > ' ' && c < 0x7f && !strchr(",\"\\;=&%|", c);
}

/* Fields that an origin does not get as the client sent them, or not for a whole answer: it cannot
 * have read what the client said. */
static bool is_passed_on(struct span name)
{
	enum http_hdr id = http_hdr_lookup(name);

	switch (id) {
	case HDR_HOST:
	case HDR_CONNECTION:
	case HDR_EXPECT:
	case HDR_FORWARDED:
	case HDR_X_FORWARDED_FOR:
	case HDR_X_FORWARDED_PROTO:
	case HDR_X_FORWARDED_HOST:
	case HDR_X_FORWARDED_PORT:
	case HDR_X_FORWARDED_SERVER:
	case HDR_X_REQUEST_ID:
	case HDR_VIA:
	case HDR_IF_NONE_MATCH:
	case HDR_IF_MODIFIED_SINCE:
	case HDR_IF_MATCH:
	case HDR_IF_UNMODIFIED_SINCE:
	case HDR_IF_RANGE:
	case HDR_RANGE:
		return false;
	default:
		return !http_hdr_is_hop(id);
	}
}

bool read_name_parse(struct span text, struct read_name *out)
{
	const char *dot = text.len > 0 ? memchr(text.ptr, '.', text.len) : NULL;
	size_t n = dot ? (size_t)(dot - text.ptr) : text.len;

	*out = (struct read_name){
	        .source = template_source(span_of(text.ptr, n), dot != NULL),
	        .name = dot ? span_of(dot + 1, text.len - n - 1) : span_of(NULL, 0),
	};
	if (out->source == RULE_SOURCE_COUNT || out->source == RULE_BODY ||
	    out->source == RULE_BODY_FIELD || (dot && out->name.len == 0))
		return false;
	for (size_t i = 0; i < out->name.len; i++)
		if (!is_name_char(out->name.ptr[i]))
			return false;
	return out->source != RULE_HEADER || is_passed_on(out->name);
}

bool read_names_next(struct span *rest, struct span *name)
{
	const char *comma = rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
	size_t n = comma ? (size_t)(comma - rest->ptr) : rest->len;

	if (rest->len == 0)
		return false;
	*name = span_of(rest->ptr, n);
	n += comma != NULL;
	*rest = span_of(rest->ptr + n, rest->len - n);
	return true;
}

static int name_order(struct span a, struct span b)
{
	int order = memcmp(a.ptr, b.ptr, min_size(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool read_names_add(struct read_names *list, struct span text)
{
	struct span rest = span_of(list->text, list->len), have;
	char old[RULE_READS_MAX], copy[RULE_READS_MAX];
	struct read_name r;
	bool put = false;
	size_t at = 0;

	if (text.len >= sizeof(copy) || !read_name_parse(text, &r))
		return false;
	for (size_t i = 0; i < text.len; i++)
		copy[i] = r.source == RULE_HEADER ? ascii_lower(text.ptr[i]) : text.ptr[i];
	text.ptr = copy;
	while (read_names_next(&rest, &have))
		if (span_eq(have, text))
			return true;
	if (list->count == RULE_READS_COUNT || text.len + 1 > sizeof(list->text) - list->len)
		return false;
	memcpy(old, list->text, list->len);
	rest = span_of(old, list->len);
	while (!put) {
		bool more = read_names_next(&rest, &have);

		put = !more || name_order(text, have) < 0;
		for (int pass = put ? 0 : 1; pass < 1 + more; pass++) {
			struct span s = pass == 0 ? text : have;

			if (at > 0)
				list->text[at++] = ',';
			memcpy(list->text + at, s.ptr, s.len);
			at += s.len;
		}
	}
	if (rest.len > 0) {
		list->text[at++] = ',';
		memcpy(list->text + at, rest.ptr, rest.len);
		at += rest.len;
	}
	list->len = at;
	list->count++;
	return true;
}
