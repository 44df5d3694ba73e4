/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Builds the world of the tcp level, and lets time pass in it: from one event to the next, or by a
 * quantum when they come close together, so that bursts are bursts. */
#include "tests/sim/world.h"

#include <stdlib.h>

#include "lib/log.h"

#define QUANTUM_NS  (20 * NS_PER_US)
#define CHECK_NS    (20 * NS_PER_MS) /* and no more often than so many steps */
#define CHECK_STEPS 64u
#define PROGRESS_NS NS_PER_S
#define QUIET_NS    (1200 * NS_PER_S)

static const uint8_t mac_server[6] = {2, 0, 0, 0, 0, 1};

/* The slot of a client's address and port; NULL: none, or the address is of the flood. */
static struct slot *slot_of(struct world *w, const uint8_t *addr, bool v6, uint16_t port)
{
	bool peer = addr[v6 ? 15 : 3] == 3;

	if (addr[v6 ? 7 : 1] == 99)
		return NULL;
	return slot_find(w, peer, port);
}

static void sent_check(struct world *w, const void *data, uint32_t len)
{
	const char *why;
	struct slot *s;
	struct view v;

	if (!view_parse(&v, data, len))
		return;
	s = slot_of(w, v.dst, v.v6, v.dport);
	why = s != NULL ? watch_sent(&s->watch, &v) : NULL;
	if (unlikely(why != NULL))
		run_fail(w->run, w->now_ns,
		         "connection %u (port %u, %s): the server sent %s (seq %u, len %u, "
		         "ack %u, window %u; came %u, offered %u)",
		         s->plan.number, v.dport, s->plan.honest ? "honest" : "liar", why,
		         v.seq - s->watch.server_iss, v.data_len, v.ack - s->watch.client_iss,
		         v.wnd, s->watch.came - s->watch.client_iss,
		         s->watch.offered - s->watch.client_iss);
}

static void host_sent(struct world *w, bool server, const void *data, uint32_t len)
{
	static uint8_t copy[CABLE_FRAME_MAX];
	struct view v;

	if (unlikely(w->run->trace_port != 0) && view_parse(&v, data, len))
		trace_segment(w, &v, "sent");
	if (!server) {
		cable_send(w->cable, CABLE_UP, data, len, w->now_ns);
		return;
	}
	if (unlikely(w->run->broken != BREAK_none)) {
		memcpy(copy, data, len);
		if (!break_frame(w, copy, &len))
			return;
		data = copy;
	}
	sent_check(w, data, len);
	cable_send(w->cable, CABLE_DOWN, data, len, w->now_ns);
}

static void server_sent(void *arg, const void *data, uint32_t len)
{
	host_sent(arg, true, data, len);
}

/* Lost before it reached the wire; but the server knows nothing of that, and holds to it. */
static void server_refused(void *arg, const void *data, uint32_t len)
{
	sent_check(arg, data, len);
}

static void client_sent(void *arg, const void *data, uint32_t len)
{
	host_sent(arg, false, data, len);
}

static void came_up(struct world *w, const struct cable_frame *f)
{
	struct slot *s;
	struct view v;

	if (!nic_sim_inject(w->server.nic, f->bytes, f->len))
		return;
	w->server.busy = true;
	if (f->corrupted) {
		w->corrupted_in++;
		w->caught_in += f->caught;
		if (f->caught)
			return;
	}
	if (!view_parse(&v, f->bytes, f->len))
		return;
	s = slot_of(w, v.src, v.v6, v.sport);
	if (s == NULL)
		return;
	watch_came(&s->watch, &v);
	slot_touch(w, s);
}

/* ICMP for a peer: RFC 1191 and RFC 8201 say what it makes of it. */
static void icmp_came(struct world *w, const struct cable_frame *f)
{
	const uint8_t *ip = f->bytes + 14;
	bool v6 = f->bytes[12] == 0x86;
	const uint8_t *icmp = ip + (v6 ? 40 : 20);
	const uint8_t *ports = icmp + 8 + (v6 ? 40 : 20);
	struct slot *s;

	if (f->len < (v6 ? 14 + 40 + 8 + 48 : 14 + 20 + 8 + 28) ||
	    ip[v6 ? 6 : 9] != (v6 ? 58 : 1) || icmp[0] != (v6 ? 2 : 3))
		return;
	s = slot_find(w, true, (uint16_t)(ports[0] << 8 | ports[1]));
	if (s != NULL && s->peer.state > PEER_SYN_SENT)
		peer_path_mtu(&s->peer, (uint32_t)(icmp[6] << 8 | icmp[7]));
}

