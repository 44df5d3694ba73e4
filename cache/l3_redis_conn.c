/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection to a Redis server. It outlives rconn_close until the kernel has given back each
 * operation; then the last of them frees it. */
#include "cache/l3_redis.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECV_BYTES       65536u
#define QUEUE_KEEP_BYTES 262144u  /* a larger buffer is given back once it is empty */
#define REPLY_EXTRA      1048576u /* an answer about the cluster or the stream */
#define KEEPALIVE_S      15

enum conn_state { CONN_CONNECTING, CONN_GREETING, CONN_OPEN, CONN_CLOSING };

struct outbuf {
	char *mem;
	size_t len;
	size_t room;
};

struct rconn {
	struct redis *r;
	struct rconn_owner owner;
	struct loop_op connect_op;
	struct loop_op recv_op;
	struct loop_op send_op;
	struct loop_timer timer; /* of connecting and greeting */
	struct loop_task flush;  /* what a round queues leaves in one piece */
	struct raddr addr;
	struct reply_reader *reader;
	struct outbuf queue;   /* not given to the kernel */
	struct outbuf sending; /* the kernel's until send_op ends */
	size_t sent;           /* of sending */
	uint32_t holds;        /* callbacks of ours on the stack */
	uint32_t greetings;    /* answers to come until it is open */
	enum conn_state state;
	int fd;
	char recv_buf[RECV_BYTES];
};

static struct loop *loop_of(const struct rconn *c)
{
	return c->r->env->loop;
}

static void conn_hold(struct rconn *c)
{
	c->holds++;
}

static void conn_drop(struct rconn *c)
{
	c->holds--;
	if (c->state != CONN_CLOSING || c->holds > 0)
		return;
	if (c->connect_op.active || c->recv_op.active || c->send_op.active || c->flush.queued)
		return;
	loop_close(loop_of(c), c->fd);
	reader_free(c->reader);
	free(c->queue.mem);
	free(c->sending.mem);
	c->r->conns--;
	free(c);
}

void rconn_close(struct rconn *c)
{
	if (c->state == CONN_CLOSING)
		return;
	conn_hold(c);
	c->state = CONN_CLOSING;
	loop_timer_cancel(loop_of(c), &c->timer);
	/* Wakes an operation that a cancel cannot reach while it runs. */
	shutdown(c->fd, SHUT_RDWR);
	loop_cancel(loop_of(c), &c->connect_op);
	loop_cancel(loop_of(c), &c->recv_op);
	loop_cancel(loop_of(c), &c->send_op);
	conn_drop(c);
}

static void conn_lost(struct rconn *c, const char *why)
{
	if (c->state == CONN_CLOSING)
		return;
	rconn_close(c);
	c->owner.closed(c->owner.arg, why);
}

/* --- sending --- */

enum status rconn_queue(struct rconn *c, struct span bytes)
{
	struct outbuf *q = &c->queue;

	if (bytes.len > q->room - q->len) {
		size_t room = pow2_ceil(q->len + bytes.len + 1024);
		char *mem = realloc(q->mem, room);

		if (mem == NULL)
			return ST_NOMEM;
		q->mem = mem;
		q->room = room;
	}
	memcpy(q->mem + q->len, bytes.ptr, bytes.len);
	q->len += bytes.len;
	return ST_OK;
}

static void flush_now(struct rconn *c)
{
	struct outbuf done = c->sending;

	if (c->state == CONN_CLOSING || c->state == CONN_CONNECTING || c->send_op.active)
		return;
	if (c->sent == c->sending.len) {
		if (c->queue.len == 0)
			return;
		if (done.room > QUEUE_KEEP_BYTES) {
			free(done.mem);
			done = (struct outbuf){0};
		}
		done.len = 0;
		c->sending = c->queue;
		c->queue = done;
		c->sent = 0;
	}
	c->r->env->counts->sends++;
	loop_send(loop_of(c), &c->send_op, c->fd, c->sending.mem + c->sent,
	          c->sending.len - c->sent);
}

static void on_flush(struct loop_task *t)
{
	struct rconn *c = t->arg;

	conn_hold(c);
	flush_now(c);
	conn_drop(c);
}

void rconn_flush(struct rconn *c)
{
	if (c->state != CONN_CLOSING)
		loop_defer(loop_of(c), &c->flush);
}

static void on_send(struct loop_op *op, int result)
{
	struct rconn *c = op->arg;

	conn_hold(c);
	if (c->state != CONN_CLOSING) {
		if (result > 0) {
			c->sent += (size_t)result;
			c->r->env->counts->bytes_out += (uint64_t)result;
			flush_now(c);
		} else if (result == -EINTR || result == -EAGAIN) {
			flush_now(c);
		} else {
			conn_lost(c, "it cannot be written to");
		}
	}
	conn_drop(c);
}

/* --- receiving --- */

