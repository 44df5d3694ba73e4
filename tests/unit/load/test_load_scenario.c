/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/scenario_private.h"
#include "perf/load/scenario_shipped.h"
#include "perf/load/threshold.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct scenario s;
static struct config_error err;

static void parse(const char *text)
{
	if (scenario_parse(&s, span_cstr(text), "dir/f.yaml", &err) != ST_OK)
		fail_msg("%s", err.text);
}

static void the_least_that_is_needed(void **state)
{
	(void)state;
	parse("stages: [{users: 1, for: 10s}]\nendpoints: [GET /]\n");
	assert_string_equal(s.name, "f");
	assert_string_equal(s.about, "");
	assert_int_equal(s.stage_count, 1);
	assert_string_equal(s.stages[0].name, "stage 1");
	assert_int_equal(s.stages[0].mode, LOAD_CLOSED);
	assert_true(s.stages[0].from == 1 && s.stages[0].to == 1);
	assert_int_equal(s.stages[0].duration_ns, 10 * NS_PER_S);
	assert_int_equal(s.endpoint_count, 1);
	assert_string_equal(s.endpoints[0].name, "GET /");
	assert_int_equal(s.endpoints[0].method, HTTP_GET);
	assert_true(s.endpoints[0].weight == 1);
	assert_int_equal(s.endpoints[0].status_from, 200);
	assert_int_equal(s.endpoints[0].status_to, 399);
	assert_int_equal(s.keys.count, 1);
	assert_int_equal(s.arrival, ARRIVAL_CONSTANT);
	assert_int_equal(s.max_connections, 10000);
	assert_int_equal(s.pipeline, 1);
	assert_int_equal(s.timeout_ns, 30 * NS_PER_S);
	assert_int_equal(s.warmup_ns, 0);
	assert_int_equal(s.seed, 1);
	assert_int_equal(s.threshold_count, 0);
	assert_false(s.can_sign);
	scenario_free(&s);
}

static const char everything[] = "name: all\n"
                                 "about: Everything\n"
                                 "stages:\n"
                                 "  - {name: ramp, users: 10 to 50, for: 1m30s}\n"
                                 "  - {rate: 1k to 2.5k, for: 250ms}\n"
                                 "  - {rate: 90/m, for: 1h}\n"
                                 "endpoints:\n"
                                 "  - name: list\n"
                                 "    weight: 2.5\n"
                                 "    request: LIST /a?x={key}\n"
                                 "    headers: {X-A: 'own {seq}'}\n"
                                 "    body: '{\"a\":{user}}'\n"
                                 "    sign: true\n"
                                 "    expect: 200 to 404\n"
                                 "  - request: PUT /b\n"
                                 "    body_bytes: 1k\n"
                                 "    expect: 201\n"
                                 "headers: {X-A: all, Accept: '*/*'}\n"
                                 "host: api.example\n"
                                 "keys: {count: 10k, zipf: 0.9}\n"
                                 "signing: {policy_hash: " HASH ", mac_key: 00ff10}\n"
                                 "thresholds:\n"
                                 "  - p95 < 150ms\n"
                                 "  - list: p99.9 < 1s\n"
                                 "  - hit_rate > 0.92\n"
                                 "  - errors < 0.5%\n"
                                 "  - rate > 900\n"
                                 "arrival: poisson\n"
                                 "connections: 5\n"
                                 "max_connections: 6\n"
                                 "pipeline: 7\n"
                                 "requests_per_connection: 8\n"
                                 "think: 1s to 3s\n"
                                 "timeout: 2s\n"
                                 "warmup: 3s\n"
                                 "seed: 4\n";

static void check_thresholds(void)
{
	static const struct {
		const char *text;
		enum load_figure figure;
		int endpoint;
		bool below;
		double value;
	} wants[] = {
	        {"p95 < 150ms", FIGURE_P95, -1, true, 150e6},
	        {"list: p99.9 < 1s", FIGURE_P999, 0, true, 1e9},
	        {"hit_rate > 0.92", FIGURE_HIT_RATE, -1, false, 0.92},
	        {"errors < 0.5%", FIGURE_ERRORS, -1, true, 0.005},
	        {"rate > 900", FIGURE_RATE, -1, false, 900},
	};

	assert_int_equal(s.threshold_count, ARRAY_LEN(wants));
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		const struct load_threshold *t = &s.thresholds[i];

		assert_string_equal(t->text, wants[i].text);
		assert_int_equal(t->figure, wants[i].figure);
		assert_int_equal(t->endpoint, wants[i].endpoint);
		assert_int_equal(t->below, wants[i].below);
		assert_true(fabs(t->value - wants[i].value) <= wants[i].value * 1e-12);
	}
}

