/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/net/net_rig.h"

static void rig_down(struct net_rig *r)
{
	net_destroy(r->net);
	assert_int_equal(nic_pkts_free(r->nic), 1024);
	nic_sim_destroy(r->nic);
}

/* RFC-level identity of the counters: what came in ended in exactly one place. */
static void check_identity(const struct counters *c)
{
	uint64_t ended = c->v[CTR_rx_tcp] + c->v[CTR_rx_arp] + c->v[CTR_rx_ndp] +
	                 c->v[CTR_rx_icmp] + c->v[CTR_rx_fragment];

#define COUNTER(id, metric, labels, help)
#define DROP(id, reason, help) ended += c->v[CTR_##id];
#define SHED(id, reason, help)
#include "lib/counters.def"
#undef COUNTER
#undef DROP
#undef SHED
	assert_int_equal(ended, c->v[CTR_rx_packets]);
}

/* One frame through net_input; TCP segments stay in r->up[0]. */
static unsigned feed(struct net_rig *r, const uint8_t *b, uint32_t len, uint64_t now_ns)
{
	unsigned n;
	unsigned up;

	assert_true(nic_sim_inject(r->nic, b, len));
	n = nic_rx_burst(r->nic, r->up, NIC_BURST);
	assert_int_equal(n, 1);
	up = net_input(r->net, r->up, n, now_ns);
	counter_add(&r->ctr, CTR_rx_tcp, up); /* as tcp_input would */
	check_identity(&r->ctr);
	return up;
}

/* What goes into the table of frames. */
enum base {
	TCP4,
	TCP4_TAGGED,
	TCP4_OPTIONS,
	TCP6,
	ECHO4,
	ECHO6,
	ARP,
	ARP_PROBE,
	NS,
	NS_UNICAST,
	NS_DAD,
	NS_DAD_UNICAST,
};

static void build(struct frame *f, enum base base)
{
	static const char any[17] = "";

	switch (base) {
	case TCP4:
		frame_tcp4(f, 0, 0, 10);
		break;
	case TCP4_TAGGED:
		frame_tcp4(f, 0x2064, 0, 10);
		break;
	case TCP4_OPTIONS:
		frame_tcp4(f, 0, 12, 10);
		break;
	case TCP6:
		frame_tcp6(f, 11);
		break;
	case ECHO4:
		frame_echo4(f, 0, 56);
		break;
	case ECHO6:
		frame_echo6(f, 56);
		break;
	case ARP:
		frame_arp(f, PEER_V4, OUR_V4);
		break;
	case ARP_PROBE:
		frame_arp(f, any, OUR_V4_B);
		break;
	case NS:
		frame_ns(f, PEER_V6, SNM_V6, OUR_V6);
		break;
	case NS_UNICAST:
		frame_ns(f, PEER_V6, OUR_V6, OUR_V6);
		break;
	case NS_DAD:
		frame_ns(f, any, SNM_V6, OUR_V6);
		f->len -= 8; /* no source link-layer option (RFC 4861 7.1.1) */
		frame_fix6(f);
		break;
	case NS_DAD_UNICAST:
		frame_ns(f, any, OUR_V6, OUR_V6);
		f->len -= 8;
		frame_fix6(f);
		break;
	}
}

/* How a row changes the frame: bytes at an offset from the start, the IP or the next header. */
enum from { NOWHERE, ETH, L3, L4, LENGTH, PAD };

struct row {
	const char *name;
	enum base base;
	enum from from;
	int at; /* LENGTH: change of the frame's length; PAD: bytes appended */
	const char *bytes;
	uint32_t count;
	bool fix; /* lengths and checksums are right for the change */
	enum counter_id want;
};

