/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections and lines; what the lines say is admin_req.c's. A connection has one request under
 * way at a time: while it is answered nothing is read, so that a client that sends and never reads
 * fills its own socket only. */
#include "control/admin/admin_server.h"

#include "control/admin/admin_priv.h"
#include "lib/clock.h"
#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 256,
	IDLE_MAX_S = 300, /* a connection without a request */
	STALL_MAX_S = 10, /* an answer that its client does not read */
	TICK_MS = 1000,
	STOP_ROUNDS = 1000,
};

struct client {
	struct admin *admin;
	int fd;
	uint32_t slot;
	struct loop_op recv_op;
	struct loop_op send_op;
	struct admin_req *req; /* awaits its answer */
	uint64_t deadline_ns;
	char *out; /* the answer that is being sent */
	size_t out_len;
	size_t out_off;
	size_t in_len;
	bool last; /* close when out is sent */
	bool dead; /* close when no operation is under way */
	char in[ADMIN_LINE_MAX];
};

struct admin {
	struct control *ctl;
	char *path;
	int listen_fd;
	struct loop_op accept_op;
	struct loop_timer tick;
	struct admin_req *reqs; /* not answered yet */
	bool stopping;
	struct admin_rates rates;
	struct admin_history history;
	struct client *clients[CLIENTS_MAX];
};

static void client_lines(struct client *c);

static void client_expect(struct client *c, uint64_t within_s)
{
	c->deadline_ns = loop_now_ns(c->admin->ctl->loop) + within_s * NS_PER_S;
}

/* Frees the client once the kernel holds none of its buffers. */
static void client_reap(struct client *c)
{
	if (!c->dead || c->recv_op.active || c->send_op.active)
		return;
	close(c->fd);
	c->admin->clients[c->slot] = NULL;
	free(c->out);
	free(c);
}

static void client_end(struct client *c)
{
	struct loop *loop = c->admin->ctl->loop;

	if (c->dead)
		return;
	c->dead = true;
	if (c->req)
		admin_req_orphan(c->req);
	c->req = NULL;
	if (c->recv_op.active)
		loop_cancel(loop, &c->recv_op);
	if (c->send_op.active)
		loop_cancel(loop, &c->send_op);
	client_reap(c);
}

static void client_read(struct client *c)
{
	client_expect(c, IDLE_MAX_S);
	loop_recv(c->admin->ctl->loop, &c->recv_op, c->fd, c->in + c->in_len,
	          sizeof(c->in) - c->in_len);
}

static void on_recv(struct loop_op *op, int result)
{
	struct client *c = op->arg;

	if (c->dead) {
		client_reap(c);
	} else if (result <= 0) {
		client_end(c);
	} else {
		c->in_len += (size_t)result;
		client_lines(c);
	}
}

static void client_write(struct client *c)
{
	client_expect(c, STALL_MAX_S);
	loop_send(c->admin->ctl->loop, &c->send_op, c->fd, c->out + c->out_off,
	          c->out_len - c->out_off);
}

static void on_send(struct loop_op *op, int result)
{
	struct client *c = op->arg;

	if (c->dead) {
		client_reap(c);
		return;
	}
	if (result <= 0) {
		client_end(c);
		return;
	}
	c->out_off += (size_t)result;
	if (c->out_off < c->out_len) {
		client_write(c);
		return;
	}
	free(c->out);
	c->out = NULL;
	if (c->last)
		client_end(c);
	else
		client_lines(c);
}

void admin_client_answer(struct client *c, char *text, size_t len)
{
	c->req = NULL;
	c->out = text;
	c->out_len = len;
	c->out_off = 0;
	client_write(c);
}

/* Runs the oldest whole line, or reads on. The line is copied nowhere: it is parsed before the rest
 * moves up. */
static void client_lines(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);

	if (end) {
		size_t line_len = (size_t)(end - c->in);
		struct admin_req *req = admin_req_parse(c->admin, c, c->in, line_len);

		c->in_len -= line_len + 1;
		memmove(c->in, end + 1, c->in_len);
		if (!req) {
			client_end(c);
			return;
		}
		c->req = req;
		admin_req_run(req);
	} else if (c->in_len == sizeof(c->in)) {
		struct admin_req *req = admin_req_new(c->admin, c);

		c->last = true;
		if (!req) {
			client_end(c);
			return;
		}
		c->req = req;
		admin_fail(req, "Send one JSON object a line", "The line is longer than %u bytes",
		           ADMIN_LINE_MAX);
	} else {
		client_read(c);
	}
}

