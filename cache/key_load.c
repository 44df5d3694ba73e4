/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The values of a request, as keys take them. */
#include "cache/key_run.h"

/* Security: a field that Connection lists is not passed on (RFC 9110 7.6.1), so the origin would
 * answer without what the key says. */
static enum key_status field_load(struct run *r, struct span name, enum http_hdr id)
{
	const struct http_fields *fs = r->in->fields;
	const struct http_field *found = NULL;

	if (id != HDR_OTHER && !http_fields_have(fs, id))
		return KEY_OK;
	for (uint32_t i = 0; i < fs->count; i++) {
		if (fs->f[i].id != id || (id == HDR_OTHER && !span_eq_nocase(fs->f[i].name, name)))
			continue;
		if (found)
			return KEY_BYPASS;
		found = &fs->f[i];
	}
	if (!found)
		return KEY_OK;
	if (http_fields_have(fs, HDR_CONNECTION) && http_field_is_hop(fs, found))
		return KEY_BYPASS;
	r->v.text = found->value;
	r->v.present = true;
	return KEY_OK;
}

/* RFC 6265 4.2.1; a name twice, in one field or in several, is read differently by servers.
 * Security: as with other fields, the origin must get it. */
static enum key_status cookie_load(struct run *r, struct span name)
{
	const struct http_fields *fs = r->in->fields;

	if (!http_fields_have(fs, HDR_COOKIE))
		return KEY_OK;
	for (uint32_t i = 0; i < fs->count; i++) {
		struct span rest = fs->f[i].value;

		if (fs->f[i].id != HDR_COOKIE)
			continue;
		if (http_fields_have(fs, HDR_CONNECTION) && http_field_is_hop(fs, &fs->f[i]))
			return KEY_BYPASS;
		while (rest.len > 0) {
			const char *end = memchr(rest.ptr, ';', rest.len);
			size_t n = end ? (size_t)(end - rest.ptr) : rest.len;
			struct span pair = span_trim(span_of(rest.ptr, n));

			n += end != NULL;
			rest = span_of(rest.ptr + n, rest.len - n);
			if (pair.len <= name.len || pair.ptr[name.len] != '=' ||
			    memcmp(pair.ptr, name.ptr, name.len) != 0)
				continue;
			if (r->v.present)
				return KEY_BYPASS;
			r->v.text = span_of(pair.ptr + name.len + 1, pair.len - name.len - 1);
			r->v.present = true;
		}
	}
	return KEY_OK;
}

/* The policy of a PF-Sig field (lib/pfsig.h) is its first hash. */
static void policy_of_signature(struct run *r, struct span name)
{
	static const struct span prefix = SPAN_LIT("pf-sig-v1:");
	struct span t = r->v.text;

	if (!r->v.present || !span_eq_nocase(name, SPAN_LIT("PF-Sig")))
		return;
	if (t.len >= prefix.len + 64 && memcmp(t.ptr, prefix.ptr, prefix.len) == 0)
		r->v.text = span_of(t.ptr + prefix.len, 64);
}

static enum key_status identity_load(struct run *r, const struct rule_op *op)
{
	enum rule_source source = (enum rule_source)op->a;
	const struct snap_rules *rules = &r->s->rules;
	const struct rule_text *t = source == RULE_TENANT ? &rules->tenant
	                            : source == RULE_USER ? &rules->user
	                                                  : &rules->policy;
	struct span name = run_text(r, t->off, t->len);
	enum key_status st;

	if (name.len == 0)
		return KEY_OK;
	st = field_load(r, name, (enum http_hdr)op->n);
	if (st == KEY_OK && source == RULE_POLICY)
		policy_of_signature(r, name);
	return st;
}

static enum key_status body_load(struct run *r, uint32_t i)
{
	size_t len;

	if (r->in->body.ptr == NULL)
		return KEY_OK;
	r->json = r->body[i].kind;
	r->v.present = r->json != JSON_ABSENT;
	r->v.text = r->body[i].raw;
	if (r->json == JSON_STRING) {
		if (!json_unescape(r->body[i].raw, r->scratch, sizeof(r->scratch), &len))
			return KEY_BYPASS;
		r->v.text = span_of(r->scratch, len);
	} else if (r->json == JSON_OBJECT || r->json == JSON_ARRAY) {
		if (!json_compact(r->body[i].raw, r->scratch, sizeof(r->scratch), &len))
			return KEY_TOO_LONG;
		r->v.text = span_of(r->scratch, len);
	}
	return KEY_OK;
}

static enum key_status query_all_load(struct run *r, bool listed)
{
	size_t len;

	if (r->in->query.ptr == NULL)
		return KEY_OK;
	if (!run_query_text(r, listed, r->scratch, &len))
		return KEY_TOO_LONG;
	r->v.text = span_of(r->scratch, len);
	r->v.present = true;
	return KEY_OK;
}

/* The host of a key is in lower case (RFC 3986 6.2.2.1). */
static enum key_status host_load(struct run *r)
{
	r->v.text = r->in->host;
	r->v.present = r->in->host.len > 0;
	return norm_lower(&r->v) ? KEY_OK : KEY_TOO_LONG;
}

