/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

uint32_t rig_large_buffers(void)
{
	const char *n = getenv("SLUICE_TEST_LARGE_BUFFERS");

	return n == NULL ? 0 : (uint32_t)strtoul(n, NULL, 10);
}

void tcp_config_small(struct tcp_config *cfg)
{
	tcp_config_default(cfg);
	cfg->max_conns = 64;
	cfg->max_syn_backlog = 32;
	cfg->rx_bufs = 64;
	cfg->tx_chunks = 512;
	cfg->tx_refs = 1024;
	cfg->loss_boards = 16;
	/* Most segments made by hand have no options; test_tcp_ack.c is for this rule. */
	cfg->timestamps_required = 0;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint32_t rig_random(struct rig *rig, uint32_t below)
{
	return (uint32_t)(next_random(&rig->rng) % below);
}

uint8_t rig_pattern(uint32_t seed, uint64_t at)
{
	uint64_t z = (at + seed) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(z >> 56);
}

uint8_t rig_text[1 << 18];

int rig_text_fill(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(rig_text); i++)
		rig_text[i] = rig_pattern(3, i);
	return 0;
}

static void pipe_put(struct host *from, const void *data, uint32_t len, uint64_t due_ns)
{
	struct rig *rig = from->rig;
	struct frame *f = &rig->frames[rig->frame_count];

	if (rig->frame_count == RIG_FRAMES)
		return;
	rig->frame_count++;
	f->to = from->index ^ 1u;
	f->len = len;
	f->due_ns = due_ns;
	memcpy(f->data, data, len);
}

static void host_sent(void *arg, const void *data, uint32_t len)
{
	struct host *host = arg;
	struct rig *rig = host->rig;
	uint64_t due = rig->now_ns + rig->cfg.delay_ns + rig->frames_sent;
	uint8_t copy[RIG_FRAME_BYTES];

	rig->frames_sent++;
	assert_true(len <= RIG_FRAME_BYTES);
	if (rig->filter && !rig->filter(rig, host->index, data, len))
		return;
	if (rig_random(rig, 1000) < rig->cfg.loss_pm)
		return;
	memcpy(copy, data, len);
	if (rig_random(rig, 1000) < rig->cfg.corrupt_pm)
		copy[rig_random(rig, len)] ^= (uint8_t)(1u << rig_random(rig, 8));
	if (rig_random(rig, 1000) < rig->cfg.reorder_pm)
		due += rig_random(rig, 3000) * NS_PER_US;
	if (rig->link) {
		struct rig_passing passing = {copy, len, due};

		if (!rig->link(rig, host->index, &passing))
			return;
		due = passing.due_ns;
	}
	pipe_put(host, copy, len, due);
	if (rig_random(rig, 1000) < rig->cfg.dup_pm)
		pipe_put(host, copy, len, due + rig_random(rig, 2000) * NS_PER_US);
}

static void host_release(void *arg, uint64_t cookie)
{
	struct host *host = arg;

	host->released += cookie;
}

static struct app *app_new(struct rig *rig, uint32_t host, const struct app *model)
{
	for (uint32_t i = 0; i < RIG_APPS; i++) {
		struct app *app = &rig->apps[i];

		if (app->used)
			continue;
		*app = *model;
		app->used = true;
		app->rig = rig;
		app->host = host;
		return app;
	}
	fail_msg("too many applications");
	return NULL;
}

static uint8_t ref_bytes[1 << 16];

