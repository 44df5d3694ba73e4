/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What TCP costs a request over a kept connection: a request segment in (which acknowledges the
 * answer before), an answer out, without net_input and without HTTP. */
#include "dataplane/tcp/conn.h"
#include "lib/clock.h"
#include "perf/report.h"
#include "tests/sim/nic_sim.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	PORT = 80,
	REQUEST_BYTES = 100,
	ANSWER_BYTES = 300,
	BURST = 16,
	FRAME_BYTES = 256,
	HDR_OFF = 34,
	ROUNDS = 5,
};

struct bench {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	uint64_t now_ns;
	uint32_t conns;
	uint32_t *seq; /* the peers' next numbers */
	uint32_t *ack;
	uint32_t last_seq; /* of the last segment sent */
	uint8_t frames[BURST][FRAME_BYTES];
	struct pkt pkts[BURST];
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_tcp: %s\n", what);
	exit(1);
}

static void sent(void *arg, const void *data, uint32_t len)
{
	struct bench *b = arg;

	if (len >= HDR_OFF + 8)
		b->last_seq = get_u32((const uint8_t *)data + HDR_OFF + 4);
}

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

static void segment(struct bench *b, uint32_t at, uint32_t conn, uint8_t flags)
{
	uint8_t *f = b->frames[at];
	uint8_t *h = f + HDR_OFF;
	uint32_t len = flags & TH_PSH ? REQUEST_BYTES : 0;

	memcpy(f + 26, (const uint8_t[]){10, 0, 0, 2, 10, 0, 0, 1}, 8);
	put_u16(f + 28, (uint16_t)(2 + conn / 60000));
	put_u16(h, (uint16_t)(1024 + conn % 60000));
	put_u16(h + 2, PORT);
	put_u32(h + 4, b->seq[conn]);
	put_u32(h + 8, b->ack[conn]);
	h[13] = flags;
	put_u16(h + 14, 65535);
	memcpy(h + 20,
	       (const uint8_t[]){1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1, 3, 3, 7, 1, 1, 4, 2}, 20);
	b->pkts[at] = (struct pkt){.data = f,
	                           .l3_off = 14,
	                           .l4_off = HDR_OFF,
	                           .payload_off = HDR_OFF + (flags & TH_SYN ? 40 : 32),
	                           .payload_len = (uint16_t)len,
	                           .ip_version = 4};
	b->seq[conn] += len + (flags & TH_SYN ? 1 : 0);
}

static void answer(struct bench *b)
{
	static char text[ANSWER_BYTES];
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(b->tcp, &events)) != NULL) {
		struct span rx = tcp_rx(c);

		if (rx.len > 0) {
			must(tcp_tx_copy(b->tcp, c, text, sizeof(text)) == ST_OK, "queue full");
			tcp_rx_consume(b->tcp, c, rx.len);
		}
		tcp_ready_done(b->tcp, c, b->now_ns);
	}
	net_flush(b->net);
}

static void connect_all(struct bench *b)
{
	for (uint32_t i = 0; i < b->conns; i++) {
		b->seq[i] = i * 7919;
		segment(b, 0, i, TH_SYN);
		tcp_input(b->tcp, &b->pkts[0], b->now_ns);
		net_flush(b->net);
		b->ack[i] = b->last_seq + 1;
		segment(b, 0, i, TH_ACK);
		tcp_input(b->tcp, &b->pkts[0], b->now_ns);
		answer(b);
	}
	must(counter_read(&b->ctr, CTR_tcp_accepted) == b->conns, "handshakes failed");
}

static void bench_open(struct bench *b, uint32_t conns, bool offload)
{
	struct nic_sim_config nic = {.tx_ip_csum = offload,
	                             .tx_l4_csum = offload,
	                             .buffers = 256,
	                             .on_tx = sent,
	                             .arg = b};
	struct tcp_env env = {.ctr = &b->ctr, .release = release};
	struct tcp_config cfg;
	struct ip_addr addr;

	memset(b, 0, sizeof(*b));
	b->now_ns = NS_PER_S;
	b->conns = conns;
	b->seq = calloc(conns, sizeof(uint32_t));
	b->ack = calloc(conns, sizeof(uint32_t));
	must(b->seq && b->ack && ip_addr_parse("10.0.0.1", &addr), "no memory");
	b->nic = nic_sim_create(&nic);
	must(b->nic && net_create(&b->net, b->nic, &b->ctr, &addr, 1) == ST_OK, "net");
	env.net = b->net;
	tcp_config_default(&cfg);
	must(tcp_create(&b->tcp, &cfg, &env, b->now_ns) == ST_OK, "tcp");
	must(tcp_listen(b->tcp, &addr, PORT) == ST_OK, "listen");
	connect_all(b);
}

static void bench_close(struct bench *b)
{
	tcp_destroy(b->tcp);
	net_destroy(b->net);
	nic_sim_destroy(b->nic);
	free(b->seq);
	free(b->ack);
}

/* Cycles a request; the best round. Time runs at a million requests a second. */
static double requests_run(struct bench *b, uint32_t requests)
{
	double best = 1e18;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t spent = 0;
		uint32_t conn = 0;

		for (uint32_t n = 0; n < requests; n += BURST) {
			uint64_t begin;

			for (uint32_t i = 0; i < BURST; i++) {
				segment(b, i, conn, TH_ACK | TH_PSH);
				b->ack[conn] += ANSWER_BYTES;
				conn = (conn + 1) % b->conns;
			}
			b->now_ns += BURST * NS_PER_US;
			begin = clock_cycles();
			tcp_input_burst(b->tcp, b->pkts, BURST, b->now_ns);
			answer(b);
			tcp_timers(b->tcp, b->now_ns);
			spent += clock_cycles() - begin;
		}
		if ((double)spent / requests < best)
			best = (double)spent / requests;
	}
	must(counter_read(&b->ctr, CTR_tcp_rexmit) == 0, "retransmissions");
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
