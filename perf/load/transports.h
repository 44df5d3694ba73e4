/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The transports that this build of sluice-bench has, by name. */
#ifndef PERF_LOAD_TRANSPORTS_H
#define PERF_LOAD_TRANSPORTS_H

#include "perf/load/transport.h"

/* For an error: "socket, dpdk". */
const char *transport_names(void);
/* NULL: none of that name. */
const struct transport_ops *transport_find(const char *name);

#endif
