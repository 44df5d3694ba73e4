/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/json_field.h"

#define NAME_MAX_BYTES 128u /* no path has a longer name */

struct scan {
	const char *at;
	const char *end;
	const struct span *paths;
	uint32_t count;
	uint32_t depth;
	struct json_value *out;
};

/* Where a value stands: which paths lead through it (bit a path). */
struct place {
	uint32_t paths;
	uint32_t level; /* names above it */
};

static bool value(struct scan *s, struct place place, struct json_value *out);

static void blanks(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* At a backslash. */
static bool escape(struct scan *s)
{
	s->at++;
	if (s->at == s->end)
		return false;
	if (*s->at != 'u')
		return *s->at != '\0' && strchr("\"\\/bfnrt", *s->at++) != NULL;
	s->at++;
	for (int i = 0; i < 4; i++, s->at++)
		if (s->at == s->end || hex_value(*s->at) < 0)
			return false;
	return true;
}

static bool string(struct scan *s, struct span *raw)
{
	const char *from;

	if (!take(s, '"'))
		return false;
	from = s->at;
	while (s->at < s->end && *s->at != '"') {
		if ((unsigned char)*s->at < 0x20)
			return false;
		if (*s->at != '\\')
			s->at++;
		else if (!escape(s))
			return false;
	}
	*raw = span_of(from, (size_t)(s->at - from));
	return take(s, '"');
}

static bool digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > from;
}

static bool number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		(void)take(s, '-');
	return digits(s);
}

static bool word(struct scan *s)
{
	static const struct span words[] = {SPAN_LIT("true"), SPAN_LIT("false"), SPAN_LIT("null")};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((size_t)(s->end - s->at) < words[i].len ||
		    memcmp(s->at, words[i].ptr, words[i].len) != 0)
			continue;
		s->at += words[i].len;
		return true;
	}
	return false;
}

/* The name on a path at that level; *last: none follows. */
static struct span path_name(struct span path, uint32_t level, bool *last)
{
	for (;;) {
		const char *dot = memchr(path.ptr, '.', path.len);
		size_t n = dot ? (size_t)(dot - path.ptr) : path.len;

		*last = dot == NULL;
		if (level-- == 0 || dot == NULL)
			return span_of(path.ptr, n);
		path = span_of(dot + 1, path.len - n - 1);
	}
}

/* Which of the paths go through the member of this name; *ends: which end there. False: it differs
 * from a name on a path only in case, or was here before. */
static bool name_match(const struct scan *s, struct place at, struct span name, uint32_t *seen,
                       uint32_t match[2])
{
	match[0] = match[1] = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		struct span want;
		bool last;

		if (!(at.paths & 1u << i))
			continue;
		want = path_name(s->paths[i], at.level, &last);
		if (likely(!span_eq_nocase(name, want)))
			continue;
		if (!span_eq(name, want) || (*seen & 1u << i))
			return false;
		*seen |= 1u << i;
		match[last] |= 1u << i;
	}
	return true;
}

static bool member(struct scan *s, struct place place, uint32_t *seen)
{
	struct json_value found;
	struct span raw;
	char buf[NAME_MAX_BYTES];
	uint32_t match[2];
	size_t len;

	blanks(s);
	if (!string(s, &raw))
		return false;
	if (raw.len > 0 && memchr(raw.ptr, '\\', raw.len)) {
		/* A name that is too long is none that is looked for; its escapes may not be. */
		if (json_unescape(raw, buf, sizeof(buf), &len))
			raw = span_of(buf, len);
		else if (raw.len <= NAME_MAX_BYTES)
			return false;
	}
	if (!name_match(s, place, raw, seen, match))
		return false;
	blanks(s);
	if (!take(s, ':') || !value(s, (struct place){match[0], place.level + 1}, &found))
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (match[1] & 1u << i)
			s->out[i] = found;
	return true;
}

