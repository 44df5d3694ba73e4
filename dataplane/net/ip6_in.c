/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IPv6 (RFC 8200): the header, and the extension headers in front of what is for us. */
#include "dataplane/net/net_int.h"

enum {
	FRAGMENT_LEN = 8,
	/* Codes of parameter problem (RFC 4443 3.4, RFC 7112 5). */
	PARAM_FIELD = 0,
	PARAM_NEXT_HEADER = 1,
	PARAM_OPTION = 2,
	PARAM_FIRST_FRAGMENT = 3,
	UNREACH_PORT = 4,
};

/* A walk over the headers of one packet. */
struct walk {
	struct net *net;
	struct pkt *pkt;
	uint64_t now_ns;
	uint32_t at;      /* of the header that is looked at, from pkt->data */
	uint32_t next_at; /* of the field that named it */
	uint8_t next;     /* what it is */
	bool multicast;   /* the packet is for many, or its source is unspecified */
	bool fragmented;  /* there was a fragment header */
};

/* How long an extension header is, those counted that nobody here understands: it may stand in
 * front of something that must be known; 0 when it is none. IANA's list; RFC 6564 4 gives new ones
 * the same form. */
static uint32_t ext_len(uint8_t next, const uint8_t *h)
{
	switch (next) {
	case PROTO_FRAGMENT:
		/* Only the first one has what comes next. */
		return (h[2] | (h[3] & 0xf8)) == 0 ? FRAGMENT_LEN : 0;
	case PROTO_AUTH:
		return ((uint32_t)h[1] + 2) * 4;
	case PROTO_HOP_OPTS:
	case PROTO_ROUTING:
	case PROTO_DEST_OPTS:
	case PROTO_MOBILITY:
	case PROTO_HOST_IDENTITY:
	case PROTO_SHIM6:
	case PROTO_TEST_1:
	case PROTO_TEST_2:
		return 8 + (uint32_t)h[1] * 8;
	default:
		return 0;
	}
}

/* From the header that is looked at on: an ICMPv6 error or redirect comes at the end. */
static bool is_icmp_error(const struct walk *w)
{
	uint32_t at = w->at;
	uint8_t next = w->next;
	uint32_t len;

	for (unsigned i = 0; i < 2 * NET_V6_EXT_HEADERS && at + 8 <= w->pkt->len; i++) {
		if (next == PROTO_ICMPV6)
			return w->pkt->data[at] < ICMPV6_INFORMATION ||
			       w->pkt->data[at] == ICMPV6_REDIRECT;
		len = ext_len(next, w->pkt->data + at);
		if (len == 0)
			return false;
		next = w->pkt->data[at];
		at += len;
	}
	return false;
}

/* RFC 4443 2.4 (e): no error about what went to many, or came from nobody, or is an error. */
static void refuse(const struct walk *w, uint8_t type, uint8_t code, uint32_t at)
{
	struct icmp_out out = {.type = type, .code = code};

	if (w->multicast || is_icmp_error(w))
		return;
	if (type == ICMPV6_PARAM_PROBLEM)
		out.pointer = at - w->pkt->l3_off;
	icmp_answer(w->net, w->pkt, &out, w->now_ns);
}

/* A source that an answer may go to: no multicast, no loopback, none of ours, and no IPv4-mapped
 * address, which never is on the wire (RFC 4038 4.2) and would pass for an IPv4 peer in every
 * table. */
static bool source_ok(const struct net *net, const uint8_t src[16])
{
	static const uint8_t loopback[16] = {[15] = 1};
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return src[0] != 0xff && memcmp(src, loopback, 16) != 0 && memcmp(src, mapped, 12) != 0 &&
	       !net_has_v6(net, src);
}

/* RFC 8200 4.2: the two high bits of an unknown option's type say what to do. */
static bool options_ok(const struct walk *w, uint32_t len)
{
	const uint8_t *opt = w->pkt->data + w->at;
	uint32_t at = 2;

	while (at < len) {
		uint8_t action = opt[at] >> 6;

		if (opt[at] == 0) { /* Pad1 */
			at++;
			continue;
		}
		if (at + 2 > len)
			return false;
		if (action >= 2) /* 3 asks for silence on multicast; refuse keeps that for both */
			refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_OPTION, w->at + at);
		if (action != 0)
			return false;
		at += 2 + (uint32_t)opt[at + 1];
	}
	return at == len;
}

