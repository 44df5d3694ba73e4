/* SPDX-License-Identifier: BSD-2-Clause
 *
 * State shared by the files of the fetcher. For these files only:
 *
 *   fetch.c           tickets, life of a fetch
 *   fetch_join.c      which tickets share a fetch
 *   fetch_route.c     where a request's answer comes from: the store, the shared store, the origin
 *   fetch_kept.c      bodies of requests that wait for another's fetch
 *   fetch_stream.c    what the origin sends
 *   fetch_head.c      its head: what may be stored and shared, variants, remarks
 *   fetch_validate.c  stale answers: 304, failures, refreshing in the background
 *   fetch_store.c     answers out of the store, fills into it
 *   fetch_l3.c        the shared store
 *   fetch_code.c      compression: codes what comes from an origin or out of the store
 *   fetch_coded.c     coded forms beside the answer that they are made of: found, freshened, void
 *   fetch_purge.c     purges
 *   fetch_warm.c      answers that are fetched ahead of clients
 *   fetch_write.c     write-through: answers to unsafe requests that are stored for GET
 *   fetch_send.c      what the cores get
 *   pattern.c, pattern_check.c   answers that are shared by what they depend on
 *   plan.c            configurations by id
 *
 *   fetch ---- exchange (upstream/pool.h), or an entry of the store
 *     | chunks: runs of body bytes in blocks, each with how many waiters still need it
 *     +-- waiter -- waiter -- ...   one a ticket, each with its own place in the chunks
 *     +-- parked -- parked -- ...   want the same answer in another coding: routed anew at its end
 *
 * Where Sluice codes answers (routes[].compress) the store has the answer as the origin sent it,
 * under its base key, and beside it its coded forms (OBJECT_CODED), each under a key that differs
 * in the coding alone (vary_key_coded). The origin and the shared store only know the former. */
#ifndef CONTROL_FETCH_INTERNAL_H
#define CONTROL_FETCH_INTERNAL_H

#include "cache/l3.h"
#include "cache/policy.h"
#include "cache/store.h"
#include "control/chan_link.h"
#include "control/coder.h"
#include "control/fetch.h"
#include "control/pattern.h"
#include "control/request.h"
#include "control/response.h"
#include "control/rule_effects.h"

#define FETCH_SHARE_BYTES  (1u << 20) /* a body is kept that long for tickets that come late */
#define FETCH_GATHER_BYTES 512u       /* shorter runs are copied together */
#define FETCH_HEAD_MAX     16384u     /* a core copies a head into a buffer of that size */
#define FETCH_HOLD_BYTES   65536u     /* bodies up to that are coded before their head is sent */
#define FETCH_CODE_BYTES   65536u /* coded out of the store in a round of the loop, all together */
#define FETCH_SLICE_BYTES  16384u /* and at a time */
#define FETCH_KEPT_BYTES   (16u << 20) /* bodies of requests that wait; others do not wait */
#define FETCH_BUCKETS      4096u
#define FETCH_SLOTS        65536u /* a ticket's slot is 16 bits */

struct plan {
	uint64_t id;
	struct snapshot *snap;
	struct upstream **ups;
	uint32_t up_count;
};

struct plan_choice {
	struct upstream *upstream;
	struct cache_rule rule;
	struct codings offers; /* none: answers go out as they come */
	uint8_t levels[CODING_COUNT];
};

struct chunk {
	uint32_t block;
	uint32_t off;
	uint32_t len;
	uint32_t wanted; /* waiters that have not got it */
};

/* The body of a request that waits for another one's fetch: it may have to be sent after all. */
struct kept_body {
	uint32_t room;
	uint32_t len;
	bool ended;
	char bytes[];
};

struct waiter {
	struct link_pending pending; /* the core's ring is full */
	struct fetcher *f;
	struct fetch *fetch; /* NULL: only a failure is left to say */
	struct waiter *next;
	struct waiter **prev_next;
	struct chan_ticket ticket;
	struct request *req;    /* NULL for the one whose request the fetch took over */
	struct kept_body *kept; /* while it waits, or NULL */
	struct cache_request asks;
	enum http_method method;
	uint32_t cursor; /* index of its next chunk */
	uint16_t fail_code;
	uint8_t coding; /* enum coding that its request gets, where its route offers some */
	bool parked;
	bool leader;
	bool joined;
	bool head_sent;
};

