/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warming, as far as it does no I/O: lines and lists, what of a request is kept, notes, budgets. */
#include "control/warm_budget.h"
#include "control/warm_key.h"
#include "control/warm_notes.h"

#include "cache/policy.h"
#include "cache/vary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEED 7u

/* --- lines --- */

struct line_row {
	const char *line;
	const char *host; /* NULL: bad, and why has the part in target */
	const char *target;
	const char *fields;
};

static const struct line_row line_rows[] = {
        {"http://a.test/", "a.test", "/", ""},
        {"a.test", "a.test", "/", ""},
        {"GET a.test/x", "a.test", "/x", ""},
        {"  GET   HTTP://a.test/x?y=1&z  ", "a.test", "/x?y=1&z", ""},
        {"GET\ta.test/x\tA: 1", "a.test", "/x", "A: 1\r\n"},
        {"localhost", "localhost", "/", ""},
        {"GET localhost", "localhost", "/", ""},
        {"GET", NULL, "no URL", ""},
        {"localhost\tA: 1", NULL, "unknown", ""},
        {"http://a.test:80/x", "a.test", "/x", ""},
        {"http://a.test:8080/x", "a.test:8080", "/x", ""},
        {"http://[::1]:8080/x", "[::1]:8080", "/x", ""},
        {"http://a.test/x\tA: 1", "a.test", "/x", "A: 1\r\n"},
        {"http://a.test/x  A: 1\t\tB: 2 3   C:", "a.test", "/x", "A: 1\r\nB: 2 3\r\nC:\r\n"},
        {"http://a.test/...", "a.test", "/...", ""},
        {"http://a.test/a.b/.c", "a.test", "/a.b/.c", ""},
        {"http://a.test/..", NULL, "'..'", ""},
        {"http://a.test/./", NULL, "'..'", ""},
        {"http://a.test/a/../b?c", NULL, "'..'", ""},
        {"http://a.test/?/../", "a.test", "/?/../", ""},
        {"POST http://a.test/", NULL, "only answers to GET", ""},
        {"HEAD http://a.test/", NULL, "write GET", ""},
        {"PULL http://a.test/", NULL, "unknown", ""},
        {"GET http://a.test/ b", NULL, "%20", ""},
        {"https://a.test/", NULL, "http", ""},
        {"/x", NULL, "no host", ""},
        {"?x", NULL, "no host", ""},
        {"http://u@a.test/", NULL, "no host", ""},
        {"http://", NULL, "no host", ""},
        {"http://a.test/#x", NULL, "%XX", ""},
        {"http://a.test/\xc3\xa9", NULL, "%XX", ""},
        {"http://a.test/x\tno field", NULL, "is no field", ""},
        {"http://a.test/x\tA: 1\x01", NULL, "is no field", ""},
        {"http://a.test/x\tA : 1", NULL, "is no field", ""},
        {"http://a.test/x\t: 1", NULL, "is no field", ""},
};

static void test_lines(void **state)
{
	struct warm_line *l = malloc(sizeof(*l));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(line_rows); i++) {
		const struct line_row *row = &line_rows[i];
		const char *why = "";
		enum warm_line_kind kind = warm_line_read(span_cstr(row->line), l, &why);

		if (row->host == NULL) {
			if (kind != WARM_LINE_BAD || strstr(why, row->target) == NULL)
				fail_msg("%s: %d, %s", row->line, kind, why);
			continue;
		}
		if (kind != WARM_LINE_REQUEST)
			fail_msg("%s: %s", row->line, why);
		assert_true(span_eq(l->host, span_cstr(row->host)));
		assert_true(span_eq(l->target, span_cstr(row->target)));
		assert_true(span_eq(span_of(l->text, l->fields_len), span_cstr(row->fields)));
	}
	free(l);
}

