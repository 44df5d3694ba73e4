/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The scoreboard: runs of sequence numbers in flight and what became of each (RFC 2018, RFC 2883,
 * RFC 6675 3). Every function is bounded by the number of runs, which is bounded by the block. */
#include "dataplane/tcp/conn.h"

enum {
	PAINT_RUNS = 4, /* that board_paint may need more */
};

struct loss_run *board_runs(struct conn *c)
{
	return c->ls.block ? c->ls.block->runs : c->ls.few;
}

static const struct loss_run *runs_of(const struct conn *c)
{
	return c->ls.block ? c->ls.block->runs : c->ls.few;
}

uint32_t board_lo(const struct conn *c, uint32_t i)
{
	return i == 0 ? c->snd_una : runs_of(c)[i - 1].hi;
}

uint32_t board_top(const struct conn *c)
{
	return board_lo(c, c->ls.run_count);
}

uint32_t board_find(const struct conn *c, uint32_t seq)
{
	const struct loss_run *runs = runs_of(c);
	uint32_t lo = 0;
	uint32_t hi = c->ls.run_count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (seq_le(runs[mid].hi, seq))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void count_set(struct conn *c, uint32_t n)
{
	c->ls.run_count = n;
	c->has_runs = n > 0;
	if (n == 0)
		c->tx_again = TX_REF_NONE;
}

bool board_is_full(const struct tcp *tcp, const struct conn *c)
{
	if (c->ls.block)
		return c->ls.run_count + PAINT_RUNS > LOSS_BLOCK_RUNS;
	return c->ls.run_count + PAINT_RUNS > LOSS_RUNS && pool_available(&tcp->loss_blocks) == 0;
}

/* Room for n more runs. */
static bool board_room(struct tcp *tcp, struct conn *c, uint32_t n)
{
	struct loss_block *block;

	if (c->ls.run_count + n <= (c->ls.block ? LOSS_BLOCK_RUNS : LOSS_RUNS))
		return true;
	if (!c->ls.block) {
		block = pool_get(&tcp->loss_blocks);
		if (block) {
			memcpy(block->runs, c->ls.few, c->ls.run_count * sizeof(block->runs[0]));
			c->ls.block = block;
			return true;
		}
	}
	counter_inc(tcp->ctr, CTR_shed_loss_board);
	return false;
}

void board_release(struct tcp *tcp, struct conn *c)
{
	if (c->ls.block)
		pool_put(&tcp->loss_blocks, c->ls.block);
	c->ls.block = NULL;
	count_set(c, 0);
	c->sacked_bytes = 0;
	c->ls.lost_bytes = 0;
}

static void run_remove(struct conn *c, uint32_t i, uint32_t n)
{
	struct loss_run *runs = board_runs(c);

	memmove(&runs[i], &runs[i + n], (c->ls.run_count - i - n) * sizeof(runs[0]));
	count_set(c, c->ls.run_count - n);
}

/* Makes seq, within run i, a border; there is room. */
static void run_split(struct conn *c, uint32_t i, uint32_t seq)
{
	struct loss_run *runs = board_runs(c);

	memmove(&runs[i + 1], &runs[i], (c->ls.run_count - i) * sizeof(runs[0]));
	runs[i].hi = seq;
	count_set(c, c->ls.run_count + 1);
}

uint32_t run_spread(const struct conn *c, const struct loss_run *run)
{
	return run->state == RUN_OLD || !run->joined ? 0 : clock_ticks(c->srtt_us / 8);
}

static bool run_joins(const struct conn *c, const struct loss_run *a, const struct loss_run *b)
{
	if (a->state != b->state)
		return false;
	switch (a->state) {
	case RUN_SACKED:
		return true;
	case RUN_LOST:
		return a->again == b->again;
	case RUN_OLD:
		return a->clock == b->clock && a->again == b->again;
	default:
		/* A run has the time of its first byte; the last is not much younger. */
		return a->again == b->again && b->clock - a->clock <= clock_ticks(c->srtt_us / 8);
	}
}

/* b, which is behind a and says the same, becomes a part of it. A split does not undo this. */
static void run_append(struct loss_run *a, const struct loss_run *b)
{
	a->joined |= b->joined || a->clock != b->clock;
	a->hi = b->hi;
}

/* Run i becomes a part of the one in front of it if they say the same. */
static void run_join(struct conn *c, uint32_t i)
{
	struct loss_run *runs = board_runs(c);

	if (i == 0 || i >= c->ls.run_count || !run_joins(c, &runs[i - 1], &runs[i]))
		return;
	run_append(&runs[i - 1], &runs[i]);
	run_remove(c, i, 1);
}

/* Counts a stretch in a state, or no longer. */
static void bytes_count(struct conn *c, uint8_t state, uint32_t n)
{
	if (state == RUN_SACKED)
		c->sacked_bytes += n;
	else if (state == RUN_LOST)
		c->ls.lost_bytes += n;
}

/* Sent once, behind all others; there is room. */
static void run_add(struct conn *c, uint32_t hi, uint32_t clock)
{
	board_runs(c)[c->ls.run_count] =
	        (struct loss_run){.hi = hi, .clock = clock, .state = RUN_OLD};
	count_set(c, c->ls.run_count + 1);
}

void board_cover(struct tcp *tcp, struct conn *c, uint32_t clock)
{
	uint32_t top = board_top(c);

	if (!seq_lt(top, c->snd_nxt) || !board_room(tcp, c, 1))
		return;
	if (c->ls.run_count == 0)
		rack_begin(tcp, c);
	run_add(c, c->snd_nxt, clock);
}

/* What was sent behind it arrived. Its noted time may be no more than that of the recovery's begin,
 * and it was sent before what arrived. */
static void run_overtaken(const struct tcp *tcp, const struct conn *c, struct loss_run *run)
{
	if (run->state == RUN_OLD)
		run->clock = seq_min(run->clock, rack_sent_about(tcp, c));
}

bool board_paint(struct tcp *tcp, struct conn *c, const struct seq_run *span,
                 const struct loss_run *as)
{
	uint32_t top = board_top(c);
	uint32_t first = board_find(c, span->lo);
	uint32_t last = board_find(c, span->hi - 1);
	uint32_t need = 0;
	struct loss_run *runs;

	need += seq_lt(top, span->lo); /* the gap in front of it */
	need += seq_lt(top, span->hi);
	need += first < c->ls.run_count && board_lo(c, first) != span->lo;
	need += last < c->ls.run_count && runs_of(c)[last].hi != span->hi;
	if (need > 0 && !board_room(tcp, c, need))
		return false;
	runs = board_runs(c);
	if (seq_lt(top, span->lo))
		run_add(c, span->lo, rack_sent_about(tcp, c));
	if (seq_lt(top, span->hi))
		run_add(c, span->hi, 0);
	first = board_find(c, span->lo);
	if (board_lo(c, first) != span->lo)
		run_split(c, first++, span->lo);
	last = board_find(c, span->hi - 1);
	if (runs[last].hi != span->hi)
		run_split(c, last, span->hi);
	for (uint32_t i = first; i <= last; i++)
		bytes_count(c, runs[i].state, 0 - (runs[i].hi - board_lo(c, i)));
	if (as->state == RUN_SACKED && first > 0)
		run_overtaken(tcp, c, &runs[first - 1]);
	runs[first] = *as;
	runs[first].hi = span->hi;
	run_remove(c, first + 1, last - first);
	bytes_count(c, as->state, span->hi - span->lo);
	if (as->state == RUN_LOST)
		c->ls.lost_lo = seq_min(c->ls.lost_lo, span->lo);
	run_join(c, first + 1);
	run_join(c, first);
	return true;
}

void board_tidy(struct conn *c)
{
	struct loss_run *runs = board_runs(c);
	uint32_t lo = c->snd_una;
	uint32_t n = 0;

	c->sacked_bytes = 0;
	c->ls.lost_bytes = 0;
	c->ls.lost_lo = c->snd_nxt;
	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		struct loss_run run = runs[i];

		bytes_count(c, run.state, run.hi - lo);
		if (run.state == RUN_LOST)
			c->ls.lost_lo = seq_min(c->ls.lost_lo, lo);
		lo = run.hi;
		if (n > 0 && run_joins(c, &runs[n - 1], &run))
			run_append(&runs[n - 1], &run);
		else
			runs[n++] = run;
	}
	count_set(c, n);
}

