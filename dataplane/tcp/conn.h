/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection block and the stack around it: what the files of tcp/ share. Private to this
 * folder and to tests that look inside.
 *
 * How a connection lives: conn_new puts it into the table; conn_die (at once) or conn_finish
 * (orderly) take it out of the table; conn_free gives the block back. Between the two it may still
 * wait on the ready list to tell its owner. Whoever calls conn_die, conn_finish or anything that
 * may end in them must not touch the connection afterwards.
 *
 * How sequence numbers map to the send queue: the queue's first byte not yet acknowledged has the
 * number snd_una (snd_una + 1 while our SYN is unacknowledged); a FIN follows the last queued byte.
 */
#ifndef DATAPLANE_TCP_CONN_H
#define DATAPLANE_TCP_CONN_H

#include "dataplane/net/net.h"
#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_uto.h"
#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_fastopen.h"
#include "dataplane/tcp/tcp_handshake.h"
#include "dataplane/tcp/tcp_ports.h"
#include "dataplane/tcp/tcp_mem.h"
#include "dataplane/tcp/tcp_pmtu.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_loss.h"
#include "lib/pool.h"
#include "lib/shm.h"
#include "lib/timerwheel.h"

enum {
	TCP_MAX_LISTENERS = 64,
	TCP_HDR_LEN = 20,
	TCP_MAX_OPTS = 40,
	TCP_TS_OPT_LEN = 12,      /* with its two NOPs */
	TCP_MAX_WSCALE = 14,      /* RFC 7323 2.3 */
	TCP_MIN_MSS = 64,         /* the least that we may be configured to offer */
	TCP_DEFAULT_MSS_V4 = 536, /* RFC 9293 3.7.1 */
	TCP_DEFAULT_MSS_V6 = 1220,
	TCP_DUP_THRESH = 3, /* RFC 5681 3.2 */
	TCP_QUICK_ACKS =
	        8, /* segments answered at once at the start, while the peer's window grows */
	TCP_LOSS_QUICK_ACKS = 16,     /* and after a loss, while the peer's window is small */
	TCP_CHALLENGES_PER_S = 10,    /* a connection, RFC 5961 7 */
	TCP_LONG_RTO_US = 250 * 1000, /* a probe of a single segment may be sooner (RFC 8985 7.2) */
	TCP_RETRY_MS = 2,             /* after a packet buffer was missing */
	TCP_SUPER_LEAST_MSS = 256,    /* there are ports that cut into no smaller ones */
	TCP_SUPER_HDRS = 14 + 4 + 40 + TCP_HDR_LEN + TCP_MAX_OPTS, /* tagged, IPv6 */
	TCP_MAX_QUEUED =
	        1 << 30, /* bytes in a send queue: half the sequence space and well below */
};

enum {
	TS_TICK_NS = 1 << 20, /* of ts_clock */
	TS_TICK_US = 1049,    /* the same, rounded up */
};

#define TCP_NONE UINT32_MAX /* no descriptor, no connection */

enum tcp_hdr_flag {
	TH_FIN = 1 << 0,
	TH_SYN = 1 << 1,
	TH_RST = 1 << 2,
	TH_PSH = 1 << 3,
	TH_ACK = 1 << 4,
	TH_URG = 1 << 5,
	TH_ECE = 1 << 6,
	TH_CWR = 1 << 7,
	TH_ECN_SETUP = TH_ECE | TH_CWR, /* of a SYN: RFC 3168 6.1.1 */
};

