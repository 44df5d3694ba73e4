/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request costs in sluice-bench itself: the engine, the request maker, the answer reader and
 * the histograms, over a transport that answers at once and does nothing else. */
#include "lib/clock.h"
#include "perf/load/engine.h"
#include "perf/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINKS       128u
#define IDLE_MAX_NS (5 * NS_PER_US) /* of a round; more is the machine's doing */

/* As Sluice answers a hit. */
static const char answer_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: application/json\r\n"
                                  "Content-Length: 100\r\n"
                                  "ETag: \"5f3c-1a2b\"\r\n"
                                  "Cache-Control: max-age=60\r\n"
                                  "Cache-Status: Sluice; hit; ttl=42\r\n"
                                  "Date: Sat, 21 Nov 2026 15:00:00 GMT\r\n"
                                  "Age: 18\r\n"
                                  "\r\n";

struct link {
	struct link *next;
	void *owner;
	uint32_t requests; /* to be answered */
	bool connecting;
	bool queued;
};

/* Answers in the round after the request. */
struct echo {
	struct transport base;
	struct transport_sink sink;
	struct link links[LINKS];
	uint32_t used;
	struct link *queue;
	char answer[sizeof(answer_head) + 100];
	size_t answer_len;
	bool vary; /* each head differs from the one before */
	uint64_t now_ns;
	uint64_t idle_ns; /* of rounds that found nothing to do */
};

static bool answers_vary; /* of the run that is being made; the transport's open reads it */

static struct echo *echo_of(struct transport *t)
{
	return container_of(t, struct echo, base);
}

static const struct transport_ops echo_ops;

static enum status echo_open(struct transport **out, const struct transport_config *cfg,
                             char err[TRANSPORT_ERR])
{
	struct echo *e = calloc(1, sizeof(*e));

	if (e == NULL || cfg->links > LINKS) {
		snprintf(err, TRANSPORT_ERR, "no memory");
		free(e);
		return ST_NOMEM;
	}
	e->base.ops = &echo_ops;
	e->sink = cfg->sink;
	e->vary = answers_vary;
	memcpy(e->answer, answer_head, sizeof(answer_head) - 1);
	memset(e->answer + sizeof(answer_head) - 1, 'x', 100);
	e->answer_len = sizeof(answer_head) - 1 + 100;
	*out = &e->base;
	return ST_OK;
}

static void echo_close(struct transport *t)
{
	free(echo_of(t));
}

static void enqueue(struct echo *e, struct link *l)
{
	if (l->queued)
		return;
	l->queued = true;
	l->next = e->queue;
	e->queue = l;
}

static struct link *echo_connect(struct transport *t, void *owner)
{
	struct echo *e = echo_of(t);

	if (e->used == LINKS)
		return NULL;
	struct link *l = &e->links[e->used++];
	l->owner = owner;
	l->connecting = true;
	enqueue(e, l);
	return l;
}

static bool echo_send(struct transport *t, struct link *l, const void *data, size_t len)
{
	(void)data;
	(void)len;
	l->requests++;
	enqueue(echo_of(t), l);
	return true;
}

static void echo_end(struct transport *t, struct link *l)
{
	(void)t;
	l->requests = 0;
}

static uint32_t echo_poll(struct transport *t, uint64_t wait_until_ns)
{
	struct echo *e = echo_of(t);
	struct link *l = e->queue;
	uint64_t now_ns = clock_mono_ns();
	uint32_t n = 0;

	(void)wait_until_ns;
	e->queue = NULL;
	while (l != NULL) {
		struct link *next = l->next;
		uint32_t requests = l->requests;

		l->queued = false;
		l->requests = 0;
		if (l->connecting) {
			l->connecting = false;
			e->sink.connected(l->owner, now_ns);
		}
		for (; requests > 0; requests--, n++) {
			/* The digits of Age: what the reader remembers of a head no longer fits. */
			if (e->vary)
				e->answer[sizeof(answer_head) - 6] ^= 1;
			e->sink.data(l->owner, e->answer, e->answer_len, now_ns);
		}
		l = next;
	}
	if (n == 0 && e->now_ns != 0)
		e->idle_ns += min_u64(now_ns - e->now_ns, IDLE_MAX_NS);
	e->now_ns = now_ns;
	return n;
}

