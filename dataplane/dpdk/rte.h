/* SPDX-License-Identifier: BSD-2-Clause
 *
 * DPDK's headers, included after our own: both define container_of and NS_PER_S, with one meaning.
 */
#ifndef DATAPLANE_DPDK_RTE_H
#define DATAPLANE_DPDK_RTE_H

#include "lib/base.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#endif
