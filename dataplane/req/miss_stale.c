/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stale-if-error (RFC 5861 4) for a request that control has: control went away, keeps silent, or
 * says that the origin failed and its own stores have nothing. If what this core has may be served
 * then, the client gets that. */
#include "dataplane/path.h"

/* The request's key and field lines, from its head's block: its bytes have left TCP. The block is
 * in shared memory, so its lengths are not believed. */
static bool head_read(struct core *core, const struct req *req)
{
	struct core_chan *ch = &core->chan;
	unsigned char *block = chan_block_at(&ch->up, req->head_block);
	uint32_t len = ch->misses[req->slot].head_len;
	struct turn *turn = core->turn;
	struct chan_request cr;
	size_t texts, pos = 0;

	memcpy(&cr, block, sizeof(cr));
	texts = sizeof(cr) + cr.key_len + cr.method_len + cr.host_len + cr.target_len;
	if (cr.key_len == 0 || cr.key_len > CACHE_KEY_MAX || texts > len ||
	    cr.fields_len != len - texts || len + 2 > ch->up.block_bytes)
		return false;
	memcpy(turn->key_text, block + sizeof(cr), cr.key_len);
	turn->key = (struct cache_key){.hash = req->key_hash,
	                               .text = span_of(turn->key_text, cr.key_len)};
	memcpy(block + len, "\r\n", 2);
	return http1_scan_fields((const char *)block + texts, cr.fields_len + 2, &pos,
	                         &turn->http.fields) == HTTP_SCAN_DONE;
}

static const struct object *stale_object(struct core *core, const struct req *req)
{
	const struct object *o;

	core->turn = core->turns;
	core->http = &core->turn->http;
	core->found.where = HOT_NOWHERE;
	if (req->slot == UINT32_MAX || req->head_block == CHAN_NO_BLOCK || !head_read(core, req))
		return NULL;
	o = hot_view_get(core->view, &core->turn->key, &core->found);
	if (o != NULL && (o->flags & OBJECT_VARY))
		o = variant_get(core, o);
	return o != NULL && cache_use_on_error(o, &req->cache, core->wall_ms) ? o : NULL;
}

static void stale_answer(struct core *core, struct req *req, const struct object *o)
{
	struct asked_answer a;

	counter_inc(core->ctr, CTR_cache_stale_error);
	req->stale = STALE_ERROR;
	if (req->asks) {
		asked_of_kept(o, req, &a);
		reply_asked(core, req, o, &a);
	} else {
		reply_object(core, req, o);
	}
}

bool miss_stale(struct core *core, struct req *req, bool cancel)
{
	struct conn *conn = req->conn;
	const struct object *o;

	if (!req->on_error || req->head_sent)
		return false;
	o = stale_object(core, req);
	if (o != NULL && cancel) {
		miss_cancel(core, req);
	} else if (o != NULL) {
		miss_end(core, req);
		counter_inc(core->ctr, CTR_miss_failed);
	}
	if (o != NULL) {
		stale_answer(core, req, o);
		tcp_wake(core->tcp, conn, 0);
	}
	if (core->found.where == HOT_REMOTE)
		hot_view_done(core->view, &core->found);
	return o != NULL;
}
