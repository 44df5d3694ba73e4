/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The states, and segments in (RFC 9293 3.10.7). */
#include "tests/sim/peer.h"

#define READ_LATE_MS 500u /* a slow reader pauses for at most this */

static uint32_t down_off(const struct peer *p, uint32_t seq)
{
	return seq - p->irs - 1;
}

uint32_t peer_fin_seq(const struct peer *p)
{
	return p->iss + 1 + p->plan->up_total;
}

uint64_t peer_progress(const struct peer *p)
{
	return (uint64_t)p->state + p->read + (p->una - p->iss);
}

static void peer_end(struct peer_host *h, struct peer *p, bool reset)
{
	if (p->state == PEER_CLOSED)
		return;
	p->state = PEER_CLOSED;
	p->reset = reset;
	timer_cancel(&h->wheel, &p->timer);
	h->ended(h->arg, p);
}

void peer_drop(struct peer_host *h, struct peer *p, bool reset)
{
	if (reset && p->state != PEER_CLOSED) {
		struct peer_seg s = {.seq = p->max, .flags = PF_RST | PF_ACK};

		peer_send(h, p, s);
	}
	peer_end(h, p, reset);
}

void peer_open(struct peer_host *h, struct peer *p, const struct plan *plan)
{
	struct peer_seg s = {.flags = PF_SYN};
	uint32_t quirks = plan->quirks;

	*p = (struct peer){.plan = plan,
	                   .owner = p->owner,
	                   .state = PEER_SYN_SENT,
	                   .rng = {mix64(plan->seed)}};
	/* RFC 6528: later connections of the same ports have higher numbers. */
	p->iss = (uint32_t)(h->now_ns >> 12) + (uint32_t)mix64(plan->port + plan->v6);
	p->una = p->iss;
	p->nxt = p->iss + 1;
	p->max = p->nxt;
	p->ts_skew = (uint32_t)mix64(plan->port * 31u);
	p->ts = !(quirks & QUIRK_NO_TS);
	p->sack = !(quirks & QUIRK_NO_SACK);
	p->rcv_shift = quirks & QUIRK_NO_WSCALE ? 0 : (uint8_t)rng_below(&p->rng, 9);
	p->rcv_buf = quirks & QUIRK_SMALL_WND ? 500 + rng_below(&p->rng, 6000)
	                                      : 8192 + rng_below(&p->rng, 120000);
	if (quirks & QUIRK_NO_WSCALE)
		p->rcv_buf = p->rcv_buf < 65535 ? p->rcv_buf : 65535;
	/* The window must be expressible in its scale, and in the SYN without. */
	p->rcv_buf &= ~((1u << p->rcv_shift) - 1);
	if (plan->lies & LIE(deaf))
		p->read_ns = UINT64_MAX;
	if (!plan->honest) {
		p->lie_ns = h->now_ns + rng_below64(&p->rng, 20 * NS_PER_MS);
		p->end_ns = h->now_ns + NS_PER_MS + rng_below64(&p->rng, 2000 * NS_PER_MS);
		if (plan->lies & (LIE(zero) | LIE(deaf) | LIE(stay)))
			p->end_ns += rng_below64(&p->rng, 200 * NS_PER_S);
	}
	if (quirks & QUIRK_SYN_DATA) {
		s.len = plan->up_total < 100 ? plan->up_total : 100;
		s.data = plan_up(plan, 0);
		p->max += s.len;
	}
	s.seq = p->iss;
	peer_send(h, p, s);
	p->rto_us = 1000000;
	p->rtx_ns = h->now_ns + NS_PER_S;
	p->keep_ns = h->now_ns + NS_PER_S;
	peer_arm(h, p);
}

void peer_path_mtu(struct peer *p, uint32_t mtu)
{
	uint32_t mss = mtu - (p->plan->v6 ? 60u : 40u) - (p->ts ? 12u : 0u);

	if (mtu >= 68 && mss < p->mss) {
		p->mss = (uint16_t)(mss > 16 ? mss : 16);
		p->nxt = p->una;
	}
}

static void rtt_sample(struct peer *p, uint64_t ns)
{
	uint32_t us = (uint32_t)(ns / 1000) + 1;
	uint32_t diff = us > p->srtt_us ? us - p->srtt_us : p->srtt_us - us;

	if (p->srtt_us == 0) {
		p->srtt_us = us;
		p->rttvar_us = us / 2;
	} else {
		p->rttvar_us = (3 * p->rttvar_us + diff) / 4;
		p->srtt_us = (7 * p->srtt_us + us) / 8;
	}
	p->rto_us = p->srtt_us + 4 * p->rttvar_us;
	if (p->rto_us < 300000)
		p->rto_us = 300000;
}

