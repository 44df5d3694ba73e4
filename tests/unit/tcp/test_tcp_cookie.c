/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYN cookies (RFC 4987): what they carry, how long they last, and what is no cookie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

#define OPT_MSS    2, 4, 0x05, 0xb4
#define OPT_WS(n)  1, 3, 3, (n)
#define OPT_SACKOK 1, 1, 4, 2
#define OPT_TS(v)  1, 1, 8, 10, 0, 0, 0, (v), 0, 0, 0, 0
#define STEP_NS    (60 * NS_PER_S)

static void open_always(struct wire *w, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.syn_cookies = TCP_COOKIES_ALWAYS;
	wire_open(w, &cfg, v6);
}

static void ts_put(struct wire_seg *s, uint32_t tsval, uint32_t tsecr)
{
	put_u32(s->opts, 0x0101080a);
	put_u32(s->opts + 4, tsval);
	put_u32(s->opts + 8, tsecr);
	s->opts_len = 12;
}

/* The answer to a SYN-ACK of ours. */
static struct wire_seg answer_to(const struct wire_seg *synack)
{
	struct wire_seg s = {
	        .seq = synack->ack, .ack = synack->seq + 1, .wnd = 1000, .flags = TH_ACK};

	if (synack->parsed.has_ts)
		ts_put(&s, 6, synack->parsed.tsval);
	return s;
}

/* Sends a SYN with these options and returns the SYN-ACK. */
static struct wire_seg synack_of(struct wire *w, uint32_t isn, const uint8_t *opts, uint32_t len)
{
	struct wire_seg syn = {.seq = isn, .wnd = 5000, .flags = TH_SYN, .opts_len = len};
	struct wire_seg got;

	if (len > 0)
		memcpy(syn.opts, opts, len);
	wire_send(w, &syn);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	assert_int_equal(got.ack, isn + 1);
	return got;
}

/* The answer to the SYN-ACK of a connection of which nothing is kept. */
static struct wire_seg answer_begin(bool v6, uint32_t isn, const uint8_t *opts, uint32_t len)
{
	struct wire_seg got;

	open_always(&wire, v6);
	got = synack_of(&wire, isn, opts, len);
	return answer_to(&got);
}

static const struct option_case {
	uint8_t opts[24];
	uint8_t len;
	uint16_t mss[2]; /* payload a segment, IPv4 and IPv6 */
	bool ts, sack, wscale;
	uint8_t snd_wscale;
} option_cases[] = {
        {{0}, 0, {536, 1220}, false, false, false, 0},
        {{2, 4, 0, 1}, 4, {64, 64}, false, false, false, 0},
        {{2, 4, 0x02, 0x17}, 4, {64, 64}, false, false, false, 0}, /* 535 */
        {{2, 4, 0x02, 0x18}, 4, {536, 536}, false, false, false, 0},
        {{2, 4, 0x05, 0x64}, 4, {1360, 1360}, false, false, false, 0}, /* 1380 */
        {{2, 4, 0x05, 0xac}, 4, {1440, 1440}, false, false, false, 0}, /* 1452 */
        {{OPT_MSS}, 4, {1460, 1440}, false, false, false, 0},
        {{2, 4, 0xff, 0xff}, 4, {1460, 1440}, false, false, false, 0},
        /* Without timestamps nothing would remember these. */
        {{OPT_MSS, OPT_SACKOK, OPT_WS(7)}, 12, {1460, 1440}, false, false, false, 0},
        {{OPT_MSS, OPT_TS(5)}, 16, {1448, 1428}, true, false, false, 0},
        {{OPT_MSS, OPT_SACKOK, OPT_TS(5)}, 20, {1448, 1428}, true, true, false, 0},
        {{OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(0)}, 24, {1448, 1428}, true, true, true, 0},
        {{OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(9)}, 24, {1448, 1428}, true, true, true, 9},
        {{OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(99)}, 24, {1448, 1428}, true, true, true, 14},
        {{OPT_MSS, OPT_TS(5), OPT_WS(14)}, 20, {1448, 1428}, true, false, true, 14},
};

