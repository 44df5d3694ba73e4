/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Link addresses for connections that we open: a small table of neighbors that somebody asked for
 * (RFC 826, RFC 4861 7). Only an answer to a question of ours changes it, so that nobody can fill
 * or turn it by talking to us. No packet waits here: whoever wants to connect tries again. */
#include "dataplane/net/net_int.h"

enum {
	TRIES = 3,          /* RFC 4861 10, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT */
	RETRANS_MS = 1000,  /* RETRANS_TIMER */
	REACHABLE_S = 30,   /* REACHABLE_TIME */
	FORGET_S = 600,     /* an entry that is not asked for */
	NEGATIVE_MS = 1000, /* one that did not answer is not asked again before */
};

static struct neigh *neigh_find(struct net *net, const struct ip_addr *addr, uint16_t vlan)
{
	for (uint32_t i = 0; i < NET_NEIGHBORS; i++) {
		struct neigh *n = &net->neighbors[i];

		if (n->state != NEIGH_NONE && n->vlan == vlan && ip_addr_eq(&n->addr, addr))
			return n;
	}
	return NULL;
}

/* A free place, else the one that was asked for longest ago. */
static struct neigh *neigh_new(struct net *net)
{
	struct neigh *oldest = &net->neighbors[0];

	for (uint32_t i = 0; i < NET_NEIGHBORS; i++) {
		struct neigh *n = &net->neighbors[i];

		if (n->state == NEIGH_NONE)
			return n;
		if (n->used_ns < oldest->used_ns)
			oldest = n;
	}
	return oldest;
}

/* To the one that is known, to all or to the group else (RFC 4861 7.2.2, 7.3.3). */
static void neigh_ask(struct net *net, const struct neigh *n)
{
	struct net_path path = {.local = n->local, .remote = n->addr, .vlan = n->vlan};
	struct pkt *pkt = net_frame_begin(net);
	bool v4 = ip_addr_is_v4(&n->addr);

	if (pkt == NULL)
		return;
	if (n->state == NEIGH_PROBE)
		memcpy(path.remote_mac, n->mac, 6);
	else if (v4)
		memset(path.remote_mac, 0xff, 6);
	else
		memcpy(path.remote_mac,
		       (const uint8_t[]){0x33, 0x33, 0xff, n->addr.b[13], n->addr.b[14],
		                         n->addr.b[15]},
		       6);
	pkt->l3_off = net_eth_write(net, &path, pkt->data, v4 ? ETHERTYPE_ARPV4 : ETHERTYPE_V6);
	if (v4)
		arp_ask(net, pkt, &path);
	else
		ndp_ask(net, pkt, &path, n->state == NEIGH_PROBE);
	net_staged_send(net);
}

static void neigh_begin(struct net *net, struct neigh *n, enum neigh_state state, uint64_t now_ns)
{
	n->state = (uint8_t)state;
	n->tries = 1;
	n->due_ns = now_ns + RETRANS_MS * NS_PER_MS;
	neigh_ask(net, n);
}

enum status net_path_make(struct net *net, const struct net_way *way, struct net_path *out,
                          uint64_t now_ns)
{
	struct neigh *n = neigh_find(net, &way->next_hop, way->vlan);

	if (ip_addr_is_v4(&way->local) != ip_addr_is_v4(&way->next_hop) ||
	    !net_owns(net, &way->local))
		return ST_INVALID;
	if (n == NULL) {
		n = neigh_new(net);
		*n = (struct neigh){.addr = way->next_hop, .local = way->local, .vlan = way->vlan};
		neigh_begin(net, n, NEIGH_INCOMPLETE, now_ns);
	}
	n->used_ns = now_ns;
	net->neigh_any = true;
	if (n->state == NEIGH_FAILED)
		return ST_NOTFOUND;
	if (n->state == NEIGH_INCOMPLETE)
		return ST_AGAIN;
	/* RFC 4861 7.3.3: what is known is used while it is asked whether it still holds. */
	if (n->state == NEIGH_REACHABLE && now_ns >= n->due_ns)
		neigh_begin(net, n, NEIGH_PROBE, now_ns);
	*out = (struct net_path){.local = way->local, .remote = way->remote, .vlan = way->vlan};
	memcpy(out->remote_mac, n->mac, 6);
	return ST_OK;
}

bool neigh_answer(struct net *net, const struct net_path *from, const uint8_t mac[6],
                  uint64_t now_ns)
{
	struct neigh *n = neigh_find(net, &from->remote, from->vlan);

	if (n == NULL || (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_PROBE) ||
	    mac_is_group(mac) || mac_is_zero(mac))
		return false;
	memcpy(n->mac, mac, 6);
	n->state = NEIGH_REACHABLE;
	n->due_ns = now_ns + REACHABLE_S * NS_PER_S;
	return true;
}

static void neigh_due(struct net *net, struct neigh *n, uint64_t now_ns)
{
	if (n->state == NEIGH_FAILED) {
		n->state = NEIGH_NONE;
		return;
	}
	if (n->tries < TRIES) {
		n->tries++;
		n->due_ns = now_ns + RETRANS_MS * NS_PER_MS;
		neigh_ask(net, n);
		return;
	}
	n->state = NEIGH_FAILED;
	n->due_ns = now_ns + NEGATIVE_MS * NS_PER_MS;
}

void neigh_tick(struct net *net, uint64_t now_ns)
{
	for (uint32_t i = 0; net->neigh_any && i < NET_NEIGHBORS; i++) {
		struct neigh *n = &net->neighbors[i];

		if (n->state == NEIGH_REACHABLE && now_ns - n->used_ns > FORGET_S * NS_PER_S)
			n->state = NEIGH_NONE;
		else if (n->state != NEIGH_NONE && n->state != NEIGH_REACHABLE &&
		         now_ns >= n->due_ns)
			neigh_due(net, n, now_ns);
	}
}
