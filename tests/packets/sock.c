/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets: making, naming, connecting and closing them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/conn.h"
#include "tests/packets/stack.h"

struct sock *sock_get(struct sluice_tcp *st, int fd)
{
	struct sock *s = fd >= 0 && fd < STACK_FDS ? st->fds[fd] : NULL;

	if (s == NULL)
		errno = EBADF;
	return s;
}

static struct sock *sock_new(struct sluice_tcp *st, int domain)
{
	struct sock *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->domain = domain;
	s->sndbuf = st->cfg.sndbuf;
	s->linger_s = -1;
	s->nonblock = st->cfg.nonblock;
	return s;
}

static int fd_take(struct sluice_tcp *st, struct sock *s)
{
	for (int fd = STACK_FIRST_FD; fd < STACK_FDS; fd++) {
		if (st->fds[fd] != NULL)
			continue;
		st->fds[fd] = s;
		st->last[fd] = s->tuple;
		return fd;
	}
	errno = EMFILE;
	return -1;
}

static bool addr_get(const struct sockaddr *addr, socklen_t len, struct ip_addr *ip, uint16_t *port)
{
	static const struct ip_addr mapped = {{[10] = 0xff, [11] = 0xff}};
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct sockaddr_in6 *v6 = (const void *)addr;

	if (len >= sizeof(*v4) && addr->sa_family == AF_INET) {
		*ip = mapped;
		memcpy(&ip->b[12], &v4->sin_addr, 4);
		*port = ntohs(v4->sin_port);
		/* The wildcard is all-zero in either form. */
		if (v4->sin_addr.s_addr == 0)
			*ip = (struct ip_addr){{0}};
		return true;
	}
	if (len >= sizeof(*v6) && addr->sa_family == AF_INET6) {
		memcpy(ip->b, &v6->sin6_addr, 16);
		*port = ntohs(v6->sin6_port);
		return true;
	}
	errno = EAFNOSUPPORT;
	return false;
}

static bool addr_is_any(const struct ip_addr *a)
{
	static const struct ip_addr any;

	return ip_addr_eq(a, &any);
}

void sock_addr_put(const struct sock *s, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(s->tuple.rport)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(s->tuple.rport)};

	if (addr == NULL || len == NULL)
		return;
	memcpy(&v4.sin_addr, &s->tuple.remote.b[12], 4);
	memcpy(&v6.sin6_addr, s->tuple.remote.b, 16);
	if (s->domain == AF_INET) {
		memcpy(addr, &v4, *len < sizeof(v4) ? *len : sizeof(v4));
		*len = sizeof(v4);
	} else {
		memcpy(addr, &v6, *len < sizeof(v6) ? *len : sizeof(v6));
		*len = sizeof(v6);
	}
}

static int make(struct sluice_tcp *st, int domain, int type, int protocol)
{
	struct sock *s;
	int fd;

	if (domain != AF_INET && domain != AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
	    (protocol != 0 && protocol != IPPROTO_TCP)) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	s = sock_new(st, domain);
	if (s == NULL)
		return -1;
	if (type & SOCK_NONBLOCK)
		s->nonblock = true;
	fd = fd_take(st, s);
	if (fd < 0)
		free(s);
	return fd;
}

int sluice_tcp_socket(struct sluice_tcp *st, int domain, int type, int protocol)
{
	int fd;

	stack_enter(st);
	fd = make(st, domain, type, protocol);
	stack_leave(st);
	return fd;
}

static bool port_used(const struct sluice_tcp *st, uint16_t port)
{
	for (int fd = STACK_FIRST_FD; fd < STACK_FDS; fd++) {
		const struct sock *s = st->fds[fd];

		if (s != NULL && !s->reuse && s->tuple.lport == port)
			return true;
	}
	return false;
}

static int bind_to(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sock *s = sock_get(st, fd);
	struct ip_addr ip;
	uint16_t port;

	if (s == NULL || !addr_get(addr, len, &ip, &port))
		return -1;
	if (s->tuple.lport != 0) {
		errno = EINVAL;
		return -1;
	}
	if (port != 0 && !s->reuse && port_used(st, port)) {
		errno = EADDRINUSE;
		return -1;
	}
	if (!addr_is_any(&ip) && !stack_add_addr(st, &ip)) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	s->tuple.local = ip;
	s->tuple.lport = port ? port : st->next_port++;
	return 0;
}

int sluice_tcp_bind(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len)
{
	int r;

	stack_enter(st);
	r = bind_to(st, fd, addr, len);
	stack_leave(st);
	return r;
}

static int listen_on(struct sluice_tcp *st, int fd, int backlog)
{
	struct sock *s = sock_get(st, fd);

	if (s == NULL)
		return -1;
	if (s->connected || s->connecting) {
		errno = EINVAL;
		return -1;
	}
	if (s->tuple.lport == 0)
		s->tuple.lport = st->next_port++;
	s->backlog = backlog < 1 ? 1 : (uint32_t)backlog;
	if (s->listening)
		return 0;
	if (tcp_listen(st->tcp, &s->tuple.local, s->tuple.lport) != ST_OK) {
		errno = EADDRINUSE;
		return -1;
	}
	s->listening = true;
	st->last[fd] = s->tuple;
	return 0;
}

