/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/config_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* More than any section has: it bounds the search for keys given twice. */
#define MAPPING_MAX_KEYS 64u
#define WORD_MAX         32u /* longer ones are never near */

struct builder {
	struct doc *doc;
	struct config_error *err;
	struct span text;
	struct doc_node *open; /* the innermost collection that is not closed */
	uint32_t depth;
	uint32_t documents;
	/* A mapping's key that waits for its value. */
	bool key_waits;
	struct span key;
	uint32_t key_line;
	uint32_t key_column;
};

PRINTF(4, 0)
static void error_format(struct config_error *err, const char *name, const uint32_t place[2],
                         const char *fmt, va_list args)
{
	int n = snprintf(err->text, sizeof(err->text), "%s:%u:%u: ", name, place[0], place[1]);

	if (n < 0 || (size_t)n >= sizeof(err->text))
		return;
	(void)vsnprintf(err->text + n, sizeof(err->text) - (size_t)n, fmt, args);
	/* What the file says is quoted in errors; it must not steer a terminal. */
	for (char *c = err->text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

void doc_place_error(struct config_error *err, const char *name, const uint32_t place[2],
                     const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_format(err, name, place, fmt, args);
	va_end(args);
}

enum status doc_error(const struct doc *doc, const struct doc_node *node, struct config_error *err,
                      const char *fmt, ...)
{
	const uint32_t place[2] = {node ? node->line : 1, node ? node->column : 1};
	va_list args;

	va_start(args, fmt);
	error_format(err, doc->name, place, fmt, args);
	va_end(args);
	return ST_INVALID;
}

enum status doc_key_error(const struct doc *doc, const struct doc_node *node,
                          struct config_error *err, const char *fmt, ...)
{
	const uint32_t place[2] = {node ? node->key_line : 1, node ? node->key_column : 1};
	va_list args;

	va_start(args, fmt);
	error_format(err, doc->name, place, fmt, args);
	va_end(args);
	return ST_INVALID;
}

static enum status build_error(struct builder *b, yaml_mark_t mark, const char *text)
{
	const uint32_t place[2] = {(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};

	doc_place_error(b->err, b->doc->name, place, "%s", text);
	return ST_INVALID;
}

/* Keys and scalars are never longer together than the file, plus one NUL each. */
static struct span text_keep(struct doc *doc, const yaml_event_t *ev)
{
	size_t len = ev->data.scalar.length;
	char *to = doc->texts + doc->texts_used;

	if (len + 1 > doc->texts_room - doc->texts_used)
		return span_of(NULL, 0);
	memcpy(to, ev->data.scalar.value, len);
	to[len] = '\0';
	doc->texts_used += len + 1;
	return span_of(to, len);
}

static enum status key_take(struct builder *b, const yaml_event_t *ev)
{
	struct span key = text_keep(b->doc, ev);

	if (!key.ptr)
		return build_error(b, ev->start_mark, "too much text; at most 1 MiB");
	if (b->open->children == MAPPING_MAX_KEYS)
		return build_error(b, ev->start_mark, "too many keys; no mapping has that many");
	for (const struct doc_node *n = b->open->first; n; n = n->next) {
		if (!span_eq(n->key, key))
			continue;
		const uint32_t place[2] = {(uint32_t)ev->start_mark.line + 1,
		                           (uint32_t)ev->start_mark.column + 1};
		doc_place_error(b->err, b->doc->name, place,
		                "key '%.40s' is here twice; it stands in line %u already", key.ptr,
		                n->key_line);
		return ST_INVALID;
	}
	b->key = key;
	b->key_line = (uint32_t)ev->start_mark.line + 1;
	b->key_column = (uint32_t)ev->start_mark.column + 1;
	b->key_waits = true;
	return ST_OK;
}

static struct doc_node *node_add(struct builder *b, const yaml_event_t *ev, enum doc_kind kind)
{
	struct doc *doc = b->doc;
	struct doc_node *n, *up = b->open;

	if (doc->count == doc->room)
		return NULL;
	n = &doc->nodes[doc->count++];
	*n = (struct doc_node){
	        .kind = kind,
	        .line = (uint32_t)ev->start_mark.line + 1,
	        .column = (uint32_t)ev->start_mark.column + 1,
	        .parent = up,
	};
	n->key_line = n->line;
	n->key_column = n->column;
	if (b->key_waits) {
		n->has_key = true;
		n->key = b->key;
		n->key_line = b->key_line;
		n->key_column = b->key_column;
		b->key_waits = false;
	}
	if (!up) {
		doc->root = n;
		return n;
	}
	n->index = up->children++;
	if (up->last)
		up->last->next = n;
	else
		up->first = n;
	up->last = n;
	return n;
}

static enum status take_scalar(struct builder *b, const yaml_event_t *ev)
{
	struct doc_node *n;

	if (ev->data.scalar.anchor || ev->data.scalar.tag)
		return build_error(b, ev->start_mark,
		                   "anchors and tags have no use here; "
		                   "write the plain value");
	if (memchr(ev->data.scalar.value, '\0', ev->data.scalar.length))
		return build_error(b, ev->start_mark, "a NUL byte in a text; remove it");
	if (b->open && b->open->kind == DOC_MAPPING && !b->key_waits)
		return key_take(b, ev);
	n = node_add(b, ev, DOC_SCALAR);
	if (!n)
		return build_error(b, ev->start_mark, "too many values; at most 65536");
	n->quoted = ev->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
	            ev->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	n->text = text_keep(b->doc, ev);
	if (!n->text.ptr)
		return build_error(b, ev->start_mark, "too much text; at most 1 MiB");
	return ST_OK;
}

static enum status take_open(struct builder *b, const yaml_event_t *ev, enum doc_kind kind)
{
	const yaml_char_t *anchor = kind == DOC_MAPPING ? ev->data.mapping_start.anchor
	                                                : ev->data.sequence_start.anchor;
	const yaml_char_t *tag =
	        kind == DOC_MAPPING ? ev->data.mapping_start.tag : ev->data.sequence_start.tag;
	struct doc_node *n;

	if (anchor || tag)
		return build_error(b, ev->start_mark,
		                   "anchors and tags have no use here; "
		                   "write the plain value");
	if (b->open && b->open->kind == DOC_MAPPING && !b->key_waits)
		return build_error(b, ev->start_mark, "a key must be a plain word");
	if (b->depth == DOC_MAX_DEPTH)
		return build_error(b, ev->start_mark, "nested too deeply; at most 16 levels");
	n = node_add(b, ev, kind);
	if (!n)
		return build_error(b, ev->start_mark, "too many values; at most 65536");
	b->open = n;
	b->depth++;
	return ST_OK;
}

static enum status take_event(struct builder *b, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++ > 0)
			return build_error(b, ev->start_mark,
			                   "a second document; the file holds one");
		return ST_OK;
	case YAML_SCALAR_EVENT:
		return take_scalar(b, ev);
	case YAML_MAPPING_START_EVENT:
		return take_open(b, ev, DOC_MAPPING);
	case YAML_SEQUENCE_START_EVENT:
		return take_open(b, ev, DOC_SEQUENCE);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		b->open = b->open->parent;
		b->depth--;
		return ST_OK;
	case YAML_ALIAS_EVENT:
		return build_error(b, ev->start_mark,
		                   "aliases have no use here; "
		                   "write the value itself");
	default:
		return ST_OK;
	}
}

static void offset_place(struct span text, size_t offset, uint32_t place[2])
{
	place[0] = place[1] = 1;
	for (size_t i = 0; i < offset && i < text.len; i++) {
		place[1]++;
		if (text.ptr[i] == '\n') {
			place[0]++;
			place[1] = 1;
		}
	}
}

static enum status parser_error(struct builder *b, const yaml_parser_t *parser)
{
	const char *why = parser->problem ? parser->problem : "it cannot be read";
	uint32_t place[2] = {(uint32_t)parser->problem_mark.line + 1,
	                     (uint32_t)parser->problem_mark.column + 1};

	if (parser->error == YAML_MEMORY_ERROR)
		return ST_NOMEM;
	/* Bytes that are no text have an offset in place of a mark. */
	if (parser->error == YAML_READER_ERROR)
		offset_place(b->text, parser->problem_offset, place);
	doc_place_error(b->err, b->doc->name, place,
	                "not valid YAML: %s%s%s; look at indentation, quotes and ':' here", why,
	                parser->context ? ", " : "", parser->context ? parser->context : "");
	return ST_INVALID;
}

static enum status events_read(struct builder *b, yaml_parser_t *parser)
{
	enum status st = ST_OK;
	bool end = false;

	while (st == ST_OK && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(parser, &ev))
			return parser_error(b, parser);
		end = ev.type == YAML_STREAM_END_EVENT;
		st = take_event(b, &ev);
		yaml_event_delete(&ev);
	}
	return st;
}

