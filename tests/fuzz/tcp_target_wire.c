/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments and ICMP errors in, and every frame that goes out. */
#include <sanitizer/asan_interface.h>

#include "tests/fuzz/tcp_target.h"

enum {
	V4_OFF = 14 + IPV4_HDR_LEN,
	V6_OFF = 14 + IPV6_HDR_LEN,
	MAX_OPT_WORDS = 10,
	MAX_PAYLOAD = 1400,
	FAR_LEN = 0xfc00, /* lengths from here on have numbers half the space away */
	OPT_SACK = 5,
	OPT_STAMP = 8,
};

static void head_init(struct lane *lane)
{
	static const uint8_t link[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9};
	uint8_t *ip = lane->head + 14;

	memcpy(lane->head, link, sizeof(link));
	memcpy(lane->path.remote_mac, link + 6, 6);
	lane->head_len = lane->v6 ? V6_OFF : V4_OFF;
	put_u16(lane->head + 12, lane->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	if (lane->v6) {
		ip[0] = 0x60;
		ip[6] = PROTO_TCP;
		ip[7] = NET_TTL;
		memcpy(ip + 8, lane->path.remote.b, 16);
		memcpy(ip + 24, lane->path.local.b, 16);
	} else {
		ip[0] = 0x45;
		ip[8] = NET_TTL;
		ip[9] = PROTO_TCP;
		memcpy(ip + 12, lane->path.remote.b + 12, 4);
		memcpy(ip + 16, lane->path.local.b + 12, 4);
	}
}

/* Odd lanes are IPv6; two have the same port. */
void lanes_init(struct target *t)
{
	for (uint32_t i = 0; i < LANES; i++) {
		struct lane *lane = &t->lanes[i];

		lane->v6 = i & 1;
		lane->port = (uint16_t)(REMOTE_PORT + i / 2);
		must(ip_addr_parse(lane->v6 ? "fd00::1" : "10.0.0.1", &lane->path.local));
		must(ip_addr_parse(lane->v6 ? "fd00::2" : "10.0.0.2", &lane->path.remote));
		head_init(lane);
	}
}

/* Numbers of an option become those of the connection. */
static void option_aim(struct target *t, const struct lane *lane, const struct conn *c, uint8_t *o)
{
	if (o[0] == OPT_STAMP && o[1] == 10) {
		uint32_t ours = c ? ts_clock(t->tcp) + c->ts_offset : lane->syn_ts;

		put_u32(o + 2, get_u32(o + 2) + (c ? c->ts_recent : 0));
		put_u32(o + 6, get_u32(o + 6) + ours);
	}
	for (uint32_t i = 2; c && o[0] == OPT_SACK && i + 4 <= o[1]; i += 4)
		put_u32(o + i, c->snd_una + (uint32_t)(int16_t)get_u16(o + i + 2));
	/* A fast open cookie cannot be guessed. */
	for (uint32_t i = 0;
	     i < FAST_OPEN_COOKIE && o[0] == FAST_OPEN_KIND && o[1] == 2 + FAST_OPEN_COOKIE; i++)
		o[2 + i] ^= lane->fo_cookie[i];
}

static void options_aim(struct target *t, const struct lane *lane, const struct conn *c,
                        struct span opts)
{
	uint8_t *o = (uint8_t *)(uintptr_t)opts.ptr;
	size_t at = 0;

	while (at + 1 < opts.len && o[at] != 0) {
		if (o[at] == 1) {
			at++;
			continue;
		}
		if (o[at + 1] < 2 || at + o[at + 1] > opts.len)
			return;
		option_aim(t, lane, c, o + at);
		at += o[at + 1];
	}
}

/* The TCP header but for its options; returns the number of the first octet of payload. */
static uint32_t header_write(const struct lane *lane, const struct conn *c, struct input *in,
                             uint8_t *h)
{
	uint32_t len = get_u16(h); /* as the input had it */
	uint32_t seq = (uint32_t)(int16_t)input_take16(in);
	uint32_t ack = (uint32_t)(int16_t)input_take16(in);

	if (len >= FAR_LEN) {
		seq += (len & 1) << 31;
		ack += (len >> 1 & 1) << 31;
	}
	seq += c ? c->rcv_nxt : lane->syn_ack;
	ack += c ? c->snd_nxt : lane->syn_seq + 1;
	put_u16(h, lane->port);
	put_u16(h + 2, c ? c->lport : LOCAL_PORT);
	put_u32(h + 4, seq);
	put_u32(h + 8, ack);
	h[13] = input_take(in);
	put_u16(h + 14, (uint16_t)input_take16(in));
	put_u32(h + 16, 0);
	return seq + (h[13] & TH_SYN ? 1 : 0);
}

void wire_segment(struct target *t, struct input *in, uint8_t op)
{
	struct lane *lane = &t->lanes[op >> 3 & 7];
	struct conn *c = lane_conn(t, lane);
	struct pkt *pkt = &t->pkts[t->segs];
	uint8_t *f = t->frames[t->segs++];
	uint8_t *h = f + lane->head_len;
	uint32_t opts = 4u * (input_take(in) % (MAX_OPT_WORDS + 1));
	uint32_t len = input_take16(in);
	uint32_t octet;

	/* A read beyond the segment, or after its burst, is found. */
	ASAN_UNPOISON_MEMORY_REGION(f, FRAME_BYTES);
	memcpy(f, lane->head, lane->head_len);
	put_u16(h, (uint16_t)len);
	len %= MAX_PAYLOAD;
	octet = header_write(lane, c, in, h);
	h[12] = (uint8_t)((5 + opts / 4) << 4);
	for (uint32_t i = 0; i < opts; i++)
		h[20 + i] = input_take(in);
	options_aim(t, lane, c, span_of(h + 20, opts));
	memcpy(h + 20 + opts, target_octets + octet % OCTETS_PERIOD, len);
	if (lane->v6)
		f[15] = (uint8_t)(op >> 6 << 4);
	else
		f[15] = op >> 6;
	*pkt = (struct pkt){.data = f,
	                    .len = lane->head_len + 20 + opts + len,
	                    .l3_off = 14,
	                    .l4_off = lane->head_len,
	                    .payload_off = (uint16_t)(lane->head_len + 20 + opts),
	                    .payload_len = (uint16_t)len,
	                    .ip_version = lane->v6 ? 6 : 4};
	ASAN_POISON_MEMORY_REGION(f + pkt->len, FRAME_BYTES - pkt->len);
	tcp_input(t->tcp, pkt, t->now_ns);
	if (t->segs == MAX_SEGS)
		target_ready(t, in);
}

/* The quoted header: of a segment that we sent. Returns its length. */
static uint32_t quote_write(const struct lane *lane, const struct conn *c, struct input *in,
                            uint8_t *ip)
{
	uint32_t len = lane->v6 ? IPV6_HDR_LEN : IPV4_HDR_LEN;
	uint32_t seq = (uint32_t)(int16_t)input_take16(in);

	memcpy(ip, lane->head + 14, len);
	if (lane->v6) {
		put_u16(ip + 4, (uint16_t)input_take16(in));
		memcpy(ip + 8, lane->path.local.b, 16);
		memcpy(ip + 24, lane->path.remote.b, 16);
	} else {
		put_u16(ip + 2, (uint16_t)input_take16(in));
		memcpy(ip + 12, lane->path.local.b + 12, 4);
		memcpy(ip + 16, lane->path.remote.b + 12, 4);
	}
	put_u16(ip + len, c ? c->lport : LOCAL_PORT);
	put_u16(ip + len + 2, lane->port);
	put_u32(ip + len + 4, seq + (c ? c->snd_una : 0));
	return len + 8;
}

void wire_error(struct target *t, struct lane *lane, struct input *in)
{
	static const uint8_t kinds[2][8][2] = {
	        {{3, 4}, {3, 4}, {3, 4}, {3, 4}, {3, 0}, {3, 2}, {3, 3}, {3, 13}},
	        {{2, 0}, {2, 0}, {2, 0}, {2, 0}, {1, 0}, {1, 4}, {4, 1}, {4, 0}},
	};
	struct conn *c = lane_conn(t, lane);
	uint8_t f[V6_OFF + 8 + IPV6_HDR_LEN + 8] = {0};
	uint8_t *ip = f + 14;
	uint8_t *icmp = f + lane->head_len;
	const uint8_t *kind = kinds[lane->v6][input_take(in) & 7];
	uint32_t len;
	uint32_t sum = 0;
	struct pkt pkt;

	memcpy(f, lane->head, lane->head_len);
	icmp[0] = kind[0];
	icmp[1] = kind[1];
	put_u16(icmp + 6, (uint16_t)input_take16(in));
	len = 8 + quote_write(lane, c, in, icmp + 8);
	if (lane->v6) {
		put_u16(ip + 4, (uint16_t)len);
		ip[6] = PROTO_ICMPV6;
		sum = pseudo_sum(ip + 8, 32, PROTO_ICMPV6, len);
	} else {
		put_u16(ip + 2, (uint16_t)(IPV4_HDR_LEN + len));
		ip[9] = PROTO_ICMP;
		csum_put(ip + 10, csum_fold(csum_add(0, ip, IPV4_HDR_LEN)));
	}
	csum_put(icmp + 2, csum_fold(csum_add(sum, icmp, len)));
	if (!nic_sim_inject(t->nic, f, lane->head_len + len))
		return; /* no buffer is left */
	must(nic_rx_burst(t->nic, &pkt, 1) == 1);
	must(net_input(t->net, &pkt, 1, t->now_ns) == 0);
	tcp_input_errors(t->tcp, t->now_ns);
}

/* Data that a connection was opened with. */
static bool is_early(const struct target *t, uint32_t seq)
{
	for (uint32_t i = 0; i < t->early_count; i++)
		if (seq - t->early_iss[i] - 1 < EARLY_BYTES)
			return true;
	return false;
}

static void digest(struct tally *tally, const uint8_t *p, uint32_t len)
{
	uint64_t word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		tally->digest = (tally->digest ^ word) * 0x9e3779b97f4a7c15ull;
		tally->digest ^= tally->digest >> 29;
	}
	word = 0;
	memcpy(&word, p, len);
	tally->digest = (tally->digest ^ word ^ (uint64_t)(len + 1) << 56) * 0x9e3779b97f4a7c15ull;
}

