/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Durations and rates as people write them. */
#include "perf/load/scenario_private.h"

#include <math.h>

struct unit {
	struct span name;
	double factor;
};

static const struct unit time_units[] = {
        {SPAN_LIT("ns"), 1},  {SPAN_LIT("us"), 1e3}, {SPAN_LIT("ms"), 1e6},
        {SPAN_LIT("s"), 1e9}, {SPAN_LIT("m"), 60e9}, {SPAN_LIT("h"), 3600e9},
};

/* Digits with at most one point, no sign and no exponent; at most 15 digits, which a double holds.
 */
bool scenario_number(struct span *text, double *out)
{
	double value = 0, place = 1;
	bool point = false;
	uint32_t digits = 0;
	size_t i = 0;

	for (; i < text->len; i++) {
		char c = text->ptr[i];

		if (c == '.' && !point && digits > 0) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		value = value * 10 + (c - '0');
		place = point ? place * 10 : 1;
		digits++;
	}
	if (digits == 0 || digits > 15 || text->ptr[i - 1] == '.')
		return false;
	*out = value / place;
	*text = span_of(text->ptr + i, text->len - i);
	return true;
}

static const struct unit *unit_read(struct span *text)
{
	size_t len = 0;

	while (len < text->len && text->ptr[len] >= 'a' && text->ptr[len] <= 'z')
		len++;
	for (size_t i = 0; i < ARRAY_LEN(time_units); i++) {
		if (!span_eq(span_of(text->ptr, len), time_units[i].name))
			continue;
		*text = span_of(text->ptr + len, text->len - len);
		return &time_units[i];
	}
	return NULL;
}

bool scenario_duration(struct span text, uint64_t *out_ns)
{
	double sum = 0, before = INFINITY;

	if (span_eq(text, SPAN_LIT("0"))) {
		*out_ns = 0;
		return true;
	}
	if (text.len == 0)
		return false;
	while (text.len > 0) {
		const struct unit *unit;
		double value;

		if (!scenario_number(&text, &value))
			return false;
		unit = unit_read(&text);
		/* "1m30s", not "30s1m" or "1s1s". */
		if (!unit || unit->factor >= before)
			return false;
		before = unit->factor;
		sum += value * unit->factor;
	}
	if (!(sum < 1e18))
		return false;
	*out_ns = (uint64_t)llround(sum);
	return true;
}

bool scenario_rate(struct span text, double *out)
{
	double value;

	if (!scenario_number(&text, &value))
		return false;
	if (text.len > 0 && (text.ptr[0] == 'k' || text.ptr[0] == 'M')) {
		value *= text.ptr[0] == 'k' ? 1e3 : 1e6;
		text = span_of(text.ptr + 1, text.len - 1);
	}
	if (span_eq(text, SPAN_LIT("/m")))
		value /= 60;
	else if (text.len > 0 && !span_eq(text, SPAN_LIT("/s")))
		return false;
	*out = value;
	return true;
}
