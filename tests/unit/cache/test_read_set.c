/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What answers say that they read, and the keys that come of it. */
#include "cache/read_set.h"
#include "tests/unit/cache/rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define N "\r\n"

static struct snapshot *pattern(const char *rule)
{
	struct config_error err = {.text = ""};
	struct snapshot *s = rules_snapshot("/v1/{id}/x", rule, "", &err);

	if (s == NULL)
		fail_msg("%s: %s", rule, err.text);
	return s;
}

static struct rules_request request(const char *target, const char *fields)
{
	return (struct rules_request){
	        .method = HTTP_GET, .host = "h", .target = target, .fields = fields, .seed = 3};
}

/* --- what an answer says --- */

struct says_row {
	const char *reads; /* of the rule */
	const char *fields;
	const char *names; /* NULL: it is not shared */
};

static const struct says_row says_rows[] = {
        {"origin", "", NULL},
        {"origin", "Sluice-Read-Set:" N, NULL},
        {"origin", "Sluice-Read-Set: none" N, ""},
        {"origin", "Sluice-Read-Set: none, path" N, "path"},
        {"origin", "Sluice-Read-Set: query.page" N, "query.page"},
        {"origin", "sluice-read-set: query.page;v=1, header.Accept-Language" N,
         "header.accept-language,query.page"},
        {"origin", "Sluice-Read-Set: tenant" N "Sluice-Read-Set: policy, user" N,
         "policy,tenant,user"},
        {"origin", "Sluice-Read-Set: a=1" N, NULL},
        {"origin", "Sluice-Read-Set: query.P, query.p" N, "query.P,query.p"},
        {"origin", "Sluice-Read-Set: \"query.a[b]\"" N, "query.a[b]"},
        {"origin", "Sluice-Read-Set: \"query.a b\"" N, NULL},
        {"origin", "Sluice-Read-Set: \"query.a,path\"" N, NULL},
        {"origin", "Sluice-Read-Set: \"query.a=1\"" N, NULL},
        {"origin", "Sluice-Read-Set: \"\"" N, NULL},
        {"origin", "Sluice-Read-Set: query.page," N, NULL},
        {"origin", "Sluice-Read-Set: query.page query.size" N, NULL},
        {"origin", "Sluice-Read-Set: (query.page)" N, NULL},
        {"origin", "Sluice-Read-Set: 1" N, NULL},
        {"origin", "Sluice-Read-Set: ?1" N, NULL},
        {"origin", "Sluice-Read-Set: query." N, NULL},
        {"origin", "Sluice-Read-Set: header" N, NULL},
        {"origin", "Sluice-Read-Set: body.a" N, NULL},
        {"origin", "Sluice-Read-Set: body" N, NULL},
        {"origin", "Sluice-Read-Set: clock" N, NULL},
        {"origin", "Sluice-Read-Set: tenant.x" N, NULL},
        {"origin", "Sluice-Read-Set: query.page" N "Sluice-Read-Set: ((" N, NULL},
        /* An origin does not see them as the client sent them. */
        {"origin", "Sluice-Read-Set: header.host" N, NULL},
        {"origin", "Sluice-Read-Set: header.x-forwarded-for" N, NULL},
        {"origin", "Sluice-Read-Set: header.connection" N, NULL},
        {"origin", "Sluice-Read-Set: header.range" N, NULL},
        /* Vary says the same of fields. */
        {"origin", "Sluice-Read-Set: path.id" N "Vary: Accept, X" N,
         "header.accept,header.x,path.id"},
        {"origin", "Sluice-Read-Set: path.id" N "Vary: *" N, NULL},
        {"origin", "Vary: Accept" N, NULL},
        /* The rule's list is enough, and never less. */
        {"query.b, query.a", "", "query.a,query.b"},
        {"query.b", "Sluice-Read-Set: query.a" N, "query.a,query.b"},
        {"query.b", "Sluice-Read-Set: none" N, "query.b"},
        {"query.b", "Sluice-Read-Set: oops" N, NULL},
        {"query.b", "Vary: Accept" N, "header.accept,query.b"},
};

