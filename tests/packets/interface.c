/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of functions for packetdrill's shared-object mode. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packets/sluice_tcp.h"

static int no_epoll_create(struct sluice_tcp *st, int size)
{
	(void)st;
	(void)size;
	errno = ENOSYS;
	return -1;
}

static int no_epoll_ctl(struct sluice_tcp *st, int epfd, int op, int fd, struct epoll_event *event)
{
	(void)st;
	(void)epfd;
	(void)op;
	(void)fd;
	(void)event;
	errno = ENOSYS;
	return -1;
}

static int no_epoll_wait(struct sluice_tcp *st, int epfd, struct epoll_event *events, int max,
                         int timeout)
{
	(void)st;
	(void)epfd;
	(void)events;
	(void)max;
	(void)timeout;
	errno = ENOSYS;
	return -1;
}

static int no_pipe(struct sluice_tcp *st, int fds[2])
{
	(void)st;
	(void)fds;
	errno = ENOSYS;
	return -1;
}

static int no_splice(struct sluice_tcp *st, int in, loff_t *in_off, int out, loff_t *out_off,
                     size_t len, unsigned flags)
{
	(void)st;
	(void)in;
	(void)in_off;
	(void)out;
	(void)out_off;
	(void)len;
	(void)flags;
	errno = ENOSYS;
	return -1;
}

static struct sluice_tcp *stack_of(const char *flags)
{
	size_t size = strlen(flags) + 32;
	char *text = malloc(size);
	struct sluice_tcp *st;
	char why[128] = "no memory";

	if (text == NULL)
		return NULL;
	snprintf(text, size, "clock_step_us=1,%s", flags);
	st = sluice_tcp_create(text, why, sizeof(why));
	free(text);
	if (st == NULL)
		fprintf(stderr, "libsluice_tcp: %s\n", why);
	return st;
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface)
{
	*interface = (struct packetdrill_interface){
	        .userdata = stack_of(flags ? flags : ""),
	        .free = sluice_tcp_free,
	        .socket = sluice_tcp_socket,
	        .bind = sluice_tcp_bind,
	        .listen = sluice_tcp_listen,
	        .accept = sluice_tcp_accept,
	        .connect = sluice_tcp_connect,
	        .read = sluice_tcp_read,
	        .readv = sluice_tcp_readv,
	        .recv = sluice_tcp_recv,
	        .recvfrom = sluice_tcp_recvfrom,
	        .recvmsg = sluice_tcp_recvmsg,
	        .write = sluice_tcp_write,
	        .writev = sluice_tcp_writev,
	        .send = sluice_tcp_send,
	        .sendto = sluice_tcp_sendto,
	        .sendmsg = sluice_tcp_sendmsg,
	        .fcntl = sluice_tcp_fcntl,
	        .ioctl = sluice_tcp_ioctl,
	        .close = sluice_tcp_close,
	        .shutdown = sluice_tcp_shutdown,
	        .getsockopt = sluice_tcp_getsockopt,
	        .setsockopt = sluice_tcp_setsockopt,
	        .poll = sluice_tcp_poll,
	        .netdev_send = sluice_tcp_netdev_send,
	        .netdev_receive = sluice_tcp_netdev_receive,
	        .usleep = sluice_tcp_usleep,
	        .gettimeofday = sluice_tcp_gettimeofday,
	        .epoll_create = no_epoll_create,
	        .epoll_ctl = no_epoll_ctl,
	        .epoll_wait = no_epoll_wait,
	        .pipe = no_pipe,
	        .splice = no_splice,
	};
	if (interface->userdata == NULL)
		exit(1);
}
