/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers, as they go to TCP. A head is written straight into a chunk of the send queue when it
 * fits there, else into the core's scratch and copied. Bodies beyond a few hundred bytes are lent:
 * from the hot table by a pin, from control's slab by the block. */
#include "dataplane/req/reply_private.h"

enum req_next reply_broken(struct core *core, struct req *req)
{
	counter_inc(core->ctr, CTR_shed_tx_queue);
	tcp_abort(core->tcp, req->conn);
	req_put(core, req);
	return REQ_WAIT;
}

void reply_begin(struct core *core, struct req *req, size_t need, struct http_out *out)
{
	size_t room = 0;
	char *p = NULL;

	if (need <= TCP_TX_CHUNK)
		p = tcp_tx_reserve(core->tcp, req->conn, need, &room);
	if (p != NULL && room >= need)
		http_out_init(out, p, room);
	else
		http_out_init(out, core->out, CORE_OUT_BYTES);
}

bool reply_commit(struct core *core, struct req *req, struct http_out *out)
{
	if (out->full)
		return false;
	if (out->buf == core->out)
		return tcp_tx_copy(core->tcp, req->conn, out->buf, out->len) == ST_OK;
	tcp_tx_commit(core->tcp, req->conn, out->len);
	return true;
}

void reply_count(struct core *core, unsigned status)
{
	static const enum counter_id by_class[] = {CTR_http_1xx, CTR_http_1xx, CTR_http_2xx,
	                                           CTR_http_3xx, CTR_http_4xx, CTR_http_5xx};
	unsigned class = status / 100;

	if (likely(status == 200)) {
		counter_inc(core->ctr, CTR_http_2xx);
		return;
	}
	counter_inc(core->ctr, by_class[class < ARRAY_LEN(by_class) ? class : 5]);
	if (status >= 500)
		counter_inc(core->ctr, CTR_http_errors);
}

void reply_connection(struct core *core, struct req *req, struct http_out *out)
{
	if (core->draining || req->uploading)
		req->keep_alive = false;
	if (!req->keep_alive)
		http_out_lines(out, SPAN_LIT("Connection: close\r\n"));
	else if (req->minor == 0)
		http_out_lines(out, SPAN_LIT("Connection: keep-alive\r\n"));
}

static_assert(HIT_OWN_BYTES + sizeof("HTTP/1.1 999 Network Authentication Required\r\n"
                                     "Connection: keep-alive\r\n\r\n") <=
                      HEAD_OWN_BYTES,
              "room for all that is written besides the stored lines");

static NOINLINE char *put_stale(char *at, const struct req *req, uint64_t past_ms)
{
	static const struct span details[] = {
	        [STALE_NOT] = {"", 0},
	        [STALE_CLIENT] = SPAN_LIT("; detail=max-stale"),
	        [STALE_WHILE] = SPAN_LIT("; detail=stale-while-revalidate"),
	        [STALE_ERROR] = SPAN_LIT("; detail=stale-if-error"),
	};

	*at++ = '-';
	at = http_put_u64(at, past_ms / 1000);
	return http_put(at, details[req->stale]);
}

/* Room for HIT_OWN_BYTES. */
char *reply_put_hit(const struct core *core, const struct req *req, char *at,
                    const struct object *o)
{
	at = http_put(at, SPAN_LIT("Age: "));
	at = http_put_u64(at, object_age_s(o, core->wall_ms));
	at = http_put(at, SPAN_LIT("\r\n"));
	at = http_put(at, span_of(core->cache_name, core->cache_name_len));
	at = http_put(at, SPAN_LIT("; hit; ttl="));
	if (likely(object_is_fresh(o, core->wall_ms)))
		at = http_put_u64(at, (o->expires_ms - core->wall_ms) / 1000);
	else
		at = put_stale(at, req, core->wall_ms - o->expires_ms);
	return http_put(at, SPAN_LIT("\r\n"));
}

enum req_next reply_done(struct core *core, struct req *req)
{
	req->answered = true;
	req->head_sent = true;
	/* Of a hit the time is taken at the end of the round, with one look at the clock. What is
	 * refused before it is looked up, or gets no place in the channel, is neither. */
	if (likely(req->stage == REQ_LOOKUP))
		core->hits++;
	else if (req->stage == REQ_ANSWER)
		hist_add(&core->stats->miss, core->now_ns - req->start_ns);
	return REQ_DONE;
}

