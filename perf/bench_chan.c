/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a message between the two processes costs: one way in bursts, there and back, and to a side
 * that sleeps. Two threads on two CPUs stand for the processes; the memory is the same memfd. */
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/doorbell.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FIGURES_MAX     32u
#define FIGURE_NAME_MAX 64u
#define WAIT_NS         (5 * NS_PER_S)
#define READ_BURST      32u

struct figure {
	char name[FIGURE_NAME_MAX];
	double value;
};

struct report {
	struct figure figures[FIGURES_MAX];
	size_t count;
};

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

static void add_figure(struct report *r, const char *name, double value)
{
	if (r->count == FIGURES_MAX)
		die("too many figures", ST_FULL);
	struct figure *f = &r->figures[r->count++];
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->value = value;
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

static void bench_one_way(struct report *out, uint64_t messages)
{
	for (size_t i = 0; i < ARRAY_LEN(bursts); i++) {
		struct run r;
		char name[FIGURE_NAME_MAX];
		run_begin(&r, messages, bursts[i], far_reads);
		uint64_t start = clock_cycles();
		send_all(&r);
		run_end(&r);
		double cycles = (double)(clock_cycles() - start) / (double)messages;
		snprintf(name, sizeof(name), "one_way_burst%u_ns", bursts[i]);
		add_figure(out, name, cycles / clock_cycles_per_ns());
		snprintf(name, sizeof(name), "one_way_burst%u_cycles", bursts[i]);
		add_figure(out, name, cycles);
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
	char name[FIGURE_NAME_MAX];

	snprintf(name, sizeof(name), "%s_p50_ns", what);
	add_figure(out, name, (double)hist_quantile_ns(h, 0.5));
	snprintf(name, sizeof(name), "%s_p99_ns", what);
	add_figure(out, name, (double)hist_quantile_ns(h, 0.99));
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
		char name[FIGURE_NAME_MAX];
		uint64_t rings = 0;
		run_begin(&r, messages, bursts[i], far_sleeps);
		for (uint64_t k = 0; k < messages;) {
			uint64_t end = min_u64(k + bursts[i], messages);
			while (k < end)
				send_number(&r.near, k++);
			rings += chan_flush(&r.near);
		}
		run_end(&r);
		snprintf(name, sizeof(name), "burst%u_doorbells_per_1000", bursts[i]);
		add_figure(out, name, (double)rings * 1000 / (double)messages);
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

static void machine_name(char *out, size_t cap)
{
	char line[256], model[200] = "unknown";
	struct utsname u;
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "model name : %199[^\"\\\n]", model) == 1)
			break;
	if (f != NULL)
		fclose(f);
	uname(&u);
	snprintf(out, cap, "%s, %ld cpus, %s %s", model, sysconf(_SC_NPROCESSORS_ONLN), u.sysname,
	         u.release);
}

static void print_json(const struct report *r, uint64_t messages)
{
	char machine[512];

	machine_name(machine, sizeof(machine));
	printf("{\"name\": \"chan\", \"figures\": {");
	for (size_t i = 0; i < r->count; i++)
		printf("%s\"%s\": %.2f", i == 0 ? "" : ", ", r->figures[i].name,
		       r->figures[i].value);
	printf("}, \"machine\": \"%s\", \"command\": \"bench_chan --json --messages %llu\"}\n",
	       machine, (unsigned long long)messages);
}

static void print_table(const struct report *r)
{
	for (size_t i = 0; i < r->count; i++)
		printf("%-32s %12.2f\n", r->figures[i].name, r->figures[i].value);
}

static void print_help(void)
{
	puts("Usage: bench_chan [--json] [--messages N]\n"
	     "What a message between the dataplane and control costs, on two CPUs.\n"
	     "  --json        one JSON object instead of a table\n"
	     "  --messages N  messages a throughput run (default 4000000, at least 1000)\n"
	     "  --help        this text");
}

static bool parse_count(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || v < 1000 || v > 1000000000)
		return false;
	*out = v;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"json", no_argument, NULL, 'j'},
	        {"messages", required_argument, NULL, 'm'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	static struct report report;
	uint64_t messages = 4000000;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'j') {
			json = true;
		} else if (opt == 'h') {
			print_help();
			return 0;
		} else if (opt != 'm' || !parse_count(optarg, &messages)) {
			fprintf(stderr, "bench_chan: bad arguments, see --help\n");
			return 2;
		}
	}
	pin(0);
	clock_cycles_per_ns();
	bench_one_way(&report, messages);
	bench_round_trip(&report, messages / 20);
	bench_doorbells(&report, messages / 4);
	bench_wake_up(&report, max_u64(messages / 1000, 100));
	if (json)
		print_json(&report, messages);
	else
		print_table(&report);
	return 0;
}
