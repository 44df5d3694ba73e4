/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Level 0 has one slot a tick; a slot of level n covers 256^n ticks and is spread over the levels
 * below when its first tick comes. A timer's slot follows from the distance of its tick to now_tick
 * alone, so a level never holds two rounds at once.
 *
 * A million timers may share a slot (the idle times of a million connections do). So what spreads
 * and what is due stand in lists of their own, and a call with a budget does a part of either: half
 * of the budget at most goes to spreading, lest what is due wait for it. */
#include "lib/timerwheel.h"

#define SLOT_MASK     (TIMERWHEEL_SLOTS - 1)
#define SPREAD_A_CALL 384u /* with a budget: some 40 us when each is a cache miss or two */
#define SPAN_TICKS    (1ull << (TIMERWHEEL_LEVELS * TIMERWHEEL_SLOT_BITS))

static void list_push(struct timer **head, struct timer *t)
{
	t->next = *head;
	t->prev_next = head;
	if (t->next != NULL)
		t->next->prev_next = &t->next;
	*head = t;
}

static void list_remove(struct timer *t)
{
	*t->prev_next = t->next;
	if (t->next != NULL)
		t->next->prev_next = t->prev_next;
	t->prev_next = NULL;
}

static void list_move(struct timer **to, struct timer **from)
{
	*to = *from;
	*from = NULL;
	if (*to != NULL)
		(*to)->prev_next = to;
}

struct firing {
	uint64_t now_ns;
	uint32_t fired;
	uint32_t moved;
	uint32_t budget; /* 0: no limit */
	timer_fn fn;
	void *arg;
};

static bool budget_left(const struct firing *f)
{
	return f->budget == 0 || f->fired < f->budget;
}

/* The first tick at whose start the deadline has come. */
static uint64_t tick_of_deadline(const struct timerwheel *w, uint64_t deadline_ns)
{
	return deadline_ns / w->tick_ns + (deadline_ns % w->tick_ns != 0);
}

static void place(struct timerwheel *w, struct timer *t)
{
	uint64_t tick = tick_of_deadline(w, t->deadline_ns);
	if (tick <= w->now_tick)
		tick = w->floor_tick;
	uint64_t distance = min_u64(tick - w->now_tick, SPAN_TICKS - 1);
	uint32_t level = 0;

	tick = w->now_tick + distance;
	while (distance >> ((level + 1) * TIMERWHEEL_SLOT_BITS) != 0)
		level++;
	list_push(&w->slots[level][(tick >> (level * TIMERWHEEL_SLOT_BITS)) & SLOT_MASK], t);
}

void timerwheel_init(struct timerwheel *w, uint64_t tick_ns, uint64_t now_ns)
{
	assert(tick_ns > 0);
	*w = (struct timerwheel){.tick_ns = tick_ns, .now_tick = now_ns / tick_ns};
	w->floor_tick = w->now_tick;
}

void timer_set(struct timerwheel *w, struct timer *t, uint64_t deadline_ns)
{
	if (timer_is_set(t))
		list_remove(t);
	else
		w->armed++;
	t->deadline_ns = deadline_ns;
	place(w, t);
}

void timer_cancel(struct timerwheel *w, struct timer *t)
{
	if (!timer_is_set(t))
		return;
	list_remove(t);
	w->armed--;
}

/* Makes tick the present one. It is the first of a slot on every level up to the highest whose bits
 * below are zero; what is in these slots spreads. False, and nothing changes, while a level still
 * spreads its slot before. */
static bool tick_begin(struct timerwheel *w, uint64_t tick)
{
	uint32_t levels = 1;

	while (levels < TIMERWHEEL_LEVELS &&
	       (tick & ((1ull << (levels * TIMERWHEEL_SLOT_BITS)) - 1)) == 0)
		if (w->spreading[levels++] != NULL)
			return false;
	w->now_tick = tick;
	w->floor_tick = tick;
	for (uint32_t level = 1; level < levels; level++)
		list_move(&w->spreading[level],
		          &w->slots[level][(tick >> (level * TIMERWHEEL_SLOT_BITS)) & SLOT_MASK]);
	return true;
}

static void spread(struct timerwheel *w, struct firing *f)
{
	for (uint32_t level = 1; level < TIMERWHEEL_LEVELS; level++) {
		struct timer **list = &w->spreading[level];

		while (*list != NULL && (f->budget == 0 || f->moved < SPREAD_A_CALL)) {
			struct timer *t = *list;
			list_remove(t);
			place(w, t);
			f->moved++;
		}
	}
}

static bool is_busy(const struct timerwheel *w)
{
	bool busy = w->due != NULL;

	for (uint32_t level = 1; level < TIMERWHEEL_LEVELS; level++)
		busy |= w->spreading[level] != NULL;
	return busy;
}

/* The first tick from now_tick on at which a slot fires or spreads; UINT64_MAX: none. Slots of the
 * higher levels begin at multiples of their width, so that what a lower level has before the next
 * multiple is first of all. */
UNTRACED static uint64_t next_slot_tick(const struct timerwheel *w)
{
	uint64_t first = UINT64_MAX;

	if (w->armed == 0)
		return first;
	for (uint32_t level = 0; level < TIMERWHEEL_LEVELS; level++) {
		uint32_t shift = level * TIMERWHEEL_SLOT_BITS;
		uint64_t now = w->now_tick >> shift;
		/* The present slot of a higher level has spread already; what is in it is a round
		 * away. */
		uint64_t from = level == 0 ? now : now + 1;
		if (first <= from << shift)
			return first;
		for (uint64_t i = from; i < from + TIMERWHEEL_SLOTS; i++) {
			if (w->slots[level][i & SLOT_MASK] != NULL) {
				first = min_u64(first, i << shift);
				break;
			}
		}
	}
	return first;
}

/* False when the budget ends before the list does. */
static bool fire_due(struct timerwheel *w, struct firing *f)
{
	while (w->due != NULL && budget_left(f)) {
		struct timer *t = w->due;
		list_remove(t);
		w->armed--;
		f->fired++;
		f->fn(f->arg, t, f->now_ns);
	}
	return w->due == NULL;
}

static bool fire(struct timerwheel *w, struct firing *f)
{
	struct timer **slot = &w->slots[0][w->now_tick & SLOT_MASK];

	if (!fire_due(w, f))
		return false;
	/* Off its slot, so that a timer which its callback sets to the past waits for the next
	 * time. */
	list_move(&w->due, slot);
	return fire_due(w, f);
}

uint32_t timerwheel_advance(struct timerwheel *w, uint64_t now_ns, uint32_t budget, timer_fn fn,
                            void *arg)
{
	struct firing f = {.now_ns = now_ns, .budget = budget, .fn = fn, .arg = arg};
	uint64_t target = w->now_tick;

	/* Most calls come within the same tick: no division for them. */
	if (now_ns >= (w->now_tick + 1) * w->tick_ns)
		target = now_ns / w->tick_ns;
	else if (w->slots[0][w->now_tick & SLOT_MASK] == NULL && !is_busy(w))
		return 0;
	for (;;) {
		spread(w, &f);
		w->floor_tick = target;
		bool done = fire(w, &f);
		w->floor_tick = w->now_tick;
		if (!done || w->now_tick == target)
			break;
		if (!tick_begin(w, min_u64(next_slot_tick(w), target)))
			break;
	}
	return f.fired;
}

uint64_t timerwheel_next_ns(const struct timerwheel *w)
{
	uint64_t tick = is_busy(w) ? w->now_tick : next_slot_tick(w);

	return tick > UINT64_MAX / w->tick_ns ? UINT64_MAX : tick * w->tick_ns;
}
