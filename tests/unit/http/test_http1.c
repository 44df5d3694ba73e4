/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The HTTP/1.1 syntax library: names, lists, response heads and their framing, the end of a head,
 * and the agreement of the scan paths at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/http1_scan.h"
#include "tests/unit/http/guard.h"

static void methods(void **state)
{
	static const char *const unknown[] = {"",      "G",    "GE",   "get",   "GETT",
	                                      "POS",   "PATC", "PUTT", "OTHER", "CONNEC",
	                                      "HEADS", "PRI",  "P",    "TRACK", "DELETED"};

	(void)state;
	for (int m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
		struct span name = span_cstr(http_method_name((enum http_method)m));

		assert_int_equal(http_method_parse(name), m);
	}
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_int_equal(http_method_parse(span_cstr(unknown[i])), HTTP_OTHER);
	for (int m = HTTP_OTHER; m < HTTP_METHOD_COUNT; m++)
		assert_true(http_method_idempotent((enum http_method)m) ||
		            !http_method_safe((enum http_method)m));
	assert_true(http_method_safe(HTTP_QUERY));
	assert_true(http_method_safe(HTTP_PROPFIND));
	assert_false(http_method_safe(HTTP_OTHER));
	assert_false(http_method_safe(HTTP_PROPPATCH));
	assert_true(http_method_idempotent(HTTP_UNLOCK));
	assert_false(http_method_idempotent(HTTP_LOCK));
	assert_int_equal(http_method_bits(SPAN_LIT("GET")), 1u << HTTP_GET);
	assert_int_equal(http_method_bits(SPAN_LIT("M-SEARCH")), 1u << HTTP_OTHER);
	assert_int_equal(http_method_bits(SPAN_LIT("*")) >> HTTP_METHOD_COUNT, 0);
	for (int m = HTTP_OTHER; m < HTTP_METHOD_COUNT; m++)
		assert_int_equal(http_method_bits(SPAN_LIT("*")) >> m & 1,
		                 m != HTTP_TRACE && m != HTTP_CONNECT);
	assert_true(http_method_idempotent(HTTP_PUT));
	assert_true(http_method_idempotent(HTTP_GET));
	assert_false(http_method_idempotent(HTTP_POST));
	assert_false(http_method_idempotent(HTTP_PATCH));
	assert_false(http_method_idempotent(HTTP_CONNECT));
	assert_false(http_method_idempotent(HTTP_OTHER));
}

