/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The query of a request, as keys see it. Names are compared as servers decode them, since "p%61ge"
 * is page to the origin. */
#include "cache/key_run.h"

struct pair {
	struct span name; /* as sent */
	struct span value;
	bool has_value; /* "name=", also with nothing behind it */
	bool coded;     /* the name is not written plainly */
};

enum byte_kind { BYTE_AND = 1, BYTE_EQUALS = 2, BYTE_CODE = 4, BYTE_SEMICOLON = 8 };

static const uint8_t kinds[256] = {
        ['&'] = BYTE_AND,  ['='] = BYTE_EQUALS,    ['%'] = BYTE_CODE,
        ['+'] = BYTE_CODE, [';'] = BYTE_SEMICOLON,
};

/* Behind the bytes that are none of stop; adds their kinds to *seen. */
static const char *run_over(const char *at, const char *end, uint8_t stop, uint8_t *seen)
{
	uint8_t kind, all = *seen;

	for (; at < end && !((kind = kinds[(unsigned char)*at]) & stop); at++)
		all |= kind;
	*seen = all;
	return at;
}

/* Takes "name[=value]" off the front; false at the end. Empty ones are skipped, as servers do.
 * *seen: kinds of bytes in names and values. */
static bool pair_next(struct span *rest, struct pair *p, uint8_t *seen)
{
	const char *at = rest->ptr, *end = at + rest->len;
	uint8_t in_name = 0;

	while (at < end && *at == '&')
		at++;
	if (at == end)
		return false;
	p->name.ptr = at;
	at = run_over(at, end, BYTE_AND | BYTE_EQUALS, &in_name);
	p->name.len = (size_t)(at - p->name.ptr);
	p->coded = (in_name & BYTE_CODE) != 0;
	p->has_value = at < end && *at == '=';
	at += p->has_value;
	p->value.ptr = at;
	*seen |= in_name;
	at = run_over(at, end, BYTE_AND, seen);
	p->value.len = (size_t)(at - p->value.ptr);
	*rest = span_of(at, (size_t)(end - at));
	return true;
}

/* The name as servers read it, decoded into buf; one that is too long, or malformed, stays. */
static struct span name_plain(const struct pair *p, char buf[NORM_MAX])
{
	struct norm v = {.text = p->name, .buf = buf};

	if (likely(!p->coded))
		return p->name;
	return norm_decode(&v, true) ? v.text : p->name;
}

enum found { FOUND_NOT, FOUND_NAMED, FOUND_ALIKE };

/* Which of the rule's names is it? Some servers do not tell upper from lower case, so that what
 * differs in nothing else may stand for it, or not. */
static enum found named_find(const struct run *r, struct span name, uint32_t *index)
{
	const struct rule_text *names = run_texts(r, r->rule->query_off);
	enum found found = FOUND_NOT;

	for (uint32_t i = 0; i < r->rule->query_count; i++) {
		struct span want = snapshot_text(r->s, names[i].off, names[i].len);

		if (want.len != name.len)
			continue;
		*index = i;
		if (run_eq(want.ptr, name.ptr, name.len))
			return FOUND_NAMED;
		if (span_eq_nocase(want, name))
			found = FOUND_ALIKE;
	}
	return found;
}

/* Names to ignore may end in '*'. */
static bool ignored(const struct run *r, struct span name)
{
	const struct rule_text *names = run_texts(r, r->rule->ignore_off);

	for (uint32_t i = 0; i < r->rule->ignore_count; i++) {
		struct span want = snapshot_text(r->s, names[i].off, names[i].len);

		if (want.len > 0 && want.ptr[want.len - 1] == '*') {
			want.len--;
			if (name.len >= want.len && memcmp(name.ptr, want.ptr, want.len) == 0)
				return true;
		} else if (span_eq(want, name)) {
			return true;
		}
	}
	return false;
}

