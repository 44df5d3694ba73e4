/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one connection of the tcp level is for, and the bytes that it carries: both ends and the
 * observer know it, so that each byte can be checked where it passes. */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include "tests/sim/rng.h"
#include "tests/sim/scenario.h"

#define PATTERN_PERIOD 131071u /* a prime, so that no shift by a power of two goes unseen */
#define PATTERN_SPAN   65536u  /* bytes that may be read from any place */

#define PLAN_NEVER UINT32_MAX

/* Lawful, but rare. */
enum plan_quirk {
	QUIRK_TINY = 1 << 0,      /* segments of a few bytes */
	QUIRK_SYN_DATA = 1 << 1,  /* data with the SYN */
	QUIRK_SMALL_WND = 1 << 2, /* a window of a few segments */
	QUIRK_NO_TS = 1 << 3,
	QUIRK_NO_SACK = 1 << 4,
	QUIRK_NO_WSCALE = 1 << 5,
	QUIRK_SMALL_MSS = 1 << 6,
	QUIRK_LATE_ACK = 1 << 7, /* delayed by 200 ms */
	QUIRK_URGENT = 1 << 8,
	QUIRK_ALL = (1 << 9) - 1,
};

struct plan {
	uint32_t number; /* of the run's connections */
	uint16_t port;   /* the client's */
	bool v6;
	bool peer;   /* the client is the tests' own TCP */
	bool honest; /* all bytes arrive, and the end is orderly unless someone aborts */
	bool echo;
	bool client_first; /* who sends FIN first; the other after it */
	bool client_slow;
	bool server_slow;
	uint32_t up_total;
	uint32_t down_total;
	uint32_t up_at; /* where in the pattern */
	uint32_t down_at;
	uint32_t client_abort; /* after so many bytes received, PLAN_NEVER */
	uint32_t server_abort;
	uint32_t lies;
	uint32_t quirks;
	uint64_t seed;
	const char *text; /* what the client sends, up_total bytes; NULL: the pattern */
};

void plan_make(struct plan *p, const struct scenario *sc, struct rng *rng);

/* Must be called once before pattern_at. */
void pattern_init(void);
extern uint8_t pattern_table[PATTERN_PERIOD + PATTERN_SPAN];

static inline const uint8_t *pattern_at(uint32_t start, uint32_t off)
{
	return pattern_table + ((uint64_t)start + off) % PATTERN_PERIOD;
}

/* What the client sends at off. */
static inline const uint8_t *plan_up(const struct plan *p, uint32_t off)
{
	return p->text != NULL ? (const uint8_t *)p->text + off : pattern_at(p->up_at, off);
}

#endif
