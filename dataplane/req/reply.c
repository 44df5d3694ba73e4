/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers, as they go to TCP. A head is written straight into a chunk of the send queue when it
 * fits there, else into the core's scratch and copied. Bodies beyond a few hundred bytes are lent:
 * from the hot table by a pin, from control's slab by the block. */
#include "dataplane/path.h"

#include "dataplane/http/http_emit.h"

/* Room for what each head gets besides the stored lines: status, length, age, date, cache status.
 */
#define HEAD_OWN_BYTES (CORE_NAME_BYTES + 224u)
/* A body up to this size is copied behind its head rather than pinned. */
#define INLINE_BODY_BYTES 512u

/* TCP's memory for queued data is out. The request is gone when this returns. */
static enum req_next reply_broken(struct core *core, struct req *req)
{
	counter_inc(core->ctr, CTR_shed_tx_queue);
	tcp_abort(core->tcp, req->conn);
	req_put(core, req);
	return REQ_WAIT;
}

/* Where the next head is written. */
static void out_begin(struct core *core, struct req *req, size_t need, struct http_out *out)
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

static bool out_commit(struct core *core, struct req *req, struct http_out *out)
{
	if (out->full)
		return false;
	if (out->buf == core->out)
		return tcp_tx_copy(core->tcp, req->conn, out->buf, out->len) == ST_OK;
	tcp_tx_commit(core->tcp, req->conn, out->len);
	return true;
}

static void count_status(struct core *core, unsigned status)
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

static void out_connection(struct core *core, struct req *req, struct http_out *out)
{
	if (core->draining || req->uploading)
		req->keep_alive = false;
	if (!req->keep_alive)
		http_out_lines(out, SPAN_LIT("Connection: close\r\n"));
	else if (req->minor == 0)
		http_out_lines(out, SPAN_LIT("Connection: keep-alive\r\n"));
}

static bool is_sf_token(struct span s)
{
	if (s.len == 0 || ((s.ptr[0] | 0x20) < 'a' || (s.ptr[0] | 0x20) > 'z'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		char l = ascii_lower(c);

		if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		      c == '_'))
			return false;
	}
	return true;
}

/* RFC 9211: the cache's name as a structured field item; parameters follow. A name that leaves no
 * room for the rest of a head is cut. */
void reply_prepare(struct core *core)
{
	struct span node = snapshot_text(core->snap, core->snap->node_off, core->snap->node_len);
	struct http_out out;

	http_out_init(&out, core->cache_name, sizeof(core->cache_name));
	node.len = min_size(node.len, sizeof(core->cache_name) - sizeof("Cache-Status: \"\""));
	http_out_lines(&out, SPAN_LIT("Cache-Status: "));
	if (is_sf_token(node)) {
		http_out_lines(&out, node);
	} else {
		http_out_lines(&out, SPAN_LIT("\""));
		http_out_lines(&out, node);
		http_out_lines(&out, SPAN_LIT("\""));
	}
	core->cache_name_len = (uint32_t)out.len;
}

static void out_cache_name(struct core *core, struct http_out *out)
{
	http_out_lines(out, span_of(core->cache_name, core->cache_name_len));
}

#define HIT_OWN_BYTES                                                                        \
	(sizeof("Content-Length: \r\nAge: \r\n; hit; ttl=-\r\n") + 3 * HTTP_U64_DIGITS_MAX + \
	 CORE_NAME_BYTES)

static_assert(HIT_OWN_BYTES + sizeof("HTTP/1.1 999 Network Authentication Required\r\n"
                                     "Connection: keep-alive\r\n\r\n") <=
                      HEAD_OWN_BYTES,
              "room for all that is written besides the stored lines");

/* The fields that tell of a hit, as whole lines; room for HIT_OWN_BYTES. */
static char *put_hit(const struct core *core, char *at, const struct object *o)
{
	bool fresh = object_is_fresh(o, core->wall_ms);
	uint64_t ms = fresh ? o->expires_ms - core->wall_ms : core->wall_ms - o->expires_ms;

	at = http_put(at, SPAN_LIT("Age: "));
	at = http_put_u64(at, object_age_s(o, core->wall_ms));
	at = http_put(at, SPAN_LIT("\r\n"));
	at = http_put(at, span_of(core->cache_name, core->cache_name_len));
	at = http_put(at, SPAN_LIT("; hit; ttl="));
	if (unlikely(!fresh))
		*at++ = '-';
	at = http_put_u64(at, ms / 1000);
	return http_put(at, SPAN_LIT("\r\n"));
}

