/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fills in what the file does not say. Memory comes from malloc, as libcyaml's own (cyaml_mem),
 * since cyaml_free gives all of it back. */
#include "lib/config_params.h"
#include "lib/config_private.h"
#include "lib/http1.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static enum status text_set(char **field, const char *text)
{
	*field = strdup(text);
	return *field ? ST_OK : ST_NOMEM;
}

static enum status param_default(const struct param *p, void *base, unsigned profile)
{
	char *field = (char *)base + p->offset;
	int64_t value = 0;

	switch (p->kind) {
	case PARAM_UINT:
		param_set(p, base, p->def[profile]);
		return ST_OK;
	case PARAM_ENUM:
		(void)param_name_value(&p->names, span_cstr(p->def_text), &value);
		param_set(p, base, (uint64_t)value);
		return ST_OK;
	case PARAM_TEXT:
		return p->def_text ? text_set((char **)(void *)field, p->def_text) : ST_OK;
	default:
		return ST_OK;
	}
}

static unsigned section_profile(const void *base, enum param_section section)
{
	if (section != PARAM_upstream)
		return 0;
	return (unsigned)((const struct config_upstream *)base)->profile;
}

static enum status section_fill(const struct doc_node *node, void *base,
                                enum param_section section);

static enum status list_fill(const struct doc_node *node, const struct param *p, void *base)
{
	struct param_group group = param_group(p->child);
	enum status st = ST_OK;
	char *items;
	unsigned count;

	memcpy(&items, (char *)base + p->offset, sizeof(items));
	memcpy(&count, (char *)base + p->count_offset, sizeof(count));
	node = doc_item(node, 0);
	for (unsigned i = 0; i < count && st == ST_OK; i++, node = node->next)
		st = section_fill(node, items + (size_t)i * group.size, p->child);
	return st;
}

/* node NULL: the file has no such section. */
static enum status section_fill(const struct doc_node *node, void *base, enum param_section section)
{
	struct param_group group = param_group(section);
	enum status st = ST_OK;

	/* In the order of the rows: an upstream's profile stands before what hangs on it. */
	for (uint32_t i = 0; i < group.count && st == ST_OK; i++) {
		const struct param *p = &group.params[i];
		const struct doc_node *child = doc_key(node, p->key);

		if (p->kind == PARAM_MAP)
			st = section_fill(child, (char *)base + p->offset, p->child);
		else if (p->kind == PARAM_MAPS)
			st = list_fill(child, p, base);
		else if (!child)
			st = param_default(p, base, section_profile(base, section));
	}
	return st;
}

static enum status node_fill(struct config *cfg)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (cfg->node)
		return ST_OK;
	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
		return text_set(&cfg->node, "sluice");
	return text_set(&cfg->node, name);
}

static enum status cores_fill(struct config_port *port)
{
	if (port->cores_count > 0)
		return ST_OK;
	port->cores = malloc(sizeof(*port->cores));
	if (!port->cores)
		return ST_NOMEM;
	/* CPU 0 gets most of the machine's interrupts. */
	port->cores[0] = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0;
	port->cores_count = 1;
	return ST_OK;
}

static enum status methods_fill(struct config_route *route)
{
	static const enum http_method all[] = {HTTP_GET,   HTTP_HEAD,   HTTP_POST,   HTTP_PUT,
	                                       HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS};

	if (route->methods_count > 0)
		return ST_OK;
	route->methods = calloc(ARRAY_LEN(all), sizeof(*route->methods));
	if (!route->methods)
		return ST_NOMEM;
	route->methods_count = ARRAY_LEN(all);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (text_set(&route->methods[i], http_method_name(all[i])) != ST_OK)
			return ST_NOMEM;
	return ST_OK;
}

/* What is text, in the types that are usual on the web. */
static enum status types_fill(struct config_compress *c)
{
	static const char *const usual[] = {
	        "text/*",
	        "application/json",
	        "application/*+json",
	        "application/javascript",
	        "application/xml",
	        "application/*+xml",
	        "application/x-ndjson",
	        "image/svg+xml",
	};

	if (c->types_count > 0)
		return ST_OK;
	c->types = calloc(ARRAY_LEN(usual), sizeof(*c->types));
	if (!c->types)
		return ST_NOMEM;
	c->types_count = ARRAY_LEN(usual);
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (text_set(&c->types[i], usual[i]) != ST_OK)
			return ST_NOMEM;
	return ST_OK;
}

static enum status credentials_fill(struct config_identity *id)
{
	static const char *const usual[] = {"Authorization", "Cookie", "X-API-Key", "PF-Sig"};

	if (id->credentials_count > 0)
		return ST_OK;
	id->credentials = calloc(ARRAY_LEN(usual), sizeof(*id->credentials));
	if (!id->credentials)
		return ST_NOMEM;
	id->credentials_count = ARRAY_LEN(usual);
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (text_set(&id->credentials[i], usual[i]) != ST_OK)
			return ST_NOMEM;
	return ST_OK;
}

/* A default that breaks a rule which the file's own values make is lowered to what the rule allows;
 * what the file itself says is never changed. */
static void default_lower(const struct doc_node *section, const char *key, uint32_t *field,
                          uint64_t most)
{
	if (!doc_key(section, key) && *field > most)
		*field = (uint32_t)most;
}

static void defaults_fit(const struct doc *doc, struct config *cfg)
{
	const struct doc_node *limits = doc_key(doc->root, "limits");
	const struct doc_node *upstreams = doc_key(doc->root, "upstreams");

	default_lower(limits, "head_bytes", &cfg->limits.head_bytes,
	              cfg->memory.up_block_bytes - 4096);
	default_lower(limits, "response_head_bytes", &cfg->limits.response_head_bytes,
	              cfg->memory.down_block_bytes - 3072);
	if (cfg->limits.rx_buffer_bytes > cfg->limits.head_bytes)
		default_lower(limits, "key_body_bytes", &cfg->limits.key_body_bytes,
		              cfg->limits.rx_buffer_bytes - cfg->limits.head_bytes);
	default_lower(limits, "target_bytes", &cfg->limits.target_bytes, cfg->limits.head_bytes);
	if (cfg->memory.store_bytes > 0)
		default_lower(limits, "store_object_bytes", &cfg->limits.store_object_bytes,
		              cfg->memory.store_bytes / 4);
	default_lower(doc_key(doc->root, "timeouts"), "miss_grace_ms", &cfg->timeouts.miss_grace_ms,
	              cfg->timeouts.miss_ms);
	for (unsigned i = 0; i < cfg->upstreams_count; i++)
		default_lower(doc_item(upstreams, i), "max_idle", &cfg->upstreams[i].max_idle,
		              cfg->upstreams[i].max_connections);
}

enum status config_fill_defaults(const struct doc *doc, struct config *cfg)
{
	enum status st = section_fill(doc->root, cfg, PARAM_top);

	if (st == ST_OK)
		st = node_fill(cfg);
	if (st == ST_OK)
		st = credentials_fill(&cfg->identity);
	for (unsigned i = 0; i < cfg->ports_count && st == ST_OK; i++)
		st = cores_fill(&cfg->ports[i]);
	for (unsigned i = 0; i < cfg->routes_count && st == ST_OK; i++)
		st = methods_fill(&cfg->routes[i]);
	for (unsigned i = 0; i < cfg->routes_count && st == ST_OK; i++)
		st = types_fill(&cfg->routes[i].compress);
	if (st == ST_OK)
		defaults_fit(doc, cfg);
	return st;
}
