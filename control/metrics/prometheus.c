/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/metrics/prometheus.h"

#include "control/metrics/metrics_page.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PUBLISH_MS = 250,
	CONNECTIONS_MAX = 64,
	TIMEOUT_S = 10, /* of a client that is slow or silent */
};

struct metrics {
	struct control *ctl;
	struct chan_server *chan;
	struct MHD_Daemon *daemon;
	struct loop_timer timer;
	uint64_t drained;     /* generation of the dataplane that drains; 0: none */
	pthread_mutex_t lock; /* of view */
	struct metrics_view view;
};

struct answer {
	unsigned status;
	const char *type;
	char *text; /* malloc'd */
	size_t len;
};

/* On the loop's thread. The old copy is freed outside of the lock. */
static void publish(struct metrics *m)
{
	struct metrics_view fresh;
	struct metrics_view old;

	if (metrics_view_read(m->ctl, &fresh) != ST_OK)
		return;
	if (fresh.attached && m->drained == chan_server_generation(m->chan))
		fresh.draining = true;
	pthread_mutex_lock(&m->lock);
	old = m->view;
	m->view = fresh;
	pthread_mutex_unlock(&m->lock);
	metrics_view_free(&old);
}

/* A scrape right after the attachment sees its cores. */
static void on_attached(void *arg)
{
	publish(arg);
}

static void on_timer(struct loop_timer *t)
{
	struct metrics *m = t->arg;
	struct loop *loop = m->ctl->loop;

	publish(m);
	loop_timer_set(loop, t, loop_now_ns(loop) + PUBLISH_MS * NS_PER_MS);
}

/* On the metrics thread: what the loop published last. */
static enum status view_take(struct metrics *m, struct metrics_view *out)
{
	pthread_mutex_lock(&m->lock);
	enum status st = metrics_view_copy(&m->view, out);

	pthread_mutex_unlock(&m->lock);
	return st;
}

/* The dataplane may have gone since the loop published: then it is not up, whatever the view says.
 */
static enum status reading_take(struct metrics *m, struct metrics_view *view, struct summary *s)
{
	enum status st = view_take(m, view);

	if (st != ST_OK)
		return st;
	st = summary_collect(s, m->chan, view->cores);
	if (st == ST_CLOSED) {
		view->attached = false;
		view->cores = 0;
		view->down_blocks_free = 0;
		st = ST_OK;
	}
	if (st != ST_OK)
		metrics_view_free(view);
	return st;
}

static struct answer plain(unsigned status, const char *text)
{
	struct answer a = {status, "text/plain; charset=utf-8", strdup(text), strlen(text)};

	return a;
}

static struct answer page_text(const struct metrics_view *view, const struct summary *s)
{
	struct text_page page = {0};

	metrics_page(&page, view, s);
	if (page.failed) {
		free(page.text);
		page.text = NULL;
	}
	return (struct answer){MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", page.text,
	                       page.len};
}

static struct answer page_json(const struct metrics_view *view, const struct summary *s)
{
	json_t *json = summary_json(s, view->attached);
	char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(json);
	return (struct answer){MHD_HTTP_OK, "application/json", text, text ? strlen(text) : 0};
}

static struct answer metrics_answer(struct metrics *m, bool json)
{
	struct metrics_view view;
	struct summary s;

	if (reading_take(m, &view, &s) != ST_OK)
		return (struct answer){0};
	struct answer a = json ? page_json(&view, &s) : page_text(&view, &s);

	summary_free(&s);
	metrics_view_free(&view);
	return a;
}

static struct answer ready_answer(struct metrics *m)
{
	pthread_mutex_lock(&m->lock);
	bool attached = m->view.attached;
	bool draining = m->view.draining;

	pthread_mutex_unlock(&m->lock);
	if (!attached)
		return plain(MHD_HTTP_SERVICE_UNAVAILABLE, "no dataplane is attached\n");
	if (draining)
		return plain(MHD_HTTP_SERVICE_UNAVAILABLE, "draining or stopping\n");
	return plain(MHD_HTTP_OK, "ready\n");
}

static struct answer list_answer(struct metrics *m)
{
	struct answer a = {MHD_HTTP_OK, "text/plain; charset=utf-8", NULL, 0};

