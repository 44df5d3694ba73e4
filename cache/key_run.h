/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One run of a key program: shared by key_program.c (operations), key_query.c (the query) and
 * key_text.c (how values are written). For these files only. */
#ifndef CACHE_KEY_RUN_H
#define CACHE_KEY_RUN_H

#include "cache/json_field.h"
#include "cache/key_program.h"
#include "cache/normalise.h"

struct run {
	const struct snapshot *s;
	const struct key_input *in;
	const struct snap_rule *rule;
	char *at; /* in the key's text */
	char *end;
	struct norm v;        /* the value at work */
	enum json_kind json;  /* what it was in a body; JSON_STRING elsewhere */
	bool wild;            /* it is not known */
	uint32_t named_seen;  /* bit a parameter */
	uint32_t named_twice; /* it is there more than once */
	struct span named[RULE_QUERY_MAX];
	struct json_value body[RULE_BODY_MAX];
	char scratch[NORM_MAX];
};

static inline const struct rule_text *run_texts(const struct run *r, uint32_t off)
{
	return (const struct rule_text *)(const void *)((const char *)r->s + off);
}

/* Finds the parameters that the rule names. False: one is there twice, or the request has one that
 * its key may not leave out. */
bool run_query_read(struct run *r);
/* All parameters (listed: those that the rule names), sorted by name, written so that no two
 * queries that differ share a text. False: too long, or too many. */
bool run_query_text(const struct run *r, bool listed, char buf[NORM_MAX], size_t *len);

/* Append the text in one of the forms; false: no room. */
bool run_put_bytes(char **at, const char *end, struct span text);
bool run_put_uri(char **at, const char *end, struct span text);

#endif
