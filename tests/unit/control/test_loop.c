/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/clock.h"
#include "lib/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_NS (5 * NS_PER_S)
#define BUFS        4u
#define BUF_BYTES   64u

struct seen {
	int calls;
	int last;
	int finals; /* callbacks that ended the operation */
	int total;  /* sum of positive results */
	bool active_at_final;
};

static void note(struct loop_op *op, int result)
{
	struct seen *s = op->arg;

	s->calls++;
	s->last = result;
	if (result > 0)
		s->total += result;
	if (!op->more) {
		s->finals++;
		s->active_at_final |= op->active;
	}
}

static struct loop_op op_for(struct seen *s)
{
	return (struct loop_op){.fn = note, .arg = s};
}

#define RUN_UNTIL(l, cond)                                       \
	do {                                                     \
		uint64_t end_ns = clock_mono_ns() + DEADLINE_NS; \
		while (!(cond) && clock_mono_ns() < end_ns)      \
			loop_once(l, 5 * NS_PER_MS);             \
		assert_true(cond);                               \
	} while (0)

static struct loop *loop_new(void)
{
	struct loop *l = NULL;
	struct loop_config cfg = {.entries = 8, .spin_us = 10};

	assert_int_equal(loop_create(&l, &cfg), ST_OK);
	return l;
}

