/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments from fuzzed bytes against a stack that listens and has an established connection, mixed
 * with what an owner does and with time. Numbers in the input are relative to what the stack
 * expects, or to its last SYN-ACK where it keeps no connection, so that the fuzzer gets past the
 * window checks and the cookies. After each step the invariants of every
 * connection are checked; at the end all is ended, and nothing may be held.
 *
 * The stack is made once. When nothing is held, all that is left of a run is in struct tcp, and a
 * copy of it makes it new. */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/net/csum.h"
#include "dataplane/tcp/conn.h"
#include "tests/sim/nic_sim.h"

enum {
	FRAME_BYTES = 2048,
	HDR_OFF = 34,
	MAX_SEGS = 8, /* in a burst: what was lent lives until its end */
	LOCAL_PORT = 80,
	REMOTE_PORT = 4000,
	MAX_CONNS = 16,
	LONGEST_TIMER_S = 130, /* the longest of the configured times, or of two after each other */
};

struct input {
	const uint8_t *p;
	size_t left;
};

/* What a connection had said and heard one step ago. */
struct shadow {
	bool valid;
	uint32_t iss;
	uint32_t rcv_adv;
	uint32_t snd_edge; /* the farthest that the peer ever let us send */
	uint32_t snd_una;
	uint32_t snd_nxt;
};

struct target {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct tcp fresh; /* as it was created */
	struct shadow shadows[MAX_CONNS];
	struct counters ctr;
	struct conn *conn; /* of the 4-tuple that is fuzzed, NULL: none known */
	uint64_t now_ns;
	uint64_t lent;
	uint64_t released;
	uint32_t segs;
	volatile char sink; /* every lent byte is read */
	/* the last SYN-ACK that was sent */
	uint32_t syn_seq;
	uint32_t syn_ack;
	uint32_t syn_ts;
	uint8_t fo_cookie[FAST_OPEN_COOKIE];
	uint8_t frames[MAX_SEGS][FRAME_BYTES];
	struct pkt pkts[MAX_SEGS];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

UNTRACED static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

UNTRACED static uint32_t take16(struct input *in)
{
	uint32_t hi = take(in);

	return hi << 8 | take(in);
}

static void release(void *arg, uint64_t cookie)
{
	struct target *t = arg;

	t->released += cookie;
}

UNTRACED static void must_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_tcp.c:%d: not %s\n", line, what);
	abort();
}

#define must(cond) must_at(cond, #cond, __LINE__)

static void owner_act(struct target *t, struct conn *c, uint8_t what)
{
	static const uint8_t bytes[4096];
	uint32_t n = 1u << (what >> 4);

	switch (what & 15) {
	case 0:
		tcp_rx_consume(t->tcp, c, min_size(n, tcp_rx(c).len));
		break;
	case 1:
		tcp_tx_copy(t->tcp, c, bytes, min_u32(n, sizeof(bytes)));
		break;
	case 2:
		if (tcp_tx_ref(t->tcp, c, bytes, min_u32(n, sizeof(bytes)), 3) == ST_OK)
			t->lent += 3;
		break;
	case 3:
		tcp_shutdown(t->tcp, c);
		break;
	case 4:
		tcp_set_owner(c, NULL);
		t->conn = NULL;
		tcp_close(t->tcp, c, t->now_ns);
		break;
	case 5:
		tcp_set_owner(c, NULL);
		t->conn = NULL;
		tcp_abort(t->tcp, c);
		break;
	case 6:
		tcp_user_timer(t->tcp, c, t->now_ns + n * NS_PER_MS);
		break;
	case 7:
		tcp_tx_want_room(c, n);
		break;
	case 8:
		tcp_wake(t->tcp, c, 0);
		break;
	default:
		break;
	}
}

static void ready(struct target *t, struct input *in)
{
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(t->tcp, &events)) != NULL) {
		struct span rx = tcp_rx(c);
		char sum = 0;

		for (size_t i = 0; i < rx.len; i++)
			sum = (char)(sum ^ rx.ptr[i]);
		t->sink = sum;
		if (events & TCP_EV_OPEN) {
			t->conn = c;
			tcp_set_owner(c, t);
		}
		if (events & TCP_EV_CLOSED && t->conn == c)
			t->conn = NULL;
		if (!(events & TCP_EV_CLOSED))
			owner_act(t, c, take(in));
		tcp_ready_done(t->tcp, c, t->now_ns);
	}
	t->segs = 0;
	net_flush(t->net);
}

static struct net_path path_of_peer(void)
{
	struct net_path path = {.remote_mac = {2, 0, 0, 0, 0, 9}};

