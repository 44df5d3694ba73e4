/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The user timeout (RFC 9293 3.8.3) and its option (RFC 5482). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define OPT_UTO(v) 28, 4, (uint8_t)((v) >> 8), (uint8_t)(v)

/* Until the connection is given up, the peer being silent. */
static uint64_t silence_ms(struct wire *w)
{
	uint64_t begin = w->now_ns;

	wire_write(w, "abc", 3);
	while (!w->closed && w->now_ns - begin < 2000 * NS_PER_S)
		wire_advance(w, 50);
	return (w->now_ns - begin) / NS_PER_MS;
}

static void test_configured(void **state)
{
	static const uint32_t times_ms[] = {1000, 5000, 17000, 100000, 900000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times_ms); i++) {
		struct tcp_config cfg;

		tcp_config_small(&cfg);
		cfg.user_timeout_ms = times_ms[i];
		wire_open(&wire, &cfg, i & 1);
		wire_handshake(&wire, NULL, 0, 5);
		assert_in_range(silence_ms(&wire), times_ms[i] - 200, times_ms[i] + 300);
		assert_int_equal(counter_read(&wire.ctr, CTR_tcp_timeout), 1);
		wire_close(&wire);
	}
}

/* Without one the number of timeouts decides, and that is at least 100 s (SHLD-11). */
static void test_retries(void **state)
{
	(void)state;
	wire_open(&wire, NULL, false);
	wire_handshake(&wire, NULL, 0, 5);
	assert_in_range(silence_ms(&wire), 100000, 600000);
	assert_int_equal(counter_read(&wire.ctr, CTR_tcp_user_timeout), 0);
	wire_close(&wire);
}

/* An ACK of anything begins the time anew. */
static void test_progress(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	static const uint8_t text[3000];

	(void)state;
	tcp_config_small(&cfg);
	cfg.user_timeout_ms = 10000;
	wire_open(w, &cfg, false);
	wire_handshake(w, NULL, 0, 0x7fffffff);
	wire_write(w, text, sizeof(text));
	for (uint32_t i = 0; i < 20; i++) {
		wire_advance(w, 8000);
		wire_flags(w, TH_ACK, w->seq, ++w->ack);
	}
	assert_int_equal(w->closed, 0);
	wire_advance(w, 11000);
	assert_int_equal(w->closed, 1);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_user_timeout), 1);
	wire_close(w);
}

/* RFC 5482 3.1: min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)). */
static void test_option_received(void **state)
{
	static const struct {
		uint16_t option;
		uint32_t max_ms, own_ms, want_ms;
	} cases[] = {
	        {300, 0, 0, 0},                  /* not enabled: the default */
	        {300, 600000, 0, 300000},        /* seconds */
	        {0x8000 | 3, 600000, 0, 180000}, /* minutes */
	        {30, 600000, 0, 100000},         /* no less than 100 s */
	        {30, 50000, 0, 50000},           /* but the limit is the limit */
	        {0x7fff, 600000, 0, 600000},
	        {0xffff, 600000, 0, 600000},
	        {120, 600000, 400000, 400000}, /* what we told */
	        {0, 600000, 0, 0},             /* reserved: ignored */
	        {0x8000, 600000, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const size_t k = i / 2;
		uint8_t opts[] = {OPT_UTO(cases[k].option)};
		struct tcp_config cfg;
		struct wire_seg s;

		tcp_config_small(&cfg);
		cfg.user_timeout_max_ms = cases[k].max_ms;
		cfg.user_timeout_advertise_ms = cases[k].own_ms;
		wire_open(&wire, &cfg, i & 1);
		/* In the SYN, or later. */
		wire_handshake(&wire, opts, i & 1 ? sizeof(opts) : 0, 5);
		s = (struct wire_seg){.seq = wire.seq, .ack = wire.ack, .wnd = 9, .flags = TH_ACK};
		s.data = "x";
		s.len = 1;
		memcpy(s.opts, opts, sizeof(opts));
		s.opts_len = i & 1 ? 0 : sizeof(opts);
		wire_send(&wire, &s);
		assert_int_equal(wire.rx_len, 1);
		assert_int_equal(wire.conn->uto.timeout_ms, cases[k].want_ms);
		wire_close(&wire);
	}
}

static void test_option_works(void **state)
{
	static const uint8_t opts[] = {OPT_UTO(150)};
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.user_timeout_max_ms = 600000;
	cfg.user_timeout_ms = 1000; /* what was agreed counts, not this */
	wire_open(&wire, &cfg, true);
	wire_handshake(&wire, opts, sizeof(opts), 5);
	assert_in_range(silence_ms(&wire), 149000, 151000);
	wire_close(&wire);
}

/* Told to peers only where configured. */
static void test_option_sent(void **state)
{
	static const struct {
		uint32_t ms;
		uint16_t want;
	} cases[] = {
	        {0, 0},
	        {1, 1},
	        {1000, 1},
	        {300000, 300},
	        {32767000, 32767},
	        {32768000, 0x8000 | 547},
	        {86400000, 0x8000 | 1440},
	};
	static const uint8_t all[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
	                              0, 5, 0, 0,    0, 0, 1, 3,  3, 7};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		const size_t k = i / 2;
		struct wire_seg syn = {.seq = 5, .wnd = 100, .flags = TH_SYN};
		struct tcp_config cfg;
		struct wire_seg got;

		tcp_config_small(&cfg);
		cfg.user_timeout_advertise_ms = cases[k].ms;
		wire_open(&wire, &cfg, false);
		memcpy(syn.opts, all, sizeof(all));
		syn.opts_len = i & 1 ? sizeof(all) : 0;
		wire_send(&wire, &syn);
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.parsed.uto, cases[k].want);
		assert_int_equal(got.parsed.has_ts, i & 1);
		wire_close(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_configured),   cmocka_unit_test(test_retries),
	        cmocka_unit_test(test_progress),     cmocka_unit_test(test_option_received),
	        cmocka_unit_test(test_option_works), cmocka_unit_test(test_option_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
