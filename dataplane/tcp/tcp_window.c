/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a peer may send: the receive window, its right edge, and how it grows with what the owner
 * reads. Memory is taken for bytes that are kept, not for bytes that are offered, so a window may
 * be as large as the path needs; how far all of them may run ahead of the memory is for
 * rx_mem_level to say. */
#include "dataplane/tcp/conn.h"

enum {
	ROUND_MIN_US = 1000,       /* the wheel's tick: shorter ones measure the owner's turns */
	ROUND_UNKNOWN_US = 100000, /* no round trip was measured yet */
	/* The peer may double what it sends in a round trip (RFC 5681 3.1), and a lost segment's
	 * successors stay in the window for one more. */
	ROUND_GROWTH = 4,
	SHARE = 8, /* of the free memory, for one connection under pressure */
};

void window_begin(struct tcp *tcp, struct conn *c)
{
	c->mem.rx_mark = c->rcv_nxt;
	c->mem.rx_clock = fine_clock(tcp);
}

/* RFC 9293 3.8.6.2.2: the right edge moves by a segment or by half of the buffer, or not at all. */
static uint32_t step_min(const struct conn *c)
{
	return min_u32(c->mss, c->rx_wnd / 2);
}

/* What may be offered at most now, in steps of the scale. */
static uint32_t window_free(const struct tcp *tcp, const struct conn *c)
{
	uint32_t unread = conn_rx_len(c);
	uint32_t free_bytes = c->rx_wnd - min_u32(c->rx_wnd, unread);

	if (unlikely(rx_mem_level(&tcp->rx_mem) >= MEM_OFFER_LESS)) {
		uint64_t share = (uint64_t)rx_mem_free(&tcp->rx_mem) * TCP_RX_BLOCK / SHARE;

		free_bytes = (uint32_t)min_u64(free_bytes, max_u64(share, 2u * c->mss));
	}
	free_bytes = min_u32(free_bytes, 65535u << c->rcv_wscale);
	return free_bytes >> c->rcv_wscale << c->rcv_wscale;
}

/* Once in a round trip: room for what the owner reads in one, several times over. A window that is
 * not the limit does not grow, whatever the path. */
static void window_tune(const struct tcp *tcp, struct conn *c)
{
	uint32_t round_us = c->srtt_us > 0 ? max_u32(c->srtt_us, ROUND_MIN_US) : ROUND_UNKNOWN_US;
	uint32_t elapsed = fine_clock(tcp) - c->mem.rx_clock;
	uint32_t done = c->rcv_nxt - conn_rx_len(c);
	uint64_t want = (uint64_t)(done - c->mem.rx_mark) * ROUND_GROWTH;

	if (elapsed < round_us)
		return;
	/* The round ends with the step that comes next, which may be late. */
	want = want * round_us / elapsed;
	c->mem.rx_mark = done;
	c->mem.rx_clock += elapsed;
	if (want > c->rx_wnd && rx_mem_level(&tcp->rx_mem) == MEM_AMPLE)
		c->rx_wnd = (uint32_t)min_u64(want, tcp->rx_wnd_max);
}

uint16_t window_take(const struct tcp *tcp, struct conn *c)
{
	uint32_t edge = c->rcv_nxt + window_free(tcp, c);
	uint32_t wnd;

	/* Never back (RFC 9293 3.8.6.2.1). */
	if ((int32_t)(edge - c->rcv_adv) >= (int32_t)step_min(c)) {
		window_tune(tcp, c);
		c->rcv_adv = edge;
	}
	wnd = seq_lt(c->rcv_nxt, c->rcv_adv) ? c->rcv_adv - c->rcv_nxt : 0;
	/* Rounding down would take back bytes that were offered. */
	wnd = (wnd + (1u << c->rcv_wscale) - 1) >> c->rcv_wscale;
	return (uint16_t)min_u32(wnd, 65535);
}

uint16_t window_take_syn(const struct tcp *tcp, struct conn *c)
{
	uint32_t wnd = min_u32(tcp->cfg.rx_buf_bytes, 65535);

	c->rcv_adv = c->rcv_nxt + wnd;
	return (uint16_t)wnd;
}

bool window_update_due(const struct tcp *tcp, const struct conn *c)
{
	uint32_t edge = c->rcv_nxt + window_free(tcp, c);
	uint32_t step = min_u32(2u * c->mss, c->rx_wnd / 2);

	/* In order arrivals are acknowledged anyway; this is for a window that was nearly closed.
	 */
	if (c->rcv_adv - c->rcv_nxt >= c->rx_wnd / 2 && c->ack_segs == 0 &&
	    seq_lt(c->rcv_nxt, c->rcv_adv))
		return false;
	return (int32_t)(edge - c->rcv_adv) >= (int32_t)step;
}
