/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/loss_rig.h"

static uint8_t text[LR_TEXT];

/* The ISN's clock runs with the time: waits until it comes out so many bytes below 2^32. */
static void isn_place(struct wire *w, uint32_t below)
{
	struct conn_key key = {
	        .local = w->local, .remote = w->remote, .lport = RIG_PORT, .rport = w->port};
	uint32_t isn;

	w->tcp->now_ns = w->now_ns;
	isn = conn_isn(w->tcp, &key);
	w->now_ns += (uint64_t)(uint32_t)(0u - below - 1 - isn) << 12;
	wire_run(w);
}

void lr_open(struct loss_rig *r, const struct loss_rig_opts *o)
{
	static const uint8_t mss_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
	static const uint8_t mss_nop[] = {2, 4, 5, 0xb4, 1, 1, 1, 1};
	static const uint8_t ts[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0};
	static const uint8_t scale[] = {1, 3, 3, LR_WSCALE};
	struct wire *w = &r->w;
	struct tcp_config cfg;
	uint8_t opts[40];
	uint32_t len = 8;

	for (uint32_t i = 0; i < sizeof(text); i++)
		text[i] = rig_pattern(3, i);
	tcp_config_small(&cfg);
	cfg.tx_chunks = 4096;
	cfg.tx_refs = 8192;
	cfg.pmtu_probing = TCP_PMTU_OFF; /* a second timeout would make the segments smaller */
	if (o->boards != 0)
		cfg.loss_boards = o->boards == UINT32_MAX ? 0 : o->boards;
	wire_open(w, &cfg, o->v6);
	if (o->below != 0)
		isn_place(w, o->below);
	memcpy(opts, o->no_sack ? mss_nop : mss_sack, 8);
	memcpy(opts + len, scale, 4);
	len += 4;
	if (o->ts) {
		memcpy(opts + len, ts, 12);
		len += 12;
	}
	r->ts = false; /* the last ACK of the handshake goes without */
	wire_handshake(w, opts, len, 5);
	r->ts = o->ts;
	r->tsval = 2;
	r->wnd = 65535;
	w->conn->snd_wnd = w->conn->snd_wnd_max = 65535u << LR_WSCALE;
	w->conn->srtt_us = LR_TRIP_MS * 1000;
	w->conn->rttvar_us = 1000;
	w->conn->rto_us = 200000;
	w->conn->ls.min_rtt_us = LR_TRIP_MS * 1000;
	r->mss = w->conn->mss;
	w->conn->cwnd_bytes = o->segments * r->mss;
	w->now_ns += 100 * NS_PER_MS;
	wire_write(w, text, (o->segments + o->queued) * r->mss);
	for (uint32_t i = 0; i < o->segments; i++)
		lr_sent(r, i);
	lr_silent(r, 0);
	w->conn->flags &= ~CF_TIMING; /* the simulated wire takes no time */
}

void lr_close(struct loss_rig *r)
{
	if (r->w.conn)
		lr_check(r->w.conn);
	wire_close(&r->w);
}

void lr_ack(struct loss_rig *r, uint32_t ack, uint32_t count, const struct lr_run *runs)
{
	struct wire *w = &r->w;
	struct wire_seg s = {
	        .seq = w->seq, .ack = w->ack + ack * r->mss, .wnd = r->wnd, .flags = TH_ACK};
	uint32_t n = 0;

	if (r->ts) {
		put_u32(s.opts, 0x0101080au);
		put_u32(s.opts + 4, r->tsval);
		put_u32(s.opts + 8, r->tsecr);
		n = 12;
	}
	if (count > 0) {
		s.opts[n] = s.opts[n + 1] = 1;
		s.opts[n + 2] = 5;
		s.opts[n + 3] = (uint8_t)(2 + 8 * count);
		n += 4;
	}
	for (uint32_t i = 0; i < count; i++, n += 8) {
		put_u32(s.opts + n, w->ack + runs[i].lo * r->mss);
		put_u32(s.opts + n + 4, w->ack + runs[i].hi * r->mss);
	}
	s.opts_len = n;
	wire_send(w, &s);
	if (w->conn)
		lr_check(w->conn);
}

void lr_sack(struct loss_rig *r, uint32_t ack, uint32_t lo, uint32_t hi)
{
	const struct lr_run run = {lo, hi};

	lr_ack(r, ack, 1, &run);
}

void lr_sent(struct loss_rig *r, uint32_t segment)
{
	struct wire_seg got;

	if (!wire_take(&r->w, &got))
		fail_msg("nothing instead of segment %u", segment);
	if (got.seq != r->w.ack + segment * r->mss)
		fail_msg("segment %d instead of %u",
		         (int32_t)(got.seq - r->w.ack) / (int32_t)r->mss, segment);
	assert_int_equal(got.len, r->mss);
	assert_memory_equal(got.payload, text + segment * r->mss, r->mss);
	r->tsecr = got.parsed.tsval;
}

void lr_silent(struct loss_rig *r, uint32_t ms)
{
	struct wire_seg got;

	for (uint32_t i = 0; i <= ms; i++) {
		if (i > 0)
			wire_advance(&r->w, 1);
		if (wire_take(&r->w, &got))
			fail_msg("segment %d after %u ms",
			         (int32_t)(got.seq - r->w.ack) / (int32_t)r->mss, i);
	}
}

void lr_sent_soon(struct loss_rig *r, uint32_t segment)
{
	wire_advance(&r->w, 3);
	lr_sent(r, segment);
}

uint32_t lr_count(struct loss_rig *r)
{
	struct wire_seg got;
	uint32_t n = 0;

	while (wire_take(&r->w, &got))
		n += got.len > 0;
	return n;
}

uint64_t lr_counter(const struct loss_rig *r, enum counter_id id)
{
	return counter_read(&r->w.ctr, id);
}

void lr_check(struct conn *c)
{
	const struct loss_run *runs = board_runs(c);
	uint32_t lo = c->snd_una;
	uint32_t sacked = 0;
	uint32_t lost = 0;

	assert_true(c->ls.run_count <= (c->ls.block ? LOSS_BLOCK_RUNS : LOSS_RUNS));
	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		assert_true(seq_lt(lo, runs[i].hi));
		assert_true(seq_le(runs[i].hi, c->snd_nxt));
		if (runs[i].state == RUN_SACKED)
			sacked += runs[i].hi - lo;
		if (runs[i].state == RUN_LOST) {
			lost += runs[i].hi - lo;
			assert_true(seq_le(c->ls.lost_lo, lo));
		}
		if (i > 0 && runs[i].state == RUN_SACKED)
			assert_int_not_equal(runs[i - 1].state, RUN_SACKED);
		lo = runs[i].hi;
	}
	assert_int_equal(sacked, c->sacked_bytes);
	assert_int_equal(lost, c->ls.lost_bytes);
	assert_true(loss_pipe(c) <= conn_flight(c));
	assert_true(c->ls.run_count == 0 || conn_flight(c) > 0);
	assert_true(c->loss != LOSS_NONE || lost == 0);
}

const char *lr_board(const struct loss_rig *r, uint32_t from, uint32_t to)
{
	static char out[1024];
	struct conn *c = r->w.conn;
	uint32_t n = 0;

	for (uint32_t i = from; i < to && n < sizeof(out) - 1; i++) {
		uint32_t at = board_find(c, r->w.ack + i * r->mss);

		out[n++] = at < c->ls.run_count ? "ONLRS"[board_runs(c)[at].state] : '.';
	}
	out[n] = 0;
	return out;
}
