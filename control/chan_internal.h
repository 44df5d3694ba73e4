/* SPDX-License-Identifier: BSD-2-Clause
 *
 * State shared by chan_server.c (life of an attachment), chan_rx.c (messages from cores),
 * chan_link.c (messages to cores, blocks) and chan_query.c (questions of the admin side). For these
 * files only. */
#ifndef CONTROL_CHAN_INTERNAL_H
#define CONTROL_CHAN_INTERNAL_H

#include "control/chan_link.h"
#include "control/chan_server.h"
#include "lib/chan_attach.h"

#include <pthread.h>

#define RX_BURST       64u
#define RECV_BUFS_MAX  256u
#define QUERIES_MAX    64u
#define QUERY_WAIT_NS  (2 * NS_PER_S)
#define COUNT_WAIT_NS  (10 * NS_PER_S) /* a purge that is answered when all is counted */
#define PURGE_LOG      512u
#define SNAP_WAIT_NS   (5 * NS_PER_S)
#define PUSH_AGAIN_NS  NS_PER_S
#define BACKOFF_MIN_NS (10 * NS_PER_MS)
#define BACKOFF_MAX_NS (500 * NS_PER_MS)

enum link_state {
	LINK_OFF,   /* no dataplane; a timer tries again */
	LINK_HELLO, /* connected, HELLO has not come */
	LINK_SYNC,  /* mapped; some core has not told yet what it holds */
	LINK_SERVING,
	LINK_LEAVING, /* waits for the kernel to let go of the slabs */
};

/* One core's end. */
struct core_link {
	struct chan_port port;
	bool synced;       /* SYNC of this epoch came */
	bool held_done;    /* and the last HELD */
	uint8_t *up_held;  /* a block of the core's slab: 1 while it is ours */
	uint32_t *release; /* ring of up blocks to give back; at most all of them */
	uint32_t release_first;
	uint32_t release_count;
	struct chan_msg *queue; /* ring of QUERY, DRAIN; bounded by QUERIES_MAX */
	uint32_t queue_first;
	uint32_t queue_count;
	uint64_t purge_pos;   /* in the log of purges: the next one to send */
	uint64_t replace_pos; /* likewise in that of copies that were replaced */
	uint64_t purge_floor; /* no purge has a lower number for this core */
	bool purge_all;       /* it missed some that are not in the log any more */
	struct link_pending *pending;
	struct link_pending **pending_end;
};
#define LINK_QUEUE (QUERIES_MAX * 2)

/* A question to one core, or a purge to all. */
struct query {
	struct chan_server *s;
	bool used;
	bool purge;
	uint16_t slot;
	uint64_t seq;
	uint64_t waiting; /* bit a core */
	uint64_t n;       /* purge: entries hit so far */
	chan_result_fn cb;
	void *arg;
	struct loop_timer timer;
};

/* Purges by order; entry i of those that ever were lies at i % PURGE_LOG. */
struct purge_log {
	struct purge_entry *entries;
	uint64_t count;
	uint64_t seq;      /* number of the last one */
	uint64_t lost_seq; /* highest number that was overwritten */
	uint32_t block;    /* takes texts; CHAN_NO_BLOCK: none */
	uint32_t block_used;
};

struct chan_server {
	struct control *ctl;
	struct loop *loop;
	enum link_state state;
	bool stopping;
	bool said_away;
	bool quiet; /* LEAVING: the kernel let go of the slabs */
	char *path;
	uint64_t backoff_ns;
	struct loop_timer timer; /* OFF: next try; SERVING: a full ring is looked at again */
	int sock;
	struct loop_op sock_op;
	int wait_fd;
	struct loop_op wait_op;
	int ring_fds[CHAN_MAX_CORES];
	chan_attached_fn attached;
	void *attached_arg;
	pthread_mutex_t map_lock; /* guards ch against chan_server_stats of other threads */
	bool mapped;
	struct chan ch;
	uint32_t epoch;
	uint64_t generation;
	uint32_t dataplane_pid;
	struct core_link *links;
	uint32_t cores;
	struct down_slab down;
	struct loop_bufs *bufs;
	uint32_t bufs_want;
	uint32_t receiving; /* receives of responses under way */
	uint32_t reserve;   /* blocks kept back from the group, for response heads */
	bool told_short;    /* what the cores were told of the down slab */
	uint32_t buf_blocks[RECV_BUFS_MAX];
	uint16_t buf_free[RECV_BUFS_MAX];
	uint32_t buf_free_count;
	struct query queries[QUERIES_MAX];
	uint64_t query_seq;
	struct purge_log purges;
	struct purge_log
	        replaces; /* no purges: keys that have a new copy. Its numbers are theirs */
	uint64_t snap_id; /* waits for the dataplane's answer; 0: none */
	control_done_fn snap_done;
	void *snap_arg;
	struct loop_timer snap_timer;
	uint32_t pushed_epoch; /* attachment that got ctl's configuration unasked */
	uint64_t pushed_ns;    /* and when */
	struct chan_server_counts counts;
};

/* chan_server.c: gives the attachment up, and tries again later. */
void link_leave(struct chan_server *s, const char *why);
/* chan_server.c: every core has told what it holds. */
void link_serving(struct chan_server *s);
/* chan_rx.c: takes what came; returns how many messages. */
uint32_t link_rx(struct chan_server *s);
/* chan_link.c: sends what waits. */
void link_flush(struct chan_server *s);
bool link_has_waiting(const struct chan_server *s);
/* Lends m's block to the core. False: too many wait already, and the message is dropped. */
bool link_queue(struct chan_server *s, uint32_t core, const struct chan_msg *m);
/* link_send, but does not wait for purges that were ordered before. */
bool link_push(struct chan_server *s, uint32_t core, const struct chan_msg *m);
enum status links_create(struct chan_server *s);
void links_destroy(struct chan_server *s);
/* chan_purge.c */
enum status purges_create(struct chan_server *s);
void purges_destroy(struct chan_server *s);
/* Sends what the core has not got; false when some is left. */
bool purges_flush(struct chan_server *s, uint32_t core);
/* The block with texts takes no more. */
void purges_round_end(struct chan_server *s);
bool purges_wait(const struct chan_server *s, uint32_t core);
/* Before blocks that came back are given to answers: these wait behind the purges and would hold
 * the blocks that the purges wait for. */
void purges_first(struct chan_server *s);
/* The core has seen purges up to this number, and stored answers born up to that one. */
void purges_sync(struct chan_server *s, uint32_t core, uint64_t seen, uint64_t born);
/* chan_query.c */
/* NULL: too many are under way. */
struct query *query_new(struct chan_server *s, chan_result_fn cb, void *arg, uint64_t wait_ns);
void query_result(struct chan_server *s, const struct chan_msg *m, const void *bytes);
void queries_fail(struct chan_server *s, enum status st);
void snap_answer(struct chan_server *s, const struct attach_msg *m);
void snap_fail(struct chan_server *s, enum status st, const char *text);

#endif
