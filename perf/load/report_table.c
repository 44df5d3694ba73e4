/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The summary for people. */
#include "perf/load/report_private.h"

#include <stdlib.h>
#include <unistd.h>

#define BAR_WIDTH    40u
#define NAME_WIDTH   20
#define LABEL_WIDTH  12
#define STAGES_NAMED 3u

/* How a stream may be written to. */
struct paper {
	FILE *out;
	bool colour;
	bool utf8;
};

static bool environment_says_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	/* The first that is set counts (POSIX, 8.2). */
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0] != '\0')
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

static struct paper paper_of(FILE *out)
{
	const char *no_colour = getenv("NO_COLOR");

	return (struct paper){
	        .out = out,
	        .colour = isatty(fileno(out)) && (!no_colour || no_colour[0] == '\0'),
	        .utf8 = environment_says_utf8(),
	};
}

static const char *on(const struct paper *p, const char *code)
{
	return p->colour ? code : "";
}

#define BOLD  "\033[1m"
#define RED   "\033[31m"
#define GREEN "\033[32m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

static void heading(const struct paper *p, const char *text)
{
	(void)fprintf(p->out, "\n%s%s%s\n", on(p, BOLD), text, on(p, PLAIN));
}

static void label(const struct paper *p, const char *text)
{
	(void)fprintf(p->out, "  %-*s", LABEL_WIDTH, text);
}

static void print_head(const struct paper *p, const struct result *r)
{
	const struct scenario *s = r->scenario;

	(void)fprintf(p->out, "%s%s%s%s%s\n", on(p, BOLD), s->name, on(p, PLAIN),
	              s->about[0] ? ": " : "", s->about);
	(void)fprintf(p->out, "%s by %s, %u worker%s, %s, from %s%s\n", r->target, r->transport,
	              r->workers, r->workers == 1 ? "" : "s", text_span((double)r->elapsed_ns).s,
	              r->started, r->interrupted ? ", interrupted" : "");
}

static void print_stage(const struct paper *p, const struct load_stage *stage)
{
	const bool open = stage->mode == LOAD_OPEN;

	if (stage->from != stage->to)
		(void)fprintf(p->out, "%s to ", text_count((uint64_t)stage->from).s);
	if (open)
		(void)fprintf(p->out, "%s", text_rate(stage->to).s);
	else
		(void)fprintf(p->out, "%s user%s", text_count((uint64_t)stage->to).s,
		              stage->to > 1 || stage->from > 1 ? "s" : "");
	(void)fprintf(p->out, " for %s", text_span((double)stage->duration_ns).s);
}

static void print_load(const struct paper *p, const struct scenario *s)
{
	label(p, "load");
	for (uint32_t i = 0; i < s->stage_count && i < STAGES_NAMED; i++) {
		(void)fputs(i ? ", " : "", p->out);
		print_stage(p, &s->stages[i]);
	}
	if (s->stage_count > STAGES_NAMED)
		(void)fprintf(p->out, ", and %u more", s->stage_count - STAGES_NAMED);
	(void)fputc('\n', p->out);
}

static void print_requests(const struct paper *p, const struct result *r)
{
	const struct load_counts *c = &r->total.counts;

	label(p, "requests");
	(void)fprintf(p->out, "%s answered, %s", text_count(c->answered).s,
	              text_rate(result_figure(&r->total, FIGURE_RATE)).s);
	if (r->offered > 0)
		(void)fprintf(p->out, "; open stages offered %s", text_rate(r->offered).s);
	(void)fputc('\n', p->out);
}

static void print_bytes(const struct paper *p, const struct result *r)
{
	const struct load_counts *c = &r->total.counts;
	double s = (double)r->total.duration_ns / 1e9;

	label(p, "bytes");
	(void)fprintf(p->out, "%s in, %s out", text_bytes((double)c->bytes_in).s,
	              text_bytes((double)c->bytes_out).s);
	if (s > 0)
		(void)fprintf(p->out, "; %s/s in, %s/s out", text_bytes((double)c->bytes_in / s).s,
		              text_bytes((double)c->bytes_out / s).s);
	(void)fputc('\n', p->out);
}

static void print_status(const struct paper *p, const struct load_counts *c)
{
	bool any = false;

	label(p, "status");
	for (uint32_t i = 0; i < ARRAY_LEN(c->status); i++) {
		if (c->status[i] == 0)
			continue;
		(void)fprintf(p->out, "%s%u: %s", any ? ", " : "", i, text_count(c->status[i]).s);
		any = true;
	}
	(void)fputs(any ? "\n" : "no answer\n", p->out);
}

