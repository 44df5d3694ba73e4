/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What all congestion control has in common: slow start (RFC 5681 3.1), when a window counts as
 * used (RFC 7661), the reductions, and idle time. */
#include "dataplane/tcp/conn.h"

enum {
	/* RFC 9406 4.2: segments an ACK may add in slow start when nothing is paced. It is used for
	 * every slow start: what leaves at once stays within the burst that RFC 6928 allows, and
	 * receivers that join segments would slow a smaller number down without need. */
	SLOW_START_LIMIT = 8,
	CSS_GROWTH_DIVISOR = 4,           /* RFC 9406 4.3 */
	PERIOD_MIN_MS = 1000,             /* RFC 7661 4.2: the sampling period, 3 round trips */
	NON_VALIDATED_MS = 5 * 60 * 1000, /* RFC 7661 4.4.3 */
	RTO_INITIAL_US = 1000 * 1000,     /* RFC 6298 2.1 */
};

/* 16.8 ms a tick; differences are good for 18 minutes. */
static uint16_t period_clock(const struct tcp *tcp)
{
	return (uint16_t)(tcp->now_ns >> 24);
}

static uint32_t period_age_ms(const struct tcp *tcp, const struct conn *c)
{
	uint16_t ticks = (uint16_t)(period_clock(tcp) - c->cc.period_clock);

	return (uint32_t)(((uint64_t)ticks << 24) / NS_PER_MS);
}

static uint32_t initial_window(const struct tcp *tcp, const struct conn *c)
{
	return tcp->cfg.initial_window * c->mss; /* RFC 6928 2 */
}

const char *cc_name(const struct conn *c)
{
	return c->cc.newreno ? "newreno" : "cubic";
}

void cc_init(const struct tcp *tcp, struct conn *c)
{
	c->cc = (struct conn_cc){
	        .newreno = tcp->cfg.congestion == TCP_CONGESTION_NEWRENO,
	        .period_clock = period_clock(tcp),
	        .ack_clock = ts_clock(tcp),
	        .ecn_end = c->iss,
	};
	c->cwnd_bytes = initial_window(tcp, c);
	c->ssthresh_bytes = CC_WINDOW_MAX_BYTES;
	hystart_init(c);
	pace_init(tcp, c);
}

void cc_mss_raised(struct conn *c)
{
	c->cwnd_bytes = max_u32(c->cwnd_bytes, c->mss);
	c->ssthresh_bytes = max_u32(c->ssthresh_bytes, 2u * c->mss);
}

void cc_limited(const struct tcp *tcp, struct conn *c)
{
	/* Full once: from now on the ACKs give the pace. */
	if (tcp->cfg.pacing == TCP_PACING_INITIAL)
		c->flags &= ~CF_PACED;
	c->flags |= CF_CWND_LIMITED;
	c->cc.limited = 1;
}

/* The window is larger than what is used: it must not grow until it is the limit again. */
static void validation_end(const struct tcp *tcp, struct conn *c)
{
	c->flags &= ~CF_CWND_LIMITED;
	c->cc.in_round = 0;
	c->cc.limited = 0;
	c->cc.was_limited = 0;
	c->cc.flight_max[0] = 0;
	c->cc.flight_max[1] = 0;
	c->cc.period_clock = period_clock(tcp);
	cubic_pause(tcp, c);
	if (c->cc.phase != CC_AVOIDANCE) {
		c->cc.hystart.rtt_us = UINT32_MAX;
		c->cc.hystart.samples = 0;
	}
}

/* RFC 7661 4.2: pipeACK, as the largest of the flights measured. */
static uint32_t flight_measure(const struct tcp *tcp, struct conn *c)
{
	struct conn_cc *cc = &c->cc;

	if (period_age_ms(tcp, c) >= max_u32(PERIOD_MIN_MS, 3 * (c->srtt_us / 1000)) / 2) {
		cc->flight_max[1] = cc->flight_max[0];
		cc->flight_max[0] = 0;
		cc->period_clock = period_clock(tcp);
	}
	cc->flight_max[0] = max_u32(cc->flight_max[0], conn_flight(c));
	return max_u32(cc->flight_max[0], cc->flight_max[1]);
}

/* With nothing in flight the next round begins with what is sent next, that is with its first ACK.
 */
static void round_begin(struct conn *c, uint32_t ack)
{
	c->cc.round_end = c->snd_nxt;
	c->cc.was_limited = c->cc.limited;
	c->cc.limited = 0;
	c->cc.in_round = ack != c->snd_nxt;
}

/* True when the window may grow. */
static bool round_input(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	bool in_round = c->cc.in_round;
	bool fresh = c->cc.flight_max[0] + c->cc.flight_max[1] == 0;
	uint32_t used;

	if (in_round && seq_lt(ack, c->cc.round_end))
		return true;
	if (fresh)
		c->cc.period_clock = period_clock(tcp);
	used = flight_measure(tcp, c);
	/* RFC 7661 4.3: validated is a window half of which is used, or that is the limit. */
	if (used < c->cwnd_bytes / 2 && !c->cc.limited) {
		validation_end(tcp, c);
		return false;
	}
	round_begin(c, ack);
	if (in_round && c->cc.phase != CC_AVOIDANCE)
		hystart_round(tcp, c);
	return true;
}

