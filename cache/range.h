/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Byte ranges of a stored whole answer (RFC 9110 14). Pure functions. */
#ifndef CACHE_RANGE_H
#define CACHE_RANGE_H

#include "cache/object.h"
#include "lib/http1.h"

#define RANGES_MAX 8u /* more in one request: the whole answer instead (RFC 9110 14.2) */

struct byte_range {
	uint64_t first;
	uint64_t len; /* above 0 */
};

enum range_result {
	RANGE_WHOLE, /* no Range, not one of bytes, If-Range does not match, or too many: 200 */
	RANGE_PART,  /* one: 206 with Content-Range */
	RANGE_PARTS, /* several that do not overlap: 206 multipart/byteranges */
	RANGE_NONE   /* 416 */
};

/* o: status 200 with a known body_len. out: RANGES_MAX; *count: how many. */
enum range_result range_resolve(const struct object *o, const struct http_fields *request,
                                struct byte_range *out, uint32_t *count);

/* Where the one range of bytes begins that the request asks for. False: there is no Range, it is
 * for the end of a body, for several parts, or not well-formed. */
bool range_begins(const struct http_fields *request, uint64_t *first);

#endif
