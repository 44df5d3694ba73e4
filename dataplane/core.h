/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Everything that one poll core owns. First argument everywhere above TCP; no thread-local, no
 * array indexed by core at file scope. */
#ifndef DATAPLANE_CORE_H
#define DATAPLANE_CORE_H

#include "cache/hot_share.h"
#include "dataplane/http/http_parse.h"
#include "dataplane/net/net.h"
#include "dataplane/nic.h"
#include "dataplane/stages.h"
#include "dataplane/tcp/tcp.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "lib/counters.h"
#include "lib/pool.h"
#include "lib/snapshot.h"

struct req;

/* Where the core listens. */
struct core_listener {
	struct ip_addr addr;
	uint16_t port;
};

/* Fills out[0, len) with bytes that nobody can guess. */
typedef void (*core_random_fn)(void *arg, void *out, size_t len);

/* What core_create needs. The memory behind the pointers outlives the core. */
struct core_config {
	uint32_t index; /* 0 to cores - 1: the channel's region and the NIC's queue */
	uint32_t cpu;
	struct nic *nic;
	const struct config *config;
	const struct core_listener *listeners;
	uint32_t listener_count;
	struct core_stats *stats;
	struct chan_port port; /* the core's end */
	unsigned char *up_base;
	uint32_t up_block_bytes;
	uint32_t up_blocks;
	uint32_t down_block_bytes;
	uint32_t down_blocks;
	const struct snapshot *snapshot;
	uint64_t hash_seed;            /* of cache keys, the same for all cores */
	struct hot_share *share;       /* tables of all cores, to be joined; NULL: there is one */
	struct net_shared *net_shared; /* of the port's cores, NULL: there is one */
	uint32_t queue;                /* of the port: the core's place among these */
	uint32_t queues;               /* 0: one */
	uint64_t now_ns;
	uint64_t wall_ns;
	/* Where the keys of TCP come from; NULL: the kernel's generator. A simulation gives its
	 * own, so that a run can be repeated. */
	core_random_fn random;
	void *random_arg;
	const uint8_t *fast_open_seed; /* TCP_SEED_BYTES, the same for all cores; NULL: not */
};

/* Written by the housekeeping thread, read by the core, and the other way round; each field has one
 * writer. */
struct core_control {
	const struct snapshot *next_snapshot; /* main: the snapshot to use */
	const struct snapshot *used_snapshot; /* core: the one in use; main frees others */
	uint32_t attach_epoch; /* main: epoch of the control plane that is attached, 0: none */
	uint32_t drain_ms;     /* main: above 0, drain within that time and stay drained */
	uint32_t drained;      /* core: draining, and no connection is left */
	uint32_t stop;         /* main */
} ALIGNED(CACHE_LINE);

/* One outstanding miss; its index is the slot in tickets. */
struct miss {
	struct req *req; /* NULL: the slot is free */
	uint64_t seq;
	uint32_t up_held;  /* up blocks with body bytes that control has not given back */
	uint32_t head_len; /* bytes in the head block, for a replay */
	uint32_t next_free;
};

/* Who has a block of the up slab. */
enum up_state {
	UP_FREE,
	UP_SENT,      /* control reads it; free when it comes back */
	UP_HEAD_SENT, /* a request's head: control reads it, and the request keeps it for a replay
	               */
	UP_HEAD_KEPT  /* a request's head: only the request keeps it */
};

struct up_block {
	uint64_t seq;  /* of the miss that sent it, so that the credit returns to the right one */
	uint32_t slot; /* its slot */
	uint32_t state;
};

/* Keys that control was asked to fetch anew, a few in each set; when a set is full, others wait. */
#define CORE_REFRESHES    512u
#define CORE_REFRESH_WAYS 4u

struct refresh {
	uint64_t key_lo;   /* of the hash */
	uint64_t until_ns; /* not again before */
};

/* The channel as one core uses it. */
struct core_chan {
	struct chan_port port;
	uint32_t epoch; /* attach epoch in use, 0: control is away */
	bool syncing;   /* SYNC and HELD are not all sent yet */
	bool sync_sent;
	uint32_t sync_block; /* next block of the down slab to report */
	uint32_t sync_refs;  /* references of it that are reported already */
	uint64_t away_since_ns;
	struct chan_slab up;
	struct up_block *up_blocks;
	struct miss *misses;
	uint32_t miss_count;
	uint32_t miss_free; /* first free slot, or miss_count */
	uint32_t miss_live;
	uint64_t miss_seq;
	uint32_t *down_refs; /* for each down block: how often TCP still sends from it */
	uint32_t down_blocks;
	uint32_t *release_due; /* for each down block: releases to be sent */
	uint32_t *release;     /* blocks with some due, also those that found the ring full */
	uint32_t release_count;
	struct chan_msg counting[8]; /* purges that are answered when all is counted */
	struct req *park_head;       /* requests that wait for room or for control, oldest first */
	struct req *park_tail;
	struct refresh refreshes[CORE_REFRESHES];
};

