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
#include "cache/policy.h"
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

#define REQ_COND_BYTES 192u

/* What a conditional request asked for, kept while the whole object is fetched. */
struct req_cond {
	uint16_t etags_len; /* If-None-Match, as sent, in text */
	uint16_t since_len; /* If-Modified-Since, behind it */
	char text[REQ_COND_BYTES];
};

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
	uint64_t purge_seq;
	struct req *park_next;
	struct req *park_prev;
	struct req_cond cond;
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
/* The cache key of core->http, its text in core->turn; false when it would be too long. */
bool req_key(struct core *core, struct cache_key *out);

/* reply.c: what the heads of all answers share; call it when core->snap has changed. */
void reply_prepare(struct core *core);
/* What goes to TCP. REQ_CLOSE when TCP had no room: the connection is reset. */
enum req_next reply_error(struct core *core, struct req *req, unsigned status);
enum req_next reply_options(struct core *core, struct req *req, uint32_t methods);
enum req_next reply_object(struct core *core, struct req *req, const struct object *o);
/* Head of an answer whose body follows by reply_body. o: head message of control, checked. */
enum req_next reply_head(struct core *core, struct req *req, const struct object *o,
                         uint8_t chan_flags);
/* A run of body bytes in block of the down slab, which TCP gives back; ends with reply_end. */
enum req_next reply_body(struct core *core, struct req *req, struct span bytes, uint32_t block);
enum req_next reply_end(struct core *core, struct req *req);
/* Does the client have the object already (conditions of the request being run, or kept)? */
bool req_cond_matches(const struct req_cond *cond, const struct object *o);
void req_cond_keep(struct req_cond *cond, const struct http_fields *fields, bool *too_long);

#endif
