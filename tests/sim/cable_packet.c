/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"
#include "tests/sim/cable.h"

#define QUOTE_MAX 548u /* bytes of the packet that an error repeats (RFC 1812 4.3.2.3) */

static uint16_t ether_type(const uint8_t *frame)
{
	return (uint16_t)(frame[12] << 8 | frame[13]);
}

bool packet_bit_matters(const uint8_t *frame, uint32_t len, uint32_t bit)
{
	uint32_t byte = bit / 8;
	bool v6 = ether_type(frame) == ETHERTYPE_V6;

	/* The source of the frame is nobody's to check. */
	if (byte < ETH_HDR_LEN)
		return byte < 6 || byte >= 12;
	if (!v6)
		return ether_type(frame) == ETHERTYPE_V4 && byte < len;
	byte -= ETH_HDR_LEN;
	/* RFC 8200 3: traffic class, flow label and hop limit have no checksum. */
	if (byte < 4)
		return byte == 0 && bit % 8 < 4;
	return byte != 7;
}

bool packet_mark(uint8_t *frame, uint32_t len)
{
	uint8_t *ip = frame + ETH_HDR_LEN;

	if (ether_type(frame) == ETHERTYPE_V4 && len >= ETH_HDR_LEN + IPV4_HDR_LEN) {
		struct wire_ipv4 *h = (void *)ip;

		if ((h->tos & 3) == 0)
			return false;
		h->tos |= 3;
		csum_put(h->csum, 0);
		csum_put(h->csum, csum_fold(csum_add(0, h, (size_t)(h->ver_ihl & 15) * 4)));
		return true;
	}
	if (ether_type(frame) != ETHERTYPE_V6 || (ip[1] & 0x30) == 0)
		return false;
	ip[1] |= 0x30;
	return true;
}

static void eth_back(const uint8_t *frame, uint8_t *out)
{
	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + 12, frame + 12, 2);
}

static uint32_t too_big_v4(const uint8_t *frame, uint32_t len, uint32_t mtu, uint8_t *out)
{
	static const uint8_t router[4] = {10, 0, 0, 254};
	const struct wire_ipv4 *in = (const void *)(frame + ETH_HDR_LEN);
	struct wire_ipv4 *ip = (void *)(out + ETH_HDR_LEN);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	uint32_t quote = min_u32(len - ETH_HDR_LEN, QUOTE_MAX);

	*ip = (struct wire_ipv4){.ver_ihl = 0x45,
	                         .total_len = be16_make(IPV4_HDR_LEN + ICMP_HDR_LEN + quote),
	                         .ttl = 64,
	                         .proto = PROTO_ICMP};
	memcpy(ip->src, router, 4);
	memcpy(ip->dst, in->src, 4);
	csum_put(ip->csum, csum_fold(csum_add(0, ip, IPV4_HDR_LEN)));
	memset(icmp, 0, ICMP_HDR_LEN);
	icmp[0] = 3;
	icmp[1] = 4;
	icmp[6] = (uint8_t)(mtu >> 8);
	icmp[7] = (uint8_t)mtu;
	memcpy(icmp + ICMP_HDR_LEN, in, quote);
	csum_put(icmp + 2, csum_fold(csum_add(0, icmp, ICMP_HDR_LEN + quote)));
	return ETH_HDR_LEN + IPV4_HDR_LEN + ICMP_HDR_LEN + quote;
}

static uint32_t too_big_v6(const uint8_t *frame, uint32_t len, uint32_t mtu, uint8_t *out)
{
	static const uint8_t router[16] = {0xfd, [15] = 0xfe};
	const struct wire_ipv6 *in = (const void *)(frame + ETH_HDR_LEN);
	struct wire_ipv6 *ip = (void *)(out + ETH_HDR_LEN);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	/* RFC 4443 3.2: as much as fits the minimum MTU. */
	uint32_t quote = min_u32(len - ETH_HDR_LEN, 1280 - IPV6_HDR_LEN - ICMP_HDR_LEN);
	uint32_t n = ICMP_HDR_LEN + quote;
	uint8_t tail[8] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, PROTO_ICMPV6};

	*ip = (struct wire_ipv6){.ver_class_flow = be32_make(6u << 28),
	                         .payload_len = be16_make(n),
	                         .next = PROTO_ICMPV6,
	                         .hop_limit = 64};
	memcpy(ip->src, router, 16);
	memcpy(ip->dst, in->src, 16);
	memset(icmp, 0, ICMP_HDR_LEN);
	icmp[0] = 2;
	icmp[6] = (uint8_t)(mtu >> 8);
	icmp[7] = (uint8_t)mtu;
	memcpy(icmp + ICMP_HDR_LEN, in, quote);
	csum_put(icmp + 2,
	         csum_fold(csum_add(csum_add(csum_add(0, tail, 8), ip->src, 32), icmp, n)));
	return ETH_HDR_LEN + IPV6_HDR_LEN + n;
}

uint32_t packet_too_big(const uint8_t *frame, uint32_t len, uint32_t mtu, uint8_t *out)
{
	eth_back(frame, out);
	if (ether_type(frame) == ETHERTYPE_V4)
		return frame[ETH_HDR_LEN + 9] == PROTO_TCP ? too_big_v4(frame, len, mtu, out) : 0;
	if (ether_type(frame) == ETHERTYPE_V6)
		return frame[ETH_HDR_LEN + 6] == PROTO_TCP ? too_big_v6(frame, len, mtu, out) : 0;
	return 0;
}
