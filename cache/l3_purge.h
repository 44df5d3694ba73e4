/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was purged, as the shared store remembers it, by wall time; and a purge as it travels
 * between nodes. Used by cache/l3.c. No I/O, no clock.
 *
 * It is a log of purges as every tier has one (cache/inval.h), whose numbers are wall times in
 * microseconds: an object counts as born L3_SKEW_MS before its request left. A purge from further
 * in the future than L3_SKEW_MS counts as one from there, lest a node with a wrong clock makes
 * values void for long. */
#ifndef CACHE_L3_PURGE_H
#define CACHE_L3_PURGE_H

#include "cache/inval.h"
#include "cache/l3.h"

/* A record of the stream: version, kind, soft, 5 bytes of 0, the node's number, wall_ms, text. */
#define L3_PURGE_RECORD_HEAD 24u
#define L3_PURGE_RECORD_MAX  (L3_PURGE_RECORD_HEAD + INVAL_TEXT_MAX)

struct l3_purges;

enum status l3_purges_create(struct l3_purges **out);
void l3_purges_destroy(struct l3_purges *v); /* NULL is fine */

void l3_purges_add(struct l3_purges *v, const struct l3_purge *p, uint64_t now_ms);
/* Everything whose request left before wall_ms (or L3_SKEW_MS after it) is void. */
void l3_purges_floor(struct l3_purges *v, uint64_t wall_ms);
/* Is an object void whose request left at asked_ms? */
bool l3_purges_void(const struct l3_purges *v, const struct object *o, uint64_t asked_ms);

/* Writes a record to out (L3_PURGE_RECORD_MAX bytes) and returns its length. */
size_t l3_purges_write(const struct l3_purges *v, const struct l3_purge *p, char *out);
/* ST_OK: p->text lies in the record; ST_EXISTS: this node wrote it; ST_INVALID: not sound. */
enum status l3_purges_read(const struct l3_purges *v, struct span record, struct l3_purge *p);

#endif
