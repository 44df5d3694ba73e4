/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The response emitter: exact bytes, buffers of every size, and that our own readers take it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/http/http_emit.h"
#include "tests/unit/http/guard.h"

static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
static_assert(sizeof(date) - 1 == HTTP_DATE_BYTES, "IMF-fixdate");

static void decimals(void **state)
{
	static const uint64_t rows[] = {0,
	                                1,
	                                9,
	                                10,
	                                11,
	                                99,
	                                100,
	                                101,
	                                999,
	                                1000,
	                                1001,
	                                65535,
	                                99999,
	                                100000,
	                                UINT32_MAX,
	                                INT64_MAX,
	                                UINT64_MAX - 1,
	                                UINT64_MAX};
	char want[32];
	char got[HTTP_U64_DIGITS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(want, sizeof(want), "%llu", (unsigned long long)rows[i]);
		got[http_u64_write(got, rows[i])] = '\0';
		assert_string_equal(got, want);
	}
	for (uint64_t n = 0; n < 20000; n++) {
		snprintf(want, sizeof(want), "%llu", (unsigned long long)n);
		got[http_u64_write(got, n)] = '\0';
		assert_string_equal(got, want);
	}
}

static size_t head_write(char *buf, size_t cap, unsigned status)
{
	struct http_out o;

	http_out_init(&o, buf, cap);
	http_out_status(&o, status);
	http_out_field(&o, SPAN_LIT("Date"), span_of(date, HTTP_DATE_BYTES));
	http_out_field(&o, SPAN_LIT("ETag"), SPAN_LIT(""));
	http_out_lines(&o, SPAN_LIT("A: b\r\nC: d\r\n"));
	http_out_lines(&o, (struct span){0});
	http_out_u64_field(&o, SPAN_LIT("Content-Length"), 1234567);
	return http_out_end(&o);
}

#define HEAD_REST                                                           \
	"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \r\nA: b\r\nC: d\r\n" \
	"Content-Length: 1234567\r\n\r\n"

static void heads(void **state)
{
	static const struct {
		unsigned status;
		const char *want;
	} rows[] = {
	        {200, "HTTP/1.1 200 OK\r\n" HEAD_REST},
	        {304, "HTTP/1.1 304 Not Modified\r\n" HEAD_REST},
	        {599, "HTTP/1.1 599 Unknown\r\n" HEAD_REST},
	        {100, "HTTP/1.1 100 Continue\r\n" HEAD_REST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t want_len = strlen(rows[i].want);

		/* The buffer ends at the guard page: one byte too far would be seen. */
		for (size_t cap = 0; cap <= want_len + 1; cap++) {
			char *buf = guard.room + GUARD_ROOM_BYTES - cap;
			size_t len = head_write(buf, cap, rows[i].status);

			assert_int_equal(len, cap < want_len ? 0 : want_len);
			assert_memory_equal(buf, rows[i].want, len);
		}
	}
}

struct error_case {
	struct http_error e;
	const char *want;
};

#define BODY_404 "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}\n"
#define PROBLEM  "Content-Type: application/problem+json\r\n"

static const struct error_case errors[] = {
        {{.status = 404, .keep_alive = true},
         "HTTP/1.1 404 Not Found\r\n" PROBLEM "Content-Length: 56\r\n\r\n" BODY_404},
        {{.status = 404, .keep_alive = true, .head_only = true, .date = date},
         "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" PROBLEM
         "Content-Length: 56\r\n\r\n"},
        {{.status = 404, .keep_alive = false},
         "HTTP/1.1 404 Not Found\r\n" PROBLEM
         "Content-Length: 56\r\nConnection: close\r\n\r\n" BODY_404},
        {{.status = 404, .keep_alive = true, .http10 = true},
         "HTTP/1.1 404 Not Found\r\n" PROBLEM
         "Content-Length: 56\r\nConnection: keep-alive\r\n\r\n" BODY_404},
        {{.status = 405,
          .keep_alive = true,
          .head_only = true,
          .allow = HTTP_METHOD_BIT(HTTP_GET) | HTTP_METHOD_BIT(HTTP_HEAD) |
                   HTTP_METHOD_BIT(HTTP_PATCH)},
         "HTTP/1.1 405 Method Not Allowed\r\n" PROBLEM
         "Content-Length: 65\r\nAllow: GET, HEAD, PATCH\r\n\r\n"},
        {{.status = 405, .keep_alive = true, .head_only = true},
         "HTTP/1.1 405 Method Not Allowed\r\n" PROBLEM "Content-Length: 65\r\nAllow: \r\n\r\n"},
        {{.status = 503, .keep_alive = true, .head_only = true, .retry_after_s = 30},
         "HTTP/1.1 503 Service Unavailable\r\n" PROBLEM
         "Content-Length: 66\r\nRetry-After: 30\r\n\r\n"},
        {{.status = 401,
          .keep_alive = true,
          .head_only = true,
          .lines = {"WWW-Authenticate: Bearer\r\n", 26}},
         "HTTP/1.1 401 Unauthorized\r\n" PROBLEM
         "Content-Length: 59\r\nWWW-Authenticate: Bearer\r\n\r\n"},
};

static void error_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		size_t want_len = strlen(errors[i].want);

		for (size_t cap = 0; cap <= want_len; cap++) {
			char *buf = guard.room + GUARD_ROOM_BYTES - cap;
			size_t len = http_emit_error(buf, cap, &errors[i].e);

			assert_int_equal(len, cap < want_len ? 0 : want_len);
			assert_memory_equal(buf, errors[i].want, len);
		}
	}
}

/* Every status fits the promised room, and our own reader agrees on the framing. */
static void errors_read_back(void **state)
{
	static struct http_response_head head;
	char buf[HTTP_ERROR_MAX_BYTES];

	(void)state;
	for (unsigned status = 400; status < 600; status++) {
		const struct http_error e = {.status = status,
		                             .date = date,
		                             .allow = UINT32_MAX,
		                             .retry_after_s = UINT32_MAX};
		size_t len = http_emit_error(buf, sizeof(buf), &e);
		size_t head_len = 0;
		struct http_framing f;

		assert_true(len > 0);
		assert_int_equal(http1_parse_response(buf, len, &head, &head_len), HTTP_SCAN_DONE);
		assert_int_equal(head.status, status);
		f = http1_response_framing(&head.fields, head.minor, HTTP_GET, status);
		assert_int_equal(f.kind, HTTP_BODY_LENGTH);
		assert_int_equal(f.length, len - head_len);
		assert_int_equal(buf[head_len], '{');
		assert_true(http_field_has_token(&head.fields, HDR_CONNECTION, SPAN_LIT("close")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(decimals),
	        cmocka_unit_test(heads),
	        cmocka_unit_test(error_answers),
	        cmocka_unit_test(errors_read_back),
	};

	return cmocka_run_group_tests(tests, guard_setup, guard_teardown);
}
