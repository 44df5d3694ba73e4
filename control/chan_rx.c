/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages from the cores. Each one is a copy, but its content is another process's word: nothing
 * is used before it was checked here, and what fails is counted and forgotten. */
#include "control/chan_internal.h"
#include "control/fetch.h"

#include "lib/log.h"

static void malformed(struct chan_server *s)
{
	s->counts.malformed++;
}

/* Is the ticket one of this core and attachment? */
static bool ticket_ok(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	if (m->ticket.core != core) {
		malformed(s);
		return false;
	}
	if (m->ticket.epoch != s->epoch) {
		s->counts.late++;
		return false;
	}
	return true;
}

/* Takes the message's block into our hands; NULL when it lies outside the slab, or is ours already:
 * a core names a block again only after we gave it back. */
static const void *take_block(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	struct core_link *l = &s->links[core];
	const void *bytes = chan_peer_bytes(&l->port, m);

	if (bytes == NULL || l->up_held[m->block] != 0) {
		malformed(s);
		return NULL;
	}
	l->up_held[m->block] = 1;
	return bytes;
}

static void rx_request(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	const void *bytes = take_block(s, core, m);

	if (bytes == NULL)
		return;
	if (ticket_ok(s, core, m) && !fetcher_request(s->ctl->fetcher, m, bytes))
		malformed(s);
	/* The fetcher has copied what it needs. */
	link_release(s, core, m->block);
}

static void rx_body(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	const void *bytes = NULL;

	if (m->block != CHAN_NO_BLOCK || m->len != 0) {
		bytes = take_block(s, core, m);
		if (bytes == NULL)
			return;
	}
	if (ticket_ok(s, core, m)) {
		switch (fetcher_body(s->ctl->fetcher, m, bytes)) {
		case FETCHER_TOOK:
			return;
		case FETCHER_LATE:
			s->counts.late++;
			break;
		case FETCHER_BAD:
			malformed(s);
			break;
		case FETCHER_DONE:
			break;
		}
	}
	if (bytes != NULL)
		link_release(s, core, m->block);
}

static void rx_result(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	const void *bytes = NULL;

	if (m->block != CHAN_NO_BLOCK || m->len != 0) {
		bytes = take_block(s, core, m);
		if (bytes == NULL)
			return;
	}
	if (ticket_ok(s, core, m))
		query_result(s, m, bytes);
	if (bytes != NULL)
		link_release(s, core, m->block);
}

static void rx_release(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	if (m->code > CHAN_RELEASE_MAX) {
		malformed(s);
		return;
	}
	for (uint32_t i = 0; i < m->code; i++)
		down_return(&s->down, core, m->blocks[i]);
	purges_first(s);
}

static void rx_message(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	switch (m->type) {
	case CHAN_REQUEST:
		rx_request(s, core, m);
		break;
	case CHAN_CANCEL:
		if (ticket_ok(s, core, m) && !fetcher_cancel(s->ctl->fetcher, m))
			s->counts.late++;
		break;
	case CHAN_BODY:
		rx_body(s, core, m);
		break;
	case CHAN_RELEASE:
		rx_release(s, core, m);
		break;
	case CHAN_RESULT:
		rx_result(s, core, m);
		break;
	default:
		malformed(s);
	}
}

/* What was in the ring before SYNC belongs to an attachment that has ended. */
static void rx_sync(struct chan_server *s, uint32_t core, const struct chan_msg *m)
{
	struct core_link *l = &s->links[core];

	if (!l->synced) {
		l->synced = m->type == CHAN_SYNC && m->n == s->epoch;
		if (l->synced && max_u64(m->ticket.seq, m->born) > INVAL_SEQ_MAX - UINT32_MAX)
			malformed(s);
		else if (l->synced)
			purges_sync(s, core, m->ticket.seq, m->born);
		return;
	}
	if (m->type != CHAN_HELD || m->code > CHAN_RELEASE_MAX) {
		malformed(s);
		return;
	}
	for (uint32_t i = 0; i < m->code; i++)
		down_adopt(&s->down, core, m->blocks[i]);
	l->held_done = (m->flags & CHAN_F_END) != 0;
}

static bool all_held(const struct chan_server *s)
{
	for (uint32_t c = 0; c < s->cores; c++)
		if (!s->links[c].held_done)
			return false;
	return true;
}

static uint32_t rx_core(struct chan_server *s, uint32_t core)
{
	struct core_link *l = &s->links[core];
	struct chan_msg m;
	uint32_t n = 0;

	while (n < RX_BURST && s->state != LINK_LEAVING) {
		/* No block may be given out before every core has told what it holds. */
		bool syncing = s->state == LINK_SYNC;

		if (syncing && l->held_done)
			break;
		if (!chan_recv(&l->port, &m))
			break;
		n++;
		if (syncing)
			rx_sync(s, core, &m);
		else
			rx_message(s, core, &m);
	}
	if (n > 0)
		chan_rx_done(&l->port);
	s->counts.received += n;
	return n;
}

uint32_t link_rx(struct chan_server *s)
{
	uint32_t did = 0;

	for (uint32_t c = 0; c < s->cores; c++) {
		did += rx_core(s, c);
		if (s->links[c].port.rx.corrupt || s->links[c].port.tx.corrupt) {
			malformed(s);
			log_error("channel", "core %u: its ring holds an impossible position", c);
			link_leave(s, "the channel is corrupt");
			return did;
		}
	}
	if (s->state == LINK_SYNC && all_held(s))
		link_serving(s);
	return did;
}
