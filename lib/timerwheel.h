/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hierarchical timing wheel (Varghese and Lauck, 1987): set and cancel in constant time, no clock
 * of its own, no allocation. A timer fires at or after its deadline, at most one tick late.
 *
 * The owner embeds struct timer; a timer belongs to one wheel at a time. */
#ifndef LIB_TIMERWHEEL_H
#define LIB_TIMERWHEEL_H

#include "lib/base.h"

#define TIMERWHEEL_LEVELS    4u
#define TIMERWHEEL_SLOT_BITS 8u
#define TIMERWHEEL_SLOTS     (1u << TIMERWHEEL_SLOT_BITS)

struct timer {
	struct timer **prev_next; /* NULL when the timer is not set */
	uint64_t deadline_ns;
	struct timer *next; /* not needed to see that a timer need not be moved */
};

struct timerwheel {
	uint64_t tick_ns;    /* resolution, for example 1 ms */
	uint64_t now_tick;   /* every timer of an earlier tick has fired */
	uint64_t floor_tick; /* where a timer goes whose deadline has passed */
	uint32_t armed;      /* timers set */
	struct timer *due;   /* of now_tick, not fired yet */
	/* Of each higher level, the slot whose first tick has come: to be placed on lower ones. */
	struct timer *spreading[TIMERWHEEL_LEVELS];
	struct timer *slots[TIMERWHEEL_LEVELS][TIMERWHEEL_SLOTS];
};

typedef void (*timer_fn)(void *arg, struct timer *timer, uint64_t now_ns);

void timerwheel_init(struct timerwheel *w, uint64_t tick_ns, uint64_t now_ns);
/* (Re)arms. A deadline in the past fires at the next advance; one beyond the wheel's span (2^32
 * ticks) is kept in the last slot and placed again. */
void timer_set(struct timerwheel *w, struct timer *t, uint64_t deadline_ns);
void timer_cancel(struct timerwheel *w, struct timer *t);
/* Fires what is due, at most budget timers (0: no limit), oldest tick first; returns how many
 * fired. With a budget the work beside that is bounded too: where more than a few hundred timers
 * come nearer at once, that takes several calls, and the first of those may fire late and out of
 * order by as much. fn may set and cancel any
 * timer; one that it sets to the past over and over does not hold it up. */
uint32_t timerwheel_advance(struct timerwheel *w, uint64_t now_ns, uint32_t budget, timer_fn fn,
                            void *arg);
/* No timer fires before this time; UINT64_MAX when none is set. Advancing at this time fires one,
 * or brings a far one nearer. */
uint64_t timerwheel_next_ns(const struct timerwheel *w);

static inline bool timer_is_set(const struct timer *t)
{
	return t->prev_next != NULL;
}

#endif
