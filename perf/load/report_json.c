/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The report for programs, and for compare.c, which reads it again. */
#include "perf/load/report_private.h"

#include <jansson.h>
#include <stdlib.h>

/* Figures as reports of benchmarks name them: with their unit. */
static const char *const figure_keys[FIGURE_COUNT] = {
        [FIGURE_MEAN] = "mean_ns",
        [FIGURE_P50] = "p50_ns",
        [FIGURE_P90] = "p90_ns",
        [FIGURE_P95] = "p95_ns",
        [FIGURE_P99] = "p99_ns",
        [FIGURE_P999] = "p99_9_ns",
        [FIGURE_MAX] = "max_ns",
        [FIGURE_ERRORS] = "errors_share",
        [FIGURE_TIMEOUTS] = "timeouts_share",
        [FIGURE_HIT_RATE] = "hit_rate",
        [FIGURE_RATE] = "rate_per_s",
};

static json_t *whole(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Names in a scenario are UTF-8, as YAML is; the command line may be anything. */
static json_t *text(const char *s)
{
	json_t *t = json_string(s);

	return t ? t : json_string("(not UTF-8)");
}

/* Not null where there is nothing to say: a reader would take 0 for a fast server. */
static json_t *figures(const struct load_part *p)
{
	json_t *o = json_object();

	for (uint32_t i = 0; i < FIGURE_COUNT; i++) {
		bool known = figure_infos[i].kind != FIGURE_IS_TIME || p->latency.count > 0;

		if (i == FIGURE_HIT_RATE)
			known = report_knows_hits(p);
		if (known)
			(void)json_object_set_new(o, figure_keys[i],
			                          json_real(result_figure(p, (enum load_figure)i)));
	}
	for (uint32_t i = 0; i < REPORT_QUANTILES && p->service.count > 0; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "service_%s", figure_keys[report_latencies[i]]);
		(void)json_object_set_new(
		        o, key, json_real(load_hist_figure(&p->service, report_latencies[i])));
	}
	return o;
}

static json_t *histogram(const struct load_hist *h)
{
	json_t *o = json_object(), *buckets = json_array();

	(void)json_object_set_new(o, "count", whole(h->count));
	(void)json_object_set_new(o, "sum_ns", whole(h->sum_ns));
	(void)json_object_set_new(o, "min_ns", whole(h->min_ns));
	(void)json_object_set_new(o, "max_ns", whole(h->max_ns));
	/* Largest value of a bucket, and how many are in it. */
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++)
		if (h->bucket[i])
			(void)json_array_append_new(
			        buckets,
			        json_pack("[I, I]", (json_int_t)hist_log_max(i, LOAD_HIST_SUB_BITS),
			                  (json_int_t)h->bucket[i]));
	(void)json_object_set_new(o, "buckets", buckets);
	return o;
}

static json_t *counts(const struct load_counts *c)
{
	json_t *o = json_object(), *errors = json_object(), *status = json_object();
	char code[8];

	(void)json_object_set_new(o, "sent", whole(c->sent));
	(void)json_object_set_new(o, "answered", whole(c->answered));
	(void)json_object_set_new(o, "connected", whole(c->connected));
	(void)json_object_set_new(o, "bytes_in", whole(c->bytes_in));
	(void)json_object_set_new(o, "bytes_out", whole(c->bytes_out));
	(void)json_object_set_new(o, "hits", whole(c->hits));
	(void)json_object_set_new(o, "cache_known", whole(c->cache_known));
	for (uint32_t i = 0; i < LOAD_ERR_COUNT; i++)
		(void)json_object_set_new(errors, load_error_name((enum load_error)i),
		                          whole(c->errors[i]));
	for (uint32_t i = 0; i < ARRAY_LEN(c->status); i++) {
		if (c->status[i] == 0)
			continue;
		(void)snprintf(code, sizeof(code), "%u", i);
		(void)json_object_set_new(status, code, whole(c->status[i]));
	}
	(void)json_object_set_new(o, "errors", errors);
	(void)json_object_set_new(o, "status", status);
	return o;
}

