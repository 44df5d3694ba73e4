/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fragments of datagrams for our addresses are put together again (RFC 791 3.2, RFC 815, RFC 8200
 * 4.5), in a table of fixed size: payload is copied out of the packet, so no packet buffer is held,
 * and when the table is full the oldest datagram is given up. Used by net_in.c, ip6_in.c and
 * net_tick; knows no upper layer beyond the length of its header.
 *
 * Overlapping fragments are an attack or an error: the datagram is dropped, and so is what still
 * comes of it (RFC 5722 4; for IPv4 as well). */
#ifndef DATAPLANE_NET_FRAG_H
#define DATAPLANE_NET_FRAG_H

#include "dataplane/net/net.h"

struct frag_table;

/* One fragment as it came; its payload is pkt->data[pkt->l4_off, pkt->len). */
struct frag_in {
	const uint8_t *src; /* 4 or 16 bytes each */
	const uint8_t *dst;
	uint32_t id;
	uint32_t off; /* bytes */
	uint8_t proto;
	uint8_t ecn; /* of the IP header */
	bool more;
};

/* count: datagrams at a time, 0: none. mtu: of the port; a datagram may have as many bytes as fit
 * into a received packet, and at least 1,500 (RFC 8200 5). */
enum status frag_create(struct frag_table **out, uint32_t count, uint32_t mtu);
void frag_destroy(struct frag_table *table);
/* CTR_rx_fragment: kept. CTR_rx_tcp: the datagram is complete, pkt is now what its sender cut, with
 * a header without options at l3_off and l4_off behind it. Else the drop it ends in. */
enum counter_id frag_input(struct net *net, struct pkt *pkt, const struct frag_in *in,
                           uint64_t now_ns);
/* Gives up what waits for too long: counts it, and says so to the sender where the first fragment
 * is there (RFC 792, RFC 4443 3.3). */
void frag_tick(struct net *net, uint64_t now_ns);

#endif
