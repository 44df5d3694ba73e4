/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of libsluice_tcp share. Private to this folder. It does not include
 * dataplane/tcp/tcp.h, whose names are also those of <netinet/tcp.h>. */
#ifndef TESTS_PACKETS_STACK_H
#define TESTS_PACKETS_STACK_H

#include <pthread.h>

#include "dataplane/net/net.h"
#include "dataplane/nic.h"
#include "lib/span.h"
#include "tests/packets/sluice_tcp.h"

enum {
	STACK_FIRST_FD = 3,
	STACK_FDS = 1024,
	STACK_ADDRS = 8,
};

struct conn;
struct tcp;

/* A frame that the stack sent. */
struct frame {
	struct frame *next;
	uint64_t at_ns;
	uint32_t len;
	uint8_t data[];
};

struct tuple {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t lport; /* host order; 0: none */
	uint16_t rport;
};

struct sock {
	struct conn *conn; /* NULL: not yet, or gone */
	struct tuple tuple;
	struct sock *queue; /* connections that wait for accept, oldest first */
	struct sock *next;  /* in that queue */
	int domain;
	int error; /* for SO_ERROR */
	uint32_t backlog;
	uint32_t sndbuf;
	int linger_s; /* -1: off */
	bool nonblock;
	bool listening;
	bool connecting;
	bool connected; /* was, at some time */
	bool eof;
	bool shut_read;
	bool shut_write;
	bool reuse;
};

struct stack_config {
	struct ip_addr local[STACK_ADDRS];
	uint32_t local_count;
	uint32_t mtu;
	uint32_t offload;
	uint32_t large_buffers; /* above 0: the port cuts segments */
	uint32_t start_ms;
	uint32_t start_us;
	uint32_t seed;
	uint32_t nonblock;
	uint32_t clock_step_us;
	uint32_t block_ms;
	uint32_t sndbuf;
};

struct sluice_tcp {
	struct stack_config cfg;
	uint64_t now_ns;
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	uint64_t rst_seen;
	struct frame *out; /* sent, oldest first */
	struct frame **out_end;
	struct sock *fds[STACK_FDS];
	struct tuple last[STACK_FDS]; /* of each descriptor, also after close */
	uint16_t next_port;
	bool keepalive;
	pthread_mutex_t mutex;
	pthread_cond_t moved; /* something happened */
	pthread_t driver;     /* whose calls let time pass */
};

/* stack.c; the mutex is held, as in all that follow */
/* Lets the stack do what is to be done now. */
void stack_run(struct sluice_tcp *st);
/* To the next timer or to until_ns, whichever is first; false when it is the latter. */
bool stack_step(struct sluice_tcp *st, uint64_t until_ns);
/* One step of a call that blocks; false when it shall give up. */
bool stack_block(struct sluice_tcp *st, uint64_t until_ns);
uint64_t stack_block_end(const struct sluice_tcp *st);
/* Answers for this address too; false when there are too many. */
bool stack_add_addr(struct sluice_tcp *st, const struct ip_addr *addr);
void stack_enter(struct sluice_tcp *st);
void stack_leave(struct sluice_tcp *st);

/* sock.c */
struct sock *sock_get(struct sluice_tcp *st, int fd); /* NULL with EBADF */
/* News of a connection, between tcp_ready and tcp_ready_done. */
void sock_event(struct sluice_tcp *st, struct conn *conn, uint32_t events);
/* Whom to connect to, and what may go with the SYN. */
struct sock_peer {
	const struct sockaddr *addr;
	socklen_t len;
	struct span data;
};
/* Sends the SYN; false with errno. */
bool sock_connect_start(struct sluice_tcp *st, int fd, const struct sock_peer *peer);
void sock_free_all(struct sluice_tcp *st);
void sock_addr_put(const struct sock *s, struct sockaddr *addr, socklen_t *len);
/* Room to write and data to read, as poll says it. */
short sock_poll_events(struct sluice_tcp *st, const struct sock *s);
uint32_t sock_readable_bytes(const struct sock *s);
uint32_t sock_queued_bytes(const struct sock *s);

/* state.c */
/* The fields of struct tcp_config, from flags; false when there is none of this name or it is out
 * of range. */
struct tcp_config;
bool config_set(struct tcp_config *cfg, const char *name, uint32_t value);
/* The socket's connection, for TCP_INFO; 0 when it is gone. */
int64_t state_read(struct sluice_tcp *st, const struct tuple *t, const char *name);
/* A setting that all connections share, by its name in struct tcp_config. */
void state_config_set(struct sluice_tcp *st, const char *name, uint32_t value);
uint32_t state_config_get(struct sluice_tcp *st, const char *name);
void state_keepalive(struct sluice_tcp *st, bool on);

#endif
