/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control's end of the channel: attaches to the dataplane (and again when it was restarted), takes
 * messages from each core's ring, gives blocks of the down slab out and back. Requests go up to
 * fetch.h. All calls on the loop's thread, except chan_server_stats. */
#ifndef CONTROL_CHAN_SERVER_H
#define CONTROL_CHAN_SERVER_H

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
/* Purges a key, or a pattern with '*', on every core; n is how many entries went. */
void chan_server_purge(struct chan_server *s, struct span text, bool pattern, chan_result_fn cb,
                       void *arg);
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
	uint64_t bogus_releases;     /* of a block that was not lent */
	uint64_t invalidations_lost; /* a core's queue was full: it may answer from what is void */
	uint32_t recv_buffers;       /* blocks that wait in the kernel for bytes, now */
};
void chan_server_counts(const struct chan_server *s, struct chan_server_counts *out);

#endif
