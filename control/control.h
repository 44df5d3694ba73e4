/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What control's modules know of each other: one struct control a process, made in main.c, given to
 * each module at its start. All of it belongs to the loop's thread; only chan_server_stats may be
 * read from others (the metrics thread). */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "lib/base.h"
#include "lib/config.h"
#include "lib/counters.h"
#include "lib/loop.h"
#include "lib/snapshot.h"
#include "lib/span.h"

struct chan_server; /* control/chan_server.h: the channel's end, attach and re-attach */
struct fetcher;     /* control/fetch.h: requests in progress, coalescing */
struct upstreams;   /* control/upstream/upstream.h: pools of connections */
struct l3;          /* cache/l3.h: the store that nodes share */
struct warm;        /* control/warm.h: answers fetched ahead of clients */
struct clock_watch; /* control/clock_watch.h */
struct admin;       /* control/admin/admin_server.h */
struct metrics;     /* control/metrics/prometheus.h */

struct control {
	struct loop *loop;
	const char *config_path;
	struct config *config;     /* in force */
	struct config *first;      /* with which the process began: what a restart changes */
	struct snapshot *snapshot; /* built from it */
	struct chan_server *chan;
	struct fetcher *fetcher;
	struct upstreams *upstreams;
	struct l3 *l3;             /* NULL: none */
	struct warm *warm;         /* NULL: not started yet, or in tests */
	struct clock_watch *clock; /* NULL: none */
	struct admin *admin;
	struct metrics *metrics;
	uint64_t started_ns;
	bool draining;  /* stops once what is in progress has ended; new requests wait for the next
	                   one */
	bool reloading; /* control_reload waits for the cores */
};

/* Reads the file again, builds the snapshot, has every core take it, then swaps upstreams and
 * config. done is called once, later or at once; text is "" on success, else the complete error.
 * What cannot change live (ports, cores, listeners, memory) and differs is named in text as a
 * warning with ST_OK: "restart needed for: ...". */
typedef void (*control_done_fn)(void *arg, enum status st, const char *text);
void control_reload(struct control *ctl, control_done_fn done, void *arg);

#endif
