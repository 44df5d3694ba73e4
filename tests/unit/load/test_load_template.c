/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/template.h"

#include <stdlib.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct load_rng rng;
static const struct template_values values = {
        .key = 42,
        .seq = 7,
        .user = 100,
        .worker = 3,
        .rng = &rng,
};

static struct template *compile(const char *text)
{
	struct template_error err;
	struct template *t = template_compile(span_cstr(text), &err);

	if (!t)
		fail_msg("%s: %s", text, err.text);
	return t;
}

/* What it writes, checked against its room. */
static char *write(const char *text)
{
	struct template *t = compile(text);
	char *buf = malloc(t->room + 2);
	char *end;

	assert_non_null(buf);
	end = template_write(t, &values, buf);
	assert_true((size_t)(end - buf) <= t->room);
	*end = '\0';
	template_free(t);
	return buf;
}

static void what_stands_in_braces_is_filled_in(void **state)
{
	static const struct {
		const char *text;
		const char *wants;
	} cases[] = {
	        {"", ""},
	        {"/", "/"},
	        {"{key}", "42"},
	        {"/a/{key}/b", "/a/42/b"},
	        {"{key}{key}", "4242"},
	        {"{seq}-{user}-{worker}", "7-100-3"},
	        {"{key|pad:1}", "42"},
	        {"{key|pad:8}", "00000042"},
	        {"{choice:only}", "only"},
	        {"{choice:,}", ""},
	        {"{random:5-5}", "5"},
	        {"{random:18446744073709551615-18446744073709551615}", "18446744073709551615"},
	        {"{random:9-9|pad:3}", "009"},
	        {"{", "{"},
	        {"{{", "{"},
	        {"{{key}", "{key}"},
	        {"{{{key}}", "{42}"},
	        {"{}", "{}"},
	        {"{ key}", "{ key}"},
	        {"}{", "}{"},
	        {"{\"id\":{key},\"in\":{\"b\":{}}}", "{\"id\":42,\"in\":{\"b\":{}}}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got = write(cases[i].text);

		assert_string_equal(got, cases[i].wants);
		free(got);
	}
}

static void formats_follow_from_the_number(void **state)
{
	char *hash = write("{key|hash}"), *again = write("{key|hash}"),
	     *other = write("{seq|hash}");
	char *uuid = write("{key|uuid}"), *same = write("{key|uuid}");

	(void)state;
	assert_int_equal(strlen(hash), 16);
	assert_int_equal(strspn(hash, "0123456789abcdef"), 16);
	assert_string_equal(hash, again);
	assert_string_not_equal(hash, other);
	assert_int_equal(strlen(uuid), 36);
	assert_string_equal(uuid, same);
	free(hash);
	free(again);
	free(other);
	free(uuid);
	free(same);
}

/* RFC 9562 4 and 5.4. */
static void uuids_are_random_and_of_version_4(void **state)
{
	char *a = write("{uuid}"), *b = write("{uuid}");

	(void)state;
	assert_int_equal(strlen(a), 36);
	for (int i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			assert_int_equal(a[i], '-');
		else
			assert_non_null(strchr("0123456789abcdef", a[i]));
	}
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
	free(a);
	free(b);
}

static void random_reaches_both_ends(void **state)
{
	uint32_t seen[5] = {0};

	(void)state;
	for (int i = 0; i < 400; i++) {
		char *got = write("{random:3-5}");
		int n = atoi(got);

		assert_in_range(n, 3, 5);
		seen[n - 1]++;
		free(got);
	}
	assert_int_equal(seen[0] + seen[1], 0);
	for (int n = 2; n < 5; n++)
		assert_in_range(seen[n], 90, 180);
}

static void choices_are_all_taken(void **state)
{
	uint32_t low = 0, high = 0;

	(void)state;
	for (int i = 0; i < 400; i++) {
		char *got = write("{choice:low,high}");

		low += strcmp(got, "low") == 0;
		high += strcmp(got, "high") == 0;
		free(got);
	}
	assert_int_equal(low + high, 400);
	assert_in_range(low, 150, 250);
}

static void times_are_of_now(void **state)
{
	time_t before = time(NULL);
	char *s = write("{time}"), *ms = write("{time|ms}"), *iso = write("{time|iso}");
	struct tm tm = {0};

	(void)state;
	assert_in_range(atoll(s), before, before + 5);
	assert_in_range(atoll(ms), before * 1000ll, before * 1000ll + 5000);
	assert_int_equal(strlen(iso), 24);
	assert_string_equal(strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) + 4, "Z");
	assert_in_range(timegm(&tm), before, before + 5);
	free(s);
	free(ms);
	free(iso);
}

