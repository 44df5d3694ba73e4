/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any template, any request: "TEMPLATE NUL TARGET NUL FIELDS NUL BODY". The template is refused, or
 * makes a sound snapshot; then a key is made or is not, always the same, of bytes that no key's
 * reader mistakes for others. */
#include "cache/key_program.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parts {
	struct span template, target, fields, body;
};

static struct span part(const uint8_t **at, size_t *left)
{
	const uint8_t *nul = *left > 0 ? memchr(*at, '\0', *left) : NULL;
	size_t n = nul ? (size_t)(nul - *at) : *left;
	struct span s = span_of(*at, n);

	n += nul != NULL;
	*at += n;
	*left -= n;
	return s;
}

/* As YAML has any byte: "\x41". */
static struct snapshot *snapshot_of(struct span template)
{
	static const char head[] = "listeners: [{address: 192.0.2.10}]\nports: [{interface: e}]\n"
	                           "upstreams: [{name: a, addresses: [\"o:80\"]}]\nnode: n\n"
	                           "routes: [{upstream: a, path: \"/{id}\", cache: {rule: r}}]\n"
	                           "tables: [{name: t, values: [a=b, m=60, s=1]}]\n"
	                           "rules: [{name: r, ignore_query: [i, \"u*\"], key: \"{path}:";
	char text[4096];
	struct config_error err;
	struct snapshot *s = NULL;
	struct config *cfg;
	size_t len = sizeof(head) - 1;

	if (template.len > RULE_TEMPLATE_MAX)
		return NULL;
	memcpy(text, head, len);
	for (size_t i = 0; i < template.len; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "\\x%02x",
		                        (unsigned char)template.ptr[i]);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\"}]\n");
	if (config_parse(text, len, "f", &cfg, &err) != ST_OK)
		return NULL;
	/* The configuration has said that all is well. */
	if (snapshot_build(cfg, &s, &err) != ST_OK || snapshot_check(s, s->total_bytes) != ST_OK)
		abort();
	config_free(cfg);
	return s;
}

static bool visible(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
			return false;
	return true;
}

static void check_key(const struct cache_key *key, const struct cache_key *again,
                      struct span template)
{
	if (!span_eq(key->text, again->text) || !hash128_eq(key->hash, again->hash))
		abort();
	if (key->text.len > CACHE_KEY_MAX || !visible(key->text) ||
	    memchr(key->text.ptr, '*', key->text.len))
		abort();
	/* The host is in every key: in the scope, unless the template names it. */
	if (key_scope(key->text, 'h').ptr == NULL && !memmem(template.ptr, template.len, "host", 4))
		abort();
}

static void run(const struct snapshot *s, const struct parts *p, struct http_fields *fields)
{
	const char *mark = memchr(p->target.ptr, '?', p->target.len);
	size_t path_len = mark ? (size_t)(mark - p->target.ptr) : p->target.len;
	char buf[2][CACHE_KEY_MAX];
	struct cache_key key[2];
	struct route_match match;
	struct key_input in = {
	        .fields = fields,
	        .host = SPAN_LIT("h"),
	        .path = span_of(p->target.ptr, path_len),
	        .query = mark ? span_of(mark + 1, p->target.len - path_len - 1) : span_of(NULL, 0),
	        .body = p->body,
	        .method = HTTP_POST,
	        .params = match.params,
	        .seed = 1,
	};

	if (snapshot_route(s, in.host, in.path, in.method, &match) != ROUTE_FOUND)
		return;
	in.route = match.route;
	in.param_count = match.param_count;
	const struct rule_program *program = &key_rule(s, match.route)->key;
	enum key_status st = key_program_run(s, program, &in, buf[0], &key[0]);

	if (st != key_program_run(s, program, &in, buf[1], &key[1]))
		abort();
	if (st == KEY_OK)
		check_key(&key[0], &key[1], p->template);
	in.wild = true;
	(void)key_program_run(s, program, &in, buf[0], &key[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_fields fields;
	struct snapshot *s;
	struct parts p;
	size_t pos = 0;
	char lines[2048];

	p.template = part(&data, &size);
	p.target = part(&data, &size);
	p.fields = part(&data, &size);
	p.body = span_of(size > 0 ? (const void *)data : NULL, size);
	if (p.target.len == 0 || !visible(p.target) || p.fields.len > sizeof(lines) - 2)
		return 0;
	memcpy(lines, p.fields.ptr, p.fields.len);
	memcpy(lines + p.fields.len, "\r\n", 2);
	if (http1_scan_fields(lines, p.fields.len + 2, &pos, &fields) != HTTP_SCAN_DONE)
		return 0;
	s = snapshot_of(p.template);
	if (s != NULL)
		run(s, &p, &fields);
	free(s);
	return 0;
}
