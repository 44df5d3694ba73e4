/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The line that shows how a run goes: what the last second brought, and what is left to do. On a
 * terminal it is written over and over; else each is a line of its own, for a log. */
#include "perf/load/report_private.h"

#include <stdlib.h>
#include <unistd.h>

#define BAR_WIDTH  16u
#define NAME_WIDTH 16

struct progress {
	const struct scenario *scenario;
	bool shown;
	bool terminal;
	uint64_t total_ns;  /* of all stages */
	uint64_t before_ns; /* when the line was last shown; 0: never */
	struct load_counts before;
	struct load_hist before_latency;
	struct load_hist between; /* of the last second */
};

struct progress *progress_create(const struct scenario *s, bool force)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->scenario = s;
	p->terminal = isatty(STDERR_FILENO);
	p->shown = p->terminal || force;
	for (uint32_t i = 0; i < s->stage_count; i++)
		p->total_ns += s->stages[i].duration_ns;
	return p;
}

void progress_destroy(struct progress *p)
{
	/* The report begins where the line stood. */
	if (p && p->terminal && p->before_ns)
		(void)fputs("\r\033[K", stderr);
	free(p);
}

/* The difference of two readings. Its slowest is not known but by its bucket. */
static void hist_between(struct load_hist *out, const struct load_hist *now,
                         const struct load_hist *before)
{
	*out = (struct load_hist){.count = now->count - before->count, .max_ns = now->max_ns};
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++)
		out->bucket[i] = now->bucket[i] - before->bucket[i];
}

static void put_time_left(const struct progress *p, const struct result *now)
{
	double done = p->total_ns ? (double)now->elapsed_ns / (double)p->total_ns : 0;
	uint32_t wide = (uint32_t)((done > 1 ? 1 : done) * BAR_WIDTH);
	char bar[BAR_WIDTH + 1];

	for (uint32_t i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < wide ? '=' : i == wide ? '>' : ' ';
	bar[BAR_WIDTH] = '\0';
	(void)fprintf(stderr, "[%s] %s/%s", bar, text_span((double)now->elapsed_ns).s,
	              text_span((double)p->total_ns).s);
}

static void put_line(struct progress *p, const struct result *now, uint32_t stage, double s)
{
	const struct load_counts *c = &now->total.counts;
	const struct load_part between = {
	        .counts.hits = c->hits - p->before.hits,
	        .counts.cache_known = c->cache_known - p->before.cache_known,
	};
	const uint64_t errors = load_errors(c);
	const char *name = stage < p->scenario->stage_count ? p->scenario->stages[stage].name : "";

	if (p->terminal)
		(void)fputs("\r", stderr);
	put_time_left(p, now);
	(void)fprintf(
	        stderr, " %-*.*s %9s  p50 %s p99 %s  errors %s", NAME_WIDTH, NAME_WIDTH,
	        now->elapsed_ns ? name : "warm-up",
	        text_rate((double)(c->answered - p->before.answered) / s).s,
	        p->between.count ? text_time((double)load_hist_quantile_ns(&p->between, 0.5)).s
	                         : "-",
	        p->between.count ? text_time((double)load_hist_quantile_ns(&p->between, 0.99)).s
	                         : "-",
	        text_count(errors).s);
	if (report_knows_hits(&between))
		(void)fprintf(stderr, "  hits %s",
		              text_share(result_figure(&between, FIGURE_HIT_RATE)).s);
	(void)fprintf(stderr, "  links %u%s", now->open_links, p->terminal ? "\033[K" : "\n");
	(void)fflush(stderr);
}

void progress_show(struct progress *p, const struct result *now, uint32_t stage, uint64_t now_ns)
{
	double s = (double)(now_ns - p->before_ns) / 1e9;

	if (!p->shown)
		return;
	if (p->before_ns && s > 0) {
		hist_between(&p->between, &now->total.latency, &p->before_latency);
		put_line(p, now, stage, s);
	}
	p->before_ns = now_ns;
	p->before = now->total.counts;
	p->before_latency = now->total.latency;
}
