/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/metrics/text_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM = 16384 };

static bool page_grow(struct text_page *p, size_t need)
{
	size_t room = p->room ? p->room : FIRST_ROOM;
	char *text;

	while (room - p->len <= need)
		room *= 2;
	text = realloc(p->text, room);
	if (!text) {
		p->failed = true;
		return false;
	}
	p->text = text;
	p->room = room;
	return true;
}

void page_printf(struct text_page *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(p->text ? p->text + p->len : NULL, p->room - p->len, fmt, ap);
	va_end(ap);
	if (n < 0) {
		p->failed = true;
		return;
	}
	if ((size_t)n >= p->room - p->len) {
		if (!page_grow(p, (size_t)n))
			return;
		va_start(ap, fmt);
		vsnprintf(p->text + p->len, p->room - p->len, fmt, ap);
		va_end(ap);
	}
	p->len += (size_t)n;
}

/* In HELP, backslash and line feed are escaped, and nothing else. */
void page_family(struct text_page *p, const char *name, const char *type, const char *help)
{
	page_printf(p, "# HELP %s ", name);
	for (const char *c = help; *c; c++) {
		if (*c == '\\')
			page_printf(p, "\\\\");
		else if (*c == '\n')
			page_printf(p, "\\n");
		else
			page_printf(p, "%c", *c);
	}
	page_printf(p, "\n# TYPE %s %s\n", name, type);
}

void page_sample(struct text_page *p, const char *name, const char *labels, uint64_t value)
{
	if (*labels)
		page_printf(p, "%s{%s} %" PRIu64 "\n", name, labels, value);
	else
		page_printf(p, "%s %" PRIu64 "\n", name, value);
}

void page_quote(char *out, size_t room, const char *text)
{
	size_t n = 0;

	out[n++] = '"';
	for (const char *c = text; *c && n + 4 < room; c++) {
		bool escape = *c == '\\' || *c == '"' || *c == '\n';

		if (escape)
			out[n++] = '\\';
		out[n++] = *c == '\n' ? 'n' : *c;
	}
	out[n++] = '"';
	out[n] = '\0';
}
