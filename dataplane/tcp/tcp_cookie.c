/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_cookie.h"

#include "dataplane/tcp/conn.h"
#include "lib/hash.h"

enum {
	MSS_BITS = 3,
	OPT_BITS = 6, /* in the timestamp */
	OPT_MASK = (1 << OPT_BITS) - 1,
	OPT_WSCALE_NONE = 15,
	OPT_WSCALE_MASK = 15,
	OPT_SACK_BIT = 1 << 4,
	OPT_ECN_BIT = 1 << 5,
};

/* The largest that is not above the peer's offer is used: the defaults of both IP versions, the
 * common tunnels, Ethernet for both, and jumbo frames. */
static const uint16_t mss_table[1 << MSS_BITS] = {TCP_MIN_MSS, 536,  1220, 1360,
                                                  1400,        1440, 1460, 8940};

/* What the hash covers; no padding. */
struct cookie_text {
	struct conn_key key;
	uint32_t irs;
	uint64_t step;
	uint32_t mss_index;
	uint32_t options; /* as in the timestamp, NO_TS: none */
};

static_assert(sizeof(struct cookie_text) == 56, "nothing in between");

#define NO_TS UINT32_MAX

static uint64_t step_ns(const struct tcp *tcp)
{
	return tcp->cfg.syn_cookie_step_s * NS_PER_S;
}

/* Takes the keys of the step that it is now. After a longer gap the older key has made no cookie of
 * the step before, so nothing is accepted with it. */
static void keys_turn(struct tcp *tcp)
{
	struct cookie_keys *k = &tcp->cookies;
	uint64_t step = tcp->now_ns / step_ns(tcp);

	if (likely(step == k->step))
		return;
	k->step = step;
	k->seed[1] = k->seed[0];
	k->seed[0] = secret_next(&k->seed[1], &k->fresh);
	k->fresh = (struct secret){0};
}

void cookie_init(struct tcp *tcp, const struct secret *seed)
{
	struct cookie_keys *k = &tcp->cookies;

	*k = (struct cookie_keys){.step = tcp->now_ns / step_ns(tcp)};
	secret_expand(seed, SECRET_COOKIE, k->seed[0].word, ARRAY_LEN(k->seed[0].word));
	k->seed[1] = k->seed[0];
}

void tcp_reseed(struct tcp *tcp, const uint8_t seed[TCP_SEED_BYTES])
{
	struct secret fresh;

	static_assert(sizeof(fresh) == TCP_SEED_BYTES, "all of it is used");
	memcpy(&fresh, seed, sizeof(fresh));
	tcp->cookies.fresh = secret_next(&tcp->cookies.fresh, &fresh);
}

static uint32_t cookie_make(const struct secret *seed, const struct cookie_text *text)
{
	uint32_t mac = (uint32_t)(siphash24(text, sizeof(*text), seed->word) >> 32);

	return mac << MSS_BITS | text->mss_index;
}

bool cookie_wanted(const struct tcp *tcp)
{
	if (tcp->cfg.syn_cookies == TCP_COOKIES_OFF)
		return false;
	if (tcp->cfg.syn_cookies == TCP_COOKIES_ALWAYS ||
	    tcp->half_open >= tcp->cfg.max_syn_backlog)
		return true;
	/* Room could only be made by giving up a handshake. */
	return tcp->half_open > 0 && pool_available(&tcp->conns) == 0 &&
	       tcp->time_waits.oldest == TCP_NONE;
}

static uint32_t mss_index(const struct seg *s, bool v4)
{
	uint32_t mss = s->mss;
	uint32_t i = ARRAY_LEN(mss_table) - 1;

	if (mss == 0)
		mss = v4 ? TCP_DEFAULT_MSS_V4 : TCP_DEFAULT_MSS_V6;
	while (i > 0 && mss_table[i] > mss)
		i--;
	return i;
}

static uint32_t options_of(const struct tcp *tcp, const struct seg *s)
{
	uint32_t bits = s->has_wscale ? s->wscale : OPT_WSCALE_NONE;
	bool ecn = tcp->cfg.ecn != TCP_ECN_OFF && (s->flags & TH_ECN_SETUP) == TH_ECN_SETUP;

	return bits | (s->sack_ok ? OPT_SACK_BIT : 0) | (ecn ? OPT_ECN_BIT : 0);
}

/* Our clock with the options in its low bits, and never ahead of it: what the connection sends
 * later is not older (RFC 7323 4.3). */
static uint32_t ts_with(uint32_t now, uint32_t options)
{
	uint32_t ts = (now & ~(uint32_t)OPT_MASK) | options;

	return seq_lt(now, ts) ? ts - (1u << OPT_BITS) : ts;
}

