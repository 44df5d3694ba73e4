/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One Redis server and its circuit. Closed: it takes commands, all on one connection, answered in
 * their order. After too many failures in a row, or when the connection breaks, the circuit opens:
 * what waits ends, and nothing is sent. After a while (doubled each time, with jitter) it is
 * half-open: a connection is tried, with a greeting that must be answered; no request is risked
 * for that. */
#include "cache/l3_redis.h"

#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

static struct loop *loop_of(const struct server *s)
{
	return s->r->env->loop;
}

static const struct l3_config *config_of(const struct server *s)
{
	return s->r->env->cfg;
}

/* --- commands in flight --- */

static struct command *command_pop(struct server *s)
{
	struct command *cmd = s->first;

	s->first = cmd->next;
	if (s->first == NULL)
		s->end = &s->first;
	cmd->next = NULL;
	s->r->in_flight--;
	return cmd;
}

static void command_end(struct server *s, struct command *cmd, const struct reply *reply,
                        enum status st)
{
	if (cmd->expired)
		command_free(s->r, cmd);
	else
		redis_ended(s, cmd, reply, st);
}

static void commands_fail(struct server *s)
{
	struct command *cmd = s->first;

	s->first = NULL;
	s->end = &s->first;
	for (struct command *next; cmd != NULL; cmd = next) {
		next = cmd->next;
		cmd->next = NULL;
		s->r->in_flight--;
		command_end(s, cmd, NULL, ST_CLOSED);
	}
}

static void timeout_arm(struct server *s)
{
	uint64_t earliest_ns = UINT64_MAX;

	for (struct command *cmd = s->first; cmd != NULL; cmd = cmd->next)
		if (!cmd->expired)
			earliest_ns = min_u64(earliest_ns, cmd->deadline_ns);
	if (earliest_ns != UINT64_MAX)
		loop_timer_set(loop_of(s), &s->timeout_timer, earliest_ns);
}

static struct command *expired_next(struct server *s, uint64_t now_ns)
{
	for (struct command *cmd = s->first; cmd != NULL; cmd = cmd->next)
		if (!cmd->expired && cmd->deadline_ns <= now_ns)
			return cmd;
	return NULL;
}

/* A command that took too long ends; its place in the order of answers stays, as an empty one. */
static void on_timeout(struct loop_timer *t)
{
	struct server *s = t->arg;
	struct command *cmd;

	while ((cmd = expired_next(s, loop_now_ns(loop_of(s)))) != NULL) {
		struct command *place = calloc(1, sizeof(*place));
		struct command **at = &s->first;

		s->r->env->counts->timeouts++;
		if (place == NULL) {
			server_down(s, "out of memory");
			return;
		}
		while (*at != cmd)
			at = &(*at)->next;
		place->expired = true;
		place->len = cmd->len; /* it may lie in the queue yet */
		cmd->len = 0;
		place->next = cmd->next;
		*at = place;
		if (s->end == &cmd->next)
			s->end = &place->next;
		cmd->next = NULL;
		command_end(s, cmd, NULL, ST_TIMEOUT);
		server_failed(s, "it takes too long to answer");
	}
	timeout_arm(s);
}

enum status server_send(struct server *s, struct command *cmd)
{
	enum status st;

	if (s->state != SERVER_READY)
		return ST_CLOSED;
	st = rconn_queue(s->conn, span_of(cmd->text, cmd->len));
	if (st != ST_OK)
		return st;
	*s->end = cmd;
	s->end = &cmd->next;
	s->r->in_flight++;
	/* What stands before it may have expired, or be younger: a redirection keeps its time. */
	if (!timer_is_set(&s->timeout_timer.timer) ||
	    cmd->deadline_ns < s->timeout_timer.timer.deadline_ns)
		loop_timer_set(loop_of(s), &s->timeout_timer, cmd->deadline_ns);
	rconn_flush(s->conn);
	return ST_OK;
}

/* --- the circuit --- */

void server_down(struct server *s, const char *why)
{
	bool was_ready = s->state == SERVER_READY;

	if (s->state == SERVER_DOWN)
		return;
	s->state = SERVER_DOWN;
	if (s->conn != NULL)
		rconn_close(s->conn);
	s->conn = NULL;
	loop_timer_cancel(loop_of(s), &s->timeout_timer);
	/* The first failure of a series is told, the tries that follow are not. */
	if (was_ready || s->tries == 0)
		log_warn("l3", "Redis %s: %s; its circuit is open", s->addr.text, why);
	if (was_ready)
		s->r->env->counts->opened++;
	loop_timer_set(loop_of(s), &s->retry_timer,
	               loop_now_ns(loop_of(s)) + redis_delay_ns(s->r, s->tries++));
	commands_fail(s);
	if (was_ready)
		slots_refresh(s->r);
}

void server_failed(struct server *s, const char *why)
{
	if (s->state == SERVER_READY && ++s->failures >= config_of(s)->failures)
		server_down(s, why);
}

static void on_opened(void *arg)
{
	struct server *s = arg;

	s->state = SERVER_READY;
	s->failures = 0;
	s->ready_ns = loop_now_ns(loop_of(s));
	log_info("l3", "Redis %s takes commands", s->addr.text);
	slots_refresh(s->r);
	stream_kick(s->r->stream);
}

static void on_answered(void *arg, struct reply *reply)
{
	struct server *s = arg;

	if (s->first == NULL) {
		s->r->env->counts->errors++;
		server_down(s, "it answers what nobody asked");
	} else {
		command_end(s, command_pop(s), reply, ST_OK);
	}
	reply_free(reply);
}

static void on_closed(void *arg, const char *why)
{
	struct server *s = arg;

	s->conn = NULL;
	server_down(s, why);
}

void server_did_well(struct server *s)
{
	s->failures = 0;
	s->tries = 0;
}

static void on_retry(struct loop_timer *t)
{
	struct server *s = t->arg;
	struct rconn_owner owner = {
	        .opened = on_opened,
	        .answered = on_answered,
	        .closed = on_closed,
	        .arg = s,
	};

	s->state = SERVER_TRYING;
	s->conn = rconn_open(s->r, &s->addr, &owner);
	if (s->conn == NULL)
		server_down(s, "no descriptor or no memory for a connection");
}

enum status server_create(struct server **out, struct redis *r, const struct raddr *addr)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ST_NOMEM;
	s->r = r;
	s->addr = *addr;
	s->end = &s->first;
	s->timeout_timer = (struct loop_timer){.fn = on_timeout, .arg = s};
	s->retry_timer = (struct loop_timer){.fn = on_retry, .arg = s};
	s->used_ns = loop_now_ns(loop_of(s));
	/* From the loop: who creates us is not done yet. */
	loop_timer_set(loop_of(s), &s->retry_timer, loop_now_ns(loop_of(s)));
	*out = s;
	return ST_OK;
}

void server_destroy(struct server *s)
{
	s->state = SERVER_DOWN;
	if (s->conn != NULL)
		rconn_close(s->conn);
	s->conn = NULL;
	loop_timer_cancel(loop_of(s), &s->timeout_timer);
	loop_timer_cancel(loop_of(s), &s->retry_timer);
	commands_fail(s);
	free(s);
}
