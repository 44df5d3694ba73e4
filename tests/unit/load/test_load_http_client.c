/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's answer reader: every case whole, byte by byte, in two pieces at each place, and
 * behind itself with a memo. */
#include "perf/load/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

struct answer_case {
	const char *text;
	enum http_method method;
	enum http_read result; /* at the end of text */
	uint16_t status;
	bool keep;
	bool known;
	bool hit;
	bool by_eof;     /* the end of the connection makes it whole */
	uint32_t behind; /* bytes of text that are not the answer's */
};

#define OK11 "HTTP/1.1 200 OK\r\n"

#define BASE(t, m, r) .text = (t), .method = (m), .result = HTTP_READ_##r
#define DONE(t, m, s, ...)                                   \
	{                                                    \
		BASE(t, m, DONE), .status = (s), __VA_ARGS__ \
	}
#define KEPT(t, m, ...) DONE(t, m, __VA_ARGS__, .keep = true)
#define MORE(t, m)               \
	{                        \
		BASE(t, m, MORE) \
	}
#define BAD(t, m)               \
	{                       \
		BASE(t, m, BAD) \
	}
#define UNTIL_END(t, m, s)                                      \
	{                                                       \
		BASE(t, m, MORE), .status = (s), .by_eof = true \
	}

static const struct answer_case cases[] = {
        /* by length */
        KEPT(OK11 "Content-Length: 5\r\n\r\nhello", HTTP_GET, 200),
        KEPT(OK11 "content-length:0\r\n\r\n", HTTP_GET, 200),
        MORE(OK11 "Content-Length: 5\r\n\r\nhell", HTTP_GET),
        KEPT(OK11 "Content-Length: 5\r\n\r\nhelloHTTP/1.1 2", HTTP_GET, 200, .behind = 10),
        DONE(OK11 "Content-Length: 5\r\nConnection: close\r\n\r\nhello", HTTP_GET, 200),
        DONE(OK11 "Content-Length: 5\r\nConnection: x, Close\r\n\r\nhello", HTTP_GET, 200),
        DONE("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", HTTP_GET, 200),
        KEPT("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx", HTTP_GET,
             200),
        KEPT("HTTP/1.1 404\r\nContent-Length: 1\r\n\r\nx", HTTP_GET, 404),
        KEPT("HTTP/1.1 599 \r\nContent-Length: 1\r\n\r\nx", HTTP_GET, 599),
        /* without a body, whatever the fields say */
        KEPT(OK11 "Content-Length: 500\r\n\r\n", HTTP_HEAD, 200),
        KEPT(OK11 "Transfer-Encoding: chunked\r\n\r\n", HTTP_HEAD, 200),
        KEPT("HTTP/1.1 204 No Content\r\n\r\n", HTTP_GET, 204),
        KEPT("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", HTTP_GET, 304),
        KEPT("HTTP/1.1 204 No Content\r\n\r\nx", HTTP_DELETE, 204, .behind = 1),
        /* interim answers */
        KEPT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
             HTTP_POST, 201),
        KEPT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" OK11
             "Content-Length: 2\r\n\r\nok",
             HTTP_GET, 200),
        MORE("HTTP/1.1 100 Continue\r\n\r\n", HTTP_POST),
        BAD("HTTP/1.1 101 Switching Protocols\r\n\r\n", HTTP_GET),
        /* chunked */
        KEPT(OK11 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HTTP_GET, 200),
        KEPT(OK11 "Transfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\nA\r\n0123456789\r\n0\r\n"
                  "Trailer: x\r\n\r\nnext",
             HTTP_GET, 200, .behind = 4),
        KEPT(OK11 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HTTP_GET, 200),
        MORE(OK11 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r", HTTP_GET),
        BAD(OK11 "Transfer-Encoding: chunked\r\n\r\nzz\r\n", HTTP_GET),
        BAD(OK11 "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX", HTTP_GET),
        BAD(OK11 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HTTP_GET),
        BAD(OK11 "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", HTTP_GET),
        /* until the connection ends */
        UNTIL_END(OK11 "\r\nwhatever comes", HTTP_GET, 200),
        UNTIL_END("HTTP/1.0 500 Oops\r\n\r\n", HTTP_GET, 500),
        /* Cache-Status (RFC 9211) */
        KEPT(OK11 "Cache-Status: Sluice; hit\r\nContent-Length: 1\r\n\r\nx", HTTP_GET, 200,
             .known = true, .hit = true),
        KEPT(OK11 "Cache-Status: A; fwd=miss, B; hit; ttl=5\r\nContent-Length: 1\r\n\r\nx",
             HTTP_GET, 200, .known = true, .hit = true),
        KEPT(OK11 "Cache-Status: A; fwd=miss\r\nCache-Status: B;hit\r\nContent-Length: 1\r\n\r\nx",
             HTTP_GET, 200, .known = true, .hit = true),
        KEPT(OK11 "Cache-Status: Sluice; fwd=uri-miss; stored\r\nContent-Length: 1\r\n\r\nx",
             HTTP_GET, 200, .known = true),
        /* garbage */
        BAD("SSH-2.0-OpenSSH_9.2\r\n", HTTP_GET),
        BAD("HTTP/2.0 200 OK\r\n\r\n", HTTP_GET),
        BAD("HTTP/1.1 99 Low\r\n\r\n", HTTP_GET),
        BAD("HTTP/1.1 600 High\r\n\r\n", HTTP_GET),
        BAD("HTTP/1.1 200 OK\nContent-Length: 1\n\nx", HTTP_GET),
        BAD(OK11 "No colon here\r\n\r\n", HTTP_GET),
        BAD(OK11 "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", HTTP_GET),
        BAD(OK11 "Content-Length: -1\r\n\r\n", HTTP_GET),
        BAD(OK11 "Content-Length: 99999999999999999999\r\n\r\n", HTTP_GET),
};

