/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request head parser: a table of requests, each read whole, in pieces, and on every SIMD path;
 * limits; and random damage, on which the paths must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/http/http_parse.h"
#include "tests/unit/http/guard.h"

#define SAYS_MAX 2048u

enum want { DONE, PARTIAL };

struct request_case {
	struct span text;
	unsigned want; /* DONE, PARTIAL or a status */
	const char *says;
};

static const struct request_case cases[] = {
#define CASE(text, want, says) {SPAN_LIT(text), want, says},
#include "tests/unit/http/request_cases.def"
#undef CASE
};

static const char *const paths[] = {"scalar", "sse42", "avx2"};
static const struct http_limits roomy = {.head_bytes = 16384, .target_bytes = 4096, .fields = 100};

/* What came of reading a request, in words, so that two readings can be compared. */
struct reading {
	unsigned result; /* DONE, PARTIAL or a status */
	size_t head_len;
	char says[SAYS_MAX];
	uint64_t digest; /* of where all fields lie, and what they are */
};

static const char *framing_text(struct http_framing f, char *room, size_t cap)
{
	switch (f.kind) {
	case HTTP_BODY_NONE:
		return "none";
	case HTTP_BODY_CHUNKED:
		return "chunked";
	case HTTP_BODY_LENGTH:
		snprintf(room, cap, "length:%lld", (long long)f.length);
		return room;
	default:
		return "wrong";
	}
}

static void span_text(struct span s, char *room, size_t cap)
{
	if (s.len == 0)
		s = SPAN_LIT("-");
	assert_true(s.len < cap);
	memcpy(room, s.ptr, s.len);
	room[s.len] = '\0';
}

static void request_text(const struct http_request *q, char *room, size_t cap)
{
	char path[512];
	char query[512];
	char host[256];
	char framing[64];

	span_text(q->path, path, sizeof(path));
	span_text(q->query, query, sizeof(query));
	span_text(q->host, host, sizeof(host));
	snprintf(room, cap, "%s %s %s %s %u %u %s%s %s %u", http_method_name(q->method), path,
	         query, host, q->host_port, q->minor, q->keep_alive ? "K" : "C",
	         q->expect_continue ? "E" : "", framing_text(q->framing, framing, sizeof(framing)),
	         q->fields.count);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull;
}

static uint64_t request_digest(const struct http_request *q, const char *buf)
{
	uint64_t h = mix(q->fields.count, (uint64_t)(q->target.ptr - buf));

	h = mix(h, q->target.len);
	for (uint32_t i = 0; i < q->fields.count; i++) {
		const struct http_field *f = &q->fields.f[i];

		h = mix(h, (uint64_t)(f->name.ptr - buf));
		h = mix(h, f->name.len);
		h = mix(h, (uint64_t)(f->value.ptr - buf));
		h = mix(h, f->value.len);
		h = mix(h, f->id);
	}
	return h;
}

/* One call of the parser with the first len bytes, which lie against a guard page. */
static bool read_some(struct http_parser *p, const char *buf, size_t len, struct reading *r)
{
	static struct http_request q;
	unsigned status = 0;
	enum http_parse result = http_parse_request(p, buf, len, &roomy, &q, &status);

	r->result = result == HTTP_PARSE_REFUSE ? status : (unsigned)PARTIAL;
	if (result != HTTP_PARSE_DONE)
		return result == HTTP_PARSE_REFUSE;
	r->result = DONE;
	r->head_len = q.head_len;
	r->digest = request_digest(&q, buf);
	request_text(&q, r->says, sizeof(r->says));
	return true;
}

static void read_whole(struct span text, bool at_end, struct reading *r)
{
	struct http_parser p = {0};
	const char *buf = at_end ? guard_end(&guard, text) : guard_begin(&guard, text);

	memset(r, 0, sizeof(*r));
	read_some(&p, buf, text.len, r);
}

/* In pieces of step bytes, the first of first bytes; stops when the result is final. */
static void read_pieces(struct span text, size_t first, size_t step, struct reading *r)
{
	struct http_parser p = {0};
	size_t len = min_size(first, text.len);

	memset(r, 0, sizeof(*r));
	while (!read_some(&p, guard_end(&guard, span_of(text.ptr, len)), len, r) && len < text.len)
		len = min_size(len + step, text.len);
}

static void same(const struct reading *a, const struct reading *b, struct span text)
{
	if (a->result == b->result && a->head_len == b->head_len && a->digest == b->digest &&
	    strcmp(a->says, b->says) == 0)
		return;
	fail_msg("%u [%s] and %u [%s] for: %.*s", a->result, a->says, b->result, b->says,
	         (int)text.len, text.ptr);
}

static void check_pieces(struct span text, const struct reading *whole)
{
	struct reading r;

	read_whole(text, false, &r);
	same(whole, &r, text);
	read_pieces(text, 0, 1, &r);
	same(whole, &r, text);
	read_pieces(text, 0, 7, &r);
	same(whole, &r, text);
	for (size_t first = 1; first < text.len; first++) {
		read_pieces(text, first, text.len, &r);
		same(whole, &r, text);
	}
}

