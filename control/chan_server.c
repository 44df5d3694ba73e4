/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/chan_internal.h"
#include "control/fetch.h"
#include "control/upstream/pool.h"

#include "lib/doorbell.h"
#include "lib/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_NS      NS_PER_MS
#define SOCK_MESSAGES 256u /* at a time; the dataplane sends one for each that it gets */

static void try_attach(struct loop_timer *t);
static void leave_done(void *arg);

static uint32_t hook_poll(void *arg)
{
	struct chan_server *s = arg;
	uint32_t did;

	if (s->state != LINK_SYNC && s->state != LINK_SERVING)
		return 0;
	if (s->state == LINK_SERVING)
		purges_first(s);
	did = link_rx(s);
	if (s->state != LINK_SERVING)
		return did;
	/* Connections may wait for buffers that other streams had; top_up is cheap when full. */
	if (link_top_up(s))
		upstreams_buffers(s->ctl->upstreams);
	did += fetcher_poll(s->ctl->fetcher);
	link_flush(s);
	return did;
}

static bool hook_sleep(void *arg)
{
	struct chan_server *s = arg;
	bool ok = true;

	if (s->state != LINK_SYNC && s->state != LINK_SERVING)
		return true;
	for (uint32_t c = 0; c < s->cores; c++) {
		/* A core that was heard out must not keep us awake while others still sync. */
		if (s->state == LINK_SYNC && s->links[c].held_done)
			continue;
		ok = chan_prepare_sleep(&s->links[c].port) && ok;
	}
	/* Nobody rings when a full ring gets room: look again soon. */
	if (ok && link_has_waiting(s))
		loop_timer_set(s->loop, &s->timer, loop_now_ns(s->loop) + RETRY_NS);
	return ok;
}

static void hook_awake(void *arg)
{
	struct chan_server *s = arg;

	for (uint32_t c = 0; c < s->cores && s->links != NULL; c++)
		chan_awake(&s->links[c].port);
}

static void wait_ready(struct loop_op *op, int result)
{
	struct chan_server *s = op->arg;

	if (s->wait_fd >= 0 && result > 0)
		doorbell_clear(s->wait_fd);
	if (op->more)
		return;
	if (s->state == LINK_LEAVING)
		leave_done(s);
	else if (result >= 0)
		loop_poll(s->loop, op, s->wait_fd, POLLIN, true);
	else
		link_leave(s, "its doorbell cannot be watched");
}

/* --- attach --- */

static void retry_later(struct chan_server *s)
{
	s->state = LINK_OFF;
	if (s->stopping)
		return;
	loop_timer_set(s->loop, &s->timer, loop_now_ns(s->loop) + s->backoff_ns);
	s->backoff_ns = min_u64(s->backoff_ns * 2, BACKOFF_MAX_NS);
}

static enum status hello_take(struct chan_server *s, const struct attach_msg *m, int *fds)
{
	enum status st;

	if (m->fd_count < 3) {
		for (uint32_t i = 0; i < m->fd_count; i++)
			close(fds[i]);
		return ST_CORRUPT;
	}
	pthread_mutex_lock(&s->map_lock);
	st = chan_open(&s->ch, fds[0]);
	s->mapped = st == ST_OK;
	pthread_mutex_unlock(&s->map_lock);
	s->wait_fd = fds[1];
	for (uint32_t i = 2; i < m->fd_count; i++)
		s->ring_fds[i - 2] = fds[i];
	s->cores = m->fd_count - 2;
	if (st != ST_OK)
		return st;
	if (s->ch.geo.cores != s->cores)
		return ST_CORRUPT;
	s->epoch = m->epoch;
	s->generation = s->ch.hdr->generation;
	s->dataplane_pid = s->ch.hdr->dataplane_pid;
	return links_create(s);
}

