/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a sender knows of the data in flight, and what it does about loss. Called by the files of
 * tcp/ that handle ACKs, timers and output; never sends by itself, and never changes the window but
 * by proportional rate reduction and by undoing what was needless: growth and reduction are
 * congestion control's (cc_*).
 *
 * The scoreboard is a row of runs, one behind the other from snd_una on, each with one state. What
 * lies behind the last run was sent, and nothing more is known of it. A connection without trouble
 * has no run. A few runs lie in the connection; more need a block of the pool, and when there is
 * none, the scoreboard forgets: a byte may be taken for missing that the peer has, never the
 * other way round. */
#ifndef DATAPLANE_TCP_TCP_LOSS_H
#define DATAPLANE_TCP_TCP_LOSS_H

#include "lib/base.h"

struct tcp;
struct conn;
struct seg;
struct seq_run;

enum {
	LOSS_RUNS = 10,         /* in the connection */
	LOSS_BLOCK_RUNS = 512,  /* in a block of the pool */
	LOSS_REO_PERSIST = 16,  /* recoveries, RFC 8985 6.2 step 4 */
	LOSS_REO_MULT_MAX = 40, /* ten round trips; the window is at most one anyway */
};

enum run_state {
	RUN_OLD,    /* sent once, at clock or before */
	RUN_NEW,    /* sent once, at clock or a little later */
	RUN_LOST,   /* to be sent again */
	RUN_RESENT, /* sent again, at clock or a little later */
	RUN_SACKED,
};

/* From the end of the run in front of it, snd_una for the first. */
struct loss_run {
	uint32_t hi;
	uint32_t clock; /* of fine_clock */
	uint8_t state;  /* enum run_state */
	bool again;     /* was sent more than once */
	bool joined;    /* of several times, of which clock is the first */
};

struct loss_block {
	struct loss_run runs[LOSS_BLOCK_RUNS];
};

/* RFC 5682: what the sender waits for after a timeout. */
enum frto_state {
	FRTO_NONE,
	FRTO_SENT, /* the ACK of the first segment, sent again */
	FRTO_NEW,  /* the ACK after that; new data was sent to cause one */
};

struct conn_loss {
	struct loss_block *block; /* NULL: the runs are in few */
	uint64_t rto_at_ns;       /* with CF_RTX_REORDER: the timeout that goes on behind it */
	uint32_t run_count;
	uint32_t lost_bytes; /* in RUN_LOST */
	uint32_t lost_lo;    /* no RUN_LOST begins below it */
	/* RFC 8985 5.2 */
	uint32_t rack_clock; /* when the youngest segment that arrived was sent ... */
	uint32_t rack_end;   /* ... its end ... */
	uint32_t rack_ticks; /* ... and its round trip, in ticks of fine_clock */
	uint32_t sent_clock; /* of what was sent last, with a time */
	uint32_t fack;       /* highest number that arrived */
	uint32_t min_rtt_us;
	uint32_t min_rtt_s;   /* since when */
	uint32_t dsack_round; /* see in_dsack_round */
	uint32_t probe_end;   /* behind the tail loss probe, with CF_PROBED */
	/* RFC 9937 */
	uint32_t prr_delivered;
	uint32_t prr_out;
	uint32_t prr_flight; /* RecoverFS */
	/* The window before, for a recovery that was needless; undo_cwnd_bytes 0: it is not. */
	uint32_t undo_cwnd_bytes;
	uint32_t undo_ssthresh_bytes;
	uint32_t undo_ts;    /* our timestamp when something was first sent again */
	uint16_t undo_count; /* segments sent again and not reported as received twice */
	uint8_t reo_mult;    /* quarters of the least round trip */
	uint8_t reo_persist;
	uint8_t frto; /* enum frto_state */
	bool in_dsack_round : 1;
	bool heard : 1; /* something arrived since the clock last found what was sent again lost */
	bool rescued : 1; /* RFC 6675 NextSeg (4): once a recovery */
	bool steady : 1;  /* a probe of the path's MTU was lost: no congestion, the window stays */
	struct loss_run few[LOSS_RUNS];
};

/* What the ACK in hand says; lives in struct tcp, for one ACK at a time. */
struct loss_ack {
	uint32_t delivered; /* bytes that arrived, by ACK or SACK */
	uint32_t sacked;    /* of them, by SACK */
	uint32_t acked;     /* snd_una moved by so much */
	uint32_t fack;      /* highest that had arrived before */
	bool lost;          /* more was found to be lost */
	bool by_clock;      /* there is no ACK: CF_RTX_REORDER */
	bool old_news;      /* something below c->recover arrived */
	bool new_news;      /* and something behind it */
};

/* tcp_sack.c: the scoreboard (RFC 2018, 2883, 6675) */
struct loss_run *board_runs(struct conn *c);
/* Where run i begins. */
uint32_t board_lo(const struct conn *c, uint32_t i);
/* Behind the last run; snd_una when there is none. */
uint32_t board_top(const struct conn *c);
/* The run that holds seq; c->ls.run_count when none does. */
uint32_t board_find(const struct conn *c, uint32_t seq);
/* Something may have found no room. */
bool board_is_full(const struct tcp *tcp, const struct conn *c);
/* Nothing is missing but what lies below end. */
bool board_complete(const struct conn *c, uint32_t end);
/* Puts [span] into a state, with the time of now or older as that state has it. What was unknown in
 * front of it becomes RUN_OLD as of old_clock. False, and nothing done, when there is no room. */
bool board_paint(struct tcp *tcp, struct conn *c, const struct seq_run *span,
                 const struct loss_run *as);
