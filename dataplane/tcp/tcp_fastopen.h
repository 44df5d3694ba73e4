/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TCP Fast Open (RFC 7413): a client that was here before shows a cookie, and the data in its SYN
 * goes to the owner before the handshake ends. Off by default: a SYN that the network doubles may
 * then be answered twice (6.1), so it is for requests that may be repeated.
 *
 * A cookie is a keyed hash of both addresses. The key changes with each step of
 * tcp_config.fast_open_key_s, cookies of the step before are good, and all stacks that share
 * tcp_env.fast_open_seed make the same.
 *
 * A server's connection that took data stays in SYN-RECEIVED and may send, but not its FIN, until
 * the handshake ends. There are at most max_fast_open of these, so that who collects cookies and
 * then forges addresses takes no more than that (5.1); above, a SYN is as good as one without data.
 *
 * Called by: tcp_listen.c and tcp_connect.c, and where a SYN is read or written. */
#ifndef DATAPLANE_TCP_TCP_FASTOPEN_H
#define DATAPLANE_TCP_TCP_FASTOPEN_H

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp_secret.h"
#include "lib/base.h"

struct conn;
struct seg;
struct tcp;

enum {
	FAST_OPEN_KIND = 34,
	FAST_OPEN_COOKIE = 8,      /* bytes of ours */
	FAST_OPEN_COOKIE_MAX = 16, /* of others, 4 to 16 and even (RFC 7413 4.1.1) */
	FAST_OPEN_PEERS = 64,      /* servers whose cookies are remembered */
};

/* Of a connection, as bits. */
enum fast_open_state {
	FO_TELL = 1 << 0,  /* our SYN-ACK carries a cookie */
	FO_TAKEN = 1 << 1, /* data of the SYN went to the owner before the handshake ended */
	FO_ASK = 1 << 2,   /* our SYN asks for a cookie, or shows one */
};

/* A server that we opened connections to. */
struct fast_open_peer {
	struct ip_addr remote;
	uint8_t cookie[FAST_OPEN_COOKIE_MAX];
	uint8_t len;            /* 0: no cookie */
	uint16_t mss;           /* as it said when it gave the cookie */
	uint32_t avoid_until_s; /* of now_s: not asked before */
};

struct fast_open {
	struct secret seed;
	uint64_t key[2][2]; /* of this step, and of the one before */
	uint64_t step;
	uint32_t pending; /* connections with FO_TAKEN in SYN-RECEIVED */
	struct fast_open_peer peers[FAST_OPEN_PEERS];
};

void fast_open_init(struct tcp *tcp, const struct secret *seed);
/* Server: the SYN's option, and its data. c has taken the SYN; before the SYN-ACK is sent. */
void fast_open_syn(struct tcp *tcp, struct conn *c, const struct seg *s);
/* The handshake is over, or will never be. */
void fast_open_settle(struct tcp *tcp, const struct conn *c);
/* Client: payload bytes that the SYN may carry now. */
uint32_t fast_open_syn_len(struct tcp *tcp, struct conn *c);
/* Client: what the SYN-ACK gave and took. The connection is established and its SYN acknowledged.
 */
void fast_open_synack(struct tcp *tcp, struct conn *c, const struct seg *s);
/* Client: the SYN was lost or refused; perhaps for what was in it (RFC 7413 4.1.3.1). */
void fast_open_failed(struct tcp *tcp, struct conn *c);
/* The option of our SYN or SYN-ACK with its padding; returns its length. room: bytes left. */
uint32_t fast_open_write(struct tcp *tcp, const struct conn *c, uint8_t *out, uint32_t room);

#endif
