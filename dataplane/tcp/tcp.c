/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The stack as a whole: its memory, its ready list, and what its owner reads from connections. */
#include "dataplane/tcp/tcp.h"

#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_limit.h"
#include "lib/hash.h"

enum {
	WHEEL_TICK_NS = 1000000,
	TIMERS_A_CALL = 128, /* bounds what one round of the core spends here: some 30 us */
};

void tcp_config_default(struct tcp_config *cfg)
{
	*cfg = (struct tcp_config){
	        .max_conns = 65536,
	        .max_syn_backlog = 4096,
	        .rx_bufs = 4096,
	        .rx_buf_bytes = 65536,
	        .rx_window_bytes = 4 << 20,
	        .max_time_waits = 32768,
	        .tx_chunks = 65536,
	        .tx_refs = 131072,
	        .loss_boards = 1024,
	        .initial_window = 10,
	        .min_rto_ms = 200,
	        .max_rto_ms = 60000,
	        .syn_retries = 5,
	        .retries = 12,
	        .delayed_ack_ms = 40,
	        .keepalive_idle_ms = 60000,
	        .keepalive_interval_ms = 10000,
	        .keepalive_probes = 6,
	        .time_wait_ms = 60000,
	        .fin_wait_2_ms = 60000,
	        .orphan_life_ms = 600000,
	        .persist_max_ms = 60000,
	        .persist_limit_ms = 300000,
	        .timestamps_required = 1,
	        .max_orphans = 16384,
	        .syn_cookies = TCP_COOKIES_ON_PRESSURE,
	        .syn_cookie_step_s = 60,
	        .max_resets_per_s = 10000,
	        .fast_open_key_s = 86400,
	        .max_fast_open = 256,
	        .port_lo = 1024,
	        .port_hi = 65535,
	        .min_send_mss = 64,
	        .pmtu_probing = TCP_PMTU_BLACKHOLE,
	        .pmtu_age_s = 600,
	        .congestion = TCP_CONGESTION_CUBIC,
	        .pacing = TCP_PACING_INITIAL,
	        .ecn = TCP_ECN_ACCEPT,
	};
}

static bool in_range(uint32_t v, uint32_t lo, uint32_t hi)
{
	return v >= lo && v <= hi;
}

static bool config_valid(const struct tcp_config *cfg)
{
	const uint32_t day_ms = 24 * 3600 * 1000;

	if (!in_range(cfg->max_conns, 16, 1 << 20) ||
	    !in_range(cfg->max_syn_backlog, 1, cfg->max_conns) ||
	    !in_range(cfg->rx_bufs, 1, 1 << 20) || !in_range(cfg->rx_buf_bytes, 4096, 1 << 20) ||
	    !in_range(cfg->rx_window_bytes, 4096, 1 << 26) ||
	    !in_range(cfg->tx_chunks, 1, 1 << 24) || !in_range(cfg->tx_refs, 1, 1 << 24) ||
	    !in_range(cfg->loss_boards, 0, 1 << 20))
		return false;
	if ((cfg->mss != 0 && !in_range(cfg->mss, TCP_MIN_MSS, 65495)) ||
	    !in_range(cfg->initial_window, 1, 1024))
		return false;
	if (!in_range(cfg->min_rto_ms, 1, 60000) ||
	    !in_range(cfg->max_rto_ms, cfg->min_rto_ms, 600000) ||
	    !in_range(cfg->syn_retries, 0, 16) || !in_range(cfg->retries, 1, 64) ||
	    !in_range(cfg->delayed_ack_ms, 0, 500)) /* RFC 9293 3.8.6.3: below half a second */
		return false;
	if (cfg->keepalive_idle_ms > 0 && (!in_range(cfg->keepalive_idle_ms, 1, day_ms) ||
	                                   !in_range(cfg->keepalive_interval_ms, 1, day_ms) ||
	                                   !in_range(cfg->keepalive_probes, 1, 255)))
		return false;
	if (!in_range(cfg->persist_limit_ms, 0, day_ms) ||
	    !in_range(cfg->user_timeout_ms, 0, day_ms) ||
	    !in_range(cfg->user_timeout_max_ms, 0, day_ms) ||
	    !in_range(cfg->user_timeout_advertise_ms, 0, day_ms) ||
	    !in_range(cfg->timestamps_required, 0, 1))
		return false;
	if (!in_range(cfg->max_time_waits, 1, 1 << 20) ||
	    !in_range(cfg->max_per_address, 0, 1 << 20))
		return false;
	if (cfg->syn_cookies > TCP_COOKIES_ALWAYS || !in_range(cfg->syn_cookie_step_s, 10, 3600) ||
	    !in_range(cfg->max_orphans, 1, 1 << 20) || !in_range(cfg->orphan_life_ms, 1, day_ms) ||
	    !in_range(cfg->max_resets_per_s, 1, 10000000) ||
	    !in_range(cfg->fast_open_key_s, 60, 604800) ||
	    !in_range(cfg->max_fast_open, 1, 1 << 20) || !in_range(cfg->port_lo, 1, cfg->port_hi))
		return false;
	if (!in_range(cfg->min_send_mss, 48, 1220) || !in_range(cfg->pmtu_age_s, 1, 86400) ||
	    cfg->pmtu_probing > TCP_PMTU_ALWAYS)
		return false;
	if (cfg->congestion >= TCP_CONGESTION_COUNT || cfg->pacing >= TCP_PACING_COUNT ||
	    cfg->ecn >= TCP_ECN_COUNT)
		return false;
	return in_range(cfg->time_wait_ms, 1, 600000) && in_range(cfg->fin_wait_2_ms, 1, 600000) &&
	       in_range(cfg->persist_max_ms, cfg->min_rto_ms, 600000);
}

