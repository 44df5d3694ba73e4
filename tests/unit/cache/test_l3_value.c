/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of the shared store: what comes back is what was stored, and nothing that was damaged or
 * made up comes back at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "cache/l3_value.h"
#include "lib/http1.h"

#include "l3_fixture.h"

#define MAX_BYTES     (1u << 20)
#define CHECKSUM_SEED 0x534c5633ull

struct encoded {
	char *bytes;
	size_t len;
};

static struct encoded encode(const struct object *o, const char *body, uint32_t compress_bytes)
{
	struct l3_item item = fixture_item(o, body);
	struct encoded e = {0};

	item.body.len = (o->flags & OBJECT_NO_BODY) != 0 ? 0 : item.body.len;
	assert_int_equal(l3_value_encode(&item, compress_bytes, &e.bytes, &e.len), ST_OK);
	return e;
}

/* As one who can write to the store would: with the right checksum. */
static void sign(struct encoded *e)
{
	uint64_t sum = hash64(e->bytes, e->len - sizeof(sum), CHECKSUM_SEED);

	memcpy(e->bytes + e->len - sizeof(sum), &sum, sizeof(sum));
}

static enum status decode(const struct encoded *e)
{
	struct l3_value v;
	/* A copy of exactly this size, so that a sanitizer sees a read beyond it. */
	char *copy = malloc(e->len == 0 ? 1 : e->len);
	enum status st;

	memcpy(copy, e->bytes, e->len);
	st = l3_value_decode(span_of(copy, e->len), MAX_BYTES, &v);
	if (st == ST_OK)
		l3_value_free(&v);
	free(copy);
	return st;
}

static const struct {
	size_t body_len;
	uint32_t seed;
	uint32_t compress_bytes;
	bool packed;
} trip_rows[] = {
        {0, 0, 1024, false},      {1, 0, 1024, false},          {500, 0, 1024, false},
        {2000, 0, 1024, true},    {2000, 1, 1024, false},       {100000, 0, 1024, true},
        {100000, 1, 1024, false}, {100000, 0, 1u << 30, false}, {900000, 0, 0, true},
};

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(trip_rows); i++) {
		struct object *o =
		        fixture_object("example.com/a?b", FIXTURE_FIELDS, trip_rows[i].body_len);
		char *body = fixture_body(trip_rows[i].body_len, trip_rows[i].seed);
		struct encoded e = encode(o, body, trip_rows[i].compress_bytes);
		size_t plain = object_head_bytes(o) + o->body_len + L3_VALUE_EXTRA;
		struct l3_value v;

		if ((e.len < plain) != trip_rows[i].packed || e.len > plain)
			fail_msg("row %zu: %zu bytes of %zu", i, e.len, plain);
		assert_int_equal(l3_value_decode(span_of(e.bytes, e.len), MAX_BYTES, &v), ST_OK);
		assert_true(span_eq(v.body, span_of(body, o->body_len)));
		assert_true(span_eq(object_key(v.head), object_key(o)));
		assert_true(span_eq(object_fields(v.head), object_fields(o)));
		assert_memory_equal(object_tags(v.head), object_tags(o), 4);
		assert_true(v.head->expires_ms == o->expires_ms && v.head->status == 200);
		assert_true(v.head->body_len == o->body_len);
		/* What means nothing in another node does not travel. */
		assert_true(v.head->born_seq == 0 && v.head->hash.lo == 0 && v.head->hash.hi == 0);
		assert_in_range(v.asked_ms, fixture_wall_ms() - 60000, fixture_wall_ms());
		l3_value_free(&v);
		free(e.bytes);
		free(body);
		free(o);
	}
}

static void test_head_answer(void **state)
{
	struct object *o = fixture_object("k", FIXTURE_FIELDS, 12345);
	struct l3_value v;

	(void)state;
	o->flags |= OBJECT_NO_BODY;
	struct encoded e = encode(o, "", 1024);
	assert_int_equal(l3_value_decode(span_of(e.bytes, e.len), MAX_BYTES, &v), ST_OK);
	assert_true(v.body.len == 0 && v.head->body_len == 12345);
	l3_value_free(&v);
	free(e.bytes);
	free(o);
}

static void test_encode_refuses(void **state)
{
	struct object *o = fixture_object("k", "", UINT64_MAX);
	struct l3_item item = {.head = o, .body = SPAN_LIT("abc")};
	struct encoded e;

	(void)state;
	assert_int_equal(l3_value_encode(&item, 1024, &e.bytes, &e.len), ST_INVALID);
	o->body_len = 4;
	assert_int_equal(l3_value_encode(&item, 1024, &e.bytes, &e.len), ST_INVALID);
	free(o);
}

/* Every byte of a value, and every length: nothing that differs is taken. */
static void damage_all(uint32_t compress_bytes)
{
	struct object *o = fixture_object("example.com/", FIXTURE_FIELDS, 700);
	char *body = fixture_body(700, 0);
	struct encoded e = encode(o, body, compress_bytes);
	struct encoded cut = e;

	for (size_t i = 0; i < e.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			e.bytes[i] = (char)(e.bytes[i] ^ 1 << bit);
			if (decode(&e) == ST_OK)
				fail_msg("byte %zu bit %d", i, bit);
			e.bytes[i] = (char)(e.bytes[i] ^ 1 << bit);
		}
	}
	for (cut.len = 0; cut.len < e.len; cut.len++)
		if (decode(&cut) == ST_OK)
			fail_msg("cut to %zu", cut.len);
	assert_int_equal(decode(&e), ST_OK);
	free(e.bytes);
	free(body);
	free(o);
}

