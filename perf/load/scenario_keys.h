/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of every key of a scenario file: the parser reads by it, errors guess from it, and the
 * reference in docs/SCENARIOS.md is made from it. */
#ifndef PERF_LOAD_SCENARIO_KEYS_H
#define PERF_LOAD_SCENARIO_KEYS_H

#include "lib/config_doc.h"
#include "perf/load/scenario.h"

enum scenario_section {
	SECTION_TOP,
	SECTION_STAGE,
	SECTION_ENDPOINT,
	SECTION_KEYS,
	SECTION_SIGNING,
	SECTION_COUNT
};

enum scenario_kind {
	KIND_TEXT,     /* char array of max bytes with its NUL */
	KIND_DURATION, /* uint64_t ns */
	KIND_UINT,     /* uint32_t or uint64_t by size; also with k and M */
	KIND_REAL,     /* double */
	KIND_BOOL,
	KIND_OWN, /* by the function alone */
};

/* A file that is being read. */
struct scenario_reader {
	struct scenario *s;
	const struct doc *doc;
	struct span source; /* the file's bytes */
	struct config_error *err;
};

struct scenario_key;
/* object: the structure of the section. */
typedef enum status scenario_key_read(struct scenario_reader *r, const struct scenario_key *key,
                                      const struct doc_node *node, void *object);

struct scenario_key {
	enum scenario_section section;
	const char *key;
	const char *value; /* what may stand there, in words */
	const char *def;   /* default, in words; NULL: required */
	const char *text;
	enum scenario_kind kind;
	uint32_t offset; /* in the section's structure */
	uint32_t size;   /* of the field */
	double min;      /* KIND_DURATION: ns */
	double max;
	scenario_key_read *read; /* KIND_OWN */
};

struct scenario_section_info {
	const char *path; /* "stages[]" */
	const char *text;
};

/* Ends with a NULL key; the rows of a section follow each other. */
extern const struct scenario_key scenario_keys[];
extern const struct scenario_section_info scenario_sections[SECTION_COUNT];

/* Reads a mapping by the section's rows: unknown keys and missing ones are refused. */
enum status scenario_section_read(struct scenario_reader *r, enum scenario_section section,
                                  const struct doc_node *node, void *object);
/* A text with variables. NULL: refused. what: for the error, as "target". */
struct template *scenario_template_read(struct scenario_reader *r, const struct doc_node *node,
                                        struct span text);
/* Is it a single value? */
enum status scenario_scalar(struct scenario_reader *r, const struct doc_node *node);

/* Readers of keys that are more than a number or a text (scenario_sections.c). */
scenario_key_read scenario_read_stages, scenario_read_endpoints, scenario_read_headers,
        scenario_read_keys, scenario_read_signing, scenario_read_thresholds, scenario_read_arrival,
        scenario_read_think, scenario_read_host;
/* Of a stage, an endpoint and of signing (scenario_parts.c). */
scenario_key_read scenario_read_users, scenario_read_rate, scenario_read_request,
        scenario_read_endpoint_headers, scenario_read_body, scenario_read_body_bytes,
        scenario_read_expect, scenario_read_policy_hash, scenario_read_mac_key,
        scenario_read_mac_key_file, scenario_read_mac_key_env;

#endif
