/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a peer should not do. Each lie acts once and says nothing about the rest of the connection,
 * which goes on as if nothing had been. */
#include "tests/sim/cable.h"
#include "tests/sim/peer.h"

static uint8_t noise[1500];

static const uint8_t *noise_bytes(struct peer *p)
{
	for (uint32_t i = 0; i < 64; i++)
		noise[rng_below(&p->rng, sizeof(noise))] = (uint8_t)rng_next(&p->rng);
	return noise;
}

static struct peer_seg plain(struct peer *p)
{
	uint32_t wnd =
	        sq_lt(p->rcv_nxt, p->rcv_edge) ? (p->rcv_edge - p->rcv_nxt) >> p->rcv_shift : 0;

	return (struct peer_seg){.seq = p->max,
	                         .ack = p->rcv_nxt,
	                         .wnd = wnd < 65535 ? wnd : 65535,
	                         .flags = PF_ACK};
}

static void say(struct peer_host *h, struct peer *p, struct peer_seg *s)
{
	peer_options(h, p, s);
	peer_emit(h, p->plan, s);
}

/* Any number: often at an edge. */
static uint32_t near(struct peer *p, uint32_t at, uint32_t reach)
{
	switch (rng_below(&p->rng, 4)) {
	case 0:
		return at + rng_below(&p->rng, 3) - 1;
	case 1:
		return at + rng_below(&p->rng, reach + 1);
	case 2:
		return at - rng_below(&p->rng, reach + 1);
	default:
		return (uint32_t)rng_next(&p->rng);
	}
}

static void lie_shrink(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.wnd = rng_below(&p->rng, s.wnd + 1);
	p->rcv_edge = p->rcv_nxt + (s.wnd << p->rcv_shift);
	say(h, p, &s);
}

static void lie_beyond(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.seq = near(p, p->una + p->wnd, 70000);
	s.len = 1 + rng_below(&p->rng, 1400);
	s.data = noise_bytes(p);
	say(h, p, &s);
}

static void lie_overlap(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.seq = p->una + rng_below(&p->rng, p->max - p->una + 1400) - rng_below(&p->rng, 700);
	s.len = 1 + rng_below(&p->rng, 1400);
	s.data = noise_bytes(p);
	say(h, p, &s);
}

static void lie_rst(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.flags = PF_RST | (rng_below(&p->rng, 2) ? PF_ACK : 0);
	s.seq = near(p, p->max, 60000);
	say(h, p, &s);
}

static void lie_fin(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.flags |= PF_FIN;
	s.seq = near(p, p->max, 2000);
	s.len = rng_below(&p->rng, 100);
	s.data = noise_bytes(p);
	say(h, p, &s);
}

static void lie_forge(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.ack = near(p, p->rcv_edge, 100000);
	say(h, p, &s);
}

static void lie_optimist(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.ack = p->rcv_nxt + 1 + rng_below(&p->rng, 40000);
	say(h, p, &s);
}

static void lie_sack(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);
	uint32_t n = 1 + rng_below(&p->rng, 3);

	peer_options(h, p, &s);
	if (s.opts_len > 28)
		s.opts_len = 12; /* instead of true ones */
	if (s.opts_len + 4 + 8 * n > 40)
		n = (36u - s.opts_len) / 8;
	s.opts[s.opts_len++] = 1;
	s.opts[s.opts_len++] = 1;
	s.opts[s.opts_len++] = 5;
	s.opts[s.opts_len++] = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t lo = __builtin_bswap32(near(p, p->rcv_nxt, 60000));
		uint32_t hi = __builtin_bswap32(__builtin_bswap32(lo) + near(p, 1460, 3000));

		memcpy(s.opts + s.opts_len, &lo, 4);
		memcpy(s.opts + s.opts_len + 4, &hi, 4);
		s.opts_len = (uint8_t)(s.opts_len + 8);
	}
	peer_emit(h, p->plan, &s);
}

static void lie_stamp(struct peer_host *h, struct peer *p)
{
	uint32_t was = p->ts_skew;

	p->ts_skew = near(p, was, 1u << 30);
	peer_ack(h, p);
	if (rng_below(&p->rng, 2))
		p->ts_skew = was;
}

