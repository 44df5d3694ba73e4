/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of a scenario file that are lists and mappings. */
#include "perf/load/scenario_keys.h"
#include "perf/load/scenario_private.h"

#include <stdio.h>

static enum status list_check(struct scenario_reader *r, const struct doc_node *node, uint32_t most)
{
	char path[DOC_MAX_PATH];

	if (node->kind != DOC_SEQUENCE)
		return doc_error(r->doc, node, r->err, "%s is no list; write \"- \" lines below it",
		                 doc_path(node, path));
	if (node->children == 0 || node->children > most)
		return doc_error(r->doc, node, r->err, "%s has %u items; it takes 1 to %u",
		                 doc_path(node, path), node->children, most);
	return ST_OK;
}

enum status scenario_read_stages(struct scenario_reader *r, const struct scenario_key *key,
                                 const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	enum status st = list_check(r, node, SCENARIO_STAGES);

	(void)key;
	for (const struct doc_node *n = node->first; st == ST_OK && n; n = n->next) {
		struct load_stage *stage = &s->stages[s->stage_count++];

		(void)snprintf(stage->name, sizeof(stage->name), "stage %u", s->stage_count);
		st = scenario_section_read(r, SECTION_STAGE, n, stage);
		if (st == ST_OK && !doc_key(n, "users") == !doc_key(n, "rate"))
			st = doc_error(r->doc, n, r->err,
			               "stages[%u] needs one of 'users' and 'rate'%s", n->index,
			               doc_key(n, "users") ? ", not both" : "");
	}
	return st;
}

static enum status endpoint_read(struct scenario_reader *r, const struct doc_node *node,
                                 struct load_endpoint *e)
{
	static const struct scenario_key line = {.key = "request"};

	scenario_endpoint_init(e);
	if (node->kind == DOC_SCALAR)
		return scenario_read_request(r, &line, node, e);
	return scenario_section_read(r, SECTION_ENDPOINT, node, e);
}

static enum status names_check(struct scenario_reader *r, const struct doc_node *node)
{
	const struct scenario *s = r->s;
	double weights = 0;

	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		weights += s->endpoints[i].weight;
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(s->endpoints[i].name, s->endpoints[j].name) == 0)
				return doc_error(
				        r->doc, doc_item(node, i), r->err,
				        "endpoints[%u] and [%u] are both called '%s'; give "
				        "one another name",
				        j, i, s->endpoints[i].name);
	}
	if (!(weights > 0))
		return doc_error(r->doc, node, r->err,
		                 "all endpoints have weight 0; give one a weight above");
	return ST_OK;
}

enum status scenario_read_endpoints(struct scenario_reader *r, const struct scenario_key *key,
                                    const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	enum status st = list_check(r, node, SCENARIO_ENDPOINTS);

	(void)key;
	for (const struct doc_node *n = node->first; st == ST_OK && n; n = n->next)
		st = endpoint_read(r, n, &s->endpoints[s->endpoint_count++]);
	return st == ST_OK ? names_check(r, node) : st;
}

static bool endpoint_has(const struct load_endpoint *e, struct span name)
{
	for (uint32_t i = 0; i < e->header_count; i++)
		if (span_eq_nocase(e->headers[i].name, name))
			return true;
	return false;
}

static enum status header_read(struct scenario_reader *r, const struct doc_node *n,
                               struct load_endpoint *e)
{
	const char *wrong = scenario_header_wrong(n->key, n->text);
	struct load_header *h;
	char path[DOC_MAX_PATH];

	if (scenario_scalar(r, n) != ST_OK)
		return ST_INVALID;
	if (wrong)
		return doc_key_error(r->doc, n, r->err, "%s %s", doc_path(n, path), wrong);
	if (e->header_count == SCENARIO_HEADERS)
		return doc_key_error(r->doc, n, r->err, "%s is one too many; at most %u fields",
		                     doc_path(n, path), SCENARIO_HEADERS);
	h = &e->headers[e->header_count];
	h->name = scenario_keep(r->s, n->key);
	if (!h->name.ptr)
		return ST_NOMEM;
	h->value = scenario_template_read(r, n, n->text);
	if (!h->value)
		return ST_INVALID;
	e->header_count++;
	return ST_OK;
}

static enum status mapping_check(struct scenario_reader *r, const struct doc_node *node)
{
	char path[DOC_MAX_PATH];

	if (node->kind == DOC_MAPPING)
		return ST_OK;
	return doc_error(r->doc, node, r->err, "%s is no mapping; write \"Name: value\" lines",
	                 doc_path(node, path));
}

enum status scenario_read_endpoint_headers(struct scenario_reader *r,
                                           const struct scenario_key *key,
                                           const struct doc_node *node, void *object)
{
	enum status st = mapping_check(r, node);

	(void)key;
	for (const struct doc_node *n = node->first; st == ST_OK && n; n = n->next) {
		if (endpoint_has(object, n->key))
			return doc_key_error(r->doc, n, r->err, "field '%.40s' is here twice",
			                     n->key.ptr);
		st = header_read(r, n, object);
	}
	return st;
}

