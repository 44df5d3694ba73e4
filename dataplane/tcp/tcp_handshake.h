/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the beginning and the end of connections share (tcp_listen.c, tcp_connect.c, tcp_cookie.c,
 * tcp_close.c), beside what conn.h says. Included by conn.h; it must not be needed by a segment of
 * an established connection. */
#ifndef DATAPLANE_TCP_TCP_HANDSHAKE_H
#define DATAPLANE_TCP_TCP_HANDSHAKE_H

#include "dataplane/net/net.h"
#include "lib/base.h"
#include "lib/counters.h"

struct conn;
struct conn_key;
struct seg;
struct tcp;

enum {
	/* RFC 9293 3.8.3: a SYN is tried for three minutes at least; 183 s with a RTO of 1 s. */
	TCP_SYN_RETRIES_ACTIVE = 7,
	TCP_RTO_AFTER_SYN_LOSS_US = 3000000, /* RFC 6298 5.7 */
};

struct conn_handshake {
	bool orphan;        /* on that list */
	uint8_t syn_resent; /* times our SYN or SYN-ACK timed out */
	uint8_t fast_open;  /* enum fast_open_state */
};

/* tcp_listen.c: segments without a connection */
enum counter_id listen_input(struct tcp *tcp, struct seg *s, const struct conn_key *key);
/* It may be of a connection of another core of the port: CTR_rx_passed is the verdict then, and
 * tcp_input hands it over. */
bool seg_elsewhere(const struct tcp *tcp, const struct seg *s);
/* Sends what RFC 9293 3.10.7.1 asks for in answer to a segment that nobody wants, at a bounded
 * rate. */
void reset_reply(struct tcp *tcp, const struct seg *s);
/* The numbers a new connection begins with. */
void conn_begin(struct tcp *tcp, struct conn *c, const struct conn_key *key, uint32_t iss);
/* The connection's parameters from the options of the peer's SYN. */
void conn_take_syn(struct tcp *tcp, struct conn *c, const struct seg *s);
/* What a SYN or SYN-ACK offers, not scaled (RFC 7323 2.2). */
uint32_t syn_window(const struct tcp *tcp);
uint16_t conn_own_mss(const struct tcp *tcp, const struct net_path *path);
/* Somebody listens at the local end. */
bool listening(const struct tcp *tcp, const struct conn_key *key);
/* CTR_rx_tcp: a new connection of this peer is within the limits; else why the SYN is dropped. */
enum counter_id listen_limits(const struct tcp *tcp, const struct conn_key *key);
/* A SYN within the limits to a listener for a 4-tuple that was in use up to the sequence number
 * after: ours are beyond it (RFC 9293 3.6.1, MAY-2). Kept even under flood, for its peer has been
 * seen. */
enum counter_id listen_again_input(struct tcp *tcp, struct seg *s, const struct conn_key *key,
                                   uint32_t after);
/* A segment without payload that belongs to no connection; false when there is no packet buffer. */
struct bare_seg {
	const struct conn_key *key;
	const struct net_path *path;
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd;
	uint8_t flags;
	const uint8_t *opts;
	uint32_t opts_len;
};
bool bare_send(struct tcp *tcp, const struct bare_seg *b);
/* A connection in SYN-RECEIVED; NULL when there is no room. */
struct conn *half_open_new(struct tcp *tcp, const struct net_path *path,
                           const struct conn_key *key);
/* The initial sequence number for a 4-tuple that was in use up to the sequence number after. */
uint32_t conn_isn_after(const struct tcp *tcp, const struct conn_key *key, uint32_t after);
/* A segment to a connection in SYN-RECEIVED or later, but TIME-WAIT (tcp_in.c). */
enum counter_id conn_input(struct tcp *tcp, struct conn *c, struct seg *s);

/* tcp_close.c: forgets the oldest in TIME-WAIT; false when there is none to forget. */
bool time_wait_give_up(struct tcp *tcp);
/* Nobody but the stack waits for its end from now on; perhaps another orphan must go for it. */
void orphan_link(struct tcp *tcp, struct conn *c);
/* No longer an orphan, or none at all. */
void orphan_unlink(struct tcp *tcp, struct conn *c);
/* Resets the connection that has been without an owner for longest; false when there is none. */
bool orphan_give_up(struct tcp *tcp);

#endif
