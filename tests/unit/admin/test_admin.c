/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The admin socket: each command through a real socket, bad input, and clients that go away, stall
 * or come in numbers. */
#include "control/admin/commands.h"
#include "control/admin/config_json.h"
#include "control/admin/tcp_states.h"
#include "dataplane/tcp/tcp.h"
#include "tests/unit/admin/admin_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void test_status(void **state)
{
	struct fixture *f = *state;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"status\"}");

	assert_true(json_is_null(json_object_get(r, "l3")));
	json_t *control = json_object_get(r, "control");
	json_t *dataplane = json_object_get(r, "dataplane");
	json_t *core = json_array_get(json_object_get(dataplane, "cores"), 1);

	assert_int_equal(int_at(control, "pid"), getpid());
	assert_string_equal(text_at(control, "config"), "/etc/sluice/test.yaml");
	assert_int_equal(strlen(text_at(control, "snapshot")), 16);
	assert_true(json_is_true(json_object_get(dataplane, "attached")));
	assert_int_equal(int_at(dataplane, "pid"), 4242);
	assert_string_equal(text_at(dataplane, "generation"), "000000000000feed");
	assert_int_equal(int_at(dataplane, "uptime_ms"), 61000);
	assert_int_equal(int_at(dataplane, "down_blocks_free"), 4000);
	assert_int_equal(int_at(core, "core"), 1);
	assert_int_equal(int_at(core, "cpu"), 3);
	assert_int_equal(int_at(core, "connections"), 3);
	assert_string_equal(text_at(core, "snapshot"), "0000000000000007");
	json_decref(r);
}

/* status must work most of all when something is wrong. */
static void test_status_in_trouble(void **state)
{
	struct fixture *f = *state;

	f->ctl->chan->no_answer_core1 = true;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"status\"}");
	json_t *cores = json_object_get(json_object_get(r, "dataplane"), "cores");

	assert_true(json_is_true(json_object_get(json_array_get(cores, 0), "answers")));
	assert_true(json_is_false(json_object_get(json_array_get(cores, 1), "answers")));
	assert_string_equal(text_at(json_array_get(cores, 1), "answer"), "timed out");
	json_decref(r);
	f->ctl->chan->no_answer_core1 = false;
	f->ctl->chan->garbage = true;
	r = fixture_ask_ok(f, "{\"cmd\":\"status\"}");
	cores = json_object_get(json_object_get(r, "dataplane"), "cores");
	assert_string_equal(text_at(json_array_get(cores, 0), "answer"), "corrupt data");
	json_decref(r);
	f->ctl->chan->attached = false;
	r = fixture_ask_ok(f, "{\"cmd\":\"status\"}");
	assert_true(json_is_false(json_object_get(json_object_get(r, "dataplane"), "attached")));
	json_decref(r);
}

static void test_stats(void **state)
{
	struct fixture *f = *state;
	struct core_stats *s = f->ctl->chan->stats;

	s[0].counters.v[CTR_cache_hit] = 60;
	s[1].counters.v[CTR_cache_hit] = 30;
	s[1].counters.v[CTR_cache_miss] = 9;
	s[1].counters.v[CTR_cache_stale] = 1;
	s[1].counters.v[CTR_cache_bypass] = 1000; /* no part of the ratio */
	for (uint32_t i = 0; i < 100; i++)
		hist_add(&s[i % 2].hit, 1000 * (i + 1));
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"stats\",\"args\":{}}");
	json_t *total = json_object_get(r, "total");
	json_t *hit = json_object_get(json_object_get(r, "latency"), "hit");
	json_t *miss = json_object_get(json_object_get(r, "latency"), "miss");

	assert_int_equal(json_object_size(total), CTR_COUNT);
	assert_int_equal(int_at(total, "cache_hit"), 90);
	json_t *core0 = json_array_get(json_object_get(r, "cores"), 0);
	assert_int_equal(int_at(json_object_get(core0, "counters"), "cache_hit"), 60);
	assert_float_equal(json_number_value(json_object_get(r, "hit_ratio")), 0.9, 1e-9);
	assert_int_equal(int_at(hit, "count"), 100);
	assert_int_equal(int_at(json_object_get(r, "tiers"), "l1_hits"), 90);
	assert_int_equal(int_at(json_object_get(r, "tiers"), "l2_hits"), 7);
	assert_int_equal(int_at(json_object_get(r, "tiers"), "l3_hits"), 5);
	assert_int_equal(int_at(json_object_get(r, "tiers"), "origin"), 42);
	assert_in_range(int_at(hit, "p50_ns"), 47000, 54000);
	assert_in_range(int_at(hit, "p99_ns"), 93000, 106000);
	assert_true(json_is_null(json_object_get(miss, "p50_ns")));
	json_decref(r);
}

