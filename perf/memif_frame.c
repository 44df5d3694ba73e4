/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/memif_frame.h"

#include "dataplane/net/csum.h"
#include "dataplane/net/wire.h"
#include "lib/clock.h"
#include "tests/sim/bytes.h"

enum { TS_LEN = 12, MSS = 1460 };

/* The options begin with the timestamp, so that its place is the same in every segment. */
static uint32_t options_write(const struct frame_to *to, const struct frame_spec *b, uint8_t *o)
{
	static const uint8_t syn_opts[8] = {2, 4, MSS >> 8, MSS & 0xff, 4, 2, 1, 1};

	memcpy(o, (const uint8_t[]){1, 1, 8, 10}, 4);
	put32(o + 4, (uint32_t)(to->now_ns >> 20));
	put32(o + 8, b->peer_ts);
	if (!(b->flags & SYN))
		return TS_LEN;
	memcpy(o + TS_LEN, syn_opts, sizeof(syn_opts));
	memcpy(o + TS_LEN + 6, (const uint8_t[]){3, 3}, 2);
	put32(o + TS_LEN + 8, 7u << 24);
	return TS_LEN + 12;
}

bool frame_build(const struct frame_to *to, const struct frame_spec *b, struct pkt *pkt)
{
	uint32_t payload = b->with_request ? FRAME_REQUEST_LEN : 0;
	uint32_t tcp_len;
	uint32_t sum;
	uint8_t *f;
	uint8_t *t;

	if (!nic_pkt_alloc(to->nic, pkt))
		return false;
	f = pkt->data;
	t = f + ETH_HDR_LEN + IPV4_HDR_LEN;
	memcpy(f, to->server_mac, 6);
	memcpy(f + 6, nic_caps(to->nic)->mac, 6);
	put16(f + 12, ETHERTYPE_V4);
	tcp_len = TCP_HDR_LEN + options_write(to, b, t + TCP_HDR_LEN);
	put16(t, b->src_port);
	put16(t + 2, 80);
	put32(t + 4, b->seq);
	put32(t + 8, b->flags & ACK ? b->ack : 0);
	t[12] = (uint8_t)(tcp_len << 2);
	t[13] = b->flags;
	put16(t + 14, 65535);
	put32(t + 16, 0);
	memcpy(t + tcp_len, FRAME_REQUEST, payload);
	f += ETH_HDR_LEN;
	memset(f, 0, IPV4_HDR_LEN);
	f[0] = 0x45;
	put16(f + 2, IPV4_HDR_LEN + tcp_len + payload);
	f[6] = 0x40;
	f[8] = 64;
	f[9] = PROTO_TCP;
	put32(f + 12, b->src_ip);
	memcpy(f + 16, to->server_ip, 4);
	csum_put(f + 10, csum_fold(csum_add(0, f, IPV4_HDR_LEN)));
	sum = csum_add(0, f + 12, 8);
	sum = csum_join(sum, csum_add(0, t, tcp_len));
	sum = csum_join(
	        sum, csum_add(0,
	                      (const uint8_t[]){0, PROTO_TCP, (uint8_t)((tcp_len + payload) >> 8),
	                                        (uint8_t)(tcp_len + payload)},
	                      4));
	if (payload > 0)
		sum = csum_join(sum, to->request_sum);
	csum_put(t + 16, csum_fold(sum));
	pkt->len = ETH_HDR_LEN + IPV4_HDR_LEN + tcp_len + payload;
	return true;
}

bool frame_resolve(struct frame_to *to)
{
	uint64_t deadline = clock_mono_ns() + 10 * NS_PER_S;
	uint64_t next_ns = 0;

	while (clock_mono_ns() < deadline) {
		struct pkt pkts[NIC_BURST];
		unsigned n = nic_rx_burst(to->nic, pkts, NIC_BURST);
		bool found = false;

		for (unsigned i = 0; i < n; i++) {
			const uint8_t *f = pkts[i].data;

			if (pkts[i].len < ETH_HDR_LEN + ARP_LEN ||
			    get16(f + 12) != ETHERTYPE_ARPV4 ||
			    memcmp(f + 28, to->server_ip, 4) != 0)
				continue;
			memcpy(to->server_mac, f + 22, 6);
			found = true;
		}
		if (n > 0)
			nic_pkt_free(to->nic, pkts, n);
		if (found)
			return true;
		if (clock_mono_ns() < next_ns || !nic_pkt_alloc(to->nic, &pkts[0]))
			continue;
		next_ns = clock_mono_ns() + 100 * NS_PER_MS;
		uint8_t *f = pkts[0].data;

		memset(f, 0, 60);
		memset(f, 0xff, 6);
		memcpy(f + 6, nic_caps(to->nic)->mac, 6);
		memcpy(f + 12, (const uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
		memcpy(f + 22, nic_caps(to->nic)->mac, 6);
		memcpy(f + 28, (const uint8_t[]){10, 91, 0, 1}, 4);
		memcpy(f + 38, to->server_ip, 4);
		pkts[0].len = 60;
		if (nic_tx_burst(to->nic, pkts, 1) == 0)
			nic_pkt_free(to->nic, pkts, 1);
	}
	return false;
}
