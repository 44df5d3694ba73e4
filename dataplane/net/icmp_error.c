/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors that come in: what they quote is read and put by for TCP, which alone knows whether
 * the quoted segment is one of its own. The checksum was verified before. */
#include "dataplane/net/net_int.h"

enum {
	/* Codes of ICMP unreachable (RFC 792, RFC 1191 4) and ICMPv6 (RFC 4443 3). */
	UNREACH_PROTOCOL = 2,
	UNREACH_PORT = 3,
	UNREACH_TOO_BIG = 4,
	UNREACH6_PORT = 4,
	PARAM6_NEXT_HEADER = 1,
	QUOTED_TCP = 8, /* bytes of the TCP header that every router quotes (RFC 792) */
};

static enum counter_id put_by(struct net *net, const struct net_error *e, uint64_t now_ns)
{
	if (net->error_count == NET_ERRORS || !bucket_take(&net->heed, net->icmp_per_s, now_ns))
		return CTR_drop_icmp;
	net->errors[net->error_count++] = *e;
	return NET_UNCOUNTED;
}

bool net_error_take(struct net *net, struct net_error *out)
{
	if (likely(net->error_count == 0))
		return false;
	*out = net->errors[--net->error_count];
	return true;
}

static void ports_read(const uint8_t *l4, struct net_error *e)
{
	const struct wire_tcp *tcp = (const void *)l4;

	e->local_port = be16_get(tcp->src_port);
	e->remote_port = be16_get(tcp->dst_port);
	e->seq = be32_get(tcp->seq);
}

static bool quote_read_v4(const struct net *net, const uint8_t *quote, uint32_t len,
                          struct net_error *e)
{
	static const struct ip_addr mapped = {{[10] = 0xff, [11] = 0xff}};
	const struct wire_ipv4 *ip = (const void *)quote;
	uint32_t hdr_len;

	if (len < IPV4_HDR_LEN)
		return false;
	hdr_len = (uint32_t)(ip->ver_ihl & 15) * 4;
	if (ip->ver_ihl >> 4 != 4 || hdr_len < IPV4_HDR_LEN || len < hdr_len + QUOTED_TCP)
		return false;
	/* A later fragment has no ports; we send none, but a router may have cut what we sent. */
	if (ip->proto != PROTO_TCP || (be16_get(ip->frag) & 0x1fff) != 0 ||
	    !net_has_v4(net, ip->src))
		return false;
	e->quoted_len = be16_get(ip->total_len);
	e->local = mapped;
	e->remote = mapped;
	memcpy(&e->local.b[12], ip->src, 4);
	memcpy(&e->remote.b[12], ip->dst, 4);
	ports_read(quote + hdr_len, e);
	return true;
}

enum counter_id icmp_error_input(struct net *net, const struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_icmp *icmp = (const void *)(pkt->data + pkt->l4_off);
	struct net_error e = {.kind = NET_ERROR_SOFT};
	uint32_t len = pkt->len - pkt->l4_off - ICMP_HDR_LEN;

	if (!quote_read_v4(net, (const uint8_t *)(icmp + 1), len, &e))
		return CTR_drop_icmp;
	if (icmp->type == ICMP_UNREACHABLE && icmp->code == UNREACH_TOO_BIG) {
		e.kind = NET_ERROR_TOO_BIG;
		e.mtu = (uint32_t)(icmp->rest[2] << 8) | icmp->rest[3];
	} else if (icmp->type == ICMP_UNREACHABLE &&
	           (icmp->code == UNREACH_PROTOCOL || icmp->code == UNREACH_PORT)) {
		e.kind = NET_ERROR_HARD;
	}
	return put_by(net, &e, now_ns);
}

static bool quote_read_v6(const struct net *net, const uint8_t *quote, uint32_t len,
                          struct net_error *e)
{
	const struct wire_ipv6 *ip = (const void *)quote;

	/* We send no extension headers. */
	if (len < IPV6_HDR_LEN + QUOTED_TCP || ip->ver_class_flow.b[0] >> 4 != 6 ||
	    ip->next != PROTO_TCP || !net_has_v6(net, ip->src))
		return false;
	e->quoted_len = (uint16_t)min_u32(be16_get(ip->payload_len) + IPV6_HDR_LEN, UINT16_MAX);
	memcpy(e->local.b, ip->src, 16);
	memcpy(e->remote.b, ip->dst, 16);
	ports_read(quote + IPV6_HDR_LEN, e);
	return true;
}

enum counter_id icmpv6_error_input(struct net *net, const struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_icmp *icmp = (const void *)(pkt->data + pkt->l4_off);
	struct net_error e = {.kind = NET_ERROR_SOFT};
	uint32_t len = pkt->len - pkt->l4_off - ICMP_HDR_LEN;

	/* RFC 4443 2.4 (b): unknown errors go up as well; soft ones say all that there is to say.
	 */
	if (!quote_read_v6(net, (const uint8_t *)(icmp + 1), len, &e))
		return CTR_drop_icmp;
	if (icmp->type == ICMPV6_TOO_BIG) {
		e.kind = NET_ERROR_TOO_BIG;
		e.mtu = ((uint32_t)icmp->rest[0] << 24) | ((uint32_t)icmp->rest[1] << 16) |
		        ((uint32_t)icmp->rest[2] << 8) | icmp->rest[3];
	} else if ((icmp->type == ICMPV6_UNREACHABLE && icmp->code == UNREACH6_PORT) ||
	           (icmp->type == ICMPV6_PARAM_PROBLEM && icmp->code == PARAM6_NEXT_HEADER)) {
		e.kind = NET_ERROR_HARD;
	}
	return put_by(net, &e, now_ns);
}
