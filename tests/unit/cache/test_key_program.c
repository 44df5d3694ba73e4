/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/cache/rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLES                                                                    \
	"tables: [{name: sev, values: [crit=critical, sev1=critical, hi=high]}, " \
	"{name: time, values: [s=1, m=60, h=3600]}]"

#define PATH "/v1/risks/{id}"
#define BARE "public: true, any_host: true, key: \"x:{path.id}:" /* the key behind it, and \"" */

struct row {
	const char *rule;
	const char *target;
	const char *fields;
	const char *key; /* NULL: none */
};

static const struct row queries[] = {
        {BARE "page={query.page|1}:sev={query.severity|lower}:st={query.status}\"",
         "/v1/risks/7?page=2&severity=HIGH&status=open", "", "x:7:page=2:sev=high:st=open"},
        {BARE "page={query.page|1}:sev={query.severity|lower}:st={query.status}\"",
         "/v1/risks/7?status=open&severity=HIGH", "", "x:7:page=1:sev=high:st=open"},
        {BARE "page={query.page|1}\"", "/v1/risks/7", "", "x:7:page=1"},
        {BARE "page={query.page|1}\"", "/v1/risks/7?", "", "x:7:page=1"},
        {BARE "page={query.page|1}\"", "/v1/risks/7?page=", "", "x:7:page=1"},
        {BARE "page={query.page|1}\"", "/v1/risks/7?page", "", "x:7:page=1"},
        {BARE "{query.q}\"", "/v1/risks/7?&&q=a&", "", "x:7:a"},
        /* Absent, empty, and a percent sign are three things. */
        {BARE "{query.q}\"", "/v1/risks/7", "", "x:7:"},
        {BARE "{query.q}\"", "/v1/risks/7?q=", "", "x:7:%"},
        {BARE "{query.q}\"", "/v1/risks/7?q=%25", "", "x:7:%25"},
        /* As RFC 3986 6.2.2 has it, and no further: '+' may be a space, or not. */
        {BARE "{query.q}\"", "/v1/risks/7?q=%61%2d%7e", "", "x:7:a-~"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a%2fb/c", "", "x:7:a%2Fb/c"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a+b", "", "x:7:a!2Bb"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a%2Bb", "", "x:7:a%2Bb"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a%20b", "", "x:7:a%20b"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a!2Bb", "", "x:7:a!212Bb"},
        /* With a filter, as forms are read. */
        {BARE "{query.q|lower}\"", "/v1/risks/7?q=A+B", "", "x:7:a%20b"},
        {BARE "{query.q|lower}\"", "/v1/risks/7?q=A%20B", "", "x:7:a%20b"},
        {BARE "{query.q|lower}\"", "/v1/risks/7?q=A%2BB", "", "x:7:a%2Bb"},
        {BARE "{query.q|lower}\"", "/v1/risks/7?q=%zz", "", NULL},
        /* Names are compared as servers read them. */
        {BARE "{query.q}\"", "/v1/risks/7?%71=a", "", "x:7:a"},
        {BARE "{query.q}\"", "/v1/risks/7?q=a&%71=b", "", NULL},
        {BARE "{query.q}\"", "/v1/risks/7?q=a&q=a", "", NULL},
        {BARE "{query.q}\"", "/v1/risks/7?Q=a", "", NULL},
        {BARE "{query.q}\", ignore_query: [\"*\"]", "/v1/risks/7?q=a&Q=b", "", NULL},
        {BARE "{query.q}\"", "/v1/risks/7?q=a;q=b", "", NULL},
        {BARE "{query.q}\", ignore_query: [\"*\"]", "/v1/risks/7?x=1;q=b", "", NULL},
        /* What the key does not hold. */
        {BARE "{query.q}\"", "/v1/risks/7?q=a&debug=1", "", NULL},
        {BARE "{query.q}\", ignore_query: [utm_*, ref]",
         "/v1/risks/7?ref=x&utm_source=y&q=a&%75tm_z=", "", "x:7:a"},
        {BARE "{query.q}\", ignore_query: [utm_*, ref]", "/v1/risks/7?refs=x&q=a", "", NULL},
        {BARE "{query.q}\", ignore_query: [\"*\"]", "/v1/risks/7?debug=1&q=a", "", "x:7:a"},
        {BARE "{query.q}\", tags: [\"{query.t}\"]", "/v1/risks/7?q=a&t=1", "", NULL},
        {BARE "{query.q}\", tags: [\"{query.t}\"], ignore_query: [t]", "/v1/risks/7?q=a&t=1", "",
         "x:7:a"},
        /* All of it. */
        {BARE "{query}\"", "/v1/risks/7?b=2&a=1&c", "", "x:7:a=1&b=2&c"},
        {BARE "{query*}\"", "/v1/risks/7?b=2&a=1&b=1&c=", "", "x:7:a=1&b=2&b=1&c="},
        {BARE "{query*}\"", "/v1/risks/7?%62=%2b&a=+", "", "x:7:a=!2B&b=%2B"},
        {BARE "{query*}\"", "/v1/risks/7", "", "x:7:"},
        {BARE "{query*}\"", "/v1/risks/7?", "", "x:7:%"},
        {BARE "{query*}\", ignore_query: [utm_*]", "/v1/risks/7?utm_x=2&a=1", "", "x:7:a=1"},
        {BARE "{query(b,a)}\", ignore_query: [c]", "/v1/risks/7?c=3&b=2&a=1", "", "x:7:a=1&b=2"},
        {BARE "{query(b,a)}\"", "/v1/risks/7?c=3&b=2&a=1", "", NULL},
};

static const struct row filters[] = {
        {BARE "{query.q|alias(sev)}\"", "/v1/risks/7?q=sev1", "", "x:7:critical"},
        {BARE "{query.q|lower|alias(sev)}\"", "/v1/risks/7?q=CRIT", "", "x:7:critical"},
        {BARE "{query.q|alias(sev)}\"", "/v1/risks/7?q=low", "", "x:7:low"},
        {BARE "{query.q|alias(sev)}\"", "/v1/risks/7", "", "x:7:"},
        {BARE "{query.q|unit(time)}\"", "/v1/risks/7?q=90m", "", "x:7:5400"},
        {BARE "{query.q|unit(time)}\"", "/v1/risks/7?q=1.5h", "", "x:7:5400"},
        {BARE "{query.q|unit(time)}\"", "/v1/risks/7?q=9x", "", "x:7:9x"},
        {BARE "{query.q|int}\"", "/v1/risks/7?q=007", "", "x:7:7"},
        {BARE "{query.q|bucket(5m)}\"", "/v1/risks/7?q=1700000123", "", "x:7:1700000100"},
        {BARE "{query.q|round(1)}\"", "/v1/risks/7?q=48.137", "", "x:7:48.1"},
        {BARE "{query.q|sort}\"", "/v1/risks/7?q=b,a%2Cc", "", "x:7:a%2Cb%2Cc"},
        {BARE "{query.q|default(all)}\"", "/v1/risks/7", "", "x:7:all"},
        {BARE "{query.q|'all'|upper}\"", "/v1/risks/7", "", "x:7:ALL"},
        {BARE "{semantic(query.q)}\"", "/v1/risks/7?q=/Risks/123/Notes/", "",
         "x:7:%2Frisks%2F{id}%2Fnotes"},
        {BARE "{semantic(query.q)}\"", "/v1/risks/7?q=%7bid%7D", "", "x:7:%7Bid%7D"},
        {BARE "{query.q|id}\"", "/v1/risks/7?q=12:ab", "", "x:7:{id}%3Aab"},
};

static const struct row sources[] = {
        {"public: true, any_host: true, key: \"{path}\"", "/v1/risks/a%2fb;c", "",
         "/v1/risks/a%2Fb!3Bc"},
        {"public: true, any_host: true, key: \"{path}:{host}\"", "/v1/risks/7", "",
         "/v1/risks/7:a.example"},
        {"public: true, any_host: true, key: \"{path}:{method}\"", "/v1/risks/7", "",
         "/v1/risks/7:GET"},
        {BARE "{header.X-Lang|lower}\"", "/v1/risks/7", "x-lang: DE\r\n", "x:7:de"},
        {BARE "{header.X-Lang}\"", "/v1/risks/7", "X-Lang: a:b|c%2C\r\n", "x:7:a%3Ab%7Cc%252C"},
        {BARE "{header.X-Lang}\"", "/v1/risks/7", "X-Lang:\r\n", "x:7:%"},
        {BARE "{header.X-Lang}\"", "/v1/risks/7", "X-Lang: a\r\nX-Lang: a\r\n", NULL},
        {BARE "{header.X-Lang}\"", "/v1/risks/7", "X-Lang: a\r\nConnection: x-lang\r\n", NULL},
        {BARE "{header.User-Agent}\"", "/v1/risks/7", "User-Agent: u\r\n", "x:7:u"},
        {BARE "{cookie.s}\"", "/v1/risks/7", "Cookie: a=1; s=x y; ss=2\r\n", "x:7:x%20y"},
        {BARE "{cookie.s}\"", "/v1/risks/7", "Cookie: s=1; s=2\r\n", NULL},
        {BARE "{cookie.s}\"", "/v1/risks/7", "Cookie: s=1\r\nCookie: s=1\r\n", NULL},
        {BARE "{cookie.s}\"", "/v1/risks/7", "Cookie: s=1\r\nConnection: cookie\r\n", NULL},
        {BARE "{cookie.s}\"", "/v1/risks/7", "", "x:7:"},
        {BARE "{tenant}:{user}:{policy}\"", "/v1/risks/7",
         "X-Tenant-Id: acme\r\nX-User-Id: u1\r\nX-Policy-Hash: ab\r\n", "x:7:acme:u1:ab"},
        {BARE "{tenant}:{user}:{policy}\"", "/v1/risks/7", "X-User-Id: a:b\r\n", "x:7::a%3Ab:"},
};

static const struct row scopes[] = {
        {"key: \"x:{path.id}\"", "/v1/risks/7", "", "x:7|h=a.example"},
        {"key: \"x:{path.id}\", any_host: true", "/v1/risks/7", "", "x:7"},
        {"key: \"x:{path.id}\", public: true", "/v1/risks/7", "X-Tenant-Id: t\r\nCookie: c\r\n",
         "x:7|h=a.example"},
        {"key: \"x:{path.id}\"", "/v1/risks/7", "X-Tenant-Id: t|h=b\r\nX-Policy-Hash: p\r\n",
         "x:7|h=a.example|t=t%7Ch%3Db|p=p"},
        {"key: \"x:{path.id}\"", "/v1/risks/7", "X-Tenant-Id:\r\n", "x:7|h=a.example|t=%"},
        {"key: \"x:{path.id}\"", "/v1/risks/7", "X-Tenant-Id: a\r\nX-Tenant-Id: a\r\n", NULL},
        /* The origin would not see it. */
        {"key: \"x:{path.id}\"", "/v1/risks/7", "X-Tenant-Id: a\r\nConnection: X-Tenant-Id\r\n",
         NULL},
        {"key: \"x:{path.id}:{tenant}\"", "/v1/risks/7", "X-Tenant-Id: t\r\n", "x:7:t|h=a.example"},
        {"key: \"x:{path.id}\", credentials: bypass", "/v1/risks/7", "Cookie: a=1\r\n", NULL},
        {"key: \"x:{path.id}\", credentials: bypass", "/v1/risks/7", "", "x:7|h=a.example"},
        {"key: \"x:{path.id}\", credentials: shared", "/v1/risks/7",
         "Cookie: a=1\r\nX-Tenant-Id: t\r\n", "x:7|h=a.example|t=t"},
        {"ttl_s: 5", "/v1/risks/7?B=1&a", "X-Tenant-Id: t\r\n", "a.example/v1/risks/7?B=1&a|t=t"},
        {"ttl_s: 5, public: true", "/v1/risks/7?B=1&a", "", "a.example/v1/risks/7?B=1&a"},
        {"ttl_s: 5", "/v1/risks/7?q=|t=x", "", NULL},
};

static struct snapshot *snapshot_of(const char *rule)
{
	struct config_error err;
	struct snapshot *s = rules_snapshot(PATH, rule, TABLES, &err);

	if (s == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(snapshot_check(s, s->total_bytes), ST_OK);
	return s;
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct rules_request req = {.method = HTTP_GET,
		                                  .host = "A.example",
		                                  .target = rows[i].target,
		                                  .fields = rows[i].fields,
		                                  .seed = 7};
		struct snapshot *s = snapshot_of(rows[i].rule);
		char buf[CACHE_KEY_MAX];
		struct cache_key key = {0};
		enum key_status st = rules_key(s, &req, buf, &key);

		if ((st == KEY_OK) != (rows[i].key != NULL))
			fail_msg("row %zu (%s): status %d %.*s", i, rows[i].target, st,
			         (int)key.text.len, key.text.ptr);
		if (st == KEY_OK && !span_eq(key.text, span_cstr(rows[i].key)))
			fail_msg("row %zu: %.*s, not %s", i, (int)key.text.len, key.text.ptr,
			         rows[i].key);
		if (st == KEY_OK)
			assert_true(hash128_eq(key.hash, hash128(key.text.ptr, key.text.len, 7)));
		free(s);
	}
}

static void test_queries(void **state)
{
	(void)state;
	check_rows(queries, ARRAY_LEN(queries));
}

static void test_filters(void **state)
{
	(void)state;
	check_rows(filters, ARRAY_LEN(filters));
}

static void test_sources(void **state)
{
	(void)state;
	check_rows(sources, ARRAY_LEN(sources));
}

static void test_scopes(void **state)
{
	(void)state;
	check_rows(scopes, ARRAY_LEN(scopes));
}

static const struct {
	const char *body, *key;
} bodies[] = {
        {"{\"res\":\"/a/b\",\"ctx\":{\"k\":1}}", "d:%2Fa%2Fb:!1|h=a.example|m=POST"},
        {"{\"res\":\"!1\",\"ctx\":{\"k\":\"1\"}}", "d:%211:1|h=a.example|m=POST"},
        {"{\"res\":null,\"ctx\":{}}", "d:!null:|h=a.example|m=POST"},
        {"{\"res\":\"null\",\"ctx\":{\"k\":\"\"}}", "d:null:%|h=a.example|m=POST"},
        {"{\"res\":[1, \"a b\"],\"ctx\":{\"k\":true}}",
         "d:!%5B1%2C%22a%20b%22%5D:!true|h=a.example|m=POST"},
        {"{\"res\":\"\\u0000\"}", NULL},
        {"{\"res\":1,\"res\":2}", NULL},
        {"res=1", NULL},
};

static void test_bodies(void **state)
{
	struct config_error err;
	struct snapshot *s =
	        rules_snapshot("/v1/decide", "key: \"d:{body.res}:{body.ctx.k}\"", "", &err);
	char buf[CACHE_KEY_MAX];
	struct cache_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		const struct rules_request req = {.method = HTTP_POST,
		                                  .host = "a.example",
		                                  .target = "/v1/decide",
		                                  .body = bodies[i].body};
		enum key_status st = rules_key(s, &req, buf, &key);

		assert_int_equal(st == KEY_OK, bodies[i].key != NULL);
		if (st == KEY_OK && !span_eq(key.text, span_cstr(bodies[i].key)))
			fail_msg("row %zu: %.*s", i, (int)key.text.len, key.text.ptr);
	}
	free(s);
}