static void test_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(says_rows); i++) {
		const struct says_row *row = &says_rows[i];
		struct rules_request req = request("/v1/7/x", "");
		struct http_fields fs;
		struct read_names names;
		struct rules_input in;
		char rule[256], lines[512];
		size_t pos = 0;
		int len = snprintf(lines, sizeof(lines), "%s\r\n", row->fields);

		snprintf(rule, sizeof(rule), "match: pattern, reads: [%s]", row->reads);
		struct snapshot *s = pattern(rule);

		assert_true(rules_input(s, &req, &in));
		assert_int_equal(http1_scan_fields(lines, (size_t)len, &pos, &fs), HTTP_SCAN_DONE);
		bool said = read_set_of(s, &in.in, &fs, &names);
		if (said != (row->names != NULL) ||
		    (said && !span_eq(span_of(names.text, names.len), span_cstr(row->names))))
			fail_msg("row %zu: %s gives %d %.*s", i, row->fields, said, (int)names.len,
			         names.text);
		free(s);
	}
}

/* More than there is room for is not shared, and does not overflow. */
static void test_bounds(void **state)
{
	struct read_names names = {.len = 0};
	char text[RULE_READS_MAX + 8];

	(void)state;
	for (unsigned i = 0; i < RULE_READS_COUNT; i++) {
		snprintf(text, sizeof(text), "query.%02u", 99 - i);
		assert_true(read_names_add(&names, span_cstr(text)));
		assert_true(read_names_add(&names, span_cstr(text)));
		assert_int_equal(names.count, i + 1);
	}
	assert_memory_equal(names.text, "query.84,query.85,", 18);
	assert_false(read_names_add(&names, SPAN_LIT("path")));
	for (size_t len = 1; len < sizeof(text); len++) {
		names.len = names.count = 0;
		memset(text, 'a', len);
		memcpy(text, "query.", min_size(len, 6));
		bool ok = read_names_add(&names, span_of(text, len));
		/* "query" alone is the whole of it. */
		assert_int_equal(ok, len == 5 || (len > 6 && len < RULE_READS_MAX));
		if (ok && len > RULE_READS_MAX - 8)
			assert_false(read_names_add(&names, SPAN_LIT("query.zz")));
		assert_true(names.len <= RULE_READS_MAX);
	}
}

/* --- keys --- */

struct key_row {
	const char *names;
	const char *target;
	const char *fields;
	const char *key; /* behind the front; NULL: none */
};

static const struct key_row key_rows[] = {
        {"", "/v1/7/x", "", " "},
        {"path", "/v1/7/x", "", " path=/v1/7/x"},
        {"path.id", "/v1/a%2fb/x", "", " path.id=a%2Fb"},
        {"path.ID", "/v1/7/x", "", NULL},
        {"path.other", "/v1/7/x", "", NULL},
        {"query.page", "/v1/7/x", "", " query.page="},
        {"query.page", "/v1/7/x?page", "", " query.page=%"},
        {"query.page", "/v1/7/x?page=", "", " query.page=%"},
        {"query.page", "/v1/7/x?a=1&page=2&b=3", "", " query.page=2"},
        {"query.page", "/v1/7/x?p%61ge=2", "", " query.page=2"},
        {"query.page", "/v1/7/x?page=1&page=1", "", NULL},
        {"query.page", "/v1/7/x?page=1&Page=2", "", NULL},
        {"query.page", "/v1/7/x?PAGE=2", "", NULL},
        {"query.page", "/v1/7/x?page=1;page=2", "", NULL},
        {"query", "/v1/7/x?b=2&a=1", "", " query=a=1&b=2"},
        {"query", "/v1/7/x", "", " query="},
        {"header.x", "/v1/7/x", "", " header.x="},
        {"header.x", "/v1/7/x", "X:" N, " header.x=%"},
        {"header.x", "/v1/7/x", "X: a b,c" N, " header.x=a%20b%2Cc"},
        {"header.x", "/v1/7/x", "X: a" N "x: b" N, NULL},
        {"header.x", "/v1/7/x", "X: a" N "Connection: x" N, NULL},
        {"cookie.l", "/v1/7/x", "Cookie: l=de; m=1" N, " cookie.l=de"},
        {"cookie.l", "/v1/7/x", "Cookie: l=de; l=en" N, NULL},
        {"cookie.l", "/v1/7/x", "Cookie: l=de" N "Connection: cookie" N, NULL},
        {"host,method", "/v1/7/x", "", " host=h method=GET"},
        {"tenant,user", "/v1/7/x", "X-User-Id: u s" N, " tenant= user=u%20s"},
        {"tenant", "/v1/7/x", "X-Tenant-Id: a b=c" N, " tenant=a%20b%3Dc"},
        {"body.a", "/v1/7/x", "", NULL},
        {"nonsense", "/v1/7/x", "", NULL},
        {"header.host", "/v1/7/x", "", NULL},
};

