/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the body of a request from the receive buffer, in the framing that its head told (RFC 9112
 * 6). Called by http_read behind a parsed head. Copies nothing: each run of data is a span of the
 * caller's buffer. It never reads past the body's last byte, so the next pipelined request stays.
 */
#ifndef DATAPLANE_HTTP_HTTP_BODY_H
#define DATAPLANE_HTTP_HTTP_BODY_H

#include "lib/http1.h"

struct http_body {
	struct http_chunked chunked;
	uint64_t left;  /* of a body with a known length: bytes to come */
	uint64_t total; /* body bytes given out so far */
	uint64_t limit_bytes;
	bool is_chunked;
};

enum http_run_kind {
	HTTP_RUN_DATA,  /* run->data are body bytes, never empty; call again behind run->used */
	HTTP_RUN_MORE,  /* all bytes used, the body goes on */
	HTTP_RUN_END,   /* the body is complete; bytes behind run->used are the next request's */
	HTTP_RUN_REFUSE /* run->status: 400 (bad chunked coding) or 413; close behind the answer */
};

struct http_run {
	size_t used; /* bytes taken of what was given, those of data among them */
	struct span data;
	unsigned status;
};

/* f is the framing of a request that was parsed: NONE, LENGTH or CHUNKED. Returns false when a
 * known length is above limit_bytes already: answer 413 and close, without reading. */
bool http_body_init(struct http_body *b, const struct http_framing *f, uint64_t limit_bytes);

/* Call in a loop until MORE, END or REFUSE. Behind END it says END again and takes nothing. */
enum http_run_kind http_body_read(struct http_body *b, struct span in, struct http_run *run);

#endif