int sluice_tcp_listen(struct sluice_tcp *st, int fd, int backlog)
{
	int r;

	stack_enter(st);
	r = listen_on(st, fd, backlog);
	stack_leave(st);
	return r;
}

static struct sock *listener_of(struct sluice_tcp *st, const struct tuple *t)
{
	for (int fd = STACK_FIRST_FD; fd < STACK_FDS; fd++) {
		struct sock *s = st->fds[fd];

		if (s != NULL && s->listening && s->tuple.lport == t->lport &&
		    (addr_is_any(&s->tuple.local) || ip_addr_eq(&s->tuple.local, &t->local)))
			return s;
	}
	return NULL;
}

static struct tuple tuple_of(const struct conn *conn)
{
	struct tcp_info info;

	tcp_conn_info(conn, &info);
	return (struct tuple){info.local, info.remote, info.local_port, info.remote_port};
}

/* A connection that a peer opened: into the queue of its listener, or away. */
static struct sock *adopt(struct sluice_tcp *st, struct conn *conn)
{
	struct tuple t = tuple_of(conn);
	struct sock *l = listener_of(st, &t);
	struct sock **end;
	struct sock *s;
	uint32_t waiting = 0;

	if (l == NULL)
		return NULL;
	for (end = &l->queue; *end != NULL; end = &(*end)->next)
		waiting++;
	if (waiting >= l->backlog)
		return NULL;
	s = sock_new(st, l->domain);
	if (s == NULL)
		return NULL;
	s->nonblock = l->nonblock;
	s->sndbuf = l->sndbuf;
	s->linger_s = l->linger_s;
	s->tuple = t;
	s->conn = conn;
	s->connected = true;
	*end = s;
	tcp_set_owner(conn, s);
	return s;
}

static int why_closed(struct sluice_tcp *st, const struct sock *s, const struct conn *conn)
{
	uint64_t resets = st->ctr.v[CTR_tcp_rst_in];

	if (resets != st->rst_seen) {
		st->rst_seen = resets;
		return s->connected ? ECONNRESET : ECONNREFUSED;
	}
	if (conn->flags & CF_FINISHED || (s->eof && s->shut_write))
		return 0;
	return ETIMEDOUT;
}

void sock_event(struct sluice_tcp *st, struct conn *conn, uint32_t events)
{
	struct sock *s = tcp_owner(conn);

	if (s == NULL && events & TCP_EV_OPEN)
		s = adopt(st, conn);
	if (s == NULL) {
		if (!(events & TCP_EV_CLOSED))
			tcp_abort(st->tcp, conn);
		return;
	}
	if (events & TCP_EV_OPEN) {
		s->connected = true;
		s->connecting = false;
	}
	if (tcp_rx_eof(conn) || events & TCP_EV_EOF)
		s->eof = true;
	if (events & TCP_EV_CLOSED) {
		s->error = why_closed(st, s, conn);
		s->conn = NULL;
		s->connecting = false;
	}
}

static struct sock *queue_pop(struct sock *l)
{
	struct sock *s = l->queue;

	if (s != NULL) {
		l->queue = s->next;
		s->next = NULL;
	}
	return s;
}

static int accept_one(struct sluice_tcp *st, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sock *l = sock_get(st, fd);
	uint64_t until = stack_block_end(st);
	struct sock *s;
	int got;

	if (l == NULL)
		return -1;
	if (!l->listening) {
		errno = EINVAL;
		return -1;
	}
	while (l->queue == NULL) {
		if (l->nonblock || !stack_block(st, until)) {
			errno = EAGAIN;
			return -1;
		}
		l = sock_get(st, fd);
		if (l == NULL)
			return -1;
	}
	got = fd_take(st, l->queue);
	if (got < 0)
		return -1;
	s = queue_pop(l);
	sock_addr_put(s, addr, len);
	return got;
}

int sluice_tcp_accept(struct sluice_tcp *st, int fd, struct sockaddr *addr, socklen_t *len)
{
	int r;

	stack_enter(st);
	r = accept_one(st, fd, addr, len);
	stack_leave(st);
	return r;
}

static bool source_choose(struct sluice_tcp *st, struct sock *s)
{
	if (!addr_is_any(&s->tuple.local))
		return true;
	for (uint32_t i = 0; i < st->cfg.local_count; i++) {
		if (ip_addr_is_v4(&st->cfg.local[i]) != ip_addr_is_v4(&s->tuple.remote))
			continue;
		s->tuple.local = st->cfg.local[i];
		return true;
	}
	return false;
}

/* data: what may go with the SYN (RFC 7413), or nothing. A port that was not bound the stack
 * chooses (RFC 6056). */
