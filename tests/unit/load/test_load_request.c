/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/scenario_private.h"

#include "lib/pfsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct scenario s;
static struct config_error err;

static void must(bool ok)
{
	if (!ok)
		fail_msg("%s", err.text);
}

static void made_is(struct request_maker *m, uint32_t user, const char *wants)
{
	struct made_request r;

	request_make(m, user, &r);
	assert_int_equal(r.bytes.len, strlen(wants));
	assert_memory_equal(r.bytes.ptr, wants, r.bytes.len);
}

static void the_default_is_a_plain_get(void **state)
{
	struct request_maker *m;
	struct made_request r, again;

	(void)state;
	scenario_default(&s);
	assert_int_equal(s.stage_count, 1);
	assert_int_equal(s.stages[0].duration_ns, 10 * NS_PER_S);
	assert_true(scenario_host_set(&s, SPAN_LIT("127.0.0.1:8080")));
	m = request_maker_create(&s, 0);
	assert_non_null(m);
	made_is(m, 0, "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
	request_make(m, 1, &r);
	request_make(m, 2, &again);
	assert_int_equal(r.method, HTTP_GET);
	assert_int_equal(r.endpoint, 0);
	/* Not written again. */
	assert_ptr_equal(r.bytes.ptr, again.bytes.ptr);
	request_maker_destroy(m);
	scenario_free(&s);
}

static void the_command_line_makes_a_request(void **state)
{
	struct request_maker *m;

	(void)state;
	scenario_default(&s);
	must(scenario_request_set(&s, "/a?u={user}", &err));
	must(scenario_header_add(&s, "X-Seq:  {seq} ", &err));
	must(scenario_header_add(&s, "host: other", &err));
	must(scenario_body_set(&s, SPAN_LIT("{\"w\":{worker}}"), &err));
	m = request_maker_create(&s, 5);
	made_is(m, 9,
	        "POST /a?u=9 HTTP/1.1\r\nX-Seq: 1\r\nhost: other\r\n"
	        "Content-Length: 7\r\n\r\n{\"w\":5}");
	made_is(m, 10,
	        "POST /a?u=10 HTTP/1.1\r\nX-Seq: 2\r\nhost: other\r\n"
	        "Content-Length: 7\r\n\r\n{\"w\":5}");
	request_maker_destroy(m);
	/* A body that never varies stands in the head's own text. */
	must(scenario_request_set(&s, "PUT /b", &err));
	must(scenario_body_set(&s, SPAN_LIT("hello"), &err));
	m = request_maker_create(&s, 0);
	made_is(m, 0, "PUT /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
	request_maker_destroy(m);
	must(scenario_body_set(&s, SPAN_LIT(""), &err));
	m = request_maker_create(&s, 0);
	made_is(m, 0, "PUT /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
	request_maker_destroy(m);
	scenario_free(&s);
}

static void the_command_line_is_checked(void **state)
{
	static const char *const requests[] = {"",      "GET",  "GET ",    "GET x",
	                                       "G(T /", "/a b", "/{nope}", "GET http://x/"};
	static const char *const headers[] = {"",
	                                      "X",
	                                      ": v",
	                                      "A B: v",
	                                      "Content-Length: 3",
	                                      "transfer-encoding: chunked",
	                                      "Connection: close",
	                                      "X: a\rb",
	                                      "X: {nope}"};

	(void)state;
	scenario_default(&s);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		err.text[0] = '\0';
		if (scenario_request_set(&s, requests[i], &err))
			fail_msg("taken: %s", requests[i]);
		assert_true(strlen(err.text) > 10);
	}
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		err.text[0] = '\0';
		if (scenario_header_add(&s, headers[i], &err))
			fail_msg("taken: %s", headers[i]);
		assert_true(strlen(err.text) > 10);
	}
	assert_int_equal(s.endpoint_count, 1);
	scenario_free(&s);
}

static void add_endpoint(const char *target, double weight)
{
	struct load_endpoint *e = &s.endpoints[s.endpoint_count++];
	struct template_error te;

	scenario_endpoint_init(e);
	e->weight = weight;
	assert_true(scenario_endpoint_line(&s, e, SPAN_LIT("GET")));
	e->target = template_compile(span_cstr(target), &te);
	assert_non_null(e->target);
}

static void endpoints_come_by_their_weight(void **state)
{
	static const double weights[] = {1, 3, 0.5, 5.5, 0};
	const uint32_t draws = 100000;
	uint32_t seen[ARRAY_LEN(weights)] = {0};
	struct request_maker *m;
	double chi2 = 0;

	(void)state;
	scenario_init(&s);
	for (size_t i = 0; i < ARRAY_LEN(weights); i++)
		add_endpoint("/", weights[i]);
	m = request_maker_create(&s, 0);
	for (uint32_t i = 0; i < draws; i++) {
		struct made_request r;

		request_make(m, 0, &r);
		seen[r.endpoint]++;
	}
	assert_int_equal(seen[4], 0);
	for (size_t i = 0; i < 4; i++) {
		double wants = weights[i] / 10 * draws;

		chi2 += ((double)seen[i] - wants) * ((double)seen[i] - wants) / wants;
	}
	/* 3 degrees of freedom: above 16.27 once in a thousand seeds. */
	if (chi2 > 16.27)
		fail_msg("chi-square %.1f", chi2);
	request_maker_destroy(m);
	scenario_free(&s);
}

static void a_run_can_be_repeated_and_workers_differ(void **state)
{
	char first[3][64][64];

	(void)state;
	scenario_init(&s);
	add_endpoint("/{key}/{uuid}", 1);
	s.keys.count = 1000;
	for (uint32_t run = 0; run < 3; run++) {
		struct request_maker *m = request_maker_create(&s, run / 2);
		double unit;

		for (uint32_t i = 0; i < 64; i++) {
			struct made_request r;

			request_make(m, 0, &r);
			(void)snprintf(first[run][i], 64, "%.*s", 63, r.bytes.ptr);
		}
		unit = request_random(m);
		assert_true(unit >= 0 && unit < 1);
		request_maker_destroy(m);
	}
	assert_memory_equal(first[0], first[1], sizeof(first[0]));
	assert_memory_not_equal(first[0], first[2], sizeof(first[0]));
	scenario_free(&s);
}

static void a_key_is_the_same_throughout_a_request(void **state)
{
	struct request_maker *m;

	(void)state;
	scenario_default(&s);
	must(scenario_request_set(&s, "/{key}", &err));
	must(scenario_header_add(&s, "X-Key: {key}", &err));
	must(scenario_body_set(&s, SPAN_LIT("{key}"), &err));
	s.keys.count = 1000000;
	m = request_maker_create(&s, 0);
	for (int i = 0; i < 100; i++) {
		struct made_request r;
		char copy[512];
		unsigned long target, field, body, length;

		request_make(m, 0, &r);
		(void)snprintf(copy, sizeof(copy), "%.*s", (int)r.bytes.len, r.bytes.ptr);
		assert_int_equal(sscanf(copy,
		                        "POST /%lu HTTP/1.1 Host: localhost X-Key: %lu "
		                        "Content-Length: %lu %lu",
		                        &target, &field, &length, &body),
		                 4);
		assert_int_equal(target, field);
		assert_int_equal(target, body);
		assert_int_equal(length, strlen(strstr(copy, "\r\n\r\n") + 4));
		assert_in_range(target, 1, 1000000);
	}
	request_maker_destroy(m);
	scenario_free(&s);
}

/* Also where nothing but the body has one. */
static void a_key_in_the_body_alone_is_drawn(void **state)
{
	struct request_maker *m;
	char first[64];

	(void)state;
	scenario_default(&s);
	must(scenario_body_set(&s, SPAN_LIT("{key|pad:9}"), &err));
	s.keys.count = 100000000;
	m = request_maker_create(&s, 0);
	for (int i = 0; i < 3; i++) {
		struct made_request r;

		request_make(m, 0, &r);
		assert_true(strtol(r.bytes.ptr + r.bytes.len - 9, NULL, 10) > 0);
		if (i > 0)
			assert_memory_not_equal(first, r.bytes.ptr + r.bytes.len - 9, 9);
		memcpy(first, r.bytes.ptr + r.bytes.len - 9, 9);
	}
	request_maker_destroy(m);
	scenario_free(&s);
}

/* The signature in the field is that of what the request says. */
static void check_signature(struct span bytes)
{
	char copy[1024], method[16], target[256], value[256], canonical[512], digest[PFSIG_HEX];
	struct pfsig_key *k = pfsig_key_create("secret", 6);
	struct pfsig_request r = {.policy = s.signing.policy_hash, .body = digest};
	const char *body;
	char mac[PFSIG_HEX];

	(void)snprintf(copy, sizeof(copy), "%.*s", (int)bytes.len, bytes.ptr);
	assert_int_equal(sscanf(copy, "%15s %255s", method, target), 2);
	assert_int_equal(sscanf(strstr(copy, "PF-Sig: "), "PF-Sig: %255s", value), 1);
	body = strstr(copy, "\r\n\r\n") + 4;
	pfsig_digest(k, span_cstr(body), digest);
	r.method = span_cstr(method);
	r.target = span_cstr(target);
	assert_true(pfsig_canonical(&r, canonical, sizeof(canonical)) < sizeof(canonical));
	pfsig_mac(k, &r, mac);
	assert_int_equal(strlen(value), PFSIG_VALUE);
	assert_memory_equal(value, "pf-sig-v1:", 10);
	assert_memory_equal(value + 10, s.signing.policy_hash, PFSIG_HEX);
	assert_memory_equal(value + 10 + 65, digest, PFSIG_HEX);
	assert_memory_equal(value + 10 + 130, mac, PFSIG_HEX);
	pfsig_key_destroy(k);
}

static void signed_requests_are_signed_right(void **state)
{
	static const struct {
		const char *line;
		const char *body;
	} cases[] = {
	        {"GET /fixed", NULL},      {"GET /{random:1-1000000}?q={key}", NULL},
	        {"POST /fixed", "fixed"},  {"POST /{uuid}", "fixed"},
	        {"POST /fixed", "{uuid}"}, {"POST /{uuid}", "{uuid} {key}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request_maker *m;
		struct made_request r;

		scenario_default(&s);
		s.keys.count = 1000;
		s.can_sign = true;
		(void)memset(s.signing.policy_hash, 'a', PFSIG_HEX);
		memcpy(s.signing.mac_key, "secret", 6);
		s.signing.mac_key_len = 6;
		must(scenario_request_set(&s, cases[i].line, &err));
		if (cases[i].body)
			must(scenario_body_set(&s, span_cstr(cases[i].body), &err));
		s.endpoints[0].sign = true;
		m = request_maker_create(&s, 0);
		assert_non_null(m);
		for (int n = 0; n < 3; n++) {
			request_make(m, 0, &r);
			check_signature(r.bytes);
		}
		request_maker_destroy(m);
		scenario_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_default_is_a_plain_get),
	        cmocka_unit_test(the_command_line_makes_a_request),
	        cmocka_unit_test(the_command_line_is_checked),
	        cmocka_unit_test(endpoints_come_by_their_weight),
	        cmocka_unit_test(a_run_can_be_repeated_and_workers_differ),
	        cmocka_unit_test(a_key_is_the_same_throughout_a_request),
	        cmocka_unit_test(a_key_in_the_body_alone_is_drawn),
	        cmocka_unit_test(signed_requests_are_signed_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
