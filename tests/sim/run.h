/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One run of the simulator: what was asked for, and what came of it. Both levels fill it in. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/scenario.h"

/* Bugs that --break plants, each of which a check has to find. */
#define SIM_BREAKS(X)                                                             \
	X(none, "")                                                               \
	X(byte, "a byte of the server's data is another, under a right checksum") \
	X(arrived, "a byte is another where it arrives, under a right checksum")  \
	X(skip, "the owner leaves out a byte")                                    \
	X(twice, "the owner writes a byte twice")                                 \
	X(order, "the owner swaps two bytes")                                     \
	X(received, "a received byte is changed before the owner reads it")       \
	X(window, "a segment beyond the client's window")                         \
	X(mss, "a segment above the MSS")                                         \
	X(una, "snd_una beyond snd_nxt")                                          \
	X(flight, "more in flight than was queued")                               \
	X(ack_back, "an ACK that goes back")                                      \
	X(ack_ahead, "an ACK of what did not come")                               \
	X(offer_back, "a window that is taken back")                              \
	X(sack, "a SACK block of what did not come")                              \
	X(stamp, "a timestamp that goes back")                                    \
	X(csum, "a wrong checksum")                                               \
	X(scoreboard, "the scoreboard's sum is wrong")                            \
	X(leak_packet, "a packet buffer is lost")                                 \
	X(leak_conn, "a connection block is lost")                                \
	X(leak_rx, "a receive buffer is lost")                                    \
	X(leak_chunk, "a send chunk is lost")                                     \
	X(leak_ref, "a send descriptor is lost")                                  \
	X(leak_lent, "lent bytes are not given back")                             \
	X(leak_timer, "a timer stays on the wheel")                               \
	X(no_timer, "a connection with data in flight has no timer")              \
	X(memory, "an owner queues without bound")                                \
	X(counter, "a packet that no counter knows")                              \
	X(stall, "a connection never gets on after the faults")                   \
	X(stuck, "a connection never gets on")                                    \
	X(chance, "the run does not follow from its seed")

enum sim_break {
#define X(name, text) BREAK_##name,
	SIM_BREAKS(X)
#undef X
	        BREAK_KINDS
};

struct run {
	struct scenario sc;
	uint64_t seed;
	enum sim_break broken;
	uint32_t trace_port; /* prints the segments of this client port, 0: none */
	/* Results */
	bool failed;
	char why[400];
	double at_s; /* of simulated time */
	uint64_t digest;
	uint64_t conns;
	uint64_t packets; /* sent into the link, both ways */
	uint64_t bytes;   /* that were checked, delivered to either side */
	uint64_t resent;
	uint64_t lost;
	uint64_t corrupted;
	uint64_t marked;
	uint64_t completed; /* connections of honest ends that did all they were to */
	uint64_t cut;       /* that ended early, with a reason */
	double took_s;
	double cpu_s; /* of this process */
};

/* The first failure is kept. */
void run_fail(struct run *run, uint64_t now_ns, const char *form, ...) PRINTF(3, 4);

/* Random bytes that the product asks the kernel for follow from this. */
void entropy_seed(uint64_t seed);

bool world_run(struct run *run); /* level tcp */
bool web_run(struct run *run);   /* level web */

#endif