/* A received segment, its options parsed. */
struct seg {
	const struct pkt *pkt;
	const uint8_t *data; /* payload, trimmed as processing goes on */
	uint32_t len;
	uint32_t seq;
	uint32_t ack;
	uint32_t wnd; /* as in the header, not scaled */
	uint32_t tsval;
	uint32_t tsecr;
	union {
		const uint8_t *sack;      /* blocks of 8 bytes in the header */
		const uint8_t *fo_cookie; /* SYN only */
	};
	uint8_t sack_count;
	uint8_t fo_len; /* length of the fast open option, 0: none */
	uint8_t flags;  /* enum tcp_hdr_flag */
	bool has_ts;
	bool syn_wnd; /* of a SYN: wnd is not scaled (RFC 7323 2.2) */
	bool sack_ok; /* SYN only, as are the following */
	bool has_wscale;
	uint8_t wscale;
	uint16_t mss; /* 0: none */
	uint16_t uto; /* RFC 5482, 0: none */
};

/* What finds a connection. The first 32 bytes are laid out as in struct net_path. */
struct conn_key {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t lport; /* host order */
	uint16_t rport;
};

static_assert(offsetof(struct net_path, local) == 0 && offsetof(struct net_path, remote) == 16,
              "conn_key and net_path begin alike");

/* A piece of the send queue. */
struct tx_ref {
	const uint8_t *data;
	union {
		uint64_t cookie; /* lent bytes */
		uint8_t *chunk;  /* own bytes: the chunk they lie in; data == chunk */
	};
	uint32_t len;
	uint32_t next : 31; /* index, TX_REF_NONE at the end */
	uint32_t lent : 1;
};

#define TX_REF_NONE 0x7fffffffu

enum conn_flag {
	CF_TS = 1 << 0, /* timestamps in use */
	CF_SACK = 1 << 1,
	CF_FIN_QUEUED = 1 << 2, /* the owner wants FIN after what is queued */
	CF_FIN_SENT = 1 << 3,   /* snd_nxt is behind it */
	CF_FIN_EARLY = 1 << 4,  /* a FIN came ahead of missing data, at rcv_fin */
	CF_FIN_RCVD = 1 << 5,   /* rcv_nxt is behind it */
	CF_ACK_NOW = 1 << 6,    /* the next output must carry an ACK */
	CF_READY = 1 << 7,      /* on the ready list */
	CF_IN_HAND = 1 << 8,    /* between tcp_ready and tcp_ready_done */
	CF_KNOWN = 1 << 9,      /* the owner has seen it */
	CF_DETACHED = 1 << 10,  /* the owner let go */
	CF_FINISHED = 1 << 11,  /* closed in order; say so when all was read */
	CF_TOLD = 1 << 12,      /* TCP_EV_CLOSED was returned */
	CF_TIMING = 1 << 13,    /* rtt_seq and rtt_start_ns are valid */
	CF_WANT_ROOM = 1 << 14,
	CF_CWND_LIMITED = 1 << 15, /* the congestion window is tested and may grow: tcp_cc.h */
	CF_SYN_UNACKED = 1 << 16,
	CF_PASSIVE = 1 << 17,
	CF_WSCALE = 1 << 19, /* the peer offered window scaling */
	CF_LIVE = 1 << 20,   /* the block is in use */
	CF_HASHED = 1 << 21,
	CF_PROBED = 1 << 22,     /* a tail loss probe is out, ls.probe_end is behind it */
	CF_PROBED_NEW = 1 << 23, /* it was data not sent before */
	/* What the deadline rtx_ns is for; none of them: a timeout (RFC 6298) or persist. */
	CF_RTX_PROBE = 1 << 24,   /* RFC 8985 7: send something, so that a lost tail is noticed */
	CF_RTX_REORDER = 1 << 25, /* RFC 8985 6.2 step 5: what is still missing then is lost */
	CF_RTX_EARLY = CF_RTX_PROBE | CF_RTX_REORDER,
	CF_REORDERED = 1 << 26, /* the path was seen to reorder: only time tells a loss */
	CF_PACED = 1 << 28,     /* new data leaves no faster than tcp_pace.c says */
	CF_ECN = 1 << 29,       /* negotiated (RFC 3168) */
};

enum loss_state {
	LOSS_NONE,
	LOSS_RECOVERY, /* after duplicate ACKs */
	LOSS_RTO,      /* after a timeout */
};