static void unmap(struct chan_server *s)
{
	uint32_t cores = s->cores;

	links_destroy(s);
	pthread_mutex_lock(&s->map_lock);
	if (s->mapped)
		chan_close(&s->ch);
	s->mapped = false;
	pthread_mutex_unlock(&s->map_lock);
	for (uint32_t c = 0; c < cores; c++)
		close(s->ring_fds[c]);
	if (s->wait_fd >= 0)
		close(s->wait_fd);
	s->wait_fd = -1;
	if (s->sock >= 0)
		close(s->sock);
	s->sock = -1;
}

static void on_hello(struct chan_server *s, const struct attach_msg *m, int *fds)
{
	enum status st = hello_take(s, m, fds);

	if (st != ST_OK) {
		log_error("channel", "cannot attach to the dataplane: %s", status_text(st));
		link_leave(s, "its greeting is no good");
		return;
	}
	s->state = LINK_SYNC;
	loop_poll(s->loop, &s->wait_op, s->wait_fd, POLLIN, true);
}

void link_serving(struct chan_server *s)
{
	down_adopt_done(&s->down);
	s->state = LINK_SERVING;
	if (fetcher_attached(s->ctl->fetcher) != ST_OK) {
		link_leave(s, "out of memory");
		return;
	}
	link_top_up(s);
	s->backoff_ns = BACKOFF_MIN_NS;
	s->said_away = false;
	s->counts.attaches++;
	log_info("channel", "attached to dataplane %u: %u cores, epoch %u, %u of %u blocks free",
	         s->dataplane_pid, s->cores, s->epoch, s->down.slab.free_count, s->down.slab.count);
	if (s->attached != NULL)
		s->attached(s->attached_arg);
}

/* False when nothing more is to be read. */
static bool sock_message(struct chan_server *s)
{
	int fds[ATTACH_MAX_FDS];
	struct attach_msg m;
	enum status st = attach_recv(s->sock, &m, fds);

	if (st == ST_AGAIN)
		return false;
	if (st != ST_OK) {
		link_leave(s, st == ST_CLOSED ? "it is gone" : status_text(st));
		return false;
	}
	if (m.type == ATTACH_HELLO && s->state == LINK_HELLO) {
		on_hello(s, &m, fds);
	} else {
		for (uint32_t i = 0; i < m.fd_count; i++)
			close(fds[i]);
		snap_answer(s, &m);
	}
	return s->state != LINK_LEAVING && s->state != LINK_OFF;
}

/* All of it: the poll reports an arrival, and two that come together only once. */
static void sock_drain(struct chan_server *s)
{
	for (uint32_t i = 0; i < SOCK_MESSAGES; i++)
		if (!sock_message(s))
			return;
	link_leave(s, "it talks without end");
}

static void sock_ready(struct loop_op *op, int result)
{
	struct chan_server *s = op->arg;

	if (s->state == LINK_LEAVING) {
		if (!op->more)
			leave_done(s);
		return;
	}
	if (result < 0)
		link_leave(s, "its socket cannot be watched");
	else
		sock_drain(s);
	if (op->active)
		return;
	if (s->state == LINK_LEAVING)
		leave_done(s);
	else if (s->state != LINK_OFF)
		loop_poll(s->loop, op, s->sock, POLLIN, true);
}

static void try_attach(struct loop_timer *t)
{
	struct chan_server *s = t->arg;
	enum status st;

	if (s->state != LINK_OFF)
		return; /* a look at a full ring: the round does it */
	st = attach_connect(s->path, &s->sock);
	if (st != ST_OK) {
		if (!s->said_away)
			log_info("channel", "no dataplane at %s (%s); trying again", s->path,
			         status_text(st));
		s->said_away = true;
		retry_later(s);
		return;
	}
	s->state = LINK_HELLO;
	loop_poll(s->loop, &s->sock_op, s->sock, POLLIN, true);
}

/* --- leave --- */

static void leave_done(void *arg)
{
	struct chan_server *s = arg;

	if (s->state != LINK_LEAVING || !s->quiet || s->sock_op.active || s->wait_op.active)
		return;
	unmap(s);
	retry_later(s);
}

static void leave_quiet(void *arg)
{
	struct chan_server *s = arg;

	s->quiet = true;
	leave_done(s);
}

