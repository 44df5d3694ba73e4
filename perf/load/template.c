/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/template.h"

#include "lib/config_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define VARIABLE_MAX 4096u /* bytes between the braces */
#define PAD_MAX      64u
#define NUMBER_MAX   20u /* digits of 2^64 */

const struct template_word template_variables[] = {
        {"key", "{key}",
         "The request's key, 1 to `keys.count`; the same wherever it stands in a "
         "request"},
        {"seq", "{seq}", "1, 2, 3 and so on, of each worker"},
        {"user", "{user}", "Number of the virtual user or connection, from 0"},
        {"worker", "{worker}", "Number of the worker, from 0"},
        {"uuid", "{uuid}", "A random UUID (RFC 9562, version 4)"},
        {"random", "{random:1-100}", "A number from 1 to 100, evenly"},
        {"choice", "{choice:a,b,c}",
         "One of these, evenly; name one twice to have it twice as "
         "often"},
        {"time", "{time}", "Seconds since 1970"},
        {NULL, NULL, NULL},
};

const struct template_word template_formats[] = {
        {"hash", "{key|hash}", "16 hex digits that follow from the number"},
        {"uuid", "{key|uuid}", "A UUID that follows from the number: the same key, the same UUID"},
        {"pad", "{key|pad:8}", "With zeros to 8 digits"},
        {"ms", "{time|ms}", "Milliseconds since 1970"},
        {"iso", "{time|iso}", "As 2026-01-31T12:00:00.000Z (RFC 3339)"},
        {NULL, NULL, NULL},
};

/* By the order of the tables above. */
static const enum piece_source source_of[] = {PIECE_KEY,  PIECE_SEQ,    PIECE_USER,   PIECE_WORKER,
                                              PIECE_UUID, PIECE_RANDOM, PIECE_CHOICE, PIECE_TIME};
static const enum piece_format format_of[] = {FORMAT_HASH, FORMAT_UUID, FORMAT_PAD, FORMAT_MS,
                                              FORMAT_ISO};

struct compiler {
	struct template *t;
	struct template_error *err;
	struct span text;
};

struct template *template_new(void)
{
	return calloc(1, sizeof(struct template));
}

void template_free(struct template *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->count; i++)
		free(t->pieces[i].choices);
	free(t->pieces);
	free(t->bytes);
	free(t);
}

bool template_is_fixed(const struct template *t)
{
	return t->count == 0 || (t->count == 1 && t->pieces[0].source == PIECE_TEXT);
}

static struct piece *piece_new(struct template *t, enum piece_source source)
{
	struct piece *more;

	if ((t->count & (t->count - 1)) == 0) {
		more = realloc(t->pieces, (t->count ? 2u * t->count : 1u) * sizeof(*more));
		if (!more)
			return NULL;
		t->pieces = more;
	}
	more = &t->pieces[t->count++];
	*more = (struct piece){.source = source};
	return more;
}

/* Texts may move: pieces that point into them are led along. */
static char *bytes_take(struct template *t, size_t len)
{
	if (len >= t->bytes_room - t->bytes_used) {
		size_t room = 2 * (t->bytes_used + len) + 64;
		char *more = malloc(room);

		if (!more)
			return NULL;
		if (t->bytes_used)
			memcpy(more, t->bytes, t->bytes_used);
		for (uint32_t i = 0; i < t->count; i++) {
			struct piece *p = &t->pieces[i];

			if (p->source == PIECE_TEXT)
				p->text.ptr = more + (p->text.ptr - t->bytes);
			for (uint32_t j = 0; j < p->choice_count; j++)
				p->choices[j].ptr = more + (p->choices[j].ptr - t->bytes);
		}
		free(t->bytes);
		t->bytes = more;
		t->bytes_room = room;
	}
	t->bytes_used += len;
	return t->bytes + t->bytes_used - len;
}

bool template_add_text(struct template *t, struct span text)
{
	struct piece *last = t->count ? &t->pieces[t->count - 1] : NULL;
	char *to;

	if (text.len == 0)
		return true;
	to = bytes_take(t, text.len);
	if (!to)
		return false;
	memcpy(to, text.ptr, text.len);
	t->room += text.len;
	if (last && last->source == PIECE_TEXT && last->text.ptr + last->text.len == to) {
		last->text.len += text.len;
		return true;
	}
	last = piece_new(t, PIECE_TEXT);
	if (!last)
		return false;
	last->text = span_of(to, text.len);
	return true;
}

bool template_add_piece(struct template *t, enum piece_source source)
{
	return piece_new(t, source) != NULL;
}

