/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a core does once a millisecond beside requests: takes a new snapshot, notices that control
 * came or went, drains, announces its addresses. */
#include "dataplane/path.h"

#include "lib/log.h"

#define DRAIN_WALK 256u
#define SHED_WALK  256u
#define RESEED_NS  (60 * NS_PER_S)

static void snapshot_take(struct core *core)
{
	const struct snapshot *next =
	        __atomic_load_n(&core->shared->next_snapshot, __ATOMIC_ACQUIRE);

	if (next == core->snap)
		return;
	core->snap = next;
	stages_set_mode(&core->stages, (enum config_stages)next->stages);
	reply_prepare(core);
	req_rules_begin(core);
	/* Nothing of the core refers to the old one between rounds; main may free it now. */
	__atomic_store_n(&core->shared->used_snapshot, next, __ATOMIC_RELEASE);
}

static void attach_notice(struct core *core)
{
	uint32_t epoch = __atomic_load_n(&core->shared->attach_epoch, __ATOMIC_ACQUIRE);

	if (epoch != core->chan.epoch) {
		if (core->chan.epoch != 0)
			miss_detach(core);
		if (epoch != 0)
			miss_attach(core, epoch);
	}
	if (core->chan.epoch == 0)
		miss_away(core);
}

static void listen_again(struct core *core)
{
	for (uint32_t i = 0; i < core->listener_count; i++) {
		enum status st =
		        tcp_listen(core->tcp, &core->listeners[i].addr, core->listeners[i].port);
		if (st != ST_OK && st != ST_EXISTS)
			log_error("core", "cannot listen again on port %u: %s",
			          core->listeners[i].port, status_text(st));
	}
}

void core_drain(struct core *core, uint32_t within_ms)
{
	if (within_ms == 0) {
		if (core->draining)
			listen_again(core);
		core->draining = false;
		__atomic_store_n(&core->shared->drained, 0, __ATOMIC_RELEASE);
		return;
	}
	if (!core->draining)
		tcp_stop_listening(core->tcp);
	core->draining = true;
	core->drain_deadline_ns = core->now_ns + within_ms * NS_PER_MS;
	core->drain_cursor = 0;
	core->drain_seen = 0;
	core->drain_told = false;
}

/* Closes a connection that has no request; the others close after their answer. Once is enough,
 * since no new ones come, and each close would give the connection its linger time again. */
static void drain_idle(struct core *core, struct conn *conn, enum tcp_state state)
{
	if (core->drain_told || req_of(conn) != NULL || tcp_rx(conn).len > 0)
		return;
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return;
	counter_inc(core->ctr, CTR_shed_draining);
	tcp_set_owner(conn, NULL);
	tcp_close(core->tcp, conn, core->now_ns);
}
/* What the tables of other cores did for this one. */
static void view_counts(struct core *core)
{
	const struct hot_view_counts *n = hot_view_counts(core->view);

	counter_set(core->ctr, CTR_cache_offer, n->offers);
	counter_set(core->ctr, CTR_cache_offer_full, n->offers_full);
	counter_set(core->ctr, CTR_cache_offer_taken, n->taken);
	counter_set(core->ctr, CTR_cache_offer_gone, n->gone);
	counter_set(core->ctr, CTR_cache_copy, n->copies);
}

static void drain_step(struct core *core)
{
	bool late = core->now_ns >= core->drain_deadline_ns;
	struct conn *conn;
	struct tcp_info info;

	for (uint32_t i = 0; i < DRAIN_WALK; i++) {
		conn = tcp_conn_walk(core->tcp, &core->drain_cursor);
		if (conn == NULL) {
			/* TIME-WAIT only keeps a 4-tuple, and in FIN-WAIT-2 the client has all that
			 * it was sent: nobody waits for their end. */
			if (core->drain_seen == 0)
				__atomic_store_n(&core->shared->drained, 1, __ATOMIC_RELEASE);
			core->drain_cursor = 0;
			core->drain_seen = 0;
			core->drain_told = true;
			break;
		}
		tcp_conn_info(conn, &info);
		core->drain_seen += info.state != TCP_TIME_WAIT && info.state != TCP_FIN_WAIT_2;
		if (late)
			tcp_abort(core->tcp, conn);
		else
			drain_idle(core, conn, info.state);
	}
	stage_mark(&core->stages, STAGE_housekeep, 0);
	core_ready(core);
	if (tcp_conn_count(core->tcp) == 0)
		__atomic_store_n(&core->shared->drained, 1, __ATOMIC_RELEASE);
}

