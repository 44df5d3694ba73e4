/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

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
		if ((cache_condition(&mem.o, HTTP_GET, &fs) == COND_NOT_MODIFIED) !=
		    r->not_modified)
			fail_msg("row %zu: %s", i, r->fields);
	}
}

/* All preconditions, in the order of RFC 9110 13.2.2 */

struct order_row {
	const char *rfc;    /* of RFC 9110 */
	const char *fields; /* of the stored answer */
	const char *request;
	enum http_method method;
	enum cache_cond cond;
};

#define E    "ETag: \"a\"" N
#define WE   "ETag: W/\"a\"" N
#define LMF  "Last-Modified: " LM N
#define OLD  "Tue, 14 Nov 2023 22:13:19 GMT"
#define OK   COND_NONE
#define N304 COND_NOT_MODIFIED
#define F412 COND_FAILED

static const struct order_row order_rows[] = {
        {"13.1.1", E, "If-Match: \"a\"" N, HTTP_GET, OK},
        {"13.1.1", E, "If-Match: \"b\", \"a\"" N, HTTP_GET, OK},
        {"13.1.1", E, "If-Match: \"b\"" N, HTTP_GET, F412},
        {"13.1.1", E, "If-Match: *" N, HTTP_GET, OK},
        {"13.1.1", "", "If-Match: *" N, HTTP_GET, OK},
        {"13.1.1", "", "If-Match: \"a\"" N, HTTP_GET, F412},
        {"13.1.1", E, "If-Match: " N, HTTP_GET, F412},
        {"8.8.3.2", E, "If-Match: W/\"a\"" N, HTTP_GET, F412},
        {"8.8.3.2", WE, "If-Match: \"a\"" N, HTTP_GET, F412},
        {"8.8.3.2", WE, "If-Match: W/\"a\"" N, HTTP_GET, F412},
        {"8.8.3.2", E, "If-Match: W/\"a\", \"a\"" N, HTTP_GET, OK},
        {"13.1.4", LMF, "If-Unmodified-Since: " LM N, HTTP_GET, OK},
        {"13.1.4", LMF, "If-Unmodified-Since: " OLD N, HTTP_GET, F412},
        {"13.1.4", LMF, "If-Unmodified-Since: rubbish" N, HTTP_GET, OK},
        {"13.1.4", "", "If-Unmodified-Since: " OLD N, HTTP_GET, OK},
        {"13.2.2", E LMF, "If-Match: \"a\"" N "If-Unmodified-Since: " OLD N, HTTP_GET, OK},
        {"13.2.2", E LMF, "If-Match: \"b\"" N "If-Unmodified-Since: " LM N, HTTP_GET, F412},
        {"13.2.2", E, "If-Match: \"a\"" N "If-None-Match: \"a\"" N, HTTP_GET, N304},
        {"13.2.2", E, "If-Match: \"b\"" N "If-None-Match: \"a\"" N, HTTP_GET, F412},
        {"13.2.2", LMF, "If-Unmodified-Since: " LM N "If-Modified-Since: " LM N, HTTP_GET, N304},
        {"13.1.2", E, "If-None-Match: \"a\"" N, HTTP_HEAD, N304},
        {"13.1.2", E, "If-None-Match: \"a\"" N, HTTP_POST, F412},
        {"13.1.2", E, "If-None-Match: *" N, HTTP_PUT, F412},
        {"13.1.2", E, "If-None-Match: \"b\"" N, HTTP_PUT, OK},
        {"13.1.3", LMF, "If-Modified-Since: " LM N, HTTP_HEAD, N304},
        {"13.1.3", LMF, "If-Modified-Since: " LM N, HTTP_POST, OK},
        {"13.1.3", E LMF, "If-None-Match: \"b\"" N "If-Modified-Since: " LM N, HTTP_GET, OK},
        {"RFC 9111 4.3.2", "Date: " LM N, "If-Modified-Since: " LM N, HTTP_GET, N304},
        {"RFC 9111 4.3.2", "Date: " LM N, "If-Modified-Since: " OLD N, HTTP_GET, OK},
        {"RFC 9111 4.3.2", "Date: " OLD N LMF, "If-Modified-Since: " OLD N, HTTP_GET, OK},
        {"RFC 9111 4.3.2", "Date: x" N, "If-Modified-Since: " LM N, HTTP_GET, OK},
};

static void test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order_rows); i++) {
		const struct order_row *r = &order_rows[i];
		struct http_fields fs;
		struct stored s;

		stored_make(&s, 200, r->fields);
		fields_scan(r->request, &fs);
		if (cache_condition(&s.o, r->method, &fs) != r->cond)
			fail_msg("row %zu (%s): %s against %s", i, r->rfc, r->request, r->fields);
		/* 13.2.1: only a 2xx answer can fail one. */
		s.o.status = 404;
		assert_int_equal(cache_condition(&s.o, r->method, &fs), COND_NONE);
	}
}

/* Does a 304 select the stored answer (RFC 9111 4.3.4)? Of a 200 to HEAD (4.3.5): what it says */

struct select_row {
	const char *stored;
	const char *response;
	bool selects;
	enum cache_head head;
};

#define NOTHING CACHE_HEAD_NOTHING
#define FRESHEN CACHE_HEAD_FRESHENS
#define VOID    CACHE_HEAD_INVALIDATES

static const struct select_row select_rows[] = {
        {E, "", true, FRESHEN},
        {E, E, true, FRESHEN},
        {E, "ETag: \"b\"" N, false, VOID},
        {E, WE, true, VOID},
        {WE, WE, true, FRESHEN},
        {WE, E, true, VOID},
        {"", E, false, VOID},
        {"", WE, false, VOID},
        {"", "", true, FRESHEN},
        {E, E E, false, VOID},
        {LMF, LMF, true, FRESHEN},
        {LMF, "Last-Modified: " OLD N, false, VOID},
        {"", LMF, false, VOID},
        {E LMF, E "Last-Modified: " OLD N, true, VOID},
        {E LMF, "Last-Modified: " OLD N, false, VOID},
        {E, "Content-Length: 5" N, true, FRESHEN},
        {E, "Content-Length: 6" N, true, VOID},
};

static void test_selects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(select_rows); i++) {
		const struct select_row *r = &select_rows[i];
		struct http_fields fs;
		struct stored s;

		stored_make(&s, 200, r->stored);
		s.o.body_len = 5;
		fields_scan(r->response, &fs);
		if (cache_selects(&s.o, &fs) != r->selects ||
		    cache_head_compare(&s.o, 200, &fs) != r->head)
			fail_msg("row %zu: %s against %s", i, r->response, r->stored);
		assert_int_equal(cache_head_compare(&s.o, 404, &fs), NOTHING);
		s.o.flags = OBJECT_VARY;
		assert_int_equal(cache_head_compare(&s.o, 200, &fs), NOTHING);
		s.o.flags = OBJECT_PASS;
		assert_int_equal(cache_head_compare(&s.o, 200, &fs), NOTHING);
		s.o.flags = 0;
		s.o.status = 404;
		assert_int_equal(cache_head_compare(&s.o, 200, &fs), NOTHING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_not_modified),
	        cmocka_unit_test(test_order),
	        cmocka_unit_test(test_selects),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