/* Makes what is behind the last run a run of its own, RUN_OLD with this clock. */
void board_cover(struct tcp *tcp, struct conn *c, uint32_t clock);
/* How much younger than its clock the end of the run may be, in ticks. */
uint32_t run_spread(const struct conn *c, const struct loss_run *run);
/* Joins neighbours that say the same, and counts lost bytes anew; O(runs). */
void board_tidy(struct conn *c);
/* Everything but what is SACKed is lost. */
void board_lose_all(struct tcp *tcp, struct conn *c);
/* Nothing is lost after all. late: all in flight is, so that only what is sent from now on can tell
 * of a loss; ACKs that come one by one would have each next segment look lost. */
void board_unlose(const struct tcp *tcp, struct conn *c, bool late);
/* Takes SACKed data for missing: the peer dropped it (RFC 2018 8). */
void board_distrust(struct conn *c);
void board_release(struct tcp *tcp, struct conn *c);
/* Before snd_una moves to ack: forgets what lies below. */
void board_trim(struct tcp *tcp, struct conn *c, const struct seg *s);
/* Bytes believed to be in the network (RFC 6675 4, SetPipe). */
uint32_t loss_pipe(const struct conn *c);
/* True when the scoreboard learned something. */
bool loss_sack_input(struct tcp *tcp, struct conn *c, const struct seg *s);

/* tcp_rack.c: what is lost, by time (RFC 8985) */
uint32_t clock_ticks(uint32_t us);
/* Ticks since then; 0 when it is yet to come, see rack_stamp. */
uint32_t clock_since(const struct tcp *tcp, uint32_t clock);
/* When something was sent that arrived now and left no time of its own. */
uint32_t rack_sent_about(const struct tcp *tcp, const struct conn *c);
/* The time of what is sent now: that of the clock, or just behind what was sent before it. */
uint32_t rack_stamp(const struct tcp *tcp, struct conn *c);
/* The scoreboard gets its first run. */
void rack_begin(const struct tcp *tcp, struct conn *c);
/* [lo, hi) of this run arrived. */
void rack_delivered(struct tcp *tcp, struct conn *c, const struct loss_run *run, uint32_t hi,
                    const struct seg *s);
/* A round trip was measured. */
void rack_rtt(const struct tcp *tcp, struct conn *c, uint32_t us);
/* Reordering window in microseconds (RFC 8985 6.2 step 4). */
uint32_t rack_reorder_us(const struct conn *c);
/* ack: of the segment that brought the D-SACK. */
void rack_dsack(struct conn *c, uint32_t ack);
/* A recovery ended. */
void rack_recovered(struct conn *c);
/* RFC 8985 6.2 step 5; true when something was found to be lost. Sets the timer for the rest. */
bool rack_detect(struct tcp *tcp, struct conn *c);
/* RFC 8985 7.2: microseconds until the probe, RTO not considered. */
uint64_t probe_us(const struct conn *c);
/* Before the probe goes out: what it will tell about is older than it. */
void probe_prepare(struct tcp *tcp, struct conn *c);
/* RFC 8985 7.4.2. */
void probe_acked(struct conn *c, const struct seg *s);

/* tcp_prr.c: how much to send meanwhile (RFC 9937) */
void prr_begin(const struct tcp *tcp, struct conn *c);
/* Once an ACK, or when the clock found something to be lost. */
void prr_update(const struct tcp *tcp, struct conn *c);
void prr_sent(struct conn *c, uint32_t bytes);

/* tcp_frto.c: timeouts, and whether they were needless (RFC 5682, 3522, 4015) */
void loss_timeout(struct tcp *tcp, struct conn *c);
/* The peer's closed window opens: what was sent into it was thrown away. */
void loss_window_opened(struct tcp *tcp, struct conn *c);
/* Segments became smaller: all in flight is sent again at once, in new pieces. No sign of
 * congestion, so the window stays (RFC 1191 6.1). */
void loss_mtu_shrunk(struct tcp *tcp, struct conn *c);
/* After the scoreboard took an ACK in LOSS_RTO; duplicate: it did not move snd_una. */
void frto_ack(struct tcp *tcp, struct conn *c, bool duplicate);
/* Only new data may be sent now. */
bool frto_holds(const struct conn *c);
/* No new data could be sent: true when what was lost may be sent after all. */
bool frto_give_up(struct conn *c);

/* tcp_recovery.c: the states */
/* Before an ACK is looked at that is not the usual one. */
void loss_ack_begin(struct tcp *tcp, const struct conn *c);
/* Before snd_una moves to s->ack. */
void loss_ack(struct tcp *tcp, struct conn *c, const struct seg *s);
/* A duplicate ACK (RFC 5681 2). */
void loss_dupack(struct tcp *tcp, struct conn *c);
/* At the end of an ACK, and at CF_RTX_REORDER: what is lost, and how much may be sent. moved: the
 * ACK moved snd_una. */
void loss_decide(struct tcp *tcp, struct conn *c, bool moved);
/* Before loss_ack: undoes a recovery that this ACK shows to be needless (RFC 3522). */
void loss_spurious(struct tcp *tcp, struct conn *c, const struct seg *s);
/* Nothing was lost: the window is as it was before. ack: snd_una after the ACK in hand. */
void recovery_undo(struct tcp *tcp, struct conn *c, uint32_t ack);
void recovery_end(struct conn *c);
/* The next run to send again; false when there is none. */
bool loss_next(const struct conn *c, struct seq_run *out);
/* RFC 6675 4, NextSeg (4): the end of what is outstanding; once a recovery. */
bool loss_rescue(const struct tcp *tcp, struct conn *c, struct seq_run *out);
/* It was sent again. */
void loss_resent(struct tcp *tcp, struct conn *c, const struct seq_run *run);
/* From lo to snd_nxt was sent, for the first time, while c->loss. */
void loss_sent_new(struct tcp *tcp, struct conn *c, uint32_t lo);

#endif