static void test_damage(void **state)
{
	(void)state;
	damage_all(UINT32_MAX);
	damage_all(0);
}

/* The same with a right checksum: whatever is taken keeps within its bounds (the sanitizers look),
 * and a packed value with another length is never taken. */
static void test_forged(void **state)
{
	(void)state;
	for (uint32_t packed = 0; packed < 2; packed++) {
		struct object *o = fixture_object("example.com/", FIXTURE_FIELDS, 700);
		char *body = fixture_body(700, 0);
		struct encoded e = encode(o, body, packed ? 0 : UINT32_MAX);

		for (size_t i = 0; i + sizeof(uint64_t) < e.len; i++) {
			for (int bit = 0; bit < 8; bit++) {
				e.bytes[i] = (char)(e.bytes[i] ^ 1 << bit);
				sign(&e);
				decode(&e);
				e.bytes[i] = (char)(e.bytes[i] ^ 1 << bit);
			}
		}
		sign(&e);
		assert_int_equal(decode(&e), ST_OK);
		free(e.bytes);
		free(body);
		free(o);
	}
}

struct header_row {
	const char *what;
	size_t off, len;
	uint64_t value;
	enum status want;
};

#define FIELD(f) offsetof(struct l3_value_header, f), sizeof(((struct l3_value_header *)0)->f)

static const struct header_row header_rows[] = {
        {"version", FIELD(version), 2, ST_INVALID},
        {"kind of packing", FIELD(packed), 2, ST_INVALID},
        {"not packed after all", FIELD(packed), 0, ST_INVALID},
        {"another struct object", FIELD(object_bytes), 88, ST_INVALID},
        {"spare", FIELD(spare), 1, ST_INVALID},
        {"no room for a head", FIELD(head_len), 95, ST_INVALID},
        {"head of 4 GiB", FIELD(head_len), UINT32_MAX, ST_TOOBIG},
        {"a bomb", FIELD(body_len), 1ull << 40, ST_TOOBIG},
        {"a sum that wraps", FIELD(body_len), UINT64_MAX - 10, ST_TOOBIG},
        {"one byte more", FIELD(body_len), 5001, ST_INVALID},
        {"one byte less", FIELD(body_len), 4999, ST_INVALID},
        {"payload of another length", FIELD(payload_len), 17, ST_INVALID},
        {"payload without end", FIELD(payload_len), UINT64_MAX, ST_INVALID},
};

static void test_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(header_rows); i++) {
		const struct header_row *row = &header_rows[i];
		struct object *o = fixture_object("example.com/", FIXTURE_FIELDS, 5000);
		char *body = fixture_body(5000, 0);
		struct encoded e = encode(o, body, 0);
		enum status st;

		memcpy(e.bytes + row->off, &row->value, row->len);
		sign(&e);
		st = decode(&e);
		if (st != row->want)
			fail_msg("%s: %s", row->what, status_text(st));
		free(e.bytes);
		free(body);
		free(o);
	}
}

/* Field lines go to clients as they are. */
static const struct {
	const char *fields;
	enum status want;
} fields_rows[] = {
        {"", ST_OK},
        {"A: b\r\n", ST_OK},
        {"A: b\r\nDate: x\r\nVia: 1.1 y\r\n", ST_OK},
        {"A: b", ST_INVALID},
        {"A: b\r", ST_INVALID},
        {"A: b\n", ST_INVALID},
        {"A: b\r\n\r\n", ST_INVALID},
        {"A: b\r\n\r\nHTTP/1.1 200 OK\r\n", ST_INVALID},
        {"A b\r\n", ST_INVALID},
        {": b\r\n", ST_INVALID},
        {"A: b\r\n c\r\n", ST_INVALID},
        {"A: b\x01\r\n", ST_INVALID},
        {"Content-Length: 5\r\n", ST_INVALID},
        {"transfer-encoding: chunked\r\n", ST_INVALID},
        {"Connection: close\r\n", ST_INVALID},
};

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields_rows); i++) {
		struct object *o = fixture_object("k", fields_rows[i].fields, 3);
		struct encoded e = encode(o, "abc", 1024);

		if (decode(&e) != fields_rows[i].want)
			fail_msg("row %zu: '%s'", i, fields_rows[i].fields);
		/* A list of names (cache/vary.h) stands in their place. */
		o->flags |= OBJECT_VARY;
		free(e.bytes);
		e = encode(o, "abc", 1024);
		assert_int_equal(decode(&e), ST_OK);
		free(e.bytes);
		free(o);
	}
}

static void test_object_lies(void **state)
{
	struct object *o = fixture_object("example.com/", FIXTURE_FIELDS, 10);
	struct object lies[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		lies[i] = *o;
	lies[0].key_len++;
	lies[1].fields_len = UINT32_MAX;
	lies[2].tag_count = 64;
	lies[3].body_len = UINT64_MAX;
	lies[4].status = 99;
	lies[5].etag_off = o->fields_len;
	lies[5].etag_len = 1;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct encoded e = encode(o, "0123456789", 1024);

		assert_int_equal(decode(&e), ST_OK);
		memcpy(e.bytes + sizeof(struct l3_value_header), &lies[i], sizeof(lies[i]));
		sign(&e);
		if (decode(&e) != ST_INVALID)
			fail_msg("lie %zu", i);
		free(e.bytes);
	}
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_head_answer),
	        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_damage),
	        cmocka_unit_test(test_forged),         cmocka_unit_test(test_header),
	        cmocka_unit_test(test_fields),         cmocka_unit_test(test_object_lies),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
