/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy_rows.h"

#include "cache/sf.h"
#include "cache/tags.h"

/* Structured fields (RFC 9651): what is a dictionary, and what a list */

struct sf_row {
	const char *rfc;
	const char *text;
	int dictionary; /* members, or -1 */
	int list;
};

static const struct sf_row sf_rows[] = {
        {"3.1", "", 0, 0},
        {"4.2", "  ", 0, 0},
        {"3.2", "a", 1, 1},
        {"3.2", "a=1", 1, -1},
        {"3.2", "a=1, b=2", 2, -1},
        {"3.2", "a=1,b=2\t,\tc", 3, -1},
        {"3.2", "a=1,", -1, -1},
        {"3.2", "a=1, ", -1, -1},
        {"3.2", ",a=1", -1, -1},
        {"3.2", "a=1,,b", -1, -1},
        {"3.2", "a=1 b", -1, -1},
        {"3.2", "a =1", -1, -1},
        {"3.2", "a= 1", -1, -1},
        {"3.2", "A=1", -1, -1},
        {"3.2", "1=1", -1, -1},
        {"3.2", "*a_-.*9=1", 1, -1},
        {"3.2", "-a=1", -1, -1},
        {"3.2", "a=", -1, -1},
        {"3.3.1", "a=-1", 1, -1},
        {"3.3.1", "a=999999999999999", 1, -1},
        {"3.3.1", "a=1000000000000000", -1, -1},
        {"3.3.1", "a=-", -1, -1},
        {"3.3.1", "a=--1", -1, -1},
        {"3.3.1", "5", -1, 1},
        {"3.3.2", "a=1.5", 1, -1},
        {"3.3.2", "a=1.", -1, -1},
        {"3.3.2", "a=.5", -1, -1},
        {"3.3.2", "a=1.1234", -1, -1},
        {"3.3.2", "a=123456789012.123", 1, -1},
        {"3.3.2", "a=1234567890123.1", -1, -1},
        {"3.3.3", "a=\"x\"", 1, -1},
        {"3.3.3", "\"x\", \"y\"", -1, 2},
        {"3.3.3", "a=\"x", -1, -1},
        {"3.3.3", "a=\"\\\"\"", 1, -1},
        {"3.3.3", "a=\"\\x\"", -1, -1},
        {"3.3.3", "a=\"\\", -1, -1},
        {"3.3.3", "a=\"\xc3\"", -1, -1},
        {"3.3.4", "a=tok/en:*", 1, -1},
        {"3.3.4", "a=*x", 1, -1},
        {"3.3.5", "a=:YQ==:", 1, -1},
        {"3.3.5", "a=:YQ", -1, -1},
        {"3.3.5", "a=:Y!:", -1, -1},
        {"3.3.6", "a=?1", 1, -1},
        {"3.3.6", "a=?0", 1, -1},
        {"3.3.6", "a=?2", -1, -1},
        {"3.3.6", "a=?", -1, -1},
        {"3.3.7", "a=@1659578233", 1, -1},
        {"3.3.7", "a=@1.5", -1, -1},
        {"3.3.7", "a=@", -1, -1},
        {"3.3.8", "a=%\"x%c3%bc\"", 1, -1},
        {"3.3.8", "a=%\"x%C3\"", -1, -1},
        {"3.3.8", "a=%\"x%c\"", -1, -1},
        {"3.3.8", "a=%x", -1, -1},
        {"3.1.2", "a=1;b", 1, -1},
        {"3.1.2", "a;b=2; c=\"x\"", 1, 1},
        {"3.1.2", "a=1;", -1, -1},
        {"3.1.2", "a=1;B", -1, -1},
        {"3.1.2", "a=1 ;b", -1, -1},
        {"3.1.1", "a=(1 2)", 1, -1},
        {"3.1.1", "a=()", 1, -1},
        {"3.1.1", "a=( 1;x  \"y\" );z", 1, -1},
        {"3.1.1", "(1 2), 3", -1, 2},
        {"3.1.1", "a=(1,2)", -1, -1},
        {"3.1.1", "a=(1", -1, -1},
        {"3.1.1", "a=(1\"x\")", -1, -1},
        {"4.2", "&&&&&", -1, -1},
        {"4.2", "a=1, &&", -1, -1},
};

