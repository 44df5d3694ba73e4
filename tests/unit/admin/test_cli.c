/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sluicectl: what it prints for given answers, byte for byte (golden/, whose folder is argument 1),
 * and the program itself (argument 2) against an admin server with doubles behind it: exit codes,
 * errors, JSON. */
#include "control/admin/admin_server.h"
#include "control/cli/render.h"
#include "control/cli/table.h"
#include "lib/clock.h"
#include "tests/unit/admin/fake_control.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000, ARGS_MAX = 12, ROOM = 8 << 20 };

extern char **environ;

static const char *golden;
static const char *program;

struct fixture {
	char *dir;
	struct control *ctl;
	struct admin *admin;
	char *out; /* of the last run */
	char *err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = fake_dir_make();
	f->ctl = fake_control_create(f->dir, 0);
	f->out = malloc(ROOM);
	f->err = malloc(ROOM);
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
	free(f->out);
	free(f->err);
	free(f);
	return 0;
}

static void file_read(const char *path, char *text)
{
	FILE *file = fopen(path, "r");

	if (!file)
		fail_msg("no file %s", path);
	size_t n = fread(text, 1, ROOM - 1, file);

	text[n] = '\0';
	fclose(file);
}

/* The program with words (split at spaces); the loop runs until it ends. Returns its exit code. */
static int run(struct fixture *f, const char *words)
{
	char *argv[ARGS_MAX + 1] = {(char *)program};
	char *copy = strdup(words);
	char out[128];
	char err[128];
	posix_spawn_file_actions_t fa;
	uint32_t argc = 1;
	int status;
	pid_t pid;

	for (char *w = strtok(copy, " "); w && argc < ARGS_MAX; w = strtok(NULL, " "))
		argv[argc++] = w;
	snprintf(out, sizeof(out), "%s/out", f->dir);
	snprintf(err, sizeof(err), "%s/err", f->dir);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&fa, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(posix_spawn(&pid, program, &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		loop_once(f->ctl->loop, NS_PER_MS);
		if (clock_mono_ns() > deadline_ns)
			kill(pid, SIGKILL);
	}
	free(copy);
	file_read(out, f->out);
	file_read(err, f->err);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* With the fixture's socket. */
static int ctl(struct fixture *f, const char *words)
{
	char line[512];

	snprintf(line, sizeof(line), "-s %s %s", f->ctl->config->admin.socket, words);
	return run(f, line);
}

static void test_golden(void **state)
{
	static const struct {
		enum command_id cmd;
		const char *name;
	} cases[] = {
	        {CMD_status, "status"},
	        {CMD_status, "status_detached"},
	        {CMD_stats, "stats"},
	        {CMD_cores, "cores"},
	        {CMD_cores, "cores_total"},
	        {CMD_conns, "conns"},
	        {CMD_drops, "drops"},
	        {CMD_drops, "drops_none"},
	        {CMD_cache_get, "cache_get"},
	        {CMD_cache_list, "cache_list"},
	        {CMD_cache_purge, "cache_purge"},
	        {CMD_cache_warm, "cache_warm"},
	        {CMD_cache_warm, "cache_warm_none"},
	        {CMD_cache_stats, "cache_stats"},
	        {CMD_cache_stats, "cache_stats_empty"},
	        {CMD_upstream_list, "upstream_list"},
	        {CMD_config_check, "config_check"},
	        {CMD_config_reload, "config_reload"},
	        {CMD_config_show, "config_show"},
	        {CMD_drain, "drain"},
	        {CMD_version, "version"},
	        {CMD_version, "version_alone"},
	};
	char *expected = malloc(ROOM);
	char path[512];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_error_t err;
		char *text = NULL;
		size_t size;

		snprintf(path, sizeof(path), "%s/%s.json", golden, cases[i].name);
		json_t *result = json_load_file(path, 0, &err);

		if (!result)
			fail_msg("%s: %s", path, err.text);
		FILE *out = open_memstream(&text, &size);

		render(cases[i].cmd, result, out);
		fclose(out);
		json_decref(result);
		snprintf(path, sizeof(path), "%s/%s.txt", golden, cases[i].name);
		if (getenv("GOLDEN_WRITE")) {
			FILE *file = fopen(path, "w");

			fputs(text, file);
			fclose(file);
		}
		file_read(path, expected);
		assert_string_equal(text, expected);
		free(text);
	}
	free(expected);
}

static void test_units(void **state)
{
	static const struct {
		char *(*unit)(char *, uint64_t);
		uint64_t value;
		const char *text;
	} cases[] = {
	        {unit_count, 0, "0"},
	        {unit_count, 999, "999"},
	        {unit_count, 1000, "1,000"},
	        {unit_count, UINT64_MAX, "18,446,744,073,709,551,615"},
	        {unit_bytes, 0, "0 B"},
	        {unit_bytes, 1023, "1023 B"},
	        {unit_bytes, 1024, "1.0 KiB"},
	        {unit_bytes, 1536, "1.5 KiB"},
	        {unit_bytes, UINT64_MAX, "16.0 EiB"},
	        {unit_duration_ns, 999, "999 ns"},
	        {unit_duration_ns, 1500, "1.5 us"},
	        {unit_duration_ns, 15200000, "15.2 ms"},
	        {unit_duration_ns, 90 * NS_PER_S, "90.0 s"},
	        {unit_age_s, 59, "59s"},
	        {unit_age_s, 61, "1m 1s"},
	        {unit_age_s, 7380, "2h 3m"},
	        {unit_age_s, 90000, "1d 1h"},
	};
	char buf[UNIT_TEXT];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(cases[i].unit(buf, cases[i].value), cases[i].text);
	assert_string_equal(unit_percent(buf, 0.97314), "97.31 %");
}

/* A key that a client chose cannot steer the operator's terminal. */
static void test_controls(void **state)
{
	static const struct table_column columns[] = {{"K", false}};
	struct table *t = table_create(columns, 1);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	table_cell(t, "a\x1b[2J\n\x7f\xc2\x9b\xc3\xa9");
	table_print(t, out);
	print_safe(out, "\r\x01x");
	fclose(out);
	assert_string_equal(text, "K\na?[2J????\xc3\xa9\n??x");
	free(text);
}

static const struct command_row {
	const char *words;
	int rc;
	const char *out; /* a part of it */
	const char *err;
} command_rows[] = {
        {"status", 0, "dataplane", ""},
        {"status -o json", 0, "\"generation\": \"000000000000feed\"", ""},
        {"-o json status", 0, "\"generation\": \"000000000000feed\"", ""},
        {"stats", 0, "Hit ratio", ""},
        {"cores", 0, "CYCLES/REQUEST", ""},
        {"cores --seconds=61", 1, "", "1 to 60"},
        {"conns", 0, "[2001:db8::1]:40001", ""},
        {"conns --state time_wait --limit 1", 0, "time_wait", ""},
        {"conns --state nonsense", 1, "", "States: closed, listen"},
        {"drops", 0, "Nothing was dropped", ""},
        {"drops --all", 0, "drop_tcp_csum", ""},
        {"cache list", 0, "api.example/v1/1/1", ""},
        {"cache get api.example/v1/1", 0, "ETag: \"1\"", ""},
        {"cache purge a/*", 0, "Entries removed: 1\n", ""},
        {"cache stats", 0, "L2, the node's store", ""},
        {"cache warm --job 7", 0, "1,050", ""},
        {"cache warm --job 8", 1, "", "no warming 8"},
        {"cache warm --job 7 --stop", 0, "Stored", ""},
        {"cache warm --peer http://10.0.0.2:9900 --rate 7", 0, "Stored", ""},
        {"cache warm --peer 10.0.0.2", 1, "", "http://10.0.0.2:9900"},
        {"cache warm --peer http://a:1 --rate 0", 1, "", "rate must be from 1"},
        {"cache warm", 1, "", "no list"},
        {"cache warm --stop", 1, "", "do not go together"},
        {"cache warm /nonexistent", 1, "", "cannot read /nonexistent"},
        {"cache warm /dev/null", 0, "Stored", ""},
        {"upstream list", 0, "99.70 %", ""},
        {"config show", 0, "drain_ms: 30000", ""},
        {"config reload", 0, "applied", ""},
        {"drain --timeout-ms 500", 0, "Draining", ""},
        {"drain --timeout-ms 0", 1, "", "drain --undo"},
        {"drain --undo", 0, "Taking connections again", ""},
        {"version", 0, "sluice-control " SLUICE_VERSION, ""},
        {"completion", 0, "complete -o filenames", ""},
        {"--help", 0, "cache purge", ""},
        {"help", 0, "cache purge", ""},
        {"--version", 0, "sluicectl " SLUICE_VERSION, ""},
        {"cache --help", 0, "cache purge", ""},
        {"cache get --help", 0, "KEY", ""},
        {"conns --help", 0, "--state=STATE", ""},
        {"", 2, "", "which command?"},
        {"nonsense", 2, "", "no command 'nonsense'"},
        {"cache", 2, "", "cache purge"},
        {"cache nonsense", 2, "", "no command 'cache nonsense'"},
        {"cache get", 2, "", "KEY is missing"},
        {"cache get a b", 2, "", "one argument too many"},
        {"status --nonsense", 2, "", "unrecognized option"},
        {"conns --limit", 2, "", "requires an argument"},
        {"conns --limit -1", 2, "", "whole number"},
        {"conns --limit 99999999999999999999", 2, "", "whole number"},
        {"conns --limit 1x", 2, "", "whole number"},
        {"-o xml status", 2, "", "table or json"},
        {"cache get \xff", 2, "", "must be UTF-8"},
};

static void test_commands(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < ARRAY_LEN(command_rows); i++) {
		int rc = ctl(f, command_rows[i].words);

		if (rc != command_rows[i].rc || !strstr(f->out, command_rows[i].out) ||
		    !strstr(f->err, command_rows[i].err) || (rc != 0) != (*f->err != '\0'))
			fail_msg("sluicectl %s: %d\n%s\n%s", command_rows[i].words, rc, f->out,
			         f->err);
	}
	assert_string_equal(f->ctl->chan->purge_text, "a/*");
	assert_int_equal(fake_reload.calls, 1);
}

