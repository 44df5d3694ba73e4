/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

/* Which outcomes make the target void (4.4) */

static void test_invalidates(void **state)
{
	(void)state;
	for (enum http_method m = HTTP_OTHER; m < HTTP_METHOD_COUNT; m++) {
		bool unsafe = !http_method_safe(m);

		assert_false(cache_invalidates(m, 100));
		assert_false(cache_invalidates(m, 199));
		assert_int_equal(cache_invalidates(m, 200), unsafe);
		assert_int_equal(cache_invalidates(m, 204), unsafe);
		assert_int_equal(cache_invalidates(m, 303), unsafe);
		assert_int_equal(cache_invalidates(m, 399), unsafe);
		assert_false(cache_invalidates(m, 400));
		assert_false(cache_invalidates(m, 500));
	}
}

/* Other targets of the same origin (4.4), relative references resolved (RFC 3986 5.2) */

struct target_row {
	const char *rfc;
	const char *fields;
	const char *first; /* NULL: none */
	const char *second;
	bool tls;
};

#define L  "Location: "
#define CL "Content-Location: "

/* The request: /dir/file?q=1 on Host.example:8080 */
static const struct target_row target_rows[] = {
        {"4.4", "", NULL, NULL, false},
        {"4.4", L "/a" N, "/a", NULL, false},
        {"4.4", L "/a?x=1&y" N, "/a?x=1&y", NULL, false},
        {"4.4", CL "/a" N, "/a", NULL, false},
        {"4.4", L "/a" N CL "/b" N, "/a", "/b", false},
        {"4.4", L "/a" N CL "/a" N, "/a", NULL, false},
        {"4.4", L "http://host.example:8080/a" N, "/a", NULL, false},
        {"4.4", L "HTTP://HOST.EXAMPLE:8080/a" N, "/a", NULL, false},
        {"4.4", L "//host.example:8080/a" N, "/a", NULL, false},
        {"4.4", L "http://host.example:8080" N, "/", NULL, false},
        {"4.4", L "http://host.example:8080?x" N, "/?x", NULL, false},
        {"4.4", L "http://host.example/a" N, NULL, NULL, false},
        {"4.4", L "http://other.example:8080/a" N, NULL, NULL, false},
        {"4.4", L "https://host.example:8080/a" N, NULL, NULL, false},
        {"4.4", L "https://host.example:8080/a" N, "/a", NULL, true},
        {"4.4", L "http://host.example:8080/a" N, NULL, NULL, true},
        {"4.4", L "//other.example/a" N CL "/b" N, "/b", NULL, false},
        {"4.4", L "ftp://host.example:8080/a" N, NULL, NULL, false},
        {"4.4", L "mailto:x@host.example" N, NULL, NULL, false},
        {"4.4", L "http:a" N, NULL, NULL, false},
        {"4.4", L "http://user@host.example:8080/a" N, NULL, NULL, false},
        {"4.4", L "/dir/file?q=1" N, NULL, NULL, false},
        {"4.4", L N, NULL, NULL, false},
        {"4.4", L "/a" N L "/b" N, NULL, NULL, false},
        {"RFC 3986 5.2.2", L "a" N, "/dir/a", NULL, false},
        {"RFC 3986 5.2.2", L "a?x" N, "/dir/a?x", NULL, false},
        {"RFC 3986 5.2.2", L "?x" N, "/dir/file?x", NULL, false},
        {"RFC 3986 5.2.2", L "#frag" N, NULL, NULL, false},
        {"RFC 3986 5.2.2", L "/a#frag" N, "/a", NULL, false},
        {"RFC 3986 5.2.4", L "../a" N, "/a", NULL, false},
        {"RFC 3986 5.2.4", L "../../../a" N, "/a", NULL, false},
        {"RFC 3986 5.2.4", L "./a" N, "/dir/a", NULL, false},
        {"RFC 3986 5.2.4", L "." N, "/dir/", NULL, false},
        {"RFC 3986 5.2.4", L ".." N, "/", NULL, false},
        {"RFC 3986 5.2.4", L "/a/./b/../c" N, "/a/c", NULL, false},
        {"RFC 3986 5.2.4", L "/a/b/.." N, "/a/", NULL, false},
        {"RFC 3986 5.2.4", L "/a/.../b" N, "/a/.../b", NULL, false},
        {"RFC 3986 5.2.4", L "/a//b" N, "/a//b", NULL, false},
        {"RFC 3986 5.2.4", L "/a?x=/../y" N, "/a?x=/../y", NULL, false},
        {"RFC 3986 3.1", L "a:b" N, NULL, NULL, false},
        {"RFC 3986 3.1", L "./a:b" N, "/dir/a:b", NULL, false},
        {"RFC 3986 3.1", L "/a:b" N, "/a:b", NULL, false},
};

