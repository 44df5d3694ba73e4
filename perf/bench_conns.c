/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection table from empty to full: time of an insert, a lookup, a removal, and the worst of
 * each; then as many connections made by a scripted client, each with one request, and left idle
 * until their keep-alive timers have run: memory of each, and the longest that a core would have
 * stood still. */
#include "dataplane/tcp/conn.h"
#include "lib/clock.h"
#include "perf/report.h"
#include "tests/sim/nic_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	PORT = 80,
	PORTS = 60000, /* of a client address */
	REQUEST_BYTES = 100,
	ANSWER_BYTES = 300,
	FRAME_BYTES = 256,
	HDR_OFF = 34,
	BURST = 32,
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
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	uint64_t now_ns;
	uint32_t count;
	uint32_t last_seq;
	uint32_t *ack; /* what each peer acknowledges next */
	uint32_t *order;
	bool ahead; /* another thread touches the memory before it is used */
	uint8_t frames[BURST][FRAME_BYTES];
	struct pkt pkts[BURST];
};

/* Of one kind of operation. */
struct timing {
	uint64_t sum;
	uint64_t n;
	uint64_t worst;
	uint64_t broken; /* by another process, as the kernel counts; not in worst */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_conns: %s\n", what);
	exit(1);
}

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

	must(f && fscanf(f, "%lu %lu", &all, &resident) == 2, "statm");
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

static void sent(void *arg, const void *data, uint32_t len)
{
	struct bench *b = arg;

	if (len >= HDR_OFF + 8)
		b->last_seq = get_u32((const uint8_t *)data + HDR_OFF + 4);
}

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

/* As the dataplane's main thread does, each time some hundred connections came. */
static void touch(struct bench *b, uint32_t i)
{
	if (b->ahead && i % 512 == 0)
		tcp_touch_ahead(b->tcp);
}

static void bench_open(struct bench *b, uint32_t count, enum mode mode)
{
	struct nic_sim_config nic = {.buffers = 1024, .on_tx = sent, .arg = b};
	struct tcp_env env = {.ctr = &b->ctr, .release = release};
	struct tcp_config cfg;
	struct ip_addr addr;

	memset(b, 0, sizeof(*b));
	b->now_ns = NS_PER_S;
	b->count = count;
	b->ack = calloc(count, sizeof(uint32_t));
	b->order = calloc(count, sizeof(uint32_t));
	must(b->ack && b->order && ip_addr_parse("10.0.0.1", &addr), "no memory");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = (uint32_t)((i * 2654435761ull) % (i + 1));

		b->order[i] = b->order[j];
		b->order[j] = i;
	}
	b->nic = nic_sim_create(&nic);
	must(b->nic && net_create(&b->net, b->nic, &b->ctr, &addr, 1) == ST_OK, "net");
	env.net = b->net;
	tcp_config_default(&cfg);
	cfg.max_conns = count;
	cfg.max_syn_backlog = 1024;
	cfg.huge_pages = mode == MODE_HUGE;
	must(tcp_create(&b->tcp, &cfg, &env, b->now_ns) == ST_OK, "tcp");
	must(tcp_listen(b->tcp, &addr, PORT) == ST_OK, "listen");
	b->ahead = mode == MODE_AHEAD;
	touch(b, 0);
}

static void bench_close(struct bench *b)
{
	tcp_destroy(b->tcp);
	net_destroy(b->net);
	nic_sim_destroy(b->nic);
	free(b->ack);
	free(b->order);
}

static struct conn_key key_of(uint32_t i)
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	struct conn_key key = {.lport = PORT, .rport = (uint16_t)(1024 + i % PORTS)};

	memcpy(key.local.b, v4, 12);
	memcpy(key.local.b + 12, (const uint8_t[]){10, 0, 0, 1}, 4);
	memcpy(key.remote.b, v4, 12);
	memcpy(key.remote.b + 12, (const uint8_t[]){10, 0, (uint8_t)(1 + i / PORTS), 2}, 4);
	return key;
}

struct table_run {
	struct timing insert;
	struct timing lookup;
	struct timing remove;
};

