/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hit path from packet to packet on the in-memory NIC: 100-byte object, keep-alive, Linux-like
 * segments with timestamps, a burst of 32 connections at a time. TSC cycles a request, the share of
 * each stage, and with --instructions what callgrind counts. The client is a few hand-made
 * segments, and is not measured. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/net/csum.h"
#include "dataplane/path.h"
#include "lib/clock.h"
#include "perf/report.h"
#include "tests/sim/rig.h"

#define CONNS      128u
#define FRAME      1600u
#define ETH_IP     34u
#define TCP_HDR    32u /* with the timestamp option */
#define HDRS       (ETH_IP + TCP_HDR)
#define STEP_NS    (20 * NS_PER_US)
#define MAX_ROUNDS 200000u

/* As wrk sends it. */
#define REQUEST       "GET /item/%u HTTP/1.1\r\nHost: api.test\r\n\r\n"
#define REQUEST_BYTES 64u
#define MAX_OBJECTS   4000000u
#define OBJECT_ROOM   1024u /* of the hot table, for each object */

struct peer {
	uint16_t port;
	uint32_t seq; /* next byte to send */
	uint32_t ack; /* next byte expected */
	uint32_t ts_echo;
	uint32_t answers;
};

struct bench {
	struct rig rig;
	struct peer peers[CONNS];
	uint32_t objects; /* asked for at random */
	uint64_t random;
	uint64_t answers;
	uint64_t bytes;
	bool bad;
};

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static const uint8_t server_ip[4] = {10, 0, 0, 10};
static const uint8_t client_ip[4] = {10, 0, 0, 2};

/* A segment of the peer's; opts: option bytes behind the fixed header, a multiple of 4. */
static void segment_send(struct bench *b, struct peer *p, uint8_t flags, struct span opts,
                         struct span data)
{
	uint8_t f[FRAME] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
	uint32_t tcp_len = (uint32_t)(20 + opts.len + data.len);
	uint8_t *ip = f + 14, *tcp = f + ETH_IP;
	uint32_t sum;

	put16(ip + 2, 20 + tcp_len);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, client_ip, 4);
	memcpy(ip + 16, server_ip, 4);
	uint16_t c = csum_fold(csum_add(0, ip, 20));
	memcpy(ip + 10, &c, 2);
	put16(tcp, p->port);
	put16(tcp + 2, RIG_PORT);
	put32(tcp + 4, p->seq);
	put32(tcp + 8, p->ack);
	tcp[12] = (uint8_t)((20 + opts.len) / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, 65535);
	memcpy(tcp + 20, opts.ptr, opts.len);
	memcpy(tcp + 20 + opts.len, data.ptr, data.len);
	uint8_t pseudo[4] = {0, 6, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	sum = csum_add(0, ip + 12, 8);
	sum = csum_add(sum, pseudo, 4);
	sum = csum_add(sum, tcp, tcp_len);
	c = csum_fold(sum);
	memcpy(tcp + 16, &c, 2);
	p->seq += (uint32_t)data.len + ((flags & 2) ? 1 : 0);
	nic_sim_inject(b->rig.server_nic, f, ETH_IP + tcp_len);
}

static void timestamps(struct bench *b, const struct peer *p, uint8_t out[12])
{
	out[0] = 1;
	out[1] = 1;
	out[2] = 8;
	out[3] = 10;
	put32(out + 4, (uint32_t)(b->rig.now_ns / NS_PER_MS));
	put32(out + 8, p->ts_echo);
}

/* What the server sends: the peer acknowledges with its next request. */
static void link_input(void *arg, struct rig *rig, bool to_server, const void *frame, uint32_t len)
{
	struct bench *b = arg;
	const uint8_t *f = frame, *tcp = f + ETH_IP;
	uint32_t hdr, data;

	(void)rig;
	if (to_server || len < ETH_IP + 20 || f[12] != 8 || f[13] != 0 || f[23] != 6)
		return;
	uint32_t port = get16(tcp + 2) - 1024u;
	if (port >= CONNS)
		return;
	struct peer *p = &b->peers[port];
	hdr = (uint32_t)(tcp[12] >> 4) * 4;
	data = get16(f + 16) - 20 - hdr;
	if (tcp[13] & 2) {
		p->ack = get32(tcp + 4) + 1;
		for (uint32_t i = 20; i + 10 <= hdr; i++)
			if (tcp[i] == 8 && tcp[i + 1] == 10)
				p->ts_echo = get32(tcp + i + 2);
		return;
	}
	if (hdr >= TCP_HDR)
		p->ts_echo = get32(tcp + 24);
	if (get32(tcp + 4) != p->ack || (tcp[13] & 4))
		b->bad = true;
	p->ack += data;
	if (data > 0) {
		p->answers++;
		b->answers++;
		b->bytes += data;
		if (memcmp(tcp + hdr, "HTTP/1.1 200 OK", 15) != 0)
			b->bad = true;
	}
}

