/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Path MTU: by ICMP (RFC 1191, 8201, 5927), by timeouts and by probes (RFC 4821). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/icmp_wire.h"

static struct wire wire;

static const uint8_t opts_mss[] = {2, 4, 5, 0xb4};
static const uint8_t opts_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
static const uint8_t opts_scale[] = {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1};

/* Takes all that was sent; what was new and not longer than limit is acknowledged in one. Returns
 * the longest segment. */
static uint32_t take_all(struct wire *w, uint32_t limit, uint32_t *top)
{
	struct wire_seg got;
	uint32_t longest = 0;

	while (wire_take(w, &got)) {
		assert_memory_equal(got.payload, rig_text + (got.seq - w->ack), got.len);
		longest = max_u32(longest, got.len);
		if (got.len <= limit && seq_le(got.seq, *top) && seq_lt(*top, got.seq + got.len))
			*top = got.seq + got.len;
	}
	return longest;
}

enum { LEAST = 216 }; /* min_send_mss */

/* Nothing of full size was acknowledged yet: the error is believed, all goes out again at once in
 * smaller pieces, and the congestion window is as it was. */
static void shrink_at_once(void **state)
{
	static const struct {
		uint32_t mtu;
		bool v6;
		uint32_t mss; /* then */
	} rows[] = {
	        {1499, false, 1459},      {1400, false, 1360}, {1280, false, 1240},
	        {576, false, 536},        {296, false, 256},   {256, false, LEAST},
	        {255, false, LEAST},      {68, false, LEAST},  {1, false, LEAST},
	        {0, false, 1452},         {1500, false, 1460}, {65535, false, 1460},
	        {1499, true, 1439},       {1280, true, 1220},  {1279, true, 1440},
	        {0, true, 1440},          {68, true, 1440},    {1500, true, 1440},
	        {UINT32_MAX, true, 1440},
	};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t full = rows[i].v6 ? 1440 : 1460;
		struct tcp_config cfg;
		uint32_t cwnd;
		uint32_t top;

		tcp_config_small(&cfg);
		cfg.min_send_mss = LEAST;
		wire_open(w, &cfg, rows[i].v6);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
		wire_write(w, rig_text, 5 * full);
		cwnd = w->conn->cwnd_bytes;
		top = w->ack;
		assert_int_equal(take_all(w, full, &top), full);
		wire_too_big(w, w->ack, rows[i].mtu);
		assert_int_equal(w->conn->mss, rows[i].mss);
		assert_int_equal(w->conn->cwnd_bytes, cwnd);
		top = w->ack;
		assert_int_equal(take_all(w, rows[i].mss, &top),
		                 rows[i].mss == full ? 0 : rows[i].mss);
		/* All five segments, in the same instant. */
		if (rows[i].mss != full)
			assert_int_equal(top, w->ack + 5 * full);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_icmp], rows[i].mss != full);
		assert_int_equal(w->ctr.v[CTR_tcp_rto], 0);
		wire_close(w);
	}
}

/* RFC 1191 7.1: without a value, the plateau below the length that is quoted. */
static void old_routers(void **state)
{
	static const struct {
		uint16_t quoted;
		uint16_t mss;
	} rows[] = {{1500, 1452}, {1493, 1452}, {1492, 966}, {1007, 966},
	            {1006, 468},  {509, 468},   {508, 256},  {100, LEAST}};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tcp_config cfg;

		tcp_config_small(&cfg);
		cfg.min_send_mss = LEAST;
		wire_open(w, &cfg, false);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
		wire_write(w, rig_text, 5000);
		wire_icmp(w, &(struct icmp_spec){.type = 3,
		                                 .code = 4,
		                                 .seq = w->ack,
		                                 .quoted_len = rows[i].quoted});
		assert_int_equal(w->conn->mss, rows[i].mss);
		wire_close(w);
	}
	/* An MTU that the quoted packet did not exceed is a lie. */
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, rig_text, 5000);
	wire_icmp(w, &(struct icmp_spec){
	                     .type = 3, .code = 4, .mtu = 1000, .seq = w->ack, .quoted_len = 1000});
	assert_int_equal(w->conn->mss, 1460);
	assert_int_equal(w->ctr.v[CTR_drop_icmp], 1);
	wire_close(w);
}

/* RFC 5927 7.2: once full segments were acknowledged, an error waits for a timeout, and progress
 * refutes it. */
