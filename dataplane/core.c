/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/path.h"

#include <stdlib.h>

#include "lib/doorbell.h"
#include "lib/hash.h"
#include "lib/log.h"

/* An idle core spins this long before it first sleeps, so that a busy one never does. */
#define IDLE_SPIN_NS (50 * NS_PER_US)
/* Without any work for this long, sleeps become ten times longer. */
#define IDLE_DEEP_NS (1 * NS_PER_S)
#define COMPLETIONS  256u
#define HOUSEKEEP_NS (1 * NS_PER_MS)
/* Packets that wait while the port takes none: the answers to a burst of requests for objects of
 * some tens of kilobytes. */
#define TX_HOLD 2048u
/* A port that takes nothing for so long is not slow but gone: nothing waits for it. */
#define TX_STUCK_NS (20 * NS_PER_MS)

/* The core's arrays lie behind each other in one mapping. */
struct carve {
	char *base;
	size_t at;
};

static void *carve_take(struct carve *c, size_t bytes)
{
	void *p = c->base == NULL ? NULL : c->base + c->at;

	c->at += align_up(bytes, CACHE_LINE);
	return p;
}

/* Called twice: without a base it only counts. */
static void core_carve(struct core *core, struct carve *c, const struct core_config *cfg)
{
	const struct config_limits *lim = &cfg->config->limits;
	struct core_chan *ch = &core->chan;
	void *reqs;

	reqs = carve_take(c, align_up(sizeof(struct req), 8) * lim->requests);
	if (reqs != NULL)
		pool_init(&core->reqs, reqs, align_up(sizeof(struct req), 8), lim->requests);
	ch->misses = carve_take(c, sizeof(struct miss) * lim->requests);
	ch->miss_count = lim->requests;
	ch->up_blocks = carve_take(c, sizeof(struct up_block) * cfg->up_blocks);
	ch->down_refs = carve_take(c, sizeof(ch->down_refs[0]) * cfg->down_blocks);
	ch->down_blocks = cfg->down_blocks;
	ch->release_due = carve_take(c, sizeof(ch->release_due[0]) * cfg->down_blocks);
	ch->release = carve_take(c, sizeof(ch->release[0]) * cfg->down_blocks);
	core->turns = carve_take(c, sizeof(core->turns[0]) * CORE_TURNS);
	core->out = carve_take(c, CORE_OUT_BYTES);
	core->head_copy = carve_take(c, CORE_OUT_BYTES / 2);
	core->key_buf = carve_take(c, CACHE_KEY_MAX);
	core->pattern_buf = carve_take(c, CACHE_KEY_MAX);
	core->check_in = carve_take(c, sizeof(core->check_in[0]) * RULES_MAX);
}

static_assert((int)CONFIG_PACING_ON == (int)TCP_PACING_ON &&
                      (int)CONFIG_ECN_REQUEST == (int)TCP_ECN_REQUEST,
              "the names of the configuration mean the same to TCP");

