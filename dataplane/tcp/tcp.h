/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TCP (RFC 9293) for one core, as a pure library: time and a packet in, packets (through net.h) and
 * events out. No clock, no DPDK, no globals, and no knowledge of HTTP: a connection with news goes
 * on the ready list, and whoever owns the core takes it from there.
 *
 * Called by: the core's loop (input, timers, flush) and the request layer (ready, rx, tx, close).
 * Single-threaded: one stack belongs to one core. */
#ifndef DATAPLANE_TCP_TCP_H
#define DATAPLANE_TCP_TCP_H

#include "dataplane/net/net.h"
#include "lib/base.h"
#include "lib/counters.h"
#include "lib/span.h"
#include "lib/status.h"
#include "lib/timerwheel.h"

/* When a SYN is answered without keeping anything (RFC 4987 3.6). */
enum tcp_cookies {
	TCP_COOKIES_OFF, /* never: the oldest handshake makes room */
	TCP_COOKIES_ON_PRESSURE,
	TCP_COOKIES_ALWAYS,
};

/* What RFC 4821 is used for: nothing; to go down when full segments time out and to find the way
 * up again; or from the start, beginning at 1280 bytes. */
enum tcp_pmtu_probing { TCP_PMTU_OFF, TCP_PMTU_BLACKHOLE, TCP_PMTU_ALWAYS };
/* Congestion control: RFC 9438, or RFC 5681 as it is. */
enum tcp_congestion { TCP_CONGESTION_CUBIC, TCP_CONGESTION_NEWRENO, TCP_CONGESTION_COUNT };
/* Which segments are spread over time: none, those of a first window above 10 segments and of a
 * restart after idle time, or all but what follows within 10 segments. */
enum tcp_pacing { TCP_PACING_OFF, TCP_PACING_INITIAL, TCP_PACING_ON, TCP_PACING_COUNT };
/* RFC 3168: never, when the peer asks, or asking for it as well. */
enum tcp_ecn { TCP_ECN_OFF, TCP_ECN_ACCEPT, TCP_ECN_REQUEST, TCP_ECN_COUNT };

struct tcp_config {
	uint32_t max_conns;         /* connections in the table, 16 to 1,048,576 */
	uint32_t max_syn_backlog;   /* connections in SYN-RECEIVED */
	uint32_t rx_bufs;           /* receive memory, in units of rx_buf_bytes */
	uint32_t rx_buf_bytes;      /* a connection's first window, 4 KiB to 1 MiB */
	uint32_t rx_window_bytes;   /* the largest that it may become: 4 MiB */
	uint32_t max_per_address;   /* open connections of an IPv4 address or IPv6 /64; 0: any */
	uint32_t max_time_waits;    /* 32,768 */
	uint32_t tx_chunks;         /* chunks of TCP_TX_CHUNK bytes for copied data */
	uint32_t tx_refs;           /* descriptors of queued data */
	uint32_t loss_boards;       /* scoreboards for many holes, 6 KiB each; 0: none */
	uint32_t mss;               /* 0: from the MTU */
	uint32_t initial_window;    /* segments, RFC 6928: 10 */
	uint32_t min_rto_ms;        /* 200 */
	uint32_t max_rto_ms;        /* 60,000 */
	uint32_t max_orphans;       /* closed by their owner, and data or FIN not acknowledged */
	uint32_t syn_retries;       /* SYN-ACK retransmissions: 5; of SYNs at least 7 */
	uint32_t retries;           /* data retransmissions before giving up: 12 */
	uint32_t delayed_ack_ms;    /* 40; 0: none */
	uint32_t keepalive_idle_ms; /* 60,000; 0: off */
	uint32_t keepalive_interval_ms;
	uint32_t keepalive_probes;
	uint32_t time_wait_ms;     /* 2 MSL: 60,000 as Linux */
	uint32_t fin_wait_2_ms;    /* orphans without progress: 60,000 */
	uint32_t orphan_life_ms;   /* orphans in all: 600,000 */
	uint32_t persist_max_ms;   /* between zero-window probes: 60,000 */
	uint32_t persist_limit_ms; /* a window shut for longer is reset: 300,000; 0: never */
	uint32_t user_timeout_ms;  /* data not acknowledged for so long ends it; 0: retries says */
	uint32_t user_timeout_max_ms;       /* that a peer may ask for (RFC 5482); 0: it may not */
	uint32_t user_timeout_advertise_ms; /* told to peers (RFC 5482); 0: nothing is */
	uint32_t timestamps_required; /* 1: once agreed, drop segments without (RFC 7323 3.2) */
	enum tcp_cookies syn_cookies;
	uint32_t syn_cookie_step_s; /* the key's change: 60; a cookie lasts for at most two */
	uint32_t max_resets_per_s;  /* to segments of no connection: 10,000 */
	bool fast_open;             /* RFC 7413, as server and as client */
	uint32_t fast_open_key_s;   /* the key's change: a day; a cookie lasts for at most two */
	uint32_t max_fast_open;     /* with data of the SYN taken and the handshake open: 256 */
	uint16_t port_lo;           /* local ports of active opens: 1024 to 65535 */
	uint16_t port_hi;
	bool huge_pages;                    /* the connection table, when there are some */
	uint32_t min_send_mss;              /* least segment we send, 48 to 1,220: 64 */
	enum tcp_pmtu_probing pmtu_probing; /* TCP_PMTU_BLACKHOLE */
	uint32_t pmtu_age_s;                /* 600 */
	enum tcp_congestion congestion;
	enum tcp_pacing pacing; /* TCP_PACING_INITIAL */
	enum tcp_ecn ecn;       /* TCP_ECN_ACCEPT */
};