static void came_down(struct world *w, const struct cable_frame *f)
{
	struct slot *s;
	struct view v;

	if (unlikely(w->run->broken == BREAK_arrived) && view_parse(&v, f->bytes, f->len))
		break_arrival(w, &v);
	if (f->bytes[5] == 2 && memcmp(f->bytes, mac_server, 5) == 0) {
		nic_sim_inject(w->client.nic, f->bytes, f->len);
		w->client.busy = true;
		return;
	}
	if (f->bytes[5] != 3 || memcmp(f->bytes, mac_server, 5) != 0)
		return;
	if (f->corrupted && f->caught)
		return;
	if (!view_parse(&v, f->bytes, f->len)) {
		icmp_came(w, f);
		return;
	}
	if (memcmp(v.dst, v.v6 ? w->peers.v6 : w->peers.v4, v.v6 ? 16 : 4) != 0)
		return; /* of the flood */
	if (!f->corrupted && !view_csums_hold(&v)) {
		run_fail(w->run, w->now_ns, "the server sent a wrong checksum to port %u", v.dport);
		return;
	}
	s = slot_find(w, true, v.dport);
	if (s == NULL) {
		peer_refuse(&w->peers, &v);
		return;
	}
	peer_input(&w->peers, &s->peer, &v);
}

static void frame_came(void *arg, const struct cable_frame *f)
{
	struct world *w = arg;
	struct view v;

	if (unlikely(w->run->trace_port != 0) && view_parse(&v, f->bytes, f->len))
		trace_segment(w, &v,
		              f->corrupted                                              ? "bad"
		              : f->dir == CABLE_UP && nic_pkts_free(w->server.nic) == 0 ? "shed"
		                                                                        : "came");
	if (f->dir == CABLE_UP)
		came_up(arg, f);
	else
		came_down(arg, f);
}

static void peer_wrong(void *arg, struct peer *p, const char *what)
{
	struct world *w = arg;

	run_fail(w->run, w->now_ns, "connection %u (port %u, peer, %s): %s at %u", p->plan->number,
	         p->plan->port, p->plan->honest ? "honest" : "liar", what, p->rcv_nxt - p->irs - 1);
}

static void peer_ended(void *arg, struct peer *p)
{
	slot_peer_news(arg, p->owner);
}

static void lent_back(void *arg, uint64_t cookie)
{
	struct host *host = arg;

	host->returned += cookie;
}

/* The patience with those who do nothing: who closed, and slow readers when memory is short. */
static uint32_t idle_ms(const struct scenario *sc)
{
	return (uint32_t)min_u64(sc->idle_ns / NS_PER_MS + 1, 600000);
}

static void host_run(struct world *w, struct host *host)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;

	while ((n = nic_rx_burst(host->nic, pkts, NIC_BURST)) > 0) {
		n = net_input(host->net, pkts, n, w->now_ns);
		tcp_input_burst(host->tcp, pkts, n, w->now_ns);
		ends_ready(w, host);
		if (n > 0)
			nic_pkt_free(host->nic, pkts, n);
	}
	net_tick(host->net, w->now_ns);
	tcp_timers(host->tcp, w->now_ns);
	if (host == &w->server)
		tcp_relieve(host->tcp, idle_ms(w->sc), false, w->now_ns);
	ends_ready(w, host);
	net_flush(host->net);
	host->busy = false;
	host->due_ns = tcp_next_timer_ns(host->tcp);
}

static bool host_make(struct world *w, struct host *host, const struct nic_sim_config *nc,
                      const struct tcp_config *cfg)
{
	bool server = host == &w->server;
	struct tcp_env env = {.ctr = &host->ctr, .release = lent_back, .arg = host};
	struct ip_addr addrs[2];

	ip_addr_parse(server ? "10.0.0.10" : "10.0.0.2", &addrs[0]);
	ip_addr_parse(server ? "fd00::10" : "fd00::2", &addrs[1]);
	host->packets = nc->buffers;
	host->nic = nic_sim_create(nc);
	if (host->nic == NULL || net_create(&host->net, host->nic, &host->ctr, addrs, 2) != ST_OK)
		return false;
	env.net = host->net;
	if (tcp_create(&host->tcp, cfg, &env, w->now_ns) != ST_OK)
		return false;
	tcp_set_user_timer_fn(host->tcp, end_timer, host);
	for (uint32_t i = 0; server && i < 2; i++)
		if (tcp_listen(host->tcp, &addrs[i], WORLD_PORT) != ST_OK)
			return false;
	return true;
}

