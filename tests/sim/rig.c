/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/rig.h"

#include <stdio.h>
#include <stdlib.h>

#define WALL_START_NS 1700000000000000000ull

static const char default_yaml[] = "node: rig\n" RIG_YAML_MEMORY RIG_YAML_WORLD RIG_YAML_ROUTE;

static const uint8_t server_mac[6] = {2, 0, 0, 0, 0, 1};

static void server_tx(void *arg, const void *data, uint32_t len)
{
	struct rig *rig = arg;

	if (rig->link != NULL)
		rig->link(rig->link_arg, rig, false, data, len);
	else
		rig_deliver(rig, false, data, len);
}

static void client_tx(void *arg, const void *data, uint32_t len)
{
	struct rig *rig = arg;

	if (rig->link != NULL)
		rig->link(rig->link_arg, rig, true, data, len);
	else
		rig_deliver(rig, true, data, len);
}

void rig_deliver(struct rig *rig, bool to_server, const void *frame, uint32_t len)
{
	/* A full queue loses the frame, as a NIC does. */
	(void)nic_sim_inject(to_server ? rig->server_nic : rig->client_nic, frame, len);
}

static void client_release(void *arg, uint64_t cookie)
{
	struct rig *rig = arg;

	if (rig->release != NULL)
		rig->release(rig->release_arg, cookie);
}

static enum status client_make(struct rig *rig)
{
	struct nic_sim_config nc = {
	        .mac = {2, 0, 0, 0, 0, 2},
	        .buffers = 4096,
	        .rx_queue = 2048,
	        .on_tx = client_tx,
	        .arg = rig,
	};
	struct tcp_config tcfg;
	struct tcp_env env;
	enum status st;

	rig->client_nic = nic_sim_create(&nc);
	if (rig->client_nic == NULL)
		return ST_NOMEM;
	ip_addr_parse(RIG_CLIENT, &rig->client_addr);
	st = net_create(&rig->client_net, rig->client_nic, &rig->client_ctr, &rig->client_addr, 1);
	if (st != ST_OK)
		return st;
	tcp_config_default(&tcfg);
	tcfg.max_conns = 16384;
	tcfg.rx_bufs = 4096;
	tcfg.tx_chunks = 16384;
	tcfg.tx_refs = 32768;
	tcfg.delayed_ack_ms = 0;
	tcfg.syn_retries = 12; /* a simulated link loses much */
	tcfg.time_wait_ms = 1; /* so that a test may use a port again */
	env = (struct tcp_env){
	        .net = rig->client_net,
	        .ctr = &rig->client_ctr,
	        .release = client_release,
	        .arg = rig,
	};
	return tcp_create(&rig->client, &tcfg, &env, rig->now_ns);
}

static enum status channel_make(struct rig *rig)
{
	const struct config_memory *m = &rig->config->memory;
	struct chan_geometry geo = {
	        .cores = 1,
	        .ring_entries = m->channel_ring_entries,
	        .up_block_bytes = m->up_block_bytes,
	        .up_blocks = m->up_blocks,
	        .down_block_bytes = m->down_block_bytes,
	        .down_blocks = m->down_blocks,
	};
	enum status st = chan_create(&rig->chan, &geo, false);

	if (st != ST_OK)
		return st;
	chan_port_control(&rig->chan, 0, &rig->control);
	rig->control.ring_fd = -1;
	rig->control.wait_fd = -1;
	rig->down_extra = calloc(m->down_blocks, sizeof(rig->down_extra[0]));
	if (rig->down_extra == NULL)
		return ST_NOMEM;
	return chan_slab_init(&rig->down, chan_down_base(&rig->chan), m->down_block_bytes,
	                      m->down_blocks);
}