static void options_check(struct wire *w, const struct option_case *k, uint32_t isn)
{
	struct wire_seg got = synack_of(w, isn, k->opts, k->len);
	struct wire_seg ack = answer_to(&got);

	assert_int_equal(tcp_conn_count(w->tcp), 0);
	assert_int_equal(got.parsed.mss, w->v6 ? 1440 : 1460);
	assert_int_equal(got.parsed.has_ts, k->ts);
	assert_int_equal(got.parsed.sack_ok, k->sack);
	assert_int_equal(got.parsed.has_wscale, k->wscale);
	if (k->ts)
		assert_int_equal(got.parsed.tsecr, 5);
	wire_send(w, &ack);
	assert_non_null(w->conn);
	assert_int_equal(w->conn->state, TCP_ESTABLISHED);
	assert_int_equal(w->conn->mss, k->mss[w->v6]);
	assert_int_equal(!!(w->conn->flags & CF_TS), k->ts);
	assert_int_equal(!!(w->conn->flags & CF_SACK), k->sack);
	assert_int_equal(!!(w->conn->flags & CF_WSCALE), k->wscale);
	assert_int_equal(w->conn->snd_wnd, 1000u << k->snd_wscale);
	assert_int_equal(w->conn->rcv_adv - w->conn->rcv_nxt, got.wnd);
	/* What nobody measured is not known. */
	assert_int_equal(w->conn->srtt_us, 0);
	w->seq = ack.seq;
	w->ack = ack.ack;
}

static void test_options(void **state)
{
	static const uint32_t isns[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(option_cases) * ARRAY_LEN(isns) * 2; i++) {
		const struct option_case *k = &option_cases[i / 2 / ARRAY_LEN(isns)];
		struct wire_seg got;

		open_always(&wire, i & 1);
		options_check(&wire, k, isns[i / 2 % ARRAY_LEN(isns)]);
		assert_int_equal(wire_count(&wire, CTR_tcp_cookie_sent), 1);
		assert_int_equal(wire_count(&wire, CTR_tcp_cookie_accepted), 1);
		assert_int_equal(wire_count(&wire, CTR_tcp_cookie_failed), 0);
		assert_int_equal(wire_count(&wire, CTR_tcp_accepted), 1);
		/* And it works. */
		wire_write(&wire, "0123456789", 10);
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.seq, wire.ack);
		assert_int_equal(got.len, 10);
		wire_close(&wire);
	}
}

/* RFC 3168 6.1.1: remembered like the other options, only with timestamps. */
static void test_ecn(void **state)
{
	static const struct {
		bool ts, asked;
		enum tcp_ecn ecn;
		bool on;
	} cases[] = {
	        {true, true, TCP_ECN_ACCEPT, true},
	        {true, false, TCP_ECN_ACCEPT, false},
	        {false, true, TCP_ECN_ACCEPT, false},
	        {true, true, TCP_ECN_OFF, false},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		static const uint8_t ts[12] = {OPT_TS(5)};
		struct wire_seg s = {.seq = 7, .wnd = 500, .flags = TH_SYN};
		struct wire_seg got;

		open_always(&wire, i & 1);
		wire.tcp->cfg.ecn = cases[i / 2].ecn;
		s.flags |= cases[i / 2].asked ? TH_ECN_SETUP : 0;
		memcpy(s.opts, ts, sizeof(ts));
		s.opts_len = cases[i / 2].ts ? sizeof(ts) : 0;
		wire_send(&wire, &s);
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.flags, TH_SYN | TH_ACK | (cases[i / 2].on ? TH_ECE : 0));
		s = answer_to(&got);
		wire_send(&wire, &s);
		assert_int_equal(!!(wire.conn->flags & CF_ECN), cases[i / 2].on);
		wire_close(&wire);
	}
}

/* Our timestamps must not go back, wherever the clock stands when the cookie takes its low bits
 * (RFC 7323 4.3, 5.4). */
static void test_timestamps(void **state)
{
	static const uint8_t opts[24] = {OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(14)};

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		struct wire_seg got;
		struct wire_seg ack;
		uint32_t ts;

		open_always(&wire, i & 1);
		wire.now_ns += (uint64_t)i << 20;
		got = synack_of(&wire, i, opts, sizeof(opts));
		ts = got.parsed.tsval;
		ack = answer_to(&got);
		wire_send(&wire, &ack);
		wire_write(&wire, "x", 1);
		assert_true(wire_take(&wire, &got));
		assert_true(seq_le(ts, got.parsed.tsval));
		assert_true(got.parsed.tsval - ts < 128);
		wire_close(&wire);
	}
}

