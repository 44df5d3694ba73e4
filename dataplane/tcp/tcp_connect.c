/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Active open (RFC 9293 3.5), also when both sides open at once. */
#include "dataplane/tcp/conn.h"

struct conn *tcp_connect(struct tcp *tcp, const struct net_path *path, uint16_t local_port,
                         uint16_t remote_port, uint64_t now_ns)
{
	struct conn_key key = {path->local, path->remote, local_port, remote_port};
	struct conn *c;
	uint32_t iss;

	tcp->now_ns = now_ns;
	if (local_port == 0)
		key.lport = port_pick(tcp, path, remote_port);
	if (key.lport == 0)
		return NULL;
	iss = conn_isn(tcp, &key);
	c = conn_lookup(tcp, &key, conn_hash(tcp, &key));
	if (c && c->state != TCP_TIME_WAIT)
		return NULL;
	if (c) {
		iss = conn_isn_after(tcp, &key, c->snd_nxt);
		conn_finish(tcp, c);
	}
	c = conn_new(tcp, path, &key);
	if (!c)
		return NULL;
	c->state = TCP_SYN_SENT;
	c->mss = TCP_DEFAULT_MSS_V4;
	c->flags |= CF_KNOWN | CF_TS | CF_SACK | CF_WSCALE;
	conn_begin(tcp, c, &key, iss);
	syn_send(tcp, c);
	rto_start(tcp, c);
	counter_inc(tcp->ctr, CTR_tcp_opened);
	return c;
}

/* RFC 9293 3.10.7.3. */
enum counter_id syn_sent_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	bool ack_ok = s->flags & TH_ACK && s->ack == c->snd_nxt;

	if (s->flags & TH_ACK && !ack_ok) {
		reset_reply(tcp, s);
		return CTR_drop_tcp_window;
	}
	if (s->flags & TH_RST) {
		if (!ack_ok)
			return CTR_drop_tcp_window;
		counter_inc(tcp->ctr, CTR_tcp_rst_in);
		conn_die(tcp, c);
		return CTR_rx_tcp;
	}
	if (!(s->flags & TH_SYN))
		return CTR_drop_tcp_window;
	conn_take_syn(tcp, c, s);
	c->rcv_adv = c->rcv_nxt + min_u32(tcp->cfg.rx_buf_bytes, 65535); /* as our SYN said */
	if (!ack_ok) {
		/* Both opened at once. Text and FIN of this SYN are not acknowledged, so they come
		 * again. */
		c->tries = 0;
		c->state = TCP_SYN_RECEIVED;
		syn_send(tcp, c);
		rto_start(tcp, c);
		return CTR_rx_tcp;
	}
	rtt_ack(tcp, c, s);
	c->snd_una = s->ack;
	c->snd_wl2 = s->ack;
	conn_established(tcp, c);
	c->flags |= CF_ACK_NOW;
	return syn_text_input(tcp, c, s);
}
