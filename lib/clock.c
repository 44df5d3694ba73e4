/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/clock.h"

#include "lib/span.h"

#include <pthread.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define CALIBRATION_NS (10 * NS_PER_MS)
#define SECONDS_A_DAY  86400u

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_day_names[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                              "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static pthread_once_t calibrated = PTHREAD_ONCE_INIT;
static double cycles_per_ns;

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

uint64_t clock_cycles(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return clock_mono_ns();
#endif
}

/* Both clocks read as one: of several tries the one in which the least time went by between. */
static void read_pair(uint64_t *ns, uint64_t *cycles)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t before = clock_cycles();
		uint64_t now_ns = clock_mono_ns();
		uint64_t after = clock_cycles();
		if (after - before >= best)
			continue;
		best = after - before;
		*ns = now_ns;
		*cycles = before + best / 2;
	}
}

static void calibrate(void)
{
	uint64_t ns0 = 0, ns1 = 0, cycles0 = 0, cycles1 = 0;

	read_pair(&ns0, &cycles0);
	while (clock_mono_ns() - ns0 < CALIBRATION_NS)
		;
	read_pair(&ns1, &cycles1);
	cycles_per_ns = (double)(cycles1 - cycles0) / (double)(ns1 - ns0);
}

double clock_cycles_per_ns(void)
{
	pthread_once(&calibrated, calibrate);
	return cycles_per_ns;
}

struct civil {
	int64_t year;
	uint32_t month; /* 1 to 12 */
	uint32_t day;   /* 1 to 31 */
	uint32_t hour;
	uint32_t minute;
	uint32_t second;
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March,
 * so that a leap day is the last of its year. Year at least 0. */
static int64_t days_of_civil(int64_t year, uint32_t month, uint32_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t month_from_march = (month + 9) % 12;
	int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of_days(uint64_t days)
{
	uint64_t z = days + 719468;
	uint64_t era = z / 146097;
	uint64_t day_of_era = z % 146097;
	uint64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year =
	        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t month_from_march = (5 * day_of_year + 2) / 153;
	struct civil c = {
	        .month = (uint32_t)(month_from_march < 10 ? month_from_march + 3
	                                                  : month_from_march - 9),
	        .day = (uint32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
	};

	c.year = (int64_t)(year_of_era + era * 400 + (c.month <= 2));
	return c;
}

static void put2(char *out, uint32_t v)
{
	out[0] = (char)('0' + v / 10 % 10);
	out[1] = (char)('0' + v % 10);
}

void clock_http_date(uint64_t wall_s, char out[HTTP_DATE_LEN])
{
	/* Four digits of year are all that the form has. */
	const uint64_t last_s = 253402300799ull;

	wall_s = min_u64(wall_s, last_s);
	uint64_t days = wall_s / SECONDS_A_DAY;
	uint32_t rest = (uint32_t)(wall_s % SECONDS_A_DAY);
	struct civil c = civil_of_days(days);

	memcpy(out, "xxx, dd mmm yyyy hh:mm:ss GMT", HTTP_DATE_LEN);
	memcpy(out, day_names[(days + 4) % 7], 3); /* 1970-01-01 was a Thursday */
	put2(out + 5, c.day);
	memcpy(out + 8, month_names[c.month - 1], 3);
	put2(out + 12, (uint32_t)(c.year / 100));
	put2(out + 14, (uint32_t)(c.year % 100));
	put2(out + 17, rest / 3600);
	put2(out + 20, rest / 60 % 60);
	put2(out + 23, rest % 60);
}

/* The parser takes from the front of text; each step answers false when it is not there. */
static bool take_lit(struct span *s, const char *lit)
{
	size_t len = strlen(lit);

	if (s->len < len || memcmp(s->ptr, lit, len) != 0)
		return false;
	s->ptr += len;
	s->len -= len;
	return true;
}

static bool take_digits(struct span *s, size_t digits, uint32_t *out)
{
	uint32_t v = 0;

	if (s->len < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(s->ptr[i] - '0');
	}
	s->ptr += digits;
	s->len -= digits;
	*out = v;
	return true;
}

static bool take_month(struct span *s, uint32_t *month)
{
	for (uint32_t i = 0; i < 12; i++) {
		if (take_lit(s, month_names[i])) {
			*month = i + 1;
			return true;
		}
	}
	return false;
}

static bool take_time(struct span *s, struct civil *c)
{
	return take_digits(s, 2, &c->hour) && take_lit(s, ":") && take_digits(s, 2, &c->minute) &&
	       take_lit(s, ":") && take_digits(s, 2, &c->second);
}

/* "06 Nov 1994 08:49:37 GMT", after "Sun, " */
static bool take_imf(struct span *s, struct civil *c)
{
	uint32_t year;

	if (!take_digits(s, 2, &c->day) || !take_lit(s, " ") || !take_month(s, &c->month) ||
	    !take_lit(s, " ") || !take_digits(s, 4, &year) || !take_lit(s, " "))
		return false;
	c->year = year;
	return take_time(s, c) && take_lit(s, " GMT");
}

/* "06-Nov-94 08:49:37 GMT", after "Sunday, " */
static bool take_rfc850(struct span *s, struct civil *c)
{
	uint32_t year;

	if (!take_digits(s, 2, &c->day) || !take_lit(s, "-") || !take_month(s, &c->month) ||
	    !take_lit(s, "-") || !take_digits(s, 2, &year) || !take_lit(s, " "))
		return false;
	/* RFC 9110 5.6.7: more than 50 years ahead means the last past year with these digits. */
	int64_t now_year = civil_of_days(clock_wall_ns() / NS_PER_S / SECONDS_A_DAY).year;
	c->year = now_year - now_year % 100 + year;
	if (c->year > now_year + 50)
		c->year -= 100;
	else if (c->year <= now_year - 50)
		c->year += 100;
	return take_time(s, c) && take_lit(s, " GMT");
}

/* "Nov  6 08:49:37 1994", after "Sun " */
static bool take_asctime(struct span *s, struct civil *c)
{
	uint32_t year;

	if (!take_month(s, &c->month) || !take_lit(s, " "))
		return false;
	bool day_ok = take_lit(s, " ") ? take_digits(s, 1, &c->day) : take_digits(s, 2, &c->day);
	if (!day_ok || !take_lit(s, " ") || !take_time(s, c) || !take_lit(s, " ") ||
	    !take_digits(s, 4, &year))
		return false;
	c->year = year;
	return true;
}

static bool take_date(struct span *s, struct civil *c)
{
	for (size_t i = 0; i < 7; i++) {
		if (take_lit(s, long_day_names[i]))
			return take_lit(s, ", ") && take_rfc850(s, c);
		if (take_lit(s, day_names[i]))
			return take_lit(s, ", ") ? take_imf(s, c)
			                         : take_lit(s, " ") && take_asctime(s, c);
	}
	return false;
}

static uint32_t month_days(int64_t year, uint32_t month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

bool clock_parse_http_date(const char *text, size_t len, uint64_t *wall_s)
{
	struct span s = span_of(text, len);
	struct civil c = {0};

	if (!take_date(&s, &c) || s.len != 0)
		return false;
	/* Second 60 is a leap second (RFC 5322 3.3). */
	if (c.day < 1 || c.day > month_days(c.year, c.month) || c.hour > 23 || c.minute > 59 ||
	    c.second > 60)
		return false;
	int64_t at = days_of_civil(c.year, c.month, c.day) * (int64_t)SECONDS_A_DAY +
	             c.hour * 3600 + c.minute * 60 + c.second;
	*wall_s = at < 0 ? 0 : (uint64_t)at;
	return true;
}
