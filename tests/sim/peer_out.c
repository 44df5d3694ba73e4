/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments out, and time. */
#include "tests/sim/peer.h"
#include "tests/sim/bytes.h"

#define WHEEL_TICK_NS (1u << 16)
#define TRIES_MAX     16u
#define KEEPALIVE_NS  (15 * NS_PER_S)

static uint32_t stamp(const struct peer_host *h, const struct peer *p)
{
	return (uint32_t)(h->now_ns / NS_PER_MS) + p->ts_skew;
}

static void option_add(struct peer_seg *s, const uint8_t *bytes, uint32_t len)
{
	memcpy(s->opts + s->opts_len, bytes, len);
	s->opts_len = (uint8_t)(s->opts_len + len);
}

static void options_syn(const struct peer *p, struct peer_seg *s)
{
	uint8_t mss[4] = {2, 4};
	uint8_t scale[4] = {1, 3, 3, p->rcv_shift};
	static const uint8_t sack[4] = {1, 1, 4, 2};

	put16(mss + 2, p->plan->quirks & QUIRK_SMALL_MSS ? 88 + (uint32_t)(p->plan->seed % 700)
	               : p->plan->v6                     ? 1440
	                                                 : 1460);
	option_add(s, mss, 4);
	if (!(p->plan->quirks & QUIRK_NO_WSCALE))
		option_add(s, scale, 4);
	if (p->sack)
		option_add(s, sack, 4);
}

void peer_options(const struct peer_host *h, const struct peer *p, struct peer_seg *s)
{
	uint8_t ts[12] = {1, 1, 8, 10};
	uint8_t sack[28] = {1, 1, 5};
	uint32_t n;

	if (s->flags & PF_SYN)
		options_syn(p, s);
	if (p->ts) {
		put32(ts + 4, stamp(h, p));
		put32(ts + 8, p->ts_recent);
		option_add(s, ts, 12);
	}
	if (!p->sack || p->run_count == 0 || s->flags & PF_SYN)
		return;
	n = p->run_count < 3 ? p->run_count : 3;
	sack[3] = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		put32(sack + 4 + 8 * i, p->runs[i].lo);
		put32(sack + 8 + 8 * i, p->runs[i].hi);
	}
	option_add(s, sack, 4 + 8 * n);
}

/* The window offered: what the buffer has room for, and never less than before (RFC 9293
 * 3.8.6.2.1); small steps are not worth it (3.8.6.2.2). */
static uint32_t window(struct peer *p)
{
	uint32_t unread = p->rcv_nxt - p->irs - 1 - p->read - (p->eof ? 1 : 0);
	uint32_t room = p->rcv_buf > unread ? p->rcv_buf - unread : 0;
	uint32_t step = p->rcv_buf / 2 < 1460 ? p->rcv_buf / 2 : 1460;
	uint32_t wnd;

	room = room >> p->rcv_shift << p->rcv_shift;
	if ((int32_t)(p->rcv_nxt + room - p->rcv_edge) >= (int32_t)step)
		p->rcv_edge = p->rcv_nxt + room;
	if (!sq_lt(p->rcv_nxt, p->rcv_edge))
		return 0;
	wnd = (p->rcv_edge - p->rcv_nxt + (1u << p->rcv_shift) - 1) >> p->rcv_shift;
	if (wnd > 65535)
		wnd = 65535;
	if (sq_lt(p->rcv_edge, p->rcv_nxt + (wnd << p->rcv_shift)))
		p->rcv_edge = p->rcv_nxt + (wnd << p->rcv_shift);
	return wnd;
}

void peer_send(struct peer_host *h, struct peer *p, struct peer_seg s)
{
	if (s.flags & PF_SYN) {
		s.wnd = p->rcv_buf < 65535 ? p->rcv_buf : 65535;
	} else {
		s.wnd = window(p);
		s.ack = p->rcv_nxt;
		p->unacked = 0;
		p->ack_ns = 0;
	}
	peer_options(h, p, &s);
	if (s.len > 0)
		s.flags |= PF_PSH;
	if (s.len > 0 && p->plan->quirks & QUIRK_URGENT && rng_below(&p->rng, 4) == 0) {
		s.flags |= PF_URG;
		s.urgent = (uint16_t)s.len;
	}
	peer_emit(h, p->plan, &s);
}