static void tcp_settings(const struct config *cfg, struct tcp_config *out)
{
	const struct config_limits *lim = &cfg->limits;
	const struct config_tcp *t = &cfg->tcp;
	static const enum tcp_cookies cookies[] = {
	        [COOKIES_OFF] = TCP_COOKIES_OFF,
	        [COOKIES_ON_PRESSURE] = TCP_COOKIES_ON_PRESSURE,
	        [COOKIES_ALWAYS] = TCP_COOKIES_ALWAYS,
	};
	static const enum tcp_pmtu_probing pmtu[] = {
	        [CONFIG_PMTU_OFF] = TCP_PMTU_OFF,
	        [CONFIG_PMTU_BLACKHOLE] = TCP_PMTU_BLACKHOLE,
	        [CONFIG_PMTU_ALWAYS] = TCP_PMTU_ALWAYS,
	};

	tcp_config_default(out);
	out->max_conns = lim->connections;
	out->max_syn_backlog = min_u32(lim->syn_backlog, lim->connections);
	out->rx_bufs = lim->rx_buffers;
	out->rx_buf_bytes = lim->rx_buffer_bytes;
	out->loss_boards = lim->loss_boards;
	out->rx_window_bytes = lim->rx_window_bytes;
	out->max_per_address = lim->connections_per_address;
	out->max_orphans = lim->orphans;
	out->max_time_waits = lim->time_waits;
	/* A chunk holds several small answers; an answer in flight needs a few descriptors. */
	out->tx_chunks = lim->connections / 2 + 4096;
	out->tx_refs = (uint32_t)min_u64(lim->connections + 8ull * cfg->memory.down_blocks + 4096,
	                                 1u << 24);
	out->initial_window = t->initial_window;
	out->congestion = t->congestion_control == CONFIG_CONGESTION_NEWRENO
	                          ? TCP_CONGESTION_NEWRENO
	                          : TCP_CONGESTION_CUBIC;
	out->pacing = (enum tcp_pacing)t->pacing;
	out->ecn = (enum tcp_ecn)t->ecn;
	out->min_rto_ms = t->min_rto_ms;
	out->max_rto_ms = t->max_rto_ms;
	out->delayed_ack_ms = t->delayed_ack_ms;
	out->keepalive_idle_ms = t->keepalive_idle_ms;
	out->keepalive_interval_ms = t->keepalive_interval_ms;
	out->keepalive_probes = t->keepalive_probes;
	out->time_wait_ms = max_u32(t->time_wait_ms, 1);
	out->syn_retries = t->syn_retries;
	out->retries = t->retries;
	out->fin_wait_2_ms = t->fin_wait_2_ms;
	out->orphan_life_ms = t->orphan_life_ms;
	out->persist_max_ms = max_u32(t->persist_max_ms, t->min_rto_ms);
	out->persist_limit_ms = t->persist_limit_ms;
	out->user_timeout_ms = t->user_timeout_ms;
	out->user_timeout_max_ms = t->user_timeout_max_ms;
	out->user_timeout_advertise_ms = t->user_timeout_advertise_ms;
	out->timestamps_required = t->timestamps_required;
	out->huge_pages = cfg->memory.huge_pages == HUGE_ON;
	out->max_resets_per_s = lim->resets_per_s;
	out->fast_open = t->fast_open == FAST_OPEN_ON;
	out->fast_open_key_s = t->fast_open_key_s;
	out->max_fast_open = lim->fast_open;
	out->syn_cookies = cookies[t->syn_cookies];
	out->syn_cookie_step_s = t->syn_cookie_step_s;
	out->min_send_mss = t->min_send_mss;
	out->pmtu_probing = pmtu[t->pmtu_probing];
	out->pmtu_age_s = t->pmtu_age_s;
}

static void kernel_random(void *arg, void *out, size_t len)
{
	(void)arg;
	random_bytes(out, len);
}

/* A core that nobody shares with has a share of its own. */
static enum status tables_join(struct core *core, const struct core_config *cfg,
                               const struct hot_config *hot)
{
	struct hot_share *share = cfg->share;
	uint32_t index = cfg->index;
	enum status st;

	if (share == NULL) {
		st = hot_share_create(&core->share, 1);
		if (st != ST_OK)
			return st;
		share = core->share;
		index = 0;
	}
	st = hot_share_join(share, index, hot, core->ctr);
	core->view = hot_share_view(share, index);
	core->joined = share;
	core->hot = hot_view_own(core->view);
	core->l0 = hot_view_l0(core->view);
	return st;
}

static enum status core_layers(struct core *core, const struct core_config *cfg)
{
	struct ip_addr addrs[NET_MAX_ADDRS];
	struct net_config net;
	struct tcp_config tcfg;
	struct tcp_env env;
	uint8_t seed[TCP_SEED_BYTES];
	enum status st;
	uint32_t n = 0;

