/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dataplane/net/csum.h"
#include "tests/unit/tcp/tcp_rig.h"

enum {
	PEER_PORT = 33000,
};

static void wire_release(void *arg, uint64_t cookie)
{
	struct wire *w = arg;

	w->released += cookie;
}

void wire_open(struct wire *w, const struct tcp_config *cfg, bool v6)
{
	struct nic_sim_config nic = {
	        .buffers = 2048, .tx_queue = 1024, .large_buffers = rig_large_buffers()};
	struct tcp_config small;
	static const uint8_t seed[TCP_SEED_BYTES] = {7};
	struct tcp_env env = {.ctr = &w->ctr, .release = wire_release, .arg = w, .seed = seed};

	memset(w, 0, sizeof(*w));
	w->v6 = v6;
	w->now_ns = NS_PER_S;
	w->port = PEER_PORT;
	assert_true(ip_addr_parse(v6 ? "fd00::1" : "10.0.0.1", &w->local));
	assert_true(ip_addr_parse(v6 ? "fd00::2" : "10.0.0.2", &w->remote));
	tcp_config_small(&small);
	w->nic = nic_sim_create(&nic);
	assert_non_null(w->nic);
	assert_int_equal(net_create(&w->net, w->nic, &w->ctr, &w->local, 1), ST_OK);
	env.net = w->net;
	assert_int_equal(tcp_create(&w->tcp, cfg ? cfg : &small, &env, w->now_ns), ST_OK);
	assert_int_equal(tcp_listen(w->tcp, &w->local, RIG_PORT), ST_OK);
}

void wire_open_small_table(struct wire *w, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.max_conns = 16;
	cfg.max_syn_backlog = 16;
	wire_open(w, &cfg, v6);
}

void wire_close(struct wire *w)
{
	uint32_t cursor = 0;
	struct tcp_usage use;
	struct conn *c;

	wire_drain(w);
	/* Half-open ones have no owner to let go of them. */
	while ((c = tcp_conn_walk(w->tcp, &cursor)) != NULL) {
		tcp_set_owner(c, NULL);
		tcp_abort(w->tcp, c);
	}
	wire_run(w);
	tcp_usage(w->tcp, &use);
	assert_int_equal(use.conns, 0);
	assert_int_equal(use.rx_bufs, 0);
	assert_int_equal(use.tx_chunks, 0);
	assert_int_equal(use.tx_refs, 0);
	assert_int_equal(use.loss_boards, 0);
	assert_int_equal(use.timers, 0);
	assert_int_equal(w->lent, w->released);
	assert_int_equal(w->tcp->half_open, 0);
	tcp_destroy(w->tcp);
	net_destroy(w->net);
	nic_sim_destroy(w->nic);
}

