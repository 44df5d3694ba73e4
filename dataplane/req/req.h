/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One HTTP request in progress on a connection: its stage, what was parsed, and where its answer comes
 * from. Taken from the core's pool when a connection has bytes, given back when it is idle. Spans
 * point into the connection's receive buffer and hold only within one req_run. */
#ifndef DATAPLANE_REQ_REQ_H
#define DATAPLANE_REQ_REQ_H

#include "lib/base.h"

struct req;

/* What a step says to req_run. */
enum req_next {
	REQ_NEXT,  /* the following stage, now */
	REQ_MORE,  /* waits for bytes or for room in the send queue */
	REQ_WAIT,  /* waits for control */
	REQ_REPLY, /* an answer is ready: go to req_reply */
	REQ_CLOSE  /* nothing more can be said on this connection */
};

#endif
