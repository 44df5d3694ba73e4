/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long a connection may make no progress: the user timeout for data that is not acknowledged
 * (RFC 9293 3.8.3, RFC 5482), and the limit for a peer that keeps its window shut (RFC 6429).
 *
 * Progress is looked at only when a retransmission or persist timer fires, so a connection that
 * moves pays nothing. Called by the timers (tcp_timer.c), the option parser (tcp_opt.c) and segment
 * arrival (tcp_in.c, tcp_listen.c). It must not send anything or end a connection: it only
 * answers. */
#ifndef DATAPLANE_TCP_TCP_UTO_H
#define DATAPLANE_TCP_TCP_UTO_H

#include "lib/base.h"

struct tcp;
struct conn;

enum {
	UTO_OPT_KIND = 28,
	UTO_OPT_LEN = 4,
	UTO_LEAST_MS = 100 * 1000, /* RFC 9293 3.8.3: no peer may ask for less */
	UTO_PRESSURE_SHARE = 16,   /* of the send pools; less than one such part free is pressure */
	UTO_PRESSURE_DIVISOR = 10, /* of persist_limit_ms is what is left under pressure */
};

struct conn_uto {
	uint32_t timeout_ms : 30; /* agreed with the peer (RFC 5482 3.1); 0: as configured */
	uint32_t stuck : 1;       /* since and mark are of data in flight */
	uint32_t shut : 1;        /* they are of a shut window */
	uint32_t since;           /* of ts_clock: no progress since then */
	uint32_t mark; /* what moves with progress: snd_una, or the window's right edge */
};

/* The peer's option, as in the header and not 0 (RFC 5482 3.1). Ignored unless the configuration
 * lets peers choose. */
void uto_input(const struct tcp *tcp, struct conn *c, uint16_t option);
/* Writes our option for a SYN and returns its length, 0 when none is configured. */
uint32_t uto_write(const struct tcp *tcp, uint8_t *out);
/* A retransmission timer fired, set so long ago: true when the user timeout, or without one the
 * number of timeouts in a row, says that this connection is dead. */
bool uto_expired(const struct tcp *tcp, struct conn *c, uint64_t waited_ns);
/* A persist timer fired: true when the peer's right edge did not move by a segment for longer than
 * persist_limit_ms, or a tenth of that when send memory is short. */
bool uto_shut_expired(const struct tcp *tcp, struct conn *c);
/* Cuts a timeout so that it does not fire later than the user timeout. */
uint64_t uto_clip_ns(const struct tcp *tcp, const struct conn *c, uint64_t ns);

#endif
