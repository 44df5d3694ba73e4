/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments that belong to no connection: SYNs become connections in SYN-RECEIVED, the rest is
 * answered with a reset. */
#include "dataplane/tcp/conn.h"

static void reset_write(struct tcp *tcp, const struct seg *s, const struct net_path *path)
{
	const uint8_t *in = s->pkt->data + s->pkt->l4_off;
	struct pkt *pkt = net_alloc(tcp->net, path);
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = TCP_HDR_LEN};
	uint32_t ack = s->seq + s->len;
	uint8_t *h;

	if (!pkt)
		return;
	ack += (s->flags & TH_SYN ? 1 : 0) + (s->flags & TH_FIN ? 1 : 0);
	h = pkt->data + net_headroom(path);
	memset(h, 0, TCP_HDR_LEN);
	memcpy(h, in + 2, 2);
	memcpy(h + 2, in, 2);
	if (s->flags & TH_ACK) {
		put_u32(h + 4, s->ack);
		h[13] = TH_RST;
	} else {
		put_u32(h + 8, ack);
		h[13] = TH_RST | TH_ACK;
	}
	h[12] = TCP_HDR_LEN << 2;
	seg.have_sum = !tcp->csum_offload;
	net_send(tcp->net, path, pkt, &seg);
	counter_inc(tcp->ctr, CTR_tcp_rst_out);
}

void reset_reply(struct tcp *tcp, const struct seg *s)
{
	struct net_path path;

	if (s->flags & TH_RST)
		return;
	net_path_reply(s->pkt, &path);
	reset_write(tcp, s, &path);
}

static bool listening(const struct tcp *tcp, const struct conn_key *key)
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

uint16_t conn_own_mss(const struct tcp *tcp, const struct net_path *path)
{
	uint32_t mss = net_mtu(tcp->net) - (ip_addr_is_v4(&path->local) ? 40u : 60u);

	return (uint16_t)(tcp->cfg.mss ? min_u32(tcp->cfg.mss, mss) : mss);
}

void conn_begin(struct tcp *tcp, struct conn *c, const struct conn_key *key)
{
	c->iss = conn_isn(tcp, key);
	if (unlikely(tcp->isn_floor_set) && seq_lt(c->iss, tcp->isn_floor))
		c->iss = tcp->isn_floor;
	tcp->isn_floor_set = false;
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
	mss = min_u32(max_u32(mss, TCP_MIN_MSS), conn_own_mss(tcp, &c->path));
	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->rcv_adv = c->rcv_nxt;
	c->last_ack = c->rcv_nxt;
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
	if (s->uto)
		uto_input(tcp, c, s->uto);
	/* RFC 7323 2.2: the window of a SYN is not scaled. */
	c->snd_wnd = s->wnd;
	c->snd_wnd_max = s->wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = c->iss;
	cc_init(tcp, c);
}

void half_open_unlink(struct tcp *tcp, struct conn *c)
{
	if (c->state != TCP_SYN_RECEIVED || !(c->flags & CF_PASSIVE))
		return;
	age_unlink(tcp, &tcp->half_opens, c);
	tcp->half_open--;
}

static enum counter_id syn_input(struct tcp *tcp, struct seg *s, const struct conn_key *key)
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
	c = conn_new(tcp, &path, key);
	if (!c)
		return CTR_drop_tcp_syn_full;
	tcp->half_open++;
	age_link(tcp, &tcp->half_opens, c);
	c->state = TCP_SYN_RECEIVED;
	c->flags |= CF_PASSIVE;
	conn_begin(tcp, c, key);
	conn_take_syn(tcp, c, s);
	syn_send(tcp, c);
	rto_start(tcp, c);
	return CTR_rx_tcp;
}

enum counter_id listen_input(struct tcp *tcp, struct seg *s, const struct conn_key *key)
{
	if (s->flags & TH_RST)
		return CTR_drop_tcp_closed;
	/* RFC 9293 3.10.7.2: in LISTEN an ACK is reset, a SYN begins, all else is dropped. So is a
	 * SYN with FIN, which only those send who want past a filter. */
	if (!(s->flags & TH_ACK) && listening(tcp, key))
		return (s->flags & (TH_SYN | TH_FIN)) == TH_SYN ? syn_input(tcp, s, key)
		                                                : CTR_drop_tcp_flags;
	reset_reply(tcp, s);
	if (tcp->stopped && s->flags & TH_SYN)
		return CTR_drop_tcp_syn_full;
	return CTR_drop_tcp_closed;
}