static void send_from(struct peer_host *h, struct peer *p, uint32_t seq)
{
	uint32_t end = peer_fin_seq(p);
	uint32_t left = end - seq;
	struct peer_seg s = {.seq = seq, .flags = PF_ACK};

	s.len = left < p->mss ? left : p->mss;
	if (sq_le(p->max, end) && p->max - seq < s.len)
		s.len = p->max - seq;
	if (seq + s.len == end && p->fin_out)
		s.flags |= PF_FIN;
	s.data = plan_up(p->plan, seq - p->iss - 1);
	p->sent_ns = 0; /* Karn */
	peer_send(h, p, s);
}

static void ack_new(struct peer_host *h, struct peer *p, uint32_t ack)
{
	uint32_t acked = ack - p->una;

	p->una = ack;
	if (sq_lt(p->nxt, ack))
		p->nxt = ack;
	if (p->sent_ns != 0 && sq_le(p->timed, ack)) {
		rtt_sample(p, h->now_ns - p->sent_ns);
		p->sent_ns = 0;
	}
	p->tries = 0;
	p->dupacks = 0;
	if (p->recovering && sq_lt(ack, p->recover)) {
		send_from(h, p, ack); /* RFC 6582: a partial ACK */
	} else if (p->recovering) {
		p->recovering = false;
		p->cwnd = p->ssthresh;
	} else {
		p->cwnd += p->cwnd < p->ssthresh ? acked : p->mss * p->mss / p->cwnd + 1;
		if (p->cwnd > 1u << 20)
			p->cwnd = 1u << 20;
	}
	p->rtx_ns = p->una == p->max ? 0 : h->now_ns + p->rto_us * NS_PER_US;
}

static void ack_double(struct peer_host *h, struct peer *p)
{
	if (++p->dupacks != 3 || p->recovering)
		return;
	p->recovering = true;
	p->recover = p->max;
	p->ssthresh = (p->max - p->una) / 2 > 2u * p->mss ? (p->max - p->una) / 2 : 2u * p->mss;
	p->cwnd = p->ssthresh;
	send_from(h, p, p->una);
}

/* False: the segment is done with. */
static bool ack_input(struct peer_host *h, struct peer *p, const struct view *v)
{
	uint32_t wnd = v->wnd << p->snd_shift;

	if (sq_lt(p->max, v->ack)) {
		peer_ack(h, p);
		return false;
	}
	if (sq_lt(p->una, v->ack))
		ack_new(h, p, v->ack);
	else if (v->ack == p->una && v->data_len == 0 && wnd == p->wnd && p->max != p->una &&
	         !(v->flags & PF_FIN))
		ack_double(h, p);
	if (sq_le(p->una, v->ack) &&
	    (sq_lt(p->wl1, v->seq) || (p->wl1 == v->seq && sq_le(p->wl2, v->ack)))) {
		p->wnd = wnd;
		p->wl1 = v->seq;
		p->wl2 = v->ack;
	}
	if (!p->fin_out || p->una != peer_fin_seq(p) + 1)
		return true;
	if (p->state == PEER_FIN_WAIT_1)
		p->state = PEER_FIN_WAIT_2;
	else if (p->state == PEER_CLOSING || p->state == PEER_LAST_ACK) {
		if (p->state == PEER_LAST_ACK) {
			peer_end(h, p, false);
			return false;
		}
		p->state = PEER_TIME_WAIT;
		p->end_ns = h->now_ns + 100 * NS_PER_MS;
	}
	return true;
}

/* Takes the run that continues what is there, as often as there is one. */
static void runs_join(struct peer *p)
{
	for (uint32_t i = 0; i < p->run_count;) {
		if (sq_lt(p->rcv_nxt, p->runs[i].lo)) {
			i++;
			continue;
		}
		if (sq_lt(p->rcv_nxt, p->runs[i].hi))
			p->rcv_nxt = p->runs[i].hi;
		memmove(&p->runs[i], &p->runs[i + 1], (--p->run_count - i) * sizeof(p->runs[0]));
		i = 0;
	}
}