static void test_sf(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sf_rows); i++) {
		const struct sf_row *r = &sf_rows[i];
		struct sf_value value;
		enum sf_next next;
		struct sf_reader at;
		struct span key;
		int members = 0;

		sf_begin(&at, span_cstr(r->text));
		while ((next = sf_dictionary_next(&at, &key, &value)) == SF_MEMBER)
			members++;
		if ((next == SF_END ? members : -1) != r->dictionary)
			fail_msg("row %zu (RFC 9651 %s): dictionary %s", i, r->rfc, r->text);
		members = 0;
		sf_begin(&at, span_cstr(r->text));
		while ((next = sf_list_next(&at, &value)) == SF_MEMBER)
			members++;
		if ((next == SF_END ? members : -1) != r->list)
			fail_msg("row %zu (RFC 9651 %s): list %s", i, r->rfc, r->text);
	}
}

static void test_sf_values(void **state)
{
	struct sf_reader at;
	struct sf_value value;
	struct span key;
	char text[8];

	(void)state;
	sf_begin(&at, SPAN_LIT("a=-12, b=?0, c, d=\"x\\\"y\", e=1.5"));
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_MEMBER);
	assert_true(span_eq(key, SPAN_LIT("a")));
	assert_int_equal(value.type, SF_INTEGER);
	assert_int_equal(value.number, -12);
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_MEMBER);
	assert_int_equal(value.type, SF_BOOL);
	assert_int_equal(value.number, 0);
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_MEMBER);
	assert_int_equal(value.type, SF_BOOL);
	assert_int_equal(value.number, 1);
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_MEMBER);
	assert_int_equal(value.type, SF_STRING);
	assert_int_equal(sf_string(value.string, text, sizeof(text)), 3);
	assert_memory_equal(text, "x\"y", 3);
	assert_int_equal(sf_string(value.string, text, 2), 0);
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_MEMBER);
	assert_int_equal(value.type, SF_OTHER);
	assert_int_equal(sf_dictionary_next(&at, &key, &value), SF_END);
}

/* Which field speaks, and what it says (RFC 9213 2) */

struct targeted_row {
	const char *fields;
	enum http_hdr source;
	uint32_t max_age, s_maxage, while_s, error_s;
	const char
	        *flags; /* n(o-store) c(no-cache) f(ields) p(rivate) q(private=) P(ublic) m r u t */
};

#define CDN    "CDN-Cache-Control: "
#define SLUICE "Sluice-Cache-Control: "
#define F_NONE HDR_OTHER
#define F_CC   HDR_CACHE_CONTROL
#define F_CDN  HDR_CDN_CACHE_CONTROL
#define F_OURS HDR_SLUICE_CACHE_CONTROL

static const struct targeted_row targeted_rows[] = {
        {"", F_NONE, NONE, NONE, NONE, NONE, ""},
        {CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CC "max-age=1" N CDN "max-age=2" N, F_CDN, 2, NONE, NONE, NONE, ""},
        {CC "max-age=1" N CDN "max-age=2" N SLUICE "max-age=3" N, F_OURS, 3, NONE, NONE, NONE, ""},
        {SLUICE "max-age=3" N CC "no-store" N, F_OURS, 3, NONE, NONE, NONE, ""},
        {CDN "s-maxage=2, stale-while-revalidate=3, stale-if-error=4" N, F_CDN, NONE, 2, 3, 4, ""},
        {CDN "no-store, private, public, must-revalidate" N, F_CDN, NONE, NONE, NONE, NONE, "npPm"},
        {CDN "no-cache, proxy-revalidate, must-understand, no-transform" N, F_CDN, NONE, NONE, NONE,
         NONE, "crut"},
        {CDN "no-cache=\"a\", private=\"b\"" N, F_CDN, NONE, NONE, NONE, NONE, "fq"},
        {CDN "no-cache=\"\", private=x" N, F_CDN, NONE, NONE, NONE, NONE, "cp"},
        {CDN "no-store=?0, private=?0, no-cache=?0" N, F_CDN, NONE, NONE, NONE, NONE, ""},
        {CDN "no-store=?1" N, F_CDN, NONE, NONE, NONE, NONE, "n"},
        {CDN "no-store=1" N, F_CDN, NONE, NONE, NONE, NONE, "n"},
        {CDN "no-store;x=1" N, F_CDN, NONE, NONE, NONE, NONE, "n"},
        {CDN "max-age=5;x=1" N, F_CDN, 5, NONE, NONE, NONE, ""},
        {CDN "max-age=5, max-age=6" N, F_CDN, 6, NONE, NONE, NONE, ""},
        {CDN "max-age=5" N CDN "max-age=6, public" N, F_CDN, 6, NONE, NONE, NONE, "P"},
        {CDN "max-age=0" N, F_CDN, 0, NONE, NONE, NONE, ""},
        {CDN "max-age=-5" N, F_CDN, 0, NONE, NONE, NONE, ""},
        {CDN "max-age=2147483648" N, F_CDN, 2147483648u, NONE, NONE, NONE, ""},
        {CDN "max-age=99999999999" N, F_CDN, 2147483648u, NONE, NONE, NONE, ""},
        {CDN "max-age" N, F_CDN, 0, NONE, NONE, NONE, ""},
        {CDN "max-age=1.5" N, F_CDN, 0, NONE, NONE, NONE, ""},
        {CDN "max-age=\"10000\"" N CC "no-store" N, F_CDN, 0, NONE, NONE, NONE, ""},
        {CDN "foobar, max-age=5" N, F_CDN, 5, NONE, NONE, NONE, ""},
        {CDN "foobar" N CC "max-age=1" N, F_CDN, NONE, NONE, NONE, NONE, ""},
        /* void fields: as if they were not there */
        {CDN "max-age=10000, &&&&&" N CC "no-store" N, F_CC, NONE, NONE, NONE, NONE, "n"},
        {CDN "max-age =100" N CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CDN "max-age= 100" N CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CDN "MaX-aGe=3600" N CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CDN "" N CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CDN "max-age=2" N CDN "&" N CC "max-age=1" N, F_CC, 1, NONE, NONE, NONE, ""},
        {CDN "max-age=2" N CDN "" N CC "max-age=1" N, F_CDN, 2, NONE, NONE, NONE, ""},
        {SLUICE "x y" N CDN "max-age=2" N CC "max-age=1" N, F_CDN, 2, NONE, NONE, NONE, ""},
        {SLUICE "" N CDN "" N, F_NONE, NONE, NONE, NONE, NONE, ""},
};