/* A digest says nothing, is one person's, and is the same for nodes with one secret. */
static void test_credentials(void **state)
{
	static const char secret[] = "identity: {key_secret: 0123456789abcdef}";
	static const char *const fields[] = {
	        "Authorization: a\r\n", "Cookie: a\r\n",
	        "Authorization: b\r\n", "Authorization: a\r\nCookie: a\r\n",
	        "X-API-Key: a\r\n",     "Cookie: a\r\nCookie: a\r\n",
	        "X-API-Key:\r\n",
	};
	struct config_error err;
	struct snapshot *plain = rules_snapshot(PATH, "key: \"x:{path.id}\"", "", &err);
	struct snapshot *shared = rules_snapshot(PATH, "key: \"x:{path.id}\"", secret, &err);
	struct hash128 seen[2 * ARRAY_LEN(fields)];
	char buf[2][CACHE_KEY_MAX];
	struct cache_key key[2];
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct rules_request req = {.method = HTTP_GET,
		                            .host = "h",
		                            .target = "/v1/risks/7",
		                            .fields = fields[i],
		                            .seed = 1};

		assert_int_equal(rules_key(plain, &req, buf[0], &key[0]), KEY_OK);
		assert_int_equal(key[0].text.len, strlen("x:7|h=h|a=") + KEY_DIGEST_HEX);
		assert_int_equal(rules_key(shared, &req, buf[1], &key[1]), KEY_OK);
		seen[count++] = hash128(key[0].text.ptr, key[0].text.len, 0);
		seen[count++] = hash128(key[1].text.ptr, key[1].text.len, 0);
		req.seed = 2;
		assert_int_equal(rules_key(plain, &req, buf[0], &key[0]), KEY_OK);
		assert_false(hash128_eq(hash128(key[0].text.ptr, key[0].text.len, 0), seen[2 * i]));
		assert_int_equal(rules_key(shared, &req, buf[1], &key[1]), KEY_OK);
		assert_true(
		        hash128_eq(hash128(key[1].text.ptr, key[1].text.len, 0), seen[2 * i + 1]));
	}
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			assert_false(hash128_eq(seen[i], seen[k]));
	free(plain);
	free(shared);
}

