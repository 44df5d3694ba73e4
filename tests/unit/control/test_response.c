/* SPDX-License-Identifier: BSD-2-Clause */
#include "response_rows.h"

#include "cache/inval.h"
#include "cache/lines.h"

/* Field lines: what is passed on, what is not, and what is stored */

struct line_row {
	const char *rfc;
	const char *fields;
	const char *lines; /* of the object */
	const char *kept;  /* of the head for a store, when it differs */
};

#define LEN "Content-Length: 1" N

static const struct line_row line_rows[] = {
        {"RFC 9110 6.6.1", LEN, DATE VIA, NULL},
        {"RFC 9110 6.6.1", LEN "Date: x" N, "Date: x" N VIA, NULL},
        {"RFC 9110 7.6.1", LEN DATE "Connection: a, close" N "A: 1" N "B: 2" N "Keep-Alive: x" N,
         DATE "B: 2" N VIA, NULL},
        {"RFC 9110 7.6.1",
         LEN DATE "Upgrade: x" N "Proxy-Authenticate: x" N "Proxy-Connection: x" N, DATE VIA, NULL},
        {"RFC 9111 5.1", LEN DATE "Age: 5" N, DATE VIA, NULL},
        {"RFC 9110 7.6.3", LEN DATE "Via: 1.1 a" N, DATE "Via: 1.1 a" N VIA, NULL},
        {"RFC 9213 3.1", LEN DATE "CDN-Cache-Control: max-age=5" N,
         DATE "CDN-Cache-Control: max-age=5" N VIA, NULL},
        {"targeted", LEN DATE "Sluice-Cache-Control: max-age=5" N, DATE VIA, NULL},
        {"tags", LEN DATE "Surrogate-Key: a b" N CC "max-age=5" N, DATE CC "max-age=5" N VIA, NULL},
        {"RFC 9875 2", LEN DATE "Cache-Groups: \"a\"" N, DATE "Cache-Groups: \"a\"" N VIA, NULL},
        {"RFC 9111 5.2.2.4", LEN DATE CC "max-age=5, no-cache=\"a\"" N "A: 1" N "B: 2" N,
         DATE CC "max-age=5, no-cache=\"a\"" N "A: 1" N "B: 2" N VIA,
         DATE CC "max-age=5, no-cache=\"a\"" N "B: 2" N VIA},
        {"RFC 9111 5.2.2.7", LEN DATE CC "max-age=5, private=\"Set-Cookie\"" N "Set-Cookie: a" N,
         DATE CC "max-age=5, private=\"Set-Cookie\"" N "Set-Cookie: a" N VIA,
         DATE CC "max-age=5, private=\"Set-Cookie\"" N VIA},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(line_rows); i++) {
		const struct line_row *r = &line_rows[i];
		struct request *req = request_make(HTTP_GET, CHAN_REQ_STORE, "");
		static struct answer a;

		answer_parse(&a, req, 200, r->fields);
		answer_object(&a);
		assert_int_equal(a.status, ST_OK);
		if (!lines_are(&a, r->lines))
			fail_msg("row %zu (%s): %.*s", i, r->rfc, (int)a.o.fields_len,
			         object_fields(&a.o).ptr);
		assert_true(object_head_valid(a.mem, a.out.len));
		assert_int_equal(a.out.len, object_head_bytes(&a.o));
		assert_int_equal(a.out.partial, r->kept != NULL);
		if (r->kept != NULL) {
			assert_false(a.out.storable || (a.o.flags & OBJECT_STORABLE));
			a.in.stored = true;
			answer_object(&a);
			if (!lines_are(&a, r->kept))
				fail_msg("row %zu (%s): stored %.*s", i, r->rfc,
				         (int)a.o.fields_len, object_fields(&a.o).ptr);
			assert_true(a.out.storable && !a.out.partial);
			assert_true(a.o.flags & OBJECT_STORABLE);
		}
		free(req);
	}
}

