/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/req/req.h"

#include "dataplane/path.h"

#define REQ_RUN_MAX 64u /* pipelined requests in one turn of a connection */

struct req *req_get(struct core *core, struct conn *conn)
{
	struct req *req = pool_get(&core->reqs);

	if (unlikely(req == NULL))
		return NULL;
	memset(req, 0, REQ_CLEARED_BYTES);
	req->conn = conn;
	req->served = idle_served(conn);
	req->slot = UINT32_MAX;
	req->head_block = CHAN_NO_BLOCK;
	tcp_set_owner(conn, req);
	return req;
}

static void req_let_go(struct core *core, struct req *req)
{
	if (req->parked)
		miss_unpark(core, req);
	if (req->slot != UINT32_MAX)
		miss_cancel(core, req);
	if (req->fill.obj != NULL) {
		hot_fill_abort(req->fill.table, &req->fill);
		counter_inc(core->ctr, CTR_cache_fill_dropped);
	}
}

void req_put(struct core *core, struct req *req)
{
	req_let_go(core, req);
	tcp_set_owner(req->conn, NULL);
	pool_put(&core->reqs, req);
}

/* Ready for the next request of the connection. */
static void req_again(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;
	uint32_t served = req->served + 1;
	bool fin = req->fin;

	req_let_go(core, req);
	memset(req, 0, REQ_CLEARED_BYTES);
	req->conn = conn;
	req->served = served;
	req->fin = fin;
	req->slot = UINT32_MAX;
	req->head_block = CHAN_NO_BLOCK;
}

void req_deadline(struct core *core, struct req *req, uint32_t ms)
{
	req->deadline_ns = core->now_ns + ms * NS_PER_MS;
	tcp_user_timer(core->tcp, req->conn, req->deadline_ns);
}

/* The answer is under way: fine as long as the client acknowledges bytes. */
static void send_timeout(struct core *core, struct req *req)
{
	uint32_t queued = tcp_tx_queued(req->conn);

	if (queued > 0 && req->queued_mark > 0 && send_progress(req->queued_mark, queued)) {
		req->queued_mark = queued;
		req_deadline(core, req, core->snap->timeouts.send_ms);
		return;
	}
	if (queued == 0 && req->queued_mark > 0) {
		/* All was taken: now it is the origin that is slow; it gets its own time. */
		req->queued_mark = 0;
		req_deadline(core, req, core->snap->timeouts.miss_ms);
		return;
	}
	tcp_abort(core->tcp, req->conn);
	req_put(core, req);
}

void req_timeout(void *arg, struct conn *conn, uint64_t now_ns)
{
	struct core *core = arg;
	struct req *req = req_of(conn);

	(void)now_ns;
	if (req == NULL || (req->deadline_ns == 0 && req->stage == REQ_READ)) {
		idle_timeout(core, conn, req);
		return;
	}
	if (core->now_ns < req->deadline_ns) {
		tcp_user_timer(core->tcp, conn, req->deadline_ns);
		return;
	}
	if (req->head_sent) {
		send_timeout(core, req);
		return;
	}
	unsigned status = 504;
	if (req->parked) {
		status = 503;
		counter_inc(core->ctr,
		            core->chan.epoch == 0 ? CTR_shed_no_control : CTR_shed_channel_full);
	} else if (req->stage == REQ_READ || (req->uploading && !req->starved)) {
		status =
		        408; /* the client owes bytes; else it is control that does not take them */
		counter_inc(core->ctr, CTR_http_limit);
	}
	if (status == 504 && miss_stale(core, req, true))
		return;
	req->keep_alive = false;
	req_let_go(core, req);
	reply_error(core, req, status);
	tcp_wake(core->tcp, conn, 0);
}

void req_release(void *arg, uint64_t cookie)
{
	struct core *core = arg;

	if (cookie & COOKIE_HOT)
		hot_view_unpin(core->view, cookie & ~COOKIE_HOT);
	else
		miss_release_down(core, (uint32_t)cookie);
}

static enum req_next req_step(struct core *core, struct req *req)
{
	if (req->answered)
		return REQ_DONE;
	switch (req->stage) {
	case REQ_READ:
		return http_read(core, req);
	case REQ_ROUTE:
		return req_route(core, req);
	case REQ_PREPARE:
		return req_prepare(core, req);
	case REQ_LOOKUP:
		return req_lookup(core, req);
	case REQ_SUBMIT:
		return miss_submit(core, req);
	case REQ_ANSWER:
		return miss_upload(core, req);
	}
	return REQ_CLOSE;
}

