/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Compiles a configuration into a snapshot. Runs at start and reload, never on a core's way. The
 * tree of a host is made of the list of its patterns, level by level (breadth first), so that the
 * literal children of a node stand side by side, and every node behind its parent. */
#include "lib/config_params.h"
#include "lib/snapshot_format.h"

#include <stdio.h>
#include <stdlib.h>

/* A route under way through its host's tree. */
struct cursor {
	struct span seg;  /* the segment being looked at; ptr NULL: the pattern has ended */
	struct span rest; /* what is behind it */
	uint32_t route;
};

struct build_node {
	struct snap_node out;
	uint32_t first; /* its cursors */
	uint32_t count;
};

struct builder {
	const struct config *cfg;
	struct snap_writer w;
	bool nomem;
	struct cursor *cursors; /* one a route, those of a host side by side */
	struct build_node *nodes;
	uint32_t node_count;
	uint32_t node_room;
	uint32_t *ends;
	uint32_t end_count;
};

/* What comes next in a pattern, in the order in which the cursors of a node are sorted. */
enum step { STEP_END, STEP_LITERAL, STEP_PARAM, STEP_STAR };

uint32_t snap_take(struct snap_writer *w, size_t len, size_t align)
{
	size_t off = align_up(w->used, align);

	if (w->full || off > SNAPSHOT_MAX_BYTES || len > SNAPSHOT_MAX_BYTES - off) {
		w->full = true;
		return 0;
	}
	w->used = off + len;
	return (uint32_t)off;
}

uint32_t snap_put(struct snap_writer *w, const void *bytes, size_t len, size_t align)
{
	uint32_t off = snap_take(w, len, align);

	if (off != 0 && len > 0)
		memcpy(w->block + off, bytes, len);
	return off;
}

static struct snapshot *head(const struct builder *b)
{
	return (struct snapshot *)(void *)b->w.block;
}

static struct snap_route *routes(const struct builder *b)
{
	return (struct snap_route *)(void *)(b->w.block + head(b)->routes_off);
}

static struct snap_host *hosts(const struct builder *b)
{
	return (struct snap_host *)(void *)(b->w.block + head(b)->hosts_off);
}

static enum snap_host_kind host_kind(const char *host)
{
	if (strcmp(host, "*") == 0)
		return SNAP_HOST_ANY;
	return host[0] == '*' ? SNAP_HOST_SUFFIX : SNAP_HOST_EXACT;
}

/* As snap_text_order of the names in lower case. */
static int host_order(const char *a, const char *b)
{
	enum snap_host_kind kind_a = host_kind(a), kind_b = host_kind(b);
	size_t len_a = strlen(a), len_b = strlen(b);

	if (kind_a != kind_b)
		return kind_a < kind_b ? -1 : 1;
	if (len_a != len_b)
		return len_a < len_b ? -1 : 1;
	while (*a != '\0' && ascii_lower(*a) == ascii_lower(*b)) {
		a++;
		b++;
	}
	return (unsigned char)ascii_lower(*a) - (unsigned char)ascii_lower(*b);
}

static int cursor_host_order(const void *x, const void *y, void *cfg)
{
	const struct config_route *all = ((const struct config *)cfg)->routes;
	uint32_t a = ((const struct cursor *)x)->route, b = ((const struct cursor *)y)->route;
	int order = host_order(all[a].host, all[b].host);

	return order != 0 ? order : (a > b) - (a < b);
}

static enum step cursor_step(const struct cursor *c)
{
	if (!c->seg.ptr)
		return STEP_END;
	if (c->seg.len > 0 && c->seg.ptr[0] == '{')
		return STEP_PARAM;
	return span_eq(c->seg, SPAN_LIT("*")) ? STEP_STAR : STEP_LITERAL;
}

static int cursor_order(const void *x, const void *y)
{
	const struct cursor *a = x, *b = y;
	enum step step_a = cursor_step(a), step_b = cursor_step(b);
	int order = 0;

	if (step_a != step_b)
		return step_a < step_b ? -1 : 1;
	if (step_a == STEP_LITERAL)
		order = snap_text_order(a->seg, b->seg);
	return order != 0 ? order : (a->route > b->route) - (a->route < b->route);
}

