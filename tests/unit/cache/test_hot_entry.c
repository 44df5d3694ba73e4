/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an entry of the hot tables keeps of an object: exact where the header says so, else on the
 * safe side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/hot_entry.h"

#define DAY_MS  86400000ull
#define WALL_MS 1800000000000ull /* 2027 */

static struct object round_trip(const struct object *o)
{
	struct hot_entry e;
	struct object out = {0};

	assert_true(hot_entry_make(&e, o));
	e.body_len = (uint32_t)o->body_len;
	hot_entry_view(&e, &out);
	return out;
}

static void test_times(void **state)
{
	static const struct {
		uint64_t response_ms;
		uint32_t age_s;
		uint64_t expires_ms;
		uint64_t made_ms; /* wanted */
		uint64_t kept_ms; /* wanted: expires_ms */
	} rows[] = {
	        {0, 0, 0, 0, 0},
	        {WALL_MS, 0, WALL_MS, WALL_MS, WALL_MS},
	        {WALL_MS, 0, WALL_MS + 1, WALL_MS, WALL_MS + 1},
	        {WALL_MS, 60, WALL_MS + 1, WALL_MS - 60000, WALL_MS + 1},
	        /* Stale when it came. */
	        {WALL_MS, 60, WALL_MS - 60000, WALL_MS - 60000, WALL_MS - 60000},
	        {WALL_MS, 60, WALL_MS - 60001, WALL_MS - 60000, 0},
	        /* Exact up to 2^31 ms, then in seconds. */
	        {WALL_MS, 0, WALL_MS + 0x7fffffff, WALL_MS, WALL_MS + 0x7fffffff},
	        {WALL_MS, 0, WALL_MS + 25 * DAY_MS + 999, WALL_MS, WALL_MS + 25 * DAY_MS},
	        {WALL_MS, 0, UINT64_MAX - 1, WALL_MS, WALL_MS + HOT_LIFE_S_MAX * 1000ull},
	        {WALL_MS, 0, UINT64_MAX, WALL_MS, UINT64_MAX},
	        /* Before 1970, and after 2109. */
	        {1000, 2, 5000, 0, 5000},
	        {1ull << 43, 0, UINT64_MAX - 1, HOT_MADE_MAX,
	         HOT_MADE_MAX + HOT_LIFE_S_MAX * 1000ull},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct object o = {.status = 200,
		                   .response_ms = rows[i].response_ms,
		                   .initial_age_s = rows[i].age_s,
		                   .expires_ms = rows[i].expires_ms};
		struct object got = round_trip(&o);

		if (got.response_ms != rows[i].made_ms || got.expires_ms != rows[i].kept_ms)
			fail_msg("row %zu: %llu, %llu", i, (unsigned long long)got.response_ms,
			         (unsigned long long)got.expires_ms);
		assert_true(got.expires_ms <= o.expires_ms);
		/* The age is what it was, at any time since. */
		for (uint64_t past = 0; past < 3000 && rows[i].made_ms == WALL_MS; past += 499)
			assert_int_equal(object_age_s(&got, WALL_MS + past),
			                 object_age_s(&o, WALL_MS + past));
	}
}

/* The word of a gap is no lifetime. */
static void test_gap(void **state)
{
	(void)state;
	assert_true(hot_life_pack(0, UINT64_MAX - 1) < HOT_LIFE_NEVER);
	assert_true(HOT_LIFE_NEVER < HOT_LIFE_ENDED && HOT_LIFE_ENDED < HOT_GAP);
	assert_true(hot_life_pack(1, 0) == HOT_LIFE_ENDED);
	assert_int_equal(hot_life_expires_ms(WALL_MS, HOT_LIFE_ENDED), 0);
}

static void test_grace(void **state)
{
	static const struct {
		uint32_t s, kept;
	} rows[] = {
	        {0, 0},
	        {1, 1},
	        {127, 127},
	        {128, 128},
	        {255, 255},
	        {256, 256},
	        {257, 256},
	        {300, 300},
	        {600, 600},
	        {3600, 3600},
	        {86400, 86016},
	        {31536000, 31457280},
	        {1u << 31, 1u << 31},
	        {UINT32_MAX, 0xff000000u},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct object o = {
		        .status = 200, .stale_while_s = rows[i].s, .stale_error_s = rows[i].s};
		struct object got = round_trip(&o);

		if (got.stale_while_s != rows[i].kept || got.stale_error_s != rows[i].kept)
			fail_msg("row %zu: %u", i, got.stale_while_s);
		assert_true(rows[i].s - got.stale_while_s <= rows[i].s / 128);
	}
}

