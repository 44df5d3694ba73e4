/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The size of a connection's segments by what its path takes: ICMP errors (RFC 1191, RFC 8201, with
 * the checks of RFC 5927), and where these do not come, timeouts of full segments and probes with
 * data (RFC 4821). Part of struct conn; used by the files of tcp/ alone. conn.h includes it.
 *
 * Sizes here are payload bytes as in conn.mss, except where a name says mtu: that is the IP packet.
 */
#ifndef DATAPLANE_TCP_TCP_PMTU_H
#define DATAPLANE_TCP_TCP_PMTU_H

#include "dataplane/net/net.h"

struct tcp;
struct conn;

struct conn_pmtu {
	uint32_t mark;      /* behind the segment that busy waits for an ACK of */
	uint32_t claim_seq; /* what the error quoted that claim is from */
	uint32_t raise_s;   /* not before that second (now_s) is a larger segment tried */
	uint16_t ceil;      /* what the handshake allows */
	uint16_t probe;     /* size of the probe in flight, 0: none */
	uint16_t failed;    /* size of the last probe that was lost, 0: none since the last raise */
	uint16_t claim_mtu; /* an error's MTU that waits for a timeout, 0: none */
	uint8_t busy;       /* enum pmtu_busy; 0 costs the fast path nothing */
	uint8_t errors;     /* reductions by errors that nothing but the error spoke for */
};

static_assert(sizeof(struct conn_pmtu) <= 24, "a connection at rest is small");

/* Path MTUs that were learned, for new connections to the same address. Bounded: an entry lies at
 * its address's hash and a newer one takes its place. */
#define PMTU_CACHE_SIZE 256u

struct pmtu_cache {
	uint32_t used;
	struct pmtu_entry {
		struct ip_addr remote;
		uint32_t until_s; /* now_s */
		uint16_t mtu;     /* 0: the entry is free */
	} entries[PMTU_CACHE_SIZE];
};

/* The handshake set c->mss: it is the ceiling; a path MTU that is known reduces it. */
void pmtu_begin(struct tcp *tcp, struct conn *c);
/* A new segment of len bytes, a full one, is about to be sent and pmtu.busy is set. Returns how
 * long it shall be: len, or more when it is to be a probe. */
uint32_t pmtu_output(struct tcp *tcp, struct conn *c, uint32_t len);
/* Losses were noticed, and a probe is in flight. True when it alone was lost. */
bool pmtu_probe_lost(struct tcp *tcp, struct conn *c);
/* A retransmission timeout, c->tries counted. May reduce c->mss. True when an ICMP error explains
 * it: then what is in flight was marked to be sent again, and it is no sign of congestion. */
bool pmtu_timeout(struct tcp *tcp, struct conn *c);
/* An ICMP error whose quoted segment is in flight says that it was too large. */
enum counter_id pmtu_too_big(struct tcp *tcp, struct conn *c, const struct net_error *e);

#endif
