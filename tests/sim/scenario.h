/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A scenario: everything that a run of the simulator is told besides its seed, and the text it is
 * written in ("key: value" lines, docs/SIMULATOR.md). Called by the program and by the levels;
 * knows nothing of either. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include <stdio.h>

#include "lib/base.h"

#define SCENARIO_NAME   48u
#define SCENARIO_FAULTS 16u
#define SCENARIO_ERROR  512u

enum sim_level { LEVEL_TCP, LEVEL_WEB };

/* One direction of the link. Shares are in a million. */
struct link_conf {
	uint64_t delay_ns;
	uint64_t jitter_ns; /* more or less even, keeps the order */
	uint64_t rate_bps;  /* 0: without limit */
	uint32_t queue_bytes;
	uint32_t red;  /* dropped early at the most (RED), when the queue is full on average */
	uint32_t mark; /* not used by dropping: ECN-capable packets are marked from there on */
	uint32_t loss;
	uint32_t burst_enter; /* Gilbert-Elliott: to the bad state, for each packet */
	uint32_t burst_leave; /* and back */
	uint32_t burst_loss;  /* in the bad state */
	uint32_t reorder;
	uint64_t reorder_ns; /* how late, at most; 0: four times the delay */
	uint32_t duplicate;
	uint32_t corrupt;     /* one bit of the IP packet */
	uint32_t corrupt_eth; /* one bit of the Ethernet header */
	uint32_t mtu;         /* IP bytes */
	bool icmp;            /* says so when a packet is too big */
};

/* What a peer does that it should not, or may but rarely does; bits. */
#define SIM_LIES(X)                                                 \
	X(shrink, "takes back window that it offered")              \
	X(beyond, "sends data outside of the window")               \
	X(overlap, "sends the same numbers again with other bytes") \
	X(rst, "resets at any moment, with any number")             \
	X(fin, "FIN at any moment, and more data behind it")        \
	X(forge, "acknowledges what was never sent")                \
	X(optimist, "acknowledges what it has not received")        \
	X(sack, "SACK blocks of nothing it has, or of too much")    \
	X(stamp, "timestamps that jump")                            \
	X(zero, "keeps its window closed for minutes")              \
	X(deaf, "never reads")                                      \
	X(stay, "never closes")                                     \
	X(vanish, "is gone in the middle")                          \
	X(syn, "SYN in the middle of a connection")                 \
	X(flags, "flags, options and urgent pointers of no sense")  \
	X(icmp, "forged ICMP errors")                               \
	X(dupack, "the same ACK over and over")

enum sim_lie {
#define X(name, text) LIE_NUM_##name,
	SIM_LIES(X)
#undef X
	        LIE_COUNT
};

#define LIE(name) (1u << LIE_NUM_##name)

#define SIM_FAULTS(X)                                                       \
	X(partition, "nothing passes either way")                           \
	X(up_dead, "nothing reaches the server")                            \
	X(down_dead, "nothing comes from the server")                       \
	X(link_down, "the server's port neither sends nor receives")        \
	X(nic_refuses, "the server's port takes no packet to send")         \
	X(no_packets, "the server has no packet buffer left")               \
	X(no_conns, "the server's connection table is full")                \
	X(no_rx_bufs, "the server has no receive buffer left")              \
	X(no_tx_chunks, "the server has no send chunk left")                \
	X(no_tx_refs, "the server has no send descriptor left")             \
	X(clock_jump, "the clock jumps forward by the length of the fault") \
	X(small_mtu, "the link takes packets of at most fault.mtu bytes")   \
	X(control_dead, "control is away (web)")

enum fault_kind {
#define X(name, text) FAULT_##name,
	SIM_FAULTS(X)
#undef X
	        FAULT_KINDS
};

struct scenario_fault {
	enum fault_kind kind;
	uint64_t at_ns;
	uint64_t for_ns;
	uint64_t every_ns; /* 0: once */
};

struct scenario {
	char name[SCENARIO_NAME];
	char off[128]; /* not run with all, and why */
	uint64_t seed; /* kept failures: the seed it fails with; 0: none */
	uint32_t level;
	uint32_t conns;   /* how many in all */
	uint32_t at_once; /* how many at a time */
	uint32_t v6;      /* share that is IPv6 */
	struct link_conf up;
	struct link_conf down;
	/* tcp: who connects, and what for */
	uint32_t peers;    /* share of the independent TCP; the rest is our own as a client */
	uint32_t liars;    /* share of those that misbehave */
	uint32_t lies;     /* what they do, enum sim_lie bits */
	uint32_t quirks;   /* share of the peers with lawful oddities */
	uint32_t up_bytes; /* most that a connection sends */
	uint32_t down_bytes;
	uint32_t echo;    /* share whose bytes the server sends back */
	uint32_t aborted; /* share that either side resets in the middle */
	uint32_t slow;    /* share that reads slowly */
	uint32_t flood;   /* SYNs a second from addresses that do not answer */
	bool ecn;         /* our own clients ask for it */
	/* web: requests, and what control does; shares of requests */
	uint32_t fail;
	uint32_t broken;
	uint32_t silent;
	uint32_t early;
	uint64_t away_ns;
	uint64_t purge_ns;
	bool cache; /* variants, ranges, stale answers, lower tiers */
	uint32_t client_abort;
	uint32_t client_half;
	uint32_t client_slow;
	uint32_t pipelined;
	bool scarce;
	/* the server */
	uint32_t max_conns;
	uint32_t syn_backlog;
	uint32_t rx_bufs;
	uint32_t rx_buf_bytes;
	uint32_t rx_window;
	uint32_t tx_chunks;
	uint32_t tx_refs;
	uint32_t packets;
	uint64_t idle_ns; /* gives a silent connection up */
	bool offload;
	uint32_t large_buffers;
	/* faults */
	uint32_t fault_count;
	struct scenario_fault faults[SCENARIO_FAULTS];
	uint64_t faults_end_ns; /* none begins later, and the link is sound; 0: no end */
	uint32_t fault_mtu;
	uint64_t recovery_ns; /* after the last fault, progress within this */
	uint64_t stuck_ns;    /* an honest connection makes progress within this at all times */
};

void scenario_default(struct scenario *sc);
/* Reads text; false with "FILE:LINE: why" in error. Keys that are not there keep their values. */
bool scenario_parse(struct scenario *sc, const char *text, const char *file,
                    char error[SCENARIO_ERROR]);
/* From a file, or by name from the folder dir. The name is that of the file without its end. */
bool scenario_load(struct scenario *sc, const char *file, const char *dir,
                   char error[SCENARIO_ERROR]);
/* Writes what differs from the default, so that scenario_parse reads it again. */
void scenario_print(const struct scenario *sc, FILE *to);
/* All keys with their units, defaults and meaning. */
void scenario_help(FILE *to);
/* Random values of everything that a link and its ends may do. */
void scenario_random(struct scenario *sc, uint64_t seed);

/* For shrinking: sets the i-th value back to its default; false when i is the end of the list.
 * *changed: it was not the default before. */
bool scenario_reset_value(struct scenario *sc, uint32_t i, bool *changed);

const char *fault_name(enum fault_kind kind);
const char *lie_name(enum sim_lie lie);

#endif