static void payload_check(const struct target *t, uint32_t seq, struct span data)
{
	uint32_t skip = 0;

	while (skip < data.len && t->early_count > 0 && is_early(t, seq + skip))
		skip++;
	must(memcmp(data.ptr + skip, target_octets + (seq + skip) % OCTETS_PERIOD,
	            data.len - skip) == 0);
}

/* The frame is whole, and no segment is what none may be. Returns its lane. */
static struct lane *frame_check(struct target *t, const uint8_t *f, uint32_t len)
{
	bool v6 = get_u16(f + 12) == ETHERTYPE_V6;
	const uint8_t *ip = f + 14;
	const uint8_t *h = f + (v6 ? V6_OFF : V4_OFF);
	uint32_t tcp_len = len - (v6 ? V6_OFF : V4_OFF);
	uint32_t port_at = get_u16(h + 2) - (uint32_t)REMOTE_PORT;
	struct lane *lane = &t->lanes[(port_at * 2 + v6) % LANES];

	must(len >= (v6 ? V6_OFF : V4_OFF) + 20u && len <= 14 + 1500);
	must(port_at < LANES / 2 && memcmp(f, lane->path.remote_mac, 6) == 0);
	if (v6) {
		must(ip[0] >> 4 == 6 && get_u16(ip + 4) == tcp_len && ip[6] == PROTO_TCP);
		must(memcmp(ip + 8, lane->path.local.b, 16) == 0 &&
		     memcmp(ip + 24, lane->path.remote.b, 16) == 0);
	} else {
		must(get_u16(f + 12) == ETHERTYPE_V4 && ip[0] == 0x45 && ip[9] == PROTO_TCP);
		must(get_u16(ip + 2) == IPV4_HDR_LEN + tcp_len);
		must(csum_fold(csum_add(0, ip, IPV4_HDR_LEN)) == 0);
		must(memcmp(ip + 12, lane->path.local.b + 12, 4) == 0 &&
		     memcmp(ip + 16, lane->path.remote.b + 12, 4) == 0);
	}
	must(csum_fold(csum_add(pseudo_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, PROTO_TCP, tcp_len), h,
	                        tcp_len)) == 0);
	return lane;
}

