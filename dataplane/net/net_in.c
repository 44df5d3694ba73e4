/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sorting what the NIC gives: Ethernet, VLAN tag, IPv4, and the checks that every TCP segment
 * passes before a connection sees it; IPv6 is in ip6_in.c. Each packet leaves with the name of
 * exactly one counter; CTR_rx_tcp stands for "on to tcp_input", which counts those. */
#include "dataplane/net/net_int.h"

enum {
	OPT_LOOSE_ROUTE = 131,
	OPT_STRICT_ROUTE = 137,
};

/* RFC 9293 3.1: header length, checksum over pseudo-header, header and data. */
enum counter_id net_tcp_check(const struct net *net, struct pkt *pkt, const uint8_t *addrs,
                              size_t addrs_len)
{
	const struct wire_tcp *tcp = (const void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;
	uint32_t hdr_len;
	uint32_t pseudo;

	if (unlikely(len < TCP_HDR_LEN))
		return CTR_drop_tcp_header;
	hdr_len = (uint32_t)(tcp->data_off >> 4) * 4;
	if (unlikely(hdr_len < TCP_HDR_LEN || hdr_len > len))
		return CTR_drop_tcp_header;
	pkt->payload_off = (uint16_t)(pkt->l4_off + hdr_len);
	pkt->payload_len = (uint16_t)(len - hdr_len);
	if ((pkt->flags & (PKT_RX_L4_CSUM_OK | PKT_RX_CSUM_BAD)) == PKT_RX_L4_CSUM_OK)
		return CTR_rx_tcp;
	pseudo = pseudo_sum(addrs, addrs_len, PROTO_TCP, len);
	if (net->caps.rx_partial_csum && csum_get(tcp->csum) == csum_fold_partial(pseudo))
		return CTR_rx_tcp;
	/* A port that calls the sum bad does not say which one: count again. */
	if (unlikely(csum_fold(csum_add(pseudo, tcp, len)) != 0))
		return CTR_drop_tcp_csum;
	return CTR_rx_tcp;
}

/* RFC 1122 3.2.1.3: addresses that are never a source. Class E is reserved (RFC 1112 4). */
static bool v4_source_ok(const struct net *net, const uint8_t src[4])
{
	return src[0] != 0 && src[0] != 127 && src[0] < 224 && !net_has_v4(net, src);
}

/* RFC 791 3.1. Options ask nothing of a host but to be skipped; a source route could turn the
 * answer to somebody else's way, so that the packet is dropped (RFC 7126 4.3, 4.4). */
static bool v4_options_ok(const uint8_t *opt, uint32_t hdr_len)
{
	uint32_t len = hdr_len - IPV4_HDR_LEN;
	uint32_t at = 0;

	while (at < len && opt[at] != 0) {
		if (opt[at] == 1) { /* no operation */
			at++;
			continue;
		}
		if (opt[at] == OPT_LOOSE_ROUTE || opt[at] == OPT_STRICT_ROUTE)
			return false;
		if (at + 1 >= len || opt[at + 1] < 2)
			return false;
		at += opt[at + 1];
	}
	return at <= len;
}

static uint16_t v4_header_csum(const struct wire_ipv4 *ip, uint32_t hdr_len)
{
	if (likely(hdr_len == IPV4_HDR_LEN))
		return ipv4_header_csum(ip);
	return csum_fold(csum_add(0, ip, hdr_len));
}

static enum counter_id v4_header(const struct net *net, struct pkt *pkt, uint32_t *hdr_len_out)
{
	const struct wire_ipv4 *ip = (const void *)(pkt->data + pkt->l3_off);
	uint32_t room = pkt->len - pkt->l3_off;
	uint32_t hdr_len;
	uint32_t total;

	if (unlikely(room < IPV4_HDR_LEN))
		return CTR_drop_runt;
	hdr_len = (uint32_t)(ip->ver_ihl & 15) * 4;
	total = be16_get(ip->total_len);
	/* RFC 1122 3.2.1.1: version. RFC 791 3.1: length of the header, total length. */
	if (unlikely(ip->ver_ihl >> 4 != 4 || hdr_len < IPV4_HDR_LEN || total < hdr_len))
		return CTR_drop_ip_header;
	if (unlikely(total > room))
		return CTR_drop_runt;
	/* RFC 1122 3.2.1.2: silently discard a datagram with a bad checksum. */
	if ((pkt->flags & (PKT_RX_IP_CSUM_OK | PKT_RX_CSUM_BAD)) != PKT_RX_IP_CSUM_OK &&
	    unlikely(v4_header_csum(ip, hdr_len) != 0))
		return CTR_drop_ip_csum;
	pkt->len = pkt->l3_off + total; /* what follows is Ethernet padding */
	*hdr_len_out = hdr_len;
	/* RFC 1122 3.3.6: a unicast datagram in a broadcast frame is not for us either. */
	if (unlikely(!net_has_v4(net, ip->dst) || memcmp(pkt->data, net->caps.mac, 6) != 0))
		return CTR_drop_not_ours;
	if (unlikely(!v4_source_ok(net, ip->src)))
		return CTR_drop_ip_options;
	if (unlikely(hdr_len > IPV4_HDR_LEN) && !v4_options_ok((const uint8_t *)(ip + 1), hdr_len))
		return CTR_drop_ip_header;
	return CTR_rx_tcp;
}

/* RFC 791 3.2. Of protocols that nobody here speaks, fragments are not kept. */
static enum counter_id v4_fragment(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ipv4 *ip = (const void *)(pkt->data + pkt->l3_off);
	uint32_t frag = be16_get(ip->frag);
	struct frag_in in = {
	        .src = ip->src,
	        .dst = ip->dst,
	        .id = be16_get(ip->id),
	        .off = (frag & 0x1fff) * 8,
	        .proto = ip->proto,
	        .ecn = ip->tos & 3,
	        .more = (frag & 0x2000) != 0,
	};

	if (ip->proto != PROTO_TCP && ip->proto != PROTO_ICMP)
		return CTR_drop_ip_fragment;
	return frag_input(net, pkt, &in, now_ns);
}

/* RFC 1122 3.2.2.1: protocol unreachable, and for UDP port unreachable. */
static void v4_refuse(struct net *net, const struct pkt *pkt, uint8_t proto, uint64_t now_ns)
{
	struct icmp_out out = {
	        .type = ICMP_UNREACHABLE,
	        .code = proto == PROTO_UDP ? 3 : 2,
	};

	icmp_answer(net, pkt, &out, now_ns);
}

static enum counter_id v4_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ipv4 *ip = (const void *)(pkt->data + pkt->l3_off);
	uint32_t hdr_len = 0;
	enum counter_id verdict = v4_header(net, pkt, &hdr_len);

	if (unlikely(verdict != CTR_rx_tcp))
		return verdict;
	pkt->ip_version = 4;
	pkt->l4_off = (uint16_t)(pkt->l3_off + hdr_len);
	if (unlikely((be16_get(ip->frag) & 0x3fff) != 0)) /* more fragments, or an offset */
		verdict = v4_fragment(net, pkt, now_ns);
	if (unlikely(verdict != CTR_rx_tcp))
		return verdict;
	if (likely(ip->proto == PROTO_TCP))
		return net_tcp_check(net, pkt, ip->src, 8);
	if (ip->proto == PROTO_ICMP)
		return icmp_input(net, pkt, now_ns);
	v4_refuse(net, pkt, ip->proto, now_ns);
	return CTR_drop_ip_proto;
}