static void every_key_has_its_place(void **state)
{
	(void)state;
	parse(everything);
	assert_string_equal(s.name, "all");
	assert_string_equal(s.about, "Everything");
	assert_string_equal(s.stages[0].name, "ramp");
	assert_true(s.stages[0].from == 10 && s.stages[0].to == 50);
	assert_int_equal(s.stages[0].duration_ns, 90 * NS_PER_S);
	assert_int_equal(s.stages[1].mode, LOAD_OPEN);
	assert_string_equal(s.stages[1].name, "stage 2");
	assert_true(s.stages[1].from == 1000 && s.stages[1].to == 2500);
	assert_int_equal(s.stages[1].duration_ns, 250 * NS_PER_MS);
	assert_true(s.stages[2].from == 1.5);
	assert_string_equal(s.endpoints[0].name, "list");
	assert_true(s.endpoints[0].weight == 2.5);
	assert_int_equal(s.endpoints[0].method, HTTP_OTHER);
	assert_true(span_eq(s.endpoints[0].method_name, SPAN_LIT("LIST")));
	assert_true(s.endpoints[0].sign);
	assert_int_equal(s.endpoints[0].status_to, 404);
	/* Its own X-A instead of the one of all. */
	assert_int_equal(s.endpoints[0].header_count, 2);
	assert_int_equal(s.endpoints[1].header_count, 2);
	assert_non_null(s.endpoints[0].body);
	assert_int_equal(s.endpoints[1].status_from, 201);
	assert_int_equal(s.endpoints[1].status_to, 201);
	assert_int_equal(s.endpoints[1].body->room, 1024);
	assert_true(span_eq(s.host, SPAN_LIT("api.example")));
	assert_int_equal(s.keys.count, 10000);
	assert_true(s.keys.zipf == 0.9);
	assert_true(s.can_sign);
	assert_string_equal(s.signing.policy_hash, HASH);
	assert_int_equal(s.signing.mac_key_len, 3);
	assert_memory_equal(s.signing.mac_key, "\x00\xff\x10", 3);
	check_thresholds();
	assert_int_equal(s.arrival, ARRIVAL_POISSON);
	assert_int_equal(s.connections, 5);
	assert_int_equal(s.max_connections, 6);
	assert_int_equal(s.pipeline, 7);
	assert_int_equal(s.requests_per_connection, 8);
	assert_int_equal(s.think_min_ns, NS_PER_S);
	assert_int_equal(s.think_max_ns, 3 * NS_PER_S);
	assert_int_equal(s.timeout_ns, 2 * NS_PER_S);
	assert_int_equal(s.warmup_ns, 3 * NS_PER_S);
	assert_int_equal(s.seed, 4);
	scenario_free(&s);
}

static void what_is_read_can_be_asked(void **state)
{
	static const char wants[] = "LIST /a?x=1 HTTP/1.1\r\nHost: api.example\r\nX-A: own 1\r\n"
	                            "Accept: */*\r\nPF-Sig: pf-sig-v1:" HASH ":";
	struct request_maker *m;
	struct made_request r;

	(void)state;
	parse(everything);
	s.endpoints[1].weight = 0;
	s.keys.count = 1;
	m = request_maker_create(&s, 0);
	request_make(m, 0, &r);
	assert_memory_equal(r.bytes.ptr, wants, sizeof(wants) - 1);
	assert_memory_equal(r.bytes.ptr + r.bytes.len - 7, "{\"a\":0}", 7);
	request_maker_destroy(m);
	scenario_free(&s);
}

#define ST "stages: [{users: 1, for: 10s}]\n"
#define EP "endpoints: [GET /]\n"

