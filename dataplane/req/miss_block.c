/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Blocks that change hands: control's blocks that TCP is done with go back, our own come back. */
#include "dataplane/path.h"

/* One use of the block is over. A release is never lost: what does not fit the ring waits. */
void miss_release_down(struct core *core, uint32_t block)
{
	struct core_chan *ch = &core->chan;

	if (block >= ch->down_blocks || ch->down_refs[block] == 0)
		return;
	ch->down_refs[block]--;
	/* While control is away nobody counts; the next one is told what is still held. */
	if (ch->epoch == 0)
		return;
	if (ch->syncing && block >= ch->sync_block) {
		/* Not told yet, or, for the block that the last message ended in, told in part. */
		if (block > ch->sync_block || ch->sync_refs <= ch->down_refs[block])
			return;
		ch->sync_refs--;
	}
	if (ch->release_due[block]++ == 0)
		ch->release[ch->release_count++] = block;
}

/* The next epoch is told what is held: what was due in this one is void. */
void miss_release_none(struct core_chan *ch)
{
	while (ch->release_count > 0)
		ch->release_due[ch->release[--ch->release_count]] = 0;
}

static void up_release(struct core *core, uint32_t block)
{
	struct core_chan *ch = &core->chan;
	struct up_block *b = &ch->up_blocks[block];
	struct miss *miss;

	switch (b->state) {
	case UP_SENT:
		b->state = UP_FREE;
		chan_block_put(&ch->up, block);
		miss = &ch->misses[b->slot < ch->miss_count ? b->slot : 0];
		if (miss->req != NULL && miss->seq == b->seq && miss->up_held > 0) {
			miss->up_held--;
			if (miss->req->uploading)
				tcp_wake(core->tcp, miss->req->conn, 0);
		}
		break;
	case UP_HEAD_SENT:
		b->state = UP_HEAD_KEPT;
		break;
	default:
		counter_inc(core->ctr, CTR_chan_bad);
	}
}

void miss_released_up(struct core *core, const struct chan_msg *m)
{
	if (m->code > CHAN_RELEASE_MAX) {
		counter_inc(core->ctr, CTR_chan_bad);
		return;
	}
	for (uint32_t i = 0; i < m->code; i++) {
		if (chan_block_valid(&core->chan.up, m->blocks[i]))
			up_release(core, m->blocks[i]);
		else
			counter_inc(core->ctr, CTR_chan_bad);
	}
}

static void releases_send(struct core *core)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m;

	while (ch->release_count > 0 && (m = chan_slot(&ch->port)) != NULL) {
		m->type = CHAN_RELEASE;
		m->block = CHAN_NO_BLOCK;
		while (m->code < CHAN_RELEASE_MAX && ch->release_count > 0) {
			uint32_t block = ch->release[ch->release_count - 1];

			m->blocks[m->code++] = block;
			if (--ch->release_due[block] == 0)
				ch->release_count--;
		}
		chan_push(&ch->port);
		counter_inc(core->ctr, CTR_chan_tx);
	}
}

uint32_t miss_flush(struct core *core)
{
	struct core_chan *ch = &core->chan;
	uint32_t n;

	if (ch->epoch == 0)
		return 0;
	if (ch->release_count > 0 && !ch->syncing)
		releases_send(core);
	n = chan_unflushed(&ch->port);
	if (chan_flush(&ch->port))
		counter_inc(core->ctr, CTR_chan_doorbell);
	return n;
}
