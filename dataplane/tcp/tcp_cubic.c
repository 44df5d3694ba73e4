/* SPDX-License-Identifier: BSD-2-Clause
 *
 * CUBIC (RFC 9438), in bytes and milliseconds. C is 0.4 and beta 0.7, as 5 recommends. */
#include "dataplane/tcp/conn.h"

enum {
	CUBIC_MAX_AGE_MS =
	        100 * 1000, /* keeps the cube within 64 bits; no window grows that long */
	CUBIC_STEPS = 16,   /* in a window: what is counted between two steps loses no precision */
};

static uint32_t now_ms(const struct tcp *tcp)
{
	return (uint32_t)(tcp->now_ns / NS_PER_MS);
}

/* The largest r with r^3 <= n. */
static uint32_t cube_root(uint64_t n)
{
	uint64_t r = 0;

	for (int32_t bit = 20; bit >= 0; bit--) {
		uint64_t next = r | 1ull << bit;

		if (next * next * next <= n)
			r = next;
	}
	return (uint32_t)r;
}

/* RFC 9438 4.6, and 4.7 for w_max. */
uint32_t cubic_reduce(struct conn *c)
{
	struct cubic *k = &c->cc.cubic;
	uint32_t cwnd = c->cwnd_bytes;

	k->prior_bytes = cwnd;
	k->w_max_bytes = cwnd < k->w_max_bytes ? (uint32_t)((uint64_t)cwnd * 17 / 20) : cwnd;
	k->running = 0;
	k->paused = 0;
	k->timed_out = 0;
	/* What was really in flight counts, not a window that was never used. */
	cwnd = min_u32(cwnd, max_u32(conn_flight(c), 2u * c->mss));
	return (uint32_t)((uint64_t)cwnd * 7 / 10);
}

/* RFC 9438 4.2: the congestion avoidance stage begins. */
static void epoch_begin(const struct tcp *tcp, struct conn *c)
{
	struct cubic *k = &c->cc.cubic;
	uint64_t gap;

	k->running = 1;
	k->epoch_ms = now_ms(tcp);
	k->w_est_bytes = c->cwnd_bytes; /* 4.3 */
	if (k->prior_bytes == 0)
		k->prior_bytes = c->cwnd_bytes; /* 4.10: slow start ended without a loss */
	/* 4.8 and 4.10; and where slow start went beyond the old plateau, it is no plateau. */
	if (k->timed_out || k->w_max_bytes <= c->cwnd_bytes) {
		k->timed_out = 0;
		k->w_max_bytes = c->cwnd_bytes;
		k->k_ms = 0;
		return;
	}
	/* K = cbrt((W_max - cwnd_epoch) / C), C = 0.4 segments/s^3 = 0.4e-9 segments/ms^3. */
	gap = (uint64_t)(k->w_max_bytes - c->cwnd_bytes) * 1000 / c->mss;
	k->k_ms = cube_root(gap * 2500000) & 0xffffff;
}

void cubic_pause(const struct tcp *tcp, struct conn *c)
{
	struct cubic *k = &c->cc.cubic;

	if (c->cc.phase != CC_AVOIDANCE || !k->running || k->paused)
		return;
	k->paused = 1;
	k->epoch_ms = now_ms(tcp) - k->epoch_ms;
}

/* W_cubic at t after the epoch's begin (RFC 9438 4.2). */
static uint64_t cubic_window(const struct conn *c, uint64_t t_ms)
{
	int64_t d = (int64_t)min_u64(t_ms, CUBIC_MAX_AGE_MS) - c->cc.cubic.k_ms;
	/* 0.4 * d^3 / 1e9 segments, in thousandths of a segment first */
	int64_t grown = d * d * d / 2500000;
	int64_t w = (int64_t)c->cc.cubic.w_max_bytes + grown * c->mss / 1000;

	return w < 0 ? 0 : (uint64_t)w;
}

/* RFC 9438 4.3: what Reno would have after as many bytes, with alpha = 3 * (1 - 0.7) / (1 + 0.7) =
 * 9/17 until it has come to where the last loss was. */
static void reno_estimate(struct conn *c, uint32_t acked)
{
	struct cubic *k = &c->cc.cubic;
	uint64_t more = (uint64_t)acked * c->mss;

	if (k->w_est_bytes < k->prior_bytes)
		more = more * 9 / 17;
	more = (more + c->cwnd_bytes / 2) / c->cwnd_bytes;
	k->w_est_bytes = (uint32_t)min_u64(k->w_est_bytes + more, CC_WINDOW_MAX_BYTES);
}

void cubic_grow(const struct tcp *tcp, struct conn *c, uint32_t acked)
{
	struct cubic *k = &c->cc.cubic;
	uint64_t cwnd = c->cwnd_bytes;
	uint64_t target;
	uint32_t t_ms;

	if (!k->running) {
		epoch_begin(tcp, c);
	} else if (k->paused) {
		k->paused = 0;
		k->epoch_ms = now_ms(tcp) - k->epoch_ms;
	}
	acked = min_u32(c->cc.carry + acked, CC_WINDOW_MAX_BYTES);
	c->cc.carry = acked;
	if ((uint64_t)acked * CUBIC_STEPS < cwnd)
		return;
	c->cc.carry = 0;
	t_ms = now_ms(tcp) - k->epoch_ms;
	reno_estimate(c, acked);
	if (cubic_window(c, t_ms) < k->w_est_bytes) {
		c->cwnd_bytes = max_u32(c->cwnd_bytes, k->w_est_bytes);
		return;
	}
	/* 4.4 and 4.5, with the bounds of 4.2. */
	target = cubic_window(c, (uint64_t)t_ms + c->srtt_us / 1000);
	target = min_u64(target, cwnd + cwnd / 2);
	if (target <= cwnd)
		return;
	cwnd += (target - cwnd) * min_u64(acked, cwnd) / cwnd;
	c->cwnd_bytes = (uint32_t)min_u64(cwnd, CC_WINDOW_MAX_BYTES);
}
