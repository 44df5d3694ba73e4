/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/json_field.h"
#include "cache/normalise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

enum how { LOWER, UPPER, TRIM, SQUEEZE, SORT, INT, BUCKET, ROUND, ID, FORM, URI };

#define BAD "\x01" /* the filter refuses the value */

static const struct {
	enum how how;
	uint32_t n;
	const char *in, *out; /* ID: '@' stands for NORM_ID */
} rows[] = {
        {LOWER, 0, "AbC-\xc3\x84", "abc-\xc3\x84"},
        {UPPER, 0, "a[z{\xe4", "A[Z{\xe4"},
        {TRIM, 0, " \t a b\r\n", "a b"},
        {TRIM, 0, "  ", ""},
        {SQUEEZE, 0, "  a \t\n b  ", "a b"},
        {SQUEEZE, 0, "/a/b///", "/a/b"},
        {SQUEEZE, 0, "/", "/"},
        {SORT, 0, "b, a ,b,c", "a,b,c"},
        {SORT, 0, "", ""},
        {SORT, 0, ",,b", ",b"},
        {SORT, 0, "ab,a,b", "a,ab,b"},
        {INT, 0, "+007", "7"},
        {INT, 0, "-000", "0"},
        {INT, 0, "-0012", "-12"},
        {INT, 0, "0", "0"},
        {INT, 0, "", ""},
        {INT, 0, "-", "-"},
        {INT, 0, "1.0", "1.0"},
        {INT, 0, "99999999999999999999999999999", "99999999999999999999999999999"},
        {BUCKET, 300, "1700000123", "1700000100"},
        {BUCKET, 300, "300", "300"},
        {BUCKET, 300, "299", "0"},
        {BUCKET, 300, "-1", "-300"},
        {BUCKET, 300, "-300", "-300"},
        {BUCKET, 300, "yesterday", "yesterday"},
        {BUCKET, 300, "2023-11-14T22:15:23Z", "1700000100"},
        {BUCKET, 300, "2023-11-14T23:15:23.987+01:00", "1700000100"},
        {BUCKET, 86400, "1970-01-01T00:00:00Z", "0"},
        {BUCKET, 1, "2024-02-29T12:00:00Z", "1709208000"},
        {BUCKET, 1, "2024-02-29T12:00:00", "2024-02-29T12:00:00"},
        {BUCKET, 1, "999999999999999999", "999999999999999999"},
        {BUCKET, 7, "9999999999999999999", "9999999999999999999"},
        {ROUND, 2, "1.005", "1.01"},
        {ROUND, 2, "1.50", "1.5"},
        {ROUND, 2, "1.004", "1"},
        {ROUND, 0, "0.5", "1"},
        {ROUND, 0, "-0.4", "0"},
        {ROUND, 1, "-12.35", "-12.4"},
        {ROUND, 3, "12", "12"},
        {ROUND, 9, ".5", "0.5"},
        {ROUND, 2, "1.", "1."},
        {ROUND, 2, "1e3", "1e3"},
        {ROUND, 2, "", ""},
        {ID, 0, "/risks/123/notes", "/risks/@/notes"},
        {ID, 0, "123", "@"},
        {ID, 0, "v1:12:x1", "v1:@:x1"},
        {ID, 0, "a 550e8400-e29b-41d4-A716-446655440000", "a @"},
        {ID, 0, "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-44665544000"},
        {ID, 0, "", ""},
        {ID, 0, "//", "//"},
        {FORM, 0, "a%20b+c%2b", "a b c+"},
        {FORM, 0, "%c3%A4", "\xc3\xa4"},
        {FORM, 0, "%", BAD},
        {FORM, 0, "%4", BAD},
        {FORM, 0, "%4g", BAD},
        {FORM, 0, "a%41", "aA"},
        {FORM, 0, "%00", BAD},
        {URI, 0, "a+b%2F", "a+b/"},
};

static bool apply(enum how how, uint32_t n, struct norm *v)
{
	switch (how) {
	case LOWER:
		return norm_lower(v);
	case UPPER:
		return norm_upper(v);
	case TRIM:
		norm_trim(v);
		return true;
	case SQUEEZE:
		return norm_squeeze(v);
	case SORT:
		return norm_sort(v);
	case INT:
		return norm_int(v);
	case BUCKET:
		return norm_bucket(v, n);
	case ROUND:
		return norm_round(v, n);
	case ID:
		return norm_id(v);
	default:
		return norm_decode(v, how == FORM);
	}
}

