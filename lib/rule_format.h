/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cache rules as a snapshot holds them: what to keep for how long, and the programs that make a
 * request's cache key, its tags and the purges of a mutation. Written by snapshot_rules.c, checked
 * by snapshot_rules_check.c, run by cache/key_program.c, where the operations are explained.
 * Offsets count from the snapshot's first byte.
 *
 * A program is a list of operations without jumps, so its time is bounded by its length and by the
 * bytes of the request. */
#ifndef LIB_RULE_FORMAT_H
#define LIB_RULE_FORMAT_H

#include "lib/base.h"

#define RULES_MAX         256u
#define RULE_OPS_MAX      96u /* of one program */
#define RULE_QUERY_MAX    16u /* query parameters that the programs of a rule name */
#define RULE_BODY_MAX     8u  /* fields of a JSON body, likewise */
#define RULE_PATH_MAX     16u /* path parameters, likewise */
#define RULE_IGNORE_MAX   32u
#define RULE_TAGS_MAX     8u
#define RULE_PURGES_MAX   16u
#define RULE_TABLES_MAX   64u
#define RULE_PAIRS_MAX    1024u
#define RULE_CREDS_MAX    8u
#define RULE_TEMPLATE_MAX 512u /* bytes of a template */
#define RULE_NAME_MAX     64u
#define RULE_ROUND_MAX    9u /* digits */
#define RULE_NUMBER_MAX   999999999u
#define RULE_CHECK_MAX    1000000u
/* Bytes of the names of what an answer depends on, with their commas (cache/read_set.h). */
#define RULE_READS_MAX   256u
#define RULE_READS_COUNT 16u
/* How the keys of patterns begin; no template of a key does. */
#define RULE_PATTERN_PREFIX "pattern:"
/* Divides a key from its scope (host, method, tenant, policy, credential); in no part of either. */
#define RULE_SCOPE_SEP '|'

enum rule_op_code {
	RULE_OP_LITERAL, /* appends text */
	RULE_OP_LOAD,    /* a: enum rule_source, n: its index, or enum http_hdr; text: its name */
	RULE_OP_DEFAULT, /* text, when the value is absent or empty */
	RULE_OP_FILTER,  /* a: enum rule_filter; len: its number */
	RULE_OP_TABLE,   /* n: index of a table: the value becomes what it maps to */
	RULE_OP_UNIT,    /* n: index of a table: number with unit to number */
	RULE_OP_EMIT,    /* a: enum rule_form: appends the value */
	RULE_OP_TARGET,  /* appends host, path and query as they were sent */
	RULE_OP_SCOPE,   /* a, n as LOAD: appends "|x=" and the value, when there is one */
	RULE_OP_CREDENTIAL,    /* appends "|a=" and a digest, when the request has credentials */
	RULE_OP_NO_CREDENTIAL, /* ends without a key when it has */
	RULE_OP_COUNT
};

enum rule_source {
	RULE_PATH,       /* the whole path */
	RULE_PATH_PARAM, /* n: index in the rule's path names; the route says which of its own it is
	                  */
	RULE_QUERY,      /* all parameters, sorted by name */
	RULE_QUERY_LIST, /* those that RULE_QUERY_NAMED names, sorted */
	RULE_QUERY_NAMED, /* n: index in the rule's names */
	RULE_HEADER,      /* n: enum http_hdr; text: the name */
	RULE_COOKIE,
	RULE_BODY,       /* all of it */
	RULE_BODY_FIELD, /* n: index in the rule's body fields */
	RULE_HOST,
	RULE_METHOD,
	RULE_TENANT,
	RULE_USER,
	RULE_POLICY,
	RULE_SOURCE_COUNT
};

enum rule_filter {
	RULE_LOWER,
	RULE_UPPER,
	RULE_TRIM,
	RULE_SQUEEZE, /* runs of white space become one */
	RULE_SORT,    /* a list with commas */
	RULE_INT,
	RULE_BUCKET,
	RULE_ROUND,
	RULE_ID,
	RULE_HASH,
	RULE_DECODE_FORM, /* percent-encoding, '+' is a space; made by the compiler */
	RULE_DECODE_URI,
	RULE_FILTER_COUNT
};