static bool app_write_some(struct app *app)
{
	struct host *host = &app->rig->host[app->host];
	uint64_t left = app->tx_total - app->tx_done;
	uint32_t n = 1 + rig_random(app->rig, 5000);
	uint8_t buf[5001];
	size_t room;
	char *to;

	n = (uint32_t)min_u64(left, n);
	if (app->use_refs && n > 500) {
		/* Lent bytes must stay: keep the pattern of one seed in a table and lend from it.
		 */
		uint64_t at = app->tx_done % 32768;

		if (tcp_tx_ref(host->tcp, app->conn, ref_bytes + at, n, n) != ST_OK)
			return false;
		host->lent += n;
		app->tx_done += n;
		return true;
	}
	if (n < 200) {
		to = tcp_tx_reserve(host->tcp, app->conn, n, &room);
		if (!to)
			return false;
		n = (uint32_t)min_size(n, room);
		for (uint32_t i = 0; i < n; i++)
			to[i] = (char)rig_pattern(app->tx_seed, (app->tx_done + i) % 32768);
		tcp_tx_commit(host->tcp, app->conn, n);
		app->tx_done += n;
		return true;
	}
	for (uint32_t i = 0; i < n; i++)
		buf[i] = rig_pattern(app->tx_seed, (app->tx_done + i) % 32768);
	if (tcp_tx_copy(host->tcp, app->conn, buf, n) != ST_OK)
		return false;
	app->tx_done += n;
	return true;
}

static void app_write(struct app *app)
{
	struct host *host = &app->rig->host[app->host];
	uint32_t most = app->tx_queue_max ? app->tx_queue_max : 150000;

	while (app->tx_done < app->tx_total && tcp_tx_queued(app->conn) < most)
		if (!app_write_some(app))
			break;
	if (app->tx_done < app->tx_total)
		tcp_tx_want_room(app->conn, most / 3 * 2);
	else if (!app->keep_open && !app->shut) {
		app->shut = true;
		tcp_shutdown(host->tcp, app->conn);
	}
}

static void app_read(struct app *app)
{
	struct host *host = &app->rig->host[app->host];
	struct span rx = tcp_rx(app->conn);
	size_t n = rx.len;

	if (app->read_max && n > app->read_max)
		n = app->read_max;
	if (app->stall > 0) {
		app->stall--;
		n = 0;
	}
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)rx.ptr[i] != rig_pattern(app->rx_seed, (app->rx_done + i) % 32768))
			app->rig->mismatches++;
	app->rx_done += n;
	tcp_rx_consume(host->tcp, app->conn, n);
	if (n < rx.len)
		tcp_user_timer(host->tcp, app->conn, app->rig->now_ns + 5 * NS_PER_MS);
}

static void app_run(struct host *host, struct conn *conn, uint32_t events)
{
	struct app *app = tcp_owner(conn);

	if (!app) {
		assert_true(events & TCP_EV_OPEN);
		app = app_new(host->rig, host->index, &host->model);
		app->conn = conn;
		tcp_set_owner(conn, app);
	}
	assert_ptr_equal(app->conn, conn);
	if (events & TCP_EV_OPEN)
		app->opened = true;
	app_read(app);
	if (tcp_rx_eof(conn))
		app->eof = true;
	if (events & TCP_EV_CLOSED) {
		app->closed = true;
		app->conn = NULL;
		return;
	}
	app_write(app);
	if (app->close_after && app->eof && app->shut) {
		app->conn = NULL;
		app->closed = true;
		tcp_set_owner(conn, NULL);
		tcp_close(host->tcp, conn, host->rig->now_ns);
	}
}

static void host_timer(void *arg, struct conn *conn, uint64_t now_ns)
{
	struct host *host = arg;
	struct app *app = tcp_owner(conn);

	(void)now_ns;
	if (app)
		app->timer_fired = true;
	tcp_wake(host->tcp, conn, 0);
}

static void host_ready(struct host *host)
{
	struct conn *conn;
	uint32_t events;

	while ((conn = tcp_ready(host->tcp, &events)) != NULL) {
		app_run(host, conn, events);
		tcp_ready_done(host->tcp, conn, host->rig->now_ns);
	}
}

static void host_run(struct host *host)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;

	while ((n = nic_rx_burst(host->nic, pkts, NIC_BURST)) > 0) {
		n = net_input(host->net, pkts, n, host->rig->now_ns);
		for (unsigned i = 0; i < n; i++)
			tcp_input(host->tcp, &pkts[i], host->rig->now_ns);
		host_ready(host);
		/* What was lent must not be used any more. */
		for (unsigned i = 0; i < n; i++)
			memset(pkts[i].data, 0xdb, pkts[i].len);
		nic_pkt_free(host->nic, pkts, n);
	}
	tcp_timers(host->tcp, host->rig->now_ns);
	host_ready(host);
	net_flush(host->net);
}

