/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

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
        {A "Content-Range: bytes 0-1/2\r\n", 200, O, false, true},
        {A "Content-Range: bytes */2\r\n", 416, O, false, false},
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

/* What more is said of an answer than whether it may be kept */

struct say_row {
	const char *rfc;
	const char *fields;
	unsigned status;
	bool authorized;
	bool variant;
	const char *says; /* s(torable) S(hared) p(ass) P(artial) r(evalidate) */
	uint16_t flags;   /* besides STORABLE and REVALIDATE */
};

#define ETAG "ETag: \"a\"" N
#define LM   "Last-Modified: " NOW N

static const struct say_row say_rows[] = {
        {"3", A, 200, false, false, "sS", 0},
        {"3", "", 200, false, false, "p", 0},
        {"3", ETAG, 200, false, false, "s", 0},
        {"3", LM, 200, false, false, "p", 0},
        {"3", CC "public" N LM, 200, false, false, "s", 0},
        {"3", CC "public" N, 200, false, false, "p", 0},
        {"3", ETAG, 302, false, false, "p", 0},
        {"3", ETAG CC "max-age=0" N, 302, false, false, "s", 0},
        {"4.3", CC "max-age=0" N ETAG, 200, false, false, "s", 0},
        {"4.3", CC "max-age=0" N LM, 200, false, false, "s", 0},
        {"4.3", CC "max-age=0" N, 200, false, false, "p", 0},
        {"4.3", A "Age: 60" N ETAG, 200, false, false, "s", 0},
        {"RFC 5861 3", CC "max-age=0, stale-while-revalidate=9" N, 200, false, false, "sS", 0},
        {"RFC 5861 4", CC "max-age=0, stale-if-error=9" N, 200, false, false, "s", 0},
        {"5.2.2.4", CC "no-cache" N ETAG, 200, false, false, "sr", 0},
        {"5.2.2.4", CC "no-cache" N LM, 200, false, false, "sr", 0},
        {"5.2.2.4", CC "no-cache" N, 200, false, false, "pr", 0},
        {"5.2.2.4", CC "no-cache, max-age=60" N ETAG, 200, false, false, "sr", 0},
        {"5.2.2.4", CC "no-cache=\"a\", max-age=60" N, 200, false, false, "sSP", 0},
        {"5.2.2.7", CC "private=\"a\", max-age=60" N, 200, false, false, "sSP", 0},
        {"5.2.2.7", CC "private, max-age=60" N, 200, false, false, "p", 0},
        {"5.2.2.7", CC "private, private=\"a\", max-age=60" N, 200, false, false, "pP", 0},
        {"5.2.2.5", CC "no-store" N ETAG, 200, false, false, "p", 0},
        {"7.3", A "Set-Cookie: a=b" N, 200, false, false, "p", 0},
        {"7.3", CC "max-age=60, no-cache=\"set-cookie\"" N "Set-Cookie: a=b" N, 200, false, false,
         "sSP", 0},
        {"7.3", CC "max-age=60, private=\"Set-Cookie\"" N "Set-Cookie: a=b" N, 200, false, false,
         "sSP", 0},
        {"7.3", CC "max-age=60, private=\"x\"" N "Set-Cookie: a=b" N, 200, false, false, "pP", 0},
        {"3.5", A, 200, true, false, "", OBJECT_AUTHORIZED},
        {"3.5", A ETAG, 200, true, false, "", OBJECT_AUTHORIZED},
        {"3.5", CC "public, max-age=60" N, 200, true, false, "sS", OBJECT_AUTHORIZED},
        {"3.5", CC "must-revalidate, max-age=60" N, 200, true, false, "sSr", OBJECT_AUTHORIZED},
        {"3.5", CC "s-maxage=60" N, 200, true, false, "sSr", OBJECT_AUTHORIZED},
        {"3.5", CC "no-cache" N ETAG, 200, true, false, "r", OBJECT_AUTHORIZED},
        {"4.1", A "Vary: *" N, 200, false, false, "p", 0},
        {"4.1", A "Vary: *" N, 200, false, true, "p", 0},
        {"4.1", A "Vary: Accept" N, 200, false, false, "", 0},
        {"4.1", A "Vary: Accept" N, 200, false, true, "sS", 0},
        {"4.1", A "Vary: Accept, *" N, 200, false, true, "p", 0},
        {"4.1", A "Vary: a b" N, 200, false, true, "p", 0},
        {"3.3", A, 206, false, false, "", 0},
        {"9110 14.4", A "Content-Range: bytes 0-1/2" N, 200, false, false, "sS", 0},
        {"9110 14.4", A "Content-Range: bytes */2" N, 416, false, false, "p", 0},
        {"pass", "", 500, false, false, "", 0},
        {"pass", CC "no-store" N, 503, false, false, "", 0},
        {"pass", CC "no-store" N, 404, false, false, "p", 0},
        {"pass", "", 304, false, false, "", 0},
        {"pass", "", 100, false, false, "", 0},
        {"5.2.2.6", CC "max-age=60, no-transform" N, 200, false, false, "sS", OBJECT_NO_TRANSFORM},
        {"RFC 9213", "Sluice-Cache-Control: max-age=60" N, 200, false, false, "sS",
         OBJECT_TARGETED},
        {"RFC 9213", "CDN-Cache-Control: max-age=60" N, 200, false, false, "sS", 0},
};