static json_t *part(const struct report_part *p)
{
	json_t *o = json_object();

	(void)json_object_set_new(o, "name", text(p->name));
	(void)json_object_set_new(o, "duration_ns", whole(p->part->duration_ns));
	(void)json_object_set_new(o, "figures", figures(p->part));
	(void)json_object_set_new(o, "counts", counts(&p->part->counts));
	return o;
}

static json_t *run(const struct result *r)
{
	json_t *o = json_object();

	(void)json_object_set_new(o, "target", text(r->target));
	(void)json_object_set_new(o, "transport", text(r->transport));
	(void)json_object_set_new(o, "started", text(r->started));
	(void)json_object_set_new(o, "workers", whole(r->workers));
	(void)json_object_set_new(o, "elapsed_ns", whole(r->elapsed_ns));
	(void)json_object_set_new(o, "interrupted", json_boolean(r->interrupted));
	(void)json_object_set_new(o, "client_share", json_real(result_client_share(r)));
	(void)json_object_set_new(o, "client_bound", json_boolean(result_client_bound(r)));
	if (r->offered > 0)
		(void)json_object_set_new(o, "offered_per_s", json_real(r->offered));
	return o;
}

static json_t *thresholds(const struct result *r)
{
	const struct scenario *s = r->scenario;
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->threshold_count; i++) {
		const struct load_threshold *t = &s->thresholds[i];
		struct verdict v = threshold_verdict(r, t);
		json_t *o = json_object();

		(void)json_object_set_new(o, "text", text(t->text));
		(void)json_object_set_new(o, "holds", json_boolean(v.holds));
		if (v.measured)
			(void)json_object_set_new(o, "value", json_real(v.value));
		(void)json_array_append_new(list, o);
	}
	return list;
}

static json_t *machine(void)
{
	char cpu[128];
	long cores;

	report_machine(cpu, sizeof(cpu), &cores);
	json_t *o = json_object();
	(void)json_object_set_new(o, "cpu", text(cpu));
	(void)json_object_set_new(o, "cores", json_integer(cores));
	return o;
}

static json_t *report(const struct result *r, const char *command)
{
	struct report_part parts[REPORT_PARTS];
	uint32_t count = report_parts(r, parts);
	json_t *o = json_object(), *stages = json_array(), *endpoints = json_array();

	(void)json_object_set_new(o, "name", json_string("sluice-bench"));
	(void)json_object_set_new(o, "version", json_integer(REPORT_VERSION));
	(void)json_object_set_new(o, "command", text(command));
	(void)json_object_set_new(o, "machine", machine());
	(void)json_object_set_new(o, "scenario", text(r->scenario->name));
	(void)json_object_set_new(o, "run", run(r));
	(void)json_object_set_new(o, "figures", figures(&r->total));
	(void)json_object_set_new(o, "total", part(&parts[0]));
	for (uint32_t i = 1; i < count; i++)
		(void)json_array_append_new(parts[i].scope[0] == 's' ? stages : endpoints,
		                            part(&parts[i]));
	(void)json_object_set_new(o, "stages", stages);
	(void)json_object_set_new(o, "endpoints", endpoints);
	(void)json_object_set_new(o, "latency", histogram(&r->total.latency));
	(void)json_object_set_new(o, "service", histogram(&r->total.service));
	(void)json_object_set_new(o, "thresholds", thresholds(r));
	(void)json_object_set_new(o, "passed", json_boolean(result_passes(r)));
	return o;
}

/* A line for each key: to be read by people too, and a histogram would take thousands. */
static bool dump(const json_t *root, FILE *out)
{
	const char *separator = "{\n";
	const char *key;
	json_t *value;
	bool ok = true;

	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		(void)fprintf(out, "%s \"%s\": ", separator, key);
		ok = ok && json_dumpf(value, out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) == 0;
		separator = ",\n";
	}
	(void)fputs("\n}\n", out);
	return ok && !ferror(out);
}

bool report_json(const struct result *r, const struct report_options *o, FILE *out)
{
	char *command = report_command(o);
	json_t *root = report(r, command ? command : "");
	bool ok = root && dump(root, out);

	json_decref(root);
	free(command);
	return ok;
}
