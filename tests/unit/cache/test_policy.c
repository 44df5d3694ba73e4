/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "cache/policy.h"

#define NOW_MS 1700000000000ull /* Tue, 14 Nov 2023 22:13:20 GMT */
#define DATE   "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
#define NONE   UINT32_MAX

static void fields_scan(const char *text, struct http_fields *out)
{
	static char buf[4096]; /* the fields point into it */
	size_t pos = 0;
	int len = snprintf(buf, sizeof(buf), "%s\r\n", text);

	assert_true(len > 0 && (size_t)len < sizeof(buf));
	assert_int_equal(http1_scan_fields(buf, (size_t)len, &pos, out), HTTP_SCAN_DONE);
}

/* Cache-Control */

struct cc_row {
	const char *fields;
	uint32_t max_age, s_maxage, max_stale, min_fresh;
	const char *flags; /* of n(o-store) c(no-cache) f(no-cache=) p(rivate) P(ublic) m r u t o */
};

static const struct cc_row cc_rows[] = {
        {"", NONE, NONE, NONE, NONE, ""},
        {"Cache-Control: \r\n", NONE, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=60\r\n", 60, NONE, NONE, NONE, ""},
        {"cache-control: MAX-AGE=60\r\n", 60, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=\"60\"\r\n", 60, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=0\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=2147483647\r\n", 2147483647u, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=2147483648\r\n", 2147483648u, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=4294967295\r\n", 2147483648u, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=99999999999999999999999999\r\n", 2147483648u, NONE, NONE, NONE,
         ""},
        {"Cache-Control: max-age=00000000000000000000000060\r\n", 60, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=-1\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=+1\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=1.5\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=0x10\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=60s\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age= 60\r\n", 0, NONE, NONE, NONE, "n"},
        {"Cache-Control: max-age =60\r\n", 0, NONE, NONE, NONE, "n"},
        {"Cache-Control: max-age=60;public\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=60 public\r\n", 0, NONE, NONE, NONE, "n"},
        {"Cache-Control: max-age=60, max-age=60\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=60\r\nCache-Control: max-age=70\r\n", 0, NONE, NONE, NONE, ""},
        {"Cache-Control: max-age=60, s-maxage=5\r\n", 60, 5, NONE, NONE, ""},
        {"Cache-Control: max-age=60\r\nCache-Control: s-maxage=5\r\n", 60, 5, NONE, NONE, ""},
        {"Cache-Control: ,, ,max-age=60 , ,\r\n", 60, NONE, NONE, NONE, ""},
        {"Cache-Control: x-max-age=60\r\n", NONE, NONE, NONE, NONE, ""},
        {"Cache-Control: max-stale\r\n", NONE, NONE, NONE - 1, NONE, ""},
        {"Cache-Control: max-stale=10\r\n", NONE, NONE, 10, NONE, ""},
        {"Cache-Control: max-stale=\r\n", NONE, NONE, 0, NONE, ""},
        {"Cache-Control: max-stale, max-stale=5\r\n", NONE, NONE, 0, NONE, ""},
        {"Cache-Control: max-stale=x\r\n", NONE, NONE, 0, NONE, ""},
        {"Cache-Control: min-fresh=10\r\n", NONE, NONE, NONE, 10, ""},
        {"Cache-Control: min-fresh=x\r\n", NONE, NONE, NONE, 2147483648u, ""},
        {"Cache-Control: no-store\r\n", NONE, NONE, NONE, NONE, "n"},
        {"Cache-Control: No-Store\r\n", NONE, NONE, NONE, NONE, "n"},
        {"Cache-Control: no-storex\r\n", NONE, NONE, NONE, NONE, ""},
        {"Cache-Control: no-cache\r\n", NONE, NONE, NONE, NONE, "c"},
        {"Cache-Control: no-cache=\"Set-Cookie\"\r\n", NONE, NONE, NONE, NONE, "f"},
        {"Cache-Control: no-cache=\"a, b\", public\r\n", NONE, NONE, NONE, NONE, "fP"},
        {"Cache-Control: private\r\n", NONE, NONE, NONE, NONE, "p"},
        {"Cache-Control: private=\"x\"\r\n", NONE, NONE, NONE, NONE, "q"},
        {"Cache-Control: private=\"x, no-store\"\r\n", NONE, NONE, NONE, NONE, "q"},
        {"Cache-Control: private=\"x, public\r\n", NONE, NONE, NONE, NONE, "nq"},
        {"Cache-Control: ext=\"a\\\", no-store\", public\r\n", NONE, NONE, NONE, NONE, "P"},
        {"Cache-Control: ext=\"a\\\", no-store, b\", public\r\n", NONE, NONE, NONE, NONE, "P"},
        {"Cache-Control: ext=\"max-age=5\", max-age=9\r\n", 9, NONE, NONE, NONE, ""},
        {"Cache-Control: ext=\"a\\\r\n", NONE, NONE, NONE, NONE, "n"},
        {"Cache-Control: =, =5, public\r\n", NONE, NONE, NONE, NONE, "P"},
        {"Cache-Control: must-revalidate, proxy-revalidate\r\n", NONE, NONE, NONE, NONE, "mr"},
        {"Cache-Control: must-understand, no-transform\r\n", NONE, NONE, NONE, NONE, "ut"},
        {"Cache-Control: only-if-cached\r\n", NONE, NONE, NONE, NONE, "o"},
        {"Cache-Control: public,max-age=1,immutable\r\n", 1, NONE, NONE, NONE, "P"},
};

static bool flag_is(const struct cc_row *r, char c)
{
	return strchr(r->flags, c) != NULL;
}

static void test_cache_control(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cc_rows); i++) {
		const struct cc_row *r = &cc_rows[i];
		struct http_fields fs;
		struct cache_control cc;

		fields_scan(r->fields, &fs);
		cache_control_parse(&fs, &cc);
		bool ok = cc.max_age_s == r->max_age && cc.s_maxage_s == r->s_maxage &&
		          cc.max_stale_s == r->max_stale && cc.min_fresh_s == r->min_fresh &&
		          cc.no_store == flag_is(r, 'n') && cc.no_cache == flag_is(r, 'c') &&
		          cc.no_cache_fields == flag_is(r, 'f') && cc.private_ == flag_is(r, 'p') &&
		          cc.private_fields == flag_is(r, 'q') &&
		          cc.public_ == flag_is(r, 'P') && cc.must_revalidate == flag_is(r, 'm') &&
		          cc.proxy_revalidate == flag_is(r, 'r') &&
		          cc.must_understand == flag_is(r, 'u') &&
		          cc.no_transform == flag_is(r, 't') &&
		          cc.only_if_cached == flag_is(r, 'o') && cc.present == (fs.count != 0);
		if (!ok)
			fail_msg("row %zu: %s max_age %u s_maxage %u max_stale %u no_store %d", i,
			         r->fields, cc.max_age_s, cc.s_maxage_s, cc.max_stale_s,
			         cc.no_store);
	}
}