static void out_cache_hit(struct core *core, struct http_out *out, const struct object *o)
{
	char lines[HIT_OWN_BYTES];

	http_out_lines(out, span_of(lines, (size_t)(put_hit(core, lines, o) - lines)));
}

static void out_cache_fwd(struct core *core, struct req *req, struct http_out *out, uint8_t flags)
{
	out_cache_name(core, out);
	http_out_lines(out, SPAN_LIT("; fwd="));
	http_out_lines(out, req->fwd);
	if (req->fill.obj != NULL)
		http_out_lines(out, SPAN_LIT("; stored"));
	if (flags & CHAN_F_SHARED)
		http_out_lines(out, SPAN_LIT("; collapsed"));
	http_out_lines(out, SPAN_LIT("\r\n"));
}

static enum req_next reply_done(struct core *core, struct req *req)
{
	req->answered = true;
	req->head_sent = true;
	if (req->stage != REQ_ANSWER)
		core->hits++; /* its time is taken at the end of the round, with one look at the
		                 clock */
	else
		hist_add(&core->stats->miss, core->now_ns - req->start_ns);
	return REQ_DONE;
}

enum req_next reply_error(struct core *core, struct req *req, unsigned status)
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
	};
	out_begin(core, req, HTTP_ERROR_MAX_BYTES, &out);
	out.len = http_emit_error(out.buf, out.cap, &e);
	if (out.len == 0 || !out_commit(core, req, &out))
		return reply_broken(core, req);
	count_status(core, status);
	return reply_done(core, req);
}

enum req_next reply_options(struct core *core, struct req *req, uint32_t methods)
{
	struct http_out out;

	if (methods == 0) { /* OPTIONS *: the server as a whole (RFC 9110 9.3.7) */
		out_begin(core, req, HEAD_OWN_BYTES, &out);
		http_out_status(&out, 204);
		http_out_field(&out, SPAN_LIT("Date"), span_of(core->date, HTTP_DATE_LEN));
		out_connection(core, req, &out);
		http_out_end(&out);
		count_status(core, 204);
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
		out_begin(core, req, HTTP_ERROR_MAX_BYTES, &out);
		out.len = http_emit_error(out.buf, out.cap, &e);
		out.full = out.len == 0;
		count_status(core, 405);
	}
	if (!out_commit(core, req, &out))
		return reply_broken(core, req);
	return reply_done(core, req);
}

/* Fields that a 304 carries (RFC 9110 15.4.5); the rest describes a body that is not sent. */
static bool in_not_modified(struct span name)
{
	switch (http_hdr_lookup(name)) {
	case HDR_CACHE_CONTROL:
	case HDR_DATE:
	case HDR_ETAG:
	case HDR_EXPIRES:
	case HDR_LAST_MODIFIED:
	case HDR_SET_COOKIE:
	case HDR_VARY:
	case HDR_VIA:
		return true;
	default:
		return span_eq_nocase(name, SPAN_LIT("Content-Location"));
	}
}

static void out_not_modified_lines(struct http_out *out, struct span lines)
{
	while (lines.len > 0) {
		const char *end = memchr(lines.ptr, '\n', lines.len);
		size_t len = end == NULL ? lines.len : (size_t)(end - lines.ptr) + 1;
		const char *colon = memchr(lines.ptr, ':', len);

		if (colon != NULL && in_not_modified(span_of(lines.ptr, colon - lines.ptr)))
			http_out_lines(out, span_of(lines.ptr, len));
		lines.ptr += len;
		lines.len -= len;
	}
}

static enum req_next not_modified(struct core *core, struct req *req, const struct object *o,
                                  int chan_flags)
{
	struct http_out out;

	out_begin(core, req, o->fields_len + HEAD_OWN_BYTES, &out);
	http_out_status(&out, 304);
	out_not_modified_lines(&out, object_fields(o));
	if (chan_flags < 0) {
		out_cache_hit(core, &out, o);
	} else {
		out_cache_fwd(core, req, &out, (uint8_t)chan_flags);
	}
	out_connection(core, req, &out);
	http_out_end(&out);
	if (!out_commit(core, req, &out))
		return reply_broken(core, req);
	count_status(core, 304);
	return REQ_DONE;
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
	at = put_hit(core, at, o);
	at = put_connection(core, req, at);
	at = http_put(at, SPAN_LIT("\r\n"));
	out->len = (size_t)(at - out->buf);
}

enum req_next reply_object(struct core *core, struct req *req, const struct object *o)
{
	struct span body = object_body(o);
	bool with_body = req->method != HTTP_HEAD && !(o->flags & OBJECT_NO_BODY);
	size_t copied = with_body && body.len <= INLINE_BODY_BYTES ? body.len : 0;
	size_t need = o->fields_len + HEAD_OWN_BYTES + copied;
	struct http_out out;

