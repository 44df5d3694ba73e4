/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Proportional rate reduction (RFC 9937, which replaces RFC 6937): during a fast recovery, what
 * arrives decides how much may be sent, so that the window has come down to the threshold when the
 * recovery ends, neither in one step nor in a burst. The letters of the RFC: ssthresh is
 * ssthresh_bytes, RecoverFS prr_flight, inflight the pipe, SndCnt what the window is ahead of it.
 */
#include "dataplane/tcp/conn.h"

/* Bytes known to have arrived beyond snd_una. */
static uint32_t arrived_bytes(const struct conn *c)
{
	return c->flags & CF_SACK ? c->sacked_bytes : c->dupacks * c->mss;
}

void prr_begin(const struct tcp *tcp, struct conn *c)
{
	struct conn_loss *l = &c->ls;
	uint32_t arrived = arrived_bytes(c);
	/* What this very ACK reported counts as delivered in the recovery. */
	uint32_t fresh = c->flags & CF_SACK ? tcp->ack.sacked : tcp->ack.delivered;
	uint32_t before = arrived - min_u32(arrived, fresh);

	l->prr_delivered = 0;
	l->prr_out = 0;
	l->prr_flight = conn_flight(c) - min_u32(before, conn_flight(c)) + tcp->ack.acked;
	l->prr_flight = max_u32(l->prr_flight, c->mss);
}

void prr_update(const struct tcp *tcp, struct conn *c)
{
	struct conn_loss *l = &c->ls;
	uint32_t delivered = tcp->ack.delivered;
	uint32_t pipe = loss_pipe(c);
	uint64_t may;

	l->prr_delivered += delivered;
	if (pipe > c->ssthresh_bytes) {
		may = (uint64_t)l->prr_delivered * c->ssthresh_bytes + l->prr_flight - 1;
		may /= l->prr_flight;
		may -= min_u64(may, l->prr_out);
	} else {
		/* Conservative, or as in slow start while all goes well ("SafeACK"). */
		may = l->prr_delivered - min_u32(l->prr_delivered, l->prr_out);
		may = max_u64(may, delivered);
		if (tcp->ack.acked > 0 && !tcp->ack.lost)
			may += c->mss;
		may = min_u64(may, c->ssthresh_bytes - pipe);
	}
	/* The clock found a loss: something goes in its place, or nothing might come back. */
	if (delivered == 0 && pipe < c->ssthresh_bytes)
		may = max_u64(may, c->mss);
	/* The recovery begins with a retransmission, whatever the count. */
	if (l->prr_out == 0)
		may = max_u64(may, c->mss);
	c->cwnd_bytes = pipe + (uint32_t)may;
}

void prr_sent(struct conn *c, uint32_t bytes)
{
	c->ls.prr_out += bytes;
}
