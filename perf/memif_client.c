/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A scripted TCP client for benchmarks over memif: it keeps 17 bytes of each connection and knows
 * just enough TCP for an honest path without loss, so that one core of it is faster than the server
 * that it measures. Driven by perf/front_memif, one command a line on its standard input, one JSON
 * object a line in answer:
 *
 *   open N            opens connections until there are N, one request on each
 *   exchange K R MS   R requests a second over the first K connections, for MS milliseconds
 *   flood K R MS      the same, and as many SYNs of forged addresses as the port takes; a new
 *                     connection every millisecond besides
 *   close             resets all
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/dpdk/eal_dpdk.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"
#include "lib/clock.h"
#include "lib/hist.h"
#include "perf/memif_frame.h"

/* 10.92.0.1: not those of sluice-bench in perf/hit_memif, whose connections the server still has in
 * TIME-WAIT, with later timestamps than ours. */
#define FIRST_ADDR 0x0a5c0001u

enum {
	MAX_CONNS = 1100000,
	PORTS = 50000, /* of each client address */
	FIRST_PORT = 10000,
	OPENING_MAX = 2048, /* handshakes and first requests in the air; fewer than the backlog */
	OUT_MAX = 4096,
	HDR_LEN = 54,
	TS_LEN = 12,
	RETRY_MS = 1000,
	FRESH_MAX = 65536, /* connections that a flood tries besides, at most */
	FRESH_FIRST = MAX_CONNS - FRESH_MAX,
};

enum conn_state { CLOSED, SYN_SENT, OPEN_WAITING, OPEN_IDLE };

struct waiting {
	uint32_t conn;
	uint64_t sent_ns;
};

struct client {
	struct frame_to to;
	uint8_t *state;
	uint32_t *snd; /* next number to send */
	uint32_t *rcv;
	uint32_t *peer_ts;
	uint32_t conns; /* opened and not closed */
	uint32_t answer_len;
	struct pkt out[OUT_MAX];
	uint32_t out_count;
	struct waiting *queue; /* in the order of sending; a ring of MAX_CONNS */
	uint32_t queue_head;
	uint32_t queue_tail;
	uint32_t in_air;
	uint64_t rng;
	/* What a command counts */
	struct hist trip;
	uint64_t *sent_ns; /* of the connections of an exchange */
	uint64_t answers, resets, resent, flooded, refused, syn_acks, started, opened,
	        opened_at_once;
	bool flooding;
};

static uint32_t random_next(struct client *c)
{
	c->rng ^= c->rng >> 12;
	c->rng ^= c->rng << 25;
	c->rng ^= c->rng >> 27;
	return (uint32_t)((c->rng * 2685821657736338717u) >> 32);
}

static void out_flush(struct client *c)
{
	uint32_t sent = 0;

	while (sent < c->out_count) {
		uint32_t n = min_u32(c->out_count - sent, NIC_BURST);
		uint32_t took = nic_tx_burst(c->to.nic, &c->out[sent], n);

		sent += took;
		if (took < n)
			break;
	}
	memmove(c->out, &c->out[sent], (c->out_count - sent) * sizeof(c->out[0]));
	c->out_count -= sent;
}

/* False when nothing can be sent now. */
static bool conn_send(struct client *c, uint32_t i, uint8_t flags, bool with_request)
{
	struct frame_spec b = {.src_ip = FIRST_ADDR + i / PORTS,
	                       .src_port = (uint16_t)(FIRST_PORT + i % PORTS),
	                       .flags = flags,
	                       .seq = c->snd[i],
	                       .ack = c->rcv[i],
	                       .peer_ts = c->peer_ts[i],
	                       .with_request = with_request};

	if (c->out_count == OUT_MAX)
		out_flush(c);
	if (c->out_count == OUT_MAX || !frame_build(&c->to, &b, &c->out[c->out_count]))
		return false;
	c->out_count++;
	return true;
}

static void wait_push(struct client *c, uint32_t i)
{
	c->queue[c->queue_tail] = (struct waiting){i, c->to.now_ns};
	c->queue_tail = (c->queue_tail + 1) % MAX_CONNS;
}