static void greeting_answered(struct rconn *c, struct reply *reply)
{
	char why[96];

	if (reply->kind == REPLY_ERROR) {
		snprintf(why, sizeof(why), "it says: %.80s", reply->text.ptr);
		conn_lost(c, why);
	} else if (--c->greetings == 0) {
		c->state = CONN_OPEN;
		loop_timer_cancel(loop_of(c), &c->timer);
		c->owner.opened(c->owner.arg);
	}
	reply_free(reply);
}

static void take_answers(struct rconn *c, struct span bytes)
{
	struct reply *reply = NULL;
	enum status st = reader_feed(c->reader, bytes);

	while (st == ST_OK && c->state != CONN_CLOSING) {
		st = reader_next(c->reader, &reply);
		if (st != ST_OK)
			break;
		if (c->state == CONN_GREETING)
			greeting_answered(c, reply);
		else
			c->owner.answered(c->owner.arg, reply);
	}
	if (st == ST_TOOBIG)
		conn_lost(c, "an answer is larger than any that was asked for");
	else if (st != ST_OK && st != ST_AGAIN)
		conn_lost(c, "an answer is not of the Redis protocol");
}

static void on_recv(struct loop_op *op, int result)
{
	struct rconn *c = op->arg;

	conn_hold(c);
	if (c->state != CONN_CLOSING) {
		if (result > 0) {
			c->r->env->counts->bytes_in += (uint64_t)result;
			take_answers(c, span_of(c->recv_buf, (size_t)result));
		} else if (result == 0) {
			conn_lost(c, "it closed the connection");
		} else if (result != -EINTR && result != -EAGAIN) {
			conn_lost(c, "the connection broke");
		}
	}
	if (c->state != CONN_CLOSING)
		loop_recv(loop_of(c), op, c->fd, c->recv_buf, sizeof(c->recv_buf));
	conn_drop(c);
}

/* --- opening --- */

static enum status greet(struct rconn *c)
{
	const struct l3_config *cfg = c->r->env->cfg;
	struct span auth[3] = {SPAN_LIT("AUTH")};
	struct span ping = SPAN_LIT("*1\r\n$4\r\nPING\r\n");
	uint32_t words = 1;
	enum status st;
	char *text;
	size_t len;

	c->greetings = 1;
	if (cfg->password != NULL) {
		if (cfg->user != NULL)
			auth[words++] = span_cstr(cfg->user);
		auth[words++] = span_cstr(cfg->password);
		text = command_format(auth, words, &len);
		if (text == NULL)
			return ST_NOMEM;
		st = rconn_queue(c, span_of(text, len));
		free(text);
		if (st != ST_OK)
			return st;
		c->greetings++;
	}
	return rconn_queue(c, ping);
}

static void on_connect(struct loop_op *op, int result)
{
	struct rconn *c = op->arg;
	char why[96];

	conn_hold(c);
	if (c->state == CONN_CONNECTING) {
		if (result < 0) {
			snprintf(why, sizeof(why), "cannot connect: %s", strerror(-result));
			conn_lost(c, why);
		} else if (greet(c) != ST_OK) {
			conn_lost(c, "out of memory");
		} else {
			c->state = CONN_GREETING;
			rconn_flush(c);
			loop_recv(loop_of(c), &c->recv_op, c->fd, c->recv_buf, sizeof(c->recv_buf));
		}
	}
	conn_drop(c);
}

static void on_timer(struct loop_timer *t)
{
	struct rconn *c = t->arg;

	conn_hold(c);
	conn_lost(c,
	          c->state == CONN_CONNECTING ? "connecting takes too long" : "it does not answer");
	conn_drop(c);
}

static int socket_open(const struct raddr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	int idle_s = KEEPALIVE_S;

	if (fd < 0 || addr->sa.sa_family == AF_UNIX)
		return fd;
	/* Best effort: a connection without them works too. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
	return fd;
}

struct rconn *rconn_open(struct redis *r, const struct raddr *addr, const struct rconn_owner *owner)
{
	struct rconn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->r = r;
	c->owner = *owner;
	c->addr = *addr;
	c->connect_op = (struct loop_op){.fn = on_connect, .arg = c};
	c->recv_op = (struct loop_op){.fn = on_recv, .arg = c};
	c->send_op = (struct loop_op){.fn = on_send, .arg = c};
	c->flush = (struct loop_task){.fn = on_flush, .arg = c};
	c->timer = (struct loop_timer){.fn = on_timer, .arg = c};
	c->reader = reader_create(l3_value_max(r->env->cfg) + REPLY_EXTRA);
	c->fd = c->reader != NULL ? socket_open(addr) : -1;
	if (c->fd < 0) {
		reader_free(c->reader);
		free(c);
		return NULL;
	}
	r->conns++;
	r->env->counts->connects++;
	loop_connect(loop_of(c), &c->connect_op, c->fd, &c->addr.sa, c->addr.len);
	loop_timer_set(loop_of(c), &c->timer,
	               loop_now_ns(loop_of(c)) + r->env->cfg->connect_ms * NS_PER_MS);
	return c;
}
