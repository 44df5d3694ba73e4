/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The layer below TCP: Ethernet, ARP, NDP, IPv4, IPv6, ICMP, and the core's transmit queue. One
 * struct net a core, over one struct nic. It knows no connection: net_input sorts a burst, answers
 * what is its own, and leaves the valid TCP segments to tcp_input. */
#ifndef DATAPLANE_NET_NET_H
#define DATAPLANE_NET_NET_H

#include "dataplane/nic.h"
#include "lib/base.h"
#include "lib/counters.h"
#include "lib/status.h"

/* Network byte order; IPv4 as ::ffff:a.b.c.d, so that one form keys every table. */
struct ip_addr {
	uint8_t b[16];
};

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	uint64_t zero;
	uint32_t tail;

	memcpy(&zero, a->b, 8);
	memcpy(&tail, a->b + 8, 4);
	return (zero | (tail ^ 0xffff0000u)) == 0;
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

/* Text form of RFC 5952 or dotted quad; false when text is neither. */
bool ip_addr_parse(const char *text, struct ip_addr *out);
#define IP_ADDR_TEXT 46u
const char *ip_addr_text(const struct ip_addr *a, char out[IP_ADDR_TEXT]);

/* Where the segments of one connection go. Filled from a received packet by net_path_reply: answers
 * take the way back that the peer's frames came (docs/decisions/reply-path.md). */
struct net_path {
	struct ip_addr local;
	struct ip_addr remote;
	uint8_t remote_mac[6];
	uint16_t vlan; /* 0: untagged; else the tag's TCI */
};

#define NET_MAX_ADDRS     64u
#define NET_TX_QUEUE      64u   /* packets that wait for net_flush */
#define NET_TX_HOLD_MAX   4096u /* packets */
#define NET_MAX_FRAGMENTS 256u

struct net;
struct net_shared;

/* What net_open needs; net_config_default fills in what the comments say. */
struct net_config {
	struct nic *nic;
	struct counters *ctr;
	const struct ip_addr *addrs; /* the listeners' addresses, which this core answers for */
	uint32_t addr_count;         /* at most NET_MAX_ADDRS */
	uint32_t fragments;          /* datagrams in reassembly, at most NET_MAX_FRAGMENTS: 64 */
	uint32_t dad_transmits;      /* RFC 4862 5.1; 0: addresses are used at once: 0 */
	bool mld;                    /* report our multicast groups (RFC 3810): no */
	uint32_t icmp_per_s;         /* echo replies, errors sent and errors heeded, each: 1,000 */
	uint32_t tx_hold; /* packets beyond NET_TX_QUEUE that wait when the NIC takes none; at most
	                     NET_TX_HOLD_MAX: 0, which drops them */
	struct net_shared *shared; /* of all cores of the port; NULL: there is one core */
	uint32_t core;             /* index; core 0 asks for duplicates */
	uint32_t cores;            /* 1 */
	uint64_t now_ns;
};

void net_config_default(struct net_config *cfg);
enum status net_open(struct net **out, const struct net_config *cfg);
/* The same with defaults. */
enum status net_create(struct net **out, struct nic *nic, struct counters *ctr,
                       const struct ip_addr *addrs, uint32_t addr_count);
void net_destroy(struct net *net);
const struct nic_caps *net_caps(const struct net *net);
/* IP bytes a frame; for IPv6, a router may have said less than the port (RFC 4861 6.3.4). */
uint16_t net_mtu(const struct net *net);
uint16_t net_mtu_v6(const struct net *net);

/* Timers: duplicate address detection, reassembly, defence of addresses. Call it once a millisecond
 * or so. */
void net_tick(struct net *net, uint64_t now_ns);
/* Addresses that are not used because another host has them: bit i is the configuration's addrs[i].
 */
uint64_t net_conflicts(const struct net *net);

/* Tells the link about our addresses: gratuitous ARP (RFC 5227 3) and unsolicited neighbor
 * advertisements (RFC 4861 7.2.6). Called at start and again a few times a second apart. */
void net_announce(struct net *net);

/* Sorts pkts[0, n), n at most NIC_BURST: handles and frees ARP, NDP and ICMP, drops and counts what
 * is malformed or not ours, and moves the TCP segments whose checksums and lengths hold to the
 * front with their offsets set. Returns how many those are; the caller frees them after the burst
 * (nic_pkt_free). Counts rx_bursts, rx_packets and rx_bytes; tcp_input counts where each of those
 * returned ended. */
unsigned net_input(struct net *net, struct pkt *pkts, unsigned n, uint64_t now_ns);

/* An ICMP error about a TCP segment that was sent from one of our addresses, as the router or host
 * quoted it. Whether there ever was such a segment, TCP must tell (RFC 5927 4.1). */
