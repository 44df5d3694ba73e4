/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/nic_sim.h"

#include <stdlib.h>

#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"
#include "lib/pool.h"
#include "tests/sim/nic_cut.h"

#define HEADROOM   64u
#define LARGE_SIZE ((size_t)HEADROOM + NIC_LARGE_BYTES)

/* head and tail run freely; count is a power of two. */
struct queue {
	struct pkt *slots;
	uint32_t count;
	uint32_t head;
	uint32_t tail;
};

struct nic {
	struct nic_caps caps;
	nic_sim_tx_fn on_tx;
	nic_sim_tx_fn on_refused;
	const void *refused; /* the first buffer that on_refused was called for, and waits to be
	                        tried again */
	void *arg;
	uint32_t faults; /* enum nic_sim_fault */
	struct pool bufs;
	struct pool large;
	uint8_t *mem;
	uint8_t *large_mem; /* behind the others */
	struct queue rx;
	struct queue tx;
};

static bool queue_init(struct queue *q, uint32_t count)
{
	q->count = (uint32_t)pow2_ceil(count);
	q->slots = calloc(q->count, sizeof(struct pkt));
	return q->slots != NULL;
}

static uint32_t queue_used(const struct queue *q)
{
	return q->tail - q->head;
}

static bool queue_put(struct queue *q, const struct pkt *pkt)
{
	if (queue_used(q) == q->count)
		return false;
	q->slots[q->tail++ & (q->count - 1)] = *pkt;
	return true;
}

static struct pkt *queue_get(struct queue *q)
{
	if (queue_used(q) == 0)
		return NULL;
	return &q->slots[q->head++ & (q->count - 1)];
}

struct nic *nic_sim_create(const struct nic_sim_config *cfg)
{
	static const uint8_t default_mac[6] = {2, 0, 0, 0, 0, 1};
	struct nic *nic = calloc(1, sizeof(*nic));
	uint32_t buffers = cfg->buffers ? cfg->buffers : 1024;
	size_t size;

	if (nic == NULL)
		return NULL;
	memcpy(nic->caps.mac, mac_is_zero(cfg->mac) ? default_mac : cfg->mac, 6);
	nic->caps.mtu = cfg->mtu ? cfg->mtu : 1500;
	nic->caps.tx_tso = cfg->large_buffers > 0;
	nic->caps.tx_tso_v6 = nic->caps.tx_tso;
	nic->caps.tx_ip_csum = cfg->tx_ip_csum || nic->caps.tx_tso;
	nic->caps.tx_l4_csum = cfg->tx_l4_csum || nic->caps.tx_tso;
	nic->caps.rx_csum = cfg->rx_csum;
	nic->caps.rx_partial_csum = cfg->rx_partial_csum;
	nic->on_tx = cfg->on_tx;
	nic->on_refused = cfg->on_refused;
	nic->arg = cfg->arg;
	size = align_up(HEADROOM + nic->caps.mtu + ETH_HDR_LEN + VLAN_TAG_LEN, CACHE_LINE);
	nic->mem = aligned_alloc(CACHE_LINE, size * buffers + LARGE_SIZE * cfg->large_buffers);
	if (nic->mem == NULL || !queue_init(&nic->rx, cfg->rx_queue ? cfg->rx_queue : 256) ||
	    !queue_init(&nic->tx, cfg->tx_queue ? cfg->tx_queue : 256)) {
		nic_sim_destroy(nic);
		return NULL;
	}
	pool_init(&nic->bufs, nic->mem, size, buffers);
	nic->large_mem = nic->mem + size * buffers;
	pool_init(&nic->large, nic->large_mem, LARGE_SIZE, cfg->large_buffers);
	return nic;
}

void nic_sim_destroy(struct nic *nic)
{
	if (nic == NULL)
		return;
	free(nic->tx.slots);
	free(nic->rx.slots);
	free(nic->mem);
	free(nic);
}

/* Where the headers of a frame lie, as a port finds them out to verify or fill in checksums. */
struct layout {
	uint8_t *ip;
	uint8_t *tcp;         /* NULL: not TCP, or a fragment */
	const uint8_t *addrs; /* of the pseudo-header */
	size_t addrs_len;
	uint32_t tcp_len;
	bool v4;
};

