/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What transport_socket.c (opening, and what the engine asks for) and socket_round.c (a round and
 * its completions) share. Nobody else includes it. */
#ifndef PERF_LOAD_SOCKET_PRIVATE_H
#define PERF_LOAD_SOCKET_PRIVATE_H

#include "lib/timerwheel.h"
#include "perf/load/address.h"
#include "perf/load/transport.h"

#include <liburing.h>

#define BUF_GROUP 0u
#define BUF_BYTES 16384u

/* In the low bits of a completion's user data; links are aligned. */
enum op { OP_NONE, OP_CONNECT, OP_RECV, OP_SEND };
#define OP_MASK 7ull

enum link_state {
	LINK_FREE,
	LINK_CONNECTING,
	LINK_OPEN,
	LINK_LEAVING, /* shut: until the server's FIN, or ours after a while */
	LINK_DYING    /* until its operations have ended */
};

struct out {
	char *bytes;
	uint32_t len;
	uint32_t size;
};

struct link {
	struct link *next; /* of the free ones, or of those with something to flush */
	void *owner;
	struct out out[2];  /* one fills while the kernel reads the other */
	struct timer timer; /* handshake, or how long to wait for a FIN */
	int fd;
	uint32_t sent; /* of the bytes under way */
	uint8_t state;
	uint8_t filling;
	bool connecting; /* operations under way */
	bool receiving;
	bool sending;
	bool dirty;
	bool wants_room;
	bool reset; /* a send found the connection reset */
} ALIGNED(CACHE_LINE);

struct socket_transport {
	struct transport base;
	struct transport_sink sink;
	struct io_uring ring;
	struct io_uring_buf_ring *bufs;
	size_t bufs_bytes;
	uint32_t buf_count;
	char *buf_memory;
	struct link *links;
	uint32_t link_count;
	struct link *free_links;
	struct link *dirty; /* first in, first out */
	struct link **dirty_end;
	struct timerwheel wheel;
	uint64_t now_ns;
	uint64_t timeout_ns;
	uint64_t idle_ns; /* CPU time of rounds that found nothing to do */
	struct address server;
	struct address_range local;
	uint32_t next_local;
	bool more; /* completions are left that need no system call */
	struct transport_stats stats;
};

static inline struct socket_transport *self(struct transport *t)
{
	return container_of(t, struct socket_transport, base);
}

static inline struct io_uring_sqe *sqe_get(struct socket_transport *t)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);

	while (sqe == NULL) {
		io_uring_submit(&t->ring);
		sqe = io_uring_get_sqe(&t->ring);
	}
	return sqe;
}

static inline void sqe_tag(struct io_uring_sqe *sqe, struct link *l, enum op op)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)l | op);
}

/* Nobody asks how it ended. */
static inline void sqe_untagged(struct io_uring_sqe *sqe)
{
	io_uring_sqe_set_data64(sqe, OP_NONE);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static inline void buf_add(struct socket_transport *t, uint32_t id)
{
	io_uring_buf_ring_add(t->bufs, t->buf_memory + (size_t)id * BUF_BYTES, BUF_BYTES,
	                      (unsigned short)id, io_uring_buf_ring_mask(t->buf_count), 0);
	io_uring_buf_ring_advance(t->bufs, 1);
}

/* There is something for the next round to send. */
void socket_mark_dirty(struct socket_transport *t, struct link *l);
/* Ends what is under way; the link is free again once the kernel has said so. */
void socket_link_cancel(struct socket_transport *t, struct link *l);
void socket_note_error(struct socket_transport *t, int error);
uint32_t socket_poll(struct transport *base, uint64_t wait_until_ns);

#endif
