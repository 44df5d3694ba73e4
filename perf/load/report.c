/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reports: who writes where, and what the writers share. */
#include "perf/load/report_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

const enum load_figure report_latencies[REPORT_QUANTILES] = {
        FIGURE_MEAN, FIGURE_P50, FIGURE_P90, FIGURE_P95, FIGURE_P99, FIGURE_P999, FIGURE_MAX,
};

uint32_t report_parts(const struct result *r, struct report_part out[REPORT_PARTS])
{
	const struct scenario *s = r->scenario;
	uint32_t n = 0;

	out[n++] = (struct report_part){"total", "total", &r->total};
	for (uint32_t i = 0; i < s->stage_count; i++)
		out[n++] = (struct report_part){"stage", s->stages[i].name, &r->stages[i]};
	for (uint32_t i = 0; i < s->endpoint_count; i++)
		out[n++] = (struct report_part){"endpoint", s->endpoints[i].name, &r->endpoints[i]};
	return n;
}

void report_machine(char *cpu, size_t room, long *cores)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	*cores = sysconf(_SC_NPROCESSORS_ONLN);
	(void)snprintf(cpu, room, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(cpu, room, "%s", colon + 2);
		break;
	}
	if (f)
		(void)fclose(f);
}

/* So that a shell reads it as it was. */
static void put_quoted(FILE *out, const char *arg)
{
	if (arg[0] && arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789-_./:=,+%@")] == '\0') {
		(void)fputs(arg, out);
		return;
	}
	(void)fputc('\'', out);
	for (; *arg; arg++)
		(void)fputs(*arg == '\'' ? "'\\''" : (const char[]){*arg, '\0'}, out);
	(void)fputc('\'', out);
}

char *report_command(const struct report_options *o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&text, &len);

	if (!mem)
		return NULL;
	(void)fputs("sluice-bench", mem);
	for (int i = 1; i < o->argc; i++) {
		(void)fputc(' ', mem);
		put_quoted(mem, o->argv[i]);
	}
	(void)fclose(mem);
	return text;
}

/* Steps of a decade, from coarse to fine: 1-2-5 and the preferred numbers E6, E12 and E24 of IEC
 * 60063. */
static const double series_3[] = {1, 2, 5};
static const double series_6[] = {1, 1.5, 2.2, 3.3, 4.7, 6.8};
static const double series_12[] = {1, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2};
static const double series_24[] = {1,   1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2,   2.2, 2.4, 2.7, 3,
                                   3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1};
static const struct {
	const double *steps;
	uint32_t count;
} all_series[] = {
        {series_24, ARRAY_LEN(series_24)},
        {series_12, ARRAY_LEN(series_12)},
        {series_6, ARRAY_LEN(series_6)},
        {series_3, ARRAY_LEN(series_3)},
};

/* The n-th boundary of a series, n of 0 being 1 ns. */
static double boundary(uint32_t series, uint32_t n)
{
	uint32_t count = all_series[series].count;

	return all_series[series].steps[n % count] * pow(10, n / count);
}

static uint32_t boundary_below(uint32_t series, double ns)
{
	uint32_t n = 0;

	while (boundary(series, n + 1) <= ns)
		n++;
	return n;
}

uint32_t report_hist_rows(const struct load_hist *h, struct hist_row rows[HIST_ROWS])
{
	uint32_t series = 0, first = 0, count = 0;

	if (h->count == 0)
		return 0;
	/* The finest that fits; the coarsest has no more than 37 of 12 decades, so the slowest
	 * may share the last row. */
	for (; series < ARRAY_LEN(all_series); series++) {
		first = boundary_below(series, (double)max_u64(h->min_ns, 1));
		count = boundary_below(series, (double)max_u64(h->max_ns, 1)) - first + 1;
		if (count <= HIST_ROWS - 4 || series == ARRAY_LEN(all_series) - 1)
			break;
	}
	count = min_u32(count, HIST_ROWS);
	for (uint32_t i = 0; i < count; i++)
		rows[i] = (struct hist_row){.from_ns = boundary(series, first + i),
		                            .to_ns = boundary(series, first + i + 1)};
	if ((double)h->max_ns > rows[count - 1].to_ns)
		rows[count - 1].to_ns = (double)h->max_ns;
	for (uint32_t i = 0, row = 0; i < LOAD_HIST_BUCKETS; i++) {
		double top = (double)min_u64(hist_log_max(i, LOAD_HIST_SUB_BITS), h->max_ns);

		if (h->bucket[i] == 0)
			continue;
		while (row + 1 < count && top >= rows[row].to_ns)
			row++;
		rows[row].count += h->bucket[i];
	}
	return count;
}

typedef bool report_write(const struct result *r, const struct report_options *o, FILE *out);

static bool write_prometheus(const struct result *r, const struct report_options *o, FILE *out)
{
	(void)o;
	return report_prometheus(r, out);
}

static bool file_failed(const char *name)
{
	(void)fprintf(stderr, "sluice-bench: cannot write %s: %s\n", name, strerrordesc_np(errno));
	return false;
}

static bool file_write(const char *name, report_write *write, const struct result *r,
                       const struct report_options *o)
{
	bool ok;
	FILE *f;

	if (!name)
		return true;
	if (strcmp(name, "-") == 0) {
		ok = write(r, o, stdout) && fflush(stdout) == 0;
		return ok || file_failed("standard output");
	}
	f = fopen(name, "we");
	if (!f)
		return file_failed(name);
	ok = write(r, o, f) && !ferror(f);
	ok = fclose(f) == 0 && ok;
	return ok || file_failed(name);
}

static bool to_stdout(const char *name)
{
	return name && strcmp(name, "-") == 0;
}

bool result_report(const struct result *r, const struct report_options *o)
{
	/* What a program reads must stand alone. */
	bool taken = to_stdout(o->json) || to_stdout(o->prometheus) || to_stdout(o->markdown);
	FILE *people = taken ? stderr : stdout;
	bool ok = true;

	if (o->table && !(report_table(r, people) && fflush(people) == 0))
		ok = file_failed("the summary");
	ok = file_write(o->json, report_json, r, o) && ok;
	ok = file_write(o->prometheus, write_prometheus, r, o) && ok;
	return file_write(o->markdown, report_markdown, r, o) && ok;
}
