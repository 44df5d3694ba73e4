/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targeted fields (RFC 9213): Cache-Control for one kind of cache, as a Dictionary of RFC 9651.
 * What breaks the syntax anywhere makes the whole field void, so that the next in the list counts.
 */
#include "cache/policy_private.h"

#define ABSENT        UINT32_MAX
#define DELTA_MAX     2147483648u
#define MEMBERS_MAX   128u /* a field with more is void */
#define INT_DIGITS    15u
#define DECIMAL_WHOLE 12u
#define DECIMAL_PART  3u

enum sf_type { SF_BOOL, SF_INTEGER, SF_STRING, SF_OTHER };

struct sf_value {
	enum sf_type type;
	int64_t number;     /* SF_INTEGER; SF_BOOL: 0 or 1 */
	struct span string; /* SF_STRING, between the quotes, escapes as they are */
};

struct reader {
	const char *at;
	const char *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool at_char(const struct reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

static bool take(struct reader *r, char c)
{
	if (!at_char(r, c))
		return false;
	r->at++;
	return true;
}

static void skip_spaces(struct reader *r)
{
	while (at_char(r, ' '))
		r->at++;
}

static void skip_ows(struct reader *r)
{
	while (at_char(r, ' ') || at_char(r, '\t'))
		r->at++;
}

/* RFC 9651 4.2.3.3 */
static bool read_key(struct reader *r, struct span *out)
{
	const char *begin = r->at;

	if (r->at >= r->end || !(is_lower(*r->at) || *r->at == '*'))
		return false;
	while (r->at < r->end && (is_lower(*r->at) || is_digit(*r->at) ||
	                          (*r->at != '\0' && strchr("_-.*", *r->at) != NULL)))
		r->at++;
	*out = span_of(begin, (size_t)(r->at - begin));
	return true;
}

/* RFC 9651 4.2.4 */
static bool read_number(struct reader *r, struct sf_value *out)
{
	bool negative = take(r, '-');
	uint32_t whole = 0;
	uint32_t part = 0;
	int64_t n = 0;

	for (; r->at < r->end && is_digit(*r->at); r->at++) {
		if (++whole > INT_DIGITS)
			return false;
		n = n * 10 + (*r->at - '0');
	}
	if (whole == 0)
		return false;
	out->type = SF_INTEGER;
	out->number = negative ? -n : n;
	if (!take(r, '.'))
		return true;
	for (; r->at < r->end && is_digit(*r->at); r->at++)
		part++;
	out->type = SF_OTHER;
	return whole <= DECIMAL_WHOLE && part >= 1 && part <= DECIMAL_PART;
}

/* RFC 9651 4.2.5, from the opening quote. */
static bool read_string(struct reader *r, struct sf_value *out)
{
	const char *begin = ++r->at;

	for (; r->at < r->end; r->at++) {
		if (*r->at == '"') {
			out->type = SF_STRING;
			out->string = span_of(begin, (size_t)(r->at++ - begin));
			return true;
		}
		if (*r->at == '\\' && (++r->at >= r->end || (*r->at != '"' && *r->at != '\\')))
			return false;
		if (*r->at < 0x20 || *r->at > 0x7e)
			return false;
	}
	return false;
}

/* RFC 9651 4.2.6 */
static bool read_token(struct reader *r)
{
	while (r->at < r->end && (is_alpha(*r->at) || is_digit(*r->at) ||
	                          (*r->at != '\0' && strchr("!#$%&'*+-.^_`|~:/", *r->at))))
		r->at++;
	return true;
}

/* RFC 9651 4.2.7, between colons. */
static bool read_bytes(struct reader *r)
{
	for (r->at++; r->at < r->end; r->at++) {
		if (*r->at == ':') {
			r->at++;
			return true;
		}
		if (!is_alpha(*r->at) && !is_digit(*r->at) && strchr("+/=", *r->at) == NULL)
			return false;
	}
	return false;
}

static bool is_hex_lower(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* RFC 9651 4.2.10: %"..." */
static bool read_display(struct reader *r)
{
	r->at++;
	if (!take(r, '"'))
		return false;
	for (; r->at < r->end; r->at++) {
		if (*r->at == '"') {
			r->at++;
			return true;
		}
		if (*r->at < 0x20 || *r->at > 0x7e)
			return false;
		if (*r->at != '%')
			continue;
		if (r->end - r->at < 3 || !is_hex_lower(r->at[1]) || !is_hex_lower(r->at[2]))
			return false;
		r->at += 2;
	}
	return false;
}

static bool read_bare(struct reader *r, struct sf_value *out)
{
	*out = (struct sf_value){.type = SF_OTHER};
	if (r->at >= r->end)
		return false;
	char c = *r->at;
	if (c == '-' || is_digit(c))
		return read_number(r, out);
	if (c == '"')
		return read_string(r, out);
	if (c == '*' || is_alpha(c))
		return read_token(r);
	if (c == ':')
		return read_bytes(r);
	if (c == '%')
		return read_display(r);
	if (c == '@') { /* a date is an integer behind its mark */
		r->at++;
		bool ok = read_number(r, out) && out->type == SF_INTEGER;
		out->type = SF_OTHER;
		return ok;
	}
	if (c != '?' || r->end - r->at < 2 || (r->at[1] != '0' && r->at[1] != '1'))
		return false;
	out->type = SF_BOOL;
	out->number = r->at[1] - '0';
	r->at += 2;
	return true;
}

/* RFC 9651 4.2.3.2; what they say is of no interest here. */
static bool read_parameters(struct reader *r)
{
	struct sf_value value;
	struct span key;

	while (take(r, ';')) {
		skip_spaces(r);
		if (!read_key(r, &key) || (take(r, '=') && !read_bare(r, &value)))
			return false;
	}
	return true;
}

/* RFC 9651 4.2.1.2, behind the parenthesis. */
static bool read_inner_list(struct reader *r)
{
	struct sf_value value;

	for (;;) {
		skip_spaces(r);
		if (take(r, ')'))
			return true;
		if (!read_bare(r, &value) || !read_parameters(r))
			return false;
		if (!at_char(r, ' ') && !at_char(r, ')'))
			return false;
	}
}

static bool read_member(struct reader *r, struct span *key, struct sf_value *out)
{
	*out = (struct sf_value){.type = SF_BOOL, .number = 1};
	if (!read_key(r, key))
		return false;
	if (take(r, '=')) {
		if (take(r, '(')) {
			out->type = SF_OTHER;
			if (!read_inner_list(r))
				return false;
		} else if (!read_bare(r, out)) {
			return false;
		}
	}
	return read_parameters(r);
}

/* A lifetime that is no number, or below zero, is none: stale, the safe side. */
static bool number_apply(struct cache_control *cc, struct span key, const struct sf_value *v)
{
	const struct {
		struct span name;
		uint32_t *field;
	} rows[] = {
	        {SPAN_LIT("max-age"), &cc->max_age_s},
	        {SPAN_LIT("s-maxage"), &cc->s_maxage_s},
	        {SPAN_LIT("stale-while-revalidate"), &cc->stale_while_revalidate_s},
	        {SPAN_LIT("stale-if-error"), &cc->stale_if_error_s},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_eq(key, rows[i].name))
			continue;
		*rows[i].field = 0;
		if (v->type == SF_INTEGER && v->number > 0)
			*rows[i].field = (uint32_t)min_u64((uint64_t)v->number, DELTA_MAX);
		return true;
	}
	return false;
}

/* no-store=?0 is no no-store. Any other value leaves the directive's meaning. */
static void flag_apply(struct cache_control *cc, struct span key, const struct sf_value *v)
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
	};
	bool on = v->type != SF_BOOL || v->number != 0;
	bool named = v->type == SF_STRING && v->string.len > 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_eq(key, rows[i].name))
			*rows[i].flag = on;
	if (span_eq(key, SPAN_LIT("no-cache"))) {
		cc->no_cache = on && !named;
		cc->no_cache_fields = on && named;
	} else if (span_eq(key, SPAN_LIT("private"))) {
		cc->private_ = on && !named;
		cc->private_fields = on && named;
	}
}

