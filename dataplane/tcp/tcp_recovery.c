/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The states of loss recovery and what moves between them: fast recovery by SACK and time (RFC
 * 6675, RFC 8985), NewReno for peers without SACK (RFC 6582), recovery after a timeout
 * (tcp_frto.c), and going back when it was all needless. */
#include "dataplane/tcp/conn.h"

enum {
	RESCUE_SLACK_TICKS = 500, /* of the fine clock: half a tick of the wheel */
};

void recovery_end(struct conn *c)
{
	c->loss = LOSS_NONE;
	c->dupacks = 0;
	c->ls.frto = FRTO_NONE;
	rack_recovered(c);
}

/* RFC 4015 3.2: the burst that follows is bounded, and the threshold lets the window come back. */
static void timeout_undo(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	uint32_t acked = tcp->ack.delivered + (ack - c->snd_una);
	uint32_t cwnd = c->snd_nxt - ack + min_u32(acked, tcp->cfg.initial_window * c->mss);

	counter_inc(tcp->ctr, CTR_tcp_rto_spurious);
	c->cwnd_bytes = max_u32(c->cwnd_bytes, min_u32(c->ls.undo_cwnd_bytes, cwnd));
	rtt_spurious(tcp, c);
}

void recovery_undo(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	struct conn_loss *l = &c->ls;
	bool late = c->loss == LOSS_RTO;

	if (late)
		timeout_undo(tcp, c, ack);
	else
		c->cwnd_bytes = max_u32(c->cwnd_bytes, l->undo_cwnd_bytes);
	c->ssthresh_bytes = max_u32(c->ssthresh_bytes, l->undo_ssthresh_bytes);
	l->undo_cwnd_bytes = 0;
	cc_undo(c);
	/* More patience is in order: it was late, not lost. */
	if (c->loss != LOSS_RTO)
		c->flags |= CF_REORDERED;
	if (c->loss == LOSS_NONE)
		return;
	recovery_end(c);
	board_unlose(tcp, c, late);
}

void loss_spurious(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	/* RFC 3522 3.2: the hole was filled by a segment sent before anything was sent again. */
	if (c->flags & CF_TS && s->has_ts && c->ls.undo_cwnd_bytes != 0 && c->ls.undo_count > 0 &&
	    seq_lt(s->tsecr, c->ls.undo_ts))
		recovery_undo(tcp, c, s->ack);
}

/* The first segment that the peer lacks is lost (RFC 6582 3.2), if it was not sent again. */
static void first_lost(struct tcp *tcp, struct conn *c)
{
	struct seq_run first = {c->snd_una, seq_min(c->snd_una + c->mss, c->snd_nxt)};
	struct loss_run lost = {.clock = fine_clock(tcp), .state = RUN_LOST};

	if (c->ls.run_count == 0)
		rack_begin(tcp, c);
	board_paint(tcp, c, &first, &lost);
}

static void recovery_enter(struct tcp *tcp, struct conn *c)
{
	struct conn_loss *l = &c->ls;

	/* RFC 4821 7.6.1: a probe that is lost alone was too large; that is no congestion. */
	l->steady = unlikely(c->pmtu.probe > 0) && pmtu_probe_lost(tcp, c);
	counter_inc(tcp->ctr, CTR_tcp_rexmit_fast);
	l->undo_cwnd_bytes = c->cwnd_bytes;
	l->undo_ssthresh_bytes = c->ssthresh_bytes;
	l->undo_count = 0;
	if (!l->steady)
		cc_loss(c);
	c->loss = LOSS_RECOVERY;
	c->recover = c->snd_nxt;
	c->flags &= ~(CF_PROBED | CF_PROBED_NEW);
	l->rescued = false;
	/* All was sent before anything is sent again. */
	if (c->flags & CF_SACK)
		board_cover(tcp, c, fine_clock(tcp) - 1);
	else
		first_lost(tcp, c);
	prr_begin(tcp, c);
	if (!(c->flags & CF_RTX_REORDER))
		rto_start(tcp, c); /* no probe from now on */
}

