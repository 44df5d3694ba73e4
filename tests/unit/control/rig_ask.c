/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cores' questions: tickets, requests, bodies. */
#include "rig.h"

#include "lib/hash.h"

#define WINDOW_BLOCKS 16u

uint32_t rig_slot(const struct rig_core *c, const struct ask *a)
{
	return (uint32_t)(a - c->asks);
}

static struct ask *ask_new(struct rig_core *c)
{
	for (uint32_t i = 0; i < RIG_ASKS; i++) {
		struct ask *a = &c->asks[i];

		if (a->used && !a->done)
			continue;
		if (a->up_held > 0)
			continue;
		if (a->used)
			continue; /* the test still looks at it */
		memset(a, 0, sizeof(*a));
		a->used = true;
		a->seq = ++c->seq;
		return a;
	}
	fail_msg("no slot left");
	return NULL;
}

static uint32_t up_get(struct rig *r, uint32_t core, struct ask *a)
{
	struct rig_core *c = &r->core[core];
	uint32_t b;

	while ((b = chan_block_get(&c->up)) == CHAN_NO_BLOCK)
		rig_step(r);
	c->up_mine[b] = 1;
	c->up_slot[b] = (uint16_t)rig_slot(c, a);
	a->up_held++;
	return b;
}

static struct chan_ticket ticket_of(struct rig *r, uint32_t core, const struct ask *a)
{
	return (struct chan_ticket){
	        .epoch = r->epoch,
	        .core = (uint16_t)core,
	        .slot = (uint16_t)rig_slot(&r->core[core], a),
	        .seq = a->seq,
	};
}

static char *text_put(char *at, const char *s)
{
	size_t n = strlen(s);

	memcpy(at, s, n);
	return at + n;
}

static uint16_t request_flags(const struct rig_req *q)
{
	uint16_t flags = q->body_len == UINT64_MAX ? CHAN_REQ_CHUNKED : 0;

	if (q->key != NULL && !q->no_store)
		flags |= CHAN_REQ_STORE;
	if (q->key != NULL && !q->no_store && !q->alone)
		flags |= CHAN_REQ_COLLAPSE;
	if (q->refresh)
		flags |= CHAN_REQ_REFRESH;
	return flags;
}

static uint32_t request_write(struct rig *r, const struct rig_req *q, void *block)
{
	const char *method = q->method != NULL ? q->method : "GET";
	const char *fields = q->fields != NULL ? q->fields : "Accept: */*\r\n";
	const char *key = q->key != NULL ? q->key : "";
	struct hash128 h = hash128(key, strlen(key), RIG_SEED);
	struct chan_request *cr = block;
	char *at = (char *)(cr + 1);

	*cr = (struct chan_request){
	        .snapshot_id = q->snapshot_id != 0 ? q->snapshot_id : r->ctl.snapshot->id,
	        .body_len = q->body_len,
	        .key_lo = h.lo,
	        .key_hi = h.hi,
	        .client_addr = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9},
	        .minor = 1,
	        .flags = request_flags(q),
	        .key_len = (uint16_t)strlen(key),
	        .method_len = (uint16_t)strlen(method),
	        .host_len = 11,
	        .target_len = (uint32_t)strlen(q->path),
	        .fields_len = (uint32_t)strlen(fields),
	};
	at = text_put(at, key);
	at = text_put(at, method);
	at = text_put(at, "example.org");
	at = text_put(at, q->path);
	at = text_put(at, fields);
	return (uint32_t)(at - (char *)block);
}

struct ask *rig_ask(struct rig *r, const struct rig_req *q)
{
	struct rig_core *c = &r->core[q->core];
	struct ask *a = ask_new(c);
	struct chan_msg m = {.type = CHAN_REQUEST, .flags = q->body_len == 0 ? CHAN_F_END : 0};

	a->hold = q->hold;
	a->raw_body = q->raw_body;
	m.block = up_get(r, q->core, a);
	m.ticket = ticket_of(r, q->core, a);
	if (q->refresh)
		m.ticket = (struct chan_ticket){.epoch = r->epoch, .core = (uint16_t)q->core};
	m.len = request_write(r, q, chan_block_at(&c->up, m.block));
	rig_push(r, q->core, &m);
	return a;
}

void rig_cancel(struct rig *r, uint32_t core, struct ask *a)
{
	struct chan_msg m = {.type = CHAN_CANCEL, .block = CHAN_NO_BLOCK};

	m.ticket = ticket_of(r, core, a);
	rig_push(r, core, &m);
}

bool rig_body(struct rig *r, uint32_t core, struct ask *a, const void *data, uint32_t len, bool end)
{
	struct chan_msg m = {.type = CHAN_BODY, .flags = end ? CHAN_F_END : 0, .len = len};
	struct rig_core *c = &r->core[core];

	if (a->up_held >= WINDOW_BLOCKS || c->up.free_count == 0)
		return false;
	m.ticket = ticket_of(r, core, a);
	m.block = CHAN_NO_BLOCK;
	if (len > 0) {
		m.block = up_get(r, core, a);
		memcpy(chan_block_at(&c->up, m.block), data, len);
	}
	rig_push(r, core, &m);
	return true;
}

uint32_t rig_requests(struct rig *r)
{
	return origin_requests(r->origin);
}
