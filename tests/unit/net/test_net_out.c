/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "dataplane/net/csum.h"
#include "tests/unit/net/net_rig.h"

static void rig_down(struct net_rig *r)
{
	net_destroy(r->net);
	nic_sim_destroy(r->nic);
}

static unsigned feed(struct net_rig *r, const struct frame *f, uint64_t now_ns)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;
	unsigned up;

	assert_true(nic_sim_inject(r->nic, f->b, f->len));
	n = nic_rx_burst(r->nic, pkts, NIC_BURST);
	up = net_input(r->net, pkts, n, now_ns);
	nic_pkt_free(r->nic, pkts, up);
	return net_flush(r->net);
}

/* The frame that the rig answers with must be exactly want. */
static void expect_reply(struct net_rig *r, const struct frame *question, const struct frame *want)
{
	uint8_t got[FRAME_MAX];

	assert_int_equal(feed(r, question, 0), 1);
	assert_int_equal(nic_sim_take(r->nic, got, sizeof(got)), want->len);
	assert_memory_equal(got, want->b, want->len);
	assert_int_equal(nic_sim_take(r->nic, got, sizeof(got)), 0);
}

static void turn(struct frame *f, const char *dst_mac)
{
	memcpy(f->b, dst_mac, 6);
	memcpy(f->b + 6, OUR_MAC, 6);
}

static void arp_reply(void **state)
{
	static const char any[5] = "";
	struct frame q;
	struct frame a;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	for (int probe = 0; probe < 2; probe++) {
		frame_arp(&q, probe ? any : PEER_V4, OUR_V4_B);
		frame_arp(&a, OUR_V4_B, probe ? any : PEER_V4);
		turn(&a, PEER_MAC);
		a.b[a.l3 + 7] = ARP_OP_REPLY;
		memcpy(a.b + a.l3 + 8, OUR_MAC, 6);
		memcpy(a.b + a.l3 + 18, PEER_MAC, 6);
		a.len = 42;
		expect_reply(&r, &q, &a);
	}
	assert_int_equal(r.ctr.v[CTR_rx_arp], 2);
	rig_down(&r);
}

static void echo_reply_v4(void **state)
{
	static const uint32_t payloads[] = {0, 1, 55, 56, 1471, 1472};
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	for (uint32_t i = 0; i < ARRAY_LEN(payloads); i++) {
		for (uint32_t options = 0; options <= 8; options += 8) {
			uint32_t len = min_u32(payloads[i], 1472 - options);
			struct frame q;
			struct frame a;

			frame_echo4(&q, options, len);
			frame_echo4(&a, 0, len);
			turn(&a, PEER_MAC);
			memset(a.b + a.l3 + 4, 0, 2); /* counts nothing */
			a.b[a.l3 + 8] = 64;
			memcpy(a.b + a.l3 + 12, OUR_V4, 4);
			memcpy(a.b + a.l3 + 16, PEER_V4, 4);
			a.b[a.l4] = ICMP_ECHO_REPLY;
			frame_fix4(&a);
			expect_reply(&r, &q, &a);
		}
	}
	rig_down(&r);
}

static void echo_reply_v6(void **state)
{
	static const uint32_t payloads[] = {0, 1, 56, 1452};
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	for (uint32_t i = 0; i < ARRAY_LEN(payloads); i++) {
		struct frame q;
		struct frame a;

		frame_echo6(&q, payloads[i]);
		q.b[q.l3 + 3] = 7; /* a flow label, which is not ours to send back */
		frame_echo6(&a, payloads[i]);
		turn(&a, PEER_MAC);
		a.b[a.l3 + 7] = 64;
		memcpy(a.b + a.l3 + 8, OUR_V6, 16);
		memcpy(a.b + a.l3 + 24, PEER_V6, 16);
		a.b[a.l4] = ICMPV6_ECHO_REPLY;
		frame_fix6(&a);
		expect_reply(&r, &q, &a);
	}
	rig_down(&r);
}

static void advert(struct frame *a, const char *dst, uint8_t flags)
{
	frame_ns(a, OUR_V6, dst, OUR_V6);
	a->b[a->l4] = ICMPV6_NEIGHBOR_ADVERT;
	a->b[a->l4 + 4] = flags;
	a->b[a->l4 + 24] = 2;
	memcpy(a->b + a->l4 + 26, OUR_MAC, 6);
	frame_fix6(a);
}

