/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hit ratio of the hot table's eviction on a Zipf trace, against LRU and S3-FIFO that know exact
 * object counts. All three hold as many objects as the hot table held on average, so the ratio
 * compares the choice of victims and nothing else. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/hot_internal.h"
#include "perf/report.h"

#define NONE UINT32_MAX

struct trace {
	uint32_t ids;
	uint32_t requests;
	uint32_t *id; /* of each request */
};

static void *need(void *mem)
{
	if (mem == NULL) {
		fprintf(stderr, "bench_evict: out of memory\n");
		exit(1);
	}
	return mem;
}

/* scan_pct of the requests are for ids that never come again. */
static void trace_make(struct trace *tr, double skew, uint32_t scan_pct)
{
	double *cdf = need(malloc(tr->ids * sizeof(*cdf)));
	uint64_t x = 42;
	double sum = 0;
	uint32_t fresh = tr->ids;

	for (uint32_t i = 0; i < tr->ids; i++)
		cdf[i] = sum += pow(i + 1, -skew);
	for (uint32_t n = 0; n < tr->requests; n++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		if ((x >> 33) % 100 < scan_pct) {
			tr->id[n] = fresh++;
			continue;
		}
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		double want = (double)(x >> 11) / (double)(1ull << 53) * sum;
		uint32_t low = 0;
		for (uint32_t high = tr->ids - 1; low < high;) {
			uint32_t mid = low + (high - low) / 2;
			if (cdf[mid] < want)
				low = mid + 1;
			else
				high = mid;
		}
		tr->id[n] = low;
	}
	free(cdf);
}

static uint32_t trace_end(const struct trace *tr)
{
	return tr->ids + tr->requests;
}

/* Hits of the second half: the first one fills the cache. */
static double ratio(const struct trace *tr, uint32_t hits)
{
	return (double)hits / (tr->requests - tr->requests / 2);
}

static double hot_run(const struct trace *tr, size_t memory_bytes, uint32_t *objects)
{
	static struct counters ctr;
	struct hot_config cfg = {.memory_bytes = memory_bytes, .max_object_bytes = 1024};
	struct {
		struct object o;
		uint32_t id;
	} head = {.o = {.key_len = sizeof(uint32_t), .status = 200, .expires_ms = UINT64_MAX}};
	static const char body[64] = "body";
	struct hot_table *t;
	uint32_t hits = 0;
	uint64_t held = 0;

	memset(&ctr, 0, sizeof(ctr));
	if (hot_create(&t, &cfg, &ctr) != ST_OK)
		need(NULL);
	for (uint32_t n = 0; n < tr->requests; n++) {
		struct hot_fill f = {0};
		struct cache_key key = {.text = span_of(&tr->id[n], sizeof(uint32_t))};

		key.hash = hash128(&tr->id[n], sizeof(uint32_t), 3);
		if (n >= tr->requests / 2)
			held += hot_count(t);
		if (hot_get(t, &key) != NULL) {
			hits += n >= tr->requests / 2;
			continue;
		}
		head.o.hash = key.hash;
		head.id = tr->id[n];
		if (hot_fill_begin(t, &f, &head.o, sizeof(body)) != ST_OK)
			continue;
		(void)hot_fill_append(t, &f, span_of(body, sizeof(body)));
		(void)hot_fill_commit(t, &f);
	}
	*objects = (uint32_t)(held / (tr->requests - tr->requests / 2));
	hot_destroy(t);
	return ratio(tr, hits);
}

/* LRU as a doubly linked list over ids. */
static double lru_run(const struct trace *tr, uint32_t size)
{
	struct node {
		uint32_t prev, next;
	} *nodes = need(calloc(trace_end(tr) + 1, sizeof(*nodes)));
	uint32_t head = trace_end(tr); /* of the ring */
	uint32_t count = 0;
	uint32_t hits = 0;

	memset(nodes, 0xff, (trace_end(tr) + 1) * sizeof(*nodes));
	nodes[head] = (struct node){head, head};
	for (uint32_t n = 0; n < tr->requests; n++) {
		uint32_t id = tr->id[n];
		uint32_t out = nodes[id].next != NONE ? id : NONE;

		if (out != NONE)
			hits += n >= tr->requests / 2;
		else if (count++ >= size)
			out = nodes[head].prev;
		if (out != NONE) {
			nodes[nodes[out].prev].next = nodes[out].next;
			nodes[nodes[out].next].prev = nodes[out].prev;
			nodes[out].next = NONE;
			count -= out != id;
		}
		nodes[id] = (struct node){head, nodes[head].next};
		nodes[nodes[head].next].prev = id;
		nodes[head].next = id;
	}
	free(nodes);
	return ratio(tr, hits);
}

/* S3-FIFO by object (Yang et al., SOSP 2023, algorithm 1): queues as rings of ids. */
struct ring {
	uint32_t *id;
	uint32_t size, head, count;
};

static void ring_push(struct ring *r, uint32_t id)
{
	r->id[(r->head + r->count++) % r->size] = id;
}

static uint32_t ring_pop(struct ring *r)
{
	uint32_t id = r->id[r->head];

	r->head = (r->head + 1) % r->size;
	r->count--;
	return id;
}

enum where { OUT, IN, GHOST };

