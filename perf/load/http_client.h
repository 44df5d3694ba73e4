/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads HTTP/1.1 answers off a byte stream that comes in pieces (RFC 9112), for the load tool's
 * engine. Bodies are counted, not kept; a head is kept only while it is incomplete. Equal heads
 * from a server that says the same over and over are recognised, not parsed again. No clock, no
 * I/O, and no allocation but for heads that came in pieces. */
#ifndef PERF_LOAD_HTTP_CLIENT_H
#define PERF_LOAD_HTTP_CLIENT_H

#include "lib/base.h"
#include "lib/http1.h"

#define HTTP_CLIENT_HEAD_MAX    65536u /* a head beyond that is refused */
#define HTTP_CLIENT_INTERIM_MAX 16u    /* 1xx answers before the final one */
#define HTTP_CLIENT_MEMO_BYTES  1008u  /* longer heads are parsed each time */

struct http_answer {
	uint64_t bytes; /* head and body as they came, interim answers among them */
	uint16_t status;
	bool keep;        /* the connection goes on (RFC 9112 9.3) */
	bool cache_known; /* it has Cache-Status (RFC 9211) */
	bool hit;         /* a member of that says hit */
};

/* The last head that was parsed, and what it meant; one or some for each worker. */
struct http_memo {
	uint32_t len; /* 0: none */
	enum http_method method;
	enum http_framing_kind kind;
	int64_t length;
	struct http_answer answer;
	char head[HTTP_CLIENT_MEMO_BYTES];
};

/* One connection's reader. Zero-initialise; http_client_free gives back what it holds. */
struct http_client {
	struct http_answer answer; /* so far */
	uint8_t state;
	uint8_t interim;
	uint64_t left; /* of a body with a length */
	struct http_chunked chunked;
	char *head; /* the incomplete one; kept for the next */
	uint32_t head_len;
	uint32_t head_size;
};

enum http_read {
	HTTP_READ_MORE, /* all bytes taken, the answer goes on */
	HTTP_READ_DONE, /* *used were taken; out holds the answer */
	HTTP_READ_BAD   /* no HTTP/1.1, or a limit was exceeded; the stream is of no more use */
};

/* For a request with that method whose answer begins or goes on here. memo may be NULL. */
enum http_read http_client_read(struct http_client *c, struct http_memo *memo,
                                enum http_method method, struct span bytes, size_t *used,
                                struct http_answer *out);
/* The server sent FIN: true when that ends an answer, which out then holds. */
bool http_client_eof(struct http_client *c, struct http_answer *out);
/* For a new connection. */
void http_client_reset(struct http_client *c);
void http_client_free(struct http_client *c);
/* Bytes of the answer under way so far. */
static inline uint64_t http_client_bytes(const struct http_client *c)
{
	return c->answer.bytes;
}

/* Does a Cache-Status field say that a cache had it: has any of the list's members the parameter
 * hit (RFC 9211 2.1)? */
bool http_cache_status_hit(struct span value);

#endif
