/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Templates of cache keys, tags and purges ("risk:id:{path.id|lower}"), as the configuration has
 * them, made into the operations of rule_format.h. For config_cache_rules.c, which tells people
 * what is wrong with one, and snapshot_rules.c, which writes it into a snapshot. Allocates nothing;
 * docs/RULES.md has the grammar.
 *
 * A key must say unmistakably what each of its values was, whatever a client sends: so a value is
 * written in an alphabet of its own (enum rule_form), and what follows it in the template must
 * begin with a byte that is not in there. */
#ifndef LIB_KEY_TEMPLATE_H
#define LIB_KEY_TEMPLATE_H

#include "lib/config.h"
#include "lib/rule_format.h"
#include "lib/span.h"

enum template_kind { TEMPLATE_KEY, TEMPLATE_TAG, TEMPLATE_PURGE };

struct template_op {
	uint8_t code; /* enum rule_op_code */
	uint8_t a;
	uint16_t n;
	struct span text; /* of the template, or static */
};

struct template_names {
	struct span names[RULE_QUERY_MAX];
	uint32_t count;
};

/* What the templates of one rule share. Zero at first. */
struct template_rule {
	const struct config_table *tables;
	unsigned table_count;
	struct template_names query;
	struct template_names path;
	struct template_names body;
	uint16_t flags;     /* RULE_NEEDS_BODY, RULE_ALL_QUERY, RULE_SORTS_QUERY */
	uint32_t sources;   /* bit 1 << enum rule_source, of the key */
	uint32_t key_paths; /* the first of path: those of the key */
	bool semantic;      /* the key has normalisers */
};

struct template
{
	struct template_op ops[RULE_OPS_MAX];
	uint32_t count;
};

struct template_error {
	uint32_t at;    /* byte of the template */
	char text[256]; /* "what is wrong; what would be right" */
};

/* False: err says what is wrong, and where. */
bool template_compile(struct span text, enum template_kind kind, struct template_rule *rule,
                      struct template *out, struct template_error *err);

/* What "word" (named: "word.X") stands for; RULE_SOURCE_COUNT: nothing. */
enum rule_source template_source(struct span word, bool named);

/* Adds one operation; false when there is no room. */
bool template_add(struct template *t, struct template_op op);

#endif
