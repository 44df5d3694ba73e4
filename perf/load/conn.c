/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections of a worker: requests out, answers in, what went wrong, when to try again. */
#include "perf/load/worker.h"

#include <stdlib.h>

#define BACK_OFF_FIRST_NS NS_PER_MS
#define BACK_OFF_MAX_NS   NS_PER_S
#define BACK_OFF_DOUBLES  10u

/* --- counting --- */

/* Where a request is counted beside its stage; NULL when there is only one kind. */
static struct load_part *endpoint_part(const struct worker *w, const struct pending *p)
{
	if (w->scenario->endpoint_count <= 1 || p->stage == WORKER_WARMUP)
		return NULL;
	return &w->result->endpoints[p->endpoint];
}

static void part_answer(struct load_part *part, const struct http_answer *a)
{
	struct load_counts *n = &part->counts;

	n->answered++;
	n->bytes_in += a->bytes;
	n->status[a->status]++;
	n->cache_known += a->cache_known;
	n->hits += a->hit;
}

static void answer_count(struct worker *w, const struct pending *p, const struct http_answer *a,
                         uint64_t now_ns)
{
	const struct load_endpoint *e = &w->scenario->endpoints[p->endpoint];
	struct load_part *parts[2] = {w->parts[p->stage], endpoint_part(w, p)};
	bool wrong = a->status < e->status_from || a->status > e->status_to;
	/* The clock of a batch may have been read before the request was made. */
	uint64_t latency_ns = now_ns > p->intended_ns ? now_ns - p->intended_ns : 0;
	uint64_t service_ns = now_ns > p->sent_ns ? now_ns - p->sent_ns : 0;

	for (uint32_t i = 0; i < 2 && parts[i] != NULL; i++) {
		part_answer(parts[i], a);
		load_hist_add(&parts[i]->latency, latency_ns);
		if (w->two_times)
			load_hist_add(&parts[i]->service, service_ns);
		if (unlikely(wrong))
			parts[i]->counts.errors[LOAD_ERR_STATUS]++;
	}
}

void worker_error(struct worker *w, enum load_error e, uint64_t n)
{
	w->parts[w->stage_index]->counts.errors[e] += n;
}

/* Takes the oldest request off. */
static void pending_drop(struct conn *c)
{
	struct worker *w = c->w;

	c->head = c->head + 1 == w->depth ? 0 : c->head + 1;
	c->count--;
	w->under_way--;
}

/* What a request that timed out has waited is the least that its latency was. Left out, the slowest
 * of all would make the percentiles better. */
static void timeout_count(const struct worker *w, struct load_part *part, const struct pending *p)
{
	load_hist_add(&part->latency, w->now_ns - min_u64(w->now_ns, p->intended_ns));
	if (w->two_times)
		load_hist_add(&part->service, w->now_ns - min_u64(w->now_ns, p->sent_ns));
}

/* Everything under way on c failed. */
static void pendings_fail(struct conn *c, enum load_error e)
{
	struct worker *w = c->w;

	for (; c->count > 0; pending_drop(c)) {
		const struct pending *p = &c->ring[c->head];
		struct load_part *parts[2] = {w->parts[p->stage], endpoint_part(w, p)};

		for (uint32_t i = 0; i < 2 && parts[i] != NULL; i++) {
			parts[i]->counts.errors[e]++;
			if (e == LOAD_ERR_TIMEOUT)
				timeout_count(w, parts[i], p);
		}
	}
}

void conn_forget(struct conn *c)
{
	for (; c->count > 0; pending_drop(c)) {
		const struct pending *p = &c->ring[c->head];
		struct load_part *endpoint = endpoint_part(c->w, p);

		c->w->parts[p->stage]->counts.sent--;
		if (endpoint != NULL)
			endpoint->counts.sent--;
	}
}

/* --- coming and going --- */

static void conn_reset_state(struct conn *c)
{
	http_client_reset(&c->http);
	c->link = NULL;
	c->head = 0;
	c->sent = 0;
	c->last = false;
	c->blocked = false;
}

bool conn_connect(struct conn *c)
{
	struct worker *w = c->w;

	assert(c->state == CONN_CLOSED || c->state == CONN_WAITING);
	conn_reset_state(c);
	timer_cancel(&w->wakes, &c->wake);
	c->begun_ns = w->now_ns;
	c->link = w->ops->connect(w->transport, c);
	if (c->link == NULL) {
		w->no_room++;
		c->failures++;
		c->state = CONN_CLOSED;
		return false;
	}
	c->state = CONN_CONNECTING;
	w->connecting++;
	return true;
}

