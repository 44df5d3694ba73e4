/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Link addresses for connections that we open (RFC 826, RFC 4861 7.2, 7.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/net/net_rig.h"

static struct net_way way_to(bool v6, uint16_t vlan)
{
	struct net_way way = {.vlan = vlan};

	assert_true(ip_addr_parse(v6 ? "2001:db8::1" : "10.0.0.1", &way.local));
	assert_true(ip_addr_parse(v6 ? "2001:db9::7" : "192.0.2.7", &way.remote));
	assert_true(ip_addr_parse(v6 ? "2001:db8::63" : "10.0.0.99", &way.next_hop));
	return way;
}

/* The next hop's answer to us. */
static void answer(struct frame *f, bool v6)
{
	if (!v6) {
		frame_arp(f, PEER_V4, OUR_V4);
		memcpy(f->b, OUR_MAC, 6);
		f->b[f->l3 + 7] = ARP_OP_REPLY;
		return;
	}
	frame_ns(f, PEER_V6, OUR_V6, PEER_V6);
	f->b[f->l4] = ICMPV6_NEIGHBOR_ADVERT;
	f->b[f->l4 + 4] = 0x60;
	f->b[f->l4 + 24] = 2;
	frame_fix6(f);
}

static void check_question(const struct frame *f, bool v6, bool unicast)
{
	struct frame want;

	if (v6) {
		static const char group[] = "\xff\2\0\0\0\0\0\0\0\0\0\1\xff\0\0\x63";

		frame_ns(&want, OUR_V6, unicast ? PEER_V6 : group, PEER_V6);
		memcpy(want.b + want.l4 + 26, OUR_MAC, 6);
		frame_fix6(&want);
		memcpy(want.b, unicast ? PEER_MAC : "\x33\x33\xff\0\0\x63", 6);
		memcpy(want.b + 6, OUR_MAC, 6);
		assert_int_equal(f->len, want.len);
	} else {
		frame_arp(&want, OUR_V4, PEER_V4);
		memcpy(want.b + 22, OUR_MAC, 6);
		memcpy(want.b + 6, OUR_MAC, 6);
		if (unicast)
			memcpy(want.b, PEER_MAC, 6);
		want.len = f->len;
	}
	assert_memory_equal(f->b, want.b, f->len);
}

/* Asked, answered, used, asked again after a while, and forgotten when silent. */
static void life(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct net_way way = way_to(v6, 0);
		struct net_path path;
		struct net_rig r;
		struct frame f;

		net_rig_up(&r, NULL, NULL);
		answer(&f, v6);
		net_rig_want(&r, &f, v6 ? CTR_drop_ndp : CTR_drop_arp, "answer to no question");
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_AGAIN);
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_AGAIN);
		net_rig_wait(&r, 1);
		assert_true(net_rig_sent(&r, &f));
		check_question(&f, v6, false);
		assert_false(net_rig_sent(&r, &f));
		answer(&f, v6);
		net_rig_want(&r, &f, v6 ? CTR_rx_ndp : CTR_rx_arp, "answer");
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_OK);
		assert_memory_equal(path.remote_mac, PEER_MAC, 6);
		assert_true(ip_addr_eq(&path.remote, &way.remote));
		assert_true(ip_addr_eq(&path.local, &way.local));
		/* Somebody else's unasked answer turns nothing. */
		answer(&f, v6);
		f.b[v6 ? f.l4 + 31 : f.l3 + 13] ^= 1;
		if (v6)
			frame_fix6(&f);
		net_rig_want(&r, &f, v6 ? CTR_drop_ndp : CTR_drop_arp, "second answer");
		net_rig_wait(&r, 29990);
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_OK);
		assert_memory_equal(path.remote_mac, PEER_MAC, 6);
		assert_false(net_rig_sent(&r, &f));
		net_rig_wait(&r, 20);
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_OK);
		for (int i = 0; i < 3; i++) {
			net_rig_wait(&r, i == 0 ? 1 : 1000);
			assert_true(net_rig_sent(&r, &f));
			check_question(&f, v6, true);
			assert_false(net_rig_sent(&r, &f));
			assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_OK);
		}
		net_rig_wait(&r, 1000);
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_NOTFOUND);
		assert_false(net_rig_sent(&r, &f));
		net_rig_wait(&r, 1001);
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_AGAIN);
		net_rig_down(&r);
	}
}