/* Each request in one row, whichever tier answered it; none in two. */
static void test_cache_stats(void **state)
{
	static const struct {
		const char *tier;
		json_int_t requests;
	} rows[] = {{"own", 60}, {"l0", 20},    {"remote", 10}, {"l2", 5},
	            {"l3", 2},   {"origin", 3}, {"bypass", 100}};
	struct fixture *f = *state;
	struct core_stats *s = f->ctl->chan->stats;
	json_t *row;
	size_t i;

	s[0].counters.v[CTR_cache_hit] = 60;
	s[1].counters.v[CTR_cache_hit] = 30;
	s[1].counters.v[CTR_cache_hit_l0] = 20;
	s[1].counters.v[CTR_cache_hit_remote] = 10;
	s[1].counters.v[CTR_cache_miss] = 8;
	s[1].counters.v[CTR_cache_stale] = 2;
	s[1].counters.v[CTR_cache_node_hit] = 5;
	s[0].counters.v[CTR_cache_shared_hit] = 2;
	s[0].counters.v[CTR_cache_bypass] = 100;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cache stats\"}");
	json_t *warm = json_object_get(r, "warm");

	assert_int_equal(int_at(r, "requests"), 200);
	assert_true(json_real_value(json_object_get(r, "hit_ratio")) == 0.97);
	assert_true(json_real_value(json_object_get(r, "hot_hit_ratio")) == 0.9);
	assert_int_equal(json_array_size(json_object_get(r, "tiers")), ARRAY_LEN(rows));
	json_array_foreach(json_object_get(r, "tiers"), i, row)
	{
		assert_string_equal(text_at(row, "tier"), rows[i].tier);
		assert_int_equal(int_at(row, "requests"), rows[i].requests);
	}
	row = json_array_get(json_object_get(warm, "sources"), 0);
	assert_string_equal(text_at(row, "source"), "list");
	assert_int_equal(int_at(row, "stored"), 1050);
	assert_true(json_is_null(json_object_get(row, "precision")));
	assert_int_equal(json_array_size(json_object_get(warm, "jobs")), 1);
	json_decref(r);
	/* Without a dataplane control tells what it knows. */
	f->ctl->chan->attached = false;
	r = fixture_ask_ok(f, "{\"cmd\":\"cache stats\"}");
	assert_int_equal(int_at(r, "requests"), 0);
	assert_int_equal(int_at(json_object_get(r, "origin"), "requests"), 42);
	json_decref(r);
}

static void test_warm(void **state)
{
	struct fixture *f = *state;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cache warm\",\"args\":{\"list\":"
	                              "\"a.test\\nbad\\na.test\",\"rate\":7,\"bytes\":9}}");
	json_t *bad = json_array_get(json_object_get(r, "bad"), 0);

	assert_int_equal(int_at(r, "job"), 7);
	assert_true(json_is_true(json_object_get(r, "taken")));
	assert_int_equal(json_array_size(json_object_get(r, "bad")), 1);
	assert_int_equal(int_at(bad, "line"), 2);
	assert_int_equal(int_at(r, "stored"), 1050);
	assert_int_equal(int_at(r, "fresh"), 100);
	assert_int_equal(int_at(r, "not_storable"), 10);
	assert_int_equal(int_at(r, "failed"), 8);
	assert_int_equal(int_at(r, "fetched"), 1010);
	json_decref(r);
	assert_int_equal(fake_warm.how.source, WARM_LIST);
	assert_int_equal(fake_warm.how.limits.rate_per_s, 7);
	assert_int_equal(fake_warm.how.limits.bytes, 9);
	assert_int_equal(fake_warm.how.limits.concurrency, 0);
	/* A full queue takes nothing, and says so. */
	fake_warm.full = 1;
	r = fixture_ask_ok(f, "{\"cmd\":\"cache warm\",\"args\":{\"list\":\"a\",\"job\":7}}");
	assert_true(json_is_false(json_object_get(r, "taken")));
	json_decref(r);
	assert_int_equal(fake_warm.started, 1);
	fake_warm.st = ST_UNSUPPORTED;
	expect_error(f, "{\"cmd\":\"cache warm\",\"args\":{\"list\":\"a\"}}", "no store");
	fake_warm.st = ST_FULL;
	expect_error(f, "{\"cmd\":\"cache warm\",\"args\":{\"list\":\"a\"}}", "Too many");
	expect_error(f,
	             "{\"cmd\":\"cache warm\",\"args\":{\"list\":\"a\",\"peer\":\"http://a:1\"}}",
	             "do not go together");
	expect_error(f, "{\"cmd\":\"cache warm\",\"args\":{\"job\":4294967303}}", "no warming");
}

