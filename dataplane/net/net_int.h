/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of dataplane/net share among themselves. Nobody else includes it. */
#ifndef DATAPLANE_NET_NET_INT_H
#define DATAPLANE_NET_NET_INT_H

#include "dataplane/net/csum.h"
#include "dataplane/net/frag.h"
#include "dataplane/net/net.h"
#include "dataplane/net/net_shared.h"
#include "dataplane/net/wire.h"
#include "lib/spsc.h"

enum {
	NET_ERRORS = 32,        /* ICMP errors that wait for TCP */
	NET_NEIGHBORS = 32,     /* whose link address is known or asked for */
	NET_V6_EXT_HEADERS = 4, /* extension headers that are skipped in one packet */
	NET_TTL = 64,
	NET_V4_SLOTS = 128, /* twice NET_MAX_ADDRS */
	NET_V4_SHIFT = 25,  /* of 32 bits of hash, leaves so many */
};
static_assert(NET_V4_SLOTS >= 2 * NET_MAX_ADDRS && NET_V4_SLOTS == 1 << (32 - NET_V4_SHIFT),
              "a free slot is near");

/* Verdict of a packet that is counted later, or by somebody else. */
#define NET_UNCOUNTED CTR_COUNT

/* Tokens, as many a second as icmp_per_s and as many at once, kept as the time at which all are
 * there again: each that is taken moves that time on, and it never lies further ahead than a
 * second. */
struct net_bucket {
	uint64_t full_ns;
};

static inline bool bucket_take(struct net_bucket *b, uint32_t per_s, uint64_t now_ns)
{
	uint64_t full_ns = max_u64(b->full_ns, now_ns) + NS_PER_S / per_s;

	if (full_ns > now_ns + NS_PER_S)
		return false;
	b->full_ns = full_ns;
	return true;
}

enum neigh_state {
	NEIGH_NONE,       /* the place is free */
	NEIGH_INCOMPLETE, /* asked for; due_ns: again */
	NEIGH_REACHABLE,  /* mac is right; until due_ns */
	NEIGH_PROBE,      /* it was; asked whether it still is */
	NEIGH_FAILED,     /* no answer; not asked again before due_ns */
};

struct neigh {
	struct ip_addr addr;
	struct ip_addr local; /* who asks */
	uint64_t due_ns;
	uint64_t used_ns;
	uint8_t mac[6];
	uint16_t vlan;
	uint8_t state; /* enum neigh_state */
	uint8_t tries;
};

struct net {
	struct nic *nic;
	struct counters *ctr;
	struct nic_caps caps;
	uint32_t tx_first; /* tx[tx_first, tx_end) wait */
	uint32_t tx_end;
	uint32_t tx_look; /* tx_end at which the queue is flushed by itself */
	uint32_t tx_cap;
	bool staged; /* tx[tx_end] is with the caller of net_alloc */
	uint32_t v4_count;
	uint32_t v6_count;
	uint32_t icmp_per_s;
	struct net_bucket echo; /* echo requests that are answered */
	struct net_bucket heed; /* errors that TCP hears of */
	struct net_bucket tell; /* errors that we send */
	uint32_t error_count;
	struct net_error errors[NET_ERRORS];
	struct frag_table *frags;
	bool neigh_any; /* neighbors was used */
	struct neigh neighbors[NET_NEIGHBORS];
	struct net_shared *shared;
	struct net_shared *own; /* of a single core */
	uint32_t core;
	uint32_t cores;
	bool passes; /* the two below are joined */
	struct spsc_end pass_out;
	struct spsc_end pass_in;
	uint64_t errors_read;          /* of the shared ones */
	uint64_t v6_off;               /* bit i: v6[i] is tentative, or somebody else's */
	uint8_t v6_bit[NET_MAX_ADDRS]; /* index of v6[i] among the configured ones */
	uint64_t dad_ns;               /* the next step */
	uint32_t dad_left;             /* questions */
	bool dad_running;
	uint64_t mld_ns; /* the next report; UINT64_MAX: never */
	uint32_t mld_sent;
	uint64_t defend_ns; /* not before is an address defended again */
	uint8_t v4[NET_MAX_ADDRS][4];
	uint8_t v4_slots[NET_V4_SLOTS]; /* index in v4, and one; 0: free */
	uint8_t v6[NET_MAX_ADDRS][16];
	struct pkt dead[NIC_BURST]; /* packets of one burst that end in net_input */
	struct pkt tx[];            /* tx_cap */
};

/* Handlers return the one counter that the packet ends in. A packet that is answered is answered in
 * its own buffer, so that this works when no buffer is left: net_reply queues it and clears
 * pkt->data, which tells net_input not to free it. l3_off and l4_off are set, the length is trimmed
 * to the IP packet's. */