void peer_ack(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = {.seq = p->max, .flags = PF_ACK};

	peer_send(h, p, s);
}

static bool fin_wanted(const struct peer *p)
{
	if (p->plan->lies & LIE(stay))
		return false;
	return p->plan->client_first ? true : p->eof;
}

static void sent(struct peer_host *h, struct peer *p, uint32_t end)
{
	if (p->sent_ns == 0 && sq_lt(p->max, end)) {
		p->sent_ns = h->now_ns;
		p->timed = end;
	}
	p->nxt = end;
	if (sq_lt(p->max, end))
		p->max = end;
	if (p->rtx_ns == 0)
		p->rtx_ns = h->now_ns + p->rto_us * NS_PER_US;
}

static void fin_send(struct peer_host *h, struct peer *p, struct peer_seg *s)
{
	s->flags |= PF_FIN;
	if (!p->fin_out) {
		p->fin_out = true;
		p->state = p->state == PEER_CLOSE_WAIT ? PEER_LAST_ACK : PEER_FIN_WAIT_1;
	}
	peer_send(h, p, *s);
	sent(h, p, s->seq + s->len + 1);
}

static void data_send(struct peer_host *h, struct peer *p)
{
	uint32_t end = peer_fin_seq(p);

	while (sq_lt(p->nxt, end)) {
		uint32_t limit = p->cwnd < p->wnd ? p->cwnd : p->wnd;
		uint32_t used = p->nxt - p->una;
		struct peer_seg s = {.seq = p->nxt, .flags = PF_ACK, .len = end - p->nxt};

		if (s.len > p->mss)
			s.len = p->mss;
		if (used >= limit || (s.len > limit - used && used > 0))
			return;
		if (s.len > limit - used)
			s.len = limit - used;
		s.data = plan_up(p->plan, p->nxt - p->iss - 1);
		if (p->nxt + s.len == end && fin_wanted(p) && p->plan->seed & 1 &&
		    used + s.len < limit) {
			fin_send(h, p, &s);
			return;
		}
		peer_send(h, p, s);
		sent(h, p, p->nxt + s.len);
	}
}

void peer_output(struct peer_host *h, struct peer *p)
{
	uint32_t end = peer_fin_seq(p);

	if (p->state < PEER_ESTABLISHED)
		return;
	data_send(h, p);
	if (p->nxt == end && fin_wanted(p) && (!p->fin_out || p->una != end + 1)) {
		struct peer_seg s = {.seq = end, .flags = PF_ACK};

		fin_send(h, p, &s);
	}
	/* Nothing in flight and no window: probe (RFC 9293 3.8.6.1). */
	if (p->rtx_ns == 0 && sq_lt(p->nxt, end))
		p->rtx_ns = h->now_ns + p->rto_us * NS_PER_US;
	if (p->unacked == 0)
		return;
	if (p->unacked >= 2 && !(p->plan->quirks & QUIRK_LATE_ACK && p->unacked < 3))
		peer_ack(h, p);
	else if (p->ack_ns == 0)
		p->ack_ns = h->now_ns + (p->plan->quirks & QUIRK_LATE_ACK ? 200 : 40) * NS_PER_MS;
}

static void probe(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = {.seq = p->nxt, .flags = PF_ACK, .len = 1};

	s.data = plan_up(p->plan, p->nxt - p->iss - 1);
	peer_send(h, p, s);
	if (sq_lt(p->max, p->nxt + 1))
		p->max = p->nxt + 1;
}

