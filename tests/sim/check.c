/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Invariants of the server's stack, seen from inside. A connection that a segment touched is looked
 * at after each step, all of them now and then, and everything at the end. */
#include "tests/sim/world.h"

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
	if (c->tx_bytes > END_QUEUE + 65536)
		return "more queued than its owner may";
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

	if (c->view_len != 0)
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
		if (all[i] != 0)
			first = min_u64(first, all[i]);
	return first;
}

/* Every live connection has a timer, or waits for its owner. */
static const char *timer_wrong(const struct world *w, const struct conn *c)
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
	if (!timer_is_set(&c->timer) && w->server.tcp->cfg.keepalive_idle_ms > 0 &&
	    c->state != TCP_FIN_WAIT_1)
		return "no timer at all";
	return NULL;
}

static void conn_check(struct world *w, struct conn *c)
{
	const char *why = sequence_wrong(c);

	if (why == NULL)
		why = scoreboard_wrong(c);
	if (why == NULL)
		why = receive_wrong(w->server.tcp, c);
	if (why == NULL)
		why = timer_wrong(w, c);
	if (why != NULL)
		run_fail(w->run, w->now_ns,
		         "inside of the server, port %u in %s: %s (una %u, nxt +%u, queued %u, "
		         "flags %x)",
		         c->rport, tcp_state_name(c->state), why, c->snd_una, conn_flight(c),
		         c->tx_bytes, c->flags);
}

/* What must not go back, from one look to the next. */
static void end_check(struct world *w, struct end *e)
{
	const struct conn *c = e->conn;

	if (e->checked && (seq_lt(c->last_ack, e->last_ack) || seq_lt(c->snd_una, e->last_una)))
		run_fail(w->run, w->now_ns, "inside of the server, port %u: %s goes back", c->rport,
		         seq_lt(c->last_ack, e->last_ack) ? "the last ACK" : "snd_una");
	e->checked = true;
	e->last_ack = c->last_ack;
	e->last_una = c->snd_una;
}

void check_touched(struct world *w)
{
	uint32_t pending = nic_sim_pending(w->server.nic);

	for (uint32_t i = 0; i < w->touched_count; i++) {
		struct slot *s = w->touched[i];

		s->touched = false;
		watch_step(&s->watch);
		if (s->server == NULL || s->server->conn == NULL)
			continue;
		conn_check(w, s->server->conn);
		end_check(w, s->server);
	}
	w->touched_count = 0;
	if (unlikely((w->faults.on[FAULT_no_packets] == 0) &&
	             nic_pkts_free(w->server.nic) + pending != w->server.packets))
		run_fail(w->run, w->now_ns, "%u packet buffers are gone",
		         w->server.packets - pending - nic_pkts_free(w->server.nic));
	if (unlikely(nic_sim_large_used(w->server.nic) != 0))
		run_fail(w->run, w->now_ns, "%u large buffers are gone",
		         nic_sim_large_used(w->server.nic));
}

struct sums {
	uint32_t conns;
	uint32_t rx_bufs;
	uint32_t rx_blocks;
	uint32_t chunks;
	uint32_t refs;
	uint32_t timers;
};

static void conn_count(const struct tcp *tcp, const struct conn *c, struct sums *sums)
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
		sums->refs = UINT32_MAX / 2;
}

