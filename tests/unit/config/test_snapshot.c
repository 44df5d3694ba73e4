/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which route takes which request. */
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD                                                                                \
	"node: n\nlisteners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n"         \
	"upstreams: [{name: a, addresses: [\"o:80\"]}, {name: b, addresses: [\"p:80\"]}]\n" \
	"routes:\n"

static const char table[] = HEAD
        /*  0 */
        "- {upstream: a, host: a.com, path: /, methods: [GET]}\n"
        /*  1 */ "- {upstream: a, host: a.com, path: /v1/items, methods: [GET, POST]}\n"
        /*  2 */ "- {upstream: a, host: a.com, path: \"/v1/items/{id}\", methods: [GET, DELETE]}\n"
        /*  3 */ "- {upstream: a, host: a.com, path: /v1/items/new, methods: [POST]}\n"
        /*  4 */ "- {upstream: a, host: a.com, path: \"/v1/{kind}/{id}/x\", methods: [GET]}\n"
        /*  5 */ "- {upstream: a, host: a.com, path: /v1/items/*, methods: [PUT]}\n"
        /*  6 */ "- {upstream: a, host: A.com, path: \"/v1/items/{name}\", methods: [GET, PATCH]}\n"
        /*  7 */ "- {upstream: a, host: a.com, path: /dir/, methods: [GET]}\n"
        /*  8 */ "- {upstream: a, host: \"*.b.com\", path: /s/*}\n"
        /*  9 */ "- {upstream: b, host: \"*.c.b.com\", path: /s/*}\n"
        /* 10 */ "- {upstream: b, host: x.b.com, path: /only, methods: [GET]}\n"
        /* 11 */ "- {upstream: b, path: /any/*}\n"
        /* 12 */ "- {upstream: b, host: a.com, path: \"/p/{a}/{b}/{c}\", methods: [OPTIONS]}\n"
        /* 13 */ "- {upstream: b, host: a.com, path: \"/p/{a}/lit/*\", methods: [OPTIONS]}\n"
        /* 14 */ "- {upstream: b, host: a.com, path: /e//f, methods: [GET]}\n"
        /* 15 */ "- {upstream: b, host: \"[2001:db8::1]\", path: /, methods: [GET]}\n"
        /* 16 */ "- {upstream: b, host: a.com, path: \"/e/{x}/f\", methods: [POST]}\n";

#define M(m) (1u << HTTP_##m)
#define GETS (M(GET) | M(HEAD))
#define ALL  (GETS | M(POST) | M(PUT) | M(PATCH) | M(DELETE) | M(OPTIONS))
#define NONE UINT32_MAX

