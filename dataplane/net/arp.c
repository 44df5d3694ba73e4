/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ARP (RFC 826, RFC 5227): we answer for our addresses, announce and defend them; we ask only for
 * connections that we open, because answers take the way that the question came
 * (docs/decisions/reply-path.md). */
#include "dataplane/net/net_int.h"

static bool packet_ok(const struct wire_arp *arp)
{
	return be16_get(arp->htype) == 1 && be16_get(arp->ptype) == ETHERTYPE_V4 &&
	       arp->hlen == 6 && arp->plen == 4 && !mac_is_group(arp->sha) &&
	       !mac_is_zero(arp->sha);
}

static const struct ip_addr mapped = {{[10] = 0xff, [11] = 0xff}};

/* Only an answer to our own question is of interest. */
static enum counter_id reply_input(struct net *net, const struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_eth *eth = (const void *)pkt->data;
	const struct wire_arp *arp = (const void *)(pkt->data + pkt->l3_off);
	struct net_path from = {.remote = mapped};

	if (!net_has_v4(net, arp->tpa) || memcmp(eth->dst, net->caps.mac, 6) != 0)
		return CTR_drop_arp;
	from.vlan = net_vlan(pkt);
	memcpy(&from.remote.b[12], arp->spa, 4);
	return neigh_answer(net, &from, arp->sha, now_ns) ? CTR_rx_arp : CTR_drop_arp;
}

/* A request of sender for target, behind the link's header at l3_off. */
static void request_write(const struct net *net, struct pkt *pkt, const uint8_t sender[4],
                          const uint8_t target[4])
{
	struct wire_arp *arp = (void *)(pkt->data + pkt->l3_off);

	*arp = (struct wire_arp){
	        .htype = be16_make(1),
	        .ptype = be16_make(ETHERTYPE_V4),
	        .hlen = 6,
	        .plen = 4,
	        .op = be16_make(ARP_OP_REQUEST),
	};
	memcpy(arp->sha, net->caps.mac, 6);
	memcpy(arp->spa, sender, 4);
	memcpy(arp->tpa, target, 4);
	pkt->len = pkt->l3_off + ARP_LEN;
}

void arp_ask(const struct net *net, struct pkt *pkt, const struct net_path *path)
{
	request_write(net, pkt, &path->local.b[12], &path->remote.b[12]);
}

enum counter_id arp_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	struct wire_eth *eth = (void *)pkt->data;
	struct wire_arp *arp = (void *)(pkt->data + pkt->l3_off);
	uint8_t addr[4];
	uint32_t i;

	if (pkt->len - pkt->l3_off < ARP_LEN)
		return CTR_drop_runt;
	if (!mac_is_group(eth->dst) && memcmp(eth->dst, net->caps.mac, 6) != 0)
		return CTR_drop_not_ours;
	if (!packet_ok(arp))
		return CTR_drop_arp;
	/* RFC 5227 2.4: another sender with our address is a conflict, and no question; what we
	 * sent ourselves may come back. */
	i = net_v4_find(net, arp->spa);
	if (i < net->v4_count) {
		if (memcmp(arp->sha, net->caps.mac, 6) != 0)
			conflict_v4(net, i, now_ns);
		return CTR_drop_arp;
	}
	if (be16_get(arp->op) == ARP_OP_REPLY)
		return reply_input(net, pkt, now_ns);
	/* The probe's sender 0.0.0.0 (RFC 5227 2.1.1) is answered like any other. */
	if (be16_get(arp->op) != ARP_OP_REQUEST || !net_has_v4(net, arp->tpa))
		return CTR_drop_arp;
	memcpy(addr, arp->tpa, 4);
	arp->op = be16_make(ARP_OP_REPLY);
	memcpy(arp->tha, arp->sha, 6);
	memcpy(arp->tpa, arp->spa, 4);
	memcpy(arp->sha, net->caps.mac, 6);
	memcpy(arp->spa, addr, 4);
	memcpy(eth->dst, arp->tha, 6);
	memcpy(eth->src, net->caps.mac, 6);
	pkt->len = pkt->l3_off + ARP_LEN;
	net_reply(net, pkt);
	return CTR_rx_arp;
}

/* RFC 5227 3: a broadcast request with our address as sender and as target. */
void arp_announce(const struct net *net, struct pkt *pkt, uint32_t i)
{
	static const struct net_path all = {.remote_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	pkt->l3_off = net_eth_write(net, &all, pkt->data, ETHERTYPE_ARPV4);
	request_write(net, pkt, net->v4[i], net->v4[i]);
}
