/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection to an origin, and the lists that hold it; shared by the files of this folder only.
 * pool.c decides who gets a connection, conn.c opens, arms and closes it, http1_client.c speaks
 * HTTP/1.1 over it. A connection is freed when none of its operations is under way. */
#ifndef CONTROL_UPSTREAM_CONN_H
#define CONTROL_UPSTREAM_CONN_H

#include "control/upstream/pool.h"

#include <netinet/in.h>

#define CLIENT_PIECES 8u                      /* body pieces in one send */
#define CLIENT_IOV    (2 + CLIENT_PIECES * 3) /* head, pieces with frames, last chunk */

struct address {
	struct upstream *up;
	char *text; /* "host:port" of the configuration */
	struct sockaddr_storage sa;
	socklen_t sa_len;
	uint32_t open;
	uint32_t busy; /* of these, with a request or connecting */
	uint32_t idle_count;
	struct conn *idle;      /* warmest first */
	uint64_t down_until_ns; /* refused lately: others first */
	uint64_t requests;
	uint64_t reused;
	uint64_t connects;
	uint64_t connect_errors;
	uint64_t timeouts;
	uint64_t retries;
	uint64_t errors;
	uint64_t bytes_in;
	uint64_t bytes_out;
};

struct upstream {
	struct upstreams *all;
	struct upstream *next;
	uint32_t refs; /* the list, configurations, connections, exchanges */
	bool listed;
	bool serving;               /* its queue is being worked off */
	struct config_upstream cfg; /* own copies of its texts; addresses are in addrs */
	struct address *addrs;
	uint32_t addr_count;
	uint32_t turn;
	struct exchange *queue;
	struct exchange **queue_end;
	uint32_t waiting;
};

struct upstreams {
	struct control *ctl;
	struct upstream *list;
	uint32_t conns;    /* objects alive, those that close too */
	uint32_t bursting; /* those that may receive many blocks at once */
	struct conn *all;  /* every connection */
	struct conn *dry;  /* wait for buffers */
	struct conn **dry_end;
	bool dropping;
	void (*quiet)(void *arg);
	void *quiet_arg;
};

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_IDLE, CONN_CLOSING };
enum recv_mode { RECV_OFF, RECV_SINGLE, RECV_MULTI };
enum client_phase { CLIENT_HEAD, CLIENT_LENGTH, CLIENT_CHUNKED, CLIENT_CLOSE, CLIENT_DONE };

struct client {
	/* Sending */
	struct request_bytes *request;
	struct body_piece *inflight; /* lie in iov; given back when the send is over */
	struct msghdr msg;
	struct iovec iov[CLIENT_IOV];
	uint64_t sent; /* bytes of this request */
	bool head_out; /* the head was put into a send */
	bool end_out;  /* and the end of the body */
	/* Receiving */
	enum client_phase phase;
	char *head; /* a head that came in pieces */
	uint32_t head_len;
	uint32_t head_limit; /* bytes behind head */
	uint32_t interim;
	uint64_t left; /* CLIENT_LENGTH */
	struct http_chunked chunked;
	bool send_broken; /* the origin reads no more */
	bool got_bytes;
	bool reusable;
};

struct conn {
	struct address *addr;
	struct conn *next; /* of all */
	struct conn **prev_next;
	struct conn *idle_next;
	struct conn **idle_prev; /* NULL when not idle */
	struct conn *dry_next;
	bool dry;
	int fd;
	enum conn_state state;
	struct loop_op connect_op;
	struct loop_op recv_op;
	struct loop_op send_op;
	struct loop_timer timer; /* connecting: its limit; idle: its end */
	struct exchange *x;
	uint64_t born_ns;
	uint32_t holds; /* callbacks that run; freed after the last */
	bool reused;
	bool recv_cancelling;
	bool receiving;     /* counted by link_receiving */
	bool bursts;        /* counted in upstreams.bursting */
	bool stream;        /* this response is longer than one receive */
	uint32_t short_run; /* responses in a row that were not */
	enum recv_mode armed;
	struct client client;
};

/* conn.c */
enum status conn_open(struct address *a, struct exchange *x);
void conn_close(struct conn *c);
void conn_hold(struct conn *c);
void conn_drop(struct conn *c);
/* Brings the receive operation in line with what is wanted now. */
void conn_recv_update(struct conn *c);
/* http1_client.c */
void client_start(struct conn *c);
void client_push(struct conn *c); /* sends what can be sent */
void client_sent(struct conn *c, int result);
void client_bytes(struct conn *c, uint32_t block, struct span bytes);
void client_eof(struct conn *c);
void client_fail(struct conn *c, enum exchange_fail why);
void client_reset(struct conn *c);
/* pool.c */
void pool_idle(struct conn *c);
void pool_unidle(struct conn *c);
void pool_serve(struct upstream *up);
void pool_connect_failed(struct exchange *x, struct address *a, bool timed_out);
void pool_retry(struct exchange *x);
void exchange_touch(struct exchange *x);
void exchange_drop_pieces(struct exchange *x);
void exchange_ended(struct exchange *x);
void exchange_failed(struct exchange *x, enum exchange_fail why);

#endif