/* How many cursors from this one on take the same step. */
static uint32_t run_length(const struct cursor *from, uint32_t count)
{
	enum step step = cursor_step(from);
	uint32_t n = 1;

	while (n < count && cursor_step(&from[n]) == step &&
	       (step != STEP_LITERAL || span_eq(from[n].seg, from->seg)))
		n++;
	return n;
}

static uint32_t node_add(struct builder *b, uint32_t first, uint32_t count)
{
	if (b->node_count == b->node_room) {
		uint32_t room = b->node_room ? b->node_room * 2 : 256;
		struct build_node *grown = realloc(b->nodes, room * sizeof(*grown));

		if (!grown) {
			b->nomem = true;
			return 0;
		}
		b->nodes = grown;
		b->node_room = room;
	}
	b->nodes[b->node_count] = (struct build_node){.first = first, .count = count};
	return b->node_count++;
}

static uint32_t ends_add(struct builder *b, const struct cursor *from, uint32_t count)
{
	uint32_t first = b->end_count;

	for (uint32_t i = 0; i < count; i++)
		b->ends[b->end_count++] = from[i].route;
	return first;
}

/* The literal segment is read where it stands in the pattern's text. */
static void literal_add(struct builder *b, uint32_t parent, uint32_t first, uint32_t count)
{
	const struct cursor *c = &b->cursors[first];
	const char *pattern = b->cfg->routes[c->route].path;
	uint32_t child = node_add(b, first, count);

	if (child == 0)
		return;
	b->nodes[child].out.text_off =
	        routes(b)[c->route].path_off + (uint32_t)(c->seg.ptr - pattern);
	b->nodes[child].out.text_len = (uint32_t)c->seg.len;
	if (b->nodes[parent].out.child_count++ == 0)
		b->nodes[parent].out.child_first = child;
}

/* Every cursor of the node takes its next segment; those that take the same go on together. */
static void node_split(struct builder *b, uint32_t node)
{
	uint32_t at = b->nodes[node].first, end = at + b->nodes[node].count;

	for (uint32_t i = at; i < end; i++)
		if (!path_segment_next(&b->cursors[i].rest, &b->cursors[i].seg))
			b->cursors[i].seg = span_of(NULL, 0);
	qsort(&b->cursors[at], end - at, sizeof(*b->cursors), cursor_order);
	while (at < end && !b->nomem) {
		uint32_t n = run_length(&b->cursors[at], end - at), first;

		switch (cursor_step(&b->cursors[at])) {
		case STEP_END:
			b->nodes[node].out.end_first = ends_add(b, &b->cursors[at], n);
			b->nodes[node].out.end_count = n;
			break;
		case STEP_LITERAL:
			literal_add(b, node, at, n);
			break;
		case STEP_PARAM:
			first = node_add(b, at, n);
			b->nodes[node].out.param_child = first;
			break;
		case STEP_STAR:
			b->nodes[node].out.star_first = ends_add(b, &b->cursors[at], n);
			b->nodes[node].out.star_count = n;
			break;
		}
		at += n;
	}
}

static void tree_build(struct builder *b, uint32_t first, uint32_t count, struct snap_host *host)
{
	uint32_t size;

	b->node_count = 0;
	b->end_count = 0;
	(void)node_add(b, first, count);
	for (uint32_t i = 0; i < b->node_count && !b->nomem; i++)
		node_split(b, i);
	if (b->nomem)
		return;
	size = b->node_count * (uint32_t)sizeof(struct snap_node);
	host->node_count = b->node_count;
	host->nodes_off = snap_take(&b->w, size, 8);
	host->end_count = b->end_count;
	host->ends_off = snap_put(&b->w, b->ends, b->end_count * sizeof(*b->ends), 4);
	if (b->w.full)
		return;
	for (uint32_t i = 0; i < b->node_count; i++)
		memcpy(b->w.block + host->nodes_off + i * sizeof(struct snap_node),
		       &b->nodes[i].out, sizeof(struct snap_node));
	for (uint32_t i = 0; i < b->end_count; i++) {
		routes(b)[b->ends[i]].program_off = host->nodes_off;
		routes(b)[b->ends[i]].program_len = size;
	}
}

