/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Between the files of cache/policy*.c; nobody else includes it. */
#ifndef CACHE_POLICY_PRIVATE_H
#define CACHE_POLICY_PRIVATE_H

#include "cache/policy.h"

/* One targeted field (RFC 9213): true when there is one, it is a valid dictionary, and not empty.
 * out is set whole then. */
bool cache_targeted_parse(const struct http_fields *fs, enum http_hdr id,
                          struct cache_control *out);

/* What a directive without a value switches on; NULL: there is none of that name (in any case). Not
 * no-cache and private, which may have values. */
bool *cache_control_flag(struct cache_control *cc, struct span name);
/* All absent. */
void cache_control_clear(struct cache_control *out);

#endif
