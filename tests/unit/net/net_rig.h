/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One net over a simulated NIC, with the addresses 10.0.0.1, 10.0.0.2 and 2001:db8::1. */
#ifndef TESTS_UNIT_NET_NET_RIG_H
#define TESTS_UNIT_NET_NET_RIG_H

#include "dataplane/net/net.h"
#include "tests/sim/nic_sim.h"
#include "tests/unit/net/frames.h"

struct net_rig {
	struct nic *nic;
	struct net *net;
	struct counters ctr;
	struct pkt up[NIC_BURST];
	uint64_t now_ns;
};

/* cfg: fragments, dad_transmits, icmp_per_s and conflicts are taken from it; NULL: defaults. */
void net_rig_up(struct net_rig *r, const struct nic_sim_config *nic, const struct net_config *cfg);
/* Fails when a packet buffer is held. */
void net_rig_down(struct net_rig *r);
/* Fails unless each packet ended in exactly one counter; errors that wait are taken as TCP would.
 */
void net_rig_check(struct net_rig *r);
/* One frame through net_input. 1: a segment is in up[0], to be freed by net_rig_drop. */
unsigned net_rig_feed(struct net_rig *r, const struct frame *f);
void net_rig_drop(struct net_rig *r, unsigned up);
/* The same, and fails unless it ended in want. */
void net_rig_want(struct net_rig *r, const struct frame *f, enum counter_id want, const char *name);
/* The next frame that was sent; false when there is none. */
bool net_rig_sent(struct net_rig *r, struct frame *out);
/* Lets so much time pass, a millisecond a tick. */
void net_rig_wait(struct net_rig *r, uint64_t ms);

#endif