/* The answer is complete. True: the connection may go on with its next request. */
static bool req_finish(struct core *core, struct req *req)
{
	struct conn *conn = req->conn;

	if (!req->keep_alive || req->uploading || core->draining || tcp_rx_eof(conn)) {
		if (core->draining)
			counter_inc(core->ctr, CTR_shed_draining);
		req_put(core, req);
		tcp_close(core->tcp, conn, core->now_ns);
		return false;
	}
	if (tcp_rx(conn).len > 0) {
		req_again(core, req);
		return true;
	}
	uint32_t served = req->served + 1;
	req_put(core, req);
	if (core->snap->limits.requests_per_connection > 0)
		idle_begin(conn, served);
	return false;
}

/* Runs stages from what the last one said; true when the request is answered and the next one may
 * begin. */
static bool req_stages(struct core *core, struct req *req, enum req_next next)
{
	struct conn *conn = req->conn;

	while (next == REQ_NEXT)
		next = req_step(core, req);
	if (next == REQ_DONE)
		return req_finish(core, req);
	if (next == REQ_CLOSE) {
		req_put(core, req);
		tcp_close(core->tcp, conn, core->now_ns);
	}
	return false;
}

/* This request to its end, and those behind it. */
static void req_go(struct core *core, struct req *req, enum req_next next)
{
	struct conn *conn = req->conn;

	for (uint32_t i = 0; i < REQ_RUN_MAX; i++) {
		if (!req_stages(core, req, next))
			return;
		next = REQ_NEXT;
	}
	/* A client that pipelines without end does not keep the others waiting. */
	tcp_wake(core->tcp, conn, 0);
}

static void no_request(struct core *core, struct conn *conn, uint32_t events)
{
	bool late =
	        core->draining && (events & TCP_EV_OPEN); /* its handshake outlived the listener */

	if (!tcp_rx_eof(conn) && !late)
		return;
	if (late)
		counter_inc(core->ctr, CTR_shed_draining);
	tcp_set_owner(conn, NULL);
	tcp_close(core->tcp, conn, core->now_ns);
}

/* The request that the news is for, or NULL when there is none to run. */
static struct req *req_find(struct core *core, struct conn *conn, uint32_t events)
{
	struct req *req = req_of(conn);

	if (unlikely(events & TCP_EV_CLOSED)) {
		if (req != NULL)
			req_put(core, req);
		return NULL;
	}
	if (req != NULL)
		return req;
	if (unlikely(events & TCP_EV_OPEN))
		tcp_user_timer(core->tcp, conn,
		               core->now_ns + core->snap->timeouts.idle_ms * NS_PER_MS);
	if (tcp_rx(conn).len == 0) {
		no_request(core, conn, events);
		return NULL;
	}
	req = req_get(core, conn);
	if (unlikely(req == NULL)) {
		counter_inc(core->ctr, CTR_shed_requests);
		tcp_abort(core->tcp, conn);
	}
	return req;
}

bool req_begin(struct core *core, struct turn *turn, uint32_t events)
{
	struct req *req = req_find(core, turn->conn, events);
	enum req_next next = REQ_NEXT;

	if (req == NULL)
		return false;
	if (unlikely(events & TCP_EV_EOF))
		req->fin = true;
	core->turn = turn;
	core->http = &turn->http;
	if (likely(req->stage == REQ_READ && !req->answered)) {
		next = http_read(core, req);
		if (likely(next == REQ_NEXT))
			next = req_route(core, req);
		if (likely(next == REQ_NEXT && req->stage == REQ_PREPARE))
			next = req_prepare(core, req);
		if (likely(next == REQ_NEXT))
			return true;
	}
	req_go(core, req, next);
	return false;
}

void req_resume(struct core *core, struct turn *turn)
{
	core->turn = turn;
	core->http = &turn->http;
	req_go(core, req_of(turn->conn), REQ_NEXT);
}

static void burst_resume(struct core *core, uint32_t n)
{
	for (uint32_t i = 0; i < n && n > 1; i++)
		hot_view_prefetch_object(core->view, core->turns[i].key.hash);
	for (uint32_t i = 0; i < n; i++) {
		req_resume(core, &core->turns[i]);
		tcp_ready_done(core->tcp, core->turns[i].conn, core->now_ns);
	}
}

uint32_t req_burst(struct core *core)
{
	uint32_t count = 0;
	uint32_t n = 0;
	struct conn *conn;
	uint32_t events;

	for (; n < CORE_TURNS && (conn = tcp_ready(core->tcp, &events)) != NULL; count++) {
		/* A head in pieces is joined in TCP's scratch, of which there is one: it has its
		 * turn behind those that came before it, and alone. */
		bool pieces = tcp_rx_len(conn) > tcp_rx(conn).len;

		if (unlikely(pieces)) {
			burst_resume(core, n);
			n = 0;
		}
		core->turns[n].conn = conn;
		if (likely(req_begin(core, &core->turns[n], events)))
			n++;
		else
			tcp_ready_done(core->tcp, conn, core->now_ns);
		if (unlikely(pieces)) {
			burst_resume(core, n);
			n = 0;
		}
	}
	burst_resume(core, n);
	return count;
}
