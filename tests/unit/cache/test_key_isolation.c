/* SPDX-License-Identifier: BSD-2-Clause
 *
 * No answer crosses: random requests of a thousand tenants, made of the very bytes that keys are
 * divided by, go through a rule. Two that share a key must mean the same, where "mean" is worked
 * out here in another way: as the list of what each value says, with its length in front.
 *
 * Requests: 10^6, or as many as the first argument says. */
#include "cache/read_set.h"
#include "tests/unit/cache/rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define TENANTS 1000u

static uint64_t requests = 1000000;

struct entry {
	struct hash128 key;
	struct hash128 meaning;
};

struct text {
	char bytes[4096];
	size_t len;
};

struct made {
	char id[16], q[16], sev[16], lang[16], tenant[24], policy[16], auth[16], cookie[16];
	bool has_q, has_sev, has_lang, has_tenant, has_policy, has_auth, has_cookie;
	bool sev_first;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Up to most bytes of set, at least one. */
static void word(uint64_t *seed, const char *set, size_t most, char *out)
{
	size_t len = 1 + next_random(seed) % most;

	for (size_t i = 0; i < len; i++)
		out[i] = set[next_random(seed) % strlen(set)];
	out[len] = '\0';
}

/* As word, with "%XX" among the bytes. */
static void encoded(uint64_t *seed, const char *set, size_t most, char *out)
{
	static const char *const codes[] = {"%41", "%61", "%7C", "%7c", "%3A",
	                                    "%25", "%2B", "%20", "%7E", "%2b"};
	size_t parts = 1 + next_random(seed) % most, len = 0;

	for (size_t i = 0; i < parts; i++) {
		if (next_random(seed) % 3 == 0) {
			memcpy(out + len, codes[next_random(seed) % ARRAY_LEN(codes)], 3);
			len += 3;
		} else {
			out[len++] = set[next_random(seed) % strlen(set)];
		}
	}
	out[len] = '\0';
}

static void make(uint64_t *seed, struct made *m)
{
	uint64_t bits = next_random(seed);

	*m = (struct made){
	        .has_q = bits & 1,
	        .has_sev = bits & 2,
	        .has_lang = bits & 4,
	        .has_tenant = (bits & 0x18) != 0,
	        .has_policy = bits & 32,
	        .has_auth = (bits & 0x1c0) == 0,
	        .has_cookie = (bits & 0xe00) == 0,
	        .sev_first = bits & 0x1000,
	};
	encoded(seed, "aA:=!|", 2, m->id);
	encoded(seed, "aA:=!|+/", 2, m->q);
	encoded(seed, "aA:+!|", 2, m->sev);
	word(seed, "aA:|=%! ", 2, m->lang + 1);
	m->lang[0] = 'x'; /* white space at the ends is not part of a value */
	strcat(m->lang, "x");
	if (next_random(seed) % 8 == 0)
		word(seed, "t|=%:1", 6, m->tenant);
	else
		snprintf(m->tenant, sizeof(m->tenant), "t%u",
		         (unsigned)(next_random(seed) % TENANTS %
		                    (next_random(seed) % 2 ? 4 : TENANTS)));
	word(seed, "p|=a", 2, m->policy);
	word(seed, "ab", 1, m->auth);
	word(seed, "ab", 1, m->cookie);
}

/* --- what a request means --- */

static void put(struct text *t, const void *bytes, size_t len)
{
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
}

static void value(struct text *t, bool present, const void *bytes, size_t len)
{
	int64_t n = present ? (int64_t)len : -1;

	put(t, &n, sizeof(n));
	if (present)
		put(t, bytes, len);
}

static bool unreserved(int c)
{
	return c > 0 && (strchr("-._~", c) || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	                 (c >= 'a' && c <= 'z'));
}

static int byte_at(const char *s)
{
	char two[3] = {s[1], s[2], '\0'};

	return (int)strtol(two, NULL, 16);
}

/* RFC 3986 6.2.2: each byte, and whether it is encoded, which matters only where it is reserved. */
static void uri(struct text *t, bool present, const char *s)
{
	char out[64];
	size_t n = 0;

	for (; *s != '\0'; s++) {
		int c = (unsigned char)*s;
		bool code = c == '%';

		if (code) {
			c = byte_at(s);
			s += 2;
		}
		out[n++] = code && !unreserved(c) ? 'e' : 'r';
		out[n++] = (char)c;
	}
	value(t, present, out, n);
}

/* A field of a form, in lower case. */
static void form(struct text *t, bool present, const char *s)
{
	char out[64];
	size_t n = 0;

	for (; *s != '\0'; s++) {
		int c = *s == '+' ? ' ' : (unsigned char)*s;

		if (c == '%') {
			c = byte_at(s);
			s += 2;
		}
		out[n++] = ascii_lower((char)c);
	}
	value(t, present, out, n);
}

static struct hash128 meaning_of(const struct made *m)
{
	struct text t = {.len = 0};

