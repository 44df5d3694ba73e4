/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cache-Control (RFC 9111 5.2): name, or name=token, or name="quoted", in a comma-separated list.
 */
#include "cache/policy.h"
#include "cache/policy_private.h"

/* A delta-seconds that overflows is 2^31 (RFC 9111 1.2.2). */
#define DELTA_MAX 2147483648u
#define ABSENT    UINT32_MAX

struct directive {
	struct span name;
	struct span value; /* without quotes; ptr NULL when there is none */
	bool broken;       /* an unclosed quote, or something behind the value */
};

static bool is_ows(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static size_t skip_ows(struct span s, size_t i)
{
	while (i < s.len && is_ows(s.ptr[i]))
		i++;
	return i;
}

/* From behind the opening quote; returns the index behind the closing one, or s.len + 1 without. */
static size_t quoted_end(struct span s, size_t i)
{
	for (; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\')
			i++;
	}
	return s.len + 1;
}

static size_t token_end(struct span s, size_t i)
{
	while (i < s.len && s.ptr[i] != ',' && s.ptr[i] != '=' && !is_ows(s.ptr[i]))
		i++;
	return i;
}

/* The name, without what no token has: "no-store;" is meant as no-store, by origins that divide by
 * semicolons, and is taken so on the safe side. */
static struct span name_of(struct span word)
{
	size_t n = 0;

	while (n < word.len && is_name(word.ptr[n]))
		n++;
	return n > 0 ? span_of(word.ptr, n) : word;
}

/* Reads the value that begins at i; returns where the list goes on. */
static size_t value_read(struct span s, size_t i, struct directive *d)
{
	if (i < s.len && s.ptr[i] == '"') {
		size_t end = quoted_end(s, i + 1);
		if (end > s.len) {
			d->broken = true;
			d->value = span_of(s.ptr + i, s.len - i);
			return s.len;
		}
		d->value = span_of(s.ptr + i + 1, end - i - 2);
		return end;
	}
	size_t end = token_end(s, i);
	d->value = span_of(s.ptr + i, end - i);
	return end;
}

/* The next directive of the list from *pos; false at its end. */
static bool directive_next(struct span s, size_t *pos, struct directive *d)
{
	size_t i = *pos;

	while (i < s.len && (s.ptr[i] == ',' || is_ows(s.ptr[i])))
		i++;
	if (i >= s.len)
		return false;
	*d = (struct directive){0};
	size_t end = token_end(s, i);
	d->name = name_of(span_of(s.ptr + i, end - i));
	i = end;
	if (i < s.len && s.ptr[i] == '=')
		i = value_read(s, i + 1, d);
	i = skip_ows(s, i);
	while (i < s.len && s.ptr[i] != ',') { /* what the grammar does not have here */
		d->broken = true;
		i = s.ptr[i] == '"' ? min_size(quoted_end(s, i + 1), s.len) : i + 1;
	}
	*pos = i;
	return true;
}

static bool delta_parse(struct span value, uint32_t *out)
{
	uint64_t n = 0;

	if (value.len == 0)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
		n = min_u64(n * 10 + (uint64_t)(value.ptr[i] - '0'), DELTA_MAX);
	}
	*out = (uint32_t)n;
	return true;
}

/* bad: what a repeated or malformed one counts as. */
static void delta_set(uint32_t *field, const struct directive *d, uint32_t bad)
{
	uint32_t n;

	if (*field != ABSENT || d->broken || !delta_parse(d->value, &n))
		n = bad;
	*field = n;
}

static void max_stale_set(struct cache_control *cc, const struct directive *d)
{
	if (d->value.ptr == NULL && !d->broken && cc->max_stale_s == ABSENT)
		cc->max_stale_s = ABSENT - 1;
	else
		delta_set(&cc->max_stale_s, d, 0);
}

static bool number_apply(struct cache_control *cc, const struct directive *d)
{
	const struct {
		struct span name;
		uint32_t *field;
		uint32_t bad;
	} rows[] = {
	        {SPAN_LIT("max-age"), &cc->max_age_s, 0},
	        {SPAN_LIT("s-maxage"), &cc->s_maxage_s, 0},
	        {SPAN_LIT("min-fresh"), &cc->min_fresh_s, DELTA_MAX},
	        {SPAN_LIT("stale-while-revalidate"), &cc->stale_while_revalidate_s, 0},
	        {SPAN_LIT("stale-if-error"), &cc->stale_if_error_s, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_eq_nocase(d->name, rows[i].name))
			continue;
		delta_set(rows[i].field, d, rows[i].bad);
		return true;
	}
	return false;
}