static enum status server_make(struct rig *rig, core_random_fn fill, struct hot_share *share)
{
	const struct config_memory *m = &rig->config->memory;
	struct nic_sim_config nc = {
	        .buffers = RIG_SERVER_BUFFERS,
	        .large_buffers = rig->config->tcp.segmentation_offload == CONFIG_OFFLOAD_ON
	                                 ? m->large_buffers
	                                 : 0,
	        .rx_queue = 4096,
	        .on_tx = server_tx,
	        .arg = rig,
	};
	struct core_config cc = {
	        .config = rig->config,
	        .listeners = &rig->listener,
	        .listener_count = 1,
	        .stats = chan_stats(&rig->chan, 0),
	        .up_base = chan_up_base(&rig->chan, 0),
	        .up_block_bytes = m->up_block_bytes,
	        .up_blocks = m->up_blocks,
	        .down_block_bytes = m->down_block_bytes,
	        .down_blocks = m->down_blocks,
	        .snapshot = rig->snapshot,
	        .hash_seed = 42,
	        .share = share,
	        .random = fill,
	        .now_ns = rig->now_ns,
	        .wall_ns = rig->wall_ns,
	};

	memcpy(nc.mac, server_mac, sizeof(nc.mac));
	rig->server_nic = nic_sim_create(&nc);
	if (rig->server_nic == NULL)
		return ST_NOMEM;
	ip_addr_parse(RIG_SERVER, &rig->listener.addr);
	rig->listener.port = RIG_PORT;
	cc.nic = rig->server_nic;
	chan_port_core(&rig->chan, 0, &cc.port);
	cc.port.ring_fd = -1;
	cc.port.wait_fd = -1;
	return core_create(&rig->core, &cc, rig->shared);
}

static enum status rig_make(struct rig *rig, const char *yaml, core_random_fn fill,
                            struct hot_share *share)
{
	struct config_error err = {0};
	enum status st;

	*rig = (struct rig){.now_ns = NS_PER_S, .wall_ns = WALL_START_NS};
	rig->shared = aligned_alloc(CACHE_LINE, sizeof(*rig->shared));
	if (rig->shared == NULL)
		return ST_NOMEM;
	memset(rig->shared, 0, sizeof(*rig->shared));
	if (yaml == NULL)
		yaml = default_yaml;
	http1_init(NULL);
	st = config_parse(yaml, strlen(yaml), "rig", &rig->config, &err);
	if (st == ST_OK)
		st = snapshot_build(rig->config, &rig->snapshot, &err);
	if (st != ST_OK) {
		fprintf(stderr, "rig: %s\n", err.text);
		return st;
	}
	st = channel_make(rig);
	if (st == ST_OK)
		st = client_make(rig);
	if (st == ST_OK)
		st = server_make(rig, fill, share);
	return st;
}

enum status rig_create(struct rig *rig, const char *yaml)
{
	return rig_make(rig, yaml, NULL, NULL);
}

enum status rig_create_random(struct rig *rig, const char *yaml, core_random_fn fill)
{
	return rig_make(rig, yaml, fill, NULL);
}

enum status rig_create_shared(struct rig *rig, const char *yaml, core_random_fn fill,
                              struct hot_share *share)
{
	return rig_make(rig, yaml, fill, share);
}

void rig_destroy(struct rig *rig)
{
	if (rig->client != NULL)
		tcp_destroy(rig->client);
	if (rig->client_net != NULL)
		net_destroy(rig->client_net);
	if (rig->core != NULL)
		core_destroy(rig->core);
	if (rig->client_nic != NULL)
		nic_sim_destroy(rig->client_nic);
	if (rig->server_nic != NULL)
		nic_sim_destroy(rig->server_nic);
	chan_slab_destroy(&rig->down);
	free(rig->down_extra);
	if (rig->chan.hdr != NULL)
		chan_close(&rig->chan);
	free(rig->snapshot);
	free(rig->shared);
	config_free(rig->config);
}

/* Without a hook the owner of the client reads its connections between steps; until then the stack
 * keeps what came. */
