/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One queue of one port, as a poll core uses it: bursts in, bursts out, packet buffers. Two
 * implementations are linked in its place: dataplane/dpdk (the product) and tests/sim (simulator,
 * benchmarks, fuzzers). Nothing above this header knows DPDK.
 *
 * A nic belongs to one core. Packets are handed over by value: struct pkt is a view, the buffer
 * behind pkt->handle belongs to whoever holds the pkt last. */
#ifndef DATAPLANE_NIC_H
#define DATAPLANE_NIC_H

#include "lib/base.h"
#include "lib/status.h"

#define NIC_BURST 32u
/* Frames for the port to cut, with their headers: what one descriptor of every port that is known
 * takes, which is ten segments of 1500-byte packets (docs/decisions/segmentation-offload.md). */
#define NIC_LARGE_BYTES 15872u

enum pkt_flag {
	PKT_RX_IP_CSUM_OK = 1 << 0, /* the port verified the IPv4 header checksum */
	PKT_RX_L4_CSUM_OK = 1 << 1, /* the port verified the TCP checksum */
	PKT_RX_CSUM_BAD = 1 << 2,   /* the port says that one of them is wrong */
	PKT_TX_IP_CSUM = 1 << 3,    /* the port shall fill in the IPv4 header checksum */
	PKT_TX_L4_CSUM = 1 << 4,    /* the port shall fill in the TCP checksum; the field holds the
	                               pseudo-header's sum, not inverted (with PKT_TX_TSO
	                               without the length) */
	PKT_TX_TSO = 1 << 5, /* the port shall cut the payload into segments of tso_mss bytes, with
	                        both checksums, and FIN and PSH on the last one only */
	PKT_RX_FRAGMENTS = 1 << 6, /* set by net_input: it came in fragments */
	PKT_TX_REFUSED = 1 << 7,   /* set by nic_tx_burst: the port will never take this one */
};

struct pkt {
	uint8_t *data;   /* first byte of the Ethernet header */
	void *handle;    /* the implementation's own (a buffer of DPDK, a simulated packet) */
	uint32_t len;    /* bytes from data */
	uint32_t cap;    /* bytes that fit from data */
	uint32_t passed; /* by so many cores of the port (net_pass) */
	uint16_t l3_off; /* set by net_input or the sender */
	uint16_t l4_off;
	uint16_t payload_off;
	uint16_t payload_len;
	uint16_t tso_mss;
	uint8_t flags;      /* enum pkt_flag */
	uint8_t ip_version; /* 4 or 6, set by net_input */
};

struct nic_caps {
	uint8_t mac[6];
	uint16_t mtu; /* IP bytes a frame */
	bool tx_ip_csum;
	bool tx_l4_csum;
	bool tx_tso; /* the port cuts (PKT_TX_TSO), does both sums, and there are large buffers */
	bool tx_tso_v6; /* IPv6 as well */
	bool rx_csum;   /* receive flags above are set by the port */
	/* Frames of a local veth or tap peer may carry only the pseudo-header's sum (the kernel's
	 * CHECKSUM_PARTIAL); such a checksum is accepted when this is true. */
	bool rx_partial_csum;
};

struct nic;

const struct nic_caps *nic_caps(const struct nic *nic);
/* Up to n (at most NIC_BURST) packets; the caller then owns them. data, handle, len, cap and the
 * receive flags are set, the offsets are not. A received packet may be written over and sent;
 * data may then lie further into the buffer than it did. */
unsigned nic_rx_burst(struct nic *nic, struct pkt *pkts, unsigned n);
/* Sends the first packets of the array and takes them over; returns how many. The rest stay the
 * caller's, and the first of them is marked when it is the reason (PKT_TX_REFUSED). */
unsigned nic_tx_burst(struct nic *nic, struct pkt *pkts, unsigned n);
/* A buffer to write a frame into; false when the port has none. At least mtu + 14 bytes fit. What
 * is not the buffer in *out is 0. */
bool nic_pkt_alloc(struct nic *nic, struct pkt *out);
/* The same for NIC_LARGE_BYTES, to be sent with PKT_TX_TSO; only with caps.tx_tso. */
bool nic_pkt_alloc_large(struct nic *nic, struct pkt *out);
/* Takes both kinds; a packet whose handle is NULL is somebody else's by now. */
void nic_pkt_free(struct nic *nic, struct pkt *pkts, unsigned n);
/* Packet buffers free now, the large ones not counted, for watermarks and reports. */
uint32_t nic_pkts_free(const struct nic *nic);

#endif
