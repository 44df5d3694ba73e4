/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/doorbell.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum status doorbell_create(int *fd_out)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return errno == ENOMEM ? ST_NOMEM : ST_IO;
	*fd_out = fd;
	return ST_OK;
}

void doorbell_ring(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	/* EAGAIN means that the count is at its end: it is rung already. */
	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

void doorbell_clear(int fd)
{
	uint64_t count;
	ssize_t n;

	do {
		n = read(fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
}

bool doorbell_wait(int fd, uint64_t timeout_ns)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct timespec ts = {
	        .tv_sec = (time_t)min_u64(timeout_ns / NS_PER_S, INT32_MAX),
	        .tv_nsec = (long)(timeout_ns % NS_PER_S),
	};

	/* A signal ends the wait: the caller looks at its flags and waits again. */
	return ppoll(&pfd, 1, &ts, NULL) > 0 && (pfd.revents & POLLIN) != 0;
}