static void test_lines_long(void **state)
{
	struct warm_line *l = malloc(sizeof(*l));
	char *text = malloc(WARM_LINE_MAX + 2);
	const char *why;

	(void)state;
	assert_int_equal(warm_line_read(SPAN_LIT(""), l, &why), WARM_LINE_EMPTY);
	assert_int_equal(warm_line_read(SPAN_LIT(" \t "), l, &why), WARM_LINE_EMPTY);
	assert_int_equal(warm_line_read(SPAN_LIT("# x"), l, &why), WARM_LINE_EMPTY);
	memset(text, 'a', WARM_LINE_MAX + 1);
	assert_int_equal(warm_line_read(span_of(text, WARM_LINE_MAX), l, &why), WARM_LINE_REQUEST);
	assert_int_equal(warm_line_read(span_of(text, WARM_LINE_MAX + 1), l, &why), WARM_LINE_BAD);
	/* As many fields as fit; one more would be too many for a request. */
	for (uint32_t fields = 99; fields <= 102; fields++) {
		size_t len = (size_t)sprintf(text, "a/");

		for (uint32_t i = 0; i < fields; i++)
			len += (size_t)sprintf(text + len, "\tA:");
		assert_int_equal(warm_line_read(span_of(text, len), l, &why),
		                 fields <= HTTP_MAX_FIELDS ? WARM_LINE_REQUEST : WARM_LINE_BAD);
	}
	/* Nothing but dividers. */
	memset(text, '\t', WARM_LINE_MAX);
	text[0] = 'a';
	assert_int_equal(warm_line_read(span_of(text, WARM_LINE_MAX), l, &why), WARM_LINE_REQUEST);
	free(text);
	free(l);
}

/* --- lists --- */

static void test_list(void **state)
{
	char text[512] = WARM_LIST_HEAD "GET http://a/\n# why not\nGET http://b/\n";
	size_t len = strlen(text);
	struct span body, line;
	const char *wrong;
	uint64_t count;

	(void)state;
	len += warm_list_end(span_of(text, len), 2, text + len);
	assert_null(warm_list_check(span_of(text, len), &body, &count));
	assert_int_equal(count, 2);
	assert_true(warm_line_next(&body, &line));
	assert_true(span_eq(line, SPAN_LIT("GET http://a/")));
	/* Cut anywhere, or with any byte changed, it is none. */
	for (size_t i = 0; i < len; i++) {
		wrong = warm_list_check(span_of(text, i), &body, &count);
		assert_non_null(wrong);
		text[i] ^= 1;
		assert_non_null(warm_list_check(span_of(text, len), &body, &count));
		text[i] ^= 1;
	}
	/* One without requests is whole too. */
	len = (size_t)sprintf(text, "%s", WARM_LIST_HEAD);
	len += warm_list_end(span_of(text, len), 0, text + len);
	assert_null(warm_list_check(span_of(text, len), &body, &count));
	assert_int_equal(body.len, 0);
}

/* --- requests and what of them is kept --- */

static const char config_text[] =
        "listeners: [{address: 192.0.2.10}]\n"
        "ports: [{interface: veth0, cores: [0]}]\n"
        "upstreams: [{name: api, addresses: [\"127.0.0.1:8080\"]}]\n"
        "rules:\n"
        "  - {name: mine, key: \"mine:{path.id}\"}\n"
        "  - {name: lang, key: \"lang:{path.id}:{header.X-Lang|lower}\", public: true}\n"
        "  - {name: cook, key: \"cook:{path.id}:{cookie.c}\", public: true}\n"
        "routes:\n"
        "  - {host: a.test, path: \"/mine/{id}\", upstream: api, cache: {rule: mine}}\n"
        "  - {host: a.test, path: \"/lang/{id}\", upstream: api, cache: {rule: lang}}\n"
        "  - {host: a.test, path: \"/cook/{id}\", upstream: api, cache: {rule: cook}}\n"
        "  - {host: a.test, path: /off, upstream: api, cache: {mode: \"off\"}}\n"
        "  - {host: p.test, path: /post, methods: [POST], upstream: api}\n"
        "  - {host: a.test, upstream: api}\n";

static struct snapshot *snapshot_make(void)
{
	struct config_error err = {""};
	struct snapshot *s = NULL;
	struct config *cfg = NULL;

	if (config_parse(config_text, strlen(config_text), "t", &cfg, &err) != ST_OK ||
	    snapshot_build(cfg, &s, &err) != ST_OK)
		fail_msg("%s", err.text);
	config_free(cfg);
	return s;
}

static struct request *request_of(const struct snapshot *s, const char *line, const char **why)
{
	struct warm_line *l = malloc(sizeof(*l));
	struct request *r = NULL;

	if (warm_line_read(span_cstr(line), l, why) == WARM_LINE_REQUEST)
		r = warm_request(s, SEED, l, why);
	free(l);
	return r;
}

