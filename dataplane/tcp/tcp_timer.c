/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A connection's deadlines, on one timer of the wheel. The timer is moved only to an earlier time;
 * one that fires too early looks at the deadlines and is set again. So a segment costs no work on
 * the wheel while the timer is set anyway. */
#include "dataplane/tcp/conn.h"

enum {
	RTO_INITIAL_MS = 1000, /* RFC 6298 2.1 */
	CLOCK_GRANULARITY_US = 1000,
	RTT_MAX_US = 120 * 1000 * 1000,
	KARN_MAX_TRIES = 3,
};

void conn_arm(struct tcp *tcp, struct conn *c, uint64_t deadline_ns)
{
	if (!timer_is_set(&c->timer) || deadline_ns < c->timer.deadline_ns)
		timer_set(&tcp->wheel, &c->timer, deadline_ns);
}

bool window_closed(const struct conn *c)
{
	uint32_t unsent;

	if (!conn_synchronized(c))
		return false;
	if (c->snd_wnd == 0)
		return true;
	unsent = conn_tx_end(c) - c->snd_nxt;
	return conn_flight(c) == 0 && c->tx_bytes > 0 && unsent > 0;
}

/* Without what timeouts in a row make of it. */
static uint64_t rto_base_us(const struct tcp *tcp, const struct conn *c)
{
	return c->rto_us > 0 ? c->rto_us
	                     : (uint64_t)max_u32(RTO_INITIAL_MS, tcp->cfg.min_rto_ms) * 1000;
}

/* RFC 6298 5.5: doubled for each timeout in a row. */
static uint64_t rto_ns(const struct tcp *tcp, const struct conn *c)
{
	uint32_t max_ms = window_closed(c) ? tcp->cfg.persist_max_ms : tcp->cfg.max_rto_ms;
	uint64_t ns = rto_base_us(tcp, c) * NS_PER_US;

	ns <<= c->tries < 16 ? c->tries : 16;
	ns = min_u64(ns, max_ms * NS_PER_MS);
	return unlikely(c->tries > 0) ? uto_clip_ns(tcp, c, ns) : ns;
}

void rto_start(struct tcp *tcp, struct conn *c)
{
	bool plain = c->tries == 0 && c->rto_us > 0 && c->snd_wnd > 0 && conn_flight(c) > 0;
	uint64_t ns = (uint64_t)c->rto_us * NS_PER_US;

	c->flags &= ~CF_RTX_EARLY;
	/* Nothing is doubled, and the window is not closed. */
	if (likely(plain))
		ns = min_u64(ns, tcp->cfg.max_rto_ms * NS_PER_MS);
	else
		ns = rto_ns(tcp, c);
	c->rtx_ns = tcp->now_ns + ns;
	conn_arm(tcp, c, c->rtx_ns);
}

/* RFC 8985 7.2. */
bool probe_wanted(const struct conn *c)
{
	return conn_flight(c) > 0 && c->loss == LOSS_NONE &&
	       (!c->has_runs || c->sacked_bytes == 0) && c->tries == 0 && c->snd_wnd > 0 &&
	       (c->flags & (CF_SACK | CF_PROBED)) == CF_SACK && conn_synchronized(c);
}

void rtx_start(struct tcp *tcp, struct conn *c)
{
	rto_start(tcp, c);
	probe_hasten(tcp, c);
}

void probe_hasten(struct tcp *tcp, struct conn *c)
{
	uint64_t at = tcp->now_ns + probe_us(c) * NS_PER_US;

	if (c->flags & CF_RTX_REORDER || c->rtx_ns <= at || !probe_wanted(c))
		return;
	c->flags |= CF_RTX_PROBE;
	c->rtx_ns = at;
	conn_arm(tcp, c, at);
}

void reorder_start(struct tcp *tcp, struct conn *c, uint32_t us)
{
	uint64_t at = tcp->now_ns + (uint64_t)us * NS_PER_US;

	if (c->rtx_ns != 0 && !(c->flags & CF_RTX_PROBE) && c->rtx_ns <= at)
		return;
	if (c->rtx_ns == 0 || c->flags & CF_RTX_PROBE)
		c->ls.rto_at_ns = tcp->now_ns + rto_ns(tcp, c);
	else if (!(c->flags & CF_RTX_REORDER))
		c->ls.rto_at_ns = c->rtx_ns;
	c->flags = (c->flags & ~CF_RTX_EARLY) | CF_RTX_REORDER;
	c->rtx_ns = at;
	conn_arm(tcp, c, at);
}