static void test_keys(void **state)
{
	struct snapshot *s = pattern("match: pattern, reads: [origin], public: true");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(key_rows); i++) {
		const struct key_row *row = &key_rows[i];
		struct rules_request req = request(row->target, row->fields);
		char front_text[CACHE_KEY_MAX], text[CACHE_KEY_MAX], want[512];
		struct cache_key front, key = {.text = {NULL, 0}};
		struct rules_input in;

		assert_true(rules_input(s, &req, &in));
		if (read_set_front(s, &in.in, front_text, &front) != KEY_OK) {
			assert_null(row->key);
			continue;
		}
		assert_true(span_eq(front.text, SPAN_LIT("pattern:r|h=h|r=/v1/{id}/x")));
		enum key_status st =
		        read_set_key(s, &in.in, front.text, span_cstr(row->names), text, &key);
		snprintf(want, sizeof(want), "%.*s%s", (int)front.text.len, front.text.ptr,
		         row->key != NULL ? row->key : "");
		if ((st == KEY_OK) != (row->key != NULL) ||
		    (st == KEY_OK && !span_eq(key.text, span_cstr(want))))
			fail_msg("row %zu: %s of %s: %d %.*s", i, row->names, row->target, st,
			         (int)key.text.len, key.text.ptr);
		if (st == KEY_OK)
			assert_true(span_eq(read_set_front_of(key.text), front.text));
	}
	free(s);
}

/* HEAD asks for what GET has. */
static void test_head(void **state)
{
	struct snapshot *s = pattern("match: pattern, reads: [method]");
	struct rules_request req = request("/v1/7/x", "");
	char front_text[CACHE_KEY_MAX], text[CACHE_KEY_MAX];
	struct cache_key front, key;
	struct rules_input in;

	(void)state;
	req.method = HTTP_HEAD;
	assert_true(rules_input(s, &req, &in));
	assert_int_equal(read_set_front(s, &in.in, front_text, &front), KEY_OK);
	assert_int_equal(read_set_key(s, &in.in, front.text, SPAN_LIT("method"), text, &key),
	                 KEY_OK);
	assert_non_null(memmem(key.text.ptr, key.text.len, "method=GET", 10));
	free(s);
}

/* Whose an answer is stands in front, whatever it depends on. */
static void test_front(void **state)
{
	static const char *const who[] = {
	        "",
	        "X-Tenant-Id: a" N,
	        "X-Tenant-Id: b" N,
	        "X-Tenant-Id: a" N "X-Policy-Hash: p" N,
	        "Authorization: a" N,
	        "Authorization: b" N,
	        "Cookie: a=1" N,
	};
	struct snapshot *s = pattern("match: pattern, reads: [origin]");
	char text[ARRAY_LEN(who)][CACHE_KEY_MAX];
	struct cache_key key[ARRAY_LEN(who)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(who); i++) {
		struct rules_request req = request("/v1/7/x?a=1", who[i]);
		struct rules_input in;

		assert_true(rules_input(s, &req, &in));
		assert_int_equal(read_set_front(s, &in.in, text[i], &key[i]), KEY_OK);
		for (size_t k = 0; k < i; k++)
			assert_false(span_eq(key[i].text, key[k].text));
	}
	free(s);
}

