/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request leaves for control: a slot, a block with its head, a message. */
#include "dataplane/path.h"

/* Enough that no head is cut: the texts of chan_request besides target and field lines. */
#define REQUEST_FIXED_BYTES (sizeof(struct chan_request) + CACHE_KEY_MAX + 512)

static uint32_t slot_get(struct core_chan *ch)
{
	uint32_t slot = ch->miss_free;

	if (slot >= ch->miss_count)
		return UINT32_MAX;
	ch->miss_free = ch->misses[slot].next_free;
	ch->miss_live++;
	return slot;
}

static void slot_put(struct core_chan *ch, uint32_t slot)
{
	struct miss *m = &ch->misses[slot];

	m->req = NULL;
	m->next_free = ch->miss_free;
	ch->miss_free = slot;
	ch->miss_live--;
}

/* The request gives its head block up; control may still be reading it. */
static void head_block_put(struct core_chan *ch, struct req *req)
{
	struct up_block *b;

	if (req->head_block == CHAN_NO_BLOCK)
		return;
	b = &ch->up_blocks[req->head_block];
	if (b->state == UP_HEAD_KEPT) {
		b->state = UP_FREE;
		chan_block_put(&ch->up, req->head_block);
	} else {
		b->state = UP_SENT;
	}
	req->head_block = CHAN_NO_BLOCK;
}

void miss_end(struct core *core, struct req *req)
{
	struct core_chan *ch = &core->chan;

	if (req->slot == UINT32_MAX)
		return;
	slot_put(ch, req->slot);
	req->slot = UINT32_MAX;
	head_block_put(ch, req);
}

void miss_cancel(struct core *core, struct req *req)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m;

	counter_inc(core->ctr, CTR_miss_cancelled);
	/* Without room for the message control finds out by itself: what it still sends is late
	 * here, and its blocks come back at once. */
	if (ch->epoch != 0 && !ch->syncing && (m = chan_slot(&ch->port)) != NULL) {
		m->type = CHAN_CANCEL;
		m->ticket = (struct chan_ticket){
		        .epoch = ch->epoch,
		        .core = (uint16_t)core->index,
		        .slot = (uint16_t)req->slot,
		        .seq = ch->misses[req->slot].seq,
		};
		m->block = CHAN_NO_BLOCK;
		chan_push(&ch->port);
		counter_inc(core->ctr, CTR_chan_tx);
	}
	miss_end(core, req);
}

static char *put_text(char *at, struct span s)
{
	if (s.len > 0)
		memcpy(at, s.ptr, s.len);
	return at + s.len;
}

/* Fields of this hop, and those that are told otherwise (RFC 9110 7.6.1). */
static bool is_forwarded(bool whole, const struct http_fields *fs, const struct http_field *f)
{
	switch (f->id) {
	case HDR_HOST:
	case HDR_EXPECT:
	/* Claims of a proxy before us that the cache key does not hold: an origin that builds links
	 * from them would have its answer stored for everybody. */
	case HDR_FORWARDED:
	case HDR_X_FORWARDED_HOST:
	case HDR_X_FORWARDED_PORT:
	case HDR_X_FORWARDED_SERVER:
		return false;
	case HDR_IF_NONE_MATCH:
	case HDR_IF_MODIFIED_SINCE:
	case HDR_IF_RANGE:
	case HDR_RANGE:
		/* The whole object is wanted; what is asked of it is answered here. */
		if (whole)
			return false;
		break;
	default:
		break;
	}
	return !http_field_is_hop(fs, f);
}

static char *put_fields(char *at, bool whole, const struct http_fields *fs)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		const struct http_field *f = &fs->f[i];

		if (!is_forwarded(whole, fs, f))
			continue;
		at = put_text(at, f->name);
		at = put_text(at, SPAN_LIT(": "));
		at = put_text(at, f->value);
		at = put_text(at, SPAN_LIT("\r\n"));
	}
	return at;
}

