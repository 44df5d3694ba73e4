/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a message between the two processes costs: one way in bursts, there and back, and to a side
 * that sleeps. Two threads on two CPUs stand for the processes; the memory is the same memfd. */
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/doorbell.h"
#include "perf/report.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_NS    (5 * NS_PER_S)
#define READ_BURST 32u
#define TRIES      5

/* One run: a fresh channel, the far side in its own thread. */
struct run {
	struct chan ch;
	struct chan_port near;
	struct chan_port far;
	int near_fd;
	int far_fd;
	uint64_t messages;
	uint32_t burst;
	uint64_t far_sleeps;
	pthread_t thread;
};

static const struct chan_geometry geometry = {
        .cores = 1,
        .ring_entries = 1024,
        .up_block_bytes = 4096,
        .up_blocks = 16,
        .down_block_bytes = 4096,
        .down_blocks = 16,
};

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void die(const char *what, enum status st)
{
	fprintf(stderr, "bench_chan: %s: %s\n", what, status_text(st));
	exit(1);
}

/* Without a second CPU the figures are of the scheduler, and "cpus" in the report says so. */
static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void run_begin(struct run *r, uint64_t messages, uint32_t burst, void *(*far)(void *))
{
	*r = (struct run){.messages = messages, .burst = burst};
	enum status st = chan_create(&r->ch, &geometry, true);
	if (st == ST_OK)
		st = doorbell_create(&r->near_fd);
	if (st == ST_OK)
		st = doorbell_create(&r->far_fd);
	if (st != ST_OK)
		die("set-up", st);
	chan_port_core(&r->ch, 0, &r->near);
	chan_port_control(&r->ch, 0, &r->far);
	r->near.ring_fd = r->far.wait_fd = r->far_fd;
	r->far.ring_fd = r->near.wait_fd = r->near_fd;
	if (pthread_create(&r->thread, NULL, far, r) != 0)
		die("thread", ST_NOMEM);
}

static void run_end(struct run *r)
{
	pthread_join(r->thread, NULL);
	close(r->near_fd);
	close(r->far_fd);
	chan_close(&r->ch);
}

static void send_number(struct chan_port *p, uint64_t n)
{
	struct chan_msg *m;

	while ((m = chan_slot(p)) == NULL)
		cpu_relax();
	m->type = CHAN_BODY;
	m->n = n;
	chan_push(p);
}

static uint64_t recv_number(struct chan_port *p)
{
	struct chan_msg m;

	while (!chan_recv(p, &m))
		cpu_relax();
	chan_rx_done(p);
	return m.n;
}

static void *far_reads(void *arg)
{
	struct run *r = arg;
	struct chan_msg m;
	uint64_t sum = 0;

	pin(1);
	for (uint64_t got = 0; got < r->messages;) {
		uint32_t n = 0;
		while (n < READ_BURST && chan_recv(&r->far, &m)) {
			sum += m.n;
			n++;
		}
		got += n;
		chan_rx_done(&r->far);
	}
	if (sum != r->messages * (r->messages - 1) / 2)
		die("lost messages", ST_CORRUPT);
	return NULL;
}

static void send_all(struct run *r)
{
	for (uint64_t i = 0; i < r->messages;) {
		uint64_t end = min_u64(i + r->burst, r->messages);
		while (i < end)
			send_number(&r->near, i++);
		chan_flush(&r->near);
	}
}

static const uint32_t bursts[] = {1, 8, 32};

/* The least of several: what else runs on the machine only ever adds. */
static double one_way_cycles(uint64_t messages, uint32_t burst)
{
	double best = 0;

	for (int i = 0; i < TRIES; i++) {
		struct run r;
		run_begin(&r, messages / TRIES, burst, far_reads);
		uint64_t start = clock_cycles();
		send_all(&r);
		run_end(&r);
		double cycles = (double)(clock_cycles() - start) / (double)(messages / TRIES);
		if (i == 0 || cycles < best)
			best = cycles;
	}
	return best;
}

static void bench_one_way(struct report *out, uint64_t messages)
{
	for (size_t i = 0; i < ARRAY_LEN(bursts); i++) {
		double cycles = one_way_cycles(messages, bursts[i]);
		report_add(out, cycles / clock_cycles_per_ns(), "a message, best of 5",
		           "one_way_burst%u_ns", bursts[i]);
		report_add(out, cycles, "a message, best of 5", "one_way_burst%u_cycles",
		           bursts[i]);
	}
}

static void *far_echoes(void *arg)
{
	struct run *r = arg;

	pin(1);
	for (uint64_t i = 0; i < r->messages; i++) {
		send_number(&r->far, recv_number(&r->far));
		chan_flush(&r->far);
	}
	return NULL;
}