void board_lose_all(struct tcp *tcp, struct conn *c)
{
	struct loss_run *runs;
	struct loss_run all = {.state = RUN_LOST, .clock = fine_clock(tcp)};

	board_cover(tcp, c, fine_clock(tcp));
	if (board_top(c) != c->snd_nxt) {
		/* No room for the tail: all is missing, whatever was SACKed. */
		all.hi = c->snd_nxt;
		all.again = true;
		board_runs(c)[0] = all;
		count_set(c, 1);
	}
	runs = board_runs(c);
	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		if (runs[i].state == RUN_SACKED)
			continue;
		runs[i].again |= runs[i].state == RUN_RESENT;
		runs[i].state = RUN_LOST;
	}
	board_tidy(c);
}

void board_unlose(const struct tcp *tcp, struct conn *c, bool late)
{
	struct loss_run *runs = board_runs(c);

	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		if (runs[i].state != RUN_LOST)
			continue;
		runs[i].state = RUN_OLD;
		/* Else their time stays: what was sent later may still show that they are lost. */
		if (late)
			runs[i].clock = fine_clock(tcp);
	}
	board_tidy(c);
}

void board_distrust(struct conn *c)
{
	struct loss_run *runs = board_runs(c);

	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		if (runs[i].state != RUN_SACKED)
			continue;
		runs[i].state = RUN_OLD;
		runs[i].again = true;
	}
	board_tidy(c);
}

