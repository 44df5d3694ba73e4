/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

#define A "Cache-Control: max-age=60\r\n"

/* Responses: how long, and how old */

struct fresh_row {
	const char *fields;
	uint64_t delay_ms; /* from request to response; the response comes at NOW_MS */
	uint64_t lifetime_s;
	uint32_t age_s;
	bool revalidate;
};

static const struct fresh_row fresh_rows[] = {
        {"", 0, 0, 0, false},
        {A, 0, 60, 0, false},
        {A, 999, 60, 0, false},
        {A, 1000, 60, 1, false},
        {A "Age: 5\r\n", 3000, 60, 8, false},
        {A "Age: 5, 7\r\n", 0, 60, 5, false},
        {A "Age: 5\r\nAge: 7\r\n", 0, 60, 5, false},
        {A "Age: -5\r\n", 0, 60, 0, false},
        {A "Age: 5x\r\n", 0, 60, 0, false},
        {A "Age: \r\n", 0, 60, 0, false},
        {A "Age: 99999999999999999999\r\n", 0, 60, 2147483648u, false},
        {A "Age: 99999999999999999999\r\n", 5000, 60, 2147483648u, false},
        {A DATE, 0, 60, 0, false},
        {A "Date: Tue, 14 Nov 2023 22:13:10 GMT\r\n", 0, 60, 10, false},
        {A "Date: Tue, 14 Nov 2023 22:13:10 GMT\r\nAge: 3\r\n", 0, 60, 10, false},
        {A "Date: Tue, 14 Nov 2023 22:13:10 GMT\r\nAge: 13\r\n", 0, 60, 13, false},
        {A "Date: Tue, 14 Nov 2023 22:14:10 GMT\r\n", 0, 60, 0, false},
        {A "Date: nonsense\r\n", 0, 60, 0, false},
        {"Cache-Control: s-maxage=9, max-age=60\r\n", 0, 9, 0, true},
        {"Cache-Control: max-age=60, must-revalidate\r\n", 0, 60, 0, true},
        {"Cache-Control: max-age=60, proxy-revalidate\r\n", 0, 60, 0, true},
        {"Cache-Control: no-cache\r\n", 0, 0, 0, true},
        {"Cache-Control: max-age=99999999999\r\n", 0, 2147483648u, 0, false},
        {"Expires: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 0, 10, 0, false},
        {DATE "Expires: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 0, 10, 0, false},
        {"Date: Tue, 14 Nov 2023 22:13:25 GMT\r\nExpires: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 0, 5,
         0, false},
        {"Date: Tue, 14 Nov 2023 22:13:10 GMT\r\nExpires: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 0, 20,
         10, false},
        {DATE "Expires: Tue, 14 Nov 2023 22:13:00 GMT\r\n", 0, 0, 0, false},
        {DATE "Expires: -1\r\n", 0, 0, 0, false},
        {DATE
         "Expires: Tue, 14 Nov 2023 22:13:30 GMT\r\nExpires: Tue, 14 Nov 2023 22:13:30 GMT\r\n",
         0, 0, 0, false},
        {DATE "Expires: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 0, 2147483648u, 0, false},
        {DATE "Expires: Tuesday, 14-Nov-23 22:13:30 GMT\r\n", 0, 10, 0, false},
        {DATE "Expires: Tue Nov 14 22:13:30 2023\r\n", 0, 10, 0, false},
        {A DATE "Expires: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 0, 60, 0, false},
};

static void test_response_freshness(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fresh_rows); i++) {
		const struct fresh_row *r = &fresh_rows[i];
		struct http_fields fs;
		struct cache_response out;

		fields_scan(r->fields, &fs);
		struct cache_response_in in = {.method = HTTP_GET,
		                               .status = 200,
		                               .fields = &fs,
		                               .rule = {.mode = CACHE_ORIGIN},
		                               .request_wall_ms = NOW_MS - r->delay_ms,
		                               .response_wall_ms = NOW_MS};
		cache_response_policy(&in, &out);
		if (out.lifetime_ms != r->lifetime_s * 1000 || out.initial_age_s != r->age_s ||
		    out.revalidate != r->revalidate)
			fail_msg("row %zu: %s lifetime %llu age %u revalidate %d", i, r->fields,
			         (unsigned long long)out.lifetime_ms, out.initial_age_s,
			         out.revalidate);
		if (out.shared)
			assert_true(cache_expires_ms(&out, NOW_MS) > NOW_MS);
		else
			assert_int_equal(cache_expires_ms(&out, NOW_MS), NOW_MS);
	}
}

static void test_response_ttl(void **state)
{
	struct http_fields fs;
	struct cache_response out;
	struct cache_response_in in = {.method = HTTP_GET,
	                               .status = 200,
	                               .fields = &fs,
	                               .rule = {.mode = CACHE_TTL, .ttl_ms = 1500},
	                               .request_wall_ms = NOW_MS,
	                               .response_wall_ms = NOW_MS};

	(void)state;
	fields_scan("Cache-Control: max-age=3600\r\nAge: 10\r\n", &fs);
	cache_response_policy(&in, &out);
	assert_true(out.storable);
	assert_int_equal(out.initial_age_s, 10);
	assert_int_equal(cache_expires_ms(&out, NOW_MS), NOW_MS + 1500);

	in.rule.ttl_ms = 0;
	cache_response_policy(&in, &out);
	assert_false(out.storable);

	/* The clock stepped back between request and response. */
	in.rule.ttl_ms = UINT32_MAX;
	in.request_wall_ms = NOW_MS + 5000;
	cache_response_policy(&in, &out);
	assert_true(out.storable);
	assert_int_equal(out.initial_age_s, 10);
	assert_int_equal(cache_expires_ms(&out, NOW_MS), NOW_MS + UINT32_MAX);
}

/* Lifetimes that the rule gives */

struct rule_row {
	const char *rfc;
	const char *fields;
	unsigned status;
	struct cache_rule rule;
	uint64_t lifetime_ms;
	bool heuristic;
	bool storable;
};

#define H10                                                                         \
	{                                                                           \
		.mode = CACHE_ORIGIN, .heuristic_pct = 10, .heuristic_max_s = 86400 \
	}
#define NEG                                                   \
	{                                                     \
		.mode = CACHE_ORIGIN, .negative_ttl_ms = 3000 \
	}
#define TTL_NEG                                                            \
	{                                                                  \
		.mode = CACHE_TTL, .ttl_ms = 9000, .negative_ttl_ms = 3000 \
	}
#define TTL                                       \
	{                                         \
		.mode = CACHE_TTL, .ttl_ms = 9000 \
	}
#define OFF                                                                                     \
	{                                                                                       \
		.mode = CACHE_OFF, .ttl_ms = 9000, .negative_ttl_ms = 3000, .heuristic_pct = 10 \
	}
#define LM_1000 "Last-Modified: Tue, 14 Nov 2023 21:56:40 GMT" N /* 1000 s before */

static const struct rule_row rule_rows[] = {
        {"4.2.2", LM_1000, 200, H10, 100000, true, true},
        {"4.2.2", DATE LM_1000, 200, H10, 100000, true, true},
        {"4.2.2", LM_1000, 200, {.mode = CACHE_ORIGIN}, 0, false, false},
        {"4.2.2", LM_1000 CC "max-age=60" N, 200, H10, 60000, false, true},
        {"4.2.2", LM_1000 CC "max-age=0" N, 200, H10, 0, false, true},
        {"4.2.2", LM_1000 "Expires: 0" N, 200, H10, 0, false, true},
        {"4.2.2", LM_1000 "Expires: " NOW N, 200, H10, 0, false, true},
        {"4.2.2", LM_1000 CC "no-store" N, 200, H10, 100000, true, false},
        {"4.2.2", LM_1000 CC "no-cache" N, 200, H10, 0, false, true},
        {"4.2.2", "Last-Modified: " NOW N, 200, H10, 0, false, false},
        {"4.2.2", "Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT" N, 200, H10, 0, false, false},
        {"4.2.2", "Last-Modified: rubbish" N, 200, H10, 0, false, false},
        {"4.2.2", "", 200, H10, 0, false, false},
        {"4.2.2",
         LM_1000,
         200,
         {.mode = CACHE_ORIGIN, .heuristic_pct = 10, .heuristic_max_s = 99},
         99000,
         true,
         true},
        {"RFC 9110 15.1", LM_1000, 203, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 204, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 300, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 301, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 308, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 404, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 405, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 410, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 414, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 501, H10, 100000, true, true},
        {"RFC 9110 15.1", LM_1000, 201, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 202, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 302, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 403, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 502, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 503, H10, 0, false, false},
        {"RFC 9110 15.1", LM_1000, 599, H10, 0, false, false},
        {"5.2.2.9", LM_1000 CC "public" N, 599, H10, 100000, true, true},
        {"4.2.2", LM_1000, 206, H10, 0, false, false},
        {"negative", "", 404, NEG, 3000, false, true},
        {"negative", "", 405, NEG, 3000, false, true},
        {"negative", "", 410, NEG, 3000, false, true},
        {"negative", "", 414, NEG, 3000, false, true},
        {"negative", "", 500, NEG, 3000, false, true},
        {"negative", "", 501, NEG, 3000, false, true},
        {"negative", "", 503, NEG, 3000, false, true},
        {"negative", "", 599, NEG, 3000, false, true},
        {"negative", "", 200, NEG, 0, false, false},
        {"negative", "", 302, NEG, 0, false, false},
        {"negative", "", 400, NEG, 0, false, false},
        {"negative", "", 403, NEG, 0, false, false},
        {"negative", CC "no-store" N, 404, NEG, 3000, false, false},
        {"negative", CC "private" N, 500, NEG, 3000, false, false},
        {"negative", CC "max-age=60" N, 404, NEG, 60000, false, true},
        {"negative", CC "max-age=0" N, 503, NEG, 0, false, false},
        {"negative", "Age: 7" N, 404, NEG, 10000, false, true},
        {"negative", "", 404, {.mode = CACHE_ORIGIN}, 0, false, false},
        {"negative", "", 404, TTL_NEG, 3000, false, true},
        {"negative", "", 500, TTL_NEG, 3000, false, true},
        {"negative", CC "max-age=60" N, 404, TTL_NEG, 3000, false, true},
        {"negative", "", 200, TTL_NEG, 9000, false, true},
        {"ttl", CC "max-age=1" N, 200, TTL, 9000, false, true},
        {"ttl", "", 404, TTL, 9000, false, true},
        {"ttl", "", 500, TTL, 9000, false, false},
        {"ttl",
         LM_1000,
         200,
         {.mode = CACHE_TTL, .ttl_ms = 0, .heuristic_pct = 10},
         0,
         false,
         false},
        {"5.2.2.4", CC "no-cache" N "ETag: \"a\"" N, 200, TTL, 0, false, true},
        {"off", CC "max-age=60" N, 200, OFF, 9000, false, false},
        {"off", "", 404, OFF, 3000, false, false},
};

static void test_rule_lifetimes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rule_rows); i++) {
		const struct rule_row *r = &rule_rows[i];
		struct http_fields fs;
		struct cache_response out;

		fields_scan(r->fields, &fs);
		struct cache_response_in in = {.method = HTTP_GET,
		                               .status = r->status,
		                               .fields = &fs,
		                               .rule = r->rule,
		                               .request_wall_ms = NOW_MS,
		                               .response_wall_ms = NOW_MS};
		cache_response_policy(&in, &out);
		bool heuristic = (out.flags & OBJECT_HEURISTIC) != 0;
		if (r->rule.mode == CACHE_OFF && !out.storable)
			continue;
		if (out.lifetime_ms != r->lifetime_ms || heuristic != r->heuristic ||
		    out.storable != r->storable)
			fail_msg("row %zu (%s): %u %s lifetime %llu heuristic %d storable %d", i,
			         r->rfc, r->status, r->fields, (unsigned long long)out.lifetime_ms,
			         heuristic, out.storable);
	}
}

