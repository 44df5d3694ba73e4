/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A round of the socket transport: send what was queued, let the kernel work, deal with what it
 * completed. */
#include "perf/load/socket_private.h"

#include "lib/clock.h"

#include <errno.h>

#define REAP_BATCH        32u /* completions between two looks at the clock */
#define IDLE_ROUND_MAX_NS (5 * NS_PER_US)

static void receive_start(struct socket_transport *t, struct link *l)
{
	struct io_uring_sqe *sqe = sqe_get(t);

	io_uring_prep_recv_multishot(sqe, l->fd, NULL, 0, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; /* nothing can have come yet */
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUF_GROUP;
	sqe_tag(sqe, l, OP_RECV);
	l->receiving = true;
}

static void send_start(struct socket_transport *t, struct link *l)
{
	struct out *o = &l->out[l->filling];
	struct io_uring_sqe *sqe = sqe_get(t);

	io_uring_prep_send(sqe, l->fd, o->bytes, o->len, MSG_NOSIGNAL | MSG_WAITALL);
	sqe_tag(sqe, l, OP_SEND);
	l->sending = true;
	l->sent = 0;
	l->filling ^= 1;
}

/* --- links --- */

void socket_mark_dirty(struct socket_transport *t, struct link *l)
{
	if (l->dirty)
		return;
	l->dirty = true;
	l->next = NULL;
	*t->dirty_end = l;
	t->dirty_end = &l->next;
}

/* Gives a dying link back once the kernel has nothing of it any more. */
static void link_release(struct socket_transport *t, struct link *l)
{
	if (l->connecting || l->receiving || l->sending || l->dirty)
		return;
	struct io_uring_sqe *sqe = sqe_get(t);

	io_uring_prep_close(sqe, l->fd);
	sqe_untagged(sqe);
	timer_cancel(&t->wheel, &l->timer);
	l->fd = -1;
	l->state = LINK_FREE;
	l->next = t->free_links;
	t->free_links = l;
}

/* Ends what is under way; the rest happens as the operations say so. */
void socket_link_cancel(struct socket_transport *t, struct link *l)
{
	l->state = LINK_DYING;
	if (l->connecting || l->receiving || l->sending) {
		struct io_uring_sqe *sqe = sqe_get(t);

		io_uring_prep_cancel_fd(sqe, l->fd, IORING_ASYNC_CANCEL_ALL);
		sqe_untagged(sqe);
	}
	link_release(t, l);
}

static void link_ended(struct socket_transport *t, struct link *l, enum link_end why)
{
	bool tell = l->state == LINK_CONNECTING || l->state == LINK_OPEN;

	socket_link_cancel(t, l);
	if (tell)
		t->sink.ended(l->owner, why, t->now_ns);
}

static enum link_end why_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return LINK_REFUSED;
	case ETIMEDOUT:
		return LINK_TIMED_OUT;
	case ECONNRESET:
	case EPIPE:
		return LINK_RESET;
	default:
		return LINK_UNREACHABLE;
	}
}

/* --- completions --- */

void socket_note_error(struct socket_transport *t, int error)
{
	if (error == EADDRNOTAVAIL)
		t->stats.note = "no free source port: closed connections keep theirs for a minute; "
		                "use more addresses (--local), --reset, or fewer new connections";
	else if (error == EMFILE || error == ENFILE)
		t->stats.note = "no more file descriptors: raise ulimit -n";
	else if (error == ENOBUFS || error == ENOMEM)
		t->stats.note = "the kernel had no memory for more connections";
}

static void connect_done(struct socket_transport *t, struct link *l, int result)
{
	l->connecting = false;
	if (l->state == LINK_DYING) {
		link_release(t, l);
		return;
	}
	timer_cancel(&t->wheel, &l->timer);
	if (result < 0) {
		socket_note_error(t, -result);
		link_ended(t, l, why_of(-result));
		return;
	}
	l->state = LINK_OPEN;
	receive_start(t, l);
	t->sink.connected(l->owner, t->now_ns);
}

static void receive_ended(struct socket_transport *t, struct link *l, int result)
{
	if (l->state == LINK_DYING) {
		link_release(t, l);
		return;
	}
	/* No buffer was free, or the kernel stopped for another reason: on with it. */
	if (result > 0 || result == -ENOBUFS) {
		receive_start(t, l);
		return;
	}
	if (result == 0)
		link_ended(t, l, l->reset ? LINK_RESET : LINK_FINISHED);
	else
		link_ended(t, l, why_of(-result));
}

static void receive_done(struct socket_transport *t, struct link *l, const struct io_uring_cqe *cqe)
{
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

		if (cqe->res > 0 && l->state == LINK_OPEN) {
			t->stats.bytes_in += (uint32_t)cqe->res;
			t->sink.data(l->owner, t->buf_memory + (size_t)id * BUF_BYTES,
			             (uint32_t)cqe->res, t->now_ns);
		}
		buf_add(t, id);
	}
	/* Only now: the link must not be given back while the sink has it. */
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		l->receiving = false;
		receive_ended(t, l, cqe->res);
	}
}