static void client_keep(struct rig *rig)
{
	struct conn *again[NIC_BURST];
	uint32_t again_events[NIC_BURST];
	unsigned count = 0;
	struct conn *conn;
	uint32_t events;

	while (count < NIC_BURST && (conn = tcp_ready(rig->client, &events)) != NULL) {
		tcp_ready_done(rig->client, conn, rig->now_ns);
		if (events & TCP_EV_CLOSED)
			continue;
		again[count] = conn;
		again_events[count++] = events;
	}
	for (unsigned i = 0; i < count; i++)
		tcp_wake(rig->client, again[i], again_events[i]);
}

static void client_ready(struct rig *rig)
{
	struct conn *conn;
	uint32_t events;

	if (rig->on_client == NULL) {
		client_keep(rig);
		return;
	}
	while ((conn = tcp_ready(rig->client, &events)) != NULL) {
		rig->on_client(rig->client_arg, rig, conn, events);
		tcp_ready_done(rig->client, conn, rig->now_ns);
	}
}

static void client_round(struct rig *rig)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;

	while ((n = nic_rx_burst(rig->client_nic, pkts, NIC_BURST)) > 0) {
		n = net_input(rig->client_net, pkts, n, rig->now_ns);
		for (unsigned i = 0; i < n; i++)
			tcp_input(rig->client, &pkts[i], rig->now_ns);
		client_ready(rig);
		if (n > 0)
			nic_pkt_free(rig->client_nic, pkts, n);
	}
	tcp_timers(rig->client, rig->now_ns);
	client_ready(rig);
	net_flush(rig->client_net);
}

uint32_t rig_step(struct rig *rig, uint64_t dt_ns)
{
	uint32_t did;

	rig->now_ns += dt_ns;
	rig->wall_ns += dt_ns;
	net_flush(rig->client_net);
	did = core_round(rig->core, rig->now_ns, rig->wall_ns);
	client_round(rig);
	return did;
}

void rig_settle(struct rig *rig, uint32_t steps, uint64_t dt_ns)
{
	for (uint32_t quiet = 0; steps > 0 && quiet < 3; steps--)
		quiet = rig_step(rig, dt_ns) == 0 && nic_sim_pending(rig->server_nic) == 0
		                ? quiet + 1
		                : 0;
}

struct conn *rig_connect(struct rig *rig, uint16_t port)
{
	struct net_path path = {.local = rig->client_addr, .remote = rig->listener.addr};

	memcpy(path.remote_mac, server_mac, sizeof(path.remote_mac));
	return tcp_connect(rig->client, &path, port, RIG_PORT, rig->now_ns);
}

static void slab_anew(struct rig *rig, const uint32_t *refs)
{
	uint32_t free_count = 0;

	for (uint32_t i = rig->down.count; i > 0; i--) {
		rig->down_extra[i - 1] = refs[i - 1] > 1 ? refs[i - 1] - 1 : 0;
		if (refs[i - 1] == 0)
			rig->down.free[free_count++] = i - 1;
	}
	rig->down.free_count = free_count;
}

static bool held_read(struct rig *rig, uint32_t epoch, uint32_t *refs, bool *synced)
{
	struct chan_msg m;

	while (chan_recv(&rig->control, &m)) {
		chan_rx_done(&rig->control);
		if (m.type == CHAN_SYNC)
			*synced = m.n == epoch;
		if (!*synced || m.type != CHAN_HELD)
			continue;
		for (uint32_t i = 0; i < m.code && i < CHAN_RELEASE_MAX; i++) {
			if (m.blocks[i] >= rig->down.count)
				return false;
			refs[m.blocks[i]]++;
		}
		if (m.flags & CHAN_F_END)
			return true;
	}
	return false;
}

