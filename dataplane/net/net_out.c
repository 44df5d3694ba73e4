/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The transmit queue, and the headers in front of a TCP segment. A packet is built in the queue's
 * own next place, so that nothing is copied between net_alloc and the NIC. */
#include <stdlib.h>

#include "dataplane/net/net_int.h"

static bool addr_usable(const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return a->b[12] != 0 && a->b[12] < 224;
	return !v6_is_unspecified(a->b) && a->b[0] != 0xff;
}

void net_v4_add(struct net *net, const uint8_t addr[4])
{
	uint32_t slot = net_v4_slot(net, addr);

	memcpy(net->v4[net->v4_count++], addr, 4);
	if (net->v4_slots[slot] == 0)
		net->v4_slots[slot] = (uint8_t)net->v4_count;
}

static void net_add_v6(struct net *net, const struct ip_addr *addr, uint32_t bit)
{
	net->v6_bit[net->v6_count] = (uint8_t)bit;
	memcpy(net->v6[net->v6_count++], addr->b, 16);
}

void net_config_default(struct net_config *cfg)
{
	*cfg = (struct net_config){.fragments = 64, .icmp_per_s = 1000, .cores = 1};
}

enum status net_create(struct net **out, struct nic *nic, struct counters *ctr,
                       const struct ip_addr *addrs, uint32_t addr_count)
{
	struct net_config cfg;

	net_config_default(&cfg);
	cfg.nic = nic;
	cfg.ctr = ctr;
	cfg.addrs = addrs;
	cfg.addr_count = addr_count;
	return net_open(out, &cfg);
}

enum status net_open(struct net **out, const struct net_config *cfg)
{
	uint32_t cap = NET_TX_QUEUE + cfg->tx_hold;
	size_t size = align_up(sizeof(struct net) + cap * sizeof(struct pkt), CACHE_LINE);
	struct net *net;

	if (cfg->addr_count > NET_MAX_ADDRS)
		return ST_TOOBIG;
	if (cfg->icmp_per_s == 0 || cfg->fragments > NET_MAX_FRAGMENTS ||
	    cfg->tx_hold > NET_TX_HOLD_MAX)
		return ST_INVALID;
	for (uint32_t i = 0; i < cfg->addr_count; i++) {
		if (!addr_usable(&cfg->addrs[i]))
			return ST_INVALID;
	}
	net = aligned_alloc(CACHE_LINE, size);
	if (net == NULL)
		return ST_NOMEM;
	memset(net, 0, size);
	net->nic = cfg->nic;
	net->ctr = cfg->ctr;
	net->caps = *nic_caps(cfg->nic);
	assert(!net->caps.tx_tso || (net->caps.tx_ip_csum && net->caps.tx_l4_csum));
	net->icmp_per_s = cfg->icmp_per_s;
	net->tx_cap = cap;
	net->tx_look = NET_TX_QUEUE;
	for (uint32_t i = 0; i < cfg->addr_count; i++) {
		if (ip_addr_is_v4(&cfg->addrs[i]))
			net_v4_add(net, &cfg->addrs[i].b[12]);
		else
			net_add_v6(net, &cfg->addrs[i], i);
	}
	net->own = aligned_alloc(CACHE_LINE, sizeof(*net->own));
	if (net->own == NULL || frag_create(&net->frags, cfg->fragments, net->caps.mtu) != ST_OK) {
		free(net->own);
		free(net);
		return ST_NOMEM;
	}
	memset(net->own, 0, sizeof(*net->own));
	net->shared = cfg->shared != NULL ? cfg->shared : net->own;
	net->core = cfg->core;
	net->cores = max_u32(cfg->cores, 1);
	pass_join(net);
	net->mld_ns = cfg->mld && cfg->core == 0 && net->v6_count > 0 ? cfg->now_ns : UINT64_MAX;
	dad_start(net, cfg->core == 0 ? cfg->dad_transmits : 0, cfg->now_ns);
	*out = net;
	return ST_OK;
}

void net_tick(struct net *net, uint64_t now_ns)
{
	shared_read(net);
	mld_tick(net, now_ns); /* in front of the first question (RFC 4862 5.4.2) */
	dad_tick(net, now_ns);
	frag_tick(net, now_ns);
	neigh_tick(net, now_ns);
}

void net_destroy(struct net *net)
{
	if (net == NULL)
		return;
	nic_pkt_free(net->nic, net->tx + net->tx_first, net_queued(net) + net->staged);
	frag_destroy(net->frags);
	free(net->own);
	free(net);
}

const struct nic_caps *net_caps(const struct net *net)
{
	return &net->caps;
}