struct s3 {
	struct ring small, main, ghost;
	uint8_t *freq;
	uint8_t *where;
	uint32_t *ghost_seq; /* of the id's last entry in the ghost ring */
	uint32_t seq, size, move_at;
};

static void s3_ghost(struct s3 *s, uint32_t id)
{
	if (s->ghost.count == s->size) {
		uint32_t old = ring_pop(&s->ghost);
		if (s->where[old] == GHOST && s->ghost_seq[old] + s->size == s->seq)
			s->where[old] = OUT;
	}
	ring_push(&s->ghost, id);
	s->where[id] = GHOST;
	s->ghost_seq[id] = s->seq++;
}

static void s3_evict(struct s3 *s)
{
	while (s->small.count > 0 && s->small.count >= s->size / 10) {
		uint32_t id = ring_pop(&s->small);
		if (s->freq[id] < s->move_at) {
			s3_ghost(s, id);
			return;
		}
		s->freq[id] = 0;
		ring_push(&s->main, id);
	}
	for (;;) {
		uint32_t id = ring_pop(&s->main);
		if (s->freq[id] == 0) {
			s->where[id] = OUT;
			return;
		}
		s->freq[id]--;
		ring_push(&s->main, id);
	}
}

static double s3_run(const struct trace *tr, uint32_t size, uint32_t move_at)
{
	struct s3 s = {.size = size, .move_at = move_at};
	struct ring *rings[] = {&s.small, &s.main, &s.ghost};
	uint32_t hits = 0;

	for (size_t i = 0; i < ARRAY_LEN(rings); i++) {
		rings[i]->size = size + 1;
		rings[i]->id = need(calloc(size + 1, sizeof(uint32_t)));
	}
	s.freq = need(calloc(trace_end(tr), 1));
	s.where = need(calloc(trace_end(tr), 1));
	s.ghost_seq = need(calloc(trace_end(tr), sizeof(uint32_t)));
	for (uint32_t n = 0; n < tr->requests; n++) {
		uint32_t id = tr->id[n];

		if (s.where[id] == IN) {
			hits += n >= tr->requests / 2;
			s.freq[id] = (uint8_t)min_u32(s.freq[id] + 1u, HOT_FREQ_MAX);
			continue;
		}
		if (s.small.count + s.main.count >= size)
			s3_evict(&s);
		ring_push(s.where[id] == GHOST ? &s.main : &s.small, id);
		s.where[id] = IN;
		s.freq[id] = 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		free(rings[i]->id);
	free(s.freq);
	free(s.where);
	free(s.ghost_seq);
	return ratio(tr, hits);
}

static void trace_run(struct report *r, const struct trace *tr, const char *name)
{
	static const uint32_t percent[] = {1, 10};

	for (size_t i = 0; i < ARRAY_LEN(percent); i++) {
		char tag[40];
		uint32_t objects;
		/* 192 bytes an object, and a tenth for the index. */
		size_t bytes = (size_t)tr->ids * percent[i] / 100 * 192 / 10 * 11;
		double hot = hot_run(tr, bytes, &objects);
		double lru = lru_run(tr, objects);
		double s3 = s3_run(tr, objects, 1);

		snprintf(tag, sizeof(tag), "%s_%upct", name, percent[i]);
		report_add(r, objects, NULL, "%s_objects", tag);
		report_add(r, hot, NULL, "%s_hot_hit_ratio", tag);
		report_add(r, s3, NULL, "%s_s3fifo_hit_ratio", tag);
		report_add(r, s3_run(tr, objects, 2), NULL, "%s_s3fifo_move2_hit_ratio", tag);
		report_add(r, lru, NULL, "%s_lru_hit_ratio", tag);
		report_add(r, hot / s3, NULL, "%s_hot_to_s3fifo_ratio", tag);
		report_add(r, hot / lru, NULL, "%s_hot_to_lru_ratio", tag);
	}
}

static const char about[] =
        "  --ids N        different keys of the Zipf 1.0 trace (1000000, at least 100000)\n"
        "  --requests N   its length; the second half counts (4000000)";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"json", no_argument, NULL, 'j'},
	        {"short", no_argument, NULL, 0},
	        {"ids", required_argument, NULL, 'i'},
	        {"requests", required_argument, NULL, 'r'},
	        {0},
	};
	static struct report report;
	struct trace tr = {.ids = 1000000, .requests = 4000000};

	report_init(&report, about, argc, argv);
	if (report.short_run)
		tr = (struct trace){.ids = 1000000, .requests = 400000};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 0 || c == 'j')
			continue; /* report_init's */
		else if (c == 'i')
			tr.ids = max_u32((uint32_t)strtoul(optarg, NULL, 10), 100000);
		else if (c == 'r')
			tr.requests = max_u32((uint32_t)strtoul(optarg, NULL, 10), 1000);
		else {
			return 2;
		}
	}
	tr.id = need(malloc(tr.requests * sizeof(*tr.id)));
	trace_make(&tr, 1.0, 0);
	trace_run(&report, &tr, "zipf1");
	trace_make(&tr, 1.0, 20);
	trace_run(&report, &tr, "zipf1_scan20");
	free(tr.id);
	report_print(&report);
	return 0;
}