/* The defaults in the comments above. */
void tcp_config_default(struct tcp_config *cfg);

#define TCP_TX_CHUNK 1024u

/* RFC 9293 3.3.2. */
enum tcp_state {
	TCP_CLOSED,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_STATE_COUNT
};

const char *tcp_state_name(enum tcp_state s);

/* News of a connection, as bits; read and cleared by tcp_ready. */
enum tcp_event {
	TCP_EV_OPEN = 1 << 0,   /* handshake complete */
	TCP_EV_DATA = 1 << 1,   /* tcp_rx has bytes */
	TCP_EV_EOF = 1 << 2,    /* the peer sent FIN and all its data was delivered */
	TCP_EV_ROOM = 1 << 3,   /* queued bytes were acknowledged since tcp_tx_want_room */
	TCP_EV_CLOSED = 1 << 4, /* the connection is gone (reset, timeout, or both sides closed);
	                           let go of it: the stack frees it when tcp_ready_done returns */
};

struct tcp; /* a core's stack */
struct conn;

/* Gives back what tcp_tx_ref lent: every byte was acknowledged, or the connection is gone. */
typedef void (*tcp_release_fn)(void *arg, uint64_t cookie);

#define TCP_SEED_BYTES 32u

struct tcp_env {
	struct net *net;
	struct counters *ctr;
	tcp_release_fn release;
	void *arg; /* for release */
	/* TCP_SEED_BYTES that all keys come from, so that a run can be repeated; read by tcp_create
	 * only. NULL: from the kernel's generator, which is what a product wants. */
	const uint8_t *seed;
	/* The same for stacks that shall know each other's fast open cookies, for a client's
	 * connections come to all of them. NULL: of its own. */
	const uint8_t *fast_open_seed;
	/* The same for a stack that takes the addresses of one before it on this host, on the same
	 * monotonic clock: sequence numbers and timestamps of a 4-tuple go on where the other
	 * stack left them, so that a peer's TIME-WAIT takes the new connection (RFC 6191 2,
	 * RFC 6528 3). NULL: of its own. */
	const uint8_t *isn_seed;
};

enum status tcp_create(struct tcp **out, const struct tcp_config *cfg, const struct tcp_env *env,
                       uint64_t now_ns);
void tcp_destroy(struct tcp *tcp);
/* Fresh random bytes for the keys that change with time; they are used from the next change on.
 * Housekeeping calls this about once a minute. Without, keys change all the same, but each follows
 * from the one before. */
void tcp_reseed(struct tcp *tcp, const uint8_t seed[TCP_SEED_BYTES]);
/* Has the memory of the next connections there before they come, lest the core stand still for a
 * page. For another thread (the only function here that is): called again every ten milliseconds or
 * so while the core runs, it keeps some 20,000 connections ahead. */
void tcp_touch_ahead(struct tcp *tcp);

/* Accept connections to this address (all-zero: any of the net's) and port. */
enum status tcp_listen(struct tcp *tcp, const struct ip_addr *addr, uint16_t port);
/* No new connections from now on; a SYN is answered with a reset. */
void tcp_stop_listening(struct tcp *tcp);

/* One segment that net_input let through. The packet stays the caller's, but its payload may be
 * lent to the connection until tcp_ready_done, so free it after the ready list has been run. */
