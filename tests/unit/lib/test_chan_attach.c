/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/chan_attach.h"

#include "lib/doorbell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];
static char path[128];

static int make_path(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/sluice-attach-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/run/attach.sock", directory);
	return 0;
}

static int remove_path(void **state)
{
	(void)state;
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	return rmdir(directory);
}

static int open_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Accepts with a deadline. */
static int accept_one(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	if (poll(&p, 1, 10000) != 1)
		return -1;
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static enum status recv_by_deadline(int fd, struct attach_msg *m, int *fds)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 10000) != 1)
		return ST_TIMEOUT;
	return attach_recv(fd, m, fds);
}

static void pair(int out[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out), 0);
}

static void listens_with_mode_and_directory(void **state)
{
	struct stat sb;
	int fd = -1;

	(void)state;
	assert_int_equal(attach_listen(path, &fd), ST_OK);
	assert_int_equal(stat(path, &sb), 0);
	assert_true(S_ISSOCK(sb.st_mode));
	assert_int_equal(sb.st_mode & 0777, 0660);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void a_stale_file_is_replaced_a_live_one_not(void **state)
{
	int a = -1, b = -1, c = -1;

	(void)state;
	assert_int_equal(attach_listen(path, &a), ST_OK);
	assert_int_equal(attach_listen(path, &b), ST_EXISTS);
	assert_int_equal(attach_connect(path, &c), ST_OK); /* still its own */
	close(c);
	close(a);
	assert_int_equal(attach_connect(path, &c), ST_CLOSED);
	assert_int_equal(attach_listen(path, &b), ST_OK);
	assert_int_equal(attach_connect(path, &c), ST_OK);
	close(c);
	close(b);
}

static void what_is_no_socket_stays(void **state)
{
	int fd = -1;
	int probe = -1;

	(void)state;
	assert_int_equal(attach_listen(path, &probe), ST_OK); /* makes the directory */
	close(probe);
	unlink(path);
	int file = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(file >= 0);
	close(file);
	assert_int_equal(attach_listen(path, &fd), ST_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
}

static void paths_that_cannot_be(void **state)
{
	char longer[300];
	int fd = -1;

	(void)state;
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(attach_listen(longer, &fd), ST_TOOBIG);
	assert_int_equal(attach_connect(longer, &fd), ST_TOOBIG);
	assert_int_equal(attach_listen("", &fd), ST_INVALID);
	assert_int_equal(attach_connect("/nonexistent/a/b", &fd), ST_NOTFOUND);
	assert_int_equal(attach_listen("/nonexistent/a/b", &fd), ST_NOTFOUND);
}

static void descriptors_travel(void **state)
{
	(void)state;
	for (uint32_t count = 0; count <= ATTACH_MAX_FDS; count += 11) {
		int socks[2], bells[ATTACH_MAX_FDS], got[ATTACH_MAX_FDS];
		struct attach_msg in = {.type = ATTACH_HELLO, .n = 7, .epoch = 3}, out;
		int before = open_fds();
		pair(socks);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(doorbell_create(&bells[i]), ST_OK);
		in.fd_count = count;
		snprintf(in.text, sizeof(in.text), "hello %u", count);
		assert_int_equal(attach_recv(socks[1], &out, got), ST_AGAIN);
		assert_int_equal(attach_send(socks[0], &in, bells), ST_OK);
		assert_int_equal(attach_recv(socks[1], &out, got), ST_OK);
		assert_int_equal(out.version, CHAN_VERSION);
		assert_int_equal(out.n, 7);
		assert_int_equal(out.epoch, 3);
		assert_int_equal(out.fd_count, count);
		assert_string_equal(out.text, in.text);
		for (uint32_t i = 0; i < count; i++) {
			assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
			doorbell_ring(bells[i]); /* in order, and the same object */
			assert_true(doorbell_wait(got[i], 0));
			if (i + 1 < count)
				assert_false(doorbell_wait(got[i + 1], 0));
			close(got[i]);
			close(bells[i]);
		}
		close(socks[0]);
		assert_int_equal(attach_recv(socks[1], &out, got), ST_CLOSED);
		assert_int_equal(attach_send(socks[1], &in, bells), count == 0 ? ST_CLOSED : ST_IO);
		close(socks[1]);
		assert_int_equal(open_fds(), before);
	}
}

static void too_many_are_not_sent(void **state)
{
	struct attach_msg m = {.type = ATTACH_HELLO, .fd_count = ATTACH_MAX_FDS + 1};
	int socks[2];
	int fds[ATTACH_MAX_FDS + 1] = {0};

	(void)state;
	pair(socks);
	assert_int_equal(attach_send(socks[0], &m, fds), ST_INVALID);
	m.fd_count = 1;
	assert_int_equal(attach_send(socks[0], &m, NULL), ST_INVALID);
	close(socks[0]);
	close(socks[1]);
}

/* Sends bytes and descriptors as they are. */
static void send_raw(int sock, const void *bytes, size_t len, uint32_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 128)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fd_count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (uint32_t i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &sock, sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

struct raw_case {
	const char *what;
	uint32_t type, version, claimed_fds, sent_fds;
	size_t len;
	enum status want;
};

#define WHOLE sizeof(struct attach_msg)

static const struct raw_case raw_cases[] = {
        {"right", ATTACH_HELLO, CHAN_VERSION, 1, 1, WHOLE, ST_OK},
        {"another version", ATTACH_HELLO, CHAN_VERSION + 1, 1, 1, WHOLE, ST_VERSION},
        {"another version and size", ATTACH_HELLO, 0, 0, 0, WHOLE - 64, ST_VERSION},
        {"short", ATTACH_HELLO, CHAN_VERSION, 1, 1, WHOLE - 1, ST_CORRUPT},
        {"tiny", ATTACH_HELLO, CHAN_VERSION, 1, 1, 1, ST_CORRUPT},
        {"long", ATTACH_HELLO, CHAN_VERSION, 1, 1, WHOLE + 1, ST_CORRUPT},
        {"fewer descriptors", ATTACH_HELLO, CHAN_VERSION, 2, 1, WHOLE, ST_CORRUPT},
        {"more descriptors", ATTACH_HELLO, CHAN_VERSION, 1, 2, WHOLE, ST_CORRUPT},
        {"claims the world", ATTACH_HELLO, CHAN_VERSION, UINT32_MAX, 1, WHOLE, ST_CORRUPT},
        {"cut off", ATTACH_HELLO, CHAN_VERSION, ATTACH_MAX_FDS, 100, WHOLE, ST_CORRUPT},
        {"no type", 0, CHAN_VERSION, 1, 1, WHOLE, ST_CORRUPT},
        {"unknown type", 99, CHAN_VERSION, 1, 1, WHOLE, ST_CORRUPT},
};

static void hostile_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(raw_cases); i++) {
		const struct raw_case *c = &raw_cases[i];
		struct {
			struct attach_msg m;
			char more[64];
		} in = {.m = {.type = c->type, .version = c->version, .fd_count = c->claimed_fds}};
		struct attach_msg out;
		int socks[2], got[ATTACH_MAX_FDS];
		int before = open_fds();
		memset(in.m.text, 'x', sizeof(in.m.text)); /* no NUL anywhere */
		pair(socks);
		send_raw(socks[0], &in, c->len, c->sent_fds);
		enum status st = attach_recv(socks[1], &out, got);
		if (st != c->want)
			fail_msg("%s: %s", c->what, status_text(st));
		assert_true(memchr(out.text, '\0', sizeof(out.text)) != NULL);
		if (st == ST_OK)
			close(got[0]);
		close(socks[0]);
		close(socks[1]);
		/* Refused, and no descriptor left behind. */
		assert_int_equal(open_fds(), before);
	}
}

/* The other process: attaches, maps what it got, answers in the memory and rings. */
static int control_process(void)
{
	struct attach_msg m;
	int sock = -1, fds[ATTACH_MAX_FDS];
	struct chan ch;

	if (attach_connect(path, &sock) != ST_OK)
		return 1;
	if (recv_by_deadline(sock, &m, fds) != ST_OK || m.type != ATTACH_HELLO || m.fd_count != 3)
		return 2;
	if (chan_open(&ch, fds[0]) != ST_OK || ch.hdr->generation != m.n)
		return 3;
	struct chan_port p;
	struct chan_msg msg;
	chan_port_control(&ch, 0, &p);
	p.wait_fd = fds[1];
	p.ring_fd = fds[2];
	while (!chan_recv(&p, &msg)) {
		if (chan_prepare_sleep(&p) && !doorbell_wait(p.wait_fd, 10 * NS_PER_S))
			return 4;
		chan_awake(&p);
	}
	struct chan_msg *slot = chan_slot(&p);
	slot->type = CHAN_BODY;
	slot->n = msg.n + m.epoch;
	chan_push(&p);
	chan_flush(&p);
	return 0;
}

static void two_processes_attach(void **state)
{
	static const struct chan_geometry geo = {1, 64, 4096, 4, 4096, 4};
	int listener = -1, bells[2], got[ATTACH_MAX_FDS];
	struct attach_msg m;
	struct chan ch;

	(void)state;
	assert_int_equal(chan_create(&ch, &geo, true), ST_OK);
	assert_int_equal(doorbell_create(&bells[0]), ST_OK);
	assert_int_equal(doorbell_create(&bells[1]), ST_OK);
	assert_int_equal(attach_listen(path, &listener), ST_OK);
	for (uint32_t epoch = 1; epoch <= 3; epoch++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			_exit(control_process());
		int sock = accept_one(listener);
		assert_true(sock >= 0);
		const int fds[3] = {ch.shm.fd, bells[0], bells[1]};
		struct attach_msg hello = {.type = ATTACH_HELLO,
		                           .n = ch.hdr->generation,
		                           .epoch = epoch,
		                           .fd_count = 3};
		struct chan_port p;
		chan_port_core(&ch, 0, &p);
		p.ring_fd = bells[0];
		p.wait_fd = bells[1];
		assert_int_equal(attach_send(sock, &hello, fds), ST_OK);
		struct chan_msg *slot = chan_slot(&p), msg;
		slot->type = CHAN_SYNC;
		slot->n = 1000;
		chan_push(&p);
		chan_flush(&p);
		while (!chan_recv(&p, &msg)) {
			if (chan_prepare_sleep(&p))
				assert_true(doorbell_wait(p.wait_fd, 10 * NS_PER_S));
			doorbell_clear(p.wait_fd);
			chan_awake(&p);
		}
		chan_rx_done(&p);
		assert_int_equal(msg.n, 1000 + epoch);
		/* Its end shows on the socket. */
		assert_int_equal(recv_by_deadline(sock, &m, got), ST_CLOSED);
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		close(sock);
	}
	close(listener);
	close(bells[0]);
	close(bells[1]);
	chan_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(listens_with_mode_and_directory, make_path,
	                                        remove_path),
	        cmocka_unit_test_setup_teardown(a_stale_file_is_replaced_a_live_one_not, make_path,
	                                        remove_path),
	        cmocka_unit_test_setup_teardown(what_is_no_socket_stays, make_path, remove_path),
	        cmocka_unit_test(paths_that_cannot_be),
	        cmocka_unit_test(descriptors_travel),
	        cmocka_unit_test(too_many_are_not_sent),
	        cmocka_unit_test(hostile_messages),
	        cmocka_unit_test_setup_teardown(two_processes_attach, make_path, remove_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
