/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Everything that one poll core owns. First argument everywhere above TCP; no thread-local, no array
 * indexed by core at file scope. */
#ifndef DATAPLANE_CORE_H
#define DATAPLANE_CORE_H

#include "cache/hot_table.h"
#include "dataplane/net/net.h"
#include "dataplane/nic.h"
#include "dataplane/tcp/tcp.h"
#include "lib/channel.h"
#include "lib/config.h"
#include "lib/counters.h"
#include "lib/pool.h"
#include "lib/snapshot.h"

struct req;

/* What core_create needs. The memory behind the pointers outlives the core. */
struct core_config {
	uint32_t index;             /* 0 to cores - 1: the channel's region and the NIC's queue */
	uint32_t cpu;
	struct nic *nic;
	const struct config *config;
	const struct ip_addr *addrs;/* of the listeners */
	uint32_t addr_count;
	struct core_stats *stats;
	struct chan_port port;      /* the core's end */
	unsigned char *up_base;
	uint32_t up_block_bytes;
	uint32_t up_blocks;
	uint32_t down_block_bytes;
	uint32_t down_blocks;
	const struct snapshot *snapshot;
	uint64_t now_ns;
	uint64_t wall_ns;
};

/* Written by the housekeeping thread, read by the core, and the other way round; each field has one
 * writer. */
struct core_control {
	const struct snapshot *next_snapshot; /* main: the snapshot to use */
	const struct snapshot *used_snapshot; /* core: the one in use; main frees others */
	uint32_t attach_epoch;   /* main: epoch of the control plane that is attached, 0: none */
	uint32_t stop;           /* main */
	uint32_t stopped;        /* core */
} ALIGNED(CACHE_LINE);

/* An outstanding miss: a slot names it in tickets. */
struct miss {
	struct req *req;   /* NULL: the slot is free, or the client has gone */
	uint64_t seq;
	uint32_t up_held;  /* up blocks that control has not given back */
	uint32_t next_free;
	bool live;
};

struct core {
	uint64_t now_ns;       /* set by core_tick only */
	uint64_t wall_ms;
	struct counters *ctr;
	const struct snapshot *snap;
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct hot_table *hot;
	struct core_stats *stats;
	struct core_control *shared;

	struct pool reqs;              /* struct req */
	struct shm reqs_mem;

	/* Channel */
	struct chan_port port;
	struct chan_slab up;
	struct miss *misses;
	uint32_t miss_count;
	uint32_t miss_free;            /* head of the free slots */
	uint32_t miss_live;
	uint64_t miss_seq;
	uint32_t epoch;                /* attach epoch in use, 0: control is away */
	uint64_t away_since_ns;        /* when control went */
	uint32_t *down_refs;           /* blocks of the down slab that this core sends from */
	uint32_t down_blocks;
	uint32_t down_block_bytes;
	uint32_t release[CHAN_RELEASE_MAX];
	uint32_t release_count;
	uint32_t *release_backlog;     /* releases that found the ring full */
	uint32_t release_backlog_count;
	struct req *room_head;         /* requests that wait for room in the channel, oldest first */
	struct req *room_tail;
	uint16_t *up_owner;            /* miss slot of each up block, so that its credit returns */

	/* Dates, made once a second */
	uint64_t date_s;
	char date[32];

	/* Loop */
	uint32_t did;                  /* work of this round */
	uint32_t idle_rounds;
	uint64_t round_start_cycles;
	uint64_t announce_at_ns;
	uint32_t announces_left;
	bool draining;
	uint64_t drain_deadline_ns;
	uint32_t index;
	uint32_t cpu;
	uint64_t started_ns;
	bool wants_sleep;
};

/* Takes all the memory the core will ever use. Runs before the core's thread starts. */
enum status core_create(struct core **out, const struct core_config *cfg,
			struct core_control *shared);
void core_destroy(struct core *core);
/* One round at the given time; the simulator calls it with its own clock. Returns how much it did. */
uint32_t core_round(struct core *core, uint64_t now_ns, uint64_t wall_ns);
/* Rounds until shared->stop, with real clocks. */
void core_run(struct core *core);

#endif
