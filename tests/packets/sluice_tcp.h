/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sluice's TCP as a shared object: the stack that ships (dataplane/tcp, dataplane/net) over a NIC
 * in memory and a virtual clock, behind calls that look like sockets. Packets go in and come out by
 * hand, and time passes only when the caller says so or when a call blocks; so every run of a
 * script is the same run.
 *
 * Called by: pktscript (the runner in this folder), and by script tools of others, which find it by
 * packetdrill_interface_init at the end of this file. It must not be used by the product.
 *
 * Each function takes the stack first. Where a socket call of the same name exists, the meaning of
 * its arguments, its return value and its errno are that call's (POSIX, Linux for ioctl and TCP
 * options), as far as nothing else is said. A stack may be used by several threads: a mutex is
 * inside. */
#ifndef TESTS_PACKETS_SLUICE_TCP_H
#define TESTS_PACKETS_SLUICE_TCP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct sluice_tcp;

/* Makes a stack. flags: "name=value" pairs with commas between, or NULL. The names:
 *
 *   local          an address of ours, IPv4 or IPv6; may be given up to 8 times. Without it
 *                  192.168.0.1 and fd3d:fa7b:d17d::1. bind() to another address adds it.
 *   mtu            IP bytes a frame, 576 to 9000: 1500
 *   offload        1: the NIC takes and verifies checksums: 0
 *   start_ms       virtual time at the beginning: 1000000
 *   start_us       and so much more of it: 0
 *   seed           all of the stack's keys come from it, so that a run can be repeated: 1
 *   nonblock       1: sockets begin with O_NONBLOCK: 0
 *   clock_step_us  gettimeofday moves the clock by this, for callers that poll it: 0
 *   block_ms       the longest that a call blocks, in virtual time: 600000
 *   sndbuf         SO_SNDBUF of new sockets in bytes: 1048576
 *   and every field of struct tcp_config (dataplane/tcp/tcp.h), for example min_rto_ms=200.
 *
 * NULL with a text in why (cut to why_bytes) when a flag is unknown or out of range. */
struct sluice_tcp *sluice_tcp_create(const char *flags, char *why, size_t why_bytes);
/* Every connection ends without a packet. No other thread may be in a call. */
void sluice_tcp_free(struct sluice_tcp *st);

/* Sockets: AF_INET and AF_INET6 (which also takes IPv4-mapped addresses), SOCK_STREAM with
 * SOCK_NONBLOCK. Descriptors are the stack's own: the lowest free one from 3.
 *
 * A call that blocks lets virtual time pass, from timer to timer, until it can return. In a thread
 * other than the one that made the stack it waits for that thread to move the stack instead. After
 * block_ms it gives up with EAGAIN. */
int sluice_tcp_socket(struct sluice_tcp *st, int domain, int type, int protocol);
int sluice_tcp_bind(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len);
int sluice_tcp_listen(struct sluice_tcp *st, int fd, int backlog);
int sluice_tcp_accept(struct sluice_tcp *st, int fd, struct sockaddr *addr, socklen_t *len);
int sluice_tcp_connect(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len);
int sluice_tcp_shutdown(struct sluice_tcp *st, int fd, int how);
/* SO_LINGER with 0 seconds resets; with more it does not wait. What was not read by then is thrown
 * away and still acknowledged, see tcp_close in dataplane/tcp/tcp.h. */
int sluice_tcp_close(struct sluice_tcp *st, int fd);

/* flags of these: MSG_DONTWAIT, MSG_NOSIGNAL and, for receiving, MSG_PEEK (into the first buffer
 * only); else EOPNOTSUPP. */
ssize_t sluice_tcp_read(struct sluice_tcp *st, int fd, void *buf, size_t count);
ssize_t sluice_tcp_readv(struct sluice_tcp *st, int fd, const struct iovec *iov, int count);
ssize_t sluice_tcp_recv(struct sluice_tcp *st, int fd, void *buf, size_t len, int flags);
ssize_t sluice_tcp_recvfrom(struct sluice_tcp *st, int fd, void *buf, size_t len, int flags,
                            struct sockaddr *addr, socklen_t *addr_len);
