/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Open stages: requests start when the schedule says, whatever became of those before. A start that
 * finds no connection free stays in the schedule and takes the next that is, with its intended
 * time: what it waited is in its latency. */
#include "perf/load/worker.h"

#define NO_CONNECT_NS NS_PER_MS
#define GROW_LOOK_NS  (100 * NS_PER_US)

static void ready_push(struct worker *w, struct conn *c)
{
	c->queued = true;
	if (w->grows) {
		/* The last used first, so that those beyond need fall idle. */
		c->next = w->ready;
		w->ready = c;
		if (c->next == NULL)
			w->ready_end = &c->next;
		return;
	}
	c->next = NULL;
	*w->ready_end = c;
	w->ready_end = &c->next;
}

static void unused_push(struct worker *w, struct conn *c)
{
	c->next = w->unused;
	w->unused = c;
}

/* Leaves out those that have lost their connection since they were put in. */
static struct conn *ready_pop(struct worker *w)
{
	while (w->ready != NULL) {
		struct conn *c = w->ready;

		w->ready = c->next;
		if (w->ready == NULL)
			w->ready_end = &w->ready;
		c->queued = false;
		if (conn_can_take(c))
			return c;
		if (w->grows && c->state == CONN_CLOSED)
			unused_push(w, c);
	}
	return NULL;
}

void open_next(struct conn *c)
{
	if (c->w->draining) {
		if (c->count == 0 && c->state == CONN_OPEN)
			conn_shut(c);
	} else if (!c->queued && conn_can_take(c)) {
		ready_push(c->w, c);
	}
}

void open_down(struct conn *c)
{
	struct worker *w = c->w;

	if (w->draining)
		return;
	/* One that is in the list of the ready comes out of it when it is popped. */
	if (w->grows) {
		if (!c->queued)
			unused_push(w, c);
		return;
	}
	if (c->failures > 0 || !conn_connect(c))
		conn_back_off(c);
}

void open_wake(struct conn *c)
{
	struct worker *w = c->w;

	if (w->draining || c->state != CONN_WAITING)
		return;
	if (w->grows) {
		c->state = CONN_CLOSED;
		unused_push(w, c);
	} else if (!conn_connect(c)) {
		conn_back_off(c);
	}
}

void open_connect_failed(struct worker *w)
{
	if (!w->draining && w->schedule.next_ns <= w->now_ns)
		schedule_take(&w->schedule);
}

/* Connections for starts that are due and have none, as many as there are of those. */
static void grow(struct worker *w)
{
	uint64_t wanted = schedule_behind(&w->schedule, w->now_ns);

	while (w->connecting < wanted && w->unused != NULL && w->now_ns >= w->no_connect_until_ns) {
		struct conn *c = w->unused;

		w->unused = c->next;
		if (!conn_connect(c)) {
			unused_push(w, c);
			w->no_connect_until_ns = w->now_ns + NO_CONNECT_NS;
		}
	}
}

uint64_t open_run(struct worker *w)
{
	while (w->schedule.next_ns <= w->now_ns) {
		struct conn *c = ready_pop(w);

		if (c == NULL)
			break;
		if (!conn_send(c, w->schedule.next_ns))
			continue;
		schedule_take(&w->schedule);
		if (conn_can_take(c))
			ready_push(w, c);
	}
	if (w->schedule.next_ns > w->now_ns)
		return w->schedule.next_ns;
	if (!w->grows)
		return UINT64_MAX;
	grow(w);
	return w->unused != NULL ? w->now_ns + GROW_LOOK_NS : UINT64_MAX;
}

void open_begin(struct worker *w)
{
	const struct scenario *s = w->scenario;
	/* Each stage has starts of its own. */
	struct schedule_share share = {
	        .worker = w->index,
	        .workers = w->workers,
	        .poisson = s->arrival == ARRIVAL_POISSON,
	        .seed = s->seed + 1 + w->stage_index,
	};

	schedule_begin(&w->schedule, w->stage, w->stage_start_ns, &share);
	w->ready = NULL;
	w->ready_end = &w->ready;
	w->unused = NULL;
	for (uint32_t i = w->conn_count; i-- > 0;) {
		struct conn *c = &w->conns[i];

		c->active = false;
		c->queued = false;
		if (c->state == CONN_OPEN)
			open_next(c);
		else if (c->state == CONN_CLOSED)
			open_down(c);
	}
}

void open_end(struct worker *w)
{
	w->now_ns = max_u64(w->now_ns, w->stage_end_ns);
	open_run(w);
	worker_error(w, LOAD_ERR_UNSENT, schedule_finish(&w->schedule, w->stage_end_ns));
}
