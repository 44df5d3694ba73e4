/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/attach.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/chan_attach.h"
#include "lib/log.h"

#define PEER_MESSAGES 16u /* in one step */

struct attach {
	struct attach_config cfg;
	char path[108];
	int listen_fd;
	int peer_fd;           /* -1: no control plane */
	uint32_t epoch;        /* of the last attachment */
	struct snapshot *used; /* every core uses it */
	struct snapshot *next; /* some cores may use it already; NULL: none pending */
};

enum status attach_create(struct attach **out, const struct attach_config *cfg)
{
	struct attach *a = calloc(1, sizeof(*a));
	enum status st;
	int n;

	if (a == NULL)
		return ST_NOMEM;
	a->cfg = *cfg;
	a->peer_fd = -1;
	a->listen_fd = -1;
	a->used = cfg->snapshot;
	n = snprintf(a->path, sizeof(a->path), "%s/dataplane.sock", cfg->run_dir);
	if (n < 0 || (size_t)n >= sizeof(a->path)) {
		free(a);
		return ST_TOOBIG;
	}
	st = attach_listen(a->path, &a->listen_fd);
	if (st != ST_OK) {
		free(a);
		return st;
	}
	*out = a;
	return ST_OK;
}

void attach_destroy(struct attach *a)
{
	if (a->peer_fd >= 0)
		close(a->peer_fd);
	close(a->listen_fd);
	unlink(a->path);
	free(a->used);
	free(a->next);
	free(a);
}

unsigned attach_poll_fds(const struct attach *a, struct pollfd *fds)
{
	unsigned n = 0;

	fds[n++] = (struct pollfd){.fd = a->listen_fd, .events = POLLIN};
	if (a->peer_fd >= 0)
		fds[n++] = (struct pollfd){.fd = a->peer_fd, .events = POLLIN};
	return n;
}

bool attach_busy(const struct attach *a)
{
	return a->next != NULL;
}

static void tell_cores(struct attach *a, uint32_t epoch)
{
	for (uint32_t i = 0; i < a->cfg.core_count; i++)
		__atomic_store_n(&a->cfg.cores[i].attach_epoch, epoch, __ATOMIC_RELEASE);
}

static void peer_drop(struct attach *a, const char *why)
{
	log_warn("attach", "control is gone (%s); cached answers go on", why);
	close(a->peer_fd);
	a->peer_fd = -1;
	tell_cores(a, 0);
}

static void hello_send(struct attach *a)
{
	int fds[ATTACH_MAX_FDS];
	unsigned n = 0;
	struct attach_msg m = {
	        .type = ATTACH_HELLO,
	        .version = CHAN_VERSION,
	        .n = a->cfg.chan->hdr->generation,
	        .epoch = a->epoch,
	};

	fds[n++] = a->cfg.chan->shm.fd;
	fds[n++] = a->cfg.control_fd;
	for (uint32_t i = 0; i < a->cfg.core_count; i++)
		fds[n++] = a->cfg.core_fds[i];
	m.fd_count = n;
	if (attach_send(a->peer_fd, &m, fds) != ST_OK)
		peer_drop(a, "it took no greeting");
	else
		tell_cores(a, a->epoch);
}

static void peer_accept(struct attach *a)
{
	int fd = accept4(a->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (a->peer_fd >= 0) {
		/* One at a time: the ring has one other end. A dead one is noticed before this. */
		log_warn("attach", "refused a second control plane");
		close(fd);
		return;
	}
	a->peer_fd = fd;
	a->epoch++;
	__atomic_store_n(&a->cfg.chan->hdr->attach_epoch, a->epoch, __ATOMIC_RELEASE);
	hello_send(a);
}

static void answer(struct attach *a, uint32_t type, uint64_t id, const char *text)
{
	struct attach_msg m = {.type = type, .version = CHAN_VERSION, .n = id};

	snprintf(m.text, sizeof(m.text), "%s", text);
	if (a->peer_fd >= 0 && attach_send(a->peer_fd, &m, NULL) != ST_OK)
		peer_drop(a, "it takes no messages");
}

/* Reads the sender's memfd into memory of our own: what was checked cannot change any more. */
static struct snapshot *snapshot_read(int fd, uint64_t len, const char **why)
{
	struct snapshot *s;
	struct stat sb;

	*why = "bad length";
	if (len < sizeof(*s) || len > SNAPSHOT_MAX_BYTES)
		return NULL;
	if (fstat(fd, &sb) != 0 || (uint64_t)sb.st_size < len)
		return NULL;
	*why = "out of memory";
	s = malloc(len);
	if (s == NULL)
		return NULL;
	*why = "cannot be read";
	if (pread(fd, s, len, 0) == (ssize_t)len) {
		*why = "its offsets do not hold";
		if (snapshot_check(s, len) == ST_OK)
			return s;
	}
	free(s);
	return NULL;
}

static void snapshot_input(struct attach *a, const struct attach_msg *m, int fd)
{
	const char *why = NULL;
	struct snapshot *s;

	if (a->next != NULL) {
		answer(a, ATTACH_SNAPSHOT_BAD, m->n, "another snapshot is being taken over");
		return;
	}
	s = snapshot_read(fd, m->len, &why);
	if (s == NULL) {
		answer(a, ATTACH_SNAPSHOT_BAD, m->n, why);
		return;
	}
	a->next = s;
	for (uint32_t i = 0; i < a->cfg.core_count; i++)
		__atomic_store_n(&a->cfg.cores[i].next_snapshot, s, __ATOMIC_RELEASE);
}

static void snapshot_settle(struct attach *a)
{
	if (a->next == NULL)
		return;
	for (uint32_t i = 0; i < a->cfg.core_count; i++)
		if (__atomic_load_n(&a->cfg.cores[i].used_snapshot, __ATOMIC_ACQUIRE) != a->next)
			return;
	free(a->used);
	a->used = a->next;
	a->next = NULL;
	log_info("attach", "every core uses configuration %016llx",
	         (unsigned long long)a->used->id);
	answer(a, ATTACH_SNAPSHOT_OK, a->used->id, "");
}

static void peer_input(struct attach *a)
{
	struct attach_msg m;
	int fds[ATTACH_MAX_FDS];

	/* A peer that talks without end does not keep signals from being read. */
	for (uint32_t i = 0; i < PEER_MESSAGES && a->peer_fd >= 0; i++) {
		enum status st = attach_recv(a->peer_fd, &m, fds);

		if (st == ST_AGAIN)
			return;
		if (st != ST_OK) {
			peer_drop(a, status_text(st));
			return;
		}
		if (m.type == ATTACH_SNAPSHOT && m.fd_count == 1)
			snapshot_input(a, &m, fds[0]);
		else
			log_warn("attach", "ignored a message of type %u", m.type);
		for (uint32_t f = 0; f < m.fd_count; f++)
			close(fds[f]);
	}
}

void attach_step(struct attach *a)
{
	if (a->peer_fd >= 0)
		peer_input(a);
	peer_accept(a);
	snapshot_settle(a);
}
