/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sluice's own TCP as a client. A link is the connection itself: its owner pointer is the engine's,
 * and NULL when the engine is done with it and TCP finishes the rest alone. So nothing is kept, and
 * no memory is touched, beside what TCP needs anyway.
 *
 * What a port refuses waits in the net's queue: a load tool that loses its own packets would
 * measure retransmission timeouts. While a burst waits there, no connection is opened and no
 * request sent (dpdk_takes); what TCP itself says to what comes in still finds room, so that
 * receiving goes on while the server takes less than we have. A server that waits for its own port
 * would never go on else. A port that takes nothing for long is dead, and what goes there is lost.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/tcp/tcp.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "perf/load/dpdk_port.h"
#include "perf/load/transport.h"

enum {
	RX_BURSTS = 4,          /* in a round */
	QUEUE_FULL = NIC_BURST, /* packets */
	QUEUE_HOLD = 4096 - NET_TX_QUEUE,
	QUEUE_MOST = QUEUE_HOLD - RX_BURSTS * NIC_BURST,
	LINK_QUEUE_BYTES = 256 * 1024,
	LINK_ROOM_BYTES = LINK_QUEUE_BYTES / 2,
	TIME_WAITS_MAX = 131072,
	ORPHANS = 65536,
	CONNS_MAX = 1 << 20,
	RX_BUF_BYTES = 65536,
	RX_BUFS = 2048,
	FIN_WAIT_2_MS = 5000,
	LOCAL_PORTS = 64512, /* from 1024 on */
};

#define TICK_NS    (1 * NS_PER_MS)
#define RESOLVE_NS (1 * NS_PER_S)
#define DEAD_NS    (100 * NS_PER_MS)
#define CLOSE_NS   (2 * NS_PER_S)
#define LINGER_NS  (20 * NS_PER_MS)

struct dpdk_transport {
	struct transport base;
	struct transport_sink sink;
	struct net *net;
	struct tcp *tcp;
	uint64_t now_ns;
	const struct conn *in_hand; /* its sink functions are running */
	uint32_t begun;             /* requests on other connections that have not run since */
	uint32_t open;
	uint32_t max_links;
	uint64_t bytes_in;
	uint64_t bytes_out;
	const char *note;
	uint64_t next_tick_ns;
	uint64_t next_resolve_ns;
	uint64_t took_ns; /* when the port last took a packet, or none waited */
	bool dead;        /* it has taken none for DEAD_NS */
	bool refused;     /* it took less than there was, in this round */
	uint64_t mark_cycles;
	uint64_t busy_cycles;
	uint64_t timeout_ns;
	uint16_t remote_port;
	/* Memory that two processes share: checksums are not verified, as they are not on a port
	 * that does it. The server has to write them all the same. */
	bool trusted;
	uint32_t next_path;
	uint32_t path_count;
	struct net_path paths[NET_MAX_ADDRS]; /* from each local address */
	struct load_port port;
	struct counters ctr;
};

static struct dpdk_transport *of(struct transport *base)
{
	return container_of(base, struct dpdk_transport, base);
}

static struct conn *conn_of(struct link *l)
{
	return (struct conn *)(void *)l;
}

/* tcp_tx_ref is not used. */
static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

/* --- Packets out --------------------------------------------------------------------------- */

static uint32_t flush(struct dpdk_transport *t)
{
	uint32_t sent = t->dead ? net_flush(t->net) : net_flush_some(t->net);

	if (sent > 0 || net_queued(t->net) == 0) {
		t->took_ns = t->now_ns;
		t->dead = t->dead && sent == 0;
	} else if (t->now_ns - t->took_ns > DEAD_NS) {
		t->dead = true;
		t->note = "the port took no packets for 100 ms and more; is its other end alive?";
		net_flush(t->net);
	}
	t->refused = net_queued(t->net) > 0;
	return sent;
}

