/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/nic_cut.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"

enum {
	CUT_FIN = 1 << 0,
	CUT_PSH = 1 << 3,
	CUT_CWR = 1 << 7,
	CUT_MSS_LEAST = 256, /* as with the pickiest of ports */
};

void nic_sums(const struct pkt *pkt, uint8_t *frame, uint32_t len)
{
	if (pkt->flags & PKT_TX_IP_CSUM) {
		struct wire_ipv4 *ip = (void *)(frame + pkt->l3_off);

		csum_put(ip->csum, 0);
		csum_put(ip->csum, csum_fold(csum_add(0, ip, IPV4_HDR_LEN)));
	}
	if (pkt->flags & PKT_TX_L4_CSUM) {
		struct wire_tcp *tcp = (void *)(frame + pkt->l4_off);

		csum_put(tcp->csum, csum_fold(csum_add(0, tcp, len - pkt->l4_off)));
	}
}

static const char *cut_wrong(const struct pkt *pkt)
{
	const struct wire_tcp *tcp = (const void *)(pkt->data + pkt->l4_off);

	if (!(pkt->flags & PKT_TX_L4_CSUM) ||
	    (pkt->ip_version == 4 && !(pkt->flags & PKT_TX_IP_CSUM)))
		return "without its sums";
	if (pkt->tso_mss < CUT_MSS_LEAST)
		return "into segments too small";
	if (pkt->len > NIC_LARGE_BYTES || pkt->len != pkt->payload_off + (uint32_t)pkt->payload_len)
		return "of a wrong length";
	if (pkt->payload_len <= pkt->tso_mss)
		return "of a single segment";
	return tcp->flags & CUT_CWR ? "with CWR on every segment" : NULL;
}

uint32_t nic_cut_count(const struct pkt *pkt)
{
	const char *why = cut_wrong(pkt);

	if (why != NULL) {
		fprintf(stderr, "nic_sim: a packet to be cut %s (%u bytes, %u a segment)\n", why,
		        pkt->len, pkt->tso_mss);
		abort();
	}
	return (pkt->payload_len + (uint32_t)pkt->tso_mss - 1) / pkt->tso_mss;
}

/* The sum without a length gets this segment's. */
static void length_add(struct wire_tcp *tcp, uint32_t tcp_len)
{
	uint8_t len[2] = {(uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	uint32_t sum = csum_add(0, tcp->csum, sizeof(tcp->csum));

	csum_put(tcp->csum, csum_fold_partial(csum_add(sum, len, sizeof(len))));
}

uint32_t nic_cut(const struct pkt *pkt, uint32_t i, uint8_t *out)
{
	uint32_t at = i * pkt->tso_mss;
	uint32_t left = pkt->payload_len - at;
	uint32_t n = min_u32(left, pkt->tso_mss);
	uint32_t len = pkt->payload_off + n;
	struct wire_tcp *tcp = (void *)(out + pkt->l4_off);

	memcpy(out, pkt->data, pkt->payload_off);
	memcpy(out + pkt->payload_off, pkt->data + pkt->payload_off + at, n);
	if (pkt->ip_version == 4) {
		struct wire_ipv4 *ip = (void *)(out + pkt->l3_off);

		ip->total_len = be16_make(len - pkt->l3_off);
		ip->id = be16_make((uint16_t)(be16_get(ip->id) + i));
	} else {
		struct wire_ipv6 *ip = (void *)(out + pkt->l3_off);

		ip->payload_len = be16_make(len - pkt->l4_off);
	}
	tcp->seq = be32_make(be32_get(tcp->seq) + at);
	if (n < left)
		tcp->flags &= (uint8_t) ~(CUT_FIN | CUT_PSH);
	length_add(tcp, len - pkt->l4_off);
	nic_sums(pkt, out, len);
	return len;
}
