/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cache key of a request: a text, and its 128-bit hash. The text is compared on each hit, so a
 * hash collision never serves a wrong answer. */
#ifndef CACHE_KEY_H
#define CACHE_KEY_H

#include "lib/base.h"
#include "lib/hash.h"
#include "lib/span.h"

#define CACHE_KEY_MAX 2048u /* bytes of text; a longer one is not cached */

struct cache_key {
	struct hash128 hash;
	struct span text;
};

/* "host/path?query", host in lower case, the path and query as sent; no '?' when query.ptr is NULL,
 * because "/a?" and "/a" are two targets. buf (CACHE_KEY_MAX bytes) holds the text. seed: the
 * snapshot's hash seed. False when it would be too long. */
bool cache_key_default(char *buf, struct span host, struct span path, struct span query,
                       uint64_t seed, struct cache_key *out);

/* Does the text match a pattern of literal bytes and '*' (any run, also empty)? Linear time. */
bool cache_key_match(struct span text, struct span pattern);

#endif