/* A list goes in parts that fit; its bad lines are named by their numbers in the file, and what
 * there is no room for is sent again. */
static void test_warm_list(void **state)
{
	struct fixture *f = *state;
	char path[128], words[192], want[192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/list", f->dir);
	file = fopen(path, "w");
	for (uint32_t i = 1; i <= 5000; i++) {
		if (i % 1000 == 0)
			fprintf(file, "bad%u\n", i);
		else if (i % 1000 == 1)
			fprintf(file, "# \"comment\"\n");
		else if (i == 2500)
			fprintf(file, "\xff\n");
		else
			fprintf(file, "http://a.test/\"%u\"\tA: b\r\n", i);
	}
	fclose(file);
	fake_warm.full = 2;
	snprintf(words, sizeof(words), "cache warm %s --rate 9", path);
	assert_int_equal(ctl(f, words), 1);
	assert_int_equal(fake_warm.started, 1);
	assert_int_equal(fake_warm.how.limits.rate_per_s, 9);
	assert_int_equal(fake_warm.lines, 5000 - 5 - 1);
	char *at = f->err;

	for (uint32_t i = 1000; i <= 5000; i += i == 2000 || i == 2500 ? 500 : 1000) {
		snprintf(want, sizeof(want), "%s:%u: %s\n", path, i,
		         i == 2500 ? "the line is not UTF-8; write other bytes as %XX"
		                   : "it is bad; write better ones");
		if (strncmp(at, want, strlen(want)) != 0)
			fail_msg("%s", f->err);
		at += strlen(want);
	}
	assert_string_equal(at, "");
}

/* Every command of the table has help of its own. */
static void test_help_of_each(void **state)
{
	struct fixture *f = *state;
	char words[128];

	for (uint32_t i = 0; i < CMD_COUNT; i++) {
		snprintf(words, sizeof(words), "%s --help", command_infos[i].name);
		assert_int_equal(run(f, words), 0);
		assert_non_null(strstr(f->out, "Usage: sluicectl "));
		assert_non_null(strstr(f->out, command_infos[i].name));
	}
}

/* One answer has a bounded number of rows; sluicectl asks until it has what was wanted. */
static void test_listing(void **state)
{
	static const struct {
		const char *words;
		size_t rows;
	} cases[] = {
	        {"conns -o json", 1000},
	        {"conns -o json --limit 0", 6000},
	        {"conns -o json --limit 1", 1},
	        {"conns -o json --limit 2500", 2500},
	        {"conns -o json --limit 9999", 6000},
	        {"conns -o json --limit 1001 --state established", 1001},
	};
	struct fixture *f = *state;

	f->ctl->chan->conns = 3000;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ctl(f, cases[i].words), 0);
		size_t rows = 0;

		for (const char *p = f->out; (p = strstr(p, "\"srtt_us\"")); p++)
			rows++;
		assert_int_equal(rows, cases[i].rows);
	}
	assert_int_equal(ctl(f, "conns --limit 5"), 0);
	assert_non_null(strstr(f->out, "There are more"));
}

