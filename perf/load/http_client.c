/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/http_client.h"

#include "lib/http1_scan.h"

#include <stdlib.h>

#define HEAD_FIRST_BYTES 2048u
#define GARBAGE_BYTES    4096u /* until then each piece of a head is looked at for what is wrong */

enum client_state { STATE_HEAD, STATE_LENGTH, STATE_CHUNKED, STATE_CLOSE };

/* Takes the first parameter of a structured item off, quoted strings respected (RFC 8941 3.1.2). */
static bool parameter_next(struct span *list, struct span *parameter)
{
	bool quoted = false;
	size_t i;

	if (list->len == 0)
		return false;
	for (i = 0; i < list->len && (quoted || list->ptr[i] != ';'); i++) {
		if (quoted && list->ptr[i] == '\\')
			i++;
		else if (list->ptr[i] == '"')
			quoted = !quoted;
	}
	i = min_size(i, list->len);
	*parameter = span_trim(span_of(list->ptr, i));
	i = min_size(i + 1, list->len);
	*list = span_of(list->ptr + i, list->len - i);
	return true;
}

bool http_cache_status_hit(struct span value)
{
	struct span member;

	while (http1_list_next(&value, &member)) {
		struct span parameter;

		parameter_next(&member, &parameter); /* the cache's name */
		while (parameter_next(&member, &parameter))
			if (span_eq(parameter, SPAN_LIT("hit")) ||
			    span_eq(parameter, SPAN_LIT("hit=?1")))
				return true;
	}
	return false;
}

static void cache_status_read(const struct http_fields *fs, struct http_answer *a)
{
	for (uint32_t i = 0; i < fs->count; i++) {
		if (fs->f[i].id != HDR_CACHE_STATUS)
			continue;
		a->cache_known = true;
		a->hit = a->hit || http_cache_status_hit(fs->f[i].value);
	}
}

static bool head_keeps(const struct http_response_head *h)
{
	if (h->minor == 0)
		return http_field_has_token(&h->fields, HDR_CONNECTION, SPAN_LIT("keep-alive"));
	return !http_field_has_token(&h->fields, HDR_CONNECTION, SPAN_LIT("close"));
}

/* Sets the reader up for the body that the head announces; false when it makes no sense. */
static bool body_begin(struct http_client *c, struct http_framing framing)
{
	switch (framing.kind) {
	case HTTP_BODY_NONE:
		c->left = 0;
		c->state = STATE_LENGTH;
		return true;
	case HTTP_BODY_LENGTH:
		c->left = (uint64_t)framing.length;
		c->state = STATE_LENGTH;
		return true;
	case HTTP_BODY_CHUNKED:
		c->chunked = (struct http_chunked){0};
		c->state = STATE_CHUNKED;
		return true;
	case HTTP_BODY_CLOSE:
		c->answer.keep = false;
		c->state = STATE_CLOSE;
		return true;
	case HTTP_BODY_BAD:
	case HTTP_BODY_UNKNOWN_CODING:
		return false;
	}
	return false;
}

static void memo_store(struct http_memo *m, const struct http_client *c, struct span head,
                       struct http_framing framing)
{
	if (head.len > sizeof(m->head))
		return;
	memcpy(m->head, head.ptr, head.len);
	m->len = (uint32_t)head.len;
	m->kind = framing.kind;
	m->length = framing.length;
	m->answer = c->answer;
}

/* Parses bytes, which begin with a head; *used is its length when it is complete. */
static enum http_scan head_parse(struct http_client *c, struct http_memo *memo,
                                 enum http_method method, struct span bytes, size_t *used)
{
	struct http_response_head h;
	enum http_scan r = http1_parse_response(bytes.ptr, bytes.len, &h, used);

	if (r != HTTP_SCAN_DONE)
		return r;
	if (*used > HTTP_CLIENT_HEAD_MAX)
		return HTTP_SCAN_BAD;
	if (h.status < 200) {
		/* RFC 9110 15.2: any number of them may come; 101 was not asked for. */
		bool bad = h.status == 101 || ++c->interim > HTTP_CLIENT_INTERIM_MAX;

		return bad ? HTTP_SCAN_BAD : HTTP_SCAN_DONE;
	}
	c->answer.status = (uint16_t)h.status;
	c->answer.keep = head_keeps(&h);
	cache_status_read(&h.fields, &c->answer);
	struct http_framing framing = http1_response_framing(&h.fields, h.minor, method, h.status);
	if (!body_begin(c, framing))
		return HTTP_SCAN_BAD;
	if (memo != NULL) {
		memo->method = method;
		memo_store(memo, c, span_of(bytes.ptr, *used), framing);
	}
	return HTTP_SCAN_DONE;
}

/* Equal bytes mean the same: a head ends with its empty line, so none is the beginning of another.
 */
static bool memo_recall(struct http_client *c, const struct http_memo *m, enum http_method method,
                        struct span bytes)
{
	if (m == NULL || m->len == 0 || m->len > bytes.len || m->method != method ||
	    memcmp(bytes.ptr, m->head, m->len) != 0)
		return false;
	uint64_t before = c->answer.bytes;

	c->answer = m->answer;
	c->answer.bytes = before;
	return body_begin(c, (struct http_framing){.kind = m->kind, .length = m->length});
}