/* The members are in the order in which they are needed. The four lines in front are all that a hit
 * touches: a request in order that acknowledges the answer before it, and the answer
 * (tests/unit/tcp/test_tcp_table.c traps on any other). tcp_input_burst has them on their way
 * before the first segment is looked at. */
struct conn {
	/* First line: which connection, and is there anything unusual about it? The pool keeps its
	 * free list in the first 8 bytes. */
	uint32_t hash;
	uint32_t hash_next; /* index + 1, 0: end of the bucket's chain */
	uint32_t flags;     /* enum conn_flag */
	uint8_t state;      /* enum tcp_state */
	uint8_t loss;       /* enum loss_state */
	uint16_t mss;       /* payload bytes a segment, timestamps taken off */
	uint16_t lport;
	uint16_t rport;
	uint8_t events; /* enum tcp_event, not yet returned */
	bool has_runs;  /* the scoreboard is in use */
	uint8_t tries;  /* timeouts in a row */
	uint8_t probes; /* keep-alive probes in a row */
	struct net_path path;

	/* Second line: sequence numbers */
	uint32_t snd_una;
	uint32_t snd_nxt; /* never goes back: the scoreboard knows what to send again */
	uint32_t snd_wnd; /* bytes from snd_una */
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t snd_wnd_max;
	uint32_t rcv_nxt;
	uint32_t rcv_adv;  /* right edge of the window we advertised */
	uint32_t rx_wnd;   /* what it may be at most now: tcp_window.c */
	uint32_t last_ack; /* rcv_nxt as last sent */
	uint32_t ts_recent;
	uint32_t ts_recent_s; /* when it was set */
	uint32_t ts_offset;
	uint32_t cwnd_bytes;
	uint32_t dupacks;
	uint32_t recover; /* snd_nxt when the loss was noticed */

	/* Third line: the queues */
	uint32_t tx_bytes;    /* queued and not acknowledged */
	uint32_t tx_head;     /* descriptors, TX_REF_NONE: empty */
	uint32_t tx_head_off; /* acknowledged bytes of the head */
	uint32_t tx_tail;
	uint32_t tx_cur; /* where snd_nxt is in the queue */
	uint32_t tx_cur_off;
	uint8_t snd_wscale;
	uint8_t rcv_wscale;
	uint8_t ack_segs; /* data segments since our last ACK */
	uint8_t quick;    /* quick ACKs left */
	uint32_t view_len;
	const uint8_t *view; /* in-order bytes in the packet; then rx is NULL */
	struct rx_buf *rx;
	struct conn *ready_next;
	void *owner;

	/* Fourth line: time */
	uint64_t last_rx_ns;
	uint64_t rtx_ns; /* retransmission, persist, or the end of TIME-WAIT; 0: none */
	uint64_t ack_ns; /* delayed ACK, or output again; 0: none */
	uint64_t rtt_start_ns;
	uint32_t rtt_seq; /* an ACK at or behind this ends the measurement */
	uint32_t srtt_us; /* 0: not measured */
	uint32_t rttvar_us;
	uint32_t rto_us;
	struct timer timer; /* at or before the earliest of the deadlines; its last word is cold */

	/* Cold */
	uint64_t user_ns;
	uint64_t linger_ns; /* detached: give up then */
	uint32_t rx_len;    /* in-order bytes in rx */
	uint32_t ssthresh_bytes;
	uint32_t sacked_bytes;
	uint32_t challenge_s;
	uint32_t rcv_fin;
	uint32_t room_low;
	uint32_t retransmits;
	uint32_t iss;
	uint32_t irs;
	uint32_t age_prev; /* half-open, orphan or in TIME-WAIT: that list; indexes */
	uint32_t age_next;
	uint64_t opened_ns;
	struct conn_cc cc;
	uint8_t challenges; /* in the second challenge_s */
	uint8_t end;        /* enum tcp_end */
	struct conn_pmtu pmtu;
	struct conn_handshake hs;
	struct conn_uto uto;
	struct conn_memory mem;
	struct conn_loss ls;
	/* Where in the queue something was last sent again, so that the next need not be looked for
	 * from the head: descriptor and its first number. With has_runs; TX_REF_NONE: nowhere. */
	uint32_t tx_again;
	uint32_t tx_again_seq;
	uint32_t orphan_since; /* of ts_clock: its owner let go */
} ALIGNED(CACHE_LINE);

