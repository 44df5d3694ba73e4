/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request head. Everything is read from left to right, and what is wrong is refused where it
 * stands: that is why a head in pieces gives the same result as a whole one. */
#include "dataplane/http/http_parse.h"
#include "dataplane/http/http_target.h"
#include "lib/http1_scan.h"

/* RFC 9112 3: a method longer than any that we know gets a 501; no need to await its end. */
#define METHOD_MAX_BYTES 32u

#define VERSION_LINE_BYTES (sizeof("HTTP/1.1\r\n") - 1)

struct reader {
	const char *buf;
	size_t len; /* bytes at hand, within the limit of a head */
	size_t at;
	unsigned status; /* why it is refused */
	const struct http_limits *limits;
};

static enum http_parse refuse(struct reader *r, unsigned status)
{
	r->status = status;
	return HTTP_PARSE_REFUSE;
}

/* One empty line is tolerated: old clients send it behind a body (RFC 9112 2.2). */
static enum http_parse empty_line_skip(struct reader *r)
{
	if (r->len == 0)
		return HTTP_PARSE_PARTIAL;
	if (likely(r->buf[0] != '\r'))
		return HTTP_PARSE_DONE;
	if (r->len < 2)
		return HTTP_PARSE_PARTIAL;
	if (r->buf[1] != '\n')
		return refuse(r, 400);
	r->at = 2;
	return HTTP_PARSE_DONE;
}

static enum http_parse method_read(struct reader *r, struct http_request *out)
{
	const char *begin = r->buf + r->at;
	size_t rest = r->len - r->at;
	size_t n = 0;

	if (likely(rest >= 4 && memcmp(begin, "GET ", 4) == 0)) {
		out->method = HTTP_GET;
		out->method_text = span_of(begin, 3);
		r->at += 4;
		return HTTP_PARSE_DONE;
	}
	while (n < rest && n <= METHOD_MAX_BYTES && http1_is_token(begin[n]))
		n++;
	if (n > METHOD_MAX_BYTES)
		return refuse(r, 501);
	if (n == rest)
		return HTTP_PARSE_PARTIAL;
	if (n == 0 || begin[n] != ' ')
		return refuse(r, 400);
	out->method_text = span_of(begin, n);
	out->method = http_method_parse(out->method_text);
	r->at += n + 1;
	return HTTP_PARSE_DONE;
}

static enum http_parse target_scan(struct reader *r, struct http_request *out,
                                   struct http1_target *t)
{
	const char *begin = r->buf + r->at;
	size_t rest = r->len - r->at;

	/* One byte above the limit is enough to know that it is too long. */
	http1_scan_active()->target(begin, min_size(rest, (size_t)r->limits->target_bytes + 1), t);
	if (t->end > r->limits->target_bytes)
		return refuse(r, 414);
	if (t->end == rest)
		return HTTP_PARSE_PARTIAL;
	/* Control bytes, '#', bytes above 0x7e, and a second SP are not let through. */
	if (t->end == 0 || begin[t->end] != ' ')
		return refuse(r, 400);
	out->target = span_of(begin, t->end);
	r->at += t->end + 1;
	return HTTP_PARSE_DONE;
}

static enum http_parse version_read(struct reader *r, struct http_request *out)
{
	const char *begin = r->buf + r->at;
	size_t rest = r->len - r->at;
	const char *pattern = "HTTP/d.d\r\n"; /* d: a digit */

	if (likely(rest >= VERSION_LINE_BYTES && memcmp(begin, "HTTP/1.1\r\n", 10) == 0)) {
		out->minor = 1;
		r->at += VERSION_LINE_BYTES;
		return HTTP_PARSE_DONE;
	}
	for (size_t i = 0; i < VERSION_LINE_BYTES; i++) {
		if (i == rest)
			return HTTP_PARSE_PARTIAL;
		if (pattern[i] == 'd' ? begin[i] < '0' || begin[i] > '9' : begin[i] != pattern[i])
			return refuse(r, 400);
	}
	if (begin[5] != '1')
		return refuse(r, 505);
	/* RFC 9110 2.5: a higher minor version is read as the highest that is known. */
	out->minor = begin[7] == '0' ? 0 : 1;
	r->at += VERSION_LINE_BYTES;
	return HTTP_PARSE_DONE;
}

static enum http_parse start_line_read(struct reader *r, struct http_request *out)
{
	struct http1_target t;
	enum http_parse result = empty_line_skip(r);
	unsigned status;

	if (result == HTTP_PARSE_DONE)
		result = method_read(r, out);
	if (result == HTTP_PARSE_DONE)
		result = target_scan(r, out, &t);
	if (result == HTTP_PARSE_DONE)
		result = version_read(r, out);
	if (result != HTTP_PARSE_DONE)
		return result;
	status = http_target_read(out, t.query, t.closer);
	return status == 0 ? HTTP_PARSE_DONE : refuse(r, status);
}

/* Reads field lines from r->at; on PARTIAL r->at is behind the last whole one. seen: how many were
 * read before. */
