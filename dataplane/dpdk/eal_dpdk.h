/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starting and stopping DPDK: the EAL's arguments, ports and queues from the configuration, one
 * struct nic for each poll core. Called by the dataplane's main thread, once in the life of the
 * process (the EAL cannot be started again). Takes no CPU for itself: the threads are the caller's.
 */
#ifndef DATAPLANE_DPDK_EAL_DPDK_H
#define DATAPLANE_DPDK_EAL_DPDK_H

#include "dataplane/nic.h"
#include "lib/config.h"
#include "lib/status.h"

struct dpdk;

/* Opens every port, with as many queues as it has cores, and starts it. On failure err says in
 * words what is wrong and what would help, and nothing is left behind. */
enum status dpdk_start(const struct config *cfg, struct dpdk **out, char *err, size_t errlen);
/* Stops the ports, takes the XDP programs off, ends the EAL. The core threads have ended before. */
void dpdk_stop(struct dpdk *d);

/* Says in the log which listeners' addresses the kernel has as well. */
void dpdk_warn_shared(const struct config *cfg);

/* Now and then, while it runs: says in the log when the kernel's interface under a port was taken
 * away, which the driver does not notice, and which does not heal when one of that name comes. */
void dpdk_watch(struct dpdk *d);

/* Cores count through the ports in the configuration's order. */
unsigned dpdk_core_count(const struct dpdk *d);
unsigned dpdk_core_cpu(const struct dpdk *d, unsigned core_index);
struct nic *dpdk_nic(struct dpdk *d, unsigned core_index);

/* Called by each core's thread before it uses its nic, and when it is done: pins the thread to the
 * core's CPU and gives it its packet buffer cache. */
enum status dpdk_thread_start(struct dpdk *d, unsigned core_index);
void dpdk_thread_end(struct dpdk *d);

#endif
