/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Headers as they lie on the wire, byte by byte, with no alignment of their own, and the helpers
 * for network byte order. Used by dataplane/net, its tests, and whoever builds frames. No logic. */
#ifndef DATAPLANE_NET_WIRE_H
#define DATAPLANE_NET_WIRE_H

#include "lib/base.h"

#define ETH_HDR_LEN  14u
#define VLAN_TAG_LEN 4u
#define ETH_MIN_LEN  60u /* without FCS; shorter frames are padded by the port */
#define ARP_LEN      28u
#define IPV4_HDR_LEN 20u
#define IPV6_HDR_LEN 40u
#define ICMP_HDR_LEN 8u
#define NDP_NS_LEN   24u /* without options */
#define NDP_NA_LEN   32u /* with a link-layer address option */
#define TCP_HDR_LEN  20u

enum {
	ETHERTYPE_V4 = 0x0800,
	ETHERTYPE_ARPV4 = 0x0806,
	ETHERTYPE_TAG = 0x8100, /* IEEE 802.1Q */
	ETHERTYPE_V6 = 0x86dd,
};

enum {
	PROTO_HOP_OPTS = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AUTH = 51,
	PROTO_ICMPV6 = 58,
	PROTO_NONE = 59,
	PROTO_DEST_OPTS = 60,
	PROTO_MOBILITY = 135,
	PROTO_HOST_IDENTITY = 139,
	PROTO_SHIM6 = 140,
	PROTO_TEST_1 = 253, /* RFC 3692 */
	PROTO_TEST_2 = 254,
};

enum {
	ARP_OP_REQUEST = 1,
	ARP_OP_REPLY = 2,
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAM_PROBLEM = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_TOO_BIG = 2,
	ICMPV6_TIME_EXCEEDED = 3,
	ICMPV6_PARAM_PROBLEM = 4,
	ICMPV6_INFORMATION = 128, /* types below are errors (RFC 4443 2.1) */
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	ICMPV6_ROUTER_SOLICIT = 133,
	ICMPV6_ROUTER_ADVERT = 134,
	ICMPV6_NEIGHBOR_SOLICIT = 135,
	ICMPV6_NEIGHBOR_ADVERT = 136,
	ICMPV6_REDIRECT = 137,
};

/* Numbers in network byte order, as bytes so that no access is unaligned. */
struct be16 {
	uint8_t b[2];
};

struct be32 {
	uint8_t b[4];
};

struct wire_eth {
	uint8_t dst[6];
	uint8_t src[6];
	struct be16 type;
};

struct wire_vlan {
	struct be16 tci;
	struct be16 type;
};

struct wire_arp {
	struct be16 htype;
	struct be16 ptype;
	uint8_t hlen;
	uint8_t plen;
	struct be16 op;
	uint8_t sha[6];
	uint8_t spa[4];
	uint8_t tha[6];
	uint8_t tpa[4];
};

struct wire_ipv4 {
	uint8_t ver_ihl;
	uint8_t tos;
	struct be16 total_len;
	struct be16 id;
	struct be16 frag;
	uint8_t ttl;
	uint8_t proto;
	uint8_t csum[2];
	uint8_t src[4];
	uint8_t dst[4];
};

struct wire_ipv6 {
	struct be32 ver_class_flow;
	struct be16 payload_len;
	uint8_t next;
	uint8_t hop_limit;
	uint8_t src[16];
	uint8_t dst[16];
};

struct wire_icmp {
	uint8_t type;
	uint8_t code;
	uint8_t csum[2];
	uint8_t rest[4];
};

/* Neighbor solicitation and advertisement (RFC 4861 4.3, 4.4); rest[0] holds the flags of the
 * latter. */
struct wire_ndp {
	struct wire_icmp icmp;
	uint8_t target[16];
};

struct wire_ndp_lladdr {
	uint8_t type; /* 1: source, 2: target */
	uint8_t len8; /* in units of 8 bytes */
	uint8_t mac[6];
};

struct wire_tcp {
	struct be16 src_port;
	struct be16 dst_port;
	struct be32 seq;
	struct be32 ack;
	uint8_t data_off; /* high four bits, in units of 4 bytes */
	uint8_t flags;
	struct be16 window;
	uint8_t csum[2];
	struct be16 urgent;
};

static_assert(sizeof(struct wire_eth) == ETH_HDR_LEN, "Ethernet header");
static_assert(sizeof(struct wire_vlan) == VLAN_TAG_LEN, "802.1Q tag");
static_assert(sizeof(struct wire_arp) == ARP_LEN, "ARP for IPv4 over Ethernet");
static_assert(sizeof(struct wire_ipv4) == IPV4_HDR_LEN, "IPv4 header");
static_assert(sizeof(struct wire_ipv6) == IPV6_HDR_LEN, "IPv6 header");
static_assert(sizeof(struct wire_icmp) == ICMP_HDR_LEN, "ICMP header");
static_assert(sizeof(struct wire_ndp) == NDP_NS_LEN, "neighbor solicitation");
static_assert(sizeof(struct wire_ndp_lladdr) == NDP_NA_LEN - NDP_NS_LEN, "link-layer option");
static_assert(sizeof(struct wire_tcp) == TCP_HDR_LEN, "TCP header");

static inline uint16_t be16_get(struct be16 v)
{
	return (uint16_t)((v.b[0] << 8) | v.b[1]);
}

static inline struct be16 be16_make(uint32_t v)
{
	return (struct be16){{(uint8_t)(v >> 8), (uint8_t)v}};
}

static inline uint32_t be32_get(struct be32 v)
{
	return ((uint32_t)v.b[0] << 24) | ((uint32_t)v.b[1] << 16) | ((uint32_t)v.b[2] << 8) |
	       v.b[3];
}

static inline struct be32 be32_make(uint32_t v)
{
	return (struct be32){
	        {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}};
}

/* Checksums are in memory order: stored and loaded as they are. */
static inline void csum_put(uint8_t field[2], uint16_t csum)
{
	memcpy(field, &csum, 2);
}

static inline uint16_t csum_get(const uint8_t field[2])
{
	uint16_t v;

	memcpy(&v, field, 2);
	return v;
}

static inline bool mac_is_group(const uint8_t mac[6])
{
	return (mac[0] & 1) != 0;
}

static inline bool mac_is_zero(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return memcmp(mac, zero, 6) == 0;
}

#endif
