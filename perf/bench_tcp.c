/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What TCP costs a request over a kept connection: a request segment in (which acknowledges the
 * answer before), an answer out, without net_input and without HTTP. */
#include "lib/clock.h"
#include "perf/report.h"
#include "perf/tcp_bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5 };

struct bench {
	struct tcp_bench stack;
	uint32_t conns;
	uint32_t *seq; /* the peers' next numbers */
	uint32_t *ack;
};

static void segment(struct bench *b, uint32_t at, uint32_t conn, uint8_t flags)
{
	struct tcp_bench_seg s = {conn, b->seq[conn], b->ack[conn], flags};

	b->seq[conn] += tcp_bench_segment(&b->stack, at, &s);
}

static void connect_all(struct bench *b)
{
	struct tcp_bench *t = &b->stack;

	for (uint32_t i = 0; i < b->conns; i++) {
		b->seq[i] = i * 7919;
		segment(b, 0, i, TH_SYN);
		tcp_input(t->tcp, &t->pkts[0], t->now_ns);
		net_flush(t->net);
		b->ack[i] = t->last_seq + 1;
		segment(b, 0, i, TH_ACK);
		tcp_input(t->tcp, &t->pkts[0], t->now_ns);
		tcp_bench_answer(t);
	}
	bench_must(counter_read(&t->ctr, CTR_tcp_accepted) == b->conns, "handshakes failed");
}

static void bench_open(struct bench *b, uint32_t conns, bool offload)
{
	struct nic_sim_config nic = {.tx_ip_csum = offload, .tx_l4_csum = offload, .buffers = 256};
	struct tcp_config cfg;

	memset(b, 0, sizeof(*b));
	b->conns = conns;
	b->seq = calloc(conns, sizeof(uint32_t));
	b->ack = calloc(conns, sizeof(uint32_t));
	bench_must(b->seq && b->ack, "no memory");
	tcp_config_default(&cfg);
	tcp_bench_open(&b->stack, &cfg, &nic);
	connect_all(b);
}

static void bench_close(struct bench *b)
{
	tcp_bench_close(&b->stack);
	free(b->seq);
	free(b->ack);
}

/* Cycles a request; the best round. Time runs at a million requests a second. */
static double requests_run(struct bench *b, uint32_t requests)
{
	struct tcp_bench *t = &b->stack;
	double best = 1e18;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t spent = 0;
		uint32_t conn = 0;

		for (uint32_t n = 0; n < requests; n += BENCH_BURST) {
			uint64_t begin;

			for (uint32_t i = 0; i < BENCH_BURST; i++) {
				segment(b, i, conn, TH_ACK | TH_PSH);
				b->ack[conn] += BENCH_ANSWER_BYTES;
				conn = (conn + 1) % b->conns;
			}
			t->now_ns += BENCH_BURST * NS_PER_US;
			begin = clock_cycles();
			tcp_input_burst(t->tcp, t->pkts, BENCH_BURST, t->now_ns);
			tcp_bench_answer(t);
			tcp_timers(t->tcp, t->now_ns);
			spent += clock_cycles() - begin;
		}
		if ((double)spent / requests < best)
			best = (double)spent / requests;
	}
	bench_must(counter_read(&t->ctr, CTR_tcp_rexmit) == 0, "retransmissions");
	return best;
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = {16, 1024, 32768};
	static struct bench bench;
	struct report r;

	if (report_init(
	            &r,
	            "TSC cycles a request of 100 bytes and its answer of 300 over kept "
	            "connections: TCP in, ready list, copy of the answer, TCP and IP out to a "
	            "NIC in memory. Not in it: net_input, HTTP. sw_csum: checksums in software.",
	            argc, argv) > 0) {
		fprintf(stderr, "bench_tcp: no arguments besides options\n");
		return 2;
	}
	for (uint32_t offload = 0; offload < 2; offload++)
		for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
			double cycles;

			bench_open(&bench, counts[i], offload);
			cycles = requests_run(&bench, r.short_run ? 65536 : 1 << 20);
			report_add(&r, cycles, "in and out", "%s_%u_conns_request_cycles",
			           offload ? "hw_csum" : "sw_csum", counts[i]);
			bench_close(&bench);
		}
	report_print(&r);
	free(r.argv);
	return 0;
}