/* By packets that the port refuses, or by requests that are about to be some. */
static bool queue_full(struct dpdk_transport *t)
{
	if (likely(net_queued(t->net) + t->begun < QUEUE_FULL))
		return false;
	if (!t->refused)
		flush(t);
	return net_queued(t->net) + t->begun >= QUEUE_FULL;
}

/* --- News of connections ------------------------------------------------------------------- */

/* The engine is not told of it any more. */
static void link_forget(struct dpdk_transport *t, struct conn *c)
{
	tcp_set_owner(c, NULL);
	t->open--;
}

static enum link_end end_of(const struct conn *c)
{
	switch (tcp_conn_end(c)) {
	case TCP_END_REFUSED:
		return LINK_REFUSED;
	case TCP_END_TIMEOUT:
		return LINK_TIMED_OUT;
	case TCP_END_UNREACHABLE:
		return LINK_UNREACHABLE;
	case TCP_END_RESET:
	case TCP_END_ORDERLY:
		break;
	}
	return LINK_RESET;
}

static void data_give(struct dpdk_transport *t, struct conn *c, void *owner)
{
	struct span rx;

	while ((rx = tcp_rx(c)).len > 0) {
		t->bytes_in += rx.len;
		t->sink.data(owner, rx.ptr, rx.len, t->now_ns);
		if (tcp_owner(c) == NULL)
			return;
		tcp_rx_consume(t->tcp, c, rx.len);
	}
}

/* Any sink function may end the link, whose connection stays valid until tcp_ready_done. */
static void conn_run(struct dpdk_transport *t, struct conn *c, uint32_t events)
{
	void *owner = tcp_owner(c);
	enum link_end why = LINK_FINISHED;

	if (owner != NULL && unlikely(events & TCP_EV_OPEN)) {
		tcp_user_timer(t->tcp, c, 0);
		t->sink.connected(owner, t->now_ns);
	}
	if (tcp_owner(c) != NULL)
		data_give(t, c, owner);
	if (likely((events & ~(TCP_EV_OPEN | TCP_EV_DATA)) == 0) || tcp_owner(c) == NULL)
		return;
	if (!(events & TCP_EV_CLOSED) && !tcp_rx_eof(c)) {
		if (events & TCP_EV_ROOM)
			t->sink.room(owner, t->now_ns);
		return;
	}
	if (!tcp_rx_eof(c))
		why = end_of(c);
	link_forget(t, c);
	if (!(events & TCP_EV_CLOSED))
		tcp_close(t->tcp, c, t->now_ns);
	t->sink.ended(owner, why, t->now_ns);
}

/* All that are ready: their bytes may lie in packets that are about to be freed. */
static uint32_t ready_run(struct dpdk_transport *t)
{
	struct conn *c;
	uint32_t events;
	uint32_t did = 0;

	while ((c = tcp_ready(t->tcp, &events)) != NULL) {
		if (net_queued(t->net) >= QUEUE_FULL && !t->refused)
			flush(t);
		t->in_hand = c;
		conn_run(t, c, events);
		t->in_hand = NULL;
		tcp_ready_done(t->tcp, c, t->now_ns);
		did++;
	}
	t->begun = 0;
	return did;
}

static uint32_t receive(struct dpdk_transport *t)
{
	struct pkt pkts[NIC_BURST];
	unsigned got = nic_rx_burst(t->port.nic, pkts, NIC_BURST);
	unsigned n;

	if (got == 0)
		return 0;
	for (unsigned i = 0; t->trusted && i < got; i++)
		pkts[i].flags |= PKT_RX_IP_CSUM_OK | PKT_RX_L4_CSUM_OK;
	n = net_input(t->net, pkts, got, t->now_ns);
	tcp_input_burst(t->tcp, pkts, n, t->now_ns);
	ready_run(t);
	if (n > 0)
		nic_pkt_free(t->port.nic, pkts, n);
	return got;
}

static void connect_timeout(void *arg, struct conn *c, uint64_t now_ns)
{
	struct dpdk_transport *t = arg;
	void *owner = tcp_owner(c);

	if (owner == NULL)
		return;
	link_forget(t, c);
	tcp_abort(t->tcp, c);
	t->sink.ended(owner, LINK_TIMED_OUT, now_ns);
}

