/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The chunked coding and the body reader over it: each body whole, byte by byte and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/http/http_body.h"
#include "tests/unit/http/guard.h"

enum want { END, MORE };

struct body_case {
	struct span text;
	unsigned want; /* END, MORE, or the status that refuses it */
	const char *data;
	size_t used; /* of text, on END */
};

#define ENDS(text, data)                                    \
	{                                                   \
		SPAN_LIT(text), END, data, sizeof(text) - 1 \
	}
#define REFUSED(text)                        \
	{                                    \
		SPAN_LIT(text), 400, NULL, 0 \
	}
#define CUT(text, data)                       \
	{                                     \
		SPAN_LIT(text), MORE, data, 0 \
	}
#define TOO_LONG(text)                       \
	{                                    \
		SPAN_LIT(text), 413, NULL, 0 \
	}
#define CHUNKED_LIMIT 1000u

static const struct body_case chunked_cases[] = {
        ENDS("0\r\n\r\n", ""),
        ENDS("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ENDS("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ENDS("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ENDS("a\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
        ENDS("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ENDS("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ENDS("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"),
        ENDS("5 ; a=\"b c;\xc3\xa9\"\r\nhello\r\n0\r\n\r\n", "hello"),
        ENDS("5\t;\ta\r\nhello\r\n0\r\n\r\n", "hello"),
        ENDS("0\r\nA: b\r\n\r\n", ""),
        ENDS("0\r\nA:\r\nB: c\td\r\n\r\n", ""),
        {SPAN_LIT("0\r\n\r\nGET / HTTP/1.1\r\n"), END, "", 5},
        {SPAN_LIT("1\r\nx\r\n0\r\n\r\n\r\n"), END, "x", 11},
        REFUSED("\r\n"),
        REFUSED(";a\r\n"),
        REFUSED("x\r\n"),
        REFUSED("-1\r\n"),
        REFUSED("+1\r\n"),
        REFUSED(" 1\r\nx"),
        REFUSED("0x1\r\nx"),
        REFUSED("1 \r\nx"),
        REFUSED("1\t\r\nx"),
        REFUSED("1 2\r\nx"),
        REFUSED("1_0\r\n"),
        REFUSED("1;\r\nx"),
        REFUSED("1; \r\nx"),
        REFUSED("1;=b\r\nx"),
        REFUSED("1;;\r\nx"),
        REFUSED("1\nx\n"),
        REFUSED("1\r\rx"),
        REFUSED("1\rx"),
        REFUSED("1;a\nx\r\n0\r\n\r\n"),
        REFUSED("1;a\rb\r\nx"),
        REFUSED("1;a\0\r\nx"),
        REFUSED("1;a=\"\n\"\r\nx"),
        REFUSED("1\r\nxy\r\n0\r\n\r\n"),
        REFUSED("1\r\nx\n0\r\n\r\n"),
        REFUSED("1\r\nx\r0\r\n\r\n"),
        REFUSED("1\r\nx0\r\n\r\n"),
        REFUSED("5\r\nhello\r\n\r\n"),
        REFUSED("00000000000000005\r\nhello"),
        TOO_LONG("10000000000000000\r\n"),
        TOO_LONG("ffffffffffffffff\r\n"),
        TOO_LONG("8000000000000000\r\n"),
        REFUSED("0\r\nA\r\n\r\n"),
        REFUSED("0\r\nA : b\r\n\r\n"),
        REFUSED("0\r\n A: b\r\n\r\n"),
        REFUSED("0\r\nA: b\r\n c\r\n\r\n"),
        REFUSED("0\r\n: b\r\n\r\n"),
        REFUSED("0\r\nA: b\n\r\n"),
        REFUSED("0\r\nA: b\rc\r\n\r\n"),
        REFUSED("0\r\nA: \0\r\n\r\n"),
        REFUSED("0\r\n\n"),
        REFUSED("0\r\n\rx"),
        TOO_LONG("3e9\r\n"),
        TOO_LONG("7fffffffffffffff\r\n"),
        CUT("", ""),
        CUT("3e8\r\n", ""),
        CUT("5\r\nhel", "hel"),
        CUT("5\r\nhello", "hello"),
        CUT("5\r\nhello\r", "hello"),
        CUT("5\r\nhello\r\n0\r\n", "hello"),
        CUT("5\r\nhello\r\n0\r\n\r", "hello"),
        CUT("0\r\nA: b\r\n", ""),
};

struct outcome {
	unsigned result; /* END, MORE or a status */
	size_t used;
	size_t len;
	char data[4096];
};

/* Feeds what lies at s, from o->used on. */
static void feed(struct http_body *b, struct span s, struct outcome *o)
{
	const char *buf = guard_end(&guard, s);
	struct http_run run;
	enum http_run_kind kind;

	do {
		kind = http_body_read(b, span_of(buf + o->used, s.len - o->used), &run);
		o->used += run.used;
		assert_true(o->used <= s.len);
		assert_int_equal(kind == HTTP_RUN_DATA, run.data.len > 0);
		assert_true(o->len + run.data.len <= sizeof(o->data));
		if (run.data.len > 0)
			memcpy(o->data + o->len, run.data.ptr, run.data.len);
		o->len += run.data.len;
	} while (kind == HTTP_RUN_DATA);
	if (kind == HTTP_RUN_MORE)
		assert_int_equal(o->used, s.len);
	o->result = kind == HTTP_RUN_REFUSE ? run.status : kind == HTTP_RUN_END ? END : MORE;
}

static void feed_pieces(const struct http_framing *f, struct span s, size_t step, struct outcome *o)
{
	struct http_body b;
	size_t len = 0;

	memset(o, 0, sizeof(*o));
	if (!http_body_init(&b, f, CHUNKED_LIMIT)) {
		o->result = 413;
		return;
	}
	do {
		len = min_size(len + step, s.len);
		feed(&b, span_of(s.ptr, len), o);
	} while (o->result == MORE && len < s.len);
	assert_int_equal(b.total, o->len);
}

static void chunked(void **state)
{
	const struct http_framing f = {.kind = HTTP_BODY_CHUNKED};
	static struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(chunked_cases); i++) {
		const struct body_case *c = &chunked_cases[i];

		for (size_t step = c->text.len + 1; step > 0; step--) {
			feed_pieces(&f, c->text, step, &o);
			if (o.result != c->want)
				fail_msg("got %u, want %u, step %zu: %.*s", o.result, c->want, step,
				         (int)c->text.len, c->text.ptr);
			if (c->want == END)
				assert_int_equal(o.used, c->used);
			if (c->data != NULL)
				assert_true(span_eq(span_of(o.data, o.len), span_cstr(c->data)));
		}
	}
}

/* What extensions and trailers may take, all together. */
static void chunked_overhead(void **state)
{
	static char text[HTTP_CHUNK_EXT_MAX + 64];
	struct span data;
	size_t used;

	(void)state;
	for (int over = 0; over < 2; over++) {
		struct http_chunked c = {0};
		size_t name = HTTP_CHUNK_EXT_MAX - 4 + (size_t)over; /* and ':', CR, LF, CR */
		size_t len;

		memcpy(text, "0\r\n", 3);
		memset(text + 3, 'a', name);
		memcpy(text + 3 + name, ":\r\n\r\n", 5);
		len = 3 + name + 5;
		assert_int_equal(http_chunked_read(&c, text, len, &used, &data),
		                 over ? HTTP_CHUNK_BAD : HTTP_CHUNK_END);
	}
	/* A chunk's extension without an end, fed for ever, comes to an end. */
	{
		struct http_chunked c = {0};
		enum http_chunk r = http_chunked_read(&c, "1;a", 3, &used, &data);
		size_t fed = 0;

		for (; r == HTTP_CHUNK_MORE && fed < 2 * HTTP_CHUNK_EXT_MAX; fed++)
			r = http_chunked_read(&c, "b", 1, &used, &data);
		assert_int_equal(r, HTTP_CHUNK_BAD);
		assert_int_equal(http_chunked_read(&c, "\r\n", 2, &used, &data), HTTP_CHUNK_BAD);
	}
}

/* Chunks that are each small, but together above the limit. */
static void chunked_limit(void **state)
{
	const struct http_framing f = {.kind = HTTP_BODY_CHUNKED};
	static struct outcome o;
	static char text[8192];

	(void)state;
	for (unsigned chunks = 99; chunks <= 101; chunks++) {
		size_t len = 0;

		for (unsigned i = 0; i < chunks; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
			                        "a\r\n0123456789\r\n");
		len += (size_t)snprintf(text + len, sizeof(text) - len, "0\r\n\r\n");
		for (size_t step = 1; step < 64; step++) {
			feed_pieces(&f, span_of(text, len), step, &o);
			assert_int_equal(o.result, chunks * 10 > CHUNKED_LIMIT ? 413 : END);
			assert_true(o.len <= CHUNKED_LIMIT);
		}
	}
}

static void with_length(void **state)
{
	static const struct {
		int64_t length;
		const char *text;
		unsigned want;
		const char *data;
	} rows[] = {
	        {0, "", END, ""},
	        {0, "next", END, ""},
	        {1, "", MORE, ""},
	        {5, "hello", END, "hello"},
	        {5, "hellonext", END, "hello"},
	        {5, "hell", MORE, "hell"},
	        {1000, "x", MORE, "x"},
	        {1001, "x", 413, ""},
	        {INT64_MAX, "x", 413, ""},
	};
	static struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_framing f = {HTTP_BODY_LENGTH, rows[i].length};

		for (size_t step = 1; step < 12; step++) {
			feed_pieces(&f, span_cstr(rows[i].text), step, &o);
			assert_int_equal(o.result, rows[i].want);
			assert_true(span_eq(span_of(o.data, o.len), span_cstr(rows[i].data)));
			assert_int_equal(o.used, o.len);
		}
	}
}

static void without_body(void **state)
{
	const struct http_framing f = {.kind = HTTP_BODY_NONE};
	struct http_run run;
	struct http_body b;

	(void)state;
	assert_true(http_body_init(&b, &f, 0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(http_body_read(&b, SPAN_LIT("next"), &run), HTTP_RUN_END);
		assert_int_equal(run.used, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(chunked),       cmocka_unit_test(chunked_overhead),
	        cmocka_unit_test(chunked_limit), cmocka_unit_test(with_length),
	        cmocka_unit_test(without_body),
	};

	return cmocka_run_group_tests(tests, guard_setup, guard_teardown);
}
