/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names of the states in struct chan_conn_row. The numbers are the dataplane's enum tcp_state,
 * which control must not include; a unit test compares the two. */
#ifndef CONTROL_ADMIN_TCP_STATES_H
#define CONTROL_ADMIN_TCP_STATES_H

#include "lib/base.h"

#define ADMIN_TCP_STATES_TEXT                                                                   \
	"States: closed, listen, syn_sent, syn_received, established, fin_wait_1, fin_wait_2, " \
	"close_wait, closing, last_ack, time_wait"

#define ADMIN_TCP_STATES 11u

/* "unknown" for a number that is none. */
const char *admin_tcp_state_name(uint32_t state);
/* -1 when there is no such state. */
int admin_tcp_state_find(const char *name);

#endif
