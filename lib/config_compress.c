/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules of routes[].compress. */
#include "lib/config_private.h"
#include "lib/http1.h"

#define TYPE_LEN_MAX 80u

static const char *const names[CONFIG_CODING_COUNT] = {NULL, "br", "zstd", "gzip"};

enum config_coding config_coding_find(const char *name)
{
	for (int c = CONFIG_CODING_NONE + 1; c < CONFIG_CODING_COUNT; c++)
		if (strcmp(name, names[c]) == 0)
			return (enum config_coding)c;
	return CONFIG_CODING_NONE;
}

struct compress {
	const struct doc *doc;
	struct config_error *err;
	const struct config_compress *c;
	const struct doc_node *section;
	unsigned route;
};

static enum status bad(struct compress *k, const struct doc_node *node, const char *text,
                       const char *wrong)
{
	char path[DOC_MAX_PATH];

	return doc_error(k->doc, node, k->err, "%s '%.60s' %s", doc_path(node, path), text, wrong);
}

static enum status check_encodings(struct compress *k)
{
	const struct doc_node *list = doc_key(k->section, "encodings");
	uint32_t seen = 0;

	for (unsigned i = 0; i < k->c->encodings_count; i++) {
		const char *name = k->c->encodings[i];
		enum config_coding c = config_coding_find(name);

		if (c == CONFIG_CODING_NONE)
			return bad(k, doc_item(list, i), name,
			           "is no coding that Sluice makes; write br, zstd or gzip");
		if (seen & 1u << c)
			return bad(k, doc_item(list, i), name, "is in the list twice; remove one");
		seen |= 1u << c;
	}
	return ST_OK;
}

/* type "/" subtype (RFC 9110 8.3.1), '*' in either: no parameters, no comma. */
static bool type_ok(const char *text)
{
	uint32_t slashes = 0;
	size_t len = strlen(text);

	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '/')
			slashes++;
		else if ((*c < 'a' || *c > 'z') && (*c < '0' || *c > '9') &&
		         strchr("!#$&^_.+-*", *c) == NULL)
			return false;
	}
	return slashes == 1 && len <= TYPE_LEN_MAX && text[0] != '/' && text[len - 1] != '/';
}

static enum status check_types(struct compress *k)
{
	const struct doc_node *list = doc_key(k->section, "types");

	for (unsigned i = 0; list != NULL && i < k->c->types_count; i++)
		if (!type_ok(k->c->types[i]))
			return bad(k, doc_item(list, i), k->c->types[i],
			           "is no media type; write it as text/html or text/*, in lower "
			           "case and without parameters");
	return ST_OK;
}

static enum status check_route(struct compress *k)
{
	const struct doc_node *min = doc_key(k->section, "min_bytes");
	enum status st = check_encodings(k);

	if (st == ST_OK)
		st = check_types(k);
	if (st != ST_OK)
		return st;
	if (k->c->min_bytes > k->c->max_bytes)
		return doc_error(k->doc, min ? min : k->section, k->err,
		                 "routes[%u].compress.min_bytes is %u, above max_bytes, which is "
		                 "%u; nothing would be compressed",
		                 k->route, k->c->min_bytes, k->c->max_bytes);
	return ST_OK;
}

enum status config_check_compress(const struct doc *doc, const struct config *cfg,
                                  struct config_error *err)
{
	const struct doc_node *item = doc_item(doc_key(doc->root, "routes"), 0);
	enum status st = ST_OK;

	for (unsigned i = 0; i < cfg->routes_count && st == ST_OK; i++, item = item->next) {
		struct compress k = {.doc = doc,
		                     .err = err,
		                     .c = &cfg->routes[i].compress,
		                     .section = doc_key(item, "compress"),
		                     .route = i};

		if (k.section != NULL)
			st = check_route(&k);
	}
	return st;
}
