/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/rig_check.h"

#include "cache/hot_internal.h"

static const char *channel_leak(const struct core_chan *ch)
{
	if (ch->miss_live != 0)
		return "miss slots";
	if (ch->park_head != NULL || ch->park_tail != NULL)
		return "parked requests";
	if (ch->up.free_count != ch->up.count)
		return "up blocks";
	for (uint32_t i = 0; i < ch->up.count; i++)
		if (ch->up_blocks[i].state != UP_FREE)
			return "up block states";
	for (uint32_t i = 0; i < ch->down_blocks; i++)
		if (ch->down_refs[i] != 0)
			return "down block references";
	return ch->release_count != 0 ? "releases not sent" : NULL;
}

static const char *tcp_leak(const struct tcp *tcp)
{
	struct tcp_usage u;

	tcp_usage(tcp, &u);
	if (u.conns != 0)
		return "connections";
	if (u.rx_bufs != 0)
		return "receive buffers";
	if (u.tx_chunks != 0)
		return "send chunks";
	if (u.tx_refs != 0)
		return "send descriptors";
	if (u.loss_boards != 0)
		return "scoreboards";
	return u.timers != 0 ? "timers" : NULL;
}

const char *rig_leak(const struct rig *rig)
{
	const struct core *core = rig->core;
	const char *leak = channel_leak(&core->chan);

	if (core->reqs.in_use != 0)
		return "requests";
	if (leak == NULL)
		leak = tcp_leak(core->tcp);
	if (leak != NULL)
		return leak;
	for (uint32_t i = 0; i < core->hot->seg_count; i++)
		if (core->hot->segs[i].pins != 0)
			return "pins of the hot table";
	if (nic_pkts_free(rig->server_nic) != RIG_SERVER_BUFFERS)
		return "packet buffers";
	if (nic_sim_large_used(rig->server_nic) != 0)
		return "large packet buffers";
	/* What control lent came back, if there was a control to the end. */
	if (core->chan.epoch != 0 && rig->down.free_count != rig->down.count)
		return "down blocks";
	return NULL;
}

const char *rig_counters_wrong(const struct rig *rig)
{
	const struct counters *c = rig->core->ctr;
	uint64_t sum = counter_read(c, CTR_rx_tcp) + counter_read(c, CTR_rx_arp) +
	               counter_read(c, CTR_rx_ndp) + counter_read(c, CTR_rx_icmp) +
	               counter_read(c, CTR_rx_fragment);
	uint64_t ended = counter_read(c, CTR_miss_answered) + counter_read(c, CTR_miss_failed) +
	                 counter_read(c, CTR_miss_cancelled);

	for (uint32_t i = 0; i < CTR_COUNT; i++)
		if (counter_infos[i].kind == COUNTER_DROP)
			sum += counter_read(c, i);
	if (counter_read(c, CTR_rx_packets) != sum)
		return "received packets";
	if (counter_read(c, CTR_miss_sent) - counter_read(c, CTR_miss_resent) != ended)
		return "misses";
	return NULL;
}
