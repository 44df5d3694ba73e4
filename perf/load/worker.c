/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A worker's life: it makes its connections, goes from stage to stage, and waits for what is still
 * under way at the end. */
#include "perf/load/worker.h"

#include "lib/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_NS        (50 * NS_PER_MS)  /* at least that often a round */
#define SPIN_NS        (100 * NS_PER_US) /* before a start that is due: waking takes as long */
#define PUBLISH_NS     (100 * NS_PER_MS)
#define STOP_DRAIN_NS  NS_PER_S       /* after Ctrl-C */
#define PREPARE_NS     (3 * NS_PER_S) /* at most, for connections ahead */
#define DRAIN_SLACK_NS NS_PER_S
#define OWED_PART      100u /* of the starts of a stage: what a nap of the machine leaves */

/* --- stages --- */

static void stage_enter(struct worker *w, uint64_t start_ns)
{
	w->stage_start_ns = start_ns;
	w->stage_end_ns = start_ns + w->stage->duration_ns;
	w->open = w->stage->mode == LOAD_OPEN;
	if (w->open)
		open_begin(w);
	else
		users_begin(w);
}

static void stage_leave(struct worker *w)
{
	if (w->open)
		open_end(w);
	if (w->stage_index == WORKER_WARMUP)
		return;
	w->parts[w->stage_index]->duration_ns = w->stage_end_ns - w->stage_start_ns;
	w->ends[w->stage_index].end_ns = w->stage_end_ns;
	w->ends[w->stage_index].answered = w->parts[w->stage_index]->counts.answered;
}

/* Answers that came after a stage's end are counted, so its time has to be longer by as much as
 * they took, or the rate would be too high: at the stage's own rate, and no longer than it was. Not
 * where an open stage's rate was kept: there answers over time is what was offered. It was not kept
 * when more than a moment's starts were still to be sent at the end, whatever became of them. */
static void durations_settle(struct worker *w)
{
	for (uint32_t i = 0; i < w->scenario->stage_count; i++) {
		struct load_part *p = w->parts[i];
		uint64_t in_time = w->ends[i].answered;
		bool kept = w->scenario->stages[i].mode == LOAD_OPEN &&
		            p->counts.errors[LOAD_ERR_UNSENT] == 0 &&
		            w->ends[i].owed <= p->counts.sent / OWED_PART;

		if (kept || w->ends[i].end_ns == 0 || p->counts.answered == in_time)
			continue;
		uint64_t most_ns = p->duration_ns + (w->now_ns - w->ends[i].end_ns);
		double share = (double)p->counts.answered / (double)max_u64(in_time, 1);

		p->duration_ns = min_u64((uint64_t)((double)p->duration_ns * share), most_ns);
	}
}

/* Figures that others read while this thread goes on. */
static void publish(struct worker *w)
{
	struct result *r = w->result;
	bool counted = w->stage_index != WORKER_WARMUP;

	w->published_ns = w->now_ns;
	w->ops->stats(w->transport, &w->stats);
	r->open_links = w->open_count;
	if (!counted || w->draining)
		return;
	r->cpu_busy_ns = w->stats.busy_ns - min_u64(w->stats.busy_ns, w->busy_before_ns);
	r->elapsed_ns = w->now_ns - min_u64(w->now_ns, w->counted_from_ns);
	w->parts[w->stage_index]->duration_ns =
	        min_u64(w->now_ns, w->stage_end_ns) - min_u64(w->now_ns, w->stage_start_ns);
}

static void drain_begin(struct worker *w, uint64_t most_ns)
{
	/* The client's share is of the stages: in the drain it only waits. */
	publish(w);
	w->draining = true;
	w->drain_end_ns = w->now_ns + most_ns;
	if (!w->open)
		users_end(w);
}

/* Busy time counts from the end of the warm-up. */
static void counting_begin(struct worker *w)
{
	w->ops->stats(w->transport, &w->stats);
	w->busy_before_ns = w->stats.busy_ns;
	w->counted_from_ns = w->stage_end_ns;
	/* Those that are there already serve what is counted. */
	w->parts[0]->counts.connected += w->discard->counts.connected;
}

static void stage_next(struct worker *w)
{
	uint64_t end_ns = w->stage_end_ns;
	uint32_t next = w->stage_index == WORKER_WARMUP ? 0 : w->stage_index + 1;

	stage_leave(w);
	if (w->stage_index == WORKER_WARMUP)
		counting_begin(w);
	if (next >= w->scenario->stage_count) {
		drain_begin(w, w->scenario->timeout_ns + DRAIN_SLACK_NS);
		return;
	}
	if (w->open && w->scenario->stages[next].mode != LOAD_OPEN)
		open_abandon(w);
	/* Users of one stage go on in the next; the pool of an open one has none. */
	if (!w->open && w->scenario->stages[next].mode == LOAD_OPEN)
		for (uint32_t i = 0; i < w->users; i++)
			w->conns[i].active = false;
	w->stage_index = next;
	w->stage = &w->scenario->stages[next];
	stage_enter(w, end_ns);
}