static void timed_out(struct peer_host *h, struct peer *p)
{
	uint64_t wait_ns;

	if (++p->tries > TRIES_MAX) {
		peer_drop(h, p, true);
		return;
	}
	wait_ns = (uint64_t)p->rto_us * NS_PER_US << (p->tries < 10 ? p->tries : 10);
	p->rtx_ns = h->now_ns + (wait_ns < 30 * NS_PER_S ? wait_ns : 30 * NS_PER_S);
	p->sent_ns = 0;
	if (p->state == PEER_SYN_SENT) {
		struct peer_seg s = {.seq = p->iss, .flags = PF_SYN};

		peer_send(h, p, s);
		return;
	}
	p->recovering = false;
	p->dupacks = 0;
	if (p->wnd == 0 && sq_lt(p->una, peer_fin_seq(p))) {
		p->nxt = p->una;
		probe(h, p);
		return;
	}
	p->ssthresh = (p->max - p->una) / 2 > 2u * p->mss ? (p->max - p->una) / 2 : 2u * p->mss;
	p->cwnd = p->mss;
	p->nxt = p->una;
	peer_output(h, p);
}

/* RFC 9293 3.8.4: an octet that was acknowledged, so that the server must answer. */
static void keepalive(struct peer_host *h, struct peer *p)
{
	struct peer_seg s = {.seq = p->max - 1, .flags = PF_ACK};

	p->keep_ns = h->now_ns + KEEPALIVE_NS;
	if (p->rtx_ns == 0 && p->state > PEER_SYN_SENT)
		peer_send(h, p, s);
}

static void timer_fired(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct peer_host *h = arg;
	struct peer *p = container_of(timer, struct peer, timer);

	(void)now_ns;
	if (p->end_ns != 0 && p->end_ns <= h->now_ns) {
		/* A liar may leave without a word. */
		bool reset = p->state != PEER_TIME_WAIT && rng_below(&p->rng, 3) == 0;

		peer_drop(h, p, reset);
		return;
	}
	if (p->mute) {
		timer_set(&h->wheel, &p->timer, p->end_ns);
		return;
	}
	if (p->lie_ns != 0 && p->lie_ns <= h->now_ns) {
		p->lie_ns = 0;
		if (p->state > PEER_SYN_SENT)
			peer_lie(h, p);
		if (p->lie_ns == 0)
			p->lie_ns = h->now_ns + rng_below64(&p->rng, 50 * NS_PER_MS);
		if (p->state == PEER_CLOSED)
			return;
	}
	if (p->rtx_ns != 0 && p->rtx_ns <= h->now_ns) {
		p->rtx_ns = 0;
		timed_out(h, p);
		if (p->state == PEER_CLOSED)
			return;
	}
	if (p->read_ns != 0 && p->read_ns <= h->now_ns) {
		uint32_t edge = p->rcv_edge;

		p->read_ns = 0;
		p->read = p->rcv_nxt - p->irs - 1 - (p->eof ? 1 : 0);
		window(p);
		if (p->rcv_edge != edge || p->unacked > 0)
			peer_ack(h, p);
	}
	if (p->ack_ns != 0 && p->ack_ns <= h->now_ns)
		peer_ack(h, p);
	if (p->keep_ns <= h->now_ns)
		keepalive(h, p);
	peer_arm(h, p);
}

void peer_arm(struct peer_host *h, struct peer *p)
{
	const uint64_t at[] = {p->rtx_ns, p->ack_ns, p->read_ns, p->lie_ns, p->end_ns, p->keep_ns};
	uint64_t next = UINT64_MAX;

	if (p->state == PEER_CLOSED)
		return;
	for (uint32_t i = 0; i < ARRAY_LEN(at); i++)
		if (at[i] != 0 && at[i] < next)
			next = at[i];
	if (next == UINT64_MAX)
		timer_cancel(&h->wheel, &p->timer);
	else if (!timer_is_set(&p->timer) || p->timer.deadline_ns != next)
		timer_set(&h->wheel, &p->timer, next);
}

void peer_timers(struct peer_host *h)
{
	timerwheel_advance(&h->wheel, h->now_ns, 0, timer_fired, h);
}

void peer_host_init(struct peer_host *h)
{
	timerwheel_init(&h->wheel, WHEEL_TICK_NS, h->now_ns);
}