/* --- Rounds -------------------------------------------------------------------------------- */

static enum status paths_make(struct dpdk_transport *t)
{
	const struct load_port_plan *plan = &t->port.plan;

	for (uint32_t i = 0; i < plan->local_count; i++) {
		struct net_way way = {.local = plan->locals[i],
		                      .remote = plan->server,
		                      .next_hop = plan->next_hop};
		enum status st = net_path_make(t->net, &way, &t->paths[i], t->now_ns);

		if (st != ST_OK)
			return st;
	}
	t->path_count = plan->local_count;
	return ST_OK;
}

static void tick(struct dpdk_transport *t)
{
	t->next_tick_ns = t->now_ns + TICK_NS;
	net_tick(t->net, t->now_ns);
	tcp_relieve(t->tcp, UINT32_MAX, false, t->now_ns);
	if (t->now_ns < t->next_resolve_ns)
		return;
	/* The server may have another link address since. */
	t->next_resolve_ns = t->now_ns + RESOLVE_NS;
	paths_make(t);
}

static uint32_t round_run(struct dpdk_transport *t)
{
	uint32_t did;

	t->now_ns = clock_mono_ns();
	t->refused = false;
	did = ready_run(t);
	for (uint32_t i = 0; i < RX_BURSTS; i++) {
		uint32_t got;

		if (net_queued(t->net) >= QUEUE_FULL)
			did += flush(t);
		if (net_queued(t->net) > QUEUE_MOST)
			break;
		got = receive(t);
		did += got;
		if (got < NIC_BURST)
			break;
	}
	tcp_timers(t->tcp, t->now_ns);
	did += ready_run(t);
	if (t->now_ns >= t->next_tick_ns)
		tick(t);
	return did + flush(t);
}

static uint32_t dpdk_poll(struct transport *base, uint64_t wait_until_ns)
{
	struct dpdk_transport *t = of(base);
	uint32_t did = round_run(t);
	uint64_t cycles = clock_cycles();

	(void)wait_until_ns; /* it polls: waiting would cost more than it saves */
	/* With what the engine did since the last round. */
	if (did > 0)
		t->busy_cycles += cycles - t->mark_cycles;
	t->mark_cycles = cycles;
	return did;
}

/* --- What the engine asks for -------------------------------------------------------------- */

static struct link *dpdk_connect(struct transport *base, void *owner)
{
	struct dpdk_transport *t = of(base);
	struct conn *c;

	if (t->open >= t->max_links || queue_full(t))
		return NULL;
	if (++t->next_path >= t->path_count)
		t->next_path = 0;
	c = tcp_connect(t->tcp, &t->paths[t->next_path], 0, t->remote_port, t->now_ns);
	if (c == NULL) {
		t->note = "no local port was free; give more local addresses";
		return NULL;
	}
	tcp_set_owner(c, owner);
	tcp_user_timer(t->tcp, c, t->now_ns + t->timeout_ns);
	t->open++;
	return (struct link *)(void *)c;
}

static bool dpdk_send(struct transport *base, struct link *l, const void *data, size_t len)
{
	struct dpdk_transport *t = of(base);
	struct conn *c = conn_of(l);
	uint32_t queued = tcp_tx_queued(c);
	bool alone = c != t->in_hand;

	/* What is longer than the limit goes alone. */
	if (!(alone && queue_full(t)) && (queued == 0 || queued + len <= LINK_QUEUE_BYTES) &&
	    tcp_tx_copy(t->tcp, c, data, len) == ST_OK) {
		t->begun += alone;
		t->bytes_out += len;
		return true;
	}
	tcp_tx_want_room(c, LINK_ROOM_BYTES);
	tcp_wake(t->tcp, c, 0);
	return false;
}

static bool dpdk_takes(struct transport *base)
{
	return !queue_full(of(base));
}