/* What of [lo, hi), a part of run i or of what lies behind the runs (i == run_count), just arrived.
 */
static void piece_arrived(struct tcp *tcp, struct conn *c, uint32_t i, struct seq_run piece,
                          const struct seg *s)
{
	static const struct loss_run unknown = {.state = RUN_OLD};
	struct loss_run run = unknown;

	if (i < c->ls.run_count)
		run = board_runs(c)[i];
	else
		run.clock = fine_clock(tcp);
	if (run.state == RUN_SACKED)
		return;
	tcp->ack.delivered += piece.hi - piece.lo;
	if (seq_lt(piece.lo, c->recover))
		tcp->ack.old_news = true;
	if (seq_lt(c->recover, piece.hi))
		tcp->ack.new_news = true;
	/* RFC 8985 6.2 step 3: sent once, and it comes behind what was sent later. */
	if (!run.again && run.state != RUN_RESENT && seq_lt(piece.hi, tcp->ack.fack))
		c->flags |= CF_REORDERED;
	c->ls.fack = seq_max(c->ls.fack, piece.hi);
	rack_delivered(tcp, c, &run, piece.hi, s);
}

/* Walks over the pieces of [lo, hi). */
static void span_arrived(struct tcp *tcp, struct conn *c, struct seq_run span, const struct seg *s)
{
	uint32_t i = board_find(c, span.lo);

	while (seq_lt(span.lo, span.hi)) {
		struct seq_run piece = span;

		if (i < c->ls.run_count)
			piece.hi = seq_min(span.hi, board_runs(c)[i].hi);
		piece_arrived(tcp, c, i, piece, s);
		span.lo = piece.hi;
		i++;
	}
}

void board_trim(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct loss_run *runs = board_runs(c);
	uint32_t lo = c->snd_una;
	uint32_t n = 0;

	if (seq_lt(c->tx_again_seq, s->ack))
		c->tx_again = TX_REF_NONE;
	span_arrived(tcp, c, (struct seq_run){lo, s->ack}, s);
	while (n < c->ls.run_count && seq_lt(lo, s->ack)) {
		uint32_t hi = seq_min(runs[n].hi, s->ack);

		bytes_count(c, runs[n].state, 0 - (hi - lo));
		lo = hi;
		n += hi == runs[n].hi;
	}
	run_remove(c, 0, n);
	c->ls.lost_lo = seq_max(c->ls.lost_lo, s->ack);
	if (c->ls.run_count == 0)
		board_release(tcp, c);
}

