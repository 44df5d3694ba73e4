/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the kernel says of a network interface that a port shall use, before DPDK is asked, so that
 * errors can be named in the operator's terms. */
#ifndef DATAPLANE_DPDK_IFACE_H
#define DATAPLANE_DPDK_IFACE_H

#include "lib/base.h"
#include "lib/status.h"

#include <net/if.h>

struct iface {
	int index;
	uint32_t mtu;
	uint32_t rx_queues; /* in use now */
	bool combined;      /* the driver has combined channels: ethtool -L NAME combined N */
	bool up;
	bool partial_csum; /* frames of a local peer may carry unfinished checksums (veth) */
};

/* ST_NOTFOUND when there is no such interface in this network namespace. */
enum status iface_read(const char *name, struct iface *out);

/* Is the address (in text, IPv4 or IPv6) one of the kernel's in this network namespace? name gets
 * the interface that has it. */
bool iface_has_address(const char *address, char name[static IF_NAMESIZE]);

#endif
