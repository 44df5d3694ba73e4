/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who uses which block of the down slab. A block has one reference for each reader in control and
 * one for each message that names it to a core. What a core gives back is checked against what that
 * core was lent, so that a wrong or hostile core cannot free another's block. Loop's thread only.
 */
#ifndef CONTROL_DOWN_SLAB_H
#define CONTROL_DOWN_SLAB_H

#include "lib/channel.h"

/* Blocks that one stream pins; freed runs when one of them came back to the slab. It must outlive
 * its last block. */
struct down_owner {
	uint32_t live; /* blocks */
	void (*freed)(struct down_owner *o);
	void *arg;
};

struct down_slab {
	struct chan_slab slab;
	uint32_t cores;
	uint32_t *refs;            /* a block: all references */
	uint32_t *lent;            /* [core][block] */
	struct down_owner **owner; /* a block: NULL or whose it is */
	uint64_t bogus;            /* releases of what was not lent */
};

enum status down_init(struct down_slab *d, unsigned char *base, const struct chan_geometry *geo);
void down_destroy(struct down_slab *d);

/* Before the first down_get: a core still reads this block from an earlier attachment. */
void down_adopt(struct down_slab *d, uint32_t core, uint32_t block);
/* Takes what was adopted out of the free blocks. */
void down_adopt_done(struct down_slab *d);

/* With one reference; CHAN_NO_BLOCK when none is free. */
uint32_t down_get(struct down_slab *d);
void down_ref(struct down_slab *d, uint32_t block);
void down_unref(struct down_slab *d, uint32_t block);
/* A message names the block to the core. */
void down_lend(struct down_slab *d, uint32_t core, uint32_t block);
/* False (and counted) when the core does not have it. */
bool down_return(struct down_slab *d, uint32_t core, uint32_t block);
/* Counts the block for o unless it has an owner. */
void down_own(struct down_slab *d, uint32_t block, struct down_owner *o);

static inline unsigned char *down_at(const struct down_slab *d, uint32_t block)
{
	return chan_block_at(&d->slab, block);
}

#endif