	for (uint32_t i = 0; i < cfg->listener_count && n < NET_MAX_ADDRS; i++)
		addrs[n++] = cfg->listeners[i].addr;
	net_config_default(&net);
	net.nic = cfg->nic;
	net.ctr = core->ctr;
	net.addrs = addrs;
	net.addr_count = n;
	net.fragments = cfg->config->ip.fragments;
	net.mld = true;
	net.dad_transmits = cfg->config->ip.dad_transmits;
	net.icmp_per_s = cfg->config->ip.icmp_per_s;
	net.shared = cfg->net_shared;
	net.core = cfg->queue;
	net.cores = cfg->queues;
	net.now_ns = cfg->now_ns;
	net.tx_hold = TX_HOLD;
	st = net_open(&core->net, &net);
	if (st != ST_OK)
		return st;
	tcp_settings(cfg->config, &tcfg);
	core->random(core->random_arg, seed, sizeof(seed));
	env = (struct tcp_env){
	        .net = core->net,
	        .ctr = core->ctr,
	        .release = req_release,
	        .arg = core,
	        .seed = seed,
	        .fast_open_seed = cfg->fast_open_seed,
	};
	st = tcp_create(&core->tcp, &tcfg, &env, cfg->now_ns);
	explicit_bzero(seed, sizeof(seed));
	if (st != ST_OK)
		return st;
	tcp_set_user_timer_fn(core->tcp, req_timeout, core);
	for (uint32_t i = 0; i < cfg->listener_count; i++) {
		st = tcp_listen(core->tcp, &cfg->listeners[i].addr, cfg->listeners[i].port);
		if (st != ST_OK)
			return st;
	}
	struct hot_config hot = {
	        .memory_bytes = cfg->config->memory.hot_table_bytes,
	        .max_object_bytes = cfg->config->limits.object_bytes,
	        .huge_pages = cfg->config->memory.huge_pages != HUGE_OFF,
	};
	return tables_join(core, cfg, &hot);
}

enum status core_create(struct core **out, const struct core_config *cfg,
                        struct core_control *shared)
{
	struct core *core = calloc(1, sizeof(*core));
	struct carve c = {0};
	enum status st;

	if (core == NULL)
		return ST_NOMEM;
	core_carve(core, &c, cfg);
	st = shm_anon(&core->mem, c.at, cfg->config->memory.huge_pages == HUGE_ON);
	if (st != ST_OK)
		goto err;
	c = (struct carve){.base = core->mem.base};
	core_carve(core, &c, cfg);

	core->now_ns = cfg->now_ns;
	core->started_ns = cfg->now_ns;
	core->stats = cfg->stats;
	core->ctr = &cfg->stats->counters;
	stages_init(&core->stages, &cfg->stats->stages, cfg->cpu);
	stages_set_mode(&core->stages, (enum config_stages)cfg->snapshot->stages);
	core->nic = cfg->nic;
	core->snap = cfg->snapshot;
	core->turn = core->turns;
	core->http = &core->turns[0].http;
	reply_prepare(core);
	req_rules_begin(core);
	core->shared = shared;
	core->random = cfg->random ? cfg->random : kernel_random;
	core->random_arg = cfg->random_arg;
	core->next_reseed_ns = cfg->now_ns;
	core->index = cfg->index;
	core->queue = cfg->queue;
	core->cpu = cfg->cpu;
	core->hash_seed = cfg->hash_seed;
	core->listeners = cfg->listeners;
	core->listener_count = cfg->listener_count;
	core->announces_left = 3;
	shared->next_snapshot = cfg->snapshot;
	shared->used_snapshot = cfg->snapshot;

	core->chan.port = cfg->port;
	core->chan.away_since_ns = cfg->now_ns;
	for (uint32_t i = 0; i < core->chan.miss_count; i++)
		core->chan.misses[i].next_free = i + 1;
	st = chan_slab_init(&core->chan.up, cfg->up_base, cfg->up_block_bytes, cfg->up_blocks);
	if (st != ST_OK)
		goto err;
	st = core_layers(core, cfg);
	if (st != ST_OK)
		goto err;
	core_tick(core, cfg->now_ns, cfg->wall_ns);
	*out = core;
	return ST_OK;
err:
	core_destroy(core);
	return st;
}

void core_destroy(struct core *core)
{
	nic_pkt_free(core->nic, core->rx, core->rx_count);
	if (core->tcp != NULL)
		tcp_destroy(core->tcp);
	if (core->view != NULL && core->share == NULL)
		hot_share_leave(core->joined, core->index);
	hot_share_destroy(core->share);
	if (core->net != NULL)
		net_destroy(core->net);
	chan_slab_destroy(&core->chan.up);
	if (core->mem.base != NULL)
		shm_close(&core->mem);
	free(core);
}

