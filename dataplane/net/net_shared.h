/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the nets of one port's cores know together. A port hands each packet to one core alone, by a
 * hash that for ICMP and neighbor discovery has nothing to do with connections: what such a packet
 * says is written here, and each core reads it once a millisecond (net_tick). TCP segments of
 * another core's connection, which no port should bring but some do, go from core to core in
 * queues. Belongs to whoever creates the cores; outlives the nets. Written by dataplane/net only.
 */
#ifndef DATAPLANE_NET_NET_SHARED_H
#define DATAPLANE_NET_NET_SHARED_H

#include "dataplane/net/net.h"

#define NET_SHARED_ERRORS 64u

/* An error that the core that received it could not use. stamp is the error's number plus one, and
 * 0 while the slot is written. */
struct net_shared_error {
	uint64_t stamp;
	uint32_t from; /* the core's index */
	struct net_error error;
};

struct net_shared {
	uint64_t tentative; /* bit i: addrs[i] is not known to be ours alone yet (RFC 4862 5.4) */
	uint64_t conflicts; /* bit i: another host has it; it is not used */
	/* From router advertisements (RFC 4861 6.3.4), 0: none came */
	uint32_t hop_limit;
	uint32_t mtu;
	uint32_t retrans_ms;
	uint64_t error_count ALIGNED(CACHE_LINE);
	struct net_shared_error errors[NET_SHARED_ERRORS];
	unsigned char *queues; /* one a core, to the next one; NULL: nothing is passed on */
};

/* Before the port's first net is opened, with the number of its cores. ST_NOMEM. All zero instead
 * is a port whose cores pass no segments on. */
enum status net_shared_open(struct net_shared *s, uint32_t cores);
/* After the last net is destroyed; segments that wait are forgotten. */
void net_shared_close(struct net_shared *s);

#endif