void conn_back_off(struct conn *c)
{
	struct worker *w = c->w;
	uint32_t doubles = min_u32(c->failures > 0 ? c->failures - 1 : 0, BACK_OFF_DOUBLES);
	uint64_t wait_ns = min_u64(BACK_OFF_FIRST_NS << doubles, BACK_OFF_MAX_NS);

	/* Spread, so that those that failed together do not come back together. */
	wait_ns = wait_ns / 2 + (uint64_t)((double)wait_ns * request_random(w->maker));
	c->state = CONN_WAITING;
	timer_set(&w->wakes, &c->wake, w->now_ns + wait_ns);
}

/* The link is gone, or has been let go: state, timers and counts follow; then its user decides. */
static void conn_down(struct conn *c)
{
	struct worker *w = c->w;

	if (c->state == CONN_CONNECTING)
		w->connecting--;
	else if (c->state == CONN_OPEN)
		w->open_count--;
	c->state = CONN_CLOSED;
	c->link = NULL;
	timer_cancel(&w->deadlines, &c->deadline);
	timer_cancel(&w->wakes, &c->wake);
	if (w->open)
		open_down(c);
	else
		users_down(c);
}

void conn_shut(struct conn *c)
{
	struct worker *w = c->w;

	/* What was pipelined behind an answer that ends the connection is not answered (RFC 9112
	 * 9.6). A user asks again, as if it had not been sent; a start of an open stage has
	 * failed. */
	if (w->open)
		pendings_fail(c, LOAD_ERR_CLOSED);
	else
		conn_forget(c);
	if (w->reset)
		w->ops->abort(w->transport, c->link);
	else
		w->ops->shut(w->transport, c->link);
	conn_down(c);
}

void conn_fail(struct conn *c, enum load_error e)
{
	struct worker *w = c->w;

	pendings_fail(c, e);
	c->failures++;
	w->ops->abort(w->transport, c->link);
	conn_down(c);
}

static void conn_connected(void *owner, uint64_t now_ns)
{
	struct conn *c = owner;
	struct worker *w = c->w;

	w->now_ns = now_ns;
	w->connecting--;
	w->open_count++;
	c->state = CONN_OPEN;
	w->parts[w->stage_index]->counts.connected++;
	if (w->open)
		open_next(c);
	else
		users_next(c, false);
}

/* --- requests --- */

/* The request with a field that says that it is the connection's last (RFC 9112 9.6). */
static struct span with_close(struct worker *w, struct span request)
{
	static const char field[] = "\r\nConnection: close";
	const char *line_end = memchr(request.ptr, '\r', request.len);
	size_t need = request.len + sizeof(field);

	if (line_end == NULL)
		return request;
	if (need > w->scratch_size) {
		char *p = realloc(w->scratch, pow2_ceil(need));

		if (p == NULL)
			return request;
		w->scratch = p;
		w->scratch_size = pow2_ceil(need);
	}
	size_t before = (size_t)(line_end - request.ptr);
	char *to = w->scratch;

	memcpy(to, request.ptr, before);
	memcpy(to + before, field, sizeof(field) - 1);
	memcpy(to + before + sizeof(field) - 1, line_end, request.len - before);
	return span_of(to, request.len + sizeof(field) - 1);
}

static void sent_count(struct worker *w, const struct pending *p, size_t len)
{
	struct load_part *parts[2] = {w->parts[p->stage], endpoint_part(w, p)};

	for (uint32_t i = 0; i < 2 && parts[i] != NULL; i++) {
		parts[i]->counts.sent++;
		parts[i]->counts.bytes_out += len;
	}
}

bool conn_send(struct conn *c, uint64_t intended_ns, uint32_t stage)
{
	struct worker *w = c->w;
	uint64_t most = w->scenario->requests_per_connection;
	struct made_request r;

	request_make(w->maker, c->index * w->workers + w->index, &r);
	bool last = most > 0 && c->sent + 1 >= most;
	struct span bytes = last ? with_close(w, r.bytes) : r.bytes;
	if (unlikely(!w->ops->send(w->transport, c->link, bytes.ptr, bytes.len))) {
		c->blocked = true;
		return false;
	}
	uint32_t at = c->head + c->count;
	struct pending *p = &c->ring[at >= w->depth ? at - w->depth : at];
	*p = (struct pending){
	        .intended_ns = intended_ns,
	        .sent_ns = w->now_ns,
	        .endpoint = (uint16_t)r.endpoint,
	        .method = (uint8_t)r.method,
	        .stage = (uint8_t)stage,
	};
	c->count++;
	c->sent++;
	c->last = last;
	w->under_way++;
	sent_count(w, p, bytes.len);
	/* Left running when the answer comes: most need it for the next request anyway. */
	if (!timer_is_set(&c->deadline))
		timer_set(&w->deadlines, &c->deadline, w->now_ns + w->scenario->timeout_ns);
	return true;
}

