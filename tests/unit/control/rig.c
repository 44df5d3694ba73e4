/* SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include "lib/chan_attach.h"
#include "lib/doorbell.h"
#include "lib/hash.h"
#include "lib/log.h"

#include <unistd.h>
#include <sys/socket.h>

#define RIG_SEED 1u /* of the cores' key hashes */

static const char config_text[] = "listeners: [{address: 192.0.2.1}]\n"
                                  "ports: [{type: tap, interface: t0, cores: [0, 1]}]\n"
                                  "node: testnode\n"
                                  "run_dir: %s\n"
                                  "limits: {response_head_bytes: 8192, window_bytes: 262144}\n"
                                  "upstreams: [{name: o, addresses: [\"127.0.0.1:%u\"]%s}]\n"
                                  "routes: [{upstream: o%s}]\n"
                                  "memory: {store_bytes: %llu}\n";

static void core_start(struct rig *r, uint32_t i)
{
	struct rig_core *c = &r->core[i];

	chan_port_core(&r->chan, i, &c->port);
	c->port.ring_fd = r->wait_fd;
	c->port.wait_fd = r->ring_fds[i];
	chan_slab_init(&c->up, chan_up_base(&r->chan, i), r->geo.up_block_bytes, r->geo.up_blocks);
	c->up_mine = calloc(r->geo.up_blocks, 1);
	c->up_slot = calloc(r->geo.up_blocks, sizeof(*c->up_slot));
	c->down_refs = calloc(r->geo.down_blocks, sizeof(*c->down_refs));
	c->asks = calloc(RIG_ASKS, sizeof(*c->asks));
	c->down_held = 0;
	c->purges_seen = 0;
	c->born_max = 0;
	assert_int_equal(inval_create(&c->inval, INVAL_SLOTS_MIN), ST_OK);
}

void rig_dataplane_start(struct rig *r)
{
	assert_int_equal(chan_create(&r->chan, &r->geo, false), ST_OK);
	r->chan.hdr->hash_seed = RIG_SEED;
	assert_int_equal(attach_listen(r->path, &r->listener), ST_OK);
	assert_int_equal(doorbell_create(&r->wait_fd), ST_OK);
	for (uint32_t i = 0; i < RIG_CORES; i++) {
		assert_int_equal(doorbell_create(&r->ring_fds[i]), ST_OK);
		core_start(r, i);
	}
	r->sock = -1;
	r->attached = false;
}

static void sock_close(struct rig *r)
{
	if (r->sock >= 0)
		close(r->sock);
	r->sock = -1;
	r->attached = false;
}

void rig_dataplane_kill(struct rig *r)
{
	sock_close(r);
	close(r->listener);
	close(r->wait_fd);
	for (uint32_t i = 0; i < RIG_CORES; i++) {
		struct rig_core *c = &r->core[i];

		close(r->ring_fds[i]);
		chan_slab_destroy(&c->up);
		free(c->up_mine);
		free(c->up_slot);
		free(c->down_refs);
		free(c->asks);
		inval_destroy(c->inval);
	}
	chan_close(&r->chan);
}

/* Control is away: blocks that it had come back, tickets are void. */
void rig_sock_break(struct rig *r)
{
	sock_close(r);
	for (uint32_t i = 0; i < RIG_CORES; i++) {
		struct rig_core *c = &r->core[i];

		for (uint32_t b = 0; b < r->geo.up_blocks; b++) {
			if (c->up_mine[b])
				chan_block_put(&c->up, b);
			c->up_mine[b] = 0;
		}
		for (uint32_t s = 0; s < RIG_ASKS; s++)
			c->asks[s].used = false;
	}
}

void rig_push(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct chan_msg *slot;

	/* Only control runs meanwhile: this may be called while answers are taken. */
	while ((slot = chan_slot(&r->core[core].port)) == NULL) {
		chan_flush(&r->core[core].port);
		loop_once(r->ctl.loop, NS_PER_MS / 2);
	}
	*slot = *m;
	chan_push(&r->core[core].port);
}

