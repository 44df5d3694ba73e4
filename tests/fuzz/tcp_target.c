/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The stack, its steps, and its end. */
#include "tests/fuzz/tcp_target.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	END_STEPS = 5000,    /* of the timers, until all is over by itself */
	END_TIME_S = 20 * 60 /* and the time that it may take */
};

static uint8_t octets[OCTETS_PERIOD + OCTETS_PIECE];
const uint8_t *target_octets = octets;

void broken(const char *what, const char *where)
{
	fprintf(stderr, "%s: broken: %s\n", where, what);
	abort();
}

uint8_t input_take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

uint32_t input_take16(struct input *in)
{
	uint32_t hi = input_take(in);

	return hi << 8 | input_take(in);
}

static void release(void *arg, uint64_t cookie)
{
	struct target *t = arg;

	t->released += cookie;
}

static void user_timer(void *arg, struct conn *c, uint64_t now_ns)
{
	struct target *t = arg;

	(void)now_ns;
	tcp_wake(t->tcp, c, 0);
}

struct conn *lane_conn(struct target *t, const struct lane *lane)
{
	for (uint32_t i = 0; i < t->tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&t->tcp->conns, i);

		if (c->flags & CF_LIVE && c->state != TCP_CLOSED && c->rport == lane->port &&
		    ip_addr_is_v4(&c->path.remote) != lane->v6)
			return c;
	}
	return NULL;
}

void target_ready(struct target *t, struct input *in)
{
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(t->tcp, &events)) != NULL) {
		owner_ready(t, c, events, in);
		tcp_ready_done(t->tcp, c, t->now_ns);
		t->tally.events++;
	}
	if (t->segs > 0)
		ASAN_POISON_MEMORY_REGION(t->frames, (size_t)t->segs * FRAME_BYTES);
	t->segs = 0;
	net_flush(t->net);
}

/* Small enough that everything runs out, and that a connection which nobody answers is soon over.
 */
static struct tcp_config small_config(void)
{
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.max_conns = MAX_CONNS;
	cfg.max_syn_backlog = 4;
	cfg.max_orphans = 2;
	cfg.max_time_waits = 4;
	cfg.max_per_address = 6;
	cfg.max_fast_open = 2;
	cfg.fast_open = true;
	cfg.syn_cookie_step_s = 10;
	cfg.rx_bufs = 2;
	cfg.loss_boards = 1;
	cfg.rx_buf_bytes = 8192;
	cfg.tx_chunks = 16;
	cfg.tx_refs = 32;
	cfg.retries = 6;
	cfg.max_rto_ms = 8000;
	cfg.persist_max_ms = 8000;
	cfg.persist_limit_ms = 40000;
	cfg.keepalive_idle_ms = 20000;
	cfg.keepalive_interval_ms = 5000;
	cfg.keepalive_probes = 3;
	cfg.time_wait_ms = 10000;
	cfg.fin_wait_2_ms = 10000;
	cfg.pmtu_age_s = 30;
	cfg.timestamps_required = 0; /* or few bytes would get past that */
	cfg.user_timeout_max_ms = 200000;
	return cfg;
}

static void octets_fill(void)
{
	uint32_t x = 1;

	for (uint32_t i = 0; i < OCTETS_PERIOD; i++) {
		x = x * 1664525u + 1013904223u;
		octets[i] = (uint8_t)(x >> 24);
	}
	memcpy(octets + OCTETS_PERIOD, octets, OCTETS_PIECE);
}

static void target_open(struct target *t, bool cuts)
{
	struct nic_sim_config nic = {.buffers = NIC_BUFFERS,
	                             .rx_queue = 2,
	                             .tx_queue = 16,
	                             .large_buffers = cuts ? LARGE_BUFFERS : 0};
	struct tcp_config cfg = small_config();
	/* The same input does the same each time. */
	static const uint8_t seed[TCP_SEED_BYTES] = {0x5a};
	struct tcp_env env = {.ctr = &t->ctr, .release = release, .arg = t, .seed = seed};
	const struct ip_addr any = {{0}};
	struct ip_addr addrs[2];

	t->now_ns = NS_PER_S;
	lanes_init(t);
	addrs[0] = t->lanes[0].path.local;
	addrs[1] = t->lanes[1].path.local;
	t->nic = nic_sim_create(&nic);
	must(t->nic != NULL);
	must(net_create(&t->net, t->nic, &t->ctr, addrs, 2) == ST_OK);
	env.net = t->net;
	must(tcp_create(&t->tcp, &cfg, &env, t->now_ns) == ST_OK);
	must(tcp_listen(t->tcp, &any, LOCAL_PORT) == ST_OK);
	tcp_set_user_timer_fn(t->tcp, user_timer, t);
	t->fresh = *t->tcp;
	memcpy(t->fresh_net, t->net, sizeof(t->fresh_net));
}

