/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Rules with match: pattern, as control runs them (docs/decisions/pattern-rules.md): which key an
 * answer may be shared under, and the checks that find out when an origin's word of what it read is
 * not true. A rule that was caught is off: nothing new is shared, and what was is void. Called by
 * the fetch code and, for reports and for switching by hand, by the admin side. Loop's thread only.
 */
#ifndef CONTROL_PATTERN_H
#define CONTROL_PATTERN_H

#include "cache/read_set.h"
#include "control/control.h"
#include "control/request_input.h"

struct fetcher;
struct http_fields;
struct object;
struct patterns;
struct plan_choice;
struct store_entry;

enum status patterns_create(struct fetcher *f, struct patterns **out);
void patterns_destroy(struct patterns *p);
/* Checks are broken off: the channel is gone, or their configuration. */
void patterns_detached(struct patterns *p);
/* Another configuration: all rules are on, and checks by the former one are broken off. */
void patterns_reset(struct patterns *p);

/* --- keys --- */

struct pattern_key {
	const struct snapshot *snap;
	const struct snap_rule *rule;
	struct request_input made;
	struct cache_key front;
	struct cache_key key; /* of the shared answer */
	struct read_names names;
	char front_text[CACHE_KEY_MAX];
	char text[CACHE_KEY_MAX];
};

/* The key of the answer that r may get, by the list that the store has. False: none, or the rule is
 * off. */
bool pattern_find(struct fetcher *f, const struct request *r, struct pattern_key *out);
/* The key that an answer to r is to be stored under, by what it says that it read. */
bool pattern_place(struct fetcher *f, const struct request *r, const struct http_fields *response,
                   struct pattern_key *out);
/* Has the store the list of its names, and keeps r for checks: before the answer is stored. list:
 * the list's object (cap bytes); *len its length. False: it cannot be shared. */
bool pattern_put(struct fetcher *f, const struct request *r, const struct pattern_key *k,
                 uint64_t born_seq, struct span *list);

/* --- checks --- */

/* Compares what r got, by its pattern, with what the origin says. Takes r over. */
void pattern_check(struct fetcher *f, struct request *r, const struct plan_choice *plan);
/* The store answered r so; one in so many is checked. r stays the caller's. */
void pattern_store_hit(struct fetcher *f, const struct request *r, const struct plan_choice *plan);

enum pattern_result {
	PATTERN_SAME,
	PATTERN_CHANGED,   /* the resource: now the origin gives both requests another answer */
	PATTERN_MISMATCH,  /* the two requests get different answers */
	PATTERN_UNSETTLED, /* the answers change from one request to the next */
	PATTERN_UNKNOWN,   /* the answer, or the request that filled it, is not there any more */
	PATTERN_FAILED,    /* the origin did not answer, or with an error of its own */
	PATTERN_BUSY,      /* too many checks at a time */
	PATTERN_RESULTS
};
static inline const char *pattern_result_name(enum pattern_result result)
{
	static const char *const names[] = {
	        [PATTERN_SAME] = "same",         [PATTERN_CHANGED] = "changed",
	        [PATTERN_MISMATCH] = "mismatch", [PATTERN_UNSETTLED] = "unsettled",
	        [PATTERN_UNKNOWN] = "unknown",   [PATTERN_FAILED] = "failed",
	        [PATTERN_BUSY] = "busy",
	};

	return names[result];
}

struct pattern_state {
	bool off;
	const char *why; /* "" while it is on; static text */
	uint64_t checks[PATTERN_RESULTS];
	uint64_t store_hits; /* answers of the store that were shared */
};
/* All zero for a rule that nothing was heard of. */
void pattern_state(const struct fetcher *f, const char *rule, struct pattern_state *out);
/* Switches a rule, and makes void what it shared. why: static text, for reports. */
void pattern_switch(struct fetcher *f, const char *rule, bool off, const char *why);

#endif