enum rule_form {
	RULE_FORM_BYTES, /* what is not unreserved (RFC 3986 2.3) as %XX */
	RULE_FORM_URI,   /* already percent-encoded: normalised, and other bytes as !XX */
	RULE_FORM_PLAIN, /* made of the other two: as it is */
	RULE_FORM_JSON,  /* as BYTES; behind '!' when it is no string */
	RULE_FORM_COUNT
};

enum rule_flag {
	RULE_PUBLIC = 1 << 0,      /* the key has no tenant, policy and credential */
	RULE_NEEDS_BODY = 1 << 1,  /* the key is made of the request's body; POST may be answered */
	RULE_ALL_QUERY = 1 << 2,   /* any query parameter may come: in the key, or to be ignored */
	RULE_SORTS_QUERY = 1 << 3, /* the key has several in order */
	RULE_PURGE_ALL = 1 << 4,   /* purges go beyond the request's tenant */
	RULE_KEYED_AUTH = 1 << 5,  /* the key says whose answer it is (RFC 9111 3.5) */
	RULE_PATTERN = 1 << 6,     /* answers may be shared by what they depend on */
	RULE_FLAGS_ALL = (1 << 7) - 1
};

struct rule_op {
	uint8_t code; /* enum rule_op_code */
	uint8_t a;
	uint16_t n;
	uint32_t off; /* a text */
	uint32_t len;
};
static_assert(sizeof(struct rule_op) == 12, "shared ABI");

struct rule_text {
	uint32_t off;
	uint32_t len;
};

struct rule_program {
	uint32_t ops_off; /* struct rule_op[op_count] */
	uint32_t op_count;
};

struct snap_rule {
	struct rule_text name;
	struct rule_program key;     /* op_count 0: the rule has no key of its own: the target */
	struct rule_program pattern; /* with RULE_PATTERN: what all its shared answers have in
	                                front (cache/read_set.h) */
	struct rule_text reads;      /* names, sorted, with ','; empty: the origin says */
	uint32_t check_one_in;       /* of the hits of shared answers; 0 without RULE_PATTERN */
	uint32_t pad;
	uint32_t tags_off; /* struct rule_program[tag_count] */
	uint32_t tag_count;
	uint32_t purges_off;
	uint32_t purge_count;
	uint32_t query_off; /* struct rule_text[query_count]: names */
	uint32_t query_count;
	uint32_t ignore_off; /* names that the key need not hold */
	uint32_t ignore_count;
	uint32_t body_off; /* "a.b" */
	uint32_t body_count;
	uint16_t flags;      /* enum rule_flag */
	uint16_t semantic;   /* 1: the key has normalisers: requests that differ may share it */
	uint16_t path_count; /* path parameters that the programs name: see snap_route.rule_map_off
	                      */
	uint16_t key_query_count; /* the first of the query names: those of the key itself */
};
static_assert(sizeof(struct snap_rule) == 88, "shared ABI");

/* A table of "from" and "to", sorted by from (snap_text_order). */
struct snap_table {
	uint32_t pairs_off; /* struct rule_text[2 * pair_count] */
	uint32_t pair_count;
};

/* In struct snapshot. */
struct snap_rules {
	uint64_t secret[2]; /* of digests in keys; both 0: none is configured */
	uint64_t cred_seen; /* bit 1 << enum http_hdr: those of the credentials that have one */
	uint32_t rules_off; /* struct snap_rule[rule_count] */
	uint32_t rule_count;
	uint32_t tables_off;
	uint32_t table_count;
	struct rule_text tenant; /* names of request fields; empty: none */
	struct rule_text user;
	struct rule_text policy;
	uint32_t creds_off; /* struct rule_text[cred_count] */
	uint32_t cred_count;
};
static_assert(sizeof(struct snap_rules) == 72, "shared ABI");

#endif