static void test_cache_control_rfc5861(void **state)
{
	struct http_fields fs;
	struct cache_control cc;

	(void)state;
	fields_scan("Cache-Control: stale-while-revalidate=30, stale-if-error=x\r\n", &fs);
	cache_control_parse(&fs, &cc);
	assert_int_equal(cc.stale_while_revalidate_s, 30);
	assert_int_equal(cc.stale_if_error_s, 0);
}

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

	fields_scan("", &fs);
	cache_request_policy(HTTP_GET, &fs, &rule, &out);
	assert_int_equal(out.max_age_s, NONE);
	assert_int_equal(out.min_fresh_s, 0);
	assert_int_equal(out.max_stale_s, 0);
	assert_false(out.only_if_cached || out.authorized);
}

/* An object of 10 s lifetime that came at NOW_MS with an age of 2 s. */
struct serve_row {
	const char *fields;
	uint64_t after_ms; /* NOW_MS */
	uint16_t flags;
	bool serve;
};

static const struct serve_row serve_rows[] = {
        {"", 0, 0, true},
        {"", 7999, 0, true},
        {"", 8000, 0, false},
        {"", 8000, OBJECT_REVALIDATE, false},
        {"", 7999, OBJECT_REVALIDATE, true},
        {"Cache-Control: no-cache\r\n", 0, 0, false},
        {"Cache-Control: max-age=2\r\n", 0, 0, true},
        {"Cache-Control: max-age=1\r\n", 0, 0, false},
        {"Cache-Control: max-age=0\r\n", 0, 0, false},
        {"Cache-Control: max-age=2\r\n", 999, 0, true},
        {"Cache-Control: max-age=2\r\n", 1000, 0, false},
        {"Cache-Control: max-age=1, max-stale\r\n", 0, 0, false},
        {"Cache-Control: min-fresh=8\r\n", 0, 0, true},
        {"Cache-Control: min-fresh=8\r\n", 1, 0, false},
        {"Cache-Control: min-fresh=bad\r\n", 0, 0, false},
        {"Cache-Control: max-stale\r\n", 8000, 0, true},
        {"Cache-Control: max-stale\r\n", 1ull << 50, 0, true},
        {"Cache-Control: max-stale=0\r\n", 8000, 0, false},
        {"Cache-Control: max-stale=5\r\n", 13000, 0, true},
        {"Cache-Control: max-stale=5\r\n", 13001, 0, false},
        {"Cache-Control: max-stale=5\r\n", 8001, OBJECT_REVALIDATE, false},
        {"Cache-Control: max-stale=5, min-fresh=1\r\n", 8001, 0, false},
        {"Cache-Control: max-stale=5, max-age=9\r\n", 8001, 0, false},
        {"Cache-Control: max-stale=5, max-age=60\r\n", 8001, 0, true},
        {"Range: bytes=0-1\r\n", 0, 0, true},
};

