/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

#include "cache/vary.h"

#define SEED 7u

/* What a response's Vary says (4.1) */

struct vary_row {
	const char *fields;
	enum vary_kind kind;
	const char *names;
};

static const struct vary_row vary_rows[] = {
        {"", VARY_NONE, ""},
        {"Vary: " N, VARY_NONE, ""},
        {"Vary: ," N, VARY_NONE, ""},
        {"Vary: , ,," N "Vary: " N, VARY_NONE, ""},
        {"Vary: Accept" N, VARY_LIST, "accept"},
        {"vary: ACCEPT" N, VARY_LIST, "accept"},
        {"Vary: b, a" N, VARY_LIST, "a,b"},
        {"Vary: a,b" N, VARY_LIST, "a,b"},
        {"Vary: b" N "Vary: a" N, VARY_LIST, "a,b"},
        {"Vary: a, A, a" N, VARY_LIST, "a"},
        {"Vary: ab, a, abc" N, VARY_LIST, "a,ab,abc"},
        {"Vary: ,a,, b ," N, VARY_LIST, "a,b"},
        {"Vary: *" N, VARY_ANY, ""},
        {"Vary: *, *" N, VARY_ANY, ""},
        {"Vary: *" N "Vary: *" N, VARY_ANY, ""},
        {"Vary: , *" N, VARY_ANY, ""},
        {"Vary: " N "Vary: *" N, VARY_ANY, ""},
        {"Vary: *, Foo" N, VARY_ANY, ""},
        {"Vary: Foo, *" N, VARY_ANY, ""},
        {"Vary: Foo" N "Vary: *" N, VARY_ANY, ""},
        {"Vary: a b" N, VARY_ANY, ""},
        {"Vary: a;b" N, VARY_ANY, ""},
        {"Vary: \"a\"" N, VARY_ANY, ""},
        {"Vary: a\xc3\xa9" N, VARY_ANY, ""},
};

static void test_vary_of(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vary_rows); i++) {
		const struct vary_row *r = &vary_rows[i];
		char buf[VARY_NAMES_MAX];
		struct http_fields fs;
		struct span names;

		fields_scan(r->fields, &fs);
		enum vary_kind kind = vary_of(&fs, buf, &names);
		if (kind != r->kind || !span_eq(names, span_cstr(r->names)))
			fail_msg("row %zu: %s gives %d %.*s", i, r->fields, kind, (int)names.len,
			         names.ptr);
	}
}

static void test_vary_bounds(void **state)
{
	char text[VARY_NAMES_MAX + 64];
	char buf[VARY_NAMES_MAX];
	struct http_fields fs;
	struct span names;

	(void)state;
	/* One name as long as the list may be, and one byte more. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "Vary: ", 6);
	memcpy(text + 6 + VARY_NAMES_MAX, "\r\n", 3);
	fields_scan(text, &fs);
	assert_int_equal(vary_of(&fs, buf, &names), VARY_LIST);
	assert_int_equal(names.len, VARY_NAMES_MAX);
	memset(text + 6, 'x', VARY_NAMES_MAX + 1);
	memcpy(text + 7 + VARY_NAMES_MAX, "\r\n", 3);
	fields_scan(text, &fs);
	assert_int_equal(vary_of(&fs, buf, &names), VARY_ANY);
	/* As many names as there may be, and one more. */
	size_t at = 6;
	for (int i = 0; i < 33; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, "n%d,", i);
		if (i < 31)
			continue;
		memcpy(text + at, "\r\n", 3);
		fields_scan(text, &fs);
		assert_int_equal(vary_of(&fs, buf, &names), i == 31 ? VARY_LIST : VARY_ANY);
	}
}

/* Lists as they are stored */

static size_t list_make(uint64_t *mem, size_t cap, uint64_t id, const char *names)
{
	struct cache_key key = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};

	return vary_list_write(mem, cap, &key, id, span_cstr(names));
}

