/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The admin socket: each command through a real socket, bad input, and clients that go away, stall
 * or come in numbers. */
#include "control/admin/admin_server.h"
#include "control/admin/commands.h"
#include "control/admin/config_json.h"
#include "control/admin/tcp_states.h"
#include "dataplane/tcp/tcp.h"
#include "lib/clock.h"
#include "tests/unit/admin/fake_control.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 5000, TEXT_ROOM = 4 << 20 };

struct fixture {
	char *dir;
	struct control *ctl;
	struct admin *admin;
	char *text; /* the last answer */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = fake_dir_make();
	f->ctl = fake_control_create(f->dir, 0);
	f->text = malloc(TEXT_ROOM);
	assert_int_equal(admin_start(f->ctl, &f->admin), ST_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->admin)
		admin_stop(f->admin);
	fake_control_destroy(f->ctl);
	fake_dir_remove(f->dir);
	free(f->text);
	free(f);
	return 0;
}

static int client_open(struct fixture *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->ctl->config->admin.socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void pump(struct fixture *f, uint32_t rounds)
{
	while (rounds--)
		loop_once(f->ctl->loop, NS_PER_MS);
}

/* A line into f->text without its end; false when the connection ended instead. */
static bool line_read(struct fixture *f, int fd)
{
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;
	size_t len = 0;

	while (clock_mono_ns() < deadline_ns) {
		ssize_t n = recv(fd, f->text + len, 1, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0) {
			pump(f, 1);
			continue;
		}
		if (f->text[len] == '\n') {
			f->text[len] = '\0';
			return true;
		}
		len++;
		assert_true(len < TEXT_ROOM);
	}
	fail_msg("no answer in time");
	return false;
}

static void send_all(struct fixture *f, int fd, const char *text, size_t len)
{
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;

	while (len > 0 && clock_mono_ns() < deadline_ns) {
		ssize_t n = send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
		pump(f, 1);
	}
}

static json_t *answer_read(struct fixture *f, int fd)
{
	json_t *answer;

	assert_true(line_read(f, fd));
	answer = json_loads(f->text, 0, NULL);
	assert_non_null(answer);
	return answer;
}

/* One request on a connection of its own. */
static json_t *ask(struct fixture *f, const char *line)
{
	int fd = client_open(f);

	send_all(f, fd, line, strlen(line));
	send_all(f, fd, "\n", 1);
	json_t *answer = answer_read(f, fd);

	close(fd);
	return answer;
}

static json_t *ask_ok(struct fixture *f, const char *line)
{
	json_t *answer = ask(f, line);

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", line, f->text);
	json_t *result = json_incref(json_object_get(answer, "result"));

	assert_non_null(result);
	json_decref(answer);
	return result;
}

static json_int_t int_at(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *text_at(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	assert_non_null(text);
	return text;
}

static void expect_error(struct fixture *f, const char *line, const char *part)
{
	json_t *answer = ask(f, line);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	if (!strstr(text_at(answer, "error"), part))
		fail_msg("%s: \"%s\" is not in %s", line, part, f->text);
	json_decref(answer);
}

static void test_status(void **state)
{
	struct fixture *f = *state;
	json_t *r = ask_ok(f, "{\"cmd\":\"status\"}");
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
	json_t *r = ask_ok(f, "{\"cmd\":\"status\"}");
	json_t *cores = json_object_get(json_object_get(r, "dataplane"), "cores");

	assert_true(json_is_true(json_object_get(json_array_get(cores, 0), "answers")));
	assert_true(json_is_false(json_object_get(json_array_get(cores, 1), "answers")));
	assert_string_equal(text_at(json_array_get(cores, 1), "answer"), "timed out");
	json_decref(r);
	f->ctl->chan->no_answer_core1 = false;
	f->ctl->chan->garbage = true;
	r = ask_ok(f, "{\"cmd\":\"status\"}");
	cores = json_object_get(json_object_get(r, "dataplane"), "cores");
	assert_string_equal(text_at(json_array_get(cores, 0), "answer"), "corrupt data");
	json_decref(r);
	f->ctl->chan->attached = false;
	r = ask_ok(f, "{\"cmd\":\"status\"}");
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
	json_t *r = ask_ok(f, "{\"cmd\":\"stats\",\"args\":{}}");
	json_t *total = json_object_get(r, "total");
	json_t *hit = json_object_get(json_object_get(r, "latency"), "hit");
	json_t *miss = json_object_get(json_object_get(r, "latency"), "miss");

	assert_int_equal(json_object_size(total), CTR_COUNT);
	assert_int_equal(int_at(total, "cache_hit"), 90);
	json_t *core0 = json_array_get(json_object_get(r, "cores"), 0);
	assert_int_equal(int_at(json_object_get(core0, "counters"), "cache_hit"), 60);
	assert_float_equal(json_number_value(json_object_get(r, "hit_ratio")), 0.9, 1e-9);
	assert_int_equal(int_at(hit, "count"), 100);
	assert_in_range(int_at(hit, "p50_ns"), 47000, 54000);
	assert_in_range(int_at(hit, "p99_ns"), 93000, 106000);
	assert_true(json_is_null(json_object_get(miss, "p50_ns")));
	json_decref(r);
}

static void test_conns(void **state)
{
	struct fixture *f = *state;
	json_t *r = ask_ok(f, "{\"cmd\":\"conns\"}");
	json_t *rows = json_object_get(r, "conns");
	json_t *row = json_array_get(rows, 4); /* core 1, connection 1 */

	assert_int_equal(json_array_size(rows), 6);
	assert_true(json_is_null(json_object_get(r, "next")));
	assert_int_equal(int_at(row, "core"), 1);
	assert_string_equal(text_at(row, "state"), "time_wait");
	assert_string_equal(text_at(row, "local"), "192.0.2.10:80");
	assert_string_equal(text_at(row, "remote"), "[2001:db8::1]:40001");
	json_decref(r);
	r = ask_ok(f, "{\"cmd\":\"conns\",\"args\":{\"state\":\"Established\"}}");
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
		json_t *r = ask_ok(f, line);
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
	json_t *r = ask_ok(f, "{\"cmd\":\"drops\"}");
	json_t *rows = json_object_get(r, "drops");
	json_t *runt = json_array_get(rows, 0);

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(text_at(runt, "id"), "drop_runt");
	assert_string_equal(text_at(runt, "kind"), "drop");
	assert_int_equal(int_at(runt, "total"), 5);
	assert_string_equal(text_at(json_array_get(rows, 1), "kind"), "shed");
	json_decref(r);
	r = ask_ok(f, "{\"cmd\":\"drops\",\"args\":{\"all\":true}}");
	assert_in_range(json_array_size(json_object_get(r, "drops")), 20, CTR_COUNT);
	json_decref(r);
}

static void test_cache(void **state)
{
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;
	json_t *r = ask_ok(f, "{\"cmd\":\"cache list\"}");
	json_t *row = json_array_get(json_object_get(r, "entries"), 3);

	assert_int_equal(json_array_size(json_object_get(r, "entries")), 4);
	assert_string_equal(text_at(row, "key"), "api.example/v1/1/1");
	assert_int_equal(int_at(row, "status"), 200);
	assert_int_equal(int_at(row, "body_bytes"), 100);
	assert_in_range(int_at(row, "age_s"), 5, 6);
	assert_in_range(int_at(row, "fresh_ms"), 55000, 60500);
	json_decref(r);

	s->entry_core = 1;
	r = ask_ok(f, "{\"cmd\":\"cache get\",\"args\":{\"key\":\"api.example/v1/1\"}}");
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
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;

	json_decref(ask_ok(f, "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"a/b\"}}"));
	assert_string_equal(s->purge_text, "a/b");
	assert_false(s->purge_pattern);
	json_t *r = ask_ok(f, "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"a/*\"}}");

	assert_int_equal(int_at(r, "purged"), 2);
	assert_true(s->purge_pattern);
	json_decref(r);
	expect_error(f, "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"\"}}", "empty");
}

static void test_upstream_list(void **state)
{
	json_t *r = ask_ok(*state, "{\"cmd\":\"upstream list\"}");
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
	json_t *r = ask_ok(f, "{\"cmd\":\"config reload\"}");

	assert_true(json_is_null(json_object_get(r, "warning")));
	json_decref(r);
	fake_reload.text = "restart needed for: listeners";
	r = ask_ok(f, "{\"cmd\":\"config reload\"}");
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
	json_t *r = ask_ok(f, "{\"cmd\":\"config show\"}");
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

	json_decref(ask_ok(f, "{\"cmd\":\"drain\"}"));
	assert_int_equal(s->drain_ms, 30000);
	assert_true(f->ctl->draining);
	json_decref(ask_ok(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":5}}"));
	assert_int_equal(s->drain_ms, 5);
	json_decref(ask_ok(f, "{\"cmd\":\"drain\",\"args\":{\"undo\":true}}"));
	assert_int_equal(s->drain_ms, 0);
	assert_false(f->ctl->draining);
	expect_error(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":0}}", "timeout_ms");
	expect_error(f, "{\"cmd\":\"drain\",\"args\":{\"timeout_ms\":4294967296}}", "timeout_ms");
	assert_int_equal(s->drain_calls, 3);
}

static void test_version(void **state)
{
	json_t *r = ask_ok(*state, "{\"cmd\":\"version\"}");

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
	        "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"k\"}}",
	        "{\"cmd\":\"drain\"}",
	};
	struct fixture *f = *state;

	f->ctl->chan->attached = false;
	for (uint32_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_error(f, lines[i], "No dataplane is attached");
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

/* After an error the connection goes on. */
static void test_one_connection(void **state)
{
	static const char lines[] = "nonsense\n{\"cmd\":\"version\"}\n{\"cmd\":\"stats\"}\n{\"cm";
	struct fixture *f = *state;
	int fd = client_open(f);
	json_t *answer;

	send_all(f, fd, lines, sizeof(lines) - 1);
	answer = answer_read(f, fd);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
	answer = answer_read(f, fd);
	assert_string_equal(text_at(json_object_get(answer, "result"), "name"), "sluice-control");
	json_decref(answer);
	answer = answer_read(f, fd);
	assert_non_null(json_object_get(json_object_get(answer, "result"), "hit_ratio"));
	json_decref(answer);
	for (const char *c = "d\":\"version\"}\r\n"; *c; c++) /* byte by byte */
		send_all(f, fd, c, 1);
	answer = answer_read(f, fd);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	close(fd);
}

static void test_long_line(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(ADMIN_LINE_MAX + 1);
	int fd = client_open(f);

	/* The longest that fits. */
	memset(line, ' ', ADMIN_LINE_MAX);
	memcpy(line, "{\"cmd\":\"version\"}", 17);
	line[ADMIN_LINE_MAX - 1] = '\n';
	send_all(f, fd, line, ADMIN_LINE_MAX);
	json_t *answer = answer_read(f, fd);

	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	/* One byte more. */
	line[ADMIN_LINE_MAX - 1] = ' ';
	line[ADMIN_LINE_MAX] = '\n';
	send_all(f, fd, line, ADMIN_LINE_MAX + 1);
	answer = answer_read(f, fd);
	assert_non_null(strstr(text_at(answer, "error"), "longer than"));
	json_decref(answer);
	assert_false(line_read(f, fd)); /* closed */
	close(fd);
	free(line);
}

/* Clients that go between a question to the cores and its answer. */
static void test_client_gone(void **state)
{
	static const char *const lines[] = {
	        "{\"cmd\":\"status\"}\n",
	        "{\"cmd\":\"conns\"}\n",
	        "{\"cmd\":\"cache get\",\"args\":{\"key\":\"k\"}}\n",
	        "{\"cmd\":\"cache purge\",\"args\":{\"key\":\"k\"}}\n",
	};
	struct fixture *f = *state;

	f->ctl->chan->later = true;
	for (uint32_t i = 0; i < ARRAY_LEN(lines); i++) {
		int fd = client_open(f);

		send_all(f, fd, lines[i], strlen(lines[i]));
		pump(f, 20);
		assert_true(f->ctl->chan->pending_count > 0 || f->ctl->chan->purge_cb);
		close(fd);
		pump(f, 20);
		fake_answer_all(f->ctl->chan);
		pump(f, 20);
	}
	f->ctl->chan->later = false;
	json_decref(ask_ok(f, "{\"cmd\":\"version\"}"));
}

/* The server goes first; the answers come after. */
static void test_stop_before_answer(void **state)
{
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;
	static const char lines[] = "{\"cmd\":\"conns\"}\n";
	static const char status[] = "{\"cmd\":\"status\"}\n";
	int fd = client_open(f);
	int fd2 = client_open(f);

	s->later = true;
	send_all(f, fd, lines, sizeof(lines) - 1);
	send_all(f, fd2, status, sizeof(status) - 1);
	pump(f, 20);
	assert_int_equal(s->pending_count, 3);
	admin_stop(f->admin);
	f->admin = NULL;
	assert_int_equal(access(f->ctl->config->admin.socket, F_OK), -1);
	fake_answer_all(s);
	assert_false(line_read(f, fd));
	assert_false(line_read(f, fd2));
	close(fd);
	close(fd2);
}

static void test_many_clients(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"cmd\":\"conns\"}\n";
	int fds[100];

	f->ctl->chan->later = true;
	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client_open(f);
		send_all(f, fds[i], line, sizeof(line) - 1);
	}
	pump(f, 20);
	fake_answer_all(f->ctl->chan);
	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++) {
		json_t *answer = answer_read(f, fds[i]);

		assert_int_equal(json_array_size(json_object_get(json_object_get(answer, "result"),
		                                                 "conns")),
		                 6);
		json_decref(answer);
		close(fds[i]);
	}
}

static void test_too_many_clients(void **state)
{
	struct fixture *f = *state;
	int fds[256];

	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client_open(f);
		pump(f, 1);
	}
	pump(f, 20);
	int extra = client_open(f);
	json_t *answer = answer_read(f, extra);

	assert_non_null(strstr(text_at(answer, "error"), "Too many"));
	json_decref(answer);
	assert_false(line_read(f, extra));
	close(extra);
	close(fds[7]);
	pump(f, 20);
	json_decref(ask_ok(f, "{\"cmd\":\"version\"}")); /* its place is free */
	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++)
		if (i != 7)
			close(fds[i]);
}

