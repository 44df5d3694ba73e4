/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A reactor over one io_uring, one a thread: operations with a callback, timers, and a poll hook
 * for rings in shared memory. The only file besides doorbell.c that includes liburing.
 * Single-threaded.
 *
 * The caller embeds struct loop_op where the operation's state lives, and may reuse it as soon as
 * its callback runs (for a multishot operation: with more == false). An op that is under way must
 * not be freed: cancel it and wait for its callback (result -ECANCELED). Results are as in the
 * system calls: a count or descriptor, or a negative errno.
 *
 * The thread that creates a loop is the one that runs it. Sockets stay in blocking mode: with
 * O_NONBLOCK the kernel answers -EAGAIN instead of waiting. */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include "lib/base.h"
#include "lib/status.h"
#include "lib/timerwheel.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct loop;
struct loop_op;

typedef void (*loop_fn)(struct loop_op *op, int result);

struct loop_op {
	loop_fn fn;
	void *arg;
	uint32_t buf_id; /* loop_recv_multishot: the provided buffer that holds the bytes */
	uint16_t group;  /* of provided buffers; set by the loop */
	bool has_buf;    /* buf_id is valid */
	bool more;       /* a multishot operation goes on */
	bool active;     /* under way; set by the loop */
};

struct loop_config {
	uint32_t entries; /* submission queue, a power of two: 1024 */
	uint32_t spin_us; /* polls that long before it sleeps */
};

enum status loop_create(struct loop **out, const struct loop_config *cfg);
void loop_destroy(struct loop *l);
/* Runs until loop_stop. */
enum status loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One round: submit, poll hook, completions, timers; waits at most wait_ns. For tests and nested
 * use. */
void loop_once(struct loop *l, uint64_t wait_ns);
/* CLOCK_MONOTONIC as of this round. */
uint64_t loop_now_ns(const struct loop *l);

/* Timers: fn runs at or after the deadline, 1 ms resolution. Zero-initialise; may be set again. */
struct loop_timer {
	struct timer timer;
	void (*fn)(struct loop_timer *t);
	void *arg;
};
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* Tasks: fn runs once, before this round's submissions go out. So what many callers of a round add
 * to can leave as one operation. Zero-initialise; twice before it ran is once. A task that is
 * queued must not be freed. */
struct loop_task {
	void (*fn)(struct loop_task *t);
	void *arg;
	struct loop_task *next;
	bool queued;
};
void loop_defer(struct loop *l, struct loop_task *t);

/* Called every round; returns how much it did (0: idle). prepare_sleep is called before the loop
 * sleeps: false means there is work after all. awake is called after. */
struct loop_hook {
	uint32_t (*poll)(void *arg);
	bool (*prepare_sleep)(void *arg);
	void (*awake)(void *arg);
	void *arg;
};
void loop_set_hook(struct loop *l, const struct loop_hook *hook);

/* Operations. They queue a submission that goes out at the end of the round; buffers must live
 * until the callback. */
void loop_accept(struct loop *l, struct loop_op *op, int fd); /* multishot */
void loop_poll(struct loop *l, struct loop_op *op, int fd, unsigned mask, bool multishot);
void loop_connect(struct loop *l, struct loop_op *op, int fd, const struct sockaddr *addr,
                  socklen_t len);
void loop_recv(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len);
void loop_send(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len);
void loop_sendmsg(struct loop *l, struct loop_op *op, int fd, const struct msghdr *msg);
void loop_close(struct loop *l, int fd); /* no callback */
void loop_cancel(struct loop *l, struct loop_op *op);

/* Provided buffers (IORING_REGISTER_PBUF_RING) in memory of the caller, e.g. a slab. entries: a
 * power of two. The caller puts blocks in with loop_bufs_add; the kernel takes them in that order.
 */
struct loop_bufs;
enum status loop_bufs_create(struct loop *l, uint16_t group, uint32_t entries,
                             struct loop_bufs **out);
void loop_bufs_destroy(struct loop *l, struct loop_bufs *b);
void loop_bufs_add(struct loop_bufs *b, void *addr, uint32_t len, uint16_t buf_id);
/* Buffers that the kernel still has. */
uint32_t loop_bufs_ready(const struct loop_bufs *b);
/* Multishot receive into the group's buffers; -ENOBUFS ends it when the group ran dry. */
void loop_recv_multishot(struct loop *l, struct loop_op *op, int fd, uint16_t group);
/* One receive into one buffer of the group: for streams whose reader must be able to stop at any
 * buffer. */
void loop_recv_select(struct loop *l, struct loop_op *op, int fd, uint16_t group);

#endif
