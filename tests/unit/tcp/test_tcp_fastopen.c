/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fast open (RFC 7413): cookies, data before the handshake ends, and every way back to an ordinary
 * handshake; as server with segments made by hand, as client, and both against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define STEP_NS (86400 * NS_PER_S)

static void open_on(struct wire *w, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.fast_open = true;
	wire_open(w, &cfg, v6);
}

/* A SYN with MSS and this cookie; len 0: a request. */
static struct wire_seg fast_syn(uint32_t isn, const uint8_t *cookie, uint32_t len, const char *data)
{
	struct wire_seg s = {.seq = isn, .wnd = 5000, .flags = TH_SYN, .data = data};

	memcpy(s.opts, (const uint8_t[]){2, 4, 5, 180}, 4);
	s.opts[4] = FAST_OPEN_KIND;
	s.opts[5] = (uint8_t)(2 + len);
	if (len > 0)
		memcpy(s.opts + 6, cookie, len);
	s.opts_len = (6 + len + 3) & ~3u;
	s.len = data ? (uint32_t)strlen(data) : 0;
	return s;
}

/* Asks for a cookie and leaves nothing behind. */
static void cookie_get(struct wire *w, uint8_t cookie[FAST_OPEN_COOKIE])
{
	struct wire_seg s = fast_syn(1, NULL, 0, NULL);
	uint32_t before = w->tcp->half_open;
	struct wire_seg got;

	s.sport = 999;
	wire_send(w, &s);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	assert_int_equal(got.parsed.fo_len, 2 + FAST_OPEN_COOKIE);
	memcpy(cookie, got.parsed.fo_cookie, FAST_OPEN_COOKIE);
	s = (struct wire_seg){.seq = 2, .sport = 999, .flags = TH_RST};
	wire_send(w, &s);
	assert_int_equal(w->tcp->half_open, before);
}

/* Sends the SYN and returns its SYN-ACK; data acknowledged or not. */
static struct wire_seg synack_of(struct wire *w, const struct wire_seg *syn, bool taken)
{
	struct wire_seg got;

	wire_send(w, syn);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	assert_int_equal(got.ack, syn->seq + 1 + (taken ? syn->len : 0));
	w->seq = got.ack;
	w->ack = got.seq + 1;
	return got;
}

/* The option is one of RFC 9293's unknown ones while it is off. */
static void test_off(void **state)
{
	struct wire_seg s = fast_syn(7, NULL, 0, "GET");

	(void)state;
	wire_open(&wire, NULL, false);
	assert_int_equal(synack_of(&wire, &s, false).parsed.fo_len, 0);
	assert_int_equal(wire.opened, 0);
	wire_close(&wire);
}

static void test_cookie(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t a[FAST_OPEN_COOKIE];
		uint8_t b[FAST_OPEN_COOKIE];
		struct wire_seg s = fast_syn(7, NULL, 0, "GET");

		open_on(&wire, v6);
		/* Data with a request is not taken. */
		assert_int_equal(synack_of(&wire, &s, false).parsed.fo_len, 10);
		assert_int_equal(wire.opened, 0);
		cookie_get(&wire, a);
		cookie_get(&wire, b);
		assert_memory_equal(a, b, sizeof(a));
		wire.remote.b[15] ^= 1;
		cookie_get(&wire, b);
		assert_memory_not_equal(a, b, sizeof(a));
		wire.remote.b[15] ^= 1;
		wire_close(&wire);
	}
}

/* Data in, answer out, all before the ACK; then the ACK covers this much of the answer. */
static void test_taken(void **state)
{
	static const uint32_t acked[] = {0, 1, 3, 6};
	static const uint32_t isns[] = {5, 0xfffffffb, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(acked) * ARRAY_LEN(isns); i++) {
		uint8_t cookie[FAST_OPEN_COOKIE];
		struct wire *w = &wire;
		struct wire_seg got;
		struct wire_seg s;

		open_on(w, i & 1);
		cookie_get(w, cookie);
		s = fast_syn(isns[i / 2 % ARRAY_LEN(isns)], cookie, sizeof(cookie), "hello");
		got = synack_of(w, &s, true);
		assert_int_equal(got.parsed.fo_len, 0);
		assert_int_equal(w->opened, 1);
		assert_int_equal(w->rx_len, 5);
		assert_memory_equal(w->rx, "hello", 5);
		assert_int_equal(w->conn->state, TCP_SYN_RECEIVED);
		assert_int_equal(w->tcp->fast_open.pending, 1);
		wire_write(w, "answer", 6);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.ack, w->seq);
		assert_memory_equal(got.payload, "answer", 6);
		/* A wrong ACK is reset and changes nothing. */
		wire_flags(w, TH_ACK, w->seq, w->ack + 7);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_RST);
		wire_flags(w, TH_ACK, w->seq, w->ack - 1);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_RST);
		assert_int_equal(w->conn->state, TCP_SYN_RECEIVED);

		w->ack += acked[i / 2 / ARRAY_LEN(isns)];
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_int_equal(w->conn->state, TCP_ESTABLISHED);
		assert_int_equal(w->tcp->fast_open.pending, 0);
		assert_int_equal(w->opened, 1);
		assert_int_equal(wire_count(w, CTR_tcp_accepted), 1);
		assert_int_equal(tcp_tx_queued(w->conn), 6 - acked[i / 2 / ARRAY_LEN(isns)]);
		/* What was not acknowledged comes again. */
		wire_drain(w);
		wire_advance(w, 4000);
		assert_int_equal(wire_take(w, &got), acked[i / 2 / ARRAY_LEN(isns)] < 6);
		if (acked[i / 2 / ARRAY_LEN(isns)] < 6)
			assert_int_equal(got.seq, w->ack);
		/* And data goes on behind that of the SYN. */
		wire_data(w, w->seq, "world", 5);
		assert_memory_equal(w->rx, "helloworld", 10);
		wire_close(w);
	}
}