static void test_may_serve(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(serve_rows); i++) {
		const struct serve_row *r = &serve_rows[i];
		struct cache_rule rule = {.mode = CACHE_ORIGIN};
		struct object o = {.response_ms = NOW_MS,
		                   .expires_ms = NOW_MS + 8000,
		                   .initial_age_s = 2,
		                   .flags = r->flags};
		struct http_fields fs;
		struct cache_request req;

		fields_scan(r->fields, &fs);
		cache_request_policy(HTTP_GET, &fs, &rule, &req);
		if ((cache_use(&o, &req, NOW_MS + r->after_ms) != CACHE_USE_NOT) != r->serve)
			fail_msg("row %zu: %s at %llu", i, r->fields,
			         (unsigned long long)r->after_ms);
	}
}

/* Responses: what is stored */

struct store_row {
	const char *fields;
	unsigned status;
	enum cache_mode mode;
	bool authorized;
	bool storable;
};

#define O CACHE_ORIGIN
#define T CACHE_TTL
#define A "Cache-Control: max-age=60\r\n"

static const struct store_row store_rows[] = {
        {"", 200, O, false, false},
        {DATE "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n", 200, O, false, false},
        {A, 200, O, false, true},
        {A, 200, CACHE_OFF, false, false},
        {"", 200, T, false, true},
        {"", 200, T, true, false},
        {A, 200, T, true, false},
        {"Cache-Control: public\r\n", 200, T, true, true},
        {A, 200, O, true, false},
        {"Cache-Control: max-age=60, public\r\n", 200, O, true, true},
        {"Cache-Control: max-age=60, must-revalidate\r\n", 200, O, true, true},
        {"Cache-Control: s-maxage=60\r\n", 200, O, true, true},
        {"Cache-Control: max-age=60, proxy-revalidate\r\n", 200, O, true, false},
        {"Cache-Control: public\r\n", 200, O, false, false},
        {"Cache-Control: max-age=0\r\n", 200, O, false, false},
        {"Cache-Control: max-age=0\r\n", 200, T, false, true},
        {"Cache-Control: s-maxage=0, max-age=60\r\n", 200, O, false, false},
        {"Cache-Control: s-maxage=60, max-age=0\r\n", 200, O, false, true},
        {"Cache-Control: no-store, max-age=60\r\n", 200, O, false, false},
        {"Cache-Control: no-store\r\n", 200, T, false, false},
        {"Cache-Control: private, max-age=60\r\n", 200, O, false, false},
        {"Cache-Control: private=\"x\", max-age=60\r\n", 200, O, false, true},
        {"Cache-Control: private\r\n", 200, T, false, false},
        {"Cache-Control: no-cache, max-age=60\r\n", 200, O, false, false},
        {"Cache-Control: no-cache=\"Set-Cookie\", max-age=60\r\n", 200, O, false, true},
        {"Cache-Control: no-cache\r\n", 200, T, false, false},
        {"Cache-Control: must-understand, no-store, max-age=60\r\n", 200, O, false, true},
        {"Cache-Control: must-understand, no-store, max-age=60\r\n", 299, O, false, false},
        {"Cache-Control: must-understand, max-age=60\r\n", 299, O, false, false},
        {"Cache-Control: must-understand, no-store, private, max-age=60\r\n", 200, O, false, false},
        {"Pragma: no-cache\r\n" A, 200, O, false, true},
        {A "Vary: *\r\n", 200, O, false, false},
        {A "Vary: Accept-Encoding\r\n", 200, O, false, false},
        {A "Vary: Accept-Encoding\r\n", 200, T, false, false},
        {A "Vary: \r\n", 200, O, false, true},
        {A "Vary: \r\nVary: Accept\r\n", 200, O, false, false},
        {A "Set-Cookie: a=b\r\n", 200, O, false, false},
        {"Cache-Control: public, max-age=60\r\nSet-Cookie: a=b\r\n", 200, O, false, true},
        {"Cache-Control: s-maxage=60\r\nSet-Cookie: a=b\r\n", 200, O, false, true},
        {"Set-Cookie: a=b\r\n", 200, T, false, false},
        {"Cache-Control: public\r\nSet-Cookie: a=b\r\n", 200, T, false, false},
        {A "Content-Range: bytes 0-1/2\r\n", 200, O, false, false},
        {A, 100, O, false, false},
        {A, 199, O, false, false},
        {A, 203, O, false, true},
        {A, 204, O, false, true},
        {A, 206, O, false, false},
        {A, 300, O, false, true},
        {A, 301, O, false, true},
        {A, 304, O, false, false},
        {A, 308, O, false, true},
        {A, 404, O, false, true},
        {A, 405, O, false, true},
        {A, 410, O, false, true},
        {A, 414, O, false, true},
        {A, 501, O, false, true},
        {A, 201, O, false, true},
        {A, 302, O, false, true},
        {A, 500, O, false, true},
        {"", 404, T, false, true},
        {"", 302, T, false, false},
        {"", 401, T, false, false},
        {"", 500, T, false, false},
        {A, 500, T, false, true},
        {"", 206, T, false, false},
        {A "Age: 59\r\n", 200, O, false, true},
        {A "Age: 60\r\n", 200, O, false, false},
        {"Age: 100000\r\n", 200, T, false, true},
        {"Expires: 0\r\n", 200, O, false, false},
        {"Expires: Tue, 14 Nov 2023 22:13:21 GMT\r\n", 200, O, false, true},
        {"Expires: Tue, 14 Nov 2023 22:13:20 GMT\r\n", 200, O, false, false},
        {A "Expires: 0\r\n", 200, O, false, true},
        {"Cache-Control: max-age=x\r\nExpires: Tue, 14 Nov 2023 22:14:21 GMT\r\n", 200, O, false,
         false},
        {"Cache-Control: max-age=60 public\r\n", 200, O, false, false},
};

