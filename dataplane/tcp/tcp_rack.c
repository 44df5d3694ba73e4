/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Time decides what is lost (RFC 8985): what was sent before something that arrived, longer ago
 * than a round trip and the reordering window.
 *
 * A segment sent for the first time outside of a recovery leaves no time of its own, so that the
 * usual case costs nothing. It is put a smoothed round trip before its arrival, and a hole below
 * it, sent before it, at the same time: the hole is lost when it is still there a reordering window
 * after what was sent behind it arrived. That is never sooner than by its own time. */
#include "dataplane/tcp/conn.h"

enum {
	MIN_RTT_WINDOW_S = 300,
	REORDER_MIN_US = 1000, /* the wheel's tick */
	REORDER_ROUND_US = 50, /* what the fine clock may lag behind */
	UNKNOWN_WAIT_US = 1000 * 1000,
	LONG_AGO_TICKS = 1 << 30,        /* 18 minutes, and half of what compares */
	PROBE_SLACK_US = 4000,           /* the wheel's tick, and a peer that is late by as much */
	PROBE_INITIAL_US = 1000 * 1000,  /* RFC 8985 7.2, without a measured round trip */
	PROBE_ACK_DELAY_US = 200 * 1000, /* TLP.max_ack_delay, for a single segment */
};

uint32_t clock_ticks(uint32_t us)
{
	return (uint32_t)((uint64_t)us * 125 / 128);
}

uint32_t rack_sent_about(const struct tcp *tcp, const struct conn *c)
{
	return fine_clock(tcp) - max_u32(clock_ticks(c->srtt_us), 1);
}

void rack_begin(const struct tcp *tcp, struct conn *c)
{
	struct conn_loss *l = &c->ls;

	l->rack_ticks = clock_ticks(c->srtt_us);
	l->rack_clock = fine_clock(tcp) - LONG_AGO_TICKS; /* nothing arrived that counts */
	l->rack_end = c->snd_una;
	l->sent_clock = fine_clock(tcp) - 1;
	l->fack = c->snd_una;
	l->lost_lo = c->snd_nxt;
}

uint32_t rack_stamp(const struct tcp *tcp, struct conn *c)
{
	/* What goes out in one burst has one time; its order matters all the same. */
	c->ls.sent_clock = seq_max(fine_clock(tcp), c->ls.sent_clock + 1);
	return c->ls.sent_clock;
}

uint32_t clock_since(const struct tcp *tcp, uint32_t clock)
{
	uint32_t now = fine_clock(tcp);

	return seq_lt(clock, now) ? now - clock : 0;
}

/* RFC 8985 6.2 step 2: the ACK may be for the copy before. Its timestamp tells of what was
 * acknowledged in order only: while there is a hole, the receiver echoes that of the last segment
 * in front of it (RFC 7323 4.3), whatever it SACKs. */
static bool is_ambiguous(const struct tcp *tcp, const struct conn *c, uint32_t ticks,
                         const struct seg *s, bool in_order)
{
	/* Our timestamp then, or one less: it ticks every 1024 ticks of the fine clock. */
	uint32_t sent_ts = ts_clock(tcp) + c->ts_offset - (ticks >> 10) - 1;

	if (in_order && c->flags & CF_TS && s->has_ts && seq_lt(s->tsecr, sent_ts))
		return true;
	return ticks < clock_ticks(c->ls.min_rtt_us);
}

void rack_delivered(struct tcp *tcp, struct conn *c, const struct loss_run *run, uint32_t hi,
                    const struct seg *s)
{
	struct conn_loss *l = &c->ls;
	uint32_t sent = run->clock;

	if (run->state == RUN_RESENT) {
		if (is_ambiguous(tcp, c, clock_since(tcp, sent), s, seq_le(hi, s->ack)))
			return;
	} else if (run->again) {
		return;
	} else if (run->state != RUN_NEW) {
		sent = seq_min(sent, rack_sent_about(tcp, c));
	}
	if (seq_lt(sent, l->rack_clock) || (sent == l->rack_clock && seq_le(hi, l->rack_end)))
		return;
	l->rack_clock = sent;
	l->rack_end = hi;
	l->rack_ticks = clock_since(tcp, sent);
}

