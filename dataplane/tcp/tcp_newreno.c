/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The congestion avoidance of RFC 5681, with bytes counted (RFC 3465 2.1): a segment a window. */
#include "dataplane/tcp/conn.h"

void newreno_grow(struct conn *c, uint32_t acked)
{
	struct conn_cc *cc = &c->cc;

	cc->carry = min_u32(cc->carry + acked, CC_WINDOW_MAX_BYTES);
	if (cc->carry < c->cwnd_bytes)
		return;
	/* RFC 3465 2.1: what is above a window counts for the next. */
	cc->carry = min_u32(cc->carry - c->cwnd_bytes, c->cwnd_bytes);
	c->cwnd_bytes = min_u32(c->cwnd_bytes + c->mss, CC_WINDOW_MAX_BYTES);
}

/* RFC 5681 3.1, equation (4): half of what is in flight. */
uint32_t newreno_reduce(const struct conn *c)
{
	return min_u32(c->cwnd_bytes, max_u32(conn_flight(c), 2u * c->mss)) / 2;
}