void worker_start(struct worker *w, uint64_t start_ns)
{
	const struct load_stage *first = &w->scenario->stages[0];

	w->now_ns = start_ns;
	if (w->scenario->warmup_ns == 0) {
		w->stage_end_ns = start_ns;
		counting_begin(w);
		w->stage_index = 0;
		w->stage = first;
	} else {
		w->warmup = *first;
		w->warmup.to = first->from;
		w->warmup.duration_ns = w->scenario->warmup_ns;
		w->stage = &w->warmup;
	}
	stage_enter(w, start_ns);
}

void worker_stop(struct worker *w)
{
	if (w->draining)
		return;
	w->interrupted = true;
	w->stage_end_ns = min_u64(w->stage_end_ns, w->now_ns);
	stage_leave(w);
	if (w->open)
		open_abandon(w);
	drain_begin(w, STOP_DRAIN_NS);
}

/* --- rounds --- */

static void deadline_fired(void *arg, struct timer *timer, uint64_t now_ns)
{
	(void)arg;
	(void)now_ns;
	conn_deadline_passed(container_of(timer, struct conn, deadline));
}

static void wake_fired(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct worker *w = arg;
	struct conn *c = container_of(timer, struct conn, wake);

	(void)now_ns;
	if (w->open)
		open_wake(c);
	else
		users_wake(c);
}

/* What the stage has to do now; returns when it has next. */
static uint64_t stage_work(struct worker *w)
{
	if (w->draining && !open_owes(w))
		return w->drain_end_ns;
	if (w->draining)
		return min_u64(open_run(w), w->late_end_ns);
	uint64_t next_ns = w->open ? open_run(w) : users_run(w);

	/* A thread that sleeps is late when it wakes, so it stays awake for the last bit. */
	if (w->open && next_ns != UINT64_MAX)
		next_ns -= min_u64(next_ns, SPIN_NS);
	return min_u64(next_ns, w->stage_end_ns);
}

/* After Ctrl-C some requests are given up without a verdict: as if they had not been sent. */
static void pendings_forget(struct worker *w)
{
	for (uint32_t i = 0; i < w->conn_count && w->under_way > 0; i++)
		conn_forget(&w->conns[i]);
}

static bool drained(const struct worker *w)
{
	return w->under_way == 0 && !open_owes(w);
}

bool worker_round(struct worker *w)
{
	w->now_ns = clock_mono_ns();
	timerwheel_advance(&w->deadlines, w->now_ns, 0, deadline_fired, w);
	timerwheel_advance(&w->wakes, w->now_ns, 0, wake_fired, w);
	while (!w->draining && w->now_ns >= w->stage_end_ns)
		stage_next(w);
	uint64_t until_ns = stage_work(w);

	if (w->now_ns - w->published_ns >= PUBLISH_NS)
		publish(w);
	if (w->draining && (drained(w) || w->now_ns >= w->drain_end_ns)) {
		publish(w);
		pendings_forget(w);
		durations_settle(w);
		return false;
	}
	if (w->ops->polls || until_ns <= w->now_ns) {
		w->ops->poll(w->transport, 0);
		return true;
	}
	until_ns = min_u64(until_ns, w->now_ns + LOOK_NS);
	until_ns = min_u64(until_ns, timerwheel_next_ns(&w->deadlines));
	until_ns = min_u64(until_ns, timerwheel_next_ns(&w->wakes));
	w->ops->poll(w->transport, until_ns > w->now_ns ? until_ns : 0);
	return true;
}

/* Connections that are made before the clock starts: those that the first stage begins with, unless
 * each request is to have its own, or the pool grows on need. */
static uint32_t conns_ahead(const struct worker *w)
{
	const struct load_stage *first = &w->scenario->stages[0];

	if (w->scenario->requests_per_connection == 1)
		return 0;
	if (first->mode == LOAD_OPEN)
		return w->grows ? 0 : w->conn_count;
	return min_u32(stage_users_of(stage_users(first, 0), w->index, w->workers), w->conn_count);
}