/* Where each table begins: the first ones with the stack itself, the others in bulk. */
struct layout {
	size_t buckets;
	size_t conns;
	size_t refs;
	size_t end;
	size_t chunks;
	size_t rx_whole;
	size_t rx_blocks;
	size_t rx_free;
	size_t rx_bufs;
	size_t rx_exts;
	size_t loss_blocks;
	size_t addr_cells;
	size_t bulk_end;
	struct rx_mem_layout rx;
	uint32_t bucket_count;
};

static size_t layout_add(size_t *at, size_t bytes)
{
	size_t begin = *at;

	*at = align_up(begin + bytes, CACHE_LINE);
	return begin;
}

/* A connection's first window is never above its last. */
static uint32_t window_max(const struct tcp_config *cfg)
{
	return max_u32(cfg->rx_window_bytes, cfg->rx_buf_bytes);
}

static struct layout layout_of(const struct tcp_config *cfg)
{
	struct layout l = {0};
	size_t at = align_up(sizeof(struct tcp), CACHE_LINE);

	l.bucket_count = CONN_BUCKETS_EACH * max_u32(cfg->max_conns, CONN_BUCKETS_MIN);
	l.rx = rx_mem_layout((uint64_t)cfg->rx_bufs * cfg->rx_buf_bytes, window_max(cfg),
	                     cfg->max_conns);
	l.buckets = layout_add(&at, l.bucket_count * sizeof(uint32_t));
	l.conns = layout_add(&at, cfg->max_conns * sizeof(struct conn));
	l.refs = layout_add(&at, cfg->tx_refs * sizeof(struct tx_ref));
	l.end = at;
	at = 0;
	l.rx_blocks = layout_add(&at, l.rx.blocks);
	l.chunks = layout_add(&at, (size_t)cfg->tx_chunks * TCP_TX_CHUNK);
	l.rx_whole = layout_add(&at, cfg->rx_buf_bytes);
	l.rx_free = layout_add(&at, l.rx.free);
	l.rx_bufs = layout_add(&at, l.rx.bufs);
	l.rx_exts = layout_add(&at, l.rx.exts);
	l.loss_blocks = layout_add(&at, cfg->loss_boards * sizeof(struct loss_block));
	l.addr_cells = layout_add(&at, limit_cells_bytes(cfg));
	l.bulk_end = at;
	return l;
}

static void keys_init(struct tcp *tcp)
{
	struct secret seed;

	if (tcp->env.seed)
		memcpy(&seed, tcp->env.seed, sizeof(seed));
	else
		random_bytes(&seed, sizeof(seed));
	tcp->env.seed = NULL;
	secret_expand(&seed, SECRET_HASH, tcp->hash_key, ARRAY_LEN(tcp->hash_key));
	cookie_init(tcp, &seed);
	ports_init(&tcp->ports, &seed);
	secret_expand(&seed, SECRET_ISN, tcp->isn_key, ARRAY_LEN(tcp->isn_key));
	if (tcp->env.isn_seed) {
		struct secret shared;

		memcpy(&shared, tcp->env.isn_seed, sizeof(shared));
		secret_expand(&shared, SECRET_ISN, tcp->isn_key, ARRAY_LEN(tcp->isn_key));
		explicit_bzero(&shared, sizeof(shared));
	}
	tcp->env.isn_seed = NULL;
	if (tcp->env.fast_open_seed)
		memcpy(&seed, tcp->env.fast_open_seed, sizeof(seed));
	tcp->env.fast_open_seed = NULL;
	fast_open_init(tcp, &seed);
	explicit_bzero(&seed, sizeof(seed));
}

