/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was purged, as one tier remembers it. Control numbers purges (one order for the whole node);
 * an object carries the number that stood when its request left for the origin (born_seq). A purge
 * that matches it and has a higher number makes it void, also when it is stored later. Used by the
 * hot table, control's store and what comes from the shared store; each has its own log and sees
 * the same purges. No I/O, no clock; memory is taken at creation.
 *
 * Keys and tags are remembered by hash in a table of generations: what is in it is never forgotten,
 * and a collision makes an object void too early, never too late. So a purge by key, tag, group,
 * user or policy is O(1), however many objects it hits. Patterns are kept apart, INVAL_PATTERNS of
 * them: who owns the tier walks it in the background and says so by inval_swept. */
/* Raising born_seq. A table with floors takes what is as old as the floor for void, whatever its
 * key. So a tier that has judged an object by its own log at number N, and found that no purge up
 * to N hit it (a stored object: hard purges of its key would have removed it), may pass it on as
 * born at N. That is sound in every tier that sees the same purges: those up to N do not match it,
 * and those after N void it as before. Not for what a soft purge hit: it would be fresh again. What
 * was replaced by a fresh copy under a number below N is spared where it was passed on so; it is
 * stale, and goes when it is asked for again. (store_live_seq) */
#ifndef CACHE_INVAL_H
#define CACHE_INVAL_H

#include "cache/object.h"
#include "lib/status.h"

#define INVAL_PATTERNS 64u /* remembered; objects from before a forgotten one are void */
#define INVAL_PATTERN_MAX                                                      \
	512u /* a longer one is cut and ends in '*': it matches more, not less \
	      */
#define INVAL_TEXT_MAX  2048u
#define INVAL_SLOTS_MIN 1024u
#define INVAL_SEQ_MAX   (UINT64_MAX >> 2) /* of a number; the lowest is 1 */

/* Tags share one name space; the prefix says what they are:
 *   "tag:X"     Surrogate-Key of the origin, or of a rule
 *   "group:O X" Cache-Groups member X of the origin O (scheme://host:port; RFC 9875 2)
 *   "user:X", "tenant:X", "policy:X", "rule:X"   of the request or of its rule */
enum inval_kind {
	INVAL_KEY,     /* text: the key. Of a primary key (cache/vary.h) also all its variants; of a
	                  variant's key that variant only. The tier itself removes at once (hard) or
	                  marks (soft) what it has under exactly this key and is older */
	INVAL_PATTERN, /* text: a key with '*' for any run of bytes (cache_key_match). Variants go
	                  by their primary key */
	INVAL_TAG,     /* text: a tag with its prefix */
	INVAL_ALL,     /* text: empty */
	INVAL_KINDS
};

/* Purges come with rising numbers. One that comes late all the same is honoured: what matches and
 * was born before its number is void. (So the same message replaces a copy: with the number that
 * the new copy was born with, it makes the older ones void and spares the new one.) */
struct inval_purge {
	uint64_t seq;
	enum inval_kind kind;
	bool soft; /* what matches is stale rather than gone */
	struct span text;
};

enum inval_state { INVAL_LIVE, INVAL_STALE, INVAL_DEAD };

struct inval;

/* slots: distinct keys, and distinct tags, that are told apart: a power of two from INVAL_SLOTS_MIN
 * (32 bytes each). With more, purges of rarer ones begin to hit others that are as old. */
enum status inval_create(struct inval **out, uint32_t slots);
void inval_destroy(struct inval *v);
/* The same in the caller's memory, zeroed, aligned to CACHE_LINE, of inval_bytes(slots). */
size_t inval_bytes(uint32_t slots);
struct inval *inval_init(void *mem, uint32_t slots);

/* The highest number seen; 0: none. Of a tier that is in step: born_seq of an object whose request
 * leaves now. */
uint64_t inval_seq(const struct inval *v);
/* Remembers it. Twice the same changes nothing. */
void inval_add(struct inval *v, const struct inval_purge *p);
/* What the purges after o->born_seq make of an object that is stored, apart from hard purges of its
 * key: those it did not outlive. Touches memory only if there were any. */
enum inval_state inval_check(const struct inval *v, const struct object *o);
/* The same for an object that is about to be stored, or that another tier holds: no sweep has seen
 * it. Not INVAL_LIVE: do not store it. */
enum inval_state inval_check_fill(const struct inval *v, const struct object *o);
/* Both (stored: inval_check), and which purge it was: *by is its number, 0 for INVAL_LIVE. (It may
 * be the number of another one that shares its place in the table of generations.) */
enum inval_state inval_judge(const struct inval *v, const struct object *o, bool stored,
                             uint64_t *by);
/* The hash under which a tag, and a key, stands in the table of generations (object_tags). The same
 * in all processes and nodes, and for ever: objects in the shared store carry it. */
uint32_t inval_tag_hash(struct span tag);

/* Patterns (and INVAL_ALL) that no walk has covered. */
bool inval_sweep_due(const struct inval *v);
/* A walk over the whole tier that began when inval_seq was seq has ended, and acted on what
 * inval_check said of each object: patterns up to seq need no look any more for what is stored. */
void inval_swept(struct inval *v, uint64_t seq);
/* Patterns that were forgotten before a walk had covered them: each made all older objects void. */
uint64_t inval_overflows(const struct inval *v);

#endif