uint16_t net_mtu(const struct net *net)
{
	return net->caps.mtu;
}

uint16_t net_mtu_v6(const struct net *net)
{
	uint32_t mtu = __atomic_load_n(&net->shared->mtu, __ATOMIC_RELAXED);

	return mtu == 0 ? net->caps.mtu : (uint16_t)min_u32(mtu, net->caps.mtu);
}

static void tx_emptied(struct net *net)
{
	net->tx_first = 0;
	net->tx_end = 0;
	net->tx_look = NET_TX_QUEUE;
}

/* While the port takes everything, only the first places are ever used, which stay in the cache. */
static NOINLINE void tx_make_room(struct net *net)
{
	uint32_t left;

	if (net->tx_cap > NET_TX_QUEUE)
		net_flush_some(net);
	left = net_queued(net);
	if (left == net->tx_cap || net->tx_cap == NET_TX_QUEUE) {
		net_flush(net);
		return;
	}
	memmove(net->tx, net->tx + net->tx_first, left * sizeof(net->tx[0]));
	net->tx_first = 0;
	net->tx_end = left;
	net->tx_look = min_u32(left + NET_TX_QUEUE, net->tx_cap);
}

/* The queue's next place. Only one packet is under construction at a time. */
static struct pkt *tx_place(struct net *net)
{
	assert(!net->staged);
	if (unlikely(net->tx_end == net->tx_look))
		tx_make_room(net);
	return &net->tx[net->tx_end];
}

void net_reply(struct net *net, struct pkt *pkt)
{
	pkt->flags = 0;
	*tx_place(net) = *pkt;
	net->tx_end++;
	pkt->data = NULL;
}

struct pkt *net_alloc_large(struct net *net, const struct net_path *path, uint16_t mss)
{
	struct pkt *pkt = tx_place(net);

	assert(net->caps.tx_tso);
	if (unlikely(!nic_pkt_alloc_large(net->nic, pkt))) {
		counter_inc(net->ctr, CTR_shed_large);
		return NULL;
	}
	assert(pkt->cap >= NIC_LARGE_BYTES && NIC_LARGE_BYTES > net_headroom(path));
	pkt->tso_mss = mss;
	net->staged = true;
	return pkt;
}

struct pkt *net_alloc(struct net *net, const struct net_path *path)
{
	struct pkt *pkt = tx_place(net);

	if (unlikely(!nic_pkt_alloc(net->nic, pkt))) {
		counter_inc(net->ctr, CTR_shed_pkt);
		return NULL;
	}
	assert(pkt->cap > net_headroom(path));
	net->staged = true;
	return pkt;
}

uint16_t net_eth_write(const struct net *net, const struct net_path *path, uint8_t *frame,
                       uint16_t type)
{
	struct wire_eth *eth = (void *)frame;
	struct wire_vlan *vlan = (void *)(eth + 1);

	memcpy(eth->dst, path->remote_mac, 6);
	memcpy(eth->src, net->caps.mac, 6);
	if (likely(path->vlan == 0)) {
		eth->type = be16_make(type);
		return ETH_HDR_LEN;
	}
	eth->type = be16_make(ETHERTYPE_TAG);
	vlan->tci = be16_make(path->vlan);
	vlan->type = be16_make(type);
	return ETH_HDR_LEN + VLAN_TAG_LEN;
}

void net_staged_send(struct net *net)
{
	assert(net->staged);
	net->staged = false;
	net->tx_end++;
}

static inline uint32_t load32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void store64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static_assert(offsetof(struct net_path, vlan) == offsetof(struct net_path, remote_mac) + 6,
              "both in one word");
static_assert(offsetof(struct nic_caps, mtu) == offsetof(struct nic_caps, mac) + 6,
              "eight bytes can be read");

/* Ethernet and IPv4 header of an untagged segment, in words that are summed on their way: what was
 * just stored in other sizes is slow to read back. See v4_write for the fields. Returns the sum of
 * the addresses. */
static uint32_t v4_untagged_write(const struct net *net, const struct net_path *path,
                                  struct pkt *pkt, const struct net_seg *seg)
{
	uint8_t *f = pkt->data;
	uint64_t dst_mac = csum_load64(path->remote_mac); /* its upper 16 bits, the VLAN, are 0 */
	uint64_t src_mac = csum_load64(net->caps.mac);
	uint16_t total = __builtin_bswap16((uint16_t)(IPV4_HDR_LEN + seg->tcp_len));
	uint32_t first = 0x45u | (seg->ecn & 3u) << 8 | (uint32_t)total << 16;
	uint32_t second = 0x00400000u;
	uint32_t third = NET_TTL | (uint32_t)PROTO_TCP << 8;
	uint32_t src = load32(&path->local.b[12]);
	uint32_t dst = load32(&path->remote.b[12]);
	uint64_t addrs = (uint64_t)src + dst;

