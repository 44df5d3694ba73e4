/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jobs of the warmer. Each takes its lines one by one: a line becomes a request, waits until the
 * budget and its origin's ease let it, and is fetched as a client's would be, but for nobody. */
#include "control/warm_private.h"

#include "control/chan_link.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

#define LINES_ROUND 16u              /* lines of a job that one look works off */
#define BAD_SAID    3u               /* bad lines of a list that the log names */
#define EASE_NS     (5 * NS_PER_MS)  /* until an origin that is busy is looked at again */
#define AWAY_NS     (50 * NS_PER_MS) /* until a dataplane that is away is, or a peer's list */
#define SOON_NS     (NS_PER_MS)

struct warm_job *warm_job_get(const struct warm *w, uint32_t id)
{
	for (uint32_t i = 0; i < WARM_JOBS_MAX; i++)
		if (w->jobs[i].id == id && id != 0)
			return (struct warm_job *)&w->jobs[i];
	return NULL;
}

static uint64_t now_of(const struct warm *w)
{
	return loop_now_ns(w->ctl->loop);
}

/* --- lines that wait --- */

static bool text_room(struct warm_job *j, size_t n)
{
	char *bigger;

	/* Not each time: there may be much. */
	if (j->off > j->len / 2) {
		memmove(j->text, j->text + j->off, j->len - j->off);
		j->len -= j->off;
		j->off = 0;
	}
	if (j->len - j->off + n > WARM_PENDING_BYTES)
		return false;
	bigger = realloc(j->text, pow2_ceil(max_u64(4096, j->len + n)));
	if (bigger == NULL)
		return false;
	j->text = bigger;
	return true;
}

static void result_count(struct warm_job *j, enum warm_result result, uint64_t n)
{
	j->results[result] += n;
	j->w->counts.results[j->source][result] += n;
}

/* Is the line a request? False: it is no good, and why was said. */
static bool line_check(const struct warm *w, struct warm_line *l, struct span line, bool *empty,
                       const char **why)
{
	enum warm_line_kind kind = warm_line_read(line, l, why);
	struct request *r = NULL;

	*empty = kind == WARM_LINE_EMPTY;
	if (kind == WARM_LINE_REQUEST)
		r = warm_request(w->ctl->snapshot, 0, l, why);
	free(r);
	return r != NULL || *empty;
}

/* All lines of text, as far as there is room: room for text.len bytes was made. */
static void lines_take(struct warm_job *j, struct span text, warm_bad_fn bad, void *arg)
{
	struct warm_line *l = malloc(sizeof(*l));
	const char *why = "";
	struct span line;
	bool empty;

	for (uint32_t number = 1; l != NULL && warm_line_next(&text, &line); number++) {
		bool good = line_check(j->w, l, line, &empty, &why);

		if (empty)
			continue;
		j->asked++;
		if (!good) {
			result_count(j, WARM_bad, 1);
			if (bad != NULL)
				bad(arg, number, why);
			continue;
		}
		memcpy(j->text + j->len, line.ptr, line.len);
		j->len += line.len;
		j->text[j->len++] = '\n';
		j->waiting++;
	}
	free(l);
}

enum status warm_job_add(struct warm *w, uint32_t id, struct span text, warm_bad_fn bad, void *arg,
                         size_t *taken)
{
	struct warm_job *j = warm_job_get(w, id);

	*taken = 0;
	if (j == NULL)
		return ST_NOTFOUND;
	/* The last line may lack its end. */
	if (!text_room(j, text.len + 1))
		return ST_OK;
	lines_take(j, text, bad, arg);
	*taken = text.len;
	if (j->waiting > 0)
		j->ended_ns = 0;
	warm_kick(w);
	return ST_OK;
}

const char *warm_list_take(struct warm_list *list, char *text, size_t len)
{
	const char *wrong;

	*list = (struct warm_list){.text = text};
	wrong = warm_list_check(span_of(text, len), &list->body, &list->count);
	if (wrong == NULL)
		return NULL;
	free(text);
	*list = (struct warm_list){0};
	return wrong;
}

void warm_job_list(struct warm_job *j, struct warm_list *list)
{
	free(j->text);
	j->text = list->text;
	j->off = (size_t)(list->body.ptr - list->text);
	j->len = j->off + list->body.len;
	j->line = 1; /* that which says what it is */
	j->asked += list->count;
	j->waiting += list->count;
	*list = (struct warm_list){0};
}

void warm_job_no_list(struct warm_job *j, const char *trouble)
{
	snprintf(j->trouble, sizeof(j->trouble), "%s", trouble);
	log_warn("warm", "%s: %s; nothing is warmed from it", j->name, trouble);
}

/* The first few of a list: one of a peer may name much that is not routed here. */
static void bad_log(struct warm_job *j, const char *why)
{
	if (j->source != WARM_LIST && j->bad_said++ < BAD_SAID)
		log_warn("warm", "%s: line %llu: %s", j->name, (unsigned long long)j->line, why);
}

