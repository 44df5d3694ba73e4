/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/admin/admin_fixture.h"

#include "lib/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 5000, TEXT_ROOM = 4 << 20 };

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = fake_dir_make();
	f->ctl = fake_control_create(f->dir, 0);
	f->text = malloc(TEXT_ROOM);
	assert_int_equal(admin_start(f->ctl, &f->admin), ST_OK);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
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

int fixture_client(struct fixture *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->ctl->config->admin.socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void fixture_pump(struct fixture *f, uint32_t rounds)
{
	while (rounds--)
		loop_once(f->ctl->loop, NS_PER_MS);
}

/* A line into f->text without its end; false when the connection ended instead. */
bool fixture_line(struct fixture *f, int fd)
{
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;
	size_t len = 0;

	while (clock_mono_ns() < deadline_ns) {
		ssize_t n = recv(fd, f->text + len, 1, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0) {
			fixture_pump(f, 1);
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

void fixture_send(struct fixture *f, int fd, const char *text, size_t len)
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
		fixture_pump(f, 1);
	}
}

json_t *fixture_answer(struct fixture *f, int fd)
{
	json_t *answer;

	assert_true(fixture_line(f, fd));
	answer = json_loads(f->text, 0, NULL);
	assert_non_null(answer);
	return answer;
}

/* One request on a connection of its own. */
json_t *fixture_ask(struct fixture *f, const char *line)
{
	int fd = fixture_client(f);

	fixture_send(f, fd, line, strlen(line));
	fixture_send(f, fd, "\n", 1);
	json_t *answer = fixture_answer(f, fd);

	close(fd);
	return answer;
}

json_t *fixture_ask_ok(struct fixture *f, const char *line)
{
	json_t *answer = fixture_ask(f, line);

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", line, f->text);
	json_t *result = json_incref(json_object_get(answer, "result"));

	assert_non_null(result);
	json_decref(answer);
	return result;
}

json_int_t int_at(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

const char *text_at(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	assert_non_null(text);
	return text;
}

void expect_error(struct fixture *f, const char *line, const char *part)
{
	json_t *answer = fixture_ask(f, line);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	if (!strstr(text_at(answer, "error"), part))
		fail_msg("%s: \"%s\" is not in %s", line, part, f->text);
	json_decref(answer);
}
