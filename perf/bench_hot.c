/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Gets from a hot table of 10 k, 1 M and 4 M small objects, uniformly at random, which is the worst
 * case for the processor's caches: in bursts of 32 with prefetch, and one by one. Keys are made and
 * hashed outside of the time that counts, as the parser does. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "perf/bench_hot.h"

#define SWEEP_SLOTS 1024u /* as the core does once a millisecond */
#define SPARE_BYTES (2u << 20)
#define ENTRY_BYTES 208u /* with the head, in the table's units */
#define HUGE_FILE   "/proc/sys/vm/nr_hugepages"

uint32_t random_below(struct bench *b, uint32_t n)
{
	b->random = b->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((b->random >> 32) * n >> 32);
}

void key_make(struct bench *b, uint32_t slot, uint32_t id)
{
	char *text = b->text[slot];

	memcpy(text, "host.example.com/object/0000000000000000", KEY_BYTES);
	for (uint32_t i = 0; i < 8; i++)
		text[KEY_BYTES - 1 - i] = "0123456789abcdef"[id >> (4 * i) & 15];
	b->keys[slot].text = span_of(text, KEY_BYTES);
	b->keys[slot].hash = hash128(text, KEY_BYTES, 1);
}

void keys_make(struct bench *b, uint32_t first)
{
	for (uint32_t i = 0; i < BURST; i++)
		key_make(b, i, first + random_below(b, b->entries));
}

void put(struct bench *b, uint32_t id, uint32_t body_bytes)
{
	struct {
		struct object o;
		char key[KEY_BYTES];
	} head = {.o = {.key_len = KEY_BYTES,
	                .status = 200,
	                .body_len = body_bytes,
	                .born_seq = hot_purge_seq(b->t),
	                .expires_ms = UINT64_MAX}};
	static const char body[4096] = "body";
	struct hot_fill f = {0};

	key_make(b, 0, id);
	head.o.hash = b->keys[0].hash;
	memcpy(head.key, b->text[0], KEY_BYTES);
	if (hot_fill_begin(b->t, &f, &head.o, body_bytes) != ST_OK)
		return;
	(void)hot_fill_append(b->t, &f, span_of(body, body_bytes));
	(void)hot_fill_commit(b->t, &f);
}

size_t bench_bytes(uint32_t entries)
{
	return (size_t)entries * ENTRY_BYTES / 100 * 112 + SPARE_BYTES;
}

static uint64_t get_burst(struct bench *b)
{
	uint64_t start = clock_cycles();

	for (uint32_t i = 0; i < BURST; i++)
		hot_prefetch(b->t, b->keys[i].hash);
	for (uint32_t i = 0; i < BURST; i++)
		hot_prefetch_object(b->t, b->keys[i].hash);
	for (uint32_t i = 0; i < BURST; i++) {
		const struct object *o = hot_get(b->t, &b->keys[i]);
		b->sum += o != NULL ? o->status : 1;
	}
	return clock_cycles() - start;
}

/* Without the second round. */
static uint64_t get_burst_buckets(struct bench *b)
{
	uint64_t start = clock_cycles();

	for (uint32_t i = 0; i < BURST; i++)
		hot_prefetch(b->t, b->keys[i].hash);
	for (uint32_t i = 0; i < BURST; i++) {
		const struct object *o = hot_get(b->t, &b->keys[i]);
		b->sum += o != NULL ? o->status : 1;
	}
	return clock_cycles() - start;
}

/* Each get waits for the one before. */
static uint64_t get_single(struct bench *b)
{
	uint64_t start = clock_cycles();

	for (uint32_t i = 0; i < BURST; i++) {
		const struct object *o = hot_get(b->t, &b->keys[i]);
		b->sum += o != NULL ? o->status : 1;
#if defined(__x86_64__)
		__builtin_ia32_lfence();
#endif
	}
	return clock_cycles() - start;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Cycles a get. The median leaves out what else the machine did meanwhile. */
static double run(struct bench *b, uint64_t (*burst)(struct bench *), uint32_t bursts,
                  uint32_t first, double *mean)
{
	uint64_t *cycles = malloc(bursts * sizeof(*cycles));
	uint64_t total = 0;

	if (cycles == NULL)
		exit(1);
	for (uint32_t i = 0; i < bursts; i++) {
		keys_make(b, first);
		cycles[i] = burst(b);
		total += cycles[i];
	}
	qsort(cycles, bursts, sizeof(*cycles), compare_u64);
	double median = (double)cycles[bursts / 2] / BURST;
	*mean = (double)total / bursts / BURST;
	free(cycles);
	return median;
}

static void measure(struct report *r, struct bench *b, const char *tag, uint32_t bursts)
{
	const struct {
		const char *name;
		uint64_t (*fn)(struct bench *);
		uint32_t first;
	} rows[] = {
	        {"burst", get_burst, 0},
	        {"burst_buckets", get_burst_buckets, 0},
	        {"single", get_single, 0},
	        {"burst_absent", get_burst, 1u << 31},
	};
	double per_ns = clock_cycles_per_ns();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double mean;

		run(b, rows[i].fn, bursts / 10 + 1, rows[i].first, &mean);
		double median = run(b, rows[i].fn, bursts, rows[i].first, &mean);
		report_add(r, mean / per_ns, NULL, "%s_%s_get_ns", tag, rows[i].name);
		report_add(r, median / per_ns, NULL, "%s_%s_get_median_ns", tag, rows[i].name);
		report_add(r, mean, NULL, "%s_%s_get_cycles", tag, rows[i].name);
		report_add(r, 1e3 * per_ns / mean, NULL, "%s_%s_gets_per_us", tag, rows[i].name);
	}
}