static const struct {
	const char *text;
	const char *place; /* line:column */
	const char *says;
} refused[] = {
        {"", "1:1", "the file is empty"},
        {"[]\n", "1:1", "no mapping"},
        {"x", "1:1", "no mapping"},
        {"stages: [\n", "2:1", "not valid YAML"},
        {EP, "1:1", "needs the key 'stages'"},
        {ST, "1:1", "needs the key 'endpoints'"},
        {ST "endpionts: [GET /]\n", "2:1", "did you mean 'endpoints'?"},
        {ST EP "wombat: 1\n", "3:1", "known are name, about, stages"},
        {ST EP "seed: 1\nseed: 2\n", "4:1", "twice"},
        {ST EP "name: ''\n", "3:7", "it takes 1 to 63"},
        {ST EP "name: \"a\\eb\"\n", "3:7", "control byte"},
        {ST EP "name: [a]\n", "3:7", "is a list"},
        {"stages: 5\n" EP, "1:9", "is no list"},
        {"stages: []\n" EP, "1:9", "0 items"},
        {"stages: [5]\n" EP, "1:10", "no mapping"},
        {"stages: [{users: 1}]\n" EP, "1:10", "needs the key 'for'"},
        {"stages: [{for: 1s}]\n" EP, "1:10", "one of 'users' and 'rate'"},
        {"stages: [{for: 1s, users: 1, rate: 1}]\n" EP, "1:10", "not both"},
        {"stages: [{for: 1s, users: 0}]\n" EP, "1:27", "at least one user"},
        {"stages: [{for: 1s, users: 1.5}]\n" EP, "1:27", "whole number"},
        {"stages: [{for: 1s, users: 1 to }]\n" EP, "1:27", "whole number"},
        {"stages: [{for: 1s, users: 1 to 2 to 3}]\n" EP, "1:27", "whole number"},
        {"stages: [{for: 1s, users: 9999999999}]\n" EP, "1:27", "whole number"},
        {"stages: [{for: 1s, rate: fast}]\n" EP, "1:26", "requests a second"},
        {"stages: [{for: 1s, rate: 0 to 0}]\n" EP, "1:26", "rate above"},
        {"stages: [{for: 1, users: 1}]\n" EP, "1:16", "no duration"},
        {"stages: [{for: 0, users: 1}]\n" EP, "1:16", "it takes 1 ms to"},
        {"stages: [{for: 1000h, users: 1}]\n" EP, "1:16", "it takes 1 ms to"},
        {ST "endpoints: [GET]\n", "2:13", "write for example \"GET /path\""},
        {ST "endpoints: ['GET x']\n", "2:13", "begin with '/'"},
        {ST "endpoints: [GET /a b]\n", "2:13", "write %20"},
        {ST "endpoints: [{weight: 1}]\n", "2:13", "needs the key 'request'"},
        {ST "endpoints: [{request: GET /, weight: 0}]\n", "2:12", "weight 0"},
        {ST "endpoints: [{request: GET /, weight: -1}]\n", "2:38", "0 to 1000000"},
        {ST "endpoints: [{request: GET /, wieght: 1}]\n", "2:30", "did you mean 'weight'?"},
        {ST "endpoints: [{request: GET /, sign: yes}]\n", "2:36", "true or false"},
        {ST "endpoints: [{request: GET /, sign: true}]\n", "2:13", "no key 'signing'"},
        {ST "endpoints: [{request: GET /, expect: 99}]\n", "2:38", "100 to 599"},
        {ST "endpoints: [{request: GET /, expect: 300 to 200}]\n", "2:38", "100 to 599"},
        {ST "endpoints: [{request: GET /, body: a, body_bytes: 1}]\n", "2:39", "beside 'body'"},
        {ST "endpoints: [{request: GET /, body_bytes: 17M}]\n", "2:42", "up to 16M"},
        {ST "endpoints: [{request: GET /, headers: [a]}]\n", "2:39", "no mapping"},
        {ST "endpoints: [{request: GET /, headers: {A: 1, a: 2}}]\n", "2:46", "twice"},
        {ST "endpoints: [{request: GET /, headers: {A b: 1}}]\n", "2:40", "no field name"},
        {ST "endpoints: [{request: GET /, headers: {A: [1]}}]\n", "2:43", "single value"},
        {ST "endpoints: [{request: GET /, headers: {Content-Length: 1}}]\n", "2:40",
         "follows from the body"},
        {ST "endpoints: [GET /, GET /]\n", "2:20", "both called 'GET /'"},
        /* Variables, at their own place in the file. */
        {ST "endpoints:\n  - GET /a/{kye}\n", "3:12", "did you mean 'key'?"},
        {ST "endpoints:\n  - \"GET /\xc3\xbc/{kye}\"\n", "3:13", "did you mean 'key'?"},
        {ST "endpoints:\n  - request: GET /\n    body: |\n      one\n      {key} {kye}\n", "6:13",
         "did you mean 'key'?"},
        {ST "endpoints:\n  - request: GET /\n    body: |\n      {{nope} {nope}\n", "5:15",
         "unknown variable 'nope'"},
        {ST EP "headers: {X: '{nope}'}\n", "3:15", "unknown variable 'nope'"},
        {ST EP "host: a b\n", "3:7", "space"},
        {ST EP "keys: {count: 0}\n", "3:15", "1 to"},
        {ST EP "keys: {zipf: 11}\n", "3:14", "0 to 10"},
        {ST EP "keys: 5\n", "3:7", "no mapping"},
        {ST EP "arrival: sometimes\n", "3:10", "constant or poisson"},
        {ST EP "pipeline: 0\n", "3:11", "1 to 1024"},
        {ST EP "pipeline: 1.5\n", "3:11", "whole"},
        {ST EP "think: 3s to 1s\n", "3:8", "the shorter first"},
        {ST EP "timeout: soon\n", "3:10", "no duration"},
        {ST EP "thresholds: p95 < 1s\n", "3:13", "no list"},
        {ST EP "thresholds: [p94 < 1s]\n", "3:14", "names no figure"},
        {ST EP "thresholds: [p95 1s]\n", "3:14", "no '<' or '>'"},
        {ST EP "thresholds: [p95 < 1]\n", "3:14", "no duration"},
        {ST EP "thresholds: [errors < 101%]\n", "3:14", "no share"},
        {ST EP "thresholds: [errors < 5]\n", "3:14", "no share"},
        {ST EP "thresholds: [rate > fast]\n", "3:14", "no rate"},
        {ST EP "thresholds: [nope: p95 < 1s]\n", "3:14", "no endpoint is called 'nope'"},
        {ST EP "thresholds: [GET: p95 < 1s]\n", "3:14", "no endpoint is called 'GET'"},
        {ST EP "signing: {mac_key: 00}\n", "3:10", "needs the key 'policy_hash'"},
        {ST EP "signing: {policy_hash: abc, mac_key: 00}\n", "3:24", "64 lower-case"},
        {ST EP "signing: {policy_hash: " HASH "}\n", "3:10", "it has 0"},
        {ST EP "signing: {policy_hash: " HASH ", mac_key: 00, mac_key_env: X}\n", NULL, NULL},
        {ST EP "signing: {policy_hash: " HASH ", mac_key: 0}\n", "3:99", "hex digits"},
        {ST EP "signing: {policy_hash: " HASH ", mac_key: xy}\n", "3:99", "hex digits"},
        {ST EP "signing: {policy_hash: " HASH ", mac_key_env: NO_SUCH_NAME}\n", "3:103",
         "no variable 'NO_SUCH_NAME'"},
        {ST EP "signing: {policy_hash: " HASH ", mac_key_file: no/such}\n", "3:104",
         "cannot read the key file no/such"},
};