static void test_requests(void **state)
{
	static const struct {
		const char *line;
		const char *key; /* NULL: refused, and why has the part in part */
		const char *part;
	} rows[] = {
	        {"a.test/x?b=1", "a.test/x?b=1", ""},
	        {"A.Test/x", "a.test/x", ""},
	        {"a.test:8080/x", "a.test:8080/x", ""},
	        {"a.test/mine/7", "mine:7|h=a.test", ""},
	        {"a.test/mine/7\tX-Tenant-Id: t", "mine:7|h=a.test|t=t", ""},
	        {"a.test/lang/7\tX-Lang: DE", "lang:7:de|h=a.test", ""},
	        {"b.test/", NULL, "no route has this host"},
	        {"a.test/off", NULL, "not cached"},
	        {"p.test/post", NULL, "does not take GET"},
	        {"a.test/mine/7?x=1", NULL, "makes no key"},
	        {"a.test/x\tCookie: a=1", NULL, "who asks"},
	        {"a.test/x\tauthorization: a", NULL, "who asks"},
	        {"a.test/x\tPF-Sig: a", NULL, "who asks"},
	        {"a.test/x\tProxy-Authorization: a", NULL, "who asks"},
	        {"a.test/x\tHost: b.test", NULL, "who is asked"},
	        {"a.test/x\tX-Forwarded-Host: b.test", NULL, "who is asked"},
	        {"a.test/x\tForwarded: host=b", NULL, "who is asked"},
	        {"a.test/x\tConnection: close", NULL, "who is asked"},
	        {"a.test/x\tCache-Control: no-store", NULL, "forbid"},
	        {"a.test/x\tRange: bytes=0-1", NULL, "forbid"},
	};
	struct snapshot *s = snapshot_make();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why = "";
		struct request *r = request_of(s, rows[i].line, &why);

		if ((r != NULL) != (rows[i].key != NULL) ||
		    strstr(why != NULL ? why : "", rows[i].part) == NULL)
			fail_msg("%s: %s", rows[i].line, why != NULL ? why : "");
		if (r != NULL && !span_eq(r->key, span_cstr(rows[i].key)))
			fail_msg("%s: %.*s", rows[i].line, (int)r->key.len, r->key.ptr);
		free(r);
	}
	free(s);
}

/* A client's request, as a core describes it: r's with other fields, and the same key. */
static struct request *client_request(const struct request *r, const char *fields, uint16_t flags)
{
	struct chan_request wire = r->wire;
	size_t texts = r->key.len + r->method_text.len + r->host.len + r->target.len;
	char *bytes = malloc(sizeof(wire) + texts + strlen(fields));
	struct request *out;

	wire.fields_len = (uint32_t)strlen(fields);
	wire.flags |= flags;
	memcpy(bytes, &wire, sizeof(wire));
	memcpy(bytes + sizeof(wire), r->key.ptr, texts); /* they lie one behind the other */
	memcpy(bytes + sizeof(wire) + texts, fields, strlen(fields));
	out = request_read(bytes, (uint32_t)(sizeof(wire) + texts + strlen(fields)), false);
	free(bytes);
	return out;
}

static void test_kept(void **state)
{
	static const struct {
		const char *line; /* that has the client's key */
		const char *fields;
		const char *kept; /* NULL: no line */
	} rows[] = {
	        {"a.test/x?b", "User-Agent: u\r\nAccept: */*\r\n", "GET http://a.test/x?b"},
	        {"a.test/x", "Cookie: a=1\r\n", "GET http://a.test/x"},
	        {"a.test/x", "If-None-Match: \"a\"\r\n", NULL},
	        {"a.test/mine/7\tX-Tenant-Id: t", "X-Tenant-Id: t\r\nX-User-Id: u\r\nA: b\r\n",
	         "GET http://a.test/mine/7\tX-Tenant-Id: t"},
	        /* The key has a digest of it. */
	        {"a.test/mine/7", "X-API-Key: secret\r\nX-Tenant-Id: t\r\n", NULL},
	        {"a.test/lang/7\tX-Lang: DE", "X-Lang: DE\r\nX-Tenant-Id: t\r\n",
	         "GET http://a.test/lang/7\tX-Lang: DE"},
	        /* Blanks that a line could not hold. */
	        {"a.test/lang/7\tX-Lang: a b", "X-Lang: a  b\r\n", NULL},
	};
	struct snapshot *s = snapshot_make();
	char line[WARM_LINE_MAX];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why;
		struct request *like = request_of(s, rows[i].line, &why);
		struct request *r = client_request(like, rows[i].fields, 0);
		bool kept = warm_line_of(s, SEED, r, r->key, NULL, line, &len);

		if (kept != (rows[i].kept != NULL) ||
		    (kept && !span_eq(span_of(line, len), span_cstr(rows[i].kept))))
			fail_msg("%s: %.*s", rows[i].line, kept ? (int)len : 0, line);
		free(r);
		/* Whose answer needed Authorization is not asked for without. */
		r = client_request(like, rows[i].fields, CHAN_REQ_AUTHORIZED);
		assert_false(warm_line_of(s, SEED, r, r->key, NULL, line, &len));
		free(r);
		free(like);
	}
	free(s);
}

