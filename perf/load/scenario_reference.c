/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes the tables of docs/SCENARIOS.md from those in the code: scenario_reference PAGE prints the
 * page with its tables renewed. */
#include "perf/load/scenario_keys.h"
#include "perf/load/scenario_shipped.h"
#include "perf/load/template.h"
#include "perf/load/threshold.h"

#include <stdio.h>
#include <stdlib.h>

static const char begin_mark[] = "<!-- tables: made by scenario_reference, from the code -->\n";
static const char end_mark[] = "<!-- end of tables -->\n";

static void write_section(enum scenario_section section)
{
	const struct scenario_section_info *info = &scenario_sections[section];

	if (info->path[0])
		(void)printf("\n### `%s`\n\n%s\n\n", info->path, info->text);
	else
		(void)printf("\n### The file\n\n");
	(void)fputs("| key | value | default | meaning |\n|---|---|---|---|\n", stdout);
	for (const struct scenario_key *k = scenario_keys; k->key; k++)
		if (k->section == section)
			(void)printf("| `%s` | %s | %s | %s |\n", k->key, k->value,
			             k->def ? k->def : "*required*", k->text);
}

static void write_words(const char *heading, const struct template_word *words)
{
	(void)printf("\n### %s\n\n| written | becomes |\n|---|---|\n", heading);
	for (; words->name; words++) {
		(void)fputs("| `", stdout);
		/* A bar would end the cell. */
		for (const char *c = words->usage; *c; c++)
			(void)fputs(*c == '|' ? "\\|" : (const char[]){*c, '\0'}, stdout);
		(void)printf("` | %s |\n", words->text);
	}
}

static void write_figures(void)
{
	static const char *const units[] = {
	        [FIGURE_IS_TIME] = "duration",
	        [FIGURE_IS_SHARE] = "share, as `0.5%` or `0.005`",
	        [FIGURE_IS_RATE] = "rate",
	};

	(void)fputs("\n### Figures of thresholds\n\n| figure | value | meaning |\n|---|---|---|\n",
	            stdout);
	for (uint32_t i = 0; i < FIGURE_COUNT; i++)
		(void)printf("| `%s` | %s | %s |\n", figure_infos[i].name,
		             units[figure_infos[i].kind], figure_infos[i].text);
}

static void write_tables(void)
{
	(void)fputs("\n## Keys\n", stdout);
	for (int i = 0; i < SECTION_COUNT; i++)
		write_section((enum scenario_section)i);
	(void)fputs("\n## Variables and figures\n", stdout);
	write_words("Variables", template_variables);
	write_words("Formats of numbers", template_formats);
	write_figures();
	(void)fputs("\n## Shipped scenarios\n\n```\n", stdout);
	scenario_list();
	(void)fputs("```\n\n", stdout);
}

int main(int argc, char **argv)
{
	FILE *page = argc == 2 ? fopen(argv[1], "re") : NULL;
	uint32_t marks = 0;
	char line[4096];
	bool inside = false;

	if (!page) {
		(void)fprintf(stderr, "usage: scenario_reference docs/SCENARIOS.md\n");
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), page)) {
		if (strcmp(line, end_mark) == 0 && inside) {
			inside = false;
			marks++;
		}
		if (!inside)
			(void)fputs(line, stdout);
		if (strcmp(line, begin_mark) == 0) {
			inside = true;
			marks++;
			write_tables();
		}
	}
	(void)fclose(page);
	if (marks == 2)
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	(void)fprintf(stderr, "%s: the lines that enclose the tables are missing:\n%s%s", argv[1],
	              begin_mark, end_mark);
	return EXIT_FAILURE;
}
