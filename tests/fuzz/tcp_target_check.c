/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What must hold after each step, and at the end. */
#include "tests/fuzz/tcp_target.h"
#include "dataplane/tcp/tcp_limit.h"
#include "tests/sim/inside.h"

enum {
	LONGEST_TIMER_S = 45, /* the longest of the configured times, or of two after each other */
	MOST_QUEUED = 32 * 4096, /* descriptors, and what one may hold */
};

static struct shadow *shadow_of(struct target *t, const struct conn *c)
{
	struct shadow *s = &t->shadows[conn_index(t->tcp, c)];

	if (s->iss != c->iss || s->irs != c->irs)
		*s = (struct shadow){.iss = c->iss, .irs = c->irs};
	return s;
}

void check_unread(struct target *t, struct conn *c)
{
	struct shadow *s = shadow_of(t, c);
	struct span piece = tcp_rx(c);
	uint32_t first = c->rcv_nxt - conn_rx_len(c) - (c->flags & CF_FIN_RCVD ? 1 : 0);

	if (conn_rx_len(c) == 0 && !s->reading)
		return;
	if (!s->reading)
		s->unread = c->irs + 1;
	s->reading = true;
	must(first == s->unread);
	must(piece.len <= conn_rx_len(c) && piece.len <= OCTETS_PIECE);
	must(piece.len > 0 || conn_rx_len(c) == 0);
	must(piece.len == 0 ||
	     memcmp(piece.ptr, target_octets + first % OCTETS_PERIOD, piece.len) == 0);
}

static void check_numbers(struct target *t, const struct conn *c)
{
	struct shadow *old = shadow_of(t, c);
	uint32_t edge = c->snd_una + c->snd_wnd;

	must(loss_pipe(c) <= conn_flight(c));
	must(conn_rx_len(c) <= t->tcp->rx_wnd_max && c->tx_bytes <= MOST_QUEUED);
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
		return;
	must(c->mss + TCP_TS_OPT_LEN >= (int)t->tcp->cfg.min_send_mss && c->mss <= c->pmtu.ceil);
	must(c->pmtu.probe == 0 || c->pmtu.probe > c->mss);
	if (!old->valid) {
		old->valid = true;
		old->rcv_adv = c->rcv_adv;
		old->snd_una = c->snd_una;
		old->snd_nxt = c->snd_nxt;
		/* Fast open may have sent as the SYN's window let it. */
		old->snd_edge = c->hs.fast_open ? seq_max(edge, c->snd_nxt) : edge;
	}
	must(seq_le(old->rcv_adv, c->rcv_adv)); /* RFC 9293 3.8.6: no shrinking */
	must(seq_le(old->snd_una, c->snd_una) && seq_le(old->snd_nxt, c->snd_nxt));
	old->snd_edge = seq_max(old->snd_edge, edge);
	/* An octet of a window probe, and our FIN. */
	must(seq_le(c->snd_nxt, old->snd_edge + 2));
	old->rcv_adv = c->rcv_adv;
	old->snd_una = c->snd_una;
	old->snd_nxt = c->snd_nxt;
}

/* A timer brings every live connection on, unless its owner has the next word. */
static void check_timer(const struct target *t, const struct conn *c)
{
	if (c->flags & (CF_READY | CF_IN_HAND))
		return;
	must(timer_is_set(&c->timer));
	must(c->timer.deadline_ns <= t->now_ns + LONGEST_TIMER_S * NS_PER_S);
}

static void check_conn(struct target *t, const struct conn *c)
{
	const char *why = inside_wrong(t->tcp, c);

	if (why != NULL)
		broken(why, "a connection");
	check_numbers(t, c);
	check_timer(t, c);
}

void check_all(struct target *t)
{
	struct inside_sums sums = {0};
	struct tcp_usage use;
	uint32_t half_open = 0;

	for (uint32_t i = 0; i < t->tcp->conns.fresh; i++) {
		struct conn *c = pool_at(&t->tcp->conns, i);

		if (!(c->flags & CF_LIVE)) {
			t->shadows[i] = (struct shadow){.valid = false};
			continue;
		}
		inside_count(t->tcp, c, &sums);
		if (c->state == TCP_CLOSED)
			continue;
		half_open += c->state == TCP_SYN_RECEIVED && c->flags & CF_PASSIVE;
		check_conn(t, c);
	}
	tcp_usage(t->tcp, &use);
	must(inside_sums_hold(&sums, &use));
	must(half_open == t->tcp->half_open && half_open <= t->tcp->cfg.max_syn_backlog);
	must(t->tcp->time_wait_count <= t->tcp->cfg.max_time_waits);
}

void check_empty(struct target *t)
{
	static const uint32_t zero[CONN_BUCKETS_MIN];
	struct tcp_usage use;

	tcp_usage(t->tcp, &use);
	must(use.conns == 0 && use.timers == 0);
	must(use.rx_bufs == 0 && use.rx_blocks == 0 && use.loss_boards == 0);
	must(use.tx_chunks == 0 && use.tx_refs == 0 && t->lent == t->released);
	must(nic_sim_large_used(t->nic) == 0);
	must(nic_pkts_free(t->nic) == NIC_BUFFERS && net_queued(t->net) == 0 && !t->net->staged);
	must(t->tcp->half_open == 0 && t->tcp->time_wait_count == 0 && t->tcp->orphan_count == 0);
	must(t->tcp->rx_mem.exts.in_use == 0 && t->tcp->fast_open.pending == 0);
	must(t->tcp->ready_head == NULL && !t->tcp->reserved_chunk);
	must(t->tcp->bucket_count == CONN_BUCKETS_MIN);
	must(memcmp(t->tcp->buckets, zero, sizeof(zero)) == 0);
	must(memcmp(t->tcp->addr_cells, zero, limit_cells_bytes(&t->tcp->cfg)) == 0);
}
