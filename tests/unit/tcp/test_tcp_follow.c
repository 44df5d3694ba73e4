/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a segment tells besides its data: the window, which the newest one sets, and the way back,
 * which follows the peer's frames. And what its answer must not forget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static uint8_t text[8192];

static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};

static const uint32_t isns[] = {5, 0u - 60, 0u - 150, 0u - 1050, 0x7ffffff0};

/* A segment sent again has an old number and a new ACK: its window counts from there, and the one
 * before must not be added to the new snd_una. */
static void test_window_of_resent(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint32_t i = 0; i < 2 * ARRAY_LEN(isns); i++) {
		struct wire_seg s = {.wnd = 1000, .flags = TH_ACK, .data = text, .len = 100};
		struct wire_seg got;
		uint32_t edge;

		wire_open(w, NULL, i % 2);
		wire_handshake(w, opts_mss, sizeof(opts_mss), isns[i / 2]);
		/* The second of two segments: the first was lost. */
		s.seq = w->seq + 100;
		s.ack = w->ack;
		wire_send(w, &s);
		w->conn->snd_wnd_max = 1000; /* so that all of it is used at once */
		wire_write(w, text, 3000);
		edge = w->ack + 1000;
		w->ack = edge;
		wire_drain(w);
		/* It comes again, and says that the window is full. */
		s.seq = w->seq;
		s.ack = edge;
		s.wnd = 0;
		wire_send(w, &s);
		while (wire_take(w, &got))
			assert_true(seq_le(got.seq + got.len, edge));
		assert_int_equal(w->conn->snd_wnd, 0);
		/* An older one that was overtaken changes nothing. */
		s.seq = w->seq + 100;
		s.ack = edge - 500;
		s.wnd = 5000;
		wire_send(w, &s);
		assert_int_equal(w->conn->snd_wnd, 0);
		/* And a later one opens it. */
		s = (struct wire_seg){
		        .seq = w->seq + 200, .ack = edge, .wnd = 5000, .flags = TH_ACK};
		wire_send(w, &s);
		assert_int_equal(w->conn->snd_wnd, 5000);
		w->ack = edge + 2000;
		wire_flags(w, TH_ACK, w->seq + 200, w->ack);
		tcp_abort(w->tcp, w->conn);
		wire_run(w);
		wire_close(w);
	}
}

/* Bytes that are lent to the owner are not acknowledged yet; the window goes as far as before. */
static void test_edge_with_lent_bytes(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(isns); i++) {
		struct wire_seg s[2] = {{.wnd = 65535, .flags = TH_ACK, .data = text, .len = 500},
		                        {.wnd = 65535, .flags = TH_ACK, .data = text, .len = 50}};
		struct wire_seg got;
		uint32_t edge;

		wire_open(w, NULL, false);
		wire_handshake(w, opts_mss, sizeof(opts_mss), isns[i]);
		wire_data(w, w->seq, text, 100);
		wire_advance(w, 100);
		edge = w->conn->rcv_adv;
		wire_drain(w);
		s[0].seq = w->seq + 100;
		s[1].seq = w->seq; /* once more, answered while the other is lent */
		s[0].ack = w->ack;
		s[1].ack = w->ack;
		wire_burst(w, s, 2);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.ack, w->seq + 100);
		assert_true(seq_le(edge, got.ack + got.wnd));
		wire_drain(w);
		tcp_abort(w->tcp, w->conn);
		wire_run(w);
		wire_close(w);
	}
}

/* Another gateway brings data that we have: our ACK of it was lost on the old way, and the next one
 * must take the new way. */
static void test_path_of_resent(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (uint32_t i = 0; i < 2 * ARRAY_LEN(isns); i++) {
		wire_open(w, NULL, i % 2);
		wire_handshake(w, opts_mss, sizeof(opts_mss), isns[i / 2]);
		wire_data(w, w->seq, text, 100);
		assert_int_equal(w->conn->path.remote_mac[5], 9);
		w->peer_mac_end = 7;
		/* Guesses: a number of long ago, and an ACK of what we did not send. */
		wire_data(w, w->seq - (1u << 30), text, 100);
		assert_int_equal(w->conn->path.remote_mac[5], 9);
		w->ack++;
		wire_data(w, w->seq, text, 100);
		assert_int_equal(w->conn->path.remote_mac[5], 9);
		w->ack--;
		wire_data(w, w->seq, text, 100);
		assert_int_equal(w->conn->path.remote_mac[5], 7);
		w->peer_mac_end = 0;
		tcp_abort(w->tcp, w->conn);
		wire_run(w);
		wire_close(w);
	}
}

/* One router, several VLANs: the tag that comes is the tag that answers bear. */
static void test_path_of_tag(void **state)
{
	static const uint16_t tags[] = {0, 5, 7, 0, 7};
	struct wire *w = &wire;

	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		wire_open(w, NULL, v6);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 0u - 60);
		for (uint32_t i = 0; i < ARRAY_LEN(tags); i++) {
			w->vlan = tags[i];
			wire_data(w, w->seq + 100 * i, text, 100);
			assert_int_equal(w->conn->path.vlan, tags[i]);
		}
		w->vlan = 0;
		tcp_abort(w->tcp, w->conn);
		wire_run(w);
		wire_close(w);
	}
}

/* The same for the FIN, when we are in TIME-WAIT. */
static void test_path_in_time_wait(void **state)
{
	struct wire *w = &wire;
	struct conn *c;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	c = w->conn;
	tcp_shutdown(w->tcp, c);
	wire_run(w);
	w->ack++;
	wire_flags(w, TH_ACK | TH_FIN, w->seq, w->ack);
	assert_int_equal(c->state, TCP_TIME_WAIT);
	w->peer_mac_end = 7;
	wire_flags(w, TH_ACK, w->seq + 1, w->ack);
	assert_int_equal(c->path.remote_mac[5], 9);
	wire_flags(w, TH_ACK | TH_FIN, w->seq, w->ack);
	assert_int_equal(c->path.remote_mac[5], 7);
	w->peer_mac_end = 0;
	wire_advance(w, 61000);
	wire_close(w);
}

/* Output that found no packet buffer is tried again, also when an ACK finds one before. */
static void test_output_waits(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;

	(void)state;
	for (uint32_t fin = 0; fin < 2; fin++) {
		wire_open(w, NULL, false);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 0u - 60);
		nic_sim_set_faults(w->nic, NIC_SIM_STARVED);
		if (fin)
			tcp_shutdown(w->tcp, w->conn);
		else
			assert_int_equal(tcp_tx_copy(w->tcp, w->conn, text, 100), ST_OK);
		wire_run(w);
		assert_false(wire_take(w, &got));
		nic_sim_set_faults(w->nic, 0);
		wire_flags(w, TH_ACK, w->seq - 1, w->ack); /* keep-alive */
		assert_true(wire_take(w, &got));
		assert_int_equal(got.len, 0);
		wire_advance(w, 5);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, fin ? 0 : 100);
		assert_int_equal(got.flags & TH_FIN, fin ? TH_FIN : 0);
		tcp_abort(w->tcp, w->conn);
		wire_run(w);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_window_of_resent),
	        cmocka_unit_test(test_edge_with_lent_bytes),
	        cmocka_unit_test(test_path_of_resent),
	        cmocka_unit_test(test_path_of_tag),
	        cmocka_unit_test(test_path_in_time_wait),
	        cmocka_unit_test(test_output_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
