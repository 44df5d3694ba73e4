/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/engine.h"

#include "lib/clock.h"
#include "perf/load/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define START_AHEAD_NS (2 * NS_PER_MS)
#define PROGRESS_NS    NS_PER_S

struct engine_thread {
	pthread_t thread;
	struct worker worker;
	struct engine *engine;
	enum status status;
	char err[TRANSPORT_ERR];
	uint64_t waited_ns; /* for a CPU, while it ran */
	bool started;
};

struct engine {
	const struct engine_config *cfg;
	struct engine_thread *threads;
	uint32_t thread_count;
	struct result *view; /* a running sum, for the progress line */
	int wake_fd;         /* eventfd: a worker is ready, or has ended */
	int signal_fd;
	uint64_t start_ns; /* 0 until all are ready; atomic, as the next three */
	uint32_t ready;
	uint32_t ended;
	bool stop;
};

/* --- a worker's thread --- */

static enum status thread_settle(struct engine_thread *t)
{
	const struct engine_config *cfg = t->engine->cfg;
	cpu_set_t set;

	/* Sleeps end when they should, not some 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1ul);
	if (cfg->cpu_count == 0)
		return ST_OK;
	int cpu = cfg->cpus[t->worker.index % cfg->cpu_count];

	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET((size_t)cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0)
		return ST_OK;
	snprintf(t->err, sizeof(t->err),
	         "--cpu: CPU %d does not exist, or this process may not use it", cpu);
	return ST_INVALID;
}

/* What this thread has waited until now for a CPU that others had; 0: the kernel does not say. */
static uint64_t cpu_wait_ns(void)
{
	FILE *f = fopen("/proc/thread-self/schedstat", "r");
	unsigned long long ran;
	unsigned long long waited = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	fclose(f);
	return waited;
}

static void tell(struct engine *e, uint32_t *counter)
{
	uint64_t one = 1;

	__atomic_add_fetch(counter, 1, __ATOMIC_RELEASE);
	if (write(e->wake_fd, &one, sizeof(one)) < 0)
		return; /* its counter is full: main is awake already */
}

static bool stopping(const struct engine *e)
{
	return __atomic_load_n(&e->stop, __ATOMIC_RELAXED);
}

/* Returns false when the run is given up before it began. */
static bool wait_for_start(struct engine_thread *t)
{
	struct engine *e = t->engine;
	bool told = false;
	uint64_t start_ns = 0;

	while (start_ns == 0 || clock_mono_ns() < start_ns) {
		bool ready = worker_prepare(&t->worker);

		if (ready && !told) {
			told = true;
			tell(e, &e->ready);
		}
		if (stopping(e))
			return false;
		start_ns = __atomic_load_n(&e->start_ns, __ATOMIC_ACQUIRE);
	}
	worker_start(&t->worker, start_ns);
	return true;
}

static void *thread_main(void *arg)
{
	struct engine_thread *t = arg;
	struct engine *e = t->engine;

	t->status = thread_settle(t);
	if (t->status == ST_OK)
		t->status = worker_open(&t->worker, e->cfg, t->err);
	if (t->status == ST_OK && wait_for_start(t)) {
		uint64_t before_ns = cpu_wait_ns();

		while (worker_round(&t->worker))
			if (stopping(e))
				worker_stop(&t->worker);
		t->waited_ns = cpu_wait_ns() - before_ns;
	} else if (t->status != ST_OK) {
		__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	}
	worker_hang_up(&t->worker);
	tell(e, &e->ended);
	return NULL;
}

/* --- figures --- */

static_assert(sizeof(struct load_counts) % sizeof(uint64_t) == 0, "counters only");

static void counts_add(struct load_counts *dst, const struct load_counts *src)
{
	uint64_t *to = (uint64_t *)dst;
	const uint64_t *from = (const uint64_t *)src;

	for (size_t i = 0; i < sizeof(*dst) / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void part_add(struct load_part *dst, const struct load_part *src)
{
	counts_add(&dst->counts, &src->counts);
	load_hist_merge(&dst->latency, &src->latency);
	load_hist_merge(&dst->service, &src->service);
}

/* Adds a worker's figures to out, whose total and only endpoint follow from the stages. */
static void worker_add(struct result *out, const struct worker *w)
{
	const struct scenario *s = w->scenario;
	uint64_t duration_ns = 0;

	for (uint32_t i = 0; i < s->stage_count; i++) {
		struct load_part *stage = &out->stages[i];

		part_add(stage, &w->result->stages[i]);
		part_add(&out->total, &w->result->stages[i]);
		stage->duration_ns = max_u64(stage->duration_ns, w->result->stages[i].duration_ns);
		duration_ns += w->result->stages[i].duration_ns;
	}
	for (uint32_t i = 0; i < s->endpoint_count && s->endpoint_count > 1; i++)
		part_add(&out->endpoints[i], &w->result->endpoints[i]);
	out->total.duration_ns = max_u64(out->total.duration_ns, duration_ns);
	out->open_links += w->result->open_links;
	out->cpu_busy_ns += w->result->cpu_busy_ns;
	out->elapsed_ns = max_u64(out->elapsed_ns, w->result->elapsed_ns);
	out->interrupted = out->interrupted || w->interrupted;
}

/* Where latency counts from the sending, both are one. */
static void service_fill(struct load_part *p)
{
	if (p->service.count == 0)
		p->service = p->latency;
}

/* Starts that the open stages asked for, a second, mean over their time. */
static double offered(const struct scenario *s)
{
	double starts = 0;
	double seconds = 0;

	for (uint32_t i = 0; i < s->stage_count; i++) {
		double d = (double)s->stages[i].duration_ns / (double)NS_PER_S;

		if (s->stages[i].mode != LOAD_OPEN)
			continue;
		starts += (s->stages[i].from + s->stages[i].to) / 2 * d;
		seconds += d;
	}
	return seconds > 0 ? starts / seconds : 0;
}

static void sum_up(const struct engine *e, struct result *out)
{
	const struct scenario *s = e->cfg->scenario;

	memset(&out->total, 0, sizeof(out->total));
	memset(out->stages, 0, s->stage_count * sizeof(out->stages[0]));
	memset(out->endpoints, 0, s->endpoint_count * sizeof(out->endpoints[0]));
	out->open_links = 0;
	out->cpu_busy_ns = 0;
	for (uint32_t i = 0; i < e->thread_count; i++)
		worker_add(out, &e->threads[i].worker);
	for (uint32_t i = 0; i < s->stage_count; i++)
		service_fill(&out->stages[i]);
	service_fill(&out->total);
	if (s->endpoint_count == 1)
		out->endpoints[0] = out->total;
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		service_fill(&out->endpoints[i]);
		out->endpoints[i].duration_ns = out->total.duration_ns;
	}
	out->workers = e->thread_count;
	out->offered = offered(s);
}

/* --- the main thread --- */

static void show_progress(struct engine *e, uint64_t now_ns)
{
	const struct worker *w = &e->threads[0].worker;
	uint32_t stage = __atomic_load_n(&w->stage_index, __ATOMIC_RELAXED);

	/* Also what the warm-up says about itself would be of no use. */
	if (e->cfg->progress == NULL || stage == WORKER_WARMUP)
		return;
	sum_up(e, e->view);
	progress_show(e->cfg->progress, e->view, stage, now_ns);
}

/* Waits for a signal, a worker's word, or the time. */
static void wait_main(struct engine *e, uint64_t until_ns)
{
	uint64_t now_ns = clock_mono_ns();
	struct pollfd fds[2] = {
	        {.fd = e->wake_fd, .events = POLLIN},
	        {.fd = e->signal_fd, .events = POLLIN},
	};
	int wait_ms = until_ns > now_ns ? (int)((until_ns - now_ns) / NS_PER_MS) + 1 : 0;
	struct signalfd_siginfo info;
	uint64_t count;

	if (poll(fds, 2, wait_ms) <= 0)
		return;
	if ((fds[0].revents & POLLIN) && read(e->wake_fd, &count, sizeof(count)) < 0)
		return;
	if ((fds[1].revents & POLLIN) && read(e->signal_fd, &info, sizeof(info)) > 0) {
		/* A second one ends the program at once. */
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGTERM);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	}
}

static void run_main(struct engine *e)
{
	uint64_t next_ns = clock_mono_ns() + PROGRESS_NS;

	while (__atomic_load_n(&e->ended, __ATOMIC_ACQUIRE) < e->thread_count) {
		bool ready = __atomic_load_n(&e->ready, __ATOMIC_ACQUIRE) == e->thread_count;
		uint64_t now_ns = clock_mono_ns();

		if (ready && e->start_ns == 0) {
			__atomic_store_n(&e->start_ns, now_ns + START_AHEAD_NS, __ATOMIC_RELEASE);
			next_ns = now_ns + START_AHEAD_NS + PROGRESS_NS;
		}
		if (now_ns >= next_ns) {
			if (e->start_ns != 0)
				show_progress(e, now_ns);
			next_ns += PROGRESS_NS;
		}
		wait_main(e, next_ns);
	}
}

static enum status threads_start(struct engine *e, char err[TRANSPORT_ERR])
{
	for (uint32_t i = 0; i < e->thread_count; i++) {
		struct engine_thread *t = &e->threads[i];

		t->engine = e;
		t->worker.index = i;
		int rc = pthread_create(&t->thread, NULL, thread_main, t);
		if (rc != 0) {
			snprintf(err, TRANSPORT_ERR, "cannot start a thread: %s", strerror(rc));
			__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
			return ST_IO;
		}
		t->started = true;
	}
	return ST_OK;
}

static enum status threads_join(struct engine *e, char err[TRANSPORT_ERR])
{
	enum status st = ST_OK;

