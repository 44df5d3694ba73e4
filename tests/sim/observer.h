/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Looks at the wire, not into the server: what the server sends must follow from what has reached
 * it. One watch a connection. Knows what each side advertised, and so finds data beyond the window,
 * ACKs of what never came, ACKs and windows that go back, wrong bytes, segments above the MSS.
 *
 * Called by the tcp level for each segment the server sends, and for each that reaches it sound. */
#ifndef TESTS_SIM_OBSERVER_H
#define TESTS_SIM_OBSERVER_H

#include "tests/sim/peer.h"

struct watch {
	const struct plan *plan;
	bool syn_in;       /* the client's SYN reached the server */
	bool syn_out;      /* the server answered it */
	bool iss_unsure;   /* with more than one sequence number (SYN cookies) */
	bool scale_unsure; /* with scaling and without */
	bool ts;
	bool blind; /* a liar made a second connection of the same ports: nothing is known */
	uint8_t client_shift; /* 255: no scaling */
	uint8_t server_shift;
	uint16_t client_mss;
	uint32_t client_iss;
	uint32_t server_iss;
	uint32_t edge; /* right edge of the client's window, the furthest that reached the server */
	bool early;    /* in this step, something came that began beyond the window */
	bool ack_early; /* and an ACK of what was not sent */
	uint32_t early_lo;
	uint32_t early_hi;
	uint32_t early_ack;
	uint32_t early_edge; /* of the window that it offered */
	uint32_t came;       /* behind the highest number that reached the server in its window */
	uint32_t sent;       /* behind the highest number that the server sent */
	uint32_t acked;      /* the server's last ACK */
	uint32_t offered;    /* right edge of the server's window */
	uint32_t tsval;      /* the server's last */
	uint32_t syn_wnd;
};

void watch_open(struct watch *w, const struct plan *plan);
void watch_came(struct watch *w, const struct view *v);
/* The server took or dropped all that came. */
void watch_step(struct watch *w);
/* NULL, or which rule the segment breaks. */
const char *watch_sent(struct watch *w, const struct view *v);

#endif