static void bulk_init(struct tcp *tcp, const struct layout *l)
{
	char *base = tcp->bulk.base;

	pool_init(&tcp->chunks, base + l->chunks, TCP_TX_CHUNK, tcp->cfg.tx_chunks);
	pool_init(&tcp->loss_blocks, base + l->loss_blocks, sizeof(struct loss_block),
	          tcp->cfg.loss_boards);
	tcp->rx_whole = base + l->rx_whole;
	tcp->addr_cells = (uint32_t *)(void *)(base + l->addr_cells);
	rx_mem_init(&tcp->rx_mem, &l->rx,
	            &(struct rx_mem_parts){.blocks = base + l->rx_blocks,
	                                   .free = base + l->rx_free,
	                                   .bufs = base + l->rx_bufs,
	                                   .exts = base + l->rx_exts});
}

static void tables_init(struct tcp *tcp, const struct layout *l)
{
	char *base = tcp->mem.base;

	tcp->buckets = (uint32_t *)(void *)(base + l->buckets);
	tcp->bucket_count = CONN_BUCKETS_MIN;
	tcp->bucket_mask = CONN_BUCKETS_MIN - 1;
	tcp->bucket_max = l->bucket_count;
	pool_init(&tcp->conns, base + l->conns, sizeof(struct conn), tcp->cfg.max_conns);
	pool_init(&tcp->refs, base + l->refs, sizeof(struct tx_ref), tcp->cfg.tx_refs);
}

enum status tcp_create(struct tcp **out, const struct tcp_config *cfg, const struct tcp_env *env,
                       uint64_t now_ns)
{
	struct layout l;
	struct shm bulk;
	struct shm mem;
	struct tcp *tcp;
	enum status st;

	if (!config_valid(cfg) || !env->net || !env->ctr || !env->release)
		return ST_INVALID;
	l = layout_of(cfg);
	st = shm_steady(&mem, l.end, cfg->huge_pages);
	if (st != ST_OK)
		return st;
	st = shm_steady(&bulk, l.bulk_end, false);
	if (st != ST_OK) {
		shm_close(&mem);
		return st;
	}
	tcp = mem.base;
	tcp->mem = mem;
	tcp->bulk = bulk;
	tcp->now_ns = now_ns;
	tcp->cfg = *cfg;
	tcp->env = *env;
	tcp->net = env->net;
	tcp->ctr = env->ctr;
	tcp->csum_offload = net_caps(env->net)->tx_l4_csum;
	if (net_caps(env->net)->tx_tso)
		tcp->super_bytes = NIC_LARGE_BYTES - TCP_SUPER_HDRS;
	tcp->half_opens = (struct conn_ages){TCP_NONE, TCP_NONE};
	tcp->time_waits = (struct conn_ages){TCP_NONE, TCP_NONE};
	tcp->orphans = (struct conn_ages){TCP_NONE, TCP_NONE};
	tcp->rx_wnd_max = window_max(cfg);
	/* RFC 7323 2.2: chosen once, for the largest window that may ever be offered. */
	while (65535u << tcp->rcv_wscale < tcp->rx_wnd_max)
		tcp->rcv_wscale++;
	tables_init(tcp, &l);
	bulk_init(tcp, &l);
	keys_init(tcp);
	tcp->resets_s = now_s(tcp) - 1;
	timerwheel_init(&tcp->wheel, WHEEL_TICK_NS, now_ns);
	*out = tcp;
	return ST_OK;
}

void tcp_destroy(struct tcp *tcp)
{
	struct shm mem;

	if (!tcp)
		return;
	/* Lent bytes go back to whoever lent them. */
	for (uint32_t i = 0; i < tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&tcp->conns, i);

		if (c->flags & CF_LIVE)
			tx_release_all(tcp, c);
	}
	shm_close(&tcp->bulk);
	mem = tcp->mem;
	shm_close(&mem);
}

enum status tcp_listen(struct tcp *tcp, const struct ip_addr *addr, uint16_t port)
{
	if (port == 0)
		return ST_INVALID;
	if (tcp->listener_count == TCP_MAX_LISTENERS)
		return ST_FULL;
	tcp->listeners[tcp->listener_count++] = (struct tcp_listener){*addr, port};
	tcp->stopped = false;
	return ST_OK;
}

