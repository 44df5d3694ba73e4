/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hit ratio of the hot table's eviction on made traces, against LRU, SIEVE and S3-FIFO that know
 * exact object counts. All hold as many objects as the hot table held on average, so the ratio
 * compares the choice of victims and nothing else. Then what dropping expired objects at once could
 * gain, and what many tables hold together. */
#include "perf/bench_evict.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_BYTES        64u
#define TABLE_ENTRY_BYTES 192u /* with head and key, in the table's units */

struct hot_table *table_new(size_t memory_bytes, struct counters *ctr)
{
	struct hot_config cfg = {.memory_bytes = memory_bytes,
	                         .max_object_bytes = TABLE_BODY_MAX + 512};
	struct hot_table *t;

	memset(ctr, 0, sizeof(*ctr));
	if (hot_create(&t, &cfg, ctr) != ST_OK)
		need(NULL);
	return t;
}

struct cache_key table_key(const uint32_t *id)
{
	return (struct cache_key){.text = span_of(id, sizeof(*id)),
	                          .hash = hash128(id, sizeof(*id), 3)};
}

bool table_put(struct hot_table *t, const struct cache_key *key, uint64_t expires_ms,
               uint32_t body_bytes)
{
	static const char body[TABLE_BODY_MAX] = "body";
	struct {
		struct object o;
		uint32_t id;
	} head = {.o = {.hash = key->hash,
	                .key_len = sizeof(uint32_t),
	                .status = 200,
	                .expires_ms = expires_ms}};
	struct hot_fill f = {0};

	memcpy(&head.id, key->text.ptr, sizeof(head.id));
	if (hot_fill_begin(t, &f, &head.o, body_bytes) != ST_OK)
		return false;
	(void)hot_fill_append(t, &f, span_of(body, body_bytes));
	return hot_fill_commit(t, &f) != NULL;
}

static double hot_run(const struct trace *tr, size_t memory_bytes, uint32_t *objects)
{
	static struct counters ctr;
	struct hot_table *t = table_new(memory_bytes, &ctr);
	uint64_t hits = 0;
	uint64_t held = 0;

	for (uint32_t n = 0; n < tr->requests; n++) {
		struct cache_key key = table_key(&tr->id[n]);
		uint64_t now_ms = trace_ms(tr, n);

		hot_set_wall(t, now_ms);
		if (n >= tr->requests / 2)
			held += hot_count(t);
		const struct object *o = hot_get(t, &key);
		if (o != NULL && object_is_fresh(o, now_ms)) {
			hits += n >= tr->requests / 2;
			continue;
		}
		uint64_t ttl_ms = trace_ttl_s(tr, tr->id[n]) * 1000ull;
		(void)table_put(t, &key, tr->rate == 0 ? UINT64_MAX : now_ms + ttl_ms, BODY_BYTES);
	}
	*objects = (uint32_t)(held / (tr->requests - tr->requests / 2));
	hot_destroy(t);
	return trace_ratio(tr, hits);
}

static size_t table_bytes(const struct trace *tr, uint32_t percent)
{
	/* A tenth for the index. */
	return (size_t)tr->ids * percent / 100 * TABLE_ENTRY_BYTES / 10 * 11;
}

static const uint32_t sizes_pct[] = {1, 10};

static void trace_run(struct report *r, const struct trace *tr, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes_pct); i++) {
		char tag[40];
		uint32_t objects;
		double hot = hot_run(tr, table_bytes(tr, sizes_pct[i]), &objects);
		double s3 = s3_run(tr, objects, false);

		snprintf(tag, sizeof(tag), "%s_%upct", name, sizes_pct[i]);
		report_add(r, objects, NULL, "%s_objects", tag);
		report_add(r, hot, NULL, "%s_hot_hit_ratio", tag);
		report_add(r, s3, NULL, "%s_s3fifo_hit_ratio", tag);
		report_add(r, sieve_run(tr, objects), NULL, "%s_sieve_hit_ratio", tag);
		report_add(r, lru_run(tr, objects), NULL, "%s_lru_hit_ratio", tag);
		report_add(r, hot / s3, NULL, "%s_hot_to_s3fifo_ratio", tag);
	}
}

/* What segments by time of expiry could gain at most: objects that leave when they expire. */
static void ttl_run(struct report *r, const struct trace *tr)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes_pct); i++) {
		uint32_t pct = sizes_pct[i];
		uint32_t objects;
		double hot = hot_run(tr, table_bytes(tr, pct), &objects);

		report_add(r, objects, NULL, "ttl_%upct_objects", pct);
		report_add(r, hot, NULL, "ttl_%upct_hot_hit_ratio", pct);
		report_add(r, s3_run(tr, objects, false), NULL, "ttl_%upct_s3fifo_hit_ratio", pct);
		report_add(r, s3_run(tr, objects, true), NULL, "ttl_%upct_s3fifo_at_once_hit_ratio",
		           pct);
		report_add(r, s3_run(tr, tr->ids, false), NULL, "ttl_%upct_unbounded_hit_ratio",
		           pct);
	}
}

static void run_all(struct report *r, struct trace *tr)
{
	static const struct {
		const char *name;
		enum trace_kind kind;
		double skew;
		bool multi;
	} rows[] = {
	        {"zipf09", TRACE_ZIPF, 0.9, true}, {"zipf10", TRACE_ZIPF, 1.0, true},
	        {"zipf12", TRACE_ZIPF, 1.2, true}, {"scan", TRACE_SCAN, 1.0, false},
	        {"loop", TRACE_LOOP, 1.0, false},  {"churn", TRACE_CHURN, 1.0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		trace_make(tr, rows[i].kind, rows[i].skew);
		trace_run(r, tr, rows[i].name);
		if (rows[i].multi)
			multi_run(r, tr, rows[i].name);
	}
	trace_make(tr, TRACE_TTL, 1.0);
	ttl_run(r, tr);
}

static const char about[] =
        "  --ids N        different keys of a trace (1000000, at least 100000)\n"
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
		tr = (struct trace){.ids = 1000000, .requests = 200000};

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
	run_all(&report, &tr);
	free(tr.id);
	report_print(&report);
	return 0;
}
