/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A scenario file, by the table of keys. */
#include "perf/load/scenario_keys.h"
#include "perf/load/scenario_private.h"

#include <math.h>
#include <stdio.h>

/* Where an offset in the file is, as an editor counts: characters, not bytes. */
static void place_at(struct span source, size_t offset, uint32_t place[2])
{
	place[0] = place[1] = 1;
	for (size_t i = 0; i < offset && i < source.len; i++) {
		if (source.ptr[i] == '\n') {
			place[0]++;
			place[1] = 1;
		} else {
			place[1] += ((unsigned char)source.ptr[i] & 0xc0) != 0x80;
		}
	}
}

static size_t offset_of(struct span source, const struct doc_node *node)
{
	uint32_t line = 1, column = 1;
	size_t i = 0;

	for (; i < source.len && line < node->line; i++)
		line += source.ptr[i] == '\n';
	for (; i < source.len && column < node->column; i++)
		column += ((unsigned char)source.ptr[i] & 0xc0) != 0x80;
	return i;
}

/* A value's text is not the file's: quotes, indentation and folding are gone. What is looked for is
 * a short piece of it, so it is found again by counting how often it stands before. */
static void template_place(struct scenario_reader *r, const struct doc_node *node, struct span text,
                           const struct template_error *te, uint32_t place[2])
{
	const char *piece = text.ptr + te->offset;
	size_t at = offset_of(r->source, node);

	place[0] = node->line;
	place[1] = node->column;
	for (const char *p = text.ptr; te->len > 0 && p <= piece; p++) {
		const char *found;

		p = memmem(p, (size_t)(text.ptr + text.len - p), piece, te->len);
		found = memmem(r->source.ptr + at, r->source.len - at, piece, te->len);
		if (!p || !found)
			return;
		at = (size_t)(found - r->source.ptr) + 1;
		if (p == piece)
			place_at(r->source, at - 1, place);
	}
}

struct template *scenario_template_read(struct scenario_reader *r, const struct doc_node *node,
                                        struct span text)
{
	struct template_error te;
	struct template *t = template_compile(text, &te);
	uint32_t place[2];

	if (t)
		return t;
	template_place(r, node, text, &te, place);
	doc_place_error(r->err, r->doc->name, place, "%s", te.text);
	return NULL;
}

enum status scenario_scalar(struct scenario_reader *r, const struct doc_node *node)
{
	char path[DOC_MAX_PATH];

	if (node->kind == DOC_SCALAR)
		return ST_OK;
	return doc_error(r->doc, node, r->err, "%s is a %s; it takes a single value",
	                 doc_path(node, path), node->kind == DOC_MAPPING ? "mapping" : "list");
}

