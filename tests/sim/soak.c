/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/soak.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

#define RUN_MOST_S  600
#define PROGRESS_NS (10 * NS_PER_S)

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool run_here(struct run *run)
{
	uint64_t start_ns = clock_mono_ns();
	double start_s = cpu_s();

	if (run->sc.level == LEVEL_WEB)
		web_run(run);
	else
		world_run(run);
	run->took_s = (double)(clock_mono_ns() - start_ns) / 1e9;
	run->cpu_s = cpu_s() - start_s;
	return !run->failed;
}

static void child_judge(struct run *run, int status, bool ended)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		run_fail(run, 0, "no end within %d s", RUN_MOST_S);
	else if (WIFSIGNALED(status))
		run_fail(run, 0, "crash: %s", strsignal(WTERMSIG(status)));
	else if (!ended)
		run_fail(run, 0, "crash: the run ended with status %d", WEXITSTATUS(status));
}

bool run_apart(struct run *run)
{
	struct run *shared = mmap(NULL, sizeof(*run) + 1, PROT_READ | PROT_WRITE,
	                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	if (shared == MAP_FAILED)
		return run_here(run);
	*shared = *run;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		alarm(RUN_MOST_S);
		run_here(shared);
		((char *)shared)[sizeof(*run)] = 1;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*run = *shared;
	child_judge(run, status, ((char *)shared)[sizeof(*run)] == 1);
	munmap(shared, sizeof(*run) + 1);
	return !run->failed;
}

void run_print(const struct run *run)
{
	printf("%-4s %-14s seed %-8llu %7llu conns (%llu cut) %9llu packets (%llu lost, %llu "
	       "corrupted, %llu marked, %llu resent) %6.1f s in %.2f s of "
	       "CPU, %.0f packets/s, digest %016llx\n",
	       run->failed ? "FAIL" : "ok", run->sc.name, (unsigned long long)run->seed,
	       (unsigned long long)run->conns, (unsigned long long)run->cut,
	       (unsigned long long)run->packets, (unsigned long long)run->lost,
	       (unsigned long long)run->corrupted, (unsigned long long)run->marked,
	       (unsigned long long)run->resent, run->at_s, run->cpu_s,
	       run->cpu_s > 0 ? (double)run->packets / run->cpu_s : 0,
	       (unsigned long long)run->digest);
	if (run->failed)
		printf("     at %.6f s: %s\n", run->at_s, run->why);
	fflush(stdout);
}

struct totals {
	uint64_t runs;
	uint64_t conns;
	uint64_t packets;
	uint64_t bytes;
	double cpu_s;
};

static void progress(const struct totals *t, uint64_t took_ns, uint64_t seed)
{
	double s = (double)took_ns / 1e9;

	printf("%7.0f s  %llu runs  %llu conns (%.0f/s)  %llu packets (%.0f/s)  %.1f GB checked  "
	       "seed %llu\n",
	       s, (unsigned long long)t->runs, (unsigned long long)t->conns, (double)t->conns / s,
	       (unsigned long long)t->packets, (double)t->packets / s, (double)t->bytes / 1e9,
	       (unsigned long long)seed);
	fflush(stdout);
}

bool soak_run(const struct soak *s)
{
	uint64_t start_ns = clock_mono_ns();
	uint64_t end_ns = s->minutes > 0 ? start_ns + (uint64_t)(s->minutes * 60e9) : UINT64_MAX;
	uint64_t tell_ns = start_ns + PROGRESS_NS;
	static struct run run;
	struct totals t = {0};
	uint64_t seed = s->seed;

	printf("soak from seed %llu on, scenario %s\n", (unsigned long long)seed,
	       s->sc != NULL ? s->sc->name : "random");
	fflush(stdout);
	for (run.failed = false;
	     !run.failed && clock_mono_ns() < end_ns && (s->conns == 0 || t.conns < s->conns);
	     seed++) {
		run = (struct run){.seed = seed};
		if (s->sc != NULL)
			run.sc = *s->sc;
		else
			scenario_random(&run.sc, seed);
		run_apart(&run);
		t.runs++;
		t.conns += run.conns;
		t.packets += run.packets;
		t.bytes += run.bytes;
		t.cpu_s += run.cpu_s;
		if (clock_mono_ns() >= tell_ns) {
			tell_ns += PROGRESS_NS;
			progress(&t, clock_mono_ns() - start_ns, seed);
		}
	}
	progress(&t, clock_mono_ns() - start_ns, seed - 1);
	printf("seeds %llu to %llu: %s; %.0f connections and %.0f packets a second of CPU\n",
	       (unsigned long long)s->seed, (unsigned long long)seed - 1,
	       run.failed ? "FAILED" : "ok", (double)t.conns / t.cpu_s,
	       (double)t.packets / t.cpu_s);
	if (run.failed) {
		run_print(&run);
		shrink(&run, s->folder);
	}
	return !run.failed;
}