static void send_done(struct socket_transport *t, struct link *l, int result)
{
	struct out *o = &l->out[l->filling ^ 1];

	l->sending = false;
	if (l->state == LINK_DYING) {
		link_release(t, l);
		return;
	}
	if (result < 0) {
		/* The receive tells the owner: bytes may have come before the reset. */
		l->reset = true;
		if (!l->receiving)
			link_ended(t, l, LINK_RESET);
		return;
	}
	t->stats.bytes_out += (uint32_t)result;
	l->sent += (uint32_t)result;
	if (unlikely(l->sent < o->len)) {
		struct io_uring_sqe *sqe = sqe_get(t);

		io_uring_prep_send(sqe, l->fd, o->bytes + l->sent, o->len - l->sent,
		                   MSG_NOSIGNAL | MSG_WAITALL);
		sqe_tag(sqe, l, OP_SEND);
		l->sending = true;
		return;
	}
	o->len = 0;
	if (l->out[l->filling].len > 0)
		socket_mark_dirty(t, l);
	if (l->wants_room && l->state == LINK_OPEN) {
		l->wants_room = false;
		t->sink.room(l->owner, t->now_ns);
	}
}

static void dispatch(struct socket_transport *t, const struct io_uring_cqe *cqe)
{
	struct link *l = (struct link *)(uintptr_t)(cqe->user_data & ~OP_MASK);

	switch ((enum op)(cqe->user_data & OP_MASK)) {
	case OP_CONNECT:
		connect_done(t, l, cqe->res);
		break;
	case OP_RECV:
		receive_done(t, l, cqe);
		break;
	case OP_SEND:
		send_done(t, l, cqe->res);
		break;
	case OP_NONE:
		break;
	}
}

/* --- the round --- */

static void flush(struct socket_transport *t)
{
	struct link *l = t->dirty;

	t->dirty = NULL;
	t->dirty_end = &t->dirty;
	while (l != NULL) {
		struct link *next = l->next;

		l->dirty = false;
		if (l->state == LINK_DYING)
			link_release(t, l);
		else if (!l->sending && l->out[l->filling].len > 0)
			send_start(t, l);
		l = next;
	}
}

static void enter(struct socket_transport *t, uint64_t wait_until_ns)
{
	uint64_t timer_ns = timerwheel_next_ns(&t->wheel);
	uint64_t until_ns = min_u64(wait_until_ns, timer_ns);
	struct io_uring_cqe *cqe;
	/* What came since the last look makes a wait pointless. */
	uint64_t now_ns = wait_until_ns == 0 || t->more ? until_ns : clock_mono_ns();

	if (until_ns <= now_ns) {
		io_uring_submit_and_get_events(&t->ring);
		return;
	}
	uint64_t wait_ns = until_ns - now_ns;
	struct __kernel_timespec ts = {
	        .tv_sec = (int64_t)(wait_ns / NS_PER_S),
	        .tv_nsec = (long long)(wait_ns % NS_PER_S),
	};
	io_uring_submit_and_wait_timeout(&t->ring, &cqe, 1, &ts, NULL);
}

static uint32_t reap(struct socket_transport *t)
{
	struct io_uring_cqe batch[REAP_BATCH];
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned n = io_uring_peek_batch_cqe(&t->ring, cqes, REAP_BATCH);

	for (unsigned i = 0; i < n; i++)
		batch[i] = *cqes[i];
	io_uring_cq_advance(&t->ring, n);
	t->more = n == REAP_BATCH;
	for (unsigned i = 0; i < n; i++)
		dispatch(t, &batch[i]);
	return n;
}

static void timer_fired(void *arg, struct timer *timer, uint64_t now_ns)
{
	struct socket_transport *t = arg;
	struct link *l = container_of(timer, struct link, timer);

	(void)now_ns;
	if (l->state == LINK_CONNECTING) {
		link_ended(t, l, LINK_TIMED_OUT);
	} else if (l->state == LINK_LEAVING) {
		/* FIN; the receive then ends, and with it the link. */
		struct io_uring_sqe *sqe = sqe_get(t);

		io_uring_prep_shutdown(sqe, l->fd, SHUT_RDWR);
		sqe_untagged(sqe);
	}
}

uint32_t socket_poll(struct transport *base, uint64_t wait_until_ns)
{
	struct socket_transport *t = self(base);
	uint64_t before_ns = t->now_ns;
	uint32_t did;

	flush(t);
	enter(t, wait_until_ns);
	t->now_ns = clock_mono_ns();
	did = reap(t);
	did += timerwheel_advance(&t->wheel, t->now_ns, 0, timer_fired, t);
	/* A caller that does not want to wait spins: that is not what a client is busy with. A
	 * round that took long was interrupted, and that is no CPU time. */
	if (did == 0 && wait_until_ns == 0 && before_ns != 0)
		t->idle_ns += min_u64(t->now_ns - before_ns, IDLE_ROUND_MAX_NS);
	return did;
}
