/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the tests of loss recovery: a connection with a round trip of 20 ms that has sent so many
 * segments, ACKs in segments instead of bytes, and a check of the scoreboard. Above the wire of
 * tcp_rig.h; nothing is lost but what the test withholds. */
#ifndef TESTS_UNIT_TCP_LOSS_RIG_H
#define TESTS_UNIT_TCP_LOSS_RIG_H

#include "tests/unit/tcp/tcp_rig.h"

enum {
	LR_TRIP_MS = 20,
	LR_TEXT = 1 << 20,
	LR_WSCALE = 7,
};

struct loss_rig {
	struct wire w;
	uint32_t mss;
	uint32_t tsval; /* of the peer; with ts */
	uint32_t tsecr; /* what it echoes */
	bool ts;
	bool wscale;
	uint32_t wnd; /* what its ACKs offer, not scaled */
};

struct loss_rig_opts {
	uint32_t segments; /* sent at once; the window is as wide */
	uint32_t queued;   /* and as many more are there to be sent */
	uint32_t below;    /* the first of them is so many bytes below 2^32; 0: anywhere */
	bool no_sack;
	bool ts;
	bool v6;
	uint32_t boards; /* of the pool; 0: 16, UINT32_MAX: none */
};

/* Block of segments [lo, hi). */
struct lr_run {
	uint32_t lo;
	uint32_t hi;
};

void lr_open(struct loss_rig *r, const struct loss_rig_opts *o);
void lr_close(struct loss_rig *r);
/* Acknowledges ack segments, and by SACK those of the runs. */
void lr_ack(struct loss_rig *r, uint32_t ack, uint32_t count, const struct lr_run *runs);
void lr_sack(struct loss_rig *r, uint32_t ack, uint32_t lo, uint32_t hi);
/* The next segment that the stack sent is this, in full size. */
void lr_sent(struct loss_rig *r, uint32_t segment);
/* It sends nothing for so long. */
void lr_silent(struct loss_rig *r, uint32_t ms);
/* It sends this within the wheel's tick or two. */
void lr_sent_soon(struct loss_rig *r, uint32_t segment);
/* Data segments sent now; the highest is lost. */
uint32_t lr_count(struct loss_rig *r);
uint64_t lr_counter(const struct loss_rig *r, enum counter_id id);
/* Fails when the scoreboard contradicts itself. */
void lr_check(struct conn *c);
/* How the scoreboard has the segments, as a string of O N L R S and '.' for unknown. */
const char *lr_board(const struct loss_rig *r, uint32_t from, uint32_t to);

#endif
