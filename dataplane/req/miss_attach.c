/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control comes and goes (docs/CHANNEL.md). When it goes, what cannot be asked again is failed at
 * once; the rest waits for miss_grace_ms. When one comes, the core tells it which blocks of the
 * down slab are still in use, then asks again what was outstanding. */
#include "dataplane/path.h"

#include "lib/log.h"

/* Only the head went out, nothing came back, and the origin may see it twice (RFC 9110 9.2.2): it
 * may be asked again. */
static bool may_replay(const struct req *req)
{
	return !req->head_sent && !req->uploaded && http_method_idempotent(req->method);
}

static void miss_fail(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;

	miss_end(core, req);
	counter_inc(core->ctr, CTR_miss_failed);
	/* The client has its whole answer: a 304, or its part. */
	if (req->head_sent && (req->discard || (req->partial && req->part.len == 0))) {
		req->answered = true;
		tcp_wake(core->tcp, conn, 0);
		return;
	}
	if (req->head_sent) {
		req_put(core, req);
		tcp_abort(core->tcp, conn);
		return;
	}
	counter_inc(core->ctr, CTR_shed_no_control);
	reply_error(core, req, 503);
	tcp_wake(core->tcp, conn, 0);
}

/* Blocks that the dead process had are ours again; heads are kept by their requests. */
static void up_reclaim(struct core_chan *ch)
{
	for (uint32_t i = 0; i < ch->up.count; i++) {
		struct up_block *b = &ch->up_blocks[i];

		if (b->state == UP_SENT) {
			b->state = UP_FREE;
			chan_block_put(&ch->up, i);
		} else if (b->state == UP_HEAD_SENT) {
			b->state = UP_HEAD_KEPT;
		}
	}
}

void miss_detach(struct core *core)
{
	struct core_chan *ch = &core->chan;

	ch->epoch = 0;
	ch->syncing = false;
	ch->away_since_ns = core->now_ns;
	miss_release_none(ch);
	query_leftovers(core);
	chan_drain(&ch->port);
	up_reclaim(ch);
	for (uint32_t i = 0; i < ch->miss_count && ch->miss_live > 0; i++) {
		struct req *req = ch->misses[i].req;

		if (req == NULL)
			continue;
		ch->misses[i].up_held = 0;
		if (!miss_stale(core, req, false) && !may_replay(req))
			miss_fail(core, req);
	}
	core_ready(core);
}

void miss_away(struct core *core)
{
	struct core_chan *ch = &core->chan;

	if (ch->miss_live == 0 ||
	    core->now_ns - ch->away_since_ns < core->snap->timeouts.miss_grace_ms * NS_PER_MS)
		return;
	for (uint32_t i = 0; i < ch->miss_count && ch->miss_live > 0; i++)
		if (ch->misses[i].req != NULL)
			miss_fail(core, ch->misses[i].req);
	core_ready(core);
}

void miss_attach(struct core *core, uint32_t epoch)
{
	struct core_chan *ch = &core->chan;

	ch->epoch = epoch;
	ch->syncing = true;
	ch->sync_sent = false;
	ch->sync_block = 0;
	ch->sync_refs = 0;
	miss_release_none(ch);
	query_leftovers(core);
	chan_drain(&ch->port);
	up_reclaim(ch);
	miss_sync(core);
}

static void replay(struct core *core)
{
	struct core_chan *ch = &core->chan;

	for (uint32_t i = 0; i < ch->miss_count; i++) {
		struct req *req = ch->misses[i].req;

		if (req == NULL)
			continue;
		if (!may_replay(req) || spsc_room(&ch->port.tx, 1) < 1) {
			miss_fail(core, req);
			continue;
		}
		miss_send(core, req, ch->misses[i].head_len, req->uploading);
		counter_inc(core->ctr, CTR_miss_resent);
		tcp_wake(core->tcp, req->conn, 0);
	}
}

/* Adds held blocks from where the last message ended; true when all are told. */
static bool held_fill(struct core_chan *ch, struct chan_msg *m)
{
	while (ch->sync_block < ch->down_blocks) {
		while (ch->sync_refs < ch->down_refs[ch->sync_block]) {
			if (m->code == CHAN_RELEASE_MAX)
				return false;
			m->blocks[m->code++] = ch->sync_block;
			ch->sync_refs++;
		}
		ch->sync_block++;
		ch->sync_refs = 0;
	}
	return true;
}

void miss_sync(struct core *core)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m;

	/* All in one round: between rounds TCP may release what was told already. */
	if (spsc_room(&ch->port.tx, 2) < 2)
		return;
	if (!ch->sync_sent) {
		m = chan_slot(&ch->port);
		m->type = CHAN_SYNC;
		m->block = CHAN_NO_BLOCK;
		m->n = ch->epoch;
		m->ticket.seq = hot_purge_seq(core->hot);
		m->born = hot_view_born(core->view);
		chan_push(&ch->port);
		ch->sync_sent = true;
	}
	while (ch->syncing && (m = chan_slot(&ch->port)) != NULL) {
		m->type = CHAN_HELD;
		m->block = CHAN_NO_BLOCK;
		if (held_fill(ch, m)) {
			m->flags = CHAN_F_END;
			ch->syncing = false;
		}
		chan_push(&ch->port);
	}
	if (!ch->syncing) {
		log_info("core", "core %u: control attached, epoch %u", core->index, ch->epoch);
		replay(core);
	}
}