static bool parse_v4(uint8_t *ip, uint32_t room, struct layout *out)
{
	const struct wire_ipv4 *h = (const void *)ip;
	uint32_t hdr_len;
	uint32_t total;

	if (room < IPV4_HDR_LEN)
		return false;
	hdr_len = (uint32_t)(h->ver_ihl & 15) * 4;
	total = be16_get(h->total_len);
	if (h->ver_ihl >> 4 != 4 || hdr_len < IPV4_HDR_LEN || total < hdr_len || total > room)
		return false;
	*out = (struct layout){.ip = ip, .v4 = true, .addrs = h->src, .addrs_len = 8};
	if (h->proto == PROTO_TCP && (be16_get(h->frag) & 0x3fff) == 0 &&
	    total - hdr_len >= TCP_HDR_LEN) {
		out->tcp = ip + hdr_len;
		out->tcp_len = total - hdr_len;
	}
	return true;
}

static bool parse_v6(uint8_t *ip, uint32_t room, struct layout *out)
{
	const struct wire_ipv6 *h = (const void *)ip;
	uint32_t len;

	if (room < IPV6_HDR_LEN)
		return false;
	len = be16_get(h->payload_len);
	if (h->ver_class_flow.b[0] >> 4 != 6 || len > room - IPV6_HDR_LEN)
		return false;
	*out = (struct layout){.ip = ip, .addrs = h->src, .addrs_len = 32};
	if (h->next == PROTO_TCP && len >= TCP_HDR_LEN) {
		out->tcp = ip + IPV6_HDR_LEN;
		out->tcp_len = len;
	}
	return true;
}

static bool parse(uint8_t *frame, uint32_t len, struct layout *out)
{
	uint32_t at = ETH_HDR_LEN;
	uint16_t type;

	if (len < ETH_HDR_LEN + VLAN_TAG_LEN)
		return false;
	type = be16_get(((const struct wire_eth *)(const void *)frame)->type);
	if (type == ETHERTYPE_TAG) {
		type = be16_get(((const struct wire_vlan *)(const void *)(frame + at))->type);
		at += VLAN_TAG_LEN;
	}
	if (type == ETHERTYPE_V4)
		return parse_v4(frame + at, len - at, out);
	return type == ETHERTYPE_V6 && parse_v6(frame + at, len - at, out);
}

static uint32_t pseudo(const struct layout *l)
{
	const uint8_t tail[8] = {
	        0, 0, 0, PROTO_TCP, 0, 0, (uint8_t)(l->tcp_len >> 8), (uint8_t)l->tcp_len};

	return csum_add(csum_add(0, tail, 8), l->addrs, l->addrs_len);
}

static uint8_t verify(uint8_t *frame, uint32_t len)
{
	uint8_t flags = 0;
	struct layout l;

	if (!parse(frame, len, &l))
		return 0;
	if (l.v4 && csum_fold(csum_add(0, l.ip, (size_t)(l.ip[0] & 15) * 4)) != 0)
		return PKT_RX_CSUM_BAD;
	if (l.v4)
		flags |= PKT_RX_IP_CSUM_OK;
	if (l.tcp == NULL)
		return flags;
	if (csum_fold(csum_add(pseudo(&l), l.tcp, l.tcp_len)) != 0)
		return flags | PKT_RX_CSUM_BAD;
	return flags | PKT_RX_L4_CSUM_OK;
}

bool nic_sim_inject(struct nic *nic, const void *bytes, uint32_t len)
{
	struct pkt pkt;

	if (nic->faults & NIC_SIM_DEAF)
		return false;
	if (len > nic->caps.mtu + ETH_HDR_LEN + VLAN_TAG_LEN ||
	    queue_used(&nic->rx) == nic->rx.count)
		return false;
	if (!nic_pkt_alloc(nic, &pkt))
		return false;
	memcpy(pkt.data, bytes, len);
	pkt.len = len;
	if (nic->caps.rx_csum)
		pkt.flags = verify(pkt.data, len);
	return queue_put(&nic->rx, &pkt);
}

uint32_t nic_sim_take(struct nic *nic, void *buf, uint32_t cap)
{
	struct pkt *pkt = queue_get(&nic->tx);
	uint32_t len;

	if (pkt == NULL)
		return 0;
	len = min_u32(pkt->len, cap);
	memcpy(buf, pkt->data, len);
	nic_pkt_free(nic, pkt, 1);
	return len;
}

void nic_sim_set_faults(struct nic *nic, uint32_t faults)
{
	nic->faults = faults;
}

uint32_t nic_sim_pending(const struct nic *nic)
{
	return queue_used(&nic->rx);
}

const struct nic_caps *nic_caps(const struct nic *nic)
{
	return &nic->caps;
}

