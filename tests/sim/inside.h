/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What must hold inside of a stack whenever it is left alone, whatever its peers did: for the
 * simulator and the fuzzer, which each add what they know of their own traffic. Reads only. */
#ifndef TESTS_SIM_INSIDE_H
#define TESTS_SIM_INSIDE_H

#include "dataplane/tcp/conn.h"

/* NULL, or which rule a live connection breaks. */
const char *inside_wrong(const struct tcp *tcp, const struct conn *c);

/* What connections have taken from the pools. */
struct inside_sums {
	uint32_t conns;
	uint32_t rx_bufs;
	uint32_t rx_blocks;
	uint32_t chunks;
	uint32_t refs;
	uint32_t timers;
	bool queue_wrong; /* a send queue does not hold the bytes that it says */
};

/* Adds those of one connection. */
void inside_count(const struct tcp *tcp, const struct conn *c, struct inside_sums *sums);
/* All connections were counted: is it what the pools gave out? */
bool inside_sums_hold(const struct inside_sums *sums, const struct tcp_usage *usage);
/* Packets that were dropped for what a turned bit does to them. */
uint64_t inside_corrupt_drops(const struct counters *ctr);

#endif