	must(ip_addr_parse("10.0.0.1", &path.local) && ip_addr_parse("10.0.0.2", &path.remote));
	return path;
}

static void open_active(struct target *t, uint8_t how)
{
	struct net_path path = path_of_peer();
	struct conn *c;

	struct tcp_open open = {.path = &path,
	                        .local_port = how & 1 ? LOCAL_PORT : 0,
	                        .remote_port = REMOTE_PORT,
	                        .data = "0123456789",
	                        .len = how & 4 ? 10 : 0};

	c = tcp_connect_fast(t->tcp, &open, t->now_ns);
	if (c && how & 2)
		tcp_set_owner(c, t);
	if (c && how & 1)
		t->conn = c;
}

/* The link takes what is queued; else packet buffers run out. */
static void link_take(struct target *t)
{
	uint8_t frame[FRAME_BYTES];
	uint32_t len;

	while ((len = nic_sim_take(t->nic, frame, sizeof(frame))) > 0) {
		const uint8_t *h = frame + HDR_OFF;
		struct seg s = {.flags = TH_SYN};

		if (len < HDR_OFF + 20 || (h[13] & (TH_SYN | TH_ACK)) != (TH_SYN | TH_ACK))
			continue;
		must(opt_parse(&s, h + 20, (h[12] >> 4) * 4u - 20));
		t->syn_seq = get_u32(h + 4);
		t->syn_ack = get_u32(h + 8);
		t->syn_ts = s.tsval;
		if (s.fo_len == 2 + FAST_OPEN_COOKIE)
			memcpy(t->fo_cookie, s.fo_cookie, FAST_OPEN_COOKIE);
	}
}

static void segment(struct target *t, struct input *in)
{
	uint8_t *f = t->frames[t->segs];
	struct pkt *pkt = &t->pkts[t->segs];
	uint8_t *h = f + HDR_OFF;
	uint32_t opts = 4u * (take(in) % 11);
	uint32_t len = take16(in) % 1400;
	uint32_t seq = (uint32_t)(int16_t)take16(in);
	uint32_t ack = (uint32_t)(int16_t)take16(in);

	struct conn *c = t->conn;
	uint32_t cursor = 0;

	if (!c)
		c = tcp_conn_walk(t->tcp, &cursor);
	t->segs++;
	memset(f, 0, HDR_OFF);
	memcpy(f + 26, (const uint8_t[]){10, 0, 0, 2, 10, 0, 0, 1}, 8);
	if (c) {
		seq += c->rcv_nxt;
		ack += c->snd_nxt;
	} else {
		seq += t->syn_ack;
		ack += t->syn_seq + 1;
	}
	put_u16(h, REMOTE_PORT);
	put_u16(h + 2, LOCAL_PORT);
	put_u32(h + 4, seq);
	put_u32(h + 8, ack);
	h[13] = take(in);
	put_u16(h + 14, (uint16_t)take16(in));
	for (uint32_t i = 0; i < opts; i++)
		h[20 + i] = take(in);
	/* An echo cannot be guessed, nor can a fast open cookie. */
	if (opts >= 12 && h[20] == FAST_OPEN_KIND && h[21] == 2 + FAST_OPEN_COOKIE)
		for (uint32_t i = 0; i < FAST_OPEN_COOKIE; i++)
			h[22 + i] ^= t->fo_cookie[i];
	if (opts >= TCP_TS_OPT_LEN && h[20] == 1 && h[21] == 1 && h[22] == 8 && !c)
		put_u32(h + 28, get_u32(h + 28) + t->syn_ts);
	memset(h + 20 + opts, (int)len, len);
	*pkt = (struct pkt){.data = f,
	                    .len = HDR_OFF + 20 + opts + len,
	                    .l3_off = 14,
	                    .l4_off = HDR_OFF,
	                    .payload_off = (uint16_t)(HDR_OFF + 20 + opts),
	                    .payload_len = (uint16_t)len,
	                    .ip_version = 4};
	tcp_input(t->tcp, pkt, t->now_ns);
	if (t->segs == MAX_SEGS)
		ready(t, in);
}

