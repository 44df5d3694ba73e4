/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the cache rule of a request's route says of its answer: the tags that a stored one gets, and
 * what a successful change makes void. Worked out when a request leaves for the origin, while the
 * configuration that its core used is at hand; used by the fetch code when the answer comes. Pure:
 * no I/O, no clock.
 *
 * A stored answer has these tags, besides those of its origin ("key:..." are for purges of rules,
 * which so cost the same however much they hit):
 *
 *   rule:NAME, tenant:T, user:U, policy:P   as far as the request says; the last three not for
 *                                           public rules
 *   tag:X                                   the rule's own
 *   key:K, key:T|K                          K: the key without its scope; T: the tenant, empty for
 *                                           public rules and requests without one
 *   key:K:*, key:T|K:*                      K: the key up to one of its first RULE_EFFECT_LEVELS
 * ':'
 */
#ifndef CONTROL_RULE_EFFECTS_H
#define CONTROL_RULE_EFFECTS_H

#include "cache/inval.h"
#include "cache/policy.h"
#include "control/request.h"
#include "lib/snapshot.h"

/* Prefix of the tag of answers that are shared under one list (cache/read_set.h). */
#define RULE_EFFECT_FRONT  "front:"
#define RULE_EFFECT_LEVELS 3u
#define RULE_EFFECT_TAGS   32u
#define RULE_EFFECT_PURGES 64u

struct rule_purge {
	enum inval_kind kind;
	struct span text;
};

struct rule_effects {
	uint32_t tag_count;
	uint32_t tags[RULE_EFFECT_TAGS]; /* inval_tag_hash */
	uint32_t purge_count;
	struct rule_purge purges[RULE_EFFECT_PURGES];
	size_t text_len;
	char text[]; /* of the purges */
};

/* s: the snapshot that r names. seed: the dataplane's hash seed. False: no memory. *out: NULL when
 * there is nothing to say, else to be given to free(). */
bool rule_effects_make(const struct snapshot *s, const struct request *r, uint64_t seed,
                       struct rule_effects **out);

/* A target (path and query) of the host of r: what GET has of it by s. */
struct rule_target {
	const struct snapshot *s;
	const struct request *r;
	struct span target;
	uint64_t seed; /* the dataplane's hash seed */
};

/* The purges of it, where it lies under a rule's key (RFC 9111 4.4). False and *out as above. */
bool rule_effects_target(const struct rule_target *t, struct rule_effects **out);

/* Where the answer to GET for it lies, asked with r's fields, and how it is kept. */
struct rule_write {
	struct cache_rule rule; /* of GET's route */
	bool authorized;        /* r has credentials that the key does not tell (RFC 9111 3.5) */
	struct rule_effects *effects; /* its tags */
	uint32_t key_len;
	char key[CACHE_KEY_MAX];
};

/* False: it has no key, or no route for GET to the upstream of r's own; or no memory. */
bool rule_write_make(const struct rule_target *t, struct rule_write **out);
void rule_write_free(struct rule_write *w); /* NULL is fine */

#endif