static void forged_error_waits(void **state)
{
	struct wire *w = &wire;
	uint32_t cwnd;
	uint32_t top;

	(void)state;
	for (int progress = 0; progress < 2; progress++) {
		wire_open(w, NULL, false);
		wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
		wire_write(w, rig_text, 14600);
		top = w->ack;
		take_all(w, 1460, &top);
		wire_ack(w, top, 65535);
		wire_write(w, rig_text + 14600, 14600);
		wire_drain(w);
		cwnd = w->conn->cwnd_bytes;
		wire_too_big(w, top, 576);
		assert_int_equal(w->conn->mss, 1460);
		assert_false(wire_take(w, &(struct wire_seg){0}));
		if (progress)
			wire_ack(w, top + 1460, 65535);
		wire_drain(w);
		while (w->ctr.v[CTR_tcp_rto] == 0 && w->ctr.v[CTR_tcp_pmtu_icmp] == 0)
			wire_advance(w, 10);
		assert_int_equal(w->conn->mss, progress ? 1460 : 536);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_icmp], !progress);
		if (!progress)
			assert_true(w->conn->cwnd_bytes >= cwnd);
		wire_close(w);
	}
}

/* Errors of a byte less each, for a flight that is sent again each time: only some are believed.
 * When they have aged, again; and when a larger segment got through. */
static void errors_are_few(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, rig_text, 14600);
	for (uint32_t i = 1; i <= 100; i++) {
		wire_too_big(w, w->ack, 1500 - i);
		wire_drain(w);
	}
	assert_int_equal(w->ctr.v[CTR_tcp_pmtu_icmp], 8);
	assert_int_equal(w->conn->mss, 1460 - 8);
	assert_int_equal(w->ctr.v[CTR_rx_icmp], 8);
	assert_int_equal(w->ctr.v[CTR_drop_icmp], 92);
	w->conn->pmtu.raise_s = now_s(w->tcp);
	wire_too_big(w, w->ack, 1000);
	assert_int_equal(w->conn->mss, 960);
	assert_int_equal(w->conn->pmtu.errors, 1);
	wire_close(w);
}

/* The other end of a path that silently drops what is larger than limit bytes of payload. Returns
 * how much arrived after ms milliseconds, and the longest that did in *longest. */
static uint32_t black_hole(struct wire *w, uint32_t limit, uint32_t ms, uint32_t *longest)
{
	uint32_t top = w->ack;

	*longest = 0;
	for (uint32_t i = 0; i < ms; i++) {
		struct wire_seg got;
		uint32_t before = top;

		while (wire_take(w, &got)) {
			if (got.len > limit)
				continue;
			*longest = max_u32(*longest, got.len);
			if (seq_le(got.seq, top) && seq_lt(top, got.seq + got.len))
				top = got.seq + got.len;
		}
		if (top != before)
			wire_ack(w, top, 65535);
		wire_advance(w, 1);
	}
	return top - w->ack;
}

/* No ICMP comes: the ladder is walked down until something arrives. */
static void black_holes(void **state)
{
	static const struct {
		uint32_t path_mtu;
		bool v6;
		enum tcp_pmtu_probing mode;
		uint32_t mss; /* at the end; 0: never delivered */
	} rows[] = {
	        {1500, false, TCP_PMTU_BLACKHOLE, 1460}, {1499, false, TCP_PMTU_BLACKHOLE, 1452},
	        {1450, false, TCP_PMTU_BLACKHOLE, 1360}, {1280, false, TCP_PMTU_BLACKHOLE, 1240},
	        {1100, false, TCP_PMTU_BLACKHOLE, 1024}, {600, false, TCP_PMTU_BLACKHOLE, 536},
	        {300, false, TCP_PMTU_BLACKHOLE, 256},   {1450, false, TCP_PMTU_OFF, 0},
	        {1450, false, TCP_PMTU_ALWAYS, 1360},    {1300, true, TCP_PMTU_BLACKHOLE, 1220},
	        {1000, true, TCP_PMTU_BLACKHOLE, 0},     {1450, true, TCP_PMTU_ALWAYS, 1340},
	        {1500, true, TCP_PMTU_ALWAYS, 1440},
	};
	struct wire *w = &wire;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tcp_config cfg;
		uint32_t longest;
		uint32_t got;

		tcp_config_small(&cfg);
		cfg.pmtu_probing = rows[i].mode;
		wire_open(w, &cfg, rows[i].v6);
		wire_handshake(w, opts_scale, sizeof(opts_scale), 5);
		wire_write(w, rig_text, 200000);
		got = black_hole(w, rows[i].path_mtu - (rows[i].v6 ? 60 : 40), 30000, &longest);
		if (rows[i].mss == 0) {
			assert_int_equal(got, 0);
			wire_close(w);
			continue;
		}
		assert_int_equal(got, 200000);
		assert_int_equal(longest, rows[i].mss);
		wire_close(w);
	}
}