	if (m->ctl->warm != NULL)
		a.text = warm_list_copy(m->ctl->warm, &a.len);
	return a.text != NULL ? a
	                      : plain(MHD_HTTP_NOT_FOUND,
	                              "There is no hot list, or cache.warm.share is off\n");
}

static struct answer url_answer(struct metrics *m, const char *url)
{
	if (strcmp(url, "/metrics") == 0)
		return metrics_answer(m, false);
	if (strcmp(url, "/metrics.json") == 0)
		return metrics_answer(m, true);
	if (strcmp(url, "/healthz") == 0)
		return plain(MHD_HTTP_OK, "ok\n");
	if (strcmp(url, "/readyz") == 0)
		return ready_answer(m);
	if (strcmp(url, "/hot-list") == 0)
		return list_answer(m);
	return plain(MHD_HTTP_NOT_FOUND,
	             "There are /metrics, /metrics.json, /healthz, /readyz, /hot-list\n");
}

static enum MHD_Result answer_queue(struct MHD_Connection *connection, struct answer *a)
{
	if (!a->text)
		return MHD_NO; /* out of memory: the connection closes */
	struct MHD_Response *r =
	        MHD_create_response_from_buffer(a->len, a->text, MHD_RESPMEM_MUST_FREE);

	if (!r) {
		free(a->text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result rc = MHD_queue_response(connection, a->status, r);

	MHD_destroy_response(r);
	return rc;
}

/* Called by libmicrohttpd: first with the head, then with pieces of a body, which are ignored, and
 * last with none. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_len, void **seen)
{
	static char marker;
	struct answer a;

	(void)version;
	(void)body;
	if (!*seen) {
		*seen = &marker;
		return MHD_YES;
	}
	if (*body_len > 0) {
		*body_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		a = plain(MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	else
		a = url_answer(arg, url);
	return answer_queue(connection, &a);
}

static bool address_parse(const struct config_admin *cfg, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, cfg->metrics_address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(cfg->metrics_port);
		return true;
	}
	if (inet_pton(AF_INET6, cfg->metrics_address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(cfg->metrics_port);
		return true;
	}
	return false;
}

static enum status daemon_start(struct metrics *m, const struct config_admin *cfg)
{
	struct sockaddr_storage addr;
	unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD;

	if (!address_parse(cfg, &addr)) {
		log_error("metrics", "admin.metrics_address %s is no IP address",
		          cfg->metrics_address);
		return ST_INVALID;
	}
	if (addr.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	/* Not with MHD_OPTION_LISTENING_ADDRESS_REUSE: that is SO_REUSEPORT, and two that were
	 * given the same port by mistake would share its scrapes without a word. */
	m->daemon = MHD_start_daemon(
	        flags, cfg->metrics_port, NULL, NULL, on_request, m, MHD_OPTION_SOCK_ADDR,
	        (struct sockaddr *)&addr, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
	if (m->daemon)
		return ST_OK;
	log_error("metrics", "cannot listen on %s port %u; is it in use? See admin.metrics_port",
	          cfg->metrics_address, cfg->metrics_port);
	return ST_IO;
}

enum status metrics_start(struct control *ctl, struct metrics **out)
{
	*out = NULL;
	if (ctl->config->admin.metrics_port == 0)
		return ST_OK;
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return ST_NOMEM;
	m->ctl = ctl;
	m->chan = ctl->chan;
	m->timer = (struct loop_timer){.fn = on_timer, .arg = m};
	pthread_mutex_init(&m->lock, NULL);
	publish(m);
	enum status st = daemon_start(m, &ctl->config->admin);

	if (st != ST_OK)
		goto free_view;
	on_timer(&m->timer);
	chan_server_watch(m->chan, on_attached, m);
	*out = m;
	return ST_OK;
free_view:
	metrics_view_free(&m->view);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return st;
}

void metrics_drained(struct metrics *m, uint64_t generation)
{
	if (!m)
		return;
	m->drained = generation;
	publish(m);
}

void metrics_stop(struct metrics *m)
{
	if (!m)
		return;
	chan_server_watch(m->chan, NULL, NULL);
	loop_timer_cancel(m->ctl->loop, &m->timer);
	MHD_stop_daemon(m->daemon);
	metrics_view_free(&m->view);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
