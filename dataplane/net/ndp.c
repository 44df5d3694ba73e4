/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Neighbor discovery (RFC 4861) as far as a host needs it that asks only for its own addresses:
 * solicitations for these are answered, they are announced, and who else claims them is noticed
 * (ndp_dad.c). */
#include "dataplane/net/net_int.h"

enum {
	OPT_SOURCE_LLADDR = 1,
	OPT_TARGET_LLADDR = 2,
	NA_SOLICITED = 0x40,
	NA_OVERRIDE = 0x20,
};

bool ndp_options_ok(const uint8_t *opt, uint32_t len, bool unspecified)
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
	if (ns->target[0] == 0xff || net_v6_find(net, ns->target) == net->v6_count)
		return false;
	if (unspecified && !net_has_solicited_node(net, ip->dst))
		return false;
	return ndp_options_ok((const uint8_t *)(ns + 1), len - NDP_NS_LEN, unspecified);
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

/* Something that we sent, and that the link brought back: no other host (RFC 4862 A). */
static bool is_echo(const struct net *net, const struct pkt *pkt)
{
	return memcmp(((const struct wire_eth *)(const void *)pkt->data)->src, net->caps.mac, 6) ==
	       0;
}

static enum counter_id solicit_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	struct wire_eth *eth = (void *)pkt->data;
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const struct wire_ndp *ns = (const void *)(pkt->data + pkt->l4_off);
	bool asks_dad = v6_is_unspecified(ip->src);
	uint8_t target[16];
	uint8_t dst[16];
	uint32_t i;

	if (!solicit_ok(net, pkt) || pkt->cap < pkt->l3_off + IPV6_HDR_LEN + NDP_NA_LEN)
		return CTR_drop_ndp;
	i = net_v6_find(net, ns->target);
	if (net_v6_off(net, i)) {
		/* RFC 4862 5.4.3: one who only wants to reach it is ignored; one who is about to
		 * use it as well is proof that it is no one's. */
		if (!asks_dad || is_echo(net, pkt))
			return CTR_drop_ndp;
		conflict_v6(net, i, now_ns);
		return CTR_rx_ndp;
	}
	memcpy(target, ns->target, 16);
	/* RFC 4861 7.2.4: the unspecified source is answered to all nodes, unsolicited. */
	if (asks_dad) {
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

/* RFC 4861 7.2.5: the target's link address. Without the option the frame's sender is meant, as
 * with unicast solicitations (4.4). */
static bool target_learn(struct net *net, const struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ndp *na = (const void *)(pkt->data + pkt->l4_off);
	const uint8_t *opt = (const uint8_t *)(na + 1);
	const uint8_t *end = pkt->data + pkt->len;
	const uint8_t *mac = pkt->data + 6;
	struct net_path from = {.vlan = net_vlan(pkt)};

	if (!(na->icmp.rest[0] & NA_SOLICITED))
		return false;
	for (; opt < end; opt += (uint32_t)opt[1] * 8) {
		if (opt[0] == OPT_TARGET_LLADDR && opt[1] == 1)
			mac = opt + 2;
	}
	memcpy(from.remote.b, na->target, 16);
	return neigh_answer(net, &from, mac, now_ns);
}

/* RFC 4861 7.1.2. Of interest is who claims our own address (RFC 4862 5.4.4), and what we asked
 * for. */
static enum counter_id advert_input(struct net *net, const struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const struct wire_ndp *na = (const void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;
	uint32_t i;

	if (ip->hop_limit != 255 || na->icmp.code != 0 || len < NDP_NS_LEN ||
	    na->target[0] == 0xff || (ip->dst[0] == 0xff && na->icmp.rest[0] & NA_SOLICITED) ||
	    !ndp_options_ok((const uint8_t *)(na + 1), len - NDP_NS_LEN, false))
		return CTR_drop_ndp;
	i = net_v6_find(net, na->target);
	if (is_echo(net, pkt))
		return CTR_drop_ndp;
	if (i == net->v6_count)
		return target_learn(net, pkt, now_ns) ? CTR_rx_ndp : CTR_drop_ndp;
	conflict_v6(net, i, now_ns);
	return CTR_rx_ndp;
}

enum counter_id ndp_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_icmp *icmp = (const void *)(pkt->data + pkt->l4_off);

	switch (icmp->type) {
	case ICMPV6_NEIGHBOR_SOLICIT:
		return solicit_input(net, pkt, now_ns);
	case ICMPV6_NEIGHBOR_ADVERT:
		return advert_input(net, pkt, now_ns);
	case ICMPV6_ROUTER_ADVERT:
		return router_input(net, pkt);
	default:
		/* Router solicitations are for routers; redirects do not matter to one who has no
		 * routes. */
		return CTR_drop_ndp;
	}
}

/* A solicitation of path->local for path->remote at l3_off; one who has no address yet gives no
 * link address either (RFC 4861 4.3). */
static void solicit_write(const struct net *net, struct pkt *pkt, const struct net_path *path,
                          bool unicast)
{
	struct wire_ipv6 *ip = (void *)(pkt->data + pkt->l3_off);
	struct wire_ndp *ns = (void *)(ip + 1);
	struct wire_ndp_lladdr *opt = (void *)(ns + 1);
	bool own_mac = !v6_is_unspecified(path->local.b);
	uint32_t len = own_mac ? NDP_NA_LEN : NDP_NS_LEN;

	*ip = (struct wire_ipv6){
	        .ver_class_flow = be32_make(6u << 28),
	        .payload_len = be16_make(len),
	        .next = PROTO_ICMPV6,
	        .hop_limit = 255,
	};
	memcpy(ip->src, path->local.b, 16);
	if (unicast)
		memcpy(ip->dst, path->remote.b, 16);
	else
		solicited_node_write(path->remote.b, ip->dst);
	ns->icmp = (struct wire_icmp){.type = ICMPV6_NEIGHBOR_SOLICIT};
	memcpy(ns->target, path->remote.b, 16);
	if (own_mac) {
		opt->type = OPT_SOURCE_LLADDR;
		opt->len8 = 1;
		memcpy(opt->mac, net->caps.mac, 6);
	}
	csum_put(ns->icmp.csum,
	         csum_fold(csum_add(pseudo_sum(ip->src, 32, PROTO_ICMPV6, len), ns, len)));
	pkt->len = pkt->l3_off + IPV6_HDR_LEN + len;
}

void ndp_ask(const struct net *net, struct pkt *pkt, const struct net_path *path, bool unicast)
{
	solicit_write(net, pkt, path, unicast);
}

void ndp_probe(const struct net *net, struct pkt *pkt, uint32_t i)
{
	struct net_path path = {.remote_mac = {0x33, 0x33, 0xff}};

	memcpy(path.remote.b, net->v6[i], 16);
	memcpy(path.remote_mac + 3, net->v6[i] + 13, 3);
	pkt->l3_off = net_eth_write(net, &path, pkt->data, ETHERTYPE_V6);
	solicit_write(net, pkt, &path, false);
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
