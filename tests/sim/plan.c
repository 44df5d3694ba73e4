/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/plan.h"

uint8_t pattern_table[PATTERN_PERIOD + PATTERN_SPAN];

void pattern_init(void)
{
	struct rng rng = {4711};

	for (uint32_t i = 0; i < PATTERN_PERIOD; i++)
		pattern_table[i] = (uint8_t)rng_next(&rng);
	memcpy(pattern_table + PATTERN_PERIOD, pattern_table, PATTERN_SPAN);
}

/* Some lies at once, most often one. */
static uint32_t pick_some(struct rng *rng, uint32_t of)
{
	uint32_t some = 0;

	if (of == 0)
		return 0;
	for (uint32_t n = 1 + rng_below(rng, 3) * rng_below(rng, 2); n > 0; n--) {
		uint32_t bit;

		do {
			bit = 1u << rng_below(rng, 32);
		} while (!(bit & of));
		some |= bit;
	}
	return some;
}

void plan_make(struct plan *p, const struct scenario *sc, struct rng *rng)
{
	*p = (struct plan){.number = p->number, .port = p->port};
	p->seed = rng_next(rng);
	p->v6 = rng_chance(rng, sc->v6);
	p->peer = rng_chance(rng, sc->peers);
	p->honest = !(p->peer && sc->lies != 0 && rng_chance(rng, sc->liars));
	p->echo = rng_chance(rng, sc->echo);
	p->client_first = rng_below(rng, 2);
	p->up_total = rng_length(rng, sc->up_bytes);
	p->down_total = p->echo ? p->up_total : rng_length(rng, sc->down_bytes);
	p->up_at = rng_below(rng, PATTERN_PERIOD);
	p->down_at = p->echo ? p->up_at : rng_below(rng, PATTERN_PERIOD);
	p->client_slow = rng_chance(rng, sc->slow);
	p->server_slow = rng_chance(rng, sc->slow);
	p->client_abort = PLAN_NEVER;
	p->server_abort = PLAN_NEVER;
	if (rng_chance(rng, sc->aborted)) {
		bool server = rng_below(rng, 2);
		uint32_t at = rng_below(rng, (server ? p->up_total : p->down_total) + 1);

		*(server ? &p->server_abort : &p->client_abort) = at;
	}
	if (!p->honest)
		p->lies = pick_some(rng, sc->lies);
	if (p->peer && rng_chance(rng, sc->quirks))
		p->quirks = pick_some(rng, QUIRK_ALL);
}
