/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints docs/reference/metrics.md from lib/counters.def and metrics.def. */
#include "control/metrics/metrics_page.h"

#include <stdio.h>

enum { HELP_MAX = 2048 };

static const char head[] =
        "# Metrics\n\n"
        "Made by `metrics_reference` from `lib/counters.def` and `control/metrics/metrics.def`; do "
        "not edit.\n\n"
        "`GET /metrics` on `admin.metrics_address` and `admin.metrics_port` gives them in "
        "Prometheus' text format. The\ncores' counters lie in shared memory: a scrape costs them "
        "nothing. `GET /metrics.json` is a summary; `/healthz`\nanswers 200 while control runs, "
        "`/readyz` 503 while no dataplane is attached, it drains, or control stops.\n\n"
        "Counters begin at zero when the dataplane starts. Without a dataplane, its families have "
        "no samples.\n\n";

/* A bar would end a cell. */
static void cell(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '|')
			putchar('\\');
		putchar(*c);
	}
}

static void families_print(void)
{
	fputs("## Counters of a core\n\nEach has the label `core`.\n\n"
	      "| metric | type | other labels | counter | meaning |\n|---|---|---|---|---|\n",
	      stdout);
	for (uint32_t i = 0; i < CTR_COUNT; i++) {
		const struct counter_info *info = &counter_infos[i];

		if (info->kind != COUNTER_EVENT)
			continue;
		printf("| `%s` | %s | ", info->metric, metrics_counter_type(info));
		if (*info->labels)
			printf("`%s`", info->labels);
		printf(" | `%s` | ", info->id);
		cell(info->help);
		fputs(" |\n", stdout);
	}
}

static void reasons_print(enum counter_kind kind, const char *title)
{
	bool first = true;

	for (uint32_t i = 0; i < CTR_COUNT; i++) {
		const struct counter_info *info = &counter_infos[i];
		char help[HELP_MAX];

		if (info->kind != kind)
			continue;
		metrics_family_help(i, help, sizeof(help));
		if (first)
			printf("\n## %s\n\n`%s`, a counter: %s.\n\n"
			       "| label | counter | meaning |\n|---|---|---|\n",
			       title, info->metric, help);
		first = false;
		printf("| `%s` | `%s` | ", info->labels, info->id);
		cell(info->help);
		fputs(" |\n", stdout);
	}
}

static void others_print(void)
{
	fputs("\n## Processes, latencies, upstreams\n\n"
	      "| metric | type | labels | meaning |\n|---|---|---|---|\n",
	      stdout);
	for (const struct metric_info *m = metric_infos; m->name; m++) {
		printf("| `%s` | %s | %s | ", m->name, m->type, m->labels);
		cell(m->help);
		fputs(" |\n", stdout);
	}
}

int main(void)
{
	fputs(head, stdout);
	families_print();
	reasons_print(COUNTER_DROP, "Dropped packets");
	reasons_print(COUNTER_SHED, "Shed work");
	others_print();
	return fflush(stdout) == 0 ? 0 : 1;
}
