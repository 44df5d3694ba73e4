/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lookup. Every function here trusts what snapshot_check has seen, and nothing about host and path.
 */
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

static const char *at(const struct snapshot *s, uint32_t off)
{
	return (const char *)s + off;
}

static const struct snap_host *hosts(const struct snapshot *s)
{
	return (const void *)at(s, s->hosts_off);
}

/* hosts[first, end) are of one kind and sorted. */
static const struct snap_host *host_search(const struct snapshot *s, const uint32_t range[2],
                                           struct span name)
{
	uint32_t lo = range[0], hi = range[1];

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct snap_host *h = &hosts(s)[mid];
		int order = snap_text_order(name, span_of(at(s, h->name_off), h->name_len));

		if (order == 0)
			return h;
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* "a.b.example": asks for b.example, then for example; a suffix needs a label before it. */
static const struct snap_host *host_by_suffix(const struct snapshot *s, const uint32_t range[2],
                                              struct span name)
{
	const struct snap_host *h = NULL;
	const char *dot;

	if (range[0] == range[1] || name.len == 0 || name.ptr[0] == '.')
		return NULL;
	while (!h && (dot = memchr(name.ptr, '.', name.len)) != NULL) {
		name.len -= (size_t)(dot + 1 - name.ptr);
		name.ptr = dot + 1;
		h = host_search(s, range, name);
	}
	return h;
}

static const struct snap_host *host_find(const struct snapshot *s, struct span host)
{
	const struct snap_host *last = &hosts(s)[s->host_count - 1], *h = NULL;
	const uint32_t named = s->host_count - (last->kind == SNAP_HOST_ANY);
	const uint32_t exact[2] = {0, s->host_exact};
	const uint32_t suffix[2] = {s->host_exact, named};
	char lower[SNAP_HOST_MAX];

	/* A final dot names the same host (RFC 3986 3.2.2). */
	if (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (named > 0 && host.len <= sizeof(lower)) {
		for (size_t i = 0; i < host.len; i++)
			lower[i] = ascii_lower(host.ptr[i]);
		host.ptr = lower;
		h = host_search(s, exact, host);
		if (!h)
			h = host_by_suffix(s, suffix, host);
	}
	if (!h && last->kind == SNAP_HOST_ANY)
		h = last;
	return h;
}

struct walk {
	const struct snapshot *s;
	const struct snap_node *nodes;
	const uint32_t *ends;
	struct route_match *out;
	uint32_t method;
	uint32_t params;
};

/* The first route of a list that has the method; the methods of all of them are noted. */
static bool ends_try(struct walk *w, uint32_t first, uint32_t count)
{
	const struct snap_route *routes = (const void *)at(w->s, w->s->routes_off);

	for (uint32_t i = first; i < first + count; i++) {
		uint32_t index = w->ends[i];

		w->out->allowed |= routes[index].methods;
		if (!(routes[index].methods & w->method))
			continue;
		w->out->route = &routes[index];
		w->out->index = index;
		w->out->param_count = w->params;
		return true;
	}
	return false;
}

static const struct snap_node *child_search(const struct walk *w, const struct snap_node *n,
                                            struct span seg)
{
	uint32_t lo = n->child_first, hi = n->child_first + n->child_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct snap_node *c = &w->nodes[mid];
		int order = snap_text_order(seg, span_of(at(w->s, c->text_off), c->text_len));

		if (order == 0)
			return c;
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* Calls itself once a level of the tree, which has SNAP_MAX_SEGMENTS at most. */
static bool node_walk(struct walk *w, const struct snap_node *n, struct span rest)
{
	const struct snap_node *child;
	struct span seg;

	/* Below it there is nothing but the rest as a whole. */
	if (n->child_count + n->param_child == 0 && rest.len > 0)
		return ends_try(w, n->star_first, n->star_count);
	if (!path_segment_next(&rest, &seg))
		return ends_try(w, n->end_first, n->end_count);
	child = child_search(w, n, seg);
	if (child && node_walk(w, child, rest))
		return true;
	if (n->param_child != 0 && seg.len > 0) {
		w->out->params[w->params++] = seg;
		if (node_walk(w, &w->nodes[n->param_child], rest))
			return true;
		w->params--;
	}
	return ends_try(w, n->star_first, n->star_count);
}

enum route_result snapshot_route(const struct snapshot *s, struct span host, struct span path,
                                 enum http_method method, struct route_match *out)
{
	const struct snap_host *h = host_find(s, host);
	struct walk w = {.s = s, .out = out, .method = 1u << (method & 31)};

	out->route = NULL;
	out->index = 0;
	out->allowed = 0;
	out->param_count = 0;
	if (!h)
		return ROUTE_NO_HOST;
	if (path.len == 0 || path.ptr[0] != '/')
		return ROUTE_NO_PATH;
	w.nodes = (const void *)at(s, h->nodes_off);
	w.ends = (const void *)at(s, h->ends_off);
	if (node_walk(&w, &w.nodes[0], path))
		return ROUTE_FOUND;
	return out->allowed != 0 ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