static bool connect_begin(struct sluice_tcp *st, int fd, struct sock *s, struct span data)
{
	struct net_path path = {.remote_mac = {2, 0, 0, 0, 0, 9}};
	struct tcp_open open = {
	        .path = &path,
	        .local_port = s->tuple.lport,
	        .remote_port = s->tuple.rport,
	        .data = data.ptr,
	        .len = (uint32_t)data.len,
	};

	if (!source_choose(st, s)) {
		errno = EADDRNOTAVAIL;
		return false;
	}
	path.local = s->tuple.local;
	path.remote = s->tuple.remote;
	s->conn = tcp_connect_fast(st->tcp, &open, st->now_ns);
	if (s->conn == NULL) {
		errno = EADDRINUSE;
		return false;
	}
	s->tuple = tuple_of(s->conn);
	tcp_set_owner(s->conn, s);
	s->connecting = true;
	st->last[fd] = s->tuple;
	stack_run(st);
	return true;
}

bool sock_connect_start(struct sluice_tcp *st, int fd, const struct sock_peer *peer)
{
	struct sock *s = sock_get(st, fd);

	if (s == NULL)
		return false;
	if (s->listening || s->connected || s->connecting) {
		errno = s->connecting ? EALREADY : EISCONN;
		return false;
	}
	if (!addr_get(peer->addr, peer->len, &s->tuple.remote, &s->tuple.rport))
		return false;
	return connect_begin(st, fd, s, peer->data);
}

static int connect_to(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sock_peer peer = {.addr = addr, .len = len};
	uint64_t until = stack_block_end(st);
	struct sock *s;

	if (!sock_connect_start(st, fd, &peer))
		return -1;
	s = sock_get(st, fd);
	while (s->connecting) {
		if (s->nonblock || !stack_block(st, until)) {
			errno = s->nonblock ? EINPROGRESS : EAGAIN;
			return -1;
		}
		s = sock_get(st, fd);
		if (s == NULL)
			return -1;
	}
	if (s->connected && s->error == 0)
		return 0;
	errno = s->error;
	s->error = 0;
	return -1;
}

int sluice_tcp_connect(struct sluice_tcp *st, int fd, const struct sockaddr *addr, socklen_t len)
{
	int r;

	stack_enter(st);
	r = connect_to(st, fd, addr, len);
	stack_leave(st);
	return r;
}

static int shutdown_how(struct sluice_tcp *st, int fd, int how)
{
	struct sock *s = sock_get(st, fd);

	if (s == NULL)
		return -1;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
		errno = EINVAL;
		return -1;
	}
	if (!s->connected || s->conn == NULL) {
		errno = ENOTCONN;
		return -1;
	}
	if (how != SHUT_WR)
		s->shut_read = true;
	if (how == SHUT_RD || s->shut_write)
		return 0;
	s->shut_write = true;
	tcp_shutdown(st->tcp, s->conn);
	tcp_wake(st->tcp, s->conn, 0);
	stack_run(st);
	return 0;
}

int sluice_tcp_shutdown(struct sluice_tcp *st, int fd, int how)
{
	int r;

	stack_enter(st);
	r = shutdown_how(st, fd, how);
	stack_leave(st);
	return r;
}

/* The stack has no call for one listener. */
static void listener_remove(struct sluice_tcp *st, const struct tuple *t)
{
	struct tcp *tcp = st->tcp;

	for (uint32_t i = 0; i < tcp->listener_count; i++) {
		if (tcp->listeners[i].port != t->lport ||
		    !ip_addr_eq(&tcp->listeners[i].addr, &t->local))
			continue;
		tcp->listeners[i] = tcp->listeners[--tcp->listener_count];
		return;
	}
}

static void sock_end(struct sluice_tcp *st, struct sock *s, bool reset)
{
	struct sock *waiting;

	if (s->conn != NULL) {
		tcp_set_owner(s->conn, NULL);
		if (reset || s->linger_s == 0)
			tcp_abort(st->tcp, s->conn);
		else
			tcp_close(st->tcp, s->conn, st->now_ns);
	}
	while ((waiting = queue_pop(s)) != NULL)
		sock_end(st, waiting, true);
	free(s);
}

int sluice_tcp_close(struct sluice_tcp *st, int fd)
{
	struct sock *s;

	stack_enter(st);
	s = sock_get(st, fd);
	if (s != NULL) {
		st->fds[fd] = NULL;
		if (s->listening)
			listener_remove(st, &s->tuple);
		sock_end(st, s, false);
		stack_run(st);
	}
	stack_leave(st);
	return s != NULL ? 0 : -1;
}

void sock_free_all(struct sluice_tcp *st)
{
	for (int fd = 0; fd < STACK_FDS; fd++) {
		struct sock *s = st->fds[fd];
		struct sock *waiting;

		if (s == NULL)
			continue;
		while ((waiting = queue_pop(s)) != NULL)
			free(waiting);
		free(s);
	}
}
