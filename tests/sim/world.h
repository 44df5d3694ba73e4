/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tcp level of the simulator: the product's net and tcp on a NIC in memory as the server, with
 * an owner that echoes, sends or swallows; clients of our own TCP on a second NIC and of the tests'
 * own (peer.h) at a third address; one cable between (cable.h); one thread, one clock, one seed.
 *
 * world.c runs it, world_end.c owns connections of our stack, world_slot.c opens clients and judges
 * them, check.c looks into the server after each step, observer.h at the wire, fault.c takes things
 * away, breaks.c plants bugs that the checks must find. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "dataplane/tcp/conn.h"
#include "tests/sim/cable.h"
#include "tests/sim/fault.h"
#include "tests/sim/nic_sim.h"
#include "tests/sim/observer.h"
#include "tests/sim/peer.h"
#include "tests/sim/run.h"

#define WORLD_PORT 80u
#define END_QUEUE  131072u /* an owner writes no further ahead than this */

struct world;

/* An owner of a connection of our stack, at either side. */
struct end {
	struct world *world;
	struct host *host;
	struct end *next_free;
	struct conn *conn; /* NULL: gone */
	struct plan plan;
	struct slot *slot; /* NULL: the slot went on without it */
	bool server;
	bool open;
	bool eof;
	bool shut;
	bool closing; /* tcp_close or tcp_abort was called */
	bool aborted; /* by us */
	bool failed;  /* ended before all was done, not by us */
	uint32_t tx_done;
	uint32_t rx_done;
	uint32_t last_ack; /* of the checker */
	uint32_t last_una;
	bool checked;
	uint64_t stall_ns; /* does not read until then */
	uint64_t moved;    /* end_progress when it was looked at last */
	uint64_t idle_ns;  /* gives up then if nothing moves */
	struct rng rng;
};

struct host {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	uint32_t packets;
	uint64_t lent;
	uint64_t returned;
	uint64_t due_ns; /* of its timers */
	bool busy;       /* frames wait */
};

/* A client and its connection. */
struct slot {
	bool live;
	bool touched; /* on the world's list of connections to check */
	uint32_t index;
	struct plan plan;
	struct peer peer;
	struct end *client; /* of our stack, NULL: a peer */
	struct end *server; /* NULL: none yet, or gone */
	bool served;        /* there was one */
	bool server_done;   /* all came, and the end was orderly */
	struct watch watch;
	uint64_t moved;    /* how far it is, when it was looked at last */
	uint64_t moved_ns; /* when that changed last */
};

struct world {
	struct run *run; /* what was asked for, and what came of it */
	const struct scenario *sc;
	uint64_t now_ns;
	uint64_t start_ns;
	struct cable *cable;
	struct host server;
	struct host client;
	struct peer_host peers;
	struct slot *slots;
	struct end *free_ends;
	uint32_t slot_count;
	uint32_t live;
	uint32_t opened;
	uint32_t next_port;
	uint16_t *slot_of; /* by client kind and port, index + 1 */
	struct slot **touched;
	uint32_t touched_count;
	struct rng rng;
	uint64_t check_ns; /* everything is looked at then */
	uint32_t check_steps;
	struct rng flood_rng;
	uint64_t flood_ns;    /* the next SYN of the flood */
	uint64_t progress_ns; /* and whether it gets on */
	uint64_t corrupted_in;
	uint64_t caught_in;
	struct faults faults;
	bool lossy; /* something was taken from the server: handshakes may be refused */
	/* breaks.c */
	uint64_t break_count;
};

bool world_run(struct run *run);

/* world_end.c */
struct end *end_new(struct world *w, struct host *host, const struct plan *plan);
void end_free(struct world *w, struct end *e);
/* Runs the owners of all connections with news. */
void ends_ready(struct world *w, struct host *host);
void end_timer(void *arg, struct conn *conn, uint64_t now_ns);
uint64_t end_progress(const struct end *e);

/* world_slot.c */
void slots_open(struct world *w);
void slot_ended(struct world *w, struct slot *s);
void slots_destroy(struct world *w);
/* The slot of this client port, NULL: none now. */
struct slot *slot_find(struct world *w, bool peer, uint16_t port);
void slot_touch(struct world *w, struct slot *s);
void slots_progress(struct world *w);
/* A peer's connection is closed. */
void slot_peer_news(struct world *w, struct slot *s);

/* check.c: each fails the run when something is wrong. */
void check_touched(struct world *w);
void check_all(struct world *w);
void check_quiet(struct world *w);
/* Nothing is left of any connection. */
bool check_is_quiet(const struct world *w);

/* trace.c */
void trace_segment(const struct world *w, const struct view *v, const char *what);

/* breaks.c */
/* A frame of the server on its way to the cable; may change it, or return false to drop it. */
bool break_frame(struct world *w, uint8_t *frame, uint32_t *len);
/* One that is about to arrive at a client. */
void break_arrival(struct world *w, const struct view *v);
void break_step(struct world *w);

#endif