/* A body on its way through a coding. */
struct fetch_coder {
	struct coder *coder;  /* NULL: it is through */
	struct coder_out out; /* not in blocks yet */
	struct store_fill *fill;
	struct fetch *fetch;
	struct loop_timer timer; /* runs while something is kept back in the coder */
	bool timed;
	bool kept_back;
	uint64_t in_bytes;
	uint64_t out_bytes;
};

struct fetch {
	struct exchange x;
	struct fetcher *f;
	struct request *req; /* NULL: answered out of the store */
	struct plan_choice plan;
	struct rule_effects *effects; /* of its route's rule, or NULL */
	struct cache_request asks;    /* of the request that began it */
	uint64_t started_wall_ms;
	uint64_t born_seq; /* purges that had been ordered then (cache/inval.h) */
	uint32_t holds;    /* functions at work on it */
	struct waiter *waiters;
	struct waiter **waiters_end;
	uint32_t waiter_count;
	/* Under which it is joined and stored: the request's key, or that of its variant */
	struct span key; /* in req, or variant */
	char *variant;   /* text, or NULL */
	bool pattern;    /* it is that of an answer which other keys' requests may have */
	/* In the table of fetches that may be joined */
	uint64_t key_hash;
	struct fetch *hash_next;
	struct fetch **hash_prev; /* NULL when it may not */
	/* Likewise by the key of the answer as the origin sends it, where that has coded forms */
	struct span base; /* in base_text; len 0: it has none */
	char *base_text;
	uint64_t base_hash;
	struct fetch *base_next;
	struct fetch **base_prev;
	struct waiter *parked;
	bool unparks;              /* as soon as its turn comes (fetch_unpark_soon) */
	enum coding coding;        /* that its waiters get */
	struct fetch_coder *coder; /* NULL: bytes go out as they come */
	bool held;                 /* the head waits for the length of the coded body */
	bool plain;                /* its coding was of no use */
	/* The store */
	struct store_entry *entry; /* that is to be validated, or that is sent */
	bool sending;              /* the answer is the entry */
	bool validating;           /* the origin was given the entry's validators */
	bool holds_exchange;       /* waits for the end of an exchange whose answer is not sent */
	bool background;           /* fetches for the store; nobody has to wait */
	struct fetch_warm *warm;   /* whoever wanted it fetched ahead of clients, or NULL */
	uint64_t sent_off;         /* of the entry's body */
	struct store_fill *fill;
	bool written; /* the fill is what an unsafe request wrote (fetch_write.c) */
	uint64_t write_wall_ms;
	uint64_t write_seq; /* the last purge that was ordered before it */
	uint8_t write_etag; /* enum cache_etag_kind of GET's route */
	uint64_t purge_seq; /* of a refresh: makes older copies in the cores void */
	struct fetch *dry_next;
	struct fetch **dry_prev; /* NULL when it does not wait for blocks */
	struct l3_wait *l3;      /* NULL when it does not wait for the shared store */
	uint64_t l3_seq;         /* purges that had been ordered when it was asked */
	/* What goes with the head: an object for the hot table (CHAN_PUT), behind it in its block
	 */
	uint32_t put_off;
	uint32_t put_len;  /* 0: none */
	uint64_t put_sent; /* bit a core */
	uint16_t code;     /* status of the origin that a stored answer stands for (CHAN_HEAD) */
	uint8_t tier;      /* CHAN_F_STORE, CHAN_F_L3, or 0: from an origin */
	/* Response */
	uint32_t head_block; /* CHAN_NO_BLOCK until it came */
	uint32_t head_len;
	bool head_end; /* no body follows */
	bool reused;
	bool shared; /* others may have this answer, and the cores' tables */
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
	/* All fetches that are in progress */
	struct fetch *all_next;
	struct fetch **all_prev;
};

struct later;

struct fetcher {
	struct control *ctl;
	struct waiter ***slots; /* [core][slot] */
	uint32_t cores;
	uint32_t active;
	bool detaching;      /* nothing is begun */
	bool left_over;      /* a request came while control was stopping */
	struct store *store; /* NULL: none */
	struct patterns *patterns;
	struct loop_timer sweep_timer;
	struct fetch *all;
	struct fetch *dry; /* wait for blocks, oldest first */
	struct fetch **dry_end;
	uint32_t dry_count;
	uint64_t key_seed;
	struct fetch *buckets[FETCH_BUCKETS];
	struct fetch *bases[FETCH_BUCKETS];
	uint32_t coders;      /* at work */
	uint32_t code_budget; /* bytes that may still be coded out of the store in this round */
	struct plan *plan_next;
	struct plan *plan_now;
	struct plan *plan_before;
	uint64_t kept_bytes; /* of all waiters */
	uint64_t id_prefix;
	uint64_t id_seq;
	struct later *later; /* writes that the shared store gets, oldest first */
	struct later **later_end;
	uint32_t later_count;
	struct loop_timer later_timer;
	struct fetcher_counts counts;
};

