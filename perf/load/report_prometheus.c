/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The report as metrics, text format 0.0.4: for a file that the node exporter picks up, or a push
 * gateway. One row of the table is one family. */
#include "perf/load/report_private.h"

#include <math.h>

typedef void family_write(FILE *out, const char *name, const struct result *r);

/* A label's value: backslash, quote and line feed are escaped; names hold no other control bytes.
 */
static void put_label(FILE *out, const char *name, const char *value)
{
	(void)fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n') {
			(void)fputs("\\n", out);
			continue;
		}
		if (*value == '\\' || *value == '"')
			(void)fputc('\\', out);
		(void)fputc(*value, out);
	}
	(void)fputc('"', out);
}

static void put_part(FILE *out, const char *name, const struct result *r,
                     const struct report_part *p)
{
	(void)fprintf(out, "%s{", name);
	put_label(out, "scenario", r->scenario->name);
	(void)fputc(',', out);
	put_label(out, "scope", p->scope);
	(void)fputc(',', out);
	put_label(out, "name", p->name);
}

typedef double part_value(const struct load_part *p);

/* -1: nothing to say. */
static double value_sent(const struct load_part *p)
{
	return (double)p->counts.sent;
}

static double value_answered(const struct load_part *p)
{
	return (double)p->counts.answered;
}

static double value_connected(const struct load_part *p)
{
	return (double)p->counts.connected;
}

static double value_bytes_in(const struct load_part *p)
{
	return (double)p->counts.bytes_in;
}

static double value_bytes_out(const struct load_part *p)
{
	return (double)p->counts.bytes_out;
}

static double value_rate(const struct load_part *p)
{
	return result_figure(p, FIGURE_RATE);
}

static double value_error_ratio(const struct load_part *p)
{
	return result_figure(p, FIGURE_ERRORS);
}

static double value_hit_ratio(const struct load_part *p)
{
	return report_knows_hits(p) ? result_figure(p, FIGURE_HIT_RATE) : -1;
}

static double value_duration(const struct load_part *p)
{
	return (double)p->duration_ns / 1e9;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	part_value *value;
} simple[] = {
        {"sluice_bench_requests_total", "counter", "Requests sent", value_sent},
        {"sluice_bench_answers_total", "counter", "Whole answers of any status", value_answered},
        {"sluice_bench_connections_total", "counter", "Connections made", value_connected},
        {"sluice_bench_received_bytes_total", "counter", "Bytes of answers", value_bytes_in},
        {"sluice_bench_sent_bytes_total", "counter", "Bytes of requests", value_bytes_out},
        {"sluice_bench_answers_per_second", "gauge", "Answers a second", value_rate},
        {"sluice_bench_error_ratio", "gauge", "Errors, of all requests", value_error_ratio},
        {"sluice_bench_hit_ratio", "gauge", "Answers from a cache, of those that say",
         value_hit_ratio},
        {"sluice_bench_duration_seconds", "gauge", "How long it was measured", value_duration},
};

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_info(FILE *out, const struct result *r)
{
	static const char name[] = "sluice_bench_info";

	put_head(out, name, "gauge", "What was run");
	(void)fprintf(out, "%s{", name);
	put_label(out, "scenario", r->scenario->name);
	(void)fputc(',', out);
	put_label(out, "target", r->target);
	(void)fputc(',', out);
	put_label(out, "transport", r->transport ? r->transport : "");
	(void)fputc(',', out);
	put_label(out, "started", r->started);
	(void)fprintf(out, ",workers=\"%u\"} 1\n", r->workers);
}

static void put_run(FILE *out, const struct result *r)
{
	const struct {
		const char *name;
		const char *help;
		double value;
	} rows[] = {
	        {"sluice_bench_client_busy_ratio", "CPU time that the workers used, of all theirs",
	         result_client_share(r)},
	        {"sluice_bench_offered_per_second", "Requests a second that open stages asked for",
	         r->offered},
	        {"sluice_bench_passed", "1: every threshold holds", result_passes(r) ? 1 : 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put_head(out, rows[i].name, "gauge", rows[i].help);
		(void)fprintf(out, "%s{", rows[i].name);
		put_label(out, "scenario", r->scenario->name);
		(void)fprintf(out, "} %.9g\n", rows[i].value);
	}
}

static void put_errors(FILE *out, const struct result *r, const struct report_part *parts,
                       uint32_t count)
{
	static const char name[] = "sluice_bench_errors_total";

	put_head(out, name, "counter", "Errors by kind");
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t e = 0; e < LOAD_ERR_COUNT; e++) {
			put_part(out, name, r, &parts[i]);
			(void)fprintf(out, ",kind=\"%s\"} %llu\n",
			              load_error_name((enum load_error)e),
			              (unsigned long long)parts[i].part->counts.errors[e]);
		}
	}
}