/* Appends to the incomplete head; false when it would exceed the limit or there is no memory. */
static bool head_keep(struct http_client *c, struct span bytes)
{
	size_t need = c->head_len + bytes.len;

	if (need > HTTP_CLIENT_HEAD_MAX)
		return false;
	if (need > c->head_size) {
		size_t size = max_u64(HEAD_FIRST_BYTES, pow2_ceil(need));
		char *p = realloc(c->head, size);

		if (p == NULL)
			return false;
		c->head = p;
		c->head_size = (uint32_t)size;
	}
	memcpy(c->head + c->head_len, bytes.ptr, bytes.len);
	c->head_len = (uint32_t)need;
	return true;
}

/* A head that began in an earlier piece. *used: how much of bytes belongs to it when complete. */
static enum http_scan head_continue(struct http_client *c, enum http_method method,
                                    struct span bytes, size_t *used)
{
	size_t before = c->head_len;
	size_t take = min_size(bytes.len, HTTP_CLIENT_HEAD_MAX - before);
	size_t len = 0;

	if (take == 0 || !head_keep(c, span_of(bytes.ptr, take)))
		return HTTP_SCAN_BAD;
	/* Garbage is to be seen as such at once, but a long head is not parsed over and over. */
	if (http1_head_end(c->head, c->head_len, before) == 0 && c->head_len > GARBAGE_BYTES) {
		*used = take;
		return take < bytes.len ? HTTP_SCAN_BAD : HTTP_SCAN_PARTIAL;
	}
	enum http_scan r = head_parse(c, NULL, method, span_of(c->head, c->head_len), &len);
	if (r == HTTP_SCAN_DONE) {
		*used = len - before;
		c->head_len = 0;
	} else if (r == HTTP_SCAN_PARTIAL) {
		*used = take;
	}
	return r;
}

/* From the head's first byte, in place when it is whole. */
static enum http_scan head_read(struct http_client *c, struct http_memo *memo,
                                enum http_method method, struct span bytes, size_t *used)
{
	if (c->head_len > 0)
		return head_continue(c, method, bytes, used);
	if (memo_recall(c, memo, method, bytes)) {
		*used = memo->len;
		return HTTP_SCAN_DONE;
	}
	enum http_scan r = head_parse(c, memo, method, bytes, used);
	if (r == HTTP_SCAN_PARTIAL) {
		*used = bytes.len;
		return head_keep(c, bytes) ? HTTP_SCAN_PARTIAL : HTTP_SCAN_BAD;
	}
	return r;
}

static enum http_read chunked_read(struct http_client *c, struct span bytes, size_t *used)
{
	size_t at = 0;

	for (;;) {
		struct span data;
		size_t n = 0;
		enum http_chunk r =
		        http_chunked_read(&c->chunked, bytes.ptr + at, bytes.len - at, &n, &data);

		at += n;
		*used = at;
		if (r == HTTP_CHUNK_END)
			return HTTP_READ_DONE;
		if (r == HTTP_CHUNK_MORE)
			return HTTP_READ_MORE;
		if (r == HTTP_CHUNK_BAD)
			return HTTP_READ_BAD;
	}
}

static enum http_read body_read(struct http_client *c, struct span bytes, size_t *used)
{
	if (c->state == STATE_CHUNKED)
		return chunked_read(c, bytes, used);
	if (c->state == STATE_CLOSE) {
		*used = bytes.len;
		return HTTP_READ_MORE;
	}
	*used = (size_t)min_u64(bytes.len, c->left);
	c->left -= *used;
	return c->left == 0 ? HTTP_READ_DONE : HTTP_READ_MORE;
}

static void answer_take(struct http_client *c, struct http_answer *out)
{
	*out = c->answer;
	c->answer = (struct http_answer){0};
	c->state = STATE_HEAD;
	c->interim = 0;
}

enum http_read http_client_read(struct http_client *c, struct http_memo *memo,
                                enum http_method method, struct span bytes, size_t *used,
                                struct http_answer *out)
{
	size_t at = 0;
	enum http_read r = HTTP_READ_MORE;

	while (c->state == STATE_HEAD) {
		size_t n = 0;
		enum http_scan head = HTTP_SCAN_PARTIAL;

		if (at < bytes.len)
			head = head_read(c, memo, method, span_of(bytes.ptr + at, bytes.len - at),
			                 &n);
		at += n;
		c->answer.bytes += n;
		*used = at;
		if (head == HTTP_SCAN_PARTIAL)
			return HTTP_READ_MORE;
		if (head != HTTP_SCAN_DONE)
			return HTTP_READ_BAD;
	}
	size_t n = 0;
	r = body_read(c, span_of(bytes.ptr + at, bytes.len - at), &n);
	c->answer.bytes += n;
	*used = at + n;
	if (r == HTTP_READ_DONE)
		answer_take(c, out);
	return r;
}

bool http_client_eof(struct http_client *c, struct http_answer *out)
{
	if (c->state != STATE_CLOSE)
		return false;
	answer_take(c, out);
	return true;
}

void http_client_reset(struct http_client *c)
{
	c->answer = (struct http_answer){0};
	c->state = STATE_HEAD;
	c->interim = 0;
	c->head_len = 0;
}

void http_client_free(struct http_client *c)
{
	free(c->head);
	*c = (struct http_client){0};
}