static void test_targeted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targeted_rows); i++) {
		const struct targeted_row *r = &targeted_rows[i];
		struct cache_control cc;
		struct http_fields fs;
		char flags[16];

		fields_scan(r->fields, &fs);
		enum http_hdr source = cache_control_response(&fs, &cc);
		snprintf(flags, sizeof(flags), "%s%s%s%s%s%s%s%s%s%s", cc.no_store ? "n" : "",
		         cc.no_cache ? "c" : "", cc.no_cache_fields ? "f" : "",
		         cc.private_ ? "p" : "", cc.private_fields ? "q" : "",
		         cc.public_ ? "P" : "", cc.must_revalidate ? "m" : "",
		         cc.proxy_revalidate ? "r" : "", cc.must_understand ? "u" : "",
		         cc.no_transform ? "t" : "");
		if (source != r->source || cc.max_age_s != r->max_age ||
		    cc.s_maxage_s != r->s_maxage || cc.stale_while_revalidate_s != r->while_s ||
		    cc.stale_if_error_s != r->error_s || strcmp(flags, r->flags) != 0)
			fail_msg("row %zu: %s: source %d max-age %u flags %s", i, r->fields, source,
			         cc.max_age_s, flags);
	}
}

static void test_targeted_expires(void **state)
{
	struct http_fields fs;
	struct cache_response out;
	struct cache_response_in in = {.method = HTTP_GET,
	                               .status = 200,
	                               .fields = &fs,
	                               .rule = {.mode = CACHE_ORIGIN},
	                               .request_wall_ms = NOW_MS,
	                               .response_wall_ms = NOW_MS};

	(void)state;
	/* RFC 9213 2.1: Expires does not count beside it. */
	fields_scan(CDN "public" N "Expires: Tue, 14 Nov 2023 22:13:30 GMT" N, &fs);
	cache_response_policy(&in, &out);
	assert_int_equal(out.lifetime_ms, 0);
	fields_scan(CDN "max-age=3600" N "Expires: 0" N, &fs);
	cache_response_policy(&in, &out);
	assert_int_equal(out.lifetime_ms, 3600000);
	fields_scan(CDN "" N "Expires: Tue, 14 Nov 2023 22:13:30 GMT" N, &fs);
	cache_response_policy(&in, &out);
	assert_int_equal(out.lifetime_ms, 10000);
}

/* Tags */

struct tag_row {
	const char *fields;
	const char *tags; /* in order, divided by '|' */
	const char *voided;
	bool fit;
};

#define G "group:http://host.example:80 "