enum counter_id cookie_send(struct tcp *tcp, const struct seg *s, const struct conn_key *key)
{
	struct cookie_text text = {.key = *key, .irs = s->seq, .options = NO_TS};
	struct conn c = {0}; /* what the options are written from */
	uint8_t opts[TCP_MAX_OPTS];
	struct bare_seg out = {.key = key, .path = &c.path, .flags = TH_SYN | TH_ACK};

	keys_turn(tcp);
	net_path_reply(s->pkt, &c.path);
	text.step = tcp->cookies.step;
	text.mss_index = mss_index(s, ip_addr_is_v4(&key->local));
	if (s->has_ts) {
		uint32_t now = ts_clock(tcp) + conn_ts_offset(tcp, key);

		text.options = options_of(tcp, s);
		out.flags |= text.options & OPT_ECN_BIT ? TH_ECE : 0; /* RFC 3168 6.1.1 */
		c.flags = CF_TS | (s->sack_ok ? CF_SACK : 0) | (s->has_wscale ? CF_WSCALE : 0);
		c.ts_recent = s->tsval;
		c.ts_offset = ts_with(now, text.options) - ts_clock(tcp);
	}
	out.seq = cookie_make(&tcp->cookies.seed[0], &text);
	out.ack = s->seq + 1;
	out.wnd = (uint16_t)syn_window(tcp);
	out.opts = opts;
	out.opts_len = opt_write_syn(tcp, &c, opts);
	if (bare_send(tcp, &out)) {
		counter_inc(tcp->ctr, CTR_tcp_cookie_sent);
		tcp->cookies.open_until_ns = tcp->now_ns + 2 * step_ns(tcp);
	}
	return CTR_rx_tcp;
}

/* The SYN that the cookie was made for, as far as it is remembered; false when it was not made by
 * us, for another, or too long ago. */
static bool cookie_read(struct tcp *tcp, const struct seg *s, const struct conn_key *key,
                        struct seg *syn)
{
	uint32_t cookie = s->ack - 1;
	struct cookie_text text = {.key = *key, .irs = s->seq - 1, .options = NO_TS};
	const struct cookie_keys *k = &tcp->cookies;
	uint32_t options;

	keys_turn(tcp);
	text.mss_index = cookie & ((1u << MSS_BITS) - 1);
	if (s->has_ts)
		text.options = s->tsecr & OPT_MASK;
	text.step = k->step;
	if (cookie_make(&k->seed[0], &text) != cookie) {
		text.step--;
		if (cookie_make(&k->seed[1], &text) != cookie)
			return false;
	}
	*syn = (struct seg){.pkt = s->pkt,
	                    .seq = text.irs,
	                    .wnd = s->wnd,
	                    .flags = TH_SYN,
	                    .has_ts = s->has_ts,
	                    .tsval = s->tsval,
	                    .mss = mss_table[text.mss_index]};
	if (!s->has_ts)
		return true;
	options = text.options;
	syn->flags |= options & OPT_ECN_BIT ? TH_ECN_SETUP : 0;
	syn->sack_ok = options & OPT_SACK_BIT;
	syn->has_wscale = (options & OPT_WSCALE_MASK) != OPT_WSCALE_NONE;
	if (syn->has_wscale)
		syn->wscale = (uint8_t)(options & OPT_WSCALE_MASK);
	return true;
}

enum counter_id cookie_input(struct tcp *tcp, struct seg *s, const struct conn_key *key)
{
	struct net_path path;
	struct conn *c;
	struct seg syn;

	if (!cookie_read(tcp, s, key, &syn)) {
		if (seg_elsewhere(tcp, s))
			return CTR_rx_passed;
		counter_inc(tcp->ctr, CTR_tcp_cookie_failed);
		/* Data or a FIN may have overtaken the segment that completes the handshake: they
		 * come again, and a reset would end what is about to begin. */
		if (s->len == 0 && !(s->flags & TH_FIN))
			reset_reply(tcp, s);
		return CTR_drop_tcp_closed;
	}
	net_path_reply(s->pkt, &path);
	c = half_open_new(tcp, &path, key);
	if (!c)
		return CTR_drop_tcp_syn_full;
	counter_inc(tcp->ctr, CTR_tcp_cookie_accepted);
	conn_begin(tcp, c, key, s->ack - 1);
	conn_take_syn(tcp, c, &syn);
	/* When the SYN-ACK went out is not known, so there is no round trip to measure. */
	c->flags &= ~CF_TIMING;
	c->rcv_adv = c->rcv_nxt + syn_window(tcp);
	return conn_input(tcp, c, s);
}
