/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/request.h"

#include "lib/http1_scan.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything that request_serialise adds, besides texts whose length it adds up. */
#define HEAD_EXTRA 512u

/* visible: SP is not. The core has parsed these texts; a CR or LF here would be a second request.
 */
static bool all_visible(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= 0x20 || s.ptr[i] > 0x7e)
			return false;
	return true;
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!http1_is_token(s.ptr[i]))
			return false;
	return s.len > 0;
}

/* Of this hop, or told anew by us. */
static bool field_drops(enum http_hdr id)
{
	return http_hdr_is_hop(id) || id == HDR_HOST || id == HDR_EXPECT ||
	       id == HDR_X_FORWARDED_FOR || id == HDR_X_FORWARDED_PROTO;
}

static bool field_conditional(enum http_hdr id)
{
	return id == HDR_IF_NONE_MATCH || id == HDR_IF_MODIFIED_SINCE || id == HDR_IF_MATCH ||
	       id == HDR_IF_UNMODIFIED_SINCE || id == HDR_IF_RANGE || id == HDR_RANGE;
}

/* Fields must be one well-formed section; data has room for the CRLF that ends it. */
static bool fields_check(struct request *r, char *end)
{
	struct http_fields fs;
	size_t pos = 0;

	memcpy(end, "\r\n", 2);
	if (http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, &fs) != HTTP_SCAN_DONE)
		return false;
	if (pos != r->fields.len + 2)
		return false;
	for (uint32_t i = 0; i < fs.count; i++)
		r->conditional |= field_conditional(fs.f[i].id);
	return true;
}

static struct span take(const char **at, size_t len)
{
	struct span s = span_of(*at, len);

	*at += len;
	return s;
}

static bool body_check(struct request *r, bool has_body)
{
	uint64_t len = r->wire.body_len;
	bool chunked = (r->wire.flags & CHAN_REQ_CHUNKED) != 0;

	r->has_body = has_body;
	r->chunked = chunked && has_body;
	if (chunked)
		return len == UINT64_MAX;
	return has_body ? len > 0 && len <= INT64_MAX : len == 0;
}

static bool request_check(struct request *r, uint32_t len, bool has_body)
{
	const struct chan_request *w = &r->wire;
	uint64_t texts =
	        (uint64_t)w->key_len + w->method_len + w->host_len + w->target_len + w->fields_len;
	const char *at = r->data;

	if (texts > len)
		return false;
	r->key = take(&at, w->key_len);
	r->method_text = take(&at, w->method_len);
	r->host = take(&at, w->host_len);
	r->target = take(&at, w->target_len);
	r->fields = take(&at, w->fields_len);
	r->method = http_method_parse(r->method_text);
	if (r->method == HTTP_CONNECT || !is_token(r->method_text))
		return false;
	if (!all_visible(r->host) || !all_visible(r->target) || r->target.len == 0)
		return false;
	if (r->target.ptr[0] != '/' && !span_eq(r->target, SPAN_LIT("*")))
		return false;
	return body_check(r, has_body) && fields_check(r, r->data + texts);
}

struct request *request_read(const void *bytes, uint32_t len, bool has_body)
{
	struct request *r;
	uint32_t text_len;

	if (len < sizeof(struct chan_request))
		return NULL;
	text_len = len - (uint32_t)sizeof(struct chan_request);
	r = calloc(1, sizeof(*r) + text_len + 2);
	if (r == NULL)
		return NULL;
	memcpy(&r->wire, bytes, sizeof(r->wire));
	memcpy(r->data, (const char *)bytes + sizeof(r->wire), text_len);
	if (request_check(r, text_len, has_body))
		return r;
	free(r);
	return NULL;
}

size_t request_bytes_used(const struct request *r)
{
	/* Behind the fields is room for the CRLF that ends them. */
	return sizeof(*r) + r->key.len + r->method_text.len + r->host.len + r->target.len +
	       r->fields.len + 2;
}