void tcp_stop_listening(struct tcp *tcp)
{
	tcp->listener_count = 0;
	tcp->stopped = true;
}

uint32_t tcp_timers(struct tcp *tcp, uint64_t now_ns)
{
	tcp_input_errors(tcp, now_ns);
	return timerwheel_advance(&tcp->wheel, now_ns, TIMERS_A_CALL, conn_timer, tcp);
}

uint64_t tcp_next_timer_ns(const struct tcp *tcp)
{
	return timerwheel_next_ns(&tcp->wheel);
}

void conn_post(struct tcp *tcp, struct conn *c, uint32_t events)
{
	c->events = (uint8_t)(c->events | events);
	if (c->flags & CF_READY)
		return;
	c->flags |= CF_READY;
	c->ready_next = NULL;
	if (tcp->ready_tail)
		tcp->ready_tail->ready_next = c;
	else
		tcp->ready_head = c;
	tcp->ready_tail = c;
}

static struct conn *ready_pop(struct tcp *tcp)
{
	struct conn *c = tcp->ready_head;

	if (!c)
		return NULL;
	tcp->ready_head = c->ready_next;
	if (!tcp->ready_head)
		tcp->ready_tail = NULL;
	c->flags &= ~CF_READY;
	return c;
}

struct conn *tcp_ready(struct tcp *tcp, uint32_t *events)
{
	struct conn *c;

	while ((c = ready_pop(tcp)) != NULL) {
		if (c->events & TCP_EV_OPEN && c->state != TCP_CLOSED)
			c->flags |= CF_KNOWN;
		*events = c->events;
		c->events = 0;
		if (conn_reportable(c)) {
			if (*events & TCP_EV_CLOSED)
				c->flags |= CF_TOLD;
			c->flags |= CF_IN_HAND;
			return c;
		}
		if (c->flags & CF_IN_HAND)
			continue;
		if (c->state == TCP_CLOSED)
			conn_free(tcp, c);
		else
			conn_output(tcp, c);
	}
	*events = 0;
	return NULL;
}

/* The owner was told that it is over. */
static void conn_let_go(struct tcp *tcp, struct conn *c)
{
	c->owner = NULL;
	c->flags |= CF_DETACHED;
	c->user_ns = 0;
	rx_release(tcp, c);
	if (c->state == TCP_CLOSED && !(c->flags & CF_READY))
		conn_free(tcp, c);
}

static void rx_settle(struct tcp *tcp, struct conn *c)
{
	rx_release_read(tcp, c);
	/* An owner that read all of a piece sees the next. */
	if (c->mem.rx_more && conn_rx_len(c) > 0)
		conn_post(tcp, c, TCP_EV_DATA);
	c->mem.rx_more = 0;
}

void tcp_ready_done(struct tcp *tcp, struct conn *c, uint64_t now_ns)
{
	tcp->now_ns = now_ns;
	c->flags &= ~CF_IN_HAND;
	if (c->flags & CF_TOLD || (c->state == TCP_CLOSED && !conn_reportable(c))) {
		conn_let_go(tcp, c);
		return;
	}
	if (!rx_keep(tcp, c)) {
		/* They were not acknowledged yet, so the peer sends them again. */
		counter_inc(tcp->ctr, CTR_shed_rx_buf);
		c->rcv_nxt -= c->view_len;
		c->view_len = 0;
	}
	if (unlikely(c->rx != NULL))
		rx_settle(tcp, c);
	if (c->flags & CF_FINISHED && conn_rx_len(c) == 0)
		conn_post(tcp, c, TCP_EV_CLOSED);
	if (c->state != TCP_CLOSED)
		conn_output(tcp, c);
	/* Others hold the pools: no ACK of this connection will make room. */
	if (c->flags & CF_WANT_ROOM && c->tx_bytes <= c->room_low)
		conn_arm(tcp, c, now_ns + TCP_RETRY_MS * NS_PER_MS);
}

void tcp_wake(struct tcp *tcp, struct conn *c, uint32_t events)
{
	conn_post(tcp, c, events);
}

struct span tcp_rx(const struct conn *c)
{
	if (c->rx)
		return rx_piece(c);
	return span_of(c->view, c->view_len);
}

size_t tcp_rx_len(const struct conn *c)
{
	return conn_rx_len(c);
}

struct span tcp_rx_whole(struct tcp *tcp, const struct conn *c, size_t most)
{
	struct span piece = tcp_rx(c);
	uint32_t want = (uint32_t)min_size(conn_rx_len(c), min_size(most, tcp->cfg.rx_buf_bytes));