/* Path MTU grows again: a probe finds it, and a probe that is lost alone costs no window. */
static void probes_upward(void **state)
{
	struct wire *w = &wire;
	uint32_t at = 0;
	uint32_t longest;

	(void)state;
	for (int wider = 0; wider < 2; wider++) {
		struct tcp_config cfg;
		uint64_t probes;

		tcp_config_small(&cfg);
		cfg.tx_chunks = 1024;
		cfg.keepalive_idle_ms = 0;
		wire_open(w, &cfg, false);
		wire_handshake(w, opts_scale, sizeof(opts_scale), 5);
		wire_write(w, rig_text, 100000);
		wire_too_big(w, w->ack, 1280);
		at = w->ack;
		assert_int_equal(black_hole(w, 1240, 4000, &longest), 100000);
		assert_int_equal(longest, 1240);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_probe], 0);
		/* Not before ten minutes are over. */
		wire_advance(w, 590 * 1000);
		w->ack = at + 100000;
		w->conn->cwnd_bytes = 20000;
		wire_write(w, rig_text, 100000);
		black_hole(w, 1240, 1000, &longest);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_probe], 0);
		wire_advance(w, 60 * 1000);
		w->ack += 100000;
		w->conn->cwnd_bytes = 20000;
		wire_write(w, rig_text, 200000);
		assert_int_equal(black_hole(w, wider ? 1460 : 1300, 8000, &longest), 200000);
		probes = w->ctr.v[CTR_tcp_pmtu_probe];
		assert_int_equal(longest, wider ? 1460 : 1240);
		assert_int_equal(w->ctr.v[CTR_tcp_pmtu_raised], wider);
		assert_int_equal(probes, wider ? 1 : 2); /* 1500, 1400 */
		assert_int_equal(w->conn->mss, wider ? 1460 : 1240);
		wire_close(w);
	}
}

/* PMTU_ALWAYS, at 1280 bytes, and enough acknowledged for a probe of 1500 to go out first; the
 * number where that begins. The rest of what is written is sent behind it. */
static uint32_t probe_out(struct wire *w)
{
	struct wire_seg got;
	struct tcp_config cfg;
	uint32_t lo;

	tcp_config_small(&cfg);
	cfg.pmtu_probing = TCP_PMTU_ALWAYS;
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 5);
	assert_int_equal(w->conn->mss, 1240);
	wire_write(w, rig_text, 12400);
	wire_drain(w);
	w->ack += 12400;
	wire_ack(w, w->ack, 65535);
	wire_write(w, rig_text, 12400);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.len, 1460); /* a probe of the whole MTU comes first */
	lo = got.seq;
	while (wire_take(w, &got))
		assert_true(got.len <= 1240);
	return lo;
}

/* An error about a probe is believed when the probe is lost, and then the next is no larger; when
 * it arrives, the error was forged. */
static void error_about_a_probe(void **state)
{
	struct wire *w = &wire;
	struct wire_seg s = {.wnd = 65535, .flags = TH_ACK, .opts_len = 12};

	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		uint32_t lo = probe_out(w);

		wire_too_big(w, lo, 1400);
		assert_int_equal(w->conn->pmtu.ceil, 1460);
		assert_int_equal(w->conn->mss, 1240);
		s.seq = w->seq;
		s.ack = lost ? lo : lo + 1460;
		memcpy(s.opts, (const uint8_t[]){1, 1, 5, 10}, 4);
		put_u32(s.opts + 4, lo + 1460);
		put_u32(s.opts + 8, lo + 1460 + 3 * 1240);
		wire_send(w, &s);
		wire_drain(w);
		/* One that arrived is noticed with the next segment of full size. */
		w->ack = lo + 12400;
		wire_ack(w, w->ack, 65535);
		wire_write(w, rig_text, 6 * 1460);
		wire_drain(w);
		assert_int_equal(w->conn->pmtu.ceil, lost ? 1360 : 1460);
		assert_int_equal(w->conn->mss, lost ? 1240 : 1460);
		wire_close(w);
	}
}