static void test_numbers(void **state)
{
	static struct answer a;

	(void)state;
	answer_make(&a, 203,
	            LEN DATE "ETag: \"x\"" N CC "max-age=60, stale-if-error=5, "
	                     "stale-while-revalidate=6, no-transform" N "Age: 10" N
	                     "Last-Modified: " NOW N);
	assert_int_equal(a.o.status, 203);
	assert_int_equal(a.o.response_ms, NOW_MS);
	assert_int_equal(a.o.expires_ms, NOW_MS + 50000);
	assert_int_equal(a.o.initial_age_s, 10);
	assert_int_equal(a.o.stale_error_s, 5);
	assert_int_equal(a.o.stale_while_s, 6);
	assert_int_equal(a.o.born_seq, 42);
	assert_int_equal(a.o.flags, OBJECT_STORABLE | OBJECT_NO_TRANSFORM);
	assert_int_equal(a.o.body_len, 1);
	assert_true(span_eq(object_etag(&a.o), SPAN_LIT("\"x\"")));
	assert_true(span_eq(object_last_modified(&a.o), SPAN_LIT(NOW)));
	assert_true(span_eq(object_key(&a.o), SPAN_LIT("key")));
	assert_true(hash128_eq(a.o.hash, (struct hash128){1, 2}));
	assert_true(a.out.storable && a.out.shared && !a.out.pass);
	assert_int_equal(a.out.vary, VARY_NONE);
}

/* Whether it may be kept depends on the request as well */

struct ask_row {
	const char *request;
	uint16_t flags;
	enum http_method method;
	const char *response;
	bool storable;
	bool pass;
};

#define STORE CHAN_REQ_STORE
#define AUTH  CHAN_REQ_AUTHORIZED
#define FRESH LEN CC "max-age=5" N

static const struct ask_row ask_rows[] = {
        {"", STORE, HTTP_GET, FRESH, true, false},
        {"", 0, HTTP_GET, FRESH, false, false},
        {"", 0, HTTP_GET, LEN, false, false},
        {"", STORE, HTTP_HEAD, FRESH, false, false},
        {"", STORE, HTTP_POST, FRESH, false, false},
        {"", STORE | AUTH, HTTP_GET, FRESH, false, false},
        {"", STORE | AUTH, HTTP_GET, LEN CC "max-age=5, public" N, true, false},
        {"Range: bytes=0-1" N, STORE, HTTP_GET, FRESH, false, false},
        {"If-None-Match: \"a\"" N, STORE, HTTP_GET, FRESH, false, false},
        {"", STORE, HTTP_GET, LEN CC "private" N, false, true},
        {"", STORE, HTTP_GET, LEN, false, true},
};

static void test_ask(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ask_rows); i++) {
		const struct ask_row *r = &ask_rows[i];
		struct request *req = request_make(r->method, r->flags, r->request);
		static struct answer a;

		answer_parse(&a, req, 200, r->response);
		answer_object(&a);
		bool flag = (a.o.flags & OBJECT_STORABLE) != 0;
		if (a.status != ST_OK || a.out.storable != r->storable || flag != r->storable ||
		    a.out.pass != r->pass)
			fail_msg("row %zu: storable %d pass %d", i, a.out.storable, a.out.pass);
		free(req);
	}
}

static void test_variant_key(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	struct cache_key key = {.hash = {7, 8}, .text = SPAN_LIT("key\nvariant")};
	static struct answer a;

	(void)state;
	answer_parse(&a, req, 200, FRESH "Vary: B, a" N);
	answer_object(&a);
	assert_int_equal(a.out.vary, VARY_LIST);
	assert_true(span_eq(a.out.vary_names, SPAN_LIT("a,b")));
	assert_false(a.out.storable || a.out.shared || a.out.pass);
	a.in.key = &key;
	answer_object(&a);
	assert_true(a.out.storable && a.out.shared);
	assert_true(span_eq(object_key(&a.o), key.text));
	assert_true(hash128_eq(a.o.hash, key.hash));
	free(req);
}

static void test_too_big(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	static struct answer a;

	(void)state;
	answer_parse(&a, req, 200, FRESH "Surrogate-Key: a" N);
	answer_object(&a);
	assert_int_equal(a.status, ST_OK);
	uint32_t len = a.out.len;
	for (uint32_t cap = 0; cap < len; cap++)
		assert_int_equal(response_object(&a.in, a.mem, cap, &a.out), ST_TOOBIG);
	assert_int_equal(response_object(&a.in, a.mem, len, &a.out), ST_OK);
	free(req);
}

/* Tags */

static bool has_tag(const struct object *o, const char *tag)
{
	uint32_t want = inval_tag_hash(span_cstr(tag));

	for (uint32_t i = 0; i < o->tag_count; i++) {
		uint32_t hash;

		memcpy(&hash, object_tags(o) + i * sizeof(hash), sizeof(hash));
		if (hash == want)
			return true;
	}
	return false;
}