static void release(struct rig *r, uint32_t core, uint32_t block)
{
	struct rig_core *c = &r->core[core];
	struct chan_msg m = {.type = CHAN_RELEASE, .code = 1, .block = CHAN_NO_BLOCK};

	c->down_refs[block]--;
	c->down_held -= c->down_refs[block] == 0;
	m.blocks[0] = block;
	rig_push(r, core, &m);
}

void rig_release_all(struct rig *r, uint32_t core)
{
	struct rig_core *c = &r->core[core];

	for (uint32_t b = 0; b < r->geo.down_blocks; b++)
		while (c->down_refs[b] > 0)
			release(r, core, b);
}

static void sync_send(struct rig *r, uint32_t core)
{
	struct rig_core *c = &r->core[core];
	struct chan_msg sync = {.type = CHAN_SYNC,
	                        .block = CHAN_NO_BLOCK,
	                        .n = r->epoch,
	                        .born = c->born_max,
	                        .ticket.seq = c->purges_seen};
	struct chan_msg held = {.type = CHAN_HELD, .block = CHAN_NO_BLOCK};

	chan_drain(&c->port);
	rig_push(r, core, &sync);
	for (uint32_t b = 0; b < r->geo.down_blocks; b++) {
		for (uint32_t i = 0; i < c->down_refs[b]; i++) {
			if (held.code == CHAN_RELEASE_MAX) {
				rig_push(r, core, &held);
				held.code = 0;
			}
			held.blocks[held.code++] = b;
		}
	}
	held.flags = CHAN_F_END;
	rig_push(r, core, &held);
	chan_flush(&c->port);
}

static void hello(struct rig *r)
{
	struct attach_msg m = {
	        .type = ATTACH_HELLO,
	        .n = r->chan.hdr->generation,
	        .epoch = ++r->epoch,
	        .fd_count = RIG_CORES + 2,
	};
	int fds[RIG_CORES + 2] = {r->chan.shm.fd, r->wait_fd};

	for (uint32_t i = 0; i < RIG_CORES; i++)
		fds[2 + i] = r->ring_fds[i];
	r->chan.hdr->attach_epoch = r->epoch;
	assert_int_equal(attach_send(r->sock, &m, fds), ST_OK);
	r->attached = true;
	for (uint32_t i = 0; !r->no_sync && i < RIG_CORES; i++)
		sync_send(r, i);
}

static void snapshot_take(struct rig *r)
{
	int fds[ATTACH_MAX_FDS];
	struct attach_msg m;

	if (r->sock < 0 || attach_recv(r->sock, &m, fds) != ST_OK)
		return;
	for (uint32_t i = 0; i < m.fd_count; i++)
		close(fds[i]);
	if (m.type != ATTACH_SNAPSHOT)
		return;
	r->snapshots++;
	m.type = r->refuse_snapshots ? ATTACH_SNAPSHOT_BAD : ATTACH_SNAPSHOT_OK;
	m.fd_count = 0;
	snprintf(m.text, sizeof(m.text), "because");
	attach_send(r->sock, &m, NULL);
}

/* --- answers --- */

static void block_take(struct rig *r, uint32_t core, const struct chan_msg *m, bool hold)
{
	struct rig_core *c = &r->core[core];

	if (m->block == CHAN_NO_BLOCK)
		return;
	c->down_held += c->down_refs[m->block]++ == 0;
	c->down_held_max = max_u32(c->down_held_max, c->down_held);
	if (!hold)
		release(r, core, m->block);
}

static struct ask *ask_of(struct rig *r, uint32_t core, const struct chan_ticket *t)
{
	struct ask *a;

	if (t->core != core || t->epoch != r->epoch || t->slot >= RIG_ASKS)
		return NULL;
	a = &r->core[core].asks[t->slot];
	return a->used && a->seq == t->seq ? a : NULL;
}

static void take_head(struct ask *a, const struct chan_msg *m, const void *p)
{
	assert_non_null(p);
	assert_true(object_head_valid(p, m->len));
	assert_int_equal(m->off % 8, 0);
	memcpy(&a->head, p, sizeof(a->head));
	if (a->head.status < 200) {
		assert_int_equal(a->heads, 0);
		assert_int_equal(m->flags, 0);
		a->interims++;
		return;
	}
	struct span f = object_fields(p);
	memcpy(a->fields, f.ptr, f.len);
	a->fields[f.len] = '\0';
	a->heads++;
	a->flags_shared = (m->flags & CHAN_F_SHARED) != 0;
	a->flags_fill = (m->flags & CHAN_F_FILL) != 0;
	a->flags_reused = (m->flags & CHAN_F_REUSED) != 0;
	a->tier = m->flags & (CHAN_F_STORE | CHAN_F_L3);
	a->code = m->code;
	struct span key = object_key(p);
	memcpy(a->key, key.ptr, key.len);
	a->key[key.len] = '\0';
}