static void test_conns(void **state)
{
	struct fixture *f = *state;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"conns\"}");
	json_t *rows = json_object_get(r, "conns");
	json_t *row = json_array_get(rows, 4); /* core 1, connection 1 */

	assert_int_equal(json_array_size(rows), 6);
	assert_true(json_is_null(json_object_get(r, "next")));
	assert_int_equal(int_at(row, "core"), 1);
	assert_string_equal(text_at(row, "state"), "time_wait");
	assert_string_equal(text_at(row, "local"), "192.0.2.10:80");
	assert_string_equal(text_at(row, "remote"), "[2001:db8::1]:40001");
	json_decref(r);
	r = fixture_ask_ok(f, "{\"cmd\":\"conns\",\"args\":{\"state\":\"Established\"}}");
	assert_int_equal(json_array_size(json_object_get(r, "conns")), 4);
	json_decref(r);
	expect_error(f, "{\"cmd\":\"conns\",\"args\":{\"state\":\"open\"}}", "No TCP state");
}

/* Walks 2 cores of 5,000 in answers of a bounded size, each row once. */
static void test_conns_pages(void **state)
{
	struct fixture *f = *state;
	char line[128] = "{\"cmd\":\"conns\",\"args\":{\"limit\":0}}";
	size_t rows = 0;
	size_t answers = 0;
	bool more = true;

	f->ctl->chan->conns = 5000;
	while (more) {
		json_t *r = fixture_ask_ok(f, line);
		json_t *next = json_object_get(r, "next");
		size_t n = json_array_size(json_object_get(r, "conns"));

		assert_in_range(n, 1, ADMIN_ROWS_MAX + 128);
		rows += n;
		answers++;
		more = json_is_string(next);
		if (more)
			snprintf(line, sizeof(line),
			         "{\"cmd\":\"conns\",\"args\":{\"cursor\":\"%s\"}}",
			         json_string_value(next));
		json_decref(r);
	}
	assert_int_equal(rows, 10000);
	assert_in_range(answers, 9, 12);
}

static void test_cursors_refused(void **state)
{
	static const char *const cursors[] = {
	        "",     "1",   ":",    "1:",   "x:1",
	        "64:0", "1:x", "1:1x", "-1:0", "0:99999999999999999999999"};
	struct fixture *f = *state;
	char line[128];

	for (uint32_t i = 0; i < ARRAY_LEN(cursors); i++) {
		snprintf(line, sizeof(line),
		         "{\"cmd\":\"cache list\",\"args\":{\"cursor\":\"%s\"}}", cursors[i]);
		expect_error(f, line, "Not a cursor");
	}
}

static void test_drops(void **state)
{
	struct fixture *f = *state;

	f->ctl->chan->stats[0].counters.v[CTR_drop_runt] = 2;
	f->ctl->chan->stats[1].counters.v[CTR_drop_runt] = 3;
	f->ctl->chan->stats[1].counters.v[CTR_shed_draining] = 1;
	f->ctl->chan->stats[1].counters.v[CTR_rx_packets] = 1; /* no drop */
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"drops\"}");
	json_t *rows = json_object_get(r, "drops");
	json_t *runt = json_array_get(rows, 0);

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(text_at(runt, "id"), "drop_runt");
	assert_string_equal(text_at(runt, "kind"), "drop");
	assert_int_equal(int_at(runt, "total"), 5);
	assert_string_equal(text_at(json_array_get(rows, 1), "kind"), "shed");
	json_decref(r);
	r = fixture_ask_ok(f, "{\"cmd\":\"drops\",\"args\":{\"all\":true}}");
	assert_in_range(json_array_size(json_object_get(r, "drops")), 20, CTR_COUNT);
	json_decref(r);
}