static void run_add(struct peer *p, uint32_t lo, uint32_t hi)
{
	for (uint32_t i = 0; i < p->run_count;) {
		struct peer_run *r = &p->runs[i];

		if (sq_lt(hi, r->lo) || sq_lt(r->hi, lo)) {
			i++;
			continue;
		}
		lo = sq_lt(r->lo, lo) ? r->lo : lo;
		hi = sq_lt(hi, r->hi) ? r->hi : hi;
		memmove(r, r + 1, (--p->run_count - i) * sizeof(*r));
	}
	if (p->run_count == PEER_RUNS)
		p->run_count--; /* RFC 2018 8: a receiver may renege */
	memmove(&p->runs[1], &p->runs[0], p->run_count++ * sizeof(p->runs[0]));
	p->runs[0] = (struct peer_run){lo, hi};
}

static void data_input(struct peer_host *h, struct peer *p, const struct view *v)
{
	const uint8_t *data = v->data;
	uint32_t lo = v->seq;
	uint32_t hi = v->seq + v->data_len;

	if (sq_lt(lo, p->rcv_nxt)) {
		data += p->rcv_nxt - lo;
		lo = p->rcv_nxt;
	}
	if (sq_lt(p->rcv_edge, hi))
		hi = p->rcv_edge;
	if (!sq_lt(lo, hi))
		return;
	if (down_off(p, hi) > p->plan->down_total && (p->plan->honest || !p->plan->echo))
		h->wrong(h->arg, p, "more bytes than the server was to send");
	else if (p->plan->honest || !p->plan->echo)
		if (memcmp(data, pattern_at(p->plan->down_at, down_off(p, lo)), hi - lo) != 0)
			h->wrong(h->arg, p, "wrong bytes from the server");
	if (lo == p->rcv_nxt) {
		p->rcv_nxt = hi;
		runs_join(p);
	} else {
		run_add(p, lo, hi);
		p->unacked = 2; /* RFC 5681 4.2: at once */
	}
	p->unacked++;
}

/* The application takes what is there, or a while later. */
static void app_read(struct peer_host *h, struct peer *p)
{
	uint32_t all = p->rcv_nxt - p->irs - 1 - (p->eof ? 1 : 0);

	if (p->read_ns > h->now_ns || all == p->read)
		return;
	if (p->plan->lies & LIE(zero) && rng_below(&p->rng, 3) == 0)
		p->read_ns = h->now_ns + (10 + rng_below64(&p->rng, 180)) * NS_PER_S;
	else if (p->plan->client_slow && p->read_ns == 0 && rng_below(&p->rng, 8) == 0)
		p->read_ns = h->now_ns + (1 + rng_below64(&p->rng, READ_LATE_MS)) * NS_PER_MS;
	else
		p->read_ns = 0;
	if (p->read_ns == 0)
		p->read = all;
}

static void fin_input(struct peer_host *h, struct peer *p)
{
	if (!p->fin_seen || p->eof || p->rcv_nxt != p->fin_at)
		return;
	p->rcv_nxt++;
	p->eof = true;
	p->unacked = 2;
	if (p->plan->honest && down_off(p, p->fin_at) != p->plan->down_total)
		h->wrong(h->arg, p, "FIN before the end");
	if (p->state == PEER_ESTABLISHED)
		p->state = PEER_CLOSE_WAIT;
	else if (p->state == PEER_FIN_WAIT_1)
		p->state = PEER_CLOSING;
	else if (p->state == PEER_FIN_WAIT_2)
		p->state = PEER_TIME_WAIT;
	if (p->state == PEER_TIME_WAIT)
		p->end_ns = h->now_ns + 100 * NS_PER_MS;
}

/* RFC 9293 3.10.7.4, first: any of it in the window. */
static bool acceptable(const struct peer *p, const struct view *v)
{
	uint32_t len = v->data_len + (v->flags & PF_FIN ? 1 : 0);
	uint32_t wnd = p->rcv_edge - p->rcv_nxt;
	uint32_t last = v->seq + len - 1;

	if (len == 0 && wnd == 0)
		return v->seq == p->rcv_nxt;
	if (len == 0)
		return v->seq - p->rcv_nxt < wnd;
	if (wnd == 0)
		return false;
	return v->seq - p->rcv_nxt < wnd || last - p->rcv_nxt < wnd ||
	       (sq_le(v->seq, p->rcv_nxt) && sq_lt(p->rcv_edge, last));
}

