/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/shm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void anonymous_is_zeroed_and_rounded(void **state)
{
	(void)state;
	for (int huge = 0; huge < 2; huge++) {
		struct shm s;
		assert_int_equal(shm_anon(&s, 5000, huge != 0), ST_OK);
		assert_true(s.size >= 5000 && s.size % 4096 == 0);
		assert_int_equal(s.fd, -1);
		unsigned char *p = s.base;
		for (size_t i = 0; i < s.size; i += 512)
			assert_int_equal(p[i], 0);
		memset(p, 1, s.size);
		shm_close(&s);
		assert_null(s.base);
		shm_close(&s);
	}
}

static void sizes_that_cannot_be(void **state)
{
	static const size_t sizes[] = {0, SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2, 1ull << 60};
	struct shm s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int huge = 0; huge < 2; huge++) {
			assert_int_not_equal(shm_anon(&s, sizes[i], huge != 0), ST_OK);
			assert_int_not_equal(shm_create(&s, "t", sizes[i], huge != 0), ST_OK);
		}
	}
}

static void two_mappings_share(void **state)
{
	struct shm a, b;

	(void)state;
	assert_int_equal(shm_create(&a, "t", 10000, true), ST_OK);
	assert_true(a.size >= 10000);
	assert_int_equal(shm_map(&b, dup(a.fd), a.size), ST_OK);
	((char *)a.base)[9999] = 'x';
	assert_int_equal(((char *)b.base)[9999], 'x');
	((char *)b.base)[0] = 'y';
	assert_int_equal(((char *)a.base)[0], 'y');
	assert_int_equal(a.huge, b.huge);
	shm_close(&b);
	shm_close(&a);
}

static void nobody_can_shrink_it(void **state)
{
	struct shm a;

	(void)state;
	assert_int_equal(shm_create(&a, "t", 8192, false), ST_OK);
	assert_int_not_equal(ftruncate(a.fd, 4096), 0);
	assert_int_not_equal(ftruncate(a.fd, 1 << 20), 0);
	assert_int_not_equal(fcntl(a.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	shm_close(&a);
}

static int memfd_of(size_t bytes, int seals)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (seals != 0)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Taken over also on failure. */
static void assert_refused(int fd, size_t size)
{
	struct shm s;

	assert_int_not_equal(shm_map(&s, fd, size), ST_OK);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void map_refuses(void **state)
{
	int fds[2];

	(void)state;
	assert_refused(memfd_of(4096, 0), 4096);
	assert_refused(memfd_of(4096, F_SEAL_GROW), 4096);
	assert_refused(memfd_of(4096, F_SEAL_SHRINK), 4097);
	assert_refused(memfd_of(100, F_SEAL_SHRINK), 101);
	assert_refused(memfd_of(4096, F_SEAL_SHRINK), SIZE_MAX);
	assert_refused(memfd_of(4096, F_SEAL_SHRINK), 0);
	assert_refused(memfd_of(0, F_SEAL_SHRINK), 1);
	assert_refused(-1, 4096);
	assert_int_equal(pipe(fds), 0);
	assert_refused(fds[0], 4096);
	close(fds[1]);
	assert_refused(open("/dev/zero", O_RDWR), 4096);
}

static void write_sealed_is_for_reading(void **state)
{
	struct shm s;
	int fd = memfd_of(100, 0);

	(void)state;
	assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_int_equal(shm_map(&s, fd, 100), ST_OK);
	assert_memory_equal(s.base, "abc", 3);
	shm_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(anonymous_is_zeroed_and_rounded),
	        cmocka_unit_test(sizes_that_cannot_be),
	        cmocka_unit_test(two_mappings_share),
	        cmocka_unit_test(nobody_can_shrink_it),
	        cmocka_unit_test(map_refuses),
	        cmocka_unit_test(write_sealed_is_for_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