static void print_errors(const struct paper *p, const struct load_part *part)
{
	const struct load_counts *c = &part->counts;
	uint64_t all = load_errors(c);
	bool any = false;

	label(p, "errors");
	if (all == 0) {
		(void)fputs("none\n", p->out);
		return;
	}
	(void)fprintf(p->out, "%s%s, %s%s (", on(p, RED), text_count(all).s,
	              text_share(result_figure(part, FIGURE_ERRORS)).s, on(p, PLAIN));
	for (uint32_t i = 0; i < LOAD_ERR_COUNT; i++) {
		if (c->errors[i] == 0)
			continue;
		(void)fprintf(p->out, "%s%s: %s", any ? ", " : "",
		              load_error_name((enum load_error)i), text_count(c->errors[i]).s);
		any = true;
	}
	(void)fputs(")\n", p->out);
}

static void print_hits(const struct paper *p, const struct load_part *part)
{
	const struct load_counts *c = &part->counts;

	label(p, "cache hits");
	if (!report_knows_hits(part)) {
		(void)fputs("unknown: no answer has Cache-Status\n", p->out);
		return;
	}
	(void)fprintf(p->out, "%s (%s of %s answers that say)\n",
	              text_share(result_figure(part, FIGURE_HIT_RATE)).s, text_count(c->hits).s,
	              text_count(c->cache_known).s);
}

static void print_counts(const struct paper *p, const struct result *r)
{
	print_load(p, r->scenario);
	print_requests(p, r);
	print_bytes(p, r);
	label(p, "connections");
	(void)fprintf(p->out, "%s made, %s open at the end\n",
	              text_count(r->total.counts.connected).s, text_count(r->open_links).s);
	print_status(p, &r->total.counts);
	print_errors(p, &r->total);
	print_hits(p, &r->total);
	label(p, "client");
	(void)fprintf(p->out, "%s of its CPU time used\n", text_share(result_client_share(r)).s);
}

static void print_latency(const struct paper *p, const struct result *r)
{
	const struct load_hist *rows[2] = {&r->total.latency, &r->total.service};
	static const char *const names[2] = {"latency", "service"};
	bool differ = memcmp(&r->total.latency, &r->total.service, sizeof(struct load_hist)) != 0 &&
	              r->total.service.count > 0;

	if (r->total.latency.count == 0)
		return;
	(void)fprintf(p->out, "\n  %s%-*s", on(p, BOLD), LABEL_WIDTH, "");
	for (uint32_t i = 0; i < REPORT_QUANTILES; i++)
		(void)fprintf(p->out, "%10s", figure_infos[report_latencies[i]].name);
	(void)fprintf(p->out, "%s\n", on(p, PLAIN));
	for (uint32_t row = 0; row < (differ ? 2u : 1u); row++) {
		label(p, names[row]);
		for (uint32_t i = 0; i < REPORT_QUANTILES; i++)
			(void)fprintf(
			        p->out, "%10s",
			        text_time(load_hist_figure(rows[row], report_latencies[i])).s);
		(void)fputc('\n', p->out);
	}
	if (differ)
		(void)fprintf(p->out,
		              "  %slatency counts from when a request was due, service from when "
		              "it was sent%s\n",
		              on(p, DIM), on(p, PLAIN));
}

/* Eighths of a character where the terminal has them. */
static void print_bar(const struct paper *p, double share)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	uint32_t units = (uint32_t)(share * BAR_WIDTH * 8 + 0.5), wide;

	if (share > 0 && units == 0)
		units = 1;
	wide = p->utf8 ? units / 8 : (units + 7) / 8;
	for (uint32_t i = 0; i < wide; i++)
		(void)fputs(p->utf8 ? "█" : "#", p->out);
	if (p->utf8 && units % 8) {
		(void)fputs(eighths[units % 8], p->out);
		wide++;
	}
	(void)fprintf(p->out, "%*s", (int)(BAR_WIDTH - wide), "");
}

/* Names of the percentiles that lie in a row: " p50 p90". */
static void print_marks(const struct paper *p, const struct load_part *part,
                        const struct hist_row *row, bool last)
{
	static const enum load_figure marks[] = {FIGURE_P50, FIGURE_P90, FIGURE_P95, FIGURE_P99,
	                                         FIGURE_P999};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		double value = result_figure(part, marks[i]);

		if (value >= row->from_ns && (value < row->to_ns || last))
			(void)fprintf(p->out, " %s", figure_infos[marks[i]].name);
	}
}