	if (unlikely(net->caps.tx_ip_csum))
		pkt->flags |= PKT_TX_IP_CSUM;
	else
		third |= (uint32_t)csum_fold(csum_fold32(addrs + first + second + third)) << 16;
	store64(f, dst_mac | src_mac << 48);
	store64(f + 8, (src_mac >> 16 & UINT32_MAX) | 0x0008ull << 32 | (uint64_t)first << 48);
	store64(f + 16, first >> 16 | (uint64_t)second << 16 | (uint64_t)third << 48);
	store64(f + 24, third >> 16 | (uint64_t)src << 16);
	memcpy(f + 30, &dst, 4);
	return csum_fold32(addrs);
}

/* Returns where the addresses for the pseudo-header lie. */
static const uint8_t *v4_write(const struct net *net, const struct net_path *path, struct pkt *pkt,
                               const struct net_seg *seg)
{
	struct wire_ipv4 *ip = (void *)(pkt->data + pkt->l3_off);

	/* RFC 6864 4.1: the identification of a datagram that is never cut may be anything. A count
	 * of what was sent would tell an outsider of segments that he does not see, such as the
	 * challenge ACKs that his guesses bring about. */
	*ip = (struct wire_ipv4){
	        .ver_ihl = 0x45,
	        .tos = seg->ecn & 3,
	        .total_len = be16_make(IPV4_HDR_LEN + seg->tcp_len),
	        .frag = be16_make(0x4000), /* do not fragment (RFC 1191 3) */
	        .ttl = NET_TTL,
	        .proto = PROTO_TCP,
	};
	memcpy(ip->src, &path->local.b[12], 4);
	memcpy(ip->dst, &path->remote.b[12], 4);
	if (net->caps.tx_ip_csum)
		pkt->flags |= PKT_TX_IP_CSUM;
	else
		csum_put(ip->csum, ipv4_header_csum(ip));
	return ip->src;
}

static const uint8_t *v6_write(const struct net *net, const struct net_path *path, struct pkt *pkt,
                               const struct net_seg *seg)
{
	uint32_t hop_limit = __atomic_load_n(&net->shared->hop_limit, __ATOMIC_RELAXED);
	struct wire_ipv6 *ip = (void *)(pkt->data + pkt->l3_off);

	ip->ver_class_flow = be32_make((6u << 28) | ((seg->ecn & 3u) << 20));
	ip->payload_len = be16_make(seg->tcp_len);
	ip->next = PROTO_TCP;
	ip->hop_limit = hop_limit == 0 ? NET_TTL : (uint8_t)hop_limit;
	memcpy(ip->src, path->local.b, 16);
	memcpy(ip->dst, path->remote.b, 16);
	return ip->src;
}

static void tcp_csum_write(const struct net *net, struct pkt *pkt, const struct net_seg *seg,
                           uint32_t pseudo)
{
	struct wire_tcp *tcp = (void *)(pkt->data + pkt->l4_off);
	uint32_t sum;

	if (net->caps.tx_l4_csum) {
		pkt->flags |= PKT_TX_L4_CSUM;
		csum_put(tcp->csum, csum_fold_partial(pseudo));
		return;
	}
	if (likely(seg->have_sum)) {
		sum = csum_fold32((uint64_t)pseudo + seg->hdr_sum + seg->payload_sum);
	} else {
		csum_put(tcp->csum, 0);
		sum = csum_add(pseudo, tcp, seg->tcp_len);
	}
	csum_put(tcp->csum, csum_fold(sum));
}

/* The headers below TCP. Returns the partial sum of the pseudo-header without the length. */
static uint32_t headers_write(const struct net *net, const struct net_path *path, struct pkt *pkt,
                              const struct net_seg *seg)
{
	bool v4 = ip_addr_is_v4(&path->local);
	const uint8_t *addrs;

	if (likely(v4 && path->vlan == 0)) {
		pkt->l3_off = ETH_HDR_LEN;
		pkt->l4_off = ETH_HDR_LEN + IPV4_HDR_LEN;
		pkt->ip_version = 4;
		return csum_join(v4_untagged_write(net, path, pkt, seg), (uint32_t)PROTO_TCP << 24);
	}
	pkt->l3_off = net_eth_write(net, path, pkt->data, v4 ? ETHERTYPE_V4 : ETHERTYPE_V6);
	pkt->l4_off = (uint16_t)(pkt->l3_off + (v4 ? IPV4_HDR_LEN : IPV6_HDR_LEN));
	pkt->ip_version = v4 ? 4 : 6;
	addrs = v4 ? v4_write(net, path, pkt, seg) : v6_write(net, path, pkt, seg);
	return pseudo_sum(addrs, v4 ? 8 : 32, PROTO_TCP, 0);
}

