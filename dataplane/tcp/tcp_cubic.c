/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Congestion control: slow start (RFC 5681) and CUBIC (RFC 9438), in bytes. The arithmetic beyond
 * slow start runs only when the window is what limits us, so a connection of short exchanges never
 * pays for it. */
#include "dataplane/tcp/conn.h"

enum {
	CUBIC_MAX_AGE_MS =
	        100 * 1000, /* keeps the cube within 64 bits; no window grows that long */
	CWND_MAX_BYTES = 1 << 30,
};

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

void cc_init(const struct tcp *tcp, struct conn *c)
{
	/* RFC 6928 2, with the configured number of segments. */
	c->cwnd_bytes = tcp->cfg.initial_window * c->mss;
	c->ssthresh_bytes = CWND_MAX_BYTES;
}

/* RFC 9438 4.6 and 4.7: multiplicative decrease by 0.7, with fast convergence. */
static void cubic_reduce(struct conn *c)
{
	struct cubic *k = &c->cubic;
	uint32_t cwnd = c->cwnd_bytes;

	k->w_max_bytes = cwnd < k->w_max_bytes ? (uint32_t)((uint64_t)cwnd * 17 / 20) : cwnd;
	k->epoch_ns = 0;
	/* What was really in flight counts, not a window that was never used (RFC 9438 4.6). */
	cwnd = min_u32(cwnd, max_u32(conn_flight(c), 2u * c->mss));
	c->ssthresh_bytes = max_u32((uint32_t)((uint64_t)cwnd * 7 / 10), 2u * c->mss);
}

void cc_loss(struct conn *c)
{
	cubic_reduce(c);
	c->cwnd_bytes = c->ssthresh_bytes;
}

void cc_timeout(struct conn *c)
{
	cubic_reduce(c);
	c->cwnd_bytes = c->mss; /* RFC 5681 3.1 */
}

static void epoch_begin(const struct tcp *tcp, struct conn *c)
{
	struct cubic *k = &c->cubic;
	uint64_t gap;

	k->epoch_ns = tcp->now_ns;
	k->w_est_bytes = c->cwnd_bytes;
	k->carry = 0;
	if (k->w_max_bytes <= c->cwnd_bytes) {
		k->w_max_bytes = c->cwnd_bytes;
		k->k_ms = 0;
		return;
	}
	/* K = cbrt((W_max - cwnd) / C), C = 0.4 segments/s^3 = 0.4e-9 segments/ms^3. */
	gap = (uint64_t)(k->w_max_bytes - c->cwnd_bytes) * 1000 / c->mss;
	k->k_ms = cube_root(gap * 2500000);
}

/* W_cubic at t after the epoch's begin (RFC 9438 4.2). */
static uint64_t cubic_window(const struct conn *c, uint64_t t_ms)
{
	int64_t d = (int64_t)min_u64(t_ms, CUBIC_MAX_AGE_MS) - c->cubic.k_ms;
	/* 0.4 * d^3 / 1e9 segments, in thousandths of a segment first */
	int64_t grown = d * d * d / 2500000;
	int64_t w = (int64_t)c->cubic.w_max_bytes + grown * c->mss / 1000;

	return w < 0 ? 0 : (uint64_t)w;
}

static void cubic_grow(const struct tcp *tcp, struct conn *c, uint32_t acked)
{
	struct cubic *k = &c->cubic;
	uint64_t cwnd = c->cwnd_bytes;
	uint64_t target;
	uint64_t grow;

	if (k->epoch_ns == 0)
		epoch_begin(tcp, c);
	target = cubic_window(c, (tcp->now_ns - k->epoch_ns) / NS_PER_MS + c->srtt_us / 1000);
	target = min_u64(target, cwnd + cwnd / 2);
	/* RFC 9438 4.3: at least as fast as Reno, alpha = 3 * (1 - 0.7) / (1 + 0.7) = 9/17. */
	k->w_est_bytes += (uint32_t)((uint64_t)acked * c->mss * 9 / 17 / cwnd);
	target = target > k->w_est_bytes ? target : k->w_est_bytes;
	if (target <= cwnd)
		return;
	k->carry += acked;
	grow = (target - cwnd) * k->carry / cwnd;
	if (grow == 0)
		return;
	k->carry = 0;
	c->cwnd_bytes = (uint32_t)min_u64(cwnd + grow, CWND_MAX_BYTES);
}

void cc_ack(const struct tcp *tcp, struct conn *c, uint32_t acked)
{
	/* RFC 9438 5.8, RFC 7661: a window that was not used was not tested. */
	if (!(c->flags & CF_CWND_LIMITED) && c->loss == LOSS_NONE)
		return;
	if (c->cwnd_bytes < c->ssthresh_bytes) {
		/* RFC 3465 2.3: at most one segment an ACK after a timeout, else what was
		 * acknowledged. */
		if (c->loss == LOSS_RTO)
			acked = min_u32(acked, c->mss);
		c->cwnd_bytes = min_u32(c->cwnd_bytes + acked, CWND_MAX_BYTES);
		return;
	}
	cubic_grow(tcp, c, acked);
}