static size_t piece_room(const struct piece *p)
{
	size_t most = 0;

	switch (p->source) {
	case PIECE_TARGET:
	case PIECE_BODY_LENGTH:
	case PIECE_SIGNATURE:
	case PIECE_TEXT:
		return 0;
	case PIECE_CHOICE:
		for (uint32_t i = 0; i < p->choice_count; i++)
			most = p->choices[i].len > most ? p->choices[i].len : most;
		return most;
	default:
		return max_u32(PAD_MAX, 36);
	}
}

static bool choices_copy(struct template *t, struct piece *to, const struct piece *from)
{
	to->choices = calloc(from->choice_count, sizeof(*to->choices));
	if (!to->choices)
		return false;
	for (uint32_t i = 0; i < from->choice_count; i++) {
		char *bytes = bytes_take(t, from->choices[i].len);

		if (!bytes)
			return false;
		memcpy(bytes, from->choices[i].ptr, from->choices[i].len);
		to->choices[i] = span_of(bytes, from->choices[i].len);
		to->choice_count = i + 1;
	}
	return true;
}

bool template_add(struct template *t, const struct template *from)
{
	for (uint32_t i = 0; i < from->count; i++) {
		const struct piece *p = &from->pieces[i];
		struct piece *to;

		if (p->source == PIECE_TEXT) {
			if (!template_add_text(t, p->text))
				return false;
			continue;
		}
		to = piece_new(t, p->source);
		if (!to)
			return false;
		*to = *p;
		to->choices = NULL;
		to->choice_count = 0;
		if (p->choices && !choices_copy(t, to, p))
			return false;
		t->room += piece_room(p);
	}
	t->wants_key |= from->wants_key;
	return true;
}

PRINTF(3, 4)
static bool refuse(struct compiler *c, struct span where, const char *fmt, ...)
{
	va_list args;

	c->err->offset = (size_t)(where.ptr - c->text.ptr);
	c->err->len = where.len;
	va_start(args, fmt);
	(void)vsnprintf(c->err->text, sizeof(c->err->text), fmt, args);
	va_end(args);
	return false;
}

/* Index in the table, or -1 with the error told. */
static int word_find(struct compiler *c, struct span where, struct span name,
                     const struct template_word *table)
{
	struct doc_guess g = {.distance = UINT32_MAX};
	bool format = table == template_formats;
	int len = (int)min_size(name.len, 40);

	for (int i = 0; table[i].name; i++) {
		if (span_eq(name, span_cstr(table[i].name)))
			return i;
		doc_guess_try(&g, name, table[i].name);
	}
	if (g.word)
		(void)refuse(c, where,
		             "unknown %s '%.*s'; did you mean '%s'? \"{{\" is a plain '{'",
		             format ? "format" : "variable", len, name.ptr, g.word);
	else
		(void)refuse(c, where, "unknown %s '%.*s'; known are %s; \"{{\" is a plain '{'",
		             format ? "format" : "variable", len, name.ptr,
		             format ? "hash, uuid, pad, ms, iso"
		                    : "key, seq, user, worker, uuid, random, choice, time");
	return -1;
}

static bool number_read(struct span *s, uint64_t *out)
{
	size_t i = 0;

	*out = 0;
	for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++)
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(s->ptr[i] - '0'), out))
			return false;
	s->ptr += i;
	s->len -= i;
	return i > 0;
}

static bool random_compile(struct compiler *c, struct span where, struct span args, struct piece *p)
{
	bool ok = number_read(&args, &p->from) && args.len > 1 && args.ptr[0] == '-';

	args = ok ? span_of(args.ptr + 1, args.len - 1) : args;
	if (!ok || !number_read(&args, &p->to) || args.len != 0)
		return refuse(c, where, "'random' takes two whole numbers; write {random:1-100}");
	if (p->from > p->to || p->to - p->from == UINT64_MAX)
		return refuse(c, where,
		              "'random' goes from the smaller to the larger number; "
		              "write {random:1-100}");
	return true;
}

static bool choice_compile(struct compiler *c, struct span where, struct span args, struct piece *p)
{
	uint32_t count = 1, n = 0;
	size_t at = 0;

	for (size_t i = 0; i < args.len; i++)
		count += args.ptr[i] == ',';
	if (args.len == 0 || count > TEMPLATE_CHOICES)
		return refuse(c, where, "'choice' takes 1 to %u texts; write {choice:low,high}",
		              TEMPLATE_CHOICES);
	struct span all[TEMPLATE_CHOICES];
	for (size_t i = 0; i <= args.len; i++) {
		if (i < args.len && args.ptr[i] != ',')
			continue;
		all[n++] = span_of(args.ptr + at, i - at);
		at = i + 1;
	}
	const struct piece from = {.choices = all, .choice_count = n};
	if (!choices_copy(c->t, p, &from))
		return refuse(c, where, "out of memory");
	return true;
}

