/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reassembly (RFC 791, 815, 1858, 3128, 3168 5.3, 5722, 6946, 6980, 7112, 8200 4.5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/net/net_rig.h"
#include "tests/sim/bytes.h"

/* A segment that is cut: 20 bytes of header and PAYLOAD of data. */
#define PAYLOAD 1000u
#define WHOLE   (TCP_HDR_LEN + PAYLOAD)

static void ip4_sum(struct frame *f)
{
	uint8_t *ip = f->b + f->l3;

	put16(ip + 10, 0);
	put16(ip + 10, ~naive_sum(ip, f->l4 - f->l3) & 0xffff);
}

/* Bytes [from, to) of the whole segment as a fragment; more: others follow. */
static void cut(struct frame *f, bool v6, uint32_t from, uint32_t to, bool more)
{
	uint32_t room = v6 ? 8 : 0;
	struct frame whole;

	if (v6)
		frame_tcp6(&whole, PAYLOAD);
	else
		frame_tcp4(&whole, 0, 0, PAYLOAD);
	*f = whole;
	memcpy(f->b + f->l4 + room, whole.b + whole.l4 + from, to - from);
	f->len = f->l4 + room + (to - from);
	if (v6) {
		uint8_t *h = f->b + f->l4;

		put16(f->b + f->l3 + 4, f->len - f->l4);
		f->b[f->l3 + 6] = PROTO_FRAGMENT;
		memset(h, 0, 8);
		h[0] = PROTO_TCP;
		put16(h + 2, from | more);
		h[7] = 42;
		return;
	}
	put16(f->b + f->l3 + 2, f->len - f->l3);
	put16(f->b + f->l3 + 6, from / 8 | (more ? 0x2000u : 0));
	ip4_sum(f);
}

static uint32_t id_at(const struct frame *f, bool v6)
{
	return v6 ? f->l4 + 7 : f->l3 + 5;
}

static enum counter_id feed_piece(struct net_rig *r, bool v6, const uint32_t piece[2],
                                  uint32_t whole)
{
	struct counters before = r->ctr;
	struct frame f;
	unsigned up;

	cut(&f, v6, piece[0], piece[1], piece[1] < whole);
	up = net_rig_feed(r, &f);
	if (up == 1) {
		assert_int_equal(r->up[0].payload_len, PAYLOAD);
		for (uint32_t i = 0; i < PAYLOAD; i++)
			assert_int_equal(r->up[0].data[r->up[0].payload_off + i], i & 0xff);
		assert_int_equal(r->up[0].len, r->up[0].payload_off + PAYLOAD);
		assert_true(r->up[0].flags & PKT_RX_FRAGMENTS);
	}
	net_rig_drop(r, up);
	net_rig_check(r);
	if (up == 1)
		return CTR_rx_tcp;
	return r->ctr.v[CTR_rx_fragment] > before.v[CTR_rx_fragment] ? CTR_rx_fragment
	                                                             : CTR_drop_ip_fragment;
}

/* Orders of pieces, and what each ends in: K kept, T whole, D dropped. */
static void orders(void **state)
{
	static const struct {
		const char *name;
		uint32_t pieces[8][2];
		const char *want;
	} rows[] = {
	        {"in order", {{0, 504}, {504, WHOLE}}, "KT"},
	        {"backwards", {{504, WHOLE}, {0, 504}}, "KT"},
	        {"three", {{504, 800}, {800, WHOLE}, {0, 504}}, "KKT"},
	        {"a copy", {{0, 504}, {0, 504}, {504, WHOLE}}, "KKT"},
	        {"copy of the last", {{504, WHOLE}, {504, WHOLE}, {0, 504}}, "KKT"},
	        {"overlap by a block", {{0, 504}, {496, WHOLE}, {504, WHOLE}}, "KDD"},
	        {"overlap from below", {{504, WHOLE}, {0, 512}, {0, 504}}, "KDD"},
	        {"within", {{0, 504}, {104, 208}, {504, WHOLE}}, "KDD"},
	        {"within, to the end", {{0, 504}, {104, 504}, {504, WHOLE}}, "KDD"},
	        {"around", {{104, 208}, {0, 504}, {504, WHOLE}}, "KDD"},
	        {"joins two", {{0, 104}, {208, 504}, {96, 216}, {104, 208}}, "KKDD"},
	        {"behind the end", {{504, 800}, {0, 504}}, "KK"},
	        {"tiny first", {{0, 8}, {8, WHOLE}}, "DD"},
	        {"first of 16", {{0, 16}, {16, WHOLE}}, "DD"},
	        {"second in the header", {{0, 504}, {8, WHOLE}}, "KD"},
	        {"first of 24", {{0, 24}, {24, WHOLE}}, "KT"},
	        {"many",
	         {{0, 128},
	          {128, 256},
	          {256, 384},
	          {384, 512},
	          {512, 640},
	          {640, 768},
	          {768, 896},
	          {896, WHOLE}},
	         "KKKKKKKT"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool v6 = i & 1;
		struct net_rig r;

		net_rig_up(&r, NULL, NULL);
		for (uint32_t k = 0; rows[i / 2].want[k] != 0; k++) {
			enum counter_id got = feed_piece(&r, v6, rows[i / 2].pieces[k], WHOLE);
			char c = got == CTR_rx_tcp ? 'T' : got == CTR_rx_fragment ? 'K' : 'D';

			if (c != rows[i / 2].want[k])
				fail_msg("%s, piece %u: %c", rows[i / 2].name, k, c);
		}
		net_rig_down(&r);
	}
}

/* The last fragment says where the datagram ends; others may not say otherwise. */
static void ends_that_disagree(void **state)
{
	struct frame f;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int k = 0; k < 3; k++) {
			struct net_rig r;

			net_rig_up(&r, NULL, NULL);
			cut(&f, v6, 504, k == 1 ? 608 : 600, false);
			if (k < 2)
				net_rig_want(&r, &f, CTR_rx_fragment, "first end");
			cut(&f, v6, 800, 904, k != 1);
			net_rig_want(&r, &f, k == 2 ? CTR_rx_fragment : CTR_drop_ip_fragment,
			             "beyond the end");
			cut(&f, v6, 104, 504, false);
			net_rig_want(&r, &f, CTR_drop_ip_fragment, "end below what came");
			assert_int_equal(r.ctr.v[CTR_frag_overlap], 1);
			net_rig_down(&r);
		}
	}
}

