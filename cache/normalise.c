/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/normalise.h"

#include <stdio.h>

#define DIGITS_MAX 18u /* of a number that fits 63 bits */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool norm_own(struct norm *v)
{
	if (v->text.ptr == v->buf)
		return true;
	if (v->text.len > NORM_MAX)
		return false;
	if (v->text.len > 0)
		memmove(v->buf, v->text.ptr, v->text.len);
	v->text.ptr = v->buf;
	return true;
}

static bool set_text(struct norm *v, const char *text, size_t len)
{
	memcpy(v->buf, text, len);
	v->text = span_of(v->buf, len);
	return true;
}

/* It only gets shorter, so reading stays ahead of writing when the value is in buf already. */
bool norm_decode(struct norm *v, bool form)
{
	struct span in = v->text;
	size_t to = 0;

	if (in.len > NORM_MAX)
		return false;
	for (size_t i = 0; i < in.len; i++, to++) {
		char c = in.ptr[i];

		if (c == '%') {
			int hi = in.len - i > 2 ? hex_value(in.ptr[i + 1]) : -1;
			int lo = in.len - i > 2 ? hex_value(in.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		if (c == NORM_ID)
			return false;
		v->buf[to] = c;
	}
	v->text = span_of(v->buf, to);
	return true;
}

bool norm_lower(struct norm *v)
{
	struct span in = v->text;
	size_t i = 0;

	if (in.len > NORM_MAX)
		return false;
	/* In place or apart; never half over itself. */
	if (in.ptr > v->buf && in.ptr < v->buf + NORM_MAX && norm_own(v))
		in = v->text;
	for (; i + 8 <= in.len; i += 8) {
		uint64_t eight;

		memcpy(&eight, in.ptr + i, 8);
		eight = ascii_lower8(eight);
		memcpy(v->buf + i, &eight, 8);
	}
	for (; i < in.len; i++)
		v->buf[i] = ascii_lower(in.ptr[i]);
	v->text = span_of(v->buf, in.len);
	return true;
}

bool norm_upper(struct norm *v)
{
	if (!norm_own(v))
		return false;
	for (size_t i = 0; i < v->text.len; i++)
		if (v->buf[i] >= 'a' && v->buf[i] <= 'z')
			v->buf[i] = (char)(v->buf[i] - 32);
	return true;
}

static struct span trimmed(struct span s)
{
	while (s.len > 0 && is_space(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

void norm_trim(struct norm *v)
{
	v->text = trimmed(v->text);
}

bool norm_squeeze(struct norm *v)
{
	size_t to = 0;

	norm_trim(v);
	if (!norm_own(v))
		return false;
	for (size_t i = 0; i < v->text.len; i++) {
		char c = is_space(v->buf[i]) ? ' ' : v->buf[i];

		if (c != ' ' || (to > 0 && v->buf[to - 1] != ' '))
			v->buf[to++] = c;
	}
	while (to > 1 && v->buf[to - 1] == '/')
		to--;
	v->text.len = to;
	return true;
}

static int span_order(struct span a, struct span b)
{
	size_t n = min_size(a.len, b.len);
	int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Inserts in order; false when it is there already. */
static bool list_insert(struct span *list, uint32_t count, struct span member)
{
	uint32_t at = count;

	while (at > 0 && span_order(list[at - 1], member) > 0)
		at--;
	if (at > 0 && span_eq(list[at - 1], member))
		return false;
	memmove(&list[at + 1], &list[at], (count - at) * sizeof(*list));
	list[at] = member;
	return true;
}

bool norm_sort(struct norm *v)
{
	struct span list[NORM_LIST + 1];
	char text[NORM_MAX];
	struct span rest = v->text;
	uint32_t count = 0;
	size_t len = 0;

	if (rest.len > NORM_MAX)
		return false;
	while (rest.ptr != NULL) {
		const char *comma = rest.len > 0 ? memchr(rest.ptr, ',', rest.len) : NULL;
		size_t n = comma ? (size_t)(comma - rest.ptr) : rest.len;

		if (count == NORM_LIST)
			return true;
		count += list_insert(list, count, trimmed(span_of(rest.ptr, n)));
		rest = comma ? span_of(comma + 1, rest.len - n - 1) : span_of(NULL, 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			text[len++] = ',';
		if (list[i].len > 0)
			memcpy(text + len, list[i].ptr, list[i].len);
		len += list[i].len;
	}
	return set_text(v, text, len);
}

/* [sign] digits; the sign and zeros in front go. False: it is no such number. */
static bool int_read(struct span s, bool *minus, struct span *digits)
{
	*minus = s.len > 0 && s.ptr[0] == '-';
	if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
		s.ptr++;
		s.len--;
	}
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.ptr[i]))
			return false;
	while (s.len > 1 && s.ptr[0] == '0') {
		s.ptr++;
		s.len--;
	}
	if (s.len == 1 && s.ptr[0] == '0')
		*minus = false;
	*digits = s;
	return true;
}

bool norm_int(struct norm *v)
{
	struct span digits;
	bool minus;

	if (!int_read(v->text, &minus, &digits))
		return true;
	if (digits.len + 1 > NORM_MAX)
		return false;
	memmove(v->buf + minus, digits.ptr, digits.len);
	if (minus)
		v->buf[0] = '-';
	v->text = span_of(v->buf, digits.len + minus);
	return true;
}

static uint64_t digits_value(struct span digits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < digits.len; i++)
		n = n * 10 + (uint64_t)(digits.ptr[i] - '0');
	return n;
}

/* Days from 1970-01-01 of a date of the Gregorian calendar (H. Hinnant, "chrono-compatible
 * low-level date algorithms"). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* Takes digits at *at, n of them. */
static bool number_take(struct span s, size_t *at, size_t n, int64_t *out)
{
	*out = 0;
	for (size_t end = *at + n; *at < end; (*at)++) {
		if (*at >= s.len || !is_digit(s.ptr[*at]))
			return false;
		*out = *out * 10 + (s.ptr[*at] - '0');
	}
	return true;
}

static bool byte_take(struct span s, size_t *at, const char *set)
{
	if (*at >= s.len || s.ptr[*at] == '\0' || !strchr(set, s.ptr[*at]))
		return false;
	(*at)++;
	return true;
}

static bool zone_take(struct span s, size_t *at, int64_t *offset_s)
{
	int64_t h, m;
	bool west;

	*offset_s = 0;
	if (byte_take(s, at, "Zz"))
		return true;
	west = *at < s.len && s.ptr[*at] == '-';
	if (!byte_take(s, at, "+-") || !number_take(s, at, 2, &h) || !byte_take(s, at, ":") ||
	    !number_take(s, at, 2, &m) || h > 23 || m > 59)
		return false;
	*offset_s = (h * 3600 + m * 60) * (west ? -1 : 1);
	return true;
}

/* RFC 3339 date-time. */
static bool time_read(struct span s, int64_t *out)
{
	int64_t y, mo, d, h, mi, sec, fraction, zone;
	size_t at = 0;

	if (!number_take(s, &at, 4, &y) || !byte_take(s, &at, "-") ||
	    !number_take(s, &at, 2, &mo) || !byte_take(s, &at, "-") ||
	    !number_take(s, &at, 2, &d) || !byte_take(s, &at, "Tt ") ||
	    !number_take(s, &at, 2, &h) || !byte_take(s, &at, ":") ||
	    !number_take(s, &at, 2, &mi) || !byte_take(s, &at, ":") ||
	    !number_take(s, &at, 2, &sec))
		return false;
	if (byte_take(s, &at, "."))
		while (number_take(s, &at, 1, &fraction))
			;
	if (!zone_take(s, &at, &zone) || at != s.len)
		return false;
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60)
		return false;
	*out = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - zone;
	return *out >= 0;
}

static bool number_set(struct norm *v, const char *sign, uint64_t n)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%s%llu", n > 0 ? sign : "", (unsigned long long)n);

	return set_text(v, text, (size_t)len);
}

bool norm_bucket(struct norm *v, uint32_t n)
{
	struct span digits;
	int64_t at_s;
	uint64_t value;
	bool minus;

	if (time_read(v->text, &at_s))
		return number_set(v, "", (uint64_t)at_s / n * n);
	if (!int_read(v->text, &minus, &digits) || digits.len > DIGITS_MAX)
		return true;
	value = digits_value(digits);
	/* Down, also below zero. */
	value = minus ? (value + n - 1) / n * n : value / n * n;
	return number_set(v, minus ? "-" : "", value);
}

/* [sign] digits [. digits] as a whole number scaled by 10^*decimals. */
static bool decimal_read(struct span s, bool *minus, uint64_t *scaled, uint32_t *decimals)
{
	size_t i = 0, count = 0;
	bool point = false;

	*minus = s.len > 0 && s.ptr[0] == '-';
	*scaled = 0;
	*decimals = 0;
	if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		i++;
	for (; i < s.len; i++) {
		if (s.ptr[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (!is_digit(s.ptr[i]) || ++count > DIGITS_MAX)
			return false;
		*scaled = *scaled * 10 + (uint64_t)(s.ptr[i] - '0');
		*decimals += point;
	}
	return count > 0 && s.ptr[s.len - 1] != '.';
}

static uint64_t pow10_of(uint32_t n)
{
	uint64_t p = 1;

	while (n-- > 0)
		p *= 10;
	return p;
}

bool norm_round(struct norm *v, uint32_t digits)
{
	uint64_t scaled, whole, part, unit;
	uint32_t decimals;
	char text[48];
	bool minus;
	int len;

	if (!decimal_read(v->text, &minus, &scaled, &decimals))
		return true;
	if (decimals > digits) {
		unit = pow10_of(decimals - digits);
		scaled = scaled / unit + (scaled % unit >= unit - unit / 2);
		decimals = digits;
	}
	/* 1.50 is 1.5. */
	for (; decimals > 0 && scaled % 10 == 0; decimals--)
		scaled /= 10;
	unit = pow10_of(decimals);
	whole = scaled / unit;
	part = scaled % unit;
	len = snprintf(text, sizeof(text), "%s%llu", minus && scaled > 0 ? "-" : "",
	               (unsigned long long)whole);
	if (decimals > 0)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ".%0*llu", (int)decimals,
		                (unsigned long long)part);
	return set_text(v, text, (size_t)len);
}

static bool uuid_is(struct span s)
{
	if (s.len != 36)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s.ptr[i] != '-' : hex_value(s.ptr[i]) < 0)
			return false;
	}
	return true;
}

