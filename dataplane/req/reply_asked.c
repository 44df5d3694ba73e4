/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers to what a request asks besides its target: 304 (RFC 9110 13), 206 and 416 (RFC 9110
 * 14), from an object of the hot table or from one that control sends. */
#include "dataplane/req/reply_private.h"

#include "cache/lines.h"

/* Besides HEAD_OWN_BYTES: Content-Range and the type of several parts. */
#define PART_OWN_BYTES 256u
#define BOUNDARY_BYTES 32u
/* The head of one part, with the object's Content-Type; a longer one is sent whole. */
#define TYPE_MAX        128u
#define PART_HEAD_BYTES (BOUNDARY_BYTES + TYPE_MAX + 160u)
#define RANGE_BYTES     (sizeof("Content-Range: bytes -/\r\n") + 3 * HTTP_U64_DIGITS_MAX)

/* Fields that a 304 carries (RFC 9110 15.4.5); the rest describes a body that is not sent. */
static bool in_not_modified(struct span name)
{
	switch (http_hdr_lookup(name)) {
	case HDR_CACHE_CONTROL:
	case HDR_CACHE_STATUS:
	case HDR_CDN_CACHE_CONTROL:
	case HDR_CONTENT_LOCATION:
	case HDR_DATE:
	case HDR_ETAG:
	case HDR_EXPIRES:
	case HDR_LAST_MODIFIED:
	case HDR_SET_COOKIE:
	case HDR_VARY:
	case HDR_VIA:
		return true;
	default:
		return false;
	}
}

/* In a part there is but ours (RFC 9110 14.4), among several parts none (15.3.7.2). */
static bool not_range(struct span name)
{
	return http_hdr_lookup(name) != HDR_CONTENT_RANGE;
}

static bool not_type(struct span name)
{
	return http_hdr_lookup(name) != HDR_CONTENT_TYPE && not_range(name);
}

/* The lines whose name is wanted. */
static void out_some_lines(struct http_out *out, struct span lines, bool (*wanted)(struct span))
{
	while (lines.len > 0) {
		const char *end = memchr(lines.ptr, '\n', lines.len);
		size_t len = end == NULL ? lines.len : (size_t)(end - lines.ptr) + 1;
		const char *colon = memchr(lines.ptr, ':', len);

		if (colon != NULL && wanted(span_of(lines.ptr, colon - lines.ptr)))
			http_out_lines(out, span_of(lines.ptr, len));
		lines.ptr += len;
		lines.len -= len;
	}
}

static bool head_end(struct core *core, struct req *req, struct http_out *out)
{
	reply_connection(core, req, out);
	http_out_end(out);
	return reply_commit(core, req, out);
}

static bool not_modified(struct core *core, struct req *req, const struct object *o,
                         const struct chan_msg *head)
{
	struct http_out out;

	reply_begin(core, req, o->fields_len + HEAD_OWN_BYTES, &out);
	http_out_status(&out, 304);
	out_some_lines(&out, object_fields(o), in_not_modified);
	reply_out_status(core, req, &out, o, head);
	if (!head_end(core, req, &out))
		return false;
	reply_count(core, 304);
	return true;
}

/* 416 tells how long the whole is (RFC 9110 15.5.17). */
static bool no_part(struct core *core, struct req *req, const struct object *o,
                    const struct chan_msg *head)
{
	char lines[HEAD_OWN_BYTES + RANGE_BYTES];
	struct http_out out;

	counter_inc(core->ctr, CTR_cache_range_none);
	http_out_init(&out, lines, sizeof(lines));
	http_out_lines(&out, SPAN_LIT("Content-Range: bytes */"));
	out.len += http_u64_write(out.buf + out.len, o->body_len);
	http_out_lines(&out, SPAN_LIT("\r\n"));
	reply_out_status(core, req, &out, o, head);
	return reply_problem(core, req, 416, span_of(out.buf, out.len));
}