static void peers_open(struct bench *b)
{
	static const char syn_opts[20] = {2, 4, 5, (char)180, 4, 2, 8, 10, 0, 0,
	                                  0, 1, 0, 0,         0, 0, 1, 3,  3, 7};

	for (uint32_t i = 0; i < CONNS; i++) {
		struct peer *p = &b->peers[i];
		uint8_t ts[12];

		*p = (struct peer){.port = (uint16_t)(1024 + i), .seq = 1000 * i};
		segment_send(b, p, 2, span_of(syn_opts, sizeof(syn_opts)), (struct span){0});
		rig_step(&b->rig, STEP_NS);
		timestamps(b, p, ts);
		segment_send(b, p, 16, span_of(ts, sizeof(ts)), (struct span){0});
		rig_step(&b->rig, STEP_NS);
	}
}

/* xorshift64 (Marsaglia, 2003) */
static uint32_t object_pick(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return 1 + (uint32_t)((b->random >> 32) * b->objects >> 32);
}

static void requests_send(struct bench *b, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct peer *p = &b->peers[(first + i) % CONNS];
		char text[REQUEST_BYTES];
		uint8_t ts[12];
		int len = snprintf(text, sizeof(text), REQUEST, object_pick(b));

		timestamps(b, p, ts);
		segment_send(b, p, 24, span_of(ts, sizeof(ts)), span_of(text, (size_t)len));
	}
}

