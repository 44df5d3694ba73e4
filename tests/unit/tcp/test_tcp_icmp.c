/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors: which of them are heeded, and what they may do (RFC 1122 4.2.3.9, 5461, 5927, 6633).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/icmp_wire.h"

static struct wire wire;
static uint8_t text[1 << 16];
static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};

/* What came in ended in exactly one counter. */
static void check_identity(const struct counters *c)
{
	uint64_t ended = c->v[CTR_rx_tcp] + c->v[CTR_rx_arp] + c->v[CTR_rx_ndp] +
	                 c->v[CTR_rx_icmp] + c->v[CTR_rx_fragment];

#define COUNTER(id, metric, labels, help)
#define DROP(id, reason, help) ended += c->v[CTR_##id];
#define SHED(id, reason, help)
#include "lib/counters.def"
	assert_int_equal(ended, c->v[CTR_rx_packets]);
}

/* The quoted sequence number, relative to snd_una with 1000 bytes in flight. */
static void quoted_sequence(void **state)
{
	static const struct {
		int32_t at;
		bool heeded;
	} rows[] = {
	        {0, true},   {1, true},      {999, true},        {1000, false},      {1001, false},
	        {-1, false}, {-1000, false}, {INT32_MAX, false}, {INT32_MIN, false},
	};
	/* So that what is in flight lies on both sides of 2^32, and elsewhere. */
	static const uint32_t isns[] = {0xfffffe00u, 0xffffffffu, 0, 0x7ffffff0u};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(isns); i++) {
		uint64_t soft = 0;

		wire_open(w, NULL, i & 1);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
		/* Moves the connection's numbers to where they shall be. */
		w->conn->snd_una = w->conn->snd_nxt = isns[i / 2];
		w->conn->snd_wl2 = w->conn->snd_una;
		w->ack = isns[i / 2];
		wire_write(w, text, 1000);
		wire_drain(w);
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			uint64_t drops = w->ctr.v[CTR_drop_icmp_quote];

			wire_icmp(w, &(struct icmp_spec){.type = w->v6 ? 1 : 3,
			                                 .code = 1,
			                                 .seq = w->ack + (uint32_t)rows[k].at});
			soft += rows[k].heeded;
			assert_int_equal(w->ctr.v[CTR_tcp_icmp_soft], soft);
			assert_int_equal(w->ctr.v[CTR_drop_icmp_quote] - drops, !rows[k].heeded);
			check_identity(&w->ctr);
		}
		assert_int_equal(w->conn->state, TCP_ESTABLISHED);
		wire_close(w);
	}
}

