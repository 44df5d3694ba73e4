/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/chan_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_MODE 0660
#define DIR_MODE    0755
#define BACKLOG     8

static enum status status_of_errno(int err)
{
	switch (err) {
	case EAGAIN:
	case EINPROGRESS:
		return ST_AGAIN;
	case ENOENT:
	case ENOTDIR:
		return ST_NOTFOUND;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
		return ST_CLOSED;
	case EACCES:
	case EPERM:
		return ST_DENIED;
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
		return ST_NOMEM;
	default:
		return ST_IO;
	}
}

static enum status address_of(const char *path, struct sockaddr_un *addr)
{
	size_t len = strlen(path);

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0)
		return ST_INVALID;
	if (len >= sizeof(addr->sun_path))
		return ST_TOOBIG;
	memcpy(addr->sun_path, path, len + 1);
	return ST_OK;
}

static enum status socket_open(int *fd_out)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return status_of_errno(errno);
	*fd_out = fd;
	return ST_OK;
}

static enum status connect_addr(const struct sockaddr_un *addr, int *fd_out)
{
	int fd = -1;
	enum status st = socket_open(&fd);

	if (st != ST_OK)
		return st;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0) {
		st = status_of_errno(errno);
		close(fd);
		return st;
	}
	*fd_out = fd;
	return ST_OK;
}

enum status attach_connect(const char *path, int *fd_out)
{
	struct sockaddr_un addr;
	enum status st = address_of(path, &addr);

	return st != ST_OK ? st : connect_addr(&addr, fd_out);
}

/* The directory of path, when only that last level is missing (/run/sluice after a boot). */
static void make_directory(const struct sockaddr_un *addr)
{
	char dir[sizeof(addr->sun_path)];
	memcpy(dir, addr->sun_path, sizeof(dir));
	char *slash = strrchr(dir, '/');

	if (slash == NULL || slash == dir)
		return;
	*slash = '\0';
	/* Whether it is there now, bind will tell. */
	(void)mkdir(dir, DIR_MODE);
}

/* Unlinks a socket file that nobody listens on. ST_EXISTS: somebody does, or it is no socket. */
static enum status remove_stale(const struct sockaddr_un *addr)
{
	struct stat sb;
	int fd;

	if (lstat(addr->sun_path, &sb) != 0)
		return errno == ENOENT ? ST_OK : status_of_errno(errno);
	if (!S_ISSOCK(sb.st_mode))
		return ST_EXISTS;
	enum status st = connect_addr(addr, &fd);
	if (st == ST_OK)
		close(fd);
	if (st != ST_CLOSED && st != ST_NOTFOUND)
		return st == ST_DENIED ? ST_DENIED : ST_EXISTS;
	if (unlink(addr->sun_path) != 0 && errno != ENOENT)
		return status_of_errno(errno);
	return ST_OK;
}

static enum status bind_addr(int fd, const struct sockaddr_un *addr)
{
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return ST_OK;
	if (errno != EADDRINUSE)
		return status_of_errno(errno);
	enum status st = remove_stale(addr);
	if (st != ST_OK)
		return st;
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return ST_OK;
	return errno == EADDRINUSE ? ST_EXISTS : status_of_errno(errno);
}

enum status attach_listen(const char *path, int *fd_out)
{
	struct sockaddr_un addr;
	int fd = -1;

	enum status st = address_of(path, &addr);
	if (st != ST_OK)
		return st;
	make_directory(&addr);
	st = socket_open(&fd);
	if (st != ST_OK)
		return st;
	st = bind_addr(fd, &addr);
	if (st != ST_OK)
		goto close_fd;
	/* Before listen: until then nobody can connect, whatever the umask left open. */
	if (chmod(path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
		st = status_of_errno(errno);
		goto remove_file;
	}
	*fd_out = fd;
	return ST_OK;
remove_file:
	unlink(path);
close_fd:
	close(fd);
	return st;
}

/* Room for the descriptors of one message, aligned for struct cmsghdr. */
union fd_control {
	char bytes[CMSG_SPACE(sizeof(int) * ATTACH_MAX_FDS)];
	struct cmsghdr align;
};

enum status attach_send(int fd, const struct attach_msg *m, const int *fds)
{
	struct attach_msg copy = *m;
	struct iovec iov = {.iov_base = &copy, .iov_len = sizeof(copy)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union fd_control control;
	size_t fd_bytes = sizeof(int) * m->fd_count;
	ssize_t n;

	if (m->fd_count > ATTACH_MAX_FDS || (m->fd_count > 0 && fds == NULL))
		return ST_INVALID;
	copy.version = CHAN_VERSION;
	copy.text[ATTACH_TEXT_MAX - 1] = '\0';
	if (m->fd_count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fd_bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_bytes);
		memcpy(CMSG_DATA(c), fds, fd_bytes);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return status_of_errno(errno);
	return n == (ssize_t)sizeof(copy) ? ST_OK : ST_IO;
}

/* Collects the descriptors of a received message; what does not fit is closed. Returns how many
 * there were in all. */
static uint32_t take_fds(struct msghdr *msg, int *fds)
{
	uint32_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, count++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < ATTACH_MAX_FDS)
				fds[count] = fd;
			else
				close(fd);
		}
	}
	return count;
}

static enum status message_check(const struct attach_msg *m, size_t len, uint32_t fd_count)
{
	if (len < offsetof(struct attach_msg, n))
		return ST_CORRUPT;
	if (m->version != CHAN_VERSION)
		return ST_VERSION;
	if (len != sizeof(*m) || m->fd_count != fd_count)
		return ST_CORRUPT;
	if (m->type < ATTACH_HELLO || m->type > ATTACH_SNAPSHOT_BAD)
		return ST_CORRUPT;
	return ST_OK;
}

enum status attach_recv(int fd, struct attach_msg *out, int *fds)
{
	struct iovec iov = {.iov_base = out, .iov_len = sizeof(*out)};
	union fd_control control;
	struct msghdr msg = {
	        .msg_iov = &iov,
	        .msg_iovlen = 1,
	        .msg_control = control.bytes,
	        .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	memset(out, 0, sizeof(*out));
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return status_of_errno(errno);
	uint32_t count = take_fds(&msg, fds);
	enum status st = n == 0 ? ST_CLOSED : message_check(out, (size_t)n, count);
	/* Descriptors that did not fit are lost: the message means nothing without them. */
	if (st == ST_OK && (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
		st = ST_CORRUPT;
	out->text[ATTACH_TEXT_MAX - 1] = '\0';
	if (st == ST_OK)
		return ST_OK;
	for (uint32_t i = 0; i < count && i < ATTACH_MAX_FDS; i++)
		close(fds[i]);
	return st;
}