static void test_cache(void **state)
{
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cache list\"}");
	json_t *row = json_array_get(json_object_get(r, "entries"), 3);

	assert_int_equal(json_array_size(json_object_get(r, "entries")), 4);
	assert_string_equal(text_at(row, "key"), "api.example/v1/1/1");
	assert_int_equal(int_at(row, "status"), 200);
	assert_int_equal(int_at(row, "body_bytes"), 100);
	assert_in_range(int_at(row, "age_s"), 5, 6);
	assert_in_range(int_at(row, "fresh_ms"), 55000, 60500);
	json_decref(r);

	s->entry_core = 1;
	r = fixture_ask_ok(f, "{\"cmd\":\"cache get\",\"args\":{\"key\":\"api.example/v1/1\"}}");
	assert_int_equal(json_array_size(json_object_get(r, "entries")), 1);
	row = json_array_get(json_object_get(r, "entries"), 0);
	assert_int_equal(int_at(row, "core"), 1);
	assert_string_equal(text_at(row, "etag"), "\"1\"");
	/* A byte that is not UTF-8 comes as Latin-1. */
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "fields"), 1)),
	                    "Via: \xc3\xa9");
	json_decref(r);
	s->entry_core = 9;
	expect_error(f, "{\"cmd\":\"cache get\",\"args\":{\"key\":\"x\"}}", "No core has");
	s->no_answer_core1 = true;
	expect_error(f, "{\"cmd\":\"cache get\",\"args\":{\"key\":\"x\"}}", "did not answer");
}

static void test_purge(void **state)
{
	static const struct {
		const char *args;
		enum inval_kind kind;
		const char *text;
		bool soft, count;
	} rows[] = {
	        {"{\"key\":\"a/b\"}", INVAL_KEY, "a/b", false, true},
	        {"{\"key\":\"a/*\"}", INVAL_PATTERN, "a/*", false, true},
	        {"{\"key\":\"a/*\",\"exact\":true}", INVAL_KEY, "a/*", false, true},
	        {"{\"pattern\":\"a\",\"soft\":true}", INVAL_PATTERN, "a", true, true},
	        {"{\"tag\":\"x y\",\"no_count\":true}", INVAL_TAG, "tag:x y", false, false},
	        {"{\"group\":\"http://h:80 n\"}", INVAL_TAG, "group:http://h:80 n", false, true},
	        {"{\"user\":\"u\",\"all\":false}", INVAL_TAG, "user:u", false, true},
	        {"{\"tenant\":\"t\"}", INVAL_TAG, "tenant:t", false, true},
	        {"{\"policy\":\"p\"}", INVAL_TAG, "policy:p", false, true},
	        {"{\"rule\":\"r\"}", INVAL_TAG, "rule:r", false, true},
	        {"{\"all\":true}", INVAL_ALL, "", false, true},
	};
	static const struct {
		const char *args;
		const char *error;
	} bad[] = {
	        {"{\"key\":\"\"}", "empty"},
	        {"{\"tag\":\"\"}", "The tag is empty"},
	        {"{}", "one way"},
	        {"{\"soft\":true}", "one way"},
	        {"{\"all\":false}", "one way"},
	        {"{\"key\":\"a\",\"tag\":\"b\"}", "one way"},
	        {"{\"tag\":\"a\",\"all\":true}", "one way"},
	};
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;
	char line[4096];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"cache purge\",\"args\":%s}", rows[i].args);
		json_t *r = fixture_ask_ok(f, line);

		assert_string_equal(s->purge_text, rows[i].text);
		assert_int_equal(s->purge.kind, rows[i].kind);
		assert_int_equal(s->purge.soft, rows[i].soft);
		assert_int_equal(s->purge.count, rows[i].count);
		assert_int_equal(int_at(r, "purged"), i + 1);
		assert_int_equal(int_at(r, "number"), 1000 + i + 1);
		assert_int_equal(int_at(r, "cores"), 2);
		assert_int_equal(json_is_true(json_object_get(r, "counted")),
		                 rows[i].count || rows[i].kind == INVAL_KEY);
		json_decref(r);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"cache purge\",\"args\":%s}", bad[i].args);
		expect_error(f, line, bad[i].error);
	}
	memset(line, 'x', sizeof(line));
	snprintf(line, sizeof(line), "{\"cmd\":\"cache purge\",\"args\":{\"tag\":\"%0*d\"}}",
	         (int)INVAL_TEXT_MAX - 3, 0);
	expect_error(f, line, "longer than");
	assert_int_equal(s->purges, ARRAY_LEN(rows));
}

