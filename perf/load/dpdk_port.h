/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's own DPDK port: reads its description from a transport_config, opens it, and says
 * in the tool's words what is missing. Called by transport_dpdk.c, once in the life of the process
 * (DPDK cannot be started again). */
#ifndef PERF_LOAD_DPDK_PORT_H
#define PERF_LOAD_DPDK_PORT_H

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp.h"
#include "perf/load/transport.h"

#define LOAD_PORT_NAME      512u
#define LOAD_PORT_WAIT_MS   10000u /* for the other end: its socket, its answer */
#define LOAD_ADDR_LINKS_MAX 60000u /* connections that an address is good for */

struct dpdk;

/* What a description says, before anything is opened. */
struct load_port_plan {
	int type;                  /* enum config_port_type */
	char name[LOAD_PORT_NAME]; /* socket, interface or PCI address */
	struct ip_addr server;
	struct ip_addr next_hop;
	struct ip_addr locals[NET_MAX_ADDRS];
	uint32_t local_count;
};

struct load_port {
	struct load_port_plan plan;
	struct dpdk *dpdk;
	struct nic *nic;
};

/* Writes the reason and returns st. */
enum status load_port_fail(char err[TRANSPORT_ERR], enum status st, const char *fmt, ...)
        PRINTF(3, 4);
/* ST_INVALID with the reason and a remedy in err. */
enum status load_port_plan_make(struct load_port_plan *out, const struct transport_config *cfg,
                                char err[TRANSPORT_ERR]);
/* A seed for tcp_env.isn_seed: the same for every process until the machine starts again, and false
 * with a random one where the kernel tells no boot id. Any user of the machine can work it out:
 * good enough for a load tool, whose connections nobody gains by forging. */
bool load_boot_seed(uint8_t out[TCP_SEED_BYTES]);
/* Opens it for the calling thread, which is pinned to its CPU. A memif's server is waited for. On
 * failure nothing is left open. */
enum status load_port_open(struct load_port *out, const struct transport_config *cfg,
                           char err[TRANSPORT_ERR]);
/* By the thread that opened it. */
void load_port_close(struct load_port *port);

#endif