static void neighbor_advertisement(void **state)
{
	static const char any[17] = "";
	struct frame q;
	struct frame a;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	frame_ns(&q, PEER_V6, SNM_V6, OUR_V6);
	advert(&a, PEER_V6, 0x60);
	turn(&a, PEER_MAC);
	expect_reply(&r, &q, &a);

	/* RFC 4861 7.2.4: duplicate address detection is answered to all nodes, not solicited. */
	frame_ns(&q, any, SNM_V6, OUR_V6);
	q.len -= 8;
	frame_fix6(&q);
	advert(&a, NODES_V6, 0x20);
	turn(&a, "\x33\x33\0\0\0\1");
	expect_reply(&r, &q, &a);
	rig_down(&r);
}

static void announcements(void **state)
{
	uint8_t got[FRAME_MAX];
	struct frame a;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	net_announce(r.net);
	assert_int_equal(net_flush(r.net), 3);
	for (int i = 0; i < 2; i++) {
		frame_arp(&a, i ? OUR_V4_B : OUR_V4, i ? OUR_V4_B : OUR_V4);
		turn(&a, "\xff\xff\xff\xff\xff\xff");
		memcpy(a.b + a.l3 + 8, OUR_MAC, 6);
		assert_int_equal(nic_sim_take(r.nic, got, sizeof(got)), 42);
		assert_memory_equal(got, a.b, 42);
	}
	advert(&a, NODES_V6, 0x20);
	turn(&a, "\x33\x33\0\0\0\1");
	assert_int_equal(nic_sim_take(r.nic, got, sizeof(got)), a.len);
	assert_memory_equal(got, a.b, a.len);
	rig_down(&r);
}

/* A thousand at once, then a thousand a second; ARP goes on. */
static void echo_is_rate_limited(void **state)
{
	uint64_t now_ns = 5 * NS_PER_S;
	struct frame f;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){.tx_queue = 4096, .buffers = 8192}, NULL);
	frame_echo4(&f, 0, 10);
	for (int i = 0; i < 1100; i++)
		feed(&r, &f, now_ns);
	assert_int_equal(r.ctr.v[CTR_rx_icmp], 1000);
	assert_int_equal(r.ctr.v[CTR_drop_icmp], 100);
	for (int i = 0; i < 1000; i++)
		feed(&r, &f, now_ns + NS_PER_S / 2);
	assert_int_equal(r.ctr.v[CTR_rx_icmp], 1500);
	frame_arp(&f, PEER_V4, OUR_V4);
	assert_int_equal(feed(&r, &f, now_ns + NS_PER_S / 2), 1);
	rig_down(&r);
}

static void path_to_peer(struct net_path *p, bool v4, uint16_t vlan)
{
	memset(p, 0, sizeof(*p));
	assert_true(ip_addr_parse(v4 ? "10.0.0.1" : "2001:db8::1", &p->local));
	assert_true(ip_addr_parse(v4 ? "10.0.0.99" : "2001:db8::63", &p->remote));
	memcpy(p->remote_mac, PEER_MAC, 6);
	p->vlan = vlan;
}

/* Sends the TCP part of f along the path and compares the whole frame. */
static void send_and_compare(struct net_rig *r, const struct net_path *path, struct frame *f,
                             bool sum)
{
	uint32_t tcp_len = f->len - f->l4;
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = tcp_len, .ecn = 2};
	struct pkt *pkt = net_alloc(r->net, path);
	uint8_t got[FRAME_MAX];

	assert_non_null(pkt);
	assert_int_equal(net_headroom(path), f->l4);
	memcpy(pkt->data + net_headroom(path), f->b + f->l4, tcp_len);
	memset(pkt->data + net_headroom(path) + 16, 0xee, 2);
	if (sum) {
		seg.payload_sum = csum_add(0, f->b + f->l4 + TCP_HDR_LEN, tcp_len - TCP_HDR_LEN);
		seg.hdr_sum = csum_join(csum_add(0, f->b + f->l4, 16),
		                        csum_add(0, f->b + f->l4 + 18, TCP_HDR_LEN - 18));
		seg.have_sum = true;
	}
	net_send(r->net, path, pkt, &seg);
	assert_int_equal(net_flush(r->net), 1);
	assert_int_equal(nic_sim_take(r->nic, got, sizeof(got)), f->len);
	assert_memory_equal(got, f->b, f->len);
}

