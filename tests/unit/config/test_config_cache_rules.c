/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is wrong with a rule is told with its place, down to the byte of a template. */
#include "lib/config.h"
#include "lib/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static const char frame[] = "listeners: [{address: 192.0.2.10}]\n"
                            "ports: [{interface: eth1}]\n"
                            "upstreams: [{name: a, addresses: [\"o:80\"]}]\n"
                            "tables: [{name: t, values: [a=b]}]\n"
                            "rules:\n"
                            "- name: r\n"
                            "  %s\n"
                            "routes:\n"
                            "- upstream: a\n"
                            "  path: %s\n"
                            "  cache: %s\n"
                            "%s\n";

static const struct {
	const char *rule;  /* line 7 */
	const char *path;  /* line 10 */
	const char *cache; /* line 11 */
	const char *more;  /* line 12 */
	const char *error; /* behind the file's name, or its beginning; NULL: it is fine */
} cases[] = {
        {"key: \"a:{query.q}\"", "/a", "{rule: r}", "", NULL},
        {"key: 'a:{query.q}'", "/a/{id}", "{rule: r}", "",
         "11:17: routes[0].cache.rule 'r' has a key without {path.id}, so that"},
        {"key: 'a:{query.q}'", "/a/*", "{rule: r}", "",
         "11:17: routes[0].cache.rule 'r' has a key without the path, but the route ends in"},
        {"key: 'a:{path}'", "/a/{id}/*", "{rule: r}", "", NULL},
        {"key: 'a:{path.id}'", "/a", "{rule: r}", "",
         "11:17: routes[0].cache.rule 'r' reads {path.id}, which this route's path does not"},
        {"tags: ['a:{path.id}']", "/a", "{rule: r}", "",
         "11:17: routes[0].cache.rule 'r' reads {path.id}, which this"},
        {"match: pattern\n  reads: [path, path.id]", "/a/{id}", "{rule: r}", "", NULL},
        {"match: pattern\n  reads: [path.id, path.ID]", "/a/{id}", "{rule: r}", "",
         "12:17: routes[0].cache.rule 'r' reads {path.ID}, which this"},
        {"tags: ['a:{path.id}']\n  key: a", "/a/{id}", "{rule: r}", "",
         "12:17: routes[0].cache.rule 'r' has a key without {path.id}"},
        {"key: a", "/a", "{rule: R}", "",
         "11:17: routes[0].cache.rule is 'R', which is no rule; "
         "did you mean 'r'?"},
        {"key: a", "/a", "{rule: other}", "", "11:17: routes[0].cache.rule 'other' is no rule"},
        {"ttl_s: 5", "/a", "{rule: r, mode: ttl, ttl_s: 5}", "",
         "11:20: routes[0].cache.mode stands beside a rule that has a ttl_s"},
        {"key: a", "/a", "{rule: r}", "- {upstream: a, path: /b, cache: {rule: r}}",
         "12:41: routes[1].cache.rule 'r' is the rule of routes[0] too, whose path is another"},
        {"key: 'a:{path}'", "/a", "{rule: r}", "- {upstream: a, path: /b, cache: {rule: r}}", NULL},
        {"purges: [a]", "/a", "{rule: r}", "- {upstream: a, path: /b, cache: {rule: r}}", NULL},
        {"key: a", "/a", "{rule: r}", "- {upstream: a, path: /b, methods: [PUT], cache: {rule: r}}",
         NULL},
        /* Templates: line, and column of the byte. */
        {"key: \"a:{quer.q}\"", "/a", "{rule: r}", "",
         "7:12: rules[0].key has an unknown source 'quer'; known are path, query,"},
        {"key: a:{quer.q}", "/a", "{rule: r}", "", "7:11: rules[0].key has an unknown source"},
        {"key: \"a:{query.q|lowr}\"", "/a", "{rule: r}", "",
         "7:20: rules[0].key has an unknown filter 'lowr'; known are lower, upper,"},
        {"key: \"a:{query.q\"", "/a", "{rule: r}", "",
         "7:19: rules[0].key has '{' in byte 3 "
         "without its '}'"},
        {"key: \"a:{query.}\"", "/a", "{rule: r}", "", "7:18: rules[0].key has no name behind"},
        {"key: \"a:{header}\"", "/a", "{rule: r}", "",
         "7:18: rules[0].key has 'header' without "
         "a name; write for example {header.X}"},
        {"key: \"a:{host.x}\"", "/a", "{rule: r}", "",
         "7:16: rules[0].key has a name behind "
         "'host'; write {host}"},
        {"key: \"{query.a}{query.b}\"", "/a", "{rule: r}", "",
         "7:18: rules[0].key has a value that nothing divides from what follows"},
        {"key: \"{query.a}b\"", "/a", "{rule: r}", "", "7:18: rules[0].key has a value that "},
        {"key: \"{query.a}/b\"", "/a", "{rule: r}", "", "7:18: rules[0].key has a value that "},
        {"key: \"{query}&b\"", "/a", "{rule: r}", "", "7:16: rules[0].key has a value that "},
        {"key: \"{header.a}/{query.b}\"", "/a", "{rule: r}", "", NULL},
        {"key: \"a b\"", "/a", "{rule: r}", "", "7:10: rules[0].key has a byte that no template"},
        {"key: \"a|b\"", "/a", "{rule: r}", "", "7:10: rules[0].key has a byte that no template"},
        {"key: \"a}b\"", "/a", "{rule: r}", "", "7:10: rules[0].key has a byte that no template"},
        {"key: \"a*\"", "/a", "{rule: r}", "", "7:10: rules[0].key has a '*'; only purges are"},
        {"key: \"a:{query.q|bucket}\"", "/a", "{rule: r}", "",
         "7:26: rules[0].key has 'bucket' without its argument; write bucket(...)"},
        {"key: \"a:{query.q|bucket(0)}\"", "/a", "{rule: r}", "",
         "7:27: rules[0].key has no number from 1 to 999999999 here; write for example bucket"},
        {"key: \"a:{query.q|round(10)}\"", "/a", "{rule: r}", "",
         "7:26: rules[0].key has no number from 0 to 9 here; write for example round(2)"},
        {"key: \"a:{query.q|alias(x)}\"", "/a", "{rule: r}", "",
         "7:26: rules[0].key has 'x', which is no table; add it to tables"},
        {"key: \"a:{query.q|unit(t}\"", "/a", "{rule: r}", "",
         "7:26: rules[0].key has an argument of 'unit' without its ')'"},
        {"key: \"a:{query.q|'x}\"", "/a", "{rule: r}", "", "7:20: rules[0].key has a text without"},
        {"key: \"a:{query.q|default()}\"", "/a", "{rule: r}", "",
         "7:28: rules[0].key has an empty default; leave it out"},
        {"key: \"a:{query|lower}\"", "/a", "{rule: r}", "",
         "7:12: rules[0].key filters the whole query; only hash can do that"},
        {"key: \"a:{query|hash}:{hash(query)}\"", "/a", "{rule: r}", "", NULL},
        {"key: \"a:{hash(query}\"", "/a", "{rule: r}", "", "7:22: rules[0].key has 'hash(' "},
        {"key: \"a:{query()}\"", "/a", "{rule: r}", "", "7:18: rules[0].key has no name of a "},
        {"key: \"a:{query(a,b}\"", "/a", "{rule: r}", "", "7:21: rules[0].key has a list of "},
        {"tags: [a, \"{body.x}\"]", "/a", "{rule: r}", "",
         "7:13: rules[0].tags[1] '{body.x}' reads the body, which only a key can"},
        {"purges: [\"a:{body}\"]", "/a", "{rule: r}", "",
         "7:12: rules[0].purges[0] 'a:{body}' reads the body"},
        {"purges: [\"a:*\", \"tag:{path}\", \"a:{path}*\"]", "/a", "{rule: r}", "", NULL},
        /* The rest of a rule. */
        {"public: yes", "/a", "{}", "", "7:11: rules[0].public is 'yes'; it must be one of false"},
        {"public: true\n  credentials: shared", "/a", "{}", "",
         "8:3: rules[0].credentials is for rules that are not public"},
        {"ignore_query: [\"a*b\"]", "/a", "{}", "",
         "7:18: rules[0].ignore_query[0] 'a*b' has a "
         "'*' before its end"},
        {"ignore_query: [\"*\"]\n  key: \"{query}\"", "/a", "{}", "",
         "7:18: rules[0].ignore_query[0] '*' says that no other parameter matters"},
        {"ttl_s: 9\n  ttl_max_s: 8", "/a", "{}", "", "8:14: rules[0].ttl_max_s: lifetimes that"},
        {"ttl_max_s: 8", "/a", "{}", "", "7:14: rules[0].ttl_max_s: lifetimes that adapt begin"},
        {"ttl_s: 1\n  ttl_min_s: 1", "/a", "{}", "", "8:14: rules[0].ttl_min_s: lifetimes that"},
        {"ttl_s: 4\n  ttl_min_s: 2\n  ttl_max_s: 8", "/a", "{}", "", NULL},
        {"ttl_s: 1\n- name: r", "/a", "{}", "", "8:9: rules[1].name 'r' is the name of another"},
        {"ttl_s: 1\n- name: a/b", "/a", "{}", "", "8:9: rules[1].name 'a/b' is no name"},
        {"ttl_s: 1", "/a", "{}", "identity: {tenant_header: \"a b\"}",
         "12:27: identity.tenant_header 'a b' is no field name"},
        {"ttl_s: 1", "/a", "{}", "identity: {credentials: [\"a:\"]}",
         "12:26: identity.credentials[0] 'a:' is no field name"},
        {"ttl_s: 1", "/a", "{}", "identity: {key_secret: short}",
         "12:24: identity.key_secret has fewer than 16 bytes"},
        {"ttl_s: 1", "/a", "{}", "limits: {key_body_bytes: 65536}",
         "12:26: limits.key_body_bytes is 65536; it must be at most limits.rx_buffer_bytes - "},
};