static const struct row rows[] = {
        {"tcp4", TCP4, NOWHERE, 0, "", 0, false, CTR_rx_tcp},
        {"tcp4 tagged", TCP4_TAGGED, NOWHERE, 0, "", 0, false, CTR_rx_tcp},
        {"tcp4 ip options", TCP4_OPTIONS, NOWHERE, 0, "", 0, false, CTR_rx_tcp},
        {"tcp4 padded", TCP4, PAD, 6, "", 0, false, CTR_rx_tcp},
        {"tcp4 to second address", TCP4, L3, 16, OUR_V4_B, 4, true, CTR_rx_tcp},
        {"tcp6", TCP6, NOWHERE, 0, "", 0, false, CTR_rx_tcp},
        {"tcp6 padded", TCP6, PAD, 3, "", 0, false, CTR_rx_tcp},
        {"echo4", ECHO4, NOWHERE, 0, "", 0, false, CTR_rx_icmp},
        {"echo6", ECHO6, NOWHERE, 0, "", 0, false, CTR_rx_icmp},
        {"arp", ARP, NOWHERE, 0, "", 0, false, CTR_rx_arp},
        {"arp unicast", ARP, ETH, 0, OUR_MAC, 6, false, CTR_rx_arp},
        {"arp probe", ARP_PROBE, NOWHERE, 0, "", 0, false, CTR_rx_arp},
        {"ns", NS, NOWHERE, 0, "", 0, false, CTR_rx_ndp},
        {"ns unicast", NS_UNICAST, NOWHERE, 0, "", 0, false, CTR_rx_ndp},
        {"ns dad", NS_DAD, NOWHERE, 0, "", 0, false, CTR_rx_ndp},

        {"frame cut in ethernet", TCP4, LENGTH, -51, "", 0, false, CTR_drop_runt},
        {"frame cut in tag", TCP4_TAGGED, LENGTH, -52, "", 0, false, CTR_drop_runt},
        {"frame cut in ipv4", TCP4, LENGTH, -31, "", 0, false, CTR_drop_runt},
        {"frame cut in tcp", TCP4, LENGTH, -1, "", 0, false, CTR_drop_runt},
        {"frame cut in ipv6", TCP6, LENGTH, -32, "", 0, false, CTR_drop_runt},
        {"frame cut in payload 6", TCP6, LENGTH, -1, "", 0, false, CTR_drop_runt},
        {"frame cut in arp", ARP, LENGTH, -19, "", 0, false, CTR_drop_runt},
        {"other ethertype", TCP4, ETH, 12, "\x88\xcc", 2, false, CTR_drop_ethertype},
        {"two tags", TCP4_TAGGED, ETH, 16, "\x81\x00", 2, false, CTR_drop_ethertype},
        {"source is a group", TCP4, ETH, 6, "\x03", 1, false, CTR_drop_ip_options},
        {"for another mac", TCP4, ETH, 5, "\x02", 1, false, CTR_drop_not_ours},
        {"broadcast frame, unicast ip", TCP4, ETH, 0, "\xff\xff\xff\xff\xff\xff", 6, false,
         CTR_drop_not_ours},
        {"tcp6 for another mac", TCP6, ETH, 5, "\x02", 1, false, CTR_drop_not_ours},

        {"version 5", TCP4, L3, 0, "\x55", 1, false, CTR_drop_ip_header},
        {"header length 16", TCP4, L3, 0, "\x44", 1, false, CTR_drop_ip_header},
        {"header length over total", TCP4, L3, 2, "\x00\x13", 2, false, CTR_drop_ip_header},
        {"total over frame", TCP4, L3, 2, "\x00\x33", 2, false, CTR_drop_runt},
        {"ip checksum", TCP4, L3, 10, "\x00\x00", 2, false, CTR_drop_ip_csum},
        {"not our address", TCP4, L3, 16, "\x0a\x00\x00\x03", 4, true, CTR_drop_not_ours},
        {"ip broadcast", TCP4, L3, 16, "\xff\xff\xff\xff", 4, true, CTR_drop_not_ours},
        {"source multicast", TCP4, L3, 12, "\xe0\x00\x00\x01", 4, true, CTR_drop_ip_options},
        {"source broadcast", TCP4, L3, 12, "\xff\xff\xff\xff", 4, true, CTR_drop_ip_options},
        {"source loopback", TCP4, L3, 12, "\x7f\x00\x00\x01", 4, true, CTR_drop_ip_options},
        {"source zero", TCP4, L3, 12, "\x00\x00\x00\x00", 4, true, CTR_drop_ip_options},
        {"source own", TCP4, L3, 12, OUR_V4_B, 4, true, CTR_drop_ip_options},
        {"more fragments", TCP4, L3, 6, "\x20\x00", 2, true, CTR_drop_ip_fragment},
        {"last fragment", TCP4, L3, 6, "\x00\x01", 2, true, CTR_drop_ip_fragment},
        {"udp", TCP4, L3, 9, "\x11", 1, true, CTR_drop_ip_proto},

        {"version 7", TCP6, L3, 0, "\x70", 1, false, CTR_drop_ip_header},
        {"payload over frame", TCP6, L3, 4, "\x00\x20", 2, false, CTR_drop_runt},
        {"6 not our address", TCP6, L3, 39, "\x02", 1, true, CTR_drop_not_ours},
        {"6 all nodes", TCP6, L3, 24, NODES_V6, 16, true, CTR_drop_not_ours},
        {"6 tcp to solicited node", TCP6, L3, 24, SNM_V6, 16, true, CTR_drop_not_ours},
        {"6 source multicast", TCP6, L3, 8, "\xff", 1, true, CTR_drop_ip_options},
        {"6 source own", TCP6, L3, 8, OUR_V6, 16, true, CTR_drop_ip_options},
        {"6 source unspecified", TCP6, L3, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, true,
         CTR_drop_ip_options},
        {"6 source loopback", TCP6, L3, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, true,
         CTR_drop_ip_options},
        {"6 source v4-mapped", TCP6, L3, 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x63", 16, true,
         CTR_drop_ip_options},
        {"6 echo source unspecified", ECHO6, L3, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, true,
         CTR_drop_ip_options},
        {"6 fragment", TCP6, L3, 6, "\x2c", 1, false, CTR_drop_ip_fragment},
        {"6 udp", TCP6, L3, 6, "\x11", 1, false, CTR_drop_ip_proto},
        {"6 no next header", TCP6, L3, 6, "\x3b", 1, false, CTR_drop_ip_proto},
        {"6 routing header too long", TCP6, L3, 6, "\x2b", 1, false, CTR_drop_ip_header},

        {"tcp offset 4", TCP4, L4, 12, "\x40", 1, true, CTR_drop_tcp_header},
        {"tcp offset over segment", TCP4, L4, 12, "\x80", 1, true, CTR_drop_tcp_header},
        {"tcp header cut", TCP4, LENGTH, -11, "", 0, true, CTR_drop_tcp_header},
        {"tcp6 header cut", TCP6, LENGTH, -12, "", 0, true, CTR_drop_tcp_header},
        {"tcp checksum", TCP4, L4, 16, "\x00\x01", 2, false, CTR_drop_tcp_csum},
        {"tcp payload changed", TCP4, L4, 25, "\xff", 1, false, CTR_drop_tcp_csum},
        {"tcp6 payload changed", TCP6, L4, 30, "\xff", 1, false, CTR_drop_tcp_csum},

        {"echo reply", ECHO4, L4, 0, "\x00", 1, true, CTR_drop_icmp},
        {"icmp unreachable", ECHO4, L4, 0, "\x03", 1, true, CTR_drop_icmp},
        {"echo code 1", ECHO4, L4, 1, "\x01", 1, true, CTR_drop_icmp},
        {"echo checksum", ECHO4, L4, 20, "\xee", 1, false, CTR_drop_icmp},
        {"echo cut", ECHO4, LENGTH, -57, "", 0, true, CTR_drop_icmp},
        {"echo6 reply", ECHO6, L4, 0, "\x81", 1, true, CTR_drop_icmp},
        {"echo6 code 1", ECHO6, L4, 1, "\x01", 1, true, CTR_drop_icmp},
        {"echo6 checksum", ECHO6, L4, 2, "\x00\x00", 2, false, CTR_drop_icmp},
        {"echo6 to solicited node", ECHO6, L3, 24, SNM_V6, 16, true, CTR_drop_not_ours},
        {"packet too big", ECHO6, L4, 0, "\x02", 1, true, CTR_drop_icmp},

        {"arp reply", ARP, L3, 7, "\x02", 1, false, CTR_drop_arp},
        {"arp hardware type", ARP, L3, 1, "\x06", 1, false, CTR_drop_arp},
        {"arp protocol type", ARP, L3, 2, "\x86\xdd", 2, false, CTR_drop_arp},
        {"arp hardware length", ARP, L3, 4, "\x08", 1, false, CTR_drop_arp},
        {"arp protocol length", ARP, L3, 5, "\x10", 1, false, CTR_drop_arp},
        {"arp other target", ARP, L3, 27, "\x07", 1, false, CTR_drop_arp},
        {"arp sender own", ARP, L3, 14, OUR_V4, 4, false, CTR_drop_arp},
        {"arp sender group", ARP, L3, 8, "\x01", 1, false, CTR_drop_arp},
        {"arp sender zero", ARP, L3, 8, "\0\0\0\0\0\0", 6, false, CTR_drop_arp},
        {"arp other mac", ARP, ETH, 0, "\x02\0\0\0\0\x07", 6, false, CTR_drop_not_ours},

        {"ns hop limit 254", NS, L3, 7, "\xfe", 1, true, CTR_drop_ndp},
        {"ns checksum", NS, L4, 2, "\x12\x34", 2, false, CTR_drop_ndp},
        {"ns code", NS, L4, 1, "\x01", 1, true, CTR_drop_ndp},
        {"ns target multicast", NS, L4, 8, "\xff", 1, true, CTR_drop_ndp},
        {"ns target other", NS, L4, 20, "\x09", 1, true, CTR_drop_ndp},
        {"ns option length zero", NS, L4, 25, "\x00", 1, true, CTR_drop_ndp},
        {"ns option over end", NS, L4, 25, "\x02", 1, true, CTR_drop_ndp},
        {"ns cut", NS, LENGTH, -9, "", 0, true, CTR_drop_ndp},
        {"ns half an option", NS, LENGTH, -4, "", 0, true, CTR_drop_ndp},
        {"ns dad to unicast", NS_DAD, L3, 24, OUR_V6, 16, true, CTR_drop_not_ours},
        {"ns dad with option", NS, L3, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, true,
         CTR_drop_ndp},
        {"na", NS, L4, 0, "\x88", 1, true, CTR_drop_not_ours},
        {"na of our address", NS_UNICAST, L4, 0, "\x88", 1, true, CTR_rx_ndp},
        {"router advertisement", NS_UNICAST, L4, 0, "\x86", 1, true, CTR_drop_ndp},
        {"redirect", NS_UNICAST, L4, 0, "\x89", 1, true, CTR_drop_ndp},
};

