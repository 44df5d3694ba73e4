/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's transport over kernel TCP: one io_uring for each worker. A round is one system
 * call: it submits what was queued (one send for each connection that has something to say), lets
 * completions happen and, if asked to, waits. Receives are multishot into a ring of buffers that
 * all connections share.
 *
 * This and socket_round.c use liburing themselves: lib/loop.h is made for servers with many kinds
 * of operation, and a callback for each and a second system call a round would show here
 * (docs/decisions/load-engine.md). */
#include "perf/load/socket_private.h"

#include "lib/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_ENTRIES 2048u
#define BUFS_MIN      64u
#define BUFS_MAX      4096u
#define OUT_FIRST     512u
#define OUT_LIMIT     (256u << 10) /* queued on a link, beyond one piece of any size */
#define TICK_NS       NS_PER_MS
#define LEAVING_MIN   1024u
#define FD_RESERVE    64u              /* descriptors that are not links */
#define LEAVE_WAIT_NS (10 * NS_PER_MS) /* for the server's FIN before ours */

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
		socket_note_error(t, errno);
		return -1;
	}
	if (!local_bind(t, fd)) {
		socket_note_error(t, errno);
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
		socket_mark_dirty(t, l);
	return true;
}

static void socket_abort(struct transport *base, struct link *l)
{
	struct linger reset = {.l_onoff = 1};

	setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	socket_link_cancel(self(base), l);
}

/* A server that closes too is given a moment to do so first: who closes first keeps the connection
 * in TIME-WAIT and its port with it, and the client has only so many. */
static void socket_shut(struct transport *base, struct link *l)
{
	struct socket_transport *t = self(base);

	if (l->state != LINK_OPEN || !l->receiving) {
		socket_link_cancel(t, l);
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
	uint32_t slots = t->link_count + t->link_count / 4 + LEAVING_MIN;

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