/* Every node takes at least one byte of the file, and an empty value none but that of its ':' or
 * '-'; a mapping in a flow sequence ("[a: b]") two more for its pair. */
static enum status doc_reserve(struct doc *doc, size_t len)
{
	doc->room = (uint32_t)min_size(2 * len + 2, DOC_MAX_NODES);
	doc->texts_room = 4 * len + 64;
	doc->nodes = calloc(doc->room, sizeof(*doc->nodes));
	doc->texts = malloc(doc->texts_room);
	return doc->nodes && doc->texts ? ST_OK : ST_NOMEM;
}

enum status doc_parse(struct doc *doc, struct span text, const char *name, struct config_error *err)
{
	struct builder b = {.doc = doc, .err = err, .text = text};
	const uint32_t start[2] = {1, 1};
	yaml_parser_t parser;
	enum status st;

	*doc = (struct doc){.name = name};
	if (text.len > DOC_MAX_BYTES) {
		doc_place_error(err, name, start, "the file has %zu bytes; at most %u", text.len,
		                DOC_MAX_BYTES);
		return ST_TOOBIG;
	}
	doc_place_error(err, name, start, "out of memory");
	st = doc_reserve(doc, text.len);
	if (st == ST_OK && !yaml_parser_initialize(&parser))
		st = ST_NOMEM;
	if (st != ST_OK) {
		doc_free(doc);
		return st;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	st = events_read(&b, &parser);
	yaml_parser_delete(&parser);
	if (st != ST_OK)
		doc_free(doc);
	return st;
}

void doc_free(struct doc *doc)
{
	free(doc->nodes);
	free(doc->texts);
	doc->nodes = NULL;
	doc->texts = NULL;
	doc->root = NULL;
}

const struct doc_node *doc_key(const struct doc_node *node, const char *key)
{
	if (!node || node->kind != DOC_MAPPING)
		return NULL;
	for (const struct doc_node *n = node->first; n; n = n->next)
		if (span_eq(n->key, span_cstr(key)))
			return n;
	return NULL;
}

const struct doc_node *doc_item(const struct doc_node *node, uint32_t index)
{
	const struct doc_node *n;

	if (!node || node->kind != DOC_SEQUENCE)
		return NULL;
	for (n = node->first; n && n->index != index; n = n->next)
		;
	return n;
}

const char *doc_path(const struct doc_node *node, char *buf)
{
	const struct doc_node *chain[DOC_MAX_DEPTH + 1];
	size_t depth = 0, used = 0;

	for (; node && node->parent && depth < ARRAY_LEN(chain); node = node->parent)
		chain[depth++] = node;
	(void)snprintf(buf, DOC_MAX_PATH, "the file");
	while (depth > 0 && used < DOC_MAX_PATH) {
		const struct doc_node *n = chain[--depth];
		int wrote;

		if (n->has_key)
			wrote = snprintf(buf + used, DOC_MAX_PATH - used, "%s%.40s",
			                 used ? "." : "", n->key.ptr);
		else
			wrote = snprintf(buf + used, DOC_MAX_PATH - used, "[%u]", n->index);
		used += wrote > 0 ? (size_t)wrote : 0;
	}
	return buf;
}

/* Edits (insert, delete, replace, swap of neighbours) that make b of a; Damerau 1964, restricted.
 */
static uint32_t edit_distance(const char *a, size_t a_len, const char *b)
{
	uint32_t rows[3][WORD_MAX + 1];
	size_t b_len = strlen(b);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return WORD_MAX;
	for (uint32_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (uint32_t i = 1; i <= a_len; i++) {
		uint32_t *now = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		now[0] = i;
		for (uint32_t j = 1; j <= b_len; j++) {
			uint32_t replace = up[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = min_u32(min_u32(up[j], now[j - 1]) + 1, replace);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min_u32(now[j], up2[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

void doc_guess_try(struct doc_guess *g, struct span text, const char *word)
{
	uint32_t distance = edit_distance(text.ptr, text.len, word);

	/* Beyond a third of the word, a guess confuses more than it helps. */
	if (distance < g->distance && distance <= max_u32(1, (uint32_t)strlen(word) / 3)) {
		g->word = word;
		g->distance = distance;
	}
}