/* The ACK that completes the handshake may be lost; what comes instead does as well. */
static void test_first_segment(void **state)
{
	static const struct {
		uint8_t flags;
		const char *data;
		enum tcp_state end;
	} cases[] = {
	        {TH_ACK, "", TCP_ESTABLISHED},
	        {TH_ACK | TH_PSH, "hello", TCP_ESTABLISHED},
	        {TH_ACK | TH_FIN, "", TCP_CLOSE_WAIT},
	        {TH_ACK | TH_FIN | TH_PSH, "hello", TCP_CLOSE_WAIT},
	};
	static const uint8_t opts[24] = {OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(9)};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct wire_seg s = answer_begin(i & 1, 0xfffffffd, opts, i & 1 ? 24 : 4);

		s.flags = cases[i / 2].flags;
		s.data = cases[i / 2].data;
		s.len = (uint32_t)strlen(cases[i / 2].data);
		wire_send(&wire, &s);
		assert_int_equal(wire.opened, 1);
		assert_int_equal(wire.conn->state, cases[i / 2].end);
		assert_int_equal(wire.rx_len, s.len);
		assert_memory_equal(wire.rx, cases[i / 2].data, s.len);
		wire_close(&wire);
	}
}

/* A segment that overtakes the first cannot be checked; it must not end the connection. */
static void test_overtaken(void **state)
{
	(void)state;
	for (int fin = 0; fin < 2; fin++) {
		struct wire_seg got;
		struct wire_seg s = answer_begin(fin, 0xfffffffa, NULL, 0);

		s.seq += 5;
		s.flags |= fin ? TH_FIN : TH_PSH;
		s.data = "world";
		s.len = fin ? 0 : 5;
		wire_send(&wire, &s);
		assert_false(wire_take(&wire, &got));
		assert_int_equal(wire_count(&wire, CTR_tcp_cookie_failed), 1);
		s.seq -= 5;
		s.flags = TH_ACK | TH_PSH;
		s.data = "hello";
		s.len = 5;
		wire_send(&wire, &s);
		assert_int_equal(wire.opened, 1);
		assert_int_equal(wire.rx_len, 5);
		wire_close(&wire);
	}
}

static void test_not_a_cookie(void **state)
{
	static const struct {
		int32_t seq, ack;
		int16_t port;
		uint32_t ts; /* flipped in the echo */
		bool no_ts;
	} cases[] = {
	        {.seq = 1},      {.seq = -1},    {.ack = 1},       {.ack = -1},
	        {.ack = 8},      {.ack = 64},    {.port = 1},      {.port = -1},
	        {.ts = 1},       {.ts = 8},      {.ts = 16},       {.ts = 32},
	        {.no_ts = true}, {.seq = 65536}, {.ack = 1 << 30}, {.ack = -65536},
	};
	static const uint8_t opts[24] = {OPT_MSS, OPT_SACKOK, OPT_TS(5), OPT_WS(9)};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct wire_seg got;
		struct wire_seg s = answer_begin(i & 1, 77, opts, 24);

		s.seq += (uint32_t)cases[i / 2].seq;
		s.ack += (uint32_t)cases[i / 2].ack;
		s.sport = (uint16_t)(wire.port + cases[i / 2].port);
		put_u32(s.opts + 8, get_u32(s.opts + 8) ^ cases[i / 2].ts);
		if (cases[i / 2].no_ts)
			s.opts_len = 0;
		wire_send(&wire, &s);
		assert_int_equal(tcp_conn_count(wire.tcp), 0);
		assert_int_equal(wire_count(&wire, CTR_tcp_cookie_failed), 1);
		assert_int_equal(wire_count(&wire, CTR_drop_tcp_closed), 1);
		/* RFC 9293 3.10.7.2, second. */
		assert_true(wire_take(&wire, &got));
		assert_int_equal(got.flags, TH_RST);
		assert_int_equal(got.seq, s.ack);
		wire_close(&wire);
	}
}

/* Another address is another cookie, too. */
static void test_other_address(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct wire_seg s = answer_begin(v6, 77, NULL, 0);

		wire.remote.b[15] ^= 1;
		wire_send(&wire, &s);
		assert_int_equal(tcp_conn_count(wire.tcp), 0);
		wire.remote.b[15] ^= 1;
		wire_send(&wire, &s);
		assert_int_equal(tcp_conn_count(wire.tcp), 1);
		wire_close(&wire);
	}
}

