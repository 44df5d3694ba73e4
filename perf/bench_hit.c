/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hit path from packet to packet on the in-memory NIC: 100-byte object, keep-alive, Linux-like
 * segments with timestamps, a burst of 32 connections at a time. TSC cycles a request, the share of
 * each stage, and what the core's own stage counters add. Instructions: perf/instructions. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "perf/peers.h"
#include "perf/report.h"

/* As wrk sends it. */
#define REQUEST(i)    "GET /item/" i " HTTP/1.1\r\nHost: api.test\r\n\r\n"
#define REQUEST_BYTES 64u
#define MAX_OBJECTS   4000000u
#define OBJECT_ROOM   1024u /* of the hot table, for each object */

struct bench {
	struct peers peers;
	uint32_t objects; /* asked for at random */
	uint64_t random;
};

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
		struct span request = SPAN_LIT(REQUEST("1"));
		char text[REQUEST_BYTES];

		if (b->objects > 1)
			request = span_of(text, (size_t)snprintf(text, sizeof(text), REQUEST("%u"),
			                                         object_pick(b)));
		peer_request(&b->peers, &b->peers.peer[(first + i) % PEERS], request);
	}
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
	uint64_t before = b->peers.answers;
	double median;

	if (took == NULL)
		exit(1);
	for (uint32_t r = 0; r < rounds; r++) {
		requests_send(b, r * burst, burst);
		took[r] = path_round(&b->peers);
	}
	if (b->peers.answers - before != (uint64_t)rounds * burst)
		b->peers.bad = true;
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
	struct core *core = b->peers.rig.core;
	struct pkt pkts[NIC_BURST];
	struct conn *conn;
	uint32_t events;
	uint64_t t0, t1;
	unsigned n;

	core_tick(core, b->peers.rig.now_ns, b->peers.rig.wall_ns);
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
		b->peers.rig.now_ns += PEERS_STEP_NS;
		b->peers.rig.wall_ns += PEERS_STEP_NS;
		requests_send(b, r * NIC_BURST, NIC_BURST);
		staged_round(b, cycles);
	}
	for (uint32_t i = 0; i < STAGES; i++)
		report_add(rep, (double)cycles[i] / ((double)rounds * NIC_BURST),
		           "mean, with the cost of the look", "stage_%s_cycles", stage_names[i]);
}

static const char *const stage_modes[] = {"off", "sampled", "all"};

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
	st = peers_create(&b->peers, b->objects == 1 ? NULL : text);
	for (uint32_t i = 1; st == ST_OK && i <= b->objects; i++) {
		snprintf(key, sizeof(key), "api.test/item/%u", i);
		st = rig_hot_put(&b->peers.rig, key,
		                 "Content-Type: application/json\r\nCache-Control: max-age=3600\r\n"
		                 "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"65c0-1\"\r\n",
		                 span_of(body, sizeof(body)));
	}
	return st;
}

static const char about[] =
        "Cycles a cache hit costs from packet to packet, on the in-memory NIC: 100-byte object,\n"
        "keep-alive, 128 connections, bursts of 32; with the share of each stage.\n"
        "  --objects N     ask for N objects at random instead of for one\n"
        "  --stages MODE   off, sampled or all: the core's own stage counters (sampled)\n"
        "Instructions are counted by perf/instructions.";

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

static uint64_t median(uint64_t *took, uint32_t n)
{
	qsort(took, n, sizeof(*took), compare_u64);
	return n > 0 ? took[n / 2] : 0;
}

/* What the core's own stage counters cost: the modes take turns, round by round. Rounds that are
 * timed and others have a median each, or that of all would not see the timed ones. */
static void stages_cost(struct bench *b, uint32_t rounds, struct report *rep)
{
	enum { MODES = ARRAY_LEN(stage_modes) };
	const struct stages *stages = &b->peers.rig.core->stats->stages;
	uint64_t *took[MODES][2];
	uint32_t n[MODES][2] = {{0}};

	for (uint32_t i = 0; i < 2 * MODES; i++) {
		took[i / 2][i % 2] = calloc(rounds, sizeof(**took[0]));
		if (took[i / 2][i % 2] == NULL)
			exit(1);
	}
	for (uint32_t i = 0; i < rounds * MODES; i++) {
		/* Some rounds in one go, so that the gap between two that are timed is kept. */
		uint32_t mode = i / 64 % MODES;
		uint64_t timed = stages->timed_rounds, cycles;

		if (i % 64 == 0)
			stages_set_mode(&b->peers.rig.core->stages, (enum config_stages)mode);
		requests_send(b, i * NIC_BURST, NIC_BURST);
		cycles = path_round(&b->peers);
		timed = stages->timed_rounds - timed;
		if (n[mode][timed] < rounds)
			took[mode][timed][n[mode][timed]++] = cycles;
	}
	for (uint32_t m = 0; m < MODES; m++) {
		double sum = (double)median(took[m][0], n[m][0]) * n[m][0] +
		             (double)median(took[m][1], n[m][1]) * n[m][1];

		report_add(rep, sum / ((double)(n[m][0] + n[m][1]) * NIC_BURST),
		           "medians of alternating rounds", "stages_%s_cycles", stage_modes[m]);
		free(took[m][0]);
		free(took[m][1]);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = {.objects = 1, .random = 88172645463325252ull};
	struct report rep;
	int n = report_init(&rep, about, argc, argv);
	uint32_t rounds = rep.short_run ? 2000 : 50000;
	enum config_stages mode = CONFIG_STAGES_SAMPLED;

	for (int i = 0; i < n; i += 2) {
		const char *value = i + 1 < n ? rep.argv[i + 1] : "";

		if (strcmp(rep.argv[i], "--stages") == 0 && stages_parse(value, &mode))
			continue;
		if (strcmp(rep.argv[i], "--objects") == 0) {
			b.objects = (uint32_t)strtoul(value, NULL, 10);
			continue;
		}
		fprintf(stderr, "bench_hit: unknown option %s; see --help\n", rep.argv[i]);
		return 2;
	}
	if (b.objects == 0 || b.objects > MAX_OBJECTS || bench_create(&b) != ST_OK) {
		fprintf(stderr, "bench_hit: cannot set up\n");
		return 1;
	}
	stages_set_mode(&b.peers.rig.core->stages, mode);
	peers_open(&b.peers);
	run_whole(&b, rounds / 10 + 1, NIC_BURST);
	double cycles = run_whole(&b, rounds, NIC_BURST);

	report_add(&rep, cycles, "median; goal 700", "hit_cycles");
	report_add(&rep, cycles / clock_cycles_per_ns(), "", "hit_ns");
	report_add(&rep, run_whole(&b, rounds, 1), "a burst of one: latency, not rate",
	           "hit_alone_cycles");
	run_staged(&b, rounds, &rep);
	stages_cost(&b, rounds, &rep);
	report_add(&rep, (double)b.peers.bytes / (double)b.peers.answers, "head and body",
	           "answer_bytes");
	peers_destroy(&b.peers);
	if (b.peers.bad) {
		fprintf(stderr, "bench_hit: wrong or missing answers; no figure can be trusted\n");
		return 1;
	}
	report_print(&rep);
	free(rep.argv);
	return 0;
}