/* What is known of a request between its two steps: req_begin parses the heads of a burst and has
 * the memory of their objects on its way, req_resume answers them. */
struct turn {
	struct conn *conn;
	struct route_match match; /* of the request; valid with req->route */
	struct cache_key key;
	struct http_request http;
	char key_text[CACHE_KEY_MAX];
};

#define CORE_TURNS      NIC_BURST
#define CORE_OUT_BYTES  32768u
#define CORE_NAME_BYTES 160u

struct core {
	uint64_t now_ns; /* set by core_tick only */
	uint64_t wall_ms;
	struct counters *ctr;
	const struct snapshot *snap;
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct hot_view *view;  /* what the cores have in their hot tables */
	struct hot_table *hot;  /* the own one */
	struct hot_table *l0;   /* copies of what others have; NULL: none */
	struct hot_found found; /* where the object lies that the request which runs now got */
	struct hot_share *joined;
	struct hot_share *share; /* NULL: not this core's to destroy */
	struct core_stats *stats;
	struct core_control *shared;
	struct pool reqs; /* struct req */
	struct core_chan chan;
	uint64_t hash_seed;
	struct pkt rx[NIC_BURST];
	uint32_t rx_count; /* segments in rx that TCP has not seen yet */
	uint32_t did;      /* work of this round */
	uint32_t hits;     /* requests answered here and now, in this round */
	bool draining;
	struct stage_clock stages; /* for reports alone */
	uint64_t date_s;           /* the second that date holds */
	char date[HTTP_DATE_LEN + 3];
	uint32_t cache_name_len; /* "Cache-Status: " and this node's name: reply_prepare */
	char cache_name[CORE_NAME_BYTES];

	uint32_t *check_in; /* for each rule that is a pattern: its hits until the next check */
	uint64_t check_random;

	uint64_t boundaries; /* of multipart answers so far */

	/* Scratch of the request that runs now */
	struct turn *turn;         /* one of turns */
	struct http_request *http; /* &turn->http */
	struct turn *turns;        /* CORE_TURNS */
	char *out;                 /* CORE_OUT_BYTES, for heads that do not fit a chunk */
	char *key_buf;             /* CACHE_KEY_MAX */
	char *pattern_buf;         /* likewise */
	unsigned char *head_copy;  /* CORE_OUT_BYTES / 2: a head of control, before it is checked */
	struct object kept;        /* what a look-up found, while others follow it (pattern.c) */

	/* Housekeeping */
	uint64_t next_housekeep_ns;
	uint64_t tx_took_ns; /* when the port last took a packet, or none waited */
	bool tx_stuck;       /* it has taken none for long */
	uint64_t next_reseed_ns;
	core_random_fn random;
	void *random_arg;
	uint64_t announce_at_ns;
	uint64_t conflicts_told; /* addresses that the log was told about */
	uint32_t queue;          /* of the port */
	uint32_t announces_left;
	uint64_t drain_deadline_ns;
	uint32_t shed_cursor;
	uint32_t drain_cursor;
	uint32_t drain_seen; /* connections in this walk that are not in TIME-WAIT */
	bool drain_told;     /* a whole walk has closed the idle ones */
	uint64_t started_ns;
	uint32_t index;
	uint32_t cpu;
	const struct core_listener *listeners;
	uint32_t listener_count;
	struct shm mem; /* everything above that the core owns lies in it */
};

/* Takes all the memory the core will ever use. Runs before the core's thread starts. */
enum status core_create(struct core **out, const struct core_config *cfg,
                        struct core_control *shared);
void core_destroy(struct core *core);
/* One round at the given time; the simulator calls it with its own clock. Returns how much it did.
 */
uint32_t core_round(struct core *core, uint64_t now_ns, uint64_t wall_ns);
/* Rounds until shared->stop, with real clocks. */
void core_run(struct core *core);

#endif
