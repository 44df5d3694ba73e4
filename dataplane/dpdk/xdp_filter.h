/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The user side of ebpf/xdp_front.bpf.c: DPDK loads and attaches the program, this module finds it
 * on the interface, tells it the listeners, and takes it off. Called by eal_dpdk.c at start and
 * stop. */
#ifndef DATAPLANE_DPDK_XDP_FILTER_H
#define DATAPLANE_DPDK_XDP_FILTER_H

#include "ebpf/xdp_front.h"
#include "lib/config.h"
#include "lib/status.h"

/* Where the compiled program is: next to the executable's directory (a build tree), or installed.
 * ST_NOTFOUND: path then holds the last place that was tried. */
enum status xdp_filter_path(char *path, size_t len);

/* Reserves the interface for this process (for as long as *lock_fd is open) and removes what an
 * earlier process left attached when it was killed. On failure err says why. */
enum status xdp_filter_claim(const char *name, int ifindex, int *lock_fd, char *err, size_t errlen);
/* Tells the attached program the addresses and ports of the listeners; port 0, which no
 * configuration file can have, is every port: for programs that connect from there. */
enum status xdp_filter_fill(int ifindex, const struct config *cfg);
/* Detaches our program if it is still there. */
void xdp_filter_detach(int ifindex);

#endif