static void slow_start(const struct tcp *tcp, struct conn *c, uint32_t acked)
{
	/* RFC 3465 2.3: what was acknowledged after a timeout may have left long ago. */
	if (c->loss == LOSS_RTO)
		acked = min_u32(acked, c->mss);
	else if (tcp->cfg.pacing != TCP_PACING_ON)
		acked = min_u32(acked, (uint32_t)SLOW_START_LIMIT * c->mss);
	if (c->cc.phase == CC_CSS)
		acked /= CSS_GROWTH_DIVISOR;
	c->cwnd_bytes = min_u32(c->cwnd_bytes + acked, CC_WINDOW_MAX_BYTES);
}

void cc_grow(struct tcp *tcp, struct conn *c, uint32_t acked)
{
	c->cc.ack_clock = ts_clock(tcp);
	if (c->flags & CF_CWND_LIMITED && !round_input(tcp, c, c->snd_una + acked) &&
	    c->loss == LOSS_NONE)
		return;
	/* Nothing grows while the window that met a mark is in flight. */
	if (c->flags & CF_ECN && ecn_in_window(c, c->snd_una + acked))
		return;
	if (c->cwnd_bytes < c->ssthresh_bytes) {
		slow_start(tcp, c, acked);
		return;
	}
	/* RFC 9438 5.8: a flow that is not limited by its window is not in its curve. */
	if (!c->cc.limited && !c->cc.was_limited) {
		cubic_pause(tcp, c);
		return;
	}
	if (c->cc.newreno)
		newreno_grow(c, acked);
	else
		cubic_grow(tcp, c, acked);
}

/* Returns the new threshold before its lower bound. */
static uint32_t reduce(struct conn *c)
{
	struct conn_cc *cc = &c->cc;

	cc->saved_phase = cc->phase;
	if (cc->phase != CC_AVOIDANCE)
		cc->cubic = (struct cubic){0};
	cc->phase = CC_AVOIDANCE;
	cc->saved = cc->cubic;
	cc->carry = 0;
	/* RFC 3168 6.1.2: whatever the reason was. */
	cc->cwr = (c->flags & CF_ECN) != 0;
	return cc->newreno ? newreno_reduce(c) : cubic_reduce(c);
}

void cc_loss(struct conn *c)
{
	c->ssthresh_bytes = max_u32(reduce(c), 2u * c->mss);
	c->cwnd_bytes = c->ssthresh_bytes;
}

void cc_timeout(struct conn *c)
{
	c->ssthresh_bytes = max_u32(reduce(c), 2u * c->mss);
	c->cwnd_bytes = c->mss; /* RFC 5681 3.1 */
	c->cc.cubic.timed_out = 1;
}

void cc_ecn(struct conn *c)
{
	uint32_t window = reduce(c);

	/* RFC 9438 4.6: no segment was lost, so that one may be enough. */
	c->ssthresh_bytes = max_u32(window, 2u * c->mss);
	c->cwnd_bytes = min_u32(c->cwnd_bytes, max_u32(window, c->mss));
}

void cc_undo(struct conn *c)
{
	if (c->cc.saved_phase != CC_AVOIDANCE && c->ssthresh_bytes >= CC_WINDOW_MAX_BYTES) {
		hystart_init(c); /* nothing is known of the rounds before */
		return;
	}
	c->cc.cubic = c->cc.saved;
}

/* RFC 7661 4.4.3, RFC 2861 3: what the window was is not forgotten. */
static void threshold_keep(struct conn *c)
{
	c->ssthresh_bytes = max_u32(c->ssthresh_bytes, c->cwnd_bytes / 4 * 3);
}

/* Since the last segment left: either it was timed, or not much later than one that was; or the
 * window was the limit, and then it left a round trip before it was acknowledged. */
static uint64_t idle_us(const struct tcp *tcp, const struct conn *c)
{
	uint64_t timed = (tcp->now_ns - c->rtt_start_ns) / NS_PER_US;
	uint64_t acked = (uint64_t)(ts_clock(tcp) - c->cc.ack_clock) * TS_TICK_US + c->srtt_us;

	return min_u64(timed, acked);
}

void cc_restart(struct tcp *tcp, struct conn *c)
{
	uint64_t rto = c->rto_us ? c->rto_us : RTO_INITIAL_US;
	uint64_t idle = idle_us(tcp, c);
	/* RFC 5681 4.1: RW = min(IW, cwnd); what is no burst at all is not called for. */
	uint32_t floor = min_u32(initial_window(tcp, c), c->cwnd_bytes);

	if (idle <= rto) {
		/* The first window may still be on its way out. */
		if (tcp->cfg.pacing == TCP_PACING_INITIAL && c->snd_una != c->iss + 1)
			c->flags &= ~CF_PACED;
		return;
	}
	if (c->cwnd_bytes > floor) {
		counter_inc(tcp->ctr, CTR_tcp_idle_restart);
		threshold_keep(c);
	}
	/* RFC 2861 3.1: half for each timeout that could have been. */
	for (; idle > rto && c->cwnd_bytes > floor; idle -= rto)
		c->cwnd_bytes = max_u32(c->cwnd_bytes / 2, floor);
	validation_end(tcp, c);
	if (c->cc.phase != CC_AVOIDANCE)
		hystart_init(c);
	pace_begin(tcp, c);
}

void cc_age(const struct tcp *tcp, struct conn *c)
{
	uint32_t floor = initial_window(tcp, c);

	if (c->flags & CF_CWND_LIMITED || c->cwnd_bytes <= floor ||
	    period_age_ms(tcp, c) < NON_VALIDATED_MS)
		return;
	threshold_keep(c);
	c->cwnd_bytes = max_u32(c->cwnd_bytes / 2, floor);
	c->cc.period_clock = period_clock(tcp);
}