/* The scheme's port is none (RFC 9110 4.2.3): the request's Host, what Location says, tls. */
static const struct {
	const char *host;
	const char *location;
	bool tls;
	bool same;
} port_rows[] = {
        {"h.example", "http://h.example:80/a", false, true},
        {"h.example", "http://h.example:/a", false, true},
        {"h.example:80", "http://h.example/a", false, true},
        {"h.example:", "//H.EXAMPLE:80/a", false, true},
        {"h.example", "https://h.example:443/a", true, true},
        {"h.example:443", "https://h.example/a", true, true},
        {"[2001:db8::1]", "http://[2001:db8::1]:80/a", false, true},
        {"h.example", "http://h.example:443/a", false, false},
        {"h.example", "https://h.example:80/a", true, false},
        {"h.example", "http://h.example:8080/a", false, false},
        {"h.example", "http://h.example:080/a", false, false},
        {"h.example:81", "http://h.example/a", false, false},
        {"h80", "http://h/a", false, false},
        {"h.example", "http://u@h.example:80/a", false, false},
};

static void test_target_ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(port_rows); i++) {
		struct cache_target at = {.host = span_cstr(port_rows[i].host),
		                          .target = SPAN_LIT("/t"),
		                          .tls = port_rows[i].tls};
		char text[128];
		struct http_fields fs;
		struct cache_targets out;

		snprintf(text, sizeof(text), L "%s" N, port_rows[i].location);
		fields_scan(text, &fs);
		cache_invalidated(&at, &fs, &out);
		if (out.count != port_rows[i].same)
			fail_msg("row %zu: %s at %s", i, port_rows[i].location, port_rows[i].host);
	}
}

/* Of what GET would get is this answer the content? The request: /t?q on h. */
static const struct written_row {
	const char *rfc;
	enum http_method method;
	unsigned status;
	const char *fields;
	const char *on;     /* NULL: of nothing */
	const char *always; /* likewise */
} written_rows[] = {
        {"9110 8.7", HTTP_PUT, 200, CL "/t?q" N, "/t?q", "/t?q"},
        {"9110 8.7", HTTP_PUT, 201, CL "http://h/t?q" N, "/t?q", "/t?q"},
        {"9110 8.7", HTTP_PUT, 200, CL "?q" N, "/t?q", "/t?q"},
        {"9110 9.3.3", HTTP_POST, 200, CL "/t?q" N, "/t?q", "/t?q"},
        {"5789 2", HTTP_PATCH, 200, CL "/t?q" N, "/t?q", "/t?q"},
        {"9110 9.3.4", HTTP_PUT, 200, "", NULL, "/t?q"},
        {"9110 9.3.4", HTTP_PUT, 201, "", NULL, "/t?q"},
        {"5789 2", HTTP_PATCH, 200, "", NULL, "/t?q"},
        {"9110 9.3.3", HTTP_POST, 200, "", NULL, NULL},
        {"9110 9.3.3", HTTP_POST, 201, L "/t/1" N, NULL, NULL},
        {"9110 15.3.2", HTTP_POST, 201, L "/t/1" N CL "/t/1" N, "/t/1", "/t/1"},
        {"9110 15.3.2", HTTP_POST, 200, L "/t/1" N CL "/t/1" N, NULL, NULL},
        {"9110 15.3.2", HTTP_POST, 201, L "/t/1" N CL "/t/2" N, NULL, NULL},
        {"9110 8.7: a report", HTTP_PUT, 200, CL "/t" N, NULL, NULL},
        {"9110 8.7: another host", HTTP_PUT, 200, CL "http://o/t?q" N, NULL, NULL},
        {"9110 8.7: twice", HTTP_PUT, 200, CL "/t?q" N CL "/t?q" N, NULL, NULL},
        {"9110 8.7: empty", HTTP_PUT, 200, CL N, NULL, NULL},
        {"no content", HTTP_PUT, 204, CL "/t?q" N, NULL, NULL},
        {"not done yet", HTTP_PUT, 202, CL "/t?q" N, NULL, NULL},
        {"failed", HTTP_PUT, 404, CL "/t?q" N, NULL, NULL},
        {"gone", HTTP_DELETE, 200, CL "/t?q" N, NULL, NULL},
        {"safe", HTTP_GET, 200, CL "/t?q" N, NULL, NULL},
};