static void table_run(struct bench *b, struct table_run *r)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = key_of(i);
		struct net_path path = {.local = key.local, .remote = key.remote};
		uint64_t begin = clock_cycles();
		struct conn *c = conn_new(b->tcp, &path, &key);

		took(&r->insert, begin);
		touch(b, i);
		must(c != NULL, "table full");
	}
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = key_of(b->order[i]);
		uint64_t begin = clock_cycles();
		struct conn *c = conn_lookup(b->tcp, &key, conn_hash(b->tcp, &key));

		took(&r->lookup, begin);
		must(c != NULL, "lost");
	}
	for (uint32_t i = 0; i < b->count; i++) {
		struct conn_key key = key_of(b->order[i]);
		struct conn *c = conn_lookup(b->tcp, &key, conn_hash(b->tcp, &key));
		uint64_t begin = clock_cycles();

		conn_unhash(b->tcp, c);
		conn_free(b->tcp, c);
		took(&r->remove, begin);
	}
	must(tcp_conn_count(b->tcp) == 0, "some left");
}

static void segment(struct bench *b, uint32_t at, uint32_t conn, uint8_t flags)
{
	uint8_t *f = b->frames[at];
	uint8_t *h = f + HDR_OFF;
	struct conn_key key = key_of(conn);
	uint32_t len = flags & TH_PSH ? REQUEST_BYTES : 0;

	memcpy(f + 26, key.remote.b + 12, 4);
	memcpy(f + 30, key.local.b + 12, 4);
	put_u16(h, key.rport);
	put_u16(h + 2, PORT);
	put_u32(h + 4, conn * 7919 + (flags & TH_SYN ? 0 : 1));
	put_u32(h + 8, b->ack[conn]);
	h[13] = flags;
	put_u16(h + 14, 65535);
	memcpy(h + 20,
	       (const uint8_t[]){1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1, 3, 3, 7, 1, 1, 4, 2}, 20);
	b->pkts[at] = (struct pkt){.data = f,
	                           .l3_off = 14,
	                           .l4_off = HDR_OFF,
	                           .payload_off = HDR_OFF + (flags & TH_SYN ? 40 : 32),
	                           .payload_len = (uint16_t)len,
	                           .ip_version = 4};
}

static void answer(struct bench *b)
{
	static char text[ANSWER_BYTES];
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(b->tcp, &events)) != NULL) {
		struct span rx = tcp_rx(c);

		if (rx.len > 0) {
			must(tcp_tx_copy(b->tcp, c, text, sizeof(text)) == ST_OK, "queue full");
			tcp_rx_consume(b->tcp, c, rx.len);
		}
		tcp_ready_done(b->tcp, c, b->now_ns);
	}
	net_flush(b->net);
}

/* One round of a core: a packet, the owner's turn, timers. */
static void core_round(struct bench *b, struct timing *t)
{
	uint64_t begin = clock_cycles();

	tcp_input_burst(b->tcp, b->pkts, 1, b->now_ns);
	answer(b);
	tcp_timers(b->tcp, b->now_ns);
	took(t, begin);
	b->now_ns += 2 * NS_PER_US;
}

/* Handshake, request, answer, and its ACK, for each. */
static void connect_all(struct bench *b, struct timing *t)
{
	for (uint32_t i = 0; i < b->count; i++) {
		segment(b, 0, i, TH_SYN);
		core_round(b, t);
		b->ack[i] = b->last_seq + 1;
		segment(b, 0, i, TH_ACK);
		core_round(b, t);
		segment(b, 0, i, TH_ACK | TH_PSH);
		core_round(b, t);
		b->ack[i] += ANSWER_BYTES;
		segment(b, 0, i, TH_ACK);
		put_u32(b->frames[0] + HDR_OFF + 4, i * 7919 + 1 + REQUEST_BYTES);
		core_round(b, t);
		touch(b, i);
	}
	must(tcp_conn_count(b->tcp) == b->count, "handshakes failed");
}

static void idle(struct bench *b, struct timing *t)
{
	uint64_t end = b->now_ns + IDLE_S * NS_PER_S;

	while (b->now_ns < end) {
		uint64_t begin = clock_cycles();

		tcp_timers(b->tcp, b->now_ns);
		net_flush(b->net);
		took(t, begin);
		/* Time waits while there is work: the core would be back within microseconds. */
		b->now_ns = max_u64(b->now_ns + 50 * NS_PER_US,
		                    min_u64(tcp_next_timer_ns(b->tcp), end));
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
		if (mode == MODE_HUGE && !b.tcp->mem.huge) {
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