static void test_too_long(void **state)
{
	struct snapshot *s = snapshot_of(BARE "{query.q}\"");
	char target[2 * CACHE_KEY_MAX], buf[CACHE_KEY_MAX];
	struct cache_key key;

	(void)state;
	for (size_t len = CACHE_KEY_MAX - 32; len < CACHE_KEY_MAX + 32; len++) {
		const struct rules_request req = {
		        .method = HTTP_GET, .host = "h", .target = target};
		int n = snprintf(target, sizeof(target), "/v1/risks/7?q=");
		enum key_status st;

		memset(target + n, 'a', len);
		target[(size_t)n + len] = '\0';
		st = rules_key(s, &req, buf, &key);
		assert_int_equal(st,
		                 len + strlen("x:7:") > CACHE_KEY_MAX ? KEY_TOO_LONG : KEY_OK);
	}
	free(s);
}

/* For purges: never lost, rather too much than too little. */
static void test_wild(void **state)
{
	static const struct {
		const char *purge, *target, *fields, *text;
	} rows[] = {
	        {"risk:id:{path.id}", "/v1/risks/7?x=1&y", "", "risk:id:7"},
	        {"risk:id:{path.id}", "/v1/risks/%2a", "", "risk:id:%2A"},
	        {"risk:list:*", "/v1/risks/7", "", "risk:list:*"},
	        {"r:{query.a}:b", "/v1/risks/7?a=1&a=2", "", "r:*:b"},
	        {"r:{query.a|lower}:b", "/v1/risks/7?a=%zz", "", "r:*:b"},
	        {"r:{query.a}:b", "/v1/risks/7?a=*", "", "r:!2A:b"},
	        {"r:{header.x}:b", "/v1/risks/7", "X: 1\r\nX: 2\r\n", "r:*:b"},
	};
	char rule[128], buf[CACHE_KEY_MAX];
	struct cache_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct rules_request req = {.method = HTTP_DELETE,
		                                  .host = "h",
		                                  .target = rows[i].target,
		                                  .fields = rows[i].fields,
		                                  .wild = true};
		const struct rule_program *program;
		const struct snap_rule *rules;
		struct snapshot *s;

		snprintf(rule, sizeof(rule), "purges: [\"%s\"]", rows[i].purge);
		s = snapshot_of(rule);
		rules = (const void *)((const char *)s + s->rules.rules_off);
		program = key_programs(s, rules[0].purges_off);
		assert_int_equal(rules_run(s, program, &req, buf, &key), KEY_OK);
		if (!span_eq(key.text, span_cstr(rows[i].text)))
			fail_msg("row %zu: %.*s", i, (int)key.text.len, key.text.ptr);
		free(s);
	}
}

static void test_parts(void **state)
{
	const struct span key = SPAN_LIT("a:b|h=x|t=|p=q");

	(void)state;
	assert_true(span_eq(key_base(key), SPAN_LIT("a:b")));
	assert_true(span_eq(key_base(SPAN_LIT("a")), SPAN_LIT("a")));
	assert_true(span_eq(key_scope(key, 'h'), SPAN_LIT("x")));
	assert_true(key_scope(key, 't').ptr != NULL && key_scope(key, 't').len == 0);
	assert_true(span_eq(key_scope(key, 'p'), SPAN_LIT("q")));
	assert_null(key_scope(key, 'a').ptr);
	assert_null(key_scope(SPAN_LIT("h=x"), 'h').ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_queries),  cmocka_unit_test(test_filters),
	        cmocka_unit_test(test_sources),  cmocka_unit_test(test_scopes),
	        cmocka_unit_test(test_bodies),   cmocka_unit_test(test_credentials),
	        cmocka_unit_test(test_too_long), cmocka_unit_test(test_wild),
	        cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