static void lie_syn(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	s.flags = PF_SYN | (rng_below(&p->rng, 2) ? PF_ACK : 0);
	s.seq = near(p, rng_below(&p->rng, 2) ? p->iss : p->max, 60000);
	s.len = rng_below(&p->rng, 2) * rng_below(&p->rng, 100);
	s.data = noise_bytes(p);
	say(h, p, &s);
}

static void lie_flags(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	/* No SYN, RST or FIN: those are others' lies. */
	s.flags = (uint8_t)(rng_next(&p->rng) & ~(uint64_t)(PF_SYN | PF_RST | PF_FIN));
	s.urgent = (uint16_t)rng_next(&p->rng);
	s.opts_len = (uint8_t)(4 * rng_below(&p->rng, 11));
	for (uint32_t i = 0; i < s.opts_len; i++)
		s.opts[i] = (uint8_t)(rng_below(&p->rng, 2) ? rng_below(&p->rng, 12)
		                                            : rng_below(&p->rng, 256));
	peer_emit(h, p->plan, &s);
}

static void lie_dupack(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = plain(p);

	peer_options(h, p, &s);
	for (uint32_t n = 1 + rng_below(&p->rng, 20); n > 0; n--)
		peer_emit(h, p->plan, &s);
}

/* RFC 5927: errors about packets that the server did not send, or did, with any MTU. */
static void lie_icmp(struct peer_host *h, struct peer *p)
{
	uint8_t quoted[14 + 40 + 1200] = {0};
	uint8_t error[1600];
	uint32_t seq = __builtin_bswap32(near(p, p->rcv_nxt, 20000));
	uint32_t len = p->plan->v6 ? 14 + 40 + 1200 : 14 + 20 + 1200;
	uint8_t *tcp = quoted + (p->plan->v6 ? 54 : 34);

	memcpy(quoted, h->mac, 6);
	memcpy(quoted + 6, h->server_mac, 6);
	peer_quote(h, p->plan, quoted);
	memcpy(tcp + 4, &seq, 4);
	len = packet_too_big(quoted, len, rng_below(&p->rng, 1600), error);
	if (len > 0)
		h->send(h->arg, error, len);
}

static void lie_vanish(struct peer_host *h, struct peer *p)
{
	(void)h;
	p->mute = rng_below(&p->rng, 4) == 0;
}

void peer_lie(struct peer_host *h, struct peer *p)
{
	static void (*const lies[LIE_COUNT])(struct peer_host *, struct peer *) = {
	        [LIE_NUM_shrink] = lie_shrink,     [LIE_NUM_beyond] = lie_beyond,
	        [LIE_NUM_overlap] = lie_overlap,   [LIE_NUM_rst] = lie_rst,
	        [LIE_NUM_fin] = lie_fin,           [LIE_NUM_forge] = lie_forge,
	        [LIE_NUM_optimist] = lie_optimist, [LIE_NUM_sack] = lie_sack,
	        [LIE_NUM_stamp] = lie_stamp,       [LIE_NUM_syn] = lie_syn,
	        [LIE_NUM_flags] = lie_flags,       [LIE_NUM_dupack] = lie_dupack,
	        [LIE_NUM_vanish] = lie_vanish,     [LIE_NUM_icmp] = lie_icmp,
	};
	uint32_t lie;

	do {
		lie = rng_below(&p->rng, 32);
	} while (!(p->plan->lies >> lie & 1));
	if (lies[lie] != NULL)
		lies[lie](h, p);
}

void peer_flood(struct peer_host *h, struct rng *rng)
{
	struct peer_host other = *h;
	struct plan plan = {.port = (uint16_t)(1024 + rng_below(rng, 60000)),
	                    .v6 = rng_below(rng, 2)};
	struct peer_seg s = {.flags = PF_SYN,
	                     .wnd = 65535,
	                     .seq = (uint32_t)rng_next(rng),
	                     .opts = {2, 4, 5, 0xb4, 1, 3, 3, 7},
	                     .opts_len = 8};

	other.v4[1] = 99;
	other.v4[2] = (uint8_t)rng_next(rng);
	other.v4[3] = (uint8_t)(1 + rng_below(rng, 254));
	other.v6[7] = 99;
	other.v6[14] = (uint8_t)rng_next(rng);
	peer_emit(&other, &plan, &s);
}