static void dpdk_shut(struct transport *base, struct link *l)
{
	struct dpdk_transport *t = of(base);

	link_forget(t, conn_of(l));
	tcp_close(t->tcp, conn_of(l), t->now_ns);
}

static void dpdk_abort(struct transport *base, struct link *l)
{
	struct dpdk_transport *t = of(base);

	link_forget(t, conn_of(l));
	tcp_abort(t->tcp, conn_of(l));
}

static void dpdk_stats(const struct transport *base, struct transport_stats *out)
{
	static const enum counter_id drops[] = {
	        CTR_drop_runt,     CTR_drop_ip_header, CTR_drop_ip_csum,   CTR_drop_tcp_header,
	        CTR_drop_tcp_csum, CTR_drop_tcp_ooo,   CTR_drop_tcp_nobuf, CTR_shed_tx,
	        CTR_shed_pkt,      CTR_shed_rx_buf,
	};
	const struct dpdk_transport *t =
	        container_of((struct transport *)(uintptr_t)base, struct dpdk_transport, base);

	*out = (struct transport_stats){
	        .bytes_in = t->bytes_in,
	        .bytes_out = t->bytes_out,
	        .busy_ns = (uint64_t)((double)t->busy_cycles / clock_cycles_per_ns()),
	        .retransmits = counter_read(&t->ctr, CTR_tcp_rexmit),
	        .note = t->note,
	};
	for (size_t i = 0; i < ARRAY_LEN(drops); i++)
		out->drops += counter_read(&t->ctr, drops[i]);
}

/* --- Beginning and end --------------------------------------------------------------------- */

/* Of the ports that are left, half may be in TIME-WAIT, so that the next one is always free: the
 * oldest give way. Timestamps keep old segments out of the new connections (RFC 6191, RFC 7323). */
static uint32_t time_waits(const struct dpdk_transport *t)
{
	uint64_t ports = (uint64_t)t->port.plan.local_count * LOCAL_PORTS;
	uint64_t spare = ports > t->max_links ? ports - t->max_links : 0;

	return max_u32((uint32_t)min_u64(spare / 2, TIME_WAITS_MAX), 16);
}

static enum status stack_make(struct dpdk_transport *t, bool huge_pages)
{
	const struct load_port_plan *plan = &t->port.plan;
	struct tcp_config cfg;
	uint8_t seed[TCP_SEED_BYTES];
	struct tcp_env env = {.ctr = &t->ctr, .release = release, .isn_seed = seed};
	struct net_config net;
	enum status st;

	net_config_default(&net);
	net.nic = t->port.nic;
	net.ctr = &t->ctr;
	net.addrs = plan->locals;
	net.addr_count = plan->local_count;
	net.tx_hold = QUEUE_HOLD;
	st = net_open(&t->net, &net);
	if (st != ST_OK)
		return st;
	env.net = t->net;
	/* The server still has the last run's connections in TIME-WAIT. */
	load_boot_seed(seed);
	tcp_config_default(&cfg);
	cfg.max_time_waits = time_waits(t);
	cfg.max_orphans = ORPHANS;
	cfg.max_conns = (uint32_t)min_u64(
	        (uint64_t)t->max_links + cfg.max_time_waits + cfg.max_orphans, CONNS_MAX);
	cfg.max_syn_backlog = 16;
	cfg.tx_chunks = min_u32(t->max_links, CONNS_MAX) + 16384;
	cfg.tx_refs = cfg.tx_chunks;
	cfg.rx_bufs = RX_BUFS;
	cfg.rx_buf_bytes = RX_BUF_BYTES;
	cfg.fin_wait_2_ms = FIN_WAIT_2_MS;
	cfg.keepalive_idle_ms = 0; /* whether an idle connection lives, the next request shows */
	cfg.pacing = TCP_PACING_OFF;
	cfg.ecn = TCP_ECN_OFF;
	cfg.huge_pages = huge_pages;
	st = tcp_create(&t->tcp, &cfg, &env, t->now_ns);
	if (st == ST_OK)
		tcp_set_user_timer_fn(t->tcp, connect_timeout, t);
	return st;
}

