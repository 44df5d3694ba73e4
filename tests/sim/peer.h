/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small TCP of the tests' own, as a client: written from RFC 9293 (with 6298, 5681, 7323, 2018 in
 * their plainest form), not from the code under test. It keeps no data: what it sends and what must
 * come follow from the plan. It can be told to misbehave (peer_lie.c).
 *
 * Called by: the tcp level of the simulator. */
#ifndef TESTS_SIM_PEER_H
#define TESTS_SIM_PEER_H

#include "lib/timerwheel.h"
#include "tests/sim/plan.h"

#define PEER_RUNS 12u

enum peer_state {
	PEER_CLOSED,
	PEER_SYN_SENT,
	PEER_ESTABLISHED,
	PEER_FIN_WAIT_1,
	PEER_FIN_WAIT_2,
	PEER_CLOSING,
	PEER_TIME_WAIT,
	PEER_CLOSE_WAIT,
	PEER_LAST_ACK,
};

enum peer_flag { PF_FIN = 1, PF_SYN = 2, PF_RST = 4, PF_PSH = 8, PF_ACK = 16, PF_URG = 32 };

/* A segment as it came, see wire_view.c. */
struct view {
	const uint8_t *frame;
	uint32_t len;
	bool v6;
	const uint8_t *src; /* addresses, of 4 or 16 bytes */
	const uint8_t *dst;
	uint16_t sport;
	uint16_t dport;
	uint32_t seq;
	uint32_t ack;
	uint32_t wnd; /* not scaled */
	uint8_t flags;
	uint8_t opts_len;
	uint8_t wscale; /* SYN only, 255: none */
	bool has_ts;
	bool sack_ok;
	uint16_t mss; /* 0: none */
	uint32_t tsval;
	uint32_t tsecr;
	const uint8_t *sack;
	uint32_t sack_count;
	const uint8_t *data;
	uint32_t data_len;
	uint8_t *tcp; /* the header, in frame */
};

/* False when the frame holds no whole TCP segment. Checks no checksum. */
bool view_parse(struct view *v, const uint8_t *frame, uint32_t len);
/* Those of IPv4 and TCP hold. */
bool view_csums_hold(const struct view *v);

struct peer_host;

struct peer_run {
	uint32_t lo;
	uint32_t hi;
};

struct peer {
	struct timer timer;
	const struct plan *plan;
	void *owner;
	struct rng rng;
	uint8_t state;
	bool ts;
	bool sack;
	bool reset;   /* ended by a reset, or by giving up */
	bool eof;     /* the server's FIN has come in order */
	bool fin_out; /* our FIN is sent */
	bool fin_seen;
	bool mute; /* vanished */
	uint8_t snd_shift;
	uint8_t rcv_shift;
	uint8_t dupacks;
	uint8_t tries;
	uint8_t unacked; /* segments received and not acknowledged */
	bool recovering;
	uint16_t mss; /* most that we send */
	/* Sending */
	uint32_t iss;
	uint32_t una;
	uint32_t nxt; /* goes back at a timeout */
	uint32_t max; /* behind the highest that was sent */
	uint32_t wnd;
	uint32_t wl1;
	uint32_t wl2;
	uint32_t cwnd;
	uint32_t ssthresh;
	uint32_t recover;
	/* Receiving */
	uint32_t irs;
	uint32_t rcv_nxt;
	uint32_t rcv_edge; /* right edge of the window offered */
	uint32_t rcv_buf;
	uint32_t read; /* bytes that the application took */
	uint32_t fin_at;
	uint32_t ts_recent;
	uint32_t ts_skew;
	uint32_t run_count;
	struct peer_run runs[PEER_RUNS]; /* out of order, newest first */
	/* Times, 0: not set */
	uint64_t rtx_ns;
	uint64_t ack_ns;
	uint64_t read_ns; /* reads again */
	uint64_t lie_ns;
	uint64_t end_ns;  /* of TIME-WAIT, or of a liar's patience */
	uint64_t keep_ns; /* keep-alive, when nothing else moves */
	uint64_t sent_ns;
	uint32_t timed; /* sequence number that is measured, if sent_ns */
	uint32_t srtt_us;
	uint32_t rttvar_us;
	uint32_t rto_us;
};

struct peer_host {
	uint8_t mac[6];
	uint8_t server_mac[6];
	uint8_t v4[4];
	uint8_t v6[16];
	uint8_t server_v4[4];
	uint8_t server_v6[16];
	uint16_t server_port;
	uint64_t now_ns; /* set by the caller before each call */
	struct timerwheel wheel;
	void (*send)(void *arg, const void *frame, uint32_t len);
	/* A byte came that is not the plan's. */
	void (*wrong)(void *arg, struct peer *peer, const char *what);
	/* The connection is closed; see reset, eof. */
	void (*ended)(void *arg, struct peer *peer);
	void *arg;
};

void peer_host_init(struct peer_host *h);
void peer_open(struct peer_host *h, struct peer *p, const struct plan *plan);
void peer_input(struct peer_host *h, struct peer *p, const struct view *v);
/* Fires what is due. */
void peer_timers(struct peer_host *h);
/* Forgets it, with a reset when asked for. */
void peer_drop(struct peer_host *h, struct peer *p, bool reset);
/* A segment for no connection of ours (RFC 9293 3.10.7.1). */
void peer_refuse(struct peer_host *h, const struct view *v);
/* A SYN from an address and port that nobody has. */
void peer_flood(struct peer_host *h, struct rng *rng);
/* The path takes no more than this (ICMP). */
void peer_path_mtu(struct peer *p, uint32_t mtu);
/* Grows whenever the connection gets on. */
uint64_t peer_progress(const struct peer *p);

/* Between the files of the peer: */
struct peer_seg {
	uint32_t seq;
	uint32_t ack;
	uint32_t len;
	uint32_t wnd; /* as in the header */
	uint16_t urgent;
	uint8_t flags;
	uint8_t opts_len;
	uint8_t opts[40];
	const uint8_t *data;
};

void peer_emit(struct peer_host *h, const struct plan *plan, const struct peer_seg *s);
/* A segment with our numbers, options and window. */
void peer_send(struct peer_host *h, struct peer *p, struct peer_seg s);
void peer_ack(struct peer_host *h, struct peer *p);
void peer_arm(struct peer_host *h, struct peer *p);
void peer_output(struct peer_host *h, struct peer *p);
void peer_options(const struct peer_host *h, const struct peer *p, struct peer_seg *s);
/* Writes type, IP and the first of the TCP header of a segment from the server to us. */
void peer_quote(const struct peer_host *h, const struct plan *plan, uint8_t *frame);
uint32_t peer_fin_seq(const struct peer *p);
/* Misbehaves once; sets when it does again. */
void peer_lie(struct peer_host *h, struct peer *p);

static inline bool sq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool sq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

#endif