void tcp_input(struct tcp *tcp, struct pkt *pkt, uint64_t now_ns);
/* The same for a burst of at most NIC_BURST, with the memory of all connections on its way before
 * the first is looked at. The handle of one that was passed on to another core is NULL then. */
void tcp_input_burst(struct tcp *tcp, struct pkt *pkts, unsigned n, uint64_t now_ns);
/* ICMP errors that net_input put by: tcp_input_burst and tcp_timers do this as well. */
void tcp_input_errors(struct tcp *tcp, uint64_t now_ns);
/* Retransmission, persist, keepalive, delayed ACK, TIME-WAIT, user timers. Returns how many fired.
 */
uint32_t tcp_timers(struct tcp *tcp, uint64_t now_ns);
/* When tcp_timers has something to do next, at the earliest. */
uint64_t tcp_next_timer_ns(const struct tcp *tcp);

/* Takes the next connection with news, or NULL; *events says what. Call tcp_ready_done after it. */
struct conn *tcp_ready(struct tcp *tcp, uint32_t *events);
/* Keeps what was not consumed, sends what may be sent (data, ACK, window update), and frees a
 * connection that is gone. conn must not be used after TCP_EV_CLOSED was handled. */
void tcp_ready_done(struct tcp *tcp, struct conn *conn, uint64_t now_ns);
/* Puts the connection on the ready list with these events or none, e.g. when an answer came. */
void tcp_wake(struct tcp *tcp, struct conn *conn, uint32_t events);

/* The first of the bytes received in order and not consumed, as many as lie in one piece: all of
 * them while they are still in their packet, else up to the end of a block. Valid until
 * tcp_ready_done. An owner that consumes a whole piece finds the next by calling again, or is given
 * TCP_EV_DATA again when it does not. */
struct span tcp_rx(const struct conn *conn);
/* All of the bytes received in order and not consumed. */
size_t tcp_rx_len(const struct conn *conn);
/* The first of them in one piece, all or most, and at most tcp_config.rx_buf_bytes; copied when
 * they lie in several. Valid until the next such call for any connection, or tcp_ready_done. */
struct span tcp_rx_whole(struct tcp *tcp, const struct conn *conn, size_t most);
/* n: at most tcp_rx_len. */
void tcp_rx_consume(struct tcp *tcp, struct conn *conn, size_t n);
/* All of the peer's data was consumed and its FIN has come. */
bool tcp_rx_eof(const struct conn *conn);

/* Room to write bytes that the stack keeps itself: returns a pointer and *room (at least 1, at most
 * TCP_TX_CHUNK), NULL when chunks or descriptors are out or the connection cannot send. Write, then
 * tcp_tx_commit what was written. want: the bytes wished for in one piece (at most TCP_TX_CHUNK).
 */
char *tcp_tx_reserve(struct tcp *tcp, struct conn *conn, size_t want, size_t *room);
void tcp_tx_commit(struct tcp *tcp, struct conn *conn, size_t n);
/* Copies all of it or nothing (ST_FULL, ST_CLOSED). */
enum status tcp_tx_copy(struct tcp *tcp, struct conn *conn, const void *data, size_t len);
/* Queues bytes that stay where they are until the release function is called with cookie. On an
 * error (ST_FULL, ST_CLOSED) nothing was taken and release is not called. */
enum status tcp_tx_ref(struct tcp *tcp, struct conn *conn, const void *data, uint32_t len,
                       uint64_t cookie);
/* Bytes queued and not acknowledged. */
uint32_t tcp_tx_queued(const struct conn *conn);
/* Asks once for TCP_EV_ROOM when queued bytes fall to low_bytes or below. Where they are there
 * already (the pools were what was full) it comes within milliseconds. Takes effect with
 * tcp_ready_done. */
void tcp_tx_want_room(struct conn *conn, uint32_t low_bytes);

/* FIN after what is queued; further tcp_tx_* return ST_CLOSED. Received data is still delivered.
 * tcp_close bounds how long it may then live; this does not. */
void tcp_shutdown(struct tcp *tcp, struct conn *conn);
/* The owner is done: shutdown, and data that still comes is acknowledged and thrown away, so that a
 * peer in the middle of an upload still reads the last answer. The stack finishes the close by
 * itself: within fin_wait_2_ms of our FIN's ACK, or of the last progress before it, and
 * within orphan_life_ms in all, else with a reset. No more events but TCP_EV_CLOSED are reported,
 * and that only if the owner pointer is set; with it cleared, conn must not be used after this call
 * or, between tcp_ready and tcp_ready_done, after the latter. The same holds for tcp_abort. */
