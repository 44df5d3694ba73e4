/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The local port of an active open, by RFC 6056 algorithm 4 (double hash): ports to one peer follow
 * each other, so that one comes back late, and nobody else can guess them. Called by tcp_connect.
 * It keeps counters only; which 4-tuples are in use is asked of the table. */
#ifndef DATAPLANE_TCP_TCP_PORTS_H
#define DATAPLANE_TCP_TCP_PORTS_H

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp_secret.h"
#include "lib/base.h"

struct tcp;

enum { PORT_COUNTERS = 256 };

struct port_picker {
	uint64_t offset_key[2];
	uint64_t counter_key[2];
	uint32_t counter[PORT_COUNTERS];
};

void ports_init(struct port_picker *p, const struct secret *seed);
/* A port between tcp_config.port_lo and port_hi such that the 4-tuple is free, or in TIME-WAIT and
 * safe to use again; no listener has it. 0: there is none. */
uint16_t port_pick(struct tcp *tcp, const struct net_path *path, uint16_t remote_port);

#endif