enum net_error_kind {
	NET_ERROR_TOO_BIG, /* RFC 1191 4, RFC 4443 3.2 */
	NET_ERROR_SOFT,    /* RFC 1122 4.2.3.9: may go away by itself */
	NET_ERROR_HARD,    /* nobody at the other end speaks TCP, or on that port */
};

struct net_error {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t local_port; /* host order, as all that follows */
	uint16_t remote_port;
	uint32_t seq;
	uint32_t mtu;        /* of NET_ERROR_TOO_BIG, 0: the router did not say */
	uint16_t quoted_len; /* bytes of the IP packet that the error is about */
	uint8_t kind;        /* enum net_error_kind */
	bool passed;         /* another core received and counted it */
};

/* The next error of those that came since; false when there is none. net_input holds at most 32 and
 * does not count their packets: whoever takes an error counts it (rx_icmp or a drop). */
bool net_error_take(struct net *net, struct net_error *out);
/* Shows it to the other cores, one of which may have the connection. False when there are none, or
 * when it came from there. */
bool net_error_pass(struct net *net, const struct net_error *e);

/* A TCP segment of no connection of this core may be one of another core of the port: true when a
 * core is left that was not asked yet. Whoever is the last answers it. */
bool net_may_pass(const struct net *net, const struct pkt *pkt);
/* Hands it to the next core, after net_may_pass; its handle is NULL then, and nic_pkt_free skips
 * it. False when that core has too many to look at. */
bool net_pass(struct net *net, struct pkt *pkt);
/* Up to n segments that the core before this one passed on; then as with those of net_input.
 * Counts rx_from_core. */
unsigned net_passed(struct net *net, struct pkt *pkts, unsigned n);

/* The way back to the sender of a received TCP segment. */
void net_path_reply(const struct pkt *pkt, struct net_path *out);

/* Where a connection that we open shall go: remote itself, or a router towards it, on the link. */
struct net_way {
	struct ip_addr local; /* one of ours, in use */
	struct ip_addr remote;
	struct ip_addr next_hop; /* of the same version as local; there is no routing table */
	uint16_t vlan;           /* TCI, 0: untagged */
};

/* ST_OK: *out is the path for tcp_connect. ST_AGAIN: the next hop is being asked for its link
 * address (RFC 826, RFC 4861 7.2), try again in some milliseconds. ST_NOTFOUND: it does not answer.
 * ST_INVALID: local is not ours. Answers come to the core alone to which the port brings them, so
 * that this is for processes with one core. */
enum status net_path_make(struct net *net, const struct net_way *way, struct net_path *out,
                          uint64_t now_ns);

/* Room in front of the TCP header for the path's Ethernet, VLAN and IP headers. */
static inline uint32_t net_headroom(const struct net_path *path)
{
	return 14u + (path->vlan ? 4u : 0u) + (ip_addr_is_v4(&path->local) ? 20u : 40u);
}

/* A packet to build a segment in: the TCP header begins at data + net_headroom(path). NULL when
 * there is no buffer (counted as shed_pkt). The pointer holds until net_send, and no other function
 * of this header may be called in between. */
struct pkt *net_alloc(struct net *net, const struct net_path *path);
/* The same for several segments at once, NIC_LARGE_BYTES with all headers, which the port cuts into
 * mss bytes each (nic_caps.tx_tso). NULL is counted as shed_large. */
struct pkt *net_alloc_large(struct net *net, const struct net_path *path, uint16_t mss);
/* tcp_len: header and payload bytes. payload_sum: the ones-complement sum of the payload when it
 * was taken during the copy (csum_copy in csum.h), hdr_sum: that of the TCP header, its checksum
 * zero; with have_sum false net_send takes both.
 * Fills Ethernet, IP and the TCP checksum, and queues the packet; a full queue is flushed first, as
 * net_flush_some does while there is net_config.tx_hold, then as net_flush does. */
struct net_seg {
	uint32_t tcp_hdr_len;
	uint32_t tcp_len;
	uint32_t payload_sum;
	uint32_t hdr_sum;
	bool have_sum;
	uint8_t ecn; /* 0 to 3, for the IP header */
};
void net_send(struct net *net, const struct net_path *path, struct pkt *pkt,
              const struct net_seg *seg);
/* The same for what net_alloc_large gave. */
void net_send_large(struct net *net, const struct net_path *path, struct pkt *pkt,
                    const struct net_seg *seg);
/* Hands the queue to the NIC; what it refuses is dropped and counted (shed_tx). Returns how many
 * packets went out. */
unsigned net_flush(struct net *net);
/* The same, but what the NIC refuses stays in the queue: for programs that had rather wait than
 * lose. They receive nothing while more than a burst waits, for each packet that comes may be
 * answered by some. */
unsigned net_flush_some(struct net *net);
/* Packets in the queue. */
uint32_t net_queued(const struct net *net);

#endif