/* RFC 8200 4.4: with nothing left of the route it is skipped, else we would have to forward.
 * Type 0 is no exception (RFC 5095 3). */
static bool routing_ok(const struct walk *w)
{
	if (w->pkt->data[w->at + 3] == 0)
		return true;
	refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_FIELD, w->at + 2);
	return false;
}

static enum counter_id fragment_input(struct walk *w)
{
	const struct wire_ipv6 *ip = (const void *)(w->pkt->data + w->pkt->l3_off);
	const uint8_t *h = w->pkt->data + w->at;
	uint32_t field = ((uint32_t)h[2] << 8) | h[3];
	uint32_t len = w->pkt->len - w->at - FRAGMENT_LEN;
	struct frag_in in = {
	        .src = ip->src,
	        .dst = ip->dst,
	        .id = ((uint32_t)h[4] << 24) | ((uint32_t)h[5] << 16) | ((uint32_t)h[6] << 8) |
	              h[7],
	        .off = field & 0xfff8,
	        .proto = h[0],
	        .ecn = (ip->ver_class_flow.b[1] >> 4) & 3,
	        .more = field & 1,
	};
	enum counter_id verdict;

	w->fragmented = true;
	/* RFC 6946 4: a fragment that is the whole datagram concerns no other. */
	if ((field & 0xfff9) == 0) {
		w->next_at = w->at;
		w->next = h[0];
		w->at += FRAGMENT_LEN;
		return CTR_rx_tcp;
	}
	if (w->multicast)
		return CTR_drop_ip_fragment;
	if (in.more && len % 8 != 0)
		refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_FIELD,
		       w->pkt->l3_off + (uint32_t)offsetof(struct wire_ipv6, payload_len));
	else if (in.off + len > UINT16_MAX)
		refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_FIELD, w->at + 2);
	else if (in.off == 0 && in.proto == PROTO_TCP && len < TCP_HDR_LEN)
		refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_FIRST_FRAGMENT, w->at);
	/* Later fragments may name something else than the first (RFC 8200 4.5), but no sender
	 * does; of what nobody here speaks, none is kept. */
	if (in.proto != PROTO_TCP && in.proto != PROTO_ICMPV6)
		return CTR_drop_ip_fragment;
	w->pkt->l4_off = (uint16_t)(w->at + FRAGMENT_LEN);
	verdict = frag_input(w->net, w->pkt, &in, w->now_ns);
	w->at = w->pkt->l4_off;
	w->next_at = w->pkt->l3_off + (uint32_t)offsetof(struct wire_ipv6, next);
	w->next = ip->next; /* of the first fragment, once all are there */
	return verdict;
}

/* The header at w->at; moves to the next one. CTR_rx_tcp: all is well. */
static enum counter_id header_input(struct walk *w)
{
	const uint8_t *h = w->pkt->data + w->at;
	uint32_t room = w->pkt->len - w->at;
	uint32_t len;

	if (room < 8)
		return CTR_drop_ip_header;
	if (w->next == PROTO_FRAGMENT)
		return fragment_input(w);
	len = 8 + (uint32_t)h[1] * 8;
	if (len > room)
		return CTR_drop_ip_header;
	if (w->next == PROTO_ROUTING ? !routing_ok(w) : !options_ok(w, len))
		return CTR_drop_ip_proto;
	w->next_at = w->at;
	w->next = h[0];
	w->at += len;
	return CTR_rx_tcp;
}

static bool is_extension(uint8_t next)
{
	return next == PROTO_HOP_OPTS || next == PROTO_DEST_OPTS || next == PROTO_ROUTING ||
	       next == PROTO_FRAGMENT;
}

/* Skips extension headers, a bounded number of them; sets l4_off. */
static enum counter_id headers_input(struct walk *w)
{
	enum counter_id verdict = CTR_rx_tcp;

	for (unsigned i = 0; verdict == CTR_rx_tcp && is_extension(w->next); i++) {
		/* RFC 8200 4.1: hop-by-hop options come first or not at all. */
		if (w->next == PROTO_HOP_OPTS && i > 0) {
			refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_NEXT_HEADER, w->next_at);
			return CTR_drop_ip_proto;
		}
		if (i == NET_V6_EXT_HEADERS)
			return CTR_drop_ip_proto;
		verdict = header_input(w);
	}
	w->pkt->l4_off = (uint16_t)w->at;
	return verdict;
}