/* Good in the step it was made in and in the next. */
static void test_lifetime(void **state)
{
	static const struct {
		uint64_t made_ns, used_ns;
		bool good;
	} cases[] = {
	        {0, 0, true},
	        {0, STEP_NS - 1, true},
	        {0, STEP_NS, true},
	        {0, 2 * STEP_NS - 1, true},
	        {0, 2 * STEP_NS, false},
	        {STEP_NS - 1, STEP_NS, true},
	        {STEP_NS - 1, 2 * STEP_NS - 1, true},
	        {STEP_NS - 1, 2 * STEP_NS, false},
	        {STEP_NS - 1, 9 * STEP_NS, false},
	        {7 * STEP_NS, 9 * STEP_NS - 1, true},
	        {7 * STEP_NS, 9 * STEP_NS, false},
	};
	static const uint8_t seed[2][TCP_SEED_BYTES] = {{1}, {2}};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		bool reseed = i & 1;
		struct wire_seg got;
		struct wire_seg s;

		open_always(&wire, false);
		wire.now_ns = 100 * STEP_NS + cases[i / 2].made_ns;
		got = synack_of(&wire, 5, NULL, 0);
		if (reseed)
			tcp_reseed(wire.tcp, seed[0]);
		s = answer_to(&got);
		wire.now_ns = 100 * STEP_NS + cases[i / 2].used_ns;
		wire_send(&wire, &s);
		if (reseed)
			tcp_reseed(wire.tcp, seed[1]);
		assert_int_equal(tcp_conn_count(wire.tcp), cases[i / 2].good);
		wire_close(&wire);
	}
}

/* Without a flood no ACK is taken for a cookie, however many are sent. */
static void test_only_under_pressure(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	struct wire_seg s;

	(void)state;
	wire_open(w, NULL, false);
	wire_flags(w, TH_ACK, 5, 6);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_failed), 0);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_RST);
	/* A cookie of two steps ago was the last. */
	w->tcp->cfg.syn_cookies = TCP_COOKIES_ALWAYS;
	got = synack_of(w, 5, NULL, 0);
	s = answer_to(&got);
	s.ack++;
	wire_send(w, &s);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_failed), 1);
	w->now_ns += 2 * STEP_NS;
	wire_send(w, &s);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_failed), 1);
	wire_drain(w);
	/* SYN, FIN and RST bits are not looked at as cookies. */
	got = synack_of(w, 5, NULL, 0);
	for (uint32_t flags = 0; flags < 64; flags++) {
		s = answer_to(&got);
		s.flags = (uint8_t)flags;
		if ((flags & (TH_SYN | TH_ACK | TH_RST)) == TH_ACK)
			continue;
		wire_send(w, &s);
		assert_int_equal(tcp_conn_count(w->tcp), 0);
	}
	assert_int_equal(wire_count(w, CTR_tcp_cookie_failed), 1);
	wire_close(w);
}

static void test_on_pressure(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg syn = {.seq = 1, .wnd = 100, .flags = TH_SYN};
	struct wire_seg got[10];

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_syn_backlog = 4;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 10; i++) {
		syn.sport = (uint16_t)(5000 + i);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got[i]));
	}
	assert_int_equal(tcp_conn_count(w->tcp), 4);
	assert_int_equal(wire_count(w, CTR_shed_syn), 0);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_sent), 6);
	/* The SYN again within the step: the same cookie. */
	wire_send(w, &syn);
	assert_true(wire_take(w, &syn));
	assert_int_equal(syn.seq, got[9].seq);
	/* All of them get in, those that were kept as well. */
	for (uint32_t i = 0; i < 10; i++) {
		struct wire_seg s = answer_to(&got[i]);

		s.sport = (uint16_t)(5000 + i);
		wire_send(w, &s);
		assert_int_equal(w->opened, i + 1);
	}
	assert_int_equal(wire_count(w, CTR_tcp_cookie_accepted), 6);
	assert_int_equal(w->tcp->half_open, 0);
	/* The pressure is over: the next handshake is kept. */
	syn = (struct wire_seg){.seq = 1, .wnd = 100, .flags = TH_SYN, .sport = 6000};
	wire_send(w, &syn);
	assert_int_equal(w->tcp->half_open, 1);
	wire_close(w);
}

