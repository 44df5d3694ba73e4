/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's transport over kernel TCP: one io_uring for each worker. A round is one system
 * call: it submits what was queued (one send for each connection that has something to say), lets
 * completions happen and, if asked to, waits. Receives are multishot into a ring of buffers that
 * all connections share.
 *
 * The only file outside of lib/ that includes liburing: lib/loop.h is made for servers with many
 * kinds of operation, and a callback and a second system call a round would be a tenth of what a
 * request costs here. */
#include "perf/load/transport.h"

#include "lib/clock.h"
#include "lib/timerwheel.h"
#include "perf/load/address.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_ENTRIES 2048u
#define REAP_BATCH    32u /* completions between two looks at the clock */
#define BUF_GROUP     0u
#define BUF_BYTES     16384u
#define BUFS_MIN      64u
#define BUFS_MAX      4096u
#define OUT_FIRST     512u
#define OUT_LIMIT     (256u << 10) /* queued on a link, beyond one piece of any size */
#define TICK_NS       NS_PER_MS
#define LEAVING_MIN   1024u
#define FD_RESERVE    64u              /* descriptors that are not links */
#define LEAVE_WAIT_NS (10 * NS_PER_MS) /* for the server's FIN before ours */

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

static struct socket_transport *self(struct transport *t)
{
	return container_of(t, struct socket_transport, base);
}

/* --- io_uring --- */

static enum status ring_open(struct io_uring *ring, char err[TRANSPORT_ERR])
{
	/* Kernels before 6.1 refuse the first set. */
	static const unsigned flag_sets[] = {
	        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	        IORING_SETUP_COOP_TASKRUN,
	        0,
	};
	int rc = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(flag_sets) && rc == -EINVAL; i++) {
		struct io_uring_params p = {
		        .flags = flag_sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		        .cq_entries = QUEUE_ENTRIES * 4,
		};
		rc = io_uring_queue_init_params(QUEUE_ENTRIES, ring, &p);
	}
	if (rc == 0)
		return ST_OK;
	snprintf(err, TRANSPORT_ERR,
	         "io_uring is not available: %s; it may be switched off by "
	         "kernel.io_uring_disabled or a container's seccomp profile",
	         strerror(-rc));
	return rc == -ENOMEM ? ST_NOMEM : ST_UNSUPPORTED;
}

static struct io_uring_sqe *sqe_get(struct socket_transport *t)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);

	while (sqe == NULL) {
		io_uring_submit(&t->ring);
		sqe = io_uring_get_sqe(&t->ring);
	}
	return sqe;
}

static void sqe_tag(struct io_uring_sqe *sqe, struct link *l, enum op op)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)l | op);
}

/* Nobody asks how it ended. */
static void sqe_untagged(struct io_uring_sqe *sqe)
{
	io_uring_sqe_set_data64(sqe, OP_NONE);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

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

static void buf_add(struct socket_transport *t, uint32_t id)
{
	io_uring_buf_ring_add(t->bufs, t->buf_memory + (size_t)id * BUF_BYTES, BUF_BYTES,
	                      (unsigned short)id, io_uring_buf_ring_mask(t->buf_count), 0);
	io_uring_buf_ring_advance(t->bufs, 1);
}

/* --- links --- */

static void mark_dirty(struct socket_transport *t, struct link *l)
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
static void link_cancel(struct socket_transport *t, struct link *l)
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

	link_cancel(t, l);
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

static void note_error(struct socket_transport *t, int error)
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
		note_error(t, -result);
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
		mark_dirty(t, l);
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

static uint32_t socket_poll(struct transport *base, uint64_t wait_until_ns)
{
	struct socket_transport *t = self(base);
	uint64_t before_ns = t->now_ns;
	uint32_t did;

	flush(t);
	enter(t, wait_until_ns);
	t->now_ns = clock_mono_ns();
	did = reap(t);
	did += timerwheel_advance(&t->wheel, t->now_ns, 0, timer_fired, t);
	/* A caller that does not want to wait spins: that is not what a client is busy with. */
	if (did == 0 && wait_until_ns == 0 && before_ns != 0)
		t->idle_ns += t->now_ns - before_ns;
	return did;
}

/* --- what the engine asks for --- */

static bool local_bind(struct socket_transport *t, int fd)
{
	struct address from;
	int on = 1;

	if (t->local.count == 0)
		return true;
	address_range_get(&t->local, t->next_local++ % t->local.count, &from);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&from.ss, from.len) == 0;
}