static void test_kept_variants(void **state)
{
	static const struct {
		const char *names;
		const char *fields;
		const char *kept;
	} rows[] = {
	        {"accept-language", "Accept-Language: de\r\nX: y\r\n",
	         "GET http://a.test/x\tAccept-Language: de"},
	        {"accept-language", "X: y\r\n", "GET http://a.test/x"},
	        {"accept-encoding,x", "X: y\r\nAccept-Encoding: gzip, br\r\n",
	         "GET http://a.test/x\tX: y\tAccept-Encoding: gzip, br"},
	        {"cookie", "Cookie: a=1\r\n", NULL},
	        {"cookie", "", "GET http://a.test/x"},
	        /* With codings that are made here: the answer itself is asked for. */
	        {"accept-encoding=gzip", "Accept-Encoding: gzip\r\n", "GET http://a.test/x"},
	        {"accept-encoding,x=br,gzip", "X: y\r\nAccept-Encoding: br\r\n",
	         "GET http://a.test/x\tX: y"},
	};
	struct snapshot *s = snapshot_make();
	const char *why;
	struct request *like = request_of(s, "a.test/x", &why);
	struct cache_key first = {{like->wire.key_lo, like->wire.key_hi}, like->key};
	uint64_t list[64];
	char line[WARM_LINE_MAX], text[CACHE_KEY_MAX], base[CACHE_KEY_MAX];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request *r = client_request(like, rows[i].fields, 0);
		struct cache_key asked, variant;
		struct http_fields fs;
		size_t pos = 0;

		assert_true(vary_list_write(list, sizeof(list), &first, 5,
		                            span_cstr(rows[i].names)) > 0);
		assert_int_equal(http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, &fs),
		                 HTTP_SCAN_DONE);
		assert_true(
		        vary_key(text, &first, (struct object *)(void *)list, &fs, SEED, &asked));
		if (!vary_key_coded(asked.text, CODING_IDENTITY, SEED, base, &variant))
			variant = asked;
		bool kept = warm_line_of(s, SEED, r, variant.text, (struct object *)(void *)list,
		                         line, &len);

		if (kept != (rows[i].kept != NULL) ||
		    (kept && !span_eq(span_of(line, len), span_cstr(rows[i].kept))))
			fail_msg("%s, %s: %.*s", rows[i].names, rows[i].fields, kept ? (int)len : 0,
			         line);
		free(r);
	}
	free(like);
	free(s);
}

/* --- notes --- */

static struct span text_of(char buf[32], const char *what, uint32_t i)
{
	return span_of(buf, (size_t)snprintf(buf, 32, "%s%u", what, i));
}

static void test_notes(void **state)
{
	struct warm_notes_counts c;
	struct warm_notes *n;
	struct warm_pick p;
	char key[32], line[32];

	(void)state;
	assert_int_equal(warm_notes_create(1 << 20, &n), ST_OK);
	warm_notes_pick(n, 10, &p);
	assert_int_equal(p.count, 0);
	warm_pick_free(&p);
	for (uint32_t i = 0; i < 10; i++) {
		assert_false(warm_notes_use(n, text_of(key, "k", i), 1));
		warm_notes_put(n, text_of(key, "k", i), text_of(line, "l", i));
		assert_true(warm_notes_use(n, text_of(key, "k", i), i));
	}
	/* A second one of the key changes nothing. */
	warm_notes_put(n, text_of(key, "k", 9), text_of(line, "x", 9));
	warm_notes_counts(n, &c);
	assert_int_equal(c.entries, 10);
	for (uint32_t max = 1; max <= 12; max++) {
		uint32_t seen = 0;

		warm_notes_pick(n, max, &p);
		assert_int_equal(p.count, min_u32(10, max));
		for (uint32_t i = 0; i < p.count; i++) {
			assert_int_equal(p.rows[i].len, 2);
			assert_int_equal(p.rows[i].line[0], 'l');
			seen |= 1u << (p.rows[i].line[1] - '0');
		}
		/* Those with the most uses. */
		assert_int_equal(seen, 0x3ff & ~((1u << (10 - min_u32(10, max))) - 1));
		warm_pick_free(&p);
	}
	/* One use is forgotten after five coolings, ten are not. */
	for (uint32_t i = 0; i < 5; i++)
		warm_notes_cool(n);
	warm_notes_pick(n, 10, &p);
	assert_int_equal(p.count, 9);
	warm_pick_free(&p);
	warm_notes_destroy(n);
}