static void test_tags(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	uint32_t rule_tag = inval_tag_hash(SPAN_LIT("rule:r"));
	static struct answer a;

	(void)state;
	answer_parse(&a, req, 200, FRESH "Surrogate-Key: a b a" N "Cache-Groups: \"g\"" N);
	a.in.tags = &rule_tag;
	a.in.tag_count = 1;
	answer_object(&a);
	assert_int_equal(a.o.tag_count, 4);
	assert_true(has_tag(&a.o, "tag:a") && has_tag(&a.o, "tag:b"));
	assert_true(has_tag(&a.o, "group:http://host.example:80 g"));
	assert_true(has_tag(&a.o, "rule:r"));
	assert_true(a.out.storable);
	free(req);
}

/* An answer with more tags than an object holds could not be purged by all of them. */
static void test_tags_many(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	char fields[4096] = FRESH "Surrogate-Key:";
	size_t at = strlen(fields);
	static struct answer a;

	(void)state;
	for (uint32_t i = 0; i < OBJECT_TAGS_MAX; i++)
		at += (size_t)snprintf(fields + at, sizeof(fields) - at, " t%u", i);
	snprintf(fields + at, sizeof(fields) - at, N);
	answer_parse(&a, req, 200, fields);
	answer_object(&a);
	assert_int_equal(a.o.tag_count, OBJECT_TAGS_MAX);
	assert_true(a.out.storable);
	snprintf(fields + at, sizeof(fields) - at, " more" N);
	answer_parse(&a, req, 200, fields);
	answer_object(&a);
	assert_int_equal(a.status, ST_OK);
	assert_false(a.out.storable || a.out.shared);
	free(req);
}

/* ETags that are made */

static void test_etag_weak(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	const char *const rows[] = {
	        LEN "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N,
	        LEN "Last-Modified: Tue, 14 Nov 2023 22:13:17 GMT" N,
	        "Content-Length: 2" N "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N,
	        LEN "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N "Content-Type: a" N,
	        LEN "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N "Content-Encoding: a" N,
	};
	char tags[ARRAY_LEN(rows)][RESPONSE_ETAG_MAX];
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char again[RESPONSE_ETAG_MAX];

		answer_parse(&a, req, 200, rows[i]);
		struct span tag = response_etag_weak(&a.in, tags[i]);
		assert_int_equal(tag.len, 20);
		assert_memory_equal(tag.ptr, "W/\"", 3);
		assert_true(span_eq(tag, response_etag_weak(&a.in, again)));
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(tags[i], tags[k], 20);
	}
	free(req);
}

