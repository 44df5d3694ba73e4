/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/coding.h"

#define WEIGHT_MAX 1000u
#define NOT_SAID   UINT32_MAX

static const char *const names[CODING_COUNT] = {"", "br", "zstd", "gzip"};

struct span coding_name(enum coding c)
{
	return span_cstr(names[c]);
}

/* The part of a comma list that begins at *at; false at its end. */
static bool member_next(struct span list, size_t *at, struct span *out)
{
	const char *comma;
	size_t end;

	if (*at >= list.len)
		return false;
	comma = memchr(list.ptr + *at, ',', list.len - *at);
	end = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
	*out = span_trim(span_of(list.ptr + *at, end - *at));
	*at = end + 1;
	return true;
}

static enum coding coding_find(struct span name)
{
	for (uint32_t c = CODING_IDENTITY + 1; c < CODING_COUNT; c++)
		if (span_eq_nocase(name, span_cstr(names[c])))
			return (enum coding)c;
	return CODING_IDENTITY;
}

bool codings_read(struct span text, struct codings *out)
{
	uint32_t seen = 0;
	struct span name;
	size_t at = 0;

	*out = (struct codings){0};
	while (member_next(text, &at, &name)) {
		enum coding c = coding_find(name);

		if (c == CODING_IDENTITY || (seen & 1u << c) || out->count == CODINGS_MAX)
			return false;
		seen |= 1u << c;
		out->at[out->count++] = (uint8_t)c;
	}
	return out->count > 0;
}

struct span codings_write(const struct codings *c, char buf[CODINGS_TEXT_MAX])
{
	size_t len = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		struct span name = coding_name((enum coding)c->at[i]);

		if (i > 0)
			buf[len++] = ',';
		memcpy(buf + len, name.ptr, name.len);
		len += name.len;
	}
	return span_of(buf, len);
}

/* --- what a request accepts --- */

struct accepted {
	uint32_t weight[CODING_COUNT]; /* in thousandths; NOT_SAID */
	uint32_t any;                  /* of "*" */
};

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ); anything else counts as 0. */
static uint32_t weight_read(struct span q)
{
	uint32_t value = 0;
	uint32_t unit = WEIGHT_MAX;

	if (q.len == 0 || q.len > 5 || (q.ptr[0] != '0' && q.ptr[0] != '1') ||
	    (q.len > 1 && q.ptr[1] != '.'))
		return 0;
	value = (uint32_t)(q.ptr[0] - '0') * unit;
	for (size_t i = 2; i < q.len; i++) {
		if (q.ptr[i] < '0' || q.ptr[i] > '9')
			return 0;
		unit /= 10;
		value += (uint32_t)(q.ptr[i] - '0') * unit;
	}
	return value <= WEIGHT_MAX ? value : 0;
}

/* Of "gzip ; q=0.5" what is behind the ';'. */
static uint32_t params_weight(struct span params)
{
	struct span p = span_trim(params);

	if (p.len < 2 || ascii_lower(p.ptr[0]) != 'q' || p.ptr[1] != '=')
		return 0;
	return weight_read(span_of(p.ptr + 2, p.len - 2));
}

static void member_read(struct accepted *a, struct span member)
{
	const char *semi = member.len > 0 ? memchr(member.ptr, ';', member.len) : NULL;
	size_t len = semi != NULL ? (size_t)(semi - member.ptr) : member.len;
	struct span name = span_trim(span_of(member.ptr, len));
	uint32_t weight = WEIGHT_MAX;
	enum coding c;

	if (semi != NULL)
		weight = params_weight(span_of(semi + 1, member.len - len - 1));
	if (span_eq(name, SPAN_LIT("*"))) {
		a->any = weight;
		return;
	}
	/* The same (RFC 9110 8.4.1.3). */
	c = span_eq_nocase(name, SPAN_LIT("x-gzip")) ? CODING_GZIP : coding_find(name);
	if (c != CODING_IDENTITY || span_eq_nocase(name, SPAN_LIT("identity")))
		a->weight[c] = weight;
}

static void accepted_read(struct accepted *a, const struct http_fields *request)
{
	struct span member;

	a->any = NOT_SAID;
	for (uint32_t c = 0; c < CODING_COUNT; c++)
		a->weight[c] = NOT_SAID;
	for (uint32_t i = 0; i < request->count; i++) {
		size_t at = 0;

		if (request->f[i].id != HDR_ACCEPT_ENCODING)
			continue;
		while (member_next(request->f[i].value, &at, &member))
			member_read(a, member);
	}
}

static uint32_t weight_of(const struct accepted *a, enum coding c)
{
	if (a->weight[c] != NOT_SAID)
		return a->weight[c];
	/* What "*" says of identity decides only whether it may be sent at all. */
	return a->any != NOT_SAID && c != CODING_IDENTITY ? a->any : 0;
}

static bool forbids_transform(const struct http_fields *request)
{
	struct span member;

	if (!http_fields_have(request, HDR_CACHE_CONTROL))
		return false;
	for (uint32_t i = 0; i < request->count; i++) {
		size_t at = 0;

		if (request->f[i].id != HDR_CACHE_CONTROL)
			continue;
		while (member_next(request->f[i].value, &at, &member))
			if (span_eq_nocase(member, SPAN_LIT("no-transform")))
				return true;
	}
	return false;
}

enum coding coding_choose(const struct codings *offers, const struct http_fields *request)
{
	enum coding best = CODING_IDENTITY;
	struct accepted a;
	uint32_t most = 0;

	if (offers->count == 0 || !http_fields_have(request, HDR_ACCEPT_ENCODING) ||
	    forbids_transform(request))
		return CODING_IDENTITY;
	accepted_read(&a, request);
	for (uint32_t i = 0; i < offers->count; i++) {
		uint32_t weight = weight_of(&a, (enum coding)offers->at[i]);

		if (weight <= most)
			continue;
		most = weight;
		best = (enum coding)offers->at[i];
	}
	return weight_of(&a, CODING_IDENTITY) > most ? CODING_IDENTITY : best;
}
