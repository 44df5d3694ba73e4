/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was lost and when to send it again: the SACK scoreboard and its pipe (RFC 6675), NewReno for
 * peers without SACK (RFC 6582), and the state after a timeout (RFC 5681 3.1, RFC 6298 5).
 *
 * One picture for all of them: below lost_edge, what is not SACKed is lost; of that, what lies
 * below rxt_nxt has been sent again.
 *
 * Time decides where counting cannot, as in RACK (RFC 8985): a hole below SACKed data is lost when
 * it is still there some time after these came (CF_RTX_REORDER), and what was sent again is lost
 * again when it is neither acknowledged nor SACKed after a round trip and some. For the latter, the
 * runs in resent remember when. They are few: when there is no more room, neighbours become one
 * with the later time, and a loss is noticed later. */
#include "dataplane/tcp/conn.h"

enum {
	REORDER_MIN_US = 1000, /* the wheel's tick */
	REORDER_MAX_STEPS = 4, /* quarters of a round trip */
	REORDER_ROUND_US = 50, /* what the fine clock may lag behind */
};

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

static void resent_clear(struct conn *c)
{
	c->resent_count = 0;
	c->relost = 0;
}

static bool is_relost(const struct conn *c, uint32_t i)
{
	return c->relost >> i & 1;
}

static void resent_remove(struct conn *c, uint32_t i)
{
	uint32_t below = c->relost & ((1u << i) - 1);

	memmove(&c->resent[i], &c->resent[i + 1], (c->resent_count - i - 1) * sizeof(c->resent[0]));
	c->relost = (uint8_t)(below | (c->relost >> (i + 1) << i));
	c->resent_count--;
}

/* Before i, where there is room. */
static void resent_insert(struct conn *c, uint32_t i, struct resent_run run)
{
	uint32_t below = c->relost & ((1u << i) - 1);

	memmove(&c->resent[i + 1], &c->resent[i], (c->resent_count - i) * sizeof(c->resent[0]));
	c->relost = (uint8_t)(below | ((uint32_t)c->relost >> i << (i + 1)));
	c->resent[i] = run;
	c->resent_count++;
}

static uint32_t relost_bytes(const struct conn *c)
{
	uint32_t lo = c->snd_una;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->resent_count; i++) {
		uint32_t hi = c->resent[i].hi;

		if (is_relost(c, i) && seq_lt(lo, hi))
			n += hi - lo - sacked_in(c, lo, hi);
		lo = seq_max(lo, hi);
	}
	return n;
}

