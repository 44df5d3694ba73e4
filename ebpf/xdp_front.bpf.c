/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which frames are the front door's? TCP to a listener's address and port, ICMP echo and errors to
 * such an address, fragments for it and what has IPv6 extension headers, since their ports are not
 * in sight, and the ARP and neighbor discovery that asks for it or claims it. They go to the AF_XDP
 * socket of their queue; all the rest passes to the kernel, and so does everything while the
 * address map is empty or a queue has no socket (the dataplane is starting, or has died). Router
 * advertisements are the kernel's: a frame cannot go both ways. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/xdp_front.h"

#define ICMP_ECHO       8
#define ICMP_UNREACH    3
#define ICMP_TIME       11
#define ICMP_PARAM      12
#define ICMPV6_ECHO     128
#define ICMPV6_SOLICIT  135
#define ICMPV6_ADVERT   136
#define ICMPV6_ERR_LAST 4

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XDP_FRONT_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_FRONT_MAX_KEYS);
	__type(key, struct xdp_front_key);
	__type(value, __u8);
} front_addrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XDP_FRONT_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} front_stats SEC(".maps");

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

struct arp_v4 {
	__be16 htype;
	__be16 ptype;
	__u8 hlen;
	__u8 plen;
	__be16 op;
	__u8 sha[6];
	__u8 spa[4];
	__u8 tha[6];
	__u8 tpa[4];
};

struct solicit {
	__u8 type;
	__u8 code;
	__u16 csum;
	__u32 reserved;
	__u8 target[16];
};

static __always_inline int ours(const __u8 *addr, __u32 len, __u16 port)
{
	struct xdp_front_key key;
	const __u8 *value;

	__builtin_memset(&key, 0, sizeof(key));
	if (len == 4) {
		key.addr[10] = 0xff;
		key.addr[11] = 0xff;
		__builtin_memcpy(key.addr + 12, addr, 4);
	} else {
		__builtin_memcpy(key.addr, addr, 16);
	}
	key.port = port;
	value = bpf_map_lookup_elem(&front_addrs, &key);
	return value != NULL ? *value : 0;
}

static __always_inline int ours_tcp(const __u8 *addr, __u32 len, __u16 port)
{
	return ours(addr, len, port) == 1 || ours(addr, len, 0) == XDP_FRONT_EVERY_PORT;
}

static __always_inline enum xdp_front_stat look_arp(const void *at, const void *end)
{
	const struct arp_v4 *arp = at;

	if ((const void *)(arp + 1) > end)
		return XDP_FRONT_PASS;
	/* RFC 5227 2.4: a sender with our address is a conflict, whatever it asks. */
	return ours(arp->tpa, 4, 0) || ours(arp->spa, 4, 0) ? XDP_FRONT_ARP : XDP_FRONT_PASS;
}

static __always_inline enum xdp_front_stat look_v4(const void *at, const void *end)
{
	const struct iphdr *ip = at;
	const __u8 *icmp;
	const struct tcphdr *tcp;

	if ((const void *)(ip + 1) > end || ip->ihl < 5)
		return XDP_FRONT_PASS;
	if (ip->frag_off & bpf_htons(0x3fff))
		return ours((const __u8 *)&ip->daddr, 4, 0) ? XDP_FRONT_EXT : XDP_FRONT_PASS;
	at += ip->ihl * 4;
	if (ip->protocol == IPPROTO_TCP) {
		tcp = at;
		if ((const void *)(tcp + 1) > end ||
		    !ours_tcp((const __u8 *)&ip->daddr, 4, tcp->dest))
			return XDP_FRONT_PASS;
		return XDP_FRONT_TCP;
	}
	icmp = at;
	if (ip->protocol != IPPROTO_ICMP || (const void *)icmp + 8 > end)
		return XDP_FRONT_PASS;
	if (*icmp != ICMP_ECHO && *icmp != ICMP_UNREACH && *icmp != ICMP_TIME &&
	    *icmp != ICMP_PARAM)
		return XDP_FRONT_PASS;
	return ours((const __u8 *)&ip->daddr, 4, 0) ? XDP_FRONT_ICMP : XDP_FRONT_PASS;
}

static __always_inline enum xdp_front_stat look_v6(const void *at, const void *end)
{
	const struct ipv6hdr *ip = at;
	const struct solicit *icmp = (const void *)(ip + 1);
	const struct tcphdr *tcp = (const void *)(ip + 1);
	const __u8 *dst = (const __u8 *)&ip->daddr;

	if ((const void *)(ip + 1) > end)
		return XDP_FRONT_PASS;
	if (ip->nexthdr == IPPROTO_TCP) {
		if ((const void *)(tcp + 1) > end || !ours_tcp(dst, 16, tcp->dest))
			return XDP_FRONT_PASS;
		return XDP_FRONT_TCP;
	}
	if (ip->nexthdr == IPPROTO_FRAGMENT || ip->nexthdr == IPPROTO_DSTOPTS ||
	    ip->nexthdr == IPPROTO_HOPOPTS || ip->nexthdr == IPPROTO_ROUTING)
		return ours(dst, 16, 0) ? XDP_FRONT_EXT : XDP_FRONT_PASS;
	if (ip->nexthdr != IPPROTO_ICMPV6 || (const void *)icmp + 8 > end)
		return XDP_FRONT_PASS;
	if (icmp->type == ICMPV6_SOLICIT || icmp->type == ICMPV6_ADVERT) {
		/* An advertisement may also answer a question of ours. */
		if ((const void *)(icmp + 1) <= end &&
		    (ours(icmp->target, 16, 0) || ours(dst, 16, 0)))
			return XDP_FRONT_NDP;
		return XDP_FRONT_PASS;
	}
	if (icmp->type != ICMPV6_ECHO && (icmp->type == 0 || icmp->type > ICMPV6_ERR_LAST))
		return XDP_FRONT_PASS;
	return ours(dst, 16, 0) ? XDP_FRONT_ICMP : XDP_FRONT_PASS;
}

static __always_inline enum xdp_front_stat look(const void *at, const void *end)
{
	const struct ethhdr *eth = at;
	const struct vlan_tag *tag;
	__be16 type;

	if ((const void *)(eth + 1) > end)
		return XDP_FRONT_PASS;
	type = eth->h_proto;
	at = eth + 1;
	if (type == bpf_htons(ETH_P_8021Q)) {
		tag = at;
		if ((const void *)(tag + 1) > end)
			return XDP_FRONT_PASS;
		type = tag->type;
		at = tag + 1;
	}
	if (type == bpf_htons(ETH_P_IP))
		return look_v4(at, end);
	if (type == bpf_htons(ETH_P_IPV6))
		return look_v6(at, end);
	if (type == bpf_htons(ETH_P_ARP))
		return look_arp(at, end);
	return XDP_FRONT_PASS;
}

SEC("xdp")
int xdp_front(struct xdp_md *ctx)
{
	__u32 stat = look((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	__u64 *count = bpf_map_lookup_elem(&front_stats, &stat);

	if (count != NULL)
		(*count)++;
	if (stat == XDP_FRONT_PASS)
		return XDP_PASS;
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char xdp_front_license[] SEC("license") = "Dual BSD/GPL";