static void check_row(size_t i, bool in_place)
{
	char buf[NORM_MAX], want[NORM_MAX];
	struct norm v = {.text = span_cstr(rows[i].in), .buf = buf, .present = true};
	size_t len = strlen(rows[i].out);

	if (in_place) {
		memcpy(buf, rows[i].in, v.text.len);
		v.text.ptr = buf;
	}
	memcpy(want, rows[i].out, len);
	for (size_t k = 0; k < len; k++)
		if (want[k] == '@')
			want[k] = NORM_ID;
	if (!apply(rows[i].how, rows[i].n, &v)) {
		if (strcmp(rows[i].out, BAD) != 0)
			fail_msg("row %zu is refused", i);
	} else if (!span_eq(v.text, span_of(want, len))) {
		fail_msg("row %zu (in place: %d): %.*s", i, in_place, (int)v.text.len, v.text.ptr);
	}
}

static void test_filters(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row(i, false);
		check_row(i, true);
	}
}

/* The longest values: none is written past the buffer (sanitizers look on). */
static void test_long(void **state)
{
	char *buf = test_malloc(NORM_MAX), in[NORM_MAX + 1];

	(void)state;
	for (size_t len = NORM_MAX - 1; len <= NORM_MAX + 1; len++) {
		memset(in, '1', sizeof(in));
		for (int how = LOWER; how <= URI; how++) {
			struct norm v = {.text = span_of(in, len), .buf = buf, .present = true};

			(void)apply((enum how)how, 1, &v);
			assert_true(v.text.len <= len);
		}
	}
	test_free(buf);
}

static const struct {
	const char *in;
	uint64_t factor;
	const char *out;
} units[] = {
        {"5m", 60, "300"},
        {"1.5 h", 3600, "5400"},
        {"0.5s", 1, "0.5s"},
        {"m", 60, "m"},
        {"2", 0, "2"},
        {"99999999999999999h", 3600, "99999999999999999h"},
        {"1.25kB", 1000, "1250"},
        {"", 1, ""},
};

static void test_units(void **state)
{
	char buf[NORM_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		struct norm v = {.text = span_cstr(units[i].in), .buf = buf, .present = true};
		uint64_t number;
		uint32_t decimals;
		struct span unit;

		if (norm_unit_split(v.text, &number, &decimals, &unit) && unit.len > 0)
			assert_true(norm_unit_set(&v, number, decimals, units[i].factor));
		if (!span_eq(v.text, span_cstr(units[i].out)))
			fail_msg("%s: %.*s", units[i].in, (int)v.text.len, v.text.ptr);
	}
}

/* The value of "a" and of "b.c"; NULL: absent. */
static const struct {
	const char *text;
	bool ok;
	const char *a, *bc;
} texts[] = {
        {"{\"a\":\"x\",\"b\":{\"c\":1.5e-3}}", true, "x", "1.5e-3"},
        {" { \"b\" : { \"c\" : [1, {\"a\":2}] , \"a\":3 } } ", true, NULL, "[1, {\"a\":2}]"},
        {"{\"\\u0061\":null}", true, "null", NULL},
        {"{\"a\":{\"a\":1}}", true, "{\"a\":1}", NULL},
        {"{\"b\":{\"c\":{}}}", true, NULL, "{}"},
        {"{\"b\":1,\"c\":2}", true, NULL, NULL},
        {"[{\"a\":1}]", true, NULL, NULL},
        {"\"a\"", true, NULL, NULL},
        {"{}", true, NULL, NULL},
        {"{\"x\":{\"a\":1,\"a\":2}}", true, NULL, NULL},
        /* Twice, or alike: parsers take one or the other. */
        {"{\"a\":1,\"a\":1}", false, NULL, NULL},
        {"{\"a\":1,\"A\":2}", false, NULL, NULL},
        {"{\"A\":2}", false, NULL, NULL},
        {"{\"a\":1,\"\\u0061\":2}", false, NULL, NULL},
        {"{\"b\":{\"c\":1},\"b\":{}}", false, NULL, NULL},
        {"{\"b\":{\"c\":1,\"c\":2}}", false, NULL, NULL},
        /* Not strict. */
        {"", false, NULL, NULL},
        {"{", false, NULL, NULL},
        {"{\"a\":1", false, NULL, NULL},
        {"{\"a\":1}x", false, NULL, NULL},
        {"{\"a\":1}{}", false, NULL, NULL},
        {"{\"a\":1,}", false, NULL, NULL},
        {"{'a':1}", false, NULL, NULL},
        {"{a:1}", false, NULL, NULL},
        {"{\"a\":01}", false, NULL, NULL},
        {"{\"a\":1.}", false, NULL, NULL},
        {"{\"a\":.5}", false, NULL, NULL},
        {"{\"a\":-}", false, NULL, NULL},
        {"{\"a\":1e}", false, NULL, NULL},
        {"{\"a\":+1}", false, NULL, NULL},
        {"{\"a\":NaN}", false, NULL, NULL},
        {"{\"a\":nul}", false, NULL, NULL},
        {"{\"a\":tru", false, NULL, NULL},
        {"{\"a\":\"\n\"}", false, NULL, NULL},
        {"{\"a\":\"\\x\"}", false, NULL, NULL},
        {"{\"a\":\"\\u12g4\"}", false, NULL, NULL},
        {"{\"a\":\"\\u12", false, NULL, NULL},
        {"{\"a\":\"\\", false, NULL, NULL},
        {"{\"a\" 1}", false, NULL, NULL},
        {"[1,]", false, NULL, NULL},
        {"\xef\xbb\xbf{}", false, NULL, NULL},
        {"/**/{}", false, NULL, NULL},
};