void core_tick(struct core *core, uint64_t now_ns, uint64_t wall_ns)
{
	uint64_t s = wall_ns / NS_PER_S;

	core->now_ns = now_ns;
	core->wall_ms = wall_ns / NS_PER_MS;
	core->did = 0;
	core->hits = 0;
	if (unlikely(s != core->date_s)) {
		core->date_s = s;
		clock_http_date(s, core->date);
	}
}

/* More waits for the port than the answers to a burst. What comes in meanwhile waits in its ring,
 * and is lost there first, before anything was done for it: requests whose answers were dropped
 * would cost their work twice, and a retransmission timeout. */
static bool tx_waits(const struct core *core)
{
	return unlikely(net_queued(core->net) > NIC_BURST);
}

static uint32_t tx_flush(struct core *core);
static uint32_t messages_take(struct core *core, uint32_t most);

/* Whatever control had put into the ring before these segments came has been done. Else somebody
 * who was told by another core that what is stored here is void could still get it. False: the port
 * takes nothing, so that not all of it can be done now. */
static bool orders_read(struct core *core)
{
	uint32_t left = core->chan.port.rx.mask + 1;

	while (left > 0) {
		uint32_t n;

		if (tx_waits(core) && (tx_flush(core), tx_waits(core)))
			return false;
		n = messages_take(core, min_u32(left, COMPLETIONS));
		if (n == 0)
			return true;
		left -= n;
	}
	return true;
}

static void segments_input(struct core *core)
{
	uint32_t n = core->rx_count;

	if (!orders_read(core))
		return;
	core->rx_count = 0;
	tcp_input_burst(core->tcp, core->rx, n, core->now_ns);
	stage_mark(&core->stages, STAGE_tcp, n);
	core_ready(core);
	/* Only now: until here, payload was lent to connections and parsed where it lay. */
	if (n > 0)
		nic_pkt_free(core->nic, core->rx, n);
	stage_mark(&core->stages, STAGE_rx, 0);
}

void core_rx(struct core *core)
{
	if (likely(core->rx_count == 0)) {
		uint32_t n = tx_waits(core) ? 0 : nic_rx_burst(core->nic, core->rx, NIC_BURST);

		stage_mark(&core->stages, STAGE_rx, n);
		if (n == 0)
			return;
		core->did += n;
		stages_burst(&core->stages, n);
		core->rx_count = net_input(core->net, core->rx, n, core->now_ns);
		stage_mark(&core->stages, STAGE_net, n);
	}
	segments_input(core);
}

/* What came to another core of the port and belongs here. */
static void core_passed(struct core *core)
{
	if (unlikely(core->rx_count > 0) || tx_waits(core))
		return;
	core->rx_count = net_passed(core->net, core->rx, NIC_BURST);
	core->did += core->rx_count;
	if (unlikely(core->rx_count > 0))
		segments_input(core);
}

void core_ready(struct core *core)
{
	uint32_t n, sum = 0;

	while ((n = req_burst(core)) > 0)
		sum += n;
	stage_mark(&core->stages, STAGE_request, sum);
}

static uint32_t messages_take(struct core *core, uint32_t most)
{
	struct core_chan *ch = &core->chan;
	struct chan_msg m;
	uint32_t n = 0;

	if (ch->epoch == 0)
		return 0;
	while (n < most && !tx_waits(core) && chan_recv(&ch->port, &m)) {
		n++;
		if (m.type == CHAN_RELEASE)
			miss_released_up(core, &m);
		else if (m.type == CHAN_PURGE || m.type == CHAN_QUERY || m.type == CHAN_DRAIN)
			query_input(core, &m);
		else
			miss_input(core, &m);
	}
	if (n > 0) {
		chan_rx_done(&ch->port);
		counter_add(core->ctr, CTR_chan_rx, n);
		core->did += n;
		stage_mark(&core->stages, STAGE_completion, n);
		core_ready(core);
	}
	return n;
}

void core_completions(struct core *core)
{
	struct core_chan *ch = &core->chan;

	if (ch->epoch == 0)
		return;
	messages_take(core, COMPLETIONS);
	if (ch->syncing)
		miss_sync(core);
	else if (ch->park_head != NULL)
		miss_wake_parked(core);
	stage_mark(&core->stages, STAGE_completion, 0);
	core_ready(core);
}