static void syn_sent_input(struct peer_host *h, struct peer *p, const struct view *v)
{
	if (!(v->flags & PF_ACK))
		return;
	if (sq_le(v->ack, p->iss) || sq_lt(p->max, v->ack)) {
		if (!(v->flags & PF_RST))
			peer_refuse(h, v);
		return;
	}
	if (v->flags & PF_RST) {
		peer_end(h, p, true);
		return;
	}
	if (!(v->flags & PF_SYN))
		return;
	p->irs = v->seq;
	p->rcv_nxt = v->seq + 1;
	p->rcv_edge = p->rcv_nxt + (p->rcv_buf < 65535 ? p->rcv_buf : 65535);
	p->una = v->ack;
	p->nxt = v->ack;
	p->wnd = v->wnd;
	p->wl1 = v->seq;
	p->wl2 = v->ack;
	p->ts = p->ts && v->has_ts;
	p->ts_recent = v->tsval;
	p->sack = p->sack && v->sack_ok;
	if (v->wscale == 255 || p->plan->quirks & QUIRK_NO_WSCALE) {
		p->rcv_shift = 0;
		if (p->rcv_buf > 65535)
			p->rcv_buf = 65535;
	} else {
		p->snd_shift = v->wscale > 14 ? 14 : v->wscale;
	}
	p->mss = v->mss > 0 ? v->mss : p->plan->v6 ? 1220 : 536;
	if (p->mss > 1400)
		p->mss = 1400;
	p->mss = (uint16_t)(p->mss - (p->ts ? 12 : 0));
	if (p->plan->quirks & QUIRK_TINY)
		p->mss = (uint16_t)(1 + rng_below(&p->rng, 40));
	p->cwnd = 10u * p->mss;
	p->ssthresh = 1u << 20;
	p->tries = 0;
	p->rtx_ns = 0;
	p->state = PEER_ESTABLISHED;
	peer_ack(h, p);
	peer_output(h, p);
}

static bool paws_old(const struct peer *p, const struct view *v)
{
	return p->ts && v->has_ts && (int32_t)(v->tsval - p->ts_recent) < 0;
}

static void segment_input(struct peer_host *h, struct peer *p, const struct view *v)
{
	if ((paws_old(p, v) && !(v->flags & PF_RST)) || !acceptable(p, v)) {
		/* A closed window still takes ACKs (RFC 9293 3.10.7.4). */
		if (!(v->flags & PF_RST) && p->rcv_edge == p->rcv_nxt && v->flags & PF_ACK &&
		    v->seq == p->rcv_nxt && !paws_old(p, v) && !ack_input(h, p, v))
			return;
		if (!(v->flags & PF_RST))
			peer_ack(h, p);
		return;
	}
	if (v->flags & PF_RST) {
		if (v->seq == p->rcv_nxt)
			peer_end(h, p, true);
		else
			peer_ack(h, p); /* RFC 5961 3.2 */
		return;
	}
	if (v->flags & PF_SYN) {
		peer_ack(h, p);
		return;
	}
	if (!(v->flags & PF_ACK) || !ack_input(h, p, v))
		return;
	if (p->ts && v->has_ts && sq_le(v->seq, p->rcv_nxt))
		p->ts_recent = v->tsval;
	if (v->flags & PF_FIN && !p->fin_seen && sq_le(v->seq + v->data_len, p->rcv_edge)) {
		p->fin_seen = true;
		p->fin_at = v->seq + v->data_len;
	}
	if (v->data_len > 0)
		data_input(h, p, v);
	else if (v->flags & PF_FIN)
		p->unacked = 2;
	fin_input(h, p);
}

void peer_input(struct peer_host *h, struct peer *p, const struct view *v)
{
	if (p->mute || p->state == PEER_CLOSED)
		return;
	if (p->state == PEER_SYN_SENT)
		syn_sent_input(h, p, v);
	else
		segment_input(h, p, v);
	if (p->state <= PEER_SYN_SENT) {
		peer_arm(h, p);
		return;
	}
	app_read(h, p);
	if (p->plan->client_abort != PLAN_NEVER && p->read >= p->plan->client_abort) {
		peer_drop(h, p, true);
		return;
	}
	peer_output(h, p);
	peer_arm(h, p);
}

void peer_refuse(struct peer_host *h, const struct view *v)
{
	struct plan plan = {.port = v->dport, .v6 = v->v6};
	struct peer_seg s = {.flags = PF_RST};

	if (v->flags & PF_RST)
		return;
	if (v->flags & PF_ACK) {
		s.seq = v->ack;
	} else {
		s.flags |= PF_ACK;
		s.ack = v->seq + v->data_len + (v->flags & PF_SYN ? 1 : 0) +
		        (v->flags & PF_FIN ? 1 : 0);
	}
	peer_emit(h, &plan, &s);
}
