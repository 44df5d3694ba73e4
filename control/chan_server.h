/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control's end of the channel: attaches to the dataplane (and again when it was restarted), takes
 * messages from each core's ring, gives blocks of the down slab out and back. Requests go up to
 * fetch.h. All calls on the loop's thread, except chan_server_stats. */
#ifndef CONTROL_CHAN_SERVER_H
#define CONTROL_CHAN_SERVER_H

#include "cache/inval.h"
#include "control/control.h"
#include "lib/channel.h"

enum status chan_server_start(struct control *ctl, struct chan_server **out);
void chan_server_stop(struct chan_server *s);

/* fn is called each time that a dataplane was attached. One watcher; fn NULL: none. */
typedef void (*chan_attached_fn)(void *arg);
void chan_server_watch(struct chan_server *s, chan_attached_fn fn, void *arg);

bool chan_server_attached(const struct chan_server *s);
/* 0 when not attached. */
uint32_t chan_server_cores(const struct chan_server *s);
uint64_t chan_server_generation(const struct chan_server *s);
uint32_t chan_server_dataplane_pid(const struct chan_server *s);
uint32_t chan_server_down_blocks_free(const struct chan_server *s);
/* Copies a core's counters and histograms; false when not attached. May be called from any thread.
 */
bool chan_server_stats(struct chan_server *s, uint32_t core, struct core_stats *out);

/* Asks one core; cb is called once with the record bytes (n: as CHAN_RESULT's), or with ST_CLOSED,
 * ST_TIMEOUT (2 s). key: for CHAN_QUERY_CACHE_GET, else empty. */
typedef void (*chan_result_fn)(void *arg, enum status st, const void *bytes, size_t len,
                               uint64_t n);
void chan_server_query(struct chan_server *s, uint32_t core, enum chan_query kind, uint64_t cursor,
                       uint32_t max, struct span key, chan_result_fn cb, void *arg);

/* Purges. Their numbers are one order for the node, and go on where the process before this one
 * ended. */
struct purge_order {
	enum inval_kind kind;
	bool soft;
	bool count;       /* the answer comes when all that it hits was counted (10 s), and says how
	                     many; else at once, and counts only what a key hit */
	bool foreign;     /* not told to other nodes: it came from one, or is of this one alone */
	struct span text; /* at most INVAL_TEXT_MAX */
	/* It was ordered long ago, and answers that left for the origin (or the shared store) from
	 * this wall time on are younger: they stay. 0: it is ordered now */
	uint64_t before_us;
};
/* From here on nothing is served that was born before and matches: neither from control (fetches,
 * store) nor, when cb is called with ST_OK, from any core. Other outcomes: ST_CLOSED, no dataplane
 * is attached; ST_TIMEOUT, a core did not answer; ST_FULL, too many questions are under way. The
 * purge stands all the same, and cores get it as soon as they can, before anything else. cb may be
 * NULL. Returns the number. */
uint64_t chan_server_purge(struct chan_server *s, const struct purge_order *o, chan_result_fn cb,
                           void *arg);
/* Purges of other nodes are carried out from now on. Called by chan_server_start too, for a ctl->l3
 * that is there before it. */
void chan_server_watch_purges(struct chan_server *s);
/* Cores drop copies of exactly this key that were born before born_seq, so that they ask for the
 * new one. Not a purge: nobody waits, and a core that is away does not hear of it. */
void chan_server_replace(struct chan_server *s, struct span key, uint64_t born_seq);
/* deadline_ms 0 ends a drain. */
void chan_server_drain(struct chan_server *s, uint32_t deadline_ms);
/* Sends a snapshot; done when every core uses it, or refused, or not attached (ST_CLOSED). */
void chan_server_snapshot(struct chan_server *s, const struct snapshot *snap, control_done_fn done,
                          void *arg);

/* Asks the dataplane to take the configuration in force, at most once a second: a core named
 * another. */
void chan_server_push_config(struct chan_server *s);

struct chan_server_counts {
	uint64_t attaches;
	uint64_t received; /* messages */
	uint64_t sent;
	uint64_t malformed; /* refused: a field that no core writes */
	uint64_t late;      /* of an earlier epoch, or of a ticket that has ended */
	uint64_t doorbells;
	uint64_t bogus_releases; /* of a block that was not lent */
	uint64_t purges;
	uint64_t purges_overrun; /* a core missed more than are kept: it voided all that it held */
	uint64_t replaces_lost;  /* copies that were replaced, and a core was not told */
	uint32_t recv_buffers;   /* blocks that wait in the kernel for bytes, now */
};
void chan_server_counts(const struct chan_server *s, struct chan_server_counts *out);

#endif
