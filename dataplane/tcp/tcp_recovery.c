/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was lost and when to send it again: the SACK scoreboard and its pipe (RFC 6675), NewReno for
 * peers without SACK (RFC 6582), and the state after a timeout (RFC 5681 3.1, RFC 6298 5).
 *
 * One picture for all of them: below lost_edge, what is not SACKed is lost; of that, what lies
 * below rxt_nxt has been sent again. */
#include "dataplane/tcp/conn.h"

/* SACKed bytes within [lo, hi). */
static uint32_t sacked_in(const struct conn *c, uint32_t lo, uint32_t hi)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->sacked_count; i++) {
		uint32_t a = seq_max(lo, c->sacked[i].lo);
		uint32_t b = seq_min(hi, c->sacked[i].hi);

		if (seq_lt(a, b))
			n += b - a;
	}
	return n;
}

uint32_t loss_pipe(const struct conn *c)
{
	uint32_t out = c->snd_nxt - c->snd_una;
	uint32_t gone;
	uint32_t lo;

	if (likely(c->loss == LOSS_NONE && c->dupacks == 0))
		return out - c->sacked_bytes;
	/* Without SACK each duplicate ACK says that one segment arrived. */
	gone = c->flags & CF_SACK ? c->sacked_bytes : c->dupacks * c->mss;
	if (c->loss != LOSS_NONE) {
		lo = seq_max(c->snd_una, c->rxt_nxt);
		if (seq_lt(lo, c->lost_edge))
			gone += c->lost_edge - lo - sacked_in(c, lo, c->lost_edge);
	}
	return out - min_u32(out, gone);
}

static void sacked_remove(struct conn *c, uint32_t i, uint32_t n)
{
	memmove(&c->sacked[i], &c->sacked[i + n], (c->sacked_count - i - n) * sizeof(c->sacked[0]));
	c->sacked_count = (uint8_t)(c->sacked_count - n);
}

/* Forgets what is acknowledged now. */
static void sacked_trim(struct conn *c, uint32_t ack)
{
	uint32_t n = 0;

	if (likely(c->sacked_count == 0))
		return;
	while (n < c->sacked_count && seq_le(c->sacked[n].hi, ack))
		n++;
	sacked_remove(c, 0, n);
	if (c->sacked_count > 0 && seq_lt(c->sacked[0].lo, ack))
		c->sacked[0].lo = ack;
	c->sacked_bytes = sacked_in(c, ack, c->snd_nxt);
}

static bool sacked_insert(struct conn *c, struct seq_run run)
{
	uint32_t i = 0;
	uint32_t n;

	while (i < c->sacked_count && seq_lt(c->sacked[i].hi, run.lo))
		i++;
	for (n = i; n < c->sacked_count && seq_le(c->sacked[n].lo, run.hi);)
		n++;
	if (n > i) {
		if (seq_le(c->sacked[i].lo, run.lo) && seq_le(run.hi, c->sacked[i].hi))
			return false;
		run.lo = seq_min(run.lo, c->sacked[i].lo);
		run.hi = seq_max(run.hi, c->sacked[n - 1].hi);
		c->sacked[i] = run;
		sacked_remove(c, i + 1, n - i - 1);
		return true;
	}
	/* Full: what is nearest to snd_una matters most, the rest will be reported again. */
	if (c->sacked_count == TCP_MAX_SACKED) {
		if (i == TCP_MAX_SACKED)
			return false;
		c->sacked_count--;
	}
	memmove(&c->sacked[i + 1], &c->sacked[i], (c->sacked_count - i) * sizeof(c->sacked[0]));
	c->sacked[i] = run;
	c->sacked_count++;
	return true;
}

bool loss_sack_input(struct conn *c, const struct seg *s)
{
	bool news = false;

	for (uint32_t i = 0; i < s->sack_count; i++) {
		struct seq_run run = {get_u32(s->sack + 8 * i), get_u32(s->sack + 8 * i + 4)};

		/* Blocks at or below snd_una report duplicates (RFC 2883); others must lie in
		 * flight. */
		if (seq_le(run.hi, run.lo) || seq_lt(c->snd_nxt, run.hi) ||
		    seq_le(run.lo, c->snd_una))
			continue;
		news |= sacked_insert(c, run);
	}
	if (news)
		c->sacked_bytes = sacked_in(c, c->snd_una, c->snd_nxt);
	return news;
}

/* RFC 6675 4, IsLost: behind it lie three SACKed runs or more than two segments of SACKed bytes. */
static uint32_t sacked_edge(const struct conn *c)
{
	uint32_t bytes = 0;
	uint32_t runs = 0;

	for (uint32_t i = c->sacked_count; i > 0; i--) {
		bytes += c->sacked[i - 1].hi - c->sacked[i - 1].lo;
		if (++runs >= TCP_DUP_THRESH || bytes > (TCP_DUP_THRESH - 1u) * c->mss)
			return c->sacked[i - 1].lo;
	}
	return c->snd_una;
}

