/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What fetch.h and the upstream connections use of the channel while it is attached: blocks of both
 * slabs, messages to a core, the provided receive buffers. Opening, closing and checking belong to
 * chan_server. Loop's thread only. */
#ifndef CONTROL_CHAN_LINK_H
#define CONTROL_CHAN_LINK_H

#include "cache/inval.h"
#include "control/chan_server.h"
#include "control/down_slab.h"

/* Group of provided buffers whose memory is the down slab. */
#define LINK_RECV_GROUP 0u

/* The last number that was given. */
uint64_t link_purge_seq(const struct chan_server *s);
/* born_seq of what a request that leaves now brings: no purge that was ordered has a higher one,
 * and it is not below the wall clock (microseconds), unless that went back. */
uint64_t link_purge_now(struct chan_server *s);
/* A number of its own for a request that refreshes something stored: its answer is younger than
 * what is stored now (chan_server_replace). */
uint64_t link_purge_next(struct chan_server *s);
/* Seed of the key hashes in the cores' tables. */
uint64_t link_hash_seed(const struct chan_server *s);
struct down_slab *link_down(struct chan_server *s);
/* Blocks that bodies may still take: free ones, without those kept back for response heads. */
uint32_t link_usable(const struct chan_server *s);
/* Another receive is under way that will take a block, or no longer. */
void link_receiving(struct chan_server *s, bool before, bool now);
/* Blocks that a stream may pin when it wants up to want: all of them while half of the slab would
 * be left beside a spare eighth if every receive under way took one, then a part in proportion to
 * what is left, at least one. */
uint32_t link_threshold(const struct chan_server *s, uint32_t want);
/* The block behind a provided buffer that a receive used; its reference is the caller's. */
uint32_t link_recv_block(struct chan_server *s, uint32_t buf_id);
/* Puts free blocks into the group; true when it holds some. */
bool link_top_up(struct chan_server *s);

/* False when the ring is full; wait for room with link_wait then. */
bool link_send(struct chan_server *s, uint32_t core, const struct chan_msg *m);
/* Gives an up block back to its core; never fails. CHAN_NO_BLOCK: nothing to do. */
void link_release(struct chan_server *s, uint32_t core, uint32_t block);

/* Embedded in who waits for room in a core's ring; pump is called in order of arrival, and returns
 * false when it has to wait on. */
struct link_pending {
	struct link_pending *next;
	struct link_pending **prev_next; /* NULL when it does not wait */
	bool (*pump)(struct link_pending *p);
};
void link_wait(struct chan_server *s, uint32_t core, struct link_pending *p);
void link_unwait(struct chan_server *s, uint32_t core, struct link_pending *p);

#endif
