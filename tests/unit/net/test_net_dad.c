/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Duplicate addresses (RFC 4862 5.4, RFC 5227), router advertisements (RFC 4861 6.3), and what
 * cores tell each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "dataplane/net/net_shared.h"
#include "tests/unit/net/net_rig.h"
#include "tests/sim/bytes.h"

#define LOCAL_V6 "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x63"

static const char any[17] = "";

static void up(struct net_rig *r, uint32_t transmits, struct net_shared *shared, uint32_t core)
{
	struct net_config cfg;

	net_config_default(&cfg);
	cfg.dad_transmits = transmits;
	cfg.shared = shared;
	cfg.core = core;
	cfg.cores = shared ? 2 : 1;
	net_rig_up(r, NULL, &cfg);
}

static void frame_dad(struct frame *f)
{
	frame_ns(f, any, SNM_V6, OUR_V6);
	f->len -= 8;
	frame_fix6(f);
}

/* An advertisement of target to all nodes. */
static void frame_na(struct frame *f, const char *target)
{
	frame_ns(f, PEER_V6, NODES_V6, target);
	memcpy(f->b, "\x33\x33\0\0\0\1", 6);
	f->b[f->l4] = ICMPV6_NEIGHBOR_ADVERT;
	f->b[f->l4 + 4] = 0x20;
	f->b[f->l4 + 24] = 2;
	frame_fix6(f);
}

/* The question as it must be (RFC 4862 5.4.2). */
static void check_probe(const struct frame *f)
{
	struct frame want;

	frame_ns(&want, any, SNM_V6, OUR_V6);
	memcpy(want.b + 6, OUR_MAC, 6);
	want.len -= 8;
	frame_fix6(&want);
	assert_int_equal(f->len, want.len);
	assert_memory_equal(f->b, want.b, want.len);
}

/* Not a packet is taken or answered for a tentative address; then it is announced and used. */
static void asked_first(void **state)
{
	(void)state;
	for (uint32_t transmits = 0; transmits < 4; transmits++) {
		struct net_rig r;
		struct frame f;
		uint32_t probes = 0;

		up(&r, transmits, NULL, 0);
		for (uint32_t ms = 0; ms < transmits * 1000; ms += 100) {
			net_rig_wait(&r, 100);
			while (net_rig_sent(&r, &f)) {
				check_probe(&f);
				probes++;
			}
			frame_tcp6(&f, 5);
			net_rig_want(&r, &f, CTR_drop_not_ours, "tcp to a tentative address");
			frame_ns(&f, PEER_V6, SNM_V6, OUR_V6);
			net_rig_want(&r, &f, CTR_drop_ndp, "question for a tentative address");
			/* The link brings our own question back. */
			frame_dad(&f);
			memcpy(f.b + 6, OUR_MAC, 6);
			net_rig_want(&r, &f, CTR_drop_ndp, "our own question");
			assert_false(net_rig_sent(&r, &f));
			frame_tcp4(&f, 0, 0, 5);
			net_rig_want(&r, &f, CTR_rx_tcp, "IPv4 does not wait");
		}
		assert_int_equal(probes, transmits);
		net_rig_wait(&r, 2);
		if (transmits > 0) {
			assert_true(net_rig_sent(&r, &f));
			assert_int_equal(f.b[f.l4], ICMPV6_NEIGHBOR_ADVERT);
		}
		assert_false(net_rig_sent(&r, &f));
		frame_tcp6(&f, 5);
		net_rig_want(&r, &f, CTR_rx_tcp, "tcp");
		assert_int_equal(net_conflicts(r.net), 0);
		net_rig_down(&r);
	}
}

/* Both proofs that another host has it: its own question, and its advertisement. */
static void duplicate(void **state)
{
	(void)state;
	for (int by_na = 0; by_na < 2; by_na++) {
		struct net_rig r;
		struct frame f;

		up(&r, 2, NULL, 0);
		net_rig_wait(&r, 500);
		if (by_na)
			frame_na(&f, OUR_V6);
		else
			frame_dad(&f);
		net_rig_want(&r, &f, CTR_rx_ndp, "another host");
		assert_int_equal(r.ctr.v[CTR_addr_conflict], 1);
		assert_int_equal(net_conflicts(r.net), 1 << 2);
		while (net_rig_sent(&r, &f))
			check_probe(&f);
		net_rig_wait(&r, 5000);
		net_announce(r.net);
		net_flush(r.net);
		while (net_rig_sent(&r, &f))
			assert_int_equal(f.b[13], 0x06); /* ARP alone */
		frame_tcp6(&f, 5);
		net_rig_want(&r, &f, CTR_drop_not_ours, "not served");
		frame_ns(&f, PEER_V6, SNM_V6, OUR_V6);
		net_rig_want(&r, &f, CTR_drop_ndp, "nor answered");
		assert_false(net_rig_sent(&r, &f));
		net_rig_down(&r);
	}
}