void rto_postpone(struct tcp *tcp, struct conn *c)
{
	if (c->flags & CF_RTX_REORDER)
		c->ls.rto_at_ns = tcp->now_ns + rto_ns(tcp, c);
	else
		rto_start(tcp, c);
}

/* The floor is beyond the round trip, since it is for what the peer's delayed ACK adds to that:
 * were it one of the whole, an ACK delayed by just so much would always be too late. */
static void rto_update(const struct tcp *tcp, struct conn *c)
{
	uint32_t floor_us = max_u32(CLOCK_GRANULARITY_US, tcp->cfg.min_rto_ms * 1000);
	uint32_t rto = c->srtt_us + max_u32(floor_us, 4 * c->rttvar_us);

	c->rto_us = min_u32(rto, tcp->cfg.max_rto_ms * 1000);
}

/* RFC 6298 2.2, 2.3. */
static void rtt_sample(const struct tcp *tcp, struct conn *c, uint64_t rtt)
{
	uint32_t us = rtt == 0 ? 1 : (uint32_t)min_u64(rtt, RTT_MAX_US);

	if (c->srtt_us == 0) {
		c->srtt_us = us;
		c->rttvar_us = us / 2;
	} else {
		uint32_t diff = us > c->srtt_us ? us - c->srtt_us : c->srtt_us - us;

		c->rttvar_us = (uint32_t)((3ull * c->rttvar_us + diff) / 4);
		c->srtt_us = max_u32((uint32_t)((7ull * c->srtt_us + us) / 8), 1);
	}
	rto_update(tcp, c);
}

/* A probe went out just now, and this is not its answer: the peer took longer than the timeout. */
static bool probe_overtaken(const struct tcp *tcp, const struct conn *c)
{
	return c->flags & CF_PROBED &&
	       clock_since(tcp, c->ls.sent_clock) < clock_ticks(c->srtt_us / 2);
}

/* True when a measurement ended. */
static bool rtt_measure(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	uint32_t ticks;
	uint64_t us;

	if (c->flags & CF_TIMING) {
		if (!seq_le(c->rtt_seq, s->ack))
			return false;
		c->flags &= ~CF_TIMING;
		us = (tcp->now_ns - c->rtt_start_ns) / NS_PER_US;
		rtt_sample(tcp, c, us);
		/* A connection of short exchanges does without, and without its memory. */
		if (unlikely(c->flags & CF_CWND_LIMITED))
			rack_rtt(tcp, c, (uint32_t)min_u64(us, RTT_MAX_US));
		return true;
	}
	/* After a retransmission only an echoed timestamp tells which copy arrived (RFC 7323 4).
	 * When ACKs were lost it may be an early copy's, though, and cover all the timeouts in
	 * between. */
	ticks = ts_clock(tcp) + c->ts_offset - s->tsecr;
	us = (uint64_t)ticks * TS_TICK_US;
	if (!(c->flags & CF_TS) || !s->has_ts || s->tsecr == 0)
		return false;
	if (us >= rto_base_us(tcp, c) << probe_overtaken(tcp, c))
		return false;
	rtt_sample(tcp, c, us);
	return true;
}

void rtt_ack(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	/* Karn's algorithm (RFC 6298 5): the timeout stays backed off until there is a sound
	 * sample, so that a path that became slower is noticed. But progress is progress: a few
	 * doublings are enough, and the count towards giving up begins anew. */
	if (rtt_measure(tcp, c, s))
		c->tries = 0;
	else if (c->tries > KARN_MAX_TRIES)
		c->tries = KARN_MAX_TRIES;
}

void rtt_spurious(struct tcp *tcp, struct conn *c)
{
	uint32_t ticks = ts_clock(tcp) + c->ts_offset - c->ls.undo_ts;
	/* The ACK took a timeout and what passed since. */
	uint64_t us = (uint64_t)c->rto_us + (uint64_t)ticks * TS_TICK_US;
	uint32_t sample = (uint32_t)min_u64(us, RTT_MAX_US);

	c->srtt_us = max_u32(c->srtt_us, sample);
	c->rttvar_us = max_u32(c->rttvar_us, sample / 2);
	rto_update(tcp, c);
	c->tries = 0;
}

