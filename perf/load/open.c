/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Open stages: requests start when the schedule says, whatever became of those before. A start that
 * finds no connection free stays in the schedule and takes the next that is, with its intended
 * time: what it waited is in its latency. */
#include "perf/load/worker.h"

#define NO_CONNECT_NS NS_PER_MS
#define GROW_LOOK_NS  (100 * NS_PER_US)
#define LATE_NS       NS_PER_S

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

/* Starts are still to be made: the stage is on, or the last one's leftovers are. */
static bool starting(const struct worker *w)
{
	return !w->draining || w->late.next_ns != UINT64_MAX;
}

void open_next(struct conn *c)
{
	if (!starting(c->w)) {
		if (c->count == 0 && c->state == CONN_OPEN)
			conn_shut(c);
	} else if (!c->queued && conn_can_take(c)) {
		ready_push(c->w, c);
	}
}

void open_down(struct conn *c)
{
	struct worker *w = c->w;

	if (!starting(w))
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

	if (!starting(w) || c->state != CONN_WAITING)
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
	/* Another connection of the pool will take it. */
	if (!w->grows && w->open_count > 0)
		return;
	if (w->late.next_ns != UINT64_MAX)
		schedule_take(&w->late);
	else if (w->schedule.next_ns <= w->now_ns)
		schedule_take(&w->schedule);
}

/* Connections for starts that are due and have none, as many as there are of those. */
static void grow(struct worker *w)
{
	uint64_t wanted =
	        schedule_behind(&w->schedule, w->now_ns) + schedule_behind(&w->late, w->now_ns);

	while (w->connecting < wanted && w->unused != NULL && w->now_ns >= w->no_connect_until_ns &&
	       worker_takes(w)) {
		struct conn *c = w->unused;

		w->unused = c->next;
		if (!conn_connect(c)) {
			unused_push(w, c);
			w->no_connect_until_ns = w->now_ns + NO_CONNECT_NS;
		}
	}
}

/* Sends what is due, as far as there are connections for it and the transport takes it now. False:
 * there were too few. */
static bool serve(struct worker *w, struct schedule *s, uint32_t stage)
{
	while (s->next_ns <= w->now_ns) {
		struct conn *c;

		if (!worker_takes(w))
			return true;
		c = ready_pop(w);
		if (c == NULL)
			return false;
		if (!conn_send(c, s->next_ns, stage))
			continue;
		schedule_take(s);
		if (conn_can_take(c))
			ready_push(w, c);
	}
	return true;
}

static void late_give_up(struct worker *w)
{
	uint64_t n = schedule_finish(&w->late, UINT64_MAX);

	w->parts[w->late_stage]->counts.errors[LOAD_ERR_UNSENT] += n;
}

uint64_t open_run(struct worker *w)
{
	if (unlikely(w->late.next_ns != UINT64_MAX) && w->now_ns >= w->late_end_ns)
		late_give_up(w);
	if (serve(w, &w->late, w->late_stage) && serve(w, &w->schedule, w->stage_index))
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

/* What is due by the stage's end and found no connection has a moment more: those are on their way,
 * or the machine took a nap. Whoever is too slow for the rate does not get by with it. What a
 * warm-up leaves is given up at once: nobody counts it, and it would take its time from what is
 * counted. */
void open_end(struct worker *w)
{
	uint64_t grace_ns = min_u64(w->scenario->timeout_ns, LATE_NS);

	late_give_up(w);
	if (w->stage_index == WORKER_WARMUP) {
		schedule_finish(&w->schedule, 0);
		return;
	}
	w->now_ns = max_u64(w->now_ns, w->stage_end_ns);
	w->late = w->schedule;
	w->late_stage = w->stage_index;
	w->late_end_ns = w->stage_end_ns + grace_ns;
	schedule_cut(&w->late, w->stage_end_ns);
	w->ends[w->stage_index].owed = schedule_behind(&w->late, w->stage_end_ns);
	schedule_finish(&w->schedule, 0);
	open_run(w);
}

void open_abandon(struct worker *w)
{
	late_give_up(w);
}

bool open_owes(const struct worker *w)
{
	return w->late.next_ns != UINT64_MAX;
}
