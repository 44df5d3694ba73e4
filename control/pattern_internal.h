/* SPDX-License-Identifier: BSD-2-Clause
 *
 * State shared by pattern.c and pattern_check.c. For these files only. */
#ifndef CONTROL_PATTERN_INTERNAL_H
#define CONTROL_PATTERN_INTERNAL_H

#include "control/pattern.h"
#include "control/upstream/pool.h"

/* Requests that are kept because they filled a shared answer, in places by hash. Where one is lost,
 * a difference makes its answer void, and the next one has its request here. */
#define PATTERN_FILLS      4096u
#define PATTERN_FILL_BYTES 4096u /* of one; what a longer one brings is not shared */
#define PATTERN_CHECKS_MAX 8u    /* at a time */
/* Checks in a row that found answers changing from one to the next: such answers cannot be checked,
 * so they are not shared. */
#define PATTERN_UNSETTLED_MAX 8u

struct pattern_rule {
	struct pattern_rule *next;
	struct pattern_state state;
	uint32_t unsettled; /* checks in a row */
	uint32_t check_in;  /* hits of the store until the next check; 0: not drawn */
	char name[RULE_NAME_MAX + 1];
};

struct pattern_fill {
	struct hash128 hash; /* of the answer's key */
	struct request *request;
};

struct patterns {
	struct fetcher *f;
	struct pattern_rule *rules;
	struct check *checks;
	uint32_t check_count;
	struct pattern_fill fills[PATTERN_FILLS];
};

/* NULL: no memory. */
struct pattern_rule *patterns_rule(struct patterns *p, struct span name);
/* A copy of the request that filled the answer; NULL: it is not known any more. */
struct request *patterns_filler(struct patterns *p, const struct cache_key *key);

#endif
