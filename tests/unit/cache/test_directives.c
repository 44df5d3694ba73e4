/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

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
        {"Cache-Control: no-store; private\r\n", NONE, NONE, NONE, NONE, "n"},
        {"Cache-Control: no-store;\r\n", NONE, NONE, NONE, NONE, "n"},
        {"Cache-Control: \"no-store\"\r\n", NONE, NONE, NONE, NONE, ""},
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
        {"Cache-Control: private\r\n", NONE, NONE, NONE, NONE, "p"},
        {"Cache-Control: private=\"\"\r\n", NONE, NONE, NONE, NONE, "p"},
        {"Cache-Control: private=\r\n", NONE, NONE, NONE, NONE, "p"},
        {"Cache-Control: private=\" , \"\r\n", NONE, NONE, NONE, NONE, "p"},
        {"Cache-Control: private, private=\"x\"\r\n", NONE, NONE, NONE, NONE, "pq"},
        {"Cache-Control: no-cache=\"\"\r\n", NONE, NONE, NONE, NONE, "c"},
        {"Cache-Control: no-cache=x\r\n", NONE, NONE, NONE, NONE, "f"},
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
		          cc.private_fields == flag_is(r, 'q') && cc.public_ == flag_is(r, 'P') &&
		          cc.must_revalidate == flag_is(r, 'm') &&
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

/* no-cache= and private= with names (5.2.2.4, 5.2.2.7), what Connection lists (3.1) */

struct listed_row {
	const char *rfc;
	const char *fields;
	const char *name; /* of a field of the response */
	bool excluded;
};

static const struct listed_row listed_rows[] = {
        {"5.2.2.4", CC "no-cache=\"a\"" N "A: 1" N, "A", true},
        {"5.2.2.4", CC "no-cache=\"b\"" N "A: 1" N, "A", false},
        {"5.2.2.4", CC "no-cache=\"x, a ,y\"" N "A: 1" N, "A", true},
        {"5.2.2.4", CC "no-cache=\"x,a\", max-age=5" N "A: 1" N, "A", true},
        {"5.2.2.4", CC "no-cache=a" N "A: 1" N, "A", true},
        {"5.2.2.4", CC "no-cache=\"aa\"" N "A: 1" N, "A", false},
        {"5.2.2.4", CC "no-cache" N "A: 1" N, "A", false},
        {"5.2.2.7", CC "private=\"a\"" N "A: 1" N, "A", true},
        {"5.2.2.7", CC "Private=\"SET-cookie\"" N "Set-Cookie: x=y" N, "Set-Cookie", true},
        {"5.2.2.7", CC "max-age=5" N CC "private=\"a\"" N "A: 1" N, "A", true},
        {"5.2.2.7", CC "ext=\"a\"" N "A: 1" N, "A", false},
        {"RFC 9213 2.1", "CDN-Cache-Control: private=\"a\"" N "A: 1" N, "A", true},
        {"RFC 9213 2.1", "Sluice-Cache-Control: no-cache=\"a\"" N "A: 1" N, "A", true},
        {"3.1", "Connection: a, close" N "A: 1" N, "A", true},
        {"3.1", "Connection: close" N "A: 1" N, "A", false},
        {"3.1", "Keep-Alive: timeout=5" N, "Keep-Alive", true},
        {"3.1", "Upgrade: h2c" N, "Upgrade", true},
        {"3.1", "Proxy-Authenticate: Basic" N, "Proxy-Authenticate", true},
        {"3.1", "ETag: \"a\"" N, "ETag", false},
};

static void test_field_excluded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(listed_rows); i++) {
		const struct listed_row *r = &listed_rows[i];
		struct http_fields fs;
		bool excluded = false;

		fields_scan(r->fields, &fs);
		for (uint32_t k = 0; k < fs.count; k++)
			if (span_eq_nocase(fs.f[k].name, span_cstr(r->name)))
				excluded = cache_field_excluded(&fs, &fs.f[k]);
		if (excluded != r->excluded)
			fail_msg("row %zu (%s): %s", i, r->rfc, r->fields);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cache_control),
	        cmocka_unit_test(test_cache_control_rfc5861),
	        cmocka_unit_test(test_field_excluded),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