static void test_list(void **state)
{
	uint64_t mem[64];
	struct object *o = (struct object *)mem;
	struct span names;
	uint64_t id;

	(void)state;
	size_t len = list_make(mem, sizeof(mem), 99, "accept,foo");
	assert_int_equal(len, sizeof(*o) + 9 + 8 + 10);
	assert_true(object_head_valid(mem, len));
	assert_int_equal(list_make(mem, len - 1, 99, "accept,foo"), 0);
	assert_true(o->flags & OBJECT_VARY);
	assert_false(o->flags & OBJECT_STORABLE);
	assert_true(vary_list_read(o, &id, &names));
	assert_int_equal(id, 99);
	assert_true(span_eq(names, SPAN_LIT("accept,foo")));
	assert_true(span_eq(object_key(o), SPAN_LIT("host/path")));
	assert_int_equal(hash128_eq(o->hash, (struct hash128){1, 2}), true);

	o->flags = 0;
	assert_false(vary_list_read(o, &id, &names));
	o->flags = OBJECT_VARY;
	o->fields_len = 8;
	assert_false(vary_list_read(o, &id, &names));
}

static void test_list_bad(void **state)
{
	const char *const bad[] = {",a", "a,", "a,,b", "A", "a b", "*,\"", "a\n"};
	uint64_t mem[64];
	struct span names;
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		list_make(mem, sizeof(mem), 99, bad[i]);
		if (vary_list_read((struct object *)mem, &id, &names))
			fail_msg("row %zu: %s", i, bad[i]);
	}
	list_make(mem, sizeof(mem), 0, "a");
	assert_false(vary_list_read((struct object *)mem, &id, &names));
}

/* Which requests ask for the same variant */

struct same_row {
	const char *names;
	const char *a;
	const char *b;
	bool same;
};

#define AE "Accept-Encoding: "

static const struct same_row same_rows[] = {
        {"foo", "Foo: 1" N, "Foo: 1" N, true},
        {"foo", "Foo: 1" N, "fOO: 1" N, true},
        {"foo", "Foo: 1" N, "Foo: 2" N, false},
        {"foo", "Foo: 1" N, "", false},
        {"foo", "Foo: " N, "", false},
        {"foo", "", "", true},
        {"foo", "Foo: 1" N "Other: 2" N, "Foo: 1" N "Other: 3" N, true},
        {"foo", "Foo: a" N, "Foo: A" N, false},
        {"bar,foo", "Foo: 1" N "Bar: a" N, "Bar: a" N "Foo: 1" N, true},
        {"bar,foo", "Foo: 1" N "Bar: a" N, "Foo: a" N "Bar: 1" N, false},
        {"bar,foo", "Foo: 1" N, "Bar: 1" N, false},
        {"bar,foo", "Bar: 1" N "Foo: " N, "Bar: 1" N, false},
        {"foo", "Foo: 1,2" N, "Foo:  1, 2 " N, true},
        {"foo", "Foo: 1, 2" N, "Foo: 1" N "Foo: 2" N, true},
        {"foo", "Foo: 1 ,\t2" N, "Foo: 1,2" N, true},
        {"foo", "Foo: 2, 1" N, "Foo: 1, 2" N, false},
        {"foo", "Foo: 1 2" N, "Foo: 12" N, false},
        {"foo", "Foo: \"a, b\"" N, "Foo: \"a,b\"" N, false},
        {"foo", "Foo: \"a\\\", b\"" N, "Foo: \"a\\\",b\"" N, false},
        {"foo", "Foo: \"a\" , b" N, "Foo: \"a\",b" N, true},
        {"foo", "Foo: 1,,2" N, "Foo: 1,2" N, false},
        {"accept-encoding", AE "gzip, br" N, AE "br,gzip" N, true},
        {"accept-encoding", AE "gzip, br" N, AE "br;q=0.5, GZIP;q=1.0" N, true},
        {"accept-encoding", AE "gzip, br" N, AE "gzip" N AE "br" N, true},
        {"accept-encoding", AE "gzip" N, AE "x-gzip" N, true},
        {"accept-encoding", AE "gzip" N, AE "gzip, identity" N, true},
        {"accept-encoding", AE "gzip" N, AE "gzip, br;q=0" N, true},
        {"accept-encoding", AE "gzip" N, AE "gzip, br;q=0.000" N, true},
        {"accept-encoding", AE "gzip" N, AE "gzip, br;q=0.001" N, false},
        {"accept-encoding", AE "gzip" N, AE "gzip, br" N, false},
        {"accept-encoding", AE "gzip" N, AE "" N, false},
        {"accept-encoding", AE "" N, AE "identity" N, true},
        {"accept-encoding", AE "" N, AE "gzip;q=0" N, true},
        {"accept-encoding", "", AE "" N, false},
        {"accept-encoding", AE "" N, AE "identity;q=0" N, false},
        {"accept-encoding", AE "gzip" N, AE "gzip, *" N, false},
        {"accept-encoding", AE "gzip" N, AE "gzip, *;q=0" N, false},
        {"accept-encoding", AE "gzip" N, AE "gzip, other" N, false},
        {"accept-encoding", AE "other" N, AE "another" N, false},
        {"accept-encoding", AE "gzip, other" N, AE "gzip,other" N, true},
        {"accept-encoding", AE "other" N, AE "" N, false},
        {"accept-language", "Accept-Language: en, DE" N, "accept-language: EN,de" N, true},
        {"accept-language", "Accept-Language: en, de" N, "Accept-Language: de, en" N, false},
};

