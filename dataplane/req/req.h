/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One HTTP request in progress on a connection: its stage, what must be remembered of its head, and
 * where its answer comes from. Taken from the core's pool when a connection has bytes, given back
 * when it is idle. What was parsed (core->http) points into the connection's receive buffer and
 * holds only within one req_burst; a request that must wait for room keeps its bytes unread and is
 * parsed anew.
 *
 * A request waits at two places only: for bytes, and for control. */
#ifndef DATAPLANE_REQ_REQ_H
#define DATAPLANE_REQ_REQ_H

#include "cache/hot_table.h"
#include "cache/key_program.h"
#include "cache/policy.h"
#include "cache/range.h"
#include "dataplane/core.h"
#include "dataplane/http/http_body.h"
#include "dataplane/http/http_parse.h"

/* What a step says. */
enum req_next {
	REQ_NEXT, /* the following stage, now */
	REQ_MORE, /* waits for bytes, or for room in the channel */
	REQ_WAIT, /* waits for control */
	REQ_DONE, /* the answer is with TCP: on to the next request */
	REQ_CLOSE /* nothing more can be said on this connection */
};

enum req_stage {
	REQ_READ,
	REQ_ROUTE,
	REQ_PREPARE,
	REQ_LOOKUP,
	REQ_SUBMIT,
	REQ_ANSWER /* control has it: upload, head, body */
};

#define REQ_ASKED_BYTES 320u

/* Conditions and Range of a request, kept while control has it: of each field its id, its length in
 * two bytes, and its value. */
struct req_asked {
	uint32_t len;
	char text[REQ_ASKED_BYTES];
};

/* What they come to with the answer that there is. */
enum asked_kind {
	ASKED_WHOLE,
	ASKED_NOT_MODIFIED, /* 304 */
	ASKED_PART,         /* 206 with one of ranges */
	ASKED_PARTS,        /* 206, multipart/byteranges */
	ASKED_NO_PART       /* 416 */
};

struct asked_answer {
	enum asked_kind kind;
	uint32_t count;
	struct byte_range ranges[RANGES_MAX];
};

/* Why a stale answer was served, for Cache-Status. */
enum req_stale { STALE_NOT, STALE_CLIENT, STALE_WHILE, STALE_ERROR };

struct req {
	struct conn *conn;
	enum req_stage stage;
	enum http_method method;
	uint8_t minor;
	bool counted : 1; /* in http_requests, although it may be parsed again */
	bool keep_alive : 1;
	bool parked : 1;          /* in the core's park list */
	bool close_delimited : 1; /* the answer's body ends with the connection (HTTP/1.0) */
	bool head_sent : 1;       /* status line and fields are with TCP */
	bool chunked_out : 1;
	bool answered : 1;  /* the whole answer is with TCP */
	bool discard : 1;   /* body bytes of control are not for the client (304) */
	bool uploading : 1; /* more of the request's body is to come */
	bool uploaded : 1;  /* body bytes were sent to control: no replay */
	bool starved : 1;   /* body bytes of the client wait for a block; control owes it */
	bool fin : 1;       /* the client will send no more than what is unread */
	bool asks : 1;      /* has conditions or Range: kept in asked when control has it */
	bool pass : 1;      /* answers to its key are not for sharing: it waits for no other */
	bool on_error : 1;  /* what is stale here may be served when it cannot be fetched */
	bool partial : 1;   /* of control's answer the client gets part */
	bool continued : 1; /* 100 was sent */
	bool purge : 1;     /* the method is PURGE */
	bool pattern : 1;   /* its answer is shared by what it depends on */
	bool fronted : 1;   /* it may be answered so: front_hash is set */
	uint8_t stale : 2;  /* enum req_stale */
	struct http_parser parser;
	uint32_t slot;        /* in core->chan.misses, or UINT32_MAX */
	uint32_t head_block;  /* up block with the request's head, or CHAN_NO_BLOCK */
	uint64_t body_left;   /* of the answer, when its length is known */
	uint64_t start_ns;    /* the head was complete */
	uint64_t deadline_ns; /* 0: none */
	uint32_t queued_mark; /* bytes that would be queued had the client taken none since the send
	                         timer was set; 0: not set */
	uint32_t served;      /* requests on this connection before this one */
	struct hot_fill fill; /* open while fill.obj is set */

	/* From fill.obj on, all is set before it is read, and is not cleared for a request. */
	struct http_body body;
	struct cache_rule rule;
	struct span
	        fwd; /* why it goes to the origin, for Cache-Status (RFC 9211 2.2); static text */
	struct cache_request cache;
	const struct snap_route *route; /* of core->snap, within one req_burst only */
	uint32_t route_index;
	struct hash128 key_hash;
	struct hash128 front_hash; /* of the front of its shared answer's key (cache/read_set.h) */
	struct req *park_next;
	struct req *park_prev;
	struct byte_range part; /* first: bytes still to be left out; len: then to be sent */
	struct req_asked asked;
};

#define REQ_CLEARED_BYTES (offsetof(struct req, fill.obj) + sizeof(struct object *))

/* The request of the connection, or NULL. An idle connection has none; its owner word then holds a
 * few numbers (req_idle.c), so that it costs no memory. */
static inline struct req *req_of(const struct conn *conn)
{
	void *owner = tcp_owner(conn);

	return (uintptr_t)owner & 1 ? NULL : owner;
}

/* What a client must take of an answer within send_ms. A closed window lets a byte pass with each
 * probe: that is no progress. */
#define SEND_PROGRESS_BYTES 1024u

