/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keep-alive (RFC 9293 3.8.4), from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

static const uint8_t opts_ts[] = {1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0};

static void open_with(struct wire *w, uint32_t idle_ms, uint32_t interval_ms, uint32_t probes)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.keepalive_idle_ms = idle_ms;
	cfg.keepalive_interval_ms = interval_ms;
	cfg.keepalive_probes = probes;
	wire_open(w, &cfg, false);
	wire_handshake(w, NULL, 0, 0xffffffff);
}

/* MUST-24, MUST-27: on or off, and when, is the configuration's. */
static void test_off(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	open_with(w, 0, 1, 1);
	wire_advance(w, 3600 * 1000);
	assert_false(wire_take(w, &got));
	assert_int_equal(w->closed, 0);
	wire_close(w);
}

/* MUST-29: lost answers do not end it, only as many as configured. SHLD-12: no octet of data. */
static void test_lost_answers(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	open_with(w, 5000, 1000, 4);
	for (uint32_t round = 0; round < 3; round++) {
		wire_advance(w, 4900);
		assert_false(wire_take(w, &got));
		for (uint32_t i = 0; i < 4; i++) {
			wire_advance(w, i ? 1000 : 200);
			assert_true(wire_take(w, &got));
			assert_int_equal(got.flags, TH_ACK);
			assert_int_equal(got.seq, w->ack - 1);
			assert_int_equal(got.len, 0);
		}
		/* The last one is answered. */
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_int_equal(w->closed, 0);
	}
	wire_advance(w, 5000 + 4 * 1000 + 100);
	assert_int_equal(w->closed, 1);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_timeout), 1);
	wire_close(w);
}

/* MUST-26: not while something is in flight, which probes as well. */
static void test_in_flight(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	open_with(w, 1000, 100, 1);
	wire_write(w, "abc", 3);
	wire_drain(w);
	for (uint32_t i = 0; i < 20; i++) {
		wire_advance(w, 500);
		while (wire_take(w, &got))
			assert_int_equal(got.len, 3);
	}
	assert_int_equal(w->closed, 0);
	assert_int_equal(counter_read(&w->ctr, CTR_tcp_keepalive), 0);
	wire_close(w);
}

/* The peer's probe (SEQ = RCV.NXT - 1, without data or with one octet of it) is answered, counts as
 * a sign of life, and says nothing by its timestamp: it lies outside the window (RFC 7323 5.3, R2).
 */
static void test_answer(void **state)
{
	(void)state;
	for (uint32_t len = 0; len < 2; len++) {
		struct wire *w = &wire;
		struct wire_seg probe = {.wnd = 100, .flags = TH_ACK, .data = "x", .len = len};
		struct wire_seg got;

		wire_open(w, NULL, false);
		wire_handshake(w, opts_ts, sizeof(opts_ts), 5);
		memcpy(probe.opts, opts_ts, sizeof(opts_ts));
		probe.opts_len = sizeof(opts_ts);
		probe.opts[6] = 9;
		probe.seq = w->seq - 1;
		probe.ack = w->ack;
		for (uint32_t i = 0; i < 10; i++) {
			wire_advance(w, 50000);
			wire_send(w, &probe);
			assert_true(wire_take(w, &got));
			assert_int_equal(got.flags, TH_ACK);
			assert_int_equal(got.seq, w->ack);
			assert_int_equal(got.ack, w->seq);
			assert_int_equal(got.parsed.tsecr, 100);
			assert_false(wire_take(w, &got));
		}
		assert_int_equal(w->rx_len, 0);
		assert_int_equal(counter_read(&w->ctr, CTR_tcp_keepalive), 0);
		wire_close(w);
	}
}

/* What waits for a packet buffer when the probe is due still goes out. */
static void test_beside_waiting_data(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	uint32_t sent = 0;

	(void)state;
	for (uint32_t early_ms = 0; early_ms < 8; early_ms++) {
		open_with(w, 1000, 60000, 4);
		wire_advance(w, 1000 - early_ms);
		nic_sim_set_faults(w->nic, NIC_SIM_STARVED);
		wire_write(w, "abc", 3);
		nic_sim_set_faults(w->nic, 0);
		for (uint32_t i = 0; i < 100; i++) {
			wire_advance(w, 1);
			while (wire_take(w, &got))
				sent += got.len;
		}
		assert_int_equal(sent, 3 * (early_ms + 1));
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_off),
	        cmocka_unit_test(test_lost_answers),
	        cmocka_unit_test(test_in_flight),
	        cmocka_unit_test(test_answer),
	        cmocka_unit_test(test_beside_waiting_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