void loss_ack_begin(struct tcp *tcp, const struct conn *c)
{
	tcp->ack = (struct loss_ack){.fack = c->ls.run_count > 0 ? c->ls.fack : c->snd_una};
}

void loss_dupack(struct tcp *tcp, struct conn *c)
{
	counter_inc(tcp->ctr, CTR_tcp_dupack_in);
	/* No more than were in flight can have arrived. */
	if (c->dupacks * c->mss >= conn_flight(c))
		return;
	c->dupacks++;
	if (c->flags & CF_SACK)
		return;
	tcp->ack.delivered += c->mss;
	/* RFC 6582 3.2 step 2: duplicates of what a timeout sent again are no loss. */
	if (c->loss == LOSS_NONE && c->dupacks >= TCP_DUP_THRESH && seq_lt(c->recover, c->snd_una))
		recovery_enter(tcp, c);
}

/* What was lost, as far as there was an answer, was sent again. */
static void recovery_exit(struct conn *c, uint32_t ack)
{
	/* RFC 9937 5: the window is the threshold. Without SACK there may be next to nothing in
	 * flight, and a burst would follow (RFC 6582 3.2 step 3). */
	if (c->loss == LOSS_RECOVERY && !c->ls.steady) {
		c->cwnd_bytes = c->ssthresh_bytes;
		if (!(c->flags & CF_SACK))
			c->cwnd_bytes =
			        min_u32(c->cwnd_bytes, max_u32(c->snd_nxt - ack, c->mss) + c->mss);
	}
	recovery_end(c);
}

/* Duplicate ACKs told of some of what this one acknowledges. */
static void reno_partial(struct tcp *tcp, struct conn *c, uint32_t acked)
{
	uint32_t known = min_u32(c->dupacks, acked / c->mss);

	tcp->ack.delivered -= min_u32(tcp->ack.delivered, known * c->mss);
	c->dupacks -= known;
}

void loss_ack(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	uint32_t acked = s->ack - c->snd_una;

	if (unlikely(c->flags & CF_PROBED))
		probe_acked(c, s);
	if (likely(!c->has_runs && c->loss == LOSS_NONE)) {
		/* Keeps recover near, so that it never seems ahead after 2^31 bytes. */
		if (seq_lt(c->recover, c->snd_una))
			c->recover = c->snd_una - 1;
		c->dupacks = 0;
		cc_ack(tcp, c, acked);
		return;
	}
	tcp->ack.acked = acked;
	board_trim(tcp, c, s);
	if (c->loss == LOSS_NONE || seq_le(c->recover, s->ack)) {
		if (c->loss == LOSS_RTO)
			cc_ack(tcp, c, acked);
		if (c->loss != LOSS_NONE)
			recovery_exit(c, s->ack);
		else
			cc_ack(tcp, c, acked);
		c->dupacks = 0;
		return;
	}
	if (c->loss == LOSS_RTO) {
		c->dupacks = 0;
		cc_ack(tcp, c, acked);
	} else if (!(c->flags & CF_SACK)) {
		reno_partial(tcp, c, acked);
	}
}

void loss_decide(struct tcp *tcp, struct conn *c, bool moved)
{
	bool sack = c->flags & CF_SACK;

	if (c->loss == LOSS_RTO && c->ls.frto != FRTO_NONE && (moved || tcp->ack.delivered > 0))
		frto_ack(tcp, c, !moved);
	/* RFC 6582 3.2 step 3: a partial ACK; the segment behind it is lost too. */
	if (!sack && moved && c->loss == LOSS_RECOVERY)
		first_lost(tcp, c);
	if (sack && c->ls.run_count > 0)
		rack_detect(tcp, c);
	if (c->loss == LOSS_NONE && c->ls.lost_bytes > 0)
		recovery_enter(tcp, c);
	if (c->loss == LOSS_RECOVERY && !c->ls.steady && (tcp->ack.delivered > 0 || tcp->ack.lost))
		prr_update(tcp, c);
}