static void test_written(void **state)
{
	const struct cache_target at = {.host = SPAN_LIT("h"), .target = SPAN_LIT("/t?q")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(written_rows); i++) {
		const struct written_row *r = &written_rows[i];

		for (int always = 0; always < 2; always++) {
			const char *want = always ? r->always : r->on;
			struct http_response_head head = {.status = r->status};
			struct cache_targets out;

			fields_scan(r->fields, &head.fields);
			bool got = cache_written(&at, r->method, always, &head, &out);
			if (got != (want != NULL) ||
			    (got && !span_eq(out.target[0], span_cstr(want))))
				fail_msg("row %zu (%s), always %d", i, r->rfc, always);
		}
	}
}

static bool target_is(const struct cache_targets *t, uint32_t i, const char *want)
{
	if (want == NULL)
		return t->count <= i;
	return t->count > i && span_eq(t->target[i], span_cstr(want));
}

static void test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(target_rows); i++) {
		const struct target_row *r = &target_rows[i];
		struct cache_target at = {.host = SPAN_LIT("Host.example:8080"),
		                          .target = SPAN_LIT("/dir/file?q=1"),
		                          .tls = r->tls};
		struct http_fields fs;
		struct cache_targets out;

		fields_scan(r->fields, &fs);
		cache_invalidated(&at, &fs, &out);
		if (!target_is(&out, 0, r->first) || !target_is(&out, 1, r->second))
			fail_msg("row %zu (%s): %s gives %u, %.*s", i, r->rfc, r->fields, out.count,
			         out.count > 0 ? (int)out.target[0].len : 0, out.text[0]);
	}
}

static void test_target_too_long(void **state)
{
	struct cache_target at = {.host = SPAN_LIT("h"), .target = SPAN_LIT("/dir/x")};
	char text[CACHE_TARGET_MAX + 64];
	struct http_fields fs;
	struct cache_targets out;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "Location: ", 10);
	text[10 + CACHE_TARGET_MAX - 5] = '\0'; /* "/dir/" goes before it */
	fields_scan(strcat(text, N), &fs);
	cache_invalidated(&at, &fs, &out);
	assert_int_equal(out.count, 1);
	assert_int_equal(out.target[0].len, CACHE_TARGET_MAX);
	text[10 + CACHE_TARGET_MAX - 5] = 'a';
	text[10 + CACHE_TARGET_MAX - 4] = '\0';
	fields_scan(strcat(text, N), &fs);
	cache_invalidated(&at, &fs, &out);
	assert_int_equal(out.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_invalidates),     cmocka_unit_test(test_targets),
	        cmocka_unit_test(test_target_ports),    cmocka_unit_test(test_written),
	        cmocka_unit_test(test_target_too_long),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
