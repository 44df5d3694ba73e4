/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs scenarios and checks, when all is quiet, that nothing leaked and that the counters add up.
 */
#include "tests/sim/sim.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "tests/sim/rig_check.h"

#define STEP_MIN_NS (50 * NS_PER_US)
#define STEP_MAX_NS (1 * NS_PER_MS)

static const char memory_ample[] = "    up_blocks: 512\n    down_blocks: 512\n"
                                   "limits:\n    rx_buffers: 512\n";
static const char memory_scarce[] = "    channel_ring_entries: 64\n    up_blocks: 40\n"
                                    "    down_blocks: 48\n"
                                    "limits:\n    rx_buffers: 40\n    tx_queue_bytes: 16384\n";

static const char yaml[] = "node: sim\n"
                           "log_level: error\n"
                           "memory:\n"
                           "    huge_pages: 'off'\n"
                           "    hot_table_bytes: 4194304\n"
                           "%s"
                           "    requests: 1024\n"
                           "    connections: 8192\n"
                           "tcp:\n"
                           "    time_wait_ms: 2000\n"
                           "    syn_retries: 12\n"
                           "timeouts:\n"
                           "    miss_ms: 8000\n"
                           "    miss_grace_ms: 1500\n"
                           "listeners:\n"
                           "    - address: " RIG_SERVER "\n"
                           "ports:\n"
                           "    - type: tap\n"
                           "      interface: unused\n"
                           "upstreams:\n"
                           "    - name: origin\n"
                           "      addresses: ['127.0.0.1:1']\n"
                           "routes:\n"
                           "    - path: /*\n"
                           "      upstream: origin\n";

static const struct sim_mix mixes[] = {
        {.name = "clean", .delay_us = 500, .pipelined = 3000, .client_half = 1000},
        {.name = "loss", .delay_us = 2000, .jitter_us = 200, .loss = 200, .pipelined = 3000},
        {.name = "reorder",
         .delay_us = 2000,
         .jitter_us = 2000,
         .reorder = 1000,
         .dup = 300,
         .pipelined = 3000},
        {.name = "corrupt", .delay_us = 1000, .corrupt = 300, .loss = 50, .pipelined = 3000},
        {.name = "control",
         .delay_us = 500,
         .fail = 300,
         .broken = 300,
         .silent = 20,
         .early = 1000,
         .away_ms = 400,
         .purge_ms = 20,
         .pipelined = 3000},
        {.name = "clients",
         .delay_us = 1000,
         .client_abort = 3000,
         .client_half = 3000,
         .client_slow = 3000,
         .pipelined = 6000,
         .purge_ms = 20},
        {.name = "scarce",
         .delay_us = 1000,
         .jitter_us = 200,
         .loss = 50,
         .purge_ms = 50,
         .client_abort = 500,
         .client_slow = 2000,
         .pipelined = 5000,
         .scarce = true},
        {.name = "chaos",
         .delay_us = 2000,
         .jitter_us = 1000,
         .loss = 400,
         .dup = 200,
         .reorder = 300,
         .corrupt = 200,
         .fail = 200,
         .broken = 200,
         .silent = 10,
         .early = 500,
         .away_ms = 1000,
         .purge_ms = 50,
         .client_abort = 1000,
         .client_half = 1500,
         .client_slow = 1000,
         .pipelined = 4000},
};

static bool rig_make(struct sim *sim)
{
	char text[2048];

	snprintf(text, sizeof(text), yaml, sim->mix->scarce ? memory_scarce : memory_ample);
	return rig_create(&sim->rig, text) == ST_OK;
}

void sim_fail(struct sim *sim, const char *form, ...)
{
	va_list args;

	if (sim->failed)
		return;
	sim->failed = true;
	printf("FAILED %s, seed %llu, at %.6f s: ", sim->mix->name, (unsigned long long)sim->seed,
	       (double)sim->rig.now_ns / 1e9);
	va_start(args, form);
	vprintf(form, args);
	va_end(args);
	printf("\n");
}

