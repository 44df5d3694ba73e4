/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

/* Requests */

struct request_row {
	const char *fields;
	enum http_method method;
	enum cache_mode mode;
	bool lookup, store;
};

static const struct request_row request_rows[] = {
        {"", HTTP_GET, CACHE_ORIGIN, true, true},
        {"", HTTP_GET, CACHE_TTL, true, true},
        {"", HTTP_GET, CACHE_OFF, false, false},
        {"", HTTP_HEAD, CACHE_ORIGIN, true, false},
        {"", HTTP_POST, CACHE_ORIGIN, false, false},
        {"", HTTP_POST, CACHE_TTL, false, false},
        {"", HTTP_PUT, CACHE_ORIGIN, false, false},
        {"", HTTP_OPTIONS, CACHE_ORIGIN, false, false},
        {"", HTTP_OTHER, CACHE_ORIGIN, false, false},
        {"Cache-Control: no-store\r\n", HTTP_GET, CACHE_ORIGIN, true, false},
        {"Cache-Control: no-store\r\n", HTTP_GET, CACHE_TTL, true, false},
        {"Cache-Control: no-cache\r\n", HTTP_GET, CACHE_ORIGIN, false, true},
        {"Cache-Control: no-cache\r\n", HTTP_GET, CACHE_TTL, false, true},
        {"Cache-Control: no-cache, no-store\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
        {"Pragma: no-cache\r\n", HTTP_GET, CACHE_ORIGIN, false, true},
        {"Pragma: x, No-Cache\r\n", HTTP_GET, CACHE_ORIGIN, false, true},
        {"Pragma: x\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Pragma: no-cache\r\nCache-Control: max-age=5\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Authorization: Basic eA==\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Cookie: a=b\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Range: bytes=0-1\r\n", HTTP_GET, CACHE_ORIGIN, true, false},
        {"Range: bytes=0-1\r\nIf-Range: \"a\"\r\n", HTTP_GET, CACHE_ORIGIN, true, false},
        {"If-Range: \"a\"\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"If-Match: \"a\"\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
        {"If-Match: \"a\"\r\n", HTTP_HEAD, CACHE_ORIGIN, false, false},
        {"If-Unmodified-Since: x\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
        {"If-None-Match: \"a\"\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"If-Modified-Since: x\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Content-Length: 0\r\n", HTTP_GET, CACHE_ORIGIN, true, true},
        {"Content-Length: 1\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
        {"Content-Length: 0\r\nContent-Length: 0\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
        {"Transfer-Encoding: chunked\r\n", HTTP_GET, CACHE_ORIGIN, false, false},
};

static void test_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(request_rows); i++) {
		const struct request_row *r = &request_rows[i];
		struct cache_rule rule = {.mode = r->mode, .ttl_ms = 1000};
		struct http_fields fs;
		struct cache_request out;

		fields_scan(r->fields, &fs);
		cache_request_policy(r->method, &fs, &rule, &out);
		if (out.lookup != r->lookup || out.store != r->store)
			fail_msg("row %zu: %s lookup %d store %d", i, r->fields, out.lookup,
			         out.store);
	}
}

static void test_request_demands(void **state)
{
	struct cache_rule rule = {.mode = CACHE_ORIGIN};
	struct http_fields fs;
	struct cache_request out;

	(void)state;
	fields_scan("Cache-Control: max-age=7, min-fresh=8, max-stale=9, only-if-cached\r\n"
	            "Authorization: x\r\n",
	            &fs);
	cache_request_policy(HTTP_GET, &fs, &rule, &out);
	assert_int_equal(out.max_age_s, 7);
	assert_int_equal(out.min_fresh_s, 8);
	assert_int_equal(out.max_stale_s, 9);
	assert_true(out.only_if_cached && out.authorized);
	assert_int_equal(out.stale_error_s, 0);
	assert_false(out.range);

	fields_scan("Cache-Control: stale-if-error=11\r\nRange: bytes=0-1\r\n", &fs);
	cache_request_policy(HTTP_GET, &fs, &rule, &out);
	assert_int_equal(out.stale_error_s, 11);
	assert_true(out.range && out.lookup && !out.store);
	struct cache_rule fills = rule;
	fills.range_fill_bytes = 2;
	static const struct {
		const char *lines;
		bool store;
	} ranges[] = {
	        {"Range: bytes=1-5\r\n", true},
	        {"Range: bytes=2-5\r\n", false},
	        {"Range: bytes=-5\r\n", false},
	        {"Range: bytes=0-1, 3-4\r\n", false},
	        {"Range: bytes=0-\r\nCache-Control: max-age=5\r\n", true},
	        {"Range: bytes=0-\r\nCache-Control: no-store\r\n", false},
	        {"Range: bytes=0-\r\nAuthorization: Basic eDp5\r\n", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		fields_scan(ranges[i].lines, &fs);
		cache_request_policy(HTTP_GET, &fs, &fills, &out);
		if (out.store != ranges[i].store || !out.lookup || !out.range)
			fail_msg("range %zu: %s", i, ranges[i].lines);
		cache_request_policy(HTTP_HEAD, &fs, &fills, &out);
		assert_false(out.store);
	}

	fields_scan("", &fs);
	cache_request_policy(HTTP_GET, &fs, &rule, &out);
	assert_int_equal(out.max_age_s, NONE);
	assert_int_equal(out.min_fresh_s, 0);
	assert_int_equal(out.max_stale_s, 0);
	assert_false(out.only_if_cached || out.authorized);
}

/* What a stored answer may be used for. It came at NOW_MS with an age of 2 s and stays fresh for 8
 * s; unless a row says else it may be stale for 20 s while it is fetched anew, and for 30 s on
 * errors.
 */
struct use_row {
	const char *rfc;
	const char *fields;
	uint64_t after_ms; /* NOW_MS */
	uint16_t flags;
	enum cache_use use;
	bool on_error;
};

#define NOT     CACHE_USE_NOT
#define FRESH   CACHE_USE_FRESH
#define STALE   CACHE_USE_STALE
#define REFRESH CACHE_USE_REFRESH
#define REVAL   OBJECT_REVALIDATE

static const struct use_row use_rows[] = {
        {"4.2", "", 0, 0, FRESH, true},
        {"4.2", "", 7999, 0, FRESH, true},
        {"RFC 5861 3", "", 8000, 0, REFRESH, true},
        {"RFC 5861 3", "", 27999, 0, REFRESH, true},
        {"RFC 5861 3", "", 28000, 0, NOT, true},
        {"RFC 5861 4", "", 37999, 0, NOT, true},
        {"RFC 5861 4", "", 38000, 0, NOT, false},
        {"RFC 5861 4", "", 1ull << 50, 0, NOT, false},
        {"5.2.2.2", "", 7999, REVAL, FRESH, false},
        {"5.2.2.2", "", 8000, REVAL, NOT, false},
        {"5.2.2.2", CC "max-stale" N, 8000, REVAL, NOT, false},
        {"4.1", "", 0, OBJECT_VARY, NOT, false},
        {"4.1", CC "max-stale" N, 0, OBJECT_VARY, NOT, false},
        {"3", "", 0, OBJECT_PASS, NOT, false},
        {"5.2.1.4", CC "no-cache" N, 0, 0, NOT, false},
        {"5.2.1.4", CC "no-cache, max-stale" N, 8000, 0, NOT, false},
        {"5.4", "Pragma: no-cache" N, 0, 0, NOT, false},
        {"5.4", "Pragma: no-cache" N CC "max-stale=1" N, 0, 0, FRESH, true},
        {"5.2.1.5", CC "no-store" N, 0, 0, FRESH, true},
        {"5.2.1.1", CC "max-age=2" N, 0, 0, FRESH, true},
        {"5.2.1.1", CC "max-age=1" N, 0, 0, NOT, true},
        {"5.2.1.1", CC "max-age=0" N, 0, 0, NOT, true},
        {"5.2.1.1", CC "max-age=2" N, 999, 0, FRESH, true},
        {"5.2.1.1", CC "max-age=2" N, 1000, 0, NOT, true},
        {"5.2.1.1", CC "max-age=60" N, 8000, 0, NOT, true},
        {"5.2.1.1", CC "max-age=1, max-stale" N, 0, 0, NOT, true},
        {"5.2.1.1", CC "max-age=9, max-stale=5" N, 8001, 0, NOT, true},
        {"5.2.1.1", CC "max-age=60, max-stale=5" N, 8001, 0, STALE, true},
        {"5.2.1.3", CC "min-fresh=8" N, 0, 0, FRESH, true},
        {"5.2.1.3", CC "min-fresh=8" N, 1, 0, NOT, true},
        {"5.2.1.3", CC "min-fresh=bad" N, 0, 0, NOT, true},
        {"5.2.1.3", CC "min-fresh=1" N, 8001, 0, NOT, true},
        {"5.2.1.3", CC "max-stale=5, min-fresh=1" N, 8001, 0, NOT, true},
        {"5.2.1.2", CC "max-stale" N, 8000, 0, REFRESH, true},
        {"5.2.1.2", CC "max-stale" N, 28000, 0, STALE, true},
        {"5.2.1.2", CC "max-stale" N, 1ull << 50, 0, STALE, false},
        {"5.2.1.2", CC "max-stale=0" N, 28000, 0, NOT, true},
        {"5.2.1.2", CC "max-stale=25" N, 33000, 0, STALE, true},
        {"5.2.1.2", CC "max-stale=25" N, 33001, 0, NOT, true},
        {"5.2.1.2", CC "max-stale=25" N, 33000, REVAL, NOT, false},
        {"RFC 5861 4", CC "stale-if-error=60" N, 67999, 0, NOT, true},
        {"RFC 5861 4", CC "stale-if-error=60" N, 68000, 0, NOT, false},
        {"RFC 5861 4", CC "stale-if-error=60" N, 8000, REVAL, NOT, false},
        {"RFC 5861 4", CC "stale-if-error=0" N, 37999, 0, NOT, true},
        {"RFC 9110 14.2", "Range: bytes=0-1" N, 0, 0, FRESH, true},
        {"4.3.2", "If-Match: \"a\"" N, 0, 0, NOT, false},
        {"4.3.2", "If-Unmodified-Since: " NOW N, 0, 0, NOT, false},
};

static void test_use(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(use_rows); i++) {
		const struct use_row *r = &use_rows[i];
		struct cache_rule rule = {.mode = CACHE_ORIGIN};
		struct object o = {.response_ms = NOW_MS,
		                   .expires_ms = NOW_MS + 8000,
		                   .initial_age_s = 2,
		                   .stale_while_s = 20,
		                   .stale_error_s = 30,
		                   .flags = r->flags};
		struct http_fields fs;
		struct cache_request req;

		fields_scan(r->fields, &fs);
		cache_request_policy(HTTP_GET, &fs, &rule, &req);
		enum cache_use use = cache_use(&o, &req, NOW_MS + r->after_ms);
		bool on_error = cache_use_on_error(&o, &req, NOW_MS + r->after_ms);
		if (use != r->use || on_error != r->on_error)
			fail_msg("row %zu (%s): %s at %llu: %d %d", i, r->rfc, r->fields,
			         (unsigned long long)r->after_ms, use, on_error);
	}
}

/* Without windows nothing is served stale that the client does not ask for, nor what was stale when
 * it came (no-cache). */
static void test_use_without_windows(void **state)
{
	struct cache_rule rule = {.mode = CACHE_ORIGIN};
	struct object o = {.response_ms = NOW_MS, .expires_ms = NOW_MS};
	struct http_fields fs;
	struct cache_request req;

	(void)state;
	fields_scan("", &fs);
	cache_request_policy(HTTP_GET, &fs, &rule, &req);
	assert_int_equal(cache_use(&o, &req, NOW_MS), CACHE_USE_NOT);
	assert_false(cache_use_on_error(&o, &req, NOW_MS));
	o.expires_ms++;
	assert_int_equal(cache_use(&o, &req, NOW_MS), CACHE_USE_FRESH);
	assert_false(cache_use_on_error(&o, &req, NOW_MS));
	/* The clock stepped back. */
	assert_int_equal(cache_use(&o, &req, NOW_MS - 100000), CACHE_USE_FRESH);
	assert_int_equal(object_age_s(&o, NOW_MS - 100000), 0);
}

static void test_status_fails(void **state)
{
	const unsigned fails[] = {500, 502, 503, 504};
	unsigned count = 0;

	(void)state;
	for (unsigned status = 100; status < 600; status++)
		count += cache_status_fails(status);
	assert_int_equal(count, ARRAY_LEN(fails));
	for (size_t i = 0; i < ARRAY_LEN(fails); i++)
		assert_true(cache_status_fails(fails[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_request),      cmocka_unit_test(test_request_demands),
	        cmocka_unit_test(test_use),          cmocka_unit_test(test_use_without_windows),
	        cmocka_unit_test(test_status_fails),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
