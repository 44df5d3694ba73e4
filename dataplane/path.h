/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The way of a packet and of a request, in the order in which they take it. Whoever opens this file
 * sees the route; each function's file holds the details.
 *
 * Hit:       nic_rx_burst > net_input > tcp_input > http_read > req_route > req_lookup > req_reply >
 *            tcp_ready_done > net_flush > nic_tx_burst
 * Miss out:  req_lookup > miss_submit > chan_push || control
 * Miss back: control || chan_recv > miss_input > (hot_fill) > req_reply > tcp_ready_done > net_flush */
#ifndef DATAPLANE_PATH_H
#define DATAPLANE_PATH_H

#include "dataplane/core.h"
#include "dataplane/req/req.h"

/* core.c: one round of the loop */
void core_tick(struct core *core, uint64_t now_ns, uint64_t wall_ns); /* the only clock read */
void core_rx(struct core *core);          /* NIC > TCP > HTTP > reply */
void core_completions(struct core *core); /* control > miss_input */
void core_timers(struct core *core);
void core_tx(struct core *core);
void core_housekeep(struct core *core);   /* snapshot, attach, counters, announcements, drain */

/* req/: the steps of a request */
void req_run(struct core *core, struct conn *conn, uint32_t events);
enum req_next http_read(struct core *core, struct req *req);   /* head complete and sound? */
enum req_next req_route(struct core *core, struct req *req);   /* host, path, method */
enum req_next req_lookup(struct core *core, struct req *req);  /* hot table, conditions */
enum req_next miss_submit(struct core *core, struct req *req); /* to control */
enum req_next miss_upload(struct core *core, struct req *req); /* request body to control */
enum req_next req_reply(struct core *core, struct req *req);   /* what is known goes to TCP */

/* req/miss.c: what control says */
void miss_input(struct core *core, const struct chan_msg *m);
void miss_timers(struct core *core);
void miss_attach(struct core *core, uint32_t epoch); /* a control plane came, or (0) went */
void miss_cancel(struct core *core, struct req *req);
void miss_release(struct core *core, uint32_t down_block);
void miss_flush(struct core *core); /* publish messages, ring */

#endif