static void test_response_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(say_rows); i++) {
		const struct say_row *r = &say_rows[i];
		struct http_fields fs;
		struct cache_response out;
		char says[8] = "";

		fields_scan(r->fields, &fs);
		struct cache_response_in in = {.method = HTTP_GET,
		                               .status = r->status,
		                               .authorized = r->authorized,
		                               .variant = r->variant,
		                               .fields = &fs,
		                               .rule = {.mode = CACHE_ORIGIN, .pass_ms = 1000},
		                               .request_wall_ms = NOW_MS,
		                               .response_wall_ms = NOW_MS};
		cache_response_policy(&in, &out);
		snprintf(says, sizeof(says), "%s%s%s%s%s", out.storable ? "s" : "",
		         out.shared ? "S" : "", out.pass ? "p" : "", out.partial ? "P" : "",
		         out.revalidate ? "r" : "");
		uint16_t flags = r->flags;
		if (out.storable)
			flags |= OBJECT_STORABLE;
		if (out.revalidate)
			flags |= OBJECT_REVALIDATE;
		if (strcmp(says, r->says) != 0 || out.flags != flags)
			fail_msg("row %zu (%s): %u %s says %s flags %x", i, r->rfc, r->status,
			         r->fields, says, out.flags);
		/* Without a time for it, and with another method, there is no remark. */
		in.rule.pass_ms = 0;
		cache_response_policy(&in, &out);
		assert_false(out.pass);
		in.rule.pass_ms = 1000;
		in.method = HTTP_HEAD;
		cache_response_policy(&in, &out);
		assert_false(out.pass || out.storable || out.shared);
	}
}

static void test_pass_write(void **state)
{
	uint64_t mem[32];
	struct object *o = (struct object *)mem;
	struct cache_key key = {.hash = {1, 2}, .text = SPAN_LIT("host/a")};
	struct cache_request req = {.lookup = true, .max_age_s = UINT32_MAX};

	(void)state;
	assert_int_equal(cache_pass_write(mem, sizeof(*o) + 5, &key, NOW_MS), 0);
	assert_int_equal(cache_pass_write(mem, sizeof(mem), &key, NOW_MS + 5), sizeof(*o) + 6);
	assert_true(object_head_valid(mem, sizeof(*o) + 6));
	assert_true(span_eq(object_key(o), key.text));
	assert_true(hash128_eq(o->hash, key.hash));
	assert_int_equal(o->flags & OBJECT_PASS, OBJECT_PASS);
	assert_false(o->flags & OBJECT_STORABLE);
	assert_true(object_is_fresh(o, NOW_MS + 4) && !object_is_fresh(o, NOW_MS + 5));
	assert_int_equal(cache_use(o, &req, NOW_MS), CACHE_USE_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_response_store),
	        cmocka_unit_test(test_response_says),
	        cmocka_unit_test(test_pass_write),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