static void test_upstream_list(void **state)
{
	json_t *r = fixture_ask_ok(*state, "{\"cmd\":\"upstream list\"}");
	json_t *rows = json_object_get(r, "upstreams");

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(text_at(json_array_get(rows, 0), "upstream"), "api");
	assert_int_equal(int_at(json_array_get(rows, 0), "reused"), 997);
	assert_int_equal(int_at(json_array_get(rows, 1), "connect_errors"), 5);
	json_decref(r);
}

static void test_reload(void **state)
{
	struct fixture *f = *state;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"config reload\"}");

	assert_true(json_is_null(json_object_get(r, "warning")));
	json_decref(r);
	fake_reload.text = "restart needed for: listeners";
	r = fixture_ask_ok(f, "{\"cmd\":\"config reload\"}");
	assert_string_equal(text_at(r, "warning"), "restart needed for: listeners");
	json_decref(r);
	fake_reload.st = ST_INVALID;
	fake_reload.text = "sluice.yaml:3:1: unknown key \"x\"";
	expect_error(f, "{\"cmd\":\"config reload\"}", "sluice.yaml:3:1");
	assert_int_equal(fake_reload.calls, 3);
}

/* What show prints is a configuration that gives the same again. */
static void test_config_show(void **state)
{
	struct fixture *f = *state;
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"config show\"}");
	struct config_error err = {""};
	struct config *again = NULL;
	char *text = json_dumps(r, JSON_INDENT(1)); /* JSON is YAML */

	assert_int_equal(int_at(json_object_get(r, "timeouts"), "drain_ms"), 30000);
	if (config_parse(text, strlen(text), "show", &again, &err) != ST_OK)
		fail_msg("%s", err.text);
	json_t *r2 = config_json(again);

	assert_true(json_equal(r, r2));
	json_decref(r2);
	config_free(again);
	free(text);
	json_decref(r);
}

static void test_drain(void **state)
{
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;

	json_decref(fixture_ask_ok(f, "{\"cmd\":\"drain\"}"));
	assert_int_equal(s->drain_ms, 30000);
	assert_false(f->ctl->draining); /* that would be: control stops */
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":5}}"));
	assert_int_equal(s->drain_ms, 5);
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"drain\",\"args\":{\"undo\":true}}"));
	assert_int_equal(s->drain_ms, 0);
	expect_error(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":0}}", "timeout_ms");
	expect_error(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":4294967296}}", "timeout_ms");
	assert_int_equal(s->drain_calls, 3);
}

static void test_version(void **state)
{
	json_t *r = fixture_ask_ok(*state, "{\"cmd\":\"version\"}");

	assert_string_equal(text_at(r, "version"), SLUICE_VERSION);
	json_decref(r);
}

