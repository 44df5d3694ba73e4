/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Questions and orders of the operator that reach a core through the channel: purge, list, drain.
 * Each answer is one block of records, so that a question costs the core a bounded time. */
#include "dataplane/path.h"

/* Places of the hot table that a round of housekeeping looks at: some ten microseconds. */
#define SWEEP_SLOTS 1024u

/* The block for an answer, or NULL. The last one is left for requests. */
static unsigned char *result_block(struct core *core, uint32_t *block)
{
	struct core_chan *ch = &core->chan;

	if (ch->up.free_count < 2)
		return NULL;
	*block = chan_block_get(&ch->up);
	return chan_block_at(&ch->up, *block);
}

/* len 0 and no block: nothing, or no room (code 503). */
static void result_send(struct core *core, const struct chan_msg *question, struct chan_msg *answer)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg *m = chan_slot(&ch->port);

	if (m == NULL) { /* the asker's time runs out, and it asks again */
		if (answer->block != CHAN_NO_BLOCK)
			chan_block_put(&ch->up, answer->block);
		return;
	}
	*m = *answer;
	m->type = CHAN_RESULT;
	m->ticket = question->ticket;
	if (m->block != CHAN_NO_BLOCK)
		ch->up_blocks[m->block] = (struct up_block){.state = UP_SENT, .slot = UINT32_MAX};
	chan_push(&ch->port);
	counter_inc(core->ctr, CTR_chan_tx);
}

static uint32_t conn_rows(struct core *core, const struct chan_msg *q, unsigned char *at,
                          uint64_t *cursor)
{
	uint32_t cap = core->chan.up.block_bytes / sizeof(struct chan_conn_row);
	uint32_t want = min_u32(q->len == 0 ? cap : q->len, cap);
	uint32_t walk = (uint32_t)q->n;
	uint32_t n = 0;
	struct tcp_info info;

	while (n < want && tcp_conn_next(core->tcp, &walk, &info)) {
		struct chan_conn_row row = {
		        .local_port = info.local_port,
		        .remote_port = info.remote_port,
		        .state = (uint8_t)info.state,
		        .srtt_us = info.srtt_us,
		        .cwnd_bytes = info.cwnd_bytes,
		        .snd_queued_bytes = info.snd_queued_bytes,
		        .rcv_queued_bytes = info.rcv_queued_bytes,
		        .retransmits = info.retransmits,
		        .age_s = (uint32_t)((core->now_ns - info.opened_ns) / NS_PER_S),
		        .idle_ms = (core->now_ns - info.last_rx_ns) / NS_PER_MS,
		};

		memcpy(row.local, info.local.b, sizeof(row.local));
		memcpy(row.remote, info.remote.b, sizeof(row.remote));
		memcpy(at + n * sizeof(row), &row, sizeof(row));
		n++;
	}
	*cursor = n < want ? 0 : walk;
	return n * (uint32_t)sizeof(struct chan_conn_row);
}

static uint32_t cache_rows(struct core *core, const struct chan_msg *q, unsigned char *at,
                           uint64_t *cursor)
{
	uint32_t want = q->len == 0 ? UINT32_MAX : q->len;
	uint32_t len = 0;

	*cursor = q->n;
	for (uint32_t n = 0; n < want; n++) {
		uint64_t before = *cursor;
		const struct object *o = hot_next(core->hot, cursor);

		if (o == NULL) {
			*cursor = 0;
			break;
		}
		size_t bytes = align_up(sizeof(*o) + o->key_len, 8);
		if (len + bytes > core->chan.up.block_bytes) {
			*cursor = before; /* it comes first in the next answer */
			break;
		}
		struct object row = *o;
		row.fields_len = 0;
		row.tag_count = 0;
		row.text = NULL;
		row.spare = (uint16_t)hot_uses(core->hot, *cursor);
		row.etag_len = 0;
		row.last_modified_len = 0;
		memcpy(at + len, &row, sizeof(row));
		memcpy(at + len + sizeof(row), object_key(o).ptr, o->key_len);
		len += (uint32_t)bytes;
	}
	return len;
}

/* The text of a question, copied: control could change it while it is compared. NULL: no good. */
static struct span text_copy(struct core *core, const struct chan_msg *q)
{
	const void *p = chan_peer_bytes(&core->chan.port, q);

	if (p == NULL || q->len > CACHE_KEY_MAX) {
		counter_inc(core->ctr, CTR_chan_bad);
		return (struct span){0};
	}
	memcpy(core->key_buf, p, q->len);
	return span_of(core->key_buf, q->len);
}

static uint32_t cache_get(struct core *core, const struct chan_msg *q, unsigned char *at,
                          uint64_t *found)
{
	struct span text = text_copy(core, q);
	struct cache_key key = {.text = text};
	const struct object *o;

	*found = 0;
	if (text.ptr == NULL)
		return 0;
	key.hash = hash128(text.ptr, text.len, core->hash_seed);
	o = hot_get(core->hot, &key);
	if (o == NULL || object_head_bytes(o) > core->chan.up.block_bytes)
		return 0;
	*found = 1;
	object_head_write(at, o);
	return (uint32_t)object_head_bytes(o);
}