unsigned nic_rx_burst(struct nic *nic, struct pkt *pkts, unsigned n)
{
	unsigned got = 0;

	assert(n <= NIC_BURST);
	while (got < n && queue_used(&nic->rx) > 0)
		pkts[got++] = *queue_get(&nic->rx);
	return got;
}

static void super_tell(const struct nic *nic, nic_sim_tx_fn tell, const struct pkt *pkt)
{
	uint32_t n = nic_cut_count(pkt);
	uint8_t frame[NIC_LARGE_BYTES];

	for (uint32_t i = 0; i < n; i++)
		tell(nic->arg, frame, nic_cut(pkt, i, frame));
}

static void refuse(struct nic *nic, struct pkt *pkts, unsigned n)
{
	if (nic->on_refused == NULL || n == 0)
		return;
	if (nic->refused == pkts[0].handle) {
		nic->refused = NULL;
		return;
	}
	nic->refused = pkts[0].handle;
	for (unsigned i = 0; i < n; i++) {
		if (pkts[i].flags & PKT_TX_TSO)
			super_tell(nic, nic->on_refused, &pkts[i]);
		else
			nic->on_refused(nic->arg, pkts[i].data, pkts[i].len);
	}
}

static bool take_from(struct pool *pool, struct pkt *out)
{
	uint8_t *buf = pool_get(pool);

	if (buf == NULL)
		return false;
	*out = (struct pkt){
	        .data = buf + HEADROOM,
	        .handle = buf,
	        .cap = (uint32_t)(pool->size - HEADROOM),
	};
	return true;
}

/* Into the queue; false when it, or the buffers for the pieces, have no room. */
static bool super_queue(struct nic *nic, const struct pkt *pkt)
{
	uint32_t n = nic_cut_count(pkt);

	if (nic->tx.count - queue_used(&nic->tx) < n || pool_available(&nic->bufs) < n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt piece;

		/* Not the stack asks: what starves that does not hold up the port. */
		if (!take_from(&nic->bufs, &piece))
			abort();
		piece.len = nic_cut(pkt, i, piece.data);
		queue_put(&nic->tx, &piece);
	}
	return true;
}

static NOINLINE bool super_out(struct nic *nic, struct pkt *pkt)
{
	if (nic->on_tx != NULL)
		super_tell(nic, nic->on_tx, pkt);
	else if (!super_queue(nic, pkt))
		return false;
	nic_pkt_free(nic, pkt, 1);
	return true;
}

unsigned nic_tx_burst(struct nic *nic, struct pkt *pkts, unsigned n)
{
	if (unlikely(nic->faults & NIC_SIM_REFUSES)) {
		refuse(nic, pkts, n);
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		if (unlikely(pkts[i].flags & PKT_TX_TSO && nic->faults & NIC_SIM_NO_CUT)) {
			pkts[i].flags |= PKT_TX_REFUSED;
			return i;
		}
		if (unlikely(pkts[i].flags & PKT_TX_TSO)) {
			if (!super_out(nic, &pkts[i]))
				return i;
			continue;
		}
		if (nic->on_tx == NULL && queue_used(&nic->tx) == nic->tx.count)
			return i;
		if (pkts[i].flags & (PKT_TX_IP_CSUM | PKT_TX_L4_CSUM))
			nic_sums(&pkts[i], pkts[i].data, pkts[i].len);
		if (nic->on_tx != NULL) {
			nic->on_tx(nic->arg, pkts[i].data, pkts[i].len);
			nic_pkt_free(nic, &pkts[i], 1);
		} else {
			queue_put(&nic->tx, &pkts[i]);
		}
	}
	return n;
}

bool nic_pkt_alloc(struct nic *nic, struct pkt *out)
{
	return !(nic->faults & NIC_SIM_STARVED) && take_from(&nic->bufs, out);
}

bool nic_pkt_alloc_large(struct nic *nic, struct pkt *out)
{
	return !(nic->faults & NIC_SIM_STARVED) && take_from(&nic->large, out);
}

void nic_pkt_free(struct nic *nic, struct pkt *pkts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bool large = (uint8_t *)pkts[i].handle >= nic->large_mem;

		if (pkts[i].handle == NULL)
			continue;
		pool_put(unlikely(large) ? &nic->large : &nic->bufs, pkts[i].handle);
	}
}

uint32_t nic_sim_large_used(const struct nic *nic)
{
	return nic->large.in_use;
}

uint32_t nic_pkts_free(const struct nic *nic)
{
	return nic->faults & NIC_SIM_STARVED ? 0 : pool_available(&nic->bufs);
}