/* The first segment that the peer lacks is lost. */
static uint32_t first_edge(const struct conn *c, uint32_t una)
{
	return seq_min(una + c->mss, c->snd_nxt);
}

static void recovery_enter(struct tcp *tcp, struct conn *c)
{
	counter_inc(tcp->ctr, CTR_tcp_rexmit_fast);
	cc_loss(c);
	c->loss = LOSS_RECOVERY;
	c->recover = c->snd_nxt;
	c->rxt_nxt = c->snd_una;
	c->lost_edge = seq_max(sacked_edge(c), first_edge(c, c->snd_una));
	c->flags |= CF_FORCE;
}

void loss_dupack(struct tcp *tcp, struct conn *c)
{
	uint32_t edge = sacked_edge(c);

	counter_inc(tcp->ctr, CTR_tcp_dupack_in);
	/* No more than were in flight can have arrived. */
	if (c->dupacks * c->mss < conn_flight(c))
		c->dupacks++;
	if (c->loss != LOSS_NONE) {
		if (c->loss == LOSS_RECOVERY)
			c->lost_edge = seq_max(c->lost_edge, edge);
		return;
	}
	/* RFC 6582 3.2 step 2: duplicates of what a timeout sent again are no loss. */
	if (!(c->flags & CF_SACK) && !seq_lt(c->recover, c->snd_una))
		return;
	if (c->dupacks >= TCP_DUP_THRESH || seq_lt(c->snd_una, edge))
		recovery_enter(tcp, c);
}

static void recovery_exit(struct conn *c, uint32_t ack)
{
	uint32_t flight = c->snd_nxt - ack;

	/* RFC 6582 3.2 step 3: no burst when little is in flight. */
	if (c->loss == LOSS_RECOVERY)
		c->cwnd_bytes = min_u32(c->ssthresh_bytes, max_u32(flight, c->mss) + c->mss);
	c->loss = LOSS_NONE;
	c->dupacks = 0;
	c->flags &= ~CF_FORCE;
}

void loss_ack(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	uint32_t acked = ack - c->snd_una;

	sacked_trim(c, ack);
	if (likely(c->loss == LOSS_NONE)) {
		/* Keeps recover near, so that it never seems ahead after 2^31 bytes. */
		if (seq_lt(c->recover, c->snd_una))
			c->recover = c->snd_una - 1;
		c->dupacks = 0;
		cc_ack(tcp, c, acked);
		return;
	}
	if (seq_le(c->recover, ack)) {
		recovery_exit(c, ack);
		return;
	}
	if (c->loss == LOSS_RTO) {
		c->dupacks = 0;
		cc_ack(tcp, c, acked);
		return;
	}
	/* A partial ACK: the segment behind it is lost too, if it was not sent again yet. */
	if (!(c->flags & CF_SACK)) {
		c->dupacks -= min_u32(c->dupacks, acked / c->mss);
		c->rxt_nxt = ack;
	}
	if (seq_le(c->rxt_nxt, ack)) {
		c->lost_edge = seq_max(c->lost_edge, first_edge(c, ack));
		c->flags |= CF_FORCE;
	}
}

/* All in flight is lost. */
static void resend_all(struct conn *c)
{
	c->loss = LOSS_RTO;
	c->dupacks = 0;
	c->recover = c->snd_nxt;
	c->rxt_nxt = c->snd_una;
	c->lost_edge = c->snd_nxt;
	c->flags |= CF_FORCE;
	c->flags &= ~CF_TIMING;
}

void loss_window_opened(struct tcp *tcp, struct conn *c)
{
	c->tries = 0;
	if (conn_flight(c) == 0) {
		c->rtx_ns = 0;
		return;
	}
	resend_all(c);
	rto_start(tcp, c);
}

void loss_timeout(struct tcp *tcp, struct conn *c)
{
	counter_inc(tcp->ctr, CTR_tcp_rto);
	/* A peer may drop what it only SACKed (RFC 2018 8): it did when the hole seems filled, and
	 * a second timeout without progress does not trust it either. */
	if (c->tries > 1 || (c->sacked_count > 0 && seq_le(c->sacked[0].lo, c->snd_una))) {
		c->sacked_count = 0;
		c->sacked_bytes = 0;
	}
	/* RFC 5681 3.1: the threshold falls once, whatever is lost again. */
	if (c->loss != LOSS_RTO)
		cc_timeout(c);
	else
		c->cwnd_bytes = c->mss;
	resend_all(c);
}

bool loss_next(const struct conn *c, struct seq_run *out)
{
	uint32_t lo = seq_max(c->snd_una, c->rxt_nxt);
	uint32_t hi = c->lost_edge;

	for (uint32_t i = 0; i < c->sacked_count; i++) {
		if (seq_le(c->sacked[i].hi, lo))
			continue;
		if (seq_lt(lo, c->sacked[i].lo)) {
			hi = seq_min(hi, c->sacked[i].lo);
			break;
		}
		lo = c->sacked[i].hi;
	}
	*out = (struct seq_run){lo, hi};
	return seq_lt(lo, hi);
}