bool reply_problem(struct core *core, struct req *req, unsigned status, struct span lines)
{
	struct http_out out;

	if (core->draining || req->uploading)
		req->keep_alive = false;
	struct http_error e = {
	        .status = status,
	        .keep_alive = req->keep_alive,
	        .http10 = req->stage != REQ_READ && req->minor == 0,
	        .head_only = req->method == HTTP_HEAD,
	        .date = core->date,
	        .retry_after_s = status == 503 ? 1 : 0,
	        .lines = lines,
	};
	reply_begin(core, req, HTTP_ERROR_MAX_BYTES + lines.len, &out);
	out.len = http_emit_error(out.buf, out.cap, &e);
	if (out.len == 0 || !reply_commit(core, req, &out))
		return false;
	reply_count(core, status);
	return true;
}

enum req_next reply_error(struct core *core, struct req *req, unsigned status)
{
	if (!reply_problem(core, req, status, SPAN_LIT("")))
		return reply_broken(core, req);
	return reply_done(core, req);
}

enum req_next reply_options(struct core *core, struct req *req, uint32_t methods)
{
	struct http_out out;

	if (methods == 0) { /* OPTIONS *: the server as a whole (RFC 9110 9.3.7) */
		reply_begin(core, req, HEAD_OWN_BYTES, &out);
		http_out_status(&out, 204);
		http_out_field(&out, SPAN_LIT("Date"), span_of(core->date, HTTP_DATE_LEN));
		reply_connection(core, req, &out);
		http_out_end(&out);
		reply_count(core, 204);
	} else {
		struct http_error e = {
		        .status = 405,
		        .keep_alive = req->keep_alive && !core->draining,
		        .http10 = req->minor == 0,
		        .head_only = req->method == HTTP_HEAD,
		        .date = core->date,
		        .allow = methods,
		};
		req->keep_alive = e.keep_alive;
		reply_begin(core, req, HTTP_ERROR_MAX_BYTES, &out);
		out.len = http_emit_error(out.buf, out.cap, &e);
		out.full = out.len == 0;
		reply_count(core, 405);
	}
	if (!reply_commit(core, req, &out))
		return reply_broken(core, req);
	return reply_done(core, req);
}

static char *put_connection(struct core *core, struct req *req, char *at)
{
	if (unlikely(core->draining || req->uploading))
		req->keep_alive = false;
	if (unlikely(!req->keep_alive))
		return http_put(at, SPAN_LIT("Connection: close\r\n"));
	if (unlikely(req->minor == 0))
		return http_put(at, SPAN_LIT("Connection: keep-alive\r\n"));
	return at;
}

/* The answer, with body as far as that is copied; out has the room. */
static void out_object(struct core *core, struct req *req, struct http_out *out,
                       const struct object *o)
{
	struct span ok = SPAN_LIT("HTTP/1.1 200 OK\r\n");
	char *at = out->buf;

	if (likely(o->status == 200)) {
		at = http_put(at, ok);
	} else {
		http_out_status(out, o->status);
		at += out->len;
	}
	at = http_put(at, object_fields(o));
	if (!(o->flags & OBJECT_NO_BODY)) {
		at = http_put(at, SPAN_LIT("Content-Length: "));
		at = http_put_u64(at, o->body_len);
		at = http_put(at, SPAN_LIT("\r\n"));
	}
	at = reply_put_hit(core, req, at, o);
	at = put_connection(core, req, at);
	at = http_put(at, SPAN_LIT("\r\n"));
	out->len = (size_t)(at - out->buf);
}

bool reply_lend(struct core *core, struct req *req, const struct object *o, struct span bytes)
{
	uint64_t pin;

	if (bytes.len <= INLINE_BODY_BYTES)
		return tcp_tx_copy(core->tcp, req->conn, bytes.ptr, bytes.len) == ST_OK;
	pin = hot_view_pin(core->view, o, &core->found);
	if (tcp_tx_ref(core->tcp, req->conn, bytes.ptr, (uint32_t)bytes.len, COOKIE_HOT | pin) !=
	    ST_OK) {
		hot_view_unpin(core->view, pin);
		return false;
	}
	tcp_user_timer(core->tcp, req->conn,
	               core->now_ns + core->snap->timeouts.send_ms * NS_PER_MS);
	return true;
}

enum req_next reply_object(struct core *core, struct req *req, const struct object *o)
{
	struct span body = object_body(o);
	bool with_body = req->method != HTTP_HEAD && !(o->flags & OBJECT_NO_BODY);
	size_t copied = with_body && body.len <= INLINE_BODY_BYTES ? body.len : 0;
	size_t need = o->fields_len + HEAD_OWN_BYTES + copied;
	struct http_out out;

	reply_begin(core, req, need, &out);
	if (unlikely(out.cap < need))
		return reply_broken(core, req);
	out_object(core, req, &out, o);
	if (copied > 0) {
		memcpy(out.buf + out.len, body.ptr, copied);
		out.len += copied;
	}
	if (!reply_commit(core, req, &out))
		return reply_broken(core, req);
	reply_count(core, o->status);
	counter_add(core->ctr, CTR_http_body_out, with_body ? body.len : 0);
	if (with_body && body.len > INLINE_BODY_BYTES && !reply_lend(core, req, o, body))
		return reply_broken(core, req);
	return reply_done(core, req);
}