static void segments_are_framed(void **state)
{
	static const uint32_t payloads[] = {0, 1, 2, 100, 777, 1420};

	(void)state;
	for (unsigned mode = 0; mode < 8; mode++) {
		struct nic_sim_config cfg = {.tx_ip_csum = mode & 1, .tx_l4_csum = mode & 2};
		struct net_rig r;

		net_rig_up(&r, &cfg, NULL);
		for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
			struct net_path path;
			struct frame f;
			uint16_t vlan = i % 2 ? 0x0123 : 0;

			path_to_peer(&path, true, vlan);
			frame_tcp4(&f, vlan, 0, payloads[i]);
			turn(&f, PEER_MAC);
			f.b[f.l3 + 1] = 2;
			memset(f.b + f.l3 + 4, 0, 2); /* never cut: RFC 6864 4.1 */
			f.b[f.l3 + 8] = 64;
			memcpy(f.b + f.l3 + 12, OUR_V4, 4);
			memcpy(f.b + f.l3 + 16, PEER_V4, 4);
			frame_fix4(&f);
			send_and_compare(&r, &path, &f, mode & 4);

			path_to_peer(&path, false, 0);
			frame_tcp6(&f, payloads[i]);
			turn(&f, PEER_MAC);
			f.b[f.l3 + 1] = 0x20;
			f.b[f.l3 + 7] = 64;
			memcpy(f.b + f.l3 + 8, OUR_V6, 16);
			memcpy(f.b + f.l3 + 24, PEER_V6, 16);
			frame_fix6(&f);
			send_and_compare(&r, &path, &f, mode & 4);
		}
		rig_down(&r);
	}
}

enum { CUT_MSS = 700, CUT_PAYLOAD = 2 * CUT_MSS + 33, CUT_SEQ = 0x7ffffff0 };

/* The sum over the pseudo-header, with this length. */
static uint32_t pseudo_of(const uint8_t *l3, bool v4, uint32_t len)
{
	const uint8_t tail[4] = {0, PROTO_TCP, (uint8_t)(len >> 8), (uint8_t)len};

	return csum_add(csum_add(0, tail, 4), l3 + (v4 ? 12 : 8), v4 ? 8 : 32);
}

/* To the port: a packet that says where everything lies, and the sum of a pseudo-header without a
 * length. */
static void super_is_made(struct net_rig *r, const struct net_path *path, bool v4)
{
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = TCP_HDR_LEN + CUT_PAYLOAD};
	struct pkt *pkt = net_alloc_large(r->net, path, CUT_MSS);
	struct wire_tcp *tcp;
	uint8_t want[2];

	assert_non_null(pkt);
	assert_true(pkt->cap >= NIC_LARGE_BYTES);
	tcp = (void *)(pkt->data + net_headroom(path));
	memset(tcp, 0, TCP_HDR_LEN);
	tcp->seq = be32_make(CUT_SEQ);
	tcp->data_off = 5 << 4;
	tcp->flags = 0x19;
	memset(tcp + 1, 0x5a, CUT_PAYLOAD);
	net_send_large(r->net, path, pkt, &seg);
	assert_int_equal(pkt->flags, PKT_TX_TSO | PKT_TX_L4_CSUM | (v4 ? PKT_TX_IP_CSUM : 0));
	assert_int_equal(pkt->tso_mss, CUT_MSS);
	assert_int_equal(pkt->payload_len, CUT_PAYLOAD);
	assert_int_equal(pkt->payload_off - pkt->l4_off, TCP_HDR_LEN);
	assert_int_equal(pkt->len, pkt->payload_off + CUT_PAYLOAD);
	csum_put(want, csum_fold_partial(pseudo_of(pkt->data + pkt->l3_off, v4, 0)));
	assert_memory_equal(tcp->csum, want, 2);
}

/* From the port: segments as if they were sent one by one. */
static void piece_is_right(struct net_rig *r, uint32_t i, bool v4, uint32_t l3)
{
	uint8_t got[FRAME_MAX];
	uint32_t len = nic_sim_take(r->nic, got, sizeof(got));
	uint32_t l4 = l3 + (v4 ? IPV4_HDR_LEN : IPV6_HDR_LEN);
	const struct wire_ipv4 *ip = (const void *)(got + l3);
	const struct wire_ipv6 *ip6 = (const void *)(got + l3);
	const struct wire_tcp *tcp = (const void *)(got + l4);

	assert_int_equal(len, l4 + TCP_HDR_LEN + (i < 2 ? CUT_MSS : 33));
	assert_int_equal(be32_get(tcp->seq), CUT_SEQ + i * CUT_MSS);
	assert_int_equal(tcp->flags, i < 2 ? 0x10 : 0x19);
	assert_int_equal(csum_fold(csum_add(pseudo_of(got + l3, v4, len - l4), tcp, len - l4)), 0);
	if (v4) {
		assert_int_equal(be16_get(ip->total_len), len - l3);
		assert_int_equal(be16_get(ip->id), i);
		assert_int_equal(be16_get(ip->frag), 0x4000);
		assert_int_equal(csum_fold(csum_add(0, ip, IPV4_HDR_LEN)), 0);
	} else {
		assert_int_equal(be16_get(ip6->payload_len), len - l4);
	}
}