static void test_notes_bounded(void **state)
{
	const uint64_t most = 64 << 10;
	struct warm_notes_counts c;
	struct warm_notes *n;
	char key[32], line[32];

	(void)state;
	assert_int_equal(warm_notes_create(most, &n), ST_OK);
	warm_notes_put(n, SPAN_LIT("hot"), SPAN_LIT("line"));
	for (uint32_t i = 0; i < 10000; i++) {
		warm_notes_put(n, text_of(key, "k", i), text_of(line, "l", i));
		/* What is asked for again and again stays. */
		assert_true(warm_notes_use(n, SPAN_LIT("hot"), 1));
		warm_notes_counts(n, &c);
		assert_true(c.bytes <= most);
	}
	assert_int_equal(c.entries + c.evicted, 10001);
	assert_true(c.entries > 100);
	assert_true(warm_notes_use(n, text_of(key, "k", 9999), 0));
	assert_false(warm_notes_use(n, text_of(key, "k", 0), 0));
	warm_notes_destroy(n);
}

/* --- budgets --- */

static void test_rate(void **state)
{
	static const uint32_t rates[] = {1, 3, 100, 999, 5000, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct warm_limits limits = {rates[i], UINT32_MAX, UINT64_MAX, 60000};
		struct warm_budget b;
		uint64_t taken = 0, first = 0;

		warm_budget_start(&b, &limits, 0);
		/* A look each millisecond; nothing is asked for in the fifth second. */
		for (uint64_t ms = 0; ms < 10000; ms++) {
			while ((ms < 4000 || ms >= 5000) && warm_budget_take(&b, ms * NS_PER_MS))
				taken++;
			if (ms == 999)
				first = taken;
		}
		assert_true(first >= rates[i] - rates[i] / 100);
		assert_true(first <= rates[i] + rates[i] / 100 + 1);
		assert_true(taken >= 9ull * (rates[i] - rates[i] / 100) - 1);
		assert_true(taken <= 9ull * rates[i] + 2ull * (rates[i] / 100 + 1) + 9);
	}
}

static void test_limits(void **state)
{
	struct warm_limits limits = {1000000, 2, 100, 1000};
	struct warm_budget b;

	(void)state;
	warm_budget_start(&b, &limits, 0);
	assert_true(warm_budget_take(&b, 0));
	assert_true(warm_budget_take(&b, NS_PER_MS));
	assert_false(warm_budget_take(&b, 2 * NS_PER_MS)); /* two at a time */
	warm_budget_give(&b, 99);
	assert_false(warm_budget_over(&b, 2 * NS_PER_MS));
	assert_true(warm_budget_take(&b, 2 * NS_PER_MS));
	warm_budget_give(&b, 1);
	assert_true(warm_budget_over(&b, 3 * NS_PER_MS)); /* bytes */
	assert_false(warm_budget_take(&b, 3 * NS_PER_MS));
	warm_budget_start(&b, &limits, 0);
	assert_true(warm_budget_take(&b, 999 * NS_PER_MS));
	assert_false(warm_budget_take(&b, 1000 * NS_PER_MS)); /* time */
	assert_true(warm_budget_over(&b, 1000 * NS_PER_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lines), cmocka_unit_test(test_lines_long),
	        cmocka_unit_test(test_list),  cmocka_unit_test(test_requests),
	        cmocka_unit_test(test_kept),  cmocka_unit_test(test_kept_variants),
	        cmocka_unit_test(test_notes), cmocka_unit_test(test_notes_bounded),
	        cmocka_unit_test(test_rate),  cmocka_unit_test(test_limits),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
