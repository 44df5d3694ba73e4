/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The report as a page: for a merge request, or a file beside the figures. */
#include "perf/load/report_private.h"

#include <stdlib.h>

/* A cell's text: what would end the cell or begin markup is escaped. */
static void put_cell(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (strchr("\\|`*_<>[]#", *s))
			(void)fputc('\\', out);
		(void)fputc(*s, out);
	}
}

static void put_row(FILE *out, const struct report_part *p)
{
	const struct load_counts *c = &p->part->counts;

	(void)fputs("| ", out);
	put_cell(out, p->name);
	(void)fprintf(out, " | %s | %s | %s | ", text_count(c->answered).s,
	              text_rate(result_figure(p->part, FIGURE_RATE)).s,
	              text_share(result_figure(p->part, FIGURE_ERRORS)).s);
	(void)fprintf(out, "%s |",
	              report_knows_hits(p->part)
	                      ? text_share(result_figure(p->part, FIGURE_HIT_RATE)).s
	                      : "-");
	for (uint32_t i = 0; i < REPORT_QUANTILES; i++)
		(void)fprintf(out, " %s |",
		              p->part->latency.count
		                      ? text_time(result_figure(p->part, report_latencies[i])).s
		                      : "-");
	(void)fputc('\n', out);
}

static void put_rows(FILE *out, const struct report_part *parts, uint32_t count, const char *scope)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < count; i++)
		rows += strcmp(parts[i].scope, scope) == 0;
	if (rows == 0 || (rows == 1 && strcmp(scope, "total") != 0))
		return;
	(void)fprintf(out, "\n| %s | answered | rate | errors | hits |", scope);
	for (uint32_t i = 0; i < REPORT_QUANTILES; i++)
		(void)fprintf(out, " %s |", figure_infos[report_latencies[i]].name);
	(void)fputs("\n|---|", out);
	for (uint32_t i = 0; i < 4 + REPORT_QUANTILES; i++)
		(void)fputs("---:|", out);
	(void)fputc('\n', out);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(parts[i].scope, scope) == 0)
			put_row(out, &parts[i]);
}

static bool same(const struct load_hist *a, const struct load_hist *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The total once more, from the sending. */
static void put_service(FILE *out, const struct load_part *p)
{
	if (p->service.count == 0 || same(&p->service, &p->latency))
		return;
	(void)fputs("| from the sending | | | | |", out);
	for (uint32_t i = 0; i < REPORT_QUANTILES; i++)
		(void)fprintf(out, " %s |",
		              text_time(load_hist_figure(&p->service, report_latencies[i])).s);
	(void)fputc('\n', out);
}

static void put_thresholds(FILE *out, const struct result *r)
{
	const struct scenario *s = r->scenario;

	if (s->threshold_count == 0)
		return;
	(void)fputs("\n| threshold | measured | |\n|---|---:|---|\n", out);
	for (uint32_t i = 0; i < s->threshold_count; i++) {
		const struct load_threshold *t = &s->thresholds[i];
		struct verdict v = threshold_verdict(r, t);

		(void)fputs("| ", out);
		put_cell(out, t->text);
		(void)fprintf(out, " | %s | %s |\n",
		              v.measured ? text_figure(t->figure, v.value).s : "not measured",
		              v.holds ? "holds" : "**fails**");
	}
}

static void put_counts(FILE *out, const struct load_counts *c)
{
	bool any = false;

	(void)fputs("\nStatus: ", out);
	for (uint32_t i = 0; i < ARRAY_LEN(c->status); i++) {
		if (c->status[i] == 0)
			continue;
		(void)fprintf(out, "%s%u: %s", any ? ", " : "", i, text_count(c->status[i]).s);
		any = true;
	}
	(void)fputs(any ? ". " : "no answer. ", out);
	any = false;
	(void)fputs("Errors: ", out);
	for (uint32_t i = 0; i < LOAD_ERR_COUNT; i++) {
		if (c->errors[i] == 0)
			continue;
		(void)fprintf(out, "%s%s: %s", any ? ", " : "", load_error_name((enum load_error)i),
		              text_count(c->errors[i]).s);
		any = true;
	}
	(void)fprintf(out, "%s.\n", any ? "" : "none");
}

static void put_machine(FILE *out, const struct report_options *o)
{
	char *command = report_command(o);
	char cpu[128];
	long cores;

	report_machine(cpu, sizeof(cpu), &cores);
	(void)fprintf(out, "\nOn %ld x %s:\n\n    %s\n", cores, cpu, command ? command : "");
	free(command);
}

bool report_markdown(const struct result *r, const struct report_options *o, FILE *out)
{
	const struct scenario *s = r->scenario;
	struct report_part parts[REPORT_PARTS];
	uint32_t count = report_parts(r, parts);

	(void)fputs("## ", out);
	put_cell(out, s->name);
	if (s->about[0]) {
		(void)fputs(": ", out);
		put_cell(out, s->about);
	}
	(void)fprintf(out,
	              "\n\n%s by %s, %u worker%s, %s, from %s%s. The client used %s of its CPU "
	              "time%s.",
	              r->target, r->transport, r->workers, r->workers == 1 ? "" : "s",
	              text_span((double)r->elapsed_ns).s, r->started,
	              r->interrupted ? ", **interrupted**" : "",
	              text_share(result_client_share(r)).s,
	              result_client_bound(r) ? ": **it was the limit**" : "");
	if (r->offered > 0)
		(void)fprintf(out, " Open stages offered %s.", text_rate(r->offered).s);
	(void)fputc('\n', out);
	put_rows(out, parts, count, "total");
	put_service(out, &r->total);
	put_counts(out, &r->total.counts);
	put_rows(out, parts, count, "stage");
	put_rows(out, parts, count, "endpoint");
	put_thresholds(out, r);
	put_machine(out, o);
	return !ferror(out);
}