/* What is taken from the pools is what the connections have. */
void check_all(struct world *w)
{
	struct tcp *tcp = w->server.tcp;
	struct sums sums = {0};
	struct tcp_usage u;
	uint32_t fresh = w->faults.conns.on ? w->faults.conns.fresh : tcp->conns.fresh;

	for (uint32_t i = 0; i < fresh; i++) {
		struct conn *c = pool_at(&tcp->conns, i);

		if (!(c->flags & CF_LIVE))
			continue;
		conn_check(w, c);
		conn_count(tcp, c, &sums);
	}
	tcp_usage(tcp, &u);
	u.conns -= w->faults.conns.taken;
	u.rx_blocks -= w->faults.block_count + w->faults.block_fresh;
	u.tx_chunks -= w->faults.chunks.taken;
	u.tx_refs -= w->faults.refs.taken;
	if (sums.conns != u.conns || sums.rx_bufs != u.rx_bufs || sums.rx_blocks != u.rx_blocks ||
	    sums.chunks != u.tx_chunks || sums.refs != u.tx_refs || sums.timers != u.timers)
		run_fail(w->run, w->now_ns,
		         "taken from the pools (and had by connections): %u (%u) connections, %u "
		         "(%u) receive buffers, %u (%u) blocks, %u (%u) chunks, %u (%u) "
		         "descriptors, %u (%u) timers",
		         u.conns, sums.conns, u.rx_bufs, sums.rx_bufs, u.rx_blocks, sums.rx_blocks,
		         u.tx_chunks, sums.chunks, u.tx_refs, sums.refs, u.timers, sums.timers);
}

bool check_is_quiet(const struct world *w)
{
	return cable_is_empty(w->cable) && tcp_conn_count(w->server.tcp) == 0 &&
	       tcp_conn_count(w->client.tcp) == 0 && nic_sim_pending(w->server.nic) == 0;
}

static const char *leak(const struct host *host)
{
	struct tcp_usage u;

	tcp_usage(host->tcp, &u);
	if (u.conns != 0)
		return "connections";
	if (u.rx_bufs != 0 || u.rx_blocks != 0)
		return "receive buffers";
	if (u.tx_chunks != 0)
		return "send chunks";
	if (u.tx_refs != 0)
		return "send descriptors";
	if (u.timers != 0)
		return "timers";
	if (host->lent != host->returned)
		return "lent bytes";
	return nic_pkts_free(host->nic) != host->packets ? "packet buffers" : NULL;
}

/* Every packet that came ended in one counter. */
static uint64_t verdicts(const struct counters *c)
{
	uint64_t sum = counter_read(c, CTR_rx_tcp) + counter_read(c, CTR_rx_arp) +
	               counter_read(c, CTR_rx_ndp) + counter_read(c, CTR_rx_icmp);

	for (uint32_t i = 0; i < CTR_COUNT; i++)
		if (counter_infos[i].kind == COUNTER_DROP)
			sum += counter_read(c, i);
	return sum;
}

/* Turned bits were noticed. */
static void corrupted_check(struct world *w)
{
	static const enum counter_id ids[] = {
	        CTR_drop_runt,    CTR_drop_ethertype,   CTR_drop_not_ours,   CTR_drop_ip_header,
	        CTR_drop_ip_csum, CTR_drop_ip_fragment, CTR_drop_ip_options, CTR_drop_ip_proto,
	        CTR_drop_icmp,    CTR_drop_tcp_header,  CTR_drop_tcp_csum,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		sum += counter_read(&w->server.ctr, ids[i]);
	if (sum < w->caught_in)
		run_fail(w->run, w->now_ns,
		         "%llu corrupted packets came, %llu were dropped as such",
		         (unsigned long long)w->caught_in, (unsigned long long)sum);
}

void check_quiet(struct world *w)
{
	const char *what = leak(&w->server);
	uint64_t came = counter_read(&w->server.ctr, CTR_rx_packets);

	if (what == NULL && !check_is_quiet(w))
		what = "something that moves";
	if (what != NULL)
		run_fail(w->run, w->now_ns, "the server leaked: %s", what);
	what = leak(&w->client);
	if (what != NULL)
		run_fail(w->run, w->now_ns, "the client's stack leaked: %s", what);
	if (came != verdicts(&w->server.ctr))
		run_fail(w->run, w->now_ns, "%llu packets came, the counters know of %llu",
		         (unsigned long long)came, (unsigned long long)verdicts(&w->server.ctr));
	corrupted_check(w);
}