void rack_rtt(const struct tcp *tcp, struct conn *c, uint32_t us)
{
	struct conn_loss *l = &c->ls;

	if (likely(l->min_rtt_us != 0 && us > l->min_rtt_us &&
	           now_s(tcp) - l->min_rtt_s < MIN_RTT_WINDOW_S))
		return;
	l->min_rtt_us = max_u32(us, 1);
	l->min_rtt_s = now_s(tcp);
}

/* RFC 8985 6.2 step 4, of which the byte counts are RFC 6675's: three segments arrived behind the
 * hole, in runs or in bytes, or one by one. */
static bool many_sacked(const struct conn *c)
{
	const struct loss_run *runs = c->ls.block ? c->ls.block->runs : c->ls.few;
	uint32_t n = 0;

	if (c->dupacks >= TCP_DUP_THRESH || c->sacked_bytes > (TCP_DUP_THRESH - 1u) * c->mss)
		return true;
	for (uint32_t i = 0; i < c->ls.run_count; i++)
		n += runs[i].state == RUN_SACKED;
	return n >= TCP_DUP_THRESH;
}

uint32_t rack_reorder_us(const struct conn *c)
{
	const struct conn_loss *l = &c->ls;
	uint64_t us = l->min_rtt_us != 0 ? l->min_rtt_us : c->srtt_us;

	if (!(c->flags & CF_REORDERED) && (c->loss != LOSS_NONE || many_sacked(c)))
		return 0;
	if (c->srtt_us == 0)
		return UNKNOWN_WAIT_US;
	us = us * max_u32(l->reo_mult, 1) / 4;
	return (uint32_t)max_u64(min_u64(us, c->srtt_us), REORDER_MIN_US);
}

void rack_dsack(struct conn *c, uint32_t ack)
{
	struct conn_loss *l = &c->ls;

	/* Once a round trip. */
	if (l->in_dsack_round && seq_lt(seq_max(ack, c->snd_una), l->dsack_round))
		return;
	l->in_dsack_round = true;
	l->dsack_round = c->snd_nxt;
	l->reo_persist = LOSS_REO_PERSIST;
	l->reo_mult = (uint8_t)max_u32(l->reo_mult, 1);
	if (l->reo_mult < LOSS_REO_MULT_MAX)
		l->reo_mult++;
}

void rack_recovered(struct conn *c)
{
	struct conn_loss *l = &c->ls;

	if (l->in_dsack_round && seq_le(l->dsack_round, c->snd_una))
		l->in_dsack_round = false;
	if (l->reo_persist > 0 && --l->reo_persist == 0)
		l->reo_mult = 1;
}

/* Numbers tell that something was sent after all of the run and arrived: for what was sent once,
 * whatever lies behind it; of what was sent again, only the parts of one run were sent in their
 * order, and only they have the same clock. */
static bool is_in_front(const struct conn_loss *l, const struct loss_run *run)
{
	if (run->state != RUN_RESENT)
		return seq_lt(run->hi, l->fack);
	return run->clock == l->rack_clock && seq_lt(run->hi, l->rack_end);
}

static uint32_t run_slack(const struct conn *c, const struct loss_run *run)
{
	return is_in_front(&c->ls, run) ? 0 : run_spread(c, run);
}

/* RFC 8985 6.2, RACK_sent_after: the youngest that arrived was sent after this. */
static bool sent_before(const struct conn_loss *l, const struct loss_run *run, uint32_t slack)
{
	int32_t older = (int32_t)(l->rack_clock - run->clock);

	return older > (int32_t)slack || (older >= 0 && is_in_front(l, run));
}

/* What was sent again and is not answered after a round trip and its variance is lost again, when
 * ACKs of about the same age told of other data and nothing has arrived for the time of the
 * variance: as long as something does, it may be on its way behind that, in a queue that grows, and
 * no round trip is measured meanwhile. RFC 8985 waits for something sent later to arrive; where
 * nothing can be sent, that is the timeout. Each such loss takes an ACK, so silence still backs off
 * (RFC 6298, RFC 8961 4). */
