/* SPDX-License-Identifier: BSD-2-Clause */
#include "response_rows.h"

#include "cache/inval.h"

#define LATER_MS (NOW_MS + 100000)
#define LATER    "Tue, 14 Nov 2023 22:15:00 GMT"
#define DATE2    "Date: " LATER N
#define E        "ETag: \"a\"" N
#define LEN      "Content-Length: 1" N
#define AGE1     CC "max-age=1" N
#define AGE9     CC "max-age=9" N

/* The stored answer's lines, then the 304's (RFC 9111 3.2, 4.3.4) */

struct merge_row {
	const char *rfc;
	const char *stored; /* of the 200 */
	const char *update; /* of the 304 */
	const char *lines;
};

static const struct merge_row merge_rows[] = {
        {"4.3.4", LEN DATE E AGE1 "A: 1" N, DATE2 E AGE9, "A: 1" N VIA DATE2 E AGE9},
        {"4.3.4", LEN DATE E AGE1 "A: 1" N, "", E AGE1 "A: 1" N VIA DATE2},
        {"3.2", LEN DATE E "A: 1" N "A: 2" N "B: 3" N, "A: 4" N, E "B: 3" N VIA "A: 4" N DATE2},
        {"3.2", LEN DATE E "A: 1" N, "a: 4" N "A: 5" N, E VIA "a: 4" N "A: 5" N DATE2},
        {"3.2", LEN DATE E, "New: 1" N, E VIA "New: 1" N DATE2},
        {"3.2", LEN DATE E "Content-Type: a" N, "Content-Type: b" N,
         E VIA "Content-Type: b" N DATE2},
        {"3.2", LEN DATE E "Content-Encoding: a" N, "Content-Encoding: b" N,
         E "Content-Encoding: a" N VIA DATE2},
        {"3.2", LEN DATE E, "Content-Encoding: b" N "Content-Length: 7" N, E VIA DATE2},
        {"3.2", LEN DATE E, "Content-Range: bytes 0-1/2" N, E VIA DATE2},
        {"3.1", LEN DATE E "A: 1" N, "Connection: A" N "A: 2" N, E "A: 1" N VIA DATE2},
        {"3.1", LEN DATE E, "Keep-Alive: x" N "Upgrade: y" N "Age: 5" N, E VIA DATE2},
        {"3.1", LEN DATE E AGE1 "A: 1" N, CC "no-cache=\"a\", max-age=9" N "A: 2" N,
         E VIA CC "no-cache=\"a\", max-age=9" N DATE2},
        {"RFC 9110 7.6.3", LEN DATE E "Via: 1.1 x" N, "Via: 1.1 y" N, E "Via: 1.1 x" N VIA DATE2},
        {"targeted", LEN DATE E, "Sluice-Cache-Control: max-age=5" N "Surrogate-Key: x" N,
         E VIA DATE2},
        {"4.3.4", LEN DATE "ETag: W/\"a\"" N, E, VIA E DATE2},
};

/* b: the freshened answer. */
static void freshen(const struct answer *stored, const char *update, struct answer *b)
{
	struct request *r = request_make(HTTP_GET, CHAN_REQ_STORE, "");

	answer_parse(b, r, 304, update);
	b->in.request_wall_ms = LATER_MS;
	b->in.response_wall_ms = LATER_MS;
	b->in.born_seq = 43;
	b->status = response_freshen(&stored->o, &b->in, b->mem, sizeof(b->mem), &b->out);
	free(r);
}

static void test_merge(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(merge_rows); i++) {
		const struct merge_row *r = &merge_rows[i];
		static struct answer a, b;

		answer_make(&a, 200, r->stored);
		freshen(&a, r->update, &b);
		if (b.status != ST_OK || !lines_are(&b, r->lines))
			fail_msg("row %zu (%s): %.*s", i, r->rfc, (int)b.o.fields_len,
			         object_fields(&b.o).ptr);
		assert_int_equal(b.out.len, object_head_bytes(&b.o));
		assert_true(object_head_valid(b.mem, b.out.len));
		assert_true(span_eq(object_key(&b.o), SPAN_LIT("key")));
		assert_true(hash128_eq(b.o.hash, a.o.hash));
		assert_int_equal(b.o.body_len, 1);
		assert_int_equal(b.o.status, 200);
		assert_int_equal(b.o.born_seq, 43);
	}
}

/* How long it is fresh from now on */

struct again_row {
	const char *rfc;
	const char *stored;
	const char *update;
	int64_t lifetime_ms; /* from LATER_MS */
	uint32_t age_s;
	uint32_t error_s;
	uint16_t flags;
};

#define S    OBJECT_STORABLE
#define V    OBJECT_REVALIDATE
#define T    OBJECT_TARGETED
#define OURS "Sluice-Cache-Control: "

