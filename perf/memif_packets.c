/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How many frames go through a memif and back: sends frames of one size, keeps so many under way,
 * and counts those that return. For perf/side/memif.py, with testpmd in mode macswap (which does
 * nothing to a packet but swap its MAC addresses) at the other end: what is left of that by a
 * server is what the server costs. Prints one JSON object.
 *
 *   memif_packets SOCKET CPU MS SIZE WINDOW [huge]
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/nic.h"
#include "lib/clock.h"
#include "perf/load/dpdk_port.h"

enum {
	FRAME_MIN = 64,
	FRAME_MAX = 1514,
	WINDOW_MAX = 1024,
	RX_BURSTS = 4,
	LOST_MS = 1000, /* without any frame: what is under way will not come */
	TRY_MS = 10,
};

struct run {
	struct nic *nic;
	uint32_t size;
	uint32_t window;
	uint32_t under_way;
	uint64_t sent;
	uint64_t returned;
	uint64_t lost;
	uint64_t rounds;
	uint64_t busy_rounds;
	uint64_t heard_ns;
};

static bool frame_make(struct run *r, struct pkt *pkt)
{
	static const uint8_t type[2] = {0x88, 0xb5}; /* for experiments (IEEE 802) */

	if (!nic_pkt_alloc(r->nic, pkt))
		return false;
	memset(pkt->data, 0, r->size);
	pkt->data[0] = 2;
	memcpy(pkt->data + 6, nic_caps(r->nic)->mac, 6);
	memcpy(pkt->data + 12, type, 2);
	pkt->len = r->size;
	return true;
}

static void frames_send(struct run *r)
{
	while (r->under_way + NIC_BURST <= r->window) {
		struct pkt pkts[NIC_BURST];
		unsigned n = 0;
		unsigned took;

		while (n < NIC_BURST && frame_make(r, &pkts[n]))
			n++;
		took = nic_tx_burst(r->nic, pkts, n);
		r->sent += took;
		r->under_way += took;
		if (took < n)
			nic_pkt_free(r->nic, &pkts[took], n - took);
		if (took < NIC_BURST)
			return;
	}
}

static bool frames_receive(struct run *r)
{
	struct pkt pkts[NIC_BURST];
	bool any = false;

	for (uint32_t i = 0; i < RX_BURSTS; i++) {
		unsigned n = nic_rx_burst(r->nic, pkts, NIC_BURST);

		if (n > 0)
			nic_pkt_free(r->nic, pkts, n);
		any |= n > 0;
		r->returned += n;
		r->under_way -= min_u32(n, r->under_way);
		if (n < NIC_BURST)
			break;
	}
	return any;
}

static void run_for(struct run *r, uint32_t ms)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t end_ns = now_ns + ms * NS_PER_MS;

	r->heard_ns = now_ns;
	for (; now_ns < end_ns; now_ns = clock_mono_ns()) {
		r->rounds++;
		if (frames_receive(r)) {
			r->heard_ns = now_ns;
			r->busy_rounds++;
		} else if (now_ns - r->heard_ns > LOST_MS * NS_PER_MS) {
			r->lost += r->under_way;
			r->under_way = 0;
			r->heard_ns = now_ns;
		}
		frames_send(r);
	}
}

/* Until the other end has answered once. It can send only into buffers that our receiving put into
 * its ring, and drops what it gets before: so a burst at a time, and what does not come back within
 * a try is lost. */
static bool peer_wait(struct run *r)
{
	uint64_t end_ns = clock_mono_ns() + LOAD_PORT_WAIT_MS * NS_PER_MS;
	uint32_t window = r->window;

	r->window = NIC_BURST;
	while (r->returned == 0 && clock_mono_ns() < end_ns) {
		r->under_way = 0;
		run_for(r, TRY_MS);
	}
	r->window = window;
	return r->returned > 0;
}

int main(int argc, char **argv)
{
	struct transport_config cfg = {.host = "10.0.0.1", .local = "10.0.0.2", .links = 1};
	struct load_port port;
	struct run r = {0};
	char device[512];
	char err[TRANSPORT_ERR];
	uint64_t began_ns;
	uint32_t ms;
	double s;

	if (argc < 6) {
		fprintf(stderr, "usage: memif_packets SOCKET CPU MS SIZE WINDOW [huge], for "
		                "perf/hit_memif\n");
		return 2;
	}
	snprintf(device, sizeof(device), "memif:%s", argv[1]);
	cfg.device = device;
	cfg.cpu = atoi(argv[2]);
	cfg.huge_pages = argc > 6;
	ms = (uint32_t)atoi(argv[3]);
	r.size = min_u32(max_u32((uint32_t)atoi(argv[4]), FRAME_MIN), FRAME_MAX);
	r.window = min_u32(max_u32((uint32_t)atoi(argv[5]), NIC_BURST), WINDOW_MAX);
	if (load_port_open(&port, &cfg, err) != ST_OK) {
		fprintf(stderr, "memif_packets: %s\n", err);
		return 1;
	}
	r.nic = port.nic;
	if (!peer_wait(&r)) {
		fprintf(stderr, "memif_packets: no frame comes back from %s\n", argv[1]);
		return 1;
	}
	r = (struct run){
	        .nic = r.nic, .size = r.size, .window = r.window, .under_way = r.under_way};
	began_ns = clock_mono_ns();
	run_for(&r, ms);
	s = (double)(clock_mono_ns() - began_ns) / 1e9;
	printf("{\"seconds\":%.3f,\"size\":%u,\"window\":%u,\"sent\":%lu,\"returned\":%lu,"
	       "\"lost\":%lu,\"per_s\":%.0f,\"busy_rounds_share\":%.3f}\n",
	       s, r.size, r.window, r.sent, r.returned, r.lost, (double)r.returned / s,
	       (double)r.busy_rounds / (double)r.rounds);
	load_port_close(&port);
	return 0;
}