static bool server_make(struct world *w)
{
	const struct scenario *sc = w->sc;
	struct nic_sim_config nc = {.mac = {2, 0, 0, 0, 0, 1},
	                            .buffers = sc->packets,
	                            .rx_queue = 4096,
	                            .tx_ip_csum = sc->offload,
	                            .tx_l4_csum = sc->offload,
	                            .large_buffers = sc->large_buffers,
	                            .rx_csum = sc->offload,
	                            .on_tx = server_sent,
	                            .on_refused = server_refused,
	                            .arg = w};
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.max_conns = sc->max_conns;
	cfg.max_syn_backlog = min_u32(sc->syn_backlog, sc->max_conns);
	cfg.rx_bufs = sc->rx_bufs;
	cfg.rx_buf_bytes = sc->rx_buf_bytes;
	cfg.rx_window_bytes = max_u32(sc->rx_buf_bytes, sc->rx_window);
	cfg.tx_chunks = sc->tx_chunks;
	cfg.tx_refs = sc->tx_refs;
	cfg.fin_wait_2_ms = idle_ms(sc);
	cfg.orphan_life_ms = 24 * 3600 * 1000; /* a fault may last, and the honest come through */
	/* A simulated link loses much. */
	cfg.syn_retries = 14;
	cfg.keepalive_probes = 60;
	return host_make(w, &w->server, &nc, &cfg);
}

static bool client_make(struct world *w)
{
	struct nic_sim_config nc = {.mac = {2, 0, 0, 0, 0, 2},
	                            .buffers = 8192,
	                            .rx_queue = 8192,
	                            .on_tx = client_sent,
	                            .arg = w};
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.max_conns = 16384;
	cfg.rx_bufs = 4096;
	cfg.rx_buf_bytes = 65536;
	cfg.tx_chunks = 65536;
	cfg.tx_refs = 65536;
	cfg.syn_retries = 16;
	cfg.retries = 16;
	cfg.keepalive_probes = 60;
	cfg.time_wait_ms = 50;
	cfg.ecn = w->sc->ecn ? TCP_ECN_REQUEST : TCP_ECN_ACCEPT;
	cfg.fin_wait_2_ms = idle_ms(w->sc);
	cfg.orphan_life_ms = 24 * 3600 * 1000; /* a fault may last, and the honest come through */
	return host_make(w, &w->client, &nc, &cfg);
}

static void host_free(struct host *host)
{
	if (host->tcp != NULL)
		tcp_destroy(host->tcp);
	if (host->net != NULL)
		net_destroy(host->net);
	if (host->nic != NULL)
		nic_sim_destroy(host->nic);
}

static void peers_make(struct world *w)
{
	struct ip_addr a;

	w->peers = (struct peer_host){.mac = {2, 0, 0, 0, 0, 3},
	                              .v4 = {10, 0, 0, 3},
	                              .server_v4 = {10, 0, 0, 10},
	                              .server_port = WORLD_PORT,
	                              .now_ns = w->now_ns,
	                              .send = client_sent,
	                              .wrong = peer_wrong,
	                              .ended = peer_ended,
	                              .arg = w};
	memcpy(w->peers.server_mac, mac_server, 6);
	ip_addr_parse("fd00::3", &a);
	memcpy(w->peers.v6, a.b, 16);
	ip_addr_parse("fd00::10", &a);
	memcpy(w->peers.server_v6, a.b, 16);
	peer_host_init(&w->peers);
}

static bool link_loses(const struct link_conf *l)
{
	return l->loss > 0 || l->burst_enter > 0 || l->corrupt > 0 || l->corrupt_eth > 0 ||
	       l->rate_bps > 0;
}

/* Scenarios in which a handshake may fail, as documented. */
static bool may_refuse(const struct scenario *sc)
{
	/* Handshakes and TIME-WAITs are given up when there are more. */
	bool may = sc->max_conns < 2 * sc->at_once || sc->syn_backlog < sc->at_once;

	/* A lost ACK of a cookie is not asked for again (RFC 4987 3.6). */
	may |= sc->flood > 0 && (link_loses(&sc->up) || link_loses(&sc->down));
	for (uint32_t i = 0; i < sc->fault_count; i++) {
		const struct scenario_fault *f = &sc->faults[i];

		may |= f->kind == FAULT_no_conns || (sc->flood > 0 && f->kind != FAULT_clock_jump);
		may |= f->kind == FAULT_clock_jump && f->for_ns > 60 * NS_PER_S;
	}
	return may;
}

