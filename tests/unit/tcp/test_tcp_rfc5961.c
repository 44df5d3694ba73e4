/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Blind in-window attacks (RFC 5961): what a forged segment may do, and what of the answers an
 * outsider could see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

/* 3.2: only SEQ = RCV.NXT resets, also where the window is zero (RFC 9293 MUST-66). */
static void test_reset(void **state)
{
	static const struct {
		int32_t off;
		bool shut, closed, challenge;
	} cases[] = {
	        {0, false, true, false},    {1, false, false, true},     {-1, false, false, false},
	        {8191, false, false, true}, {8192, false, false, false}, {0, true, true, false},
	        {1, true, false, false},    {-1, true, false, false},
	};
	static const uint8_t data[8192];
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_buf_bytes = 8192;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const size_t k = i / 2;
		struct wire *w = &wire;

		wire_open(w, &cfg, i & 1);
		wire_handshake(w, NULL, 0, 0xfffff000);
		if (cases[k].shut) {
			w->no_read = true;
			for (uint32_t at = 0; at < 8192; at += 1024)
				wire_data(w, w->seq + at, data, 1024);
			w->seq += 8192;
			wire_advance(w, 50);
			wire_drain(w);
		}
		wire_flags(w, TH_RST, w->seq + (uint32_t)cases[k].off, 0);
		assert_int_equal(w->closed, cases[k].closed);
		assert_int_equal(wire_drain(w), cases[k].challenge);
		w->no_read = false;
		wire_close(w);
	}
}

/* 4.2: a peer that lost everything gets through: its SYN is challenged, its reset fits, and the
 * SYN sent again begins anew. */
static void test_peer_restarts(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 100);
	wire_flags(w, TH_SYN, 0x70000000, 0);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_ACK);
	assert_int_equal(got.ack, w->seq);
	wire_flags(w, TH_RST, got.ack, 0);
	assert_int_equal(w->closed, 1);
	wire_flags(w, TH_SYN, 0x70000000, 0);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	assert_int_equal(got.ack, 0x70000001);
	wire_close(w);
}

/* 5.2: data comes only with an ACK that a peer could have sent. */
static void test_data_injection(void **state)
{
	static const struct {
		int64_t ack;
		bool taken;
	} cases[] = {
	        {0, true},  {-1, true},     {-65535, true},        {-65536, false},
	        {1, false}, {70000, false}, {-(1ll << 31), false}, {1ll << 31, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire *w = &wire;

		wire_open(w, NULL, i & 1);
		wire_handshake(w, NULL, 0, 0xfffffffe);
		w->ack += (uint32_t)cases[i].ack;
		wire_data(w, w->seq, "forged", 6);
		w->ack -= (uint32_t)cases[i].ack;
		assert_int_equal(w->rx_len, cases[i].taken ? 6 : 0);
		wire_expect(w, TH_ACK, w->ack, w->seq + (cases[i].taken ? 6 : 0));
		wire_close(w);
	}
}

/* 7, and CVE-2016-5696: the limit belongs to one connection. A count for all of them could be
 * emptied on one's own connection and then read from there, to learn whether a forged segment hit
 * another one. */
static void test_limit_is_private(void **state)
{
	struct wire *w = &wire;
	uint16_t ports[2] = {5000, 5001};
	uint32_t seqs[2];

	(void)state;
	wire_open(w, NULL, false);
	for (uint32_t i = 0; i < 2; i++) {
		w->port = ports[i];
		wire_handshake(w, NULL, 0, 1000 * i);
		seqs[i] = w->seq;
	}
	for (uint32_t round = 0; round < 3; round++) {
		w->port = ports[0];
		for (uint32_t i = 0; i < 500; i++)
			wire_flags(w, TH_SYN, seqs[0], 0);
		assert_int_equal(wire_drain(w), TCP_CHALLENGES_PER_S);
		w->port = ports[1];
		for (uint32_t i = 0; i < 500; i++)
			wire_flags(w, TH_SYN, seqs[1], 0);
		assert_int_equal(wire_drain(w), TCP_CHALLENGES_PER_S);
		wire_advance(w, 1100);
		wire_drain(w);
	}
	wire_close(w);
}

/* Segments that RFC 9293 answers are not throttled, whatever was before: data sent again must be
 * acknowledged again, or a peer whose ACKs were lost never gets on. */
static void test_data_is_not_throttled(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, NULL, 0, 1000);
	wire_data(w, w->seq, "abc", 3);
	wire_drain(w);
	for (uint32_t i = 0; i < 50; i++) {
		wire_data(w, w->seq, "abc", 3);
		wire_expect(w, TH_ACK, w->ack, w->seq + 3);
	}
	/* The bare ones are, so that two confused ends do not answer each other for ever. */
	for (uint32_t i = 0; i < 50; i++)
		wire_flags(w, TH_ACK, w->seq - 5, w->ack);
	assert_int_equal(wire_drain(w), TCP_CHALLENGES_PER_S);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_reset),
	        cmocka_unit_test(test_peer_restarts),
	        cmocka_unit_test(test_data_injection),
	        cmocka_unit_test(test_limit_is_private),
	        cmocka_unit_test(test_data_is_not_throttled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