static void host_open(struct host *host, struct rig *rig, uint32_t index)
{
	struct nic_sim_config nic = {
	        .mac = {2, 0, 0, 0, 0, (uint8_t)(index + 1)},
	        .mtu = rig->cfg.mtu,
	        .buffers = rig->cfg.buffers ? rig->cfg.buffers : 4096,
	        .rx_queue = 4096,
	        .tx_ip_csum = rig->cfg.offload,
	        .tx_l4_csum = rig->cfg.offload,
	        .large_buffers = rig_large_buffers(),
	        .rx_csum = rig->cfg.offload,
	        .on_tx = host_sent,
	        .arg = host,
	};
	/* One seed, one run: keys as well. */
	uint8_t seed[TCP_SEED_BYTES] = {(uint8_t)index, (uint8_t)rig->cfg.seed};
	struct tcp_env env = {
	        .ctr = &host->ctr, .release = host_release, .arg = host, .seed = seed};
	static const struct ip_addr any;

	*host = (struct host){.rig = rig, .index = index};
	assert_true(ip_addr_parse(rig->cfg.v6 ? (index ? "fd00::2" : "fd00::1")
	                                      : (index ? "10.0.0.2" : "10.0.0.1"),
	                          &host->addr));
	host->nic = nic_sim_create(&nic);
	assert_non_null(host->nic);
	assert_int_equal(net_create(&host->net, host->nic, &host->ctr, &host->addr, 1), ST_OK);
	env.net = host->net;
	assert_int_equal(tcp_create(&host->tcp, &rig->cfg.tcp[index], &env, rig->now_ns), ST_OK);
	assert_int_equal(tcp_listen(host->tcp, &any, RIG_PORT), ST_OK);
	tcp_set_user_timer_fn(host->tcp, host_timer, host);
}

void rig_open(struct rig *rig, const struct rig_config *cfg)
{
	memset(rig, 0, sizeof(*rig));
	rig->cfg = *cfg;
	rig->rng = cfg->seed;
	rig->now_ns = cfg->start_ns ? cfg->start_ns : NS_PER_S;
	if (rig->cfg.delay_ns == 0)
		rig->cfg.delay_ns = NS_PER_MS;
	for (uint32_t i = 0; i < 2; i++)
		if (rig->cfg.tcp[i].max_conns == 0)
			tcp_config_small(&rig->cfg.tcp[i]);
	rig->frames = calloc(RIG_FRAMES, sizeof(struct frame));
	rig->frame_bytes = calloc(RIG_FRAMES, RIG_FRAME_BYTES);
	assert_non_null(rig->frames);
	assert_non_null(rig->frame_bytes);
	for (uint32_t i = 0; i < RIG_FRAMES; i++)
		rig->frames[i].data = rig->frame_bytes + (size_t)i * RIG_FRAME_BYTES;
	for (uint32_t i = 0; i < sizeof(ref_bytes); i++)
		ref_bytes[i] = rig_pattern(7, i % 32768);
	for (uint32_t i = 0; i < 2; i++)
		host_open(&rig->host[i], rig, i);
}

void rig_free(struct rig *rig)
{
	for (uint32_t i = 0; i < 2; i++) {
		tcp_destroy(rig->host[i].tcp);
		net_destroy(rig->host[i].net);
		nic_sim_destroy(rig->host[i].nic);
	}
	free(rig->frames);
	free(rig->frame_bytes);
}

struct app *rig_connect(struct rig *rig, uint32_t from, uint16_t port, const struct app *model)
{
	struct host *host = &rig->host[from];
	struct net_path path = {.local = host->addr, .remote = rig->host[from ^ 1u].addr};
	struct app *app;

