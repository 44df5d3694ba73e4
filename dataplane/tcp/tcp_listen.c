/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments that belong to no connection: SYNs become connections in SYN-RECEIVED, the rest is
 * answered with a reset. */
#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_limit.h"
#include "dataplane/tcp/tcp_window.h"
#include "lib/hash.h"

bool bare_send(struct tcp *tcp, const struct bare_seg *b)
{
	struct pkt *pkt = net_alloc(tcp->net, b->path);
	uint32_t hdr_len = TCP_HDR_LEN + b->opts_len;
	struct net_seg seg = {.tcp_hdr_len = hdr_len, .tcp_len = hdr_len};
	uint8_t *h;

	if (!pkt)
		return false;
	h = pkt->data + net_headroom(b->path);
	put_u16(h, b->key->lport);
	put_u16(h + 2, b->key->rport);
	put_u32(h + 4, b->seq);
	put_u32(h + 8, b->ack);
	h[12] = (uint8_t)(hdr_len << 2);
	h[13] = b->flags;
	put_u16(h + 14, b->wnd);
	put_u32(h + 16, 0); /* checksum and urgent pointer */
	if (b->opts_len > 0)
		memcpy(h + TCP_HDR_LEN, b->opts, b->opts_len);
	net_send(tcp->net, b->path, pkt, &seg);
	return true;
}

/* How many resets this second has; up to a quarter fewer than may be, since whoever knew the number
 * could spend all but one and then see whether a forged segment had met a connection. */
static uint32_t resets_of_second(const struct tcp *tcp)
{
	uint32_t second = now_s(tcp);
	uint32_t most = tcp->cfg.max_resets_per_s;

	return most - (uint32_t)(siphash24(&second, sizeof(second), tcp->isn_key) % (most / 4 + 1));
}

/* Forged segments must not make us a source of many resets. */
static bool reset_allowed(struct tcp *tcp)
{
	if (tcp->resets_s != now_s(tcp)) {
		tcp->resets_s = now_s(tcp);
		tcp->resets_most = resets_of_second(tcp);
		tcp->resets = 0;
	}
	if (tcp->resets >= tcp->resets_most) {
		counter_inc(tcp->ctr, CTR_shed_rst);
		return false;
	}
	tcp->resets++;
	return true;
}

void reset_reply(struct tcp *tcp, const struct seg *s)
{
	const uint8_t *in = s->pkt->data + s->pkt->l4_off;
	struct conn_key ports = {.lport = get_u16(in + 2), .rport = get_u16(in)};
	struct net_path path;
	struct bare_seg out = {.key = &ports, .path = &path, .flags = TH_RST};

	if (s->flags & TH_RST || !reset_allowed(tcp))
		return;
	net_path_reply(s->pkt, &path);
	if (s->flags & TH_ACK) {
		out.seq = s->ack;
	} else {
		out.flags |= TH_ACK;
		out.ack =
		        s->seq + s->len + (s->flags & TH_SYN ? 1 : 0) + (s->flags & TH_FIN ? 1 : 0);
	}
	if (bare_send(tcp, &out))
		counter_inc(tcp->ctr, CTR_tcp_rst_out);
}

bool listening(const struct tcp *tcp, const struct conn_key *key)
{
	static const struct ip_addr any;

	for (uint32_t i = 0; i < tcp->listener_count; i++) {
		const struct tcp_listener *l = &tcp->listeners[i];

		if (l->port == key->lport &&
		    (ip_addr_eq(&l->addr, &key->local) || ip_addr_eq(&l->addr, &any)))
			return true;
	}
	return false;
}

uint32_t syn_window(const struct tcp *tcp)
{
	return min_u32(tcp->cfg.rx_buf_bytes, 65535);
}

uint16_t conn_own_mss(const struct tcp *tcp, const struct net_path *path)
{
	bool v4 = ip_addr_is_v4(&path->local);
	uint32_t mss = v4 ? net_mtu(tcp->net) - 40u : net_mtu_v6(tcp->net) - 60u;

	return (uint16_t)(tcp->cfg.mss ? min_u32(tcp->cfg.mss, mss) : mss);
}

uint32_t conn_isn_after(const struct tcp *tcp, const struct conn_key *key, uint32_t after)
{
	uint32_t isn = conn_isn(tcp, key);

	/* More was sent than the clock has counted since: still beyond it, and by so much that what
	 * is in flight of the old connection lies outside of the new one's first window. */
	return seq_lt(after, isn) ? isn : after + 65536 + 1;
}

void conn_begin(struct tcp *tcp, struct conn *c, const struct conn_key *key, uint32_t iss)
{
	c->iss = iss;
	c->snd_una = c->iss;
	c->snd_nxt = c->iss + 1;
	c->recover = c->iss;
	c->ts_offset = conn_ts_offset(tcp, key);
	c->quick = TCP_QUICK_ACKS;
	c->flags |= CF_SYN_UNACKED | CF_TIMING;
	c->rtt_seq = c->snd_nxt;
	c->rtt_start_ns = tcp->now_ns;
}

