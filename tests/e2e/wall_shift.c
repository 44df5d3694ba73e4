/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Preloaded into a process, shifts its wall clock by the nanoseconds (int64_t) that stand in the
 * file $WALL_SHIFT_FILE, from the moment that they do: for tests of a clock that is set.
 * libfaketime does not start together with jemalloc, whose initialisation reads the clock. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000

static const int64_t *shift_ns;

__attribute__((constructor)) static void shift_open(void)
{
	const char *path = getenv("WALL_SHIFT_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mem = MAP_FAILED;

	if (fd >= 0)
		mem = mmap(NULL, sizeof(*shift_ns), PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		_exit(121); /* the test would test nothing */
	close(fd);
	shift_ns = mem;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	int rc = (int)syscall(SYS_clock_gettime, id, out);
	int64_t ns;

	if (rc != 0 || id != CLOCK_REALTIME || shift_ns == NULL)
		return rc;
	ns = out->tv_sec * INT64_C(1000000000) + out->tv_nsec +
	     __atomic_load_n(shift_ns, __ATOMIC_RELAXED);
	out->tv_sec = ns / SECOND_NS;
	out->tv_nsec = ns % SECOND_NS;
	return 0;
}