/* What each error does to an open connection: never more than being counted. */
static void errors_are_soft(void **state)
{
	static const struct {
		const char *name;
		struct icmp_spec spec;
		enum counter_id want;
	} rows[] = {
	        {"net", {.type = 3, .code = 0}, CTR_tcp_icmp_soft},
	        {"host", {.type = 3, .code = 1}, CTR_tcp_icmp_soft},
	        {"protocol", {.type = 3, .code = 2}, CTR_tcp_icmp_soft},
	        {"port", {.type = 3, .code = 3}, CTR_tcp_icmp_soft},
	        {"source route", {.type = 3, .code = 5}, CTR_tcp_icmp_soft},
	        {"prohibited", {.type = 3, .code = 13}, CTR_tcp_icmp_soft},
	        {"code unknown", {.type = 3, .code = 99}, CTR_tcp_icmp_soft},
	        {"time exceeded", {.type = 11}, CTR_tcp_icmp_soft},
	        {"parameter", {.type = 12}, CTR_tcp_icmp_soft},
	        {"source quench", {.type = 4}, CTR_drop_icmp},
	        {"redirect", {.type = 5}, CTR_drop_icmp},
	        {"checksum", {.type = 3, .bad_csum = true}, CTR_drop_icmp},
	        {"not from us", {.type = 3, .foreign = true}, CTR_drop_icmp},
	        {"other port", {.type = 3, .rport = 9}, CTR_drop_icmp_quote},
	        {"other local port", {.type = 3, .lport = 81}, CTR_drop_icmp_quote},
	};
	static const struct {
		const char *name;
		struct icmp_spec spec;
		enum counter_id want;
	} rows6[] = {
	        {"no route", {.type = 1, .code = 0}, CTR_tcp_icmp_soft},
	        {"prohibited", {.type = 1, .code = 1}, CTR_tcp_icmp_soft},
	        {"port", {.type = 1, .code = 4}, CTR_tcp_icmp_soft},
	        {"time exceeded", {.type = 3}, CTR_tcp_icmp_soft},
	        {"next header", {.type = 4, .code = 1}, CTR_tcp_icmp_soft},
	        {"unknown error", {.type = 100}, CTR_tcp_icmp_soft},
	        {"unknown information", {.type = 200}, CTR_drop_icmp},
	        {"checksum", {.type = 1, .bad_csum = true}, CTR_drop_icmp},
	        {"not from us", {.type = 1, .foreign = true}, CTR_drop_icmp},
	        {"other port", {.type = 1, .rport = 9}, CTR_drop_icmp_quote},
	};
	struct wire *w = &wire;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		wire_open(w, NULL, v6);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
		wire_write(w, text, 1000);
		wire_drain(w);
		for (size_t i = 0; i < (v6 ? ARRAY_LEN(rows6) : ARRAY_LEN(rows)); i++) {
			struct icmp_spec spec = v6 ? rows6[i].spec : rows[i].spec;
			enum counter_id want = v6 ? rows6[i].want : rows[i].want;
			uint64_t before = w->ctr.v[want];

			spec.seq = w->ack;
			wire_icmp(w, &spec);
			if (w->ctr.v[want] != before + 1)
				fail_msg("%s", v6 ? rows6[i].name : rows[i].name);
			check_identity(&w->ctr);
			assert_int_equal(w->closed, 0);
		}
		assert_int_equal(w->conn->mss, v6 ? 1440 : 1460);
		wire_close(w);
	}
}

/* RFC 1122 4.2.3.9: a hard error ends an attempt to connect, a soft one does not. */
static void errors_while_connecting(void **state)
{
	static const struct {
		uint8_t type, code;
		bool v6, aborts;
	} rows[] = {
	        {3, 0, false, false},  {3, 1, false, false}, {3, 13, false, false},
	        {11, 0, false, false}, {3, 2, false, true},  {3, 3, false, true},
	        {1, 0, true, false},   {1, 4, true, true},   {4, 1, true, true},
	        {4, 0, true, false},
	};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net_path path;
		struct conn *c;
		uint32_t iss;

		wire_open(w, NULL, rows[i].v6);
		path = (struct net_path){.local = w->local, .remote = w->remote};
		c = tcp_connect(w->tcp, &path, RIG_PORT, w->port, w->now_ns);
		assert_non_null(c);
		tcp_set_owner(c, w);
		w->conn = c;
		iss = c->iss;
		/* One that quotes another number does nothing. */
		wire_icmp(w, &(struct icmp_spec){
		                     .type = rows[i].type, .code = rows[i].code, .seq = iss + 1});
		assert_int_equal(w->closed, 0);
		wire_icmp(w, &(struct icmp_spec){
		                     .type = rows[i].type, .code = rows[i].code, .seq = iss});
		assert_int_equal(w->closed, rows[i].aborts);
		assert_int_equal(w->ctr.v[CTR_tcp_icmp_abort], rows[i].aborts);
		assert_int_equal(w->ctr.v[CTR_tcp_icmp_soft], !rows[i].aborts);
		assert_int_equal(w->ctr.v[CTR_drop_icmp_quote], 1);
		wire_close(w);
	}
}

/* A SYN is too big for no path (RFC 5927 7.2): such an error is a lie, and the data behind the
 * handshake knows nothing of it. */
