/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Closed stages: users who each wait for their answer, and think, before they ask again. */
#include "perf/load/worker.h"

#define RAMP_LOOK_NS NS_PER_MS

static void wait_push(struct conn *c)
{
	struct worker *w = c->w;

	if (c->queued)
		return;
	c->queued = true;
	c->next = NULL;
	*w->ready_end = c;
	w->ready_end = &c->next;
}

static void fill(struct conn *c)
{
	struct worker *w = c->w;

	while (conn_can_take(c)) {
		if (!worker_takes(w)) {
			wait_push(c);
			return;
		}
		/* Where each request needs a connection, making that is part of its latency. */
		uint64_t intended_ns =
		        w->scenario->requests_per_connection == 1 ? c->begun_ns : w->now_ns;

		if (!conn_send(c, intended_ns, w->stage_index))
			return;
	}
}

static void user_connect(struct conn *c)
{
	if (c->failures > 0 || !conn_connect(c))
		conn_back_off(c);
}

static void think(struct conn *c)
{
	struct worker *w = c->w;
	const struct scenario *s = w->scenario;
	double spread = (double)(s->think_max_ns - s->think_min_ns);
	uint64_t think_ns = s->think_min_ns + (uint64_t)(spread * request_random(w->maker));

	if (!timer_is_set(&c->wake))
		timer_set(&w->wakes, &c->wake, w->now_ns + think_ns);
}

void users_next(struct conn *c, bool answered)
{
	if (c->w->stage == NULL)
		return; /* made ahead */
	if (!c->active) {
		if (c->count == 0 && c->state == CONN_OPEN)
			conn_shut(c);
	} else if (answered && c->w->scenario->think_max_ns > 0) {
		think(c);
	} else if (!timer_is_set(&c->wake)) {
		fill(c);
	}
}

void users_down(struct conn *c)
{
	if (!c->active)
		return;
	/* What ended after an answer thinks first, as a connection that stays would. */
	if (c->failures == 0 && c->w->scenario->think_max_ns > 0)
		think(c);
	else
		user_connect(c);
}

void users_wake(struct conn *c)
{
	if (!c->active)
		return;
	if (c->state == CONN_OPEN)
		fill(c);
	else if (c->state == CONN_WAITING && !conn_connect(c))
		conn_back_off(c);
	else if (c->state == CONN_CLOSED)
		user_connect(c);
}

static void user_start(struct conn *c)
{
	if (c->active)
		return; /* goes on from the stage before */
	c->active = true;
	if (c->state == CONN_OPEN)
		fill(c);
	else if (c->state == CONN_CLOSED)
		user_connect(c);
}

/* Lets what is under way be answered; users_next then ends the connection. */
static void user_stop(struct conn *c)
{
	struct worker *w = c->w;

	c->active = false;
	timer_cancel(&w->wakes, &c->wake);
	if (c->state == CONN_WAITING)
		c->state = CONN_CLOSED;
	else if (c->state == CONN_OPEN && c->count == 0)
		conn_shut(c);
}

/* Those that the transport did not take, in turn. */
static void waiting_run(struct worker *w)
{
	while (w->ready != NULL && worker_takes(w)) {
		struct conn *c = w->ready;

		w->ready = c->next;
		if (w->ready == NULL)
			w->ready_end = &w->ready;
		c->queued = false;
		if (c->active && c->state == CONN_OPEN)
			fill(c);
	}
}

/* As many users as the level wants. Returns when to look again. */
static uint64_t users_adjust(struct worker *w)
{
	uint64_t since_ns = w->now_ns - w->stage_start_ns;
	uint32_t level = stage_users_of(stage_users(w->stage, since_ns), w->index, w->workers);

	level = min_u32(level, w->conn_count);
	/* A few at a time: a burst beyond the server's backlog would cost them a second each. */
	while (w->users < level && w->connecting < WORKER_CONNECTING && worker_takes(w))
		user_start(&w->conns[w->users++]);
	while (w->users > level)
		user_stop(&w->conns[--w->users]);
	w->steady = w->stage->from == w->stage->to && w->users == level;
	return w->steady ? UINT64_MAX : w->now_ns + RAMP_LOOK_NS;
}

void users_begin(struct worker *w)
{
	uint32_t level = stage_users_of(stage_users(w->stage, 0), w->index, w->workers);

	w->users = 0;
	w->steady = false;
	w->ready = NULL;
	w->ready_end = &w->ready;
	/* Connections that an open stage left are the users' now; those too many end. */
	for (uint32_t i = 0; i < w->conn_count; i++) {
		w->conns[i].queued = false;
		if (i >= level)
			user_stop(&w->conns[i]);
		else if (w->conns[i].active && w->conns[i].state == CONN_OPEN)
			users_next(&w->conns[i], false);
	}
	users_adjust(w);
}

uint64_t users_run(struct worker *w)
{
	uint64_t next_ns = w->steady ? UINT64_MAX : users_adjust(w);

	waiting_run(w);
	return w->ready != NULL ? w->now_ns : next_ns;
}

void users_end(struct worker *w)
{
	while (w->users > 0)
		user_stop(&w->conns[--w->users]);
}
