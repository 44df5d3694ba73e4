/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tags that an origin gives its answers, with the prefixes of cache/inval.h: Surrogate-Key (names
 * divided by blanks) and Cache-Groups (RFC 9875). Pure functions; control calls them. */
#ifndef CACHE_TAGS_H
#define CACHE_TAGS_H

#include "cache/policy.h"

#define TAG_MAX 512u /* bytes with the prefix; an answer with a longer one is not stored */

typedef void tag_fn(void *arg, struct span tag);

/* Calls fn for each tag of a response. False when one was too long: it could never be purged by it.
 * A Cache-Groups field that is no List of Strings is as if it were not there (RFC 9875 2). */
bool tags_of_response(const struct http_fields *fs, const struct cache_target *at, tag_fn *fn,
                      void *arg);
/* Calls fn for each group that the answer to an unsafe request makes void
 * (Cache-Group-Invalidation, RFC 9875 3). */
void tags_invalidated(const struct http_fields *fs, const struct cache_target *at, tag_fn *fn,
                      void *arg);

/* "group:http://host:port name", host in lower case, the port always there. Its length in buf, 0
 * when it is too long. */
size_t tag_group(const struct cache_target *at, struct span name, char buf[TAG_MAX]);

#endif
