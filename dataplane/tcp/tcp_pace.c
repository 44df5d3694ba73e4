/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pacing of new data: a bucket that holds CC_BURST_SEGS segments, filled at the pace of twice the
 * window in a round trip during slow start and 1.2 times later, so that the window and not the pace
 * is what limits in the long run. The timer's tick is 1 ms: what became due since the last one, or
 * since the last ACK, leaves in one burst. Data sent again is not paced: recovery says when.
 *
 * With TCP_PACING_INITIAL it runs until the window is full once, and the ACKs give the pace. */
#include "dataplane/tcp/conn.h"

enum {
	ASSUMED_RTT_US = 100 * 1000, /* when the handshake told none */
	BUCKET_MIN_CLOCKS = 2000,    /* about two ticks, for windows of more than a burst a tick */
	TICK_NS = 1024,              /* of fine_clock */
};

/* In ticks of fine_clock. */
static uint32_t round_trip(const struct conn *c)
{
	uint64_t us = c->srtt_us ? c->srtt_us : ASSUMED_RTT_US;

	return (uint32_t)(us * 1000 / TICK_NS);
}

/* The same, for so many bytes; no more than a round trip. */
static uint32_t pace_time(const struct conn *c, uint32_t bytes)
{
	uint64_t window = c->cwnd_bytes;

	window = c->cwnd_bytes < c->ssthresh_bytes ? window * 2 : window * 6 / 5;
	return (uint32_t)(min_u64(bytes, window) * round_trip(c) / window);
}

static uint32_t bucket_time(const struct conn *c)
{
	return max_u32(CC_BURST_SEGS * pace_time(c, c->mss), BUCKET_MIN_CLOCKS);
}

void pace_begin(struct tcp *tcp, struct conn *c)
{
	if (tcp->cfg.pacing == TCP_PACING_OFF || !cc_is_large(c))
		return;
	c->flags |= CF_PACED;
	/* The first segment has left. */
	c->cc.pace_clock = fine_clock(tcp) - (CC_BURST_SEGS - 1) * pace_time(c, c->mss);
}

void pace_init(const struct tcp *tcp, struct conn *c)
{
	c->flags &= ~CF_PACED;
	if (tcp->cfg.pacing == TCP_PACING_OFF ||
	    (tcp->cfg.pacing == TCP_PACING_INITIAL && tcp->cfg.initial_window <= CC_BURST_SEGS))
		return;
	c->flags |= CF_PACED;
	/* The bucket is full when the first segment leaves. */
	c->cc.pace_clock = fine_clock(tcp) - (1u << 30);
}

bool pace_allows(struct tcp *tcp, struct conn *c, uint32_t len)
{
	uint32_t now = fine_clock(tcp);
	uint32_t bucket = bucket_time(c);
	int32_t ahead = (int32_t)(c->cc.pace_clock - now);

	/* A time further ahead than a segment can set it is one of an hour ago. */
	if (ahead < -(int32_t)bucket || ahead > (int32_t)round_trip(c)) {
		c->cc.pace_clock = now - bucket;
	} else if (ahead >= 0) {
		counter_inc(tcp->ctr, CTR_tcp_paced);
		conn_arm(tcp, c, tcp->now_ns + ((uint64_t)ahead + 1) * TICK_NS);
		return false;
	}
	c->cc.pace_clock += pace_time(c, len);
	return true;
}

uint32_t pace_more(const struct tcp *tcp, const struct conn *c, uint32_t most)
{
	uint32_t at = c->cc.pace_clock;
	uint32_t each = pace_time(c, c->mss);
	uint32_t n = 0;

	for (; n < most && seq_lt(at, fine_clock(tcp)); n++)
		at += each;
	return n;
}

void pace_sent(struct conn *c, uint32_t bytes)
{
	c->cc.pace_clock += pace_time(c, bytes);
}