static bool pair_take(struct run *r, const struct pair *p)
{
	char buf[NORM_MAX];
	struct span name = name_plain(p, buf);
	uint32_t i = 0;

	switch (named_find(r, name, &i)) {
	case FOUND_NAMED:
		if (r->named_seen & 1u << i) {
			r->named_twice |= 1u << i;
			return false;
		}
		r->named_seen |= 1u << i;
		r->named[i] = p->value;
		/* One that only tags and purges name is not in the key. */
		if (i < r->rule->key_query_count)
			return true;
		break;
	case FOUND_ALIKE:
		return false;
	default:
		break;
	}
	return (r->rule->flags & RULE_ALL_QUERY) || ignored(r, name);
}

bool run_query_read(struct run *r)
{
	struct span rest = r->in->query;
	uint8_t seen = 0;
	struct pair p;
	bool ok = true;

	r->named_seen = r->named_twice = 0;
	if (rest.len == 0)
		return true;
	while (pair_next(&rest, &p, &seen))
		if (!pair_take(r, &p))
			ok = false;
	/* Some servers end a parameter at ';' as well. */
	return ok && (seen & BYTE_SEMICOLON) == 0;
}

enum key_status run_query_find(struct run *r, struct span name)
{
	struct span rest = r->in->query;
	char buf[NORM_MAX];
	uint8_t seen = 0;
	struct pair p;

	if (rest.len == 0)
		return KEY_OK;
	while (pair_next(&rest, &p, &seen)) {
		struct span have = name_plain(&p, buf);

		if (!span_eq_nocase(have, name))
			continue;
		if (r->v.present || !span_eq(have, name))
			return KEY_BYPASS;
		r->v.present = true;
		r->v.text = p.value;
	}
	return (seen & BYTE_SEMICOLON) != 0 ? KEY_BYPASS : KEY_OK;
}

struct entry {
	struct span name; /* as it stands in the key */
	struct span whole;
};

static bool entry_before(const struct entry *a, const struct entry *b)
{
	size_t n = min_size(a->name.len, b->name.len);
	int order = n > 0 ? memcmp(a->name.ptr, b->name.ptr, n) : 0;

	return order < 0 || (order == 0 && a->name.len < b->name.len);
}

/* In order of names; those of one name stay in theirs, which may matter to the origin. */
static void entry_insert(struct entry *list, uint32_t count, struct entry e)
{
	uint32_t at = count;

	for (; at > 0 && entry_before(&e, &list[at - 1]); at--)
		list[at] = list[at - 1];
	list[at] = e;
}

static bool entry_write(const struct pair *p, char **at, const char *end, struct entry *e)
{
	char *from = *at;

	if (!run_put_uri(at, end, p->name))
		return false;
	e->name = span_of(from, (size_t)(*at - from));
	if (p->has_value) {
		if (*at == end)
			return false;
		*(*at)++ = '=';
		if (!run_put_uri(at, end, p->value))
			return false;
	}
	e->whole = span_of(from, (size_t)(*at - from));
	return true;
}

static bool wanted(const struct run *r, const struct pair *p, bool listed)
{
	char buf[NORM_MAX];
	struct span name = name_plain(p, buf);
	uint32_t i;

	if (listed)
		return named_find(r, name, &i) == FOUND_NAMED;
	return !ignored(r, name);
}

bool run_query_text(const struct run *r, bool listed, char buf[NORM_MAX], size_t *len)
{
	struct entry list[KEY_QUERY_MAX];
	char text[NORM_MAX], *at = text;
	struct span rest = r->in->query;
	uint32_t count = 0;
	uint8_t seen = 0;
	struct pair p;

	*len = 0;
	while (pair_next(&rest, &p, &seen)) {
		struct entry e;

		if (!wanted(r, &p, listed))
			continue;
		if (count == KEY_QUERY_MAX || !entry_write(&p, &at, text + sizeof(text), &e))
			return false;
		entry_insert(list, count++, e);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].whole.len + 1 > NORM_MAX - *len)
			return false;
		if (i > 0)
			buf[(*len)++] = '&';
		memcpy(buf + *len, list[i].whole.ptr, list[i].whole.len);
		*len += list[i].whole.len;
	}
	return true;
}