ssize_t sluice_tcp_recvmsg(struct sluice_tcp *st, int fd, struct msghdr *msg, int flags);
ssize_t sluice_tcp_write(struct sluice_tcp *st, int fd, const void *buf, size_t count);
ssize_t sluice_tcp_writev(struct sluice_tcp *st, int fd, const struct iovec *iov, int count);
ssize_t sluice_tcp_send(struct sluice_tcp *st, int fd, const void *buf, size_t len, int flags);
/* With MSG_FASTOPEN connect() and write() in one, without waiting: the bytes are queued, and go
 * with the SYN when the server is known to take them (RFC 7413). Without it the address is ignored.
 */
ssize_t sluice_tcp_sendto(struct sluice_tcp *st, int fd, const void *buf, size_t len, int flags,
                          const struct sockaddr *addr, socklen_t addr_len);
ssize_t sluice_tcp_sendmsg(struct sluice_tcp *st, int fd, const struct msghdr *msg, int flags);

/* F_GETFL and F_SETFL with O_NONBLOCK. */
int sluice_tcp_fcntl(struct sluice_tcp *st, int fd, int cmd, ...);
/* SIOCINQ (FIONREAD) and SIOCOUTQ (TIOCOUTQ). */
int sluice_tcp_ioctl(struct sluice_tcp *st, int fd, unsigned long request, ...);
/* SOL_SOCKET: SO_REUSEADDR, SO_LINGER, SO_KEEPALIVE, SO_ERROR, SO_TYPE, SO_RCVBUF (read),
 * SO_SNDBUF. IPPROTO_TCP: TCP_NODELAY (always on: clearing it fails), TCP_MAXSEG, TCP_INFO (read),
 * TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_CONGESTION, TCP_FASTOPEN, TCP_USER_TIMEOUT,
 * TCP_QUICKACK. What the stack has for all connections alike (SO_KEEPALIVE and all of TCP but
 * TCP_NODELAY and TCP_QUICKACK) changes for all of them. Others: ENOPROTOOPT. */
int sluice_tcp_getsockopt(struct sluice_tcp *st, int fd, int level, int name, void *value,
                          socklen_t *len);
int sluice_tcp_setsockopt(struct sluice_tcp *st, int fd, int level, int name, const void *value,
                          socklen_t len);
int sluice_tcp_poll(struct sluice_tcp *st, struct pollfd *fds, nfds_t count, int timeout_ms);

/* An IP packet, without Ethernet header, arrives now. 0, or -1 with EMSGSIZE or ENOBUFS. */
int sluice_tcp_netdev_send(struct sluice_tcp *st, const void *packet, size_t len);
/* The next IP packet that the stack sent; lets time pass until there is one, up to block_ms.
 * *count: room in, length out, 0 when none came. *time_us: when it was sent. */
int sluice_tcp_netdev_receive(struct sluice_tcp *st, void *packet, size_t *count,
                              long long *time_us);
/* The same with the Ethernet header (the peer's address is 02:00:00:00:00:09, ours
 * 02:00:00:00:00:01), for VLAN tags, ARP and the like. Never lets time pass: *count is 0 when
 * nothing was sent until now. */
int sluice_tcp_frame_send(struct sluice_tcp *st, const void *frame, size_t len);
int sluice_tcp_frame_receive(struct sluice_tcp *st, void *frame, size_t *count, int64_t *time_ns);

/* Lets time pass; timers run at their own times in between. */
int sluice_tcp_usleep(struct sluice_tcp *st, useconds_t us);
int sluice_tcp_gettimeofday(struct sluice_tcp *st, struct timeval *tv, struct timezone *tz);
int64_t sluice_tcp_now_ns(struct sluice_tcp *st);
/* Lets time pass until then or until something was sent, whichever is first. 1: there is a frame.
 */