static bool keepalive_wanted(const struct tcp *tcp, const struct conn *c)
{
	return tcp->cfg.keepalive_idle_ms > 0 &&
	       (c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
	        c->state == TCP_FIN_WAIT_2);
}

static uint64_t keepalive_due(const struct tcp *tcp, const struct conn *c)
{
	return c->last_rx_ns +
	       (tcp->cfg.keepalive_idle_ms + (uint64_t)c->probes * tcp->cfg.keepalive_interval_ms) *
	               NS_PER_MS;
}

void keepalive_start(struct tcp *tcp, struct conn *c)
{
	if (keepalive_wanted(tcp, c))
		conn_arm(tcp, c, keepalive_due(tcp, c));
}

/* Of the whole life of a connection that its owner let go: peers that take a byte now and then
 * would keep its memory for ever (RFC 6429 3). */
static uint64_t orphan_left_ns(const struct tcp *tcp, const struct conn *c)
{
	uint64_t age_ns = (uint64_t)(ts_clock(tcp) - c->orphan_since) * TS_TICK_NS;
	uint64_t life_ns = tcp->cfg.orphan_life_ms * NS_PER_MS;

	return life_ns - min_u64(age_ns, life_ns);
}

void linger_start(struct tcp *tcp, struct conn *c)
{
	c->linger_ns =
	        tcp->now_ns + min_u64(tcp->cfg.fin_wait_2_ms * NS_PER_MS, orphan_left_ns(tcp, c));
	conn_arm(tcp, c, c->linger_ns);
}

static void timed_out(struct tcp *tcp, struct conn *c)
{
	counter_inc(tcp->ctr, CTR_tcp_timeout);
	c->end = TCP_END_TIMEOUT;
	conn_die(tcp, c);
}

/* False when the connection is gone, as of the following. */
static bool syn_timeout(struct tcp *tcp, struct conn *c)
{
	uint32_t most = tcp->cfg.syn_retries;

	if (!(c->flags & CF_PASSIVE))
		most = max_u32(most, TCP_SYN_RETRIES_ACTIVE);
	if (c->tries >= most) {
		timed_out(tcp, c);
		return false;
	}
	c->tries++;
	c->hs.syn_resent++;
	fast_open_failed(tcp, c);
	c->flags &= ~CF_TIMING;
	counter_inc(tcp->ctr, CTR_tcp_rexmit);
	syn_send(tcp, c);
	rto_start(tcp, c);
	return true;
}

/* RFC 9293 3.8.6.1: a peer that answers may keep its window closed, but not for ever while it holds
 * our memory (RFC 6429 4); probes counts those without an answer. */
static bool persist_timeout(struct tcp *tcp, struct conn *c)
{
	if (c->probes >= tcp->cfg.retries) {
		timed_out(tcp, c);
		return false;
	}
	/* Only an answer says that the window is shut still, and not that a segment was lost. */
	if (c->probes == 0 && uto_shut_expired(tcp, c)) {
		counter_inc(tcp->ctr, CTR_tcp_persist_limit);
		c->end = TCP_END_TIMEOUT;
		conn_reset(tcp, c);
		return false;
	}
	if (c->snd_wnd == 0) {
		c->probes++;
		if (c->tries < UINT8_MAX)
			c->tries++;
	}
	window_probe(tcp, c);
	rto_start(tcp, c);
	return true;
}

static void early_timeout(struct tcp *tcp, struct conn *c)
{
	if (c->flags & CF_RTX_REORDER) {
		/* RFC 6298 5.3: only new data acknowledged starts the timeout anew. */
		c->flags &= ~CF_RTX_EARLY;
		c->rtx_ns = c->ls.rto_at_ns;
		loss_ack_begin(tcp, c);
		tcp->ack.by_clock = true;
		loss_decide(tcp, c, false);
	} else {
		rto_start(tcp, c);
		tail_probe(tcp, c);
	}
	conn_output(tcp, c);
}