void conn_take_syn(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	bool v4 = ip_addr_is_v4(&c->path.local);
	uint32_t mss = s->mss;

	if (mss == 0)
		mss = v4 ? TCP_DEFAULT_MSS_V4 : TCP_DEFAULT_MSS_V6;
	mss = min_u32(max_u32(mss, tcp->cfg.min_send_mss), conn_own_mss(tcp, &c->path));
	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->rcv_adv = c->rcv_nxt;
	c->last_ack = c->rcv_nxt;
	window_begin(tcp, c);
	c->flags &= ~(CF_TS | CF_SACK | CF_WSCALE);
	if (s->has_ts) {
		c->flags |= CF_TS;
		c->ts_recent = s->tsval;
		c->ts_recent_s = now_s(tcp);
		mss -= TCP_TS_OPT_LEN;
	}
	if (s->sack_ok)
		c->flags |= CF_SACK;
	if (s->has_wscale) {
		c->flags |= CF_WSCALE;
		c->snd_wscale = s->wscale;
		c->rcv_wscale = tcp->rcv_wscale;
	}
	c->mss = (uint16_t)mss;
	pmtu_begin(tcp, c);
	if (s->uto)
		uto_input(tcp, c, s->uto);
	/* RFC 7323 2.2: the window of a SYN is not scaled. */
	c->snd_wnd = s->wnd;
	c->snd_wnd_max = s->wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = c->iss;
	cc_init(tcp, c);
	ecn_take_syn(tcp, c, s);
}

void half_open_unlink(struct tcp *tcp, struct conn *c)
{
	if (c->state != TCP_SYN_RECEIVED || !(c->flags & CF_PASSIVE))
		return;
	age_unlink(tcp, &tcp->half_opens, c);
	tcp->half_open--;
	fast_open_settle(tcp, c);
}

struct conn *half_open_new(struct tcp *tcp, const struct net_path *path, const struct conn_key *key)
{
	struct conn *c = conn_new(tcp, path, key);

	if (!c)
		return NULL;
	tcp->half_open++;
	age_link(tcp, &tcp->half_opens, c);
	c->state = TCP_SYN_RECEIVED;
	c->flags |= CF_PASSIVE;
	return c;
}

/* Data that comes with a SYN and no cookie (RFC 7413) is not acknowledged: it comes again. */
static enum counter_id syn_keep(struct tcp *tcp, struct seg *s, const struct conn_key *key,
                                uint32_t iss)
{
	struct net_path path;
	struct conn *c;

	/* The oldest handshake makes room: an honest one is over within a round trip, one that a
	 * flood began never (RFC 4987 3.3, "recycling the oldest half-open TCB"). */
	if (tcp->half_open >= tcp->cfg.max_syn_backlog) {
		if (!give_up_oldest(tcp, &tcp->half_opens))
			return CTR_drop_tcp_syn_full;
		counter_inc(tcp->ctr, CTR_shed_syn);
	}
	net_path_reply(s->pkt, &path);
	c = half_open_new(tcp, &path, key);
	if (!c)
		return CTR_drop_tcp_syn_full;
	conn_begin(tcp, c, key, iss);
	conn_take_syn(tcp, c, s);
	fast_open_syn(tcp, c, s);
	syn_send(tcp, c);
	rto_start(tcp, c);
	return CTR_rx_tcp;
}

enum counter_id listen_limits(const struct tcp *tcp, const struct conn_key *key)
{
	if (unlikely(limit_addr_full(tcp, &key->remote)))
		return CTR_drop_tcp_address;
	return likely(limit_accepts(tcp)) ? CTR_rx_tcp : CTR_drop_tcp_syn_full;
}

enum counter_id listen_again_input(struct tcp *tcp, struct seg *s, const struct conn_key *key,
                                   uint32_t after)
{
	return syn_keep(tcp, s, key, conn_isn_after(tcp, key, after));
}

static enum counter_id syn_input(struct tcp *tcp, struct seg *s, const struct conn_key *key)
{
	enum counter_id verdict = listen_limits(tcp, key);

	if (verdict != CTR_rx_tcp)
		return verdict;
	if (unlikely(cookie_wanted(tcp)))
		return cookie_send(tcp, s, key);
	return syn_keep(tcp, s, key, conn_isn(tcp, key));
}

bool seg_elsewhere(const struct tcp *tcp, const struct seg *s)
{
	return net_may_pass(tcp->net, s->pkt);
}

enum counter_id listen_input(struct tcp *tcp, struct seg *s, const struct conn_key *key)
{
	uint8_t kind = s->flags & (TH_SYN | TH_ACK);

	if (s->flags & TH_RST)
		return seg_elsewhere(tcp, s) ? CTR_rx_passed : CTR_drop_tcp_closed;
	if (listening(tcp, key)) {
		/* SYN with FIN is nothing that a stack in use sends (RFC 9293 would have us take
		 * it and forget the FIN): answered with a reset, below. */
		if (kind == TH_SYN && !(s->flags & TH_FIN))
			return syn_input(tcp, s, key);
		if (kind == TH_ACK && cookie_expected(&tcp->cookies, tcp->now_ns))
			return cookie_input(tcp, s, key);
		if (kind == 0) /* RFC 9293 3.10.7.2, fourth: dropped without an answer */
			return CTR_drop_tcp_closed;
	}
	/* Where nobody listens any more, connections still end in their time. */
	if (kind == TH_ACK && (tcp->stopped || listening(tcp, key)) && seg_elsewhere(tcp, s))
		return CTR_rx_passed;
	reset_reply(tcp, s);
	if (tcp->stopped && s->flags & TH_SYN)
		return CTR_drop_tcp_syn_full;
	return CTR_drop_tcp_closed;
}