static uint32_t ip_write(const struct wire *w, uint8_t *ip, uint32_t tcp_len, uint8_t ecn)
{
	uint16_t sum;

	if (w->v6) {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		ip[1] = (uint8_t)(ecn << 4);
		put_u16(ip + 4, (uint16_t)tcp_len);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, w->remote.b, 16);
		memcpy(ip + 24, w->local.b, 16);
		return 40;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[1] = ecn;
	put_u16(ip + 2, (uint16_t)(20 + tcp_len));
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, w->remote.b + 12, 4);
	memcpy(ip + 16, w->local.b + 12, 4);
	sum = csum_fold(csum_add(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
	return 20;
}

static void tcp_csum_write(const struct wire *w, uint8_t *h, uint32_t tcp_len)
{
	uint8_t pseudo[40] = {0};
	uint16_t sum;

	memcpy(pseudo, w->remote.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	memcpy(pseudo + 16, w->local.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	put_u32(pseudo + 32, tcp_len);
	pseudo[39] = 6;
	put_u16(h + 16, 0);
	sum = csum_fold(csum_add(csum_add(0, pseudo, 40), h, tcp_len));
	memcpy(h + 16, &sum, 2);
}

/* The frame with a tag, if it shall have one; returns its length. */
static uint32_t tag_put(const struct wire *w, uint8_t *frame, uint32_t len)
{
	if (w->vlan == 0)
		return len;
	memmove(frame + 16, frame + 12, len - 12);
	put_u16(frame + 12, 0x8100);
	put_u16(frame + 14, w->vlan);
	return len + 4;
}

static void wire_put(struct wire *w, const struct wire_seg *s)
{
	static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 9};
	uint8_t frame[RIG_FRAME_BYTES] = {0};
	uint32_t hdr_len = TCP_HDR_LEN + s->opts_len;
	uint32_t ip_len;
	uint8_t *h;

	memcpy(frame, nic_caps(w->nic)->mac, 6);
	memcpy(frame + 6, peer_mac, 6);
	if (w->peer_mac_end != 0)
		frame[11] = w->peer_mac_end;
	put_u16(frame + 12, w->v6 ? 0x86dd : 0x0800);
	ip_len = ip_write(w, frame + 14, hdr_len + s->len, s->ecn);
	h = frame + 14 + ip_len;
	put_u16(h, s->sport ? s->sport : w->port);
	put_u16(h + 2, s->dport ? s->dport : RIG_PORT);
	put_u32(h + 4, s->seq);
	put_u32(h + 8, s->ack);
	h[12] = (uint8_t)(hdr_len << 2);
	h[13] = s->flags;
	put_u16(h + 14, (uint16_t)s->wnd);
	memcpy(h + TCP_HDR_LEN, s->opts, s->opts_len);
	if (s->len > 0)
		memcpy(h + hdr_len, s->data, s->len);
	tcp_csum_write(w, h, hdr_len + s->len);
	assert_true(
	        nic_sim_inject(w->nic, frame, tag_put(w, frame, 14 + ip_len + hdr_len + s->len)));
}

static void wire_app(struct wire *w, struct conn *conn, uint32_t events)
{
	struct span rx = tcp_rx(conn);

	if (events & TCP_EV_OPEN) {
		w->opened++;
		if (!tcp_owner(conn)) {
			w->conn = conn;
			tcp_set_owner(conn, w);
		}
	}
	if (conn == w->conn)
		w->events |= events;
	if (!w->no_read) {
		assert_true(w->rx_len + rx.len <= sizeof(w->rx));
		if (rx.len > 0)
			memcpy(w->rx + w->rx_len, rx.ptr, rx.len);
		w->rx_len += (uint32_t)rx.len;
		tcp_rx_consume(w->tcp, conn, rx.len);
	}
	if (events & TCP_EV_CLOSED) {
		w->closed++;
		if (conn == w->conn)
			w->conn = NULL;
	}
}

void wire_run(struct wire *w)
{
	struct pkt pkts[NIC_BURST];
	struct conn *conn;
	uint32_t events;
	unsigned n;

	n = nic_rx_burst(w->nic, pkts, NIC_BURST);
	n = net_input(w->net, pkts, n, w->now_ns);
	if (n == 0)
		n = net_passed(w->net, pkts, NIC_BURST);
	tcp_input_burst(w->tcp, pkts, n, w->now_ns);
	while ((conn = tcp_ready(w->tcp, &events)) != NULL) {
		wire_app(w, conn, events);
		tcp_ready_done(w->tcp, conn, w->now_ns);
	}
	for (unsigned i = 0; i < n; i++)
		if (pkts[i].handle != NULL)
			memset(pkts[i].data, 0xdb, pkts[i].len);
	nic_pkt_free(w->nic, pkts, n);
	tcp_timers(w->tcp, w->now_ns);
	while ((conn = tcp_ready(w->tcp, &events)) != NULL) {
		wire_app(w, conn, events);
		tcp_ready_done(w->tcp, conn, w->now_ns);
	}
	net_flush(w->net);
}

void wire_advance(struct wire *w, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++) {
		w->now_ns += NS_PER_MS;
		if (tcp_next_timer_ns(w->tcp) <= w->now_ns)
			wire_run(w);
	}
	wire_run(w);
}

void wire_send(struct wire *w, const struct wire_seg *s)
{
	wire_burst(w, s, 1);
}

void wire_burst(struct wire *w, const struct wire_seg *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		wire_put(w, &s[i]);
	wire_run(w);
}

bool wire_take(struct wire *w, struct wire_seg *out)
{
	uint8_t frame[RIG_FRAME_BYTES];
	uint32_t len = nic_sim_take(w->nic, frame, sizeof(frame));
	uint32_t off = w->v6 ? 54 : 34;
	uint32_t hdr_len;
	const uint8_t *h = frame + off;

	if (len == 0)
		return false;
	if (get_u16(frame + 12) == 0x8100)
		memmove(frame + 12, frame + 16, len - 16);
	hdr_len = (h[12] >> 4) * 4u;
	memset(out, 0, sizeof(*out));
	out->sport = get_u16(h);
	out->dport = get_u16(h + 2);
	out->seq = get_u32(h + 4);
	out->ack = get_u32(h + 8);
	out->wnd = get_u16(h + 14);
	out->flags = h[13];
	out->ecn = w->v6 ? frame[15] >> 4 & 3 : frame[15] & 3;
	out->opts_len = hdr_len - TCP_HDR_LEN;
	memcpy(out->opts, h + TCP_HDR_LEN, out->opts_len);
	/* IPv4 carries the length; Ethernet may pad. */
	out->len = (w->v6 ? get_u16(frame + 18) : get_u16(frame + 16) - 20u) - hdr_len;
	memcpy(out->payload, h + hdr_len, out->len);
	out->data = out->payload;
	out->parsed.flags = out->flags;
	assert_true(opt_parse(&out->parsed, out->opts, out->opts_len));
	return true;
}

void wire_expect(struct wire *w, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct wire_seg s;

	assert_true(wire_take(w, &s));
	assert_int_equal(s.flags, flags);
	assert_int_equal(s.seq, seq);
	assert_int_equal(s.ack, ack);
}

uint32_t wire_drain(struct wire *w)
{
	struct wire_seg s;
	uint32_t n = 0;

	while (wire_take(w, &s))
		n++;
	return n;
}

void wire_ack(struct wire *w, uint32_t ack, uint32_t wnd)
{
	struct wire_seg s = {.seq = w->seq, .ack = ack, .wnd = wnd, .flags = TH_ACK};

	wire_send(w, &s);
}

uint64_t wire_count(const struct wire *w, enum counter_id id)
{
	return counter_read(&w->ctr, id);
}

void wire_handshake(struct wire *w, const uint8_t *opts, uint32_t opts_len, uint32_t isn)
{
	struct wire_seg syn = {.seq = isn, .wnd = 65535, .flags = TH_SYN, .opts_len = opts_len};
	struct wire_seg got;

	if (opts_len > 0)
		memcpy(syn.opts, opts, opts_len);
	wire_send(w, &syn);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	assert_int_equal(got.ack, isn + 1);
	w->peer_isn = isn;
	w->seq = isn + 1;
	w->ack = got.seq + 1;
	wire_flags(w, TH_ACK, w->seq, w->ack);
	assert_non_null(w->conn);
	assert_true(w->events & TCP_EV_OPEN);
	assert_int_equal(w->conn->state, TCP_ESTABLISHED);
	wire_drain(w);
}

void wire_data(struct wire *w, uint32_t seq, const void *data, uint32_t len)
{
	struct wire_seg s = {.seq = seq,
	                     .ack = w->ack,
	                     .wnd = 65535,
	                     .flags = TH_ACK | TH_PSH,
	                     .data = data,
	                     .len = len};

	wire_send(w, &s);
}

void wire_flags(struct wire *w, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct wire_seg s = {.seq = seq, .ack = ack, .wnd = 65535, .flags = flags};

	wire_send(w, &s);
}

void wire_write(struct wire *w, const void *data, uint32_t len)
{
	assert_int_equal(tcp_tx_copy(w->tcp, w->conn, data, len), ST_OK);
	wire_run(w);
}
