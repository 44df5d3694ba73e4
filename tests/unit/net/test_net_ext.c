/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What lies between the IP header and the transport: IPv4 options, IPv6 extension headers,
 * protocols that nobody speaks, VLAN tags; and the ICMP errors about them (RFC 1122 3.2.2, RFC
 * 4443, RFC 8200).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/net/net_rig.h"
#include "tests/sim/bytes.h"

/* Extension headers in front of a TCP segment of 5 bytes. */
static void ext_make(struct frame *f, uint8_t first, const char *bytes, uint32_t count)
{
	frame_tcp6(f, 5);
	memmove(f->b + f->l4 + count, f->b + f->l4, f->len - f->l4);
	memcpy(f->b + f->l4, bytes, count);
	f->len += count;
	f->b[f->l3 + 6] = first;
	put16(f->b + f->l3 + 4, f->len - f->l4);
}

static const struct {
	const char *name;
	uint8_t first; /* next-header value of the first */
	const char *bytes;
	uint32_t count;
	enum counter_id want;
	int code; /* of the parameter problem that is sent, -1: none */
	uint32_t pointer;
} ext[] = {
        {"padding", 60, "\x06\0\1\4\0\0\0\0", 8, CTR_rx_tcp, -1, 0},
        {"unknown option, skip", 60, "\x06\0\x05\4\0\0\0\0", 8, CTR_rx_tcp, -1, 0},
        {"unknown option, discard", 60, "\x06\0\x45\4\0\0\0\0", 8, CTR_drop_ip_proto, -1, 0},
        {"unknown option, report", 60, "\x06\0\x85\4\0\0\0\0", 8, CTR_drop_ip_proto, 2, 42},
        {"unknown option, report unless multicast", 0, "\x06\0\1\0\xc5\2\0\0", 8, CTR_drop_ip_proto,
         2, 44},
        {"hop-by-hop", 0, "\x06\0\1\4\0\0\0\0", 8, CTR_rx_tcp, -1, 0},
        {"hop-by-hop second", 60, "\0\0\1\4\0\0\0\0\x06\0\1\4\0\0\0\0", 16, CTR_drop_ip_proto, 1,
         40},
        {"route at its end", 43, "\x06\0\0\0\0\0\0\0", 8, CTR_rx_tcp, -1, 0},
        {"route of another type at its end", 43, "\x06\0\x77\0\0\0\0\0", 8, CTR_rx_tcp, -1, 0},
        {"route type 0 goes on", 43, "\x06\2\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24,
         CTR_drop_ip_proto, 0, 42},
        {"route goes on", 43, "\x06\0\4\1\0\0\0\0", 8, CTR_drop_ip_proto, 0, 42},
        {"all four", 0, "\x3c\0\1\4\0\0\0\0\x2b\0\1\4\0\0\0\0\x3c\0\0\0\0\0\0\0\x06\0\1\4\0\0\0\0",
         32, CTR_rx_tcp, -1, 0},
        {"no next header", 60, "\x3b\0\1\4\0\0\0\0", 8, CTR_drop_ip_proto, -1, 0},
        {"unknown next header", 60, "\xfd\0\1\4\0\0\0\0", 8, CTR_drop_ip_proto, 1, 40},
        {"authentication", 51, "\x06\4\0\0\0\0\0\0", 8, CTR_drop_ip_proto, 1, 6},
        {"report, of an error", 60, "\x3a\0\x85\4\0\0\0\0\1\0\0\0\0\0\0\0", 16, CTR_drop_ip_proto,
         -1, 0},
        {"report, of the last error type", 60, "\x3a\0\x85\4\0\0\0\0\x7f\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, -1, 0},
        {"report, of a redirect", 60, "\x3a\0\x85\4\0\0\0\0\x89\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, -1, 0},
        {"report, of an echo request", 60, "\x3a\0\x85\4\0\0\0\0\x80\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, 2, 42},
        {"report, two before an error", 60,
         "\x3c\0\x85\4\0\0\0\0\x3a\0\1\4\0\0\0\0\1\0\0\0\0\0\0\0", 24, CTR_drop_ip_proto, -1, 0},
        {"report, an error in the first fragment", 60,
         "\x2c\0\x85\4\0\0\0\0\x3a\0\0\1\0\0\0\1\1\0\0\0\0\0\0\0", 24, CTR_drop_ip_proto, -1, 0},
        {"hop-by-hop second, before an error", 60,
         "\0\0\1\4\0\0\0\0\x3a\0\1\4\0\0\0\0\1\0\0\0\0\0\0\0", 24, CTR_drop_ip_proto, -1, 0},
        {"route goes on, to an error", 43, "\x3a\0\4\1\0\0\0\0\2\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, -1, 0},
        {"unknown header before an error", 253, "\x3a\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, -1, 0},
        {"unknown header before an echo", 253, "\x3a\0\0\0\0\0\0\0\x81\0\0\0\0\0\0\0", 16,
         CTR_drop_ip_proto, 1, 6},
        {"authentication of an error", 51, "\x3a\1\0\0\0\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 20,
         CTR_drop_ip_proto, -1, 0},
        {"cut", 60, "\x06\x20\1\4\0\0\0\0", 8, CTR_drop_ip_header, -1, 0},
};

static void extension_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ext); i++) {
		struct net_rig r;
		struct frame f;
		struct frame sent;

		net_rig_up(&r, NULL, NULL);
		ext_make(&f, ext[i].first, ext[i].bytes, ext[i].count);
		net_rig_want(&r, &f, ext[i].want, ext[i].name);
		if (net_rig_sent(&r, &sent) != (ext[i].code >= 0))
			fail_msg("\"%s\": an error was sent, or not", ext[i].name);
		if (ext[i].code >= 0) {
			uint32_t len = sent.len;

			assert_int_equal(sent.b[sent.l4], ICMPV6_PARAM_PROBLEM);
			assert_int_equal(sent.b[sent.l4 + 1], ext[i].code);
			assert_int_equal(sent.b[sent.l4 + 7], ext[i].pointer);
			assert_memory_equal(sent.b + sent.l4 + 8, f.b + f.l3, f.len - f.l3);
			assert_memory_equal(sent.b + sent.l3 + 8, OUR_V6, 16);
			assert_memory_equal(sent.b + sent.l3 + 24, PEER_V6, 16);
			assert_memory_equal(sent.b, PEER_MAC, 6);
			f = sent;
			frame_fix6(&f);
			assert_memory_equal(f.b, sent.b, len);
		}
		net_rig_down(&r);
	}
}

/* RFC 4443 2.4 (e): never about what went to many or came from nobody. */
static void silence(void **state)
{
	static const char nobody[17] = "";
	struct net_rig r;
	struct frame f;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	ext_make(&f, 60, "\x06\0\x85\4\0\0\0\0", 8);
	memcpy(f.b + f.l3 + 24, SNM_V6, 16);
	memcpy(f.b, SNM_MAC, 6);
	net_rig_want(&r, &f, CTR_drop_ip_proto, "to a group");
	ext_make(&f, 60, "\x06\0\x85\4\0\0\0\0", 8);
	memcpy(f.b + f.l3 + 8, nobody, 16);
	net_rig_want(&r, &f, CTR_drop_ip_proto, "from nobody");
	frame_tcp6(&f, 5);
	f.b[f.l3 + 6] = PROTO_UDP;
	memcpy(f.b + f.l3 + 24, NODES_V6, 16);
	memcpy(f.b, "\x33\x33\0\0\0\1", 6);
	net_rig_want(&r, &f, CTR_drop_not_ours, "to all nodes");
	frame_tcp4(&f, 0, 0, 5);
	f.b[f.l3 + 9] = PROTO_UDP;
	f.b[f.l3 + 19] = 77;
	frame_fix4(&f);
	net_rig_want(&r, &f, CTR_drop_not_ours, "not to us");
	assert_false(net_rig_sent(&r, &f));
	assert_int_equal(r.ctr.v[CTR_icmp_sent], 0);
	net_rig_down(&r);
}

/* RFC 1122 3.2.2.1, RFC 4443 3.1: port unreachable for UDP, protocol unreachable for the rest, and
 * no more than so many a second. */
static void unreachable(void **state)
{
	static const struct {
		bool v6;
		uint8_t proto;
		uint8_t type, code;
	} rows[] = {{false, 17, 3, 3},
	            {false, 132, 3, 2},
	            {false, 2, 3, 2},
	            {true, 17, 1, 4},
	            {true, 132, 4, 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net_config cfg;
		struct net_rig r;
		struct frame f;
		struct frame sent;
		uint32_t n = 0;

		net_config_default(&cfg);
		cfg.icmp_per_s = 5;
		net_rig_up(&r, NULL, &cfg);
		if (rows[i].v6)
			frame_tcp6(&f, 900);
		else
			frame_tcp4(&f, 0x2064, 8, 900);
		f.b[f.l3 + (rows[i].v6 ? 6 : 9)] = rows[i].proto;
		if (!rows[i].v6)
			frame_fix4(&f);
		for (uint32_t k = 0; k < 20; k++)
			net_rig_want(&r, &f, CTR_drop_ip_proto, "unknown");
		while (net_rig_sent(&r, &sent)) {
			uint32_t l4 = rows[i].v6 ? 54 : 38;

			assert_int_equal(sent.b[l4], rows[i].type);
			assert_int_equal(sent.b[l4 + 1], rows[i].code);
			assert_memory_equal(sent.b + l4 + 8, f.b + f.l3, 64);
			/* RFC 1812 4.3.2.3, RFC 4443 2.4 (c). */
			assert_true(sent.len <= (rows[i].v6 ? 1280u + 14 : 576u + 18));
			/* Back into the VLAN that it came from. */
			if (!rows[i].v6)
				assert_memory_equal(sent.b + 12, "\x81\x00\x20\x64\x08\x00", 6);
			n++;
		}
		assert_int_equal(n, 5);
		assert_int_equal(r.ctr.v[CTR_icmp_sent], 5);
		r.now_ns += NS_PER_S / 5;
		net_rig_want(&r, &f, CTR_drop_ip_proto, "unknown");
		assert_int_equal(r.ctr.v[CTR_icmp_sent], 6);
		net_rig_down(&r);
	}
}

static void ipv4_options(void **state)
{
	static const struct {
		const char *name;
		const char *bytes; /* 8 */
		enum counter_id want;
	} rows[] = {
	        {"no operation", "\1\1\1\1\1\1\1\1", CTR_rx_tcp},
	        {"end", "\0\x83\x83\x83\x83\x83\x83\x83", CTR_rx_tcp},
	        {"router alert", "\x94\4\0\0\0\0\0\0", CTR_rx_tcp},
	        {"record route", "\x07\7\4\0\0\0\0\0", CTR_rx_tcp},
	        {"timestamp", "\x44\x08\5\0\0\0\0\0", CTR_rx_tcp},
	        {"loose source route", "\x83\7\4\0\0\0\0\0", CTR_drop_ip_header},
	        {"strict source route", "\x89\7\4\0\0\0\0\0", CTR_drop_ip_header},
	        {"source route second", "\1\x89\7\4\0\0\0\0", CTR_drop_ip_header},
	        {"length 0", "\x94\0\0\0\0\0\0\0", CTR_drop_ip_header},
	        {"length 1", "\x94\1\0\0\0\0\0\0", CTR_drop_ip_header},
	        {"over the end", "\x94\x09\0\0\0\0\0\0", CTR_drop_ip_header},
	        {"without a length", "\1\1\1\1\1\1\1\x94", CTR_drop_ip_header},
	};
	struct net_rig r;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame f;

		frame_tcp4(&f, 0, 8, 20);
		memcpy(f.b + f.l3 + 20, rows[i].bytes, 8);
		frame_fix4(&f);
		net_rig_want(&r, &f, rows[i].want, rows[i].name);
	}
	net_rig_down(&r);
}

/* IEEE 802.1Q: answers go into the VLAN that the question came from; a tag that is only a priority
 * is answered untagged; two tags are not ours to read. */
static void vlan_tags(void **state)
{
	static const struct {
		const char *name;
		uint16_t tci;
		uint16_t answer; /* 0: untagged */
	} rows[] = {{"vlan 1", 0x0001, 0x0001},     {"vlan 4094", 0x0ffe, 0x0ffe},
	            {"priority 7", 0xe064, 0xe064}, {"may be dropped", 0x1064, 0x0064},
	            {"priority alone", 0xe000, 0},  {"vlan 0", 0x1000, 0}};
	struct net_rig r;
	struct frame f;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net_path path;
		unsigned up;

		frame_tcp4(&f, 0x2064, 0, 20);
		put16(f.b + 14, rows[i].tci);
		up = net_rig_feed(&r, &f);
		assert_int_equal(up, 1);
		net_path_reply(&r.up[0], &path);
		if (path.vlan != rows[i].answer)
			fail_msg("%s: %04x", rows[i].name, path.vlan);
		net_rig_drop(&r, up);
	}
	frame_tcp4(&f, 0x2064, 0, 20);
	put16(f.b + 16, 0x8100);
	net_rig_want(&r, &f, CTR_drop_ethertype, "two tags");
	put16(f.b + 12, 0x88a8);
	net_rig_want(&r, &f, CTR_drop_ethertype, "provider's tag in front");
	net_rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(extension_headers), cmocka_unit_test(silence),
	        cmocka_unit_test(unreachable),       cmocka_unit_test(ipv4_options),
	        cmocka_unit_test(vlan_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
