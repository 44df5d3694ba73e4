/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TCP segments as the tests read and write them. */
#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"
#include "tests/sim/peer.h"
#include "tests/sim/bytes.h"

static void options_parse(struct view *v, const uint8_t *o, uint32_t len)
{
	v->wscale = 255;
	/* The usual form: NOP NOP timestamp, and nothing else. */
	if (len == 12 && get32(o) == 0x0101080a) {
		v->has_ts = true;
		v->tsval = get32(o + 4);
		v->tsecr = get32(o + 8);
		return;
	}
	for (uint32_t i = 0; i < len && o[i] != 0;) {
		uint32_t n;

		if (o[i] == 1) {
			i++;
			continue;
		}
		n = i + 1 < len ? o[i + 1] : 0;
		if (n < 2 || i + n > len)
			return;
		if (o[i] == 2 && n == 4)
			v->mss = (uint16_t)get16(o + i + 2);
		else if (o[i] == 3 && n == 3)
			v->wscale = o[i + 2];
		else if (o[i] == 4 && n == 2)
			v->sack_ok = true;
		else if (o[i] == 5 && n >= 10) {
			v->sack = o + i + 2;
			v->sack_count = (n - 2) / 8;
		} else if (o[i] == 8 && n == 10) {
			v->has_ts = true;
			v->tsval = get32(o + i + 2);
			v->tsecr = get32(o + i + 6);
		}
		i += n;
	}
}

bool view_parse(struct view *v, const uint8_t *frame, uint32_t len)
{
	uint32_t type = len >= 14 ? get16(frame + 12) : 0;
	uint32_t at, end;

	*v = (struct view){.frame = frame, .len = len, .v6 = type == ETHERTYPE_V6};
	if (type == ETHERTYPE_V4 && len >= 54 && frame[14 + 9] == PROTO_TCP) {
		at = 14 + (uint32_t)(frame[14] & 15) * 4;
		end = 14 + get16(frame + 16);
		v->src = frame + 26;
		v->dst = frame + 30;
	} else if (v->v6 && len >= 74 && frame[14 + 6] == PROTO_TCP) {
		at = 54;
		end = 54 + get16(frame + 18);
		v->src = frame + 22;
		v->dst = frame + 38;
	} else {
		return false;
	}
	if (end > len || at + 20 > end || at + (uint32_t)(frame[at + 12] >> 4) * 4 > end ||
	    frame[at + 12] >> 4 < 5)
		return false;
	v->tcp = (uint8_t *)(uintptr_t)frame + at;
	v->sport = (uint16_t)get16(v->tcp);
	v->dport = (uint16_t)get16(v->tcp + 2);
	v->seq = get32(v->tcp + 4);
	v->ack = get32(v->tcp + 8);
	v->flags = v->tcp[13];
	v->wnd = get16(v->tcp + 14);
	v->opts_len = (uint8_t)((v->tcp[12] >> 4) * 4 - 20);
	v->data = v->tcp + 20 + v->opts_len;
	v->data_len = end - at - 20 - v->opts_len;
	options_parse(v, v->tcp + 20, v->opts_len);
	return true;
}

bool view_csums_hold(const struct view *v)
{
	uint32_t tcp_len = 20u + v->opts_len + v->data_len;
	uint8_t tail[8] = {0, 0, 0, PROTO_TCP, 0, 0, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	uint32_t sum = csum_add(csum_add(0, tail, 8), v->src, v->v6 ? 32 : 8);

	if (!v->v6 && csum_fold(csum_add(0, v->frame + 14, 20)) != 0)
		return false;
	return csum_fold(csum_add(sum, v->tcp, tcp_len)) == 0;
}

static void ip_write(const struct peer_host *h, bool v6, uint8_t *ip, uint32_t tcp_len)
{
	if (v6) {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		put16(ip + 4, tcp_len);
		ip[6] = PROTO_TCP;
		ip[7] = 64;
		memcpy(ip + 8, h->v6, 16);
		memcpy(ip + 24, h->server_v6, 16);
		return;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + tcp_len);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = PROTO_TCP;
	memcpy(ip + 12, h->v4, 4);
	memcpy(ip + 16, h->server_v4, 4);
	csum_put(ip + 10, csum_fold(csum_add(0, ip, 20)));
}

void peer_emit(struct peer_host *h, const struct plan *plan, const struct peer_seg *s)
{
	uint8_t frame[2048];
	uint32_t at = plan->v6 ? 54 : 34;
	uint32_t tcp_len = 20u + s->opts_len + s->len;
	uint8_t tail[8] = {0, 0, 0, PROTO_TCP, 0, 0, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	uint8_t *t = frame + at;
	uint32_t sum;

	memcpy(frame, h->server_mac, 6);
	memcpy(frame + 6, h->mac, 6);
	put16(frame + 12, plan->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	ip_write(h, plan->v6, frame + 14, tcp_len);
	put16(t, plan->port);
	put16(t + 2, h->server_port);
	put32(t + 4, s->seq);
	put32(t + 8, s->ack);
	t[12] = (uint8_t)((20 + s->opts_len) << 2);
	t[13] = s->flags;
	put16(t + 14, s->wnd);
	put32(t + 16, s->urgent);
	memcpy(t + 20, s->opts, s->opts_len);
	if (s->len > 0)
		memcpy(t + 20 + s->opts_len, s->data, s->len);
	sum = csum_add(csum_add(0, tail, 8), frame + (plan->v6 ? 22 : 26), plan->v6 ? 32 : 8);
	csum_put(t + 16, csum_fold(csum_add(sum, t, tcp_len)));
	h->send(h->arg, frame, at + tcp_len);
}

void peer_quote(const struct peer_host *h, const struct plan *plan, uint8_t *frame)
{
	struct peer_host turned = *h;
	uint8_t *tcp = frame + (plan->v6 ? 54 : 34);

	memcpy(turned.v4, h->server_v4, 4);
	memcpy(turned.v6, h->server_v6, 16);
	memcpy(turned.server_v4, h->v4, 4);
	memcpy(turned.server_v6, h->v6, 16);
	put16(frame + 12, plan->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	ip_write(&turned, plan->v6, frame + 14, 1200);
	put16(tcp, h->server_port);
	put16(tcp + 2, plan->port);
	tcp[12] = 5 << 4;
	tcp[13] = PF_ACK;
}
