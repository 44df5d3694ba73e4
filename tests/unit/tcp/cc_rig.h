/* SPDX-License-Identifier: BSD-2-Clause
 *
 * To test congestion control with: a connection without a network, for one call at a time, and a
 * link with a queue between the two hosts of a rig. */
#ifndef TESTS_UNIT_TCP_CC_RIG_H
#define TESTS_UNIT_TCP_CC_RIG_H

#include "tests/unit/tcp/tcp_rig.h"

enum {
	CC_MSS = 1448,
};

struct cc_rig {
	struct tcp tcp;
	struct conn c;
	struct counters ctr;
};

/* cfg NULL: the defaults. The connection is established, with a round trip of 100 ms. */
void cc_open(struct cc_rig *r, const struct tcp_config *cfg);
void cc_advance(struct cc_rig *r, uint64_t ms);
/* Sends up to the window, and says so. */
void cc_fill(struct cc_rig *r);
/* Sends so many bytes. */
void cc_sent(struct cc_rig *r, uint32_t bytes);
void cc_acked(struct cc_rig *r, uint32_t bytes);
/* One round trip of a flow that its window limits, an ACK for two segments each. */
void cc_round(struct cc_rig *r, uint64_t rtt_ms);
/* The same with nothing but the window known: in congestion avoidance at this one. */
void cc_set(struct cc_rig *r, uint32_t cwnd, uint32_t ssthresh);

/* A bottleneck from host 0 to host 1. */
struct cc_link {
	uint64_t rate_bps;
	uint32_t queue_bytes;
	uint32_t mark_bytes; /* marks what is ECN-capable above it; 0: never */
	uint64_t busy_ns;    /* the queue is empty then */
	uint32_t drops;
	uint32_t marks;
	uint32_t peak_bytes; /* of the queue */
	uint64_t bytes;      /* went through */
};

void cc_link_put(struct rig *rig, struct cc_link *link);

#endif
