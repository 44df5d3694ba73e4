/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the XDP program of the front door and the dataplane agree on. Included by both: plain types
 * only. */
#ifndef EBPF_XDP_FRONT_H
#define EBPF_XDP_FRONT_H

#include <linux/types.h>

/* Names in the kernel, where they are cut to 15 bytes. */
#define XDP_FRONT_PROG  "xdp_front"
#define XDP_FRONT_ADDRS "front_addrs"
#define XDP_FRONT_STATS "front_stats"
#define XDP_FRONT_SOCKS "xsks_map" /* the name that DPDK's net_af_xdp looks for */

#define XDP_FRONT_MAX_KEYS   256
#define XDP_FRONT_MAX_QUEUES 128

/* One listener is two keys: address and port for TCP; address and port 0 for ARP, neighbor
 * discovery, ICMP and fragments. IPv4 addresses are ::ffff:a.b.c.d; everything in network byte
 * order. */
#define XDP_FRONT_EVERY_PORT 2 /* value at port 0: TCP to any port of the address; else 1 */

struct xdp_front_key {
	__u8 addr[16];
	__u16 port;
};

/* Index into front_stats, a per-CPU array of __u64. */
enum xdp_front_stat {
	XDP_FRONT_PASS, /* left to the kernel */
	XDP_FRONT_TCP,  /* the rest: handed to the dataplane */
	XDP_FRONT_ICMP,
	XDP_FRONT_ARP,
	XDP_FRONT_NDP,
	XDP_FRONT_EXT, /* fragments, IPv6 extension headers */
	XDP_FRONT_STAT_COUNT,
};

#endif