/* --- tasks --- */

static void task_free(struct warm_task *t)
{
	free(t->r);
	free(t);
}

/* The dataplane went away under it: it is asked for again. */
static bool was_broken_off(const struct warm_task *t)
{
	return t->fw.result == WARM_failed && t->fw.status == 0 &&
	       !chan_server_attached(t->job->w->ctl->chan);
}

static void task_done(struct fetch_warm *fw)
{
	struct warm_task *t = container_of(fw, struct warm_task, fw);
	struct warm_job *j = t->job;

	*t->prev_next = t->next;
	if (t->next != NULL)
		t->next->prev_next = t->prev_next;
	warm_budget_give(&j->budget, fw->bytes);
	if (was_broken_off(t)) {
		t->next = j->ready;
		j->ready = t;
		j->waiting++;
	} else {
		result_count(j, fw->result, 1);
		task_free(t);
	}
	warm_kick(j->w);
}

/* The next line as a task without a request. NULL: there is none, or no memory. */
static struct warm_task *task_next(struct warm_job *j)
{
	struct warm_task *t = j->ready;
	struct span rest, line;

	if (t != NULL) {
		j->ready = t->next;
		return t;
	}
	if (j->waiting == 0)
		return NULL;
	rest = span_of(j->text + j->off, j->len - j->off);
	do {
		if (!warm_line_next(&rest, &line))
			return NULL;
		j->line++;
		j->off = j->len - rest.len;
	} while (warm_line_empty(line));
	line.len = min_size(line.len, WARM_LINE_MAX + 1); /* enough to find it too long */
	t = calloc(1, sizeof(*t) + line.len);
	if (t == NULL) { /* it is lost, and counted so */
		j->waiting--;
		result_count(j, WARM_failed, 1);
		return NULL;
	}
	t->job = j;
	t->len = (uint32_t)line.len;
	memcpy(t->line, line.ptr, line.len);
	return t;
}

/* Its request, by the configuration and the dataplane of now. False: it has none any more. */
static bool task_make(struct warm_task *t)
{
	const struct control *ctl = t->job->w->ctl;
	struct warm_line *l;
	const char *why = "out of memory";

	if (t->r != NULL && t->r->wire.snapshot_id == ctl->snapshot->id)
		return true;
	free(t->r);
	t->r = NULL;
	l = malloc(sizeof(*l));
	if (l != NULL && warm_line_read(span_of(t->line, t->len), l, &why) == WARM_LINE_REQUEST)
		t->r = warm_request(ctl->snapshot, link_hash_seed(ctl->chan), l, &why);
	free(l);
	if (t->r == NULL)
		bad_log(t->job, why);
	return t->r != NULL;
}

static void task_begin(struct warm_task *t)
{
	struct warm_job *j = t->job;
	struct request *r = t->r;

	t->r = NULL;
	t->fw = (struct fetch_warm){.done = task_done, .source = (uint8_t)j->source};
	t->next = j->active;
	t->prev_next = &j->active;
	if (t->next != NULL)
		t->next->prev_next = &t->next;
	j->active = t;
	j->waiting--;
	fetcher_warm(j->w->ctl->fetcher, r, &t->fw);
}

/* --- jobs --- */

/* Lines that are left are not asked for. */
static void job_cut(struct warm_job *j)
{
	while (j->ready != NULL) {
		struct warm_task *t = j->ready;

		j->ready = t->next;
		task_free(t);
	}
	result_count(j, WARM_cut, j->waiting);
	j->waiting = 0;
	free(j->text);
	j->text = NULL;
	j->len = 0;
	j->off = 0;
}

static void job_end(struct warm_job *j)
{
	uint64_t kept =
	        j->results[WARM_origin] + j->results[WARM_shared] + j->results[WARM_confirmed];

	j->ended_ns = max_u64(1, now_of(j->w));
	free(j->text);
	j->text = NULL;
	j->len = 0;
	j->off = 0;
	if (j->source == WARM_LIST || j->trouble[0] != '\0')
		return; /* whoever gave it is told */
	log_info("warm",
	         "%s: of %llu requests %llu answers were stored, %llu were there; %llu failed, "
	         "%llu were left out by the budget",
	         j->name, (unsigned long long)j->asked, (unsigned long long)kept,
	         (unsigned long long)j->results[WARM_fresh],
	         (unsigned long long)j->results[WARM_failed],
	         (unsigned long long)j->results[WARM_cut]);
}

/* When the job is to be looked at again; UINT64_MAX: when something ends. */
static uint64_t job_step(struct warm_job *j)
{
	struct control *ctl = j->w->ctl;
	uint64_t now_ns = now_of(j->w);
	struct warm_task *t = task_next(j);

	if (t == NULL)
		return UINT64_MAX;
	if (!task_make(t)) {
		j->waiting--;
		result_count(j, WARM_bad, 1);
		task_free(t);
		return now_ns;
	}
	bool eased = fetcher_warm_may(ctl->fetcher, t->r);

	if (eased && warm_budget_take(&j->budget, now_ns)) {
		task_begin(t);
		return now_ns;
	}
	t->next = j->ready;
	j->ready = t;
	if (!eased)
		return now_ns + EASE_NS;
	return j->budget.active < j->budget.limits.concurrency ? j->budget.next_ns : UINT64_MAX;
}