/* An ICMP error as a router would send it, about bytes near those in flight. */
static void icmp_error(struct target *t, struct input *in)
{
	static const uint8_t codes[8] = {4, 4, 4, 4, 0, 2, 3, 13};
	uint8_t f[14 + 20 + 8 + 20 + 8] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
	uint8_t *ip = f + 14;
	uint8_t *icmp = ip + 20;
	uint8_t *quote = icmp + 8;
	uint32_t cursor = 0;
	struct conn *c = t->conn ? t->conn : tcp_conn_walk(t->tcp, &cursor);
	uint32_t seq = (uint32_t)(int16_t)take16(in);
	struct pkt pkt;

	memcpy(ip, (const uint8_t[]){0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1}, 10);
	memcpy(ip + 12, (const uint8_t[]){10, 0, 0, 9, 10, 0, 0, 1}, 8);
	put_u16(ip + 10, __builtin_bswap16(csum_fold(csum_add(0, ip, 20))));
	icmp[0] = 3;
	icmp[1] = codes[take(in) & 7];
	put_u16(icmp + 6, (uint16_t)take16(in));
	memcpy(quote, (const uint8_t[]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6}, 10);
	put_u16(quote + 2, (uint16_t)take16(in));
	memcpy(quote + 12, (const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	put_u16(quote + 20, LOCAL_PORT);
	put_u16(quote + 22, REMOTE_PORT);
	put_u32(quote + 24, seq + (c ? c->snd_una : 0));
	put_u16(icmp + 2, __builtin_bswap16(csum_fold(csum_add(0, icmp, 36))));
	if (!nic_sim_inject(t->nic, f, sizeof(f)))
		return;
	if (nic_rx_burst(t->nic, &pkt, 1) == 1)
		must(net_input(t->net, &pkt, 1, t->now_ns) == 0);
	tcp_input_errors(t->tcp, t->now_ns);
}

static void user_timer(void *arg, struct conn *c, uint64_t now_ns)
{
	struct target *t = arg;

	(void)now_ns;
	tcp_wake(t->tcp, c, 0);
}

static void open_target(struct target *t)
{
	struct nic_sim_config nic = {
	        .buffers = 32, .rx_queue = 2, .tx_queue = 16, .large_buffers = 2};
	struct tcp_config cfg;
	/* The same input does the same each time. */
	static const uint8_t seed[TCP_SEED_BYTES] = {0x5a};
	struct tcp_env env = {.ctr = &t->ctr, .release = release, .arg = t, .seed = seed};
	struct ip_addr addr;

	t->now_ns = NS_PER_S;
	tcp_config_default(&cfg);
	cfg.max_conns = MAX_CONNS;
	cfg.max_syn_backlog = 4;
	cfg.max_orphans = 2;
	cfg.fast_open = true;
	cfg.syn_cookie_step_s = 10;
	cfg.rx_bufs = 2;
	cfg.loss_boards = 1;
	cfg.rx_buf_bytes = 8192;
	cfg.tx_chunks = 16;
	cfg.tx_refs = 32;
	cfg.timestamps_required = 0; /* or few bytes would get past that */
	cfg.user_timeout_max_ms = 200000;
	must(ip_addr_parse("10.0.0.1", &addr));
	t->nic = nic_sim_create(&nic);
	must(net_create(&t->net, t->nic, &t->ctr, &addr, 1) == ST_OK);
	env.net = t->net;
	must(tcp_create(&t->tcp, &cfg, &env, t->now_ns) == ST_OK);
	must(tcp_listen(t->tcp, &addr, LOCAL_PORT) == ST_OK);
	tcp_set_user_timer_fn(t->tcp, user_timer, t);
	t->fresh = *t->tcp;
}

static void reset_target(struct target *t)
{
	uint8_t sink[64];

	while (nic_sim_take(t->nic, sink, sizeof(sink)) > 0)
		;
	*t->tcp = t->fresh;
	memset(t->shadows, 0, sizeof(t->shadows));
	t->now_ns = NS_PER_S;
	t->conn = NULL;
	t->segs = 0;
	t->lent = 0;
	t->released = 0;
}

UNTRACED static void check_runs(struct conn *c)
{
	const struct loss_run *runs = board_runs(c);
	uint32_t at = c->snd_una;
	uint32_t sacked = 0;
	uint32_t lost = 0;

	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		must(seq_lt(at, runs[i].hi));
		sacked += runs[i].state == RUN_SACKED ? runs[i].hi - at : 0;
		lost += runs[i].state == RUN_LOST ? runs[i].hi - at : 0;
		at = runs[i].hi;
	}
	must(seq_le(at, c->snd_nxt) && sacked == c->sacked_bytes && lost == c->ls.lost_bytes);
	at = c->rcv_nxt;
	for (uint32_t i = 0; c->rx && i < c->rx->ooo_count; i++) {
		must(seq_lt(at, c->rx->ooo[i].lo));
		must(seq_lt(c->rx->ooo[i].lo, c->rx->ooo[i].hi));
		at = c->rx->ooo[i].hi;
	}
}

UNTRACED static void check_numbers(const struct target *t, const struct conn *c, struct shadow *old)
{
	uint32_t edge = c->snd_una + c->snd_wnd;
	uint32_t flight = conn_flight(c);

	must(seq_le(c->snd_una, c->snd_nxt) && flight <= c->tx_bytes + 2);
	must(loss_pipe(c) <= flight);
	must(conn_rx_len(c) <= t->tcp->rx_wnd_max);
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
		return;
	must(c->mss + TCP_TS_OPT_LEN >= (int)t->tcp->cfg.min_send_mss && c->mss <= c->pmtu.ceil);
	must(c->pmtu.probe == 0 || c->pmtu.probe > c->mss);
	if (!old->valid || old->iss != c->iss) {
		*old = (struct shadow){true, c->iss, c->rcv_adv, edge, c->snd_una, c->snd_nxt};
		/* Fast open may have sent as the SYN's window let it. */
		if (c->hs.fast_open)
			old->snd_edge = seq_max(edge, c->snd_nxt);
	}
	must(seq_le(old->rcv_adv, c->rcv_adv)); /* RFC 9293 3.8.6: no shrinking */
	must(seq_le(old->snd_una, c->snd_una) && seq_le(old->snd_nxt, c->snd_nxt));
	old->snd_edge = seq_max(old->snd_edge, edge);
	/* An octet of a window probe, and our FIN. */
	must(seq_le(c->snd_nxt, old->snd_edge + 2));
	old->rcv_adv = c->rcv_adv;
	old->snd_una = c->snd_una;
	old->snd_nxt = c->snd_nxt;
}

/* A timer brings every live connection on, unless its owner has the next word. */
UNTRACED static void check_timer(const struct target *t, const struct conn *c)
{
	if (c->flags & (CF_READY | CF_IN_HAND))
		return;
	must(timer_is_set(&c->timer));
	must(c->timer.deadline_ns <= t->now_ns + LONGEST_TIMER_S * NS_PER_S);
	if (c->tx_bytes > 0 || conn_flight(c) > 0)
		must(c->rtx_ns != 0 || c->ack_ns != 0 || c->flags & CF_PACED);
}

UNTRACED static void check(struct target *t)
{
	uint32_t half_open = 0;

	for (uint32_t i = 0; i < t->tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&t->tcp->conns, i);

		if (!(c->flags & CF_LIVE) || c->state == TCP_CLOSED) {
			t->shadows[i].valid = false;
			continue;
		}
		half_open += c->state == TCP_SYN_RECEIVED && c->flags & CF_PASSIVE;
		check_numbers(t, c, &t->shadows[i]);
		check_runs(c);
		check_timer(t, c);
	}
	must(half_open == t->tcp->half_open);
}