static const struct {
	const char *host, *path;
	enum http_method method;
	enum route_result result;
	uint32_t route;     /* FOUND */
	uint32_t allowed;   /* NO_METHOD */
	const char *params; /* joined by ',' */
} cases[] = {
        {"a.com", "/", HTTP_GET, ROUTE_FOUND, 0, 0, ""},
        {"a.com", "/", HTTP_HEAD, ROUTE_FOUND, 0, 0, ""},
        {"a.com", "/", HTTP_POST, ROUTE_NO_METHOD, NONE, GETS, ""},
        {"a.com", "/", HTTP_OTHER, ROUTE_NO_METHOD, NONE, GETS, ""},
        {"a.com", "/", HTTP_TRACE, ROUTE_NO_METHOD, NONE, GETS, ""},
        {"A.CoM", "/", HTTP_GET, ROUTE_FOUND, 0, 0, ""},
        {"a.com.", "/", HTTP_GET, ROUTE_FOUND, 0, 0, ""},
        {"a.com..", "/", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "/v1/items", HTTP_GET, ROUTE_FOUND, 1, 0, ""},
        {"a.com", "/V1/items", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "/v1/items/7", HTTP_GET, ROUTE_FOUND, 2, 0, "7"},
        {"a.com", "/v1/items/%2F", HTTP_GET, ROUTE_FOUND, 2, 0, "%2F"},
        {"a.com", "/v1/items/7", HTTP_DELETE, ROUTE_FOUND, 2, 0, "7"},
        {"a.com", "/v1/items/7", HTTP_PATCH, ROUTE_FOUND, 6, 0, "7"},
        /* Literal first; but a less specific pattern takes what the literal does not allow. */
        {"a.com", "/v1/items/new", HTTP_POST, ROUTE_FOUND, 3, 0, ""},
        {"a.com", "/v1/items/new", HTTP_GET, ROUTE_FOUND, 2, 0, "new"},
        {"a.com", "/v1/items/new", HTTP_PUT, ROUTE_FOUND, 5, 0, ""},
        {"a.com", "/v1/items/new", HTTP_OPTIONS, ROUTE_NO_METHOD, NONE,
         GETS | M(POST) | M(DELETE) | M(PATCH) | M(PUT), ""},
        {"a.com", "/v1/items/7", HTTP_POST, ROUTE_NO_METHOD, NONE,
         GETS | M(DELETE) | M(PATCH) | M(PUT), ""},
        /* Back from the literal "items" to {kind}. */
        {"a.com", "/v1/items/7/x", HTTP_GET, ROUTE_FOUND, 4, 0, "items,7"},
        {"a.com", "/v1/items/7/x", HTTP_PUT, ROUTE_FOUND, 5, 0, ""},
        {"a.com", "/v1/items/7/x", HTTP_POST, ROUTE_NO_METHOD, NONE, GETS | M(PUT), ""},
        {"a.com", "/v1/other/7/x", HTTP_GET, ROUTE_FOUND, 4, 0, "other,7"},
        {"a.com", "/v1//7/x", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        /* A final '/' counts; {name} is not empty; '*' may be. */
        {"a.com", "/v1/items/", HTTP_GET, ROUTE_NO_METHOD, NONE, M(PUT), ""},
        {"a.com", "/v1/items/", HTTP_PUT, ROUTE_FOUND, 5, 0, ""},
        {"a.com", "/v1/items/a/b/c", HTTP_PUT, ROUTE_FOUND, 5, 0, ""},
        {"a.com", "/v1/items", HTTP_PUT, ROUTE_NO_METHOD, NONE, GETS | M(POST), ""},
        {"a.com", "/dir/", HTTP_GET, ROUTE_FOUND, 7, 0, ""},
        {"a.com", "/dir", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "//", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "/e//f", HTTP_GET, ROUTE_FOUND, 14, 0, ""},
        {"a.com", "/e//f", HTTP_POST, ROUTE_NO_METHOD, NONE, GETS, ""},
        {"a.com", "", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "*", HTTP_OPTIONS, ROUTE_NO_PATH, NONE, 0, ""},
        {"a.com", "/p/1/2/3", HTTP_OPTIONS, ROUTE_FOUND, 12, 0, "1,2,3"},
        {"a.com", "/p/1/lit/3", HTTP_OPTIONS, ROUTE_FOUND, 13, 0, "1"},
        {"a.com", "/p/1/lit/", HTTP_OPTIONS, ROUTE_FOUND, 13, 0, "1"},
        /* A host that is there decides: no other is asked when it has no such path. */
        {"a.com", "/any/x", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"x.b.com", "/only", HTTP_GET, ROUTE_FOUND, 10, 0, ""},
        {"x.b.com", "/s/1", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"y.b.com", "/s/1", HTTP_GET, ROUTE_FOUND, 8, 0, ""},
        {"Y.B.COM.", "/s/1", HTTP_GET, ROUTE_FOUND, 8, 0, ""},
        {"z.y.b.com", "/s/1", HTTP_GET, ROUTE_FOUND, 8, 0, ""},
        {"c.b.com", "/s/1", HTTP_GET, ROUTE_FOUND, 8, 0, ""},
        {"d.c.b.com", "/s/1", HTTP_GET, ROUTE_FOUND, 9, 0, ""},
        {"b.com", "/s/1", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {".b.com", "/s/1", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"xb.com", "/s/1", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"b.com.evil", "/s/1", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"[2001:DB8::1]", "/", HTTP_GET, ROUTE_FOUND, 15, 0, ""},
        {"other", "/any/1", HTTP_POST, ROUTE_FOUND, 11, 0, ""},
        {"other", "/any/", HTTP_GET, ROUTE_FOUND, 11, 0, ""},
        {"other", "/any", HTTP_GET, ROUTE_NO_PATH, NONE, 0, ""},
        {"", "/any/1", HTTP_GET, ROUTE_FOUND, 11, 0, ""},
        {".", "/any/1", HTTP_GET, ROUTE_FOUND, 11, 0, ""},
        {"other", "/any/1", HTTP_TRACE, ROUTE_NO_METHOD, NONE, ALL, ""},
};

static struct snapshot *build(const char *text)
{
	struct config_error err;
	struct snapshot *s = NULL;
	struct config *cfg;

	if (config_parse(text, strlen(text), "t", &cfg, &err) != ST_OK)
		fail_msg("%s", err.text);
	if (snapshot_build(cfg, &s, &err) != ST_OK)
		fail_msg("%s", err.text);
	config_free(cfg);
	assert_int_equal(snapshot_check(s, s->total_bytes), ST_OK);
	return s;
}

static void join_params(const struct route_match *m, char *out)
{
	out[0] = '\0';
	for (uint32_t i = 0; i < m->param_count; i++) {
		if (i > 0)
			strcat(out, ",");
		strncat(out, m->params[i].ptr, m->params[i].len);
	}
}

static void test_routes(void **state)
{
	struct snapshot *s = build(table);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_match m;
		enum route_result result = snapshot_route(
		        s, span_cstr(cases[i].host), span_cstr(cases[i].path), cases[i].method, &m);
		char params[256];

		if (result != cases[i].result)
			fail_msg("%s%s: %d", cases[i].host, cases[i].path, result);
		if (result == ROUTE_NO_METHOD)
			assert_int_equal(m.allowed, cases[i].allowed);
		if (result != ROUTE_FOUND)
			continue;
		join_params(&m, params);
		if (m.index != cases[i].route || strcmp(params, cases[i].params) != 0)
			fail_msg("%s%s: route %u, %s", cases[i].host, cases[i].path, m.index,
			         params);
		assert_int_equal(m.param_count, m.route->param_count);
	}
	free(s);
}

static void test_no_host(void **state)
{
	struct snapshot *s = build(HEAD "- {upstream: b, host: a.com}\n");
	struct route_match m;
	char *lng = malloc(100000);

	(void)state;
	assert_non_null(lng);
	memset(lng, 'a', 100000);
	assert_int_equal(snapshot_route(s, SPAN_LIT("b.com"), SPAN_LIT("/"), HTTP_GET, &m),
	                 ROUTE_NO_HOST);
	assert_int_equal(snapshot_route(s, span_of(NULL, 0), SPAN_LIT("/"), HTTP_GET, &m),
	                 ROUTE_NO_HOST);
	assert_int_equal(snapshot_route(s, span_of(lng, 100000), SPAN_LIT("/"), HTTP_GET, &m),
	                 ROUTE_NO_HOST);
	assert_int_equal(snapshot_route(s, SPAN_LIT("a.com"), SPAN_LIT("/"), HTTP_GET, &m),
	                 ROUTE_FOUND);
	assert_int_equal(m.route->upstream, 1);
	memset(lng, '/', 100000);
	assert_int_equal(snapshot_route(s, SPAN_LIT("a.com"), span_of(lng, 100000), HTTP_GET, &m),
	                 ROUTE_FOUND);
	free(lng);
	free(s);
}

static void test_content(void **state)
{
	struct snapshot *s = build(HEAD "- {upstream: b, host: A.com, path: \"/{x}\", "
	                                "cache: {mode: ttl, ttl_s: 3}}\n");
	const struct snap_route *r = (const void *)((const char *)s + s->routes_off);

	(void)state;
	assert_int_equal(s->route_count, 1);
	assert_int_equal(s->upstream_count, 2);
	assert_int_equal(r->upstream, 1);
	assert_int_equal(r->cache_mode, CONFIG_CACHE_TTL);
	assert_int_equal(r->ttl_ms, 3000);
	assert_int_equal(r->methods, ALL);
	assert_int_equal(r->param_count, 1);
	assert_true(span_eq(snapshot_text(s, r->host_off, r->host_len), SPAN_LIT("A.com")));
	assert_true(span_eq(snapshot_text(s, r->path_off, r->path_len), SPAN_LIT("/{x}")));
	assert_true(span_eq(snapshot_text(s, s->node_off, s->node_len), SPAN_LIT("n")));
	assert_int_equal(s->limits.head_bytes, 8192);
	assert_int_equal(s->timeouts.miss_ms, 35000);
	assert_int_equal(s->idle, IDLE_ADAPTIVE);
	free(s);
}

/* Equal content, equal id; what the cores do not read does not count. */
static void test_id(void **state)
{
	struct snapshot *a = build(HEAD "- {upstream: a}\n");
	struct snapshot *b = build("log_level: debug\n" HEAD "- {upstream: a, host: \"*\"}\n");
	struct snapshot *c = build(HEAD "- {upstream: b}\n");
	struct snapshot *d = build("limits: {fields: 65}\n" HEAD "- {upstream: a}\n");

	(void)state;
	assert_true(a->id == b->id);
	assert_int_equal(a->total_bytes, b->total_bytes);
	assert_memory_equal(a, b, a->total_bytes);
	assert_true(a->id != c->id);
	assert_true(a->id != d->id);
	free(a);
	free(b);
	free(c);
	free(d);
}

/* The largest number of routes, many hosts; then more than a block holds. */
static void test_many(void **state)
{
	char *text = malloc(8 << 20);
	struct config_error err;
	struct snapshot *s = NULL;
	struct config *cfg;
	struct route_match m;
	size_t used;

	(void)state;
	assert_non_null(text);
	used = (size_t)sprintf(text, HEAD);
	for (unsigned i = 0; i < 4096; i++)
		used += (size_t)sprintf(text + used, "- {upstream: a, host: h%u.com, path: /p%u}\n",
		                        i % 50, i);
	s = build(text);
	for (unsigned i = 0; i < 4096; i++) {
		char host[32], path[32];

		(void)sprintf(host, "h%u.com", i % 50);
		(void)sprintf(path, "/p%u", i);
		assert_int_equal(snapshot_route(s, span_cstr(host), span_cstr(path), HTTP_GET, &m),
		                 ROUTE_FOUND);
		assert_int_equal(m.index, i);
	}
	free(s);
	used = (size_t)sprintf(text, HEAD);
	for (unsigned i = 0; i < 4096; i++)
		used += (size_t)sprintf(
		        text + used,
		        "- {upstream: a, path: /%u/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s"
		        "/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t}\n",
		        i);
	assert_int_equal(config_parse(text, used, "t", &cfg, &err), ST_OK);
	assert_int_equal(snapshot_build(cfg, &s, &err), ST_TOOBIG);
	assert_null(s);
	assert_non_null(strstr(err.text, "need more than 4194304 bytes"));
	config_free(cfg);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_routes),  cmocka_unit_test(test_no_host),
	        cmocka_unit_test(test_content), cmocka_unit_test(test_id),
	        cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
