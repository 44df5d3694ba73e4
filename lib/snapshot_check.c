/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The border: bytes of another process become a snapshot here, or are refused. What a lookup
 * follows (offsets, counts, indices, the shape of the trees) is checked; so is what the dataplane
 * takes sizes and response bytes from. */
#include "lib/config_params.h"
#include "lib/snapshot_format.h"

#include <stdlib.h>

bool snapshot_range_ok(const struct snapshot *s, uint32_t off, uint64_t count, size_t size)
{
	size_t align = size > 8 ? 8 : size;

	if (off < sizeof(*s) || off > s->total_bytes || off % align != 0)
		return false;
	return count <= (s->total_bytes - off) / size;
}

static bool text_ok(const struct snapshot *s, uint32_t off, uint32_t len)
{
	return snapshot_range_ok(s, off, len, 1);
}

static const struct snap_host *host_at(const struct snapshot *s, uint32_t i)
{
	return (const struct snap_host *)(const void *)((const char *)s + s->hosts_off) + i;
}

static const struct snap_route *route_at(const struct snapshot *s, uint32_t i)
{
	return (const struct snap_route *)(const void *)((const char *)s + s->routes_off) + i;
}

/* Numbers that sizes are made of have to be in the ranges of params.def. */
static bool section_ok(enum param_section section, const void *values)
{
	struct param_group group = param_group(section);

	for (uint32_t i = 0; i < group.count; i++) {
		uint64_t value = param_get(&group.params[i], values);

		if (value < group.params[i].min || value > group.params[i].max)
			return false;
	}
	return true;
}

