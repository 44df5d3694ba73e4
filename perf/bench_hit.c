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
static const char request[] = "GET /item/1 HTTP/1.1\r\nHost: api.test\r\n\r\n";

static void requests_send(struct peers *b, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		peer_request(b, &b->peer[(first + i) % PEERS],
		             span_of(request, sizeof(request) - 1));
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median cycles a request over rounds of one burst. */
static double run_whole(struct peers *b, uint32_t rounds, uint32_t burst)
{
	uint64_t *took = calloc(rounds, sizeof(*took));
	uint64_t before = b->answers;
	double median;

	if (took == NULL)
		exit(1);
	for (uint32_t r = 0; r < rounds; r++) {
		requests_send(b, r * burst, burst);
		took[r] = path_round(b);
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
static void staged_round(struct peers *b, uint64_t cycles[STAGES])
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
		req_run(core, conn, events);
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

static void run_staged(struct peers *b, uint32_t rounds, struct report *rep)
{
	uint64_t cycles[STAGES] = {0};

	for (uint32_t r = 0; r < rounds; r++) {
		b->rig.now_ns += PEERS_STEP_NS;
		b->rig.wall_ns += PEERS_STEP_NS;
		requests_send(b, r * NIC_BURST, NIC_BURST);
		staged_round(b, cycles);
	}
	for (uint32_t i = 0; i < STAGES; i++)
		report_add(rep, (double)cycles[i] / ((double)rounds * NIC_BURST),
		           "mean, with the cost of the look", "stage_%s_cycles", stage_names[i]);
}

static const char *const stage_modes[] = {"off", "sampled", "all"};

static const char about[] =
        "Cycles a cache hit costs from packet to packet, on the in-memory NIC: 100-byte object,\n"
        "keep-alive, 128 connections, bursts of 32; with the share of each stage.\n"
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
static void stages_cost(struct peers *b, uint32_t rounds, struct report *rep)
{
	enum { MODES = ARRAY_LEN(stage_modes) };
	const struct stages *stages = &b->rig.core->stats->stages;
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
			stages_set_mode(&b->rig.core->stages, (enum config_stages)mode);
		requests_send(b, i * NIC_BURST, NIC_BURST);
		cycles = path_round(b);
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
	static struct peers b;
	struct report rep;
	int n = report_init(&rep, about, argc, argv);
	uint32_t rounds = rep.short_run ? 2000 : 50000;
	enum config_stages mode = CONFIG_STAGES_SAMPLED;
	char body[100];

	for (int i = 0; i < n; i++) {
		if (strcmp(rep.argv[i], "--stages") == 0 && i + 1 < n &&
		    stages_parse(rep.argv[i + 1], &mode)) {
			i++;
			continue;
		}
		fprintf(stderr, "bench_hit: unknown option %s; see --help\n", rep.argv[i]);
		return 2;
	}
	memset(body, 'x', sizeof(body));
	if (peers_create(&b) != ST_OK ||
	    rig_hot_put(&b.rig, "api.test/item/1",
	                "Content-Type: application/json\r\nCache-Control: max-age=3600\r\n"
	                "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"65c0-1\"\r\n",
	                span_of(body, sizeof(body))) != ST_OK) {
		fprintf(stderr, "bench_hit: cannot set up\n");
		return 1;
	}
	stages_set_mode(&b.rig.core->stages, mode);
	peers_open(&b);
	run_whole(&b, rounds / 10 + 1, NIC_BURST);
	double cycles = run_whole(&b, rounds, NIC_BURST);

	report_add(&rep, cycles, "median; goal 700", "hit_cycles");
	report_add(&rep, cycles / clock_cycles_per_ns(), "", "hit_ns");
	report_add(&rep, run_whole(&b, rounds, 1), "a burst of one: latency, not rate",
	           "hit_alone_cycles");
	run_staged(&b, rounds, &rep);
	stages_cost(&b, rounds, &rep);
	report_add(&rep, (double)b.bytes / (double)b.answers, "head and body", "answer_bytes");
	peers_destroy(&b);
	if (b.bad) {
		fprintf(stderr, "bench_hit: wrong or missing answers; no figure can be trusted\n");
		return 1;
	}
	report_print(&rep);
	free(rep.argv);
	return 0;
}
