/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

#include "cache/vary.h"

#define SEED 7u

/* --- which coding a request gets (RFC 9110 12.5.3) --- */

struct choose_row {
	const char *offers;
	const char *fields;
	const char *coding;
};

#define AE "Accept-Encoding: "
static const struct choose_row choose_rows[] = {
        /* nothing said, nothing accepted */
        {"br,zstd,gzip", "", ""},
        {"br,zstd,gzip", AE N, ""},
        {"br,zstd,gzip", AE "," N, ""},
        {"br,zstd,gzip", AE "identity" N, ""},
        {"br,zstd,gzip", AE "deflate, compress" N, ""},
        {"gzip", AE "br, zstd" N, ""},
        {"br,zstd,gzip", AE "gzipp" N, ""},
        {"br,zstd,gzip", AE "b" N, ""},
        /* the order is the operator's */
        {"br,zstd,gzip", AE "gzip, deflate, br, zstd" N, "br"},
        {"zstd,br,gzip", AE "gzip, deflate, br, zstd" N, "zstd"},
        {"gzip,br", AE "br,gzip" N, "gzip"},
        {"br,zstd,gzip", AE "gzip" N, "gzip"},
        {"br,zstd,gzip", AE "zstd" N, "zstd"},
        /* case, the old name, blanks, several lines */
        {"br,gzip", AE "GZip" N, "gzip"},
        {"br,gzip", AE "BR" N, "br"},
        {"br,gzip", AE "x-gzip" N, "gzip"},
        {"br,gzip", AE "X-GZIP;Q=0.5" N, "gzip"},
        {"br,gzip", AE "\tgzip \t,, identity" N, "gzip"},
        {"br,gzip", AE "gzip ; q=0.5" N, "gzip"},
        {"br,gzip", AE "deflate" N AE "br" N, "br"},
        /* weights */
        {"br,zstd,gzip", AE "br;q=0.1, gzip" N, "gzip"},
        {"br,zstd,gzip", AE "br;q=0.999, gzip;q=1.000" N, "gzip"},
        {"br,zstd,gzip", AE "br;q=0.5, gzip;q=0.5" N, "br"},
        {"br,zstd,gzip", AE "gzip;q=0" N, ""},
        {"br,zstd,gzip", AE "gzip;q=0.000" N, ""},
        {"br,zstd,gzip", AE "br;q=0, gzip" N, "gzip"},
        {"br,zstd,gzip", AE "gzip;q=0.001" N, "gzip"},
        {"br,gzip", AE "gzip, gzip;q=0" N, ""}, /* the last word counts */
        /* "*" is for those that are not named */
        {"br,zstd,gzip", AE "*" N, "br"},
        {"br,zstd,gzip", AE "*;q=0" N, ""},
        {"br,zstd,gzip", AE "*, br;q=0" N, "zstd"},
        {"br,zstd,gzip", AE "gzip, *;q=0" N, "gzip"},
        {"br,zstd,gzip", AE "gzip;q=0.5, *;q=0.1" N, "gzip"},
        {"br,zstd,gzip", AE "br;q=0.2, *;q=0.7" N, "zstd"},
        /* identity */
        {"br,gzip", AE "gzip, identity" N, "gzip"},
        {"br,gzip", AE "identity, gzip;q=0.9" N, ""},
        {"br,gzip", AE "identity;q=0.5, gzip;q=0.5" N, "gzip"},
        {"br,gzip", AE "identity;q=1, *;q=0" N, ""},
        {"br,gzip", AE "identity;q=0, *" N, "br"},
        {"br,gzip", AE "identity;q=0" N, ""},
        {"br,gzip", AE "identity;q=0.5, *;q=0.8" N, "br"},
        {"br,gzip", AE "identity;q=0.5, *;q=0.1" N, ""},
        /* what is no weight is none */
        {"br,gzip", AE "br;q=2, gzip" N, "gzip"},
        {"br,gzip", AE "br;q=1.001, gzip" N, "gzip"},
        {"br,gzip", AE "br;q=, gzip;q=0.1" N, "gzip"},
        {"br,gzip", AE "br;q=0.1234, gzip;q=0.001" N, "gzip"},
        {"br,gzip", AE "br;q=.5, gzip;q=0.001" N, "gzip"},
        {"br,gzip", AE "br;q=-1, gzip;q=0.001" N, "gzip"},
        {"br,gzip", AE "br;x=1, gzip;q=0.001" N, "gzip"},
        {"br,gzip", AE "br;, gzip;q=0.001" N, "gzip"},
        /* the request forbids it (RFC 9111 5.2.1.6) */
        {"br,gzip", AE "gzip" N "Cache-Control: no-transform" N, ""},
        {"br,gzip", AE "gzip" N "Cache-Control: max-age=0, No-Transform" N, ""},
        {"br,gzip", AE "gzip" N "Cache-Control: max-age=0" N "Cache-Control: no-transform" N, ""},
        {"br,gzip", AE "gzip" N "Cache-Control: max-age=0" N, "gzip"},
        {"br,gzip", AE "gzip" N "Cache-Control: no-transforms" N, "gzip"},
};