/* Read behind the endpoints, by the table's order. */
enum status scenario_read_headers(struct scenario_reader *r, const struct scenario_key *key,
                                  const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	enum status st = mapping_check(r, node);

	(void)key;
	for (uint32_t i = 0; i < s->endpoint_count; i++)
		for (const struct doc_node *n = node->first; st == ST_OK && n; n = n->next)
			if (!endpoint_has(&s->endpoints[i], n->key))
				st = header_read(r, n, &s->endpoints[i]);
	return st;
}

enum status scenario_read_host(struct scenario_reader *r, const struct scenario_key *key,
                               const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	enum status st = scenario_scalar(r, node);

	(void)key;
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < node->text.len; i++)
		if ((unsigned char)node->text.ptr[i] <= 0x20 || node->text.ptr[i] == 0x7f)
			return doc_error(r->doc, node, r->err,
			                 "host has a space or control byte; write for example "
			                 "api.example or api.example:8080");
	return scenario_host_set(s, node->text) ? ST_OK : ST_NOMEM;
}

enum status scenario_read_keys(struct scenario_reader *r, const struct scenario_key *key,
                               const struct doc_node *node, void *object)
{
	struct scenario *s = object;

	(void)key;
	return scenario_section_read(r, SECTION_KEYS, node, &s->keys);
}

enum status scenario_read_signing(struct scenario_reader *r, const struct scenario_key *key,
                                  const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	enum status st = scenario_section_read(r, SECTION_SIGNING, node, &s->signing);
	uint32_t ways = 0;

	(void)key;
	if (st != ST_OK)
		return st;
	ways = (doc_key(node, "mac_key") != NULL) + (doc_key(node, "mac_key_env") != NULL) +
	       (doc_key(node, "mac_key_file") != NULL);
	if (ways != 1)
		return doc_error(
		        r->doc, node, r->err,
		        "signing needs one of 'mac_key_env', 'mac_key_file' and 'mac_key'; "
		        "it has %u",
		        ways);
	s->can_sign = true;
	return ST_OK;
}

static enum status threshold_read(struct scenario_reader *r, const struct doc_node *n, int endpoint)
{
	struct load_threshold t = {.endpoint = endpoint};
	struct scenario *s = r->s;
	char path[DOC_MAX_PATH];
	const char *wrong;
	int len;

	if (scenario_scalar(r, n) != ST_OK)
		return ST_INVALID;
	wrong = threshold_parse(n->text, &t);
	if (wrong)
		return doc_error(r->doc, n, r->err, "%s is '%.60s', which %s", doc_path(n, path),
		                 n->text.ptr, wrong);
	if (s->threshold_count == SCENARIO_THRESHOLDS)
		return doc_error(r->doc, n, r->err, "%s is one too many; at most %u",
		                 doc_path(n, path), SCENARIO_THRESHOLDS);
	len = snprintf(t.text, sizeof(t.text), "%s%s%s", endpoint < 0 ? "" : n->key.ptr,
	               endpoint < 0 ? "" : ": ", n->text.ptr);
	if (len < 0 || (size_t)len >= sizeof(t.text))
		return doc_error(r->doc, n, r->err, "%s is too long", doc_path(n, path));
	s->thresholds[s->threshold_count++] = t;
	return ST_OK;
}

static enum status endpoint_find(struct scenario_reader *r, const struct doc_node *n, int *out)
{
	struct doc_guess g = {.distance = UINT32_MAX};

	for (uint32_t i = 0; i < r->s->endpoint_count; i++) {
		if (span_eq(n->key, span_cstr(r->s->endpoints[i].name))) {
			*out = (int)i;
			return ST_OK;
		}
		doc_guess_try(&g, n->key, r->s->endpoints[i].name);
	}
	if (g.word)
		return doc_key_error(r->doc, n, r->err,
		                     "no endpoint is called '%.60s'; did you mean '%s'?",
		                     n->key.ptr, g.word);
	return doc_key_error(r->doc, n, r->err,
	                     "no endpoint is called '%.60s'; give one that 'name'", n->key.ptr);
}

/* A list of texts; "- list: p99 < 20ms" is a mapping to YAML. */
enum status scenario_read_thresholds(struct scenario_reader *r, const struct scenario_key *key,
                                     const struct doc_node *node, void *object)
{
	enum status st = list_check(r, node, SCENARIO_THRESHOLDS);

	(void)key;
	(void)object;
	for (const struct doc_node *n = node->first; st == ST_OK && n; n = n->next) {
		if (n->kind != DOC_MAPPING) {
			st = threshold_read(r, n, -1);
			continue;
		}
		for (const struct doc_node *m = n->first; st == ST_OK && m; m = m->next) {
			int endpoint = -1;

			st = endpoint_find(r, m, &endpoint);
			if (st == ST_OK)
				st = threshold_read(r, m, endpoint);
		}
	}
	return st;
}

enum status scenario_read_arrival(struct scenario_reader *r, const struct scenario_key *key,
                                  const struct doc_node *node, void *object)
{
	struct scenario *s = object;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	if (!span_eq(node->text, SPAN_LIT("constant")) && !span_eq(node->text, SPAN_LIT("poisson")))
		return doc_error(r->doc, node, r->err,
		                 "arrival is '%.40s'; it takes constant or poisson",
		                 node->text.ptr);
	s->arrival = node->text.ptr[0] == 'p' ? ARRIVAL_POISSON : ARRIVAL_CONSTANT;
	return ST_OK;
}