static void test_etag_none(void **state)
{
	struct request *req = request_make(HTTP_GET, STORE, "");
	const struct {
		const char *rfc;
		unsigned status;
		const char *fields;
	} rows[] = {
	        {"has one", 200,
	         LEN "ETag: \"a\"" N "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N},
	        {"8.8.2.2", 200, LEN "Last-Modified: Tue, 14 Nov 2023 22:13:19 GMT" N},
	        {"8.8.2.2", 200, LEN "Last-Modified: " NOW N},
	        {"no date", 200, LEN},
	        {"bad date", 200, LEN "Last-Modified: x" N},
	        {"no length", 200, "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N},
	        {"status", 404, LEN "Last-Modified: Tue, 14 Nov 2023 22:13:18 GMT" N},
	};
	char buf[RESPONSE_ETAG_MAX];
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_parse(&a, req, rows[i].status, rows[i].fields);
		if (response_etag_weak(&a.in, buf).len != 0)
			fail_msg("row %zu (%s)", i, rows[i].rfc);
	}
	free(req);
}

static void test_etag_strong(void **state)
{
	static struct answer a, b;
	char one[RESPONSE_ETAG_MAX], two[RESPONSE_ETAG_MAX];
	uint64_t mem[512];
	struct object *o = (struct object *)mem;

	(void)state;
	answer_make(&a, 200, FRESH "Surrogate-Key: t" N);
	answer_make(&b, 200, FRESH "Content-Encoding: gzip" N);
	struct span tag = response_etag_strong(&a.o, SPAN_LIT("x"), one);
	assert_int_equal(tag.len, 34);
	assert_true(span_eq(tag, response_etag_strong(&a.o, SPAN_LIT("x"), two)));
	assert_false(span_eq(tag, response_etag_strong(&a.o, SPAN_LIT("y"), two)));
	assert_false(span_eq(tag, response_etag_strong(&b.o, SPAN_LIT("x"), two)));

	uint32_t len = response_add_etag(&a.o, tag, mem, sizeof(mem));
	assert_int_equal(len, object_head_bytes(o));
	assert_int_equal(len, object_head_bytes(&a.o) + 8 + tag.len);
	assert_true(object_head_valid(mem, len));
	assert_true(span_eq(object_etag(o), tag));
	assert_true(span_eq(lines_find(object_fields(o), SPAN_LIT("ETag")), tag));
	assert_true(has_tag(o, "tag:t"));
	assert_int_equal(o->flags, a.o.flags | OBJECT_ETAG_MADE);
	assert_int_equal(response_add_etag(o, tag, a.mem, sizeof(a.mem)), 0);
	assert_int_equal(response_etag_strong(o, SPAN_LIT("x"), two).len, 0);
	for (uint32_t cap = 0; cap < len; cap++)
		assert_int_equal(response_add_etag(&b.o, tag, mem, cap % 150), 0);
}

/* Requests to the origin */

struct serial_row {
	const char *rfc;
	const char *fields;
	const char *etag;
	const char *modified;
	const char *has[3];
	const char *lacks[3];
};

static const struct serial_row serial_rows[] = {
        {"RFC 9111 4.3.1", "", "\"a\"", "", {"If-None-Match: \"a\"" N}, {"If-Modified-Since"}},
        {"RFC 9111 4.3.1", "", "", NOW, {"If-Modified-Since: " NOW N}, {"If-None-Match"}},
        {"RFC 9111 4.3.1",
         "",
         "W/\"a\"",
         NOW,
         {"If-Modified-Since: " NOW N, "If-None-Match: W/\"a\"" N},
         {NULL}},
        {"RFC 9111 4.3.1",
         "If-None-Match: \"b\"" N "If-Modified-Since: x" N "Accept: y" N,
         "\"a\"",
         "",
         {"If-None-Match: \"a\"" N, "Accept: y" N},
         {"\"b\"", "If-Modified-Since"}},
        {"RFC 9111 4.3.1",
         "Range: bytes=0-1" N "If-Range: \"b\"" N "If-Match: \"c\"" N,
         "\"a\"",
         "",
         {"If-None-Match: \"a\"" N},
         {"Range", "If-Match"}},
        {"RFC 9110 13.1.2", "If-None-Match: \"b\"" N, "", "", {"If-None-Match: \"b\"" N}, {NULL}},
        {"RFC 9110 14.2", "Range: bytes=0-1" N, "", "", {"Range: bytes=0-1" N}, {NULL}},
};

static void test_serialise(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(serial_rows); i++) {
		const struct serial_row *r = &serial_rows[i];
		struct request *req = request_make(HTTP_GET, STORE, r->fields);
		struct request_style style = {.node = "node",
		                              .address = "origin",
		                              .etag = span_cstr(r->etag),
		                              .last_modified = span_cstr(r->modified)};
		struct request_bytes *b = request_serialise(req, &style);

		assert_non_null(b);
		for (size_t k = 0; k < 3; k++) {
			const char *has = r->has[k];
			const char *lacks = r->lacks[k];

			if (has != NULL && memmem(b->data, b->len, has, strlen(has)) == NULL)
				fail_msg("row %zu (%s): no %s", i, r->rfc, has);
			if (lacks != NULL && memmem(b->data, b->len, lacks, strlen(lacks)) != NULL)
				fail_msg("row %zu (%s): %s", i, r->rfc, lacks);
		}
		assert_int_equal(http1_head_end(b->data, b->len, 0), b->len);
		request_bytes_unref(b);
		free(req);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lines),     cmocka_unit_test(test_numbers),
	        cmocka_unit_test(test_ask),       cmocka_unit_test(test_variant_key),
	        cmocka_unit_test(test_too_big),   cmocka_unit_test(test_tags),
	        cmocka_unit_test(test_tags_many), cmocka_unit_test(test_etag_weak),
	        cmocka_unit_test(test_etag_none), cmocka_unit_test(test_etag_strong),
	        cmocka_unit_test(test_serialise),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
