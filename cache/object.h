/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One stored response: this header, and its bytes: the key text, then the field lines as they are
 * sent ("Name: value\r\n", without the fields that each response gets anew), then the hashes of its
 * tags, then the body. In messages, in control's store and in the shared one the bytes follow the
 * header, in one layout that can lie anywhere. Of an object of the hot tables the header is made
 * when it is found (cache/hot_entry.h), and text says where the bytes lie. Everybody asks the
 * functions below.
 *
 * Two kinds are no responses and are never sent to a client: a list of the request fields that
 * choose among variants (OBJECT_VARY, cache/vary.h; or cache/read_set.h), and the remark that
 * answers to this key are not for sharing (OBJECT_PASS), so that requests for it do not wait for
 * each other.
 *
 * Times are wall-clock milliseconds since 1970, because an object outlives a process. */
#ifndef CACHE_OBJECT_H
#define CACHE_OBJECT_H

#include "lib/base.h"
#include "cache/lines.h"
#include "lib/hash.h"
#include "lib/span.h"

enum object_flag {
	OBJECT_STORABLE = 1 << 0,   /* a shared cache may keep it */
	OBJECT_REVALIDATE = 1 << 1, /* never used when stale; no-cache: stale from the start */
	OBJECT_CHUNKED = 1 << 2,    /* body_len is not known yet (UINT64_MAX) */
	OBJECT_NO_BODY = 1 << 3,    /* answer to HEAD, or 204, 304 */
	OBJECT_VARY = 1 << 4,       /* a list of field names stands for the field lines */
	OBJECT_PASS = 1 << 5,       /* hit-for-miss: while fresh, do not wait for other requests */
	OBJECT_NO_TRANSFORM = 1 << 6, /* RFC 9111 5.2.2.6 */
	OBJECT_HEURISTIC = 1 << 7,    /* the origin stated no lifetime */
	OBJECT_AUTHORIZED = 1 << 8,   /* answer to a request with Authorization (RFC 9111 3.5) */
	OBJECT_TARGETED = 1 << 9,   /* its lifetime came from a field that is not kept (RFC 9213) */
	OBJECT_ETAG_MADE = 1 << 10, /* its ETag is ours: the origin does not know it */
	OBJECT_CODED = 1 << 11,     /* in a content coding of ours: no parts of it are given */
	OBJECT_PLAIN = 1 << 12,     /* was not smaller in a coding: goes out as it is */
	OBJECT_READS = 1 << 13,     /* with OBJECT_VARY: the list says what answers depend on */
};

struct object {
	struct hash128 hash; /* of the key text */
	uint64_t
	        response_ms; /* when the response was received: Date for the age (RFC 9111 4.2.3) */
	uint64_t expires_ms; /* when it stops being fresh */
	uint64_t body_len;   /* bytes, UINT64_MAX when not known */
	uint64_t born_seq; /* purges ordered when its request left for the origin (cache/inval.h) */
	uint32_t initial_age_s; /* corrected_initial_age (RFC 9111 4.2.3) */
	uint32_t stale_while_s; /* beyond expires_ms, while it is fetched anew (RFC 5861 3) */
	uint32_t stale_error_s; /* beyond expires_ms, when the origin fails (RFC 5861 4) */
	uint32_t key_len;
	uint32_t fields_len;
	uint32_t etag_off; /* of the ETag's value within the field lines; len 0: none */
	uint32_t last_modified_off;
	uint16_t etag_len;
	uint16_t last_modified_len;
	uint16_t status;
	uint16_t flags;     /* enum object_flag */
	uint16_t tag_count; /* hashes of 4 bytes, at most OBJECT_TAGS_MAX */
	uint16_t spare;     /* 0; in a row of a query how often it was used */
	const char *text;   /* where the bytes lie; NULL: behind the header, as in messages */
};
static_assert(sizeof(struct object) == 96, "shared ABI");

#define OBJECT_TAGS_MAX 192u /* RFC 9875 2 wants 128 groups at least */

/* A length of ETag or Last-Modified: there is one, and its place is found in the lines when it is
 * asked for. Never in messages. */
#define OBJECT_IN_LINES UINT16_MAX

static inline const char *object_text(const struct object *o)
{
	return o->text != NULL ? o->text : (const char *)(o + 1);
}

static inline struct span object_key(const struct object *o)
{
	return span_of(object_text(o), o->key_len);
}

static inline struct span object_fields(const struct object *o)
{
	return span_of(object_text(o) + o->key_len, o->fields_len);
}

/* tag_count hashes (cache/inval.h), not aligned. */
static inline const char *object_tags(const struct object *o)
{
	return object_text(o) + o->key_len + o->fields_len;
}

/* Key, lines and tags. */
static inline size_t object_text_bytes(const struct object *o)
{
	return (size_t)o->key_len + o->fields_len + o->tag_count * sizeof(uint32_t);
}

/* The length of a head message: header and text. */
static inline size_t object_head_bytes(const struct object *o)
{
	return sizeof(*o) + object_text_bytes(o);
}

/* Only where the body lies behind the head (in a tier, not in a head message). */
static inline struct span object_body(const struct object *o)
{
	return span_of(object_text(o) + object_text_bytes(o), o->body_len);
}

static inline struct span object_etag(const struct object *o)
{
	if (unlikely(o->etag_len == OBJECT_IN_LINES))
		return lines_find(object_fields(o), SPAN_LIT("ETag"));
	return span_of(object_fields(o).ptr + o->etag_off, o->etag_len);
}

static inline struct span object_last_modified(const struct object *o)
{
	if (unlikely(o->last_modified_len == OBJECT_IN_LINES))
		return lines_find(object_fields(o), SPAN_LIT("Last-Modified"));
	return span_of(object_fields(o).ptr + o->last_modified_off, o->last_modified_len);
}

/* Seconds since the origin made it (current_age, RFC 9111 4.2.3). */
static inline uint64_t object_age_s(const struct object *o, uint64_t wall_ms)
{
	return o->initial_age_s +
	       (wall_ms > o->response_ms ? (wall_ms - o->response_ms) / 1000 : 0);
}

static inline bool object_is_fresh(const struct object *o, uint64_t wall_ms)
{
	return wall_ms < o->expires_ms;
}

/* Do header and lengths make sense? */
bool object_lengths_valid(const struct object *o);
/* And do they hold within len bytes (head only)? For input that another process wrote. */
bool object_head_valid(const void *mem, size_t len);
/* Writes the head of any object as a message has it, of object_head_bytes(o). */
void object_head_write(void *to, const struct object *o);

#endif
