/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/key.h"
#include "cache/object.h"

static const struct {
	const char *host, *path, *query; /* query NULL: no '?' */
	const char *text;
} key_rows[] = {
        {"example.com", "/", NULL, "example.com/"},
        {"EXAMPLE.com", "/A/b", NULL, "example.com/A/b"},
        {"example.com", "/a", "", "example.com/a?"},
        {"example.com", "/a", "B=1&a=2", "example.com/a?B=1&a=2"},
        {"", "/a", NULL, "/a"},
        {"[::1]", "/%41", "?", "[::1]/%41??"},
};

static void test_key_default(void **state)
{
	char buf[CACHE_KEY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(key_rows); i++) {
		struct span query = {0};
		struct cache_key key;

		if (key_rows[i].query != NULL)
			query = span_cstr(key_rows[i].query);
		assert_true(cache_key_default(buf, span_cstr(key_rows[i].host),
		                              span_cstr(key_rows[i].path), query, 7, &key));
		if (!span_eq(key.text, span_cstr(key_rows[i].text)))
			fail_msg("row %zu: %.*s", i, (int)key.text.len, key.text.ptr);
		assert_true(hash128_eq(key.hash, hash128(key.text.ptr, key.text.len, 7)));
		assert_false(hash128_eq(key.hash, hash128(key.text.ptr, key.text.len, 8)));
	}
}

/* Every byte at every place, beside bytes whose sums could carry. */
static void test_lower8(void **state)
{
	static const uint8_t others[] = {0, 'A', 'Z', 0x7f, 0x80, 0xff};

	(void)state;
	for (uint32_t i = 0; i < 256 * 8 * ARRAY_LEN(others); i++) {
		char in[8], out[8];
		uint64_t v;

		memset(in, others[i / 2048], sizeof(in));
		in[i / 256 % 8] = (char)(i % 256);
		memcpy(&v, in, 8);
		v = ascii_lower8(v);
		memcpy(out, &v, 8);
		for (size_t k = 0; k < 8; k++)
			assert_int_equal(out[k], ascii_lower(in[k]));
	}
}

static void test_key_limit(void **state)
{
	char buf[CACHE_KEY_MAX + 1];
	char path[CACHE_KEY_MAX + 1];
	struct span none = {0};
	struct cache_key key;

	(void)state;
	memset(path, 'a', sizeof(path));
	buf[CACHE_KEY_MAX] = 42;
	struct span host = SPAN_LIT("h");
	assert_true(cache_key_default(buf, host, span_of(path, CACHE_KEY_MAX - 1), none, 0, &key));
	assert_int_equal(key.text.len, CACHE_KEY_MAX);
	assert_false(cache_key_default(buf, host, span_of(path, CACHE_KEY_MAX), none, 0, &key));
	/* The question mark counts. */
	assert_true(cache_key_default(buf, host, span_of(path, CACHE_KEY_MAX - 3), SPAN_LIT("q"), 0,
	                              &key));
	assert_false(cache_key_default(buf, host, span_of(path, CACHE_KEY_MAX - 2), SPAN_LIT("q"),
	                               0, &key));
	assert_false(cache_key_default(buf, host, none, span_of(path, SIZE_MAX), 0, &key));
	assert_false(cache_key_default(buf, span_of(path, SIZE_MAX), span_of(path, SIZE_MAX), none,
	                               0, &key));
	assert_false(cache_key_default(buf, none, none, none, 0, &key));
	assert_int_equal(buf[CACHE_KEY_MAX], 42);
}

static const struct {
	const char *text, *pattern;
	bool match;
} match_rows[] = {
        {"", "", true},           {"a", "", false},         {"", "a", false},
        {"", "*", true},          {"", "**", true},         {"abc", "*", true},
        {"abc", "abc", true},     {"abc", "ab", false},     {"abc", "abcd", false},
        {"abc", "a*", true},      {"abc", "*c", true},      {"abc", "*b", false},
        {"abc", "a*c", true},     {"abc", "ab*bc", false},  {"abbc", "ab*bc", true},
        {"abc", "*b*", true},     {"abc", "*d*", false},    {"abc", "***", true},
        {"abc", "a**c", true},    {"aXbXc", "a*b*c", true}, {"aXcXb", "a*b*c", false},
        {"ab", "a*ab", false},    {"aab", "a*ab", true},    {"ababab", "*ab", true},
        {"abac", "*ab", false},   {"a*c", "a*c", true},     {"a", "a*a", false},
        {"aa", "a*a", true},      {"h/a?x", "h/a?x", true}, {"h/abx", "h/a?x", false},
        {"aaa", "*a*a*a*", true}, {"aa", "*a*a*a*", false}, {"A", "a", false},
};

