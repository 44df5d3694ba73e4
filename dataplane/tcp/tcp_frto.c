/* SPDX-License-Identifier: BSD-2-Clause
 *
 * After a timeout (RFC 6298 5, RFC 5681 3.1): everything in flight is taken for lost, but a path
 * that only became slow for a moment is no reason to send all of it again. F-RTO (RFC 5682, with
 * SACK 3.1 and without 2.1) asks with two new segments; timestamps tell at once (RFC 3522). The
 * response is RFC 4015's. */
#include "dataplane/tcp/conn.h"

/* All in flight is lost. */
static void resend_all(struct tcp *tcp, struct conn *c)
{
	/* A SYN has a timer of its own, and no place in the scoreboard. */
	if (!conn_synchronized(c))
		return;
	c->loss = LOSS_RTO;
	c->dupacks = 0;
	c->recover = c->snd_nxt;
	c->ls.frto = FRTO_NONE;
	c->ls.rescued = true; /* NextSeg is not for this state (RFC 6675 5.1) */
	c->ls.undo_cwnd_bytes = 0;
	c->ls.undo_count = 0;
	c->flags &= ~(CF_TIMING | CF_PROBED | CF_PROBED_NEW);
	board_lose_all(tcp, c);
}

void loss_window_opened(struct tcp *tcp, struct conn *c)
{
	c->tries = 0;
	if (cc_is_large(c))
		cc_restart(tcp, c);
	if (conn_flight(c) == 0) {
		c->rtx_ns = 0;
		return;
	}
	resend_all(tcp, c);
	rto_start(tcp, c);
}

void loss_mtu_shrunk(struct tcp *tcp, struct conn *c)
{
	resend_all(tcp, c);
	rto_start(tcp, c);
}

void loss_timeout(struct tcp *tcp, struct conn *c)
{
	bool first = c->loss == LOSS_NONE && c->tries <= 1;
	uint32_t cwnd = c->cwnd_bytes;
	/* RFC 4015 3.2 (0): pipe_prev. */
	uint32_t ssthresh = max_u32(c->ssthresh_bytes, conn_flight(c));

	counter_inc(tcp->ctr, CTR_tcp_rto);
	/* A peer may drop what it only SACKed (RFC 2018 8): it did when the hole seems filled, and
	 * a second timeout without progress does not trust it either. */
	if (c->tries > 1 || (c->ls.run_count > 0 && board_runs(c)[0].state == RUN_SACKED))
		board_distrust(c);
	/* RFC 5681 3.1: the threshold falls once, whatever is lost again. */
	if (c->loss != LOSS_RTO)
		cc_timeout(c);
	else
		c->cwnd_bytes = c->mss;
	resend_all(tcp, c);
	/* RFC 5682 2.1 and 3.1, step 1: not within a recovery. */
	if (!first)
		return;
	c->ls.frto = FRTO_SENT;
	c->ls.undo_cwnd_bytes = cwnd;
	c->ls.undo_ssthresh_bytes = ssthresh;
}

bool frto_holds(const struct conn *c)
{
	return c->ls.frto == FRTO_NEW;
}

bool frto_give_up(struct conn *c)
{
	/* Step 2b: there was nothing new to send, so nothing can be told. */
	if (c->ls.frto != FRTO_NEW || seq_lt(c->recover, c->snd_nxt))
		return false;
	c->ls.frto = FRTO_NONE;
	return true;
}

/* The first ACK that matters after the retransmission. */
static void frto_first(struct conn *c, bool duplicate)
{
	if (duplicate) {
		/* With SACK it may tell of data that arrives late (3.1 step 2), without it ends
		 * the question (2.1 step 2a). */
		if (!(c->flags & CF_SACK))
			c->ls.frto = FRTO_NONE;
		return;
	}
	c->ls.frto = FRTO_NEW;
	c->cwnd_bytes = 2u * c->mss;
}

void frto_ack(struct tcp *tcp, struct conn *c, bool duplicate)
{
	if (c->ls.frto == FRTO_SENT) {
		frto_first(c, duplicate);
		return;
	}
	if (c->ls.frto != FRTO_NEW)
		return;
	/* Step 3b: what arrived now was sent before the timeout, and once. Without SACK only an ACK
	 * that moves says so. */
	if (tcp->ack.old_news && !tcp->ack.new_news && (c->flags & CF_SACK || !duplicate)) {
		recovery_undo(tcp, c, c->snd_una);
		return;
	}
	c->ls.frto = FRTO_NONE;
	c->cwnd_bytes = min_u32(c->cwnd_bytes, 3u * c->mss);
}
