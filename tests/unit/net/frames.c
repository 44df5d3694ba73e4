/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/net/frames.h"
#include "tests/sim/bytes.h"

uint32_t naive_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

static uint32_t join(uint32_t a, uint32_t b)
{
	uint32_t sum = a + b;

	return (sum & 0xffff) + (sum >> 16);
}

static void put_l4_sum(struct frame *f, uint32_t proto, uint32_t addrs, uint32_t addrs_len)
{
	uint32_t at = f->l4 + (proto == PROTO_TCP ? 16 : 2);
	uint32_t len = f->len - f->l4;
	uint32_t sum = 0;

	put16(f->b + at, 0);
	if (proto != PROTO_ICMP)
		sum = join(join(naive_sum(f->b + addrs, addrs_len), proto), len);
	put16(f->b + at, ~join(sum, naive_sum(f->b + f->l4, len)) & 0xffff);
}

void frame_fix4(struct frame *f)
{
	uint8_t *ip = f->b + f->l3;

	put16(ip + 2, f->len - f->l3);
	put16(ip + 10, 0);
	put16(ip + 10, ~naive_sum(ip, f->l4 - f->l3) & 0xffff);
	put_l4_sum(f, ip[9], f->l3 + 12, 8);
}

void frame_fix6(struct frame *f)
{
	uint8_t *ip = f->b + f->l3;
	uint8_t proto = ip[6] == PROTO_TCP ? PROTO_TCP : PROTO_ICMPV6;

	put16(ip + 4, f->len - f->l3 - IPV6_HDR_LEN);
	put_l4_sum(f, proto, f->l3 + 8, 32);
}

static void begin(struct frame *f, uint16_t vlan, uint16_t type)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->b, OUR_MAC, 6);
	memcpy(f->b + 6, PEER_MAC, 6);
	f->l3 = ETH_HDR_LEN;
	if (vlan != 0) {
		put16(f->b + 12, ETHERTYPE_TAG);
		put16(f->b + 14, vlan);
		f->l3 += VLAN_TAG_LEN;
	}
	put16(f->b + f->l3 - 2, type);
}

static void ip4(struct frame *f, uint8_t proto, uint32_t options)
{
	uint8_t *ip = f->b + f->l3;

	ip[0] = (uint8_t)(0x45 + options / 4);
	put16(ip + 4, 0x1234);
	ip[6] = 0x40;
	ip[8] = 61;
	ip[9] = proto;
	memcpy(ip + 12, PEER_V4, 4);
	memcpy(ip + 16, OUR_V4, 4);
	memset(ip + 20, 1, options); /* no operation */
	f->l4 = f->l3 + IPV4_HDR_LEN + options;
}

static void ip6(struct frame *f, uint8_t proto)
{
	uint8_t *ip = f->b + f->l3;

	ip[0] = 0x60;
	ip[6] = proto;
	ip[7] = proto == PROTO_ICMPV6 ? 255 : 61;
	memcpy(ip + 8, PEER_V6, 16);
	memcpy(ip + 24, OUR_V6, 16);
	f->l4 = f->l3 + IPV6_HDR_LEN;
}

static void tcp(struct frame *f, uint32_t payload)
{
	uint8_t *t = f->b + f->l4;

	put16(t, 40000);
	put16(t + 2, 80);
	put16(t + 6, 1000);
	t[12] = 0x50;
	t[13] = 0x18;
	put16(t + 14, 64240);
	for (uint32_t i = 0; i < payload; i++)
		t[TCP_HDR_LEN + i] = (uint8_t)i;
	f->len = f->l4 + TCP_HDR_LEN + payload;
}

static void echo(struct frame *f, uint8_t type, uint32_t payload)
{
	uint8_t *e = f->b + f->l4;

	e[0] = type;
	put16(e + 4, 77);
	put16(e + 6, 3);
	for (uint32_t i = 0; i < payload; i++)
		e[ICMP_HDR_LEN + i] = (uint8_t)(i * 7);
	f->len = f->l4 + ICMP_HDR_LEN + payload;
}

void frame_tcp4(struct frame *f, uint16_t vlan, uint32_t ip_options, uint32_t payload)
{
	begin(f, vlan, ETHERTYPE_V4);
	ip4(f, PROTO_TCP, ip_options);
	tcp(f, payload);
	frame_fix4(f);
}

void frame_tcp6(struct frame *f, uint32_t payload)
{
	begin(f, 0, ETHERTYPE_V6);
	ip6(f, PROTO_TCP);
	tcp(f, payload);
	frame_fix6(f);
}

void frame_echo4(struct frame *f, uint32_t ip_options, uint32_t payload)
{
	begin(f, 0, ETHERTYPE_V4);
	ip4(f, PROTO_ICMP, ip_options);
	echo(f, ICMP_ECHO_REQUEST, payload);
	frame_fix4(f);
}

void frame_echo6(struct frame *f, uint32_t payload)
{
	begin(f, 0, ETHERTYPE_V6);
	ip6(f, PROTO_ICMPV6);
	echo(f, ICMPV6_ECHO_REQUEST, payload);
	frame_fix6(f);
}

void frame_arp(struct frame *f, const char *spa, const char *tpa)
{
	uint8_t *a;

	begin(f, 0, ETHERTYPE_ARPV4);
	memset(f->b, 0xff, 6);
	a = f->b + f->l3;
	put16(a, 1);
	put16(a + 2, ETHERTYPE_V4);
	a[4] = 6;
	a[5] = 4;
	put16(a + 6, ARP_OP_REQUEST);
	memcpy(a + 8, PEER_MAC, 6);
	memcpy(a + 14, spa, 4);
	memcpy(a + 24, tpa, 4);
	f->len = ETH_MIN_LEN;
}

void frame_ns(struct frame *f, const char *src, const char *dst, const char *target)
{
	uint8_t *n;

	begin(f, 0, ETHERTYPE_V6);
	if ((uint8_t)dst[0] == 0xff)
		memcpy(f->b, SNM_MAC, 6);
	ip6(f, PROTO_ICMPV6);
	memcpy(f->b + f->l3 + 8, src, 16);
	memcpy(f->b + f->l3 + 24, dst, 16);
	n = f->b + f->l4;
	n[0] = ICMPV6_NEIGHBOR_SOLICIT;
	memcpy(n + 8, target, 16);
	n[24] = 1;
	n[25] = 1;
	memcpy(n + 26, PEER_MAC, 6);
	f->len = f->l4 + 32;
	frame_fix6(f);
}
