/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/upstream/conn.h"

#include "lib/log.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* What one multishot receive may take before the loop sees it: the kernel's own limit. */
#define BURST_BLOCKS 32u
/* Responses in a row that came in one receive, before the next ones are expected to. */
#define BURST_AFTER 8u

static struct loop *loop_of(const struct conn *c)
{
	return c->addr->up->all->ctl->loop;
}

static struct chan_server *chan_of(const struct conn *c)
{
	return c->addr->up->all->ctl->chan;
}

void conn_hold(struct conn *c)
{
	c->holds++;
}

static void undry(struct conn *c)
{
	struct upstreams *u = c->addr->up->all;
	struct conn **p = &u->dry;

	if (!c->dry)
		return;
	while (*p != c)
		p = &(*p)->dry_next;
	*p = c->dry_next;
	if (u->dry_end == &c->dry_next)
		u->dry_end = p;
	c->dry = false;
}

/* The last act: the kernel has nothing of this connection any more. */
static void conn_free(struct conn *c)
{
	struct upstream *up = c->addr->up;
	struct upstreams *u = up->all;

	undry(c);
	loop_close(loop_of(c), c->fd);
	*c->prev_next = c->next;
	if (c->next != NULL)
		c->next->prev_next = c->prev_next;
	free(c);
	u->conns--;
	upstream_unref(up);
	if (u->dropping && u->conns == 0) {
		u->dropping = false;
		u->quiet(u->quiet_arg);
	}
}

void conn_drop(struct conn *c)
{
	c->holds--;
	if (c->state != CONN_CLOSING || c->holds > 0)
		return;
	if (c->connect_op.active || c->recv_op.active || c->send_op.active)
		return;
	conn_free(c);
}

static void receiving_set(struct conn *c, bool now)
{
	link_receiving(chan_of(c), c->receiving, now);
	c->receiving = now;
}

/* One receive at a time can stop at every block, which a long body for a slow client needs; and
 * while the connection is idle the same receive watches for its end. A multishot receive saves
 * arming it for each response, but the kernel may fill many blocks before we see the first. So it
 * is for connections whose responses are short, and for no more of them than the slab can bear all
 * at once. */
static void burst_set(struct conn *c, bool want)
{
	struct upstreams *u = c->addr->up->all;

	if (want && !c->bursts)
		want = (u->bursting + 1) * BURST_BLOCKS <= link_usable(chan_of(c));
	u->bursting += (uint32_t)want - (uint32_t)c->bursts;
	c->bursts = want;
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSING)
		return;
	conn_hold(c);
	if (c->state == CONN_IDLE)
		pool_unidle(c);
	else
		c->addr->busy--;
	c->state = CONN_CLOSING;
	burst_set(c, false);
	receiving_set(c, false);
	c->addr->open--;
	loop_timer_cancel(loop_of(c), &c->timer);
	/* Wakes an operation that a cancel cannot reach while it runs. */
	shutdown(c->fd, SHUT_RDWR);
	loop_cancel(loop_of(c), &c->connect_op);
	loop_cancel(loop_of(c), &c->recv_op);
	loop_cancel(loop_of(c), &c->send_op);
	if (!c->send_op.active)
		client_reset(c);
	pool_serve(c->addr->up);
	conn_drop(c);
}

/* --- receiving --- */

static enum recv_mode recv_wanted(struct conn *c)
{
	burst_set(c, c->short_run >= BURST_AFTER && !c->stream);
	if (c->state == CONN_CLOSING || c->state == CONN_CONNECTING || c->dry)
		return RECV_OFF;
	if (c->x != NULL && c->x->paused)
		return RECV_OFF;
	return c->bursts ? RECV_MULTI : RECV_SINGLE;
}

void conn_recv_update(struct conn *c)
{
	enum recv_mode want = recv_wanted(c);

	receiving_set(c, want != RECV_OFF && c->x != NULL);
	if (c->recv_op.active) {
		/* One receive that waits does no harm; many do to a long body. */
		bool stop = want == RECV_OFF || (want == RECV_SINGLE && c->armed == RECV_MULTI);

		if (stop && !c->recv_cancelling && c->state != CONN_CLOSING) {
			c->recv_cancelling = true;
			loop_cancel(loop_of(c), &c->recv_op);
		}
		return;
	}
	if (want == RECV_MULTI)
		loop_recv_multishot(loop_of(c), &c->recv_op, c->fd, LINK_RECV_GROUP);
	else if (want == RECV_SINGLE)
		loop_recv_select(loop_of(c), &c->recv_op, c->fd, LINK_RECV_GROUP);
	c->armed = want;
}

static void recv_dry(struct conn *c)
{
	struct upstreams *u = c->addr->up->all;

	c->dry = true;
	c->dry_next = NULL;
	*u->dry_end = c;
	u->dry_end = &c->dry_next;
}