/* An address that another host has is not served until the next start: say so, once. */
static void conflicts_notice(struct core *core)
{
	uint64_t fresh = net_conflicts(core->net) & ~core->conflicts_told;
	char text[IP_ADDR_TEXT];

	if (likely(fresh == 0))
		return;
	core->conflicts_told |= fresh;
	for (uint32_t i = 0; i < core->listener_count && core->queue == 0; i++) {
		if (fresh >> i & 1)
			log_error("core",
			          "%s is in use by another host on the link (RFC 4862 5.4): it is "
			          "not served; free it there and restart",
			          ip_addr_text(&core->listeners[i].addr, text));
	}
}

/* While less than a sixteenth of the table is free, connections without a request must go the
 * sooner the less is left. */
static void shed_idle(struct core *core)
{
	uint32_t mark = tcp_conn_max(core->tcp) / 16;
	uint32_t room = tcp_conn_room(core->tcp);
	uint64_t within_ns;

	if (likely(room >= mark))
		return;
	within_ns = core->snap->timeouts.idle_ms * NS_PER_MS / mark * room;
	for (uint32_t i = 0; i < SHED_WALK; i++) {
		struct conn *conn = tcp_conn_walk(core->tcp, &core->shed_cursor);
		struct tcp_info info;

		if (conn == NULL) {
			core->shed_cursor = 0;
			break;
		}
		if (req_of(conn) != NULL || tcp_rx_len(conn) > 0 || tcp_tx_queued(conn) > 0)
			continue;
		tcp_conn_info(conn, &info);
		if (info.state != TCP_ESTABLISHED || core->now_ns - info.last_rx_ns < within_ns)
			continue;
		counter_inc(core->ctr, CTR_shed_idle);
		tcp_set_owner(conn, NULL);
		tcp_close(core->tcp, conn, core->now_ns);
	}
}

static void tcp_keys_refresh(struct core *core)
{
	uint8_t seed[TCP_SEED_BYTES];

	core->random(core->random_arg, seed, sizeof(seed));
	tcp_reseed(core->tcp, seed);
	explicit_bzero(seed, sizeof(seed));
	core->next_reseed_ns = core->now_ns + RESEED_NS;
}

/* Control lacks blocks for answers: then clients that read nothing go sooner. */
static bool down_short(const struct core *core)
{
	return core->chan.epoch != 0 && chan_down_is_short(&core->chan.port);
}

void core_housekeep(struct core *core)
{
	uint32_t drain_ms = __atomic_load_n(&core->shared->drain_ms, __ATOMIC_ACQUIRE);

	snapshot_take(core);
	attach_notice(core);
	if (drain_ms > 0 && !core->draining)
		core_drain(core, drain_ms);
	if (core->draining)
		drain_step(core);
	else
		shed_idle(core);
	tcp_relieve(core->tcp, core->snap->timeouts.stall_ms, down_short(core), core->now_ns);
	stage_mark(&core->stages, STAGE_housekeep, 0);
	core_ready(core);
	if (core->announces_left > 0 && core->now_ns >= core->announce_at_ns) {
		core->announces_left--;
		core->announce_at_ns = core->now_ns + 2 * NS_PER_S;
		net_announce(core->net);
	}
	if (core->now_ns >= core->next_reseed_ns)
		tcp_keys_refresh(core);
	net_tick(core->net, core->now_ns);
	conflicts_notice(core);
	hot_view_wall(core->view, core->wall_ms);
	view_counts(core);
	query_sweep(core);
	stage_mark(&core->stages, STAGE_housekeep, 1);
}