static void conn_open(struct client *c, uint32_t i)
{
	c->snd[i] = i * 2654435761u;
	c->rcv[i] = 0;
	c->peer_ts[i] = 0;
	c->state[i] = SYN_SENT;
	c->in_air++;
	c->started++;
	conn_send(c, i, SYN, false);
	wait_push(c, i);
}

static void request_send(struct client *c, uint32_t i)
{
	c->state[i] = OPEN_WAITING;
	if (c->sent_ns)
		c->sent_ns[i] = c->to.now_ns;
	conn_send(c, i, ACK | PSH, true);
}

static void answer_in(struct client *c, uint32_t i, uint32_t len)
{
	c->rcv[i] += len;
	if (c->state[i] != OPEN_WAITING)
		return;
	c->snd[i] += FRAME_REQUEST_LEN;
	c->state[i] = OPEN_IDLE;
	c->answers++;
	if (c->in_air > 0 && !c->sent_ns)
		c->in_air--;
	if (!c->sent_ns)
		conn_send(c, i, ACK, false);
	else if (i < FRESH_FIRST)
		hist_add(&c->trip, c->to.now_ns - c->sent_ns[i]);
}

static void segment_in(struct client *c, uint32_t i, const uint8_t *t, uint32_t len)
{
	uint32_t hdr = (uint32_t)(t[12] >> 4) * 4;
	uint32_t seq = get32(t + 4);

	if (t[13] & RST) {
		if (c->state[i] != CLOSED)
			c->resets++;
		c->state[i] = CLOSED;
		return;
	}
	if (hdr >= TCP_HDR_LEN + TS_LEN) {
		for (uint32_t at = TCP_HDR_LEN; at + 10 <= hdr && t[at] != 0;
		     at += t[at] == 1 ? 1u : max_u32(t[at + 1], 1))
			if (t[at] == 8)
				c->peer_ts[i] = get32(t + at + 2);
	}
	if (t[13] & SYN) {
		if (c->state[i] != SYN_SENT)
			return;
		c->rcv[i] = seq + 1;
		c->snd[i]++;
		c->conns++;
		c->opened++;
		request_send(c, i);
		return;
	}
	if (len > hdr && seq == c->rcv[i])
		answer_in(c, i, len - hdr);
}

static void frame_in(struct client *c, const struct pkt *pkt)
{
	const uint8_t *ip = pkt->data + ETH_HDR_LEN;
	const uint8_t *t = ip + IPV4_HDR_LEN;
	uint32_t dst;
	uint32_t i;

	if (pkt->len < HDR_LEN || get16(pkt->data + 12) != ETHERTYPE_V4 || ip[9] != PROTO_TCP)
		return;
	dst = get32(ip + 16) - FIRST_ADDR;
	i = dst * PORTS + get16(t + 2) - FIRST_PORT;
	if (dst > MAX_CONNS / PORTS || i >= MAX_CONNS) {
		c->syn_acks++;
		return;
	}
	segment_in(c, i, t, get16(ip + 2) - IPV4_HDR_LEN);
}

static void receive(struct client *c)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;

	for (uint32_t round = 0; round < 8; round++) {
		n = nic_rx_burst(c->to.nic, pkts, NIC_BURST);
		for (unsigned i = 0; i < n; i++)
			frame_in(c, &pkts[i]);
		if (n > 0)
			nic_pkt_free(c->to.nic, pkts, n);
		if (n < NIC_BURST)
			break;
	}
	out_flush(c);
}

/* What has had no answer for a second is sent again. */
static void retry(struct client *c)
{
	while (c->queue_head != c->queue_tail) {
		struct waiting w = c->queue[c->queue_head];

		if (c->to.now_ns - w.sent_ns < RETRY_MS * NS_PER_MS)
			return;
		c->queue_head = (c->queue_head + 1) % MAX_CONNS;
		if (c->state[w.conn] != SYN_SENT && c->state[w.conn] != OPEN_WAITING)
			continue;
		c->resent++;
		if (c->state[w.conn] == SYN_SENT)
			conn_send(c, w.conn, SYN, false);
		else
			conn_send(c, w.conn, ACK | PSH, true);
		wait_push(c, w.conn);
	}
}

