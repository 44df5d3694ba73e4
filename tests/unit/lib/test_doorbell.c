/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/doorbell.h"

#include "lib/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

static void ring_wait_clear(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(doorbell_create(&fd), ST_OK);
	assert_false(doorbell_wait(fd, 0));
	doorbell_clear(fd); /* nothing there: does not block */
	doorbell_ring(fd);
	doorbell_ring(fd);
	assert_true(doorbell_wait(fd, 0));
	assert_true(doorbell_wait(fd, UINT64_MAX));
	doorbell_clear(fd);
	assert_false(doorbell_wait(fd, 0));
	close(fd);
}

static void a_full_count_is_rung(void **state)
{
	int fd = -1;
	uint64_t most = UINT64_MAX - 1;

	(void)state;
	assert_int_equal(doorbell_create(&fd), ST_OK);
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	doorbell_ring(fd); /* does not block */
	assert_true(doorbell_wait(fd, 0));
	doorbell_clear(fd);
	assert_false(doorbell_wait(fd, 0));
	close(fd);
}

static void the_timeout_ends_a_wait(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(doorbell_create(&fd), ST_OK);
	uint64_t start_ns = clock_mono_ns();
	assert_false(doorbell_wait(fd, 2 * NS_PER_MS));
	assert_true(clock_mono_ns() - start_ns >= 2 * NS_PER_MS);
	close(fd);
}

static void *ringer(void *arg)
{
	doorbell_ring(*(int *)arg);
	return NULL;
}

static void another_thread_wakes(void **state)
{
	int fd = -1;
	pthread_t thread;

	(void)state;
	assert_int_equal(doorbell_create(&fd), ST_OK);
	assert_int_equal(pthread_create(&thread, NULL, ringer, &fd), 0);
	assert_true(doorbell_wait(fd, 10 * NS_PER_S));
	pthread_join(thread, NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ring_wait_clear),
	        cmocka_unit_test(a_full_count_is_rung),
	        cmocka_unit_test(the_timeout_ends_a_wait),
	        cmocka_unit_test(another_thread_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