static uint16_t request_flags(const struct req *req, const struct http_request *h, uint16_t refresh)
{
	uint16_t flags = refresh;

	if (unlikely(refresh))
		flags |= CHAN_REQ_STORE | CHAN_REQ_COLLAPSE;
	if (unlikely(req->purge))
		flags |= CHAN_REQ_PURGE;
	if (h->framing.kind == HTTP_BODY_CHUNKED)
		flags |= CHAN_REQ_CHUNKED;
	if (req->cache.store)
		flags |= CHAN_REQ_STORE;
	/* Who says no-cache wants an answer that was made after it asked (RFC 9111 5.2.1.4). */
	if (req->cache.store && req->cache.lookup && !req->cache.authorized && !req->pass)
		flags |= CHAN_REQ_COLLAPSE;
	if (req->cache.authorized)
		flags |= CHAN_REQ_AUTHORIZED;
	return flags;
}

/* Methods whose success makes what is stored of the target void (RFC 9111 4.4), and HEAD, whose
 * answer tells whether it still holds (4.3.5): control acts when it sees the answer, so it needs
 * the key. */
static bool may_invalidate(const struct req *req)
{
	return req->purge || (req->rule.mode != CACHE_OFF &&
	                      (!http_method_safe(req->method) || req->method == HTTP_HEAD));
}

/* Writes the head into the block; returns its length. Lines gain at most the space behind each
 * colon, for which the limits leave room. refresh: the whole answer to GET, whatever was asked: its
 * flags, else 0. */
static uint32_t head_write(struct core *core, struct req *req, unsigned char *block,
                           uint16_t refresh)
{
	const struct http_request *h = core->http;
	struct chan_request *cr = (struct chan_request *)(void *)block;
	struct span key = {0};
	struct cache_key ck;
	struct tcp_info info;
	char *at = (char *)(cr + 1);
	char *mark;
	struct span method = unlikely(refresh || req->purge) ? SPAN_LIT("GET") : h->method_text;

	if (req->cache.lookup || req->cache.store) {
		key = core->turn->key.text; /* of this turn: req_prepare made it */
	} else if (may_invalidate(req) && req_key(core, req, &ck) == KEY_OK) {
		key = ck.text;
		req->key_hash = ck.hash;
	}
	tcp_conn_info(req->conn, &info);
	*cr = (struct chan_request){
	        .snapshot_id = core->snap->id,
	        .body_len = h->framing.kind == HTTP_BODY_CHUNKED  ? UINT64_MAX
	                    : h->framing.kind == HTTP_BODY_LENGTH ? (uint64_t)h->framing.length
	                                                          : 0,
	        .key_lo = req->key_hash.lo,
	        .key_hi = req->key_hash.hi,
	        .arrival_ms = core->wall_ms,
	        .client_port = info.remote_port,
	        .route = (uint16_t)req->route_index,
	        .upstream = req->route->upstream,
	        .method = (uint8_t)(refresh ? HTTP_GET : h->method),
	        .minor = (uint8_t)h->minor,
	        .flags = request_flags(req, h, refresh),
	        .key_len = (uint16_t)key.len,
	        .method_len = (uint16_t)method.len,
	};
	memcpy(cr->client_addr, info.remote.b, sizeof(cr->client_addr));
	at = put_text(at, key);
	at = put_text(at, method);
	mark = at;
	at = put_text(at, req_authority(h));
	cr->host_len = (uint16_t)(at - mark);
	mark = at;
	at = put_text(at, h->path);
	if (h->query.ptr != NULL) {
		at = put_text(at, SPAN_LIT("?"));
		at = put_text(at, h->query);
	}
	cr->target_len = (uint32_t)(at - mark);
	mark = at;
	at = put_fields(at, req->cache.store || refresh != 0, &h->fields);
	cr->fields_len = (uint32_t)(at - mark);
	return (uint32_t)(at - (char *)block);
}

