/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was purged, as one tier remembers it. Control numbers purges from 1 (one order for the whole
 * node); an object carries the number that stood when its request left for the origin (born_seq).
 * A purge that matches it and has a higher number makes it void, also when it is stored later. Used
 * by the hot table, control's store and what comes from the shared store; each has its own log and
 * sees the same purges in the same order. No I/O, no clock; memory is taken at creation.
 *
 * Keys and tags are remembered by hash in a table of generations: what is in it is never forgotten,
 * and a collision makes one object void too early, never too late. So a purge by key, tag, group,
 * user or policy is O(1), however many objects it hits. Patterns are kept in a ring: who owns the
 * tier walks it in the background and says so by inval_swept. */
#ifndef CACHE_INVAL_H
#define CACHE_INVAL_H

#include "cache/object.h"
#include "lib/status.h"

#define INVAL_PATTERNS    64u /* remembered; fills from before a forgotten one are refused */
#define INVAL_PATTERN_MAX 512u
#define INVAL_TEXT_MAX    2048u

/* Tags share one name space; the prefix says what they are:
 *   "tag:X"     Surrogate-Key of the origin, or of a rule
 *   "group:O X" Cache-Groups member X of the origin O (scheme://host:port; RFC 9875 2)
 *   "user:X", "tenant:X", "policy:X", "rule:X"   of the request or of its rule */
enum inval_kind {
	INVAL_KEY,     /* text: the key; with it all its variants */
	INVAL_PATTERN, /* text: a key with '*' for any run of bytes (cache_key_match) */
	INVAL_TAG,     /* text: a tag with its prefix */
	INVAL_ALL,     /* text: empty */
	INVAL_KINDS
};

struct inval_purge {
	uint64_t seq; /* higher than all before */
	enum inval_kind kind;
	bool soft; /* what matches is stale rather than gone */
	struct span text;
};

enum inval_state { INVAL_LIVE, INVAL_STALE, INVAL_DEAD };

struct inval;

/* slots: of the table of generations, a power of two from 1024 (24 bytes each). */
enum status inval_create(struct inval **out, uint32_t slots);
void inval_destroy(struct inval *v);

/* Purges that were seen, by number: born_seq of an object whose request leaves now. */
uint64_t inval_seq(const struct inval *v);
/* Remembers it. A purge with a number that was seen already changes nothing. */
void inval_add(struct inval *v, const struct inval_purge *p);
/* What the purges after o->born_seq make of it. Touches memory only if there were any. */
enum inval_state inval_check(const struct inval *v, const struct object *o);
/* The hash under which a tag, and a key, stands in the table of generations (object_tags). */
uint32_t inval_tag_hash(struct span tag);

/* A walk over the whole tier that began when inval_seq was seq has ended: patterns up to seq need
 * no look any more for what is stored (they do for fills: inval_check_fill). */
void inval_swept(struct inval *v, uint64_t seq);
bool inval_sweep_due(const struct inval *v);
/* The same as inval_check for an object that is about to be stored. */
enum inval_state inval_check_fill(const struct inval *v, const struct object *o);

#endif