uint32_t loss_pipe(const struct conn *c)
{
	uint32_t out = c->snd_nxt - c->snd_una;
	uint32_t gone;
	uint32_t lo;

	if (likely(c->loss == LOSS_NONE && c->dupacks + c->sacked_count == 0))
		return out;
	if (c->loss == LOSS_NONE && c->dupacks == 0)
		return out - c->sacked_bytes;
	/* Without SACK each duplicate ACK says that one segment arrived. */
	gone = c->flags & CF_SACK ? c->sacked_bytes : c->dupacks * c->mss;
	if (c->loss != LOSS_NONE) {
		lo = seq_max(c->snd_una, c->rxt_nxt);
		if (seq_lt(lo, c->lost_edge))
			gone += c->lost_edge - lo - sacked_in(c, lo, c->lost_edge);
		if (c->relost)
			gone += relost_bytes(c);
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
	if (c->sacked_count == 0)
		c->flags &= ~CF_WATCHED; /* an old edge would seem new after 2^31 bytes */
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

/* Below the ACK, or within the second block. */
static bool is_dsack(const struct seg *s, const struct seq_run *run)
{
	if (seq_le(run->hi, s->ack))
		return true;
	return s->sack_count > 1 && seq_le(get_u32(s->sack + 8), run->lo) &&
	       seq_le(run->hi, get_u32(s->sack + 12));
}

static void recovery_end(struct conn *c)
{
	c->loss = LOSS_NONE;
	c->dupacks = 0;
	c->flags &= ~(CF_FORCE | CF_WATCHED);
	resent_clear(c);
}

/* Nothing was lost: the window is as it was before, and more patience is in order (RFC 8985 6.2
 * step 4). */
static void recovery_undo(struct conn *c)
{
	c->cwnd_bytes = max_u32(c->cwnd_bytes, c->undo_cwnd_bytes);
	c->ssthresh_bytes = max_u32(c->ssthresh_bytes, c->undo_ssthresh_bytes);
	c->undo_cwnd_bytes = 0;
	cc_undo(c);
	c->flags |= CF_REORDERED;
	if (c->reorder_steps < REORDER_MAX_STEPS)
		c->reorder_steps++;
	if (c->loss == LOSS_RECOVERY)
		recovery_end(c);
}

/* Something was received twice; perhaps all that a recovery sent again. */
static void dsack_input(struct conn *c)
{
	if (c->flags & CF_PROBED) {
		/* RFC 8985 7.4.1: the probe was not needed, or only an ACK was lost. */
		c->flags &= ~(CF_PROBED | CF_PROBED_NEW);
		return;
	}
	if (c->undo_cwnd_bytes != 0 && c->undo_count > 0 && --c->undo_count == 0)
		recovery_undo(c);
}

/* RFC 3522: the hole was filled by a segment sent before anything was sent again. */
void loss_spurious(struct conn *c, const struct seg *s)
{
	if (c->flags & CF_TS && s->has_ts && c->undo_cwnd_bytes != 0 && c->undo_count > 0 &&
	    seq_lt(s->tsecr, c->undo_ts))
		recovery_undo(c);
}

bool loss_sack_input(struct conn *c, const struct seg *s)
{
	uint32_t top = c->sacked_count > 0 ? c->sacked[c->sacked_count - 1].lo : c->snd_una;
	bool news = false;

	for (uint32_t i = 0; i < s->sack_count; i++) {
		struct seq_run run = {get_u32(s->sack + 8 * i), get_u32(s->sack + 8 * i + 4)};

		if (seq_le(run.hi, run.lo) || seq_lt(c->snd_nxt, run.hi))
			continue;
		/* RFC 2883 4: the first block may report a duplicate. */
		if (i == 0 && is_dsack(s, &run))
			dsack_input(c);
		if (seq_le(run.lo, c->snd_una) || seq_le(run.hi, s->ack))
			continue;
		if (!sacked_insert(c, run))
			continue;
		news = true;
		/* Nothing was sent again, so it came late. */
		if (c->loss == LOSS_NONE && seq_lt(run.lo, top) && !(c->flags & CF_PROBED))
			c->flags |= CF_REORDERED;
	}
	if (news)
		c->sacked_bytes = sacked_in(c, c->snd_una, c->snd_nxt);
	return news;
}

/* The first hole in [lo, hi). */
static bool hole_find(const struct conn *c, uint32_t lo, uint32_t hi, struct seq_run *out)
{
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

static void recovery_enter(struct tcp *tcp, struct conn *c, uint32_t edge)
{
	/* RFC 4821 7.6.1: a probe that is lost alone was too large; that is no congestion. */
	bool probe = unlikely(c->pmtu.probe > 0) && pmtu_probe_lost(tcp, c);

	counter_inc(tcp->ctr, CTR_tcp_rexmit_fast);
	c->undo_cwnd_bytes = c->cwnd_bytes;
	c->undo_ssthresh_bytes = c->ssthresh_bytes;
	c->undo_count = 0;
	if (!probe)
		cc_loss(c);
	c->loss = LOSS_RECOVERY;
	c->recover = c->snd_nxt;
	c->rxt_nxt = c->snd_una;
	c->lost_edge = seq_max(edge, first_edge(c, c->snd_una));
	c->flags |= CF_FORCE;
	c->flags &= ~(CF_PROBED | CF_PROBED_NEW | CF_WATCHED);
	resent_clear(c);
	rto_start(tcp, c); /* no probe from now on */
}

void loss_dupack(struct tcp *tcp, struct conn *c)
{
	uint32_t edge = sacked_edge(c);

	counter_inc(tcp->ctr, CTR_tcp_dupack_in);
	/* No more than were in flight can have arrived. */
	if (c->dupacks * c->mss < conn_flight(c))
		c->dupacks++;
	if (c->flags & CF_REORDERED && c->flags & CF_SACK)
		return;
	if (c->loss != LOSS_NONE) {
		if (c->loss == LOSS_RECOVERY)
			c->lost_edge = seq_max(c->lost_edge, edge);
		return;
	}
	/* RFC 6582 3.2 step 2: duplicates of what a timeout sent again are no loss. */
	if (!(c->flags & CF_SACK) && !seq_lt(c->recover, c->snd_una))
		return;
	if (c->dupacks >= TCP_DUP_THRESH || seq_lt(c->snd_una, edge))
		recovery_enter(tcp, c, edge);
}

/* RFC 8985 6.2 step 4: a quarter of the round trip, more after each recovery that was needless. */
static uint32_t reorder_us(const struct conn *c)
{
	return max_u32(c->srtt_us / 4 * max_u32(c->reorder_steps, 1), REORDER_MIN_US);
}

/* At most as many ticks of fine_clock, so that a timer set to the time is not too early. */
static uint32_t us_to_clock(uint32_t us)
{
	return us - us / 40;
}

/* Finds what was sent again so long ago that it would be acknowledged by now. An ACK of something
 * about as young must have come, so the path is not just slow: else it is for the timeout. */
static void resent_check(struct tcp *tcp, struct conn *c)
{
	uint32_t wait = us_to_clock(c->srtt_us + max_u32(4 * c->rttvar_us, 2 * reorder_us(c)));
	uint32_t left = UINT32_MAX;

	if (c->srtt_us == 0)
		return;
	for (uint32_t i = 0; i < c->resent_count; i++) {
		uint32_t age = fine_clock(tcp) - c->resent[i].clock;

		if (is_relost(c, i))
			continue;
		if (age >= wait)
			c->relost |= (uint8_t)(1u << i);
		else if (age >= c->srtt_us - c->srtt_us / 4)
			left = min_u32(left, wait - age);
	}
	if (left != UINT32_MAX)
		reorder_start(tcp, c, left + REORDER_ROUND_US);
}

/* RFC 8985 6.2 step 5: holes below SACKed data get some time, then they are lost. */
static void watch(struct tcp *tcp, struct conn *c)
{
	uint32_t wait = us_to_clock(reorder_us(c));
	uint32_t top = c->sacked[c->sacked_count - 1].lo;
	uint32_t base = c->snd_una;
	uint32_t age = fine_clock(tcp) - c->watch_clock;
	struct seq_run hole;

	if (c->flags & CF_WATCHED && age >= wait) {
		c->flags &= ~CF_WATCHED;
		if (c->loss == LOSS_RECOVERY)
			c->lost_edge = seq_max(c->lost_edge, c->watch_edge);
		else if (hole_find(c, c->snd_una, c->watch_edge, &hole))
			recovery_enter(tcp, c, c->watch_edge);
	}
	if (!(c->flags & CF_WATCHED)) {
		if (c->loss == LOSS_RECOVERY)
			base = seq_max(base, c->lost_edge);
		if (!hole_find(c, base, top, &hole))
			return;
		c->flags |= CF_WATCHED;
		c->watch_edge = top;
		c->watch_clock = fine_clock(tcp);
		age = 0;
	}
	reorder_start(tcp, c, wait - age + REORDER_ROUND_US);
}

void loss_news(struct tcp *tcp, struct conn *c)
{
	uint32_t edge = c->snd_una;
	const struct seq_run *top;

	if (c->loss != LOSS_NONE)
		resent_check(tcp, c);
	if (c->sacked_count == 0 || c->loss == LOSS_RTO)
		return;
	top = &c->sacked[c->sacked_count - 1];
	if (!(c->flags & CF_REORDERED))
		edge = sacked_edge(c);
	/* The probe was sent long after all else. */
	if (c->flags & CF_PROBED && seq_le(c->rxt_nxt, top->hi))
		edge = top->lo;
	if (c->loss == LOSS_RECOVERY)
		c->lost_edge = seq_max(c->lost_edge, edge);
	else if (seq_lt(c->snd_una, edge))
		recovery_enter(tcp, c, edge);
	watch(tcp, c);
}

static void recovery_exit(struct conn *c, uint32_t ack)
{
	uint32_t flight = c->snd_nxt - ack;

	/* RFC 6582 3.2 step 3: no burst when little is in flight. */
	if (c->loss == LOSS_RECOVERY)
		c->cwnd_bytes = min_u32(c->ssthresh_bytes, max_u32(flight, c->mss) + c->mss);
	recovery_end(c);
}

/* RFC 8985 7.4.2: more was acknowledged than the probe, and nothing was reported as received twice,
 * so the probe filled a hole. */
static void probe_acked(struct conn *c, uint32_t ack)
{
	bool is_new = c->flags & CF_PROBED_NEW;

	if (seq_lt(ack, c->rxt_nxt) || (!is_new && ack == c->rxt_nxt))
		return;
	c->flags &= ~(CF_PROBED | CF_PROBED_NEW);
	if (!is_new)
		cc_loss(c);
}

void loss_ack(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	uint32_t acked = ack - c->snd_una;

	/* A hole was filled, and nothing was sent again. */
	if (unlikely(c->sacked_count > 0) && c->loss == LOSS_NONE && !(c->flags & CF_PROBED) &&
	    seq_le(c->sacked[0].lo, ack))
		c->flags |= CF_REORDERED;
	sacked_trim(c, ack);
	if (likely(c->loss == LOSS_NONE)) {
		/* Keeps recover near, so that it never seems ahead after 2^31 bytes. */
		if (seq_lt(c->recover, c->snd_una))
			c->recover = c->snd_una - 1;
		c->dupacks = 0;
		if (unlikely(c->flags & CF_PROBED))
			probe_acked(c, ack);
		cc_ack(tcp, c, acked);
		return;
	}
	while (c->resent_count > 0 && seq_le(c->resent[0].hi, ack))
		resent_remove(c, 0);
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
		resent_clear(c);
	}
	if (seq_le(c->rxt_nxt, ack) && !(c->flags & CF_SACK && c->flags & CF_REORDERED)) {
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
	c->flags &= ~(CF_TIMING | CF_PROBED | CF_PROBED_NEW | CF_WATCHED);
	c->undo_cwnd_bytes = 0;
	resent_clear(c);
}

void loss_window_opened(struct tcp *tcp, struct conn *c)
{
	c->tries = 0;
	if (cc_is_large(c))
		cc_restart(tcp, c);
	if (conn_flight(c) == 0) {
		c->rtx_ns = 0;
		return;
	}
	resend_all(c);
	rto_start(tcp, c);
}

void loss_mtu_shrunk(struct tcp *tcp, struct conn *c)
{
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
	uint32_t lo = c->snd_una;

	for (uint32_t i = 0; c->relost >> i; i++) {
		if (is_relost(c, i) && hole_find(c, lo, c->resent[i].hi, out))
			return true;
		lo = seq_max(lo, c->resent[i].hi);
	}
	return hole_find(c, seq_max(c->snd_una, c->rxt_nxt), c->lost_edge, out);
}

/* Sent again for the first time: behind all runs. */
static void resent_append(const struct tcp *tcp, struct conn *c, uint32_t hi)
{
	struct resent_run run = {hi, fine_clock(tcp)};
	uint32_t n = c->resent_count;

	c->rxt_nxt = hi;
	if (n == TCP_MAX_RESENT || (n > 0 && c->resent[n - 1].clock == run.clock))
		n--;
	c->resent[n] = run;
	c->relost &= (uint8_t)((1u << n) - 1);
	c->resent_count = (uint8_t)(n + 1);
}

void loss_resent(const struct tcp *tcp, struct conn *c, const struct seq_run *run)
{
	uint32_t now = fine_clock(tcp);
	uint32_t i = 0;

	if (c->undo_count == 0)
		c->undo_ts = ts_clock(tcp) + c->ts_offset;
	if (c->undo_count < UINT8_MAX)
		c->undo_count++;
	else
		c->undo_cwnd_bytes = 0; /* too many to believe that none was needed */
	while (i < c->resent_count && seq_le(c->resent[i].hi, run->lo))
		i++;
	if (i == c->resent_count) {
		resent_append(tcp, c, run->hi);
		return;
	}
	/* All of a run that was lost again, or the rest of it. */
	if (seq_le(c->resent[i].hi, run->hi)) {
		c->resent[i].clock = now;
		c->relost &= (uint8_t) ~(1u << i);
		return;
	}
	if (i > 0 && (c->resent[i - 1].clock == now || c->resent_count == TCP_MAX_RESENT)) {
		c->resent[i - 1] = (struct resent_run){run->hi, now};
		return;
	}
	if (c->resent_count == TCP_MAX_RESENT) {
		/* The youngest two become one. */
		c->resent[TCP_MAX_RESENT - 2].clock = c->resent[TCP_MAX_RESENT - 1].clock;
		c->resent[TCP_MAX_RESENT - 2].hi = c->resent[TCP_MAX_RESENT - 1].hi;
		c->resent_count--;
		c->relost &= (1u << (TCP_MAX_RESENT - 2)) - 1;
	}
	resent_insert(c, i, (struct resent_run){run->hi, now});
}