static void spoil(struct frame *f, const struct row *row)
{
	uint32_t base = row->from == L3 ? f->l3 : row->from == L4 ? f->l4 : 0;

	if (row->from == LENGTH || row->from == PAD) {
		f->len = (uint32_t)((int)f->len + row->at);
		if (row->from == PAD)
			memset(f->b + f->len - row->at, 0xaa, (size_t)row->at);
	} else if (row->from != NOWHERE) {
		memcpy(f->b + base + row->at, row->bytes, row->count);
	}
	if (!row->fix)
		return;
	if (f->b[f->l3] >> 4 == 4)
		frame_fix4(f);
	else
		frame_fix6(f);
}

static void table_with(const struct nic_sim_config *cfg)
{
	struct net_rig r;

	net_rig_up(&r, cfg, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t before = r.ctr.v[rows[i].want];
		struct frame f;
		unsigned up;

		build(&f, rows[i].base);
		spoil(&f, &rows[i]);
		up = feed(&r, f.b, f.len, i * NS_PER_S);
		if (r.ctr.v[rows[i].want] != before + 1)
			fail_msg("row \"%s\" ended in another counter", rows[i].name);
		assert_int_equal(up, rows[i].want == CTR_rx_tcp);
		nic_pkt_free(r.nic, r.up, up);
		net_flush(r.net);
		while (nic_sim_take(r.nic, f.b, sizeof(f.b)) > 0)
			;
	}
	assert_int_equal(r.ctr.v[CTR_rx_packets], ARRAY_LEN(rows));
	rig_down(&r);
}