/* All that fits comes back; of what does not, born_seq counts as early, the rest is refused. */
static void test_rest(void **state)
{
	static const uint64_t born[][2] = {
	        {0, 0},
	        {1, 1},
	        {WALL_MS * 1000, WALL_MS * 1000}, /* as control counts */
	        {HOT_BORN_MAX, HOT_BORN_MAX},
	        {HOT_BORN_MAX + 1, HOT_BORN_MAX},
	        {UINT64_MAX >> 2, HOT_BORN_MAX},
	};
	struct object o = {.status = 999,
	                   .flags = HOT_FLAGS_MAX,
	                   .tag_count = OBJECT_TAGS_MAX,
	                   .key_len = 2048,
	                   .fields_len = HOT_FIELDS_MAX,
	                   .body_len = UINT32_MAX};
	struct hot_entry e;
	struct object got = round_trip(&o);

	(void)state;
	assert_int_equal(got.status, 999);
	assert_int_equal(got.flags, HOT_FLAGS_MAX);
	assert_int_equal(got.tag_count, OBJECT_TAGS_MAX);
	assert_int_equal(got.key_len, 2048);
	assert_int_equal(got.fields_len, HOT_FIELDS_MAX);
	assert_true(got.body_len == UINT32_MAX);
	for (size_t i = 0; i < ARRAY_LEN(born); i++) {
		o.born_seq = born[i][0];
		assert_true(round_trip(&o).born_seq == born[i][1]);
	}
	o.fields_len++;
	assert_false(hot_entry_make(&e, &o));
	o.fields_len--;
	o.flags++;
	assert_false(hot_entry_make(&e, &o));
}

/* ETag and Last-Modified are where they were; an object that names what is no line has none. */
static void test_lines(void **state)
{
	static const char text[] = "kDate: x\r\nETag: \"v1\"\r\nLast-Modified: then\r\n";
	struct {
		struct object o;
		char text[64];
	} from = {.o = {.status = 200, .key_len = 1, .fields_len = sizeof(text) - 2}};
	struct {
		struct hot_entry e;
		char text[64];
	} to = {0};
	char back[sizeof(struct object) + 64];
	struct object *o = (struct object *)(void *)back;
	struct object got = {0};

	(void)state;
	memcpy(from.text, text, sizeof(text));
	memcpy(to.text, text, sizeof(text));
	for (uint32_t with = 0; with < 2; with++) {
		from.o.etag_off = 15;
		from.o.etag_len = with ? 4 : 0;
		from.o.last_modified_off = 36;
		from.o.last_modified_len = with ? 4 : 0;
		assert_true(hot_entry_make(&to.e, &from.o));
		hot_entry_view(&to.e, &got);
		assert_true(object_lengths_valid(&got));
		assert_true(span_eq(object_etag(&got), object_etag(&from.o)));
		assert_true(span_eq(object_last_modified(&got), object_last_modified(&from.o)));
		/* As a message has it. */
		object_head_write(back, &got);
		assert_true(object_head_valid(back, object_head_bytes(o)));
		assert_int_equal(o->etag_len, from.o.etag_len);
		assert_true(span_eq(object_etag(o), object_etag(&from.o)));
		assert_true(span_eq(object_last_modified(o), object_last_modified(&from.o)));
		assert_true(span_eq(object_fields(o), object_fields(&from.o)));
	}
	to.text[10] = 'X';
	hot_entry_view(&to.e, &got);
	assert_int_equal(object_etag(&got).len, 0);
}

/* A message never says where its bytes lie, nor leaves a place open. */
static void test_message(void **state)
{
	struct object o = {.status = 200};

	(void)state;
	assert_true(object_head_valid(&o, sizeof(o)));
	o.text = (const char *)&o;
	assert_false(object_head_valid(&o, sizeof(o)));
	o.text = NULL;
	o.etag_len = OBJECT_IN_LINES;
	assert_false(object_head_valid(&o, sizeof(o)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_times), cmocka_unit_test(test_gap),
	        cmocka_unit_test(test_grace), cmocka_unit_test(test_rest),
	        cmocka_unit_test(test_lines), cmocka_unit_test(test_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
