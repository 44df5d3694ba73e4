/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/stages.h"

#include "lib/clock.h"

void stages_init(struct stage_clock *c, struct stages *out, uint32_t cpu)
{
	*c = (struct stage_clock){.out = out, .random = 2463534242u + cpu};
	__atomic_store_n(&out->cpu, cpu, __ATOMIC_RELAXED);
	stage_store(&out->started_cycles, clock_cycles());
	stages_set_mode(c, CONFIG_STAGES_OFF);
}

void stages_set_mode(struct stage_clock *c, enum config_stages mode)
{
	c->mode = mode;
	c->level = mode == CONFIG_STAGES_OFF ? STAGES_NOT : STAGES_COUNTED;
	c->gap = 1;
	__atomic_store_n(&c->out->mode, (uint32_t)mode, __ATOMIC_RELAXED);
}

/* Marsaglia's xorshift (2003): good enough to be out of step with anything. */
static uint32_t gap_next(struct stage_clock *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 17;
	c->random ^= c->random << 5;
	return 1 + c->random % (2 * STAGES_GAP_MEAN - 1);
}

/* This round is timed, or the mode has no such rounds. */
NOINLINE void stages_gap_over(struct stage_clock *c)
{
	if (c->mode == CONFIG_STAGES_OFF) {
		c->gap = UINT32_MAX;
		return;
	}
	c->gap = c->mode == CONFIG_STAGES_ALL ? 1 : gap_next(c);
	c->level = STAGES_TIMED;
	memset(c->laps, 0, sizeof(c->laps));
	c->mark_cycles = clock_cycles();
}

NOINLINE void stages_lap(struct stage_clock *c, enum stage_id id, uint32_t items)
{
	struct stage_lap *lap = &c->laps[id];
	uint64_t now = clock_cycles();
	uint64_t took = now - c->mark_cycles;

	c->mark_cycles = now;
	lap->calls += items > 0;
	lap->items += items;
	lap->cycles += took;
	lap->max_cycles = max_u64(lap->max_cycles, took);
}

static void peaks_next(struct stage_clock *c, uint64_t now_ns)
{
	c->peak_end_ns = now_ns + NS_PER_S;
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		struct stage_stats *s = &c->out->stage[i];

		stage_store(&s->last_peak_cycles, s->peak_cycles);
		stage_store(&s->peak_cycles, 0);
	}
}

/* The cycles of a round that found nothing are thrown away: they are the price of polling, and no
 * stage's. */
NOINLINE void stages_publish(struct stage_clock *c, uint64_t now_ns)
{
	c->level = STAGES_COUNTED;
	if (now_ns >= c->peak_end_ns)
		peaks_next(c, now_ns);
	if (!c->worked)
		return;
	stage_store(&c->out->timed_rounds, c->out->timed_rounds + 1);
	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		struct stage_stats *s = &c->out->stage[i];
		const struct stage_lap *lap = &c->laps[i];

		stage_store(&s->timed_calls, s->timed_calls + lap->calls);
		stage_store(&s->timed_items, s->timed_items + lap->items);
		stage_store(&s->timed_cycles, s->timed_cycles + lap->cycles);
		if (lap->max_cycles > s->max_cycles)
			stage_store(&s->max_cycles, lap->max_cycles);
		if (lap->max_cycles > s->peak_cycles)
			stage_store(&s->peak_cycles, lap->max_cycles);
	}
}