static void print_histogram(const struct paper *p, const struct result *r)
{
	struct hist_row rows[HIST_ROWS];
	uint32_t count = report_hist_rows(&r->total.latency, rows);
	uint64_t most = 0, seen = 0;

	if (count == 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		most = max_u64(most, rows[i].count);
	(void)fprintf(p->out, "\n  %s%21s  %-*s%12s %9s%s\n", on(p, BOLD), "latency from - to",
	              (int)BAR_WIDTH, "", "answers", "so far", on(p, PLAIN));
	for (uint32_t i = 0; i < count; i++) {
		seen += rows[i].count;
		(void)fprintf(p->out, "  %9s - %9s  ", text_time(rows[i].from_ns).s,
		              text_time(rows[i].to_ns).s);
		print_bar(p, (double)rows[i].count / (double)most);
		(void)fprintf(p->out, "%12s %9s%s", text_count(rows[i].count).s,
		              text_share((double)seen / (double)r->total.latency.count).s,
		              on(p, DIM));
		print_marks(p, &r->total, &rows[i], i + 1 == count);
		(void)fprintf(p->out, "%s\n", on(p, PLAIN));
	}
}

static void print_row(const struct paper *p, const char *name, const struct load_part *part)
{
	static const enum load_figure shown[] = {FIGURE_P50, FIGURE_P95, FIGURE_P99, FIGURE_MAX};

	(void)fputs("  ", p->out);
	text_put_name(p->out, name, NAME_WIDTH);
	(void)fprintf(p->out, " %11s %11s %9s", text_count(part->counts.answered).s,
	              text_rate(result_figure(part, FIGURE_RATE)).s,
	              text_share(result_figure(part, FIGURE_ERRORS)).s);
	(void)fprintf(p->out, " %9s",
	              report_knows_hits(part) ? text_share(result_figure(part, FIGURE_HIT_RATE)).s
	                                      : "-");
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		(void)fprintf(p->out, " %8s",
		              part->latency.count ? text_time(result_figure(part, shown[i])).s
		                                  : "-");
	(void)fputc('\n', p->out);
}

static void print_rows(const struct paper *p, const struct result *r, const char *scope)
{
	struct report_part parts[REPORT_PARTS];
	uint32_t count = report_parts(r, parts), rows = 0;

	for (uint32_t i = 0; i < count; i++)
		rows += strcmp(parts[i].scope, scope) == 0;
	/* A single one says what the whole says. */
	if (rows < 2)
		return;
	(void)fprintf(p->out, "\n  %s%-*s %11s %11s %9s %9s %8s %8s %8s %8s%s\n", on(p, BOLD),
	              NAME_WIDTH, scope, "answered", "rate", "errors", "hits", "p50", "p95", "p99",
	              "max", on(p, PLAIN));
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(parts[i].scope, scope) == 0)
			print_row(p, parts[i].name, parts[i].part);
}

static void print_thresholds(const struct paper *p, const struct result *r)
{
	const struct scenario *s = r->scenario;

	if (s->threshold_count > 0)
		heading(p, "  thresholds");
	for (uint32_t i = 0; i < s->threshold_count; i++) {
		const struct load_threshold *t = &s->thresholds[i];
		struct verdict v = threshold_verdict(r, t);

		(void)fprintf(p->out, "  %s%-6s%s %-30s %s\n", on(p, v.holds ? GREEN : RED),
		              v.holds ? "holds" : "FAILS", on(p, PLAIN), t->text,
		              v.measured ? text_figure(t->figure, v.value).s : "not measured");
	}
}

/* What a reader must know before the figures are believed. */
static void print_remarks(const struct paper *p, const struct result *r)
{
	double achieved = 0;
	uint64_t answered = 0, open_ns = 0;

	if (result_client_bound(r))
		(void)fprintf(
		        p->out,
		        "\n  %sThe client was the limit%s: it used %s of its CPU time, so the "
		        "server may well be faster.\n  Give it more workers, more CPUs, or the "
		        "dpdk transport.\n",
		        on(p, BOLD), on(p, PLAIN), text_share(result_client_share(r)).s);
	for (uint32_t i = 0; i < r->scenario->stage_count; i++) {
		if (r->scenario->stages[i].mode != LOAD_OPEN)
			continue;
		answered += r->stages[i].counts.answered;
		open_ns += r->stages[i].duration_ns;
	}
	if (open_ns > 0)
		achieved = (double)answered * 1e9 / (double)open_ns;
	/* Of a run that was cut short only the plan is known. */
	if (r->offered > 0 && achieved < 0.99 * r->offered && !r->interrupted)
		(void)fprintf(
		        p->out,
		        "\n  %sThe rate was not reached%s: %s were offered in open stages and "
		        "%s answered.\n",
		        on(p, BOLD), on(p, PLAIN), text_rate(r->offered).s, text_rate(achieved).s);
}

bool report_table(const struct result *r, FILE *out)
{
	const struct paper p = paper_of(out);

	print_head(&p, r);
	(void)fputc('\n', out);
	print_counts(&p, r);
	print_latency(&p, r);
	print_histogram(&p, r);
	print_rows(&p, r, "stage");
	print_rows(&p, r, "endpoint");
	print_thresholds(&p, r);
	print_remarks(&p, r);
	return !ferror(out);
}
