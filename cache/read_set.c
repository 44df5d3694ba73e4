/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/read_set.h"

#include "cache/key_run.h"
#include "cache/sf.h"
#include "cache/vary.h"

/* --- what an answer says --- */

static bool member_add(const struct sf_value *v, struct read_names *out)
{
	char text[RULE_READS_MAX];
	size_t len;

	if (v->type == SF_TOKEN)
		return span_eq(v->string, SPAN_LIT(READ_SET_NONE)) ||
		       read_names_add(out, v->string);
	len = v->type == SF_STRING ? sf_string(v->string, text, sizeof(text)) : 0;
	return len > 0 && read_names_add(out, span_of(text, len));
}

/* One line; *said: it has a member. */
static bool line_add(struct span line, struct read_names *out, bool *said)
{
	struct sf_reader r;
	struct sf_value v;
	enum sf_next next;

	sf_begin(&r, line);
	while ((next = sf_list_next(&r, &v)) == SF_MEMBER) {
		if (!member_add(&v, out))
			return false;
		*said = true;
	}
	return next == SF_END;
}

static bool vary_add(const struct http_fields *response, struct read_names *out)
{
	char buf[VARY_NAMES_MAX], text[VARY_NAMES_MAX + 8] = "header.";
	struct span names, name;

	switch (vary_of(response, buf, &names)) {
	case VARY_NONE:
		return true;
	case VARY_ANY:
		return false;
	default:
		break;
	}
	while (read_names_next(&names, &name)) {
		memcpy(text + 7, name.ptr, name.len);
		if (!read_names_add(out, span_of(text, 7 + name.len)))
			return false;
	}
	return true;
}

bool read_set_of(const struct snapshot *s, const struct key_input *in,
                 const struct http_fields *response, struct read_names *out)
{
	const struct snap_rule *rule = key_rule(s, in->route);
	struct span rest = snapshot_text(s, rule->reads.off, rule->reads.len), name;
	bool said = rest.len > 0;

	out->len = 0;
	out->count = 0;
	while (read_names_next(&rest, &name))
		if (!read_names_add(out, name))
			return false;
	for (uint32_t i = 0; i < response->count; i++)
		if (response->f[i].id == HDR_SLUICE_READ_SET &&
		    !line_add(response->f[i].value, out, &said))
			return false;
	return said && vary_add(response, out);
}

/* --- keys --- */

enum key_status read_set_front(const struct snapshot *s, const struct key_input *in,
                               char buf[CACHE_KEY_MAX], struct cache_key *out)
{
	const struct snap_route *route = in->route;
	struct span path = snapshot_text(s, route->path_off, route->path_len);
	enum key_status st = key_program_run(s, &key_rule(s, route)->pattern, in, buf, out);
	size_t len = out->text.len;

	if (st != KEY_OK)
		return st;
	/* Another route is another program of the origin's, whatever that says of its values. */
	if (memchr(path.ptr, READ_SET_SEP, path.len) != NULL ||
	    memchr(path.ptr, RULE_SCOPE_SEP, path.len) != NULL)
		return KEY_BYPASS;
	if (path.len + 3 + len > READ_SET_FRONT_MAX)
		return KEY_TOO_LONG;
	memcpy(buf + len, "|r=", 3);
	memcpy(buf + len + 3, path.ptr, path.len);
	out->text.len += path.len + 3;
	out->hash = hash128(buf, out->text.len, in->seed);
	return KEY_OK;
}

static enum rule_form form_of(enum rule_source source)
{
	switch (source) {
	case RULE_PATH:
	case RULE_PATH_PARAM:
	case RULE_QUERY_NAMED:
		return RULE_FORM_URI;
	case RULE_QUERY:
		return RULE_FORM_PLAIN;
	default:
		return RULE_FORM_BYTES;
	}
}

/* " name=" and the value; nothing behind '=' when there is none. */
static enum key_status value_put(struct run *r, struct span name)
{
	static const char sep = READ_SET_SEP;
	struct read_name what;
	enum key_status st;

	if (!read_name_parse(name, &what))
		return KEY_BYPASS;
	st = run_load_named(r, &what);
	if (st != KEY_OK)
		return st;
	if (run_put(r, span_of(&sep, 1)) != KEY_OK || run_put(r, name) != KEY_OK ||
	    run_put(r, SPAN_LIT("=")) != KEY_OK)
		return KEY_TOO_LONG;
	return run_emit(r, form_of(what.source));
}

enum key_status read_set_key(const struct snapshot *s, const struct key_input *in,
                             struct span front, struct span names, char buf[CACHE_KEY_MAX],
                             struct cache_key *out)
{
	struct span rest = names, name;
	struct run r;
	enum key_status st;

	run_begin(&r, s, in, buf);
	st = run_put(&r, front);
	/* Without names too it is not the list's key. */
	if (st == KEY_OK && names.len == 0)
		st = run_put(&r, SPAN_LIT(" "));
	while (st == KEY_OK && read_names_next(&rest, &name))
		st = value_put(&r, name);
	if (st != KEY_OK)
		return st;
	out->text = span_of(buf, (size_t)(r.at - buf));
	out->hash = hash128(out->text.ptr, out->text.len, in->seed);
	return KEY_OK;
}

struct span read_set_front_of(struct span key_text)
{
	const char *sep =
	        key_text.len > 0 ? memchr(key_text.ptr, READ_SET_SEP, key_text.len) : NULL;

	return sep ? span_of(key_text.ptr, (size_t)(sep - key_text.ptr)) : key_text;
}

/* --- lists --- */

size_t read_list_write(void *mem, size_t cap, const struct cache_key *front, struct span names)
{
	struct object o = {
	        .hash = front->hash,
	        .expires_ms = UINT64_MAX,
	        .key_len = (uint32_t)front->text.len,
	        .fields_len = (uint32_t)names.len,
	        .status = 200,
	        .flags = OBJECT_VARY | OBJECT_READS | OBJECT_NO_BODY,
	};
	char *at = mem;

	if (sizeof(o) + o.key_len + o.fields_len > cap)
		return 0;
	memcpy(at, &o, sizeof(o));
	memcpy(at + sizeof(o), front->text.ptr, o.key_len);
	if (names.len > 0)
		memcpy(at + sizeof(o) + o.key_len, names.ptr, names.len);
	return object_head_bytes(&o);
}

bool read_list_read(const struct object *o, struct span *names)
{
	struct span rest, name;
	struct read_name what;
	uint32_t count = 0;

	*names = object_fields(o);
	if ((o->flags & (OBJECT_VARY | OBJECT_READS)) != (OBJECT_VARY | OBJECT_READS) ||
	    names->len > RULE_READS_MAX)
		return false;
	rest = *names;
	while (read_names_next(&rest, &name))
		if (++count > RULE_READS_COUNT || !read_name_parse(name, &what))
			return false;
	return true;
}
