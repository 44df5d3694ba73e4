/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Switches that filter multicast must know where solicitations for our addresses go: the groups of
 * their solicited nodes are reported (RFC 3810, RFC 4862 5.4.2), at start and once a minute, which
 * is well within the 260 s that a listener is remembered. Questions are not waited for: over AF_XDP
 * they go to the kernel. */
#include "dataplane/net/net_int.h"

enum {
	MLD_REPORT = 143,
	RECORD_LEN = 20,
	OPTIONS_LEN = 8,
	MODE_IS_EXCLUDE = 2, /* nothing is excluded: all of the group is wanted */
	CHANGE_TO_EXCLUDE = 4,
	MOST_RECORDS = 55, /* of a packet of 1280 bytes */
	REPORT_S = 60,
	FIRST_REPORTS = 2, /* RFC 3810 9.14: the robustness variable */
};

/* Another address before it has the same group. */
static bool same_group_before(const struct net *net, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++) {
		if (same_solicited_node(net->v6[k], net->v6[i]))
			return true;
	}
	return false;
}

static uint32_t records_write(const struct net *net, uint8_t *out, uint8_t type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < net->v6_count && n < MOST_RECORDS; i++) {
		uint8_t *record = out + n * RECORD_LEN;

		if (same_group_before(net, i))
			continue;
		memset(record, 0, RECORD_LEN);
		record[0] = type;
		solicited_node_write(net->v6[i], record + 4);
		n++;
	}
	return n;
}

/* From the unspecified address: we have none of the link's own (RFC 3590 4). */
static void report_send(struct net *net, uint8_t type)
{
	static const uint8_t routers[16] = {0xff, 2, [15] = 0x16};
	static const uint8_t routers_mac[6] = {0x33, 0x33, 0, 0, 0, 0x16};
	static const uint8_t alert[OPTIONS_LEN] = {PROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
	struct pkt *pkt = net_frame_begin(net);
	struct wire_eth *eth;
	struct wire_ipv6 *ip;
	struct wire_icmp *icmp;
	uint32_t records;
	uint32_t len;

	if (pkt == NULL)
		return;
	eth = (void *)pkt->data;
	ip = (void *)(eth + 1);
	icmp = (void *)((uint8_t *)(ip + 1) + OPTIONS_LEN);
	records = records_write(net, (uint8_t *)(icmp + 1), type);
	len = ICMP_HDR_LEN + records * RECORD_LEN;
	memcpy(eth->dst, routers_mac, 6);
	memcpy(eth->src, net->caps.mac, 6);
	eth->type = be16_make(ETHERTYPE_V6);
	*ip = (struct wire_ipv6){
	        .ver_class_flow = be32_make(6u << 28),
	        .payload_len = be16_make(OPTIONS_LEN + len),
	        .next = PROTO_HOP_OPTS,
	        .hop_limit = 1,
	};
	memcpy(ip->dst, routers, 16);
	memcpy(ip + 1, alert, OPTIONS_LEN);
	*icmp = (struct wire_icmp){.type = MLD_REPORT, .rest = {[3] = (uint8_t)records}};
	csum_put(icmp->csum,
	         csum_fold(csum_add(pseudo_sum(ip->src, 32, PROTO_ICMPV6, len), icmp, len)));
	pkt->l3_off = ETH_HDR_LEN;
	pkt->len = ETH_HDR_LEN + IPV6_HDR_LEN + OPTIONS_LEN + len;
	net_staged_send(net);
}

void mld_tick(struct net *net, uint64_t now_ns)
{
	bool first = net->mld_sent < FIRST_REPORTS;

	if (likely(now_ns < net->mld_ns))
		return;
	report_send(net, first ? CHANGE_TO_EXCLUDE : MODE_IS_EXCLUDE);
	if (first)
		net->mld_sent++;
	net->mld_ns = now_ns + (net->mld_sent < FIRST_REPORTS ? 1 : REPORT_S) * NS_PER_S;
}
