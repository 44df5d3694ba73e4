/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An eventfd that wakes a sleeper in another process. Who may sleep, and when, is the channel's
 * business (chan_prepare_sleep). */
#ifndef LIB_DOORBELL_H
#define LIB_DOORBELL_H

#include "lib/base.h"
#include "lib/status.h"

/* Non-blocking, close-on-exec. */
enum status doorbell_create(int *fd_out);
void doorbell_ring(int fd);
/* Takes what was rung, so that the next wait sleeps. */
void doorbell_clear(int fd);
/* Sleeps until rung or timeout_ns; true when rung. */
bool doorbell_wait(int fd, uint64_t timeout_ns);

#endif
