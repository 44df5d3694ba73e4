/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr = -1;
static int pipe_fds[2];

static void capture_begin(void)
{
	fflush(stderr);
	assert_int_equal(pipe(pipe_fds), 0);
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	close(pipe_fds[1]);
}

static size_t capture_end(char *out, size_t cap)
{
	assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
	close(saved_stderr);
	size_t len = 0;
	ssize_t n;
	while ((n = read(pipe_fds[0], out + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	close(pipe_fds[0]);
	out[len] = '\0';
	return len;
}

static void a_line_has_time_level_module(void **state)
{
	char got[4096];

	(void)state;
	capture_begin();
	log_info("mod", "answer %d", 42);
	size_t len = capture_end(got, sizeof(got));
	assert_true(len > 24);
	assert_string_equal(got + 24, " info mod: answer 42\n");
	assert_int_equal(got[4], '-');
	assert_int_equal(got[10], 'T');
	assert_int_equal(got[19], '.');
	assert_int_equal(got[23], 'Z');
}

static void the_level_holds_back(void **state)
{
	char got[4096];

	(void)state;
	capture_begin();
	log_set_level(LOG_WARN);
	log_info("mod", "no");
	log_debug("mod", "no");
	log_warn("mod", "yes");
	log_error("mod", "yes");
	log_set_level(LOG_DEBUG);
	log_debug("mod", "yes");
	log_set_level(LOG_INFO);
	capture_end(got, sizeof(got));
	assert_null(strstr(got, "no\n"));
	assert_non_null(strstr(got, " warn mod: yes\n"));
	assert_non_null(strstr(got, " error mod: yes\n"));
	assert_non_null(strstr(got, " debug mod: yes\n"));
}

/* What a peer sent can neither end the line nor make it long. */
static void one_line_whatever_the_text(void **state)
{
	char got[8192], big[4000];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	capture_begin();
	log_info("mod", "a\nerror mod: forged\r\x1b[31m%s", big);
	size_t len = capture_end(got, sizeof(got));
	assert_true(len <= 1024);
	assert_ptr_equal(strchr(got, '\n'), got + len - 1);
	assert_non_null(strstr(got, "a?error mod: forged??[31mxxx"));
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_ERROR);
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse("Info", &level));
	assert_false(log_level_parse("infos", &level));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_has_time_level_module),
	        cmocka_unit_test(the_level_holds_back),
	        cmocka_unit_test(one_line_whatever_the_text),
	        cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
