/* SPDX-License-Identifier: BSD-2-Clause
 *
 * RFC 9111 as pure functions: may this request be answered from a cache, may this response be
 * stored, how long is it fresh, what may be done when it is not. Called by the cores (requests) and
 * by control (responses). No clock, no table, no I/O. */
#ifndef CACHE_POLICY_H
#define CACHE_POLICY_H

#include "cache/key.h"
#include "cache/object.h"
#include "lib/http1.h"

/* Cache-Control directives (RFC 9111 5.2, RFC 5861). Seconds; UINT32_MAX: absent. */
struct cache_control {
	uint32_t max_age_s;
	uint32_t s_maxage_s;
	uint32_t max_stale_s; /* max-stale without a value: UINT32_MAX - 1 */
	uint32_t min_fresh_s;
	uint32_t stale_while_revalidate_s;
	uint32_t stale_if_error_s;
	bool no_store;
	bool no_cache;        /* without field names */
	bool no_cache_fields; /* with field names: those are not stored (5.2.2.4) */
	bool private_;        /* without field names */
	bool private_fields;  /* with field names: those are not stored (5.2.2.7) */
	bool public_;
	bool must_revalidate;
	bool proxy_revalidate;
	bool must_understand;
	bool no_transform;
	bool only_if_cached;
	bool present;
};

/* Reads all Cache-Control fields of a message. Unknown directives are ignored; a repeated or
 * malformed number makes the directive 0 (stale; min-fresh: 2^31), which is the safe side (RFC 9111
 * 4.2.1). A directive that breaks the grammar counts as no-store as well. */
void cache_control_parse(const struct http_fields *fs, struct cache_control *out);

/* The directives that hold for this cache in a response: those of Sluice-Cache-Control, else of
 * CDN-Cache-Control, else Cache-Control (RFC 9213 2.1). A targeted field that is no valid
 * dictionary (RFC 8941) or an empty one is as if it were not there. The id of the field that was
 * used, or HDR_OTHER when there is none. */
enum http_hdr cache_control_response(const struct http_fields *fs, struct cache_control *out);

/* Does a response with fields fs list a field of that name in private= or no-cache= (RFC 9111
 * 5.2.2.4, 5.2.2.7): one that a store must leave out? */
bool cache_field_listed(const struct http_fields *fs, struct span name);
/* That, or of the connection (RFC 9111 3.1); f is one of fs. */
bool cache_field_excluded(const struct http_fields *fs, const struct http_field *f);

enum cache_mode {
	CACHE_OFF,    /* never */
	CACHE_ORIGIN, /* as the origin's fields say */
	CACHE_TTL     /* the route's TTL when the origin does not forbid it (no-store, private) */
};

enum cache_write_kind { CACHE_WRITE_OFF, CACHE_WRITE_ON, CACHE_WRITE_ALWAYS };

enum cache_etag_kind { CACHE_ETAG_OFF, CACHE_ETAG_WEAK, CACHE_ETAG_STRONG };

/* What a route says (cache/rule.h). All zero but mode: as the origin says. */
struct cache_rule {
	enum cache_mode mode;
	uint32_t ttl_ms;          /* CACHE_TTL */
	uint32_t negative_ttl_ms; /* of errors that state no lifetime; 0: none of their own */
	uint32_t heuristic_max_s;
	uint32_t stale_while_s; /* for responses that say nothing of it */
	uint32_t stale_error_s;
	uint32_t pass_ms;       /* lifetime of OBJECT_PASS; 0: none is made */
	uint8_t ttl_jitter_pct; /* lifetimes are shortened at random by up to this; at most 90 */
	uint8_t heuristic_pct;  /* of the time since Last-Modified (RFC 9111 4.2.2); 0: off */
	uint8_t make_etag;      /* enum cache_etag_kind */
	uint8_t write_through;  /* enum cache_write_kind (cache_written) */
	uint32_t ttl_min_ms;    /* CACHE_TTL: a lifetime is twice the former one after a 304, and */
	uint32_t ttl_max_ms;    /* half of it after a change, within these; 0: always ttl_ms */
	/* A Range that begins below this asks for the whole, to store it; and no more than this is
	 * fetched when nobody waits any more. */
	uint32_t range_fill_bytes;
	bool keyed_body; /* the key is made of the request's body: POST is as GET (RFC 9110 9.3.3)
	                  */
};

/* What the request lets a shared cache do. */
struct cache_request {
	bool lookup;            /* a stored response may be used */
	bool store;             /* the response may be stored */
	bool only_if_cached;    /* 504 instead of going to the origin (RFC 9111 5.2.1.7) */
	bool authorized;        /* carries Authorization (RFC 9111 3.5) */
	bool range;             /* asks for a part; with store, the whole is to be fetched */
	uint32_t max_age_s;     /* the stored response must not be older; UINT32_MAX: no demand */
	uint32_t min_fresh_s;   /* it must stay fresh that long; 0: no demand */
	uint32_t max_stale_s;   /* and may be stale by that much; 0: not at all */
	uint32_t stale_error_s; /* and by that much when the origin fails (RFC 5861 4) */
};

void cache_request_policy(enum http_method method, const struct http_fields *fs,
                          const struct cache_rule *rule, struct cache_request *out);

enum cache_use {
	CACHE_USE_NOT,
	CACHE_USE_FRESH,
	CACHE_USE_STALE,  /* the client's max-stale allows it */
	CACHE_USE_REFRESH /* within stale-while-revalidate: serve it and fetch it anew */
};