/* An address in use is kept and defended, once in ten seconds. */
static void defended(void **state)
{
	struct net_rig r;
	struct frame f;

	(void)state;
	up(&r, 0, NULL, 0);
	for (int i = 0; i < 3; i++) {
		frame_na(&f, OUR_V6);
		net_rig_want(&r, &f, CTR_rx_ndp, "somebody's advertisement");
		net_rig_wait(&r, 4000);
	}
	for (uint32_t i = 0; i < 2; i++) {
		net_rig_wait(&r, 10000);
		frame_arp(&f, OUR_V4_B, i ? PEER_V4 : OUR_V4_B);
		f.b[f.l3 + 7] = (uint8_t)(1 + i); /* request, reply */
		net_rig_want(&r, &f, CTR_drop_arp, "somebody's announcement");
		net_rig_want(&r, &f, CTR_drop_arp, "somebody's announcement again");
		memcpy(f.b + f.l3 + 8, OUR_MAC, 6);
		net_rig_want(&r, &f, CTR_drop_arp, "our own announcement");
	}
	assert_int_equal(r.ctr.v[CTR_addr_conflict], 7);
	assert_true(net_rig_sent(&r, &f));
	assert_int_equal(f.b[f.l4], ICMPV6_NEIGHBOR_ADVERT);
	assert_int_equal(f.b[f.l4 + 4], 0x20);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(net_rig_sent(&r, &f));
		assert_memory_equal(f.b, "\xff\xff\xff\xff\xff\xff" OUR_MAC "\x08\x06", 14);
		assert_memory_equal(f.b + 28, OUR_V4_B, 4);
		assert_memory_equal(f.b + 38, OUR_V4_B, 4);
	}
	assert_false(net_rig_sent(&r, &f));
	frame_tcp6(&f, 5);
	net_rig_want(&r, &f, CTR_rx_tcp, "still served");
	net_rig_down(&r);
}

static void frame_ra(struct frame *f)
{
	uint8_t *ra;

	frame_ns(f, LOCAL_V6, NODES_V6, OUR_V6);
	memcpy(f->b, "\x33\x33\0\0\0\1", 6);
	ra = f->b + f->l4;
	memset(ra, 0, 32);
	ra[0] = ICMPV6_ROUTER_ADVERT;
	ra[4] = 99;          /* hop limit */
	put16(ra + 14, 250); /* retransmission timer */
	ra[16] = 5;          /* MTU */
	ra[17] = 1;
	put16(ra + 22, 1400);
	f->len = f->l4 + 24;
	frame_fix6(f);
}

