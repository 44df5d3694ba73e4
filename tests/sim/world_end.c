/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Owners of connections of our stack: what an application would do, by plan, at the server and at
 * our own clients. Checks each byte that it reads. */
#include <stdlib.h>

#include "tests/sim/world.h"

static uint32_t tx_total(const struct end *e)
{
	return e->server ? e->plan.down_total : e->plan.up_total;
}

static uint32_t rx_total(const struct end *e)
{
	return e->server ? e->plan.up_total : e->plan.down_total;
}

struct end *end_new(struct world *w, struct host *host, const struct plan *plan)
{
	struct end *e = w->free_ends;

	if (e != NULL)
		w->free_ends = e->next_free;
	else if ((e = malloc(sizeof(*e))) == NULL)
		abort();
	*e = (struct end){.world = w, .host = host, .plan = *plan, .server = host == &w->server};
	e->rng.s = mix64(plan->seed + 77 + e->server);
	e->idle_ns = w->now_ns + w->sc->idle_ns;
	return e;
}

void end_free(struct world *w, struct end *e)
{
	e->next_free = w->free_ends;
	w->free_ends = e;
}

uint64_t end_progress(const struct end *e)
{
	uint32_t queued = e->conn != NULL ? tcp_tx_queued(e->conn) : 0;

	return (uint64_t)e->rx_done + (e->tx_done - queued) + e->open + 2u * e->eof + 4u * e->shut +
	       8u * (e->conn == NULL);
}

static void fail(struct end *e, const char *what)
{
	run_fail(e->world->run, e->world->now_ns,
	         "connection %u (port %u, %s%s), %s: %s; received %u of %u, wrote %u of %u",
	         e->plan.number, e->plan.port, e->plan.v6 ? "IPv6" : "IPv4",
	         e->plan.peer ? ", peer" : "", e->server ? "server" : "client", what, e->rx_done,
	         rx_total(e), e->tx_done, tx_total(e));
}

static bool bytes_right(struct end *e, const char *bytes, uint32_t n)
{
	uint32_t at = e->server ? e->plan.up_at : e->plan.down_at;

	for (uint32_t i = 0; i < n;) {
		uint32_t part = min_u32(n - i, PATTERN_SPAN);

		if (memcmp(bytes + i, pattern_at(at, e->rx_done + i), part) != 0)
			return false;
		i += part;
	}
	return true;
}

/* Checks and takes n bytes from the front; echoes them. False when there was no room for that. */
static bool bytes_take(struct end *e, struct span rx, uint32_t n)
{
	if (n == 0)
		return true;
	if (e->server && e->plan.echo && !e->shut) {
		if (tcp_tx_queued(e->conn) > END_QUEUE ||
		    tcp_tx_copy(e->host->tcp, e->conn, rx.ptr, n) != ST_OK)
			return false;
		e->tx_done += n;
	}
	if (e->world->run->broken == BREAK_received && e->server && e->plan.number % 5 == 3)
		((char *)(uintptr_t)rx.ptr)[0] ^= 1;
	if (e->plan.honest) {
		if (e->rx_done + n > rx_total(e))
			fail(e, "more bytes than were sent");
		else if (!bytes_right(e, rx.ptr, n))
			fail(e, "wrong bytes");
		e->world->run->bytes += n;
	}
	e->rx_done += n;
	tcp_rx_consume(e->host->tcp, e->conn, n);
	return true;
}

static void end_read(struct end *e)
{
	struct span rx = tcp_rx(e->conn);
	bool slow = e->server ? e->plan.server_slow : e->plan.client_slow;
	uint32_t n = (uint32_t)min_size(rx.len, e->plan.echo ? 4096 : rx.len);

	if (e->stall_ns > e->world->now_ns)
		return;
	e->stall_ns = 0;
	if (slow && n > 0 && rng_below(&e->rng, 6) == 0) {
		n = rng_below(&e->rng, n);
		e->stall_ns = e->world->now_ns + (1 + rng_below(&e->rng, 400)) * NS_PER_MS;
	}
	while (n > 0) {
		if (!bytes_take(e, rx, n)) {
			tcp_tx_want_room(e->conn, END_QUEUE / 2);
			return;
		}
		rx = tcp_rx(e->conn);
		n = e->stall_ns > 0 ? 0 : (uint32_t)min_size(rx.len, e->plan.echo ? 4096 : rx.len);
	}
	if (tcp_rx_eof(e->conn))
		e->eof = true;
}

/* Writes up to n bytes in one of three ways; returns how many, 0: no room. */
static uint32_t write_some(struct end *e, uint32_t n)
{
	const uint8_t *from = pattern_at(e->server ? e->plan.down_at : e->plan.up_at, e->tx_done);
	struct tcp *tcp = e->host->tcp;
	size_t room;
	char *to;

	switch (e->plan.seed >> 40 & 3) {
	case 0:
		to = tcp_tx_reserve(tcp, e->conn, min_u32(n, TCP_TX_CHUNK), &room);
		if (to == NULL)
			return 0;
		n = (uint32_t)min_size(n, room);
		memcpy(to, from, n);
		tcp_tx_commit(tcp, e->conn, n);
		return n;
	case 1:
		n = min_u32(n, 4096);
		return tcp_tx_copy(tcp, e->conn, from, n) == ST_OK ? n : 0;
	default:
		n = min_u32(n, 16384);
		if (tcp_tx_ref(tcp, e->conn, from, n, n) != ST_OK)
			return 0;
		e->host->lent += n;
		return n;
	}
}

