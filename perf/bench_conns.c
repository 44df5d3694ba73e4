/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection table from empty to full: time of an insert, a lookup, a removal, and the worst of
 * each; then as many connections made by a scripted client, each with one request, and left idle
 * until their keep-alive timers have run: memory of each, and the longest that a core would have
 * stood still. */
#include "lib/clock.h"
#include "perf/report.h"
#include "perf/tcp_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	ROUNDS = 3,
	SUSPECT_CYCLES = 20000, /* so long that it may have been an interruption */
	IDLE_S = 70,            /* beyond the first keep-alive probe */
};

enum mode {
	MODE_LAZY,  /* ordinary pages, there at first use */
	MODE_AHEAD, /* ordinary pages, there before (tcp_touch_ahead) */
	MODE_HUGE,
	MODES,
};

static const char *const mode_name[MODES] = {"lazy", "ahead", "huge"};

struct bench {
	struct tcp_bench stack;
	uint32_t count;
	uint32_t *ack; /* what each peer acknowledges next */
	uint32_t *order;
	bool ahead; /* another thread touches the memory before it is used */
};

/* Of one kind of operation. */
struct timing {
	uint64_t sum;
	uint64_t n;
	uint64_t worst;
	uint64_t broken; /* by another process, as the kernel counts; not in worst */
};

static long switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

static uint64_t resident_bytes(void)
{
	unsigned long all = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	bench_must(f && fscanf(f, "%lu %lu", &all, &resident) == 2, "statm");
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void took(struct timing *t, uint64_t begin)
{
	static long seen;
	uint64_t cycles = clock_cycles() - begin;
	long now;

	t->n++;
	if (likely(cycles < SUSPECT_CYCLES)) {
		t->sum += cycles;
		if (cycles > t->worst)
			t->worst = cycles;
		return;
	}
	now = switches();
	if (now != seen) {
		seen = now;
		t->broken++;
		t->n--;
		return;
	}
	t->sum += cycles;
	if (cycles > t->worst)
		t->worst = cycles;
}

/* As the dataplane's main thread does, each time some hundred connections came. */
static void touch(struct bench *b, uint32_t i)
{
	if (b->ahead && i % 512 == 0)
		tcp_touch_ahead(b->stack.tcp);
}

static void bench_open(struct bench *b, uint32_t count, enum mode mode)
{
	struct nic_sim_config nic = {.buffers = 1024};
	struct tcp_config cfg;

	memset(b, 0, sizeof(*b));
	b->count = count;
	b->ack = calloc(count, sizeof(uint32_t));
	b->order = calloc(count, sizeof(uint32_t));
	bench_must(b->ack && b->order, "no memory");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = (uint32_t)((i * 2654435761ull) % (i + 1));

		b->order[i] = b->order[j];
		b->order[j] = i;
	}
	tcp_config_default(&cfg);
	cfg.max_conns = count;
	cfg.max_syn_backlog = 1024;
	cfg.huge_pages = mode == MODE_HUGE;
	tcp_bench_open(&b->stack, &cfg, &nic);
	b->ahead = mode == MODE_AHEAD;
	touch(b, 0);
}

static void bench_close(struct bench *b)
{
	tcp_bench_close(&b->stack);
	free(b->ack);
	free(b->order);
}

struct table_run {
	struct timing insert;
	struct timing lookup;
	struct timing remove;
};

static void table_run(struct bench *b, struct table_run *r)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = tcp_bench_key(i);
		struct net_path path = {.local = key.local, .remote = key.remote};
		uint64_t begin = clock_cycles();
		struct conn *c = conn_new(b->stack.tcp, &path, &key);

		took(&r->insert, begin);
		touch(b, i);
		bench_must(c != NULL, "table full");
	}
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = tcp_bench_key(b->order[i]);
		uint64_t begin = clock_cycles();
		struct conn *c = conn_lookup(b->stack.tcp, &key, conn_hash(b->stack.tcp, &key));

		took(&r->lookup, begin);
		bench_must(c != NULL, "lost");
	}
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = tcp_bench_key(b->order[i]);
		struct conn *c = conn_lookup(b->stack.tcp, &key, conn_hash(b->stack.tcp, &key));
		uint64_t begin = clock_cycles();

		conn_unhash(b->stack.tcp, c);
		conn_free(b->stack.tcp, c);
		took(&r->remove, begin);
	}
	bench_must(tcp_conn_count(b->stack.tcp) == 0, "some left");
}

/* off: of the number, behind that of the SYN. */
static void segment(struct bench *b, uint32_t conn, uint8_t flags, uint32_t off)
{
	struct tcp_bench_seg s = {conn, conn * 7919 + off, b->ack[conn], flags};

	tcp_bench_segment(&b->stack, 0, &s);
}

/* One round of a core: a packet, the owner's turn, timers. */
static void core_round(struct bench *b, struct timing *t)
{
	struct tcp_bench *st = &b->stack;
	uint64_t begin = clock_cycles();

	tcp_input_burst(st->tcp, st->pkts, 1, st->now_ns);
	tcp_bench_answer(st);
	tcp_timers(st->tcp, st->now_ns);
	took(t, begin);
	st->now_ns += 2 * NS_PER_US;
}

