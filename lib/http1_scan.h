/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the HTTP/1.1 readers share below lib/http1.h: byte classes, list elements, and the two scans
 * that have SIMD paths. Used by lib/http1_*.c and by the dataplane's request parser; nobody else
 * needs it. A scan reads no byte outside of what it is given, whichever path it takes. */
#ifndef LIB_HTTP1_SCAN_H
#define LIB_HTTP1_SCAN_H

#include "lib/http1.h"

/* Byte classes (RFC 9110 5.6.2, 5.5; RFC 9112 3.2). */
#define HTTP1_TOKEN  1u /* tchar */
#define HTTP1_VALUE  2u /* VCHAR, obs-text, SP, HTAB */
#define HTTP1_TARGET 4u /* 0x21..0x7e without '#' */
#define HTTP1_HOST   8u /* reg-name without '%': unreserved, sub-delims */

extern const uint8_t http1_class[256];

static inline bool http1_is_token(char c)
{
	return (http1_class[(unsigned char)c] & HTTP1_TOKEN) != 0;
}

static inline bool http1_is_value(char c)
{
	return (http1_class[(unsigned char)c] & HTTP1_VALUE) != 0;
}

static inline bool http1_is_target(char c)
{
	return (http1_class[(unsigned char)c] & HTTP1_TARGET) != 0;
}

static inline bool http1_is_host(char c)
{
	return (http1_class[(unsigned char)c] & HTTP1_HOST) != 0;
}

/* Takes the first element off a comma-separated list, trimmed, maybe empty; commas within quoted
 * strings do not separate. False when the list is used up. */
bool http1_list_next(struct span *list, struct span *element);

/* Where the lines of a stretch of head end, and which bytes cannot be in a field name. The scanner
 * works in windows: SIMD fills one, and the same plain code on every path then walks its lines. */
#define HTTP1_WINDOW_BYTES  1024u
#define HTTP1_WINDOW_BLOCKS (HTTP1_WINDOW_BYTES / 64)
#define HTTP1_WINDOW_SLACK  8u /* entries that a path may write behind the last end */

struct http1_window {
	/* Bit i of word i / 64: byte i is no tchar. Bits behind the stretch are set, and one whole
	 * word more. */
	uint64_t not_token[HTTP1_WINDOW_BLOCKS + 1];
	/* Position of the LF of each CR LF, up to bad. */
	uint16_t ends[HTTP1_WINDOW_BYTES / 2 + HTTP1_WINDOW_SLACK];
	uint32_t end_count;
	/* The first byte that no field section may hold here: a control byte, an LF without its CR,
	 * or what follows a CR and is no LF. The stretch's length when there is none. */
	uint32_t bad;
};

/* A request-target, up to where it ends. */
struct http1_target {
	size_t end;   /* of the first byte that is no HTTP1_TARGET, or the length */
	size_t query; /* of the first '?', or end */
	bool closer;  /* has a '%', a '\\' or a "/.": needs a closer look */
};

struct http1_scan_path {
	const char *name;
	/* n is 1..HTTP1_WINDOW_BYTES. */
	void (*window)(const char *p, size_t n, struct http1_window *w);
	void (*target)(const char *p, size_t n, struct http1_target *t);
};

extern const struct http1_scan_path http1_scan_scalar;
extern const struct http1_scan_path http1_scan_sse42;
extern const struct http1_scan_path http1_scan_avx2;

/* The path in use: scalar until http1_init. */
const struct http1_scan_path *http1_scan_active(void);

/* Fills the field name table; see http1_names.c. */
void http1_names_init(void);

#endif
