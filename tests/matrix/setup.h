/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Brings a connection of the stack into a state by segments made by hand, and keeps what a peer
 * knows of it: numbers are read from the wire, never from the stack. */
#ifndef TESTS_MATRIX_SETUP_H
#define TESTS_MATRIX_SETUP_H

#include "tests/matrix/oracle.h"
#include "tests/unit/tcp/tcp_rig.h"

/* Where a case begins. */
enum start {
	START_CLOSED,
	START_LISTEN,
	START_SYN_SENT,
	START_SYN_RECEIVED,
	START_SYN_RECEIVED_BOTH, /* by simultaneous open */
	START_ESTABLISHED,
	START_FIN_WAIT_1,
	START_FIN_WAIT_2,
	START_CLOSE_WAIT,
	START_CLOSING,
	START_LAST_ACK,
	START_TIME_WAIT,
	START_ESTABLISHED_SHUT, /* our window is zero */
	START_FIN_WAIT_1_SHUT,
	START_FIN_WAIT_2_SHUT,
	START_COUNT
};

enum {
	MATRIX_BUF = 8192,   /* receive buffer, so the window */
	MATRIX_FLIGHT = 100, /* bytes of ours in flight where the state has any */
	MATRIX_TS = 1000,    /* the peer's timestamps begin here */
};

struct setup {
	struct wire *wire;
	enum start start;
	bool ts;
	uint32_t irs; /* the peer's initial number */
	uint32_t iss; /* wished for ours */
	uint16_t dport;
	struct o_tcb tcb;
	uint32_t edge; /* right edge of the window that was advertised */
};

const char *start_name(enum start start);
bool start_is_shut(enum start start);
/* False when the stack did not go along; *setup says how far it came. */
bool setup_run(struct setup *setup);
/* Ends what setup_run and the case left; false when the stack still holds something. */
bool setup_end(struct setup *setup);
/* Sends a segment of the connection. */
void setup_send(struct setup *setup, const struct o_seg *seg);
/* Of the 4-tuple, as tcp_conn_next has it. */
enum o_state setup_state(const struct setup *setup);

#endif
