/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hot list of a peer, by HTTP/1.0 from its admin.metrics_address, in a thread: names are looked
 * up and a peer may be slow. Nothing that it sends is believed: a status other than 200, a list
 * that is too long, torn or none, and one that comes too late are all no list. */
#include "control/warm_private.h"

#include "lib/clock.h"
#include "lib/resolve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_MAX 8192u
#define LOOK_MS  100 /* until a stop is heeded */

struct get {
	struct warm_peer *p;
	uint64_t end_ns;
	int fd;
	char *buf; /* head and body */
	size_t len;
	size_t room;
};

static bool trouble(struct get *g, const char *text)
{
	snprintf(g->p->trouble, sizeof(g->p->trouble), "%s", text);
	return false;
}

/* Until the socket is ready. */
static bool ready(struct get *g, short events)
{
	struct pollfd pfd = {.fd = g->fd, .events = events};

	while (!atomic_load(&g->p->stop)) {
		if (clock_mono_ns() >= g->end_ns)
			return trouble(g, "it did not answer in time (cache.warm.peer_ms)");
		int n = poll(&pfd, 1, LOOK_MS);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return trouble(g, strerror(errno));
	}
	return trouble(g, "this process stops");
}

static bool get_connect(struct get *g)
{
	struct sockaddr_storage sa;
	socklen_t len;
	char error[128];
	int err = 0;
	socklen_t err_len = sizeof(err);

	if (resolve_address(g->p->address, &sa, &len, error) != ST_OK)
		return trouble(g, error);
	g->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->fd < 0)
		return trouble(g, strerror(errno));
	if (connect(g->fd, (struct sockaddr *)&sa, len) == 0)
		return true;
	if (errno != EINPROGRESS)
		return trouble(g, strerror(errno));
	if (!ready(g, POLLOUT))
		return false;
	if (getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &err, &err_len) != 0 || err != 0)
		return trouble(g, strerror(err != 0 ? err : errno));
	return true;
}

static bool get_send(struct get *g)
{
	char text[WARM_NAME_MAX + 128];
	size_t len = (size_t)snprintf(text, sizeof(text),
	                              "GET /hot-list HTTP/1.0\r\nHost: %s\r\n"
	                              "User-Agent: sluice\r\nConnection: close\r\n\r\n",
	                              g->p->address);

	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(g->fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return trouble(g, strerror(errno));
		else if (!ready(g, POLLOUT))
			return false;
	}
	return true;
}

static bool get_grow(struct get *g)
{
	uint64_t most = g->p->max_bytes + HEAD_MAX;
	size_t room = (size_t)min_u64(most + 1, max_u64(65536, 2ull * g->room));
	char *bigger;

	if (g->len < g->room)
		return true;
	if (g->room > most)
		return trouble(g, "its list is longer than cache.warm.peer_bytes");
	bigger = realloc(g->buf, room);
	if (bigger == NULL)
		return trouble(g, "out of memory");
	g->buf = bigger;
	g->room = room;
	return true;
}

/* Head and body have so many bytes; 0: the head is not whole, or does not say. */
static uint64_t whole_bytes(const struct get *g)
{
	struct http_response_head head;
	struct http_framing framing;
	size_t head_len;

	if (http1_parse_response(g->buf, g->len, &head, &head_len) != HTTP_SCAN_DONE)
		return 0;
	framing = http1_response_framing(&head.fields, head.minor, HTTP_GET, head.status);
	return framing.kind == HTTP_BODY_LENGTH ? head_len + (uint64_t)framing.length : 0;
}

/* Until all is there, or the connection ends. */
static bool get_read(struct get *g)
{
	uint64_t whole = 0;

	while (whole == 0 || g->len < whole) {
		size_t before = g->len;
		ssize_t n;

		if (!get_grow(g) || !ready(g, POLLIN))
			return false;
		n = recv(g->fd, g->buf + g->len, g->room - g->len, 0);
		if (n == 0)
			return true;
		if (n > 0)
			g->len += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return trouble(g, strerror(errno));
		if (whole == 0 && before <= HEAD_MAX) /* the head ends in what came now, or later */
			whole = whole_bytes(g);
	}
	return true;
}

/* The body goes to the front of buf. */
static bool get_parse(struct get *g)
{
	struct http_response_head head;
	struct http_framing framing;
	size_t head_len;
	char text[96];

	if (http1_parse_response(g->buf, g->len, &head, &head_len) != HTTP_SCAN_DONE ||
	    head_len > HEAD_MAX)
		return trouble(g, "what answers there does not speak HTTP");
	if (head.status != 200) {
		snprintf(text, sizeof(text), "it answers %u; is cache.warm.share on there?",
		         head.status);
		return trouble(g, text);
	}
	framing = http1_response_framing(&head.fields, head.minor, HTTP_GET, head.status);
	g->len -= head_len;
	if (framing.kind == HTTP_BODY_LENGTH && (uint64_t)framing.length > g->len)
		return trouble(g, "its answer broke off");
	if (framing.kind == HTTP_BODY_LENGTH)
		g->len = (size_t)framing.length;
	else if (framing.kind != HTTP_BODY_CLOSE)
		return trouble(g, "its answer has no list, or in a coding that was not asked for");
	if (g->len > g->p->max_bytes)
		return trouble(g, "its list is longer than cache.warm.peer_bytes");
	memmove(g->buf, g->buf + head_len, g->len);
	return true;
}

static void peer_work(struct warm_worker *k)
{
	struct warm_peer *p = container_of(k, struct warm_peer, worker);
	struct get g = {
	        .p = p,
	        .fd = -1,
	        .end_ns = clock_mono_ns() + p->timeout_ms * NS_PER_MS,
	};

	if (get_connect(&g) && get_send(&g) && get_read(&g) && get_parse(&g)) {
		const char *wrong = warm_list_take(&p->list, g.buf, g.len);

		if (wrong != NULL)
			trouble(&g, wrong);
	} else {
		free(g.buf);
	}
	if (g.fd >= 0)
		close(g.fd);
}

bool warm_peer_start(struct warm *w, struct warm_job *j, const char *peer)
{
	const struct config_warm *cfg = &w->ctl->config->cache.warm;
	struct warm_peer *p = &w->peer;

	p->job = j;
	p->timeout_ms = cfg->peer_ms;
	p->max_bytes = cfg->peer_bytes;
	p->list = (struct warm_list){0};
	p->trouble[0] = '\0';
	if (strncmp(peer, "http://", 7) == 0)
		peer += 7;
	snprintf(p->address, sizeof(p->address), "%s", peer);
	if (strchr(p->address, '/') != NULL)
		*strchr(p->address, '/') = '\0';
	j->fetching = warm_worker_start(&p->worker, peer_work);
	return j->fetching;
}

void warm_peer_look(struct warm *w)
{
	struct warm_peer *p = &w->peer;

	if (!warm_worker_ended(&p->worker))
		return;
	p->job->fetching = false;
	if (p->list.text != NULL)
		warm_job_list(p->job, &p->list);
	else
		warm_job_no_list(p->job, p->trouble);
}

void warm_peer_stop(struct warm *w)
{
	struct warm_peer *p = &w->peer;

	if (!p->worker.running)
		return;
	atomic_store(&p->stop, true);
	pthread_join(p->worker.thread, NULL);
	p->worker.running = false;
	free(p->list.text);
}