bool worker_prepare(struct worker *w)
{
	uint32_t ahead = conns_ahead(w);

	w->open = w->scenario->stages[0].mode == LOAD_OPEN;
	w->now_ns = clock_mono_ns();
	if (w->prepare_end_ns == 0)
		w->prepare_end_ns = w->now_ns + PREPARE_NS;
	for (; w->prepared < ahead && w->connecting < WORKER_CONNECTING && worker_takes(w);
	     w->prepared++) {
		struct conn *c = &w->conns[w->prepared];

		if (!conn_connect(c))
			conn_back_off(c);
	}
	w->ops->poll(w->transport, w->now_ns + NS_PER_MS);
	timerwheel_advance(&w->wakes, w->now_ns, 0, wake_fired, w);
	return (w->prepared >= ahead && w->connecting == 0) || w->now_ns >= w->prepare_end_ns;
}

/* --- opening and closing --- */

/* The most connections that this worker needs at a time. */
static uint32_t conns_needed(const struct worker *w)
{
	const struct scenario *s = w->scenario;
	uint32_t most = 1;

	for (uint32_t i = 0; i < s->stage_count; i++) {
		const struct load_stage *stage = &s->stages[i];
		uint32_t pool = s->connections > 0 ? s->connections : s->max_connections;
		double users = fmax(stage->from, stage->to);
		uint32_t all = stage->mode == LOAD_OPEN ? pool : (uint32_t)ceil(users);

		most = max_u32(most, stage_users_of(all, w->index, w->workers));
	}
	return most;
}

static bool conns_open(struct worker *w)
{
	w->conn_count = conns_needed(w);
	w->depth = max_u32(w->scenario->pipeline, 1);
	w->conns = calloc(w->conn_count, sizeof(*w->conns));
	w->pendings = calloc((size_t)w->conn_count * w->depth, sizeof(*w->pendings));
	if (w->conns == NULL || w->pendings == NULL)
		return false;
	for (uint32_t i = 0; i < w->conn_count; i++) {
		w->conns[i].w = w;
		w->conns[i].index = i;
		w->conns[i].ring = &w->pendings[(size_t)i * w->depth];
	}
	return true;
}

static bool parts_open(struct worker *w)
{
	w->result = result_create(w->scenario);
	w->discard = calloc(1, sizeof(*w->discard));
	if (w->result == NULL || w->discard == NULL)
		return false;
	for (uint32_t i = 0; i < SCENARIO_STAGES; i++)
		w->parts[i] = &w->result->stages[i];
	w->parts[WORKER_WARMUP] = w->discard;
	return true;
}

enum status worker_open(struct worker *w, const struct engine_config *cfg, char err[TRANSPORT_ERR])
{
	const struct scenario *s = cfg->scenario;
	struct transport_config tc = cfg->transport;
	uint64_t now_ns = clock_mono_ns();

	w->scenario = s;
	w->ops = cfg->ops;
	w->workers = cfg->workers;
	w->reset = cfg->reset;
	w->stage_index = WORKER_WARMUP;
	w->ready_end = &w->ready;
	w->late.next_ns = UINT64_MAX;
	w->schedule.next_ns = UINT64_MAX;
	w->grows = s->connections == 0 || s->requests_per_connection == 1;
	w->two_times = s->requests_per_connection == 1;
	for (uint32_t i = 0; i < s->stage_count; i++)
		w->two_times = w->two_times || s->stages[i].mode == LOAD_OPEN;
	timerwheel_init(&w->deadlines, WORKER_TICK_NS, now_ns);
	timerwheel_init(&w->wakes, WORKER_TICK_NS, now_ns);
	w->maker = request_maker_create(s, w->index);
	if (w->maker == NULL || !conns_open(w) || !parts_open(w)) {
		snprintf(err, TRANSPORT_ERR, "no memory for a worker's connections and figures");
		return ST_NOMEM;
	}
	tc.links = w->conn_count;
	tc.sink = conn_sink;
	tc.cpu = cfg->cpu_count > 0 ? cfg->cpus[w->index % cfg->cpu_count] : -1;
	return w->ops->open(&w->transport, &tc, err);
}

void worker_hang_up(struct worker *w)
{
	if (w->transport == NULL)
		return;
	w->ops->stats(w->transport, &w->stats);
	w->ops->close(w->transport);
	w->transport = NULL;
}

void worker_close(struct worker *w)
{
	for (uint32_t i = 0; w->conns != NULL && i < w->conn_count; i++)
		http_client_free(&w->conns[i].http);
	free(w->conns);
	free(w->pendings);
	free(w->scratch);
	free(w->discard);
	if (w->maker != NULL)
		request_maker_destroy(w->maker);
	if (w->result != NULL)
		result_destroy(w->result);
}
