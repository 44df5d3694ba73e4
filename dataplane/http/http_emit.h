/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes HTTP/1.1 response heads and small error answers into the caller's buffer. Called by the
 * request stages (req_reply and others). Allocates nothing, keeps nothing, formats with no printf.
 * It never writes behind cap: what does not fit sets full, and http_out_end then returns 0, so a
 * caller checks once, at the end.
 *
 *	struct http_out out;
 *
 *	http_out_init(&out, buf, cap);
 *	http_out_status(&out, 200);
 *	http_out_field(&out, SPAN_LIT("Date"), span_of(date, HTTP_DATE_BYTES));
 *	http_out_u64_field(&out, SPAN_LIT("Content-Length"), len);
 *	head_len = http_out_end(&out);
 *
 * Values are written as given: the caller must not pass CR, LF or NUL from outside. */
#ifndef DATAPLANE_HTTP_HTTP_EMIT_H
#define DATAPLANE_HTTP_HTTP_EMIT_H

#include "lib/http1.h"

#define HTTP_DATE_BYTES      29u  /* IMF-fixdate (RFC 9110 5.6.7) */
#define HTTP_U64_DIGITS_MAX  20u  /* 18446744073709551615 */
#define HTTP_ERROR_MAX_BYTES 512u /* room for any answer of http_emit_error */

struct http_out {
	char *buf;
	size_t cap;
	size_t len; /* bytes written */
	bool full;  /* something did not fit; len then tells nothing */
};

static inline void http_out_init(struct http_out *o, char *buf, size_t cap)
{
	*o = (struct http_out){.buf = buf, .cap = cap};
}

/* Writes n in decimal at dst, which has room for HTTP_U64_DIGITS_MAX bytes. Returns the number of
 * digits; no NUL is written. */
size_t http_u64_write(char *dst, uint64_t n);

/* For a head whose room was checked as a whole: these write without a look and return where to go
 * on. */
static inline char *http_put(char *at, struct span s)
{
	if (s.len > 0)
		memcpy(at, s.ptr, s.len);
	return at + s.len;
}

extern const char http_digit_pairs[200]; /* "00" to "99" */

/* n in decimal; room as for http_u64_write. */
static inline char *http_put_u64(char *at, uint64_t n)
{
	if (unlikely(n >= 10000))
		return at + http_u64_write(at, n);
	if (n < 10) {
		*at = (char)('0' + n);
		return at + 1;
	}
	if (n >= 1000) {
		memcpy(at, http_digit_pairs + 2 * ((uint32_t)n / 100), 2);
		at += 2;
		n = (uint32_t)n % 100;
	} else if (n >= 100) {
		*at++ = (char)('0' + (uint32_t)n / 100);
		n = (uint32_t)n % 100;
	}
	memcpy(at, http_digit_pairs + 2 * n, 2);
	return at + 2;
}

/* "HTTP/1.1 <status> <reason>" CRLF. status is 100..999. */
void http_out_status(struct http_out *o, unsigned status);
/* "name: value" CRLF. */
void http_out_field(struct http_out *o, struct span name, struct span value);
/* "name: n" CRLF. */
void http_out_u64_field(struct http_out *o, struct span name, uint64_t n);
/* Whole lines "Name: v" CRLF, made beforehand; also any other bytes, for example a short body. */
void http_out_lines(struct http_out *o, struct span raw);
/* The empty line. Returns all bytes written so far, or 0 when something did not fit. */
size_t http_out_end(struct http_out *o);

#define HTTP_METHOD_BIT(m) (1u << (m))

/* Zero-initialise, then set what applies. */
struct http_error {
	unsigned status;        /* 400..599 */
	bool keep_alive;        /* false: "Connection: close" */
	bool http10;            /* with keep_alive: an HTTP/1.0 client wants to be told so */
	bool head_only;         /* answer to HEAD: Content-Length as for GET, but no body */
	const char *date;       /* HTTP_DATE_BYTES, or NULL for no Date field */
	uint32_t allow;         /* HTTP_METHOD_BIT(...) of what the resource takes; used for 405 */
	uint32_t retry_after_s; /* 0 for no Retry-After */
	struct span lines;      /* more whole field lines, may be empty */
};

/* A complete answer: the head and an RFC 9457 problem document. Returns its length, or 0 when it
 * does not fit in cap. HTTP_ERROR_MAX_BYTES plus lines.len always suffices. */
size_t http_emit_error(char *buf, size_t cap, const struct http_error *e);

#endif
