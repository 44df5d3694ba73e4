/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>

struct date_case {
	const char *text;
	bool ok;
	uint64_t wall_s;
};

static const struct date_case parse_cases[] = {
        /* The three forms of RFC 9110 5.6.7, one instant. */
        {"Sun, 06 Nov 1994 08:49:37 GMT", true, 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", true, 784111777},
        {"Sun Nov  6 08:49:37 1994", true, 784111777},
        {"Wed Nov 16 08:49:37 1994", true, 784975777},
        /* Edges */
        {"Thu, 01 Jan 1970 00:00:00 GMT", true, 0},
        {"Thu, 01 Jan 1970 00:00:01 GMT", true, 1},
        {"Wed, 31 Dec 1969 23:59:59 GMT", true, 0},
        {"Mon, 01 Jan 0001 00:00:00 GMT", true, 0},
        {"Tue, 19 Jan 2038 03:14:08 GMT", true, 2147483648},
        {"Sun, 07 Feb 2106 06:28:16 GMT", true, 4294967296},
        {"Fri, 31 Dec 9999 23:59:59 GMT", true, 253402300799},
        {"Tue, 29 Feb 2000 12:00:00 GMT", true, 951825600},
        {"Thu, 29 Feb 2024 00:00:00 GMT", true, 1709164800},
        {"Fri, 01 Mar 2024 00:00:00 GMT", true, 1709251200},
        {"Sat, 31 Dec 2016 23:59:60 GMT", true, 1483228800},
        {"Friday, 31-Dec-99 23:59:59 GMT", true, 946684799},

        /* Not dates */
        {"", false, 0},
        {"0", false, 0},
        {"-1", false, 0},
        {"Sun", false, 0},
        {"Sun, ", false, 0},
        {"Sun, 06 Nov 1994 08:49:37", false, 0},
        {"Sun, 06 Nov 1994 08:49:37 UTC", false, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", false, 0},
        {" Sun, 06 Nov 1994 08:49:37 GMT", false, 0},
        {"Sun, 6 Nov 1994 08:49:37 GMT", false, 0},
        {"Sun, 06 nov 1994 08:49:37 GMT", false, 0},
        {"Sun, 06 Nov 94 08:49:37 GMT", false, 0},
        {"Sun, 06 Nov 1994 24:00:00 GMT", false, 0},
        {"Sun, 06 Nov 1994 08:60:00 GMT", false, 0},
        {"Sun, 06 Nov 1994 08:49:61 GMT", false, 0},
        {"Sun, 00 Nov 1994 08:49:37 GMT", false, 0},
        {"Sun, 31 Nov 1994 08:49:37 GMT", false, 0},
        {"Wed, 29 Feb 2023 00:00:00 GMT", false, 0},
        {"Mon, 29 Feb 2100 00:00:00 GMT", false, 0},
        {"Sun, 06 Nov 1994 0x:49:37 GMT", false, 0},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", false, 0},
        {"Sunday 06-Nov-94 08:49:37 GMT", false, 0},
        {"Sun Nov 6 08:49:37 1994", false, 0},
        {"Sun Nov  6 08:49:37 94", false, 0},
        {"Xyz, 06 Nov 1994 08:49:37 GMT", false, 0},
};

static void parses_the_three_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
		const struct date_case *c = &parse_cases[i];
		uint64_t got = 0;
		bool ok = clock_parse_http_date(c->text, strlen(c->text), &got);
		if (ok != c->ok || (ok && got != c->wall_s))
			fail_msg("'%s': ok %d, %llu", c->text, ok, (unsigned long long)got);
	}
}

/* RFC 9110 5.6.7: two digits that would lie more than 50 years ahead are of the past century. */
static void two_digit_years_stay_near(void **state)
{
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);

	(void)state;
	for (int year = 0; year < 100; year++) {
		char text[64];
		uint64_t got = 0;
		int n = snprintf(text, sizeof(text), "Monday, 15-Jun-%02d 00:00:00 GMT", year);
		assert_true(clock_parse_http_date(text, (size_t)n, &got));
		time_t at = (time_t)got;
		struct tm out;
		gmtime_r(&at, &out);
		if (out.tm_year <= 70)
			continue; /* before 1970 all are 0 */
		assert_int_equal(out.tm_year % 100, year);
		assert_true(out.tm_year <= tm.tm_year + 50);
		assert_true(out.tm_year > tm.tm_year - 50);
	}
}

static void writes_what_strftime_writes(void **state)
{
	(void)state;
	/* A step that is prime to a day visits all times of day, weekdays and leap days. */
	for (uint64_t s = 0; s < 253402300800ull; s += 86400ull * 13 + 3607) {
		char got[HTTP_DATE_LEN + 1] = {0};
		char want[64];
		time_t at = (time_t)s;
		struct tm tm;
		gmtime_r(&at, &tm);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		clock_http_date(s, got);
		assert_string_equal(got, want);
		uint64_t back = 0;
		assert_true(clock_parse_http_date(got, HTTP_DATE_LEN, &back));
		assert_int_equal(back, s);
	}
}

static void a_date_past_the_form_is_the_last(void **state)
{
	char got[HTTP_DATE_LEN + 1] = {0};

	(void)state;
	clock_http_date(UINT64_MAX, got);
	assert_string_equal(got, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void clocks_agree(void **state)
{
	(void)state;
	double rate = clock_cycles_per_ns();
	assert_true(rate > 0.01 && rate < 100);
	uint64_t ns0 = clock_mono_ns(), cycles0 = clock_cycles();
	while (clock_mono_ns() - ns0 < 20 * NS_PER_MS)
		;
	uint64_t cycles1 = clock_cycles(), ns1 = clock_mono_ns();
	double by_cycles_ns = (double)(cycles1 - cycles0) / rate;
	double by_clock_ns = (double)(ns1 - ns0);
	/* Wide, because the machine may stop this thread between the two reads. */
	assert_true(by_cycles_ns > 0.8 * by_clock_ns && by_cycles_ns < 1.2 * by_clock_ns);
	assert_true(rate == clock_cycles_per_ns());
	assert_true(clock_wall_ns() / NS_PER_S > 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(parses_the_three_forms),
	        cmocka_unit_test(two_digit_years_stay_near),
	        cmocka_unit_test(writes_what_strftime_writes),
	        cmocka_unit_test(a_date_past_the_form_is_the_last),
	        cmocka_unit_test(clocks_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