/* fetch.c */
/* Held by the caller. */
struct fetch *fetch_new(struct fetcher *fr, const struct plan_choice *plan);
void fetch_hold(struct fetch *f);
void fetch_drop(struct fetch *f);
/* The exchange whose answer is not sent is over; the caller holds f besides. */
void fetch_exchange_end(struct fetch *f);
/* A background fetch has ended, well or not; the caller holds f besides. */
void fetch_background_end(struct fetch *f);
void fetch_join(struct fetch *f, struct waiter *w);
/* w is f's ticket from now on; it takes part from the first chunk. */
void fetch_add(struct fetch *f, struct waiter *w);
/* Routes every ticket anew but the leader's, and those for whom stays says that they may stay. */
void fetch_split(struct fetch *f, bool (*stays)(struct fetch *f, const struct waiter *w));
/* Every ticket of f is answered with code. */
void fetch_refuse(struct fetch *f, uint16_t code);
void waiter_refuse(struct waiter *w, uint16_t code);
/* The ticket's answer is this status alone, if somebody still waits for it. */
void fetch_ticket_code(struct fetcher *f, const struct chan_ticket *t, uint16_t code);
/* Takes w off its fetch, which may end by that. */
void waiter_leave(struct waiter *w);
void waiter_end(struct waiter *w);

/* fetch_join.c */
/* Into the table of those that may be joined, under its key; out of it. */
void fetch_offer(struct fetch *f);
void fetch_unjoin(struct fetch *f);
/* One that asks for the key and may be joined, or NULL. */
struct fetch *fetch_find(struct fetcher *fr, struct span key, const struct plan_choice *plan);
/* One that codes this entry and so makes the key, or NULL. */
struct fetch *fetch_find_coding(struct fetcher *fr, struct span key, const struct store_entry *e);
/* One with this base key that may be joined, or NULL. */
struct fetch *fetch_find_base(struct fetcher *fr, struct span base, const struct plan_choice *plan);
/* The key becomes a variant's (text is copied), and the base key what it says; false: no memory,
 * and they are as they were. */
bool fetch_rekey(struct fetch *f, struct span text);
/* w is on no fetch: it is routed anew when f has ended. */
void fetch_park(struct fetch *f, struct waiter *w);
/* f may not be joined any more: routes its parked tickets anew. */
void fetch_unpark(struct fetch *f, bool share);
/* Its parked tickets would wait for a client that reads slowly, or for nobody: they are routed anew
 * in this round or the next. */
void fetch_unpark_soon(struct fetch *f);

/* fetch_route.c */
/* w is on no fetch. share: it may wait for another request. */
void fetch_route(struct waiter *w, const struct plan_choice *plan, bool share);
bool request_may_share(const struct request *r);
/* Does the list offer no codings, or those that the route offers now? */
bool fetch_list_fits(const struct object *list, const struct plan_choice *plan);
/* RFC 9111 5.2.1.5: nothing of its answer may be stored. */
bool request_no_store(const struct request *r);
/* Begins the origin's request, with the validators of the entry if there is one. */
void fetch_origin(struct fetch *f);
/* No tier has it: to the origin, unless the request wants a stored answer only (504). */
void fetch_onwards(struct fetch *f);
/* A refresh that a core asked for: takes r over. */
void fetch_refresh(struct fetcher *fr, struct request *r, const struct plan_choice *plan);
/* What requests to the upstream have of this node. */
struct request_style fetch_style(struct fetcher *fr, const struct upstream *up);
/* The same for one that is fetched ahead of clients. */
void fetch_warm_route(struct fetcher *fr, struct request *r, const struct plan_choice *plan,
                      struct fetch_warm *w);
/* The fields of a request, parsed; r outlives them. */
void request_fields(const struct request *r, struct http_fields *out);
/* The key of r's variant by a list; false: none. buf: CACHE_KEY_MAX. */
bool request_variant(struct fetcher *fr, const struct request *r, const struct object *list,
                     char *buf, struct cache_key *out);

/* fetch_kept.c */
/* Room for the body of w's request, which is about to join; true also when it has none. */
bool kept_begin(struct waiter *w);
/* A piece of it; false: more than was said. */
bool kept_take(struct waiter *w, struct span bytes, bool end);
/* What came of it so far goes to the origin; the rest will come as any upload does. Takes k over.
 */