/* Puts into a full table: one in a segment's worth of them evicts a segment. */
static void puts_run(struct report *r, struct bench *b, const char *tag)
{
	uint32_t puts = min_u32(b->entries, 1000000);
	uint64_t start = clock_mono_ns();
	uint64_t at = start;
	uint64_t longest = 0;

	for (uint32_t i = 0; i < puts; i++) {
		put(b, b->entries + i, BODY_BYTES);
		uint64_t now = clock_mono_ns();
		longest = max_u64(longest, now - at);
		at = now;
	}
	report_add(r, (double)(at - start) / puts, NULL, "%s_put_evicting_ns", tag);
	report_add(r, (double)longest / 1000, NULL, "%s_put_evicting_longest_us", tag);
}

static void purge_run(struct report *r, struct bench *b, const char *tag)
{
	struct inval_purge p = {
	        .seq = 1, .kind = INVAL_PATTERN, .text = SPAN_LIT("host.example.com/*/none")};
	uint64_t start = clock_mono_ns(), ordered, longest = 0;

	b->sum += hot_purge(b->t, &p, (struct hash128){0});
	ordered = clock_mono_ns();
	report_add(r, (double)(ordered - start), NULL, "%s_pattern_purge_order_ns", tag);
	for (uint64_t at = ordered, now; hot_sweep(b->t, SWEEP_SLOTS); at = now) {
		now = clock_mono_ns();
		longest = max_u64(longest, now - at);
	}
	report_add(r, (double)(clock_mono_ns() - ordered) / b->entries, NULL,
	           "%s_pattern_sweep_entry_ns", tag);
	report_add(r, (double)longest / 1000, NULL, "%s_pattern_sweep_longest_us", tag);
}

static void size_run(struct report *r, uint32_t entries, bool huge, uint32_t bursts)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct hot_config cfg = {
	        .memory_bytes = bench_bytes(entries), .max_object_bytes = 4096, .huge_pages = huge};
	char tag[32];

	if (b == NULL || hot_create(&b->t, &cfg, &b->ctr) != ST_OK) {
		fprintf(stderr, "bench_hot: no memory for %u entries\n", entries);
		exit(1);
	}
	if (huge && !b->t->shm.huge)
		fprintf(stderr,
		        "bench_hot: no huge pages reserved for %u entries, "
		        "transparent ones are used\n",
		        entries);
	b->entries = entries;
	for (uint32_t i = 0; i < entries; i++)
		put(b, i, BODY_BYTES);
	snprintf(tag, sizeof(tag), "%uk_%s", entries / 1000, huge ? "huge" : "small");
	report_add(r, hot_count(b->t), NULL, "%s_entries", tag);
	measure(r, b, tag, bursts);

	purge_run(r, b, tag);
	puts_run(r, b, tag);
	hot_destroy(b->t);
	free(b);
}

static long huge_pages_read(void)
{
	FILE *f = fopen(HUGE_FILE, "r");
	long n = 0;

	if (f == NULL || fscanf(f, "%ld", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

static void huge_pages_write(long n)
{
	FILE *f = fopen(HUGE_FILE, "w");

	if (f == NULL)
		return;
	fprintf(f, "%ld\n", n);
	fclose(f);
}

static const char about[] =
        "  --bursts N    bursts of 32 gets for each figure (20000)\n"
        "  --entries N   only this size instead of 10 k, 1 M and 4 M\n"
        "  --reserve     root: adds the huge pages needed to vm.nr_hugepages, and takes them\n"
        "                away again";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"json", no_argument, NULL, 'j'},         {"short", no_argument, NULL, 0},
	        {"bursts", required_argument, NULL, 'b'}, {"entries", required_argument, NULL, 'e'},
	        {"reserve", no_argument, NULL, 'r'},      {0},
	};
	static struct report report;
	uint32_t sizes[] = {10000, 1000000, 4000000};
	uint32_t bursts = 20000;
	uint32_t only = 0;
	bool reserve = false;

	report_init(&report, about, argc, argv);
	if (report.short_run) {
		only = sizes[0];
		bursts = 1000;
	}

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 0 || c == 'j')
			continue; /* report_init's */
		else if (c == 'r')
			reserve = true;
		else if (c == 'b')
			bursts = max_u32((uint32_t)strtoul(optarg, NULL, 10), 1);
		else if (c == 'e')
			only = (uint32_t)strtoul(optarg, NULL, 10);
		else {
			return 2;
		}
	}
	long before = huge_pages_read();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint32_t n = only != 0 ? only : sizes[i];
		long pages = (long)(bench_bytes(n) >> 21) + 2;

		size_run(&report, n, false, bursts);
		if (reserve)
			huge_pages_write(before + pages);
		size_run(&report, n, true, bursts);
		if (reserve)
			huge_pages_write(before);
		if (only != 0)
			break;
	}
	remote_run(&report, only != 0 ? only : sizes[1], bursts);
	memory_run(&report, report.short_run ? 4u << 20 : 64u << 20);
	report_print(&report);
	return 0;
}