enum counter_id arp_input(struct net *net, struct pkt *pkt, uint64_t now_ns);
enum counter_id icmp_input(struct net *net, struct pkt *pkt, uint64_t now_ns);
enum counter_id icmpv6_input(struct net *net, struct pkt *pkt, uint64_t now_ns);
/* icmp_error.c: an error that somebody sent to us. */
enum counter_id icmp_error_input(struct net *net, const struct pkt *pkt, uint64_t now_ns);
enum counter_id icmpv6_error_input(struct net *net, const struct pkt *pkt, uint64_t now_ns);
/* Neighbor discovery but for router advertisements. */
enum counter_id ndp_input(struct net *net, struct pkt *pkt, uint64_t now_ns);
/* RFC 4861 7.1.1: no option has length zero; a sender without an address has no link-layer option.
 */
bool ndp_options_ok(const uint8_t *opt, uint32_t len, bool unspecified);
enum counter_id router_input(struct net *net, const struct pkt *pkt);

/* ndp_dad.c: begins to ask for our IPv6 addresses, so many times; 0: they are ours at once. */
void dad_start(struct net *net, uint32_t transmits, uint64_t now_ns);
void dad_tick(struct net *net, uint64_t now_ns);
/* neigh.c: from->remote says that mac is its link address; false when nobody wanted to know. */
bool neigh_answer(struct net *net, const struct net_path *from, const uint8_t mac[6],
                  uint64_t now_ns);
void neigh_tick(struct net *net, uint64_t now_ns);
/* Questions of path->local for path->remote, behind the link's header at l3_off; set pkt->len. */
void arp_ask(const struct net *net, struct pkt *pkt, const struct net_path *path);
void ndp_ask(const struct net *net, struct pkt *pkt, const struct net_path *path, bool unicast);

/* mld.c: reports that are due. */
void mld_tick(struct net *net, uint64_t now_ns);
/* Another host uses our address i. */
void conflict_v6(struct net *net, uint32_t i, uint64_t now_ns);
void conflict_v4(struct net *net, uint32_t i, uint64_t now_ns);

/* net_shared.c: takes over what other cores learned. */
void shared_read(struct net *net);
/* v6[i] is not used from now on, by no core. */
void shared_conflict(struct net *net, uint32_t i);

/* net_pass.c: finds the queues to and from this core. */
void pass_join(struct net *net);

/* Frame of an unsolicited announcement of our address i, written at pkt->data. */
void arp_announce(const struct net *net, struct pkt *pkt, uint32_t i);
void ndp_announce(const struct net *net, struct pkt *pkt, uint32_t i);
/* The question whether somebody else has it (RFC 4862 5.4.2). */
void ndp_probe(const struct net *net, struct pkt *pkt, uint32_t i);

void net_reply(struct net *net, struct pkt *pkt);

/* An ICMP error to be sent: head is the IP header without options that it quotes, payload what lies
 * behind that. */
struct icmp_out {
	const struct net_path *path;
	const uint8_t *head;
	const uint8_t *payload;
	uint32_t payload_len; /* cut to what an error may quote */
	uint32_t pointer;     /* ICMPv6: the second word */
	bool v6;
	uint8_t type;
	uint8_t code;
};

/* Sends it if the rate allows, and counts it. */
void icmp_send(struct net *net, const struct icmp_out *out, uint64_t now_ns);
/* The same about a received packet whose offsets are set: only type, code and pointer of out are
 * read. The packet is unicast, and its source may be answered. */
void icmp_answer(struct net *net, const struct pkt *pkt, struct icmp_out *out, uint64_t now_ns);

/* Writes the link's header for type; returns its length. */
uint16_t net_eth_write(const struct net *net, const struct net_path *path, uint8_t *frame,
                       uint16_t type);
/* A buffer for a frame that is written as a whole; NULL when there is none. */
struct pkt *net_frame_begin(struct net *net);
/* Queues what net_alloc or net_frame_begin gave, complete and with its length set. */
void net_staged_send(struct net *net);

/* net_in.c: RFC 9293 3.1, of what lies at l4_off. */
enum counter_id net_tcp_check(const struct net *net, struct pkt *pkt, const uint8_t *addrs,
                              size_t addrs_len);
/* The tag that an answer shall have. VLAN 0 only brings a priority, and is answered untagged; that
 * a frame could be dropped first (DEI) says nothing about the answer (IEEE 802.1Q 6.9, 9.6). */
uint16_t net_vlan(const struct pkt *pkt);
/* ip6_in.c */
enum counter_id ip6_input(struct net *net, struct pkt *pkt, uint64_t now_ns);

