/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct table {
	struct table_column columns[TABLE_COLUMNS_MAX];
	uint32_t count;
	bool titles;
	char **cells; /* row after row */
	size_t used;
	size_t room;
};

static void *must(void *p)
{
	if (!p) {
		fputs("sluicectl: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

struct table *table_create(const struct table_column *columns, uint32_t count)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	assert(count > 0 && count <= TABLE_COLUMNS_MAX);
	memcpy(t->columns, columns, count * sizeof(*columns));
	t->count = count;
	t->titles = true;
	return t;
}

struct table *facts_create(void)
{
	static const struct table_column columns[] = {{"", false}, {"", false}};
	struct table *t = table_create(columns, ARRAY_LEN(columns));

	t->titles = false;
	return t;
}

/* C0 controls and DEL; and U+0080 to U+009F, which some terminals obey too. */
static void make_safe(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
	}
}

void print_safe(FILE *out, const char *text)
{
	char *copy = must(strdup(text ? text : "-"));

	make_safe(copy);
	fputs(copy, out);
	free(copy);
}

void table_cell(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = must(NULL);
	va_end(ap);
	make_safe(text);
	if (t->used == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = must(realloc(t->cells, t->room * sizeof(*t->cells)));
	}
	t->cells[t->used++] = text;
}

/* Code points, which is near enough to columns for what stands here. */
static uint32_t width(const char *text)
{
	uint32_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void widths_find(const struct table *t, uint32_t *widths)
{
	for (uint32_t i = 0; i < t->count; i++)
		widths[i] = width(t->columns[i].title);
	for (size_t i = 0; i < t->used; i++)
		widths[i % t->count] = max_u32(widths[i % t->count], width(t->cells[i]));
}

/* No spaces behind the last column. */
static void cell_print(FILE *out, const char *text, uint32_t to, bool right, bool last)
{
	int pad = (int)(to - width(text));

	if (right)
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", out);
}

void table_print(struct table *t, FILE *out)
{
	uint32_t widths[TABLE_COLUMNS_MAX];

	assert(t->used % t->count == 0);
	widths_find(t, widths);
	for (uint32_t i = 0; t->titles && i < t->count; i++)
		cell_print(out, t->columns[i].title, widths[i], t->columns[i].right,
		           i == t->count - 1);
	for (size_t i = 0; i < t->used; i++) {
		uint32_t column = (uint32_t)(i % t->count);

		cell_print(out, t->cells[i], widths[column], t->columns[column].right,
		           column == t->count - 1);
		free(t->cells[i]);
	}
	free(t->cells);
	free(t);
}

char *unit_count(char buf[UNIT_TEXT], uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	size_t out = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	buf[out] = '\0';
	return buf;
}

char *unit_bytes(char buf[UNIT_TEXT], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	uint32_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, UNIT_TEXT, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

char *unit_duration_ns(char buf[UNIT_TEXT], uint64_t ns)
{
	if (ns < NS_PER_US)
		snprintf(buf, UNIT_TEXT, "%" PRIu64 " ns", ns);
	else if (ns < NS_PER_MS)
		snprintf(buf, UNIT_TEXT, "%.1f us", (double)ns / (double)NS_PER_US);
	else if (ns < NS_PER_S)
		snprintf(buf, UNIT_TEXT, "%.1f ms", (double)ns / (double)NS_PER_MS);
	else
		snprintf(buf, UNIT_TEXT, "%.1f s", (double)ns / (double)NS_PER_S);
	return buf;
}

char *unit_age_s(char buf[UNIT_TEXT], uint64_t seconds)
{
	uint64_t minutes = seconds / 60;
	uint64_t hours = minutes / 60;

	if (minutes == 0)
		snprintf(buf, UNIT_TEXT, "%" PRIu64 "s", seconds);
	else if (hours == 0)
		snprintf(buf, UNIT_TEXT, "%" PRIu64 "m %" PRIu64 "s", minutes, seconds % 60);
	else if (hours < 24)
		snprintf(buf, UNIT_TEXT, "%" PRIu64 "h %" PRIu64 "m", hours, minutes % 60);
	else
		snprintf(buf, UNIT_TEXT, "%" PRIu64 "d %" PRIu64 "h", hours / 24, hours % 24);
	return buf;
}

char *unit_percent(char buf[UNIT_TEXT], double ratio)
{
	snprintf(buf, UNIT_TEXT, "%.2f %%", 100 * ratio);
	return buf;
}