#define CONN_HOT_LINES 4u

static_assert(offsetof(struct conn, path) == 24 && sizeof(struct net_path) == 40, "first line");
static_assert(offsetof(struct conn, tx_bytes) == 2 * CACHE_LINE, "second line");
static_assert(offsetof(struct conn, last_rx_ns) == 3 * CACHE_LINE, "third line");
static_assert(offsetof(struct conn, timer.next) == CONN_HOT_LINES * CACHE_LINE, "fourth line");
static_assert(sizeof(struct conn) <= 768, "a connection at rest is small");

/* Connections of one kind, oldest first; indexes, TCP_NONE: none. */
struct conn_ages {
	uint32_t oldest;
	uint32_t newest;
};

struct tcp_listener {
	struct ip_addr addr; /* all-zero: any */
	uint16_t port;
};

struct tcp {
	uint64_t now_ns; /* as of the last call that brought the time */
	struct net *net;
	struct counters *ctr;
	struct conn *ready_head;
	struct conn *ready_tail;
	uint32_t *buckets;    /* connection index + 1 */
	uint32_t bucket_mask; /* covers bucket_count, but not twice */
	uint32_t bucket_count;
	uint32_t bucket_max;
	/* What was received twice, for the next ACK of this connection (RFC 2883); NULL: nothing */
	const struct conn *dup_conn;
	struct seq_run dup;
	struct loss_ack ack; /* the one in hand */
	bool csum_offload;
	uint32_t super_bytes; /* payload of a segment that the port cuts; 0: it cuts none */
	bool stopped;         /* tcp_stop_listening was called, and tcp_listen not since */
	uint64_t hash_key[5];
	uint64_t isn_key[2];
	struct pool conns;
	struct pool refs;
	struct pool chunks;
	struct pool loss_blocks;
	struct rx_mem rx_mem;
	char *rx_whole; /* where tcp_rx_whole joins pieces: rx_buf_bytes */
	struct tcp_config cfg;
	struct tcp_env env;
	uint8_t rcv_wscale;
	uint32_t rx_wnd_max;
	uint32_t half_open;
	struct conn_ages half_opens; /* passive and in SYN-RECEIVED */
	struct conn_ages time_waits;
	uint32_t time_wait_count;
	uint32_t relief_cursor;   /* of tcp_relieve */
	uint32_t *addr_cells;     /* connections by address: tcp_limit.c */
	struct conn_ages orphans; /* detached, not in TIME-WAIT */
	uint32_t orphan_count;
	uint32_t resets_s; /* of now_s; so many resets were sent in it */
	uint32_t resets;
	uint32_t resets_most; /* in that second */
	struct pmtu_cache pmtu_cache;
	/* tcp_tx_reserve until tcp_tx_commit */
	struct conn *reserved_by;
	uint8_t *reserved_chunk; /* a new one, NULL: the tail of the last */
	tcp_user_timer_fn user_fn;
	void *user_arg;
	uint32_t listener_count;
	struct tcp_listener listeners[TCP_MAX_LISTENERS];
	struct cookie_keys cookies;
	struct port_picker ports;
	struct fast_open fast_open;
	size_t conns_touched; /* by tcp_touch_ahead; bytes */
	size_t buckets_touched;
	struct shm mem;
	struct shm bulk; /* bytes on their way: chunks and received data */
	struct timerwheel wheel;
};