static void sent(struct target *t, const uint8_t *f, uint32_t len)
{
	struct lane *lane = frame_check(t, f, len);
	const uint8_t *h = f + lane->head_len;
	struct seg s = {.flags = h[13]};
	uint32_t hdr = (h[12] >> 4) * 4u;
	uint32_t seq = get_u32(h + 4);
	uint32_t data = len - lane->head_len - hdr;

	digest(&t->tally, f, len);
	t->tally.sent++;
	must(hdr >= 20 && hdr <= len - lane->head_len);
	must(opt_parse(&s, h + 20, hdr - 20));
	must(s.flags & (TH_SYN | TH_RST | TH_ACK));
	must(!(s.flags & TH_SYN) || !(s.flags & (TH_FIN | TH_RST)));
	must(!(s.flags & TH_RST) || (data == 0 && !(s.flags & TH_FIN)));
	must(!(s.flags & TH_FIN) || s.flags & TH_ACK);
	payload_check(t, seq + (s.flags & TH_SYN ? 1 : 0), span_of(h + hdr, data));
	if ((s.flags & (TH_SYN | TH_ACK)) != (TH_SYN | TH_ACK))
		return;
	lane->syn_seq = seq;
	lane->syn_ack = get_u32(h + 8);
	lane->syn_ts = s.tsval;
	if (s.fo_len == 2 + FAST_OPEN_COOKIE)
		memcpy(lane->fo_cookie, s.fo_cookie, FAST_OPEN_COOKIE);
}

void wire_take(struct target *t)
{
	uint8_t frame[FRAME_BYTES];
	uint32_t len;

	while ((len = nic_sim_take(t->nic, frame, sizeof(frame))) > 0)
		sent(t, frame, len);
}