bool rig_attach(struct rig *rig, uint32_t epoch)
{
	uint32_t *refs = calloc(rig->down.count, sizeof(*refs));
	bool synced = false, ok = false;

	if (refs == NULL)
		return false;
	rig->shared->attach_epoch = epoch;
	/* The ring may be small: read while the core still tells. */
	for (int i = 0; i < 64 && !ok; i++) {
		rig_step(rig, NS_PER_MS);
		ok = held_read(rig, epoch, refs, &synced);
	}
	if (ok)
		slab_anew(rig, refs);
	free(refs);
	return ok;
}

void rig_detach(struct rig *rig)
{
	rig->shared->attach_epoch = 0;
	rig_settle(rig, 16, NS_PER_MS);
}

static void block_back(struct rig *rig, uint32_t block)
{
	if (rig->down_extra[block] > 0)
		rig->down_extra[block]--;
	else
		chan_block_put(&rig->down, block);
}

bool rig_recv(struct rig *rig, struct chan_msg *out)
{
	while (chan_recv(&rig->control, out)) {
		chan_rx_done(&rig->control);
		if (out->type != CHAN_RELEASE)
			return true;
		for (uint32_t i = 0; i < out->code && i < CHAN_RELEASE_MAX; i++)
			block_back(rig, out->blocks[i]);
	}
	return false;
}

void rig_release_up(struct rig *rig, uint32_t block)
{
	struct chan_msg *m = chan_slot(&rig->control);

	if (m == NULL || block == CHAN_NO_BLOCK)
		return;
	m->type = CHAN_RELEASE;
	m->code = 1;
	m->block = CHAN_NO_BLOCK;
	m->blocks[0] = block;
	chan_push(&rig->control);
	chan_flush(&rig->control);
}

static uint32_t head_block(struct rig *rig, const struct rig_answer *a, uint32_t *len)
{
	uint32_t block = chan_block_get(&rig->down);
	struct object *o;

	if (block == CHAN_NO_BLOCK)
		return block;
	struct span key = span_of(a->request + 1, a->request->key_len);
	uint64_t came_ms = rig->wall_ns / NS_PER_MS - a->age_ms;

	o = (struct object *)(void *)chan_block_at(&rig->down, block);
	*o = (struct object){
	        .hash = {a->request->key_lo, a->request->key_hi},
	        .response_ms = came_ms,
	        .expires_ms = came_ms + a->lifetime_ms,
	        .body_len = a->body_len,
	        .born_seq = a->born_seq,
	        .key_len = (uint32_t)key.len,
	        .fields_len = (uint32_t)strlen(a->fields),
	        .status = (uint16_t)a->status,
	        .flags = a->lifetime_ms > 0 ? OBJECT_STORABLE : 0,
	        .stale_while_s = a->stale_while_s,
	        .stale_error_s = a->stale_error_s,
	};
	o->flags |= a->object_flags;
	if (a->body_len == UINT64_MAX)
		o->flags |= OBJECT_CHUNKED;
	if (a->key.len > 0) {
		key = a->key;
		o->key_len = (uint32_t)key.len;
		o->hash = hash128(key.ptr, key.len, rig->core->hash_seed);
	}
	memcpy(o + 1, key.ptr, o->key_len);
	memcpy((char *)(o + 1) + o->key_len, a->fields, o->fields_len);
	const char *etag = strstr(a->fields, "ETag: ");
	if (etag != NULL) {
		o->etag_off = (uint32_t)(etag + 6 - a->fields);
		o->etag_len = (uint16_t)strcspn(etag + 6, "\r");
	}
	const char *modified = strstr(a->fields, "Last-Modified: ");
	if (modified != NULL) {
		o->last_modified_off = (uint32_t)(modified + 15 - a->fields);
		o->last_modified_len = (uint16_t)strcspn(modified + 15, "\r");
	}
	*len = (uint32_t)object_head_bytes(o);
	return block;
}

