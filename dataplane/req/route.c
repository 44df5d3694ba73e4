/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The first two stages: is the head complete and sound, and which route takes it. */
#include "dataplane/path.h"

static enum req_next refuse(struct core *core, struct req *req, unsigned status)
{
	bool limit = status == 413 || status == 414 || status == 431 || status == 408;

	counter_inc(core->ctr, limit ? CTR_http_limit : CTR_http_bad);
	req->keep_alive = false;
	return reply_error(core, req, status);
}

/* The client does not read as fast as it asks: its next request waits for room in its send queue,
 * lest one connection take the memory of all. */
static bool must_read_first(struct core *core, struct req *req)
{
	uint32_t most = core->snap->limits.tx_queue_bytes;

	if (likely(tcp_tx_queued(req->conn) < most)) {
		req->queued_mark = 0;
		return false;
	}
	if (req->queued_mark == 0) {
		req->queued_mark = tcp_tx_queued(req->conn);
		tcp_tx_want_room(req->conn, most / 2);
		tcp_user_timer(core->tcp, req->conn,
		               core->now_ns + core->snap->timeouts.send_ms * NS_PER_MS);
	}
	return true;
}

/* TCP keeps what must wait in pieces; a head in several, of which a part was looked at before, is
 * joined at once. */
static enum http_parse head_parse(struct core *core, struct req *req, struct span in,
                                  unsigned *status)
{
	const struct config_limits *lim = &core->snap->limits;
	const struct http_limits limits = {
	        .head_bytes = lim->head_bytes,
	        .target_bytes = lim->target_bytes,
	        .fields = lim->fields,
	};
	bool pieces = in.len < tcp_rx_len(req->conn);
	enum http_parse found = HTTP_PARSE_PARTIAL;

	if (likely(!pieces || req->parser.scanned == 0))
		found = http_parse_request(&req->parser, in.ptr, in.len, &limits, core->http,
		                           status);
	if (likely(found != HTTP_PARSE_PARTIAL || !pieces))
		return found;
	in = tcp_rx_whole(core->tcp, req->conn, lim->head_bytes);
	return http_parse_request(&req->parser, in.ptr, in.len, &limits, core->http, status);
}

enum req_next http_read(struct core *core, struct req *req)
{
	const struct config_limits *lim = &core->snap->limits;
	struct span in = tcp_rx(req->conn);
	unsigned status = 400;

	if (in.len == 0)
		return tcp_rx_eof(req->conn) ? REQ_CLOSE : REQ_MORE;
	if (unlikely(must_read_first(core, req)))
		return REQ_MORE;
	/* Bytes that found no buffer come again, perhaps not all at once. */
	if (unlikely(tcp_rx_len(req->conn) < req->parser.scanned))
		return REQ_MORE;
	switch (head_parse(core, req, in, &status)) {
	case HTTP_PARSE_PARTIAL:
		if (req->fin)
			return REQ_CLOSE; /* the rest will never come (RFC 9112 8) */
		if (req->deadline_ns == 0)
			req_deadline(core, req, core->snap->timeouts.head_ms);
		return REQ_MORE;
	case HTTP_PARSE_REFUSE:
		return refuse(core, req, status);
	case HTTP_PARSE_DONE:
		break;
	}
	if (!req->counted) {
		req->counted = true;
		counter_inc(core->ctr, CTR_http_requests);
		req->start_ns = core->now_ns;
	}
	req->method = core->http->method;
	req->minor = (uint8_t)core->http->minor;
	req->keep_alive = core->http->keep_alive;
	if (lim->requests_per_connection > 0 && req->served + 1 >= lim->requests_per_connection)
		req->keep_alive = false;
	req->stage = REQ_ROUTE;
	return REQ_NEXT;
}

/* An answer of our own to a request whose body, if it has one, nobody reads: then the connection
 * cannot go on, because what follows the head is not a request. */
static enum req_next answer_here(struct core *core, struct req *req, unsigned status)
{
	if (core->http->framing.kind != HTTP_BODY_NONE)
		req->keep_alive = false;
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_error(core, req, status);
}

static enum req_next options_server(struct core *core, struct req *req)
{
	if (core->http->framing.kind != HTTP_BODY_NONE)
		req->keep_alive = false;
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_options(core, req, 0);
}

/* The path has routes, and none of them takes the method. */
static enum req_next refuse_method(struct core *core, struct req *req, uint32_t allowed)
{
	counter_inc(core->ctr, CTR_http_no_route);
	/* RFC 9110 15.6.2: it is not known here, rather than not for this path. */
	if (req->method == HTTP_OTHER)
		return answer_here(core, req, 501);
	if (core->http->framing.kind != HTTP_BODY_NONE)
		req->keep_alive = false;
	tcp_rx_consume(core->tcp, req->conn, core->http->head_len);
	return reply_options(core, req, allowed);
}

/* Is the question for this server, not for one behind it? "*" (RFC 9110 9.3.7), or no forwarding
 * left (7.6.2). */
static bool options_for_us(const struct http_request *h)
{
	uint32_t count = 0;
	int64_t hops = 1;

	if (h->path.len == 1 && h->path.ptr[0] == '*')
		return true;
	struct span v = http_field_get(&h->fields, HDR_MAX_FORWARDS, &count);
	return count == 1 && http_parse_length(v, &hops) && hops == 0;
}

enum req_next req_route(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;
	struct route_match *match = &core->turn->match;

	if (unlikely(h->method == HTTP_OTHER) && span_eq(h->method_text, SPAN_LIT("PURGE"))) {
		if (h->framing.kind != HTTP_BODY_NONE)
			return answer_here(core, req, 400);
		/* The route and the key are those of GET. Control knows who may do this. */
		core->http->method = HTTP_GET;
		req->method = HTTP_GET;
		req->purge = true;
	}
	if (unlikely(h->method == HTTP_OPTIONS && options_for_us(h)))
		return options_server(core, req);
	uint64_t most = core->snap->limits.body_bytes;
	if (unlikely(!http_body_init(&req->body, &h->framing, most > 0 ? most : UINT64_MAX))) {
		counter_inc(core->ctr, CTR_http_limit);
		return answer_here(core, req, 413);
	}
	switch (snapshot_route(core->snap, h->host, h->path, h->method, match)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_NO_METHOD:
		return refuse_method(core, req, match->allowed);
	case ROUTE_NO_HOST:
	case ROUTE_NO_PATH:
		counter_inc(core->ctr, CTR_http_no_route);
		return answer_here(core, req, 404);
	}
	req->route = match->route;
	req->route_index = match->index;
	req->stage = REQ_PREPARE;
	return REQ_NEXT;
}