/* A fragment that is malformed by itself. */
static void malformed(void **state)
{
	struct net_rig r;
	struct frame f;

	(void)state;
	net_rig_up(&r, NULL, NULL);
	cut(&f, false, 504, 805, true);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "length no multiple of 8");
	assert_false(net_rig_sent(&r, &f));
	cut(&f, false, 504, 504, false);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "empty");
	cut(&f, false, 504, 1000, false);
	put16(f.b + f.l3 + 6, 0x1fff);
	ip4_sum(&f);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "beyond 65535");
	put16(f.b + f.l3 + 6, 1500 / 8);
	ip4_sum(&f);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "longer than is taken");
	cut(&f, false, 504, 1000, false);
	f.b[f.l3 + 9] = PROTO_UDP;
	ip4_sum(&f);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "of a protocol that nobody speaks");
	assert_false(net_rig_sent(&r, &f));
	net_rig_down(&r);
}

/* RFC 8200 4.5, RFC 7112 5: the errors about fragments, and where they point. */
static void errors_v6(void **state)
{
	static const struct {
		uint32_t from, to, field; /* field: 0, or the offset field itself */
		bool more;
		int code, pointer; /* code -1: nothing is said */
	} rows[] = {
	        {504, 805, 0, true, 0, 4},         {504, 805, 0, false, -1, 0},
	        {504, 1000, 0xfff8, false, 0, 42}, {504, 1000, 0xfe10, false, 0, 42},
	        {504, 1000, 0xfe08, false, -1, 0}, {0, 16, 0, true, 3, 40},
	        {8, 504, 0, true, -1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum counter_id want = rows[i].from == 504 && !rows[i].field && !rows[i].more
		                               ? CTR_rx_fragment
		                               : CTR_drop_ip_fragment;
		struct net_rig r;
		struct frame f;
		struct frame sent;

		net_rig_up(&r, NULL, NULL);
		cut(&f, true, rows[i].from, rows[i].to, rows[i].more);
		if (rows[i].field)
			put16(f.b + f.l4 + 2, rows[i].field);
		net_rig_want(&r, &f, want, "a fragment");
		if (rows[i].code >= 0) {
			assert_true(net_rig_sent(&r, &sent));
			assert_int_equal(sent.b[sent.l4], ICMPV6_PARAM_PROBLEM);
			assert_int_equal(sent.b[sent.l4 + 1], rows[i].code);
			assert_int_equal(sent.b[sent.l4 + 7], rows[i].pointer);
			/* All of it is quoted. */
			assert_int_equal(sent.len, sent.l4 + 8 + f.len - f.l3);
			assert_memory_equal(sent.b + sent.l4 + 8, f.b + f.l3, f.len - f.l3);
			assert_memory_equal(sent.b + sent.l3 + 24, PEER_V6, 16);
			f = sent;
			frame_fix6(&f);
			assert_memory_equal(f.b, sent.b, sent.len); /* length and checksum */
		}
		assert_false(net_rig_sent(&r, &sent));
		net_rig_down(&r);
	}
}

/* RFC 6946: a fragment that is whole goes its way at once, and touches no other. */
static void atomic(void **state)
{
	struct net_rig r;
	struct frame f;

	(void)state;
	net_rig_up(&r, NULL, &(struct net_config){.fragments = 0, .icmp_per_s = 9});
	cut(&f, true, 0, WHOLE, false);
	net_rig_want(&r, &f, CTR_rx_tcp, "atomic");
	cut(&f, true, 0, 504, true);
	net_rig_want(&r, &f, CTR_drop_ip_fragment, "reassembly is off");
	net_rig_down(&r);
	net_rig_up(&r, NULL, NULL);
	cut(&f, true, 0, 504, true);
	net_rig_want(&r, &f, CTR_rx_fragment, "one that waits");
	cut(&f, true, 0, WHOLE, false);
	net_rig_want(&r, &f, CTR_rx_tcp, "atomic with the same identification");
	cut(&f, true, 504, WHOLE, false);
	net_rig_want(&r, &f, CTR_rx_tcp, "the other half");
	/* RFC 6980: not for neighbor discovery. */
	frame_ns(&f, PEER_V6, SNM_V6, OUR_V6);
	memmove(f.b + f.l4 + 8, f.b + f.l4, f.len - f.l4);
	memcpy(f.b + f.l4, "\x3a\0\0\0\0\0\0\1", 8);
	f.len += 8;
	put16(f.b + f.l3 + 4, f.len - f.l4);
	f.b[f.l3 + 6] = PROTO_FRAGMENT;
	net_rig_want(&r, &f, CTR_drop_ndp, "solicitation with a fragment header");
	net_rig_down(&r);
}

/* What identifies a datagram: both addresses, the identification, and for IPv4 the protocol. */
static void keys(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int k = 0; k < 3; k++) {
			struct net_rig r;
			struct frame f;

			net_rig_up(&r, NULL, NULL);
			cut(&f, v6, 0, 504, true);
			net_rig_want(&r, &f, CTR_rx_fragment, "first half");
			cut(&f, v6, 504, WHOLE, false);
			if (k == 0)
				f.b[id_at(&f, v6)] ^= 1;
			else if (k == 1)
				f.b[f.l3 + (v6 ? 23 : 15)] ^= 1; /* another source */
			else if (v6)
				f.b[f.l4] = PROTO_ICMPV6; /* only the first one's counts */
			else
				f.b[f.l3 + 9] = PROTO_ICMP;
			if (!v6)
				ip4_sum(&f);
			net_rig_want(&r, &f, v6 && k == 2 ? CTR_rx_tcp : CTR_rx_fragment,
			             "second half of another");
			net_rig_down(&r);
		}
	}
}

