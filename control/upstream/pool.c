/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who gets which connection, and the life of an exchange. */
#include "control/upstream/conn.h"

#include <stdlib.h>

#define DOWN_NS    NS_PER_S /* an address that refused is asked last for that long */
#define SURPLUS_NS NS_PER_S /* an idle connection above max_idle is kept for that long */
#define TRIED_MAX  32u      /* addresses that one exchange tries */

static struct loop *loop_of(const struct exchange *x)
{
	return x->upstreams->ctl->loop;
}

struct request_bytes *request_bytes_new(uint32_t len)
{
	struct request_bytes *b = malloc(sizeof(*b) + len);

	if (b != NULL)
		*b = (struct request_bytes){.refs = 1, .len = len};
	return b;
}

void request_bytes_ref(struct request_bytes *b)
{
	b->refs++;
}

void request_bytes_unref(struct request_bytes *b)
{
	if (--b->refs == 0)
		free(b);
}

/* --- idle connections --- */

void pool_unidle(struct conn *c)
{
	*c->idle_prev = c->idle_next;
	if (c->idle_next != NULL)
		c->idle_next->idle_prev = c->idle_prev;
	c->idle_prev = NULL;
	c->idle_next = NULL;
	c->addr->idle_count--;
}

static bool conn_expired(const struct conn *c, uint64_t now_ns)
{
	return now_ns - c->born_ns >= c->addr->up->cfg.lifetime_ms * NS_PER_MS;
}

/* A connection whose exchange is over. */
void pool_idle(struct conn *c)
{
	struct address *a = c->addr;
	struct upstream *up = a->up;
	struct loop *loop = up->all->ctl->loop;
	uint64_t now_ns = loop_now_ns(loop);

	if (c->state != CONN_BUSY)
		return; /* closed by what the end of the exchange brought about */
	if (!up->listed || up->all->dropping || conn_expired(c, now_ns)) {
		conn_close(c);
		return;
	}
	client_reset(c);
	c->state = CONN_IDLE;
	c->reused = true;
	a->busy--;
	a->idle_count++;
	c->idle_next = a->idle;
	if (c->idle_next != NULL)
		c->idle_next->idle_prev = &c->idle_next;
	c->idle_prev = &a->idle;
	a->idle = c;
	/* One above max_idle stays for a moment: bursts would close and open the same connections
	 * again and again. It is the first to be taken, so what is left after a lull is the others.
	 */
	bool surplus = a->idle_count > up->cfg.max_idle;
	uint64_t end_ns = now_ns + (surplus ? SURPLUS_NS : up->cfg.idle_timeout_ms * NS_PER_MS);
	loop_timer_set(loop, &c->timer,
	               min_u64(end_ns, c->born_ns + up->cfg.lifetime_ms * NS_PER_MS));
	if (up->waiting > 0)
		pool_serve(up);
	else if (up->cfg.max_idle == 0)
		conn_close(c); /* pooling is off */
}

static void conn_take(struct conn *c, struct exchange *x)
{
	pool_unidle(c);
	loop_timer_cancel(loop_of(x), &c->timer);
	c->state = CONN_BUSY;
	c->addr->busy++;
	c->x = x;
	x->conn = c;
	client_start(c);
	conn_recv_update(c);
}

/* --- choice --- */

static bool address_usable(const struct address *a, const struct exchange *x, uint32_t index)
{
	if (index < TRIED_MAX && (x->tried & (1u << index)) != 0)
		return false;
	return a->idle != NULL || a->open < a->up->cfg.max_connections;
}

/* Fewest requests in progress, in turn among equals; those that refused lately come last. */
static struct address *address_choose(struct upstream *up, const struct exchange *x)
{
	uint64_t now_ns = loop_now_ns(loop_of(x));
	uint32_t start = up->turn++ % up->addr_count;
	struct address *best = NULL;
	bool best_down = false;

	for (uint32_t i = 0; i < up->addr_count; i++) {
		uint32_t index = (start + i) % up->addr_count;
		struct address *a = &up->addrs[index];
		bool down = a->down_until_ns > now_ns;

		if (!address_usable(a, x, index))
			continue;
		if (best != NULL &&
		    (down > best_down || (down == best_down && a->busy >= best->busy)))
			continue;
		best = a;
		best_down = down;
	}
	return best;
}

bool upstream_at_ease(const struct upstream *up)
{
	uint64_t busy = 0;

	for (uint32_t i = 0; i < up->addr_count; i++)
		busy += up->addrs[i].busy;
	return up->waiting == 0 && 2 * busy < (uint64_t)up->addr_count * up->cfg.max_connections;
}

static bool all_tried(const struct upstream *up, const struct exchange *x)
{
	uint32_t n = min_u32(up->addr_count, TRIED_MAX);

	return n > 0 && (uint32_t)__builtin_popcount(x->tried) >= n;
}

static void enqueue(struct upstream *up, struct exchange *x)
{
	x->next = NULL;
	x->prev_next = up->queue_end;
	*up->queue_end = x;
	up->queue_end = &x->next;
	up->waiting++;
}

static void dequeue(struct exchange *x)
{
	struct upstream *up = x->upstream;

	if (x->prev_next == NULL)
		return;
	*x->prev_next = x->next;
	if (x->next != NULL)
		x->next->prev_next = x->prev_next;
	else
		up->queue_end = x->prev_next;
	x->prev_next = NULL;
	x->next = NULL;
	up->waiting--;
}