static void host_name_put(struct builder *b, const char *text, struct snap_host *host)
{
	struct span name = span_cstr(text);

	host->kind = host_kind(text);
	if (host->kind == SNAP_HOST_ANY)
		name.len = 0;
	if (host->kind == SNAP_HOST_SUFFIX) {
		name.ptr += 2;
		name.len -= 2;
	}
	host->name_len = (uint32_t)name.len;
	host->name_off = snap_put(&b->w, name.ptr, name.len, 1);
	for (uint32_t i = 0; i < host->name_len && !b->w.full; i++)
		b->w.block[host->name_off + i] = ascii_lower(b->w.block[host->name_off + i]);
}

/* The cursors of one host stand side by side already. */
static void hosts_build(struct builder *b)
{
	const struct config_route *all = b->cfg->routes;
	uint32_t at = 0, n;

	for (uint32_t i = 0; i < head(b)->host_count && !b->w.full && !b->nomem; i++, at += n) {
		const char *name = all[b->cursors[at].route].host;

		for (n = 1; at + n < b->cfg->routes_count; n++)
			if (host_order(name, all[b->cursors[at + n].route].host) != 0)
				break;
		host_name_put(b, name, &hosts(b)[i]);
		if (hosts(b)[i].kind == SNAP_HOST_EXACT)
			head(b)->host_exact++;
		tree_build(b, at, n, &hosts(b)[i]);
	}
}

static uint32_t hosts_count(const struct builder *b)
{
	const struct config_route *all = b->cfg->routes;
	uint32_t count = 1;

	for (uint32_t i = 1; i < b->cfg->routes_count; i++)
		if (host_order(all[b->cursors[i - 1].route].host, all[b->cursors[i].route].host))
			count++;
	return count;
}

static uint32_t route_methods(const struct config_route *route)
{
	uint32_t methods = 0;

	for (unsigned i = 0; i < route->methods_count; i++)
		methods |= http_method_bits(span_cstr(route->methods[i]));
	if (methods & (1u << HTTP_GET))
		methods |= 1u << HTTP_HEAD;
	return methods;
}

static uint8_t pattern_params(const char *pattern)
{
	struct span rest = span_cstr(pattern), seg;
	uint8_t count = 0;

	while (path_segment_next(&rest, &seg))
		if (seg.len > 0 && seg.ptr[0] == '{')
			count++;
	return count;
}

static uint32_t ms_of(uint32_t s)
{
	return (uint32_t)min_u64(s * 1000ull, UINT32_MAX);
}

static void route_put_cache(const struct config_cache *from, struct snap_route *to)
{
	to->cache_mode = (uint8_t)from->mode;
	to->ttl_ms = ms_of(from->ttl_s);
	to->negative_ttl_ms = ms_of(from->negative_ttl_s);
	to->heuristic_max_s = from->heuristic_max_s;
	to->stale_while_s = from->stale_while_revalidate_s;
	to->stale_error_s = from->stale_if_error_s;
	to->pass_ms = ms_of(from->pass_s);
	to->range_fill_bytes = from->range_fill_bytes;
	to->ttl_jitter_pct = (uint8_t)from->ttl_jitter_percent;
	to->heuristic_pct = (uint8_t)from->heuristic_percent;
	to->etag = (uint8_t)from->etag;
	to->write_through = (uint8_t)from->write_through;
}

/* "text/plain,text/css" */
static void types_put(struct builder *b, const struct config_compress *from, struct snap_route *to)
{
	for (unsigned i = 0; i < from->types_count; i++) {
		uint32_t off;

		if (i > 0)
			(void)snap_put(&b->w, ",", 1, 1);
		off = snap_put(&b->w, from->types[i], strlen(from->types[i]), 1);
		if (i == 0)
			to->types_off = off;
		to->types_len += (uint32_t)strlen(from->types[i]) + (i > 0);
	}
}

static void route_put_compress(struct builder *b, const struct config_compress *from,
                               struct snap_route *to)
{
	if (from->encodings_count == 0)
		return;
	for (unsigned i = 0; i < from->encodings_count; i++)
		to->codings[i] = (uint8_t)config_coding_find(from->encodings[i]);
	to->levels[CONFIG_CODING_BR] = (uint8_t)from->br_level;
	to->levels[CONFIG_CODING_ZSTD] = (uint8_t)from->zstd_level;
	to->levels[CONFIG_CODING_GZIP] = (uint8_t)from->gzip_level;
	to->code_min_bytes = from->min_bytes;
	to->code_max_bytes = from->max_bytes;
	types_put(b, from, to);
}

