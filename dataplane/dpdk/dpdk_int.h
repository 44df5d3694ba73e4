/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of dataplane/dpdk share among themselves. Nobody else includes it. */
#ifndef DATAPLANE_DPDK_DPDK_INT_H
#define DATAPLANE_DPDK_DPDK_INT_H

#include "dataplane/dpdk/eal_dpdk.h"
#include "dataplane/dpdk/iface.h"
#include "dataplane/dpdk/nic_dpdk.h"

#include <net/if.h>

enum {
	DPDK_MAX_PORTS = 8,
	DPDK_MAX_CORES = 64,
	DPDK_ARG_LEN = 4608, /* a path and the device's other parameters */
	DPDK_MAX_ARGS = 24,
};

struct dpdk_port {
	const struct config_port *cfg; /* during dpdk_start only */
	char device[32];               /* DPDK's name of it */
	struct iface iface;            /* of the kernel's interface, where it has one */
	char watched[IF_NAMESIZE];     /* its name when it was last there; dpdk_watch */
	uint16_t id;
	uint16_t mtu;
	unsigned first_core;
	int lock_fd; /* -1: none */
	bool opened;
	bool xdp;
	bool cuts; /* it segments (TSO), and may */
};

struct dpdk {
	const struct config *cfg; /* during dpdk_start only */
	char *err;                /* the same */
	size_t errlen;
	unsigned port_count;
	unsigned core_count;
	bool eal;
	struct dpdk_port ports[DPDK_MAX_PORTS];
	struct nic nics[DPDK_MAX_CORES];
};

/* Writes the reason into the caller's buffer and returns st. */
enum status dpdk_fail(struct dpdk *d, enum status st, const char *fmt, ...) PRINTF(3, 4);

/* The EAL's command line. */
struct eal_args {
	char *argv[DPDK_MAX_ARGS + 1]; /* the EAL changes their order and repeats one */
	char *owned[DPDK_MAX_ARGS];
	int argc;
};

enum status eal_args_make(struct dpdk *d, struct eal_args *args);
void eal_args_free(struct eal_args *args);

/* Looks at the kernel's interface and refuses what cannot work; before the EAL starts. */
enum status port_check(struct dpdk *d, struct dpdk_port *port);
/* Memory of one core's packet buffers, and of one buffer's data room. */
uint32_t port_data_room(const struct dpdk_port *port);
uint64_t port_core_bytes(const struct dpdk *d, const struct dpdk_port *port);
/* After the EAL has made the device: buffers, queues, start. */
enum status port_open(struct dpdk *d, struct dpdk_port *port);
void port_close(struct dpdk *d, struct dpdk_port *port);

#endif