static bool id_is(struct span s)
{
	if (uuid_is(s))
		return true;
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.ptr[i]))
			return false;
	return s.len > 0;
}

bool norm_id(struct norm *v)
{
	size_t from = 0, to = 0;

	if (!norm_own(v))
		return false;
	for (size_t i = 0; i <= v->text.len; i++) {
		struct span part = span_of(v->buf + from, i - from);

		if (i < v->text.len && !memchr("/:., ", v->buf[i], 5))
			continue;
		if (id_is(part)) {
			v->buf[to++] = NORM_ID;
		} else {
			memmove(v->buf + to, part.ptr, part.len);
			to += part.len;
		}
		if (i < v->text.len)
			v->buf[to++] = v->buf[i];
		from = i + 1;
	}
	v->text.len = to;
	return true;
}

bool norm_unit_split(struct span text, uint64_t *number, uint32_t *decimals, struct span *unit)
{
	size_t n = 0;
	bool minus;

	text = trimmed(text);
	while (n < text.len && (is_digit(text.ptr[n]) || text.ptr[n] == '.'))
		n++;
	*unit = trimmed(span_of(text.ptr + n, text.len - n));
	return n > 0 && decimal_read(span_of(text.ptr, n), &minus, number, decimals);
}

bool norm_unit_set(struct norm *v, uint64_t number, uint32_t decimals, uint64_t factor)
{
	uint64_t product, scale = pow10_of(decimals);

	if (__builtin_mul_overflow(number, factor, &product) || product % scale != 0)
		return true;
	return number_set(v, "", product / scale);
}