static void route_put(struct builder *b, uint32_t i)
{
	const struct config_route *from = &b->cfg->routes[i];
	struct snap_route *to = &routes(b)[i];
	uint16_t upstream = 0;

	while (strcmp(b->cfg->upstreams[upstream].name, from->upstream) != 0)
		upstream++;
	to->upstream = upstream;
	to->param_count = pattern_params(from->path);
	to->methods = route_methods(from);
	route_put_cache(&from->cache, to);
	to->path_len = (uint32_t)strlen(from->path);
	to->path_off = snap_put(&b->w, from->path, to->path_len, 1);
	to->host_len = (uint32_t)strlen(from->host);
	to->host_off = snap_put(&b->w, from->host, to->host_len, 1);
	route_put_compress(b, &from->compress, to);
}

/* Field by field: the padding stays zero, so that equal content has equal bytes. */
static void section_put(enum param_section section, const void *from, void *to)
{
	struct param_group group = param_group(section);

	for (uint32_t i = 0; i < group.count; i++)
		memcpy((char *)to + group.params[i].offset,
		       (const char *)from + group.params[i].offset, group.params[i].size);
}

static void head_put(struct builder *b)
{
	const struct config *cfg = b->cfg;
	struct snapshot *s = head(b);

	b->w.used = sizeof(*s);
	s->magic = SNAPSHOT_MAGIC;
	s->version = SNAPSHOT_VERSION;
	section_put(PARAM_limits, &cfg->limits, &s->limits);
	section_put(PARAM_timeouts, &cfg->timeouts, &s->timeouts);
	s->idle = cfg->idle;
	s->idle_sleep_us = cfg->idle_sleep_us;
	s->stages = cfg->stages;
	s->node_len = (uint32_t)strlen(cfg->node);
	s->node_off = snap_put(&b->w, cfg->node, s->node_len, 1);
	s->upstream_count = cfg->upstreams_count;
	s->route_count = cfg->routes_count;
	s->routes_off = snap_take(&b->w, cfg->routes_count * sizeof(struct snap_route), 8);
	s->host_count = hosts_count(b);
	s->hosts_off = snap_take(&b->w, s->host_count * sizeof(struct snap_host), 8);
}

static enum status compile(struct builder *b, struct snapshot **out, struct config_error *err)
{
	uint32_t count = b->cfg->routes_count;
	enum status st;

	for (uint32_t i = 0; i < count; i++)
		b->cursors[i] =
		        (struct cursor){.route = i, .rest = span_cstr(b->cfg->routes[i].path)};
	qsort_r(b->cursors, count, sizeof(*b->cursors), cursor_host_order, (void *)b->cfg);
	head_put(b);
	for (uint32_t i = 0; i < count && !b->w.full; i++)
		route_put(b, i);
	hosts_build(b);
	if (b->nomem)
		return ST_NOMEM;
	st = b->w.full ? ST_OK : snapshot_rules_put(b->cfg, &b->w, err);
	if (st != ST_OK)
		return st;
	if (b->w.full)
		return ST_TOOBIG;
	head(b)->total_bytes = (uint32_t)align_up(b->w.used, 8);
	head(b)->id = snapshot_content_id(head(b));
	*out = malloc(head(b)->total_bytes);
	if (!*out)
		return ST_NOMEM;
	memcpy(*out, b->w.block, head(b)->total_bytes);
	return ST_OK;
}

enum status snapshot_build(const struct config *cfg, struct snapshot **out,
                           struct config_error *err)
{
	struct builder b = {.cfg = cfg};
	enum status st = ST_NOMEM;

	*out = NULL;
	b.w.block = calloc(1, SNAPSHOT_MAX_BYTES);
	b.cursors = calloc(cfg->routes_count, sizeof(*b.cursors));
	b.ends = calloc(cfg->routes_count, sizeof(*b.ends));
	if (b.w.block && b.cursors && b.ends)
		st = compile(&b, out, err);
	if (st == ST_TOOBIG)
		(void)snprintf(err->text, sizeof(err->text),
		               "the routes and rules need more than %u bytes; have fewer or "
		               "shorter ones",
		               SNAPSHOT_MAX_BYTES);
	else if (st == ST_NOMEM)
		(void)snprintf(err->text, sizeof(err->text), "out of memory");
	free(b.w.block);
	free(b.cursors);
	free(b.ends);
	free(b.nodes);
	return st;
}
