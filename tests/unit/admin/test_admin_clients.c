/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections of the admin socket: clients that go away, stall, or come in numbers; long lines; the
 * socket file. */
#include "control/admin/commands.h"
#include "tests/unit/admin/admin_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* After an error the connection goes on. */
static void test_one_connection(void **state)
{
	static const char lines[] = "nonsense\n{\"cmd\":\"version\"}\n{\"cmd\":\"stats\"}\n{\"cm";
	struct fixture *f = *state;
	int fd = fixture_client(f);
	json_t *answer;

	fixture_send(f, fd, lines, sizeof(lines) - 1);
	answer = fixture_answer(f, fd);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
	answer = fixture_answer(f, fd);
	assert_string_equal(text_at(json_object_get(answer, "result"), "name"), "sluice-control");
	json_decref(answer);
	answer = fixture_answer(f, fd);
	assert_non_null(json_object_get(json_object_get(answer, "result"), "hit_ratio"));
	json_decref(answer);
	for (const char *c = "d\":\"version\"}\r\n"; *c; c++) /* byte by byte */
		fixture_send(f, fd, c, 1);
	answer = fixture_answer(f, fd);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	close(fd);
}

static void test_long_line(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(ADMIN_LINE_MAX + 1);
	int fd = fixture_client(f);

	/* The longest that fits. */
	memset(line, ' ', ADMIN_LINE_MAX);
	memcpy(line, "{\"cmd\":\"version\"}", 17);
	line[ADMIN_LINE_MAX - 1] = '\n';
	fixture_send(f, fd, line, ADMIN_LINE_MAX);
	json_t *answer = fixture_answer(f, fd);

	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	/* One byte more. */
	line[ADMIN_LINE_MAX - 1] = ' ';
	line[ADMIN_LINE_MAX] = '\n';
	fixture_send(f, fd, line, ADMIN_LINE_MAX + 1);
	answer = fixture_answer(f, fd);
	assert_non_null(strstr(text_at(answer, "error"), "longer than"));
	json_decref(answer);
	assert_false(fixture_line(f, fd)); /* closed */
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
		int fd = fixture_client(f);

		fixture_send(f, fd, lines[i], strlen(lines[i]));
		fixture_pump(f, 20);
		assert_true(f->ctl->chan->pending_count > 0 || f->ctl->chan->purge_cb);
		close(fd);
		fixture_pump(f, 20);
		fake_answer_all(f->ctl->chan);
		fixture_pump(f, 20);
	}
	f->ctl->chan->later = false;
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"version\"}"));
}

/* The server goes first; the answers come after. */
static void test_stop_before_answer(void **state)
{
	struct fixture *f = *state;
	struct chan_server *s = f->ctl->chan;
	static const char lines[] = "{\"cmd\":\"conns\"}\n";
	static const char status[] = "{\"cmd\":\"status\"}\n";
	int fd = fixture_client(f);
	int fd2 = fixture_client(f);

	s->later = true;
	fixture_send(f, fd, lines, sizeof(lines) - 1);
	fixture_send(f, fd2, status, sizeof(status) - 1);
	fixture_pump(f, 20);
	assert_int_equal(s->pending_count, 3);
	admin_stop(f->admin);
	f->admin = NULL;
	assert_int_equal(access(f->ctl->config->admin.socket, F_OK), -1);
	fake_answer_all(s);
	assert_false(fixture_line(f, fd));
	assert_false(fixture_line(f, fd2));
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
		fds[i] = fixture_client(f);
		fixture_send(f, fds[i], line, sizeof(line) - 1);
	}
	fixture_pump(f, 20);
	fake_answer_all(f->ctl->chan);
	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++) {
		json_t *answer = fixture_answer(f, fds[i]);

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
		fds[i] = fixture_client(f);
		fixture_pump(f, 1);
	}
	fixture_pump(f, 20);
	int extra = fixture_client(f);
	json_t *answer = fixture_answer(f, extra);

	assert_non_null(strstr(text_at(answer, "error"), "Too many"));
	json_decref(answer);
	assert_false(fixture_line(f, extra));
	close(extra);
	close(fds[7]);
	fixture_pump(f, 20);
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"version\"}")); /* its place is free */
	for (uint32_t i = 0; i < ARRAY_LEN(fds); i++)
		if (i != 7)
			close(fds[i]);
}

/* One that does not read its large answer holds up nobody. */
static void test_slow_client(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"cmd\":\"conns\"}\n";
	int slow = fixture_client(f);

	f->ctl->chan->conns = 5000;
	for (int i = 0; i < 20; i++)
		fixture_send(f, slow, line, sizeof(line) - 1);
	fixture_pump(f, 20);
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"version\"}"));
	for (int i = 0; i < 20; i++)
		json_decref(fixture_answer(f, slow));
	close(slow);
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
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"version\"}"));
	admin_stop(f->admin);

	/* A stale one is replaced. */
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(admin_start(f->ctl, &f->admin), ST_OK);
	json_decref(fixture_ask_ok(f, "{\"cmd\":\"version\"}"));
	admin_stop(f->admin);
	f->admin = NULL;

	/* Another file is left alone. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(admin_start(f->ctl, &second), ST_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_one_connection),     TEST(test_long_line),    TEST(test_client_gone),
	        TEST(test_stop_before_answer), TEST(test_many_clients), TEST(test_too_many_clients),
	        TEST(test_slow_client),        TEST(test_socket_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
