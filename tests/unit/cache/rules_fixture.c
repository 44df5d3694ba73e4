/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/cache/rules_fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct snapshot *rules_snapshot(const char *path, const char *rule, const char *more,
                                struct config_error *error)
{
	struct snapshot *s = NULL;
	struct config *cfg;
	char text[8192];

	snprintf(text, sizeof(text),
	         "node: n\nlisteners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n"
	         "upstreams: [{name: a, addresses: [\"o:80\"]}]\n"
	         "routes: [{upstream: a, path: \"%s\", cache: {rule: r}}]\n"
	         "%s\nrules:\n- {name: r, %s}\n",
	         path, more, rule);
	if (config_parse(text, strlen(text), "t", &cfg, error) != ST_OK)
		return NULL;
	if (snapshot_build(cfg, &s, error) != ST_OK)
		s = NULL;
	config_free(cfg);
	return s;
}

bool rules_input(const struct snapshot *s, const struct rules_request *request,
                 struct rules_input *out)
{
	const char *query = strchr(request->target, '?');
	struct key_input *in = &out->in;
	size_t pos = 0;
	int len = snprintf(out->lines, sizeof(out->lines), "%s\r\n",
	                   request->fields ? request->fields : "");

	*in = (struct key_input){
	        .fields = &out->fields,
	        .host = span_cstr(request->host),
	        .path = span_of(request->target, query ? (size_t)(query - request->target)
	                                               : strlen(request->target)),
	        .query = query ? span_cstr(query + 1) : span_of(NULL, 0),
	        .body = request->body ? span_cstr(request->body) : span_of(NULL, 0),
	        .method = request->method,
	        .seed = request->seed,
	        .wild = request->wild,
	};
	if (http1_scan_fields(out->lines, (size_t)len, &pos, &out->fields) != HTTP_SCAN_DONE)
		abort();
	if (snapshot_route(s, in->host, in->path, in->method, &out->match) != ROUTE_FOUND)
		return false;
	in->route = out->match.route;
	in->params = out->match.params;
	in->param_count = out->match.param_count;
	return true;
}

enum key_status rules_run(const struct snapshot *s, const struct rule_program *program,
                          const struct rules_request *request, char buf[CACHE_KEY_MAX],
                          struct cache_key *out)
{
	struct rules_input made;

	if (!rules_input(s, request, &made))
		return KEY_BYPASS;
	return key_program_run(s, program, &made.in, buf, out);
}

enum key_status rules_key(const struct snapshot *s, const struct rules_request *request,
                          char buf[CACHE_KEY_MAX], struct cache_key *out)
{
	const struct snap_rule *rules = (const void *)((const char *)s + s->rules.rules_off);

	return rules_run(s, &rules[0].key, request, buf, out);
}
