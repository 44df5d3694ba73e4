/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The link between server and clients, both ways: delay, jitter, bandwidth with a queue, loss alone
 * and in bursts, late and double packets, turned bits, packets too big, silence. Each frame gets a
 * time of arrival, or none, or two. Deterministic from its seed; knows no TCP. */
#ifndef TESTS_SIM_CABLE_H
#define TESTS_SIM_CABLE_H

#include "tests/sim/scenario.h"

#define CABLE_FRAME_MAX 1600u

enum cable_dir { CABLE_UP, CABLE_DOWN }; /* to the server, from the server */

/* A frame as it arrives. */
struct cable_frame {
	const uint8_t *bytes;
	uint32_t len;
	enum cable_dir dir;
	bool corrupted; /* a bit was turned */
	bool caught;    /* one that a receiver must notice: it is under a checksum, or decides who
	                   takes the frame */
};

typedef void (*cable_deliver_fn)(void *arg, const struct cable_frame *frame);

struct cable_stats {
	uint64_t frames; /* sent into it */
	uint64_t lost;
	uint64_t queue_drops;
	uint64_t marked;
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t corrupted;
	uint64_t too_big;
	uint64_t icmp;
	uint64_t blocked;
};

struct cable;

/* NULL when there is no memory. conf is copied. */
struct cable *cable_create(const struct scenario *sc, uint64_t seed, cable_deliver_fn deliver,
                           void *arg);
void cable_destroy(struct cable *c);
void cable_send(struct cable *c, enum cable_dir dir, const void *bytes, uint32_t len,
                uint64_t now_ns);
/* Delivers what is due. */
void cable_run(struct cable *c, uint64_t now_ns);
/* When the next frame is due, UINT64_MAX: none is under way. */
uint64_t cable_next_ns(const struct cable *c);
/* Nothing passes in this direction. */
void cable_block(struct cable *c, enum cable_dir dir, bool blocked);
/* 0: as configured. */
void cable_set_mtu(struct cable *c, uint32_t mtu);
/* From now on it only delays. */
void cable_mend(struct cable *c);
bool cable_is_empty(const struct cable *c);
const struct cable_stats *cable_stats(const struct cable *c);
/* Of all frames with their times, in the order in which they were sent. */
uint64_t cable_digest(const struct cable *c);

/* cable_packet.c: what a link has to know of packets. */
/* The bit is under a checksum, or decides who takes the frame. */
bool packet_bit_matters(const uint8_t *frame, uint32_t len, uint32_t bit);
/* Marks an ECN-capable packet; false when it is not. */
bool packet_mark(uint8_t *frame, uint32_t len);
/* Writes the ICMP error of RFC 1191 4 or RFC 4443 3.2 about frame; returns its length, 0: none is
 * due. */
uint32_t packet_too_big(const uint8_t *frame, uint32_t len, uint32_t mtu, uint8_t *out);

#endif
