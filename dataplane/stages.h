/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A core's stop watch: what each stage of a round did and cost, for lib/stages.h. Called by
 * core_round and what it calls, and by nobody else; no decision of the core may depend on it, since
 * it reads the TSC, which a simulation does not own.
 *
 * A mark stands at the end of a stage's work: it counts the stage's items and, in a round that is
 * timed, takes the cycles since the mark before it. Only some rounds are timed (params.def,
 * stages), so that the others cost a few additions each. */
#ifndef DATAPLANE_STAGES_H
#define DATAPLANE_STAGES_H

#include "lib/config.h"
#include "lib/stages.h"

/* Rounds from one that is timed to the next, on average; the distance varies, lest it beat with the
 * traffic. */
#define STAGES_GAP_MEAN 16u

enum stages_level { STAGES_NOT, STAGES_COUNTED, STAGES_TIMED };

struct stage_clock {
	struct stages *out;
	enum stages_level level; /* of this round */
	uint32_t gap;            /* rounds to the next that is timed */
	bool worked;             /* a stage of this round had an item */
	enum config_stages mode;
	uint32_t random;
	uint64_t mark_cycles; /* TSC at the last mark of a timed round */
	uint64_t peak_end_ns; /* when the second of the peaks ends */
	struct stage_lap {    /* of this round, when it is timed */
		uint64_t calls;
		uint64_t items;
		uint64_t cycles;
		uint64_t max_cycles;
	} laps[STAGE_COUNT];
};

/* out: zeroed memory that outlives the clock. cpu is what readers are told. */
void stages_init(struct stage_clock *c, struct stages *out, uint32_t cpu);
/* Ends the timing of the round that runs. */
void stages_set_mode(struct stage_clock *c, enum config_stages mode);

/* The rare parts. */
void stages_gap_over(struct stage_clock *c);
void stages_lap(struct stage_clock *c, enum stage_id id, uint32_t items);
void stages_publish(struct stage_clock *c, uint64_t now_ns);

static inline void stages_begin(struct stage_clock *c)
{
	if (unlikely(--c->gap == 0))
		stages_gap_over(c);
}

static inline void stage_mark(struct stage_clock *c, enum stage_id id, uint32_t items)
{
	struct stage_stats *s = &c->out->stage[id];

	if (items > 0 && likely(c->level != STAGES_NOT)) {
		stage_store(&s->calls, s->calls + 1);
		stage_store(&s->items, s->items + items);
		c->worked = true;
	}
	if (unlikely(c->level == STAGES_TIMED))
		stages_lap(c, id, items);
}

/* packets: at least 1. */
static inline void stages_burst(struct stage_clock *c, uint32_t packets)
{
	uint64_t *b = &c->out->burst[stage_burst_index(packets)];

	if (likely(c->level != STAGES_NOT))
		stage_store(b, *b + 1);
}

static inline void stages_end(struct stage_clock *c, uint64_t now_ns)
{
	if (c->worked)
		stage_store(&c->out->rounds, c->out->rounds + 1);
	if (unlikely(c->level == STAGES_TIMED))
		stages_publish(c, now_ns);
	c->worked = false;
}

#endif