static void test_choose(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(choose_rows); i++) {
		const struct choose_row *r = &choose_rows[i];
		struct http_fields fs;
		struct codings offers;
		enum coding c;

		assert_true(codings_read(span_cstr(r->offers), &offers));
		fields_scan(r->fields, &fs);
		c = coding_choose(&offers, &fs);
		if (!span_eq(coding_name(c), span_cstr(r->coding)))
			fail_msg("row %zu: '%s' of %s gets '%s', not '%s'", i, r->fields, r->offers,
			         coding_name(c).ptr, r->coding);
	}
	struct codings none = {0};
	struct http_fields fs;
	fields_scan(AE "br" N, &fs);
	assert_int_equal(coding_choose(&none, &fs), CODING_IDENTITY);
}

struct read_row {
	const char *text;
	const char *again; /* NULL: refused */
};

static const struct read_row read_rows[] = {
        {"br", "br"},
        {"br,zstd,gzip", "br,zstd,gzip"},
        {" gzip , BR", "gzip,br"},
        {"", NULL},
        {",", NULL},
        {"br,", "br"},
        {"br,,gzip", NULL},
        {"br,br", NULL},
        {"identity", NULL},
        {"br,deflate", NULL},
        {"br;gzip", NULL},
        {"br,zstd,gzip,br", NULL},
};

static void test_codings(void **state)
{
	char buf[CODINGS_TEXT_MAX];
	struct codings c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(read_rows); i++) {
		const struct read_row *r = &read_rows[i];

		if (codings_read(span_cstr(r->text), &c) != (r->again != NULL))
			fail_msg("row %zu", i);
		if (r->again != NULL)
			assert_true(span_eq(codings_write(&c, buf), span_cstr(r->again)));
	}
}

/* --- lists that offer codings, and their keys --- */

struct offer_row {
	const char *names;
	const char *offers;
	const char *list; /* NULL: too long */
};

static const struct offer_row offer_rows[] = {
        {"", "br,gzip", "accept-encoding=br,gzip"},
        {"accept-encoding", "gzip", "accept-encoding=gzip"},
        {"origin", "zstd", "accept-encoding,origin=zstd"},
        {"a,accept-encoding,z", "br", "a,accept-encoding,z=br"},
};

static void test_offer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offer_rows); i++) {
		const struct offer_row *r = &offer_rows[i];
		struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("h/p")};
		struct codings offers, again;
		struct span list, read;
		char buf[VARY_NAMES_MAX];
		uint64_t mem[128], id;

		assert_true(codings_read(span_cstr(r->offers), &offers));
		bool fits = vary_offer(span_cstr(r->names), &offers, buf, &list);
		if (fits != (r->list != NULL) || (fits && !span_eq(list, span_cstr(r->list))))
			fail_msg("row %zu: %.*s", i, fits ? (int)list.len : 0, list.ptr);
		if (!fits)
			continue;
		assert_true(vary_list_write(mem, sizeof(mem), &primary, 5, list) > 0);
		assert_true(vary_list_read((struct object *)mem, &id, &read));
		assert_true(span_eq(read, list));
		vary_offers(read, &again);
		assert_memory_equal(&again, &offers, sizeof(offers));
	}
}

static void test_offer_long(void **state)
{
	size_t fits = VARY_NAMES_MAX - strlen("accept-encoding,") - strlen("=br,zstd,gzip");
	char text[VARY_NAMES_MAX], buf[VARY_NAMES_MAX];
	struct codings offers;
	struct span list;

	(void)state;
	assert_true(codings_read(SPAN_LIT("br,zstd,gzip"), &offers));
	memset(text, 'n', sizeof(text));
	assert_true(vary_offer(span_of(text, fits), &offers, buf, &list));
	assert_int_equal(list.len, VARY_NAMES_MAX);
	assert_false(vary_offer(span_of(text, fits + 1), &offers, buf, &list));
}