static const struct again_row again_rows[] = {
        {"4.3.4", AGE1, AGE9 DATE2, 9000, 0, 0, S},
        {"4.3.4", AGE1, DATE2, 1000, 0, 0, S},
        {"4.2.3", AGE9, DATE2 "Age: 4" N, 5000, 4, 0, S},
        {"4.2.3", AGE9 "Age: 7" N, DATE2, 9000, 0, 0, S},
        {"RFC 9110 6.6.1", CC "max-age=200" N DATE, "", 200000, 0, 0, S},
        {"4.2.3", CC "max-age=200" N, DATE, 100000, 100, 0, S},
        {"4.3.4", AGE1, CC "no-cache" N DATE2, 0, 0, 0, S | V},
        {"4.3.4", CC "no-cache" N, AGE9 DATE2, 9000, 0, 0, S},
        {"4.3.4", CC "no-cache" N, DATE2, 0, 0, 0, S | V},
        {"4.3.4", AGE1, CC "no-store" N DATE2, 0, 0, 0, 0},
        {"4.3.4", AGE1, CC "private" N DATE2, 0, 0, 0, 0},
        {"4.3.4", AGE9, "Set-Cookie: a=b" N DATE2, 9000, 0, 0, 0},
        {"RFC 5861 4", CC "max-age=1, stale-if-error=5" N, DATE2, 1000, 0, 5, S},
        {"RFC 5861 4", CC "max-age=1, stale-if-error=5" N, DATE2 AGE9, 9000, 0, 0, S},
        {"4.2.1", "Expires: Tue, 14 Nov 2023 22:13:30 GMT" N DATE, DATE2, 0, 0, 0, S},
        {"4.2.1", "Expires: Tue, 14 Nov 2023 22:13:30 GMT" N DATE,
         DATE2 "Expires: Tue, 14 Nov 2023 22:15:07 GMT" N, 7000, 0, 0, S},
        {"RFC 9213", OURS "max-age=7, stale-if-error=3" N AGE1, DATE2, 7000, 0, 3, S | T},
        {"RFC 9213", OURS "max-age=7" N "Age: 2" N AGE1, DATE2, 7000, 0, 0, S | T},
        {"RFC 9213", OURS "max-age=7" N AGE1, DATE2 "Age: 2" N, 5000, 2, 0, S | T},
        {"RFC 9213", OURS "max-age=7" N AGE1, DATE2 AGE9, 7000, 0, 0, S | T},
        {"RFC 9213", OURS "max-age=7" N AGE1, DATE2 OURS "max-age=8" N, 8000, 0, 0, S | T},
        {"RFC 9213", OURS "no-cache" N AGE1, DATE2, 0, 0, 0, S | T | V},
        {"7.3", OURS "max-age=7" N AGE1, DATE2 "Set-Cookie: a=b" N, 7000, 0, 0, T},
        {"4.1", OURS "max-age=7" N AGE1, DATE2 "Vary: *" N, 7000, 0, 0, T},
        {"RFC 9213", AGE1, DATE2 OURS "max-age=8" N, 8000, 0, 0, S | T},
        {"RFC 9213", AGE1, DATE2 OURS "no-store" N, 0, 0, 0, T},
        {"RFC 9213", "CDN-Cache-Control: max-age=7" N AGE1, DATE2 AGE9, 7000, 0, 0, S},
};

static void test_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(again_rows); i++) {
		const struct again_row *r = &again_rows[i];
		static struct answer a, b;
		char fields[1024];

		snprintf(fields, sizeof(fields), LEN E "%s", r->stored);
		answer_make(&a, 200, fields);
		freshen(&a, r->update, &b);
		int64_t lifetime_ms = (int64_t)(b.o.expires_ms - LATER_MS);
		if (b.status != ST_OK || lifetime_ms != r->lifetime_ms ||
		    b.o.initial_age_s != r->age_s || b.o.stale_error_s != r->error_s ||
		    b.o.flags != r->flags)
			fail_msg("row %zu (%s): lifetime %lld age %u error %u flags %x", i, r->rfc,
			         (long long)lifetime_ms, b.o.initial_age_s, b.o.stale_error_s,
			         b.o.flags);
		assert_int_equal(b.o.response_ms, LATER_MS);
		assert_int_equal(b.out.storable, (r->flags & S) != 0);
		assert_int_equal(b.out.shared, (r->flags & S) != 0 && lifetime_ms > 0);
	}
}

/* Twice freshened is as long fresh as once. */
static void test_targeted_twice(void **state)
{
	static struct answer a, b, c;

	(void)state;
	answer_make(&a, 200, LEN E OURS "max-age=7" N "Age: 3" N);
	assert_int_equal(a.o.expires_ms, NOW_MS + 4000);
	freshen(&a, DATE2, &b);
	freshen(&b, DATE2, &c);
	assert_int_equal(c.o.expires_ms, LATER_MS + 7000);
	assert_true(c.o.flags & OBJECT_TARGETED);
}

