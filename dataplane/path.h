/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The way of a packet and of a request, in the order in which they take it. Whoever opens this file
 * sees the route; each function's file holds the details.
 *
 * Hit:       nic_rx_burst > net_input > tcp_input > http_read > req_route > req_prepare |
 *            req_lookup > reply_object > tcp_ready_done > net_flush > nic_tx_burst; what stands in
 *            front of the bar is done for a whole burst first
 * Miss out:  req_lookup > miss_submit (> miss_upload) > chan_flush || control
 * Miss back: control || chan_recv > miss_input > reply_head, reply_body (and hot_fill) >
 *            tcp_ready_done > net_flush > nic_tx_burst */
#ifndef DATAPLANE_PATH_H
#define DATAPLANE_PATH_H

#include "dataplane/core.h"
#include "dataplane/req/req.h"

/* core.c: the rounds of the loop */
void core_tick(struct core *core, uint64_t now_ns, uint64_t wall_ns);
void core_rx(struct core *core);          /* NIC > TCP > HTTP > reply */
void core_ready(struct core *core);       /* runs the requests of connections that have news */
void core_completions(struct core *core); /* control > miss_input */
void core_timers(struct core *core);
void core_tx(struct core *core);
void core_housekeep(struct core *core); /* housekeep.c: snapshot, attach, drain, gauges */
void core_drain(struct core *core, uint32_t within_ms); /* 0 ends a drain */

/* req/req.c: runs the stages of connections that have news, a burst of them, until each request
 * waits or its connection has no more. Returns how many had. */
uint32_t req_burst(struct core *core);
/* Its two steps: false when the first was all; else req_resume must follow. */
bool req_begin(struct core *core, struct turn *turn, uint32_t events);
void req_resume(struct core *core, struct turn *turn);

/* req/route.c */
enum req_next http_read(struct core *core, struct req *req); /* is the head complete and sound? */
enum req_next req_route(struct core *core, struct req *req); /* host, path, method */
/* req/lookup.c */
enum req_next req_prepare(struct core *core, struct req *req); /* policy, cache key */
enum req_next req_lookup(struct core *core, struct req *req);  /* hot table, conditions */
/* req/miss.c, miss_upload.c: out to control */
enum req_next miss_submit(struct core *core, struct req *req);
enum req_next miss_upload(struct core *core, struct req *req);
bool miss_has_room(struct core *core);
/* Names the request in its head block (len bytes) to control, under a new sequence number. */
void miss_send(struct core *core, struct req *req, uint32_t len, bool has_body);
/* Asks to fetch anew what the request's key answers, with nobody waiting; false without room.
 * flags: CHAN_REQ_REFRESH, and what else it is. */
bool miss_refresh(struct core *core, struct req *req, uint16_t flags);
void miss_cancel(struct core *core, struct req *req);
void miss_end(struct core *core, struct req *req); /* frees the slot; control has ended it too */
/* req/miss_answer.c: what control says */
void miss_input(struct core *core, const struct chan_msg *m);
/* req/variant.c: what control puts into the hot table; m's block is the caller's to release */
void put_input(struct core *core, const struct chan_msg *m);
/* req/miss_stale.c: answers from the hot table what control cannot, if a stale answer is there and
 * allowed; false: it is not. cancel: control still has the request. */
bool miss_stale(struct core *core, struct req *req, bool cancel);
/* req/miss_park.c: requests that wait for room or for control */
void miss_park(struct core *core, struct req *req);
void miss_unpark(struct core *core, struct req *req);
void miss_wake_parked(struct core *core);
/* req/miss_attach.c: control comes and goes */
void miss_attach(struct core *core, uint32_t epoch);
void miss_detach(struct core *core);
void miss_sync(struct core *core);
void miss_away(struct core *core); /* the grace has run out */
/* req/miss_block.c: blocks of both slabs */
void miss_release_down(struct core *core, uint32_t block);
void miss_release_none(struct core_chan *ch);
void miss_released_up(struct core *core, const struct chan_msg *m);
uint32_t miss_flush(struct core *core); /* releases, publishes, rings; messages */
/* req/query.c: questions of the operator */
void query_input(struct core *core, const struct chan_msg *m);
void query_sweep(struct core *core);     /* a bounded piece of what purges leave to do */
void query_leftovers(struct core *core); /* purges of a control that is gone */

#endif
