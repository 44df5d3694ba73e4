/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two things to test the stack with. The rig: two hosts, each the real net and tcp over a simulated
 * NIC, joined by a pipe that delays, drops, repeats, reorders and corrupts as a seed says, each
 * connection with an application that writes and checks a pattern. The wire: one host, and segments
 * made and read by hand. */
#ifndef TESTS_UNIT_TCP_TCP_RIG_H
#define TESTS_UNIT_TCP_TCP_RIG_H

#include "dataplane/net/net.h"
#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp.h"
#include "tests/sim/nic_sim.h"

enum {
	RIG_FRAMES = 4096, /* in the pipe */
	RIG_FRAME_BYTES = 1600,
	RIG_APPS = 64,
	RIG_PORT = 80,
};

struct rig;

/* One end of a connection, as an application would be. */
struct app {
	struct rig *rig;
	struct conn *conn; /* NULL: gone */
	uint32_t host;
	uint64_t tx_total; /* bytes to send, then FIN */
	uint64_t tx_done;
	uint64_t rx_done;
	uint32_t tx_seed; /* of the pattern */
	uint32_t rx_seed;
	uint32_t read_max;     /* bytes consumed at a time, 0: no limit */
	uint32_t tx_queue_max; /* bytes queued at a time, 0: 150,000 */
	uint32_t stall;        /* reads nothing in so many calls */
	bool use_refs;
	bool keep_open; /* no FIN after tx_total */
	bool used;
	bool opened;
	bool eof;
	bool closed;
	bool shut;
	bool timer_fired;
	bool close_after; /* tcp_close instead of tcp_shutdown */
};

struct host {
	struct rig *rig;
	uint32_t index;
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	struct ip_addr addr;
	uint64_t lent;
	uint64_t released;
	/* of connections that come in */
	struct app model;
};

struct frame {
	uint64_t due_ns;
	uint32_t len;
	uint32_t to;
	uint8_t *data; /* RIG_FRAME_BYTES */
};

struct rig_config {
	uint64_t seed;
	uint64_t start_ns; /* 0: one second */
	uint64_t delay_ns; /* one way; 0: 1 ms */
	uint32_t loss_pm;  /* of a thousand frames */
	uint32_t dup_pm;
	uint32_t reorder_pm;
	uint32_t corrupt_pm;
	uint32_t buffers; /* packet buffers of a host, 0: 4096 */
	uint16_t mtu;     /* 0: 1500 */
	bool v6;
	bool offload;
	struct tcp_config tcp[2]; /* all zero: the defaults, smaller */
};

/* A frame on its way into the pipe. */
struct rig_passing {
	uint8_t *data;
	uint32_t len;
	uint64_t due_ns;
};

struct rig {
	struct rig_config cfg;
	uint64_t now_ns;
	uint64_t rng;
	struct host host[2]; /* 0 listens */
	struct app apps[RIG_APPS];
	struct frame *frames; /* [0, frame_count) are on their way */
	uint32_t frame_count;
	uint8_t *frame_bytes;
	uint64_t frames_sent;
	uint64_t mismatches;
	/* Called for each frame; false drops it. */
	bool (*filter)(struct rig *rig, uint32_t from, const uint8_t *data, uint32_t len);
	uint32_t filter_state;
	/* Called for each frame that is let through: may change it, set when it arrives, or drop it
	 * with false. */
	bool (*link)(struct rig *rig, uint32_t from, struct rig_passing *frame);
	void *link_arg;
};

/* SLUICE_TEST_LARGE_BUFFERS of the environment, 0 without: above 0 the ports of rig and wire cut
 * segments, out of so many large buffers each. What a peer sees is the same. */
uint32_t rig_large_buffers(void);
void tcp_config_small(struct tcp_config *cfg);
uint32_t rig_random(struct rig *rig, uint32_t below);
uint8_t rig_pattern(uint32_t seed, uint64_t at);
/* A pattern to send; rig_text_fill is a group's setup. */
extern uint8_t rig_text[1 << 18];
int rig_text_fill(void **state);

void rig_open(struct rig *rig, const struct rig_config *cfg);
/* Ends everything, waits out TIME-WAIT and fails when anything is still held. */
void rig_close(struct rig *rig);
/* Frees without looking. */
void rig_free(struct rig *rig);
struct app *rig_connect(struct rig *rig, uint32_t from, uint16_t port, const struct app *model);
/* The application at the other end, NULL when there is none yet. */
struct app *rig_peer(struct rig *rig, const struct app *app);
/* Until done says so; false when that takes longer than limit_ms of simulated time. */
bool rig_run(struct rig *rig, bool (*done)(struct rig *rig, void *arg), void *arg,
             uint64_t limit_ms);
void rig_run_for(struct rig *rig, uint64_t ms);
/* Lets an application act, as if woken. */
void rig_wake(struct app *app);

/* A segment by hand; sequence numbers are absolute. */
struct wire_seg {
	uint32_t seq;
	uint32_t ack;
	uint32_t wnd;
	uint16_t sport;
	uint16_t dport;
	uint8_t flags;
	uint8_t ecn; /* of the IP header */
	uint8_t opts[40];
	uint32_t opts_len;
	const void *data;
	uint32_t len;
	/* read: as parsed */
	struct seg parsed;
	uint8_t payload[RIG_FRAME_BYTES];
};

struct wire {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	struct ip_addr local;
	struct ip_addr remote;
	uint64_t now_ns;
	bool v6;
	/* the one connection that its owner has seen last, and what it was told */
	struct conn *conn;
	uint32_t events;
	uint32_t closed;
	uint32_t opened;
	uint64_t lent;
	uint64_t released;
	uint8_t rx[1 << 20];
	uint32_t rx_len;
	bool no_read;
	bool no_let_go;
	/* What the hand-made peer uses. */
	uint32_t seq;
	uint32_t ack;
	uint16_t port;
	uint32_t peer_isn;
	uint8_t peer_mac_end; /* last byte of the peer's MAC address; 0: 9 */
	uint16_t vlan;        /* of its frames, 0: untagged */
};

void wire_open(struct wire *w, const struct tcp_config *cfg, bool v6);
/* With 16 places, each of which may be of a handshake. */
void wire_open_small_table(struct wire *w, bool v6);
/* Fails when something is held that should not be. */
void wire_close(struct wire *w);
void wire_send(struct wire *w, const struct wire_seg *s);
/* Injects all of them in one burst. */
void wire_burst(struct wire *w, const struct wire_seg *s, uint32_t n);
/* The next segment that the stack sent; false when there is none. */
bool wire_take(struct wire *w, struct wire_seg *out);
/* Takes the next one, which has these. */
void wire_expect(struct wire *w, uint8_t flags, uint32_t seq, uint32_t ack);
/* Drops what was sent; returns how many segments. */
uint32_t wire_drain(struct wire *w);
void wire_run(struct wire *w);
void wire_advance(struct wire *w, uint64_t ms);
/* A handshake by hand: opts are the SYN's. Returns with w->conn, w->seq and w->ack set. */
void wire_handshake(struct wire *w, const uint8_t *opts, uint32_t opts_len, uint32_t isn);
/* Shorthands that use w->seq and w->ack. */
void wire_data(struct wire *w, uint32_t seq, const void *data, uint32_t len);
void wire_flags(struct wire *w, uint8_t flags, uint32_t seq, uint32_t ack);
void wire_ack(struct wire *w, uint32_t ack, uint32_t wnd);
uint64_t wire_count(const struct wire *w, enum counter_id id);
/* Sends n pattern bytes from the stack's side and lets it work. */
void wire_write(struct wire *w, const void *data, uint32_t len);

#endif