/* How a case ended. */
struct ending {
	enum http_read read;
	size_t taken;
	struct http_answer answer;
};

/* The first piece has `first` bytes at most, each other one `rest`. */
struct pieces {
	size_t first;
	size_t rest;
};

static struct ending feed(struct http_client *c, struct http_memo *memo,
                          const struct answer_case *k, struct pieces pieces)
{
	size_t len = strlen(k->text);
	struct ending e = {.read = HTTP_READ_MORE};

	for (size_t n = pieces.first; e.taken < len; n = pieces.rest) {
		/* A copy of just the piece: reading beyond it is an error that tools see. */
		size_t give = min_size(n, len - e.taken);
		char *copy = malloc(give);
		size_t used = 0;

		assert_non_null(copy);
		memcpy(copy, k->text + e.taken, give);
		e.read =
		        http_client_read(c, memo, k->method, span_of(copy, give), &used, &e.answer);
		free(copy);
		e.taken += used;
		if (e.read != HTTP_READ_MORE)
			return e;
		assert_int_equal(used, give);
	}
	return e;
}

static void check(const struct answer_case *k, const struct ending *e)
{
	assert_int_equal(e->read, k->result);
	if (e->read != HTTP_READ_DONE && !k->by_eof)
		return;
	assert_int_equal(e->answer.status, k->status);
	assert_int_equal(e->answer.keep, k->keep);
	assert_int_equal(e->answer.cache_known, k->known);
	assert_int_equal(e->answer.hit, k->hit);
	assert_int_equal(e->taken, strlen(k->text) - k->behind);
	assert_int_equal(e->answer.bytes, e->taken);
}

static void run_case(const struct answer_case *k, struct pieces pieces)
{
	struct http_client c = {0};
	struct ending e = feed(&c, NULL, k, pieces);

	if (k->by_eof) {
		struct http_answer again;

		assert_true(http_client_eof(&c, &e.answer));
		assert_false(http_client_eof(&c, &again));
	} else if (e.read == HTTP_READ_MORE) {
		assert_false(http_client_eof(&c, &e.answer));
	}
	check(k, &e);
	http_client_free(&c);
}

static void whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(&cases[i], (struct pieces){SIZE_MAX, SIZE_MAX});
}

static void byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(&cases[i], (struct pieces){1, 1});
}

static void two_pieces_at_every_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t at = 1; at < strlen(cases[i].text); at++)
			run_case(&cases[i], (struct pieces){at, SIZE_MAX});
}

/* The second and third answers meet the first one's memo, also in pieces. */
static void a_memo_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct answer_case *k = &cases[i];
		struct http_memo *memo = calloc(1, sizeof(*memo));
		struct http_client c = {0};
		static const size_t pieces[] = {SIZE_MAX, SIZE_MAX, 7, 40, SIZE_MAX};

		assert_non_null(memo);
		for (size_t n = 0; n < ARRAY_LEN(pieces); n++) {
			struct ending e = feed(&c, memo, k, (struct pieces){pieces[n], pieces[n]});

			if (k->by_eof)
				assert_true(http_client_eof(&c, &e.answer));
			check(k, &e);
			http_client_reset(&c);
		}
		http_client_free(&c);
		free(memo);
	}
}

