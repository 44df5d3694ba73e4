/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Content codings that Sluice makes itself (RFC 9110 8.4.1, RFC 7932, RFC 8878), and which of them
 * a request gets. Cores and control call it for the same request and must come to the same answer:
 * it is in the key of a variant (cache/vary.h). Pure functions; the coding itself is done in
 * control/coder.c. */
#ifndef CACHE_CODING_H
#define CACHE_CODING_H

#include "lib/http1.h"

enum coding { CODING_IDENTITY, CODING_BR, CODING_ZSTD, CODING_GZIP, CODING_COUNT };

/* Those that a route offers, the preferred one first; none of them CODING_IDENTITY. */
#define CODINGS_MAX      3u
#define CODINGS_TEXT_MAX 16u /* "br,zstd,gzip" */
struct codings {
	uint8_t count;
	uint8_t at[CODINGS_MAX]; /* enum coding */
};

/* As it stands in Content-Encoding; "" for CODING_IDENTITY. */
struct span coding_name(enum coding c);

/* "br,gzip" to codings; false when a name is not known, stands there twice, or there is none. */
bool codings_read(struct span text, struct codings *out);
/* The reverse; buf holds the text. */
struct span codings_write(const struct codings *c, char buf[CODINGS_TEXT_MAX]);

/* The coding for this request (RFC 9110 12.5.3): that of the highest weight, among equals the first
 * of the offers; identity when it weighs more than they do, when no Accept-Encoding was sent, when
 * none of the offers is accepted (a client that refuses identity as well gets it nevertheless: a
 * 406 would serve it less), and with no-transform (RFC 9111 5.2.1.6). */
enum coding coding_choose(const struct codings *offers, const struct http_fields *request);

#endif
