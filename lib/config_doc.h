/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A light index of a YAML document: every key and value with its line and column, which libcyaml
 * does not keep. Made with libyaml's event parser, for config*.c and the load tool's scenarios. It
 * knows nothing of what the keys mean. Bounded in nodes and depth; anchors, aliases and tags are
 * refused, since a configuration needs none of them and they hide what a line says. */
#ifndef LIB_CONFIG_DOC_H
#define LIB_CONFIG_DOC_H

#include "lib/base.h"
#include "lib/config.h"
#include "lib/span.h"
#include "lib/status.h"

#define DOC_MAX_BYTES (1u << 20)
#define DOC_MAX_NODES 65536u
#define DOC_MAX_DEPTH 16u
#define DOC_MAX_PATH  128u

enum doc_kind { DOC_SCALAR, DOC_MAPPING, DOC_SEQUENCE };

struct doc_node {
	enum doc_kind kind;
	bool has_key;
	bool quoted; /* a scalar in quotes: its text begins one column on */
	uint32_t key_line; /* from 1; of the key in a mapping, else of the value */
	uint32_t key_column;
	uint32_t line;
	uint32_t column;
	uint32_t index; /* place among its siblings */
	uint32_t children;
	struct span key;
	struct span text; /* of a scalar */
	struct doc_node *parent;
	struct doc_node *first;
	struct doc_node *last;
	struct doc_node *next;
};

struct doc {
	const char *name;       /* the file, for errors */
	struct doc_node *root;  /* NULL: an empty document */
	struct doc_node *nodes; /* all of them, DOC_MAX_NODES at most */
	uint32_t count;
	uint32_t room;
	char *texts; /* the bytes of all keys and scalars */
	size_t texts_used;
	size_t texts_room;
};

/* On failure err holds the whole text and nothing is left to free. */
enum status doc_parse(struct doc *doc, struct span text, const char *name,
                      struct config_error *err);
void doc_free(struct doc *doc);

/* NULL when there is none such; node may be NULL. */
const struct doc_node *doc_key(const struct doc_node *node, const char *key);
const struct doc_node *doc_item(const struct doc_node *node, uint32_t index);
/* "listeners[0].port" into buf (DOC_MAX_PATH bytes); "the file" for the root. */
const char *doc_path(const struct doc_node *node, char *buf);

/* Composes "NAME:LINE:COLUMN: ..."; returns ST_INVALID. node NULL: line 1. The first is at the
 * value, the second at its key. */
enum status doc_error(const struct doc *doc, const struct doc_node *node, struct config_error *err,
                      const char *fmt, ...) PRINTF(4, 5);
enum status doc_key_error(const struct doc *doc, const struct doc_node *node,
                          struct config_error *err, const char *fmt, ...) PRINTF(4, 5);
/* The same at a place that no node has. */
void doc_place_error(struct config_error *err, const char *name, const uint32_t place[2],
                     const char *fmt, ...) PRINTF(4, 5);

/* Which of the words offered did a person mean? word stays NULL when none is near. */
struct doc_guess {
	const char *word;
	uint32_t distance; /* begins at UINT32_MAX */
};

void doc_guess_try(struct doc_guess *g, struct span text, const char *word);

#endif