/* May this object answer that request without asking the origin (RFC 9111 4, 5.2.1; RFC 5861 3)?
 * A list of variants and a remark (OBJECT_VARY, OBJECT_PASS) may not. */
enum cache_use cache_use(const struct object *o, const struct cache_request *req, uint64_t wall_ms);
/* May it, now that the origin has failed (RFC 5861 4): within stale-if-error of the response, the
 * request or the rule, unless the response forbids stale answers (RFC 9111 4.2.4)? */
bool cache_use_on_error(const struct object *o, const struct cache_request *req, uint64_t wall_ms);
/* Is this status of an origin a failure for stale-if-error (RFC 5861 4: 500, 502, 503, 504)? */
bool cache_status_fails(unsigned status);

struct cache_response {
	bool storable; /* a store may keep it: it has a lifetime, or a validator, or may be stale */
	bool shared;   /* and it may answer others without asking the origin first */
	bool revalidate; /* OBJECT_REVALIDATE */
	bool pass;    /* remark OBJECT_PASS for rule.pass_ms: its like will not be shared either */
	bool partial; /* some of its fields must not be stored (cache_field_excluded) */
	uint16_t flags; /* enum object_flag: STORABLE, REVALIDATE, HEURISTIC, NO_TRANSFORM, ... */
	uint64_t lifetime_ms;   /* freshness lifetime (RFC 9111 4.2.1); 0 with no-cache */
	uint32_t initial_age_s; /* corrected_initial_age (RFC 9111 4.2.3) */
	uint32_t stale_while_s;
	uint32_t stale_error_s;
};

/* request_wall_ms, response_wall_ms: when the request was sent and the response came. */
struct cache_response_in {
	enum http_method method;
	unsigned status;
	bool authorized;
	bool variant; /* its key holds what Vary lists; without, such a response is not storable */
	const struct http_fields *fields;
	const struct http_fields *aged; /* whose Age counts; NULL: fields */
	struct cache_rule rule;
	uint64_t former_ms; /* lifetime of the stored answer that was validated; 0: none was */
	bool unchanged;     /* it is the same still */
	uint32_t random;    /* for the jitter */
	uint64_t request_wall_ms;
	uint64_t response_wall_ms;
};
void cache_response_policy(const struct cache_response_in *in, struct cache_response *out);

/* object.expires_ms: response_wall_ms when it is stale on arrival. */
static inline uint64_t cache_expires_ms(const struct cache_response *r, uint64_t response_wall_ms)
{
	uint64_t age_ms = r->initial_age_s * 1000ull;

	return response_wall_ms + (r->lifetime_ms > age_ms ? r->lifetime_ms - age_ms : 0);
}

/* The remark, until that wall time, that answers to this key are not for sharing. Writes an
 * OBJECT_PASS into mem (aligned to 8), with born_seq 0; its length, or 0 when cap is too small. */
size_t cache_pass_write(void *mem, size_t cap, const struct cache_key *key, uint64_t until_ms);

enum cache_cond {
	COND_NONE,         /* send the answer */
	COND_NOT_MODIFIED, /* 304 */
	COND_FAILED        /* 412 */
};

/* The preconditions of a request against a stored answer, in the order of RFC 9110 13.2.2. Only a
 * 2xx answer can fail one (13.2.1). Range and If-Range: cache/range.h. */
enum cache_cond cache_condition(const struct object *o, enum http_method method,
                                const struct http_fields *request);

/* Does the method with this outcome make what is stored of its target void (RFC 9111 4.4)? */
bool cache_invalidates(enum http_method method, unsigned status);

/* The request whose answer may void more than its own target. */
struct cache_target {
	struct span host;   /* as sent, with port */
	struct span target; /* origin-form */
	bool tls;
};
#define CACHE_TARGET_MAX 2048u /* a longer one has no key */
struct cache_targets {
	uint32_t count;
	struct span target[2];
	char text[2][CACHE_TARGET_MAX];
};
/* Targets (path and query, from '/') of the same origin that Location and Content-Location of the
 * answer to an unsafe request name (RFC 9111 4.4), relative ones resolved (RFC 3986 5.2). Those
 * that are the request's own are left out. */
void cache_invalidated(const struct cache_target *at, const struct http_fields *response,
                       struct cache_targets *out);

/* Of which target is the content of this answer to an unsafe request the representation that GET
 * would get now? 200 or 201 to PUT, PATCH or POST whose one Content-Location is the request's own
 * target (RFC 9110 8.7, 9.3.3; RFC 5789 2) or, with 201, what Location says was made (RFC 9110
 * 15.3.2); always: of PUT and PATCH without Content-Location, the request's own. Such a target is
 * one of the request's host. False: of none. out->target[0], else. */
bool cache_written(const struct cache_target *at, enum http_method method, bool always,
                   const struct http_response_head *head, struct cache_targets *out);

enum cache_head { CACHE_HEAD_NOTHING, CACHE_HEAD_FRESHENS, CACHE_HEAD_INVALIDATES };

/* What a 200 answer to HEAD says of the stored answer to GET (RFC 9111 4.3.5). */
enum cache_head cache_head_compare(const struct object *stored, unsigned status,
                                   const struct http_fields *response);

/* Does a 304 with these fields select the stored answer (RFC 9111 4.3.4)? */
bool cache_selects(const struct object *stored, const struct http_fields *response);

#endif
