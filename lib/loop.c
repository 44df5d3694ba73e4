/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/loop.h"

#include "lib/clock.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LOOP_GROUPS    16u
#define LOOP_TICK_NS   NS_PER_MS
#define LOOP_CQE_BATCH 512u
#define LOOP_MAX_WAIT  (10 * NS_PER_S)

struct loop_bufs {
	struct io_uring_buf_ring *ring;
	size_t bytes;
	uint32_t entries;
	uint32_t ready;
	uint16_t group;
};

struct loop {
	struct io_uring ring;
	struct timerwheel wheel;
	struct loop_hook hook;
	struct loop_bufs *groups[LOOP_GROUPS];
	struct loop_task *tasks;
	struct loop_task **tasks_end;
	uint64_t now_ns;
	uint64_t spin_ns;
	bool stop;
};

static int ring_init(struct io_uring *ring, unsigned entries)
{
	/* Completions run when we ask for them and never interrupt this thread; the flag tells
	 * without a system call whether there are any. Kernels before 6.1 refuse some of these. */
	static const unsigned flag_sets[] = {
	        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	        0,
	};
	int rc = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(flag_sets) && rc == -EINVAL; i++) {
		struct io_uring_params p = {
		        .flags = flag_sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		        .cq_entries = entries * 4,
		};
		rc = io_uring_queue_init_params(entries, ring, &p);
	}
	return rc;
}

enum status loop_create(struct loop **out, const struct loop_config *cfg)
{
	struct loop *l;

	if (!is_pow2(cfg->entries))
		return ST_INVALID;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return ST_NOMEM;
	int rc = ring_init(&l->ring, cfg->entries);
	if (rc < 0) {
		free(l);
		return rc == -ENOMEM ? ST_NOMEM : rc == -EPERM ? ST_DENIED : ST_UNSUPPORTED;
	}
	l->tasks_end = &l->tasks;
	l->spin_ns = cfg->spin_us * NS_PER_US;
	l->now_ns = clock_mono_ns();
	timerwheel_init(&l->wheel, LOOP_TICK_NS, l->now_ns);
	*out = l;
	return ST_OK;
}

void loop_destroy(struct loop *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < LOOP_GROUPS; i++)
		if (l->groups[i] != NULL)
			loop_bufs_destroy(l, l->groups[i]);
	io_uring_queue_exit(&l->ring);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

uint64_t loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

void loop_set_hook(struct loop *l, const struct loop_hook *hook)
{
	l->hook = hook != NULL ? *hook : (struct loop_hook){0};
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns)
{
	timer_set(&l->wheel, &t->timer, deadline_ns);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	timer_cancel(&l->wheel, &t->timer);
}

static void fire_timer(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct loop_timer *t = container_of(timer, struct loop_timer, timer);

	(void)arg;
	(void)now_ns;
	t->fn(t);
}

static void dispatch(struct loop *l, const struct io_uring_cqe *cqe)
{
	struct loop_op *op = io_uring_cqe_get_data(cqe);

	if (op == NULL)
		return; /* a cancel or a close: nobody asks for the result */
	op->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
	op->has_buf = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
	if (op->has_buf) {
		op->buf_id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		if (l->groups[op->group] != NULL)
			l->groups[op->group]->ready--;
	}
	if (!op->more)
		op->active = false;
	op->fn(op, cqe->res);
}

/* Each entry is given back before its callback runs, so that a callback may submit or nest a round.
 */
static uint32_t reap(struct loop *l)
{
	struct io_uring_cqe *cqe;
	uint32_t n = 0;

	while (n < LOOP_CQE_BATCH && io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		struct io_uring_cqe copy = *cqe;

		io_uring_cqe_seen(&l->ring, cqe);
		dispatch(l, &copy);
		n++;
	}
	return n;
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*l->tasks_end = t;
	l->tasks_end = &t->next;
}

/* Those that tasks add run too. */
static void run_tasks(struct loop *l)
{
	struct loop_task *t;

	while ((t = l->tasks) != NULL) {
		l->tasks = t->next;
		if (l->tasks == NULL)
			l->tasks_end = &l->tasks;
		t->queued = false;
		t->fn(t);
	}
}

static void submit(struct loop *l)
{
	run_tasks(l);
	if (io_uring_sq_ready(&l->ring) > 0)
		io_uring_submit(&l->ring);
}

/* What can be done without waiting; returns how much there was. */
static uint32_t work(struct loop *l)
{
	uint32_t did = 0;

	l->now_ns = clock_mono_ns();
	if (l->hook.poll != NULL)
		did += l->hook.poll(l->hook.arg);
	submit(l);
	did += reap(l);
	did += timerwheel_advance(&l->wheel, l->now_ns, 0, fire_timer, NULL);
	submit(l);
	return did;
}

static void sleep_until_event(struct loop *l, uint64_t wait_ns)
{
	struct io_uring_cqe *cqe;
	uint64_t next_ns;

	/* It may set a timer, so it comes before the time to sleep is known. */
	if (l->hook.prepare_sleep != NULL && !l->hook.prepare_sleep(l->hook.arg)) {
		if (l->hook.awake != NULL)
			l->hook.awake(l->hook.arg);
		return;
	}
	run_tasks(l);
	next_ns = timerwheel_next_ns(&l->wheel);
	if (next_ns != UINT64_MAX) {
		uint64_t left = next_ns > l->now_ns ? next_ns - l->now_ns : 0;

		/* The wheel fires whole ticks; a shorter sleep would come back for nothing. */
		wait_ns = min_u64(wait_ns, left + LOOP_TICK_NS / 4);
	}
	struct __kernel_timespec ts = {
	        .tv_sec = (int64_t)(wait_ns / NS_PER_S),
	        .tv_nsec = (long long)(wait_ns % NS_PER_S),
	};
	io_uring_submit_and_wait_timeout(&l->ring, &cqe, 1, &ts, NULL);
	if (l->hook.awake != NULL)
		l->hook.awake(l->hook.arg);
}

