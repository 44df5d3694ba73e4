/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nic.h over one queue of a DPDK port. eal_dpdk.c fills the structure; the functions are those of
 * dataplane/nic.h. */
#ifndef DATAPLANE_DPDK_NIC_DPDK_H
#define DATAPLANE_DPDK_NIC_DPDK_H

#include "dataplane/nic.h"

struct rte_mbuf;
struct rte_mempool;

#define NIC_READY_BUFFERS 32u

struct nic {
	struct nic_caps caps;
	uint16_t port;
	uint16_t queue;
	unsigned cpu;
	struct rte_mempool *pool;
	struct rte_mempool *large; /* NULL: the port cuts no segments */
	uint32_t ready_count;
	struct rte_mbuf *ready[NIC_READY_BUFFERS]; /* taken from pool ahead, many at a time */
} ALIGNED(CACHE_LINE);

#endif
