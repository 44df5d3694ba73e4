/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The layout of a snapshot behind struct snapshot; for snapshot*.c, config_text.c and tests.
 *
 *   struct snapshot | snap_host[host_count] | snap_route[route_count] | for each host: snap_node[],
 *   uint32_t ends[] | texts | rules (rule_format.h)
 *
 * Hosts stand in this order: exact names, suffixes ("*.example.com" as "example.com"), the host
 * "*"; the first two sorted (snap_text_order), names in lower case.
 *
 * The patterns of a host are one tree. A node is what one path segment leads to: literal children
 * (sorted, found by binary search), one child for {name}, routes that end here, and routes that end
 * in
 * '*' here. snapshot_check sees to it that it is a tree (each node has one parent, and that stands
 * before it) of at most SNAP_MAX_SEGMENTS levels with at most SNAPSHOT_MAX_PARAMS parameters on a
 * path. So a lookup, which goes back when a branch fails, sees each node at most once: its cost is
 * bounded by the nodes and routes of one host, whatever path a client sends and whoever made the
 * block. */
#ifndef LIB_SNAPSHOT_FORMAT_H
#define LIB_SNAPSHOT_FORMAT_H

#include "lib/hash.h"
#include "lib/snapshot.h"

#define SNAP_MAX_SEGMENTS 64u
#define SNAP_HOST_MAX     255u
#define SNAP_ID_SEED      0x51c0ffee5eed0001ull

enum snap_host_kind { SNAP_HOST_EXACT, SNAP_HOST_SUFFIX, SNAP_HOST_ANY, SNAP_HOST_KINDS };

struct snap_host {
	uint32_t kind; /* enum snap_host_kind */
	uint32_t name_off;
	uint32_t name_len;
	uint32_t nodes_off; /* struct snap_node[node_count]; the first is the root */
	uint32_t node_count;
	uint32_t ends_off; /* uint32_t[end_count]: indices of routes */
	uint32_t end_count;
	uint32_t pad;
};
static_assert(sizeof(struct snap_host) == 32, "shared ABI");

struct snap_node {
	uint32_t text_off; /* the literal segment that leads here; empty for {name} and the root */
	uint32_t text_len;
	uint32_t child_first; /* literal children: nodes [child_first, child_first + child_count) */
	uint32_t child_count;
	uint32_t param_child; /* node; 0: none */
	uint32_t end_first;   /* routes whose pattern ends here: ends [end_first, + end_count) */
	uint32_t end_count;
	uint32_t star_first; /* routes whose pattern goes on with a last '*' */
	uint32_t star_count;
	uint32_t pad;
};
static_assert(sizeof(struct snap_node) == 40, "shared ABI");
static_assert(sizeof(struct snap_route) == 108, "shared ABI");
static_assert(offsetof(struct snapshot, id) == 16, "shared ABI");

/* A block under construction. */
struct snap_writer {
	char *block; /* SNAPSHOT_MAX_BYTES, zeroed */
	size_t used;
	bool full; /* they were not enough */
};

/* 0 when there is no room; no part but the header is at 0. */
uint32_t snap_take(struct snap_writer *w, size_t len, size_t align);
uint32_t snap_put(struct snap_writer *w, const void *bytes, size_t len, size_t align);

/* snapshot_rules.c: the rules of the configuration, behind everything else, and what routes say of
 * them. ST_INVALID: err has the text. */
enum status snapshot_rules_put(const struct config *cfg, struct snap_writer *w,
                               struct config_error *err);
/* snapshot_rules_check.c */
bool snapshot_rules_ok(const struct snapshot *s);
/* count items of size bytes at off, behind the header and inside of the block, and aligned? */
bool snapshot_range_ok(const struct snapshot *s, uint32_t off, uint64_t count, size_t size);

static inline uint64_t snapshot_content_id(const struct snapshot *s)
{
	const char *content = (const char *)s + offsetof(struct snapshot, limits);

	return hash64(content, s->total_bytes - offsetof(struct snapshot, limits), SNAP_ID_SEED);
}

/* By length, then by bytes: most comparisons of a search end at the length. */
static inline int snap_text_order(struct span a, struct span b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return a.len > 0 ? memcmp(a.ptr, b.ptr, a.len) : 0;
}

/* rest begins with '/' or is empty. Takes "/segment" off its front; false when nothing is left. */
static inline bool path_segment_next(struct span *rest, struct span *seg)
{
	const char *end;

	if (rest->len == 0)
		return false;
	rest->ptr++;
	rest->len--;
	end = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
	seg->ptr = rest->ptr;
	seg->len = end ? (size_t)(end - rest->ptr) : rest->len;
	rest->ptr += seg->len;
	rest->len -= seg->len;
	return true;
}

#endif