static void echo_stats(const struct transport *t, struct transport_stats *out)
{
	const struct echo *e = container_of(t, const struct echo, base);
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	uint64_t cpu_ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	*out = (struct transport_stats){.busy_ns = cpu_ns - min_u64(cpu_ns, e->idle_ns)};
}

static const struct transport_ops echo_ops = {
        .name = "echo",
        .open = echo_open,
        .close = echo_close,
        .connect = echo_connect,
        .send = echo_send,
        .shut = echo_end,
        .abort = echo_end,
        .poll = echo_poll,
        .stats = echo_stats,
};

/* Starts that an interrupted thread could not make up for by the end do not count. */
static uint64_t failures(const struct result *r)
{
	return load_errors(&r->total.counts) - r->total.counts.errors[LOAD_ERR_UNSENT];
}

/* CPU time of a request in ns. */
static double measure(struct scenario *s, bool vary)
{
	struct engine_config cfg = {
	        .scenario = s,
	        .ops = &echo_ops,
	        .transport = {.host = "127.0.0.1", .port = 80},
	        .workers = 1,
	};
	struct engine_notes notes;
	char err[TRANSPORT_ERR];
	struct result *r = result_create(s);
	double ns = -1;

	answers_vary = vary;
	if (r == NULL || engine_run(&cfg, r, &notes, err) != ST_OK ||
	    r->total.counts.answered == 0 || failures(r) > 0) {
		fprintf(stderr, "bench_load: the run failed: %s, %llu answers, %llu errors\n", err,
		        (unsigned long long)(r != NULL ? r->total.counts.answered : 0),
		        (unsigned long long)(r != NULL ? failures(r) : 0));
		exit(1);
	}
	ns = (double)r->cpu_busy_ns / (double)r->total.counts.answered;
	result_destroy(r);
	return ns;
}

static void add(struct report *r, struct scenario *s, bool vary, const char *name)
{
	double ns = measure(s, vary);

	report_add(r, ns, "", "%s_ns", name);
	report_add(r, ns * clock_cycles_per_ns(), "TSC", "%s_cycles", name);
}

int main(int argc, char **argv)
{
	struct report r = {.name = "bench_load"};
	struct scenario s;
	struct config_error err;
	static const char about[] =
	        "CPU time of a request in sluice-bench itself (engine, request maker, answer "
	        "reader, histograms), 128 connections over a transport that answers at once.";

	if (report_init(&r, about, argc, argv) > 1) {
		fputs("bench_load: no such option; see --help\n", stderr);
		return 2;
	}
	http1_init(NULL);
	scenario_default(&s);
	s.stages[0].duration_ns = r.short_run ? 100 * NS_PER_MS : 2 * NS_PER_S;
	s.stages[0].from = s.stages[0].to = LINKS;
	add(&r, &s, false, "closed");
	add(&r, &s, true, "closed_heads_differ");
	s.pipeline = 16;
	add(&r, &s, false, "closed_pipeline_16");
	s.pipeline = 1;
	if (!scenario_request_set(&s, "GET /items/{key}", &err))
		return 1;
	s.keys.count = 1000000;
	s.keys.zipf = 1;
	add(&r, &s, false, "closed_zipf_keys");
	s.stages[0].mode = LOAD_OPEN;
	s.stages[0].from = s.stages[0].to = 500000;
	s.connections = LINKS;
	add(&r, &s, false, "open_zipf_keys");
	report_print(&r);
	scenario_free(&s);
	return 0;
}