size_t sim_body_len(enum sim_kind kind, uint32_t id)
{
	uint64_t h = mix64(kind * 1000ull + id);

	if (h % 100 < 70)
		return h / 100 % 3000;
	return h % 100 < 95 ? h / 100 % 40000 : h / 100 % SIM_BODY_MAX;
}

void sim_body(enum sim_kind kind, uint32_t id, uint32_t version, char *to, size_t off, size_t len)
{
	uint64_t seed = mix64(kind * 1000003ull + id * 7919ull + version);

	for (size_t i = 0; i < len;) {
		uint64_t word = mix64(seed + (off + i) / 8);
		size_t in = (off + i) % 8;
		size_t n = min_size(8 - in, len - i);

		memcpy(to + i, (char *)&word + in, n);
		i += n;
	}
}

/* Of bytes one by one, so that it does not matter how they were cut. */
uint64_t sim_sum(uint64_t sum, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * 1099511628211ull;
	return sum;
}

static bool hot_preload(struct sim *sim)
{
	static char body[SIM_BODY_MAX];

	for (uint32_t id = 0; id < SIM_IDS; id++) {
		size_t len = sim_body_len(KIND_HOT, id);
		char key[32], fields[64];

		if (len > sim->rig.config->limits.object_bytes)
			continue;
		snprintf(key, sizeof(key), "sim/h/%u", id);
		snprintf(fields, sizeof(fields), "X-V: 0\r\nX-Id: %u-%u\r\n", KIND_HOT, id);
		sim_body(KIND_HOT, id, 0, body, 0, len);
		if (rig_hot_put(&sim->rig, key, fields, span_of(body, len)) != ST_OK)
			return false;
	}
	return true;
}

/* One step of the world. */
static void step(struct sim *sim)
{
	uint64_t next = link_run(sim);
	uint64_t dt;

	clients_run(sim);
	next = min_u64(next, control_run(sim));
	do {
		rig_step(&sim->rig, 0);
	} while (nic_sim_pending(sim->rig.server_nic) > 0);
	dt = next > sim->rig.now_ns ? next - sim->rig.now_ns : 0;
	dt = max_u64(STEP_MIN_NS, min_u64(dt, STEP_MAX_NS));
	sim->rig.now_ns += dt;
	sim->rig.wall_ns += dt;
}