static void errors_say_where_and_what(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
		const char *says;
	} cases[] = {
	        {"/a/{kye}", 3, "unknown variable 'kye'; did you mean 'key'?"},
	        {"{wombat}", 0, "known are key, seq"},
	        {"{key", 0, "no '}' ends"},
	        {"ab{key", 2, "no '}' ends"},
	        {"{key:1}", 0, "'key' takes nothing"},
	        {"{key|hsah}", 0, "did you mean 'hash'"},
	        {"{key|}", 0, "unknown format ''"},
	        {"{key|hash:4}", 0, "'hash' takes nothing"},
	        {"{key|pad}", 0, "'pad' takes 1 to"},
	        {"{key|pad:0}", 0, "'pad' takes 1 to"},
	        {"{key|pad:65}", 0, "'pad' takes 1 to"},
	        {"{key|iso}", 0, "write {time|iso}"},
	        {"{choice:a|hash}", 0, "takes no format"},
	        {"{uuid|hash}", 0, "takes no format"},
	        {"{choice:}", 0, "write {choice:low,high}"},
	        {"{random}", 0, "write {random:1-100}"},
	        {"{random:5}", 0, "write {random:1-100}"},
	        {"{random:5-}", 0, "write {random:1-100}"},
	        {"{random:5-1}", 0, "smaller"},
	        {"{random:0-18446744073709551615}", 0, "smaller"},
	        {"{random:0-18446744073709551616}", 0, "write {random:1-100}"},
	        {"{random:1-2-3}", 0, "write {random:1-100}"},
	        {"{key} {seq} {nope}", 12, "unknown variable 'nope'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct template_error err;

		assert_null(template_compile(span_cstr(cases[i].text), &err));
		assert_int_equal(err.offset, cases[i].offset);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

static void one_can_be_made_of_others(void **state)
{
	struct template *t = template_new(), *a = compile("{choice:x}/{key}/");
	struct template_values v = values;
	char buf[256];

	(void)state;
	v.target = SPAN_LIT("/t");
	v.signature = SPAN_LIT("sig");
	v.body_length = 1234567890123456789ull;
	/* Enough to move the bytes that pieces point into. */
	for (int i = 0; i < 20; i++)
		assert_true(template_add(t, a));
	assert_true(template_add_text(t, SPAN_LIT("end ")));
	assert_true(template_add_piece(t, PIECE_TARGET));
	assert_true(template_add_piece(t, PIECE_SIGNATURE));
	assert_true(template_add_piece(t, PIECE_BODY_LENGTH));
	*template_write(t, &v, buf) = '\0';
	for (int i = 0; i < 20; i++)
		assert_memory_equal(buf + 5 * i, "x/42/", 5);
	assert_string_equal(buf + 100, "end /tsig1234567890123456789");
	assert_true(t->wants_key);
	assert_false(template_is_fixed(t));
	template_free(a);
	template_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_stands_in_braces_is_filled_in),
	        cmocka_unit_test(formats_follow_from_the_number),
	        cmocka_unit_test(uuids_are_random_and_of_version_4),
	        cmocka_unit_test(random_reaches_both_ends),
	        cmocka_unit_test(choices_are_all_taken),
	        cmocka_unit_test(times_are_of_now),
	        cmocka_unit_test(errors_say_where_and_what),
	        cmocka_unit_test(one_can_be_made_of_others),
	};

	load_rng_seed(&rng, 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