static void check_case(size_t i)
{
	struct config_error err;
	struct config *cfg = NULL;
	char text[2048];
	enum status st;

	(void)snprintf(text, sizeof(text), frame, cases[i].rule, cases[i].path, cases[i].cache,
	               cases[i].more);
	st = config_parse(text, strlen(text), "f", &cfg, &err);
	if (st == ST_OK && cases[i].error) {
		fail_msg("case %zu (%s) is accepted", i, cases[i].rule);
	} else if (st != ST_OK && !cases[i].error) {
		fail_msg("case %zu: %s", i, err.text);
	} else if (st != ST_OK && strncmp(err.text + 2, cases[i].error, strlen(cases[i].error))) {
		fail_msg("case %zu: %s\nnot %s", i, err.text, cases[i].error);
	} else if (st == ST_OK) {
		struct snapshot *s;

		assert_int_equal(snapshot_build(cfg, &s, &err), ST_OK);
		assert_int_equal(snapshot_check(s, s->total_bytes), ST_OK);
		free(s);
	}
	config_free(cfg);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_case(i);
}

static const struct {
	const char *tables, *error;
} tables[] = {
        {"[{name: a, values: [x]}]", "4:21: tables[0].values[0] 'x' is no \"from=to\""},
        {"[{name: a, values: [\"=x\"]}]", "4:21: tables[0].values[0] '=x' is no"},
        {"[{name: a, values: [x=1, x=2]}]", "4:20: tables[0].values 'x=2' says anew"},
        {"[{name: a, values: [x=1]}, {name: a, values: [x=1]}]", "4:35: tables[1].name 'a' is "},
        {"[{name: \"a.b\", values: [x=1]}]", "4:9: tables[0].name 'a.b' is no name"},
};

static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		struct config_error err;
		struct config *cfg;
		char text[1024];

		(void)snprintf(text, sizeof(text),
		               "listeners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n"
		               "upstreams: [{name: a, addresses: [\"o:80\"]}]\n%s%s\n"
		               "routes: [{upstream: a}]\n",
		               "tables: ", tables[i].tables);
		if (config_parse(text, strlen(text), "f", &cfg, &err) == ST_OK)
			fail_msg("table %zu is accepted", i);
		/* The columns above leave out "tables: ". */
		const char *colon = strchr(tables[i].error, ':');
		char want[256];

		(void)snprintf(want, sizeof(want), "f:4:%d%s", atoi(colon + 1) + 8,
		               strchr(colon + 1, ':'));
		if (strncmp(err.text, want, strlen(want)) != 0)
			fail_msg("table %zu: %s\nnot %s", i, err.text, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cases),
	        cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