static void test_no_server(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "-s /nonexistent/x.sock status"), 1);
	assert_non_null(strstr(f->err, "control is not running?"));
	assert_non_null(strstr(f->err, "Start it with"));
	assert_int_equal(run(f, "-s /nonexistent/x.sock version"), 0);
	assert_non_null(strstr(f->out, "does not answer"));
	f->ctl->chan->attached = false;
	assert_int_equal(ctl(f, "stats"), 1);
	assert_non_null(strstr(f->err, "Is sluice-dataplane running"));
	assert_int_equal(ctl(f, "status"), 0);
	assert_non_null(strstr(f->out, "NOT ATTACHED"));
}

static void test_config_check(void **state)
{
	static const char good[] = "listeners: [{address: 192.0.2.10}]\n"
	                           "ports: [{interface: veth0, cores: [0, 1]}]\n"
	                           "upstreams: [{name: api, addresses: [\"127.0.0.1:8080\"]}]\n"
	                           "routes: [{upstream: api}, {path: /x, upstream: api}]\n";
	struct fixture *f = *state;
	char path[128];
	char words[256];

	snprintf(path, sizeof(path), "%s/sluice.yaml", f->dir);
	FILE *file = fopen(path, "w");

	fputs(good, file);
	fclose(file);
	snprintf(words, sizeof(words), "config check %s", path);
	assert_int_equal(run(f, words), 0);
	assert_non_null(strstr(f->out, "sluice.yaml: ok (1 listener, 1 port, 2 cores, 2 routes, "
	                               "1 upstream)\n"));
	file = fopen(path, "a");
	fputs("nonsense: 1\n", file);
	fclose(file);
	assert_int_equal(run(f, words), 1);
	assert_non_null(strstr(f->err, "sluice.yaml:5:1: "));
	assert_int_equal(run(f, "config check /nonexistent"), 1);
	assert_non_null(strstr(f->err, "/nonexistent"));
}

/* What config show prints is a file that config check takes. */
static void test_show_is_a_file(void **state)
{
	struct fixture *f = *state;
	char words[256];

	assert_int_equal(ctl(f, "config show"), 0);
	snprintf(words, sizeof(words), "%s/shown.yaml", f->dir);
	FILE *file = fopen(words, "w");

	fputs(f->out, file);
	fclose(file);
	snprintf(words, sizeof(words), "config check %s/shown.yaml", f->dir);
	if (run(f, words) != 0)
		fail_msg("%s", f->err);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_golden),
	        cmocka_unit_test(test_units),
	        cmocka_unit_test(test_controls),
	        TEST(test_commands),
	        TEST(test_help_of_each),
	        TEST(test_listing),
	        TEST(test_warm_list),
	        TEST(test_no_server),
	        TEST(test_config_check),
	        TEST(test_show_is_a_file),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s GOLDEN_FOLDER SLUICECTL\n", argv[0]);
		return 2;
	}
	golden = argv[1];
	program = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
