/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/sf.h"

#define INT_DIGITS    15u
#define DECIMAL_WHOLE 12u
#define DECIMAL_PART  3u

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

static bool at_char(const struct sf_reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

static bool take(struct sf_reader *r, char c)
{
	if (!at_char(r, c))
		return false;
	r->at++;
	return true;
}

static void skip_spaces(struct sf_reader *r)
{
	while (at_char(r, ' '))
		r->at++;
}

static void skip_ows(struct sf_reader *r)
{
	while (at_char(r, ' ') || at_char(r, '\t'))
		r->at++;
}

/* RFC 9651 4.2.3.3 */
static bool read_key(struct sf_reader *r, struct span *out)
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
static bool read_number(struct sf_reader *r, struct sf_value *out)
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
static bool read_string(struct sf_reader *r, struct sf_value *out)
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
static bool read_token(struct sf_reader *r, struct sf_value *out)
{
	const char *from = r->at;

	while (r->at < r->end && (is_alpha(*r->at) || is_digit(*r->at) ||
	                          (*r->at != '\0' && strchr("!#$%&'*+-.^_`|~:/", *r->at))))
		r->at++;
	out->type = SF_TOKEN;
	out->string = span_of(from, (size_t)(r->at - from));
	return true;
}

/* RFC 9651 4.2.7, between colons. */
static bool read_bytes(struct sf_reader *r)
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
static bool read_display(struct sf_reader *r)
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

static bool read_bare(struct sf_reader *r, struct sf_value *out)
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
		return read_token(r, out);
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
static bool read_parameters(struct sf_reader *r)
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
static bool read_inner_list(struct sf_reader *r)
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

static bool read_member(struct sf_reader *r, struct span *key, struct sf_value *out)
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

void sf_begin(struct sf_reader *r, struct span line)
{
	*r = (struct sf_reader){.at = line.ptr, .end = line.ptr + line.len};
	skip_spaces(r);
}

/* What follows a member: a comma and another one, or the end (RFC 9651 4.2.1, 4.2.2). */
static bool read_comma(struct sf_reader *r)
{
	skip_ows(r);
	if (r->at == r->end)
		return true;
	if (!take(r, ','))
		return false;
	skip_ows(r);
	return r->at < r->end;
}

static enum sf_next finish(struct sf_reader *r, bool ok)
{
	return ok && read_comma(r) ? SF_MEMBER : SF_BAD;
}

enum sf_next sf_dictionary_next(struct sf_reader *r, struct span *key, struct sf_value *out)
{
	if (r->at == r->end)
		return SF_END;
	return finish(r, read_member(r, key, out));
}

enum sf_next sf_list_next(struct sf_reader *r, struct sf_value *out)
{
	bool ok;

	if (r->at == r->end)
		return SF_END;
	*out = (struct sf_value){.type = SF_OTHER};
	ok = take(r, '(') ? read_inner_list(r) : read_bare(r, out);
	return finish(r, ok && read_parameters(r));
}

size_t sf_string(struct span escaped, char *out, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; i < escaped.len; i++) {
		if (escaped.ptr[i] == '\\' && i + 1 < escaped.len)
			i++;
		if (len == cap)
			return 0;
		out[len++] = escaped.ptr[i];
	}
	return len;
}