	uri(&t, true, m->id);
	uri(&t, m->has_q, m->q);
	form(&t, m->has_sev, m->sev);
	value(&t, m->has_lang, m->lang, strlen(m->lang));
	value(&t, m->has_tenant, m->tenant, strlen(m->tenant));
	value(&t, m->has_policy, m->policy, strlen(m->policy));
	value(&t, m->has_auth, m->auth, strlen(m->auth));
	value(&t, m->has_cookie, m->cookie, strlen(m->cookie));
	return hash128(t.bytes, t.len, 99);
}

/* --- the request --- */

static void target_of(const struct made *m, char *out, size_t cap)
{
	char q[32] = "", sev[32] = "";
	bool both = m->has_q && m->has_sev;

	if (m->has_q)
		snprintf(q, sizeof(q), "q=%s", m->q);
	if (m->has_sev)
		snprintf(sev, sizeof(sev), "sev=%s", m->sev);
	snprintf(out, cap, "/r/%s%s%s%s%s", m->id, m->has_q || m->has_sev ? "?" : "",
	         m->sev_first ? sev : q, both ? "&" : "", m->sev_first ? q : sev);
}

static void field(char *out, size_t cap, bool present, const char *name_value[2])
{
	size_t len = strlen(out);

	if (present)
		snprintf(out + len, cap - len, "%s: %s\r\n", name_value[0], name_value[1]);
}

static void fields_of(const struct made *m, char *out, size_t cap)
{
	out[0] = '\0';
	field(out, cap, m->has_lang, (const char *[]){"X-Lang", m->lang});
	field(out, cap, m->has_tenant, (const char *[]){"X-Tenant-Id", m->tenant});
	field(out, cap, m->has_policy, (const char *[]){"X-Policy-Hash", m->policy});
	field(out, cap, m->has_auth, (const char *[]){"Authorization", m->auth});
	field(out, cap, m->has_cookie, (const char *[]){"Cookie", m->cookie});
}

/* --- what is shared by a pattern --- */

enum { READS_ID = 1, READS_Q = 2, READS_SEV = 4, READS_LANG = 8, READS_TENANT = 16 };

static const struct {
	const char *names;
	unsigned reads;
} lists[] = {
        {"", 0},
        {"path.id", READS_ID},
        {"query.q", READS_Q},
        {"query.q,query.sev", READS_Q | READS_SEV},
        {"header.x-lang,query.sev", READS_LANG | READS_SEV},
        {"header.x-lang,path.id,query.q,query.sev", READS_LANG | READS_ID | READS_Q | READS_SEV},
        {"path.id,tenant", READS_ID | READS_TENANT},
};

/* Whose it is, and of the rest only what the list names. */
static struct hash128 meaning_shared(const struct made *m, unsigned list)
{
	unsigned reads = lists[list].reads;
	struct text t = {.len = 0};

	put(&t, &list, sizeof(list));
	value(&t, m->has_tenant, m->tenant, strlen(m->tenant));
	value(&t, m->has_policy, m->policy, strlen(m->policy));
	value(&t, m->has_auth, m->auth, strlen(m->auth));
	value(&t, m->has_cookie, m->cookie, strlen(m->cookie));
	if (reads & READS_ID)
		uri(&t, true, m->id);
	if (reads & READS_Q)
		uri(&t, m->has_q, m->q);
	if (reads & READS_SEV)
		uri(&t, m->has_sev, m->sev);
	if (reads & READS_LANG)
		value(&t, m->has_lang, m->lang, strlen(m->lang));
	return hash128(t.bytes, t.len, 99);
}

static struct entry *slot_of(struct entry *table, size_t mask, struct hash128 key)
{
	size_t i = key.lo & mask;