static void add_quantiles(struct report *out, const char *what, const struct hist *h)
{
	report_add(out, (double)hist_quantile_ns(h, 0.5), "", "%s_p50_ns", what);
	report_add(out, (double)hist_quantile_ns(h, 0.99), "", "%s_p99_ns", what);
}

static void bench_round_trip(struct report *out, uint64_t messages)
{
	struct hist h = {0};
	struct run r;
	double rate = clock_cycles_per_ns();

	run_begin(&r, messages, 1, far_echoes);
	for (uint64_t i = 0; i < messages; i++) {
		uint64_t start = clock_cycles();
		send_number(&r.near, i);
		chan_flush(&r.near);
		if (recv_number(&r.near) != i)
			die("wrong echo", ST_CORRUPT);
		hist_add(&h, (uint64_t)((double)(clock_cycles() - start) / rate));
	}
	run_end(&r);
	add_quantiles(out, "round_trip", &h);
}

static void sleep_until_rung(struct run *r)
{
	if (!chan_prepare_sleep(&r->far))
		return;
	r->far_sleeps++;
	if (!doorbell_wait(r->far.wait_fd, WAIT_NS))
		die("lost wake-up", ST_TIMEOUT);
	doorbell_clear(r->far.wait_fd);
	chan_awake(&r->far);
}

/* Goes to sleep whenever the ring is empty. */
static void *far_sleeps(void *arg)
{
	struct run *r = arg;
	struct chan_msg m;

	pin(1);
	for (uint64_t got = 0; got < r->messages;) {
		uint32_t n = 0;
		while (n < READ_BURST && chan_recv(&r->far, &m))
			n++;
		got += n;
		chan_rx_done(&r->far);
		if (n == 0)
			sleep_until_rung(r);
	}
	return NULL;
}

static void bench_doorbells(struct report *out, uint64_t messages)
{
	for (size_t i = 0; i < ARRAY_LEN(bursts); i++) {
		struct run r;
		uint64_t rings = 0;
		run_begin(&r, messages, bursts[i], far_sleeps);
		for (uint64_t k = 0; k < messages;) {
			uint64_t end = min_u64(k + bursts[i], messages);
			while (k < end)
				send_number(&r.near, k++);
			rings += chan_flush(&r.near);
		}
		run_end(&r);
		report_add(out, (double)rings * 1000 / (double)messages,
		           "to a side that never spins", "burst%u_doorbells_per_1000", bursts[i]);
	}
}

/* Answers each message with the time at which it was seen. */
static void *far_wakes(void *arg)
{
	struct run *r = arg;
	struct chan_msg m;

	pin(1);
	for (uint64_t i = 0; i < r->messages; i++) {
		while (!chan_recv(&r->far, &m))
			sleep_until_rung(r);
		uint64_t seen_ns = clock_mono_ns();
		chan_rx_done(&r->far);
		send_number(&r->far, seen_ns);
		chan_flush(&r->far);
	}
	return NULL;
}

static void bench_wake_up(struct report *out, uint64_t messages)
{
	const uint64_t settle_ns = 20 * NS_PER_US; /* from asleep to really in the kernel */
	struct hist wake = {0}, ring = {0};
	struct run r;

	run_begin(&r, messages, 1, far_wakes);
	for (uint64_t i = 0; i < messages; i++) {
		while (__atomic_load_n(&r.near.tx.shared->asleep, __ATOMIC_RELAXED) == 0)
			cpu_relax();
		uint64_t start_ns = clock_mono_ns();
		while (clock_mono_ns() - start_ns < settle_ns)
			cpu_relax();
		send_number(&r.near, i);
		start_ns = clock_mono_ns();
		bool rang = chan_flush(&r.near);
		uint64_t flushed_ns = clock_mono_ns();
		uint64_t seen_ns = recv_number(&r.near);
		if (!rang || seen_ns < start_ns)
			continue;
		hist_add(&wake, seen_ns - start_ns);
		hist_add(&ring, flushed_ns - start_ns);
	}
	run_end(&r);
	add_quantiles(out, "wake_up", &wake);
	add_quantiles(out, "flush_with_ring", &ring);
}

int main(int argc, char **argv)
{
	static struct report report;
	int left = report_init(
	        &report,
	        "What a message between the dataplane and control costs, on two CPUs: one\n"
	        "way, there and back, and the wake-up of a side that sleeps.",
	        argc, argv);

	if (left != 0) {
		fprintf(stderr, "bench_chan: unknown argument %s\n", report.argv[0]);
		return 2;
	}
	uint64_t messages = report.short_run ? 100000 : 4000000;
	pin(0);
	clock_cycles_per_ns();
	bench_one_way(&report, messages);
	bench_round_trip(&report, messages / 20);
	bench_doorbells(&report, messages / 4);
	bench_wake_up(&report, messages / 1000);
	report_print(&report);
	free(report.argv);
	return 0;
}