static void stack_destroy(struct dpdk_transport *t)
{
	tcp_destroy(t->tcp);
	net_destroy(t->net);
	load_port_close(&t->port);
	free(t);
}

/* The next hop's link address. A port may come up only after a moment, and a network after some. */
static enum status resolve(struct dpdk_transport *t)
{
	uint64_t deadline_ns = t->now_ns + LOAD_PORT_WAIT_MS * NS_PER_MS;
	enum status st;

	net_announce(t->net);
	do {
		round_run(t);
		st = paths_make(t);
	} while ((st == ST_AGAIN || st == ST_NOTFOUND) && t->now_ns < deadline_ns);
	return st;
}

static enum status dpdk_open(struct transport **out, const struct transport_config *cfg,
                             char err[TRANSPORT_ERR])
{
	struct dpdk_transport *t = aligned_alloc(CACHE_LINE, align_up(sizeof(*t), CACHE_LINE));
	enum status st;

	if (t == NULL) {
		snprintf(err, TRANSPORT_ERR, "no memory");
		return ST_NOMEM;
	}
	memset(t, 0, sizeof(*t));
	st = load_port_open(&t->port, cfg, err);
	if (st != ST_OK) {
		free(t);
		return st;
	}
	t->base.ops = &transport_dpdk;
	t->sink = cfg->sink;
	t->max_links = cfg->links;
	t->remote_port = cfg->port;
	t->trusted = t->port.plan.type == (int)PORT_MEMIF;
	t->timeout_ns = cfg->timeout_ms * NS_PER_MS;
	t->now_ns = clock_mono_ns();
	t->took_ns = t->now_ns;
	st = stack_make(t, cfg->huge_pages);
	if (st != ST_OK)
		load_port_fail(err, st, "the TCP stack cannot be made for %u connections: %s",
		               cfg->links, status_text(st));
	if (st == ST_OK) {
		st = resolve(t);
		if (st != ST_OK)
			snprintf(err, TRANSPORT_ERR,
			         "%s does not answer %s from %s through %s within %u s",
			         cfg->next_hop ? cfg->next_hop : cfg->host,
			         ip_addr_is_v4(&t->port.plan.server) ? "ARP"
			                                             : "neighbor solicitations",
			         cfg->local, cfg->device, LOAD_PORT_WAIT_MS / 1000);
	}
	if (st != ST_OK) {
		stack_destroy(t);
		return st;
	}
	/* What was lost while the port came up is nobody's loss. */
	t->ctr = (struct counters){0};
	t->note = NULL;
	t->mark_cycles = clock_cycles();
	*out = &t->base;
	return ST_OK;
}

/* What is open is reset, so that the server need not wait for us; so is what it sends to handshakes
 * that were under way, by TCP itself. */
static void dpdk_close(struct transport *base)
{
	struct dpdk_transport *t = of(base);
	uint64_t deadline_ns = clock_mono_ns() + CLOSE_NS;
	uint32_t cursor = 0;
	struct conn *c;

	while (!t->dead && t->now_ns < deadline_ns && (c = tcp_conn_walk(t->tcp, &cursor))) {
		tcp_set_owner(c, NULL);
		tcp_abort(t->tcp, c);
		while (net_queued(t->net) >= QUEUE_FULL && !t->dead) {
			t->now_ns = clock_mono_ns();
			flush(t);
		}
	}
	for (deadline_ns = clock_mono_ns() + LINGER_NS; t->now_ns < deadline_ns;)
		round_run(t);
	stack_destroy(t);
}

const struct transport_ops transport_dpdk = {
        .name = "dpdk",
        .polls = true,
        .open = dpdk_open,
        .close = dpdk_close,
        .connect = dpdk_connect,
        .send = dpdk_send,
        .takes = dpdk_takes,
        .shut = dpdk_shut,
        .abort = dpdk_abort,
        .poll = dpdk_poll,
        .stats = dpdk_stats,
};