/* More neighbors than places: those asked for longest ago go, and nothing grows. */
static void bounded(void **state)
{
	struct net_way way = way_to(false, 0);
	struct net_path path;
	struct net_rig r;
	struct frame f;
	uint32_t n = 0;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	for (uint32_t i = 1; i <= 200; i++) {
		way.next_hop.b[15] = (uint8_t)i;
		way.next_hop.b[14] = 3;
		assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns + i), ST_AGAIN);
	}
	net_flush(r.net);
	while (net_rig_sent(&r, &f))
		n++;
	assert_int_equal(n, 200);
	net_rig_wait(&r, 1001);
	n = 0;
	while (net_rig_sent(&r, &f))
		n++;
	assert_int_equal(n, 32);
	net_rig_down(&r);
}

/* A neighbor is one of its VLAN; a path is of one version and from an address of ours. */
static void what_is_asked(void **state)
{
	struct net_way way = way_to(false, 0x2064);
	struct net_path path;
	struct net_rig r;
	struct frame f;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_AGAIN);
	net_rig_wait(&r, 1);
	assert_true(net_rig_sent(&r, &f));
	assert_memory_equal(f.b + 12, "\x81\x00\x20\x64\x08\x06", 6);
	answer(&f, false);
	net_rig_want(&r, &f, CTR_drop_arp, "answer out of another VLAN");
	memmove(f.b + 16, f.b + 12, f.len - 12);
	memcpy(f.b + 12, "\x81\x00\x20\x64", 4);
	f.len += 4;
	net_rig_want(&r, &f, CTR_rx_arp, "answer");
	assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_OK);
	assert_int_equal(path.vlan, 0x2064);
	way.local.b[15] = 77;
	assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_INVALID);
	way = way_to(true, 0);
	assert_true(ip_addr_parse("10.0.0.1", &way.local));
	assert_int_equal(net_path_make(r.net, &way, &path, r.now_ns), ST_INVALID);
	net_rig_down(&r);
}

/* As many addresses as there may be, some of them twice, next to each other or far apart: each is
 * ours, and its neighbors are not. */
static void every_address_is_found(void **state)
{
	static const uint32_t steps[] = {1, 2, 0x01000000, 0x9e3779b1};
	struct nic_sim_config nc = {0};
	struct nic *nic = nic_sim_create(&nc);
	struct counters ctr = {0};

	(void)state;
	assert_non_null(nic);
	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		struct ip_addr addrs[NET_MAX_ADDRS];
		struct net_way way = way_to(false, 0);
		struct net_path path;
		struct net *net;

		for (uint32_t i = 0; i < NET_MAX_ADDRS; i++) {
			uint32_t v = 0x0a010101u + i / 2 * 2 * steps[s] % 0x60000000u;

			addrs[i] = way.local;
			addrs[i].b[12] = (uint8_t)(v >> 24);
			addrs[i].b[13] = (uint8_t)(v >> 16);
			addrs[i].b[14] = (uint8_t)(v >> 8);
			addrs[i].b[15] = (uint8_t)v;
		}
		assert_int_equal(net_create(&net, nic, &ctr, addrs, NET_MAX_ADDRS), ST_OK);
		for (uint32_t i = 0; i < NET_MAX_ADDRS; i++) {
			way.local = addrs[i];
			assert_int_equal(net_path_make(net, &way, &path, 1), ST_AGAIN);
			way.local.b[14] ^= 0x80;
			assert_int_equal(net_path_make(net, &way, &path, 1), ST_INVALID);
		}
		net_destroy(net);
	}
	nic_sim_destroy(nic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(life),
	        cmocka_unit_test(bounded),
	        cmocka_unit_test(every_address_is_found),
	        cmocka_unit_test(what_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
