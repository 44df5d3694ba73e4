/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What control says of an outstanding request: head, body, failure. Everything is checked before it
 * is believed: the ticket, the block, the lengths. */
#include "dataplane/path.h"

#include "cache/vary.h"

/* The request that the ticket names, or NULL when it has gone or never was. */
static struct req *ticket_req(struct core *core, const struct chan_msg *m)
{
	struct core_chan *ch = &core->chan;

	if (m->ticket.epoch != ch->epoch || m->ticket.core != core->index ||
	    m->ticket.slot >= ch->miss_count)
		return NULL;
	struct miss *miss = &ch->misses[m->ticket.slot];
	return miss->req != NULL && miss->seq == m->ticket.seq ? miss->req : NULL;
}

static void release_if_any(struct core *core, const struct chan_msg *m)
{
	if (m->block != CHAN_NO_BLOCK && m->block < core->chan.down_blocks) {
		core->chan.down_refs[m->block]++;
		miss_release_down(core, m->block);
	}
}

static void fill_drop(struct core *core, struct req *req)
{
	if (req->fill.obj == NULL)
		return;
	hot_fill_abort(req->fill.table, &req->fill);
	counter_inc(core->ctr, CTR_cache_fill_dropped);
}

/* Control's side of the ticket is over; the client's may go on sending. */
static void answer_whole(struct core *core, struct req *req)
{
	miss_end(core, req);
	counter_inc(core->ctr, CTR_miss_answered);
	/* A client that needed no body did not miss any; a store would. */
	if (req->body_left != 0 && req->body_left != UINT64_MAX)
		fill_drop(core, req);
	if (req->fill.obj != NULL) {
		const struct object *o = hot_fill_commit(req->fill.table, &req->fill);

		if (o != NULL)
			hot_view_stored(core->view, req->fill.table, o);
		counter_inc(core->ctr, o != NULL ? CTR_cache_fill : CTR_cache_fill_dropped);
		req->fill.obj = NULL;
	}
}

/* The body broke off: no more can be said on this connection, and the client must not take what it
 * has for the whole. A body that ends with the connection needs a reset to tell that. */
static void answer_broken(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;

	miss_end(core, req);
	fill_drop(core, req);
	counter_inc(core->ctr, CTR_miss_failed);
	/* The client has its whole answer: a 304, or its part. */
	if (req->head_sent && (req->discard || (req->partial && req->part.len == 0))) {
		req->answered = true;
		tcp_wake(core->tcp, conn, 0);
		return;
	}
	bool reset = req->close_delimited;
	req_put(core, req);
	if (reset)
		tcp_abort(core->tcp, conn);
	else
		tcp_close(core->tcp, conn, core->now_ns);
}

/* The answer ends here: is it as long as its head said? */
static void answer_end(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;

	if (!req->discard && req->body_left != 0 && req->body_left != UINT64_MAX &&
	    !(req->partial && req->part.len == 0)) {
		answer_broken(core, req);
		return;
	}
	answer_whole(core, req);
	if (req->discard) {
		req->answered = true;
		if (req->start_ns != 0)
			hist_add(&core->stats->miss, core->now_ns - req->start_ns);
	} else if (reply_end(core, req) == REQ_WAIT) {
		return; /* reset for want of memory, and gone */
	}
	tcp_wake(core->tcp, conn, 0);
}

/* Another key than the request's: is it that of one of its variants, and the hash right, which
 * control counts under this core's seed? */
static NOINLINE bool fill_key_variant(const struct core *core, const struct req *req,
                                      const struct object *o)
{
	struct span text = object_key(o);
	struct span first = vary_primary(text);

	return first.len > 0 && first.len < text.len &&
	       hash128_eq(hash128(text.ptr, text.len, core->hash_seed), o->hash) &&
	       hash128_eq(hash128(first.ptr, first.len, core->hash_seed), req->key_hash);
}

static void fill_begin(struct core *core, struct req *req, const struct object *o)
{
	uint64_t capacity =
	        o->body_len != UINT64_MAX ? o->body_len : core->snap->limits.object_bytes;

	if (unlikely(!hash128_eq(o->hash, req->key_hash)) && !fill_key_variant(core, req, o) &&
	    !pattern_key_is(core, req, o)) {
		counter_inc(core->ctr, CTR_cache_fill_key);
		return;
	}
	if (capacity > core->snap->limits.object_bytes)
		return;
	if (o->body_len == UINT64_MAX)
		capacity -= min_u64(capacity, object_head_bytes(o));
	struct hot_table *t = hot_view_table(core->view, o->hash, object_head_bytes(o) + capacity);
	if (hot_fill_begin(t, &req->fill, o, capacity) != ST_OK) {
		req->fill.obj = NULL;
		counter_inc(core->ctr, CTR_cache_fill_dropped);
		return;
	}
}

/* The client has all that it asked for of an answer that a store sends. The rest is for the hot
 * table; without a fill nobody wants it. */
static void rest_unwanted(struct core *core, struct req *req)
{
	req->discard = true;
	if (req->fill.obj != NULL)
		return;
	miss_cancel(core, req);
	req->answered = true;
	hist_add(&core->stats->miss, core->now_ns - req->start_ns);
	tcp_wake(core->tcp, req->conn, 0);
}

/* What control says is not sound: the client need not wait for more of it. A second head is as if
 * it had not come. */
static void head_bad(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;

	if (req->head_sent || miss_stale(core, req, true))
		return;
	miss_cancel(core, req);
	reply_error(core, req, 502);
	tcp_wake(core->tcp, conn, 0);
}

