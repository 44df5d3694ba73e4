/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One run of a key program: shared by key_program.c (operations), key_load.c (values), key_query.c
 * (the query), key_text.c (how values are written) and read_set.c (keys of what an answer depends
 * on). For these files only. */
#ifndef CACHE_KEY_RUN_H
#define CACHE_KEY_RUN_H

#include "cache/json_field.h"
#include "cache/key_program.h"
#include "cache/normalise.h"
#include "lib/read_name.h"

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

/* buf: CACHE_KEY_MAX. The other buffers are large, and need no zeros. */
static inline void run_begin(struct run *r, const struct snapshot *s, const struct key_input *in,
                             char *buf)
{
	r->s = s;
	r->in = in;
	r->rule = key_rule(s, in->route);
	r->at = buf;
	r->end = buf + CACHE_KEY_MAX;
	r->v = (struct norm){.buf = r->scratch};
	r->json = JSON_STRING;
	r->wild = false;
}

static inline struct span run_text(const struct run *r, uint32_t off, uint32_t len)
{
	return snapshot_text(r->s, off, len);
}

static inline const struct rule_text *run_texts(const struct run *r, uint32_t off)
{
	return (const struct rule_text *)(const void *)((const char *)r->s + off);
}

/* For short texts, without a call or a loop: words that overlap. */
static inline bool run_eq(const char *a, const char *b, size_t len)
{
	uint64_t v[4];
	uint32_t w[4];

	if (len > 16)
		return memcmp(a, b, len) == 0;
	if (len >= 8) {
		memcpy(&v[0], a, 8);
		memcpy(&v[1], b, 8);
		memcpy(&v[2], a + len - 8, 8);
		memcpy(&v[3], b + len - 8, 8);
		return ((v[0] ^ v[1]) | (v[2] ^ v[3])) == 0;
	}
	if (len >= 4) {
		memcpy(&w[0], a, 4);
		memcpy(&w[1], b, 4);
		memcpy(&w[2], a + len - 4, 4);
		memcpy(&w[3], b + len - 4, 4);
		return ((w[0] ^ w[1]) | (w[2] ^ w[3])) == 0;
	}
	return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

static inline void run_copy(char *to, const char *from, size_t len)
{
	uint64_t v[2];
	uint32_t w[2];

	if (len > 16) {
		memcpy(to, from, len);
	} else if (len >= 8) {
		memcpy(&v[0], from, 8);
		memcpy(&v[1], from + len - 8, 8);
		memcpy(to, &v[0], 8);
		memcpy(to + len - 8, &v[1], 8);
	} else if (len >= 4) {
		memcpy(&w[0], from, 4);
		memcpy(&w[1], from + len - 4, 4);
		memcpy(to, &w[0], 4);
		memcpy(to + len - 4, &w[1], 4);
	} else if (len > 0) {
		char mid = from[len / 2], last = from[len - 1];

		to[0] = from[0];
		to[len / 2] = mid;
		to[len - 1] = last;
	}
}

/* The value of a RULE_OP_LOAD becomes that at work. */
enum key_status run_load(struct run *r, const struct rule_op *op);
/* The same for a name that is in no program. KEY_BYPASS: the route has no such parameter, or two
 * readers could understand the request differently. */
enum key_status run_load_named(struct run *r, const struct read_name *what);
/* Appends a text as it is; the value at work, in one of the forms. */
enum key_status run_put(struct run *r, struct span text);
enum key_status run_emit(struct run *r, enum rule_form form);

/* The one parameter of this name, which no template needs to have. KEY_BYPASS: it is there twice,
 * or one whose name differs only in case is. */
enum key_status run_query_find(struct run *r, struct span name);
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