	if (unlikely(req->cond.etags_len + req->cond.since_len > 0) &&
	    req_cond_matches(&req->cond, o)) {
		counter_inc(core->ctr, CTR_cache_not_modified);
		if (not_modified(core, req, o, -1) == REQ_WAIT)
			return REQ_WAIT;
		return reply_done(core, req);
	}
	out_begin(core, req, need, &out);
	if (unlikely(out.cap < need))
		return reply_broken(core, req);
	out_object(core, req, &out, o);
	if (copied > 0) {
		memcpy(out.buf + out.len, body.ptr, copied);
		out.len += copied;
	}
	if (!out_commit(core, req, &out))
		return reply_broken(core, req);
	count_status(core, o->status);
	counter_add(core->ctr, CTR_http_body_out, with_body ? body.len : 0);
	if (with_body && body.len > INLINE_BODY_BYTES) {
		uint64_t pin = hot_pin(core->hot, o);

		if (tcp_tx_ref(core->tcp, req->conn, body.ptr, (uint32_t)body.len,
		               COOKIE_HOT | pin) != ST_OK) {
			hot_unpin(core->hot, pin);
			return reply_broken(core, req);
		}
		tcp_user_timer(core->tcp, req->conn,
		               core->now_ns + core->snap->timeouts.send_ms * NS_PER_MS);
	}
	return reply_done(core, req);
}

/* How the body of an answer from the origin is delimited for this client (RFC 9112 6). An answer to
 * HEAD states the length that GET would have, when the origin told it. */
static void out_framing(struct req *req, const struct object *o, struct http_out *out)
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

enum req_next reply_head(struct core *core, struct req *req, const struct object *o,
                         uint8_t chan_flags)
{
	struct http_out out;

	req->head_sent = true;
	if (o->status == 200 && req_cond_matches(&req->cond, o)) {
		req->discard = true;
		return not_modified(core, req, o, chan_flags);
	}
	out_begin(core, req, o->fields_len + HEAD_OWN_BYTES, &out);
	http_out_status(&out, o->status);
	http_out_lines(&out, object_fields(o));
	out_framing(req, o, &out);
	if (o->initial_age_s > 0)
		http_out_u64_field(&out, SPAN_LIT("Age"), object_age_s(o, core->wall_ms));
	out_cache_fwd(core, req, &out, chan_flags);
	out_connection(core, req, &out);
	http_out_end(&out);
	if (!out_commit(core, req, &out))
		return reply_broken(core, req);
	if (req->method == HTTP_HEAD || (o->flags & OBJECT_NO_BODY))
		req->discard = true;
	count_status(core, o->status);
	return REQ_WAIT;
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

void req_cond_keep(struct req_cond *cond, const struct http_fields *fields, bool *too_long)
{
	const uint64_t conditions =
	        http_hdr_bit(HDR_IF_NONE_MATCH) | http_hdr_bit(HDR_IF_MODIFIED_SINCE);
	uint32_t n_match = 0, n_since = 0;
	struct span match, since;

	cond->etags_len = 0;
	cond->since_len = 0;
	*too_long = false;
	if (likely((fields->seen & conditions) == 0))
		return;
	match = http_field_get(fields, HDR_IF_NONE_MATCH, &n_match);
	since = http_field_get(fields, HDR_IF_MODIFIED_SINCE, &n_since);
	*too_long = n_match > 1 || match.len + since.len > sizeof(cond->text);
	if (*too_long || n_match + n_since == 0)
		return;
	if (match.len > 0)
		memcpy(cond->text, match.ptr, match.len);
	cond->etags_len = (uint16_t)match.len;
	if (n_since == 1 && n_match == 0 && since.len > 0) {
		memcpy(cond->text, since.ptr, since.len);
		cond->since_len = (uint16_t)since.len;
	}
}

bool req_cond_matches(const struct req_cond *cond, const struct object *o)
{
	struct http_fields fields; /* one field is set; clearing all of them would cost more */
	struct http_field *f = &fields.f[0];

	if (likely(cond->etags_len == 0 && cond->since_len == 0))
		return false;
	f->id = cond->etags_len > 0 ? HDR_IF_NONE_MATCH : HDR_IF_MODIFIED_SINCE;
	f->value = span_of(cond->text, cond->etags_len > 0 ? cond->etags_len : cond->since_len);
	fields.seen = http_hdr_bit(f->id);
	fields.count = 1;
	return cache_condition(o, HTTP_GET, &fields) == COND_NOT_MODIFIED;
}
