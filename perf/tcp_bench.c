/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/tcp_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { HDR_OFF = 34 };

void bench_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

static void sent(void *arg, const void *data, uint32_t len)
{
	struct tcp_bench *b = arg;

	if (len >= HDR_OFF + 8)
		b->last_seq = get_u32((const uint8_t *)data + HDR_OFF + 4);
}

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

void tcp_bench_open(struct tcp_bench *b, const struct tcp_config *cfg,
                    const struct nic_sim_config *nic)
{
	struct nic_sim_config with = *nic;
	struct tcp_env env = {.ctr = &b->ctr, .release = release};
	struct ip_addr addr;

	with.on_tx = sent;
	with.arg = b;
	b->now_ns = NS_PER_S;
	bench_must(ip_addr_parse("10.0.0.1", &addr), "address");
	b->nic = nic_sim_create(&with);
	bench_must(b->nic && net_create(&b->net, b->nic, &b->ctr, &addr, 1) == ST_OK, "net");
	env.net = b->net;
	bench_must(tcp_create(&b->tcp, cfg, &env, b->now_ns) == ST_OK, "tcp");
	bench_must(tcp_listen(b->tcp, &addr, BENCH_PORT) == ST_OK, "listen");
}

void tcp_bench_close(struct tcp_bench *b)
{
	tcp_destroy(b->tcp);
	net_destroy(b->net);
	nic_sim_destroy(b->nic);
}

struct conn_key tcp_bench_key(uint32_t conn)
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	struct conn_key key = {.lport = BENCH_PORT, .rport = (uint16_t)(1024 + conn % BENCH_PORTS)};

	memcpy(key.local.b, v4, 12);
	memcpy(key.local.b + 12, (const uint8_t[]){10, 0, 0, 1}, 4);
	memcpy(key.remote.b, v4, 12);
	memcpy(key.remote.b + 12, (const uint8_t[]){10, 0, (uint8_t)(1 + conn / BENCH_PORTS), 2},
	       4);
	return key;
}

uint32_t tcp_bench_segment(struct tcp_bench *b, uint32_t at, const struct tcp_bench_seg *seg)
{
	static const uint8_t opts[20] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0,
	                                 0, 1, 1, 3,  3, 7, 1, 1, 4, 2};
	uint8_t *f = b->frames[at];
	uint8_t *h = f + HDR_OFF;
	struct conn_key key = tcp_bench_key(seg->conn);
	bool syn = seg->flags & TH_SYN;
	uint32_t len = seg->flags & TH_PSH ? BENCH_REQUEST_BYTES : 0;

	memcpy(f + 26, key.remote.b + 12, 4);
	memcpy(f + 30, key.local.b + 12, 4);
	put_u16(h, key.rport);
	put_u16(h + 2, key.lport);
	put_u32(h + 4, seg->seq);
	put_u32(h + 8, seg->ack);
	h[13] = seg->flags;
	put_u16(h + 14, 65535);
	memcpy(h + 20, opts, sizeof(opts));
	b->pkts[at] = (struct pkt){.data = f,
	                           .l3_off = 14,
	                           .l4_off = HDR_OFF,
	                           .payload_off = HDR_OFF + (syn ? 40 : 32),
	                           .payload_len = (uint16_t)len,
	                           .ip_version = 4};
	return len + (syn ? 1 : 0);
}

void tcp_bench_answer(struct tcp_bench *b)
{
	static char text[BENCH_ANSWER_BYTES];
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(b->tcp, &events)) != NULL) {
		struct span rx = tcp_rx(c);

		if (rx.len > 0) {
			bench_must(tcp_tx_copy(b->tcp, c, text, sizeof(text)) == ST_OK,
			           "queue full");
			tcp_rx_consume(b->tcp, c, rx.len);
		}
		tcp_ready_done(b->tcp, c, b->now_ns);
	}
	net_flush(b->net);
}
