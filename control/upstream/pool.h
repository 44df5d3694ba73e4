/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What fetch.h asks of the origins: an exchange is one request and its response, over a connection
 * that the pool lends or opens. The pool chooses the address (fewest requests in progress, in turn
 * among equals), waits in a bounded queue when all connections are busy, tries the next address
 * when one refuses, and sends once more what a stale pooled connection lost, where RFC 9110 9.2.2
 * allows. Response bytes stay in the down slab's blocks into which the kernel put them. Loop's
 * thread only. */
#ifndef CONTROL_UPSTREAM_POOL_H
#define CONTROL_UPSTREAM_POOL_H

#include "control/chan_link.h"
#include "control/upstream/upstream.h"
#include "lib/http1.h"

struct exchange;
struct conn;
struct upstream; /* one upstream of the configuration: addresses and their connections */

enum exchange_fail {
	EXCHANGE_FULL,    /* the queue for a connection is full: 503 */
	EXCHANGE_CONNECT, /* no address took the connection: 502 */
	EXCHANGE_BROKEN,  /* the connection ended before the response did: 502 */
	EXCHANGE_BAD,     /* what came is no HTTP response, or over a limit: 502 */
	EXCHANGE_TIMEOUT, /* 504 */
};

struct exchange_head {
	const struct http_response_head *head;
	struct http_framing framing;
	bool reused; /* came over a pooled connection */
};

/* Callbacks. After end or fail the exchange is its owner's again; exchange_cancel may be called in
 * any of them. body: the bytes stay valid while the owner holds a reference to the block. interim:
 * a 1xx answer but 101, ahead of head; NULL: they are dropped. */
struct exchange_ops {
	void (*interim)(struct exchange *x, const struct http_response_head *h);
	void (*head)(struct exchange *x, const struct exchange_head *h);
	void (*body)(struct exchange *x, uint32_t block, struct span bytes);
	void (*more)(struct exchange *x); /* a receive was worked off; the response goes on */
	void (*end)(struct exchange *x);
	void (*fail)(struct exchange *x, enum exchange_fail why);
};

/* The serialised request head; shared with a connection whose send is under way. */
struct request_bytes {
	uint32_t refs;
	uint32_t len;
	char data[];
};
struct request_bytes *request_bytes_new(uint32_t len); /* one reference; NULL: no memory */
void request_bytes_ref(struct request_bytes *b);
void request_bytes_unref(struct request_bytes *b);

/* A run of request body bytes in a core's up block. */
struct body_piece {
	struct body_piece *next;
	const void *ptr;
	uint32_t len;
	uint32_t block; /* CHAN_NO_BLOCK: the bytes lie behind the piece itself */
	uint16_t core;
	uint8_t frame_len;
	char frame[13]; /* chunk size line */
};

/* Embedded in the owner; the first part is set by it before exchange_start. */
struct exchange {
	const struct exchange_ops *ops;
	struct request_bytes *request; /* the owner's reference */
	enum http_method method;
	bool idempotent;
	bool has_body;
	bool chunked; /* how the body is framed to the origin */
	/* The rest belongs to the pool. */
	struct upstreams *upstreams;
	struct upstream *upstream;
	struct conn *conn;
	struct exchange *next;       /* in the queue for a connection */
	struct exchange **prev_next; /* NULL when it does not wait */
	struct loop_timer timer;
	struct body_piece *pieces; /* not sent yet */
	struct body_piece **pieces_end;
	bool body_ended;    /* the last piece is in */
	bool body_consumed; /* some of it was sent: no second try */
	bool retried;
	bool paused;
	bool timed_out; /* the last connection attempt took too long */
	uint32_t tried; /* bit an address that failed */
};

/* The upstream of this name, with a reference; NULL when there is none. */
struct upstream *upstream_find(struct upstreams *u, const char *name);
void upstream_ref(struct upstream *up);
void upstream_unref(struct upstream *up);
const struct config_upstream *upstream_config(const struct upstream *up);

/* No exchange waits for a connection, and less than half of those that there may be are busy. */
bool upstream_at_ease(const struct upstream *up);

/* Begins. May call ops->fail before it returns. */
void exchange_start(struct exchange *x, struct upstream *up);
/* The owner wants no more of it: no further callback. */
void exchange_cancel(struct exchange *x);
/* Back-pressure: stops and resumes the receiving. */
void exchange_pause(struct exchange *x, bool paused);
/* Takes the piece over (its block is given back to the core when it was sent or is not needed). */
void exchange_push(struct exchange *x, struct body_piece *piece);
void exchange_push_end(struct exchange *x);

/* There are buffers again. */
void upstreams_buffers(struct upstreams *u);
/* Closes every connection; quiet is called once when the kernel holds nothing of the slabs. */
void upstreams_drop(struct upstreams *u, void (*quiet)(void *arg), void *arg);

#endif