static void rebase(struct span *s, const struct request *from, const struct request *to)
{
	s->ptr = to->data + (s->ptr - from->data);
}

struct request *request_copy(const struct request *r)
{
	size_t bytes = request_bytes_used(r);
	struct request *copy = malloc(bytes);

	if (copy == NULL)
		return NULL;
	memcpy(copy, r, bytes);
	rebase(&copy->key, r, copy);
	rebase(&copy->method_text, r, copy);
	rebase(&copy->host, r, copy);
	rebase(&copy->target, r, copy);
	rebase(&copy->fields, r, copy);
	return copy;
}

struct span request_key_host(struct span host)
{
	if (host.len > 3 && memcmp(host.ptr + host.len - 3, ":80", 3) == 0)
		host.len -= 3;
	return host;
}

struct span request_route_host(struct span host)
{
	size_t n = host.len;

	while (n > 0 && host.ptr[n - 1] >= '0' && host.ptr[n - 1] <= '9')
		n--;
	if (n > 0 && n < host.len + 1 && host.ptr[n - 1] == ':')
		host.len = n - 1;
	return host;
}

/* --- the origin's head --- */

struct writer {
	char *at;
	char *end;
};

static void put(struct writer *w, struct span s)
{
	assert(s.len <= (size_t)(w->end - w->at));
	if (s.len > 0)
		memcpy(w->at, s.ptr, s.len);
	w->at += s.len;
}

static void put_line(struct writer *w, struct span name, struct span value)
{
	put(w, name);
	put(w, SPAN_LIT(": "));
	put(w, value);
	put(w, SPAN_LIT("\r\n"));
}

static struct span client_text(const struct chan_request *cr, char out[static INET6_ADDRSTRLEN])
{
	static const uint8_t v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	bool is_v4 = memcmp(cr->client_addr, v4, sizeof(v4)) == 0;
	const void *addr = is_v4 ? cr->client_addr + sizeof(v4) : cr->client_addr;

	if (inet_ntop(is_v4 ? AF_INET : AF_INET6, addr, out, INET6_ADDRSTRLEN) == NULL)
		return SPAN_LIT("unknown");
	return span_cstr(out);
}

/* The client's word stays in front: who reads the field knows how many proxies to trust. */
static void put_forwarded(struct writer *w, const struct request *r, const struct http_fields *fs)
{
	char text[INET6_ADDRSTRLEN];
	bool tls = (r->wire.flags & CHAN_REQ_TLS) != 0;

	put(w, SPAN_LIT("X-Forwarded-For: "));
	for (uint32_t i = 0; i < fs->count; i++) {
		if (fs->f[i].id != HDR_X_FORWARDED_FOR || fs->f[i].value.len == 0)
			continue;
		put(w, fs->f[i].value);
		put(w, SPAN_LIT(", "));
	}
	put(w, client_text(&r->wire, text));
	put(w, SPAN_LIT("\r\n"));
	put_line(w, SPAN_LIT("X-Forwarded-Proto"), tls ? SPAN_LIT("https") : SPAN_LIT("http"));
}

/* RFC 9110 7.6.2: one proxy fewer may forward it. 0 was answered by the core. */
static bool put_hops(struct writer *w, const struct request *r, const struct http_field *f)
{
	char text[24];
	int64_t hops;

	if (r->method != HTTP_OPTIONS || f->id != HDR_MAX_FORWARDS ||
	    !http_parse_length(f->value, &hops) || hops == 0)
		return false;
	snprintf(text, sizeof(text), "%lld", (long long)hops - 1);
	put_line(w, f->name, span_cstr(text));
	return true;
}

