/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An origin's response head as the cores and the stores take it: struct object, key text, field
 * lines, tags. Called by the fetch code; does no I/O and reads no clock. */
#ifndef CONTROL_RESPONSE_H
#define CONTROL_RESPONSE_H

#include "cache/object.h"
#include "cache/policy.h"
#include "cache/vary.h"
#include "control/request.h"

struct response_in {
	const struct request *request;
	const struct http_response_head *head;
	struct http_framing framing;
	struct cache_rule rule;
	uint64_t request_wall_ms;
	uint64_t response_wall_ms;
	const char *node; /* for Via */
	/* The key that the object gets instead of the request's: that of a variant (vary_key). The
	 * request's own: NULL, and then an answer with Vary is not storable. */
	const struct cache_key *key;
	uint64_t former_ms;   /* as in struct cache_response_in */
	uint64_t born_seq;    /* cache/inval.h */
	bool stored;          /* the head for a store: without what a store must not hold */
	bool coding_varies;   /* others get it in a coding: Vary says Accept-Encoding as well */
	bool written;         /* the answer to an unsafe request as that to GET would be: rule and
	                         key are those of GET. Status 200 */
	bool authorized;      /* written: RFC 9111 3.5 applies */
	const uint32_t *tags; /* more tags, of the rule or the request (inval_tag_hash) */
	uint32_t tag_count;
};

struct response_out {
	uint32_t len;  /* bytes of the head */
	bool storable; /* a store may keep it, and the request lets it (OBJECT_STORABLE) */
	bool shared;   /* and it may answer requests that wait, and fill the cores' tables */
	bool partial;  /* what goes to this client is not what may be stored: for a store make the
	                  head once more with in.stored (then OBJECT_STORABLE; here it is not) */
	bool no_body;  /* nothing follows the head */
	bool pass;     /* leave the remark OBJECT_PASS for rule.pass_ms (cache_pass_write) */
	uint64_t body_len; /* UINT64_MAX: not known */
	enum vary_kind vary;
	struct span vary_names; /* VARY_LIST; in vary_buf */
	char vary_buf[VARY_NAMES_MAX];
};

/* Writes into buf (aligned to 8). ST_TOOBIG when cap is too small. */
enum status response_object(const struct response_in *in, void *buf, uint32_t cap,
                            struct response_out *out);

/* An interim answer (1xx), likewise: an object of status and field lines alone. 0 when cap is too
 * small, else its length. */
uint32_t response_interim(const struct http_response_head *h, void *buf, uint32_t cap);

/* The stored answer with what a 304 says anew: its fields, its freshness (RFC 9111 3.2, 4.3.4). in:
 * the 304; key and framing are not looked at: key and body stay. Tags only grow. Writes the
 * head into buf (aligned to 8).
 * ST_NOTFOUND: the 304 does not select the stored answer: it must not be used (4.3.4), ask again
 * without validators. ST_INVALID: no 304. ST_TOOBIG: cap is too small. */
enum status response_freshen(const struct object *stored, const struct response_in *in304,
                             void *buf, uint32_t cap, struct response_out *out);

/* The same for a 200 answer to HEAD that says that the stored answer to GET is still the one
 * (CACHE_HEAD_FRESHENS, RFC 9111 4.3.5). */
enum status response_freshen_head(const struct object *stored, const struct response_in *head,
                                  void *buf, uint32_t cap, struct response_out *out);

/* What a route says of compression. */
struct response_codes {
	struct span types; /* patterns, divided by ',' */
	uint32_t min_bytes;
	uint32_t max_bytes;
};
#define RESPONSE_TYPE_MAX 128u /* a longer media type is not looked at */

enum response_code {
	RESPONSE_CODE_MAY,
	RESPONSE_CODE_STATUS,    /* none whose bytes are an answer of its own: only 200 is */
	RESPONSE_CODE_CODED,     /* has a coding already */
	RESPONSE_CODE_TYPE,      /* not listed */
	RESPONSE_CODE_SMALL,     /* below min_bytes */
	RESPONSE_CODE_LARGE,     /* above max_bytes */
	RESPONSE_CODE_FORBIDDEN, /* no-transform (RFC 9111 5.2.2.6) */
};
/* May this answer be coded for clients? */
enum response_code response_may_code(const struct response_in *in, const struct response_codes *r);

/* The head of base in a coding, under that key, into buf (aligned to 8; not where base lies): weak
 * ETag, Content-Encoding, no digests, no Accept-Ranges (RFC 9110 8.8.1, 8.4, RFC 9530 5), body_len
 * not known, OBJECT_CODED. CODING_IDENTITY: the same answer under that key. Its length; 0 when cap
 * is too small. */
uint32_t response_code_head(const struct object *base, enum coding c, const struct cache_key *key,
                            void *buf, uint32_t cap);

#define RESPONSE_ETAG_MAX 40u
/* An ETag for an answer that has none (RFC 9110 8.8.3). Weak: of status, length, Last-Modified,
 * Content-Type and Content-Encoding; only where Last-Modified is known and whole seconds older than
 * the answer, since without a date equal lengths say little. Strong: of the whole body and its
 * Content-Encoding. Empty where none can be made. buf holds the text. */
struct span response_etag_weak(const struct response_in *in, char buf[RESPONSE_ETAG_MAX]);
struct span response_etag_strong(const struct object *o, struct span body,
                                 char buf[RESPONSE_ETAG_MAX]);
/* The head o with that ETag as one more field line, and OBJECT_ETAG_MADE, in buf (aligned to 8):
 * its length; 0 when cap is too small or o has an ETag. The origin must not be asked with it: it
 * would not know it, and look no further at the date (RFC 9110 13.2.2). */
uint32_t response_add_etag(const struct object *o, struct span etag, void *buf, uint32_t cap);

#endif
