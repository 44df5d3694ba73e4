/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/nic_dpdk.h"

#include "dataplane/dpdk/rte.h"

#define TX_CHUNK 64u

const struct nic_caps *nic_caps(const struct nic *nic)
{
	return &nic->caps;
}

static uint8_t rx_flags(uint64_t ol)
{
	uint8_t flags = 0;

	if ((ol & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		flags |= PKT_RX_IP_CSUM_OK;
	if ((ol & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		flags |= PKT_RX_L4_CSUM_OK;
	if ((ol & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
	    (ol & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		flags |= PKT_RX_CSUM_BAD;
	return flags;
}

unsigned nic_rx_burst(struct nic *nic, struct pkt *pkts, unsigned n)
{
	struct rte_mbuf *bufs[NIC_BURST];
	unsigned got;

	assert(n <= NIC_BURST);
	got = rte_eth_rx_burst(nic->port, nic->queue, bufs, (uint16_t)n);
	for (unsigned i = 0; i < got; i++)
		__builtin_prefetch(rte_pktmbuf_mtod(bufs[i], const void *));
	for (unsigned i = 0; i < got; i++) {
		const struct rte_mbuf *m = bufs[i];

		/* A frame in several buffers is longer than the MTU allows; its first part alone
		 * fails the length check of its headers and is counted there. */
		pkts[i] = (struct pkt){
		        .data = rte_pktmbuf_mtod(m, uint8_t *),
		        .handle = bufs[i],
		        .len = m->data_len,
		        .cap = (uint32_t)m->buf_len - m->data_off,
		        .flags = nic->caps.rx_csum ? rx_flags(m->ol_flags) : 0,
		};
	}
	return got;
}

static void tx_offload(struct rte_mbuf *m, const struct pkt *pkt)
{
	m->l2_len = (unsigned)pkt->l3_off & 0x7f;
	m->l3_len = (unsigned)(pkt->l4_off - pkt->l3_off) & 0x1ff;
	m->l4_len = (uint8_t)(pkt->payload_off - pkt->l4_off);
	m->ol_flags |= pkt->ip_version == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	if (pkt->flags & PKT_TX_IP_CSUM)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (pkt->flags & PKT_TX_L4_CSUM)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	if (pkt->flags & PKT_TX_TSO) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = pkt->tso_mss;
	}
}

static struct rte_mbuf *tx_prepare(const struct pkt *pkt)
{
	struct rte_mbuf *m = pkt->handle;

	m->data_off = (uint16_t)(pkt->data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)pkt->len;
	m->pkt_len = pkt->len;
	m->ol_flags = 0;
	if (pkt->flags & (PKT_TX_IP_CSUM | PKT_TX_L4_CSUM))
		tx_offload(m, pkt);
	return m;
}

unsigned nic_tx_burst(struct nic *nic, struct pkt *pkts, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		struct rte_mbuf *bufs[TX_CHUNK];
		unsigned chunk = min_u32(n - sent, TX_CHUNK);
		unsigned taken;

		for (unsigned i = 0; i < chunk; i++)
			bufs[i] = tx_prepare(&pkts[sent + i]);
		/* What a driver wants to find in the headers of a packet that it cuts differs. One
		 * that it refuses is dropped by the caller, and TCP sends its segments again, one
		 * by one. */
		if (unlikely(nic->large != NULL)) {
			chunk = rte_eth_tx_prepare(nic->port, nic->queue, bufs, (uint16_t)chunk);
			if (chunk == 0) {
				pkts[sent].flags |= PKT_TX_REFUSED;
				break;
			}
		}
		taken = rte_eth_tx_burst(nic->port, nic->queue, bufs, (uint16_t)chunk);
		sent += taken;
		if (taken < chunk)
			break;
	}
	return sent;
}

static inline void pkt_of(struct rte_mbuf *m, struct pkt *out)
{
	*out = (struct pkt){
	        .data = rte_pktmbuf_mtod(m, uint8_t *),
	        .handle = m,
	        .cap = rte_pktmbuf_tailroom(m),
	};
}

/* When the pool has no more so many, the last are taken one by one. */
static NOINLINE bool ready_fill(struct nic *nic)
{
	if (rte_pktmbuf_alloc_bulk(nic->pool, nic->ready, NIC_READY_BUFFERS) == 0) {
		nic->ready_count = NIC_READY_BUFFERS;
		return true;
	}
	nic->ready[0] = rte_pktmbuf_alloc(nic->pool);
	nic->ready_count = nic->ready[0] != NULL;
	return nic->ready_count > 0;
}

bool nic_pkt_alloc(struct nic *nic, struct pkt *out)
{
	if (unlikely(nic->ready_count == 0) && !ready_fill(nic))
		return false;
	pkt_of(nic->ready[--nic->ready_count], out);
	return true;
}

bool nic_pkt_alloc_large(struct nic *nic, struct pkt *out)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(nic->large);

	if (unlikely(m == NULL))
		return false;
	pkt_of(m, out);
	return true;
}

void nic_pkt_free(struct nic *nic, struct pkt *pkts, unsigned n)
{
	struct rte_mbuf *bufs[TX_CHUNK];
	unsigned count = 0;

	(void)nic;
	for (unsigned i = 0; i < n; i++) {
		bufs[count++] = pkts[i].handle; /* NULL is skipped below */
		if (count < TX_CHUNK && i + 1 < n)
			continue;
		rte_pktmbuf_free_bulk(bufs, count);
		count = 0;
	}
}

uint32_t nic_pkts_free(const struct nic *nic)
{
	return rte_mempool_avail_count(nic->pool) + nic->ready_count;
}