bool loss_next(const struct conn *c, struct seq_run *out)
{
	const struct loss_run *runs = c->ls.block ? c->ls.block->runs : c->ls.few;

	if (c->ls.lost_bytes == 0)
		return false;
	for (uint32_t i = board_find(c, seq_max(c->ls.lost_lo, c->snd_una)); i < c->ls.run_count;
	     i++)
		if (runs[i].state == RUN_LOST) {
			*out = (struct seq_run){board_lo(c, i), runs[i].hi};
			return true;
		}
	return false;
}

bool loss_rescue(const struct tcp *tcp, struct conn *c, struct seq_run *out)
{
	uint32_t wait_us = c->srtt_us + 4 * c->rttvar_us + rack_reorder_us(c);
	uint32_t wait = clock_ticks(wait_us) + RESCUE_SLACK_TICKS;
	uint32_t i = c->ls.run_count - 1;
	const struct loss_run *last;

	if (c->loss != LOSS_RECOVERY || c->ls.rescued || c->ls.run_count == 0)
		return false;
	last = &board_runs(c)[i];
	if (last->hi != c->snd_nxt || (last->state != RUN_OLD && last->state != RUN_NEW))
		return false;
	/* Not while it may still be SACKed by itself. */
	if (clock_since(tcp, last->clock) < wait + run_spread(c, last))
		return false;
	*out = (struct seq_run){seq_max(board_lo(c, i), c->snd_nxt - c->mss), c->snd_nxt};
	c->ls.rescued = true;
	return true;
}

/* Without room for a border: the time of what was sent again in front of it becomes its own, or all
 * of the run counts as sent again, which time will find to be lost. */
static void resent_coarsely(struct conn *c, const struct seq_run *run, uint32_t now)
{
	struct loss_run *runs = board_runs(c);
	uint32_t i = board_find(c, run->lo);

	if (i >= c->ls.run_count)
		return;
	if (i > 0 && runs[i - 1].state == RUN_RESENT && board_lo(c, i) == run->lo) {
		runs[i - 1].hi = run->hi;
		runs[i - 1].clock = now;
	} else {
		runs[i].state = RUN_RESENT;
		runs[i].clock = now;
		runs[i].again = true;
		runs[i].joined = true;
	}
	board_tidy(c);
}

void loss_resent(struct tcp *tcp, struct conn *c, const struct seq_run *run)
{
	struct loss_run resent = {.state = RUN_RESENT, .again = true};

	if (c->ls.run_count == 0)
		rack_begin(tcp, c);
	resent.clock = rack_stamp(tcp, c);
	if (!board_paint(tcp, c, run, &resent))
		resent_coarsely(c, run, resent.clock);
	else if (run->lo == c->ls.lost_lo)
		c->ls.lost_lo = run->hi;
	if (c->loss == LOSS_NONE)
		return;
	if (c->loss == LOSS_RECOVERY) {
		prr_sent(c, run->hi - run->lo);
		/* RFC 6675 6: the ACK clock runs without snd_una moving, and the timeout is for
		 * what was sent last of the first. */
		if (run->lo == c->snd_una)
			rto_postpone(tcp, c);
	}
	if (c->ls.undo_count == 0)
		c->ls.undo_ts = ts_clock(tcp) + c->ts_offset;
	if (c->ls.undo_count < UINT16_MAX)
		c->ls.undo_count++;
	else
		c->ls.undo_cwnd_bytes = 0; /* too many to believe that none was needed */
}

void loss_sent_new(struct tcp *tcp, struct conn *c, uint32_t lo)
{
	struct seq_run run = {lo, c->snd_nxt};
	struct loss_run fresh = {.state = RUN_NEW};

	if (c->loss == LOSS_RECOVERY)
		prr_sent(c, run.hi - run.lo);
	if (!(c->flags & CF_SACK) || run.lo == run.hi)
		return;
	if (c->ls.run_count == 0)
		rack_begin(tcp, c);
	fresh.clock = rack_stamp(tcp, c);
	/* Without room it stays unknown, as outside of a recovery. */
	board_paint(tcp, c, &run, &fresh);
}