/* --break skip, twice, order: an owner that writes wrongly. */
static void write_wrong(struct end *e)
{
	enum sim_break how = e->world->run->broken;
	const uint8_t *from = pattern_at(e->plan.down_at, e->tx_done);
	uint8_t swapped[2] = {from[1], from[0]};

	if (!e->server || e->plan.number % 5 != 3 || tx_total(e) - e->tx_done < 2)
		return;
	if (how == BREAK_skip)
		e->tx_done++;
	else if (how == BREAK_twice)
		tcp_tx_copy(e->host->tcp, e->conn, from, 1);
	else if (how == BREAK_order && tcp_tx_copy(e->host->tcp, e->conn, swapped, 2) == ST_OK)
		e->tx_done += 2;
}

static void end_write(struct end *e)
{
	uint32_t total = tx_total(e);
	bool echo = e->server && e->plan.echo;
	bool unbounded = e->world->run->broken == BREAK_memory && e->server;

	if (e->shut)
		return;
	while (!echo && e->tx_done < total) {
		uint32_t n = 0;

		if (e->tx_done > 0)
			write_wrong(e);
		if (tcp_tx_queued(e->conn) < END_QUEUE || unbounded)
			n = write_some(e, total - e->tx_done);
		if (n == 0) {
			tcp_tx_want_room(e->conn, END_QUEUE / 2);
			return;
		}
		e->tx_done += n;
	}
	if (echo && !e->eof && e->rx_done < total)
		return;
	/* Who is second waits for the other's FIN. */
	if (e->plan.client_first == e->server && !e->eof)
		return;
	e->shut = true;
	tcp_shutdown(e->host->tcp, e->conn);
}

static bool is_done(const struct end *e)
{
	return e->eof && e->shut && e->rx_done == rx_total(e) && e->tx_done == tx_total(e);
}

static void end_gone(struct end *e)
{
	struct world *w = e->world;
	bool other_aborts =
	        e->plan.client_abort != PLAN_NEVER || e->plan.server_abort != PLAN_NEVER;

	bool server_done = e->slot != NULL && e->slot->server_done;

	e->conn = NULL;
	e->failed = !e->aborted && !is_done(e);
	/* A client that has all it wants may be gone when the last of ours is lost. */
	if (e->failed && e->server && e->plan.honest && !other_aborts && !w->lossy &&
	    e->rx_done != e->plan.up_total)
		fail(e, "the connection ended before all had come");
	if (e->slot != NULL && e->server) {
		e->slot->server = NULL;
		e->slot->server_done = is_done(e);
	} else if (e->slot != NULL) {
		e->slot->client = NULL;
		slot_ended(w, e->slot);
		w->run->completed += !e->failed;
		w->run->cut += e->failed;
		if (e->failed && !other_aborts && !w->lossy && !(e->eof && server_done))
			fail(e, "reset, or timed out");
	}
	end_free(w, e);
}

static void idle_check(struct end *e)
{
	uint64_t moved = end_progress(e);
	uint64_t now = e->world->now_ns;

	if (moved != e->moved) {
		e->moved = moved;
		e->idle_ns = now + e->world->sc->idle_ns;
	} else if (now >= e->idle_ns && e->server && !e->closing) {
		e->closing = true;
		e->aborted = true;
		tcp_abort(e->host->tcp, e->conn);
	}
}

static void end_run(struct end *e, uint32_t events)
{
	struct tcp *tcp = e->host->tcp;
	uint32_t abort_at = e->server ? e->plan.server_abort : e->plan.client_abort;

	if (events & TCP_EV_OPEN)
		e->open = true;
	if (!e->closing && e->open)
		end_read(e);
	if (events & TCP_EV_CLOSED) {
		end_gone(e);
		return;
	}
	if (e->closing || !e->open)
		return;
	if (abort_at != PLAN_NEVER && e->rx_done >= abort_at) {
		e->closing = true;
		e->aborted = true;
		tcp_abort(tcp, e->conn);
		return;
	}
	end_write(e);
	if (e->eof && e->shut) {
		e->closing = true;
		tcp_close(tcp, e->conn, e->world->now_ns);
		return;
	}
	idle_check(e);
	if (!e->closing)
		tcp_user_timer(tcp, e->conn,
		               e->stall_ns > 0 ? min_u64(e->stall_ns, e->idle_ns) : e->idle_ns);
}

void end_timer(void *arg, struct conn *conn, uint64_t now_ns)
{
	struct host *host = arg;

	(void)now_ns;
	tcp_wake(host->tcp, conn, 0);
}

/* A connection that came in; NULL when no client of now wants it. */
static struct end *server_accept(struct world *w, struct conn *conn)
{
	const struct ip_addr *a = &conn->path.remote;
	bool flood = a->b[7] == 99 || (ip_addr_is_v4(a) && a->b[13] == 99);
	struct slot *s = flood ? NULL : slot_find(w, a->b[15] == 3, conn->rport);
	struct end *e;

	if (s == NULL || s->server != NULL || s->served)
		return NULL;
	e = end_new(w, &w->server, &s->plan);
	e->slot = s;
	e->conn = conn;
	s->server = e;
	s->served = true;
	tcp_set_owner(conn, e);
	return e;
}

void ends_ready(struct world *w, struct host *host)
{
	struct conn *conn;
	uint32_t events;

	while ((conn = tcp_ready(host->tcp, &events)) != NULL) {
		struct end *e = tcp_owner(conn);

		if (e == NULL && host == &w->server && !(events & TCP_EV_CLOSED))
			e = server_accept(w, conn);
		if (e != NULL)
			end_run(e, events);
		else if (!(events & TCP_EV_CLOSED))
			tcp_abort(host->tcp, conn);
		tcp_ready_done(host->tcp, conn, w->now_ns);
	}
}
