/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Neighbor discovery (RFC 4861) as far as a host needs it that never asks: solicitations for our
 * addresses are answered, and our addresses are announced. */
#include "dataplane/net/net_int.h"

enum {
	OPT_SOURCE_LLADDR = 1,
	OPT_TARGET_LLADDR = 2,
	NA_SOLICITED = 0x40,
	NA_OVERRIDE = 0x20,
};

/* RFC 4861 7.1.1: no option has length zero; a sender without an address has no link-layer option.
 */
static bool options_ok(const uint8_t *opt, uint32_t len, bool unspecified)
{
	while (len > 0) {
		uint32_t opt_len;

		if (len < 8 || opt[1] == 0)
			return false;
		opt_len = (uint32_t)opt[1] * 8;
		if (opt_len > len || (unspecified && opt[0] == OPT_SOURCE_LLADDR))
			return false;
		opt += opt_len;
		len -= opt_len;
	}
	return true;
}

/* RFC 4861 7.1.1, in its order (the checksum was verified before). */
static bool solicit_ok(const struct net *net, const struct pkt *pkt)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const struct wire_ndp *ns = (const void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;
	bool unspecified = v6_is_unspecified(ip->src);

	if (ip->hop_limit != 255 || ns->icmp.code != 0 || len < NDP_NS_LEN)
		return false;
	if (ns->target[0] == 0xff || !net_has_v6(net, ns->target))
		return false;
	if (unspecified && !net_has_solicited_node(net, ip->dst))
		return false;
	return options_ok((const uint8_t *)(ns + 1), len - NDP_NS_LEN, unspecified);
}

/* An advertisement of target at l3_off, from target to dst. */
static void advert_write(const struct net *net, struct pkt *pkt, const uint8_t target[16],
                         const uint8_t dst[16])
{
	struct wire_ipv6 *ip = (void *)(pkt->data + pkt->l3_off);
	struct wire_ndp *na = (void *)(ip + 1);
	struct wire_ndp_lladdr *opt = (void *)(na + 1);
	uint8_t flags = NA_OVERRIDE | (dst[0] == 0xff ? 0 : NA_SOLICITED);

	ip->ver_class_flow = be32_make(6u << 28);
	ip->payload_len = be16_make(NDP_NA_LEN);
	ip->next = PROTO_ICMPV6;
	ip->hop_limit = 255;
	memcpy(ip->src, target, 16);
	memcpy(ip->dst, dst, 16);
	na->icmp = (struct wire_icmp){.type = ICMPV6_NEIGHBOR_ADVERT, .rest = {flags}};
	memcpy(na->target, target, 16);
	opt->type = OPT_TARGET_LLADDR;
	opt->len8 = 1;
	memcpy(opt->mac, net->caps.mac, 6);
	csum_put(na->icmp.csum,
	         csum_fold(csum_add(pseudo_sum(ip->src, 32, PROTO_ICMPV6, NDP_NA_LEN), na,
	                            NDP_NA_LEN)));
	pkt->len = pkt->l3_off + IPV6_HDR_LEN + NDP_NA_LEN;
}

static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

enum counter_id ndp_input(struct net *net, struct pkt *pkt)
{
	struct wire_eth *eth = (void *)pkt->data;
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const struct wire_ndp *ns = (const void *)(pkt->data + pkt->l4_off);
	uint8_t target[16];
	uint8_t dst[16];

	if (!solicit_ok(net, pkt) || pkt->cap < pkt->l3_off + IPV6_HDR_LEN + NDP_NA_LEN)
		return CTR_drop_ndp;
	memcpy(target, ns->target, 16);
	/* RFC 4861 7.2.4: the unspecified source is answered to all nodes, unsolicited. */
	if (v6_is_unspecified(ip->src)) {
		memcpy(dst, all_nodes, 16);
		memcpy(eth->dst, all_nodes_mac, 6);
	} else {
		memcpy(dst, ip->src, 16);
		memcpy(eth->dst, eth->src, 6);
	}
	memcpy(eth->src, net->caps.mac, 6);
	advert_write(net, pkt, target, dst);
	net_reply(net, pkt);
	return CTR_rx_ndp;
}

void ndp_announce(const struct net *net, struct pkt *pkt, uint32_t i)
{
	struct wire_eth *eth = (void *)pkt->data;

	memcpy(eth->dst, all_nodes_mac, 6);
	memcpy(eth->src, net->caps.mac, 6);
	eth->type = be16_make(ETHERTYPE_V6);
	pkt->l3_off = ETH_HDR_LEN;
	advert_write(net, pkt, net->v6[i], all_nodes);
}