static bool format_compile(struct compiler *c, struct span where, struct span text, struct piece *p)
{
	const char *colon = memchr(text.ptr, ':', text.len);
	struct span args = SPAN_LIT("");
	bool of_time = p->source == PIECE_TIME;
	uint64_t width;

	if (colon) {
		args = span_of(colon + 1, text.len - (size_t)(colon + 1 - text.ptr));
		text.len = (size_t)(colon - text.ptr);
	}
	int i = word_find(c, where, text, template_formats);
	if (i < 0)
		return false;
	p->format = format_of[i];
	if (p->source == PIECE_UUID || p->source == PIECE_CHOICE)
		return refuse(c, where,
		              "this variable is no number and takes no format; "
		              "remove what follows '|'");
	if (!of_time && (p->format == FORMAT_MS || p->format == FORMAT_ISO))
		return refuse(c, where, "'%s' is a format of time; write {time|%s}",
		              template_formats[i].name, template_formats[i].name);
	if (p->format == FORMAT_PAD) {
		if (!number_read(&args, &width) || args.len != 0 || width < 1 || width > PAD_MAX)
			return refuse(c, where, "'pad' takes 1 to %u digits; write {key|pad:8}",
			              PAD_MAX);
		p->width = (uint32_t)width;
	} else if (colon) {
		return refuse(c, where, "'%s' takes nothing; remove what follows ':'",
		              template_formats[i].name);
	}
	return true;
}

/* inside: what stands between the braces. */
static bool variable_compile(struct compiler *c, struct span where, struct span inside)
{
	struct span name = inside, args = span_of("", 0), format = span_of(NULL, 0);
	const char *bar = memchr(name.ptr, '|', name.len);
	const char *colon;
	struct piece *p;
	int i;

	if (bar) {
		format = span_of(bar + 1, name.len - (size_t)(bar + 1 - name.ptr));
		name.len = (size_t)(bar - name.ptr);
	}
	colon = memchr(name.ptr, ':', name.len);
	if (colon) {
		args = span_of(colon + 1, name.len - (size_t)(colon + 1 - name.ptr));
		name.len = (size_t)(colon - name.ptr);
	}
	i = word_find(c, where, name, template_variables);
	if (i < 0)
		return false;
	p = piece_new(c->t, source_of[i]);
	if (!p)
		return refuse(c, where, "out of memory");
	c->t->wants_key |= p->source == PIECE_KEY;
	if (p->source == PIECE_RANDOM && !random_compile(c, where, args, p))
		return false;
	if (p->source == PIECE_CHOICE && !choice_compile(c, where, args, p))
		return false;
	if (p->source != PIECE_RANDOM && p->source != PIECE_CHOICE && colon)
		return refuse(c, where, "'%s' takes nothing; write {%s}",
		              template_variables[i].name, template_variables[i].name);
	if (format.ptr && !format_compile(c, where, format, p))
		return false;
	c->t->room += piece_room(p);
	return true;
}

static bool pieces_compile(struct compiler *c)
{
	const char *at = c->text.ptr, *end = at + c->text.len;

	while (at < end) {
		const char *brace = memchr(at, '{', (size_t)(end - at));
		const char *next = brace && brace + 1 < end ? brace + 1 : NULL;
		const char *close;

		if (!next)
			return template_add_text(c->t, span_of(at, (size_t)(end - at))) ||
			       refuse(c, c->text, "out of memory");
		bool variable = *next >= 'a' && *next <= 'z';
		if (!template_add_text(c->t, span_of(at, (size_t)(next - at) - variable)))
			return refuse(c, c->text, "out of memory");
		at = *next == '{' ? next + 1 : next;
		if (!variable)
			continue;
		close = memchr(next, '}', min_size((size_t)(end - next), VARIABLE_MAX));
		if (!close)
			return refuse(c, span_of(brace, min_size((size_t)(end - brace), 20)),
			              "'{' begins a variable that no '}' ends; \"{{\" is a plain "
			              "'{'");
		if (c->t->count >= TEMPLATE_PIECES)
			return refuse(c, span_of(brace, (size_t)(close + 1 - brace)),
			              "too many variables in one text; at most %u",
			              TEMPLATE_PIECES / 2);
		if (!variable_compile(c, span_of(brace, (size_t)(close + 1 - brace)),
		                      span_of(next, (size_t)(close - next))))
			return false;
		at = close + 1;
	}
	return true;
}

struct template *template_compile(struct span text, struct template_error *err)
{
	struct compiler c = {.t = template_new(), .err = err, .text = text};

	if (!c.t) {
		(void)refuse(&c, text, "out of memory");
		return NULL;
	}
	if (pieces_compile(&c))
		return c.t;
	template_free(c.t);
	return NULL;
}
