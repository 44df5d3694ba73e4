/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pools of connections to origins. What fetch.h asks of them is in upstream/pool.h; this header is
 * for start, reload and reports. */
#ifndef CONTROL_UPSTREAM_UPSTREAM_H
#define CONTROL_UPSTREAM_UPSTREAM_H

#include "control/control.h"

enum status upstreams_create(struct control *ctl, struct upstreams **out);
void upstreams_destroy(struct upstreams *u);
/* Takes a new configuration over; pools whose name and addresses stay keep their connections. */
enum status upstreams_reload(struct upstreams *u, const struct config *cfg);

/* One row for each address of each upstream. */
struct upstream_row {
	const char *name;
	const char *address;
	uint32_t open; /* connections */
	uint32_t idle;
	uint32_t waiting; /* requests that wait for a connection */
	uint64_t requests;
	uint64_t reused; /* of these, on a pooled connection */
	uint64_t connects;
	uint64_t connect_errors;
	uint64_t timeouts;
	uint64_t retries; /* on a stale pooled connection */
	uint64_t errors;  /* answered 502 or 504 */
	uint64_t bytes_in;
	uint64_t bytes_out;
};

/* Row index from 0; false past the last. */
bool upstreams_row(const struct upstreams *u, uint32_t index, struct upstream_row *out);

#endif