/* Jitter only shortens, by up to its part, and never to nothing. */
static void test_jitter(void **state)
{
	const uint8_t parts[] = {0, 1, 10, 50, 90};
	struct http_fields fs;

	(void)state;
	fields_scan(CC "max-age=1000" N, &fs);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		uint64_t least = UINT64_MAX;
		uint64_t most = 0;

		for (uint32_t k = 0; k < 4096; k++) {
			struct cache_response out;
			struct cache_response_in in = {
			        .method = HTTP_GET,
			        .status = 200,
			        .fields = &fs,
			        .rule = {.mode = CACHE_ORIGIN, .ttl_jitter_pct = parts[i]},
			        .random = k << 20 | k,
			        .request_wall_ms = NOW_MS,
			        .response_wall_ms = NOW_MS};

			cache_response_policy(&in, &out);
			least = min_u64(least, out.lifetime_ms);
			most = max_u64(most, out.lifetime_ms);
		}
		uint64_t part_ms = parts[i] * 10000ull;
		assert_int_equal(most, 1000000);
		assert_in_range(least, 1000000 - part_ms, 1000000 - part_ms + part_ms / 100);
	}
}

/* The widest lifetime and jitter must not wrap. */
static void test_jitter_wide(void **state)
{
	struct http_fields fs;
	struct cache_response out;
	struct cache_response_in in = {.method = HTTP_GET,
	                               .status = 200,
	                               .fields = &fs,
	                               .rule = {.mode = CACHE_ORIGIN, .ttl_jitter_pct = 90},
	                               .random = UINT32_MAX,
	                               .request_wall_ms = NOW_MS,
	                               .response_wall_ms = NOW_MS};

	(void)state;
	fields_scan(CC "max-age=99999999999" N, &fs);
	cache_response_policy(&in, &out);
	assert_in_range(out.lifetime_ms, 214748364800ull, 214748364800ull + (1ull << 26));
}