static void test_validators(void **state)
{
	static struct answer a, b;

	(void)state;
	answer_make(&a, 200, LEN "ETag: W/\"a\"" N AGE1 "Last-Modified: " NOW N);
	freshen(&a, E AGE9 "X: y" N "Last-Modified: " LATER N, &b);
	assert_true(span_eq(object_etag(&b.o), SPAN_LIT("\"a\"")));
	assert_true(span_eq(object_last_modified(&b.o), SPAN_LIT(LATER)));
	freshen(&a, AGE9, &b);
	assert_true(span_eq(object_etag(&b.o), SPAN_LIT("W/\"a\"")));
	assert_true(span_eq(object_last_modified(&b.o), SPAN_LIT(NOW)));
}

/* An ETag of ours stays ours, until the origin has one: then it is another answer. */
static void test_made_etag(void **state)
{
	static struct answer a, b;
	static uint64_t mem[2048];

	(void)state;
	answer_make(&a, 200, LEN AGE1 "Last-Modified: " NOW N);
	assert_true(response_add_etag(&a.o, SPAN_LIT("\"made\""), mem, sizeof(mem)) > 0);
	memcpy(a.mem, mem, sizeof(mem));
	freshen(&a, AGE9 "Last-Modified: " NOW N, &b);
	assert_int_equal(b.status, ST_OK);
	assert_true(b.o.flags & OBJECT_ETAG_MADE);
	assert_true(span_eq(object_etag(&b.o), SPAN_LIT("\"made\"")));
	freshen(&a, AGE9 E, &b);
	assert_int_equal(b.status, ST_NOTFOUND);
}

static void test_refused(void **state)
{
	struct request *r = request_make(HTTP_GET, CHAN_REQ_STORE, "");
	static struct answer a, b;

	(void)state;
	answer_make(&a, 200, LEN E AGE1 "Surrogate-Key: t" N);
	freshen(&a, "ETag: \"b\"" N AGE9, &b);
	assert_int_equal(b.status, ST_NOTFOUND);
	answer_parse(&b, r, 200, E AGE9);
	assert_int_equal(response_freshen(&a.o, &b.in, b.mem, sizeof(b.mem), &b.out), ST_INVALID);
	answer_parse(&b, r, 304, E AGE9);
	assert_int_equal(response_freshen(&a.o, &b.in, b.mem, sizeof(b.mem), &b.out), ST_OK);
	uint32_t len = b.out.len;
	for (uint32_t cap = 0; cap < len; cap++)
		assert_int_equal(response_freshen(&a.o, &b.in, b.mem, cap, &b.out), ST_TOOBIG);
	assert_int_equal(response_freshen(&a.o, &b.in, b.mem, len, &b.out), ST_OK);
	free(r);
}

/* 4.3.5: a HEAD that says the same freshens, any other does not. */
static void test_head(void **state)
{
	struct request *r = request_make(HTTP_HEAD, 0, "");
	static struct answer a, b;

	(void)state;
	answer_make(&a, 200, LEN E AGE1 "A: 1" N);
	answer_parse(&b, r, 200, LEN E AGE9 "A: 2" N);
	assert_int_equal(response_freshen_head(&a.o, &b.in, b.mem, sizeof(b.mem), &b.out), ST_OK);
	assert_int_equal(b.o.expires_ms, NOW_MS + 9000);
	assert_int_equal(b.o.body_len, 1);
	assert_true(lines_are(&b, VIA E AGE9 "A: 2" N DATE));
	answer_parse(&b, r, 200, "Content-Length: 2" N E AGE9);
	assert_int_equal(response_freshen_head(&a.o, &b.in, b.mem, sizeof(b.mem), &b.out),
	                 ST_NOTFOUND);
	answer_parse(&b, r, 410, LEN E AGE9);
	assert_int_equal(response_freshen_head(&a.o, &b.in, b.mem, sizeof(b.mem), &b.out),
	                 ST_NOTFOUND);
	free(r);
}

/* Tags only grow: the stored head has not the fields that they came from. */
static void test_tags(void **state)
{
	static struct answer a, b;

	(void)state;
	answer_make(&a, 200, LEN E AGE1 "Surrogate-Key: a b" N);
	freshen(&a, AGE9, &b);
	assert_int_equal(b.o.tag_count, 2);
	assert_memory_equal(object_tags(&b.o), object_tags(&a.o), 8);
	freshen(&a, AGE9 "Surrogate-Key: b c" N, &b);
	assert_int_equal(b.o.tag_count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_merge),          cmocka_unit_test(test_again),
	        cmocka_unit_test(test_targeted_twice), cmocka_unit_test(test_validators),
	        cmocka_unit_test(test_refused),        cmocka_unit_test(test_made_etag),
	        cmocka_unit_test(test_head),           cmocka_unit_test(test_tags),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