/* The partial sum of the pseudo-header: RFC 9293 3.1 for IPv4, RFC 8200 8.1 for IPv6. addrs is
 * where source and destination lie in the IP header, next to each other; addrs_len is 8 or 32. */
static inline uint32_t pseudo_sum(const uint8_t *addrs, size_t addrs_len, uint8_t proto,
                                  uint32_t len)
{
	/* Upper-layer length and protocol as 32-bit words in network order. */
	uint64_t sum = (uint64_t)__builtin_bswap32(len) + ((uint32_t)proto << 24);

	sum = csum_words(sum, addrs, 1);
	return csum_fold32(addrs_len == 8 ? sum : csum_words(sum, addrs + 8, 3));
}

/* 0 for a sound IPv4 header without options, its checksum for one whose field is zero. */
static inline uint16_t ipv4_header_csum(const struct wire_ipv4 *ip)
{
	uint32_t dst;

	memcpy(&dst, ip->dst, 4);
	return csum_fold(csum_fold32(csum_add64(csum_words(0, ip, 2), dst)));
}

/* The slot of an address, or the free one where it would be: half of them are, always. */
static inline uint32_t net_v4_slot(const struct net *net, const uint8_t addr[4])
{
	uint32_t slot;

	memcpy(&slot, addr, 4);
	slot = (slot * 2654435761u) >> NET_V4_SHIFT;
	while (net->v4_slots[slot] != 0 && memcmp(net->v4[net->v4_slots[slot] - 1], addr, 4) != 0)
		slot = (slot + 1) % NET_V4_SLOTS;
	return slot;
}

/* There is room: at most NET_MAX_ADDRS. Two listeners may have one address; the first is found. */
void net_v4_add(struct net *net, const uint8_t addr[4]);

/* Index in v4, UINT32_MAX when it is none of ours. */
static inline uint32_t net_v4_find(const struct net *net, const uint8_t addr[4])
{
	return net->v4_slots[net_v4_slot(net, addr)] - 1u;
}

static inline bool net_has_v4(const struct net *net, const uint8_t addr[4])
{
	return net_v4_find(net, addr) < net->v4_count;
}

static inline bool net_v6_off(const struct net *net, uint32_t i)
{
	return net->v6_off >> i & 1;
}

/* Index in v6, v6_count when it is none of ours; also of one that may not be used. */
static inline uint32_t net_v6_find(const struct net *net, const uint8_t addr[16])
{
	uint32_t i = 0;

	while (i < net->v6_count && memcmp(net->v6[i], addr, 16) != 0)
		i++;
	return i;
}

/* One of ours, and in use. */
static inline bool net_has_v6(const struct net *net, const uint8_t addr[16])
{
	uint32_t i = net_v6_find(net, addr);

	return i < net->v6_count && !net_v6_off(net, i);
}

static inline bool net_owns(const struct net *net, const struct ip_addr *a)
{
	return ip_addr_is_v4(a) ? net_has_v4(net, &a->b[12]) : net_has_v6(net, a->b);
}

/* Solicited-node multicast addresses (RFC 4291 2.7.1) begin with these bytes, and end with the
 * address's last three. */
#define SOLICITED_NODE_PREFIX 13u
static const uint8_t solicited_node[SOLICITED_NODE_PREFIX] = {0xff, 2, [11] = 1, [12] = 0xff};

static inline void solicited_node_write(const uint8_t addr[16], uint8_t out[16])
{
	memcpy(out, solicited_node, SOLICITED_NODE_PREFIX);
	memcpy(out + SOLICITED_NODE_PREFIX, addr + SOLICITED_NODE_PREFIX,
	       16 - SOLICITED_NODE_PREFIX);
}

static inline bool same_solicited_node(const uint8_t a[16], const uint8_t b[16])
{
	return memcmp(a + SOLICITED_NODE_PREFIX, b + SOLICITED_NODE_PREFIX,
	              16 - SOLICITED_NODE_PREFIX) == 0;
}

/* It is that of one of our addresses. */
static inline bool net_has_solicited_node(const struct net *net, const uint8_t addr[16])
{
	if (memcmp(addr, solicited_node, SOLICITED_NODE_PREFIX) != 0)
		return false;
	for (uint32_t i = 0; i < net->v6_count; i++) {
		if (same_solicited_node(net->v6[i], addr))
			return true;
	}
	return false;
}

static inline bool v6_is_all_nodes(const struct net *net, const uint8_t addr[16])
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

	return net->v6_count > 0 && memcmp(addr, all_nodes, 16) == 0;
}

static inline bool v6_is_unspecified(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return memcmp(addr, zero, 16) == 0;
}

#endif