void tcp_close(struct tcp *tcp, struct conn *conn, uint64_t now_ns);
/* Reset at once. The connection is gone when the ready list has been run. */
void tcp_abort(struct tcp *tcp, struct conn *conn);

/* The owner's own pointer, NULL at first. */
void *tcp_owner(const struct conn *conn);
void tcp_set_owner(struct conn *conn, void *owner);

/* The owner's timer of this connection: fn is called from tcp_timers. 0 cancels. */
typedef void (*tcp_user_timer_fn)(void *arg, struct conn *conn, uint64_t now_ns);
void tcp_set_user_timer_fn(struct tcp *tcp, tcp_user_timer_fn fn, void *arg);
void tcp_user_timer(struct tcp *tcp, struct conn *conn, uint64_t deadline_ns);

/* Why a connection ended, for whoever was told TCP_EV_CLOSED; it holds until tcp_ready_done. */
enum tcp_end {
	TCP_END_ORDERLY, /* both sides closed, or we ended it ourselves */
	TCP_END_RESET,
	TCP_END_REFUSED, /* our SYN was answered by a reset */
	TCP_END_TIMEOUT,
	TCP_END_UNREACHABLE, /* an ICMP error answered our SYN */
};
enum tcp_end tcp_conn_end(const struct conn *conn);

/* For reports (sluicectl conns) and for X-Forwarded-For. */
struct tcp_info {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
	enum tcp_state state;
	uint32_t srtt_us;
	uint32_t rto_ms;
	uint32_t cwnd_bytes;
	uint32_t ssthresh_bytes; /* 2^30: no loss yet */
	const char *congestion;  /* name of the algorithm, static */
	bool ecn;                /* negotiated */
	uint32_t snd_queued_bytes;
	uint32_t rcv_queued_bytes;
	uint32_t retransmits;
	uint64_t opened_ns;
	uint64_t last_rx_ns;
};

void tcp_conn_info(const struct conn *conn, struct tcp_info *out);
/* Walks the table from *cursor (0 at first); false at the end. */
bool tcp_conn_next(const struct tcp *tcp, uint32_t *cursor, struct tcp_info *out);
uint32_t tcp_conn_count(const struct tcp *tcp);
/* The next live connection itself, for draining; same cursor rule. */
struct conn *tcp_conn_walk(struct tcp *tcp, uint32_t *cursor);

/* Connections that there is room for, and the most there can be. */
uint32_t tcp_conn_room(const struct tcp *tcp);
uint32_t tcp_conn_max(const struct tcp *tcp);
/* Housekeeping, once a millisecond or so: while the memory for sending is short (owners_short: the
 * owners' memory, to which what they queue refers), looks at some connections and resets those
 * whose peers took next to nothing of what is queued for stall_ms (their owners get
 * TCP_EV_CLOSED); while there is none for receiving, takes out-of-order data back (RFC 2018 8).
 * Costs nothing while there is enough. */
void tcp_relieve(struct tcp *tcp, uint32_t stall_ms, bool owners_short, uint64_t now_ns);

/* What is taken from the pools now, for reports and for tests that look for leaks. */
struct tcp_usage {
	uint32_t conns;
	uint32_t rx_bufs;   /* connections that hold received data */
	uint32_t rx_blocks; /* of TCP_RX_BLOCK bytes, in them */
	uint32_t tx_chunks;
	uint32_t tx_refs;
	uint32_t loss_boards;
	uint32_t timers;
};

void tcp_usage(const struct tcp *tcp, struct tcp_usage *out);

/* Active open (RFC 9293 3.5) along a path that the caller made; NULL when there is no room, or the
 * 4-tuple is in use. local_port 0: one is chosen (RFC 6056). A 4-tuple in TIME-WAIT that the caller
 * names is used again, with sequence numbers beyond its old ones. */
struct conn *tcp_connect(struct tcp *tcp, const struct net_path *path, uint16_t local_port,
                         uint16_t remote_port, uint64_t now_ns);

/* The same with the first bytes to send, which are copied. With tcp_config.fast_open they go with
 * the SYN when the server is known to take them (RFC 7413): only for what may arrive twice. */
struct tcp_open {
	const struct net_path *path;
	uint16_t local_port;
	uint16_t remote_port;
	const void *data;
	uint32_t len;
};
struct conn *tcp_connect_fast(struct tcp *tcp, const struct tcp_open *open, uint64_t now_ns);

#endif
