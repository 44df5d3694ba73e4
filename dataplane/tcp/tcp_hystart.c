/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HyStart++ (RFC 9406): round trips that grow show that a queue builds up, and end the first slow
 * start before that queue overflows.
 *
 * With timestamps each ACK is a sample, coarse (about a millisecond) but fine enough for thresholds
 * of 4 ms and more. Without them there is one a round, of a segment sent near its begin, that is
 * about where the least of a round is to be found; N_RTT_SAMPLE is 1 then, and what that misjudges,
 * conservative slow start puts right. */
#include "dataplane/tcp/conn.h"

enum {
	/* RFC 9406 4.3 */
	MIN_RTT_THRESH_US = 4000,
	MAX_RTT_THRESH_US = 16000,
	MIN_RTT_DIVISOR = 8,
	N_RTT_SAMPLE = 8,
	CSS_ROUNDS = 5,
};

void hystart_init(struct conn *c)
{
	c->cc.phase = CC_SLOW_START;
	c->cc.hystart = (struct hystart){.rtt_us = UINT32_MAX};
	c->cc.in_round = 0;
}

/* Of this ACK; 0: it tells none. */
static uint32_t rtt_of(const struct tcp *tcp, const struct conn *c, const struct seg *s)
{
	uint32_t ticks;

	if (c->flags & CF_TS) {
		ticks = ts_clock(tcp) + c->ts_offset - s->tsecr;
		/* Half a minute is no round trip, but an echo that makes no sense. */
		if (!s->has_ts || s->tsecr == 0 || ticks > 1u << 15)
			return 0;
		return ticks * TS_TICK_US + 1;
	}
	if (!(c->flags & CF_TIMING) || !seq_le(c->rtt_seq, s->ack))
		return 0;
	return (uint32_t)min_u64((tcp->now_ns - c->rtt_start_ns) / NS_PER_US + 1, 1u << 25);
}

static uint32_t threshold_us(const struct hystart *h)
{
	return max_u32(MIN_RTT_THRESH_US,
	               min_u32(h->last_rtt_us / MIN_RTT_DIVISOR, MAX_RTT_THRESH_US));
}

void hystart_sample(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct hystart *h = &c->cc.hystart;
	uint32_t us;

	if (c->cc.phase == CC_AVOIDANCE || c->loss != LOSS_NONE)
		return;
	us = rtt_of(tcp, c, s);
	if (us == 0)
		return;
	h->rtt_us = min_u32(h->rtt_us, us);
	if (h->samples < UINT8_MAX)
		h->samples++;
	if (h->samples < (c->flags & CF_TS ? N_RTT_SAMPLE : 1))
		return;
	if (c->cc.phase == CC_CSS) {
		/* It was jitter: on with slow start. */
		if (h->rtt_us < h->base_rtt_us)
			c->cc.phase = CC_SLOW_START;
		return;
	}
	if (h->last_rtt_us == 0 || h->rtt_us < h->last_rtt_us + threshold_us(h))
		return;
	h->base_rtt_us = h->rtt_us;
	h->rounds = 0;
	c->cc.phase = CC_CSS;
	counter_inc(tcp->ctr, CTR_tcp_hystart_css);
}

void hystart_round(struct tcp *tcp, struct conn *c)
{
	struct hystart *h = &c->cc.hystart;

	if (h->rtt_us != UINT32_MAX)
		h->last_rtt_us = h->rtt_us;
	h->rtt_us = UINT32_MAX;
	h->samples = 0;
	if (c->cc.phase != CC_CSS || ++h->rounds < CSS_ROUNDS)
		return;
	counter_inc(tcp->ctr, CTR_tcp_hystart_exit);
	c->ssthresh_bytes = c->cwnd_bytes;
	c->cc.phase = CC_AVOIDANCE;
	c->cc.cubic = (struct cubic){0};
	c->cc.carry = 0;
}
