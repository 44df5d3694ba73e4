/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

#include "cache/range.h"

/* Sections of RFC 9110. */
struct range_row {
	const char *rfc;
	const char *fields;
	enum range_result result;
	const char *ranges; /* first+len, ... */
};

#define R     "Range: bytes="
#define WHOLE RANGE_WHOLE
#define PART  RANGE_PART
#define PARTS RANGE_PARTS
#define UNSAT RANGE_NONE
#define MAX20 "18446744073709551615"

/* 10 bytes, ETag "a", Last-Modified a second before Date. */
static const struct range_row range_rows[] = {
        {"14.2", "", WHOLE, ""},
        {"14.1.2", R "0-4" N, PART, "0+5"},
        {"14.1.2", R "0-0" N, PART, "0+1"},
        {"14.1.2", R "9-9" N, PART, "9+1"},
        {"14.1.2", R "0-9" N, PART, "0+10"},
        {"14.1.2", R "5-100" N, PART, "5+5"},
        {"14.1.2", R "5-" N, PART, "5+5"},
        {"14.1.2", R "0-" N, PART, "0+10"},
        {"14.1.2", R "-1" N, PART, "9+1"},
        {"14.1.2", R "-10" N, PART, "0+10"},
        {"14.1.2", R "-11" N, PART, "0+10"},
        {"14.1.2", R "-" MAX20 "0" N, PART, "0+10"},
        {"14.1.2", R "0-" MAX20 "0" N, PART, "0+10"},
        {"14.1.2", R "00-004" N, PART, "0+5"},
        {"15.5.17", R "10-" N, UNSAT, ""},
        {"15.5.17", R "10-20" N, UNSAT, ""},
        {"15.5.17", R MAX20 "-" N, UNSAT, ""},
        {"15.5.17", R MAX20 "0-" N, UNSAT, ""},
        {"15.5.17", R "-0" N, UNSAT, ""},
        {"15.5.17", R "-0, 10-" N, UNSAT, ""},
        {"14.1.2", R "-0, 1-2" N, PART, "1+2"},
        {"14.1.2", R "20-30,1-2" N, PART, "1+2"},
        {"14.1.1", R "5-4" N, WHOLE, ""},
        {"14.1.1", R "0-4,5-4" N, WHOLE, ""},
        {"14.1.1", R "-" N, WHOLE, ""},
        {"14.1.1", R "" N, WHOLE, ""},
        {"14.1.1", R "," N, WHOLE, ""},
        {"14.1.1", R "a-b" N, WHOLE, ""},
        {"14.1.1", R "0" N, WHOLE, ""},
        {"14.1.1", R "0-1x" N, WHOLE, ""},
        {"14.1.1", R "0 -1" N, WHOLE, ""},
        {"14.1.1", R "0-1 2-3" N, WHOLE, ""},
        {"14.1.1", R "--1" N, WHOLE, ""},
        {"14.1.1", R "+0-1" N, WHOLE, ""},
        {"14.1", "Range: bytes" N, WHOLE, ""},
        {"14.1", "Range: bytes 0-1" N, WHOLE, ""},
        {"14.1", "Range: byte=0-1" N, WHOLE, ""},
        {"14.1", "Range: items=0-1" N, WHOLE, ""},
        {"14.1", "Range: BYTES=0-1" N, PART, "0+2"},
        {"14.2", R "0-1" N R "2-3" N, WHOLE, ""},
        {"14.1.1", R "0-1,3-4" N, PARTS, "0+2 3+2"},
        {"14.1.1", R "0-1 , 3-4,,8-" N, PARTS, "0+2 3+2 8+2"},
        {"14.1.1", R ",0-1" N, PART, "0+2"},
        {"15.3.7.2", R "3-4,0-1" N, PARTS, "3+2 0+2"},
        {"15.3.7.2", R "0-4,5-9" N, PARTS, "0+5 5+5"},
        {"14.2", R "0-4,4-5" N, WHOLE, ""},
        {"14.2", R "0-,-1" N, WHOLE, ""},
        {"14.2", R "0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7" N, PARTS, "0+1 1+1 2+1 3+1 4+1 5+1 6+1 7+1"},
        {"14.2", R "0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8" N, WHOLE, ""},
        {"14.2", R "20-,21-,22-,23-,24-,25-,26-,27-,28-" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: \"a\"" N, PART, "0+2"},
        {"13.1.5", R "0-1" N "If-Range: \"b\"" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: W/\"a\"" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: *" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: \"a\", \"b\"" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: " N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: \"a\"" N "If-Range: \"a\"" N, WHOLE, ""},
        {"13.1.5", R "10-" N "If-Range: \"b\"" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: Tue, 14 Nov 2023 22:13:19 GMT" N, PART, "0+2"},
        {"13.1.5", R "0-1" N "If-Range: Tue, 14 Nov 2023 22:13:20 GMT" N, WHOLE, ""},
        {"13.1.5", R "0-1" N "If-Range: Tuesday, 14-Nov-23 22:13:19 GMT" N, WHOLE, ""},
        {"13.1.5", "If-Range: \"a\"" N, WHOLE, ""},
};

#define HEAD10 DATE "ETag: \"a\"" N "Last-Modified: Tue, 14 Nov 2023 22:13:19 GMT" N

static void ranges_text(char *out, size_t cap, const struct byte_range *r, uint32_t count)
{
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s%llu+%llu", i > 0 ? " " : "",
		                       (unsigned long long)r[i].first,
		                       (unsigned long long)r[i].len);
}