/* --- lists --- */

static void test_lists(void **state)
{
	static const struct {
		const char *names;
		uint16_t flags;
		bool ok;
	} rows[] = {
	        {"", OBJECT_VARY | OBJECT_READS, true},
	        {"path.id,query.page", OBJECT_VARY | OBJECT_READS, true},
	        {"path.id", OBJECT_VARY, false},
	        {"path.id", OBJECT_READS, false},
	        {"path.id,,query.page", OBJECT_VARY | OBJECT_READS, false},
	        {"oops", OBJECT_VARY | OBJECT_READS, false},
	        {"body.a", OBJECT_VARY | OBJECT_READS, false},
	};
	struct cache_key front = {.hash = {1, 2}, .text = SPAN_LIT("pattern:r|r=/")};
	_Alignas(8) char mem[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = read_list_write(mem, sizeof(mem), &front, span_cstr(rows[i].names));
		struct object *o = (struct object *)(void *)mem;
		struct span names;

		assert_true(len > 0 && object_head_valid(mem, len));
		o->flags = rows[i].flags;
		if (read_list_read(o, &names) != rows[i].ok)
			fail_msg("row %zu", i);
		assert_int_equal(read_list_write(mem, len - 1, &front, span_cstr(rows[i].names)),
		                 0);
	}
}

/* --- the configuration --- */

static void test_refused(void **state)
{
	static const char *const rules[] = {
	        "match: pattern, reads: [body.a]",
	        "match: pattern, reads: [nothing]",
	        "match: pattern, reads: [\"query.a b\"]",
	        "match: pattern, reads: [origin, path]",
	        "match: pattern, reads: [path, origin]",
	        "match: pattern, check_one_in: 0",
	        "match: pattern, key: \"a:{path.id}:{body.b}\"",
	        "key: \"a:{path.id}\", reads: [path.id]",
	        "key: \"a:{path.id}\", check_one_in: 5",
	        "key: \"pattern:{path.id}\"",
	};
	struct config_error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules_snapshot("/v1/{id}/x", rules[i], "", &err) != NULL)
			fail_msg("taken: %s", rules[i]);
}

/* Answers of different origins are never shared. */
static void test_one_origin(void **state)
{
	static const struct {
		const char *upstream;
		bool ok;
	} rows[] = {{"a", true}, {"b", false}};
	struct config_error err;
	struct config *cfg;
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int len = snprintf(text, sizeof(text),
		                   "listeners: [{address: 192.0.2.10}]\nports: [{interface: e}]\n"
		                   "upstreams: [{name: a, addresses: [\"o:80\"]}, "
		                   "{name: b, addresses: [\"o:81\"]}]\n"
		                   "rules: [{name: r, match: pattern}]\n"
		                   "routes: [{path: /1, upstream: a, cache: {rule: r}}, "
		                   "{path: /2, upstream: %s, cache: {rule: r}}]\n",
		                   rows[i].upstream);
		enum status st = config_parse(text, (size_t)len, "t", &cfg, &err);

		assert_int_equal(st == ST_OK, rows[i].ok);
		if (st == ST_OK)
			config_free(cfg);
		else
			assert_non_null(strstr(err.text, "whose upstream is another"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_says),    cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_keys),    cmocka_unit_test(test_head),
	        cmocka_unit_test(test_front),   cmocka_unit_test(test_lists),
	        cmocka_unit_test(test_refused), cmocka_unit_test(test_one_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
