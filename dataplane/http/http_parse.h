/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads one HTTP/1.x request head (RFC 9112) where it lies. Called by http_read for each ready
 * connection; allocates nothing, copies nothing, keeps only how far it looked in struct
 * http_parser. Body bytes are the business of http_body.h. */
#ifndef DATAPLANE_HTTP_HTTP_PARSE_H
#define DATAPLANE_HTTP_HTTP_PARSE_H

#include "lib/http1.h"

struct http_limits {
	uint32_t head_bytes;   /* start line and fields together: 431 above */
	uint32_t target_bytes; /* request-target: 414 above */
	uint32_t fields;       /* at most HTTP_MAX_FIELDS: 431 above */
};

/* Zero-initialise at the start of each request. What came before `scanned` was checked already, so
 * a head that comes in pieces is checked once, and read once more when its end is there. */
struct http_parser {
	uint32_t scanned; /* whole lines known to be sound and not the end; 0: no start line yet */
	uint32_t fields;  /* field lines among them */
};

struct http_request {
	enum http_method method;
	struct span method_text;
	struct span target; /* as sent */
	struct span path;   /* of the target, begins with '/', or "*" for OPTIONS */
	struct span query;  /* behind '?', empty when there is none */
	struct span host;   /* authority of an absolute-form target, else Host; without port; may be
	                       empty   in HTTP/1.0 */
	uint32_t host_port; /* 0 when none was given */
	uint32_t minor;     /* HTTP/1.minor: 0 or 1 */
	bool keep_alive;    /* the client can take another response (RFC 9112 9.3) */
	bool expect_continue;
	struct http_framing framing;
	struct http_fields fields;
	size_t head_len; /* bytes with the empty line */
};

enum http_parse {
	HTTP_PARSE_DONE,
	HTTP_PARSE_PARTIAL,
	HTTP_PARSE_REFUSE /* *status: 400, 414, 431, 501, 505 or 417; then the connection closes */
};

/* A request that cannot become a sound one is refused with the bytes at hand, complete or not: what
 * is refused, and with which status, does not depend on how it was cut into segments.
 *
 * buf[0, len) begins with the request; at most limits->head_bytes of it are looked at. One empty
 * line before the start line is skipped and counted in head_len (RFC 9112 2.2). out is valid on
 * DONE only, as long as buf is. */
enum http_parse http_parse_request(struct http_parser *p, const char *buf, size_t len,
                                   const struct http_limits *limits, struct http_request *out,
                                   unsigned *status);

/* Has the path a "." or ".." segment, in whatever encoding some origin could undo: "%2e" for a dot,
 * a backslash, "%2f" or "%5c" for a slash, ";x" behind the dots? http_parse_request refuses such
 * targets. */
bool http_path_has_dot_segment(struct span path);

#endif
