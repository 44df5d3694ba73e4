/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_uto.h"

#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_limit.h"

enum {
	UTO_MINUTES = 1 << 15, /* the option's granularity bit */
	UTO_VALUE = UTO_MINUTES - 1,
	UTO_MINUTE_S = 60,
};

static uint32_t clock_ms(uint32_t ticks)
{
	return (uint32_t)((uint64_t)ticks * TS_TICK_NS / NS_PER_MS);
}

void uto_input(const struct tcp *tcp, struct conn *c, uint16_t option)
{
	uint64_t ms = (option & UTO_VALUE) * 1000ull;
	uint64_t own = tcp->cfg.user_timeout_advertise_ms;

	if (option & UTO_MINUTES)
		ms *= UTO_MINUTE_S;
	/* RFC 5482 3.1: ENABLED is off by default; 0 is reserved. */
	if (tcp->cfg.user_timeout_max_ms == 0 || ms == 0)
		return;
	ms = ms > own ? ms : own;
	ms = ms > UTO_LEAST_MS ? ms : UTO_LEAST_MS;
	c->uto.timeout_ms = (uint32_t)min_u64(ms, tcp->cfg.user_timeout_max_ms) & 0x3fffffff;
}

uint32_t uto_write(const struct tcp *tcp, uint8_t *out)
{
	uint32_t s = (tcp->cfg.user_timeout_advertise_ms + 999) / 1000;
	uint32_t value = s;

	if (s == 0)
		return 0;
	if (s > UTO_VALUE)
		value = UTO_MINUTES | (s + UTO_MINUTE_S - 1) / UTO_MINUTE_S;
	out[0] = UTO_OPT_KIND;
	out[1] = UTO_OPT_LEN;
	put_u16(out + 2, (uint16_t)value);
	return UTO_OPT_LEN;
}

static uint32_t timeout_ms(const struct tcp *tcp, const struct conn *c)
{
	return c->uto.timeout_ms ? c->uto.timeout_ms : tcp->cfg.user_timeout_ms;
}

bool uto_expired(const struct tcp *tcp, struct conn *c, uint64_t waited_ns)
{
	uint32_t limit = timeout_ms(tcp, c);
	struct conn_uto *u = &c->uto;

	if (limit == 0)
		return c->tries >= tcp->cfg.retries;
	if (!u->stuck || u->mark != c->snd_una) {
		/* The first timeout since there was progress, when its timer was set. */
		u->shut = 0;
		u->stuck = 1;
		u->mark = c->snd_una;
		u->since = ts_clock(tcp) - (uint32_t)(waited_ns / TS_TICK_NS);
	}
	return clock_ms(ts_clock(tcp) - u->since) >= limit;
}

uint64_t uto_clip_ns(const struct tcp *tcp, const struct conn *c, uint64_t ns)
{
	uint32_t limit = timeout_ms(tcp, c);
	uint32_t age;

	if (limit == 0 || c->tries == 0 || !c->uto.stuck || c->uto.mark != c->snd_una)
		return ns;
	age = clock_ms(ts_clock(tcp) - c->uto.since);
	if (age >= limit)
		return ns;
	return min_u64(ns, (limit - age + 1) * NS_PER_MS);
}

bool uto_shut_expired(const struct tcp *tcp, struct conn *c)
{
	uint32_t limit = tcp->cfg.persist_limit_ms;
	uint32_t moved = c->snd_una + c->snd_wnd - c->uto.mark;
	struct conn_uto *u = &c->uto;

	/* Back by less than a segment is no progress either; by more it is an old mark. */
	if (u->shut && moved > UINT32_MAX - c->mss) {
		u->mark += moved;
	} else if (!u->shut || moved >= c->mss) {
		u->shut = 1;
		u->stuck = 0;
		u->mark += moved;
		u->since = ts_clock(tcp);
	}
	if (limit == 0)
		return false;
	if (send_below(tcp, UTO_PRESSURE_SHARE))
		limit /= UTO_PRESSURE_DIVISOR;
	return clock_ms(ts_clock(tcp) - u->since) >= limit;
}
