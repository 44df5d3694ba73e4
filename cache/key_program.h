/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes the cache key of a request, its tags and the purges of a mutation by the programs of a rule
 * (lib/rule_format.h). Called by the cores for keys and by control for tags and purges. Allocates
 * nothing, reads no clock; its time is bounded by the program and the request. The program and all
 * that it names must lie in a snapshot that snapshot_check has passed.
 *
 * Security. A key is a function of what the request says that no other request can imitate: each
 * value is written in an alphabet without the bytes that divide it from its neighbours (enum
 * rule_form), a value that is missing differs from an empty one, and behind RULE_SCOPE_SEP stands
 * what the operator's template need not think of: host, method, tenant, policy and a digest of the
 * credentials. Where two readers could understand a request differently (a parameter or a field
 * twice, one that the key ignores without leave, a body that is not strict JSON) there is no key.
 */
#ifndef CACHE_KEY_PROGRAM_H
#define CACHE_KEY_PROGRAM_H

#include "cache/key.h"
#include "lib/http1.h"
#include "lib/rule_format.h"
#include "lib/snapshot.h"

/* What a digest stands for, for people: "|a=" and 32 hex digits. */
#define KEY_DIGEST_HEX 32u
#define KEY_QUERY_MAX  64u /* parameters that are sorted; with more there is no key */

struct key_input {
	const struct snap_route *route; /* of the same snapshot; its rule is meant */
	const struct http_fields *fields;
	struct span host;  /* as it stands in keys: port only when it is not the scheme's */
	struct span path;  /* as sent */
	struct span query; /* ptr NULL: none */
	struct span body;  /* whole; ptr NULL: none, or not at hand */
	enum http_method method;
	uint32_t param_count;
	const struct span *params; /* of the route, as route_match has them */
	uint64_t seed;             /* hash seed of the table; of digests too without a secret */
	/* Not for keys: what cannot be known becomes '*', and parameters that no template names are
	 * fine. For purges, which must not be lost. */
	bool wild;
};

enum key_status {
	KEY_OK,
	KEY_BYPASS,  /* no unmistakable key: the request goes past the cache */
	KEY_TOO_LONG /* the same, for its length */
};

/* The rule of a route, or NULL. */
const struct snap_rule *key_rule(const struct snapshot *s, const struct snap_route *route);

/* Runs one program of the route's rule; the text lies in buf. The route must have a rule. */
enum key_status key_program_run(const struct snapshot *s, const struct rule_program *program,
                                const struct key_input *in, char buf[CACHE_KEY_MAX],
                                struct cache_key *out);

/* The i-th program of a list in a rule (its tags, its purges). */
static inline const struct rule_program *key_programs(const struct snapshot *s, uint32_t off)
{
	return (const struct rule_program *)(const void *)((const char *)s + off);
}

/* Is a body with these fields one that keys can be made of: application/json, or a type whose syntax
 * is JSON (RFC 6839 3.1), perhaps with parameters, and not encoded? */
bool key_body_is_json(const struct http_fields *fs);

/* The part of a key's text in front of its scope. */
struct span key_base(struct span key_text);
/* The value of a part of the scope ('t' for tenant), escaped as it stands there; ptr NULL: none. */
struct span key_scope(struct span key_text, char part);

#endif
