/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Is an address ours alone? Before it is used, it is asked for (RFC 4862 5.4); afterwards, it is
 * defended (RFC 4862 5.4.4 for IPv6, RFC 5227 2.4 (c) for IPv4). Addresses are configured, so that
 * there is no random wait in front of the first question, and none is given up once it was in use:
 * that would leave an attacker on the link with an easy way to end all service. */
#include "dataplane/net/net_int.h"

enum {
	RETRANS_MS = 1000, /* RFC 4861 10, RETRANS_TIMER */
	DEFEND_S = 10,     /* RFC 5227 1.1, DEFEND_INTERVAL */
};

static uint64_t retrans_ns(const struct net *net)
{
	uint32_t ms = __atomic_load_n(&net->shared->retrans_ms, __ATOMIC_RELAXED);

	return (ms == 0 ? RETRANS_MS : ms) * NS_PER_MS;
}

void dad_start(struct net *net, uint32_t transmits, uint64_t now_ns)
{
	net->dad_left = transmits;
	net->dad_ns = now_ns;
	net->dad_running = transmits > 0 && net->v6_count > 0;
	for (uint32_t i = 0; net->dad_running && i < net->v6_count; i++)
		net->shared->tentative |= 1ull << net->v6_bit[i];
	shared_read(net);
}

static bool tentative(const struct net *net, uint32_t i)
{
	return __atomic_load_n(&net->shared->tentative, __ATOMIC_RELAXED) >> net->v6_bit[i] & 1;
}

static void frame_queue(struct net *net, void (*write)(const struct net *, struct pkt *, uint32_t),
                        uint32_t i)
{
	struct pkt *pkt = net_frame_begin(net);

	if (pkt == NULL)
		return;
	write(net, pkt, i);
	net_staged_send(net);
}

/* All addresses are asked for together, and are ours when nobody has answered by the end. */
static void dad_step(struct net *net, uint64_t now_ns)
{
	net->dad_ns = now_ns + retrans_ns(net);
	if (net->dad_left > 0) {
		net->dad_left--;
		for (uint32_t i = 0; i < net->v6_count; i++) {
			if (tentative(net, i))
				frame_queue(net, ndp_probe, i);
		}
		return;
	}
	net->dad_running = false;
	__atomic_store_n(&net->shared->tentative, 0, __ATOMIC_RELAXED);
	shared_read(net);
	for (uint32_t i = 0; i < net->v6_count; i++) {
		if (!net_v6_off(net, i))
			frame_queue(net, ndp_announce, i);
	}
}

void dad_tick(struct net *net, uint64_t now_ns)
{
	if (unlikely(net->dad_running) && now_ns >= net->dad_ns)
		dad_step(net, now_ns);
}

/* Once in DEFEND_S for all addresses together: two stubborn hosts shall not fill the link. */
static bool may_defend(struct net *net, uint64_t now_ns)
{
	if (now_ns < net->defend_ns)
		return false;
	net->defend_ns = now_ns + DEFEND_S * NS_PER_S;
	return true;
}

void conflict_v6(struct net *net, uint32_t i, uint64_t now_ns)
{
	counter_inc(net->ctr, CTR_addr_conflict);
	if (tentative(net, i))
		shared_conflict(net, i);
	else if (!net_v6_off(net, i) && may_defend(net, now_ns))
		frame_queue(net, ndp_announce, i);
}

void conflict_v4(struct net *net, uint32_t i, uint64_t now_ns)
{
	counter_inc(net->ctr, CTR_addr_conflict);
	if (may_defend(net, now_ns))
		frame_queue(net, arp_announce, i);
}

uint64_t net_conflicts(const struct net *net)
{
	return __atomic_load_n(&net->shared->conflicts, __ATOMIC_RELAXED);
}