static void take_body(struct ask *a, const struct chan_msg *m, const unsigned char *p)
{
	a->bodies++;
	assert_int_equal(a->heads, 1);
	for (uint32_t i = 0; i < m->len; i++) {
		if (!a->raw_body && p[i] != origin_byte(a->got + i))
			a->bad = true;
		if (a->got + i < sizeof(a->start) - 1)
			a->start[a->got + i] = (char)p[i];
	}
	a->got += m->len;
	a->aborted = (m->flags & CHAN_F_ABORT) != 0;
}

static void take_answer(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct ask *a = ask_of(r, core, &m->ticket);
	const void *p = m->block == CHAN_NO_BLOCK ? NULL : chan_peer_bytes(&r->core[core].port, m);

	assert_true(m->block == CHAN_NO_BLOCK || p != NULL);
	if (a != NULL) {
		assert_false(a->done);
		if (m->type == CHAN_HEAD) {
			a->put_before = r->core[core].puts;
			take_head(a, m, p);
		}
		if (m->type == CHAN_BODY)
			take_body(a, m, p);
		if (m->type == CHAN_FAIL)
			a->fail = m->code;
		a->done = m->type == CHAN_FAIL || (m->flags & CHAN_F_END) != 0;
	}
	block_take(r, core, m, a != NULL && a->hold);
}

static void take_release(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct rig_core *c = &r->core[core];

	for (uint32_t i = 0; i < m->code; i++) {
		uint32_t b = m->blocks[i];

		if (b >= r->geo.up_blocks || !c->up_mine[b]) {
			r->foreign++;
			continue;
		}
		c->up_mine[b] = 0;
		c->asks[c->up_slot[b]].up_held--;
		chan_block_put(&c->up, b);
	}
}

static void text_of(char *to, struct span text)
{
	memcpy(to, text.ptr, text.len);
	to[text.len] = '\0';
}

/* An object for the hot table, and no request of anybody. */
static void take_put(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct rig_core *c = &r->core[core];
	const void *p = chan_peer_bytes(&c->port, m);

	assert_non_null(p);
	assert_int_equal(m->off % 8, 0);
	assert_int_equal(m->ticket.seq, 0);
	assert_true(object_head_valid(p, m->len));
	memcpy(&c->last_put, p, sizeof(c->last_put));
	assert_true((c->last_put.flags & (OBJECT_VARY | OBJECT_PASS)) != 0);
	text_of(c->put_key, object_key(p));
	c->puts++;
	block_take(r, core, m, false);
}

static void take_purge(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct rig_core *c = &r->core[core];

	struct inval_purge p = {.seq = m->n,
	                        .kind = (enum inval_kind)m->code,
	                        .soft = (m->flags & CHAN_F_SOFT) != 0};

	c->purges++;
	c->last_purge = *m;
	if (m->block != CHAN_NO_BLOCK)
		text_of(c->purge_text, span_of(chan_peer_bytes(&c->port, m), m->len));
	if (m->block != CHAN_NO_BLOCK)
		p.text = span_cstr(c->purge_text);
	inval_add(c->inval, &p);
	c->purges_seen = max_u64(c->purges_seen, m->n);
}

static void take_question(struct rig *r, uint32_t core, const struct chan_msg *m)
{
	struct rig_core *c = &r->core[core];
	struct chan_msg answer = {
	        .type = CHAN_RESULT,
	        .ticket = m->ticket,
	        .block = CHAN_NO_BLOCK,
	        .n = m->type == CHAN_PURGE ? 3 : m->n + 1,
	};

	c->last_query = *m;
	if (m->type == CHAN_PURGE)
		take_purge(r, core, m);
	block_take(r, core, m, false);
	if (m->ticket.seq != 0)
		rig_push(r, core, &answer);
}