	while ((table[i].key.lo | table[i].key.hi) != 0 && !hash128_eq(table[i].key, key))
		i = (i + 1) & mask;
	return &table[i];
}

static void test_no_answer_crosses(void **state)
{
	struct config_error err;
	struct snapshot *s = rules_snapshot(
	        "/r/{id}", "key: \"r:{path.id}:q={query.q}:s={query.sev|lower}:l={header.X-Lang}\"",
	        "", &err);
	size_t slots = pow2_ceil(2 * requests), hits = 0;
	struct entry *table = calloc(slots, sizeof(*table));
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	assert_non_null(s);
	assert_non_null(table);
	for (uint64_t i = 0; i < requests; i++) {
		char target[128], fields[512], buf[CACHE_KEY_MAX];
		struct rules_request req = {.method = HTTP_GET,
		                            .host = "h",
		                            .target = target,
		                            .fields = fields,
		                            .seed = 5};
		struct cache_key key;
		struct entry *e;
		struct made m;

		make(&seed, &m);
		target_of(&m, target, sizeof(target));
		fields_of(&m, fields, sizeof(fields));
		if (rules_key(s, &req, buf, &key) != KEY_OK)
			fail_msg("no key: %s %s", target, fields);
		e = slot_of(table, slots - 1, key.hash);
		if ((e->key.lo | e->key.hi) == 0)
			*e = (struct entry){key.hash, meaning_of(&m)};
		else if (hash128_eq(e->meaning, meaning_of(&m)))
			hits++;
		else
			fail_msg("request %llu crosses: %s\n%s%.*s", (unsigned long long)i, target,
			         fields, (int)key.text.len, key.text.ptr);
	}
	/* Without hits this would prove nothing. */
	assert_true(hits > requests / 20);
	print_message("%llu requests, %zu hits\n", (unsigned long long)requests, hits);
	free(table);
	free(s);
}

/* No answer crosses by a pattern either, nor answers for values that it was not made for. */
static void test_no_shared_answer_crosses(void **state)
{
	struct config_error err;
	struct snapshot *s = rules_snapshot("/r/{id}", "match: pattern, reads: [origin]", "", &err);
	size_t slots = pow2_ceil(2 * requests), hits = 0;
	struct entry *table = calloc(slots, sizeof(*table));
	uint64_t seed = 0x2545f4914f6cdd1dull;

	(void)state;
	assert_non_null(s);
	assert_non_null(table);
	for (uint64_t i = 0; i < requests; i++) {
		unsigned list = (unsigned)(next_random(&seed) % ARRAY_LEN(lists));
		char target[128], fields[512], front_text[CACHE_KEY_MAX], text[CACHE_KEY_MAX];
		struct rules_request req = {.method = HTTP_GET,
		                            .host = "h",
		                            .target = target,
		                            .fields = fields,
		                            .seed = 5};
		struct cache_key front, key;
		struct rules_input in;
		struct entry *e;
		struct made m;

		make(&seed, &m);
		target_of(&m, target, sizeof(target));
		fields_of(&m, fields, sizeof(fields));
		if (!rules_input(s, &req, &in) ||
		    read_set_front(s, &in.in, front_text, &front) != KEY_OK ||
		    read_set_key(s, &in.in, front.text, span_cstr(lists[list].names), text, &key) !=
		            KEY_OK)
			fail_msg("no key: %s %s", target, fields);
		e = slot_of(table, slots - 1, key.hash);
		if ((e->key.lo | e->key.hi) == 0)
			*e = (struct entry){key.hash, meaning_shared(&m, list)};
		else if (hash128_eq(e->meaning, meaning_shared(&m, list)))
			hits++;
		else
			fail_msg("request %llu crosses: %s\n%s%.*s", (unsigned long long)i, target,
			         fields, (int)key.text.len, key.text.ptr);
	}
	assert_true(hits > requests / 20);
	print_message("%llu requests, %zu hits\n", (unsigned long long)requests, hits);
	free(table);
	free(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_answer_crosses),
	                                   cmocka_unit_test(test_no_shared_answer_crosses)};

	if (argc > 1)
		requests = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