static enum counter_id sort_packet(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_eth *eth = (const void *)pkt->data;
	uint16_t type;

	if (unlikely(pkt->len < ETH_HDR_LEN || pkt->len > UINT16_MAX))
		return CTR_drop_runt;
	type = be16_get(eth->type);
	pkt->l3_off = ETH_HDR_LEN;
	if (unlikely(type == ETHERTYPE_TAG)) {
		if (pkt->len < ETH_HDR_LEN + VLAN_TAG_LEN)
			return CTR_drop_runt;
		type = be16_get(((const struct wire_vlan *)(const void *)(eth + 1))->type);
		pkt->l3_off += VLAN_TAG_LEN;
	}
	/* IEEE 802.3 3.2.3: a source address is never a group; no answer could go there. */
	if (unlikely(mac_is_group(eth->src)))
		return CTR_drop_ip_options;
	if (likely(type == ETHERTYPE_V4))
		return v4_input(net, pkt, now_ns);
	if (type == ETHERTYPE_V6)
		return ip6_input(net, pkt, now_ns);
	if (type == ETHERTYPE_ARPV4)
		return arp_input(net, pkt, now_ns);
	return CTR_drop_ethertype;
}

static unsigned sort_burst(struct net *net, struct pkt *pkts, unsigned n, uint64_t now_ns)
{
	unsigned up = 0;
	unsigned dead = 0;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(pkts[i].data);
	for (unsigned i = 0; i < n; i++) {
		enum counter_id verdict;

		bytes += pkts[i].len;
		verdict = sort_packet(net, &pkts[i], now_ns);
		if (likely(verdict == CTR_rx_tcp)) {
			if (up != i)
				pkts[up] = pkts[i];
			up++;
			continue;
		}
		if (verdict != NET_UNCOUNTED)
			counter_inc(net->ctr, verdict);
		if (pkts[i].data != NULL)
			net->dead[dead++] = pkts[i];
	}
	if (dead > 0)
		nic_pkt_free(net->nic, net->dead, dead);
	counter_add(net->ctr, CTR_rx_bytes, bytes);
	return up;
}

unsigned net_input(struct net *net, struct pkt *pkts, unsigned n, uint64_t now_ns)
{
	unsigned up;

	if (n == 0)
		return 0;
	assert(n <= NIC_BURST);
	up = sort_burst(net, pkts, n, now_ns);
	counter_inc(net->ctr, CTR_rx_bursts);
	counter_add(net->ctr, CTR_rx_packets, n);
	return up;
}

uint16_t net_vlan(const struct pkt *pkt)
{
	const struct wire_vlan *tag = (const void *)(pkt->data + ETH_HDR_LEN);
	uint32_t tci;

	if (pkt->l3_off == ETH_HDR_LEN)
		return 0;
	tci = be16_get(tag->tci);
	return (tci & 0xfff) == 0 ? 0 : (uint16_t)(tci & ~0x1000u);
}

void net_path_reply(const struct pkt *pkt, struct net_path *out)
{
	const struct wire_eth *eth = (const void *)pkt->data;
	const uint8_t *ip = pkt->data + pkt->l3_off;

	memcpy(out->remote_mac, eth->src, 6);
	out->vlan = net_vlan(pkt);
	if (pkt->ip_version == 4) {
		const struct wire_ipv4 *v4 = (const void *)ip;
		static const struct ip_addr mapped = {{[10] = 0xff, [11] = 0xff}};

		out->local = mapped;
		out->remote = mapped;
		memcpy(&out->local.b[12], v4->dst, 4);
		memcpy(&out->remote.b[12], v4->src, 4);
	} else {
		const struct wire_ipv6 *v6 = (const void *)ip;

		memcpy(out->local.b, v6->dst, 16);
		memcpy(out->remote.b, v6->src, 16);
	}
}