static void test_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(match_rows); i++)
		if (cache_key_match(span_cstr(match_rows[i].text),
		                    span_cstr(match_rows[i].pattern)) != match_rows[i].match)
			fail_msg("row %zu: %s %s", i, match_rows[i].text, match_rows[i].pattern);
	assert_true(cache_key_match((struct span){0}, (struct span){0}));
	assert_true(cache_key_match((struct span){0}, SPAN_LIT("*")));
}

/* The definition itself, exponential. */
static bool match_slow(const char *s, const char *p)
{
	if (*p == 0)
		return *s == 0;
	if (*p == '*')
		return match_slow(s, p + 1) || (*s && match_slow(s + 1, p));
	return *s == *p && match_slow(s + 1, p + 1);
}

static void test_match_random(void **state)
{
	(void)state;
	srand(1);
	for (int n = 0; n < 200000; n++) {
		char s[12] = {0}, p[8] = {0};

		for (int i = 0, len = rand() % 11; i < len; i++)
			s[i] = "ab"[rand() % 2];
		for (int i = 0, len = rand() % 7; i < len; i++)
			p[i] = "ab*"[rand() % 3];
		if (cache_key_match(span_cstr(s), span_cstr(p)) != match_slow(s, p))
			fail_msg("\"%s\" \"%s\"", s, p);
	}
}

struct object_mem {
	struct object o;
	char rest[64];
};

static struct object_mem object_sample(void)
{
	struct object_mem m = {.o = {.status = 200,
	                             .key_len = 10,
	                             .fields_len = 30,
	                             .etag_off = 6,
	                             .etag_len = 3,
	                             .last_modified_off = 10,
	                             .last_modified_len = 20}};
	return m;
}

static void test_object_valid(void **state)
{
	struct object_mem m = object_sample();
	const size_t len = sizeof(m.o) + 40;

	(void)state;
	assert_true(object_head_valid(&m, len));
	assert_true(object_head_valid(&m, len + 1));
	for (size_t n = 0; n < len; n++)
		assert_false(object_head_valid(&m, n));
	/* Also where it is not aligned. */
	char odd[sizeof(m) + 1];
	memcpy(odd + 1, &m, sizeof(m));
	assert_true(object_head_valid(odd + 1, len));
}

static void test_object_hostile(void **state)
{
	static const struct {
		size_t off, size;
		uint64_t value;
		bool valid;
	} rows[] = {
#define ROW(field, value, valid) \
	{offsetof(struct object, field), sizeof(((struct object *)0)->field), value, valid}
	        ROW(key_len, 0, true),
	        ROW(key_len, 11, false),
	        ROW(key_len, CACHE_KEY_MAX + 1, false),
	        ROW(key_len, UINT32_MAX, false),
	        ROW(key_len, UINT32_MAX - 79, false),
	        ROW(fields_len, 31, false),
	        ROW(fields_len, UINT32_MAX, false),
	        ROW(fields_len, UINT32_MAX - 9, false),
	        ROW(fields_len, 29, false),
	        ROW(etag_off, 27, true),
	        ROW(etag_off, 28, false),
	        ROW(etag_off, UINT32_MAX, false),
	        ROW(etag_len, 24, true),
	        ROW(etag_len, 25, false),
	        ROW(etag_len, UINT16_MAX, false),
	        ROW(last_modified_off, 11, false),
	        ROW(last_modified_off, UINT32_MAX - 10, false),
	        ROW(last_modified_len, 21, false),
	        ROW(last_modified_len, 0, true),
	        ROW(status, 0, false),
	        ROW(status, 99, false),
	        ROW(status, 100, true),
	        ROW(status, 999, true),
	        ROW(status, 1000, false),
	        ROW(body_len, UINT64_MAX, true),
	        ROW(flags, UINT16_MAX, true),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct object_mem m = object_sample();

		memcpy((char *)&m + rows[i].off, &rows[i].value, rows[i].size);
		if (object_head_valid(&m, sizeof(m.o) + 40) != rows[i].valid)
			fail_msg("row %zu", i);
	}
	/* An offset without a length is of no matter. */
	struct object_mem m = object_sample();
	m.o.etag_off = UINT32_MAX;
	m.o.etag_len = 0;
	assert_true(object_head_valid(&m, sizeof(m.o) + 40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_key_default),    cmocka_unit_test(test_lower8),
	        cmocka_unit_test(test_key_limit),      cmocka_unit_test(test_match),
	        cmocka_unit_test(test_match_random),   cmocka_unit_test(test_object_valid),
	        cmocka_unit_test(test_object_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
