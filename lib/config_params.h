/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of every key of the configuration file (params.def) as data: for config*.c, for the
 * generator of docs/reference/config.md, and for whoever prints a configuration. It reads no file
 * and keeps no state. */
#ifndef LIB_CONFIG_PARAMS_H
#define LIB_CONFIG_PARAMS_H

#include "lib/base.h"
#include "lib/config.h"
#include "lib/span.h"

enum param_section {
#define SECTION(id, path, text) PARAM_##id,
#include "lib/params_each.h"
	PARAM_SECTION_COUNT
};

enum param_kind {
	PARAM_UINT,
	PARAM_ENUM,
	PARAM_TEXT,
	PARAM_MAP,   /* nested mapping: child says which section */
	PARAM_MAPS,  /* list of mappings: a pointer, and a count */
	PARAM_TEXTS, /* list of strings: a pointer, and a count */
	PARAM_UINTS  /* list of unsigned: a pointer, and a count */
};

struct param_name {
	const char *name;
	int64_t value;
};

struct param_names {
	const struct param_name *names;
	uint32_t count;
};

struct param {
	const char *key;
	const char *unit;     /* "" when a number counts things */
	const char *text;     /* for people */
	const char *def_text; /* default of ENUM and TEXT; of a list, in words; NULL: none */
	const char *example;  /* of what must be given */
	struct param_names names;
	uint64_t def[3]; /* UINT: for the profiles; all equal where they play no part */
	uint64_t min;    /* UINT: value; lists: count */
	uint64_t max;
	uint64_t item_max;     /* UINTS: the largest item */
	uint32_t offset;       /* in the section's structure */
	uint32_t count_offset; /* lists */
	uint32_t size;         /* bytes of the field */
	enum param_kind kind;
	enum param_section section;
	enum param_section child; /* MAP, MAPS */
	bool required;
	bool pow2;
	bool profiled;
};

struct param_group {
	const char *path; /* "routes[].cache"; "" for the file itself */
	const char *text;
	uint32_t size; /* bytes of the structure */
	const struct param *params;
	uint32_t count;
};

struct param_group param_group(enum param_section section);
/* NULL when the section has no such key. */
const struct param *param_find(enum param_section section, struct span key);
/* The number in a UINT or ENUM field of the section's structure, and how to set it. */
uint64_t param_get(const struct param *p, const void *section_struct);
void param_set(const struct param *p, void *section_struct, uint64_t value);
/* Value of a name of an ENUM; false when it has none such. */
bool param_name_value(const struct param_names *names, struct span name, int64_t *out);

#endif