/* RFC 1122 3.3.2, RFC 8200 4.5: after the time is up the sender is told, if the first came. */
static void timeouts(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int first = 0; first < 2; first++) {
			uint32_t ms = v6 ? 60000 : 30000;
			struct net_rig r;
			struct frame f;

			net_rig_up(&r, NULL, NULL);
			cut(&f, v6, first ? 0 : 504, first ? 504 : WHOLE, first);
			net_rig_want(&r, &f, CTR_rx_fragment, "half");
			net_rig_wait(&r, ms - 1);
			assert_int_equal(r.ctr.v[CTR_frag_timeout], 0);
			net_rig_wait(&r, 1);
			assert_int_equal(r.ctr.v[CTR_frag_timeout], 1);
			assert_int_equal(net_rig_sent(&r, &f), first);
			if (first) {
				assert_int_equal(f.b[f.l4],
				                 v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED);
				assert_int_equal(f.b[f.l4 + 1], 1);
				assert_int_equal(r.ctr.v[CTR_icmp_sent], 1);
			}
			cut(&f, v6, first ? 504 : 0, first ? WHOLE : 504, !first);
			net_rig_want(&r, &f, CTR_rx_fragment, "too late");
			net_rig_down(&r);
		}
	}
}

/* A flood of first halves: the oldest makes room, and an honest datagram still gets through. */
static void table_is_bounded(void **state)
{
	struct net_config cfg;
	struct net_rig r;
	struct frame f;

	(void)state;
	net_config_default(&cfg);
	cfg.fragments = 8;
	net_rig_up(&r, NULL, &cfg);
	for (uint32_t i = 0; i < 100; i++) {
		cut(&f, false, 0, 504, true);
		put16(f.b + f.l3 + 4, i);
		ip4_sum(&f);
		net_rig_want(&r, &f, CTR_rx_fragment, "flood");
	}
	assert_int_equal(r.ctr.v[CTR_frag_evicted], 92);
	for (uint32_t i = 91; i < 93; i++) {
		cut(&f, false, 504, WHOLE, false);
		put16(f.b + f.l3 + 4, i);
		ip4_sum(&f);
		net_rig_want(&r, &f, CTR_rx_fragment, "its first half is gone");
	}
	cut(&f, false, 504, WHOLE, false);
	put16(f.b + f.l3 + 4, 99);
	ip4_sum(&f);
	net_rig_want(&r, &f, CTR_rx_tcp, "the youngest");
	net_rig_down(&r);
}