static void corrupted_check(struct sim *sim)
{
	static const enum counter_id ids[] = {
	        CTR_drop_runt,    CTR_drop_ethertype,   CTR_drop_not_ours,   CTR_drop_ip_header,
	        CTR_drop_ip_csum, CTR_drop_ip_fragment, CTR_drop_ip_options, CTR_drop_ip_proto,
	        CTR_drop_icmp,    CTR_drop_tcp_header,  CTR_drop_tcp_csum,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		sum += counter_read(sim->rig.core->ctr, ids[i]);
	if (sum != sim->stats.corrupted_in)
		sim_fail(sim, "%llu corrupted packets came, %llu were dropped as such",
		         (unsigned long long)sim->stats.corrupted_in, (unsigned long long)sum);
}

/* All connections are done: whatever is left goes away by itself. */
static void quiet_check(struct sim *sim)
{
	const char *what;

	control_calm(sim);
	for (int i = 0; i < 300000 && !sim->failed && rig_leak(&sim->rig) != NULL; i++)
		step(sim);
	what = rig_leak(&sim->rig);
	if (what != NULL)
		sim_fail(sim, "leaked: %s", what);
	what = rig_counters_wrong(&sim->rig);
	if (what != NULL)
		sim_fail(sim, "counters do not add up: %s", what);
	corrupted_check(sim);
}

static void report(const struct sim *sim, uint64_t took_ns)
{
	const struct sim_stats *s = &sim->stats;
	const struct counters *c = sim->rig.core->ctr;

	printf("%-8s seed %-6llu %6llu conns %6llu requests %6llu answers (%llu hits, %llu errors, "
	       "%llu "
	       "cut) %8llu frames (%llu lost, %llu twice, %llu late, %llu corrupt) %llu resent, "
	       "%llu "
	       "deaths, %llu purges; %.1f s in %.2f s, %.0f frames/s\n",
	       sim->mix->name, (unsigned long long)sim->seed, (unsigned long long)s->conns,
	       (unsigned long long)s->requests, (unsigned long long)s->answers,
	       (unsigned long long)counter_read(c, CTR_cache_hit), (unsigned long long)s->errors,
	       (unsigned long long)s->cut, (unsigned long long)s->frames,
	       (unsigned long long)s->lost, (unsigned long long)s->duplicated,
	       (unsigned long long)s->reordered, (unsigned long long)s->corrupted,
	       (unsigned long long)counter_read(c, CTR_tcp_rexmit), (unsigned long long)s->deaths,
	       (unsigned long long)s->purges, (double)sim->rig.now_ns / 1e9, (double)took_ns / 1e9,
	       (double)s->frames / ((double)took_ns / 1e9));
	fflush(stdout);
}

static bool run(const struct sim_mix *mix, uint64_t seed, uint32_t conns)
{
	struct sim sim = {
	        .mix = mix,
	        .seed = seed,
	        .conns_left = conns,
	        .client_count = min_u32(conns, 128),
	        .next_port = 1024,
	        .client_rng = {mix64(seed)},
	};
	uint64_t start_ns = clock_mono_ns();

	log_set_level(LOG_ERROR);
	sim.clients = calloc(sim.client_count, sizeof(sim.clients[0]));
	if (sim.clients == NULL || !rig_make(&sim) || !hot_preload(&sim) || !link_create(&sim) ||
	    !control_create(&sim)) {
		sim_fail(&sim, "no memory");
	} else {
		web_attach(&sim.rig);
		while (!sim.failed && (sim.conns_left > 0 || sim.live > 0))
			step(&sim);
		if (!sim.failed)
			quiet_check(&sim);
		report(&sim, clock_mono_ns() - start_ns);
	}
	clients_destroy(&sim);
	control_destroy(&sim);
	rig_destroy(&sim.rig);
	link_destroy(&sim);
	return !sim.failed;
}

static const char usage[] =
        "sim [--seed N] [--conns N] [--scenario NAME|all] [--list]\n"
        "Runs the core against bad links, clients and a bad control; deterministic from the seed.\n"
        "  --seed N      first seed (1)\n"
        "  --conns N     connections of all scenarios together (40000; with SLUICE_SIM_SHORT=1: "
        "1000)\n"
        "  --scenario S  one scenario, or all (each with two seeds)\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"seed", required_argument, NULL, 's'},     {"conns", required_argument, NULL, 'c'},
	        {"scenario", required_argument, NULL, 'n'}, {"list", no_argument, NULL, 'l'},
	        {"help", no_argument, NULL, 'h'},           {0}};
	const char *name = "all";
	uint64_t seed = 1;
	uint32_t conns = getenv("SLUICE_SIM_SHORT") != NULL ? 1000 : 40000;
	bool ok = true, any = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (opt == 'c')
			conns = (uint32_t)strtoul(optarg, NULL, 10);
		else if (opt == 'n')
			name = optarg;
		else if (opt == 'l')
			for (size_t i = 0; i < ARRAY_LEN(mixes); i++)
				printf("%s\n", mixes[i].name);
		if (opt == 'l' || opt == 'h' || opt == '?') {
			if (opt != 'l')
				printf("%s", usage);
			return opt == '?' ? 2 : 0;
		}
	}
	bool all = strcmp(name, "all") == 0;
	printf("seed %llu, scenario %s, %u connections\n", (unsigned long long)seed, name, conns);
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_LEN(mixes); i++) {
		if (!all && strcmp(name, mixes[i].name) != 0)
			continue;
		any = true;
		uint32_t each = all ? (conns + 15) / 16 : conns;
		ok = run(&mixes[i], seed, each) && ok;
		if (all)
			ok = run(&mixes[i], seed + 1000, each) && ok;
	}
	if (!any) {
		fprintf(stderr, "sim: no scenario %s\n", name);
		return 2;
	}
	printf("%s\n", ok ? "ok" : "FAILED");
	return ok ? 0 : 1;
}