static void segments_are_cut(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 4; mode++) {
		bool v4 = mode & 1;
		uint16_t vlan = mode & 2 ? 0x0123 : 0;
		struct net_path path;
		struct net_rig r;

		net_rig_up(&r, &(struct nic_sim_config){.large_buffers = 2}, NULL);
		path_to_peer(&path, v4, vlan);
		super_is_made(&r, &path, v4);
		assert_int_equal(net_flush(r.net), 1);
		assert_int_equal(nic_sim_large_used(r.nic), 0);
		for (uint32_t i = 0; i < 3; i++)
			piece_is_right(&r, i, v4, vlan ? 18 : 14);
		assert_int_equal(nic_sim_take(r.nic, &(uint8_t){0}, 1), 0);
		rig_down(&r);
	}
}

/* None is left: counted, and an ordinary packet still goes. */
static void send_small(struct net_rig *r, const struct net_path *path)
{
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = TCP_HDR_LEN};
	struct pkt *pkt = net_alloc(r->net, path);

	assert_non_null(pkt);
	memset(pkt->data + net_headroom(path), 0, TCP_HDR_LEN);
	net_send(r->net, path, pkt, &seg);
}

/* What the port will never take is dropped alone, whether the rest may wait or not. */
static void refused_alone(void **state)
{
	(void)state;
	for (unsigned waits = 0; waits < 2; waits++) {
		struct net_path path;
		struct net_rig r;

		net_rig_up(&r, &(struct nic_sim_config){.large_buffers = 2}, NULL);
		path_to_peer(&path, true, 0);
		nic_sim_set_faults(r.nic, NIC_SIM_NO_CUT);
		send_small(&r, &path);
		super_is_made(&r, &path, true);
		super_is_made(&r, &path, true);
		send_small(&r, &path);
		assert_int_equal(waits ? net_flush_some(r.net) : net_flush(r.net), 2);
		assert_int_equal(net_queued(r.net), 0);
		assert_int_equal(r.ctr.v[CTR_shed_tx], 2);
		assert_int_equal(r.ctr.v[CTR_tx_packets], 2);
		assert_int_equal(nic_sim_large_used(r.nic), 0);
		rig_down(&r);
	}
}

static void no_large_buffer_left(void **state)
{
	struct pkt held[2];
	struct net_path path;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){.large_buffers = 2}, NULL);
	path_to_peer(&path, true, 0);
	assert_true(nic_pkt_alloc_large(r.nic, &held[0]));
	assert_true(nic_pkt_alloc_large(r.nic, &held[1]));
	assert_null(net_alloc_large(r.net, &path, CUT_MSS));
	assert_int_equal(r.ctr.v[CTR_shed_large], 1);
	assert_int_equal(r.ctr.v[CTR_shed_pkt], 0);
	net_announce(r.net);
	assert_true(net_flush(r.net) > 0);
	nic_pkt_free(r.nic, held, 2);
	assert_int_equal(nic_sim_large_used(r.nic), 0);
	rig_down(&r);
}

/* A full queue is flushed by itself; what the port refuses is counted and freed. */
static void queue_limits(void **state)
{
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = TCP_HDR_LEN};
	struct net_path path;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){.tx_queue = 64, .buffers = 256}, NULL);
	path_to_peer(&path, true, 0);
	for (int i = 0; i < 100; i++) {
		struct pkt *pkt = net_alloc(r.net, &path);

		assert_non_null(pkt);
		memset(pkt->data + net_headroom(&path), 0, TCP_HDR_LEN);
		net_send(r.net, &path, pkt, &seg);
	}
	assert_int_equal(r.ctr.v[CTR_tx_packets], 64);
	assert_int_equal(r.ctr.v[CTR_tx_bytes], 64 * 54);
	assert_int_equal(net_flush(r.net), 0);
	assert_int_equal(r.ctr.v[CTR_shed_tx], 36);
	assert_int_equal(nic_pkts_free(r.nic), 256 - 64);
	assert_int_equal(net_flush(r.net), 0);
	rig_down(&r);
}