/* Handshake, request, answer, and its ACK, for each. */
static void connect_all(struct bench *b, struct timing *t)
{
	for (uint32_t i = 0; i < b->count; i++) {
		segment(b, i, TH_SYN, 0);
		core_round(b, t);
		b->ack[i] = b->stack.last_seq + 1;
		segment(b, i, TH_ACK, 1);
		core_round(b, t);
		segment(b, i, TH_ACK | TH_PSH, 1);
		core_round(b, t);
		b->ack[i] += BENCH_ANSWER_BYTES;
		segment(b, i, TH_ACK, 1 + BENCH_REQUEST_BYTES);
		core_round(b, t);
		touch(b, i);
	}
	bench_must(tcp_conn_count(b->stack.tcp) == b->count, "handshakes failed");
}

static void idle(struct bench *b, struct timing *t)
{
	struct tcp_bench *st = &b->stack;
	uint64_t end = st->now_ns + IDLE_S * NS_PER_S;

	while (st->now_ns < end) {
		uint64_t begin = clock_cycles();

		tcp_timers(st->tcp, st->now_ns);
		net_flush(st->net);
		took(t, begin);
		/* Time waits while there is work: the core would be back within microseconds. */
		st->now_ns = max_u64(st->now_ns + 50 * NS_PER_US,
		                     min_u64(tcp_next_timer_ns(st->tcp), end));
	}
}

static void put(struct report *r, const struct timing *t, const char *name, const char *what)
{
	double ns = 1 / clock_cycles_per_ns();

	report_add(r, (double)t->sum / (double)t->n * ns, "mean", "%s_%s_ns", name, what);
	report_add(r, (double)t->worst * ns / 1000, "worst", "%s_%s_worst_us", name, what);
}

/* The quietest of several: what the code itself does it does every time. */
static void best(struct timing *to, const struct timing *t)
{
	if (to->n == 0 || t->worst < to->worst)
		*to = *t;
}

/* What the machine itself takes from an empty loop, at its quietest: no figure says less. */
static void noise(struct report *r)
{
	struct timing quiet = {0};

	for (uint32_t i = 0; i < (r->short_run ? 1 : ROUNDS); i++) {
		uint64_t end = clock_mono_ns() + NS_PER_S / 2;
		struct timing t = {0};

		while (clock_mono_ns() < end)
			for (uint32_t k = 0; k < 1000; k++)
				took(&t, clock_cycles());
		best(&quiet, &t);
	}
	put(r, &quiet, "machine", "nothing");
}

static void measure(struct report *r, uint32_t count, enum mode mode)
{
	static struct bench b;
	struct table_run all = {0};
	struct timing rounds = {0};
	struct timing quiet = {0};
	uint64_t bytes = 0;
	char name[32];

	for (uint32_t i = 0; i < (r->short_run ? 1 : ROUNDS); i++) {
		struct table_run run = {0};
		struct timing busy = {0};
		struct timing none = {0};
		uint64_t before;

		bench_open(&b, count, mode);
		if (mode == MODE_HUGE && !b.stack.tcp->mem.huge) {
			fprintf(stderr, "bench_conns: no huge pages for %u connections\n", count);
			bench_close(&b);
			return;
		}
		table_run(&b, &run);
		bench_close(&b);
		best(&all.insert, &run.insert);
		best(&all.lookup, &run.lookup);
		best(&all.remove, &run.remove);

		bench_open(&b, count, mode);
		before = resident_bytes();
		connect_all(&b, &busy);
		bytes = resident_bytes() - before;
		idle(&b, &none);
		bench_close(&b);
		best(&rounds, &busy);
		best(&quiet, &none);
	}
	snprintf(name, sizeof(name), "%u_%s", count, mode_name[mode]);
	put(r, &all.insert, name, "insert");
	put(r, &all.lookup, name, "lookup");
	put(r, &all.remove, name, "remove");
	put(r, &rounds, name, "round");
	put(r, &quiet, name, "idle_timers");
	if (mode == MODE_LAZY)
		report_add(r, (double)bytes / count, "resident, idle after a request",
		           "%s_conn_bytes", name);
}

int main(int argc, char **argv)
{
	struct report r;

	if (report_init(
	            &r,
	            "The connection table from 0 to 10,000 and to 1,000,000 connections: mean and "
	            "worst "
	            "time of an insert, a lookup and a removal; of a core's round with one packet "
	            "while a scripted client makes so many connections with a request each; and of "
	            "a "
	            "round of timers while all are idle beyond the first keep-alive probe. Memory "
	            "a "
	            "connection holds then. On ordinary pages that come at first use, on such that "
	            "another thread has there before (as the dataplane does), and on huge ones "
	            "when "
	            "there are enough (vm.nr_hugepages). An operation during which the kernel "
	            "counts an "
	            "involuntary switch is left out; the quietest of three runs.",
	            argc, argv) > 0) {
		fprintf(stderr, "bench_conns: no arguments besides options\n");
		return 2;
	}
	noise(&r);
	for (enum mode mode = 0; mode < MODES; mode++) {
		measure(&r, 10000, mode);
		measure(&r, r.short_run ? 100000 : 1000000, mode);
	}
	report_print(&r);
	free(r.argv);
	return 0;
}