static void put_framing(struct writer *w, const struct request *r)
{
	char text[24];

	if (r->chunked) {
		put_line(w, SPAN_LIT("Transfer-Encoding"), SPAN_LIT("chunked"));
		return;
	}
	/* RFC 9110 8.6: a method that expects a body says so when there is none. */
	if (!r->has_body && r->method != HTTP_POST && r->method != HTTP_PUT &&
	    r->method != HTTP_PATCH)
		return;
	snprintf(text, sizeof(text), "%llu",
	         (unsigned long long)(r->has_body ? r->wire.body_len : 0));
	put_line(w, SPAN_LIT("Content-Length"), span_cstr(text));
}

/* Would a part perhaps not fit to the one that the client has (RFC 9110 13.1.5)? */
static bool part_doubtful(const struct http_fields *fs)
{
	uint32_t count;
	struct span v = http_field_get(fs, HDR_IF_RANGE, &count);

	return count > 0 && (v.len == 0 || v.ptr[0] != '"');
}

static bool style_drops(const struct request_style *style, const struct http_fields *fs,
                        enum http_hdr id)
{
	if ((style->etag.len > 0 || style->last_modified.len > 0) && field_conditional(id))
		return true;
	if (style->plain && id == HDR_ACCEPT_ENCODING)
		return true;
	return style->whole && (id == HDR_RANGE || id == HDR_IF_RANGE) && part_doubtful(fs);
}

static void put_head(struct writer *w, const struct request *r, const struct request_style *style)
{
	struct span host = style->host_header != NULL ? span_cstr(style->host_header)
	                   : r->host.len > 0          ? r->host
	                                              : span_cstr(style->address);
	struct http_fields fs;
	bool has_id = false;
	char text[64];
	size_t pos = 0;

	http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, &fs);
	put(w, r->method_text);
	put(w, SPAN_LIT(" "));
	put(w, r->target);
	put(w, SPAN_LIT(" HTTP/1.1\r\n"));
	put_line(w, SPAN_LIT("Host"), host);
	for (uint32_t i = 0; i < fs.count; i++) {
		has_id |= fs.f[i].id == HDR_X_REQUEST_ID;
		if (field_drops(fs.f[i].id) || style_drops(style, &fs, fs.f[i].id) ||
		    (r->anonymous && fs.f[i].id == HDR_AUTHORIZATION))
			continue;
		if (!put_hops(w, r, &fs.f[i]))
			put_line(w, fs.f[i].name, fs.f[i].value);
	}
	/* Both, where both are known (RFC 9111 4.3.1). */
	if (style->etag.len > 0)
		put_line(w, SPAN_LIT("If-None-Match"), style->etag);
	if (style->last_modified.len > 0)
		put_line(w, SPAN_LIT("If-Modified-Since"), style->last_modified);
	if (style->plain)
		put_line(w, SPAN_LIT("Accept-Encoding"), SPAN_LIT("identity"));
	put(w, SPAN_LIT("Via: 1."));
	put(w, r->wire.minor == 0 ? SPAN_LIT("0 ") : SPAN_LIT("1 "));
	put(w, span_cstr(style->node));
	put(w, SPAN_LIT("\r\n"));
	put_forwarded(w, r, &fs);
	if (!has_id) {
		snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)style->id_hi,
		         (unsigned long long)style->id_lo);
		put_line(w, SPAN_LIT("X-Request-Id"), span_cstr(text));
	}
	put_framing(w, r);
	put(w, SPAN_LIT("\r\n"));
}

struct request_bytes *request_serialise(const struct request *r, const struct request_style *style)
{
	/* A field line grows by at most the space behind its colon. */
	size_t room = r->method_text.len + r->target.len + r->host.len + r->fields.len +
	              HTTP_MAX_FIELDS * 2 + strlen(style->node) + strlen(style->address) +
	              style->etag.len + style->last_modified.len + HEAD_EXTRA;
	struct request_bytes *b;

	if (style->host_header != NULL)
		room += strlen(style->host_header);
	b = request_bytes_new((uint32_t)room);
	if (b == NULL)
		return NULL;
	struct writer w = {b->data, b->data + room};
	put_head(&w, r, style);
	b->len = (uint32_t)(w.at - b->data);
	return b;
}
