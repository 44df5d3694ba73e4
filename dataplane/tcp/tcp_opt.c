/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TCP options: MSS (RFC 9293 3.2), window scale and timestamps (RFC 7323), SACK (RFC 2018), user
 * timeout (RFC 5482), fast open (RFC 7413). */
#include "dataplane/tcp/conn.h"

enum opt_kind {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_OK = 4,
	OPT_SACK = 5,
	OPT_TS = 8,
	OPT_FAST_OPEN = FAST_OPEN_KIND,
};

enum {
	/* RFC 7323 5.5: after 24 idle days ts_recent says nothing. In ticks of now_s, 2^30 ns. */
	PAWS_MAX_AGE_S = (int)(24ull * 24 * 3600 * NS_PER_S >> 30),
};

static void opt_take(struct seg *s, const uint8_t *opt, uint32_t len)
{
	bool syn = s->flags & TH_SYN;

	switch (opt[0]) {
	case OPT_MSS:
		if (syn && len == 4)
			s->mss = get_u16(opt + 2);
		break;
	case OPT_WSCALE:
		if (syn && len == 3) {
			s->has_wscale = true;
			/* RFC 7323 2.3: a larger value is used as 14. */
			s->wscale = opt[2] > TCP_MAX_WSCALE ? TCP_MAX_WSCALE : opt[2];
		}
		break;
	case OPT_SACK_OK:
		if (syn && len == 2)
			s->sack_ok = true;
		break;
	case OPT_SACK:
		if (!syn && len > 2 && (len - 2) % 8 == 0) {
			s->sack = opt + 2;
			s->sack_count = (uint8_t)((len - 2) / 8);
		}
		break;
	case OPT_TS:
		if (len == 10) {
			s->has_ts = true;
			s->tsval = get_u32(opt + 2);
			s->tsecr = get_u32(opt + 6);
		}
		break;
	case UTO_OPT_KIND:
		if (len == UTO_OPT_LEN)
			s->uto = get_u16(opt + 2);
		break;
	case OPT_FAST_OPEN:
		/* RFC 7413 4.1.1: a request, or 4 to 16 bytes and even. */
		if (syn && (len == 2 || (len >= 6 && len <= 18 && len % 2 == 0))) {
			s->fo_cookie = opt + 2;
			s->fo_len = (uint8_t)len;
		}
		break;
	default:
		break; /* RFC 9293 3.1: unknown options are ignored */
	}
}

/* False when a length runs over the end. */
bool opt_parse(struct seg *s, const uint8_t *opt, uint32_t len)
{
	uint32_t at = 0;

	/* The one layout that nearly every segment has (RFC 7323 appendix A). */
	if (len == TCP_TS_OPT_LEN && get_u32(opt) == 0x0101080au) {
		s->has_ts = true;
		s->tsval = get_u32(opt + 4);
		s->tsecr = get_u32(opt + 8);
		return true;
	}
	while (at < len && opt[at] != OPT_END) {
		uint32_t n;

		if (opt[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= len)
			return false;
		n = opt[at + 1];
		if (n < 2 || at + n > len)
			return false;
		opt_take(s, opt + at, n);
		at += n;
	}
	return true;
}

uint32_t opt_write_syn(struct tcp *tcp, const struct conn *c, uint8_t *out)
{
	uint32_t n = 4;

	out[0] = OPT_MSS;
	out[1] = 4;
	put_u16(out + 2, conn_own_mss(tcp, &c->path));
	if (c->flags & CF_SACK) {
		/* The NOPs that align the timestamps make room for it. */
		out[n] = c->flags & CF_TS ? OPT_SACK_OK : OPT_NOP;
		out[n + 1] = c->flags & CF_TS ? 2 : OPT_NOP;
		out[n + 2] = c->flags & CF_TS ? OPT_NOP : OPT_SACK_OK;
		out[n + 3] = c->flags & CF_TS ? OPT_NOP : 2;
	}
	if (c->flags & CF_TS) {
		uint8_t ts[TCP_TS_OPT_LEN];

		ts_write(tcp, c, ts);
		if (c->flags & CF_SACK) {
			memcpy(out + n + 2, ts + 2, TCP_TS_OPT_LEN - 2);
		} else {
			memcpy(out + n, ts, TCP_TS_OPT_LEN);
		}
		n += TCP_TS_OPT_LEN;
	} else if (c->flags & CF_SACK) {
		n += 4;
	}
	if (c->flags & CF_WSCALE) {
		out[n] = OPT_NOP;
		out[n + 1] = OPT_WSCALE;
		out[n + 2] = 3;
		out[n + 3] = tcp->rcv_wscale;
		n += 4;
	}
	if (unlikely(c->hs.fast_open & (FO_TELL | FO_ASK)))
		n += fast_open_write(tcp, c, out + n, TCP_MAX_OPTS - n);
	if (n + UTO_OPT_LEN <= TCP_MAX_OPTS)
		n += uto_write(tcp, out + n);
	return n;
}

uint32_t opt_write_sack(const struct tcp *tcp, const struct conn *c, uint8_t *out, uint32_t len)
{
	bool dup = tcp->dup_conn == c;
	struct seq_run runs[4];
	uint32_t n = 0;
	uint32_t count;

	if (c->mss < len + 4 + 8)
		return 0;
	count = min_u32(c->flags & CF_TS ? 3 : 4, (c->mss - len - 4) / 8);
	runs[0] = tcp->dup;
	count = dup + (c->rx ? rx_sack_blocks(c, runs + dup, count - dup) : 0);
	out[n] = OPT_NOP;
	out[n + 1] = OPT_NOP;
	out[n + 2] = OPT_SACK;
	out[n + 3] = (uint8_t)(2 + 8 * count);
	n += 4;
	for (uint32_t i = 0; i < count; i++, n += 8) {
		put_u32(out + n, runs[i].lo);
		put_u32(out + n + 4, runs[i].hi);
	}
	return n;
}

bool opt_ts_missing(const struct tcp *tcp, const struct conn *c, const struct seg *s)
{
	/* A SYN may come from a peer that lost all and needs a challenge ACK (RFC 5961 4.2). */
	return c->flags & CF_TS && !s->has_ts && !(s->flags & (TH_RST | TH_SYN)) &&
	       tcp->cfg.timestamps_required;
}

bool opt_paws_reject(const struct tcp *tcp, const struct conn *c, const struct seg *s)
{
	if (!(c->flags & CF_TS) || !s->has_ts || s->flags & TH_RST)
		return false;
	return seq_lt(s->tsval, c->ts_recent) && now_s(tcp) - c->ts_recent_s < PAWS_MAX_AGE_S;
}

/* RFC 7323 4.3 (2): from the segment that covers the last ACK sent. */
void opt_ts_update(const struct tcp *tcp, struct conn *c, const struct seg *s)
{
	if (!(c->flags & CF_TS) || !s->has_ts || seq_lt(c->last_ack, s->seq))
		return;
	if (seq_lt(s->tsval, c->ts_recent) && now_s(tcp) - c->ts_recent_s < PAWS_MAX_AGE_S)
		return;
	c->ts_recent = s->tsval;
	c->ts_recent_s = now_s(tcp);
}