/* One that does not read its large answer holds up nobody. */
static void test_slow_client(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"cmd\":\"conns\"}\n";
	int slow = client_open(f);

	f->ctl->chan->conns = 5000;
	for (int i = 0; i < 20; i++)
		send_all(f, slow, line, sizeof(line) - 1);
	pump(f, 20);
	json_decref(ask_ok(f, "{\"cmd\":\"version\"}"));
	for (int i = 0; i < 20; i++)
		json_decref(answer_read(f, slow));
	close(slow);
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

static void test_socket_file(void **state)
{
	struct fixture *f = *state;
	const char *path = f->ctl->config->admin.socket;
	struct admin *second = NULL;
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0660);
	assert_int_equal(admin_start(f->ctl, &second), ST_EXISTS); /* a live one */
	json_decref(ask_ok(f, "{\"cmd\":\"version\"}"));
	admin_stop(f->admin);

	/* A stale one is replaced. */
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(admin_start(f->ctl, &f->admin), ST_OK);
	json_decref(ask_ok(f, "{\"cmd\":\"version\"}"));
	admin_stop(f->admin);
	f->admin = NULL;

	/* Another file is left alone. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(admin_start(f->ctl, &second), ST_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_status),         TEST(test_status_in_trouble),
	        TEST(test_stats),          TEST(test_conns),
	        TEST(test_conns_pages),    TEST(test_cursors_refused),
	        TEST(test_drops),          TEST(test_cache),
	        TEST(test_purge),          TEST(test_upstream_list),
	        TEST(test_reload),         TEST(test_config_show),
	        TEST(test_drain),          TEST(test_version),
	        TEST(test_detached),       TEST(test_bad_requests),
	        TEST(test_one_connection), TEST(test_long_line),
	        TEST(test_client_gone),    TEST(test_stop_before_answer),
	        TEST(test_many_clients),   TEST(test_too_many_clients),
	        TEST(test_slow_client),    TEST(test_core_trouble),
	        TEST(test_socket_file),    cmocka_unit_test(test_tcp_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
