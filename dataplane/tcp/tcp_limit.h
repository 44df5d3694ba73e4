/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who gets a connection, and who must let go of one when there are too many or too little memory:
 * limits by address and of TIME-WAITs, and slow readers. (Orphans: tcp_close.c.)
 *
 * Called by: tcp_listen.c (may it begin), tcp_in.c (it is established), tcp_close.c (it ends),
 * tcp_uto.c (is memory short). Must not decide for connections that an owner has in hand.
 *
 * By address: connections are counted when their handshake is over, since a SYN can bear any
 * address. The counts are a count-min sketch (Cormode and Muthukrishnan, 2005) of bounded size:
 * an address is never counted below what it has, and seldom above. */
#ifndef DATAPLANE_TCP_TCP_LIMIT_H
#define DATAPLANE_TCP_TCP_LIMIT_H

#include "dataplane/tcp/conn.h"

/* Memory for the counts; 0 when there is no such limit. */
size_t limit_cells_bytes(const struct tcp_config *cfg);
/* No more connections for this peer. */
bool limit_addr_full(const struct tcp *tcp, const struct ip_addr *remote);
/* The connection counts for its peer from now on, until limit_addr_give; either may be called
 * again. */
void limit_addr_take(struct tcp *tcp, struct conn *c);
void limit_addr_give(struct tcp *tcp, struct conn *c);
/* There is memory for what a new connection will want: else its SYN is dropped, and the peer tries
 * again. */
bool limit_accepts(const struct tcp *tcp);
/* Less than one of so many parts of the memory for sending is left. */
bool send_below(const struct tcp *tcp, uint32_t parts);

#endif
