/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cores of a port stand in a ring, and each hands to the next what it cannot use: no core knows
 * where the port brought the handshake, and strays are rare, so that nobody keeps a table of it.
 * The last to be asked answers as a core alone would. Each queue has one writer and one reader. */
#include <stdlib.h>

#include "dataplane/net/net_int.h"

enum { PASS_ENTRIES = 1024 };

static_assert(sizeof(struct pkt) <= SPSC_MSG_BYTES, "one message");

static void *queue_at(const struct net_shared *s, uint32_t core)
{
	return s->queues + (size_t)core * align_up(spsc_bytes(PASS_ENTRIES), CACHE_LINE);
}

enum status net_shared_open(struct net_shared *s, uint32_t cores)
{
	size_t bytes = cores * align_up(spsc_bytes(PASS_ENTRIES), CACHE_LINE);

	memset(s, 0, sizeof(*s));
	if (cores < 2)
		return ST_OK;
	s->queues = aligned_alloc(CACHE_LINE, bytes);
	if (s->queues == NULL)
		return ST_NOMEM;
	memset(s->queues, 0, bytes);
	return ST_OK;
}

void net_shared_close(struct net_shared *s)
{
	free(s->queues);
	s->queues = NULL;
}

void pass_join(struct net *net)
{
	net->passes = net->cores > 1 && net->shared->queues != NULL;
	if (!net->passes)
		return;
	spsc_join_producer(&net->pass_out, queue_at(net->shared, net->core), PASS_ENTRIES);
	spsc_join_consumer(&net->pass_in,
	                   queue_at(net->shared, (net->core + net->cores - 1) % net->cores),
	                   PASS_ENTRIES);
}

bool net_may_pass(const struct net *net, const struct pkt *pkt)
{
	return net->passes && pkt->passed + 1 < net->cores;
}

bool net_pass(struct net *net, struct pkt *pkt)
{
	struct pkt *slot = spsc_slot(&net->pass_out);

	if (slot == NULL)
		return false;
	*slot = *pkt;
	slot->passed++;
	spsc_push(&net->pass_out);
	spsc_publish(&net->pass_out);
	pkt->handle = NULL;
	return true;
}

unsigned net_passed(struct net *net, struct pkt *pkts, unsigned n)
{
	const struct pkt *next;
	unsigned got = 0;

	if (!net->passes)
		return 0;
	while (got < n && (next = spsc_peek(&net->pass_in)) != NULL) {
		pkts[got++] = *next;
		spsc_pop(&net->pass_in);
	}
	if (got > 0) {
		spsc_release(&net->pass_in);
		counter_add(net->ctr, CTR_rx_from_core, got);
	}
	return got;
}
