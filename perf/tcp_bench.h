/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A TCP stack alone on the NIC in memory, and clients that are a few hand-made segments each: a
 * request of 100 bytes, an answer of 300. What net_input would find out of a frame is said with it.
 * Used by the benchmarks that measure TCP without the layers around it. */
#ifndef PERF_TCP_BENCH_H
#define PERF_TCP_BENCH_H

#include "dataplane/tcp/conn.h"
#include "tests/sim/nic_sim.h"

enum {
	BENCH_PORT = 80,
	BENCH_PORTS = 60000, /* of a client address */
	BENCH_REQUEST_BYTES = 100,
	BENCH_ANSWER_BYTES = 300,
	BENCH_FRAME_BYTES = 256,
	BENCH_BURST = 16,
};

struct tcp_bench {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	uint64_t now_ns;
	uint32_t last_seq; /* of the last segment sent */
	uint8_t frames[BENCH_BURST][BENCH_FRAME_BYTES];
	struct pkt pkts[BENCH_BURST];
};

/* Says what is wrong, in the program's name, and exits. */
void bench_must(bool ok, const char *what);
/* b: zeroed. buffers and offloads of nic alone are read. */
void tcp_bench_open(struct tcp_bench *b, const struct tcp_config *cfg,
                    const struct nic_sim_config *nic);
void tcp_bench_close(struct tcp_bench *b);

/* The 4-tuple of client number conn. */
struct conn_key tcp_bench_key(uint32_t conn);

struct tcp_bench_seg {
	uint32_t conn;
	uint32_t seq;
	uint32_t ack;
	uint8_t flags; /* TH_PSH: with a request */
};

/* Makes the segment in pkts[at]; returns the sequence numbers that it takes. */
uint32_t tcp_bench_segment(struct tcp_bench *b, uint32_t at, const struct tcp_bench_seg *seg);
/* Answers every request that came, and sends. */
void tcp_bench_answer(struct tcp_bench *b);

#endif
