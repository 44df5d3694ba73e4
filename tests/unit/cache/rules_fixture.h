/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A snapshot with one rule, and requests written as people write them. */
#ifndef TESTS_RULES_FIXTURE_H
#define TESTS_RULES_FIXTURE_H

#include "cache/key_program.h"

/* rule: what stands behind "- {name: r, "; more: whole lines behind the routes. NULL, and *error
 * set: refused. */
struct snapshot *rules_snapshot(const char *path, const char *rule, const char *more,
                                struct config_error *error);

struct rules_request {
	enum http_method method;
	const char *host;   /* "a.example" */
	const char *target; /* "/v1/risks/7?page=1" */
	const char *fields; /* "Name: value\r\n" lines */
	const char *body;   /* NULL: none */
	uint64_t seed;
	bool wild;
};

/* What the programs see of a request; in lies in it. */
struct rules_input {
	struct key_input in;
	struct http_fields fields;
	struct route_match match;
	char lines[4096];
};
/* False: the only route does not take it. */
bool rules_input(const struct snapshot *s, const struct rules_request *request,
                 struct rules_input *out);

/* The key of a request that the only route takes. */
enum key_status rules_key(const struct snapshot *s, const struct rules_request *request,
                          char buf[CACHE_KEY_MAX], struct cache_key *out);
/* The same by another of its programs. */
enum key_status rules_run(const struct snapshot *s, const struct rule_program *program,
                          const struct rules_request *request, char buf[CACHE_KEY_MAX],
                          struct cache_key *out);

#endif