/* A memo of one request's answer says nothing of another method's, or of a longer head. */
static void a_memo_is_not_mistaken(void **state)
{
	static const struct answer_case first =
	        KEPT(OK11 "Content-Length: 5\r\n\r\nhello", HTTP_GET, 200);
	static const struct answer_case head =
	        KEPT(OK11 "Content-Length: 5\r\n\r\n", HTTP_HEAD, 200);
	static const struct answer_case longer =
	        KEPT(OK11 "Content-Length: 5\r\nX: y\r\n\r\nhello", HTTP_GET, 200);
	static const struct answer_case other =
	        KEPT(OK11 "Content-Length: 4\r\n\r\nhell", HTTP_GET, 200);
	static const struct answer_case *const order[] = {&first, &head,  &first, &longer,
	                                                  &first, &other, &head,  &other};
	struct http_memo *memo = calloc(1, sizeof(*memo));
	struct http_client c = {0};

	(void)state;
	assert_non_null(memo);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct ending e = feed(&c, memo, order[i], (struct pieces){SIZE_MAX, SIZE_MAX});

		check(order[i], &e);
	}
	http_client_free(&c);
	free(memo);
}

/* A head of `bytes` in pieces of `piece`: good up to the limit, refused above. */
static enum http_read long_head(size_t bytes, size_t piece)
{
	static const char start[] = OK11 "Content-Length: 0\r\nX: ";
	static const char end[] = "\r\n\r\n";
	char *text = malloc(bytes + 1);
	struct http_client c = {0};

	assert_non_null(text);
	memset(text, 'x', bytes);
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + bytes - sizeof(end) + 1, end, sizeof(end));
	struct answer_case k = {.text = text, .method = HTTP_GET};
	struct ending e = feed(&c, NULL, &k, (struct pieces){piece, piece});
	http_client_free(&c);
	free(text);
	return e.read;
}

static void heads_have_a_limit(void **state)
{
	(void)state;
	assert_int_equal(long_head(HTTP_CLIENT_HEAD_MAX, 1000), HTTP_READ_DONE);
	assert_int_equal(long_head(HTTP_CLIENT_HEAD_MAX + 1, 1000), HTTP_READ_BAD);
	assert_int_equal(long_head(HTTP_CLIENT_HEAD_MAX, SIZE_MAX), HTTP_READ_DONE);
	assert_int_equal(long_head(HTTP_CLIENT_HEAD_MAX + 1, SIZE_MAX), HTTP_READ_BAD);
	assert_int_equal(long_head(5000, 1), HTTP_READ_DONE);
	assert_int_equal(long_head(5000, 4095), HTTP_READ_DONE);
	assert_int_equal(long_head(5000, 4097), HTTP_READ_DONE);
}

static void interim_answers_have_a_limit(void **state)
{
	struct http_client c = {0};
	struct http_answer a;
	size_t used;
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	(void)state;
	for (uint32_t i = 0; i < HTTP_CLIENT_INTERIM_MAX; i++)
		assert_int_equal(http_client_read(&c, NULL, HTTP_GET, SPAN_LIT(text), &used, &a),
		                 HTTP_READ_MORE);
	assert_int_equal(http_client_read(&c, NULL, HTTP_GET, SPAN_LIT(text), &used, &a),
	                 HTTP_READ_BAD);
	http_client_free(&c);
}

static void cache_status(void **state)
{
	static const struct {
		const char *value;
		bool hit;
	} values[] = {
	        {"Sluice; hit", true},
	        {"Sluice;hit", true},
	        {"Sluice ; hit", true},
	        {"Sluice; hit=?1", true},
	        {"Sluice; hit=?0", false},
	        {"Sluice; hits", false},
	        {"Sluice; fwd=hit", false},
	        {"hit", false},
	        {"hit; fwd=miss", false},
	        {"A; fwd=stale, B; ttl=-3; hit", true},
	        {"A; key=\"x; hit\"", false},
	        {"A; key=\"x, B; hit\"; fwd=miss", false},
	        {"A; key=\"\\\"; hit\"", false},
	        {"A; detail=\"q\"; hit", true},
	        {"\"a, b\"; hit", true},
	        {"", false},
	        {";", false},
	        {"A; key=\"open; hit", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (http_cache_status_hit(span_cstr(values[i].value)) != values[i].hit)
			fail_msg("%s", values[i].value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(whole),
	        cmocka_unit_test(byte_by_byte),
	        cmocka_unit_test(two_pieces_at_every_place),
	        cmocka_unit_test(a_memo_changes_nothing),
	        cmocka_unit_test(a_memo_is_not_mistaken),
	        cmocka_unit_test(heads_have_a_limit),
	        cmocka_unit_test(interim_answers_have_a_limit),
	        cmocka_unit_test(cache_status),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