static void check_value(size_t i, const struct json_value *v, const char *want)
{
	if (want == NULL ? v->kind != JSON_ABSENT
	                 : v->kind == JSON_ABSENT || !span_eq(v->raw, span_cstr(want)))
		fail_msg("row %zu: kind %d, %.*s", i, v->kind, (int)v->raw.len, v->raw.ptr);
}

static void test_json(void **state)
{
	static const struct span paths[] = {SPAN_LIT("a"), SPAN_LIT("b.c")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t len = strlen(texts[i].text);
		/* At the end of its own memory: a read behind it is seen. */
		char *text = test_malloc(len + 1);
		struct json_value out[2];
		bool ok;

		memcpy(text, texts[i].text, len);
		ok = json_find(span_of(text, len), paths, 2, out);
		if (ok != texts[i].ok)
			fail_msg("row %zu: %s", i, texts[i].text);
		if (ok) {
			check_value(i, &out[0], texts[i].a);
			check_value(i, &out[1], texts[i].bc);
		}
		test_free(text);
	}
}

static void test_json_depth(void **state)
{
	static const struct span paths[] = {SPAN_LIT("a")};
	struct json_value out[1];
	char text[2 * JSON_DEPTH_MAX + 2];

	(void)state;
	for (uint32_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_find(span_of(text, 2 * depth), paths, 1, out),
		                 depth <= JSON_DEPTH_MAX);
	}
}

static const struct {
	const char *raw, *out; /* out NULL: refused */
} strings[] = {
        {"a\\\"\\\\\\/\\b\\f\\n\\r\\t", "a\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e4\\u20ac", "A\xc3\xa4\xe2\x82\xac"},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\\ud83d", NULL},
        {"\\ud83dx\\ude00", NULL},
        {"\\ud83d\\u0041", NULL},
        {"\\ude00", NULL},
        {"\\u0000", NULL},
        {"", ""},
};

static void test_json_strings(void **state)
{
	char buf[64];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		bool ok = json_unescape(span_cstr(strings[i].raw), buf, sizeof(buf), &len);

		assert_int_equal(ok, strings[i].out != NULL);
		if (ok && !span_eq(span_of(buf, len), span_cstr(strings[i].out)))
			fail_msg("row %zu: %.*s", i, (int)len, buf);
	}
	assert_true(
	        json_compact(SPAN_LIT("{ \"a b\" :\n[ 1, \"\\\" \" ] }"), buf, sizeof(buf), &len));
	assert_true(span_eq(span_of(buf, len), SPAN_LIT("{\"a b\":[1,\"\\\" \"]}")));
	assert_false(json_compact(SPAN_LIT("[1,2,3]"), buf, 5, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_filters),    cmocka_unit_test(test_long),
	        cmocka_unit_test(test_units),      cmocka_unit_test(test_json),
	        cmocka_unit_test(test_json_depth), cmocka_unit_test(test_json_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