static void table_of_frames(void **state)
{
	(void)state;
	table_with(&(struct nic_sim_config){0});
}

/* The port's word on checksums changes where they are counted, not what is dropped. */
static void table_with_port_checksums(void **state)
{
	(void)state;
	table_with(&(struct nic_sim_config){.rx_csum = true});
}

static void offsets_and_path(void **state)
{
	struct net_path path;
	struct frame f;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	frame_tcp4(&f, 0x2064, 8, 33);
	memset(f.b + f.len, 0xbb, 5);
	assert_int_equal(feed(&r, f.b, f.len + 5, 0), 1);
	assert_int_equal(r.up[0].l3_off, 18);
	assert_int_equal(r.up[0].l4_off, 46);
	assert_int_equal(r.up[0].payload_off, 66);
	assert_int_equal(r.up[0].payload_len, 33);
	assert_int_equal(r.up[0].ip_version, 4);
	assert_int_equal(r.up[0].len, f.len);
	net_path_reply(&r.up[0], &path);
	assert_int_equal(path.vlan, 0x2064);
	assert_memory_equal(path.remote_mac, PEER_MAC, 6);
	assert_true(ip_addr_is_v4(&path.local) && ip_addr_is_v4(&path.remote));
	assert_memory_equal(path.local.b + 12, OUR_V4, 4);
	assert_memory_equal(path.remote.b + 12, PEER_V4, 4);
	nic_pkt_free(r.nic, r.up, 1);

	frame_tcp6(&f, 0);
	assert_int_equal(feed(&r, f.b, f.len, 0), 1);
	assert_int_equal(r.up[0].l4_off, 54);
	assert_int_equal(r.up[0].payload_off, 74);
	assert_int_equal(r.up[0].payload_len, 0);
	assert_int_equal(r.up[0].ip_version, 6);
	net_path_reply(&r.up[0], &path);
	assert_int_equal(path.vlan, 0);
	assert_memory_equal(path.local.b, OUR_V6, 16);
	assert_memory_equal(path.remote.b, PEER_V6, 16);
	nic_pkt_free(r.nic, r.up, 1);
	rig_down(&r);
}