void core_timers(struct core *core)
{
	stage_mark(&core->stages, STAGE_timer, tcp_timers(core->tcp, core->now_ns));
	core_ready(core);
}

static uint32_t tx_flush(struct core *core)
{
	uint32_t sent;

	if (unlikely(core->tx_stuck)) {
		sent = net_flush(core->net);
		core->tx_stuck = sent == 0;
		return sent;
	}
	sent = net_flush_some(core->net);
	if (likely(net_queued(core->net) == 0) || sent > 0)
		core->tx_took_ns = core->now_ns;
	else if (core->now_ns - core->tx_took_ns > TX_STUCK_NS) {
		core->tx_stuck = true;
		net_flush(core->net);
	}
	return sent;
}

void core_tx(struct core *core)
{
	uint32_t sent;

	stage_mark(&core->stages, STAGE_flush, miss_flush(core));
	sent = tx_flush(core);
	stage_mark(&core->stages, STAGE_tx, sent);
	core->did += sent;
}

uint32_t core_round(struct core *core, uint64_t now_ns, uint64_t wall_ns)
{
	stages_begin(&core->stages);
	core_tick(core, now_ns, wall_ns); /* the only clock there is */
	core_rx(core);                    /* NIC > TCP > HTTP > reply */
	core_passed(core);                /* the same from another core */
	core_completions(core);           /* control > miss_input */
	core_timers(core);
	core->did += hot_view_poll(core->view); /* what other cores stored for this one */
	core_tx(core);
	if (now_ns >= core->next_housekeep_ns) {
		core->next_housekeep_ns = now_ns + HOUSEKEEP_NS;
		core_housekeep(core); /* snapshot, attach, drain, announcements */
	}
	stages_end(&core->stages, now_ns);
	return core->did;
}

/* Sleeps on the doorbell: control's answer wakes at once, a packet at the latest after sleep_us. */
static void core_sleep(struct core *core, uint64_t idle_ns)
{
	uint64_t sleep_ns = core->snap->idle_sleep_us * NS_PER_US;
	uint64_t next_ns = tcp_next_timer_ns(core->tcp);

	if (idle_ns > IDLE_DEEP_NS)
		sleep_ns *= 10;
	if (next_ns <= core->now_ns || net_queued(core->net) > 0)
		return;
	sleep_ns = min_u64(sleep_ns, next_ns - core->now_ns);
	if (!chan_prepare_sleep(&core->chan.port))
		return;
	counter_inc(core->ctr, CTR_loop_sleeps);
	if (core->chan.port.wait_fd >= 0 && doorbell_wait(core->chan.port.wait_fd, sleep_ns))
		doorbell_clear(core->chan.port.wait_fd);
	chan_awake(&core->chan.port);
}

void core_run(struct core *core)
{
	uint64_t last_work_ns = clock_mono_ns();
	uint64_t wall_offset_ns = clock_wall_ns() - last_work_ns;
	uint64_t offset_at_ns = last_work_ns;

	while (!__atomic_load_n(&core->shared->stop, __ATOMIC_RELAXED)) {
		uint64_t start = clock_cycles();
		uint64_t now_ns = clock_mono_ns();

		if (now_ns - offset_at_ns > NS_PER_S) {
			offset_at_ns = now_ns;
			wall_offset_ns = clock_wall_ns() - now_ns;
		}
		counter_inc(core->ctr, CTR_loop_polls);
		if (core_round(core, now_ns, now_ns + wall_offset_ns) > 0) {
			last_work_ns = now_ns;
			counter_add(core->ctr, CTR_loop_busy_cycles, clock_cycles() - start);
			if (core->hits > 0)
				hist_add_n(&core->stats->hit, clock_mono_ns() - now_ns, core->hits);
			continue;
		}
		counter_inc(core->ctr, CTR_loop_empty);
		if (core->snap->idle == IDLE_ADAPTIVE && now_ns - last_work_ns > IDLE_SPIN_NS)
			core_sleep(core, now_ns - last_work_ns);
		else
			__builtin_ia32_pause();
	}
}
