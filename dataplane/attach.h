/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The dataplane's side of the attach socket, on the main thread: hands the channel to a control
 * plane, tells the cores when one comes and goes, takes new snapshots and waits until every core
 * uses them. The cores never see this module; they see struct core_control. */
#ifndef DATAPLANE_ATTACH_H
#define DATAPLANE_ATTACH_H

#include "dataplane/core.h"

struct attach;

struct attach_config {
	const char *run_dir; /* the socket is run_dir/dataplane.sock */
	struct chan *chan;
	struct core_control *cores; /* one a core */
	uint32_t core_count;
	int control_fd;            /* control's doorbell */
	const int *core_fds;       /* each core's doorbell */
	struct snapshot *snapshot; /* in use; owned by this module from now on (malloc'd) */
};

enum status attach_create(struct attach **out, const struct attach_config *cfg);
void attach_destroy(struct attach *a);

#define ATTACH_POLL_FDS 2u
struct pollfd;
/* The descriptors to wait for; fds has room for ATTACH_POLL_FDS. Returns how many. */
unsigned attach_poll_fds(const struct attach *a, struct pollfd *fds);
/* Does what is to be done, without waiting; call when a descriptor is ready and every few ms. */
void attach_step(struct attach *a);
/* True while something is pending that needs attach_step soon although no descriptor is ready. */
bool attach_busy(const struct attach *a);

#endif