static void put_status(FILE *out, const struct result *r, const struct report_part *parts,
                       uint32_t count)
{
	static const char name[] = "sluice_bench_status_total";

	put_head(out, name, "counter", "Answers by status");
	for (uint32_t i = 0; i < count; i++) {
		const struct load_counts *c = &parts[i].part->counts;

		for (uint32_t code = 0; code < ARRAY_LEN(c->status); code++) {
			if (c->status[code] == 0)
				continue;
			put_part(out, name, r, &parts[i]);
			(void)fprintf(out, ",code=\"%u\"} %llu\n", code,
			              (unsigned long long)c->status[code]);
		}
	}
}

/* Boundaries 1, 2 and 5 of each decade from 10 us to 50 s. */
#define BOUNDS 21u

static double bound_ns(uint32_t i)
{
	static const double steps[] = {1, 2, 5};

	return steps[i % 3] * pow(10, 4 + i / 3);
}

static void put_histogram(FILE *out, const char *name, const struct result *r,
                          const struct report_part *p)
{
	const struct load_hist *h = &p->part->latency;
	uint64_t below = 0;
	uint32_t next = 0;
	char bucket[64];

	(void)snprintf(bucket, sizeof(bucket), "%s_bucket", name);
	for (uint32_t i = 0; i < BOUNDS; i++) {
		while (next < LOAD_HIST_BUCKETS &&
		       (double)hist_log_max(next, LOAD_HIST_SUB_BITS) <= bound_ns(i))
			below += h->bucket[next++];
		put_part(out, bucket, r, p);
		(void)fprintf(out, ",le=\"%g\"} %llu\n", bound_ns(i) / 1e9,
		              (unsigned long long)below);
	}
	put_part(out, bucket, r, p);
	(void)fprintf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)h->count);
	(void)snprintf(bucket, sizeof(bucket), "%s_sum", name);
	put_part(out, bucket, r, p);
	(void)fprintf(out, "} %.9f\n", (double)h->sum_ns / 1e9);
	(void)snprintf(bucket, sizeof(bucket), "%s_count", name);
	put_part(out, bucket, r, p);
	(void)fprintf(out, "} %llu\n", (unsigned long long)h->count);
}

/* The histogram's boundaries are coarse; these are not. */
static void put_quantiles(FILE *out, const struct result *r, bool service)
{
	const char *name = service ? "sluice_bench_service_quantile_seconds"
	                           : "sluice_bench_latency_quantile_seconds";
	struct report_part parts[REPORT_PARTS];
	uint32_t count = report_parts(r, parts);

	put_head(out, name, "gauge",
	         service ? "From the sending, what a share of the answers came within"
	                 : "Latency that a share of the answers came within");
	for (uint32_t i = 0; i < count; i++) {
		const struct load_part *p = parts[i].part;
		const struct load_hist *h = service ? &p->service : &p->latency;

		if (h->count == 0)
			continue;
		for (uint32_t q = 0; q < REPORT_QUANTILES; q++) {
			enum load_figure f = report_latencies[q];

			if (f == FIGURE_MEAN)
				continue;
			put_part(out, name, r, &parts[i]);
			(void)fprintf(out, ",quantile=\"%s\"} %.9f\n", figure_infos[f].name,
			              load_hist_figure(h, f) / 1e9);
		}
	}
}

bool report_prometheus(const struct result *r, FILE *out)
{
	static const char latency[] = "sluice_bench_latency_seconds";
	struct report_part parts[REPORT_PARTS];
	uint32_t count = report_parts(r, parts);

	put_info(out, r);
	put_run(out, r);
	for (size_t f = 0; f < ARRAY_LEN(simple); f++) {
		put_head(out, simple[f].name, simple[f].type, simple[f].help);
		for (uint32_t i = 0; i < count; i++) {
			double value = simple[f].value(parts[i].part);

			if (value < 0)
				continue;
			put_part(out, simple[f].name, r, &parts[i]);
			(void)fprintf(out, "} %.17g\n", value);
		}
	}
	put_errors(out, r, parts, count);
	put_status(out, r, parts, count);
	put_head(out, latency, "histogram",
	         "From when a request was due to its answer's last byte");
	for (uint32_t i = 0; i < count; i++)
		put_histogram(out, latency, r, &parts[i]);
	put_quantiles(out, r, false);
	put_quantiles(out, r, true);
	return !ferror(out);
}