int sluice_tcp_run_until(struct sluice_tcp *st, int64_t until_ns);

/* What the stack knows about a connection, also after close() until the descriptor is used again.
 * name: "state" (enum tcp_state), or another name of state_fields in state.c. 0, or -1 with EBADF
 * or EINVAL. */
int sluice_tcp_state(struct sluice_tcp *st, int fd, const char *name, int64_t *value);
/* The i-th name for sluice_tcp_state; NULL behind the last. */
const char *sluice_tcp_state_name(unsigned i);
/* A counter of lib/counters.def. 0, or -1 with EINVAL. */
int sluice_tcp_counter(struct sluice_tcp *st, const char *name, int64_t *value);

/* For packetdrill --so_filename: a table of functions with these signatures in this order, which
 * the loader passes to be filled in. The order is the ABI. */
struct packetdrill_interface {
	struct sluice_tcp *userdata;
	void (*free)(struct sluice_tcp *);
	int (*socket)(struct sluice_tcp *, int, int, int);
	int (*bind)(struct sluice_tcp *, int, const struct sockaddr *, socklen_t);
	int (*listen)(struct sluice_tcp *, int, int);
	int (*accept)(struct sluice_tcp *, int, struct sockaddr *, socklen_t *);
	int (*connect)(struct sluice_tcp *, int, const struct sockaddr *, socklen_t);
	ssize_t (*read)(struct sluice_tcp *, int, void *, size_t);
	ssize_t (*readv)(struct sluice_tcp *, int, const struct iovec *, int);
	ssize_t (*recv)(struct sluice_tcp *, int, void *, size_t, int);
	ssize_t (*recvfrom)(struct sluice_tcp *, int, void *, size_t, int, struct sockaddr *,
	                    socklen_t *);
	ssize_t (*recvmsg)(struct sluice_tcp *, int, struct msghdr *, int);
	ssize_t (*write)(struct sluice_tcp *, int, const void *, size_t);
	ssize_t (*writev)(struct sluice_tcp *, int, const struct iovec *, int);
	ssize_t (*send)(struct sluice_tcp *, int, const void *, size_t, int);
	ssize_t (*sendto)(struct sluice_tcp *, int, const void *, size_t, int,
	                  const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(struct sluice_tcp *, int, const struct msghdr *, int);
	int (*fcntl)(struct sluice_tcp *, int, int, ...);
	int (*ioctl)(struct sluice_tcp *, int, unsigned long, ...);
	int (*close)(struct sluice_tcp *, int);
	int (*shutdown)(struct sluice_tcp *, int, int);
	int (*getsockopt)(struct sluice_tcp *, int, int, int, void *, socklen_t *);
	int (*setsockopt)(struct sluice_tcp *, int, int, int, const void *, socklen_t);
	int (*poll)(struct sluice_tcp *, struct pollfd *, nfds_t, int);
	int (*netdev_send)(struct sluice_tcp *, const void *, size_t);
	int (*netdev_receive)(struct sluice_tcp *, void *, size_t *, long long *);
	int (*usleep)(struct sluice_tcp *, useconds_t);
	int (*gettimeofday)(struct sluice_tcp *, struct timeval *, struct timezone *);
	/* ENOSYS */
	int (*epoll_create)(struct sluice_tcp *, int);
	int (*epoll_ctl)(struct sluice_tcp *, int, int, int, struct epoll_event *);
	int (*epoll_wait)(struct sluice_tcp *, int, struct epoll_event *, int, int);
	int (*pipe)(struct sluice_tcp *, int[2]);
	int (*splice)(struct sluice_tcp *, int, loff_t *, int, loff_t *, size_t, unsigned);
};

/* flags as for sluice_tcp_create, with clock_step_us=1 in front. Prints why and ends the process
 * when they are wrong, since the caller has no way to hear of it. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface);

#endif