/* False when there is no connection to be had now. */
static bool dispatch(struct exchange *x)
{
	struct upstream *up = x->upstream;

	while (!all_tried(up, x)) {
		struct address *a = address_choose(up, x);

		if (a == NULL)
			return false;
		/* A second try does not trust the pool again, if it can. */
		bool fresh = x->retried && a->open < up->cfg.max_connections;

		if (a->idle != NULL && !fresh) {
			conn_take(a->idle, x);
			return true;
		}
		if (conn_open(a, x) == ST_OK)
			return true;
		a->connect_errors++;
		x->tried |= 1u << min_u32((uint32_t)(a - up->addrs), TRIED_MAX - 1);
	}
	exchange_failed(x, x->timed_out ? EXCHANGE_TIMEOUT : EXCHANGE_CONNECT);
	return true;
}

static void dispatch_or_wait(struct exchange *x)
{
	struct upstream *up = x->upstream;

	if (up->waiting == 0 && dispatch(x))
		return;
	if (up->waiting >= up->cfg.queue)
		exchange_failed(x, EXCHANGE_FULL);
	else
		enqueue(up, x);
}

/* Connections or room for them came free. */
void pool_serve(struct upstream *up)
{
	if (up->serving)
		return;
	up->serving = true;
	upstream_ref(up);
	while (up->queue != NULL) {
		struct exchange *x = up->queue;

		/* Asked before it leaves the queue, so that it keeps its place. */
		if (!all_tried(up, x) && address_choose(up, x) == NULL)
			break;
		dequeue(x);
		if (!dispatch(x)) {
			enqueue(up, x);
			break;
		}
	}
	up->serving = false;
	upstream_unref(up);
}

void pool_connect_failed(struct exchange *x, struct address *a, bool timed_out)
{
	uint32_t index = (uint32_t)(a - x->upstream->addrs);

	a->down_until_ns = loop_now_ns(loop_of(x)) + DOWN_NS;
	x->tried |= 1u << min_u32(index, TRIED_MAX - 1);
	x->timed_out = timed_out;
	if (all_tried(x->upstream, x))
		a->errors++;
	dispatch_or_wait(x);
}

void pool_retry(struct exchange *x)
{
	x->retried = true;
	dispatch_or_wait(x);
}

/* --- exchanges --- */

void exchange_drop_pieces(struct exchange *x)
{
	while (x->pieces != NULL) {
		struct body_piece *p = x->pieces;

		x->pieces = p->next;
		link_release(x->upstreams->ctl->chan, p->core, p->block);
		free(p);
	}
	x->pieces_end = &x->pieces;
}

static void exchange_close(struct exchange *x)
{
	struct upstream *up = x->upstream;

	loop_timer_cancel(loop_of(x), &x->timer);
	exchange_drop_pieces(x);
	x->upstream = NULL;
	upstream_unref(up);
}

void exchange_ended(struct exchange *x)
{
	exchange_close(x);
	x->ops->end(x);
}

void exchange_failed(struct exchange *x, enum exchange_fail why)
{
	exchange_close(x);
	x->ops->fail(x, why);
}

void exchange_touch(struct exchange *x)
{
	loop_timer_set(loop_of(x), &x->timer,
	               loop_now_ns(loop_of(x)) + x->upstream->cfg.request_timeout_ms * NS_PER_MS);
}

/* The origin's time does not run while we keep it waiting: a client that reads or sends slowly has
 * limits of its own in the dataplane. */
static bool origin_waits(const struct exchange *x)
{
	if (x->conn == NULL)
		return false;
	if (x->paused)
		return true;
	return x->has_body && !x->body_ended && x->pieces == NULL && !x->conn->send_op.active;
}

static void exchange_timeout(struct loop_timer *t)
{
	struct exchange *x = t->arg;

	if (origin_waits(x)) {
		exchange_touch(x);
	} else if (x->conn != NULL) {
		conn_hold(x->conn);
		struct conn *c = x->conn;
		client_fail(c, EXCHANGE_TIMEOUT);
		conn_drop(c);
	} else {
		dequeue(x);
		exchange_failed(x, EXCHANGE_TIMEOUT);
	}
}

void exchange_start(struct exchange *x, struct upstream *up)
{
	x->upstreams = up->all;
	x->upstream = up;
	x->conn = NULL;
	x->next = NULL;
	x->prev_next = NULL;
	x->pieces = NULL;
	x->pieces_end = &x->pieces;
	x->timer = (struct loop_timer){.fn = exchange_timeout, .arg = x};
	upstream_ref(up);
	exchange_touch(x);
	dispatch_or_wait(x);
}

void exchange_cancel(struct exchange *x)
{
	struct conn *c = x->conn;

	if (x->upstream == NULL)
		return;
	dequeue(x);
	x->conn = NULL;
	if (c != NULL) {
		c->x = NULL;
		conn_close(c);
	}
	exchange_close(x);
}

void exchange_pause(struct exchange *x, bool paused)
{
	if (x->paused == paused)
		return;
	x->paused = paused;
	if (x->conn == NULL)
		return;
	if (!paused)
		exchange_touch(x);
	conn_recv_update(x->conn);
}

void exchange_push(struct exchange *x, struct body_piece *piece)
{
	piece->next = NULL;
	*x->pieces_end = piece;
	x->pieces_end = &piece->next;
	if (x->conn != NULL)
		client_push(x->conn);
}

void exchange_push_end(struct exchange *x)
{
	x->body_ended = true;
	if (x->conn != NULL)
		client_push(x->conn);
}
