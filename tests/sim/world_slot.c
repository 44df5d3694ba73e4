/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Clients: opens them, gives them their segments, judges how they ended. */
#include <stdlib.h>

#include "tests/sim/world.h"

#define PORT_LOW  1024u
#define PORT_HIGH 64999u

#define ABORTED_NS (60 * NS_PER_S)

static uint16_t *slot_place(struct world *w, bool peer, uint16_t port)
{
	return &w->slot_of[(peer ? 65536u : 0) + port];
}

struct slot *slot_find(struct world *w, bool peer, uint16_t port)
{
	uint16_t i = *slot_place(w, peer, port);

	if (i == 0 || !w->slots[i - 1].live || w->slots[i - 1].plan.port != port ||
	    w->slots[i - 1].plan.peer != peer)
		return NULL;
	return &w->slots[i - 1];
}

void slot_touch(struct world *w, struct slot *s)
{
	if (s->touched)
		return;
	s->touched = true;
	w->touched[w->touched_count++] = s;
}

void slot_ended(struct world *w, struct slot *s)
{
	s->live = false;
	w->live--;
	if (s->server != NULL) {
		s->server->slot = NULL;
		s->server = NULL;
	}
	*slot_place(w, s->plan.peer, s->plan.port) = 0;
}

static bool peer_done(const struct peer *p)
{
	return p->eof && sq_le(peer_fin_seq(p), p->una);
}

void slot_peer_news(struct world *w, struct slot *s)
{
	const struct peer *p = &s->peer;

	if (!s->live)
		return;
	/* Its end may have been lost so often that the server's TIME-WAIT is over. */
	if (peer_done(p) || (p->eof && s->server_done)) {
		w->run->completed++;
	} else {
		bool may = s->plan.client_abort != PLAN_NEVER ||
		           s->plan.server_abort != PLAN_NEVER || !s->plan.honest || w->lossy;

		w->run->cut++;
		if (!may)
			run_fail(w->run, w->now_ns,
			         "connection %u (port %u, peer, %s): ended in the middle; %u of %u "
			         "acknowledged, %u of %u received",
			         s->plan.number, s->plan.port, s->plan.v6 ? "IPv6" : "IPv4",
			         p->una - p->iss - 1, s->plan.up_total, p->read,
			         s->plan.down_total);
	}
	if (s->plan.honest)
		w->run->bytes += p->read;
	slot_ended(w, s);
}

static bool own_open(struct world *w, struct slot *s)
{
	struct net_path path = {0};
	struct end *e = end_new(w, &w->client, &s->plan);
	const char *server = s->plan.v6 ? "fd00::10" : "10.0.0.10";
	const char *client = s->plan.v6 ? "fd00::2" : "10.0.0.2";

	ip_addr_parse(client, &path.local);
	ip_addr_parse(server, &path.remote);
	memcpy(path.remote_mac, w->peers.server_mac, 6);
	e->conn = tcp_connect(w->client.tcp, &path, s->plan.port, WORLD_PORT, w->now_ns);
	if (e->conn == NULL) {
		end_free(w, e);
		return false;
	}
	e->slot = s;
	s->client = e;
	tcp_set_owner(e->conn, e);
	w->client.busy = true;
	return true;
}

static void slot_open(struct world *w, struct slot *s)
{
	uint32_t index = s->index;
	bool touched = s->touched;

	*s = (struct slot){.index = index, .touched = touched};
	s->plan.number = w->opened++;
	plan_make(&s->plan, w->sc, &w->rng);
	do {
		w->next_port = w->next_port >= PORT_HIGH ? PORT_LOW : w->next_port + 1;
	} while (*slot_place(w, s->plan.peer, (uint16_t)w->next_port) != 0);
	s->plan.port = (uint16_t)w->next_port;
	*slot_place(w, s->plan.peer, s->plan.port) = (uint16_t)(index + 1);
	s->live = true;
	s->moved_ns = w->now_ns;
	w->live++;
	w->run->conns++;
	watch_open(&s->watch, &s->plan);
	if (s->plan.peer) {
		s->peer.owner = s;
		peer_open(&w->peers, &s->peer, &s->plan);
	} else if (!own_open(w, s)) {
		/* A port whose last connection is not quite gone: the next one, then. */
		w->run->conns--;
		w->opened--;
		slot_ended(w, s);
	}
}

void slots_open(struct world *w)
{
	if (w->opened >= w->sc->conns || w->live >= w->slot_count)
		return;
	for (uint32_t i = 0; i < w->slot_count && w->opened < w->sc->conns; i++)
		if (!w->slots[i].live && !w->slots[i].touched)
			slot_open(w, &w->slots[i]);
}

static uint64_t slot_moved(const struct slot *s)
{
	if (s->plan.peer)
		return peer_progress(&s->peer);
	return s->client != NULL ? end_progress(s->client) : 0;
}

static void slot_give_up(struct world *w, struct slot *s)
{
	if (s->plan.peer) {
		peer_drop(&w->peers, &s->peer, false);
		return;
	}
	s->client->aborted = true;
	s->client->closing = true;
	tcp_abort(w->client.tcp, s->client->conn);
	w->client.busy = true;
}

void slots_progress(struct world *w)
{
	for (uint32_t i = 0; i < w->slot_count; i++) {
		struct slot *s = &w->slots[i];
		uint64_t moved;

		if (!s->live || !s->plan.honest)
			continue;
		moved = slot_moved(s);
		if (moved != s->moved) {
			s->moved = moved;
			s->moved_ns = w->now_ns;
			continue;
		}
		/* The reset was lost, or the handshake given up, and nothing is left to send: it
		 * is not the peer's to find out. Or the TIME-WAIT was given up, and while cookies
		 * are out, a FIN sent again may belong to one and gets no reset. */
		if (w->lossy || (s->plan.peer && s->plan.server_abort != PLAN_NEVER)) {
			if (w->now_ns - s->moved_ns > ABORTED_NS)
				slot_give_up(w, s);
			continue;
		}
		if (w->faults.mended_ns != 0 &&
		    w->now_ns - max_u64(s->moved_ns, w->faults.mended_ns) > w->sc->recovery_ns)
			run_fail(w->run, w->now_ns,
			         "connection %u (port %u): no progress within %.0f s after the "
			         "last fault",
			         s->plan.number, s->plan.port, (double)w->sc->recovery_ns / 1e9);
		else if (w->now_ns - s->moved_ns > w->sc->stuck_ns)
			run_fail(w->run, w->now_ns,
			         "connection %u (port %u, %s): no progress for %.0f s",
			         s->plan.number, s->plan.port, s->plan.peer ? "peer" : "own",
			         (double)w->sc->stuck_ns / 1e9);
	}
}

void slots_destroy(struct world *w)
{
	for (uint32_t i = 0; w->slots != NULL && i < w->slot_count; i++) {
		if (w->slots[i].client != NULL)
			free(w->slots[i].client);
		if (w->slots[i].server != NULL)
			w->slots[i].server->slot = NULL;
	}
	free(w->slots);
	free(w->slot_of);
	free(w->touched);
}