/* With room to hold, what the port refuses waits in order; only what is beyond that is lost. */
static void queue_holds(void **state)
{
	enum { HOLD = 100, ALL = NET_TX_QUEUE + HOLD, SENT = 200 };
	struct net_seg seg = {.tcp_hdr_len = TCP_HDR_LEN, .tcp_len = TCP_HDR_LEN};
	struct net_config nc;
	struct net_path path;
	struct net_rig r;
	uint8_t got[FRAME_MAX];
	struct net *net;
	uint32_t next = 0;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){.tx_queue = 16, .buffers = 512}, NULL);
	path_to_peer(&path, true, 0);
	net_config_default(&nc);
	nc.nic = r.nic;
	nc.ctr = &r.ctr;
	nc.tx_hold = NET_TX_HOLD_MAX + 1;
	assert_int_equal(net_open(&net, &nc), ST_INVALID);
	nc.tx_hold = HOLD;
	assert_int_equal(net_open(&net, &nc), ST_OK);
	for (uint32_t i = 0; i < SENT; i++) {
		struct pkt *pkt = net_alloc(net, &path);

		assert_non_null(pkt);
		memset(pkt->data + net_headroom(&path), 0, TCP_HDR_LEN);
		pkt->data[net_headroom(&path)] = (uint8_t)i;
		net_send(net, &path, pkt, &seg);
		/* The ring has 16 places and nobody takes a frame: 180 fit. */
		assert_int_equal(r.ctr.v[CTR_shed_tx], i < 16 + ALL ? 0 : ALL);
	}
	assert_int_equal(net_queued(net), SENT - 16 - ALL);
	/* In the order they came, whatever was flushed between. */
	for (uint32_t i = 0; i < 16 + SENT - 16 - ALL; i++) {
		assert_true(nic_sim_take(r.nic, got, sizeof(got)) > 0);
		assert_int_equal(got[net_headroom(&path)], next);
		next = next == 15 ? 16 + ALL : next + 1;
		net_flush_some(net);
	}
	assert_int_equal(net_queued(net), 0);
	net_destroy(net);
	assert_int_equal(nic_pkts_free(r.nic), 512);
	rig_down(&r);
}

static void no_buffer_left(void **state)
{
	struct pkt held[4];
	struct net_path path;
	struct frame f;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){.buffers = 5}, NULL);
	path_to_peer(&path, true, 0);
	for (size_t i = 0; i < 4; i++)
		assert_true(nic_pkt_alloc(r.nic, &held[i]));
	frame_arp(&f, PEER_V4, OUR_V4);
	assert_int_equal(feed(&r, &f, 0), 1); /* answered in the buffer that it came in */
	assert_int_equal(nic_pkts_free(r.nic), 0);
	assert_null(net_alloc(r.net, &path));
	assert_int_equal(r.ctr.v[CTR_shed_pkt], 1);
	assert_int_equal(nic_sim_take(r.nic, f.b, sizeof(f.b)), 42);
	nic_pkt_free(r.nic, held, 4);
	rig_down(&r);
}

static void addresses_are_checked(void **state)
{
	static const char *const bad[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255",
	                                  "::", "ff02::1"};
	struct ip_addr addrs[NET_MAX_ADDRS + 1];
	struct counters ctr;
	struct net *net;
	struct nic *nic = nic_sim_create(&(struct nic_sim_config){0});

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(ip_addr_parse(bad[i], &addrs[0]));
		assert_int_equal(net_create(&net, nic, &ctr, addrs, 1), ST_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++)
		assert_true(ip_addr_parse("192.0.2.1", &addrs[i]));
	assert_int_equal(net_create(&net, nic, &ctr, addrs, NET_MAX_ADDRS + 1), ST_TOOBIG);
	assert_int_equal(net_create(&net, nic, &ctr, addrs, NET_MAX_ADDRS), ST_OK);
	net_destroy(net);
	nic_sim_destroy(nic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(arp_reply),           cmocka_unit_test(echo_reply_v4),
	        cmocka_unit_test(echo_reply_v6),       cmocka_unit_test(neighbor_advertisement),
	        cmocka_unit_test(announcements),       cmocka_unit_test(echo_is_rate_limited),
	        cmocka_unit_test(segments_are_framed), cmocka_unit_test(segments_are_cut),
	        cmocka_unit_test(refused_alone),       cmocka_unit_test(no_large_buffer_left),
	        cmocka_unit_test(queue_limits),        cmocka_unit_test(queue_holds),
	        cmocka_unit_test(no_buffer_left),      cmocka_unit_test(addresses_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
