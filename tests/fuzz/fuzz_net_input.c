/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames of any content through net_input. The input is a list of frames, each behind two bytes of
 * length, whose high bits let time pass; bits of the first byte of all choose what the port offers
 * and whether our address is tentative at first. Checked: each packet ends in exactly one counter,
 * a segment passed up lies within its packet, an ICMP error put by is about one of our addresses,
 * no buffer is lost, and what is sent is a frame from our address. */
#include <stdlib.h>

#include "dataplane/net/net.h"
#include "tests/sim/nic_sim.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t packets_ended(const struct counters *c)
{
	uint64_t ended = c->v[CTR_rx_tcp] + c->v[CTR_rx_arp] + c->v[CTR_rx_ndp] +
	                 c->v[CTR_rx_icmp] + c->v[CTR_rx_fragment];

#define COUNTER(id, metric, labels, help)
#define DROP(id, reason, help) ended += c->v[CTR_##id];
#define SHED(id, reason, help)
#include "lib/counters.def"
	return ended;
}

static void check_sent(void *arg, const void *data, uint32_t len)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

	(void)arg;
	CHECK(len >= 42 && len <= 1518);
	CHECK(memcmp((const uint8_t *)data + 6, mac, 6) == 0);
}

static void check_segment(const struct pkt *p)
{
	struct net_path path;

	CHECK(p->ip_version == 4 || p->ip_version == 6);
	CHECK(p->l3_off < p->l4_off && p->l4_off + 20u <= p->payload_off);
	CHECK(p->payload_off + (uint32_t)p->payload_len == p->len && p->len <= p->cap);
	net_path_reply(p, &path);
	CHECK(ip_addr_is_v4(&path.remote) == (p->ip_version == 4));
}

static void check_errors(struct net *net, struct counters *ctr)
{
	struct net_error e;

	while (net_error_take(net, &e)) {
		bool v4 = ip_addr_is_v4(&e.local);

		CHECK(e.kind <= NET_ERROR_HARD && !e.passed);
		CHECK(v4 ? e.local.b[12] == 10 : e.local.b[0] == 0x20);
		counter_inc(ctr, CTR_rx_icmp); /* as tcp_input_errors would */
	}
}

static void burst(struct nic *nic, struct net *net, struct counters *ctr, uint64_t now_ns)
{
	struct pkt pkts[NIC_BURST];
	unsigned n = nic_rx_burst(nic, pkts, NIC_BURST);
	unsigned up = net_input(net, pkts, n, now_ns);

	CHECK(up <= n);
	counter_add(ctr, CTR_rx_tcp, up); /* as tcp_input would */
	for (unsigned i = 0; i < up; i++)
		check_segment(&pkts[i]);
	check_errors(net, ctr);
	nic_pkt_free(nic, pkts, up);
	net_tick(net, now_ns);
	net_flush(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nic_sim_config cfg = {.buffers = 64, .on_tx = check_sent};
	struct counters ctr = {{0}};
	struct net_config config;
	struct ip_addr addrs[2];
	uint64_t injected = 0;
	uint64_t now_ns = NS_PER_S;
	struct net *net;
	struct nic *nic;

	if (size < 1)
		return 0;
	cfg.rx_csum = data[0] & 1;
	cfg.rx_partial_csum = data[0] & 2;
	CHECK(ip_addr_parse("10.0.0.1", &addrs[0]) && ip_addr_parse("2001:db8::1", &addrs[1]));
	nic = nic_sim_create(&cfg);
	net_config_default(&config);
	config.nic = nic;
	config.ctr = &ctr;
	config.addrs = addrs;
	config.addr_count = 2;
	config.fragments = 4;
	config.dad_transmits = data[0] & 4 ? 1 : 0;
	config.now_ns = now_ns;
	CHECK(nic != NULL && net_open(&net, &config) == ST_OK);
	for (size_t at = 1; at + 2 <= size;) {
		size_t len = ((size_t)data[at] << 8) | data[at + 1];

		at += 2;
		now_ns += (len >> 12) * (len >> 12) * 300 * NS_PER_MS;
		len = min_size(len & 0xfff, size - at);
		injected += nic_sim_inject(nic, data + at, (uint32_t)len);
		at += len;
		if (nic_sim_pending(nic) == NIC_BURST || at + 2 > size)
			burst(nic, net, &ctr, now_ns);
	}
	burst(nic, net, &ctr, now_ns + NS_PER_S);
	CHECK(ctr.v[CTR_rx_packets] == injected);
	CHECK(packets_ended(&ctr) == injected);
	CHECK(nic_pkts_free(nic) == 64);
	net_destroy(net);
	nic_sim_destroy(nic);
	return 0;
}