/* What is taken over, and what is not (RFC 4861 6.1.2, 6.3.4). */
static void router_advertisements(void **state)
{
	static const struct {
		const char *name;
		uint32_t at; /* in the message; 100: hop limit of the packet, 101: source */
		uint8_t value;
		bool valid;
		uint32_t mtu, hop_limit, retrans_ms;
	} rows[] = {
	        {"as it is", 1, 0, true, 1400, 99, 250},
	        {"hop limit 0", 4, 0, true, 1400, 0, 250},
	        {"hop limit 31", 4, 31, true, 1400, 0, 250},
	        {"hop limit 255", 4, 255, true, 1400, 255, 250},
	        {"mtu over the port's", 22, 6, true, 0, 99, 250},
	        {"mtu under 1280", 22, 4, true, 0, 99, 250},
	        {"mtu of gigabytes", 20, 1, true, 0, 99, 250},
	        {"retransmission 0", 15, 0, true, 1400, 99, 0},
	        {"retransmission of days", 12, 9, true, 1400, 99, 0},
	        {"option unknown", 16, 77, true, 0, 99, 250},
	        {"option length 0", 17, 0, false, 0, 0, 0},
	        {"option over the end", 17, 2, false, 0, 0, 0},
	        {"code", 1, 1, false, 0, 0, 0},
	        {"hop limit of the packet", 100, 254, false, 0, 0, 0},
	        {"source not link-local", 101, 0x20, false, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct net_shared shared;
		struct net_rig r;
		struct frame f;

		memset(&shared, 0, sizeof(shared));
		up(&r, 0, &shared, 0);
		frame_ra(&f);
		if (rows[i].at < 100)
			f.b[f.l4 + rows[i].at] = rows[i].value;
		else
			f.b[f.l3 + (rows[i].at == 100 ? 7 : 8)] = rows[i].value;
		frame_fix6(&f);
		net_rig_want(&r, &f, rows[i].valid ? CTR_rx_ndp : CTR_drop_ndp, rows[i].name);
		if (shared.mtu != rows[i].mtu || shared.hop_limit != rows[i].hop_limit ||
		    shared.retrans_ms != rows[i].retrans_ms)
			fail_msg("%s", rows[i].name);
		assert_int_equal(net_mtu_v6(r.net), rows[i].mtu ? rows[i].mtu : 1500);
		assert_int_equal(net_mtu(r.net), 1500);
		net_rig_down(&r);
	}
}

/* Core 0 asks, core 1 learns the result; an error that one cannot use reaches the other once. */
static void cores_share(void **state)
{
	static struct net_shared shared;
	struct net_error e = {.kind = NET_ERROR_TOO_BIG, .mtu = 1400, .seq = 7};
	struct net_error got;
	struct net_rig a;
	struct net_rig b;
	struct frame f;

	(void)state;
	memset(&shared, 0, sizeof(shared));
	up(&a, 1, &shared, 0);
	up(&b, 1, &shared, 1);
	net_rig_wait(&b, 1500);
	assert_false(net_rig_sent(&b, &f));
	frame_tcp6(&f, 5);
	net_rig_want(&b, &f, CTR_drop_not_ours, "core 0 has not finished");
	net_rig_wait(&a, 1500);
	net_rig_wait(&b, 1);
	net_rig_want(&b, &f, CTR_rx_tcp, "it has");

	assert_true(net_error_pass(a.net, &e));
	net_rig_wait(&a, 1);
	assert_false(net_error_take(a.net, &got));
	net_rig_wait(&b, 1);
	assert_true(net_error_take(b.net, &got));
	assert_int_equal(got.mtu, 1400);
	assert_true(got.passed);
	assert_false(net_error_pass(b.net, &got));
	assert_false(net_error_take(b.net, &got));
	/* More than the log holds: the oldest are lost, nothing else is. */
	for (e.seq = 0; e.seq < 1000; e.seq++)
		assert_true(net_error_pass(a.net, &e));
	for (uint32_t n = 0; n < NET_SHARED_ERRORS; n++) {
		if (!net_error_take(b.net, &got)) {
			net_rig_wait(&b, 1);
			assert_true(net_error_take(b.net, &got));
		}
		assert_true(got.seq >= 1000 - NET_SHARED_ERRORS && got.seq < 1000);
	}
	net_rig_wait(&b, 1);
	assert_false(net_error_take(b.net, &got));
	net_rig_down(&a);
	net_rig_down(&b);
}

/* RFC 3810 5.2: twice at start, then once a minute; the groups of our addresses, each once. */
static void multicast_reports(void **state)
{
	struct net_config cfg;
	struct net_rig r;
	struct frame f;

	(void)state;
	net_config_default(&cfg);
	cfg.mld = true;
	cfg.dad_transmits = 1;
	net_rig_up(&r, NULL, &cfg);
	net_rig_wait(&r, 1);
	for (int i = 0; i < 4; i++) {
		uint8_t sum[2];

		assert_true(net_rig_sent(&r, &f));
		assert_memory_equal(f.b, "\x33\x33\0\0\0\x16" OUR_MAC "\x86\xdd", 14);
		assert_int_equal(f.len, 14 + 40 + 8 + 8 + 20);
		assert_memory_equal(f.b + 14, "\x60\0\0\0\0\x24\0\x01", 8);
		assert_memory_equal(f.b + 22, any, 16);
		assert_memory_equal(f.b + 38, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\x16", 16);
		assert_memory_equal(f.b + 54, "\x3a\0\5\2\0\0\1\0", 8);
		assert_int_equal(f.b[62], 143);
		assert_int_equal(f.b[69], 1);
		assert_int_equal(f.b[70], i < 2 ? 4 : 2);
		assert_memory_equal(f.b + 74, SNM_V6, 16);
		/* The checksum, without the options in front. */
		memcpy(sum, f.b + 64, 2);
		memmove(f.b + 54, f.b + 62, 28);
		f.len -= 8;
		f.b[20] = PROTO_ICMPV6;
		f.l4 = 54;
		frame_fix6(&f);
		assert_memory_equal(f.b + 56, sum, 2);
		/* The question comes behind the first report; then the announcement. */
		if (i == 0) {
			assert_true(net_rig_sent(&r, &f));
			check_probe(&f);
		} else if (i == 1) {
			assert_true(net_rig_sent(&r, &f));
			assert_int_equal(f.b[f.l4], ICMPV6_NEIGHBOR_ADVERT);
		}
		assert_false(net_rig_sent(&r, &f));
		net_rig_wait(&r, i == 0 ? 999 : 59999);
		assert_false(net_rig_sent(&r, &f));
		net_rig_wait(&r, 1);
	}
	net_rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(asked_first), cmocka_unit_test(duplicate),
	        cmocka_unit_test(defended),    cmocka_unit_test(router_advertisements),
	        cmocka_unit_test(cores_share), cmocka_unit_test(multicast_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
