/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dataplane/net/csum.h"
#include "tests/unit/tcp/icmp_wire.h"

static const uint8_t router_mac[6] = {2, 0, 0, 0, 0, 7};

/* Header from src to dst; returns its length. */
static uint32_t ip_put(bool v6, uint8_t *ip, const struct ip_addr *addrs[2], uint32_t len)
{
	uint16_t sum;

	if (v6) {
		memset(ip, 0, 40);
		ip[0] = 0x60;
		put_u16(ip + 4, (uint16_t)len);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, addrs[0]->b, 16);
		memcpy(ip + 24, addrs[1]->b, 16);
		return 40;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put_u16(ip + 2, (uint16_t)(20 + len));
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, addrs[0]->b + 12, 4);
	memcpy(ip + 16, addrs[1]->b + 12, 4);
	sum = csum_fold(csum_add(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
	return 20;
}

static void icmp_csum(const struct wire *w, const uint8_t *ip, uint8_t *icmp, uint32_t len)
{
	uint8_t pseudo[8] = {[2] = (uint8_t)(len >> 8), [3] = (uint8_t)len, [7] = 58};
	uint32_t sum = 0;
	uint16_t folded;

	if (w->v6)
		sum = csum_add(csum_add(0, pseudo, 8), ip + 8, 32);
	folded = csum_fold(csum_add(sum, icmp, len));
	memcpy(icmp + 2, &folded, 2);
}

void wire_icmp(struct wire *w, const struct icmp_spec *spec)
{
	const struct ip_addr *outer[2] = {NULL, &w->local};
	const struct ip_addr *inner[2] = {&w->local, &w->remote};
	struct ip_addr router;
	uint8_t frame[256] = {0};
	uint32_t len = spec->quoted_len ? spec->quoted_len : 1500;
	uint32_t icmp_len = 8 + (w->v6 ? 40 : 20) + 8;
	uint32_t ip_len;
	uint8_t *icmp;
	uint8_t *quote;
	uint16_t sum;

	assert_true(ip_addr_parse(w->v6 ? "fd00::7" : "10.9.9.9", &router));
	outer[0] = &router;
	if (spec->foreign)
		inner[0] = &router;
	memcpy(frame, nic_caps(w->nic)->mac, 6);
	memcpy(frame + 6, router_mac, 6);
	put_u16(frame + 12, w->v6 ? 0x86dd : 0x0800);
	ip_len = ip_put(w->v6, frame + 14, outer, icmp_len);
	frame[14 + (w->v6 ? 6 : 9)] = w->v6 ? 58 : 1;
	if (!w->v6) {
		put_u16(frame + 24, 0);
		sum = csum_fold(csum_add(0, frame + 14, 20));
		memcpy(frame + 24, &sum, 2);
	}
	icmp = frame + 14 + ip_len;
	icmp[0] = spec->type;
	icmp[1] = spec->code;
	put_u32(icmp + 4, spec->mtu);
	quote = icmp + 8;
	quote += ip_put(w->v6, quote, inner, len - ip_len);
	put_u16(quote, spec->lport ? spec->lport : RIG_PORT);
	put_u16(quote + 2, spec->rport ? spec->rport : w->port);
	put_u32(quote + 4, spec->seq);
	icmp_csum(w, frame + 14, icmp, icmp_len);
	if (spec->bad_csum)
		icmp[4] ^= 0x10;
	assert_true(nic_sim_inject(w->nic, frame, 14 + ip_len + icmp_len));
	wire_run(w);
}

void wire_too_big(struct wire *w, uint32_t seq, uint32_t mtu)
{
	struct icmp_spec spec = {
	        .type = w->v6 ? 2 : 3,
	        .code = w->v6 ? 0 : 4,
	        .mtu = mtu,
	        .seq = seq,
	};

	wire_icmp(w, &spec);
}
