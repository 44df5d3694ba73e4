/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets: bytes in and out, and poll. */
#include <errno.h>
#include <string.h>

#include "dataplane/tcp/tcp.h"
#include "tests/packets/stack.h"

/* What one tcp_tx_copy is given at most, so that it fits the chunks that are left. */
#define WRITE_PIECE 65536u

uint32_t sock_readable_bytes(const struct sock *s)
{
	return s->conn ? (uint32_t)tcp_rx_len(s->conn) : 0;
}

uint32_t sock_queued_bytes(const struct sock *s)
{
	return s->conn ? tcp_tx_queued(s->conn) : 0;
}

static int error_take(struct sock *s)
{
	int e = s->error;

	s->error = 0;
	return e;
}

/* What a call that finds nothing returns now; 1: it shall wait. */
static int read_idle(struct sock *s)
{
	int e;

	if (s->eof || s->shut_read || (s->conn != NULL && tcp_rx_eof(s->conn)))
		return 0;
	e = error_take(s);
	if (e != 0) {
		errno = e;
		return -1;
	}
	if (s->conn == NULL) {
		if (s->connected)
			return 0;
		errno = ENOTCONN;
		return -1;
	}
	return 1;
}

struct io {
	int fd;
	int flags;
	uint64_t until_ns;
};

/* The socket once it has something to read; NULL with *result set when it has not. */
static struct sock *read_wait(struct sluice_tcp *st, const struct io *io, ssize_t *result)
{
	for (;;) {
		struct sock *s = sock_get(st, io->fd);
		int r;

		*result = -1;
		if (s == NULL)
			return NULL;
		if (sock_readable_bytes(s) > 0)
			return s;
		r = read_idle(s);
		*result = r;
		if (r <= 0)
			return NULL;
		*result = -1;
		if (s->nonblock || io->flags & MSG_DONTWAIT || !stack_block(st, io->until_ns)) {
			errno = EAGAIN;
			return NULL;
		}
	}
}

/* Copies at most room bytes and consumes them, piece by piece. */
static size_t take(struct sluice_tcp *st, struct sock *s, char *to, size_t room)
{
	size_t done = 0;

	while (done < room) {
		struct span rx = tcp_rx(s->conn);
		size_t n = min_size(rx.len, room - done);

		if (n == 0)
			break;
		memcpy(to + done, rx.ptr, n);
		tcp_rx_consume(st->tcp, s->conn, n);
		done += n;
	}
	return done;
}

/* Leaves them there. */
static size_t peek(struct sluice_tcp *st, struct sock *s, char *to, size_t room)
{
	struct span rx = tcp_rx_whole(st->tcp, s->conn, room);
	size_t n = min_size(rx.len, room);

	memcpy(to, rx.ptr, n);
	return n;
}

static ssize_t read_some(struct sluice_tcp *st, const struct io *io, const struct iovec *iov,
                         int count)
{
	size_t done = 0;
	ssize_t result;
	struct sock *s;

	if (io->flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_NOSIGNAL)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	s = read_wait(st, io, &result);
	if (s == NULL)
		return result;
	if (io->flags & MSG_PEEK)
		return count > 0 ? (ssize_t)peek(st, s, iov[0].iov_base, iov[0].iov_len) : 0;
	for (int i = 0; i < count; i++) {
		size_t n = take(st, s, iov[i].iov_base, iov[i].iov_len);

		done += n;
		if (n < iov[i].iov_len)
			break;
	}
	stack_run(st);
	return (ssize_t)done;
}

static ssize_t read_locked(struct sluice_tcp *st, struct io io, const struct iovec *iov, int count)
{
	ssize_t n;

	stack_enter(st);
	io.until_ns = stack_block_end(st);
	n = read_some(st, &io, iov, count);
	stack_leave(st);
	return n;
}

ssize_t sluice_tcp_read(struct sluice_tcp *st, int fd, void *buf, size_t count)
{
	struct iovec iov = {buf, count};

	return read_locked(st, (struct io){.fd = fd}, &iov, 1);
}

ssize_t sluice_tcp_readv(struct sluice_tcp *st, int fd, const struct iovec *iov, int count)
{
	return read_locked(st, (struct io){.fd = fd}, iov, count);
}

ssize_t sluice_tcp_recv(struct sluice_tcp *st, int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = {buf, len};

	return read_locked(st, (struct io){.fd = fd, .flags = flags}, &iov, 1);
}

ssize_t sluice_tcp_recvfrom(struct sluice_tcp *st, int fd, void *buf, size_t len, int flags,
                            struct sockaddr *addr, socklen_t *addr_len)
{
	if (addr != NULL && addr_len != NULL)
		*addr_len = 0; /* of a stream the address is left out */
	return sluice_tcp_recv(st, fd, buf, len, flags);
}

ssize_t sluice_tcp_recvmsg(struct sluice_tcp *st, int fd, struct msghdr *msg, int flags)
{
	msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	return read_locked(st, (struct io){.fd = fd, .flags = flags}, msg->msg_iov,
	                   (int)msg->msg_iovlen);
}

/* 0: may write; 1: shall wait; -1 with errno. */
static int write_state(struct sluice_tcp *st, struct sock *s)
{
	(void)st;
	if (s->error != 0) {
		errno = error_take(s);
		return -1;
	}
	if (s->connecting)
		return 1;
	if (!s->connected) {
		errno = ENOTCONN;
		return -1;
	}
	if (s->conn == NULL || s->shut_write) {
		errno = EPIPE;
		return -1;
	}
	return sock_queued_bytes(s) >= s->sndbuf;
}