static void variant(const struct same_row *r, const char *fields, char *buf, struct cache_key *out)
{
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};
	struct http_fields fs;
	uint64_t mem[64];

	assert_true(list_make(mem, sizeof(mem), 0x0123456789abcdef, r->names) > 0);
	fields_scan(fields, &fs);
	assert_true(vary_key(buf, &primary, (struct object *)mem, &fs, SEED, out));
}

static void test_variants(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same_rows); i++) {
		const struct same_row *r = &same_rows[i];
		char buf_a[CACHE_KEY_MAX], buf_b[CACHE_KEY_MAX];
		struct cache_key a, b;

		variant(r, r->a, buf_a, &a);
		variant(r, r->b, buf_b, &b);
		if (span_eq(a.text, b.text) != r->same || hash128_eq(a.hash, b.hash) != r->same)
			fail_msg("row %zu: %.*s and %.*s", i, (int)a.text.len, a.text.ptr,
			         (int)b.text.len, b.text.ptr);
		assert_true(span_eq(vary_primary(a.text), SPAN_LIT("host/path")));
		struct hash128 h = hash128(a.text.ptr, a.text.len, SEED);
		assert_true(hash128_eq(h, a.hash));
	}
}

/* With another list, none of the old variants is found. */
static void test_identity(void **state)
{
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};
	char buf_a[CACHE_KEY_MAX], buf_b[CACHE_KEY_MAX];
	struct cache_key a, b;
	struct http_fields fs;
	uint64_t mem[64];

	(void)state;
	fields_scan("Foo: 1" N, &fs);
	list_make(mem, sizeof(mem), 1, "foo");
	assert_true(vary_key(buf_a, &primary, (struct object *)mem, &fs, SEED, &a));
	list_make(mem, sizeof(mem), 2, "foo");
	assert_true(vary_key(buf_b, &primary, (struct object *)mem, &fs, SEED, &b));
	assert_false(span_eq(a.text, b.text));
	assert_true(span_eq(vary_primary(primary.text), primary.text));
}

static void test_key_too_long(void **state)
{
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};
	char text[CACHE_KEY_MAX + 64];
	char buf[CACHE_KEY_MAX];
	struct http_fields fs;
	struct cache_key out;
	uint64_t mem[64];
	size_t fits = CACHE_KEY_MAX - primary.text.len - 1 - 16 - 1 - 1;

	(void)state;
	list_make(mem, sizeof(mem), 1, "foo");
	memset(text, 'v', sizeof(text));
	memcpy(text, "Foo: ", 5);
	memcpy(text + 5 + fits, "\r\n", 3);
	fields_scan(text, &fs);
	assert_true(vary_key(buf, &primary, (struct object *)mem, &fs, SEED, &out));
	assert_int_equal(out.text.len, CACHE_KEY_MAX);
	memcpy(text + 5 + fits, "v\r\n", 4);
	fields_scan(text, &fs);
	assert_false(vary_key(buf, &primary, (struct object *)mem, &fs, SEED, &out));
	((struct object *)mem)->flags = 0;
	assert_false(vary_key(buf, &primary, (struct object *)mem, &fs, SEED, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vary_of),      cmocka_unit_test(test_vary_bounds),
	        cmocka_unit_test(test_list),         cmocka_unit_test(test_list_bad),
	        cmocka_unit_test(test_variants),     cmocka_unit_test(test_identity),
	        cmocka_unit_test(test_key_too_long),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