/* mark: what was queued when the time began, and what came behind it since; 0: it begins now. */
static inline bool send_progress(uint32_t mark, uint32_t queued)
{
	uint32_t least = min_u32(SEND_PROGRESS_BYTES, mark - mark / 2);

	return mark == 0 || queued == 0 || (queued < mark && mark - queued >= least);
}

struct req *req_get(struct core *core, struct conn *conn);
/* Gives the request back; cancels its miss and its fill when they are open. */
void req_put(struct core *core, struct req *req);
/* Sets the time by which the present stage must have moved on. */
void req_deadline(struct core *core, struct req *req, uint32_t ms);
/* req_idle.c: connections between requests */
uint32_t idle_served(const struct conn *conn); /* requests so far */
void idle_begin(struct conn *conn, uint32_t served);
/* req: one that waits for its connection's send queue, or NULL. */
void idle_timeout(struct core *core, struct conn *conn, struct req *req);

/* tcp_user_timer_fn */
void req_timeout(void *arg, struct conn *conn, uint64_t now_ns);
/* tcp_release_fn: bytes lent to TCP come back; the cookie says whose they are. */
void req_release(void *arg, uint64_t cookie);

/* Cookies of bytes lent to TCP: the top bit tells a pin of the hot table from a block of control.
 */
#define COOKIE_HOT (1ull << 63)

/* key.c: the authority as the client sent it, with its port; an absolute-form target outranks
 * Host (RFC 9112 3.2.2). */
struct span req_authority(const struct http_request *h);
/* The cache key of core->http, its text in core->turn: by the rule of the route, or host, path and
 * query. KEY_BYPASS: it must not be answered from a cache; KEY_TOO_LONG. */
enum key_status req_key(struct core *core, const struct req *req, struct cache_key *out);
/* False: the key is made of the body, and more of that is to come. */
bool req_key_ready(struct core *core, struct req *req);
/* Does the key say whose answer it is, so that Authorization keeps it from nobody (RFC 9111 3.5)?
 * The route has a rule. */
bool req_key_says_who(const struct core *core, const struct req *req);
/* What the programs of its route's rule see of it. */
void req_key_input(const struct core *core, const struct req *req, struct key_input *in);
/* Bytes of the request that a hit takes from TCP. */
size_t req_bytes(const struct core *core, const struct req *req);
/* Counts for the route's rule, if it has one. */
static inline void req_rule_count(struct core *core, const struct req *req, enum rule_result what)
{
	uint32_t rule = req->route->rule;

	if (unlikely(rule != 0)) {
		uint64_t *v = &core->stats->rules.v[(rule - 1) % RULE_STATS_MAX][what];

		__atomic_store_n(v, *v + 1, __ATOMIC_RELAXED);
	}
}
/* The counters of rules begin anew: core->snap has changed. */
void req_rules_begin(struct core *core);

/* variant.c: what the request being run gets of a key with variants (RFC 9111 4.1), or NULL. */
const struct object *variant_get(struct core *core, const struct object *list);
/* pattern.c: answers that are shared by what they depend on (cache/read_set.h). Instead of o, which
 * is not fresh or NULL, what the request gets so; or o. core->found goes with it. */
const struct object *pattern_instead(struct core *core, struct req *req, const struct object *o);
/* The client gets such an answer: now and then control is asked to check it. */
void pattern_hit(struct core *core, struct req *req);
/* Is o's key one of an answer that this request, which control has, may get so? */
bool pattern_key_is(const struct core *core, const struct req *req, const struct object *o);
/* refresh.c: asks control to fetch anew what o, which is stale, answers; once in a while. */
void refresh_ask(struct core *core, struct req *req, const struct object *o);

/* asked.c: conditions and ranges. The fields that asks stands for; If-Match and If-Unmodified-Since
 * are not for a cache (RFC 9111 4.3.2), so such a request goes to the origin: */
#define REQ_ASKS                                                                 \
	(http_hdr_bit(HDR_IF_NONE_MATCH) | http_hdr_bit(HDR_IF_MODIFIED_SINCE) | \
	 http_hdr_bit(HDR_IF_RANGE) | http_hdr_bit(HDR_RANGE))
/* False when they are too long to keep. */
bool asked_keep(struct req_asked *a, const struct http_fields *fields);
/* o: any response; only what is known of it counts. */
void asked_of(const struct object *o, enum http_method method, const struct http_fields *fields,
              struct asked_answer *out);
/* The same for a request that control has. */
void asked_of_kept(const struct object *o, const struct req *req, struct asked_answer *out);

/* reply.c: what the heads of all answers share; call it when core->snap has changed. */
void reply_prepare(struct core *core);
/* What goes to TCP. REQ_CLOSE when TCP had no room: the connection is reset. */
enum req_next reply_error(struct core *core, struct req *req, unsigned status);
enum req_next reply_options(struct core *core, struct req *req, uint32_t methods);
enum req_next reply_object(struct core *core, struct req *req, const struct object *o);
/* The same, or what the request's conditions and ranges make of it. */
enum req_next reply_asked(struct core *core, struct req *req, const struct object *o,
                          const struct asked_answer *a);
/* Head of an answer whose body follows by reply_body. o: head message of control, checked; m: the
 * message. */
enum req_next reply_head(struct core *core, struct req *req, const struct object *o,
                         const struct chan_msg *m);
/* Interim answer of the origin, ahead of the head (RFC 9110 15.2). o: as in reply_head. */
void reply_interim(struct core *core, struct req *req, const struct object *o);
/* A run of body bytes in block of the down slab, which TCP gives back; ends with reply_end. */
enum req_next reply_body(struct core *core, struct req *req, struct span bytes, uint32_t block);
enum req_next reply_end(struct core *core, struct req *req);

#endif