static enum key_status load_param(struct run *r, uint32_t n)
{
	const uint8_t *map = (const uint8_t *)r->s + r->in->route->rule_map_off;

	r->v.present = map[n] < r->in->param_count;
	if (r->v.present)
		r->v.text = r->in->params[map[n]];
	return KEY_OK;
}

enum key_status run_load(struct run *r, const struct rule_op *op)
{
	r->v = (struct norm){.buf = r->scratch};
	r->json = JSON_STRING;
	switch (op->a) {
	case RULE_PATH:
		r->v.text = r->in->path;
		r->v.present = true;
		return KEY_OK;
	case RULE_PATH_PARAM:
		return load_param(r, op->n);
	case RULE_QUERY:
	case RULE_QUERY_LIST:
		return query_all_load(r, op->a == RULE_QUERY_LIST);
	case RULE_QUERY_NAMED:
		if (r->named_twice & 1u << op->n)
			return KEY_BYPASS;
		r->v.present = (r->named_seen & 1u << op->n) != 0;
		if (r->v.present)
			r->v.text = r->named[op->n];
		return KEY_OK;
	case RULE_HEADER:
		return field_load(r, run_text(r, op->off, op->len), (enum http_hdr)op->n);
	case RULE_COOKIE:
		return cookie_load(r, run_text(r, op->off, op->len));
	case RULE_BODY:
		r->v.text = r->in->body;
		r->v.present = r->in->body.ptr != NULL;
		return KEY_OK;
	case RULE_BODY_FIELD:
		return body_load(r, op->n);
	case RULE_HOST:
		return host_load(r);
	case RULE_METHOD:
		r->v.text = span_cstr(http_method_name(r->in->method));
		r->v.present = true;
		return KEY_OK;
	default:
		return identity_load(r, op);
	}
}

/* Of the route's path: the place of the parameter with this name. */
static enum key_status param_named(struct run *r, struct span name)
{
	const struct snap_route *route = r->in->route;
	struct span rest = snapshot_text(r->s, route->path_off, route->path_len);
	uint32_t i = 0;

	while (rest.len > 0) {
		const char *end = memchr(rest.ptr, '/', rest.len);
		size_t n = end ? (size_t)(end - rest.ptr) : rest.len;
		struct span seg = span_of(rest.ptr, n);

		n += end != NULL;
		rest = span_of(rest.ptr + n, rest.len - n);
		if (seg.len < 3 || seg.ptr[0] != '{')
			continue;
		if (span_eq(span_of(seg.ptr + 1, seg.len - 2), name)) {
			r->v.present = i < r->in->param_count;
			if (r->v.present)
				r->v.text = r->in->params[i];
			return r->v.present ? KEY_OK : KEY_BYPASS;
		}
		i++;
	}
	return KEY_BYPASS;
}

/* The field that says it; RULE_OP_LOAD has it as a number. */
static uint16_t identity_id(const struct run *r, enum rule_source source)
{
	const struct snap_rules *rules = &r->s->rules;
	const struct rule_text *t = source == RULE_TENANT ? &rules->tenant
	                            : source == RULE_USER ? &rules->user
	                                                  : &rules->policy;

	return (uint16_t)http_hdr_lookup(run_text(r, t->off, t->len));
}

enum key_status run_load_named(struct run *r, const struct read_name *what)
{
	struct rule_op op = {.code = RULE_OP_LOAD, .a = (uint8_t)what->source};

	r->v = (struct norm){.buf = r->scratch};
	r->json = JSON_STRING;
	switch (what->source) {
	case RULE_PATH_PARAM:
		return param_named(r, what->name);
	case RULE_QUERY_NAMED:
		return run_query_find(r, what->name);
	case RULE_HEADER:
		return field_load(r, what->name, http_hdr_lookup(what->name));
	case RULE_COOKIE:
		return cookie_load(r, what->name);
	case RULE_METHOD: /* an answer to GET is one to HEAD */
		r->v.text = span_cstr(
		        http_method_name(r->in->method == HTTP_HEAD ? HTTP_GET : r->in->method));
		r->v.present = true;
		return KEY_OK;
	case RULE_TENANT:
	case RULE_USER:
	case RULE_POLICY:
		op.n = identity_id(r, what->source);
		return run_load(r, &op);
	default:
		return run_load(r, &op);
	}
}

bool key_body_is_json(const struct http_fields *fs)
{
	uint32_t count;
	struct span type = http_field_get(fs, HDR_CONTENT_TYPE, &count);
	const char *end = count == 1 ? memchr(type.ptr, ';', type.len) : NULL;

	if (count != 1 || http_fields_have(fs, HDR_CONTENT_ENCODING))
		return false;
	if (end != NULL)
		type = span_trim(span_of(type.ptr, (size_t)(end - type.ptr)));
	if (span_eq_nocase(type, SPAN_LIT("application/json")))
		return true;
	return type.len > 5 &&
	       span_eq_nocase(span_of(type.ptr + type.len - 5, 5), SPAN_LIT("+json"));
}