/* The node's name goes into response heads: no byte of it may end a field (RFC 9110 5.6.2). */
static bool node_ok(const struct snapshot *s)
{
	const char *name = (const char *)s + s->node_off;

	if (s->node_len == 0 || s->node_len > 255 || !text_ok(s, s->node_off, s->node_len))
		return false;
	for (uint32_t i = 0; i < s->node_len; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
			return false;
	return true;
}

static bool head_ok(const struct snapshot *s)
{
	const struct param *sleep = param_find(PARAM_top, SPAN_LIT("idle_sleep_us"));

	return section_ok(PARAM_limits, &s->limits) && section_ok(PARAM_timeouts, &s->timeouts) &&
	       s->limits.target_bytes <= s->limits.head_bytes && s->idle <= IDLE_ADAPTIVE &&
	       s->idle_sleep_us >= sleep->min && s->idle_sleep_us <= sleep->max &&
	       s->stages <= CONFIG_STAGES_ALL && node_ok(s) && s->upstream_count > 0 &&
	       s->upstream_count <= UINT16_MAX && s->route_count > 0 && s->host_count > 0 &&
	       s->host_count <= s->route_count && s->host_exact <= s->host_count &&
	       snapshot_range_ok(s, s->routes_off, s->route_count, sizeof(struct snap_route)) &&
	       snapshot_range_ok(s, s->hosts_off, s->host_count, sizeof(struct snap_host));
}

/* No gaps, no coding twice; a route without codings has nothing else of them. */
static bool compress_ok(const struct snapshot *s, const struct snap_route *r)
{
	uint32_t seen = 0;
	uint32_t i = 0;

	for (; i < CONFIG_CODING_COUNT && r->codings[i] != CONFIG_CODING_NONE; i++) {
		if (r->codings[i] >= CONFIG_CODING_COUNT || (seen & 1u << r->codings[i]))
			return false;
		seen |= 1u << r->codings[i];
	}
	if (i == 0)
		return r->types_off == 0 && r->types_len == 0;
	for (; i < CONFIG_CODING_COUNT; i++)
		if (r->codings[i] != CONFIG_CODING_NONE)
			return false;
	return r->levels[CONFIG_CODING_BR] <= 6 && r->levels[CONFIG_CODING_ZSTD] >= 1 &&
	       r->levels[CONFIG_CODING_ZSTD] <= 7 && r->levels[CONFIG_CODING_GZIP] >= 1 &&
	       r->levels[CONFIG_CODING_GZIP] <= 9 && text_ok(s, r->types_off, r->types_len);
}

static bool route_ok(const struct snapshot *s, const struct snap_route *r)
{
	return r->upstream < s->upstream_count && r->cache_mode <= CONFIG_CACHE_TTL &&
	       r->etag <= CONFIG_ETAG_STRONG && r->write_through <= WRITE_THROUGH_ALWAYS &&
	       r->ttl_jitter_pct <= 90 && r->heuristic_pct <= 50 &&
	       r->param_count <= SNAPSHOT_MAX_PARAMS && r->methods >> HTTP_METHOD_COUNT == 0 &&
	       text_ok(s, r->path_off, r->path_len) && text_ok(s, r->host_off, r->host_len) &&
	       text_ok(s, r->program_off, r->program_len) && compress_ok(s, r);
}

static bool list_ok(const struct snap_host *h, uint32_t first, uint32_t count)
{
	return first <= h->end_count && count <= h->end_count - first;
}

/* What is known of a node from its parent. */
struct place {
	uint8_t seen;   /* it has a parent */
	uint8_t level;  /* segments above it */
	uint8_t params; /* {name} segments above it */
};

static bool child_ok(struct place *places, uint32_t parent, uint32_t child, bool param)
{
	const struct place *up = &places[parent];

	if (places[child].seen || up->level == SNAP_MAX_SEGMENTS ||
	    (param && up->params == SNAPSHOT_MAX_PARAMS))
		return false;
	places[child].seen = 1;
	places[child].level = (uint8_t)(up->level + 1);
	places[child].params = (uint8_t)(up->params + param);
	return true;
}

static bool node_ok_in(const struct snapshot *s, const struct snap_host *h, struct place *places,
                       uint32_t index)
{
	const struct snap_node *n =
	        (const struct snap_node *)(const void *)((const char *)s + h->nodes_off) + index;

	if (!places[index].seen ||
	    !text_ok(s, n->text_off ? n->text_off : s->node_off, n->text_len))
		return false;
	if (!list_ok(h, n->end_first, n->end_count) || !list_ok(h, n->star_first, n->star_count))
		return false;
	if (n->child_first > h->node_count || n->child_count > h->node_count - n->child_first ||
	    n->param_child >= h->node_count)
		return false;
	for (uint32_t i = 0; i < n->child_count; i++)
		if (!child_ok(places, index, n->child_first + i, false))
			return false;
	return n->param_child == 0 || child_ok(places, index, n->param_child, true);
}

/* Parents stand before their children: one pass forward, in which a node whose turn comes before
 * its parent's is an orphan, sees a tree or refuses. */
static bool tree_ok(const struct snapshot *s, const struct snap_host *h, struct place *places)
{
	const struct snap_node *nodes =
	        (const struct snap_node *)(const void *)((const char *)s + h->nodes_off);
	uint64_t ends = 0;

	memset(places, 0, h->node_count * sizeof(*places));
	places[0].seen = 1;
	for (uint32_t i = 0; i < h->node_count; i++) {
		if (!node_ok_in(s, h, places, i))
			return false;
		ends += (uint64_t)nodes[i].end_count + nodes[i].star_count;
	}
	/* Lists that overlap would make a lookup cost nodes times routes. */
	return ends <= h->end_count;
}

static bool host_ok(const struct snapshot *s, uint32_t index, struct place *places)
{
	const struct snap_host *h = host_at(s, index);
	const uint32_t *ends;
	enum snap_host_kind kind = SNAP_HOST_SUFFIX;

	/* Only the last may be "*": host_find looks for it there alone. */
	if (index < s->host_exact)
		kind = SNAP_HOST_EXACT;
	else if (h->kind == SNAP_HOST_ANY && index == s->host_count - 1)
		kind = SNAP_HOST_ANY;
	if (h->kind != kind || !text_ok(s, h->name_off, h->name_len) || h->node_count == 0 ||
	    !snapshot_range_ok(s, h->nodes_off, h->node_count, sizeof(struct snap_node)) ||
	    !snapshot_range_ok(s, h->ends_off, h->end_count, sizeof(uint32_t)))
		return false;
	ends = (const void *)((const char *)s + h->ends_off);
	for (uint32_t i = 0; i < h->end_count; i++)
		if (ends[i] >= s->route_count)
			return false;
	return tree_ok(s, h, places);
}

static enum status body_check(const struct snapshot *s)
{
	struct place *places;
	bool ok = true;

	for (uint32_t i = 0; i < s->route_count; i++)
		if (!route_ok(s, route_at(s, i)))
			return ST_CORRUPT;
	if (!snapshot_rules_ok(s))
		return ST_CORRUPT;
	/* No host can have more nodes than fit in the block. */
	places = malloc(s->total_bytes / sizeof(struct snap_node) * sizeof(*places) + 1);
	if (!places)
		return ST_NOMEM;
	for (uint32_t i = 0; i < s->host_count && ok; i++)
		ok = host_ok(s, i, places);
	free(places);
	return ok ? ST_OK : ST_CORRUPT;
}

enum status snapshot_check(const void *mem, size_t len)
{
	const struct snapshot *s = mem;

	if (len > SNAPSHOT_MAX_BYTES)
		return ST_TOOBIG;
	if (len < sizeof(*s) || (uintptr_t)mem % _Alignof(struct snapshot) != 0)
		return ST_INVALID;
	if (s->magic != SNAPSHOT_MAGIC)
		return ST_CORRUPT;
	if (s->version != SNAPSHOT_VERSION)
		return ST_VERSION;
	if (s->total_bytes != len || s->id != snapshot_content_id(s) || !head_ok(s))
		return ST_CORRUPT;
	return body_check(s);
}