static void check_case(const struct request_case *c)
{
	struct reading r;

	read_whole(c->text, true, &r);
	if (r.result != c->want)
		fail_msg("got %u, want %u: %.*s", r.result, c->want, (int)c->text.len, c->text.ptr);
	if (c->says != NULL && strcmp(c->says, r.says) != 0)
		fail_msg("got [%s], want [%s]", r.says, c->says);
	check_pieces(c->text, &r);
}

static void table(void **state)
{
	(void)state;
	for (size_t path = 0; path < ARRAY_LEN(paths); path++) {
		if (http1_init(paths[path]) == NULL)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			check_case(&cases[i]);
	}
}

/* A sound request stays sound whatever follows it, and none of its beginnings is complete. */
static void sound_requests(void **state)
{
	static const struct span tails[] = {SPAN_LIT("GET / HTTP/1.1\r\nHost: y\r\n\r\n"),
	                                    SPAN_LIT("\0\x01\n\n\r\r\xff"), SPAN_LIT("\r\n\r\n"),
	                                    SPAN_LIT("x")};
	static char text[8192];
	struct reading whole;
	struct reading r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span s = cases[i].text;

		if (cases[i].want != DONE)
			continue;
		read_whole(s, true, &whole);
		assert_int_equal(whole.head_len, s.len);
		memcpy(text, s.ptr, s.len);
		for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
			memcpy(text + s.len, tails[t].ptr, tails[t].len);
			read_whole(span_of(text, s.len + tails[t].len), true, &r);
			same(&whole, &r, s);
		}
		for (size_t len = 0; len < s.len; len++) {
			read_whole(span_of(s.ptr, len), true, &r);
			assert_int_equal(r.result, PARTIAL);
		}
	}
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Damages a few bytes: by one that has a meaning somewhere, or by any. */
static void damage(char *text, size_t len, uint64_t *seed)
{
	static const char special[] = "\r\n\t :\0\x7f\x80/?#%.[]@,;\"\\Aa0";

	for (uint64_t n = random_next(seed) % 3 + 1; n > 0; n--) {
		size_t at = random_next(seed) % len;

		if (random_next(seed) % 4 == 0)
			text[at] = (char)random_next(seed);
		else
			text[at] = special[random_next(seed) % (sizeof(special) - 1)];
	}
}

static void damaged_requests(void **state)
{
	uint64_t seed = 0x5eed5eed5eedull;
	static char text[8192];
	struct reading first;
	struct reading r;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct span s = cases[random_next(&seed) % ARRAY_LEN(cases)].text;

		if (s.len == 0 || s.len > sizeof(text))
			continue;
		memcpy(text, s.ptr, s.len);
		damage(text, s.len, &seed);
		s = span_of(text, s.len);
		http1_init("scalar");
		read_whole(s, true, &first);
		for (size_t path = 0; path < ARRAY_LEN(paths); path++) {
			if (http1_init(paths[path]) == NULL)
				continue;
			read_whole(s, true, &r);
			same(&first, &r, s);
			read_pieces(s, 0, 1 + round % 40, &r);
			same(&first, &r, s);
		}
	}
}

/* Long lines and many fields: every length around the borders of blocks and windows. */
static void long_heads(void **state)
{
	static char text[16384];
	struct reading first;
	struct reading r;

	(void)state;
	for (size_t pad = 0; pad < 2300; pad++) {
		int head = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\nHost: x\r\nCookie: ",
		                    (int)(pad % 100) + 1, 0);
		size_t len = (size_t)head;

		memset(text + len, 'c', pad);
		len += pad;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		                        "\r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabc");
		for (size_t path = 0; path < ARRAY_LEN(paths); path++) {
			if (http1_init(paths[path]) == NULL)
				continue;
			read_whole(span_of(text, len), true, &r);
			assert_int_equal(r.result, DONE);
			assert_int_equal(r.head_len, len - 3);
			if (path == 0)
				first = r;
			same(&first, &r, span_of(text, 20));
			read_pieces(span_of(text, len), 1, 61, &r);
			same(&first, &r, span_of(text, 20));
		}
	}
}

struct limit_case {
	size_t target; /* bytes of the target */
	size_t fields; /* field lines besides Host */
	size_t pad;    /* bytes in the last field's value */
	struct http_limits limits;
	unsigned want;
};

static size_t limit_text(const struct limit_case *c, char *text, size_t cap)
{
	size_t len = (size_t)snprintf(text, cap, "GET /");

	memset(text + len, 'a', c->target - 1);
	len += c->target - 1;
	len += (size_t)snprintf(text + len, cap - len, " HTTP/1.1\r\nHost: x\r\n");
	for (size_t i = 0; i < c->fields; i++)
		len += (size_t)snprintf(text + len, cap - len, "A: b\r\n");
	len += (size_t)snprintf(text + len, cap - len, "B: ");
	memset(text + len, 'b', c->pad);
	len += c->pad;
	return len + (size_t)snprintf(text + len, cap - len, "\r\n\r\n");
}

/* "GET / HTTP/1.1\r\nHost: x\r\nB: \r\n\r\n" */
#define SMALLEST 32u