void loop_once(struct loop *l, uint64_t wait_ns)
{
	if (work(l) > 0 || wait_ns == 0)
		return;
	sleep_until_event(l, wait_ns);
	work(l);
}

enum status loop_run(struct loop *l)
{
	uint64_t busy_ns = clock_mono_ns();

	l->stop = false;
	while (!l->stop) {
		if (work(l) > 0) {
			busy_ns = l->now_ns;
			continue;
		}
		if (l->now_ns - busy_ns < l->spin_ns || l->stop)
			continue;
		sleep_until_event(l, LOOP_MAX_WAIT);
	}
	return ST_OK;
}

/* --- operations --- */

static struct io_uring_sqe *sqe_get(struct loop *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);

	/* A full queue is sent off at once; the kernel takes all of it or says why it cannot now
	 * (-EAGAIN, -EINTR), and then it is asked again. */
	while (sqe == NULL) {
		io_uring_submit(&l->ring);
		sqe = io_uring_get_sqe(&l->ring);
	}
	return sqe;
}

static void op_start(struct io_uring_sqe *sqe, struct loop_op *op)
{
	assert(!op->active);
	io_uring_sqe_set_data(sqe, op);
	op->active = true;
	op->more = false;
	op->has_buf = false;
}

void loop_accept(struct loop *l, struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	op_start(sqe, op);
}

void loop_poll(struct loop *l, struct loop_op *op, int fd, unsigned mask, bool multishot)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	if (multishot)
		io_uring_prep_poll_multishot(sqe, fd, mask);
	else
		io_uring_prep_poll_add(sqe, fd, mask);
	op_start(sqe, op);
}

void loop_connect(struct loop *l, struct loop_op *op, int fd, const struct sockaddr *addr,
                  socklen_t len)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_connect(sqe, fd, addr, len);
	op_start(sqe, op);
}

void loop_recv(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_recv(sqe, fd, buf, len, 0);
	op_start(sqe, op);
}

void loop_send(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_send(sqe, fd, buf, len, MSG_NOSIGNAL | MSG_WAITALL);
	op_start(sqe, op);
}

void loop_sendmsg(struct loop *l, struct loop_op *op, int fd, const struct msghdr *msg)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
	op_start(sqe, op);
}

void loop_close(struct loop *l, int fd)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_data(sqe, NULL);
}

void loop_cancel(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (!op->active)
		return;
	/* The queue keeps its order: this cannot hit a later use of op, which is queued behind it.
	 */
	sqe = sqe_get(l);
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* --- provided buffers --- */

enum status loop_bufs_create(struct loop *l, uint16_t group, uint32_t entries,
                             struct loop_bufs **out)
{
	struct loop_bufs *b;

	if (group >= LOOP_GROUPS || l->groups[group] != NULL || !is_pow2(entries) ||
	    entries > 32768)
		return ST_INVALID;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return ST_NOMEM;
	b->bytes = align_up(entries * sizeof(struct io_uring_buf), 4096);
	b->entries = entries;
	b->group = group;
	b->ring = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (b->ring == MAP_FAILED)
		goto fail_ring;
	struct io_uring_buf_reg reg = {
	        .ring_addr = (uint64_t)(uintptr_t)b->ring,
	        .ring_entries = entries,
	        .bgid = group,
	};
	if (io_uring_register_buf_ring(&l->ring, &reg, 0) < 0)
		goto fail_register;
	io_uring_buf_ring_init(b->ring);
	l->groups[group] = b;
	*out = b;
	return ST_OK;

fail_register:
	munmap(b->ring, b->bytes);
fail_ring:
	free(b);
	return ST_UNSUPPORTED;
}

void loop_bufs_destroy(struct loop *l, struct loop_bufs *b)
{
	io_uring_unregister_buf_ring(&l->ring, b->group);
	l->groups[b->group] = NULL;
	munmap(b->ring, b->bytes);
	free(b);
}

void loop_bufs_add(struct loop_bufs *b, void *addr, uint32_t len, uint16_t buf_id)
{
	assert(b->ready < b->entries);
	io_uring_buf_ring_add(b->ring, addr, len, buf_id, io_uring_buf_ring_mask(b->entries), 0);
	io_uring_buf_ring_advance(b->ring, 1);
	b->ready++;
}

uint32_t loop_bufs_ready(const struct loop_bufs *b)
{
	return b->ready;
}

static void recv_group(struct io_uring_sqe *sqe, struct loop_op *op, uint16_t group)
{
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
	op->group = group;
	op_start(sqe, op);
}

void loop_recv_multishot(struct loop *l, struct loop_op *op, int fd, uint16_t group)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	recv_group(sqe, op, group);
}

void loop_recv_select(struct loop *l, struct loop_op *op, int fd, uint16_t group)
{
	struct io_uring_sqe *sqe = sqe_get(l);

	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	recv_group(sqe, op, group);
}