static void close_target(struct target *t, struct input *in)
{
	struct tcp_usage use;
	struct conn *c;
	uint32_t cursor = 0;

	in->left = 0;
	ready(t, in);
	while ((c = tcp_conn_walk(t->tcp, &cursor)) != NULL) {
		tcp_set_owner(c, NULL);
		tcp_abort(t->tcp, c);
	}
	ready(t, in);
	/* Those that are over but were not read to the end. */
	for (cursor = 0; cursor < t->tcp->conns.fresh; cursor++) {
		c = pool_at(&t->tcp->conns, cursor);
		if (c->flags & CF_LIVE) {
			tcp_set_owner(c, NULL);
			tcp_abort(t->tcp, c);
		}
	}
	ready(t, in);
	tcp_usage(t->tcp, &use);
	must(use.conns + use.rx_bufs + use.tx_chunks + use.tx_refs + use.loss_boards + use.timers ==
	     0);
	must(t->lent == t->released && t->tcp->half_open == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target target;
	struct target *t = &target;
	struct input in = {data, size};

	if (!t->tcp)
		open_target(t);
	reset_target(t);
	while (in.left > 0) {
		uint8_t op = take(&in);

		switch (op & 7) {
		case 0:
			ready(t, &in);
			t->now_ns += (1ull << (op >> 3 & 15)) * NS_PER_MS;
			tcp_timers(t->tcp, t->now_ns);
			break;
		case 1:
			ready(t, &in);
			break;
		case 2:
			link_take(t);
			break;
		case 3:
			if (op & 8) {
				ready(t, &in);
				icmp_error(t, &in);
				break;
			}
			if (t->conn)
				owner_act(t, t->conn, take(&in));
			else if (op & 8)
				open_active(t, op >> 4);
			else
				t->tcp->cfg.syn_cookies = (op >> 4) % 3;
			break;
		default:
			segment(t, &in);
			break;
		}
		check(t);
	}
	close_target(t, &in);
	return 0;
}
