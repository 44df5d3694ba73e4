/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Explicit congestion notification (RFC 3168): a router marks what it would have dropped. ECT(0) is
 * on data sent for the first time only, never on pure ACKs (6.1.4), data sent again (6.1.5) and
 * probes (6.1.6). A mark counts as a loss without one: the smaller reduction of RFC 8511 is not
 * used. */
#include "dataplane/tcp/conn.h"

enum {
	ECN_ECT_0 = 2,
	ECN_CE = 3,
};

/* RFC 3168 6.1.1: ECN-setup SYN and ECN-setup SYN-ACK. 6.1.1.1: something on the path may drop the
 * former, so a SYN that is sent again does not ask. */
uint8_t ecn_syn_flags(const struct tcp *tcp, const struct conn *c)
{
	if (c->state == TCP_SYN_RECEIVED)
		return c->flags & CF_ECN ? TH_ECE : 0;
	return tcp->cfg.ecn == TCP_ECN_REQUEST && c->tries == 0 ? TH_ECN_SETUP : 0;
}

void ecn_take_syn(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	uint8_t got = s->flags & TH_ECN_SETUP;
	bool on;

	if (c->state != TCP_SYN_SENT)
		on = tcp->cfg.ecn != TCP_ECN_OFF && got == TH_ECN_SETUP;
	else /* 6.1.1: a peer that reflects both has no ECN */
		on = tcp->cfg.ecn == TCP_ECN_REQUEST &&
		     got == (s->flags & TH_ACK ? TH_ECE : TH_ECN_SETUP);
	c->flags &= ~CF_ECN;
	if (!on)
		return;
	c->flags |= CF_ECN;
	counter_inc(tcp->ctr, CTR_tcp_ecn_conns);
}

void ecn_syn_again(struct conn *c, const struct seg *s)
{
	if ((s->flags & TH_ECN_SETUP) != TH_ECN_SETUP)
		c->flags &= ~CF_ECN;
}

bool ecn_is_marked(const struct seg *s)
{
	const uint8_t *ip = s->pkt->data + s->pkt->l3_off;

	/* The traffic class of IPv6 lies across two octets. */
	return (s->pkt->ip_version == 4 ? ip[1] & 3 : ip[1] >> 4 & 3) == ECN_CE;
}

void ecn_data_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	/* 6.1.3: the peer has heard; a mark on the same segment is a new one. */
	if (s->flags & TH_CWR)
		c->cc.ece = 0;
	if (!ecn_is_marked(s))
		return;
	counter_inc(tcp->ctr, CTR_tcp_ecn_marked_in);
	if (!c->cc.ece)
		c->flags |= CF_ACK_NOW; /* the sooner it hears, the less is lost */
	c->cc.ece = 1;
}

bool ecn_in_window(const struct conn *c, uint32_t ack)
{
	return c->cc.ecn_end - ack - 1 < c->snd_nxt - ack;
}

void ecn_ack_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	/* 6.1.2: once a window, and not when a loss has reduced it already. */
	if (c->loss != LOSS_NONE || conn_flight(c) == 0 || ecn_in_window(c, s->ack))
		return;
	counter_inc(tcp->ctr, CTR_tcp_ecn_reduced);
	cc_ecn(c);
	c->cc.ecn_end = c->snd_nxt;
}

/* 6.1.1: whoever sent a SYN without the bits as well must not mark his own data as capable; but the
 * peer that answered the one with them may, and wants to hear of marks. */
static bool ecn_hears_only(const struct conn *c)
{
	return c->hs.syn_resent > 0 && !(c->flags & CF_PASSIVE);
}

uint8_t ecn_output(struct conn *c, const struct seg_out *o, uint8_t *flags)
{
	if (o->flags & (TH_SYN | TH_RST))
		return 0;
	if (c->cc.ece && o->flags & TH_ACK)
		*flags |= TH_ECE;
	if (!o->fresh || o->len == 0)
		return 0;
	if (c->cc.cwr) {
		*flags |= TH_CWR;
		c->cc.cwr = 0;
	}
	return ecn_hears_only(c) ? 0 : ECN_ECT_0;
}
