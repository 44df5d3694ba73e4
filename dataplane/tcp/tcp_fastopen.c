/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_fastopen.h"

#include "dataplane/tcp/conn.h"
#include "lib/hash.h"

enum {
	AVOID_S = 3600, /* after a SYN with the option was lost or refused */
};

static void key_make(struct fast_open *f, uint64_t step, uint64_t key[2])
{
	uint64_t in[4] = {0, step, f->seed.word[2], f->seed.word[3]};

	for (uint32_t i = 0; i < 2; i++) {
		in[0] = i;
		key[i] = siphash24(in, sizeof(in), f->seed.word);
	}
}

/* Keys follow from the step, so that all stacks of one seed have the same. */
static void keys_turn(struct tcp *tcp)
{
	struct fast_open *f = &tcp->fast_open;
	uint64_t step = 1 + tcp->now_ns / (tcp->cfg.fast_open_key_s * NS_PER_S);

	if (likely(step == f->step))
		return;
	f->step = step;
	key_make(f, step, f->key[0]);
	key_make(f, step - 1, f->key[1]);
}

void fast_open_init(struct tcp *tcp, const struct secret *seed)
{
	struct fast_open *f = &tcp->fast_open;

	secret_expand(seed, SECRET_FAST_OPEN, f->seed.word, ARRAY_LEN(f->seed.word));
	keys_turn(tcp);
}

static uint64_t cookie_make(const struct conn *c, const uint64_t key[2])
{
	struct ip_addr both[2] = {c->path.local, c->path.remote};

	return siphash24(both, sizeof(both), key);
}

static bool cookie_good(struct tcp *tcp, const struct conn *c, const struct seg *s)
{
	uint64_t got;

	if (s->fo_len != 2 + FAST_OPEN_COOKIE)
		return false;
	memcpy(&got, s->fo_cookie, sizeof(got));
	keys_turn(tcp);
	return got == cookie_make(c, tcp->fast_open.key[0]) ||
	       got == cookie_make(c, tcp->fast_open.key[1]);
}

/* The SYN's data into the receive buffer, so that the SYN-ACK can acknowledge it; false when there
 * is no buffer, and then it stays unacknowledged and comes again. */
static bool data_take(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct seg text = *s;

	text.seq++;
	text.flags = TH_ACK;
	c->rcv_adv = c->rcv_nxt + syn_window(tcp);
	rx_take(tcp, c, &text);
	if (rx_keep(tcp, c))
		return c->rcv_nxt != c->irs + 1;
	c->rcv_nxt = c->irs + 1;
	c->view_len = 0;
	return false;
}

void fast_open_syn(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct fast_open *f = &tcp->fast_open;

	if (!tcp->cfg.fast_open || s->fo_len == 0)
		return;
	/* RFC 7413 4.2.1: a request, or what is no cookie of ours (any more), gets a good one. */
	if (!cookie_good(tcp, c, s)) {
		c->hs.fast_open = FO_TELL;
		counter_inc(tcp->ctr, CTR_tcp_fast_open_told);
		return;
	}
	if (s->len == 0)
		return;
	if (f->pending >= min_u32(tcp->cfg.max_fast_open, tcp->cfg.max_syn_backlog / 2) ||
	    !data_take(tcp, c, s)) {
		counter_inc(tcp->ctr, CTR_tcp_fast_open_refused);
		return;
	}
	f->pending++;
	c->hs.fast_open = FO_TAKEN;
	counter_inc(tcp->ctr, CTR_tcp_fast_open_taken);
	conn_post(tcp, c, TCP_EV_OPEN | TCP_EV_DATA);
}

void fast_open_settle(struct tcp *tcp, const struct conn *c)
{
	if (c->hs.fast_open & FO_TAKEN)
		tcp->fast_open.pending--;
}