/* RFC 4443 3.1, RFC 8200 4: nobody here speaks it. */
static enum counter_id unknown_input(const struct walk *w)
{
	if (w->next == PROTO_UDP)
		refuse(w, ICMPV6_UNREACHABLE, UNREACH_PORT, 0);
	else if (w->next != PROTO_NONE)
		refuse(w, ICMPV6_PARAM_PROBLEM, PARAM_NEXT_HEADER, w->next_at);
	return CTR_drop_ip_proto;
}

static enum counter_id header_check(const struct net *net, struct pkt *pkt, bool *multicast_out)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	uint32_t room = pkt->len - pkt->l3_off;
	uint32_t len;

	if (unlikely(room < IPV6_HDR_LEN))
		return CTR_drop_runt;
	len = be16_get(ip->payload_len);
	if (unlikely(ip->ver_class_flow.b[0] >> 4 != 6))
		return CTR_drop_ip_header;
	if (unlikely(len > room - IPV6_HDR_LEN))
		return CTR_drop_runt;
	pkt->len = pkt->l3_off + IPV6_HDR_LEN + len;
	*multicast_out = net_has_solicited_node(net, ip->dst) || v6_is_all_nodes(net, ip->dst);
	if (unlikely(!*multicast_out && !net_has_v6(net, ip->dst)))
		return CTR_drop_not_ours;
	if (unlikely(memcmp(pkt->data, net->caps.mac, 6) != 0 &&
	             !(*multicast_out && mac_is_group(pkt->data))))
		return CTR_drop_not_ours;
	return CTR_rx_tcp;
}

/* Which discovery messages come to which multicast group: solicitations to the solicited node's,
 * the others to all nodes (RFC 4861 4). */
static bool group_ok(const struct walk *w, uint8_t type)
{
	const struct wire_ipv6 *ip = (const void *)(w->pkt->data + w->pkt->l3_off);

	if (v6_is_all_nodes(w->net, ip->dst))
		return type == ICMPV6_NEIGHBOR_ADVERT || type == ICMPV6_ROUTER_ADVERT;
	return type == ICMPV6_NEIGHBOR_SOLICIT;
}

enum counter_id ip6_input(struct net *net, struct pkt *pkt, uint64_t now_ns)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	bool multicast = false;
	enum counter_id verdict = header_check(net, pkt, &multicast);
	uint8_t type = 0;
	struct walk w;

	if (unlikely(verdict != CTR_rx_tcp))
		return verdict;
	if (unlikely(!source_ok(net, ip->src)))
		return CTR_drop_ip_options;
	pkt->ip_version = 6;
	pkt->l4_off = (uint16_t)(pkt->l3_off + IPV6_HDR_LEN);
	if (likely(ip->next == PROTO_TCP && !multicast && !v6_is_unspecified(ip->src)))
		return net_tcp_check(net, pkt, ip->src, 32);
	w = (struct walk){
	        .net = net,
	        .pkt = pkt,
	        .now_ns = now_ns,
	        .at = pkt->l4_off,
	        .next_at = pkt->l3_off + (uint32_t)offsetof(struct wire_ipv6, next),
	        .next = ip->next,
	        .multicast = multicast || v6_is_unspecified(ip->src),
	};
	verdict = headers_input(&w);
	if (unlikely(verdict != CTR_rx_tcp))
		return verdict;
	if (w.next == PROTO_ICMPV6 && pkt->len > pkt->l4_off)
		type = pkt->data[pkt->l4_off];
	/* The unspecified address may only ask for duplicates (RFC 4861 4.3). */
	if (w.multicast && !group_ok(&w, type))
		return multicast ? CTR_drop_not_ours : CTR_drop_ip_options;
	/* RFC 6980 5. */
	if (w.fragmented && type >= ICMPV6_ROUTER_SOLICIT && type <= ICMPV6_REDIRECT)
		return CTR_drop_ndp;
	if (w.next == PROTO_TCP)
		return net_tcp_check(net, pkt, ip->src, 32);
	if (w.next == PROTO_ICMPV6)
		return icmpv6_input(net, pkt, now_ns);
	return unknown_input(&w);
}
