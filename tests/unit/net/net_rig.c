/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/net/net_rig.h"

void net_rig_up(struct net_rig *r, const struct nic_sim_config *nic, const struct net_config *cfg)
{
	static const struct nic_sim_config plain;
	struct ip_addr addrs[3];
	struct net_config c;

	memset(r, 0, sizeof(*r));
	r->now_ns = NS_PER_S;
	assert_true(ip_addr_parse("10.0.0.1", &addrs[0]));
	assert_true(ip_addr_parse("10.0.0.2", &addrs[1]));
	assert_true(ip_addr_parse("2001:db8::1", &addrs[2]));
	r->nic = nic_sim_create(nic ? nic : &plain);
	assert_non_null(r->nic);
	net_config_default(&c);
	if (cfg)
		c = *cfg;
	c.nic = r->nic;
	c.ctr = &r->ctr;
	c.addrs = addrs;
	c.addr_count = 3;
	c.now_ns = r->now_ns;
	assert_int_equal(net_open(&r->net, &c), ST_OK);
}

void net_rig_down(struct net_rig *r)
{
	struct frame f;

	net_flush(r->net);
	while (net_rig_sent(r, &f))
		;
	net_rig_check(r);
	net_destroy(r->net);
	assert_int_equal(nic_pkts_free(r->nic), 1024);
	nic_sim_destroy(r->nic);
}

void net_rig_check(struct net_rig *r)
{
	const struct counters *c = &r->ctr;
	struct net_error e;
	uint64_t ended;

	while (net_error_take(r->net, &e))
		counter_inc(&r->ctr, CTR_rx_icmp);
	ended = c->v[CTR_rx_tcp] + c->v[CTR_rx_arp] + c->v[CTR_rx_ndp] + c->v[CTR_rx_icmp] +
	        c->v[CTR_rx_fragment];
#define COUNTER(id, metric, labels, help)
#define DROP(id, reason, help) ended += c->v[CTR_##id];
#define SHED(id, reason, help)
#include "lib/counters.def"
	assert_int_equal(ended, c->v[CTR_rx_packets]);
}

unsigned net_rig_feed(struct net_rig *r, const struct frame *f)
{
	unsigned up;

	assert_true(nic_sim_inject(r->nic, f->b, f->len));
	assert_int_equal(nic_rx_burst(r->nic, r->up, NIC_BURST), 1);
	up = net_input(r->net, r->up, 1, r->now_ns);
	counter_add(&r->ctr, CTR_rx_tcp, up); /* as tcp_input would */
	net_flush(r->net);
	return up;
}

void net_rig_drop(struct net_rig *r, unsigned up)
{
	nic_pkt_free(r->nic, r->up, up);
}

void net_rig_want(struct net_rig *r, const struct frame *f, enum counter_id want, const char *name)
{
	uint64_t before = r->ctr.v[want];
	unsigned up = net_rig_feed(r, f);

	net_rig_drop(r, up);
	net_rig_check(r);
	if (r->ctr.v[want] != before + 1)
		fail_msg("\"%s\" ended in another counter than %s", name, counter_infos[want].id);
}

bool net_rig_sent(struct net_rig *r, struct frame *out)
{
	memset(out, 0, sizeof(*out));
	out->len = nic_sim_take(r->nic, out->b, sizeof(out->b));
	out->l3 = ETH_HDR_LEN;
	out->l4 = out->l3 + (out->b[12] == 0x08 ? IPV4_HDR_LEN : IPV6_HDR_LEN);
	return out->len > 0;
}

void net_rig_wait(struct net_rig *r, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++) {
		r->now_ns += NS_PER_MS;
		net_tick(r->net, r->now_ns);
	}
	net_flush(r->net);
}
