/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Does the document have the shape of params.def: known keys, all that are needed, the right kinds
 * of values, numbers in their ranges? */
#include "lib/config_params.h"
#include "lib/config_private.h"

#include <stdio.h>
#include <stdlib.h>

struct check {
	const struct doc *doc;
	struct config_error *err;
	char path[DOC_MAX_PATH];
};

static const char *kind_name(enum doc_kind kind)
{
	switch (kind) {
	case DOC_MAPPING:
		return "a mapping";
	case DOC_SEQUENCE:
		return "a list";
	default:
		return "a single value";
	}
}

static enum status unknown_key(struct check *c, const struct doc_node *node,
                               enum param_section section)
{
	struct param_group group = param_group(section);
	struct doc_guess g = {.distance = UINT32_MAX};
	char known[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < group.count; i++) {
		int n = snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
		                 group.params[i].key);

		used = min_size(used + (n > 0 ? (size_t)n : 0), sizeof(known) - 1);
		doc_guess_try(&g, node->key, group.params[i].key);
	}
	doc_path(node->parent, c->path);
	if (g.word)
		return doc_key_error(c->doc, node, c->err,
		                     "unknown key '%.40s' in %s; did you mean '%s'?", node->key.ptr,
		                     c->path, g.word);
	return doc_key_error(c->doc, node, c->err, "unknown key '%.40s' in %s; known are %s",
	                     node->key.ptr, c->path, known);
}

static enum status wrong_kind(struct check *c, const struct doc_node *node, const char *right)
{
	doc_path(node, c->path);
	if (node->kind == DOC_SCALAR && node->text.len == 0)
		return doc_error(c->doc, node, c->err, "%s is empty; it must be %s", c->path,
		                 right);
	return doc_error(c->doc, node, c->err, "%s is %s; it must be %s", c->path,
	                 kind_name(node->kind), right);
}