/* Bytes of another process. */
static void test_offer_bad(void **state)
{
	static const char *const bad[] = {"=br",
	                                  "accept-encoding=",
	                                  "accept-encoding=x",
	                                  "accept-encoding=br,br",
	                                  "accept-encoding,=br",
	                                  "accept-encoding=br=gzip",
	                                  "accept-encoding=br\r\n"};
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("h/p")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t mem[64], id;
		struct span names;

		assert_true(vary_list_write(mem, sizeof(mem), &primary, 5, span_cstr(bad[i])) > 0);
		if (vary_list_read((struct object *)mem, &id, &names))
			fail_msg("'%s' is taken", bad[i]);
	}
}

struct key_row {
	const char *list;
	const char *a;
	const char *b;
	bool same;
};

static const struct key_row key_rows[] = {
        {"accept-encoding=br,gzip", AE "br, gzip" N, AE "gzip;q=0.2,br, deflate" N, true},
        {"accept-encoding=br,gzip", AE "gzip" N, AE "x-gzip, foo" N, true},
        {"accept-encoding=br,gzip", AE "gzip" N, AE "br" N, false},
        {"accept-encoding=br,gzip", "", AE "deflate" N, true},
        {"accept-encoding=br,gzip", "", AE "gzip" N, false},
        {"accept-encoding,foo=gzip", AE "gzip" N "Foo: 1" N, AE "gzip, br" N "Foo: 1" N, true},
        {"accept-encoding,foo=gzip", AE "gzip" N "Foo: 1" N, AE "gzip" N "Foo: 2" N, false},
};

static void variant(const char *list, const char *fields, char *buf, struct cache_key *out)
{
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};
	struct http_fields fs;
	uint64_t mem[64];

	assert_true(vary_list_write(mem, sizeof(mem), &primary, 9, span_cstr(list)) > 0);
	fields_scan(fields, &fs);
	assert_true(vary_key(buf, &primary, (struct object *)mem, &fs, SEED, out));
}

static void test_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(key_rows); i++) {
		const struct key_row *r = &key_rows[i];
		char buf_a[CACHE_KEY_MAX], buf_b[CACHE_KEY_MAX], buf_c[CACHE_KEY_MAX];
		struct cache_key a, b, c;

		variant(r->list, r->a, buf_a, &a);
		variant(r->list, r->b, buf_b, &b);
		if (span_eq(a.text, b.text) != r->same || hash128_eq(a.hash, b.hash) != r->same)
			fail_msg("row %zu: %.*s and %.*s", i, (int)a.text.len, a.text.ptr,
			         (int)b.text.len, b.text.ptr);
		assert_true(span_eq(vary_primary(a.text), SPAN_LIT("host/path")));
		/* Any coding and back */
		for (uint32_t k = 0; k < CODING_COUNT; k++) {
			assert_true(vary_key_coded(a.text, (enum coding)k, SEED, buf_b, &b));
			assert_true(hash128_eq(b.hash, hash128(b.text.ptr, b.text.len, SEED)));
			variant(r->list, r->a, buf_c, &c);
			for (uint32_t m = 0; m < CODING_COUNT; m++) {
				assert_true(
				        vary_key_coded(b.text, (enum coding)m, SEED, buf_c, &c));
				if (span_eq(c.text, a.text))
					break;
			}
			assert_true(span_eq(c.text, a.text));
		}
	}
}

static void test_keys_without(void **state)
{
	static const char *const texts[] = {"", "host/path", "host/path\n",
	                                    "host/path\n0123456789abcdef",
	                                    "host/path\n0123456789abcdef\n=br,"};
	char buf[CACHE_KEY_MAX], text[CACHE_KEY_MAX];
	struct cache_key out, key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_false(vary_key_coded(span_cstr(texts[i]), CODING_BR, SEED, buf, &out));
	memset(text, 'v', sizeof(text));
	memcpy(text, "h\n0123456789abcdef=", 19);
	text[19] = VARY_SEP;
	key.text = span_of(text, CACHE_KEY_MAX - 2);
	assert_true(vary_key_coded(key.text, CODING_BR, SEED, buf, &out));
	assert_int_equal(out.text.len, CACHE_KEY_MAX);
	assert_false(vary_key_coded(key.text, CODING_GZIP, SEED, buf, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_choose),       cmocka_unit_test(test_codings),
	        cmocka_unit_test(test_offer),        cmocka_unit_test(test_offer_bad),
	        cmocka_unit_test(test_offer_long),   cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_keys_without),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
