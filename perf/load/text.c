/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/text.h"

/* Three significant digits below 1000. */
static void three_digits(struct text *t, double value, const char *unit)
{
	int places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	(void)snprintf(t->s, sizeof(t->s), "%.*f %s", places, value, unit);
}

struct text text_time(double ns)
{
	struct text t;

	if (ns < 999.5)
		(void)snprintf(t.s, sizeof(t.s), "%.0f ns", ns);
	else if (ns < 999.5e3)
		three_digits(&t, ns / 1e3, "us");
	else if (ns < 999.5e6)
		three_digits(&t, ns / 1e6, "ms");
	else
		three_digits(&t, ns / 1e9, "s");
	return t;
}

struct text text_span(double ns)
{
	unsigned long long s = (unsigned long long)(ns / 1e9 + 0.5);
	struct text t;

	if (s < 10)
		return text_time(ns);
	if (s < 60)
		(void)snprintf(t.s, sizeof(t.s), "%llus", s);
	else if (s < 3600)
		(void)snprintf(t.s, sizeof(t.s), "%llum %02llus", s / 60, s % 60);
	else
		(void)snprintf(t.s, sizeof(t.s), "%lluh %02llum", s / 3600, s / 60 % 60);
	return t;
}

/* Commas between thousands, of the digits before the point. */
static void group_thousands(struct text *t)
{
	size_t len = strlen(t->s), whole = strcspn(t->s, ".");

	for (size_t at = whole; at > 3 && len + 1 < sizeof(t->s);) {
		at -= 3;
		memmove(t->s + at + 1, t->s + at, ++len - at);
		t->s[at] = ',';
	}
}

struct text text_count(uint64_t n)
{
	struct text t;

	(void)snprintf(t.s, sizeof(t.s), "%llu", (unsigned long long)n);
	group_thousands(&t);
	return t;
}

struct text text_rate(double per_s)
{
	struct text t;

	(void)snprintf(t.s, sizeof(t.s), "%.*f", per_s < 9999.95 ? 1 : 0, per_s);
	group_thousands(&t);
	(void)snprintf(t.s + strlen(t.s), sizeof(t.s) - strlen(t.s), "/s");
	return t;
}

struct text text_bytes(double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	struct text t;
	size_t unit = 0;

	for (; bytes >= 999.5 && unit + 1 < ARRAY_LEN(units); unit++)
		bytes /= 1024;
	if (unit == 0)
		(void)snprintf(t.s, sizeof(t.s), "%.0f B", bytes);
	else
		three_digits(&t, bytes, units[unit]);
	return t;
}

struct text text_share(double share)
{
	double percent = share * 100;
	struct text t;

	if (share > 0 && percent < 0.01)
		(void)snprintf(t.s, sizeof(t.s), "<0.01 %%");
	else if (share < 1 && percent > 99.99)
		(void)snprintf(t.s, sizeof(t.s), ">99.99 %%");
	else if (share <= 0 || share >= 1)
		(void)snprintf(t.s, sizeof(t.s), "%.0f %%", percent);
	else
		(void)snprintf(t.s, sizeof(t.s), "%.*f %%", percent < 10 || percent > 90 ? 2 : 1,
		               percent);
	return t;
}

struct text text_figure(enum load_figure figure, double value)
{
	switch (figure_infos[figure].kind) {
	case FIGURE_IS_TIME:
		return text_time(value);
	case FIGURE_IS_SHARE:
		return text_share(value);
	case FIGURE_IS_RATE:
		return text_rate(value);
	}
	return text_rate(value);
}

static bool begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

size_t text_whole(const char *s, size_t len)
{
	size_t at = len;

	/* The last character's first byte, and whether its others are there (RFC 3629 3). */
	while (at > 0 && !begins_character(s[at - 1]))
		at--;
	if (at == 0)
		return len;
	unsigned char first = (unsigned char)s[at - 1];
	size_t bytes = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	return at - 1 + bytes <= len ? len : at - 1;
}

void text_put_name(FILE *out, const char *name, uint32_t width)
{
	for (; *name; name++) {
		if (begins_character(*name) && width-- == 0)
			return;
		(void)fputc(*name, out);
	}
	(void)fprintf(out, "%*s", (int)width, "");
}