static bool world_make(struct world *w, struct run *run)
{
	*w = (struct world){.run = run, .sc = &run->sc, .now_ns = NS_PER_S, .next_port = 1023};
	w->start_ns = w->now_ns;
	w->rng.s = mix64(run->seed);
	w->flood_rng.s = mix64(run->seed + 3);
	w->flood_ns = w->now_ns;
	w->slot_count = run->sc.at_once;
	w->slots = calloc(w->slot_count, sizeof(w->slots[0]));
	w->touched = calloc(w->slot_count, sizeof(w->touched[0]));
	w->slot_of = calloc(2 * 65536, sizeof(w->slot_of[0]));
	w->cable = cable_create(&run->sc, run->seed, frame_came, w);
	if (w->slots == NULL || w->touched == NULL || w->slot_of == NULL || w->cable == NULL)
		return false;
	for (uint32_t i = 0; i < w->slot_count; i++)
		w->slots[i].index = i;
	peers_make(w);
	if (!server_make(w) || !client_make(w))
		return false;
	w->faults = (struct faults){.sc = w->sc,
	                            .cable = w->cable,
	                            .nic = w->server.nic,
	                            .tcp = w->server.tcp,
	                            .rng = {mix64(run->seed + 5)}};
	faults_start(&w->faults, w->now_ns);
	w->lossy = may_refuse(w->sc);
	return true;
}

/* SYNs from nowhere, while there are clients to hinder. */
static void flood_run(struct world *w)
{
	if (w->sc->flood == 0 || w->opened >= w->sc->conns)
		return;
	for (; w->flood_ns <= w->now_ns; w->flood_ns += NS_PER_S / w->sc->flood)
		peer_flood(&w->peers, &w->flood_rng);
}

static void step(struct world *w)
{
	uint64_t next;

	w->now_ns += faults_run(&w->faults, w->now_ns);
	w->peers.now_ns = w->now_ns;
	cable_run(w->cable, w->now_ns);
	slots_open(w);
	flood_run(w);
	if (timerwheel_next_ns(&w->peers.wheel) <= w->now_ns)
		peer_timers(&w->peers);
	if (w->client.busy || w->client.due_ns <= w->now_ns)
		host_run(w, &w->client);
	if (w->server.busy || w->server.due_ns <= w->now_ns)
		host_run(w, &w->server);
	if (unlikely(w->run->broken != BREAK_none))
		break_step(w);
	check_touched(w);
	if (w->now_ns >= w->check_ns && ++w->check_steps >= CHECK_STEPS) {
		w->check_ns = w->now_ns + CHECK_NS;
		w->check_steps = 0;
		check_all(w);
	}
	if (w->now_ns >= w->progress_ns) {
		w->progress_ns = w->now_ns + PROGRESS_NS;
		slots_progress(w);
	}
	next = min_u64(cable_next_ns(w->cable), w->faults.due_ns);
	next = min_u64(next, min_u64(w->server.due_ns, w->client.due_ns));
	next = min_u64(next, timerwheel_next_ns(&w->peers.wheel));
	next = min_u64(next, w->progress_ns);
	w->now_ns = max_u64(w->now_ns + QUANTUM_NS, next);
}

static void results(struct world *w)
{
	const struct cable_stats *cs = cable_stats(w->cable);
	struct run *run = w->run;

	run->digest = cable_digest(w->cable);
	run->packets = cs->frames;
	run->lost = cs->lost + cs->queue_drops + cs->blocked;
	run->corrupted = cs->corrupted;
	run->marked = cs->marked;
	run->resent = counter_read(&w->server.ctr, CTR_tcp_rexmit);
	run->at_s = (double)(w->now_ns - w->start_ns) / 1e9;
}

static void world_free(struct world *w)
{
	uint32_t cursor = 0;
	struct conn *c;

	slots_destroy(w); /* it still looks at the ends */
	while (w->server.tcp != NULL && (c = tcp_conn_walk(w->server.tcp, &cursor)) != NULL)
		free(tcp_owner(c));
	host_free(&w->server);
	host_free(&w->client);
	cable_destroy(w->cable);
	while (w->free_ends != NULL) {
		struct end *e = w->free_ends;

		w->free_ends = e->next_free;
		free(e);
	}
}

bool world_run(struct run *run)
{
	static struct world w;
	uint64_t quiet_until;

	log_set_level(LOG_ERROR);
	pattern_init();
	entropy_seed(run->seed);
	if (!world_make(&w, run)) {
		run_fail(run, 0, "no memory, or a server.* value that is out of range");
		world_free(&w);
		return false;
	}
	while (!run->failed && (w.opened < w.sc->conns || w.live > 0))
		step(&w);
	faults_stop(&w.faults, w.now_ns);
	quiet_until = w.now_ns + QUIET_NS;
	while (!run->failed && !check_is_quiet(&w) && w.now_ns < quiet_until)
		step(&w);
	if (!run->failed)
		check_quiet(&w);
	results(&w);
	world_free(&w);
	return !run->failed;
}