static const struct tag_row tag_rows[] = {
        {"", "", "", true},
        {"Surrogate-Key: a" N, "tag:a", "", true},
        {"Surrogate-Key:  a  b\tc " N, "tag:a|tag:b|tag:c", "", true},
        {"Surrogate-Key: a" N "surrogate-key: b" N, "tag:a|tag:b", "", true},
        {"Surrogate-Key: " N, "", "", true},
        {"Surrogate-Key: a,b" N, "tag:a,b", "", true},
        {"Cache-Groups: \"a\"" N, G "a", "", true},
        {"Cache-Groups: \"a\", \"b c\";x=1" N, G "a|" G "b c", "", true},
        {"Cache-Groups: \"a\"" N "Cache-Groups: \"b\"" N, G "a|" G "b", "", true},
        {"Cache-Groups: \"x\\\"y\"" N, G "x\"y", "", true},
        {"Cache-Groups: \"\"" N, G, "", true},
        {"Cache-Groups: a" N, "", "", true},
        {"Cache-Groups: \"a\", b" N, "", "", true},
        {"Cache-Groups: \"a\", (\"b\")" N, "", "", true},
        {"Cache-Groups: \"a" N, "", "", true},
        {"Cache-Groups: \"a\"" N "Cache-Groups: &" N, "", "", true},
        {"Cache-Groups: \"a\"" N "Surrogate-Key: b" N, "tag:b|" G "a", "", true},
        {"Cache-Group-Invalidation: \"a\", \"b\"" N, "", G "a|" G "b", true},
        {"Cache-Group-Invalidation: a" N, "", "", true},
};

struct tags_text {
	char text[1024];
};

static void on_tag(void *arg, struct span tag)
{
	struct tags_text *t = arg;
	size_t len = strlen(t->text);

	snprintf(t->text + len, sizeof(t->text) - len, "%s%.*s", len > 0 ? "|" : "", (int)tag.len,
	         tag.ptr);
}

static void test_tags(void **state)
{
	struct cache_target at = {.host = SPAN_LIT("Host.Example"), .target = SPAN_LIT("/")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tag_rows); i++) {
		const struct tag_row *r = &tag_rows[i];
		struct tags_text tags = {0}, voided = {0};
		struct http_fields fs;

		fields_scan(r->fields, &fs);
		bool fit = tags_of_response(&fs, &at, on_tag, &tags);
		tags_invalidated(&fs, &at, on_tag, &voided);
		if (strcmp(tags.text, r->tags) != 0 || strcmp(voided.text, r->voided) != 0 ||
		    fit != r->fit)
			fail_msg("row %zu: %s: %s and %s", i, r->fields, tags.text, voided.text);
	}
}

static void test_tag_too_long(void **state)
{
	struct cache_target at = {.host = SPAN_LIT("h"), .target = SPAN_LIT("/")};
	struct tags_text tags = {0};
	struct http_fields fs;
	char text[TAG_MAX + 64] = "Surrogate-Key: b ";
	size_t from = strlen(text);

	(void)state;
	memset(text + from, 'a', TAG_MAX - 4); /* "tag:" */
	memcpy(text + from + TAG_MAX - 4, N, 3);
	fields_scan(text, &fs);
	assert_true(tags_of_response(&fs, &at, on_tag, &tags));
	assert_int_equal(strlen(tags.text), 5 + 1 + TAG_MAX);
	memcpy(text + from + TAG_MAX - 4, "a" N, 4);
	fields_scan(text, &fs);
	assert_false(tags_of_response(&fs, &at, on_tag, &tags));
	memset(text, 'a', sizeof(text));
	memcpy(text, "Cache-Groups: \"", 15);
	memcpy(text + TAG_MAX + 20, "\"" N, 4);
	fields_scan(text, &fs);
	assert_false(tags_of_response(&fs, &at, on_tag, &tags));
}

static void test_group_origin(void **state)
{
	const struct {
		const char *host;
		bool tls;
		const char *tag;
	} rows[] = {
	        {"Host", false, "group:http://host:80 g"},
	        {"host", true, "group:https://host:443 g"},
	        {"host:8080", false, "group:http://host:8080 g"},
	        {"[::1]", false, "group:http://[::1]:80 g"},
	        {"[::1]:81", false, "group:http://[::1]:81 g"},
	        {"127.0.0.1", false, "group:http://127.0.0.1:80 g"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cache_target at = {.host = span_cstr(rows[i].host), .tls = rows[i].tls};
		char buf[TAG_MAX];
		size_t len = tag_group(&at, SPAN_LIT("g"), buf);

		if (!span_eq(span_of(buf, len), span_cstr(rows[i].tag)))
			fail_msg("row %zu: %.*s", i, (int)len, buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sf),           cmocka_unit_test(test_sf_values),
	        cmocka_unit_test(test_targeted),     cmocka_unit_test(test_targeted_expires),
	        cmocka_unit_test(test_tags),         cmocka_unit_test(test_tag_too_long),
	        cmocka_unit_test(test_group_origin),
	};

	http1_init(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