void kept_push(struct fetch *f, struct kept_body *k);
/* Takes it off w. */
struct kept_body *kept_detach(struct waiter *w);
/* w leaves. If the request that goes to the origin will not be whole by that, those that wait for
 * its answer go on without it. */
void kept_upload_lost(struct waiter *w);

/* fetch_stream.c */
extern const struct exchange_ops fetch_exchange_ops;
void fetch_flow(struct fetch *f);
/* Copies bytes, less than a block, into blocks of f's own; false when there is none for them. */
bool fetch_gather(struct fetch *f, struct span bytes);
/* No more goes into the block that takes short runs. */
void fetch_gather_close(struct fetch *f);
/* Blocks and chunks are no longer kept for tickets that come late. */
void fetch_retain_end(struct fetch *f);
/* The rest of the body does not come. */
void fetch_broken_off(struct fetch *f);
void fetch_trim(struct fetch *f);
void fetch_stream_free(struct fetch *f);
bool fetch_over_threshold(const struct fetch *f);
/* Refers to bytes of the block; takes a reference of its own. False: no memory. */
bool fetch_chunk_add(struct fetch *f, uint32_t block, uint32_t off, uint32_t len);
static inline struct chunk *fetch_chunk(const struct fetch *f, uint32_t index)
{
	return &f->chunks[index % f->chunk_cap];
}

/* fetch_head.c */
void fetch_head(struct fetch *f, const struct exchange_head *h);
/* Does w ask for the variant that is f's key, by the list that the store has? */
bool fetch_same_variant(struct fetch *f, const struct waiter *w);
/* What response.h asks for. */
void fetch_response_in(const struct fetch *f, const struct exchange_head *h,
                       struct response_in *out);

/* fetch_validate.c */
/* The origin's answer says of the entry what is to be done; true: the answer was used up. */
bool fetch_head_validates(struct fetch *f, const struct exchange_head *h);
/* What an answer to HEAD says of the stored answer to GET (RFC 9111 4.3.5). */
void fetch_head_compare(struct fetch *f, const struct exchange_head *h);
/* The origin failed: who may have the stale entry gets it. True: nobody is left. */
bool fetch_stale_answers(struct fetch *f, uint16_t code);
/* The store has e anew: copies of before go from the cores' tables. */
void fetch_refreshed(struct fetch *f, const struct store_entry *e);

/* fetch_store.c */
/* w gets the entry (its hold is taken over). */
void fetch_answer(struct waiter *w, const struct plan_choice *plan, struct store_entry *e,
                  uint8_t tier, uint16_t code);
/* All tickets of f get the entry (its hold is taken over). */
void fetch_answer_all(struct fetch *f, struct store_entry *e, uint8_t tier, uint16_t code);
/* The answer out of the store begins anew, since its coding was of no use; no byte was sent. */
void fetch_source_restart(struct fetch *f);
/* f waits for blocks, or does not any more. */
void fetch_dry_add(struct fetch *f);
void fetch_dry_remove(struct fetch *f);
/* An object without body for store and hot tables goes behind f's head, where it lies then. NULL:
 * len is 0, or no room. */
struct object *fetch_put_set(struct fetch *f, const void *object, size_t len);
void fetch_fill_begin(struct fetch *f, const struct object *head);
void fetch_fill_append(struct fetch *f, struct span bytes);
void fetch_fill_abort(struct fetch *f);
void fetch_fill_commit(struct fetch *f);
/* e with an ETag made of its body, where kind and e want one (RFC 9110 8.8.3); e's hold goes over.
 */
struct store_entry *fetch_tagged(struct fetch *f, struct store_entry *e, uint8_t kind);

/* fetch_write.c */
/* The answer's content is what GET would get of some target: its head, for the store; NULL: it is
 * not, or may not be stored. Before the purges of the answer; f->req's route wants it. */
struct object *fetch_write_head(struct fetch *f, const struct exchange_head *h);
/* After them: the body goes into the store too. head is taken over; NULL is fine. */
void fetch_write_begin(struct fetch *f, struct object *head);
/* The fill is whole. */
void fetch_write_commit(struct fetch *f);
void fetch_writes_create(struct fetcher *fr);
void fetch_writes_destroy(struct fetcher *fr);

/* fetch_l3.c */
/* Asks the shared store for f's key. False: it is not asked. */
bool fetch_l3_ask(struct fetch *f);
void fetch_l3_cancel(struct fetch *f);
void fetch_l3_put(struct fetch *f, const struct store_entry *e);
/* asked_ms: as in struct l3_item. */
void fetch_l3_give(struct fetcher *fr, const struct store_entry *e, uint64_t asked_ms);