static bool rtx_timeout(struct tcp *tcp, struct conn *c)
{
	bool mtu_probe = c->pmtu.probe > 0;

	c->rtx_ns = 0;
	if (c->state == TCP_TIME_WAIT) {
		conn_finish(tcp, c); /* the owner may not have read everything yet */
		return false;
	}
	if (!conn_synchronized(c))
		return syn_timeout(tcp, c);
	if (window_closed(c) && (conn_flight(c) > 0 || c->tx_bytes > 0))
		return persist_timeout(tcp, c);
	if (conn_flight(c) == 0)
		return true;
	/* RFC 8985 7.2: where the timeout were sooner than the probe, the probe takes its place.
	 * Not for a single segment without timestamps: its peer may delay the ACK for as long, and
	 * only a timeout backs off until that is known (RFC 6298 5.5). */
	if (c->flags & CF_RTX_EARLY ||
	    ((conn_flight(c) > c->mss || c->flags & CF_TS) && probe_wanted(c))) {
		early_timeout(tcp, c);
		return true;
	}
	if (uto_expired(tcp, c, rto_ns(tcp, c))) {
		if (c->tries < tcp->cfg.retries)
			counter_inc(tcp->ctr, CTR_tcp_user_timeout);
		timed_out(tcp, c);
		return false;
	}
	if (c->tries < UINT8_MAX)
		c->tries++;
	if (!pmtu_timeout(tcp, c))
		loss_timeout(tcp, c);
	if (mtu_probe)
		c->ls.frto = FRTO_NONE; /* it was too large: there is nothing to find out */
	rto_start(tcp, c);
	conn_output(tcp, c);
	return true;
}

static bool keepalive_timeout(struct tcp *tcp, struct conn *c)
{
	if (!keepalive_wanted(tcp, c) || tcp->now_ns < keepalive_due(tcp, c))
		return true;
	/* What is in flight probes the peer already. */
	if (c->rtx_ns != 0)
		return true;
	if (c->probes >= tcp->cfg.keepalive_probes) {
		timed_out(tcp, c);
		return false;
	}
	c->probes++;
	keepalive_probe(tcp, c);
	return true;
}

static void rearm(struct tcp *tcp, struct conn *c)
{
	uint64_t next = UINT64_MAX;

	if (c->rtx_ns)
		next = c->rtx_ns;
	if (c->ack_ns)
		next = min_u64(next, c->ack_ns);
	if (c->user_ns)
		next = min_u64(next, c->user_ns);
	if (c->linger_ns)
		next = min_u64(next, c->linger_ns);
	if (keepalive_wanted(tcp, c)) {
		uint64_t due = keepalive_due(tcp, c);

		if (due <= tcp->now_ns)
			due = tcp->now_ns + tcp->cfg.keepalive_interval_ms * NS_PER_MS;
		next = min_u64(next, due);
	}
	if (next != UINT64_MAX)
		conn_arm(tcp, c, next);
}

void conn_timer(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct tcp *tcp = arg;
	struct conn *c = container_of(timer, struct conn, timer);

	tcp->now_ns = now_ns;
	if (c->ack_ns && c->ack_ns <= now_ns) {
		c->ack_ns = 0;
		if (c->ack_segs > 0)
			c->flags |= CF_ACK_NOW;
		conn_output(tcp, c);
	} else if (c->flags & CF_PACED) {
		conn_output(tcp, c); /* what waits for its time, or sets the timer for it again */
	}
	cc_age(tcp, c);
	if (c->flags & CF_WANT_ROOM && c->tx_bytes <= c->room_low) {
		c->flags &= ~CF_WANT_ROOM;
		conn_post(tcp, c, TCP_EV_ROOM);
	}
	if (c->linger_ns && c->linger_ns <= now_ns) {
		if (orphan_left_ns(tcp, c) < TS_TICK_NS)
			counter_inc(tcp->ctr, CTR_tcp_orphan_life);
		conn_reset(tcp, c);
		return;
	}
	if (c->rtx_ns && c->rtx_ns <= now_ns && !rtx_timeout(tcp, c))
		return;
	if (!keepalive_timeout(tcp, c))
		return;
	if (c->user_ns && c->user_ns <= now_ns) {
		c->user_ns = 0;
		rearm(tcp, c);
		if (tcp->user_fn && conn_reportable(c))
			tcp->user_fn(tcp->user_arg, c, now_ns); /* may end the connection */
		return;
	}
	rearm(tcp, c);
}