	for (uint32_t i = 0; i < e->thread_count; i++) {
		struct engine_thread *t = &e->threads[i];

		if (t->started)
			pthread_join(t->thread, NULL);
		if (t->status != ST_OK && st == ST_OK) {
			st = t->status;
			memcpy(err, t->err, TRANSPORT_ERR);
		}
	}
	return st;
}

static void notes_take(const struct engine *e, struct engine_notes *n)
{
	*n = (struct engine_notes){0};
	for (uint32_t i = 0; i < e->thread_count; i++) {
		const struct worker *w = &e->threads[i].worker;

		if (w->stats.note != NULL)
			snprintf(n->text, sizeof(n->text), "%s", w->stats.note);
		n->no_room += w->no_room;
		n->retransmits += w->stats.retransmits;
		n->drops += w->stats.drops;
		n->waited_ns += e->threads[i].waited_ns;
	}
}

static enum status engine_open(struct engine *e, const sigset_t *signals)
{
	e->threads = calloc(e->thread_count, sizeof(*e->threads));
	e->view = result_create(e->cfg->scenario);
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (e->threads == NULL || e->view == NULL)
		return ST_NOMEM;
	return e->wake_fd < 0 || e->signal_fd < 0 ? ST_IO : ST_OK;
}

static void engine_close(struct engine *e)
{
	for (uint32_t i = 0; e->threads != NULL && i < e->thread_count; i++)
		worker_close(&e->threads[i].worker);
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	if (e->signal_fd >= 0)
		close(e->signal_fd);
	if (e->view != NULL)
		result_destroy(e->view);
	free(e->threads);
}

enum status engine_run(const struct engine_config *cfg, struct result *out,
                       struct engine_notes *notes, char err[TRANSPORT_ERR])
{
	struct engine e = {.cfg = cfg, .thread_count = cfg->workers};
	sigset_t signals;
	sigset_t before;
	enum status st;

	err[0] = '\0';
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	st = engine_open(&e, &signals);
	if (st == ST_OK)
		st = threads_start(&e, err);
	else
		snprintf(err, TRANSPORT_ERR, "no memory or file descriptors for the workers");
	if (st == ST_OK)
		run_main(&e);
	if (e.threads != NULL) {
		enum status joined = threads_join(&e, err);

		st = st == ST_OK ? joined : st;
	}
	if (st == ST_OK) {
		sum_up(&e, out);
		notes_take(&e, notes);
	}
	engine_close(&e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return st;
}
