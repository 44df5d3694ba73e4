/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Active open (RFC 9293 3.5), also when both sides open at once. */
#include "dataplane/tcp/conn.h"

struct conn *tcp_connect(struct tcp *tcp, const struct net_path *path, uint16_t local_port,
                         uint16_t remote_port, uint64_t now_ns)
{
	struct tcp_open open = {.path = path, .local_port = local_port, .remote_port = remote_port};

	return tcp_connect_fast(tcp, &open, now_ns);
}

struct conn *tcp_connect_fast(struct tcp *tcp, const struct tcp_open *open, uint64_t now_ns)
{
	const struct net_path *path = open->path;
	struct conn_key key = {path->local, path->remote, open->local_port, open->remote_port};
	struct conn *c;
	uint32_t iss;

	tcp->now_ns = now_ns;
	if (key.lport == 0)
		key.lport = port_pick(tcp, path, key.rport);
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
	if (open->len > 0 && tcp_tx_copy(tcp, c, open->data, open->len) != ST_OK) {
		tcp_abort(tcp, c);
		return NULL;
	}
	syn_send(tcp, c);
	rto_start(tcp, c);
	counter_inc(tcp->ctr, CTR_tcp_opened);
	return c;
}

/* RFC 9293 3.10.7.3. */
enum counter_id syn_sent_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	/* Our SYN, and perhaps some of the data that went with it. */
	bool ack_ok = s->flags & TH_ACK && s->ack - c->iss - 1 < conn_flight(c);

	if (s->flags & TH_ACK && !ack_ok) {
		reset_reply(tcp, s);
		return CTR_drop_tcp_window;
	}
	if (s->flags & TH_RST) {
		if (!ack_ok)
			return CTR_drop_tcp_window;
		counter_inc(tcp->ctr, CTR_tcp_rst_in);
		fast_open_failed(tcp, c);
		c->end = TCP_END_REFUSED;
		conn_die(tcp, c);
		return CTR_rx_tcp;
	}
	if (!(s->flags & TH_SYN))
		return CTR_drop_tcp_window;
	conn_take_syn(tcp, c, s);
	c->rcv_adv = c->rcv_nxt + syn_window(tcp); /* as our SYN said */
	if (!ack_ok) {
		/* Both opened at once. Text and FIN of this SYN are not acknowledged, so they come
		 * again. */
		c->hs.fast_open = 0;
		c->state = TCP_SYN_RECEIVED;
		syn_send(tcp, c);
		rto_start(tcp, c);
		return CTR_rx_tcp;
	}
	rtt_ack(tcp, c, s);
	c->snd_una++;
	c->snd_wl2 = s->ack;
	conn_established(tcp, c);
	fast_open_synack(tcp, c, s);
	c->flags |= CF_ACK_NOW;
	return syn_text_input(tcp, c, s);
}