/* "Content-Range: bytes 0-499/1234" CRLF */
static char *put_range(char *at, const struct byte_range *r, uint64_t whole)
{
	at = http_put(at, SPAN_LIT("Content-Range: bytes "));
	at += http_u64_write(at, r->first);
	*at++ = '-';
	at += http_u64_write(at, r->first + r->len - 1);
	*at++ = '/';
	at += http_u64_write(at, whole);
	return http_put(at, SPAN_LIT("\r\n"));
}

static bool part_head(struct core *core, struct req *req, const struct object *o,
                      const struct byte_range *r, const struct chan_msg *head)
{
	char range[RANGE_BYTES];
	struct http_out out;

	reply_begin(core, req, o->fields_len + HEAD_OWN_BYTES + PART_OWN_BYTES, &out);
	http_out_status(&out, 206);
	out_some_lines(&out, object_fields(o), not_range);
	http_out_lines(&out, span_of(range, (size_t)(put_range(range, r, o->body_len) - range)));
	http_out_u64_field(&out, SPAN_LIT("Content-Length"), r->len);
	reply_out_status(core, req, &out, o, head);
	if (!head_end(core, req, &out))
		return false;
	reply_count(core, 206);
	counter_inc(core->ctr, CTR_cache_partial);
	return true;
}

static bool part_send(struct core *core, struct req *req, const struct object *o,
                      const struct byte_range *r)
{
	if (!part_head(core, req, o, r, NULL))
		return false;
	counter_add(core->ctr, CTR_http_body_out, r->len);
	return reply_lend(core, req, o, span_of(object_body(o).ptr + r->first, r->len));
}

/* Several parts (RFC 9110 14.6). */
struct parts {
	char boundary[BOUNDARY_BYTES];
	char heads[RANGES_MAX][PART_HEAD_BYTES];
	size_t head_len[RANGES_MAX];
	char end[BOUNDARY_BYTES + 8];
	size_t end_len;
	uint64_t body_len;
};

/* Not to be guessed by who writes the body: hashed under the secret seed. */
static void boundary_make(struct core *core, char to[BOUNDARY_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	const uint64_t from[2] = {core->now_ns, ++core->boundaries};
	struct hash128 h = hash128(from, sizeof(from), core->hash_seed);

	for (uint32_t i = 0; i < BOUNDARY_BYTES / 2; i++) {
		to[i] = hex[h.lo >> 4 * i & 15];
		to[BOUNDARY_BYTES / 2 + i] = hex[h.hi >> 4 * i & 15];
	}
}

static void parts_plan(struct core *core, const struct object *o, const struct asked_answer *a,
                       struct parts *p)
{
	struct span type = lines_find(object_fields(o), SPAN_LIT("Content-Type"));
	struct span boundary = span_of(p->boundary, sizeof(p->boundary));
	char *at;

	boundary_make(core, p->boundary);
	p->body_len = 0;
	for (uint32_t i = 0; i < a->count; i++) {
		at = http_put(p->heads[i], SPAN_LIT("\r\n--"));
		at = http_put(at, boundary);
		at = http_put(at, SPAN_LIT("\r\n"));
		if (type.len > 0) {
			at = http_put(at, SPAN_LIT("Content-Type: "));
			at = http_put(at, type);
			at = http_put(at, SPAN_LIT("\r\n"));
		}
		at = put_range(at, &a->ranges[i], o->body_len);
		at = http_put(at, SPAN_LIT("\r\n"));
		p->head_len[i] = (size_t)(at - p->heads[i]);
		p->body_len += p->head_len[i] + a->ranges[i].len;
	}
	at = http_put(p->end, SPAN_LIT("\r\n--"));
	at = http_put(at, boundary);
	at = http_put(at, SPAN_LIT("--\r\n"));
	p->end_len = (size_t)(at - p->end);
	p->body_len += p->end_len;
}
static_assert(RANGE_BYTES + sizeof("\r\n--\r\nContent-Type: \r\n\r\n") + BOUNDARY_BYTES + TYPE_MAX <
                      PART_HEAD_BYTES,
              "room for the head of a part");

static bool parts_head(struct core *core, struct req *req, const struct object *o,
                       const struct parts *p)
{
	struct http_out out;

	reply_begin(core, req, o->fields_len + HEAD_OWN_BYTES + PART_OWN_BYTES, &out);
	http_out_status(&out, 206);
	out_some_lines(&out, object_fields(o), not_type);
	http_out_lines(&out, SPAN_LIT("Content-Type: multipart/byteranges; boundary="));
	http_out_lines(&out, span_of(p->boundary, sizeof(p->boundary)));
	http_out_lines(&out, SPAN_LIT("\r\n"));
	http_out_u64_field(&out, SPAN_LIT("Content-Length"), p->body_len);
	reply_out_status(core, req, &out, o, NULL);
	return head_end(core, req, &out);
}

static bool parts_send(struct core *core, struct req *req, const struct object *o,
                       const struct asked_answer *a)
{
	struct parts p;

	parts_plan(core, o, a, &p);
	if (!parts_head(core, req, o, &p))
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		struct span part =
		        span_of(object_body(o).ptr + a->ranges[i].first, a->ranges[i].len);

		if (tcp_tx_copy(core->tcp, req->conn, p.heads[i], p.head_len[i]) != ST_OK ||
		    !reply_lend(core, req, o, part))
			return false;
	}
	reply_count(core, 206);
	counter_inc(core->ctr, CTR_cache_partial);
	counter_add(core->ctr, CTR_http_body_out, p.body_len);
	return tcp_tx_copy(core->tcp, req->conn, p.end, p.end_len) == ST_OK;
}