/* Queues what there is room for; 0 when there is none. */
static size_t write_room(struct sluice_tcp *st, struct sock *s, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && sock_queued_bytes(s) < s->sndbuf) {
		size_t n = min_size(min_size(len - done, WRITE_PIECE),
		                    s->sndbuf - sock_queued_bytes(s));

		if (tcp_tx_copy(st->tcp, s->conn, data + done, n) != ST_OK)
			break;
		done += n;
	}
	if (done > 0) {
		tcp_wake(st->tcp, s->conn, 0);
		stack_run(st);
	}
	return done;
}

/* All of it, or what a socket that must not block takes; -1 with errno when that is nothing. */
static ssize_t write_all(struct sluice_tcp *st, const struct io *io, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct sock *s = sock_get(st, io->fd);
		int state = s ? write_state(st, s) : -1;
		size_t n = 0;

		if (state < 0)
			return done > 0 ? (ssize_t)done : -1;
		if (state == 0)
			n = write_room(st, s, data + done, len - done);
		done += n;
		if (done == len || n > 0)
			continue;
		if (s->nonblock || io->flags & MSG_DONTWAIT || !stack_block(st, io->until_ns)) {
			errno = EAGAIN;
			return done > 0 ? (ssize_t)done : -1;
		}
	}
	return (ssize_t)done;
}

static ssize_t write_locked(struct sluice_tcp *st, struct io io, const struct iovec *iov, int count)
{
	ssize_t total = 0;

	if (io.flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	stack_enter(st);
	io.until_ns = stack_block_end(st);
	for (int i = 0; i < count; i++) {
		ssize_t n = write_all(st, &io, iov[i].iov_base, iov[i].iov_len);

		if (n < 0) {
			total = total > 0 ? total : -1;
			break;
		}
		total += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	stack_leave(st);
	return total;
}

ssize_t sluice_tcp_write(struct sluice_tcp *st, int fd, const void *buf, size_t count)
{
	return sluice_tcp_send(st, fd, buf, count, 0);
}

ssize_t sluice_tcp_writev(struct sluice_tcp *st, int fd, const struct iovec *iov, int count)
{
	return write_locked(st, (struct io){.fd = fd}, iov, count);
}

ssize_t sluice_tcp_send(struct sluice_tcp *st, int fd, const void *buf, size_t len, int flags)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};

	return write_locked(st, (struct io){.fd = fd, .flags = flags}, &iov, 1);
}

ssize_t sluice_tcp_sendto(struct sluice_tcp *st, int fd, const void *buf, size_t len, int flags,
                          const struct sockaddr *addr, socklen_t addr_len)
{
	struct sock_peer peer = {.addr = addr, .len = addr_len, .data = span_of(buf, len)};
	bool ok;

	if (!(flags & MSG_FASTOPEN))
		return sluice_tcp_send(st, fd, buf, len, flags);
	stack_enter(st);
	ok = sock_connect_start(st, fd, &peer);
	stack_leave(st);
	return ok ? (ssize_t)len : -1;
}

ssize_t sluice_tcp_sendmsg(struct sluice_tcp *st, int fd, const struct msghdr *msg, int flags)
{
	return write_locked(st, (struct io){.fd = fd, .flags = flags}, msg->msg_iov,
	                    (int)msg->msg_iovlen);
}

short sock_poll_events(struct sluice_tcp *st, const struct sock *s)
{
	int events = 0;

	(void)st;
	if (s->listening)
		return s->queue != NULL ? POLLIN | POLLRDNORM : 0;
	if (s->error != 0)
		events |= POLLERR;
	if (s->connected && s->conn == NULL)
		events |= POLLHUP;
	if (!s->connected && s->conn == NULL)
		return (short)(events | POLLHUP | POLLOUT | POLLWRNORM);
	if (s->eof)
		events |= POLLRDHUP;
	if (sock_readable_bytes(s) > 0 || s->eof || s->shut_read || s->conn == NULL)
		events |= POLLIN | POLLRDNORM;
	if (s->connected && sock_queued_bytes(s) < s->sndbuf)
		events |= POLLOUT | POLLWRNORM;
	return (short)events;
}

static int poll_once(struct sluice_tcp *st, struct pollfd *fds, nfds_t count)
{
	int ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		struct sock *s;

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		s = sock_get(st, fds[i].fd);
		if (s == NULL)
			fds[i].revents = POLLNVAL;
		else
			fds[i].revents = (short)(sock_poll_events(st, s) &
			                         (fds[i].events | POLLERR | POLLHUP));
		ready += fds[i].revents != 0;
	}
	return ready;
}

int sluice_tcp_poll(struct sluice_tcp *st, struct pollfd *fds, nfds_t count, int timeout_ms)
{
	uint64_t until;
	int ready;

	stack_enter(st);
	until = timeout_ms < 0 ? stack_block_end(st)
	                       : st->now_ns + (uint64_t)timeout_ms * NS_PER_MS;
	while ((ready = poll_once(st, fds, count)) == 0 && timeout_ms != 0)
		if (!stack_block(st, until))
			break;
	stack_leave(st);
	return ready;
}
