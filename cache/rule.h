/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a route's configuration says of caching, in the terms of cache/policy.h. Both processes read
 * it from the snapshot through this one function. */
#ifndef CACHE_RULE_H
#define CACHE_RULE_H

#include "cache/policy.h"
#include "lib/snapshot.h"

void cache_rule_of(const struct snap_route *route, struct cache_rule *out);

#endif