void net_send(struct net *net, const struct net_path *path, struct pkt *pkt,
              const struct net_seg *seg)
{
	uint64_t pseudo;

	assert(net->staged && pkt == &net->tx[net->tx_end]);
	pkt->flags = 0;
	pseudo = headers_write(net, path, pkt, seg);
	pkt->payload_off = (uint16_t)(pkt->l4_off + seg->tcp_hdr_len);
	pkt->payload_len = (uint16_t)(seg->tcp_len - seg->tcp_hdr_len);
	pkt->len = pkt->l4_off + seg->tcp_len;
	assert(pkt->len <= pkt->cap && seg->tcp_hdr_len <= seg->tcp_len);
	pseudo += __builtin_bswap32(seg->tcp_len);
	tcp_csum_write(net, pkt, seg, csum_fold32(pseudo));
	net->staged = false;
	net->tx_end++;
}

void net_send_large(struct net *net, const struct net_path *path, struct pkt *pkt,
                    const struct net_seg *seg)
{
	bool v4 = ip_addr_is_v4(&path->local);
	const uint8_t *addrs;
	struct wire_tcp *tcp;

	net_send(net, path, pkt, seg);
	pkt->flags |= PKT_TX_TSO;
	addrs = pkt->data + pkt->l3_off + (v4 ? 12 : 8);
	/* The port puts each segment's own length into the sum. */
	tcp = (void *)(pkt->data + pkt->l4_off);
	csum_put(tcp->csum, csum_fold_partial(pseudo_sum(addrs, v4 ? 8 : 32, PROTO_TCP, 0)));
}

static unsigned tx_some(struct net *net)
{
	struct pkt *tx = net->tx + net->tx_first;
	uint64_t bytes = 0;
	unsigned sent = nic_tx_burst(net->nic, tx, net_queued(net));

	for (unsigned i = 0; i < sent; i++)
		bytes += tx[i].len;
	net->tx_first += sent;
	counter_add(net->ctr, CTR_tx_packets, sent);
	counter_add(net->ctr, CTR_tx_bytes, bytes);
	return sent;
}

/* What the port will never take must not stand in the way of the rest. */
static NOINLINE unsigned tx_skip(struct net *net)
{
	unsigned sent = 0;

	while (net_queued(net) > 0 && net->tx[net->tx_first].flags & PKT_TX_REFUSED) {
		counter_inc(net->ctr, CTR_shed_tx);
		nic_pkt_free(net->nic, &net->tx[net->tx_first], 1);
		net->tx_first++;
		sent += net_queued(net) > 0 ? tx_some(net) : 0;
	}
	return sent;
}

unsigned net_flush_some(struct net *net)
{
	unsigned sent;

	if (net_queued(net) == 0)
		return 0;
	assert(!net->staged);
	sent = tx_some(net);
	if (unlikely(net_queued(net) > 0))
		sent += tx_skip(net);
	if (likely(net_queued(net) == 0))
		tx_emptied(net);
	return sent;
}

unsigned net_flush(struct net *net)
{
	unsigned sent = net_flush_some(net);
	uint32_t left;

	if (likely(net_queued(net) == 0))
		return sent;
	sent += net_flush_some(net);
	left = net_queued(net);
	if (left > 0) {
		counter_add(net->ctr, CTR_shed_tx, left);
		nic_pkt_free(net->nic, net->tx + net->tx_first, left);
		tx_emptied(net);
	}
	return sent;
}

uint32_t net_queued(const struct net *net)
{
	return net->tx_end - net->tx_first;
}

struct pkt *net_frame_begin(struct net *net)
{
	struct pkt *pkt = tx_place(net);

	if (!nic_pkt_alloc(net->nic, pkt)) {
		counter_inc(net->ctr, CTR_shed_pkt);
		return NULL;
	}
	net->staged = true;
	return pkt;
}

void net_announce(struct net *net)
{
	for (uint32_t i = 0; i < net->v4_count + net->v6_count; i++) {
		struct pkt *pkt;

		if (i >= net->v4_count && net_v6_off(net, i - net->v4_count))
			continue;
		pkt = net_frame_begin(net);
		if (pkt == NULL)
			return;
		if (i < net->v4_count)
			arp_announce(net, pkt, i);
		else
			ndp_announce(net, pkt, i - net->v4_count);
		net_staged_send(net);
	}
}