/* How long stale: by the response, else by the rule (60 and 90 s), never against the response */

struct window_row {
	const char *rfc;
	const char *fields;
	unsigned status;
	uint32_t while_s;
	uint32_t error_s;
};

static const struct window_row window_rows[] = {
        {"rule", CC "max-age=1" N, 200, 60, 90},
        {"rule", CC "max-age=1" N, 301, 60, 90},
        {"rule", CC "max-age=1" N, 404, 0, 0},
        {"rule", CC "max-age=1" N, 503, 0, 0},
        {"RFC 5861 3", CC "max-age=1, stale-while-revalidate=7" N, 200, 7, 90},
        {"RFC 5861 3", CC "max-age=1, stale-while-revalidate=0" N, 200, 0, 90},
        {"RFC 5861 3", CC "max-age=1, stale-while-revalidate=x" N, 200, 0, 90},
        {"RFC 5861 3", CC "max-age=1, stale-while-revalidate=7" N, 404, 7, 0},
        {"RFC 5861 4", CC "max-age=1, stale-if-error=7" N, 200, 60, 7},
        {"RFC 5861 4", CC "max-age=1, stale-if-error=0" N, 200, 60, 0},
        {"RFC 5861 4", CC "max-age=1, stale-if-error" N, 200, 60, 0},
        {"5.2.2.2", CC "max-age=1, must-revalidate, stale-if-error=7" N, 200, 0, 0},
        {"5.2.2.8", CC "max-age=1, proxy-revalidate, stale-while-revalidate=7" N, 200, 0, 0},
        {"5.2.2.10", CC "s-maxage=1, stale-while-revalidate=7" N, 200, 0, 0},
        {"5.2.2.4", CC "no-cache, stale-if-error=7" N, 200, 0, 0},
        {"5.2.2.4", CC "max-age=1, no-cache=\"a\", stale-if-error=7" N, 200, 60, 7},
        {"RFC 9213 2.1", CC "max-age=1, stale-if-error=7" N "CDN-Cache-Control: max-age=1" N, 200,
         60, 90},
};

static void test_windows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(window_rows); i++) {
		const struct window_row *r = &window_rows[i];
		struct http_fields fs;
		struct cache_response out;

		fields_scan(r->fields, &fs);
		struct cache_response_in in = {
		        .method = HTTP_GET,
		        .status = r->status,
		        .fields = &fs,
		        .rule = {.mode = CACHE_ORIGIN, .stale_while_s = 60, .stale_error_s = 90},
		        .request_wall_ms = NOW_MS,
		        .response_wall_ms = NOW_MS};
		cache_response_policy(&in, &out);
		if (out.stale_while_s != r->while_s || out.stale_error_s != r->error_s)
			fail_msg("row %zu (%s): %s while %u error %u", i, r->rfc, r->fields,
			         out.stale_while_s, out.stale_error_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_response_freshness), cmocka_unit_test(test_response_ttl),
	        cmocka_unit_test(test_rule_lifetimes),     cmocka_unit_test(test_jitter),
	        cmocka_unit_test(test_jitter_wide),        cmocka_unit_test(test_windows),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