	memcpy(path.remote_mac, nic_caps(rig->host[from ^ 1u].nic)->mac, 6);
	app = app_new(rig, from, model);
	app->conn = tcp_connect(host->tcp, &path, port, RIG_PORT, rig->now_ns);
	assert_non_null(app->conn);
	tcp_set_owner(app->conn, app);
	net_flush(host->net);
	return app;
}

struct app *rig_peer(struct rig *rig, const struct app *app)
{
	for (uint32_t i = 0; i < RIG_APPS; i++) {
		struct app *other = &rig->apps[i];

		if (!other->used || other->host == app->host || !other->conn || !app->conn)
			continue;
		if (other->conn->lport == app->conn->rport &&
		    other->conn->rport == app->conn->lport)
			return other;
	}
	return NULL;
}

void rig_wake(struct app *app)
{
	tcp_wake(app->rig->host[app->host].tcp, app->conn, 0);
}

static uint64_t next_due(const struct rig *rig)
{
	uint64_t due = UINT64_MAX;

	for (uint32_t i = 0; i < rig->frame_count; i++)
		due = min_u64(due, rig->frames[i].due_ns);
	for (uint32_t i = 0; i < 2; i++)
		due = min_u64(due, tcp_next_timer_ns(rig->host[i].tcp));
	return due;
}

/* Delivers what is due in the order of its time. */
static void deliver(struct rig *rig)
{
	for (;;) {
		struct frame *first = NULL;

		struct frame taken;

		for (uint32_t i = 0; i < rig->frame_count; i++) {
			struct frame *f = &rig->frames[i];

			if (f->due_ns <= rig->now_ns && (!first || f->due_ns < first->due_ns))
				first = f;
		}
		if (!first)
			return;
		taken = *first;
		nic_sim_inject(rig->host[taken.to].nic, taken.data, taken.len);
		*first = rig->frames[--rig->frame_count];
		rig->frames[rig->frame_count] = taken;
	}
}

static void rig_step(struct rig *rig, uint64_t until_ns)
{
	uint64_t due = next_due(rig);

	/* Frames within 20 us of each other come in one burst. */
	rig->now_ns = max_u64(rig->now_ns + 20 * NS_PER_US, min_u64(due, until_ns));
	deliver(rig);
	host_run(&rig->host[0]);
	host_run(&rig->host[1]);
}

bool rig_run(struct rig *rig, bool (*done)(struct rig *rig, void *arg), void *arg,
             uint64_t limit_ms)
{
	uint64_t end = rig->now_ns + limit_ms * NS_PER_MS;

	host_run(&rig->host[0]);
	host_run(&rig->host[1]);
	while (!done(rig, arg)) {
		if (rig->now_ns >= end)
			return false;
		rig_step(rig, end);
	}
	return true;
}

static bool never(struct rig *rig, void *arg)
{
	(void)rig;
	(void)arg;
	return false;
}

void rig_run_for(struct rig *rig, uint64_t ms)
{
	rig_run(rig, never, NULL, ms);
}

static bool quiet(struct rig *rig, void *arg)
{
	(void)arg;
	return tcp_conn_count(rig->host[0].tcp) == 0 && tcp_conn_count(rig->host[1].tcp) == 0;
}

void rig_close(struct rig *rig)
{
	assert_true(rig_run(rig, quiet, NULL, 2000 * 1000));
	assert_int_equal(rig->mismatches, 0);
	for (uint32_t i = 0; i < 2; i++) {
		struct tcp_usage use;

		tcp_usage(rig->host[i].tcp, &use);
		assert_int_equal(use.conns, 0);
		assert_int_equal(use.rx_bufs, 0);
		assert_int_equal(use.tx_chunks, 0);
		assert_int_equal(use.tx_refs, 0);
		assert_int_equal(use.loss_boards, 0);
		assert_int_equal(use.timers, 0);
		assert_int_equal(rig->host[i].lent, rig->host[i].released);
		assert_int_equal(rig->host[i].tcp->half_open, 0);
	}
	rig_free(rig);
}
