/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A scenario drawn from a seed, for soaks: every knob that a scenario has, in values that leave the
 * honest a chance. */
#include "tests/sim/rng.h"
#include "tests/sim/scenario.h"

#define WEB_CONNS 400u
#define TCP_CONNS 4000u

/* 0 most of the time, else up to max. */
static uint32_t some(struct rng *r, uint32_t max)
{
	return rng_below(r, 3) == 0 ? rng_below(r, max + 1) : 0;
}

static void link_random(struct rng *r, struct link_conf *l)
{
	l->delay_ns = 10 * NS_PER_US + rng_length(r, 100 * 1000) * NS_PER_US;
	l->jitter_ns = some(r, 20000) * NS_PER_US;
	if (rng_below(r, 4) == 0)
		l->rate_bps = 10000000ull + rng_below64(r, 2000000000ull);
	l->queue_bytes = 20000 + rng_below(r, 400000);
	l->red = some(r, 100000);
	l->mark = some(r, 200000);
	l->loss = some(r, 50000);
	l->burst_enter = some(r, 10000);
	l->burst_leave = 100000 + rng_below(r, 800000);
	l->burst_loss = rng_below(r, 900000);
	l->reorder = some(r, 100000);
	l->duplicate = some(r, 50000);
	l->corrupt = some(r, 20000);
	l->corrupt_eth = some(r, 2000);
}

static void faults_random(struct rng *r, struct scenario *sc)
{
	sc->fault_count = rng_below(r, 4);
	for (uint32_t i = 0; i < sc->fault_count; i++) {
		struct scenario_fault *f = &sc->faults[i];

		/* small_mtu asks for path MTU discovery; control_dead is of the web level. */
		f->kind = rng_below(r, FAULT_small_mtu);
		f->at_ns = rng_below64(r, 2000) * NS_PER_MS;
		f->for_ns = (1 + rng_length(r, 3000)) * NS_PER_MS;
		f->every_ns = rng_below(r, 2) * (100 + rng_below64(r, 5000)) * NS_PER_MS;
		if (f->every_ns > 0)
			f->for_ns = min_u64(f->for_ns, f->every_ns / 4);
	}
	if (rng_below(r, 2))
		sc->faults_end_ns = NS_PER_S + rng_below64(r, 20) * NS_PER_S;
}

static void tcp_random(struct rng *r, struct scenario *sc)
{
	sc->conns = TCP_CONNS;
	sc->at_once = 1u << rng_below(r, 10);
	sc->v6 = rng_below(r, 1000001);
	sc->peers = rng_below(r, 1000001);
	sc->liars = some(r, 900000);
	sc->quirks = some(r, 900000);
	sc->echo = some(r, 500000);
	sc->aborted = some(r, 100000);
	sc->slow = some(r, 100000);
	sc->up_bytes = rng_length(r, 200000);
	sc->down_bytes = rng_length(r, 200000);
	sc->offload = rng_below(r, 2);
	sc->ecn = rng_below(r, 2);
	if (sc->at_once >= 32 && rng_below(r, 8) == 0)
		sc->flood = rng_below(r, 2000);
	if (rng_below(r, 4) == 0)
		sc->rx_bufs = 1 + rng_below(r, 64);
	if (rng_below(r, 4) == 0)
		sc->rx_buf_bytes = 4096u << rng_below(r, 6);
	if (rng_below(r, 4) == 0)
		sc->tx_chunks = 64 + rng_below(r, 512);
	if (rng_below(r, 4) == 0)
		sc->tx_refs = 64 + rng_below(r, 512);
	if (rng_below(r, 4) == 0)
		sc->packets = 256 + rng_below(r, 1024);
	if (rng_below(r, 8) == 0)
		sc->max_conns = sc->at_once + 16;
	if (rng_below(r, 8) == 0)
		sc->syn_backlog = 1 + rng_below(r, 64);
	sc->idle_ns = 1800 * NS_PER_S;
	sc->stuck_ns = 1500 * NS_PER_S; /* some five timeouts in a row may be lost */
}

static void web_random(struct rng *r, struct scenario *sc)
{
	sc->level = LEVEL_WEB;
	/* A client that only waits would not notice for a minute that its answers go astray. */
	sc->up.corrupt_eth = 0;
	sc->down.corrupt_eth = 0;
	sc->conns = WEB_CONNS;
	sc->at_once = 128;
	sc->fail = some(r, 50000);
	sc->broken = some(r, 50000);
	sc->silent = some(r, 2000);
	sc->early = some(r, 100000);
	sc->away_ns = some(r, 1000) * NS_PER_MS;
	sc->purge_ns = some(r, 100) * NS_PER_MS;
	sc->client_abort = some(r, 200000);
	sc->client_half = some(r, 300000);
	sc->client_slow = some(r, 200000);
	sc->pipelined = rng_below(r, 1000001);
	sc->scarce = rng_below(r, 4) == 0;
	sc->liars = some(r, 300000);
}

void scenario_random(struct scenario *sc, uint64_t seed)
{
	struct rng r = {mix64(seed ^ 0x5ce9a)};
	/* Of its own, so that the rest of a seed's scenario does not depend on it. */
	struct rng cut = {mix64(seed ^ 0xc07)};

	scenario_default(sc);
	snprintf(sc->name, sizeof(sc->name), "random");
	if (rng_below(&cut, 2) == 0)
		sc->large_buffers = rng_below(&cut, 2) == 0 ? 1 + rng_below(&cut, 4) : 256;
	link_random(&r, &sc->up);
	link_random(&r, &sc->down);
	if (rng_below(&r, 8) == 0) {
		web_random(&r, sc);
		return;
	}
	tcp_random(&r, sc);
	faults_random(&r, sc);
}