/* An echo request in fragments is answered as far as the answer needs none. */
static void echo(void **state)
{
	static const uint32_t lens[] = {1000, 1480, 1488, 1500};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct net_rig r;
		struct frame f;
		struct frame whole;

		net_rig_up(&r, NULL, NULL);
		frame_echo4(&whole, 0, lens[i] - ICMP_HDR_LEN);
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t from = k ? 504 : 0;
			uint32_t to = k ? lens[i] : 504;

			f = whole;
			memcpy(f.b + f.l4, whole.b + whole.l4 + from, to - from);
			f.len = f.l4 + to - from;
			put16(f.b + f.l3 + 2, f.len - f.l3);
			put16(f.b + f.l3 + 6, from / 8 | (k ? 0 : 0x2000u));
			ip4_sum(&f);
			if (k == 0)
				net_rig_want(&r, &f, CTR_rx_fragment, "first part");
			else
				net_rig_want(&r, &f, lens[i] <= 1480 ? CTR_rx_icmp : CTR_drop_icmp,
				             "second part");
		}
		assert_int_equal(net_rig_sent(&r, &f), lens[i] <= 1480);
		if (lens[i] <= 1480) {
			assert_int_equal(f.len, 34 + lens[i]);
			assert_memory_equal(f.b + 42, whole.b + 42, lens[i] - ICMP_HDR_LEN);
		}
		net_rig_down(&r);
	}
}

/* RFC 3168 5.3. */
static void congestion(void **state)
{
	static const struct {
		uint8_t a, b;
		int want; /* -1: dropped */
	} rows[] = {{0, 0, 0}, {1, 1, 1},  {2, 2, 2},  {1, 3, 3}, {3, 2, 3},
	            {3, 3, 3}, {0, 3, -1}, {3, 0, -1}, {0, 1, 0}, {1, 2, 1}};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool v6 = i & 1;
		struct net_rig r;
		struct frame f;
		unsigned up;

		net_rig_up(&r, NULL, NULL);
		for (int k = 0; k < 2; k++) {
			uint8_t ecn = k ? rows[i / 2].b : rows[i / 2].a;

			cut(&f, v6, k ? 504 : 0, k ? WHOLE : 504, !k);
			if (v6)
				f.b[f.l3 + 1] = (uint8_t)(ecn << 4);
			else
				f.b[f.l3 + 1] = ecn;
			if (!v6)
				ip4_sum(&f);
			up = net_rig_feed(&r, &f);
		}
		assert_int_equal(up, rows[i / 2].want >= 0);
		if (up == 1 && v6)
			assert_int_equal(r.up[0].data[15] >> 4 & 3, rows[i / 2].want);
		else if (up == 1)
			assert_int_equal(r.up[0].data[15] & 3, rows[i / 2].want);
		net_rig_drop(&r, up);
		net_rig_down(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(orders),     cmocka_unit_test(ends_that_disagree),
	        cmocka_unit_test(malformed),  cmocka_unit_test(errors_v6),
	        cmocka_unit_test(atomic),     cmocka_unit_test(keys),
	        cmocka_unit_test(timeouts),   cmocka_unit_test(table_is_bounded),
	        cmocka_unit_test(congestion), cmocka_unit_test(echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