static bool object(struct scan *s, struct place place)
{
	uint32_t seen = 0;

	s->at++;
	blanks(s);
	if (take(s, '}'))
		return true;
	do {
		if (!member(s, place, &seen))
			return false;
		blanks(s);
	} while (take(s, ','));
	return take(s, '}');
}

static bool array(struct scan *s)
{
	struct json_value ignored;

	s->at++;
	blanks(s);
	if (take(s, ']'))
		return true;
	do {
		if (!value(s, (struct place){0, 0}, &ignored))
			return false;
		blanks(s);
	} while (take(s, ','));
	return take(s, ']');
}

/* Calls itself, JSON_DEPTH_MAX deep at most. */
static bool value(struct scan *s, struct place place, struct json_value *out)
{
	bool ok;

	blanks(s);
	if (s->at == s->end || s->depth == JSON_DEPTH_MAX)
		return false;
	s->depth++;
	out->raw.ptr = s->at;
	switch (*s->at) {
	case '"':
		out->kind = JSON_STRING;
		s->depth--;
		return string(s, &out->raw);
	case '{':
		out->kind = JSON_OBJECT;
		ok = object(s, place);
		break;
	case '[':
		out->kind = JSON_ARRAY;
		ok = array(s);
		break;
	case 't':
	case 'f':
	case 'n':
		out->kind = JSON_WORD;
		ok = word(s);
		break;
	default:
		out->kind = JSON_NUMBER;
		ok = number(s);
	}
	s->depth--;
	out->raw.len = (size_t)(s->at - out->raw.ptr);
	return ok;
}

bool json_find(struct span text, const struct span *paths, uint32_t count, struct json_value *out)
{
	struct scan s = {
	        .at = text.ptr,
	        .end = text.ptr + text.len,
	        .paths = paths,
	        .count = min_u32(count, JSON_FIELDS),
	        .out = out,
	};
	struct json_value whole;

	for (uint32_t i = 0; i < s.count; i++)
		out[i] = (struct json_value){.kind = JSON_ABSENT};
	if (text.len == 0 || !value(&s, (struct place){(1u << s.count) - 1, 0}, &whole))
		return false;
	blanks(&s);
	return s.at == s.end;
}

/* Four hex digits at raw.ptr + at; the scan has checked them. */
static uint32_t unit(struct span raw, size_t at)
{
	uint32_t n = 0;

	for (size_t i = at; i < at + 4; i++)
		n = n << 4 | (uint32_t)hex_value(raw.ptr[i]);
	return n;
}

static size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* At the digits behind "\u"; *at is left behind all of it. 0: NUL, or half a pair. */
static uint32_t code_point(struct span raw, size_t *at)
{
	uint32_t c = unit(raw, *at), low;

	*at += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || raw.len - *at < 6 || raw.ptr[*at] != '\\' || raw.ptr[*at + 1] != 'u')
		return 0;
	low = unit(raw, *at + 2);
	*at += 6;
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

bool json_unescape(struct span raw, char *buf, size_t cap, size_t *len)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t c;

	*len = 0;
	for (size_t i = 0; i < raw.len;) {
		if (cap - *len < 4)
			return false;
		if (raw.ptr[i] != '\\') {
			buf[(*len)++] = raw.ptr[i++];
			continue;
		}
		if (raw.ptr[i + 1] != 'u') {
			buf[(*len)++] = to[strchr(from, raw.ptr[i + 1]) - from];
			i += 2;
			continue;
		}
		i += 2;
		c = code_point(raw, &i);
		if (c == 0)
			return false;
		*len += utf8_put(buf + *len, c);
	}
	return true;
}

bool json_compact(struct span raw, char *buf, size_t cap, size_t *len)
{
	bool in_string = false;

	*len = 0;
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.ptr[i];

		if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
			continue;
		if (cap - *len < 2)
			return false;
		buf[(*len)++] = c;
		if (in_string && c == '\\')
			buf[(*len)++] = raw.ptr[++i];
		else if (c == '"')
			in_string = !in_string;
	}
	return true;
}
