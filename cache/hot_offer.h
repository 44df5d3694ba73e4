/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A bounded queue that all cores put into and one takes from, without a lock (after D. Vyukov's
 * bounded queue): each cell tells by a number whether it is free for the position that wants it.
 * Used by hot_share.c alone. */
#ifndef CACHE_HOT_OFFER_H
#define CACHE_HOT_OFFER_H

#include "lib/base.h"
#include "lib/hash.h"

struct hot_offer {
	struct hash128 hash;
	uint32_t place; /* hot_place_of */
	uint16_t core;  /* that has it */
	bool l0;        /* in its L0, not in its own table */
};

struct hot_offer_cell {
	uint64_t turn; /* position: free for it; position + 1: holds its offer */
	struct hot_offer offer;
};

struct hot_offers {
	uint64_t tail ALIGNED(CACHE_LINE); /* of those who put */
	uint64_t head ALIGNED(CACHE_LINE); /* of the one who takes */
	uint32_t mask;
	struct hot_offer_cell *cells;
};

/* cells: room for entries, a power of two. */
static inline void hot_offers_init(struct hot_offers *q, struct hot_offer_cell *cells,
                                   uint32_t entries)
{
	*q = (struct hot_offers){.mask = entries - 1, .cells = cells};
	for (uint32_t i = 0; i < entries; i++)
		cells[i].turn = i;
}

/* False: full. */
static inline bool hot_offers_put(struct hot_offers *q, const struct hot_offer *o)
{
	uint64_t at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);

	for (;;) {
		struct hot_offer_cell *c = &q->cells[at & q->mask];
		uint64_t turn = __atomic_load_n(&c->turn, __ATOMIC_ACQUIRE);

		if (turn == at) {
			if (!__atomic_compare_exchange_n(&q->tail, &at, at + 1, true,
			                                 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
				continue;
			c->offer = *o;
			__atomic_store_n(&c->turn, at + 1, __ATOMIC_RELEASE);
			return true;
		}
		if (turn < at)
			return false;
		at = __atomic_load_n(&q->tail, __ATOMIC_RELAXED);
	}
}

static inline bool hot_offers_take(struct hot_offers *q, struct hot_offer *out)
{
	struct hot_offer_cell *c = &q->cells[q->head & q->mask];

	if (__atomic_load_n(&c->turn, __ATOMIC_ACQUIRE) != q->head + 1)
		return false;
	*out = c->offer;
	__atomic_store_n(&c->turn, q->head + q->mask + 1, __ATOMIC_RELEASE);
	q->head++;
	return true;
}

#endif