static void too_big_is_no_syn(void **state)
{
	static const uint32_t isns[] = {5, 0xffffffffu};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(isns); i++) {
		struct wire_seg syn = {.seq = isns[i / 2],
		                       .wnd = 65535,
		                       .flags = TH_SYN,
		                       .opts_len = sizeof(opts_mss)};
		struct wire_seg got;

		wire_open(w, NULL, i & 1);
		memcpy(syn.opts, opts_mss, sizeof(opts_mss));
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		wire_too_big(w, got.seq, w->v6 ? 1280 : 576);
		assert_int_equal(w->ctr.v[CTR_drop_icmp], 1);
		check_identity(&w->ctr);
		w->ack = got.seq + 1;
		wire_flags(w, TH_ACK, got.ack, w->ack);
		assert_int_equal(w->conn->state, TCP_ESTABLISHED);
		assert_int_equal(w->conn->loss, LOSS_NONE);
		assert_false(w->conn->has_runs);
		wire_write(w, text, 5000);
		assert_true(wire_take(w, &got));
		assert_int_equal(got.seq, w->ack);
		assert_int_equal(got.len, w->v6 ? 1440 : 1460);
		wire_drain(w);
		wire_close(w);
	}
}

/* A SYN with a cookie of fast open (RFC 7413), or, without one, a request for it; data may follow.
 */
static struct wire_seg fast_syn(const uint8_t *cookie)
{
	struct wire_seg s = {.seq = 9, .wnd = 65535, .flags = TH_SYN, .opts_len = 16};

	memcpy(s.opts, opts_mss, sizeof(opts_mss));
	s.opts[4] = FAST_OPEN_KIND;
	s.opts[5] = cookie ? 2 + FAST_OPEN_COOKIE : 2;
	if (cookie)
		memcpy(s.opts + 6, cookie, FAST_OPEN_COOKIE);
	s.data = text;
	s.len = cookie ? 5 : 0;
	return s;
}

/* Fast open's answer may be too big before the handshake is over. It is sent again, in pieces that
 * fit, behind that. */
static void too_big_before_the_handshake(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t most = v6 ? 1280 - 60 : 576 - 40;
		struct tcp_config cfg;
		struct wire_seg syn;
		struct wire_seg got;

		tcp_config_small(&cfg);
		cfg.fast_open = true;
		wire_open(w, &cfg, v6);
		syn = fast_syn(NULL);
		syn.sport = 999;
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		wire_send(w, &(struct wire_seg){.seq = 10, .sport = 999, .flags = TH_RST});
		syn = fast_syn(got.parsed.fo_cookie);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		w->ack = got.seq + 1;
		w->seq = got.ack;
		wire_write(w, text, 2000);
		wire_drain(w);
		assert_int_equal(w->conn->state, TCP_SYN_RECEIVED);
		wire_too_big(w, w->ack, v6 ? 1280 : 576);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_icmp], 1);
		assert_int_equal(w->conn->mss, most);
		assert_false(w->conn->has_runs);
		wire_drain(w);
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_int_equal(w->conn->state, TCP_ESTABLISHED);
		assert_false(w->conn->has_runs);
		for (uint32_t at = 0; at < 2000; at += most) {
			uint32_t len = min_u32(most, 2000 - at);

			for (uint32_t ms = 0; ms < 4000 && !wire_take(w, &got); ms++)
				wire_advance(w, 1);
			assert_int_equal(got.seq, w->ack);
			assert_int_equal(got.len, len);
			assert_memory_equal(got.payload, text + at, len);
			w->ack += len;
			wire_flags(w, TH_ACK, w->seq, w->ack);
		}
		wire_close(w);
	}
}

/* A flood of errors costs a bounded amount of work, and each packet is counted. */
static void errors_are_bounded(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, text, 1000);
	wire_drain(w);
	for (uint32_t i = 0; i < 3000; i++)
		wire_icmp(w, &(struct icmp_spec){.type = 3, .seq = w->ack});
	assert_int_equal(w->ctr.v[CTR_tcp_icmp_soft], 1000);
	assert_int_equal(w->ctr.v[CTR_drop_icmp], 2000);
	check_identity(&w->ctr);
	w->now_ns += NS_PER_S / 2;
	for (uint32_t i = 0; i < 1000; i++)
		wire_icmp(w, &(struct icmp_spec){.type = 3, .seq = w->ack});
	assert_int_equal(w->ctr.v[CTR_tcp_icmp_soft], 1500);
	check_identity(&w->ctr);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(quoted_sequence),
	        cmocka_unit_test(errors_are_soft),
	        cmocka_unit_test(errors_while_connecting),
	        cmocka_unit_test(too_big_is_no_syn),
	        cmocka_unit_test(too_big_before_the_handshake),
	        cmocka_unit_test(errors_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