bool board_complete(const struct conn *c, uint32_t end)
{
	for (uint32_t i = 0; i < c->ls.run_count; i++)
		if (runs_of(c)[i].state != RUN_SACKED && seq_lt(end, runs_of(c)[i].hi))
			return false;
	return true;
}

uint32_t loss_pipe(const struct conn *c)
{
	uint32_t out = c->snd_nxt - c->snd_una;
	uint32_t gone;

	if (likely(c->dupacks + c->has_runs == 0))
		return out;
	gone = c->sacked_bytes + c->ls.lost_bytes;
	if (!(c->flags & CF_SACK)) {
		/* Each duplicate ACK says that one segment arrived; RFC 3042 lets two of them send
		 * before a loss is certain. */
		uint32_t n = c->loss == LOSS_NONE ? min_u32(c->dupacks, 2) : c->dupacks;

		gone += n * c->mss;
	}
	return out - min_u32(out, gone);
}

/* Below the ACK, or within the second block (RFC 2883 4); not older than any window. */
static bool is_dsack(const struct conn *c, const struct seg *s, const struct seq_run *run)
{
	if (!seq_lt(run->lo, run->hi) || seq_lt(run->lo, c->snd_una - c->snd_wnd_max))
		return false;
	if (seq_le(run->hi, s->ack))
		return true;
	return s->sack_count > 1 && seq_le(get_u32(s->sack + 8), run->lo) &&
	       seq_le(run->hi, get_u32(s->sack + 12));
}

/* Something was received twice; perhaps all that a recovery sent again. */
static void dsack_input(struct tcp *tcp, struct conn *c, uint32_t ack)
{
	if (c->flags & CF_PROBED) {
		/* RFC 8985 7.4.1: the probe was not needed, or only an ACK was lost. */
		c->flags &= ~(CF_PROBED | CF_PROBED_NEW);
		return;
	}
	rack_dsack(c, ack);
	if (c->ls.undo_cwnd_bytes != 0 && c->ls.undo_count > 0 && --c->ls.undo_count == 0)
		recovery_undo(tcp, c, seq_max(ack, c->snd_una));
}

/* The block as it is marked; false when it says nothing new. */
static bool block_input(struct tcp *tcp, struct conn *c, const struct seg *s, struct seq_run run,
                        bool newest)
{
	static const struct loss_run sacked = {.state = RUN_SACKED};
	uint32_t before = tcp->ack.delivered;
	uint32_t i = board_find(c, run.lo);
	uint32_t n;

	/* Only what is new in it, so that a growing block costs no room. */
	if (i < c->ls.run_count && board_runs(c)[i].state == RUN_SACKED)
		run.lo = board_runs(c)[i].hi;
	if (seq_le(run.hi, run.lo))
		return false;
	if (c->ls.run_count == 0)
		rack_begin(tcp, c);
	/* Its pieces tell of their times; then they are one. */
	span_arrived(tcp, c, run, s);
	if (tcp->ack.delivered == before)
		return false;
	if (!board_paint(tcp, c, &run, &sacked)) {
		/* It cannot be kept, and would be counted again and again; but what made the peer
		 * send this did arrive, or nothing would be sent any more for want of ACKs. */
		n = tcp->ack.delivered - before;
		tcp->ack.delivered = before + (newest ? min_u32(n, c->mss) : 0);
		return newest;
	}
	tcp->ack.sacked += tcp->ack.delivered - before;
	return true;
}

bool loss_sack_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	bool news = false;

	for (uint32_t i = 0; i < s->sack_count; i++) {
		struct seq_run run = {get_u32(s->sack + 8 * i), get_u32(s->sack + 8 * i + 4)};
		/* From snd_una on, so that no number is taken for one half of the space away. */
		uint32_t lo = run.lo - c->snd_una;
		uint32_t hi = run.hi - c->snd_una;

		if (i == 0 && is_dsack(c, s, &run))
			dsack_input(tcp, c, s->ack);
		/* Old, inside out, or never sent; or it would touch what this ACK or one before it
		 * says is missing. */
		if (lo == 0 || lo >= hi || hi > conn_flight(c) || seq_le(run.lo, s->ack))
			continue;
		news |= block_input(tcp, c, s, run, i == 0);
	}
	return news;
}