void link_leave(struct chan_server *s, const char *why)
{
	bool served = s->state == LINK_SERVING;

	if (s->state == LINK_LEAVING || s->state == LINK_OFF)
		return;
	if (served)
		log_warn("channel", "left the dataplane: %s", why);
	s->state = LINK_LEAVING;
	s->quiet = false;
	loop_timer_cancel(s->loop, &s->timer);
	snap_fail(s, ST_CLOSED, "the dataplane is away");
	queries_fail(s, ST_CLOSED);
	fetcher_detached(s->ctl->fetcher);
	loop_cancel(s->loop, &s->sock_op);
	loop_cancel(s->loop, &s->wait_op);
	/* The kernel may be writing into the slab, or sending from it: unmap after the last
	 * callback. */
	upstreams_drop(s->ctl->upstreams, leave_quiet, s);
}

enum status chan_server_start(struct control *ctl, struct chan_server **out)
{
	struct chan_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ST_NOMEM;
	if (asprintf(&s->path, "%s/dataplane.sock", ctl->config->run_dir) < 0) {
		free(s);
		return ST_NOMEM;
	}
	if (purges_create(s) != ST_OK) {
		free(s->path);
		free(s);
		return ST_NOMEM;
	}
	s->ctl = ctl;
	s->loop = ctl->loop;
	s->sock = -1;
	s->wait_fd = -1;
	s->backoff_ns = BACKOFF_MIN_NS;
	s->timer = (struct loop_timer){.fn = try_attach, .arg = s};
	s->snap_timer.arg = s;
	s->sock_op = (struct loop_op){.fn = sock_ready, .arg = s};
	s->wait_op = (struct loop_op){.fn = wait_ready, .arg = s};
	pthread_mutex_init(&s->map_lock, NULL);
	struct loop_hook hook = {hook_poll, hook_sleep, hook_awake, s};
	loop_set_hook(s->loop, &hook);
	loop_timer_set(s->loop, &s->timer, loop_now_ns(s->loop));
	chan_server_watch_purges(s);
	*out = s;
	return ST_OK;
}

void chan_server_stop(struct chan_server *s)
{
	s->stopping = true;
	link_leave(s, "stopping");
	loop_timer_cancel(s->loop, &s->timer);
	/* Cancelled operations always come back; the kernel holds the slabs until then. */
	while (s->state != LINK_OFF)
		loop_once(s->loop, 10 * NS_PER_MS);
	loop_timer_cancel(s->loop, &s->timer);
	loop_set_hook(s->loop, NULL);
	pthread_mutex_destroy(&s->map_lock);
	purges_destroy(s);
	free(s->path);
	free(s);
}

/* --- reports --- */

void chan_server_watch(struct chan_server *s, chan_attached_fn fn, void *arg)
{
	s->attached = fn;
	s->attached_arg = arg;
}

bool chan_server_attached(const struct chan_server *s)
{
	return s->state == LINK_SERVING;
}

uint32_t chan_server_cores(const struct chan_server *s)
{
	return s->state == LINK_SERVING ? s->cores : 0;
}

uint64_t chan_server_generation(const struct chan_server *s)
{
	return s->state == LINK_SERVING ? s->generation : 0;
}

uint32_t chan_server_dataplane_pid(const struct chan_server *s)
{
	return s->state == LINK_SERVING ? s->dataplane_pid : 0;
}

bool chan_server_stats(struct chan_server *s, uint32_t core, struct core_stats *out)
{
	bool ok;

	pthread_mutex_lock(&s->map_lock);
	ok = s->mapped && core < s->ch.geo.cores;
	if (ok)
		memcpy(out, chan_stats(&s->ch, core), sizeof(*out));
	pthread_mutex_unlock(&s->map_lock);
	return ok;
}

void chan_server_counts(const struct chan_server *s, struct chan_server_counts *out)
{
	*out = s->counts;
	out->bogus_releases = s->down.bogus;
	out->recv_buffers = s->bufs != NULL ? loop_bufs_ready(s->bufs) : 0;
}