static void errors_say_where_and_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char begins[64];

		if (scenario_parse(&s, span_cstr(refused[i].text), "f", &err) == ST_OK)
			fail_msg("taken: %s", refused[i].text);
		assert_null(s.bytes);
		if (!refused[i].place)
			continue;
		(void)snprintf(begins, sizeof(begins), "f:%s: ", refused[i].place);
		if (strncmp(err.text, begins, strlen(begins)) != 0 ||
		    !strstr(err.text, refused[i].says))
			fail_msg("%s\nwanted %s %s\ngot    %s", refused[i].text, begins,
			         refused[i].says, err.text);
	}
}

static void keys_come_from_a_file_or_the_environment(void **state)
{
	char dir[] = "/tmp/load-scenario-XXXXXX", path[64], name[64];
	FILE *f;

	(void)state;
	assert_int_equal(setenv("LOAD_TEST_KEY", "AABB", 1), 0);
	parse(ST EP "signing: {policy_hash: " HASH ", mac_key_env: LOAD_TEST_KEY}\n");
	assert_int_equal(s.signing.mac_key_len, 2);
	assert_memory_equal(s.signing.mac_key, "\xaa\xbb", 2);
	scenario_free(&s);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("01 02\n03\n", f);
	(void)fclose(f);
	/* A relative path begins at the scenario's folder. */
	(void)snprintf(name, sizeof(name), "%s/s.yaml", dir);
	assert_int_equal(scenario_parse(&s,
	                                SPAN_LIT(ST EP "signing: {policy_hash: " HASH
	                                               ", mac_key_file: key}\n"),
	                                name, &err),
	                 ST_OK);
	assert_int_equal(s.signing.mac_key_len, 3);
	assert_memory_equal(s.signing.mac_key, "\1\2\3", 3);
	scenario_free(&s);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void shipped_scenarios_run_by_name(void **state)
{
	uint32_t count = 0;

	(void)state;
	assert_int_equal(setenv("SLUICE_MAC_KEY", "00", 1), 0);
	for (const struct shipped_scenario *f = shipped_scenarios; f->name; f++, count++) {
		struct request_maker *m;
		struct made_request r;

		if (scenario_read(&s, f->name, &err) != ST_OK)
			fail_msg("%s", err.text);
		assert_string_equal(s.name, f->name);
		assert_true(strlen(s.about) > 10);
		assert_true(s.threshold_count >= 2);
		m = request_maker_create(&s, 0);
		for (int i = 0; i < 1000; i++) {
			request_make(m, 0, &r);
			assert_true(r.bytes.len > 20);
		}
		request_maker_destroy(m);
		scenario_free(&s);
	}
	assert_int_equal(count, 10);
	assert_int_equal(scenario_read(&s, "smoek", &err), ST_NOTFOUND);
	assert_non_null(strstr(err.text, "did you mean 'smoke'?"));
	assert_int_equal(scenario_read(&s, "/", &err), ST_IO);
	assert_int_equal(scenario_read(&s, "no/such", &err), ST_NOTFOUND);
}

static void durations_and_rates(void **state)
{
	static const struct {
		const char *text;
		double ns; /* -1: none */
	} durations[] = {
	        {"0", 0},
	        {"1ns", 1},
	        {"250ms", 250e6},
	        {"1.5s", 1.5e9},
	        {"1m30s", 90e9},
	        {"1h1m1s1ms", 3661001e6},
	        {"", -1},
	        {"1", -1},
	        {"s", -1},
	        {"-1s", -1},
	        {"1s ", -1},
	        {"1 s", -1},
	        {"30s1m", -1},
	        {"1s1s", -1},
	        {"1.s", -1},
	        {".5s", -1},
	        {"1d", -1},
	        {"1e3s", -1},
	        {"9999999999999999s", -1},
	        {"999999999999999h", -1},
	};
	static const struct {
		const char *text;
		double rate;
	} rates[] = {
	        {"1", 1},  {"1k", 1000}, {"2.5M", 2.5e6}, {"90/m", 1.5}, {"5k/s", 5000}, {"", -1},
	        {"k", -1}, {"1K", -1},   {"1/h", -1},     {"-1", -1},    {"1k k", -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		uint64_t ns = 0;
		bool ok = scenario_duration(span_cstr(durations[i].text), &ns);

		if (ok != (durations[i].ns >= 0) || (ok && ns != (uint64_t)durations[i].ns))
			fail_msg("%s: %d %llu", durations[i].text, ok, (unsigned long long)ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		double rate = 0;
		bool ok = scenario_rate(span_cstr(rates[i].text), &rate);

		if (ok != (rates[i].rate >= 0) || (ok && rate != rates[i].rate))
			fail_msg("%s: %d %g", rates[i].text, ok, rate);
	}
}

static void thresholds_from_the_command_line(void **state)
{
	(void)state;
	scenario_default(&s);
	assert_true(scenario_threshold_add(&s, "p95<150ms", &err));
	assert_true(scenario_threshold_add(&s, "GET /: max > 1us", &err));
	assert_int_equal(s.threshold_count, 2);
	assert_int_equal(s.thresholds[0].endpoint, -1);
	assert_int_equal(s.thresholds[1].endpoint, 0);
	assert_int_equal(s.thresholds[1].figure, FIGURE_MAX);
	assert_false(scenario_threshold_add(&s, "nope: max > 1us", &err));
	assert_non_null(strstr(err.text, "no endpoint is called 'nope'"));
	assert_false(scenario_threshold_add(&s, "p95 = 1s", &err));
	assert_non_null(strstr(err.text, "no '<' or '>'"));
	scenario_free(&s);
}

static void scaling_leaves_a_second(void **state)
{
	(void)state;
	assert_int_equal(scenario_read(&s, "load", &err), ST_OK);
	scenario_scale(&s, 0.01);
	assert_int_equal(s.stages[0].duration_ns, 3 * NS_PER_S);
	assert_int_equal(s.stages[1].duration_ns, 6 * NS_PER_S);
	assert_int_equal(s.warmup_ns, 100 * NS_PER_MS);
	scenario_scale(&s, 0.01);
	assert_int_equal(s.stages[0].duration_ns, NS_PER_S);
	scenario_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_least_that_is_needed),
	        cmocka_unit_test(every_key_has_its_place),
	        cmocka_unit_test(what_is_read_can_be_asked),
	        cmocka_unit_test(errors_say_where_and_what),
	        cmocka_unit_test(keys_come_from_a_file_or_the_environment),
	        cmocka_unit_test(shipped_scenarios_run_by_name),
	        cmocka_unit_test(durations_and_rates),
	        cmocka_unit_test(thresholds_from_the_command_line),
	        cmocka_unit_test(scaling_leaves_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