/* Without room the segment is dropped silently, and comes again. */
static void test_table_full(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg got;
	struct wire_seg s;
	struct conn *victim;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_conns = 16;
	cfg.max_syn_backlog = 1;
	cfg.syn_cookies = TCP_COOKIES_ALWAYS;
	wire_open(w, &cfg, true);
	for (uint32_t i = 0; i < 16; i++) {
		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
	}
	victim = w->conn;
	w->port = 7000;
	got = synack_of(w, 9, NULL, 0);
	s = answer_to(&got);
	s.data = "GET";
	s.len = 3;
	wire_send(w, &s);
	assert_false(wire_take(w, &got));
	assert_int_equal(wire_count(w, CTR_drop_tcp_syn_full), 1);
	tcp_abort(w->tcp, victim);
	wire_run(w);
	wire_drain(w);
	wire_send(w, &s);
	assert_int_equal(w->opened, 17);
	assert_int_equal(w->rx_len, 3);
	wire_close(w);
}

/* A full table of handshakes is pressure as well; one of connections in use is not. */
static void test_table_pressure(void **state)
{
	struct wire *w = &wire;
	struct wire_seg syn = {.seq = 1, .wnd = 100, .flags = TH_SYN};

	(void)state;
	wire_open_small_table(w, false);
	for (uint32_t i = 0; i < 15; i++) {
		w->port = (uint16_t)(6000 + i);
		wire_handshake(w, NULL, 0, 1000);
	}
	for (uint32_t i = 0; i < 3; i++) {
		syn.sport = (uint16_t)(5000 + i);
		wire_send(w, &syn);
	}
	assert_int_equal(wire_count(w, CTR_tcp_cookie_sent), 2);
	assert_int_equal(wire_count(w, CTR_shed_syn), 0);
	wire_close(w);
}

static void test_reset_rate(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	uint32_t resets = 0;
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.syn_cookies = TCP_COOKIES_ALWAYS;
	cfg.max_resets_per_s = 100;
	wire_open(w, &cfg, false);
	synack_of(w, 1, NULL, 0);
	for (uint32_t i = 0; i < 1000; i++) {
		wire_flags(w, TH_ACK, i * 7919, i * 104729);
		while (wire_take(w, &got))
			resets += got.flags == TH_RST;
	}
	/* Up to a quarter fewer, which nobody can foresee; the keys of this rig are always the
	 * same. */
	assert_in_range(resets, 75, 100);
	assert_int_equal(resets, w->tcp->resets_most);
	assert_int_equal(wire_count(w, CTR_tcp_cookie_failed), 1000);
	assert_int_equal(wire_count(w, CTR_shed_rst), 1000 - resets);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	/* A second later there may be more. */
	w->now_ns += 2 * NS_PER_S;
	wire_flags(w, TH_ACK, 5, 6);
	assert_true(wire_take(w, &got));
	wire_close(w);
}

/* One seed, one run; another seed, another cookie. */
static void test_seeds(void **state)
{
	uint32_t isn[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		uint8_t seed[TCP_SEED_BYTES] = {(uint8_t)(i / 2)};
		struct tcp_env env;
		struct tcp *tcp;

		open_always(&wire, false);
		env = wire.tcp->env;
		env.seed = seed;
		assert_int_equal(tcp_create(&tcp, &wire.tcp->cfg, &env, wire.now_ns), ST_OK);
		assert_int_equal(tcp_listen(tcp, &wire.local, RIG_PORT), ST_OK);
		tcp_destroy(wire.tcp);
		wire.tcp = tcp;
		isn[i] = synack_of(&wire, 4, NULL, 0).seq;
		wire_close(&wire);
	}
	assert_int_equal(isn[0], isn[1]);
	assert_int_not_equal(isn[0], isn[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_options),
	        cmocka_unit_test(test_ecn),
	        cmocka_unit_test(test_overtaken),
	        cmocka_unit_test(test_timestamps),
	        cmocka_unit_test(test_first_segment),
	        cmocka_unit_test(test_not_a_cookie),
	        cmocka_unit_test(test_other_address),
	        cmocka_unit_test(test_lifetime),
	        cmocka_unit_test(test_only_under_pressure),
	        cmocka_unit_test(test_on_pressure),
	        cmocka_unit_test(test_table_full),
	        cmocka_unit_test(test_table_pressure),
	        cmocka_unit_test(test_reset_rate),
	        cmocka_unit_test(test_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
