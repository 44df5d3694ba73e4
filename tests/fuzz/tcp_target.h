/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small TCP stack that bytes drive: segments, ICMP errors, what an owner does, time, and want of
 * memory. What is aimed at a connection is relative to what that expects, and an echo that cannot
 * be guessed is filled in, so that chance gets past the window checks, the timestamps and the
 * cookies.
 *
 * The peers' octet number n is always target_octets[n mod 65536], and so is the owner's, so that
 * what arrives on either side can be told right from wrong without keeping it.
 *
 * There are two, on a port that cuts segments and on one that does not. Each is made once and
 * small, and nothing in it asks the kernel for anything. A run ends with everything given back,
 * which is checked; what it learned is then taken from it, so that the same bytes make the same run
 * whatever ran before (tcp_orders.c).
 *
 * Called by fuzz_tcp.c and tcp_orders.c. A broken rule is printed, and aborts. */
#ifndef TESTS_FUZZ_TCP_TARGET_H
#define TESTS_FUZZ_TCP_TARGET_H

#include "dataplane/tcp/conn.h"
#include "tests/sim/nic_sim.h"

/* Behind conn.h, which has a TCP_HDR_LEN of its own. */
#include "dataplane/net/net_int.h"

enum {
	FRAME_BYTES = 2048,
	MAX_SEGS = 8, /* in a burst: what was lent lives until its end */
	LOCAL_PORT = 80,
	REMOTE_PORT = 4000, /* the first lane's */
	LANES = 8,
	MAX_CONNS = 16,
	MAX_EARLY = 8,
	EARLY_BYTES = 10,
	NIC_BUFFERS = 32,
	LARGE_BUFFERS = 2, /* of a port that cuts segments */
	OCTETS_PERIOD = 65536,
	OCTETS_PIECE = 8192, /* as many may be looked at at once */
};

extern const uint8_t *target_octets; /* OCTETS_PERIOD + OCTETS_PIECE of them */

struct input {
	const uint8_t *p;
	size_t left;
};

/* A peer's address and port. */
struct lane {
	struct net_path path;
	uint8_t head[14 + 40]; /* link and IP header of its segments */
	uint8_t head_len;
	bool v6;
	uint16_t port;
	/* the last SYN-ACK that was sent to it */
	uint32_t syn_seq;
	uint32_t syn_ack;
	uint32_t syn_ts;
	uint8_t fo_cookie[FAST_OPEN_COOKIE];
};

/* What a connection had said and heard one step ago. */
struct shadow {
	bool valid;
	bool reading; /* unread is valid */
	uint32_t iss;
	uint32_t irs;
	uint32_t unread; /* number of the first octet that the owner has not read */
	uint32_t rcv_adv;
	uint32_t snd_edge; /* the farthest that the peer ever let us send */
	uint32_t snd_una;
	uint32_t snd_nxt;
};

/* What a run did. */
struct tally {
	uint64_t digest; /* of all that was sent */
	uint32_t segments;
	uint32_t events; /* all other steps, and those of an owner within a burst */
	uint32_t sent;
	uint32_t delivered_bytes;
};

struct target {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct tcp fresh; /* as they were created */
	unsigned char fresh_net[sizeof(struct net)]; /* without its queue, which is empty */
	struct lane lanes[LANES];
	struct shadow shadows[MAX_CONNS];
	struct counters ctr;
	struct tally tally;
	uint64_t now_ns;
	uint64_t lent;
	uint64_t released;
	uint32_t segs;
	uint32_t early_count;
	uint32_t early_iss[MAX_EARLY]; /* began with EARLY_BYTES that target_octets does not say */
	bool patient;                  /* the end comes by time */
	uint8_t frames[MAX_SEGS][FRAME_BYTES];
	struct pkt pkts[MAX_SEGS];
};

/* Runs the stack from its beginning; what it did is there until the next run. */
const struct tally *target_run(const uint8_t *data, size_t size);

__attribute__((noreturn)) void broken(const char *what, const char *where);
#define WHERE_TEXT(line) #line
#define WHERE(line)      WHERE_TEXT(line)
#define must(cond)                                                   \
	do {                                                         \
		if (unlikely(!(cond)))                               \
			broken(#cond, __FILE__ ":" WHERE(__LINE__)); \
	} while (0)

uint8_t input_take(struct input *in);
uint32_t input_take16(struct input *in);

/* tcp_target.c */
/* Runs the ready list; what its owner does comes from the input. */
void target_ready(struct target *t, struct input *in);
/* The first live connection of a lane, NULL: none. */
struct conn *lane_conn(struct target *t, const struct lane *lane);

/* tcp_target_owner.c */
void owner_ready(struct target *t, struct conn *c, uint32_t events, struct input *in);
void owner_act(struct target *t, struct conn *c, uint8_t what);
void owner_open(struct target *t, const struct lane *lane, uint8_t how);
/* Lets go of a connection and ends it. */
void owner_close(struct target *t, struct conn *c);
void owner_abort(struct target *t, struct conn *c);
/* Faults, and the limits that may change while it runs. */
void target_misc(struct target *t, uint8_t what);

/* tcp_target_wire.c */
void lanes_init(struct target *t);
/* op: bits 3 to 5 the lane, 6 and 7 the ECN field. */
void wire_segment(struct target *t, struct input *in, uint8_t op);
/* An ICMP error as a router would send it, about bytes near those in flight. */
void wire_error(struct target *t, struct lane *lane, struct input *in);
/* The link takes what is queued, and it is looked at. */
void wire_take(struct target *t);

/* tcp_target_check.c */
void check_all(struct target *t);
/* What the owner may read now is what was sent, and comes next. */
void check_unread(struct target *t, struct conn *c);
/* Nothing is held. */
void check_empty(struct target *t);

#endif
