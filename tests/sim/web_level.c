/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs a scenario of the web level, and checks, when all is quiet, that nothing leaked and that the
 * counters add up. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "tests/sim/inside.h"
#include "tests/sim/rig_check.h"
#include "tests/sim/web_level.h"

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
                           "    large_buffers: %u\n"
                           "%s"
                           "    requests: 1024\n"
                           "    connections: 8192\n"
                           "tcp:\n"
                           "    segmentation_offload: 'on'\n"
                           "    time_wait_ms: 2000\n"
                           "    syn_retries: 12\n"
                           "timeouts:\n"
                           "    miss_ms: 8000\n"
                           "    miss_grace_ms: 1500\n" RIG_YAML_WORLD RIG_YAML_ROUTE;

static bool rig_make(struct sim *sim)
{
	char text[2048];

	snprintf(text, sizeof(text), yaml, sim->sc->large_buffers,
	         sim->sc->scarce ? memory_scarce : memory_ample);
	return rig_create(&sim->rig, text) == ST_OK;
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
	uint64_t jump_ns = faults_run(&sim->faults, sim->rig.now_ns);
	uint64_t next, dt;
	uint32_t pending;

	sim->rig.now_ns += jump_ns;
	sim->rig.wall_ns += jump_ns;
	cable_run(sim->cable, sim->rig.now_ns);
	next = min_u64(cable_next_ns(sim->cable), sim->faults.due_ns);
	clients_run(sim);
	next = min_u64(next, liars_run(sim));
	next = min_u64(next, control_run(sim));
	/* A core whose port takes nothing leaves what came in its ring. */
	do {
		pending = nic_sim_pending(sim->rig.server_nic);
		rig_step(&sim->rig, 0);
	} while (nic_sim_pending(sim->rig.server_nic) > 0 &&
	         nic_sim_pending(sim->rig.server_nic) < pending);
	dt = next > sim->rig.now_ns ? next - sim->rig.now_ns : 0;
	dt = max_u64(STEP_MIN_NS, min_u64(dt, STEP_MAX_NS));
	sim->rig.now_ns += dt;
	sim->rig.wall_ns += dt;
}

static void corrupted_check(struct sim *sim)
{
	uint64_t sum = inside_corrupt_drops(sim->rig.core->ctr);
	/* An answer whose Ethernet source was turned misleads the client; liars send what is
	 * dropped as if it were corrupted. */
	bool exact = sim->sc->down.corrupt_eth == 0 && sim->liars == NULL;
	if (sum < sim->caught_in || (exact && sum > sim->corrupted_in))
		sim_fail(sim, "%llu corrupted packets came, %llu were dropped as such",
		         (unsigned long long)sim->caught_in, (unsigned long long)sum);
}

/* All connections are done: whatever is left goes away by itself. */
static void quiet_check(struct sim *sim)
{
	const char *what;

	faults_stop(&sim->faults, sim->rig.now_ns);
	control_calm(sim);
	for (int i = 0; i < 300000 && !sim->run->failed && rig_leak(&sim->rig) != NULL; i++)
		step(sim);
	what = rig_leak(&sim->rig);
	if (what != NULL)
		sim_fail(sim, "leaked: %s", what);
	what = rig_counters_wrong(&sim->rig);
	if (what != NULL)
		sim_fail(sim, "counters do not add up: %s", what);
	corrupted_check(sim);
	if (!sim->run->failed)
		cache_happened(sim);
}

static void frame_sent(void *arg, struct rig *rig, bool to_server, const void *bytes, uint32_t len)
{
	struct sim *sim = arg;

	cable_send(sim->cable, to_server ? CABLE_UP : CABLE_DOWN, bytes, len, rig->now_ns);
}

static void frame_came(void *arg, const struct cable_frame *f)
{
	struct sim *sim = arg;

	if (f->dir == CABLE_UP && f->corrupted && !sim->faults.on[FAULT_link_down]) {
		sim->corrupted_in++;
		sim->caught_in += f->caught;
	}
	if (f->dir == CABLE_DOWN && f->bytes[5] == 3)
		liars_input(sim, f);
	else
		rig_deliver(&sim->rig, f->dir == CABLE_UP, f->bytes, f->len);
}

static bool cable_make(struct sim *sim)
{
	sim->cable = cable_create(sim->sc, sim->seed, frame_came, sim);
	if (sim->cable == NULL)
		return false;
	sim->rig.link = frame_sent;
	sim->rig.link_arg = sim;
	sim->faults = (struct faults){.sc = sim->sc,
	                              .cable = sim->cable,
	                              .nic = sim->rig.server_nic,
	                              .tcp = sim->rig.core->tcp,
	                              .rng = {mix64(sim->seed + 5)}};
	faults_start(&sim->faults, sim->rig.now_ns);
	return true;
}

static void results(struct sim *sim)
{
	const struct cable_stats *cs = cable_stats(sim->cable);
	struct run *run = sim->run;

	run->digest = cable_digest(sim->cable);
	run->conns = sim->stats.conns;
	run->completed = sim->stats.conns - sim->stats.cut - sim->stats.aborted;
	run->cut = sim->stats.cut + sim->stats.aborted;
	run->packets = cs->frames;
	run->bytes = sim->stats.body_bytes;
	run->lost = cs->lost + cs->queue_drops + cs->blocked;
	run->corrupted = cs->corrupted;
	run->resent = counter_read(sim->rig.core->ctr, CTR_tcp_rexmit);
	if (!run->failed)
		run->at_s = (double)sim->rig.now_ns / 1e9;
}

bool web_run(struct run *run)
{
	struct sim sim = {
	        .run = run,
	        .sc = &run->sc,
	        .seed = run->seed,
	        .conns_left = run->sc.conns,
	        .client_count = min_u32(run->sc.conns, run->sc.at_once),
	        .next_port = 1024,
	        .next_number = 1, /* 0: of liars, who say none */
	        .client_rng = {mix64(run->seed)},
	        .cache = {.rng = {mix64(run->seed + 6)}},
	};

	log_set_level(LOG_ERROR);
	entropy_seed(run->seed);
	sim.clients = calloc(sim.client_count, sizeof(sim.clients[0]));
	if (sim.clients == NULL || !rig_make(&sim) || !hot_preload(&sim) || !cable_make(&sim) ||
	    !control_create(&sim) || !liars_create(&sim)) {
		sim_fail(&sim, "no memory");
	} else {
		web_attach(&sim.rig);
		while (!run->failed && (sim.conns_left > 0 || sim.live > 0))
			step(&sim);
		if (!run->failed)
			quiet_check(&sim);
		results(&sim);
	}
	clients_destroy(&sim);
	liars_destroy(&sim);
	control_destroy(&sim);
	rig_destroy(&sim.rig);
	cable_destroy(sim.cable);
	return !run->failed;
}