static uint32_t resent_left(const struct tcp *tcp, const struct conn *c, uint32_t age)
{
	uint32_t slack = max_u32(4 * c->rttvar_us, c->srtt_us / 2);
	/* When what RACK goes by arrived */
	uint32_t quiet = clock_since(tcp, c->ls.rack_clock + c->ls.rack_ticks);
	uint32_t wait;

	slack = clock_ticks(max_u32(slack, 2 * max_u32(rack_reorder_us(c), REORDER_MIN_US)));
	wait = clock_ticks(c->srtt_us) + slack;
	wait -= min_u32(age, wait);
	/* A scoreboard without room does not know what was sent later. */
	if (board_is_full(tcp, c))
		return wait;
	return max_u32(wait, slack - min_u32(quiet, slack));
}

/* How long to wait until a run is lost: 0 when it is now, UINT32_MAX when time does not tell. */
static uint32_t run_left(const struct tcp *tcp, const struct conn *c, const struct loss_run *run)
{
	uint32_t slack = run_slack(c, run);
	uint32_t age = clock_since(tcp, run->clock);
	uint32_t wait;

	if (run->state == RUN_SACKED || run->state == RUN_LOST)
		return UINT32_MAX;
	if (sent_before(&c->ls, run, slack)) {
		wait = c->ls.rack_ticks + clock_ticks(rack_reorder_us(c)) + slack;
		return wait - min_u32(age, wait);
	}
	if (run->state == RUN_RESENT && c->srtt_us > 0 &&
	    (tcp->ack.delivered > 0 || (tcp->ack.by_clock && c->ls.heard)) &&
	    age >= clock_ticks(c->srtt_us - c->srtt_us / 4))
		return resent_left(tcp, c, age - min_u32(age, slack));
	return UINT32_MAX;
}

bool rack_detect(struct tcp *tcp, struct conn *c)
{
	struct loss_run *runs = board_runs(c);
	uint32_t left = 0;
	bool found = false;
	bool again = false;

	c->ls.heard |= tcp->ack.delivered > 0;
	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		struct loss_run *run = &runs[i];
		uint32_t wait = run_left(tcp, c, run);

		if (wait > 0) {
			left = wait == UINT32_MAX ? left : max_u32(left, wait);
			continue;
		}
		again |= run->state == RUN_RESENT;
		run->again |= run->state == RUN_RESENT;
		run->state = RUN_LOST;
		found = true;
	}
	if (found)
		board_tidy(c);
	tcp->ack.lost |= found;
	/* Else two that are sent again by turns would have each other found lost for ever. */
	if (again && tcp->ack.by_clock)
		c->ls.heard = false;
	if (left > 0)
		reorder_start(tcp, c, (uint32_t)((uint64_t)left * 128 / 125) + REORDER_ROUND_US);
	return found;
}

uint64_t probe_us(const struct conn *c)
{
	if (c->srtt_us == 0)
		return PROBE_INITIAL_US;
	return 2ull * c->srtt_us + PROBE_SLACK_US +
	       (conn_flight(c) <= c->mss ? PROBE_ACK_DELAY_US : 0);
}

void probe_prepare(struct tcp *tcp, struct conn *c)
{
	/* Nothing was sent for as long as the probe waited. */
	board_cover(tcp, c,
	            fine_clock(tcp) - clock_ticks((uint32_t)min_u64(probe_us(c), 1u << 30)));
}

void probe_acked(struct conn *c, const struct seg *s)
{
	bool is_new = c->flags & CF_PROBED_NEW;

	if (seq_lt(s->ack, c->ls.probe_end))
		return;
	if (!is_new && s->ack == c->ls.probe_end) {
		/* Both copies arrived, when this says nothing; else the answer is yet to come. */
		if (s->ack != c->snd_una || s->len > 0 || s->sack_count > 0)
			return;
		is_new = true;
	}
	c->flags &= ~(CF_PROBED | CF_PROBED_NEW);
	/* More than the probe is acknowledged and nothing came twice: it filled a hole. */
	if (!is_new)
		cc_loss(c);
}