/* Not inlined: callgrind counts from here. */
static NOINLINE uint64_t timed_round(struct bench *b)
{
	uint64_t start = clock_cycles();

	core_round(b->rig.core, b->rig.now_ns, b->rig.wall_ns);
	return clock_cycles() - start;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median cycles a request over rounds of one burst. */
static double run_whole(struct bench *b, uint32_t rounds, uint32_t burst)
{
	uint64_t *took = calloc(rounds, sizeof(*took));
	uint64_t before = b->answers;
	double median;

	if (took == NULL)
		exit(1);
	for (uint32_t r = 0; r < rounds; r++) {
		b->rig.now_ns += STEP_NS;
		b->rig.wall_ns += STEP_NS;
		requests_send(b, r * burst, burst);
		took[r] = timed_round(b);
	}
	if (b->answers - before != (uint64_t)rounds * burst)
		b->bad = true;
	qsort(took, rounds, sizeof(*took), compare_u64);
	median = (double)took[rounds / 2] / burst;
	free(took);
	return median;
}

enum { ST_RX, ST_NET, ST_TCP_IN, ST_REQ, ST_DONE, ST_TX, STAGES };
static const char *const stage_names[STAGES] = {
        "nic_rx", "net_input", "tcp_input", "parse_lookup_reply", "tcp_output", "nic_tx"};

/* core_rx and core_tx with a look at the clock between the stages. */
static void staged_round(struct bench *b, uint64_t cycles[STAGES])
{
	struct core *core = b->rig.core;
	struct pkt pkts[NIC_BURST];
	struct conn *conn;
	uint32_t events;
	uint64_t t0, t1;
	unsigned n;

	core_tick(core, b->rig.now_ns, b->rig.wall_ns);
	t0 = clock_cycles();
	n = nic_rx_burst(core->nic, pkts, NIC_BURST);
	t1 = clock_cycles();
	cycles[ST_RX] += t1 - t0;
	n = net_input(core->net, pkts, n, core->now_ns);
	t0 = clock_cycles();
	cycles[ST_NET] += t0 - t1;
	tcp_input_burst(core->tcp, pkts, n, core->now_ns);
	t1 = clock_cycles();
	cycles[ST_TCP_IN] += t1 - t0;
	while ((conn = tcp_ready(core->tcp, &events)) != NULL) {
		t0 = clock_cycles();
		core->turns[0].conn = conn;
		if (req_begin(core, &core->turns[0], events))
			req_resume(core, &core->turns[0]);
		t1 = clock_cycles();
		cycles[ST_REQ] += t1 - t0;
		tcp_ready_done(core->tcp, conn, core->now_ns);
		cycles[ST_DONE] += clock_cycles() - t1;
	}
	t0 = clock_cycles();
	nic_pkt_free(core->nic, pkts, n);
	core_timers(core);
	core_tx(core);
	cycles[ST_TX] += clock_cycles() - t0;
}

static void run_staged(struct bench *b, uint32_t rounds, struct report *rep)
{
	uint64_t cycles[STAGES] = {0};

	for (uint32_t r = 0; r < rounds; r++) {
		b->rig.now_ns += STEP_NS;
		b->rig.wall_ns += STEP_NS;
		requests_send(b, r * NIC_BURST, NIC_BURST);
		staged_round(b, cycles);
	}
	for (uint32_t i = 0; i < STAGES; i++)
		report_add(rep, (double)cycles[i] / ((double)rounds * NIC_BURST),
		           "mean, with the cost of the look", "stage_%s_cycles", stage_names[i]);
}

static const char *const stage_modes[] = {"off", "sampled", "all"};

/* Runs this program again under callgrind, once with few and once with more requests: the
 * difference is the requests' alone. Negative when callgrind is not there. */
static double instructions(const char *self, enum config_stages mode)
{
	double count[2] = {-1, -1};

	for (int i = 0; i < 2; i++) {
		char cmd[1024], line[256];
		FILE *p;

		snprintf(cmd, sizeof(cmd),
		         "valgrind --tool=callgrind --callgrind-out-file=/dev/null "
		         "--toggle-collect='timed_round*' '%s' --stages %s --rounds %d 2>&1",
		         self, stage_modes[mode], i == 0 ? 50 : 150);
		p = popen(cmd, "r");
		if (p == NULL)
			return -1;
		while (fgets(line, sizeof(line), p) != NULL) {
			char *at = strstr(line, "Collected :");

			if (at != NULL)
				count[i] = strtod(at + 11, NULL);
		}
		pclose(p);
	}
	if (count[0] < 0 || count[1] < 0)
		return -1;
	return (count[1] - count[0]) / (100.0 * NIC_BURST);
}

/* So many objects /item/1, /item/2 and so on, in a hot table that has room for all. */
static enum status bench_create(struct bench *b)
{
	const char *yaml = "memory:\n    hot_table_bytes: %llu\n    up_blocks: 256\n"
	                   "    down_blocks: 512\nlisteners:\n    - address: " RIG_SERVER "\n"
	                   "ports:\n    - type: tap\n      interface: unused\n"
	                   "upstreams:\n    - name: origin\n      addresses: ['127.0.0.1:1']\n"
	                   "routes:\n    - path: /*\n      upstream: origin\n";
	unsigned long long bytes = max_u64(b->objects * (uint64_t)OBJECT_ROOM, 32u << 20);
	char text[1024], body[100], key[64];
	enum status st;

	memset(body, 'x', sizeof(body));
	snprintf(text, sizeof(text), yaml, bytes);
	st = rig_create(&b->rig, b->objects == 1 ? NULL : text);
	for (uint32_t i = 1; st == ST_OK && i <= b->objects; i++) {
		snprintf(key, sizeof(key), "api.test/item/%u", i);
		st = rig_hot_put(&b->rig, key,
		                 "Content-Type: application/json\r\nCache-Control: max-age=3600\r\n"
		                 "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"65c0-1\"\r\n",
		                 span_of(body, sizeof(body)));
	}
	return st;
}

static const char about[] =
        "Cycles a cache hit costs from packet to packet, on the in-memory NIC: 100-byte object,\n"
        "keep-alive, 128 connections, bursts of 32; with the share of each stage.\n"
        "  --instructions  count instructions a request with callgrind as well\n"
        "  --objects N     ask for N objects at random instead of for one\n"
        "  --rounds N      only N rounds of the whole path (for callgrind)\n"
        "  --stages MODE   off, sampled or all: the core's own stage counters (sampled)";

static bool stages_parse(const char *text, enum config_stages *out)
{
	for (uint32_t i = 0; i < ARRAY_LEN(stage_modes); i++) {
		if (strcmp(text, stage_modes[i]) == 0) {
			*out = (enum config_stages)i;
			return true;
		}
	}
	return false;
}

/* What the core's own stage counters cost: blocks of rounds, long enough to hold some that are
 * timed, take turns with each mode. */
static void stages_cost(struct bench *b, uint32_t rounds, struct report *rep)
{
	enum { BLOCK = 64, MODES = ARRAY_LEN(stage_modes) };
	uint32_t blocks = rounds / (BLOCK * MODES) + 1;
	uint64_t *took = calloc((size_t)blocks * MODES, sizeof(*took));

	if (took == NULL)
		exit(1);
	for (uint32_t i = 0; i < blocks * MODES; i++) {
		uint32_t mode = i % MODES;

		stages_set_mode(&b->rig.core->stages, (enum config_stages)mode);
		for (uint32_t r = 0; r < BLOCK; r++) {
			b->rig.now_ns += STEP_NS;
			b->rig.wall_ns += STEP_NS;
			requests_send(b, r * NIC_BURST, NIC_BURST);
			took[mode * blocks + i / MODES] += timed_round(b);
		}
	}
	for (uint32_t mode = 0; mode < MODES; mode++) {
		qsort(took + mode * blocks, blocks, sizeof(*took), compare_u64);
		report_add(rep, (double)took[mode * blocks + blocks / 2] / (BLOCK * NIC_BURST),
		           "median of alternating blocks", "stages_%s_cycles", stage_modes[mode]);
	}
	free(took);
}

int main(int argc, char **argv)
{
	static struct bench b = {.objects = 1, .random = 88172645463325252ull};
	struct report rep;
	int n = report_init(&rep, about, argc, argv);
	uint32_t rounds = rep.short_run ? 2000 : 50000;
	enum config_stages mode = CONFIG_STAGES_SAMPLED;
	bool quiet = false, count = false;

	for (int i = 0; i < n; i++) {
		if (strcmp(rep.argv[i], "--instructions") == 0) {
			count = true;
		} else if (strcmp(rep.argv[i], "--rounds") == 0 && i + 1 < n) {
			rounds = (uint32_t)strtoul(rep.argv[++i], NULL, 10);
			quiet = true;
		} else if (strcmp(rep.argv[i], "--stages") == 0 && i + 1 < n &&
		           stages_parse(rep.argv[i + 1], &mode)) {
			i++;
		} else if (strcmp(rep.argv[i], "--objects") == 0 && i + 1 < n) {
			b.objects = (uint32_t)strtoul(rep.argv[++i], NULL, 10);
		} else {
			fprintf(stderr, "bench_hit: unknown option %s; see --help\n", rep.argv[i]);
			return 2;
		}
	}
	if (rounds == 0 || rounds > MAX_ROUNDS || b.objects == 0 || b.objects > MAX_OBJECTS ||
	    bench_create(&b) != ST_OK) {
		fprintf(stderr, "bench_hit: cannot set up\n");
		return 1;
	}
	stages_set_mode(&b.rig.core->stages, mode);
	b.rig.link = link_input;
	b.rig.link_arg = &b;
	peers_open(&b);
	if (!quiet)
		run_whole(&b, rounds / 10 + 1, NIC_BURST);
	double cycles = run_whole(&b, rounds, NIC_BURST);
	if (!quiet) {
		report_add(&rep, cycles, "median; goal 1500", "hit_cycles");
		report_add(&rep, cycles / clock_cycles_per_ns(), "", "hit_ns");
		report_add(&rep, run_whole(&b, rounds, 1), "a burst of one: latency, not rate",
		           "hit_alone_cycles");
		run_staged(&b, rounds, &rep);
		stages_cost(&b, rounds, &rep);
		report_add(&rep, (double)b.bytes / (double)b.answers, "head and body",
		           "answer_bytes");
	}
	if (count) {
		double instr = instructions(argv[0], mode);

		if (instr < 0)
			fprintf(stderr, "bench_hit: no valgrind: no instructions\n");
		else
			report_add(&rep, instr, "callgrind", "hit_instructions");
	}
	rig_destroy(&b.rig);
	if (b.bad) {
		fprintf(stderr, "bench_hit: wrong or missing answers; no figure can be trusted\n");
		return 1;
	}
	if (!quiet)
		report_print(&rep);
	free(rep.argv);
	return 0;
}