static bool body_send(struct rig *rig, const struct rig_answer *a)
{
	size_t piece = a->piece_bytes > 0 ? a->piece_bytes : rig->down.block_bytes;

	for (size_t at = 0; at < a->body.len || (at == 0 && a->body.len == 0); at += piece) {
		size_t n = min_size(piece, a->body.len - at);
		uint32_t block = chan_block_get(&rig->down);
		struct chan_msg *m = chan_slot(&rig->control);

		if (block == CHAN_NO_BLOCK || m == NULL)
			return false;
		memcpy(chan_block_at(&rig->down, block), a->body.ptr + at, n);
		m->type = CHAN_BODY;
		m->flags = at + n == a->body.len ? CHAN_F_END : 0;
		m->len = (uint32_t)n;
		m->ticket = a->ticket;
		m->block = block;
		chan_push(&rig->control);
		if (n == 0)
			break;
	}
	return true;
}

bool rig_reply(struct rig *rig, const struct rig_answer *a)
{
	struct chan_msg *m = chan_slot(&rig->control);
	uint32_t len = 0;

	if (m == NULL)
		return false;
	m->type = CHAN_HEAD;
	m->flags = a->flags;
	m->code = a->code;
	m->ticket = a->ticket;
	m->block = head_block(rig, a, &len);
	m->len = len;
	if (m->block == CHAN_NO_BLOCK)
		return false;
	chan_push(&rig->control);
	if (!(a->flags & CHAN_F_END) && !body_send(rig, a))
		return false;
	chan_flush(&rig->control);
	return true;
}

bool rig_put(struct rig *rig, const struct object *o)
{
	struct chan_msg *m = chan_slot(&rig->control);
	uint32_t block = chan_block_get(&rig->down);
	struct object *to;

	if (m == NULL || block == CHAN_NO_BLOCK)
		return false;
	to = (struct object *)(void *)chan_block_at(&rig->down, block);
	memcpy(to, o, object_head_bytes(o));
	to->hash = hash128(to + 1, to->key_len, rig->core->hash_seed);
	m->type = CHAN_PUT;
	m->block = block;
	m->len = (uint32_t)object_head_bytes(o);
	chan_push(&rig->control);
	chan_flush(&rig->control);
	return true;
}

bool rig_fail(struct rig *rig, struct chan_ticket ticket, uint16_t status)
{
	struct chan_msg *m = chan_slot(&rig->control);

	if (m == NULL)
		return false;
	m->type = CHAN_FAIL;
	m->code = status;
	m->ticket = ticket;
	m->block = CHAN_NO_BLOCK;
	chan_push(&rig->control);
	chan_flush(&rig->control);
	return true;
}

enum status rig_table_put(struct rig *rig, struct hot_table *table, const char *key,
                          const char *fields, struct span body)
{
	size_t head = sizeof(struct object) + strlen(key) + strlen(fields);
	struct object *o = calloc(1, head);
	struct hot_fill fill = {0};
	enum status st;

	if (o == NULL)
		return ST_NOMEM;
	o->hash = hash128(key, strlen(key), 42);
	o->response_ms = rig->wall_ns / NS_PER_MS;
	o->expires_ms = o->response_ms + 3600 * 1000;
	o->body_len = body.len;
	o->born_seq = hot_purge_seq(table);
	o->key_len = (uint32_t)strlen(key);
	o->fields_len = (uint32_t)strlen(fields);
	o->status = 200;
	o->flags = OBJECT_STORABLE;
	memcpy(o + 1, key, o->key_len);
	memcpy((char *)(o + 1) + o->key_len, fields, o->fields_len);
	st = hot_fill_begin(table, &fill, o, body.len);
	if (st == ST_OK)
		st = hot_fill_append(table, &fill, body);
	if (st == ST_OK && hot_fill_commit(table, &fill) == NULL)
		st = ST_FULL;
	free(o);
	return st;
}

enum status rig_hot_put(struct rig *rig, const char *key, const char *fields, struct span body)
{
	return rig_table_put(rig, rig->core->hot, key, fields, body);
}
