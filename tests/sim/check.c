/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Invariants of the server's stack, seen from inside. A connection that a segment touched is looked
 * at after each step, all of them now and then, and everything at the end. */
#include "tests/sim/inside.h"
#include "tests/sim/world.h"

static void conn_check(struct world *w, struct conn *c)
{
	const char *why = inside_wrong(w->server.tcp, c);

	if (why == NULL && c->tx_bytes > END_QUEUE + 65536)
		why = "more queued than its owner may";
	if (why == NULL && c->view_len != 0)
		why = "bytes lent beyond their packet";
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

/* What is taken from the pools is what the connections have. */
void check_all(struct world *w)
{
	struct tcp *tcp = w->server.tcp;
	struct inside_sums sums = {0};
	struct tcp_usage u;
	uint32_t fresh = w->faults.conns.on ? w->faults.conns.fresh : tcp->conns.fresh;

	for (uint32_t i = 0; i < fresh; i++) {
		struct conn *c = pool_at(&tcp->conns, i);

		if (!(c->flags & CF_LIVE))
			continue;
		conn_check(w, c);
		inside_count(tcp, c, &sums);
	}
	tcp_usage(tcp, &u);
	u.conns -= w->faults.conns.taken;
	u.rx_blocks -= w->faults.block_count + w->faults.block_fresh;
	u.tx_chunks -= w->faults.chunks.taken;
	u.tx_refs -= w->faults.refs.taken;
	if (!inside_sums_hold(&sums, &u))
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
	if (nic_sim_large_used(host->nic) != 0)
		return "large packet buffers";
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
	uint64_t sum = inside_corrupt_drops(&w->server.ctr);

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
