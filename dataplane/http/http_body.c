/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/http/http_body.h"

bool http_body_init(struct http_body *b, const struct http_framing *f, uint64_t limit_bytes)
{
	assert(f->kind == HTTP_BODY_NONE || f->kind == HTTP_BODY_LENGTH ||
	       f->kind == HTTP_BODY_CHUNKED);
	*b = (struct http_body){.limit_bytes = limit_bytes};
	b->is_chunked = f->kind == HTTP_BODY_CHUNKED;
	if (f->kind != HTTP_BODY_LENGTH)
		return true;
	b->left = (uint64_t)f->length;
	return b->left <= limit_bytes;
}

static enum http_run_kind read_length(struct http_body *b, struct span in, struct http_run *run)
{
	size_t n = (size_t)min_u64(b->left, in.len);

	if (b->left == 0)
		return HTTP_RUN_END;
	if (n == 0)
		return HTTP_RUN_MORE;
	run->data = span_of(in.ptr, n);
	run->used = n;
	b->left -= n;
	b->total += n;
	return HTTP_RUN_DATA;
}

static enum http_run_kind refuse(struct http_run *run, unsigned status)
{
	run->data = (struct span){0};
	run->status = status;
	return HTTP_RUN_REFUSE;
}

static enum http_run_kind read_chunked(struct http_body *b, struct span in, struct http_run *run)
{
	enum http_chunk r = http_chunked_read(&b->chunked, in.ptr, in.len, &run->used, &run->data);
	uint64_t allowed = b->limit_bytes - b->total;

	/* A chunk announced above the limit need not be awaited. This comes first, so that the
	 * answer does not depend on how the size was cut into segments. */
	if (b->chunked.left > allowed || run->data.len > allowed)
		return refuse(run, 413);
	switch (r) {
	case HTTP_CHUNK_DATA:
		b->total += run->data.len;
		return HTTP_RUN_DATA;
	case HTTP_CHUNK_MORE:
		return HTTP_RUN_MORE;
	case HTTP_CHUNK_END:
		return HTTP_RUN_END;
	case HTTP_CHUNK_BAD:
		break;
	}
	return refuse(run, 400);
}

enum http_run_kind http_body_read(struct http_body *b, struct span in, struct http_run *run)
{
	*run = (struct http_run){0};
	return b->is_chunked ? read_chunked(b, in, run) : read_length(b, in, run);
}
