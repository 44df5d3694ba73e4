/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An object as it lies in the shared store: a header, the object's head and body (packed by LZ4 if
 * that makes them smaller), a checksum over all before it. Used by cache/l3.c on both ways. No I/O,
 * no clock. What is decoded is hostile: whoever can write to the store wrote it. The checksum finds
 * damage, not malice: it has no key. docs/L3.md draws the layout. */
#ifndef CACHE_L3_VALUE_H
#define CACHE_L3_VALUE_H

#include "cache/l3.h"

#define L3_VALUE_VERSION 1u

/* Little-endian, as are all numbers of struct object. */
struct l3_value_header {
	char magic[4];         /* "SLV3" */
	uint8_t version;       /* L3_VALUE_VERSION: of this header and of struct object */
	uint8_t packed;        /* 1: what follows is one LZ4 block; 0: it is plain */
	uint16_t object_bytes; /* sizeof(struct object) */
	uint32_t head_len;     /* struct object, key, field lines, tags */
	uint32_t spare;        /* 0 */
	uint64_t body_len;
	uint64_t payload_len; /* bytes between this header and the checksum */
	uint64_t asked_ms;    /* wall time when the request left for the origin */
};
static_assert(sizeof(struct l3_value_header) == 40, "stored layout");

/* Bytes besides head and body, when they are not packed. */
#define L3_VALUE_EXTRA (sizeof(struct l3_value_header) + sizeof(uint64_t))

/* The bytes to store, for the caller to free. Packed if head and body have compress_bytes or more
 * and shrink by a sixteenth at least. ST_NOMEM, ST_TOOBIG (over 2 GiB), ST_INVALID (body.len is not
 * head->body_len). */
enum status l3_value_encode(const struct l3_item *item, uint32_t compress_bytes, char **out,
                            size_t *out_len);

struct l3_value {
	const struct object *head; /* hash, born_seq and pad are 0 */
	struct span body;          /* in mem, or in the bytes that were decoded */
	uint64_t asked_ms;
	void *mem;
};
/* ST_INVALID: not sound, or from another version; ST_TOOBIG: head and body would be more than
 * max_bytes (looked at before memory is taken); ST_NOMEM. */
enum status l3_value_decode(struct span bytes, uint64_t max_bytes, struct l3_value *out);
void l3_value_free(struct l3_value *v);

#endif