static void flood(struct client *c)
{
	struct pkt pkts[NIC_BURST];
	unsigned n = 0;
	unsigned took;

	if (c->out_count > 0)
		return;
	for (; n < NIC_BURST; n++) {
		struct frame_spec b = {.src_ip = 0x0b000000u | (random_next(c) & 0xffffffu),
		                       .src_port = (uint16_t)(random_next(c) | 1024),
		                       .seq = random_next(c),
		                       .flags = SYN};

		if (!frame_build(&c->to, &b, &pkts[n]))
			break;
	}
	took = nic_tx_burst(c->to.nic, pkts, n);
	c->flooded += took;
	c->refused += n - took;
	if (took < n)
		nic_pkt_free(c->to.nic, &pkts[took], n - took);
}

static void cmd_open(struct client *c, uint32_t want)
{
	uint64_t began = clock_mono_ns();
	uint64_t deadline = began + 120 * NS_PER_S;
	uint32_t next = c->conns;

	c->answers = c->resets = c->resent = c->started = c->opened = 0;
	c->in_air = 0;
	want = min_u32(want, FRESH_FIRST);
	uint32_t goal = want > next ? want - next : 0;

	while (c->answers + c->resets < goal && c->to.now_ns < deadline) {
		c->to.now_ns = clock_mono_ns();
		receive(c);
		for (uint32_t n = 0; n < NIC_BURST && next < want && c->in_air < OPENING_MAX; n++)
			conn_open(c, next++);
		retry(c);
		out_flush(c);
	}
	printf("{\"conns\":%u,\"seconds\":%.3f,\"resent\":%lu,\"resets\":%lu,\"answers\":%lu}\n",
	       c->conns, (double)(clock_mono_ns() - began) / 1e9, c->resent, c->resets, c->answers);
}

/* A new connection each millisecond, with a request; which of them were answered is counted when
 * all had their time. */
static void fresh_start(struct client *c, uint64_t began, uint64_t until)
{
	uint64_t due = (min_u64(c->to.now_ns, until) - began) / NS_PER_MS;

	while (c->started < due && c->started < FRESH_MAX)
		conn_open(c, FRESH_FIRST + (uint32_t)c->started);
}

struct exchange {
	uint32_t conns;
	uint32_t rate_per_s;
	uint32_t ms;
};

static void cmd_exchange(struct client *c, const struct exchange *x)
{
	uint64_t began = clock_mono_ns();
	uint64_t until = began + x->ms * NS_PER_MS;
	uint64_t sent = 0, skipped = 0, late = 0, fresh = 0;
	uint32_t next = 0;

	c->answers = c->resets = c->resent = c->flooded = c->refused = c->syn_acks = 0;
	c->started = c->opened = 0;
	c->queue_head = c->queue_tail = 0;
	c->trip = (struct hist){0};
	c->sent_ns = calloc(MAX_CONNS, sizeof(c->sent_ns[0]));
	if (!c->sent_ns)
		exit(1);
	c->to.now_ns = clock_mono_ns();
	while (c->to.now_ns < until) {
		uint64_t due = (c->to.now_ns - began) * x->rate_per_s / NS_PER_S;

		receive(c);
		for (uint32_t n = 0; n < 4 * NIC_BURST && sent + skipped < due; n++) {
			/* A connection whose answer is still out cannot take another request. */
			if (c->state[next] == OPEN_IDLE) {
				request_send(c, next);
				sent++;
			} else {
				skipped++;
			}
			next = (next + 1) % x->conns;
		}
		out_flush(c);
		if (c->flooding) {
			fresh_start(c, began, until - 2 * RETRY_MS * NS_PER_MS);
			retry(c);
			flood(c);
		}
		c->to.now_ns = clock_mono_ns();
	}
	late = sent + c->opened - c->answers;
	for (uint32_t i = 0; i < c->started; i++)
		fresh += c->state[FRESH_FIRST + i] == OPEN_IDLE;
	printf("{\"seconds\":%.3f,\"answers\":%lu,\"skipped\":%lu,\"late\":%lu,\"resets\":%lu,"
	       "\"p50_ns\":%lu,\"p99_ns\":%lu,\"p999_ns\":%lu,\"max_ns\":%lu,"
	       "\"flooded\":%lu,\"refused\":%lu,\"syn_acks\":%lu,"
	       "\"fresh\":%lu,\"fresh_answered\":%lu,\"fresh_resent\":%lu}\n",
	       (double)(clock_mono_ns() - began) / 1e9, c->answers, skipped, late, c->resets,
	       hist_quantile_ns(&c->trip, 0.5), hist_quantile_ns(&c->trip, 0.99),
	       hist_quantile_ns(&c->trip, 0.999), hist_quantile_ns(&c->trip, 1), c->flooded,
	       c->refused, c->syn_acks, c->started, fresh, c->resent);
	free(c->sent_ns);
	c->sent_ns = NULL;
	/* What is on its way still comes in. */
	for (uint64_t end = clock_mono_ns() + 300 * NS_PER_MS; clock_mono_ns() < end;)
		receive(c);
	for (uint32_t i = 0; i < c->started; i++) {
		conn_send(c, FRESH_FIRST + i, RST | ACK, false);
		c->state[FRESH_FIRST + i] = CLOSED;
		receive(c);
	}
	c->conns -= (uint32_t)c->opened;
	c->queue_head = c->queue_tail = 0;
}