static void test_bad_cookie(void **state)
{
	static const struct {
		uint8_t len;
		uint8_t flip; /* byte + 1, 0: none */
		bool told;
	} cases[] = {{8, 1, true},  {8, 8, true},   {4, 0, true},  {6, 0, true},
	             {16, 0, true}, {18, 0, false}, {7, 0, false}, {2, 0, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t cookie[24] = {0};
		struct wire_seg got;
		struct wire_seg s;

		open_on(&wire, false);
		cookie_get(&wire, cookie);
		if (cases[i].flip)
			cookie[cases[i].flip - 1] ^= 1;
		s = fast_syn(9, cookie, cases[i].len, "hello");
		got = synack_of(&wire, &s, false);
		assert_int_equal(got.parsed.fo_len, cases[i].told ? 10 : 0);
		assert_int_equal(wire.opened, 0);
		/* The handshake goes on, and the data comes again. */
		wire_data(&wire, wire.seq, "hello", 5);
		assert_int_equal(wire.opened, 1);
		assert_int_equal(wire.rx_len, 5);
		wire_close(&wire);
	}
}

static void test_key_steps(void **state)
{
	static const struct {
		uint64_t made_ns, used_ns;
		bool taken;
	} cases[] = {
	        {0, STEP_NS, true},
	        {0, 2 * STEP_NS - 1, true},
	        {0, 2 * STEP_NS, false},
	        {STEP_NS - 1, 2 * STEP_NS - 1, true},
	        {STEP_NS - 1, 2 * STEP_NS, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t cookie[FAST_OPEN_COOKIE];
		struct wire_seg s;

		open_on(&wire, true);
		wire.now_ns = 50 * STEP_NS + cases[i].made_ns;
		cookie_get(&wire, cookie);
		wire.now_ns = 50 * STEP_NS + cases[i].used_ns;
		s = fast_syn(9, cookie, sizeof(cookie), "hello");
		synack_of(&wire, &s, cases[i].taken);
		wire_close(&wire);
	}
}

/* All stacks of a machine know each other's cookies; those of another machine do not. */
static void test_shared_seed(void **state)
{
	uint8_t cookie[FAST_OPEN_COOKIE];

	(void)state;
	for (uint8_t i = 0; i < 3; i++) {
		uint8_t shared[TCP_SEED_BYTES] = {(uint8_t)(i / 2)};
		struct wire_seg s;
		struct tcp_env env;
		struct tcp *tcp;

		open_on(&wire, false);
		env = wire.tcp->env;
		env.fast_open_seed = shared;
		assert_int_equal(tcp_create(&tcp, &wire.tcp->cfg, &env, wire.now_ns), ST_OK);
		assert_int_equal(tcp_listen(tcp, &wire.local, RIG_PORT), ST_OK);
		tcp_destroy(wire.tcp);
		wire.tcp = tcp;
		if (i == 0)
			cookie_get(&wire, cookie);
		s = fast_syn(9, cookie, sizeof(cookie), "hello");
		synack_of(&wire, &s, i < 2);
		wire_close(&wire);
	}
}

/* Above the limit, without a buffer, or under flood, a SYN is an ordinary one. */
static void test_limits(void **state)
{
	uint8_t cookie[FAST_OPEN_COOKIE];
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;
	struct wire_seg s;

	(void)state;
	tcp_config_small(&cfg);
	cfg.fast_open = true;
	cfg.max_fast_open = 2;
	wire_open(w, &cfg, false);
	cookie_get(w, cookie);
	s = fast_syn(9, cookie, sizeof(cookie), "hello");
	for (uint16_t i = 0; i < 4; i++) {
		s.sport = (uint16_t)(5000 + i);
		got = synack_of(w, &s, i < 2);
	}
	assert_int_equal(wire_count(w, CTR_tcp_fast_open_taken), 2);
	assert_int_equal(wire_count(w, CTR_tcp_fast_open_refused), 2);
	/* One that ends, however it does, makes room. */
	got = (struct wire_seg){.seq = 15, .sport = 5000, .flags = TH_RST};
	wire_send(w, &got);
	assert_int_equal(w->closed, 1);
	assert_int_equal(w->tcp->fast_open.pending, 1);
	s.sport = 6000;
	synack_of(w, &s, true);
	wire_close(w);

	cfg.max_fast_open = 256;
	cfg.max_syn_backlog = 4; /* half of it */
	wire_open(w, &cfg, false);
	w->no_read = true;
	cookie_get(w, cookie);
	s = fast_syn(9, cookie, sizeof(cookie), "hello");
	for (uint16_t i = 0; i < 5; i++) {
		if (i >= 1) {
			/* No receive memory any more, and it was not noticed yet: else SYNs are
			 * dropped. */
			w->tcp->rx_mem.fresh = w->tcp->rx_mem.count;
			w->tcp->rx_mem.level = MEM_NO_OOO;
		}
		s.sport = (uint16_t)(5000 + i);
		got = synack_of(w, &s, i == 0);
		assert_int_equal(got.parsed.fo_len, 0);
	}
	assert_int_equal(wire_count(w, CTR_tcp_cookie_sent), 1);
	assert_int_equal(wire_count(w, CTR_tcp_fast_open_refused), 3);
	assert_int_equal(w->opened, 1);
	assert_int_equal(w->tcp->fast_open.pending, 1);
	wire_close(w);
}

/* The SYN again: the same answer, and nothing is delivered twice. Then it gives up. */
static void test_synack_lost(void **state)
{
	uint8_t cookie[FAST_OPEN_COOKIE];
	struct wire *w = &wire;
	uint32_t synacks = 0;
	struct wire_seg got;
	struct wire_seg s;

	(void)state;
	open_on(w, false);
	cookie_get(w, cookie);
	s = fast_syn(9, cookie, sizeof(cookie), "hello");
	synack_of(w, &s, true);
	wire_write(w, "answer", 6);
	wire_drain(w);
	synack_of(w, &s, true);
	assert_int_equal(w->rx_len, 5);
	assert_int_equal(w->opened, 1);
	while (w->closed == 0) {
		wire_advance(w, 1000);
		while (wire_take(w, &got)) {
			assert_int_equal(got.flags, TH_SYN | TH_ACK);
			assert_int_equal(got.ack, s.seq + 1 + s.len);
			synacks++;
		}
	}
	assert_int_equal(synacks, 5);
	assert_int_equal(w->tcp->fast_open.pending, 0);
	wire_close(w);
}

/* The owner is done before the handshake is: its FIN waits for it. */
static void test_close_early(void **state)
{
	uint8_t cookie[FAST_OPEN_COOKIE];
	struct wire *w = &wire;
	struct wire_seg got;
	struct wire_seg s;
	struct conn *c;

	(void)state;
	for (int how = 0; how < 3; how++) {
		open_on(w, true);
		cookie_get(w, cookie);
		s = fast_syn(9, cookie, sizeof(cookie), "hello");
		synack_of(w, &s, true);
		c = w->conn;
		assert_int_equal(tcp_tx_copy(w->tcp, c, "bye", 3), ST_OK);
		if (how == 0)
			tcp_shutdown(w->tcp, c);
		else
			tcp_set_owner(c, NULL);
		if (how == 1)
			tcp_close(w->tcp, c, w->now_ns);
		if (how == 2)
			tcp_abort(w->tcp, c);
		wire_run(w);
		assert_true(wire_take(w, &got));
		if (how == 2) {
			assert_int_equal(got.flags, TH_RST | TH_ACK);
			assert_int_equal(tcp_conn_count(w->tcp), 0);
			wire_close(w);
			continue;
		}
		assert_int_equal(got.flags, TH_ACK | TH_PSH);
		assert_int_equal(got.len, 3);
		assert_false(wire_take(w, &got));
		wire_flags(w, TH_ACK, w->seq, w->ack + 3);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.flags, TH_ACK | TH_PSH | TH_FIN);
		assert_int_equal(got.seq, w->ack + 3);
		assert_int_equal(c->state, TCP_FIN_WAIT_1);
		assert_int_equal(w->tcp->orphan_count, how);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_off),         cmocka_unit_test(test_cookie),
	        cmocka_unit_test(test_taken),       cmocka_unit_test(test_bad_cookie),
	        cmocka_unit_test(test_key_steps),   cmocka_unit_test(test_shared_seed),
	        cmocka_unit_test(test_limits),      cmocka_unit_test(test_synack_lost),
	        cmocka_unit_test(test_close_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