static void recv_result(struct conn *c, uint32_t block, int result)
{
	if (c->state == CONN_CLOSING)
		return;
	if (result > 0) {
		struct chan_server *s = chan_of(c);

		c->addr->bytes_in += (uint64_t)result;
		/* Bytes that nobody asked for: this origin and we disagree on what came before. */
		if (c->x == NULL)
			conn_close(c);
		else
			client_bytes(c, block,
			             span_of(down_at(link_down(s), block), (size_t)result));
	} else if (result == -ENOBUFS) {
		recv_dry(c);
	} else if (result == 0 || c->x == NULL) {
		if (result != -ECANCELED && result != -EINTR)
			client_eof(c);
	} else if (result != -ECANCELED && result != -EINTR) {
		/* A reset ends no body, also not one that ends with the connection (RFC 9112 8). */
		client_fail(c, EXCHANGE_BROKEN);
	}
}

static void on_recv(struct loop_op *op, int result)
{
	struct conn *c = op->arg;
	uint32_t block = CHAN_NO_BLOCK;

	conn_hold(c);
	if (op->has_buf)
		block = link_recv_block(chan_of(c), op->buf_id);
	/* A cancel misses a receive that is just at work: then it is sent again. */
	c->recv_cancelling = false;
	assert(result <= 0 || block != CHAN_NO_BLOCK);
	recv_result(c, block, result);
	if (block != CHAN_NO_BLOCK)
		down_unref(link_down(chan_of(c)), block);
	if (c->state != CONN_CLOSING)
		conn_recv_update(c);
	conn_drop(c);
}

static void on_send(struct loop_op *op, int result)
{
	struct conn *c = op->arg;

	conn_hold(c);
	if (result > 0)
		c->addr->bytes_out += (uint64_t)result;
	if (c->state == CONN_CLOSING)
		client_reset(c);
	else
		client_sent(c, result);
	conn_drop(c);
}

/* --- opening --- */

static void connect_failed(struct conn *c, bool timed_out)
{
	struct exchange *x = c->x;
	struct address *a = c->addr;

	a->connect_errors++;
	c->x = NULL;
	x->conn = NULL;
	upstream_ref(a->up);
	conn_close(c);
	pool_connect_failed(x, a, timed_out);
	upstream_unref(a->up);
}

static void on_connect(struct loop_op *op, int result)
{
	struct conn *c = op->arg;

	conn_hold(c);
	if (c->state == CONN_CONNECTING) {
		loop_timer_cancel(loop_of(c), &c->timer);
		if (result < 0) {
			connect_failed(c, result == -ETIMEDOUT);
		} else {
			c->state = CONN_BUSY;
			c->addr->down_until_ns = 0;
			client_start(c);
			conn_recv_update(c);
		}
	}
	conn_drop(c);
}

static void on_timer(struct loop_timer *t)
{
	struct conn *c = t->arg;

	conn_hold(c);
	if (c->state == CONN_CONNECTING)
		connect_failed(c, true);
	else if (c->state == CONN_IDLE)
		conn_close(c);
	conn_drop(c);
}

static int socket_open(const struct address *a)
{
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	int idle_s = (int)max_u32(1, a->up->cfg.keepalive_ms / 1000);

	if (fd < 0)
		return -1;
	/* Best effort: a connection without them works too. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (a->up->cfg.keepalive_ms > 0) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
	}
	return fd;
}

enum status conn_open(struct address *a, struct exchange *x)
{
	struct upstreams *u = a->up->all;
	struct conn *c = calloc(1, sizeof(*c));
	uint64_t now_ns = loop_now_ns(u->ctl->loop);

	if (c == NULL)
		return ST_NOMEM;
	c->fd = socket_open(a);
	if (c->fd < 0) {
		free(c);
		return ST_IO;
	}
	c->addr = a;
	c->born_ns = now_ns;
	c->connect_op = (struct loop_op){.fn = on_connect, .arg = c};
	c->recv_op = (struct loop_op){.fn = on_recv, .arg = c};
	c->send_op = (struct loop_op){.fn = on_send, .arg = c};
	c->timer = (struct loop_timer){.fn = on_timer, .arg = c};
	c->x = x;
	x->conn = c;
	c->next = u->all;
	if (c->next != NULL)
		c->next->prev_next = &c->next;
	c->prev_next = &u->all;
	u->all = c;
	u->conns++;
	upstream_ref(a->up);
	a->open++;
	a->busy++;
	a->connects++;
	loop_connect(u->ctl->loop, &c->connect_op, c->fd, (const struct sockaddr *)&a->sa,
	             a->sa_len);
	loop_timer_set(u->ctl->loop, &c->timer, now_ns + a->up->cfg.connect_timeout_ms * NS_PER_MS);
	return ST_OK;
}
