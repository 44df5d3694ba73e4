/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the machine itself does to latency. Two threads, each alone on its CPU, do nothing but look
 * at the clock and write down when it jumps: interrupts, other programs, the host. Then a client
 * and a server that do nothing wrong are played against those very jumps: requests come at random
 * at 30 and 70 % of what the server can do, each costs the server 250 ns and the client 100 ns
 * before and after, and whoever is away takes nothing meanwhile. No server on these two CPUs can
 * have less latency than that at that load.
 *
 *   bench_noise [CPU CPU]   the server's and the client's: 1 and 0 */
#include "lib/clock.h"
#include "perf/load/result.h"
#include "perf/report.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define GAPS_MAX   (1u << 20)
#define GAP_NS     1000u
#define SERVE_NS   250.0
#define CLIENT_NS  100.0
#define SECONDS    5u
#define STEP_COUNT ARRAY_LEN(steps)

static const struct {
	uint64_t least_ns;
	const char *name;
} steps[] = {{1000, "1us"}, {5000, "5us"}, {20000, "20us"}, {100000, "100us"}, {1000000, "1ms"}};

struct gap {
	uint64_t from_ns;
	uint64_t to_ns;
};

struct watcher {
	pthread_t thread;
	int cpu;
	bool moved; /* it could be put on its CPU */
	uint64_t from_ns;
	uint64_t to_ns;
	uint32_t count;
	struct gap *gaps;
};

/* One of the three that a request goes through. */
struct place {
	const struct watcher *w;
	uint32_t at; /* gaps before it are over */
	double free_ns;
	double cost_ns;
};

static void *watch(void *arg)
{
	struct watcher *w = arg;
	cpu_set_t set;
	uint64_t last_ns;

	CPU_ZERO(&set);
	CPU_SET((size_t)w->cpu, &set);
	w->moved = sched_setaffinity(0, sizeof(set), &set) == 0;
	last_ns = clock_mono_ns();
	while (last_ns < w->to_ns && w->count < GAPS_MAX) {
		uint64_t now_ns = clock_mono_ns();

		if (unlikely(now_ns - last_ns > GAP_NS && last_ns >= w->from_ns))
			w->gaps[w->count++] = (struct gap){last_ns, now_ns};
		last_ns = now_ns;
	}
	return NULL;
}

static bool watch_both(struct watcher w[2], uint32_t seconds)
{
	uint64_t from_ns = clock_mono_ns() + 10 * NS_PER_MS;

	for (int i = 0; i < 2; i++) {
		w[i].gaps = calloc(GAPS_MAX, sizeof(struct gap));
		w[i].from_ns = from_ns;
		w[i].to_ns = from_ns + seconds * NS_PER_S;
		if (w[i].gaps == NULL || pthread_create(&w[i].thread, NULL, watch, &w[i]) != 0)
			exit(EXIT_FAILURE);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	return w[0].moved && w[1].moved;
}

/* When it is done with what came at ready_ns. */
static double pass(struct place *p, double ready_ns)
{
	double at_ns = fmax(ready_ns, p->free_ns);
	double end_ns = at_ns + p->cost_ns;

	for (; p->at < p->w->count; p->at++) {
		const struct gap *g = &p->w->gaps[p->at];

		if ((double)g->from_ns >= end_ns)
			break;
		if ((double)g->to_ns > at_ns)
			end_ns += (double)g->to_ns - fmax(at_ns, (double)g->from_ns);
	}
	p->free_ns = end_ns;
	/* The last one may reach beyond this request. */
	p->at -= p->at > 0;
	return end_ns;
}

static double between(uint64_t *random, double mean_ns)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return -log(((double)(*random >> 11) + 1) / 9007199254740993.0) * mean_ns;
}

static void play(struct report *r, const struct watcher w[2], uint32_t percent)
{
	struct place send = {.w = &w[1], .cost_ns = CLIENT_NS};
	struct place serve = {.w = &w[0], .cost_ns = SERVE_NS};
	struct place receive = {.w = &w[1], .cost_ns = CLIENT_NS};
	double mean_ns = SERVE_NS * 100 / percent;
	uint64_t random = 88172645463325252u;
	static struct load_hist hist;

	hist = (struct load_hist){0};
	for (double at_ns = (double)w[0].from_ns; at_ns < (double)w[0].to_ns;
	     at_ns += between(&random, mean_ns)) {
		double end_ns = pass(&receive, pass(&serve, pass(&send, at_ns)));

		load_hist_add(&hist, (uint64_t)(end_ns - at_ns));
	}
	report_add(r, 1e9 / mean_ns, "", "at_%u_rate_per_s", percent);
	report_add(r, (double)load_hist_quantile_ns(&hist, 0.5) / 1e3, "", "at_%u_p50_us", percent);
	report_add(r, (double)load_hist_quantile_ns(&hist, 0.99) / 1e3, "", "at_%u_p99_us",
	           percent);
	report_add(r, (double)load_hist_quantile_ns(&hist, 0.999) / 1e3, "", "at_%u_p99_9_us",
	           percent);
}

static void gaps_report(struct report *r, const struct watcher *w, const char *who, double seconds)
{
	uint64_t counts[STEP_COUNT] = {0};
	uint64_t lost_ns = 0;
	uint64_t worst_ns = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		uint64_t len_ns = w->gaps[i].to_ns - w->gaps[i].from_ns;

		for (size_t k = 0; k < STEP_COUNT; k++)
			counts[k] += len_ns >= steps[k].least_ns;
		lost_ns += len_ns;
		worst_ns = max_u64(worst_ns, len_ns);
	}
	for (size_t k = 0; k < STEP_COUNT; k++)
		report_add(r, (double)counts[k] / seconds, "so long and longer, a second",
		           "%s_gaps_%s_per_s", who, steps[k].name);
	report_add(r, (double)lost_ns / (seconds * 1e7), "of its time", "%s_away_percent", who);
	report_add(r, (double)worst_ns / 1e3, "longest", "%s_worst_us", who);
}

int main(int argc, char **argv)
{
	struct watcher w[2] = {{.cpu = 1}, {.cpu = 0}};
	uint32_t seconds;
	struct report r;
	int rest = report_init(&r,
	                       "How two CPUs are interrupted, and what latency that alone makes: "
	                       "bench_noise [SERVER_CPU CLIENT_CPU]",
	                       argc, argv);

	if (rest != 0 && rest != 2) {
		(void)fprintf(stderr, "bench_noise takes no CPUs or two; see --help\n");
		return 2;
	}
	for (int i = 0; i < rest; i++)
		w[i].cpu = atoi(r.argv[i]);
	seconds = r.short_run ? 1 : SECONDS;
	if (!watch_both(w, seconds)) {
		(void)fprintf(stderr,
		              "bench_noise: there are no CPUs %d and %d for this process; name "
		              "two that it may use\n",
		              w[0].cpu, w[1].cpu);
		return EXIT_FAILURE;
	}
	gaps_report(&r, &w[0], "server", seconds);
	gaps_report(&r, &w[1], "client", seconds);
	play(&r, w, 30);
	play(&r, w, 70);
	for (int i = 0; i < 2; i++)
		free(w[i].gaps);
	report_print(&r);
	free(r.argv);
	return EXIT_SUCCESS;
}