static uint32_t core_info(struct core *core, unsigned char *at)
{
	struct chan_core_info info = {
	        .uptime_ms = (core->now_ns - core->started_ns) / NS_PER_MS,
	        .snapshot_id = core->snap->id,
	        .core_id = core->cpu,
	        .conns = tcp_conn_count(core->tcp),
	        .misses_waiting = core->chan.miss_live,
	        .up_blocks_free = core->chan.up.free_count,
	        .pkts_free = nic_pkts_free(core->nic),
	        .draining = core->draining,
	};

	memcpy(at, &info, sizeof(info));
	return sizeof(info);
}

static void query(struct core *core, const struct chan_msg *q)
{
	struct chan_msg answer = {.block = CHAN_NO_BLOCK};
	unsigned char *at = result_block(core, &answer.block);

	if (at == NULL) {
		answer.code = 503;
		result_send(core, q, &answer);
		return;
	}
	switch (q->code) {
	case CHAN_QUERY_CONNS:
		answer.len = conn_rows(core, q, at, &answer.n);
		break;
	case CHAN_QUERY_CACHE:
		answer.len = cache_rows(core, q, at, &answer.n);
		break;
	case CHAN_QUERY_CACHE_GET:
		answer.len = cache_get(core, q, at, &answer.n);
		break;
	case CHAN_QUERY_INFO:
		answer.len = core_info(core, at);
		break;
	default:
		counter_inc(core->ctr, CTR_chan_bad);
	}
	result_send(core, q, &answer);
}

/* --- purges --- */

/* What the message orders; false when it makes no sense. */
static bool purge_read(struct core *core, const struct chan_msg *m, struct inval_purge *p)
{
	*p = (struct inval_purge){
	        .seq = m->n,
	        .kind = (enum inval_kind)m->code,
	        .soft = (m->flags & CHAN_F_SOFT) != 0,
	};
	if (m->code >= INVAL_KINDS || m->n == 0 || m->n > INVAL_SEQ_MAX) {
		counter_inc(core->ctr, CTR_chan_bad);
		return false;
	}
	if (p->kind != INVAL_ALL)
		p->text = text_copy(core, m);
	return p->kind == INVAL_ALL || p->text.ptr != NULL;
}

static uint32_t purge_do(struct core *core, const struct inval_purge *p)
{
	struct hash128 hash = {0};

	if (p->kind == INVAL_KEY)
		hash = hash128(p->text.ptr, p->text.len, core->hash_seed);
	counter_inc(core->ctr, CTR_cache_purge_orders);
	if (core->l0 != NULL)
		(void)hot_purge(core->l0, p, hash);
	return hot_purge(core->hot, p, hash);
}

/* A question that waits until a sweep has counted; false: no room, it is answered at once. */
static bool count_begin(struct core *core, const struct chan_msg *q)
{
	for (uint32_t i = 0; i < ARRAY_LEN(core->chan.counting); i++) {
		struct chan_msg *free = &core->chan.counting[i];

		if (free->type != CHAN_NONE)
			continue;
		if (!hot_tally_begin(core->hot, q->n))
			return false;
		*free = *q;
		return true;
	}
	return false;
}

static void purge(struct core *core, const struct chan_msg *q)
{
	struct chan_msg answer = {.block = CHAN_NO_BLOCK};
	struct inval_purge p;
	bool counts = false;

	if (purge_read(core, q, &p)) {
		if (q->ticket.seq != 0 && (q->flags & CHAN_F_COUNT) && p.kind != INVAL_KEY)
			counts = count_begin(core, q);
		answer.n = purge_do(core, &p);
	}
	if (q->ticket.seq != 0 && !counts)
		result_send(core, q, &answer);
}

void query_sweep(struct core *core)
{
	if (core->l0 != NULL)
		(void)hot_sweep(core->l0, SWEEP_SLOTS);
	if (likely(!hot_sweep(core->hot, SWEEP_SLOTS)))
		return;
	for (uint32_t i = 0; i < ARRAY_LEN(core->chan.counting); i++) {
		struct chan_msg *q = &core->chan.counting[i];
		struct chan_msg answer = {.block = CHAN_NO_BLOCK};
		uint32_t hits;

		if (q->type == CHAN_NONE || !hot_tally_end(core->hot, q->n, &hits))
			continue;
		answer.n = hits;
		if (q->ticket.epoch == core->chan.epoch)
			result_send(core, q, &answer);
		q->type = CHAN_NONE;
	}
}

/* Control may die with purges in the ring, and whoever ordered them was told that they are done or
 * will be. Their texts are still there: nobody writes the down slab before this core has told the
 * next control what it holds. */
void query_leftovers(struct core *core)
{
	struct chan_port *port = &core->chan.port;
	struct chan_msg m;
	struct inval_purge p;

	for (uint32_t n = 0; n <= port->rx.mask && chan_recv(port, &m); n++)
		if (m.type == CHAN_PURGE && purge_read(core, &m, &p))
			purge_do(core, &p);
}

void query_input(struct core *core, const struct chan_msg *m)
{
	bool known = m->ticket.epoch == core->chan.epoch;

	if (!known)
		counter_inc(core->ctr, CTR_chan_late);
	else if (m->type == CHAN_QUERY)
		query(core, m);
	else if (m->type == CHAN_PURGE)
		purge(core, m);
	else
		core_drain(core, (uint32_t)min_u64(m->n, UINT32_MAX));
	if (m->block != CHAN_NO_BLOCK && m->block < core->chan.down_blocks) {
		core->chan.down_refs[m->block]++;
		miss_release_down(core, m->block);
	}
}