static int slot_find(const struct admin *admin)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (!admin->clients[i])
			return i;
	return -1;
}

/* A new socket's buffer takes a short line at once; if not, the end of the connection must do. */
static void client_refuse(int fd)
{
	static const char text[] = "{\"ok\":false,\"error\":\"Too many admin connections\","
	                           "\"hint\":\"Close some, or try again\"}\n";
	ssize_t n = send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)n;
	close(fd);
}

static void client_add(struct admin *admin, int fd)
{
	int slot = slot_find(admin);
	struct client *c = slot < 0 ? NULL : malloc(sizeof(*c));

	if (!c) {
		client_refuse(fd);
		return;
	}
	memset(c, 0, offsetof(struct client, in));
	c->admin = admin;
	c->fd = fd;
	c->slot = (uint32_t)slot;
	c->recv_op = (struct loop_op){.fn = on_recv, .arg = c};
	c->send_op = (struct loop_op){.fn = on_send, .arg = c};
	admin->clients[slot] = c;
	client_read(c);
}

static void on_accept(struct loop_op *op, int result)
{
	struct admin *admin = op->arg;

	if (result >= 0 && admin->stopping)
		close(result);
	else if (result >= 0)
		client_add(admin, result);
	/* After an error (no descriptors left) the tick tries again, or the loop would spin. */
	if (result >= 0 && !op->more && !admin->stopping)
		loop_accept(admin->ctl->loop, op, admin->listen_fd);
}

static void on_tick(struct loop_timer *t)
{
	struct admin *admin = t->arg;
	uint64_t now_ns = loop_now_ns(admin->ctl->loop);

	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = admin->clients[i];

		if (c && !c->req && now_ns >= c->deadline_ns)
			client_end(c);
	}
	admin_rates_sample(&admin->rates, admin->ctl->chan, now_ns);
	admin_history_sample(&admin->history, admin->ctl->chan);
	if (!admin->accept_op.active)
		loop_accept(admin->ctl->loop, &admin->accept_op, admin->listen_fd);
	loop_timer_set(admin->ctl->loop, t, now_ns + TICK_MS * NS_PER_MS);
}

struct control *admin_control(struct admin *admin)
{
	return admin->ctl;
}

struct admin_req **admin_reqs(struct admin *admin)
{
	return &admin->reqs;
}

const struct admin_rates *admin_rates_of(const struct admin *admin)
{
	return &admin->rates;
}

const struct admin_history *admin_history_of(const struct admin *admin)
{
	return &admin->history;
}

enum status admin_start(struct control *ctl, struct admin **out)
{
	const char *path = ctl->config->admin.socket;
	struct admin *admin = calloc(1, sizeof(*admin));
	enum status st;

	if (!admin)
		return ST_NOMEM;
	admin->ctl = ctl;
	admin->path = strdup(path);
	if (!admin->path) {
		st = ST_NOMEM;
		goto free_admin;
	}
	st = admin_listen(path, &admin->listen_fd);
	if (st != ST_OK)
		goto free_path;
	(void)clock_cycles_per_ns(); /* takes its time at the first call: now, not in an answer */
	admin->accept_op = (struct loop_op){.fn = on_accept, .arg = admin};
	admin->tick = (struct loop_timer){.fn = on_tick, .arg = admin};
	loop_accept(ctl->loop, &admin->accept_op, admin->listen_fd);
	loop_timer_set(ctl->loop, &admin->tick, loop_now_ns(ctl->loop));
	*out = admin;
	return ST_OK;
free_path:
	free(admin->path);
free_admin:
	free(admin);
	return st;
}

static bool quiet(const struct admin *admin)
{
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (admin->clients[i])
			return false;
	return !admin->accept_op.active;
}

void admin_stop(struct admin *admin)
{
	struct loop *loop = admin->ctl->loop;

	admin->stopping = true;
	loop_timer_cancel(loop, &admin->tick);
	if (admin->accept_op.active)
		loop_cancel(loop, &admin->accept_op);
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (admin->clients[i])
			client_end(admin->clients[i]);
	for (uint32_t i = 0; i < STOP_ROUNDS && !quiet(admin); i++)
		loop_once(loop, NS_PER_MS);
	admin_reqs_detach(admin);
	unlink(admin->path);
	close(admin->listen_fd);
	if (!quiet(admin)) {
		/* The kernel may still write into a client: better to leave the memory. */
		log_error("admin", "connections did not end");
		return;
	}
	admin_history_free(&admin->history);
	free(admin->path);
	free(admin);
}