static enum status read_text(struct scenario_reader *r, const struct scenario_key *key,
                             const struct doc_node *node, char *field)
{
	char path[DOC_MAX_PATH];

	if (node->text.len == 0 || node->text.len >= key->size)
		return doc_error(r->doc, node, r->err, "%s has %zu bytes; it takes 1 to %u",
		                 doc_path(node, path), node->text.len, key->size - 1);
	memcpy(field, node->text.ptr, node->text.len + 1);
	/* It is printed to terminals and into reports. */
	for (char *c = field; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return doc_error(r->doc, node, r->err, "%s holds a control byte; remove it",
			                 doc_path(node, path));
	return ST_OK;
}

static enum status read_duration(struct scenario_reader *r, const struct scenario_key *key,
                                 const struct doc_node *node, uint64_t *field)
{
	char path[DOC_MAX_PATH];

	if (!scenario_duration(node->text, field))
		return doc_error(r->doc, node, r->err,
		                 "%s is '%.40s', which is no duration; write for example 250ms, "
		                 "30s, 5m or 1m30s",
		                 doc_path(node, path), node->text.ptr);
	if ((double)*field < key->min || (double)*field > key->max)
		return doc_error(r->doc, node, r->err, "%s is %s; it takes %.0f ms to %.0f s",
		                 doc_path(node, path), node->text.ptr, key->min / 1e6,
		                 key->max / 1e9);
	return ST_OK;
}

static enum status read_real(struct scenario_reader *r, const struct scenario_key *key,
                             const struct doc_node *node, double *value)
{
	bool whole = key->kind == KIND_UINT;
	struct span rest = node->text;
	char path[DOC_MAX_PATH];
	bool ok = scenario_number(&rest, value);

	if (ok && rest.len == 1 && (rest.ptr[0] == 'k' || rest.ptr[0] == 'M')) {
		*value *= rest.ptr[0] == 'k' ? 1e3 : 1e6;
		rest.len = 0;
	}
	if (!ok || rest.len > 0 || (whole && *value != floor(*value)))
		return doc_error(r->doc, node, r->err,
		                 "%s is '%.40s'; it takes a %snumber from %.0f to %.0f",
		                 doc_path(node, path), node->text.ptr, whole ? "whole " : "",
		                 key->min, key->max);
	if (*value < key->min || *value > key->max)
		return doc_error(r->doc, node, r->err, "%s is %s; it takes %.0f to %.0f",
		                 doc_path(node, path), node->text.ptr, key->min, key->max);
	return ST_OK;
}

static enum status read_bool(struct scenario_reader *r, const struct doc_node *node, bool *field)
{
	char path[DOC_MAX_PATH];

	*field = span_eq(node->text, SPAN_LIT("true"));
	if (*field || span_eq(node->text, SPAN_LIT("false")))
		return ST_OK;
	return doc_error(r->doc, node, r->err, "%s is '%.40s'; it takes true or false",
	                 doc_path(node, path), node->text.ptr);
}

static enum status read_value(struct scenario_reader *r, const struct scenario_key *key,
                              const struct doc_node *node, void *object)
{
	char *field = (char *)object + key->offset;
	enum status st;
	double value;

	if (key->kind == KIND_OWN)
		return key->read(r, key, node, object);
	st = scenario_scalar(r, node);
	if (st != ST_OK)
		return st;
	switch (key->kind) {
	case KIND_TEXT:
		return read_text(r, key, node, field);
	case KIND_DURATION:
		return read_duration(r, key, node, (uint64_t *)(void *)field);
	case KIND_BOOL:
		return read_bool(r, node, (bool *)(void *)field);
	default:
		break;
	}
	st = read_real(r, key, node, &value);
	if (st != ST_OK)
		return st;
	if (key->kind == KIND_REAL)
		memcpy(field, &value, sizeof(value));
	else if (key->size == sizeof(uint32_t))
		*(uint32_t *)(void *)field = (uint32_t)value;
	else
		*(uint64_t *)(void *)field = (uint64_t)value;
	return ST_OK;
}

static const struct scenario_key *key_find(struct scenario_reader *r, const struct doc_node *node,
                                           enum scenario_section section)
{
	struct doc_guess g = {.distance = UINT32_MAX};
	char known[256] = "", path[DOC_MAX_PATH];
	size_t used = 0;

	for (const struct scenario_key *k = scenario_keys; k->key; k++) {
		int n;

		if (k->section != section)
			continue;
		if (span_eq(node->key, span_cstr(k->key)))
			return k;
		doc_guess_try(&g, node->key, k->key);
		n = snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", k->key);
		used = min_size(used + (n > 0 ? (size_t)n : 0), sizeof(known) - 1);
	}
	doc_path(node->parent, path);
	if (g.word)
		(void)doc_key_error(r->doc, node, r->err,
		                    "unknown key '%.40s' in %s; did you mean '%s'?", node->key.ptr,
		                    path, g.word);
	else
		(void)doc_key_error(r->doc, node, r->err, "unknown key '%.40s' in %s; known are %s",
		                    node->key.ptr, path, known);
	return NULL;
}

enum status scenario_section_read(struct scenario_reader *r, enum scenario_section section,
                                  const struct doc_node *node, void *object)
{
	char path[DOC_MAX_PATH];
	enum status st = ST_OK;

	if (node->kind != DOC_MAPPING)
		return doc_error(r->doc, node, r->err,
		                 "%s is no mapping; write \"key: value\" lines",
		                 doc_path(node, path));
	/* By the table's order, which may differ from the file's: what is read later may build on
	 * what is read before. */
	for (const struct doc_node *n = node->first; n; n = n->next)
		if (!key_find(r, n, section))
			return ST_INVALID;
	for (const struct scenario_key *k = scenario_keys; st == ST_OK && k->key; k++) {
		const struct doc_node *n = doc_key(node, k->key);

		if (k->section != section)
			continue;
		if (n)
			st = read_value(r, k, n, object);
		else if (!k->def)
			st = doc_error(r->doc, node, r->err, "%s needs the key '%s' (%s)",
			               doc_path(node, path), k->key, k->value);
	}
	return st;
}

static enum status signing_check(struct scenario_reader *r)
{
	const struct doc_node *list = doc_key(r->doc->root, "endpoints");

	for (uint32_t i = 0; i < r->s->endpoint_count && !r->s->can_sign; i++)
		if (r->s->endpoints[i].sign)
			return doc_error(r->doc, doc_item(list, i), r->err,
			                 "endpoints[%u] is to be signed, and the file has no key "
			                 "'signing'; add it",
			                 i);
	return ST_OK;
}

/* "/x/smoke.yaml": "smoke". */
static void name_default(struct scenario *s, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	size_t len = strlen(base);
	const char *dot = strrchr(base, '.');

	if (s->name[0] != '\0')
		return;
	if (dot && dot != base)
		len = (size_t)(dot - base);
	(void)snprintf(s->name, sizeof(s->name), "%.*s", (int)len, base);
}

enum status scenario_parse(struct scenario *s, struct span text, const char *name,
                           struct config_error *err)
{
	struct scenario_reader r = {.s = s, .source = text, .err = err};
	struct doc doc;
	enum status st;

	scenario_init(s);
	st = doc_parse(&doc, text, name, err);
	if (st != ST_OK)
		return st;
	r.doc = &doc;
	if (!doc.root)
		st = doc_error(&doc, NULL, err,
		               "the file is empty; a scenario has stages and endpoints");
	else
		st = scenario_section_read(&r, SECTION_TOP, doc.root, s);
	if (st == ST_OK)
		st = signing_check(&r);
	doc_free(&doc);
	if (st == ST_OK)
		name_default(s, name);
	else
		scenario_free(s);
	return st;
}