/* RFC 7323 5.4 asks for a tick of 1 ms to 1 s: 2^20 ns needs no division. */
static inline uint32_t ts_clock(const struct tcp *tcp)
{
	return (uint32_t)(tcp->now_ns >> 20);
}

/* About a microsecond a tick; differences are good for half an hour, and no retransmission is
 * older. */
static inline uint32_t fine_clock(const struct tcp *tcp)
{
	return (uint32_t)(tcp->now_ns >> 10);
}

static inline uint32_t now_s(const struct tcp *tcp)
{
	return (uint32_t)(tcp->now_ns >> 30);
}

static inline uint32_t conn_rx_len(const struct conn *c)
{
	return c->rx ? c->rx_len : c->view_len;
}

/* Sends and receives data: the handshake is over and nothing but FIN can come after. */
static inline bool conn_synchronized(const struct conn *c)
{
	return c->state >= TCP_ESTABLISHED;
}

/* Sequence numbers in flight, SYN and FIN counted. */
static inline uint32_t conn_flight(const struct conn *c)
{
	return c->snd_nxt - c->snd_una;
}

/* Sequence number behind the last queued byte, that is of our FIN. */
static inline uint32_t conn_tx_end(const struct conn *c)
{
	return c->snd_una + c->tx_bytes + (c->flags & CF_SYN_UNACKED ? 1 : 0);
}

/* RFC 5961 5.2: neither beyond what was sent nor older than any window. */
static inline bool ack_in_range(const struct conn *c, const struct seg *s)
{
	return !seq_lt(c->snd_nxt, s->ack) && !seq_lt(s->ack, c->snd_una - c->snd_wnd_max);
}

/* More than what may leave at once: idle time counts, and pacing may. */
static inline bool cc_is_large(const struct conn *c)
{
	return c->cwnd_bytes > CC_BURST_SEGS * (uint32_t)c->mss;
}

static inline void cc_ack(struct tcp *tcp, struct conn *c, uint32_t acked_bytes)
{
	if (unlikely(c->flags & CF_CWND_LIMITED || c->loss != LOSS_NONE))
		cc_grow(tcp, c, acked_bytes);
}

static inline struct tx_ref *tx_ref_at(const struct tcp *tcp, uint32_t index)
{
	return pool_at(&tcp->refs, index);
}

/* conn_table.c */
enum {
	CONN_BUCKETS_EACH = 2,
	CONN_BUCKETS_MIN = 1024, /* a page of them */
};

/* Buckets from bucket_count on do not exist yet: what belongs there is where it was. */
static inline uint32_t conn_bucket(const struct tcp *tcp, uint32_t hash)
{
	uint32_t b = hash & tcp->bucket_mask;

	return b < tcp->bucket_count ? b : b & (tcp->bucket_mask >> 1);
}

uint32_t conn_hash(const struct tcp *tcp, const struct conn_key *key);
struct conn *conn_lookup(const struct tcp *tcp, const struct conn_key *key, uint32_t hash);
struct conn *conn_new(struct tcp *tcp, const struct net_path *path, const struct conn_key *key);
void age_link(struct tcp *tcp, struct conn_ages *list, struct conn *c);
void age_unlink(struct tcp *tcp, struct conn_ages *list, struct conn *c);
/* False when there is none, or the owners of the oldest must hear of their end first. */
bool give_up_oldest(struct tcp *tcp, struct conn_ages *list);
void conn_unhash(struct tcp *tcp, struct conn *c);
void conn_free(struct tcp *tcp, struct conn *c);
uint32_t conn_index(const struct tcp *tcp, const struct conn *c);
/* RFC 6528 3. */
uint32_t conn_isn(const struct tcp *tcp, const struct conn_key *key);
uint32_t conn_ts_offset(const struct tcp *tcp, const struct conn_key *key);

/* tcp.c: the ready list */
void conn_post(struct tcp *tcp, struct conn *c, uint32_t events);

/* tcp_connect.c */
enum counter_id syn_sent_input(struct tcp *tcp, struct conn *c, struct seg *s);