/* One place a server: another with the same place takes it over. */
static struct fast_open_peer *peer_place(struct tcp *tcp, const struct conn *c)
{
	uint64_t h = siphash24(&c->path.remote, sizeof(c->path.remote), tcp->isn_key);

	return &tcp->fast_open.peers[h % FAST_OPEN_PEERS];
}

static struct fast_open_peer *peer_find(struct tcp *tcp, const struct conn *c)
{
	struct fast_open_peer *p = peer_place(tcp, c);

	return ip_addr_eq(&p->remote, &c->path.remote) ? p : NULL;
}

static struct fast_open_peer *peer_take(struct tcp *tcp, const struct conn *c)
{
	struct fast_open_peer *p = peer_place(tcp, c);

	if (!ip_addr_eq(&p->remote, &c->path.remote))
		*p = (struct fast_open_peer){.remote = c->path.remote};
	return p;
}

uint32_t fast_open_syn_len(struct tcp *tcp, struct conn *c)
{
	const struct fast_open_peer *p;
	uint32_t mss;

	c->hs.fast_open = 0;
	/* RFC 7413 4.1.3.1: what is sent again is plain. */
	if (!tcp->cfg.fast_open || c->hs.syn_resent > 0 || c->tx_bytes == 0)
		return 0;
	p = peer_find(tcp, c);
	if (p && seq_lt(now_s(tcp), p->avoid_until_s))
		return 0;
	c->hs.fast_open = FO_ASK;
	if (!p || p->len == 0)
		return 0;
	mss = min_u32(p->mss, conn_own_mss(tcp, &c->path)); /* of the server, not of this SYN */
	return mss > TCP_MAX_OPTS ? min_u32(c->tx_bytes, mss - TCP_MAX_OPTS) : 0;
}

void fast_open_synack(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	uint32_t data = s->ack - (c->iss + 1);

	if (c->hs.fast_open & FO_ASK && s->fo_len > 2) {
		struct fast_open_peer *p = peer_take(tcp, c);

		p->len = (uint8_t)(s->fo_len - 2);
		memcpy(p->cookie, s->fo_cookie, p->len);
		p->mss = s->mss ? s->mss : TCP_DEFAULT_MSS_V4;
	}
	if (data > 0)
		tx_acked(tcp, c, data);
	c->snd_una = s->ack;
	if (c->snd_nxt == s->ack)
		return;
	/* RFC 7413 4.2.2: what the server did not take is sent again, as if for the first time. */
	c->snd_nxt = s->ack;
	c->tx_cur = c->tx_head;
	c->tx_cur_off = c->tx_head_off;
}

void fast_open_failed(struct tcp *tcp, struct conn *c)
{
	struct fast_open_peer *p;

	if (!(c->hs.fast_open & FO_ASK))
		return;
	c->hs.fast_open = 0;
	p = peer_take(tcp, c);
	p->avoid_until_s = now_s(tcp) + AVOID_S;
	counter_inc(tcp->ctr, CTR_tcp_fast_open_avoided);
}

uint32_t fast_open_write(struct tcp *tcp, const struct conn *c, uint8_t *out, uint32_t room)
{
	const struct fast_open_peer *p = NULL;
	uint32_t len = 0;
	uint32_t padded;

	if (c->hs.fast_open & FO_TELL)
		len = FAST_OPEN_COOKIE;
	else if ((p = peer_find(tcp, c)) != NULL)
		len = p->len;
	padded = (2 + len + 3) & ~3u;
	if (padded > room)
		return 0;
	memset(out, 1, padded); /* NOP */
	out += padded - 2 - len;
	out[0] = FAST_OPEN_KIND;
	out[1] = (uint8_t)(2 + len);
	if (p) {
		memcpy(out + 2, p->cookie, len);
	} else if (len > 0) {
		uint64_t cookie;

		keys_turn(tcp);
		cookie = cookie_make(c, tcp->fast_open.key[0]);
		memcpy(out + 2, &cookie, sizeof(cookie));
	}
	return padded;
}