static void pair_new(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void create_refuses_odd_sizes(void **state)
{
	struct loop *l = NULL;
	struct loop_config cfg = {.entries = 100};

	(void)state;
	assert_int_equal(loop_create(&l, &cfg), ST_INVALID);
}

static void send_and_recv(void **state)
{
	struct loop *l = loop_new();
	struct seen s = {0};
	struct seen r = {0};
	struct loop_op sop = op_for(&s);
	struct loop_op rop = op_for(&r);
	char buf[16] = {0};
	int fd[2];

	(void)state;
	pair_new(fd);
	loop_recv(l, &rop, fd[1], buf, sizeof(buf));
	loop_send(l, &sop, fd[0], "hello", 5);
	assert_true(rop.active && sop.active);
	RUN_UNTIL(l, r.calls == 1 && s.calls == 1);
	assert_int_equal(r.last, 5);
	assert_memory_equal(buf, "hello", 5);
	assert_false(rop.active);
	close(fd[0]);
	loop_recv(l, &rop, fd[1], buf, sizeof(buf));
	RUN_UNTIL(l, r.calls == 2);
	assert_int_equal(r.last, 0);
	loop_send(l, &sop, fd[1], "x", 1);
	RUN_UNTIL(l, s.calls == 2);
	assert_int_equal(s.last, -EPIPE);
	close(fd[1]);
	loop_destroy(l);
}

static void sendmsg_gathers(void **state)
{
	struct loop *l = loop_new();
	struct seen s = {0};
	struct loop_op op = op_for(&s);
	struct iovec iov[2] = {{(void *)"ab", 2}, {(void *)"cde", 3}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	char buf[8];
	int fd[2];

	(void)state;
	pair_new(fd);
	loop_sendmsg(l, &op, fd[0], &msg);
	RUN_UNTIL(l, s.calls == 1);
	assert_int_equal(s.last, 5);
	assert_int_equal(read(fd[1], buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "abcde", 5);
	loop_close(l, fd[0]);
	RUN_UNTIL(l, recv(fd[1], buf, 1, MSG_DONTWAIT) == 0);
	close(fd[1]);
	loop_destroy(l);
}

static int listen_loopback(struct sockaddr_in *sa)
{
	socklen_t len = sizeof(*sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	*sa = (struct sockaddr_in){.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)sa, sizeof(*sa)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sa, &len), 0);
	return fd;
}

static void accept_is_multishot(void **state)
{
	struct loop *l = loop_new();
	struct seen a = {0};
	struct seen c = {0};
	struct loop_op aop = op_for(&a);
	struct sockaddr_in sa;
	int listener = listen_loopback(&sa);

	(void)state;
	loop_accept(l, &aop, listener);
	for (int i = 0; i < 3; i++) {
		struct loop_op cop = op_for(&c);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		loop_connect(l, &cop, fd, (struct sockaddr *)&sa, sizeof(sa));
		RUN_UNTIL(l, c.calls == i + 1 && a.calls == i + 1);
		assert_int_equal(c.last, 0);
		assert_true(a.last >= 0);
		assert_true(aop.more && aop.active);
		close(a.last);
		close(fd);
	}
	loop_cancel(l, &aop);
	RUN_UNTIL(l, a.finals == 1);
	assert_int_equal(a.last, -ECANCELED);
	assert_false(aop.active);
	close(listener);
	loop_destroy(l);
}

static void connect_refused(void **state)
{
	struct loop *l = loop_new();
	struct seen c = {0};
	struct loop_op cop = op_for(&c);
	struct sockaddr_in sa;
	int listener = listen_loopback(&sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	close(listener);
	loop_connect(l, &cop, fd, (struct sockaddr *)&sa, sizeof(sa));
	RUN_UNTIL(l, c.calls == 1);
	assert_int_equal(c.last, -ECONNREFUSED);
	close(fd);
	loop_destroy(l);
}

static void poll_multishot_and_once(void **state)
{
	struct loop *l = loop_new();
	struct seen m = {0};
	struct seen o = {0};
	struct loop_op mop = op_for(&m);
	struct loop_op oop = op_for(&o);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t v;

	(void)state;
	loop_poll(l, &mop, fd, POLLIN, true);
	loop_poll(l, &oop, fd, POLLIN, false);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(eventfd_write(fd, 1), 0);
		RUN_UNTIL(l, m.calls >= i);
		assert_int_equal(read(fd, &v, sizeof(v)), sizeof(v));
	}
	RUN_UNTIL(l, o.calls == 1);
	assert_int_equal(o.finals, 1);
	assert_int_equal(m.finals, 0);
	loop_cancel(l, &mop);
	RUN_UNTIL(l, m.finals == 1);
	close(fd);
	loop_destroy(l);
}

/* The op is used again in the very callback that ends it, with a stale cancel still queued before.
 */
struct reuse {
	struct loop *l;
	int fd;
	char buf[8];
	int calls;
	int results[4];
};

static void reuse_cb(struct loop_op *op, int result)
{
	struct reuse *u = op->arg;

	assert_false(op->active);
	if (u->calls < 4)
		u->results[u->calls] = result;
	if (++u->calls == 1)
		loop_recv(u->l, op, u->fd, u->buf, sizeof(u->buf));
}

static void cancel_spares_the_next_use(void **state)
{
	struct loop *l = loop_new();
	struct reuse u = {.l = l};
	struct loop_op op = {.fn = reuse_cb, .arg = &u};
	int fd[2];

	(void)state;
	pair_new(fd);
	u.fd = fd[1];
	loop_recv(l, &op, fd[1], u.buf, sizeof(u.buf));
	loop_once(l, 0);
	/* Complete it, and queue a cancel before the completion was seen. */
	assert_int_equal(write(fd[0], "a", 1), 1);
	loop_cancel(l, &op);
	/* The cancel or the byte may win; the second receive must see neither's cancel. */
	RUN_UNTIL(l, u.calls >= 1);
	assert_int_equal(write(fd[0], "bc", 2), 2);
	RUN_UNTIL(l, u.calls == 2);
	assert_true(u.results[0] == 1 || u.results[0] == -ECANCELED);
	assert_true(u.results[1] >= 1);
	loop_cancel(l, &op); /* of an op that is idle: nothing happens */
	for (int i = 0; i < 5; i++)
		loop_once(l, 0);
	assert_int_equal(u.calls, 2);
	close(fd[0]);
	close(fd[1]);
	loop_destroy(l);
}

struct feed {
	struct seen seen;
	char got[1024];
	size_t len;
	unsigned char *mem;
	uint16_t ids[64];
	int id_count;
};

static void feed_cb(struct loop_op *op, int result)
{
	struct feed *f = op->arg;

	if (op->has_buf && result > 0) {
		memcpy(f->got + f->len, f->mem + op->buf_id * BUF_BYTES, (size_t)result);
		f->len += (size_t)result;
		f->ids[f->id_count++] = (uint16_t)op->buf_id;
	}
	f->seen.calls++;
	f->seen.last = result;
	f->seen.finals += !op->more;
}

static void recv_multishot_until_dry(void **state)
{
	struct loop *l = loop_new();
	struct loop_bufs *b = NULL;
	struct feed f = {.mem = malloc(BUFS * BUF_BYTES)};
	struct loop_op op = {.fn = feed_cb, .arg = &f};
	char data[BUFS * BUF_BYTES + 40];
	int fd[2];

	(void)state;
	pair_new(fd);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	assert_int_equal(loop_bufs_create(l, 3, 5, &b), ST_INVALID);
	assert_int_equal(loop_bufs_create(l, 3, BUFS, &b), ST_OK);
	struct loop_bufs *twice;
	assert_int_equal(loop_bufs_create(l, 3, BUFS, &twice), ST_INVALID);
	for (uint16_t i = 0; i < BUFS; i++)
		loop_bufs_add(b, f.mem + i * BUF_BYTES, BUF_BYTES, i);
	assert_int_equal(loop_bufs_ready(b), BUFS);
	loop_recv_multishot(l, &op, fd[1], 3);
	assert_int_equal(write(fd[0], data, sizeof(data)), sizeof(data));
	RUN_UNTIL(l, f.seen.finals == 1);
	assert_int_equal(f.seen.last, -ENOBUFS);
	assert_int_equal(loop_bufs_ready(b), 0);
	assert_int_equal(f.len, BUFS * BUF_BYTES);
	/* Buffers in the order in which they were put in. */
	for (int i = 0; i < f.id_count; i++)
		assert_int_equal(f.ids[i], i);
	/* With a buffer it goes on where it stopped, then sees the end. */
	loop_bufs_add(b, f.mem + BUF_BYTES, BUF_BYTES, 1);
	loop_recv_multishot(l, &op, fd[1], 3);
	RUN_UNTIL(l, f.len == sizeof(data));
	assert_memory_equal(f.got, data, sizeof(data));
	loop_bufs_add(b, f.mem, BUF_BYTES, 0);
	if (!op.active)
		loop_recv_multishot(l, &op, fd[1], 3);
	close(fd[0]);
	RUN_UNTIL(l, f.seen.last == 0 && !op.active);
	loop_bufs_destroy(l, b);
	close(fd[1]);
	loop_destroy(l);
	free(f.mem);
}

static void recv_multishot_cancelled(void **state)
{
	struct loop *l = loop_new();
	struct loop_bufs *b = NULL;
	struct feed f = {.mem = malloc(BUFS * BUF_BYTES)};
	struct loop_op op = {.fn = feed_cb, .arg = &f};
	int fd[2];

	(void)state;
	pair_new(fd);
	assert_int_equal(loop_bufs_create(l, 0, BUFS, &b), ST_OK);
	for (uint16_t i = 0; i < BUFS; i++)
		loop_bufs_add(b, f.mem + i * BUF_BYTES, BUF_BYTES, i);
	loop_recv_multishot(l, &op, fd[1], 0);
	assert_int_equal(write(fd[0], "abc", 3), 3);
	RUN_UNTIL(l, f.len == 3);
	assert_true(op.more && op.active);
	loop_cancel(l, &op);
	assert_true(op.active); /* not free before its callback */
	RUN_UNTIL(l, f.seen.finals == 1);
	assert_int_equal(f.seen.last, -ECANCELED);
	assert_false(op.active);
	assert_int_equal(loop_bufs_ready(b), BUFS - 1);
	close(fd[0]);
	close(fd[1]);
	loop_destroy(l); /* frees the group as well */
	free(f.mem);
}

struct tick {
	struct loop_timer t;
	struct loop *l;
	int fired;
	uint64_t at_ns;
	int again;
};

static void tick_fn(struct loop_timer *t)
{
	struct tick *k = t->arg;

	k->fired++;
	k->at_ns = loop_now_ns(k->l);
	if (k->again-- > 0)
		loop_timer_set(k->l, t, loop_now_ns(k->l) + 2 * NS_PER_MS);
}

static void timers(void **state)
{
	struct loop *l = loop_new();
	struct tick a = {.t = {.fn = tick_fn, .arg = &a}, .l = l, .again = 3};
	struct tick b = {.t = {.fn = tick_fn, .arg = &b}, .l = l};
	uint64_t start_ns = loop_now_ns(l);

	(void)state;
	loop_timer_set(l, &a.t, start_ns + 10 * NS_PER_MS);
	loop_timer_set(l, &b.t, start_ns + 12 * NS_PER_MS);
	loop_timer_cancel(l, &b.t);
	RUN_UNTIL(l, a.fired == 1);
	assert_true(a.at_ns >= start_ns + 10 * NS_PER_MS);
	RUN_UNTIL(l, a.fired == 4);
	assert_int_equal(b.fired, 0);
	loop_destroy(l);
}

struct hooked {
	int polls;
	int sleeps;
	int awakes;
	int busy;
	bool refuse;
};

static uint32_t hook_poll(void *arg)
{
	struct hooked *h = arg;

	h->polls++;
	return h->busy > 0 ? (uint32_t)h->busy-- : 0;
}

static bool hook_sleep(void *arg)
{
	struct hooked *h = arg;

	h->sleeps++;
	return !h->refuse;
}

static void hook_awake(void *arg)
{
	((struct hooked *)arg)->awakes++;
}

static void hook_is_asked_before_sleep(void **state)
{
	struct loop *l = loop_new();
	struct hooked h = {.busy = 1, .refuse = true};
	struct loop_hook hook = {hook_poll, hook_sleep, hook_awake, &h};

	(void)state;
	loop_set_hook(l, &hook);
	loop_once(l, NS_PER_S); /* work: no sleep */
	assert_int_equal(h.sleeps, 0);
	uint64_t start_ns = clock_mono_ns();
	loop_once(l, 20 * NS_PER_S); /* refused: comes back at once */
	assert_true(clock_mono_ns() - start_ns < 10 * NS_PER_S);
	assert_int_equal(h.sleeps, 1);
	assert_int_equal(h.awakes, 1);
	h.refuse = false;
	loop_once(l, 2 * NS_PER_MS);
	assert_int_equal(h.sleeps, 2);
	assert_int_equal(h.awakes, 2);
	assert_true(h.polls >= 3);
	loop_destroy(l);
}

static void stop_fn(struct loop_timer *t)
{
	loop_stop(t->arg);
}

static void run_until_stopped(void **state)
{
	struct loop *l = loop_new();
	struct loop_timer t = {.fn = stop_fn, .arg = l};

	(void)state;
	loop_timer_set(l, &t, loop_now_ns(l) + 3 * NS_PER_MS);
	assert_int_equal(loop_run(l), ST_OK);
	loop_destroy(l);
}

/* More operations at once than the submission queue holds. */
static void queue_overflow(void **state)
{
	enum { N = 100 };
	struct loop *l = loop_new();
	struct seen s = {0};
	struct loop_op *ops = calloc(N, sizeof(*ops));
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	for (int i = 0; i < N; i++) {
		ops[i] = op_for(&s);
		loop_poll(l, &ops[i], fd, POLLIN, false);
	}
	RUN_UNTIL(l, s.finals == N);
	assert_false(s.active_at_final);
	close(fd);
	loop_destroy(l);
	free(ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(create_refuses_odd_sizes),
	        cmocka_unit_test(send_and_recv),
	        cmocka_unit_test(sendmsg_gathers),
	        cmocka_unit_test(accept_is_multishot),
	        cmocka_unit_test(connect_refused),
	        cmocka_unit_test(poll_multishot_and_once),
	        cmocka_unit_test(cancel_spares_the_next_use),
	        cmocka_unit_test(recv_multishot_until_dry),
	        cmocka_unit_test(recv_multishot_cancelled),
	        cmocka_unit_test(timers),
	        cmocka_unit_test(hook_is_asked_before_sleep),
	        cmocka_unit_test(run_until_stopped),
	        cmocka_unit_test(queue_overflow),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