enum req_next reply_asked(struct core *core, struct req *req, const struct object *o,
                          const struct asked_answer *a)
{
	bool sent;

	switch (a->kind) {
	case ASKED_NOT_MODIFIED:
		counter_inc(core->ctr, CTR_cache_not_modified);
		sent = not_modified(core, req, o, NULL);
		break;
	case ASKED_NO_PART:
		sent = no_part(core, req, o, NULL);
		break;
	case ASKED_PART:
		sent = part_send(core, req, o, &a->ranges[0]);
		break;
	case ASKED_PARTS:
		if (lines_find(object_fields(o), SPAN_LIT("Content-Type")).len > TYPE_MAX)
			return reply_object(core, req, o);
		sent = parts_send(core, req, o, a);
		break;
	default:
		return reply_object(core, req, o);
	}
	return sent ? reply_done(core, req) : reply_broken(core, req);
}

/* Whose business is it? What was sent along was answered by the origin, unless a store answers. */
static bool asked_here(const struct req *req, const struct chan_msg *m)
{
	return req->cache.store || m->code != 0 || (m->flags & (CHAN_F_STORE | CHAN_F_L3));
}

bool reply_head_asked(struct core *core, struct req *req, const struct object *o,
                      const struct chan_msg *m)
{
	struct asked_answer a;
	bool sent;

	if (!asked_here(req, m))
		return false;
	asked_of_kept(o, req, &a);
	switch (a.kind) {
	case ASKED_NOT_MODIFIED:
		sent = not_modified(core, req, o, m);
		break;
	case ASKED_NO_PART:
		sent = no_part(core, req, o, m);
		break;
	case ASKED_PART:
		req->part = a.ranges[0];
		req->partial = true;
		sent = part_head(core, req, o, &a.ranges[0], m);
		break;
	default: /* several parts: a body that passes by is not cut so often (RFC 9110 14.2) */
		return false;
	}
	/* The rest of the body is for the hot table alone. */
	req->discard = !req->partial;
	if (!sent)
		reply_broken(core, req);
	return true;
}