static void test_detached(void **state)
{
	static const char *const lines[] = {
	        "{\"cmd\":\"stats\"}",
	        "{\"cmd\":\"conns\"}",
	        "{\"cmd\":\"drops\"}",
	        "{\"cmd\":\"cache list\"}",
	        "{\"cmd\":\"cache get\",\"args\":{\"key\":\"k\"}}",
	        "{\"cmd\":\"drain\"}",
	};
	struct fixture *f = *state;

	f->ctl->chan->attached = false;
	for (uint32_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_error(f, lines[i], "No dataplane is attached");
	/* The store is purged all the same, and the cores once they come. */
	json_t *r = fixture_ask_ok(f, "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"k\"}}");
	assert_int_equal(int_at(r, "cores"), 0);
	assert_true(json_is_false(json_object_get(r, "counted")));
	json_decref(r);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *line;
		const char *part;
	} cases[] = {
	        {"", "Not JSON"},
	        {"status", "Not JSON"},
	        {"{\"cmd\":\"status\"", "Not JSON"},
	        {"{\"cmd\":\"status\"} x", "Not JSON"},
	        {"{\"cmd\":\"status\",\"cmd\":\"stats\"}", "Not JSON"},
	        {"{\"cmd\":\"\xff\"}", "Not JSON"},
	        {"[]", "no text member \"cmd\""},
	        {"{}", "no text member \"cmd\""},
	        {"{\"cmd\":1}", "no text member \"cmd\""},
	        {"{\"cmd\":\"status\",\"args\":[]}", "\"args\" is no object"},
	        {"{\"cmd\":\"status\",\"arg\":{}}", "\"arg\" is not known"},
	        {"{\"cmd\":\"\"}", "No command"},
	        {"{\"cmd\":\"stat\"}", "No command \"stat\""},
	        {"{\"cmd\":\"cache\"}", "No command"},
	        {"{\"cmd\":\"config check\",\"args\":{\"file\":\"x\"}}", "not done by the server"},
	        {"{\"cmd\":\"status\",\"args\":{\"x\":1}}", "no argument \"x\""},
	        {"{\"cmd\":\"conns\",\"args\":{\"limit\":-1}}", "whole number"},
	        {"{\"cmd\":\"conns\",\"args\":{\"limit\":1.5}}", "whole number"},
	        {"{\"cmd\":\"conns\",\"args\":{\"limit\":\"1\"}}", "whole number"},
	        {"{\"cmd\":\"conns\",\"args\":{\"state\":4}}", "a string"},
	        {"{\"cmd\":\"drops\",\"args\":{\"all\":1}}", "true or false"},
	        {"{\"cmd\":\"cache get\"}", "needs the argument \"key\""},
	};
	struct fixture *f = *state;

	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_error(f, cases[i].line, cases[i].part);
}

static void test_core_trouble(void **state)
{
	struct fixture *f = *state;

	f->ctl->chan->no_answer_core1 = true;
	expect_error(f, "{\"cmd\":\"conns\"}", "Core 1: timed out");
	f->ctl->chan->no_answer_core1 = false;
	f->ctl->chan->garbage = true;
	expect_error(f, "{\"cmd\":\"conns\"}", "Core 0: its answer is malformed");
	expect_error(f, "{\"cmd\":\"cache list\"}", "Core 0: its answer is malformed");
}

static void test_tcp_states(void **state)
{
	static const struct {
		enum tcp_state state;
		const char *name;
	} cases[] = {
	        {TCP_CLOSED, "closed"},           {TCP_LISTEN, "listen"},
	        {TCP_SYN_SENT, "syn_sent"},       {TCP_SYN_RECEIVED, "syn_received"},
	        {TCP_ESTABLISHED, "established"}, {TCP_FIN_WAIT_1, "fin_wait_1"},
	        {TCP_FIN_WAIT_2, "fin_wait_2"},   {TCP_CLOSE_WAIT, "close_wait"},
	        {TCP_CLOSING, "closing"},         {TCP_LAST_ACK, "last_ack"},
	        {TCP_TIME_WAIT, "time_wait"},
	};

	(void)state;
	static_assert(ADMIN_TCP_STATES == TCP_STATE_COUNT, "a state without a name");
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(admin_tcp_state_name(cases[i].state), cases[i].name);
		assert_int_equal(admin_tcp_state_find(cases[i].name), cases[i].state);
	}
	assert_string_equal(admin_tcp_state_name(TCP_STATE_COUNT), "unknown");
	assert_int_equal(admin_tcp_state_find("nothing"), -1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_status),       TEST(test_status_in_trouble),
	        TEST(test_stats),        TEST(test_conns),
	        TEST(test_cache_stats),  TEST(test_warm),
	        TEST(test_conns_pages),  TEST(test_cursors_refused),
	        TEST(test_drops),        TEST(test_cache),
	        TEST(test_purge),        TEST(test_upstream_list),
	        TEST(test_reload),       TEST(test_config_show),
	        TEST(test_drain),        TEST(test_version),
	        TEST(test_detached),     TEST(test_bad_requests),
	        TEST(test_core_trouble), cmocka_unit_test(test_tcp_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
