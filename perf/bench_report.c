/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/bench_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void bench_figure(struct bench_report *r, double value, const char *name, ...)
{
	va_list ap;

	assert(r->count < BENCH_FIGURES);
	va_start(ap, name);
	vsnprintf(r->figures[r->count].name, sizeof(r->figures[0].name), name, ap);
	va_end(ap);
	r->figures[r->count++].value = value;
}

/* "model name" of /proc/cpuinfo and the number of processors. */
static void machine_text(char *out, size_t size)
{
	char line[256];
	char cpu[128] = "unknown processor";
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
			break;
	if (f != NULL)
		fclose(f);
	snprintf(out, size, "%s, %ld processors", cpu, sysconf(_SC_NPROCESSORS_ONLN));
}

static void string_print(const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s >= 0x20)
			putchar(*s);
	}
}

void bench_print(const struct bench_report *r, bool json, int argc, char **argv)
{
	char machine[192];

	machine_text(machine, sizeof(machine));
	if (!json) {
		printf("%s on %s\n", r->name, machine);
		for (uint32_t i = 0; i < r->count; i++)
			printf("  %-40s %14.3f\n", r->figures[i].name, r->figures[i].value);
		return;
	}
	printf("{\"name\": \"%s\", \"figures\": {", r->name);
	for (uint32_t i = 0; i < r->count; i++)
		printf("%s\"%s\": %.4f", i > 0 ? ", " : "", r->figures[i].name,
		       r->figures[i].value);
	printf("}, \"machine\": \"");
	string_print(machine);
	printf("\", \"command\": \"");
	for (int i = 0; i < argc; i++) {
		if (i > 0)
			putchar(' ');
		string_print(argv[i]);
	}
	printf("\"}\n");
}
