/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How much a connection may have in the network: slow start, congestion avoidance by the configured
 * algorithm, the answer to loss and to ECN, idle time, and pacing. It moves cwnd_bytes and
 * ssthresh_bytes of a connection and nothing else of it; what is lost is for tcp_recovery.c to say,
 * what is sent for tcp_out.c.
 *
 * When the window may grow (RFC 7661): output that stops at the congestion window sets
 * CF_CWND_LIMITED. From then on the flight is measured once a round trip, and the flag stays until
 * its largest value of about the last second (or three round trips) fills less than half of the
 * window. A connection of short exchanges never has the flag, and so never pays for any of this.
 *
 * Called by: tcp_in.c, tcp_recovery.c, tcp_out.c, tcp_timer.c. */
#ifndef DATAPLANE_TCP_TCP_CC_H
#define DATAPLANE_TCP_TCP_CC_H

#include "dataplane/tcp/tcp.h"

struct seg;
struct seg_out;

enum {
	CC_WINDOW_MAX_BYTES = 1 << 30, /* also as a threshold: none was found yet */
	CC_BURST_SEGS = 10, /* what may leave at once at any time: RFC 6928's initial window */
};

/* Where a connection is in its growth. */
enum cc_phase {
	CC_SLOW_START, /* the first one, with HyStart++ watching */
	CC_CSS,        /* RFC 9406: conservative slow start */
	CC_AVOIDANCE,  /* all that follows, slow starts after a timeout or idle time included */
};

/* RFC 9438 4.1.2. Windows in bytes, times in milliseconds. */
struct cubic {
	uint32_t w_max_bytes; /* 0: undefined */
	uint32_t prior_bytes; /* cwnd_prior */
	uint32_t w_est_bytes;
	uint32_t epoch_ms;  /* t_epoch, or while paused, the epoch's age */
	uint32_t k_ms : 24; /* from the epoch to the plateau */
	uint32_t running : 1;
	uint32_t paused : 1;    /* 5.8: time that does not count */
	uint32_t timed_out : 1; /* 4.8: the next epoch is the first after a timeout */
};

/* RFC 9406 4.2. */
struct hystart {
	uint32_t last_rtt_us; /* lastRoundMinRTT; 0: none */
	uint32_t rtt_us;      /* currentRoundMinRTT; UINT32_MAX: none */
	uint32_t base_rtt_us; /* cssBaselineMinRtt */
	uint8_t samples;
	uint8_t rounds; /* of conservative slow start, the partial one counted */
};

/* A connection's part. */
struct conn_cc {
	union {
		struct cubic cubic; /* CC_AVOIDANCE */
		struct hystart hystart;
	};
	struct cubic saved;      /* before the last reduction (RFC 9438 4.9) */
	uint32_t carry;          /* acknowledged bytes not yet turned into growth */
	uint32_t flight_max[2];  /* pipeACK (RFC 7661 4.2), this half period's and the last one's */
	uint32_t round_end;      /* an ACK at or behind it ends the round */
	uint32_t ack_clock;      /* of ts_clock, at the last cc_grow */
	uint32_t pace_clock;     /* of fine_clock, when the next new segment may leave */
	uint32_t ecn_end;        /* RFC 3168 6.1.2: one reduction until this is acknowledged */
	uint16_t period_clock;   /* begin of the half period, or of the non-validated phase */
	uint8_t newreno : 1;     /* else CUBIC */
	uint8_t phase : 2;       /* enum cc_phase */
	uint8_t saved_phase : 2; /* goes with saved */
	uint8_t limited : 1;     /* output stopped at the window since the round began */
	uint8_t was_limited : 1; /* in the round before */
	uint8_t in_round : 1;    /* round_end is valid */
	uint8_t ece : 1;         /* ECE goes out until CWR comes in */
	uint8_t cwr : 1;         /* CWR goes out with the next new data */
};

static_assert(sizeof(struct conn_cc) <= 72, "congestion control has its share of a connection");

/* tcp_cc.c */
/* When the peer's SYN was read and mss is known. */
void cc_init(const struct tcp *tcp, struct conn *c);
const char *cc_name(const struct conn *c);
/* cc_ack in conn.h: acked bytes were acknowledged in order, not in a fast recovery; before snd_una
 * moves. This is what is left of it when the window is the limit or there was a timeout. */