/* Nothing is held, so all that is left of the run before is in these. */
static void target_reset(struct target *t)
{
	*t->tcp = t->fresh;
	memcpy(t->net, t->fresh_net, sizeof(t->fresh_net));
	memset(t->shadows, 0, sizeof(t->shadows));
	for (uint32_t i = 0; i < LANES; i++) {
		t->lanes[i].syn_seq = 0;
		t->lanes[i].syn_ack = 0;
		t->lanes[i].syn_ts = 0;
		memset(t->lanes[i].fo_cookie, 0, FAST_OPEN_COOKIE);
	}
	t->tally = (struct tally){.digest = 0};
	t->now_ns = NS_PER_S;
	t->segs = 0;
	t->early_count = 0;
	t->patient = false;
	t->lent = 0;
	t->released = 0;
}

/* Every connection, also those that are over but were not read to the end. */
static void end_each(struct target *t, void (*end)(struct target *, struct conn *))
{
	for (uint32_t i = 0; i < t->tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&t->tcp->conns, i);

		if (c->flags & CF_LIVE && !(c->flags & CF_DETACHED))
			end(t, c);
	}
}

/* Nobody answers any more, and the owner has closed: all connections end by themselves. */
static void end_by_time(struct target *t, struct input *in)
{
	uint64_t begin_ns = t->now_ns;
	uint32_t steps = 0;

	end_each(t, owner_close);
	target_ready(t, in);
	while (tcp_conn_count(t->tcp) > 0) {
		must(steps++ < END_STEPS);
		wire_take(t);
		must(tcp_next_timer_ns(t->tcp) != UINT64_MAX);
		t->now_ns = max_u64(t->now_ns, tcp_next_timer_ns(t->tcp));
		must(t->now_ns < begin_ns + END_TIME_S * NS_PER_S);
		tcp_timers(t->tcp, t->now_ns);
		target_ready(t, in);
		check_all(t);
	}
}

static void target_close(struct target *t, struct input *in)
{
	in->left = 0;
	target_ready(t, in);
	nic_sim_set_faults(t->nic, 0);
	if (t->patient)
		end_by_time(t, in);
	end_each(t, owner_abort);
	target_ready(t, in);
	/* What was closed before, and waits for its peer. */
	for (uint32_t i = 0; i < t->tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&t->tcp->conns, i);

		if (c->flags & CF_LIVE)
			owner_abort(t, c);
	}
	target_ready(t, in);
	wire_take(t);
	check_empty(t);
}

static void pass_time(struct target *t, uint8_t op)
{
	uint64_t unit_ns = op & 128 ? 16 * NS_PER_US : NS_PER_MS;

	t->now_ns += unit_ns << (op >> 3 & 15);
	tcp_timers(t->tcp, t->now_ns);
}

static void event(struct target *t, uint8_t op, struct input *in)
{
	struct lane *lane = &t->lanes[op >> 5];
	struct conn *c;

	switch (op >> 3 & 3) {
	case 0:
		c = lane_conn(t, lane);
		if (c && tcp_owner(c) == t)
			owner_act(t, c, input_take(in));
		break;
	case 1:
		target_ready(t, in);
		wire_error(t, lane, in);
		break;
	case 2:
		owner_open(t, lane, input_take(in));
		break;
	default:
		target_misc(t, input_take(in));
		break;
	}
}

static void step(struct target *t, struct input *in)
{
	uint8_t op = input_take(in);

	if (op & 4) {
		t->tally.segments++;
		wire_segment(t, in, op);
		return;
	}
	t->tally.events++;
	switch (op & 3) {
	case 0:
		target_ready(t, in);
		pass_time(t, op);
		break;
	case 1:
		target_ready(t, in);
		break;
	case 2:
		wire_take(t);
		break;
	default:
		event(t, op, in);
		break;
	}
}

const struct tally *target_run(const uint8_t *data, size_t size)
{
	static struct target targets[2];
	/* The highest bit of the last byte, which no step needs: on a port that cuts segments? */
	bool cuts = size > 0 && data[size - 1] & 128;
	struct target *t = &targets[cuts];
	struct input in = {data, size};

	if (!t->tcp) {
		octets_fill();
		target_open(t, cuts);
	}
	target_reset(t);
	while (in.left > 0) {
		step(t, &in);
		check_all(t);
	}
	target_close(t, &in);
	return &t->tally;
}