/* --- answers --- */

static void conn_next(struct conn *c)
{
	if (c->w->open)
		open_next(c);
	else
		users_next(c, true);
}

/* The oldest request is answered. False when that ended the connection. */
static bool answered(struct conn *c, const struct http_answer *a, uint64_t now_ns)
{
	struct worker *w = c->w;

	answer_count(w, &c->ring[c->head], a, now_ns);
	pending_drop(c);
	c->failures = 0;
	if (unlikely(!a->keep || (c->last && c->count == 0))) {
		conn_shut(c);
		return false;
	}
	struct link *link = c->link;

	conn_next(c);
	return c->link == link && c->state == CONN_OPEN;
}

static void conn_data(void *owner, const char *bytes, size_t len, uint64_t now_ns)
{
	struct conn *c = owner;
	struct worker *w = c->w;
	struct http_answer a;

	w->now_ns = now_ns;
	/* What answers lead to is not sent before this returns: the rest cannot answer that. */
	for (uint32_t owed = c->count; len > 0; owed--) {
		const struct pending *p = &c->ring[c->head];
		size_t used = 0;

		if (unlikely(owed == 0)) {
			if (c->count == 0)
				worker_error(w, LOAD_ERR_PROTOCOL, 1);
			conn_fail(c, LOAD_ERR_PROTOCOL);
			return;
		}
		enum http_read r = http_client_read(&c->http, &w->memos[p->endpoint % WORKER_MEMOS],
		                                    (enum http_method)p->method,
		                                    span_of(bytes, len), &used, &a);
		if (unlikely(r == HTTP_READ_BAD)) {
			conn_fail(c, LOAD_ERR_PROTOCOL);
			return;
		}
		if (r == HTTP_READ_MORE || !answered(c, &a, now_ns))
			return;
		bytes += used;
		len -= used;
	}
}

static void conn_room(void *owner, uint64_t now_ns)
{
	struct conn *c = owner;

	c->w->now_ns = now_ns;
	c->blocked = false;
	if (c->w->open)
		open_next(c);
	else
		users_next(c, false);
}

static enum load_error error_of(enum link_end why)
{
	switch (why) {
	case LINK_FINISHED:
		return LOAD_ERR_CLOSED;
	case LINK_RESET:
		return LOAD_ERR_RESET;
	case LINK_TIMED_OUT:
		return LOAD_ERR_TIMEOUT;
	case LINK_REFUSED:
	case LINK_UNREACHABLE:
		return LOAD_ERR_CONNECT;
	}
	return LOAD_ERR_CONNECT;
}

static void connect_failed(struct conn *c)
{
	struct worker *w = c->w;

	c->failures++;
	worker_error(w, LOAD_ERR_CONNECT, 1);
	if (w->open)
		open_connect_failed(w);
	conn_down(c);
}

static void conn_ended(void *owner, enum link_end why, uint64_t now_ns)
{
	struct conn *c = owner;
	struct worker *w = c->w;
	struct http_answer a;

	w->now_ns = now_ns;
	if (c->state == CONN_CONNECTING) {
		connect_failed(c);
		return;
	}
	/* A body that the end of the connection delimits (RFC 9112 6.3). */
	if (why == LINK_FINISHED && c->count > 0 && http_client_eof(&c->http, &a)) {
		answer_count(w, &c->ring[c->head], &a, now_ns);
		pending_drop(c);
		c->failures = 0;
	}
	/* Also a server that takes connections only to end them is not to be asked without pause. */
	if (c->count > 0 || c->sent == 0)
		c->failures++;
	pendings_fail(c, error_of(why));
	conn_down(c);
}

void conn_deadline_passed(struct conn *c)
{
	struct worker *w = c->w;

	if (c->count == 0)
		return;
	uint64_t due_ns = c->ring[c->head].sent_ns + w->scenario->timeout_ns;

	if (due_ns > w->now_ns)
		timer_set(&w->deadlines, &c->deadline, due_ns);
	else
		conn_fail(c, LOAD_ERR_TIMEOUT);
}

const struct transport_sink conn_sink = {
        .connected = conn_connected,
        .data = conn_data,
        .room = conn_room,
        .ended = conn_ended,
};