/* The lost probe is told from congestion: SACK says that only it is missing. */
static void probe_loss_is_no_congestion(void **state)
{
	struct wire *w = &wire;
	struct wire_seg got;
	struct wire_seg s = {.wnd = 65535, .flags = TH_ACK, .opts_len = 12};
	uint32_t cwnd;
	uint32_t lo;

	(void)state;
	lo = probe_out(w);
	cwnd = w->conn->cwnd_bytes;
	s.seq = w->seq;
	s.ack = lo;
	memcpy(s.opts, (const uint8_t[]){1, 1, 5, 10}, 4);
	put_u32(s.opts + 4, lo + 1460);
	put_u32(s.opts + 8, lo + 1460 + 3 * 1240);
	wire_send(w, &s);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, lo);
	assert_int_equal(got.len, 1240);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.seq, lo + 1240);
	assert_int_equal(got.len, 220);
	assert_int_equal(w->conn->cwnd_bytes, cwnd);
	assert_int_equal(w->conn->mss, 1240);
	wire_close(w);
}

/* The next connection to the same address begins with what the last one learned. */
static void cached_for_the_next(void **state)
{
	struct wire *w = &wire;
	struct wire_seg syn = {.seq = 100, .wnd = 65535, .flags = TH_SYN, .opts_len = 4};
	struct wire_seg got;

	(void)state;
	wire_open(w, NULL, true);
	wire_handshake(w, opts_mss, sizeof(opts_mss), 5);
	wire_write(w, rig_text, 5000);
	wire_drain(w);
	wire_too_big(w, w->ack, 1300);
	assert_int_equal(w->conn->mss, 1240);
	wire_drain(w);
	memcpy(syn.opts, opts_mss, 4);
	for (uint16_t i = 0; i < 3; i++) {
		struct conn_key key = {w->local, w->remote, RIG_PORT, (uint16_t)(5000 + i)};
		const struct conn *c;

		syn.sport = (uint16_t)(5000 + i);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		/* What we offer to receive has nothing to do with it. */
		assert_int_equal(got.parsed.mss, 1440);
		c = conn_lookup(w->tcp, &key, conn_hash(w->tcp, &key));
		assert_non_null(c);
		assert_int_equal(c->mss, i < 2 ? 1240 : 1440);
		if (i == 1)
			w->now_ns += 700 * NS_PER_S; /* forgotten after pmtu_age_s */
	}
	wire_close(w);
}

/* A peer cannot make us send headers alone. */
static void least_mss(void **state)
{
	static const uint8_t tiny[] = {2, 4, 0, 1};
	struct wire *w = &wire;

	(void)state;
	for (uint32_t least = 48; least <= 1220; least += 293) {
		struct tcp_config cfg;

		tcp_config_small(&cfg);
		cfg.min_send_mss = least;
		wire_open(w, &cfg, least & 1);
		wire_handshake(w, tiny, sizeof(tiny), 5);
		assert_int_equal(w->conn->mss, least);
		wire_close(w);
	}
}

/* An error about our SYN-ACK, which no path is too narrow for, is a lie: nothing changes, and
 * nothing seems lost. */
static void error_in_handshake(void **state)
{
	struct wire *w = &wire;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct wire_seg syn = {.seq = 0u - 1, .wnd = 65535, .flags = TH_SYN};
		struct wire_seg got;

		memcpy(syn.opts, (const uint8_t[]){2, 4, 5, 0xb4, 1, 1, 4, 2}, 8);
		syn.opts_len = 8;
		wire_open(w, NULL, v6);
		wire_send(w, &syn);
		assert_true(wire_take(w, &got));
		wire_too_big(w, got.seq, 1280);
		wire_advance(w, 1100); /* once more */
		wire_drain(w);
		w->seq = 0;
		w->ack = got.seq + 1;
		wire_flags(w, TH_ACK, w->seq, w->ack);
		assert_non_null(w->conn);
		assert_int_equal(w->conn->state, TCP_ESTABLISHED);
		assert_int_equal(w->conn->mss, v6 ? 1440 : 1460);
		wire_write(w, rig_text, 300);
		for (uint32_t i = 0; i < w->conn->ls.run_count; i++)
			assert_true(seq_lt(w->conn->snd_una, board_runs(w->conn)[i].hi));
		assert_int_equal(w->conn->ls.lost_bytes, 0);
		assert_int_equal(w->conn->loss, LOSS_NONE);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(shrink_at_once),
	        cmocka_unit_test(old_routers),
	        cmocka_unit_test(forged_error_waits),
	        cmocka_unit_test(errors_are_few),
	        cmocka_unit_test(black_holes),
	        cmocka_unit_test(probes_upward),
	        cmocka_unit_test(error_about_a_probe),
	        cmocka_unit_test(probe_loss_is_no_congestion),
	        cmocka_unit_test(cached_for_the_next),
	        cmocka_unit_test(least_mss),
	        cmocka_unit_test(error_in_handshake),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
