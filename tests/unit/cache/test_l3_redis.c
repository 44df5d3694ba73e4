/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the Redis backend computes without a server: slots of keys, answers as bytes of any kind and
 * in any pieces, addresses. What needs a server is in tests/e2e/test_l3.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/l3_redis.h"

#define MAX_BYTES 4096u

/* As CLUSTER KEYSLOT of Redis 7 says. */
static const struct {
	const char *key;
	uint16_t slot;
} slot_rows[] = {
        {"", 0},
        {"123456789", 0x31c3}, /* the check value of CRC-16/XMODEM, below 16384 */
        {"foo", 12182},
        {"{foo}", 12182},
        {"bar{foo}baz", 12182},
        {"{foo}{bar}", 12182},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"{", 4092},
        {"}{", 12793},
};

static void test_slots(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slot_rows); i++) {
		uint16_t slot = slot_of_key(span_cstr(slot_rows[i].key));

		if (slot != slot_rows[i].slot)
			fail_msg("'%s': %u", slot_rows[i].key, slot);
	}
}

/* Feeds the bytes in pieces of step; ST_AGAIN, or how it ended. n: answers that were complete. */
static enum status read_all(struct span bytes, size_t step, uint32_t *n)
{
	struct reply_reader *rd = reader_create(MAX_BYTES);
	enum status st = ST_AGAIN;

	*n = 0;
	for (size_t at = 0; at < bytes.len && st == ST_AGAIN; at += step) {
		size_t len = min_size(step, bytes.len - at);
		char *piece = malloc(len);

		memcpy(piece, bytes.ptr + at, len);
		st = reader_feed(rd, span_of(piece, len));
		free(piece);
		while (st == ST_OK) {
			struct reply *r;

			st = reader_next(rd, &r);
			if (st == ST_OK) {
				(*n)++;
				reply_free(r);
			}
		}
	}
	reader_free(rd);
	return st;
}

static const struct {
	const char *bytes;
	enum status want;
	uint32_t answers;
} reply_rows[] = {
        {"", ST_AGAIN, 0},
        {"+OK\r\n", ST_AGAIN, 1},
        {"+OK\r\n-ERR x\r\n:5\r\n$3\r\nabc\r\n$-1\r\n*0\r\n*-1\r\n", ST_AGAIN, 7},
        {"*2\r\n*1\r\n$1\r\na\r\n:1\r\n", ST_AGAIN, 1},
        {"$5\r\nab", ST_AGAIN, 0},
        {"*3\r\n:1\r\n", ST_AGAIN, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", ST_CORRUPT, 0},
        {"\r\n", ST_CORRUPT, 0},
        {"$-2\r\n", ST_CORRUPT, 0},
        {"*-2\r\n", ST_CORRUPT, 0},
        {"$99999999999999999999\r\n", ST_CORRUPT, 0},
        {"*2147483647\r\n", ST_TOOBIG, 0},
        {"*1000\r\n", ST_TOOBIG, 0},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ST_CORRUPT, 0},
        {":1\r\n*2\r\n*2\r\n$1\r\na\r\n*900\r\n", ST_TOOBIG, 1},
};

static void test_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reply_rows); i++) {
		struct span bytes = span_cstr(reply_rows[i].bytes);

		for (size_t step = 1; step <= bytes.len + 1; step++) {
			uint32_t n;
			enum status st = read_all(bytes, step, &n);

			if (st != reply_rows[i].want || n != reply_rows[i].answers)
				fail_msg("row %zu in pieces of %zu: %s, %u answers", i, step,
				         status_text(st), n);
		}
	}
}

/* What is announced costs nothing until it is there, and no more than the bound then. */
static void test_reply_without_end(void **state)
{
	struct reply_reader *rd = reader_create(MAX_BYTES);
	struct reply *r;
	char block[512];
	uint32_t fed = 0;
	enum status st;

	(void)state;
	memset(block, 'x', sizeof(block));
	assert_int_equal(reader_feed(rd, SPAN_LIT("$2000000000\r\n")), ST_OK);
	assert_int_equal(reader_next(rd, &r), ST_AGAIN);
	do {
		st = reader_feed(rd, span_of(block, sizeof(block)));
		fed += st == ST_OK;
		if (st == ST_OK)
			assert_int_equal(reader_next(rd, &r), ST_AGAIN);
	} while (st == ST_OK && fed < 1000);
	assert_int_equal(st, ST_TOOBIG);
	assert_in_range(fed, 1, MAX_BYTES / sizeof(block));
	reader_free(rd);
}

static void test_reply_contents(void **state)
{
	struct reply_reader *rd = reader_create(MAX_BYTES);
	struct reply *r = NULL;

	(void)state;
	assert_int_equal(reader_feed(rd, SPAN_LIT("*3\r\n$4\r\na\0\r\n\r\n:-7\r\n+yes\r\n")),
	                 ST_OK);
	assert_int_equal(reader_next(rd, &r), ST_OK);
	assert_int_equal(r->count, 3);
	assert_true(span_eq(reply_item(r, 0, REPLY_STRING)->text, SPAN_LIT("a\0\r\n")));
	assert_true(reply_item(r, 1, REPLY_INTEGER)->integer == -7);
	assert_null(reply_item(r, 1, REPLY_STRING));
	assert_null(reply_item(r, 3, REPLY_STRING));
	assert_null(reply_item(NULL, 0, REPLY_STRING));
	assert_null(reply_item(reply_item(r, 2, REPLY_STATUS), 0, REPLY_STRING));
	reply_free(r);
	reader_free(rd);
}

static const struct {
	const char *host;
	int64_t port;
	const char *text; /* NULL: refused */
} numeric_rows[] = {
        {"127.0.0.1", 6379, "127.0.0.1:6379"},
        {"::1", 1, "[::1]:1"},
        {"fe80::1", 65535, "[fe80::1]:65535"},
        {"127.0.0.1", 0, NULL},
        {"127.0.0.1", 65536, NULL},
        {"127.0.0.1", -1, NULL},
        {"redis.example", 6379, NULL},
        {"", 6379, NULL},
        {"127.0.0.1.example.com.example.com.example.com.example.com", 6379, NULL},
};

static void test_addresses(void **state)
{
	struct raddr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numeric_rows); i++) {
		enum status st =
		        raddr_numeric(&a, span_cstr(numeric_rows[i].host), numeric_rows[i].port);

		assert_int_equal(st, numeric_rows[i].text != NULL ? ST_OK : ST_INVALID);
		if (st != ST_OK)
			continue;
		assert_string_equal(a.text, numeric_rows[i].text);
		assert_int_equal(raddr_parse(&b, numeric_rows[i].text), ST_OK);
		assert_true(raddr_eq(&a, &b));
	}
	assert_int_equal(raddr_parse(&a, "/run/redis.sock"), ST_OK);
	assert_int_equal(raddr_parse(&b, "/run/other.sock"), ST_OK);
	assert_true(raddr_eq(&a, &a) && !raddr_eq(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_slots),
	        cmocka_unit_test(test_replies),
	        cmocka_unit_test(test_reply_without_end),
	        cmocka_unit_test(test_reply_contents),
	        cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