/* One line; *members counts. False when it is no dictionary. The last member of a name counts (RFC
 * 9651 3.2). */
static bool line_apply(struct span line, struct cache_control *cc, uint32_t *members)
{
	struct reader r = {line.ptr, line.ptr + line.len};
	struct sf_value value;
	struct span key;

	skip_ows(&r);
	while (r.at < r.end) {
		if (!read_member(&r, &key, &value) || ++*members > MEMBERS_MAX)
			return false;
		if (!number_apply(cc, key, &value))
			flag_apply(cc, key, &value);
		skip_ows(&r);
		if (r.at >= r.end)
			return true;
		if (!take(&r, ','))
			return false;
		skip_ows(&r);
		if (r.at >= r.end) /* a comma ends it */
			return false;
	}
	return true;
}

bool cache_targeted_parse(const struct http_fields *fs, enum http_hdr id, struct cache_control *out)
{
	struct cache_control cc;
	uint32_t members = 0;

	if (!http_fields_have(fs, id))
		return false;
	cache_control_clear(&cc);
	for (uint32_t i = 0; i < fs->count; i++)
		if (fs->f[i].id == id && !line_apply(fs->f[i].value, &cc, &members))
			return false;
	if (members == 0)
		return false;
	cc.present = true;
	*out = cc;
	return true;
}
