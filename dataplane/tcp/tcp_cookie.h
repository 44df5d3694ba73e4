/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYN cookies (RFC 4987 3.6): when handshakes fill the backlog, a SYN is answered without keeping
 * anything. What is needed later lies in numbers that the peer sends back: the SYN-ACK's sequence
 * number is a keyed hash over the 4-tuple, the peer's number and the options, with the MSS as an
 * index in its low bits; window scale, SACK and ECN lie in the low bits of our timestamp. A peer
 * without timestamps gets none of those options, since nothing would remember them.
 *
 *   ISN    | 29 bits of the hash              | 3: MSS index |
 *   TSval  | 26 bits: our clock, rounded down | ECN | SACK | 4: the peer's window scale, 15 none |
 *
 * The key changes with each step of tcp_config.syn_cookie_step_s; a cookie made in a step is good
 * in it and in the next. ACKs are looked at as cookies only while one that was sent can still be
 * good, so that outside of a flood nobody can guess his way in. A guess hits with 2^-28.
 *
 * Called by: tcp_listen.c, and housekeeping for the key. It must not keep anything for a SYN. */
#ifndef DATAPLANE_TCP_TCP_COOKIE_H
#define DATAPLANE_TCP_TCP_COOKIE_H

#include "dataplane/tcp/tcp_secret.h"
#include "lib/base.h"
#include "lib/counters.h"

struct conn_key;
struct seg;
struct tcp;

struct cookie_keys {
	struct secret seed[2]; /* of this step, and of the one before */
	struct secret fresh;   /* goes into the next */
	uint64_t step;
	uint64_t open_until_ns; /* the last cookie sent is void from then on */
};

void cookie_init(struct tcp *tcp, const struct secret *seed);
/* A SYN that comes now is answered with a cookie. */
bool cookie_wanted(const struct tcp *tcp);
/* Answers the SYN; the verdict of the packet. */
enum counter_id cookie_send(struct tcp *tcp, const struct seg *s, const struct conn_key *key);
/* An ACK to a listening port that no connection knows may be the answer to a cookie. */
static inline bool cookie_expected(const struct cookie_keys *k, uint64_t now_ns)
{
	return now_ns < k->open_until_ns;
}
/* Makes the connection if it is and gives the segment to it, else answers a bare ACK with a reset.
 * Without room for a connection the segment is dropped: the peer sends it again, and the cookie
 * lasts. */
enum counter_id cookie_input(struct tcp *tcp, struct seg *s, const struct conn_key *key);

#endif