	if (piece.len >= want)
		return piece;
	rx_buf_read(c->rx, c->rx->off, tcp->rx_whole, want);
	return span_of(tcp->rx_whole, want);
}

void tcp_rx_consume(struct tcp *tcp, struct conn *c, size_t n)
{
	uint32_t bytes = (uint32_t)n;

	assert(n <= conn_rx_len(c));
	if (n == 0)
		return;
	if (!c->rx) {
		c->view += bytes;
		c->view_len -= bytes;
	} else {
		c->mem.rx_more = bytes >= rx_piece(c).len;
		c->rx->off += bytes;
		c->rx_len -= bytes;
	}
	if (!(c->flags & CF_IN_HAND)) {
		rx_release_read(tcp, c);
		conn_post(tcp, c, 0); /* the window may open */
	}
}

bool tcp_rx_eof(const struct conn *c)
{
	return c->flags & CF_FIN_RCVD && conn_rx_len(c) == 0;
}

enum tcp_end tcp_conn_end(const struct conn *c)
{
	return (enum tcp_end)c->end;
}

void *tcp_owner(const struct conn *c)
{
	return c->owner;
}

void tcp_set_owner(struct conn *c, void *owner)
{
	c->owner = owner;
}

void tcp_set_user_timer_fn(struct tcp *tcp, tcp_user_timer_fn fn, void *arg)
{
	tcp->user_fn = fn;
	tcp->user_arg = arg;
}

void tcp_user_timer(struct tcp *tcp, struct conn *c, uint64_t deadline_ns)
{
	if ((c->state == TCP_CLOSED && !(c->flags & CF_FINISHED)) || c->flags & CF_TOLD)
		return;
	c->user_ns = deadline_ns;
	if (deadline_ns != 0)
		conn_arm(tcp, c, deadline_ns);
}

void tcp_conn_info(const struct conn *c, struct tcp_info *out)
{
	*out = (struct tcp_info){
	        .local = c->path.local,
	        .remote = c->path.remote,
	        .local_port = c->lport,
	        .remote_port = c->rport,
	        .state = c->state,
	        .srtt_us = c->srtt_us,
	        .rto_ms = c->rto_us / 1000,
	        .cwnd_bytes = c->cwnd_bytes,
	        .ssthresh_bytes = c->ssthresh_bytes,
	        .congestion = cc_name(c),
	        .ecn = c->flags & CF_ECN,
	        .snd_queued_bytes = c->tx_bytes,
	        .rcv_queued_bytes = conn_rx_len(c),
	        .retransmits = c->retransmits,
	        .opened_ns = c->opened_ns,
	        .last_rx_ns = c->last_rx_ns,
	};
}

static struct conn *walk(const struct tcp *tcp, uint32_t *cursor)
{
	while (*cursor < tcp->conns.fresh) {
		struct conn *c = pool_at(&tcp->conns, (*cursor)++);

		if (c->flags & CF_LIVE && c->state != TCP_CLOSED)
			return c;
	}
	return NULL;
}

bool tcp_conn_next(const struct tcp *tcp, uint32_t *cursor, struct tcp_info *out)
{
	const struct conn *c = walk(tcp, cursor);

	if (!c)
		return false;
	tcp_conn_info(c, out);
	return true;
}

struct conn *tcp_conn_walk(struct tcp *tcp, uint32_t *cursor)
{
	return walk(tcp, cursor);
}

uint32_t tcp_conn_count(const struct tcp *tcp)
{
	return tcp->conns.in_use;
}

uint32_t tcp_conn_room(const struct tcp *tcp)
{
	return pool_available(&tcp->conns);
}

uint32_t tcp_conn_max(const struct tcp *tcp)
{
	return tcp->conns.count;
}

void tcp_usage(const struct tcp *tcp, struct tcp_usage *out)
{
	*out = (struct tcp_usage){
	        .conns = tcp->conns.in_use,
	        .rx_bufs = tcp->rx_mem.bufs.in_use,
	        .rx_blocks = tcp->rx_mem.count - rx_mem_free(&tcp->rx_mem),
	        .tx_chunks = tcp->chunks.in_use,
	        .tx_refs = tcp->refs.in_use,
	        .loss_boards = tcp->loss_blocks.in_use,
	        .timers = tcp->wheel.armed,
	};
}

const char *tcp_state_name(enum tcp_state s)
{
	static const char *const names[TCP_STATE_COUNT] = {
	        "CLOSED",     "LISTEN",     "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	        "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK",     "TIME-WAIT",
	};

	return s < TCP_STATE_COUNT ? names[s] : "?";
}