bool *cache_control_flag(struct cache_control *cc, struct span name)
{
	const struct {
		struct span name;
		bool *flag;
	} rows[] = {
	        {SPAN_LIT("no-store"), &cc->no_store},
	        {SPAN_LIT("public"), &cc->public_},
	        {SPAN_LIT("must-revalidate"), &cc->must_revalidate},
	        {SPAN_LIT("proxy-revalidate"), &cc->proxy_revalidate},
	        {SPAN_LIT("must-understand"), &cc->must_understand},
	        {SPAN_LIT("no-transform"), &cc->no_transform},
	        {SPAN_LIT("only-if-cached"), &cc->only_if_cached},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_eq_nocase(name, rows[i].name))
			return rows[i].flag;
	return NULL;
}

/* Is there a field name in the value of private or no-cache? */
static bool names_any(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] != ',' && !is_ows(value.ptr[i]))
			return true;
	return false;
}

static void directive_apply(struct cache_control *cc, const struct directive *d)
{
	/* An unclosed quote may hide directives that forbid storing. */
	if (d->broken)
		cc->no_store = true;
	if (span_eq_nocase(d->name, SPAN_LIT("no-cache"))) {
		*(names_any(d->value) ? &cc->no_cache_fields : &cc->no_cache) = true;
	} else if (span_eq_nocase(d->name, SPAN_LIT("private"))) {
		*(names_any(d->value) ? &cc->private_fields : &cc->private_) = true;
	} else if (span_eq_nocase(d->name, SPAN_LIT("max-stale"))) {
		max_stale_set(cc, d);
	} else if (!number_apply(cc, d)) {
		bool *flag = cache_control_flag(cc, d->name);

		if (flag != NULL)
			*flag = true;
	}
}

void cache_control_clear(struct cache_control *out)
{
	*out = (struct cache_control){
	        .max_age_s = ABSENT,
	        .s_maxage_s = ABSENT,
	        .max_stale_s = ABSENT,
	        .min_fresh_s = ABSENT,
	        .stale_while_revalidate_s = ABSENT,
	        .stale_if_error_s = ABSENT,
	};
}

void cache_control_parse(const struct http_fields *fs, struct cache_control *out)
{
	cache_control_clear(out);
	if (!http_fields_have(fs, HDR_CACHE_CONTROL))
		return;
	for (uint32_t i = 0; i < fs->count; i++) {
		struct directive d;
		size_t pos = 0;

		if (fs->f[i].id != HDR_CACHE_CONTROL)
			continue;
		out->present = true;
		while (directive_next(fs->f[i].value, &pos, &d))
			directive_apply(out, &d);
	}
}

enum http_hdr cache_control_response(const struct http_fields *fs, struct cache_control *out)
{
	if (cache_targeted_parse(fs, HDR_SLUICE_CACHE_CONTROL, out))
		return HDR_SLUICE_CACHE_CONTROL;
	if (cache_targeted_parse(fs, HDR_CDN_CACHE_CONTROL, out))
		return HDR_CDN_CACHE_CONTROL;
	cache_control_parse(fs, out);
	return out->present ? HDR_CACHE_CONTROL : HDR_OTHER;
}

/* Does the comma-separated list in value name the field? */
static bool names_have(struct span value, struct span name)
{
	size_t at = 0;

	while (at < value.len) {
		const char *comma = memchr(value.ptr + at, ',', value.len - at);
		size_t end = comma != NULL ? (size_t)(comma - value.ptr) : value.len;

		if (span_eq_nocase(span_trim(span_of(value.ptr + at, end - at)), name))
			return true;
		at = end + 1;
	}
	return false;
}

static bool directive_excludes(const struct directive *d, struct span name)
{
	if (!span_eq_nocase(d->name, SPAN_LIT("private")) &&
	    !span_eq_nocase(d->name, SPAN_LIT("no-cache")))
		return false;
	return names_have(d->value, name);
}

bool cache_field_listed(const struct http_fields *fs, struct span name)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		enum http_hdr id = fs->f[i].id;
		struct directive d;
		size_t pos = 0;

		if (id != HDR_CACHE_CONTROL && id != HDR_CDN_CACHE_CONTROL &&
		    id != HDR_SLUICE_CACHE_CONTROL)
			continue;
		while (directive_next(fs->f[i].value, &pos, &d))
			if (directive_excludes(&d, name))
				return true;
	}
	return false;
}

bool cache_field_excluded(const struct http_fields *fs, const struct http_field *f)
{
	return http_field_is_hop(fs, f) || cache_field_listed(fs, f->name);
}