/* How the body of an answer from the origin is delimited for this client (RFC 9112 6). An answer to
 * HEAD states the length that GET would have, when the origin told it. */
void reply_framing(struct req *req, const struct object *o, struct http_out *out)
{
	bool bodyless = req->method == HTTP_HEAD || (o->flags & OBJECT_NO_BODY) != 0;

	if (o->body_len != UINT64_MAX) {
		http_out_u64_field(out, SPAN_LIT("Content-Length"), o->body_len);
	} else if (bodyless) {
		return;
	} else if (req->minor == 0) {
		req->close_delimited = true;
		req->keep_alive = false;
	} else {
		http_out_lines(out, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
		req->chunked_out = true;
	}
}

/* Which tier answered. */
static void count_tier(struct core *core, const struct chan_msg *m)
{
	if (likely((m->flags & (CHAN_F_STORE | CHAN_F_L3)) == 0 && m->code == 0))
		return;
	if (m->code >= 400)
		counter_inc(core->ctr, CTR_cache_stale_error);
	else if (m->code == 0)
		counter_inc(core->ctr,
		            m->flags & CHAN_F_L3 ? CTR_cache_shared_hit : CTR_cache_node_hit);
}

enum req_next reply_head(struct core *core, struct req *req, const struct object *o,
                         const struct chan_msg *m)
{
	struct http_out out;

	req->head_sent = true;
	count_tier(core, m);
	if (unlikely(req->asks) && reply_head_asked(core, req, o, m))
		return REQ_WAIT;
	reply_begin(core, req, o->fields_len + HEAD_OWN_BYTES, &out);
	http_out_status(&out, o->status);
	http_out_lines(&out, object_fields(o));
	reply_framing(req, o, &out);
	reply_out_status(core, req, &out, o, m);
	reply_connection(core, req, &out);
	http_out_end(&out);
	if (!reply_commit(core, req, &out))
		return reply_broken(core, req);
	if (req->method == HTTP_HEAD || (o->flags & OBJECT_NO_BODY))
		req->discard = true;
	reply_count(core, o->status);
	return REQ_WAIT;
}

void reply_interim(struct core *core, struct req *req, const struct object *o)
{
	struct http_out out;

	/* HTTP/1.0 has none; and who does not read does not get more to read. */
	if (req->minor == 0 || tcp_tx_queued(req->conn) >= core->snap->limits.tx_queue_bytes) {
		counter_inc(core->ctr, CTR_http_interim_dropped);
		return;
	}
	reply_begin(core, req, o->fields_len + HEAD_OWN_BYTES, &out);
	http_out_status(&out, o->status);
	http_out_lines(&out, object_fields(o));
	http_out_end(&out);
	if (!reply_commit(core, req, &out)) {
		counter_inc(core->ctr, CTR_http_interim_dropped);
		return;
	}
	reply_count(core, o->status);
	tcp_wake(core->tcp, req->conn, 0);
}

static bool chunk_line(struct core *core, struct req *req, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	char line[20];
	size_t n = sizeof(line);

	line[--n] = '\n';
	line[--n] = '\r';
	do {
		line[--n] = hex[len & 15];
		len >>= 4;
	} while (len > 0);
	return tcp_tx_copy(core->tcp, req->conn, line + n, sizeof(line) - n) == ST_OK;
}

enum req_next reply_body(struct core *core, struct req *req, struct span bytes, uint32_t block)
{
	uint32_t before = tcp_tx_queued(req->conn);

	if (req->chunked_out && !chunk_line(core, req, bytes.len))
		goto broken;
	if (tcp_tx_ref(core->tcp, req->conn, bytes.ptr, (uint32_t)bytes.len, block) != ST_OK)
		goto broken;
	/* The block is TCP's now. */
	if (req->chunked_out && tcp_tx_copy(core->tcp, req->conn, "\r\n", 2) != ST_OK)
		return reply_broken(core, req);
	counter_add(core->ctr, CTR_http_body_out, bytes.len);
	/* More to send is no progress: only what the client took gives it new time. */
	if (send_progress(req->queued_mark, before)) {
		req->queued_mark = before;
		req_deadline(core, req, core->snap->timeouts.send_ms);
	}
	req->queued_mark += tcp_tx_queued(req->conn) - before;
	return REQ_WAIT;
broken:
	miss_release_down(core, block);
	return reply_broken(core, req);
}

enum req_next reply_end(struct core *core, struct req *req)
{
	if (req->chunked_out && tcp_tx_copy(core->tcp, req->conn, "0\r\n\r\n", 5) != ST_OK)
		return reply_broken(core, req);
	return reply_done(core, req);
}
