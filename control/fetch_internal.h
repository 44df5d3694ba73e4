/* SPDX-License-Identifier: BSD-2-Clause
 *
 * State shared by fetch.c (tickets, coalescing), fetch_stream.c (what the origin sends),
 * fetch_send.c (what the cores get) and plan.c (configurations by id). For these files only.
 *
 *   fetch ---- exchange (upstream/pool.h)
 *     | chunks: runs of body bytes in blocks, each with how many waiters still need it
 *     +-- waiter -- waiter -- ...   one a ticket, each with its own place in the chunks */
#ifndef CONTROL_FETCH_INTERNAL_H
#define CONTROL_FETCH_INTERNAL_H

#include "control/chan_link.h"
#include "control/fetch.h"
#include "control/request.h"
#include "control/response.h"

#define FETCH_SHARE_BYTES  (1u << 20) /* a body is kept that long for tickets that come late */
#define FETCH_GATHER_BYTES 512u       /* shorter runs are copied together */
#define FETCH_HEAD_MAX     16384u     /* a core copies a head into a buffer of that size */
#define FETCH_BUCKETS      4096u
#define FETCH_SLOTS        65536u /* a ticket's slot is 16 bits */

struct plan {
	uint64_t id;
	struct snapshot *snap;
	struct upstream **ups;
	uint32_t up_count;
};

struct chunk {
	uint32_t block;
	uint32_t off;
	uint32_t len;
	uint32_t wanted; /* waiters that have not got it */
};

struct waiter {
	struct link_pending pending; /* the core's ring is full */
	struct fetcher *f;
	struct fetch *fetch; /* NULL: only a failure is left to say */
	struct waiter *next;
	struct waiter **prev_next;
	struct chan_ticket ticket;
	struct request *req; /* NULL for the one whose request the fetch took over */
	uint32_t cursor;     /* index of its next chunk */
	uint16_t fail_code;
	bool leader;
	bool joined;
	bool head_sent;
};

struct fetch {
	struct exchange x;
	struct fetcher *f;
	struct request *req;
	struct upstream *upstream;
	struct cache_rule rule;
	uint64_t started_wall_ms;
	uint64_t born_seq; /* purges ordered when it began (cache/inval.h) */
	uint32_t holds;    /* functions at work on it */
	struct waiter *waiters;
	struct waiter **waiters_end;
	uint32_t waiter_count;
	/* In the table of fetches that may be joined */
	struct fetch *hash_next;
	struct fetch **hash_prev; /* NULL when it may not */
	/* Response */
	uint32_t head_block; /* CHAN_NO_BLOCK until it came */
	uint32_t head_len;
	bool head_end; /* no body follows */
	bool reused;
	bool storable;
	bool retain; /* chunks are kept for tickets that come late */
	bool ended;
	bool aborted;
	struct chunk *chunks; /* ring of cap; index i lies at i % cap */
	uint32_t chunk_cap;
	uint32_t chunk_first;
	uint32_t chunk_count;
	uint32_t batch; /* chunks from here on were not sent to anybody yet */
	uint32_t gather_block;
	uint32_t gather_off;
	uint64_t body_bytes;
	struct down_owner *owner;
	uint64_t filled; /* bit a core: one of its tickets stores the response */
	uint64_t upload_left;
};

struct fetcher {
	struct control *ctl;
	struct waiter ***slots; /* [core][slot] */
	uint32_t cores;
	uint32_t active;
	bool left_over; /* a request came while control was stopping */
	struct fetch *buckets[FETCH_BUCKETS];
	struct plan *plan_next;
	struct plan *plan_now;
	struct plan *plan_before;
	uint64_t id_prefix;
	uint64_t id_seq;
	struct fetcher_counts counts;
};

/* fetch.c */
void fetch_hold(struct fetch *f);
void fetch_drop(struct fetch *f);
void fetch_unjoin(struct fetch *f);
/* Gives every ticket but the leader's a fetch of its own. */
void fetch_split(struct fetch *f);
/* Every ticket of f is answered with code. */
void fetch_refuse(struct fetch *f, uint16_t code);
void waiter_end(struct waiter *w);
/* fetch_stream.c */
extern const struct exchange_ops fetch_exchange_ops;
void fetch_flow(struct fetch *f);
void fetch_trim(struct fetch *f);
void fetch_stream_free(struct fetch *f);
static inline struct chunk *fetch_chunk(const struct fetch *f, uint32_t index)
{
	return &f->chunks[index % f->chunk_cap];
}
/* fetch_send.c */
void waiter_pump(struct waiter *w);
bool waiter_pending(struct link_pending *p);
void fetch_pump(struct fetch *f);
/* plan.c */
struct plan_choice {
	struct upstream *upstream;
	struct cache_rule rule;
};
/* False: no such configuration, route or upstream. */
bool plan_choose(struct fetcher *f, const struct chan_request *cr, struct plan_choice *out);
void plans_destroy(struct fetcher *f);

#endif