/* tcp_in.c */
/* The peer's frames may begin to come another way; answers follow them. */
void path_follow(struct conn *c, const struct pkt *pkt);
void conn_established(struct tcp *tcp, struct conn *c);
/* RFC 9293 3.10.7.4, first: some of it lies in the window. */
bool seg_acceptable(const struct conn *c, const struct seg *s);
/* Text and FIN of the SYN that completed an active open. */
enum counter_id syn_text_input(struct tcp *tcp, struct conn *c, struct seg *s);

/* tcp_opt.c */
bool opt_parse(struct seg *s, const uint8_t *opt, uint32_t len);
/* Options of an outgoing segment; returns their length, a multiple of 4. */
uint32_t opt_write_syn(struct tcp *tcp, const struct conn *c, uint8_t *out);
/* len: payload bytes; SACK blocks take what they leave of the MSS. */
uint32_t opt_write_sack(const struct tcp *tcp, const struct conn *c, uint8_t *out, uint32_t len);

static inline bool opt_sack_due(const struct tcp *tcp, const struct conn *c)
{
	return unlikely(tcp->dup_conn == c || (c->rx && c->rx->ooo_count > 0)) &&
	       c->flags & CF_SACK;
}

/* Timestamps, behind two NOPs as RFC 7323 appendix A has them; returns their sum. */
static inline uint64_t ts_write(const struct tcp *tcp, const struct conn *c, uint8_t *out)
{
	const uint32_t head = __builtin_bswap32(0x0101080au);
	uint32_t val = __builtin_bswap32(ts_clock(tcp) + c->ts_offset);
	uint32_t echo = __builtin_bswap32(c->ts_recent);

	memcpy(out, &head, 4);
	memcpy(out + 4, &val, 4);
	memcpy(out + 8, &echo, 4);
	return (uint64_t)head + val + echo;
}
/* RFC 7323 3.2: true when the segment should have a timestamp and has none. */
bool opt_ts_missing(const struct tcp *tcp, const struct conn *c, const struct seg *s);
/* RFC 7323 5.3: true when the segment is an old duplicate. */
bool opt_paws_reject(const struct tcp *tcp, const struct conn *c, const struct seg *s);
void opt_ts_update(const struct tcp *tcp, struct conn *c, const struct seg *s);

/* tcp_ooo.c: what was received */
/* Takes the segment's data, which begins at or before rcv_nxt + window; moves rcv_nxt. */
enum counter_id rx_take(struct tcp *tcp, struct conn *c, struct seg *s);
/* Copies what the owner left in the packet; false when there is no buffer, and then it stays. */
bool rx_keep(struct tcp *tcp, struct conn *c);
void rx_release(struct tcp *tcp, struct conn *c);
/* Forgets what is held out of order. */
void rx_drop_ooo(struct tcp *tcp, struct conn *c);
/* Gives back the memory of what was read. */
void rx_release_read(struct tcp *tcp, struct conn *c);
/* The first unread bytes in the buffer, as many as lie in one piece. */
struct span rx_piece(const struct conn *c);
/* The next ACK tells the peer that these bytes came twice (RFC 2883). */
static inline void dup_note(struct tcp *tcp, const struct conn *c, struct seq_run run)
{
	tcp->dup_conn = c;
	tcp->dup = run;
}
/* SACK blocks for the options, freshest first; returns how many. */
uint32_t rx_sack_blocks(const struct conn *c, struct seq_run *out, uint32_t max);

/* tcp_queue.c: the send queue */
void tx_acked(struct tcp *tcp, struct conn *c, uint32_t n);
void tx_release_all(struct tcp *tcp, struct conn *c);
/* Copies these bytes of the queue; returns their partial checksum, 0 when the port sums. */
uint32_t tx_gather(struct tcp *tcp, struct conn *c, uint8_t *dst, struct seq_run bytes);