static void core_step(struct rig *r, uint32_t core)
{
	struct rig_core *c = &r->core[core];
	struct chan_msg m;

	while (!c->paused && chan_recv(&c->port, &m)) {
		chan_rx_done(&c->port);
		switch (m.type) {
		case CHAN_HEAD:
		case CHAN_BODY:
		case CHAN_FAIL:
			take_answer(r, core, &m);
			break;
		case CHAN_RELEASE:
			take_release(r, core, &m);
			break;
		case CHAN_PUT:
			take_put(r, core, &m);
			break;
		case CHAN_PURGE:
		case CHAN_QUERY:
			take_question(r, core, &m);
			break;
		default:
			c->last_query = m;
		}
	}
	chan_flush(&c->port);
}

void rig_step(struct rig *r)
{
	if (r->sock < 0) {
		r->sock = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (r->sock >= 0)
			hello(r);
	}
	for (uint32_t i = 0; r->attached && i < RIG_CORES; i++)
		core_step(r, i);
	snapshot_take(r);
	loop_once(r->ctl.loop, NS_PER_MS / 2);
}

void rig_attach(struct rig *r)
{
	RIG_UNTIL(r, chan_server_attached(r->ctl.chan));
}

/* --- start and stop --- */

static void config_make(struct rig *r, const struct rig_options *o)
{
	struct config_error err;
	char text[2048];
	FILE *f;

	snprintf(text, sizeof(text), config_text, r->dir, origin_port(r->origin), o->upstream,
	         o->route, (unsigned long long)o->store_bytes);
	snprintf(r->conf, sizeof(r->conf), "%s/sluice.yaml", r->dir);
	f = fopen(r->conf, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	if (config_load(r->conf, &r->ctl.config, &err) != ST_OK ||
	    snapshot_build(r->ctl.config, &r->ctl.snapshot, &err) != ST_OK)
		fail_msg("%s", err.text);
	r->ctl.first = r->ctl.config;
}

struct rig *rig_new(const char *extra)
{
	const struct rig_options o = {extra, "", 256 << 20};

	return rig_new_with(&o);
}

struct rig *rig_new_with(const struct rig_options *o)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct loop_config lc = {.entries = 256};
	struct control *ctl = &r->ctl;

	log_set_level(LOG_ERROR);
	http1_init(NULL);
	snprintf(r->dir, sizeof(r->dir), "/tmp/sluice-unit-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->origin = origin_start();
	config_make(r, o);
	ctl->config_path = r->conf;
	snprintf(r->path, sizeof(r->path), "%s/dataplane.sock", r->dir);
	r->geo = (struct chan_geometry){
	        .cores = RIG_CORES,
	        .ring_entries = 256,
	        .up_block_bytes = 16384,
	        .up_blocks = 64,
	        .down_block_bytes = 16384,
	        .down_blocks = 512,
	};
	rig_dataplane_start(r);
	assert_int_equal(loop_create(&ctl->loop, &lc), ST_OK);
	assert_int_equal(upstreams_create(ctl, &ctl->upstreams), ST_OK);
	assert_int_equal(fetcher_create(ctl, &ctl->fetcher), ST_OK);
	assert_int_equal(fetcher_plan_add(ctl->fetcher, ctl->snapshot, ctl->config), ST_OK);
	fetcher_plan_commit(ctl->fetcher);
	assert_int_equal(chan_server_start(ctl, &ctl->chan), ST_OK);
	return r;
}

void rig_free(struct rig *r)
{
	struct control *ctl = &r->ctl;

	assert_int_equal(r->foreign, 0);
	chan_server_stop(ctl->chan);
	fetcher_destroy(ctl->fetcher);
	upstreams_destroy(ctl->upstreams);
	loop_destroy(ctl->loop);
	free(ctl->snapshot);
	if (ctl->config != ctl->first)
		config_free(ctl->config);
	config_free(ctl->first);
	rig_dataplane_kill(r);
	origin_stop(r->origin);
	unlink(r->path);
	unlink(r->conf);
	rmdir(r->dir);
	free(r);
}

int rig_setup(void **state)
{
	struct rig *r = rig_new("");

	rig_attach(r);
	*state = r;
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}
