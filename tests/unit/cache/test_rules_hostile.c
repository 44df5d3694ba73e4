/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Rules that another process made up: refused, or safe to run. Each block stands at the very end of
 * its own allocation, so that the sanitizers see a read behind it. */
#include "tests/unit/cache/rules_fixture.h"

#include "lib/snapshot_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define ROUNDS 60000u

static const char rule[] =
        "key: \"x:{path.id|id}:{query.a|alias(t)}:{query.b|unit(t)}:{query.c|bucket(5s)}:"
        "{query.d|round(2)}:{body.p.q}:{body.r|lower}:{header.X-A}:{cookie.c}:{query(a,b)}:"
        "{hash(query)}:{path}\", tags: [\"t:{user}\", \"u:{path.id}\"], "
        "purges: [\"x:{path.id}:*\", \"tag:{tenant}\"], ignore_query: [utm_*, z]";

static const char more[] = "tables: [{name: t, values: [a=b, c=dd, s=1, m=60]}]";

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint32_t run_all(const struct snapshot *s)
{
	const struct rules_request req = {
	        .method = HTTP_POST,
	        .host = "h",
	        .target = "/r/12?a=c&b=5m&c=17&d=1.234&utm_x=1&z",
	        .fields = "X-A: v\r\nCookie: c=1\r\nX-Tenant-Id: t\r\nX-User-Id: u\r\n",
	        .body = "{\"p\":{\"q\":[1]},\"r\":\"R\"}",
	};
	const struct snap_rule *rules = (const void *)((const char *)s + s->rules.rules_off);
	char buf[CACHE_KEY_MAX];
	struct cache_key key;
	uint32_t ran = 0;

	ran += rules_key(s, &req, buf, &key) == KEY_OK;
	for (uint32_t i = 0; i < rules[0].tag_count; i++)
		ran += rules_run(s, &key_programs(s, rules[0].tags_off)[i], &req, buf, &key) ==
		       KEY_OK;
	for (uint32_t i = 0; i < rules[0].purge_count; i++)
		ran += rules_run(s, &key_programs(s, rules[0].purges_off)[i], &req, buf, &key) ==
		       KEY_OK;
	return ran;
}

/* What comes behind the header and the routes is the rules' own. */
static void mutate(struct snapshot *s, uint32_t len, uint64_t *seed)
{
	const uint32_t behind = s->rules.tables_off;
	static const uint32_t values[] = {0,      1,          7,           8,           64,
	                                  0xffff, 0x7fffffff, 0x80000000u, 0xfffffff8u, UINT32_MAX};
	uint32_t changes = 1 + (uint32_t)(next_random(seed) % 3);

	while (changes-- > 0) {
		uint32_t from =
		        next_random(seed) % 4 == 0 ? offsetof(struct snapshot, rules) : behind;
		uint32_t at = from + (uint32_t)(next_random(seed) % (len - from));
		uint32_t word = (uint32_t)(next_random(seed) % ARRAY_LEN(values));
		uint32_t small = (uint32_t)(next_random(seed) % len);

		switch (next_random(seed) % 3) {
		case 0:
			((unsigned char *)s)[at] ^= (unsigned char)(1u << (next_random(seed) % 8));
			break;
		case 1:
			memcpy((char *)s + (at & ~3u), &values[word], sizeof(values[word]));
			break;
		default:
			memcpy((char *)s + (at & ~3u), &small, sizeof(small));
			break;
		}
	}
}

static void test_mutations(void **state)
{
	struct config_error err;
	struct snapshot *good = rules_snapshot("/r/{id}", rule, more, &err);
	uint32_t accepted = 0, refused = 0, ran = 0;
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	uint32_t len;

	(void)state;
	if (good == NULL)
		fail_msg("%s", err.text);
	len = good->total_bytes;
	assert_int_equal(snapshot_check(good, len), ST_OK);
	assert_int_equal(run_all(good), 5);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct snapshot *s = malloc(len);

		memcpy(s, good, len);
		mutate(s, len, &seed);
		s->total_bytes = len;
		s->id = snapshot_content_id(s);
		if (snapshot_check(s, len) == ST_OK) {
			accepted++;
			/* Another rule, or none, may be the route's now; then there is nothing to
			 * run. */
			if (s->rules.rule_count > 0 && s->route_count > 0 &&
			    key_rule(s, (const void *)((const char *)s + s->routes_off)))
				ran += run_all(s);
		} else {
			refused++;
		}
		free(s);
	}
	assert_true(accepted > ROUNDS / 100);
	assert_true(refused > ROUNDS / 100);
	assert_true(ran > accepted);
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