/* tcp_out.c */
struct seg_out {
	uint32_t seq;
	uint32_t len;
	uint8_t flags;
	bool fresh; /* data never sent before, and no probe (RFC 3168 6.1.5, 6.1.6) */
};
/* False when there is no packet buffer. */
bool segment_send(struct tcp *tcp, struct conn *c, const struct seg_out *o);
/* Sends what congestion and window allow, or a bare ACK when one is due. */
void conn_output(struct tcp *tcp, struct conn *c);
void ack_send(struct tcp *tcp, struct conn *c);
/* An ACK if one is due, or the time for it. */
void output_ack(struct tcp *tcp, struct conn *c);
/* One octet beyond the closed window (RFC 9293 3.8.6.1); what fits one that is merely small
 * (3.8.6.2.1, the override timeout). */
void window_probe(struct tcp *tcp, struct conn *c);
/* RFC 8985 7.3: a new segment, else the last one again. */
void tail_probe(struct tcp *tcp, struct conn *c);
void keepalive_probe(struct tcp *tcp, struct conn *c);
void ack_challenge(struct tcp *tcp, struct conn *c);
void reset_send(struct tcp *tcp, struct conn *c);
/* SYN or SYN-ACK, as the state asks for. */
void syn_send(struct tcp *tcp, struct conn *c);

/* tcp_timer.c */
void conn_arm(struct tcp *tcp, struct conn *c, uint64_t deadline_ns);
/* Sets the retransmission deadline from now. */
void rto_start(struct tcp *tcp, struct conn *c);
/* The same, behind CF_RTX_REORDER when that is set. */
void rto_postpone(struct tcp *tcp, struct conn *c);
/* The same, or the probe's when one is wanted. */
void rtx_start(struct tcp *tcp, struct conn *c);
/* New data was sent: the deadline becomes the probe's if that is sooner and one is wanted. */
void probe_hasten(struct tcp *tcp, struct conn *c);
/* A tail loss probe may be sent when nothing is heard. */
bool probe_wanted(const struct conn *c);
/* Has CF_RTX_REORDER in so many microseconds, if nothing else is due before. */
void reorder_start(struct tcp *tcp, struct conn *c, uint32_t us);
/* The first deadline of the new state; keep-alive begins. */
void keepalive_start(struct tcp *tcp, struct conn *c);
/* The owner let go, or the peer made progress since: so long may it take to make more. */
void linger_start(struct tcp *tcp, struct conn *c);
/* The peer's window is closed and only probes may be sent. */
bool window_closed(const struct conn *c);
void conn_timer(void *arg, struct timer *timer, uint64_t now_ns);
void rtt_ack(struct tcp *tcp, struct conn *c, const struct seg *s);
/* A timeout came too soon: the estimate learns how long it really took (RFC 4015 3.2 (7)). */
void rtt_spurious(struct tcp *tcp, struct conn *c);

/* tcp_close.c */
/* Ends the connection now; the owner is told by the ready list. */
void conn_die(struct tcp *tcp, struct conn *c);
/* Ends it in order, data not yet read is still delivered. */
void conn_finish(struct tcp *tcp, struct conn *c);
/* Ends what is still open with a reset. */
void conn_reset(struct tcp *tcp, struct conn *c);
void time_wait_enter(struct tcp *tcp, struct conn *c);
void time_wait_unlink(struct tcp *tcp, struct conn *c);
void half_open_unlink(struct tcp *tcp, struct conn *c); /* no longer half-open, or not at all */
enum counter_id time_wait_input(struct tcp *tcp, struct conn *c, struct seg *s);
/* Our FIN was acknowledged; false when the connection is gone. */
bool fin_acked(struct tcp *tcp, struct conn *c);
/* rcv_nxt has reached the peer's FIN; false when the connection is gone. */
bool fin_input(struct tcp *tcp, struct conn *c);
/* The owner still wants to hear of it. */
bool conn_reportable(const struct conn *c);

#endif