static void test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(range_rows); i++) {
		const struct range_row *r = &range_rows[i];
		struct byte_range out[RANGES_MAX];
		struct http_fields fs;
		struct stored s;
		char text[256];
		uint32_t count;

		stored_make(&s, 200, HEAD10);
		s.o.body_len = 10;
		fields_scan(r->fields, &fs);
		enum range_result result = range_resolve(&s.o, &fs, out, &count);
		ranges_text(text, sizeof(text), out, count);
		if (result != r->result || strcmp(text, r->ranges) != 0)
			fail_msg("row %zu (%s): %s gives %d %s", i, r->rfc, r->fields, result,
			         text);
		/* Only a whole 200 of known length has ranges. */
		s.o.status = 404;
		assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_WHOLE);
		s.o.status = 200;
		s.o.body_len = UINT64_MAX;
		assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_WHOLE);
		assert_int_equal(count, 0);
	}
}

/* 8.8.2.2: a date of the same second as the answer may be of two bodies. */
static void test_weak_date(void **state)
{
	const char *const rows[] = {
	        DATE "Last-Modified: " NOW N,
	        "Last-Modified: " NOW N,
	        "Date: x" N "Last-Modified: " NOW N,
	};
	struct byte_range out[RANGES_MAX];
	struct http_fields fs;
	uint32_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stored s;

		stored_make(&s, 200, rows[i]);
		s.o.body_len = 10;
		fields_scan(R "0-1" N "If-Range: " NOW N, &fs);
		assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_WHOLE);
	}
}

static void test_weak_etag(void **state)
{
	struct byte_range out[RANGES_MAX];
	struct http_fields fs;
	struct stored s;
	uint32_t count;

	(void)state;
	stored_make(&s, 200, DATE "ETag: W/\"a\"" N);
	s.o.body_len = 10;
	fields_scan(R "0-1" N "If-Range: \"a\"" N, &fs);
	assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_WHOLE);
	fields_scan(R "0-1" N "If-Range: W/\"a\"" N, &fs);
	assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_WHOLE);
}

static void test_empty_body(void **state)
{
	struct byte_range out[RANGES_MAX];
	struct http_fields fs;
	struct stored s;
	uint32_t count;

	(void)state;
	stored_make(&s, 200, "");
	fields_scan(R "0-" N, &fs);
	assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_NONE);
	fields_scan(R "-5" N, &fs);
	assert_int_equal(range_resolve(&s.o, &fs, out, &count), RANGE_NONE);
}

static void test_begins(void **state)
{
	static const struct {
		const char *line;
		bool known;
		uint64_t first;
	} rows[] = {
	        {R "0-" N, true, 0},
	        {R "0-0" N, true, 0},
	        {R "7-9" N, true, 7},
	        {"Range: Bytes= 7-9 " N, true, 7},
	        {R "18446744073709551615-" N, true, UINT64_MAX},
	        {R "99999999999999999999-" N, true, UINT64_MAX},
	        {R "-5" N, false, 0},
	        {R "9-7" N, false, 0},
	        {R "7" N, false, 0},
	        {R "-" N, false, 0},
	        {R "" N, false, 0},
	        {R "0-1,3-4" N, false, 0},
	        {R "0-1," N, false, 0},
	        {R "0-1x" N, false, 0},
	        {R "0-1" N R "0-1" N, false, 0},
	        {"Range: lines=0-1" N, false, 0},
	        {"", false, 0},
	};
	struct http_fields fs;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t first = 0;

		fields_scan(rows[i].line, &fs);
		if (range_begins(&fs, &first) != rows[i].known ||
		    (rows[i].known && first != rows[i].first))
			fail_msg("row %zu: %s", i, rows[i].line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ranges),    cmocka_unit_test(test_weak_date),
	        cmocka_unit_test(test_weak_etag), cmocka_unit_test(test_empty_body),
	        cmocka_unit_test(test_begins),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
