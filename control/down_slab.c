/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/down_slab.h"

#include <stdlib.h>

enum status down_init(struct down_slab *d, unsigned char *base, const struct chan_geometry *geo)
{
	size_t n = geo->down_blocks;

	*d = (struct down_slab){.cores = geo->cores};
	d->refs = calloc(n, sizeof(*d->refs));
	d->lent = calloc(n * geo->cores, sizeof(*d->lent));
	d->owner = calloc(n, sizeof(struct down_owner *));
	if (d->refs == NULL || d->lent == NULL || d->owner == NULL)
		goto fail;
	if (chan_slab_init(&d->slab, base, geo->down_block_bytes, geo->down_blocks) != ST_OK)
		goto fail;
	return ST_OK;

fail:
	free(d->owner);
	free(d->lent);
	free(d->refs);
	*d = (struct down_slab){0};
	return ST_NOMEM;
}

void down_destroy(struct down_slab *d)
{
	if (d->refs == NULL)
		return;
	/* The memory goes, and with it what cores still hold: owners need wait no longer. */
	for (uint32_t b = 0; b < d->slab.count; b++) {
		struct down_owner *o = d->owner[b];

		if (o == NULL)
			continue;
		o->live--;
		o->freed(o);
	}
	chan_slab_destroy(&d->slab);
	free(d->owner);
	free(d->lent);
	free(d->refs);
	*d = (struct down_slab){0};
}

static uint32_t *lent_at(struct down_slab *d, uint32_t core, uint32_t block)
{
	return &d->lent[(size_t)core * d->slab.count + block];
}

void down_adopt(struct down_slab *d, uint32_t core, uint32_t block)
{
	if (core >= d->cores || !chan_block_valid(&d->slab, block)) {
		d->bogus++;
		return;
	}
	down_lend(d, core, block);
}

void down_adopt_done(struct down_slab *d)
{
	uint32_t n = d->slab.free_count;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t block = d->slab.free[i];

		if (d->refs[block] == 0)
			d->slab.free[kept++] = block;
	}
	d->slab.free_count = kept;
}

uint32_t down_get(struct down_slab *d)
{
	uint32_t block = chan_block_get(&d->slab);

	if (block != CHAN_NO_BLOCK)
		d->refs[block] = 1;
	return block;
}

void down_ref(struct down_slab *d, uint32_t block)
{
	d->refs[block]++;
}

void down_unref(struct down_slab *d, uint32_t block)
{
	struct down_owner *o = d->owner[block];

	assert(d->refs[block] > 0);
	if (--d->refs[block] > 0)
		return;
	d->owner[block] = NULL;
	chan_block_put(&d->slab, block);
	if (o == NULL)
		return;
	o->live--;
	o->freed(o);
}

void down_lend(struct down_slab *d, uint32_t core, uint32_t block)
{
	d->refs[block]++;
	(*lent_at(d, core, block))++;
}

bool down_return(struct down_slab *d, uint32_t core, uint32_t block)
{
	if (core >= d->cores || !chan_block_valid(&d->slab, block) ||
	    *lent_at(d, core, block) == 0) {
		d->bogus++;
		return false;
	}
	(*lent_at(d, core, block))--;
	down_unref(d, block);
	return true;
}

void down_own(struct down_slab *d, uint32_t block, struct down_owner *o)
{
	if (d->owner[block] != NULL)
		return;
	d->owner[block] = o;
	o->live++;
}