/* Names the request to control. */
void miss_send(struct core *core, struct req *req, uint32_t len, bool has_body)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m = chan_slot(&ch->port);
	struct miss *miss = &ch->misses[req->slot];

	miss->seq = ++ch->miss_seq;
	m->type = CHAN_REQUEST;
	m->flags = has_body ? 0 : CHAN_F_END;
	m->len = len;
	m->ticket = (struct chan_ticket){
	        .epoch = ch->epoch,
	        .core = (uint16_t)core->index,
	        .slot = (uint16_t)req->slot,
	        .seq = miss->seq,
	};
	m->block = req->head_block;
	ch->up_blocks[req->head_block] =
	        (struct up_block){.seq = miss->seq, .slot = req->slot, .state = UP_HEAD_SENT};
	chan_push(&ch->port);
	counter_inc(core->ctr, CTR_chan_tx);
	counter_inc(core->ctr, CTR_miss_sent);
}

/* Is there a ring entry, a slot and a block? */
bool miss_has_room(struct core *core)
{
	struct core_chan *ch = &core->chan;

	return ch->epoch != 0 && !ch->syncing && ch->miss_free < ch->miss_count &&
	       ch->up.free_count > 0 && spsc_room(&ch->port.tx, 2) >= 2;
}

/* Bytes that the head takes at most. */
static size_t head_most(const struct http_request *h)
{
	return REQUEST_FIXED_BYTES + h->head_len + 2 * h->fields.count;
}

bool miss_refresh(struct core *core, struct req *req, uint16_t flags)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m;

	/* Requests that somebody waits for go first, and get the last block. */
	if (!miss_has_room(core) || ch->park_head != NULL || ch->up.free_count < 2 ||
	    head_most(core->http) > ch->up.block_bytes)
		return false;
	m = chan_slot(&ch->port);
	m->type = CHAN_REQUEST;
	m->flags = CHAN_F_END;
	m->ticket = (struct chan_ticket){.epoch = ch->epoch, .core = (uint16_t)core->index};
	m->block = chan_block_get(&ch->up);
	m->len = head_write(core, req, chan_block_at(&ch->up, m->block), flags);
	ch->up_blocks[m->block] = (struct up_block){.slot = UINT32_MAX, .state = UP_SENT};
	chan_push(&ch->port);
	counter_inc(core->ctr, CTR_chan_tx);
	return true;
}

enum req_next miss_submit(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;
	struct core_chan *ch = &core->chan;
	size_t need = head_most(h);
	bool has_body = h->framing.kind == HTTP_BODY_CHUNKED ||
	                (h->framing.kind == HTTP_BODY_LENGTH && h->framing.length > 0);
	uint32_t len;

	if (unlikely(need > ch->up.block_bytes)) {
		counter_inc(core->ctr, CTR_http_limit);
		req->keep_alive = false;
		return reply_error(core, req, 431);
	}
	/* Who waits already goes first. */
	if (unlikely(!miss_has_room(core) || (!req->parked && ch->park_head != NULL))) {
		/* Its bytes stay unread; it is parsed again when there is room. */
		req->stage = REQ_READ;
		req->parser = (struct http_parser){0};
		if (!req->parked) {
			miss_park(core, req);
			req_deadline(core, req, core->snap->timeouts.miss_grace_ms);
		}
		return REQ_MORE;
	}
	if (req->parked)
		miss_unpark(core, req);
	req->slot = slot_get(ch);
	ch->misses[req->slot] = (struct miss){.req = req, .next_free = ch->miss_count};
	req->head_block = chan_block_get(&ch->up);
	len = head_write(core, req, chan_block_at(&ch->up, req->head_block), 0);
	miss_send(core, req, len, has_body);
	ch->misses[req->slot].head_len = len;

	req->uploading = has_body;
	req->stage = REQ_ANSWER;
	if (req->uploading && h->expect_continue && h->minor == 1 && !req->continued) {
		/* RFC 9110 10.1.1: the route exists and there is room, so the body is welcome. */
		if (tcp_tx_copy(core->tcp, req->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25) == ST_OK)
			counter_inc(core->ctr, CTR_http_1xx);
	}
	tcp_rx_consume(core->tcp, req->conn, h->head_len);
	req_deadline(core, req,
	             req->uploading ? core->snap->timeouts.body_ms : core->snap->timeouts.miss_ms);
	return req->uploading ? REQ_NEXT : REQ_WAIT;
}