static void limits(void **state)
{
	static const struct limit_case limit_cases[] = {
	        {1, 0, 0, {SMALLEST, 1, 2}, DONE},
	        {1, 0, 0, {SMALLEST - 1, 1, 2}, 431},
	        {1, 0, 0, {0, 1, 2}, 431},
	        {2, 0, 0, {4096, 1, 100}, 414},
	        {100, 0, 0, {4096, 100, 100}, DONE},
	        {101, 0, 0, {4096, 100, 100}, 414},
	        {4000, 0, 0, {4096, 100, 100}, 414},
	        {4000, 0, 0, {2048, 8192, 100}, 431},
	        {1, 0, 0, {4096, 100, 1}, 431},
	        {1, 8, 0, {4096, 100, 10}, DONE},
	        {1, 9, 0, {4096, 100, 10}, 431},
	        {1, 98, 0, {4096, 100, 100}, DONE},
	        {1, 99, 0, {4096, 100, 100}, 431},
	        {1, 500, 0, {8192, 100, 100}, 431},
	        {1, 0, 4096 - SMALLEST, {4096, 100, 100}, DONE},
	        {1, 0, 4097 - SMALLEST, {4096, 100, 100}, 431},
	        {1, 0, 20000, {4096, 100, 100}, 431},
	};
	static char text[32768];
	static struct http_request q;

	(void)state;
	http1_init(NULL);
	for (size_t i = 0; i < ARRAY_LEN(limit_cases); i++) {
		const struct limit_case *c = &limit_cases[i];
		size_t len = limit_text(c, text, sizeof(text));

		for (size_t step = len; step > 0; step /= 3) {
			struct http_parser p = {0};
			enum http_parse result = HTTP_PARSE_PARTIAL;
			unsigned status = 0;

			for (size_t n = 0; n < len && result == HTTP_PARSE_PARTIAL;) {
				n = min_size(n + step, len);
				result = http_parse_request(&p, text, n, &c->limits, &q, &status);
			}
			if (result == HTTP_PARSE_DONE)
				status = DONE;
			if (status != c->want || result == HTTP_PARSE_PARTIAL)
				fail_msg("row %zu, step %zu: got %u, want %u", i, step, status,
				         c->want);
		}
	}
}

/* A limit is told as soon as it is passed, not at the end of a line that may never come. */
static void limits_early(void **state)
{
	const struct http_limits l = {.head_bytes = 4096, .target_bytes = 10, .fields = 100};
	const struct span text = SPAN_LIT("GET /aaaaaaaaaa");
	static struct http_request q;
	struct http_parser p = {0};
	unsigned status = 0;

	(void)state;
	assert_int_equal(http_parse_request(&p, text.ptr, text.len - 1, &l, &q, &status),
	                 HTTP_PARSE_PARTIAL);
	assert_int_equal(http_parse_request(&p, text.ptr, text.len, &l, &q, &status),
	                 HTTP_PARSE_REFUSE);
	assert_int_equal(status, 414);
}

/* The same for the number of fields, which come one in a piece. */
static void fields_early(void **state)
{
	const struct http_limits l = {.head_bytes = 4096, .target_bytes = 10, .fields = 3};
	const struct span text = SPAN_LIT("GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n");
	static struct http_request q;
	struct http_parser p = {0};
	unsigned status = 0;

	(void)state;
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(http_parse_request(&p, text.ptr, len, &l, &q, &status),
		                 HTTP_PARSE_PARTIAL);
	assert_int_equal(http_parse_request(&p, text.ptr, text.len, &l, &q, &status),
	                 HTTP_PARSE_REFUSE);
	assert_int_equal(status, 431);
}

static void dot_segments(void **state)
{
	static const struct {
		const char *path;
		bool has;
	} rows[] = {
	        {"", false},        {"/", false},          {"/.", true},      {"/..", true},
	        {"/...", false},    {".", true},           {"/a/.", true},    {"/a.", false},
	        {"/a/.b", false},   {"/./a", true},        {"/a/../b", true}, {"/%2e", true},
	        {"/%2E%2e/", true}, {"/%2e%2e%2e", false}, {"/%2", false},    {"/%", false},
	        {"/..%2f", true},   {"/a%2F..", true},     {"/a\\..", true},  {"/..\\a", true},
	        {"/a%5C.", true},   {"/..;a=b/c", true},   {"/;../", false},  {"/a;./b", false},
	        {"/.%2f", true},    {"/.%00", false},      {"/..%zz", false}, {"//..", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (http_path_has_dot_segment(span_cstr(rows[i].path)) != rows[i].has)
			fail_msg("%s", rows[i].path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(table),
	        cmocka_unit_test(sound_requests),
	        cmocka_unit_test(damaged_requests),
	        cmocka_unit_test(long_heads),
	        cmocka_unit_test(limits),
	        cmocka_unit_test(limits_early),
	        cmocka_unit_test(fields_early),
	        cmocka_unit_test(dot_segments),
	};

	return cmocka_run_group_tests(tests, guard_setup, guard_teardown);
}
