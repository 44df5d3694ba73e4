/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that the cores could not answer, on their way to an origin and back. A fetch is one
 * origin request; several tickets may wait for it when they ask for the same key (coalescing, RFC
 * 9111 4). Called by chan_rx.c with messages that it has checked against the rings and slabs; what
 * lies inside the blocks is checked here. Loop's thread only. */
#ifndef CONTROL_FETCH_H
#define CONTROL_FETCH_H

#include "cache/store.h"
#include "control/control.h"
#include "lib/channel.h"

enum status fetcher_create(struct control *ctl, struct fetcher **out);
/* Only when detached. */
void fetcher_destroy(struct fetcher *f);

/* The channel is open: tickets of s's cores may come. */
enum status fetcher_attached(struct fetcher *f);
/* Every ticket is void; origin requests are broken off. */
void fetcher_detached(struct fetcher *f);

/* Copies what it needs of the block. False: malformed (and the ticket is answered with 502). */
bool fetcher_request(struct fetcher *f, const struct chan_msg *m, const void *bytes);
/* False: there is no such ticket (any more). */
bool fetcher_cancel(struct fetcher *f, const struct chan_msg *m);
enum fetcher_took {
	FETCHER_TOOK, /* the block is given back with link_release once it was sent */
	FETCHER_DONE, /* taken note of; the block is not needed */
	FETCHER_LATE, /* no such ticket */
	FETCHER_BAD,  /* the ticket expects no body, or not that much */
};
enum fetcher_took fetcher_body(struct fetcher *f, const struct chan_msg *m, const void *bytes);

/* A purge was ordered, under its number: the store takes it down, and later requests may not join
 * fetches of before that it hits. Returns how many entries of the store went at once (a key's). The
 * cores are told by the caller. */
uint32_t fetcher_purge(struct fetcher *f, const struct inval_purge *p);

/* Warming (control/warm.h): an answer that no client asked for yet. */
enum warm_result {
#define WARM_RESULT(id, group, help) WARM_##id,
#include "control/warm.def"
#undef WARM_RESULT
	WARM_RESULTS
};
enum warm_source { WARM_LIST = 1, WARM_SAVED, WARM_PEER, WARM_SOURCES };

struct request;
struct fetch;

struct fetch_warm {
	void (*done)(struct fetch_warm *w); /* called once, maybe before fetcher_warm returns */
	uint8_t source;                     /* enum warm_source */
	enum warm_result result;
	uint16_t status;     /* what the origin answered; 0: nothing */
	uint64_t bytes;      /* of bodies that came, from the origin or the shared store */
	struct fetch *fetch; /* the fetcher's; NULL: none is under way */
};
/* Has r's answer fetched into the node's store, unless it is there. r (request_read) is taken over.
 * Clients that want the same meanwhile join as always. */
void fetcher_warm(struct fetcher *f, struct request *r, struct fetch_warm *w);
/* Is r's origin at ease, so that one more request that nobody waits for does no harm: none waits
 * for a connection, at most half of them are busy, and blocks are plenty? */
bool fetcher_warm_may(struct fetcher *f, const struct request *r);
/* done is not called any more; what is under way goes on. */
void fetcher_warm_forget(struct fetch_warm *w);

/* The node's store, for reports; NULL: none (memory.store_bytes 0). */
struct store *fetcher_store(struct fetcher *f);
/* Once a round: goes on with what waited for blocks; how much that was. */
uint32_t fetcher_poll(struct fetcher *f);

/* Configurations by snapshot id. Requests name the one that their core used. add lets requests use
 * ctl's next one; commit makes it the present one and keeps the one before; drop takes an added one
 * back. The snapshot and the configuration are copied as far as needed. */
enum status fetcher_plan_add(struct fetcher *f, const struct snapshot *snap,
                             const struct config *cfg);
void fetcher_plan_commit(struct fetcher *f);
void fetcher_plan_drop(struct fetcher *f);

/* Tickets in progress. */
uint32_t fetcher_active(const struct fetcher *f);
/* While control stops: has a request come that waits for the next control plane? */
bool fetcher_left_over(const struct fetcher *f);

struct fetcher_counts {
	uint64_t requests;
	uint64_t purge_requests; /* by the method PURGE */
	uint64_t purge_refused;  /* from an address that may not */
	uint64_t origin;         /* requests sent to an origin */
	uint64_t joined;         /* answered by another request's fetch */
	uint64_t restarted;      /* joined first, but the response was not for sharing */
	uint64_t cancelled;
	uint64_t failed;  /* answered with CHAN_FAIL */
	uint64_t aborted; /* broke off in the body */
	uint64_t malformed;
	uint64_t plan_unknown; /* named a configuration that is neither the present nor the last */
	uint64_t no_block;     /* 503: no down block for a response head */
	uint64_t paused;       /* times that a stream waited for its clients */
	uint64_t store_hits;   /* answered by the node's store as it was */
	uint64_t store_stale;  /* of these, stale ones that could be used */
	uint64_t store_waited; /* answers out of the store that had to wait for a block */
	uint64_t l3_hits;      /* answered by the shared store */
	uint64_t l3_misses;
	uint64_t validations;     /* origin requests with the validators of a stored answer */
	uint64_t validated;       /* that the origin answered with 304 */
	uint64_t validations_bad; /* 304 that fits no stored answer: asked again */
	uint64_t head_freshened;  /* stored answers that an answer to HEAD freshened */
	uint64_t stale_errors;    /* answered with a stale answer because the origin failed */
	uint64_t refresh_asked;   /* by cores that gave a stale answer */
	uint64_t refreshes;       /* background requests to an origin */
	uint64_t refresh_joined;  /* that another request for the key made needless */
	uint64_t refresh_failed;
	uint64_t coded_br; /* answers compressed for clients */
	uint64_t coded_zstd;
	uint64_t coded_gzip;
	uint64_t coded_in_bytes;  /* of bodies, before */
	uint64_t coded_out_bytes; /* and after */
	uint64_t coded_hits;      /* requests answered with a coded form out of the store */
	uint64_t coded_parked;    /* that waited for the end of another coding's fetch */
	uint64_t coded_failed;    /* broken off for want of memory */
	uint64_t plain_type;      /* not compressed: the media type is not listed */
	uint64_t plain_small;
	uint64_t plain_large;
	uint64_t plain_coded;     /* has a coding already */
	uint64_t plain_forbidden; /* no-transform */
	uint64_t plain_status;
	uint64_t plain_busy;     /* limits.coders */
	uint64_t plain_useless;  /* was not smaller */
	uint64_t finished_alone; /* fetched to their end for the store although the clients left */
	uint64_t passes;         /* remarks that a key's answers are not for sharing */
	uint64_t lists;          /* lists of variants, and of what answers depend on, made anew */
	uint64_t invalidations;  /* keys made void by unsafe requests (RFC 9111 4.4) */
	uint64_t warm_used[WARM_SOURCES]; /* warmed, and asked for by a client while fresh */
	/* Write-through (fetch_write.c): answers to unsafe requests as those that GET would get */
	uint64_t writes;            /* stored in the node's store */
	uint64_t writes_unfit;      /* such an answer may not be stored */
	uint64_t writes_overlapped; /* something else changed its key meanwhile */
	uint64_t writes_shared;     /* given to the shared store later */
	uint64_t writes_unshared;   /* not given: gone by then, or too many waited */
	uint64_t interims;          /* 1xx answers passed on */
	uint64_t interims_dropped;
};
void fetcher_counts(const struct fetcher *f, struct fetcher_counts *out);

#endif
