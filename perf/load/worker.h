/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a worker thread owns, shared by the engine's files: conn.c (connections and the requests
 * under way on them), users.c (closed stages), open.c (open stages), worker.c (the loop). Nobody
 * else includes it.
 *
 *   transport > conn_data > answer > users_next | open_next > conn_send > transport
 *   worker_round > users_adjust | open_run > conn_send
 */
#ifndef PERF_LOAD_WORKER_H
#define PERF_LOAD_WORKER_H

#include "lib/timerwheel.h"
#include "perf/load/engine.h"
#include "perf/load/http_client.h"
#include "perf/load/schedule.h"

enum {
	WORKER_MEMOS = 8,               /* heads remembered, by endpoint */
	WORKER_CONNECTING = 256,        /* handshakes at a time when many connections begin */
	WORKER_WARMUP = SCENARIO_STAGES /* the stage number of what is not counted */
};

#define WORKER_TICK_NS (100 * NS_PER_US)

/* A request under way. */
struct pending {
	uint64_t intended_ns; /* latency counts from here */
	uint64_t sent_ns;     /* service time from here */
	uint16_t endpoint;
	uint8_t method; /* enum http_method */
	uint8_t stage;
};

enum conn_state {
	CONN_CLOSED,
	CONN_CONNECTING,
	CONN_OPEN,
	CONN_WAITING /* to try again */
};

/* A connection and who uses it: in a closed stage user number `index`, in an open one the pool. */
struct conn {
	struct worker *w;
	struct link *link;
	struct pending *ring; /* w->depth of them */
	uint32_t head;
	uint32_t count;    /* under way */
	uint32_t index;    /* in w->conns */
	uint32_t failures; /* in a row, without an answer between */
	uint64_t sent;     /* requests on this connection */
	uint64_t begun_ns; /* the connecting */
	uint8_t state;
	bool last;         /* its last request is sent */
	bool blocked;      /* the transport has no room */
	bool active;       /* closed: a user who makes requests */
	bool queued;       /* open: in the list of those that can take a request */
	struct conn *next; /* of that list, or of w->unused */
	struct timer deadline;
	struct timer wake; /* think time, or the back-off */
	struct http_client http;
};

/* How far a stage had come when its time was over. */
struct stage_end {
	uint64_t end_ns; /* 0: it was not */
	uint64_t answered;
	uint64_t owed; /* open: starts that were due and not sent */
};

struct worker {
	struct engine *engine;
	const struct scenario *scenario;
	const struct transport_ops *ops;
	struct transport *transport;
	struct request_maker *maker;
	struct result *result;     /* stages and endpoints; the total is summed up by who reads */
	struct load_part *discard; /* for the warm-up */
	struct load_part *parts[SCENARIO_STAGES + 1];
	uint64_t now_ns;

	/* The stage. */
	const struct load_stage *stage;
	uint32_t stage_index; /* WORKER_WARMUP before the first */
	struct load_stage warmup;
	uint64_t stage_start_ns;
	uint64_t stage_end_ns;
	struct stage_end ends[SCENARIO_STAGES];
	bool open;      /* the stage's mode */
	bool draining;  /* no new requests */
	bool two_times; /* latency and service time differ somewhere in the scenario */
	bool interrupted;
	uint64_t drain_end_ns;
	uint64_t published_ns;

	/* Connections. */
	struct conn *conns;
	struct pending *pendings;
	uint32_t conn_count;
	uint32_t prepared; /* connections begun before the clock */
	uint64_t prepare_end_ns;
	uint32_t connecting;
	uint32_t open_count;
	uint64_t under_way; /* requests */
	uint32_t depth;     /* of a connection */
	struct timerwheel deadlines;
	struct timerwheel wakes;
	struct http_memo memos[WORKER_MEMOS];
	char *scratch; /* a request with Connection: close */
	size_t scratch_size;

	/* Closed. */
	uint32_t users;
	bool steady; /* their number stays as it is until the stage ends */

	/* Open. */
	struct schedule schedule;
	struct schedule late; /* what the stage before left, for a while */
	uint32_t late_stage;
	uint64_t late_end_ns;
	struct conn *ready; /* can take a request: fixed pools in turn, others the last used first;
	                       of users, those that the transport did not take */
	struct conn **ready_end;
	struct conn *unused; /* closed ones of a pool that grows on need */
	bool grows;          /* connections are made on need, not kept */
	uint64_t no_connect_until_ns;

	uint32_t index;
	uint32_t workers;
	bool reset;
	uint64_t no_room;
	struct transport_stats stats; /* as of the last look */
	uint64_t busy_before_ns;      /* until the first counted stage began */
	uint64_t counted_from_ns;
};

/* --- worker.c --- */
enum status worker_open(struct worker *w, const struct engine_config *cfg, char err[TRANSPORT_ERR]);
/* A round before the clock starts, to make the connections that the first stage begins with; true
 * when they are there, or failed, or have taken too long. */
bool worker_prepare(struct worker *w);
/* One round; false when the scenario is over and everything has been answered or given up. */
bool worker_round(struct worker *w);
/* start_ns: of the warm-up or the first stage. */
void worker_start(struct worker *w, uint64_t start_ns);
/* Ends the stage now, for Ctrl-C. */
void worker_stop(struct worker *w);
/* Ends the transport, on the thread that opened it. */
void worker_hang_up(struct worker *w);
void worker_close(struct worker *w);

/* --- conn.c --- */
extern const struct transport_sink conn_sink;
/* False: no room for it now (or it waits to try again); else it is connecting. */
bool conn_connect(struct conn *c);
/* Makes and sends a request, to be counted in that stage; false when the transport has no room
 * (c->blocked). */
bool conn_send(struct conn *c, uint64_t intended_ns, uint32_t stage);
/* Ends an open connection in order. Nothing may be under way that is not to be given up. */
void conn_shut(struct conn *c);
/* Gives a connection up: its requests are errors of that kind. */
void conn_fail(struct conn *c, enum load_error e);
/* A wait before the next try, longer with each failure. */
void conn_back_off(struct conn *c);
void conn_deadline_passed(struct conn *c);
/* Takes what is under way out of the figures. */
void conn_forget(struct conn *c);
void worker_error(struct worker *w, enum load_error e, uint64_t n);
/* The transport has room for what does not follow an answer. */
static inline bool worker_takes(const struct worker *w)
{
	return w->ops->takes == NULL || w->ops->takes(w->transport);
}
static inline bool conn_can_take(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->blocked && !c->last && c->count < c->w->depth;
}

/* --- users.c --- */
void users_begin(struct worker *w);
/* As many users as the level wants, and those go on that found the transport full. Returns when to
 * look again. */
uint64_t users_run(struct worker *w);
void users_end(struct worker *w);
/* c has a free place: after an answer, once connected, or when there is room. */
void users_next(struct conn *c, bool answered);
/* c's connection is gone. */
void users_down(struct conn *c);
void users_wake(struct conn *c);

/* --- open.c --- */
void open_begin(struct worker *w);
/* Sends what is due. Returns when the next is, UINT64_MAX when it waits for connections. */
uint64_t open_run(struct worker *w);
void open_end(struct worker *w);
/* Starts of the last stage wait for a connection; worker gives up on them with open_abandon. */
bool open_owes(const struct worker *w);
void open_abandon(struct worker *w);
void open_next(struct conn *c);
/* A connection could not be made: the oldest start that is due fails with it. */
void open_connect_failed(struct worker *w);
void open_down(struct conn *c);
void open_wake(struct conn *c);

#endif