void cc_grow(struct tcp *tcp, struct conn *c, uint32_t acked_bytes);
/* Output stopped at the congestion window. */
void cc_limited(const struct tcp *tcp, struct conn *c);
/* A loss that a timeout did not have to show: sets ssthresh_bytes, and cwnd_bytes to the same.
 * Before what was lost is taken out of the flight. */
void cc_loss(struct conn *c);
/* The first timeout of a loss: ssthresh_bytes, and a window of one segment (RFC 5681 3.1). */
void cc_timeout(struct conn *c);
/* RFC 3168 6.1.2: the peer saw a mark. To be called once for a window. */
void cc_ecn(struct conn *c);
/* The last cc_loss or cc_timeout was for nothing (RFC 9438 4.9): the algorithm's own state is as it
 * was before. cwnd_bytes and ssthresh_bytes are the caller's to put back, before this. */
void cc_undo(struct conn *c);
/* The first new segment with nothing else in flight was sent, for a connection that cc_is_large, or
 * a closed window opened: after idle time the window decays (RFC 5681 4.1, RFC 2861). */
void cc_restart(struct tcp *tcp, struct conn *c);
/* mss was raised: the windows hold as many segments as they always must. */
void cc_mss_raised(struct conn *c);
/* Now and then: five minutes without use end the window's validity (RFC 7661 4.4.3). */
void cc_age(const struct tcp *tcp, struct conn *c);

/* tcp_cubic.c: one step of congestion avoidance; the new ssthresh_bytes before its lower bound,
 * with what goes with it; the time from now on does not count until the next step. */
void cubic_grow(const struct tcp *tcp, struct conn *c, uint32_t acked_bytes);
uint32_t cubic_reduce(struct conn *c);
void cubic_pause(const struct tcp *tcp, struct conn *c);

/* tcp_newreno.c: the same (RFC 5681 3.1). */
void newreno_grow(struct conn *c, uint32_t acked_bytes);
uint32_t newreno_reduce(const struct conn *c);

/* tcp_hystart.c (RFC 9406), in the phases CC_SLOW_START and CC_CSS only */
void hystart_init(struct conn *c);
/* An ACK that moves snd_una, before it does, for a connection with CF_CWND_LIMITED. */
void hystart_sample(struct tcp *tcp, struct conn *c, const struct seg *s);
void hystart_round(struct tcp *tcp, struct conn *c);

/* tcp_pace.c */
void pace_init(const struct tcp *tcp, struct conn *c);
/* From now on a burst of CC_BURST_SEGS, then the rest at the pace. */
void pace_begin(struct tcp *tcp, struct conn *c);
/* With CF_PACED: may len bytes of new data leave now? They are accounted for when they may;
 * otherwise the connection's timer is set to when they may. */
bool pace_allows(struct tcp *tcp, struct conn *c, uint32_t len);
/* Behind one that was allowed: how many more segments may leave now, at most so many; and what of
 * them did leave is to be accounted for. */
uint32_t pace_more(const struct tcp *tcp, const struct conn *c, uint32_t most);
void pace_sent(struct conn *c, uint32_t bytes);

/* tcp_ecn.c (RFC 3168) */
/* Bits of our SYN, or of the SYN-ACK. */
uint8_t ecn_syn_flags(const struct tcp *tcp, const struct conn *c);
/* From the peer's SYN or SYN-ACK, before the state changes: CF_ECN. */
void ecn_take_syn(struct tcp *tcp, struct conn *c, const struct seg *s);
/* The peer sent its SYN again, perhaps without asking for ECN this time. */
void ecn_syn_again(struct conn *c, const struct seg *s);
/* A segment's IP header says that a router met congestion. */
bool ecn_is_marked(const struct seg *s);
/* With CF_ECN: data within the window came. */
void ecn_data_input(struct tcp *tcp, struct conn *c, const struct seg *s);
/* With CF_ECN and ECE: an acceptable ACK, before snd_una moves. */
void ecn_ack_input(struct tcp *tcp, struct conn *c, const struct seg *s);
/* With CF_ECN: adds to the TCP flags of a segment that is sent; returns the IP header's field. */
uint8_t ecn_output(struct conn *c, const struct seg_out *o, uint8_t *flags);
/* The window that was reduced for ECN is still in flight. */
bool ecn_in_window(const struct conn *c, uint32_t ack);

#endif