static int socket_make(struct socket_transport *t)
{
	int on = 1;
	int fd = socket(t->server.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		note_error(t, errno);
		return -1;
	}
	if (!local_bind(t, fd)) {
		note_error(t, errno);
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static struct link *socket_connect(struct transport *base, void *owner)
{
	struct socket_transport *t = self(base);
	struct link *l = t->free_links;

	if (l == NULL)
		return NULL;
	int fd = socket_make(t);
	if (fd < 0)
		return NULL;
	t->free_links = l->next;
	l->next = NULL;
	l->owner = owner;
	l->fd = fd;
	l->state = LINK_CONNECTING;
	l->out[0].len = 0;
	l->out[1].len = 0;
	l->reset = false;
	l->wants_room = false;
	l->connecting = true;
	timer_set(&t->wheel, &l->timer, clock_mono_ns() + t->timeout_ns);
	struct io_uring_sqe *sqe = sqe_get(t);
	io_uring_prep_connect(sqe, fd, (struct sockaddr *)&t->server.ss, t->server.len);
	sqe_tag(sqe, l, OP_CONNECT);
	return l;
}

static bool out_grow(struct out *o, size_t need)
{
	size_t size = max_u64(OUT_FIRST, pow2_ceil(need));
	char *p = need > UINT32_MAX / 2 ? NULL : realloc(o->bytes, size);

	if (p == NULL)
		return false;
	o->bytes = p;
	o->size = (uint32_t)size;
	return true;
}

static bool socket_send(struct transport *base, struct link *l, const void *data, size_t len)
{
	struct socket_transport *t = self(base);
	struct out *o = &l->out[l->filling];

	if (unlikely(o->len > 0 && o->len + len > OUT_LIMIT) ||
	    (o->len + len > o->size && !out_grow(o, o->len + len))) {
		l->wants_room = true;
		return false;
	}
	memcpy(o->bytes + o->len, data, len);
	o->len += (uint32_t)len;
	if (!l->sending)
		mark_dirty(t, l);
	return true;
}

static void socket_abort(struct transport *base, struct link *l)
{
	struct linger reset = {.l_onoff = 1};

	setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	link_cancel(self(base), l);
}

/* A server that closes too is given a moment to do so first: who closes first keeps the connection
 * in TIME-WAIT and its port with it, and the client has only so many. */
static void socket_shut(struct transport *base, struct link *l)
{
	struct socket_transport *t = self(base);

	if (l->state != LINK_OPEN || !l->receiving) {
		link_cancel(t, l);
		return;
	}
	l->state = LINK_LEAVING;
	timer_set(&t->wheel, &l->timer, t->now_ns + LEAVE_WAIT_NS);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void socket_stats(const struct transport *base, struct transport_stats *out)
{
	const struct socket_transport *t = container_of(base, const struct socket_transport, base);
	uint64_t cpu_ns = thread_cpu_ns();

	*out = t->stats;
	out->busy_ns = cpu_ns - min_u64(cpu_ns, t->idle_ns);
}

/* --- opening and closing --- */

static enum status bufs_open(struct socket_transport *t, char err[TRANSPORT_ERR])
{
	uint64_t count = pow2_ceil(t->link_count);

	t->buf_count = (uint32_t)min_u64(max_u64(count, BUFS_MIN), BUFS_MAX);
	t->buf_memory = mmap(NULL, (size_t)t->buf_count * BUF_BYTES, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->buf_memory == MAP_FAILED) {
		t->buf_memory = NULL;
		snprintf(err, TRANSPORT_ERR, "no memory for receive buffers");
		return ST_NOMEM;
	}
	t->bufs_bytes = align_up(t->buf_count * sizeof(struct io_uring_buf), 4096);
	t->bufs = mmap(NULL, t->bufs_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);
	if (t->bufs == MAP_FAILED) {
		t->bufs = NULL;
		snprintf(err, TRANSPORT_ERR, "no memory for receive buffers");
		return ST_NOMEM;
	}
	struct io_uring_buf_reg reg = {
	        .ring_addr = (uint64_t)(uintptr_t)t->bufs,
	        .ring_entries = t->buf_count,
	        .bgid = BUF_GROUP,
	};
	int rc = io_uring_register_buf_ring(&t->ring, &reg, 0);
	if (rc < 0) {
		snprintf(err, TRANSPORT_ERR,
		         "io_uring has no buffer rings: %s; Linux 6.0 or later is needed",
		         strerror(-rc));
		return ST_UNSUPPORTED;
	}
	io_uring_buf_ring_init(t->bufs);
	for (uint32_t i = 0; i < t->buf_count; i++)
		buf_add(t, i);
	return ST_OK;
}

static enum status links_open(struct socket_transport *t, char err[TRANSPORT_ERR])
{
	struct rlimit lim;
	/* Some more, for those that linger after the engine has let them go. */
	uint32_t slots = t->link_count * 2 + LEAVING_MIN;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
		if (t->link_count + FD_RESERVE > lim.rlim_cur) {
			snprintf(err, TRANSPORT_ERR,
			         "%u connections need more file descriptors than the %llu that "
			         "ulimit -n allows",
			         t->link_count, (unsigned long long)lim.rlim_cur);
			return ST_FULL;
		}
	}
	t->links = aligned_alloc(CACHE_LINE, slots * sizeof(*t->links));
	if (t->links == NULL) {
		snprintf(err, TRANSPORT_ERR, "no memory for %u connections", slots);
		return ST_NOMEM;
	}
	memset(t->links, 0, slots * sizeof(*t->links));
	for (uint32_t i = slots; i-- > 0;) {
		t->links[i].fd = -1;
		t->links[i].next = t->free_links;
		t->free_links = &t->links[i];
	}
	t->link_count = slots;
	return ST_OK;
}

static void socket_close(struct transport *base)
{
	struct socket_transport *t = self(base);

	io_uring_submit(&t->ring);
	io_uring_queue_exit(&t->ring);
	for (uint32_t i = 0; t->links != NULL && i < t->link_count; i++) {
		if (t->links[i].fd >= 0)
			close(t->links[i].fd);
		free(t->links[i].out[0].bytes);
		free(t->links[i].out[1].bytes);
	}
	free(t->links);
	if (t->buf_memory != NULL)
		munmap(t->buf_memory, (size_t)t->buf_count * BUF_BYTES);
	if (t->bufs != NULL)
		munmap(t->bufs, t->bufs_bytes);
	free(t);
}

static enum status socket_open(struct transport **out, const struct transport_config *cfg,
                               char err[TRANSPORT_ERR])
{
	struct socket_transport *t = calloc(1, sizeof(*t));
	enum status st;

	if (t == NULL) {
		snprintf(err, TRANSPORT_ERR, "no memory");
		return ST_NOMEM;
	}
	t->base.ops = &transport_socket;
	t->sink = cfg->sink;
	t->dirty_end = &t->dirty;
	t->link_count = cfg->links;
	t->timeout_ns = cfg->timeout_ms * NS_PER_MS;
	timerwheel_init(&t->wheel, TICK_NS, clock_mono_ns());
	st = address_resolve(&t->server, cfg->host, cfg->port, err);
	if (st == ST_OK && cfg->local != NULL)
		st = address_range_parse(&t->local, cfg->local, t->server.ss.ss_family, err);
	if (st == ST_OK)
		st = ring_open(&t->ring, err);
	if (st != ST_OK) {
		free(t);
		return st;
	}
	st = links_open(t, err);
	if (st == ST_OK)
		st = bufs_open(t, err);
	if (st != ST_OK) {
		socket_close(&t->base);
		return st;
	}
	*out = &t->base;
	return ST_OK;
}

const struct transport_ops transport_socket = {
        .name = "socket",
        .open = socket_open,
        .close = socket_close,
        .connect = socket_connect,
        .send = socket_send,
        .shut = socket_shut,
        .abort = socket_abort,
        .poll = socket_poll,
        .stats = socket_stats,
};
