/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int report_init(struct report *r, const char *about, int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int left = 0;

	*r = (struct report){.name = slash != NULL ? slash + 1 : argv[0], .about = about};
	r->argc = argc;
	r->argv = calloc((size_t)argc + 1, sizeof(char *));
	if (r->argv == NULL)
		exit(1);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			r->json = true;
		} else if (strcmp(argv[i], "--short") == 0) {
			r->short_run = true;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			printf("Usage: %s [--json] [--short]\n%s\n"
			       "  --json   print one JSON object\n"
			       "  --short  a short run, to see that it works\n",
			       r->name, about);
			exit(0);
		} else {
			r->argv[left++] = argv[i];
		}
	}
	return left;
}

void report_add(struct report *r, double value, const char *note, const char *name, ...)
{
	va_list ap;

	if (r->count == REPORT_FIGURES)
		return;
	r->figures[r->count].value = value;
	va_start(ap, name);
	vsnprintf(r->figures[r->count].name, sizeof(r->figures[0].name), name, ap);
	va_end(ap);
	snprintf(r->figures[r->count].note, sizeof(r->figures[0].note), "%s",
	         note != NULL ? note : "");
	r->count++;
}

static void cpu_model(char *out, size_t cap)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, cap, "unknown CPU");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(out, cap, "%s", colon + 2);
			break;
		}
	}
	fclose(f);
}

/* CPU names hold no quote or backslash; other bytes are left out. */
static void print_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= ' ' && *s != '"' && *s != '\\')
			putchar(*s);
}

void report_print(const struct report *r)
{
	char cpu[128];

	cpu_model(cpu, sizeof(cpu));
	if (!r->json) {
		printf("%s on %ld x %s\n", r->name, sysconf(_SC_NPROCESSORS_ONLN), cpu);
		for (uint32_t i = 0; i < r->count; i++)
			printf("  %-44s %14.2f  %s\n", r->figures[i].name, r->figures[i].value,
			       r->figures[i].note);
		return;
	}
	printf("{\"name\":\"%s\",\"figures\":{", r->name);
	for (uint32_t i = 0; i < r->count; i++)
		printf("%s\"%s\":%.4f", i > 0 ? "," : "", r->figures[i].name, r->figures[i].value);
	printf("},\"machine\":{\"cpu\":\"");
	print_plain(cpu);
	printf("\",\"cores\":%ld},\"command\":\"perf/%s", sysconf(_SC_NPROCESSORS_ONLN), r->name);
	for (int i = 0; r->argv[i] != NULL; i++) {
		putchar(' ');
		print_plain(r->argv[i]);
	}
	printf("%s\"}\n", r->short_run ? " --short" : "");
}
