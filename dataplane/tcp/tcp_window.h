/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The receive window (RFC 9293 3.8.6.2, RFC 7323 2): its right edge, and how it grows with what the
 * owner reads. Memory is taken for bytes that are kept, not for bytes that are offered, so a window
 * may be as large as the path needs; how far all of them together may run ahead of the memory is
 * for enum mem_level to say.
 *
 * Called by: tcp_out.c for each segment, tcp_listen.c at the peer's SYN. Must not send. */
#ifndef DATAPLANE_TCP_TCP_WINDOW_H
#define DATAPLANE_TCP_TCP_WINDOW_H

#include "dataplane/tcp/conn.h"

/* At the peer's SYN: from now on the owner's reading is measured. */
void window_begin(struct tcp *tcp, struct conn *c);
/* When the right edge moves: once in a round trip, the window grows to several times of what the
 * owner read in it. A window that is not the limit does not grow, whatever the path. */
void window_tune(const struct tcp *tcp, struct conn *c);
/* Nothing moved the right edge for several round trips. */
bool window_quiet(const struct tcp *tcp, const struct conn *c);
/* Memory is scarce: what of want bytes may be offered. */
uint32_t window_share(const struct tcp *tcp, const struct conn *c, uint32_t want);

/* What may be offered at most now, in steps of the scale. */
static inline uint32_t window_free(const struct tcp *tcp, const struct conn *c)
{
	uint32_t room = c->rx_wnd - min_u32(c->rx_wnd, conn_rx_len(c));

	if (unlikely(tcp->rx_mem.level >= MEM_OFFER_LESS))
		room = window_share(tcp, c, room);
	room = min_u32(room, 65535u << c->rcv_wscale);
	return room >> c->rcv_wscale << c->rcv_wscale;
}

/* Moves the right edge, never back (RFC 9293 3.8.6.2.1) and never by less than a segment or half of
 * the window (3.8.6.2.2), and returns the header's field. */
static inline uint16_t window_take(const struct tcp *tcp, struct conn *c)
{
	uint32_t edge = c->rcv_nxt + window_free(tcp, c);
	uint32_t acked = c->rcv_nxt - c->view_len; /* the segment's ACK, which it counts from */
	uint32_t wnd;

	if ((int32_t)(edge - c->rcv_adv) >= (int32_t)min_u32(c->mss, c->rx_wnd / 2)) {
		window_tune(tcp, c);
		c->rcv_adv = edge;
	}
	wnd = seq_lt(acked, c->rcv_adv) ? c->rcv_adv - acked : 0;
	/* Rounding down would take back bytes that were offered; rounded up, the edge that the peer
	 * sees wavers by less than a unit (RFC 7323 2.4), and rx_trim lets that much in. */
	wnd = (wnd + (1u << c->rcv_wscale) - 1) >> c->rcv_wscale;
	return (uint16_t)min_u32(wnd, 65535);
}

/* RFC 7323 2.2: the window of a SYN is never scaled. When it is sent again, an ACK in between may
 * have offered more, which stays (RFC 9293 3.8.6.2.1). */
static inline uint16_t window_take_syn(const struct tcp *tcp, struct conn *c)
{
	uint32_t wnd = syn_window(tcp);

	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + wnd);
	return (uint16_t)wnd;
}

/* The owner read so much that the peer should hear of it: two segments or half of the window. */
static inline bool window_update_due(const struct tcp *tcp, const struct conn *c)
{
	uint32_t half = c->rx_wnd / 2;
	uint32_t edge;

	/* In order arrivals are acknowledged anyway; this is for a window that was nearly closed,
	 * or that a peer sees too small in a recovery: what came out of order was acknowledged at
	 * once, before the data in front of it was read. */
	if (likely(c->rcv_adv - c->rcv_nxt >= half && c->ack_segs == 0 &&
	           seq_lt(c->rcv_nxt, c->rcv_adv) && !(c->rx && c->rx->ooo_count > 0)))
		return false;
	edge = c->rcv_nxt + window_free(tcp, c);
	return (int32_t)(edge - c->rcv_adv) >= (int32_t)min_u32(2u * c->mss, half);
}

#endif
