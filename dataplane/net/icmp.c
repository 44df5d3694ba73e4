/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP and ICMPv6: echo requests are answered at a bounded rate, neighbor discovery goes to ndp.c,
 * errors to icmp_error.c; everything else needs no answer. */
#include "dataplane/net/net_int.h"

static bool echo_allowed(struct net *net, uint64_t now_ns)
{
	return bucket_take(&net->echo, net->icmp_per_s, now_ns);
}

/* What came in fragments may be longer than what goes out in one piece; we send no fragments. */
static bool reply_fits(const struct net *net, const struct pkt *pkt)
{
	return pkt->len - pkt->l3_off <= net->caps.mtu;
}

static void frame_turn(const struct net *net, struct pkt *pkt)
{
	struct wire_eth *eth = (void *)pkt->data;

	memcpy(eth->dst, eth->src, 6);
	memcpy(eth->src, net->caps.mac, 6);
}

static void addrs_turn(uint8_t *src, uint8_t *dst, size_t len)
{
	uint8_t was[16];

	memcpy(was, src, len);
	memcpy(src, dst, len);
	memcpy(dst, was, len);
}

/* The reply has no options: moves the link header up to where a plain IPv4 header begins. */
static void options_strip(struct pkt *pkt)
{
	uint32_t options = (uint32_t)pkt->l4_off - pkt->l3_off - IPV4_HDR_LEN;

	if (options == 0)
		return;
	memmove(pkt->data + options, pkt->data, pkt->l3_off + IPV4_HDR_LEN);
	pkt->data += options;
	pkt->len -= options;
	pkt->cap -= options;
	pkt->l4_off = (uint16_t)(pkt->l4_off - options);
}

enum counter_id icmp_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	struct wire_icmp *icmp = (void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;
	struct wire_ipv4 *ip;

	if (len < ICMP_HDR_LEN || csum_fold(csum_add(0, icmp, len)) != 0)
		return CTR_drop_icmp;
	/* RFC 6633 5: source quench is ignored; so are redirects, since there are no routes. */
	if (icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED ||
	    icmp->type == ICMP_PARAM_PROBLEM)
		return icmp_error_input(net, pkt, now_ns);
	/* RFC 1122 3.2.2.6: a host answers echo requests. */
	if (icmp->type != ICMP_ECHO_REQUEST || icmp->code != 0 || !reply_fits(net, pkt) ||
	    !echo_allowed(net, now_ns))
		return CTR_drop_icmp;
	icmp->type = ICMP_ECHO_REPLY;
	csum_put(icmp->csum, 0);
	csum_put(icmp->csum, csum_fold(csum_add(0, icmp, len)));
	options_strip(pkt);
	ip = (void *)(pkt->data + pkt->l3_off);
	ip->ver_ihl = 0x45;
	ip->total_len = be16_make(IPV4_HDR_LEN + len);
	ip->id = be16_make(0);
	ip->frag = be16_make(0x4000);
	ip->ttl = NET_TTL;
	addrs_turn(ip->src, ip->dst, 4);
	csum_put(ip->csum, 0);
	csum_put(ip->csum, csum_fold(csum_add(0, ip, IPV4_HDR_LEN)));
	frame_turn(net, pkt);
	net_reply(net, pkt);
	return CTR_rx_icmp;
}

static enum counter_id echo_v6(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	struct wire_ipv6 *ip = (void *)(pkt->data + pkt->l3_off);
	struct wire_icmp *icmp = (void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;

	/* Extension headers would have to go from the reply; no sender of echo requests uses them.
	 */
	if (icmp->code != 0 || ip->next != PROTO_ICMPV6 || !reply_fits(net, pkt) ||
	    !echo_allowed(net, now_ns))
		return CTR_drop_icmp;
	icmp->type = ICMPV6_ECHO_REPLY;
	ip->ver_class_flow = be32_make(6u << 28);
	ip->hop_limit = NET_TTL;
	addrs_turn(ip->src, ip->dst, 16);
	csum_put(icmp->csum, 0);
	csum_put(icmp->csum,
	         csum_fold(csum_add(pseudo_sum(ip->src, 32, PROTO_ICMPV6, len), icmp, len)));
	frame_turn(net, pkt);
	net_reply(net, pkt);
	return CTR_rx_icmp;
}

enum counter_id icmpv6_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const struct wire_icmp *icmp = (const void *)(pkt->data + pkt->l4_off);
	uint32_t len = pkt->len - pkt->l4_off;
	bool discovery;

	if (len < ICMP_HDR_LEN)
		return CTR_drop_icmp;
	discovery = icmp->type >= ICMPV6_ROUTER_SOLICIT && icmp->type <= ICMPV6_REDIRECT;
	if (csum_fold(csum_add(pseudo_sum(ip->src, 32, PROTO_ICMPV6, len), icmp, len)) != 0)
		return discovery ? CTR_drop_ndp : CTR_drop_icmp;
	if (discovery)
		return ndp_input(net, pkt, now_ns);
	if (icmp->type < ICMPV6_INFORMATION)
		return icmpv6_error_input(net, pkt, now_ns);
	if (icmp->type == ICMPV6_ECHO_REQUEST)
		return echo_v6(net, pkt, now_ns);
	return CTR_drop_icmp;
}