/* Segments keep their order and close ranks where others were dropped. */
static void burst_is_compacted(void **state)
{
	struct frame f;
	unsigned up;
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	for (uint32_t i = 0; i < NIC_BURST; i++) {
		frame_tcp4(&f, 0, 0, i);
		if (i % 3 == 1)
			f.b[f.l4 + 16] ^= 1;
		else if (i % 3 == 2)
			frame_arp(&f, PEER_V4, OUR_V4);
		assert_true(nic_sim_inject(r.nic, f.b, f.len));
	}
	assert_int_equal(nic_rx_burst(r.nic, r.up, NIC_BURST), NIC_BURST);
	up = net_input(r.net, r.up, NIC_BURST, 0);
	counter_add(&r.ctr, CTR_rx_tcp, up); /* as tcp_input would */
	assert_int_equal(up, 11);
	for (uint32_t i = 0; i < up; i++)
		assert_int_equal(r.up[i].payload_len, i * 3);
	assert_int_equal(r.ctr.v[CTR_drop_tcp_csum], 11);
	assert_int_equal(r.ctr.v[CTR_rx_arp], 10);
	assert_int_equal(r.ctr.v[CTR_rx_bursts], 1);
	check_identity(&r.ctr);
	nic_pkt_free(r.nic, r.up, up);
	assert_int_equal(net_flush(r.net), 10);
	while (nic_sim_take(r.nic, f.b, sizeof(f.b)) > 0)
		;
	rig_down(&r);
}

