/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A whole core on the in-memory rig (tests/sim/rig.h) and clients that are a few hand-made segments
 * each, as Linux sends them: timestamps, an ACK of two segments, the last ACK on the next request.
 * Used by the benchmarks that count what the core alone costs: what the clients do in between is
 * left out of the figures by path_round and by perf/instructions. */
#ifndef PERF_PEERS_H
#define PERF_PEERS_H

#include "dataplane/path.h"
#include "tests/sim/rig.h"

#define PEERS          128u
#define PEERS_STEP_NS  (20 * NS_PER_US) /* simulated time of a round */
#define PEERS_PORT_LOW 1024u

struct peer {
	uint16_t port;
	uint32_t seq; /* next byte to send */
	uint32_t ack; /* next byte expected */
	uint32_t ts_echo;
	uint32_t answers;
	uint32_t unacked; /* segments since the last ACK */
	uint32_t due;     /* bytes of the answer that have not come */
	bool open;        /* its SYN was answered */
	bool ended;       /* the server's FIN has come */
};

struct peers {
	struct rig rig;
	struct peer peer[PEERS];
	uint32_t answer_bytes; /* of each answer: for those of more than one segment; 0: one segment
	                        */
	uint64_t answers;
	uint64_t bytes;
	bool bad; /* something came that should not; no figure holds */
};

/* The rig with this configuration (NULL: its own); path_round is then to be used for all time to
 * pass. b: zeroed. */
enum status peers_create(struct peers *b, const char *yaml);
/* The same, and the core is the first one of the share, to which the others are still to come. */
enum status peers_create_shared(struct peers *b, const char *yaml, struct hot_share *share);
void peers_destroy(struct peers *b);
/* Opens all PEERS connections. */
void peers_open(struct peers *b);
/* New connections on other ports in place of peers [first, first + n): sends their SYNs. */
void peers_syn(struct peers *b, uint32_t first, uint32_t n);
/* ACK of all that came; with fin, their own FIN as well. */
void peer_ack(struct peers *b, struct peer *p, bool fin);
/* The request's bytes in one segment. */
void peer_request(struct peers *b, struct peer *p, struct span request);

/* One core_round, after PEERS_STEP_NS; returns its TSC cycles. Never inlined: callgrind counts from
 * here (perf/instructions), and stops in peers_input, which is called from within. */
uint64_t path_round(struct peers *b);
/* The same, not counted: to warm up and to set up. */
void path_round_idle(struct peers *b);

#endif
