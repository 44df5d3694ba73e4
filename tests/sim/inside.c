/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/inside.h"

#define TICK_SLACK_NS (2 * NS_PER_MS) /* of the wheel */
#define RX_SLACK      65536u          /* what one segment may bring beyond the window */

static const char *sequence_wrong(const struct conn *c)
{
	uint32_t flight = conn_flight(c);
	uint32_t most = c->tx_bytes + (c->flags & CF_SYN_UNACKED ? 1 : 0) +
	                (c->flags & CF_FIN_SENT ? 1 : 0);

	if (!seq_le(c->snd_una, c->snd_nxt))
		return "snd_una is beyond snd_nxt";
	if (c->state != TCP_CLOSED && c->state != TCP_TIME_WAIT && flight > most)
		return "more is in flight than was queued";
	if (c->snd_wnd > 65535u << TCP_MAX_WSCALE)
		return "a window larger than there is";
	if (conn_synchronized(c) && c->mss == 0)
		return "an MSS of 0";
	if (conn_synchronized(c) && (c->cwnd_bytes == 0 || c->cwnd_bytes > 1u << 30))
		return "a congestion window out of bounds";
	return NULL;
}

static const char *scoreboard_wrong(const struct conn *c)
{
	const struct loss_run *runs = c->ls.block ? c->ls.block->runs : c->ls.few;
	uint32_t sum[RUN_SACKED + 1] = {0};
	uint32_t at = c->snd_una;

	if (c->ls.run_count > (c->ls.block ? LOSS_BLOCK_RUNS : LOSS_RUNS))
		return "more runs than there is room for";
	if (c->has_runs != (c->ls.run_count > 0))
		return "a scoreboard that is not noticed";
	for (uint32_t i = 0; i < c->ls.run_count; i++) {
		if (!seq_lt(at, runs[i].hi) || seq_lt(c->snd_nxt, runs[i].hi) ||
		    runs[i].state > RUN_SACKED)
			return "a scoreboard out of order";
		sum[runs[i].state] += runs[i].hi - at;
		at = runs[i].hi;
	}
	if (c->loss == LOSS_NONE && c->ls.lost_bytes > 0)
		return "lost bytes and no recovery";
	return sum[RUN_SACKED] != c->sacked_bytes || sum[RUN_LOST] != c->ls.lost_bytes
	               ? "a scoreboard with a wrong sum"
	               : NULL;
}

static const char *receive_wrong(const struct tcp *tcp, const struct conn *c)
{
	const struct rx_buf *rx = c->rx;
	uint32_t at = c->rcv_nxt;

	if (c->view_len != 0 && !(c->flags & CF_READY))
		return "bytes lent beyond their packet";
	if (rx == NULL)
		return c->rx_len != 0 ? "received bytes without a buffer" : NULL;
	if (rx->off + c->rx_len > rx->blocks * TCP_RX_BLOCK || rx->ooo_count > rx->ooo_max ||
	    rx->blocks > rx->place_count)
		return "a receive buffer beyond its end";
	for (uint32_t i = 0; i < rx->ooo_count; i++) {
		if (!seq_lt(at, rx->ooo[i].lo) || !seq_lt(rx->ooo[i].lo, rx->ooo[i].hi))
			return "out-of-order runs that touch";
		at = rx->ooo[i].hi;
	}
	if (at - c->rcv_nxt + c->rx_len > tcp->rx_wnd_max + RX_SLACK)
		return "more received than was offered";
	return NULL;
}

static uint64_t first_deadline(const struct conn *c)
{
	const uint64_t all[] = {c->rtx_ns, c->ack_ns, c->user_ns, c->linger_ns};
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] != 0 && all[i] < first)
			first = all[i];
	return first;
}

/* Every live connection has a timer, or waits for its owner. */
static const char *timer_wrong(const struct tcp *tcp, const struct conn *c)
{
	uint64_t first = first_deadline(c);
	bool fin_due = c->flags & CF_FIN_QUEUED && !(c->flags & CF_FIN_SENT);

	if (c->state == TCP_CLOSED || c->flags & CF_READY)
		return NULL;
	if (first != UINT64_MAX && !timer_is_set(&c->timer))
		return "a deadline without a timer";
	if (first != UINT64_MAX && c->timer.deadline_ns > first + TICK_SLACK_NS)
		return "a timer behind its deadline";
	if (c->state == TCP_TIME_WAIT)
		return c->rtx_ns == 0 ? "TIME-WAIT without an end" : NULL;
	/* The pace has the timer, but no deadline. */
	if (c->flags & CF_PACED && timer_is_set(&c->timer))
		return NULL;
	if ((conn_flight(c) > 0 || c->tx_bytes > 0 || fin_due) && c->rtx_ns == 0 && c->ack_ns == 0)
		return "something to send and no deadline";
	if (!timer_is_set(&c->timer) && tcp->cfg.keepalive_idle_ms > 0 &&
	    c->state != TCP_FIN_WAIT_1)
		return "no timer at all";
	return NULL;
}

const char *inside_wrong(const struct tcp *tcp, const struct conn *c)
{
	const char *why = sequence_wrong(c);

	if (why == NULL)
		why = scoreboard_wrong(c);
	if (why == NULL)
		why = receive_wrong(tcp, c);
	if (why == NULL)
		why = timer_wrong(tcp, c);
	return why;
}

void inside_count(const struct tcp *tcp, const struct conn *c, struct inside_sums *sums)
{
	uint32_t bytes = 0;

	sums->conns++;
	sums->rx_bufs += c->rx != NULL;
	for (uint32_t k = 0; c->rx != NULL && k < c->rx->blocks; k++)
		sums->rx_blocks += c->rx->places[rx_buf_place(c->rx, k)] != TCP_NONE;
	sums->timers += timer_is_set(&c->timer);
	for (uint32_t i = c->tx_head; i != TX_REF_NONE; i = tx_ref_at(tcp, i)->next) {
		const struct tx_ref *r = tx_ref_at(tcp, i);

		sums->refs++;
		sums->chunks += !r->lent;
		bytes += r->len;
		if (sums->refs > tcp->refs.count)
			return;
	}
	if (bytes - (c->tx_head != TX_REF_NONE ? c->tx_head_off : 0) != c->tx_bytes)
		sums->queue_wrong = true;
}

bool inside_sums_hold(const struct inside_sums *sums, const struct tcp_usage *u)
{
	return sums->conns == u->conns && sums->rx_bufs == u->rx_bufs &&
	       sums->rx_blocks == u->rx_blocks && sums->chunks == u->tx_chunks &&
	       sums->refs == u->tx_refs && sums->timers == u->timers && !sums->queue_wrong;
}

uint64_t inside_corrupt_drops(const struct counters *ctr)
{
	static const enum counter_id ids[] = {
	        CTR_drop_runt,    CTR_drop_ethertype,   CTR_drop_not_ours,   CTR_drop_ip_header,
	        CTR_drop_ip_csum, CTR_drop_ip_fragment, CTR_drop_ip_options, CTR_drop_ip_proto,
	        CTR_drop_icmp,    CTR_drop_tcp_header,  CTR_drop_tcp_csum,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		sum += counter_read(ctr, ids[i]);
	return sum;
}