/* fetch_code.c */
/* The body goes through f->coding, and into the store under head when store is set; head_held: at
 * most FETCH_HOLD_BYTES come, the head waits. False: as many are at work as may be, or no memory;
 * nothing is changed. */
struct fetch_coding {
	const struct object *head;
	bool store;
	bool held;
};
bool fetch_code_begin(struct fetch *f, const struct fetch_coding *how);
void fetch_code_free(struct fetch *f);
/* The origin's bytes, the end of a receive, and of the body. False: it cannot go on. */
bool fetch_code_body(struct fetch *f, struct span bytes);
void fetch_code_more(struct fetch *f);
void fetch_code_end(struct fetch *f);
/* Goes on with what waits for blocks, and out of f's entry. True: there was something to do. */
bool fetch_code_run(struct fetch *f);
/* Is there something that waits for blocks? */
bool fetch_code_waits(const struct fetch *f);

/* fetch_coded.c */
/* May the answer h of f's request be coded for clients? Counts why not. */
bool fetch_may_code(const struct fetch *f, const struct response_in *in);
/* The head for f's entry in f's coding under that coding's key, in buf; 0: the entry is sent as it
 * is. Begins the coding where there is something to code. */
uint32_t fetch_coded_head(struct fetch *f, bool head_only, void *buf, uint32_t cap);
/* A coded form of e's answer that is as old as it, held, or NULL. */
struct store_entry *fetch_coded_find(struct fetcher *fr, const struct store_entry *e,
                                     enum coding c);
/* What was coded was not smaller: the answer under f's base goes out as it is from now on. */
void fetch_coded_plain(struct fetch *f);
/* A 304 made fresh of e: so its coded forms are as well. */
void fetch_coded_freshen(struct fetcher *fr, const struct object *e,
                         const struct store_entry *fresh);
/* The answer under that base key is another one, or gone: its coded forms go from all tiers, but
 * for one that is just being made. */
void fetch_coded_void(struct fetcher *fr, struct span base, enum coding but);
/* Copies of coded forms in the cores that are older than seq are void. */
void fetch_coded_replace(struct fetch *f, struct span base, uint64_t seq);

/* fetch_purge.c */
void fetch_purge_key(struct fetcher *f, struct span key);
/* RFC 9111 4.4, RFC 9875 3: an unsafe request makes void what is stored of its target, of those
 * that the answer names, and of groups that it names. */
void fetch_invalidate(struct fetch *f, const struct exchange_head *h);

/* fetch_purge_method.c: w's request is PURGE. */
void fetch_purge_method(struct waiter *w);

/* fetch_warm.c; of a fetch that nobody warms they do nothing. */
void fetch_warm_end(struct fetch *f);
/* The origin's head came, and what may be stored of it has a fill. */
void fetch_warm_head(struct fetch *f, const struct exchange_head *h,
                     const struct response_out *out);
/* The store has the answer; takes note of how to ask for it, whoever did. */
void fetch_warm_kept(struct fetch *f, struct store_entry *e, enum warm_result result);
/* A client was answered with e, which is fresh. */
void fetch_warm_asked(struct fetcher *fr, struct store_entry *e);

/* fetch_send.c */
void waiter_pump(struct waiter *w);
bool waiter_pending(struct link_pending *p);
void fetch_pump(struct fetch *f);
/* An interim answer, for the one whose request the origin got (RFC 9110 15.2). */
void fetch_interim(struct fetch *f, const struct http_response_head *h);

/* plan.c */
/* What the route of r says of compression; false: nothing, or its configuration is gone. */
bool plan_codes(const struct fetcher *f, const struct chan_request *cr, struct response_codes *out);
/* False: no such configuration, route or upstream. */
bool plan_choose(struct fetcher *f, const struct chan_request *cr, struct plan_choice *out);
/* The snapshot of a configuration that is still kept, or NULL. */
const struct snapshot *plan_snapshot(const struct fetcher *f, uint64_t id);
void plans_destroy(struct fetcher *f);

static inline struct chan_server *fetch_chan(const struct fetch *f)
{
	return f->f->ctl->chan;
}

static inline struct down_slab *fetch_down(const struct fetch *f)
{
	return link_down(fetch_chan(f));
}

/* The longest head that a core takes. */
static inline uint32_t fetch_head_cap(const struct fetch *f)
{
	return min_u32(fetch_down(f)->slab.block_bytes, FETCH_HEAD_MAX);
}

#endif