static void head_input(struct core *core, const struct chan_msg *m, struct req *req)
{
	const struct object *o = chan_peer_bytes(&core->chan.port, m);

	/* Copied first, so that the checked lengths are those that are used. */
	if (o == NULL || req->head_sent || m->len > CORE_OUT_BYTES / 2 || m->off % 8 != 0)
		goto bad;
	memcpy(core->head_copy, o, m->len);
	o = (const struct object *)(const void *)core->head_copy;
	if (!object_head_valid(o, m->len) || o->status < 102 || o->status > 999 ||
	    (o->flags & (OBJECT_VARY | OBJECT_PASS)) != 0 ||
	    (o->status < 200 && (m->flags & CHAN_F_END) != 0))
		goto bad;
	if (unlikely(o->status < 200)) {
		release_if_any(core, m);
		reply_interim(core, req, o);
		return;
	}
	if ((m->flags & CHAN_F_FILL) && req->cache.store && (o->flags & OBJECT_STORABLE))
		fill_begin(core, req, o);
	req->body_left = o->body_len;
	release_if_any(core, m);
	if (req->slot == UINT32_MAX)
		return;
	uint32_t slot = req->slot;
	reply_head(core, req, o, m);
	if (core->chan.misses[slot].req != req)
		return; /* reset for want of memory, and gone */
	req_deadline(core, req, core->snap->timeouts.miss_ms);
	if (m->flags & CHAN_F_END) {
		if (req->body_left != UINT64_MAX && req->method == HTTP_HEAD)
			req->body_left = 0;
		answer_end(core, req);
	} else if (unlikely(req->asks) && req->discard && (m->flags & (CHAN_F_STORE | CHAN_F_L3))) {
		rest_unwanted(core, req);
	} else {
		tcp_wake(core->tcp, req->conn, 0);
	}
	return;
bad:
	counter_inc(core->ctr, CTR_chan_bad);
	release_if_any(core, m);
	head_bad(core, req);
}

/* What the client gets of these bytes. */
static struct span part_cut(struct req *req, struct span bytes)
{
	uint64_t out = min_u64(req->part.first, bytes.len);

	bytes = span_of(bytes.ptr + out, min_u64(bytes.len - out, req->part.len));
	req->part.first -= out;
	req->part.len -= bytes.len;
	return bytes;
}

/* Body bytes go to the client, or their block back. */
static void body_pass(struct core *core, struct req *req, struct span bytes, uint32_t block)
{
	core->chan.down_refs[block]++;
	if (unlikely(req->partial) && !req->discard)
		bytes = part_cut(req, bytes);
	if (!req->discard && bytes.len > 0) {
		reply_body(core, req, bytes, block);
		return;
	}
	miss_release_down(core, block);
	/* The client has all that it can have by now: the time that runs is control's. */
	if (tcp_tx_queued(req->conn) == 0) {
		req->queued_mark = 0;
		req_deadline(core, req, core->snap->timeouts.miss_ms);
	}
}

static void body_input(struct core *core, const struct chan_msg *m, struct req *req)
{
	const char *p = m->block == CHAN_NO_BLOCK ? NULL : chan_peer_bytes(&core->chan.port, m);
	struct conn *conn = req->conn;
	struct span bytes = span_of(p, m->len);

	if (!req->head_sent || (m->len > 0 && p == NULL) ||
	    (!req->discard && req->body_left != UINT64_MAX && m->len > req->body_left)) {
		counter_inc(core->ctr, CTR_chan_bad);
		release_if_any(core, m);
		if (req->head_sent)
			answer_broken(core, req);
		return;
	}
	if (m->len > 0) {
		uint32_t slot = req->slot;

		if (req->fill.obj != NULL &&
		    hot_fill_append(req->fill.table, &req->fill, bytes) != ST_OK)
			fill_drop(core, req);
		if (req->body_left != UINT64_MAX)
			req->body_left -= min_u64(m->len, req->body_left);
		body_pass(core, req, bytes, m->block);
		if (core->chan.misses[slot].req != req)
			return;
	} else {
		release_if_any(core, m);
	}
	if (m->flags & CHAN_F_ABORT)
		answer_broken(core, req);
	else if (m->flags & CHAN_F_END)
		answer_end(core, req);
	else if (unlikely(req->partial) && !req->discard && req->part.len == 0)
		rest_unwanted(core, req);
	else
		tcp_wake(core->tcp, conn, 0);
}

static void fail_input(struct core *core, const struct chan_msg *m, struct req *req)
{
	struct conn *conn = req->conn;
	unsigned status = m->code >= 400 && m->code <= 599 ? m->code : 502;

	release_if_any(core, m);
	if (req->head_sent) {
		answer_broken(core, req);
		return;
	}
	if (cache_status_fails(status) && miss_stale(core, req, false))
		return;
	miss_end(core, req);
	if (m->code == 204 && req->purge) {
		counter_inc(core->ctr, CTR_miss_answered);
		reply_options(core, req, 0);
		tcp_wake(core->tcp, conn, 0);
		return;
	}
	counter_inc(core->ctr, CTR_miss_failed);
	reply_error(core, req, status);
	tcp_wake(core->tcp, conn, 0);
}

void miss_input(struct core *core, const struct chan_msg *m)
{
	struct req *req;

	if (m->type == CHAN_PUT) {
		put_input(core, m);
		release_if_any(core, m);
		return;
	}
	if (m->type != CHAN_HEAD && m->type != CHAN_BODY && m->type != CHAN_FAIL) {
		counter_inc(core->ctr, CTR_chan_bad);
		return;
	}
	req = ticket_req(core, m);
	if (req == NULL) {
		counter_inc(core->ctr, CTR_chan_late);
		release_if_any(core, m);
	} else if (m->type == CHAN_HEAD) {
		head_input(core, m, req);
	} else if (m->type == CHAN_BODY) {
		body_input(core, m, req);
	} else {
		fail_input(core, m, req);
	}
}