static bool job_over(const struct warm_job *j)
{
	return j->waiting == 0 && j->active == NULL && !j->fetching;
}

static uint64_t job_run(struct warm_job *j)
{
	uint64_t now_ns = now_of(j->w);
	uint64_t next_ns = now_ns;

	if (j->ended_ns != 0)
		return UINT64_MAX;
	if (j->waiting > 0 && warm_budget_over(&j->budget, now_ns))
		job_cut(j);
	if (job_over(j)) {
		job_end(j);
		return UINT64_MAX;
	}
	if (j->fetching || !chan_server_attached(j->w->ctl->chan) || j->w->ctl->draining)
		return now_ns + AWAY_NS;
	for (uint32_t i = 0; i < LINES_ROUND && next_ns <= now_ns; i++)
		next_ns = job_step(j);
	/* What is answered at once ends in here, and nothing calls again for it. */
	if (job_over(j))
		return now_ns;
	/* Its time may run out while nothing else happens. */
	return min_u64(max_u64(next_ns, now_ns + SOON_NS),
	               max_u64(j->budget.end_ns, now_ns + AWAY_NS));
}

void warm_jobs_run(struct loop_timer *t)
{
	struct warm *w = t->arg;
	uint64_t next_ns = UINT64_MAX;

	w->running = true;
	warm_peer_look(w);
	warm_start_look(w);
	for (uint32_t i = 0; i < WARM_JOBS_MAX; i++)
		if (w->jobs[i].id != 0)
			next_ns = min_u64(next_ns, job_run(&w->jobs[i]));
	w->running = false;
	if (w->starting)
		next_ns = min_u64(next_ns, now_of(w) + AWAY_NS);
	if (next_ns != UINT64_MAX)
		loop_timer_set(w->ctl->loop, t, next_ns);
}

void warm_kick(struct warm *w)
{
	if (!w->running)
		loop_timer_set(w->ctl->loop, &w->timer, now_of(w));
}

/* A free place, or that of the job that ended first. */
static struct warm_job *job_place(struct warm *w)
{
	struct warm_job *best = NULL;

	for (uint32_t i = 0; i < WARM_JOBS_MAX; i++) {
		struct warm_job *j = &w->jobs[i];

		if (j->id == 0)
			return j;
		if (j->ended_ns != 0 && j->active == NULL &&
		    (best == NULL || j->ended_ns < best->ended_ns))
			best = j;
	}
	if (best != NULL)
		free(best->text);
	return best;
}

static void limits_fill(struct warm_limits *l, const struct config_warm *cfg)
{
	if (l->rate_per_s == 0)
		l->rate_per_s = cfg->rate_per_s;
	if (l->concurrency == 0)
		l->concurrency = cfg->concurrency;
	if (l->bytes == 0)
		l->bytes = cfg->bytes;
	if (l->time_ms == 0)
		l->time_ms = cfg->time_s * 1000ull;
}

enum status warm_job_start(struct warm *w, const struct warm_job_new *how, uint32_t *id)
{
	struct warm_limits limits = how->limits;
	struct warm_job *j;

	if (fetcher_store(w->ctl->fetcher) == NULL)
		return ST_UNSUPPORTED;
	j = job_place(w);
	if (j == NULL || (how->peer != NULL && w->peer.worker.running))
		return ST_FULL;
	*j = (struct warm_job){
	        .w = w,
	        .id = ++w->job_seq,
	        .source = how->source,
	        .started_ns = now_of(w),
	};
	snprintf(j->name, sizeof(j->name), "%s", how->name);
	limits_fill(&limits, &w->ctl->config->cache.warm);
	warm_budget_start(&j->budget, &limits, j->started_ns);
	if (how->peer != NULL && !warm_peer_start(w, j, how->peer)) {
		j->id = 0;
		return ST_NOMEM;
	}
	*id = j->id;
	warm_kick(w);
	return ST_OK;
}

bool warm_job_stop(struct warm *w, uint32_t id)
{
	struct warm_job *j = warm_job_get(w, id);

	if (j == NULL)
		return false;
	job_cut(j);
	/* A list that is still on its way, or that somebody still gives, is cut as well. */
	j->budget.end_ns = 0;
	warm_kick(w);
	return true;
}

void warm_jobs_free(struct warm *w)
{
	for (uint32_t i = 0; i < WARM_JOBS_MAX; i++) {
		struct warm_job *j = &w->jobs[i];

		while (j->active != NULL) {
			struct warm_task *t = j->active;

			j->active = t->next;
			fetcher_warm_forget(&t->fw);
			task_free(t);
		}
		if (j->id != 0)
			job_cut(j);
	}
}