static enum http_parse fields_read(struct reader *r, struct http_fields *fields, uint32_t seen)
{
	enum http_scan scan = http1_scan_fields(r->buf, r->len, &r->at, fields);

	/* Too many comes first: those fields lie before whatever else is wrong. */
	if (scan == HTTP_SCAN_TOO_MANY || fields->count + seen > r->limits->fields)
		return refuse(r, 431);
	if (scan == HTTP_SCAN_BAD)
		return refuse(r, 400);
	return scan == HTTP_SCAN_DONE ? HTTP_PARSE_DONE : HTTP_PARSE_PARTIAL;
}

/* RFC 9112 3.2: HTTP/1.1 needs Host, no request may have two, and a bad one is refused even when an
 * absolute-form target overrides it. */
static bool host_read(struct http_request *out, const struct http_field *field)
{
	bool absolute = out->host.len > 0;
	struct span host;
	uint32_t port;

	if (field == NULL)
		return out->minor == 0;
	if (!http_authority_parse(field->value, &host, &port))
		return false;
	if (!absolute) {
		out->host = host;
		out->host_port = port;
	}
	return true;
}

static void connection_read(struct http_request *out)
{
	bool stay = out->minor >= 1 ||
	            http_field_has_token(&out->fields, HDR_CONNECTION, SPAN_LIT("keep-alive"));

	/* RFC 9112 9.3: close wins. */
	out->keep_alive =
	        stay && !http_field_has_token(&out->fields, HDR_CONNECTION, SPAN_LIT("close"));
}

/* RFC 9110 10.1.1: 100-continue is the only expectation. False: 417. */
static bool expect_read(struct http_request *out)
{
	bool has_body = out->framing.kind == HTTP_BODY_CHUNKED ||
	                (out->framing.kind == HTTP_BODY_LENGTH && out->framing.length > 0);

	for (uint32_t i = 0; i < out->fields.count; i++) {
		struct span list = out->fields.f[i].value;
		struct span element;

		if (out->fields.f[i].id != HDR_EXPECT)
			continue;
		while (http1_list_next(&list, &element))
			if (!span_eq_nocase(element, SPAN_LIT("100-continue")))
				return false;
		/* An HTTP/1.0 client cannot read a 100, and without a body there is nothing to ask.
		 */
		out->expect_continue = out->minor >= 1 && has_body;
	}
	return true;
}

/* What the fields mean for this connection. */
static enum http_parse fields_apply(struct reader *r, struct http_request *out)
{
	const struct http_field *host = NULL;
	uint64_t seen = out->fields.seen;

	for (uint32_t i = 0; i < out->fields.count; i++) {
		const struct http_field *f = &out->fields.f[i];

		if (f->id != HDR_HOST)
			continue;
		if (host != NULL)
			return refuse(r, 400);
		host = f;
	}
	if (!host_read(out, host))
		return refuse(r, 400);
	out->keep_alive = out->minor >= 1;
	if ((seen & http_hdr_bit(HDR_CONNECTION)) != 0)
		connection_read(out);
	out->framing = (struct http_framing){.kind = HTTP_BODY_NONE};
	if ((seen & (http_hdr_bit(HDR_CONTENT_LENGTH) | http_hdr_bit(HDR_TRANSFER_ENCODING))) != 0)
		out->framing = http1_request_framing(&out->fields, out->minor);
	if (out->framing.kind == HTTP_BODY_BAD)
		return refuse(r, 400);
	if (out->framing.kind == HTTP_BODY_UNKNOWN_CODING)
		return refuse(r, 501);
	out->expect_continue = false;
	if ((seen & http_hdr_bit(HDR_EXPECT)) != 0 && !expect_read(out))
		return refuse(r, 417);
	return HTTP_PARSE_DONE;
}

static enum http_parse head_read(struct http_parser *p, struct reader *r, struct http_request *out)
{
	enum http_parse result;

	if (p->scanned > 0) {
		/* Only what is new; out serves as scratch until the end is there. */
		r->at = p->scanned;
		result = fields_read(r, &out->fields, p->fields);
		p->scanned = (uint32_t)r->at;
		p->fields += out->fields.count;
		if (result != HTTP_PARSE_DONE)
			return result;
		r->at = 0;
	}
	result = start_line_read(r, out);
	if (result != HTTP_PARSE_DONE)
		return result;
	result = fields_read(r, &out->fields, 0);
	if (result == HTTP_PARSE_DONE)
		return fields_apply(r, out);
	p->scanned = (uint32_t)r->at;
	p->fields = out->fields.count;
	return result;
}

enum http_parse http_parse_request(struct http_parser *p, const char *buf, size_t len,
                                   const struct http_limits *limits, struct http_request *out,
                                   unsigned *status)
{
	struct reader r = {.buf = buf, .len = min_size(len, limits->head_bytes), .limits = limits};
	enum http_parse result = head_read(p, &r, out);

	if (result == HTTP_PARSE_DONE)
		out->head_len = r.at;
	else if (result == HTTP_PARSE_PARTIAL && len >= limits->head_bytes)
		result = refuse(&r, 431);
	*status = r.status;
	return result;
}
