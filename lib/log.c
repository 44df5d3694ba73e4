/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/log.h"

#include "lib/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static int current_level = LOG_INFO;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED);
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Time, level and module; returns the length, always under cap. */
static size_t write_prefix(char *line, size_t cap, enum log_level level, const char *module)
{
	uint64_t wall_ns = clock_wall_ns();
	time_t wall_s = (time_t)(wall_ns / NS_PER_S);
	unsigned ms = (unsigned)(wall_ns % NS_PER_S / NS_PER_MS);
	struct tm tm;

	gmtime_r(&wall_s, &tm);
	size_t len = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	int n = snprintf(line + len, cap - len, ".%03uZ %s %s: ", ms, level_names[level], module);
	if (n < 0)
		return len;
	return len + min_size((size_t)n, cap - len - 1);
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	if ((int)level > __atomic_load_n(&current_level, __ATOMIC_RELAXED) || level > LOG_DEBUG)
		return;
	size_t start = write_prefix(line, sizeof(line), level, module);
	va_start(args, fmt);
	int n = vsnprintf(line + start, sizeof(line) - start, fmt, args);
	va_end(args);
	size_t end = start;
	if (n > 0)
		end += min_size((size_t)n, sizeof(line) - start - 1);
	/* Text may hold what a peer sent: it must not be able to forge a line of its own. */
	for (size_t i = start; i < end; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[end++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, end);
	(void)written; /* there is nowhere else to report it */
}