static void cmd_close(struct client *c)
{
	for (uint32_t i = 0; i < MAX_CONNS; i++) {
		if (c->state[i] == CLOSED)
			continue;
		while (!conn_send(c, i, RST | ACK, false))
			receive(c);
		c->state[i] = CLOSED;
		if (i % 64 == 0)
			receive(c);
	}
	while (c->out_count > 0)
		receive(c);
	c->conns = 0;
	printf("{}\n");
}

static bool command_run(struct client *c, const char *line)
{
	struct exchange x;
	unsigned n;

	if (sscanf(line, "open %u", &n) == 1) {
		cmd_open(c, n);
	} else if (sscanf(line, "exchange %u %u %u", &x.conns, &x.rate_per_s, &x.ms) == 3 &&
	           x.conns > 0 && x.conns <= c->conns) {
		cmd_exchange(c, &x);
	} else if (sscanf(line, "flood %u %u %u", &x.conns, &x.rate_per_s, &x.ms) == 3 &&
	           x.conns > 0 && x.conns <= c->conns) {
		c->flooding = true;
		cmd_exchange(c, &x);
		c->flooding = false;
	} else if (strncmp(line, "close", 5) == 0) {
		cmd_close(c);
	} else {
		fprintf(stderr, "memif_client: not a command, or no such connections: %s", line);
		return false;
	}
	fflush(stdout);
	return true;
}

static bool tables_make(struct client *c)
{
	c->state = calloc(MAX_CONNS, 1);
	c->snd = calloc(MAX_CONNS, 4);
	c->rcv = calloc(MAX_CONNS, 4);
	c->peer_ts = calloc(MAX_CONNS, 4);
	c->queue = calloc(MAX_CONNS, sizeof(c->queue[0]));
	return c->state && c->snd && c->rcv && c->peer_ts && c->queue;
}

int main(int argc, char **argv)
{
	static struct client c;
	struct config_error error;
	struct config *cfg;
	struct dpdk *dpdk;
	char err[512];
	char line[256];

	if (argc != 3 || inet_pton(AF_INET, argv[2], c.to.server_ip) != 1) {
		fprintf(stderr,
		        "usage: memif_client CONFIG SERVER_ADDRESS, for perf/front_memif\n");
		return 1;
	}
	if (config_load(argv[1], &cfg, &error) != ST_OK) {
		fprintf(stderr, "memif_client: %s\n", error.text);
		return 1;
	}
	if (dpdk_start(cfg, &dpdk, err, sizeof(err)) != ST_OK) {
		fprintf(stderr, "memif_client: %s\n", err);
		return 1;
	}
	c.to.nic = dpdk_nic(dpdk, 0);
	c.rng = 88172645463325252u;
	c.to.request_sum = csum_add(0, FRAME_REQUEST, FRAME_REQUEST_LEN);
	if (!tables_make(&c) || dpdk_thread_start(dpdk, 0) != ST_OK)
		return 1;
	if (!frame_resolve(&c.to)) {
		fprintf(stderr, "memif_client: the server does not answer ARP\n");
		return 1;
	}
	printf("{\"ready\":true}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		if (!command_run(&c, line))
			return 1;
	dpdk_thread_end(dpdk);
	dpdk_stop(dpdk);
	config_free(cfg);
	return 0;
}