static void test_response_store(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(store_rows); i++) {
		const struct store_row *r = &store_rows[i];
		struct http_fields fs;
		struct cache_response out;

		fields_scan(r->fields, &fs);
		struct cache_response_in in = {.method = HTTP_GET,
		                               .status = r->status,
		                               .authorized = r->authorized,
		                               .fields = &fs,
		                               .rule = {.mode = r->mode, .ttl_ms = 5000},
		                               .request_wall_ms = NOW_MS,
		                               .response_wall_ms = NOW_MS};
		cache_response_policy(&in, &out);
		if (out.storable != r->storable)
			fail_msg("row %zu: %u %s", i, r->status, r->fields);
		in.method = HTTP_HEAD;
		cache_response_policy(&in, &out);
		assert_false(out.storable);
		in.method = HTTP_POST;
		cache_response_policy(&in, &out);
		assert_false(out.storable);
	}
}

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
		if (out.storable)
			assert_true(cache_expires_ms(&out, NOW_MS) > NOW_MS);
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

/* Conditional requests */

#define LM "Tue, 14 Nov 2023 22:13:20 GMT"

struct condition_row {
	const char *etag;
	const char *modified;
	unsigned status;
	const char *fields;
	bool not_modified;
};

static const struct condition_row condition_rows[] = {
        {"\"a\"", "", 200, "", false},
        {"\"a\"", "", 200, "If-None-Match: \"a\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: \"A\"\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: \"ab\"\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: W/\"a\"\r\n", true},
        {"W/\"a\"", "", 200, "If-None-Match: \"a\"\r\n", true},
        {"W/\"a\"", "", 200, "If-None-Match: W/\"a\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: w/\"a\"\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: a\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: \"a\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: \"\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: W/\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: *\r\n", true},
        {"", "", 200, "If-None-Match: *\r\n", true},
        {"", "", 200, "If-None-Match: \"a\"\r\n", false},
        {"\"\"", "", 200, "If-None-Match: \"\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: \"b\", \"a\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: \"b\" ,W/\"a\" , \"c\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: ,,\"b\",,\"a\"\r\n", true},
        {"\"a\"", "", 200, "If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", true},
        {"\"a,b\"", "", 200, "If-None-Match: \"a,b\"\r\n", true},
        {"\"b\"", "", 200, "If-None-Match: \"a, \"b\"\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: \"b\", *\r\n", false},
        {"\"a\"", "", 200, "If-None-Match: \r\n", false},
        {"\"a\"", "", 404, "If-None-Match: \"a\"\r\n", false},
        {"\"a\"", "", 301, "If-None-Match: *\r\n", false},
        {"\"a\"", "", 203, "If-None-Match: \"a\"\r\n", true},
        {"", LM, 200, "If-Modified-Since: " LM "\r\n", true},
        {"", LM, 200, "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT\r\n", false},
        {"", LM, 200, "If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT\r\n", true},
        {"", LM, 200, "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT\r\n", true},
        {"", LM, 200, "If-Modified-Since: yesterday\r\n", false},
        {"", LM, 200, "If-Modified-Since: \r\n", false},
        {"", LM, 200, "If-Modified-Since: " LM "\r\nIf-Modified-Since: " LM "\r\n", false},
        {"", "", 200, "If-Modified-Since: " LM "\r\n", false},
        {"", "rubbish", 200, "If-Modified-Since: " LM "\r\n", false},
        {"\"a\"", LM, 200, "If-None-Match: \"b\"\r\nIf-Modified-Since: " LM "\r\n", false},
        {"\"a\"", LM, 200, "If-None-Match: \"a\"\r\nIf-Modified-Since: rubbish\r\n", true},
        {"", LM, 200, "If-None-Match: \"b\"\r\nIf-Modified-Since: " LM "\r\n", false},
        {"", LM, 404, "If-Modified-Since: " LM "\r\n", false},
};

static void test_not_modified(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(condition_rows); i++) {
		const struct condition_row *r = &condition_rows[i];
		struct {
			struct object o;
			char fields[256];
		} mem = {0};
		struct http_fields fs;

		mem.o.status = (uint16_t)r->status;
		mem.o.etag_len = (uint16_t)strlen(r->etag);
		mem.o.last_modified_off = mem.o.etag_len;
		mem.o.last_modified_len = (uint16_t)strlen(r->modified);
		mem.o.fields_len = (uint32_t)snprintf(mem.fields, sizeof(mem.fields), "%s%s",
		                                      r->etag, r->modified);
		fields_scan(r->fields, &fs);
		if ((cache_condition(&mem.o, HTTP_GET, &fs) == COND_NOT_MODIFIED) != r->not_modified)
			fail_msg("row %zu: %s", i, r->fields);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cache_control),
	        cmocka_unit_test(test_cache_control_rfc5861),
	        cmocka_unit_test(test_request),
	        cmocka_unit_test(test_request_demands),
	        cmocka_unit_test(test_may_serve),
	        cmocka_unit_test(test_response_store),
	        cmocka_unit_test(test_response_freshness),
	        cmocka_unit_test(test_response_ttl),
	        cmocka_unit_test(test_not_modified),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
