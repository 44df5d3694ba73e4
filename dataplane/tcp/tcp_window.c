/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_window.h"

enum {
	ROUND_MIN_US = 1000,       /* the wheel's tick: shorter ones measure the owner's turns */
	ROUND_UNKNOWN_US = 100000, /* no round trip was measured yet */
	/* The peer may double what it sends in a round trip (RFC 5681 3.1), and a lost segment's
	 * successors stay in the window for one more. */
	ROUND_GROWTH = 4,
	/* A round begins late by up to one, and the peer's tail probe waits for two (RFC 8985 7.2).
	 */
	QUIET_ROUNDS = 3,
	SHARE = 8, /* of the free memory, for one connection under pressure */
};

static uint32_t round_us_of(const struct conn *c)
{
	return c->srtt_us > 0 ? max_u32(c->srtt_us, ROUND_MIN_US) : ROUND_UNKNOWN_US;
}

void window_begin(struct tcp *tcp, struct conn *c)
{
	c->mem.rx_mark = c->rcv_nxt;
	c->mem.rx_clock = fine_clock(tcp);
}

uint32_t window_share(const struct tcp *tcp, const struct conn *c, uint32_t want)
{
	uint64_t share = (uint64_t)rx_mem_free(&tcp->rx_mem) * TCP_RX_BLOCK / SHARE;

	return (uint32_t)min_u64(want, max_u64(share, 2u * c->mss));
}

void window_tune(const struct tcp *tcp, struct conn *c)
{
	uint32_t round_us = round_us_of(c);
	uint32_t elapsed = fine_clock(tcp) - c->mem.rx_clock;
	uint32_t done = c->rcv_nxt - conn_rx_len(c);
	uint64_t want = (uint64_t)(done - c->mem.rx_mark) * ROUND_GROWTH;

	if (elapsed < round_us)
		return;
	/* The round ends with the step that comes next, which may be late. */
	want = want * round_us / elapsed;
	c->mem.rx_mark = done;
	c->mem.rx_clock += elapsed;
	if (want > c->rx_wnd && tcp->rx_mem.level == MEM_AMPLE)
		c->rx_wnd = (uint32_t)min_u64(want, tcp->rx_wnd_max);
}

bool window_quiet(const struct tcp *tcp, const struct conn *c)
{
	return fine_clock(tcp) - c->mem.rx_clock > (uint64_t)QUIET_ROUNDS * round_us_of(c);
}