/* Only a port that says so may deliver a pseudo-header's sum in place of a checksum. */
static void partial_checksum(void **state)
{
	(void)state;
	for (int allowed = 0; allowed < 2; allowed++) {
		struct frame f;
		struct net_rig r;
		uint32_t sum;

		net_rig_up(&r, &(struct nic_sim_config){.rx_partial_csum = allowed}, NULL);
		frame_tcp4(&f, 0, 0, 100);
		sum = naive_sum(f.b + f.l3 + 12, 8) + PROTO_TCP + 120;
		sum = (sum & 0xffff) + (sum >> 16);
		f.b[f.l4 + 16] = (uint8_t)(sum >> 8);
		f.b[f.l4 + 17] = (uint8_t)sum;
		assert_int_equal(feed(&r, f.b, f.len, 0), allowed);
		assert_int_equal(r.ctr.v[CTR_drop_tcp_csum], !allowed);
		nic_pkt_free(r.nic, r.up, (unsigned)allowed);
		rig_down(&r);
	}
}

/* Extension headers in front of a TCP segment or an echo request. */
static void extension_headers(void **state)
{
	static const struct {
		const char *name;
		uint8_t first; /* next-header value of the first */
		const char *bytes;
		uint32_t count;
		enum counter_id want;
	} ext[] = {
	        {"router alert", 0, "\x06\x00\x05\x02\x00\x00\x01\x00", 8, CTR_rx_tcp},
	        {"pad1 only", 60, "\x06\x00\x00\x00\x00\x00\x00\x00", 8, CTR_rx_tcp},
	        {"padn", 60, "\x06\x00\x01\x04\x00\x00\x00\x00", 8, CTR_rx_tcp},
	        {"padn over end", 60, "\x06\x00\x01\x05\x00\x00\x00\x00", 8, CTR_drop_ip_proto},
	        {"must discard", 60, "\x06\x00\x45\x04\x00\x00\x00\x00", 8, CTR_drop_ip_proto},
	        {"option without length", 60, "\x06\x00\x01\x03\x00\x00\x00\x05", 8,
	         CTR_drop_ip_proto},
	        {"longer than the packet", 60, "\x06\x20\x01\x04\x00\x00\x00\x00", 8,
	         CTR_drop_ip_header},
	        {"hop-by-hop second", 60,
	         "\x00\x00\x01\x04\x00\x00\x00\x00\x06\x00\x01\x04\x00\x00\x00\x00", 16,
	         CTR_drop_ip_proto},
	        {"two", 0, "\x3c\x00\x01\x04\x00\x00\x00\x00\x06\x00\x01\x04\x00\x00\x00\x00", 16,
	         CTR_rx_tcp},
	        {"five", 60,
	         "\x3c\x00\x01\x04\0\0\0\0\x3c\x00\x01\x04\0\0\0\0\x3c\x00\x01\x04\0\0\0\0"
	         "\x3c\x00\x01\x04\0\0\0\0\x06\x00\x01\x04\0\0\0\0",
	         40, CTR_drop_ip_proto},
	};
	struct net_rig r;

	(void)state;
	net_rig_up(&r, &(struct nic_sim_config){0}, NULL);
	for (size_t i = 0; i < ARRAY_LEN(ext); i++) {
		uint64_t before = r.ctr.v[ext[i].want];
		uint32_t payload_len;
		struct frame f;
		unsigned up;

		frame_tcp6(&f, 5);
		memmove(f.b + f.l4 + ext[i].count, f.b + f.l4, f.len - f.l4);
		memcpy(f.b + f.l4, ext[i].bytes, ext[i].count);
		f.len += ext[i].count;
		f.b[f.l3 + 6] = ext[i].first;
		payload_len = f.len - f.l4;
		f.b[f.l3 + 5] = (uint8_t)payload_len;
		up = feed(&r, f.b, f.len, 0);
		if (r.ctr.v[ext[i].want] != before + 1)
			fail_msg("\"%s\" ended in another counter", ext[i].name);
		if (up == 1)
			assert_int_equal(r.up[0].payload_len, 5);
		nic_pkt_free(r.nic, r.up, up);
	}
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(table_of_frames),  cmocka_unit_test(table_with_port_checksums),
	        cmocka_unit_test(offsets_and_path), cmocka_unit_test(burst_is_compacted),
	        cmocka_unit_test(partial_checksum), cmocka_unit_test(extension_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