static void reasons(void **state)
{
	static const struct {
		unsigned status;
		const char *reason;
	} rows[] = {
	        {100, "Continue"},
	        {103, "Early Hints"},
	        {104, "Unknown"},
	        {200, "OK"},
	        {206, "Partial Content"},
	        {226, "IM Used"},
	        {304, "Not Modified"},
	        {306, "Unknown"},
	        {308, "Permanent Redirect"},
	        {400, "Bad Request"},
	        {413, "Content Too Large"},
	        {418, "Unknown"},
	        {421, "Misdirected Request"},
	        {429, "Too Many Requests"},
	        {431, "Request Header Fields Too Large"},
	        {451, "Unavailable For Legal Reasons"},
	        {501, "Not Implemented"},
	        {505, "HTTP Version Not Supported"},
	        {511, "Network Authentication Required"},
	        {599, "Unknown"},
	        {0, "Unknown"},
	        {600, "Unknown"},
	        {UINT32_MAX, "Unknown"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(http_reason(rows[i].status), rows[i].reason);
}

/* Each name, in both cases, found; each name with one byte changed, not found. */
static void name_check(enum http_hdr id)
{
	struct span name = span_cstr(http_hdr_name(id));
	char text[64];

	assert_int_equal(http_hdr_lookup(name), id);
	for (size_t i = 0; i < name.len; i++) {
		memcpy(text, name.ptr, name.len);
		text[i] = (char)(text[i] ^ 0x20);
		/* The case bit of a letter does not count, that of '-' makes another byte. */
		assert_int_equal(http_hdr_lookup(span_of(text, name.len)),
		                 name.ptr[i] == '-' ? HDR_OTHER : id);
		for (int bit = 0; bit < 8; bit++) {
			if (bit == 5)
				continue;
			memcpy(text, name.ptr, name.len);
			text[i] = (char)(text[i] ^ (1 << bit));
			assert_int_not_equal(http_hdr_lookup(span_of(text, name.len)), id);
		}
	}
	assert_int_not_equal(http_hdr_lookup(span_of(name.ptr, name.len - 1)), id);
	memcpy(text, name.ptr, name.len);
	text[name.len] = 'x';
	assert_int_equal(http_hdr_lookup(span_of(text, name.len + 1)), HDR_OTHER);
}

static void field_names(void **state)
{
	(void)state;
	/* Before and after the table is filled; the first test of this program runs before. */
	for (int round = 0; round < 2; round++) {
		for (int id = HDR_OTHER + 1; id < HDR_COUNT; id++)
			name_check((enum http_hdr)id);
		assert_int_equal(http_hdr_lookup(SPAN_LIT("")), HDR_OTHER);
		assert_int_equal(http_hdr_lookup(SPAN_LIT("X")), HDR_OTHER);
		assert_int_equal(http_hdr_lookup(SPAN_LIT("X-Forwarded-For-And-Much-More")),
		                 HDR_OTHER);
		assert_string_equal(http_hdr_name(HDR_OTHER), "");
		http1_init(NULL);
	}
}

static void lengths(void **state)
{
	static const struct {
		const char *text;
		int64_t value; /* -1: refused */
	} rows[] = {
	        {"0", 0},
	        {"1", 1},
	        {"000000000000000000000000000000001", 1},
	        {"9223372036854775807", INT64_MAX},
	        {"9223372036854775808", -1},
	        {"92233720368547758070", -1},
	        {"18446744073709551616", -1},
	        {"", -1},
	        {" 1", -1},
	        {"1 ", -1},
	        {"+1", -1},
	        {"-1", -1},
	        {"1,1", -1},
	        {"0x1", -1},
	        {"/", -1},
	        {":", -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t value = -1;
		bool good = http_parse_length(span_cstr(rows[i].text), &value);

		assert_int_equal(good, rows[i].value >= 0);
		if (good)
			assert_int_equal(value, rows[i].value);
	}
}

static void tokens(void **state)
{
	static const struct {
		const char *value;
		bool has_close;
	} rows[] = {
	        {"close", true},
	        {"CLOSE", true},
	        {" , ,close,", true},
	        {"a,close", true},
	        {"a ,\tclose ,b", true},
	        {"closed", false},
	        {"a close", false},
	        {"\"close\"", false},
	        {"x=\"a,close,b\"", false},
	        {"x=\"a\\\",close", false},
	        {"x=\"a\\\\\",close", true},
	        {"", false},
	        {"close;q=1", false},
	        {"\"\\", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct http_fields fs;

		fs.count = 2;
		fs.seen = http_hdr_bit(HDR_VARY) | http_hdr_bit(HDR_CONNECTION);
		fs.f[0] = (struct http_field){{0}, SPAN_LIT("close"), HDR_VARY};
		fs.f[1] = (struct http_field){{0}, span_cstr(rows[i].value), HDR_CONNECTION};
		if (http_field_has_token(&fs, HDR_CONNECTION, SPAN_LIT("close")) !=
		    rows[i].has_close)
			fail_msg("%s", rows[i].value);
	}
}

static void head_ends(void **state)
{
	static const struct {
		struct span text;
		size_t end;
	} rows[] = {
	        {SPAN_LIT(""), 0},
	        {SPAN_LIT("\r\n\r"), 0},
	        {SPAN_LIT("\r\n\r\n"), 4},
	        {SPAN_LIT("a\r\n\r\nb\r\n\r\n"), 5},
	        {SPAN_LIT("a\n\nb\r\n\r\n"), 8},
	        {SPAN_LIT("a\r\nb\r\n\n\r\n"), 0},
	        {SPAN_LIT("a\r\n\n\r\r\n\r\n"), 9},
	        {SPAN_LIT("\n\n\n\n"), 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span s = rows[i].text;
		size_t from = 0;
		size_t end = 0;

		assert_int_equal(http1_head_end(guard_end(&guard, s), s.len, 0), rows[i].end);
		/* Byte by byte, each time from where the last call came to. */
		for (size_t len = 0; len <= s.len && end == 0; from = len++)
			end = http1_head_end(guard_end(&guard, span_of(s.ptr, len)), len, from);
		assert_int_equal(end, rows[i].end);
	}
}

struct response_case {
	struct span text;
	enum http_scan want;
	unsigned status;
	unsigned minor;
	const char *reason;
	uint32_t fields;
};

#define RESPONSE_HEAD(lines) "HTTP/1.1 200 OK\r\n" lines "\r\n"

static const struct response_case responses[] = {
        {SPAN_LIT("HTTP/1.1 200 OK\r\n\r\n"), HTTP_SCAN_DONE, 200, 1, "OK", 0},
        {SPAN_LIT("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n"), HTTP_SCAN_DONE, 404, 0, "Not Found",
         1},
        {SPAN_LIT("HTTP/1.1 204 \r\n\r\n"), HTTP_SCAN_DONE, 204, 1, "", 0},
        {SPAN_LIT("HTTP/1.1 204\r\n\r\n"), HTTP_SCAN_DONE, 204, 1, "", 0},
        {SPAN_LIT("HTTP/1.3 100 \xc3\xa9\t!\r\n\r\n"), HTTP_SCAN_DONE, 100, 1, "\xc3\xa9\t!", 0},
        {SPAN_LIT("HTTP/1.1 599 x\r\n\r\n"), HTTP_SCAN_DONE, 599, 1, "x", 0},
        {SPAN_LIT("HTTP/1.1 099 x\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 600 x\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 20 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 2000 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1  200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 +20 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/2.0 200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.x 200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("http/1.1 200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("ICY 200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200 OK\nA: b\n\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200 OK\r\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200 O\0K\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200\tOK\r\n\r\n"), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A: b\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A: b\r\n c\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A: b\r\n\tc\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A : b\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD(": b\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT(RESPONSE_HEAD("A: \0\r\n")), HTTP_SCAN_BAD, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200 OK\r\nA: b\r\n"), HTTP_SCAN_PARTIAL, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200 OK"), HTTP_SCAN_PARTIAL, 0, 0, NULL, 0},
        {SPAN_LIT("HTTP/1.1 200"), HTTP_SCAN_PARTIAL, 0, 0, NULL, 0},
        {SPAN_LIT("HT"), HTTP_SCAN_PARTIAL, 0, 0, NULL, 0},
        {SPAN_LIT(""), HTTP_SCAN_PARTIAL, 0, 0, NULL, 0},
};

static void response_check(const struct response_case *c)
{
	static struct http_response_head head;
	const char *buf = guard_end(&guard, c->text);
	size_t head_len = 0;
	enum http_scan r = http1_parse_response(buf, c->text.len, &head, &head_len);

	if (r != c->want)
		fail_msg("got %d, want %d: %.*s", r, c->want, (int)c->text.len, c->text.ptr);
	if (r != HTTP_SCAN_DONE)
		return;
	assert_int_equal(head.status, c->status);
	assert_int_equal(head.minor, c->minor);
	assert_int_equal(head.fields.count, c->fields);
	assert_int_equal(head_len, c->text.len);
	assert_true(span_eq(head.reason, span_cstr(c->reason)));
	for (size_t len = 0; len < c->text.len; len++)
		assert_int_equal(http1_parse_response(buf, len, &head, &head_len),
		                 HTTP_SCAN_PARTIAL);
}

static void response_heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(responses); i++)
		response_check(&responses[i]);
}

static void response_framing(void **state)
{
	static const struct {
		const char *lines;
		unsigned minor;
		enum http_method method;
		unsigned status;
		enum http_framing_kind kind;
		int64_t length;
	} rows[] = {
	        {"Content-Length: 5\r\n", 1, HTTP_GET, 200, HTTP_BODY_LENGTH, 5},
	        {"Content-Length: 0\r\n", 1, HTTP_GET, 200, HTTP_BODY_LENGTH, 0},
	        {"Content-Length: 5\r\n", 0, HTTP_GET, 200, HTTP_BODY_LENGTH, 5},
	        {"", 1, HTTP_GET, 200, HTTP_BODY_CLOSE, 0},
	        {"", 0, HTTP_GET, 200, HTTP_BODY_CLOSE, 0},
	        {"Content-Length: 5\r\n", 1, HTTP_HEAD, 200, HTTP_BODY_NONE, 0},
	        {"Transfer-Encoding: chunked\r\n", 1, HTTP_HEAD, 200, HTTP_BODY_NONE, 0},
	        {"Content-Length: 5\r\n", 1, HTTP_GET, 304, HTTP_BODY_NONE, 0},
	        {"Content-Length: 5\r\n", 1, HTTP_GET, 204, HTTP_BODY_NONE, 0},
	        {"Content-Length: 5\r\n", 1, HTTP_GET, 100, HTTP_BODY_NONE, 0},
	        {"", 1, HTTP_GET, 103, HTTP_BODY_NONE, 0},
	        {"", 1, HTTP_CONNECT, 200, HTTP_BODY_NONE, 0},
	        {"", 1, HTTP_CONNECT, 400, HTTP_BODY_CLOSE, 0},
	        {"Transfer-Encoding: chunked\r\n", 1, HTTP_GET, 200, HTTP_BODY_CHUNKED, 0},
	        {"Transfer-Encoding: chunked\r\n", 0, HTTP_GET, 200, HTTP_BODY_BAD, 0},
	        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 1, HTTP_GET, 200,
	         HTTP_BODY_BAD, 0},
	        {"Transfer-Encoding: chunked, chunked\r\n", 1, HTTP_GET, 200, HTTP_BODY_BAD, 0},
	        {"Transfer-Encoding: gzip, chunked\r\n", 1, HTTP_GET, 200, HTTP_BODY_UNKNOWN_CODING,
	         0},
	        {"Transfer-Encoding: gzip\r\n", 1, HTTP_GET, 200, HTTP_BODY_UNKNOWN_CODING, 0},
	        {"Content-Length: 5\r\nContent-Length: 5\r\n", 1, HTTP_GET, 200, HTTP_BODY_BAD, 0},
	        {"Content-Length: 5, 5\r\n", 1, HTTP_GET, 200, HTTP_BODY_BAD, 0},
	        {"Content-Length: x\r\n", 1, HTTP_GET, 200, HTTP_BODY_BAD, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct http_fields fs;
		char text[256];
		int len = snprintf(text, sizeof(text), "%s\r\n", rows[i].lines);
		size_t pos = 0;
		struct http_framing f;

		assert_int_equal(http1_scan_fields(text, (size_t)len, &pos, &fs), HTTP_SCAN_DONE);
		f = http1_response_framing(&fs, rows[i].minor, rows[i].method, rows[i].status);
		if (f.kind != rows[i].kind)
			fail_msg("row %zu: got %d, want %d", i, f.kind, rows[i].kind);
		if (f.kind == HTTP_BODY_LENGTH)
			assert_int_equal(f.length, rows[i].length);
	}
}

static void window_same(const struct http1_scan_path *path, const char *p, size_t n)
{
	static struct http1_window a;
	static struct http1_window b;

	http1_scan_scalar.window(p, n, &a);
	path->window(p, n, &b);
	assert_int_equal(a.bad, b.bad);
	assert_int_equal(a.end_count, b.end_count);
	assert_memory_equal(a.ends, b.ends, a.end_count * sizeof(a.ends[0]));
	/* Behind a bad byte the map is never asked. */
	for (size_t i = 0; i < min_size(n, a.bad); i++)
		assert_int_equal(a.not_token[i / 64] >> i % 64 & 1,
		                 b.not_token[i / 64] >> i % 64 & 1);
	if (a.bad == n)
		assert_int_equal(b.not_token[(n + 63) / 64], UINT64_MAX);
}

static void target_same(const struct http1_scan_path *path, const char *p, size_t n)
{
	struct http1_target a;
	struct http1_target b;

	http1_scan_scalar.target(p, n, &a);
	path->target(p, n, &b);
	assert_int_equal(a.end, b.end);
	assert_int_equal(a.query, b.query);
	assert_int_equal(a.closer, b.closer);
}

/* Random bytes of the kinds that matter, of every length, against both guard pages. */
static void paths_agree(void **state)
{
	static const char kinds[] = "aZ09-_:; \t\r\n\r\n\r\n\0\x01\x1f\x7f\x80\xff//..??%%\\#@[~";
	static char text[HTTP1_WINDOW_BYTES];

	(void)state;
	srandom(20);
	for (int round = 0; round < 40; round++) {
		/* From one in two bytes special to one in a thousand. */
		long rare = 2 + round * round;
		const char *path_name = round % 2 == 0 ? "avx2" : "sse42";

		if (http1_init(path_name) == NULL)
			continue;
		for (size_t n = 1; n <= sizeof(text); n++) {
			struct span s = span_of(text, n);

			for (size_t i = 0; i < n; i++)
				text[i] = random() % rare != 0
				                  ? 'x'
				                  : kinds[random() % (long)(sizeof(kinds) - 1)];
			for (size_t i = 0; i + 1 < n; i += 2 + (size_t)(random() % 90))
				memcpy(text + i, "\r\n", 2);
			window_same(http1_scan_active(), guard_end(&guard, s), n);
			window_same(http1_scan_active(), guard_begin(&guard, s), n);
			for (size_t i = 0; i < n; i++)
				text[i] = text[i] == '\r' || text[i] == '\n' ? '/' : text[i];
			target_same(http1_scan_active(), guard_end(&guard, s), n);
			target_same(http1_scan_active(), guard_begin(&guard, s), n);
		}
	}
}

/* Each byte value, in the middle of others, is classed the same on every path. */
static void classes_agree(void **state)
{
	(void)state;
	for (int path = 0; path < 2; path++) {
		if (http1_init(path == 0 ? "avx2" : "sse42") == NULL)
			continue;
		for (int c = 0; c < 256; c++) {
			char text[70];

			memset(text, 'a', sizeof(text));
			for (size_t at = 0; at < sizeof(text); at += 23) {
				text[at] = (char)c;
				window_same(http1_scan_active(), text, sizeof(text));
				target_same(http1_scan_active(), text, sizeof(text));
			}
		}
	}
}

static void init_names(void **state)
{
	(void)state;
	assert_null(http1_init("mmx"));
	assert_string_equal(http1_init("scalar"), "scalar");
	assert_ptr_equal(http1_scan_active(), &http1_scan_scalar);
	assert_non_null(http1_init(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(field_names),    cmocka_unit_test(methods),
	        cmocka_unit_test(reasons),        cmocka_unit_test(lengths),
	        cmocka_unit_test(tokens),         cmocka_unit_test(head_ends),
	        cmocka_unit_test(response_heads), cmocka_unit_test(response_framing),
	        cmocka_unit_test(paths_agree),    cmocka_unit_test(classes_agree),
	        cmocka_unit_test(init_names),
	};

	return cmocka_run_group_tests(tests, guard_setup, guard_teardown);
}