/* 1*DIGIT without leading zeros: libcyaml would read "010" as octal. */
static bool number_parse(struct span text, uint64_t *out)
{
	uint64_t value = 0;

	if (text.len == 0 || text.len > 20 || (text.len > 1 && text.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)text.ptr[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

struct range {
	uint64_t min;
	uint64_t max;
	const char *unit;
	bool pow2;
};

static enum status check_number(struct check *c, const struct doc_node *node,
                                const struct range *range)
{
	const char *what = range->pow2 ? "a power of two" : "a whole number";
	const char *unit = range->unit[0] ? " " : "";
	uint64_t value;

	if (node->kind != DOC_SCALAR || node->text.len == 0)
		return wrong_kind(c, node, what);
	if (number_parse(node->text, &value) && value >= range->min && value <= range->max &&
	    (!range->pow2 || is_pow2(value)))
		return ST_OK;
	return doc_error(c->doc, node, c->err, "%s is '%.40s'; it must be %s from %llu to %llu%s%s",
	                 doc_path(node, c->path), node->text.ptr, what,
	                 (unsigned long long)range->min, (unsigned long long)range->max, unit,
	                 range->unit);
}

static enum status check_enum(struct check *c, const struct doc_node *node, const struct param *p)
{
	struct doc_guess g = {.distance = UINT32_MAX};
	char known[128] = "";
	size_t used = 0;
	int64_t value;

	for (uint32_t i = 0; i < p->names.count; i++) {
		int n = snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
		                 p->names.names[i].name);

		used = min_size(used + (n > 0 ? (size_t)n : 0), sizeof(known) - 1);
		doc_guess_try(&g, node->text, p->names.names[i].name);
	}
	if (node->kind != DOC_SCALAR || node->text.len == 0) {
		char right[160];

		(void)snprintf(right, sizeof(right), "one of %s", known);
		return wrong_kind(c, node, right);
	}
	if (param_name_value(&p->names, node->text, &value))
		return ST_OK;
	doc_path(node, c->path);
	if (g.word)
		return doc_error(c->doc, node, c->err, "%s is '%.40s'; did you mean '%s'? (%s)",
		                 c->path, node->text.ptr, g.word, known);
	return doc_error(c->doc, node, c->err, "%s is '%.40s'; it must be one of %s", c->path,
	                 node->text.ptr, known);
}

static enum status check_text(struct check *c, const struct doc_node *node)
{
	if (node->kind != DOC_SCALAR || node->text.len == 0)
		return wrong_kind(c, node, "a text");
	if (node->text.len <= 1024)
		return ST_OK;
	return doc_error(c->doc, node, c->err, "%s has %zu bytes; at most 1024",
	                 doc_path(node, c->path), node->text.len);
}

static enum status check_items(struct check *c, const struct doc_node *node, const struct param *p)
{
	const struct range range = {.min = 0, .max = p->item_max, .unit = ""};
	enum status st = ST_OK;

	for (const struct doc_node *n = node->first; n && st == ST_OK; n = n->next)
		st = p->kind == PARAM_UINTS ? check_number(c, n, &range) : check_text(c, n);
	return st;
}

static enum status check_list(struct check *c, const struct doc_node *node, const struct param *p)
{
	if (node->kind != DOC_SEQUENCE)
		return wrong_kind(c, node,
		                  p->kind == PARAM_MAPS ? "a list of mappings, each begun with '-'"
		                                        : "a list, as [a, b]");
	if (node->children >= p->min && node->children <= p->max)
		return ST_OK;
	return doc_error(c->doc, node, c->err, "%s has %u items; it must have from %llu to %llu",
	                 doc_path(node, c->path), node->children, (unsigned long long)p->min,
	                 (unsigned long long)p->max);
}

static enum status check_param(struct check *c, const struct doc_node *node, const struct param *p)
{
	const struct range range = {p->min, p->max, p->unit, p->pow2};

	switch (p->kind) {
	case PARAM_UINT:
		return check_number(c, node, &range);
	case PARAM_ENUM:
		return check_enum(c, node, p);
	case PARAM_TEXT:
		return check_text(c, node);
	case PARAM_TEXTS:
	case PARAM_UINTS: {
		enum status st = check_list(c, node, p);

		return st == ST_OK ? check_items(c, node, p) : st;
	}
	case PARAM_MAPS:
		return check_list(c, node, p);
	default:
		return ST_OK;
	}
}

static enum status missing_key(struct check *c, const struct doc_node *node, const struct param *p)
{
	doc_path(node, c->path);
	if (p->kind == PARAM_TEXT)
		return doc_error(c->doc, node, c->err,
		                 "%s has no '%s'; add it, for example: %s: %s", c->path, p->key,
		                 p->key, p->example);
	return doc_error(c->doc, node, c->err, "%s has no '%s'; add a list with at least one item",
	                 c->path, p->key);
}

/* The keys of one mapping; what is nested in it comes later. */
static enum status check_mapping(struct check *c, const struct doc_node *node,
                                 enum param_section section)
{
	struct param_group group = param_group(section);
	enum status st = ST_OK;

	if (node->kind != DOC_MAPPING)
		return wrong_kind(c, node, "a mapping, as key: value");
	for (const struct doc_node *n = node->first; n && st == ST_OK; n = n->next) {
		const struct param *p = param_find(section, n->key);

		st = p ? check_param(c, n, p) : unknown_key(c, n, section);
	}
	for (uint32_t i = 0; i < group.count && st == ST_OK; i++)
		if (group.params[i].required && !doc_key(node, group.params[i].key))
			st = missing_key(c, node, &group.params[i]);
	return st;
}

/* Sections nest to the third level at most (routes[].cache), as params.def says. */
static enum status check_section(struct check *c, const struct doc_node *node,
                                 enum param_section section)
{
	enum status st = check_mapping(c, node, section);

	for (const struct doc_node *n = node->first; n && st == ST_OK; n = n->next) {
		const struct param *p = param_find(section, n->key);

		if (p->kind == PARAM_MAP)
			st = check_section(c, n, p->child);
		if (p->kind != PARAM_MAPS)
			continue;
		for (const struct doc_node *i = n->first; i && st == ST_OK; i = i->next)
			st = check_section(c, i, p->child);
	}
	return st;
}

enum status config_check_shape(const struct doc *doc, struct config_error *err)
{
	struct check c = {.doc = doc, .err = err};

	if (!doc->root)
		return doc_error(
		        doc, NULL, err,
		        "the file is empty; it needs listeners, ports, upstreams and routes");
	return check_section(&c, doc->root, PARAM_top);
}
