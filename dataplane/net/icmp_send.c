/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors that we send, all at one bounded rate (RFC 4443 2.4 (f), RFC 1812 4.3.2.8). */
#include "dataplane/net/net_int.h"

enum {
	V4_MOST = 576,  /* RFC 1812 4.3.2.3 */
	V6_MOST = 1280, /* RFC 4443 2.4 (c) */
};

static void v4_head(const struct icmp_out *o, struct wire_ipv4 *ip, uint32_t len)
{
	*ip = (struct wire_ipv4){
	        .ver_ihl = 0x45,
	        .total_len = be16_make(IPV4_HDR_LEN + len),
	        .frag = be16_make(0x4000),
	        .ttl = NET_TTL,
	        .proto = PROTO_ICMP,
	};
	memcpy(ip->src, &o->path->local.b[12], 4);
	memcpy(ip->dst, &o->path->remote.b[12], 4);
	csum_put(ip->csum, csum_fold(csum_add(0, ip, IPV4_HDR_LEN)));
}

static void v6_head(const struct icmp_out *o, struct wire_ipv6 *ip, uint32_t len)
{
	ip->ver_class_flow = be32_make(6u << 28);
	ip->payload_len = be16_make(len);
	ip->next = PROTO_ICMPV6;
	ip->hop_limit = NET_TTL;
	memcpy(ip->src, o->path->local.b, 16);
	memcpy(ip->dst, o->path->remote.b, 16);
}

void icmp_send(struct net *net, const struct icmp_out *o, uint64_t now_ns)
{
	uint32_t hdr_len = o->v6 ? IPV6_HDR_LEN : IPV4_HDR_LEN;
	uint32_t room = (o->v6 ? V6_MOST : V4_MOST) - hdr_len - ICMP_HDR_LEN - hdr_len;
	uint32_t payload_len = min_u32(o->payload_len, room);
	uint32_t len = ICMP_HDR_LEN + hdr_len + payload_len;
	struct wire_icmp *icmp;
	uint32_t sum = 0;
	struct pkt *pkt;

	if (!bucket_take(&net->tell, net->icmp_per_s, now_ns))
		return;
	pkt = net_alloc(net, o->path);
	if (pkt == NULL)
		return;
	pkt->flags = 0;
	pkt->l3_off = net_eth_write(net, o->path, pkt->data, o->v6 ? ETHERTYPE_V6 : ETHERTYPE_V4);
	pkt->l4_off = (uint16_t)(pkt->l3_off + hdr_len);
	pkt->len = pkt->l4_off + len;
	icmp = (void *)(pkt->data + pkt->l4_off);
	*icmp = (struct wire_icmp){.type = o->type, .code = o->code};
	if (o->v6) {
		struct be32 pointer = be32_make(o->pointer);

		memcpy(icmp->rest, pointer.b, 4);
	}
	memcpy(icmp + 1, o->head, hdr_len);
	if (payload_len > 0)
		memcpy((uint8_t *)(icmp + 1) + hdr_len, o->payload, payload_len);
	if (o->v6) {
		struct wire_ipv6 *ip = (void *)(pkt->data + pkt->l3_off);

		v6_head(o, ip, len);
		sum = pseudo_sum(ip->src, 32, PROTO_ICMPV6, len);
	} else {
		v4_head(o, (void *)(pkt->data + pkt->l3_off), len);
	}
	csum_put(icmp->csum, csum_fold(csum_add(sum, icmp, len)));
	net_staged_send(net);
	counter_inc(net->ctr, CTR_icmp_sent);
}

void icmp_answer(struct net *net, const struct pkt *pkt, struct icmp_out *o, uint64_t now_ns)
{
	struct net_path path;
	uint32_t hdr_len;

	o->v6 = pkt->ip_version == 6;
	hdr_len = o->v6 ? IPV6_HDR_LEN : IPV4_HDR_LEN;
	/* RFC 1812 4.3.2.3: IPv4 options of the packet are part of what is quoted. */
	o->head = pkt->data + pkt->l3_off;
	o->payload = o->head + hdr_len;
	o->payload_len = pkt->len - pkt->l3_off - hdr_len;
	net_path_reply(pkt, &path);
	o->path = &path;
	icmp_send(net, o, now_ns);
}
