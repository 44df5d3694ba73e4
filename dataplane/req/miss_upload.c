/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request's body on its way to control: read by its framing where TCP holds it, copied once into
 * blocks of the up slab. How many blocks one request may have outstanding bounds what it can pin; the
 * rest waits in TCP, whose window then closes. */
#include "dataplane/path.h"

/* Dynamic threshold (Choudhury and Hahne): as many as are free, up to the window, at least one. */
static bool may_hold(const struct core *core, const struct miss *miss)
{
	const struct core_chan *ch = &core->chan;
	uint32_t window = core->snap->limits.window_bytes / ch->up.block_bytes;
	uint32_t most = min_u32(max_u32(window, 1), max_u32(ch->up.free_count, 1));

	return miss->up_held < most;
}

static void body_send(struct core *core, struct req *req, uint32_t block, uint32_t len)
{
	struct core_chan *ch = &core->chan;
	struct miss *miss = &ch->misses[req->slot];
	struct chan_msg *m = chan_slot(&ch->port);

	m->type = CHAN_BODY;
	m->flags = req->uploading ? 0 : CHAN_F_END;
	m->len = len;
	m->ticket = (struct chan_ticket){
		.epoch = ch->epoch,
		.core = (uint16_t)core->index,
		.slot = (uint16_t)req->slot,
		.seq = miss->seq,
	};
	m->block = block;
	if (block != CHAN_NO_BLOCK) {
		ch->up_blocks[block] = (struct up_block){
			.seq = miss->seq, .slot = req->slot, .state = UP_SENT};
		miss->up_held++;
	}
	chan_push(&ch->port);
	counter_inc(core->ctr, CTR_chan_tx);
	counter_add(core->ctr, CTR_http_body_in, len);
	req->uploaded = true;
}

/* Fills one block from what TCP has; *len is what it got. False when the body is bad. */
static bool block_fill(struct core *core, struct req *req, unsigned char *block,
		       struct http_run *run, uint32_t *len)
{
	uint32_t cap = core->chan.up.block_bytes;

	*len = 0;
	for (;;) {
		struct span in = tcp_rx(req->conn);

		/* No more than fits, counted in raw bytes: framing only makes it less. With a full block
		 * nothing is offered, and the reader still says whether that was the end. */
		in.len = min_size(in.len, cap - *len);
		enum http_run_kind kind = http_body_read(&req->body, in, run);
		if (kind == HTTP_RUN_REFUSE)
			return false;
		if (kind == HTTP_RUN_DATA) {
			memcpy(block + *len, run->data.ptr, run->data.len);
			*len += (uint32_t)run->data.len;
		}
		tcp_rx_consume(core->tcp, req->conn, run->used);
		if (kind == HTTP_RUN_END) {
			req->uploading = false;
			return true;
		}
		if (kind == HTTP_RUN_MORE && run->used == 0)
			return true;
	}
}

/* The body broke the framing rules or a limit: control forgets the request. */
static enum req_next body_refuse(struct core *core, struct req *req, unsigned status)
{
	counter_inc(core->ctr, status == 413 ? CTR_http_limit : CTR_http_bad);
	if (req->slot != UINT32_MAX)
		miss_cancel(core, req);
	req->keep_alive = false;
	if (req->head_sent) {
		tcp_abort(core->tcp, req->conn);
		req_put(core, req);
		return REQ_WAIT;
	}
	return reply_error(core, req, status);
}

/* From now on it is control's turn, and its time runs. */
static void starve(struct core *core, struct req *req)
{
	if (!req->starved && !req->head_sent)
		req_deadline(core, req, core->snap->timeouts.miss_ms);
	req->starved = true;
}

enum req_next miss_upload(struct core *core, struct req *req)
{
	struct core_chan *ch = &core->chan;
	bool any = false;

	while (req->uploading && req->slot != UINT32_MAX) {
		struct miss *miss = &ch->misses[req->slot];
		struct http_run run;
		uint32_t block, len;

		if (tcp_rx(req->conn).len == 0)
			break;
		if (!may_hold(core, miss)) {
			starve(core, req);
			/* A block that comes back wakes it; meanwhile the turn is another's. */
			if (req->parked)
				miss_unpark(core, req);
			return REQ_WAIT;
		}
		if (ch->epoch == 0 || ch->syncing || spsc_room(&ch->port.tx, 2) < 2 ||
		    ch->up.free_count == 0) {
			starve(core, req);
			miss_park(core, req);
			return REQ_WAIT;
		}
		if (req->parked)
			miss_unpark(core, req);
		block = chan_block_get(&ch->up);
		if (!block_fill(core, req, chan_block_at(&ch->up, block), &run, &len)) {
			chan_block_put(&ch->up, block);
			return body_refuse(core, req, run.status);
		}
		if (len == 0) {
			chan_block_put(&ch->up, block);
			block = CHAN_NO_BLOCK;
			if (req->uploading)
				break;
		}
		body_send(core, req, block, len);
		req->starved = false;
		any = true;
	}
	if (req->uploading && tcp_rx(req->conn).len == 0 && tcp_rx_eof(req->conn))
		return body_refuse(core, req, 400); /* cut short by the client's FIN */
	if (any && !req->head_sent)
		req_deadline(core, req, req->uploading ? core->snap->timeouts.body_ms
						       : core->snap->timeouts.miss_ms);
	return REQ_WAIT;
}
